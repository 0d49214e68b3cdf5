//! Multi-head attention pooling: one learnt query, the probe, attends to all tokens.

use alloc::format;
use alloc::vec::Vec;
use core::ops::Range;

use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq, try_zeroed};
use crate::kernels::activation::Activation;
use crate::kernels::attention::{self, AttentionShape, Bias, attention};
use crate::kernels::gemm::{Destination, Rows};
use crate::models::clip::config::{AttentionPool, TowerConfig};
use crate::models::clip::naming::Naming;
use crate::nn::{LayerNorm, Linear, Mlp, attention_scale};
use crate::weights::Scope;

/// `y + mlp(layernorm(y))` with `y = out_proj(attention(q(probe), k(x), v(x)))`.
#[derive(Debug)]
pub(super) struct PoolingHead {
    /// `q(probe): [D]`, the same for all pictures.
    query: Vec<f32>,
    /// Keys and values in one product.
    kv: Linear,
    out_proj: Linear,
    layernorm: LayerNorm,
    mlp: Mlp,
    heads: usize,
}

impl PoolingHead {
    /// Binds the head of a tower of these sizes in the checkpoint `scope`.
    pub(super) fn bind(
        scope: &Scope<'_>,
        naming: Naming,
        tower: &TowerConfig,
        AttentionPool { heads, intermediate_size }: AttentionPool,
    ) -> Result<Self> {
        let dim = tower.hidden_size;
        let scope = &scope.at(naming.vit().pool);
        // `torch.nn.MultiheadAttention` has queries, keys and values in one matrix; timm has queries apart.
        let (probe, attention, norm, mlp) = match naming {
            Naming::Timm | Naming::TimmPlainText => ("latent", "", "norm", ["fc1", "fc2"]),
            Naming::Original | Naming::OriginalCustomText => {
                ("probe", "attn", "layernorm", ["c_fc", "c_proj"])
            }
            _ => ("probe", "attention", "layernorm", ["fc1", "fc2"]),
        };
        let probe = scope.f32(probe, &[1, 1, dim])?;
        let attention = scope.at(attention);
        let (q, kv, out_proj) = match naming {
            Naming::Timm | Naming::TimmPlainText => (
                Linear::bind(&scope.at("q"), [dim, dim])?,
                Linear::bind(&scope.at("kv"), [2 * dim, dim])?,
                "proj",
            ),
            _ => (bind_rows(&attention, dim, 0..1)?, bind_rows(&attention, dim, 1..3)?, "out_proj"),
        };
        scope.balance(norm, &[format!("mlp.{}.weight", mlp[0])])?;
        Ok(Self {
            query: project_query(scope, &q, &probe)?,
            kv,
            out_proj: Linear::bind(&attention.at(out_proj), [dim, dim])?,
            layernorm: LayerNorm::bind(&scope.at(norm), dim, tower.layer_norm_eps)?,
            mlp: Mlp::bind(&scope.at("mlp"), mlp, [dim, intermediate_size], tower.activation)?,
            heads,
        })
    }

    /// `x: [images, tokens, D]` to `out: [images, D]`.
    pub(super) fn forward(
        &self,
        cx: &Cx,
        [images, tokens]: [usize; 2],
        x: &[f32],
        out: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        let (dim, shape) = (self.query.len(), self.shape([images, tokens]));
        {
            let mut scratch = scratch.frame();
            let [q, kv, pooled] = scratch.take_all(self.buffers([images, tokens]));
            q.chunks_exact_mut(dim).for_each(|q| q.copy_from_slice(&self.query));
            let output = Destination::Heads { out: kv, tokens, heads: self.heads, head_dim: shape.head_dim };
            let rows = Rows::new(x, images * tokens, dim);
            self.kv.forward(cx, &rows, Activation::None, output, scratch.frame());
            let (k, v) = kv.split_at(images * tokens * dim);
            let scale = attention_scale(shape.head_dim);
            attention(cx, &shape, scale, q, k, v, Bias::None, pooled, scratch.frame());
            let output = Destination::Store { out, stride: dim };
            self.out_proj.forward(cx, &Rows::new(pooled, images, dim), Activation::None, output, scratch);
        }
        self.mlp.forward_add(cx, &self.layernorm, out, scratch);
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub(super) fn scratch_req(&self, cx: &Cx, [images, tokens]: [usize; 2]) -> ScratchReq {
        let parts = ScratchReq::any([
            self.kv.scratch_req(cx, images * tokens),
            attention::scratch_req(cx, &self.shape([images, tokens])),
            self.out_proj.scratch_req(cx, images),
        ]);
        let attention = ScratchReq::slices(self.buffers([images, tokens])).and(parts);
        attention.or(self.mlp.scratch_req(cx, images))
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&self.query[..])
            + self.kv.bytes()
            + self.out_proj.bytes()
            + self.layernorm.bytes()
            + self.mlp.bytes()
    }

    /// Lengths of queries, keys with values, and what attention gives.
    fn buffers(&self, [images, tokens]: [usize; 2]) -> [usize; 3] {
        let queries = images * self.query.len();
        [queries, 2 * tokens * queries, queries]
    }

    fn shape(&self, [images, tokens]: [usize; 2]) -> AttentionShape {
        AttentionShape {
            batches: images,
            heads: self.heads,
            queries: 1,
            keys: tokens,
            head_dim: self.query.len() / self.heads,
            bf16: self.kv.format().permits_bf16(),
        }
    }
}

/// Those of the three input projections of `torch.nn.MultiheadAttention` that `which` says: queries, keys, values.
fn bind_rows(scope: &Scope<'_>, dim: usize, which: Range<usize>) -> Result<Linear> {
    let shape = [3 * dim, dim];
    let key = format!("in_proj_weight[{}..{}]", which.start, which.end);
    let weight = scope.pack(&key, [which.len() * dim, dim], || {
        let mut all = scope.matrix("in_proj_weight", &shape)?;
        all.truncate(which.end * dim * dim);
        all.drain(..which.start * dim * dim);
        Ok(all)
    })?;
    let mut bias = scope.f32("in_proj_bias", &shape[..1])?;
    bias.truncate(which.end * dim);
    bias.drain(..which.start * dim);
    Ok(Linear::of(weight, Some(bias)))
}

/// The query that `layer` makes of the probe, in the arithmetic of its format.
fn project_query(scope: &Scope<'_>, layer: &Linear, probe: &[f32]) -> Result<Vec<f32>> {
    let mut query = try_zeroed(layer.outputs())?;
    scope.compute(|cx| {
        let mut workspace = cx.workspace(layer.scratch_req(cx, 1))?;
        let output = Destination::Store { out: &mut query, stride: layer.outputs() };
        let rows = Rows::new(probe, 1, layer.inputs());
        layer.forward(cx, &rows, Activation::None, output, workspace.scratch());
        Ok(())
    })?;
    Ok(query)
}
