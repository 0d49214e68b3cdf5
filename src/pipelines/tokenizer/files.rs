//! The files of a model's directory that say how texts become ids: which are read, and which counts.

use alloc::borrow::Cow;

use serde_json::Value;

use crate::error::{Result, err};

use super::clean::Cleaning;
use super::document::{self, is_clip};
use super::json::{self, parse};
use super::pipeline::Described;
use super::settings::Settings;
use super::vocabulary::excerpt;
use super::{Rules, Tokenizer, lists, pipeline, sentencepiece};

const TOKENIZER: &str = "tokenizer.json";
const VOCAB: &str = "vocab.json";
const MERGES: &str = "merges.txt";
const OPENAI: [&str; 2] = ["bpe_simple_vocab_16e6.txt", "bpe_simple_vocab_16e6.txt.gz"];
const WORDPIECE: &str = "vocab.txt";
const SPIECE: &str = sentencepiece::FILE;
const CONFIG: &str = "tokenizer_config.json";
const SPECIAL_TOKENS: &str = "special_tokens_map.json";
const ADDED_TOKENS: &str = "added_tokens.json";
const OPEN_CLIP: &str = "open_clip_config.json";

/// Vocabularies of other tokenizers, and what they are.
const FOREIGN: [(&str, &str); 2] =
    [("sentencepiece.bpe.model", "a SentencePiece model"), ("tokenizer.model", "a SentencePiece model")];

/// The names of the files that [`Tokenizer::from_files`] asks for.
pub const FILES: [&str; 13] = [
    TOKENIZER,
    VOCAB,
    MERGES,
    OPENAI[0],
    OPENAI[1],
    CONFIG,
    SPECIAL_TOKENS,
    ADDED_TOKENS,
    OPEN_CLIP,
    WORDPIECE,
    SPIECE,
    FOREIGN[0].0,
    FOREIGN[1].0,
];

/// The tokenizer of the files that `read` returns; see [`Tokenizer::from_files`].
pub(super) fn load<'f>(
    mut read: impl FnMut(&str) -> Result<Option<Cow<'f, [u8]>>>,
    fallback: Option<&[u8]>,
) -> Result<Option<Tokenizer>> {
    if let Some(contents) = read(TOKENIZER)? {
        return of_tokenizer_json(&contents, &mut read).map(Some);
    }
    let (vocab, merges) = (read(VOCAB)?, read(MERGES)?);
    if let (Some(vocab), Some(merges)) = (&vocab, &merges) {
        let settings = settings(&mut read)?;
        check_open_clip(&mut read, VOCAB)?;
        let mut declared = lists::declared(vocab, merges)?;
        settings.apply(&mut declared, false)?;
        return declared.build().map(Some);
    }
    let mut list = None;
    for name in OPENAI {
        list = match list {
            None => read(name)?,
            found => found,
        };
    }
    if list.is_none() {
        for (present, name, missing) in [(&vocab, VOCAB, MERGES), (&merges, MERGES, VOCAB)] {
            if present.is_some() {
                return Err(err!(NotFound, "{name} without {missing}"));
            }
        }
        if let Some(contents) = read(WORDPIECE)? {
            let settings = settings(&mut read)?;
            let mut described = pipeline::of_vocab_txt(&contents)?;
            settings.apply_to_bert(&mut described)?;
            clean_as_open_clip(&mut read, &mut described)?;
            return described.build().map(Some);
        }
        if let Some(contents) = read(SPIECE)? {
            let settings = settings(&mut read)?;
            check_open_clip(&mut read, SPIECE)?;
            return sentencepiece::tokenizer(&contents, &settings).map(Some);
        }
        for (name, kind) in FOREIGN {
            if read(name)?.is_some() {
                return Err(err!(
                    Unsupported,
                    "{name} is {kind}, which is not read; put the tokenizer.json of the same tokenizer beside it"
                ));
            }
        }
        if fallback.is_some() {
            // The settings of a tokenizer whose vocabulary is missing say at least whether it is CLIP's.
            settings(&mut read)?.require_clip()?;
        }
    }
    let Some(list) = list.as_deref().or(fallback) else { return Ok(None) };
    let mut tokenizer = lists::openai(list)?;
    if let Some(config) = open_clip(&mut read)?
        && let Rules::OpenAi { cleaning, specials, .. } = &mut tokenizer.rules
    {
        if let Some(name) = hugging_face_tokenizer(&config) {
            return Err(err!(
                Unsupported,
                "{OPEN_CLIP}: text_cfg.hf_tokenizer_name is {}, and its files are missing",
                excerpt(name)
            ));
        }
        *cleaning = wanted_cleaning(&config)?.unwrap_or_default();
        // open_clip's spelling.
        *specials = ["<start_of_text>", "<end_of_text>"];
    }
    Ok(Some(tokenizer))
}

/// The tokenizer of `tokenizer.json` with what lies beside it.
fn of_tokenizer_json<'f>(
    contents: &[u8],
    read: &mut impl FnMut(&str) -> Result<Option<Cow<'f, [u8]>>>,
) -> Result<Tokenizer> {
    let settings = settings(read)?;
    if settings.is_siglip()
        && let Some(contents) = read(SPIECE)?
    {
        // The class knows no other file.
        check_open_clip(read, SPIECE)?;
        return sentencepiece::tokenizer(&contents, &settings);
    }
    let document = document::read(contents)?;
    let is_clip = document.as_ref().map_or(true, |document| is_clip(&document.file));
    if is_clip {
        check_open_clip(read, TOKENIZER)?;
        let (mut declared, file) = match &document {
            Ok(document) => (json::declared_of(document)?, &document.file),
            Err(file) => (json::declared(file)?, file),
        };
        settings.apply(&mut declared, !file["post_processor"].is_null())?;
        return declared.build().map_err(|e| e.within(TOKENIZER));
    }
    let Ok(document) = &document else { return Err(err!(Tokenizer, "{TOKENIZER} is no object")) };
    let mut described = pipeline::described(document).map_err(|e| e.within(TOKENIZER))?;
    settings.apply_to_parts(&mut described)?;
    clean_as_open_clip(read, &mut described)?;
    described.build().map_err(|e| e.within(TOKENIZER))
}

/// Let texts be cleaned as open_clip's wrapper of a tokenizer of transformers does, if there is one.
fn clean_as_open_clip<'f>(
    read: &mut impl FnMut(&str) -> Result<Option<Cow<'f, [u8]>>>,
    described: &mut Described<'_>,
) -> Result<()> {
    if let Some(config) = open_clip(read)?
        && hugging_face_tokenizer(&config).is_some()
    {
        described.clean(wanted_cleaning(&config)?.unwrap_or(Cleaning::Whitespace));
    }
    Ok(())
}

/// What the files beside Hugging Face's vocabularies say.
fn settings<'f>(read: &mut impl FnMut(&str) -> Result<Option<Cow<'f, [u8]>>>) -> Result<Settings> {
    let mut object = |name: &str| match read(name)? {
        None => Ok(Value::Null),
        Some(contents) => match parse(&contents, name)? {
            value @ Value::Object(_) => Ok(value),
            _ => Err(err!(Tokenizer, "{name} is not an object")),
        },
    };
    let (config, specials, added) = (object(CONFIG)?, object(SPECIAL_TOKENS)?, object(ADDED_TOKENS)?);
    Settings::new(&config, &specials, &added)
}

/// The `text_cfg` of `open_clip_config.json`.
fn open_clip<'f>(read: &mut impl FnMut(&str) -> Result<Option<Cow<'f, [u8]>>>) -> Result<Option<Value>> {
    let Some(contents) = read(OPEN_CLIP)? else { return Ok(None) };
    let mut config = parse(&contents, OPEN_CLIP)?;
    Ok(config.pointer_mut("/model_cfg/text_cfg").map(Value::take))
}

/// `Unsupported` if open_clip is told to clean texts in a way that is not that of the vocabulary's `file`.
fn check_open_clip<'f>(
    read: &mut impl FnMut(&str) -> Result<Option<Cow<'f, [u8]>>>,
    file: &str,
) -> Result<()> {
    let Some(config) = open_clip(read)? else { return Ok(()) };
    // open_clip keeps capitals from a tokenizer of transformers, whose own business they are.
    let usual = match hugging_face_tokenizer(&config) {
        Some(_) => Cleaning::Whitespace,
        None => Cleaning::Lower,
    };
    match wanted_cleaning(&config)? {
        Some(cleaning) if cleaning != usual => {
            let name = json::shown(&config["tokenizer_kwargs"]["clean"]);
            Err(err!(Unsupported, "{OPEN_CLIP}: text_cfg.tokenizer_kwargs.clean is {name}, unlike {file}"))
        }
        _ => Ok(()),
    }
}

/// The tokenizer of transformers that open_clip takes.
fn hugging_face_tokenizer(text: &Value) -> Option<&str> {
    text["hf_tokenizer_name"].as_str().filter(|name| !name.is_empty())
}

/// The cleaning that open_clip's tokenizer is told; `Unsupported` for other arguments that change ids.
fn wanted_cleaning(text: &Value) -> Result<Option<Cleaning>> {
    let mut wanted = None;
    for (key, value) in text["tokenizer_kwargs"].as_object().into_iter().flatten() {
        let known = match key.as_str() {
            "clean" => {
                wanted = value.as_str().and_then(Cleaning::named);
                wanted.is_some()
            }
            // The model's own length counts; what open_clip reads here is the same or too short for it.
            "context_length" => value.is_u64(),
            "reduction_mask" => value == "",
            "additional_special_tokens" => value.as_array().is_none_or(|tokens| tokens.is_empty()),
            _ => false,
        };
        if !known {
            let (key, value) = (json::beginning(key, 60), json::shown(value));
            return Err(err!(
                Unsupported,
                "{OPEN_CLIP}: text_cfg.tokenizer_kwargs.{key} is {value}, which is not known"
            ));
        }
    }
    Ok(wanted)
}
