//! Mojibake undone: UTF-8 that was read in a single-byte encoding, once or more often.
//!
//! A text that looks bad is written back in each encoding that has all its characters, and read as UTF-8. If
//! that fails for the whole, stretches of it are tried alone. The order of the attempts, and which damage on the
//! way is allowed for, are ftfy's (6.3.1, `fix_encoding`).

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use super::badness::{classes, entry, is_bad};
use super::tables::class::{CONTINUES, CONTINUES_STRICTLY, LEADS_2, LEADS_3, LEADS_4};
use super::tables::{ENCODINGS, MACROMAN, SLOPPY, WINDOWS_1252};
use crate::error::Result;
use crate::exec::{TryGrow, TryGrowText, try_string_with_capacity, try_with_capacity};

/// Stretches within stretches. Each level halves a text, so that what people have ends far above.
const DEPTH: usize = 16;

/// Byte of a character that was lost, in the encodings that are [`SLOPPY`].
const LOST: u8 = 0x1A;

/// How many bytes may still be worked through. ftfy goes on until nothing changes, which takes quadratic time for
/// a text made for it; what people have ends after a few rounds.
#[derive(Debug)]
pub(super) struct Budget(usize);

impl Budget {
    /// For a text of `length` bytes.
    pub(super) fn new(length: usize) -> Self {
        Self((2 << 20) + 8 * length)
    }

    /// Whether another `length` bytes are within the budget; they are taken from it.
    pub(super) fn take(&mut self, length: usize) -> bool {
        let left = self.0.checked_sub(length);
        self.0 = left.unwrap_or(0);
        left.is_some()
    }
}

/// `text` with its mojibake undone.
pub(super) fn fix_encoding<'a>(text: Cow<'a, str>, budget: &mut Budget) -> Result<Cow<'a, str>> {
    fix_within(text, budget, DEPTH)
}

fn fix_within<'a>(mut text: Cow<'a, str>, budget: &mut Budget, depth: usize) -> Result<Cow<'a, str>> {
    while !text.is_ascii()
        && budget.take(text.len())
        && is_bad(&text)
        && let Some(better) = one_step(&text, budget, depth)?
        && better != text
    {
        text = Cow::Owned(better);
    }
    Ok(text)
}

/// The first of the attempts that succeeds.
fn one_step(text: &str, budget: &mut Budget, depth: usize) -> Result<Option<String>> {
    if text.chars().all(|c| c <= '\u{FF}') {
        let bytes = bytes_of(text, |c| u32::from(c) as u8)?;
        if let Some(fixed) = decode(restore_spaces(bytes)?)? {
            return Ok(Some(fixed));
        }
    }
    let usable = usable_encodings(text);
    for encoding in (0..ENCODINGS).filter(|encoding| usable & 1 << encoding != 0) {
        if !budget.take(text.len()) {
            return Ok(None);
        }
        let mut bytes = encode(text, encoding)?;
        if encoding != MACROMAN {
            bytes = restore_spaces(bytes)?;
        }
        if encoding < SLOPPY {
            bytes = replace_lost(bytes)?;
        }
        if let Some(fixed) = decode(bytes)? {
            return Ok(Some(fixed));
        }
    }
    if depth > 0
        && let Some(fixed) = fix_stretches(text, budget, depth)?
    {
        return Ok(Some(fixed));
    }
    let is_c1 = |c: char| ('\u{80}'..='\u{9F}').contains(&c);
    // A whole text of Latin-1 is only read anew if Windows-1252 has all its bytes, but then the controls are
    // replaced one by one all the same.
    if !text.contains(is_c1) {
        return Ok(None);
    }
    let mut fixed = try_string_with_capacity(text.len())?;
    text.chars().try_for_each(|c| fixed.try_push_char(without_c1(c)))?;
    Ok(Some(fixed))
}

/// A byte for each character of `text`.
fn bytes_of(text: &str, byte: impl Fn(char) -> u8) -> Result<Vec<u8>> {
    let mut bytes = try_with_capacity(text.len())?;
    bytes.extend(text.chars().map(byte));
    Ok(bytes)
}

/// `c`, or what Windows-1252 has in the place of a C1 control.
pub(super) fn without_c1(c: char) -> char {
    match c {
        '\u{80}'..='\u{9F}' => WINDOWS_1252[u32::from(c) as usize - 0x80],
        _ => c,
    }
}

/// A bit for each encoding that has all characters of `text`.
fn usable_encodings(text: &str) -> u32 {
    const ALL: u32 = (1 << ENCODINGS) - 1;
    let mut usable = ALL;
    for c in text.chars() {
        usable &= match (c, entry(c)) {
            ('\u{1A}', _) => ALL & (!0 << SLOPPY),
            ('\0'..='\x7F', _) => continue,
            (_, None) => 0,
            (_, Some((_, _, bytes))) => {
                (0..ENCODINGS).fold(0, |usable, i| usable | u32::from(bytes[i] != 0) << i)
            }
        };
        if usable == 0 {
            break;
        }
    }
    usable
}

/// The bytes of `text` in one of its [`usable_encodings`].
fn encode(text: &str, encoding: usize) -> Result<Vec<u8>> {
    bytes_of(text, |c| entry(c).map_or(u32::from(c) as u8, |(_, _, bytes)| bytes[encoding]))
}

/// UTF-8 with the variants that some programs write: surrogates as three bytes each (CESU-8), NUL as two.
fn decode(bytes: Vec<u8>) -> Result<Option<String>> {
    if !bytes.iter().any(|byte| matches!(byte, 0xC0 | 0xED)) {
        return Ok(String::from_utf8(bytes).ok());
    }
    // None of the variants is shorter than what it stands for.
    let mut standard = try_with_capacity(bytes.len())?;
    let mut rest = &bytes[..];
    while let Some(&first) = rest.first() {
        rest = match *rest {
            [0xC0, 0x80, ..] => {
                standard.push(0);
                &rest[2..]
            }
            [0xED, a @ 0xA0..=0xAF, b @ 0x80..=0xBF, 0xED, c @ 0xB0..=0xBF, d @ 0x80..=0xBF, ..] => {
                let bits = |byte: u8, mask: u8| u32::from(byte & mask);
                let code = bits(a, 15) << 16 | bits(b, 63) << 10 | bits(c, 15) << 6 | bits(d, 63);
                let Some(character) = char::from_u32(0x1_0000 + code) else { return Ok(None) };
                standard.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                &rest[6..]
            }
            _ => {
                standard.push(first);
                &rest[1..]
            }
        };
    }
    Ok(String::from_utf8(standard).ok())
}

/// `bytes` with the byte A0 again where a space has taken its place within UTF-8.
fn restore_spaces(bytes: Vec<u8>) -> Result<Vec<u8>> {
    if !(0..bytes.len()).any(|at| altered(&bytes[at..]).is_some()) {
        return Ok(bytes);
    }
    // "Ã la" was "à la", and the space after the letter has been lost rather than changed.
    let mut with_words = try_with_capacity(bytes.len() + 16)?;
    for (at, &byte) in bytes.iter().enumerate() {
        with_words.try_push(byte)?;
        if byte == 0xC3
            && let Some(rest) = bytes[at + 1..].strip_prefix(b" ")
            && ![&b" "[..], b"quele", b"quela", b"quilo", b"s "].iter().any(|word| rest.starts_with(word))
        {
            with_words.try_push(0xA0)?;
        }
    }
    let mut at = 0;
    while at < with_words.len() {
        match altered(&with_words[at..]) {
            Some(length) => {
                for byte in &mut with_words[at..at + length] {
                    if *byte == b' ' {
                        *byte = 0xA0;
                    }
                }
                at += length;
            }
            None => at += 1,
        }
    }
    Ok(with_words)
}

/// Length of the UTF-8 that `bytes` begin with if one of its bytes A0 has become a space and the whole is a
/// likely character.
fn altered(bytes: &[u8]) -> Option<usize> {
    let continues = |byte: u8| matches!(byte, 0x80..=0xBF);
    // Neither A0 nor 85, which are white space themselves.
    let visible = |byte: u8| continues(byte) && byte != 0x85 && byte != 0xA0;
    match *bytes {
        [0xC2 | 0xC3 | 0xC5 | 0xCE | 0xD0 | 0xD9, b' ', ..] => Some(2),
        [0xE2 | 0xE3, b' ', last, ..] if visible(last) => Some(3),
        [0xE0..=0xE3, second, b' ', ..] if visible(second) => Some(3),
        [0xF0, b' ', third, fourth, ..] if continues(third) && continues(fourth) => Some(4),
        [0xF0, second, b' ', fourth, ..] if continues(second) && continues(fourth) => Some(4),
        [0xF0, second, third, b' ', ..] if continues(second) && continues(third) => Some(4),
        _ => None,
    }
}

/// `bytes` with U+FFFD for each UTF-8 sequence that has lost bytes.
fn replace_lost(bytes: Vec<u8>) -> Result<Vec<u8>> {
    if !bytes.iter().any(|&byte| byte == LOST || byte == b'?') {
        return Ok(bytes);
    }
    let mut out = try_with_capacity(bytes.len())?;
    let mut at = 0;
    while at < bytes.len() {
        match damaged(&bytes[at..]) {
            Some(length) => {
                out.try_extend("\u{FFFD}".as_bytes())?;
                at += length;
            }
            None => {
                out.try_push(bytes[at])?;
                at += 1;
            }
        }
    }
    Ok(out)
}

/// Length of the UTF-8 that `bytes` begin with if some of its bytes are [`LOST`], one of them perhaps as a
/// question mark.
fn damaged(bytes: &[u8]) -> Option<usize> {
    let kept = |byte: u8| byte == LOST || matches!(byte, 0x80..=0xBF);
    let lost = |byte: u8| byte == LOST || byte == b'?';
    let any = |byte: u8| kept(byte) || lost(byte);
    match *bytes {
        [0xC2..=0xDF, LOST, ..] | [0xC2 | 0xC3, b'?', ..] => Some(2),
        [0xED, 0xA0..=0xAF, b, 0xED, 0xB0..=0xBF, c, ..] if lost(b) && any(c) || any(b) && lost(c) => Some(6),
        [0xE0..=0xEF, b, c, ..] if lost(b) && kept(c) || kept(b) && lost(c) => Some(3),
        [0xF0..=0xF4, b, c, d, ..]
            if lost(b) && kept(c) && kept(d)
                || kept(b) && lost(c) && kept(d)
                || kept(b) && kept(c) && lost(d) =>
        {
            Some(4)
        }
        [LOST, ..] => Some(1),
        _ => None,
    }
}

/// `text` with each stretch undone by itself that could be UTF-8 in some encoding; `None` if nothing changes.
fn fix_stretches(text: &str, budget: &mut Budget, depth: usize) -> Result<Option<String>> {
    let mut out = String::new();
    let (mut copied, mut at, mut before) = (0, 0, 0);
    while let Some(c) = text[at..].chars().next() {
        // Not the end of a greater mess.
        let length = if before & CONTINUES_STRICTLY == 0 { stretch(&text[at..]) } else { 0 };
        let end = at + length.max(c.len_utf8());
        let found = &text[at..end];
        if length > 0 && length < text.len() && is_bad(found) {
            let fixed = fix_within(Cow::Borrowed(found), budget, depth - 1)?;
            if fixed != found {
                out.try_push_str(&text[copied..at])?;
                out.try_push_str(&fixed)?;
                copied = end;
            }
        }
        before = found.chars().next_back().map_or(0, classes);
        at = end;
    }
    if copied == 0 {
        return Ok(None);
    }
    out.try_push_str(&text[copied..])?;
    Ok(Some(out))
}

/// Bytes at the start of `text` that could be whole characters of UTF-8 in some encoding.
fn stretch(text: &str) -> usize {
    let mut rest = text.chars();
    loop {
        let mut next = rest.clone();
        let first = next.next().map_or(0, classes);
        let continuations = match () {
            () if first & LEADS_2 != 0 => 1,
            () if first & LEADS_3 != 0 => 2,
            () if first & LEADS_4 != 0 => 3,
            () => return text.len() - rest.as_str().len(),
        };
        for _ in 0..continuations {
            if !next.next().is_some_and(|c| c == ' ' || classes(c) & CONTINUES != 0) {
                return text.len() - rest.as_str().len();
            }
        }
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(text: &str) -> String {
        fix_encoding(Cow::Borrowed(text), &mut Budget::new(text.len())).unwrap().into_owned()
    }

    #[test]
    fn mojibake_is_undone() {
        let cases = [
            ("plain", "plain"),
            ("café", "café"),
            ("cafÃ©", "café"),
            ("donâ€™t", "don’t"),
            ("voilÃ le travail", "voilà le travail"),
            ("Ã\u{A0} la mode", "à la mode"),
            ("l’humanitÃ© et cafÃ©", "l’humanité et café"), // one encoding does not have all
            ("ÃƒÂ©", "é"),                                  // twice
            ("Ð¿Ñ€Ð¸Ð²ÐµÑ‚", "привет"),
            ("РїСЂРёРІРµС‚", "привет"),                         // Windows-1251
            ("ÔÇ£", "ÔÇ£"),                                     // cp850, which is not tried
            ("â€œlike this â€\u{FFFD}", "“like this \u{FFFD}"), // a lost byte
            ("\u{92}tis", "’tis"),
            ("í\u{A0}½í¸\u{8D}", "😍"), // CESU-8
            ("├⌐ cp437", "é cp437"),
            ("√© MacRoman", "é MacRoman"),
        ];
        for (text, expected) in cases {
            assert_eq!(fixed(text), expected, "{text:?}");
        }
    }
}
