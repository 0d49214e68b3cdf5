//! Grapheme clusters (Unicode Standard Annex #29): SentencePiece's table is looked up a cluster at a time by `tokenizers`.

use super::super::unicode::in_packed;
use super::tables::{CONSONANTS, EXTENDERS, LINKERS, PICTOGRAPHS, PREFIXES, SEPARATORS};

/// What the rules distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Break {
    CarriageReturn,
    LineFeed,
    /// Controls, line separators and the like.
    Control,
    /// `Extend`, `ZWJ` and `SpacingMark`: what no cluster begins with if it can be helped.
    Extender,
    Prefix,
    Regional,
    /// Hangul's parts and syllables.
    Leading,
    Vowel,
    Trailing,
    LeadingVowel,
    Syllable,
    Other,
}

fn break_of(c: char) -> Break {
    match c {
        '\r' => Break::CarriageReturn,
        '\n' => Break::LineFeed,
        ' '..='~' => Break::Other,
        '\u{1100}'..='\u{115F}' | '\u{A960}'..='\u{A97C}' => Break::Leading,
        '\u{1160}'..='\u{11A7}' | '\u{D7B0}'..='\u{D7C6}' => Break::Vowel,
        '\u{11A8}'..='\u{11FF}' | '\u{D7CB}'..='\u{D7FB}' => Break::Trailing,
        '\u{AC00}'..='\u{D7A3}' if (u32::from(c) - 0xAC00).is_multiple_of(28) => Break::LeadingVowel,
        '\u{AC00}'..='\u{D7A3}' => Break::Syllable,
        '\u{1F1E6}'..='\u{1F1FF}' => Break::Regional,
        _ if in_packed(&EXTENDERS, c) => Break::Extender,
        _ if in_packed(&SEPARATORS, c) => Break::Control,
        _ if in_packed(&PREFIXES, c) => Break::Prefix,
        _ => Break::Other,
    }
}

/// The clusters of `text`.
pub(in super::super) fn graphemes(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    core::iter::from_fn(move || {
        let (cluster, after) = rest.split_at(first_length(rest)?);
        rest = after;
        Some(cluster)
    })
}

/// Bytes of the first cluster of `text`.
fn first_length(text: &str) -> Option<usize> {
    let mut characters = text.chars();
    let mut last = characters.next()?;
    let mut kind = break_of(last);
    // Whether the cluster ends in a pictograph and what extends it; in a consonant, a linker and what extends them.
    let mut after_pictograph = in_packed(&PICTOGRAPHS, last);
    let (mut after_consonant, mut linked) = (in_packed(&CONSONANTS, last), false);
    let mut flags = usize::from(kind == Break::Regional);
    loop {
        let length = text.len() - characters.as_str().len();
        let Some(next) = characters.next() else { return Some(length) };
        let next_kind = break_of(next);
        let joins = match (kind, next_kind) {
            (Break::CarriageReturn, Break::LineFeed) => true,
            (Break::CarriageReturn | Break::LineFeed | Break::Control, _)
            | (_, Break::CarriageReturn | Break::LineFeed | Break::Control) => false,
            (Break::Leading, Break::Leading | Break::Vowel | Break::LeadingVowel | Break::Syllable)
            | (Break::LeadingVowel | Break::Vowel, Break::Vowel | Break::Trailing)
            | (Break::Syllable | Break::Trailing, Break::Trailing)
            | (_, Break::Extender)
            | (Break::Prefix, _) => true,
            (Break::Regional, Break::Regional) => !flags.is_multiple_of(2),
            _ => {
                linked && in_packed(&CONSONANTS, next)
                    || last == '\u{200D}' && after_pictograph && in_packed(&PICTOGRAPHS, next)
            }
        };
        if !joins {
            return Some(length);
        }
        if next_kind != Break::Extender {
            after_pictograph = in_packed(&PICTOGRAPHS, next);
            after_consonant = in_packed(&CONSONANTS, next);
            linked = false;
        } else {
            linked |= after_consonant && in_packed(&LINKERS, next);
        }
        flags += usize::from(next_kind == Break::Regional);
        (last, kind) = (next, next_kind);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn clusters() {
        let cases: [&[&str]; 12] = [
            &["\r\n", "a", "\n", "\r"],
            &["e\u{301}", "x"],
            &["\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}", "\u{1F600}"],
            &["a\u{200D}", "\u{1F600}"],
            &["\u{1F1E9}\u{1F1EA}", "\u{1F1EB}"],
            &["\u{1100}\u{1161}\u{11A8}", "\u{1100}\u{AC00}\u{11A8}"],
            &["\u{600}a", "b"],
            &["\u{915}\u{94D}\u{937}", "\u{915}"],
            &["\u{915}\u{93E}", "\u{937}"],
            &["\0", "\u{301}"],
            &["\u{2764}\u{FE0F}\u{200D}\u{1F525}"],
            &["ก\u{E33}", " "],
        ];
        for case in cases {
            assert_eq!(graphemes(&case.concat()).collect::<Vec<_>>(), case, "{case:?}");
        }
    }
}
