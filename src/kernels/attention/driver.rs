//! Blocking, packing and threads around the two products and the softmax.

use core::f32::consts::LOG2_E;
use core::ops::Range;

use super::softmax::{BLOCK, Finish, Running, SoftmaxBlock};
use super::tokens::Sequence;
use super::{Bias, pack};
use crate::exec::{Cx, Scratch, ScratchReq, SharedMut, Work};
use crate::kernels::gemm::{CHUNK, F32Kernel, MAX_MR, PAIRS, TileArgs, Tiles};

/// Tiles of queries that meet a block of keys one after the other, while it is in the L2 cache.
const TILES: usize = 4;

/// Sizes of the largest sequence.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) queries: usize,
    pub(super) keys: usize,
    pub(super) head_dim: usize,
    /// Products of a query with tables of relative positions.
    pub(super) products: usize,
    /// Whether operands may be rounded to bfloat16.
    pub(super) bf16: bool,
}

impl Sizes {
    pub(super) fn scratch_req(&self, cx: &Cx) -> ScratchReq {
        ScratchReq::slices(self.buffers(Tiles::of(cx, self.bf16))).per_lane(cx)
    }

    /// Lengths of a lane's buffers, in f32, in the order of [`Head`]'s.
    fn buffers(&self, tiles: Tiles) -> [usize; 9] {
        let &Self { keys, head_dim, products, .. } = self;
        let (mr, nr) = (tiles.mr(), tiles.nr());
        let rows = TILES * mr;
        [
            keys.next_multiple_of(nr) * tiles.panel_words(head_dim),
            head_dim.next_multiple_of(nr) * tiles.panel_words(keys),
            if tiles.are_bf16() { nr * head_dim.next_multiple_of(PAIRS) } else { 0 },
            rows * tiles.row_words(head_dim),
            if tiles.are_bf16() && products > 0 { rows * head_dim.next_multiple_of(CHUNK) } else { 0 },
            rows * products,
            mr * BLOCK,
            mr * BLOCK,
            rows * head_dim.next_multiple_of(nr),
        ]
    }
}

/// What all sequences have in common.
pub(super) struct Problem<'a> {
    pub(super) sizes: Sizes,
    /// Rows of a bias matrix: the places that a query can have.
    pub(super) places: usize,
    pub(super) scale: f32,
    pub(super) bias: Bias<'a>,
}

/// Computes the sequences `sequence(0)`, …, `sequence(count − 1)`, whose outputs in `out` are disjoint.
pub(super) fn run<'a>(
    cx: &Cx,
    problem: &Problem<'a>,
    count: usize,
    out: &mut [f32],
    scratch: Scratch<'_>,
    sequence: impl Fn(usize) -> Sequence<'a> + Sync,
) {
    let _kernel = cx.kernel("attention", || {
        let Sizes { queries, keys, head_dim, .. } = problem.sizes;
        let of_all = |n: usize| (count * n) as f64;
        let pairs = if matches!(problem.bias, Bias::Causal) { queries * keys / 2 } else { queries * keys };
        Work { flops: of_all(4 * pairs * head_dim), bytes: of_all(8 * (queries + keys) * head_dim) }
    });
    let kernel = Tiles::of(cx, problem.sizes.bf16);
    let buffers = problem.sizes.buffers(kernel);
    let out = SharedMut::new(out);

    // A task is a sequence, or a part of its queries where there are fewer sequences than lanes like. Which tiles form
    // a group does not depend on the parts, so that neither do the blocks of keys that a causal group skips.
    let groups = |queries: usize| queries.div_ceil(kernel.mr()).div_ceil(TILES);
    let most = groups(problem.sizes.queries);
    let parts = if cx.threads() == 1 { 1 } else { (4 * cx.threads()).div_ceil(count).min(most) };
    cx.parallel_for_with(count * parts, ScratchReq::slices(buffers), scratch, |mut scratch, task| {
        let (index, part) = (task / parts, task % parts);
        let sequence = sequence(index);
        let [keys, values, panel, queries, plain_queries, products, scores, weights, outputs] =
            scratch.take_all(buffers);
        let mut head = Head {
            cx,
            kernel,
            problem,
            keys,
            values,
            panel,
            queries,
            plain_queries,
            products,
            scores,
            weights,
            outputs,
            out,
            sequence,
        };
        let queries = head.sequence.queries.layout.len();
        let (tiles, groups) = (queries.div_ceil(kernel.mr()), groups(queries));
        let bound = |part: usize| part * groups / parts;
        if bound(part) == bound(part + 1) {
            return;
        }
        head.pack_keys_and_values();
        for group in bound(part)..bound(part + 1) {
            if !cx.goes_on() {
                return;
            }
            head.attend(tiles, group * TILES..((group + 1) * TILES).min(tiles));
        }
    });
}

/// One sequence, with its lane's buffers.
struct Head<'p, 'a> {
    cx: &'p Cx,
    kernel: Tiles,
    problem: &'p Problem<'a>,
    /// `K` as panels `[keys / nr][head_dim][nr]`.
    keys: &'p mut [f32],
    /// `V` as panels `[head_dim / nr][keys][nr]`.
    values: &'p mut [f32],
    /// A panel of `K` before it is rounded.
    panel: &'p mut [f32],
    /// Scaled queries of `TILES` tiles, packed.
    queries: &'p mut [f32],
    /// The same before they are rounded, for tables of relative positions.
    plain_queries: &'p mut [f32],
    /// Their products with the tables of relative positions, `[rows][products]`.
    products: &'p mut [f32],
    /// Scores of a tile.
    scores: &'p mut [f32],
    /// Weights of a tile.
    weights: &'p mut [f32],
    /// Accumulated outputs of `TILES` tiles, `[rows][head_dim padded to nr]`.
    outputs: &'p mut [f32],
    out: SharedMut<'p, f32>,
    sequence: Sequence<'a>,
}

impl Head<'_, '_> {
    fn pack_keys_and_values(&mut self) {
        let (level, nr) = (self.cx.level(), self.kernel.nr());
        let Sequence { keys, values, .. } = self.sequence;
        if self.kernel.are_bf16() {
            level.dispatch(pack::KeyPairs { keys, nr, panel: self.panel, out: self.keys });
            level.dispatch(pack::ValuePairs { values, nr, out: self.values });
        } else {
            level.dispatch(pack::Keys { keys, nr, out: self.keys });
            pack::values(&values, nr, self.values);
        }
    }

    /// The queries of tile `index` of `tiles`: heights differ by at most one.
    fn tile(&self, tiles: usize, index: usize) -> Range<usize> {
        let queries = self.sequence.queries.layout.len();
        let start = |i: usize| i * (queries / tiles) + i.min(queries % tiles);
        start(index)..start(index + 1)
    }

    /// Attends from the queries of `which` (at most `TILES`) of `tiles` tiles to all keys.
    fn attend(&mut self, tiles: usize, which: Range<usize>) {
        let Sizes { head_dim, products, .. } = self.problem.sizes;
        let keys = self.sequence.keys.len();
        let depth = self.kernel.row_words(head_dim);
        let stride = head_dim.next_multiple_of(self.kernel.nr());
        let first = self.tile(tiles, which.start).start;
        let end = self.tile(tiles, which.end - 1).end;
        let mut running = [Running::START; TILES * MAX_MR];

        for index in which.clone() {
            let rows = self.tile(tiles, index);
            let at = rows.start - first;
            self.pack_queries(at, rows.clone());
            self.multiply_distances(at, rows.len());
        }
        let bias = match self.problem.bias {
            Bias::PerHead(bias) => {
                let matrix = self.problem.places * keys;
                Bias::Additive(&bias[self.sequence.head * matrix..][..matrix])
            }
            bias => bias,
        };
        let visible = if matches!(bias, Bias::Causal) { end } else { keys };
        for key in (0..visible).step_by(BLOCK) {
            let block = BLOCK.min(keys - key);
            for index in which.clone() {
                let rows = self.tile(tiles, index);
                let at = rows.start - first;
                self.score(at * depth, rows.len(), key, block);
                self.cx.level().dispatch(SoftmaxBlock {
                    scores: self.scores,
                    weights: self.weights,
                    are_bf16: self.kernel.are_bf16(),
                    outputs: &mut self.outputs[at * stride..][..rows.len() * stride],
                    stride,
                    running: &mut running[at..at + rows.len()],
                    origin: (rows.start, key),
                    columns: self.sequence.queries.layout.columns,
                    keys: block,
                    grid: self.sequence.keys.grid,
                    bias,
                    products: &self.products[at * products..][..rows.len() * products],
                });
                self.accumulate(at * stride, rows.len(), key, block);
            }
        }

        for (i, running) in running[..end - first].iter().enumerate() {
            let start = self.sequence.out.token(first + i);
            // SAFETY: a token's part for this head is written by this task only.
            let out = unsafe { self.out.range(start..start + head_dim) };
            let accumulated = &self.outputs[i * stride..][..stride];
            self.cx.level().dispatch(Finish { accumulated, sum: running.sum, out });
        }
    }

    /// Packs the queries `rows` from row `at` on.
    fn pack_queries(&mut self, at: usize, rows: Range<usize>) {
        let Sizes { head_dim, products, .. } = self.problem.sizes;
        let (level, queries, count) = (self.cx.level(), self.sequence.queries, rows.len());
        let scale = self.problem.scale * LOG2_E;
        let rows = rows.map(|i| queries.token(i));
        let words = self.kernel.row_words(head_dim);
        let out = &mut self.queries[at * words..][..count * words];
        if !self.kernel.are_bf16() {
            return level.dispatch(pack::Queries { rows, scale, out });
        }
        level.dispatch(pack::QueryPairs { rows: rows.clone(), scale, out });
        if products > 0 {
            let words = head_dim.next_multiple_of(CHUNK);
            let out = &mut self.plain_queries[at * words..][..count * words];
            level.dispatch(pack::Queries { rows, scale, out });
        }
    }

    /// Multiplies the `rows` queries packed from row `at` on with the tables of relative positions.
    fn multiply_distances(&mut self, at: usize, rows: usize) {
        let Bias::Relative(positions) = self.problem.bias else { return };
        let Sizes { head_dim, products, .. } = self.problem.sizes;
        let depth = head_dim.next_multiple_of(CHUNK);
        let queries = if self.kernel.are_bf16() { &self.plain_queries } else { &self.queries };
        let kernel = F32Kernel::of(self.cx.level());
        let mut column = 0;
        for panel in positions.tables().into_iter().flat_map(|table| table.panels()) {
            let args = TileArgs::product(
                head_dim,
                &queries[at * depth..],
                panel,
                &mut self.products[at * products + column..],
                products,
            );
            // SAFETY: at `at` lies a packed tile of `rows` rows, `panel` holds `nr` distances, and `products` has as
            // many columns as all panels together.
            unsafe { kernel.run(self.cx.level(), rows, args) };
            column += kernel.nr;
        }
    }

    /// Scores of the tile packed at `at` against `block` keys from `key` on, into `scores: [rows][BLOCK]`.
    fn score(&mut self, at: usize, rows: usize, key: usize, block: usize) {
        let (nr, head_dim) = (self.kernel.nr(), self.problem.sizes.head_dim);
        let words = self.kernel.panel_words(head_dim);
        for column in (0..block).step_by(nr) {
            let panel = &self.keys[(key + column) * words..][..nr * words];
            let args =
                TileArgs::product(head_dim, &self.queries[at..], panel, &mut self.scores[column..], BLOCK);
            // SAFETY: at `at` lies a packed tile of `rows` rows, `panel` holds `nr` keys, and `scores` has `BLOCK`
            // columns, a multiple of `nr`.
            unsafe { self.kernel.run(self.cx.level(), rows, args) };
        }
    }

    /// Adds `weights · V` for `block` keys from `key` on to the outputs at `at`.
    fn accumulate(&mut self, at: usize, rows: usize, key: usize, block: usize) {
        let nr = self.kernel.nr();
        let (keys, head_dim) = (self.sequence.keys.len(), self.problem.sizes.head_dim);
        let stride = head_dim.next_multiple_of(nr);
        let [keys, key_words, block_words] = [keys, key, block].map(|k| self.kernel.panel_words(k));
        for column in (0..stride).step_by(nr) {
            let panel = &self.values[column * keys + key_words * nr..][..block_words * nr];
            let args = TileArgs {
                accumulate: key > 0,
                ..TileArgs::product(block, self.weights, panel, &mut self.outputs[at + column..], stride)
            };
            // SAFETY: `weights` is a packed tile of `rows` rows and `block` columns, `panel` holds `block` rows of
            // `nr`, and `outputs` has `rows` rows of `stride` from `at` on.
            unsafe { self.kernel.run(self.cx.level(), rows, args) };
        }
    }
}
