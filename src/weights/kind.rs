//! What a file is instead of what it was taken for, by its first bytes.

use alloc::format;
use alloc::string::String;

use super::json::quoted;

/// First bytes of a file that tell its kind.
pub(super) const START: usize = 512;

/// Kinds that are known by bytes at a place.
const MAGIC: [(usize, &[u8], &str); 22] = [
    (0, b"version https://git-lfs.github.com/spec/", LFS),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"PK\x05\x06", "an empty zip archive"),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"BZh", "a bzip2 file"),
    (0, b"\xfd7zXZ\0", "an xz file"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd file"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!", "a RAR archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"GGUF", "a GGUF file"),
    (0, b"lmgg", "a GGML file"),
    (0, b"tjgg", "a GGML file"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras or TensorFlow)"),
    (4, b"TFL3", "a TensorFlow Lite model"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"%PDF", "a PDF document"),
    (0, b"\x7fELF", "a program or library (ELF)"),
    (0, b"MZ\x90\0", "a program or library (PE)"),
];

const LFS: &str = "a Git LFS pointer";
const HTML: &str = "an HTML page";
const XML: &str = "an XML document";

/// What a file that starts with `start` is, if it is of a kind that stands where weights or a JSON file should:
/// a pointer, an error page, a file of another program. JSON and other text is none of these.
fn what_is(start: &[u8]) -> Option<&'static str> {
    let has = |at: usize, magic: &[u8]| start.get(at..).is_some_and(|rest| rest.starts_with(magic));
    if let Some((.., kind)) = MAGIC.iter().find(|(at, magic, _)| has(*at, magic)) {
        return Some(kind);
    }
    let text = trimmed(start);
    let tag = |tag: &str| text.get(..tag.len()).is_some_and(|text| text.eq_ignore_ascii_case(tag.as_bytes()));
    if tag("<!doctype html") || tag("<html") || tag("<head") {
        return Some(HTML);
    }
    if tag("<?xml") || tag("<error>") {
        return Some(XML);
    }
    is_onnx(start).then_some("an ONNX model")
}

/// `what_is` as a sentence: what stands in the place of `wanted`, and what to do about it.
fn instead_of(start: &[u8], wanted: &str) -> Option<String> {
    let kind = what_is(start)?;
    Some(match kind {
        LFS => format!("{kind}, not {wanted}: run `git lfs pull` or `hf download`"),
        HTML | XML => format!("{kind}, not {wanted}: what a refused download leaves"),
        _ => format!("{kind}, not {wanted}"),
    })
}

/// The same for any file that is no web page itself, if `start` is what stands in a file's place: a pointer, an error
/// page.
#[cfg(feature = "std")]
pub(super) fn instead_of_file(start: &[u8]) -> Option<String> {
    what_is(start)
        .filter(|kind| [LFS, HTML, XML].contains(kind))
        .and_then(|_| instead_of(start, "the file itself"))
}

/// The same for weights, which text is not either.
pub(super) fn instead_of_weights(start: &[u8]) -> Option<String> {
    instead_of(start, "the weights").or_else(|| {
        let text = trimmed(start);
        let text = match core::str::from_utf8(text) {
            Ok(text) => text,
            // Cut in the middle of a character.
            Err(error) if text.len() - error.valid_up_to() < 4 => {
                core::str::from_utf8(&text[..error.valid_up_to()]).ok()?
            }
            Err(_) => return None,
        };
        if text.is_empty() || text.chars().any(|c| c.is_control() && !c.is_whitespace()) {
            return None;
        }
        if text.starts_with(['{', '[']) {
            return Some("JSON, not the weights".into());
        }
        let line: String = text.lines().next()?.chars().take(60).collect();
        Some(format!("text, not the weights: it begins {}", quoted(&line)))
    })
}

/// Without a byte order mark and white space at the start.
fn trimmed(start: &[u8]) -> &[u8] {
    start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start()
}

/// ONNX is a protocol buffer without a mark of its own: the version (field 1) and then a text, as all exporters
/// write it.
fn is_onnx(start: &[u8]) -> bool {
    let &[8, version, 0x12 | 0x1a | 0x22 | 0x2a | 0x32, len, ref text @ ..] = start else {
        return false;
    };
    let text = text.get(..usize::from(len.min(8)));
    (1..32).contains(&version) && text.is_some_and(|t| t.len() > 1 && t.iter().all(u8::is_ascii_graphic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named() {
        let tar = [&[b'x'; 257][..], b"ustar\0"].concat();
        let cases: [(&[u8], &str); 14] = [
            (
                b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
                "a Git LFS pointer, not the weights: run `git lfs pull` or `hf download`",
            ),
            (
                b"\xef\xbb\xbf \n<!DOCTYPE HTML><html>",
                "an HTML page, not the weights: what a refused download leaves",
            ),
            (
                b"<?xml version=\"1.0\"?><Error>",
                "an XML document, not the weights: what a refused download leaves",
            ),
            (b"GGUF\x03\0\0\0", "a GGUF file, not the weights"),
            (b"\x89HDF\r\n\x1a\n\0", "an HDF5 file (Keras or TensorFlow), not the weights"),
            (b"\x1f\x8b\x08", "a gzip file, not the weights"),
            (&tar, "a tar archive, not the weights"),
            (b"\x08\x07\x12\x07pytorch\x1a", "an ONNX model, not the weights"),
            (b"\x08\x08\x12\x0connx.quantize", "an ONNX model, not the weights"),
            (b"\x1c\0\0\0TFL3", "a TensorFlow Lite model, not the weights"),
            (b"{\"a\": 1}", "JSON, not the weights"),
            (b"Entry not found", "text, not the weights: it begins \"Entry not found\""),
            ("Größe\nx".as_bytes(), "text, not the weights: it begins \"Größe\""),
            (b"\x89PNG\r\n\x1a\n", "a PNG picture, not the weights"),
        ];
        for (start, expected) in cases {
            assert_eq!(instead_of_weights(start).as_deref(), Some(expected), "{start:?}");
        }
        assert_eq!(
            instead_of_weights(&"é".as_bytes().repeat(300)[..511]).map(|text| text.len() > 20),
            Some(true)
        );
    }

    #[test]
    fn other_bytes_are_not() {
        for start in [&b""[..], b"  ", b"\0\0\0\0\0\0\0", b"\x08\x07\x12\0\0\0\0\0{", b"\x80\x02}", b"abc\0"]
        {
            assert_eq!(instead_of_weights(start), None, "{start:?}");
        }
        assert_eq!(what_is(b"{\"a\": 1}"), None);
        assert_eq!(what_is(b"#version: 0.2"), None);
    }
}
