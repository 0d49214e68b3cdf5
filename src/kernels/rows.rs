//! What the kernels over rows share.

use core::ops::Range;

use crate::exec::{Cx, SharedMut, Work};
use crate::simd::Simd;

/// Elements in a task: enough work to hand to another thread. Independent of the number of threads.
pub(super) const TASK: usize = 1 << 14;

/// Part `index` of `parts` that `len` things are shared out into: the first ones have one more where they cannot be equal, so that
/// lanes which take one after the other end together.
pub(super) fn part(len: usize, parts: usize, index: usize) -> Range<usize> {
    let start = |i: usize| i * (len / parts) + i.min(len % parts);
    start(index)..start(index + 1)
}

/// Calls `work` of the kernel called `kernel` for blocks of rows of `x: [rows, dim]`, with their numbers and their elements.
///
/// # Panics
/// If `x` is not whole rows, or `dim` is 0.
pub(super) fn split_rows(
    cx: &Cx,
    kernel: &'static str,
    x: &mut [f32],
    dim: usize,
    work: impl Fn(Range<usize>, &mut [f32]) + Sync,
) {
    let _kernel = cx.kernel(kernel, || Work { flops: 0.0, bytes: 8.0 * x.len() as f64 });
    assert!(dim > 0 && x.len().is_multiple_of(dim), "{} elements are not rows of {dim}", x.len());
    let rows = x.len() / dim;
    let rows_per_task = (TASK / dim).max(1);
    let shared = SharedMut::new(x);
    cx.parallel_for(rows.div_ceil(rows_per_task), |_, task| {
        let rows = task * rows_per_task..rows.min((task + 1) * rows_per_task);
        // SAFETY: no two tasks have a row in common.
        let block = unsafe { shared.range(rows.start * dim..rows.end * dim) };
        work(rows, block);
    });
}

/// The mask of the first `n < LANES` lanes.
#[inline(always)]
pub(super) fn first_lanes<S: Simd>(s: S, n: usize) -> S::M {
    const INDEX: [f32; 16] = [0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11., 12., 13., 14., 15.];
    // SAFETY: `LANES <= 16`.
    let index = unsafe { s.load(INDEX.as_ptr()) };
    s.lt(index, s.splat(n as f32))
}
