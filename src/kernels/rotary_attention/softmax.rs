//! One block of an online softmax whose queries stand side by side.

use crate::kernels::gemm::{MAX_NR, bf16_pairs_of_numbers, pair, pairs};
use crate::kernels::math::exp2;
use crate::simd::{Simd, Vectorize};

/// The maximum of the scores so far, in units of `ln 2`, and the sum of their weights, for every query of a panel.
pub(super) struct Running {
    pub(super) max: [f32; MAX_NR],
    pub(super) sum: [f32; MAX_NR],
}

impl Running {
    pub(super) const START: Self = Self { max: [f32::NEG_INFINITY; MAX_NR], sum: [0.0; MAX_NR] };
}

/// Turns the scores of a block into weights `2^(s − m)`, and rescales the accumulated outputs of the queries whose
/// maximum `m` rose.
pub(super) struct Weigh<'a> {
    pub(super) nr: usize,
    /// Whether weights become pairs of bfloat16.
    pub(super) are_bf16: bool,
    /// Scores `[keys][nr]`; then weights `[keys][nr]`, or `[keys / 32][16][nr][2]`, so many as there are [`pairs`].
    pub(super) scores: &'a mut [f32],
    /// The block's largest score of every query.
    pub(super) max: &'a [f32; MAX_NR],
    pub(super) running: &'a mut Running,
    /// `[features][nr]`
    pub(super) outputs: &'a mut [f32],
}

impl Vectorize for Weigh<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match self.nr / S::LANES {
            1 => self.columns::<S, 1>(s),
            2 => self.columns::<S, 2>(s),
            4 => self.columns::<S, 4>(s),
            vectors => unreachable!("panels of {vectors} vectors"),
        }
    }
}

impl Weigh<'_> {
    #[inline(always)]
    fn columns<S: Simd, const NV: usize>(self, s: S) {
        let Self { nr, are_bf16, scores, max, running, outputs } = self;
        assert!(nr == NV * S::LANES && nr <= MAX_NR);
        let mut shift = [s.splat(0.0); NV];
        let mut sums = [s.splat(0.0); NV];
        for v in 0..NV {
            let at = v * S::LANES;
            // SAFETY: all have `MAX_NR` elements, and the rows of `outputs` `nr`.
            unsafe {
                let old = s.load(running.max.as_ptr().add(at));
                shift[v] = s.max(old, s.load(max.as_ptr().add(at)));
                if s.bits(s.lt(old, shift[v])) != 0 {
                    let factor = exp2(s, s.sub(old, shift[v]));
                    s.store(running.max.as_mut_ptr().add(at), shift[v]);
                    sums[v] = s.mul(s.load(running.sum.as_ptr().add(at)), factor);
                    for row in outputs.chunks_exact_mut(nr) {
                        let p = row.as_mut_ptr().add(at);
                        s.store(p, s.mul(s.load(p), factor));
                    }
                } else {
                    sums[v] = s.load(running.sum.as_ptr().add(at));
                }
            }
        }
        if are_bf16 {
            let keys = scores.len() / nr;
            for index in 0..pairs(keys) {
                let [first, second] = pair(index);
                for v in 0..NV {
                    let p = scores.as_mut_ptr().wrapping_add(v * S::LANES);
                    // SAFETY: the rows `first`, `second` if it is below `keys`, and `index <= first`, which has been read, have
                    // `NV` vectors.
                    unsafe {
                        let weight = exp2(s, s.sub(s.load(p.add(first * nr)), shift[v]));
                        let above = match second < keys {
                            true => exp2(s, s.sub(s.load(p.add(second * nr)), shift[v])),
                            false => s.splat(0.0),
                        };
                        s.store(p.add(index * nr), bf16_pairs_of_numbers(s, weight, above));
                        sums[v] = s.add(sums[v], s.add(weight, above));
                    }
                }
            }
        } else {
            for row in scores.chunks_exact_mut(nr) {
                for v in 0..NV {
                    // SAFETY: the row has `NV` vectors.
                    unsafe {
                        let p = row.as_mut_ptr().add(v * S::LANES);
                        let weight = exp2(s, s.sub(s.load(p), shift[v]));
                        s.store(p, weight);
                        sums[v] = s.add(sums[v], weight);
                    }
                }
            }
        }
        for (to, sum) in running.sum.chunks_exact_mut(S::LANES).zip(sums) {
            // SAFETY: the chunk has `LANES` elements.
            unsafe { s.store(to.as_mut_ptr(), sum) };
        }
    }
}

/// Finds the largest score of every query.
pub(super) struct Largest<'a> {
    pub(super) nr: usize,
    /// `[keys][nr]`
    pub(super) scores: &'a [f32],
    pub(super) max: &'a mut [f32; MAX_NR],
}

impl Vectorize for Largest<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { nr, scores, max } = self;
        assert!(nr.is_multiple_of(S::LANES) && nr <= MAX_NR);
        for at in (0..nr).step_by(S::LANES) {
            let mut largest = s.splat(f32::NEG_INFINITY);
            for row in scores.chunks_exact(nr) {
                // SAFETY: the row has `LANES` elements from `at` on.
                largest = s.max(largest, unsafe { s.load(row.as_ptr().add(at)) });
            }
            // SAFETY: as above, of `max`.
            unsafe { s.store(max.as_mut_ptr().add(at), largest) };
        }
    }
}

/// Writes the accumulated `outputs: [features][nr]`, divided by the sums of their weights, as tokens
/// `out: [queries, features]`.
pub(super) fn finish(running: &Running, nr: usize, outputs: &[f32], features: usize, out: &mut [f32]) {
    for (column, (out, sum)) in out.chunks_exact_mut(features).zip(running.sum).enumerate() {
        let factor = 1.0 / sum;
        out.iter_mut().zip(outputs[column..].iter().step_by(nr)).for_each(|(to, from)| *to = from * factor);
    }
}
