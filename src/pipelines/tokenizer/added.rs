//! Added tokens: words that are looked for in the text itself and never split.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::normalize::normalize;

/// An added token as a file declares it.
#[derive(Clone, Debug)]
pub(super) struct AddedToken {
    pub(super) content: String,
    pub(super) id: u32,
    /// Looked for after normalisation (in normalised form) instead of before.
    pub(super) normalized: bool,
    /// One of those that texts are not meant to have, as opposed to words that were added.
    pub(super) special: bool,
}

/// Either a stretch of text or an added token found in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    Token(u32),
}

/// The two rounds of search: in the text as it came, then in what is left after normalisation.
#[derive(Clone, Debug, Default)]
pub(super) struct AddedTokens {
    pub(super) plain: Matcher,
    pub(super) normalized: Matcher,
}

impl AddedTokens {
    /// Without the special ones if texts that spell them are split like others.
    pub(super) fn new(tokens: &[AddedToken], split_specials: bool) -> Self {
        let sought = tokens.iter().filter(|t| !(split_specials && t.special));
        let (normalized, plain): (Vec<_>, Vec<_>) = sought.partition(|t| t.normalized);
        Self {
            plain: Matcher::new(plain.iter().map(|t| (t.content.clone(), t.id))),
            normalized: Matcher::new(normalized.iter().map(|t| (normalize(&t.content), t.id))),
        }
    }
}

/// Finds the leftmost occurrence of any of its strings, the longest where several begin.
#[derive(Clone, Debug, Default)]
pub(super) struct Matcher {
    /// Ordered by content, no content empty or twice.
    tokens: Vec<(Box<str>, u32)>,
}

impl Matcher {
    fn new(tokens: impl Iterator<Item = (String, u32)>) -> Self {
        let mut tokens: Vec<(Box<str>, u32)> =
            tokens.filter(|t| !t.0.is_empty()).map(|(s, id)| (s.into(), id)).collect();
        tokens.sort_by(|a, b| a.0.cmp(&b.0)); // stable: of equal ones the first declared is kept
        tokens.dedup_by(|later, first| later.0 == first.0);
        Self { tokens }
    }

    /// `text` cut at the tokens; no stretch of text is empty.
    pub(super) fn split<'a>(&self, text: &'a str) -> impl Iterator<Item = Piece<'a>> {
        let mut rest = text;
        let mut found = None;
        core::iter::from_fn(move || {
            if let Some(id) = found.take() {
                return Some(Piece::Token(id));
            }
            let (before, token, after) = self.find(rest);
            rest = after;
            if before.is_empty() {
                return token.map(Piece::Token);
            }
            found = token;
            Some(Piece::Text(before))
        })
    }

    /// The text before the first token, the token, and the text after it.
    fn find<'a>(&self, text: &'a str) -> (&'a str, Option<u32>, &'a str) {
        if !self.tokens.is_empty() {
            for (start, _) in text.char_indices() {
                if let Some((length, id)) = self.longest_at(&text[start..]) {
                    return (&text[..start], Some(id), &text[start + length..]);
                }
            }
        }
        (text, None, "")
    }

    /// Length and id of the longest token with which `text` begins.
    fn longest_at(&self, text: &str) -> Option<(usize, u32)> {
        // The tokens that agree with the text so far are neighbours, the shortest first.
        let mut agreeing = &self.tokens[..];
        let mut longest = None;
        for (depth, byte) in text.bytes().enumerate() {
            let at = |token: &(Box<str>, u32)| token.0.as_bytes().get(depth).copied();
            let low = agreeing.partition_point(|token| at(token) < Some(byte));
            let high = agreeing.partition_point(|token| at(token) <= Some(byte));
            agreeing = &agreeing[low..high];
            match agreeing.first() {
                Some((content, id)) if content.len() == depth + 1 => longest = Some((depth + 1, *id)),
                Some(_) => {}
                None => break,
            }
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftmost_longest() {
        let tokens = [("<a>", 1), ("<a><b>", 2), ("é", 3), ("a>", 4), ("<a>", 9)];
        let matcher = Matcher::new(tokens.iter().map(|&(s, id)| (s.into(), id)));
        let cases: [(&str, &[Piece<'_>]); 6] = [
            ("", &[]),
            ("plain", &[Piece::Text("plain")]),
            ("x<a>y", &[Piece::Text("x"), Piece::Token(1), Piece::Text("y")]),
            ("<a><b><a><c", &[Piece::Token(2), Piece::Token(1), Piece::Text("<c")]),
            ("éè", &[Piece::Token(3), Piece::Text("è")]),
            ("<<a", &[Piece::Text("<<a")]),
        ];
        for (text, expected) in cases {
            assert_eq!(matcher.split(text).collect::<Vec<_>>(), expected, "{text:?}");
        }
    }
}
