//! One block of the online softmax.

use super::Bias;

use crate::kernels::gemm::CHUNK;
use crate::kernels::math::exp;
use crate::simd::{Simd, Vectorize};

/// Keys in a block: the scores of a tile of queries stay in the L1 cache, a block's keys and values in L2.
pub(super) const BLOCK: usize = 256;

/// Running maximum and sum of one query.
#[derive(Clone, Copy)]
pub(super) struct Running {
    pub(super) max: f32,
    pub(super) sum: f32,
}

impl Running {
    pub(super) const START: Self = Self { max: f32::NEG_INFINITY, sum: 0.0 };
}

/// Turns a tile's scores against one block of keys into weights `p`, and rescales what was accumulated before.
pub(super) struct SoftmaxBlock<'a> {
    /// Scores `[rows][BLOCK]`, already scaled.
    pub(super) scores: &'a mut [f32],
    /// Weights, packed as a left-hand side: `[BLOCK / CHUNK][rows][CHUNK]`.
    pub(super) weights: &'a mut [f32],
    /// Accumulated outputs `[rows][stride]`.
    pub(super) outputs: &'a mut [f32],
    pub(super) stride: usize,
    /// One per row.
    pub(super) running: &'a mut [Running],
    /// The tile's first query and the block's first key.
    pub(super) origin: (usize, usize),
    /// Keys in this block.
    pub(super) keys: usize,
    /// Keys of the sequence, the row stride of an additive bias.
    pub(super) total_keys: usize,
    pub(super) bias: Bias<'a>,
}

impl Vectorize for SoftmaxBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let rows = self.running.len();
        let (query, key) = self.origin;
        for (row, running) in self.running.iter_mut().enumerate() {
            let scores = &mut self.scores[row * BLOCK..][..BLOCK];
            let visible = match self.bias {
                Bias::Causal => (query + row + 1).saturating_sub(key).min(self.keys),
                _ => self.keys,
            };
            if let Bias::Additive(bias) = self.bias {
                let bias = &bias[(query + row) * self.total_keys + key..][..self.keys];
                scores.iter_mut().zip(bias).for_each(|(score, bias)| *score += bias);
            }
            // Beyond the visible keys the weight is exp(−∞) = 0, up to whole vectors.
            let width = self.keys.next_multiple_of(CHUNK);
            scores[visible..width].fill(f32::NEG_INFINITY);

            let mut max = s.splat(running.max);
            for at in (0..width).step_by(S::LANES) {
                // SAFETY: `width <= BLOCK` is a multiple of `LANES`, and `scores` has `BLOCK` elements.
                max = s.max(max, unsafe { s.load(scores.as_ptr().add(at)) });
            }
            let max = s.reduce_max(max);
            // While every score was −∞, any shift serves: all weights stay 0.
            let shift = if max == f32::NEG_INFINITY { 0.0 } else { max };
            let shift_v = s.splat(shift);

            let mut sum = s.splat(0.0);
            for at in (0..width).step_by(S::LANES) {
                let packed = (at / CHUNK * rows + row) * CHUNK + at % CHUNK;
                debug_assert!(packed + S::LANES <= self.weights.len());
                // SAFETY: as above for `scores`; `weights` has `rows · BLOCK` elements, and `packed` addresses
                // `LANES` of them because `at < width <= BLOCK` and `LANES` divides `CHUNK`.
                unsafe {
                    let p = exp(s, s.sub(s.load(scores.as_ptr().add(at)), shift_v));
                    sum = s.add(sum, p);
                    s.store(self.weights.as_mut_ptr().add(packed), p);
                }
            }
            let sum = s.reduce_add(sum);

            if running.sum != 0.0 && running.max != max {
                let factor = exp(s, s.splat(running.max - shift));
                let outputs = &mut self.outputs[row * self.stride..][..self.stride];
                debug_assert!(outputs.len().is_multiple_of(S::LANES));
                for at in (0..outputs.len()).step_by(S::LANES) {
                    // SAFETY: `stride` is a multiple of the kernel's `nr`, hence of `LANES`.
                    unsafe {
                        let p = outputs.as_mut_ptr().add(at);
                        s.store(p, s.mul(s.load(p), factor));
                    }
                }
                let mut lanes = [0.0; 16];
                // SAFETY: `LANES <= 16`.
                unsafe { s.store(lanes.as_mut_ptr(), factor) };
                running.sum *= lanes[0];
            }
            running.sum += sum;
            running.max = max;
        }
    }
}
