//! Attention inside windows of a grid of tokens.

use super::Bias;
use super::driver::{Problem, Sizes, run};
use super::tokens::{Layout, Padded, Sequence, Tokens};
use crate::exec::{Cx, Scratch};

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
}

impl WindowShape {
    fn sizes(&self, bias: &Bias<'_>) -> Sizes {
        let queries = self.window[0].min(self.grid[0]) * self.window[1].min(self.grid[1]);
        let products = if let Bias::Relative(positions) = bias { positions.products() } else { 0 };
        Sizes { queries, keys: self.window[0] * self.window[1], head_dim: self.head_dim, products }
    }
}

/// Scratch that [`attention_windows`] needs, in f32.
pub fn scratch_len(cx: &Cx, shape: &WindowShape, bias: &Bias<'_>) -> usize {
    shape.sizes(bias).scratch_len(cx)
}

/// `out = softmax(scale · Q Kᵀ + bias) V` in every window, for every head.
///
/// `qkv: [rows, columns, 3, heads, head_dim]` is the output of a QKV product, and `padding: [3, heads, head_dim]` is what
/// it would be for a token outside of the grid. `out: [rows, columns, heads · head_dim]`. A bias is over the places of a
/// window. `scratch` holds at least [`scratch_len`] f32.
///
/// # Panics
/// If a slice does not have the size that `shape` says, `shape` has a 0, the bias is [`Causal`](Bias::Causal) or for
/// another window, or the scratch is too small.
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
    let WindowShape { grid, window, heads, head_dim } = *shape;
    // Checked: wrapped sizes could let two tasks write the same outputs.
    let product = |sizes: &[usize]| sizes.iter().try_fold(1, |len: usize, &size| len.checked_mul(size));
    let len = product(&[grid[0], grid[1], heads, head_dim]);
    let keys = product(&window);
    assert!(len != Some(0) && keys != Some(0), "attention over nothing: {shape:?}");
    assert!(len == Some(out.len()) && out.len().checked_mul(3) == Some(qkv.len()), "tokens of {shape:?}");
    assert_eq!(padding.len(), 3 * heads * head_dim, "padding of {shape:?}");
    let places = keys.and_then(|keys| keys.checked_mul(keys));
    match bias {
        Bias::None => (),
        Bias::Causal => panic!("windows have no order"),
        Bias::Additive(bias) => assert_eq!(Some(bias.len()), places, "bias of {shape:?}"),
        Bias::PerHead(bias) => {
            assert_eq!(Some(bias.len()), places.and_then(|n| n.checked_mul(heads)), "bias of {shape:?}");
        }
        Bias::Relative(positions) => {
            assert_eq!(positions.grid(), window, "distances of {shape:?}");
            positions.check(cx.level(), head_dim, scale);
        }
    }
    let (width, columns) = (heads * head_dim, grid[1].div_ceil(window[1]));
    let windows = grid[0].div_ceil(window[0]) * columns;
    let sizes = shape.sizes(&bias);
    let problem = Problem { sizes, places: sizes.keys, scale, bias };
    run(cx, &problem, windows * heads, out, scratch, |sequence| {
        let (index, head) = (sequence / heads, sequence % heads);
        let [y, x] = [index / columns * window[0], index % columns * window[1]];
        // The window's tokens in an array that has `token` features for each.
        let layout = |token: usize, feature: usize| Layout {
            rows: window[0].min(grid[0] - y),
            columns: window[1].min(grid[1] - x),
            start: (y * grid[1] + x) * token + feature,
            row_step: grid[1] * token,
            step: token,
        };
        let feature = |which: usize| which * width + head * head_dim;
        let tokens = |which| Tokens { data: qkv, layout: layout(3 * width, feature(which)), head_dim };
        let padded = |which| Padded {
            tokens: tokens(which),
            grid: window,
            padding: &padding[feature(which)..][..head_dim],
        };
        Sequence {
            queries: tokens(0),
            keys: padded(1),
            values: padded(2),
            out: layout(width, head * head_dim),
            head,
        }
    });
}
