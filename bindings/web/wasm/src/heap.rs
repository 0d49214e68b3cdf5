//! The module's memory: the allocator that the standard library has on this target, behind a lock of its own.
//!
//! # Soundness
//!
//! The allocator is reached under the lock only. Without other threads the lock is always free, so that nothing waits where the
//! memory is not shared, which WebAssembly refuses.

use core::alloc::Layout;
use core::arch::wasm32::{memory_atomic_notify, memory_atomic_wait32};
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

use dlmalloc::Dlmalloc;

pub(crate) struct Heap {
    /// 0: free; 1: held; 2: held, and others may wait for it.
    lock: AtomicU32,
    inner: UnsafeCell<Dlmalloc>,
}

// SAFETY: `inner` is reached under the lock only.
unsafe impl Sync for Heap {}

impl Heap {
    pub(crate) const fn new() -> Self {
        Self { lock: AtomicU32::new(0), inner: UnsafeCell::new(Dlmalloc::new()) }
    }

    /// Memory for `layout`, whose size is not 0, or NULL.
    pub(crate) fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() == 0 {
            return ptr::null_mut();
        }
        let _locked = self.lock();
        // SAFETY: the lock is held; a size that is not 0, and an alignment, which is a power of two.
        unsafe { (*self.inner.get()).malloc(layout.size(), layout.align()) }
    }

    /// # Safety
    /// `alloc` returned `block` for this layout, and it is freed once.
    pub(crate) unsafe fn free(&self, block: *mut u8, layout: Layout) {
        let _locked = self.lock();
        // SAFETY: the lock is held; the rest is the caller's promise.
        unsafe { (*self.inner.get()).free(block, layout.size(), layout.align()) }
    }

    fn lock(&self) -> Locked<'_> {
        if self.lock.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            while self.lock.swap(2, Ordering::Acquire) != 0 {
                // SAFETY: an aligned address of the memory, which is shared: there is another thread.
                unsafe { memory_atomic_wait32(self.lock.as_ptr().cast(), 2, -1) };
            }
        }
        Locked(self)
    }
}

struct Locked<'a>(&'a Heap);

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        if self.0.lock.swap(0, Ordering::Release) == 2 {
            // SAFETY: an aligned address of the memory.
            unsafe { memory_atomic_notify(self.0.lock.as_ptr().cast(), 1) };
        }
    }
}
