//! Elementary functions on vectors, for use inside dispatched kernels.
//!
//! The polynomials are minimax fits (Lawson's iteratively reweighted least squares on Chebyshev nodes, weighted for
//! the error that each docstring states), rounded to f32. The stated maximum errors hold at every level, with and
//! without fused multiply-add, and are tested.

use crate::simd::Simd;

/// `c[0] + c[1]·x + c[2]·x² + …` by Horner's rule.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(s: S, x: S::F, c: [f32; N]) -> S::F {
    let mut sum = s.splat(c[N - 1]);
    for &c in c[..N - 1].iter().rev() {
        sum = s.fma(sum, x, s.splat(c));
    }
    sum
}

/// `eʳ · 2ⁿ` for `|r| <= ln 2 / 2` and integer-valued `n` in −126…254.
#[inline(always)]
fn exp_reduced<S: Simd>(s: S, r: S::F, n: S::F) -> S::F {
    const C: [f32; 7] = [1.0, 1.0, 0.499_999_94, 0.166_665_21, 0.041_668_39, 0.008_368_745, 0.001_381_454];
    s.ldexp(polynomial(s, r, C), n)
}

/// `eˣ` within 1.5 ulp; 0 below −87.33654, where results would be subnormal; +∞ above 88.73, NaN for NaN.
#[inline(always)]
pub fn exp<S: Simd>(s: S, x: S::F) -> S::F {
    // ln 2 in two parts, the first short enough that its product with `n` is exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // 2⁻¹²⁶ = e^−87.336544…: the smallest f32 above it.
    const LEAST: f32 = -87.336_54;
    // `min` and `max` return their second argument if either is NaN, and no comparison with NaN holds.
    let bounded = s.max(s.splat(LEAST), s.min(s.splat(89.0), x));
    let n = s.round(s.mul(bounded, s.splat(core::f32::consts::LOG2_E)));
    let r = s.fma(n, s.splat(-LN_2_HIGH), bounded);
    let r = s.fma(n, s.splat(-LN_2_LOW), r);
    s.select(s.lt(x, s.splat(LEAST)), s.splat(0.0), exp_reduced(s, r, n))
}

/// `2ˣ` for `x <= 127`, within 2.5 ulp; 0 below −126, where results would be subnormal; NaN for NaN.
#[inline(always)]
pub fn exp2<S: Simd>(s: S, x: S::F) -> S::F {
    const C: [f32; 6] =
        [1.0, core::f32::consts::LN_2, 0.240_222_83, 0.055_505_585, 0.009_669_691, 0.001_330_060_5];
    const LEAST: f32 = -126.0;
    // `max` returns its second argument if either is NaN, and no comparison with NaN holds.
    let bounded = s.max(s.splat(LEAST), x);
    let n = s.round(bounded);
    let power = s.as_f32(s.i_shl::<23>(s.i_add(s.to_i32(n), s.i_splat(127))));
    let value = s.mul(polynomial(s, s.sub(bounded, n), C), power);
    s.select(s.lt(x, s.splat(LEAST)), s.splat(0.0), value)
}

/// The normal distribution's lower tail `Φ(−a) = erfc(a / √2) / 2` for `a >= 0`, within 7·10⁻⁸; 0 where that would be
/// subnormal, NaN for NaN.
///
/// It is computed as `2^p(a)`, so its relative error stays small in the tail: 10⁻⁵ at `a = 3`, 10⁻⁴ at 4.
#[inline(always)]
pub fn normal_tail<S: Simd>(s: S, a: S::F) -> S::F {
    // Falls monotonically for all `a >= 0`, infinity included.
    const LOG2: [f32; 9] = [
        -0.999_999_94,
        -1.151_107_7,
        -0.459_186_38,
        -0.052_568_4,
        0.007_177_174_6,
        -2.308_915_9e-4,
        -1.446_697_6e-4,
        3.014_609_7e-5,
        -2.027_452_2e-6,
    ];
    const LEAST: f32 = -126.0;
    let p = polynomial(s, a, LOG2);
    let bounded = s.max(s.splat(LEAST), p);
    let n = s.round(bounded);
    let value = exp_reduced(s, s.mul(s.sub(bounded, n), s.splat(core::f32::consts::LN_2)), n);
    s.select(s.lt(p, s.splat(LEAST)), s.splat(0.0), value)
}

/// `erf x` within 2 ulp; ±1 for ±∞, NaN for NaN.
#[inline(always)]
pub fn erf<S: Simd>(s: S, x: S::F) -> S::F {
    // `erf a = a + a · C(a²)` near 0, where `1 − 2·Φ(−√2·a)` would cancel.
    const NEAR: f32 = 0.85;
    const C: [f32; 6] =
        [0.128_379_16, -0.376_125_72, 0.112_827_174, -0.026_802_547, 0.005_051_094, -6.315_126_7e-4];
    let a = s.abs(x);
    let near = s.fma(a, polynomial(s, s.mul(a, a), C), a);
    let tail = normal_tail(s, s.mul(a, s.splat(core::f32::consts::SQRT_2)));
    let far = s.fma(tail, s.splat(-2.0), s.splat(1.0));
    s.with_sign_of(s.select(s.lt(a, s.splat(NEAR)), near, far), x)
}

/// `tanh x` within 2 ulp; ±1 for ±∞, NaN for NaN.
#[inline(always)]
pub fn tanh<S: Simd>(s: S, x: S::F) -> S::F {
    // `tanh a = a + a³ · C(a²)` near 0, where `1 − 2 / (e²ᵃ + 1)` would cancel.
    const NEAR: f32 = 0.6;
    const C: [f32; 5] = [-0.333_333, 0.133_319_24, -0.053_783_83, 0.020_795_971, -0.005_895_158_3];
    let one = s.splat(1.0);
    let a = s.abs(x);
    let a2 = s.mul(a, a);
    let near = s.fma(s.mul(a, a2), polynomial(s, a2, C), a);
    let far = s.sub(one, s.div(s.splat(2.0), s.add(exp(s, s.add(a, a)), one)));
    s.with_sign_of(s.select(s.lt(a, s.splat(NEAR)), near, far), x)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::kernels::testing::{floats, ulp_error};
    use crate::simd::{Level, Vectorize};

    #[derive(Clone, Copy, Debug)]
    enum Function {
        Exp,
        Exp2,
        NormalTail,
        Erf,
        Tanh,
    }

    impl Function {
        fn exact(self, x: f32) -> f64 {
            let x = f64::from(x);
            match self {
                Self::Exp => libm::exp(x),
                Self::Exp2 => libm::exp2(x),
                Self::NormalTail => libm::erfc(x * core::f64::consts::FRAC_1_SQRT_2) / 2.0,
                Self::Erf => libm::erf(x),
                Self::Tanh => libm::tanh(x),
            }
        }

        fn at(self, level: Level, x: f32) -> f32 {
            self.map(level, &[x; 16])[0]
        }

        /// The function of whole vectors.
        fn map(self, level: Level, x: &[f32]) -> Vec<f32> {
            let mut out = x.to_vec();
            level.dispatch(Map { function: self, x: &mut out });
            out
        }
    }

    struct Map<'a> {
        function: Function,
        x: &'a mut [f32],
    }

    impl Vectorize for Map<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            for x in self.x.chunks_exact_mut(S::LANES) {
                // SAFETY: the chunk has `LANES` elements.
                let v = unsafe { s.load(x.as_ptr()) };
                let v = match self.function {
                    Function::Exp => exp(s, v),
                    Function::Exp2 => exp2(s, v),
                    Function::NormalTail => normal_tail(s, v),
                    Function::Erf => erf(s, v),
                    Function::Tanh => tanh(s, v),
                };
                // SAFETY: as above.
                unsafe { s.store(x.as_mut_ptr(), v) };
            }
        }
    }

    /// The largest error over `x`, with where it is.
    fn worst(function: Function, level: Level, x: &[f32], error: impl Fn(f32, f64) -> f64) -> (f64, f32) {
        let (x, _) = x.as_chunks::<16>();
        let x = x.as_flattened();
        let errors =
            function.map(level, x).into_iter().zip(x).map(|(got, &x)| (error(got, function.exact(x)), x));
        errors.max_by(|a, b| a.0.total_cmp(&b.0)).expect("values")
    }

    /// The error in units of the last place, where what would be subnormal is to be 0.
    fn ulps_above_subnormal(got: f32, exact: f64) -> f64 {
        let least = f64::from(f32::MIN_POSITIVE);
        assert!(!got.is_subnormal(), "{got:e}");
        let is_near = (exact.abs() - least).abs() <= 1e-5 * least;
        let exact = if exact.abs() < least || is_near && got == 0.0 { 0.0 } else { exact };
        if is_near && f64::from(got) == least { 0.0 } else { ulp_error(got, exact) }
    }

    #[test]
    fn errors_are_as_stated() {
        let cases = [
            (Function::Exp, 1.5, 110.0, ulps_above_subnormal as fn(f32, f64) -> f64),
            (Function::Erf, 2.0, 4.5, ulp_error),
            (Function::Tanh, 2.0, 10.0, ulp_error),
        ];
        for level in Level::available() {
            for (function, limit, end, error) in cases {
                let x: Vec<f32> = floats(1e-3..=end, 301).chain(floats(0.0..=f32::MAX, 65537)).collect();
                let (error, x) = worst(function, level, &x, error);
                assert!(error <= limit, "{} {function:?}({x:e}): {error} ulp", level.name());
            }
        }
    }

    #[test]
    fn exp2_error_is_as_stated() {
        for level in Level::available() {
            let x: Vec<f32> = floats(1e-3..=160.0, 301).chain(floats(0.0..=f32::MAX, 65537)).collect();
            let x: Vec<f32> = x.into_iter().filter(|&x| x <= 127.0).collect();
            let (error, x) = worst(Function::Exp2, level, &x, ulps_above_subnormal);
            assert!(error <= 2.5, "{} at {x:e}: {error} ulp", level.name());
        }
    }

    #[test]
    fn normal_tail_error_is_as_stated() {
        fn absolute(got: f32, exact: f64) -> f64 {
            (f64::from(got) - exact).abs()
        }
        fn relative(got: f32, exact: f64) -> f64 {
            absolute(got, exact) / exact
        }
        let cases =
            [(f32::MAX, 7e-8, absolute as fn(f32, f64) -> f64), (3.0, 1e-5, relative), (4.0, 1e-4, relative)];
        for level in Level::available() {
            for (end, limit, error) in cases {
                let x: Vec<f32> = floats(0.0..=end, 4099).filter(|x| x.is_sign_positive()).collect();
                let (error, x) = worst(Function::NormalTail, level, &x, error);
                assert!(error <= limit, "{} at {x:e}: {error:e}", level.name());
            }
        }
    }

    #[test]
    fn special_values() {
        const INFINITY: f32 = f32::INFINITY;
        for level in Level::available() {
            for function in
                [Function::Exp, Function::Exp2, Function::NormalTail, Function::Erf, Function::Tanh]
            {
                assert!(function.at(level, f32::NAN).is_nan(), "{} {function:?}", level.name());
                assert!(function.at(level, -f32::NAN).is_nan(), "{} {function:?}", level.name());
            }
            for (function, x, expected) in [
                (Function::Exp, -INFINITY, 0.0),
                (Function::Exp, -f32::MAX, 0.0),
                (Function::Exp, INFINITY, INFINITY),
                (Function::Exp, 88.73, INFINITY),
                (Function::Exp, -0.0, 1.0),
                (Function::Exp2, -INFINITY, 0.0),
                (Function::Exp2, -f32::MAX, 0.0),
                (Function::Exp2, 128.0, INFINITY),
                (Function::Exp2, -126.0, f32::MIN_POSITIVE),
                (Function::Exp2, -126.001, 0.0),
                (Function::Exp, -87.4, 0.0),
                (Function::Exp2, -0.0, 1.0),
                (Function::NormalTail, INFINITY, 0.0),
                (Function::Erf, INFINITY, 1.0),
                (Function::Erf, -INFINITY, -1.0),
                (Function::Erf, -0.0, -0.0),
                (Function::Tanh, INFINITY, 1.0),
                (Function::Tanh, -INFINITY, -1.0),
                (Function::Tanh, -0.0, -0.0),
            ] {
                let got = function.at(level, x);
                assert_eq!(got.to_bits(), expected.to_bits(), "{} {function:?}({x}) = {got}", level.name());
            }
        }
    }
}
