//! Packing of queries, keys and values into what the tile kernels read.

use super::tokens::Padded;
use crate::kernels::gemm::CHUNK;
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
            for first in (0..nr).step_by(S::LANES) {
                let mut square: [&[f32]; MAX_LANES] = [&[]; MAX_LANES];
                square[..S::LANES].iter_mut().zip(rows.by_ref()).for_each(|(to, row)| *to = row);
                transpose(s, &square, head_dim, nr, &mut panel[first..]);
            }
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
