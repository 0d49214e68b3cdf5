//! Blocking, packing and threads around the two products and the softmax.

use core::ops::Range;

use super::softmax::{BLOCK, Running, SoftmaxBlock};
use super::{AttentionShape, Bias};
use crate::exec::{Cx, Scratch, SharedMut, padded};
use crate::kernels::gemm::{CHUNK, GemmKernel, MAX_MR, MAX_NR, TileArgs};

/// Tiles of queries that meet a block of keys one after the other, while it is in the L2 cache.
const TILES: usize = 4;

/// Start values of the tile kernels: no bias.
static ZEROS: [f32; MAX_NR] = [0.0; MAX_NR];

/// Lengths of a lane's buffers, in f32.
#[derive(Clone, Copy)]
struct Lengths {
    /// `K` as panels `[keys / nr][head_dim][nr]`.
    keys: usize,
    /// `V` as panels `[head_dim / nr][keys][nr]`.
    values: usize,
    /// Scaled queries of `TILES` tiles, packed.
    queries: usize,
    /// Scores, and weights, of a tile.
    scores: usize,
    /// Accumulated outputs of `TILES` tiles, `[rows][head_dim padded to nr]`.
    outputs: usize,
}

impl Lengths {
    fn new(shape: &AttentionShape, kernel: &GemmKernel) -> Self {
        let rows = TILES * kernel.mr;
        Self {
            keys: shape.keys.next_multiple_of(kernel.nr) * shape.head_dim,
            values: shape.head_dim.next_multiple_of(kernel.nr) * shape.keys,
            queries: rows * shape.head_dim.next_multiple_of(CHUNK),
            scores: kernel.mr * BLOCK,
            outputs: rows * shape.head_dim.next_multiple_of(kernel.nr),
        }
    }

    fn total(&self) -> usize {
        padded(self.keys)
            + padded(self.values)
            + padded(self.queries)
            + 2 * padded(self.scores)
            + padded(self.outputs)
    }
}

/// Scratch that [`attention`] needs, in f32.
pub fn scratch_len(cx: &Cx, shape: &AttentionShape) -> usize {
    cx.threads() * Lengths::new(shape, GemmKernel::f32(cx.level())).total()
}

/// `out = softmax(scale · Q Kᵀ + bias) V` for every head of every sequence.
///
/// `q: [batches, heads, queries, head_dim]`, `k` and `v: [batches, heads, keys, head_dim]`;
/// `out: [batches, queries, heads · head_dim]`, the layout of tokens. `scratch` holds at least [`scratch_len`].
///
/// # Panics
/// If a slice does not have the size that `shape` says, `shape` has a 0, a causal attention has
/// `queries != keys`, or the scratch is too small.
#[allow(clippy::too_many_arguments, reason = "three inputs, an output and their sizes")]
pub fn attention(
    cx: &Cx,
    shape: &AttentionShape,
    scale: f32,
    q: &[f32],
    k: &[f32],
    v: &[f32],
    bias: Bias<'_>,
    out: &mut [f32],
    mut scratch: Scratch<'_>,
) {
    let AttentionShape { batches, heads, queries, keys, head_dim } = *shape;
    // Checked: wrapped sizes could let two tasks write the same outputs.
    let len = |tokens: usize| [heads, tokens, head_dim].into_iter().try_fold(batches, usize::checked_mul);
    assert!(len(queries) != Some(0) && len(keys) != Some(0), "attention over nothing: {shape:?}");
    assert_eq!(
        (Some(q.len()), Some(out.len())),
        (len(queries), len(queries)),
        "queries and output of {shape:?}"
    );
    assert_eq!((Some(k.len()), Some(v.len())), (len(keys), len(keys)), "keys and values of {shape:?}");
    let (q_len, kv_len) = (queries * head_dim, keys * head_dim);
    let sequences = batches * heads;
    match bias {
        Bias::None => (),
        Bias::Causal => assert_eq!(queries, keys, "causal attention"),
        Bias::Additive(bias) => assert_eq!(bias.len(), queries * keys, "bias of {shape:?}"),
    }
    let kernel = GemmKernel::f32(cx.level());
    let lengths = Lengths::new(shape, kernel);
    let lane_scratch = SharedMut::new(scratch.take(cx.threads() * lengths.total()));
    let out = SharedMut::new(out);

    // A task is a head, or a part of its queries where there are fewer heads than lanes like. Which tiles form a
    // group does not depend on the parts, so that neither do the blocks of keys that a causal group skips.
    let tiles = queries.div_ceil(kernel.mr);
    let groups = tiles.div_ceil(TILES);
    let parts = if cx.threads() == 1 { 1 } else { (4 * cx.threads()).div_ceil(sequences).min(groups) };
    cx.parallel_for(sequences * parts, |lane, task| {
        let (sequence, part) = (task / parts, task % parts);
        let range = lane * lengths.total()..(lane + 1) * lengths.total();
        // SAFETY: lanes' pieces are disjoint, and a lane does one task at a time.
        let mut rest = unsafe { lane_scratch.range(range) };
        let mut take = |len: usize| rest.split_off_mut(..padded(len)).expect("lengths add up");
        let mut head = Head {
            cx,
            kernel,
            shape,
            scale,
            bias,
            q: &q[sequence * q_len..][..q_len],
            keys: take(lengths.keys),
            values: take(lengths.values),
            queries: take(lengths.queries),
            scores: take(lengths.scores),
            weights: take(lengths.scores),
            outputs: take(lengths.outputs),
            out,
            sequence,
        };
        head.pack_keys(&k[sequence * kv_len..][..kv_len]);
        head.pack_values(&v[sequence * kv_len..][..kv_len]);
        let bound = |part: usize| part * groups / parts;
        for group in bound(part)..bound(part + 1) {
            head.attend(tiles, group * TILES..((group + 1) * TILES).min(tiles));
        }
    });
}

/// One head of one sequence, with its lane's buffers.
struct Head<'a> {
    cx: &'a Cx,
    kernel: &'static GemmKernel,
    shape: &'a AttentionShape,
    scale: f32,
    bias: Bias<'a>,
    q: &'a [f32],
    keys: &'a mut [f32],
    values: &'a mut [f32],
    queries: &'a mut [f32],
    scores: &'a mut [f32],
    weights: &'a mut [f32],
    outputs: &'a mut [f32],
    out: SharedMut<'a, f32>,
    sequence: usize,
}

impl Head<'_> {
    fn pack_keys(&mut self, k: &[f32]) {
        let (nr, head_dim) = (self.kernel.nr, self.shape.head_dim);
        for (panel, rows) in self.keys.chunks_exact_mut(nr * head_dim).zip(k.chunks(nr * head_dim)) {
            for (d, column) in panel.chunks_exact_mut(nr).enumerate() {
                let (present, absent) = column.split_at_mut(rows.len() / head_dim);
                for (to, row) in present.iter_mut().zip(rows.chunks_exact(head_dim)) {
                    *to = row[d];
                }
                absent.fill(0.0);
            }
        }
    }

    fn pack_values(&mut self, v: &[f32]) {
        let (nr, head_dim) = (self.kernel.nr, self.shape.head_dim);
        for (index, panel) in self.values.chunks_exact_mut(nr * self.shape.keys).enumerate() {
            let columns = index * nr..((index + 1) * nr).min(head_dim);
            if columns.is_empty() {
                break; // what `padded` added
            }
            for (to, row) in panel.chunks_exact_mut(nr).zip(v.chunks_exact(head_dim)) {
                let (present, absent) = to.split_at_mut(columns.len());
                present.copy_from_slice(&row[columns.clone()]);
                absent.fill(0.0);
            }
        }
    }

    /// The queries of tile `index` of `tiles`: heights differ by at most one.
    fn tile(&self, tiles: usize, index: usize) -> Range<usize> {
        let queries = self.shape.queries;
        let start = |i: usize| i * (queries / tiles) + i.min(queries % tiles);
        start(index)..start(index + 1)
    }

    /// Attends from the queries of `which` (at most `TILES`) of `tiles` tiles to all keys.
    fn attend(&mut self, tiles: usize, which: Range<usize>) {
        let AttentionShape { heads, queries, keys, head_dim, .. } = *self.shape;
        let depth = head_dim.next_multiple_of(CHUNK);
        let stride = head_dim.next_multiple_of(self.kernel.nr);
        let first = self.tile(tiles, which.start).start;
        let end = self.tile(tiles, which.end - 1).end;
        let mut running = [Running::START; TILES * MAX_MR];

        for index in which.clone() {
            let rows = self.tile(tiles, index);
            self.pack_queries(rows.clone(), (rows.start - first) * depth);
        }
        let visible = if matches!(self.bias, Bias::Causal) { end } else { keys };
        for key in (0..visible).step_by(BLOCK) {
            let block = BLOCK.min(keys - key);
            for index in which.clone() {
                let rows = self.tile(tiles, index);
                let at = rows.start - first;
                self.score(at * depth, rows.len(), key, block);
                self.cx.level().dispatch(SoftmaxBlock {
                    scores: self.scores,
                    weights: self.weights,
                    outputs: &mut self.outputs[at * stride..][..rows.len() * stride],
                    stride,
                    running: &mut running[at..at + rows.len()],
                    origin: (rows.start, key),
                    keys: block,
                    total_keys: keys,
                    bias: self.bias,
                });
                self.accumulate(at * stride, rows.len(), key, block);
            }
        }

        let batch = self.sequence / heads;
        let head = self.sequence % heads;
        for (i, running) in running[..end - first].iter().enumerate() {
            let start = (batch * queries + first + i) * heads * head_dim + head * head_dim;
            // SAFETY: a token's part for this head is written by this task only.
            let out = unsafe { self.out.range(start..start + head_dim) };
            let factor = 1.0 / running.sum;
            for (to, from) in out.iter_mut().zip(&self.outputs[i * stride..]) {
                *to = from * factor;
            }
        }
    }

    fn pack_queries(&mut self, rows: Range<usize>, at: usize) {
        let head_dim = self.shape.head_dim;
        let count = rows.len();
        let q = &self.q[rows.start * head_dim..rows.end * head_dim];
        for (r, row) in q.chunks_exact(head_dim).enumerate() {
            for (c, chunk) in row.chunks(CHUNK).enumerate() {
                let to = &mut self.queries[at + (c * count + r) * CHUNK..][..chunk.len()];
                for (to, from) in to.iter_mut().zip(chunk) {
                    *to = from * self.scale;
                }
            }
        }
    }

    /// Scores of the tile packed at `at` against `block` keys from `key` on, into `scores: [rows][BLOCK]`.
    fn score(&mut self, at: usize, rows: usize, key: usize, block: usize) {
        let (nr, head_dim) = (self.kernel.nr, self.shape.head_dim);
        for column in (0..block).step_by(nr) {
            let panel = &self.keys[(key + column) * head_dim..][..nr * head_dim];
            let args = TileArgs {
                k: head_dim,
                a: self.queries[at..].as_ptr(),
                b: panel.as_ptr(),
                init: ZEROS.as_ptr(),
                c: self.scores[column..].as_mut_ptr(),
                ldc: BLOCK,
                accumulate: false,
            };
            // SAFETY: at `at` lies a packed tile of `rows` rows, `panel` holds `nr` keys, and `scores` has `BLOCK`
            // columns, a multiple of `nr`.
            unsafe { self.kernel.run(self.cx.level(), rows, args) };
        }
    }

    /// Adds `weights · V` for `block` keys from `key` on to the outputs at `at`.
    fn accumulate(&mut self, at: usize, rows: usize, key: usize, block: usize) {
        let nr = self.kernel.nr;
        let stride = self.shape.head_dim.next_multiple_of(nr);
        for column in (0..stride).step_by(nr) {
            let panel = &self.values[column * self.shape.keys + key * nr..][..block * nr];
            let args = TileArgs {
                k: block,
                a: self.weights.as_ptr(),
                b: panel.as_ptr(),
                init: ZEROS.as_ptr(),
                c: self.outputs[at + column..].as_mut_ptr(),
                ldc: stride,
                accumulate: key > 0,
            };
            // SAFETY: `weights` is a packed tile of `rows` rows and `block` columns, `panel` holds `block` rows of
            // `nr`, and `outputs` has `rows` rows of `stride` from `at` on.
            unsafe { self.kernel.run(self.cx.level(), rows, args) };
        }
    }
}
