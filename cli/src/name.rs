//! Names of files in results: one line however they look, and nothing of them lost.

use std::borrow::Cow;
use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

/// A path in a line of text. Bytes that would break the line or the terminal, and those that are not UTF-8, are
/// escaped as [`escaped`] says. On Windows, where names cannot hold any, backslashes are left as they are.
pub(crate) fn shown(path: &Path) -> Cow<'_, str> {
    if cfg!(windows) { path.to_string_lossy() } else { escaped(path.as_os_str().as_encoded_bytes()) }
}

/// Text in a field of a line: `\t`, `\n`, `\r`, `\\`, and `\xNN` for the bytes of other control characters, of the
/// line separators U+2028 and U+2029, and for bytes that are not UTF-8.
fn escaped(bytes: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(bytes) {
        Ok(text) if !text.contains(|c| c == '\\' || breaks_lines(c)) => Cow::Borrowed(text),
        _ => Cow::Owned(escape(bytes, true)),
    }
}

/// A label or a text in a field of a line.
pub(crate) fn field(text: &str) -> Cow<'_, str> {
    escaped(text.as_bytes())
}

/// The same for messages, which are not read by programs: backslashes are left as they are.
pub(crate) fn visible(message: &str) -> Cow<'_, str> {
    if message.contains(breaks_lines) {
        Cow::Owned(escape(message.as_bytes(), false))
    } else {
        Cow::Borrowed(message)
    }
}

/// Whether a program or a terminal may take `c` for the end of a line or of a field, or for a command.
fn breaks_lines(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

fn escape(bytes: &[u8], backslashes: bool) -> String {
    let mut out = String::with_capacity(bytes.len() + 8);
    let hex = |out: &mut String, bytes: &[u8]| {
        for byte in bytes {
            let _ = write!(out, "\\x{byte:02X}");
        }
    };
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\t' => out.push_str("\\t"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\\' if backslashes => out.push_str("\\\\"),
                c if breaks_lines(c) => hex(&mut out, c.encode_utf8(&mut [0; 4]).as_bytes()),
                c => out.push(c),
            }
        }
        hex(&mut out, chunk.invalid());
    }
    out
}

/// A picture's name as fields of a JSON object.
#[derive(Debug, Serialize)]
pub(crate) struct ImageName<'a> {
    /// The name as it was given or found; escaped as in lines of text if it is not UTF-8.
    image: Cow<'a, str>,
    /// If it is not UTF-8, its bytes in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    image_bytes: Option<String>,
    /// If the picture was turned or mirrored, how, as EXIF numbers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    orientation: Option<u8>,
}

impl<'a> ImageName<'a> {
    pub(crate) fn of(path: &'a Path) -> Self {
        if let Some(name) = path.to_str() {
            return Self { image: Cow::Borrowed(name), image_bytes: None, orientation: None };
        }
        let bytes = path.as_os_str().as_encoded_bytes();
        let hex = || bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        // Only on Unix do the bytes mean something outside this program.
        Self { image: shown(path), image_bytes: cfg!(unix).then(hex), orientation: None }
    }

    /// The same of a picture that was turned, if it was.
    pub(crate) fn turned(self, orientation: Option<u8>) -> Self {
        Self { orientation, ..self }
    }

    /// The name alone.
    pub(crate) fn into_image(self) -> Cow<'a, str> {
        self.image
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_line() {
        assert_eq!(escaped(b"cat.png"), "cat.png");
        assert_eq!(escaped("caf\u{e9}.png".as_bytes()), "caf\u{e9}.png");
        assert_eq!(escaped(b"a\tb\nc\rd\\e"), r"a\tb\nc\rd\\e");
        assert_eq!(escaped(b"\x1b[31m\x7f"), r"\x1B[31m\x7F");
        assert_eq!(escaped("\u{85}\u{2028}".as_bytes()), r"\xC2\x85\xE2\x80\xA8");
        assert_eq!(escaped(b"caf\xe9.png"), r"caf\xE9.png");
        assert_eq!(visible("a\\b\tc"), "a\\b\\tc");
    }

    #[cfg(unix)]
    #[test]
    fn no_name_is_lost() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let json =
            |name: &[u8]| serde_json::to_value(ImageName::of(Path::new(OsStr::from_bytes(name)))).unwrap();
        assert_eq!(json(b"a\tb"), serde_json::json!({ "image": "a\tb" }));
        assert_eq!(json(b"\xe9\\"), serde_json::json!({ "image": r"\xE9\\", "image_bytes": "e95c" }));
    }
}
