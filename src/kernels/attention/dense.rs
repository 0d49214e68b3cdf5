//! Attention over heads that are contiguous.

use super::driver::{Problem, Sizes, run};
use super::tokens::{Layout, Padded, Sequence, Tokens};
use super::{AttentionShape, Bias};
use crate::exec::{Cx, Scratch, ScratchReq};

impl AttentionShape {
    fn sizes(&self) -> Sizes {
        let Self { queries, keys, head_dim, bf16, .. } = *self;
        Sizes { queries, keys, head_dim, products: 0, bf16 }
    }
}

/// Scratch that [`attention`] needs.
pub fn scratch_req(cx: &Cx, shape: &AttentionShape) -> ScratchReq {
    shape.sizes().scratch_req(cx)
}

/// `out = softmax(scale · Q Kᵀ + bias) V` for every head of every sequence.
///
/// `q: [batches, heads, queries, head_dim]`, `k` and `v: [batches, heads, keys, head_dim]`;
/// `out: [batches, queries, heads · head_dim]`, the layout of tokens.
///
/// # Panics
/// If a slice does not have the size that `shape` says, `shape` has a 0, a causal attention or one of runs has
/// `queries != keys`, runs are empty or not all tokens, the bias is [`Relative`](Bias::Relative), or the scratch is smaller
/// than [`scratch_req`].
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
    scratch: Scratch<'_>,
) {
    let AttentionShape { batches, heads, queries, keys, head_dim, .. } = *shape;
    // Checked: wrapped sizes could let two tasks write the same outputs.
    let len = |tokens: usize| [heads, tokens, head_dim].into_iter().try_fold(batches, usize::checked_mul);
    assert!(len(queries) != Some(0) && len(keys) != Some(0), "attention over nothing: {shape:?}");
    assert_eq!(
        (Some(q.len()), Some(out.len())),
        (len(queries), len(queries)),
        "queries and output of {shape:?}"
    );
    assert_eq!((Some(k.len()), Some(v.len())), (len(keys), len(keys)), "keys and values of {shape:?}");
    // What attends together of a sequence: all of it, unless it is of several runs.
    let whole = [0, queries];
    let mut bounds = &whole[..];
    match bias {
        Bias::None => (),
        Bias::Causal => assert_eq!(queries, keys, "causal attention"),
        Bias::Runs(runs) => {
            let are_whole = runs.first() == Some(&0) && runs.last() == Some(&queries) && queries == keys;
            assert!(are_whole && runs.is_sorted_by(|a, b| a < b), "runs of {shape:?}");
            bounds = runs;
        }
        Bias::Additive(bias) => assert_eq!(bias.len(), queries * keys, "bias of {shape:?}"),
        Bias::PerHead(bias) => assert_eq!(bias.len(), heads * queries * keys, "bias of {shape:?}"),
        Bias::Relative(_) => panic!("relative positions need a grid"),
    }
    let (mut sizes, mut within) = (shape.sizes(), bias);
    if let Bias::Runs(_) = bias {
        sizes.queries = bounds.windows(2).map(|run| run[1] - run[0]).max().unwrap_or(queries);
        (sizes.keys, within) = (sizes.queries, Bias::None);
    }
    let tokens = |data, run: [usize; 2], count: usize, sequence: usize| {
        let layout = Layout::line(run[1] - run[0], (sequence * count + run[0]) * head_dim, head_dim);
        Tokens { data, layout, head_dim }
    };
    let problem = Problem { sizes, places: queries, scale, bias: within };
    let runs = bounds.len() - 1;
    run(cx, &problem, batches * heads * runs, out, scratch, |index| {
        let (sequence, run) = (index / runs, index % runs);
        let (batch, head) = (sequence / heads, sequence % heads);
        let width = heads * head_dim;
        let run = [bounds[run], bounds[run + 1]];
        let kv = if let Bias::Runs(_) = bias { run } else { [0, keys] };
        Sequence {
            queries: tokens(q, run, queries, sequence),
            keys: Padded::full(tokens(k, kv, keys, sequence)),
            values: Padded::full(tokens(v, kv, keys, sequence)),
            out: Layout::line(run[1] - run[0], (batch * queries + run[0]) * width + head * head_dim, width),
            head,
        }
    });
}
