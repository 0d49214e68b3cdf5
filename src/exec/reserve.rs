//! A reserve of memory for when the system has none.
//!
//! What may be large is allocated fallibly: its failure is `OutOfMemory`. What is small — a message, a name, a node of a
//! map — is allocated as everywhere in Rust, where a failure ends the process. [`WithReserve`] answers these from memory that the
//! program has from its start. A call that runs short of memory so lives to its next large allocation or
//! [`check`], returns its error, and gives the reserve back with everything that it frees.
//!
//! # Soundness
//!
//! A run of blocks of the reserve has one owner: the bits of `taken` change under the lock only, and what a forked process finds
//! half changed are blocks that nobody has. Which allocator a block is from shows from its address, as the reserve is a
//! static. Blocks are aligned to their size, and larger alignments refused.
//!
//! Tests: `reserve::the_reserve_serves_small_blocks_and_has_them_back`, `c_abi::calls_survive_that_there_is_no_memory`.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::fork_lock::ForkLock;
use crate::error::{Error, ErrorCode, Result};

/// Bytes of a block, and its alignment: two cache lines, on which queues of threads lie.
const BLOCK: usize = 128;
/// Blocks of the reserve: 1 MiB, of which a system with virtual memory provides what is used; less where memory is real.
const BLOCKS: usize = if cfg!(feature = "std") { 1 << 13 } else { 1 << 9 };
/// Bytes of an allocation that the reserve answers at most. Whatever can be larger has to be allocated fallibly.
pub(crate) const MAX_SMALL: usize = BLOCKS * BLOCK / 8;
/// Bytes in use at which [`check`] fails. The rest is for what is allocated from one check to the next.
const LOW: usize = BLOCKS * BLOCK / 4;

/// A global allocator: another one, and a reserve for small allocations that this one refuses.
///
/// With it, running out of memory is an error of the call and does not end the process. The C libraries have it; a Rust program installs it:
///
/// ```
/// use std::alloc::System;
///
/// #[global_allocator]
/// static ALLOCATOR: vitrum::exec::WithReserve<System> = vitrum::exec::WithReserve(System);
/// ```
///
/// The reserve is one for all allocators of a program. It serves small allocations of other code, too.
#[derive(Clone, Copy, Debug, Default)]
pub struct WithReserve<A>(pub A);

// SAFETY: a block is either the inner allocator's, with its promises, or a run of blocks of the reserve that nobody else has,
// aligned to `BLOCK` and large enough; which one it is shows from its address.
unsafe impl<A: GlobalAlloc> GlobalAlloc for WithReserve<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        let memory = unsafe { self.0.alloc(layout) };
        if memory.is_null() { RESERVE.take(layout) } else { memory }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        let memory = unsafe { self.0.alloc_zeroed(layout) };
        if !memory.is_null() {
            return memory;
        }
        let memory = RESERVE.take(layout);
        if !memory.is_null() {
            // SAFETY: `take` returned as many bytes.
            unsafe { memory.write_bytes(0, layout.size()) };
        }
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if RESERVE.owns(memory) {
            RESERVE.give_back(memory, layout.size());
        } else {
            // SAFETY: the caller's promise is passed on; the inner allocator returned `memory`.
            unsafe { self.0.dealloc(memory, layout) };
        }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if !RESERVE.owns(memory) {
            // SAFETY: the caller's promise is passed on; the inner allocator returned `memory`.
            let moved = unsafe { self.0.realloc(memory, layout, new_size) };
            if !moved.is_null() {
                return moved;
            }
        }
        // SAFETY: the caller promises that `new_size`, rounded up to the alignment, is a size.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: `new_size` is not 0, as the caller promises.
        let moved = unsafe { self.alloc(new_layout) };
        if !moved.is_null() {
            // SAFETY: both have at least so many bytes, and a new block overlaps no other. The old one is freed once.
            unsafe {
                ptr::copy_nonoverlapping(memory, moved, layout.size().min(new_size));
                self.dealloc(memory, layout);
            }
        }
        moved
    }
}

/// Fails while much of the reserve is in use: memory has run out, and the call is to end.
///
/// Loops of many small allocations ask in every round.
///
/// # Errors
/// `OutOfMemory`.
pub(crate) fn check() -> Result<()> {
    if RESERVE.used.load(Ordering::Relaxed) < LOW { Ok(()) } else { Err(out_of_memory()) }
}

/// An error that takes next to no memory itself.
pub(crate) fn out_of_memory() -> Error {
    Error::new(ErrorCode::OutOfMemory, "out of memory")
}

static RESERVE: Reserve = Reserve {
    memory: Memory(UnsafeCell::new([0; BLOCKS * BLOCK])),
    taken: UnsafeCell::new([0; BLOCKS / WORD]),
    lock: ForkLock::new(),
    used: AtomicUsize::new(0),
};

const WORD: usize = u64::BITS as usize;

#[repr(C, align(128))]
struct Memory(UnsafeCell<[u8; BLOCKS * BLOCK]>);

struct Reserve {
    memory: Memory,
    /// A bit for each block that is in use. Behind the lock.
    taken: UnsafeCell<[u64; BLOCKS / WORD]>,
    lock: ForkLock,
    /// Bytes in use.
    used: AtomicUsize,
}

// SAFETY: `taken` is reached under the lock only, `memory` by whoever was given a part of it.
unsafe impl Sync for Reserve {}

impl Reserve {
    fn owns(&self, memory: *const u8) -> bool {
        (memory as usize).wrapping_sub(self.memory.0.get() as usize) < BLOCKS * BLOCK
    }

    /// Memory for `layout`, or NULL.
    fn take(&self, layout: Layout) -> *mut u8 {
        if layout.size() > MAX_SMALL || layout.align() > BLOCK {
            return ptr::null_mut();
        }
        let count = layout.size().div_ceil(BLOCK);
        let _locked = self.lock.lock();
        // SAFETY: the lock is held. What a parent process left unfinished are blocks that stay taken.
        let taken = unsafe { &mut *self.taken.get() };
        let mut run = 0;
        for block in 0..BLOCKS {
            run = if taken[block / WORD] >> (block % WORD) & 1 == 0 { run + 1 } else { 0 };
            if run == count {
                let first = block + 1 - count;
                (first..=block).for_each(|block| taken[block / WORD] |= 1 << (block % WORD));
                self.used.fetch_add(count * BLOCK, Ordering::Relaxed);
                return self.memory.0.get().cast::<u8>().wrapping_add(first * BLOCK);
            }
        }
        ptr::null_mut()
    }

    /// Frees what [`take`](Self::take) returned for `size` bytes.
    fn give_back(&self, memory: *mut u8, size: usize) {
        let first = (memory as usize - self.memory.0.get() as usize) / BLOCK;
        let count = size.div_ceil(BLOCK);
        let _locked = self.lock.lock();
        // SAFETY: the lock is held.
        let taken = unsafe { &mut *self.taken.get() };
        (first..first + count).for_each(|block| taken[block / WORD] &= !(1 << (block % WORD)));
        self.used.fetch_sub(count * BLOCK, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// Has no memory.
    struct Empty;

    // SAFETY: returns no memory.
    unsafe impl GlobalAlloc for Empty {
        unsafe fn alloc(&self, _: Layout) -> *mut u8 {
            ptr::null_mut()
        }

        unsafe fn dealloc(&self, _: *mut u8, _: Layout) {
            unreachable!("nothing was allocated");
        }
    }

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 16).unwrap()
    }

    /// One test: the reserve is one for the process.
    #[test]
    fn the_reserve_serves_small_blocks_and_has_them_back() {
        let (heap, used) = (WithReserve(Empty), RESERVE.used.load(Ordering::Relaxed));
        // SAFETY: sizes are not 0; every block is used within its size and freed once, with its layout.
        unsafe {
            assert!(heap.alloc(layout(MAX_SMALL + 1)).is_null());
            assert!(heap.alloc(Layout::from_size_align(64, 256).unwrap()).is_null());

            let first = heap.alloc_zeroed(layout(200));
            assert_eq!(core::slice::from_raw_parts(first, 200), &[0; 200]);
            first.write_bytes(7, 200);
            let second = heap.alloc(layout(1));
            assert_eq!(second as usize - first as usize, 256);
            let moved = heap.realloc(first, layout(200), 1000);
            assert_eq!(core::slice::from_raw_parts(moved, 200), &[7; 200]);
            // The hole that it left is used again.
            assert_eq!(heap.alloc(layout(256)), first);
            heap.dealloc(first, layout(256));
            heap.dealloc(second, layout(1));
            heap.dealloc(moved, layout(1000));

            let mut all = Vec::new();
            loop {
                let block = heap.alloc(layout(MAX_SMALL));
                if block.is_null() {
                    break;
                }
                all.push(block);
            }
            assert_eq!(check().unwrap_err().code(), ErrorCode::OutOfMemory);
            all.into_iter().for_each(|block| heap.dealloc(block, layout(MAX_SMALL)));
        }
        check().unwrap();
        assert_eq!(RESERVE.used.load(Ordering::Relaxed), used);
    }
}
