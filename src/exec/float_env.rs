//! The floating-point environment of a pass.
//!
//! A host may have set another rounding mode, or exceptions that end the process, and threads inherit that. Subnormal
//! numbers cost some CPUs a hundred times a normal operation. So every lane computes with round to nearest, exceptions
//! masked, and subnormal operands and results taken as zero, and the thread has the host's setting again afterwards.
//!
//! Source: Intel SDM vol. 1 §10.2.3 (MXCSR); Arm ARM, FPCR.
//!
//! # Soundness
//!
//! Rust says that code runs with the default floating-point environment, and these registers leave it. What a compiler
//! may derive from that is the value of an operation: one that is computed beforehand is rounded to nearest, as in a
//! pass, and one that yields a subnormal number may do so or yield zero. That is a matter of results. Where an index or
//! a length comes from a float, it is clamped or checked as any other. The assembly counts as a write to all memory, so
//! that loads and stores stay on their side of it.
//!
//! Tests: `float_env::every_lane_has_the_setting_of_a_pass_and_the_host_its_own_afterwards`,
//! `float_env::a_panic_gives_the_setting_back`.

use core::marker::PhantomData;

/// The host's setting of this thread, put back when this is dropped, also by a panic.
#[derive(Debug)]
pub(crate) struct FloatEnv {
    host: register::Value,
    /// The setting is the thread's.
    not_send: PhantomData<*const ()>,
}

impl FloatEnv {
    /// Sets the environment of a pass on the calling thread.
    #[must_use]
    pub(crate) fn enter() -> Self {
        let host = register::read();
        if register::settings(host) != register::PASS {
            register::write(register::PASS);
        }
        Self { host, not_send: PhantomData }
    }
}

impl Drop for FloatEnv {
    fn drop(&mut self) {
        if register::settings(self.host) != register::PASS {
            register::write(self.host);
        }
    }
}

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod register {
    use core::arch::asm;

    pub(super) type Value = u32;

    /// All exceptions masked, round to nearest, flush to zero, denormals are zero.
    pub(super) const PASS: Value = 0x1f80 | 1 << 15 | 1 << 6;

    /// Without the flags of exceptions that have happened.
    pub(super) fn settings(value: Value) -> Value {
        value & !0x3f
    }

    #[inline]
    pub(super) fn read() -> Value {
        let mut value: Value = 0;
        // SAFETY: stores the register into `value`.
        unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut value, options(nostack, preserves_flags)) };
        value
    }

    #[inline]
    pub(super) fn write(value: Value) {
        // SAFETY: a value that was read, or `PASS`: no reserved bit is set. That memory is clobbered keeps loads and
        // stores, and what is computed between them, on their side.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const value, options(nostack, preserves_flags)) };
    }
}

#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
mod register {
    use core::arch::asm;

    pub(super) type Value = u64;

    /// FZ; round to nearest, no trap enabled.
    pub(super) const PASS: Value = 1 << 24;

    pub(super) fn settings(value: Value) -> Value {
        value
    }

    #[inline]
    pub(super) fn read() -> Value {
        let value;
        // SAFETY: reads a register that every mode may read.
        unsafe { asm!("mrs {}, fpcr", out(reg) value, options(nomem, nostack, preserves_flags)) };
        value
    }

    #[inline]
    pub(super) fn write(value: Value) {
        // SAFETY: a value that was read, or `PASS`. That memory counts as clobbered keeps loads and stores, and what is
        // computed between them, on their side.
        unsafe { asm!("msr fpcr, {}", in(reg) value, options(nostack, preserves_flags)) };
    }
}

#[cfg(not(any(
    all(target_arch = "x86_64", target_feature = "sse2"),
    all(target_arch = "aarch64", target_feature = "neon")
)))]
mod register {
    /// There is one setting only.
    pub(super) type Value = ();

    pub(super) const PASS: Value = ();

    pub(super) fn settings((): Value) -> Value {}

    pub(super) fn read() -> Value {}

    pub(super) fn write((): Value) {}
}

#[cfg(all(test, target_arch = "x86_64", feature = "parallel"))]
mod tests {
    use core::sync::atomic::{AtomicUsize, Ordering};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::exec::{Cx, CxOptions};

    /// Settings of hosts: the default, flush to zero, round down, and division by zero unmasked.
    const HOSTS: [u32; 4] = [0x1f80, 0x9fc0, 0x3f80, 0x1d80];

    /// Runs `work` with the host's setting, and checks that it is there afterwards.
    fn with_host(host: u32, work: impl FnOnce()) {
        let before = register::read();
        register::write(host);
        let result = catch_unwind(AssertUnwindSafe(work));
        let after = register::read();
        register::write(before);
        assert_eq!(register::settings(after), host, "the host's setting is back");
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    }

    #[test]
    fn every_lane_has_the_setting_of_a_pass_and_the_host_its_own_afterwards() {
        for threads in [1, 2, 3] {
            for made_under in HOSTS {
                let mut cx = None;
                with_host(made_under, || {
                    cx = Some(Cx::new(&CxOptions::default().with_threads(threads)).unwrap());
                });
                let cx = cx.unwrap();
                for host in HOSTS {
                    let lanes = AtomicUsize::new(0);
                    with_host(host, || {
                        let check = |_: usize, _: usize| {
                            assert_eq!(register::settings(register::read()), register::PASS);
                            lanes.fetch_add(1, Ordering::Relaxed);
                        };
                        cx.parallel_for(7, check);
                        cx.enter(|| {
                            assert_eq!(register::settings(register::read()), register::PASS);
                            cx.parallel_for(7, check);
                        });
                    });
                    assert_eq!(lanes.load(Ordering::Relaxed), 14);
                }
            }
        }
    }

    #[test]
    fn a_panic_gives_the_setting_back() {
        for threads in [1, 3] {
            let cx = Cx::new(&CxOptions::default().with_threads(threads)).unwrap();
            let host = HOSTS[2];
            with_host(host, || {
                let panic = catch_unwind(AssertUnwindSafe(|| {
                    cx.enter(|| cx.parallel_for(4, |_, task| assert_ne!(task, 2, "a bad task")));
                }));
                assert!(panic.is_err());
                assert_eq!(register::settings(register::read()), host);
            });
        }
    }
}
