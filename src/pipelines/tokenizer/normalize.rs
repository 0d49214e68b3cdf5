//! The text before it is split: NFC, whitespace runs to one space, lower case.

use alloc::string::String;
use alloc::vec::Vec;

use super::unicode::{combining_class, compose, decompose};
use crate::error::Result;
use crate::exec::{TryGrow, TryGrowText, try_copied, try_string_with_capacity};

/// `lower(replace(nfc(text), /\s+/, " "))`, where `lower` looks at single characters: a capital
/// sigma becomes σ even at the end of a word.
pub(super) fn normalize(text: &str) -> Result<String> {
    let mut out = try_string_with_capacity(text.len())?;
    let mut in_space = false;
    nfc(text, |c| {
        let space = c.is_whitespace();
        if !space {
            c.to_lowercase().try_for_each(|c| out.try_push_char(c))?;
        } else if !in_space {
            out.try_push_char(' ')?;
        }
        in_space = space;
        Ok(())
    })?;
    Ok(out)
}

/// Canonical composition (Unicode Standard Annex #15), one character at a time to `emit`.
pub(super) fn nfc(text: &str, emit: impl FnMut(char) -> Result<()>) -> Result<()> {
    canonical(text, true, emit)
}

/// Canonical decomposition, one character at a time to `emit`.
pub(super) fn nfd(text: &str, emit: impl FnMut(char) -> Result<()>) -> Result<()> {
    canonical(text, false, emit)
}

fn canonical(text: &str, composes: bool, mut emit: impl FnMut(char) -> Result<()>) -> Result<()> {
    // (character, combining class), fully decomposed, since the last ASCII character: ASCII stands
    // for itself and composes only with what follows.
    let mut segment: Vec<(char, u8)> = Vec::new();
    for c in text.chars() {
        if c.is_ascii() {
            flush(&mut segment, composes, &mut emit)?;
            segment.try_push((c, 0))?;
        } else {
            push_decomposed(c, &mut segment)?;
        }
    }
    flush(&mut segment, composes, &mut emit)
}

/// Append the full canonical decomposition of `c`.
fn push_decomposed(c: char, segment: &mut Vec<(char, u8)>) -> Result<()> {
    let Some((first, second)) = decompose(c) else { return segment.try_push((c, combining_class(c))) };
    push_decomposed(first, segment)?;
    second.map_or(Ok(()), |second| segment.try_push((second, combining_class(second))))
}

/// Reorder the marks of a decomposed segment, perhaps compose it, emit it and leave it empty.
fn flush(
    segment: &mut Vec<(char, u8)>,
    composes: bool,
    emit: &mut impl FnMut(char) -> Result<()>,
) -> Result<()> {
    if segment.len() > 1 {
        for marks in segment.chunk_by_mut(|a, b| (a.1 == 0) == (b.1 == 0)) {
            order(marks)?;
        }
        if composes {
            compose_segment(segment);
        }
    }
    segment.drain(..).try_for_each(|(c, _)| emit(c))
}

/// Sort marks by class; those of one class keep their order.
fn order(marks: &mut [(char, u8)]) -> Result<()> {
    if marks.is_sorted_by_key(|mark| mark.1) {
        return Ok(());
    }
    // The standard library's stable sort takes memory that it may not get.
    let unordered = try_copied(marks)?;
    let mut places = [0; 257];
    for &(_, class) in &unordered {
        places[usize::from(class) + 1] += 1;
    }
    for class in 0..256 {
        places[class + 1] += places[class];
    }
    for mark in unordered {
        let place = &mut places[usize::from(mark.1)];
        marks[*place] = mark;
        *place += 1;
    }
    Ok(())
}

/// Let each character join the last starter if a composite exists and nothing between them blocks
/// it: neither another starter nor a mark of the same or a higher class.
fn compose_segment(segment: &mut Vec<(char, u8)>) {
    let mut starter: Option<usize> = None;
    let mut kept = 0;
    for i in 0..segment.len() {
        let (c, class) = segment[i];
        if let Some(s) = starter
            && (s + 1 == kept || segment[kept - 1].1 < class)
            && let Some(composite) = compose(segment[s].0, c)
        {
            segment[s].0 = composite;
            continue;
        }
        if class == 0 {
            starter = Some(kept);
        }
        segment[kept] = (c, class);
        kept += 1;
    }
    segment.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nfc_string(text: &str) -> String {
        let mut out = String::new();
        nfc(text, |c| out.try_push_char(c)).unwrap();
        out
    }

    #[test]
    fn canonical_composition() {
        let cases = [
            ("e\u{301}", "é"),
            ("a\u{315}\u{300}\u{5AE}\u{300}b", "à\u{5AE}\u{300}\u{315}b"), // reordered, one joins
            ("\u{1100}\u{1161}\u{11A8}", "\u{AC01}"),                      // L V T
            ("\u{AC00}\u{11A8}", "\u{AC01}"),                              // LV T
            ("\u{AC01}\u{11A8}", "\u{AC01}\u{11A8}"),                      // LVT takes no second T
            ("\u{AC00}\u{11A7}", "\u{AC00}\u{11A7}"),                      // T_BASE is not a T
            ("\u{212B}", "\u{C5}"),                                        // singleton
            ("\u{958}", "\u{915}\u{93C}"),                                 // excluded from composition
            ("\u{1E9B}\u{323}", "\u{1E9B}\u{323}"),
            ("\u{9C7}\u{9BE}", "\u{9CB}"),                      // two starters
            ("\u{9C7}\u{300}\u{9BE}", "\u{9C7}\u{300}\u{9BE}"), // a mark blocks the second starter
            ("\u{300}e", "\u{300}e"),
            ("\u{11935}\u{11930}", "\u{11935}\u{11930}"), // composite newer than Unicode 9.0
        ];
        for (text, expected) in cases {
            assert_eq!(nfc_string(text), expected, "{text:?}");
            assert_eq!(nfc_string(expected), expected, "not stable: {expected:?}");
        }
    }

    #[test]
    fn spaces_and_case() {
        let cases = [
            ("", ""),
            (" \t\u{85}a\u{A0}\u{3000}\nB\r\n", " a b "),
            ("ΑΣ ΣΑΣ.", "ασ σασ."),
            ("İSTANBUL ẞ", "i\u{307}stanbul ß"),
            ("\u{212A}", "k"),
        ];
        for (text, expected) in cases {
            assert_eq!(normalize(text).unwrap(), expected, "{text:?}");
        }
    }
}
