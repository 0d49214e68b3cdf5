//! CLIP's tokenizer: byte-level BPE over normalised words, as Hugging Face's `CLIPTokenizerFast`.
//!
//! A text goes through these steps, one file each:
//!
//! 1. `added`: special tokens written in the text are taken out and keep their ids;
//! 2. `normalize`: NFC, whitespace runs to one space, lower case;
//! 3. `split`: CLIP's pattern cuts words;
//! 4. `bpe`: a word's UTF-8 bytes become symbols, the last one marked `</w>`, and merge by rank;
//! 5. here: `<|startoftext|>`, the tokens, cut to the context length, `<|endoftext|>`.
//!
//! OpenAI's own `SimpleTokenizer` differs before step 2: it repairs mojibake (ftfy) and undoes HTML
//! escapes. The letters and numbers of step 3 are those of Unicode 16.0, NFC is that of Unicode 9.0,
//! as in the reference; lower case is the standard library's.
#![forbid(unsafe_code)]

mod added;
mod bpe;
#[cfg(feature = "gzip")]
mod gzip;
mod json;
mod lists;
mod normalize;
mod split;
mod unicode;
mod unicode_tables;
mod vocabulary;

use alloc::vec::Vec;

use crate::error::{Result, err};

use added::{AddedTokens, Piece};
use bpe::{Bpe, Workspace};

/// Context length of every published CLIP.
pub const CONTEXT_LENGTH: usize = 77;

/// Largest tokenizer file, also after decompression (the published ones have 1–4 MB).
pub const MAX_FILE_BYTES: usize = 16 << 20;

/// Largest text.
pub const MAX_TEXT_BYTES: usize = 16 << 20;

/// What happens to a text that has more tokens than the context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlong {
    /// The first tokens are kept, and the end token (Hugging Face's `truncation=True`, OpenAI's
    /// `truncate=True`).
    #[default]
    Truncate,
    /// [`ErrorCode::Limit`](crate::ErrorCode::Limit) (OpenAI's default).
    Reject,
}

/// Text to token ids. Immutable and shareable between threads.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    added: AddedTokens,
    specials_in_pattern: bool,
    bpe: Bpe,
    vocabulary: u32,
    start: u32,
    end: u32,
    padding: u32,
    context_length: usize,
    overlong: Overlong,
}

impl Tokenizer {
    /// From the contents of a `tokenizer.json`.
    ///
    /// # Errors
    /// `Utf8`, `Format` (not JSON), `Limit` (size), `Tokenizer` (inconsistent), and `Unsupported` if
    /// its normaliser, pattern, post-processor or model are not CLIP's.
    pub fn from_tokenizer_json(json: &[u8]) -> Result<Self> {
        json::tokenizer(json)
    }

    /// From the contents of `vocab.json` and `merges.txt`.
    ///
    /// # Errors
    /// `Utf8`, `Format` (not JSON), `Limit` (size), `Tokenizer` (inconsistent).
    pub fn from_vocab_merges(vocab: &[u8], merges: &[u8]) -> Result<Self> {
        lists::vocab_and_merges(vocab, merges)
    }

    /// From the contents of OpenAI's merge list `bpe_simple_vocab_16e6.txt`, as it is or gzipped
    /// (feature `gzip`). Padding is 0, as in OpenAI's `tokenize`.
    ///
    /// # Errors
    /// `Utf8`, `Format` (not gzip after all), `Limit` (size), `Tokenizer` (inconsistent),
    /// `Unsupported` (gzipped, and built without the feature).
    pub fn from_openai_bpe(list: &[u8]) -> Result<Self> {
        lists::openai(list)
    }

    /// The same tokenizer for `length` tokens per text, start and end included
    /// (default: [`CONTEXT_LENGTH`]).
    ///
    /// # Errors
    /// `InvalidArgument` below 2.
    pub fn with_context_length(self, length: usize) -> Result<Self> {
        if length < 2 {
            return Err(err!(InvalidArgument, "context length {length}: start and end need 2"));
        }
        Ok(Self { context_length: length, ..self })
    }

    /// The same tokenizer with another treatment of texts longer than the context.
    #[must_use]
    pub fn with_overlong(self, overlong: Overlong) -> Self {
        Self { overlong, ..self }
    }

    /// The same tokenizer with another padding id.
    ///
    /// Hugging Face pads with the end token, OpenAI and OpenCLIP with 0. CLIP's result does not
    /// depend on it: attention is causal, and both poolings (the largest id, or the end id) take the
    /// first end token.
    ///
    /// # Errors
    /// `InvalidArgument` if the vocabulary has no such id.
    pub fn with_padding(self, padding: u32) -> Result<Self> {
        let vocabulary = self.vocabulary;
        if padding >= vocabulary {
            return Err(err!(InvalidArgument, "padding id {padding} in a vocabulary of {vocabulary}"));
        }
        Ok(Self { padding, ..self })
    }

    /// Number of token ids, added tokens included: the rows that the token embedding must have.
    pub fn vocabulary_size(&self) -> usize {
        self.vocabulary as usize
    }

    /// Tokens per text, start and end included.
    pub fn context_length(&self) -> usize {
        self.context_length
    }

    /// The id of `<|startoftext|>`.
    pub fn start_id(&self) -> u32 {
        self.start
    }

    /// The id of `<|endoftext|>`.
    pub fn end_id(&self) -> u32 {
        self.end
    }

    /// The id that [`encode_batch`](Self::encode_batch) puts after the end.
    pub fn padding_id(&self) -> u32 {
        self.padding
    }

    /// The ids of `text` between start and end token, at most the context length, not padded.
    ///
    /// # Errors
    /// `Limit` if `text` exceeds [`MAX_TEXT_BYTES`], or the context under [`Overlong::Reject`].
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        if text.len() > MAX_TEXT_BYTES {
            let length = text.len();
            return Err(err!(Limit, "text of {length} bytes, the limit is {MAX_TEXT_BYTES}"));
        }
        let mut ids = Vec::with_capacity(self.context_length.min(64));
        ids.push(self.start);
        // One more than the room before the end token tells that the text is too long.
        let room = self.context_length - 1;
        self.append(text, room + 1, &mut ids);
        if ids.len() > room && self.overlong == Overlong::Reject {
            let context = self.context_length;
            return Err(err!(Limit, "text of more than the {context} tokens of the context"));
        }
        ids.truncate(room);
        ids.push(self.end);
        Ok(ids)
    }

    /// The ids of each text, padded: `ids` is `[texts, context length]`.
    ///
    /// # Errors
    /// As [`encode`](Self::encode); `BufferTooSmall` or `InvalidArgument` if `ids` has another size.
    pub fn encode_batch(&self, texts: &[impl AsRef<str>], ids: &mut [u32]) -> Result<()> {
        let (count, context) = (texts.len(), self.context_length);
        let (length, needed) = (ids.len(), count.saturating_mul(context));
        if length < needed {
            return Err(err!(BufferTooSmall, "{count} × {context} ids do not fit into {length}"));
        }
        if length > needed {
            return Err(err!(InvalidArgument, "{length} ids are not {count} × {context}"));
        }
        for (index, (text, row)) in texts.iter().zip(ids.chunks_exact_mut(context)).enumerate() {
            let tokens = self.encode(text.as_ref()).map_err(|e| e.within(format_args!("text {index}")))?;
            let (head, tail) = row.split_at_mut(tokens.len());
            head.copy_from_slice(&tokens);
            tail.fill(self.padding);
        }
        Ok(())
    }

    /// Append the tokens of `text`; stop after the word with which `ids` reaches `enough`.
    fn append(&self, text: &str, enough: usize, ids: &mut Vec<u32>) {
        let mut workspace = Workspace::default();
        for piece in self.added.plain.split(text) {
            let text = match piece {
                Piece::Text(text) => normalize::normalize(text),
                Piece::Token(id) => {
                    ids.push(id);
                    continue;
                }
            };
            for piece in self.added.normalized.split(&text) {
                match piece {
                    Piece::Token(id) => ids.push(id),
                    Piece::Text(text) => {
                        for word in split::words(text, self.specials_in_pattern) {
                            self.bpe.encode(word.as_bytes(), &mut workspace, ids);
                            if ids.len() >= enough {
                                return;
                            }
                        }
                    }
                }
            }
        }
    }
}
