//! Added tokens: words that are looked for in the text itself and never split.

use alloc::string::String;
use alloc::vec::Vec;

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
    /// Whether white space before it, and after it, belongs to it.
    pub(super) strips: [bool; 2],
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
    /// Without the special ones if texts that spell them are split like others; `normalize` is what happens to texts.
    pub(super) fn new(
        tokens: &[AddedToken],
        split_specials: bool,
        normalize: impl Fn(&str) -> Result<String>,
    ) -> Result<Self> {
        let sought = || tokens.iter().filter(|t| !(split_specials && t.special));
        let plain = sought().filter(|t| !t.normalized).map(|t| Ok((try_string(&t.content)?, t)));
        let normalized = sought().filter(|t| t.normalized).map(|t| Ok((normalize(&t.content)?, t)));
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
    strips: [bool; 2],
}

impl Matcher {
    fn new<'t>(tokens: impl Iterator<Item = Result<(String, &'t AddedToken)>>) -> Result<Self> {
        let token = |(place, token): (u32, Result<(String, &AddedToken)>)| {
            check_memory()?;
            token.map(|(content, token)| Sought { content, place, id: token.id, strips: token.strips })
        };
        let mut tokens = (0..).zip(tokens).map(token).try_values()?;
        tokens.retain(|token| !token.content.is_empty());
        tokens.sort_unstable();
        tokens.dedup_by(|later, first| later.content == first.content);
        Ok(Self { tokens })
    }

    /// `text` cut at the tokens; no stretch of text is empty.
    pub(super) fn split<'a>(&self, text: &'a str) -> impl Iterator<Item = Piece<'a>> {
        // Where the search goes on, where the text begins that nothing has taken, and where the last white space ends
        // that was looked over.
        let (mut search, mut begin, mut spaces_end) = (0, 0, 0);
        let mut found = None;
        core::iter::from_fn(move || {
            if let Some(id) = found.take() {
                return Some(Piece::Token(id));
            }
            let Some((start, length, token)) = self.find(text, search) else {
                let rest = core::mem::replace(&mut begin, text.len())..;
                search = text.len();
                return Some(Piece::Text(&text[rest])).filter(|piece| *piece != Piece::Text(""));
            };
            search = start + length;
            let before = text.get(begin..start).unwrap_or_default();
            let before = if token.strips[0] { before.trim_end() } else { before };
            begin = search;
            if token.strips[1] {
                if spaces_end < search {
                    spaces_end = text.len() - text[search..].trim_start().len();
                }
                begin = spaces_end;
            }
            if before.is_empty() {
                return Some(Piece::Token(token.id));
            }
            found = Some(token.id);
            Some(Piece::Text(before))
        })
    }

    /// Where the first token begins from byte `from` on, its length, and the token.
    fn find(&self, text: &str, from: usize) -> Option<(usize, usize, &Sought)> {
        if self.tokens.is_empty() {
            return None;
        }
        let starts = text[from..].char_indices();
        starts.map(|(at, _)| from + at).find_map(|start| {
            self.longest_at(&text[start..]).map(|token| (start, token.content.len(), token))
        })
    }

    /// The longest token with which `text` begins.
    fn longest_at(&self, text: &str) -> Option<&Sought> {
        // The tokens that agree with the text so far are neighbours, the shortest first.
        let mut agreeing = &self.tokens[..];
        let mut longest = None;
        for (depth, byte) in text.bytes().enumerate() {
            let at = |token: &Sought| token.content.as_bytes().get(depth).copied();
            let low = agreeing.partition_point(|token| at(token) < Some(byte));
            let high = agreeing.partition_point(|token| at(token) <= Some(byte));
            agreeing = &agreeing[low..high];
            match agreeing.first() {
                Some(token) if token.content.len() == depth + 1 => longest = Some(token),
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

    fn matcher(tokens: &[(&str, u32, [bool; 2])]) -> Matcher {
        let token = |&(content, id, strips): &(&str, u32, [bool; 2])| AddedToken {
            content: content.into(),
            id,
            normalized: false,
            special: false,
            strips,
        };
        let tokens: Vec<AddedToken> = tokens.iter().map(token).collect();
        Matcher::new(tokens.iter().map(|token| Ok((token.content.clone(), token)))).unwrap()
    }

    #[test]
    fn leftmost_longest() {
        let tokens = [("<a>", 1), ("<a><b>", 2), ("é", 3), ("a>", 4), ("<a>", 9)];
        let matcher = matcher(&tokens.map(|(content, id)| (content, id, [false; 2])));
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

    #[test]
    fn white_space_beside() {
        let matcher = matcher(&[
            ("<l>", 1, [true, false]),
            ("<r>", 2, [false, true]),
            ("<b>", 3, [true, true]),
            ("\n", 4, [false, false]),
        ]);
        let cases: [(&str, &[Piece<'_>]); 5] = [
            (" <l> x", &[Piece::Token(1), Piece::Text(" x")]),
            ("x <r> \u{3000}y", &[Piece::Text("x "), Piece::Token(2), Piece::Text("y")]),
            ("x <b> <b> ", &[Piece::Text("x"), Piece::Token(3), Piece::Token(3)]),
            // What the reference does: the search goes on right behind a token, white space or not.
            ("<r> \n y", &[Piece::Token(2), Piece::Token(4), Piece::Text(" y")]),
            ("<r>  ", &[Piece::Token(2)]),
        ];
        for (text, expected) in cases {
            assert_eq!(matcher.split(text).collect::<Vec<_>>(), expected, "{text:?}");
        }
    }
}
