//! Attention inside windows of a grid of tokens.

use super::Bias;
use super::driver::{Problem, Sizes, run};
use super::tokens::{Layout, Padded, Sequence, Tokens};
use crate::exec::{Cx, Scratch, ScratchReq};

/// A grid of tokens cut into windows whose tokens attend to each other.
///
/// Windows start in the upper left corner. Those that stick out of the grid are padded: their tokens also attend to
/// the padding, but the padding's own attention is not computed. A window of the grid's size is global attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowShape {
    /// `[rows, columns]` of tokens.
    pub grid: [usize; 2],
    /// `[rows, columns]` of a window.
    pub window: [usize; 2],
    /// Attention heads.
    pub heads: usize,
    /// Features of a head.
    pub head_dim: usize,
    /// Whether queries, keys, values and weights may be rounded to bfloat16, where the CPU multiplies it; sums stay f32.
    pub bf16: bool,
}

impl WindowShape {
    /// The largest window, whose queries are `pool × pool` tokens each.
    fn sizes(&self, bias: &Bias<'_>, pool: usize) -> Sizes {
        let side = |axis: usize| self.window[axis].min(self.grid[axis]) / pool;
        let products = if let Bias::Relative(positions) = bias { positions.products() } else { 0 };
        Sizes {
            queries: side(0) * side(1),
            keys: self.window[0] * self.window[1],
            head_dim: self.head_dim,
            products,
            bf16: self.bf16,
        }
    }
}

/// Scratch that [`attention_windows`] needs. [`attention_pooled_windows`] needs no more.
pub fn scratch_req(cx: &Cx, shape: &WindowShape, bias: &Bias<'_>) -> ScratchReq {
    shape.sizes(bias, 1).scratch_req(cx)
}

/// `out = softmax(scale · Q Kᵀ + bias) V` in every window, for every head.
///
/// `qkv: [rows, columns, 3, heads, head_dim]` is the output of a QKV product, and `padding: [3, heads, head_dim]` is what
/// it would be for a token outside of the grid. `out: [rows, columns, heads · head_dim]`. A bias is over the places of a
/// window.
///
/// # Panics
/// If a slice does not have the size that `shape` says, `shape` has a 0, the bias is [`Causal`](Bias::Causal) or for
/// another window, or the scratch is smaller than [`scratch_req`].
#[allow(clippy::too_many_arguments, reason = "an input with its padding, an output and their sizes")]
pub fn attention_windows(
    cx: &Cx,
    shape: &WindowShape,
    scale: f32,
    qkv: &[f32],
    padding: &[f32],
    bias: Bias<'_>,
    out: &mut [f32],
    scratch: Scratch<'_>,
) {
    let WindowShape { window, heads, head_dim, .. } = *shape;
    let keys = product(&window);
    let places = keys.and_then(|keys| keys.checked_mul(keys));
    match bias {
        Bias::None => (),
        Bias::Causal | Bias::Runs(_) => panic!("windows have no order"),
        Bias::Additive(bias) => assert_eq!(Some(bias.len()), places, "bias of {shape:?}"),
        Bias::PerHead(bias) => {
            assert_eq!(Some(bias.len()), places.and_then(|n| n.checked_mul(heads)), "bias of {shape:?}");
        }
        Bias::Relative(positions) => {
            assert_eq!(positions.grid(), window, "distances of {shape:?}");
            positions.check(cx.level(), head_dim, scale);
        }
    }
    let queries = Queries { data: qkv, pool: 1, token: 3 * heads * head_dim };
    run_windows(cx, shape, scale, queries, qkv, padding, bias, out, scratch);
}

/// [`attention_windows`] without bias for queries of 2 × 2 tokens each, `queries: [rows / 2, columns / 2, heads · head_dim]`,
/// which attend to all tokens of the window around them: `out` has the shape of `queries`. The queries of `qkv` and of
/// `padding` are not read.
///
/// # Panics
/// As [`attention_windows`]; also if a side of the grid or of the windows is odd.
#[allow(clippy::too_many_arguments, reason = "inputs with their padding, an output and their sizes")]
pub fn attention_pooled_windows(
    cx: &Cx,
    shape: &WindowShape,
    scale: f32,
    queries: &[f32],
    qkv: &[f32],
    padding: &[f32],
    out: &mut [f32],
    scratch: Scratch<'_>,
) {
    let sides = shape.grid.iter().chain(&shape.window);
    assert!(sides.into_iter().all(|side| side.is_multiple_of(POOL)), "pooling of {shape:?}");
    assert_eq!(queries.len(), out.len(), "queries of {shape:?}");
    let queries = Queries { data: queries, pool: POOL, token: shape.heads * shape.head_dim };
    run_windows(cx, shape, scale, queries, qkv, padding, Bias::None, out, scratch);
}

/// Tokens along a side of a pooled query.
const POOL: usize = 2;

/// Where the queries are.
#[derive(Clone, Copy)]
struct Queries<'a> {
    data: &'a [f32],
    /// Tokens of the grid along a side of a query.
    pool: usize,
    /// From a query to the next.
    token: usize,
}

fn product(sizes: &[usize]) -> Option<usize> {
    sizes.iter().try_fold(1, |len: usize, &size| len.checked_mul(size))
}

/// Every window and head, once the bias has been checked.
#[allow(clippy::too_many_arguments, reason = "as its callers")]
fn run_windows(
    cx: &Cx,
    shape: &WindowShape,
    scale: f32,
    queries: Queries<'_>,
    qkv: &[f32],
    padding: &[f32],
    bias: Bias<'_>,
    out: &mut [f32],
    scratch: Scratch<'_>,
) {
    let WindowShape { grid, window, heads, head_dim, .. } = *shape;
    let Queries { data, pool, token } = queries;
    // Checked: wrapped sizes could let two tasks write the same outputs.
    let len = product(&[grid[0], grid[1], heads, head_dim]);
    assert!(
        len != Some(0) && product(&window).is_some_and(|keys| keys > 0),
        "attention over nothing: {shape:?}"
    );
    assert!(
        len == out.len().checked_mul(pool * pool)
            && len.and_then(|len| len.checked_mul(3)) == Some(qkv.len()),
        "tokens of {shape:?}"
    );
    assert_eq!(padding.len(), 3 * heads * head_dim, "padding of {shape:?}");
    let (width, columns) = (heads * head_dim, grid[1].div_ceil(window[1]));
    let windows = grid[0].div_ceil(window[0]) * columns;
    let sizes = shape.sizes(&bias, pool);
    let problem = Problem { sizes, places: sizes.keys, scale, bias };
    run(cx, &problem, windows * heads, out, scratch, |sequence| {
        let (index, head) = (sequence / heads, sequence % heads);
        let [y, x] = [index / columns * window[0], index % columns * window[1]];
        // The window's places in an array that has one of `token` features for each `pool × pool` tokens.
        let layout = |pool: usize, token: usize, feature: usize| Layout {
            rows: window[0].min(grid[0] - y) / pool,
            columns: window[1].min(grid[1] - x) / pool,
            start: (y / pool * (grid[1] / pool) + x / pool) * token + feature,
            row_step: grid[1] / pool * token,
            step: token,
        };
        let feature = |which: usize| which * width + head * head_dim;
        let padded = |which| Padded {
            tokens: Tokens { data: qkv, layout: layout(1, 3 * width, feature(which)), head_dim },
            grid: window,
            padding: &padding[feature(which)..][..head_dim],
        };
        Sequence {
            queries: Tokens { data, layout: layout(pool, token, feature(0)), head_dim },
            keys: padded(1),
            values: padded(2),
            out: layout(pool, width, feature(0)),
            head,
        }
    });
}
