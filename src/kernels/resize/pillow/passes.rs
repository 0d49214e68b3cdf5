//! The two passes over rows of bytes, compiled for each instruction set.
//!
//! Both accumulate `Σ pixel · weight` in i32 from one half upwards and keep the integer part, clamped to 0…255.

use super::axis::PRECISION_BITS;
use crate::kernels::resize::Span;
use crate::simd::{Simd, Vectorize};

const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// Rows that the horizontal pass computes together, so that a weight is loaded once for all of them.
const ROWS: usize = 4;

/// Bytes of an output row that the vertical pass keeps in registers.
const BLOCK: usize = 64;

/// Lanes of the horizontal pass: a multiple of every channel count (1, 3, 4), so that a lane always meets the same
/// channel. Weight tables have rows of a multiple of it.
pub(super) const LANES: usize = 24;

#[inline(always)]
fn clip8(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

/// `out[r][x, c] = Σ_i rows[r][span(x) + i, c] · weight(x, i)` for rows of `C` interleaved channels.
pub(super) struct Horizontal<'a, const C: usize> {
    /// Source rows.
    pub(super) source: &'a [u8],
    /// Bytes from one source row to the next.
    pub(super) row_stride: usize,
    /// Bytes of a source row.
    pub(super) row_len: usize,
    /// Window of each output pixel.
    pub(super) spans: &'a [Span],
    /// Weights, each `C` times; the row of an output pixel has a multiple of [`LANES`], zeros at its end.
    pub(super) weights: &'a [i32],
    /// Packed output rows.
    pub(super) out: &'a mut [u8],
}

impl<const C: usize> Vectorize for Horizontal<'_, C> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let out_len = self.spans.len() * C;
        let row = |y: usize| &self.source[y * self.row_stride..][..self.row_len];
        let mut y = 0;
        let mut groups = self.out.chunks_exact_mut(ROWS * out_len);
        for out in groups.by_ref() {
            let rows: [&[u8]; ROWS] = core::array::from_fn(|r| row(y + r));
            resample_rows::<C, ROWS>(rows, self.spans, self.weights, out);
            y += ROWS;
        }
        for out in groups.into_remainder().chunks_exact_mut(out_len) {
            resample_rows::<C, 1>([row(y)], self.spans, self.weights, out);
            y += 1;
        }
    }
}

#[inline(always)]
fn resample_rows<const C: usize, const R: usize>(
    rows: [&[u8]; R],
    spans: &[Span],
    weights: &[i32],
    out: &mut [u8],
) {
    let stride = weights.len() / spans.len();
    for (x, (span, weights)) in spans.iter().zip(weights.chunks_exact(stride)).enumerate() {
        let windows = rows.map(|row| &row[span.start as usize * C..]);
        let used = (span.len as usize * C).next_multiple_of(LANES);
        let sums = dot::<C, R>(windows, &weights[..used]);
        for (r, sums) in sums.iter().enumerate() {
            for (c, &sum) in sums.iter().enumerate() {
                out[(r * spans.len() + x) * C + c] = clip8(sum);
            }
        }
    }
}

/// `HALF + Σ_i windows[r][i] · weights[i]` over the `i ≡ c (mod C)`, for each row `r` and channel `c`.
#[inline(always)]
fn dot<const C: usize, const R: usize>(windows: [&[u8]; R], weights: &[i32]) -> [[i32; C]; R] {
    let mut lanes = [[0; LANES]; R];
    let readable = windows[0].len().min(weights.len());
    let whole = readable - readable % LANES;
    for (i, weights) in weights[..whole].chunks_exact(LANES).enumerate() {
        for (lanes, window) in lanes.iter_mut().zip(windows) {
            let pixels: &[u8; LANES] = window[i * LANES..][..LANES].try_into().expect("LANES bytes");
            for ((lane, &pixel), &weight) in lanes.iter_mut().zip(pixels).zip(weights) {
                *lane += i32::from(pixel) * weight;
            }
        }
    }
    // The end of the row is nearer than the zeros at the end of the weights.
    for (lanes, window) in lanes.iter_mut().zip(windows) {
        for ((lane, &pixel), &weight) in lanes.iter_mut().zip(&window[whole..]).zip(&weights[whole..]) {
            *lane += i32::from(pixel) * weight;
        }
    }
    lanes.map(|lanes| {
        let mut sums = [HALF; C];
        for (lane, value) in lanes.into_iter().enumerate() {
            sums[lane % C] += value;
        }
        sums
    })
}

/// `out[x] = Σ_i source[(start + i) · row_stride + x] · weights[i]` for one output row.
pub(super) struct Vertical<'a> {
    /// From the first byte that the first row contributes.
    pub(super) source: &'a [u8],
    /// Bytes from one source row to the next.
    pub(super) row_stride: usize,
    /// One weight per source row.
    pub(super) weights: &'a [i32],
    /// The output row.
    pub(super) out: &'a mut [u8],
}

impl Vectorize for Vertical<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let mut blocks = self.out.chunks_exact_mut(BLOCK);
        let mut x = 0;
        for out in blocks.by_ref() {
            let mut sums = [HALF; BLOCK];
            for (i, &weight) in self.weights.iter().enumerate() {
                let pixels: &[u8; BLOCK] =
                    self.source[i * self.row_stride + x..][..BLOCK].try_into().expect("BLOCK bytes");
                for (sum, &pixel) in sums.iter_mut().zip(pixels) {
                    *sum += i32::from(pixel) * weight;
                }
            }
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = clip8(sum);
            }
            x += BLOCK;
        }
        for out in blocks.into_remainder() {
            let mut sum = HALF;
            for (i, &weight) in self.weights.iter().enumerate() {
                sum += i32::from(self.source[i * self.row_stride + x]) * weight;
            }
            *out = clip8(sum);
            x += 1;
        }
    }
}
