//! PNGs of masks: numbers of objects as pixels, and what such a file says of itself.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use png::{BitDepth, ColorType, Encoder};
use vitrum::pipelines::mask::Rle;

use super::palette::davis;

/// The largest number that a pixel can have.
pub(crate) const MAX_NUMBER: u32 = u16::MAX as u32;

/// How numbers become pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Grey of 8 bits: white on black, of a single mask.
    White,
    /// Grey of 8 bits with the numbers as values: it looks black.
    Gray8,
    /// The same of 16 bits, for numbers above 255.
    Gray16,
    /// Numbers of the colours of DAVIS's palette, for numbers up to 255.
    Indexed,
}

impl Form {
    /// For a mask file with numbers up to `largest`, of more than one mask.
    pub(crate) fn of_numbers(largest: u32) -> Self {
        if largest > u32::from(u8::MAX) { Self::Gray16 } else { Self::Gray8 }
    }

    /// For a file of labels with numbers up to `largest`.
    pub(crate) fn of_labels(largest: u32) -> Self {
        if largest > u32::from(u8::MAX) { Self::Gray16 } else { Self::Indexed }
    }

    /// What is to be said of such a file with these `numbers`.
    pub(crate) fn describe(self, numbers: &str) -> String {
        match self {
            Self::White => "8-bit grey, 0 and 255".into(),
            Self::Gray8 => format!("8-bit grey, {numbers} on 0: looks black"),
            Self::Gray16 => format!("16-bit grey, {numbers} on 0: looks black"),
            Self::Indexed => format!("palette, {numbers} on 0"),
        }
    }
}

/// A picture of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Numbers {
    width: usize,
    height: usize,
    pixels: Vec<u16>,
    /// Of one mask.
    scratch: Vec<u8>,
}

impl Numbers {
    /// All 0.
    pub(crate) fn new([width, height]: [usize; 2]) -> Self {
        Self { width, height, pixels: vec![0; width * height], scratch: vec![0; width * height] }
    }

    /// Gives the pixels of `mask` the number `number`.
    ///
    /// # Errors
    /// A mask of another size, or a number above [`MAX_NUMBER`].
    pub(crate) fn paint(&mut self, mask: &Rle, number: u32) -> io::Result<()> {
        let number = u16::try_from(number).map_err(io::Error::other)?;
        mask.to_mask(&mut self.scratch).map_err(io::Error::other)?;
        let inside = self.pixels.iter_mut().zip(&self.scratch).filter(|(_, inside)| **inside != 0);
        inside.for_each(|(pixel, _)| *pixel = number);
        Ok(())
    }

    /// Writes the file, which says whose it is: [`Facts::ours`]. In [`Form::White`], every number is white.
    pub(crate) fn write(&self, out: impl Write, form: Form) -> io::Result<()> {
        let bytes: Vec<u8> = match form {
            Form::White => self.pixels.iter().map(|&number| if number == 0 { 0 } else { 255 }).collect(),
            Form::Gray8 | Form::Indexed => self.pixels.iter().map(|&number| number as u8).collect(),
            Form::Gray16 => self.pixels.iter().flat_map(|number| number.to_be_bytes()).collect(),
        };
        let side = |n: usize| u32::try_from(n).map_err(io::Error::other);
        let mut encoder = Encoder::new(out, side(self.width)?, side(self.height)?);
        let (color, depth) = match form {
            Form::White | Form::Gray8 => (ColorType::Grayscale, BitDepth::Eight),
            Form::Gray16 => (ColorType::Grayscale, BitDepth::Sixteen),
            Form::Indexed => (ColorType::Indexed, BitDepth::Eight),
        };
        encoder.set_color(color);
        encoder.set_depth(depth);
        if form == Form::Indexed {
            encoder.set_palette((0..=255).flat_map(davis).collect::<Vec<u8>>());
        }
        encoder.set_compression(png::Compression::Balanced);
        let software = if form == Form::White { MASK } else { LABELS };
        encoder.add_text_chunk(KEYWORD.into(), software.into())?;
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&bytes)?;
        Ok(writer.finish()?)
    }
}

/// Writes a picture with alpha.
pub(crate) fn write_rgba(out: impl Write, [width, height]: [usize; 2], rgba: &[u8]) -> io::Result<()> {
    let side = |n: usize| u32::try_from(n).map_err(io::Error::other);
    let mut encoder = Encoder::new(out, side(width)?, side(height)?);
    encoder.set_color(ColorType::Rgba);
    encoder.set_compression(png::Compression::Balanced);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(rgba)?;
    Ok(writer.finish()?)
}

/// The text chunk of our files.
const KEYWORD: &str = "Software";
const MASK: &str = "vitrum mask";
const LABELS: &str = "vitrum labels";

/// Bytes of a file in which [`Facts`] of our files lie: before the text there is at most a palette.
const HEAD: u64 = 2048;

/// Whether the file `path` is a mask, or labels, that this program wrote.
pub(crate) fn is_ours(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    read.is_ok() && Facts::of(&head).ours.is_some()
}

/// What a PNG says of itself before its pixels, and decoders do not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Alpha of the first colours of the palette.
    pub(crate) palette_alpha: Vec<u8>,
    /// What the pixels are, of a file that this program wrote.
    pub(crate) ours: Option<Ours>,
}

/// What is in a file of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ours {
    Mask,
    Labels,
}

impl Facts {
    /// Of a file, or its first [`HEAD`] bytes. Nothing is known of what is no PNG.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut facts = Self::default();
        let Some(mut rest) = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n") else { return facts };
        // Length, type, data, checksum.
        while let Some((head, after)) = rest.split_first_chunk::<8>() {
            let (length, kind) = (u32::from_be_bytes([head[0], head[1], head[2], head[3]]), &head[4..]);
            let Some((data, after)) = after.split_at_checked(length as usize) else { break };
            match (kind, data) {
                (b"tRNS", alpha) => facts.palette_alpha = alpha.into(),
                (b"tEXt", text) if text.starts_with(KEYWORD.as_bytes()) => {
                    let text = text[KEYWORD.len()..].strip_prefix(b"\0");
                    facts.ours = match text {
                        Some(text) if text == MASK.as_bytes() => Some(Ours::Mask),
                        Some(text) if text == LABELS.as_bytes() => Some(Ours::Labels),
                        _ => facts.ours,
                    };
                }
                (b"IDAT" | b"IEND", _) => break,
                _ => {}
            }
            rest = after.get(4..).unwrap_or_default();
        }
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::{Picture, RawPixels};

    fn painted(form: Form) -> Vec<u8> {
        let mut numbers = Numbers::new([3, 2]);
        numbers.paint(&Rle::from_mask(&[1, 1, 0, 0, 0, 0], 3, 2).unwrap(), 1).unwrap();
        numbers.paint(&Rle::from_mask(&[0, 1, 0, 0, 1, 0], 3, 2).unwrap(), 200).unwrap();
        let mut file = Vec::new();
        numbers.write(&mut file, form).unwrap();
        file
    }

    #[test]
    fn numbers_are_written_and_the_later_lies_above() {
        let pixels = |form| Picture::decode_raw("m", &painted(form)).unwrap().pixels;
        assert_eq!(pixels(Form::White), RawPixels::Gray8(vec![255, 255, 0, 0, 255, 0]));
        assert_eq!(pixels(Form::Gray8), RawPixels::Gray8(vec![1, 200, 0, 0, 200, 0]));
        assert_eq!(pixels(Form::Gray16), RawPixels::Gray16(vec![1, 200, 0, 0, 200, 0]));
        let RawPixels::Indexed { indices, palette } = pixels(Form::Indexed) else { panic!("no palette") };
        assert_eq!(indices, [1, 200, 0, 0, 200, 0]);
        assert_eq!((palette.len(), palette[1], palette[2]), (256, [128, 0, 0], [0, 128, 0]));
        assert_eq!((Form::of_numbers(255), Form::of_numbers(256)), (Form::Gray8, Form::Gray16));
        assert_eq!((Form::of_labels(255), Form::of_labels(256)), (Form::Indexed, Form::Gray16));
        let mask = Rle::from_mask(&[1; 6], 3, 2).unwrap();
        assert!(Numbers::new([3, 2]).paint(&mask, 65536).is_err());
        assert!(Numbers::new([3, 1]).paint(&mask, 1).is_err());
    }

    #[test]
    fn our_files_are_known_by_their_beginning() {
        for (form, ours) in [
            (Form::White, Ours::Mask),
            (Form::Gray8, Ours::Labels),
            (Form::Gray16, Ours::Labels),
            (Form::Indexed, Ours::Labels),
        ] {
            let file = painted(form);
            let facts = Facts::of(&file[..file.len().min(HEAD as usize)]);
            assert_eq!(facts.ours, Some(ours));
            for cut in 0..file.len() {
                Facts::of(&file[..cut]);
            }
        }
        assert_eq!(Facts::of(b"\x89PNG\r\n\x1a\n\xff\xff\xff\xfftEXt"), Facts::default());
        assert_eq!(Facts::of(b"GIF89a"), Facts::default());
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, 1, 1);
        encoder.set_color(ColorType::Indexed);
        encoder.set_palette([9; 6].as_slice());
        encoder.set_trns([0, 255].as_slice());
        encoder.add_text_chunk(KEYWORD.into(), "GIMP".into()).unwrap();
        encoder.write_header().unwrap().write_image_data(&[1]).unwrap();
        let expected = Facts { palette_alpha: vec![0, 255], ours: None };
        assert_eq!(Facts::of(&file), expected);
    }
}
