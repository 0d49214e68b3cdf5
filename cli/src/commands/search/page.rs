//! The page of `--html`: one file with everything in it, without scripts.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

use vitrum::exec::Cx;

use super::Found;
use super::thumbnail::Thumbnail;
use crate::name;
use crate::picture::PictureOptions;

/// What was found for a query, or a group of pictures.
pub(super) struct Section<'a> {
    pub(super) title: String,
    pub(super) found: Vec<Found<'a>>,
}

pub(super) struct Page<'a> {
    /// The name of the index.
    pub(super) title: &'a str,
    pub(super) cx: &'a Cx,
    pub(super) options: &'a PictureOptions,
}

const STYLE: &str = "\
:root { color-scheme: light dark; }
body { max-width: 80rem; margin: 0 auto; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.3rem; }
h2 { margin: 2rem 0 .5rem; font-size: 1.1rem; overflow-wrap: anywhere; }
ul { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .8rem; margin: 0; padding: 0; list-style: none; }
a { display: block; color: inherit; text-decoration: none; }
a:focus-visible, a:hover { outline: .15rem solid Highlight; outline-offset: .15rem; }
img, .none { display: flex; width: 100%; height: auto; aspect-ratio: 1; border-radius: .4rem; background: color-mix(in srgb, currentColor 8%, transparent); }
img { object-fit: contain; }
.none { align-items: center; justify-content: center; }
small { display: block; overflow-wrap: anywhere; line-height: 1.3; }
";

impl Page<'_> {
    pub(super) fn write(&self, out: &mut impl Write, sections: &[Section<'_>]) -> io::Result<()> {
        let title = text(self.title);
        write!(
            out,
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>Found in {title}</title>\n<style>\n{STYLE}</style>\n<h1>Found in {title}</h1>\n"
        )?;
        if sections.iter().all(|section| section.found.is_empty()) {
            writeln!(out, "<p>Nothing was found.</p>")?;
        }
        for section in sections {
            writeln!(out, "<section>\n<h2>{}</h2>\n<ul>", text(&section.title))?;
            section.found.iter().try_for_each(|found| self.figure(out, found))?;
            writeln!(out, "</ul>\n</section>")?;
        }
        writeln!(out, "</html>")
    }

    fn figure(&self, out: &mut impl Write, found: &Found<'_>) -> io::Result<()> {
        let shown = name::shown(found.path);
        let file = found.path.file_name().map_or(shown.clone(), |file| name::shown(Path::new(file)));
        let (file, whole) = (text(&file), text(&shown));
        write!(out, "<li><a href=\"{}\" title=\"{whole}\">", address(found.path))?;
        match Thumbnail::of(self.cx, found.path, self.options) {
            Ok(Thumbnail { width, height, jpeg }) => write!(
                out,
                "<img alt=\"\" width=\"{width}\" height=\"{height}\" loading=\"lazy\" \
                 src=\"data:image/jpeg;base64,{}\">",
                base64(&jpeg)
            )?,
            Err(_) => write!(out, "<span class=\"none\">no picture</span>")?,
        }
        let state = found.state.map(|state| format!(", {state}")).unwrap_or_default();
        writeln!(out, "<small>{:.3}{state}</small><small>{file}</small></a></li>", found.score)
    }
}

/// Text of a page, between tags and in attributes.
fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// The `file:` address of an absolute path.
fn address(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    let mut out = String::from(if cfg!(windows) { "file:///" } else { "file://" });
    for &byte in bytes {
        match byte {
            b'\\' if cfg!(windows) => out.push('/'),
            b':' if cfg!(windows) => out.push(':'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                out.push(byte.into())
            }
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// Base64 of RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i)) as usize & 63];
            out.push(if i <= chunk.len() { digit.into() } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_base64() {
        let cases = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        assert!(cases.iter().all(|(bytes, expected)| base64(bytes.as_bytes()) == *expected));
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
    }

    #[test]
    fn names_cannot_leave_their_place() {
        assert_eq!(text("<b a=\"1\" c='2'>&"), "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;");
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt;
            let path = Path::new(std::ffi::OsStr::from_bytes(b"/a b/\"<\xe9#?%.jpg"));
            assert_eq!(address(path), "file:///a%20b/%22%3C%E9%23%3F%25.jpg");
        }
    }
}
