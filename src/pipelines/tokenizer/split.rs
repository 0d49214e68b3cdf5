//! CLIP's pattern, and GPT-2's, which it comes from: where words begin and end.

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

/// The words of a cleaned text as OpenAI's `SimpleTokenizer` finds them: the two `specials`, then the same
/// pattern, both without regard to case. (In which one character, U+0345, is neither a letter, nor a number, nor
/// anything else: its capital is the letter iota.)
pub(super) fn simple_words<'a>(text: &'a str, specials: [&str; 2]) -> impl Iterator<Item = &'a str> {
    let mut rest = text;
    core::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == IOTA_SUBSCRIPT);
        let mut literals = specials.iter().chain(&CONTRACTIONS);
        let length = match literals.find_map(|literal| caseless_prefix(rest, literal)) {
            Some(length) => length,
            None => rest.find(IOTA_SUBSCRIPT).unwrap_or(rest.len()).min(run_length(rest)?),
        };
        let (word, tail) = rest.split_at(length);
        rest = tail;
        Some(word)
    })
}

/// The words of a text as GPT-2 and RoBERTa find them: the matches of
/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`, which together are the text.
pub(super) fn words_with_spaces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    core::iter::from_fn(move || {
        let contraction = CONTRACTIONS.iter().find(|c| rest.starts_with(**c));
        let run = |text: &str| {
            let kind = class(text.chars().next()?);
            Some(text.find(|c| class(c) != kind).unwrap_or(text.len()))
        };
        let after_space = rest.strip_prefix(' ').filter(|after| !after.starts_with(char::is_whitespace));
        let length = match (contraction, after_space.and_then(run)) {
            (Some(contraction), _) => contraction.len(),
            (None, Some(length)) => 1 + length,
            (None, None) => {
                let length = run(rest)?;
                // White space leaves its last character to what follows, if there are others.
                let last = rest[..length].chars().next_back()?;
                let is_left = last.is_whitespace() && length < rest.len() && length > last.len_utf8();
                if is_left { length - last.len_utf8() } else { length }
            }
        };
        let (word, tail) = rest.split_at(length);
        rest = tail;
        Some(word)
    })
}

/// Combining Greek ypogegrammeni.
const IOTA_SUBSCRIPT: char = '\u{345}';

/// Bytes of `text` that are `literal`, of ASCII and in lower case, in any case. The long s is an s.
fn caseless_prefix(text: &str, literal: &str) -> Option<usize> {
    let mut rest = text.chars();
    for expected in literal.chars() {
        let found = rest.next()?;
        if found.to_ascii_lowercase() != expected && (found, expected) != ('ſ', 's') {
            return None;
        }
    }
    Some(text.len() - rest.as_str().len())
}

const CONTRACTIONS: [&str; 7] = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];

/// Bytes that the pattern takes at the start of `text`, which begins with no space.
fn match_length(text: &str) -> Option<usize> {
    let contraction = CONTRACTIONS.iter().find(|c| text.starts_with(**c));
    contraction.map(|contraction| contraction.len()).or_else(|| run_length(text))
}

/// Bytes of letters, of one number, or of neither, at the start of `text`.
fn run_length(text: &str) -> Option<usize> {
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
    fn words_that_keep_their_spaces() {
        let cases: [(&str, &[&str]); 7] = [
            ("", &[]),
            ("   ", &["   "]),
            (" a photo, of ", &[" a", " photo", ",", " of", " "]),
            ("you'll 's 'ſ", &["you", "'ll", " '", "s", " '", "ſ"]),
            ("abc123½  x\n\ny \t z", &["abc", "123½", " ", " x", "\n", "\n", "y", " \t", " z"]),
            ("\u{3000}x \u{301}\n", &["\u{3000}", "x", " \u{301}", "\n"]),
            ("hi!!'t 😀😀", &["hi", "!!'", "t", " 😀😀"]),
        ];
        for (text, expected) in cases {
            assert_eq!(words_with_spaces(text).collect::<Vec<_>>(), expected, "{text:?}");
        }
    }

    #[test]
    fn words_as_openai_finds_them() {
        let cases: [(&str, &[&str]); 7] = [
            ("", &[]),
            ("you'll you'LL it'ſ", &["you", "'ll", "you", "'LL", "it", "'ſ"]),
            ("a.<|endoftext|>!! <|endoftext|>!!", &["a", ".<|", "endoftext", "|>!!", "<|endoftext|>", "!!"]),
            ("<|ENDOFTEXT|><|ſtartoftext|>", &["<|ENDOFTEXT|>", "<|ſtartoftext|>"]),
            ("<|endoftext|", &["<|", "endoftext", "|"]),
            ("α\u{345}β .\u{345}.", &["α", "β", ".", "."]),
            ("\u{345} \u{345}", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(simple_words(text, [START, END]).collect::<Vec<_>>(), expected, "{text:?}");
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
