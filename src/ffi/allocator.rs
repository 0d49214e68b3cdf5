//! `vitrum_allocator_set`: where a library without the standard library gets its memory.
//!
//! With `std` memory comes from the C library's `malloc`, which a process can replace as a whole. A hook in the
//! middle of a running `std` could not tell whose blocks it is asked to free, so there is none.

use core::ffi::c_void;

use super::args::Nullable;
use super::error::{Report, vitrum_error};
use super::status::{VITRUM_E_INVALID_ARGUMENT, VITRUM_OK, vitrum_status};

/// Allocates `size` bytes, not 0, at a multiple of `alignment`, a power of two, or returns NULL. Any thread.
pub type vitrum_alloc = Option<
    unsafe extern "C" fn(user: Nullable<*mut c_void>, size: usize, alignment: usize) -> Nullable<*mut c_void>,
>;

/// Frees a block that the `vitrum_alloc` set with it returned for this `size` and `alignment`. Any thread.
pub type vitrum_dealloc = Option<
    unsafe extern "C" fn(user: Nullable<*mut c_void>, block: *mut c_void, size: usize, alignment: usize),
>;

/// Sets the functions with which the library allocates all of its memory. Only for a library that was built without an
/// operating system (Rust's `std`), which needs them before any other call that takes a `vitrum_error`. `alloc` and
/// `dealloc` both NULL take the functions away again. `user`, which may be NULL, is passed to them. No other call may run
/// at the same time.
///
/// Errors: `VITRUM_E_UNSUPPORTED` in a library with an operating system, which uses the C library's `malloc`;
/// `VITRUM_E_INVALID_ARGUMENT` if only one function is given, or while anything is allocated: free all handles
/// first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_allocator_set(
    alloc: Nullable<vitrum_alloc>,
    dealloc: Nullable<vitrum_dealloc>,
    user: Nullable<*mut c_void>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller passes NULL or an error of its own.
    let report = match unsafe { Report::new(error) } {
        Ok(report) => report,
        Err(status) => return status,
    };
    if alloc.is_some() != dealloc.is_some() {
        return report.write(VITRUM_E_INVALID_ARGUMENT, "alloc and dealloc: set both or neither");
    }
    match heap::set(alloc, dealloc, user) {
        Ok(()) => report.write(VITRUM_OK, ""),
        Err((status, message)) => report.write(status, message),
    }
}

/// Whether memory can be allocated at all.
pub(super) use heap::is_ready;

#[cfg(feature = "std")]
mod heap {
    use super::*;
    use crate::ffi::status::VITRUM_E_UNSUPPORTED;

    pub(in crate::ffi) fn is_ready() -> bool {
        true
    }

    pub(super) fn set(
        _: vitrum_alloc,
        _: vitrum_dealloc,
        _: *mut c_void,
    ) -> Result<(), (vitrum_status, &'static str)> {
        Err((VITRUM_E_UNSUPPORTED, "this library allocates by the C library's malloc"))
    }
}

#[cfg(not(feature = "std"))]
mod heap {
    use core::alloc::{GlobalAlloc, Layout};
    use core::cell::UnsafeCell;
    use core::ptr;
    use core::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct Hooks {
        alloc: vitrum_alloc,
        dealloc: vitrum_dealloc,
        user: *mut c_void,
    }

    /// The host's heap. `hooks` changes only while no block is allocated and no call is running.
    struct HostHeap {
        hooks: UnsafeCell<Hooks>,
        blocks: AtomicUsize,
    }

    // SAFETY: `set` requires that nobody reads the hooks meanwhile, and the host's functions serve any thread.
    unsafe impl Sync for HostHeap {}

    // As the panic handler: only where no test harness brings its own.
    #[cfg_attr(panic = "abort", global_allocator)]
    static HEAP: HostHeap = HostHeap {
        hooks: UnsafeCell::new(Hooks { alloc: None, dealloc: None, user: ptr::null_mut() }),
        blocks: AtomicUsize::new(0),
    };

    impl HostHeap {
        fn hooks(&self) -> &Hooks {
            // SAFETY: written only by `set`, during which no other call runs.
            unsafe { &*self.hooks.get() }
        }
    }

    // SAFETY: blocks are the host's, who promises size and alignment; nothing here unwinds.
    unsafe impl GlobalAlloc for HostHeap {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            let hooks = self.hooks();
            let Some(alloc) = hooks.alloc else { return ptr::null_mut() };
            // SAFETY: the host promised a function of this type.
            let block = unsafe { alloc(hooks.user, layout.size(), layout.align()) };
            if !block.is_null() {
                self.blocks.fetch_add(1, Ordering::Relaxed);
            }
            block.cast()
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            let hooks = self.hooks();
            if let Some(dealloc) = hooks.dealloc {
                // SAFETY: `block` came from the `alloc` that was set with this function, with the same layout.
                unsafe { dealloc(hooks.user, block.cast(), layout.size(), layout.align()) };
                self.blocks.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    pub(in crate::ffi) fn is_ready() -> bool {
        HEAP.hooks().alloc.is_some()
    }

    pub(super) fn set(
        alloc: vitrum_alloc,
        dealloc: vitrum_dealloc,
        user: *mut c_void,
    ) -> Result<(), (vitrum_status, &'static str)> {
        if HEAP.blocks.load(Ordering::Relaxed) != 0 {
            return Err((VITRUM_E_INVALID_ARGUMENT, "memory is still allocated: free all handles first"));
        }
        // SAFETY: nothing is allocated, and the caller of `vitrum_allocator_set` promises that no call is running.
        unsafe { *HEAP.hooks.get() = Hooks { alloc, dealloc, user } };
        Ok(())
    }
}
