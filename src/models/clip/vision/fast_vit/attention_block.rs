//! The block in which attention mixes pixels.

use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq};
use crate::kernels::activation::Activation;
use crate::kernels::attention::{self, AttentionShape, Bias, attention};
use crate::kernels::conv::ConvShape;
use crate::kernels::gemm::{Destination, Rows};
use crate::models::clip::config::FastVitConfig;
use crate::models::clip::mobile::{ConvMlp, EPS, Names, bind_scaled, scale_of};
use crate::nn::{BatchNorm, Conv2d, LayerNorm, Linear, attention_scale};
use crate::weights::Scope;

/// `x += γ₁ ∘ proj(attention(qkv(norm(x)))); x += γ₂ ∘ mlp(x)`.
#[derive(Debug)]
pub(super) struct AttentionBlock {
    norm: Norm,
    /// Queries, keys and values in one product, without bias.
    qkv: Linear,
    proj: Linear,
    mlp: ConvMlp,
}

/// MobileCLIP S3 and S4 have layer norms, the others batch norms.
#[derive(Debug)]
enum Norm {
    Layer(LayerNorm),
    /// As a convolution of one tap.
    Batch(Conv2d),
}

impl AttentionBlock {
    /// Binds the block `scope` of `[channels, inner]` features.
    pub(super) fn bind(
        scope: &Scope<'_>,
        names: &Names,
        widths: [usize; 2],
        kernel: [usize; 2],
    ) -> Result<Self> {
        let dim = widths[0];
        let (norm, mixer) = (scope.at("norm"), scope.at("token_mixer"));
        let norm = if norm.contains("running_mean") {
            let shape = ConvShape::depthwise(dim, [1, 1]);
            let mut factors = alloc::vec![1.0; dim];
            let bias = BatchNorm::bind(&norm, dim, EPS)?.fold(&mut factors);
            Norm::Batch(Conv2d::new(scope.packing(), shape, &factors, Some(bias))?)
        } else {
            scope.balance("norm", &["token_mixer.qkv.weight"])?;
            Norm::Layer(LayerNorm::bind(&norm, dim, EPS)?)
        };
        let shape = [3 * dim, dim];
        let qkv = mixer.at("qkv");
        let qkv = Linear::of(qkv.pack("weight", shape, || qkv.matrix("weight", &shape))?, None);
        let scale = scale_of(scope, names, "layer_scale_1", dim)?;
        Ok(Self {
            norm,
            qkv,
            proj: bind_scaled(&mixer.at("proj"), &[dim, dim], &scale)?,
            mlp: ConvMlp::bind(scope, names, "layer_scale_2", widths, kernel)?,
        })
    }

    /// Updates `x: [images, height, width, channels]`, by way of `y`, which is as large.
    pub(super) fn forward(
        &self,
        cx: &Cx,
        size: [usize; 3],
        x: &mut [f32],
        y: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        let (shape, dim) = (self.shape(size), self.dim());
        let (rows, tokens) = (x.len() / dim, shape.keys);
        match &self.norm {
            Norm::Layer(norm) => norm.forward(cx, x, y),
            Norm::Batch(norm) => norm.forward_batch(cx, size, x, Activation::None, y, scratch.frame()),
        }
        {
            let mut scratch = scratch.frame();
            let qkv = scratch.take(3 * x.len());
            let output =
                Destination::Heads { out: qkv, tokens, heads: shape.heads, head_dim: shape.head_dim };
            self.qkv.forward(cx, &Rows::new(y, rows, dim), Activation::None, output, scratch.frame());
            let (q, kv) = qkv.split_at(x.len());
            let (k, v) = kv.split_at(x.len());
            attention(cx, &shape, attention_scale(shape.head_dim), q, k, v, Bias::None, y, scratch);
        }
        let residual = Destination::Add { out: x, stride: dim };
        self.proj.forward(cx, &Rows::new(y, rows, dim), Activation::None, residual, scratch.frame());
        self.mlp.forward_add(cx, size, x, y, scratch);
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub(super) fn scratch_req(&self, cx: &Cx, size: [usize; 3]) -> ScratchReq {
        let rows: usize = size.into_iter().product();
        let norm = match &self.norm {
            Norm::Layer(_) => ScratchReq::NONE,
            Norm::Batch(norm) => norm.batch_scratch_req(cx, size),
        };
        let parts = self.qkv.scratch_req(cx, rows).or(attention::scratch_req(cx, &self.shape(size)));
        ScratchReq::any([
            norm,
            ScratchReq::slice(3 * rows * self.dim()).and(parts),
            self.proj.scratch_req(cx, rows),
            self.mlp.scratch_req(cx, size),
        ])
    }

    pub(super) fn bytes(&self) -> usize {
        let norm = match &self.norm {
            Norm::Layer(norm) => norm.bytes(),
            Norm::Batch(norm) => norm.bytes(),
        };
        norm + self.qkv.bytes() + self.proj.bytes() + self.mlp.bytes()
    }

    fn dim(&self) -> usize {
        self.proj.outputs()
    }

    fn shape(&self, [images, height, width]: [usize; 3]) -> AttentionShape {
        AttentionShape {
            batches: images,
            heads: self.dim() / FastVitConfig::HEAD_DIM,
            queries: height * width,
            keys: height * width,
            head_dim: FastVitConfig::HEAD_DIM,
            bf16: self.qkv.format().permits_bf16(),
        }
    }
}
