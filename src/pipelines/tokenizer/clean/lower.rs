//! Lower case of long texts.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::Result;
use crate::exec::{TryGrowText, try_string_with_capacity};

/// Bytes that `str::to_lowercase` gets at once. Its memory is taken infallibly, and so has to be little.
const PIECE: usize = 2 << 10;

/// Characters that are looked at together for what they mean to a sigma.
const NEAR: usize = 16;

/// What `str::to_lowercase` makes of `text`.
///
/// All characters become what they become anywhere, except Σ: it is ς at the end of a word, which is after a cased
/// character and not before one, where characters that Unicode calls case-ignorable do not count. So each piece with a
/// sigma goes between two characters that stand for the text before and after it.
pub(in super::super) fn lower(text: &str) -> Result<String> {
    let mut out = try_string_with_capacity(text.len())?;
    let mut at = 0;
    while at < text.len() {
        let mut end = text.len().min(at + PIECE);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let piece = &text[at..end];
        if piece.contains('Σ') {
            let (before, after) = (stand_in(text[..at].chars().rev()), stand_in(text[end..].chars()));
            let framed = [before, piece, after].concat().to_lowercase();
            out.try_push_str(&framed[before.len()..framed.len() - after.len()])?;
        } else {
            out.try_push_str(&piece.to_lowercase())?;
        }
        at = end;
    }
    Ok(out)
}

/// What `characters`, from a sigma on in either direction, mean to it: a letter if the first that is not case-ignorable is
/// cased, otherwise a space.
fn stand_in(mut characters: impl Iterator<Item = char>) -> &'static str {
    loop {
        let near: Vec<char> = characters.by_ref().take(NEAR).collect();
        // The standard library tells by what it makes of a sigma behind them.
        let ends_word = |first: char| {
            let text: String = [first].iter().chain(near.iter().rev()).chain(&['Σ']).collect();
            text.to_lowercase().ends_with('ς')
        };
        if ends_word(' ') {
            return "a";
        }
        // Not even a letter before them makes it the end: one of them is neither cased nor ignorable.
        if near.is_empty() || !ends_word('a') {
            return " ";
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_standard_library() {
        // Cased, ignorable, both, neither; what becomes longer; sigmas.
        let characters = [
            'Σ', 'Σ', 'Σ', 'a', 'B', 'ς', 'σ', 'Ω', 'ǅ', 'ª', '\'', '.', ':', '^', '\u{301}', '\u{345}',
            '\u{AD}', 'ʰ', ' ', '\u{3000}', '1', '-', '漢', 'İ', 'Ⱥ', '😀',
        ];
        let mut state = 1u32;
        let mut random = |below: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as usize % below
        };
        for case in 0..300 {
            // Long runs of what is ignorable, so that a sigma looks over whole pieces.
            let (kinds, longest) = (1 + random(characters.len()), if case % 3 == 0 { 3000 } else { 4 });
            let mut text = String::new();
            while text.len() < 4 * PIECE {
                let c = characters[(random(kinds) + case) % characters.len()];
                text.extend(core::iter::repeat_n(c, 1 + random(longest)));
            }
            assert_eq!(lower(&text).unwrap(), text.to_lowercase(), "{text:?}");
        }
        let all: String = ('\0'..=char::MAX).chain(['Σ']).collect();
        assert_eq!(lower(&all).unwrap(), all.to_lowercase());
        let everywhere: String = ('\0'..=char::MAX).flat_map(|c| ['Σ', c, 'Σ', ' ', 'Σ', c, 'a']).collect();
        assert_eq!(lower(&everywhere).unwrap(), everywhere.to_lowercase());
        assert_eq!(lower("").unwrap(), "");
    }
}
