//! Which of a model's files describes its preprocessing.

use crate::error::Result;
use crate::weights::{Bundle, Config};

/// Keys of image processors that change nothing here: what the model is called, how pictures are handed over, and
/// settings of segmentation maps, which are no input.
pub(in crate::pipelines) const QUIET_KEYS: [&str; 12] = [
    "crop_pct",
    "data_format",
    "default_to_square",
    "device",
    "disable_grouping",
    "feature_extractor_type",
    "image_processor_type",
    "image_seq_length",
    "input_data_format",
    "mask_pad_size",
    "mask_size",
    "return_tensors",
];

/// The image processor's settings, as `transformers` looks for them: those nested in `processor_config.json`, which its
/// fifth version writes, before `preprocessor_config.json`.
pub(in crate::pipelines) fn hugging_face_config(bundle: &Bundle<'_>) -> Result<Option<Config>> {
    if let Some(config) = nested(bundle, "image_processor")? {
        return Ok(Some(config));
    }
    bundle.config("preprocessor_config.json")
}

/// The settings of the processor of a video's frames, in the same way; `None` if there are none of its own.
pub(in crate::pipelines) fn video_config(bundle: &Bundle<'_>) -> Result<Option<Config>> {
    if let Some(config) = nested(bundle, "video_processor")? {
        return Ok(Some(config));
    }
    bundle.config("video_preprocessor_config.json")
}

/// The object `key` of `processor_config.json`. What else that file says is about the hand-over of prompts.
fn nested(bundle: &Bundle<'_>, key: &str) -> Result<Option<Config>> {
    Ok(bundle.config("processor_config.json")?.and_then(|config| config.section(key)))
}
