//! SentencePiece's table of replacements: a double-array trie over UTF-8 (Aoe, 1989; as Darts-clone lays it out) and the
//! texts that it points to.

use alloc::vec::Vec;

use crate::error::{Error, Result, err};
use crate::exec::{try_copied, try_with_capacity};

/// Precompiled replacements.
#[derive(Clone, Debug)]
pub(in super::super) struct Charsmap {
    units: Vec<u32>,
    /// UTF-8, each replacement ended by a NUL.
    replacements: Vec<u8>,
}

/// The replacement of a prefix of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Found<'c> {
    /// Bytes that are replaced.
    pub(in super::super) length: usize,
    pub(in super::super) replacement: &'c str,
}

impl Charsmap {
    /// From the bytes of a file: the size of the trie in bytes, the trie, the replacements. `None` if there are no bytes.
    ///
    /// # Errors
    /// `Tokenizer` if they do not fit together, or a replacement is not UTF-8; `OutOfMemory`.
    pub(in super::super) fn new(bytes: &[u8]) -> Result<Option<Self>> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let malformed = || err!(Tokenizer, "precompiled_charsmap: sizes do not fit {} bytes", bytes.len());
        let (size, rest) = bytes.split_first_chunk::<4>().ok_or_else(malformed)?;
        let size = u32::from_le_bytes(*size) as usize;
        let (trie, replacements) = rest.split_at_checked(size).ok_or_else(malformed)?;
        let (units, left) = trie.as_chunks::<4>();
        if units.is_empty() || !left.is_empty() {
            return Err(malformed());
        }
        if core::str::from_utf8(replacements).is_err() {
            return Err(err!(Tokenizer, "precompiled_charsmap: a replacement is not UTF-8"));
        }
        let mut words = try_with_capacity(units.len())?;
        words.extend(units.iter().map(|unit| u32::from_le_bytes(*unit)));
        Ok(Some(Self { units: words, replacements: try_copied(replacements)? }))
    }

    /// From base64 (RFC 4648), as JSON has it.
    pub(in super::super) fn from_base64(text: &str) -> Result<Option<Self>> {
        Self::new(&decode_base64(text)?)
    }

    /// The shortest replaced prefix of `text`.
    ///
    /// # Errors
    /// As [`longest`](Self::longest).
    pub(in super::super) fn shortest(&self, text: &[u8]) -> Result<Option<Found<'_>>> {
        self.walk(text, true)
    }

    /// The longest replaced prefix of `text`.
    ///
    /// # Errors
    /// `Tokenizer` if the trie points outside of itself or of the replacements, or runs in circles.
    pub(in super::super) fn longest(&self, text: &[u8]) -> Result<Option<Found<'_>>> {
        self.walk(text, false)
    }

    fn walk(&self, text: &[u8], stops_at_first: bool) -> Result<Option<Found<'_>>> {
        let outside = || err!(Tokenizer, "precompiled_charsmap: the trie points outside of itself");
        let mut node = offset(self.units[0]);
        let mut found = None;
        for (at, &byte) in text.iter().enumerate() {
            node ^= usize::from(byte);
            if byte == 0 {
                break;
            }
            let Some(&unit) = self.units.get(node) else { return Err(outside()) };
            if label(unit) != u32::from(byte) {
                break;
            }
            if at == MAX_PREFIX {
                return Err(err!(Tokenizer, "precompiled_charsmap: the trie runs in circles"));
            }
            node ^= offset(unit);
            if has_value(unit) {
                let value = self.units.get(node).ok_or_else(outside)? & VALUE;
                found = Some((at + 1, value as usize));
                if stops_at_first {
                    break;
                }
            }
        }
        found.map(|(length, value)| self.found(length, value)).transpose()
    }

    fn found(&self, length: usize, value: usize) -> Result<Found<'_>> {
        let text = self.replacements.get(value..).and_then(|rest| {
            let end = rest.iter().position(|&byte| byte == 0).unwrap_or(rest.len());
            core::str::from_utf8(&rest[..end]).ok()
        });
        let none = || err!(Tokenizer, "precompiled_charsmap: no replacement begins at {value}");
        Ok(Found { length, replacement: text.ok_or_else(none)? })
    }
}

/// Bytes of what is replaced at most; the published tables have prefixes of some 20.
const MAX_PREFIX: usize = 512;

const VALUE: u32 = (1 << 31) - 1;

/// Whether a text may end at the unit.
fn has_value(unit: u32) -> bool {
    unit >> 8 & 1 == 1
}

/// The byte that leads to the unit; with the upper bit, of which no byte has any, the unit is a value.
fn label(unit: u32) -> u32 {
    unit & (1 << 31 | 0xFF)
}

/// From a unit's place to those of its children.
fn offset(unit: u32) -> usize {
    ((unit >> 10) << ((unit & 1 << 9) >> 6)) as usize
}

/// The bytes of a text of base64 with its padding.
fn decode_base64(text: &str) -> Result<Vec<u8>> {
    let malformed = || -> Error { err!(Tokenizer, "precompiled_charsmap is not base64") };
    let digits = text.trim_end_matches('=').as_bytes();
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return Err(malformed());
    }
    let mut bytes = try_with_capacity(digits.len() / 4 * 3 + 2)?;
    for group in digits.chunks(4) {
        let mut word = 0u32;
        for &digit in group {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return Err(malformed()),
            };
            word = word << 6 | u32::from(value);
        }
        let count = group.len() * 6 / 8;
        let word = word << (24 - 6 * group.len()) << 8;
        bytes.extend_from_slice(&word.to_be_bytes()[..count]);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64() {
        for (text, bytes) in
            [("", &b""[..]), ("Zg==", b"f"), ("Zm8=", b"fo"), ("Zm9v", b"foo"), ("+/8A", &[0xFB, 0xFF, 0])]
        {
            assert_eq!(decode_base64(text).unwrap(), bytes, "{text}");
        }
        for text in ["Z", "Zg=", "Zg", "Zm9=v", "Z===", "====", "Zm9_", "Zm 9"] {
            decode_base64(text).expect_err(text);
        }
    }

    /// A unit of the array.
    fn unit(offset: u32, has_value: bool, label: u8) -> u32 {
        offset << 10 | u32::from(has_value) << 8 | u32::from(label)
    }

    fn file(units: &[u32], replacements: &[u8]) -> Vec<u8> {
        let units: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        [&(units.len() as u32).to_le_bytes()[..], &units, replacements].concat()
    }

    #[test]
    fn broken_tries_are_refused() {
        // The root's children are at 256 ^ label; that of "a" has its value at 600.
        let mut units = alloc::vec![0u32; 1024];
        units[0] = unit(256, false, 0);
        let a = 256 ^ usize::from(b'a');
        units[a] = unit(600 ^ a as u32, true, b'a');
        units[600] = 1 << 31 | 2;
        let good = Charsmap::new(&file(&units, b"x\0yz\0")).unwrap().unwrap();
        assert_eq!(good.longest(b"ab").unwrap(), Some(Found { length: 1, replacement: "yz" }));
        assert_eq!(good.shortest(b"ba").unwrap(), None);

        assert!(Charsmap::new(b"").unwrap().is_none());
        let circle = {
            let mut units = units.clone();
            // Back to the root's children.
            units[a] = unit(256 ^ a as u32, false, b'a');
            file(&units, b"x\0")
        };
        let outside = {
            let mut units = units.clone();
            units[a] = unit(1 << 20, true, b'a');
            file(&units, b"x\0")
        };
        let beyond = file(&units, b"x");
        let inside = file(&units, "€\0".as_bytes());
        for (name, bytes) in
            [("circle", circle), ("outside", outside), ("beyond", beyond), ("inside", inside)]
        {
            let map = Charsmap::new(&bytes).unwrap().unwrap();
            let error = map.longest(&[b'a'; 1000]).expect_err(name);
            assert_eq!(error.code(), crate::ErrorCode::Tokenizer, "{name}: {error}");
        }
        let not_utf8 = file(&units, b"x\0\xFFz\0");
        let cut = file(&units, b"")[..100].to_vec();
        for (name, bytes) in [
            ("not UTF-8", not_utf8),
            ("cut", cut),
            ("short", alloc::vec![1, 0]),
            ("no units", alloc::vec![0; 4]),
            ("half a unit", alloc::vec![2, 0, 0, 0, 1, 1]),
        ] {
            let error = Charsmap::new(&bytes).expect_err(name);
            assert_eq!(error.code(), crate::ErrorCode::Tokenizer, "{name}: {error}");
        }
    }
}
