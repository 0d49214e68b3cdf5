//! A picture as the mask decoder sees it: computed once, used for any number of prompts, kept in a file if wanted.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use crate::error::{Result, err};
use crate::kernels::panels::Squares;
use crate::kernels::resize::upscale::Upscale;
use crate::weights::Fnv64;

/// Begins every saved embedding.
const MAGIC: [u8; 8] = *b"vitrumSE";
/// Versions of the format: SAM's, and SAM 2's, whose values go on with the larger maps.
const VERSION: u32 = 1;
const VERSION_WITH_MAPS: u32 = 2;
/// Bytes before the values, and of the checksum behind them.
const HEADER: usize = 8 + 4 + 4 + 8 + 4 * 4 + 8;
const CHECKSUM: usize = 8;

/// Where a picture lies in the model's input. Sizes are heights and widths, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Geometry {
    /// The picture.
    pub original: [usize; 2],
    /// The resized picture, in the top left corner of the input.
    pub resized: [usize; 2],
    /// Side of the input.
    pub input: usize,
}

/// What the image encoder says of a picture, and what the mask decoder derives from it alone.
///
/// Immutable; share it between threads. It belongs to the model that made it.
#[derive(Clone, Debug)]
pub struct Embedding {
    /// Of the model.
    pub(super) fingerprint: u64,
    pub(super) geometry: Geometry,
    /// `[grid², C]`
    pub(super) values: Vec<f32>,
    /// The decoder's projections of the image, see [`MaskDecoder::cache`](crate::models::sam::MaskDecoder::cache).
    pub(super) cache: Vec<f32>,
    /// The larger maps of a SAM 2, which are the end of the cache.
    pub(super) maps: Option<Squares>,
    /// From the decoder's masks to the picture.
    pub(super) upscale: Arc<Upscale>,
}

impl Embedding {
    /// Width and height of the picture, in pixels.
    pub fn image_size(&self) -> (usize, usize) {
        let [height, width] = self.geometry.original;
        (width, height)
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
        HEADER + self.saved_len() * size_of::<f32>() + CHECKSUM
    }

    /// The embedding as bytes, for [`Sam::restore`](super::Sam::restore).
    ///
    /// Little endian: the magic `vitrumSE`, version u32, side of the input u32, fingerprint of the model u64, height
    /// and width of the picture and of the resized picture u32 each, the number of values u64, the values f32, and the
    /// FNV-1a hash of all this u64. The version is 1 for a SAM and 2 for a SAM 2, whose larger maps follow the values of
    /// the embedding: `[(2 · grid)², C / 4]`, `[(4 · grid)², C / 8]`.
    pub fn save(&self) -> Vec<u8> {
        let Geometry { original, resized, input } = self.geometry;
        let mut bytes = Vec::with_capacity(self.saved_bytes());
        bytes.extend_from_slice(&MAGIC);
        let version = if self.maps.is_some() { VERSION_WITH_MAPS } else { VERSION };
        bytes.extend_from_slice(&version.to_le_bytes());
        bytes.extend_from_slice(&(input as u32).to_le_bytes());
        bytes.extend_from_slice(&self.fingerprint.to_le_bytes());
        for side in original.into_iter().chain(resized) {
            bytes.extend_from_slice(&(side as u32).to_le_bytes());
        }
        bytes.extend_from_slice(&(self.saved_len() as u64).to_le_bytes());
        let mut put = |values: &[f32]| {
            values.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        };
        put(&self.values);
        if let Some(maps) = self.maps {
            let mut unpacked = maps.map_lens().map(|len| vec![0.0; len]);
            let packed = &self.cache[self.cache.len() - maps.packed_len()..];
            maps.unpack(packed, unpacked.each_mut().map(|map| &mut map[..]));
            unpacked.iter().for_each(|map| put(map));
        }
        let checksum = hash(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Values that are saved.
    fn saved_len(&self) -> usize {
        self.values.len() + self.maps.map_or(0, |maps| maps.map_lens().iter().sum())
    }
}

/// What a saved embedding says, its values still as bytes.
pub(super) struct Saved<'a> {
    pub(super) fingerprint: u64,
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
        if !(VERSION..=VERSION_WITH_MAPS).contains(&version) {
            return Err(err!(
                Unsupported,
                "saved embedding of version {version}, expected up to {VERSION_WITH_MAPS}"
            ));
        }
        let input = fields.u32()? as usize;
        let fingerprint = fields.u64()?;
        let mut side = || fields.u32().map(|side| side as usize);
        let original = [side()?, side()?];
        let resized = [side()?, side()?];
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
        let has_maps = version == VERSION_WITH_MAPS;
        Ok(Self { fingerprint, geometry: Geometry { original, resized, input }, has_maps, values })
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

fn hash(bytes: &[u8]) -> u64 {
    let mut hash = Fnv64::default();
    hash.write(bytes);
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorCode;

    fn saved() -> Vec<u8> {
        let geometry = Geometry { original: [30, 40], resized: [12, 16], input: 16 };
        let upscale = Arc::new(Upscale::new(8, 16, (12, 16), (30, 40)).unwrap());
        let values = vec![1.5, -2.0, 0.0];
        let embedding = Embedding { fingerprint: 7, geometry, values, cache: vec![], maps: None, upscale };
        let bytes = embedding.save();
        assert_eq!(bytes.len(), embedding.saved_bytes());
        bytes
    }

    fn error(bytes: &[u8]) -> Option<ErrorCode> {
        Saved::parse(bytes).err().map(|error| error.code())
    }

    #[test]
    fn what_is_saved_is_restored() {
        let bytes = saved();
        let saved = Saved::parse(&bytes).unwrap();
        assert_eq!((saved.fingerprint, saved.len()), (7, 3));
        assert_eq!(saved.geometry, Geometry { original: [30, 40], resized: [12, 16], input: 16 });
        assert!(saved.values().eq([1.5, -2.0, 0.0]));
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
            let expected =
                if (8..12).contains(&(bit / 8)) { ErrorCode::Unsupported } else { ErrorCode::Format };
            assert_eq!(error(&damaged), Some(expected), "bit {bit}");
        }
        assert_eq!(error(&[&bytes[..], &[0]].concat()), Some(ErrorCode::Format));
    }

    #[test]
    fn a_count_that_overflows_is_refused() {
        let mut bytes = saved();
        bytes[HEADER - 8..HEADER].copy_from_slice(&(u64::MAX / 4 + 1).to_le_bytes());
        assert_eq!(error(&bytes), Some(ErrorCode::Format));
    }
}
