//! Absorbed queries: the key projection and the rotation of the keys, multiplied into the queries.
//!
//! A query has one absorbed query for every column of the grid and one for every row. For one axis, a place at the
//! distance `δ` from the middle of the grid, the angle `φ = angle(d) · δ`, a pair `(q₀, q₁)` of the rotated query and a
//! pair `(w₀, w₁)` of a row of `Wᵀ`:
//!
//! ```text
//! absorbed(δ)  = Σ_d cos φ · (q₀ w₀ + q₁ w₁) + sin φ · (q₁ w₀ − q₀ w₁) = even(δ) + odd(δ)
//! absorbed(−δ) = even(δ) − odd(δ)
//! ```
//!
//! so that one product with a table of cosines and one with a table of sines serve the places on both sides of the middle.

use alloc::vec::Vec;

use super::rotary::{Axis, Rotary};
use crate::error::Result;
use crate::exec::{Scratch, ScratchReq, TryCollect};
use crate::kernels::gemm::F32Kernel;
use crate::simd::{Level, Simd, Vectorize};

/// The projection of memories to keys, `k = W m + b`.
#[derive(Clone, Debug)]
pub struct KeyProjection {
    width: usize,
    /// `(W, b)ᵀ`, `[features + 1][width]`.
    rows: Vec<f32>,
}

impl KeyProjection {
    /// The projection with `weight: [width, features]` and `bias: [width]`.
    ///
    /// # Errors
    /// `OutOfMemory`.
    ///
    /// # Panics
    /// If `weight` is not whole rows.
    pub fn new(weight: &[f32], bias: &[f32]) -> Result<Self> {
        let width = bias.len();
        assert!(width > 0 && weight.len().is_multiple_of(width), "weight for {width} outputs");
        let features = weight.len() / width;
        let columns = (0..features).flat_map(|f| weight[f..].iter().step_by(features));
        Ok(Self { width, rows: columns.chain(bias).copied().try_to_vec()? })
    }

    /// Features of a key.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Features of a memory.
    pub fn features(&self) -> usize {
        self.rows.len() / self.width - 1
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.rows[..])
    }
}

/// Scratch that [`absorb`] needs.
pub(super) fn absorb_scratch_req(rotary: &Rotary, nr: usize) -> ScratchReq {
    let most = rotary.grid().into_iter().max().unwrap_or(0);
    ScratchReq::slices(buffers(rotary.width() / 4, most.div_ceil(2), nr))
}

/// Lengths of the products of both kinds, for all pairs and for all distances, in f32.
fn buffers(pairs: usize, distances: usize, nr: usize) -> [usize; 4] {
    [pairs * nr, pairs * nr, distances * nr, distances * nr]
}

/// Absorbs the queries of a panel for every place of `axis`: `out: [places][features + 1][nr]`, where the last row of a
/// place is the product with the bias. `queries: [2 · pairs][nr]` are the features that turn with this axis, which are
/// the `half` 0 or 1 of a key's features.
pub(super) fn absorb(
    level: Level,
    axis: &Axis,
    projection: &KeyProjection,
    half: usize,
    queries: &[f32],
    out: &mut [f32],
    mut scratch: Scratch<'_>,
) {
    let nr = F32Kernel::of(level).nr;
    let pairs = projection.width / 4;
    let distances = axis.len().div_ceil(2);
    let [same, crossed, even, odd] = scratch.take_all(buffers(pairs, distances, nr));
    for (feature, weights) in projection.rows.chunks_exact(projection.width).enumerate() {
        let weights = &weights[half * 2 * pairs..][..2 * pairs];
        level.dispatch(Pairs { queries, weights, nr, same, crossed });
        axis.cos.lhs().times(level, same, even, false);
        axis.sin.lhs().times(level, crossed, odd, false);
        let step = (projection.features() + 1) * nr;
        level.dispatch(Unfold { even, odd, nr, places: axis.len(), step, out: &mut out[feature * nr..] });
    }
}

/// `same[d] = q₀ w₀ + q₁ w₁` and `crossed[d] = q₁ w₀ − q₀ w₁` for every pair `d`.
struct Pairs<'a> {
    queries: &'a [f32],
    weights: &'a [f32],
    nr: usize,
    same: &'a mut [f32],
    crossed: &'a mut [f32],
}

impl Vectorize for Pairs<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { queries, weights, nr, same, crossed } = self;
        assert!(nr.is_multiple_of(S::LANES));
        let pairs = queries.chunks_exact(2 * nr).zip(weights.as_chunks::<2>().0);
        let out = same.chunks_exact_mut(nr).zip(crossed.chunks_exact_mut(nr));
        for ((queries, &[w0, w1]), (same, crossed)) in pairs.zip(out) {
            let (w0, w1) = (s.splat(w0), s.splat(w1));
            let (first, second) = queries.split_at(nr);
            for at in (0..nr).step_by(S::LANES) {
                // SAFETY: `LANES` divides `nr`, the length of all four.
                unsafe {
                    let (q0, q1) = (s.load(first.as_ptr().add(at)), s.load(second.as_ptr().add(at)));
                    s.store(same.as_mut_ptr().add(at), s.fma(q0, w0, s.mul(q1, w1)));
                    s.store(crossed.as_mut_ptr().add(at), s.sub(s.mul(q1, w0), s.mul(q0, w1)));
                }
            }
        }
    }
}

/// Writes `even ± odd` for every place, `step` apart.
struct Unfold<'a> {
    even: &'a [f32],
    odd: &'a [f32],
    nr: usize,
    places: usize,
    step: usize,
    out: &'a mut [f32],
}

impl Vectorize for Unfold<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { even, odd, nr, places, step, out } = self;
        assert!(nr.is_multiple_of(S::LANES) && out.len() >= (places - 1) * step + nr);
        for (k, (even, odd)) in even.chunks_exact(nr).zip(odd.chunks_exact(nr)).enumerate() {
            // With an odd number of places, the first pair is the middle twice.
            let [after, before] = [places / 2 + k, (places - 1) / 2 - k];
            for at in (0..nr).step_by(S::LANES) {
                // SAFETY: `LANES` divides `nr`, and both places lie in `out` by the assertion.
                unsafe {
                    let (even, odd) = (s.load(even.as_ptr().add(at)), s.load(odd.as_ptr().add(at)));
                    let out = out.as_mut_ptr().add(at);
                    s.store(out.add(before * step), s.sub(even, odd));
                    s.store(out.add(after * step), s.add(even, odd));
                }
            }
        }
    }
}
