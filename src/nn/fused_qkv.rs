//! Projections of the same tokens in one product.

use alloc::vec;

use super::Linear;
use crate::error::Result;
use crate::weights::Scope;

/// Binds the layers called `names`, each from `dim` to `dim` features, as one that computes all of them: most often
/// queries, keys and values.
///
/// # Errors
/// As [`Scope::f32`].
pub fn bind_fused(scope: &Scope<'_>, names: &[&str], dim: usize) -> Result<Linear> {
    let outputs = names.len() * dim;
    let (mut weight, mut bias) = (vec![0.0; outputs * dim], vec![0.0; outputs]);
    let parts = weight.chunks_exact_mut(dim * dim).zip(bias.chunks_exact_mut(dim));
    for (&name, (weight, bias)) in names.iter().zip(parts) {
        let layer = scope.at(name);
        layer.matrix_into("weight", &[dim, dim], weight)?;
        layer.f32_into("bias", &[dim], bias)?;
    }
    Ok(Linear::new(scope.packing(), [outputs, dim], &weight, Some(bias)))
}
