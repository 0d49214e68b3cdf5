//! A strict JSON reader for the files of a model: bounded, and without the ambiguity of repeated keys.
//!
//! The grammar, numbers and strings are `serde_json`'s. What it leaves open is decided here: a key that appears
//! twice in one object is an error (two readers could pick different ones), and depth and node count are
//! limited before the tree is built.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::error::{Error, Result, err};
use crate::exec::{MAX_SMALL, TryGrow, check_memory, try_string, try_with_capacity};

/// What a JSON text may hold at most.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of text.
    pub bytes: usize,
    /// Objects and arrays inside one another.
    pub depth: usize,
    /// Values of any kind.
    pub nodes: usize,
}

/// Parses `text` within `limits`.
///
/// # Errors
/// [`Limit`](crate::ErrorCode::Limit) beyond a limit, [`Format`](crate::ErrorCode::Format) for anything that is
/// not JSON, numbers beyond f64, and repeated keys. The message names the key at fault.
pub fn parse(text: &[u8], limits: Bounds) -> Result<Value> {
    if text.len() > limits.bytes {
        return Err(err!(Limit, "{} bytes of JSON, at most {} are read", text.len(), limits.bytes));
    }
    if let escaped @ LONGEST_ESCAPED.. = longest_escaped(text) {
        // There must be memory for it. Some that is gone by the time it is asked for cannot be told.
        drop(try_with_capacity::<u8>(2 * escaped)?);
    }
    let mut reader = Reader { limits, depth: 0, nodes: 0, path: Vec::new(), fault: None };
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = reader.deserialize(&mut json).and_then(|value| json.end().map(|()| value));
    value.map_err(|error| {
        let error =
            reader.fault.take().unwrap_or_else(|| err!(Format, "not JSON: {}", brief(&error.to_string())));
        if reader.path.is_empty() { error } else { error.within(quoted(&reader.place())) }
    })
}

/// Reads values that are parts of a text, strictly as [`parse`] does, all of them together within the limits.
pub struct Strict(Reader);

impl Strict {
    /// Nothing read yet.
    pub fn new(limits: Bounds) -> Self {
        Self(Reader { limits, depth: 0, nodes: 0, path: Vec::new(), fault: None })
    }

    /// What is wrong with the value at which the reader stopped, if that was not the grammar.
    pub fn fault(self) -> Option<Error> {
        self.0.fault
    }
}

impl<'de> DeserializeSeed<'de> for &mut Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        DeserializeSeed::deserialize(&mut self.0, json)
    }
}

/// A string with escapes up to this length needs little memory: see [`longest_escaped`].
const LONGEST_ESCAPED: usize = MAX_SMALL / 2;

/// Refuses long strings with escapes.
///
/// # Errors
/// [`Limit`](crate::ErrorCode::Limit).
pub fn check_escapes(text: &[u8]) -> Result<()> {
    match longest_escaped(text) {
        0..=LONGEST_ESCAPED => Ok(()),
        len => Err(err!(Limit, "a string with escapes of {len} bytes, at most {LONGEST_ESCAPED} are read")),
    }
}

/// Bytes of the longest string with escapes, or 0 if there is none beyond [`LONGEST_ESCAPED`]. `serde_json` puts a string
/// without its escapes together in memory of its own, up to twice as much, and ends the process if it gets none.
fn longest_escaped(text: &[u8]) -> usize {
    // A longer string would span a whole chunk, with no quote in it that is not escaped.
    let has_quote = |chunk: &[u8]| chunk.windows(2).any(|pair| pair[1] == b'"' && pair[0] != b'\\');
    if text.chunks_exact(LONGEST_ESCAPED / 2).all(has_quote) {
        return 0;
    }
    let (mut at, mut longest) = (0, 0);
    while let Some(quote) = text[at..].iter().position(|&byte| byte == b'"') {
        let start = at + quote + 1;
        let (mut end, mut has_escapes) = (start, false);
        while let Some(&byte) = text.get(end).filter(|&&byte| byte != b'"') {
            has_escapes |= byte == b'\\';
            end += if byte == b'\\' { 2 } else { 1 };
        }
        if has_escapes {
            longest = longest.max(end - start);
        }
        at = text.len().min(end + 1);
    }
    longest
}

/// `text`, shortened to what a message can carry.
pub(super) fn brief(text: &str) -> String {
    const LONGEST: usize = 160;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => alloc::format!("{}…", &text[..end]),
        None => text.into(),
    }
}

/// `text` in quotes, control characters escaped, shortened to what a message can carry.
pub(super) fn quoted(text: &str) -> String {
    alloc::format!("{:?}", brief(text))
}

/// Builds a [`Value`] while it counts. After an error, `path` still says where it happened.
struct Reader {
    limits: Bounds,
    depth: usize,
    nodes: usize,
    /// Keys from the root to the current value.
    path: Vec<String>,
    /// The error behind serde's, which can carry only text.
    fault: Option<Error>,
}

impl Reader {
    /// Makes `error` the outcome of the parse.
    fn fail<E: serde::de::Error>(&mut self, error: Error) -> E {
        self.fault = Some(error);
        E::custom("rejected")
    }

    /// The keys to the current value, shortened.
    fn place(&self) -> String {
        self.path.iter().map(|key| brief(key)).collect::<Vec<_>>().join(".")
    }

    fn enter<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.depth += 1;
        if self.depth > self.limits.depth {
            let depth = self.limits.depth;
            return Err(self.fail(err!(Limit, "JSON nested more than {depth} deep")));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for &mut Reader {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        self.nodes += 1;
        check_memory().map_err(|error| self.fail(error))?;
        if self.nodes > self.limits.nodes {
            let nodes = self.limits.nodes;
            return Err(self.fail(err!(Limit, "JSON of more than {nodes} values")));
        }
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        try_string(value).map(Value::String).map_err(|error| self.fail(error))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut json: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut items = Vec::new();
        while let Some(item) = json.next_element_seed(&mut *self)? {
            items.try_push(item).map_err(|error| self.fail(error))?;
        }
        self.depth -= 1;
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut json: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut members: Vec<(String, Value)> = Vec::new();
        while let Some(key) = json.next_key_seed(Key(&mut self.fault))? {
            self.path.push(key);
            let value = json.next_value_seed(&mut *self)?;
            let key = self.path.pop().ok_or_else(|| A::Error::custom("unbalanced"))?;
            members.try_push((key, value)).map_err(|error| self.fail(error))?;
        }
        members.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        if let Some(first) = members.windows(2).position(|pair| pair[0].0 == pair[1].0) {
            self.path.push(members.swap_remove(first).0);
            return Err(self.fail(err!(Format, "the key appears twice")));
        }
        self.depth -= 1;
        // One after the other: what makes a map of all at once sorts them again, in memory of its own.
        let mut map = Map::new();
        for (key, value) in members {
            check_memory().map_err(|error| self.fail(error))?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// Reads a key, or says what is wrong with it where [`Reader::fail`] does.
struct Key<'r>(&'r mut Option<Error>);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<String, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<String, E> {
        try_string(key).map_err(|error| {
            *self.0 = Some(error);
            E::custom("rejected")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorCode;

    const LIMITS: Bounds = Bounds { bytes: 200, depth: 3, nodes: 8 };

    #[test]
    fn values_survive() {
        let text = r#" {"a": [1, -2, 0.5, true, null], "b": {"c": "\u00e9"}} "#;
        assert_eq!(
            parse(text.as_bytes(), Bounds { nodes: 9, ..LIMITS }).unwrap(),
            serde_json::from_str::<Value>(text).unwrap()
        );
    }

    #[test]
    fn each_fault_has_its_code_and_its_key() {
        let cases: [(&str, ErrorCode, &str); 10] = [
            ("", ErrorCode::Format, "EOF"),
            ("{} x", ErrorCode::Format, "trailing characters"),
            (r#"{"a":1,"a":1}"#, ErrorCode::Format, r#""a": the key appears twice"#),
            (r#"{"a":{"b":1,"\u0062":1}}"#, ErrorCode::Format, r#""a.b": the key appears twice"#),
            (r#"{"a":{"b":1e400}}"#, ErrorCode::Format, r#""a.b": not JSON: number out of range"#),
            (r#"{"a":NaN}"#, ErrorCode::Format, r#""a": not JSON"#),
            (r#"{"a":"\ud800"}"#, ErrorCode::Format, r#""a": not JSON"#),
            ("[[[[]]]]", ErrorCode::Limit, "nested more than 3 deep"),
            ("[1,2,3,4,5,6,7,8]", ErrorCode::Limit, "more than 8 values"),
            (&"[".repeat(201), ErrorCode::Limit, "201 bytes of JSON, at most 200"),
        ];
        for (text, code, message) in cases {
            let error = parse(text.as_bytes(), LIMITS).unwrap_err();
            assert_eq!(error.code(), code, "{text}: {error}");
            assert!(error.message().contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn long_strings_with_escapes_are_refused() {
        let long = "x".repeat(MAX_SMALL / 2 - 2);
        for (text, is_good) in [
            (alloc::format!(r#"{{"{long}": "{long}\n"}}"#), true),
            (alloc::format!(r#"{{"{long}": "{long}x\n"}}"#), false),
            (alloc::format!(r#"{{"{long}\u0020": 0}}"#), false),
            (alloc::format!(r#"["\"", "{}", "\\"]"#, long.repeat(3)), true),
            (alloc::format!(r#"["\\", "{}\"{long}""#, long.repeat(3)), false),
            (alloc::format!(r#"["{}", 1, "\"#, "\\\"".repeat(8)), true),
            (alloc::format!("[{}", " ".repeat(MAX_SMALL)), true),
        ] {
            assert_eq!(check_escapes(text.as_bytes()).is_ok(), is_good, "{:.20}", text);
        }
    }
}
