//! The memories of one object, packed as the keys and values of an attention.

use core::ops::Range;

use super::score::{MAX_GROUP, groups};
use crate::exec::{Cx, Scratch, ScratchReq, SharedMut, Work};
use crate::kernels::feature_panels::{PackedLhs, lhs_words, pack_lhs_words};
use crate::kernels::gemm::{CHUNK, F32Kernel, Lhs, Tiles, pair, pairs};
use crate::kernels::len::len_of;
use crate::simd::Level;

/// Most columns of the grid in a block: the absorbed queries of these and of all rows stay in the L2 cache.
const COLUMNS: usize = 16;
/// About how many keys a block has: their weights stay in the L1 cache.
const KEYS: usize = 256;

/// A memory of a frame, one vector for every place of the grid.
#[derive(Clone, Copy, Debug)]
pub struct SpatialMemory<'a> {
    /// bfloat16, `[rows · columns, features]`.
    pub features: &'a [u16],
    /// Its position in time, `[features]`.
    pub time: &'a [f32],
}

/// A token of an object pointer: a memory without a place.
#[derive(Clone, Copy, Debug)]
pub struct PointerToken<'a> {
    /// `[features]`
    pub features: &'a [f32],
    /// Its position in time, `[features]`.
    pub time: &'a [f32],
}

/// The sizes of an object's memories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryShape {
    /// `[rows, columns]` of a frame.
    pub grid: [usize; 2],
    /// Features of a memory.
    pub features: usize,
    /// Memories of frames.
    pub spatial: usize,
    /// Tokens of object pointers.
    pub pointers: usize,
    /// Whether queries, keys, values and weights may be rounded to bfloat16, where the CPU multiplies it; sums stay f32.
    pub bf16: bool,
}

/// A rectangle of places, or some pointers, and where their memories are packed.
pub(super) struct Block {
    pub(super) columns: Range<usize>,
    pub(super) rows: Range<usize>,
    /// Memories of a place.
    pub(super) per_place: usize,
    /// The first pointer of a block of pointers.
    pointer: Option<usize>,
    /// Keys in the blocks before it.
    keys: usize,
}

impl Block {
    /// Number of keys.
    pub(super) fn len(&self) -> usize {
        self.columns.len() * self.rows.len() * self.per_place
    }
}

/// How memories are cut into blocks: rectangles of the grid, column by column from left to right, then pointers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocks {
    shape: MemoryShape,
    /// Columns and rows of a block.
    size: [usize; 2],
    /// Pointers of a block.
    pointers: usize,
}

impl Blocks {
    fn new(shape: MemoryShape) -> Self {
        let [rows, columns] = shape.grid;
        let memories = shape.spatial.max(1);
        let width = (KEYS / memories).clamp(1, COLUMNS.min(columns));
        let height = (KEYS / (memories * width)).clamp(1, rows);
        Self { shape, size: [width, height], pointers: KEYS.min(shape.pointers) }
    }

    /// Blocks across and down the grid.
    fn across(&self) -> [usize; 2] {
        let [rows, columns] = self.shape.grid;
        if self.shape.spatial == 0 {
            [0; 2]
        } else {
            [columns.div_ceil(self.size[0]), rows.div_ceil(self.size[1])]
        }
    }

    pub(super) fn count(&self) -> usize {
        let [across, down] = self.across();
        across * down + self.shape.pointers.div_ceil(self.pointers.max(1))
    }

    /// Most keys of a block.
    pub(super) fn most_keys(&self) -> usize {
        let [width, height] = self.size;
        len_of([width, height, self.shape.spatial]).max(self.pointers)
    }

    pub(super) fn block(&self, index: usize) -> Block {
        let MemoryShape { grid: [rows, columns], spatial, pointers, .. } = self.shape;
        let [width, height] = self.size;
        let [across, down] = self.across();
        if index < across * down {
            let [x, y] = [index / down * width, index % down * height];
            let columns = x..(x + width).min(columns);
            let rows_here = y..(y + height).min(rows);
            let places = x * rows + columns.len() * y;
            return Block {
                columns,
                rows: rows_here,
                per_place: spatial,
                pointer: None,
                keys: places * spatial,
            };
        }
        let first = (index - across * down) * self.pointers;
        let per_place = self.pointers.min(pointers - first);
        let keys = rows * columns * spatial + first;
        Block { columns: 0..1, rows: 0..1, per_place, pointer: Some(first), keys }
    }
}

impl MemoryShape {
    /// Number of keys: the memories of all places, and pointers.
    pub fn len(&self) -> usize {
        let places = len_of([self.grid[0], self.grid[1], self.spatial]);
        places.checked_add(self.pointers).expect("a length that memory holds")
    }

    /// Whether there are no memories.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What [`PackedMemories::pack`] takes from its scratch.
    pub fn pack_scratch_req(&self, cx: &Cx) -> ScratchReq {
        let tiles = Tiles::of(cx, self.bf16);
        ScratchReq::slices(self.buffers(tiles)).and(self.plain_req(tiles).per_lane(cx))
    }

    fn plain_req(&self, tiles: Tiles) -> ScratchReq {
        ScratchReq::slice(tiles.plain_len(self.blocks().most_keys()))
    }

    pub(super) fn blocks(&self) -> Blocks {
        Blocks::new(*self)
    }

    /// Lengths of packed keys and values, in words.
    fn buffers(&self, tiles: Tiles) -> [usize; 2] {
        let blocks = self.blocks();
        let values = len_of([self.features, tiles.row_words(blocks.most_keys())]);
        [len_of([self.len(), self.key_words(tiles)]), len_of([blocks.count(), values])]
    }

    /// Words of a key.
    fn key_words(&self, tiles: Tiles) -> usize {
        if tiles.are_bf16() { pairs(self.features) } else { self.features }
    }
}

/// The memories of one object, packed in blocks.
#[derive(Debug)]
pub struct PackedMemories<'a> {
    pub(super) blocks: Blocks,
    pub(super) tiles: Tiles,
    keys: &'a [f32],
    values: &'a [f32],
}

impl<'a> PackedMemories<'a> {
    /// Packs `spatial(0)`, … and `pointer(0)`, …: a key is a memory plus its position in time and, if it has a place,
    /// `positions: [rows · columns, features]`; a value is the memory alone.
    ///
    /// # Panics
    /// If a slice does not have its size, there are no memories, or less scratch than
    /// [`pack_scratch_req`](MemoryShape::pack_scratch_req).
    pub fn pack<'m>(
        cx: &Cx,
        shape: MemoryShape,
        positions: &[f32],
        spatial: impl Fn(usize) -> SpatialMemory<'m> + Sync,
        pointer: impl Fn(usize) -> PointerToken<'m> + Sync,
        scratch: &mut Scratch<'a>,
    ) -> Self {
        let MemoryShape { grid: [rows, columns], features, .. } = shape;
        let _kernel =
            cx.kernel("pack-memories", || Work { flops: 0.0, bytes: (10 * shape.len() * features) as f64 });
        assert!(!shape.is_empty() && features > 0, "no memories: {shape:?}");
        let grid_len = len_of([rows, columns, features]);
        assert_eq!(positions.len(), grid_len, "positions of {shape:?}");
        for index in 0..shape.spatial {
            let SpatialMemory { features: memory, time } = spatial(index);
            assert_eq!((memory.len(), time.len()), (grid_len, features), "memory {index} of {shape:?}");
        }
        for index in 0..shape.pointers {
            let PointerToken { features: memory, time } = pointer(index);
            assert_eq!((memory.len(), time.len()), (features, features), "pointer {index} of {shape:?}");
        }
        let blocks = shape.blocks();
        let tiles = Tiles::of(cx, shape.bf16);
        let [keys, values] = scratch.take_all(shape.buffers(tiles));
        let shared = [SharedMut::new(&mut *keys), SharedMut::new(&mut *values)];
        let group = group(cx.level());
        let plain = shape.plain_req(tiles);
        cx.parallel_for_with(blocks.count(), plain, scratch.frame(), |mut scratch, index| {
            let block = blocks.block(index);
            let [key_range, value_range] = ranges(&blocks, tiles, index);
            // SAFETY: blocks are disjoint, their keys and their values.
            let (keys, values) = unsafe { (shared[0].range(key_range), shared[1].range(value_range)) };
            let memories = Memories { block: &block, shape, spatial: &spatial, pointer: &pointer };
            memories.pack_keys(positions, group, tiles, keys);
            let plain = scratch.take(tiles.plain_len(blocks.most_keys()));
            pack_lhs_words(cx.level(), tiles, &memories, plain, values);
        });
        Self { blocks, tiles, keys, values }
    }

    /// The sizes.
    pub fn shape(&self) -> MemoryShape {
        self.blocks.shape
    }

    /// Keys of block `index`, as [`Scores`](super::score::Scores) reads them.
    pub(super) fn keys(&self, index: usize) -> &'a [f32] {
        let [keys, _] = ranges(&self.blocks, self.tiles, index);
        &self.keys[keys]
    }

    /// Values of block `index`, transposed: `[features, keys]`.
    pub(super) fn values(&self, index: usize) -> PackedLhs<'a> {
        let [_, values] = ranges(&self.blocks, self.tiles, index);
        let keys = self.blocks.block(index).len();
        PackedLhs::of_tiles(self.tiles, self.shape().features, keys, &self.values[values])
    }
}

/// Where the keys and the values of block `index` are packed.
fn ranges(blocks: &Blocks, tiles: Tiles, index: usize) -> [Range<usize>; 2] {
    let (block, shape) = (blocks.block(index), blocks.shape);
    let words = shape.key_words(tiles);
    let values = index * lhs_words(tiles, shape.features, blocks.most_keys());
    [
        block.keys * words..(block.keys + block.len()) * words,
        values..values + lhs_words(tiles, shape.features, block.len()),
    ]
}

/// How many keys of a place are scored together: their scores, the absorbed query and a key must fit the register file.
pub(super) fn group(level: Level) -> usize {
    F32Kernel::of(level).mr.min(MAX_GROUP)
}

/// The memories of a block; as a left-hand side, the transpose of its values.
struct Memories<'b, F, G> {
    block: &'b Block,
    shape: MemoryShape,
    spatial: &'b F,
    pointer: &'b G,
}

impl<'m, F: Fn(usize) -> SpatialMemory<'m>, G: Fn(usize) -> PointerToken<'m>> Memories<'_, F, G> {
    /// The places of the block, column by column.
    fn places(&self) -> impl Iterator<Item = usize> {
        let rows = self.block.rows.clone();
        let columns = self.shape.grid[1];
        self.block.columns.clone().flat_map(move |x| rows.clone().map(move |y| y * columns + x))
    }

    fn pack_keys(&self, positions: &[f32], group: usize, tiles: Tiles, out: &mut [f32]) {
        let features = self.shape.features;
        let words = self.shape.key_words(tiles);
        let mut rest = out;
        for place in self.places() {
            let position = &positions[place * features..][..features];
            let mut first = 0;
            for size in groups(self.block.per_place, group) {
                let (out, after) = rest.split_at_mut(size * words);
                for index in 0..size {
                    let out = out[index..].iter_mut().step_by(size);
                    if let Some(pointer) = self.block.pointer {
                        let PointerToken { features, time } = (self.pointer)(pointer + first + index);
                        pack_key(tiles, |f| features[f] + time[f], features.len(), out);
                    } else {
                        let SpatialMemory { features: memory, time } = (self.spatial)(first + index);
                        let memory = &memory[place * features..][..features];
                        pack_key(tiles, |f| bf16(memory[f]) + (position[f] + time[f]), features, out);
                    }
                }
                first += size;
                rest = after;
            }
        }
    }
}

/// Writes a key of so many features, or its pairs of bfloat16.
fn pack_key<'o>(
    tiles: Tiles,
    feature: impl Fn(usize) -> f32,
    features: usize,
    out: impl Iterator<Item = &'o mut f32>,
) {
    if !tiles.are_bf16() {
        return out.zip(0..features).for_each(|(to, f)| *to = feature(f));
    }
    let rounded = |f: usize| u32::from(half::bf16::from_f32(feature(f)).to_bits());
    for (to, [first, second]) in out.zip((0..pairs(features)).map(pair)) {
        let above = if second < features { rounded(second) } else { 0 };
        *to = f32::from_bits(rounded(first) | above << 16);
    }
}

/// The value of a bfloat16.
fn bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

impl<'m, F, G> Lhs for Memories<'_, F, G>
where
    F: Fn(usize) -> SpatialMemory<'m> + Sync,
    G: Fn(usize) -> PointerToken<'m> + Sync,
{
    fn rows(&self) -> usize {
        self.shape.features
    }

    fn depth(&self) -> usize {
        self.block.len()
    }

    fn pack(&self, rows: Range<usize>, out: &mut [f32]) {
        let features = self.shape.features;
        let count = rows.len();
        let mut key = 0;
        for place in self.places() {
            for index in 0..self.block.per_place {
                let out = out[key / CHUNK * count * CHUNK + key % CHUNK..].iter_mut().step_by(CHUNK);
                if let Some(pointer) = self.block.pointer {
                    let memory = &(self.pointer)(pointer + index).features[rows.clone()];
                    out.zip(memory).for_each(|(to, from)| *to = *from);
                } else {
                    let memory = &(self.spatial)(index).features[place * features..][rows.clone()];
                    out.zip(memory).for_each(|(to, from)| *to = bf16(*from));
                }
                key += 1;
            }
        }
    }
}
