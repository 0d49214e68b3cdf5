//! The transformer layer (Vaswani et al., 2017): with layer norms moved to the front, or where BERT has them, behind the sums.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::config::TowerConfig;
use super::naming::{LayerNames, Qkv};
use super::places::Places;
use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq, try_zeroed};
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
    /// Of what attention gives, in EVA-02.
    inner_norm: Option<LayerNorm>,
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
        let LayerNames { norm1, norm2, qkv, out_proj, mlp: [fc1, fc2], scales, is_post_norm, gated } = *names;
        // What a norm behind a sum gives is the next residual, too.
        if !is_post_norm {
            match qkv {
                Qkv::Fused([weight, _]) | Qkv::FusedWithoutKeyBias(weight, _) => {
                    scope.balance(norm1, &[weight])?;
                }
                Qkv::Apart(at, names) | Qkv::ApartWithoutKeyBias(at, names) => {
                    scope.balance(norm1, &names.map(|name| format!("{at}.{name}.weight")))?;
                }
            }
            let fc1 = [Some(fc1), gated.map(|gated| gated.gates)].into_iter().flatten();
            scope.balance(norm2, &fc1.map(|name| format!("{name}.weight")).collect::<Vec<_>>())?;
        }
        let (width, inner) = ([config.intermediate_size, dim], [dim, config.intermediate_size]);
        let norm = |name: &str, dim| LayerNorm::bind(&scope.at(name), dim, config.layer_norm_eps);
        let fc2 = bind_scaled(scope, fc2, scales[1], inner)?;
        let mlp = match gated {
            Some(gated) => {
                let fc1 = bind_rows(scope, [gated.gates, fc1], width)?;
                Mlp::gated(fc1, norm(gated.norm, width[0])?, fc2, config.activation)
            }
            None => Mlp::new(Linear::bind(&scope.at(fc1), width)?, fc2, config.activation),
        };
        let head_dim = rotates.then_some(dim / config.heads);
        Ok(Self {
            norm1: norm(norm1, dim)?,
            qkv: bind_qkv(scope, qkv, dim, head_dim)?,
            out_proj: bind_scaled(scope, out_proj, scales[0], [dim, dim])?,
            inner_norm: gated.map(|gated| norm(gated.attention_norm, dim)).transpose()?,
            norm2: norm(norm2, dim)?,
            mlp,
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
            self.project(cx, &mut y[..count * dim], &mut x[..count * dim], scratch);
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
        self.norm1.bytes()
            + self.qkv.bytes()
            + self.inner_norm.as_ref().map_or(0, LayerNorm::bytes)
            + self.out_proj.bytes()
            + self.norm2.bytes()
            + self.mlp.bytes()
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

    /// `x += out_proj(y)`, with the norm between or the norm behind; `y` is lost.
    fn project(&self, cx: &Cx, y: &mut [f32], x: &mut [f32], scratch: Scratch<'_>) {
        let dim = self.dim();
        if let Some(norm) = &self.inner_norm {
            norm.forward_in_place(cx, y);
        }
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
    let shape = [3 * dim, dim];
    let order = |values: &mut [f32], width: usize| match head_dim {
        Some(head_dim) => Places::order(&mut values[..2 * dim * width], head_dim, width),
        None => Ok(()),
    };
    // The biases that there are, and where; that of EVA's keys is 0.
    let (key, biases) = match names {
        Qkv::Apart(at, names) => return bind_fused(&scope.at(at), &names, dim),
        Qkv::Fused([weight, bias]) => (weight.into(), [(bias.into(), 0..3), (String::new(), 3..3)]),
        Qkv::FusedWithoutKeyBias(weight, [q, v]) => (weight.into(), [(q.into(), 0..1), (v.into(), 2..3)]),
        Qkv::ApartWithoutKeyBias(at, names) => {
            let bias = |i: usize| (format!("{at}.{}.bias", names[i]), i..i + 1);
            (format!("{at}.{}", names.join("+")), [bias(0), bias(2)])
        }
    };
    let weight = scope.pack(&key, shape, || {
        let mut weights = match names {
            Qkv::ApartWithoutKeyBias(at, names) => {
                let mut weights = try_zeroed(3 * dim * dim)?;
                for (name, weights) in names.iter().zip(weights.chunks_exact_mut(dim * dim)) {
                    scope.at(at).at(name).matrix_into("weight", &[dim, dim], weights)?;
                }
                weights
            }
            _ => scope.matrix(&key, &shape)?,
        };
        order(&mut weights, dim)?;
        Ok(weights)
    })?;
    let mut bias = try_zeroed(shape[0])?;
    for (name, parts) in biases.iter().filter(|(_, parts)| !parts.is_empty()) {
        let range = parts.start * dim..parts.end * dim;
        scope.f32_into(name, &[range.len()], &mut bias[range])?;
    }
    order(&mut bias, 1)?;
    Ok(Linear::of(weight, Some(bias)))
}

/// The layers called `names`, each of `shape`, one after the other in one product.
fn bind_rows(scope: &Scope<'_>, names: [&str; 2], [outputs, inputs]: [usize; 2]) -> Result<Linear> {
    let weight = scope.pack(&names.join("+"), [2 * outputs, inputs], || {
        let mut weights = try_zeroed(2 * outputs * inputs)?;
        for (name, weights) in names.iter().zip(weights.chunks_exact_mut(outputs * inputs)) {
            scope.at(name).matrix_into("weight", &[outputs, inputs], weights)?;
        }
        Ok(weights)
    })?;
    let mut bias = try_zeroed(2 * outputs)?;
    for (name, bias) in names.iter().zip(bias.chunks_exact_mut(outputs)) {
        scope.at(name).f32_into("bias", &[outputs], bias)?;
    }
    Ok(Linear::of(weight, Some(bias)))
}
