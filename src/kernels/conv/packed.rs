//! Convolution weights in the layouts that the kernels read.

use alloc::vec::Vec;

use super::{ConvShape, Layout, winograd};
use crate::error::Result;
use crate::exec::{AlignedVec, TryCollect};
use crate::kernels::gemm::{PackedWeights, Packing};

/// The weights of a convolution, packed once for the kernels of a level.
#[derive(Clone)]
pub struct PackedConv {
    shape: ConvShape,
    weights: Weights,
}

#[derive(Clone)]
pub(super) enum Weights {
    /// A matrix `[outputs / groups, window]` per group; a window's elements are in the order of
    /// [`Windows`](super::windows::Windows).
    Groups(Vec<PackedWeights>),
    /// A matrix `[outputs, inputs]` for each place of a tile; see [`winograd`].
    Winograd(Vec<PackedWeights>),
    /// `[kernel height · kernel width, channels]` of a depthwise convolution over tokens.
    Depthwise(AlignedVec),
}

impl PackedConv {
    /// Packs `weights` of shape [`shape.weight_shape()`](ConvShape::weight_shape), in the order of checkpoints.
    ///
    /// # Errors
    /// `OutOfMemory`.
    ///
    /// # Panics
    /// If [`shape.check()`](ConvShape::check) fails or `weights` does not have that shape.
    pub fn pack(packing: impl Into<Packing>, shape: ConvShape, weights: &[f32]) -> Result<Self> {
        let packing = packing.into();
        shape.check().expect("a possible convolution");
        let [outputs, channels, height, width] = shape.weight_shape();
        let taps = height * width;
        assert_eq!(weights.len(), outputs * channels * taps, "weights of {shape:?}");
        // `out: [taps, channels]` ← transpose of `from: [channels, taps]`, `stride` f32 from tap to tap.
        let interleave = |from: &[f32], out: &mut [f32], stride: usize| {
            for (channel, from) in from.chunks_exact(taps).enumerate() {
                out[channel..].iter_mut().step_by(stride).zip(from).for_each(|(to, from)| *to = *from);
            }
        };
        let weights = if shape.is_depthwise() && shape.layout == Layout::Tokens {
            let mut packed = AlignedVec::try_zeroed(taps * outputs)?;
            interleave(weights, &mut packed, outputs);
            Weights::Depthwise(packed)
        } else if winograd::fits(&shape, packing) {
            Weights::Winograd(winograd::pack(packing, &shape, weights)?)
        } else {
            let rows = outputs / shape.groups;
            let pack = |group: &[f32]| {
                PackedWeights::pack_with(packing, rows, channels * taps, |row, out| {
                    let from = &group[row * channels * taps..][..channels * taps];
                    match shape.layout {
                        Layout::Tokens => interleave(from, out, channels),
                        Layout::Planar => out.copy_from_slice(from),
                    }
                })
            };
            Weights::Groups(weights.chunks_exact(rows * channels * taps).map(pack).try_values()?)
        };
        Ok(Self { shape, weights })
    }

    /// The convolution's sizes.
    pub fn shape(&self) -> &ConvShape {
        &self.shape
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        match &self.weights {
            Weights::Groups(matrices) | Weights::Winograd(matrices) => {
                matrices.iter().map(PackedWeights::bytes).sum()
            }
            Weights::Depthwise(weights) => size_of_val::<[f32]>(weights),
        }
    }

    pub(super) fn weights(&self) -> &Weights {
        &self.weights
    }
}

impl core::fmt::Debug for PackedConv {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("PackedConv").field(&self.shape).finish()
    }
}
