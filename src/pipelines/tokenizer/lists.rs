//! Plain lists: `vocab.json` with `merges.txt`, and OpenAI's `bpe_simple_vocab_16e6.txt`.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::error::{Result, err};
use crate::exec::{TryCollect, check_memory, try_string_with_capacity};

use super::added::AddedToken;
use super::json;
use super::lookup::Vocabulary;
use super::vocabulary::{Declared, END, START, WORD_END, alphabet, excerpt, merge_fields, utf8};
use super::{Cleaning, Tokenizer};

const VOCAB: &str = "vocab.json";

/// Merges of OpenAI's list that count: 49152 symbols less 2 × 256 bytes, plus the 2 special ones.
/// The file has more.
const OPENAI_MERGES: usize = 49152 - 256 - 2;

/// A tokenizer from the contents of `vocab.json` and `merges.txt`.
pub(super) fn vocab_and_merges(vocab: &[u8], merges: &[u8]) -> Result<Tokenizer> {
    declared(vocab, merges)?.build()
}

/// What `vocab.json` and `merges.txt` declare: a line `#version: …`, then a merge a line. Special
/// tokens, pattern and unknown token are `CLIPTokenizer`'s.
pub(super) fn declared<'a>(vocab: &'a [u8], merges: &'a [u8]) -> Result<Declared<'a>> {
    const FILE: &str = "merges.txt";
    let vocabulary = json::vocabulary_of(utf8(vocab, VOCAB)?, VOCAB)?;
    let lines = utf8(merges, FILE)?.lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("#version"));
    let merges = merges_of(lines).map_err(|e| e.within(FILE))?;
    let special = |token: &str| {
        let id = vocabulary.get(token);
        let strips = [false; 2];
        id.map(|id| AddedToken { content: token.into(), id, normalized: false, special: true, strips })
    };
    let added = [START, END].into_iter().filter_map(special).collect();
    Ok(Declared { added, specials_in_pattern: true, ..plain(vocabulary, merges) })
}

/// A tokenizer from OpenAI's list: a title line, then a merge a line. The vocabulary follows from it: the bytes, the
/// bytes at the end of a word, the merges, the two special tokens.
pub(super) fn openai(list: &[u8]) -> Result<Tokenizer> {
    const FILE: &str = "BPE list";
    let list = inflate_if_gzipped(list)?;
    let mut lines = utf8(&list, FILE)?.lines();
    if !lines.next().is_some_and(|title| title.contains("#version:")) {
        return Err(err!(Tokenizer, "{FILE}: the first line is not a title with \"#version:\""));
    }
    let lines = lines.filter(|line| !line.is_empty()).take(OPENAI_MERGES);
    let merges = merges_of(lines).map_err(|e| e.within(FILE))?;

    let bytes = |end| alphabet().map(move |(_, byte)| joined(byte.encode_utf8(&mut [0; 4]), end));
    let tokens = bytes("")
        .chain(bytes(WORD_END))
        .chain(merges.iter().map(|(left, right)| joined(left, right)))
        .chain([START, END].map(|special| joined(special, "")));
    let tokens = tokens.zip(0..).map(|(token, id)| Ok((Cow::Owned(token?), id))).try_values()?;
    let vocabulary = Vocabulary::new(tokens, |token| {
        err!(Tokenizer, "{FILE}: token {} comes from two merges", excerpt(token))
    })?;
    let cleaning = Some(Cleaning::default());
    Declared { cleaning, padding: Some(0), ..plain(vocabulary, merges) }.build()
}

fn merges_of<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Vec<(&'a str, &'a str)>> {
    lines.enumerate().map(|(rank, line)| merge_fields(rank, line)).try_values()
}

/// The token that `left` and `right` are together.
fn joined(left: &str, right: &str) -> Result<String> {
    check_memory()?;
    let mut token = try_string_with_capacity(left.len() + right.len())?;
    token.push_str(left);
    token.push_str(right);
    Ok(token)
}

/// Vocabulary and merges with the usual special tokens.
fn plain<'a>(vocabulary: Vocabulary<'a>, merges: Vec<(&'a str, &'a str)>) -> Declared<'a> {
    Declared {
        vocabulary,
        merges,
        added: Vec::new(),
        split_specials: false,
        specials_in_pattern: false,
        cleaning: None,
        unknown: Some(END),
        start: START,
        end: END,
        padding: None,
        longest: usize::MAX,
    }
}

/// The bytes of a gzip file by its magic number; others as they are.
fn inflate_if_gzipped(bytes: &[u8]) -> Result<Cow<'_, [u8]>> {
    if !bytes.starts_with(&[0x1F, 0x8B]) {
        return Ok(Cow::Borrowed(bytes));
    }
    #[cfg(feature = "gzip")]
    return super::gzip::inflate(bytes, super::MAX_FILE_BYTES).map(Cow::Owned);
    #[cfg(not(feature = "gzip"))]
    Err(err!(Unsupported, "BPE list is gzipped; this build has no `gzip` feature"))
}
