//! The transformer layer (Vaswani et al., 2017): with layer norms moved to the front, or where BERT has them, behind the sums.

use alloc::format;

use super::config::TowerConfig;
use super::naming::{LayerNames, Qkv};
use super::places::Places;
use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq};
use crate::kernels::activation::Activation;
use crate::kernels::attention::{self, AttentionShape, Bias, attention};
use crate::kernels::gemm::{Destination, Rows};
use crate::nn::{LayerNorm, Linear, Mlp, attention_scale, bind_fused};
use crate::weights::Scope;

/// `x += attn(norm1(x)); x += mlp(norm2(x))`, or, with norms behind, `x ← norm1(x + attn(x)); x ← norm2(x + mlp(x))`.
#[derive(Debug)]
pub struct Layer {
    norm1: LayerNorm,
    /// Queries, keys and values in one product.
    qkv: Linear,
    out_proj: Linear,
    norm2: LayerNorm,
    mlp: Mlp,
    heads: usize,
    is_post_norm: bool,
}

impl Layer {
    /// Binds layer `scope` of a tower, whose parts are called `names`. With `rotates`, queries and keys turn with their places.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(scope: &Scope<'_>, names: &LayerNames, config: &TowerConfig, rotates: bool) -> Result<Self> {
        let dim = config.hidden_size;
        let LayerNames { norm1, norm2, qkv, out_proj, mlp: [fc1, fc2], scales, is_post_norm } = *names;
        // What a norm behind a sum gives is the next residual, too.
        if !is_post_norm {
            match qkv {
                Qkv::Fused([weight, _]) => scope.balance(norm1, &[weight])?,
                Qkv::Apart(at, names) => {
                    scope.balance(norm1, &names.map(|name| format!("{at}.{name}.weight")))?;
                }
            }
            scope.balance(norm2, &[format!("{fc1}.weight")])?;
        }
        let (width, inner) = ([config.intermediate_size, dim], [dim, config.intermediate_size]);
        let fc1 = Linear::bind(&scope.at(fc1), width)?;
        let fc2 = bind_scaled(scope, fc2, scales[1], inner)?;
        let head_dim = rotates.then_some(dim / config.heads);
        Ok(Self {
            norm1: LayerNorm::bind(&scope.at(norm1), dim, config.layer_norm_eps)?,
            qkv: bind_qkv(scope, qkv, dim, head_dim)?,
            out_proj: bind_scaled(scope, out_proj, scales[0], [dim, dim])?,
            norm2: LayerNorm::bind(&scope.at(norm2), dim, config.layer_norm_eps)?,
            mlp: Mlp::new(fc1, fc2, config.activation),
            heads: config.heads,
            is_post_norm,
        })
    }

    /// Updates `x: [batches, tokens, D]`. Queries and keys turn as `places` says.
    pub fn forward(
        &self,
        cx: &Cx,
        [batches, tokens]: [usize; 2],
        bias: Bias<'_>,
        places: Option<&Places>,
        x: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        {
            let mut scratch = scratch.frame();
            let y = scratch.take(x.len());
            self.attend(cx, [batches, tokens], bias, places, x, y, scratch.frame());
            self.project(cx, y, x, scratch);
        }
        self.mix_features(cx, x, scratch);
    }

    /// Updates only the tokens numbered `at`, which ascend, and writes them to the front of `x`, whose first `count · D` they
    /// become: all that is needed of the last layer of a tower that is pooled at one token of each sequence.
    #[allow(clippy::too_many_arguments, reason = "tokens, and which of them are needed")]
    pub fn forward_pooled(
        &self,
        cx: &Cx,
        [batches, tokens]: [usize; 2],
        bias: Bias<'_>,
        at: impl Iterator<Item = usize>,
        x: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        let dim = self.dim();
        let mut count = 0;
        {
            let mut scratch = scratch.frame();
            let y = scratch.take(x.len());
            self.attend(cx, [batches, tokens], bias, None, x, y, scratch.frame());
            for token in at {
                x.copy_within(token * dim..(token + 1) * dim, count * dim);
                y.copy_within(token * dim..(token + 1) * dim, count * dim);
                count += 1;
            }
            self.project(cx, &y[..count * dim], &mut x[..count * dim], scratch);
        }
        self.mix_features(cx, &mut x[..count * dim], scratch);
    }

    /// Scratch that the forward passes need.
    pub fn scratch_req(&self, cx: &Cx, [batches, tokens]: [usize; 2]) -> ScratchReq {
        let rows = batches * tokens;
        let len = rows * self.dim();
        let shape = self.attention_shape(batches, tokens);
        let parts = self.qkv.scratch_req(cx, rows).or(attention::scratch_req(cx, &shape));
        let attend = ScratchReq::slice(3 * len).and(parts);
        let attention = ScratchReq::slice(len).and(attend.or(self.out_proj.scratch_req(cx, rows)));
        let mlp = self.mlp.scratch_req(cx, rows);
        attention.or(if self.is_post_norm { ScratchReq::slice(len).and(mlp) } else { mlp })
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        self.norm1.bytes() + self.qkv.bytes() + self.out_proj.bytes() + self.norm2.bytes() + self.mlp.bytes()
    }

    fn dim(&self) -> usize {
        self.out_proj.outputs()
    }

    fn attention_shape(&self, batches: usize, tokens: usize) -> AttentionShape {
        AttentionShape {
            batches,
            heads: self.heads,
            queries: tokens,
            keys: tokens,
            head_dim: self.dim() / self.heads,
            bf16: self.qkv.format().permits_bf16(),
        }
    }

    /// `y ← softmax(Q Kᵀ / √d + bias) V`, with `Q, K, V = qkv(norm1(x))`, where `places` turn `Q` and `K`; with norms behind,
    /// `qkv(x)`.
    #[allow(
        clippy::too_many_arguments,
        reason = "tokens, what is added to scores and where tokens are, two buffers"
    )]
    fn attend(
        &self,
        cx: &Cx,
        [batches, tokens]: [usize; 2],
        bias: Bias<'_>,
        places: Option<&Places>,
        x: &[f32],
        y: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        let rows = batches * tokens;
        let shape = self.attention_shape(batches, tokens);
        let qkv = scratch.take(3 * x.len());
        let mut input = x;
        if !self.is_post_norm {
            self.norm1.forward(cx, x, y);
            input = y;
        }
        let output = Destination::Heads { out: qkv, tokens, heads: self.heads, head_dim: shape.head_dim };
        self.qkv.forward(cx, &Rows::new(input, rows, self.dim()), Activation::None, output, scratch.frame());
        if let Some(places) = places {
            places.turn(cx, &mut qkv[..2 * x.len()]);
        }
        let (q, kv) = qkv.split_at(x.len());
        let (k, v) = kv.split_at(x.len());
        attention(cx, &shape, attention_scale(shape.head_dim), q, k, v, bias, y, scratch);
    }

    /// `x += out_proj(y)`, and the norm behind it.
    fn project(&self, cx: &Cx, y: &[f32], x: &mut [f32], scratch: Scratch<'_>) {
        let dim = self.dim();
        let residual = Destination::Add { out: x, stride: dim };
        self.out_proj.forward(cx, &Rows::new(y, y.len() / dim, dim), Activation::None, residual, scratch);
        if self.is_post_norm {
            self.norm1.forward_in_place(cx, x);
        }
    }

    /// The MLP of tokens `x`, with its norm.
    fn mix_features(&self, cx: &Cx, x: &mut [f32], mut scratch: Scratch<'_>) {
        if !self.is_post_norm {
            return self.mlp.forward_add(cx, &self.norm2, x, scratch);
        }
        let y = scratch.take(x.len());
        y.copy_from_slice(x);
        self.mlp.add(cx, y, x, scratch);
        self.norm2.forward_in_place(cx, x);
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
    let mut bias = layer.f32("bias", &shape[..1])?;
    bias.iter_mut().zip(&scales).for_each(|(bias, scale)| *bias *= scale);
    let weight = layer.pack("weight", shape, || {
        let mut weight = layer.matrix("weight", &shape)?;
        for (row, scale) in weight.chunks_exact_mut(shape[1]).zip(&scales) {
            row.iter_mut().for_each(|weight| *weight *= scale);
        }
        Ok(weight)
    })?;
    Ok(Linear::of(weight, Some(bias)))
}

/// The three input projections, concatenated to `[3 · D, D]`. With `head_dim`, the features of a head's queries and keys are in
/// the order of [`Places`].
fn bind_qkv(scope: &Scope<'_>, names: Qkv, dim: usize, head_dim: Option<usize>) -> Result<Linear> {
    let [weight, bias] = match names {
        Qkv::Fused(names) => names,
        Qkv::Apart(at, names) => return bind_fused(&scope.at(at), &names, dim),
    };
    let shape = [3 * dim, dim];
    let weight = scope.pack(weight, shape, || {
        let mut weight = scope.matrix(weight, &shape)?;
        if let Some(head_dim) = head_dim {
            Places::order(&mut weight[..2 * dim * dim], head_dim, dim)?;
        }
        Ok(weight)
    })?;
    let mut bias = scope.f32(bias, &shape[..1])?;
    if let Some(head_dim) = head_dim {
        Places::order(&mut bias[..2 * dim], head_dim, 1)?;
    }
    Ok(Linear::of(weight, Some(bias)))
}
