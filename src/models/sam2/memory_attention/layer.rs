//! A layer of the memory attention.

use alloc::vec::Vec;

use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq};
use crate::kernels::activation::Activation;
use crate::kernels::gemm::{Destination, Rows};
use crate::kernels::rotary_attention::{
    CrossAttentionArgs, KeyProjection, MemoryShape, PackedMemories, Rotary, cross_attention,
    cross_attention_scratch_req, self_attention, self_attention_scratch_req,
};
use crate::models::sam::Naming;
use crate::models::sam2::MemoryConfig;
use crate::models::sam2::memory::product;
use crate::nn::{LayerNorm, Linear, Mlp, attention_scale, bind_fused};
use crate::weights::Scope;

/// `x += self_attn(norm1(x)); x += cross_attn(norm2(x), memories); x += linear2(relu(linear1(norm3(x))))`.
#[derive(Debug)]
pub(super) struct Layer {
    norms: [LayerNorm; 3],
    self_attn: SelfAttention,
    cross_attn: CrossAttention,
    mlp: Mlp,
}

/// One head over all tokens of the frame, with rotary positions.
#[derive(Debug)]
struct SelfAttention {
    qkv: Linear,
    out_proj: Linear,
}

/// One head from the tokens of the frame to memories, with rotary positions.
#[derive(Debug)]
struct CrossAttention {
    q_proj: Linear,
    k_proj: KeyProjection,
    /// `out_proj(v_proj(m))`, from `D` to `C` features.
    out_v_proj: Linear,
}

const EPS: f32 = 1e-5;

impl Layer {
    pub(super) fn bind(scope: &Scope<'_>, naming: Naming, dim: usize, memory: &MemoryConfig) -> Result<Self> {
        let (norms, out) = match naming {
            Naming::HuggingFace => (["layer_norm1", "layer_norm2", "layer_norm3"], "o_proj"),
            Naming::Original => (["norm1", "norm2", "norm3"], "out_proj"),
        };
        let norm = |name: &str| LayerNorm::bind(&scope.at(name), dim, EPS);
        let mlp = ["linear1", "linear2"];
        Ok(Self {
            norms: [norm(norms[0])?, norm(norms[1])?, norm(norms[2])?],
            self_attn: SelfAttention::bind(&scope.at("self_attn"), out, dim)?,
            cross_attn: CrossAttention::bind(&scope.at("cross_attn_image"), out, [dim, memory.dim])?,
            mlp: Mlp::bind(scope, mlp, [dim, memory.mlp_dim], Activation::Relu)?,
        })
    }

    /// `x += self_attn(norm1(x))`, `x: [tokens, C]`.
    pub(super) fn attend_to_frame(&self, cx: &Cx, rotary: &Rotary, x: &mut [f32], mut scratch: Scratch<'_>) {
        let (tokens, dim) = (rotary.tokens(), rotary.width());
        let SelfAttention { qkv, out_proj } = &self.self_attn;
        let [y, qkv_out] = scratch.take_all(frame_buffers(rotary));
        self.norms[0].forward(cx, x, y);
        let output = Destination::Heads { out: qkv_out, tokens, heads: 1, head_dim: dim };
        qkv.forward(cx, &Rows::new(y, tokens, dim), Activation::None, output, scratch.frame());
        let (q, kv) = qkv_out.split_at(x.len());
        let (k, v) = kv.split_at(x.len());
        let bf16 = qkv.format().permits_bf16();
        self_attention(cx, rotary, attention_scale(dim), bf16, [q, k, v], y, scratch.frame());
        let residual = Destination::Add { out: x, stride: dim };
        out_proj.forward(cx, &Rows::new(y, tokens, dim), Activation::None, residual, scratch);
    }

    /// `x += cross_attn(norm2(x), memories)`, `x: [tokens, C]`.
    pub(super) fn attend_to_memory(
        &self,
        cx: &Cx,
        rotary: &Rotary,
        memories: &PackedMemories<'_>,
        x: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        let (tokens, dim) = (rotary.tokens(), rotary.width());
        let CrossAttention { q_proj, k_proj, out_v_proj } = &self.cross_attn;
        let q = scratch.take(tokens * dim);
        {
            let mut scratch = scratch.frame();
            let y = scratch.take(tokens * dim);
            self.norms[1].forward(cx, x, y);
            let output = Destination::Store { out: q, stride: dim };
            q_proj.forward(cx, &Rows::new(y, tokens, dim), Activation::None, output, scratch);
        }
        let memory = scratch.take(tokens * out_v_proj.inputs());
        let args = CrossAttentionArgs { rotary, projection: k_proj, memories, scale: attention_scale(dim) };
        cross_attention(cx, &args, q, memory, scratch.frame());
        let residual = Destination::Add { out: x, stride: dim };
        out_v_proj.forward(
            cx,
            &Rows::new(memory, tokens, out_v_proj.inputs()),
            Activation::None,
            residual,
            scratch,
        );
    }

    /// `x += linear2(relu(linear1(norm3(x))))`, `x: [tokens, C]`.
    pub(super) fn transform(&self, cx: &Cx, x: &mut [f32], scratch: Scratch<'_>) {
        self.mlp.forward_add(cx, &self.norms[2], x, scratch);
    }

    /// Scratch that each of the three parts needs. For no memories, the scratch that
    /// [`attend_to_frame`](Self::attend_to_frame) needs.
    pub(super) fn scratch_req(&self, cx: &Cx, rotary: &Rotary, memories: &MemoryShape) -> ScratchReq {
        let (tokens, dim) = (rotary.tokens(), rotary.width());
        let SelfAttention { qkv, out_proj } = &self.self_attn;
        let to_frame = ScratchReq::slices(frame_buffers(rotary)).and(ScratchReq::any([
            qkv.scratch_req(cx, tokens),
            self_attention_scratch_req(cx, rotary, qkv.format().permits_bf16()),
            out_proj.scratch_req(cx, tokens),
        ]));
        if memories.is_empty() {
            return to_frame;
        }
        let CrossAttention { q_proj, k_proj, out_v_proj } = &self.cross_attn;
        let queries = ScratchReq::slice(tokens * dim).and(q_proj.scratch_req(cx, tokens));
        let memory = ScratchReq::slice(tokens * out_v_proj.inputs()).and(
            cross_attention_scratch_req(cx, rotary, k_proj, memories).or(out_v_proj.scratch_req(cx, tokens)),
        );
        let to_memory = ScratchReq::slice(tokens * dim).and(queries.or(memory));
        ScratchReq::any([to_frame, to_memory, self.mlp.scratch_req(cx, tokens)])
    }

    pub(super) fn bytes(&self) -> usize {
        self.norms.iter().map(LayerNorm::bytes).sum::<usize>()
            + self.self_attn.qkv.bytes()
            + self.self_attn.out_proj.bytes()
            + self.cross_attn.q_proj.bytes()
            + self.cross_attn.k_proj.bytes()
            + self.cross_attn.out_v_proj.bytes()
            + self.mlp.bytes()
    }
}

/// Lengths of the normed tokens, which then become what attends, and of their queries, keys and values.
fn frame_buffers(rotary: &Rotary) -> [usize; 2] {
    let len = rotary.tokens() * rotary.width();
    [len, 3 * len]
}

impl SelfAttention {
    fn bind(scope: &Scope<'_>, out: &str, dim: usize) -> Result<Self> {
        Ok(Self {
            qkv: bind_fused(scope, &["q_proj", "k_proj", "v_proj"], dim)?,
            out_proj: Linear::bind(&scope.at(out), [dim, dim])?,
        })
    }
}

impl CrossAttention {
    fn bind(scope: &Scope<'_>, out: &str, [dim, memory_dim]: [usize; 2]) -> Result<Self> {
        let k_proj = scope.at("k_proj");
        let key = k_proj.f32("weight", &[dim, memory_dim])?;
        let v_proj = scope.at("v_proj");
        let value = v_proj.f32("weight", &[dim, memory_dim])?;
        let value_bias = v_proj.f32("bias", &[dim])?;
        let out = scope.at(out);
        let weight = out.f32("weight", &[dim, dim])?;
        let mut bias: Vec<f32> = product(&weight, &value_bias, dim)?;
        bias.iter_mut().zip(out.f32("bias", &[dim])?).for_each(|(to, bias)| *to += bias);
        let merged = product(&weight, &value, dim)?;
        Ok(Self {
            q_proj: Linear::bind(&scope.at("q_proj"), [dim, dim])?,
            k_proj: KeyProjection::new(&key, &k_proj.f32("bias", &[dim])?)?,
            out_v_proj: Linear::new(scope.packing(), [dim, memory_dim], &merged, Some(bias))?,
        })
    }
}
