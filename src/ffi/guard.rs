//! The guard that every entry goes through: no panic crosses into C.
//!
//! With `std`, a panic unwinds to the guard and becomes `VITRUM_E_PANIC`. Without, there is no unwinding and the
//! panic handler ends the program.

use super::allocator;
use super::error::{Report, vitrum_error};
use super::status::{VITRUM_E_OUT_OF_MEMORY, VITRUM_OK, status_of, vitrum_status};
use crate::error::Result;
use crate::exec::FloatEnv;

/// Runs the body of an exported function, reports to `error` and returns the status.
///
/// # Safety
/// `error` must be NULL or point to a `vitrum_error` that nobody else uses.
pub(super) unsafe fn guard(error: *mut vitrum_error, body: impl FnOnce() -> Result<()>) -> vitrum_status {
    // SAFETY: the caller's promise.
    let report = match unsafe { Report::new(error) } {
        Ok(report) => report,
        Err(status) => return status,
    };
    if !allocator::is_ready() {
        return report.write(VITRUM_E_OUT_OF_MEMORY, "no allocator: call vitrum_allocator_set first");
    }
    let _env = FloatEnv::enter();
    match catch(body) {
        Ok(()) => report.write(VITRUM_OK, ""),
        Err(error) => report.write(status_of(error.code()), error.message()),
    }
}

/// Runs the body of an exported function that cannot fail: `fallback` if there is a bug in it.
pub(super) fn guard_value<R>(fallback: R, body: impl FnOnce() -> R) -> R {
    catch(|| Ok(body())).unwrap_or(fallback)
}

#[cfg(feature = "std")]
pub(super) use unwinding::{PanicSlot, catch};

#[cfg(not(feature = "std"))]
pub(super) use aborting::{PanicSlot, catch};

#[cfg(feature = "std")]
mod unwinding {
    use alloc::boxed::Box;
    use alloc::string::String;
    use core::any::Any;
    use core::cell::Cell;
    use std::panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind};
    use std::sync::{Mutex, OnceLock, PoisonError};
    use std::thread;

    use crate::error::{Result, err};

    std::thread_local! {
        /// Whether panics of this thread are caught here.
        static CATCHES: Cell<bool> = const { Cell::new(false) };
    }

    type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

    /// Keeps panics that are caught here off standard error, which is the host's: they are told by `vitrum_error`. All others
    /// are told as before.
    fn be_quiet() {
        // Not what the closure captures: so that it takes no memory, which would never be given back.
        static BEFORE: OnceLock<Hook> = OnceLock::new();
        if thread::panicking() {
            return; // The hook cannot be set now.
        }
        BEFORE.get_or_init(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(|info| {
                #[cfg(feature = "parallel")]
                let is_worker = crate::exec::is_worker();
                #[cfg(not(feature = "parallel"))]
                let is_worker = false;
                if let Some(before) = BEFORE.get()
                    && !is_worker
                    && !CATCHES.get()
                {
                    before(info);
                }
            }));
            before
        });
    }

    /// Calls `body`; what it panics with is told nowhere else.
    fn caught<R>(body: impl FnOnce() -> R) -> thread::Result<R> {
        be_quiet();
        let outer = CATCHES.replace(true);
        let result = catch_unwind(AssertUnwindSafe(body));
        CATCHES.set(outer);
        result
    }

    /// Runs `body`; a panic in it becomes an error.
    ///
    /// That a broken invariant is seen afterwards is ruled out by what handles are: models do not change, trackers
    /// change only once a call has succeeded, and scratch memory holds no state between calls.
    pub(in crate::ffi) fn catch<R>(body: impl FnOnce() -> Result<R>) -> Result<R> {
        caught(body).unwrap_or_else(|payload| {
            let message = payload.downcast_ref::<&str>().copied();
            let message = message.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
            Err(err!(Panic, "internal error: {}", message.unwrap_or("no message")))
        })
    }

    /// Carries a panic over C frames: from callbacks that C calls, to the function that called C.
    pub(in crate::ffi) struct PanicSlot(Mutex<Option<Box<dyn Any + Send>>>);

    impl PanicSlot {
        pub(in crate::ffi) fn new() -> Self {
            Self(Mutex::new(None))
        }

        /// Runs `callback`, keeping the first panic.
        pub(in crate::ffi) fn keep(&self, callback: impl FnOnce()) {
            if let Err(payload) = caught(callback) {
                self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(payload);
            }
        }

        /// Goes on with the panic that was kept, if any.
        pub(in crate::ffi) fn resume(self) {
            if let Some(payload) = self.0.into_inner().unwrap_or_else(PoisonError::into_inner) {
                resume_unwind(payload);
            }
        }
    }
}

#[cfg(not(feature = "std"))]
mod aborting {
    use crate::error::Result;

    pub(in crate::ffi) fn catch<R>(body: impl FnOnce() -> Result<R>) -> Result<R> {
        body()
    }

    pub(in crate::ffi) struct PanicSlot;

    impl PanicSlot {
        pub(in crate::ffi) fn new() -> Self {
            Self
        }

        pub(in crate::ffi) fn keep(&self, callback: impl FnOnce()) {
            callback();
        }

        pub(in crate::ffi) fn resume(self) {}
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use core::ptr;

    use super::*;
    use crate::ffi::error::vitrum_error_init;
    use crate::ffi::status::{VITRUM_E_PANIC, VITRUM_OK};

    fn message_of(error: &vitrum_error) -> &str {
        let bytes = bytemuck::cast_slice::<_, u8>(&error.message);
        core::ffi::CStr::from_bytes_until_nul(bytes).unwrap().to_str().unwrap()
    }

    #[test]
    fn a_panic_becomes_a_status_and_a_message() {
        let mut error = vitrum_error { struct_size: 0, code: 0, message: [0; 512] };
        // SAFETY: `error` is a whole struct and used by nobody else.
        let (init, panicked) = unsafe {
            (
                vitrum_error_init(&mut error, size_of::<vitrum_error>()),
                guard(&mut error, || panic!("tile {} is broken", 7)),
            )
        };
        assert_eq!((init, panicked, error.code), (VITRUM_OK, VITRUM_E_PANIC, VITRUM_E_PANIC));
        assert_eq!(message_of(&error), "internal error: tile 7 is broken");

        // SAFETY: as above.
        assert_eq!(unsafe { guard(&mut error, || Ok(())) }, VITRUM_OK);
        assert_eq!((error.code, message_of(&error)), (VITRUM_OK, ""));
    }

    #[test]
    #[ignore = "for the test below, which reads what it writes"]
    fn panics() {
        let broken = || panic!("tile 8 is broken");
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { guard(ptr::null_mut(), broken) }, VITRUM_E_PANIC);
        std::panic::catch_unwind(|| panic!("the host is broken")).unwrap_err();
    }

    #[test]
    fn only_panics_that_are_not_caught_here_are_written_to_standard_error() {
        let this = std::env::current_exe().unwrap();
        let test = ["--exact", "ffi::guard::tests::panics", "--ignored", "--nocapture"];
        let output = std::process::Command::new(this).args(test).output().unwrap();
        let written = std::string::String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{written}");
        assert!(written.contains("the host is broken") && !written.contains("tile 8"), "{written}");
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let mut error = vitrum_error { struct_size: 0, code: 0, message: [0; 512] };
        let long = "ä".repeat(400);
        // SAFETY: as above.
        unsafe {
            vitrum_error_init(&mut error, size_of::<vitrum_error>());
            guard(&mut error, || Err(crate::error::err!(Format, "{long}")));
        }
        assert_eq!(message_of(&error), "ä".repeat(255));
    }

    #[test]
    fn values_fall_back() {
        assert_eq!(guard_value(0, || 5), 5);
        assert_eq!(guard_value(0, || panic!("broken")), 0);
    }

    #[test]
    fn a_null_error_is_allowed() {
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { guard(ptr::null_mut(), || panic!("broken")) }, VITRUM_E_PANIC);
    }
}
