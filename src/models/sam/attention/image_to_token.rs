//! Cross attention of the image to the tokens.

use alloc::vec::Vec;

use super::{
    Batch, bind_transposed, inner_dim, linear, pack_heads, pack_prompts, packed_heads_len,
    packed_prompts_len, split_heads,
};
use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq};
use crate::kernels::feature_panels::{Transposed, pack_lhs, packed_lhs_len};
use crate::kernels::mask_decoder::{
    self, ImageQueries, ImageSource, ImageToTokenShape, LayerNormParams, PackedTokens, image_to_token,
};
use crate::models::sam::image_cache::ImageCache;
use crate::models::sam::naming::DecoderNames;
use crate::nn::{Linear, attention_scale};
use crate::weights::Scope;

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

impl ImageToToken {
    /// Binds the attention of `dim` features in `heads` heads, and the norm.
    ///
    /// # Errors
    /// As [`Scope::f32`], or `Config` if the heads do not divide its features.
    pub fn bind(
        scope: &Scope<'_>,
        names: &DecoderNames,
        norm: &Scope<'_>,
        dim: usize,
        heads: usize,
        eps: f32,
    ) -> Result<Self> {
        let inner = inner_dim(scope, heads)?;
        let out = scope.at(names.attention_out);
        Ok(Self {
            q_transposed: bind_transposed(&scope.at("q_proj"), [inner, dim])?,
            q_bias: scope.at("q_proj").f32("bias", &[inner])?,
            k: Linear::bind(&scope.at("k_proj"), [inner, dim])?,
            v: Linear::bind(&scope.at("v_proj"), [inner, dim])?,
            out: Linear::new(scope.packing(), [dim, inner], &out.f32("weight", &[dim, inner])?, None)?,
            out_bias: out.f32("bias", &[dim])?,
            norm_weight: norm.f32("weight", &[dim])?,
            norm_bias: norm.f32("bias", &[dim])?,
            norm_eps: eps,
            heads,
        })
    }

    /// `x ← norm(features + out(attention(q(features + positions), k(keys), v(values))))`, for
    /// keys and values `[prompts, tokens, C]` and `x: [prompts]` features in panels.
    ///
    /// The features and queries of a shared image are those of its cache, and `x` is only written. Otherwise `x` holds the
    /// features of every prompt, and `image` the position encodings.
    pub fn forward(
        &self,
        cx: &Cx,
        batch: Batch,
        [keys, values]: [&[f32]; 2],
        image: ImageSource<ImageCache<'_>, &[f32]>,
        x: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        let (dim, inner) = (self.out.outputs(), self.k.outputs());
        let [projected, by_head, folded, key_bias, packed_values] = scratch.take_all(self.buffers(batch));

        // Values: projected, then multiplied into the output projection, `W_o,h v_ht`.
        linear(cx, &self.v, values, projected, scratch.frame());
        split_heads(projected, batch, self.heads, by_head);
        linear(cx, &self.out, by_head, folded, scratch.frame());
        let prompt_rows = self.heads * batch.tokens;
        let prompts = packed_values.chunks_exact_mut(packed_lhs_len(dim, prompt_rows));
        for (packed, folded) in prompts.zip(folded.chunks_exact(prompt_rows * dim)) {
            pack_lhs(cx.level(), &Transposed::new(folded, dim), packed);
        }

        // Keys: projected, then multiplied into the query projection, `W_q,hᵀ k_ht`, unless queries are in the cache.
        linear(cx, &self.k, keys, projected, scratch.frame());
        projected.iter_mut().for_each(|k| *k *= attention_scale(inner / self.heads));
        let (keys, shape, source, bias) = match image {
            ImageSource::Shared(ImageCache { features, queries, feature_bias, .. }) => {
                key_bias.fill(0.0);
                let keys = pack_heads(cx, batch, self.heads, projected, &mut scratch);
                let shape = self.shape(batch, inner, self.heads);
                (keys, shape, ImageSource::Shared(ImageQueries { queries, features }), feature_bias)
            }
            ImageSource::PerPrompt(positions) => {
                split_heads(projected, batch, self.heads, by_head);
                for (bias, row) in key_bias.iter_mut().zip(by_head.chunks_exact(inner)) {
                    *bias = row.iter().zip(&self.q_bias).map(|(k, q)| k * q).sum();
                }
                linear(cx, &self.q_transposed, by_head, folded, scratch.frame());
                let keys = pack_prompts(cx, batch, folded, dim, &mut scratch);
                (keys, self.shape(batch, dim, 1), ImageSource::PerPrompt(positions), &self.out_bias[..])
            }
        };
        let tokens = PackedTokens { keys, key_bias, values: packed_values, bias };
        let norm = LayerNormParams { weight: &self.norm_weight, bias: &self.norm_bias, eps: self.norm_eps };
        image_to_token(cx, &shape, &tokens, norm, source, x, scratch);
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub fn scratch_req(&self, cx: &Cx, batch: Batch) -> ScratchReq {
        let (tokens, rows) = (batch.rows(), batch.rows() * self.heads);
        let (dim, inner) = (self.out.outputs(), self.k.outputs());
        let attend = |keys, channels, groups| {
            let shape = self.shape(batch, channels, groups);
            ScratchReq::slice(keys).and(mask_decoder::image_to_token_scratch_req(cx, &shape))
        };
        let parts = ScratchReq::any([
            self.v.scratch_req(cx, tokens),
            self.out.scratch_req(cx, rows),
            self.k.scratch_req(cx, tokens),
            self.q_transposed.scratch_req(cx, rows),
            attend(packed_heads_len(batch, self.heads, inner), inner, self.heads),
            attend(packed_prompts_len(batch, self.heads * batch.tokens, dim), dim, 1),
        ]);
        ScratchReq::slices(self.buffers(batch)).and(parts)
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        let products = [&self.q_transposed, &self.k, &self.v, &self.out];
        let vectors = [&self.q_bias, &self.out_bias, &self.norm_weight, &self.norm_bias];
        products.iter().map(|linear| linear.bytes()).sum::<usize>()
            + vectors.iter().map(|vector| size_of_val(&vector[..])).sum::<usize>()
    }

    /// Lengths of projected tokens, of rows for every head before and after their product, of biases of keys, and of
    /// packed values.
    fn buffers(&self, batch: Batch) -> [usize; 5] {
        let (tokens, rows) = (batch.rows(), batch.rows() * self.heads);
        let (dim, inner) = (self.out.outputs(), self.k.outputs());
        let packed_values = batch.prompts * packed_lhs_len(dim, self.heads * batch.tokens);
        [tokens * inner, rows * inner, rows * dim, rows, packed_values]
    }

    /// The shape of the attention to queries of `channels` channels in `groups` groups.
    fn shape(&self, batch: Batch, channels: usize, groups: usize) -> ImageToTokenShape {
        ImageToTokenShape {
            prompts: batch.prompts,
            tokens: batch.tokens,
            heads: self.heads,
            groups,
            depth: channels / groups,
            channels: self.out.outputs(),
            panels: batch.panels,
        }
    }
}
