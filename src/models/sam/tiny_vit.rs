//! MobileSAM's image encoder (Zhang et al., 2023): TinyViT-5M, distilled from SAM's.
//!
//! Source: `mobile_sam/modeling/tiny_vit_sam.py` of the MobileSAM repository.

mod block;
mod conv;

use alloc::vec::Vec;

use self::block::Block;
use self::conv::{Separable, bind_conv};
use super::config::{StageConfig, TinyVitConfig};
use super::naming::Naming;
use super::neck::Neck;
use crate::error::Result;
use crate::exec::{Cx, Monitor, Scratch, ScratchReq, TryCollect};
use crate::kernels::activation::Activation;
use crate::kernels::conv::ConvShape;
use crate::nn::{Conv2d, Trace};
use crate::weights::Scope;

/// Convolutional stem and stage, three stages of transformer blocks, neck.
#[derive(Debug)]
pub struct TinyVit {
    patch_embed: [Conv2d; 2],
    conv_layer: Vec<Separable>,
    stages: [Stage; 3],
    neck: Neck,
    image_size: usize,
}

/// A stage of transformer blocks and the patch merging before it.
#[derive(Debug)]
struct Stage {
    downsample: Separable,
    blocks: Vec<Block>,
}

/// Pixels from window to window of the three patch mergings: the last stage has the resolution of the one before.
const STRIDES: [usize; 3] = [2, 2, 1];

impl TinyVit {
    /// Binds the encoder `scope` for inputs of `image_size` pixels a side and embeddings of `outputs` channels.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(
        scope: &Scope<'_>,
        config: &TinyVitConfig,
        image_size: usize,
        outputs: usize,
    ) -> Result<Self> {
        let dim = config.stem_dim;
        let stem = |inputs, outputs| {
            ConvShape::new(inputs, outputs, [3, 3]).with_stride([2, 2]).with_padding([1, 1])
        };
        let layers = scope.at("layers");
        let biases = |stage: &StageConfig| stage.depth * stage.heads * stage.window.pow(4);
        scope.check_derived("attention biases", config.stages.iter().map(biases).sum())?;
        let stage = |i: usize| -> Result<Stage> {
            let inputs = if i == 0 { dim } else { config.stages[i - 1].dim };
            let stage = &config.stages[i];
            let widths = [inputs, stage.dim, stage.dim];
            let blocks = layers.at(i + 1).at("blocks");
            Ok(Stage {
                downsample: Separable::bind(&layers.at(i).at("downsample"), widths, STRIDES[i])?,
                blocks: (0..stage.depth).map(|j| Block::bind(&blocks.at(j), stage)).try_values()?,
            })
        };
        let blocks = layers.at("0.blocks");
        let widths = [dim, config.stem_hidden, dim];
        let patch_embed = scope.at("patch_embed.seq").keep_f32();
        Ok(Self {
            patch_embed: [
                bind_conv(&patch_embed.at("0"), stem(3, dim / 2).planar())?,
                bind_conv(&patch_embed.at("2"), stem(dim / 2, dim))?,
            ],
            conv_layer: (0..config.stem_depth)
                .map(|i| Separable::bind(&blocks.at(i), widths, 1))
                .try_values()?,
            stages: [stage(0)?, stage(1)?, stage(2)?],
            neck: Neck::bind(&scope.keep_f32(), Naming::Original, [config.stages[2].dim, outputs])?,
            image_size,
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
        let blocks: usize = self.stages.iter().map(|stage| stage.blocks.len()).sum();
        let steps = self.conv_layer.len() + blocks + 2;
        let mut done = 0;
        let mut step = || {
            done += 1;
            monitor.report(done - 1, steps)
        };
        step()?;

        // Layer 0, at 1/4 of the resolution.
        let mut side = self.image_size / 4;
        let mut x = scratch.take(self.stem_len());
        self.embed(cx, pixels, x, scratch.frame());
        trace.stage(format_args!("image_encoder.patch_embed"), x);
        step()?;
        for (i, block) in self.conv_layer.iter().enumerate() {
            block.forward(cx, side, x, None, scratch.frame());
            trace.stage(format_args!("image_encoder.layers.0.blocks.{i}"), x);
            step()?;
        }

        // Layers 1 to 3, at 1/8, 1/16 and 1/16.
        for (i, stage) in self.stages.iter().enumerate() {
            let mut merged = scratch.take(stage.downsample.output_len(side));
            stage.downsample.forward(cx, side, x, Some(merged), scratch.frame());
            trace.stage(format_args!("image_encoder.layers.{i}.downsample"), merged);
            side = stage.downsample.output_side(side);
            let mut next = scratch.take(merged.len());
            for (j, block) in stage.blocks.iter().enumerate() {
                block.forward(cx, side, merged, next, scratch.frame());
                core::mem::swap(&mut merged, &mut next);
                trace.stage(format_args!("image_encoder.layers.{}.blocks.{j}", i + 1), merged);
                step()?;
            }
            x = merged;
        }

        self.neck.forward(cx, side, x, out, scratch);
        trace.stage(format_args!("image_encoder.neck"), out);
        Ok(())
    }

    /// `x ← patch_embed(pixels)`, `[S / 4, S / 4, channels]`.
    fn embed(&self, cx: &Cx, pixels: &[f32], x: &mut [f32], mut scratch: Scratch<'_>) {
        let [conv1, conv2] = &self.patch_embed;
        let side = self.image_size;
        let y = scratch.take(self.half_len());
        conv1.forward(cx, [side; 2], pixels, Activation::Gelu, y, scratch.frame());
        conv2.forward(cx, [side / 2; 2], y, Activation::None, x, scratch);
    }

    /// Scratch that [`embed`](Self::embed) needs.
    fn embed_scratch_req(&self, cx: &Cx) -> ScratchReq {
        let [conv1, conv2] = &self.patch_embed;
        let side = self.image_size;
        let convs = conv1.scratch_req(cx, [side; 2]).or(conv2.scratch_req(cx, [side / 2; 2]));
        ScratchReq::slice(self.half_len()).and(convs)
    }

    /// Length of what the first convolution of the stem makes, at 1/2 of the resolution.
    fn half_len(&self) -> usize {
        let side = self.image_size / 2;
        side * side * self.patch_embed[0].shape().outputs
    }

    /// Length of what the stem makes, at 1/4 of the resolution.
    fn stem_len(&self) -> usize {
        let side = self.image_size / 4;
        side * side * self.patch_embed[1].shape().outputs
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub fn scratch_req(&self, cx: &Cx) -> ScratchReq {
        let mut side = self.image_size / 4;
        let blocks = self.conv_layer.iter().map(|block| block.scratch_req(cx, side));
        let stem = self.embed_scratch_req(cx).or(ScratchReq::any(blocks));
        // What is held grows with every stage.
        let mut held = ScratchReq::slice(self.stem_len());
        let mut most = held.and(stem);
        for stage in &self.stages {
            let merged = ScratchReq::slice(stage.downsample.output_len(side));
            most = most.or(held.and(merged).and(stage.downsample.scratch_req(cx, side)));
            held = held.and(merged).and(merged);
            side = stage.downsample.output_side(side);
            let blocks = stage.blocks.iter().map(|block| block.scratch_req(cx, side));
            most = most.or(held.and(ScratchReq::any(blocks)));
        }
        most.or(held.and(self.neck.scratch_req(cx, side)))
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        let stages = self.stages.iter();
        self.patch_embed.iter().map(Conv2d::bytes).sum::<usize>()
            + self.conv_layer.iter().map(Separable::bytes).sum::<usize>()
            + stages.clone().map(|stage| stage.downsample.bytes()).sum::<usize>()
            + stages.flat_map(|stage| &stage.blocks).map(Block::bytes).sum::<usize>()
            + self.neck.bytes()
    }
}
