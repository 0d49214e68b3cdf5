//! The pre-norm transformer layer (Vaswani et al., 2017, with layer norms moved to the front).

use alloc::vec;

use super::config::TowerConfig;
use super::naming::Naming;
use crate::error::Result;
use crate::exec::{Cx, Scratch, padded};
use crate::kernels::activation::Activation;
use crate::kernels::attention::{self, AttentionShape, Bias, attention};
use crate::kernels::gemm::{Output, Rows};
use crate::nn::{LayerNorm, Linear};
use crate::weights::Scope;

/// `x += attn(norm1(x)); x += mlp(norm2(x))`.
#[derive(Debug)]
pub struct Layer {
    norm1: LayerNorm,
    /// Queries, keys and values in one product.
    qkv: Linear,
    out_proj: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    heads: usize,
    activation: Activation,
}

impl Layer {
    /// Binds layer `scope` of a tower.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(scope: &Scope<'_>, naming: Naming, config: &TowerConfig) -> Result<Self> {
        let dim = config.hidden_size;
        let (norm1, norm2, out_proj, fc1, fc2) = match naming {
            Naming::HuggingFace | Naming::HuggingFaceTower => {
                ("layer_norm1", "layer_norm2", "self_attn.out_proj", "mlp.fc1", "mlp.fc2")
            }
            Naming::Original | Naming::OriginalCustomText => {
                ("ln_1", "ln_2", "attn.out_proj", "mlp.c_fc", "mlp.c_proj")
            }
        };
        Ok(Self {
            norm1: LayerNorm::bind(&scope.at(norm1), dim, config.layer_norm_eps)?,
            qkv: bind_qkv(scope, naming, dim)?,
            out_proj: bind_scaled(scope, out_proj, "ls_1.gamma", [dim, dim])?,
            norm2: LayerNorm::bind(&scope.at(norm2), dim, config.layer_norm_eps)?,
            fc1: Linear::bind(&scope.at(fc1), [config.intermediate_size, dim])?,
            fc2: bind_scaled(scope, fc2, "ls_2.gamma", [dim, config.intermediate_size])?,
            heads: config.heads,
            activation: config.activation,
        })
    }

    /// Updates `x: [batches, tokens, D]`.
    pub fn forward(
        &self,
        cx: &Cx,
        [batches, tokens]: [usize; 2],
        bias: Bias<'_>,
        x: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        let y = scratch.take(x.len());
        self.attend(cx, [batches, tokens], bias, x, y, scratch.frame());
        self.project(cx, y, x, scratch.frame());
        self.mlp(cx, x, y, scratch);
    }

    /// Updates only token `at(batch)` of each sequence and writes it to `x[..batches · D]`: all that is needed of
    /// the last layer of a tower.
    pub fn forward_pooled(
        &self,
        cx: &Cx,
        [batches, tokens]: [usize; 2],
        bias: Bias<'_>,
        at: impl Fn(usize) -> usize,
        x: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        let dim = self.dim();
        let y = scratch.take(x.len());
        self.attend(cx, [batches, tokens], bias, x, y, scratch.frame());
        for batch in 0..batches {
            let token = batch * tokens + at(batch);
            x.copy_within(token * dim..(token + 1) * dim, batch * dim);
            y.copy_within(token * dim..(token + 1) * dim, batch * dim);
        }
        let (x, y) = (&mut x[..batches * dim], &mut y[..batches * dim]);
        self.project(cx, y, x, scratch.frame());
        self.mlp(cx, x, y, scratch);
    }

    /// Scratch that the forward passes need, in f32.
    pub fn scratch_len(&self, cx: &Cx, [batches, tokens]: [usize; 2]) -> usize {
        let rows = batches * tokens;
        let shape = self.attention_shape(batches, tokens);
        let attend = padded(3 * rows * self.dim())
            + self.qkv.scratch_len(cx, rows).max(attention::scratch_len(cx, &shape));
        let mlp = padded(rows * self.fc1.outputs())
            + self.fc1.scratch_len(cx, rows).max(self.fc2.scratch_len(cx, rows));
        padded(rows * self.dim()) + attend.max(mlp).max(self.out_proj.scratch_len(cx, rows))
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        self.norm1.bytes()
            + self.norm2.bytes()
            + [&self.qkv, &self.out_proj, &self.fc1, &self.fc2]
                .iter()
                .map(|linear| linear.bytes())
                .sum::<usize>()
    }

    fn dim(&self) -> usize {
        self.out_proj.outputs()
    }

    fn attention_shape(&self, batches: usize, tokens: usize) -> AttentionShape {
        let heads = self.heads;
        AttentionShape { batches, heads, queries: tokens, keys: tokens, head_dim: self.dim() / heads }
    }

    /// `y ← softmax(Q Kᵀ / √d + bias) V`, with `Q, K, V = qkv(norm1(x))`.
    fn attend(
        &self,
        cx: &Cx,
        [batches, tokens]: [usize; 2],
        bias: Bias<'_>,
        x: &[f32],
        y: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        let rows = batches * tokens;
        let shape = self.attention_shape(batches, tokens);
        let qkv = scratch.take(3 * x.len());
        self.norm1.forward(cx, x, y);
        let output = Output::Heads { out: qkv, tokens, heads: self.heads, head_dim: shape.head_dim };
        self.qkv.forward(cx, &Rows::new(y, rows, self.dim()), Activation::None, output, scratch.frame());
        let (q, kv) = qkv.split_at(x.len());
        let (k, v) = kv.split_at(x.len());
        let scale = 1.0 / libm::sqrtf(shape.head_dim as f32);
        attention(cx, &shape, scale, q, k, v, bias, y, scratch);
    }

    /// `x += out_proj(y)`.
    fn project(&self, cx: &Cx, y: &[f32], x: &mut [f32], scratch: Scratch<'_>) {
        let dim = self.dim();
        let residual = Output::Add { out: x, stride: dim };
        self.out_proj.forward(cx, &Rows::new(y, y.len() / dim, dim), Activation::None, residual, scratch);
    }

    /// `x += fc2(act(fc1(norm2(x))))`; `y` is a buffer like `x`.
    fn mlp(&self, cx: &Cx, x: &mut [f32], y: &mut [f32], mut scratch: Scratch<'_>) {
        let (dim, inner) = (self.dim(), self.fc1.outputs());
        let rows = x.len() / dim;
        let h = scratch.take(rows * inner);
        self.norm2.forward(cx, x, y);
        let hidden = Output::Store { out: h, stride: inner };
        self.fc1.forward(cx, &Rows::new(y, rows, dim), self.activation, hidden, scratch.frame());
        let residual = Output::Add { out: x, stride: dim };
        self.fc2.forward(cx, &Rows::new(h, rows, inner), Activation::None, residual, scratch);
    }
}

/// A linear layer, with the scale of its outputs that OpenCLIP's layer scale may put after it:
/// `γ ∘ (W x + b) = (γ W) x + γ b`.
fn bind_scaled(scope: &Scope<'_>, name: &str, scale: &str, shape: [usize; 2]) -> Result<Linear> {
    let layer = scope.at(name);
    if !scope.contains(scale) {
        return Linear::bind(&layer, shape);
    }
    let scales = scope.f32(scale, &shape[..1])?;
    let (mut weight, mut bias) = (layer.f32("weight", &shape)?, layer.f32("bias", &shape[..1])?);
    for ((row, bias), scale) in weight.chunks_exact_mut(shape[1]).zip(&mut bias).zip(&scales) {
        row.iter_mut().for_each(|weight| *weight *= scale);
        *bias *= scale;
    }
    Ok(Linear::new(scope.level(), shape, &weight, Some(bias)))
}

/// The three input projections, concatenated to `[3 · D, D]`.
fn bind_qkv(scope: &Scope<'_>, naming: Naming, dim: usize) -> Result<Linear> {
    let (weight, bias) = if naming.is_hugging_face() {
        let mut weight = vec![0.0; 3 * dim * dim];
        let mut bias = vec![0.0; 3 * dim];
        for (i, name) in ["q_proj", "k_proj", "v_proj"].into_iter().enumerate() {
            let part = scope.at("self_attn").at(name);
            part.f32_into("weight", &[dim, dim], &mut weight[i * dim * dim..][..dim * dim])?;
            part.f32_into("bias", &[dim], &mut bias[i * dim..][..dim])?;
        }
        (weight, bias)
    } else {
        let part = scope.at("attn");
        (part.f32("in_proj_weight", &[3 * dim, dim])?, part.f32("in_proj_bias", &[3 * dim])?)
    };
    Ok(Linear::new(scope.level(), [3 * dim, dim], &weight, Some(bias)))
}
