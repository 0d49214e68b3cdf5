//! The threads of a context.
//!
//! Where threads are POSIX's, they are made without `std::thread`, which ends the process when it has no memory for a
//! thread's handle: it asks the system past the global allocator, and so past the [reserve](super::WithReserve).
//!
//! # Soundness
//!
//! What a thread runs is boxed, handed over as a pointer once, and owned by the thread from its first line on; if the thread
//! is not made, the box is taken back. A handle that is not joined leaves its thread alone, as `std`'s does.
//!
//! Tests: `pool::threads_end_before_drop_returns`, `worker::threads_run_once_with_their_names`.

use alloc::boxed::Box;

use crate::error::Result;

/// Bytes of a thread's stack. Models need less than 32 KiB of it in an optimised build; what is not touched takes no memory.
/// Without a size, the environment (`RUST_MIN_STACK`) would decide.
const STACK: usize = 2 << 20;

/// What the names of a context's threads begin with.
const NAME: &str = "vitrum-";

std::thread_local! {
    static IS_WORKER: core::cell::Cell<bool> = const { core::cell::Cell::new(false) };
}

/// Whether this is the thread of a context.
#[cfg_attr(not(feature = "capi"), allow(dead_code, reason = "C hosts do not hear of its panics"))]
pub(crate) fn is_worker() -> bool {
    IS_WORKER.get()
}

/// What a thread does.
type Work = Box<dyn FnOnce() + Send>;

/// Does the work of a thread. A panic has been passed on already to the call that it happened in.
fn run(work: Work) {
    IS_WORKER.set(true);
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
}

pub(super) use system::Worker;

#[cfg(unix)]
mod system {
    use core::ffi::c_void;
    use core::mem::MaybeUninit;
    use core::ptr;

    use super::*;
    use crate::error::err;

    /// A thread to be joined.
    pub(in crate::exec) struct Worker(libc::pthread_t);

    // SAFETY: the number of a thread may be used by any; where it is a pointer, nothing is read through it here.
    unsafe impl Send for Worker {}
    // SAFETY: as above.
    unsafe impl Sync for Worker {}

    /// What a new thread is handed.
    struct Start {
        index: usize,
        work: Work,
    }

    impl Worker {
        /// Starts thread `index`.
        ///
        /// # Errors
        /// `OutOfMemory` if the system refuses it.
        pub(in crate::exec) fn spawn(index: usize, work: impl FnOnce() + Send + 'static) -> Result<Self> {
            let start = Box::into_raw(Box::new(Start { index, work: Box::new(work) }));
            let (mut attributes, mut id) = (MaybeUninit::uninit(), MaybeUninit::uninit());
            // SAFETY: attributes are made before they are used and destroyed afterwards. `begin` owns `start` if the thread is made.
            let code = unsafe {
                match libc::pthread_attr_init(attributes.as_mut_ptr()) {
                    0 => {
                        // More than the least size and whole pages, so that it is not refused.
                        libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), STACK);
                        let code =
                            libc::pthread_create(id.as_mut_ptr(), attributes.as_ptr(), begin, start.cast());
                        libc::pthread_attr_destroy(attributes.as_mut_ptr());
                        code
                    }
                    code => code,
                }
            };
            if code != 0 {
                // SAFETY: it is from `Box::into_raw`, and no thread has it.
                drop(unsafe { Box::from_raw(start) });
                return Err(err!(OutOfMemory, "the system refuses a thread (error {code})"));
            }
            // SAFETY: `pthread_create` has written it.
            Ok(Self(unsafe { id.assume_init() }))
        }

        /// Waits for the end of the thread.
        pub(in crate::exec) fn join(self) {
            // SAFETY: the thread was made joinable, and `self` is the only one who may join it.
            unsafe { libc::pthread_join(self.0, ptr::null_mut()) };
        }
    }

    extern "C" fn begin(start: *mut c_void) -> *mut c_void {
        // SAFETY: `spawn` handed it over, once.
        let start = unsafe { Box::from_raw(start.cast::<Start>()) };
        set_name(start.index);
        super::run(start.work);
        ptr::null_mut()
    }

    /// Names this thread for debuggers. It is not known everywhere how.
    fn set_name(index: usize) {
        let mut name = [0; 16];
        let text = super::name_of(index, &mut name);
        #[cfg(any(target_os = "linux", target_os = "android"))]
        // SAFETY: `text` ends with NUL and has 16 bytes at most, as Linux wants it.
        unsafe {
            libc::pthread_setname_np(libc::pthread_self(), text)
        };
        #[cfg(target_vendor = "apple")]
        // SAFETY: `text` ends with NUL.
        unsafe {
            libc::pthread_setname_np(text)
        };
        let _ = text;
    }
}

/// `NAME` and `index` with a NUL behind them, in `out`.
#[cfg(unix)]
fn name_of(index: usize, out: &mut [u8; 16]) -> *const core::ffi::c_char {
    use std::io::Write;
    // The last byte stays NUL, whatever does not fit.
    let _ = write!(&mut out[..15], "{NAME}{index}");
    out.as_ptr().cast()
}

#[cfg(not(unix))]
mod system {
    use std::thread::{self, JoinHandle};

    use super::*;
    use crate::error::err;

    /// A thread to be joined.
    pub(in crate::exec) struct Worker(JoinHandle<()>);

    impl Worker {
        /// Starts thread `index`.
        ///
        /// # Errors
        /// `OutOfMemory` if the system refuses it.
        pub(in crate::exec) fn spawn(index: usize, work: impl FnOnce() + Send + 'static) -> Result<Self> {
            let thread = thread::Builder::new().name(alloc::format!("{NAME}{index}")).stack_size(STACK);
            let work: Work = Box::new(work);
            let handle = thread.spawn(move || super::run(work));
            handle.map(Self).map_err(|error| err!(OutOfMemory, "the system refuses a thread: {error}"))
        }

        /// Waits for the end of the thread.
        pub(in crate::exec) fn join(self) {
            let _ = self.0.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned;
    use alloc::vec::Vec;
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn threads_run_once_with_their_names() {
        let (sender, receiver) = mpsc::channel();
        let worker = Worker::spawn(12, move || {
            #[cfg(target_os = "linux")]
            let name = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
            #[cfg(not(target_os = "linux"))]
            let name = "vitrum-12";
            sender.send((name.trim().to_owned(), is_worker())).unwrap();
        });
        worker.unwrap().join();
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [("vitrum-12".to_owned(), true)]);
        assert!(!is_worker());
        // A panic ends the thread, not the process.
        Worker::spawn(0, || panic!("in a worker")).unwrap().join();
    }
}
