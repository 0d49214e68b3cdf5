//! One call of the library under a monitor: who asks the caller's callback whether to go on, and what it has said.
//!
//! Long work asks between its steps ([`Monitor::report`](super::Monitor::report)), and every lane of every loop between its
//! tasks ([`Cx::goes_on`](super::Cx::goes_on)). Once the answer was to stop, loops leave out the tasks that are left. What was
//! computed is then of no use, and the call ends with `Cancelled` before anything is made of it.
//!
//! # Soundness
//!
//! A context carries the watch of a call without its lifetime. It is handed to the call's work by reference only, it ends
//! before the watch does, and its clones carry none, so that nobody can keep it. A loop that leaves tasks out leaves their outputs
//! as they were: memory that was initialised before.
//!
//! Tests: `watch::clones_and_other_calls_are_not_watched`, `watch::a_loop_that_is_told_to_stop_leaves_tasks_out`,
//! `monitor::videos`.

use core::ops::ControlFlow;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use core::time::Duration;

use self::clock::Clock;
use super::monitor::Report;
use crate::error::{Result, err};

/// The state of a call under a monitor, for as long as the call lasts.
pub(super) struct Watch<'a> {
    report: Report<'a>,
    clock: Clock,
    /// Whether a thread is in the callback.
    is_asked: AtomicBool,
    /// Whether it has said to stop.
    is_stopped: AtomicBool,
    /// The bits of the fraction that is done. Those of fractions from 0 to 1 have the same order as they.
    done: AtomicU32,
}

impl<'a> Watch<'a> {
    /// `interval` is the least time between two questions from within loops.
    pub(super) fn new(report: Report<'a>, interval: Duration) -> Self {
        Self {
            report,
            clock: Clock::new(interval),
            is_asked: AtomicBool::new(false),
            is_stopped: AtomicBool::new(false),
            done: AtomicU32::new(0),
        }
    }

    /// Tells the callback the fraction that is done, or the largest that was reported so far.
    pub(super) fn report(&self, fraction: f32) -> Result<()> {
        self.keep(fraction);
        self.ask();
        self.check()
    }

    /// The same, if it is time to ask.
    pub(super) fn advance(&self, fraction: f32) -> Result<()> {
        self.keep(fraction);
        self.goes_on();
        self.check()
    }

    fn keep(&self, fraction: f32) {
        // NaN is not above 0.
        let fraction = if fraction > 0.0 { fraction.min(1.0) } else { 0.0 };
        self.done.fetch_max(fraction.to_bits(), Ordering::Relaxed);
    }

    /// Whether to go on; asks the callback if it is time to. Any thread.
    pub(super) fn goes_on(&self) -> bool {
        if !self.is_stopped() && self.clock.is_due() {
            self.ask();
        }
        !self.is_stopped()
    }

    /// # Errors
    /// `Cancelled` once the callback has said to stop.
    pub(super) fn check(&self) -> Result<()> {
        if self.is_stopped() { Err(err!(Cancelled, "cancelled by the caller")) } else { Ok(()) }
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    /// Asks the callback, unless another thread does.
    fn ask(&self) {
        if self.is_asked.swap(true, Ordering::Acquire) {
            return;
        }
        // If the callback panics, that is an answer, too.
        let mut question = Question { watch: self, answer: ControlFlow::Break(()) };
        if !self.is_stopped() {
            self.clock.restart();
            question.answer = (self.report)(f32::from_bits(self.done.load(Ordering::Relaxed)));
        }
    }
}

/// A thread in the callback.
struct Question<'w, 'a> {
    watch: &'w Watch<'a>,
    answer: ControlFlow<()>,
}

impl Drop for Question<'_, '_> {
    fn drop(&mut self) {
        if self.answer.is_break() {
            self.watch.is_stopped.store(true, Ordering::Relaxed);
        }
        self.watch.is_asked.store(false, Ordering::Release);
    }
}

/// The watch that a context looks at, if there is one. It belongs to this context: clones have none.
pub(super) struct Attached(Option<&'static Watch<'static>>);

impl Attached {
    pub(super) const NONE: Self = Self(None);

    /// # Safety
    /// What is returned ends before `watch` does.
    pub(super) unsafe fn to(watch: &Watch<'_>) -> Self {
        // SAFETY: only lifetimes are changed; by the caller's promise, and as `get` gives out no longer one, none is exceeded.
        Self(Some(unsafe { core::mem::transmute::<&Watch<'_>, &'static Watch<'static>>(watch) }))
    }

    #[inline]
    pub(super) fn get(&self) -> Option<&Watch<'_>> {
        self.0.map(|watch| watch as &Watch<'_>)
    }
}

impl Clone for Attached {
    fn clone(&self) -> Self {
        Self::NONE
    }
}

#[cfg(all(feature = "std", not(all(target_family = "wasm", target_os = "unknown"))))]
mod clock {
    use core::sync::atomic::{AtomicU32, Ordering};
    use core::time::Duration;
    use std::time::Instant;

    /// Tells when it is time to ask again.
    pub(super) struct Clock {
        /// In milliseconds; so is `last`.
        interval: u32,
        start: Instant,
        last: AtomicU32,
    }

    impl Clock {
        pub(super) fn new(interval: Duration) -> Self {
            let interval = u32::try_from(interval.as_millis()).unwrap_or(u32::MAX);
            Self { interval, start: Instant::now(), last: AtomicU32::new(0) }
        }

        pub(super) fn is_due(&self) -> bool {
            self.interval == 0 || self.now().wrapping_sub(self.last.load(Ordering::Relaxed)) >= self.interval
        }

        pub(super) fn restart(&self) {
            self.last.store(self.now(), Ordering::Relaxed);
        }

        fn now(&self) -> u32 {
            self.start.elapsed().as_millis() as u32
        }
    }
}

#[cfg(not(all(feature = "std", not(all(target_family = "wasm", target_os = "unknown")))))]
mod clock {
    use core::time::Duration;

    /// There is no clock: it is always time to ask.
    pub(super) struct Clock;

    impl Clock {
        pub(super) fn new(_: Duration) -> Self {
            Self
        }

        pub(super) fn is_due(&self) -> bool {
            true
        }

        pub(super) fn restart(&self) {}
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicUsize;

    use super::*;
    use crate::exec::{Cx, CxOptions, Monitor};
    use crate::simd::Level;
    use crate::{Error, ErrorCode};

    fn code<T>(result: Result<T>) -> Result<T, ErrorCode> {
        result.map_err(|error: Error| error.code())
    }

    #[test]
    fn fractions_grow_and_lie_between_0_and_1() {
        let seen = AtomicU32::new(0);
        let report = |fraction: f32| {
            let before = f32::from_bits(seen.swap(fraction.to_bits(), Ordering::Relaxed));
            assert!(before <= fraction && fraction <= 1.0);
            ControlFlow::Continue(())
        };
        let watch = Watch::new(&report, Duration::ZERO);
        for fraction in [-1.0, 0.25, f32::NAN, 0.125, 0.5, 7.0, 0.75] {
            watch.report(fraction).unwrap();
        }
        assert_eq!(seen.into_inner(), 1.0f32.to_bits());
    }

    /// At every question in turn: no later one, tasks are left out, and the end is an error.
    #[test]
    fn a_loop_that_is_told_to_stop_leaves_tasks_out() {
        for threads in [1, 3] {
            #[cfg(not(feature = "parallel"))]
            if threads > 1 {
                continue;
            }
            let cx = Cx::new(&CxOptions::default().with_threads(threads)).unwrap();
            let run = |allowed: usize| {
                let (asked, done, inside) =
                    (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
                let report = |_: f32| {
                    assert!(!inside.swap(true, Ordering::Relaxed), "asked by two threads at a time");
                    let number = asked.fetch_add(1, Ordering::Relaxed);
                    assert!(number <= allowed, "asked after the answer");
                    inside.store(false, Ordering::Relaxed);
                    if number < allowed { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                };
                let monitor = Monitor::new(&report).with_interval(Duration::ZERO);
                let result = cx.watched(&monitor, |cx, _| {
                    for _ in 0..3 {
                        cx.parallel_for(20, |_, _| _ = done.fetch_add(1, Ordering::Relaxed));
                    }
                    Ok(())
                });
                (code(result), done.into_inner())
            };
            for allowed in 0..60 {
                let (result, done) = run(allowed);
                if threads == 1 {
                    assert_eq!((result, done), (Err(ErrorCode::Cancelled), allowed));
                } else if result.is_ok() {
                    // While one lane asks, others go on without a question.
                    assert!(allowed > 0 && done == 60, "{done} tasks after {allowed} questions");
                    break;
                }
            }
            assert_eq!(run(usize::MAX), (Ok(()), 60));
        }
    }

    #[test]
    fn clones_and_other_calls_are_not_watched() {
        let cx = Cx::serial(Level::detect());
        let stop = |_: f32| ControlFlow::Break(());
        let mut kept = None;
        let result = cx.watched(&Monitor::new(&stop).with_interval(Duration::ZERO), |watched, _| {
            assert!(!watched.goes_on());
            assert!(watched.clone().goes_on() && cx.goes_on());
            kept = Some(watched.clone());
            Ok(())
        });
        assert_eq!(code(result), Err(ErrorCode::Cancelled));
        assert!(kept.unwrap().goes_on());
    }

    #[cfg(feature = "std")]
    #[test]
    fn a_callback_that_panics_stops_the_call() {
        let cx = Cx::serial(Level::detect());
        let asked = AtomicUsize::new(0);
        let report = |_: f32| {
            asked.fetch_add(1, Ordering::Relaxed);
            panic!("in the callback");
        };
        let call = || {
            cx.watched(&Monitor::new(&report).with_interval(Duration::ZERO), |cx, _| {
                let asking = || cx.parallel_for(9, |_, _| unreachable!("after the panic"));
                std::panic::catch_unwind(core::panic::AssertUnwindSafe(asking)).unwrap_err();
                cx.parallel_for(9, |_, _| unreachable!("after the panic"));
                Ok(())
            })
        };
        assert_eq!(code(call()), Err(ErrorCode::Cancelled));
        assert_eq!(asked.into_inner(), 1);
    }

    #[cfg(feature = "std")]
    #[test]
    fn loops_ask_no_more_often_than_the_interval() {
        let cx = Cx::serial(Level::detect());
        let asked = AtomicUsize::new(0);
        let report = |_: f32| {
            asked.fetch_add(1, Ordering::Relaxed);
            ControlFlow::Continue(())
        };
        let monitor = Monitor::new(&report).with_interval(Duration::from_secs(3600));
        cx.watched(&monitor, |cx, _| {
            cx.parallel_for(1000, |_, _| ());
            Ok(())
        })
        .unwrap();
        assert_eq!(asked.into_inner(), 1, "at the end");
    }
}
