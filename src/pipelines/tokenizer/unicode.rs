//! Questions about characters, answered by the generated tables.

use core::cmp::Ordering;

use super::unicode_tables::{COMBINING_CLASSES, COMPOSITIONS, DECOMPOSITIONS, LETTERS, NUMBERS};

/// What CLIP's pattern distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// `\p{L}`
    Letter,
    /// `\p{N}`
    Number,
    /// `\s`
    Space,
    /// The rest: punctuation, symbols, combining marks, controls, unassigned.
    Other,
}

/// The class of `c`. Not `char::is_alphabetic`, which also takes marks and letter-like numbers.
pub(super) fn class(c: char) -> Class {
    if c.is_ascii_alphabetic() || !c.is_ascii() && contains(&LETTERS, c) {
        Class::Letter
    } else if c.is_ascii_digit() || !c.is_ascii() && contains(&NUMBERS, c) {
        Class::Number
    } else if c.is_whitespace() {
        Class::Space
    } else {
        Class::Other
    }
}

fn contains(ranges: &[(u32, u32)], c: char) -> bool {
    ranges.binary_search_by(|&(first, last)| compare(first, last, c)).is_ok()
}

/// Whether one of the ranges, in order, has `c`: first code point `<< 11`, code points after it.
pub(super) fn in_packed(ranges: &[u32], c: char) -> bool {
    let c = u32::from(c);
    let after = ranges.partition_point(|range| range >> 11 <= c);
    after > 0 && c - (ranges[after - 1] >> 11) <= ranges[after - 1] & 0x7FF
}

/// Where the range stands relative to `c`.
fn compare(first: u32, last: u32, c: char) -> Ordering {
    let c = u32::from(c);
    if last < c {
        Ordering::Less
    } else if first > c {
        Ordering::Greater
    } else {
        Ordering::Equal
    }
}

/// Canonical combining class; 0 for a starter.
pub(super) fn combining_class(c: char) -> u8 {
    if c < '\u{300}' {
        return 0;
    }
    COMBINING_CLASSES
        .binary_search_by(|&(first, last, _)| compare(first, last, c))
        .map_or(0, |i| COMBINING_CLASSES[i].2)
}

// Hangul syllables are arithmetic (Unicode, section 3.12): L + V (+ T), counted in this order.
const S_BASE: u32 = 0xAC00;
const L_BASE: u32 = 0x1100;
const V_BASE: u32 = 0x1161;
const T_BASE: u32 = 0x11A7;
const L_COUNT: u32 = 19;
const V_COUNT: u32 = 21;
const T_COUNT: u32 = 28;
const S_COUNT: u32 = L_COUNT * V_COUNT * T_COUNT;

/// One step of the canonical decomposition of `c`: a first part, which may decompose further, and
/// perhaps a second, which does not.
pub(super) fn decompose(c: char) -> Option<(char, Option<char>)> {
    if c < '\u{C0}' {
        return None;
    }
    let code = u32::from(c);
    if let Some(s) = code.checked_sub(S_BASE).filter(|&s| s < S_COUNT) {
        let t = s % T_COUNT;
        let (first, second) = if t == 0 {
            (L_BASE + s / (V_COUNT * T_COUNT), V_BASE + s / T_COUNT % V_COUNT)
        } else {
            (code - t, T_BASE + t)
        };
        return char::from_u32(first).map(|first| (first, char::from_u32(second)));
    }
    let i = DECOMPOSITIONS.binary_search_by_key(&code, |entry| entry.0).ok()?;
    let (_, first, second) = DECOMPOSITIONS[i];
    char::from_u32(first).map(|first| (first, char::from_u32(second).filter(|&c| c != '\0')))
}

/// The primary composite of two characters, if there is one.
pub(super) fn compose(first: char, second: char) -> Option<char> {
    let pair = (u32::from(first), u32::from(second));
    if let Some(l) = pair.0.checked_sub(L_BASE).filter(|&l| l < L_COUNT) {
        let v = pair.1.checked_sub(V_BASE).filter(|&v| v < V_COUNT)?;
        return char::from_u32(S_BASE + (l * V_COUNT + v) * T_COUNT);
    }
    if let Some(s) = pair.0.checked_sub(S_BASE).filter(|s| *s < S_COUNT && s % T_COUNT == 0) {
        let t = pair.1.checked_sub(T_BASE).filter(|&t| 0 < t && t < T_COUNT)?;
        return char::from_u32(S_BASE + s + t);
    }
    let entry = |i: u16| DECOMPOSITIONS[usize::from(i)];
    let i = COMPOSITIONS.binary_search_by_key(&pair, |&i| (entry(i).1, entry(i).2)).ok()?;
    char::from_u32(entry(COMPOSITIONS[i]).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_syllable_and_composite_survives_the_round_trip() {
        let mut composites = 0;
        for c in '\0'..=char::MAX {
            if let Some((first, Some(second))) = decompose(c)
                && let Some(back) = compose(first, second)
            {
                assert_eq!(back, c);
                composites += 1;
            }
        }
        assert_eq!(composites, COMPOSITIONS.len() + S_COUNT as usize);
    }

    #[test]
    fn tables_are_sorted_and_disjoint() {
        for table in [&LETTERS[..], &NUMBERS[..]] {
            assert!(table.windows(2).all(|w| w[0].0 <= w[0].1 && w[0].1 < w[1].0));
        }
        assert!(COMBINING_CLASSES.windows(2).all(|w| w[0].0 <= w[0].1 && w[0].1 < w[1].0));
        assert!(DECOMPOSITIONS.windows(2).all(|w| w[0].0 < w[1].0));
    }

    #[test]
    fn classes_are_unicode_categories() {
        // U+0345 is alphabetic but a mark, U+24B6 alphabetic but a symbol, U+2160 a number.
        let expected = [
            ('a', Class::Letter),
            ('ª', Class::Letter),
            ('漢', Class::Letter),
            ('\u{345}', Class::Other),
            ('Ⓐ', Class::Other),
            ('Ⅰ', Class::Number),
            ('½', Class::Number),
            ('²', Class::Number),
            ('_', Class::Other),
            ('\u{85}', Class::Space),
            ('\u{1C}', Class::Other),
            ('\u{200B}', Class::Other),
            ('\u{3000}', Class::Space),
        ];
        for (c, expected) in expected {
            assert_eq!(class(c), expected, "{c:?}");
        }
    }
}
