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

    /// Binds the projection of a tower that OpenCLIP takes from another library: the layer `names[1]`, before it, where it is
    /// there, `names[0]`, with a bias where `has_bias` says so.
    pub(super) fn bind_layers(
        scope: &Scope<'_>,
        names: [&str; 2],
        has_bias: [bool; 2],
        dim: usize,
        embed: Option<usize>,
    ) -> Result<Self> {
        let Some(embed) = embed else { return Ok(Self { inner: None, linear: None, dim }) };
        let bind = |i: usize, shape: [usize; 2]| {
            let layer = scope.at(names[i]);
            let weight = layer.pack("weight", shape, || layer.f32("weight", &shape))?;
            let bias = has_bias[i].then(|| layer.f32("bias", &shape[..1])).transpose()?;
            Ok::<_, Error>(Linear::of(weight, bias))
        };
        let first = scope.at(names[0]);
        if names[0].is_empty() || !first.contains("weight") {
            return Ok(Self { inner: None, linear: Some(bind(1, [embed, dim])?), dim });
        }
        let [width, _] = first.dims("weight")?;
        limit("width of the projection", width, MAX_WIDTH)?;
        let (inner, linear) = (bind(0, [width, dim])?, bind(1, [embed, width])?);
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
