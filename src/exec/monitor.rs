//! Progress of long work, and stopping it.

use core::ops::ControlFlow;

use crate::error::{Result, err};

/// Receives the fraction done, in `0.0..=1.0`, and says whether to go on.
type Report<'a> = &'a (dyn Fn(f32) -> ControlFlow<()> + Sync);

/// Progress of long work and its cancellation: a callback that is called between steps.
#[derive(Clone, Copy)]
pub struct Monitor<'a> {
    report: Option<Report<'a>>,
    /// Fraction done at the begin of this part of the work.
    from: f32,
    /// Fraction done at its end.
    to: f32,
}

impl<'a> Monitor<'a> {
    /// No callback: the work runs to its end.
    pub const fn none() -> Self {
        Self { report: None, from: 0.0, to: 1.0 }
    }

    /// Calls `report` between steps with the fraction done; [`ControlFlow::Break`] stops the work.
    pub const fn new(report: Report<'a>) -> Self {
        Self { report: Some(report), from: 0.0, to: 1.0 }
    }

    /// A monitor of the part of the work from fraction `from` to fraction `to`.
    #[must_use]
    pub fn part(&self, from: f32, to: f32) -> Self {
        let at = |fraction: f32| self.from + (self.to - self.from) * fraction;
        Self { report: self.report, from: at(from), to: at(to) }
    }

    /// Says that `done` of `total` steps are done.
    ///
    /// # Errors
    /// `Cancelled` if the work is to stop.
    pub fn report(&self, done: usize, total: usize) -> Result<()> {
        let Some(report) = self.report else { return Ok(()) };
        let fraction = if total == 0 { 1.0 } else { done as f32 / total as f32 };
        match report(self.from + (self.to - self.from) * fraction) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(err!(Cancelled, "cancelled by the caller")),
        }
    }
}

impl core::fmt::Debug for Monitor<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Monitor").field("from", &self.from).field("to", &self.to).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::ErrorCode;

    #[test]
    fn parts_scale_and_a_break_cancels() {
        let seen = AtomicU32::new(0);
        let report = |fraction: f32| {
            seen.store(fraction.to_bits(), Ordering::Relaxed);
            if fraction > 0.7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let half = Monitor::new(&report).part(0.5, 1.0);
        half.report(1, 4).unwrap();
        assert_eq!(f32::from_bits(seen.load(Ordering::Relaxed)), 0.625);
        assert_eq!(half.part(0.0, 0.5).report(2, 2).unwrap_err().code(), ErrorCode::Cancelled);
        Monitor::none().report(1, 1).unwrap();
    }
}
