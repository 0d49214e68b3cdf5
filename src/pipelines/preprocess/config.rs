//! Reading `preprocessor_config.json` and `open_clip_config.json`.

use alloc::boxed::Box;
use core::ops::RangeInclusive;

use serde_json::Value;

use super::geometry::{Placement, Resize};
use super::naflex::naflex;
use super::{MAX_INPUT_SIDE, Preprocess};
use crate::error::{Result, err};
use crate::kernels::resize::pillow::Filter;
use crate::weights::Config;

/// Mean and standard deviation of OpenAI's training pictures, for values in 0…1.
const OPENAI: [[f64; 3]; 2] = [[0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]];

/// Those of SigLIP's.
pub(super) const STANDARD: [[f64; 3]; 2] = [[0.5; 3]; 2];

pub(super) const SIDES: RangeInclusive<usize> = 1..=MAX_INPUT_SIDE;

impl Preprocess {
    /// The profile that a `preprocessor_config.json` or an `open_clip_config.json` describes; what it leaves out is
    /// as in OpenAI's CLIP, with sizes of `image_size`.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorCode::Config), naming the key, for impossible or unknown values;
    /// [`Unsupported`](crate::ErrorCode::Unsupported) for the configuration of another processor than CLIP's.
    pub fn from_config(config: &Config, image_size: usize) -> Result<Self> {
        check_image_size(image_size)?;
        if config.has("preprocess_cfg") {
            open_clip(config, image_size)
        } else {
            hugging_face(config, image_size)
        }
    }
}

/// Whether pictures can be resized to `image_size`.
pub(super) fn check_image_size(image_size: usize) -> Result<()> {
    match SIDES.contains(&image_size) {
        true => Ok(()),
        false => {
            Err(err!(Config, "image_size is {image_size}, expected an integer from 1 to {MAX_INPUT_SIDE}"))
        }
    }
}

/// The attributes of `CLIPImageProcessor`, of `SiglipImageProcessor`, which resizes to both sides and does not crop, or of
/// `Siglip2ImageProcessor`.
fn hugging_face(config: &Config, image_size: usize) -> Result<Preprocess> {
    let mut is_siglip = false;
    for key in ["image_processor_type", "feature_extractor_type"] {
        let kind = config.str_or(key, "CLIPImageProcessor")?;
        if kind.starts_with("Siglip2ImageProcessor") {
            return naflex(config);
        }
        is_siglip |= kind.starts_with("SiglipImageProcessor");
        // Chinese-CLIP's is CLIP's.
        let clip = kind.strip_prefix("Chinese").unwrap_or(kind);
        if !is_siglip && !clip.starts_with("CLIPImageProcessor") && clip != "CLIPFeatureExtractor" {
            return Err(err!(
                Unsupported,
                "{}: {key} is {kind:?}, expected \"CLIPImageProcessor\", \"SiglipImageProcessor\" or \
                 \"Siglip2ImageProcessor\"",
                config.file()
            ));
        }
    }
    let resize = match config.bool_or("do_resize", true)? {
        true if is_siglip && !config.has("size") => Resize::Exact(image_size, image_size),
        true => hugging_face_size(config, image_size)?,
        false => Resize::Keep,
    };
    let filter = hugging_face_filter(config, Filter::Bicubic)?;
    let output = match (config.bool_or("do_center_crop", !is_siglip)?, resize) {
        (true, _) => hugging_face_crop(config, image_size)?,
        (false, Resize::Exact(height, width)) => (height, width),
        // The size of the input would depend on the picture.
        (false, _) => return Err(config.unusable("do_center_crop", "true unless size has height and width")),
    };
    // Pixels always become RGB: the models have no other input.
    config.bool_or("do_convert_rgb", true)?;

    let values = hugging_face_values(config, if is_siglip { STANDARD } else { OPENAI })?;
    let padding = [0, 1, 2].map(|c: usize| values[c][0]);
    Ok(Preprocess {
        resize,
        filter,
        placement: Placement::HuggingFace,
        output,
        padding,
        values,
        interpolated: None,
    })
}

/// `resample`, as Pillow numbers the filters.
pub(super) fn hugging_face_filter(config: &Config, default: Filter) -> Result<Filter> {
    match config.get("resample") {
        None => Ok(default),
        Some(value) => value
            .as_u64()
            .and_then(Filter::from_pillow)
            .ok_or_else(|| config.unusable("resample", "0 (nearest), 2 (bilinear) or 3 (bicubic)")),
    }
}

/// Rescaling and normalisation as a table; `defaults` are mean and deviation.
pub(super) fn hugging_face_values(config: &Config, defaults: [[f64; 3]; 2]) -> Result<Values> {
    let rescale = config.bool_or("do_rescale", true)?;
    let factor = match config.get("rescale_factor") {
        None => 1.0 / 255.0,
        Some(value) => value
            .as_f64()
            .filter(|factor| factor.is_finite())
            .ok_or_else(|| config.unusable("rescale_factor", "a finite number"))?,
    };
    let normalize = match config.bool_or("do_normalize", true)? {
        true => Some(normalization(config, ["image_mean", "image_std"], defaults)?),
        false => None,
    };
    // Scaled in f64, rounded, then normalised in f32.
    let scaled = |value: u8| if rescale { (f64::from(value) * factor) as f32 } else { f32::from(value) };
    table(scaled, normalize)
        .ok_or_else(|| err!(Config, "rescale_factor, image_mean and image_std lead beyond the range of f32"))
}

/// `size`: a number (the shorter side), `[height, width]`, `{"shortest_edge"}` or `{"height", "width"}`.
fn hugging_face_size(config: &Config, image_size: usize) -> Result<Resize> {
    match config.get("size") {
        None => Ok(Resize::Shortest(image_size)),
        Some(Value::Object(size)) => match (config.has("size.shortest_edge"), size.len()) {
            (true, 1) => config.usize("size.shortest_edge", SIDES).map(Resize::Shortest),
            (true, _) => Err(config.unusable("size", "shortest_edge alone, or height and width")),
            _ => Ok(Resize::Exact(config.usize("size.height", SIDES)?, config.usize("size.width", SIDES)?)),
        },
        Some(Value::Array(_)) => pair(config, "size").map(|(height, width)| Resize::Exact(height, width)),
        Some(_) => config.usize("size", SIDES).map(Resize::Shortest),
    }
}

/// `crop_size`: a number (both sides), `[height, width]` or `{"height", "width"}`.
fn hugging_face_crop(config: &Config, image_size: usize) -> Result<(usize, usize)> {
    match config.get("crop_size") {
        None => Ok((image_size, image_size)),
        Some(Value::Object(_)) => {
            Ok((config.usize("crop_size.height", SIDES)?, config.usize("crop_size.width", SIDES)?))
        }
        Some(_) => pair(config, "crop_size"),
    }
}

/// The fields of open_clip's `PreprocessCfg`.
fn open_clip(config: &Config, image_size: usize) -> Result<Preprocess> {
    if !config.get("preprocess_cfg").is_some_and(Value::is_object) {
        return Err(config.unusable("preprocess_cfg", "an object"));
    }
    let (height, width) = match config.has("preprocess_cfg.size") {
        true => pair(config, "preprocess_cfg.size")?,
        false => (image_size, image_size),
    };
    let key = "preprocess_cfg.interpolation";
    let filter = match config.str_or(key, "bicubic")? {
        "bilinear" => Filter::Bilinear,
        // `random` is for training; for inference it means bicubic.
        "bicubic" | "random" => Filter::Bicubic,
        _ => return Err(config.unusable(key, "\"bicubic\" or \"bilinear\"")),
    };
    let key = "preprocess_cfg.resize_mode";
    let (resize, filter) = match config.str_or(key, "shortest")? {
        "shortest" if height == width => (Resize::Shortest(height), filter),
        // open_clip leaves the filter at its default here.
        "shortest" => (Resize::Cover(height, width), Filter::Bicubic),
        "longest" => (Resize::Fit(height, width), filter),
        "squash" => (Resize::Exact(height, width), filter),
        _ => return Err(config.unusable(key, "\"shortest\", \"longest\" or \"squash\"")),
    };
    // Only `longest` pads with it.
    let fill = config.usize_or("preprocess_cfg.fill_color", 0, 0..=255)?;
    let fill = if matches!(resize, Resize::Fit(..)) { fill } else { 0 };
    if config.str_or("preprocess_cfg.mode", "RGB")? != "RGB" {
        return Err(config.unusable("preprocess_cfg.mode", "\"RGB\""));
    }
    let normalize = normalization(config, ["preprocess_cfg.mean", "preprocess_cfg.std"], OPENAI)?;
    let values = table(|value| f32::from(value) / 255.0, Some(normalize)).ok_or_else(|| {
        err!(Config, "preprocess_cfg.mean and preprocess_cfg.std lead beyond the range of f32")
    })?;
    let output = (height, width);
    let padding = [0, 1, 2].map(|c: usize| values[c][fill]);
    Ok(Preprocess {
        resize,
        filter,
        placement: Placement::Torchvision,
        output,
        padding,
        values,
        interpolated: None,
    })
}

/// A number for both sides, `[side]` or `[height, width]`.
fn pair(config: &Config, key: &str) -> Result<(usize, usize)> {
    let side = |value: &Value| value.as_u64()?.try_into().ok().filter(|side| SIDES.contains(side));
    let sides = match config.get(key) {
        Some(Value::Array(sides)) => match &sides[..] {
            [both] => side(both).zip(side(both)),
            [height, width] => side(height).zip(side(width)),
            _ => None,
        },
        value => value.and_then(side).map(|both| (both, both)),
    };
    sides.ok_or_else(|| config.unusable(key, format_args!("one or two integers from 1 to {MAX_INPUT_SIDE}")))
}

/// Mean and standard deviation of each channel.
pub(super) type Normalization = [(f32, f32); 3];

/// Input value of each 8-bit value of each channel.
pub(super) type Values = Box<[[f32; 256]; 3]>;

fn normalization(
    config: &Config,
    [mean, std]: [&str; 2],
    [default_mean, default_std]: [[f64; 3]; 2],
) -> Result<Normalization> {
    let means = channels(config, mean, default_mean, -f32::MAX..=f32::MAX)?;
    let stds = channels(config, std, default_std, f32::MIN_POSITIVE..=f32::MAX)?;
    Ok(core::array::from_fn(|c| (means[c], stds[c])))
}

/// Three numbers, or one for all channels.
fn channels(config: &Config, key: &str, default: [f64; 3], range: RangeInclusive<f32>) -> Result<[f32; 3]> {
    match config.get(key) {
        Some(Value::Number(_)) => config.f32(key, range).map(|x| [x; 3]),
        _ => config.f32s_or(key, default.map(|x| x as f32), range),
    }
}

/// The input values of all 8-bit values; `None` if one of them is not finite.
pub(super) fn table(scaled: impl Fn(u8) -> f32, normalize: Option<Normalization>) -> Option<Values> {
    let mut values = Box::new([[0.0; 256]; 3]);
    for (c, values) in values.iter_mut().enumerate() {
        for (byte, value) in (0..=255).zip(values) {
            *value = match normalize {
                Some(normalize) => (scaled(byte) - normalize[c].0) / normalize[c].1,
                None => scaled(byte),
            };
        }
    }
    values.iter().flatten().all(|value| value.is_finite()).then_some(values)
}
