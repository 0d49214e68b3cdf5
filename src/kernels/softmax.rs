//! Softmax over rows.

use super::math::exp;
use super::rows::{first_lanes, split_rows};
use crate::exec::Cx;
use crate::simd::{Simd, Vectorize};

/// `x[r, i] = e^(x[r, i] − m_r) / Σⱼ e^(x[r, j] − m_r)` with `m_r = maxⱼ x[r, j]`, in place, for `x: [rows, dim]`.
///
/// An element −∞ becomes 0, and so does what would be subnormal. A row becomes NaN as a whole, as in PyTorch, if it holds a NaN or +∞ or only −∞.
///
/// # Panics
/// If `x` is not whole rows, or `dim` is 0.
pub fn softmax(cx: &Cx, x: &mut [f32], dim: usize) {
    split_rows(cx, "softmax", x, dim, |_, x| cx.level().dispatch(Rows { x, dim }));
}

struct Rows<'a> {
    x: &'a mut [f32],
    dim: usize,
}

impl Vectorize for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for row in self.x.chunks_exact_mut(self.dim) {
            let max = s.splat(row_max(s, row));
            let sum = exp_difference(s, row, max);
            scale(s, row, s.div(s.splat(1.0), s.splat(sum)));
        }
    }
}

/// The largest element that is not NaN; −∞ if there is none.
#[inline(always)]
fn row_max<S: Simd>(s: S, x: &[f32]) -> f32 {
    // `max` returns its second argument if either is NaN, so that NaN never enters the maxima.
    let mut max = [s.splat(f32::NEG_INFINITY); 4];
    let mut blocks = x.chunks_exact(4 * S::LANES);
    for x in blocks.by_ref() {
        for (i, max) in max.iter_mut().enumerate() {
            // SAFETY: the block has `4 · LANES` elements.
            *max = s.max(unsafe { s.load(x.as_ptr().add(i * S::LANES)) }, *max);
        }
    }
    let mut chunks = blocks.remainder().chunks_exact(S::LANES);
    for x in chunks.by_ref() {
        // SAFETY: the chunk has `LANES` elements.
        max[0] = s.max(unsafe { s.load(x.as_ptr()) }, max[0]);
    }
    let tail = chunks.remainder();
    // SAFETY: `tail` has fewer than `LANES` elements.
    let x = unsafe { s.load_n(tail.as_ptr(), tail.len()) };
    max[1] = s.max(s.select(first_lanes(s, tail.len()), x, max[1]), max[1]);
    s.reduce_max(s.max(s.max(max[0], max[1]), s.max(max[2], max[3])))
}

/// `x[i] = e^(x[i] − max)`; returns the sum.
#[inline(always)]
fn exp_difference<S: Simd>(s: S, x: &mut [f32], max: S::F) -> f32 {
    let mut sum = s.splat(0.0);
    let mut chunks = x.chunks_exact_mut(S::LANES);
    for x in chunks.by_ref() {
        // SAFETY: the chunk has `LANES` elements.
        let e = exp(s, s.sub(unsafe { s.load(x.as_ptr()) }, max));
        // SAFETY: as above.
        unsafe { s.store(x.as_mut_ptr(), e) };
        sum = s.add(sum, e);
    }
    let tail = chunks.into_remainder();
    // SAFETY: `tail` has fewer than `LANES` elements.
    let e = exp(s, s.sub(unsafe { s.load_n(tail.as_ptr(), tail.len()) }, max));
    // SAFETY: as above.
    unsafe { s.store_n(tail.as_mut_ptr(), e, tail.len()) };
    s.reduce_add(s.add(sum, s.select(first_lanes(s, tail.len()), e, s.splat(0.0))))
}

/// `x[i] *= factor`; 0 where the product is subnormal.
#[inline(always)]
fn scale<S: Simd>(s: S, x: &mut [f32], factor: S::F) {
    // Compared before the multiplication, which may be slow. NaN compares false and stays.
    let least = s.div(s.splat(f32::MIN_POSITIVE), factor);
    let scaled = |x: S::F| s.mul(s.select(s.lt(x, least), s.splat(0.0), x), factor);
    let mut chunks = x.chunks_exact_mut(S::LANES);
    for x in chunks.by_ref() {
        // SAFETY: the chunk has `LANES` elements.
        unsafe { s.store(x.as_mut_ptr(), scaled(s.load(x.as_ptr()))) };
    }
    let tail = chunks.into_remainder();
    // SAFETY: `tail` has fewer than `LANES` elements.
    unsafe { s.store_n(tail.as_mut_ptr(), scaled(s.load_n(tail.as_ptr(), tail.len())), tail.len()) };
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::kernels::testing::{Guarded, Place, Rng, assert_near, assert_same_for_any_threads, lengths};
    use crate::simd::Level;

    fn oracle(x: &[f32], dim: usize) -> Vec<f64> {
        let row = |row: &[f32]| {
            let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let e: Vec<f64> = row.iter().map(|&x| libm::exp(f64::from(x) - f64::from(max))).collect();
            let sum: f64 = e.iter().sum();
            e.into_iter().map(move |e| e / sum).collect::<Vec<_>>()
        };
        x.chunks_exact(dim).flat_map(row).collect()
    }

    #[test]
    fn every_tail() {
        const ROWS: usize = 3;
        for level in Level::available() {
            for dim in lengths(level).filter(|&dim| dim > 0) {
                let x = Rng::new(dim as u64).vec(ROWS * dim, -30.0..=10.0);
                let exact = oracle(&x, dim);
                for place in Place::ALL {
                    let mut got = Guarded::new(&x, place);
                    softmax(&Cx::serial(level), &mut got, dim);
                    // Relative: the subtraction rounds by up to 2⁻¹⁹, which the exponential passes on.
                    assert_near(&got, &exact, |i| 2.5e-6 * exact[i]);
                }
            }
        }
    }

    #[test]
    fn large_values_do_not_overflow() {
        for level in Level::available() {
            let mut x = [1e38, -1e38, f32::NEG_INFINITY, 1e38];
            softmax(&Cx::serial(level), &mut x, 4);
            assert_eq!(x, [0.5, 0.0, 0.0, 0.5]);
        }
    }

    #[test]
    fn rows_without_a_finite_maximum_are_nan() {
        const INFINITY: f32 = f32::INFINITY;
        for level in Level::available() {
            for dim in [1, 3, level.lanes(), 5 * level.lanes() + 2] {
                for special in [f32::NAN, INFINITY] {
                    for position in 0..dim {
                        let mut x = alloc::vec![0.5; 3 * dim];
                        x[dim + position] = special;
                        softmax(&Cx::serial(level), &mut x, dim);
                        let is_nan: Vec<bool> = x.iter().map(|x| x.is_nan()).collect();
                        let expected: Vec<bool> = (0..3 * dim).map(|i| i / dim == 1).collect();
                        assert_eq!(is_nan, expected, "{} {special} at {position} of {dim}", level.name());
                    }
                }
                let mut x = alloc::vec![-INFINITY; dim];
                softmax(&Cx::serial(level), &mut x, dim);
                assert!(x.iter().all(|x| x.is_nan()));
            }
        }
    }

    /// Also where the host's setting keeps subnormal numbers.
    #[test]
    fn no_result_is_subnormal() {
        for level in Level::available() {
            for dim in [1, 7, 300, 1001] {
                let mut x: Vec<f32> = (0..dim).map(|i| -(i as f32) * 0.4).collect();
                level.dispatch(Rows { x: &mut x, dim });
                assert!(!x.iter().any(|x| x.is_subnormal()), "{} {dim}", level.name());
            }
        }
    }

    #[test]
    fn threads_do_not_change_the_result() {
        let (rows, dim) = (300, 197);
        let x = Rng::new(1).vec(rows * dim, -9.0..=9.0);
        for level in Level::available() {
            assert_same_for_any_threads(level, |cx| {
                let mut x = x.clone();
                softmax(cx, &mut x, dim);
                x
            });
        }
    }

    #[test]
    fn no_rows_are_fine() {
        softmax(&Cx::serial(Level::detect()), &mut [], 7);
    }

    #[test]
    #[should_panic = "10 elements are not rows of 3"]
    fn partial_rows_are_refused() {
        softmax(&Cx::serial(Level::detect()), &mut [0.0; 10], 3);
    }
}
