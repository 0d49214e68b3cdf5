//! CLIP's modified ResNet (Radford et al., 2021, section 2.4): a stem of three convolutions, average pools in the place of
//! strides, and attention that pools the last map.
//!
//! Batch norms are folded into the convolutions before them. Source: `clip/model.py` of OpenAI's CLIP.

mod attention_pool;
mod bottleneck;
mod stem;

use alloc::vec::Vec;

use self::attention_pool::AttentionPool;
use self::bottleneck::Bottleneck;
use self::stem::Stem;
use crate::error::{Result, err};
use crate::exec::{Cx, Monitor, Scratch, ScratchReq, TryCollect};
use crate::kernels::conv::ConvShape;
use crate::models::clip::config::ResNetConfig;
use crate::nn::{BatchNorm, Conv2d, Linear, Trace, bind_folded};
use crate::weights::Scope;

/// Added to the variance in batch norms.
const EPS: f32 = 1e-5;

/// Pixels of the input to a pixel of the last map.
pub(in crate::models::clip) const REDUCTION: usize = 32;

/// Pixels of the input to a pixel of what [`ResNet::forward`] keeps of every picture before it goes on with all of them.
const KEPT: usize = 8;

/// Stem, four layers of bottlenecks, attention pool.
#[derive(Debug)]
pub struct ResNet {
    stem: Stem,
    layers: [Layer; 4],
    attnpool: AttentionPool,
    image_size: usize,
}

impl ResNet {
    /// Binds the tower `visual` of `scope` for inputs of `image_size` pixels a side, a multiple of 32.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(scope: &Scope<'_>, config: &ResNetConfig, image_size: usize) -> Result<Self> {
        let visual = scope.at("visual");
        let ResNetConfig { width, blocks, .. } = *config;
        let layer = |i: usize| {
            let inputs = if i == 0 { width } else { Bottleneck::EXPANSION * (width << (i - 1)) };
            Layer::bind(&visual.at(format_args!("layer{}", i + 1)), [inputs, width << i], blocks[i], i > 0)
        };
        Ok(Self {
            stem: Stem::bind(&visual.keep_f32(), width)?,
            layers: [layer(0)?, layer(1)?, layer(2)?, layer(3)?],
            attnpool: AttentionPool::bind(&visual.at("attnpool"), config, image_size / REDUCTION)?,
            image_size,
        })
    }

    /// Embeds `pixels: [batches, 3, height, width]` into `out: [batches, outputs]`, not normalised.
    ///
    /// Pictures go one by one through the layers whose maps are large, and together through those whose weights are. The
    /// stages up to `layer2` are therefore shown once for every picture.
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
        let blocks: usize = self.layers.iter().map(|layer| layer.blocks.len()).sum();
        let steps = batches * (1 + blocks) + 1;
        let mut done = 0;
        let mut step = |count: usize| {
            done += count;
            monitor.report(done, steps)
        };
        let [layer1, layer2, layer3, layer4] = &self.layers;
        let side = self.image_size / 4;
        step(0)?;

        // At 1/4 and 1/8 of the resolution, picture by picture.
        let kept_len = layer2.output_len([1, side, side]);
        let kept = scratch.take(batches * kept_len);
        for (pixels, kept) in pixels.chunks_exact(3 * height * width).zip(kept.chunks_exact_mut(kept_len)) {
            let mut scratch = scratch.frame();
            let [x, y] = scratch.take_all(self.picture_buffers());
            self.stem.forward(cx, self.image_size, pixels, x, scratch.frame());
            trace.stage(format_args!("vision.stem"), x);
            step(1)?;
            layer1.forward(cx, [1, side, side], x, y, scratch.frame(), || step(1))?;
            trace.stage(format_args!("vision.layer1"), y);
            layer2.forward(cx, [1, side, side], y, kept, scratch, || step(1))?;
            trace.stage(format_args!("vision.layer2"), kept);
        }

        // At 1/16 and 1/32, all together.
        let [x, y] = scratch.take_all(self.batch_buffers(batches));
        layer3.forward(cx, [batches, side / 2, side / 2], kept, x, scratch.frame(), || step(batches))?;
        trace.stage(format_args!("vision.layer3"), x);
        layer4.forward(cx, [batches, side / 4, side / 4], x, y, scratch.frame(), || step(batches))?;
        trace.stage(format_args!("vision.layer4"), y);
        self.attnpool.forward(cx, batches, y, out, scratch, &mut trace);
        trace.stage(format_args!("image_embeds"), out);
        Ok(())
    }

    /// Whether inputs may have `[height, width]` pixels.
    ///
    /// # Errors
    /// `InvalidArgument` unless both are the model's own: the reference has no positions for others.
    pub fn check_input(&self, [height, width]: [usize; 2]) -> Result<()> {
        let side = self.image_size;
        if [height, width] != [side; 2] {
            return Err(err!(
                InvalidArgument,
                "input of {width}x{height}: the attention pool of this ResNet has positions for {side}x{side} alone"
            ));
        }
        Ok(())
    }

    /// Features of an embedding.
    pub fn outputs(&self) -> usize {
        self.attnpool.outputs()
    }

    /// Pixels of the third layer's map, the largest that is computed for several pictures at once.
    pub fn tokens(&self, [height, width]: [usize; 2]) -> usize {
        (height / (2 * KEPT)) * (width / (2 * KEPT))
    }

    /// Scratch that [`forward`](Self::forward) needs; nothing for an input that it refuses.
    pub fn scratch_req(&self, cx: &Cx, [batches, height, width]: [usize; 3]) -> ScratchReq {
        if self.check_input([height, width]).is_err() {
            return ScratchReq::NONE;
        }
        let [layer1, layer2, layer3, layer4] = &self.layers;
        let side = self.image_size / 4;
        let picture = ScratchReq::slices(self.picture_buffers()).and(ScratchReq::any([
            self.stem.scratch_req(cx, self.image_size),
            layer1.scratch_req(cx, [1, side, side]),
            layer2.scratch_req(cx, [1, side, side]),
        ]));
        let batch = ScratchReq::slices(self.batch_buffers(batches)).and(ScratchReq::any([
            layer3.scratch_req(cx, [batches, side / 2, side / 2]),
            layer4.scratch_req(cx, [batches, side / 4, side / 4]),
            self.attnpool.scratch_req(cx, batches),
        ]));
        ScratchReq::slice(batches * layer2.output_len([1, side, side])).and(picture.or(batch))
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        let layers = self.layers.iter().flat_map(|layer| &layer.blocks);
        self.stem.bytes() + layers.map(Bottleneck::bytes).sum::<usize>() + self.attnpool.bytes()
    }

    /// Lengths of what the stem and the first layer make of a picture.
    fn picture_buffers(&self) -> [usize; 2] {
        let side = self.image_size / 4;
        [self.stem.output_len(self.image_size), self.layers[0].output_len([1, side, side])]
    }

    /// Lengths of what the third and the fourth layer make of a batch.
    fn batch_buffers(&self, batches: usize) -> [usize; 2] {
        let side = self.image_size / KEPT;
        let [_, _, layer3, layer4] = &self.layers;
        [layer3.output_len([batches, side, side]), layer4.output_len([batches, side / 2, side / 2])]
    }
}

/// Bottlenecks of one resolution. The first one may halve the resolution of its input.
#[derive(Debug)]
struct Layer {
    blocks: Vec<Bottleneck>,
}

impl Layer {
    /// Binds `count` blocks, at least one, with `[inputs, planes]` channels.
    fn bind(scope: &Scope<'_>, [inputs, planes]: [usize; 2], count: usize, halves: bool) -> Result<Self> {
        let block = |i: usize| {
            let inputs = if i == 0 { inputs } else { Bottleneck::EXPANSION * planes };
            Bottleneck::bind(&scope.at(i), [inputs, planes], (i == 0).then_some(halves))
        };
        Ok(Self { blocks: (0..count).map(block).try_values()? })
    }

    /// `x: [images, height, width, inputs]` to `out`; `step` is called after every block.
    fn forward(
        &self,
        cx: &Cx,
        size: [usize; 3],
        x: &[f32],
        out: &mut [f32],
        mut scratch: Scratch<'_>,
        mut step: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let (first, rest) = self.blocks.split_first().expect("a layer has blocks");
        first.forward_first(cx, size, x, out, scratch.frame());
        step()?;
        let size = first.output_size(size);
        for block in rest {
            block.forward(cx, size, out, scratch.frame());
            step()?;
        }
        Ok(())
    }

    /// Scratch that [`forward`](Self::forward) needs.
    fn scratch_req(&self, cx: &Cx, size: [usize; 3]) -> ScratchReq {
        let inner = self.blocks[0].output_size(size);
        let rest = self.blocks[1..].iter().map(|block| block.scratch_req(cx, inner));
        self.blocks[0].scratch_req(cx, size).or(ScratchReq::any(rest))
    }

    /// Length of the output for `[images, height, width]` pixels.
    fn output_len(&self, size: [usize; 3]) -> usize {
        self.blocks[0].output_size(size).into_iter().product::<usize>() * self.blocks[0].outputs()
    }
}

/// The convolution `names[0]` with the batch norm `names[1]`.
fn bind_conv(scope: &Scope<'_>, names: [&str; 2], shape: ConvShape) -> Result<Conv2d> {
    let (weight, bias) = bind_folded(scope, names, shape, EPS)?;
    Conv2d::new(scope.packing(), shape, &weight, Some(bias))
}

/// The convolution `names[0]` of 1 × 1 with the batch norm `names[1]`.
fn bind_pointwise(scope: &Scope<'_>, names: [&str; 2], [inputs, outputs]: [usize; 2]) -> Result<Linear> {
    let [conv, norm] = names.map(|name| scope.at(name));
    let norm = BatchNorm::bind(&norm, outputs, EPS)?;
    let weight = conv.pack("weight", [outputs, inputs], || {
        let mut weight = conv.matrix("weight", &[outputs, inputs, 1, 1])?;
        norm.scale(&mut weight);
        Ok(weight)
    })?;
    Ok(Linear::of(weight, Some(norm.into_bias())))
}
