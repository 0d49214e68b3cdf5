//! Panels of queries meet the blocks of a bank.

use core::f32::consts::LOG2_E;

use super::bank::{Bank, group};
use super::probe::{KeyProjection, pack_queries, probes, probes_scratch_len};
use super::rotary::Rotary;
use super::score::Scores;
use super::softmax::{Running, Weigh, finish};
use crate::exec::{Cx, Scratch, SharedMut, padded};
use crate::kernels::gemm::{F32Kernel, MAX_NR};

/// Lengths of a lane's buffers, in f32.
struct Lengths {
    /// Queries of a panel, `[width][nr]`.
    queries: usize,
    /// Their probes for the places of both axes, `[places][features + 1][nr]`.
    probes: [usize; 2],
    /// Scores, and weights, of a block, `[keys][nr]`.
    scores: usize,
    /// Accumulated outputs, `[features][nr]`.
    outputs: usize,
    /// For the products that make probes.
    products: usize,
}

impl Lengths {
    fn new(rotary: &Rotary, projection: &KeyProjection, most_keys: usize, nr: usize) -> Self {
        Self {
            queries: rotary.width() * nr,
            probes: rotary.axes().map(|axis| axis.len() * (projection.features() + 1) * nr),
            scores: most_keys * nr,
            outputs: projection.features() * nr,
            products: probes_scratch_len(rotary, nr),
        }
    }

    fn total(&self) -> usize {
        padded(self.queries)
            + self.probes.map(padded).iter().sum::<usize>()
            + padded(self.scores)
            + padded(self.outputs)
            + padded(self.products)
    }
}

/// Scratch that [`attend`] needs, in f32.
pub fn scratch_len(cx: &Cx, rotary: &Rotary, projection: &KeyProjection, bank: &super::BankShape) -> usize {
    let nr = F32Kernel::of(cx.level()).nr;
    cx.threads() * Lengths::new(rotary, projection, bank.blocks().most_keys(), nr).total()
}

/// `out = softmax(scale · Q' Kᵀ) M` for the queries `q: [tokens, width]` of a whole grid, which are rotated here, and
/// the memories of `bank`; `out: [tokens, features]`.
///
/// # Panics
/// If a slice does not have its size, the parts are of different sizes, or the scratch is shorter than
/// [`scratch_len`].
#[allow(clippy::too_many_arguments, reason = "three operands, a scale, queries, an output")]
pub fn attend(
    cx: &Cx,
    rotary: &Rotary,
    projection: &KeyProjection,
    bank: &Bank<'_>,
    scale: f32,
    q: &[f32],
    out: &mut [f32],
    mut scratch: Scratch<'_>,
) {
    let (width, features, tokens) = (rotary.width(), projection.features(), rotary.tokens());
    assert_eq!((projection.width(), bank.shape().features), (width, features), "sizes of keys");
    assert_eq!(bank.shape().grid, rotary.grid(), "grid of the memories");
    assert_eq!((q.len(), out.len()), (tokens * width, tokens * features), "queries and output");
    let nr = F32Kernel::of(cx.level()).nr;
    let lengths = Lengths::new(rotary, projection, bank.blocks.most_keys(), nr);
    let lane_scratch = SharedMut::new(scratch.take(cx.threads() * lengths.total()));
    let out = SharedMut::new(out);
    cx.parallel_for(tokens.div_ceil(nr), |lane, index| {
        let range = lane * lengths.total()..(lane + 1) * lengths.total();
        // SAFETY: lanes' pieces are disjoint, and a lane does one task at a time.
        let mut scratch = Scratch::of_lane(unsafe { lane_scratch.range(range) });
        let queries = index * nr..tokens.min((index + 1) * nr);
        // SAFETY: panels' queries are disjoint.
        let out = unsafe { out.range(queries.start * features..queries.end * features) };
        let packed = scratch.take(lengths.queries);
        let tokens = &q[queries.start * width..queries.end * width];
        pack_queries(rotary, scale * LOG2_E, queries.start, tokens, nr, packed);
        let probes_of = lengths.probes.map(|len| scratch.take(len));
        let [columns, rows] = probes_of;
        for (half, (axis, out)) in rotary.axes().into_iter().zip([&mut *columns, &mut *rows]).enumerate() {
            let queries = &packed[half * width / 2 * nr..][..width / 2 * nr];
            probes(cx.level(), axis, projection, half, queries, nr, out, scratch.frame());
        }
        let panel = Panel {
            cx,
            nr,
            bank,
            probes: [columns, rows],
            scores: scratch.take(lengths.scores),
            outputs: scratch.take(lengths.outputs),
        };
        panel.attend(out);
    });
}

/// A panel of queries, with its lane's buffers.
struct Panel<'p> {
    cx: &'p Cx,
    nr: usize,
    bank: &'p Bank<'p>,
    probes: [&'p [f32]; 2],
    scores: &'p mut [f32],
    outputs: &'p mut [f32],
}

impl Panel<'_> {
    /// Writes the queries' outputs, `[queries, features]`.
    fn attend(self, out: &mut [f32]) {
        let Self { cx, nr, bank, probes: [columns, rows], scores, outputs } = self;
        let features = bank.shape().features;
        let probe = (features + 1) * nr;
        let mut running = Running::START;
        outputs.fill(0.0);
        for index in 0..bank.blocks.count() {
            let block = bank.blocks.block(index);
            let scores = &mut scores[..block.len() * nr];
            let mut max = [0.0; MAX_NR];
            cx.level().dispatch(Scores {
                columns: &columns[block.columns.start * probe..block.columns.end * probe],
                rows: &rows[block.rows.start * probe..block.rows.end * probe],
                features,
                nr,
                per_place: block.per_place,
                group: group(cx.level()),
                keys: bank.keys(&block),
                out: scores,
                max: &mut max,
            });
            let running = &mut running;
            cx.level().dispatch(Weigh { nr, scores, max: &max, running, outputs });
            bank.values(&block).times(cx.level(), scores, outputs, true);
        }
        finish(&running, nr, outputs, features, out);
    }
}
