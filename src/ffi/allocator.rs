//! `vitrum_allocator_set`, and the allocator of a C library: the host's functions or the system's, and a reserve for small
//! allocations when these have no memory left.
//!
//! A C library without `std` needs an allocator of its own. One with `std` has it with the feature `heap`, which is not for
//! Rust programs: there is one global allocator in each, and it is the program's to choose.
//!
//! # Soundness
//!
//! The functions change only while no block is allocated, so that each block goes back to where it came from. Whoever calls
//! `vitrum_allocator_set` promises that no other call runs.
//!
//! Tests: `c_abi::the_host_allocates_if_it_wants_to`.

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

/// Sets the functions with which the library allocates its memory, instead of the C library's `malloc`. They must be set
/// before any other call that takes a `vitrum_error`. `alloc` and `dealloc` both NULL take the functions away again. `user`,
/// which may be NULL, is passed to them. No other call may run at the same time.
///
/// A library that was built without an operating system (Rust's `std`) has no memory before this call. In any other, threads
/// keep some blocks as long as they live: the functions must be callable until the process ends. What comes from elsewhere:
/// stacks of threads, memory maps, what the operating system's own functions allocate, and 1 MiB that is part of the
/// library (64 KiB without an operating system), from which small allocations are answered when `alloc` returns NULL, so
/// that calls end with `VITRUM_E_OUT_OF_MEMORY` and not with the process.
///
/// Errors: `VITRUM_E_INVALID_ARGUMENT` if only one function is given, or while anything is allocated;
/// `VITRUM_E_UNSUPPORTED` in a library that is part of a Rust program, which allocates for it.
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

#[cfg(all(feature = "std", not(feature = "heap")))]
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
        Err((VITRUM_E_UNSUPPORTED, "this library is part of a Rust program, which allocates for it"))
    }
}

#[cfg(any(not(feature = "std"), feature = "heap"))]
mod heap {
    use core::alloc::{GlobalAlloc, Layout};
    use core::cell::UnsafeCell;
    use core::ptr;
    use core::sync::atomic::{AtomicUsize, Ordering};
    #[cfg(feature = "std")]
    use std::alloc::System;

    use super::*;
    use crate::exec::WithReserve;

    struct Hooks {
        alloc: vitrum_alloc,
        dealloc: vitrum_dealloc,
        user: *mut c_void,
    }

    /// The host's heap, or the system's. `hooks` changes only while no block is allocated and no call is running.
    struct HostHeap {
        hooks: UnsafeCell<Hooks>,
        blocks: AtomicUsize,
    }

    // SAFETY: `set` requires that nobody reads the hooks meanwhile, and the host's functions serve any thread.
    unsafe impl Sync for HostHeap {}

    // Without `std`, as the panic handler: only where no test harness brings its own.
    #[cfg_attr(any(feature = "heap", panic = "abort"), global_allocator)]
    static HEAP: WithReserve<HostHeap> = WithReserve(HostHeap {
        hooks: UnsafeCell::new(Hooks { alloc: None, dealloc: None, user: ptr::null_mut() }),
        blocks: AtomicUsize::new(0),
    });

    impl HostHeap {
        fn hooks(&self) -> &Hooks {
            // SAFETY: written only by `set`, during which no other call runs.
            unsafe { &*self.hooks.get() }
        }

        /// Counts `block`, unless it is NULL.
        fn counted(&self, block: *mut u8) -> *mut u8 {
            if !block.is_null() {
                self.blocks.fetch_add(1, Ordering::Relaxed);
            }
            block
        }
    }

    // SAFETY: blocks are the host's, who promises size and alignment, or the system's; nothing here unwinds. Hooks do not change
    // while there is a block.
    unsafe impl GlobalAlloc for HostHeap {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            let hooks = self.hooks();
            self.counted(match hooks.alloc {
                // SAFETY: the host promised a function of this type.
                Some(alloc) => unsafe { alloc(hooks.user, layout.size(), layout.align()) }.cast(),
                // SAFETY: the caller's promise is passed on.
                None => unsafe { System.alloc(layout) },
            })
        }

        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            if self.hooks().alloc.is_none() {
                // SAFETY: the caller's promise is passed on.
                return self.counted(unsafe { System.alloc_zeroed(layout) });
            }
            // SAFETY: the caller's promise is passed on.
            let block = unsafe { self.alloc(layout) };
            if !block.is_null() {
                // SAFETY: it has this size.
                unsafe { block.write_bytes(0, layout.size()) };
            }
            block
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            let hooks = self.hooks();
            match hooks.dealloc {
                // SAFETY: `block` came from the `alloc` that was set with this function, with the same layout.
                Some(dealloc) => unsafe {
                    dealloc(hooks.user, block.cast(), layout.size(), layout.align());
                },
                // SAFETY: without hooks it came from the system.
                None => unsafe { System.dealloc(block, layout) },
            }
            self.blocks.fetch_sub(1, Ordering::Relaxed);
        }

        unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            if self.hooks().alloc.is_none() {
                // SAFETY: the caller's promise is passed on; without hooks the block is the system's.
                return unsafe { System.realloc(block, layout, size) };
            }
            // SAFETY: the caller promises that `size`, rounded up to the alignment, is a size, and not 0.
            let moved = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
            if !moved.is_null() {
                // SAFETY: both have at least so many bytes and do not overlap. The old block is freed once.
                unsafe {
                    ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                    self.dealloc(block, layout);
                }
            }
            moved
        }
    }

    /// Where memory comes from without hooks: nowhere.
    #[cfg(not(feature = "std"))]
    struct System;

    // SAFETY: there are no blocks.
    #[cfg(not(feature = "std"))]
    unsafe impl GlobalAlloc for System {
        unsafe fn alloc(&self, _: Layout) -> *mut u8 {
            ptr::null_mut()
        }

        unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
    }

    pub(in crate::ffi) fn is_ready() -> bool {
        cfg!(feature = "std") || HEAP.0.hooks().alloc.is_some()
    }

    pub(super) fn set(
        alloc: vitrum_alloc,
        dealloc: vitrum_dealloc,
        user: *mut c_void,
    ) -> Result<(), (vitrum_status, &'static str)> {
        if HEAP.0.blocks.load(Ordering::Relaxed) != 0 {
            return Err((VITRUM_E_INVALID_ARGUMENT, "memory is allocated already: set the functions first"));
        }
        // SAFETY: nothing is allocated, and the caller of `vitrum_allocator_set` promises that no call is running.
        unsafe { *HEAP.0.hooks.get() = Hooks { alloc, dealloc, user } };
        Ok(())
    }
}
