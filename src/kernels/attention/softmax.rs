//! One block of the online softmax.

use core::f32::consts::LOG2_E;

use super::Bias;
use crate::kernels::gemm::{CHUNK, PAIRS, bf16_pairs_of_numbers};
use crate::kernels::math::exp2;
use crate::simd::{Simd, Vectorize};

/// Keys in a block: the scores of a tile of queries stay in the L1 cache, a block's keys and values in L2.
pub(super) const BLOCK: usize = 256;

/// Running maximum and sum of one query.
#[derive(Clone, Copy)]
pub(super) struct Running {
    /// In units of `ln 2`.
    pub(super) max: f32,
    pub(super) sum: f32,
}

impl Running {
    pub(super) const START: Self = Self { max: f32::NEG_INFINITY, sum: 0.0 };
}

/// Turns a tile's scores against one block of keys into weights `p`, and rescales what was accumulated before.
pub(super) struct SoftmaxBlock<'a> {
    /// Scores `[rows][BLOCK]`, already scaled, in units of `ln 2`.
    pub(super) scores: &'a mut [f32],
    /// Weights, packed as a left-hand side: `[BLOCK / CHUNK][rows][CHUNK]`; or pairs of bfloat16,
    /// `[BLOCK / 32][rows][16][2]`.
    pub(super) weights: &'a mut [f32],
    pub(super) are_bf16: bool,
    /// Accumulated outputs `[rows][stride]`.
    pub(super) outputs: &'a mut [f32],
    pub(super) stride: usize,
    /// One per row.
    pub(super) running: &'a mut [Running],
    /// The tile's first query and the block's first key.
    pub(super) origin: (usize, usize),
    /// Queries that lie side by side in the grid.
    pub(super) columns: usize,
    /// Keys in this block.
    pub(super) keys: usize,
    /// The keys of the sequence.
    pub(super) grid: [usize; 2],
    /// Not per head and not of runs: the head's own matrix, and its run, were chosen.
    pub(super) bias: Bias<'a>,
    /// Of each row, its products with the tables of relative positions.
    pub(super) products: &'a [f32],
}

/// Independent maxima and sums: as many as hide the latency of an instruction.
const CHAINS: usize = 4;

impl Vectorize for SoftmaxBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let rows = self.running.len();
        let (query, key) = self.origin;
        for (row, running) in self.running.iter_mut().enumerate() {
            let scores = &mut self.scores[row * BLOCK..][..BLOCK];
            let [y, x] = [(query + row) / self.columns, (query + row) % self.columns];
            let mut visible = self.keys;
            match self.bias {
                Bias::Causal => visible = (query + row + 1).saturating_sub(key).min(self.keys),
                Bias::Additive(bias) => {
                    let [rows, columns] = self.grid;
                    let bias = &bias[(y * columns + x) * rows * columns + key..][..self.keys];
                    scores.iter_mut().zip(bias).for_each(|(score, bias)| *score += bias * LOG2_E);
                }
                Bias::Relative(positions) => {
                    let products = &self.products[row * self.products.len() / rows..];
                    let [rows, columns] = positions.runs([y, x]);
                    add_outer(s, &products[rows], &products[columns], key, &mut scores[..self.keys]);
                }
                Bias::None | Bias::Runs(_) | Bias::PerHead(_) => (),
            }
            // Beyond the visible keys the weight is 2^−∞ = 0, up to whole chunks.
            let width = self.keys.next_multiple_of(if self.are_bf16 { PAIRS } else { CHUNK });
            scores[visible..width].fill(f32::NEG_INFINITY);
            let scores = &scores[..width];

            let max = largest(s, scores).max(running.max);
            // While every score was −∞, any shift serves: all weights stay 0.
            let shift = if max == f32::NEG_INFINITY { 0.0 } else { max };
            let shift_v = s.splat(shift);

            let sum = match self.are_bf16 {
                true => weigh_pairs(s, scores, shift_v, self.weights, [rows, row]),
                false => weigh(s, scores, shift_v, self.weights, [rows, row]),
            };

            if running.sum != 0.0 && running.max != max {
                let factor = exp2(s, s.splat(running.max - shift));
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

/// The largest of `x`, whose length is a multiple of `LANES`.
#[inline(always)]
fn largest<S: Simd>(s: S, x: &[f32]) -> f32 {
    let mut max = [s.splat(f32::NEG_INFINITY); CHAINS];
    let mut blocks = x.chunks_exact(CHAINS * S::LANES);
    for x in blocks.by_ref() {
        for (i, max) in max.iter_mut().enumerate() {
            // SAFETY: the block has `CHAINS · LANES` elements.
            *max = s.max(*max, unsafe { s.load(x.as_ptr().add(i * S::LANES)) });
        }
    }
    for x in blocks.remainder().chunks_exact(S::LANES) {
        // SAFETY: the chunk has `LANES` elements.
        max[0] = s.max(max[0], unsafe { s.load(x.as_ptr()) });
    }
    s.reduce_max(s.max(s.max(max[0], max[1]), s.max(max[2], max[3])))
}

/// Writes `2^(scores[i] − shift)` as `row` of the `rows` in `weights`, and returns the sum. The number of scores is a
/// multiple of `CHUNK`.
#[inline(always)]
fn weigh<S: Simd>(s: S, scores: &[f32], shift: S::F, weights: &mut [f32], [rows, row]: [usize; 2]) -> f32 {
    assert!(scores.len().is_multiple_of(CHUNK) && row < rows && scores.len() * rows <= weights.len());
    let (from, to) = (scores.as_ptr(), weights.as_mut_ptr());
    let mut sums = [s.splat(0.0); CHAINS];
    let mut at = 0;
    // SAFETY: with `at + LANES <= scores.len()` in every call, by the assertion and because `LANES` divides `CHUNK`,
    // which divides the number of scores.
    unsafe {
        while at + CHAINS * S::LANES <= scores.len() {
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = s.add(*sum, weigh_vector(s, from, shift, to, at + i * S::LANES, [rows, row]));
            }
            at += CHAINS * S::LANES;
        }
        // A vector goes into the same chain however many follow: keys of weight 0 behind it do not change the sum.
        for sum in &mut sums {
            if at < scores.len() {
                *sum = s.add(*sum, weigh_vector(s, from, shift, to, at, [rows, row]));
                at += S::LANES;
            }
        }
    }
    s.reduce_add(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3])))
}

/// [`weigh`] for weights that are rounded to bfloat16. The number of scores is a multiple of [`PAIRS`]. The sum is that of the
/// weights before they are rounded.
#[inline(always)]
fn weigh_pairs<S: Simd>(
    s: S,
    scores: &[f32],
    shift: S::F,
    weights: &mut [f32],
    [rows, row]: [usize; 2],
) -> f32 {
    assert!(scores.len().is_multiple_of(PAIRS) && row < rows && scores.len() / 2 * rows <= weights.len());
    // Which chain a weight goes to depends on its place alone: keys of weight 0 behind it do not change the sum.
    let mut sums = [s.splat(0.0); CHAINS];
    for (chunk, scores) in scores.chunks_exact(PAIRS).enumerate() {
        for at in (0..CHUNK).step_by(S::LANES) {
            // SAFETY: `LANES` divides `CHUNK`: as many scores lie in each half from `at` on. By the assertion, chunk
            // `chunk` of `row` lies in `weights`.
            unsafe {
                let first = exp2(s, s.sub(s.load(scores.as_ptr().add(at)), shift));
                let second = exp2(s, s.sub(s.load(scores.as_ptr().add(CHUNK + at)), shift));
                s.store(
                    weights.as_mut_ptr().add((chunk * rows + row) * CHUNK + at),
                    bf16_pairs_of_numbers(s, first, second),
                );
                let chain = chunk % (CHAINS / 2) * 2;
                sums[chain] = s.add(sums[chain], first);
                sums[chain + 1] = s.add(sums[chain + 1], second);
            }
        }
    }
    s.reduce_add(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3])))
}

/// [`weigh`] for the scores from `at` on.
///
/// # Safety
/// `scores` is valid for reads of `at + LANES` values, `weights` for writes of `rows` times as many, rounded up to
/// chunks; `LANES` divides `at`.
#[inline(always)]
unsafe fn weigh_vector<S: Simd>(
    s: S,
    scores: *const f32,
    shift: S::F,
    weights: *mut f32,
    at: usize,
    [rows, row]: [usize; 2],
) -> S::F {
    // SAFETY: forwarded to the caller; `LANES` divides `CHUNK`, so that the vector lies in one chunk.
    unsafe {
        let p = exp2(s, s.sub(s.load(scores.add(at)), shift));
        s.store(weights.add((at / CHUNK * rows + row) * CHUNK + at % CHUNK), p);
        p
    }
}

/// Writes the accumulated outputs of a row, divided by the sum of its weights.
pub(super) struct Finish<'a> {
    /// At least as many as `out` has.
    pub(super) accumulated: &'a [f32],
    pub(super) sum: f32,
    pub(super) out: &'a mut [f32],
}

impl Vectorize for Finish<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let factor = 1.0 / self.sum;
        self.out.iter_mut().zip(self.accumulated).for_each(|(to, from)| *to = from * factor);
    }
}

/// `scores[i] += rows[y] + columns[x]` for the keys `y · columns.len() + x = key + i`.
#[inline(always)]
fn add_outer<S: Simd>(s: S, rows: &[f32], columns: &[f32], key: usize, scores: &mut [f32]) {
    let mut rest = scores;
    let (mut y, mut x) = (key / columns.len(), key % columns.len());
    while !rest.is_empty() {
        let (line, after) = rest.split_at_mut(rest.len().min(columns.len() - x));
        let row = s.splat(rows[y]);
        let columns = &columns[x..][..line.len()];
        let mut at = 0;
        while at + S::LANES <= line.len() {
            // SAFETY: `LANES` elements from `at` on lie in the line and in its columns.
            unsafe {
                let bias = s.add(row, s.load(columns.as_ptr().add(at)));
                let p = line.as_mut_ptr().add(at);
                s.store(p, s.add(s.load(p), bias));
            }
            at += S::LANES;
        }
        let n = line.len() - at;
        // SAFETY: `n < LANES` elements are left in both.
        unsafe {
            let bias = s.add(row, s.load_n(columns.as_ptr().add(at), n));
            let p = line.as_mut_ptr().add(at);
            s.store_n(p, s.add(s.load_n(p, n), bias), n);
        }
        rest = after;
        (y, x) = (y + 1, 0);
    }
}
