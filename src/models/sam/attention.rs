//! The three attentions of the two-way transformer.
//!
//! There are few tokens and many pixels. Cross attention therefore projects the tokens and never the image, which is
//! exact by associativity. With heads `h`, tokens `t`, and pixels `p` with features `x` and positions `e`:
//!
//! **Tokens to image.** The scores are `q_ht · (W_k,h (x_p + e_p) + b_k,h) = (W_k,hᵀ q_ht) · (x_p + e_p) + const`. The constant
//! is the same for all pixels and cancels in the softmax over them. The weighted sum of values is
//! `Σ_p a_p (W_v,h x_p + b_v,h) = W_v,h (Σ_p a_p x_p) + b_v,h`, since the weights `a` sum to 1.
//!
//! **Image to tokens.** The scores are `(W_q,h (x_p + e_p) + b_q,h) · k_ht = (x_p + e_p) · (W_q,hᵀ k_ht) + b_q,h · k_ht`. Here
//! the second term differs between tokens and stays. The output is
//! `W_o Σ_t a_pt v_t + b_o = Σ_h Σ_t a_pht (W_o,h v_ht) + b_o`.
//!
//! A token becomes one row for every head. One product with `W` computes `W_hᵀ q_h` for all heads: a row holds `q` in the
//! columns of its head and 0 elsewhere (`split_heads`).
//!
//! In the first layer the image side is the same for all prompts without a mask. It is then projected once per image
//! ([`ImageCache`](super::image_cache::ImageCache)), and a row of a head meets only the features of that head.

mod image_to_token;
mod token_to_image;

pub use image_to_token::ImageToToken;
pub use token_to_image::{MAX_TOKENS, TokenToImage};

use super::naming::DecoderNames;
use crate::error::{Result, err};
use crate::exec::{Cx, Scratch, ScratchReq};
use crate::kernels::activation::Activation;
use crate::kernels::attention::{self, AttentionShape, Bias, attention};
use crate::kernels::feature_panels::{PanelLayout, pack_lhs, packed_lhs_len};
use crate::kernels::gemm::{Destination, Rows};
use crate::nn::{Linear, attention_scale, bind_fused};
use crate::weights::Scope;

/// Prompts that are decoded together, all with the same number of tokens.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// Number of prompts.
    pub prompts: usize,
    /// Tokens of a prompt.
    pub tokens: usize,
    /// The layout of an image's features.
    pub panels: PanelLayout,
}

impl Batch {
    /// Number of tokens of all prompts.
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
    pub fn bind(scope: &Scope<'_>, names: &DecoderNames, dim: usize, heads: usize) -> Result<Self> {
        Ok(Self {
            qk: bind_fused(scope, &["q_proj", "k_proj"], dim)?,
            v: Linear::bind(&scope.at("v_proj"), [dim, dim])?,
            out: Linear::bind(&scope.at(names.attention_out), [dim, dim])?,
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
        output: Destination<'_>,
        mut scratch: Scratch<'_>,
    ) {
        let shape = self.shape(batch);
        let (rows, dim, heads) = (batch.rows(), self.v.outputs(), self.heads);
        let by_head = |out| Destination::Heads { out, tokens: batch.tokens, heads, head_dim: shape.head_dim };
        let [queries_keys, v, y] = scratch.take_all(self.buffers(batch));
        self.qk.forward(
            cx,
            &Rows::new(qk, rows, dim),
            Activation::None,
            by_head(queries_keys),
            scratch.frame(),
        );
        self.v.forward(cx, &Rows::new(values, rows, dim), Activation::None, by_head(v), scratch.frame());
        let (q, k) = queries_keys.split_at(rows * dim);
        attention(cx, &shape, attention_scale(shape.head_dim), q, k, v, Bias::None, y, scratch.frame());
        self.out.forward(cx, &Rows::new(y, rows, dim), Activation::None, output, scratch);
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub fn scratch_req(&self, cx: &Cx, batch: Batch) -> ScratchReq {
        let products = [&self.qk, &self.v, &self.out].map(|linear| linear.scratch_req(cx, batch.rows()));
        let parts = ScratchReq::any(products).or(attention::scratch_req(cx, &self.shape(batch)));
        ScratchReq::slices(self.buffers(batch)).and(parts)
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        [&self.qk, &self.v, &self.out].iter().map(|linear| linear.bytes()).sum()
    }

    /// Lengths of queries and keys, of values, and of what is attended.
    fn buffers(&self, batch: Batch) -> [usize; 3] {
        let len = batch.rows() * self.v.outputs();
        [2 * len, len, len]
    }

    fn shape(&self, Batch { prompts, tokens, .. }: Batch) -> AttentionShape {
        let head_dim = self.v.outputs() / self.heads;
        AttentionShape {
            batches: prompts,
            heads: self.heads,
            queries: tokens,
            keys: tokens,
            head_dim,
            bf16: false,
        }
    }
}

/// Features of all heads of the cross attention at `scope`, taken from the shape of its tensors. The configuration does
/// not tell them: `transformers` applies `attention_downsample_rate` to the last attention only, and 2 in the layers.
///
/// # Errors
/// As [`Scope::dims`], or `Config` if the heads do not divide them.
pub(super) fn inner_dim(scope: &Scope<'_>, heads: usize) -> Result<usize> {
    let [inner, _] = scope.at("q_proj").dims("weight")?;
    if inner == 0 || !inner.is_multiple_of(heads) {
        return Err(err!(Config, "{heads} heads of an attention of {inner} features"));
    }
    Ok(inner)
}

/// Binds the transpose of `weight: [inner, dim]`: a layer from `inner` to `dim` features, without bias.
fn bind_transposed(scope: &Scope<'_>, shape: [usize; 2]) -> Result<Linear> {
    Linear::new_transposed(scope.packing(), shape, &scope.f32("weight", &shape)?)
}

/// `out ← layer(x)`, for rows without gaps.
fn linear(cx: &Cx, layer: &Linear, x: &[f32], out: &mut [f32], scratch: Scratch<'_>) {
    let lhs = Rows::new(x, x.len() / layer.inputs(), layer.inputs());
    let output = Destination::Store { out, stride: layer.outputs() };
    layer.forward(cx, &lhs, Activation::None, output, scratch);
}

/// Writes a row for every head, `out: [prompts, heads, tokens, D]`, of every token of `x: [prompts, tokens, D]`: the features
/// of the head, and 0 in the columns of the others.
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

/// Writes tokens `out: [prompts, tokens, D]` from the rows of all heads: of each row the features of its head.
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

/// Packs `x: [prompts, tokens, D]` for each prompt as a grouped left-hand side
/// ([`PackedLhs::grouped`](crate::kernels::feature_panels::PackedLhs::grouped)), with a head as a group.
fn pack_heads<'s>(cx: &Cx, batch: Batch, heads: usize, x: &[f32], scratch: &mut Scratch<'s>) -> &'s [f32] {
    let inner = x.len() / batch.rows();
    let head_len = packed_lhs_len(batch.tokens, inner / heads);
    let packed = scratch.take(packed_heads_len(batch, heads, inner));
    for (i, packed) in packed.chunks_exact_mut(head_len).enumerate() {
        let (prompt, head) = (i / heads, i % heads);
        let features = &x[prompt * batch.tokens * inner + head * (inner / heads)..];
        pack_lhs(cx.level(), &Rows::strided(features, batch.tokens, inner / heads, inner), packed);
    }
    packed
}

/// Length of what [`pack_heads`] takes for `inner` features of all heads.
fn packed_heads_len(batch: Batch, heads: usize, inner: usize) -> usize {
    batch.prompts * heads * packed_lhs_len(batch.tokens, inner / heads)
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
    let packed = scratch.take(packed_prompts_len(batch, count, depth));
    let prompts = packed.chunks_exact_mut(packed_lhs_len(count, depth));
    for (packed, rows) in prompts.zip(rows.chunks_exact(count * depth)) {
        pack_lhs(cx.level(), &Rows::new(rows, count, depth), packed);
    }
    packed
}

/// Length of what [`pack_prompts`] takes for `rows` rows of every prompt.
fn packed_prompts_len(batch: Batch, rows: usize, depth: usize) -> usize {
    batch.prompts * packed_lhs_len(rows, depth)
}
