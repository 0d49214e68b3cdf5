//! The left-hand side of products with panels.

use core::ops::Range;

use crate::exec::AlignedVec;
use crate::kernels::gemm::{CHUNK, GemmKernel, Lhs, MAX_NR, TileArgs};
use crate::simd::Level;

/// Start values of the tile kernels.
static ZEROS: [f32; MAX_NR] = [0.0; MAX_NR];

/// `rows` cut into tiles of at most `mr` rows whose heights differ by at most one.
pub(super) fn tiles(rows: usize, mr: usize) -> impl Iterator<Item = Range<usize>> {
    let count = rows.div_ceil(mr).max(1);
    let start = move |i: usize| i * (rows / count) + i.min(rows % count);
    (0..count).map(move |i| start(i)..start(i + 1)).filter(|tile| !tile.is_empty())
}

/// How many f32 [`pack_left`] writes for a matrix `[rows, depth]`.
pub const fn left_len(rows: usize, depth: usize) -> usize {
    rows * depth.next_multiple_of(CHUNK)
}

/// Packs `matrix: [rows, depth]`, tile by tile, for [`Left`].
///
/// # Panics
/// If `out` is shorter than [`left_len`].
pub fn pack_left(level: Level, matrix: &impl Lhs, out: &mut [f32]) {
    let mut rest = &mut out[..left_len(matrix.rows(), matrix.depth())];
    for tile in tiles(matrix.rows(), GemmKernel::f32(level).mr) {
        let (packed, after) = rest.split_at_mut(left_len(tile.len(), matrix.depth()));
        matrix.pack(tile, packed);
        rest = after;
    }
}

/// A packed matrix `[rows, depth]`, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Left<'a> {
    rows: usize,
    depth: usize,
    data: &'a [f32],
}

impl<'a> Left<'a> {
    /// What [`pack_left`] wrote for a matrix `[rows, depth]`.
    ///
    /// # Panics
    /// If `data` does not have [`left_len`] f32.
    pub fn new(rows: usize, depth: usize, data: &'a [f32]) -> Self {
        assert_eq!(data.len(), left_len(rows, depth), "packed matrix [{rows}, {depth}]");
        Self { rows, depth, data }
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Length of a row.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// `out[r][p] = Σ_k a[r][k] · panel[k][p]`, added to `out` if `accumulate`; `panel: [depth][nr]`, `out: [rows][nr]`.
    pub(super) fn times(&self, level: Level, panel: &[f32], out: &mut [f32], accumulate: bool) {
        let kernel = GemmKernel::f32(level);
        assert!(panel.len() >= self.depth * kernel.nr, "panel of depth {}", self.depth);
        assert!(out.len() >= self.rows * kernel.nr, "product of {} rows", self.rows);
        let mut rest = self.data;
        for tile in tiles(self.rows, kernel.mr) {
            let (a, after) = rest.split_at(left_len(tile.len(), self.depth));
            let args = TileArgs {
                k: self.depth,
                a: a.as_ptr(),
                b: panel.as_ptr(),
                init: ZEROS.as_ptr(),
                c: out[tile.start * kernel.nr..].as_mut_ptr(),
                ldc: kernel.nr,
                accumulate,
            };
            // SAFETY: `a` is a tile packed by `pack_left`; `panel` has `depth` rows and `out` the tile's rows of `nr`.
            unsafe { kernel.run(level, tile.len(), args) };
            rest = after;
        }
    }
}

/// A packed matrix `[rows, depth]`, owned: weights.
#[derive(Clone)]
pub struct PackedLeft {
    rows: usize,
    depth: usize,
    data: AlignedVec,
}

impl PackedLeft {
    /// Packs `matrix`.
    pub fn pack(level: Level, matrix: &impl Lhs) -> Self {
        let (rows, depth) = (matrix.rows(), matrix.depth());
        let mut data = AlignedVec::zeroed(left_len(rows, depth));
        pack_left(level, matrix, &mut data);
        Self { rows, depth, data }
    }

    /// The matrix, borrowed.
    pub fn left(&self) -> Left<'_> {
        Left::new(self.rows, self.depth, &self.data[..left_len(self.rows, self.depth)])
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        size_of_val::<[f32]>(&self.data)
    }
}

impl core::fmt::Debug for PackedLeft {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "PackedLeft[{}, {}]", self.rows, self.depth)
    }
}

/// The transpose of a row-major matrix as a left-hand side: row `r` is column `r` of `data: [depth, rows]`.
#[derive(Clone, Copy, Debug)]
pub struct Transposed<'a> {
    data: &'a [f32],
    rows: usize,
}

impl<'a> Transposed<'a> {
    /// The transpose of `data: [depth, rows]`.
    ///
    /// # Panics
    /// If `data` is not whole rows.
    pub fn new(data: &'a [f32], rows: usize) -> Self {
        assert!(rows > 0 && data.len().is_multiple_of(rows), "{} elements in rows of {rows}", data.len());
        Self { data, rows }
    }
}

impl Lhs for Transposed<'_> {
    fn rows(&self) -> usize {
        self.rows
    }

    fn depth(&self) -> usize {
        self.data.len() / self.rows
    }

    fn pack(&self, rows: Range<usize>, out: &mut [f32]) {
        let count = rows.len();
        for (k, line) in self.data.chunks_exact(self.rows).enumerate() {
            let chunk = &mut out[k / CHUNK * count * CHUNK + k % CHUNK..];
            chunk.iter_mut().step_by(CHUNK).zip(&line[rows.clone()]).for_each(|(to, from)| *to = *from);
        }
    }
}

/// Packs the channels `tile` of features in panels as rows over the pixels of `panels`, one after the other.
pub(super) fn pack_channels<'a>(
    panels: impl Iterator<Item = &'a [f32]>,
    nr: usize,
    tile: Range<usize>,
    out: &mut [f32],
) {
    // A panel is `nr` pixels of every row: `nr` divides `CHUNK` or is a multiple of it.
    let count = tile.len();
    for (index, panel) in panels.enumerate() {
        let pixel = index * nr;
        for (row, values) in panel[tile.start * nr..tile.end * nr].chunks_exact(nr).enumerate() {
            for (i, part) in values.chunks(CHUNK).enumerate() {
                let at = ((pixel / CHUNK + i) * count + row) * CHUNK + pixel % CHUNK;
                out[at..at + part.len()].copy_from_slice(part);
            }
        }
    }
}
