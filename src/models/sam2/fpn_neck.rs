//! The neck of the image encoder: a feature pyramid (Lin et al., 2017) whose finest levels are made narrow for the mask
//! decoder at once.
//!
//! Source: `FpnNeck` of `sam2/modeling/backbones/image_encoder.py`, and `conv_s0`, `conv_s1` of the mask decoder.

use alloc::vec::Vec;

use super::config::{STAGES, Sam2Config};
use super::naming::EncoderNames;
use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq, try_with_capacity, try_zeroed};
use crate::kernels::activation::Activation;
use crate::kernels::gemm::{Destination, Rows};
use crate::nn::Linear;
use crate::weights::Scope;

/// Levels that leave the neck. The coarsest one ends in the next one, if that takes it.
pub const LEVELS: usize = 3;

/// The levels of the pyramid, `Fᵢ = Lᵢ xᵢ + up(Fᵢ₊₁)`: a linear map of the trunk's features after stage `i`, and, where the
/// configuration says so, the next coarser level, every token of which counts for 2 × 2.
///
/// Of level 2, `F₂` itself goes out, of the levels 0 and 1 `P F + b`, which the mask decoder adds to its own features.
/// All of this is linear: `P F₁ = (P L₁) x₁ + up(P F₂)`, so that the wide maps of the fine levels never exist.
#[derive(Debug)]
pub struct FpnNeck {
    /// The finest first.
    levels: [Level; LEVELS],
}

impl FpnNeck {
    /// Binds the neck in `scope`, the whole checkpoint.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub(super) fn bind(scope: &Scope<'_>, names: &EncoderNames, config: &Sam2Config) -> Result<Self> {
        let dim = config.dim;
        let narrow = |level: usize, outputs: usize| -> Result<Map> {
            let scope = scope.at(names.high_resolution[level]);
            Ok(Map {
                weight: scope.f32("weight", &[outputs, dim, 1, 1])?,
                bias: scope.f32("bias", &[outputs])?,
            })
        };
        let narrow = [Some(narrow(0, dim / 8)?), Some(narrow(1, dim / 4)?), None];
        let mut levels = [const { Level(Vec::new()) }; LEVELS];
        for (i, (level, narrow)) in levels.iter_mut().zip(&narrow).enumerate() {
            *level = Level::bind(scope, names, config, i, narrow.as_ref())?;
        }
        Ok(Self { levels })
    }

    /// Level `i` in `outs[i]: [2^(2 − i) g, 2^(2 − i) g, channels]` of the trunk's `features`, where `g` is the `grid` of
    /// the coarsest one that goes out.
    ///
    /// # Panics
    /// If a slice does not have its size, or the scratch is shorter than [`scratch_req`](Self::scratch_req).
    pub fn forward(
        &self,
        cx: &Cx,
        grid: usize,
        features: [&[f32]; STAGES],
        outs: [&mut [f32]; LEVELS],
        mut scratch: Scratch<'_>,
    ) {
        for (i, (level, out)) in self.levels.iter().zip(outs).enumerate() {
            level.forward(cx, side(grid, i), &features[i..], out, scratch.frame());
        }
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub fn scratch_req(&self, cx: &Cx, grid: usize) -> ScratchReq {
        let levels = self.levels.iter().enumerate();
        ScratchReq::any(levels.map(|(i, level)| level.scratch_req(cx, side(grid, i))))
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        self.levels.iter().flat_map(|level| &level.0).map(Linear::bytes).sum()
    }
}

/// Tokens along a side of a level, where level 2 has `grid`.
fn side(grid: usize, level: usize) -> usize {
    grid << (LEVELS - 1 - level)
}

/// A linear map of tokens.
struct Map {
    /// `[outputs, inputs]`.
    weight: Vec<f32>,
    /// `[outputs]`.
    bias: Vec<f32>,
}

impl Map {
    /// `self` without its bias, after `inner`: `x ↦ W (W' x + b')`.
    fn after(&self, inner: &Self) -> Result<Self> {
        let middle = inner.bias.len();
        let inputs = inner.weight.len() / middle;
        let mut weight = try_with_capacity(self.bias.len() * inputs)?;
        let mut bias = try_with_capacity(self.bias.len())?;
        let mut sums = try_zeroed(inputs)?;
        for row in self.weight.chunks_exact(middle) {
            sums.fill(0.0);
            for (w, inner) in row.iter().zip(inner.weight.chunks_exact(inputs)) {
                sums.iter_mut().zip(inner).for_each(|(sum, v)| *sum += f64::from(*w) * f64::from(*v));
            }
            weight.extend(sums.iter().map(|sum| *sum as f32));
            let products = row.iter().zip(&inner.bias).map(|(w, b)| f64::from(*w) * f64::from(*b));
            bias.push(products.sum::<f64>() as f32);
        }
        Ok(Self { weight, bias })
    }
}

/// The maps of a level's own features and of those of the coarser levels that it takes, finest first.
#[derive(Debug)]
struct Level(Vec<Linear>);

impl Level {
    /// Binds level `index`, followed by the map `narrow`.
    fn bind(
        scope: &Scope<'_>,
        names: &EncoderNames,
        config: &Sam2Config,
        index: usize,
        narrow: Option<&Map>,
    ) -> Result<Self> {
        let mut maps = Vec::new();
        for level in index..STAGES {
            // The checkpoint has the coarsest level first.
            let scope = scope.at(names.laterals).at(STAGES - 1 - level).at(names.lateral);
            let inputs = config.hiera.stages[level].dim;
            let mut map = Map {
                weight: scope.f32("weight", &[config.dim, inputs, 1, 1])?,
                bias: scope.f32("bias", &[config.dim])?,
            };
            if let Some(narrow) = narrow {
                map = narrow.after(&map)?;
                if level == index {
                    map.bias.iter_mut().zip(&narrow.bias).for_each(|(to, from)| *to += from);
                }
            }
            let shape = [map.bias.len(), inputs];
            maps.push(Linear::new(scope.packing(), shape, &map.weight, Some(map.bias))?);
            if !config.top_down_levels.contains(&level) {
                break;
            }
        }
        Ok(Self(maps))
    }

    /// `out: [side, side, outputs]` of `features`, this level's first.
    fn forward(&self, cx: &Cx, side: usize, features: &[&[f32]], out: &mut [f32], scratch: Scratch<'_>) {
        forward(cx, &self.0, side, features, out, scratch);
    }

    fn scratch_req(&self, cx: &Cx, side: usize) -> ScratchReq {
        scratch_req(cx, &self.0, side)
    }
}

/// `out ← maps[0] features[0] + up(maps[1] features[1] + up(…))`.
fn forward(
    cx: &Cx,
    maps: &[Linear],
    side: usize,
    features: &[&[f32]],
    out: &mut [f32],
    mut scratch: Scratch<'_>,
) {
    let [map, coarser @ ..] = maps else { return };
    let stride = map.outputs();
    let output = if coarser.is_empty() {
        Destination::Store { out, stride }
    } else {
        let half = side / 2;
        let coarse = scratch.take(half * half * stride);
        forward(cx, coarser, half, &features[1..], coarse, scratch.frame());
        repeat(coarse, half, stride, out);
        Destination::Add { out, stride }
    };
    map.forward(cx, &Rows::new(features[0], side * side, map.inputs()), Activation::None, output, scratch);
}

/// Scratch that [`forward`] needs.
fn scratch_req(cx: &Cx, maps: &[Linear], side: usize) -> ScratchReq {
    let [map, coarser @ ..] = maps else { return ScratchReq::NONE };
    let product = map.scratch_req(cx, side * side);
    if coarser.is_empty() {
        return product;
    }
    let half = side / 2;
    ScratchReq::slice(half * half * map.outputs()).and(product.or(scratch_req(cx, coarser, half)))
}

/// `fine[y][x] = coarse[y / 2][x / 2]` for tokens of `channels` features, `side` of them along a side of `coarse`.
fn repeat(coarse: &[f32], side: usize, channels: usize, fine: &mut [f32]) {
    let line = side * channels;
    for (from, to) in coarse.chunks_exact(line).zip(fine.chunks_exact_mut(4 * line)) {
        let (first, second) = to.split_at_mut(2 * line);
        for (from, to) in from.chunks_exact(channels).zip(first.chunks_exact_mut(2 * channels)) {
            to[..channels].copy_from_slice(from);
            to[channels..].copy_from_slice(from);
        }
        second.copy_from_slice(first);
    }
}
