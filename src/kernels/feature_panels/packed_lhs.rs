//! The left-hand side of a product with panels.

use core::ops::Range;

use crate::error::Result;
use crate::exec::AlignedVec;
use crate::kernels::gemm::{CHUNK, F32Kernel, Lhs, TileArgs, Tiles};
use crate::kernels::len::len_of;
use crate::simd::Level;

/// `rows` cut into tiles of at most `mr` rows whose heights differ by at most one.
pub(in crate::kernels) fn row_tiles(rows: usize, mr: usize) -> impl Iterator<Item = Range<usize>> {
    let count = rows.div_ceil(mr).max(1);
    let start = move |i: usize| i * (rows / count) + i.min(rows % count);
    (0..count).map(move |i| start(i)..start(i + 1)).filter(|tile| !tile.is_empty())
}

/// How many f32 [`pack_lhs`] writes for a matrix `[rows, depth]`.
pub const fn packed_lhs_len(rows: usize, depth: usize) -> usize {
    rows * depth.next_multiple_of(CHUNK)
}

/// [`packed_lhs_len`] of `count` matrices, unless it overflows. The tile kernels read and write through bare pointers, so that
/// a wrapped length would be unsound.
pub(in crate::kernels) fn checked_packed_lhs_len(count: usize, rows: usize, depth: usize) -> Option<usize> {
    count.checked_mul(rows)?.checked_mul(depth.checked_next_multiple_of(CHUNK)?)
}

/// Packs `matrix: [rows, depth]`, tile by tile, for [`PackedLhs`].
///
/// # Panics
/// If `out` is shorter than [`packed_lhs_len`].
pub fn pack_lhs(level: Level, matrix: &impl Lhs, out: &mut [f32]) {
    pack_lhs_words(level, Tiles::F32(F32Kernel::of(level)), matrix, &mut [], out);
}

/// [`packed_lhs_len`] for `tiles` of either kind.
pub(in crate::kernels) fn lhs_words(tiles: Tiles, rows: usize, depth: usize) -> usize {
    rows * tiles.row_words(depth)
}

/// [`pack_lhs`] for `tiles` of either kind, through a buffer of [`Tiles::plain_len`].
pub(in crate::kernels) fn pack_lhs_words(
    level: Level,
    tiles: Tiles,
    matrix: &impl Lhs,
    plain: &mut [f32],
    out: &mut [f32],
) {
    let words = tiles.row_words(matrix.depth());
    let mut rest = &mut out[..matrix.rows() * words];
    for tile in row_tiles(matrix.rows(), tiles.mr()) {
        let (packed, after) = rest.split_at_mut(tile.len() * words);
        tiles.pack(level, matrix, tile, plain, packed);
        rest = after;
    }
}

/// A packed matrix `[rows, depth]`, borrowed. It may be block-diagonal, see [`grouped`](Self::grouped).
#[derive(Clone, Copy)]
pub struct PackedLhs<'a> {
    rows: usize,
    depth: usize,
    groups: usize,
    /// Those it was packed for, if not for f32.
    tiles: Option<Tiles>,
    data: &'a [f32],
}

impl<'a> PackedLhs<'a> {
    /// What [`pack_lhs`] wrote for a matrix `[rows, depth]`.
    ///
    /// # Panics
    /// If `data` does not have [`packed_lhs_len`] f32.
    pub fn new(rows: usize, depth: usize, data: &'a [f32]) -> Self {
        assert_eq!(
            Some(data.len()),
            checked_packed_lhs_len(1, rows, depth),
            "packed matrix [{rows}, {depth}]"
        );
        Self { rows, depth, groups: 1, tiles: None, data }
    }

    /// What [`pack_lhs_words`] wrote for a matrix `[rows, depth]`.
    ///
    /// # Panics
    /// If `data` does not have [`lhs_words`].
    pub(in crate::kernels) fn of_tiles(tiles: Tiles, rows: usize, depth: usize, data: &'a [f32]) -> Self {
        // No tiles take more words than those of f32.
        let is_length = checked_packed_lhs_len(1, rows, depth).is_some();
        assert!(is_length && data.len() == lhs_words(tiles, rows, depth), "packed matrix [{rows}, {depth}]");
        Self { rows, depth, groups: 1, tiles: Some(tiles), data }
    }

    /// A block-diagonal matrix `[rows, groups · depth]`: `groups` matrices `[rows / groups, depth]`, each packed by
    /// [`pack_lhs`]. Each meets the channels of its group only, as the heads of an attention do.
    ///
    /// # Panics
    /// If `data` does not have [`packed_lhs_len`] f32, or `groups` does not divide the rows.
    pub fn grouped(rows: usize, depth: usize, groups: usize, data: &'a [f32]) -> Self {
        assert!(groups > 0 && rows.is_multiple_of(groups), "{rows} rows in {groups} groups");
        Self { groups, ..Self::new(rows, depth, data) }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Length of a row, which is the number of channels of its group.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// `out[r][p] = Σ_k a[r][k] · panel[k][p]` over the channels of the group of `r`, added to `out` if `accumulate`;
    /// `panel: [groups · depth][nr]`, as the tiles read it; `out: [rows][nr]`.
    pub(in crate::kernels) fn times(&self, level: Level, panel: &[f32], out: &mut [f32], accumulate: bool) {
        let tiles = self.tiles.unwrap_or(Tiles::F32(F32Kernel::of(level)));
        let (words, nr) = (tiles.panel_words(self.depth), tiles.nr());
        assert_eq!(panel.len(), self.groups * words * nr, "panel of {self:?}");
        assert_eq!(out.len(), self.rows * nr, "product of {self:?}");
        let rows = self.rows / self.groups;
        let mut rest = self.data;
        for (panel, out) in panel.chunks_exact(words * nr).zip(out.chunks_exact_mut(rows * nr)) {
            for tile in row_tiles(rows, tiles.mr()) {
                let (a, after) = rest.split_at(lhs_words(tiles, tile.len(), self.depth));
                let args = TileArgs {
                    accumulate,
                    ..TileArgs::product(self.depth, a, panel, &mut out[tile.start * nr..], nr)
                };
                // SAFETY: `a` is a tile that was packed for these tiles; `panel` has its depth in rows of `nr`, and `out` the
                // rows of the tile.
                unsafe { tiles.run(level, tile.len(), args) };
                rest = after;
            }
        }
    }
}

impl core::fmt::Debug for PackedLhs<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "PackedLhs[{}, {}] in {} groups", self.rows, self.depth, self.groups)
    }
}

/// Weights `[rows, depth]`, packed as a left-hand side.
#[derive(Clone)]
pub struct LhsWeights {
    rows: usize,
    depth: usize,
    data: AlignedVec,
}

impl LhsWeights {
    /// Packs `matrix`.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn pack(level: Level, matrix: &impl Lhs) -> Result<Self> {
        let (rows, depth) = (matrix.rows(), matrix.depth());
        let mut data = AlignedVec::try_zeroed(len_of([rows, depth.div_ceil(CHUNK), CHUNK]))?;
        pack_lhs(level, matrix, &mut data);
        Ok(Self { rows, depth, data })
    }

    /// The matrix, borrowed.
    pub fn lhs(&self) -> PackedLhs<'_> {
        PackedLhs::new(self.rows, self.depth, &self.data[..packed_lhs_len(self.rows, self.depth)])
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        size_of_val::<[f32]>(&self.data)
    }
}

impl core::fmt::Debug for LhsWeights {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "LhsWeights[{}, {}]", self.rows, self.depth)
    }
}

/// The transpose of a row-major matrix as a left-hand side: its row `r` is column `r` of `data: [depth, rows]`.
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

/// Packs the channels `tile` of some panels as rows of a left-hand side. A row holds one channel of all their pixels.
pub(in crate::kernels) fn pack_channels<'a>(
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
            let mut out =
                out[pixel / CHUNK * count * CHUNK..].chunks_exact_mut(CHUNK).skip(row).step_by(count);
            let (chunks, part) = values.as_chunks::<CHUNK>();
            for (chunk, out) in chunks.iter().zip(&mut out) {
                out.copy_from_slice(chunk);
            }
            if let Some(out) = out.next().filter(|_| !part.is_empty()) {
                out[pixel % CHUNK..][..part.len()].copy_from_slice(part);
            }
        }
    }
}
