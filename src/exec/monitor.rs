//! Progress of long work, and stopping it.

use core::ops::ControlFlow;
use core::time::Duration;

use super::watch::Watch;
use crate::error::{Result, err};

/// Receives the fraction done, in `0.0..=1.0`, and says whether to go on.
pub(super) type Report<'a> = &'a (dyn Fn(f32) -> ControlFlow<()> + Sync);

/// Least time between two calls of the callback from within a step.
const INTERVAL: Duration = Duration::from_millis(5);

/// Progress of long work and its cancellation: a callback that is called between steps and, with the same fraction again,
/// within long ones.
///
/// Fractions never decrease, and the last one of a call that succeeds is 1. After [`ControlFlow::Break`] the callback is not
/// called again, and the call returns `Cancelled` within some milliseconds. It leaves everything as it was: the next call gives
/// what it would have given.
///
/// The callback runs on one thread at a time, which may be any of those that compute; the others go on meanwhile.
#[derive(Clone, Copy)]
pub struct Monitor<'a> {
    listener: Listener<'a>,
    interval: Duration,
    /// Fraction done at the begin of this part of the work.
    from: f32,
    /// Fraction done at its end.
    to: f32,
}

/// Who gets the reports.
#[derive(Clone, Copy)]
enum Listener<'a> {
    Nobody,
    /// The callback itself: no call has begun.
    Callback(Report<'a>),
    /// The call that the work is part of.
    Call(&'a Watch<'a>),
}

impl<'a> Monitor<'a> {
    /// No callback: the work runs to its end.
    pub const fn none() -> Self {
        Self { listener: Listener::Nobody, interval: INTERVAL, from: 0.0, to: 1.0 }
    }

    /// Calls `report` with the fraction done; [`ControlFlow::Break`] stops the work.
    pub const fn new(report: Report<'a>) -> Self {
        Self { listener: Listener::Callback(report), ..Self::none() }
    }

    /// The least time between two calls of the callback from within a step, 5 ms by default; zero calls it whenever the work
    /// can be stopped. Without a clock (no `std`) that is always so.
    #[must_use]
    pub const fn with_interval(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    /// A monitor of the part of the work from fraction `from` to fraction `to`.
    #[must_use]
    pub fn part(&self, from: f32, to: f32) -> Self {
        Self { from: self.at(from), to: self.at(to), ..*self }
    }

    /// The fraction of all work when `fraction` of this part is done.
    fn at(&self, fraction: f32) -> f32 {
        // Rounding must not lead beyond the end.
        (self.from + (self.to - self.from) * fraction).min(self.to)
    }

    /// Says that `done` of `total` steps are done.
    ///
    /// # Errors
    /// `Cancelled` if the work is to stop.
    pub fn report(&self, done: usize, total: usize) -> Result<()> {
        let fraction = self.at(if total == 0 { 1.0 } else { done as f32 / total as f32 });
        match self.listener {
            Listener::Nobody => Ok(()),
            Listener::Callback(report) => match report(fraction) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(()) => Err(err!(Cancelled, "cancelled by the caller")),
            },
            Listener::Call(watch) => watch.report(fraction),
        }
    }

    /// Asks whether to go on, if it is time to: for long steps that run no loops of a context.
    ///
    /// # Errors
    /// `Cancelled` if the work is to stop.
    pub(crate) fn poll(&self) -> Result<()> {
        self.advance(0.0)
    }

    /// [`poll`](Self::poll) when `fraction` of this part is done.
    ///
    /// # Errors
    /// `Cancelled` if the work is to stop.
    pub(crate) fn advance(&self, fraction: f32) -> Result<()> {
        match self.listener {
            Listener::Call(watch) => watch.advance(self.at(fraction)),
            _ => Ok(()),
        }
    }

    /// Does `work`, a call of the library or a part of one, and reports its end. What a stopped call has computed is thrown
    /// away here, whatever `work` says of it.
    ///
    /// # Errors
    /// Those of `work`, and `Cancelled`.
    pub(crate) fn run<R>(&self, work: impl FnOnce(&Monitor<'_>) -> Result<R>) -> Result<R> {
        match self.listener {
            Listener::Nobody => work(self),
            Listener::Callback(report) => {
                let watch = Watch::new(report, self.interval);
                let monitor = Monitor { listener: Listener::Call(&watch), ..*self };
                monitor.end(&watch, work(&monitor))
            }
            Listener::Call(watch) => self.end(watch, work(self)),
        }
    }

    fn end<R>(&self, watch: &Watch<'_>, result: Result<R>) -> Result<R> {
        watch.check()?;
        let result = result?;
        watch.report(self.to)?;
        Ok(result)
    }

    /// The call that this is part of.
    pub(super) fn watch(&self) -> Option<&'a Watch<'a>> {
        match self.listener {
            Listener::Call(watch) => Some(watch),
            _ => None,
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
