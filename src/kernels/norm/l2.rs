//! L2 normalisation.

use super::sum_of_squares;
use crate::simd::{Level, Simd, Vectorize};

/// `x[r] = x[r] / max(‖x[r]‖₂, eps)` in place, for `x: [rows, dim]`.
///
/// With `eps = 0` this is CLIP's plain division: a row of zeros becomes NaN.
///
/// # Panics
/// If `x` is not whole rows, or `dim` is 0.
pub fn l2_normalize(level: Level, x: &mut [f32], dim: usize, eps: f32) {
    assert!(dim > 0 && x.len().is_multiple_of(dim), "{} elements are not rows of {dim}", x.len());
    level.dispatch(L2Normalize { x, dim, eps });
}

struct L2Normalize<'a> {
    x: &'a mut [f32],
    dim: usize,
    eps: f32,
}

impl Vectorize for L2Normalize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for row in self.x.chunks_exact_mut(self.dim) {
            let norm = s.sqrt(s.splat(sum_of_squares(s, row, s.splat(0.0))));
            // `max` returns its second argument if either is NaN.
            let norm = s.max(s.splat(self.eps), norm);
            let mut chunks = row.chunks_exact_mut(S::LANES);
            for x in chunks.by_ref() {
                // SAFETY: the chunk has `LANES` elements.
                unsafe { s.store(x.as_mut_ptr(), s.div(s.load(x.as_ptr()), norm)) };
            }
            let tail = chunks.into_remainder();
            // SAFETY: `tail` has fewer than `LANES` elements.
            unsafe {
                s.store_n(tail.as_mut_ptr(), s.div(s.load_n(tail.as_ptr(), tail.len()), norm), tail.len())
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::kernels::testing::{Guarded, Place, Rng, assert_near, lengths};

    fn oracle(x: &[f32], dim: usize) -> Vec<f64> {
        let norm = |row: &[f32]| libm::sqrt(row.iter().map(|&x| f64::from(x).powi(2)).sum());
        x.chunks_exact(dim).flat_map(|row| row.iter().map(move |&x| f64::from(x) / norm(row))).collect()
    }

    #[test]
    fn every_tail() {
        for level in Level::available() {
            for dim in lengths(level).filter(|&dim| dim > 0) {
                let x = Rng::new(dim as u64).vec(3 * dim, -2.0..=2.0);
                let exact = oracle(&x, dim);
                for place in Place::ALL {
                    let mut got = Guarded::new(&x, place);
                    l2_normalize(level, &mut got, dim, 1e-12);
                    assert_near(&got, &exact, |i| 5e-7 * exact[i].abs());
                }
            }
        }
    }

    #[test]
    fn zeros_and_nan() {
        for level in Level::available() {
            let mut x = [0.0, 0.0, 3.0, 4.0, f32::NAN, 1.0];
            l2_normalize(level, &mut x, 2, 1e-12);
            assert_eq!(x[..4], [0.0, 0.0, 0.6, 0.8]);
            assert!(x[4..].iter().all(|x| x.is_nan()));

            let mut x = [0.0, 0.0, 3.0, 4.0];
            l2_normalize(level, &mut x, 2, 0.0);
            assert!(x[..2].iter().all(|x| x.is_nan()));
            assert_eq!(x[2..], [0.6, 0.8]);
        }
    }
}
