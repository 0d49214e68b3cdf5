//! Unicode mended as ftfy 6.3.1 does it with its defaults (`fix_text`).
//!
//! Line by line, until nothing changes: character references (until a line has `<`), mojibake, then single
//! characters: C1 controls as Windows-1252, ligatures and widths to plain letters, quotes straight, line breaks
//! to `\n`, terminal escapes and controls removed, NFC.
//!
//! Not quite as ftfy: NFC is that of Unicode 9.0, digits in terminal escapes are ASCII, and a text that needs
//! very many rounds is left half mended ([`Budget`]).

use alloc::borrow::Cow;
use alloc::string::String;

use super::super::normalize::nfc;
use super::encoding::{Budget, fix_encoding, without_c1};
use super::html::unescape_strictly;
use super::tables::{LIGATURES, WIDTHS};
use crate::error::Result;
use crate::exec::{TryGrowText, try_string_with_capacity};

/// Characters of a line at most; longer ones are cut.
const LINE: usize = 1_000_000;

/// `text` mended.
pub(super) fn fix_text(text: &str) -> Result<Cow<'_, str>> {
    if text.bytes().all(is_plain) {
        return Ok(Cow::Borrowed(text));
    }
    let mut budget = Budget::new(text.len());
    let mut out = try_string_with_capacity(text.len())?;
    let mut escapes = true;
    for line in text.split_inclusive('\n') {
        let mut rest = line;
        while !rest.is_empty() {
            let end = rest.char_indices().nth(LINE).map_or(rest.len(), |(at, _)| at);
            let (segment, tail) = rest.split_at(end);
            escapes &= !segment.contains('<');
            out.try_push_str(&fix_segment(segment, escapes, &mut budget)?)?;
            rest = tail;
        }
    }
    Ok(Cow::Owned(out))
}

/// Whether the byte is a character that no step changes.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\x0C') && byte != b'&'
}

fn fix_segment<'a>(segment: &'a str, escapes: bool, budget: &mut Budget) -> Result<Cow<'a, str>> {
    let mut text = Cow::Borrowed(segment);
    while !text.bytes().all(is_plain) && budget.take(text.len()) {
        let unescaped = if escapes { unescape_strictly(&text)? } else { Cow::Borrowed(&*text) };
        let fixed = fix_characters(&fix_encoding(unescaped, budget)?)?;
        if fixed == *text {
            break;
        }
        text = Cow::Owned(fixed);
    }
    Ok(text)
}

/// The steps that look at single characters.
fn fix_characters(text: &str) -> Result<String> {
    let mut replaced = try_string_with_capacity(text.len())?;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        // A line break of two characters gives its second.
        if c != '\r' || characters.peek() != Some(&'\n') {
            push_replaced(c, &mut replaced)?;
        }
    }
    let mut out = try_string_with_capacity(replaced.len())?;
    let mut rest = &replaced[..];
    let mut visible = try_string_with_capacity(replaced.len())?;
    while let Some(escape) = rest.find('\x1B') {
        let (before, after) = rest.split_at(escape);
        visible.push_str(before);
        let length = escape_length(after);
        // Without an escape sequence, the character goes with the other controls.
        rest = &after[length.max(1)..];
    }
    visible.push_str(rest);
    visible.retain(|c| !is_removed(c));
    nfc(&visible, |c| out.try_push_char(c))?;
    Ok(out)
}

/// Append what stands for `c`: C1, then ligatures, then width, then quotes, then line breaks.
fn push_replaced(c: char, out: &mut String) -> Result<()> {
    let own = |c: char| match c {
        '\u{2BC}' | '\u{2018}'..='\u{201B}' => '\'',
        '\u{201C}'..='\u{201F}' => '"',
        '\r' | '\u{2028}' | '\u{2029}' => '\n',
        c => c,
    };
    let c = without_c1(c);
    let table = match c {
        '\u{FF01}'..='\u{FF5E}' => {
            return char::from_u32(u32::from(c) - 0xFEE0).map_or(Ok(()), |c| out.try_push_char(c));
        }
        '\u{132}'..='\u{1F3}' | '\u{FB00}'..='\u{FB06}' => &LIGATURES[..],
        '\u{3000}' | '\u{FF5F}'.. => &WIDTHS[..],
        _ => &[],
    };
    match table.binary_search_by_key(&c, |row| row.0) {
        Ok(row) => table[row].1.chars().try_for_each(|c| out.try_push_char(own(c))),
        Err(_) => out.try_push_char(own(c)),
    }
}

/// Length of the terminal escape that `text` begins with, `ESC [ digits and semicolons letter`, or 0.
fn escape_length(text: &str) -> usize {
    let Some(rest) = text.strip_prefix("\x1B[") else { return 0 };
    let letter = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
    if letter.starts_with(|c: char| c.is_ascii_alphabetic()) { text.len() - letter.len() + 1 } else { 0 }
}

/// Controls that are no white space, and what is not meant to be in a text.
fn is_removed(c: char) -> bool {
    matches!(c, '\0'..='\x08' | '\x0B' | '\x0E'..='\x1F' | '\x7F' | '\u{206A}'..='\u{206F}' | '\u{FEFF}')
        || matches!(c, '\u{FFF9}'..='\u{FFFC}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_as_ftfy_mends_them() {
        let cases = [
            ("", ""),
            ("plain text\n", "plain text\n"),
            ("cat &amp; dog", "cat & dog"),
            ("cat’s “ﬁsh”", "cat's \"fish\""),
            ("ＬＯＵＤ　ＮＯＩＳＥＳ ＂ﾜｰﾀﾞ", "LOUD NOISES \"ワーダ"),
            ("&lt;b&gt; &amp;amp;", "<b> &"),
            ("<b>&amp;\n&amp;", "<b>&amp;\n&amp;"),
            ("&amp;\n<", "&\n<"),
            ("a\r\nb\rc\u{2028}d\u{2029}e\u{85}f", "a\nb\nc\nd\ne…f"),
            ("\x1B[36;44mblue\x1B[0m \x1B[x\x1B]", "blue ]"),
            ("\u{FEFF}a\0b\u{200D}c\u{FFFC}", "ab\u{200D}c"),
            ("ŉ ĳ ſt ﬅ", "'n ij ſt ſt"),
            ("e\u{301} ￣", "é  \u{304}"),
            ("âœ” No problems", "✔ No problems"),
            ("&macr;\\_(ã\u{83}\u{84})_/&macr;", "¯\\_(ツ)_/¯"),
            ("Broken text&hellip; it&#x2019;s ﬂubberiﬁc!", "Broken text… it's flubberific!"),
            ("&acirc;&euro;&trade;s", "'s"),
        ];
        for (text, expected) in cases {
            assert_eq!(fix_text(text).unwrap(), expected, "{text:?}");
        }
    }
}
