//! A transformer block with attention in windows or over the whole grid.

use alloc::vec;
use alloc::vec::Vec;

use crate::error::Result;
use crate::exec::{Cx, Scratch, padded};
use crate::kernels::activation::Activation;
use crate::kernels::attention::{
    Bias, RelativePositions, WindowShape, attention_windows, windows_scratch_len,
};
use crate::kernels::gemm::{Output, Rows};
use crate::kernels::resize::interpolate::Mode;
use crate::models::positions;
use crate::models::sam::config::VitConfig;
use crate::models::sam::naming::Naming;
use crate::nn::{LayerNorm, Linear, Mlp};
use crate::weights::Scope;

/// `x += attn(norm1(x)); x += mlp(norm2(x))`.
///
/// The reference pads the grid to whole windows after `norm1`, with zeros, so that queries, keys and values of the
/// padding are the bias of the QKV product. Here they are not computed; windows are only a way of reading the grid.
#[derive(Debug)]
pub(super) struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    /// What `qkv` is for the padding of windows, `[3, heads, head_dim]`.
    padding: Vec<f32>,
    positions: Option<RelativePositions>,
    proj: Linear,
    norm2: LayerNorm,
    mlp: Mlp,
    heads: usize,
    head_dim: usize,
    window: Option<usize>,
}

impl Block {
    /// Binds block `index`, whose scope is `scope`, for a grid of `grid × grid` tokens.
    pub(super) fn bind(
        scope: &Scope<'_>,
        naming: Naming,
        config: &VitConfig,
        index: usize,
        grid: usize,
    ) -> Result<Self> {
        let (dim, eps) = (config.dim, config.layer_norm_eps);
        let block = &config.blocks[index];
        let width = block.heads * block.head_dim;
        let [norm1, norm2] = naming.encoder().norms;
        let attn = scope.at("attn");
        let weight = attn.f32("qkv.weight", &[3 * width, dim])?;
        let bias = config.has_qkv_bias.then(|| attn.f32("qkv.bias", &[3 * width])).transpose()?;
        let padding = bias.clone().unwrap_or_else(|| vec![0.0; 3 * width]);
        let mut positions = None;
        if config.has_relative_positions {
            let native = block.positions;
            let side = block.window.unwrap_or(grid);
            let [rows, columns] =
                ["rel_pos_h", "rel_pos_w"].map(|name| distances(&attn, name, [native, side], block.head_dim));
            let scale = scale(block.head_dim);
            positions = Some(RelativePositions::new(scope.level(), [side; 2], scale, &rows?, &columns?));
        }
        Ok(Self {
            norm1: LayerNorm::bind(&scope.at(norm1), dim, eps)?,
            qkv: Linear::new(scope.level(), [3 * width, dim], &weight, bias),
            padding,
            positions,
            proj: Linear::bind(&attn.at("proj"), [dim, width])?,
            norm2: LayerNorm::bind(&scope.at(norm2), dim, eps)?,
            mlp: Mlp::bind(&scope.at("mlp"), ["lin1", "lin2"], [dim, block.mlp_dim], config.activation)?,
            heads: block.heads,
            head_dim: block.head_dim,
            window: block.window,
        })
    }

    /// Updates `x: [grid, grid, D]`.
    pub(super) fn forward(&self, cx: &Cx, grid: usize, x: &mut [f32], mut scratch: Scratch<'_>) {
        self.attend(cx, grid, x, scratch.frame());
        self.mlp.forward_add(cx, &self.norm2, x, scratch);
    }

    /// `x += proj(attn(qkv(norm1(x))))`.
    fn attend(&self, cx: &Cx, grid: usize, x: &mut [f32], mut scratch: Scratch<'_>) {
        let (tokens, dim, width) = (grid * grid, self.proj.outputs(), self.proj.inputs());
        let qkv = scratch.take(tokens * 3 * width);
        let y = scratch.take(tokens * dim.max(width));

        let normed = &mut y[..tokens * dim];
        self.norm1.forward(cx, x, normed);
        let output = Output::Store { out: qkv, stride: 3 * width };
        self.qkv.forward(cx, &Rows::new(normed, tokens, dim), Activation::None, output, scratch.frame());

        let attended = &mut y[..tokens * width];
        let (shape, scale) = (self.attention_shape(grid), scale(self.head_dim));
        let scratch = &mut scratch;
        attention_windows(cx, &shape, scale, qkv, &self.padding, self.bias(), attended, scratch.frame());

        let residual = Output::Add { out: x, stride: dim };
        let attended = Rows::new(attended, tokens, width);
        self.proj.forward(cx, &attended, Activation::None, residual, scratch.frame());
    }

    pub(super) fn scratch_len(&self, cx: &Cx, grid: usize) -> usize {
        let (tokens, dim, width) = (grid * grid, self.proj.outputs(), self.proj.inputs());
        let attend = padded(tokens * 3 * width)
            + padded(tokens * dim.max(width))
            + windows_scratch_len(cx, &self.attention_shape(grid), &self.bias())
                .max(self.qkv.scratch_len(cx, tokens))
                .max(self.proj.scratch_len(cx, tokens));
        attend.max(self.mlp.scratch_len(cx, tokens))
    }

    pub(super) fn bytes(&self) -> usize {
        self.norm1.bytes()
            + self.qkv.bytes()
            + size_of_val(&self.padding[..])
            + self.positions.as_ref().map_or(0, RelativePositions::bytes)
            + self.proj.bytes()
            + self.norm2.bytes()
            + self.mlp.bytes()
    }

    fn attention_shape(&self, grid: usize) -> WindowShape {
        let window = self.window.unwrap_or(grid);
        WindowShape { grid: [grid; 2], window: [window; 2], heads: self.heads, head_dim: self.head_dim }
    }

    fn bias(&self) -> Bias<'_> {
        self.positions.as_ref().map_or(Bias::None, Bias::Relative)
    }
}

fn scale(head_dim: usize) -> f32 {
    1.0 / libm::sqrtf(head_dim as f32)
}

/// The table of distances called `name` for a grid of side `native`, `[2 · native − 1, head_dim]`, interpolated to one
/// for `side`.
fn distances(scope: &Scope<'_>, name: &str, [native, side]: [usize; 2], head_dim: usize) -> Result<Vec<f32>> {
    let (from, to) = (2 * native - 1, 2 * side - 1);
    let table = scope.f32(name, &[from, head_dim])?;
    if from == to {
        return Ok(table);
    }
    positions::resize(&Cx::serial(scope.level()), Mode::Bilinear, &table, (1, from), (1, to))
}
