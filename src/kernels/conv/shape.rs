//! The sizes of a convolution.

use crate::error::{Result, err};

/// How the channels of an input lie in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// `[height, width, channels]`: a pixel is a token, as transformers have them.
    #[default]
    Tokens,
    /// `[channels, height, width]`: a picture, as preprocessing makes it.
    Planar,
}

/// The sizes of a two-dimensional convolution; pairs are `[vertical, horizontal]`.
///
/// ```
/// # use vitrum::kernels::conv::ConvShape;
/// // The second convolution of SAM's neck.
/// let shape = ConvShape::new(256, 256, [3, 3]).with_padding([1, 1]);
/// assert_eq!(shape.output_size([64, 64]).unwrap(), [64, 64]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the output.
    pub outputs: usize,
    /// Taps.
    pub kernel: [usize; 2],
    /// Pixels from one window to the next.
    pub stride: [usize; 2],
    /// Zeros added on each side of the input.
    pub padding: [usize; 2],
    /// Groups of channels that are convolved separately; `inputs` groups of one channel are a depthwise
    /// convolution.
    pub groups: usize,
    /// Layout of the input. The output is always tokens, `[height, width, outputs]`.
    pub layout: Layout,
}

impl ConvShape {
    /// Stride 1, no padding, one group, tokens.
    pub const fn new(inputs: usize, outputs: usize, kernel: [usize; 2]) -> Self {
        let (stride, padding) = ([1, 1], [0, 0]);
        Self { inputs, outputs, kernel, stride, padding, groups: 1, layout: Layout::Tokens }
    }

    /// A depthwise convolution: each channel with a kernel of its own.
    pub const fn depthwise(channels: usize, kernel: [usize; 2]) -> Self {
        Self::new(channels, channels, kernel).with_groups(channels)
    }

    /// The same with another stride.
    #[must_use]
    pub const fn with_stride(self, stride: [usize; 2]) -> Self {
        Self { stride, ..self }
    }

    /// The same with other padding.
    #[must_use]
    pub const fn with_padding(self, padding: [usize; 2]) -> Self {
        Self { padding, ..self }
    }

    /// The same with more groups.
    #[must_use]
    pub const fn with_groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// The same over a planar input.
    #[must_use]
    pub const fn planar(self) -> Self {
        Self { layout: Layout::Planar, ..self }
    }

    /// Checks that such a convolution exists.
    ///
    /// # Errors
    /// `InvalidArgument` for a size of 0 or groups that do not divide the channels, `Limit` if the number of weights
    /// overflows.
    pub fn check(&self) -> Result<()> {
        let Self { inputs, outputs, kernel, stride, groups, .. } = *self;
        if [inputs, outputs, kernel[0], kernel[1], stride[0], stride[1], groups].contains(&0) {
            return Err(err!(InvalidArgument, "convolution with a size of 0: {self:?}"));
        }
        if !inputs.is_multiple_of(groups) || !outputs.is_multiple_of(groups) {
            return Err(err!(
                InvalidArgument,
                "{groups} groups do not divide {inputs} input and {outputs} output channels"
            ));
        }
        let most = isize::MAX as usize / size_of::<f32>();
        match self.weight_shape().into_iter().try_fold(1, usize::checked_mul) {
            Some(weights) if weights <= most => Ok(()),
            _ => Err(err!(Limit, "convolution with too many weights: {self:?}")),
        }
    }

    /// The weight's shape in a checkpoint, `[outputs, inputs / groups, kernel height, kernel width]`.
    pub const fn weight_shape(&self) -> [usize; 4] {
        [self.outputs, self.inputs / self.groups, self.kernel[0], self.kernel[1]]
    }

    /// `[height, width]` of the output for an input of that size: `⌊(in + 2·padding − kernel) / stride⌋ + 1` each.
    ///
    /// # Errors
    /// `InvalidArgument` if the input has no pixels or, with its padding, is smaller than the kernel; `Limit` if a
    /// size overflows.
    pub fn output_size(&self, [height, width]: [usize; 2]) -> Result<[usize; 2]> {
        let extent = |axis: usize, size: usize| -> Option<usize> {
            let padded = self.padding[axis].checked_mul(2)?.checked_add(size)?;
            Some(padded.checked_sub(self.kernel[axis]).map_or(0, |rest| rest / self.stride[axis] + 1))
        };
        let too_large = || err!(Limit, "convolution over {width}x{height} pixels is too large");
        let rows = extent(0, height).ok_or_else(too_large)?;
        let columns = extent(1, width).ok_or_else(too_large)?;
        if [rows, columns, height, width].contains(&0) {
            let [kernel_height, kernel_width] = self.kernel;
            return Err(err!(
                InvalidArgument,
                "input of {width}x{height} pixels is too small for a kernel of {kernel_width}x{kernel_height}"
            ));
        }
        let fits = |size: [usize; 2], channels: usize| {
            size.into_iter().try_fold(channels, usize::checked_mul).is_some()
        };
        if !fits([height, width], self.inputs) || !fits([rows, columns], self.outputs) {
            return Err(too_large());
        }
        Ok([rows, columns])
    }

    /// Whether every channel is a group of its own.
    pub fn is_depthwise(&self) -> bool {
        self.groups == self.inputs && self.groups == self.outputs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    #[test]
    fn output_sizes_follow_the_formula() {
        let size = |kernel, stride, padding, size| {
            let shape = ConvShape::new(1, 1, [kernel; 2]).with_stride([stride; 2]).with_padding([padding; 2]);
            shape.output_size([size, size + 1]).ok()
        };
        assert_eq!(size(3, 1, 1, 64), Some([64, 65]));
        assert_eq!(size(7, 4, 3, 1024), Some([256, 257]));
        assert_eq!(size(3, 2, 1, 5), Some([3, 3]));
        assert_eq!(size(5, 1, 0, 5), Some([1, 2]));
        assert_eq!(size(5, 1, 0, 4), None);
        assert_eq!(size(5, 1, 2, 1), Some([1, 2]));
    }

    #[test]
    fn impossible_sizes_are_errors() {
        let shape = ConvShape::new(4, 6, [3, 3]);
        let code = |shape: ConvShape| shape.check().unwrap_err().code();
        assert!(shape.check().is_ok() && shape.with_groups(2).check().is_ok());
        assert_eq!(code(shape.with_groups(3)), ErrorCode::InvalidArgument);
        assert_eq!(code(shape.with_groups(0)), ErrorCode::InvalidArgument);
        assert_eq!(code(shape.with_stride([1, 0])), ErrorCode::InvalidArgument);
        assert_eq!(code(ConvShape::new(1 << 31, 1 << 31, [3, 3])), ErrorCode::Limit);

        let code = |shape: ConvShape, size| shape.output_size(size).unwrap_err().code();
        assert_eq!(code(shape, [2, 9]), ErrorCode::InvalidArgument);
        assert_eq!(code(shape.with_padding([5, 5]), [0, 9]), ErrorCode::InvalidArgument);
        assert_eq!(code(shape.with_padding([usize::MAX, 0]), [9, 9]), ErrorCode::Limit);
        assert_eq!(code(shape, [usize::MAX, 9]), ErrorCode::Limit);
    }
}
