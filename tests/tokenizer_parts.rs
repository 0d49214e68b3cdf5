//! Tokenizers that a `tokenizer.json` describes in parts, and SigLIP's `spiece.model`, against `tokenizers` and
//! transformers.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vitrum::pipelines::tokenizer::{FILES, Tokenizer};
use vitrum::{ErrorCode, Result};

const JSON: &str = "tokenizer.json";

/// Texts with the ids of the reference.
fn rows(directory: &Path) -> Vec<(String, Vec<u32>)> {
    let rows: Vec<Value> = serde_json::from_slice(&fs::read(directory.join("ids.json")).unwrap()).unwrap();
    let row = |row: &Value| {
        let ids = row["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32);
        (row["text"].as_str().unwrap().to_owned(), ids.collect())
    };
    rows.iter().map(row).collect()
}

/// The tokenizer of a directory, with room for any text.
fn load(directory: &Path) -> Tokenizer {
    let read = |name: &str| {
        assert!(FILES.contains(&name), "{name}");
        Ok(fs::read(directory.join(name)).ok().map(Cow::Owned))
    };
    Tokenizer::from_files(read, None).expect("a tokenizer").expect("a vocabulary")
}

/// Directories with `ids.json`, by name.
fn directories(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let mut directories: Vec<_> = entries.filter(|path| path.join("ids.json").exists()).collect();
    directories.sort();
    directories
}

/// How many texts of a directory have other ids than the reference, and how many there are.
fn compare(directory: &Path) -> (usize, usize) {
    let name = directory.file_name().unwrap().to_string_lossy();
    let tokenizer = load(directory).with_context_length(1 << 20).unwrap();
    let rows = rows(directory);
    let mut different = 0;
    for (text, expected) in &rows {
        let ids = tokenizer.encode(text).unwrap();
        if ids != *expected {
            different += 1;
            if different <= 5 {
                println!("{name}: {text:?}\n  found    {ids:?}\n  expected {expected:?}");
            }
        }
    }
    (different, rows.len())
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tokenizer_parts")
}

#[test]
fn equals_the_reference() {
    let directories = directories(&golden());
    assert!(directories.len() >= 10);
    for directory in directories {
        let (different, all) = compare(&directory);
        assert!(all >= 200, "{}", directory.display());
        assert_eq!(different, 0, "{} of {all} texts in {}", different, directory.display());
    }
}

/// What `generators/tokenizer_parts.py` wrote to `VITRUM_TOKENIZERS`.
#[test]
#[ignore = "needs texts and ids of the reference"]
fn equals_the_reference_on_many_texts() {
    let root = std::env::var_os("VITRUM_TOKENIZERS").expect("VITRUM_TOKENIZERS");
    let mut sum = 0;
    for directory in directories(Path::new(&root)) {
        let (different, all) = compare(&directory);
        println!("{}: {different} of {all} differ", directory.display());
        sum += different;
    }
    assert_eq!(sum, 0);
}

/// The golden file of a name with a change.
fn changed(name: &str, change: impl FnOnce(&mut Value)) -> Result<Tokenizer> {
    let mut file: Value = serde_json::from_slice(&fs::read(golden().join(name).join(JSON)).unwrap()).unwrap();
    change(&mut file);
    Tokenizer::from_tokenizer_json(file.to_string().as_bytes())
}

/// The tokenizer of a golden directory with other side files.
fn beside(name: &str, files: &[(&str, Value)]) -> Result<Tokenizer> {
    let directory = golden().join(name);
    let read = |name: &str| {
        let found = files.iter().find(|(known, _)| *known == name);
        let contents = found.map(|(_, file)| file.to_string().into_bytes());
        Ok(contents.or_else(|| fs::read(directory.join(name)).ok()).map(Cow::Owned))
    };
    Tokenizer::from_files(read, None).map(|tokenizer| tokenizer.expect("a vocabulary"))
}

#[test]
fn roberta_s_configuration_says_whether_texts_begin_with_a_space() {
    let encode = |config: Value, text: &str| {
        let tokenizer = beside("roberta", &[("tokenizer_config.json", config)]).unwrap();
        tokenizer.encode(text).unwrap()
    };
    let class = |adds: Value| json!({"tokenizer_class": "RobertaTokenizer", "add_prefix_space": adds});
    assert_ne!(encode(json!({}), "photo"), encode(json!({}), " photo"));
    assert_eq!(encode(class(json!(null)), "photo"), encode(json!({}), "photo"));
    assert_eq!(encode(class(json!(true)), "photo"), encode(json!({}), " photo"));
    let wrong = beside("roberta", &[("tokenizer_config.json", class(json!("yes")))]).unwrap_err();
    assert!(wrong.message().contains("add_prefix_space is \"yes\""), "{wrong}");
}

#[test]
fn siglip_s_texts_are_64_ids() {
    for (name, padding) in [("siglip-spiece", 1), ("siglip", 1), ("gemma", 0)] {
        let class = if name == "gemma" { "Siglip2Tokenizer" } else { "SiglipTokenizer" };
        let token = if name == "gemma" { "<pad>" } else { "</s>" };
        let config = json!({"tokenizer_class": class, "padding_side": "right", "pad_token": token});
        let tokenizer = beside(name, &[("tokenizer_config.json", config)]).unwrap();
        assert_eq!(
            (tokenizer.context_length(), tokenizer.padding_id(), tokenizer.end_id()),
            (64, padding, 1),
            "{name}"
        );
        let texts = ["A photo of a CAT".to_owned(), "word ".repeat(200), String::new()];
        let mut ids = [u32::MAX; 3 * 64];
        tokenizer.encode_batch(&texts, &mut ids).unwrap();
        let (first, rest) = ids.split_at(64);
        let own = tokenizer.encode(&texts[0]).unwrap();
        assert!(own.len() > 2 && first.starts_with(&own) && own.ends_with(&[1]), "{name}");
        assert!(first[own.len()..].iter().all(|&id| id == padding), "{name}");
        assert_eq!(rest[63], 1, "{name}: the last of too many is the end");
        assert!(rest[62] != padding && rest[62] != 1, "{name}");
        assert_eq!(rest[64..66], [1, padding], "{name}: an empty text is the end");
        assert_eq!(own, tokenizer.encode("a photo of a cat").unwrap(), "{name}: lower case");
    }
}

#[test]
fn gemma_s_class_keeps_capitals() {
    let tokenizer =
        beside("gemma", &[("tokenizer_config.json", json!({"tokenizer_class": "GemmaTokenizer"}))]).unwrap();
    assert_ne!(tokenizer.encode("A CAT").unwrap(), tokenizer.encode("a cat").unwrap());
    assert_eq!(
        tokenizer.encode("A CAT").unwrap(),
        changed("gemma", |_| {}).unwrap().encode("A CAT").unwrap()
    );
}

#[test]
fn bert_goes_by_its_configuration_and_by_lists() {
    let config = |flags: Value| {
        let mut config = json!({"tokenizer_class": "BertTokenizer"});
        config.as_object_mut().unwrap().extend(flags.as_object().unwrap().clone());
        [("tokenizer_config.json", config)]
    };
    let text = "Café 猫猫";
    let plain = changed("bert", |_| {}).unwrap().encode(text).unwrap();
    assert_eq!(beside("bert-cased", &config(json!({}))).unwrap().encode("cafe").unwrap().len(), 3 + 1);
    assert_eq!(beside("bert", &config(json!({}))).unwrap().encode(text).unwrap(), plain);
    assert_ne!(
        beside("bert", &config(json!({"do_lower_case": false}))).unwrap().encode(text).unwrap(),
        plain
    );
    let error = beside("bert", &config(json!({"do_lower_case": 1}))).unwrap_err();
    assert!(error.message().contains("do_lower_case"), "{error}");

    // The same vocabulary as a list.
    let file: Value = serde_json::from_slice(&fs::read(golden().join("bert").join(JSON)).unwrap()).unwrap();
    let mut tokens: Vec<(u64, &str)> = file["model"]["vocab"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(token, id)| (id.as_u64().unwrap(), token.as_str()))
        .collect();
    tokens.sort_unstable();
    for end in ["\n", "\r\n"] {
        let list: String = tokens.iter().flat_map(|(_, token)| [token, end]).collect();
        let read = |name: &str| Ok((name == "vocab.txt").then_some(Cow::Borrowed(list.as_bytes())));
        let tokenizer = Tokenizer::from_files(read, None).unwrap().unwrap();
        assert_eq!((tokenizer.start_id(), tokenizer.end_id(), tokenizer.padding_id()), (2, 3, 0));
        for (text, ids) in rows(&golden().join("bert")).iter().filter(|row| row.1.len() <= 77) {
            assert_eq!(tokenizer.encode(text).unwrap(), *ids, "{text:?}");
        }
    }
}

#[test]
fn open_clip_cleans_before() {
    let config = json!({"model_cfg": {"text_cfg": {"hf_tokenizer_name": "timm/ViT-B-16-SigLIP",
        "tokenizer_kwargs": {"clean": "canonicalize"}}}});
    let cleaned = beside("t5", &[("open_clip_config.json", config)]).unwrap();
    let plain = changed("t5", |_| {}).unwrap();
    assert_eq!(cleaned.encode("A  Photo_of, a\nCat!").unwrap(), plain.encode("a photo of a cat").unwrap());
}

#[test]
fn what_is_not_known_is_refused_by_place_and_name() {
    let step = |kind: &str| json!({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": kind}]});
    let cases: [(&str, Result<Tokenizer>, &str); 22] = [
        ("t5", changed("t5", |f| f["normalizer"] = step("NFKC")), "normalizer.normalizers[1]: type \"NFKC\""),
        (
            "t5",
            changed("t5", |f| f["normalizer"] = step("Other")),
            "normalizer.normalizers[1]: type \"Other\"",
        ),
        (
            "gemma",
            changed("gemma", |f| f["pre_tokenizer"]["type"] = json!("UnicodeScripts")),
            "pre_tokenizer: type \"UnicodeScripts\"",
        ),
        ("gemma", changed("gemma", |f| f["pre_tokenizer"]["more"] = json!(1)), "pre_tokenizer.more"),
        (
            "gemma",
            changed("gemma", |f| f["pre_tokenizer"]["behavior"] = json!("X")),
            "pre_tokenizer.behavior",
        ),
        (
            "gemma",
            changed("gemma", |f| f["normalizer"]["pattern"] = json!({"Regex": "a|b"})),
            "normalizer: pattern is not known: {\"Regex\":\"a|b\"}",
        ),
        ("gemma", changed("gemma", |f| f["model"]["dropout"] = json!(0.1)), "model.dropout"),
        ("gemma", changed("gemma", |f| f["model"]["type"] = json!("WordLevel")), "model: type \"WordLevel\""),
        ("gemma", changed("gemma", |f| f["model"]["x"] = json!(0)), "model.x"),
        ("gemma", changed("gemma", |f| f["model"]["fuse_unk"] = json!("yes")), "model.fuse_unk"),
        ("gemma", changed("gemma", |f| f["version"] = json!("2.0")), "file.version"),
        ("gemma", changed("gemma", |f| f["other"] = json!({})), "file.other"),
        (
            "gemma",
            changed("gemma", |f| f["post_processor"]["type"] = json!("X")),
            "post_processor: type \"X\"",
        ),
        (
            "gemma",
            changed("gemma", |f| f["post_processor"]["single"][0] = json!({})),
            "post_processor.single[0]",
        ),
        ("gemma", changed("gemma", |f| f["added_tokens"][0]["single_word"] = json!(true)), "single_word"),
        (
            "gemma",
            changed("gemma", |f| f["truncation"] = json!({"direction": "Left"})),
            "truncation.direction",
        ),
        ("gemma", changed("gemma", |f| f["padding"] = json!({"direction": "Left"})), "padding.direction"),
        ("t5", changed("t5", |f| f["pre_tokenizer"]["prepend_scheme"] = json!("x")), "prepend_scheme"),
        ("t5", changed("t5", |f| f["pre_tokenizer"]["replacement"] = json!("ab")), "replacement"),
        (
            "clip",
            beside("gemma", &[("tokenizer_config.json", json!({"tokenizer_class": "CLIPTokenizer"}))]),
            "CLIPTokenizer",
        ),
        (
            "class",
            beside("gemma", &[("tokenizer_config.json", json!({"tokenizer_class": "Other"}))]),
            "Other",
        ),
        (
            "side",
            beside("gemma", &[("tokenizer_config.json", json!({"padding_side": "left"}))]),
            "padding_side",
        ),
    ];
    for (name, outcome, message) in cases {
        let error = outcome.expect_err(message);
        assert_eq!(error.code(), ErrorCode::Unsupported, "{name}: {error}");
        assert!(error.message().contains(message), "{name}: {error}");
        assert!(error.message().len() < 300, "{error}");
    }
}

#[test]
fn hostile_files_are_refused() {
    use ErrorCode::{Format, Limit, Tokenizer as Inconsistent};

    let vocab =
        |change: fn(&mut Vec<Value>)| changed("t5", |f| change(f["model"]["vocab"].as_array_mut().unwrap()));
    let text = |name: &str| fs::read_to_string(golden().join(name).join(JSON)).unwrap();
    let replaced = |name: &str, from: &str, to: &str| {
        let file = text(name);
        assert!(file.contains(from), "{from}");
        Tokenizer::from_tokenizer_json(file.replacen(from, to, 1).as_bytes())
    };
    let steps =
        |count: usize| json!({"type": "Sequence", "normalizers": vec![json!({"type": "NFC"}); count]});
    let mut nested = json!({"type": "NFC"});
    for _ in 0..30 {
        nested = json!({"type": "Sequence", "normalizers": [nested]});
    }
    let charsmap = |map: &str| {
        let map = json!({"type": "Precompiled", "precompiled_charsmap": map});
        changed("t5", |f| f["normalizer"] = map)
    };
    let merge = |merge: Value| changed("gemma", |f| f["model"]["merges"].as_array_mut().unwrap().push(merge));
    let long = "x".repeat(1 << 20);
    let cases = [
        ("no score", vocab(|v| v[5] = json!(["a"])), Inconsistent),
        ("two scores", vocab(|v| v[5] = json!(["a", 1, 2])), Inconsistent),
        ("score a string", vocab(|v| v[5] = json!(["a", "1"])), Inconsistent),
        ("score null", vocab(|v| v[5] = json!(["a", null])), Inconsistent),
        ("score NaN", replaced("t5", "[\"<pad>\", 0.0]", "[\"<pad>\", NaN]"), Format),
        ("score infinite", replaced("t5", "[\"<pad>\", 0.0]", "[\"<pad>\", 1e999]"), Format),
        ("piece a number", vocab(|v| v[5] = json!([5, 1.0])), Inconsistent),
        ("piece twice", vocab(|v| v[5] = v[6].clone()), Format),
        ("piece empty", vocab(|v| v[5] = json!(["", -1.0])), Inconsistent),
        ("piece long", vocab(|v| v.push(json!(["y".repeat(600), -1.0]))), Limit),
        ("empty vocabulary", vocab(Vec::clear), Inconsistent),
        ("vocabulary a string", changed("t5", |f| f["model"]["vocab"] = json!("x")), Inconsistent),
        ("no vocabulary", changed("t5", |f| f["model"]["vocab"] = Value::Null), Inconsistent),
        (
            "vocabulary of another kind",
            changed("t5", |f| f["model"]["vocab"] = json!({"a": 0})),
            Inconsistent,
        ),
        ("unknown id beyond", changed("t5", |f| f["model"]["unk_id"] = json!(100_000)), Inconsistent),
        ("no unknown id", changed("t5", |f| f["model"]["unk_id"] = Value::Null), Inconsistent),
        ("unknown token absent", changed("gemma", |f| f["model"]["unk_token"] = json!("zz")), Inconsistent),
        ("id twice", changed("gemma", |f| f["model"]["vocab"]["<mask>"] = json!(3)), Inconsistent),
        (
            "id beyond",
            changed("gemma", |f| f["model"]["vocab"]["<mask>"] = json!(4_000_000_000_u32)),
            Inconsistent,
        ),
        ("key twice", replaced("gemma", "\"version\"", "\"version\": \"1.0\", \"version\""), Format),
        ("merge of nothing", merge(json!(["", "a"])), Inconsistent),
        ("merge of three", merge(json!(["a", "b", "c"])), Inconsistent),
        ("merge absent", merge(json!(["a", "zzzzz"])), Inconsistent),
        ("merge long", merge(json!([long, "a"])), Inconsistent),
        ("merges a string", changed("gemma", |f| f["model"]["merges"] = json!("x")), Inconsistent),
        ("no merges", changed("gemma", |f| f["model"]["merges"] = Value::Null), Inconsistent),
        ("template id beyond", replaced("t5", "\"ids\": [1]", "\"ids\": [99999]"), Inconsistent),
        ("template id elsewhere", replaced("t5", "\"ids\": [1]", "\"ids\": [5]"), Inconsistent),
        ("template long", replaced("t5", "\"ids\": [1]", &format!("\"ids\": {:?}", [1; 100])), Inconsistent),
        ("added token elsewhere", changed("t5", |f| f["added_tokens"][0]["id"] = json!(7)), Inconsistent),
        ("padding beyond", changed("t5", |f| f["padding"] = json!({"pad_id": 99999})), Inconsistent),
        ("no room", changed("t5", |f| f["truncation"] = json!({"max_length": 1})), Inconsistent),
        ("many steps", changed("t5", |f| f["normalizer"] = steps(65)), Limit),
        ("deep steps", changed("t5", |f| f["normalizer"] = nested), Limit),
        ("no base64", charsmap("x!"), Inconsistent),
        ("empty table", charsmap(""), Inconsistent),
        ("table cut", charsmap("AAEA"), Inconsistent),
    ];
    for (name, outcome, code) in cases {
        let error = outcome.expect_err(name);
        assert_eq!(error.code(), code, "{name}: {error}");
        assert!((10..300).contains(&error.message().len()), "{name}: {error}");
    }
}

#[test]
fn hostile_models_of_sentencepiece_are_refused() {
    use ErrorCode::{Format, Tokenizer as Inconsistent, Unsupported, Utf8};

    let load = |bytes: &[u8]| {
        let read = |name: &str| Ok((name == "spiece.model").then_some(Cow::Borrowed(bytes)));
        Tokenizer::from_files(read, None).map(|tokenizer| tokenizer.expect("a model"))
    };
    let golden = fs::read(golden().join("siglip-spiece/spiece.model")).unwrap();
    load(&golden).unwrap();
    // Cut anywhere, it is refused or a smaller model; nothing panics.
    for end in (0..golden.len()).step_by(97) {
        if let Ok(tokenizer) = load(&golden[..end]) {
            tokenizer.encode("a photo of a cat").unwrap();
        }
    }
    let field = |number: u8, bytes: &[u8]| [&[number << 3 | 2, bytes.len() as u8][..], bytes].concat();
    let piece = |text: &[u8], score: f32, kind: u8| {
        field(1, &[&field(1, text)[..], &[0x15], &score.to_le_bytes(), &[0x18, kind]].concat())
    };
    let specials = [piece(b"<pad>", 0.0, 3), piece(b"</s>", 0.0, 3), piece(b"<unk>", 0.0, 2)].concat();
    let with = |more: &[u8]| load(&[&specials[..], more].concat());
    let small = with(&piece("▁a".as_bytes(), -1.0, 1)).unwrap();
    assert_eq!(small.encode("a").unwrap(), [3, 1]);
    let cases = [
        ("empty", load(b""), Inconsistent),
        ("no unknown", load(&piece(b"</s>", 0.0, 3)), Inconsistent),
        ("two unknown", with(&piece(b"x", 0.0, 2)), Inconsistent),
        ("no number", load(b"\x08"), Format),
        ("piece twice", with(&[piece(b"a", 0.0, 1), piece(b"a", 0.0, 1)].concat()), Format),
        ("piece empty", with(&piece(b"", 0.0, 1)), Inconsistent),
        ("not UTF-8", with(&piece(b"\xFF", 0.0, 1)), Utf8),
        ("score NaN", with(&piece(b"a", f32::NAN, 1)), Inconsistent),
        ("kind", with(&piece(b"a", 0.0, 9)), Unsupported),
        ("bytes", with(&piece(b"<0x00>", 0.0, 6)), Unsupported),
        ("a field", with(&field(9, b"x")), Unsupported),
        ("BPE", with(&field(2, &[0x18, 2])), Unsupported),
        ("table", with(&field(3, &field(2, b"abcdef"))), Inconsistent),
        ("no end", load(&piece(b"<unk>", 0.0, 2)), Inconsistent),
    ];
    for (name, outcome, code) in cases {
        let error = outcome.expect_err(name);
        assert_eq!(error.code(), code, "{name}: {error}");
        assert!(error.message().starts_with("spiece.model") || code == Inconsistent, "{name}: {error}");
    }
}

#[test]
fn long_texts_of_anything_take_linear_time() {
    const SIZE: usize = 1 << 18;
    // An emulated or busy machine gets more; only a quadratic algorithm takes longer than that.
    let limit = Duration::from_secs(if cfg!(target_arch = "x86_64") { 5 } else { 60 });
    let texts = [
        "a",
        "▁",
        " ",
        "a ",
        "猫",
        "\u{301}",
        "\0",
        "1",
        "<pad>",
        "</s>",
        "[SEP]",
        "\n",
        "e\u{301}",
        "\u{1F468}\u{200D}",
    ];
    for directory in directories(&golden()) {
        let tokenizer = load(&directory).with_context_length(2 * SIZE).unwrap();
        for unit in texts {
            let text = unit.repeat(SIZE / unit.len());
            let started = Instant::now();
            tokenizer.encode(&text).unwrap();
            let elapsed = started.elapsed();
            assert!(elapsed < limit, "{} {unit:?}: {elapsed:?}", directory.display());
        }
    }
}

#[test]
fn texts_that_grow_without_bound_are_refused() {
    let long = "x".repeat(1 << 20);
    let tokenizer = changed("gemma", |f| f["normalizer"]["content"] = json!(long)).unwrap();
    let error = tokenizer.encode(&" ".repeat(1000)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Limit, "{error}");
}
