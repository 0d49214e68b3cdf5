//! Activations (the other functions follow).

use crate::simd::Simd;

/// An activation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x`.
    None,
}

impl Activation {
    /// Whether it changes anything.
    pub fn is_some(self) -> bool {
        self != Self::None
    }
}

/// Applies `activation` to every element.
#[inline(always)]
pub fn apply_slice<S: Simd>(_: S, activation: Activation, _: &mut [f32]) {
    match activation {
        Activation::None => (),
    }
}
