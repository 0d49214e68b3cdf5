//! The two passes over rows of bytes, for each instruction set.
//!
//! Both accumulate `Σ pixel · weight` in i32 from one half upwards and store the integer part, clamped to 0…255.

use core::ops::Range;

use super::axis::PRECISION_BITS;
use crate::kernels::resize::Span;
use crate::simd::{Simd, Vectorize};

/// One half, with [`PRECISION_BITS`] fractional bits.
const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// Bytes of a column of a strip.
pub(super) const COLUMN: usize = 16;

/// Vectors of a column at the narrowest level.
const MAX_VECTORS: usize = 4;

/// `out[y][x, c] = Σ_i source[y][start(x) + i, c] · weight(x, i)` for rows of `C` interleaved channels.
///
/// A few rows at a time are transposed into a strip: column after column, each with the pixels of its rows in 4
/// (for `C = 1` in 1) bytes. A tap then multiplies a whole column by one weight: no channel is special, and there is
/// nothing to add up across lanes.
pub(super) struct Horizontal<'a, const C: usize> {
    /// Source rows, from the first one on.
    pub(super) source: &'a [u8],
    /// Bytes from one source row to the next.
    pub(super) row_stride: usize,
    /// Bytes of a source row.
    pub(super) row_len: usize,
    /// Source columns that the windows reach.
    pub(super) columns: Range<usize>,
    /// Window of each output pixel.
    pub(super) spans: &'a [Span],
    /// Weights, `weights.len() / spans.len()` for each output pixel.
    pub(super) weights: &'a [i32],
    /// Scratch: [`COLUMN`] bytes for each of `columns`.
    pub(super) strip: &'a mut [u8],
    /// Packed output rows.
    pub(super) out: &'a mut [u8],
}

impl<const C: usize> Vectorize for Horizontal<'_, C> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match C {
            1 => self.run_strips::<S, COLUMN>(simd),
            _ => self.run_strips::<S, { COLUMN / 4 }>(simd),
        }
    }
}

impl<const C: usize> Horizontal<'_, C> {
    /// All rows, in strips of `R`.
    #[inline(always)]
    fn run_strips<S: Simd, const R: usize>(self, simd: S) {
        let strip = &mut self.strip[..self.columns.len() * COLUMN];
        let out_len = self.spans.len() * C;
        let stride = self.weights.len() / self.spans.len();
        for (source, out) in self.source.chunks(R * self.row_stride).zip(self.out.chunks_mut(R * out_len)) {
            // The last strip may have fewer rows: its last row then fills the others' places.
            let last = out.len() / out_len - 1;
            let reach = self.columns.start * C..self.row_len;
            let rows: [&[u8]; R] =
                core::array::from_fn(|r| &source[r.min(last) * self.row_stride..][reach.clone()]);
            transpose::<C, R>(rows, strip);
            for (x, (span, weights)) in self.spans.iter().zip(self.weights.chunks_exact(stride)).enumerate() {
                let first = span.start as usize - self.columns.start;
                let len = span.len as usize;
                let columns = &strip[first * COLUMN..(first + len) * COLUMN];
                let sums = dot(simd, columns, &weights[..len]);
                for (pixel, row) in sums.chunks_exact(COLUMN / R).zip(out.chunks_exact_mut(out_len)) {
                    row[x * C..][..C].copy_from_slice(&pixel[..C]);
                }
            }
        }
    }
}

/// Gathers pixel `x` of all `rows` in column `x` of `strip`.
#[inline(always)]
fn transpose<const C: usize, const R: usize>(rows: [&[u8]; R], strip: &mut [u8]) {
    let slot = COLUMN / R;
    // Moving 4 bytes is one instruction, moving 3 is two; the fourth lane is never read back. But the last pixel of
    // a row has no fourth byte.
    let readable = rows.map(|row| row.len()).into_iter().min().unwrap_or(0);
    let whole = readable.checked_sub(slot).map_or(0, |rest| rest / C + 1);
    let mut columns = strip.chunks_exact_mut(COLUMN).enumerate();
    for (x, column) in columns.by_ref().take(whole) {
        for (r, row) in rows.iter().enumerate() {
            // SAFETY: `x < whole`, so that `x · C + slot <= row.len()`; `(r + 1) · slot <= COLUMN`.
            unsafe {
                let pixel = row.as_ptr().add(x * C);
                pixel.copy_to_nonoverlapping(column.as_mut_ptr().add(r * slot), slot);
            }
        }
    }
    for (x, column) in columns {
        for (slot, row) in column.chunks_exact_mut(slot).zip(rows) {
            slot[..C].copy_from_slice(&row[x * C..][..C]);
        }
    }
}

/// `Σ_i columns[i] · weights[i]`, rounded.
#[inline(always)]
fn dot<S: Simd>(simd: S, columns: &[u8], weights: &[i32]) -> [u8; COLUMN] {
    let vectors = COLUMN / S::LANES;
    let mut sums = [simd.i_splat(HALF); MAX_VECTORS];
    for (column, &weight) in columns.chunks_exact(COLUMN).zip(weights) {
        let weight = simd.i_splat(weight);
        for (v, sum) in sums[..vectors].iter_mut().enumerate() {
            // SAFETY: `(v + 1) · LANES <= COLUMN`, the length of `column`.
            let pixels = unsafe { simd.load_u8(column.as_ptr().add(v * S::LANES)) };
            *sum = simd.i_add(*sum, simd.i_mul(pixels, weight));
        }
    }
    let mut out = [0; COLUMN];
    for (v, &sum) in sums[..vectors].iter().enumerate() {
        // SAFETY: `(v + 1) · LANES <= COLUMN`, the length of `out`.
        unsafe {
            simd.store_u8(out.as_mut_ptr().add(v * S::LANES), simd.i_sar::<{ PRECISION_BITS as i32 }>(sum))
        };
    }
    out
}

/// `out[x] = Σ_i source[i · row_stride + x] · weights[i]` for one output row.
pub(super) struct Vertical<'a> {
    /// From the first byte that the first row contributes.
    pub(super) source: &'a [u8],
    /// Bytes from one source row to the next.
    pub(super) row_stride: usize,
    /// One weight for each source row.
    pub(super) weights: &'a [i32],
    /// The output row.
    pub(super) out: &'a mut [u8],
}

impl Vectorize for Vertical<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let width = self.out.len();
        assert!(self.source.len() >= (self.weights.len() - 1) * self.row_stride + width, "source too short");
        let mut x = 0;
        while x + MAX_VECTORS * S::LANES <= width {
            // SAFETY: the bytes `x .. x + MAX_VECTORS · LANES` lie inside each row.
            unsafe { self.block::<S, MAX_VECTORS>(simd, x) };
            x += MAX_VECTORS * S::LANES;
        }
        while x + S::LANES <= width {
            // SAFETY: the bytes `x .. x + LANES` lie inside each row.
            unsafe { self.block::<S, 1>(simd, x) };
            x += S::LANES;
        }
        for x in x..width {
            let rows = self.source[x..].iter().step_by(self.row_stride);
            let sum: i32 = rows.zip(self.weights).map(|(&pixel, weight)| i32::from(pixel) * weight).sum();
            self.out[x] = ((HALF + sum) >> PRECISION_BITS).clamp(0, 255) as u8;
        }
    }
}

impl Vertical<'_> {
    /// The bytes `x .. x + V · LANES`.
    ///
    /// # Safety
    /// They must lie inside each of the `weights.len()` source rows and the output row.
    #[inline(always)]
    unsafe fn block<S: Simd, const V: usize>(&mut self, simd: S, x: usize) {
        let mut sums = [simd.i_splat(HALF); V];
        for (i, &weight) in self.weights.iter().enumerate() {
            let weight = simd.i_splat(weight);
            for (v, sum) in sums.iter_mut().enumerate() {
                // SAFETY: the caller promises that these bytes lie inside source row `i`.
                let pixels =
                    unsafe { simd.load_u8(self.source.as_ptr().add(i * self.row_stride + x + v * S::LANES)) };
                *sum = simd.i_add(*sum, simd.i_mul(pixels, weight));
            }
        }
        for (v, &sum) in sums.iter().enumerate() {
            let sum = simd.i_sar::<{ PRECISION_BITS as i32 }>(sum);
            // SAFETY: the caller promises that these bytes lie inside the output row.
            unsafe { simd.store_u8(self.out.as_mut_ptr().add(x + v * S::LANES), sum) };
        }
    }
}
