//! Normalisers: what happens to a text before it is cut.

use alloc::borrow::Cow;
use alloc::string::String;

use crate::error::{Result, err};
use crate::exec::TryGrowText;

use super::super::normalize::{nfc, nfd};
use super::super::unicode::in_packed;
use super::charsmap::Charsmap;
use super::graphemes::graphemes;
use super::pattern::Pattern;
use super::tables::{ACCENTS, CONTROLS, MARKS};

/// Longest text that a normaliser may make.
pub(in super::super) const MAX_NORMALIZED_BYTES: usize = 64 << 20;

/// One step.
#[derive(Clone, Debug)]
pub(in super::super) enum Normalizer {
    Nfc,
    Nfd,
    /// Character by character: a capital sigma becomes σ everywhere.
    Lowercase,
    /// White space at the ends.
    Strip {
        left: bool,
        right: bool,
    },
    /// Marks removed.
    StripAccents,
    /// Controls removed, white space to spaces, as in Google's translation models.
    Nmt,
    /// Put before a text that is not empty.
    Prepend(String),
    Replace {
        pattern: Pattern,
        content: String,
    },
    /// SentencePiece's table, a grapheme cluster at a time.
    Precompiled(Charsmap),
    Bert(Bert),
}

/// BERT's `BasicTokenizer`, as far as it does not cut.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Bert {
    /// Controls removed, white space to spaces.
    pub(in super::super) cleans: bool,
    /// Spaces around ideographs.
    pub(in super::super) parts_ideographs: bool,
    pub(in super::super) strips_accents: bool,
    pub(in super::super) lowercases: bool,
}

/// A text in the making.
#[derive(Debug, Default)]
struct Out {
    text: String,
    /// Bytes of the input that come of the first character of the original, and then of the output.
    lead: usize,
    is_past_lead: bool,
}

impl Out {
    fn new(lead: usize) -> Self {
        Self { text: String::new(), lead, is_past_lead: false }
    }

    /// What is pushed next comes of the input from byte `at` on.
    fn at(&mut self, at: usize) {
        if !self.is_past_lead && at >= self.lead {
            (self.lead, self.is_past_lead) = (self.text.len(), true);
        }
    }

    fn check(&self, more: usize) -> Result<()> {
        if self.text.len() + more > MAX_NORMALIZED_BYTES {
            return Err(err!(Limit, "normalised text of more than {MAX_NORMALIZED_BYTES} bytes"));
        }
        Ok(())
    }

    fn push(&mut self, c: char) -> Result<()> {
        self.check(4)?;
        self.text.try_push_char(c)
    }

    fn push_str(&mut self, text: &str) -> Result<()> {
        self.check(text.len())?;
        self.text.try_push_str(text)
    }
}

/// A normalised text.
#[derive(Debug)]
pub(in super::super) struct Normalized<'t> {
    pub(in super::super) text: Cow<'t, str>,
    /// How many bytes at its beginning come of the first character of the original: none if that was removed.
    pub(in super::super) lead: usize,
}

/// `text` after all `steps`.
pub(in super::super) fn run<'t>(steps: &[Normalizer], text: &'t str) -> Result<Normalized<'t>> {
    let lead = text.chars().next().map_or(0, char::len_utf8);
    let mut normalized = Normalized { text: Cow::Borrowed(text), lead };
    for step in steps {
        step.apply(&mut normalized)?;
    }
    Ok(normalized)
}

impl Normalizer {
    fn apply(&self, normalized: &mut Normalized<'_>) -> Result<()> {
        let mut out = Out::new(normalized.lead);
        let text = &*normalized.text;
        match self {
            // Nothing of ASCII decomposes or is a mark.
            Self::Nfc | Self::Nfd | Self::StripAccents if text.is_ascii() => return Ok(()),
            Self::Nfc => {
                nfc(text, |c| out.push(c))?;
                out.lead = out.text.chars().next().filter(|_| out.lead > 0).map_or(0, char::len_utf8);
            }
            Self::Nfd => decompose(text, |_| true, &mut out)?,
            Self::Lowercase => each(text, char::to_lowercase, &mut out)?,
            Self::Strip { left, right } => {
                let kept = if *left { text.trim_start() } else { text };
                out.lead = out.lead.saturating_sub(text.len() - kept.len());
                let kept = if *right { kept.trim_end() } else { kept };
                if kept.len() == text.len() {
                    return Ok(());
                }
                out.push_str(kept)?;
            }
            Self::StripAccents => each(text, |c| Some(c).filter(|&c| !in_packed(&MARKS, c)), &mut out)?,
            Self::Nmt => each(text, nmt, &mut out)?,
            Self::Prepend(before) if !text.is_empty() => {
                if out.lead > 0 {
                    out.lead += before.len();
                }
                out.push_str(before)?;
                out.push_str(text)?;
            }
            Self::Prepend(_) => return Ok(()),
            Self::Replace { pattern, content } => {
                let mut rest = 0;
                while let Some((start, end)) = pattern.find(text, rest) {
                    if out.lead > rest && out.lead <= start {
                        (out.lead, out.is_past_lead) = (out.text.len() + out.lead - rest, true);
                    }
                    out.push_str(&text[rest..start])?;
                    out.at(start);
                    out.push_str(content)?;
                    out.at(end);
                    rest = end;
                }
                if rest == 0 {
                    return Ok(());
                }
                out.push_str(&text[rest..])?;
            }
            Self::Precompiled(map) => precompiled(map, text, &mut out)?,
            Self::Bert(bert) => bert.apply(text, &mut out)?,
        }
        normalized.lead = out.lead.min(out.text.len());
        normalized.text = Cow::Owned(out.text);
        Ok(())
    }
}

/// What each character of `text` becomes.
fn each<I: IntoIterator<Item = char>>(text: &str, becomes: impl Fn(char) -> I, out: &mut Out) -> Result<()> {
    for (at, c) in text.char_indices() {
        out.at(at);
        becomes(c).into_iter().try_for_each(|c| out.push(c))?;
    }
    out.at(text.len());
    Ok(())
}

/// The canonical decomposition without the characters that are not kept.
fn decompose(text: &str, is_kept: impl Fn(char) -> bool, out: &mut Out) -> Result<()> {
    let mut lead = 0;
    nfd(&text[..out.lead], |c| {
        lead += if is_kept(c) { c.len_utf8() } else { 0 };
        Ok(())
    })?;
    nfd(text, |c| if is_kept(c) { out.push(c) } else { Ok(()) })?;
    (out.lead, out.is_past_lead) = (lead, true);
    Ok(())
}

fn nmt(c: char) -> Option<char> {
    match c {
        '\u{1}'..='\u{8}' | '\u{B}' | '\u{E}'..='\u{1F}' | '\u{7F}' | '\u{8F}' | '\u{9F}' => None,
        '\t'
        | '\n'
        | '\u{C}'
        | '\r'
        | '\u{1680}'
        | '\u{200B}'..='\u{200F}'
        | '\u{2028}'
        | '\u{2029}'
        | '▁'
        | '\u{FEFF}'
        | '\u{FFFD}' => Some(' '),
        c => Some(c),
    }
}

/// A cluster shorter than six bytes is replaced as a whole by what replaces its shortest beginning; of others, and where
/// nothing does, each character is.
fn precompiled(map: &Charsmap, text: &str, out: &mut Out) -> Result<()> {
    let mut at = 0;
    for cluster in graphemes(text) {
        // What is removed before all else counts as the beginning of what is left: so the reference aligns them.
        if !out.text.is_empty() || out.lead == 0 {
            out.at(at);
        }
        if cluster.len() < 6
            && let Some(found) = map.shortest(cluster.as_bytes())?
        {
            for (i, c) in found.replacement.chars().enumerate() {
                out.push(c)?;
                if i == 0 && cluster.chars().nth(1).is_some() {
                    out.at(at + cluster.len());
                }
            }
        } else {
            for (i, c) in cluster.char_indices() {
                if !out.text.is_empty() {
                    out.at(at + i);
                }
                match map.shortest(c.encode_utf8(&mut [0; 4]).as_bytes())? {
                    Some(found) => out.push_str(found.replacement)?,
                    None => out.push(c)?,
                }
            }
        }
        at += cluster.len();
    }
    out.at(at);
    Ok(())
}

impl Bert {
    fn apply(self, text: &str, out: &mut Out) -> Result<()> {
        for (at, c) in text.char_indices() {
            out.at(at);
            if self.cleans && is_control(c) {
                continue;
            }
            let c = if self.cleans && c.is_whitespace() { ' ' } else { c };
            if self.parts_ideographs && is_ideograph(c) {
                [' ', c, ' '].into_iter().try_for_each(|c| out.push(c))?;
            } else {
                out.push(c)?;
            }
        }
        out.at(text.len());
        if self.strips_accents && !out.text.is_ascii() {
            let empty = Out::new(out.lead);
            let parted = core::mem::replace(out, empty);
            decompose(&parted.text, |c| !in_packed(&ACCENTS, c), out)?;
        }
        if self.lowercases {
            let empty = Out::new(out.lead);
            let bare = core::mem::replace(out, empty);
            each(&bare.text, char::to_lowercase, out)?;
        }
        Ok(())
    }
}

/// What BERT removes: NUL, the replacement character, controls, formats and private use.
fn is_control(c: char) -> bool {
    matches!(c, '\u{E000}'..='\u{F8FF}' | '\u{F0000}'..='\u{FFFFD}' | '\u{100000}'..='\u{10FFFD}')
        || in_packed(&CONTROLS, c)
}

/// CJK ideographs, in the ranges of BERT's `_is_chinese_char`, as `tokenizers` has them.
fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{2A6DF}'
        | '\u{2A700}'..='\u{2B81F}' | '\u{2B920}'..='\u{2CEAF}' | '\u{2F800}'..='\u{2FA1F}')
}
