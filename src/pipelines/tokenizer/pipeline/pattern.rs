//! Patterns of a `tokenizer.json`: literal text, and the few regular expressions that tokenizers are published with.
//!
//! Of the syntax of regular expressions: one character, an escape or a class, then perhaps `+`, `{n}` or `{n,}`. All else is
//! refused.

use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use crate::error::{Result, err};
use crate::exec::{TryGrow, try_string};

use super::super::json::shown;

/// What is looked for in a text.
#[derive(Clone, Debug)]
pub(in super::super) enum Pattern {
    Text(String),
    /// As many characters of the class as there are, `least` or more of them; or `least` at a time.
    Repeated {
        class: Class,
        least: usize,
        takes_all: bool,
    },
}

/// A set of characters.
#[derive(Clone, Debug)]
pub(in super::super) struct Class {
    /// First and last characters.
    ranges: Vec<(char, char)>,
    has_spaces: bool,
    is_inverted: bool,
}

impl Class {
    fn contains(&self, c: char) -> bool {
        let is_in = self.ranges.iter().any(|&(first, last)| first <= c && c <= last)
            || self.has_spaces && c.is_whitespace();
        is_in != self.is_inverted
    }
}

impl Pattern {
    /// `{"String": …}` or `{"Regex": …}`.
    ///
    /// # Errors
    /// `Unsupported` for any other value, for an expression that is not known, and for one that fits an empty text.
    pub(in super::super) fn new(value: &Value) -> Result<Self> {
        let only = |key: &str| match value.as_object() {
            Some(object) if object.len() == 1 => object.get(key).and_then(Value::as_str),
            _ => None,
        };
        if let Some(text) = only("String").filter(|text| !text.is_empty()) {
            return Ok(Self::Text(try_string(text)?));
        }
        match only("Regex").and_then(|pattern| expression(pattern).transpose()) {
            Some(pattern) => pattern,
            None => Err(err!(Unsupported, "pattern is not known: {}", shown(value))),
        }
    }

    /// Where the pattern begins and ends next in `text`, from byte `from` on.
    pub(in super::super) fn find(&self, text: &str, from: usize) -> Option<(usize, usize)> {
        match self {
            Self::Text(pattern) => {
                let start = from + text[from..].find(pattern.as_str())?;
                Some((start, start + pattern.len()))
            }
            Self::Repeated { class, least, takes_all } => {
                let mut at = from;
                loop {
                    let start = at + text[at..].find(|c| class.contains(c))?;
                    let mut characters = text[start..].chars();
                    let mut count = 0;
                    let mut end = start;
                    while (*takes_all || count < *least)
                        && let Some(c) = characters.next().filter(|&c| class.contains(c))
                    {
                        end += c.len_utf8();
                        count += 1;
                    }
                    if count >= *least {
                        return Some((start, end));
                    }
                    // A run that ended too early has no match in it.
                    at = end;
                }
            }
        }
    }
}

/// The pattern of a regular expression, if it is one of those that are known.
fn expression(pattern: &str) -> Result<Option<Pattern>> {
    let mut rest = pattern.chars();
    let mut class = Class { ranges: Vec::new(), has_spaces: false, is_inverted: false };
    match rest.next() {
        Some('[') => {
            if !bracketed(&mut rest, &mut class)? {
                return Ok(None);
            }
        }
        Some('\\') => match rest.next() {
            Some('s') => class.has_spaces = true,
            Some(c) if is_escaped(c) => class.ranges.try_push((c, c))?,
            _ => return Ok(None),
        },
        Some(c) if !"\\^$.|?*+()[]{}".contains(c) => {
            // Several of them are a text.
            let is_plain = |c: char| !"\\^$.|?*+()[]{}".contains(c);
            if pattern.chars().count() > 1 && pattern.chars().all(is_plain) {
                return Ok(Some(Pattern::Text(try_string(pattern)?)));
            }
            class.ranges.try_push((c, c))?;
        }
        _ => return Ok(None),
    }
    let (least, takes_all) = match rest.as_str() {
        "" => (1, false),
        "+" => (1, true),
        times => {
            let count = times.strip_prefix('{').and_then(|times| times.strip_suffix('}'));
            let digits =
                count.map(|count| count.strip_suffix(',').map_or((count, false), |count| (count, true)));
            let Some((digits, takes_all)) = digits else { return Ok(None) };
            match digits.parse() {
                Ok(least @ 1..=1000) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                    (least, takes_all)
                }
                _ => return Ok(None),
            }
        }
    };
    Ok(Some(Pattern::Repeated { class, least, takes_all }))
}

/// Whether a backslash before `c` stands for `c`.
fn is_escaped(c: char) -> bool {
    c.is_ascii_punctuation() || c == ' '
}

/// Read what follows `[`, with its `]`, into `class`; `false` if something of it is not known.
fn bracketed(rest: &mut core::str::Chars<'_>, class: &mut Class) -> Result<bool> {
    let mut is_first = true;
    // The character before, from which a range may go.
    let mut before: Option<char> = None;
    loop {
        let Some(c) = rest.next() else { return Ok(false) };
        let literal = match c {
            ']' if !is_first => return Ok(!class.ranges.is_empty() || class.has_spaces),
            '^' if is_first && !class.is_inverted => {
                class.is_inverted = true;
                continue;
            }
            '\\' => match rest.next() {
                Some('s') => {
                    class.has_spaces = true;
                    before = None;
                    is_first = false;
                    continue;
                }
                Some(c) if is_escaped(c) => c,
                _ => return Ok(false),
            },
            '-' if before.is_some() => {
                let (Some(first), Some(last)) = (before.take(), rest.next()) else { return Ok(false) };
                if "\\[]-&".contains(last) || last < first {
                    return Ok(false);
                }
                class.ranges.try_push((first, last))?;
                continue;
            }
            // Sets within sets and their intersections, and what different engines read differently.
            '[' | ']' | '-' => return Ok(false),
            '&' if rest.as_str().starts_with('&') => return Ok(false),
            c => c,
        };
        class.ranges.try_push((literal, literal))?;
        before = Some(literal);
        is_first = false;
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use serde_json::json;

    use super::*;

    fn matches(pattern: &Value, text: &str) -> Vec<(usize, usize)> {
        let pattern = Pattern::new(pattern).unwrap();
        let mut found = vec![];
        let mut from = 0;
        while let Some((start, end)) = pattern.find(text, from) {
            found.push((start, end));
            from = end;
        }
        found
    }

    #[test]
    fn known_patterns() {
        assert_eq!(matches(&json!({"String": " "}), "a  b "), [(1, 2), (2, 3), (4, 5)]);
        assert_eq!(matches(&json!({"String": "aa"}), "aaaaa"), [(0, 2), (2, 4)]);
        assert_eq!(matches(&json!({"Regex": "aa"}), "aaaaa"), [(0, 2), (2, 4)]);
        assert_eq!(matches(&json!({"Regex": r"\s+"}), "a \u{3000}b\n"), [(1, 5), (6, 7)]);
        assert_eq!(matches(&json!({"Regex": " {2,}"}), " a  b   c"), [(2, 4), (5, 8)]);
        assert_eq!(matches(&json!({"Regex": "a{2}"}), "aaaaab"), [(0, 2), (2, 4)]);
        assert_eq!(matches(&json!({"Regex": "[a-cx]"}), "axdb"), [(0, 1), (1, 2), (3, 4)]);
        assert_eq!(matches(&json!({"Regex": r"[^\s]+"}), "ab c"), [(0, 2), (3, 4)]);
        let punctuation = r##"[!"\#\$%\&'\(\)\*\+,\-\./:;<=>\?@\[\\\]\^_`\{\|\}\~]"##;
        let all: String = (0..128u8).map(char::from).filter(char::is_ascii_punctuation).collect();
        assert_eq!(matches(&json!({ "Regex": punctuation }), &all).len(), 32);
        assert_eq!(matches(&json!({ "Regex": punctuation }), "a b1é"), []);
    }

    #[test]
    fn others_are_refused() {
        for pattern in [
            "",
            "a|b",
            "a*",
            "a?",
            ".",
            "^a",
            r"\d",
            r"\w+",
            r"\p{L}+",
            "(a)",
            "[a",
            "[]",
            "[[a]]",
            "[a&&b]",
            "[z-a]",
            "a{,2}",
            "a{2,3}",
            "a{0,}",
            "a+?",
            "ab+",
            r"\s*",
            "a{99999}",
            "[[:alpha:]]",
            r"[\w]",
            "a{+2}",
            r"\n",
        ] {
            let error = Pattern::new(&json!({ "Regex": pattern })).expect_err(pattern);
            assert_eq!(error.code(), crate::ErrorCode::Unsupported, "{pattern}");
        }
        for value in [json!({"String": ""}), json!({}), json!("a"), json!({"String": "a", "Regex": "b"})] {
            Pattern::new(&value).expect_err(&alloc::format!("{value}"));
        }
    }
}
