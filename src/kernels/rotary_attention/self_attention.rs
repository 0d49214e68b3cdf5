//! Attention of the tokens of a frame to each other: `out = softmax(scale · (R Q) (R K)ᵀ) V`.
//!
//! Rotated keys and values are packed once, in blocks, as the left-hand sides of both products: `scores = K' q'` and
//! `outputs = Vᵀ weights` for a panel of queries, whose `width · nr` features stay in the L1 cache.

use core::f32::consts::LOG2_E;
use core::ops::Range;

use super::rotary::{Rotary, pack_queries};
use super::softmax::{Largest, Running, Weigh, finish};
use crate::exec::{Cx, Scratch, ScratchReq, SharedMut, Work};
use crate::kernels::feature_panels::{PackedLhs, Transposed, lhs_words, pack_lhs_words};
use crate::kernels::gemm::{CHUNK, Lhs, MAX_NR, Tiles};

/// Most keys of a block.
const KEYS: usize = 256;

/// The sizes of the buffers.
struct Sizes {
    tiles: Tiles,
    blocks: usize,
    /// Of each block: keys, packed.
    keys: usize,
    /// Of each block: values, packed.
    values: usize,
    /// Lengths of a lane's buffers, in f32: queries of a panel, `[width][nr]`; scores, then weights, of a block,
    /// `[keys][nr]`; outputs of a panel. The first two hold at least a chunk of pairs.
    lane: [usize; 3],
    /// Rows of a tile before they are rounded.
    plain: usize,
}

impl Sizes {
    fn new(cx: &Cx, rotary: &Rotary, bf16: bool) -> Self {
        let tiles = Tiles::of(cx, bf16);
        let nr = tiles.nr();
        let (keys, width) = (KEYS.min(rotary.tokens()), rotary.width());
        Self {
            tiles,
            blocks: rotary.tokens().div_ceil(KEYS),
            keys: lhs_words(tiles, keys, width),
            values: lhs_words(tiles, width, keys),
            lane: [width.max(CHUNK) * nr, keys.max(CHUNK) * nr, width * nr],
            plain: tiles.plain_len(keys.max(width)),
        }
    }

    /// Lengths of the keys and values of all blocks.
    fn packed(&self) -> [usize; 2] {
        [self.blocks * self.keys, self.blocks * self.values]
    }
}

/// Scratch that [`self_attention`] needs.
pub fn self_attention_scratch_req(cx: &Cx, rotary: &Rotary, bf16: bool) -> ScratchReq {
    let sizes = Sizes::new(cx, rotary, bf16);
    let lane = ScratchReq::slices(sizes.lane).or(ScratchReq::slice(sizes.plain));
    ScratchReq::slices(sizes.packed()).and(lane.per_lane(cx))
}

/// `out ← softmax(scale · Q' K'ᵀ) V` for queries, keys, values and `out`, each `[tokens, width]` of a whole grid; queries
/// and keys are rotated here. With `bf16`, they, the values and the weights may be rounded to bfloat16, where the CPU
/// multiplies it; sums stay f32.
///
/// # Panics
/// If a slice does not have its size, or the scratch is shorter than [`self_attention_scratch_req`].
pub fn self_attention(
    cx: &Cx,
    rotary: &Rotary,
    scale: f32,
    bf16: bool,
    [q, k, v]: [&[f32]; 3],
    out: &mut [f32],
    mut scratch: Scratch<'_>,
) {
    let (width, tokens, level) = (rotary.width(), rotary.tokens(), cx.level());
    let _kernel = cx.kernel("self-attention", || Work {
        flops: 4.0 * (tokens * tokens * width) as f64,
        bytes: 16.0 * (tokens * width) as f64,
    });
    for (name, len) in [("queries", q.len()), ("keys", k.len()), ("values", v.len()), ("output", out.len())] {
        assert_eq!(len, tokens * width, "{name} of a grid of {:?}", rotary.grid());
    }
    let sizes = Sizes::new(cx, rotary, bf16);
    let (tiles, nr) = (sizes.tiles, sizes.tiles.nr());
    let [keys, values] = scratch.take_all(sizes.packed());
    let block = |index: usize| index * KEYS..tokens.min((index + 1) * KEYS);
    {
        let (keys, values) = (SharedMut::new(&mut *keys), SharedMut::new(&mut *values));
        let plain = ScratchReq::slice(sizes.plain);
        cx.parallel_for_with(sizes.blocks, plain, scratch.frame(), |mut scratch, index| {
            let tokens = block(index);
            // SAFETY: blocks are disjoint.
            let (keys, values) = unsafe {
                (
                    keys.range(index * sizes.keys..(index + 1) * sizes.keys),
                    values.range(index * sizes.values..(index + 1) * sizes.values),
                )
            };
            let data = tokens.start * width..tokens.end * width;
            let plain = scratch.take(sizes.plain);
            let rotated = Keys { rotary, first: tokens.start, data: &k[data.clone()] };
            pack_lhs_words(level, tiles, &rotated, plain, keys);
            pack_lhs_words(level, tiles, &Transposed::new(&v[data], width), plain, values);
        });
    }
    let (keys, values) = (&*keys, &*values);

    let buffers = ScratchReq::slices(sizes.lane);
    let out = SharedMut::new(out);
    cx.parallel_for_with(tokens.div_ceil(nr), buffers, scratch, |mut scratch, index| {
        let queries = index * nr..tokens.min((index + 1) * nr);
        let data = queries.start * width..queries.end * width;
        // SAFETY: panels' queries are disjoint.
        let out = unsafe { out.range(data.clone()) };
        let [packed, scores, outputs] = scratch.take_all(sizes.lane);
        pack_queries(rotary, scale * LOG2_E, queries.start, &q[data], nr, &mut packed[..width * nr]);
        tiles.round_panel(level, width, packed);
        let packed = &packed[..tiles.panel_words(width) * nr];
        outputs.fill(0.0);
        let mut running = Running::START;
        for index in 0..sizes.blocks {
            let count = block(index).len();
            let scored = &mut scores[..count * nr];
            let keys = &keys[index * sizes.keys..][..lhs_words(tiles, count, width)];
            PackedLhs::of_tiles(tiles, count, width, keys).times(level, packed, scored, false);
            let mut max = [0.0; MAX_NR];
            level.dispatch(Largest { nr, scores: scored, max: &mut max });
            let (running, are_bf16) = (&mut running, tiles.are_bf16());
            level.dispatch(Weigh { nr, are_bf16, scores: scored, max: &max, running, outputs });
            let weights = &scores[..tiles.panel_words(count) * nr];
            let values = &values[index * sizes.values..][..lhs_words(tiles, width, count)];
            PackedLhs::of_tiles(tiles, width, count, values).times(level, weights, outputs, true);
        }
        finish(&running, nr, outputs, width, out);
    });
}

/// The rotation of keys, as a left-hand side.
struct Keys<'a> {
    rotary: &'a Rotary,
    /// The token of the grid that the first key is.
    first: usize,
    /// `[keys, width]`
    data: &'a [f32],
}

impl Lhs for Keys<'_> {
    fn rows(&self) -> usize {
        self.data.len() / self.rotary.width()
    }

    fn depth(&self) -> usize {
        self.rotary.width()
    }

    fn pack(&self, rows: Range<usize>, out: &mut [f32]) {
        let (width, count) = (self.rotary.width(), rows.len());
        for (r, row) in rows.enumerate() {
            let pairs = self.data[row * width..][..width].as_chunks::<2>().0;
            let turns = self.rotary.turns(self.first + row);
            for (pair, (&[a, b], [cos, sin])) in pairs.iter().zip(turns).enumerate() {
                let feature = 2 * pair;
                let at = (feature / CHUNK * count + r) * CHUNK + feature % CHUNK;
                out[at] = a * cos - b * sin;
                out[at + 1] = a * sin + b * cos;
            }
        }
    }
}
