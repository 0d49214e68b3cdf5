//! The pixels under a sliding kernel, as the left-hand side of a product.

use core::ops::Range;

use super::{ConvShape, Layout};
use crate::kernels::gemm::{CHUNK, Lhs, RowWriter};
use crate::kernels::len::len_of;

/// The windows of one group of a convolution, as rows of a matrix.
///
/// Row `(image · output_height + y) · output_width + x` is the window of the output at `(x, y)`; its elements are in the order
/// `(row, column, channel)` for tokens and `(channel, row, column)` for planes. Either way the pixels that a window
/// shares with a line of the input are one run in memory, or one run per pixel if there are several groups.
#[derive(Clone, Copy, Debug)]
pub struct Windows<'a> {
    /// Images of `planes · height` lines of `width` pixels, from the group's first channel on.
    images: &'a [f32],
    batches: usize,
    /// Distance of images.
    image: usize,
    planes: usize,
    height: usize,
    width: usize,
    /// Distance of pixels in a line.
    pixel: usize,
    /// How many f32 of a pixel belong to the group.
    channels: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    /// `[height, width]` of the output.
    outputs: [usize; 2],
}

impl<'a> Windows<'a> {
    /// The windows of `group` over `input`, one image of `[height, width]` pixels.
    ///
    /// # Panics
    /// If `input` does not have that size, it is too small for the kernel, or there is no such group.
    pub fn new(shape: &ConvShape, [height, width]: [usize; 2], input: &'a [f32], group: usize) -> Self {
        Self::batch(shape, [1, height, width], input, group)
    }

    /// The windows of `group` over `input`, images of `[batches, height, width]` pixels.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    pub fn batch(
        shape: &ConvShape,
        [batches, height, width]: [usize; 3],
        input: &'a [f32],
        group: usize,
    ) -> Self {
        let outputs = shape.output_size([height, width]).expect("an input of possible size");
        let image = height * width * shape.inputs;
        assert_eq!(
            input.len(),
            len_of([batches, image]),
            "input of [{batches}, {height}, {width}] and {shape:?}"
        );
        assert!(group < shape.groups, "group {group} of {shape:?}");
        let group_channels = shape.inputs / shape.groups;
        let first = group * group_channels;
        let (images, planes, pixel, channels) = match shape.layout {
            Layout::Tokens => (&input[first..], 1, shape.inputs, group_channels),
            Layout::Planar => (&input[first * height * width..], group_channels, 1, 1),
        };
        let ConvShape { kernel, stride, padding, .. } = *shape;
        Self {
            images,
            batches,
            image,
            planes,
            height,
            width,
            pixel,
            channels,
            kernel,
            stride,
            padding,
            outputs,
        }
    }
}

impl Lhs for Windows<'_> {
    fn rows(&self) -> usize {
        self.batches * self.outputs[0] * self.outputs[1]
    }

    fn depth(&self) -> usize {
        self.planes * self.kernel[0] * self.kernel[1] * self.channels
    }

    fn pack(&self, rows: Range<usize>, out: &mut [f32]) {
        if self.channels == 1 && self.depth() <= MOST_ELEMENTS {
            return self.pack_elements(rows, out);
        }
        for (r, row) in rows.clone().enumerate() {
            self.pack_runs(row, &mut RowWriter::new(out, rows.len(), r));
        }
    }
}

/// Depth up to which windows of one channel a run, three numbers or so, are packed element by element.
const MOST_ELEMENTS: usize = 64;

impl Windows<'_> {
    /// The image of window `row`, and the window's corner in the padded image.
    fn corner(&self, row: usize) -> (&[f32], [usize; 2]) {
        let line = row / self.outputs[1];
        let corner = [line % self.outputs[0] * self.stride[0], row % self.outputs[1] * self.stride[1]];
        (&self.images[line / self.outputs[0] * self.image..], corner)
    }

    /// Packs windows whose elements are far apart, or in short runs: where each comes from and goes to is found once for all rows.
    fn pack_elements(&self, rows: Range<usize>, out: &mut [f32]) {
        let Self { pixel, height, width, kernel, padding, .. } = *self;
        let count = rows.len();
        let mut places = [(0, 0); MOST_ELEMENTS];
        let places = &mut places[..self.depth()];
        let taps = kernel[0] * kernel[1];
        for (k, place) in places.iter_mut().enumerate() {
            let (plane, line, column) = (k / taps, k % taps / kernel[1], k % kernel[1]);
            let from = ((plane * height + line) * width + column) * pixel;
            *place = (from, k / CHUNK * CHUNK * count + k % CHUNK);
        }
        let last = places.last().map_or(0, |place| place.0);
        for (r, row) in rows.enumerate() {
            let (image, [top, left]) = self.corner(row);
            let inside = |axis: usize, at: usize, size: usize| {
                at >= padding[axis] && at + kernel[axis] <= size + padding[axis]
            };
            if inside(0, top, height) && inside(1, left, width) {
                let start = ((top - padding[0]) * width + left - padding[1]) * pixel;
                let (window, out) = (&image[start..=start + last], &mut out[r * CHUNK..]);
                for &(from, to) in &*places {
                    out[to] = window[from];
                }
            } else {
                self.pack_runs(row, &mut RowWriter::new(out, count, r));
            }
        }
    }

    /// Packs window `row` in runs of neighbouring channels.
    fn pack_runs(&self, row: usize, to: &mut RowWriter<'_>) {
        let Self { pixel, channels, height, width, .. } = *self;
        let [kernel_height, kernel_width] = self.kernel;
        let (image, [top, left]) = self.corner(row);
        let first = self.padding[1].saturating_sub(left).min(kernel_width);
        let end = (width + self.padding[1]).saturating_sub(left).min(kernel_width);
        for plane in 0..self.planes {
            for line in top..top + kernel_height {
                // A line above the image wraps to a large number.
                let y = line.wrapping_sub(self.padding[0]);
                if y >= height || first >= end {
                    to.zeros(kernel_width * channels);
                    continue;
                }
                let x = left + first - self.padding[1];
                let pixels = &image[((plane * height + y) * width + x) * pixel..];
                to.zeros(first * channels);
                if channels == pixel {
                    to.copy(&pixels[..(end - first) * channels]);
                } else {
                    for pixel in pixels.chunks(pixel).take(end - first) {
                        to.copy(&pixel[..channels]);
                    }
                }
                to.zeros((kernel_width - end) * channels);
            }
        }
    }
}
