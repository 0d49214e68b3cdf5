//! `vitrum_progress`: how long work reports, and is stopped.

use core::ffi::c_void;
use core::ops::ControlFlow;

use super::args::Nullable;
use crate::error::Result;
use crate::exec::Monitor;

/// Called during a long call with the fraction that is done, from 0 to 1 and never decreasing: between its steps and, every few
/// milliseconds, within them, with the same fraction again. The last one of a call that succeeds is 1. Returns 0 to go on; any
/// other value stops the call, which then returns `VITRUM_E_CANCELLED` within some milliseconds, without asking again. A call
/// that is stopped leaves everything as it was.
///
/// It runs on the thread that made the call, on one of the context's own, or on one on which the host's
/// `vitrum_parallel_for` does work; never on two at the same time, but each time on any of them. The call ends only after it has
/// returned; other threads go on computing meanwhile. It must return: neither an exception nor `longjmp` may leave it. It must
/// not call what computes with the same context, nor wait for another thread that does: that would wait for the call that waits
/// for it. While it runs, its thread
/// rounds floats to nearest and takes subnormal ones for zero.
pub type vitrum_progress = Option<unsafe extern "C" fn(user: Nullable<*mut c_void>, fraction: f32) -> i32>;

/// A caller's callback with what it wants to be handed.
struct Caller {
    progress: unsafe extern "C" fn(*mut c_void, f32) -> i32,
    user: *mut c_void,
}

// SAFETY: a monitor calls from one thread at a time, and the contract of `vitrum_progress` says that this may be another than
// the caller's.
unsafe impl Sync for Caller {}

impl Caller {
    fn report(&self, fraction: f32) -> ControlFlow<()> {
        // SAFETY: the caller promises that `progress` may be called with `user` during the call.
        match unsafe { (self.progress)(self.user, fraction) } {
            0 => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    }
}

/// Runs `work` with a monitor that calls `progress`, if there is one.
///
/// # Safety
/// `progress` must be NULL or callable with `user` until this returns.
pub(super) unsafe fn monitored<R>(
    progress: vitrum_progress,
    user: *mut c_void,
    work: impl FnOnce(&Monitor<'_>) -> Result<R>,
) -> Result<R> {
    let Some(progress) = progress else { return work(&Monitor::none()) };
    let caller = Caller { progress, user };
    work(&Monitor::new(&|fraction| caller.report(fraction)))
}

#[cfg(test)]
mod tests {
    use core::ptr;

    use super::*;
    use crate::ErrorCode;

    /// Keeps the fraction and stops at the half.
    unsafe extern "C" fn stop_at_half(seen: *mut c_void, fraction: f32) -> i32 {
        // SAFETY: the test passes an `f32`.
        unsafe { seen.cast::<f32>().write(fraction) };
        if fraction < 0.5 { 0 } else { -3 }
    }

    #[test]
    fn any_answer_but_zero_stops_the_work() {
        let mut seen = 0.0_f32;
        let mut steps = 0;
        let work = |monitor: &Monitor<'_>| {
            for step in 0..8 {
                monitor.report(step, 8)?;
                steps += 1;
            }
            Ok(())
        };
        // SAFETY: `seen` lives longer.
        let stopped = unsafe { monitored(Some(stop_at_half), (&raw mut seen).cast(), work) };
        assert_eq!(stopped.unwrap_err().code(), ErrorCode::Cancelled);
        assert_eq!((seen, steps), (0.5, 4));
        // SAFETY: NULL is allowed.
        unsafe { monitored(None, ptr::null_mut(), |monitor| monitor.report(1, 1)) }.unwrap();
    }
}
