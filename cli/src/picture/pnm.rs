//! PBM, PGM and PPM, in text (P1 to P3) and binary (P4 to P6).

use super::limits::Limits;
use super::raw::{RawPicture, RawPixels};

/// Numbers and bits between white space and `#` comments.
struct Tokens<'a>(&'a [u8]);

impl Tokens<'_> {
    fn skip_space(&mut self) {
        loop {
            self.0 = self.0.trim_ascii_start();
            let Some(comment) = self.0.strip_prefix(b"#") else { break };
            let end = comment.iter().position(|&c| matches!(c, b'\n' | b'\r'));
            self.0 = &comment[end.unwrap_or(comment.len())..];
        }
    }

    fn number(&mut self) -> Option<usize> {
        self.skip_space();
        let (digits, after) = self.0.split_at(self.0.iter().take_while(|c| c.is_ascii_digit()).count());
        self.0 = after;
        str::from_utf8(digits).ok()?.parse().ok()
    }

    /// A digit, which need not stand apart from the next one.
    fn bit(&mut self) -> Option<usize> {
        self.skip_space();
        let (bit, after) = self.0.split_first().filter(|(bit, _)| matches!(bit, b'0' | b'1'))?;
        self.0 = after;
        Some(usize::from(bit - b'0'))
    }
}

/// Reads the first picture of a file. Samples are scaled to 8 bits, or, in pictures of grey that have more, to 16.
pub(super) fn decode(bytes: &[u8], limits: Limits) -> Result<RawPicture, String> {
    let (kind, mut tokens) = (bytes[1], Tokens(&bytes[2..]));
    let name = match kind {
        b'1' | b'4' => "PBM",
        b'2' | b'5' => "PGM",
        _ => "PPM",
    };
    let (binary, bits, channels) = (kind >= b'4', name == "PBM", if name == "PPM" { 3 } else { 1 });
    let mut number = || tokens.number().ok_or_else(|| format!("damaged {name}: no size"));
    let (width, height) = (number()?, number()?);
    let maximum = if bits { 1 } else { number()? };
    if !(1..=65535).contains(&maximum) {
        return Err(format!("damaged {name}: samples up to {maximum}"));
    }
    let wide = maximum > 255;
    limits.check(width, height, channels * if wide { 3 } else { 1 })?;
    let short = || format!("damaged {name}: too short");
    let count = width * height * channels;
    // White space, of which one byte stands before what is binary.
    let data = tokens.0.get(1..).unwrap_or_default();
    let scaled = |value: usize, to: usize| scale(value.min(maximum), maximum, to);
    let pixels = if bits && binary {
        let rows = data.get(..width.div_ceil(8) * height).ok_or_else(short)?.chunks_exact(width.div_ceil(8));
        let bit = |row: &[u8], x: usize| row[x / 8] >> (7 - x % 8) & 1;
        rows.flat_map(|row| (0..width).map(move |x| 255 * (1 - bit(row, x)))).collect()
    } else if bits {
        let mut bit = || tokens.bit().map(|bit| 255 * (1 - bit as u8));
        (0..count).map(|_| bit()).collect::<Option<_>>().ok_or_else(short)?
    } else if binary && wide {
        let data = data.get(..2 * count).ok_or_else(short)?.as_chunks().0;
        let samples = data.iter().map(|&pair| usize::from(u16::from_be_bytes(pair)));
        if channels == 1 {
            let pixels = RawPixels::Gray16(samples.map(|value| scaled(value, 65535) as u16).collect());
            return Ok(RawPicture { width, height, pixels });
        }
        samples.map(|value| scaled(value, 255) as u8).collect()
    } else if binary {
        let data = data.get(..count).ok_or_else(short)?;
        match maximum {
            255 => data.to_vec(),
            _ => data.iter().map(|&value| scaled(usize::from(value), 255) as u8).collect(),
        }
    } else if wide && channels == 1 {
        let mut sample = || tokens.number().map(|value| scaled(value, 65535) as u16);
        let pixels = (0..count).map(|_| sample()).collect::<Option<_>>().ok_or_else(short)?;
        return Ok(RawPicture { width, height, pixels: RawPixels::Gray16(pixels) });
    } else {
        let mut sample = || tokens.number().map(|value| scaled(value, 255) as u8);
        (0..count).map(|_| sample()).collect::<Option<_>>().ok_or_else(short)?
    };
    let pixels = if channels == 1 { RawPixels::Gray8(pixels) } else { RawPixels::Rgb8(pixels) };
    Ok(RawPicture { width, height, pixels })
}

/// `value` of `from` as a value of `to`, to the nearest, as Pillow rounds.
fn scale(value: usize, from: usize, to: usize) -> usize {
    (value as f64 / from as f64 * to as f64).round_ties_even() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::PictureOptions;

    fn read(bytes: &[u8]) -> Result<RawPixels, String> {
        let limits = Limits::of_file(&PictureOptions::default(), bytes.len());
        decode(bytes, limits).map(|picture| picture.pixels)
    }

    #[test]
    fn every_kind_is_read() {
        use RawPixels::{Gray8, Gray16, Rgb8};
        for (file, expected) in [
            (&b"P1 # bits\n3 2\n101\n0 1 # ones\n0"[..], Gray8(vec![0, 255, 0, 255, 0, 255])),
            (b"P2 2 1 15 15 5", Gray8(vec![255, 85])),
            (b"P3\r\n1\t1\n255\n1 2 3", Rgb8(vec![1, 2, 3])),
            (b"P4\n9 2\n\xff\x7f\x00\x80", Gray8([&[0; 8][..], &[255; 9], &[0]].concat())),
            (b"P5 2 1 255\n\x07\xff", Gray8(vec![7, 255])),
            (b"P5 2 1 1\n\0\x01", Gray8(vec![0, 255])),
            (b"P5 2 1 65535\n\x12\x34\xff\xff", Gray16(vec![0x1234, 65535])),
            (b"P5 2 1 1000\n\x03\xe8\x01\xf4", Gray16(vec![65535, 32768])),
            (b"P2 2 1 1000\n 1000\n500", Gray16(vec![65535, 32768])),
            (b"P6\n# a comment\n2 1\n255\n\x0a23456", Rgb8(b"\x0a23456".to_vec())),
            (b"P6 1 1 65535\n\xff\xff\x80\x80\0\0", Rgb8(vec![255, 128, 0])),
            (b"P6 1 1 1023\n\x03\xff\x02\0\0\0", Rgb8(vec![255, 128, 0])),
            // What follows the first picture, and samples above the maximum.
            (b"P5 1 1 100\n\xffP5 1 1 255\n.", Gray8(vec![255])),
        ] {
            assert_eq!(read(file), Ok(expected), "{}", file.escape_ascii());
        }
    }

    #[test]
    fn damaged_files_are_refused() {
        for (file, expected) in [
            (&b"P6 2 1 255\n12345"[..], "damaged PPM: too short"),
            (b"P6 2 1 255", "damaged PPM: too short"),
            (b"P4 9 1\n\xff", "damaged PBM: too short"),
            (b"P1 2 1 1", "damaged PBM: too short"),
            (b"P1 2 1 12", "damaged PBM: too short"),
            (b"P2 2 1 255 1", "damaged PGM: too short"),
            (b"P5 2 1 256\n123", "damaged PGM: too short"),
            (b"P6 2 # 1 255", "damaged PPM: no size"),
            (b"P6 -2 1 255\n", "damaged PPM: no size"),
            (b"P6 99999999999999999999 1 255\n", "damaged PPM: no size"),
            (b"P6 2 1 0\n", "damaged PPM: samples up to 0"),
            (b"P6 2 1 65536\n", "damaged PPM: samples up to 65536"),
            (b"P5 0 1 255\n", "a picture of 0 x 1 pixels has none"),
            (b"P6 65536 65536 255\n", "a picture of 65536 x 65536 pixels is too large"),
        ] {
            assert_eq!(read(file).unwrap_err(), expected, "{}", file.escape_ascii());
        }
        assert!(read(b"P2 16384 16384 255\n").unwrap_err().contains("decompression bomb"));
    }
}
