//! Batch normalisation, which is linear once it is trained.

use alloc::vec::Vec;

use super::conv2d::bind_weight;
use crate::error::Result;
use crate::kernels::conv::ConvShape;
use crate::weights::Scope;

/// `y = (x − running_mean) / √(running_var + eps) · weight + bias`, for every channel. It is never computed: it is folded
/// into the convolution before it.
#[derive(Clone, Debug)]
pub struct BatchNorm {
    /// `weight / √(running_var + eps)`
    factor: Vec<f32>,
    /// `bias − running_mean · factor`
    bias: Vec<f32>,
}

impl BatchNorm {
    /// Binds the norm of `channels` channels.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(scope: &Scope<'_>, channels: usize, eps: f32) -> Result<Self> {
        let vector = |name: &str| scope.f32(name, &[channels]);
        let [weight, bias] = [vector("weight")?, vector("bias")?];
        Ok(Self::new(weight, bias, &vector("running_mean")?, &vector("running_var")?, eps))
    }

    fn new(mut weight: Vec<f32>, mut bias: Vec<f32>, mean: &[f32], var: &[f32], eps: f32) -> Self {
        weight.iter_mut().zip(var).for_each(|(weight, var)| *weight /= libm::sqrtf(var + eps));
        bias.iter_mut().zip(mean).zip(&weight).for_each(|((bias, mean), factor)| *bias -= mean * factor);
        Self { factor: weight, bias }
    }

    /// Folds the norm into a layer without bias, whose `weights: [channels, …]` it scales. Returns the layer's new bias.
    ///
    /// # Panics
    /// If `weights` are not those of as many channels.
    pub fn fold(self, weights: &mut [f32]) -> Vec<f32> {
        self.scale(weights);
        self.into_bias()
    }

    /// Scales the `weights: [channels, …]` of the layer before.
    ///
    /// # Panics
    /// As [`fold`](Self::fold).
    pub fn scale(&self, weights: &mut [f32]) {
        let len = weights.len() / self.factor.len();
        assert_eq!(weights.len(), self.factor.len() * len, "weights of {} channels", self.factor.len());
        for (weights, factor) in weights.chunks_exact_mut(len).zip(&self.factor) {
            weights.iter_mut().for_each(|weight| *weight *= factor);
        }
    }

    /// The new bias of the layer before, for which [`scale`](Self::scale) is the other half.
    pub fn into_bias(self) -> Vec<f32> {
        self.bias
    }
}

/// Weight and bias of a convolution without bias of its own, with the norm after it folded into it; they are in `scope` under
/// the names `conv` and `norm`.
///
/// # Errors
/// As [`ConvShape::check`] and [`Scope::f32`].
pub fn bind_folded(
    scope: &Scope<'_>,
    [conv, norm]: [&str; 2],
    shape: ConvShape,
    eps: f32,
) -> Result<(Vec<f32>, Vec<f32>)> {
    shape.check()?;
    let mut weight = bind_weight(&scope.at(conv), shape)?;
    let bias = BatchNorm::bind(&scope.at(norm), shape.outputs, eps)?.fold(&mut weight);
    Ok((weight, bias))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_is_normalising() {
        let norm = BatchNorm::new([2.0, 3.0].into(), [0.5, -1.0].into(), &[1.0, -2.0], &[4.0, 0.25], 0.0);
        let mut weights = [1.0, -1.0, 2.0, 5.0];
        let bias = norm.fold(&mut weights);
        // x = (1, 2): the layer gives (−1, 12), the norm ((−1 − 1) / 2 · 2 + 0.5, (12 + 2) / 0.5 · 3 − 1).
        let outputs = [0, 1].map(|i| weights[2 * i] + 2.0 * weights[2 * i + 1] + bias[i]);
        assert_eq!(outputs, [-1.5, 83.0]);
    }
}
