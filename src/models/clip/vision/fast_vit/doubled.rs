//! Convolutions that make two channels of each, and what follows them.
//!
//! Output `2c + r` of such a convolution is of input `c`. Here the outputs with `r = 0` and those with `r = 1` are a map each, made
//! by a depthwise convolution, and what reads them reads two maps.

use alloc::format;
use alloc::vec::Vec;

use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq, TryCollect, try_zeroed};
use crate::kernels::activation::{Activation, scaled_sigmoid};
use crate::kernels::channels;
use crate::kernels::conv::ConvShape;
use crate::kernels::gemm::{Destination, Rows};
use crate::models::limit;
use crate::nn::{Conv2d, Linear};
use crate::weights::Scope;

/// The convolution.
#[derive(Debug)]
pub(super) struct Doubling([Conv2d; 2]);

impl Doubling {
    /// The shape of such a convolution of `channels`.
    pub(super) fn shape(channels: usize, kernel: usize, stride: usize) -> ConvShape {
        ConvShape::new(channels, 2 * channels, [kernel; 2])
            .with_groups(channels)
            .with_stride([stride; 2])
            .with_padding([kernel / 2; 2])
    }

    /// The convolution of `shape` with this kernel and bias.
    pub(super) fn new(scope: &Scope<'_>, shape: ConvShape, weight: &[f32], bias: &[f32]) -> Result<Self> {
        let half = ConvShape { outputs: shape.inputs, ..shape };
        let taps = shape.kernel[0] * shape.kernel[1];
        let conv = |r: usize| -> Result<Conv2d> {
            let kernels = weight.chunks_exact(taps).skip(r).step_by(2).flatten().copied();
            let kernels: Vec<f32> = kernels.try_to_vec()?;
            let bias = bias.iter().skip(r).step_by(2).copied().try_to_vec()?;
            Conv2d::new(scope.packing(), half, &kernels, Some(bias))
        };
        Ok(Self([conv(0)?, conv(1)?]))
    }

    /// `out` ← both maps of `x: [images, height, width, channels]`.
    pub(super) fn forward(
        &self,
        cx: &Cx,
        size: [usize; 3],
        x: &[f32],
        activation: Activation,
        out: [&mut [f32]; 2],
        mut scratch: Scratch<'_>,
    ) {
        for (conv, out) in self.0.iter().zip(out) {
            conv.forward_batch(cx, size, x, activation, out, scratch.frame());
        }
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub(super) fn scratch_req(&self, cx: &Cx, size: [usize; 3]) -> ScratchReq {
        self.0[0].batch_scratch_req(cx, size)
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(Conv2d::bytes).sum()
    }
}

/// A linear layer over two maps.
#[derive(Debug)]
pub(super) struct Halves([Linear; 2]);

impl Halves {
    /// The layer with the matrix `key` of `scope`, `[outputs, 2 · channels]`, which `values` reads.
    pub(super) fn bind(
        scope: &Scope<'_>,
        key: &str,
        [outputs, channels]: [usize; 2],
        bias: Option<Vec<f32>>,
        values: impl Fn() -> Result<Vec<f32>>,
    ) -> Result<Self> {
        let half = |r: usize, bias: Option<Vec<f32>>| {
            let weight = scope.pack(&format!("{key}[{r}::2]"), [outputs, channels], || {
                values()?.into_iter().skip(r).step_by(2).try_to_vec()
            });
            weight.map(|weight| Linear::of(weight, bias))
        };
        Ok(Self([half(0, bias)?, half(1, None)?]))
    }

    /// `out: [rows, outputs]` ← `activation(layer(x))` for both maps `x: [rows, channels]`.
    pub(super) fn forward(
        &self,
        cx: &Cx,
        [even, odd]: [&[f32]; 2],
        activation: Activation,
        out: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        let [first, second] = &self.0;
        let (channels, stride) = (first.inputs(), first.outputs());
        let rows = |x| Rows::new(x, even.len() / channels, channels);
        let output = Destination::Store { out: &mut *out, stride };
        first.forward(cx, &rows(even), Activation::None, output, scratch.frame());
        second.forward(cx, &rows(odd), activation, Destination::ActivateSum { out, stride }, scratch);
    }

    /// Scratch that [`forward`](Self::forward) needs for so many rows.
    pub(super) fn scratch_req(&self, cx: &Cx, rows: usize) -> ScratchReq {
        self.0[0].scratch_req(cx, rows)
    }

    /// Output features.
    pub(super) fn outputs(&self) -> usize {
        self.0[0].outputs()
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(Linear::bytes).sum()
    }
}

/// Squeeze and excitation (Hu et al., 2018) of two maps: every channel times `σ(fc2(relu(fc1(means))))`.
#[derive(Debug)]
pub(super) struct Gate {
    fc1: Halves,
    fc2: [Linear; 2],
}

impl Gate {
    /// Binds the layers called `names` for maps of `channels`. Their weights stay f32.
    pub(super) fn bind(scope: &Scope<'_>, names: [&str; 2], channels: usize) -> Result<Self> {
        let scope = scope.keep_f32();
        let [fc1, fc2] = names.map(|name| scope.at(name));
        let [inner, ..]: [usize; 4] = fc1.dims("weight")?;
        limit("squeezed channels", inner, 2 * channels)?;
        let squeeze = || fc1.f32("weight", &[inner, 2 * channels, 1, 1]);
        let bias = fc1.f32("bias", &[inner])?;
        let all = fc2.f32("bias", &[2 * channels])?;
        let excite = |r: usize| -> Result<Linear> {
            let weight = fc2.pack(&format!("weight[{r}::2]"), [channels, inner], || {
                let all = fc2.f32("weight", &[2 * channels, inner, 1, 1])?;
                let mut rows = try_zeroed(channels * inner)?;
                let all = all.chunks_exact(inner).skip(r).step_by(2);
                rows.chunks_exact_mut(inner).zip(all).for_each(|(row, from)| row.copy_from_slice(from));
                Ok(rows)
            })?;
            Ok(Linear::of(weight, Some(all.iter().skip(r).step_by(2).copied().try_to_vec()?)))
        };
        Ok(Self {
            fc1: Halves::bind(&fc1, "weight", [inner, channels], Some(bias), squeeze)?,
            fc2: [excite(0)?, excite(1)?],
        })
    }

    /// `x ← activation(gate ∘ x)` for both maps `x: [images, pixels, channels]`.
    pub(super) fn forward(
        &self,
        cx: &Cx,
        images: usize,
        [even, odd]: [&mut [f32]; 2],
        activation: Activation,
        mut scratch: Scratch<'_>,
    ) {
        let (inner, channels) = (self.fc1.outputs(), self.fc2[0].outputs());
        let [mean, other, squeezed] = scratch.take_all(self.buffers(images));
        channels::means(cx, even, channels, mean);
        channels::means(cx, odd, channels, other);
        self.fc1.forward(cx, [mean, other], Activation::Relu, squeezed, scratch.frame());
        for (fc2, x) in self.fc2.iter().zip([even, odd]) {
            let output = Destination::Store { out: &mut *mean, stride: channels };
            fc2.forward(cx, &Rows::new(squeezed, images, inner), Activation::None, output, scratch.frame());
            scaled_sigmoid(cx, mean, 1.0, 0.0, other);
            channels::scale(cx, x, channels, other, activation);
        }
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub(super) fn scratch_req(&self, cx: &Cx, images: usize) -> ScratchReq {
        let layers = self.fc1.scratch_req(cx, images).or(self.fc2[0].scratch_req(cx, images));
        ScratchReq::slices(self.buffers(images)).and(layers)
    }

    pub(super) fn bytes(&self) -> usize {
        self.fc1.bytes() + self.fc2.iter().map(Linear::bytes).sum::<usize>()
    }

    /// Lengths of the means of each map and of what they are squeezed to.
    fn buffers(&self, images: usize) -> [usize; 3] {
        let channels = images * self.fc2[0].outputs();
        [channels, channels, images * self.fc1.outputs()]
    }
}
