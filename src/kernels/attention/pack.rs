//! Packing of queries, keys and values into what the tile kernels read.

use super::tokens::Padded;
use crate::kernels::gemm::{CHUNK, PAIRS, bf16_pairs};
use crate::simd::{Simd, Vectorize};

/// Writes `rows`, times `scale`, as a left-hand side: `[head_dim / CHUNK][rows][CHUNK]`.
pub(super) struct Queries<'a, R> {
    pub(super) rows: R,
    pub(super) scale: f32,
    pub(super) out: &'a mut [f32],
}

impl<'a, R: ExactSizeIterator<Item = &'a [f32]>> Vectorize for Queries<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { rows, scale, out } = self;
        let count = rows.len();
        for (r, row) in rows.enumerate() {
            let (chunks, rest) = row.as_chunks::<CHUNK>();
            for (c, chunk) in chunks.iter().enumerate() {
                let to = out[(c * count + r) * CHUNK..].first_chunk_mut().expect("room for the rows");
                *to = chunk.map(|x| x * scale);
            }
            if !rest.is_empty() {
                let to = &mut out[(chunks.len() * count + r) * CHUNK..][..rest.len()];
                to.iter_mut().zip(rest).for_each(|(to, from)| *to = from * scale);
            }
        }
    }
}

/// Writes `rows`, times `scale`, as a left-hand side of pairs: `[head_dim / 32][rows][16][2]`, filled up with zeros.
pub(super) struct QueryPairs<'a, R> {
    pub(super) rows: R,
    pub(super) scale: f32,
    pub(super) out: &'a mut [f32],
}

impl<'a, R: ExactSizeIterator<Item = &'a [f32]>> Vectorize for QueryPairs<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { rows, scale, out } = self;
        let (count, scale) = (rows.len(), s.splat(scale));
        for (r, row) in rows.enumerate() {
            for (c, numbers) in row.chunks(PAIRS).enumerate() {
                let to = &mut out[(c * count + r) * CHUNK..][..CHUNK];
                let mut whole = [0.0; PAIRS];
                whole[..numbers.len()].copy_from_slice(numbers);
                for at in (0..CHUNK).step_by(S::LANES) {
                    // SAFETY: `LANES`, which divides `CHUNK`, numbers lie in each half from `at` on, and in `to`.
                    unsafe {
                        let first = s.mul(s.load(whole.as_ptr().add(at)), scale);
                        let second = s.mul(s.load(whole.as_ptr().add(CHUNK + at)), scale);
                        s.store(to.as_mut_ptr().add(at), bf16_pairs(s, first, second));
                    }
                }
            }
        }
    }
}

/// Writes the values as panels of pairs, `[head_dim / nr][keys / 32][16][nr][2]`, filled up with zeros.
pub(super) struct ValuePairs<'a> {
    pub(super) values: Padded<'a>,
    pub(super) nr: usize,
    pub(super) out: &'a mut [f32],
}

impl Vectorize for ValuePairs<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { values, nr, out } = self;
        let head_dim = values.tokens.head_dim;
        let keys = values.grid[0] * values.grid[1];
        let panel = keys.next_multiple_of(PAIRS) / 2 * nr;
        let mut rows = values.iter();
        for chunk in 0..keys.div_ceil(PAIRS) {
            let mut tokens: [&[f32]; PAIRS] = [&[]; PAIRS];
            tokens.iter_mut().zip(rows.by_ref()).for_each(|(to, row)| *to = row);
            for pair in 0..CHUNK {
                let (first, second) = (tokens[pair], tokens[pair + CHUNK]);
                for from in (0..head_dim.next_multiple_of(nr)).step_by(S::LANES) {
                    let at = from / nr * panel + (chunk * CHUNK + pair) * nr + from % nr;
                    let to = &mut out[at..][..S::LANES];
                    let pairs = bf16_pairs(s, load(s, first, from), load(s, second, from));
                    // SAFETY: `to` has `LANES` elements.
                    unsafe { s.store(to.as_mut_ptr(), pairs) };
                }
            }
        }
    }
}

/// `LANES` elements of `row` from `from` on; beyond its end zeros.
#[inline(always)]
fn load<S: Simd>(s: S, row: &[f32], from: usize) -> S::F {
    let row = row.get(from..).unwrap_or_default();
    // SAFETY: as many elements are read as there are, at most.
    unsafe {
        match row.len() {
            0 => s.splat(0.0),
            n if n < S::LANES => s.load_n(row.as_ptr(), n),
            _ => s.load(row.as_ptr()),
        }
    }
}

/// Writes the keys as panels of pairs, `[keys / nr][head_dim / 32][16][nr][2]`, filled up with zeros.
pub(super) struct KeyPairs<'a> {
    pub(super) keys: Padded<'a>,
    pub(super) nr: usize,
    /// Room for a panel of f32 whose depth is a multiple of 32.
    pub(super) panel: &'a mut [f32],
    pub(super) out: &'a mut [f32],
}

impl Vectorize for KeyPairs<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { keys, nr, panel, out } = self;
        let head_dim = keys.tokens.head_dim;
        let words = head_dim.next_multiple_of(PAIRS) / 2;
        let panel = &mut panel[..2 * words * nr];
        panel[head_dim * nr..].fill(0.0);
        let mut rows = keys.iter();
        for out in out.chunks_exact_mut(nr * words).take((keys.grid[0] * keys.grid[1]).div_ceil(nr)) {
            transpose_panel(s, &mut rows, head_dim, nr, panel);
            for (from, to) in panel.chunks_exact(PAIRS * nr).zip(out.chunks_exact_mut(CHUNK * nr)) {
                let (first, second) = from.split_at(CHUNK * nr);
                for at in (0..CHUNK * nr).step_by(S::LANES) {
                    // SAFETY: `LANES` divides `nr`, so that as many elements lie in all three from `at` on.
                    unsafe {
                        let pairs =
                            bf16_pairs(s, s.load(first.as_ptr().add(at)), s.load(second.as_ptr().add(at)));
                        s.store(to.as_mut_ptr().add(at), pairs);
                    }
                }
            }
        }
    }
}

/// Writes the next `nr` rows as a panel `[len][nr]`; those that are not there count as zeros.
#[inline(always)]
fn transpose_panel<'a, S: Simd>(
    s: S,
    rows: &mut impl Iterator<Item = &'a [f32]>,
    len: usize,
    nr: usize,
    panel: &mut [f32],
) {
    for first in (0..nr).step_by(S::LANES) {
        let mut square: [&[f32]; MAX_LANES] = [&[]; MAX_LANES];
        square[..S::LANES].iter_mut().zip(rows.by_ref()).for_each(|(to, row)| *to = row);
        transpose(s, &square, len, nr, &mut panel[first..]);
    }
}

/// Writes the values as panels `[head_dim / nr][keys][nr]`, features beyond the last 0.
pub(super) fn values(v: &Padded<'_>, nr: usize, out: &mut [f32]) {
    let head_dim = v.tokens.head_dim;
    let keys = v.grid[0] * v.grid[1];
    for (index, panel) in out.chunks_exact_mut(nr * keys).take(head_dim.div_ceil(nr)).enumerate() {
        let columns = index * nr..((index + 1) * nr).min(head_dim);
        for (to, row) in panel.chunks_exact_mut(nr).zip(v.iter()) {
            let (present, absent) = to.split_at_mut(columns.len());
            present.copy_from_slice(&row[columns.clone()]);
            absent.fill(0.0);
        }
    }
}

/// Writes the keys as panels `[keys / nr][head_dim][nr]`, keys beyond the last 0.
pub(super) struct Keys<'a> {
    pub(super) keys: Padded<'a>,
    pub(super) nr: usize,
    pub(super) out: &'a mut [f32],
}

impl Vectorize for Keys<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { keys, nr, out } = self;
        let head_dim = keys.tokens.head_dim;
        let count = keys.grid[0] * keys.grid[1];
        let mut rows = keys.iter();
        for panel in out.chunks_exact_mut(nr * head_dim).take(count.div_ceil(nr)) {
            transpose_panel(s, &mut rows, head_dim, nr, panel);
        }
    }
}

/// Most lanes of any level.
const MAX_LANES: usize = 16;

/// `out[d · step + r] = rows[r][d]` for `LANES` rows of `len` elements; an empty row counts as zeros.
#[inline(always)]
fn transpose<S: Simd>(s: S, rows: &[&[f32]; MAX_LANES], len: usize, step: usize, out: &mut [f32]) {
    assert!(rows[..S::LANES].iter().all(|row| row.is_empty() || row.len() == len));
    assert!(len == 0 || (len - 1) * step + S::LANES <= out.len());
    for d in (0..len).step_by(S::LANES) {
        let columns = S::LANES.min(len - d);
        let mut square = [s.splat(0.0); MAX_LANES];
        for (to, row) in square[..S::LANES].iter_mut().zip(rows) {
            if !row.is_empty() {
                let from = row[d..].as_ptr();
                // SAFETY: `columns` elements of the row are left.
                *to = unsafe { if columns == S::LANES { s.load(from) } else { s.load_n(from, columns) } };
            }
        }
        // Zipping the halves doubles the runs that are in order; the last time they are whole columns.
        let mut run = 1;
        while run < S::LANES {
            let from = square;
            for i in 0..S::LANES / 2 {
                (square[2 * i], square[2 * i + 1]) = s.zip(from[i], from[i + S::LANES / 2]);
            }
            run *= 2;
        }
        for (i, &column) in square[..columns].iter().enumerate() {
            // SAFETY: by the assertion, `LANES` elements from `(d + i) · step` on lie in `out`.
            unsafe { s.store(out.as_mut_ptr().add((d + i) * step), column) };
        }
    }
}
