//! SAM's image encoder: a plain Vision Transformer with mostly windowed attention (Li et al., ViTDet, 2022).

mod block;

use alloc::vec::Vec;

use self::block::Block;
use super::config::VitConfig;
use super::naming::Naming;
use super::neck::Neck;
use crate::error::Result;
use crate::exec::{Cx, Monitor, Scratch, ScratchReq, TryCollect};
use crate::kernels::activation::Activation;
use crate::kernels::conv::Patches;
use crate::kernels::gemm::Destination;
use crate::kernels::resize::interpolate::Mode;
use crate::models::positions;
use crate::nn::{Linear, Trace};
use crate::weights::Scope;

/// Patches, position embeddings, blocks, neck.
#[derive(Debug)]
pub struct Vit {
    patch_embed: Linear,
    /// `[grid, grid, D]`, or nothing.
    positions: Option<Vec<f32>>,
    blocks: Vec<Block>,
    neck: Neck,
    patch_size: usize,
    /// Patches along a side.
    grid: usize,
}

impl Vit {
    /// Binds the encoder `scope` for inputs of `grid × grid` patches and embeddings of `outputs` channels.
    ///
    /// Where the checkpoint is for another grid, absolute positions are interpolated (bicubic) and the tables of
    /// relative positions of global blocks too (linear, as `get_rel_pos` of the reference does in every call).
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(
        scope: &Scope<'_>,
        naming: Naming,
        config: &VitConfig,
        grid: usize,
        outputs: usize,
    ) -> Result<Self> {
        let names = naming.encoder();
        let (dim, patch, native) = (config.dim, config.patch_size, config.native_grid);
        let patches = scope.at(names.patch_embed);
        let weight = patches
            .keep_f32()
            .pack("weight", [dim, 3 * patch * patch], || patches.f32("weight", &[dim, 3, patch, patch]))?;
        let patch_embed = Linear::of(weight, Some(patches.f32("bias", &[dim])?));
        let mut absolute = None;
        if config.has_positions {
            let mut embeddings = scope.f32("pos_embed", &[1, native, native, dim])?;
            if grid != native {
                scope.check_derived("position embeddings", grid * grid * dim)?;
                let (from, to) = ((native, native), (grid, grid));
                embeddings = scope
                    .compute(|cx| positions::resize(cx, (Mode::Bicubic, false), &embeddings, from, to))?;
            }
            absolute = Some(embeddings);
        }
        Ok(Self {
            patch_embed,
            positions: absolute,
            blocks: (0..config.blocks.len())
                .map(|i| Block::bind(&scope.at(names.blocks).at(i), naming, config, i, grid))
                .try_values()?,
            neck: Neck::bind(&scope.keep_f32(), naming, [dim, outputs])?,
            patch_size: patch,
            grid,
        })
    }

    /// As [`ImageEncoder::forward`](super::ImageEncoder::forward).
    ///
    /// # Errors
    /// `Cancelled`.
    pub fn forward(
        &self,
        cx: &Cx,
        pixels: &[f32],
        out: &mut [f32],
        mut scratch: Scratch<'_>,
        mut trace: Trace<'_>,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let (dim, side) = (self.patch_embed.outputs(), self.grid * self.patch_size);
        let steps = self.blocks.len() + 2;
        monitor.report(0, steps)?;

        // Patches, plus positions: [grid, grid, D].
        let x = scratch.take(self.features_len());
        let patches = Patches::new(pixels, 3, side, side, self.patch_size);
        let output = match &self.positions {
            Some(positions) => {
                x.copy_from_slice(positions);
                Destination::Add { out: x, stride: dim }
            }
            None => Destination::Store { out: x, stride: dim },
        };
        self.patch_embed.forward(cx, &patches, Activation::None, output, scratch.frame());
        trace.stage(format_args!("image_encoder.patch_embed"), x);
        monitor.report(1, steps)?;

        for (i, block) in self.blocks.iter().enumerate() {
            block.forward(cx, self.grid, x, scratch.frame());
            trace.stage(format_args!("image_encoder.blocks.{i}"), x);
            monitor.report(i + 2, steps)?;
        }

        self.neck.forward(cx, self.grid, x, out, scratch);
        trace.stage(format_args!("image_encoder.neck"), out);
        Ok(())
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub fn scratch_req(&self, cx: &Cx) -> ScratchReq {
        let blocks = self.blocks.iter().map(|block| block.scratch_req(cx, self.grid));
        let parts = ScratchReq::any([
            self.patch_embed.scratch_req(cx, self.grid * self.grid),
            ScratchReq::any(blocks),
            self.neck.scratch_req(cx, self.grid),
        ]);
        ScratchReq::slice(self.features_len()).and(parts)
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        self.patch_embed.bytes()
            + self.positions.as_ref().map_or(0, |positions| size_of_val(&positions[..]))
            + self.blocks.iter().map(Block::bytes).sum::<usize>()
            + self.neck.bytes()
    }

    fn features_len(&self) -> usize {
        self.grid * self.grid * self.patch_embed.outputs()
    }
}
