//! Large memory on large pages.
//!
//! # Soundness
//!
//! The advice concerns whole pages inside memory that is borrowed for the call, and changes no byte.
//!
//! Tests: `scratch::slices_are_disjoint_and_aligned`.

use core::mem::MaybeUninit;

/// Asks for pages of 2 MB, before the first use of `memory`: a product that streams weights touches a page of 4 KB every
/// few hundred cycles, and each costs a walk through the page tables. It is a hint, and small memory goes without.
pub(super) fn prefer_huge<T>(memory: &mut [MaybeUninit<T>]) {
    #[cfg(all(feature = "std", target_os = "linux"))]
    {
        use core::ffi::{c_int, c_void};

        // SAFETY: as `madvise(2)` declares it.
        unsafe extern "C" {
            fn madvise(start: *mut c_void, len: usize, advice: c_int) -> c_int;
        }
        const MADV_HUGEPAGE: c_int = 14;
        const HUGE: usize = 2 << 20;
        let range = memory.as_mut_ptr_range();
        let start = (range.start as usize).next_multiple_of(HUGE);
        let len = (range.end as usize).saturating_sub(start) / HUGE * HUGE;
        if len > 0 {
            let first = range.start.wrapping_byte_add(start - range.start as usize);
            // SAFETY: whole pages inside memory that is borrowed here; the advice changes nothing that a program sees, and
            // a system without such pages returns an error, which changes nothing either.
            unsafe { madvise(first.cast(), len, MADV_HUGEPAGE) };
        }
    }
    let _ = memory;
}
