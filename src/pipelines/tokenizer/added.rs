//! Added tokens: words that are looked for in the text itself and never split.

use alloc::string::String;
use alloc::vec::Vec;

use super::normalize::normalize;
use crate::error::Result;
use crate::exec::{TryCollect, check_memory, try_string};

/// An added token as a file declares it.
#[derive(Debug)]
pub(super) struct AddedToken {
    pub(super) content: String,
    pub(super) id: u32,
    /// Looked for after normalisation (in normalised form) instead of before.
    pub(super) normalized: bool,
    /// One of those that texts are not meant to have, as opposed to words that were added.
    pub(super) special: bool,
}

impl AddedToken {
    /// A copy.
    pub(super) fn try_clone(&self) -> Result<Self> {
        check_memory()?;
        Ok(Self { content: try_string(&self.content)?, ..*self })
    }
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
    pub(super) fn new(tokens: &[AddedToken], split_specials: bool) -> Result<Self> {
        let sought = || tokens.iter().filter(|t| !(split_specials && t.special));
        let plain = sought().filter(|t| !t.normalized).map(|t| Ok((try_string(&t.content)?, t.id)));
        let normalized = sought().filter(|t| t.normalized).map(|t| Ok((normalize(&t.content)?, t.id)));
        Ok(Self { plain: Matcher::new(plain)?, normalized: Matcher::new(normalized)? })
    }
}

/// Finds the leftmost occurrence of any of its strings, the longest where several begin.
#[derive(Clone, Debug, Default)]
pub(super) struct Matcher {
    /// Ordered by content, no content empty or twice.
    tokens: Vec<Sought>,
}

/// A string that a [`Matcher`] finds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sought {
    content: String,
    /// Its place among those declared: of equal ones the first counts.
    place: u32,
    id: u32,
}

impl Matcher {
    fn new(tokens: impl Iterator<Item = Result<(String, u32)>>) -> Result<Self> {
        let token = |(place, token): (u32, Result<(String, u32)>)| {
            check_memory()?;
            token.map(|(content, id)| Sought { content, place, id })
        };
        let mut tokens = (0..).zip(tokens).map(token).try_values()?;
        tokens.retain(|token| !token.content.is_empty());
        tokens.sort_unstable();
        tokens.dedup_by(|later, first| later.content == first.content);
        Ok(Self { tokens })
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
            let at = |token: &Sought| token.content.as_bytes().get(depth).copied();
            let low = agreeing.partition_point(|token| at(token) < Some(byte));
            let high = agreeing.partition_point(|token| at(token) <= Some(byte));
            agreeing = &agreeing[low..high];
            match agreeing.first() {
                Some(token) if token.content.len() == depth + 1 => longest = Some((depth + 1, token.id)),
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
        let matcher = Matcher::new(tokens.iter().map(|&(s, id)| Ok((s.into(), id)))).unwrap();
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
