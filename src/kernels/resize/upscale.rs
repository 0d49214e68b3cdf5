//! From a mask decoder's logits to the caller's picture (`Sam.postprocess_masks`).
//!
//! The reference interpolates the logits, `side × side`, linearly to the model's square input, `frame × frame`; cuts
//! off the padding; and interpolates what is left linearly to the picture. Along each axis an output pixel depends on
//! two pixels of the frame, and each of these on two logits. The frame is not smaller than the logits, so that these
//! are three neighbours at most: both interpolations together are one filter of three taps per axis, and the frame is
//! never made.
//!
//! The picture is made row by row. Each row of logits is widened once; an output row is a sum of three wide rows, and
//! is stored, compared with a threshold, or counted while it is in registers. Scratch memory is three rows. Pixels all
//! of whose logits are below every threshold are not computed when pixels are counted, which is most of a picture for
//! most masks.
//!
//! Positions and fractions are those of ATen, as in [`interpolate`](super::interpolate); products of weights are rounded
//! once. A value differs from the reference's by some 2⁻²² of the largest logit.

use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicU32, Ordering};

use super::linear_sample;
use crate::error::{Result, err};
use crate::exec::{Cx, Scratch, ScratchReq, SharedMut, Work};
use crate::kernels::len::len_of;
use crate::simd::{Level, Simd, Vectorize};

#[cfg(test)]
mod tests;

/// Largest side of a picture or frame, in pixels.
pub const MAX_SIDE: usize = super::interpolate::MAX_SIDE;

/// Neighbouring logits that an output pixel depends on, per axis.
const TAPS: usize = 3;

/// Rows of a picture that a lane computes at once. Each band widens two rows of logits that its neighbour widens too.
const BAND: usize = 128;

/// The way from logits to a picture of one size.
#[derive(Clone, Debug)]
pub struct Upscale {
    side: usize,
    rows: Vec<Taps>,
    columns: Vec<Taps>,
}

/// The filter of one output row or column: weights of the logits from `first` on.
#[derive(Clone, Copy, Debug)]
struct Taps {
    first: u32,
    weights: [f32; TAPS],
}

impl Upscale {
    /// From logits `side × side` for a model input of `frame × frame`, whose left upper `resized` (height, width) show
    /// the picture, to the picture's own `size` (height, width).
    ///
    /// # Errors
    /// [`Limit`](crate::ErrorCode::Limit) for sides of 0 or beyond [`MAX_SIDE`], fewer than three logits a side, a
    /// frame smaller than the logits or than the resized picture.
    pub fn new(side: usize, frame: usize, resized: (usize, usize), size: (usize, usize)) -> Result<Self> {
        let fits = |side: usize, most: usize| (1..=most).contains(&side);
        let is_possible = (TAPS..=frame).contains(&side)
            && [frame, size.0, size.1].into_iter().all(|side| fits(side, MAX_SIDE))
            && [resized.0, resized.1].into_iter().all(|side| fits(side, frame));
        if !is_possible {
            return Err(err!(
                Limit,
                "cannot upscale logits of side {side} by way of {resized:?} of {frame} pixels to {size:?}"
            ));
        }
        let axis = |resized: usize, size: usize| {
            (0..size).map(|index| Taps::of(side, frame, resized, size, index)).collect()
        };
        Ok(Self { side, rows: axis(resized.0, size.0), columns: axis(resized.1, size.1) })
    }

    /// Logits per side.
    pub fn side(&self) -> usize {
        self.side
    }

    /// Height and width of the picture.
    pub fn size(&self) -> (usize, usize) {
        (self.rows.len(), self.columns.len())
    }

    /// Bytes that a way to pictures of `size` (height, width) takes.
    pub fn bytes_of(size: (usize, usize)) -> usize {
        (size.0 + size.1) * size_of::<Taps>()
    }

    /// 64-bit words of a row of bits.
    pub fn row_words(&self) -> usize {
        self.columns.len().div_ceil(64)
    }

    /// Scratch that a picture needs on all threads of `cx`.
    pub fn scratch_req(&self, cx: &Cx) -> ScratchReq {
        self.lane_scratch_req().per_lane(cx)
    }

    /// Scratch that a picture needs on one thread.
    pub fn lane_scratch_req(&self) -> ScratchReq {
        ScratchReq::slice(self.wide_len())
    }

    /// Length of the rows of logits that a row of the picture is made of, at its width, in f32.
    fn wide_len(&self) -> usize {
        TAPS * self.stride()
    }

    /// f32 of a wide row: whole words of bits, so that the vector loops have no tails.
    fn stride(&self) -> usize {
        64 * self.row_words()
    }

    /// The logits of every pixel: `out: [height, width]`.
    ///
    /// # Panics
    /// If `logits` or `out` have another length than the sizes say, or `scratch` is too short.
    pub fn logits(&self, cx: &Cx, logits: &[f32], out: &mut [f32], scratch: Scratch<'_>) {
        let (height, width) = self.size();
        assert_eq!(out.len(), len_of([height, width]), "output length");
        let out = SharedMut::new(out);
        self.bands(cx, scratch, |band, lane| {
            // SAFETY: each band has its own rows.
            let out = unsafe { out.range(band.start * width..band.end * width) };
            let mut out = out.chunks_exact_mut(width);
            self.for_each_row(cx.level(), logits, band, 0..width, lane, |blend| {
                let Some(out) = out.next() else { return };
                cx.level().dispatch(Store { blend, out });
            });
        });
    }

    /// Whether the logit of a pixel is above `threshold`, as 1 or 0: `out: [height, width]`.
    ///
    /// # Panics
    /// As [`logits`](Self::logits).
    pub fn mask(&self, cx: &Cx, logits: &[f32], threshold: f32, out: &mut [u8], scratch: Scratch<'_>) {
        let (height, width) = self.size();
        assert_eq!(out.len(), len_of([height, width]), "output length");
        let out = SharedMut::new(out);
        self.bands(cx, scratch, |band, lane| {
            // SAFETY: each band has its own rows.
            let out = unsafe { out.range(band.start * width..band.end * width) };
            let mut out = out.chunks_exact_mut(width);
            self.for_each_row(cx.level(), logits, band, 0..width, lane, |blend| {
                let Some(out) = out.next() else { return };
                cx.level().dispatch(Compare { blend, threshold, out });
            });
        });
    }

    /// The pixels above `thresholds[0]` as bits, [`row_words`](Self::row_words) words a row, bit `x % 64` of word
    /// `x / 64` for pixel `x`; and the number of pixels above each of `thresholds`.
    ///
    /// # Panics
    /// As [`logits`](Self::logits).
    pub fn bits<const N: usize>(
        &self,
        cx: &Cx,
        logits: &[f32],
        thresholds: [f32; N],
        out: &mut [u64],
        scratch: Scratch<'_>,
    ) -> [u32; N] {
        let words = self.row_words();
        assert_eq!(out.len(), self.rows.len() * words, "output length");
        let counting = Counting { logits, thresholds, reach: self.reach(logits, &thresholds) };
        let counts = [const { AtomicU32::new(0) }; N];
        let out = SharedMut::new(out);
        self.bands(cx, scratch, |band, lane| {
            // SAFETY: each band has its own rows.
            let out = unsafe { out.range(band.start * words..band.end * words) };
            let here = self.band_bits(cx.level(), &counting, band, out, lane);
            for (count, here) in counts.iter().zip(here) {
                count.fetch_add(here, Ordering::Relaxed);
            }
        });
        counts.map(AtomicU32::into_inner)
    }

    /// [`bits`](Self::bits) on the calling thread, for callers with many masks.
    ///
    /// # Panics
    /// As [`logits`](Self::logits).
    pub fn bits_serial<const N: usize>(
        &self,
        level: Level,
        logits: &[f32],
        thresholds: [f32; N],
        out: &mut [u64],
        mut scratch: Scratch<'_>,
    ) -> [u32; N] {
        assert_eq!(out.len(), self.rows.len() * self.row_words(), "output length");
        let counting = Counting { logits, thresholds, reach: self.reach(logits, &thresholds) };
        let lane = scratch.take(self.wide_len());
        self.band_bits(level, &counting, 0..self.rows.len(), out, lane)
    }

    fn band_bits<const N: usize>(
        &self,
        level: Level,
        counting: &Counting<'_, N>,
        band: Range<usize>,
        out: &mut [u64],
        lane: &mut [f32],
    ) -> [u32; N] {
        let Counting { logits, thresholds, reach: (rows, columns) } = counting;
        let used = columns.len();
        let words = columns.start / 64..columns.end.div_ceil(64);
        out.fill(0);
        let mut counts = [0; N];
        let rows = rows.start.clamp(band.start, band.end)..rows.end.clamp(band.start, band.end);
        let mut out = out.chunks_exact_mut(self.row_words()).skip(rows.start - band.start);
        self.for_each_row(level, logits, rows, columns.clone(), lane, |blend| {
            let Some(out) = out.next() else { return };
            let out = &mut out[words.clone()];
            level.dispatch(Count { blend, thresholds: *thresholds, used, out, counts: &mut counts });
        });
        counts
    }

    /// The rows and columns of the picture outside which no pixel is above any of `thresholds`; the first column is
    /// the first of a word.
    fn reach(&self, logits: &[f32], thresholds: &[f32]) -> (Range<usize>, Range<usize>) {
        assert_eq!(logits.len(), len_of([self.side; 2]), "logits");
        // A pixel is a mean of its logits but for rounding, by less than 2⁻²⁰ of the largest. NaN, whose bits are
        // larger than infinity's, makes the limit NaN, and nothing is below that.
        let magnitude = logits.iter().fold(0, |largest, logit| largest.max(logit.to_bits() & 0x7fff_ffff));
        let lowest = thresholds.iter().copied().fold(f32::INFINITY, f32::min);
        let limit = lowest - f32::from_bits(magnitude) * (1.0 / (1 << 18) as f32);
        let is_below = |logit: &f32| *logit <= limit;

        let (mut rows, mut columns) = (0..0, self.side..0);
        for (y, row) in logits.chunks_exact(self.side).enumerate() {
            let Some(first) = row.iter().position(|logit| !is_below(logit)) else { continue };
            let beyond = row[columns.end..].iter().rposition(|logit| !is_below(logit));
            columns.start = columns.start.min(first);
            columns.end = beyond.map_or(columns.end, |last| columns.end + last + 1);
            rows = if rows.is_empty() { y } else { rows.start }..y + 1;
        }
        let reached = |axis: &[Taps], logits: Range<usize>| {
            let start = axis.partition_point(|taps| taps.first as usize + TAPS <= logits.start);
            start..axis.partition_point(|taps| (taps.first as usize) < logits.end).max(start)
        };
        let columns = reached(&self.columns, columns);
        (reached(&self.rows, rows), columns.start / 64 * 64..columns.end)
    }

    /// Calls `work` for bands of rows, with [`wide_len`](Self::wide_len) f32 of their lane.
    fn bands(&self, cx: &Cx, scratch: Scratch<'_>, work: impl Fn(Range<usize>, &mut [f32]) + Sync) {
        let _kernel = cx.kernel("mask-to-picture", || {
            let (height, width) = self.size();
            Work { flops: 0.0, bytes: 4.0 * (height * width) as f64 }
        });
        let height = self.rows.len();
        let req = self.lane_scratch_req();
        cx.parallel_for_with(height.div_ceil(BAND), req, scratch, |mut scratch, band| {
            work(band * BAND..((band + 1) * BAND).min(height), scratch.take(self.wide_len()));
        });
    }

    /// Calls `each` for `columns` of the rows of `band`, in order, with what they are the sum of.
    fn for_each_row(
        &self,
        level: Level,
        logits: &[f32],
        band: Range<usize>,
        columns: Range<usize>,
        wide: &mut [f32],
        mut each: impl FnMut(Blend<'_>),
    ) {
        assert_eq!(logits.len(), len_of([self.side; 2]), "logits");
        let stride = self.stride();
        // The row of logits to be widened next; row `r` is kept in place `r % TAPS`.
        let mut next = 0;
        for taps in &self.rows[band] {
            let first = taps.first as usize;
            next = next.max(first);
            while next < first + TAPS {
                let row = &logits[next * self.side..][..self.side];
                let wide = &mut wide[next % TAPS * stride..][..columns.len()];
                level.dispatch(Widen { row, columns: &self.columns[columns.clone()], wide });
                next += 1;
            }
            let len = columns.len().next_multiple_of(64);
            let rows = [0, 1, 2].map(|tap| &wide[(first + tap) % TAPS * stride..][..len]);
            each(Blend { rows, weights: taps.weights });
        }
    }
}

/// What [`Upscale::bits`] counts, and where there is something to count.
struct Counting<'a, const N: usize> {
    logits: &'a [f32],
    thresholds: [f32; N],
    /// Rows and columns of the picture.
    reach: (Range<usize>, Range<usize>),
}

impl Taps {
    /// The weights of output `index`: those of its two pixels of the frame, spread over their logits.
    fn of(side: usize, frame: usize, resized: usize, size: usize, index: usize) -> Self {
        let (near, fraction) = linear_sample(resized, size, index);
        let far = (near + 1).min(resized - 1);
        let first = linear_sample(side, frame, near).0.min(side - TAPS);
        let mut weights = [0.0; TAPS];
        for (pixel, weight) in [(near, 1.0 - fraction), (far, fraction)] {
            let (logit, fraction) = linear_sample(side, frame, pixel);
            let next = (logit + 1).min(side - 1);
            for (logit, inner) in [(logit, 1.0 - fraction), (next, fraction)] {
                weights[logit - first] += f64::from(weight) * f64::from(inner);
            }
        }
        Self { first: first as u32, weights: weights.map(|weight| weight as f32) }
    }
}

/// `wide[x] = Σ weights · row`: a row of logits at the picture's width.
struct Widen<'a> {
    row: &'a [f32],
    columns: &'a [Taps],
    wide: &'a mut [f32],
}

impl Vectorize for Widen<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (wide, taps) in self.wide.iter_mut().zip(self.columns) {
            let first = taps.first as usize;
            let logits = &self.row[first..first + TAPS];
            let [a, b, c] = taps.weights;
            *wide = c * logits[2] + (b * logits[1] + a * logits[0]);
        }
    }
}

/// An output row: the weighted sum of three wide rows, a multiple of 64 long.
struct Blend<'a> {
    rows: [&'a [f32]; TAPS],
    weights: [f32; TAPS],
}

impl Blend<'_> {
    /// `LANES` pixels from `at` on.
    ///
    /// # Safety
    /// `at + LANES` must not exceed the length of the rows.
    #[inline(always)]
    unsafe fn load<S: Simd>(&self, s: S, at: usize) -> S::F {
        let [a, b, c] = self.weights.map(|weight| s.splat(weight));
        // SAFETY: forwarded to the caller.
        let [x, y, z] = self.rows.map(|row| unsafe { s.load(row.as_ptr().add(at)) });
        s.fma(z, c, s.fma(y, b, s.mul(x, a)))
    }
}

/// `out[x] = blend[x]`.
struct Store<'a> {
    blend: Blend<'a>,
    out: &'a mut [f32],
}

impl Vectorize for Store<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        debug_assert!(self.out.len() <= self.blend.rows[0].len());
        let mut chunks = self.out.chunks_exact_mut(S::LANES);
        let mut at = 0;
        for out in chunks.by_ref() {
            // SAFETY: the rows are at least as long as `out`, whose chunks have `LANES` elements.
            unsafe { s.store(out.as_mut_ptr(), self.blend.load(s, at)) };
            at += S::LANES;
        }
        let out = chunks.into_remainder();
        if !out.is_empty() {
            // SAFETY: the rows are a multiple of 64 long, so that whole vectors reach beyond `out`; it has fewer than
            // `LANES` elements.
            unsafe { s.store_n(out.as_mut_ptr(), self.blend.load(s, at), out.len()) };
        }
    }
}

/// `out[x] = 1` where `blend[x] > threshold`, else 0.
struct Compare<'a> {
    blend: Blend<'a>,
    threshold: f32,
    out: &'a mut [u8],
}

impl Vectorize for Compare<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        debug_assert!(self.out.len() <= self.blend.rows[0].len());
        let (threshold, one, zero) = (s.splat(self.threshold), s.splat(1.0), s.splat(0.0));
        let mut chunks = self.out.chunks_exact_mut(S::LANES);
        let mut at = 0;
        for out in chunks.by_ref() {
            // SAFETY: the rows are at least as long as `out`, whose chunks have `LANES` elements.
            unsafe {
                let is_above = s.lt(threshold, self.blend.load(s, at));
                s.store_u8(out.as_mut_ptr(), s.to_i32(s.select(is_above, one, zero)));
            }
            at += S::LANES;
        }
        let out = chunks.into_remainder();
        if !out.is_empty() {
            // SAFETY: the rows are a multiple of 64 long, so that whole vectors reach beyond `out`.
            let bits = s.bits(s.lt(threshold, unsafe { self.blend.load(s, at) }));
            out.iter_mut().enumerate().for_each(|(i, out)| *out = (bits >> i & 1) as u8);
        }
    }
}

/// Bits of `blend[x] > thresholds[0]`, and how many pixels are above each threshold.
struct Count<'a, const N: usize> {
    blend: Blend<'a>,
    thresholds: [f32; N],
    /// Pixels in a row; the words' other bits become 0.
    used: usize,
    out: &'a mut [u64],
    counts: &'a mut [u32; N],
}

impl<const N: usize> Vectorize for Count<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        assert_eq!(self.blend.rows[0].len(), 64 * self.out.len());
        let thresholds = self.thresholds.map(|threshold| s.splat(threshold));
        for (at, out) in self.out.iter_mut().enumerate() {
            let mut words = [0; N];
            for lane in (0..64).step_by(S::LANES) {
                // SAFETY: the rows hold 64 pixels for each word, and `LANES` divides 64.
                let pixels = unsafe { self.blend.load(s, 64 * at + lane) };
                for (word, &threshold) in words.iter_mut().zip(&thresholds) {
                    *word |= u64::from(s.bits(s.lt(threshold, pixels))) << lane;
                }
            }
            let unused = (64 * (at + 1)).saturating_sub(self.used);
            for (word, count) in words.iter_mut().zip(&mut *self.counts) {
                *word &= u64::MAX >> unused;
                *count += word.count_ones();
            }
            *out = words.first().copied().unwrap_or(0);
        }
    }
}
