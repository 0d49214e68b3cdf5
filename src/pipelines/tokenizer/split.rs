//! CLIP's pattern: where words begin and end.

use super::unicode::{Class, class};
use super::vocabulary::{END, START};

/// The words of a normalised text: the matches of
/// `'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+`.
///
/// With `specials`, `<\|startoftext\|>|<\|endoftext\|>|` comes before this. The byte-level step
/// applies a pattern of its own, so that such a match becomes three words all the same (it is a
/// special token only where [`AddedTokens`](super::added::AddedTokens) finds it, which is before
/// lower case), but the third ends with the match: `|>!!` is two words instead of one.
pub(super) fn words(text: &str, specials: bool) -> impl Iterator<Item = &str> {
    let mut rest = text;
    let mut special = ""; // what is left of a match of `specials`
    core::iter::from_fn(move || {
        if special.is_empty() {
            rest = rest.trim_start();
            let token = [START, END].into_iter().find(|&token| specials && rest.starts_with(token));
            (special, rest) = rest.split_at(token.map_or(0, str::len));
        }
        let source = if special.is_empty() { &mut rest } else { &mut special };
        let (word, tail) = source.split_at(match_length(source)?);
        *source = tail;
        Some(word)
    })
}

/// Bytes that the pattern takes at the start of `text`, which begins with no space.
fn match_length(text: &str) -> Option<usize> {
    const CONTRACTIONS: [&str; 7] = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];
    if let Some(contraction) = CONTRACTIONS.iter().find(|c| text.starts_with(**c)) {
        return Some(contraction.len());
    }
    let first = text.chars().next()?;
    let kind = class(first);
    if kind == Class::Number {
        return Some(first.len_utf8());
    }
    Some(text.find(|c| class(c) != kind).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn words_of_texts() {
        let cases: [(&str, &[&str]); 9] = [
            ("", &[]),
            ("   ", &[]),
            (" a photo, of ", &["a", "photo", ",", "of"]),
            ("you'll've", &["you", "'ll", "'ve"]),
            ("'street ''s 's", &["'s", "treet", "''", "s", "'s"]),
            ("abc123½x", &["abc", "1", "2", "3", "½", "x"]),
            ("e\u{323}\u{307}e", &["e", "\u{323}\u{307}", "e"]), // marks are no letters
            ("<|startoftext|>", &["<|", "startoftext", "|>"]),
            ("hi!!'t 😀😀", &["hi", "!!'", "t", "😀😀"]),
        ];
        for (text, expected) in cases {
            assert_eq!(words(text, false).collect::<Vec<_>>(), expected, "{text:?}");
            assert_eq!(words(text, true).collect::<Vec<_>>(), expected, "{text:?}");
        }
    }

    #[test]
    fn specials_end_words() {
        let cases: [(&str, &[&str], &[&str]); 3] = [
            (
                "a<|endoftext|>!!<|endoftext|>",
                &["a", "<|", "endoftext", "|>!!<|", "endoftext", "|>"],
                &["a", "<|", "endoftext", "|>", "!!<|", "endoftext", "|>"],
            ),
            (
                "<|endoftext|><|startoftext|>'s",
                &["<|", "endoftext", "|><|", "startoftext", "|>'", "s"],
                &["<|", "endoftext", "|>", "<|", "startoftext", "|>", "'s"],
            ),
            ("<|endoftext|", &["<|", "endoftext", "|"], &["<|", "endoftext", "|"]),
        ];
        for (text, without, with) in cases {
            assert_eq!(words(text, false).collect::<Vec<_>>(), without, "{text:?}");
            assert_eq!(words(text, true).collect::<Vec<_>>(), with, "{text:?}");
        }
    }
}
