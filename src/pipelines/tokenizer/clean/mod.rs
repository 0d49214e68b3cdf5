//! Texts as OpenAI's `SimpleTokenizer` and open_clip's clean them before they are split.
//!
//! Always `html.unescape(html.unescape(ftfy.fix_text(text)))`, then what [`Cleaning`] says. The reference of
//! `mend` is ftfy 6.3.1.

mod badness;
mod encoding;
mod html;
mod lower;
mod mend;
mod tables;

use alloc::string::String;

pub(super) use lower::lower;

use crate::error::Result;
use crate::exec::try_string_with_capacity;

/// What happens to a text after it is mended; open_clip's `clean` of `tokenizer_kwargs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cleaning {
    /// White space to single spaces, lower case: OpenAI's way, and open_clip's default.
    #[default]
    Lower,
    /// White space to single spaces.
    Whitespace,
    /// Underscores to spaces, ASCII punctuation removed, lower case, white space to single spaces.
    Canonicalize,
}

impl Cleaning {
    /// The one that open_clip calls `name`.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "lower" => Some(Self::Lower),
            "whitespace" => Some(Self::Whitespace),
            "canonicalize" => Some(Self::Canonicalize),
            _ => None,
        }
    }

    /// `text` cleaned.
    pub(super) fn run(self, text: &str) -> Result<String> {
        let text = mend::fix_text(text)?;
        let text = html::unescape(&text)?;
        let text = html::unescape(&text)?;
        match self {
            Self::Lower => lower(&collapse(&text)?),
            Self::Whitespace => collapse(&text),
            Self::Canonicalize => {
                let kept = |c: char| {
                    if c == '_' { Some(' ') } else { Some(c).filter(|c| !c.is_ascii_punctuation()) }
                };
                let mut bare = try_string_with_capacity(text.len())?;
                bare.extend(text.chars().filter_map(kept));
                collapse(&lower(&bare)?)
            }
        }
    }
}

/// `text` with single spaces between its words, and none around them.
fn collapse(text: &str) -> Result<String> {
    // At least as much as is needed: between two words there is a character or more.
    let mut out = try_string_with_capacity(text.len())?;
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_ways_to_clean() {
        let text = " The &amp;quot;Cat_Hat&amp;quot; —\n l’ΟΔΟΣ ";
        assert_eq!(Cleaning::Lower.run(text).unwrap(), "the \"cat_hat\" — l'οδος");
        assert_eq!(Cleaning::Whitespace.run(text).unwrap(), "The \"Cat_Hat\" — l'ΟΔΟΣ");
        assert_eq!(Cleaning::Canonicalize.run(text).unwrap(), "the cat hat — lοδος");
        for cleaning in [Cleaning::Lower, Cleaning::Whitespace, Cleaning::Canonicalize] {
            for empty in ["", " \t\u{3000}\u{A0}\n", "&nbsp;", "\0\u{FEFF}"] {
                assert_eq!(cleaning.run(empty).unwrap(), "");
            }
        }
        assert_eq!(Cleaning::named("none"), None);
    }
}
