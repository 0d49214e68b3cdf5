//! Each pass over a whole image: tables from scratch memory, rows split over the lanes.

use core::ops::Range;

use super::axis::Axis;
use super::passes::{COLUMN, Horizontal, Vertical};
use crate::exec::{Cx, Scratch, SharedMut};
use crate::kernels::resize::Span;

/// Rows that a lane computes at once; a multiple of the rows of a strip.
const TASK_ROWS: usize = 16;

/// Rows of bytes to read from.
pub(super) struct Rows<'a> {
    pub(super) bytes: &'a [u8],
    /// The number of the first row in `bytes`.
    pub(super) first: usize,
    /// Bytes from one row to the next.
    pub(super) stride: usize,
    /// Bytes of a row.
    pub(super) len: usize,
}

impl<'a> Rows<'a> {
    /// The bytes from row `y` on.
    pub(super) fn from(&self, y: usize) -> &'a [u8] {
        &self.bytes[(y - self.first) * self.stride..]
    }
}

/// An axis with its windows and weights.
pub(super) struct Table<'a> {
    axis: &'a Axis,
    spans: &'a [Span],
    weights: &'a [i32],
}

impl<'a> Table<'a> {
    pub(super) fn fill<'s: 'a>(axis: &'a Axis, scratch: &mut Scratch<'s>) -> Self {
        let spans: &mut [Span] = bytemuck::cast_slice_mut(scratch.take(2 * axis.count));
        let weights: &mut [i32] = bytemuck::cast_slice_mut(scratch.take(axis.count * axis.taps()));
        axis.fill(spans, weights);
        Self { axis, spans, weights }
    }

    /// Resamples every row of `out` from a row of `input`, beginning with row `first`. `strips` are for the lanes.
    pub(super) fn horizontal_pass<const C: usize>(
        &self,
        cx: &Cx,
        input: &Rows<'_>,
        first: usize,
        out: &mut [u8],
        strips: &mut [u8],
    ) {
        let out_len = self.spans.len() * C;
        let columns = self.axis.reach();
        let strip_len = columns.len() * COLUMN;
        let strips = SharedMut::new(strips);
        for_rows(cx, out, out_len, |lane, top, out| {
            if let Some(x) = self.axis.copied_from() {
                for (y, out) in (first + top..).zip(out.chunks_exact_mut(out_len)) {
                    out.copy_from_slice(&input.from(y)[x * C..][..out_len]);
                }
                return;
            }
            cx.level().dispatch(Horizontal::<C> {
                source: input.from(first + top),
                row_stride: input.stride,
                row_len: input.len,
                columns: columns.clone(),
                spans: self.spans,
                weights: self.weights,
                // SAFETY: a lane runs one task at a time.
                strip: unsafe { strips.range(lane * strip_len..(lane + 1) * strip_len) },
                out,
            });
        });
    }

    /// Resamples the bytes `columns` of every row of `out`, whose rows are as long as those of `input`.
    pub(super) fn vertical_pass(&self, cx: &Cx, input: &Rows<'_>, columns: Range<usize>, out: &mut [u8]) {
        for_rows(cx, out, input.len, |_, top, out| {
            for (y, out) in (top..).zip(out.chunks_exact_mut(input.len)) {
                let out = &mut out[columns.clone()];
                if let Some(first) = self.axis.copied_from() {
                    out.copy_from_slice(&input.from(first + y)[columns.clone()]);
                    continue;
                }
                let span = self.spans[y];
                cx.level().dispatch(Vertical {
                    source: &input.from(span.start as usize)[columns.start..],
                    row_stride: input.stride,
                    weights: &self.weights[y * self.axis.taps()..][..span.len as usize],
                    out,
                });
            }
        });
    }
}

/// Hands out blocks of rows of `out`: `work(lane, first row, rows)`.
pub(super) fn for_rows(
    cx: &Cx,
    out: &mut [u8],
    row_len: usize,
    work: impl Fn(usize, usize, &mut [u8]) + Sync,
) {
    let rows = out.len() / row_len;
    let out = SharedMut::new(out);
    cx.parallel_for(rows.div_ceil(TASK_ROWS), |lane, task| {
        let (first, last) = (task * TASK_ROWS, ((task + 1) * TASK_ROWS).min(rows));
        // SAFETY: each task has its own rows.
        work(lane, first, unsafe { out.range(first * row_len..last * row_len) });
    });
}
