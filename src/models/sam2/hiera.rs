//! Hiera (Ryali et al., 2023) as SAM 2 has it: a hierarchical Vision Transformer of four stages.
//!
//! Source: `sam2/modeling/backbones/hieradet.py`.

mod block;

use alloc::vec::Vec;

use self::block::Block;
use super::config::{HieraConfig, STAGES};
use super::naming::EncoderNames;
use crate::error::{Result, err};
use crate::exec::{Cx, Monitor, Scratch, ScratchReq, TryGrow, try_zeroed};
use crate::kernels::activation::Activation;
use crate::kernels::conv::{ConvShape, Windows};
use crate::kernels::gemm::Destination;
use crate::kernels::resize::interpolate::{Interpolate, Mode};
use crate::nn::{Linear, Trace};
use crate::weights::Scope;

/// Patches, position embeddings, and blocks in stages of half the resolution and about twice the width each.
#[derive(Debug)]
pub struct Hiera {
    patch_embed: Linear,
    /// `[S / 4, S / 4, D₀]`.
    positions: Vec<f32>,
    stages: [Vec<Block>; STAGES],
    image_size: usize,
}

/// Input pixels from patch to patch. Patches overlap.
const STRIDE: usize = 4;

/// The convolution that makes patches of `dim` features.
fn patches(dim: usize) -> ConvShape {
    ConvShape::new(3, dim, [7, 7]).with_stride([STRIDE; 2]).with_padding([3, 3]).planar()
}

impl Hiera {
    /// Binds the trunk `scope` for inputs of `image_size` pixels a side.
    ///
    /// # Errors
    /// `InvalidArgument` if position embeddings cannot be repeated over the grid of that size, and as [`Scope::f32`].
    pub(super) fn bind(
        scope: &Scope<'_>,
        names: &EncoderNames,
        config: &HieraConfig,
        image_size: usize,
    ) -> Result<Self> {
        let shape = patches(config.stages[0].dim);
        let patch_embed = scope.at(names.patch_embed);
        let weight_shape = shape.weight_shape();
        let depth = weight_shape[1..].iter().product();
        let weight = || patch_embed.f32("weight", &weight_shape);
        let weight = patch_embed.keep_f32().pack("weight", [shape.outputs, depth], weight)?;
        let bias = patch_embed.f32("bias", &[shape.outputs])?;
        let mut stages = [const { Vec::new() }; STAGES];
        let mut side = image_size / STRIDE;
        let mut stage = 0;
        for (i, block) in config.blocks().enumerate() {
            if block.pooled {
                stage += 1;
            }
            let block = Block::bind(&scope.at("blocks").at(i), names, &block, config.layer_norm_eps, side)?;
            side = block.output_side();
            stages[stage].try_push(block)?;
        }
        Ok(Self {
            patch_embed: Linear::of(weight, Some(bias)),
            positions: positions(scope, config, image_size / STRIDE)?,
            stages,
            image_size,
        })
    }

    /// Features of `pixels: [3, S, S]` after every stage: `outputs[i]` has the length [`stage_len(i)`](Self::stage_len)
    /// and becomes `[S / 4 / 2ⁱ, S / 4 / 2ⁱ, Dᵢ]`.
    ///
    /// # Errors
    /// `Cancelled` if the monitor's callback stops the work; it is called after every block.
    ///
    /// # Panics
    /// If a slice does not have its size, or the scratch is shorter than [`scratch_req`](Self::scratch_req).
    pub fn forward(
        &self,
        cx: &Cx,
        pixels: &[f32],
        outputs: [&mut [f32]; STAGES],
        mut scratch: Scratch<'_>,
        trace: &mut Trace<'_>,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let dim = self.patch_embed.outputs();
        let steps = self.stages.iter().map(Vec::len).sum::<usize>() + 1;
        let mut done = 0;
        let mut step = || {
            done += 1;
            monitor.report(done - 1, steps)
        };
        step()?;

        // Patches, plus positions.
        let mut outputs = outputs.into_iter();
        let mut x = outputs.next().expect("a stage");
        x.copy_from_slice(&self.positions);
        let windows = Windows::new(&patches(dim), [self.image_size; 2], pixels, 0);
        let sum = Destination::Add { out: x, stride: dim };
        self.patch_embed.forward(cx, &windows, Activation::None, sum, scratch.frame());
        trace.stage(format_args!("image_encoder.trunk.patch_embed"), x);
        step()?;

        let mut number = 0;
        for (i, blocks) in self.stages.iter().enumerate() {
            let mut blocks = &blocks[..];
            let mut observe = |x: &[f32]| {
                trace.stage(format_args!("image_encoder.trunk.blocks.{number}"), x);
                number += 1;
                step()
            };
            // The first block of a stage, except of the first one, reduces the output of the stage before.
            if i > 0 {
                let (first, rest) = blocks.split_first().expect("stages have blocks");
                let y = outputs.next().expect("an output for every stage");
                first.reduce(cx, x, y, scratch.frame());
                observe(y)?;
                (x, blocks) = (y, rest);
            }
            for block in blocks {
                block.forward(cx, x, scratch.frame());
                observe(x)?;
            }
        }
        Ok(())
    }

    /// Tokens along a side of the output of stage `index`.
    pub fn stage_side(&self, index: usize) -> usize {
        (self.image_size / STRIDE) >> index
    }

    /// Length of the output of stage `index`.
    pub fn stage_len(&self, index: usize) -> usize {
        let dim = self.stages[index].last().map_or(0, Block::outputs);
        self.stage_side(index) * self.stage_side(index) * dim
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub fn scratch_req(&self, cx: &Cx) -> ScratchReq {
        let patches = self.patch_embed.scratch_req(cx, self.stage_side(0) * self.stage_side(0));
        let blocks = self.stages.iter().flatten().map(|block| block.scratch_req(cx));
        patches.or(ScratchReq::any(blocks))
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        self.patch_embed.bytes()
            + size_of_val(&self.positions[..])
            + self.stages.iter().flatten().map(Block::bytes).sum::<usize>()
    }
}

/// Position embeddings `[side, side, dim]`: a small table stretched over the grid (bicubic), so that it says where in
/// the picture a token is, plus one repeated over it, which says where in a window (Bolya et al., 2023).
fn positions(scope: &Scope<'_>, config: &HieraConfig, side: usize) -> Result<Vec<f32>> {
    let dim = config.stages[0].dim;
    let [height, width] = config.window_positions;
    if !side.is_multiple_of(height) || !side.is_multiple_of(width) {
        return Err(err!(
            InvalidArgument,
            "image size {}: its grid of {side} tokens is no whole number of position tables of {height} × {width}",
            side * STRIDE
        ));
    }
    scope.check_derived("position embeddings", dim * side * side)?;
    let [rows, columns] = config.background;
    let background = scope.f32("pos_embed", &[1, dim, rows, columns])?;
    let window = scope.f32("pos_embed_window", &[1, dim, height, width])?;
    let resize = Interpolate::new((rows, columns), (side, side), Mode::Bicubic, false)?;
    let mut planes = try_zeroed(dim * side * side)?;
    scope.compute(|cx| {
        resize.run(cx, dim, &background, &mut planes, cx.workspace(resize.scratch_req(cx))?.scratch());
        Ok(())
    })?;
    let mut positions = try_zeroed(planes.len())?;
    for (token, out) in positions.chunks_exact_mut(dim).enumerate() {
        if token.is_multiple_of(side) {
            scope.poll()?;
        }
        let (y, x) = (token / side % height, token % side % width);
        for (c, out) in out.iter_mut().enumerate() {
            *out = planes[c * side * side + token] + window[(c * height + y) * width + x];
        }
    }
    Ok(positions)
}
