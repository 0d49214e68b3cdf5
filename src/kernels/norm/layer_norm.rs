//! Layer normalisation over the last dimension.

use super::{normalise, sum, sum_of_squares};
use crate::exec::Cx;
use crate::kernels::rows::split_rows;
use crate::simd::{Simd, Vectorize};

/// `out[r, i] = (x[r, i] − μ_r) / √(σ²_r + eps) · weight[i] + bias[i]` for `x, out: [rows, dim]`, `weight, bias: [dim]`,
/// where `μ_r` and `σ²_r` are the mean and the (biased) variance of row `r`.
///
/// The variance is the mean square of the differences from the mean, so that it does not cancel.
///
/// # Panics
/// If the lengths do not fit together, or `dim` is 0.
pub fn layer_norm(cx: &Cx, x: &[f32], weight: &[f32], bias: &[f32], eps: f32, out: &mut [f32]) {
    let dim = weight.len();
    assert_eq!(bias.len(), dim);
    assert_eq!(x.len(), out.len());
    split_rows(cx, "layer-norm", out, dim, |rows, out| {
        let src = x[rows.start * dim..rows.end * dim].as_ptr();
        cx.level().dispatch(LayerNorm { src, out: out.as_mut_ptr(), rows: rows.len(), weight, bias, eps });
    });
}

/// [`layer_norm`] with `x` as its own output.
///
/// # Panics
/// If the lengths do not fit together, or `dim` is 0.
pub fn layer_norm_in_place(cx: &Cx, x: &mut [f32], weight: &[f32], bias: &[f32], eps: f32) {
    assert_eq!(bias.len(), weight.len());
    split_rows(cx, "layer-norm", x, weight.len(), |rows, x| {
        let out = x.as_mut_ptr();
        cx.level().dispatch(LayerNorm { src: out.cast_const(), out, rows: rows.len(), weight, bias, eps });
    });
}

/// Rows of `weight.len()` elements, readable at `src` and writable at `out`, which are equal or do not overlap.
struct LayerNorm<'a> {
    src: *const f32,
    out: *mut f32,
    rows: usize,
    weight: &'a [f32],
    bias: &'a [f32],
    eps: f32,
}

impl Vectorize for LayerNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let dim = self.weight.len();
        for row in 0..self.rows {
            // SAFETY: `src` has `rows · dim` elements, which are not written while this slice is used.
            let x = unsafe { core::slice::from_raw_parts(self.src.add(row * dim), dim) };
            let mean = s.splat(sum(s, x) / dim as f32);
            let variance = sum_of_squares(s, x, mean) / dim as f32;
            let scale = s.div(s.splat(1.0), s.sqrt(s.splat(variance + self.eps)));
            // SAFETY: as the fields' description says.
            let (x, out) = unsafe { (self.src.add(row * dim), self.out.add(row * dim)) };
            let (weight, bias) = (self.weight.as_ptr(), self.bias.as_ptr());
            let mut i = 0;
            while i + S::LANES <= dim {
                // SAFETY: `LANES` elements from `i` lie in the row, the weights and the biases.
                unsafe {
                    let (weight, bias) = (s.load(weight.add(i)), s.load(bias.add(i)));
                    s.store(out.add(i), normalise(s, s.load(x.add(i)), mean, scale, weight, bias));
                }
                i += S::LANES;
            }
            let n = dim - i;
            // SAFETY: fewer than `LANES` elements are left in each.
            unsafe {
                let (weight, bias) = (s.load_n(weight.add(i), n), s.load_n(bias.add(i), n));
                s.store_n(out.add(i), normalise(s, s.load_n(x.add(i), n), mean, scale, weight, bias), n);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::kernels::testing::{Guarded, Place, Rng, assert_near, assert_same_for_any_threads, lengths};
    use crate::simd::Level;

    const EPS: f32 = 1e-5;

    /// Input, weight and bias.
    fn example(rows: usize, dim: usize, mean: f32) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let mut rng = Rng::new(dim as u64);
        (rng.vec(rows * dim, mean - 2.0..=mean + 2.0), rng.vec(dim, 0.5..=1.5), rng.vec(dim, -1.0..=1.0))
    }

    fn oracle(x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f64> {
        let dim = weight.len();
        let row = |row: &[f32]| {
            let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / dim as f64;
            let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / dim as f64;
            let deviation = libm::sqrt(variance + f64::from(EPS));
            let scaled = row.iter().map(|&x| (f64::from(x) - mean) / deviation);
            let affine = scaled.zip(weight).zip(bias).map(|((y, &w), &b)| y * f64::from(w) + f64::from(b));
            affine.collect::<Vec<_>>()
        };
        x.chunks_exact(dim).flat_map(row).collect()
    }

    #[test]
    fn every_tail() {
        const ROWS: usize = 3;
        for level in Level::available() {
            let cx = Cx::serial(level);
            for dim in lengths(level).filter(|&dim| dim > 0) {
                let (x, weight, bias) = example(ROWS, dim, 0.3);
                let exact = oracle(&x, &weight, &bias);
                for place in Place::ALL {
                    let (weight, bias) = (Guarded::new(&weight, place), Guarded::new(&bias, place));
                    let mut in_place = Guarded::new(&x, place);
                    let mut got = Guarded::unwritten(x.len(), place);
                    layer_norm(&cx, &in_place, &weight, &bias, EPS, &mut got);
                    assert_near(&got, &exact, |_| 2e-6);
                    layer_norm_in_place(&cx, &mut in_place, &weight, &bias, EPS);
                    assert_eq!(*in_place, *got);
                }
            }
        }
    }

    #[test]
    fn a_large_mean_does_not_cancel_the_variance() {
        for level in Level::available() {
            let (x, weight, bias) = example(4, 768, 1000.0);
            let mut got = alloc::vec![0.0; x.len()];
            layer_norm(&Cx::serial(level), &x, &weight, &bias, EPS, &mut got);
            // The mean itself is rounded to 2⁻¹⁵.
            assert_near(&got, &oracle(&x, &weight, &bias), |_| 2e-4);
        }
    }

    #[test]
    fn constant_rows_become_the_bias() {
        for level in Level::available() {
            let (_, weight, bias) = example(1, 50, 0.0);
            let mut x = alloc::vec![3.0; 50];
            layer_norm_in_place(&Cx::serial(level), &mut x, &weight, &bias, EPS);
            assert_eq!(x, bias);
        }
    }

    #[test]
    fn threads_do_not_change_the_result() {
        let (x, weight, bias) = example(197, 768, 0.1);
        for level in Level::available() {
            assert_same_for_any_threads(level, |cx| {
                let mut out = alloc::vec![0.0; x.len()];
                layer_norm(cx, &x, &weight, &bias, EPS, &mut out);
                out
            });
        }
    }

    #[test]
    #[should_panic = "10 elements are not rows of 3"]
    fn partial_rows_are_refused() {
        layer_norm_in_place(&Cx::serial(Level::detect()), &mut [0.0; 10], &[1.0; 3], &[0.0; 3], EPS);
    }
}
