//! The projection of a tower's features into the common embedding space.

use super::naming::Naming;
use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq};
use crate::kernels::activation::Activation;
use crate::kernels::gemm::{Destination, Rows};
use crate::nn::Linear;
use crate::weights::Scope;

/// A linear map, or nothing: then the tower's features are the embedding.
#[derive(Debug)]
pub(super) struct Projection {
    linear: Option<Linear>,
    dim: usize,
}

impl Projection {
    /// Binds the projection `name` from `dim` to `embed` features. In OpenCLIP it may have a bias, and is then a layer, as in
    /// SigLIP.
    pub(super) fn bind(
        scope: &Scope<'_>,
        naming: Naming,
        name: &str,
        dim: usize,
        embed: Option<usize>,
    ) -> Result<Self> {
        let Some(embed) = embed else { return Ok(Self { linear: None, dim }) };
        let layer = scope.at(name);
        let linear = if layer.contains("weight") || naming == Naming::Siglip {
            Linear::bind(&layer, [embed, dim])?
        } else if naming.transposed_projections() {
            let weight = scope.f32(name, &[dim, embed])?;
            Linear::new_transposed(scope.packing(), [dim, embed], &weight)?
        } else {
            Linear::of(scope.pack(name, [embed, dim], || scope.f32(name, &[embed, dim]))?, None)
        };
        Ok(Self { linear: Some(linear), dim })
    }

    /// `out: [rows, outputs]` ← the projected `pooled: [rows, dim]`.
    pub(super) fn forward(&self, cx: &Cx, pooled: &[f32], out: &mut [f32], scratch: Scratch<'_>) {
        let Some(linear) = &self.linear else { return out.copy_from_slice(pooled) };
        let output = Destination::Store { out, stride: linear.outputs() };
        let pooled = Rows::new(pooled, pooled.len() / self.dim, self.dim);
        linear.forward(cx, &pooled, Activation::None, output, scratch);
    }

    /// Scratch that [`forward`](Self::forward) needs for `rows` rows.
    pub(super) fn scratch_req(&self, cx: &Cx, rows: usize) -> ScratchReq {
        self.linear.as_ref().map_or(ScratchReq::NONE, |linear| linear.scratch_req(cx, rows))
    }

    /// Whether there is a map.
    pub(super) fn is_some(&self) -> bool {
        self.linear.is_some()
    }

    /// Features of an embedding.
    pub(super) fn outputs(&self) -> usize {
        self.linear.as_ref().map_or(self.dim, Linear::outputs)
    }

    pub(super) fn bytes(&self) -> usize {
        self.linear.as_ref().map_or(0, Linear::bytes)
    }
}
