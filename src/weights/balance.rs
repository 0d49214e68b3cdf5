//! Columns of a matrix and of the layer norm before it, brought to like magnitudes before they are quantised.
//!
//! A row of activations has one scale. Trained models have some channels whose values are ten or a hundred times as large as
//! the others', which then get few of the 256 steps. `y = W (γ ⊙ x̂ + β)` does not change if column `k` of `W` is multiplied by
//! a factor and `γₖ` and `βₖ` are divided by it: the layer norm is given small values, the matrix large ones, until both are
//! alike (SmoothQuant, Xiao et al., 2023). The normalised `x̂` has variance 1, so `|βₖ| + 3 |γₖ|` tells how far a channel
//! reaches, without any data. Factors are powers of two: in f32 no result changes by a bit.

use alloc::vec::Vec;

use crate::error::Result;
use crate::exec::{TryCollect, try_zeroed};

/// Standard deviations that a channel is taken to reach.
const DEVIATIONS: f32 = 3.0;
/// Factors are 2 to the power of at most this, so that none leaves the range of f32.
const MOST_EXPONENT: i32 = 12;

/// The factor of each column: `√(reach / most)`, of what columns are most often, rounded to a power of two.
///
/// `matrices` have `gamma.len()` columns.
pub(super) fn factors(gamma: &[f32], beta: &[f32], matrices: &[Vec<f32>]) -> Result<Vec<f32>> {
    let mut most = try_zeroed::<f32>(gamma.len())?;
    for row in matrices.iter().flat_map(|matrix| matrix.chunks_exact(gamma.len())) {
        most.iter_mut().zip(row).for_each(|(most, x)| *most = most.max(x.abs()));
    }
    let exponents: Vec<Option<f32>> = gamma
        .iter()
        .zip(beta)
        .zip(&most)
        .map(|((gamma, beta), most)| {
            let ratio = (beta.abs() + DEVIATIONS * gamma.abs()) / most;
            // Columns of zeros, and those that are not finite, stay as they are.
            (ratio.is_normal() && most.is_normal()).then(|| 0.5 * libm::log2f(ratio))
        })
        .try_to_vec()?;
    let mut sorted: Vec<f32> = exponents.iter().flatten().copied().try_to_vec()?;
    sorted.sort_unstable_by(f32::total_cmp);
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
    let factor = |exponent: Option<f32>| {
        let exponent = exponent.map_or(0.0, |exponent| libm::rintf(exponent - median)) as i32;
        libm::ldexpf(1.0, exponent.clamp(-MOST_EXPONENT, MOST_EXPONENT))
    };
    exponents.into_iter().map(factor).try_to_vec()
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::factors;

    #[test]
    fn a_channel_that_reaches_far_gives_to_its_column() {
        let matrices = [vec![0.5, 0.5, -0.5, 0.25], vec![0.1, -0.2, 0.3, -0.5]];
        assert_eq!(factors(&[1.0; 4], &[0.0; 4], &matrices).unwrap(), [1.0; 4]);
        assert_eq!(factors(&[1.0, 64.0, 1.0, 1.0], &[0.0; 4], &matrices).unwrap(), [1.0, 8.0, 1.0, 1.0]);
        assert_eq!(factors(&[1.0; 4], &[0.0, 0.0, -189.0, 0.0], &matrices).unwrap(), [1.0, 1.0, 8.0, 1.0]);
    }

    #[test]
    fn columns_without_a_magnitude_stay() {
        let matrices = [vec![0.5, 0.0, f32::NAN, 0.5, 0.5]];
        let gamma = [1.0, 1.0, 1.0, 0.0, f32::INFINITY];
        assert_eq!(factors(&gamma, &[0.0; 5], &matrices).unwrap(), [1.0; 5]);
        assert_eq!(factors(&[1.0, 1.0, 1e30], &[0.0; 3], &[vec![1.0; 3]]).unwrap(), [1.0, 1.0, 4096.0]);
    }
}
