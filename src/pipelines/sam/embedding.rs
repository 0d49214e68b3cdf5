//! A picture as the mask decoder sees it: computed once, used for any number of prompts, kept in a file if wanted.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::error::{Result, err};
use crate::exec::{Monitor, try_with_capacity, try_zeroed};
use crate::image::{ImageView, PixelFormat};
use crate::kernels::mask_decoder::HighResLayout;
use crate::kernels::resize::upscale::Upscale;
use crate::simd::Level;
use crate::weights::Fnv64;

/// Begins every saved embedding.
const MAGIC: [u8; 8] = *b"vitrumSE";
/// Versions of the format: SAM's, and SAM 2's, whose values go on with the larger maps; and both with the picture's
/// fingerprint, without which earlier versions of the library wrote them.
const VERSION: u32 = 1;
const VERSION_WITH_MAPS: u32 = 2;
const WITH_PICTURE: u32 = 2;
const LATEST: u32 = VERSION_WITH_MAPS + WITH_PICTURE;
/// Bytes before the values, of the picture's fingerprint among them, and of the checksum behind them.
const HEADER: usize = 8 + 4 + 4 + 8 + 4 * 4 + 8;
const PICTURE: usize = 8;
const CHECKSUM: usize = 8;

/// Where a picture lies in the model's input. Sizes are heights and widths, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Geometry {
    /// The picture.
    pub original: [usize; 2],
    /// The resized picture, in the top left corner of the input.
    pub resized: [usize; 2],
    /// Side of the input.
    pub input: usize,
}

/// An encoded picture: the output of the image encoder, and what the mask decoder derives from it alone.
///
/// Immutable; share it between threads. It belongs to the model that made it, with the instruction set that it was made with;
/// what [`save`](Self::save) writes can be restored with any.
#[derive(Clone, Debug)]
pub struct Embedding {
    /// Of the model.
    pub(super) fingerprint: u64,
    /// Of the picture's pixels; unknown of what was saved by a version that did not keep it.
    pub(super) picture: Option<u64>,
    pub(super) geometry: Geometry,
    /// `[grid², C]`
    pub(super) values: Vec<f32>,
    /// The decoder's projections of the image, see [`MaskDecoder::cache`](crate::models::sam::MaskDecoder::cache).
    pub(super) cache: Vec<f32>,
    /// Whose vectors the cache is packed for.
    pub(super) level: Level,
    /// The larger maps of a SAM 2, which are the end of the cache.
    pub(super) maps: Option<HighResLayout>,
    /// From the decoder's masks to the picture.
    pub(super) upscale: Arc<Upscale>,
}

impl Embedding {
    /// Width and height of the picture, in pixels.
    pub fn image_size(&self) -> (usize, usize) {
        let [height, width] = self.geometry.original;
        (width, height)
    }

    /// Whether this embedding was made from `image`, that is, from the same pixels in any layout. `None` if that is not
    /// known, because an earlier version of the library saved the embedding.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn is_of(&self, image: &ImageView<'_>) -> Result<Option<bool>> {
        let is_size = self.image_size() == (image.width(), image.height());
        let is_same = |picture| Ok(is_size && picture == fingerprint(image, &Monitor::none())?);
        self.picture.map(is_same).transpose()
    }

    /// Where the picture lies in the model's input.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The image encoder's output, `[grid, grid, C]`, row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&self.values[..]) + size_of_val(&self.cache[..])
    }

    /// Bytes that [`save`](Self::save) writes.
    pub fn saved_bytes(&self) -> usize {
        HEADER + self.picture.map_or(0, |_| PICTURE) + self.saved_len() * size_of::<f32>() + CHECKSUM
    }

    /// The embedding as bytes, for [`Sam::restore`](super::Sam::restore).
    ///
    /// Little endian: the magic `vitrumSE`, version u32, side of the input u32, fingerprint of the model u64, height
    /// and width of the picture and of the resized picture u32 each, fingerprint of the picture's pixels u64, the number
    /// of values u64, the values f32, and the FNV-1a hash of all this u64. The version is 3 for a SAM and 4 for a SAM 2,
    /// whose larger maps follow the values of the embedding: `[(2 · grid)², C / 4]`, `[(4 · grid)², C / 8]`. Versions 1
    /// and 2 are the same without the picture's fingerprint.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn save(&self) -> Result<Vec<u8>> {
        let Geometry { original, resized, input } = self.geometry;
        let mut bytes = try_with_capacity(self.saved_bytes())?;
        bytes.extend_from_slice(&MAGIC);
        let version = if self.maps.is_some() { VERSION_WITH_MAPS } else { VERSION };
        let version = version + self.picture.map_or(0, |_| WITH_PICTURE);
        bytes.extend_from_slice(&version.to_le_bytes());
        bytes.extend_from_slice(&(input as u32).to_le_bytes());
        bytes.extend_from_slice(&self.fingerprint.to_le_bytes());
        for side in original.into_iter().chain(resized) {
            bytes.extend_from_slice(&(side as u32).to_le_bytes());
        }
        if let Some(picture) = self.picture {
            bytes.extend_from_slice(&picture.to_le_bytes());
        }
        bytes.extend_from_slice(&(self.saved_len() as u64).to_le_bytes());
        let mut put = |values: &[f32]| {
            values.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        };
        put(&self.values);
        if let Some(maps) = self.maps {
            let [s1, s0] = maps.map_lens().map(try_zeroed);
            let mut unpacked = [s1?, s0?];
            let packed = &self.cache[self.cache.len() - maps.packed_len()..];
            maps.unpack(packed, unpacked.each_mut().map(|map| &mut map[..]));
            unpacked.iter().for_each(|map| put(map));
        }
        let checksum = hash(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        Ok(bytes)
    }

    /// Values that are saved.
    fn saved_len(&self) -> usize {
        self.values.len() + self.maps.map_or(0, |maps| maps.map_lens().iter().sum())
    }
}

/// What a saved embedding says, its values still as bytes.
pub(super) struct Saved<'a> {
    pub(super) fingerprint: u64,
    pub(super) picture: Option<u64>,
    pub(super) geometry: Geometry,
    /// Whether the values go on with the larger maps of a SAM 2.
    pub(super) has_maps: bool,
    values: &'a [u8],
}

impl<'a> Saved<'a> {
    /// Reads `bytes`. Nothing is allocated, and nothing in them is believed but their checksum.
    ///
    /// # Errors
    /// `Format` if these are not the whole, undamaged bytes of a saved embedding, `Unsupported` for a later version of
    /// the format.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self> {
        let Some(rest) = bytes.strip_prefix(&MAGIC) else {
            return Err(err!(Format, "not a saved embedding"));
        };
        let mut fields = Fields(rest);
        let version = fields.u32()?;
        if !(VERSION..=LATEST).contains(&version) {
            return Err(err!(Unsupported, "saved embedding of version {version}, expected up to {LATEST}"));
        }
        let input = fields.u32()? as usize;
        let fingerprint = fields.u64()?;
        let mut side = || fields.u32().map(|side| side as usize);
        let original = [side()?, side()?];
        let resized = [side()?, side()?];
        let picture = if version > WITH_PICTURE { Some(fields.u64()?) } else { None };
        let count = fields.u64()?;
        let values = fields.0;
        let expected = count.checked_mul(size_of::<f32>() as u64).and_then(|len| len.checked_add(8));
        if expected != Some(values.len() as u64) {
            return Err(err!(Format, "saved embedding of {count} values has {} bytes", bytes.len()));
        }
        let (values, checksum) = values.split_at(values.len() - CHECKSUM);
        if Fields(checksum).u64()? != hash(&bytes[..bytes.len() - CHECKSUM]) {
            return Err(err!(Format, "saved embedding is damaged: its checksum differs"));
        }
        let has_maps = version % WITH_PICTURE == VERSION_WITH_MAPS % WITH_PICTURE;
        let geometry = Geometry { original, resized, input };
        Ok(Self { fingerprint, picture, geometry, has_maps, values })
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.values.len() / size_of::<f32>()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = f32> + 'a {
        let (values, _) = self.values.as_chunks();
        values.iter().map(|&bytes| f32::from_le_bytes(bytes))
    }
}

/// The fields still to be read.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (field, rest) =
            self.0.split_first_chunk().ok_or_else(|| err!(Format, "saved embedding is cut off"))?;
        self.0 = rest;
        Ok(*field)
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

/// A number that two pictures share only if all their pixels are equal, accidents of 2⁻⁶⁴ aside. Alpha and the layout in
/// memory do not count.
///
/// Of each row of RGB, four chains take turns with words of 8 bytes, so that hashing is about as fast as reading: `h` xor
/// the word is multiplied by a constant, and the two halves of the product are mixed. Rows are chained by the same step.
///
/// # Errors
/// `Cancelled` by the monitor, `OutOfMemory`.
pub(super) fn fingerprint(image: &ImageView<'_>, monitor: &Monitor<'_>) -> Result<u64> {
    const M: u64 = 0x9e37_79b9_7f4a_7c15;
    let step = |hash: u64, word: u64| {
        let product = u128::from(hash ^ word) * u128::from(M);
        product as u64 ^ (product >> 64) as u64
    };
    let mut rgb = try_zeroed(if image.format() == PixelFormat::Rgb8 { 0 } else { 3 * image.width() })?;
    let mut whole = step(step(M, image.width() as u64), image.height() as u64);
    for y in 0..image.height() {
        monitor.poll()?;
        let row = if rgb.is_empty() {
            image.row(y)
        } else {
            image.row_rgb(y, &mut rgb);
            &rgb
        };
        let (blocks, rest) = row.as_chunks::<32>();
        let mut chains = [1, 2, 3, 4];
        for block in blocks {
            let (words, _) = block.as_chunks();
            for (chain, word) in chains.iter_mut().zip(words) {
                *chain = step(*chain, u64::from_le_bytes(*word));
            }
        }
        whole = chains.into_iter().fold(whole, step);
        whole = rest.iter().fold(whole, |hash, &byte| step(hash, u64::from(byte)));
    }
    Ok(whole)
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hash = Fnv64::default();
    hash.write(bytes);
    hash.finish()
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::ErrorCode;

    fn saved_of(picture: Option<u64>) -> Vec<u8> {
        let geometry = Geometry { original: [30, 40], resized: [12, 16], input: 16 };
        let upscale = Arc::new(Upscale::new(8, 16, (12, 16), (30, 40)).unwrap());
        let values = vec![1.5, -2.0, 0.0];
        let cache = vec![];
        let (maps, level) = (None, Level::detect());
        let embedding = Embedding { fingerprint: 7, picture, geometry, values, cache, level, maps, upscale };
        let bytes = embedding.save().unwrap();
        assert_eq!(bytes.len(), embedding.saved_bytes());
        bytes
    }

    fn saved() -> Vec<u8> {
        saved_of(Some(11))
    }

    fn error(bytes: &[u8]) -> Option<ErrorCode> {
        Saved::parse(bytes).err().map(|error| error.code())
    }

    #[test]
    fn what_is_saved_is_restored() {
        let bytes = saved();
        let saved = Saved::parse(&bytes).unwrap();
        assert_eq!((saved.fingerprint, saved.picture, saved.len()), (7, Some(11), 3));
        assert_eq!(saved.geometry, Geometry { original: [30, 40], resized: [12, 16], input: 16 });
        assert!(saved.values().eq([1.5, -2.0, 0.0]));
        // What earlier versions wrote.
        let earlier = saved_of(None);
        assert_eq!((earlier[8], earlier.len() + PICTURE), (1, bytes.len()));
        let saved = Saved::parse(&earlier).unwrap();
        assert_eq!((saved.fingerprint, saved.picture, saved.len()), (7, None, 3));
        assert!(saved.values().eq([1.5, -2.0, 0.0]));
    }

    #[test]
    fn a_picture_is_its_pixels() {
        let rgb: Vec<u8> = (0..37 * 5 * 3).map(|i| (i * 7 % 251) as u8).collect();
        let of = |data: &[u8], width, stride, format| {
            fingerprint(&ImageView::new(data, width, 5, stride, format).unwrap(), &Monitor::none()).unwrap()
        };
        let expected = of(&rgb, 37, 111, PixelFormat::Rgb8);
        let bgra: Vec<u8> = rgb.chunks(3).flat_map(|p| [p[2], p[1], p[0], p[0] ^ 9]).collect();
        assert_eq!(of(&bgra, 37, 148, PixelFormat::Bgra8), expected);
        let padded: Vec<u8> = rgb.chunks(111).flat_map(|row| row.iter().copied().chain([1, 2])).collect();
        assert_eq!(of(&padded, 37, 113, PixelFormat::Rgb8), expected);
        // The same bytes in another shape, and every single bit.
        let view = |data, width, height| ImageView::packed(data, width, height, PixelFormat::Rgb8).unwrap();
        assert_ne!(fingerprint(&view(&rgb, 5, 37), &Monitor::none()).unwrap(), expected);
        let mut seen = vec![expected];
        for bit in 0..8 * rgb.len() {
            let mut other = rgb.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            seen.push(of(&other, 37, 111, PixelFormat::Rgb8));
        }
        let count = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), count);
    }

    #[test]
    fn every_damage_is_seen() {
        let bytes = saved();
        for len in 0..bytes.len() {
            assert_eq!(error(&bytes[..len]), Some(ErrorCode::Format), "cut to {len}");
        }
        for bit in 0..8 * bytes.len() {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            // Bits of the version that make it another known one.
            let is_version = (8..12).contains(&(bit / 8)) && ![64, 65].contains(&bit);
            let expected = if is_version { ErrorCode::Unsupported } else { ErrorCode::Format };
            assert_eq!(error(&damaged), Some(expected), "bit {bit}");
        }
        assert_eq!(error(&[&bytes[..], &[0]].concat()), Some(ErrorCode::Format));
    }

    #[test]
    fn a_count_that_overflows_is_refused() {
        let mut bytes = saved();
        bytes[HEADER..HEADER + 8].copy_from_slice(&(u64::MAX / 4 + 1).to_le_bytes());
        assert_eq!(error(&bytes), Some(ErrorCode::Format));
    }
}
