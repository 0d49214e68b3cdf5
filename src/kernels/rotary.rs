//! Rotary positions.

use crate::exec::Cx;
use crate::kernels::len::len_of;
use crate::kernels::rows::split_rows;
use crate::simd::{Simd, Vectorize};

/// `(a, b) ← (a cos − b sin, b cos + a sin)` for all pairs `(x[i], x[i + pairs])` of every token of `x: [sequences, tokens,
/// 2 · pairs]`; `cosines` and `sines` are `[tokens, pairs]`.
///
/// # Panics
/// If there are no pairs, cosines and sines are not those of as many tokens, or `x` is not whole sequences.
pub fn rotate(cx: &Cx, x: &mut [f32], pairs: usize, cosines: &[f32], sines: &[f32]) {
    assert!(
        pairs > 0 && !cosines.is_empty() && cosines.len().is_multiple_of(pairs),
        "turns of {pairs} pairs"
    );
    assert_eq!(cosines.len(), sines.len());
    let tokens = cosines.len() / pairs;
    assert!(x.len().is_multiple_of(len_of([tokens, pairs, 2])), "sequences of {tokens} tokens");
    split_rows(cx, "rotate", x, 2 * pairs, |rows, x| {
        cx.level().dispatch(Rotate { first: rows.start, x, pairs, cosines, sines });
    });
}

/// Tokens from number `first` on.
struct Rotate<'a> {
    first: usize,
    x: &'a mut [f32],
    pairs: usize,
    cosines: &'a [f32],
    sines: &'a [f32],
}

impl Vectorize for Rotate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { first, x, pairs, cosines, sines } = self;
        let tokens = cosines.len() / pairs;
        for (i, token) in x.chunks_exact_mut(2 * pairs).enumerate() {
            let at = (first + i) % tokens * pairs;
            let (cosines, sines) = (&cosines[at..][..pairs], &sines[at..][..pairs]);
            let (a, b) = token.split_at_mut(pairs);
            let turn = |[a, b, cos, sin]: [S::F; 4]| {
                (s.sub(s.mul(a, cos), s.mul(b, sin)), s.fma(a, sin, s.mul(b, cos)))
            };
            let mut pair = 0;
            while pair + S::LANES <= pairs {
                // SAFETY: all four slices have `pairs` elements, `LANES` of them from `pair` on.
                unsafe {
                    let (pa, pb) = (a.as_mut_ptr().add(pair), b.as_mut_ptr().add(pair));
                    let [cos, sin] = [cosines, sines].map(|turns| s.load(turns.as_ptr().add(pair)));
                    let (va, vb) = turn([s.load(pa), s.load(pb), cos, sin]);
                    s.store(pa, va);
                    s.store(pb, vb);
                }
                pair += S::LANES;
            }
            let n = pairs - pair;
            // SAFETY: fewer than `LANES` elements are left in all four slices.
            unsafe {
                let (pa, pb) = (a.as_mut_ptr().add(pair), b.as_mut_ptr().add(pair));
                let [cos, sin] = [cosines, sines].map(|turns| s.load_n(turns.as_ptr().add(pair), n));
                let (va, vb) = turn([s.load_n(pa, n), s.load_n(pb, n), cos, sin]);
                s.store_n(pa, va, n);
                s.store_n(pb, vb, n);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::kernels::testing::{Guarded, Place, Rng, assert_same_for_any_threads, lengths};
    use crate::simd::Level;

    #[test]
    fn every_tail() {
        const TOKENS: usize = 3;
        for level in Level::available() {
            for pairs in lengths(level).filter(|&pairs| pairs > 0) {
                let mut rng = Rng::new(pairs as u64);
                let [cosines, sines] = [(); 2].map(|()| rng.vec(TOKENS * pairs, -1.0..=1.0));
                let x = rng.vec(2 * TOKENS * 2 * pairs, -2.0..=2.0);
                let exact = (0..x.len()).map(|i| {
                    let (row, feature) = (i / (2 * pairs), i % (2 * pairs));
                    let turn = row % TOKENS * pairs + feature % pairs;
                    let other = f64::from(x[row * 2 * pairs + (feature + pairs) % (2 * pairs)]);
                    let sine = f64::from(sines[turn]) * if feature < pairs { -1.0 } else { 1.0 };
                    f64::from(x[i]) * f64::from(cosines[turn]) + other * sine
                });
                let exact: Vec<f64> = exact.collect();
                for place in Place::ALL {
                    let mut found = Guarded::new(&x, place);
                    let [cosines, sines] = [&cosines, &sines].map(|turns| Guarded::new(turns, place));
                    rotate(&Cx::serial(level), &mut found, pairs, &cosines, &sines);
                    for (found, exact) in found.iter().zip(&exact) {
                        assert!((f64::from(*found) - exact).abs() < 1e-6, "{found} for {exact}");
                    }
                }
            }
        }
    }

    #[test]
    fn threads_do_not_change_the_result() {
        let mut rng = Rng::new(1);
        let [cosines, sines] = [(); 2].map(|()| rng.vec(100 * 33, -1.0..=1.0));
        let x = rng.vec(20 * 100 * 66, -1.0..=1.0);
        for level in Level::available() {
            assert_same_for_any_threads(level, |cx| {
                let mut x = x.clone();
                rotate(cx, &mut x, 33, &cosines, &sines);
                x
            });
        }
    }

    #[test]
    #[should_panic = "sequences of 2 tokens"]
    fn parts_of_sequences_are_refused() {
        rotate(&Cx::serial(Level::detect()), &mut [0.0; 12], 2, &[1.0; 4], &[0.0; 4]);
    }
}
