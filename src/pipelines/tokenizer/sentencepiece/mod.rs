//! SigLIP's tokenizer from its `spiece.model`, as transformers' `SiglipTokenizer`.
//!
//! 1. A space in front of the text (as [`model::MARK`], which is a space elsewhere in it), added tokens taken out;
//! 2. of what is left: lower case, ASCII's punctuation removed, white space to single spaces, none around;
//! 3. the pieces of SentencePiece (`model`) of that behind the unknown token, without the unknown token's, so that the
//!    text does not look like a beginning;
//! 4. the end token, unless the text ends with one.

mod model;
mod protobuf;

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::{Result, err};
use crate::exec::{TryCollect, TryGrow, TryGrowText, try_string, try_string_with_capacity};

use super::added::{AddedTokens, Piece};
use super::clean::lower;
use super::json::repeated;
use super::lookup::Vocabulary;
use super::settings::{SIGLIP_LENGTH, Settings};
use super::vocabulary::Declared;
use super::{MAX_FILE_BYTES, Overlong, Rules, Tokenizer};
use model::{File, MARK, Model};

pub(super) const FILE: &str = "spiece.model";

/// End and padding, and unknown, where no configuration says.
const END: &str = "</s>";
const UNKNOWN: &str = "<unk>";

/// From a text to ids.
#[derive(Clone, Debug)]
pub(super) struct Siglip {
    model: Model,
    added: AddedTokens,
    /// Tokens that texts are not meant to have.
    specials: Vec<u32>,
    lowercases: bool,
    /// The unknown token, and of how many pieces it is spelt.
    unknown: String,
    unknown_pieces: usize,
}

/// A tokenizer from the contents of `spiece.model` and what lies beside it.
pub(super) fn tokenizer(bytes: &[u8], settings: &Settings) -> Result<Tokenizer> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(err!(Limit, "{FILE} of {} bytes, the limit is {MAX_FILE_BYTES}", bytes.len()));
    }
    let file = File::new(bytes).map_err(model::within)?;
    let vocabulary = Vocabulary::new(model::entries(&file)?, repeated).map_err(model::within)?;
    let padding = vocabulary.get(END);
    let mut declared = Declared {
        vocabulary,
        merges: Vec::new(),
        added: Vec::new(),
        split_specials: false,
        specials_in_pattern: false,
        cleaning: None,
        unknown: Some(UNKNOWN),
        start: "",
        end: END,
        padding,
        longest: usize::MAX,
    };
    settings.apply_to_siglip(&mut declared)?;
    let size = declared.tokens()?.len() as u32; // a file within its limit has fewer than 2³²
    let end = declared.special(declared.end)?;
    let padding = declared.padding.unwrap_or(end);
    if padding >= size {
        return Err(err!(Tokenizer, "padding id {padding} in a vocabulary of {size}"));
    }
    let model = Model::new(&file, !settings.is_without_prefix()).map_err(model::within)?;
    // The reference looks for all of them in the text as it is, or for none.
    declared.added.iter_mut().for_each(|token| token.normalized = false);
    let sought = if declared.split_specials { &[][..] } else { &declared.added };
    let added = AddedTokens::new(sought, false, try_string)?;
    let specials = declared.added.iter().filter(|token| token.special).map(|token| token.id).try_to_vec()?;
    let unknown = try_string(declared.unknown.unwrap_or(UNKNOWN))?;
    let mut unknown_pieces = 0;
    model.encode(&unknown, &mut |_, _| {
        unknown_pieces += 1;
        Ok(())
    })?;
    let mut suffix = Vec::new();
    suffix.try_push(end)?;
    let lowercases = settings.lowercases();
    Ok(Tokenizer {
        rules: Rules::Siglip(Siglip { model, added, specials, lowercases, unknown, unknown_pieces }),
        vocabulary: size,
        prefix: Vec::new(),
        suffix,
        start: end,
        end,
        padding,
        context_length: SIGLIP_LENGTH.min(declared.longest),
        longest: declared.longest,
        overlong: Overlong::default(),
    })
}

impl Siglip {
    /// Append the tokens of `text`; stop after the stretch with which `ids` reaches `enough`.
    pub(super) fn append(&self, text: &str, enough: usize, ids: &mut Vec<u32>) -> Result<()> {
        let mut marked = try_string_with_capacity(text.len() + MARK.len_utf8())?;
        marked.push(MARK);
        // A space takes less than what it stands for.
        marked.extend(text.chars().map(|c| if c == MARK { ' ' } else { c }));
        let begin = ids.len();
        let mut begins_with_mark = false;
        for piece in self.added.plain.split(&marked) {
            match piece {
                Piece::Token(id) => {
                    if begins_with_mark && ids.len() == begin + 1 && self.specials.contains(&id) {
                        ids.truncate(begin);
                        begins_with_mark = false;
                    }
                    ids.try_push(id)?;
                }
                Piece::Text(text) => {
                    let text = self.canonical(text)?;
                    let mut skipped = 0;
                    self.model.encode(&text, &mut |piece, id| {
                        if skipped < self.unknown_pieces {
                            skipped += 1;
                            return Ok(());
                        }
                        begins_with_mark |= ids.len() == begin && piece.chars().eq([MARK]);
                        ids.try_push(id)
                    })?;
                }
            }
            if ids.len() > enough {
                break;
            }
        }
        Ok(())
    }

    /// The unknown token and `text` in lower case, without punctuation and with single spaces between words.
    fn canonical(&self, text: &str) -> Result<String> {
        let text = if self.lowercases { lower(text)? } else { try_string(text)? };
        let mut out = try_string_with_capacity(self.unknown.len() + text.len())?;
        out.push_str(&self.unknown);
        let (mut is_after_space, begin) = (false, out.len());
        for c in text.chars().filter(|c| !c.is_ascii_punctuation()) {
            // Python's white space has the separators of ASCII, too.
            if c.is_whitespace() || matches!(c, '\u{1C}'..='\u{1F}') {
                is_after_space = true;
                continue;
            }
            if is_after_space && out.len() > begin {
                out.try_push_char(' ')?;
            }
            is_after_space = false;
            out.try_push_char(c)?;
        }
        Ok(out)
    }
}
