//! Each pass over a whole image: tables from scratch memory, rows split over the lanes.

use core::ops::Range;

use super::axis::Axis;
use super::passes::{COLUMN, Horizontal, Vertical};
use crate::exec::{Cx, Scratch, SharedMut};
use crate::image::ImageView;
use crate::kernels::resize::Span;

/// Rows that a lane computes at once; a multiple of the rows of a strip.
pub(super) const TASK_ROWS: usize = 16;

/// Where source rows come from.
pub(super) trait Source: Sync {
    /// Bytes that a band of `rows` rows takes in a lane's buffer.
    fn band_len(&self, rows: usize) -> usize;

    /// The rows `rows`, which may be made in `buffer` of at least [`band_len`](Self::band_len) bytes.
    fn band<'a>(&'a self, rows: Range<usize>, buffer: &'a mut [u8]) -> Rows<'a>;
}

impl Source for Rows<'_> {
    fn band_len(&self, _: usize) -> usize {
        0
    }

    fn band<'a>(&'a self, _: Range<usize>, _: &'a mut [u8]) -> Rows<'a> {
        *self
    }
}

/// An image whose rows become RGB as they are read.
pub(super) struct Converted<'a>(pub(super) &'a ImageView<'a>);

impl Source for Converted<'_> {
    fn band_len(&self, rows: usize) -> usize {
        3 * self.0.width() * rows
    }

    fn band<'a>(&'a self, rows: Range<usize>, buffer: &'a mut [u8]) -> Rows<'a> {
        let (first, len) = (rows.start, self.band_len(1));
        rows.zip(buffer.chunks_exact_mut(len)).for_each(|(y, row)| self.0.row_rgb(y, row));
        Rows { bytes: buffer, first, stride: len, len }
    }
}

/// Rows of bytes to read from.
#[derive(Clone, Copy)]
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

    /// Resamples every row of `out` from a row of `source`, beginning with row `first`. `strips` and `bands` are for
    /// the lanes.
    pub(super) fn horizontal_pass<const C: usize>(
        &self,
        cx: &Cx,
        source: &impl Source,
        first: usize,
        out: &mut [u8],
        strips: &mut [u8],
        bands: &mut [u8],
    ) {
        let out_len = self.spans.len() * C;
        let columns = self.axis.reach();
        let strip_len = columns.len() * COLUMN;
        let strips = SharedMut::new(strips);
        let same_rows = |rows: Range<usize>| first + rows.start..first + rows.end;
        for_bands(cx, source, same_rows, bands, out, out_len, |lane, top, input, out| {
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

    /// Resamples the bytes `columns` of every row of `out`, whose rows have `row_len` bytes as those of `source`.
    pub(super) fn vertical_pass(
        &self,
        cx: &Cx,
        source: &impl Source,
        row_len: usize,
        columns: Range<usize>,
        out: &mut [u8],
        bands: &mut [u8],
    ) {
        let reach = |rows: Range<usize>| match self.axis.copied_from() {
            Some(first) => first + rows.start..first + rows.end,
            None => self.spans[rows.start].range().start..self.spans[rows.end - 1].range().end,
        };
        for_bands(cx, source, reach, bands, out, row_len, |_, top, input, out| {
            for (y, out) in (top..).zip(out.chunks_exact_mut(row_len)) {
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

/// Hands out blocks of rows of `out`, with the source rows that `reach` says they read: `work(lane, first row, source
/// rows, rows)`. `bands` are as long for each lane as the largest of these bands.
pub(super) fn for_bands(
    cx: &Cx,
    source: &impl Source,
    reach: impl Fn(Range<usize>) -> Range<usize> + Sync,
    bands: &mut [u8],
    out: &mut [u8],
    row_len: usize,
    work: impl Fn(usize, usize, &Rows<'_>, &mut [u8]) + Sync,
) {
    let rows = out.len() / row_len;
    let band_len = bands.len() / cx.threads();
    let (bands, out) = (SharedMut::new(bands), SharedMut::new(out));
    cx.parallel_for(rows.div_ceil(TASK_ROWS), |lane, task| {
        let (first, last) = (task * TASK_ROWS, ((task + 1) * TASK_ROWS).min(rows));
        // SAFETY: a lane runs one task at a time.
        let buffer = unsafe { bands.range(lane * band_len..(lane + 1) * band_len) };
        let input = source.band(reach(first..last), buffer);
        // SAFETY: each task has its own rows.
        work(lane, first, &input, unsafe { out.range(first * row_len..last * row_len) });
    });
}
