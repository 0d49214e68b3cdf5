//! Where a pass spends its time, by layer and by kernel.
//!
//! Models name their layers ([`Cx::layer`]) and kernels say what they do ([`Cx::kernel`]). A context without a
//! [`Profile`] does nothing at these places but look whether it has one.

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
    use alloc::string::String;
    use alloc::vec::Vec;
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use std::time::Instant;

    use super::Work;

    /// One call of a kernel.
    #[derive(Clone, Debug)]
    pub struct Span {
        /// The layers that it was called in, from the outermost, joined by `/`.
        pub layer: String,
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
        layers: Vec<String>,
        spans: Vec<Span>,
    }

    impl Profile {
        /// What was collected since the last call.
        pub fn take(&self) -> Vec<Span> {
            core::mem::take(&mut self.state().spans)
        }

        fn state(&self) -> MutexGuard<'_, State> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        pub(super) fn enter_layer(&self, name: String) {
            self.state().layers.push(name);
        }

        pub(super) fn leave_layer(&self) {
            self.state().layers.pop();
        }

        pub(super) fn add(&self, kernel: &'static str, work: Work, begin: Instant) {
            let seconds = begin.elapsed().as_secs_f64();
            let mut state = self.state();
            let layer = state.layers.join("/");
            state.spans.push(Span { layer, kernel, seconds, work });
        }
    }
}

/// Until it is dropped, kernels count for a layer.
#[must_use]
pub struct LayerScope<'a> {
    #[cfg(feature = "std")]
    profile: Option<&'a Profile>,
    #[cfg(not(feature = "std"))]
    profile: core::marker::PhantomData<&'a Cx>,
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
    /// Says that a layer called `name` begins, which ends when the result is dropped.
    #[inline]
    pub fn layer(&self, name: fmt::Arguments<'_>) -> LayerScope<'_> {
        #[cfg(feature = "std")]
        {
            let profile = self.profile();
            if let Some(profile) = profile {
                profile.enter_layer(alloc::string::ToString::to_string(&name));
            }
            LayerScope { profile }
        }
        #[cfg(not(feature = "std"))]
        {
            let _ = name;
            LayerScope { profile: core::marker::PhantomData }
        }
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

impl Drop for LayerScope<'_> {
    fn drop(&mut self) {
        #[cfg(feature = "std")]
        if let Some(profile) = self.profile {
            profile.leave_layer();
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

    use super::*;
    use crate::simd::Level;

    #[test]
    fn kernels_count_for_the_layer_that_they_run_in() {
        let profile = Arc::new(Profile::default());
        let cx = Cx::serial(Level::detect()).with_profile(profile.clone());
        let run = |cx: &Cx| {
            let _tower = cx.layer(format_args!("tower"));
            for i in 0..2 {
                let _layer = cx.layer(format_args!("layers.{i}"));
                let _kernel = cx.kernel("gemm", || Work::product(2, 3, 4));
            }
            drop(cx.kernel("norm", Work::default));
        };
        run(&cx);
        run(&Cx::serial(Level::detect()));
        let spans = profile.take();
        let seen: alloc::vec::Vec<_> =
            spans.iter().map(|s| (s.layer.as_str(), s.kernel, s.work.flops)).collect();
        assert_eq!(
            seen,
            [("tower/layers.0", "gemm", 48.0), ("tower/layers.1", "gemm", 48.0), ("tower", "norm", 0.0)]
        );
        assert!(profile.take().is_empty());
    }
}
