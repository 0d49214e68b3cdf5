//! MobileCLIP's image towers S0 to S4: FastViT (Vasu et al., 2023) with what MobileCLIP (Vasu et al., 2024) changed in it.
//!
//! Branches and batch norms are folded when they are bound. Sources: `mobileclip/models/mci.py` of `ml-mobileclip`, and
//! `fastvit.py` of timm, which has S3 and S4, too.

mod attention_block;
mod doubled;
mod stage;

use alloc::vec::Vec;

use self::doubled::{Doubling, Gate, Halves};
use self::stage::Stage;
use super::check_multiples;
use crate::error::Result;
use crate::exec::{Cx, Monitor, Scratch, ScratchReq, TryCollect};
use crate::kernels::activation::Activation;
use crate::kernels::channels;
use crate::kernels::conv::ConvShape;
use crate::kernels::gemm::{Destination, Rows};
use crate::models::clip::config::FastVitConfig;
use crate::models::clip::mobile::{Branches, Names, mobile_one, mobile_one_bias, stage_scopes};
use crate::models::clip::naming::Naming;
use crate::nn::{Conv2d, Linear, Trace};
use crate::weights::Scope;

/// The stages through which pictures go one by one, since their maps are large; through the others, whose weights are, they
/// go together.
const PICTURE_STAGES: usize = 2;

/// Stem, stages, a last convolution with a gate, the mean of all pixels, projection.
#[derive(Debug)]
pub struct FastVit {
    conv1: Conv2d,
    conv2: Conv2d,
    conv3: Linear,
    stages: Vec<Stage>,
    final_conv: Doubling,
    final_gate: Gate,
    head: Halves,
    /// Channels of the last stage.
    width: usize,
    /// Pixels of the input to one of its pixels.
    reduction: usize,
}

impl FastVit {
    /// Binds the tower of the checkpoint `scope`.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(scope: &Scope<'_>, naming: Naming, config: &FastVitConfig) -> Result<Self> {
        let names = Names::of(naming);
        let trunk = scope.at(names.trunk);
        let scopes = stage_scopes(&trunk, naming)?;
        let stages = config.stages();
        let stage = |i: usize| {
            let inputs = i.checked_sub(1).map(|before| stages[before].width);
            Stage::bind(&scopes[i], names, &stages[i], inputs)
        };
        let (first, width) = (stages[0].width, stages[stages.len() - 1].width);
        let stem = trunk.at(names.stem).keep_f32();
        // The stems of S3 and S4 have no branch of one tap.
        let pointwise = stages.len() < FastVitConfig::MOST_STAGES;
        let branches = Branches { convs: true, pointwise, skip: false };
        let conv = |i: usize, shape: ConvShape| {
            let scope = stem.at(i);
            let shape = shape.with_stride([2, 2]).with_padding([1, 1]);
            let weight = mobile_one(&scope, names, shape, branches)?;
            let bias = mobile_one_bias(&scope, names, shape.outputs, branches)?;
            Conv2d::new(stem.packing(), shape, &weight, Some(bias))
        };
        let branches = Branches { convs: true, pointwise: false, skip: true };
        let conv3 = stem.at(2);
        let mix = || mobile_one(&conv3, names, ConvShape::new(first, first, [1, 1]), branches);
        let mixed = mobile_one_bias(&conv3, names, first, branches)?;
        let last = trunk.at(names.final_conv);
        let shape = Doubling::shape(width, 3, 1);
        let branches = Branches { convs: true, pointwise: true, skip: false };
        let weight = mobile_one(&last, names, shape, branches)?;
        let bias = mobile_one_bias(&last, names, 2 * width, branches)?;
        Ok(Self {
            conv1: conv(0, ConvShape::new(3, first, [3, 3]).planar())?,
            conv2: conv(1, ConvShape::depthwise(first, [3, 3]))?,
            conv3: Linear::of(conv3.pack("weight", [first, first], mix)?, Some(mixed)),
            stages: (0..stages.len()).map(stage).try_values()?,
            final_conv: Doubling::new(&trunk, shape, &weight, &bias)?,
            final_gate: Gate::bind(&last.at("se"), names.final_gate, width)?,
            head: bind_head(&trunk.at("head").keep_f32(), naming, [config.embed_dim, width])?,
            width,
            reduction: config.reduction(),
        })
    }

    /// Embeds `pixels: [batches, 3, height, width]` into `out: [batches, outputs]`, not normalised.
    ///
    /// The stages of the trace up to the second are shown once for every picture. What is pooled is shown in two parts: the
    /// channels of even numbers, and those of odd ones.
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
        let steps = batches * (1 + self.stages.iter().map(Stage::blocks).sum::<usize>()) + 1;
        let mut done = 0;
        let mut step = |count: usize| {
            done += count;
            monitor.report(done, steps)
        };
        step(0)?;

        // Picture by picture.
        let (first, second) = self.stages.split_at(PICTURE_STAGES);
        let quarter = [1, height / 4, width / 4];
        let [kept_len, between_len] = self.kept_lens(quarter);
        let kept = scratch.take(batches * kept_len);
        for (pixels, kept) in pixels.chunks_exact(3 * height * width).zip(kept.chunks_exact_mut(kept_len)) {
            let mut scratch = scratch.frame();
            let [x, y] = scratch.take_all([self.stem_len(quarter), between_len]);
            self.embed(cx, [height, width], pixels, x, scratch.frame());
            trace.stage(format_args!("vision.stem"), x);
            step(1)?;
            first[0].forward(cx, 0, quarter, x, y, scratch.frame(), &mut trace, || step(1))?;
            first[1].forward(cx, 1, quarter, y, kept, scratch, &mut trace, || step(1))?;
        }

        // All together.
        let mut size = [batches, height / 8, width / 8];
        let mut x = &mut *kept;
        for (i, stage) in second.iter().enumerate() {
            let out = scratch.take(stage.output_len(size));
            let step = || step(batches);
            stage.forward(cx, PICTURE_STAGES + i, size, x, out, scratch.frame(), &mut trace, step)?;
            size = stage.output_size(size);
            x = out;
        }
        let [even, odd, mean, other] = scratch.take_all(self.head_buffers(size));
        self.final_conv.forward(cx, size, x, Activation::None, [&mut *even, &mut *odd], scratch.frame());
        self.final_gate.forward(cx, batches, [&mut *even, &mut *odd], Activation::Gelu, scratch.frame());
        channels::means(cx, even, self.width, mean);
        channels::means(cx, odd, self.width, other);
        trace.stage(format_args!("vision.pooled.even"), mean);
        trace.stage(format_args!("vision.pooled.odd"), other);
        self.head.forward(cx, [mean, other], Activation::None, out, scratch);
        trace.stage(format_args!("image_embeds"), out);
        Ok(())
    }

    /// `x ← stem(pixels)`, `[height / 4, width / 4, channels]`.
    fn embed(&self, cx: &Cx, size: [usize; 2], pixels: &[f32], x: &mut [f32], mut scratch: Scratch<'_>) {
        let channels = self.conv3.outputs();
        let [y, z] = scratch.take_all([4 * x.len(), x.len()]);
        self.conv1.forward(cx, size, pixels, Activation::Gelu, y, scratch.frame());
        self.conv2.forward(cx, size.map(|side| side / 2), y, Activation::Gelu, z, scratch.frame());
        let rows = Rows::new(z, z.len() / channels, channels);
        self.conv3.forward(
            cx,
            &rows,
            Activation::Gelu,
            Destination::Store { out: x, stride: channels },
            scratch,
        );
    }

    /// Whether inputs may have `[height, width]` pixels.
    ///
    /// # Errors
    /// `InvalidArgument` unless the sides are multiples of what becomes one pixel of the last map.
    pub fn check_input(&self, size: [usize; 2]) -> Result<()> {
        check_multiples("FastViT", self.reduction, size)
    }

    /// Features of an embedding.
    pub fn outputs(&self) -> usize {
        self.head.outputs()
    }

    /// Pixels of the third stage's map, the largest that is computed for several pictures at once.
    pub fn tokens(&self, [height, width]: [usize; 2]) -> usize {
        (height / 16) * (width / 16)
    }

    /// Scratch that [`forward`](Self::forward) needs; nothing for an input that it refuses.
    pub fn scratch_req(&self, cx: &Cx, [batches, height, width]: [usize; 3]) -> ScratchReq {
        if self.check_input([height, width]).is_err() {
            return ScratchReq::NONE;
        }
        let (first, second) = self.stages.split_at(PICTURE_STAGES);
        let quarter = [1, height / 4, width / 4];
        let [kept_len, between_len] = self.kept_lens(quarter);
        let stem_len = self.stem_len(quarter);
        let rows = quarter.into_iter().product();
        let stem = ScratchReq::slices([4 * stem_len, stem_len]).and(ScratchReq::any([
            self.conv1.scratch_req(cx, [height, width]),
            self.conv2.scratch_req(cx, [height / 2, width / 2]),
            self.conv3.scratch_req(cx, rows),
        ]));
        let picture = ScratchReq::slices([stem_len, between_len]).and(ScratchReq::any([
            stem,
            first[0].scratch_req(cx, quarter),
            first[1].scratch_req(cx, quarter),
        ]));
        // What is held grows with every stage.
        let mut size = [batches, height / 8, width / 8];
        let mut held = ScratchReq::slice(batches * kept_len);
        let mut most = held.and(picture);
        for stage in second {
            held = held.and(ScratchReq::slice(stage.output_len(size)));
            most = most.or(held.and(stage.scratch_req(cx, size)));
            size = stage.output_size(size);
        }
        most.or(held.and(ScratchReq::slices(self.head_buffers(size))).and(ScratchReq::any([
            self.final_conv.scratch_req(cx, size),
            self.final_gate.scratch_req(cx, batches),
            self.head.scratch_req(cx, batches),
        ])))
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        self.conv1.bytes()
            + self.conv2.bytes()
            + self.conv3.bytes()
            + self.stages.iter().map(Stage::bytes).sum::<usize>()
            + self.final_conv.bytes()
            + self.final_gate.bytes()
            + self.head.bytes()
    }

    /// Length of what the stem makes of a picture.
    fn stem_len(&self, quarter: [usize; 3]) -> usize {
        quarter.into_iter().product::<usize>() * self.conv3.outputs()
    }

    /// Lengths of what is kept of a picture before all of them go on, and of the map before that.
    fn kept_lens(&self, quarter: [usize; 3]) -> [usize; 2] {
        [&self.stages[1], &self.stages[0]].map(|stage| stage.output_len(quarter))
    }

    /// Lengths of both maps of the last convolution and of their means.
    fn head_buffers(&self, [images, height, width]: [usize; 3]) -> [usize; 4] {
        let means = images * self.width;
        let map = means * height * width;
        [map, map, means, means]
    }
}

/// The projection of the means. Apple's has no bias and is stored as `[inputs, outputs]`.
fn bind_head(scope: &Scope<'_>, naming: Naming, [outputs, channels]: [usize; 2]) -> Result<Halves> {
    if naming != Naming::MobileClip {
        let fc = scope.at("fc");
        let weight = || fc.f32("weight", &[outputs, 2 * channels]);
        return Halves::bind(&fc, "weight", [outputs, channels], Some(fc.f32("bias", &[outputs])?), weight);
    }
    Halves::bind(scope, "proj", [outputs, channels], None, || {
        let stored = scope.f32("proj", &[2 * channels, outputs])?;
        (0..outputs).flat_map(|row| stored.iter().skip(row).step_by(outputs).copied()).try_to_vec()
    })
}
