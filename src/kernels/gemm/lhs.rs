//! The left-hand side of a product: whatever can pack its rows.

use core::ops::Range;

use super::CHUNK;

/// A matrix `[rows, depth]` that packs blocks of itself on demand; it need not exist in memory.
pub trait Lhs: Sync {
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
        assert_eq!(data.len(), rows * cols, "left-hand side of shape [{rows}, {cols}]");
        Self { data, rows, cols, stride: cols }
    }

    /// Rows `stride` elements apart.
    ///
    /// # Panics
    /// If `data` does not hold them.
    pub fn strided(data: &'a [f32], rows: usize, cols: usize, stride: usize) -> Self {
        assert!(
            stride >= cols && (rows == 0 || data.len() >= (rows - 1) * stride + cols),
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
            let row = &self.data[row * self.stride..][..self.cols];
            let (chunks, tail) = row.as_chunks::<CHUNK>();
            let mut at = r * CHUNK;
            for chunk in chunks {
                out[at..at + CHUNK].copy_from_slice(chunk);
                at += count * CHUNK;
            }
            if !tail.is_empty() {
                out[at..at + tail.len()].copy_from_slice(tail);
            }
        }
    }
}
