//! From what a file declares in parts to a tokenizer.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Value, json};

use crate::error::{Result, err};
use crate::exec::{TryCollect, TryGrow, try_string};

use super::super::added::{AddedToken, AddedTokens};
use super::super::bpe::Merges;
use super::super::clean::Cleaning;
use super::super::document::{Document, Vocab};
use super::super::json::{self, added_tokens, repeated};
use super::super::lookup::Vocabulary;
use super::super::vocabulary::{Declared, excerpt, find, utf8};
use super::super::{CONTEXT_LENGTH, Overlong, Rules, Tokenizer};
use super::bytes::ByteTokens;
use super::char_bpe::CharBpe;
use super::normalizer::{self, Bert, Normalizer};
use super::pre_tokenizer::PreTokenizer;
use super::read::{self, Frame, Part};
use super::trie::Trie;
use super::unigram::{self, Unigram};
use super::wordpiece::WordPiece;
use super::{Model, Pipeline};

/// What a file declares, before side files change it.
pub(in super::super) struct Described<'d> {
    pub(in super::super) declared: Declared<'d>,
    normalizers: Vec<Normalizer>,
    pre_tokenizers: Vec<PreTokenizer>,
    model: Kind<'d>,
    frame: Frame,
    cleaning: Option<Cleaning>,
    /// Ids per text that the file says.
    length: Option<usize>,
}

/// The model, as far as the vocabulary is not it.
enum Kind<'d> {
    Bpe { unknown: Option<&'d str>, fuses_unknown: bool, has_bytes: bool, ignores_merges: bool },
    Unigram { scores: Vec<f64>, unknown: u32, has_bytes: bool },
    WordPiece { unknown: &'d str, prefix: &'d str, longest: usize },
}

/// Tokens that pad texts where no file says which.
const PADDING: [&str; 2] = ["<pad>", "[PAD]"];

/// What a `tokenizer.json` declares that is not CLIP's.
pub(in super::super) fn described<'d>(document: &'d Document<'_>) -> Result<Described<'d>> {
    let file = Part::new(
        &document.file,
        String::from("file"),
        &[
            "version",
            "truncation",
            "padding",
            "added_tokens",
            "normalizer",
            "pre_tokenizer",
            "post_processor",
            "decoder",
            "model",
        ],
    )?;
    file.refuse("version", &[json!("1.0")])?;
    let (mut normalizers, mut pre_tokenizers) = (Vec::new(), Vec::new());
    read::normalizer(file.get("normalizer"), "normalizer", &mut normalizers)?;
    read::pre_tokenizer(file.get("pre_tokenizer"), "pre_tokenizer", &mut pre_tokenizers)?;
    let (vocabulary, model) = model(document, file.get("model"))?;
    let added = added_tokens(file.get("added_tokens"))?;
    let mut frame = Frame::default();
    let check = |token: &Value, id: u32| {
        let Some(text) = token.as_str() else {
            return Err(err!(Tokenizer, "{} is no token", json::shown(token)));
        };
        match find(text, &vocabulary, &added) == Some(id) {
            true => Ok(()),
            false => Err(err!(Tokenizer, "token {} does not have id {id}", excerpt(text))),
        }
    };
    read::post_processor(file.get("post_processor"), "post_processor", &check, &mut frame)?;
    let truncated = truncation(file.get("truncation"))?;
    let (padding, padded) = padding(file.get("padding"))?;
    let merges = document.merges.iter().flatten();
    Ok(Described {
        declared: Declared {
            merges: merges.map(|(left, right)| (left.as_ref(), right.as_ref())).try_to_vec()?,
            vocabulary,
            added,
            split_specials: false,
            specials_in_pattern: false,
            cleaning: None,
            unknown: None,
            start: "",
            end: "",
            padding,
            longest: usize::MAX,
        },
        normalizers,
        pre_tokenizers,
        model,
        frame,
        cleaning: None,
        length: truncated.or(padded),
    })
}

/// Ids per text that `truncation` leaves.
fn truncation(value: &Value) -> Result<Option<usize>> {
    if value.is_null() {
        return Ok(None);
    }
    let part = Part::new(value, "truncation".into(), &["direction", "max_length", "strategy", "stride"])?;
    part.refuse("direction", &[json!("Right")])?;
    Ok(part.number("max_length")?.map(|length| length as usize))
}

/// The padding id, and the ids per text to which `padding` fills up.
fn padding(value: &Value) -> Result<(Option<u32>, Option<usize>)> {
    if value.is_null() {
        return Ok((None, None));
    }
    let known = ["strategy", "direction", "pad_to_multiple_of", "pad_id", "pad_type_id", "pad_token"];
    let part = Part::new(value, "padding".into(), &known)?;
    part.refuse("direction", &[json!("Right")])?;
    let fixed =
        part.get("strategy")["Fixed"].as_u64().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    Ok((part.number("pad_id")?, fixed))
}

fn model<'d>(document: &'d Document<'_>, value: &'d Value) -> Result<(Vocabulary<'d>, Kind<'d>)> {
    let kind = match (&value["type"], &document.vocabulary) {
        (Value::String(kind), _) => kind.as_str(),
        // Older files leave the type out.
        (Value::Null, Vocab::Scores(_)) => "Unigram",
        (Value::Null, _) if document.merges.is_some() => "BPE",
        (Value::Null, _) if !value["max_input_chars_per_word"].is_null() => "WordPiece",
        (kind, _) => return Err(err!(Unsupported, "model.type is not known: {}", json::shown(kind))),
    };
    let part = |known: &[&str]| Part::new(value, "model".into(), known);
    match (kind, &document.vocabulary) {
        ("BPE", Vocab::Ids(entries)) => {
            let part = part(&[
                "type",
                "dropout",
                "unk_token",
                "continuing_subword_prefix",
                "end_of_word_suffix",
                "fuse_unk",
                "byte_fallback",
                "ignore_merges",
                "vocab",
                "merges",
            ])?;
            part.refuse("dropout", &[json!(0.0), json!(0)])?;
            part.refuse("continuing_subword_prefix", &[json!("")])?;
            part.refuse("end_of_word_suffix", &[json!("")])?;
            if document.merges.is_none() {
                return Err(err!(Tokenizer, "model.merges is missing"));
            }
            let kind = Kind::Bpe {
                unknown: part.text("unk_token")?,
                fuses_unknown: part.flag("fuse_unk", false)?,
                has_bytes: part.flag("byte_fallback", false)?,
                ignores_merges: part.flag("ignore_merges", false)?,
            };
            Ok((of_ids(entries)?, kind))
        }
        ("WordPiece", Vocab::Ids(entries)) => {
            let part = part(&[
                "type",
                "unk_token",
                "continuing_subword_prefix",
                "max_input_chars_per_word",
                "vocab",
            ])?;
            let longest = part.number("max_input_chars_per_word")?.unwrap_or(100) as usize;
            let kind = Kind::WordPiece {
                unknown: part.text("unk_token")?.unwrap_or("[UNK]"),
                prefix: part.text("continuing_subword_prefix")?.unwrap_or("##"),
                longest,
            };
            Ok((of_ids(entries)?, kind))
        }
        ("Unigram", Vocab::Scores(pieces)) => {
            let part = part(&["type", "unk_id", "byte_fallback", "vocab"])?;
            let Some(unknown) = part.number("unk_id")? else {
                return Err(err!(Tokenizer, "model.unk_id is missing"));
            };
            let has_bytes = part.flag("byte_fallback", false)?;
            let entries = pieces.iter().zip(0..).map(|((piece, _), id)| (Cow::Borrowed(piece.as_ref()), id));
            let vocabulary = Vocabulary::new(entries.try_to_vec()?, repeated)?;
            Ok((vocabulary, Kind::Unigram { scores: unigram::scores(pieces)?, unknown, has_bytes }))
        }
        ("BPE" | "WordPiece" | "Unigram", _) => {
            Err(err!(Tokenizer, "model.vocab is not a {kind} vocabulary"))
        }
        _ => Err(err!(Unsupported, "model: type {} is not known", excerpt(kind))),
    }
}

fn of_ids<'d>(entries: &'d [(Cow<'_, str>, u32)]) -> Result<Vocabulary<'d>> {
    let borrowed = entries.iter().map(|(token, id)| (Cow::Borrowed(token.as_ref()), *id));
    Vocabulary::new(borrowed.try_to_vec()?, repeated)
}

/// What BERT's `vocab.txt` declares: a token a line, ids counted from 0.
pub(in super::super) fn of_vocab_txt(bytes: &[u8]) -> Result<Described<'_>> {
    const FILE: &str = "vocab.txt";
    let text = utf8(bytes, FILE)?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let entries = lines.zip(0..).map(|(token, id)| match token {
        "" => Err(err!(Tokenizer, "{FILE}: token {id} is empty")),
        token => Ok((Cow::Borrowed(token), id)),
    });
    let vocabulary = Vocabulary::new(entries.try_values()?, repeated).map_err(|e| e.within(FILE))?;
    let mut added = Vec::new();
    for content in ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] {
        if let Some(id) = vocabulary.get(content) {
            let content = try_string(content)?;
            let token = AddedToken { content, id, normalized: false, special: true, strips: [false; 2] };
            added.try_push(token)?;
        }
    }
    let special = |token: &str| match vocabulary.get(token) {
        Some(id) => Ok(id),
        None => Err(err!(Tokenizer, "{FILE}: no token is {token}")),
    };
    let mut frame = Frame::default();
    frame.prefix.try_push(special("[CLS]")?)?;
    frame.suffix.try_push(special("[SEP]")?)?;
    let mut described = Described {
        declared: Declared {
            merges: Vec::new(),
            added,
            split_specials: false,
            specials_in_pattern: false,
            cleaning: None,
            unknown: None,
            start: "",
            end: "",
            padding: Some(special("[PAD]")?),
            longest: usize::MAX,
            vocabulary,
        },
        normalizers: Vec::new(),
        pre_tokenizers: Vec::new(),
        model: Kind::WordPiece { unknown: "[UNK]", prefix: "##", longest: 100 },
        frame,
        cleaning: None,
        length: None,
    };
    described.pre_tokenizers.try_push(PreTokenizer::Bert)?;
    described.normalize_as_bert(&Value::Null)?;
    Ok(described)
}

impl Described<'_> {
    /// Normalise as `BertTokenizer` is told by its configuration, whatever the file says.
    pub(in super::super) fn normalize_as_bert(&mut self, config: &Value) -> Result<()> {
        let flag = |key: &str, otherwise: bool| match &config[key] {
            Value::Null => Ok(otherwise),
            Value::Bool(flag) => Ok(*flag),
            value => Err(err!(Tokenizer, "{key} is {}", json::shown(value))),
        };
        let lowercases = flag("do_lower_case", true)?;
        let bert = Bert {
            cleans: true,
            parts_ideographs: flag("tokenize_chinese_chars", true)?,
            strips_accents: flag("strip_accents", lowercases)?,
            lowercases,
        };
        self.normalizers.clear();
        self.normalizers.try_push(Normalizer::Bert(bert))
    }

    /// Put a space before texts that have none there, or put none, as `RobertaTokenizer` is told, whatever the file says.
    pub(in super::super) fn prepend_spaces(&mut self, wanted: bool) {
        for step in &mut self.pre_tokenizers {
            if let PreTokenizer::ByteLevel { prepends, .. } = step {
                *prepends = wanted;
            }
        }
    }

    /// Lower case before all else.
    pub(in super::super) fn lower(&mut self) -> Result<()> {
        self.normalizers.try_push(Normalizer::Lowercase)?;
        self.normalizers.rotate_right(1);
        Ok(())
    }

    /// Make `length` ids of a text, unless the file says how many.
    pub(in super::super) fn length_or(&mut self, length: usize) {
        self.length.get_or_insert(length);
    }

    /// Clean texts as open_clip does.
    pub(in super::super) fn clean(&mut self, cleaning: Cleaning) {
        self.cleaning = Some(cleaning);
    }

    /// Check everything, then build.
    pub(in super::super) fn build(self) -> Result<Tokenizer> {
        let Self { declared, normalizers, pre_tokenizers, model, frame, cleaning, length } = self;
        let tokens = declared.tokens()?;
        let size = tokens.len() as u32; // a file within its limit has fewer than 2³²
        let special = |token: &str| {
            declared
                .vocabulary
                .get(token)
                .ok_or_else(|| err!(Tokenizer, "unknown token {} is not in the vocabulary", excerpt(token)))
        };
        let bytes = |has_bytes: bool| match has_bytes {
            true => ByteTokens::new(|token| declared.vocabulary.get(token)).map(Some),
            false => Ok(None),
        };
        let all = || declared.vocabulary.iter();
        let model = match model {
            Kind::Bpe { unknown, fuses_unknown, has_bytes, ignores_merges } => {
                let single = |(token, id): (&str, u32)| {
                    let mut characters = token.chars();
                    characters.next().filter(|_| characters.as_str().is_empty()).map(|c| (c, id))
                };
                let mut characters = all().filter_map(single).try_to_vec()?;
                characters.sort_unstable();
                Model::Bpe(CharBpe {
                    characters,
                    bytes: bytes(has_bytes)?,
                    unknown: unknown.map(special).transpose()?,
                    fuses_unknown,
                    whole: if ignores_merges { Some(Trie::new(&mut all())?) } else { None },
                    merges: Merges::new(&declared.merge_ids(&tokens)?, size)?,
                })
            }
            Kind::Unigram { scores, unknown, has_bytes } => {
                Model::Unigram(Unigram::new(Trie::new(&mut all())?, scores, unknown, bytes(has_bytes)?)?)
            }
            Kind::WordPiece { unknown, prefix, longest } => {
                let later = all().filter_map(|(token, id)| Some((token.strip_prefix(prefix)?, id)));
                Model::WordPiece(WordPiece {
                    first: Trie::new(&mut all())?,
                    later: Trie::new(&mut later.filter(|(token, _)| !token.is_empty()))?,
                    unknown: special(unknown)?,
                    longest,
                })
            }
        };
        let padding = declared.padding.or_else(|| {
            PADDING.into_iter().find_map(|token| find(token, &declared.vocabulary, &declared.added))
        });
        let end = frame.suffix.last().copied().or(padding).unwrap_or_default();
        let padding = padding.unwrap_or(end);
        if let Some(id) = [padding, end].into_iter().find(|id| *id >= size) {
            return Err(err!(Tokenizer, "id {id} in a vocabulary of {size}"));
        }
        let framed = frame.prefix.len() + frame.suffix.len();
        let context_length = length.unwrap_or(CONTEXT_LENGTH).min(declared.longest);
        if context_length <= framed {
            return Err(err!(Tokenizer, "{context_length} ids per text, of which {framed} are no text's"));
        }
        let added = AddedTokens::new(&declared.added, declared.split_specials, |text| {
            normalizer::run(&normalizers, text).map(|normalized| normalized.text.into_owned())
        })?;
        let longest = declared.longest;
        Ok(Tokenizer {
            rules: Rules::Parts(Pipeline { cleaning, added, normalizers, pre_tokenizers, model }),
            vocabulary: size,
            start: frame.prefix.first().copied().unwrap_or(end),
            prefix: frame.prefix,
            suffix: frame.suffix,
            end,
            padding,
            context_length,
            longest,
            overlong: Overlong::default(),
        })
    }
}
