//! Configurations beside weights.

use std::sync::Arc;

use vitrum::{Clip, ClipOptions, EncodeOptions, ImageView, Monitor, PixelFormat, Sam, SamOptions, Tracker, TrackerOptions};

use crate::models::{self, CONTEXT, Files, pixels};
use crate::{accepted, parts};

/// Side of a model's input in pixels at most, if it is to run: time is what an input may take.
const RUN: usize = 128;

/// The first byte chooses one of `models` and how strictly it is read. Then come the contents of `names`, with NULs between
/// them; an empty one is no file.
fn chosen<'m, 'd>(
    data: &'d [u8],
    models: &[&'m Files],
    names: &[&'static str],
) -> Option<(&'m Files, bool, Vec<(&'static str, &'d [u8])>)> {
    let (&first, data) = data.split_first()?;
    let files = names.iter().copied().zip(parts(data)).filter(|(_, contents)| !contents.is_empty()).collect();
    Some((models[usize::from(first & 127) % models.len()], first & 128 != 0, files))
}

/// CLIP's models, and the files that [`clip`] takes beside them.
pub static CLIPS: [&Files; 4] = [&models::CLIP, &models::GELU_CLIP, &models::OPEN_CLIP, &models::OPENAI_CLIP];
/// In their order.
pub const CLIP_FILES: [&str; 4] =
    ["config.json", "open_clip_config.json", "preprocessor_config.json", "processor_config.json"];

/// A CLIP with other configurations.
pub fn clip(data: &[u8]) {
    let Some((model, lenient, files)) = chosen(data, &CLIPS, &CLIP_FILES) else { return };
    let Some(bundle) = accepted(model.bundle_with(&files)) else { return };
    let options = ClipOptions::default().with_lenient(lenient);
    let Some(clip) = accepted(Clip::load(&CONTEXT, &bundle, &options)) else { return };
    assert!(lenient || clip.warnings().iter().all(|warning| !warning.is_empty()));
    let (height, width) = clip.preprocess().output_size();
    if clip.model().vision.is_some() && height.max(width) <= RUN {
        let picture = pixels(9, 6);
        let picture = ImageView::packed(&picture, 9, 6, PixelFormat::Rgb8).expect("a picture");
        let values = accepted(clip.encode_images(&[picture], &EncodeOptions::default()));
        assert!(values.is_none_or(|values| values.len() == clip.embed_dim()));
    }
}

/// SAM's models.
pub static SAMS: [&Files; 4] = [&models::SAM, &models::HUGGING_FACE_SAM, &models::SAM_DECODER, &models::TINY_VIT];
/// SAM 2's.
pub static SAM2S: [&Files; 2] = [&models::SAM2, &models::HUGGING_FACE_SAM2];
/// The files that [`sam`] and [`sam2`] take, in their order.
pub const SAM_FILES: [&str; 4] =
    ["config.json", "preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json"];

/// A SAM with other configurations.
pub fn sam(data: &[u8]) {
    any_sam(data, &SAMS);
}

/// A SAM 2 with other configurations.
pub fn sam2(data: &[u8]) {
    any_sam(data, &SAM2S);
}

fn any_sam(data: &[u8], models: &[&Files]) {
    let Some((model, lenient, files)) = chosen(data, models, &SAM_FILES) else { return };
    let Some(bundle) = accepted(model.bundle_with(&files)) else { return };
    let options = SamOptions::default().with_lenient(lenient);
    let Some(sam) = accepted(Sam::load(&CONTEXT, &bundle, &options)) else { return };
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
