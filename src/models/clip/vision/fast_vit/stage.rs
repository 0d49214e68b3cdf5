//! Blocks of one resolution, and what leads to it.

use alloc::vec::Vec;

use super::attention_block::AttentionBlock;
use super::doubled::{Doubling, Gate, Halves};
use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq, TryCollect};
use crate::kernels::activation::Activation;
use crate::kernels::conv::ConvShape;
use crate::models::clip::config::FastVitStage;
use crate::models::clip::mobile::{
    Branches, MixerBlock, Names, StageScopes, large_kernel, mobile_one, mobile_one_bias, positions,
};
use crate::nn::{Conv2d, Trace};
use crate::weights::Scope;

/// `blocks(positions(downsample(x)))`.
#[derive(Debug)]
pub(super) struct Stage {
    /// `None` for the first stage.
    downsample: Option<Downsample>,
    /// `x + conv(x)` in one convolution.
    positions: Option<Conv2d>,
    blocks: Vec<Block>,
    width: usize,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a tower has some ten")]
enum Block {
    Mixer(MixerBlock),
    Attention(AttentionBlock),
}

/// Kernels of the blocks' mixers and MLPs.
const KERNELS: [[usize; 2]; 2] = [[3, 3], [7, 7]];

impl Stage {
    /// Binds the stage; `inputs` are the channels of the one before.
    pub(super) fn bind(
        scopes: &StageScopes<'_>,
        names: &Names,
        config: &FastVitStage,
        inputs: Option<usize>,
    ) -> Result<Self> {
        let FastVitStage { width, blocks, intermediate_size, has_attention } = *config;
        let widths = [width, intermediate_size];
        let downsample = scopes.downsample.as_ref().zip(inputs);
        let downsample = downsample.map(|(scope, inputs)| Downsample::bind(scope, names, inputs));
        let encode = |scope: &Scope<'_>| {
            let shape = ConvShape::depthwise(width, [7, 7]).with_padding([3, 3]);
            let [weight, bias] = positions(scope, names, shape)?;
            Conv2d::new(scope.packing(), shape, &weight, Some(bias))
        };
        let block = |i: usize| {
            let scope = scopes.blocks.at(i);
            if has_attention {
                return AttentionBlock::bind(&scope, names, widths, KERNELS[1]).map(Block::Attention);
            }
            MixerBlock::bind(&scope, names, widths, KERNELS).map(Block::Mixer)
        };
        Ok(Self {
            downsample: downsample.transpose()?,
            positions: scopes.positions.as_ref().map(encode).transpose()?,
            blocks: (0..blocks).map(block).try_values()?,
            width,
        })
    }

    /// `x: [images, height, width, inputs]` to `out: [images, height', width', outputs]`; `step` is called after every block.
    #[allow(clippy::too_many_arguments, reason = "the number of the stage, maps, a trace and a monitor")]
    pub(super) fn forward(
        &self,
        cx: &Cx,
        number: usize,
        size: [usize; 3],
        x: &[f32],
        out: &mut [f32],
        mut scratch: Scratch<'_>,
        trace: &mut Trace<'_>,
        mut step: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let spare = scratch.take(out.len());
        // Convolutions cannot work in place: every one leads to the other buffer, and the last one to `out`.
        let (mut x_now, mut other) =
            if self.changes().is_multiple_of(2) { (out, spare) } else { (spare, out) };
        match &self.downsample {
            Some(downsample) => {
                downsample.forward(cx, size, x, x_now, scratch.frame());
                trace.stage(format_args!("vision.stages.{number}.downsample"), x_now);
            }
            None => x_now.copy_from_slice(x),
        }
        let size = self.output_size(size);
        if let Some(positions) = &self.positions {
            positions.forward_batch(cx, size, x_now, Activation::None, other, scratch.frame());
            core::mem::swap(&mut x_now, &mut other);
        }
        for (i, block) in self.blocks.iter().enumerate() {
            match block {
                Block::Mixer(block) => {
                    block.forward(cx, size, x_now, other, scratch.frame());
                    core::mem::swap(&mut x_now, &mut other);
                }
                Block::Attention(block) => block.forward(cx, size, x_now, other, scratch.frame()),
            }
            trace.stage(format_args!("vision.stages.{number}.blocks.{i}"), x_now);
            step()?;
        }
        Ok(())
    }

    /// How often the map moves to another buffer.
    fn changes(&self) -> usize {
        let mixers = self.blocks.iter().filter(|block| matches!(block, Block::Mixer(_)));
        usize::from(self.positions.is_some()) + mixers.count()
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub(super) fn scratch_req(&self, cx: &Cx, size: [usize; 3]) -> ScratchReq {
        let inner = self.output_size(size);
        let blocks = self.blocks.iter().map(|block| match block {
            Block::Mixer(block) => block.scratch_req(cx, inner),
            Block::Attention(block) => block.scratch_req(cx, inner),
        });
        let none = ScratchReq::NONE;
        let downsample = self.downsample.as_ref().map_or(none, |layer| layer.scratch_req(cx, size));
        let positions = self.positions.as_ref().map_or(none, |conv| conv.batch_scratch_req(cx, inner));
        ScratchReq::slice(self.output_len(size)).and(downsample.or(positions).or(ScratchReq::any(blocks)))
    }

    /// `[images, height, width]` of the output.
    pub(super) fn output_size(&self, [images, height, width]: [usize; 3]) -> [usize; 3] {
        if self.downsample.is_some() { [images, height / 2, width / 2] } else { [images, height, width] }
    }

    /// Length of the output.
    pub(super) fn output_len(&self, size: [usize; 3]) -> usize {
        self.output_size(size).into_iter().product::<usize>() * self.width
    }

    /// Blocks.
    pub(super) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    pub(super) fn bytes(&self) -> usize {
        let blocks = self.blocks.iter().map(|block| match block {
            Block::Mixer(block) => block.bytes(),
            Block::Attention(block) => block.bytes(),
        });
        self.downsample.as_ref().map_or(0, Downsample::bytes)
            + self.positions.as_ref().map_or(0, Conv2d::bytes)
            + blocks.sum::<usize>()
    }
}

/// `gelu(pointwise(gelu(gate(large(x)))))`: half the resolution, twice the channels. Some have no gate.
#[derive(Debug)]
struct Downsample {
    large: Doubling,
    gate: Option<Gate>,
    pointwise: Halves,
}

impl Downsample {
    /// Binds the layers of a map of `inputs` channels.
    fn bind(scope: &Scope<'_>, names: &Names, inputs: usize) -> Result<Self> {
        let outputs = 2 * inputs;
        let [large, pointwise] = [0, 1].map(|i| scope.at(i));
        let shape = Doubling::shape(inputs, 7, 2);
        let [weight, bias] = large_kernel(&large, names, shape)?;
        let has_gate = large.at("se").names().next().is_some();
        let gate = has_gate.then(|| Gate::bind(&large.at("se"), ["fc1", "fc2"], inputs));
        const BRANCHES: Branches = Branches { convs: true, pointwise: false, skip: true };
        let weights = || mobile_one(&pointwise, names, ConvShape::new(outputs, outputs, [1, 1]), BRANCHES);
        let pointwise_bias = mobile_one_bias(&pointwise, names, outputs, BRANCHES)?;
        Ok(Self {
            large: Doubling::new(scope, shape, &weight, &bias)?,
            gate: gate.transpose()?,
            pointwise: Halves::bind(&pointwise, "weight", [outputs, inputs], Some(pointwise_bias), weights)?,
        })
    }

    fn forward(&self, cx: &Cx, size: [usize; 3], x: &[f32], out: &mut [f32], mut scratch: Scratch<'_>) {
        let [even, odd] = scratch.take_all([out.len() / 2; 2]);
        let activation = if self.gate.is_some() { Activation::None } else { Activation::Gelu };
        self.large.forward(cx, size, x, activation, [&mut *even, &mut *odd], scratch.frame());
        if let Some(gate) = &self.gate {
            gate.forward(cx, size[0], [&mut *even, &mut *odd], Activation::Gelu, scratch.frame());
        }
        self.pointwise.forward(cx, [even, odd], Activation::Gelu, out, scratch);
    }

    fn scratch_req(&self, cx: &Cx, [images, height, width]: [usize; 3]) -> ScratchReq {
        let pixels = images * (height / 2) * (width / 2);
        let map = pixels * self.pointwise.outputs() / 2;
        ScratchReq::slices([map; 2]).and(ScratchReq::any([
            self.large.scratch_req(cx, [images, height, width]),
            self.gate.as_ref().map_or(ScratchReq::NONE, |gate| gate.scratch_req(cx, images)),
            self.pointwise.scratch_req(cx, pixels),
        ]))
    }

    fn bytes(&self) -> usize {
        self.large.bytes() + self.gate.as_ref().map_or(0, Gate::bytes) + self.pointwise.bytes()
    }
}
