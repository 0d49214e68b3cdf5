//! The projection of a tower's features into the common embedding space.

use super::config::MAX_WIDTH;
use super::naming::Naming;
use crate::error::{Error, Result};
use crate::exec::{Cx, Scratch, ScratchReq};
use crate::kernels::activation::Activation;
use crate::kernels::gemm::{Destination, Rows};
use crate::models::limit;
use crate::nn::Linear;
use crate::weights::Scope;

/// A linear map, two with GELU between them, or nothing: then the tower's features are the embedding.
#[derive(Debug)]
pub(super) struct Projection {
    /// The first of two.
    inner: Option<Linear>,
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
        let Some(embed) = embed else { return Ok(Self { inner: None, linear: None, dim }) };
        let layer = scope.at(name);
        let linear = if layer.contains("weight") || naming == Naming::Siglip {
            Linear::bind(&layer, [embed, dim])?
        } else if naming.transposed_projections() {
            let weight = scope.f32(name, &[dim, embed])?;
            Linear::new_transposed(scope.packing(), [dim, embed], &weight)?
        } else {
            Linear::of(scope.pack(name, [embed, dim], || scope.f32(name, &[embed, dim]))?, None)
        };
        Ok(Self { inner: None, linear: Some(linear), dim })
    }

    /// Binds the projection `name` of a text tower that OpenCLIP takes from `transformers`: layers without biases, with another
    /// one before it where it is an MLP.
    pub(super) fn bind_plain(
        scope: &Scope<'_>,
        name: &str,
        dim: usize,
        embed: Option<usize>,
    ) -> Result<Self> {
        let Some(embed) = embed else { return Ok(Self { inner: None, linear: None, dim }) };
        let layer = scope.at(name);
        let plain = |name: &str, shape: [usize; 2]| {
            let weight = layer.pack(name, shape, || layer.f32(name, &shape))?;
            Ok::<_, Error>(Linear::of(weight, None))
        };
        if !layer.contains("0.weight") {
            return Ok(Self { inner: None, linear: Some(plain("weight", [embed, dim])?), dim });
        }
        let [width, _] = layer.dims("0.weight")?;
        limit("width of the projection", width, MAX_WIDTH)?;
        let (inner, linear) = (plain("0.weight", [width, dim])?, plain("2.weight", [embed, width])?);
        Ok(Self { inner: Some(inner), linear: Some(linear), dim })
    }

    /// `out: [rows, outputs]` ← the projected `pooled: [rows, dim]`.
    pub(super) fn forward(&self, cx: &Cx, pooled: &[f32], out: &mut [f32], mut scratch: Scratch<'_>) {
        let Some(linear) = &self.linear else { return out.copy_from_slice(pooled) };
        let rows = pooled.len() / self.dim;
        let (mut input, width) = (pooled, linear.inputs());
        let hidden = scratch.take(if self.inner.is_some() { rows * width } else { 0 });
        if let Some(inner) = &self.inner {
            let output = Destination::Store { out: hidden, stride: width };
            inner.forward(cx, &Rows::new(pooled, rows, self.dim), Activation::Gelu, output, scratch.frame());
            input = hidden;
        }
        let output = Destination::Store { out, stride: linear.outputs() };
        linear.forward(cx, &Rows::new(input, rows, width), Activation::None, output, scratch);
    }

    /// Scratch that [`forward`](Self::forward) needs for `rows` rows.
    pub(super) fn scratch_req(&self, cx: &Cx, rows: usize) -> ScratchReq {
        let Some(linear) = &self.linear else { return ScratchReq::NONE };
        let last = linear.scratch_req(cx, rows);
        match &self.inner {
            Some(inner) => {
                ScratchReq::slice(rows * inner.outputs()).and(last.or(inner.scratch_req(cx, rows)))
            }
            None => last,
        }
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
        self.inner.iter().chain(&self.linear).map(Linear::bytes).sum()
    }
}
