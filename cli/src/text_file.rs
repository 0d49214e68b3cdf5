//! Text files that people write by hand or with other programs: any line ends, byte-order marks, bounded in size.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::failure::{Exit, Failure, Result};

/// Bytes of a text file at most.
pub(crate) const MAX_TEXT_FILE: u64 = 64 << 20;

/// The name of standard input on the command line.
pub(crate) const STDIN: &str = "-";

/// Whether `path` means standard input.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == STDIN
}

/// The bytes of the file `path`, or of standard input.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let unreadable = |error| Failure::unreadable(path, &error);
    let bytes = if is_stdin(path) {
        bounded(io::stdin().lock()).map_err(unreadable)?
    } else {
        let file = File::open(path).map_err(unreadable)?;
        if file.metadata().map_err(unreadable)?.is_dir() {
            return Err(bad(path, "a directory, not a text file"));
        }
        bounded(file).map_err(unreadable)?
    };
    if bytes.len() as u64 > MAX_TEXT_FILE {
        return Err(bad(path, &format!("larger than {} MB, the limit for a text file", MAX_TEXT_FILE >> 20)));
    }
    if let Some(kind) = foreign(&bytes) {
        return Err(bad(path, &format!("{kind}, not a text file")));
    }
    Ok(bytes)
}

fn bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_TEXT_FILE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn bad(path: &Path, what: &str) -> Failure {
    Failure::new(Exit::Input, format!("{}: {what}", path.display()))
}

/// What a file of another kind is, from its first bytes.
fn foreign(bytes: &[u8]) -> Option<&'static str> {
    Some(match bytes {
        [0x89, b'P', b'N', b'G', ..] => "a PNG picture",
        [0xff, 0xd8, 0xff, ..] => "a JPEG picture",
        [b'G', b'I', b'F', b'8', ..] => "a GIF picture",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "a WebP picture",
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => "a TIFF picture",
        [b'P', b'K', 3, 4, ..] => "a zip archive",
        [0x1f, 0x8b, ..] => "a gzip archive",
        [b'%', b'P', b'D', b'F', ..] => "a PDF document",
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => "a NumPy array",
        [0x7f, b'E', b'L', b'F', ..] => "a program",
        _ => return None,
    })
}

/// The text of a file in UTF-8, or in UTF-16 with a byte-order mark.
///
/// # Errors
/// What it is instead.
pub(crate) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, String> {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (units, rest) = bytes.as_chunks();
        let units = units.iter().map(|&pair| unit(pair));
        let text: Result<String, _> = char::decode_utf16(units).collect();
        text.ok().filter(|_| rest.is_empty()).map(Cow::Owned).ok_or_else(|| "damaged UTF-16 text".to_owned())
    };
    let text = match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => {
            return Err("UTF-32 text; save it as UTF-8".into());
        }
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes)?,
        _ => {
            let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            let text = str::from_utf8(bytes).map_err(|error| {
                let before = &bytes[..error.valid_up_to()];
                let line = lines(&String::from_utf8_lossy(before)).count().max(1);
                let byte = bytes[before.len()];
                format!("not UTF-8 text: byte 0x{byte:02X} about line {line}; save it as UTF-8")
            })?;
            Cow::Borrowed(text)
        }
    };
    if text.contains('\0') {
        return Err("binary data, or UTF-16 without a byte-order mark, not text; save it as UTF-8".into());
    }
    Ok(text)
}

/// The lines of `text`, which end with LF, CR LF or CR.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.filter(|text| !text.is_empty())?;
        let Some(end) = text.find(['\n', '\r']) else { return rest.take() };
        let width = if text[end..].starts_with("\r\n") { 2 } else { 1 };
        rest = Some(&text[end + width..]);
        Some(&text[..end])
    })
}

/// The names in a list of files: one a line, or with NULs between them as `find -print0` writes them. Blank lines
/// are none. Names that are not UTF-8 are kept as they are, unless a byte-order mark says that it is text.
///
/// # Errors
/// Why it is no list.
pub(crate) fn names(bytes: &[u8]) -> Result<Vec<OsString>, String> {
    let is_marked =
        [&b"\xff\xfe"[..], b"\xfe\xff", b"\xef\xbb\xbf"].iter().any(|mark| bytes.starts_with(mark));
    if is_marked {
        let text = decode(bytes)?;
        return Ok(lines(&text).filter(|line| !line.trim().is_empty()).map(OsString::from).collect());
    }
    let by_nul = bytes.contains(&0);
    let ends = |&byte: &u8| if by_nul { byte == 0 } else { matches!(byte, b'\n' | b'\r') };
    let names = bytes.split(ends).filter(|name| !name.trim_ascii().is_empty());
    names.map(os_string).collect()
}

#[cfg(unix)]
pub(crate) fn os_string(bytes: &[u8]) -> Result<OsString, String> {
    use std::os::unix::ffi::OsStringExt;
    Ok(OsString::from_vec(bytes.to_vec()))
}

#[cfg(not(unix))]
pub(crate) fn os_string(bytes: &[u8]) -> Result<OsString, String> {
    let text = str::from_utf8(bytes).map_err(|_| "not UTF-8 text; save it as UTF-8")?;
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_line_ends() {
        let lines = |text| lines(text).collect::<Vec<_>>();
        assert_eq!(lines("a\nb\r\nc\rd"), ["a", "b", "c", "d"]);
        assert_eq!(lines("a\r\r\n\nb\n"), ["a", "", "", "b"]);
        assert_eq!(lines("\n"), [""]);
        assert!(lines("").is_empty());
    }

    #[test]
    fn encodings() {
        let utf16 = |mark: [u8; 2], unit: fn(u16) -> [u8; 2]| {
            let text: Vec<u8> = "caf\u{e9}\r\n\u{1f600}".encode_utf16().flat_map(unit).collect();
            [&mark[..], &text].concat()
        };
        let (little, big) = (utf16([0xff, 0xfe], u16::to_le_bytes), utf16([0xfe, 0xff], u16::to_be_bytes));
        for bytes in [&little, &big, "\u{feff}caf\u{e9}\r\n\u{1f600}".as_bytes()] {
            assert_eq!(decode(bytes).unwrap(), "caf\u{e9}\r\n\u{1f600}");
        }
        for (bytes, expected) in [
            (&b"cat\r\ncaf\xe9\n"[..], "not UTF-8 text: byte 0xE9 about line 2"),
            (b"\xe9", "not UTF-8 text: byte 0xE9 about line 1"),
            (b"c\0a\0t\0", "UTF-16 without a byte-order mark"),
            (b"\xff\xfea", "damaged UTF-16"),
            (b"\xff\xfe\0\xd8", "damaged UTF-16"),
            (b"\xff\xfe\0\0a\0\0\0", "UTF-32"),
        ] {
            let error = decode(bytes).unwrap_err();
            assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        }
    }

    #[test]
    fn lists_of_names() {
        let names = |bytes: &[u8]| names(bytes).unwrap();
        assert_eq!(names(b"\xef\xbb\xbfa.png\r\n\r\n  \nb c.png\rd"), ["a.png", "b c.png", "d"]);
        assert_eq!(names(b"a\nb\0c\0"), ["a\nb", "c"]);
        assert_eq!(names(b"\xff\xfea\0\n\0b\0"), ["a", "b"]);
        assert!(names(b"").is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_not_text_are_kept() {
        assert_eq!(names(b"\xe9.png\n").unwrap()[0].as_encoded_bytes(), b"\xe9.png");
    }
}
