//! Where a pass spends its time, by stage and by kernel.
//!
//! Kernels say what they do ([`Cx::kernel`]), and models name their stages, as they do for a trace ([`Cx::end_stage`]). A
//! context without a [`Profile`] does nothing at these places but look whether it has one.

use core::fmt;

use super::Cx;

/// Operations and bytes of one call of a kernel.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    /// Multiplications and additions.
    pub flops: f64,
    /// Bytes that are read and written, each operand once.
    pub bytes: f64,
}

impl Work {
    /// A product `[m, k] · [k, n]` with elements of four bytes.
    pub fn product(m: usize, n: usize, k: usize) -> Self {
        let [m, n, k] = [m, n, k].map(|n| n as f64);
        Self { flops: 2.0 * m * n * k, bytes: 4.0 * (m * k + n * k + m * n) }
    }
}

#[cfg(feature = "std")]
pub use with_std::{Profile, Span};

#[cfg(feature = "std")]
mod with_std {
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;
    use core::fmt;
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use std::time::Instant;

    use super::Work;

    /// One call of a kernel.
    #[derive(Clone, Debug)]
    pub struct Span {
        /// The stage of the model that it belongs to; empty behind the last stage.
        pub stage: String,
        /// The kernel.
        pub kernel: &'static str,
        /// How long it took on all threads together, from begin to end.
        pub seconds: f64,
        /// What it did.
        pub work: Work,
    }

    /// Collects the kernels of the passes of one caller, in order.
    #[derive(Debug, Default)]
    pub struct Profile(Mutex<State>);

    #[derive(Debug, Default)]
    struct State {
        spans: Vec<Span>,
        /// How many of them have their stage.
        complete: usize,
    }

    impl Profile {
        /// What was collected since the last call.
        pub fn take(&self) -> Vec<Span> {
            core::mem::take(&mut *self.state()).spans
        }

        fn state(&self) -> MutexGuard<'_, State> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        pub(super) fn end_stage(&self, name: &fmt::Arguments<'_>) {
            let mut state = self.state();
            let complete = core::mem::replace(&mut state.complete, 0);
            state.spans[complete..].iter_mut().for_each(|span| span.stage = name.to_string());
            state.complete = state.spans.len();
        }

        pub(super) fn add(&self, kernel: &'static str, work: Work, begin: Instant) {
            let seconds = begin.elapsed().as_secs_f64();
            self.state().spans.push(Span { stage: String::new(), kernel, seconds, work });
        }
    }
}

/// Until it is dropped, a kernel runs.
#[must_use]
pub struct KernelScope<'a> {
    #[cfg(feature = "std")]
    started: Option<(&'a Profile, &'static str, Work, std::time::Instant)>,
    #[cfg(not(feature = "std"))]
    started: core::marker::PhantomData<&'a Cx>,
}

impl Cx {
    /// Says that a stage called `name` is complete: the kernels since the stage before are its own.
    #[inline]
    pub fn end_stage(&self, name: fmt::Arguments<'_>) {
        #[cfg(feature = "std")]
        if let Some(profile) = self.profile() {
            profile.end_stage(&name);
        }
        #[cfg(not(feature = "std"))]
        let _ = name;
    }

    /// Says that a kernel begins, which ends when the result is dropped. Kernels do not nest.
    #[inline]
    pub fn kernel(&self, name: &'static str, work: impl FnOnce() -> Work) -> KernelScope<'_> {
        #[cfg(feature = "std")]
        {
            let start = |profile| (profile, name, work(), std::time::Instant::now());
            KernelScope { started: self.profile().map(start) }
        }
        #[cfg(not(feature = "std"))]
        {
            let _ = (name, work);
            KernelScope { started: core::marker::PhantomData }
        }
    }
}

impl Drop for KernelScope<'_> {
    fn drop(&mut self) {
        #[cfg(feature = "std")]
        if let Some((profile, kernel, work, begin)) = self.started {
            profile.add(kernel, work, begin);
        }
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use alloc::sync::Arc;
    use alloc::vec::Vec;

    use super::*;
    use crate::simd::Level;

    #[test]
    fn kernels_belong_to_the_stage_that_ends_after_them() {
        let profile = Arc::new(Profile::default());
        let cx = Cx::serial(Level::detect()).with_profile(profile.clone());
        let run = |cx: &Cx| {
            for i in 0..2 {
                drop(cx.kernel("gemm", || Work::product(2, 3, 4)));
                drop(cx.kernel("layer-norm", Work::default));
                cx.end_stage(format_args!("layers.{i}"));
            }
            drop(cx.kernel("softmax", Work::default));
        };
        run(&cx);
        run(&Cx::serial(Level::detect()));
        let spans = profile.take();
        let seen: Vec<_> = spans.iter().map(|s| (s.stage.as_str(), s.kernel, s.work.flops)).collect();
        let expected = [
            ("layers.0", "gemm", 48.0),
            ("layers.0", "layer-norm", 0.0),
            ("layers.1", "gemm", 48.0),
            ("layers.1", "layer-norm", 0.0),
            ("", "softmax", 0.0),
        ];
        assert_eq!(seen, expected);
        assert!(profile.take().is_empty());
    }
}
