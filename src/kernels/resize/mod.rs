//! Image resampling, equal to the two libraries that the reference models were trained and published with.
//!
//! - [`pillow`]: 8-bit interleaved pixels, bit-equal to Pillow's `Image.resize`.
//! - [`interpolate`]: f32 planes, equal to `torch.nn.functional.interpolate`;
//! - [`upscale`]: the way from a mask decoder's logits to the picture, two linear interpolations in one.
//!
//! All resample each axis on its own. An output index has a window of consecutive source indices and one weight
//! for each; the rows of weights lie in one table with a fixed stride. Any rectangle of the output can be computed
//! alone and has the same values as in the whole, because windows and weights depend on the full sizes only.

pub mod interpolate;
pub mod pillow;
pub mod upscale;

/// The source indices that one output index reads: `start .. start + len`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C)]
struct Span {
    start: u32,
    len: u32,
}

impl Span {
    fn range(self) -> core::ops::Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }
}

/// The sample of a linear interpolation, `align_corners=False`, without antialiasing: output `index` lies between two
/// source pixels, the one at the returned place and the next, at the returned distance from the first.
fn linear_sample(source: usize, target: usize, index: usize) -> (usize, f32) {
    let scale = source as f32 / target as f32;
    let position = (scale * (index as f32 + 0.5) - 0.5).max(0.0);
    let start = (position as usize).min(source - 1);
    (start, (position - start as f32).clamp(0.0, 1.0))
}
