//! What the image encoder makes of a frame.

use alloc::vec::Vec;

use super::Sam2Config;
use crate::error::Result;
use crate::exec::try_zeroed;

/// The features of a frame at three resolutions, where the image embedding has `g` tokens along a side.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrameFeatures {
    /// The image embedding, `[g, g, C]`, without the no-memory embedding.
    pub top: Vec<f32>,
    /// High-resolution features for the first upscaling of masks (`conv_s1`), `[2g, 2g, C / 4]`.
    pub s1: Vec<f32>,
    /// High-resolution features for the second upscaling of masks (`conv_s0`), `[4g, 4g, C / 8]`.
    pub s0: Vec<f32>,
}

impl FrameFeatures {
    /// Lengths of `top`, `s1` and `s0` for inputs of `config.image_size`.
    pub fn lens(config: &Sam2Config) -> [usize; 3] {
        let (tokens, dim) = (config.grid() * config.grid(), config.dim);
        [tokens * dim, 4 * tokens * (dim / 4), 16 * tokens * (dim / 8)]
    }

    /// Zeros of the given [`lens`](Self::lens).
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn zeroed([top, s1, s0]: [usize; 3]) -> Result<Self> {
        Ok(Self { top: try_zeroed(top)?, s1: try_zeroed(s1)?, s0: try_zeroed(s0)? })
    }

    /// `top`, `s1` and `s0`: the order in which they are saved.
    pub fn parts(&self) -> [&[f32]; 3] {
        [&self.top, &self.s1, &self.s0]
    }

    /// The same, to be written.
    pub fn parts_mut(&mut self) -> [&mut [f32]; 3] {
        [&mut self.top, &mut self.s1, &mut self.s0]
    }

    /// The high-resolution features, as the mask decoder takes them.
    pub fn high_res(&self) -> [&[f32]; 2] {
        [&self.s1, &self.s0]
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.parts().into_iter().map(size_of_val::<[f32]>).sum()
    }
}
