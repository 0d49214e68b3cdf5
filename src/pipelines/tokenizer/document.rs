//! A `tokenizer.json` read in one go: its vocabulary and merges stay where they are in the text, the rest becomes values.
//!
//! The largest published ones have 34 MB, most of it vocabulary and merges: values of them would take most of the time
//! that a model takes to load, and many times the memory.

use alloc::borrow::Cow;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::error::{Error, ErrorCode, Result, err};
use crate::exec::{TryGrow, check_memory, try_string};
use crate::weights::json::{self, Bounds, Strict};

use super::json::{FILE, Id, Token, beginning, parse};
use super::vocabulary::{excerpt, utf8};
use super::{MAX_FILE_BYTES, lookup};

/// What a `tokenizer.json` says.
#[derive(Debug)]
pub(super) struct Document<'t> {
    /// All but what is below.
    pub(super) file: Value,
    pub(super) vocabulary: Vocab<'t>,
    /// Pairs in order of rank; `None` if the model has none.
    pub(super) merges: Option<Vec<Pair<'t>>>,
}

pub(super) type Pair<'t> = (Cow<'t, str>, Cow<'t, str>);

/// `model.vocab`.
#[derive(Debug)]
pub(super) enum Vocab<'t> {
    /// There is none.
    None,
    /// An object of tokens and ids.
    Ids(Vec<lookup::Entry<'t>>),
    /// A list of pieces and their scores; ids are places.
    Scores(Vec<(Cow<'t, str>, f64)>),
}

/// The document that `bytes` are, or the value for what makes the message where they are not quite one.
pub(super) fn read(bytes: &[u8]) -> Result<Result<Document<'_>, Value>> {
    let text = utf8(bytes, FILE)?;
    json::check_escapes(text.as_bytes()).map_err(|e| e.within(FILE))?;
    let limits = Bounds { bytes: MAX_FILE_BYTES, depth: 16, nodes: 1 << 20 };
    let mut reader = Reader { strict: Strict::new(limits), fault: None };
    let mut json = serde_json::Deserializer::from_str(text);
    let document = (&mut reader).deserialize(&mut json).and_then(|document| json.end().map(|()| document));
    let error = match document {
        Ok(document) => return Ok(Ok(document)),
        Err(error) => error,
    };
    let fault = reader.fault.or_else(|| reader.strict.fault());
    if let Some(fault) = fault.as_ref().filter(|fault| fault.code() == ErrorCode::OutOfMemory) {
        return Err(fault.clone());
    }
    let told = || {
        let fault = fault.unwrap_or_else(|| err!(Tokenizer, "{}", beginning(error.to_string(), 160)));
        fault.within(FILE)
    };
    // Something is wrong: the reader that says what and where takes over. It has no room for the largest files.
    match parse(bytes, FILE) {
        Ok(value) if is_clip(&value) || !value.is_object() => Ok(Err(value)),
        Err(plain) if plain.code() != ErrorCode::Limit || text.len() <= LARGE => Err(plain),
        _ => Err(told()),
    }
}

/// Files up to this size have fewer values than the plain reader's limit.
const LARGE: usize = 1 << 20;

/// Whether the model is byte-level BPE with CLIP's ends of words.
pub(super) fn is_clip(file: &Value) -> bool {
    let model = &file["model"];
    let suffix = &model["end_of_word_suffix"];
    (model["type"].is_null() || model["type"] == "BPE") && !suffix.is_null() && suffix != ""
}

/// Reads a document. What it refuses is told by [`read`].
struct Reader {
    strict: Strict,
    fault: Option<Error>,
}

impl<'de> DeserializeSeed<'de> for &mut Reader {
    type Value = Document<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Document<'de>, D::Error> {
        json.deserialize_any(self)
    }
}

/// The keys of an object one after the other; `read` gets each with the access to its value, and says what to keep.
fn members<'de, A: MapAccess<'de>>(
    mut json: A,
    mut read: impl FnMut(&str, &mut A) -> Result<Option<Value>, A::Error>,
) -> Result<Value, A::Error> {
    let mut map = Map::new();
    while let Some(key) = json.next_key_seed(Token)? {
        check_memory().map_err(A::Error::custom)?;
        let value = read(&key, &mut json)?.unwrap_or(Value::Null);
        let key = try_string(&key).map_err(A::Error::custom)?;
        if map.insert(key, value).is_some() {
            return Err(A::Error::custom("a key appears twice"));
        }
    }
    Ok(Value::Object(map))
}

impl<'de> Visitor<'de> for &mut Reader {
    type Value = Document<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tokenizer")
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Document<'de>, E> {
        Err(E::custom("a string instead of a tokenizer"))
    }

    fn visit_map<A: MapAccess<'de>>(self, json: A) -> Result<Document<'de>, A::Error> {
        let (mut vocabulary, mut merges) = (Vocab::None, None);
        let file = members(json, |key, json| match key {
            "model" => {
                let model = json.next_value_seed(Model(self))?;
                (vocabulary, merges) = (model.vocabulary, model.merges);
                Ok(Some(model.file))
            }
            _ => json.next_value_seed(&mut self.strict).map(Some),
        })?;
        Ok(Document { file, vocabulary, merges })
    }
}

/// Reads `model`.
struct Model<'r>(&'r mut Reader);

impl<'de> DeserializeSeed<'de> for Model<'_> {
    type Value = Document<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Document<'de>, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Model<'_> {
    type Value = Document<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a model")
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Document<'de>, E> {
        Err(E::custom("model is a string"))
    }

    fn visit_map<A: MapAccess<'de>>(self, json: A) -> Result<Document<'de>, A::Error> {
        let (mut vocabulary, mut merges) = (Vocab::None, None);
        let file = members(json, |key, json| match key {
            "vocab" => {
                vocabulary = json.next_value_seed(Tokens(&mut self.0.fault))?;
                Ok(None)
            }
            "merges" => {
                merges = Some(json.next_value_seed(Merges(&mut self.0.fault))?);
                Ok(None)
            }
            _ => json.next_value_seed(&mut self.0.strict).map(Some),
        })?;
        Ok(Document { file, vocabulary, merges })
    }
}

/// Makes `error` the outcome.
fn fail<E: serde::de::Error>(fault: &mut Option<Error>, error: Error) -> E {
    let shown = E::custom(error.message());
    *fault = Some(error);
    shown
}

/// Reads `model.vocab`.
struct Tokens<'r>(&'r mut Option<Error>);

impl<'de> DeserializeSeed<'de> for Tokens<'_> {
    type Value = Vocab<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Vocab<'de>, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tokens<'_> {
    type Value = Vocab<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tokens and ids, or a list of pieces and scores")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut json: A) -> Result<Vocab<'de>, A::Error> {
        let mut entries: Vec<lookup::Entry<'de>> = Vec::new();
        while let Some(token) = json.next_key_seed(Token)? {
            check_memory().map_err(|error| fail(self.0, error))?;
            if token.is_empty() {
                return Err(fail(self.0, err!(Tokenizer, "the vocabulary has an empty token")));
            }
            let id = json.next_value_seed(Id)?;
            entries.try_push((token, id)).map_err(|error| fail(self.0, error))?;
        }
        Ok(Vocab::Ids(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut json: A) -> Result<Vocab<'de>, A::Error> {
        let mut pieces: Vec<(Cow<'de, str>, f64)> = Vec::new();
        while let Some(piece) = json.next_element_seed(Piece)? {
            check_memory().map_err(|error| fail(self.0, error))?;
            if piece.0.is_empty() {
                let place = pieces.len();
                return Err(fail(self.0, err!(Tokenizer, "model.vocab[{place}] is an empty piece")));
            }
            pieces.try_push(piece).map_err(|error| fail(self.0, error))?;
        }
        Ok(Vocab::Scores(pieces))
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Vocab<'de>, E> {
        Err(E::custom("model.vocab is a string"))
    }
}

/// Reads `[piece, score]`.
struct Piece;

impl<'de> DeserializeSeed<'de> for Piece {
    type Value = (Cow<'de, str>, f64);

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Piece {
    type Value = (Cow<'de, str>, f64);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a piece and its score")
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Self::Value, E> {
        Err(E::custom("a string instead of a piece and its score"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut json: A) -> Result<Self::Value, A::Error> {
        let Some(piece) = json.next_element_seed(Token)? else {
            return Err(A::Error::custom("a piece is missing"));
        };
        let Some(score) = json.next_element_seed(Score)? else {
            return Err(A::Error::custom(format_args!("the score of {} is missing", excerpt(&piece))));
        };
        if json.next_element_seed(Score)?.is_some() {
            return Err(A::Error::custom(format_args!("{} has more than a score", excerpt(&piece))));
        }
        Ok((piece, score))
    }
}

/// Reads a number.
struct Score;

impl<'de> DeserializeSeed<'de> for Score {
    type Value = f64;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<f64, D::Error> {
        json.deserialize_any(self)
    }
}

impl Visitor<'_> for Score {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a score")
    }

    fn visit_f64<E>(self, score: f64) -> Result<f64, E> {
        Ok(score)
    }

    fn visit_u64<E>(self, score: u64) -> Result<f64, E> {
        Ok(score as f64)
    }

    fn visit_i64<E>(self, score: i64) -> Result<f64, E> {
        Ok(score as f64)
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<f64, E> {
        Err(E::custom("a string instead of a score"))
    }
}

/// Reads `model.merges`.
struct Merges<'r>(&'r mut Option<Error>);

impl<'de> DeserializeSeed<'de> for Merges<'_> {
    type Value = Vec<Pair<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Merges<'_> {
    type Value = Vec<Pair<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of merges")
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Self::Value, E> {
        Err(E::custom("model.merges is a string"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut json: A) -> Result<Self::Value, A::Error> {
        let mut merges: Vec<Pair<'de>> = Vec::new();
        while let Some(pair) = json.next_element_seed(Merge(merges.len(), self.0))? {
            check_memory().map_err(|error| fail(self.0, error))?;
            merges.try_push(pair).map_err(|error| fail(self.0, error))?;
        }
        Ok(merges)
    }
}

/// Reads the merge of a rank: `"a b"` or `["a", "b"]`.
struct Merge<'r>(usize, &'r mut Option<Error>);

impl<'de> DeserializeSeed<'de> for Merge<'_> {
    type Value = Pair<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Pair<'de>, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Merge<'_> {
    type Value = Pair<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("two tokens")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, line: &'de str) -> Result<Pair<'de>, E> {
        match super::vocabulary::merge_fields(self.0, line) {
            Ok((left, right)) => Ok((Cow::Borrowed(left), Cow::Borrowed(right))),
            Err(error) => Err(fail(self.1, error)),
        }
    }

    fn visit_str<E: serde::de::Error>(self, line: &str) -> Result<Pair<'de>, E> {
        let owned = |text| try_string(text).map(Cow::Owned);
        let pair = super::vocabulary::merge_fields(self.0, line);
        let pair = pair.and_then(|(left, right)| Ok((owned(left)?, owned(right)?)));
        pair.map_err(|error| fail(self.1, error))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut json: A) -> Result<Pair<'de>, A::Error> {
        let mut next = || json.next_element_seed(Token);
        match (next()?, next()?, next()?) {
            (Some(left), Some(right), None) if !left.is_empty() && !right.is_empty() => Ok((left, right)),
            _ => Err(fail(self.1, err!(Tokenizer, "merge {}: expected two tokens", self.0))),
        }
    }
}
