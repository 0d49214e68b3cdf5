//! Tokenizers as a `tokenizer.json` describes them in parts: those of SigLIP, SigLIP 2 and multilingual text towers.
//!
//! A text goes through these steps, as in Hugging Face's `tokenizers`, a file each:
//!
//! 1. added tokens that are looked for in the text as it is (`super::added`);
//! 2. `normalizer`: SentencePiece's table (`charsmap`), case, white space, accents, replacements (`pattern`);
//! 3. added tokens that are looked for in the normalised text;
//! 4. `pre_tokenizer`: words;
//! 5. the model: byte-pair encoding of characters (`char_bpe`, Gemma's, and RoBERTa's, whose characters stand for bytes), `unigram` (T5's, SigLIP's, XLM-R's) or `wordpiece`
//!    (BERT's).
//!
//! `read` finds the parts, `build` makes a tokenizer of them.

mod build;
mod bytes;
mod char_bpe;
pub(super) mod charsmap;
mod graphemes;
mod normalizer;
mod pattern;
mod pre_tokenizer;
mod read;
mod tables;
pub(super) mod trie;
mod unigram;
mod wordpiece;

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use crate::error::Result;
use crate::exec::TryGrow;

use super::added::{AddedTokens, Piece};
use super::bpe::Workspace;
use super::clean::Cleaning;
pub(super) use build::{Described, described, of_vocab_txt};
use char_bpe::CharBpe;
use normalizer::Normalizer;
use pre_tokenizer::{PreTokenizer, Stretch};
use unigram::{Lattice, Unigram};
use wordpiece::WordPiece;

/// From a text to ids.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    /// What open_clip does to a text before.
    cleaning: Option<Cleaning>,
    added: AddedTokens,
    normalizers: Vec<Normalizer>,
    pre_tokenizers: Vec<PreTokenizer>,
    model: Model,
}

#[derive(Clone, Debug)]
enum Model {
    Bpe(CharBpe),
    Unigram(Unigram),
    WordPiece(WordPiece),
}

/// Memory that words can share.
#[derive(Default)]
struct Memory {
    symbols: Workspace,
    lattice: Lattice,
}

impl Pipeline {
    /// Append the tokens of `text`; stop after the word with which `ids` reaches `enough`.
    pub(super) fn append(&self, text: &str, enough: usize, ids: &mut Vec<u32>) -> Result<()> {
        let text = match self.cleaning {
            Some(cleaning) => Cow::Owned(cleaning.run(text)?),
            None => Cow::Borrowed(text),
        };
        let mut memory = Memory::default();
        for (i, piece) in self.added.plain.split(&text).enumerate() {
            let text = match piece {
                Piece::Text(text) => normalizer::run(&self.normalizers, text)?,
                Piece::Token(id) => {
                    ids.try_push(id)?;
                    if ids.len() >= enough {
                        return Ok(());
                    }
                    continue;
                }
            };
            for (j, piece) in self.added.normalized.split(&text.text).enumerate() {
                match piece {
                    Piece::Token(id) => ids.try_push(id)?,
                    Piece::Text(part) => {
                        let lead = if i == 0 && j == 0 { text.lead } else { 0 };
                        self.append_words(Stretch { text: part, lead }, enough, &mut memory, ids)?;
                    }
                }
                if ids.len() >= enough {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn append_words(
        &self,
        stretch: Stretch<'_>,
        enough: usize,
        memory: &mut Memory,
        ids: &mut Vec<u32>,
    ) -> Result<()> {
        let mut encode = |word: &str| {
            match &self.model {
                Model::Bpe(model) => model.encode(word, &mut memory.symbols, ids)?,
                Model::Unigram(model) => model.encode(word, &mut memory.lattice, ids)?,
                Model::WordPiece(model) => model.encode(word, ids)?,
            }
            Ok(if ids.len() >= enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        };
        pre_tokenizer::run(&self.pre_tokenizers, stretch, &mut encode).map(|_| ())
    }
}
