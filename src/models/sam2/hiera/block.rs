//! A transformer block with attention in windows or over the whole grid, which may reduce the grid to half its sides.

use alloc::format;
use core::ops::Range;

use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq, try_copied};
use crate::kernels::activation::Activation;
use crate::kernels::attention::Bias;
use crate::kernels::gemm::{Destination, Rows};
use crate::kernels::pool::max_pool;
use crate::models::sam2::config::HieraBlock;
use crate::models::sam2::naming::EncoderNames;
use crate::nn::{LayerNorm, Linear, Mlp, WindowAttention};
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
    /// In windows, or over the whole grid if these are as large.
    attn: WindowAttention,
    /// From the width that comes in to the one that goes out.
    proj: Option<Linear>,
    norm2: LayerNorm,
    mlp: Mlp,
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
        let after_norm1 = ["attn.qkv.weight", "proj.weight"];
        scope.balance(names.norms[0], if config.pooled { &after_norm1 } else { &after_norm1[..1] })?;
        scope.balance(names.norms[1], &[format!("{}.weight", names.mlp[0])])?;
        let attn = scope.at("attn");
        let shape = [3 * dim, input];
        let weight = attn.pack("qkv.weight", shape, || attn.matrix("qkv.weight", &shape))?;
        let padding = attn.f32("qkv.bias", &[3 * dim])?;
        let [norm1, norm2] = names.norms.map(|name| scope.at(name));
        let proj = config.pooled.then(|| Linear::bind(&scope.at("proj"), [dim, input]));
        let qkv = Linear::of(weight, Some(try_copied(&padding)?));
        let attn_proj = Linear::bind(&attn.at("proj"), [dim, dim])?;
        let window = config.window.unwrap_or(side);
        Ok(Self {
            norm1: LayerNorm::bind(&norm1, input, eps)?,
            attn: WindowAttention::new(qkv, padding, attn_proj, config.heads, window),
            proj: proj.transpose()?,
            norm2: LayerNorm::bind(&norm2, dim, eps)?,
            mlp: Mlp::bind(scope, names.mlp, [dim, config.mlp_dim], Activation::Gelu)?,
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
            let y = frame.take(tokens * dim);
            let grid = [rows.len(), self.side];
            self.attn.forward_add(cx, &self.norm1, grid, Bias::None, x, y, frame);
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
            let [full, pooled] = self.reduce_buffers(rows.len());
            let [qkv, normed] = frame.take_all(full);
            self.norm1.forward(cx, x, normed);
            let normed = Rows::new(normed, tokens, inputs);

            // The residual; the place of QKV is still free.
            let wide = &mut qkv[..tokens * dim];
            let output = Destination::Store { out: wide, stride: dim };
            proj.forward(cx, &normed, Activation::None, output, frame.frame());
            max_pool(cx, size, dim, wide, dim, y);

            self.attn.project(cx, &normed, qkv, frame.frame());
            let [queries, attended] = frame.take_all(pooled);
            max_pool(cx, size, dim, qkv, 3 * dim, queries);
            self.attn.attend_pooled(cx, size, queries, qkv, attended, frame.frame());
            self.attn.add_attended(cx, attended, y, frame);
            self.mlp.forward_add(cx, &self.norm2, y, scratch.frame());
        }
    }

    /// Scratch that [`forward`](Self::forward) or, if this block does, [`reduce`](Self::reduce) needs.
    pub(super) fn scratch_req(&self, cx: &Cx) -> ScratchReq {
        // The first band is the largest.
        let rows = self.bands().next().map_or(0, |rows| rows.len());
        let (grid, tokens) = ([rows, self.side], rows * self.side);
        let attention = if let Some(proj) = &self.proj {
            let [full, pooled] = self.reduce_buffers(rows).map(ScratchReq::slices);
            let parts = self.attn.parts_scratch_req(cx, grid, &Bias::None);
            full.and(proj.scratch_req(cx, tokens).or(pooled.and(parts)))
        } else {
            ScratchReq::slice(tokens * self.outputs()).and(self.attn.scratch_req(cx, grid, &Bias::None))
        };
        attention.or(self.mlp.scratch_req(cx, tokens))
    }

    /// Lengths of QKV and of the normed tokens of a band of `rows`; then, of pooled queries and of what they attend to.
    fn reduce_buffers(&self, rows: usize) -> [[usize; 2]; 2] {
        let (tokens, dim) = (rows * self.side, self.outputs());
        [[tokens * 3 * dim, tokens * self.attn.inputs()], [rows / 2 * (self.side / 2) * dim; 2]]
    }

    pub(super) fn bytes(&self) -> usize {
        self.norm1.bytes()
            + self.attn.bytes()
            + self.proj.as_ref().map_or(0, Linear::bytes)
            + self.norm2.bytes()
            + self.mlp.bytes()
    }

    /// Features of a token that goes out.
    pub(super) fn outputs(&self) -> usize {
        self.attn.outputs()
    }

    /// Tokens along a side that go out.
    pub(super) fn output_side(&self) -> usize {
        if self.proj.is_some() { self.side / 2 } else { self.side }
    }

    /// The rows of tokens of every band: whole windows, alike up to one window, the larger bands first.
    fn bands(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (side, window) = (self.side, self.attn.window());
        let windows = side.div_ceil(window);
        let count = windows.div_ceil(BAND.div_ceil(window * side));
        let start = move |band: usize| (band * (windows / count) + band.min(windows % count)) * window;
        (0..count).map(move |band| start(band)..start(band + 1).min(side))
    }
}
