//! `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json`: what they change in the ids.
//!
//! As transformers 5 reads them for a `CLIPTokenizer`. `added_tokens_decoder` of the configuration stands for the
//! added tokens of all other files; without it, those of `tokenizer.json` and `added_tokens.json` count, and the
//! special tokens of `special_tokens_map.json` take the place of the configuration's. Special tokens that no list
//! of added tokens has become added tokens too, so that `"pad_token": "!"` gives an exclamation mark in a text the
//! id of padding. `do_lower_case`, `add_prefix_space`, `add_bos_token`, `add_eos_token`, `strip_accents` and
//! `errors` change nothing there, and nothing here.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use crate::error::{Result, err};

use super::added::AddedToken;
use super::json::{added_token, id, shown, unsupported};
use super::vocabulary::{Declared, excerpt, find};

const CONFIG: &str = "tokenizer_config.json";
const ADDED: &str = "added_tokens.json";

/// Classes of transformers that apply CLIP's rules to the files.
const CLIP_CLASSES: [&str; 2] = ["CLIPTokenizer", "CLIPTokenizerFast"];

/// Classes that take `tokenizer.json` as it is.
const FILE_CLASSES: [&str; 3] = ["PreTrainedTokenizerFast", "PreTrainedTokenizer", "TokenizersBackend"];

/// Names of special tokens in transformers' order, in which new ones get their ids.
const SPECIALS: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// What the side files say.
#[derive(Debug)]
pub(super) struct Settings {
    /// `tokenizer.json` counts as it is, not CLIP's rules with its vocabulary.
    file_as_is: bool,
    /// Added tokens by id that replace those of other files.
    decoder: Option<BTreeMap<u32, AddedToken>>,
    /// More added tokens.
    added: BTreeMap<u32, AddedToken>,
    /// Special tokens by their name, in the order in which they get ids.
    specials: Vec<(String, Special)>,
    split_specials: bool,
    longest: usize,
}

/// A special token: its text, and its flags where a file has them.
#[derive(Clone, Debug)]
struct Special {
    content: String,
    flags: Value,
}

impl Settings {
    /// From the parsed files, null for those that are missing.
    pub(super) fn new(config: &Value, special_tokens: &Value, added: &Value) -> Result<Self> {
        let file_as_is = is_file_as_is(config).map_err(|e| e.within(CONFIG))?;
        let decoder = decoder(&config["added_tokens_decoder"]).map_err(|e| e.within(CONFIG))?;
        let sources: &[&Value] = if decoder.is_some() { &[config] } else { &[config, special_tokens] };
        let entries = || sources.iter().rev().filter_map(|source| source.as_object()).flatten();
        let mut values: BTreeMap<&str, &Value> = BTreeMap::new();
        for (key, value) in entries() {
            values.entry(key).or_insert(value);
        }
        let value = |name: &str| values.get(name).copied().unwrap_or(&Value::Null);
        let mut specials = Vec::new();
        let others = entries().map(|(key, _)| key.as_str()).filter(|key| key.ends_with("_token"));
        for name in SPECIALS.into_iter().chain(others.filter(|key| !SPECIALS.contains(key))) {
            specials.extend(Special::new(value(name)).map(|special| (name.into(), special)));
        }
        for name in ["additional_special_tokens", "extra_special_tokens"] {
            let values: Vec<&Value> = match value(name) {
                Value::Array(values) => values.iter().collect(),
                Value::Object(values) => values.values().collect(),
                _ => Vec::new(),
            };
            specials
                .extend(values.into_iter().filter_map(Special::new).map(|special| (name.into(), special)));
        }
        let special_texts: BTreeSet<&str> =
            specials.iter().map(|(_, special): &(_, Special)| &special.content[..]).collect();
        let is_special = |content: &str| special_texts.contains(content);
        let added = match (&decoder, added) {
            (None, Value::Object(tokens)) => {
                let token = |(content, value): (&String, &Value)| match id(value) {
                    None => {
                        Err(err!(Tokenizer, "{ADDED}: {} is the id of {}", shown(value), excerpt(content)))
                    }
                    Some(id) => {
                        let (content, special) = (content.clone(), is_special(content));
                        Ok((id, AddedToken { content, id, normalized: !special, special }))
                    }
                };
                tokens.iter().map(token).collect::<Result<_>>()?
            }
            _ => BTreeMap::new(),
        };
        let split_specials = config["split_special_tokens"] == true;
        let longest = longest(&config["model_max_length"]).map_err(|e| e.within(CONFIG))?;
        Ok(Self { file_as_is, decoder, added, specials, split_specials, longest })
    }

    /// Change what the vocabulary's file declares. `frames` says whether it has start and end tokens itself.
    pub(super) fn apply<'a>(&'a self, declared: &mut Declared<'a>, frames: bool) -> Result<()> {
        if self.file_as_is && !frames {
            let class = FILE_CLASSES[0];
            return Err(err!(
                Unsupported,
                "tokenizer_class is {class} or the like, and nothing adds start and end"
            ));
        }
        match &self.decoder {
            Some(tokens) if !self.file_as_is => {
                declared.added = tokens.values().cloned().collect();
                for content in [declared.start, declared.end] {
                    if !declared.added.iter().any(|token| token.content == content)
                        && let Some(id) = declared.vocabulary.get(content)
                    {
                        declared.added.push(AddedToken {
                            content: content.into(),
                            id,
                            normalized: false,
                            special: true,
                        });
                    }
                }
            }
            Some(tokens) => {
                let replaced =
                    |token: &AddedToken| tokens.get(&token.id).is_some_and(|t| t.content == token.content);
                declared.added.retain(|token| !replaced(token));
                declared.added.extend(tokens.values().cloned());
            }
            None => {
                let known: BTreeSet<(&str, u32)> =
                    declared.added.iter().map(|token| (&token.content[..], token.id)).collect();
                let is_new = |token: &&AddedToken| !known.contains(&(&token.content[..], token.id));
                let new: Vec<AddedToken> = self.added.values().filter(is_new).cloned().collect();
                declared.added.extend(new);
            }
        }
        // The padding token is the usual end token, also where another token ends texts.
        declared.padding =
            declared.padding.or_else(|| find(declared.end, &declared.vocabulary, &declared.added));
        // Of several with the same text, the first.
        let mut ids: BTreeMap<String, u32> = BTreeMap::new();
        for token in &declared.added {
            ids.entry(token.content.clone()).or_insert(token.id);
        }
        let mut next = next_id(declared);
        for (name, special) in &self.specials {
            let id = match ids.get(&special.content) {
                Some(&id) => id,
                None => {
                    let known = find(&special.content, &declared.vocabulary, &[]);
                    let token = special.token(known.unwrap_or(next))?;
                    let id = token.id;
                    next = next.max(id.saturating_add(1));
                    declared.added.push(token);
                    ids.insert(special.content.clone(), id);
                    id
                }
            };
            match name.as_str() {
                "bos_token" if !self.file_as_is => declared.start = &special.content,
                "eos_token" if !self.file_as_is => declared.end = &special.content,
                "unk_token" if !self.file_as_is && declared.vocabulary.get(&special.content).is_some() => {
                    declared.unknown = Some(&special.content);
                }
                "pad_token" => declared.padding = Some(id),
                _ => {}
            }
        }
        declared.split_specials = self.split_specials;
        declared.longest = self.longest;
        Ok(())
    }
}

impl Special {
    /// A text, or an object with a text and flags; `None` for null and what else may be there.
    fn new(value: &Value) -> Option<Self> {
        let content = value.as_str().or_else(|| value["content"].as_str())?;
        Some(Self { content: content.into(), flags: value.clone() })
    }

    fn token(&self, id: u32) -> Result<AddedToken> {
        let token = added_token(&self.flags, &self.content, id)?;
        Ok(AddedToken { normalized: self.flags["normalized"] == true, special: true, ..token })
    }
}

/// The first id after all others.
fn next_id(declared: &Declared<'_>) -> u32 {
    let ids = declared.vocabulary.iter().map(|(_, id)| id).chain(declared.added.iter().map(|token| token.id));
    ids.max().map_or(0, |id| id.saturating_add(1))
}

/// Whether the class of the configuration takes `tokenizer.json` as it is; `Unsupported` if it is another
/// tokenizer's, or something of it changes ids in a way that is not CLIP's.
fn is_file_as_is(config: &Value) -> Result<bool> {
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
        Value::Null => Ok(false),
        Value::String(class) if CLIP_CLASSES.contains(&class.as_str()) => Ok(false),
        Value::String(class) if FILE_CLASSES.contains(&class.as_str()) => Ok(true),
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
    let token = |(key, value): (&String, &Value)| match (key.parse(), value["content"].as_str()) {
        (Ok(id), Some(content)) => Ok((id, added_token(value, content, id)?)),
        _ => {
            let entry = format!("{key}: {value}");
            Err(err!(Tokenizer, "added_tokens_decoder: {} is not an id and its token", excerpt(&entry)))
        }
    };
    tokens.iter().map(token).collect::<Result<_>>().map(Some)
}

/// Tokens of a text at most. "No limit" is written as 10³⁰.
fn longest(value: &Value) -> Result<usize> {
    match value.as_f64() {
        None if value.is_null() => Ok(usize::MAX),
        Some(length) if length >= 2.0 => Ok(length as usize), // saturates
        _ => Err(err!(Tokenizer, "model_max_length is {}", shown(value))),
    }
}
