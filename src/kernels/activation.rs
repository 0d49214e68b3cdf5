//! Activation functions.

use core::f32::consts::{FRAC_2_SQRT_PI, SQRT_2};

use crate::exec::Cx;
use crate::kernels::math::{exp, normal_tail};
use crate::kernels::rows::split_rows;
use crate::simd::{Level, Simd, Vectorize};

/// An activation function.
///
/// The results are within `2⁻²² · |x|` of the exact value, which is a few units in the last place where the function
/// is near `x`. NaN gives NaN; −∞ gives NaN where the formula is `−∞ · 0`, as it does in PyTorch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// `x`.
    #[default]
    None,
    /// `x · σ(1.702·x)`, of OpenAI's CLIP.
    QuickGelu,
    /// `x · Φ(x)` with the normal distribution's `Φ(x) = (1 + erf(x / √2)) / 2`.
    Gelu,
    /// `x · (1 + tanh(√(2/π)·(x + 0.044715·x³))) / 2`, the approximation of `Gelu` by tanh.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
    /// `x · σ(x)`, also called swish.
    Silu,
}

impl Activation {
    /// Whether it changes anything.
    pub fn is_some(self) -> bool {
        self != Self::None
    }

    /// The function of one vector.
    #[inline(always)]
    pub fn apply<S: Simd>(self, s: S, x: S::F) -> S::F {
        match self {
            Self::None => x,
            Self::QuickGelu => times_sigmoid(s, x, s.mul(x, s.splat(-1.702))),
            Self::Gelu => {
                let tail = normal_tail(s, s.abs(x));
                let is_negative = s.lt(x, s.splat(0.0));
                s.mul(x, s.select(is_negative, tail, s.sub(s.splat(1.0), tail)))
            }
            Self::GeluTanh => {
                const LINEAR: f32 = FRAC_2_SQRT_PI * SQRT_2;
                const CUBIC: f32 = 0.044_715;
                // (1 + tanh u) / 2 = σ(2u)
                let x2 = s.mul(x, x);
                let minus_2u = s.mul(x, s.fma(x2, s.splat(-LINEAR * CUBIC), s.splat(-LINEAR)));
                times_sigmoid(s, x, minus_2u)
            }
            Self::Relu => s.max(s.splat(0.0), x),
            Self::Silu => times_sigmoid(s, x, s.sub(s.splat(0.0), x)),
        }
    }
}

/// `x · σ(−minus)`, in a form that does not cancel.
#[inline(always)]
fn times_sigmoid<S: Simd>(s: S, x: S::F, minus: S::F) -> S::F {
    s.div(x, s.add(s.splat(1.0), exp(s, minus)))
}

/// `x[i] = activation(x[i])`.
pub fn forward(level: Level, activation: Activation, x: &mut [f32]) {
    struct Forward<'a>(Activation, &'a mut [f32]);
    impl Vectorize for Forward<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            apply_slice(s, self.0, self.1);
        }
    }
    level.dispatch(Forward(activation, x));
}

/// [`forward`] with the threads of `cx`.
pub fn forward_parallel(cx: &Cx, activation: Activation, x: &mut [f32]) {
    split_rows(cx, "activation", x, 1, |_, x| forward(cx.level(), activation, x));
}

/// `out[row][i] = activation(x[row][i]) · x[row][dim + i]` for rows `x: [rows, 2 · dim]` and `out: [rows, dim]`: gates, and what
/// they let pass (Shazeer, GLU Variants Improve Transformer, 2020).
///
/// # Panics
/// If a slice is not as many rows as the other.
pub fn gate(cx: &Cx, activation: Activation, x: &[f32], dim: usize, out: &mut [f32]) {
    struct Gate<'a>(Activation, &'a [f32], usize, &'a mut [f32]);
    impl Vectorize for Gate<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Self(activation, x, dim, out) = self;
            for (x, out) in x.chunks_exact(2 * dim).zip(out.chunks_exact_mut(dim)) {
                let (gates, values) = x.split_at(dim);
                out.copy_from_slice(gates);
                apply_slice(s, activation, out);
                out.iter_mut().zip(values).for_each(|(out, value)| *out *= value);
            }
        }
    }
    assert_eq!(Some(x.len()), out.len().checked_mul(2), "gates and values of rows of {dim}");
    split_rows(cx, "activation", out, dim, |rows, out| {
        cx.level().dispatch(Gate(activation, &x[2 * dim * rows.start..2 * dim * rows.end], dim, out));
    });
}

/// `out[i] = scale · σ(x[i]) + bias`.
///
/// # Panics
/// If the lengths differ.
pub fn scaled_sigmoid(cx: &Cx, x: &[f32], scale: f32, bias: f32, out: &mut [f32]) {
    assert_eq!(x.len(), out.len());
    split_rows(cx, "activation", out, 1, |range, out| {
        out.copy_from_slice(&x[range]);
        cx.level().dispatch(ScaledSigmoid { scale, bias, x: out });
    });
}

struct ScaledSigmoid<'a> {
    scale: f32,
    bias: f32,
    x: &'a mut [f32],
}

impl Vectorize for ScaledSigmoid<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (scale, bias, one) = (s.splat(self.scale), s.splat(self.bias), s.splat(1.0));
        let mut chunks = self.x.chunks_exact_mut(S::LANES);
        for x in chunks.by_ref() {
            // SAFETY: the chunk has `LANES` elements.
            unsafe {
                let minus = s.sub(s.splat(0.0), s.load(x.as_ptr()));
                s.store(x.as_mut_ptr(), s.fma(s.div(one, s.add(one, exp(s, minus))), scale, bias));
            }
        }
        let x = chunks.into_remainder();
        // SAFETY: `x` has fewer than `LANES` elements.
        unsafe {
            let minus = s.sub(s.splat(0.0), s.load_n(x.as_ptr(), x.len()));
            let y = s.fma(s.div(one, s.add(one, exp(s, minus))), scale, bias);
            s.store_n(x.as_mut_ptr(), y, x.len());
        }
    }
}

/// [`forward`] inside a dispatched kernel.
#[inline(always)]
pub fn apply_slice<S: Simd>(s: S, activation: Activation, x: &mut [f32]) {
    // A loop for each function, so that the loop holds no branches and its constants stay in registers.
    match activation {
        Activation::None => (),
        Activation::QuickGelu => each(s, Activation::QuickGelu, x),
        Activation::Gelu => each(s, Activation::Gelu, x),
        Activation::GeluTanh => each(s, Activation::GeluTanh, x),
        Activation::Relu => each(s, Activation::Relu, x),
        Activation::Silu => each(s, Activation::Silu, x),
    }
}

#[inline(always)]
fn each<S: Simd>(s: S, activation: Activation, x: &mut [f32]) {
    let mut chunks = x.chunks_exact_mut(S::LANES);
    for x in chunks.by_ref() {
        // SAFETY: the chunk has `LANES` elements.
        unsafe { s.store(x.as_mut_ptr(), activation.apply(s, s.load(x.as_ptr()))) };
    }
    let tail = chunks.into_remainder();
    // SAFETY: `tail` has fewer than `LANES` elements.
    unsafe {
        s.store_n(tail.as_mut_ptr(), activation.apply(s, s.load_n(tail.as_ptr(), tail.len())), tail.len())
    };
}

#[cfg(test)]
pub(crate) mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::kernels::testing::{Guarded, Place, Rng, assert_near, floats, lengths};

    /// Every activation, to loop over.
    pub(crate) const ALL: [Activation; 6] = [
        Activation::None,
        Activation::QuickGelu,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Relu,
        Activation::Silu,
    ];

    /// `activation(x)` in f64.
    pub(crate) fn oracle(activation: Activation, x: f64) -> f64 {
        let sigmoid = |x: f64| 1.0 / (1.0 + libm::exp(-x));
        match activation {
            Activation::None => x,
            Activation::QuickGelu => x * sigmoid(1.702 * x),
            Activation::Gelu => x * libm::erfc(-x / core::f64::consts::SQRT_2) / 2.0,
            Activation::GeluTanh => {
                let u = libm::sqrt(2.0 / core::f64::consts::PI) * (x + 0.044715 * x * x * x);
                x * (1.0 + libm::tanh(u)) / 2.0
            }
            Activation::Relu => x.max(0.0),
            Activation::Silu => x * sigmoid(x),
        }
    }

    fn assert_activated(activation: Activation, x: &[f32], got: &[f32]) {
        let exact: Vec<f64> = x.iter().map(|&x| oracle(activation, f64::from(x))).collect();
        let subnormal = f64::from(f32::from_bits(1));
        assert_near(got, &exact, |i| f64::from(x[i].abs()) / f64::from(1 << 22) + subnormal);
    }

    #[test]
    fn errors_are_as_stated() {
        let x: Vec<f32> = floats(1e-3..=20.0, 301).chain(floats(0.0..=f32::MAX, 65537)).collect();
        for level in Level::available() {
            for activation in ALL {
                let mut got = x.clone();
                forward(level, activation, &mut got);
                assert_activated(activation, &x, &got);
            }
        }
    }

    #[test]
    fn every_tail() {
        for level in Level::available() {
            for len in lengths(level) {
                let x = Rng::new(len as u64).vec(len, -6.0..=6.0);
                for activation in ALL {
                    for place in Place::ALL {
                        let mut got = Guarded::new(&x, place);
                        forward(level, activation, &mut got);
                        assert_activated(activation, &x, &got);
                    }
                }
            }
        }
    }

    #[test]
    fn scaled_sigmoid_is_that_of_the_definition() {
        for level in Level::available() {
            for len in lengths(level) {
                let x = Rng::new(len as u64).vec(len, -30.0..=30.0);
                let exact: Vec<f64> =
                    x.iter().map(|&x| 20.0 / (1.0 + libm::exp(-f64::from(x))) - 10.0).collect();
                for place in Place::ALL {
                    let mut out = Guarded::unwritten(len, place);
                    scaled_sigmoid(&Cx::serial(level), &Guarded::new(&x, place), 20.0, -10.0, &mut out);
                    assert_near(&out, &exact, |_| 1e-5);
                }
            }
        }
        let mut out = [0.0; 3];
        let x = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        scaled_sigmoid(&Cx::serial(Level::detect()), &x, 2.0, 1.0, &mut out);
        assert!(out[0].is_nan());
        assert_eq!(out[1..], [3.0, 1.0]);
    }

    #[test]
    fn special_values() {
        for level in Level::available() {
            for activation in ALL {
                let mut x = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0];
                forward(level, activation, &mut x);
                assert!(x[0].is_nan());
                assert_eq!(x[1], f32::INFINITY);
                match activation {
                    Activation::None => assert_eq!(x[2], f32::NEG_INFINITY),
                    Activation::Relu => assert_eq!(x[2], 0.0),
                    _ => assert!(x[2].is_nan()),
                }
                assert_eq!(x[3], 0.0);
            }
        }
    }
}
