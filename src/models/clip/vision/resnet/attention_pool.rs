//! Pooling by attention from the mean of a map to its pixels.

use alloc::vec::Vec;

use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq};
use crate::kernels::activation::Activation;
use crate::kernels::gemm::{Destination, Rows};
use crate::models::clip::config::ResNetConfig;
use crate::models::clip::vision::single_query::{Keys, Projection, Values};
use crate::nn::{Linear, Trace};
use crate::weights::Scope;

/// `c_proj(attention(q(t₀), k(t), v(t)))`, where `t` are the mean of the pixels and the pixels, plus positions.
#[derive(Debug)]
pub(super) struct AttentionPool {
    /// `[1 + grid², D]`: the mean's, then the pixels'.
    positions: Vec<f32>,
    q_proj: Linear,
    keys: Keys,
    values: Values,
    c_proj: Linear,
    heads: usize,
    /// `1 + grid²`
    tokens: usize,
}

impl AttentionPool {
    /// Binds the pool of maps of `grid × grid` pixels.
    pub(super) fn bind(scope: &Scope<'_>, config: &ResNetConfig, grid: usize) -> Result<Self> {
        let (dim, heads, tokens) = (config.features(), config.heads, 1 + grid * grid);
        let projection =
            |name: &str| Projection { scope: scope.at(name), names: ["weight", "bias"], index: 0, count: 1 };
        Ok(Self {
            positions: scope.f32("positional_embedding", &[tokens, dim])?,
            q_proj: Linear::bind(&scope.at("q_proj"), [dim, dim])?,
            keys: Keys::bind(&projection("k_proj"), [dim, heads])?,
            values: Values::bind(&projection("v_proj"), [dim, heads])?,
            c_proj: Linear::bind(&scope.at("c_proj").keep_f32(), [config.embed_dim, dim])?,
            heads,
            tokens,
        })
    }

    /// `x: [images, pixels, D]` to `out: [images, outputs]`.
    pub(super) fn forward(
        &self,
        cx: &Cx,
        images: usize,
        x: &[f32],
        out: &mut [f32],
        mut scratch: Scratch<'_>,
        trace: &mut Trace<'_>,
    ) {
        let (dim, tokens) = (self.dim(), self.tokens);
        let [t, q, directions, pooled] = scratch.take_all(self.buffers(images));
        for (x, t) in x.chunks_exact((tokens - 1) * dim).zip(t.chunks_exact_mut(tokens * dim)) {
            self.embed(x, t);
        }
        let means = Rows::strided(&t[..t.len() - (tokens - 1) * dim], images, dim, tokens * dim);
        let output = Destination::Store { out: q, stride: dim };
        self.q_proj.forward(cx, &means, Activation::None, output, scratch.frame());
        self.keys.forward(cx, q, directions, scratch.frame());
        self.values.attend(cx, [images, tokens], directions, t, pooled, scratch.frame());
        trace.stage(format_args!("vision.pooled"), pooled);
        let output = Destination::Store { out, stride: self.outputs() };
        self.c_proj.forward(cx, &Rows::new(pooled, images, dim), Activation::None, output, scratch);
    }

    /// `t: [tokens, D]` ← the mean of `x: [pixels, D]` and its rows, plus positions.
    fn embed(&self, x: &[f32], t: &mut [f32]) {
        let dim = self.dim();
        let (mean, pixels) = t.split_at_mut(dim);
        let (mean_position, positions) = self.positions.split_at(dim);
        mean.fill(0.0);
        for x in x.chunks_exact(dim) {
            mean.iter_mut().zip(x).for_each(|(mean, x)| *mean += x);
        }
        let count = (self.tokens - 1) as f32;
        mean.iter_mut().zip(mean_position).for_each(|(mean, position)| *mean = *mean / count + position);
        for ((t, x), position) in pixels.iter_mut().zip(x).zip(positions) {
            *t = x + position;
        }
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub(super) fn scratch_req(&self, cx: &Cx, images: usize) -> ScratchReq {
        ScratchReq::slices(self.buffers(images)).and(ScratchReq::any([
            self.q_proj.scratch_req(cx, images),
            self.keys.scratch_req(cx, images),
            self.values.scratch_req(cx, [images, self.tokens]),
            self.c_proj.scratch_req(cx, images),
        ]))
    }

    /// Features of an embedding.
    pub(super) fn outputs(&self) -> usize {
        self.c_proj.outputs()
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&self.positions[..])
            + self.q_proj.bytes()
            + self.keys.bytes()
            + self.values.bytes()
            + self.c_proj.bytes()
    }

    fn dim(&self) -> usize {
        self.q_proj.inputs()
    }

    /// Lengths of tokens, queries, their directions, and what attention gives.
    fn buffers(&self, images: usize) -> [usize; 4] {
        let queries = images * self.dim();
        [self.tokens * queries, queries, self.heads * queries, queries]
    }
}
