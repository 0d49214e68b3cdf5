//! Patch embedding: a convolution whose stride is its kernel size.

use core::ops::Range;

use crate::kernels::gemm::{Lhs, RowWriter};
use crate::kernels::len::len_of;

/// The non-overlapping patches of a planar image `[channels, height, width]`, as rows of a matrix.
///
/// Row `y · (width / patch) + x` is the patch at `(x, y)`; its elements are in checkpoint order
/// `(channel, row, column)`, so that a convolution weight `[dim, channels, patch, patch]` is the right-hand side
/// as it is stored. Pixels beyond the last whole patch are not used.
#[derive(Clone, Copy, Debug)]
pub struct Patches<'a> {
    image: &'a [f32],
    channels: usize,
    height: usize,
    width: usize,
    patch: usize,
}

impl<'a> Patches<'a> {
    /// The patches of `image`.
    ///
    /// # Panics
    /// If `image` does not have the size, or `patch` is 0.
    pub fn new(image: &'a [f32], channels: usize, height: usize, width: usize, patch: usize) -> Self {
        assert_eq!(
            image.len(),
            len_of([channels, height, width]),
            "image of shape [{channels}, {height}, {width}]"
        );
        assert!(patch > 0, "patch of 0 pixels");
        Self { image, channels, height, width, patch }
    }
}

impl Lhs for Patches<'_> {
    fn rows(&self) -> usize {
        (self.height / self.patch) * (self.width / self.patch)
    }

    fn depth(&self) -> usize {
        self.channels * self.patch * self.patch
    }

    fn pack(&self, rows: Range<usize>, out: &mut [f32]) {
        let per_line = self.width / self.patch;
        let count = rows.len();
        for (r, row) in rows.enumerate() {
            let mut to = RowWriter::new(out, count, r);
            let (y, x) = (row / per_line * self.patch, row % per_line * self.patch);
            for channel in 0..self.channels {
                for line in y..y + self.patch {
                    let start = (channel * self.height + line) * self.width + x;
                    to.copy(&self.image[start..][..self.patch]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn packs_in_checkpoint_order() {
        // Two channels of 5 × 7 pixels, patches of 3: a grid of 1 × 2.
        let image: Vec<f32> = (0..70).map(|i| i as f32).collect();
        let patches = Patches::new(&image, 2, 5, 7, 3);
        assert_eq!((patches.rows(), patches.depth()), (2, 18));
        let mut out = [f32::NAN; 64];
        patches.pack(0..2, &mut out);
        for row in 0..2 {
            for k in 0..18 {
                let (channel, line, column) = (k / 9, k / 3 % 3, k % 3);
                let expected = image[(channel * 5 + line) * 7 + row * 3 + column];
                assert_eq!(out[(k / 16 * 2 + row) * 16 + k % 16], expected);
            }
        }
    }
}
