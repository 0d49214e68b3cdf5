//! The parts of a `tokenizer.json`, from its values. What is not known is refused by its place and name.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Map, Value};

use crate::error::{Result, err};
use crate::exec::{TryGrow, check_memory, try_string};

use super::super::json::{id, shown};
use super::charsmap::Charsmap;
use super::normalizer::{Bert, Normalizer};
use super::pattern::Pattern;
use super::pre_tokenizer::{Behavior, Cut, PreTokenizer, Prepend};

/// Steps of one kind at most: each goes over the whole text.
const MAX_STEPS: usize = 64;

/// An object of a file, and where it is.
pub(in super::super) struct Part<'v> {
    place: String,
    object: &'v Map<String, Value>,
}

impl<'v> Part<'v> {
    /// The object at `place`, whose keys are all among `known`.
    pub(in super::super) fn new(value: &'v Value, place: String, known: &[&str]) -> Result<Self> {
        let Some(object) = value.as_object() else {
            return Err(err!(Tokenizer, "{place} is no object: {}", shown(value)));
        };
        if let Some((key, value)) = object.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            let key = super::super::json::beginning(key, 60);
            return Err(err!(Unsupported, "{place}.{key} is not known: {}", shown(value)));
        }
        Ok(Self { place, object })
    }

    pub(in super::super) fn get(&self, key: &str) -> &'v Value {
        self.object.get(key).unwrap_or(&Value::Null)
    }

    fn wrong(&self, key: &str) -> crate::error::Error {
        err!(Unsupported, "{}.{key} is not known: {}", self.place, shown(self.get(key)))
    }

    /// A flag; `otherwise` where there is none.
    pub(in super::super) fn flag(&self, key: &str, otherwise: bool) -> Result<bool> {
        match self.get(key) {
            Value::Null => Ok(otherwise),
            Value::Bool(flag) => Ok(*flag),
            _ => Err(self.wrong(key)),
        }
    }

    /// A string, if there is one.
    pub(in super::super) fn text(&self, key: &str) -> Result<Option<&'v str>> {
        match self.get(key) {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text)),
            _ => Err(self.wrong(key)),
        }
    }

    fn required(&self, key: &str) -> Result<&'v str> {
        self.text(key)?.ok_or_else(|| err!(Tokenizer, "{}.{key} is missing", self.place))
    }

    /// A number, if there is one.
    pub(in super::super) fn number(&self, key: &str) -> Result<Option<u32>> {
        match self.get(key) {
            Value::Null => Ok(None),
            number => id(number).map(Some).ok_or_else(|| self.wrong(key)),
        }
    }

    /// `Unsupported` if the key has a value, other than those that change nothing.
    pub(in super::super) fn refuse(&self, key: &str, harmless: &[Value]) -> Result<()> {
        let value = self.get(key);
        if value.is_null() || harmless.contains(value) { Ok(()) } else { Err(self.wrong(key)) }
    }
}

/// The type of the part at `place`.
fn kind<'v>(value: &'v Value, place: &str) -> Result<&'v str> {
    value["type"].as_str().ok_or_else(|| err!(Tokenizer, "{place} has no type: {}", shown(value)))
}

fn unknown(place: &str, kind: &str) -> crate::error::Error {
    let kind = super::super::vocabulary::excerpt(kind);
    err!(Unsupported, "{place}: type {kind} is not known")
}

/// The elements of `list` with their places.
fn elements<'v>(
    value: &'v Value,
    place: &str,
    list: &str,
) -> Result<impl Iterator<Item = (&'v Value, String)>> {
    let part = Part::new(value, place.into(), &["type", list])?;
    let Some(elements) = part.get(list).as_array() else {
        return Err(err!(Tokenizer, "{place}.{list} is no list: {}", shown(part.get(list))));
    };
    if elements.len() > MAX_STEPS {
        return Err(err!(Limit, "{place}.{list} has {} elements, at most {MAX_STEPS}", elements.len()));
    }
    let place = format!("{place}.{list}");
    Ok(elements.iter().enumerate().map(move |(i, element)| (element, format!("{place}[{i}]"))))
}

fn check_count<T>(steps: &[T], place: &str) -> Result<()> {
    check_memory()?;
    if steps.len() > MAX_STEPS {
        return Err(err!(Limit, "more than {MAX_STEPS} steps up to {place}"));
    }
    Ok(())
}

/// Append the normaliser at `place` to `steps`.
pub(in super::super) fn normalizer(value: &Value, place: &str, steps: &mut Vec<Normalizer>) -> Result<()> {
    if value.is_null() {
        return Ok(());
    }
    let kind = kind(value, place)?;
    let part = |known: &[&str]| Part::new(value, place.into(), known);
    let step = match kind {
        "Sequence" => {
            for (element, place) in elements(value, place, "normalizers")? {
                normalizer(element, &place, steps)?;
            }
            return Ok(());
        }
        "NFC" => part(&["type"]).map(|_| Normalizer::Nfc),
        "NFD" => part(&["type"]).map(|_| Normalizer::Nfd),
        "Lowercase" => part(&["type"]).map(|_| Normalizer::Lowercase),
        "StripAccents" => part(&["type"]).map(|_| Normalizer::StripAccents),
        "Nmt" => part(&["type"]).map(|_| Normalizer::Nmt),
        "Strip" => {
            let part = part(&["type", "strip_left", "strip_right"])?;
            Ok(Normalizer::Strip {
                left: part.flag("strip_left", true)?,
                right: part.flag("strip_right", true)?,
            })
        }
        "Prepend" => Ok(Normalizer::Prepend(try_string(part(&["type", "prepend"])?.required("prepend")?)?)),
        "Replace" => {
            let part = part(&["type", "pattern", "content"])?;
            let pattern = Pattern::new(part.get("pattern")).map_err(|e| e.within(place))?;
            Ok(Normalizer::Replace { pattern, content: try_string(part.required("content")?)? })
        }
        "Precompiled" => {
            let map = part(&["type", "precompiled_charsmap"])?.required("precompiled_charsmap")?;
            let map = Charsmap::from_base64(map).map_err(|e| e.within(place))?;
            map.map(Normalizer::Precompiled)
                .ok_or_else(|| err!(Tokenizer, "{place}.precompiled_charsmap is empty"))
        }
        "BertNormalizer" => {
            let part = part(&["type", "clean_text", "handle_chinese_chars", "strip_accents", "lowercase"])?;
            let lowercases = part.flag("lowercase", true)?;
            Ok(Normalizer::Bert(Bert {
                cleans: part.flag("clean_text", true)?,
                parts_ideographs: part.flag("handle_chinese_chars", true)?,
                strips_accents: part.flag("strip_accents", lowercases)?,
                lowercases,
            }))
        }
        kind => Err(unknown(place, kind)),
    };
    steps.try_push(step?)?;
    check_count(steps, place)
}

/// Append the pre-tokenizer at `place` to `steps`.
pub(in super::super) fn pre_tokenizer(
    value: &Value,
    place: &str,
    steps: &mut Vec<PreTokenizer>,
) -> Result<()> {
    if value.is_null() {
        return Ok(());
    }
    let kind = kind(value, place)?;
    let part = |known: &[&str]| Part::new(value, place.into(), known);
    let step = match kind {
        "Sequence" => {
            for (element, place) in elements(value, place, "pretokenizers")? {
                pre_tokenizer(element, &place, steps)?;
            }
            return Ok(());
        }
        "WhitespaceSplit" => part(&["type"]).map(|_| PreTokenizer::WhitespaceSplit),
        "BertPreTokenizer" => part(&["type"]).map(|_| PreTokenizer::Bert),
        "Punctuation" => {
            let behavior = behavior(&part(&["type", "behavior"])?, Some(Behavior::Isolated))?;
            Ok(PreTokenizer::Cut { at: Cut::Punctuation, behavior })
        }
        "Digits" => {
            let behavior = match part(&["type", "individual_digits"])?.flag("individual_digits", false)? {
                true => Behavior::Isolated,
                false => Behavior::Contiguous,
            };
            Ok(PreTokenizer::Cut { at: Cut::Digits, behavior })
        }
        "Split" => {
            let part = part(&["type", "pattern", "behavior", "invert"])?;
            let pattern = Pattern::new(part.get("pattern")).map_err(|e| e.within(place))?;
            let at = Cut::Pattern { pattern, is_inverted: part.flag("invert", false)? };
            Ok(PreTokenizer::Cut { at, behavior: behavior(&part, None)? })
        }
        "Metaspace" => metaspace(&part(&[
            "type",
            "replacement",
            "str_rep",
            "add_prefix_space",
            "prepend_scheme",
            "split",
        ])?),
        "ByteLevel" => {
            let part = part(&["type", "add_prefix_space", "trim_offsets", "use_regex"])?;
            Ok(PreTokenizer::ByteLevel {
                prepends: part.flag("add_prefix_space", true)?,
                cuts: part.flag("use_regex", true)?,
            })
        }
        kind => Err(unknown(place, kind)),
    };
    steps.try_push(step?)?;
    check_count(steps, place)
}

fn behavior(part: &Part<'_>, otherwise: Option<Behavior>) -> Result<Behavior> {
    match (part.text("behavior")?, otherwise) {
        (Some("Removed"), _) => Ok(Behavior::Removed),
        (Some("Isolated"), _) => Ok(Behavior::Isolated),
        (Some("Contiguous"), _) => Ok(Behavior::Contiguous),
        (Some("MergedWithPrevious"), _) => Ok(Behavior::MergedWithPrevious),
        (Some("MergedWithNext"), _) => Ok(Behavior::MergedWithNext),
        (None, Some(behavior)) => Ok(behavior),
        _ => Err(part.wrong("behavior")),
    }
}

/// `prepend_scheme`, or in older files `add_prefix_space`.
fn metaspace(part: &Part<'_>) -> Result<PreTokenizer> {
    let mut characters = part.required("replacement")?.chars();
    let (Some(mark), None) = (characters.next(), characters.next()) else {
        return Err(part.wrong("replacement"));
    };
    let adds = part.flag("add_prefix_space", true)?;
    let prepend = match part.text("prepend_scheme")? {
        None if adds => Prepend::Always,
        None => Prepend::Never,
        // The reference refuses a file that says both.
        Some("always") if adds => Prepend::Always,
        Some("first") if adds => Prepend::First,
        Some("never") => Prepend::Never,
        Some(_) => return Err(part.wrong("prepend_scheme")),
    };
    Ok(PreTokenizer::Metaspace { mark, prepend, cuts: part.flag("split", true)? })
}

/// What is put around the ids of a text.
#[derive(Debug, Default)]
pub(in super::super) struct Frame {
    pub(in super::super) prefix: Vec<u32>,
    pub(in super::super) suffix: Vec<u32>,
}

/// Ids around a text at most.
const MAX_FRAME: usize = 64;

/// Put what the post-processor at `place` adds around `frame`; `check` says whether a token has an id.
pub(in super::super) fn post_processor(
    value: &Value,
    place: &str,
    check: &dyn Fn(&Value, u32) -> Result<()>,
    frame: &mut Frame,
) -> Result<()> {
    if value.is_null() {
        return Ok(());
    }
    let kind = kind(value, place)?;
    let part = |known: &[&str]| Part::new(value, place.into(), known);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    match kind {
        "Sequence" => {
            for (element, place) in elements(value, place, "processors")? {
                post_processor(element, &place, check, frame)?;
            }
            return Ok(());
        }
        // It changes offsets, no ids.
        "ByteLevel" => return Ok(()),
        "BertProcessing" | "RobertaProcessing" => {
            let part = part(&["type", "sep", "cls", "trim_offsets", "add_prefix_space"])?;
            for (key, ids) in [("cls", &mut before), ("sep", &mut after)] {
                let pair = part.get(key);
                let Some(id) = id(&pair[1]) else { return Err(part.wrong(key)) };
                check(&pair[0], id).map_err(|e| e.within(format_args!("{place}.{key}")))?;
                ids.try_push(id)?;
            }
        }
        "TemplateProcessing" => {
            let part = part(&["type", "single", "pair", "special_tokens"])?;
            let Some(single) = part.get("single").as_array() else { return Err(part.wrong("single")) };
            let mut has_text = false;
            for (i, element) in single.iter().enumerate() {
                let place = || format!("{place}.single[{i}]");
                if element["Sequence"]["id"] == "A" && !has_text {
                    has_text = true;
                } else if let Some(token) = element["SpecialToken"]["id"].as_str() {
                    let special = &part.get("special_tokens")[token];
                    let (Some(ids), Some(tokens)) = (special["ids"].as_array(), special["tokens"].as_array())
                    else {
                        return Err(err!(Tokenizer, "{}: the ids of the token are missing", place()));
                    };
                    for (i, value) in ids.iter().enumerate() {
                        let Some(id) = id(value) else {
                            return Err(err!(Tokenizer, "{}: {} is no id", place(), shown(value)));
                        };
                        check(tokens.get(i).unwrap_or(&Value::Null), id).map_err(|e| e.within(place()))?;
                        if has_text { &mut after } else { &mut before }.try_push(id)?;
                    }
                } else {
                    return Err(err!(Unsupported, "{} is not known: {}", place(), shown(element)));
                }
            }
            if !has_text {
                return Err(part.wrong("single"));
            }
        }
        kind => return Err(unknown(place, kind)),
    }
    before.append(&mut frame.prefix);
    frame.prefix = before;
    frame.suffix.append(&mut after);
    if frame.prefix.len() + frame.suffix.len() > MAX_FRAME {
        return Err(err!(Limit, "{place} puts more than {MAX_FRAME} tokens around a text"));
    }
    Ok(())
}
