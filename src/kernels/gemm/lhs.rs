//! The left-hand side of a product: whatever can pack its rows.

use core::ops::Range;

use super::CHUNK;
use crate::kernels::len::len_of;

/// A matrix `[rows, depth]` that packs blocks of itself on demand; it need not exist in memory.
pub trait Lhs: Sync {
    /// Whether an element that is packed is a word of two bfloat16: see `paired`.
    #[doc(hidden)]
    const IS_PAIRED: bool = false;

    /// `M`.
    fn rows(&self) -> usize;

    /// `K`.
    fn depth(&self) -> usize;

    /// Writes `rows` as `[depth / 16][rows][16]`: element `(r, k)` goes to
    /// `out[(k / 16 * rows.len() + r - rows.start) * 16 + k % 16]`. Elements with `k >= depth` need not be written.
    fn pack(&self, rows: Range<usize>, out: &mut [f32]);
}

/// Rows in memory, `stride` elements apart.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    stride: usize,
}

impl<'a> Rows<'a> {
    /// Tightly packed rows `[rows, cols]`.
    ///
    /// # Panics
    /// If `data` is not `rows * cols` long.
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), len_of([rows, cols]), "left-hand side of shape [{rows}, {cols}]");
        Self { data, rows, cols, stride: cols }
    }

    /// Rows `stride` elements apart.
    ///
    /// # Panics
    /// If `data` does not hold them.
    pub fn strided(data: &'a [f32], rows: usize, cols: usize, stride: usize) -> Self {
        assert!(
            stride >= cols && (rows == 0 || data.len().checked_sub(cols) >= Some(len_of([rows - 1, stride]))),
            "rows outside data"
        );
        Self { data, rows, cols, stride }
    }
}

impl Lhs for Rows<'_> {
    fn rows(&self) -> usize {
        self.rows
    }

    fn depth(&self) -> usize {
        self.cols
    }

    fn pack(&self, rows: Range<usize>, out: &mut [f32]) {
        let count = rows.len();
        for (r, row) in rows.enumerate() {
            RowWriter::new(out, count, r).copy(&self.data[row * self.stride..][..self.cols]);
        }
    }
}

/// Writes one row of a packed block, from its first element to its last.
pub struct RowWriter<'a> {
    out: &'a mut [f32],
    /// Where the current chunk of the row starts.
    chunk: usize,
    /// Elements of the current chunk already written.
    filled: usize,
    /// From a chunk of the row to the next.
    step: usize,
}

impl<'a> RowWriter<'a> {
    /// For row `index` of the `count` rows that are packed into `out`.
    #[inline]
    pub fn new(out: &'a mut [f32], count: usize, index: usize) -> Self {
        Self { out, chunk: index * CHUNK, filled: 0, step: count * CHUNK }
    }

    /// Appends `run`.
    ///
    /// # Panics
    /// If the row has no room for it.
    #[inline]
    pub fn copy(&mut self, mut run: &[f32]) {
        if self.filled > 0 {
            let (start, rest) = run.split_at(run.len().min(CHUNK - self.filled));
            copy_short(self.part(start.len()), start);
            run = rest;
        }
        let (chunks, end) = run.as_chunks::<CHUNK>();
        for chunk in chunks {
            self.part(CHUNK).copy_from_slice(chunk);
        }
        if !end.is_empty() {
            copy_short(self.part(end.len()), end);
        }
    }

    /// Appends `count` zeros.
    ///
    /// # Panics
    /// If the row has no room for them.
    #[inline]
    pub fn zeros(&mut self, mut count: usize) {
        while count > 0 {
            let now = count.min(CHUNK - self.filled);
            self.part(now).fill(0.0);
            count -= now;
        }
    }

    /// The next `len` elements, all in one chunk.
    #[inline(always)]
    fn part(&mut self, len: usize) -> &mut [f32] {
        let start = self.chunk + self.filled;
        self.filled += len;
        if self.filled == CHUNK {
            self.filled = 0;
            self.chunk += self.step;
        }
        &mut self.out[start..start + len]
    }
}

/// Copies fewer than [`CHUNK`] elements without calling `memcpy`, which takes longer than the copy: two halves that
/// may overlap.
#[inline(always)]
fn copy_short(to: &mut [f32], from: &[f32]) {
    #[inline(always)]
    fn halves<const N: usize>(to: &mut [f32], from: &[f32]) -> bool {
        let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) else {
            return false;
        };
        let end = to.len() - N;
        to[..N].copy_from_slice(first);
        to[end..].copy_from_slice(last);
        true
    }
    debug_assert!(to.len() == from.len() && from.len() < CHUNK);
    let _ = halves::<8>(to, from) || halves::<4>(to, from) || halves::<2>(to, from) || halves::<1>(to, from);
}
