//! `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json`: what they change in the ids.
//!
//! As transformers 5 reads them for a `CLIPTokenizer`. `added_tokens_decoder` of the configuration stands for the
//! added tokens of all other files; without it, those of `tokenizer.json` and `added_tokens.json` count, and the
//! special tokens of `special_tokens_map.json` take the place of the configuration's. Special tokens that no list
//! of added tokens has become added tokens too, so that `"pad_token": "!"` gives an exclamation mark in a text the
//! id of padding. `do_lower_case`, `add_prefix_space`, `add_bos_token`, `add_eos_token`, `strip_accents` and
//! `errors` change nothing there, and nothing here.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use crate::error::{Error, Result, err};
use crate::exec::{TryCollect, TryGrow, check_memory, out_of_memory, try_string};

use super::added::AddedToken;
use super::json::{added_token, beginning, check_flags, id, shown, unsupported};
use super::pipeline::Described;
use super::vocabulary::{Declared, excerpt, find};

const CONFIG: &str = "tokenizer_config.json";
const ADDED: &str = "added_tokens.json";

/// Classes of transformers that apply CLIP's rules to the files.
const CLIP_CLASSES: [&str; 2] = ["CLIPTokenizer", "CLIPTokenizerFast"];

/// Classes that take `tokenizer.json` as it is.
const FILE_CLASSES: [&str; 3] = ["PreTrainedTokenizerFast", "PreTrainedTokenizer", "TokenizersBackend"];

/// Classes whose `tokenizer.json` says what they do.
const PART_CLASSES: [&str; 9] = [
    "GemmaTokenizer",
    "GemmaTokenizerFast",
    "T5Tokenizer",
    "T5TokenizerFast",
    "XLMRobertaTokenizer",
    "XLMRobertaTokenizerFast",
    SIGLIP_CLASS,
    SIGLIP_2_CLASS,
    "SiglipTokenizerFast",
];

/// Classes that normalise as their configuration says.
const BERT_CLASSES: [&str; 2] = ["BertTokenizer", "BertTokenizerFast"];

/// Classes that put spaces before texts as their configuration says.
const ROBERTA_CLASSES: [&str; 2] = ["RobertaTokenizer", "RobertaTokenizerFast"];

pub(super) const SIGLIP_CLASS: &str = "SiglipTokenizer";

/// Gemma's, and lower case before all else.
const SIGLIP_2_CLASS: &str = "Siglip2Tokenizer";

/// Ids per text of SigLIP's, unless a file says otherwise.
pub(super) const SIGLIP_LENGTH: usize = 64;

/// How transformers goes about the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// No file says.
    Unknown,
    Clip,
    FileAsIs,
    Parts,
    Bert,
    Roberta,
    Siglip,
    Siglip2,
}

/// Names of special tokens in transformers' order, in which new ones get their ids.
const SPECIALS: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// What the side files say.
#[derive(Debug)]
pub(super) struct Settings {
    class: Class,
    /// Its name, null if no file says.
    class_name: Value,
    /// `do_lower_case` and other flags of the configuration that BERT, RoBERTa and SigLIP go by.
    config: Value,
    /// Added tokens by id that replace those of other files.
    decoder: Option<BTreeMap<u32, AddedToken>>,
    /// More added tokens.
    added: BTreeMap<u32, AddedToken>,
    /// Special tokens by their name, in the order in which they get ids.
    specials: Vec<(String, Special)>,
    split_specials: bool,
    longest: usize,
}

/// A special token: its text, and what its flags say where a file has them.
#[derive(Debug)]
struct Special {
    content: String,
    normalized: bool,
    strips: [bool; 2],
    /// Why it cannot be an added token, if it cannot.
    fault: Option<Error>,
}

impl Settings {
    /// From the parsed files, null for those that are missing.
    pub(super) fn new(config: &Value, special_tokens: &Value, added: &Value) -> Result<Self> {
        let class = class(config).map_err(|e| e.within(CONFIG))?;
        let decoder = decoder(&config["added_tokens_decoder"]).map_err(|e| e.within(CONFIG))?;
        let sources: &[&Value] = if decoder.is_some() { &[config] } else { &[config, special_tokens] };
        let entries = || sources.iter().rev().filter_map(|source| source.as_object()).flatten();
        let mut values: BTreeMap<&str, &Value> = BTreeMap::new();
        for (key, value) in entries() {
            check_memory()?;
            values.entry(key).or_insert(value);
        }
        let value = |name: &str| values.get(name).copied().unwrap_or(&Value::Null);
        let mut specials = Vec::new();
        let others = entries().map(|(key, _)| key.as_str()).filter(|key| key.ends_with("_token"));
        for name in SPECIALS.into_iter().chain(others.filter(|key| !SPECIALS.contains(key))) {
            if let Some(special) = Special::new(value(name))? {
                specials.try_push((try_string(name)?, special))?;
            }
        }
        for name in ["additional_special_tokens", "extra_special_tokens"] {
            let values: Vec<&Value> = match value(name) {
                Value::Array(values) => values.iter().try_to_vec()?,
                Value::Object(values) => values.values().try_to_vec()?,
                _ => Vec::new(),
            };
            for value in values {
                if let Some(special) = Special::new(value)? {
                    specials.try_push((try_string(name)?, special))?;
                }
            }
        }
        let mut special_texts = BTreeSet::new();
        for (_, special) in &specials {
            check_memory()?;
            special_texts.insert(special.content.as_str());
        }
        let mut by_id = BTreeMap::new();
        if let (None, Value::Object(tokens)) = (&decoder, added) {
            for (content, value) in tokens {
                check_memory()?;
                let id = id(value).ok_or_else(|| {
                    err!(Tokenizer, "{ADDED}: {} is the id of {}", shown(value), excerpt(content))
                })?;
                let special = special_texts.contains(content.as_str());
                let content = try_string(content)?;
                let strips = [false; 2];
                by_id.insert(id, AddedToken { content, id, normalized: !special, special, strips });
            }
        }
        let split_specials = config["split_special_tokens"] == true;
        let longest = longest(&config["model_max_length"]).map_err(|e| e.within(CONFIG))?;
        let config_class = &config["tokenizer_class"];
        let mut flags = serde_json::Map::new();
        let of_roberta = (class == Class::Roberta).then_some("add_prefix_space");
        let keys = ["do_lower_case", "strip_accents", "tokenize_chinese_chars", "legacy"];
        for key in keys.into_iter().chain(of_roberta) {
            check_memory()?;
            if let Value::Bool(flag) = config[key] {
                flags.insert(try_string(key)?, Value::Bool(flag));
            } else if !config[key].is_null() {
                return Err(err!(Tokenizer, "{CONFIG}: {key} is {}", shown(&config[key])));
            }
        }
        let config = Value::Object(flags);
        let class_name = match config_class.as_str() {
            Some(name) => Value::String(try_string(name)?),
            None => Value::Null,
        };
        Ok(Self { class, class_name, config, decoder, added: by_id, specials, split_specials, longest })
    }

    /// Change what the vocabulary's file declares, CLIP's. `frames` says whether it has start and end tokens itself.
    pub(super) fn apply<'a>(&'a self, declared: &mut Declared<'a>, frames: bool) -> Result<()> {
        self.require_clip()?;
        let file_as_is = self.class == Class::FileAsIs;
        if file_as_is && !frames {
            let class = FILE_CLASSES[0];
            return Err(err!(
                Unsupported,
                "tokenizer_class is {class} or the like, and nothing adds start and end"
            ));
        }
        self.apply_to(declared, file_as_is)
    }

    /// `Unsupported` if the class is not CLIP's.
    pub(super) fn require_clip(&self) -> Result<()> {
        match self.class {
            Class::Unknown | Class::Clip | Class::FileAsIs => Ok(()),
            _ => Err(self.is_other("CLIP's")),
        }
    }

    /// The error for a vocabulary that is `whose`, and another class.
    fn is_other(&self, whose: &str) -> Error {
        err!(
            Unsupported,
            "{CONFIG}: tokenizer_class is {}, the vocabulary is {whose}",
            shown(&self.class_name)
        )
    }

    /// Change what a `tokenizer.json` in parts declares.
    pub(super) fn apply_to_parts<'a>(&'a self, described: &mut Described<'a>) -> Result<()> {
        match self.class {
            Class::Clip => return Err(self.is_other("not CLIP's")),
            Class::Bert => described.normalize_as_bert(&self.config)?,
            Class::Roberta => described.prepend_spaces(self.config["add_prefix_space"] == true),
            Class::Siglip2 => {
                described.lower()?;
                described.length_or(SIGLIP_LENGTH);
            }
            Class::Siglip => described.length_or(SIGLIP_LENGTH),
            Class::Unknown | Class::FileAsIs | Class::Parts => {}
        }
        self.apply_to(&mut described.declared, true)
    }

    /// Change what BERT's `vocab.txt` declares.
    pub(super) fn apply_to_bert<'a>(&'a self, described: &mut Described<'a>) -> Result<()> {
        if !matches!(self.class, Class::Unknown | Class::Bert) {
            return Err(self.is_other("BERT's"));
        }
        described.normalize_as_bert(&self.config)?;
        self.apply_to(&mut described.declared, true)
    }

    /// Change what SigLIP's `spiece.model` declares.
    pub(super) fn apply_to_siglip<'a>(&'a self, declared: &mut Declared<'a>) -> Result<()> {
        if !matches!(self.class, Class::Unknown | Class::Siglip) {
            return Err(self.is_other("SigLIP's"));
        }
        self.apply_to(declared, false)
    }

    /// Whether the class is SigLIP's, which reads SentencePiece's file.
    pub(super) fn is_siglip(&self) -> bool {
        self.class == Class::Siglip
    }

    /// Whether SigLIP's texts become lower case.
    pub(super) fn lowercases(&self) -> bool {
        self.config["do_lower_case"] != false
    }

    /// Whether SentencePiece is told to put no space before texts.
    pub(super) fn is_without_prefix(&self) -> bool {
        self.config["legacy"] == false
    }

    fn apply_to<'a>(&'a self, declared: &mut Declared<'a>, file_as_is: bool) -> Result<()> {
        match &self.decoder {
            Some(tokens) if !file_as_is => {
                declared.added = tokens.values().map(AddedToken::try_clone).try_values()?;
                for content in [declared.start, declared.end] {
                    if !declared.added.iter().any(|token| token.content == content)
                        && let Some(id) = declared.vocabulary.get(content)
                    {
                        let content = try_string(content)?;
                        declared.added.try_push(AddedToken {
                            content,
                            id,
                            normalized: false,
                            special: true,
                            strips: [false; 2],
                        })?;
                    }
                }
            }
            Some(tokens) => {
                let replaced =
                    |token: &AddedToken| tokens.get(&token.id).is_some_and(|t| t.content == token.content);
                declared.added.retain(|token| !replaced(token));
                append(&mut declared.added, tokens.values())?;
            }
            None => {
                let mut known = BTreeSet::new();
                for token in &declared.added {
                    check_memory()?;
                    known.insert((token.content.as_str(), token.id));
                }
                let is_new = |token: &&AddedToken| !known.contains(&(token.content.as_str(), token.id));
                let new = self.added.values().filter(is_new).try_to_vec()?;
                append(&mut declared.added, new.into_iter())?;
            }
        }
        // The padding token is the usual end token, also where another token ends texts.
        declared.padding =
            declared.padding.or_else(|| find(declared.end, &declared.vocabulary, &declared.added));
        // Of several with the same text, the first.
        let mut ids = BTreeMap::new();
        for token in &declared.added {
            check_memory()?;
            ids.entry(token.content.as_str()).or_insert(token.id);
        }
        let (mut next, mut new) = (next_id(declared), Vec::new());
        for (name, special) in &self.specials {
            let id = match ids.get(special.content.as_str()) {
                Some(&id) => id,
                None => {
                    let known = find(&special.content, &declared.vocabulary, &[]);
                    let token = special.token(known.unwrap_or(next))?;
                    let id = token.id;
                    next = next.max(id.saturating_add(1));
                    ids.insert(&special.content, id);
                    new.try_push(token)?;
                    id
                }
            };
            match name.as_str() {
                "bos_token" if !file_as_is => declared.start = &special.content,
                "eos_token" if !file_as_is => declared.end = &special.content,
                "unk_token" if !file_as_is && declared.vocabulary.get(&special.content).is_some() => {
                    declared.unknown = Some(&special.content);
                }
                "pad_token" => declared.padding = Some(id),
                _ => {}
            }
        }
        declared.added.try_reserve(new.len()).map_err(|_| out_of_memory())?;
        declared.added.append(&mut new);
        declared.split_specials = self.split_specials;
        declared.longest = self.longest;
        Ok(())
    }
}

impl Special {
    /// A text, or an object with a text and flags; `None` for null and what else may be there.
    fn new(value: &Value) -> Result<Option<Self>> {
        let Some(content) = value.as_str().or_else(|| value["content"].as_str()) else { return Ok(None) };
        check_memory()?;
        let (content, normalized) = (try_string(content)?, value["normalized"] == true);
        let strips = ["lstrip", "rstrip"].map(|key| value[key] == true);
        Ok(Some(Self { content, normalized, strips, fault: check_flags(value).err() }))
    }

    fn token(&self, id: u32) -> Result<AddedToken> {
        check_memory()?;
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let (content, normalized, strips) = (try_string(&self.content)?, self.normalized, self.strips);
        Ok(AddedToken { content, id, normalized, special: true, strips })
    }
}

/// Adds copies of `more` to `tokens`.
fn append<'t>(tokens: &mut Vec<AddedToken>, mut more: impl Iterator<Item = &'t AddedToken>) -> Result<()> {
    more.try_for_each(|token| tokens.try_push(token.try_clone()?))
}

/// The first id after all others.
fn next_id(declared: &Declared<'_>) -> u32 {
    let ids = declared.vocabulary.iter().map(|(_, id)| id).chain(declared.added.iter().map(|token| token.id));
    ids.max().map_or(0, |id| id.saturating_add(1))
}

/// The class of the configuration; `Unsupported` if it is another one, or something of it changes ids in a way that is not
/// known.
fn class(config: &Value) -> Result<Class> {
    for side in ["truncation_side", "padding_side"] {
        if !matches!(config[side].as_str(), None | Some("right")) {
            return Err(unsupported(side, &config[side]));
        }
    }
    let code = &config["auto_map"]["AutoTokenizer"];
    if !code.is_null() {
        return Err(unsupported("auto_map.AutoTokenizer", code));
    }
    match &config["tokenizer_class"] {
        Value::Null => Ok(Class::Unknown),
        Value::String(class) if CLIP_CLASSES.contains(&class.as_str()) => Ok(Class::Clip),
        Value::String(class) if FILE_CLASSES.contains(&class.as_str()) => Ok(Class::FileAsIs),
        Value::String(class) if class == SIGLIP_CLASS => Ok(Class::Siglip),
        Value::String(class) if class == SIGLIP_2_CLASS => Ok(Class::Siglip2),
        Value::String(class) if BERT_CLASSES.contains(&class.as_str()) => Ok(Class::Bert),
        Value::String(class) if ROBERTA_CLASSES.contains(&class.as_str()) => Ok(Class::Roberta),
        Value::String(class) if PART_CLASSES.contains(&class.as_str()) => Ok(Class::Parts),
        class => Err(unsupported("tokenizer_class", class)),
    }
}

/// Added tokens by id.
fn decoder(value: &Value) -> Result<Option<BTreeMap<u32, AddedToken>>> {
    let tokens = match value {
        Value::Null => return Ok(None),
        Value::Object(tokens) => tokens,
        _ => return Err(err!(Tokenizer, "added_tokens_decoder is not an object")),
    };
    // One after the other: what makes a map of all at once sorts them in memory of its own.
    let mut by_id = BTreeMap::new();
    for (key, value) in tokens {
        let (Ok(id), Some(content)) = (key.parse(), value["content"].as_str()) else {
            let entry = beginning(format_args!("{key}: {value}"), 41);
            return Err(err!(
                Tokenizer,
                "added_tokens_decoder: {} is not an id and its token",
                excerpt(&entry)
            ));
        };
        by_id.insert(id, added_token(value, content, id)?);
    }
    Ok(Some(by_id))
}

/// Tokens of a text at most. "No limit" is written as 10³⁰.
fn longest(value: &Value) -> Result<usize> {
    match value.as_f64() {
        None if value.is_null() => Ok(usize::MAX),
        Some(length) if length >= 2.0 => Ok(length as usize), // saturates
        _ => Err(err!(Tokenizer, "model_max_length is {}", shown(value))),
    }
}
