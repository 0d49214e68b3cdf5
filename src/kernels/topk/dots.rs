//! A query against rows: one pass over the rows, which memory bounds.

use crate::simd::{Level, Simd, Vectorize};

/// Independent sums: as many as hide the latency of an addition.
const SUMS: usize = 4;

/// How far ahead rows are asked for, in bytes: the CPU itself stops at the end of a page.
const AHEAD: usize = 4096;

/// `out[r] = Σᵢ rows[r, i] · query[i]`.
///
/// # Panics
/// If `rows` are not `out.len()` rows of the query's length.
pub(super) fn dots_f32(level: Level, rows: &[f32], query: &[f32], out: &mut [f32]) {
    assert!(rows.len() == out.len() * query.len(), "{} rows of {}", out.len(), query.len());
    level.dispatch(DotsF32 { rows, query, out });
}

struct DotsF32<'a> {
    rows: &'a [f32],
    query: &'a [f32],
    out: &'a mut [f32],
}

impl Vectorize for DotsF32<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (row, out) in self.rows.chunks_exact(self.query.len()).zip(self.out) {
            *out = dot(s, row, self.query);
        }
    }
}

#[inline(always)]
fn dot<S: Simd>(s: S, row: &[f32], query: &[f32]) -> f32 {
    let mut sums = [s.splat(0.0); SUMS];
    let (mut rows, mut queries) = (row.chunks_exact(SUMS * S::LANES), query.chunks_exact(SUMS * S::LANES));
    for (row, query) in rows.by_ref().zip(queries.by_ref()) {
        for (i, sum) in sums.iter_mut().enumerate() {
            let at = i * S::LANES;
            s.prefetch(row.as_ptr().wrapping_add(at).cast::<u8>().wrapping_add(AHEAD));
            // SAFETY: the blocks have `SUMS · LANES` elements.
            *sum = unsafe { s.fma(s.load(row.as_ptr().add(at)), s.load(query.as_ptr().add(at)), *sum) };
        }
    }
    let (mut rows, mut queries) =
        (rows.remainder().chunks_exact(S::LANES), queries.remainder().chunks_exact(S::LANES));
    for (row, query) in rows.by_ref().zip(queries.by_ref()) {
        // SAFETY: the chunks have `LANES` elements.
        sums[0] = unsafe { s.fma(s.load(row.as_ptr()), s.load(query.as_ptr()), sums[0]) };
    }
    let (row, query) = (rows.remainder(), queries.remainder());
    // SAFETY: both have the same number of elements, fewer than `LANES`; the other lanes are 0.
    sums[1] =
        unsafe { s.fma(s.load_n(row.as_ptr(), row.len()), s.load_n(query.as_ptr(), query.len()), sums[1]) };
    s.reduce_add(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3])))
}

/// Elements of a step at the widest level: queries are filled up to it with zeros.
pub(super) const STEP: usize = 32;

/// `query` as 16-bit integers, and zeros behind; returns the scale: `query[i] ≈ scale · out[i]`.
///
/// `Σ |out[i]| · 128 < 2³¹`, so that the sum of products with 8-bit integers does not wrap.
pub(super) fn quantize_query(query: &[f32], out: &mut [i16]) -> f32 {
    out.fill(0);
    let most = query.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    // Values that are not finite give a scale that is not, which the scores show.
    let sum: f64 = query.iter().map(|x| f64::from(x.abs())).sum();
    if most == 0.0 || !sum.is_finite() {
        return if sum.is_finite() { 0.0 } else { f32::NAN };
    }
    // Rounding adds at most half to each.
    let room = (1u64 << 31) as f64 / 128.0 - query.len() as f64;
    let steps = (room * f64::from(most) / sum).min(f64::from(i16::MAX));
    let factor = steps / f64::from(most);
    for (out, x) in out.iter_mut().zip(query) {
        *out = libm::rint(f64::from(*x) * factor) as i16;
    }
    (f64::from(most) / steps) as f32
}

/// `out[r] = Σᵢ rows[r, i] · query[i]`, exactly, for rows of `dim` elements.
///
/// # Panics
/// If `rows` are not `out.len()` rows of `dim`, or `query` is not `dim` filled up to whole [`STEP`]s.
pub(super) fn dots_i8(level: Level, rows: &[i8], dim: usize, query: &[i16], out: &mut [i32]) {
    assert!(rows.len() == out.len() * dim, "{} rows of {dim}", out.len());
    assert!(query.len() == dim.next_multiple_of(STEP), "a query of {} for rows of {dim}", query.len());
    level.dispatch(DotsI8 { rows, dim, query, out });
}

struct DotsI8<'a> {
    rows: &'a [i8],
    dim: usize,
    query: &'a [i16],
    out: &'a mut [i32],
}

impl Vectorize for DotsI8<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (row, out) in self.rows.chunks_exact(self.dim).zip(self.out) {
            let products = |row: *const i8, at: usize| {
                // SAFETY: all calls below have `2 · LANES` bytes at `row`, and the query as many elements from `at`.
                unsafe {
                    s.pair_dot(s.load_i8_pairs(row), s.as_i32(s.load(self.query.as_ptr().add(at).cast())))
                }
            };
            let step = 2 * S::LANES;
            let (mut even, mut odd) = (s.i_splat(0), s.i_splat(0));
            let mut at = 0;
            // Sums with names of their own: by number, they would lie in memory.
            while at + 2 * step <= row.len() {
                let place = row.as_ptr().wrapping_add(at);
                s.prefetch(place.cast::<u8>().wrapping_add(AHEAD));
                even = s.i_add(even, products(place, at));
                odd = s.i_add(odd, products(place.wrapping_add(step), at + step));
                at += 2 * step;
            }
            if at + step <= row.len() {
                even = s.i_add(even, products(row.as_ptr().wrapping_add(at), at));
                at += step;
            }
            let tail = &row[at..];
            if !tail.is_empty() {
                let mut filled = [0; STEP];
                filled[..tail.len()].copy_from_slice(tail);
                odd = s.i_add(odd, products(filled.as_ptr(), at));
            }
            let mut lanes = [0_i32; 16];
            // SAFETY: there is room for 16 lanes.
            unsafe { s.store(lanes.as_mut_ptr().cast(), s.as_f32(s.i_add(even, odd))) };
            *out = lanes[..S::LANES].iter().sum();
        }
    }
}
