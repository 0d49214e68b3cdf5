//! The pixels under a sliding kernel, as the left-hand side of a product.

use core::ops::Range;

use super::{ConvShape, Layout};
use crate::kernels::gemm::{Lhs, RowWriter};
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
        let Self { pixel, channels, height, width, .. } = *self;
        let [kernel_height, kernel_width] = self.kernel;
        let count = rows.len();
        for (r, row) in rows.enumerate() {
            let mut to = RowWriter::new(out, count, r);
            // The window's corner in the padded image, and which of its columns lie on the image.
            let line = row / self.outputs[1];
            let image = &self.images[line / self.outputs[0] * self.image..];
            let top = line % self.outputs[0] * self.stride[0];
            let left = row % self.outputs[1] * self.stride[1];
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
}
