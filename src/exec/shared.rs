//! A slice that several lanes write at disjoint places.
//!
//! # Soundness
//!
//! Nothing safe here touches an element. Ranges are checked against the length; that no two lanes have the same
//! elements is the promise of who calls [`SharedMut::range`], and each such call names why.
//!
//! Tests: `pool::teams_run_every_lane_once`, `len::kernels_refuse_outputs_whose_length_wraps`.

use core::marker::PhantomData;
use core::ops::Range;

/// A mutable slice shared by the lanes of a `parallel_for`, each of which writes other elements.
#[derive(Clone, Copy)]
pub struct SharedMut<'a, T> {
    ptr: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: access goes through `range` and `as_ptr`, whose callers promise disjointness.
unsafe impl<T: Send> Send for SharedMut<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SharedMut<'_, T> {}

impl<'a, T> SharedMut<'a, T> {
    /// Shares `slice`.
    pub fn new(slice: &'a mut [T]) -> Self {
        Self { ptr: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

    /// The elements in `range`.
    ///
    /// # Safety
    /// While the result lives, no other reference to these elements is used.
    ///
    /// # Panics
    /// If the range is out of bounds.
    #[allow(clippy::mut_from_ref, reason = "disjointness is the caller's promise")]
    pub unsafe fn range(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: in bounds by the assertion, unaliased by the caller's promise.
        unsafe { core::slice::from_raw_parts_mut(self.ptr.add(range.start), range.len()) }
    }

    /// The first element's address, valid for [`len`](Self::len) elements.
    pub fn as_ptr(&self) -> *mut T {
        self.ptr
    }

    /// Elements in the slice.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the slice is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}
