//! `torch.nn.functional.interpolate` for f32 planes: bilinear and bicubic, `align_corners=False`.
//!
//! Output `o` of an axis lies at source position `s = scale·(o + ½) − ½`, with `scale = source / target`.
//! Without antialiasing it reads the 2 or 4 pixels around `s`, pixels beyond the border repeating the border, with
//! the triangle or Keys' cubic of a = −¾. With antialiasing the filter (cubic: a = −½) is stretched by the scale when
//! shrinking, cut off at the border and divided by its sum. Weights and sums are f32, computed as ATen does
//! (`aten/src/ATen/native/cpu/UpSampleKernel.cpp`, `UpSample.h`), columns first.
//!
//! PyTorch itself rounds `s` once or twice depending on the shape and its number of threads, because some of its
//! loops are compiled with fused multiply-adds. Here it is rounded twice, always. At a side of `n` pixels the two
//! differ by up to `n · 2⁻²⁴`; scales that are powers of two are not affected.

use super::{Span, linear_sample};
use crate::error::{Result, err};
use crate::exec::{Cx, Scratch, ScratchReq, SharedMut, Work};
use crate::kernels::len::len_of;
use crate::simd::{Simd, Vectorize};

#[cfg(test)]
mod tests;

/// Largest side of a plane, in pixels.
pub const MAX_SIDE: usize = 1 << 16;

/// Output rows that a lane computes at once; it interpolates the source rows that they need horizontally first.
const STRIP: usize = 32;

/// The shape of the interpolation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Linear in each axis.
    Bilinear,
    /// Cubic convolution in each axis.
    Bicubic,
}

/// How to interpolate planes: sizes, mode, antialiasing.
///
/// Building one allocates nothing; [`scratch_req`](Self::scratch_req) says what [`run`](Self::run) needs.
#[derive(Clone, Debug)]
pub struct Interpolate {
    columns: Axis,
    rows: Axis,
}

impl Interpolate {
    /// Interpolates planes of `source` (height, width) to `target` (height, width).
    ///
    /// # Errors
    /// [`Limit`](crate::ErrorCode::Limit) for a side of 0 or beyond [`MAX_SIDE`].
    pub fn new(source: (usize, usize), target: (usize, usize), mode: Mode, antialias: bool) -> Result<Self> {
        let axis = |source: usize, target: usize| {
            if !(1..=MAX_SIDE).contains(&source) || !(1..=MAX_SIDE).contains(&target) {
                return Err(err!(Limit, "cannot interpolate a side of {source} to {target}"));
            }
            Ok(Axis { source, target, mode, antialias })
        };
        Ok(Self { rows: axis(source.0, target.0)?, columns: axis(source.1, target.1)? })
    }

    /// Scratch that [`run`](Self::run) needs.
    pub fn scratch_req(&self, cx: &Cx) -> ScratchReq {
        let tables = [&self.columns, &self.rows].map(|axis| ScratchReq::slices(Table::buffers(axis)));
        tables[0].and(tables[1]).and(ScratchReq::slices(self.buffers()).per_lane(cx))
    }

    /// Lengths of a lane's buffers, in f32: a source row, and the horizontally interpolated source rows of a strip.
    fn buffers(&self) -> [usize; 2] {
        let rows = STRIP as f32 * self.rows.scale();
        let rows = (libm::ceilf(rows) as usize + self.rows.taps() + 1).min(self.rows.source);
        [self.columns.source, rows * self.columns.target]
    }

    /// Interpolates each of `planes`, which lie one after the other in `source` and in `out`.
    ///
    /// # Panics
    /// If `source` or `out` do not hold `planes` planes, or `scratch` is too short.
    pub fn run(&self, cx: &Cx, planes: usize, source: &[f32], out: &mut [f32], scratch: Scratch<'_>) {
        let (width, height) = (self.columns.source, self.rows.source);
        assert_eq!(source.len(), len_of([planes, height, width]), "source length");
        self.run_source(cx, planes, Source::Planes(source), out, scratch);
    }

    /// [`run`](Self::run), with source rows that are made when they are read: `fill(plane, row, values)` writes one. Rows
    /// are read more than once.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn run_rows(
        &self,
        cx: &Cx,
        planes: usize,
        fill: &(dyn Fn(usize, usize, &mut [f32]) + Sync),
        out: &mut [f32],
        scratch: Scratch<'_>,
    ) {
        self.run_source(cx, planes, Source::Rows(fill), out, scratch);
    }

    fn run_source(
        &self,
        cx: &Cx,
        planes: usize,
        source: Source<'_>,
        out: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        let (width, out_width, out_height) = (self.columns.source, self.columns.target, self.rows.target);
        let _kernel = cx.kernel("interpolate", || Work {
            flops: 0.0,
            bytes: 4.0 * (planes * width * self.rows.source + out.len()) as f64,
        });
        assert_eq!(out.len(), len_of([planes, out_height, out_width]), "output length");

        let columns = Table::fill(&self.columns, &mut scratch);
        let rows = Table::fill(&self.rows, &mut scratch);
        let out = SharedMut::new(out);

        let strips = out_height.div_ceil(STRIP);
        let buffers = ScratchReq::slices(self.buffers());
        cx.parallel_for_with(planes * strips, buffers, scratch, |mut scratch, task| {
            let (plane, strip) = (task / strips, task % strips);
            let (top, bottom) = (strip * STRIP, ((strip + 1) * STRIP).min(out_height));
            let first = rows.spans[top].range().start;
            let last = rows.spans[top..bottom].iter().map(|span| span.range().end).max().unwrap_or(first);
            let [buffer, between] = scratch.take_all(self.buffers());
            let between = &mut between[..(last - first) * out_width];
            for (number, out) in (first..last).zip(between.chunks_exact_mut(out_width)) {
                let source = match source {
                    Source::Planes(planes) => &planes[(plane * self.rows.source + number) * width..][..width],
                    Source::Rows(fill) => {
                        fill(plane, number, &mut *buffer);
                        &*buffer
                    }
                };
                cx.level().dispatch(Columns { source, columns: &columns, out });
            }
            // SAFETY: each task has its own rows.
            let out = unsafe {
                let plane = plane * out_height;
                out.range((plane + top) * out_width..(plane + bottom) * out_width)
            };
            cx.level().dispatch(Strip { between, first, rows: &rows, top, width: out_width, out });
        });
    }
}

/// Where the source rows come from.
#[derive(Clone, Copy)]
enum Source<'a> {
    Planes(&'a [f32]),
    Rows(&'a (dyn Fn(usize, usize, &mut [f32]) + Sync)),
}

/// One axis of an interpolation.
#[derive(Clone, Debug)]
struct Axis {
    source: usize,
    target: usize,
    mode: Mode,
    antialias: bool,
}

impl Axis {
    fn scale(&self) -> f32 {
        self.source as f32 / self.target as f32
    }

    /// Half the window of the antialiasing filter, in source pixels.
    fn support(&self) -> f32 {
        let support = match self.mode {
            Mode::Bilinear => 1.0,
            Mode::Bicubic => 2.0,
        };
        support * self.scale().max(1.0)
    }

    /// Most source pixels that an output reads.
    fn taps(&self) -> usize {
        match (self.antialias, self.mode) {
            (true, _) => libm::ceilf(self.support()) as usize * 2 + 1,
            (false, Mode::Bilinear) => 2,
            (false, Mode::Bicubic) => 4,
        }
    }

    /// Window and weights of output `index`. Only the first `len` weights are written.
    fn fill(&self, index: usize, weights: &mut [f32]) -> Span {
        if self.antialias {
            return self.fill_antialiased(index, weights);
        }
        match self.mode {
            Mode::Bilinear => {
                let (start, fraction) = linear_sample(self.source, self.target, index);
                self.fold(start as isize, &[1.0 - fraction, fraction], weights)
            }
            Mode::Bicubic => {
                let position = self.scale() * (index as f32 + 0.5) - 0.5;
                let floor = libm::floorf(position).min(self.source as f32 - 1.0);
                let t = (position - floor).clamp(0.0, 1.0);
                let taps = [
                    cubic_tail(t + 1.0, -0.75),
                    cubic_head(t, -0.75),
                    cubic_head(1.0 - t, -0.75),
                    cubic_tail(2.0 - t, -0.75),
                ];
                self.fold(floor as isize - 1, &taps, weights)
            }
        }
    }

    /// Adds the weights of taps beyond the border to the border's.
    fn fold(&self, start: isize, taps: &[f32], weights: &mut [f32]) -> Span {
        let last = self.source as isize - 1;
        let first = start.clamp(0, last);
        let len = (start + taps.len() as isize - 1).clamp(0, last) - first + 1;
        weights[..len as usize].fill(0.0);
        for (index, tap) in (start..).zip(taps) {
            weights[(index.clamp(0, last) - first) as usize] += tap;
        }
        Span { start: first as u32, len: len as u32 }
    }

    fn fill_antialiased(&self, index: usize, weights: &mut [f32]) -> Span {
        // ATen adds its halves in f64 and rounds the results to f32.
        let center = (f64::from(self.scale()) * (index as f64 + 0.5)) as f32;
        let support = self.support();
        let start = (f64::from(center - support) + 0.5) as u32;
        let end = ((f64::from(center + support) + 0.5) as u32).min(self.source as u32);
        let len = (end - start).min(self.taps() as u32);
        let inverse = 1.0 / self.scale().max(1.0);
        let mut sum = 0.0;
        for (i, weight) in weights[..len as usize].iter_mut().enumerate() {
            let x = ((f64::from((start + i as u32) as f32 - center) + 0.5) * f64::from(inverse)) as f32;
            *weight = match (self.mode, x.abs()) {
                (Mode::Bilinear, x) if x < 1.0 => 1.0 - x,
                (Mode::Bicubic, x) if x < 1.0 => cubic_head(x, -0.5),
                (Mode::Bicubic, x) if x < 2.0 => cubic_tail(x, -0.5),
                _ => 0.0,
            };
            sum += *weight;
        }
        if sum != 0.0 {
            weights[..len as usize].iter_mut().for_each(|weight| *weight /= sum);
        }
        Span { start, len }
    }
}

/// Keys' cubic for `x <= 1`: `(a + 2)x³ − (a + 3)x² + 1`.
///
/// The fused steps are those of ATen's compiled code: near its zeros the plain ones differ in the sixth digit.
fn cubic_head(x: f32, a: f32) -> f32 {
    libm::fmaf(libm::fmaf(a + 2.0, x, -(a + 3.0)) * x, x, 1.0)
}

/// Keys' cubic for `1 < x < 2`: `ax³ − 5ax² + 8ax − 4a`.
fn cubic_tail(x: f32, a: f32) -> f32 {
    libm::fmaf(libm::fmaf(libm::fmaf(a, x, -5.0 * a), x, 8.0 * a), x, -4.0 * a)
}

/// Windows and weights of one axis.
struct Table<'a> {
    spans: &'a [Span],
    weights: &'a [f32],
    stride: usize,
}

impl<'a> Table<'a> {
    /// Lengths of windows and weights, in f32.
    fn buffers(axis: &Axis) -> [usize; 2] {
        [2 * axis.target, axis.target * axis.taps()]
    }

    fn fill(axis: &Axis, scratch: &mut Scratch<'a>) -> Self {
        let stride = axis.taps();
        let [spans, weights] = scratch.take_all(Self::buffers(axis));
        let spans: &mut [Span] = bytemuck::cast_slice_mut(spans);
        for (i, (span, weights)) in spans.iter_mut().zip(weights.chunks_exact_mut(stride)).enumerate() {
            *span = axis.fill(i, weights);
        }
        Self { spans, weights, stride }
    }

    fn window(&self, index: usize) -> (core::ops::Range<usize>, &'a [f32]) {
        let span = self.spans[index];
        (span.range(), &self.weights[index * self.stride..][..span.len as usize])
    }
}

/// A source row, interpolated horizontally.
struct Columns<'a> {
    source: &'a [f32],
    columns: &'a Table<'a>,
    out: &'a mut [f32],
}

impl Vectorize for Columns<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (x, out) in self.out.iter_mut().enumerate() {
            let (range, weights) = self.columns.window(x);
            *out = self.source[range].iter().zip(weights).map(|(pixel, weight)| pixel * weight).sum();
        }
    }
}

/// A strip of output rows of one plane.
struct Strip<'a> {
    /// The source rows that the strip reads, interpolated horizontally.
    between: &'a [f32],
    /// Row number of the first of them.
    first: usize,
    rows: &'a Table<'a>,
    /// Row number of the first row of `out`.
    top: usize,
    width: usize,
    out: &'a mut [f32],
}

impl Vectorize for Strip<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let out_width = self.width;
        for (y, out) in (self.top..).zip(self.out.chunks_exact_mut(out_width)) {
            let (range, weights) = self.rows.window(y);
            out.fill(0.0);
            for (row, &weight) in range.zip(weights) {
                let row = &self.between[(row - self.first) * out_width..][..out_width];
                for (out, pixel) in out.iter_mut().zip(row) {
                    *out += pixel * weight;
                }
            }
        }
    }
}
