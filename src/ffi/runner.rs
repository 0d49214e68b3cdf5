//! `vitrum_parallel_for`: the host's threads.

use core::ffi::c_void;

use super::args::Nullable;
use super::guard::PanicSlot;
use crate::exec::Runner;

/// Most threads that a host may announce, as many as a context of its own may have.
pub(super) const MAX_THREADS: usize = 1024;

/// A piece of work that the library hands to a `vitrum_parallel_for`.
pub type vitrum_work = Option<unsafe extern "C" fn(data: *mut c_void, index: usize)>;

/// A host's way to run work on its own threads: calls `work(data, index)` for every index below `count`, each
/// once, on any threads and in any order, and returns when all have returned.
///
/// It is called often, and by every thread that uses the context's models, so also by several at the same time. Work
/// that it does not call is done on the calling thread. It must not unwind, nor return while `work` is running. Apple's
/// `dispatch_apply_f(count, queue, data, work)` is of this form.
pub type vitrum_parallel_for = Option<
    unsafe extern "C" fn(user: Nullable<*mut c_void>, count: usize, data: *mut c_void, work: vitrum_work),
>;

/// A [`Runner`] over a [`vitrum_parallel_for`].
pub(super) struct HostRunner {
    parallel_for: unsafe extern "C" fn(*mut c_void, usize, *mut c_void, vitrum_work),
    user: *mut c_void,
    threads: usize,
}

// SAFETY: the host promises that `parallel_for` may be called with `user` from any thread, several at once.
unsafe impl Send for HostRunner {}
// SAFETY: as above.
unsafe impl Sync for HostRunner {}

impl HostRunner {
    pub(super) fn new(
        parallel_for: unsafe extern "C" fn(*mut c_void, usize, *mut c_void, vitrum_work),
        user: *mut c_void,
        threads: usize,
    ) -> Self {
        Self { parallel_for, user, threads }
    }
}

/// One call of [`Runner::run`].
struct Job<'a> {
    lane: &'a (dyn Fn(usize) + Sync),
    panic: PanicSlot,
}

/// A lane, as the host calls it.
///
/// # Safety
/// `data` is what [`HostRunner::run`] passed on, which has not returned.
unsafe extern "C" fn run_lane(data: *mut c_void, index: usize) {
    // SAFETY: `data` is the `Job` of `HostRunner::run`, which waits for the host, which waits for this.
    let Job { lane, panic } = unsafe { &*data.cast::<Job<'_>>() };
    panic.keep(|| lane(index));
}

impl Runner for HostRunner {
    fn threads(&self) -> usize {
        self.threads
    }

    fn run(&self, lanes: usize, lane: &(dyn Fn(usize) + Sync)) {
        let job = Job { lane, panic: PanicSlot::new() };
        // SAFETY: the host promises a callback of this type that returns only after the work has; `job` is
        // `Sync` in all that `run_lane` uses and outlives the call.
        unsafe { (self.parallel_for)(self.user, lanes, (&raw const job).cast_mut().cast(), Some(run_lane)) };
        job.panic.resume();
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use alloc::sync::Arc;
    use alloc::vec::Vec;
    use core::ptr;
    use core::sync::atomic::{AtomicUsize, Ordering};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::exec::Cx;
    use crate::simd::Level;

    unsafe extern "C" fn threaded(_: *mut c_void, count: usize, data: *mut c_void, work: vitrum_work) {
        let data = data as usize;
        std::thread::scope(|scope| {
            for index in 0..count {
                // SAFETY: as the library asks: each index once, and this function waits for all.
                scope.spawn(move || unsafe { work.unwrap()(data as *mut c_void, index) });
            }
        });
    }

    /// Calls index 0 twice and the last one not at all.
    unsafe extern "C" fn careless(_: *mut c_void, count: usize, data: *mut c_void, work: vitrum_work) {
        for index in (0..count - 1).chain([0]).take(count.min(3)) {
            // SAFETY: `data` belongs to `work`.
            unsafe { work.unwrap()(data, index) };
        }
    }

    unsafe extern "C" fn idle(_: *mut c_void, _: usize, _: *mut c_void, _: vitrum_work) {}

    #[test]
    fn every_task_is_done_once_whatever_the_host_does() {
        for host in [threaded, careless, idle] as [unsafe extern "C" fn(_, _, _, _); 3] {
            let cx = Cx::with_runner(Level::detect(), Arc::new(HostRunner::new(host, ptr::null_mut(), 5)));
            let runs: Vec<AtomicUsize> = (0..50).map(|_| AtomicUsize::new(0)).collect();
            cx.parallel_for(50, |_, task| {
                runs[task].fetch_add(1, Ordering::Relaxed);
            });
            assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1));
        }
    }

    #[test]
    fn a_panic_passes_around_the_host() {
        let runner = HostRunner::new(threaded, ptr::null_mut(), 3);
        let result = catch_unwind(AssertUnwindSafe(|| runner.run(3, &|lane| assert!(lane != 1, "lane one"))));
        let payload = result.unwrap_err();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"lane one"));
    }
}
