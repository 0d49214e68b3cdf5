//! Configurations beside weights.

use std::sync::Arc;

use vitrum::models::clip::{self as clip_model, ClipConfig};
use vitrum::models::sam::{self as sam_model, SamConfig};
use vitrum::models::sam2::{self as sam2_model, Sam2Config};
use vitrum::pipelines::preprocess::Preprocess;
use vitrum::simd::Level;
use vitrum::weights::Review;
use vitrum::{
    Bundle, Clip, ClipOptions, EncodeOptions, ImageView, Monitor, PixelFormat, Result, Sam, SamOptions,
    Tracker, TrackerOptions,
};

use crate::models::{self, CONTEXT, Files, pixels};
use crate::{accepted, parts};

/// Side of a model's input in pixels at most, if it is to run: time is what an input may take.
const RUN: usize = 96;

/// What the first byte of an input says.
#[derive(Clone, Copy, Debug)]
struct First(u8);

impl First {
    /// What is not understood is warned of.
    const LENIENT: u8 = 128;
    /// The model is loaded and runs; otherwise only the configurations are read, of which many more are tried.
    const LOAD: u8 = 64;

    fn model<'m>(self, models: &[&'m Files]) -> &'m Files {
        models[usize::from(self.0 & 63) % models.len()]
    }

    fn is(self, flag: u8) -> bool {
        self.0 & flag != 0
    }
}

/// The first byte, and the model that it chooses of `models` beside the contents of `names`, with NULs between them; an
/// empty one is no file.
fn chosen<'d>(data: &'d [u8], models: &[&Files], names: &[&'static str]) -> Option<(First, Bundle<'d>)> {
    let (&first, data) = data.split_first()?;
    let files: Vec<_> =
        names.iter().copied().zip(parts(data)).filter(|(_, contents)| !contents.is_empty()).collect();
    Some((First(first), accepted(First(first).model(models).bundle_with(&files))?))
}

/// The settings of the preprocessing, whichever model they are for.
fn preprocess(
    bundle: &Bundle<'_>,
    read: fn(&vitrum::weights::Config, usize) -> Result<Preprocess>,
    input: usize,
) {
    for name in ["preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json"] {
        let Some(config) = accepted(bundle.config(name)).flatten() else { continue };
        let config = config.section("image_processor").unwrap_or(config);
        if let Some(profile) = accepted(read(&config, input)) {
            let (height, width) = profile.output_size();
            assert!((1..=1 << 13).contains(&height) && (1..=1 << 13).contains(&width));
        }
    }
}

/// CLIP's models, and the files that [`clip`] takes beside them.
pub static CLIPS: [&Files; 6] = [
    &models::CLIP,
    &models::GELU_CLIP,
    &models::OPEN_CLIP,
    &models::OPENAI_CLIP,
    &models::RESNET_CLIP,
    &models::SIGLIP,
];
/// In their order.
pub const CLIP_FILES: [&str; 4] =
    ["config.json", "open_clip_config.json", "preprocessor_config.json", "processor_config.json"];

/// A CLIP with other configurations.
pub fn clip(data: &[u8]) {
    let Some((first, bundle)) = chosen(data, &CLIPS, &CLIP_FILES) else { return };
    let lenient = first.is(First::LENIENT);
    if !first.is(First::LOAD) {
        let (naming, scope) =
            clip_model::naming::Naming::detect(&bundle.scope(Level::detect())).expect("a CLIP");
        accepted(ClipConfig::of(&bundle, &scope, naming, None, &mut Review::new(lenient)));
        return preprocess(&bundle, Preprocess::from_config, 64);
    }
    let options = ClipOptions::default().with_lenient(lenient);
    let Some(clip) = accepted(Clip::load(&CONTEXT, &bundle, &options)) else { return };
    let (height, width) = clip.preprocess().output_size();
    if clip.model().vision.is_some() && height.max(width) <= RUN {
        let picture = pixels(9, 6);
        let picture = ImageView::packed(&picture, 9, 6, PixelFormat::Rgb8).expect("a picture");
        let values = accepted(clip.encode_images(&[picture], &EncodeOptions::default()));
        assert!(values.is_none_or(|values| values.len() == clip.embed_dim()));
    }
}

/// SAM's models.
pub static SAMS: [&Files; 3] = [&models::SAM, &models::HUGGING_FACE_SAM, &models::TINY_VIT];
/// SAM 2's.
pub static SAM2S: [&Files; 2] = [&models::SAM2, &models::HUGGING_FACE_SAM2];
/// The files that [`sam`] and [`sam2`] take, in their order.
pub const SAM_FILES: [&str; 4] =
    ["config.json", "preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json"];

/// A SAM with other configurations.
pub fn sam(data: &[u8]) {
    let Some((first, bundle)) = chosen(data, &SAMS, &SAM_FILES) else { return };
    if first.is(First::LOAD) {
        return load_sam(&bundle, first.is(First::LENIENT));
    }
    let (naming, scope) = sam_model::Naming::detect(&bundle.scope(Level::detect())).expect("a SAM");
    let mut review = Review::new(first.is(First::LENIENT));
    accepted(SamConfig::of(&bundle, &scope, naming, &mut review));
    preprocess(&bundle, Preprocess::sam_from_config, 64);
}

/// A SAM 2 with other configurations.
pub fn sam2(data: &[u8]) {
    let Some((first, bundle)) = chosen(data, &SAM2S, &SAM_FILES) else { return };
    if first.is(First::LOAD) {
        return load_sam(&bundle, first.is(First::LENIENT));
    }
    let found = sam2_model::naming::find(&bundle.scope(Level::detect()));
    let (naming, scope) = found.expect("names that are clear").expect("a SAM 2");
    let mut review = Review::new(first.is(First::LENIENT));
    accepted(Sam2Config::of(&bundle, &scope, naming, &mut review));
    preprocess(&bundle, Preprocess::sam2_from_config, 64);
}

fn load_sam(bundle: &Bundle<'_>, lenient: bool) {
    let options = SamOptions::default().with_lenient(lenient);
    let Some(sam) = accepted(Sam::load(&CONTEXT, bundle, &options)) else { return };
    if sam.image_size() > RUN {
        return;
    }
    let picture = pixels(9, 6);
    let picture = ImageView::packed(&picture, 9, 6, PixelFormat::Rgb8).expect("a picture");
    if let Some(embedding) = accepted(sam.encode(&picture, &Monitor::none())) {
        assert_eq!(embedding.image_size(), (9, 6));
    }
    let sam = Arc::new(sam);
    if let Some(mut tracker) = accepted(Tracker::new(sam, [9, 6], &TrackerOptions::default())) {
        accepted(tracker.push(&picture, &Monitor::none()));
    }
}
