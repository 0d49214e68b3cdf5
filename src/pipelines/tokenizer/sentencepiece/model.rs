//! A unigram model of SentencePiece, as its own library reads and runs it (`sentencepiece_model.proto`,
//! `normalizer.cc`, `unigram_model.cc`).

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::error::{Error, Result, err};
use crate::exec::{TryCollect, TryGrow, TryGrowText, check_memory, out_of_memory, try_with_capacity};

use super::super::pipeline::charsmap::Charsmap;
use super::super::pipeline::trie::Trie;
use super::super::vocabulary::excerpt;
use super::protobuf::{Fields, Value};

/// Stands for a space in pieces.
pub(super) const MARK: char = '▁';

/// How much less than the lowest score a character scores that no piece covers.
const UNKNOWN_PENALTY: f32 = 10.0;

/// What a user-defined piece scores.
const USER_DEFINED_SCORE: f32 = -0.1;

/// Longest text that the table of replacements may make.
const MAX_NORMALIZED_BYTES: usize = 64 << 20;

/// What a file says.
#[derive(Debug)]
pub(super) struct File<'f> {
    pub(super) pieces: Vec<Entry<'f>>,
    charsmap: &'f [u8],
    adds_prefix: bool,
    removes_spaces: bool,
}

#[derive(Debug)]
pub(super) struct Entry<'f> {
    pub(super) piece: &'f str,
    score: f32,
    kind: u64,
}

// Kinds of pieces.
const NORMAL: u64 = 1;
const UNKNOWN: u64 = 2;
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;
const UNUSED: u64 = 5;

impl<'f> File<'f> {
    /// # Errors
    /// `Format` (no protocol buffers), `Utf8`, `Tokenizer` (inconsistent), `OutOfMemory`, and `Unsupported` for what is no
    /// unigram model with the usual settings.
    pub(super) fn new(bytes: &'f [u8]) -> Result<Self> {
        let mut file = Self { pieces: Vec::new(), charsmap: &[], adds_prefix: true, removes_spaces: true };
        let mut fields = Fields::of(bytes);
        while let Some(field) = fields.try_next()? {
            match field {
                (1, Value::Bytes(piece)) => {
                    check_memory()?;
                    let entry = Entry::new(piece, file.pieces.len())?;
                    file.pieces.try_push(entry)?;
                }
                (2, Value::Bytes(trainer)) => check_trainer(trainer)?,
                (3, Value::Bytes(normalizer)) => file.read_normalizer(normalizer)?,
                // Texts that the library tests itself with, and how ids become text.
                (4 | 5, _) => {}
                (field, _) => return Err(err!(Unsupported, "field {field} of the model is not known")),
            }
        }
        Ok(file)
    }

    fn read_normalizer(&mut self, message: &'f [u8]) -> Result<()> {
        let mut fields = Fields::of(message);
        while let Some(field) = fields.try_next()? {
            match field {
                (1 | 6, Value::Bytes(_)) | (5, Value::Number(1)) => {}
                (2, Value::Bytes(charsmap)) => self.charsmap = charsmap,
                (3, Value::Number(flag)) => self.adds_prefix = flag != 0,
                (4, Value::Number(flag)) => self.removes_spaces = flag != 0,
                (5, _) => return Err(err!(Unsupported, "normalizer_spec.escape_whitespaces is false")),
                (field, _) => return Err(err!(Unsupported, "field {field} of normalizer_spec is not known")),
            }
        }
        Ok(())
    }
}

impl<'f> Entry<'f> {
    fn new(message: &'f [u8], id: usize) -> Result<Self> {
        let (mut piece, mut score, mut kind) = (None, 0.0, NORMAL);
        let mut fields = Fields::of(message);
        while let Some(field) = fields.try_next()? {
            match field {
                (1, Value::Bytes(text)) => {
                    let text = core::str::from_utf8(text).map_err(|e| err!(Utf8, "piece {id}: {e}"))?;
                    piece = Some(text);
                }
                (2, Value::Float(number)) => score = number,
                (3, Value::Number(number)) => kind = number,
                (field, _) => return Err(err!(Unsupported, "field {field} of piece {id} is not known")),
            }
        }
        let piece = piece.filter(|piece| !piece.is_empty());
        let piece = piece.ok_or_else(|| err!(Tokenizer, "piece {id} is empty"))?;
        if !score.is_finite() {
            return Err(err!(Tokenizer, "the score of {} is {score}", excerpt(piece)));
        }
        if !matches!(kind, NORMAL | UNKNOWN | CONTROL | USER_DEFINED | UNUSED) {
            return Err(err!(Unsupported, "piece {} has type {kind}, which is not known", excerpt(piece)));
        }
        Ok(Self { piece, score, kind })
    }
}

/// `Unsupported` unless the model is a unigram model whose pieces have their mark in front.
fn check_trainer(message: &[u8]) -> Result<()> {
    const MODEL_TYPE: u64 = 3;
    const WHITESPACE_AS_SUFFIX: u64 = 24;
    const BYTE_FALLBACK: u64 = 35;
    let mut fields = Fields::of(message);
    while let Some(field) = fields.try_next()? {
        match field {
            (MODEL_TYPE, Value::Number(1)) | (WHITESPACE_AS_SUFFIX | BYTE_FALLBACK, Value::Number(0)) => {}
            (MODEL_TYPE, _) => return Err(err!(Unsupported, "trainer_spec.model_type is not unigram")),
            (WHITESPACE_AS_SUFFIX, _) => {
                return Err(err!(Unsupported, "trainer_spec.treat_whitespace_as_suffix is true"));
            }
            (BYTE_FALLBACK, _) => return Err(err!(Unsupported, "trainer_spec.byte_fallback is true")),
            // How it was trained.
            _ => {}
        }
    }
    Ok(())
}

/// A model that makes pieces of texts.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// Pieces that texts are cut into.
    pieces: Trie,
    /// All.
    ids: Trie,
    user_defined: Trie,
    scores: Vec<f32>,
    /// Whether each is user-defined, which wins over all others.
    wins: Vec<bool>,
    unknown: u32,
    unknown_score: f32,
    charsmap: Option<Charsmap>,
    adds_prefix: bool,
    removes_spaces: bool,
}

/// The best way to the end of some bytes: its score, and its last piece.
#[derive(Clone, Copy, Debug)]
struct Best {
    score: f32,
    /// [`NONE`] if there is no way yet.
    start: u32,
    id: u32,
}

const NONE: u32 = u32::MAX;

impl Model {
    pub(super) fn new(file: &File<'_>, adds_prefix: bool) -> Result<Self> {
        let entries = || file.pieces.iter().zip(0u32..);
        let of_kinds = |kinds: &'static [u64]| {
            entries().filter(|(entry, _)| kinds.contains(&entry.kind)).map(|(entry, id)| (entry.piece, id))
        };
        let mut unknown = of_kinds(&[UNKNOWN]);
        let (Some((_, unknown)), None) = (unknown.next(), unknown.next()) else {
            return Err(err!(Tokenizer, "not one piece is the unknown one"));
        };
        let normal = file.pieces.iter().filter(|entry| entry.kind == NORMAL);
        let lowest = normal.fold(f32::MAX, |lowest, entry| lowest.min(entry.score));
        Ok(Self {
            pieces: Trie::new(&mut of_kinds(&[NORMAL, USER_DEFINED]))?,
            ids: Trie::new(&mut entries().map(|(entry, id)| (entry.piece, id)))?,
            user_defined: Trie::new(&mut of_kinds(&[USER_DEFINED]))?,
            scores: file.pieces.iter().map(|entry| entry.score).try_to_vec()?,
            wins: file.pieces.iter().map(|entry| entry.kind == USER_DEFINED).try_to_vec()?,
            unknown,
            unknown_score: lowest - UNKNOWN_PENALTY,
            charsmap: Charsmap::new(file.charsmap)?,
            adds_prefix: adds_prefix && file.adds_prefix,
            removes_spaces: file.removes_spaces,
        })
    }

    /// What `text` begins with after replacement, and how many of its bytes that takes.
    fn replaced<'t>(&'t self, text: &'t str) -> Result<(&'t str, usize)> {
        if let Some((length, _)) = self.user_defined.longest(text.as_bytes()) {
            return Ok((&text[..length], length));
        }
        if let Some(map) = &self.charsmap
            && let Some(found) = map.longest(text.as_bytes())?
        {
            if !text.is_char_boundary(found.length) {
                return Err(err!(Tokenizer, "precompiled_charsmap: a character is replaced in part"));
            }
            return Ok((found.replacement, found.length));
        }
        let length = text.chars().next().map_or(0, char::len_utf8);
        Ok((&text[..length], length))
    }

    /// `text` with replacements, marks for spaces, and without those that are too many.
    fn normalize(&self, text: &str) -> Result<String> {
        let (mut out, mut rest) = (String::new(), text);
        while self.removes_spaces && !rest.is_empty() {
            let (" ", length) = self.replaced(rest)? else { break };
            rest = &rest[length..];
        }
        if rest.is_empty() {
            return Ok(out);
        }
        if self.adds_prefix {
            out.try_push_char(MARK)?;
        }
        let mut is_after_space = self.removes_spaces;
        while !rest.is_empty() {
            let (mut next, length) = self.replaced(rest)?;
            rest = &rest[length..];
            if is_after_space {
                next = next.trim_start_matches(' ');
            }
            if out.len() + 3 * next.len() > MAX_NORMALIZED_BYTES {
                return Err(err!(Limit, "normalised text of more than {MAX_NORMALIZED_BYTES} bytes"));
            }
            for c in next.chars() {
                out.try_push_char(if c == ' ' { MARK } else { c })?;
            }
            if !next.is_empty() {
                is_after_space = self.removes_spaces && next.ends_with(' ');
            }
        }
        if self.removes_spaces {
            out.truncate(out.trim_end_matches(MARK).len());
        }
        Ok(out)
    }

    /// Give `each` the pieces of `text`, neighbours without a piece as one, with their ids.
    pub(super) fn encode(&self, text: &str, each: &mut dyn FnMut(&str, u32) -> Result<()>) -> Result<()> {
        let text = self.normalize(text)?;
        let mut best = Vec::new();
        best.try_reserve_exact(text.len() + 1).map_err(|_| out_of_memory())?;
        best.resize(text.len() + 1, Best { score: 0.0, start: NONE, id: 0 });
        for (start, character) in text.char_indices() {
            let so_far = best[start].score;
            let mut offer = |length: usize, id: u32, score: f32| {
                let (place, score): (&mut Best, f32) = (&mut best[start + length], score + so_far);
                if place.start == NONE || score > place.score {
                    *place = Best { score, start: start as u32, id };
                }
            };
            let (single, mut has_single) = (character.len_utf8(), false);
            self.pieces.each_prefix(&text.as_bytes()[start..], |length, id| {
                offer(
                    length,
                    id,
                    if self.wins[id as usize] { USER_DEFINED_SCORE } else { self.scores[id as usize] },
                );
                has_single |= length == single;
            });
            if !has_single {
                offer(single, self.unknown, self.unknown_score);
            }
        }
        let mut path = try_with_capacity(0)?;
        let mut end = text.len();
        while end > 0 {
            let Best { start, id, .. } = best[end];
            path.try_push((start as usize..end, id))?;
            end = start as usize;
        }
        while let Some((mut range, id)) = path.pop() {
            if id == self.unknown {
                while let Some((next, _)) = path.pop_if(|(_, id)| *id == self.unknown) {
                    range.end = next.end;
                }
                let piece = &text[range];
                each(piece, self.ids.get(piece).unwrap_or(self.unknown))?;
            } else {
                each(&text[range], id)?;
            }
        }
        Ok(())
    }
}

/// The pieces as tokens and ids.
pub(super) fn entries<'f>(file: &File<'f>) -> Result<Vec<(Cow<'f, str>, u32)>> {
    file.pieces.iter().zip(0..).map(|(entry, id)| (Cow::Borrowed(entry.piece), id)).try_to_vec()
}

/// `error` in `spiece.model`.
pub(super) fn within(error: Error) -> Error {
    error.within(super::FILE)
}
