//! A transformer block with attention in windows or over the whole grid, which may reduce the grid to half its sides.

use alloc::vec::Vec;
use core::ops::Range;

use crate::error::Result;
use crate::exec::{Cx, Scratch, padded};
use crate::kernels::activation::Activation;
use crate::kernels::attention::{
    Bias, WindowShape, attention_pooled_windows, attention_windows, windows_scratch_len,
};
use crate::kernels::gemm::{Output, Rows};
use crate::kernels::pool::max_pool;
use crate::models::sam2::config::HieraBlock;
use crate::models::sam2::naming::EncoderNames;
use crate::nn::{LayerNorm, Linear, Mlp};
use crate::weights::Scope;

/// `x += attn(norm1(x)); x += mlp(norm2(x))`; where the grid is reduced,
/// `y = pool(proj(norm1(x))) + attn(norm1(x)); y += mlp(norm2(y))`, and the queries of `attn` are pooled.
///
/// The grid is worked on in bands of whole windows, so that what lies between its tokens coming in and going out is
/// small and stays in the cache.
///
/// The reference pads the grid to whole windows after `norm1`, with zeros, so that queries, keys and values of the
/// padding are the bias of the QKV product. Here they are not computed; windows are only a way of reading the grid.
#[derive(Debug)]
pub(super) struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    /// What `qkv` is for the padding of windows, `[3, heads, head_dim]`.
    padding: Vec<f32>,
    attn_proj: Linear,
    /// From the width that comes in to the one that goes out.
    proj: Option<Linear>,
    norm2: LayerNorm,
    mlp: Mlp,
    heads: usize,
    /// Side of the windows; of the grid if attention is global.
    window: usize,
    /// Tokens along a side that come in.
    side: usize,
}

/// Tokens of a band, about: enough for products to be efficient.
const BAND: usize = 2048;

impl Block {
    /// Binds the block `scope` for a grid of `side × side` tokens that come in.
    pub(super) fn bind(
        scope: &Scope<'_>,
        names: &EncoderNames,
        config: &HieraBlock,
        eps: f32,
        side: usize,
    ) -> Result<Self> {
        let HieraBlock { input, dim, .. } = *config;
        let attn = scope.at("attn");
        let weight = attn.f32("qkv.weight", &[3 * dim, input])?;
        let padding = attn.f32("qkv.bias", &[3 * dim])?;
        let [norm1, norm2] = names.norms.map(|name| scope.at(name));
        let proj = config.pooled.then(|| Linear::bind(&scope.at("proj"), [dim, input]));
        Ok(Self {
            norm1: LayerNorm::bind(&norm1, input, eps)?,
            qkv: Linear::new(scope.level(), [3 * dim, input], &weight, Some(padding.clone())),
            padding,
            attn_proj: Linear::bind(&attn.at("proj"), [dim, dim])?,
            proj: proj.transpose()?,
            norm2: LayerNorm::bind(&norm2, dim, eps)?,
            mlp: Mlp::bind(scope, names.mlp, [dim, config.mlp_dim], Activation::Gelu)?,
            heads: config.heads,
            window: config.window.unwrap_or(side),
            side,
        })
    }

    /// Updates `x: [side, side, D]`.
    ///
    /// # Panics
    /// If this block [`reduce`](Self::reduce)s.
    pub(super) fn forward(&self, cx: &Cx, x: &mut [f32], mut scratch: Scratch<'_>) {
        assert!(self.proj.is_none(), "a block that reduces");
        let dim = self.outputs();
        for rows in self.bands() {
            let x = &mut x[rows.start * self.side * dim..rows.end * self.side * dim];
            let tokens = rows.len() * self.side;
            let mut frame = scratch.frame();
            let qkv = frame.take(tokens * 3 * dim);
            let y = frame.take(tokens * dim);
            self.norm1.forward(cx, x, y);
            let output = Output::Store { out: qkv, stride: 3 * dim };
            self.qkv.forward(cx, &Rows::new(y, tokens, dim), Activation::None, output, frame.frame());

            let (shape, scale) = (self.attention(rows.len()), self.scale());
            attention_windows(cx, &shape, scale, qkv, &self.padding, Bias::None, y, frame.frame());
            self.add_attended(cx, y, x, frame);
            self.mlp.forward_add(cx, &self.norm2, x, scratch.frame());
        }
    }

    /// `y: [side / 2, side / 2, outputs]` from `x: [side, side, inputs]`.
    ///
    /// # Panics
    /// If this block does not reduce.
    pub(super) fn reduce(&self, cx: &Cx, x: &[f32], y: &mut [f32], mut scratch: Scratch<'_>) {
        let proj = self.proj.as_ref().expect("a block that reduces");
        let (inputs, dim) = (proj.inputs(), proj.outputs());
        for rows in self.bands() {
            let x = &x[rows.start * self.side * inputs..rows.end * self.side * inputs];
            let y = &mut y[rows.start / 2 * (self.side / 2) * dim..rows.end / 2 * (self.side / 2) * dim];
            let (size, tokens) = ([rows.len(), self.side], rows.len() * self.side);
            let mut frame = scratch.frame();
            let qkv = frame.take(tokens * 3 * dim);
            let normed = frame.take(tokens * inputs);
            self.norm1.forward(cx, x, normed);
            let normed = Rows::new(normed, tokens, inputs);

            // The residual; the place of QKV is still free.
            let wide = &mut qkv[..tokens * dim];
            let output = Output::Store { out: wide, stride: dim };
            proj.forward(cx, &normed, Activation::None, output, frame.frame());
            max_pool(cx, size, dim, wide, dim, y);

            let output = Output::Store { out: qkv, stride: 3 * dim };
            self.qkv.forward(cx, &normed, Activation::None, output, frame.frame());
            let queries = frame.take(y.len());
            max_pool(cx, size, dim, qkv, 3 * dim, queries);
            let attended = frame.take(y.len());
            let (shape, scale) = (self.attention(rows.len()), self.scale());
            attention_pooled_windows(cx, &shape, scale, queries, qkv, &self.padding, attended, frame.frame());
            self.add_attended(cx, attended, y, frame);
            self.mlp.forward_add(cx, &self.norm2, y, scratch.frame());
        }
    }

    /// `x += attn_proj(attended)`.
    fn add_attended(&self, cx: &Cx, attended: &[f32], x: &mut [f32], scratch: Scratch<'_>) {
        let dim = self.outputs();
        let output = Output::Add { out: x, stride: dim };
        let attended = Rows::new(attended, attended.len() / dim, dim);
        self.attn_proj.forward(cx, &attended, Activation::None, output, scratch);
    }

    pub(super) fn scratch_len(&self, cx: &Cx) -> usize {
        let (inputs, dim) = (self.qkv.inputs(), self.outputs());
        // The first band is the largest.
        let rows = self.bands().next().map_or(0, |rows| rows.len());
        let tokens = rows * self.side;
        let work = windows_scratch_len(cx, &self.attention(rows), &Bias::None)
            .max(self.qkv.scratch_len(cx, tokens))
            .max(self.attn_proj.scratch_len(cx, tokens));
        let reduced = self.proj.as_ref().map_or(0, |proj| {
            2 * padded(tokens / 4 * dim) + proj.scratch_len(cx, tokens).saturating_sub(work)
        });
        let attention = padded(tokens * 3 * dim) + padded(tokens * inputs) + reduced + work;
        attention.max(self.mlp.scratch_len(cx, tokens))
    }

    pub(super) fn bytes(&self) -> usize {
        self.norm1.bytes()
            + self.qkv.bytes()
            + size_of_val(&self.padding[..])
            + self.attn_proj.bytes()
            + self.proj.as_ref().map_or(0, Linear::bytes)
            + self.norm2.bytes()
            + self.mlp.bytes()
    }

    /// Features of a token that goes out.
    pub(super) fn outputs(&self) -> usize {
        self.attn_proj.outputs()
    }

    /// Tokens along a side that go out.
    pub(super) fn output_side(&self) -> usize {
        if self.proj.is_some() { self.side / 2 } else { self.side }
    }

    /// The rows of tokens of every band: whole windows, alike up to one window, the larger bands first.
    fn bands(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (side, window) = (self.side, self.window);
        let windows = side.div_ceil(window);
        let count = windows.div_ceil(BAND.div_ceil(window * side));
        let start = move |band: usize| (band * (windows / count) + band.min(windows % count)) * window;
        (0..count).map(move |band| start(band)..start(band + 1).min(side))
    }

    /// Attention in a band of `rows` rows.
    fn attention(&self, rows: usize) -> WindowShape {
        WindowShape {
            grid: [rows, self.side],
            window: [self.window; 2],
            heads: self.heads,
            head_dim: self.outputs() / self.heads,
        }
    }

    fn scale(&self) -> f32 {
        1.0 / libm::sqrtf((self.outputs() / self.heads) as f32)
    }
}
