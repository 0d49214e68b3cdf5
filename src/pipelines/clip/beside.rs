//! The files beside a model's weights: how pictures are prepared and texts are cut.

use crate::error::{Error, Result, err};
use crate::models::clip::naming::Naming;
use crate::models::clip::{ClipModel, EncoderConfig, FastVitConfig};
use crate::pipelines::preprocess::{self, Preprocess};
use crate::pipelines::tokenizer::Tokenizer;
use crate::weights::{Bundle, Review};

/// Files beside the weights that say the same as those that were read.
pub(super) const QUIET_FILES: [&str; 14] = [
    "open_clip_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "bpe_simple_vocab_16e6.txt",
    "bpe_simple_vocab_16e6.txt.gz",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
];

/// The profile beside the weights, or the one of the model's family.
pub(super) fn preprocess(bundle: &Bundle<'_>, model: &ClipModel, review: &mut Review) -> Result<Preprocess> {
    // Nothing uses the profile of a text tower.
    let image_size = model.config.vision.map_or(1, |vision| vision.image_size);
    if model.config.vision.is_none() {
        return Preprocess::clip(image_size);
    }
    let naflex = model.config.naflex_patch();
    let profile = match preprocess::hugging_face_config(bundle)? {
        Some(config) => {
            let profile = Preprocess::from_config(&config, image_size)?;
            review.settings(&config, &preprocess::QUIET_KEYS);
            profile
        }
        None => match bundle.config("open_clip_config.json")? {
            Some(config) => {
                let profile = Preprocess::from_config(&config, image_size)?;
                // The model's part is reviewed with the model.
                review.settings(&config, &["model_cfg"]);
                profile
            }
            None if model.naming == Naming::Siglip => {
                naflex.map_or_else(|| Preprocess::siglip(image_size), Preprocess::naflex)?
            }
            None if model.is_chinese_clip() => Preprocess::chinese_clip(image_size)?,
            None if model.is_pe_core() => Preprocess::pe_core(image_size)?,
            None if model.is_mobile_clip() => Preprocess::mobile_clip(image_size, has_five_stages(model))?,
            None => Preprocess::clip(image_size)?,
        },
    };
    match (naflex, profile.naflex_patch()) {
        (model, processor) if model == processor => Ok(profile),
        (Some(patch), Some(other)) => {
            Err(err!(Config, "pictures are cut into patches of {other} pixels, and the model has {patch}"))
        }
        (None, _) => Err(err!(Unsupported, "a Siglip2ImageProcessor for a model of a fixed resolution")),
        (_, None) => {
            Err(err!(Unsupported, "a model of variable resolution (NaFlex) needs a Siglip2ImageProcessor"))
        }
    }
}

/// Whether the image tower is one of the larger ones of MobileCLIP 2, S3 and S4.
fn has_five_stages(model: &ClipModel) -> bool {
    let encoder = model.config.vision.map(|vision| vision.encoder);
    matches!(encoder, Some(EncoderConfig::FastVit(net)) if net.stages().len() == FastVitConfig::MOST_STAGES)
}

/// The tokenizer beside the weights, or OpenAI's with the list of merges in `vocabulary`, if it fits the model.
pub(super) fn tokenizer(
    bundle: &Bundle<'_>,
    model: &ClipModel,
    vocabulary: Option<&[u8]>,
) -> Result<Tokenizer> {
    /// Tokens of OpenAI's vocabulary.
    const OPENAI: usize = 49_408;

    let Some(text) = &model.config.text else {
        return Err(err!(Unsupported, "the model has only an image tower: texts cannot be encoded"));
    };
    let fits = !model.naming.is_hugging_face() && text.vocab_size == OPENAI;
    let tokenizer = Tokenizer::from_files(|name| bundle.file(name), vocabulary.filter(|_| fits))?;
    let tokenizer = match tokenizer {
        Some(tokenizer) => tokenizer,
        None => return Err(no_tokenizer(bundle)?),
    };
    let (tokens, embeddings) = (tokenizer.vocabulary_size(), text.vocab_size);
    if tokens > embeddings {
        return Err(err!(Tokenizer, "tokenizer of {tokens} tokens for a model with {embeddings}"));
    }
    tokenizer.with_context_length(text.context_length)
}

/// The error of a model with no tokenizer beside it, which names the one that OpenCLIP takes from elsewhere.
fn no_tokenizer(bundle: &Bundle<'_>) -> Result<Error> {
    const FILES: &str = "tokenizer.json, vocab.json and merges.txt, bpe_simple_vocab_16e6.txt[.gz], vocab.txt or spiece.model";
    let config = bundle.config("open_clip_config.json")?;
    let named = match &config {
        Some(config) => config.str_or("model_cfg.text_cfg.hf_tokenizer_name", "")?,
        None => "",
    };
    Ok(match named {
        "" => err!(NotFound, "no tokenizer beside the weights: {FILES}"),
        _ => err!(
            NotFound,
            "no tokenizer beside the weights: open_clip_config.json takes that of {named:?}, whose tokenizer.json and \
             tokenizer_config.json are missing"
        ),
    })
}
