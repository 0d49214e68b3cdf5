//! Tokenizers' files, and texts.

use std::borrow::Cow;
use std::sync::LazyLock;

use vitrum::pipelines::tokenizer::{Cleaning, Tokenizer};

use crate::{accepted, parts};

/// Texts that use every rule once.
const TEXTS: [&str; 4] =
    ["", "A photo of 2 cats, isn't it?", "<|startoftext|> é\u{301} ﬁ ß", "日本語 \u{1f600}\u{200d}\t…"];

/// What must hold of the ids of `text`.
fn check(tokenizer: &Tokenizer, text: &str) {
    let Some(ids) = accepted(tokenizer.encode(text)) else { return };
    assert!(ids.len() <= tokenizer.context_length(), "{} ids", ids.len());
    assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocabulary_size()));
    if tokenizer.context_length() <= 1 << 12 {
        let mut padded = vec![0; tokenizer.context_length()];
        tokenizer.encode_batch(&[text], &mut padded).expect("encoded before");
        let (front, back) = padded.split_at(ids.len());
        assert_eq!(front, ids);
        assert!(back.iter().all(|&id| id == tokenizer.padding_id()));
    }
}

/// The same, and that start and end are around them, as CLIP's are.
fn check_clip(tokenizer: &Tokenizer, text: &str) {
    check(tokenizer, text);
    let Some(ids) = accepted(tokenizer.encode(text)) else { return };
    assert_eq!((ids[0], ids[ids.len() - 1]), (tokenizer.start_id(), tokenizer.end_id()));
}

fn check_all(tokenizer: Option<Tokenizer>) {
    if let Some(tokenizer) = tokenizer {
        TEXTS.iter().for_each(|text| check(&tokenizer, text));
    }
}

/// A `tokenizer.json`.
pub fn json(data: &[u8]) {
    check_all(accepted(Tokenizer::from_tokenizer_json(data)));
}

/// The files that may lie beside a vocabulary, in the order in which [`lists`] takes them.
pub const SIDES: [&str; 4] =
    ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "open_clip_config.json"];

/// The first byte chooses the vocabulary: OpenAI's list or `spiece.model`, all the rest, the list perhaps gzipped; or, with NULs
/// between them, `vocab.json` and `merges.txt`, `tokenizer.json`, `vocab.txt`, or OpenAI's list, and then [`SIDES`].
pub fn lists(data: &[u8]) {
    let Some((&first, data)) = data.split_first() else { return };
    let names: &[&str] = match first % 6 {
        0 => return check_all(accepted(Tokenizer::from_openai_bpe(data))),
        4 => {
            let read = |name: &str| Ok((name == "spiece.model").then_some(Cow::Borrowed(data)));
            return check_all(accepted(Tokenizer::from_files(read, None)).flatten());
        }
        5 => &["vocab.txt"],
        1 => &["vocab.json", "merges.txt"],
        2 => &["tokenizer.json"],
        _ => &["bpe_simple_vocab_16e6.txt"],
    };
    let names = names.iter().chain(&SIDES);
    let files: Vec<_> = names.zip(parts(data)).filter(|(_, contents)| !contents.is_empty()).collect();
    let read = |name: &str| {
        Ok(files.iter().find(|(known, _)| **known == name).map(|&(_, contents)| Cow::Borrowed(contents)))
    };
    check_all(accepted(Tokenizer::from_files(read, None)).flatten());
}

macro_rules! golden {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/tokenizer/", $name))
    };
}

/// Hugging Face's rules, and OpenAI's with each cleaning.
static TOKENIZERS: LazyLock<Vec<Tokenizer>> = LazyLock::new(|| {
    let hugging_face = Tokenizer::from_tokenizer_json(golden!("tokenizer.json")).expect("a tokenizer");
    let openai = Tokenizer::from_openai_bpe(golden!("bpe_simple_vocab.txt")).expect("a tokenizer");
    let cleanings = [Cleaning::Lower, Cleaning::Whitespace, Cleaning::Canonicalize];
    let cleaned =
        cleanings.map(|cleaning| openai.clone().with_cleaning(cleaning).expect("OpenAI's vocabulary"));
    [hugging_face].into_iter().chain(cleaned).collect()
});

macro_rules! parts {
    ($name:literal) => {
        include_bytes!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/golden/tokenizer_parts/",
            $name,
            "/tokenizer.json"
        ))
    };
}

/// Those that a `tokenizer.json` describes in parts, and that of a `spiece.model`.
static OTHERS: LazyLock<Vec<Tokenizer>> = LazyLock::new(|| {
    let files: [&[u8]; 8] = [
        parts!("gemma"),
        parts!("gemma-unknown"),
        parts!("siglip"),
        parts!("t5-bytes"),
        parts!("t5-first"),
        parts!("xlm-r"),
        parts!("other"),
        parts!("bert"),
    ];
    let read = |name: &str| {
        let model = include_bytes!("../../tests/golden/tokenizer_parts/siglip-spiece/spiece.model");
        Ok((name == "spiece.model").then_some(Cow::Borrowed(&model[..])))
    };
    let siglip = Tokenizer::from_files(read, None).expect("a model").expect("a model");
    let others = files.into_iter().map(|file| Tokenizer::from_tokenizer_json(file).expect("a tokenizer"));
    others.chain([siglip]).collect()
});

/// A text, for every kind of tokenizer.
pub fn text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    TOKENIZERS.iter().for_each(|tokenizer| check_clip(tokenizer, &text));
    OTHERS.iter().for_each(|tokenizer| check(tokenizer, &text));
}
