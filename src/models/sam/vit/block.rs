//! A transformer block with attention in windows or over the whole grid.

use alloc::vec::Vec;

use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq, try_copied, try_zeroed};
use crate::kernels::attention::{Bias, RelativePositions};
use crate::kernels::resize::interpolate::Mode;
use crate::models::positions;
use crate::models::sam::config::VitConfig;
use crate::models::sam::naming::Naming;
use crate::nn::{LayerNorm, Linear, Mlp, WindowAttention, attention_scale};
use crate::weights::Scope;

/// `x += attn(norm1(x)); x += mlp(norm2(x))`.
///
/// The reference pads the grid to whole windows after `norm1`, with zeros, so that queries, keys and values of the
/// padding are the bias of the QKV product. Here they are not computed; windows are only a way of reading the grid.
#[derive(Debug)]
pub(super) struct Block {
    norm1: LayerNorm,
    attn: WindowAttention,
    positions: Option<RelativePositions>,
    norm2: LayerNorm,
    mlp: Mlp,
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
        let window = block.window.unwrap_or(grid);
        let width = block.heads * block.head_dim;
        let [norm1, norm2] = naming.encoder().norms;
        scope.balance(norm1, &["attn.qkv.weight"])?;
        scope.balance(norm2, &["mlp.lin1.weight"])?;
        let attn = scope.at("attn");
        let shape = [3 * width, dim];
        let weight = attn.pack("qkv.weight", shape, || attn.matrix("qkv.weight", &shape))?;
        let bias = config.has_qkv_bias.then(|| attn.f32("qkv.bias", &[3 * width])).transpose()?;
        let padding = bias.as_deref().map_or_else(|| try_zeroed(3 * width), try_copied)?;
        let mut positions = None;
        if config.has_relative_positions {
            let native = block.positions;
            let [rows, columns] = ["rel_pos_h", "rel_pos_w"]
                .map(|name| distances(&attn, name, [native, window], block.head_dim));
            let scale = attention_scale(block.head_dim);
            positions = Some(RelativePositions::new(scope.level(), [window; 2], scale, &rows?, &columns?)?);
        }
        let qkv = Linear::of(weight, bias);
        let proj = Linear::bind(&attn.at("proj"), [dim, width])?;
        Ok(Self {
            norm1: LayerNorm::bind(&scope.at(norm1), dim, eps)?,
            attn: WindowAttention::new(qkv, padding, proj, block.heads, window),
            positions,
            norm2: LayerNorm::bind(&scope.at(norm2), dim, eps)?,
            mlp: Mlp::bind(&scope.at("mlp"), ["lin1", "lin2"], [dim, block.mlp_dim], config.activation)?,
        })
    }

    /// Updates `x: [grid, grid, D]`.
    pub(super) fn forward(&self, cx: &Cx, grid: usize, x: &mut [f32], mut scratch: Scratch<'_>) {
        {
            let mut scratch = scratch.frame();
            let y = scratch.take(self.buffer_len(grid));
            self.attn.forward_add(cx, &self.norm1, [grid; 2], self.bias(), x, y, scratch);
        }
        self.mlp.forward_add(cx, &self.norm2, x, scratch);
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub(super) fn scratch_req(&self, cx: &Cx, grid: usize) -> ScratchReq {
        let attend = self.attn.scratch_req(cx, [grid; 2], &self.bias());
        ScratchReq::slice(self.buffer_len(grid)).and(attend).or(self.mlp.scratch_req(cx, grid * grid))
    }

    pub(super) fn bytes(&self) -> usize {
        self.norm1.bytes()
            + self.attn.bytes()
            + self.positions.as_ref().map_or(0, RelativePositions::bytes)
            + self.norm2.bytes()
            + self.mlp.bytes()
    }

    /// f32 of the tokens' features, or of those of all heads.
    fn buffer_len(&self, grid: usize) -> usize {
        grid * grid * self.attn.outputs().max(self.attn.width())
    }

    fn bias(&self) -> Bias<'_> {
        self.positions.as_ref().map_or(Bias::None, Bias::Relative)
    }
}

/// The table of distances called `name` for a grid of side `native`, `[2 · native − 1, head_dim]`, interpolated to one
/// for `side`.
fn distances(scope: &Scope<'_>, name: &str, [native, side]: [usize; 2], head_dim: usize) -> Result<Vec<f32>> {
    let (from, to) = (2 * native - 1, 2 * side - 1);
    let table = scope.f32(name, &[from, head_dim])?;
    if from == to {
        return Ok(table);
    }
    positions::resize(&Cx::serial(scope.level()), (Mode::Bilinear, false), &table, (1, from), (1, to))
}
