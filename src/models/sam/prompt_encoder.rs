//! The prompt encoder: points, boxes and masks to embeddings.
//!
//! A place `(x, y)`, in pixels of the square input of side `S`, is encoded by random Fourier features (Tancik et al.,
//! 2020) with the frequencies `G: [2, C / 2]` of the checkpoint:
//!
//! ```text
//! u = 2 · (x + ½, y + ½) / S − 1        pe = [sin(2π u G), cos(2π u G)]
//! ```
//!
//! A point becomes `pe` plus the embedding of its label. A box becomes two such tokens, one for each of two corners. A
//! padding point becomes an embedding alone. In SAM, a padding point follows points without a box; in SAM 2, it follows
//! any points and boxes.

use alloc::vec::Vec;
use core::f32::consts::PI;

use super::config::PromptHeadConfig;
use super::naming::PointNames;
use super::prompt::{Label, Prompt};
use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq, try_zeroed};
use crate::kernels::activation::{self, Activation};
use crate::kernels::conv::ConvShape;
use crate::nn::{Conv2d, LayerNorm};
use crate::weights::Scope;

/// Prompts to embeddings.
#[derive(Debug)]
pub struct PromptEncoder {
    /// `G: [2, C / 2]`
    frequencies: Vec<f32>,
    /// Embeddings of background, foreground, and the first and second corner of a box, `[4, C]`.
    points: Vec<f32>,
    /// `[C]`
    not_a_point: Vec<f32>,
    /// `[C]`
    no_mask: Vec<f32>,
    mask_conv1: Conv2d,
    mask_norm1: LayerNorm,
    mask_conv2: Conv2d,
    mask_norm2: LayerNorm,
    mask_conv3: Conv2d,
    mask_activation: Activation,
    image_size: usize,
    grid: usize,
    always_padded: bool,
}

impl PromptEncoder {
    /// Binds the encoder.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(scope: &Scope<'_>, config: &PromptHeadConfig<'_>) -> Result<Self> {
        let PromptHeadConfig { names, dim, decoder, .. } = config;
        let dim = *dim;
        let frequencies =
            names.frequencies.iter().find(|name| scope.contains(name)).unwrap_or(&names.frequencies[0]);
        let frequencies = scope.f32(frequencies, &[2, dim / 2])?;
        let scope = scope.at(names.prompt_encoder);
        let mut points = try_zeroed(4 * dim)?;
        match names.points {
            PointNames::Together(name) => scope.f32_into(name, &[4, dim], &mut points)?,
            PointNames::Each(name) => {
                for (i, point) in points.chunks_exact_mut(dim).enumerate() {
                    scope.at(name).at(i).f32_into("weight", &[1, dim], point)?;
                }
            }
        }
        let [conv1, norm1, conv2, norm2, conv3] = names.mask.map(|name| scope.at(name));
        let channels = [decoder.mask_channels / 4, decoder.mask_channels];
        let halve = |inputs, outputs| ConvShape::new(inputs, outputs, [2, 2]).with_stride([2, 2]);
        Ok(Self {
            frequencies,
            points,
            not_a_point: scope.f32("not_a_point_embed.weight", &[1, dim])?,
            no_mask: scope.f32("no_mask_embed.weight", &[1, dim])?,
            mask_conv1: Conv2d::bind(&conv1, halve(1, channels[0]))?,
            mask_norm1: LayerNorm::bind(&norm1, channels[0], decoder.mask_norm_eps)?,
            mask_conv2: Conv2d::bind(&conv2, halve(channels[0], channels[1]))?,
            mask_norm2: LayerNorm::bind(&norm2, channels[1], decoder.mask_norm_eps)?,
            mask_conv3: Conv2d::bind(&conv3, ConvShape::new(channels[1], dim, [1, 1]))?,
            mask_activation: decoder.mask_activation,
            image_size: config.image_size,
            grid: config.grid,
            always_padded: decoder.extensions.always_padded,
        })
    }

    /// Number of tokens of the points and the box of a prompt, with the padding point.
    pub fn tokens(&self, prompt: &Prompt<'_>) -> usize {
        let corners = if prompt.bounding_box.is_some() { 2 } else { 0 };
        let places = prompt.points.len() + corners;
        let is_padded = if self.always_padded { places > 0 } else { places > 0 && corners == 0 };
        places + usize::from(is_padded)
    }

    /// Embeds the points and the box of `prompt` into `out: [tokens, C]`: points, corners of the box, padding point.
    /// Coordinates are multiplied by `scale` (horizontal, vertical) to become pixels of the input.
    ///
    /// # Panics
    /// If `out` does not have its size.
    pub fn encode_sparse(&self, prompt: &Prompt<'_>, scale: [f64; 2], out: &mut [f32]) {
        let dim = self.no_mask.len();
        assert_eq!(out.len(), self.tokens(prompt) * dim, "tokens of a prompt");
        let mut tokens = out.chunks_exact_mut(dim);
        for (point, token) in prompt.points.iter().zip(&mut tokens) {
            match point.label {
                Label::Padding => token.copy_from_slice(&self.not_a_point),
                label => self.encode_place([point.x, point.y], scale, label as usize, token),
            }
        }
        if let Some([x0, y0, x1, y1]) = prompt.bounding_box {
            for (i, (corner, token)) in [[x0, y0], [x1, y1]].into_iter().zip(&mut tokens).enumerate() {
                self.encode_place(corner, scale, 2 + i, token);
            }
        }
        tokens.for_each(|token| token.copy_from_slice(&self.not_a_point));
    }

    /// The position encodings of the image embedding, `[grid², C]`: of the centre of every token.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn dense_pe(&self) -> Result<Vec<f32>> {
        let (dim, grid) = (self.no_mask.len(), self.grid);
        let mut out = try_zeroed(grid * grid * dim)?;
        for (i, token) in out.chunks_exact_mut(dim).enumerate() {
            let centre = |at: usize| (at as f32 + 0.5) / grid as f32;
            self.fourier([centre(i % grid), centre(i / grid)], token);
        }
        Ok(out)
    }

    /// Embeds the logits `mask: [4 · grid, 4 · grid]` into `out: [grid², C]`, to be added to the image embedding:
    /// `conv3(act(norm2(conv2(act(norm1(conv1(mask)))))))`, where the first two halve the sides.
    ///
    /// # Panics
    /// If a slice does not have its size, or the scratch is shorter than
    /// [`mask_scratch_req`](Self::mask_scratch_req).
    pub fn encode_mask(&self, cx: &Cx, mask: &[f32], out: &mut [f32], mut scratch: Scratch<'_>) {
        let [whole, half, quarter] = self.mask_sides();
        let [x_len, y_len] = self.mask_buffers();
        let x = scratch.take(x_len);
        self.mask_conv1.forward(cx, whole, mask, Activation::None, x, scratch.frame());
        self.mask_norm1.forward_in_place(cx, x);
        activation::forward(cx.level(), self.mask_activation, x);
        let y = scratch.take(y_len);
        self.mask_conv2.forward(cx, half, x, Activation::None, y, scratch.frame());
        self.mask_norm2.forward_in_place(cx, y);
        activation::forward(cx.level(), self.mask_activation, y);
        self.mask_conv3.forward(cx, quarter, y, Activation::None, out, scratch);
    }

    /// Scratch that [`encode_mask`](Self::encode_mask) needs.
    pub fn mask_scratch_req(&self, cx: &Cx) -> ScratchReq {
        let [whole, half, quarter] = self.mask_sides();
        let [x, y] = self.mask_buffers().map(ScratchReq::slice);
        let after = self.mask_conv2.scratch_req(cx, half).or(self.mask_conv3.scratch_req(cx, quarter));
        x.and(self.mask_conv1.scratch_req(cx, whole).or(y.and(after)))
    }

    /// Side of a mask prompt, in logits.
    pub fn mask_side(&self) -> usize {
        4 * self.grid
    }

    /// The no-mask embedding, `[C]`, which is added to every token of the image embedding if there is no mask prompt.
    pub fn no_mask(&self) -> &[f32] {
        &self.no_mask
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        [&self.frequencies, &self.points, &self.not_a_point, &self.no_mask]
            .iter()
            .map(|values| size_of_val(&values[..]))
            .chain([&self.mask_conv1, &self.mask_conv2, &self.mask_conv3].iter().map(|conv| conv.bytes()))
            .chain([&self.mask_norm1, &self.mask_norm2].iter().map(|norm| norm.bytes()))
            .sum()
    }

    /// Sizes of a mask prompt, and after its first and its second convolution.
    fn mask_sides(&self) -> [[usize; 2]; 3] {
        [4, 2, 1].map(|factor| [factor * self.grid; 2])
    }

    /// Lengths of a mask prompt after its first and its second convolution.
    fn mask_buffers(&self) -> [usize; 2] {
        let [_, half, quarter] = self.mask_sides();
        let len = |[height, width]: [usize; 2], conv: &Conv2d| height * width * conv.shape().outputs;
        [len(half, &self.mask_conv1), len(quarter, &self.mask_conv2)]
    }

    /// `out ← pe(place · scale) + points[embedding]`.
    fn encode_place(&self, place: [f32; 2], scale: [f64; 2], embedding: usize, out: &mut [f32]) {
        let pixel = |axis: usize| (f64::from(place[axis]) * scale[axis]) as f32 + 0.5;
        self.fourier([0, 1].map(|axis| pixel(axis) / self.image_size as f32), out);
        let embedding = &self.points[embedding * out.len()..][..out.len()];
        out.iter_mut().zip(embedding).for_each(|(to, from)| *to += from);
    }

    /// `out ← [sin(2π u G), cos(2π u G)]` with `u = 2 · place − 1`, for a place within 0…1.
    fn fourier(&self, place: [f32; 2], out: &mut [f32]) {
        let [u, v] = place.map(|at| 2.0 * at - 1.0);
        let half = self.frequencies.len() / 2;
        let (horizontal, vertical) = self.frequencies.split_at(half);
        let (sines, cosines) = out.split_at_mut(half);
        for (i, (sine, cosine)) in sines.iter_mut().zip(cosines).enumerate() {
            let angle = 2.0 * PI * (u * horizontal[i] + v * vertical[i]);
            (*sine, *cosine) = libm::sincosf(angle);
        }
    }
}
