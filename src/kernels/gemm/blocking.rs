//! How a product is cut, so that what a tile kernel reads again lies in a near cache.

use core::ops::Range;

use super::kernel::{CHUNK, LINE, WeightKernel};
use crate::simd::Caches;

/// Rows in tiles, and tiles in blocks that take half of the second-level cache. The depth in blocks whose weights take an
/// eighth of it, so that they stay while all tiles of a block meet them, with the next ones beside them.
#[derive(Clone, Copy)]
pub(super) struct Blocking {
    m: usize,
    k: usize,
    /// Tiles of almost equal height, so that none is left with one row.
    tiles: usize,
    tiles_per_block: usize,
    /// Whole chunks; the last block may be shorter.
    k_block: usize,
    mr: usize,
    nr: usize,
}

impl Blocking {
    pub(super) fn new(caches: &Caches, m: usize, k: usize, kernel: &WeightKernel) -> Self {
        let tiles = m.div_ceil(kernel.mr);
        // Blocks of almost equal size, too.
        let tiles_per_block = tiles.div_ceil(tiles.div_ceil(Self::most_tiles(caches, k, kernel)));
        let most = caches.l2 / 8 / (kernel.nr * kernel.weight_bytes);
        let k_block = k.div_ceil(k.div_ceil(most.max(CHUNK))).next_multiple_of(LINE / kernel.lhs_bytes);
        Self { m, k, tiles, tiles_per_block, k_block, mr: kernel.mr, nr: kernel.nr }
    }

    /// Most tiles of a block.
    fn most_tiles(caches: &Caches, k: usize, kernel: &WeightKernel) -> usize {
        (caches.l2 / 2 / size_of::<f32>() / (kernel.mr * k.next_multiple_of(CHUNK))).max(1)
    }

    /// The blocking that takes the most scratch among those of at most `m` rows: its rows are one block.
    pub(super) fn largest(caches: &Caches, m: usize, k: usize, kernel: &WeightKernel) -> Self {
        let rows = Self::most_tiles(caches, k, kernel) * kernel.mr;
        Self::new(caches, m.min(rows), k, kernel)
    }

    /// Lengths of the packed rows of a block, and of the sums of a block and a panel, which wait for the next block of the
    /// depth; in f32.
    pub(super) fn buffers(&self) -> [usize; 2] {
        let rows = self.tiles_per_block * self.mr;
        let sums = if self.k_blocks() > 1 { rows * self.nr } else { 0 };
        [rows * self.k.next_multiple_of(CHUNK), sums]
    }

    /// Blocks of rows.
    pub(super) fn blocks(&self) -> usize {
        self.tiles.div_ceil(self.tiles_per_block)
    }

    /// The tiles of block `index`.
    pub(super) fn block(&self, index: usize) -> Range<usize> {
        let start = index * self.tiles_per_block;
        start..(start + self.tiles_per_block).min(self.tiles)
    }

    /// The rows of tile `index`: the first `m % tiles` tiles have one row more than the others.
    pub(super) fn tile(&self, index: usize) -> Range<usize> {
        let start = |i: usize| i * (self.m / self.tiles) + i.min(self.m % self.tiles);
        start(index)..start(index + 1)
    }

    /// Length of the packed rows of `tiles`, in f32.
    pub(super) fn packed_len(&self, tiles: Range<usize>) -> usize {
        let (start, end) = (self.tile(tiles.start).start, self.tile(tiles.end).start);
        (end - start) * self.k.next_multiple_of(CHUNK)
    }

    pub(super) fn k_blocks(&self) -> usize {
        self.k.div_ceil(self.k_block)
    }

    /// The elements of the sums that block `index` of the depth adds.
    pub(super) fn k_range(&self, index: usize) -> Range<usize> {
        index * self.k_block..((index + 1) * self.k_block).min(self.k)
    }
}
