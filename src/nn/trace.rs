//! Looking at the stages of a forward pass.

use core::fmt;

use crate::exec::Cx;

/// A function that sees a named stage.
type Observer<'a> = &'a mut dyn FnMut(fmt::Arguments<'_>, &[f32]);

/// Names the stages of a forward pass, for the profile of a context, and shows them to an observer, for tests and for
/// whoever studies a model.
///
/// With an observer, models compute every stage in full, also what the result alone would not need.
#[derive(Default)]
pub struct Trace<'a> {
    observer: Option<Observer<'a>>,
    cx: Option<&'a Cx>,
}

impl<'a> Trace<'a> {
    /// Nobody is looking.
    pub fn off() -> Self {
        Self::default()
    }

    /// Nobody is looking at values; stages are named to `cx`.
    pub fn of(cx: &'a Cx) -> Self {
        Self { observer: None, cx: Some(cx) }
    }

    /// Calls `observer(name, values)` for every stage.
    pub fn to(observer: Observer<'a>) -> Self {
        Self { observer: Some(observer), cx: None }
    }

    /// Whether anybody is looking.
    pub fn is_on(&self) -> bool {
        self.observer.is_some()
    }

    /// Names a stage that is complete, and shows it.
    pub fn stage(&mut self, name: fmt::Arguments<'_>, values: &[f32]) {
        if let Some(cx) = self.cx {
            cx.end_stage(name);
        }
        if let Some(observer) = &mut self.observer {
            observer(name, values);
        }
    }
}
