//! The files of a directory that make a tokenizer, against what transformers makes of them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Value, json};
use vitrum::pipelines::tokenizer::{FILES, Tokenizer};
use vitrum::{ErrorCode, Result};

const SIDE_FILES: &str = include_str!("golden/tokenizer/side_files.json");
const TOKENIZER: &str = include_str!("golden/tokenizer/tokenizer.json");
const VOCAB: &str = include_str!("golden/tokenizer/vocab.json");
const MERGES: &str = include_str!("golden/tokenizer/merges.txt");
const LIST: &str = include_str!("golden/tokenizer/bpe_simple_vocab.txt");
const OPENAI: &str = "bpe_simple_vocab_16e6.txt";

type Files = BTreeMap<String, Vec<u8>>;

/// Files by name, from their text.
fn files(texts: &[(&str, &str)]) -> Files {
    texts.iter().map(|&(name, text)| (name.to_owned(), text.as_bytes().to_vec())).collect()
}

/// One of the vocabularies of the golden files, and side files.
fn with_side_files(source: &str, side_files: &Value) -> Files {
    let mut all = match source {
        "tokenizer.json" => files(&[("tokenizer.json", TOKENIZER)]),
        "lists" => files(&[("vocab.json", VOCAB), ("merges.txt", MERGES)]),
        _ => files(&[(OPENAI, LIST)]),
    };
    all.extend(
        side_files.as_object().unwrap().iter().map(|(name, file)| (name.clone(), file.to_string().into())),
    );
    all
}

fn load(files: &Files, fallback: Option<&str>) -> Result<Option<Tokenizer>> {
    let read = |name: &str| {
        assert!(FILES.contains(&name), "{name}");
        Ok(files.get(name).map(|contents| Cow::Borrowed(&contents[..])))
    };
    Tokenizer::from_files(read, fallback.map(str::as_bytes))
}

fn numbers(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

#[test]
fn side_files_as_transformers_reads_them() {
    let golden: Value = serde_json::from_str(SIDE_FILES).unwrap();
    let texts: Vec<&str> =
        golden["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let rows = golden["rows"].as_array().unwrap();
    assert!(rows.len() >= 40);
    for row in rows {
        let name = format!("{} {}", row["source"], row["name"]);
        let files = with_side_files(row["source"].as_str().unwrap(), &row["files"]);
        let tokenizer = load(&files, None).expect(&name).expect(&name);
        let tokenizer = tokenizer.with_context_length(77).unwrap();
        assert_eq!(tokenizer.vocabulary_size() as u64, row["size"], "{name}");
        if let Some(padding) = row["padding"].as_u64() {
            assert_eq!(u64::from(tokenizer.padding_id()), padding, "{name}");
        }
        for (text, ids) in texts.iter().zip(row["ids"].as_array().unwrap()) {
            assert_eq!(tokenizer.encode(text).unwrap(), numbers(ids), "{name}: {text:?}");
        }
    }
}

#[test]
fn the_vocabulary_that_counts() {
    let none = load(&Files::new(), None).unwrap();
    assert!(none.is_none());
    let ids = |files: &Files, fallback: Option<&str>| {
        let tokenizer = load(files, fallback).unwrap().unwrap();
        tokenizer.encode("cat’s &amp; dog").unwrap()
    };
    let cleaned = ids(&Files::new(), Some(LIST));
    let as_it_is = ids(&files(&[("tokenizer.json", TOKENIZER)]), Some("no list"));
    assert_ne!(cleaned, as_it_is);
    let openai = [(OPENAI, LIST)];
    let lists = [("vocab.json", VOCAB), ("merges.txt", MERGES)];
    assert_eq!(ids(&files(&openai), None), cleaned);
    assert_eq!(ids(&files(&openai), Some("no list")), cleaned);
    assert_eq!(ids(&files(&[("vocab.json", VOCAB), (OPENAI, LIST)]), None), cleaned);
    assert_eq!(ids(&files(&[&lists[..], &openai].concat()), None), as_it_is);
    assert_eq!(ids(&files(&[("tokenizer.json", TOKENIZER), (OPENAI, LIST)]), None), as_it_is);
    #[cfg(feature = "gzip")]
    {
        let published = include_bytes!("../cli/vocabulary/bpe_simple_vocab_16e6.txt.gz");
        let gzipped = Files::from([(format!("{OPENAI}.gz"), published.to_vec())]);
        let tokenizer = load(&gzipped, None).unwrap().unwrap();
        assert_eq!(tokenizer.vocabulary_size(), 49_408);
        assert_eq!(tokenizer.encode("hello world").unwrap(), [49_406, 3306, 1002, 49_407]);
    }
}

#[test]
fn open_clip_says_how_texts_are_cleaned() {
    let config = |arguments: Value| json!({"model_cfg": {"text_cfg": {"tokenizer_kwargs": arguments}}});
    let load = |arguments: Value| {
        load(&with_side_files(OPENAI, &json!({"open_clip_config.json": config(arguments)})), None)
    };
    let encode = |arguments: Value, text: &str| load(arguments).unwrap().unwrap().encode(text).unwrap();
    // Ids of open_clip's `SimpleTokenizer`.
    let text = "The Cat_Hat’s!";
    let lower = [912, 513, 66, 546, 318, 71, 546, 652, 256, 913];
    assert_eq!(encode(json!({}), text), lower);
    assert_eq!(encode(json!({"clean": "lower", "reduction_mask": ""}), text), lower);
    assert_eq!(
        encode(json!({"clean": "whitespace"}), text),
        [912, 51, 71, 324, 34, 546, 318, 39, 546, 652, 256, 913]
    );
    assert_eq!(
        encode(json!({"clean": "canonicalize", "context_length": 77}), text),
        [912, 513, 66, 546, 71, 854, 913]
    );
    assert_eq!(
        encode(json!({}), "<START_of_text> <|endoftext|>"),
        [912, 912, 27, 347, 582, 541, 69, 83, 682, 339, 91, 285, 913]
    );

    for (key, value) in [
        ("clean", json!("upper")),
        ("clean", json!(1)),
        ("reduction_mask", json!("random")),
        ("additional_special_tokens", json!(["<sks>"])),
        ("tokenizer_mode", json!("clips")),
    ] {
        let error = load(json!({key: value})).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Unsupported);
        assert!(error.message().contains(key) && error.message().contains(&value.to_string()), "{error}");
    }
    // A vocabulary of Hugging Face's says itself what happens to texts, which may not contradict.
    for (source, arguments, name) in [
        ("tokenizer.json", json!({"clean": "canonicalize"}), "canonicalize"),
        ("lists", json!({"clean": "whitespace"}), "whitespace"),
        ("lists", json!({"x": 1}), "x"),
    ] {
        let files = with_side_files(source, &json!({"open_clip_config.json": config(arguments)}));
        let error = self::load(&files, None).unwrap_err();
        assert!(error.code() == ErrorCode::Unsupported && error.message().contains(name), "{error}");
    }
    let mut usual = config(json!({"clean": "whitespace"}));
    usual["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = json!("openai/clip-vit-base-patch32");
    for config in [config(json!({"clean": "lower"})), usual] {
        let files = with_side_files("tokenizer.json", &json!({"open_clip_config.json": config}));
        assert!(self::load(&files, None).unwrap().is_some());
    }

    let other = json!({"model_cfg": {"text_cfg": {"hf_tokenizer_name": "xlm-roberta-base"}}});
    let error = self::load(&with_side_files("", &json!({"open_clip_config.json": other})), None).unwrap_err();
    assert!(
        error.code() == ErrorCode::Unsupported && error.message().contains("xlm-roberta-base"),
        "{error}"
    );
}

#[test]
fn files_that_are_not_understood_are_refused_by_name() {
    let config = |value: Value| json!({"tokenizer_config.json": value});
    let decoder = |tokens: Value| config(json!({"added_tokens_decoder": tokens}));
    let cases = [
        (config(json!({"tokenizer_class": "GPT2Tokenizer"})), ErrorCode::Unsupported, "GPT2Tokenizer"),
        (config(json!({"auto_map": {"AutoTokenizer": ["x.Y", null]}})), ErrorCode::Unsupported, "auto_map"),
        (config(json!({"truncation_side": "left"})), ErrorCode::Unsupported, "truncation_side"),
        (config(json!({"padding_side": "left"})), ErrorCode::Unsupported, "padding_side"),
        (config(json!({"model_max_length": 1})), ErrorCode::Tokenizer, "model_max_length"),
        (config(json!({"model_max_length": "77"})), ErrorCode::Tokenizer, "model_max_length"),
        (config(json!([])), ErrorCode::Tokenizer, "tokenizer_config.json"),
        (decoder(json!([])), ErrorCode::Tokenizer, "added_tokens_decoder"),
        (decoder(json!({"x": {"content": "a"}})), ErrorCode::Tokenizer, "added_tokens_decoder"),
        (decoder(json!({"914": {}})), ErrorCode::Tokenizer, "914"),
        (decoder(json!({"920": {"content": "<cat>"}})), ErrorCode::Tokenizer, "no token has id 914"),
        (decoder(json!({"5": {"content": "<cat>"}})), ErrorCode::Tokenizer, "id 5"),
        (
            decoder(json!({"914": {"content": "c", "single_word": true}})),
            ErrorCode::Unsupported,
            "single_word",
        ),
        (decoder(json!({"914": {"content": ""}})), ErrorCode::Tokenizer, "empty"),
        (json!({"added_tokens.json": {"<cat>": "914"}}), ErrorCode::Tokenizer, "added_tokens.json"),
        (json!({"added_tokens.json": {"<cat>": 4_000_000_000_u32}}), ErrorCode::Tokenizer, "914"),
        (json!({"added_tokens.json": ["<cat>"]}), ErrorCode::Tokenizer, "added_tokens.json"),
        (json!({"special_tokens_map.json": 1}), ErrorCode::Tokenizer, "special_tokens_map.json"),
    ];
    for (side_files, code, culprit) in cases {
        for source in ["tokenizer.json", "lists"] {
            let error = load(&with_side_files(source, &side_files), None).expect_err(culprit);
            assert_eq!(error.code(), code, "{side_files}: {error}");
            assert!(error.message().contains(culprit), "{side_files}: {error}");
        }
    }

    // A class that takes `tokenizer.json` as it is adds no start and end itself, nor reads lists.
    let as_it_is = config(json!({"tokenizer_class": "PreTrainedTokenizerFast"}));
    let mut unframed: Value = serde_json::from_str(TOKENIZER).unwrap();
    unframed["post_processor"] = Value::Null;
    let mut files = with_side_files("tokenizer.json", &as_it_is);
    files.insert("tokenizer.json".into(), unframed.to_string().into());
    for files in [files, with_side_files("lists", &as_it_is)] {
        assert_eq!(load(&files, None).unwrap_err().code(), ErrorCode::Unsupported);
    }

    let missing = [("vocab.json", VOCAB, "merges.txt"), ("merges.txt", MERGES, "vocab.json")];
    for (name, contents, culprit) in missing {
        let error = load(&self::files(&[(name, contents)]), Some(LIST)).unwrap_err();
        assert!(error.code() == ErrorCode::NotFound && error.message().contains(culprit), "{error}");
    }
    for (name, code) in [("vocab.txt", ErrorCode::Tokenizer), ("spiece.model", ErrorCode::Format)] {
        let error = load(&self::files(&[(name, "x")]), Some(LIST)).unwrap_err();
        assert!(error.code() == code && error.message().contains(name), "{error}");
    }
    for name in ["sentencepiece.bpe.model", "tokenizer.model"] {
        let error = load(&self::files(&[(name, "x")]), Some(LIST)).unwrap_err();
        assert!(error.code() == ErrorCode::Unsupported && error.message().contains(name), "{error}");
    }
    let bert = self::files(&[("tokenizer_config.json", "{\"tokenizer_class\": \"BertTokenizer\"}")]);
    let error = load(&bert, Some(LIST)).unwrap_err();
    assert!(error.message().contains("BertTokenizer"), "{error}");
    assert!(load(&bert, None).unwrap().is_none());
}

#[test]
fn bundles_offer_the_files() {
    for name in FILES {
        assert!(vitrum::weights::SIDE_FILES.contains(&name), "{name}");
    }
}

#[test]
fn many_special_tokens_take_linear_time() {
    const COUNT: usize = 50_000;
    let texts = |prefix: &str| -> Vec<String> { (0..COUNT).map(|i| format!("<{prefix}{i}>")).collect() };
    let named: serde_json::Map<String, Value> =
        (0..COUNT).map(|i| (format!("x{i}_token"), json!(format!("<named{i}>")))).collect();
    // Ids have no gaps.
    let vocabulary: BTreeMap<String, usize> = serde_json::from_str(VOCAB).unwrap();
    let next = vocabulary.values().max().unwrap() + 1;
    let added: serde_json::Map<String, Value> =
        texts("added").into_iter().enumerate().map(|(i, text)| (text, json!(next + i))).collect();
    let mut config = json!({ "additional_special_tokens": texts("special") });
    config.as_object_mut().unwrap().extend(named);
    let files = with_side_files(
        "tokenizer.json",
        &json!({ "tokenizer_config.json": config, "added_tokens.json": added }),
    );
    let started = std::time::Instant::now();
    let tokenizer = load(&files, None).unwrap().unwrap().with_context_length(77).unwrap();
    // Steps of the square would be 10¹⁰.
    let limit = if cfg!(target_arch = "x86_64") { 10 } else { 100 };
    assert!(started.elapsed().as_secs() < limit, "{:?}", started.elapsed());
    let [special, next] = ["<special7>", "<special8>"].map(|text| tokenizer.encode(text).unwrap()[1]);
    assert_eq!(next, special + 1);
}
