//! How a product is cut, so that what a tile kernel reads again lies in a near cache.

use core::ops::Range;

use super::kernel::{CHUNK, WeightKernel};
use crate::kernels::len::len_of;
use crate::kernels::rows::part;
use crate::simd::Caches;

/// Rows in tiles, and tiles in blocks that take half of the second-level cache. The depth in blocks whose weights take an
/// eighth of it, so that they stay while all tiles of a block meet them, with the next ones beside them.
#[derive(Clone, Copy)]
pub(super) struct Blocking {
    m: usize,
    k: usize,
    /// Tiles of almost equal height, so that none is left with one row.
    tiles: usize,
    /// Blocks whose numbers of tiles differ by at most one.
    blocks: usize,
    /// Whole chunks and units; the last block may be shorter.
    k_block: usize,
    kernel: &'static WeightKernel,
}

impl Blocking {
    /// `parts` divides the number of blocks, if there are tiles enough.
    pub(super) fn new(
        caches: &Caches,
        m: usize,
        k: usize,
        kernel: &'static WeightKernel,
        parts: usize,
    ) -> Self {
        let tiles = m.div_ceil(kernel.mr);
        let blocks = tiles.div_ceil(Self::most_tiles(caches, k, kernel)).next_multiple_of(parts).min(tiles);
        let k_bytes = match kernel.decode {
            Some(_) => kernel.nr * size_of::<f32>(),
            None => kernel.unit_bytes.div_ceil(kernel.k_unit),
        };
        let most = caches.l2 / 8 / k_bytes;
        let step = kernel.lhs_chunk().max(kernel.k_unit);
        let k_block = k.div_ceil(k.div_ceil(most.max(CHUNK))).next_multiple_of(step);
        Self { m, k, tiles, blocks, k_block, kernel }
    }

    /// Most tiles of a block.
    fn most_tiles(caches: &Caches, k: usize, kernel: &WeightKernel) -> usize {
        (caches.l2 / 2 / size_of::<f32>() / (kernel.mr * row_len(k, kernel))).max(1)
    }

    /// The blocking that takes the most scratch among those of at most `m` rows: its rows are one block.
    pub(super) fn largest(caches: &Caches, m: usize, k: usize, kernel: &'static WeightKernel) -> Self {
        let rows = Self::most_tiles(caches, k, kernel) * kernel.mr;
        Self::new(caches, m.min(rows), k, kernel, 1)
    }

    /// Lengths of the buffers of a lane, in f32: the packed rows of a block; the rows of a tile before they are converted;
    /// decoded weights, a panel and a block of the depth; the sums of a block and a panel, which wait for the next block of the
    /// depth.
    pub(super) fn buffers(&self) -> [usize; 4] {
        let kernel = self.kernel;
        let rows = if kernel.convert.is_some() { kernel.mr * self.k.next_multiple_of(CHUNK) } else { 0 };
        let weights = if kernel.decode.is_some() { self.k_block.min(self.k) * kernel.nr } else { 0 };
        let sums =
            if self.k_blocks() > 1 { len_of([self.most_tiles_of_block(), kernel.mr, kernel.nr]) } else { 0 };
        [len_of([self.most_tiles_of_block(), self.tile_len()]), rows, weights, sums]
    }

    /// Blocks of rows.
    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    /// The tiles of block `index`.
    pub(super) fn block(&self, index: usize) -> Range<usize> {
        part(self.tiles, self.blocks, index)
    }

    fn most_tiles_of_block(&self) -> usize {
        self.tiles.div_ceil(self.blocks)
    }

    /// The rows of tile `index`.
    pub(super) fn tile(&self, index: usize) -> Range<usize> {
        part(self.m, self.tiles, index)
    }

    /// Length of a packed tile of most rows, in f32: all tiles are so far apart.
    pub(super) fn tile_len(&self) -> usize {
        let rows = self.m.div_ceil(self.tiles);
        len_of([rows, row_len(self.k, self.kernel)]) + (rows * self.kernel.row_values).next_multiple_of(CHUNK)
    }

    /// Length of the elements of a packed tile of so many rows, in f32; the values of its rows follow.
    pub(super) fn elements_len(&self, rows: usize) -> usize {
        rows * row_len(self.k, self.kernel)
    }

    pub(super) fn k_blocks(&self) -> usize {
        self.k.div_ceil(self.k_block)
    }

    /// The elements of the sums that block `index` of the depth adds.
    pub(super) fn k_range(&self, index: usize) -> Range<usize> {
        index * self.k_block..((index + 1) * self.k_block).min(self.k)
    }
}

/// Length of a packed row, in f32.
fn row_len(k: usize, kernel: &WeightKernel) -> usize {
    k.next_multiple_of(kernel.lhs_chunk()) * kernel.lhs_bytes / size_of::<f32>()
}
