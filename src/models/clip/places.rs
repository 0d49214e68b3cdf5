//! Rotary positions of patches (Su et al., RoFormer, 2021), in two dimensions as PE-Core and EVA-02 have them.

use alloc::vec::Vec;

use super::config::Rotary;
use crate::error::Result;
use crate::exec::{Cx, TryCollect, try_copied};
use crate::kernels::rotary::rotate;

/// `θ` of the angles.
const THETA: f64 = 10_000.0;

/// Side of the grid that EVA-02 was trained with first: its places are those of this grid, whatever the input.
const EVA_GRID: f64 = 16.0;

/// The turns of a grid's tokens.
///
/// Pair `i` of the features of a head of `d` turns by `θ^(−4i / d) · a` in the first half of the pairs, and by
/// `θ^(−4(i − d/4) / d) · b` in the second. In PE-Core, `a` is the column and `b` the row, which are counted from 1 if there is a
/// class token, otherwise from 0; in EVA-02, `a` is 16 · row / rows and `b` 16 · column / columns. A class token, the first of
/// all, does not turn. Sources: `core/vision_encoder/rope.py` of `perception_models`, `pos_embed_sincos.py` of timm.
///
/// Checkpoints have pairs `(2i, 2i + 1)`; here they are `(i, i + d/2)`, for which [`order`](Self::order) moves the rows of the
/// projections: a score does not depend on the order of features.
#[derive(Debug)]
pub struct Places {
    /// `[tokens, d/2]` cosines, then as many sines.
    turns: Vec<f32>,
    /// `d / 2`
    pairs: usize,
}

impl Places {
    /// The turns of a grid of `[rows, columns]` tokens for heads of `head_dim` features, a multiple of 4.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn new(kind: Rotary, [rows, columns]: [usize; 2], head_dim: usize, has_class: bool) -> Result<Self> {
        let pairs = head_dim / 2;
        let angle = |i: usize| libm::pow(THETA, -((4 * i) as f64) / head_dim as f64);
        let first = usize::from(has_class);
        let class = core::iter::repeat_n(0.0, first * pairs);
        let grid = (0..rows * columns).flat_map(|token| {
            let place = [token / columns, token % columns];
            let [a, b] = match kind {
                Rotary::PeCore => [place[1], place[0]].map(|place| (place + first) as f64),
                Rotary::Eva => {
                    [EVA_GRID * place[0] as f64 / rows as f64, EVA_GRID * place[1] as f64 / columns as f64]
                }
            };
            let half = pairs / 2;
            (0..pairs).map(move |i| if i < half { a * angle(i) } else { b * angle(i - half) })
        });
        let angles: Vec<f64> = class.chain(grid).try_to_vec()?;
        let cosines = angles.iter().map(|&angle| libm::cos(angle) as f32);
        let sines = angles.iter().map(|&angle| libm::sin(angle) as f32);
        Ok(Self { turns: cosines.chain(sines).try_to_vec()?, pairs })
    }

    /// Turns the queries or keys `x: [sequences, tokens, d]`, in the order of [`order`](Self::order).
    ///
    /// # Panics
    /// If `x` is not whole sequences.
    pub fn turn(&self, cx: &Cx, x: &mut [f32]) {
        let (cosines, sines) = self.turns.split_at(self.turns.len() / 2);
        rotate(cx, x, self.pairs, cosines, sines);
    }

    /// Moves the rows of `weights: [heads, head_dim, width]` so that the first of all pairs stand before the second.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn order(weights: &mut [f32], head_dim: usize, width: usize) -> Result<()> {
        for head in weights.chunks_exact_mut(head_dim * width) {
            let old = try_copied(head)?;
            let order = (0..head_dim).step_by(2).chain((1..head_dim).step_by(2));
            for (to, from) in head.chunks_exact_mut(width).zip(order) {
                to.copy_from_slice(&old[from * width..][..width]);
            }
        }
        Ok(())
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.turns[..])
    }
}
