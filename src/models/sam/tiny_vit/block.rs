//! TinyViT's transformer block: attention in windows, a depthwise convolution, an MLP.

use alloc::vec;
use alloc::vec::Vec;

use super::conv::bind_conv;
use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq};
use crate::kernels::activation::Activation;
use crate::kernels::attention::Bias;
use crate::kernels::conv::ConvShape;
use crate::kernels::gemm::{Destination, Rows};
use crate::models::sam::config::StageConfig;
use crate::nn::{Conv2d, LayerNorm, Linear, Mlp, WindowAttention};
use crate::weights::Scope;

/// `x += attn(x); y = local_conv(x); y += mlp(y)`.
///
/// The reference pads the grid to whole windows before the norm of the attention, which turns the zeros into its bias;
/// queries, keys and values of that are computed once, when the block is bound.
#[derive(Debug)]
pub(super) struct Block {
    norm: LayerNorm,
    attn: WindowAttention,
    /// `[heads, window², window²]`
    biases: Vec<f32>,
    local_conv: Conv2d,
    mlp_norm: LayerNorm,
    mlp: Mlp,
}

/// `LayerNorm`'s default.
const EPS: f32 = 1e-5;

impl Block {
    /// Binds a block of a stage.
    pub(super) fn bind(scope: &Scope<'_>, config: &StageConfig) -> Result<Self> {
        let StageConfig { dim, heads, window, .. } = *config;
        let attn = scope.at("attn");
        attn.balance("norm", &["qkv.weight"])?;
        scope.balance("mlp.norm", &["mlp.fc1.weight"])?;
        let norm = LayerNorm::bind(&attn.at("norm"), dim, EPS)?;
        let qkv = bind_qkv(&attn.at("qkv"), dim, heads)?;
        let padding = project_padding(&norm, &qkv, &Cx::serial(scope.level()))?;
        let kernel = config.local_kernel;
        let shape = ConvShape::depthwise(dim, [kernel; 2]).with_padding([kernel / 2; 2]);
        let biases = attn.f32("attention_biases", &[heads, window * window])?;
        let proj = Linear::bind(&attn.at("proj"), [dim, dim])?;
        Ok(Self {
            norm,
            attn: WindowAttention::new(qkv, padding, proj, heads, window),
            biases: biases.chunks_exact(window * window).flat_map(|biases| spread(biases, window)).collect(),
            local_conv: bind_conv(&scope.at("local_conv"), shape)?,
            mlp_norm: LayerNorm::bind(&scope.at("mlp.norm"), dim, EPS)?,
            mlp: Mlp::bind(&scope.at("mlp"), ["fc1", "fc2"], [dim, config.mlp_dim], Activation::Gelu)?,
        })
    }

    /// `x: [side, side, dim]` to `y` of the same size; `x` changes.
    pub(super) fn forward(
        &self,
        cx: &Cx,
        side: usize,
        x: &mut [f32],
        y: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        let bias = Bias::PerHead(&self.biases);
        self.attn.forward_add(cx, &self.norm, [side; 2], bias, x, y, scratch.frame());
        self.local_conv.forward(cx, [side; 2], x, Activation::None, y, scratch.frame());
        self.mlp.forward_add(cx, &self.mlp_norm, y, scratch);
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub(super) fn scratch_req(&self, cx: &Cx, side: usize) -> ScratchReq {
        ScratchReq::any([
            self.attn.scratch_req(cx, [side; 2], &Bias::PerHead(&self.biases)),
            self.local_conv.scratch_req(cx, [side; 2]),
            self.mlp.scratch_req(cx, side * side),
        ])
    }

    pub(super) fn bytes(&self) -> usize {
        self.norm.bytes()
            + self.attn.bytes()
            + size_of_val(&self.biases[..])
            + self.local_conv.bytes()
            + self.mlp_norm.bytes()
            + self.mlp.bytes()
    }
}

/// The QKV product, stored as `[heads, 3, head_dim]` and bound as `[3, heads, head_dim]`.
fn bind_qkv(scope: &Scope<'_>, dim: usize, heads: usize) -> Result<Linear> {
    let weight = scope.matrix("weight", &[3 * dim, dim])?;
    let bias = scope.f32("bias", &[3 * dim])?;
    let head_dim = dim / heads;
    let mut order = (0..3 * dim).map(|i| {
        let (which, head, d) = (i / dim, i / head_dim % heads, i % head_dim);
        (head * 3 + which) * head_dim + d
    });
    let mut permuted = vec![0.0; weight.len()];
    let mut permuted_bias = vec![0.0; bias.len()];
    for ((to, to_bias), from) in permuted.chunks_exact_mut(dim).zip(&mut permuted_bias).zip(&mut order) {
        to.copy_from_slice(&weight[from * dim..][..dim]);
        *to_bias = bias[from];
    }
    Ok(Linear::new(scope.packing(), [3 * dim, dim], &permuted, Some(permuted_bias)))
}

/// `qkv(norm(0))`.
fn project_padding(norm: &LayerNorm, qkv: &Linear, cx: &Cx) -> Result<Vec<f32>> {
    let mut zeros = vec![0.0; qkv.inputs()];
    norm.forward_in_place(cx, &mut zeros);
    let mut padding = vec![0.0; qkv.outputs()];
    let mut workspace = cx.workspace(qkv.scratch_req(cx, 1))?;
    let output = Destination::Store { out: &mut padding, stride: qkv.outputs() };
    qkv.forward(cx, &Rows::new(&zeros, 1, qkv.inputs()), Activation::None, output, workspace.scratch());
    Ok(padding)
}

/// The matrix `[window², window²]` of a head from its biases for every distance `|Δy| · window + |Δx|`.
fn spread(biases: &[f32], window: usize) -> impl Iterator<Item = f32> {
    let places = window * window;
    (0..places * places).map(move |i| {
        let (query, key) = (i / places, i % places);
        let dy = (query / window).abs_diff(key / window);
        let dx = (query % window).abs_diff(key % window);
        biases[dy * window + dx]
    })
}
