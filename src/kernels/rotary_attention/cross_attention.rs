//! Attention of the tokens of a frame to the packed memories of an object.

use core::f32::consts::LOG2_E;

use super::absorbed_query::{KeyProjection, absorb, absorb_scratch_req};
use super::packed_memories::{MemoryShape, PackedMemories, group};
use super::rotary::{Rotary, pack_queries};
use super::score::Scores;
use super::softmax::{Running, Weigh, finish};
use crate::exec::{Cx, Scratch, ScratchReq, SharedMut, Work};
use crate::kernels::gemm::{CHUNK, F32Kernel, MAX_NR};
use crate::kernels::len::len_of;

/// What the tokens of a frame attend to, and how.
#[derive(Clone, Copy, Debug)]
pub struct CrossAttentionArgs<'a> {
    /// The rotations of queries and keys.
    pub rotary: &'a Rotary,
    /// The projection of memories to keys.
    pub projection: &'a KeyProjection,
    /// The memories of one object.
    pub memories: &'a PackedMemories<'a>,
    /// Multiplies the scores.
    pub scale: f32,
}

/// Lengths of a lane's buffers, in f32: queries of a panel, `[width][nr]`; absorbed queries for the places of both axes,
/// `[places][features + 1][nr]`; scores, then weights, of a block, `[keys][nr]`, and at least a chunk of pairs; accumulated
/// outputs, `[features][nr]`.
fn buffers(rotary: &Rotary, projection: &KeyProjection, most_keys: usize, nr: usize) -> [usize; 5] {
    let [columns, rows] = rotary.axes().map(|axis| len_of([axis.len(), projection.features() + 1, nr]));
    let [keys, features] = [most_keys.max(CHUNK), projection.features()].map(|len| len_of([len, nr]));
    [len_of([rotary.width(), nr]), columns, rows, keys, features]
}

/// A lane's [`buffers`], and what absorbing queries takes.
fn lane_scratch_req(rotary: &Rotary, buffers: [usize; 5], nr: usize) -> ScratchReq {
    ScratchReq::slices(buffers).and(absorb_scratch_req(rotary, nr))
}

/// Scratch that [`cross_attention`] needs for memories of `shape`.
pub fn cross_attention_scratch_req(
    cx: &Cx,
    rotary: &Rotary,
    projection: &KeyProjection,
    shape: &MemoryShape,
) -> ScratchReq {
    let nr = F32Kernel::of(cx.level()).nr;
    let buffers = buffers(rotary, projection, shape.blocks().most_keys(), nr);
    lane_scratch_req(rotary, buffers, nr).per_lane(cx)
}

/// `out = softmax(scale · Q' Kᵀ) M` for the queries `q: [tokens, width]` of a whole grid, which are rotated here, and the
/// memories `M`, whose keys are `K`; `out: [tokens, features]`.
///
/// # Panics
/// If a slice does not have its size, the parts of `args` are of different sizes, or the scratch is shorter than
/// [`cross_attention_scratch_req`].
pub fn cross_attention(
    cx: &Cx,
    args: &CrossAttentionArgs<'_>,
    q: &[f32],
    out: &mut [f32],
    scratch: Scratch<'_>,
) {
    let CrossAttentionArgs { rotary, projection, memories, scale } = *args;
    let (width, features, tokens) = (rotary.width(), projection.features(), rotary.tokens());
    let _kernel = cx.kernel("cross-attention", || Work {
        flops: 4.0 * (tokens * memories.shape().len() * features) as f64,
        bytes: 4.0 * (tokens * (width + features) + 2 * memories.shape().len() * features) as f64,
    });
    assert_eq!((projection.width(), memories.shape().features), (width, features), "sizes of keys");
    assert_eq!(memories.shape().grid, rotary.grid(), "grid of the memories");
    assert_eq!((q.len(), out.len()), (tokens * width, len_of([tokens, features])), "queries and output");
    let nr = F32Kernel::of(cx.level()).nr;
    let buffers = buffers(rotary, projection, memories.blocks.most_keys(), nr);
    let req = lane_scratch_req(rotary, buffers, nr);
    let out = SharedMut::new(out);
    cx.parallel_for_with(tokens.div_ceil(nr), req, scratch, |mut scratch, index| {
        let queries = index * nr..tokens.min((index + 1) * nr);
        // SAFETY: panels' queries are disjoint.
        let out = unsafe { out.range(queries.start * features..queries.end * features) };
        let [packed, columns, rows, scores, outputs] = scratch.take_all(buffers);
        let tokens = &q[queries.start * width..queries.end * width];
        pack_queries(rotary, scale * LOG2_E, queries.start, tokens, nr, packed);
        for (half, (axis, out)) in rotary.axes().into_iter().zip([&mut *columns, &mut *rows]).enumerate() {
            let queries = &packed[half * width / 2 * nr..][..width / 2 * nr];
            absorb(cx.level(), axis, projection, half, queries, out, scratch.frame());
        }
        QueryPanel { cx, nr, memories, absorbed: [columns, rows], scores, outputs }.attend(out);
    });
}

/// A panel of queries, with its lane's buffers.
struct QueryPanel<'p> {
    cx: &'p Cx,
    nr: usize,
    memories: &'p PackedMemories<'p>,
    /// Absorbed queries of all columns and of all rows.
    absorbed: [&'p [f32]; 2],
    scores: &'p mut [f32],
    outputs: &'p mut [f32],
}

impl QueryPanel<'_> {
    /// Attends to the memories block by block and writes the queries' outputs, `[queries, features]`.
    fn attend(self, out: &mut [f32]) {
        let Self { cx, nr, memories, absorbed: [columns, rows], scores, outputs } = self;
        let features = memories.shape().features;
        let query_len = (features + 1) * nr;
        let mut running = Running::START;
        outputs.fill(0.0);
        for index in 0..memories.blocks.count() {
            let block = memories.blocks.block(index);
            let (len, level) = (block.len() * nr, cx.level());
            let mut max = [0.0; MAX_NR];
            let work = Scores {
                columns: &columns[block.columns.start * query_len..block.columns.end * query_len],
                rows: &rows[block.rows.start * query_len..block.rows.end * query_len],
                features,
                nr,
                per_place: block.per_place,
                group: group(cx.level()),
                keys: memories.keys(index),
                out: &mut scores[..len],
                max: &mut max,
            };
            let are_bf16 = memories.tiles.are_bf16();
            if are_bf16 {
                // SAFETY: the work checks its operands.
                unsafe { memories.tiles.run_dots(level, work) };
            } else {
                level.dispatch(work);
            }
            let (scored, running) = (&mut scores[..len], &mut running);
            level.dispatch(Weigh { nr, are_bf16, scores: scored, max: &max, running, outputs });
            let weights = &scores[..memories.tiles.panel_words(block.len()) * nr];
            memories.values(index).times(level, weights, outputs, true);
        }
        finish(&running, nr, outputs, features, out);
    }
}
