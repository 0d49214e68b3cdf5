//! Left-hand sides that are rounded to bfloat16 before they are packed, each number once: a convolution packs a pixel as often as
//! there are windows over it.

use core::ops::Range;

use super::kernel::Convert;
use super::tiles::PAIRS;
use super::{Lhs, PackedWeights};
use crate::exec::{Cx, SharedMut, Work};
use crate::kernels::rows::TASK;

/// A left-hand side whose elements are words of two bfloat16, which [`pair_up`] made. Its depth is that of the numbers.
pub(crate) struct Paired<L>(pub(crate) L);

impl<L: Lhs> Lhs for Paired<L> {
    const IS_PAIRED: bool = true;

    fn rows(&self) -> usize {
        self.0.rows()
    }

    fn depth(&self) -> usize {
        2 * self.0.depth()
    }

    fn pack(&self, rows: Range<usize>, out: &mut [f32]) {
        self.0.pack(rows, out);
    }
}

/// Whether products with `rhs` take a [`Paired`] left-hand side whose runs have `run` numbers each.
pub(crate) fn takes_pairs(rhs: &PackedWeights, run: usize) -> bool {
    rhs.kernel().is_paired() && run.is_multiple_of(PAIRS)
}

/// Rounds `from` to words of pairs, `k` and `k + 16` of 32 numbers.
///
/// # Panics
/// If `rhs` takes no pairs, `from` is not a multiple of 32 long, or `to` not half as long.
pub(crate) fn pair_up(cx: &Cx, rhs: &PackedWeights, from: &[f32], to: &mut [f32]) {
    let _kernel = cx.kernel("round", || Work { flops: 0.0, bytes: 6.0 * from.len() as f64 });
    assert!(
        takes_pairs(rhs, from.len()) && from.len() == 2 * to.len(),
        "{} numbers to {}",
        from.len(),
        to.len()
    );
    let convert = rhs.kernel().convert.expect("such a kernel rounds its rows");
    let to = SharedMut::new(to);
    cx.parallel_for(from.len().div_ceil(TASK), |_, task| {
        let from = &from[task * TASK..from.len().min((task + 1) * TASK)];
        let start = task * TASK / 2;
        // SAFETY: no two tasks have a number in common.
        let to = unsafe { to.range(start..start + from.len() / 2) };
        // A packed tile of one row.
        convert(rhs.level(), Convert { rows: 1, k: from.len(), from, to, row_values: &mut [] });
    });
}
