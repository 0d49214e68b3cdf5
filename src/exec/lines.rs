//! Memory that begins at a cache line and is only read: owned and shared, or in place in a mapped file.

use alloc::sync::Arc;
use core::ops::Deref;

use super::AlignedVec;
#[cfg(feature = "std")]
use super::MappedPart;

/// Whole cache lines of f32 that never change. Cheap to clone: clones share the memory.
#[derive(Clone, Debug)]
pub struct Lines(Kept);

#[derive(Clone, Debug)]
enum Kept {
    Owned(Arc<AlignedVec>),
    #[cfg(feature = "std")]
    InPlace(MappedPart),
}

impl Lines {
    /// Whether the memory belongs to a mapped file.
    pub fn is_in_place(&self) -> bool {
        !matches!(self.0, Kept::Owned(_))
    }
}

impl From<AlignedVec> for Lines {
    fn from(owned: AlignedVec) -> Self {
        Self(Kept::Owned(Arc::new(owned)))
    }
}

#[cfg(feature = "std")]
impl From<MappedPart> for Lines {
    fn from(part: MappedPart) -> Self {
        Self(Kept::InPlace(part))
    }
}

impl Deref for Lines {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &self.0 {
            Kept::Owned(owned) => owned,
            #[cfg(feature = "std")]
            Kept::InPlace(part) => bytemuck::cast_slice(part),
        }
    }
}
