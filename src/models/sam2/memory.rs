//! The memory of SAM 2: what makes a tracker of it.

use alloc::vec::Vec;

use super::{MemoryAttention, MemoryEncoder, ObjectPointers, Sam2Config};
use crate::error::Result;
use crate::models::sam::Naming;
use crate::weights::Scope;

/// Memory attention, memory encoder and object pointers.
#[derive(Debug)]
pub struct Memory {
    /// A frame's features, conditioned on what is remembered of an object.
    pub attention: MemoryAttention,
    /// A frame and an object's mask to a memory.
    pub encoder: MemoryEncoder,
    /// The decoder's tokens to pointers.
    pub pointers: ObjectPointers,
}

impl Memory {
    /// Binds the memory of a checkpoint; `None` if it has none.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(scope: &Scope<'_>, naming: Naming, config: &Sam2Config) -> Result<Option<Self>> {
        let Some(memory) = &config.memory else { return Ok(None) };
        Ok(Some(Self {
            attention: MemoryAttention::bind(scope, naming, config, memory)?,
            encoder: MemoryEncoder::bind(scope, naming, config, memory)?,
            pointers: ObjectPointers::bind(scope, naming, config)?,
        }))
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        self.attention.bytes() + self.encoder.bytes() + self.pointers.bytes()
    }
}

/// What is remembered of an object.
#[derive(Clone, Copy, Debug)]
pub struct ObjectMemory<'a> {
    /// Memories of frames.
    pub spatial: &'a [FrameMemory<'a>],
    /// Object pointers of frames.
    pub pointers: &'a [Pointer<'a>],
}

/// A frame and an object's mask in it, as the memory encoder made them.
#[derive(Clone, Copy, Debug)]
pub struct FrameMemory<'a> {
    /// bfloat16, `[g², D]`.
    pub features: &'a [u16],
    /// Which row of `maskmem_tpos_enc` is its position in time: `count − t − 1` for the memory of the frame that has
    /// position `t`.
    pub time: usize,
}

/// An object pointer.
#[derive(Clone, Copy, Debug)]
pub struct Pointer<'a> {
    /// `[C]`
    pub values: &'a [f32],
    /// Its distance in frames, with a sign if the model has it so, divided by the greatest distance.
    pub distance: f32,
}

impl ObjectMemory<'_> {
    /// Memories and pointers.
    pub(super) fn counts(&self) -> [usize; 2] {
        [self.spatial.len(), self.pointers.len()]
    }
}

/// `[rows, columns]` ← `left [rows, inner] · right [inner, columns]`, summed in f64: two linear layers made one.
pub(super) fn product(left: &[f32], right: &[f32], inner: usize) -> Vec<f32> {
    let columns = right.len() / inner;
    let row = |left: &[f32]| -> Vec<f32> {
        let mut sums = alloc::vec![0.0f64; columns];
        for (&l, right) in left.iter().zip(right.chunks_exact(columns)) {
            sums.iter_mut().zip(right).for_each(|(sum, &r)| *sum += f64::from(l) * f64::from(r));
        }
        sums.into_iter().map(|sum| sum as f32).collect()
    };
    left.chunks_exact(inner).flat_map(row).collect()
}
