//! ConvNeXt (Liu et al., 2022), the image tower of LAION's convolutional CLIPs. Source: `convnext.py` of timm.

use alloc::vec::Vec;

use super::check_multiples;
use crate::error::Result;
use crate::exec::{Cx, Monitor, Scratch, ScratchReq, TryCollect};
use crate::kernels::activation::Activation;
use crate::kernels::channels;
use crate::kernels::conv::{ConvShape, Patches};
use crate::kernels::gemm::Destination;
use crate::models::clip::config::{ConvNextConfig, ConvNextStage};
use crate::models::clip::mobile::bind_scaled;
use crate::models::clip::projection::Projection;
use crate::nn::{Conv2d, LayerNorm, Linear, Mlp, Trace};
use crate::weights::Scope;

/// Pixels of the input along a side of one of the stem's.
const PATCH: usize = 4;

/// Stem, stages, the mean of all pixels, projection.
#[derive(Debug)]
pub struct ConvNext {
    stem: Linear,
    stem_norm: LayerNorm,
    stages: Vec<Stage>,
    head_norm: LayerNorm,
    projection: Projection,
}

/// `blocks(conv(norm(x)))`.
#[derive(Debug)]
struct Stage {
    /// `None` for the first stage.
    downsample: Option<(LayerNorm, Conv2d)>,
    blocks: Vec<Block>,
    width: usize,
}

/// `x += γ ∘ mlp(norm(conv(x)))` with a depthwise convolution.
#[derive(Debug)]
struct Block {
    conv: Conv2d,
    norm: LayerNorm,
    mlp: Mlp,
}

impl ConvNext {
    /// Binds the tower of the checkpoint `scope`.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(scope: &Scope<'_>, config: &ConvNextConfig) -> Result<Self> {
        let trunk = scope.at("visual.trunk");
        let stages = &config.stages;
        let (first, last) = (stages[0].width, stages[stages.len() - 1].width);
        let norm = |name: &str, dim| LayerNorm::bind(&trunk.at(name), dim, config.layer_norm_eps);
        let stem = trunk.at("stem").at(0).keep_f32();
        let pixels = || stem.f32("weight", &[first, 3, PATCH, PATCH]);
        let weight = stem.pack("weight", [first, 3 * PATCH * PATCH], pixels)?;
        let stage = |i: usize| {
            let inputs = i.checked_sub(1).map(|before| stages[before].width);
            Stage::bind(&trunk.at("stages").at(i), &stages[i], inputs, config.layer_norm_eps)
        };
        let head = scope.at("visual.head").keep_f32();
        let names = if config.has_mlp { ["mlp.fc1", "mlp.fc2"] } else { ["", "proj"] };
        Ok(Self {
            stem: Linear::of(weight, Some(stem.f32("bias", &[first])?)),
            stem_norm: norm("stem.1", first)?,
            stages: (0..stages.len()).map(stage).try_values()?,
            head_norm: norm("head.norm", last)?,
            projection: Projection::bind_layers(
                &head,
                names,
                [true, config.has_bias],
                last,
                Some(config.embed_dim),
            )?,
        })
    }

    /// Embeds `pixels: [batches, 3, height, width]` into `out: [batches, outputs]`, not normalised.
    ///
    /// Sizes are right: [`VisionEncoder::forward`](super::VisionEncoder::forward) has checked them.
    ///
    /// # Errors
    /// `Cancelled` by the monitor, which is asked after every block.
    ///
    /// # Panics
    /// If the scratch is shorter than [`scratch_req`](Self::scratch_req).
    #[allow(clippy::too_many_arguments, reason = "pictures, an output, a trace and a monitor")]
    pub fn forward(
        &self,
        cx: &Cx,
        pixels: &[f32],
        [batches, height, width]: [usize; 3],
        out: &mut [f32],
        mut scratch: Scratch<'_>,
        mut trace: Trace<'_>,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let steps = 1 + self.stages.iter().map(|stage| stage.blocks.len()).sum::<usize>();
        let mut done = 0;
        monitor.report(0, steps)?;
        let mut size = [batches, height / PATCH, width / PATCH];
        let [mut x, mut y, pooled] = scratch.take_all(self.buffers(size));

        let map = size[1] * size[2] * self.stem.outputs();
        for (pixels, x) in pixels.chunks_exact(3 * height * width).zip(x.chunks_exact_mut(map)) {
            let output = Destination::Store { out: x, stride: self.stem.outputs() };
            let patches = Patches::new(pixels, 3, height, width, PATCH);
            self.stem.forward(cx, &patches, Activation::None, output, scratch.frame());
        }
        self.stem_norm.forward_in_place(cx, &mut x[..batches * map]);
        trace.stage(format_args!("vision.stem"), &x[..batches * map]);

        for (i, stage) in self.stages.iter().enumerate() {
            if let Some((norm, conv)) = &stage.downsample {
                let len = size.into_iter().product::<usize>() * norm.dim();
                norm.forward_in_place(cx, &mut x[..len]);
                let halved = [batches, size[1] / 2, size[2] / 2];
                let map = &mut y[..stage.len(halved)];
                conv.forward_batch(cx, size, &x[..len], Activation::None, map, scratch.frame());
                trace.stage(format_args!("vision.stages.{i}.downsample"), map);
                core::mem::swap(&mut x, &mut y);
                size = halved;
            }
            let (x, y) = (&mut x[..stage.len(size)], &mut y[..stage.len(size)]);
            for (j, block) in stage.blocks.iter().enumerate() {
                block.conv.forward_batch(cx, size, x, Activation::None, y, scratch.frame());
                block.norm.forward_in_place(cx, y);
                block.mlp.add(cx, y, x, scratch.frame());
                trace.stage(format_args!("vision.stages.{i}.blocks.{j}"), x);
                done += 1;
                monitor.report(done, steps)?;
            }
        }

        let channels = self.head_norm.dim();
        channels::means(cx, &x[..size.into_iter().product::<usize>() * channels], channels, pooled);
        self.head_norm.forward_in_place(cx, pooled);
        trace.stage(format_args!("vision.pooled"), pooled);
        self.projection.forward(cx, pooled, out, scratch);
        trace.stage(format_args!("image_embeds"), out);
        Ok(())
    }

    /// Whether inputs may have `[height, width]` pixels.
    ///
    /// # Errors
    /// `InvalidArgument` unless the sides are multiples of what becomes one pixel of the last map.
    pub fn check_input(&self, size: [usize; 2]) -> Result<()> {
        check_multiples("ConvNeXt", PATCH << (self.stages.len() - 1), size)
    }

    /// Features of an embedding.
    pub fn outputs(&self) -> usize {
        self.projection.outputs()
    }

    /// Pixels of the third stage's map, which has most of the blocks.
    pub fn tokens(&self, [height, width]: [usize; 2]) -> usize {
        (height / 16) * (width / 16)
    }

    /// Scratch that [`forward`](Self::forward) needs; nothing for an input that it refuses.
    pub fn scratch_req(&self, cx: &Cx, [batches, height, width]: [usize; 3]) -> ScratchReq {
        if self.check_input([height, width]).is_err() {
            return ScratchReq::NONE;
        }
        let mut size = [batches, height / PATCH, width / PATCH];
        let buffers = ScratchReq::slices(self.buffers(size));
        let mut parts =
            self.stem.scratch_req(cx, size[1] * size[2]).or(self.projection.scratch_req(cx, batches));
        for stage in &self.stages {
            if let Some((_, conv)) = &stage.downsample {
                parts = parts.or(conv.batch_scratch_req(cx, size));
                size = [batches, size[1] / 2, size[2] / 2];
            }
            let pixels = size.into_iter().product();
            let block =
                |block: &Block| block.conv.batch_scratch_req(cx, size).or(block.mlp.scratch_req(cx, pixels));
            parts = parts.or(ScratchReq::any(stage.blocks.iter().map(block)));
        }
        buffers.and(parts)
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        self.stem.bytes()
            + self.stem_norm.bytes()
            + self.stages.iter().map(Stage::bytes).sum::<usize>()
            + self.head_norm.bytes()
            + self.projection.bytes()
    }

    /// Lengths of the largest map, twice, and of what is pooled.
    fn buffers(&self, [batches, height, width]: [usize; 3]) -> [usize; 3] {
        let map = |(i, stage): (usize, &Stage)| stage.len([batches, height >> i, width >> i]);
        let most = self.stages.iter().enumerate().map(map).max().unwrap_or(0);
        [most, most, batches * self.head_norm.dim()]
    }
}

impl Stage {
    /// Binds the stage `scope`; `inputs` are the channels of the one before.
    fn bind(scope: &Scope<'_>, config: &ConvNextStage, inputs: Option<usize>, eps: f32) -> Result<Self> {
        let &ConvNextStage { width, blocks, intermediate_size } = config;
        let downsample = |inputs: usize| {
            let scope = scope.at("downsample");
            let shape = ConvShape::new(inputs, width, [2, 2]).with_stride([2, 2]);
            Ok((LayerNorm::bind(&scope.at(0), inputs, eps)?, Conv2d::bind(&scope.at(1), shape)?))
        };
        let block = |i: usize| {
            let scope = scope.at("blocks").at(i);
            scope.balance("norm", &["mlp.fc1.weight"])?;
            let mlp = scope.at("mlp");
            let scales = scope.f32("gamma", &[width])?;
            let fc1 = Linear::bind(&mlp.at("fc1"), [intermediate_size, width])?;
            let fc2 = bind_scaled(&mlp.at("fc2"), &[width, intermediate_size], &scales)?;
            let shape = ConvShape::depthwise(width, [7, 7]).with_padding([3, 3]);
            Ok(Block {
                conv: Conv2d::bind(&scope.at("conv_dw"), shape)?,
                norm: LayerNorm::bind(&scope.at("norm"), width, eps)?,
                mlp: Mlp::new(fc1, fc2, Activation::Gelu),
            })
        };
        Ok(Self {
            downsample: inputs.map(downsample).transpose()?,
            blocks: (0..blocks).map(block).try_values()?,
            width,
        })
    }

    /// Length of a map of `[images, height, width]` pixels.
    fn len(&self, size: [usize; 3]) -> usize {
        size.into_iter().product::<usize>() * self.width
    }

    fn bytes(&self) -> usize {
        let blocks = self.blocks.iter().map(|it| it.conv.bytes() + it.norm.bytes() + it.mlp.bytes());
        let downsample = self.downsample.as_ref().map_or(0, |(norm, conv)| norm.bytes() + conv.bytes());
        blocks.sum::<usize>() + downsample
    }
}
