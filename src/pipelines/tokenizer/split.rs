//! CLIP's pattern: where words begin and end.

use super::unicode::{Class, class};

/// The words of a normalised text: the matches of
/// `'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+`.
///
/// Hugging Face's pattern also has the two special tokens, but the byte-level step after it splits
/// them again, so that they count only where [`AddedTokens`](super::added::AddedTokens) finds them.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    core::iter::from_fn(move || {
        rest = rest.trim_start();
        let length = match_length(rest)?;
        let (word, tail) = rest.split_at(length);
        rest = tail;
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
            assert_eq!(words(text).collect::<Vec<_>>(), expected, "{text:?}");
        }
    }
}
