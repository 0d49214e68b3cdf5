//! Configurations beside weights.

use std::sync::{Arc, LazyLock};

use vitrum::models::clip::{self as clip_model, ClipConfig};
use vitrum::models::sam::{self as sam_model, SamConfig};
use vitrum::models::sam2::{self as sam2_model, Sam2Config};
use vitrum::pipelines::preprocess::Preprocess;
use vitrum::simd::Level;
use vitrum::weights::Review;
use vitrum::{
    Bundle, BundleParts, Clip, ClipOptions, EncodeOptions, ImageView, Monitor, PixelFormat, Result, Sam,
    SamOptions, Tracker, TrackerOptions,
};

use crate::models::{self, CONTEXT, Files, pixels};
use crate::{accepted, parts};

/// Side of a model's input in pixels at most, if it is to run: time is what an input may take.
const RUN: usize = 96;

/// What the first byte of an input says.
#[derive(Clone, Copy, Debug)]
struct First(u8);

impl First {
    fn model<T>(self, models: &[T]) -> &T {
        &models[usize::from(self.0 & 15) % models.len()]
    }

    /// Which of CLIP, SAM and SAM 2 [`configured`] loads.
    fn family(self) -> u8 {
        self.0 >> 4 & 7
    }

    /// Whether what is not understood is warned of.
    fn is_lenient(self) -> bool {
        self.0 & 128 != 0
    }
}

/// The first byte, and the contents of `names`, with NULs between them; an empty one is no file.
fn chosen<'d>(data: &'d [u8], names: &[&'static str]) -> Option<(First, Vec<(&'static str, &'d [u8])>)> {
    let (&first, data) = data.split_first()?;
    let files = names.iter().copied().zip(parts(data)).filter(|(_, contents)| !contents.is_empty());
    Some((First(first), files.collect()))
}

/// A weights file with next to nothing in it, for bundles whose configurations alone are read.
const NO_WEIGHTS: &[u8] =
    b"\x38\0\0\0\0\0\0\0{\"x\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}   ";

/// `files` without a model.
fn alone<'d>(files: &[(&'d str, &'d [u8])]) -> Option<Bundle<'d>> {
    let parts = BundleParts::new(NO_WEIGHTS);
    accepted(Bundle::from_memory(
        files.iter().fold(parts, |parts, (name, contents)| parts.with_file(name, contents)),
    ))
}

/// `models`, opened once: their headers would take more time than any configuration.
fn opened<const N: usize>(models: &[&Files; N]) -> [Bundle<'static>; N] {
    models.map(Files::bundle)
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
pub static CLIPS: [&Files; 12] = [
    &models::CLIP,
    &models::GELU_CLIP,
    &models::OPEN_CLIP,
    &models::OPENAI_CLIP,
    &models::RESNET_CLIP,
    &models::SIGLIP,
    &models::PE_CORE,
    &models::MOBILE_CLIP,
    &models::NAFLEX,
    &models::CHINESE_CLIP,
    &models::CONV_NEXT,
    &models::EVA_CLIP,
];
/// In their order.
pub const CLIP_FILES: [&str; 4] =
    ["config.json", "open_clip_config.json", "preprocessor_config.json", "processor_config.json"];

/// A CLIP's configurations.
pub fn clip(data: &[u8]) {
    static OPENED: LazyLock<[Bundle<'static>; CLIPS.len()]> = LazyLock::new(|| opened(&CLIPS));
    let Some((first, files)) = chosen(data, &CLIP_FILES) else { return };
    let Some(bundle) = alone(&files) else { return };
    let scope = first.model(&*OPENED).scope(Level::detect());
    let (naming, scope) = clip_model::naming::Naming::detect(&scope).expect("a CLIP");
    accepted(ClipConfig::of(&bundle, &scope, naming, None, &mut Review::new(first.is_lenient())));
    preprocess(&bundle, Preprocess::from_config, 64);
}

/// SAM's models.
pub static SAMS: [&Files; 3] = [&models::SAM, &models::HUGGING_FACE_SAM, &models::TINY_VIT];
/// SAM 2's.
pub static SAM2S: [&Files; 2] = [&models::SAM2, &models::HUGGING_FACE_SAM2];
/// The files that [`sam`] and [`sam2`] take, in their order.
pub const SAM_FILES: [&str; 4] =
    ["config.json", "preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json"];

/// A SAM's configurations.
pub fn sam(data: &[u8]) {
    static OPENED: LazyLock<[Bundle<'static>; SAMS.len()]> = LazyLock::new(|| opened(&SAMS));
    let Some((first, files)) = chosen(data, &SAM_FILES) else { return };
    let Some(bundle) = alone(&files) else { return };
    let scope = first.model(&*OPENED).scope(Level::detect());
    let (naming, scope) = sam_model::Naming::detect(&scope).expect("a SAM");
    accepted(SamConfig::of(&bundle, &scope, naming, &mut Review::new(first.is_lenient())));
    preprocess(&bundle, Preprocess::sam_from_config, 64);
}

/// A SAM 2's configurations.
pub fn sam2(data: &[u8]) {
    static OPENED: LazyLock<[Bundle<'static>; SAM2S.len()]> = LazyLock::new(|| opened(&SAM2S));
    let Some((first, files)) = chosen(data, &SAM_FILES) else { return };
    let Some(bundle) = alone(&files) else { return };
    let scope = first.model(&*OPENED).scope(Level::detect());
    let found = sam2_model::naming::find(&scope);
    let (naming, scope) = found.expect("names that are clear").expect("a SAM 2");
    accepted(Sam2Config::of(&bundle, &scope, naming, &mut Review::new(first.is_lenient())));
    preprocess(&bundle, Preprocess::sam2_from_config, 64);
}

/// A model that is loaded with other configurations, and runs. The targets above try hundreds in the same time, and end before.
pub fn configured(data: &[u8]) {
    let Some(&first) = data.first() else { return };
    let (models, names): (&[&Files], _) = match First(first).family() {
        0..4 => (&CLIPS, &CLIP_FILES),
        4 | 5 => (&SAMS, &SAM_FILES),
        _ => (&SAM2S, &SAM_FILES),
    };
    let Some((first, files)) = chosen(data, names) else { return };
    let Some(bundle) = accepted(first.model(models).bundle_with(&files)) else { return };
    match first.family() {
        0..4 => run_clip(&bundle, first.is_lenient()),
        _ => run_sam(&bundle, first.is_lenient()),
    }
}

fn run_clip(bundle: &Bundle<'_>, lenient: bool) {
    let options = ClipOptions::default().with_lenient(lenient);
    let Some(clip) = accepted(Clip::load(&CONTEXT, bundle, &options)) else { return };
    let (height, width) = clip.preprocess().output_size();
    if clip.model().vision.is_some() && height.max(width) <= RUN {
        let picture = pixels(9, 6);
        let picture = ImageView::packed(&picture, 9, 6, PixelFormat::Rgb8).expect("a picture");
        let values = accepted(clip.encode_images(&[picture], &EncodeOptions::default()));
        assert!(values.is_none_or(|values| values.len() == clip.embed_dim()));
    }
}

fn run_sam(bundle: &Bundle<'_>, lenient: bool) {
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
