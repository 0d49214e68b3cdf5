//! The softmax of a block of pixels, and the sum over the blocks.

use core::ops::Range;

use crate::exec::SharedMut;
use crate::kernels::math::exp;
use crate::simd::{Simd, Vectorize};

/// Turns the scores `[panels][rows][nr]` of a block into `exp(s − m_b)`, and writes the maximum `m_b` and the sum `l_b` of
/// every row to `statistics: [2][width]`.
pub(super) struct BlockSoftmax<'a> {
    pub(super) scores: &'a mut [f32],
    pub(super) rows: usize,
    pub(super) nr: usize,
    pub(super) statistics: &'a mut [f32],
}

impl Vectorize for BlockSoftmax<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { scores, rows, nr, statistics } = self;
        assert!(nr.is_multiple_of(S::LANES) && scores.len().is_multiple_of(rows * nr));
        let (maxima, sums) = statistics.split_at_mut(statistics.len() / 2);
        maxima[rows..].fill(0.0);
        sums[rows..].fill(1.0);
        let panels = scores.len() / (rows * nr);
        for row in 0..rows {
            // For every panel, `nr` elements from `at(panel)` on lie in `scores`.
            let start = scores.as_mut_ptr();
            let at = |panel: usize| start.wrapping_add((panel * rows + row) * nr);
            let mut max = s.splat(f32::NEG_INFINITY);
            for panel in 0..panels {
                for column in (0..nr).step_by(S::LANES) {
                    // SAFETY: `column + LANES <= nr` elements from `at(panel)` on lie in `scores`.
                    max = s.max(unsafe { s.load(at(panel).add(column)) }, max);
                }
            }
            maxima[row] = s.reduce_max(max);
            let max = s.splat(maxima[row]);
            let mut sum = s.splat(0.0);
            for panel in 0..panels {
                for column in (0..nr).step_by(S::LANES) {
                    // SAFETY: as above.
                    unsafe {
                        let p = at(panel).add(column);
                        let e = exp(s, s.sub(s.load(p), max));
                        s.store(p, e);
                        sum = s.add(sum, e);
                    }
                }
            }
            sums[row] = s.reduce_add(sum);
        }
    }
}

/// Turns the maxima of all blocks into the factors `f_b / Σ f_b l_b`; `statistics: [blocks][2][width]` are maxima and sums.
pub(super) struct Factors<'a> {
    pub(super) statistics: &'a mut [f32],
    pub(super) width: usize,
}

impl Vectorize for Factors<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { statistics, width } = self;
        assert!(width.is_multiple_of(S::LANES) && statistics.len().is_multiple_of(2 * width));
        let blocks = statistics.len() / (2 * width);
        for column in (0..width).step_by(S::LANES) {
            // For every block, `LANES` maxima lie at `at(block)` and as many sums `width` behind them.
            let start = statistics.as_mut_ptr();
            let at = |block: usize| start.wrapping_add(block * 2 * width + column);
            let mut max = s.splat(f32::NEG_INFINITY);
            for block in 0..blocks {
                // SAFETY: `LANES` maxima lie at `at(block)`, and as many sums `width` behind them.
                max = s.max(unsafe { s.load(at(block)) }, max);
            }
            let mut sum = s.splat(0.0);
            for block in 0..blocks {
                // SAFETY: as above.
                unsafe {
                    let factor = exp(s, s.sub(s.load(at(block)), max));
                    sum = s.fma(factor, s.load(at(block).add(width)), sum);
                    s.store(at(block), factor);
                }
            }
            let scale = s.div(s.splat(1.0), sum);
            for block in 0..blocks {
                // SAFETY: as above.
                unsafe { s.store(at(block), s.mul(s.load(at(block)), scale)) };
            }
        }
    }
}

/// `out[first + r · values + v] = Σ_b factor_b[r] · output_b[v][r]` for the channels `v` of a task.
pub(super) struct Join<'a> {
    /// `[blocks][values][width]`
    pub(super) outputs: &'a [f32],
    /// `[blocks][2][width]`: factors, and sums, which are not used.
    pub(super) factors: &'a [f32],
    pub(super) width: usize,
    pub(super) channels: Range<usize>,
    pub(super) out: SharedMut<'a, f32>,
    pub(super) first: usize,
    pub(super) rows: usize,
    pub(super) values: usize,
}

impl Vectorize for Join<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { outputs, factors, width, channels, out, first, rows, values } = self;
        let blocks = factors.len() / (2 * width);
        assert!(width.is_multiple_of(S::LANES) && outputs.len() == blocks * values * width);
        assert!(channels.end <= values && rows <= width);
        let mut lanes = [0.0; 16];
        for channel in channels {
            for row in (0..rows).step_by(S::LANES) {
                let mut sum = s.splat(0.0);
                for block in 0..blocks {
                    // SAFETY: `row + LANES <= width`, so that both lie in their block by the assertions.
                    unsafe {
                        let factor = s.load(factors.as_ptr().add(block * 2 * width + row));
                        let output = s.load(outputs.as_ptr().add((block * values + channel) * width + row));
                        sum = s.fma(factor, output, sum);
                    }
                }
                // SAFETY: `LANES <= 16`.
                unsafe { s.store(lanes.as_mut_ptr(), sum) };
                for (i, &value) in lanes.iter().take(S::LANES.min(rows - row)).enumerate() {
                    let at = first + (row + i) * values + channel;
                    // SAFETY: this task's channels are its own.
                    unsafe { out.range(at..at + 1)[0] = value };
                }
            }
        }
    }
}
