//! Rotary positions of patches (Su et al., RoFormer, 2021), in two dimensions as PE-Core has them.

use alloc::vec::Vec;

use crate::error::Result;
use crate::exec::{Cx, TryCollect, try_copied};
use crate::kernels::rotary::rotate;

/// `θ` of the angles.
const THETA: f64 = 10_000.0;

/// The turns of a grid's tokens.
///
/// Pair `i` of the features of a head of `d` turns by `θ^(−4i / d) · column` in the first half of the pairs, and by
/// `θ^(−4(i − d/4) / d) · row` in the second. A class token, the first of all, does not turn, and columns and rows are then
/// counted from 1, otherwise from 0. Source: `core/vision_encoder/rope.py` of `perception_models`.
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
    pub fn new([rows, columns]: [usize; 2], head_dim: usize, has_class: bool) -> Result<Self> {
        let pairs = head_dim / 2;
        let angle = |i: usize| libm::pow(THETA, -((4 * i) as f64) / head_dim as f64);
        let first = usize::from(has_class);
        let class = core::iter::repeat_n(0.0, first * pairs);
        let grid = (0..rows * columns).flat_map(|token| {
            let [row, column] = [token / columns, token % columns].map(|place| (place + first) as f64);
            let half = pairs / 2;
            (0..pairs).map(move |i| if i < half { column * angle(i) } else { row * angle(i - half) })
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
