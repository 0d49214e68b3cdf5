//! Reading `preprocessor_config.json` and `open_clip_config.json`.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

use serde_json::{Map, Value};

use super::geometry::{Centre, Resize};
use super::{MAX_INPUT_SIDE, OPENAI_MEAN, OPENAI_STD, Preprocess};
use crate::error::{Result, err};
use crate::kernels::resize::pillow::Filter;

/// A JSON object whose errors name the key.
struct Object<'a> {
    map: &'a Map<String, Value>,
    /// Prefix of its keys in messages: `size.`.
    path: &'a str,
}

impl<'a> Object<'a> {
    /// The value of `key`; null counts as absent, as in the references.
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(value) => Err(self.wrong(key, value, "true or false")),
        }
    }

    fn text(&self, key: &str, default: &'a str) -> Result<&'a str> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value.as_str().ok_or_else(|| self.wrong(key, value, "a string")),
        }
    }

    /// A side in pixels.
    fn side(&self, key: &str, value: &Value) -> Result<usize> {
        match value.as_u64() {
            Some(side) if (1..=MAX_INPUT_SIDE as u64).contains(&side) => Ok(side as usize),
            _ => Err(self.wrong(key, value, &format!("an integer from 1 to {MAX_INPUT_SIDE}"))),
        }
    }

    fn number(&self, key: &str, value: &Value) -> Result<f64> {
        value.as_f64().filter(|x| x.is_finite()).ok_or_else(|| self.wrong(key, value, "a finite number"))
    }

    /// Three numbers, or one for all three channels.
    fn channels(&self, key: &str, default: [f64; 3]) -> Result<[f64; 3]> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Array(values)) if values.len() == 3 => {
                let mut channels = [0.0; 3];
                for (channel, value) in channels.iter_mut().zip(values) {
                    *channel = self.number(key, value)?;
                }
                Ok(channels)
            }
            Some(value @ Value::Number(_)) => Ok([self.number(key, value)?; 3]),
            Some(value) => Err(self.wrong(key, value, "three numbers")),
        }
    }

    fn wrong(&self, key: &str, value: &Value, expected: &str) -> crate::Error {
        err!(Config, "{}{key} is {value}, expected {expected}", self.path)
    }
}

fn parse(bytes: &[u8]) -> Result<Map<String, Value>> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(err!(Config, "preprocessing configuration is not a JSON object")),
        Err(error) => Err(err!(Config, "preprocessing configuration is not valid JSON: {error}")),
    }
}

/// Whether `bytes` are an `open_clip_config.json`.
pub(super) fn is_open_clip(bytes: &[u8]) -> Result<bool> {
    Ok(parse(bytes)?.contains_key("preprocess_cfg"))
}

fn check_image_size(image_size: usize) -> Result<()> {
    if (1..=MAX_INPUT_SIDE).contains(&image_size) {
        return Ok(());
    }
    Err(err!(Config, "image_size is {image_size}, expected an integer from 1 to {MAX_INPUT_SIDE}"))
}

impl Preprocess {
    /// The profile of a `preprocessor_config.json`; what is absent is as in OpenAI's CLIP, with sizes of
    /// `image_size`.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorCode::Config), naming the key, for anything but JSON with possible values;
    /// [`Unsupported`](crate::ErrorCode::Unsupported) for the configuration of another processor than CLIP's.
    pub fn from_hugging_face(bytes: &[u8], image_size: usize) -> Result<Self> {
        check_image_size(image_size)?;
        let map = parse(bytes)?;
        let config = Object { map: &map, path: "" };
        for key in ["image_processor_type", "feature_extractor_type"] {
            let kind = config.text(key, "CLIPImageProcessor")?;
            if !kind.starts_with("CLIPImageProcessor") && kind != "CLIPFeatureExtractor" {
                return Err(err!(Unsupported, "{key} is \"{kind}\", expected CLIPImageProcessor"));
            }
        }

        let resize = match config.flag("do_resize", true)? {
            true => hugging_face_size(&config, image_size)?,
            false => Resize::Keep,
        };
        let filter = match config.get("resample") {
            None => Filter::Bicubic,
            Some(value) => value
                .as_u64()
                .and_then(Filter::from_pillow)
                .ok_or_else(|| config.wrong("resample", value, "0 (nearest), 2 (bilinear) or 3 (bicubic)"))?,
        };
        let output = match (config.flag("do_center_crop", true)?, resize) {
            (true, _) => hugging_face_crop(&config, image_size)?,
            (false, Resize::Exact(height, width)) => (height, width),
            (false, _) => {
                return Err(err!(
                    Config,
                    "do_center_crop is false, so that size must have height and width: inputs must have one size"
                ));
            }
        };
        config.flag("do_convert_rgb", true)?;

        let factor = match config.get("rescale_factor") {
            None => 1.0 / 255.0,
            Some(value) => config.number("rescale_factor", value)?,
        };
        let rescale = config.flag("do_rescale", true)?;
        let normalize = match config.flag("do_normalize", true)? {
            true => Some(normalization(&config, "image_mean", "image_std")?),
            false => None,
        };
        // Scaled in f64, rounded, then normalised in f32.
        let scaled = |value: u8| if rescale { (f64::from(value) * factor) as f32 } else { f32::from(value) };
        let values = table(scaled, normalize).ok_or_else(|| {
            err!(Config, "rescale_factor, image_mean and image_std lead beyond the range of f32")
        })?;
        Ok(Self { resize, filter, centre: Centre::HuggingFace, output, fill: 0, values })
    }

    /// The profile of `preprocess_cfg` in an `open_clip_config.json`; what is absent is as in OpenAI's CLIP, with a
    /// size of `image_size`.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorCode::Config), naming the key, for anything but JSON with possible values.
    pub fn from_open_clip(bytes: &[u8], image_size: usize) -> Result<Self> {
        check_image_size(image_size)?;
        let map = parse(bytes)?;
        let empty = Map::new();
        let map = match map.get("preprocess_cfg") {
            None | Some(Value::Null) => &empty,
            Some(Value::Object(map)) => map,
            Some(value) => return Err(err!(Config, "preprocess_cfg is {value}, expected an object")),
        };
        let config = Object { map, path: "preprocess_cfg." };

        let output = match config.get("size") {
            None => (image_size, image_size),
            Some(value) => pair(&config, "size", value)?,
        };
        let filter = match config.text("interpolation", "bicubic")? {
            "bilinear" => Filter::Bilinear,
            // `random` is for training; for inference it means bicubic.
            "bicubic" | "random" => Filter::Bicubic,
            other => return Err(config.wrong("interpolation", &other.into(), "bicubic or bilinear")),
        };
        let (height, width) = output;
        // A shortest side with unequal sides ignores `interpolation`.
        let (resize, filter) = match config.text("resize_mode", "shortest")? {
            "shortest" if height == width => (Resize::Shortest(height), filter),
            "shortest" => (Resize::Cover(height, width), Filter::Bicubic),
            "longest" => (Resize::Fit(height, width), filter),
            "squash" => (Resize::Exact(height, width), filter),
            other => return Err(config.wrong("resize_mode", &other.into(), "shortest, longest or squash")),
        };
        let fill = match (resize, config.get("fill_color")) {
            (Resize::Fit(..), Some(value)) => value
                .as_u64()
                .and_then(|fill| u8::try_from(fill).ok())
                .ok_or_else(|| config.wrong("fill_color", value, "an integer from 0 to 255"))?,
            _ => 0,
        };
        if config.text("mode", "RGB")? != "RGB" {
            return Err(config.wrong("mode", &config.map["mode"], "RGB"));
        }
        let normalize = normalization(&config, "mean", "std")?;
        let values = table(|value| f32::from(value) / 255.0, Some(normalize))
            .ok_or_else(|| err!(Config, "preprocess_cfg.mean and std lead beyond the range of f32"))?;
        Ok(Self { resize, filter, centre: Centre::Torchvision, output, fill, values })
    }
}

/// `size`: a number (the shorter side), `[height, width]`, `{"shortest_edge"}` or `{"height", "width"}`.
fn hugging_face_size(config: &Object<'_>, image_size: usize) -> Result<Resize> {
    let Some(value) = config.get("size") else { return Ok(Resize::Shortest(image_size)) };
    match value {
        Value::Object(map) => {
            let size = Object { map, path: "size." };
            match (size.get("shortest_edge"), map.len()) {
                (Some(value), 1) => Ok(Resize::Shortest(size.side("shortest_edge", value)?)),
                _ => height_width(&size, "size", value).map(|(height, width)| Resize::Exact(height, width)),
            }
        }
        Value::Array(_) => pair(config, "size", value).map(|(height, width)| Resize::Exact(height, width)),
        _ => config.side("size", value).map(Resize::Shortest),
    }
}

/// `crop_size`: a number (both sides), `[height, width]` or `{"height", "width"}`.
fn hugging_face_crop(config: &Object<'_>, image_size: usize) -> Result<(usize, usize)> {
    match config.get("crop_size") {
        None => Ok((image_size, image_size)),
        Some(value @ Value::Object(map)) => {
            height_width(&Object { map, path: "crop_size." }, "crop_size", value)
        }
        Some(value) => pair(config, "crop_size", value),
    }
}

fn height_width(size: &Object<'_>, key: &str, value: &Value) -> Result<(usize, usize)> {
    match (size.get("height"), size.get("width"), size.map.len()) {
        (Some(height), Some(width), 2) => Ok((size.side("height", height)?, size.side("width", width)?)),
        _ => Err(err!(Config, "{key} is {value}, expected height and width, or one side")),
    }
}

/// A number for both sides or `[height, width]`.
fn pair(config: &Object<'_>, key: &str, value: &Value) -> Result<(usize, usize)> {
    match value {
        Value::Array(sides) => match &sides[..] {
            [side] => config.side(key, side).map(|side| (side, side)),
            [height, width] => Ok((config.side(key, height)?, config.side(key, width)?)),
            _ => Err(config.wrong(key, value, "one or two sides")),
        },
        _ => config.side(key, value).map(|side| (side, side)),
    }
}

/// Mean and standard deviation of each channel, in the precision in which they are used.
type Normalization = [(f32, f32); 3];

fn normalization(config: &Object<'_>, mean: &str, std: &str) -> Result<Normalization> {
    let means = config.channels(mean, OPENAI_MEAN)?;
    let stds = config.channels(std, OPENAI_STD)?;
    // A deviation must also be positive as f32.
    if let Some(std_value) = stds.iter().find(|&&std| std as f32 <= 0.0) {
        return Err(err!(Config, "{}{std} contains {std_value}, expected positive numbers", config.path));
    }
    Ok(core::array::from_fn(|c| (means[c] as f32, stds[c] as f32)))
}

/// The input values of all 8-bit values; `None` if one of them is not finite.
fn table(scaled: impl Fn(u8) -> f32, normalize: Option<Normalization>) -> Option<Box<[[f32; 256]; 3]>> {
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
