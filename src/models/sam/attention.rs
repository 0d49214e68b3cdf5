//! The three attentions of the two-way transformer.
//!
//! Tokens are few and pixels many, so that between them the tokens are projected and never the image. With heads `h`,
//! `d` features of a head, tokens `t`, pixels `p` of features `x` and positions `e`, all exactly by associativity:
//!
//! **Tokens to image.** `q_t · k_p = q_ht · (W_k,h (x_p + e_p) + b_k,h) = (W_k,hᵀ q_ht) · (x_p + e_p) + const`, where the
//! constant is the same for all pixels and cancels in the softmax over them. The weighted sum of values is
//! `Σ_p a_p (W_v,h x_p + b_v,h) = W_v,h (Σ_p a_p x_p) + b_v,h`, since weights sum to 1.
//!
//! **Image to tokens.** `q_p · k_t = (W_q,h (x_p + e_p) + b_q,h) · k_ht = (x_p + e_p) · (W_q,hᵀ k_ht) + b_q,h · k_ht`; here
//! the second term differs from token to token and stays. The output is
//! `W_o Σ_t a_pt v_t + b_o = Σ_h Σ_t a_pht (W_o,h v_ht) + b_o`.
//!
//! A token becomes one row per head. `W_hᵀ q_h` for all heads is one product of the rows that are `q` in the columns of
//! their head and 0 elsewhere with `W`: [`split_heads`].
//!
//! In the first layer the image side is the same for all prompts without a mask, and its projections are made once per
//! image ([`ImageCache`](super::image_cache::ImageCache)); rows then meet them without a further product.

use alloc::vec::Vec;

use crate::error::Result;
use crate::exec::{Cx, Scratch, padded};
use crate::kernels::activation::Activation;
use crate::kernels::attention::{self, AttentionShape, Bias, attention};
use crate::kernels::gemm::{Output, Rows};
use crate::kernels::panels::{self, Keys, Norm, Panels, Pixels, Tokens, Transposed, left_len, pack_left};
use crate::nn::Linear;
use crate::weights::Scope;

/// Prompts of equally many tokens that are decoded together.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// Prompts.
    pub prompts: usize,
    /// Tokens of a prompt.
    pub tokens: usize,
    /// The image.
    pub panels: Panels,
}

impl Batch {
    /// Tokens of all prompts.
    pub fn rows(&self) -> usize {
        self.prompts * self.tokens
    }
}

/// Self-attention of the tokens.
#[derive(Debug)]
pub struct SelfAttention {
    /// Queries and keys in one product: their input is the same.
    qk: Linear,
    v: Linear,
    out: Linear,
    heads: usize,
}

impl SelfAttention {
    /// Binds the attention, of `dim` features in `heads` heads.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(scope: &Scope<'_>, dim: usize, heads: usize) -> Result<Self> {
        let mut weight = alloc::vec![0.0; 2 * dim * dim];
        let mut bias = alloc::vec![0.0; 2 * dim];
        for (i, name) in ["q_proj", "k_proj"].into_iter().enumerate() {
            let part = scope.at(name);
            part.f32_into("weight", &[dim, dim], &mut weight[i * dim * dim..][..dim * dim])?;
            part.f32_into("bias", &[dim], &mut bias[i * dim..][..dim])?;
        }
        Ok(Self {
            qk: Linear::new(scope.level(), [2 * dim, dim], &weight, Some(bias)),
            v: Linear::bind(&scope.at("v_proj"), [dim, dim])?,
            out: Linear::bind(&scope.at("out_proj"), [dim, dim])?,
            heads,
        })
    }

    /// `output ← out(attention(q(qk), k(qk), v(values)))`, for `qk, values: [prompts, tokens, C]`.
    pub fn forward(
        &self,
        cx: &Cx,
        batch: Batch,
        qk: &[f32],
        values: &[f32],
        output: Output<'_>,
        mut scratch: Scratch<'_>,
    ) {
        let shape = self.shape(batch);
        let (rows, dim, heads) = (batch.rows(), self.v.outputs(), self.heads);
        let by_head = |out| Output::Heads { out, tokens: batch.tokens, heads, head_dim: shape.head_dim };
        let queries_keys = scratch.take(2 * rows * dim);
        let v = scratch.take(rows * dim);
        let y = scratch.take(rows * dim);
        self.qk.forward(
            cx,
            &Rows::new(qk, rows, dim),
            Activation::None,
            by_head(queries_keys),
            scratch.frame(),
        );
        self.v.forward(cx, &Rows::new(values, rows, dim), Activation::None, by_head(v), scratch.frame());
        let (q, k) = queries_keys.split_at(rows * dim);
        attention(cx, &shape, scale(shape.head_dim), q, k, v, Bias::None, y, scratch.frame());
        self.out.forward(cx, &Rows::new(y, rows, dim), Activation::None, output, scratch);
    }

    /// Scratch that [`forward`](Self::forward) needs, in f32.
    pub fn scratch_len(&self, cx: &Cx, batch: Batch) -> usize {
        let rows = batch.rows();
        let products = [&self.qk, &self.v, &self.out].map(|linear| linear.scratch_len(cx, rows));
        let inner = products.into_iter().fold(attention::scratch_len(cx, &self.shape(batch)), usize::max);
        padded(2 * rows * self.v.outputs()) + 2 * padded(rows * self.v.outputs()) + inner
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        [&self.qk, &self.v, &self.out].iter().map(|linear| linear.bytes()).sum()
    }

    fn shape(&self, Batch { prompts, tokens, .. }: Batch) -> AttentionShape {
        let head_dim = self.v.outputs() / self.heads;
        AttentionShape { batches: prompts, heads: self.heads, queries: tokens, keys: tokens, head_dim }
    }
}

/// `1 / √d`.
fn scale(head_dim: usize) -> f32 {
    1.0 / libm::sqrtf(head_dim as f32)
}

/// Tokens of one prompt that attend to the image at a time; more are taken in parts, which bounds the scratch memory.
pub const MAX_TOKENS: usize = 64;

/// Cross attention of the tokens to the image.
#[derive(Debug)]
pub struct TokenToImage {
    q: Linear,
    /// `W_kᵀ`; the bias of the keys cancels in the softmax.
    k_transposed: Linear,
    v: Linear,
    out: Linear,
    heads: usize,
}

impl TokenToImage {
    /// Binds the attention of `dim` features, in `heads` heads with `inner` features together.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(scope: &Scope<'_>, [dim, inner]: [usize; 2], heads: usize) -> Result<Self> {
        // It adds the same to all scores of a query, which changes no softmax. Read so that it counts as used.
        scope.at("k_proj").f32("bias", &[inner])?;
        Ok(Self {
            q: Linear::bind(&scope.at("q_proj"), [inner, dim])?,
            k_transposed: bind_transposed(&scope.at("k_proj"), [inner, dim])?,
            v: Linear::bind(&scope.at("v_proj"), [inner, dim])?,
            out: Linear::bind(&scope.at("out_proj"), [dim, inner])?,
            heads,
        })
    }

    /// `queries += out(attention(q(x), keys, values))`, for `x, queries: [prompts, tokens, C]`.
    pub fn forward_add(
        &self,
        cx: &Cx,
        batch: Batch,
        x: &[f32],
        keys: Keys<'_>,
        queries: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        let part = batch.prompts * self.part(batch).tokens * self.q.inputs();
        for (x, queries) in x.chunks(part).zip(queries.chunks_mut(part)) {
            let tokens = x.len() / (batch.prompts * self.q.inputs());
            self.attend(cx, Batch { tokens, ..batch }, x, keys, queries, scratch.frame());
        }
    }

    /// Scratch that [`forward_add`](Self::forward_add) needs, in f32.
    pub fn scratch_len(&self, cx: &Cx, batch: Batch) -> usize {
        let batch = self.part(batch);
        let (tokens, rows) = (batch.rows(), batch.rows() * self.heads);
        let (dim, inner) = (self.q.inputs(), self.q.outputs());
        let products = [
            self.q.scratch_len(cx, tokens),
            self.k_transposed.scratch_len(cx, rows),
            self.v.scratch_len(cx, rows),
            self.out.scratch_len(cx, tokens),
            panels::token_to_image_scratch_len(cx, &self.shape(batch, inner)),
            panels::token_to_image_scratch_len(cx, &self.shape(batch, dim)),
        ];
        padded(tokens * inner)
            + 2 * padded(rows * inner)
            + 2 * padded(rows * dim)
            + padded(batch.prompts * left_len(rows / batch.prompts, dim))
            + products.into_iter().fold(0, usize::max)
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        [&self.q, &self.k_transposed, &self.v, &self.out].iter().map(|linear| linear.bytes()).sum()
    }

    /// The largest part of a batch that attends at a time.
    fn part(&self, batch: Batch) -> Batch {
        let most = if batch.prompts == 1 { MAX_TOKENS } else { batch.tokens };
        Batch { tokens: batch.tokens.min(most), ..batch }
    }

    /// The kernel's sizes for queries, keys and values of `channels` channels.
    fn shape(&self, batch: Batch, channels: usize) -> panels::TokenToImage {
        panels::TokenToImage {
            prompts: batch.prompts,
            rows: self.heads * batch.tokens,
            depth: channels,
            values: channels,
            panels: batch.panels,
        }
    }

    fn attend(
        &self,
        cx: &Cx,
        batch: Batch,
        x: &[f32],
        keys: Keys<'_>,
        queries: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        let (tokens, rows) = (batch.rows(), batch.rows() * self.heads);
        let (dim, inner) = (self.q.inputs(), self.q.outputs());
        let q = scratch.take(tokens * inner);
        let by_head = scratch.take(rows * inner);
        linear(cx, &self.q, x, q, scratch.frame());
        q.iter_mut().for_each(|q| *q *= scale(inner / self.heads));
        split_heads(q, batch, self.heads, by_head);

        let values = match keys {
            Keys::Shared { .. } => {
                let values = scratch.take(rows * inner);
                let packed = pack_prompts(cx, batch, by_head, inner, &mut scratch);
                let shape = self.shape(batch, inner);
                panels::token_to_image(cx, &shape, packed, keys, values, scratch.frame());
                values
            }
            Keys::Each { .. } => {
                let values = scratch.take(rows * inner);
                let (folded, weighted) = (scratch.take(rows * dim), scratch.take(rows * dim));
                linear(cx, &self.k_transposed, by_head, folded, scratch.frame());
                let packed = pack_prompts(cx, batch, folded, dim, &mut scratch);
                let shape = self.shape(batch, dim);
                panels::token_to_image(cx, &shape, packed, keys, weighted, scratch.frame());
                linear(cx, &self.v, weighted, values, scratch.frame());
                values
            }
        };
        let y = q;
        merge_heads(values, batch, self.heads, y);
        let residual = Output::Add { out: queries, stride: dim };
        self.out.forward(cx, &Rows::new(y, tokens, inner), Activation::None, residual, scratch);
    }
}

/// Cross attention of the image to the tokens, with the norm that follows.
#[derive(Debug)]
pub struct ImageToToken {
    /// `W_qᵀ`
    q_transposed: Linear,
    /// `b_q`
    q_bias: Vec<f32>,
    k: Linear,
    v: Linear,
    /// `W_o`
    out: Linear,
    /// `b_o`
    out_bias: Vec<f32>,
    norm_weight: Vec<f32>,
    norm_bias: Vec<f32>,
    norm_eps: f32,
    heads: usize,
}

/// What the pixels are, and what they ask.
#[derive(Clone, Copy, Debug)]
pub enum ImageSide<'a> {
    /// Projected once per image.
    Shared {
        /// The image embedding.
        features: &'a [f32],
        /// Added to it in every pixel, `[C]`.
        bias: &'a [f32],
        /// The projected queries.
        queries: &'a [f32],
    },
    /// Each prompt's own, with these positions.
    Each {
        /// Position encodings.
        positions: &'a [f32],
    },
}

impl ImageToToken {
    /// Binds the attention of `dim` features, in `heads` heads with `inner` features together, and the norm.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(
        scope: &Scope<'_>,
        norm: &Scope<'_>,
        [dim, inner]: [usize; 2],
        heads: usize,
        eps: f32,
    ) -> Result<Self> {
        let out = scope.at("out_proj");
        Ok(Self {
            q_transposed: bind_transposed(&scope.at("q_proj"), [inner, dim])?,
            q_bias: scope.at("q_proj").f32("bias", &[inner])?,
            k: Linear::bind(&scope.at("k_proj"), [inner, dim])?,
            v: Linear::bind(&scope.at("v_proj"), [inner, dim])?,
            out: Linear::new(scope.level(), [dim, inner], &out.f32("weight", &[dim, inner])?, None),
            out_bias: out.f32("bias", &[dim])?,
            norm_weight: norm.f32("weight", &[dim])?,
            norm_bias: norm.f32("bias", &[dim])?,
            norm_eps: eps,
            heads,
        })
    }

    /// `x ← norm(features + out(attention(q(features + positions), k(keys), v(values))))`, for
    /// `keys, values: [prompts, tokens, C]` and `x: [prompts]` features in panels.
    #[allow(clippy::too_many_arguments, reason = "three inputs and an output")]
    pub fn forward(
        &self,
        cx: &Cx,
        batch: Batch,
        keys: &[f32],
        values: &[f32],
        image: ImageSide<'_>,
        x: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        let (tokens, rows) = (batch.rows(), batch.rows() * self.heads);
        let (dim, inner) = (self.out.outputs(), self.k.outputs());
        let projected = scratch.take(tokens * inner);
        let by_head = scratch.take(rows * inner);
        let folded = scratch.take(rows * dim);
        let key_bias = scratch.take(rows);

        // Values, through the output projection.
        linear(cx, &self.v, values, projected, scratch.frame());
        split_heads(projected, batch, self.heads, by_head);
        linear(cx, &self.out, by_head, folded, scratch.frame());
        let prompt_rows = rows / batch.prompts;
        let packed_values = scratch.take(batch.prompts * left_len(dim, prompt_rows));
        let prompts = packed_values.chunks_exact_mut(left_len(dim, prompt_rows));
        for (packed, folded) in prompts.zip(folded.chunks_exact(prompt_rows * dim)) {
            pack_left(cx.level(), &Transposed::new(folded, dim), packed);
        }

        // Keys, through the projection of the queries.
        linear(cx, &self.k, keys, projected, scratch.frame());
        projected.iter_mut().for_each(|k| *k *= scale(inner / self.heads));
        split_heads(projected, batch, self.heads, by_head);
        let (depth, pixels, bias) = match image {
            ImageSide::Shared { features, bias, queries } => {
                key_bias.fill(0.0);
                (inner, Pixels::Shared { queries, features }, bias)
            }
            ImageSide::Each { positions } => {
                for (bias, row) in key_bias.iter_mut().zip(by_head.chunks_exact(inner)) {
                    *bias = row.iter().zip(&self.q_bias).map(|(k, q)| k * q).sum();
                }
                linear(cx, &self.q_transposed, by_head, folded, scratch.frame());
                (dim, Pixels::Each { positions }, &self.out_bias[..])
            }
        };
        let key_rows = if depth == inner { &*by_head } else { &*folded };
        let keys = pack_prompts(cx, batch, key_rows, depth, &mut scratch);
        let shape = self.shape(batch, depth);
        let tokens = Tokens { keys, key_bias, values: packed_values, bias };
        let norm = Norm { weight: &self.norm_weight, bias: &self.norm_bias, eps: self.norm_eps };
        panels::image_to_token(cx, &shape, &tokens, norm, pixels, x, scratch);
    }

    /// Scratch that [`forward`](Self::forward) needs, in f32.
    pub fn scratch_len(&self, cx: &Cx, batch: Batch) -> usize {
        let (tokens, rows) = (batch.rows(), batch.rows() * self.heads);
        let (dim, inner) = (self.out.outputs(), self.k.outputs());
        let products = [
            self.v.scratch_len(cx, tokens),
            self.out.scratch_len(cx, rows),
            self.k.scratch_len(cx, tokens),
            self.q_transposed.scratch_len(cx, rows),
            panels::image_to_token_scratch_len(cx, &self.shape(batch, dim)),
        ];
        let prompt_rows = rows / batch.prompts;
        padded(tokens * inner)
            + padded(rows * inner)
            + padded(rows * dim)
            + padded(rows)
            + padded(batch.prompts * left_len(dim, prompt_rows))
            + padded(batch.prompts * left_len(prompt_rows, dim))
            + products.into_iter().fold(0, usize::max)
    }

    /// What is added to the features when the attention's output is, `[C]`.
    pub fn out_bias(&self) -> &[f32] {
        &self.out_bias
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        let products = [&self.q_transposed, &self.k, &self.v, &self.out];
        let vectors = [&self.q_bias, &self.out_bias, &self.norm_weight, &self.norm_bias];
        products.iter().map(|linear| linear.bytes()).sum::<usize>()
            + vectors.iter().map(|vector| size_of_val(&vector[..])).sum::<usize>()
    }

    /// The kernel's sizes for queries and keys of `depth` channels.
    fn shape(&self, batch: Batch, depth: usize) -> panels::ImageToToken {
        panels::ImageToToken {
            prompts: batch.prompts,
            tokens: batch.tokens,
            heads: self.heads,
            depth,
            channels: self.out.outputs(),
            panels: batch.panels,
        }
    }
}

/// `x Wᵀ` with the transpose of the `weight: [inner, dim]` of `scope`: from `inner` to `dim` features.
fn bind_transposed(scope: &Scope<'_>, shape: [usize; 2]) -> Result<Linear> {
    Ok(Linear::new_transposed(scope.level(), shape, &scope.f32("weight", &shape)?))
}

/// `out ← layer(x)`, for tightly packed rows.
fn linear(cx: &Cx, layer: &Linear, x: &[f32], out: &mut [f32], scratch: Scratch<'_>) {
    let lhs = Rows::new(x, x.len() / layer.inputs(), layer.inputs());
    let output = Output::Store { out, stride: layer.outputs() };
    layer.forward(cx, &lhs, Activation::None, output, scratch);
}

/// A row for every head, `[prompts, heads, tokens, D]`, of every token of `x: [prompts, tokens, D]`: the features of
/// the head, 0 elsewhere.
fn split_heads(x: &[f32], batch: Batch, heads: usize, out: &mut [f32]) {
    let inner = x.len() / batch.rows();
    let head_dim = inner / heads;
    out.fill(0.0);
    for (i, row) in out.chunks_exact_mut(inner).enumerate() {
        let (prompt, head, token) = (i / batch.tokens / heads, i / batch.tokens % heads, i % batch.tokens);
        let features = head * head_dim..(head + 1) * head_dim;
        let token = &x[(prompt * batch.tokens + token) * inner..][..inner];
        row[features.clone()].copy_from_slice(&token[features]);
    }
}

/// The opposite: of every token's row for a head the features of that head.
fn merge_heads(rows: &[f32], batch: Batch, heads: usize, out: &mut [f32]) {
    let inner = out.len() / batch.rows();
    let head_dim = inner / heads;
    for (i, row) in rows.chunks_exact(inner).enumerate() {
        let (prompt, head, token) = (i / batch.tokens / heads, i / batch.tokens % heads, i % batch.tokens);
        let features = head * head_dim..(head + 1) * head_dim;
        let token = &mut out[(prompt * batch.tokens + token) * inner..][..inner];
        token[features.clone()].copy_from_slice(&row[features]);
    }
}

/// Packs each prompt's rows of `rows: [prompts, …, depth]` as a left-hand side.
fn pack_prompts<'s>(
    cx: &Cx,
    batch: Batch,
    rows: &[f32],
    depth: usize,
    scratch: &mut Scratch<'s>,
) -> &'s [f32] {
    let count = rows.len() / depth / batch.prompts;
    let packed = scratch.take(batch.prompts * left_len(count, depth));
    let prompts = packed.chunks_exact_mut(left_len(count, depth));
    for (packed, rows) in prompts.zip(rows.chunks_exact(count * depth)) {
        pack_left(cx.level(), &Rows::new(rows, count, depth), packed);
    }
    packed
}
