//! Scratch memory: one aligned buffer, handed out in slices that nest like stack frames.

use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

use crate::error::{Result, err};

/// A cache line of f32; the unit of scratch memory.
#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

const LINE: usize = 16;

/// What [`Scratch::take`] uses up for `len` f32: `len` rounded up to whole cache lines. Sizing functions add these.
pub const fn padded(len: usize) -> usize {
    len.next_multiple_of(LINE)
}

/// `len` zeros, or an error where the allocator would abort.
pub(crate) fn try_zeroed<T: Clone + Default>(len: usize) -> Result<Vec<T>> {
    let mut items = Vec::new();
    items
        .try_reserve_exact(len)
        .map_err(|_| err!(OutOfMemory, "no memory for {len} × {} bytes", size_of::<T>()))?;
    items.resize(len, T::default());
    Ok(items)
}

/// Owned f32, aligned to 64 bytes and padded to whole cache lines.
#[derive(Clone, Default)]
pub struct AlignedVec(Vec<Line>);

impl AlignedVec {
    /// `padded(len)` zeros.
    pub fn zeroed(len: usize) -> Self {
        let mut lines = Vec::with_capacity(len.div_ceil(LINE));
        super::pages::prefer_huge(lines.spare_capacity_mut());
        lines.resize(len.div_ceil(LINE), bytemuck::Zeroable::zeroed());
        Self(lines)
    }
}

impl Deref for AlignedVec {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        bytemuck::cast_slice(&self.0)
    }
}

impl DerefMut for AlignedVec {
    fn deref_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}

impl core::fmt::Debug for AlignedVec {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "AlignedVec[{}]", self.len())
    }
}

/// Owned scratch memory that grows to the largest size asked of it.
#[derive(Default)]
pub struct Workspace(AlignedVec);

impl Workspace {
    /// Grows to at least `len` f32.
    pub fn reserve(&mut self, len: usize) {
        if self.0.len() < len {
            // The old contents are scratch: free them first, so that the peak is one buffer and not two.
            self.0 = AlignedVec::default();
            self.0 = AlignedVec::zeroed(len);
        }
    }

    /// All of the memory.
    pub fn scratch(&mut self) -> Scratch<'_> {
        Scratch(&mut self.0)
    }
}

/// A borrowed piece of scratch memory from which slices are taken. Contents are unspecified.
pub struct Scratch<'a>(&'a mut [f32]);

impl<'a> Scratch<'a> {
    /// A lane's part of scratch memory that was taken for all lanes.
    pub(crate) fn of_lane(part: &'a mut [f32]) -> Self {
        Self(part)
    }

    /// Takes `len` f32, aligned to 64 bytes.
    ///
    /// # Panics
    /// If fewer than [`padded(len)`](padded) are left: the sizing function beside the caller is wrong.
    pub fn take(&mut self, len: usize) -> &'a mut [f32] {
        let rest = core::mem::take(&mut self.0);
        assert!(padded(len) <= rest.len(), "scratch of {} f32 left, {len} needed", rest.len());
        let (taken, rest) = rest.split_at_mut(padded(len));
        self.0 = rest;
        &mut taken[..len]
    }

    /// The remaining memory, given back when the frame is dropped.
    pub fn frame(&mut self) -> Scratch<'_> {
        Scratch(self.0)
    }

    /// How many f32 are left.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_disjoint_and_aligned() {
        let mut workspace = Workspace::default();
        workspace.reserve(padded(5) + padded(17));
        let mut scratch = workspace.scratch();
        let a = scratch.take(5);
        let b = scratch.take(17);
        assert_eq!((a.len(), b.len()), (5, 17));
        assert_eq!((a.as_ptr() as usize % 64, b.as_ptr() as usize % 64), (0, 0));
        assert_eq!(b.as_ptr() as usize - a.as_ptr() as usize, 64);
        assert!(scratch.is_empty());
    }

    #[test]
    #[should_panic = "scratch of 16 f32 left, 17 needed"]
    fn taking_too_much_panics() {
        let mut workspace = Workspace::default();
        workspace.reserve(16);
        workspace.scratch().take(17);
    }
}
