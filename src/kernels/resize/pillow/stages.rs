//! Each pass over a whole image: tables from scratch memory, rows split over the lanes.

use core::ops::Range;

use super::axis::Axis;
use super::passes::{Horizontal, Vertical};
use crate::exec::{Cx, Scratch, ScratchReq, SharedMut};
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
    /// Lengths of windows and weights, in f32.
    pub(super) fn buffers(axis: &Axis) -> [usize; 2] {
        [2 * axis.count, axis.count * axis.taps()]
    }

    pub(super) fn fill<'s: 'a>(axis: &'a Axis, scratch: &mut Scratch<'s>) -> Self {
        let [spans, weights] = scratch.take_all(Self::buffers(axis));
        let spans: &mut [Span] = bytemuck::cast_slice_mut(spans);
        let weights: &mut [i32] = bytemuck::cast_slice_mut(weights);
        axis.fill(spans, weights);
        Self { axis, spans, weights }
    }

    /// Resamples every row of `out` from a row of `source`, beginning with row `first`.
    pub(super) fn horizontal_pass<const C: usize>(
        &self,
        cx: &Cx,
        source: &impl Source,
        first: usize,
        out: &mut [u8],
        lane: LaneBuffers,
        scratch: Scratch<'_>,
    ) {
        let out_len = self.spans.len() * C;
        let columns = self.axis.reach();
        let same_rows = |rows: Range<usize>| first + rows.start..first + rows.end;
        for_bands(cx, source, same_rows, lane, out, out_len, scratch, |strip, top, input, out| {
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
                strip,
                out,
            });
        });
    }

    /// Resamples the bytes `columns` of every row of `out`, whose rows have `row_len` bytes as those of `source`.
    #[allow(clippy::too_many_arguments, reason = "an input, an output and the lanes' buffers")]
    pub(super) fn vertical_pass(
        &self,
        cx: &Cx,
        source: &impl Source,
        row_len: usize,
        columns: Range<usize>,
        out: &mut [u8],
        lane: LaneBuffers,
        scratch: Scratch<'_>,
    ) {
        let reach = |rows: Range<usize>| match self.axis.copied_from() {
            Some(first) => first + rows.start..first + rows.end,
            None => self.spans[rows.start].range().start..self.spans[rows.end - 1].range().end,
        };
        for_bands(cx, source, reach, lane, out, row_len, scratch, |_, top, input, out| {
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

/// Lengths of a lane's buffers, in bytes.
#[derive(Clone, Copy)]
pub(super) struct LaneBuffers {
    /// Source rows that are made as they are read.
    pub(super) band_len: usize,
    /// A strip of columns.
    pub(super) strip_len: usize,
}

impl LaneBuffers {
    pub(super) const NONE: Self = Self { band_len: 0, strip_len: 0 };

    pub(super) fn scratch_req(&self) -> ScratchReq {
        ScratchReq::bytes(self.band_len).and(ScratchReq::bytes(self.strip_len))
    }
}

/// Hands out blocks of rows of `out`, with the source rows that `reach` says they read: `work(strip, first row, source
/// rows, rows)`, where the strip is the lane's.
#[allow(clippy::too_many_arguments, reason = "an input, an output and the lanes' buffers")]
pub(super) fn for_bands(
    cx: &Cx,
    source: &impl Source,
    reach: impl Fn(Range<usize>) -> Range<usize> + Sync,
    lane: LaneBuffers,
    out: &mut [u8],
    row_len: usize,
    scratch: Scratch<'_>,
    work: impl Fn(&mut [u8], usize, &Rows<'_>, &mut [u8]) + Sync,
) {
    let rows = out.len() / row_len;
    let out = SharedMut::new(out);
    cx.parallel_for_with(rows.div_ceil(TASK_ROWS), lane.scratch_req(), scratch, |mut scratch, task| {
        let (first, last) = (task * TASK_ROWS, ((task + 1) * TASK_ROWS).min(rows));
        let (band, strip) = (scratch.take_bytes(lane.band_len), scratch.take_bytes(lane.strip_len));
        let input = source.band(reach(first..last), band);
        // SAFETY: each task has its own rows.
        work(strip, first, &input, unsafe { out.range(first * row_len..last * row_len) });
    });
}
