//! Whether a text looks like mojibake: characters side by side that hardly stand so in any language.
//!
//! The rules are those of ftfy 6.3.1 (`badness.py`), a regular expression there.

use core::str::Chars;

use super::super::unicode::{Class, class as category};
use super::tables::class::{
    BAD, BOX, C1, COMMON, CURRENCY, END, KAOMOJI, LAW, LOWER_ACCENTED, LOWER_COMMON, NUMERIC, START,
    UPPER_ACCENTED, UPPER_COMMON,
};
use super::tables::{CHARACTERS, ENCODINGS};

const ACCENTED: u32 = LOWER_ACCENTED | UPPER_ACCENTED;
const COMMON_LETTER: u32 = LOWER_COMMON | UPPER_COMMON;
const SIGN: u32 = START | END | CURRENCY | NUMERIC | LAW;

/// Bad pairs of classes.
const PAIRS: [(u32, u32); 9] = [
    (BAD | ACCENTED | BOX | SIGN, BAD),
    (BAD, ACCENTED | BOX | SIGN),
    (LOWER_ACCENTED | LOWER_COMMON | BOX | END | CURRENCY | NUMERIC, UPPER_ACCENTED),
    (BOX | END | CURRENCY | NUMERIC, LOWER_ACCENTED),
    (LOWER_ACCENTED | BOX | END, CURRENCY),
    (UPPER_ACCENTED | BOX, NUMERIC | LAW),
    (CURRENCY | NUMERIC | BOX, START),
    (BOX, KAOMOJI | END),
    (ACCENTED | SIGN, BOX),
];

/// Bad triples of classes.
const TRIPLES: [(u32, u32, u32); 2] = [
    (ACCENTED | BOX | CURRENCY | END, START, NUMERIC),
    (ACCENTED | CURRENCY | NUMERIC | BOX | LAW, END, START),
];

/// Bad pairs of characters: any of the first, then any of the second or of the classes.
const CHARACTER_PAIRS: [(&str, &str, u32); 7] = [
    ("ÂÃÎÐ", "€œŠš¢£Ÿž\u{A0}\u{AD}®©°·»–—´", START | END), // Windows-1252
    ("×", "²³", 0),
    ("à", "²µ¹¼½¾", 0),       // South Asian scripts in Windows-1252
    ("Ã", "\u{A0}¡", 0),      // à and á in Windows-1252
    ("√", "±∂†≠®™´≤≥¥µø", 0), // MacRoman
    ("≈", "°¢", 0),
    ("ā", "€", 0), // U+2000 and later in Windows-1257
];

/// Bad triples of characters, as [`CHARACTER_PAIRS`], the classes in the middle.
const CHARACTER_TRIPLES: [(&str, &str, u32, &str); 5] = [
    ("‚", "Ä", 0, "ìîïòôúùû†°¢π"), // MacRoman
    ("‚", "âó", 0, "àä°ê"),
    ("β", "€", 0, "™\u{A0}Ά\u{AD}®°"),                         // Windows-1253
    ("ВГРС", "°µ", C1 | BAD | START | END | CURRENCY, "ВГРС"), // Windows-1251
    ("ΒΓΞΟ", "°", C1 | BAD | START | END | CURRENCY, "ΒΓΞΟ"),  // Windows-1253
];

/// Whether `text` looks like mojibake somewhere.
pub(super) fn is_bad(text: &str) -> bool {
    let mut ahead = text.chars();
    let mut window = [(); 4].map(|()| Symbol::next(&mut ahead));
    if window[0].is("ÂÃ", 0) && window[1].is(" ", 0) {
        return true;
    }
    for (at, _) in text.char_indices() {
        if is_bad_start(&window, &text[at..]) {
            return true;
        }
        window.rotate_left(1);
        window[3] = Symbol::next(&mut ahead);
    }
    false
}

/// Whether something bad begins at the window, which is at the start of `text`.
fn is_bad_start(window: &[Symbol; 4], text: &str) -> bool {
    let [a, b, c, d] = window;
    let Some(first) = a.character else { return false };
    if b.classes & UPPER_ACCENTED != 0 && c.classes & CURRENCY != 0 && is_space(first) {
        return true;
    }
    if first.is_ascii() {
        return is_bad_after_ascii(first, b, c, d);
    }
    if a.classes == 0 {
        return false;
    }
    a.classes & C1 != 0
        || PAIRS.iter().any(|&(left, right)| a.classes & left != 0 && b.classes & right != 0)
        || TRIPLES.iter().any(|&(left, inner, right)| {
            a.classes & left != 0 && b.classes & inner != 0 && c.classes & right != 0
        })
        || a.classes & ACCENTED != 0
            && b.classes & (START | END) != 0
            && c.character.is_some_and(is_word_character)
        || a.is("Œœ", 0) && b.character.is_some_and(|c| !c.is_ascii_alphabetic())
        || a.classes & UPPER_ACCENTED != 0 && b.is("°", 0)
        || a.classes & END != 0 && is_doubled(b, c)
        || CHARACTER_PAIRS.iter().any(|&(left, right, classes)| a.is(left, 0) && b.is(right, classes))
        || CHARACTER_TRIPLES
            .iter()
            .any(|&(left, inner, classes, right)| a.is(left, 0) && b.is(inner, classes) && c.is(right, 0))
        || is_arabic(a, b) && is_arabic(c, d)
        || is_cyrillic(text)
}

/// Whether the ASCII character `a` and what follows are bad.
fn is_bad_after_ascii(a: char, b: &Symbol, c: &Symbol, d: &Symbol) -> bool {
    let (small, space) = (a.is_ascii_lowercase(), |symbol: &Symbol| symbol.character.is_some_and(is_space));
    a.is_ascii_alphabetic() && b.classes & COMMON_LETTER != 0 && c.classes & BAD != 0
        || small && b.classes & UPPER_ACCENTED != 0 && c.classes & (START | CURRENCY) != 0
        || small && b.is("ÂÃ", 0) && c.is(" ", 0)
        || small && space(b) && c.is("ÂÃ", 0) && d.is(" ", 0)
        || (small || matches!(a, '.' | ',' | '?' | '!')) && is_doubled(b, c)
}

/// `Â` before a character that encodes as itself after it.
fn is_doubled(b: &Symbol, c: &Symbol) -> bool {
    b.is("Â", 0) && c.is(" ", START | END)
}

/// An Arabic letter in Windows-1252.
fn is_arabic(a: &Symbol, b: &Symbol) -> bool {
    a.is("ØÙ", 0) && b.is("ŸŠ®°µ»", COMMON | CURRENCY | BAD | NUMERIC | START)
}

/// Windows-1251 of U+2000 and later, or of Latin-1 over Windows-1252 beside a Latin letter.
fn is_cyrillic(text: &str) -> bool {
    text.starts_with("вЂ")
        || text.strip_prefix("ГўВЂВ").is_some_and(|rest| {
            let mut rest = rest.chars();
            rest.next().is_some_and(|c| c != '\n')
                && rest.next().is_some_and(|c| c == ' ' || c.is_ascii_alphabetic())
        })
}

/// A character with its classes; `None` behind the end of the text.
#[derive(Clone, Copy, Debug)]
struct Symbol {
    character: Option<char>,
    classes: u32,
}

impl Symbol {
    fn next(text: &mut Chars<'_>) -> Self {
        let character = text.next();
        Self { character, classes: character.map_or(0, classes) }
    }

    /// Whether it is one of `characters`, or of a class of `classes`.
    fn is(&self, characters: &str, classes: u32) -> bool {
        self.classes & classes != 0 || self.character.is_some_and(|c| characters.contains(c))
    }
}

/// Python's `\s`.
fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\x1C'..='\x1F')
}

/// Python's `\w`.
fn is_word_character(c: char) -> bool {
    c == '_' || matches!(category(c), Class::Letter | Class::Number)
}

/// The classes of `c`, bits of [`super::tables::class`].
pub(super) fn classes(c: char) -> u32 {
    entry(c).map_or(0, |&(_, classes, _)| classes)
}

/// The row of `c` in [`CHARACTERS`].
pub(super) fn entry(c: char) -> Option<&'static (u16, u32, [u8; ENCODINGS])> {
    let code = u16::try_from(u32::from(c)).ok().filter(|_| !c.is_ascii())?;
    CHARACTERS.binary_search_by_key(&code, |row| row.0).ok().map(|row| &CHARACTERS[row])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mojibake_and_what_only_resembles_it() {
        let bad = [
            "Ã©",
            "cafÃ© crÃ¨me",
            "donâ€™t",
            "voilÃ le",
            "Â ",
            "x Ã y",
            "Å“uvre",
            "\u{92}",
            "вЂњ",
            "β€™",
            "ā€œ",
            "‚Äî",
            "Ø§Ù„",
            "Ð¢ÐµÑ",
            "╬ô",
            "ГўВЂВ™s",
            "à¤¨à¤®",
            "√©†",
            "‚Ä¶",
            "naÃ¯ve",
            "aÂ “",
        ];
        for text in bad {
            assert!(is_bad(text), "{text:?}");
        }
        let good = [
            "",
            "plain",
            "café crème",
            "don’t",
            "Å",
            "Â",
            "Ã",
            "Привет",
            "αβγ",
            "œuvre",
            "10 °C",
            "“quoted”",
            "日本語",
            "( ͡° ͜ʖ ͡°)",
            "£5",
            "½ × 3²",
            "العربية",
            "Œuvre",
            "façade",
            "¿Qué?",
            "\0Â",
        ];
        for text in good {
            assert!(!is_bad(text), "{text:?}");
        }
    }

    #[test]
    fn rows_are_ordered() {
        assert!(CHARACTERS.windows(2).all(|rows| rows[0].0 < rows[1].0));
        assert!(CHARACTERS[0].0 >= 0x80);
    }
}
