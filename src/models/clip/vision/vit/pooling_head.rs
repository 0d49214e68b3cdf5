//! Multi-head attention pooling: one learnt query, the probe, attends to all tokens.

use alloc::format;
use alloc::vec::Vec;

use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq, try_zeroed};
use crate::kernels::activation::Activation;
use crate::kernels::gemm::{Destination, Rows};
use crate::models::clip::config::{AttentionPool, TowerConfig};
use crate::models::clip::naming::Naming;
use crate::models::clip::vision::single_query::{Keys, Projection, Values};
use crate::nn::{LayerNorm, Linear, Mlp};
use crate::weights::Scope;

/// `y + mlp(layernorm(y))` with `y = out_proj(attention(q(probe), k(x), v(x)))`.
#[derive(Debug)]
pub(super) struct PoolingHead {
    /// What tokens meet of `q(probe)`, `[heads, D]`: the same for all pictures.
    directions: Vec<f32>,
    values: Values,
    out_proj: Linear,
    layernorm: LayerNorm,
    mlp: Mlp,
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
        let ([q, k, v], out_proj) = match naming {
            Naming::Timm | Naming::TimmPlainText => {
                let part = |name, index, count| Projection {
                    scope: scope.at(name),
                    names: ["weight", "bias"],
                    index,
                    count,
                };
                ([part("q", 0, 1), part("kv", 0, 2), part("kv", 1, 2)], "proj")
            }
            _ => {
                let part = |index| Projection {
                    scope: attention.clone(),
                    names: ["in_proj_weight", "in_proj_bias"],
                    index,
                    count: 3,
                };
                ([0, 1, 2].map(part), "out_proj")
            }
        };
        scope.balance(norm, &[format!("mlp.{}.weight", mlp[0])])?;
        Ok(Self {
            directions: directions(&q, &k, &probe, heads)?,
            values: Values::bind(&v, [dim, heads])?,
            out_proj: Linear::bind(&attention.at(out_proj), [dim, dim])?,
            layernorm: LayerNorm::bind(&scope.at(norm), dim, tower.layer_norm_eps)?,
            mlp: Mlp::bind(&scope.at("mlp"), mlp, [dim, intermediate_size], tower.activation)?,
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
        let dim = self.out_proj.inputs();
        {
            let mut scratch = scratch.frame();
            let [directions, pooled] = scratch.take_all(self.buffers(images));
            directions
                .chunks_exact_mut(self.directions.len())
                .for_each(|of_image| of_image.copy_from_slice(&self.directions));
            self.values.attend(cx, [images, tokens], directions, x, pooled, scratch.frame());
            let output = Destination::Store { out, stride: dim };
            self.out_proj.forward(cx, &Rows::new(pooled, images, dim), Activation::None, output, scratch);
        }
        self.mlp.forward_add(cx, &self.layernorm, out, scratch);
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub(super) fn scratch_req(&self, cx: &Cx, [images, tokens]: [usize; 2]) -> ScratchReq {
        let parts = self.values.scratch_req(cx, [images, tokens]).or(self.out_proj.scratch_req(cx, images));
        let attention = ScratchReq::slices(self.buffers(images)).and(parts);
        attention.or(self.mlp.scratch_req(cx, images))
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&self.directions[..])
            + self.values.bytes()
            + self.out_proj.bytes()
            + self.layernorm.bytes()
            + self.mlp.bytes()
    }

    /// Lengths of the directions, and of what attention gives.
    fn buffers(&self, images: usize) -> [usize; 2] {
        [images * self.directions.len(), images * self.out_proj.inputs()]
    }
}

/// What tokens meet of the query that `q` makes of the probe, `[heads, D]`, in f32.
fn directions(q: &Projection<'_>, k: &Projection<'_>, probe: &[f32], heads: usize) -> Result<Vec<f32>> {
    let dim = probe.len();
    let (q, k) = (q.keep_f32(), k.keep_f32());
    let keys = Keys::bind(&k, [dim, heads])?;
    let weight = q.scope.pack(&q.key(), [dim, dim], || q.matrix(dim))?;
    let layer = Linear::of(weight, Some(q.bias(dim)?));
    let (mut query, mut directions) = (try_zeroed(dim)?, try_zeroed(heads * dim)?);
    q.scope.compute(|cx| {
        let req = layer.scratch_req(cx, 1).or(keys.scratch_req(cx, 1));
        let mut workspace = cx.workspace(req)?;
        let output = Destination::Store { out: &mut query, stride: dim };
        layer.forward(cx, &Rows::new(probe, 1, dim), Activation::None, output, workspace.scratch());
        keys.forward(cx, &query, &mut directions, workspace.scratch());
        Ok(())
    })?;
    Ok(directions)
}
