//! The labels of `classify`.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::args::LabelArgs;
use crate::failure::{Exit, Failure, Result};
use crate::{output, text_file};

/// The labels, none empty. Says so on standard error if one is there twice.
pub(crate) fn read(args: &LabelArgs) -> Result<Vec<String>> {
    let labels = if let Some(list) = &args.labels {
        split(list)?
    } else if let Some(path) = &args.labels_file {
        let bytes = text_file::read(path)?;
        of_file(path, &bytes)
            .map_err(|what| Failure::new(Exit::Input, format!("{}: {what}", path.display())))?
    } else {
        return Err(Failure::usage("no labels: give --labels or --labels-file"));
    };
    if let Some(repeated) = repeated(&labels) {
        let message = format!("warning: labels are there more than once: {repeated}");
        output::complain(&message, Some("each of them gets a share of the probability"));
    }
    Ok(labels)
}

/// Labels separated by commas.
fn split(list: &str) -> Result<Vec<String>> {
    let label = |(i, label): (usize, &str)| match label.trim() {
        "" => Err(Failure::usage(format!("--labels: label {} is empty", i + 1))
            .hint("separate labels by commas: --labels cat,dog; for labels with commas use --labels-file")),
        label => Ok(label.to_owned()),
    };
    list.split(',').enumerate().map(label).collect()
}

/// The labels in a file, whose name's ending says what it is: JSON, or one label a line.
pub(crate) fn of_file(path: &Path, bytes: &[u8]) -> Result<Vec<String>, String> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    let text = text_file::decode(bytes)?;
    let labels = match ending.as_str() {
        "json" => of_json(&text)?,
        "csv" | "tsv" if text.contains([',', '\t', ';']) => {
            return Err("a table, not a list; write a file with the column of labels, one a line".into());
        }
        _ => of_lines(&text),
    };
    if labels.is_empty() { Err("no labels".into()) } else { Ok(labels) }
}

/// One label a line, without blank ones.
fn of_lines(text: &str) -> Vec<String> {
    text_file::lines(text).map(str::trim).filter(|label| !label.is_empty()).map(str::to_owned).collect()
}

/// A JSON array of labels; or an object of them by their numbers, in the order of the numbers: `{"0": "cat"}`, the
/// `id2label` of a configuration, ImageNet's `{"0": ["n01440764", "tench"]}`, or the other way round, `{"cat": 0}`.
fn of_json(text: &str) -> Result<Vec<String>, String> {
    const FORMS: &str = "neither an array of labels nor an object of labels by number";
    let json: Json = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    let labels = match json {
        Json::Other(Value::Array(items)) => {
            let label = |item: Value| match item {
                Value::String(label) => Some(label),
                _ => None,
            };
            items.into_iter().map(label).collect::<Option<Vec<_>>>().ok_or(FORMS)?
        }
        Json::Object(pairs) => by_number(pairs).ok_or(FORMS)??,
        Json::Other(_) => return Err(FORMS.into()),
    };
    let labels: Vec<String> = labels.iter().map(|label| label.trim().to_owned()).collect();
    match labels.iter().position(String::is_empty) {
        Some(i) => Err(format!("label {i} is empty")),
        None => Ok(labels),
    }
}

/// The labels in the order of their numbers; `None` if `pairs` are something else, an error if a number is there
/// twice.
fn by_number(mut pairs: Vec<(String, Value)>) -> Option<Result<Vec<String>, String>> {
    if let Some(i) = pairs.iter().position(|(key, _)| key == "id2label") {
        let Value::Object(inner) = pairs.swap_remove(i).1 else { return None };
        pairs = inner.into_iter().collect();
    }
    let numbered = |(key, value): (String, Value)| match (key.parse(), value) {
        (Ok(number), Value::String(label)) => Some((number, label)),
        // ImageNet's: the WordNet id, then the name.
        (Ok(number), Value::Array(names)) => Some((number, names.last()?.as_str()?.to_owned())),
        (_, Value::Number(number)) => Some((number.as_u64()?, key)),
        _ => None,
    };
    let mut labels: Vec<(u64, String)> = pairs.into_iter().map(numbered).collect::<Option<_>>()?;
    labels.sort_by_key(|&(number, _)| number);
    Some(match labels.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(format!("number {} is there twice", pair[0].0)),
        None => Ok(labels.into_iter().map(|(_, label)| label).collect()),
    })
}

/// JSON whose outermost object keeps its keys as they are, repeated ones too.
enum Json {
    Object(Vec<(String, Value)>),
    Other(Value),
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Outermost;
        impl<'de> Visitor<'de> for Outermost {
            type Value = Json;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array or an object of labels")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Json::Object(pairs))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Json::Other(Value::Array(items)))
            }
        }
        deserializer.deserialize_any(Outermost)
    }
}

/// What to say of labels that are equal to an earlier one: a few of them, counted from 1.
fn repeated(labels: &[String]) -> Option<String> {
    const NAMED: usize = 5;
    let mut seen = HashMap::new();
    let again =
        |(i, label)| seen.insert(label, i).map(|first| format!("{label:?} ({} and {})", first + 1, i + 1));
    let repeated: Vec<String> = labels.iter().enumerate().filter_map(again).collect();
    let more =
        if repeated.len() > NAMED { format!(", and {} more", repeated.len() - NAMED) } else { String::new() };
    let named = repeated[..repeated.len().min(NAMED)].join(", ");
    (!repeated.is_empty()).then(|| named + &more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        assert_eq!(split("cat, dog ,a b").unwrap(), ["cat", "dog", "a b"]);
        for list in ["", ",", "cat,", "cat,,dog", " "] {
            assert!(matches!(split(list), Err(Failure::Message { exit: Exit::Usage, .. })), "{list:?}");
        }
    }

    #[test]
    fn files() {
        let read = |name: &str, bytes: &[u8]| of_file(Path::new(name), bytes);
        for file in ["\u{feff}cat\r\ndog, the\n", "cat\rdog, the", "\n\n cat \n\t\ndog, the\n\n"] {
            assert_eq!(read("x.txt", file.as_bytes()).unwrap(), ["cat", "dog, the"], "{file:?}");
        }
        assert_eq!(read("x.csv", b"cat\ndog\n").unwrap(), ["cat", "dog"]);
        for (name, file, expected) in [
            ("x.txt", &b""[..], "no labels"),
            ("x.txt", b"\n \r\n", "no labels"),
            ("x.csv", b"0,cat\n", "a table"),
            ("x.txt", b"c\0a\0", "binary data"),
            ("x.json", b"[]", "no labels"),
            ("x.json", b"cat", "not JSON"),
        ] {
            let error = read(name, file).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn json() {
        for text in [
            r#"["cat", "dog"]"#,
            r#"{"10": "dog", "9": "cat"}"#,
            r#"{"1": ["n02084071", "dog"], "0": ["n02121620", "cat"]}"#,
            r#"{"dog": 1, "cat": 0}"#,
            r#"{"model_type": "clip", "id2label": {"0": "cat", "1": "dog"}, "label2id": {}}"#,
        ] {
            assert_eq!(of_json(text).unwrap(), ["cat", "dog"], "{text}");
        }
        for (text, expected) in [
            (r#"["cat", 1]"#, "neither"),
            (r#"{"a": "cat"}"#, "neither"),
            (r#"{"0": "cat", "0": "dog"}"#, "number 0 is there twice"),
            (r#"{"cat": 0, "dog": 0}"#, "number 0 is there twice"),
            (r#"["cat", " "]"#, "label 1 is empty"),
            ("3", "not JSON: invalid type"),
        ] {
            let error = of_json(text).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn repeated_labels() {
        let labels = |list: &str| split(list).unwrap();
        assert_eq!(repeated(&labels("a,b,c,b,a")).unwrap(), r#""b" (2 and 4), "a" (1 and 5)"#);
        assert!(repeated(&labels("a,a,a,a,a,a,a")).unwrap().ends_with(r#""a" (5 and 6), and 1 more"#));
        assert_eq!(repeated(&labels("a,b,A")), None);
    }
}
