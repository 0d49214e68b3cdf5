//! Looking at the stages of a forward pass.

use core::fmt;

/// A function that sees a named stage.
type Observer<'a> = &'a mut dyn FnMut(fmt::Arguments<'_>, &[f32]);

/// Shows the named stages of a forward pass to an observer, for tests and for whoever studies a model.
///
/// With an observer, models compute every stage in full, also what the result alone would not need.
#[derive(Default)]
pub struct Trace<'a>(Option<Observer<'a>>);

impl<'a> Trace<'a> {
    /// Nobody is looking.
    pub fn off() -> Self {
        Self(None)
    }

    /// Calls `observer(name, values)` for every stage.
    pub fn to(observer: Observer<'a>) -> Self {
        Self(Some(observer))
    }

    /// Whether anybody is looking.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Shows a stage.
    pub fn stage(&mut self, name: fmt::Arguments<'_>, values: &[f32]) {
        if let Some(observer) = &mut self.0 {
            observer(name, values);
        }
    }
}
