//! Cross attention of the tokens to the image.

use super::{
    Batch, bind_transposed, inner_dim, linear, merge_heads, pack_heads, pack_prompts, packed_heads_len,
    packed_prompts_len, split_heads,
};
use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq};
use crate::kernels::activation::Activation;
use crate::kernels::gemm::{Destination, Rows};
use crate::kernels::mask_decoder::{
    self, ImageFeatures, ImageKeys, ImageSource, TokenToImageShape, token_to_image,
};
use crate::models::sam::naming::DecoderNames;
use crate::nn::{Linear, attention_scale};
use crate::weights::Scope;

/// Most tokens of one prompt that attend to the image at a time. More are taken in parts, which bounds the scratch memory.
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
    /// Binds the attention of `dim` features in `heads` heads.
    ///
    /// # Errors
    /// As [`Scope::f32`], or `Config` if the heads do not divide its features.
    pub fn bind(scope: &Scope<'_>, names: &DecoderNames, dim: usize, heads: usize) -> Result<Self> {
        let inner = inner_dim(scope, heads)?;
        // The bias adds the same to all scores of a query, which changes no softmax. It is read so that it counts as used.
        scope.at("k_proj").f32("bias", &[inner])?;
        Ok(Self {
            q: Linear::bind(&scope.at("q_proj"), [inner, dim])?,
            k_transposed: bind_transposed(&scope.at("k_proj"), [inner, dim])?,
            v: Linear::bind(&scope.at("v_proj"), [inner, dim])?,
            out: Linear::bind(&scope.at(names.attention_out), [dim, inner])?,
            heads,
        })
    }

    /// `queries += out(attention(q(x), k(image + positions), v(image)))`, for `x, queries: [prompts, tokens, C]`.
    pub fn forward_add(
        &self,
        cx: &Cx,
        batch: Batch,
        x: &[f32],
        image: ImageSource<ImageKeys<'_>, ImageFeatures<'_>>,
        queries: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        let part = batch.prompts * self.part(batch).tokens * self.q.inputs();
        for (x, queries) in x.chunks(part).zip(queries.chunks_mut(part)) {
            let tokens = x.len() / (batch.prompts * self.q.inputs());
            self.attend(cx, Batch { tokens, ..batch }, x, image, queries, scratch.frame());
        }
    }

    /// Scratch that [`forward_add`](Self::forward_add) needs.
    pub fn scratch_req(&self, cx: &Cx, batch: Batch) -> ScratchReq {
        let batch = self.part(batch);
        let (tokens, rows) = (batch.rows(), batch.rows() * self.heads);
        let (dim, inner) = (self.q.inputs(), self.q.outputs());
        let attend = |channels, groups| {
            mask_decoder::token_to_image_scratch_req(cx, &self.shape(batch, channels, groups))
        };
        let packed = ScratchReq::slice(packed_heads_len(batch, self.heads, inner));
        let shared = packed.and(attend(inner, self.heads));
        let packed = ScratchReq::slice(packed_prompts_len(batch, self.heads * batch.tokens, dim));
        let after = packed.and(attend(dim, 1).or(self.v.scratch_req(cx, rows)));
        let per_prompt = ScratchReq::slices(self.per_prompt_buffers(batch))
            .and(self.k_transposed.scratch_req(cx, rows).or(after));
        ScratchReq::slices(self.buffers(batch)).and(ScratchReq::any([
            self.q.scratch_req(cx, tokens),
            shared,
            per_prompt,
            self.out.scratch_req(cx, tokens),
        ]))
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        [&self.q, &self.k_transposed, &self.v, &self.out].iter().map(|linear| linear.bytes()).sum()
    }

    /// The largest part of `batch` that attends at a time.
    fn part(&self, batch: Batch) -> Batch {
        let most = if batch.prompts == 1 { MAX_TOKENS } else { batch.tokens };
        Batch { tokens: batch.tokens.min(most), ..batch }
    }

    /// The shape of the attention to keys and values of `channels` channels; a row sees one of `groups` groups of them.
    fn shape(&self, batch: Batch, channels: usize, groups: usize) -> TokenToImageShape {
        TokenToImageShape {
            prompts: batch.prompts,
            rows: self.heads * batch.tokens,
            groups,
            depth: channels / groups,
            values: channels,
            panels: batch.panels,
        }
    }

    /// Lengths of queries, and of values for every head.
    fn buffers(&self, batch: Batch) -> [usize; 2] {
        [batch.rows() * self.q.outputs(), batch.rows() * self.heads * self.q.outputs()]
    }

    /// If the image is not shared: lengths of queries for every head, of their product, and of weighted features.
    fn per_prompt_buffers(&self, batch: Batch) -> [usize; 3] {
        let (rows, dim) = (batch.rows() * self.heads, self.q.inputs());
        [rows * self.q.outputs(), rows * dim, rows * dim]
    }

    /// [`forward_add`](Self::forward_add) for one part.
    fn attend(
        &self,
        cx: &Cx,
        batch: Batch,
        x: &[f32],
        image: ImageSource<ImageKeys<'_>, ImageFeatures<'_>>,
        queries: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        let (dim, inner) = (self.q.inputs(), self.q.outputs());
        let [q, values] = scratch.take_all(self.buffers(batch));
        linear(cx, &self.q, x, q, scratch.frame());
        q.iter_mut().for_each(|q| *q *= attention_scale(inner / self.heads));

        match image {
            ImageSource::Shared(_) => {
                let mut scratch = scratch.frame();
                let packed = pack_heads(cx, batch, self.heads, q, &mut scratch);
                let shape = self.shape(batch, inner, self.heads);
                token_to_image(cx, &shape, packed, image, values, scratch);
            }
            ImageSource::PerPrompt(_) => {
                let mut scratch = scratch.frame();
                let [by_head, folded, weighted] = scratch.take_all(self.per_prompt_buffers(batch));
                split_heads(q, batch, self.heads, by_head);
                linear(cx, &self.k_transposed, by_head, folded, scratch.frame());
                let packed = pack_prompts(cx, batch, folded, dim, &mut scratch);
                let shape = self.shape(batch, dim, 1);
                token_to_image(cx, &shape, packed, image, weighted, scratch.frame());
                linear(cx, &self.v, weighted, values, scratch);
            }
        }
        let y = q;
        merge_heads(values, batch, self.heads, y);
        let residual = Destination::Add { out: queries, stride: dim };
        self.out.forward(cx, &Rows::new(y, batch.rows(), inner), Activation::None, residual, scratch);
    }
}
