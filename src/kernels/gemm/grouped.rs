//! Products of groups of features, each with a matrix of its own.

use super::driver::{gemm_on_lane, lane_scratch_req};
use super::{Destination, PackedWeights, Rows};
use crate::exec::{Cx, Scratch, ScratchReq, SharedMut, Work};
use crate::kernels::len::len_of;

/// Scratch that [`grouped`] needs for `rows` rows.
pub fn grouped_scratch_req(cx: &Cx, rows: usize, weights: &[PackedWeights]) -> ScratchReq {
    lane_req(cx, rows, weights).per_lane(cx)
}

/// A lane's outputs of a group, and what their product needs.
fn lane_req(cx: &Cx, rows: usize, weights: &[PackedWeights]) -> ScratchReq {
    ScratchReq::slice(len_of([rows, weights[0].rows()])).and(lane_scratch_req(cx, rows, &weights[0]))
}

/// `out[m, g] ← W_g x[m, g]`: `x: [M, G, K]`, a matrix of `weights: [G]` is `[N, K]`, `out: [M, G, N]`.
///
/// # Panics
/// If there is no group, the groups' matrices differ in shape, the slices do not fit them, the scratch is smaller than
/// [`grouped_scratch_req`], or a matrix was packed for another level than `cx` has.
pub fn grouped(cx: &Cx, weights: &[PackedWeights], x: &[f32], out: &mut [f32], scratch: Scratch<'_>) {
    let (groups, n, k) = (weights.len(), weights[0].rows(), weights[0].cols());
    assert!(weights.iter().all(|w| (w.rows(), w.cols()) == (n, k)), "groups of one shape");
    let rows = x.len() / len_of([groups, k]);
    assert_eq!(x.len(), len_of([rows, groups, k]), "left-hand side of shape [{rows}, {groups}, {k}]");
    assert_eq!(out.len(), len_of([rows, groups, n]), "output of shape [{rows}, {groups}, {n}]");
    if rows == 0 {
        return;
    }
    let _kernel = cx.kernel("gemm", || Work {
        bytes: 4.0 * (x.len() + out.len()) as f64 + weights.iter().map(|w| w.bytes() as f64).sum::<f64>(),
        ..Work::product(rows * groups, n, k)
    });
    let out = SharedMut::new(out);
    cx.parallel_for_with(groups, lane_req(cx, rows, weights), scratch, |mut scratch, group| {
        let product = scratch.take(rows * n);
        let lhs = Rows::strided(&x[group * k..], rows, k, groups * k);
        let destination = Destination::Store { out: product, stride: n };
        gemm_on_lane(cx, &lhs, &weights[group], destination, scratch);
        for (row, product) in product.chunks_exact(n).enumerate() {
            let start = (row * groups + group) * n;
            // SAFETY: a group's outputs are those of its own task only.
            unsafe { out.range(start..start + n) }.copy_from_slice(product);
        }
    });
}
