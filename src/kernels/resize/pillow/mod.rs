//! Pillow's `Image.resize` for 8-bit pixels, bit for bit.
//!
//! For each axis, output `o` reads the source pixels around `center = left + (o + ½)·scale` within the filter's
//! support, which is stretched by the scale when shrinking, with weights `f((x + ½ − center) / stretch)` divided by
//! their sum and rounded to 22 fractional bits. The result of the first axis is rounded to 8 bits before the second
//! one. Source: Pillow 13.0, `src/libImaging/Resample.c` and `Geometry.c` (nearest).
//!
//! The order of the axes changes the last bit of some pixels. Pillow goes horizontally first; since version 13
//! vertically first if that removes more than twice as many rows as columns would be removed (the order that
//! [`Resample`] follows).

mod axis;
mod passes;
mod stages;
#[cfg(test)]
mod tests;

use core::ops::Range;

use axis::Axis;
use passes::COLUMN;
use stages::{Converted, LaneBuffers, Rows, Source, TASK_ROWS, Table, for_bands};

use crate::error::{Result, err};
use crate::exec::{Cx, Scratch, ScratchReq, Work};
use crate::image::{ImageView, MAX_IMAGE_SIDE, PixelFormat};

/// Largest width or height that the whole output may have; only a window of it need ever exist.
pub const MAX_TARGET_SIDE: usize = 1 << 30;

/// A resampling filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// The pixel under the output's centre.
    Nearest,
    /// Triangle of support 1.
    Bilinear,
    /// Keys' cubic convolution with a = −½, support 2.
    Bicubic,
}

impl Filter {
    /// The filter with Pillow's number `code`: 0, 2 or 3.
    pub const fn from_pillow(code: u64) -> Option<Self> {
        match code {
            0 => Some(Self::Nearest),
            2 => Some(Self::Bilinear),
            3 => Some(Self::Bicubic),
            _ => None,
        }
    }

    fn support(self) -> f64 {
        match self {
            Self::Nearest => 0.5,
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    /// `f(x)`, in the order of operations of the reference.
    fn weight(self, x: f64) -> f64 {
        let x = x.abs();
        match self {
            Self::Bilinear if x < 1.0 => 1.0 - x,
            Self::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5,
            _ => 0.0,
        }
    }
}

/// How to resample an image of 1, 3 or 4 interleaved channels: sizes, filter, source area, output window.
///
/// Building one allocates nothing; [`scratch_req`](Self::scratch_req) says what [`run`](Self::run) needs.
#[derive(Clone, Debug)]
pub struct Resample {
    channels: usize,
    filter: Filter,
    horizontal: Axis,
    vertical: Axis,
    vertical_first: bool,
}

impl Resample {
    /// Resamples all of a `source` image (width, height) to all of a `target` image (width, height).
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorCode::InvalidArgument) for a channel count other than 1, 3 or 4,
    /// [`Image`](crate::ErrorCode::Image) for a side of 0, a source side beyond [`MAX_IMAGE_SIDE`] or a target side
    /// beyond [`MAX_TARGET_SIDE`].
    pub fn new(
        channels: usize,
        source: (usize, usize),
        target: (usize, usize),
        filter: Filter,
    ) -> Result<Self> {
        if !matches!(channels, 1 | 3 | 4) {
            return Err(err!(InvalidArgument, "resampling pixels of {channels} channels"));
        }
        let axis = |source: usize, target: usize| {
            if !(1..=MAX_IMAGE_SIDE).contains(&source) || !(1..=MAX_TARGET_SIDE).contains(&target) {
                return Err(err!(Image, "cannot resample a side of {source} pixels to {target}"));
            }
            Ok(Axis { source, target, area: [0.0, source as f32], first: 0, count: target, filter })
        };
        let (horizontal, vertical) = (axis(source.0, target.0)?, axis(source.1, target.1)?);
        let vertical_first = vertical_first(source, target);
        Ok(Self { channels, filter, horizontal, vertical, vertical_first })
    }

    /// Resamples only this area of the source, in pixels: Pillow's `box`.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorCode::InvalidArgument) if the area is empty, not finite or not within the
    /// source.
    pub fn area(mut self, left: f32, top: f32, right: f32, bottom: f32) -> Result<Self> {
        for (axis, low, high) in [(&mut self.horizontal, left, right), (&mut self.vertical, top, bottom)] {
            if !(0.0 <= low && low < high && high <= axis.source as f32) {
                return Err(err!(
                    InvalidArgument,
                    "source area {low}..{high} is not within a side of {} pixels",
                    axis.source
                ));
            }
            axis.area = [low, high];
        }
        Ok(self)
    }

    /// Computes only this window of the target. Its pixels are those of the whole target.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorCode::InvalidArgument) if the window is empty or not within the target.
    pub fn window(mut self, x: usize, y: usize, width: usize, height: usize) -> Result<Self> {
        for (axis, first, count) in [(&mut self.horizontal, x, width), (&mut self.vertical, y, height)] {
            if count == 0 || first.checked_add(count).is_none_or(|end| end > axis.target) {
                return Err(err!(
                    InvalidArgument,
                    "window of {count} pixels at {first} is not within a side of {} pixels",
                    axis.target
                ));
            }
            (axis.first, axis.count) = (first, count);
        }
        Ok(self)
    }

    /// Width and height of the window.
    pub fn output_size(&self) -> (usize, usize) {
        (self.horizontal.count, self.vertical.count)
    }

    /// Scratch that [`run`](Self::run) needs.
    pub fn scratch_req(&self, cx: &Cx) -> ScratchReq {
        self.bands_scratch_req(cx, 0)
    }

    /// Windows and weights of both axes, the image between the two passes and, for each lane, a band of `band_len` bytes of
    /// source rows and a strip of columns.
    fn bands_scratch_req(&self, cx: &Cx, band_len: usize) -> ScratchReq {
        let axes = [&self.horizontal, &self.vertical];
        if self.filter == Filter::Nearest {
            let lane = LaneBuffers { band_len, strip_len: 0 };
            return ScratchReq::slices(axes.map(|axis| axis.count)).and(lane.scratch_req().per_lane(cx));
        }
        let lane = LaneBuffers { band_len, strip_len: self.strip_len() };
        let [columns, rows] = axes.map(|axis| ScratchReq::slices(Table::buffers(axis)));
        columns.and(rows).and(ScratchReq::bytes(self.between_len())).and(lane.scratch_req().per_lane(cx))
    }

    /// Bytes of the image between the passes.
    fn between_len(&self) -> usize {
        let (width, height) = if self.vertical_first {
            (self.horizontal.source, self.vertical.count)
        } else {
            (self.horizontal.count, self.vertical.reach().len())
        };
        width * height * self.channels
    }

    /// Bytes of a lane's strip.
    fn strip_len(&self) -> usize {
        self.horizontal.reach().len() * COLUMN
    }

    /// Resamples `source`, whose rows are `row_stride` bytes apart, to `out`, whose rows are packed.
    ///
    /// # Panics
    /// If `source` or `scratch` is too short, or `out` does not have the window's size.
    pub fn run(&self, cx: &Cx, source: &[u8], row_stride: usize, out: &mut [u8], scratch: Scratch<'_>) {
        let len = self.horizontal.source * self.channels;
        assert!(row_stride >= len, "rows overlap");
        assert!(source.len() >= (self.vertical.source - 1) * row_stride + len, "source too short");
        let source = Rows { bytes: source, first: 0, stride: row_stride, len };
        match self.channels {
            1 => self.run_source::<1>(cx, &source, out, scratch),
            3 => self.run_source::<3>(cx, &source, out, scratch),
            _ => self.run_source::<4>(cx, &source, out, scratch),
        }
    }

    /// Scratch that [`run_image`](Self::run_image) needs.
    pub fn image_scratch_req(&self, cx: &Cx, image: &ImageView<'_>) -> ScratchReq {
        match image.format() {
            PixelFormat::Nv12 => self.bands_scratch_req(cx, self.band_len(&Converted(image))),
            _ => self.scratch_req(cx),
        }
    }

    /// Resamples `image` to `out`, whose rows are packed. The pixels are as the image's, but RGB if it is NV12, which is
    /// converted a few rows at a time.
    ///
    /// # Panics
    /// If `image` has another size or number of channels (3 of NV12) than the source was said to have, `scratch` is too
    /// short, or `out` does not have the window's size.
    pub fn run_image(&self, cx: &Cx, image: &ImageView<'_>, out: &mut [u8], scratch: Scratch<'_>) {
        assert_eq!((image.width(), image.height()), (self.horizontal.source, self.vertical.source), "image");
        match image.format() {
            PixelFormat::Nv12 => {
                assert_eq!(self.channels, 3, "channels of NV12");
                self.run_source::<3>(cx, &Converted(image), out, scratch);
            }
            format => {
                assert_eq!(self.channels, format.bytes(), "channels of {format:?}");
                self.run(cx, image.data(), image.row_stride(), out, scratch);
            }
        }
    }

    /// Bytes of a lane's band of source rows.
    fn band_len(&self, source: &impl Source) -> usize {
        source.band_len(match self.vertical_first || self.filter == Filter::Nearest {
            true => self.vertical.most_pixels(TASK_ROWS),
            false => TASK_ROWS,
        })
    }

    fn run_source<const C: usize>(
        &self,
        cx: &Cx,
        source: &impl Source,
        out: &mut [u8],
        mut scratch: Scratch<'_>,
    ) {
        let (columns, rows) = (&self.horizontal, &self.vertical);
        let _kernel = cx.kernel("resize", || Work {
            flops: 0.0,
            bytes: (columns.source * rows.source * C + out.len()) as f64,
        });
        assert_eq!(out.len(), columns.count * rows.count * C, "output length");
        if self.filter == Filter::Nearest {
            return self.nearest::<C>(cx, source, out, scratch);
        }

        let horizontal = Table::fill(columns, &mut scratch);
        let vertical = Table::fill(rows, &mut scratch);
        let between = scratch.take_bytes(self.between_len());
        let (band_len, strip_len) = (self.band_len(source), self.strip_len());

        if self.vertical_first {
            let reach = columns.reach();
            let len = columns.source * C;
            let (bytes, lane) = (reach.start * C..reach.end * C, LaneBuffers { band_len, strip_len: 0 });
            vertical.vertical_pass(cx, source, len, bytes, between, lane, scratch.frame());
            let input = Rows { bytes: between, first: 0, stride: len, len };
            let lane = LaneBuffers { band_len: 0, strip_len };
            horizontal.horizontal_pass::<C>(cx, &input, 0, out, lane, scratch);
        } else {
            let reach = rows.reach();
            let len = columns.count * C;
            let lane = LaneBuffers { band_len, strip_len };
            horizontal.horizontal_pass::<C>(cx, source, reach.start, between, lane, scratch.frame());
            let input = Rows { bytes: between, first: reach.start, stride: len, len };
            vertical.vertical_pass(cx, &input, len, 0..len, out, LaneBuffers::NONE, scratch);
        }
    }

    /// Copies the pixel under each output's centre.
    fn nearest<const C: usize>(
        &self,
        cx: &Cx,
        source: &impl Source,
        out: &mut [u8],
        mut scratch: Scratch<'_>,
    ) {
        let [columns, rows] = [&self.horizontal, &self.vertical].map(|axis| -> &[u32] {
            let indices = bytemuck::cast_slice_mut(scratch.take(axis.count));
            axis.fill_nearest(indices);
            indices
        });
        let out_len = columns.len() * C;
        let reach = |block: Range<usize>| rows[block.start] as usize..rows[block.end - 1] as usize + 1;
        let lane = LaneBuffers { band_len: self.band_len(source), strip_len: 0 };
        for_bands(cx, source, reach, lane, out, out_len, scratch, |_, top, input, out| {
            for (&y, out) in rows[top..].iter().zip(out.chunks_exact_mut(out_len)) {
                let row = input.from(y as usize);
                for (&x, pixel) in columns.iter().zip(out.chunks_exact_mut(C)) {
                    pixel.copy_from_slice(&row[x as usize * C..][..C]);
                }
            }
        });
    }
}

/// Whether rows are resampled before columns.
fn vertical_first(source: (usize, usize), target: (usize, usize)) -> bool {
    let removed = |source: usize, target: usize| source as i64 - target as i64;
    let (columns, rows) = (removed(source.0, target.0), removed(source.1, target.1));
    rows > 0 && rows > 2 * columns
}
