//! Packing of queries, keys and values into what the tile kernels read.

use super::tokens::Padded;
use crate::kernels::gemm::{CHUNK, MAX_NR};
use crate::simd::{Simd, Vectorize};

/// Writes `rows`, times `scale`, as a left-hand side: `[head_dim / CHUNK][rows][CHUNK]`.
pub(super) fn queries<'a>(rows: impl ExactSizeIterator<Item = &'a [f32]>, scale: f32, out: &mut [f32]) {
    let count = rows.len();
    for (r, row) in rows.enumerate() {
        for (c, chunk) in row.chunks(CHUNK).enumerate() {
            let to = &mut out[(c * count + r) * CHUNK..][..chunk.len()];
            to.iter_mut().zip(chunk).for_each(|(to, from)| *to = from * scale);
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
    fn run<S: Simd>(self, _: S) {
        let Self { keys, nr, out } = self;
        let head_dim = keys.tokens.head_dim;
        let mut rest = keys.iter();
        for panel in out.chunks_exact_mut(nr * head_dim) {
            let mut rows: [&[f32]; MAX_NR] = [&[]; MAX_NR];
            let mut count = 0;
            for (to, row) in rows[..nr].iter_mut().zip(rest.by_ref()) {
                *to = row;
                count += 1;
            }
            if count == 0 {
                break; // what `padded` added
            }
            transpose(&rows[..count], nr, panel);
        }
    }
}

/// Side of the squares that are transposed in registers.
const SQUARE: usize = 8;

/// `panel[d][r] = rows[r][d]`, and 0 for `rows.len() <= r < nr`.
#[inline(always)]
fn transpose(rows: &[&[f32]], nr: usize, panel: &mut [f32]) {
    for (first, group) in (0..).step_by(SQUARE).zip(rows.chunks(SQUARE)) {
        let whole = match <&[&[f32]; SQUARE]>::try_from(group) {
            Ok(group) => squares(group, nr, &mut panel[first..]),
            Err(_) => 0,
        };
        for (r, row) in group.iter().enumerate() {
            for (d, &from) in row.iter().enumerate().skip(whole) {
                panel[d * nr + first + r] = from;
            }
        }
    }
    for column in panel.chunks_exact_mut(nr) {
        column[rows.len()..].fill(0.0);
    }
}

/// [`transpose`] for `SQUARE` rows, as far as they are whole squares; returns the number of their columns.
#[inline(always)]
fn squares(rows: &[&[f32]; SQUARE], nr: usize, panel: &mut [f32]) -> usize {
    let whole = rows[0].len() / SQUARE * SQUARE;
    for d in (0..whole).step_by(SQUARE) {
        let mut square = [[0.0; SQUARE]; SQUARE];
        for (r, row) in rows.iter().enumerate() {
            let row: &[f32; SQUARE] = row[d..].first_chunk().expect("a whole square");
            for (to, &from) in square.iter_mut().zip(row) {
                to[r] = from;
            }
        }
        for (i, line) in square.iter().enumerate() {
            panel[(d + i) * nr..][..SQUARE].copy_from_slice(line);
        }
    }
    whole
}
