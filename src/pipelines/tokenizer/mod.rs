//! Tokenizers of text towers: CLIP's, byte-level BPE over normalised words, as Hugging Face's `CLIPTokenizerFast`; those that a
//! `tokenizer.json` describes in parts, such as SigLIP 2's, XLM-R's and BERT's (`pipeline`); SigLIP's `spiece.model` (`sentencepiece`).
//!
//! With CLIP's, a text goes through these steps, one file each. With Hugging Face's files:
//!
//! 1. `added`: special tokens written in the text are taken out and keep their ids;
//! 2. `normalize`: NFC, whitespace runs to one space, lower case;
//!
//! with OpenAI's vocabulary, as in its `SimpleTokenizer` and in open_clip:
//!
//! 1. `clean`: mojibake, HTML's references, quotes, ligatures and widths are mended (ftfy), whitespace, lower case;
//!
//! and then with either:
//!
//! 3. `split`: CLIP's pattern cuts words;
//! 4. `bpe`: a word's UTF-8 bytes become symbols, the last one marked `</w>`, and merge by rank;
//! 5. here: `<|startoftext|>`, the tokens, cut to the context length, `<|endoftext|>`.
//!
//! The letters and numbers of step 3 are those of Unicode 16.0, NFC is that of Unicode 9.0, as in Hugging Face's
//! `tokenizers`; lower case is the standard library's. Side files that change ids are read by `files`.
//! A text without words, empty or of white space, is start and end token, as in both references.
#![forbid(unsafe_code)]

mod added;
mod bpe;
mod clean;
mod document;
mod files;
#[cfg(feature = "gzip")]
mod gzip;
mod json;
mod lists;
mod lookup;
mod normalize;
mod pipeline;
mod sentencepiece;
mod settings;
mod split;
mod unicode;
mod unicode_tables;
mod vocabulary;

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::error::{Result, err};
use crate::exec::TryGrow;

use added::{AddedTokens, Piece};
use bpe::{Bpe, Workspace};
pub use clean::Cleaning;
pub use files::FILES;
use pipeline::Pipeline;
use sentencepiece::Siglip;

/// Context length of every published CLIP.
pub const CONTEXT_LENGTH: usize = 77;

/// Largest tokenizer file, also after decompression (the published ones have up to 34 MB). A string with escapes in JSON may
/// have 64 KiB of it, 4 KiB without the feature `std`.
pub const MAX_FILE_BYTES: usize = 64 << 20;

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
    rules: Rules,
    vocabulary: u32,
    /// What is put before a text, and after it.
    prefix: Vec<u32>,
    suffix: Vec<u32>,
    start: u32,
    end: u32,
    padding: u32,
    context_length: usize,
    /// Bound of the context length.
    longest: usize,
    overlong: Overlong,
}

/// How a text becomes words.
#[derive(Clone, Debug)]
enum Rules {
    /// `CLIPTokenizer`'s.
    HuggingFace { added: AddedTokens, specials_in_pattern: bool, bpe: Bpe },
    /// `SimpleTokenizer`'s, with its spelling of the start and end token.
    OpenAi { cleaning: Cleaning, specials: [&'static str; 2], bpe: Bpe },
    /// Those of the parts of a `tokenizer.json`.
    Parts(Pipeline),
    /// `SiglipTokenizer`'s.
    Siglip(Siglip),
}

impl Tokenizer {
    /// From the files of a model's directory, by `read`, which returns the file of a name, one of [`FILES`], if
    /// there is one. `None` if none of them has a vocabulary and `fallback` is `None`.
    ///
    /// The vocabulary is that of `tokenizer.json`; without one, of `vocab.json` and `merges.txt`; without those,
    /// of OpenAI's `bpe_simple_vocab_16e6.txt[.gz]`, BERT's `vocab.txt` or SigLIP's `spiece.model`; without any, the merge list
    /// `fallback`. `spiece.model` comes before `tokenizer.json` if the `tokenizer_class` is `SiglipTokenizer`. Beside all but
    /// OpenAI's, `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json` are read as transformers 5 reads
    /// them: added tokens, special tokens, `model_max_length`, `split_special_tokens`, for BERT and SigLIP lower case.
    /// Beside OpenAI's, and for open_clip's wrapper of a tokenizer of transformers, `open_clip_config.json` says how texts
    /// are cleaned.
    ///
    /// SigLIP's towers take texts of 64 ids: [`with_context_length`](Self::with_context_length) of the model's length, then
    /// [`encode_batch`](Self::encode_batch), whose padding they attend to.
    ///
    /// # Errors
    /// Those of the other constructors, `read`'s, `Unsupported` naming a setting that changes the ids and is not known
    /// (another `tokenizer_class` or `hf_tokenizer_name`, left truncation or padding, …) or another
    /// tokenizer's file, and `NotFound` if `vocab.json` and `merges.txt` are not both there.
    pub fn from_files<'f>(
        read: impl FnMut(&str) -> Result<Option<Cow<'f, [u8]>>>,
        fallback: Option<&[u8]>,
    ) -> Result<Option<Self>> {
        files::load(read, fallback)
    }

    /// From the contents of a `tokenizer.json`: exactly what it says, no cleaning of texts.
    ///
    /// # Errors
    /// `Utf8`, `Format` (not JSON), `Limit` (size), `Tokenizer` (inconsistent), `OutOfMemory`, and `Unsupported`, naming its
    /// place, for a part that is not known.
    pub fn from_tokenizer_json(json: &[u8]) -> Result<Self> {
        json::tokenizer(json)
    }

    /// From the contents of `vocab.json` and `merges.txt`, with `CLIPTokenizer`'s rules: no cleaning of texts.
    ///
    /// # Errors
    /// `Utf8`, `Format` (not JSON), `Limit` (size), `Tokenizer` (inconsistent), `OutOfMemory`.
    pub fn from_vocab_merges(vocab: &[u8], merges: &[u8]) -> Result<Self> {
        lists::vocab_and_merges(vocab, merges)
    }

    /// From the contents of OpenAI's merge list `bpe_simple_vocab_16e6.txt`, as it is or gzipped
    /// (feature `gzip`). Texts are cleaned as [`Cleaning::Lower`] says; padding is 0, as in OpenAI's `tokenize`.
    ///
    /// # Errors
    /// `Utf8`, `Format` (not gzip after all), `Limit` (size), `Tokenizer` (inconsistent),
    /// `Unsupported` (gzipped, and built without the feature), `OutOfMemory`.
    pub fn from_openai_bpe(list: &[u8]) -> Result<Self> {
        lists::openai(list)
    }

    /// The same tokenizer with another cleaning of texts.
    ///
    /// # Errors
    /// `InvalidArgument` unless it is [`from_openai_bpe`](Self::from_openai_bpe)'s: Hugging Face's files say
    /// themselves what happens to texts.
    pub fn with_cleaning(mut self, wanted: Cleaning) -> Result<Self> {
        let Rules::OpenAi { cleaning, .. } = &mut self.rules else {
            return Err(err!(InvalidArgument, "only texts for OpenAI's vocabulary are cleaned"));
        };
        *cleaning = wanted;
        Ok(self)
    }

    /// The same tokenizer for `length` tokens per text, start and end included
    /// (default: [`CONTEXT_LENGTH`]), or for fewer if its files allow no more (`model_max_length`).
    ///
    /// # Errors
    /// `InvalidArgument` below 2.
    pub fn with_context_length(self, length: usize) -> Result<Self> {
        let framed = self.prefix.len() + self.suffix.len();
        if length < framed.max(2) {
            return Err(err!(
                InvalidArgument,
                "context length {length}: start and end need {}",
                framed.max(2)
            ));
        }
        Ok(Self { context_length: length.min(self.longest), ..self })
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

    /// The id of the start token, `<|startoftext|>` with CLIP's; that of the end token where nothing is put before a text, as
    /// with SigLIP's.
    pub fn start_id(&self) -> u32 {
        self.start
    }

    /// The id of the end token, `<|endoftext|>` with CLIP's; that of padding where nothing is put after a text.
    pub fn end_id(&self) -> u32 {
        self.end
    }

    /// The id that [`encode_batch`](Self::encode_batch) puts after the end.
    pub fn padding_id(&self) -> u32 {
        self.padding
    }

    /// The ids of `text` between start and end token, or what else the files put around a text, at most the context length,
    /// not padded.
    ///
    /// # Errors
    /// `Limit` if `text` exceeds [`MAX_TEXT_BYTES`], or the context under [`Overlong::Reject`]; `OutOfMemory`.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        if text.len() > MAX_TEXT_BYTES {
            let length = text.len();
            return Err(err!(Limit, "text of {length} bytes, the limit is {MAX_TEXT_BYTES}"));
        }
        let mut ids = Vec::with_capacity(self.context_length.min(64));
        ids.try_extend(&self.prefix)?;
        // One more than the room before the end token tells that the text is too long.
        let room = self.context_length - self.suffix.len();
        self.append(text, room + 1, &mut ids)?;
        if ids.len() > room && self.overlong == Overlong::Reject {
            let context = self.context_length;
            return Err(err!(Limit, "text of more than the {context} tokens of the context"));
        }
        ids.truncate(room);
        // SigLIP's text that ends with an end token gets no other.
        if !matches!(self.rules, Rules::Siglip(_)) || ids.last() != Some(&self.end) {
            ids.try_extend(&self.suffix)?;
        }
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
    fn append(&self, text: &str, enough: usize, ids: &mut Vec<u32>) -> Result<()> {
        match &self.rules {
            Rules::HuggingFace { added, specials_in_pattern, bpe } => {
                append_pieces(text, added, *specials_in_pattern, bpe, enough, ids)
            }
            Rules::Parts(pipeline) => pipeline.append(text, enough, ids),
            Rules::Siglip(siglip) => siglip.append(text, enough, ids),
            Rules::OpenAi { cleaning, specials, bpe } => {
                let mut workspace = Workspace::default();
                for word in split::simple_words(&cleaning.run(text)?, *specials) {
                    match specials.iter().position(|special| *special == word) {
                        Some(0) => ids.try_push(self.start)?,
                        Some(_) => ids.try_push(self.end)?,
                        None => bpe.encode(word.as_bytes(), &mut workspace, ids)?,
                    }
                    if ids.len() >= enough {
                        break;
                    }
                }
                Ok(())
            }
        }
    }
}

/// [`Tokenizer::append`] with Hugging Face's rules.
fn append_pieces(
    text: &str,
    added: &AddedTokens,
    specials_in_pattern: bool,
    bpe: &Bpe,
    enough: usize,
    ids: &mut Vec<u32>,
) -> Result<()> {
    let mut workspace = Workspace::default();
    for piece in added.plain.split(text) {
        let text = match piece {
            Piece::Text(text) => normalize::normalize(text)?,
            Piece::Token(id) => {
                ids.try_push(id)?;
                continue;
            }
        };
        for piece in added.normalized.split(&text) {
            match piece {
                Piece::Token(id) => ids.try_push(id)?,
                Piece::Text(text) => {
                    for word in split::words(text, specials_in_pattern) {
                        bpe.encode(word.as_bytes(), &mut workspace, ids)?;
                        if ids.len() >= enough {
                            return Ok(());
                        }
                    }
                }
            }
        }
    }
    Ok(())
}
