//! Layer normalisation over the last dimension, and L2 normalisation.

mod l2;
mod layer_norm;

pub use l2::l2_normalize;
pub use layer_norm::{layer_norm, layer_norm_in_place};

use super::rows::first_lanes;
use crate::simd::Simd;

/// `(x − mean) · scale · weight + bias`.
#[inline(always)]
fn normalise<S: Simd>(s: S, x: S::F, mean: S::F, scale: S::F, weight: S::F, bias: S::F) -> S::F {
    s.fma(s.mul(s.sub(x, mean), scale), weight, bias)
}

/// Independent partial sums: as many as hide the latency of an addition.
const SUMS: usize = 4;

/// `Σᵢ x[i]`, in a fixed order.
#[inline(always)]
fn sum<S: Simd>(s: S, x: &[f32]) -> f32 {
    let mut sums = [s.splat(0.0); SUMS];
    let mut blocks = x.chunks_exact(SUMS * S::LANES);
    for x in blocks.by_ref() {
        for (i, sum) in sums.iter_mut().enumerate() {
            // SAFETY: the block has `SUMS · LANES` elements.
            *sum = s.add(*sum, unsafe { s.load(x.as_ptr().add(i * S::LANES)) });
        }
    }
    let mut chunks = blocks.remainder().chunks_exact(S::LANES);
    for x in chunks.by_ref() {
        // SAFETY: the chunk has `LANES` elements.
        sums[0] = s.add(sums[0], unsafe { s.load(x.as_ptr()) });
    }
    let tail = chunks.remainder();
    // SAFETY: `tail` has fewer than `LANES` elements; the other lanes are 0.
    sums[1] = s.add(sums[1], unsafe { s.load_n(tail.as_ptr(), tail.len()) });
    s.reduce_add(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3])))
}

/// `Σᵢ (x[i] − centre)²`, in a fixed order.
#[inline(always)]
fn sum_of_squares<S: Simd>(s: S, x: &[f32], centre: S::F) -> f32 {
    let mut sums = [s.splat(0.0); SUMS];
    let mut blocks = x.chunks_exact(SUMS * S::LANES);
    for x in blocks.by_ref() {
        for (i, sum) in sums.iter_mut().enumerate() {
            // SAFETY: the block has `SUMS · LANES` elements.
            let d = s.sub(unsafe { s.load(x.as_ptr().add(i * S::LANES)) }, centre);
            *sum = s.fma(d, d, *sum);
        }
    }
    let mut chunks = blocks.remainder().chunks_exact(S::LANES);
    for x in chunks.by_ref() {
        // SAFETY: the chunk has `LANES` elements.
        let d = s.sub(unsafe { s.load(x.as_ptr()) }, centre);
        sums[0] = s.fma(d, d, sums[0]);
    }
    let tail = chunks.remainder();
    // SAFETY: `tail` has fewer than `LANES` elements.
    let d = s.sub(unsafe { s.load_n(tail.as_ptr(), tail.len()) }, centre);
    let d = s.select(first_lanes(s, tail.len()), d, s.splat(0.0));
    sums[1] = s.fma(d, d, sums[1]);
    s.reduce_add(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3])))
}
