//! From what a file declares to a tokenizer: ids, merges, special tokens, checked.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::{Error, Result, err};
use crate::exec::{TryGrow, TryGrowText, try_filled, try_with_capacity};

use super::added::{AddedToken, AddedTokens};
use super::bpe::{Bpe, Bytes, Merge};
use super::lookup::Vocabulary;
use super::normalize::normalize;
use super::{CONTEXT_LENGTH, Cleaning, MAX_FILE_BYTES, Overlong, Rules, Tokenizer};

pub(super) const START: &str = "<|startoftext|>";
pub(super) const END: &str = "<|endoftext|>";

/// What the last symbol of a word carries.
pub(super) const WORD_END: &str = "</w>";

/// The contents of any of the three kinds of files, before they are checked.
#[derive(Debug)]
pub(super) struct Declared<'a> {
    pub(super) vocabulary: Vocabulary<'a>,
    /// Pairs in order of rank.
    pub(super) merges: Vec<(&'a str, &'a str)>,
    pub(super) added: Vec<AddedToken>,
    /// Whether special tokens written in a text are split like other words.
    pub(super) split_specials: bool,
    /// Whether the pattern has the special tokens in it.
    pub(super) specials_in_pattern: bool,
    /// OpenAI's rules with this cleaning, instead of Hugging Face's with the added tokens.
    pub(super) cleaning: Option<Cleaning>,
    /// The token of a byte that the vocabulary lacks; without one, such bytes disappear.
    pub(super) unknown: Option<&'a str>,
    pub(super) start: &'a str,
    pub(super) end: &'a str,
    /// `None`: the end token.
    pub(super) padding: Option<u32>,
    /// Tokens per text at most, whatever the model's context.
    pub(super) longest: usize,
}

/// An id, its token, and whether the vocabulary has it, not only the added tokens.
pub(super) type Listed<'a> = (u32, &'a str, bool);

impl Declared<'_> {
    /// Check everything, then build.
    pub(super) fn build(self) -> Result<Tokenizer> {
        let tokens = self.tokens()?;
        let size = tokens.len() as u32; // a file within its limit has fewer than 2³²
        let start = self.special(self.start)?;
        let end = self.special(self.end)?;
        let padding = self.padding.unwrap_or(end);
        if padding >= size {
            return Err(err!(Tokenizer, "padding id {padding} in a vocabulary of {size}"));
        }
        let bpe = Bpe::new(self.bytes()?, &self.merge_ids(&tokens)?, size)?;
        let rules = match self.cleaning {
            Some(cleaning) => Rules::OpenAi { cleaning, specials: [START, END], bpe },
            None => Rules::HuggingFace {
                added: AddedTokens::new(&self.added, self.split_specials, normalize)?,
                specials_in_pattern: self.specials_in_pattern,
                bpe,
            },
        };
        let (mut prefix, mut suffix) = (Vec::new(), Vec::new());
        prefix.try_push(start)?;
        suffix.try_push(end)?;
        Ok(Tokenizer {
            rules,
            vocabulary: size,
            prefix,
            suffix,
            start,
            end,
            padding,
            context_length: CONTEXT_LENGTH.min(self.longest),
            longest: self.longest,
            overlong: Overlong::default(),
        })
    }

    /// The tokens in the order of their ids, if these are 0, 1, 2 … each once.
    pub(super) fn tokens(&self) -> Result<Vec<Listed<'_>>> {
        let mut tokens = try_with_capacity(self.vocabulary.iter().len() + self.added.len())?;
        tokens.extend(self.vocabulary.iter().map(|(token, id)| (id, token, true)));
        for AddedToken { content, id, .. } in &self.added {
            if content.is_empty() {
                return Err(err!(Tokenizer, "added token {id} is empty"));
            }
            match self.vocabulary.get(content.as_str()) {
                None => tokens.try_push((*id, content.as_str(), false))?,
                Some(known) if known == *id => {}
                Some(known) => {
                    let content = excerpt(content);
                    return Err(err!(Tokenizer, "added token {content} has id {id}, not {known}"));
                }
            }
        }
        if self.are_in_place(&tokens)? {
            let mut ordered = try_filled((0, "", false), tokens.len())?;
            tokens.into_iter().for_each(|token| ordered[token.0 as usize] = token);
            return Ok(ordered);
        }
        tokens.sort_unstable();
        for (expected, &(id, token, _)) in (0..).zip(&tokens) {
            if id < expected {
                let [other, token] = [tokens[id as usize].1, token].map(excerpt);
                return Err(err!(Tokenizer, "id {id} belongs to {other} and to {token}"));
            }
            if id > expected {
                return Err(err!(Tokenizer, "no token has id {expected}"));
            }
        }
        Ok(tokens)
    }

    /// Whether the ids are 0, 1, 2 … each once.
    fn are_in_place(&self, tokens: &[Listed<'_>]) -> Result<bool> {
        let mut taken = try_filled(false, tokens.len())?;
        let is_new =
            |id: u32| taken.get_mut(id as usize).is_some_and(|taken| !core::mem::replace(taken, true));
        Ok(tokens.iter().map(|token| token.0).all(is_new))
    }

    pub(super) fn special(&self, token: &str) -> Result<u32> {
        find(token, &self.vocabulary, &self.added)
            .ok_or_else(|| err!(Tokenizer, "special token {} is not in the vocabulary", excerpt(token)))
    }

    fn bytes(&self) -> Result<Bytes> {
        let unknown = match self.unknown {
            Some(token) => Some(self.vocabulary.get(token).ok_or_else(|| {
                err!(Tokenizer, "unknown token {} is not in the vocabulary", excerpt(token))
            })?),
            None => None,
        };
        let mut bytes = Bytes { inner: [unknown; 256], last: [unknown; 256] };
        let mut token = String::new();
        for (byte, character) in alphabet() {
            let byte = usize::from(byte);
            token.clear();
            token.push(character);
            if let Some(id) = self.vocabulary.get(token.as_str()) {
                bytes.inner[byte] = Some(id);
            }
            token.push_str(WORD_END);
            if let Some(id) = self.vocabulary.get(token.as_str()) {
                bytes.last[byte] = Some(id);
            }
        }
        Ok(bytes)
    }

    pub(super) fn merge_ids(&self, tokens: &[Listed<'_>]) -> Result<Vec<Merge>> {
        let mut joined = String::new();
        // In vocabularies as they are made, each merge makes the token after that of the one before, or the same: no need
        // to look.
        let mut next = 0;
        let find = |rank: usize, token: &str| {
            self.vocabulary
                .get(token)
                .ok_or_else(|| err!(Tokenizer, "merge {rank}: {} is not in the vocabulary", excerpt(token)))
        };
        let mut merges = try_with_capacity(self.merges.len())?;
        for (block, pairs) in self.merges.chunks(BLOCK).enumerate() {
            let left = |i: usize| pairs.get(i).map_or("", |pair| pair.0);
            let right = |i: usize| pairs.get(i).map_or("", |pair| pair.1);
            let lefts: [_; BLOCK] = self.vocabulary.get_each(core::array::from_fn(left));
            let rights: [_; BLOCK] = self.vocabulary.get_each(core::array::from_fn(right));
            for (i, (left, right)) in pairs.iter().enumerate() {
                let rank = block * BLOCK + i;
                joined.clear();
                joined.try_push_str(left)?;
                joined.try_push_str(right)?;
                let near = tokens[(next as usize).saturating_sub(1).min(tokens.len())..].iter().take(2);
                let token = near.rev().find(|(_, token, is_listed)| *is_listed && *token == joined);
                let token = token.map_or_else(|| find(rank, &joined), |token| Ok(token.0))?;
                next = token + 1;
                let known = |id: Option<u32>, token| id.map_or_else(|| find(rank, token), Ok);
                merges.push(Merge { left: known(lefts[i], left)?, right: known(rights[i], right)?, token });
            }
        }
        Ok(merges)
    }
}

/// Merges that are looked up together.
const BLOCK: usize = 16;

/// The id of `token`, from the vocabulary or the added tokens.
pub(super) fn find(token: &str, vocabulary: &Vocabulary<'_>, added: &[AddedToken]) -> Option<u32> {
    let in_added = || added.iter().find(|added| added.content == token).map(|added| added.id);
    vocabulary.get(token).or_else(in_added)
}

/// `text` in quotes, cut if it is long.
pub(super) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => alloc::format!("{:?}…", &text[..end]),
        None => alloc::format!("{text:?}"),
    }
}

/// `bytes` as UTF-8, if they are not too many.
pub(super) fn utf8<'a>(bytes: &'a [u8], file: &str) -> Result<&'a str> {
    within_limit(bytes.len(), file)?;
    core::str::from_utf8(bytes).map_err(|e| err!(Utf8, "{file}: {e}"))
}

/// `Limit` if a file has too many bytes.
fn within_limit(length: usize, file: &str) -> Result<()> {
    if length > MAX_FILE_BYTES {
        return Err(err!(Limit, "{file} of {length} bytes, the limit is {MAX_FILE_BYTES}"));
    }
    Ok(())
}

/// A merge written as `left right`.
pub(super) fn merge_fields(rank: usize, line: &str) -> Result<(&str, &str)> {
    match line.split_once(' ') {
        Some((left, right)) if !left.is_empty() && !right.is_empty() && !right.contains(' ') => {
            Ok((left, right))
        }
        _ => Err(not_two_fields(rank, line)),
    }
}

pub(super) fn not_two_fields(rank: usize, found: &str) -> Error {
    err!(Tokenizer, "merge {rank}: expected two tokens, found {}", excerpt(found))
}

/// The 256 bytes and the printable characters that stand for them in vocabularies, in the order of
/// OpenAI's vocabulary: first those bytes that are printable in Latin-1, as themselves, then the
/// others, as U+0100, U+0101 …
pub(super) fn alphabet() -> impl Iterator<Item = (u8, char)> {
    let printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let own = (0..=u8::MAX).filter(printable).map(|byte| (byte, char::from(byte)));
    let others = (0..=u8::MAX).filter(move |byte| !printable(byte)).zip('\u{100}'..);
    own.chain(others)
}
