//! What a file is, from its first bytes.

/// Formats that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Png,
    Jpeg,
    Pnm,
    Webp,
    Bmp,
    Tiff,
    Gif,
}

/// For those who bring something else.
pub(super) const HINT: &str =
    "PNG, JPEG, WebP, GIF, BMP, TIFF, PBM, PGM and PPM are read; convert other formats first";

impl Kind {
    /// The format of a file, `None` if it is another one or none.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        Some(match bytes {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Self::Png,
            // Not JPEG-LS, whose frames begin with F7.
            [0xff, 0xd8, 0xff, marker, ..] if *marker != 0xf7 => Self::Jpeg,
            [b'P', b'1'..=b'6', space, ..] if space.is_ascii_whitespace() || *space == b'#' => Self::Pnm,
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Self::Webp,
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Self::Gif,
            // Canon's raw files say what they are behind the start of a TIFF.
            [b'I', b'I', 42, 0, _, _, _, _, b'C', b'R', ..] => return None,
            // The numbers of common TIFFs and of those of more than 4 GB.
            [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Self::Tiff,
            // Two letters are little: the size of the header tells.
            [b'B', b'M', rest @ ..]
                if matches!(rest.get(12..16), Some([12 | 16 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0])) =>
            {
                Self::Bmp
            }
            _ => return None,
        })
    }
}

/// What a file of another kind is.
pub(super) fn what_is(bytes: &[u8]) -> String {
    let text = bytes.get(..bytes.len().min(256)).unwrap_or_default().trim_ascii_start().to_ascii_lowercase();
    let kind = match bytes {
        [] => return "the file is empty".into(),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => return of_iso(bytes),
        [0xff, 0x0a, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => "JPEG XL pictures",
        [0, 0, 0, 12, b'j', b'P', b' ', b' ', ..] | [0xff, 0x4f, 0xff, 0x51, ..] => "JPEG 2000 pictures",
        [0xff, 0xd8, 0xff, 0xf7, ..] => "JPEG-LS pictures",
        [b'P', b'7', b'\n', ..] => "PAM pictures",
        [b'P', b'F' | b'f', b'\n', ..] => "PFM pictures",
        [b'8', b'B', b'P', b'S', ..] => "Photoshop files",
        [0, 0, 1 | 2, 0, _, 0, ..] => "icons (ICO)",
        [b'%', b'P', b'D', b'F', ..] => "PDF documents",
        [b'D', b'D', b'S', b' ', ..] => "DDS textures",
        [0x76, 0x2f, 0x31, 0x01, ..] => "OpenEXR pictures",
        [b'#', b'?', b'R', b'A', b'D' | b'G', ..] => "Radiance HDR pictures",
        [b'q', b'o', b'i', b'f', ..] => "QOI pictures",
        [b'I', b'I', 42, 0, _, _, _, _, b'C', b'R', ..]
        | [b'I', b'I', b'R' | b'U', b'O' | b'S' | 0, ..]
        | [b'F', b'U', b'J', b'I', b'F', b'I', b'L', b'M', ..] => "raw photographs",
        [0x1a, 0x45, 0xdf, 0xa3, ..] => "Matroska and WebM videos",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', ..] => "AVI videos",
        [b'Y', b'U', b'V', b'4', b'M', ..] => "Y4M videos",
        _ if text.starts_with(b"<svg") || text.windows(4).any(|part| part == b"<svg") => "SVG drawings",
        _ if text.starts_with(b"<!doctype html") || text.starts_with(b"<html") => {
            return "an HTML page, not a picture: a download that failed?".into();
        }
        _ if text.starts_with(b"version https://git-lfs") => {
            return "a Git LFS pointer, not the picture: git lfs pull fetches it".into();
        }
        _ => return "not a picture in a known format".into(),
    };
    format!("{kind} are not supported")
}

/// What a file of ISO's media format is: its brand, and the brands with which it is compatible.
fn of_iso(bytes: &[u8]) -> String {
    let len = bytes.first_chunk().map_or(0, |&len| u32::from_be_bytes(len) as usize).clamp(16, 256);
    let brands = bytes.get(8..len.min(bytes.len())).unwrap_or_default().as_chunks::<4>().0;
    let has = |wanted: &[&[u8; 4]]| brands.iter().any(|brand| wanted.contains(&brand));
    let kind = if has(&[b"avif", b"avis"]) {
        "AVIF pictures"
    } else if has(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"]) {
        "HEIC pictures"
    } else if has(&[b"crx "]) {
        "raw photographs"
    } else {
        "MP4 and QuickTime videos"
    };
    format!("{kind} are not supported")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_known_by_their_first_bytes() {
        let bmp = [&b"BM"[..], &[0; 12], &[40, 0, 0, 0]].concat();
        for (bytes, kind) in [
            (&b"\x89PNG\r\n\x1a\n"[..], Some(Kind::Png)),
            (b"\xff\xd8\xff\xe0", Some(Kind::Jpeg)),
            (b"\xff\xd8\xff\xf7", None),
            (b"P1\n", Some(Kind::Pnm)),
            (b"P6#", Some(Kind::Pnm)),
            (b"P7\n", None),
            (b"PATH", None),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some(Kind::Webp)),
            (b"GIF89a", Some(Kind::Gif)),
            (b"GIF88a", None),
            (b"II*\0\x08\0\0\0", Some(Kind::Tiff)),
            (b"MM\0+", Some(Kind::Tiff)),
            (b"II*\0\x10\0\0\0CR\x02", None),
            (&bmp, Some(Kind::Bmp)),
            (b"BMW is a maker of cars", None),
            (b"", None),
        ] {
            assert_eq!(Kind::of(bytes), kind, "{bytes:?}");
        }
    }

    #[test]
    fn other_files_are_named() {
        let iso = |brands: &[u8]| [&(brands.len() as u32 + 8).to_be_bytes()[..], b"ftyp", brands].concat();
        for (bytes, name) in [
            (iso(b"avif\0\0\0\0mif1"), "AVIF pictures"),
            (iso(b"mif1\0\0\0\0mif1avif"), "AVIF pictures"),
            (iso(b"heic\0\0\0\0mif1"), "HEIC pictures"),
            (iso(b"mif1\0\0\0\0heic"), "HEIC pictures"),
            (iso(b"isom\0\0\0\0mp42"), "MP4 and QuickTime videos"),
            (b"\xff\x0a..".to_vec(), "JPEG XL pictures"),
            (b"\0\0\0\x0cJXL ".to_vec(), "JPEG XL pictures"),
            (b"<?xml version=\"1.0\"?>\n<svg xmlns".to_vec(), "SVG drawings"),
            (b"II*\0\x10\0\0\0CR\x02".to_vec(), "raw photographs"),
        ] {
            assert_eq!(what_is(&bytes), format!("{name} are not supported"));
        }
        assert!(what_is(b"\n<!DOCTYPE HTML>").contains("HTML page"));
        assert!(what_is(b"version https://git-lfs.github.com/spec/v1\n").contains("git lfs pull"));
        assert_eq!(what_is(b"hello"), "not a picture in a known format");
        assert_eq!(what_is(b""), "the file is empty");
    }
}
