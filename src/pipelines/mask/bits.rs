//! Masks as rows of bits, and their way to run lengths.

use alloc::vec::Vec;

use super::rle::{self, Rle, Runs};
use crate::error::{Result, err};
use crate::exec::{out_of_memory, try_zeroed};

/// A binary mask with a bit per pixel: bit `x % 64` of word `x / 64` of row `y` is pixel `(x, y)`. Bits beyond the
/// width are 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BitMask {
    width: u32,
    height: u32,
    words: Vec<u64>,
}

impl BitMask {
    /// An empty mask.
    ///
    /// # Errors
    /// `Limit` for more than 2³² − 1 pixels, `OutOfMemory`.
    pub fn new(width: usize, height: usize) -> Result<Self> {
        let mut mask = Self::default();
        mask.reset(width, height)?;
        Ok(mask)
    }

    /// Makes this an empty mask of another size; allocates only to grow.
    ///
    /// # Errors
    /// `Limit` for more than 2³² − 1 pixels, `OutOfMemory`: the mask is without pixels then.
    pub fn reset(&mut self, width: usize, height: usize) -> Result<()> {
        let size = rle::checked(width, height)?;
        (self.width, self.height) = (0, 0);
        self.words.clear();
        let len = width.div_ceil(64) * height;
        self.words.try_reserve(len).map_err(|_| out_of_memory())?;
        self.words.resize(len, 0);
        (self.width, self.height) = size;
        Ok(())
    }

    /// The mask of the pixels of `mask: [height, width]` that are not 0.
    ///
    /// # Errors
    /// `InvalidArgument` if `mask` does not have that many pixels, `Limit` if these are more than 2³² − 1,
    /// `OutOfMemory`.
    pub fn from_mask(mask: &[u8], width: usize, height: usize) -> Result<Self> {
        let mut bits = Self::new(width, height)?;
        if mask.len() != width * height {
            return Err(err!(InvalidArgument, "mask of {} pixels, {width}x{height} expected", mask.len()));
        }
        let row_words = bits.row_words().max(1);
        for (words, pixels) in bits.words.chunks_exact_mut(row_words).zip(mask.chunks_exact(width.max(1))) {
            for (word, pixels) in words.iter_mut().zip(pixels.chunks(64)) {
                *word = pixels.iter().rev().fold(0, |word, &pixel| word << 1 | u64::from(pixel != 0));
            }
        }
        Ok(bits)
    }

    /// Writes the mask as bytes 0 and 1 into `out: [height, width]`.
    ///
    /// # Errors
    /// `BufferTooSmall` if `out` holds fewer pixels.
    pub fn to_mask(&self, out: &mut [u8]) -> Result<()> {
        let (width, height) = (self.width(), self.height());
        let len = out.len();
        let Some(out) = out.get_mut(..width * height) else {
            return Err(err!(BufferTooSmall, "buffer of {len} bytes for a mask of {width}x{height}"));
        };
        for (out, words) in out.chunks_exact_mut(width.max(1)).zip(self.rows()) {
            for (out, &word) in out.chunks_mut(64).zip(words) {
                for (bit, out) in out.iter_mut().enumerate() {
                    *out = (word >> bit & 1) as u8;
                }
            }
        }
        Ok(())
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width as usize
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height as usize
    }

    /// Words in a row.
    pub fn row_words(&self) -> usize {
        self.width().div_ceil(64)
    }

    /// All rows, to be written. Bits beyond the width must stay 0.
    pub fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }

    fn rows(&self) -> impl Iterator<Item = &[u64]> {
        self.words.chunks_exact(self.row_words().max(1))
    }

    /// Pixels that are set.
    pub fn area(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// The first and last column and row that have a pixel as `[left, top, right, bottom]`, zeros if none has
    /// (`batched_mask_to_box`).
    pub fn extent(&self) -> [u32; 4] {
        let is_used = |row: &[u64]| row.iter().any(|&word| word != 0);
        let Some(top) = self.rows().position(is_used) else { return [0; 4] };
        let below = self.words.rchunks_exact(self.row_words()).position(is_used).unwrap_or(0);
        let column = |word: usize| self.rows().fold(0, |all, row| all | row[word]);
        let columns = (0..self.row_words()).map(|word| (word as u32, column(word)));
        let (mut left, mut right) = (u32::MAX, 0);
        for (word, bits) in columns.filter(|&(_, bits)| bits != 0) {
            left = left.min(64 * word + bits.trailing_zeros());
            right = 64 * word + 63 - bits.leading_zeros();
        }
        [left, top as u32, right, self.height - 1 - below as u32]
    }

    /// The mask as run lengths.
    ///
    /// Runs go down the columns whereas the words go along the rows: blocks of 64 × 64 pixels are transposed.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn to_rle(&self) -> Result<Rle> {
        let (row_words, blocks) = (self.row_words(), self.height().div_ceil(64));
        let mut runs = Runs::default();
        // Of 64 columns, the words that go down each.
        let mut columns = try_zeroed(64 * blocks)?;
        for word in 0..row_words {
            let used = (self.width() - 64 * word).min(64);
            if self.rows().all(|row| row[word] == 0) {
                runs.push(false, used as u32 * self.height)?;
                continue;
            }
            for block in 0..blocks {
                let mut tile = [0; 64];
                let rows = self.words.chunks_exact(row_words).skip(64 * block);
                tile.iter_mut().zip(rows).for_each(|(tile, row)| *tile = row[word]);
                transpose(&mut tile);
                for (x, &tile) in tile.iter().enumerate() {
                    columns[x * blocks + block] = tile;
                }
            }
            for column in columns.chunks_exact(blocks.max(1)).take(used) {
                push_column(&mut runs, column, self.height)?;
            }
        }
        runs.finish(self.width, self.height)
    }
}

impl Rle {
    /// The mask of the pixels of `mask: [height, width]` that are not 0.
    ///
    /// # Errors
    /// As [`BitMask::from_mask`].
    pub fn from_mask(mask: &[u8], width: usize, height: usize) -> Result<Self> {
        BitMask::from_mask(mask, width, height)?.to_rle()
    }
}

/// Appends the first `height` bits of a column.
fn push_column(runs: &mut Runs, words: &[u64], height: u32) -> Result<()> {
    let mut rest = height;
    for &word in words {
        let (mut word, mut bits) = (word, rest.min(64));
        rest -= bits;
        while bits > 0 {
            let value = word & 1 == 1;
            let length = if value { word.trailing_ones() } else { word.trailing_zeros() }.min(bits);
            runs.push(value, length)?;
            bits -= length;
            word = word.checked_shr(length).unwrap_or(0);
        }
    }
    Ok(())
}

/// Exchanges bit `j` of word `i` and bit `i` of word `j`, for all `i` and `j`: halves of the square, then quarters,
/// and so on down to single bits.
fn transpose(tile: &mut [u64; 64]) {
    let mut half = 32;
    let mut low = u64::MAX >> 32;
    while half > 0 {
        for i in (0..64).filter(|i| i & half == 0) {
            let exchanged = (tile[i] >> half ^ tile[i + half]) & low;
            tile[i] ^= exchanged << half;
            tile[i + half] ^= exchanged;
        }
        half /= 2;
        low ^= low << half;
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::super::testing::noise;
    use super::*;
    use crate::ErrorCode;

    const SIZES: [(usize, usize); 9] =
        [(0, 0), (0, 3), (1, 1), (1, 130), (130, 1), (63, 65), (64, 64), (65, 63), (200, 131)];

    #[test]
    fn both_forms_hold_the_same_pixels() {
        for (seed, (width, height)) in SIZES.into_iter().enumerate() {
            for percent in [0, 1, 50, 99, 100] {
                let pixels = noise(seed as u32, width, height, percent);
                let bits = BitMask::from_mask(&pixels, width, height).unwrap();
                let mut back = vec![9; width * height];
                bits.to_mask(&mut back).unwrap();
                assert_eq!(back, pixels);

                let mask = bits.to_rle().unwrap();
                mask.to_mask(&mut back).unwrap();
                assert_eq!(back, pixels, "{width}x{height}");
                assert_eq!((bits.area(), bits.extent()), (mask.area(), mask.extent()), "{width}x{height}");
                assert_eq!(Rle::from_counts(mask.counts(), width, height).unwrap(), mask, "not canonical");
            }
        }
    }

    #[test]
    fn single_pixels_have_their_extent() {
        for (x, y) in [(0, 0), (63, 1), (64, 2), (99, 69)] {
            let mut pixels = vec![0; 100 * 70];
            pixels[y * 100 + x] = 255;
            let bits = BitMask::from_mask(&pixels, 100, 70).unwrap();
            assert_eq!(bits.extent(), [x as u32, y as u32, x as u32, y as u32]);
        }
    }

    #[test]
    fn transposing_moves_every_bit() {
        let mut tile = core::array::from_fn(|i| (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let before = tile;
        transpose(&mut tile);
        for (i, row) in tile.iter().enumerate() {
            for (j, column) in before.iter().enumerate() {
                assert_eq!(row >> j & 1, column >> i & 1);
            }
        }
    }

    #[test]
    fn resetting_clears() {
        let mut bits = BitMask::from_mask(&[1; 100], 10, 10).unwrap();
        bits.reset(7, 20).unwrap();
        assert_eq!((bits.width(), bits.height(), bits.area()), (7, 20, 0));
        assert_eq!(bits.reset(1 << 20, 1 << 20).unwrap_err().code(), ErrorCode::Limit);
    }
}
