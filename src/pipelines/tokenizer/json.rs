//! `tokenizer.json` of Hugging Face's `tokenizers`, where it describes a CLIP tokenizer; the others: [`super::pipeline`].

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Value, json};

use crate::error::{Error, Result, err};
use crate::exec::{TryCollect, TryGrow, check_memory, try_string};
use crate::weights::json::{self, Bounds};

use super::added::AddedToken;
use super::document::{self, Document, Vocab, is_clip};
use super::lookup::{Entry, Vocabulary};
use super::vocabulary::{Declared, END, START, WORD_END, excerpt, find, merge_fields, not_two_fields, utf8};
use super::{MAX_FILE_BYTES, Tokenizer, pipeline};

pub(super) const FILE: &str = "tokenizer.json";

/// CLIP's pattern, and what `CLIPTokenizerFast` puts before it; see [`super::split`].
const PATTERN: &str = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";
const SPECIAL_PATTERNS: &str = r"<\|startoftext\|>|<\|endoftext\|>|";

/// A tokenizer from the contents of `tokenizer.json`.
pub(super) fn tokenizer(bytes: &[u8]) -> Result<Tokenizer> {
    let document = match document::read(bytes)? {
        Ok(document) => document,
        Err(value) => return declared(&value)?.build().map_err(|e| e.within(FILE)),
    };
    if is_clip(&document.file) {
        return declared_of(&document)?.build().map_err(|e| e.within(FILE));
    }
    let described = pipeline::described(&document).map_err(|e| e.within(FILE))?;
    described.build().map_err(|e| e.within(FILE))
}

/// `bytes` as JSON, no key repeated.
pub(super) fn parse(bytes: &[u8], file: &str) -> Result<Value> {
    const LIMITS: Bounds = Bounds { bytes: MAX_FILE_BYTES, depth: 16, nodes: 1 << 20 };
    let text = utf8(bytes, file)?.as_bytes();
    json::check_escapes(text).and_then(|()| json::parse(text, LIMITS)).map_err(|e| e.within(file))
}

/// An object of tokens and ids.
pub(super) fn vocabulary(value: &Value) -> Result<Vocabulary<'_>> {
    let Some(object) = value.as_object() else {
        return Err(err!(Tokenizer, "the vocabulary is not an object"));
    };
    let entry = |(token, value): (&'_ String, &Value)| match id(value) {
        Some(_) if token.is_empty() => Err(err!(Tokenizer, "the vocabulary has an empty token")),
        Some(id) => Ok(id),
        None => Err(err!(Tokenizer, "{} is the id of {}", excerpt_of(value), excerpt(token))),
    };
    let entries = object.iter().map(|e| Ok((Cow::Borrowed(e.0.as_str()), entry(e)?)));
    Vocabulary::new(entries.try_values()?, repeated)
}

/// The object of tokens and ids that `text` is, without the values of any JSON in between: most of the time that a model
/// takes to load may go into its vocabulary.
pub(super) fn vocabulary_of<'t>(text: &'t str, file: &str) -> Result<Vocabulary<'t>> {
    json::check_escapes(text.as_bytes()).map_err(|e| e.within(file))?;
    let mut json = serde_json::Deserializer::from_str(text);
    let entries = json.deserialize_any(Ids).and_then(|entries| json.end().map(|()| entries));
    if let Some(vocabulary) = entries.ok().and_then(|entries| Vocabulary::new(entries, repeated).ok()) {
        return Ok(vocabulary);
    }
    // Something is wrong: the reader that says what and where takes over.
    let value = parse(text.as_bytes(), file)?;
    let entries = vocabulary(&value).map_err(|e| e.within(file))?;
    let owned = |(token, id)| {
        check_memory()?;
        Ok((Cow::Owned(try_string(token)?), id))
    };
    Vocabulary::new(entries.iter().map(owned).try_values()?, repeated).map_err(|e| e.within(file))
}

pub(super) fn repeated(token: &str) -> Error {
    err!(Format, "token {} appears twice", excerpt(token))
}

/// Reads an object of tokens, none of them empty, and ids; keys without escapes stay where they are.
///
/// It and its parts accept any value and refuse strings themselves: serde's messages would hold them, however long.
struct Ids;

impl<'de> Visitor<'de> for Ids {
    type Value = Vec<Entry<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tokens and ids")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut json: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(token) = json.next_key_seed(Token)? {
            if token.is_empty() {
                return Err(A::Error::custom("an empty token"));
            }
            check_memory().map_err(A::Error::custom)?;
            entries.try_push((token, json.next_value_seed(Id)?)).map_err(A::Error::custom)?;
        }
        Ok(entries)
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Self::Value, E> {
        Err(E::custom("a string"))
    }
}

/// Reads an id.
pub(super) struct Id;

impl<'de> DeserializeSeed<'de> for Id {
    type Value = u32;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<u32, D::Error> {
        json.deserialize_any(self)
    }
}

impl Visitor<'_> for Id {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id")
    }

    fn visit_u64<E: serde::de::Error>(self, id: u64) -> Result<u32, E> {
        u32::try_from(id).map_err(E::custom)
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<u32, E> {
        Err(E::custom("a string"))
    }
}

/// Reads a string in place where it is possible.
pub(super) struct Token;

impl<'de> DeserializeSeed<'de> for Token {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Token {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token")
    }

    fn visit_borrowed_str<E>(self, token: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(token))
    }

    fn visit_str<E: serde::de::Error>(self, token: &str) -> Result<Self::Value, E> {
        try_string(token).map(Cow::Owned).map_err(E::custom)
    }
}

pub(super) fn id(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|id| u32::try_from(id).ok())
}

/// What a parsed `tokenizer.json` declares.
pub(super) fn declared(file: &Value) -> Result<Declared<'_>> {
    let model = &file["model"];
    let declared = declared_with(file, || vocabulary(&model["vocab"]), || merges(&model["merges"]));
    declared.map_err(|e| e.within(FILE))
}

/// What a `tokenizer.json` declares.
pub(super) fn declared_of<'d>(document: &'d Document<'_>) -> Result<Declared<'d>> {
    let merges = || match &document.merges {
        Some(merges) => merges.iter().map(|(left, right)| (left.as_ref(), right.as_ref())).try_to_vec(),
        None => merges(&Value::Null),
    };
    let vocabulary = || match &document.vocabulary {
        Vocab::Ids(entries) => {
            let borrowed = entries.iter().map(|(token, id)| (Cow::Borrowed(token.as_ref()), *id));
            Vocabulary::new(borrowed.try_to_vec()?, repeated)
        }
        Vocab::None | Vocab::Scores(_) => vocabulary(&Value::Null),
    };
    declared_with(&document.file, vocabulary, merges).map_err(|e| e.within(FILE))
}

fn declared_with<'a>(
    file: &'a Value,
    vocabulary: impl FnOnce() -> Result<Vocabulary<'a>>,
    merges: impl FnOnce() -> Result<Vec<(&'a str, &'a str)>>,
) -> Result<Declared<'a>> {
    check_normalizer(&file["normalizer"])?;
    let specials_in_pattern = specials_in_pattern(&file["pre_tokenizer"])?;
    let model = &file["model"];
    check_model(model)?;
    let vocabulary = vocabulary()?;
    let added = added_tokens(&file["added_tokens"])?;
    let (start, end) = match &file["post_processor"] {
        Value::Null => (START, END),
        processor if processor["type"] == "RobertaProcessing" => {
            let special = |key: &str| {
                let token = special_token(&processor[key], &vocabulary, &added);
                token.map_err(|e| e.within(format_args!("post_processor.{key}")))
            };
            (special("cls")?, special("sep")?)
        }
        processor => return Err(unsupported("post_processor", processor)),
    };
    Ok(Declared {
        merges: merges()?,
        unknown: match &model["unk_token"] {
            Value::Null => None,
            Value::String(token) => Some(token),
            _ => return Err(err!(Tokenizer, "model.unk_token is no string")),
        },
        padding: match &file["padding"] {
            Value::Null => None,
            padding => match id(&padding["pad_id"]) {
                None => return Err(err!(Tokenizer, "padding.pad_id is no token id")),
                some => some,
            },
        },
        vocabulary,
        added,
        split_specials: false,
        specials_in_pattern,
        cleaning: None,
        start,
        end,
        longest: usize::MAX,
    })
}

/// `[token, id]` of the post-processor, agreeing with the vocabulary.
fn special_token<'a>(value: &'a Value, vocabulary: &Vocabulary<'_>, added: &[AddedToken]) -> Result<&'a str> {
    let (Some(token), Some(id)) = (value[0].as_str(), id(&value[1])) else {
        return Err(err!(Tokenizer, "{} is not [token, id]", excerpt_of(value)));
    };
    if find(token, vocabulary, added) != Some(id) {
        return Err(err!(Tokenizer, "token {} does not have id {id}", excerpt(token)));
    }
    Ok(token)
}

/// Merges as `"a b"` or `["a", "b"]`.
fn merges(value: &Value) -> Result<Vec<(&str, &str)>> {
    let Some(merges) = value.as_array() else {
        return Err(err!(Tokenizer, "model.merges is not a list"));
    };
    merges.iter().enumerate().map(|(rank, value)| merge(rank, value)).try_values()
}

fn merge(rank: usize, value: &Value) -> Result<(&str, &str)> {
    match value {
        Value::String(line) => merge_fields(rank, line),
        Value::Array(pair) => match pair.as_slice() {
            [Value::String(left), Value::String(right)] if !left.is_empty() && !right.is_empty() => {
                Ok((left, right))
            }
            _ => Err(not_two_fields(rank, &beginning(value, 41))),
        },
        _ => Err(not_two_fields(rank, &beginning(value, 41))),
    }
}

pub(super) fn added_tokens(value: &Value) -> Result<Vec<AddedToken>> {
    let tokens = match value {
        Value::Null => &[][..],
        Value::Array(tokens) => tokens,
        _ => return Err(err!(Tokenizer, "added_tokens is not a list")),
    };
    let token = |token: &Value| {
        let (Some(content), Some(id)) = (token["content"].as_str(), id(&token["id"])) else {
            return Err(err!(Tokenizer, "added token without content or id: {}", excerpt_of(token)));
        };
        added_token(token, content, id)
    };
    tokens.iter().map(token).try_values()
}

/// An added token with the flags that `value` has.
pub(super) fn added_token(value: &Value, content: &str, id: u32) -> Result<AddedToken> {
    check_flags(value)?;
    check_memory()?;
    let special = value["special"] == true;
    // Where nothing is said, special tokens are looked for as they are.
    let normalized = value["normalized"].as_bool().unwrap_or(!special);
    let strips = ["lstrip", "rstrip"].map(|key| value[key] == true);
    Ok(AddedToken { content: try_string(content)?, id, normalized, special, strips })
}

/// `Unsupported` if an added token is looked for in another way than here.
pub(super) fn check_flags(value: &Value) -> Result<()> {
    match value["single_word"] == true {
        true => {
            Err(err!(Unsupported, "an added token is a single_word, which is not known: {}", shown(value)))
        }
        false => Ok(()),
    }
}

/// `Unsupported` unless the normaliser is what [`super::normalize`] does.
fn check_normalizer(normalizer: &Value) -> Result<()> {
    let clip = json!({"type": "Sequence", "normalizers": [
        {"type": "NFC"},
        {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
        {"type": "Lowercase"},
    ]});
    if *normalizer != clip {
        return Err(unsupported("normalizer", normalizer));
    }
    Ok(())
}

/// Whether the pattern has the special tokens; `Unsupported` unless the pre-tokenizer is CLIP's
/// pattern, then bytes.
fn specials_in_pattern(pre_tokenizer: &Value) -> Result<bool> {
    let [split, byte_level] = [0, 1].map(|i| &pre_tokenizer["pretokenizers"][i]);
    let pattern = split["pattern"]["Regex"].as_str().unwrap_or_default();
    let base = pattern.strip_prefix(SPECIAL_PATTERNS);
    let is_clip = pre_tokenizer["type"] == "Sequence"
        && pre_tokenizer["pretokenizers"].as_array().is_some_and(|steps| steps.len() == 2)
        && split["type"] == "Split"
        && base.unwrap_or(pattern) == PATTERN
        && split["behavior"] == "Removed"
        && split["invert"] == true
        && byte_level["type"] == "ByteLevel"
        && byte_level["add_prefix_space"] == false
        && byte_level["use_regex"] != false; // absent: true
    if is_clip { Ok(base.is_some()) } else { Err(unsupported("pre_tokenizer", pre_tokenizer)) }
}

/// `Unsupported` unless the model is BPE with CLIP's options.
fn check_model(model: &Value) -> Result<()> {
    let allowed: [(&str, &[Value]); 7] = [
        ("type", &[Value::Null, json!("BPE")]),
        ("dropout", &[Value::Null, json!(0.0)]),
        ("continuing_subword_prefix", &[Value::Null, json!("")]),
        ("end_of_word_suffix", &[json!(WORD_END)]),
        ("fuse_unk", &[Value::Null, json!(false)]),
        ("byte_fallback", &[Value::Null, json!(false)]),
        ("ignore_merges", &[Value::Null, json!(false)]),
    ];
    for (key, values) in allowed {
        if !values.contains(&model[key]) {
            return Err(unsupported(&format!("model.{key}"), &model[key]));
        }
    }
    Ok(())
}

pub(super) fn unsupported(key: &str, value: &Value) -> Error {
    err!(Unsupported, "{key} is not CLIP's: {}", shown(value))
}

/// `value` as JSON, cut if it is long.
pub(super) fn shown(value: &Value) -> String {
    let mut text = beginning(value, 61);
    if let Some((end, _)) = text.char_indices().nth(60) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// `value` as JSON in quotes, cut if it is long.
pub(super) fn excerpt_of(value: &Value) -> String {
    excerpt(&beginning(value, 41))
}

/// The first `most` characters of `value`, which may be long.
pub(super) fn beginning(value: impl fmt::Display, most: usize) -> String {
    struct Beginning {
        text: String,
        room: usize,
    }
    impl fmt::Write for Beginning {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for c in text.chars() {
                self.room = self.room.checked_sub(1).ok_or(fmt::Error)?;
                self.text.push(c);
            }
            Ok(())
        }
    }
    let mut beginning = Beginning { text: String::new(), room: most };
    // The error says that it is full.
    _ = write!(beginning, "{value}");
    beginning.text
}
