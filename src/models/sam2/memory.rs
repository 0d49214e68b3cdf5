//! The memory of SAM 2, with which it tracks objects through a video.

use alloc::vec::Vec;

use super::{MemoryAttention, MemoryEncoder, ObjectPointers, Sam2Config};
use crate::error::Result;
use crate::exec::{try_with_capacity, try_zeroed};
use crate::models::sam::Naming;
use crate::weights::Scope;

/// Memory attention, memory encoder and object pointers.
#[derive(Debug)]
pub struct Memory {
    /// Conditions the features of a frame on the memories of an object.
    pub attention: MemoryAttention,
    /// Makes a memory of a frame and the mask of an object.
    pub encoder: MemoryEncoder,
    /// Makes an object pointer of an output token of the decoder.
    pub pointers: ObjectPointers,
}

impl Memory {
    /// Binds the memory of a checkpoint; `None` if it segments pictures only.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(scope: &Scope<'_>, naming: Naming, config: &Sam2Config) -> Result<Option<Self>> {
        let Some(memory) = &config.memory else { return Ok(None) };
        let f32_scope = scope.keep_f32();
        Ok(Some(Self {
            attention: MemoryAttention::bind(scope, naming, config, memory)?,
            encoder: MemoryEncoder::bind(&f32_scope, naming, config, memory)?,
            pointers: ObjectPointers::bind(&f32_scope, naming, config)?,
        }))
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        self.attention.bytes() + self.encoder.bytes() + self.pointers.bytes()
    }
}

/// The memories of one object that a frame attends to.
#[derive(Clone, Copy, Debug)]
pub struct ObjectMemory<'a> {
    /// Memories of frames.
    pub spatial: &'a [FrameMemory<'a>],
    /// Object pointers of frames.
    pub pointers: &'a [Pointer<'a>],
}

/// The memory of a frame, as the memory encoder made it of the frame and the mask of the object.
#[derive(Clone, Copy, Debug)]
pub struct FrameMemory<'a> {
    /// bfloat16, `[g², D]`.
    pub features: &'a [u16],
    /// The row of `maskmem_tpos_enc` that encodes its position in time: `count − t − 1` for position `t`.
    pub time: usize,
}

/// An object pointer.
#[derive(Clone, Copy, Debug)]
pub struct Pointer<'a> {
    /// `[C]`
    pub values: &'a [f32],
    /// Distance to its frame, divided by the greatest distance; with a sign if the model wants it.
    pub distance: f32,
}

impl ObjectMemory<'_> {
    /// Numbers of memories and pointers.
    pub(super) fn counts(&self) -> [usize; 2] {
        [self.spatial.len(), self.pointers.len()]
    }
}

/// `[rows, columns]` ← `left [rows, inner] · right [inner, columns]`, summed in f64: the weights of two linear layers in one.
pub(super) fn product(left: &[f32], right: &[f32], inner: usize) -> Result<Vec<f32>> {
    let columns = right.len() / inner;
    let mut product = try_with_capacity(left.len() / inner * columns)?;
    let mut sums = try_zeroed::<f64>(columns)?;
    for left in left.chunks_exact(inner) {
        sums.fill(0.0);
        for (&l, right) in left.iter().zip(right.chunks_exact(columns)) {
            sums.iter_mut().zip(right).for_each(|(sum, &r)| *sum += f64::from(l) * f64::from(r));
        }
        product.extend(sums.iter().map(|&sum| sum as f32));
    }
    Ok(product)
}
