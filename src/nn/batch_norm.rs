//! Batch normalisation, which is linear once it is trained.

use alloc::vec::Vec;

use crate::error::Result;
use crate::weights::Scope;

/// `y = (x − running_mean) / √(running_var + eps) · weight + bias`, for every channel. It is never computed: it is folded
/// into the convolution before it.
#[derive(Clone, Debug)]
pub struct BatchNorm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    running_mean: Vec<f32>,
    running_var: Vec<f32>,
    eps: f32,
}

impl BatchNorm {
    /// Binds the norm of `channels` channels.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(scope: &Scope<'_>, channels: usize, eps: f32) -> Result<Self> {
        let vector = |name: &str| scope.f32(name, &[channels]);
        Ok(Self {
            weight: vector("weight")?,
            bias: vector("bias")?,
            running_mean: vector("running_mean")?,
            running_var: vector("running_var")?,
            eps,
        })
    }

    /// Folds the norm into a layer without bias, whose `weights: [channels, …]` it scales. Returns the layer's new bias.
    ///
    /// # Panics
    /// If `weights` are not those of as many channels.
    pub fn fold(self, weights: &mut [f32]) -> Vec<f32> {
        let Self { weight, mut bias, running_mean, running_var, eps } = self;
        let len = weights.len() / bias.len();
        assert_eq!(weights.len(), bias.len() * len, "weights of {} channels", bias.len());
        for (i, weights) in weights.chunks_exact_mut(len).enumerate() {
            let factor = weight[i] / libm::sqrtf(running_var[i] + eps);
            weights.iter_mut().for_each(|weight| *weight *= factor);
            bias[i] -= running_mean[i] * factor;
        }
        bias
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_is_normalising() {
        let norm = BatchNorm {
            weight: [2.0, 3.0].into(),
            bias: [0.5, -1.0].into(),
            running_mean: [1.0, -2.0].into(),
            running_var: [4.0, 0.25].into(),
            eps: 0.0,
        };
        let mut weights = [1.0, -1.0, 2.0, 5.0];
        let bias = norm.fold(&mut weights);
        // x = (1, 2): the layer gives (−1, 12), the norm ((−1 − 1) / 2 · 2 + 0.5, (12 + 2) / 0.5 · 3 − 1).
        let outputs = [0, 1].map(|i| weights[2 * i] + 2.0 * weights[2 * i + 1] + bias[i]);
        assert_eq!(outputs, [-1.5, 83.0]);
    }
}
