//! Pre-tokenizers: where a normalised text is cut into words.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::{ControlFlow, Range};

use crate::error::{Result, err};
use crate::exec::{TryGrow, TryGrowText};

use super::super::split::words_with_spaces;
use super::super::unicode::in_packed;
use super::super::vocabulary::alphabet;
use super::normalizer::MAX_NORMALIZED_BYTES;
use super::pattern::Pattern;
use super::tables::PUNCTUATION;

/// One step; the next gets each of its words.
#[derive(Clone, Debug)]
pub(in super::super) enum PreTokenizer {
    /// At white space, which goes.
    WhitespaceSplit,
    /// At white space, which goes, and around punctuation.
    Bert,
    Cut {
        at: Cut,
        behavior: Behavior,
    },
    /// Spaces become `mark`, and one is put before a text that has none there.
    Metaspace {
        mark: char,
        prepend: Prepend,
        cuts: bool,
    },
    /// GPT-2's words, if it `cuts`, whose bytes become the characters of vocabularies that stand for them. A space is put
    /// before a text that has none there, if it `prepends`.
    ByteLevel {
        prepends: bool,
        cuts: bool,
    },
}

/// What is cut at.
#[derive(Clone, Debug)]
pub(in super::super) enum Cut {
    Pattern {
        pattern: Pattern,
        is_inverted: bool,
    },
    Punctuation,
    /// Numbers.
    Digits,
    Mark(char),
}

/// What becomes of what is cut at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Behavior {
    Removed,
    Isolated,
    Contiguous,
    MergedWithPrevious,
    MergedWithNext,
}

/// Which texts a mark is put before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Prepend {
    Always,
    /// What begins where the whole text does.
    First,
    Never,
}

/// What takes the words; it may say that it needs no more.
pub(in super::super) type Sink<'s> = dyn FnMut(&str) -> Result<ControlFlow<()>> + 's;

/// A stretch of a text.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Stretch<'t> {
    pub(in super::super) text: &'t str,
    /// How many bytes at its beginning come of the first character of the whole text.
    pub(in super::super) lead: usize,
}

impl Stretch<'_> {
    /// Some bytes of it.
    pub(in super::super) fn part(self, range: Range<usize>) -> Self {
        Self { lead: self.lead.saturating_sub(range.start), text: &self.text[range] }
    }
}

/// Give `sink` the words that `steps` make of `stretch`; none is empty.
pub(in super::super) fn run(
    steps: &[PreTokenizer],
    stretch: Stretch<'_>,
    sink: &mut Sink<'_>,
) -> Result<ControlFlow<()>> {
    let text = stretch.text;
    if text.is_empty() {
        return Ok(ControlFlow::Continue(()));
    }
    let Some((step, steps)) = steps.split_first() else { return sink(text) };
    let mut give = |range: Range<usize>| run(steps, stretch.part(range), sink);
    match step {
        PreTokenizer::WhitespaceSplit => words(text, char::is_whitespace, |_| false, &mut give),
        PreTokenizer::Bert => words(text, char::is_whitespace, is_punctuation, &mut give),
        PreTokenizer::Cut { at, behavior } => {
            for range in behavior.ranges(text, at)? {
                if give(range)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(()))
        }
        PreTokenizer::Metaspace { mark, prepend, cuts } => {
            let mut marked = String::new();
            let prepends = match prepend {
                Prepend::Always => true,
                Prepend::First => stretch.lead > 0,
                Prepend::Never => false,
            };
            if prepends && !text.starts_with([' ', *mark]) {
                marked.try_push_char(*mark)?;
            }
            let mut lead = 0;
            for (at, c) in text.char_indices() {
                if marked.len() > MAX_NORMALIZED_BYTES {
                    return Err(err!(Limit, "normalised text of more than {MAX_NORMALIZED_BYTES} bytes"));
                }
                marked.try_push_char(if c == ' ' { *mark } else { c })?;
                if at < stretch.lead {
                    lead = marked.len();
                }
            }
            let marked = Stretch { text: &marked, lead };
            if !cuts {
                return run(steps, marked, sink);
            }
            for range in Behavior::MergedWithNext.ranges(marked.text, &Cut::Mark(*mark))? {
                if run(steps, marked.part(range), sink)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(()))
        }
        PreTokenizer::ByteLevel { prepends, cuts } => {
            let mut spaced = String::new();
            let text = if *prepends && !text.starts_with(' ') {
                spaced.try_push_char(' ')?;
                spaced.try_push_str(text)?;
                &spaced
            } else {
                text
            };
            let mut characters = ['\0'; 256];
            alphabet().for_each(|(byte, character)| characters[usize::from(byte)] = character);
            let mut give = |word: &str| {
                let mut spelt = String::new();
                word.bytes().try_for_each(|byte| spelt.try_push_char(characters[usize::from(byte)]))?;
                run(steps, Stretch { text: &spelt, lead: 0 }, sink)
            };
            if !cuts {
                return give(text);
            }
            for word in words_with_spaces(text) {
                if give(word)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(()))
        }
    }
}

/// The words between characters that are `dropped`, those that are `isolated` by themselves.
fn words(
    text: &str,
    dropped: impl Fn(char) -> bool,
    isolated: impl Fn(char) -> bool,
    give: &mut dyn FnMut(Range<usize>) -> Result<ControlFlow<()>>,
) -> Result<ControlFlow<()>> {
    let mut start = 0;
    for (at, c) in text.char_indices() {
        let (is_dropped, is_isolated) = (dropped(c), isolated(c));
        if !is_dropped && !is_isolated {
            continue;
        }
        let end = at + c.len_utf8();
        for range in [start..at, if is_dropped { end..end } else { at..end }] {
            if !range.is_empty() && give(range)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        start = end;
    }
    if start < text.len() { give(start..text.len()) } else { Ok(ControlFlow::Continue(())) }
}

/// ASCII's punctuation and symbols, and Unicode's punctuation.
fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation() || in_packed(&PUNCTUATION, c)
}

impl Cut {
    /// The next match in `text` from byte `from` on.
    fn find(&self, text: &str, from: usize) -> Option<Range<usize>> {
        let single = |is_match: &dyn Fn(char) -> bool| {
            let (at, c) = text[from..].char_indices().find(|&(_, c)| is_match(c))?;
            Some(from + at..from + at + c.len_utf8())
        };
        match self {
            Self::Pattern { pattern, .. } => pattern.find(text, from).map(|(start, end)| start..end),
            Self::Punctuation => single(&is_punctuation),
            Self::Digits => single(&char::is_numeric),
            Self::Mark(mark) => single(&|c| c == *mark),
        }
    }

    fn is_inverted(&self) -> bool {
        matches!(self, Self::Pattern { is_inverted: true, .. })
    }
}

impl Behavior {
    /// The words of `text`; none is empty.
    fn ranges(self, text: &str, cut: &Cut) -> Result<Vec<Range<usize>>> {
        let mut words = Words { behavior: self, ranges: Vec::new(), before: None };
        let is_match = !cut.is_inverted();
        let mut at = 0;
        while let Some(found) = cut.find(text, at) {
            if at < found.start {
                words.add(at..found.start, !is_match)?;
            }
            at = found.end;
            words.add(found, is_match)?;
        }
        if at < text.len() {
            words.add(at..text.len(), !is_match)?;
        }
        Ok(words.ranges)
    }
}

/// Words as they are put together from left to right.
struct Words {
    behavior: Behavior,
    ranges: Vec<Range<usize>>,
    /// Whether the stretch before was a match.
    before: Option<bool>,
}

impl Words {
    fn add(&mut self, range: Range<usize>, is_match: bool) -> Result<()> {
        let before = self.before.replace(is_match);
        let joins = match self.behavior {
            Behavior::Removed if is_match => return Ok(()),
            Behavior::Removed | Behavior::Isolated => false,
            Behavior::Contiguous => before == Some(is_match),
            // Of matches in a row the first goes to what is before it, the others stand alone; and the other way round.
            Behavior::MergedWithPrevious => is_match && before == Some(false),
            Behavior::MergedWithNext => !is_match && before == Some(true),
        };
        match self.ranges.last_mut() {
            Some(last) if joins => {
                last.end = range.end;
                Ok(())
            }
            _ => self.ranges.try_push(range),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned;

    use super::*;

    #[test]
    fn behaviors() {
        let cut = |behavior: Behavior, text: &str| -> Vec<String> {
            let ranges = behavior.ranges(text, &Cut::Mark('-')).unwrap();
            ranges.into_iter().map(|range| text[range].to_owned()).collect()
        };
        let text = "the-final--countdown-";
        assert_eq!(cut(Behavior::Removed, text), ["the", "final", "countdown"]);
        assert_eq!(cut(Behavior::Isolated, text), ["the", "-", "final", "-", "-", "countdown", "-"]);
        assert_eq!(cut(Behavior::Contiguous, text), ["the", "-", "final", "--", "countdown", "-"]);
        assert_eq!(cut(Behavior::MergedWithPrevious, text), ["the-", "final-", "-", "countdown-"]);
        assert_eq!(cut(Behavior::MergedWithNext, text), ["the", "-final", "-", "-countdown", "-"]);
        assert_eq!(cut(Behavior::MergedWithPrevious, "--a"), ["-", "-", "a"]);
    }
}
