//! Projections of the same tokens in one product.

use super::Linear;
use crate::error::Result;
use crate::exec::try_zeroed;
use crate::weights::Scope;

/// Binds the layers called `names`, each from `dim` to `dim` features, as one that computes all of them: most often
/// queries, keys and values.
///
/// # Errors
/// As [`Scope::f32`].
pub fn bind_fused(scope: &Scope<'_>, names: &[&str], dim: usize) -> Result<Linear> {
    let outputs = names.len() * dim;
    let weight = scope.pack(&names.join("+"), [outputs, dim], || {
        let mut weight = try_zeroed(outputs * dim)?;
        for (name, weight) in names.iter().zip(weight.chunks_exact_mut(dim * dim)) {
            scope.at(name).matrix_into("weight", &[dim, dim], weight)?;
        }
        Ok(weight)
    })?;
    let mut bias = try_zeroed(outputs)?;
    for (name, bias) in names.iter().zip(bias.chunks_exact_mut(dim)) {
        scope.at(name).f32_into("bias", &[dim], bias)?;
    }
    Ok(Linear::of(weight, Some(bias)))
}
