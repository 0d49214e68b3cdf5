//! The tokenizer against `CLIPTokenizerFast`, against hostile files and against long texts.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vitrum::pipelines::tokenizer::{Cleaning, MAX_FILE_BYTES, MAX_TEXT_BYTES, Overlong, Tokenizer};
use vitrum::{ErrorCode, Result};

const TOKENIZER: &str = include_str!("golden/tokenizer/tokenizer.json");
const VOCAB: &str = include_str!("golden/tokenizer/vocab.json");
const MERGES: &str = include_str!("golden/tokenizer/merges.txt");
const LIST: &str = include_str!("golden/tokenizer/bpe_simple_vocab.txt");
const TOKENS: &str = include_str!("golden/tokenizer/tokens.json");
const CLEANING: &str = include_str!("golden/tokenizer/cleaning.json");

fn tokenizer() -> Tokenizer {
    Tokenizer::from_tokenizer_json(TOKENIZER.as_bytes()).unwrap()
}

/// The golden tokenizer from each kind of file.
fn sources() -> Vec<(&'static str, Tokenizer)> {
    let mut joined = golden_json();
    for merge in joined["model"]["merges"].as_array_mut().unwrap() {
        *merge = json!(format!("{} {}", merge[0].as_str().unwrap(), merge[1].as_str().unwrap()));
    }
    let sources = [
        ("tokenizer.json", Tokenizer::from_tokenizer_json(TOKENIZER.as_bytes())),
        ("tokenizer.json, merges joined", Tokenizer::from_tokenizer_json(joined.to_string().as_bytes())),
        ("vocab.json and merges.txt", Tokenizer::from_vocab_merges(VOCAB.as_bytes(), MERGES.as_bytes())),
        ("OpenAI's list", Tokenizer::from_openai_bpe(LIST.as_bytes())),
        #[cfg(feature = "gzip")]
        ("OpenAI's list, gzipped", Tokenizer::from_openai_bpe(&gzip(LIST.as_bytes(), 0, &[]))),
    ];
    sources.map(|(name, tokenizer)| (name, tokenizer.unwrap())).into()
}

fn golden_json() -> Value {
    serde_json::from_str(TOKENIZER).unwrap()
}

/// The rows `{"text", "ids"}` of one table of `tokens.json` or `cleaning.json`.
fn rows(file: &str, table: &str) -> Vec<(String, Vec<u32>)> {
    let file: Value = serde_json::from_str(file).unwrap();
    let row = |row: &Value| {
        let ids = row["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32);
        (row["text"].as_str().unwrap().to_owned(), ids.collect())
    };
    file[table].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn equals_the_reference_from_every_source() {
    let (untruncated, truncated) = (rows(TOKENS, "untruncated"), rows(TOKENS, "truncated"));
    assert!(untruncated.len() >= 120 && !truncated.is_empty());
    let original: HashMap<String, Vec<u32>> = rows(TOKENS, "original_differs").into_iter().collect();
    assert!(original.len() >= 20);
    for (name, tokenizer) in sources() {
        let cut = tokenizer.clone().with_context_length(77).unwrap();
        let whole = tokenizer.with_context_length(1 << 20).unwrap();
        for (text, ids) in &untruncated {
            let ids = if name.starts_with("OpenAI") { original.get(text).unwrap_or(ids) } else { ids };
            assert_eq!(whole.encode(text).unwrap(), *ids, "{name}: {text:?}");
        }
        for (text, ids) in &truncated {
            assert_eq!(ids.len(), 77);
            assert_eq!(cut.encode(text).unwrap(), *ids, "{name}: {text:?}");
        }
    }
}

#[test]
fn texts_for_openai_s_vocabulary_are_cleaned() {
    let plain = Tokenizer::from_openai_bpe(LIST.as_bytes()).unwrap();
    let ways = [
        ("lower", Cleaning::Lower, 200),
        ("whitespace", Cleaning::Whitespace, 20),
        ("canonicalize", Cleaning::Canonicalize, 20),
    ];
    for (name, cleaning, least) in ways {
        let tokenizer = plain.clone().with_cleaning(cleaning).unwrap().with_context_length(1 << 20).unwrap();
        let rows = rows(CLEANING, name);
        assert!(rows.len() >= least);
        for (text, ids) in rows {
            assert_eq!(tokenizer.encode(&text).unwrap(), ids, "{name}: {text:?}");
        }
    }
    for (dirty, clean) in
        [("cat &amp; dog", "cat & dog"), ("cat’s", "cat's"), ("ﬁsh", "fish"), ("cafÃ©", "café")]
    {
        assert_eq!(plain.encode(dirty).unwrap(), plain.encode(clean).unwrap(), "{dirty}");
        assert_ne!(tokenizer().encode(dirty).unwrap(), tokenizer().encode(clean).unwrap(), "{dirty}");
    }
    let error = tokenizer().with_cleaning(Cleaning::Lower).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
}

#[test]
fn texts_without_words() {
    for (name, tokenizer) in sources() {
        for text in ["", " ", "\n\t\u{3000}", "\u{A0}"] {
            assert_eq!(tokenizer.encode(text).unwrap(), [912, 913], "{name}: {text:?}");
        }
    }
}

#[test]
fn special_ids_and_sizes() {
    for (name, tokenizer) in sources() {
        let expected = if name.starts_with("OpenAI") { 0 } else { 913 };
        assert_eq!(tokenizer.padding_id(), expected, "{name}");
        assert_eq!((tokenizer.start_id(), tokenizer.end_id()), (912, 913), "{name}");
        assert_eq!((tokenizer.vocabulary_size(), tokenizer.context_length()), (914, 77), "{name}");
    }
}

#[test]
fn overlong_texts_are_cut_or_rejected() {
    let text = "1 ".repeat(4);
    for context in 2..=8 {
        let cut = tokenizer().with_context_length(context).unwrap();
        let ids = cut.encode(&text).unwrap();
        let digits = (context - 2).min(4);
        assert_eq!(ids.len(), digits + 2);
        assert_eq!((ids[0], ids[digits + 1]), (912, 913));

        let strict = cut.with_overlong(Overlong::Reject);
        match strict.encode(&text) {
            Ok(all) => assert!(context >= 6 && all == ids),
            Err(error) => assert!(context < 6 && error.code() == ErrorCode::Limit, "{error}"),
        }
    }
    // A word that does not fit as a whole is cut inside.
    let cut = tokenizer().with_context_length(4).unwrap();
    let whole = tokenizer().encode("zqxzqxzqx").unwrap();
    assert_eq!(cut.encode("zqxzqxzqx").unwrap(), [&whole[..3], &[913]].concat());
}

#[test]
fn batches_are_padded() {
    let tokenizer = tokenizer().with_context_length(5).unwrap().with_padding(7).unwrap();
    let (a, many) = (tokenizer.encode("a").unwrap(), tokenizer.encode("1 2 3 4").unwrap());
    let mut ids = [u32::MAX; 15];
    tokenizer.encode_batch(&["a", "", "1 2 3 4"], &mut ids).unwrap();
    assert_eq!(ids[..5], [912, a[1], 913, 7, 7]);
    assert_eq!(ids[5..10], [912, 913, 7, 7, 7]);
    assert_eq!(ids[10..], many);

    tokenizer.encode_batch(&[] as &[&str], &mut []).unwrap();
    let code = |length: usize| {
        let mut ids = vec![0; length];
        tokenizer.encode_batch(&["a", "b"], &mut ids).map_err(|error| error.code())
    };
    assert_eq!(code(9), Err(ErrorCode::BufferTooSmall));
    assert_eq!(code(10), Ok(()));
    assert_eq!(code(11), Err(ErrorCode::InvalidArgument));

    let strict = tokenizer.clone().with_overlong(Overlong::Reject);
    let error = strict.encode_batch(&["a", "1 2 3 4"], &mut [0; 10]).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Limit);
    assert!(error.message().starts_with("text 1: "), "{error}");
}

#[test]
fn parameters_outside_their_domain() {
    for length in [0, 1] {
        let error = tokenizer().with_context_length(length).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument);
    }
    assert_eq!(tokenizer().with_padding(914).unwrap_err().code(), ErrorCode::InvalidArgument);
    let text = " ".repeat(MAX_TEXT_BYTES);
    assert_eq!(tokenizer().encode(&text).unwrap(), [912, 913]);
    let error = tokenizer().encode(&(text + " ")).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Limit);
}

#[test]
fn added_tokens_before_and_after_normalisation() {
    let mut file = golden_json();
    let added = file["added_tokens"].as_array_mut().unwrap();
    added[0]["normalized"] = json!(true);
    added.push(json!({"id": 914, "content": "<Cat>", "normalized": false}));
    added.push(json!({"id": 915, "content": "Cafe\u{301}  X", "normalized": true}));
    let tokenizer = Tokenizer::from_tokenizer_json(file.to_string().as_bytes()).unwrap();
    assert_eq!(tokenizer.vocabulary_size(), 916);
    let inside = |text: &str| {
        let ids = tokenizer.encode(text).unwrap();
        ids[1..ids.len() - 1].to_vec()
    };
    assert_eq!(inside("<Cat>"), [914]);
    assert_ne!(inside("<cat>"), [914]);
    assert_eq!(inside("CAFÉ\n x<|STARTOFTEXT|><|endoftext|>"), [915, 912, 913]);
    assert_ne!(inside("<|ENDOFTEXT|>"), [913]);
    assert_eq!(inside("cat<Cat>cat"), [inside("cat"), vec![914], inside("cat")].concat());
}

#[test]
fn special_tokens_in_the_pattern() {
    // Ids of the reference. In lower case this is no added token; the pattern may still stop at it.
    let text = "<|ENDOFTEXT|>!";
    let mut file = golden_json();
    let with = tokenizer().encode(text).unwrap();
    assert_eq!(with, [912, 27, 347, 582, 541, 69, 83, 682, 339, 91, 285, 256, 913]);

    let pattern = &mut file["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"];
    let (_, plain) = pattern.as_str().unwrap().split_at(r"<\|startoftext\|>|<\|endoftext\|>|".len());
    *pattern = json!(plain.to_owned());
    let tokenizer = Tokenizer::from_tokenizer_json(file.to_string().as_bytes()).unwrap();
    let without = tokenizer.encode(text).unwrap();
    assert_eq!(without, [912, 27, 347, 582, 541, 69, 83, 682, 339, 91, 29, 256, 913]);
}

#[test]
fn bytes_that_the_vocabulary_lacks() {
    // The byte 0x21, `!`, alone or at the end of a word, and nothing else.
    let file = |unknown: Value| {
        let mut file = golden_json();
        file["added_tokens"] = json!([]);
        file["post_processor"] = Value::Null;
        let vocab = json!({"!": 0, "!</w>": 1, "<|startoftext|>": 2, "<|endoftext|>": 3, "?": 4});
        file["model"]["vocab"] = vocab;
        file["model"]["merges"] = json!([]);
        file["model"]["unk_token"] = unknown;
        Tokenizer::from_tokenizer_json(file.to_string().as_bytes()).unwrap()
    };
    assert_eq!(file(json!("?")).encode("!a! !;").unwrap(), [2, 1, 4, 1, 0, 4, 3]);
    assert_eq!(file(Value::Null).encode("!a! !;").unwrap(), [2, 1, 1, 0, 3]);
}

/// A change to the golden `tokenizer.json`.
fn json_with(change: impl FnOnce(&mut Value)) -> Result<Tokenizer> {
    let mut file = golden_json();
    change(&mut file);
    Tokenizer::from_tokenizer_json(file.to_string().as_bytes())
}

fn json_with_merge(merge: Value) -> Result<Tokenizer> {
    json_with(|file| file["model"]["merges"].as_array_mut().unwrap().push(merge))
}

fn json_with_id(token: &str, id: Value) -> Result<Tokenizer> {
    json_with(|file| file["model"]["vocab"][token] = id)
}

fn json_with_added(added: Value) -> Result<Tokenizer> {
    json_with(|file| file["added_tokens"].as_array_mut().unwrap().push(added))
}

fn vocab_with(vocab: impl AsRef<[u8]>) -> Result<Tokenizer> {
    Tokenizer::from_vocab_merges(vocab.as_ref(), MERGES.as_bytes())
}

fn merges_with(line: &str) -> Result<Tokenizer> {
    Tokenizer::from_vocab_merges(VOCAB.as_bytes(), format!("{MERGES}{line}\n").as_bytes())
}

fn list_with(line: &str) -> Result<Tokenizer> {
    Tokenizer::from_openai_bpe(format!("{LIST}{line}\n").as_bytes())
}

#[test]
fn hostile_files_have_their_own_errors() {
    use ErrorCode::{Format, Limit, Tokenizer as Inconsistent, Unsupported, Utf8};

    let long = "a".repeat(1 << 20);
    let not_utf8 = |text: &str| [text.as_bytes(), b"\xFF"].concat();
    let split = |file: &mut Value, key: &str, value: Value| {
        file["pre_tokenizer"]["pretokenizers"][0][key] = value;
    };
    let eot = "<|endoftext|>";
    let cases = [
        ("39 long merge", json_with_merge(json!([long, "b"])), Inconsistent),
        ("39 long merge in a text", merges_with(&format!("{long} b")), Inconsistent),
        ("40 left absent", json_with_merge(json!(["zzzz", "a"])), Inconsistent),
        ("40 right absent", json_with_merge(json!("a zzzz")), Inconsistent),
        ("40 result absent", merges_with("q x"), Inconsistent),
        ("41 one field", merges_with("the"), Inconsistent),
        ("41 three fields", merges_with("t h e"), Inconsistent),
        ("41 empty fields", merges_with(" "), Inconsistent),
        ("41 one field in a list", list_with("the"), Inconsistent),
        ("41 three fields in a list", list_with("t h e"), Inconsistent),
        ("41 one of a pair", json_with_merge(json!(["t"])), Inconsistent),
        ("41 three of a pair", json_with_merge(json!(["t", "h", "e"])), Inconsistent),
        ("41 an empty one of a pair", json_with_merge(json!(["", "th"])), Inconsistent),
        ("41 a number", json_with_merge(json!(7)), Inconsistent),
        ("41 merges no list", json_with(|f| f["model"]["merges"] = json!({})), Inconsistent),
        ("42 duplicate id", json_with_id("!", json!(1)), Inconsistent),
        ("42 gap", json_with_id("extra", json!(915)), Inconsistent),
        ("42 id -1", json_with_id("!", json!(-1)), Inconsistent),
        ("42 id 2^32", json_with_id("!", json!(1_u64 << 32)), Inconsistent),
        ("42 id 2^32 - 1", json_with_id("!", json!(u32::MAX)), Inconsistent),
        ("42 id 0.0", json_with_id("!", json!(0.0)), Inconsistent),
        ("42 id \"0\"", json_with_id("!", json!("0")), Inconsistent),
        ("42 duplicate id in vocab.json", vocab_with(VOCAB.replacen(": 7,", ": 8,", 1)), Inconsistent),
        ("42 token twice", vocab_with(VOCAB.replacen('{', "{\"a\": 64,", 1)), Format),
        ("42 added token out of order", json_with_added(json!({"id": 0, "content": eot})), Inconsistent),
        ("42 added token beside", json_with_added(json!({"id": 0, "content": "new"})), Inconsistent),
        ("42 added token far off", json_with_added(json!({"id": 4000, "content": "new"})), Inconsistent),
        ("42 merge twice in a list", list_with("t h"), Inconsistent),
        ("43 end beyond", json_with(|f| f["post_processor"]["sep"][1] = json!(914)), Inconsistent),
        ("43 end elsewhere", json_with(|f| f["post_processor"]["sep"][1] = json!(5)), Inconsistent),
        ("43 end unknown", json_with(|f| f["post_processor"]["sep"][0] = json!("</s>")), Inconsistent),
        ("43 end no pair", json_with(|f| f["post_processor"]["sep"] = json!(913)), Inconsistent),
        ("43 no end token", vocab_with(VOCAB.replacen(eot, "other", 1)), Inconsistent),
        ("43 padding beyond", json_with(|f| f["padding"] = json!({"pad_id": 914})), Inconsistent),
        ("44 tokenizer.json", Tokenizer::from_tokenizer_json(&not_utf8(TOKENIZER)), Utf8),
        ("44 vocab.json", vocab_with(not_utf8(VOCAB)), Utf8),
        ("44 merges.txt", Tokenizer::from_vocab_merges(VOCAB.as_bytes(), &not_utf8(MERGES)), Utf8),
        ("44 list", Tokenizer::from_openai_bpe(&not_utf8(LIST)), Utf8),
        ("46 empty added token", json_with_added(json!({"id": 914, "content": ""})), Inconsistent),
        ("46 added token without id", json_with_added(json!({"content": "x"})), Inconsistent),
        ("empty token", json_with_id("", json!(914)), Inconsistent),
        ("empty tokenizer.json", Tokenizer::from_tokenizer_json(b""), Format),
        ("not JSON", Tokenizer::from_tokenizer_json(b"{"), Format),
        ("deep JSON", Tokenizer::from_tokenizer_json("[".repeat(100_000).as_bytes()), Limit),
        ("not an object", Tokenizer::from_tokenizer_json(b"[]"), Unsupported),
        ("empty vocab.json", vocab_with(""), Format),
        ("vocab.json a list", vocab_with("[]"), Inconsistent),
        ("vocab.json without tokens", vocab_with("{}"), Inconsistent),
        ("list without title", Tokenizer::from_openai_bpe(b"t h\n"), Inconsistent),
        ("empty list", Tokenizer::from_openai_bpe(b""), Inconsistent),
        ("large file", vocab_with(vec![b' '; MAX_FILE_BYTES + 1]), Limit),
        ("normaliser", json_with(|f| f["normalizer"]["normalizers"][0]["type"] = json!("NFKC")), Unsupported),
        ("no normaliser", json_with(|f| f["normalizer"] = Value::Null), Unsupported),
        ("pattern", json_with(|f| split(f, "pattern", json!({"Regex": r"\w+"}))), Unsupported),
        ("pattern inverted", json_with(|f| split(f, "invert", json!(false))), Unsupported),
        ("post-processor", json_with(|f| f["post_processor"]["type"] = json!("Other")), Unsupported),
        ("model", json_with(|f| f["model"]["type"] = json!("Unigram")), Unsupported),
        ("dropout", json_with(|f| f["model"]["dropout"] = json!(0.1)), Unsupported),
        ("byte fallback", json_with(|f| f["model"]["byte_fallback"] = json!(true)), Unsupported),
        ("no word end", json_with(|f| f["model"]["end_of_word_suffix"] = Value::Null), Unsupported),
        ("unknown token", json_with(|f| f["model"]["unk_token"] = json!("zzzz")), Inconsistent),
        ("single word", json_with(|f| f["added_tokens"][0]["single_word"] = json!(true)), Unsupported),
    ];
    for (name, outcome, code) in cases {
        let error = outcome.expect_err(name);
        assert_eq!(error.code(), code, "{name}: {error}");
        assert!((10..300).contains(&error.message().len()), "{name}: {error}");
    }
}

#[cfg(feature = "gzip")]
#[test]
fn gzip_files() {
    let list = LIST.as_bytes();
    let ids = tokenizer().encode("a photo").unwrap();
    let accepted = [
        ("plain", gzip(list, 0, &[])),
        ("name", gzip(list, 1 << 3, b"list.txt\0")),
        ("everything", gzip(list, 0b1_1111, b"\x02\0xxname\0comment\0cc")),
    ];
    for (name, file) in accepted {
        let tokenizer = Tokenizer::from_openai_bpe(&file).expect(name);
        assert_eq!(tokenizer.encode("a photo").unwrap(), ids, "{name}");
    }

    let changed = |at: usize| {
        let mut file = gzip(list, 0, &[]);
        let at = if at < 20 { at } else { file.len() - (at - 20) };
        file[at] ^= 0x80;
        file
    };
    let bomb = gzip(&vec![b'\n'; MAX_FILE_BYTES + 1], 0, &[]);
    let rejected = [
        ("magic only", vec![0x1F, 0x8B], ErrorCode::Format),
        ("header only", gzip(list, 0, &[])[..12].to_vec(), ErrorCode::Format),
        ("cut", gzip(list, 0, &[])[..500].to_vec(), ErrorCode::Format),
        ("method", changed(2), ErrorCode::Format),
        ("reserved flag", changed(3), ErrorCode::Format),
        ("block type", gzip(list, 1 << 2, &[0xFF, 0xFF]), ErrorCode::Format),
        ("name without end", gzip(&[1; 40], 1 << 3, b""), ErrorCode::Format),
        ("length", changed(20 + 1), ErrorCode::Format),
        ("checksum", changed(20 + 5), ErrorCode::Format),
        ("bomb", bomb, ErrorCode::Limit),
    ];
    for (name, file, code) in rejected {
        let error = Tokenizer::from_openai_bpe(&file).expect_err(name);
        assert_eq!(error.code(), code, "{name}: {error}");
    }
}

/// A gzip file with `flags` and the header fields that they announce.
#[cfg(feature = "gzip")]
fn gzip(contents: &[u8], flags: u8, fields: &[u8]) -> Vec<u8> {
    let crc = !contents.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ ((crc & 1) * 0xEDB8_8320))
    });
    let mut file = vec![0x1F, 0x8B, 8, flags, 0, 0, 0, 0, 0, 3];
    file.extend(fields);
    file.extend(miniz_oxide::deflate::compress_to_vec(contents, 6));
    file.extend(crc.to_le_bytes());
    file.extend((contents.len() as u32).to_le_bytes());
    file
}

#[test]
fn a_mebibyte_of_anything_takes_less_than_a_second() {
    const SIZE: usize = 1 << 20;
    // An emulated machine gets more; only a quadratic algorithm takes longer than that.
    let limit = Duration::from_secs(if cfg!(target_arch = "x86_64") { 1 } else { 20 });
    let mut state = 1_u32;
    let mut letter = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + (state >> 24) as u8 % 26)
    };
    let random: String = (0..SIZE).map(|_| letter()).collect();
    // What is repeated to a mebibyte, and its bytes after normalisation, spaces aside.
    let texts = [
        ("one letter", "a", 1),
        ("one word of words", "thephotographs", 14),
        ("random letters", random.as_str(), SIZE),
        ("emoji", "😀", 4),
        ("joined emoji", "👩\u{200D}🚀\u{FE0F}", 14),
        ("punctuation", "'", 1),
        ("marks in the wrong order", "\u{301}\u{323}", 4),
        ("syllables in parts", "\u{1100}\u{1161}\u{11A8}", 3),
        ("letters that decompose", "\u{1F82}", 3),
        ("capital letters", "ÀΣİ", 7),
        ("digits", "7", 1),
        ("spaces", " \u{3000}\n", 0),
        ("almost special tokens", "<|endoftext|", 12),
        ("special tokens", "<|endoftext|>", 13),
    ];
    // Symbols of a token: a byte each.
    let vocab: HashMap<String, u32> = serde_json::from_str(VOCAB).unwrap();
    let symbols: HashMap<u32, usize> = vocab
        .iter()
        .map(|(token, &id)| (id, token.strip_suffix("</w>").unwrap_or(token).chars().count()))
        .collect();
    let tokenizer = tokenizer().with_context_length(2 * SIZE).unwrap();
    for (name, unit, bytes) in texts {
        let repeats = SIZE / unit.len();
        let text = unit.repeat(repeats);
        let timed = || {
            let started = Instant::now();
            (tokenizer.encode(&text).unwrap(), started.elapsed())
        };
        // Other processes may disturb a run, hardly five.
        let (ids, mut elapsed) = timed();
        for _ in 1..5 {
            if elapsed >= limit {
                elapsed = timed().1;
            }
        }
        println!("{name}: {elapsed:?}, {} tokens", ids.len());
        assert!(elapsed < limit, "{name}: {elapsed:?}");
        let spelt: usize = ids[1..ids.len() - 1].iter().map(|id| symbols[id]).sum();
        assert_eq!(spelt, bytes * repeats, "{name}");
    }
}

#[test]
fn a_mebibyte_of_damage_is_cleaned_in_linear_time() {
    const SIZE: usize = 1 << 20;
    let limit = Duration::from_secs(if cfg!(target_arch = "x86_64") { 3 } else { 60 });
    let tokenizer = Tokenizer::from_openai_bpe(LIST.as_bytes()).unwrap();
    // What is repeated, and what comes after it once.
    let texts = [
        ("ampersands within ampersands", "amp;", ""),
        ("references", "&amp;", ""),
        ("references without semicolon", "&notit", ""),
        ("long words after ampersands", "&aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", ""),
        ("numbers", "&#1234567890", ""),
        ("mojibake", "Ã©", ""),
        ("mojibake of mojibake", "ÃƒÂ©", ""),
        ("mojibake that grows shorter from its end", "Â", "©"),
        ("stretches of mojibake", "cafÃ© 漢 ", ""),
        ("no encoding has all", "Ã©вЂ™√©ā€", ""),
        ("bad but not UTF-8", "Ã\u{AD}x€", ""),
        ("lost bytes", "â€\u{FFFD}", ""),
        ("spaces for A0", "Ã la ", ""),
        ("C1 controls", "\u{92}", ""),
        ("escapes", "\u{1B}[", ""),
        ("escapes of digits", "\u{1B}[1", ""),
        ("ligatures", "ﬁﬃ", ""),
        ("lines", "“\n", ""),
    ];
    for (name, unit, end) in texts {
        let start = if unit == "amp;" { "&" } else { "" };
        let text = format!("{start}{}{end}", unit.repeat(SIZE / unit.len()));
        let timed = || {
            let started = Instant::now();
            let ids = tokenizer.encode(&text).unwrap();
            (ids.len(), started.elapsed())
        };
        let (tokens, mut elapsed) = timed();
        for _ in 1..5 {
            if elapsed >= limit {
                elapsed = timed().1;
            }
        }
        println!("{name}: {elapsed:?}, {tokens} tokens");
        assert!(elapsed < limit, "{name}: {elapsed:?}");
    }
}
