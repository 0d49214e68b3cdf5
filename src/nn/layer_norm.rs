//! Layer normalisation.

use alloc::vec::Vec;

use crate::error::Result;
use crate::exec::Cx;
use crate::kernels::norm;
use crate::weights::Scope;

/// `y = (x − mean) / √(variance + eps) · weight + bias`, over the last dimension.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    eps: f32,
}

impl LayerNorm {
    /// Binds `weight` and `bias` of shape `[dim]`.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(scope: &Scope<'_>, dim: usize, eps: f32) -> Result<Self> {
        Ok(Self { weight: scope.f32("weight", &[dim])?, bias: scope.f32("bias", &[dim])?, eps })
    }

    /// Normalises the rows of `x: [rows, dim]` into `y`.
    pub fn forward(&self, cx: &Cx, x: &[f32], y: &mut [f32]) {
        norm::layer_norm(cx, x, &self.weight, &self.bias, self.eps, y);
    }

    /// Normalises the rows of `x: [rows, dim]`.
    pub fn forward_in_place(&self, cx: &Cx, x: &mut [f32]) {
        norm::layer_norm_in_place(cx, x, &self.weight, &self.bias, self.eps);
    }

    /// Features of a row.
    pub fn dim(&self) -> usize {
        self.weight.len()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.weight[..]) + size_of_val(&self.bias[..])
    }
}
