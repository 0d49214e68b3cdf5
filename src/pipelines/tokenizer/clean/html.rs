//! HTML's character references undone: as Python's `html.unescape`, and the stricter way of ftfy.

use alloc::borrow::Cow;
use alloc::string::String;
use core::cmp::Ordering;

use super::tables::{REFERENCES, WINDOWS_1252};
use crate::error::Result;
use crate::exec::TryGrowText;

/// Characters after `&` that may belong to a name in [`unescape`].
const NAME: usize = 32;

/// Letters of the longest name whose semicolon may be missing.
const LONGEST_WITHOUT_SEMICOLON: usize = 6;

/// Letters and digits of a reference in [`unescape_strictly`].
const STRICT_NAME: usize = 24;

/// `text` with all character references of HTML5 replaced, as Python's `html.unescape` does: names whose
/// semicolon may be missing also as the beginning of a longer word, numbers with or without semicolon.
pub(super) fn unescape(text: &str) -> Result<Cow<'_, str>> {
    replace(text, |rest, out| match rest.strip_prefix('#') {
        Some(number) => {
            let (value, length) = number_at(number)?;
            let semicolon = number[length..].starts_with(';');
            out.extend(character(value));
            Some(1 + length + usize::from(semicolon))
        }
        None => {
            let word = rest.find(['\t', '\n', '\u{C}', ' ', '<', '&', '#', ';']).unwrap_or(rest.len());
            let word = word.min(rest.char_indices().nth(NAME).map_or(rest.len(), |(at, _)| at));
            if rest[word..].starts_with(';')
                && let Some((value, _)) = named(&rest[..word])
            {
                out.push_str(value);
                return Some(word + 1);
            }
            let (value, length) = longest_without_semicolon(&rest[..word])?;
            out.push_str(value);
            Some(length)
        }
    })
}

/// `text` with those references replaced that end in a semicolon, as ftfy does; names in capitals too where
/// that is unambiguous: `&EACUTE;` is É.
pub(super) fn unescape_strictly(text: &str) -> Result<Cow<'_, str>> {
    replace(text, |rest, out| {
        let is_number = rest.starts_with('#');
        let start = usize::from(is_number);
        let length =
            rest[start..].bytes().take_while(u8::is_ascii_alphanumeric).take(STRICT_NAME + 1).count();
        let (word, after) = rest[start..].split_at(length);
        if !(1..=STRICT_NAME).contains(&length) || !after.starts_with(';') {
            return None;
        }
        if is_number {
            let (value, digits) = number_at(word)?;
            if digits != word.len() || value == u32::from(';') {
                return None;
            }
            out.extend(character(value));
        } else if let Some((value, _)) = named(word) {
            out.push_str(value);
        } else {
            let is_small = |byte: u8| byte.is_ascii_lowercase();
            if word.bytes().any(is_small) || longest_without_semicolon(word).is_some() {
                return None;
            }
            out.push_str(&named(&word.to_ascii_lowercase())?.0.to_uppercase());
        }
        Some(start + length + 1)
    })
}

/// `text` with what `reference` makes of each place after `&`: it appends the replacement and says how many
/// bytes after the `&` are replaced, or there is nothing to replace.
fn replace(text: &str, reference: impl Fn(&str, &mut String) -> Option<usize>) -> Result<Cow<'_, str>> {
    let mut out = String::new();
    let mut replacement = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(ampersand) = text[at..].find('&') {
        at += ampersand + 1;
        replacement.clear();
        if let Some(length) = reference(&text[at..], &mut replacement) {
            out.try_push_str(&text[copied..at - 1])?;
            out.try_push_str(&replacement)?;
            at += length;
            copied = at;
        }
    }
    if copied == 0 {
        return Ok(Cow::Borrowed(text));
    }
    out.try_push_str(&text[copied..])?;
    Ok(Cow::Owned(out))
}

/// The number that `text`, after `&#`, begins with (`u32::MAX` for all large ones), and its length with the `x`.
fn number_at(text: &str) -> Option<(u32, usize)> {
    let (start, radix) = if text.starts_with(['x', 'X']) { (1, 16) } else { (0, 10) };
    let digits = text[start..].chars().map_while(|c| c.to_digit(radix));
    let (value, count) = digits.fold((0_u32, 0), |(value, count), digit| {
        (value.saturating_mul(radix).saturating_add(digit), count + 1)
    });
    (count > 0).then_some((value, start + count))
}

/// What a number stands for: Windows-1252 between 0x80 and 0x9F, U+FFFD for no character, nothing for controls
/// and noncharacters.
fn character(number: u32) -> Option<char> {
    match number {
        0 => Some('\u{FFFD}'),
        0x0D => Some('\r'),
        0x80..=0x9F => Some(WINDOWS_1252[number as usize - 0x80]),
        0x01..=0x08 | 0x0B | 0x0E..=0x1F | 0x7F | 0xFDD0..=0xFDEF => None,
        0..=0x10_FFFF if number & 0xFFFE == 0xFFFE => None,
        _ => Some(char::from_u32(number).unwrap_or('\u{FFFD}')),
    }
}

/// What the longest name at the start of `word` stands for that counts without semicolon, and its length.
fn longest_without_semicolon(word: &str) -> Option<(&'static str, usize)> {
    let letters = word.bytes().take(LONGEST_WITHOUT_SEMICOLON).take_while(u8::is_ascii_alphanumeric).count();
    (2..=letters).rev().find_map(|length| match named(&word[..length]) {
        Some((value, true)) => Some((value, length)),
        _ => None,
    })
}

/// What `name`, without semicolon, stands for, and whether it may be without.
fn named(name: &str) -> Option<(&'static str, bool)> {
    // Binary search in a text: the entries are found by the NUL before them.
    let entries = REFERENCES.as_bytes();
    let (mut low, mut high) = (0, entries.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let start = entries[low..middle].iter().rposition(|&byte| byte == 0).map_or(low, |at| low + at + 1);
        let end = start + entries[start..].iter().position(|byte| matches!(byte, b'=' | b'~'))?;
        match entries[start..end].cmp(name.as_bytes()) {
            Ordering::Greater => high = start,
            less_or_equal => {
                let length = entries[end..].iter().position(|&byte| byte == 0)?;
                if less_or_equal == Ordering::Equal {
                    return Some((&REFERENCES[end + 1..end + length], entries[end] == b'~'));
                }
                low = end + length + 1;
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found() {
        let mut names = 0;
        for entry in REFERENCES.split_terminator('\0') {
            let end = entry.find(['=', '~']).unwrap();
            assert_eq!(named(&entry[..end]), Some((&entry[end + 1..], entry[end..].starts_with('~'))));
            let without_semicolon = entry[end..].starts_with('~');
            assert!(!without_semicolon || (2..=LONGEST_WITHOUT_SEMICOLON).contains(&end));
            names += 1 + usize::from(without_semicolon);
        }
        assert_eq!(names, 2231);
        for name in ["", "A", "a", "amq", "zzzz", "zwnj=", "\u{1F600}"] {
            assert_eq!(named(name), None, "{name:?}");
        }
    }

    #[test]
    fn references_as_python_undoes_them() {
        let cases = [
            ("no reference", "no reference"),
            ("&", "&"),
            ("a &amp; b &amp b", "a & b & b"),
            ("&ampersand;", "&ersand;"),
            ("&notit; &notin; &notin", "¬it; ∉ ¬in"),
            ("&AMP &Amp; &AmP", "& &Amp; &AmP"),
            ("&#39;&#x27;&#X27&#39", "''''"),
            ("&#128;&#x92;&#0;&#13;&#129;", "€’\u{FFFD}\r\u{81}"),
            ("&#1;&#xFFFE;&#x10FFFF;&#xFDD0;|", "|"),
            ("&#xD800;&#x110000;&#99999999999999999999;", "\u{FFFD}\u{FFFD}\u{FFFD}"),
            ("&#;&#x;&#xg;&;", "&#;&#x;&#xg;&;"),
            ("&NotEqualTilde;&fjlig;", "≂\u{338}fj"),
            ("&amp;lt;", "&lt;"),
            ("&eacuteé&lté", "éé<é"),
            ("&CounterClockwiseContourIntegral;", "∳"),
            ("&g&gt", "&g>"),
        ];
        for (text, expected) in cases {
            assert_eq!(unescape(text).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn references_as_ftfy_undoes_them() {
        let cases = [
            ("&amp &notit; &amp;", "&amp &notit; &"),
            ("P&EACUTE;REZ BUNDESSTRA&SZLIG;E", "PÉREZ BUNDESSTRASSE"),
            ("&ntilde; &Ntilde; &NTILDE; &nTILDE;", "ñ Ñ Ñ &nTILDE;"),
            ("&ATILDE;&SUP3;&HELLIP; &LTE;", "Ã³… &LTE;"),
            ("&#59;&#x3b; &#x27; &#12a; &#x;", "&#59;&#x3b; ' &#12a; &#x;"),
            ("&#1;|&CounterClockwiseContourIntegral;", "|&CounterClockwiseContourIntegral;"),
        ];
        for (text, expected) in cases {
            assert_eq!(unescape_strictly(text).unwrap(), expected, "{text:?}");
        }
    }
}
