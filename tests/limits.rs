//! What exceeds a limit of the context is refused, by name, and nothing is changed.
#![cfg(feature = "std")]

use std::fs;

use demo::{Demo, context, picture, pixels};
use vitrum::pipelines::sam::SamOptions;
use vitrum::weights::Fnv64;
use vitrum::{ClassifyOptions, EncodeOptions, ErrorCode, Limits, Monitor, Point, PredictOptions, Prediction};
use vitrum::{Prompt, PromptOptions, Sam, Tracker, TrackerOptions};

#[path = "common/demo.rs"]
mod demo;

const NONE: Monitor<'static> = Monitor::none();

/// Checks that `result` is refused for the limit called `name`.
#[track_caller]
fn exceeds<T>(result: vitrum::Result<T>, name: &str) {
    let error = result.err().expect("an error");
    assert_eq!(error.code(), ErrorCode::Limit, "{error}");
    assert!(error.message().contains(&format!("limit {name} is")), "{error}");
}

#[test]
fn pixels_of_a_picture() {
    let (pixels, limits) = (pixels(), Limits::default().with_pixels(96 * 64 - 1));
    let image = picture(&pixels);
    let clip = Demo::new("clip-nano").clip(limits).unwrap();
    exceeds(clip.encode_images(&[image], &EncodeOptions::default()), "pixels");
    exceeds(clip.classify(&image, &["cat", "dog"], &ClassifyOptions::default()), "pixels");
    exceeds(Demo::new("sam-nano").sam(limits).unwrap().encode(&image, &NONE), "pixels");
    let sam2 = Demo::new("sam2-nano").sam(limits).unwrap();
    exceeds(sam2.encode(&image, &NONE), "pixels");
    exceeds(Tracker::new(sam2, [96, 64], &TrackerOptions::default()), "pixels");
}

#[test]
fn points_of_a_prompt() {
    let pixels = pixels();
    let points = [Point::foreground(40.0, 30.0); 3];
    let sam = Demo::new("sam2-nano").sam(Limits::default().with_points(2)).unwrap();
    let embedding = sam.encode(&picture(&pixels), &NONE).unwrap();
    let mut prediction = Prediction::default();
    let mut predict = |points: &[Point]| {
        let prompts = [Prompt::points(&points[..1]), Prompt::points(points)];
        sam.predict(&embedding, &prompts, &PredictOptions::default(), &mut prediction)
    };
    predict(&points[..2]).unwrap();
    let error = predict(&points).unwrap_err();
    assert!(error.message().starts_with("prompt 1: a prompt of 3 points"), "{error}");

    // Points that are kept count, too.
    let mut tracker = Tracker::new(sam.clone(), [96, 64], &TrackerOptions::default()).unwrap();
    tracker.push(&picture(&pixels), &NONE).unwrap();
    let keep = PromptOptions::default().with_keep_earlier(true);
    let mut add = |points: &[Point]| tracker.add_prompt(0, 1, &Prompt::points(points), &keep, &NONE);
    add(&points[..2]).unwrap();
    exceeds(add(&points[..1]), "points");
}

#[test]
fn objects_of_a_tracker() {
    let sam = Demo::new("sam2-nano").sam(Limits::default().with_objects(3)).unwrap();
    let tracker =
        |objects| Tracker::new(sam.clone(), [96, 64], &TrackerOptions::default().with_max_objects(objects));
    tracker(3).unwrap();
    exceeds(tracker(4), "objects");
}

/// A configuration of the 3 MB demo model that asks for an input of 4096 × 4096 pixels: 36 s and 877 MB for a picture.
#[test]
fn a_configuration_that_asks_for_a_large_input() {
    let large = fs::read("tests/cases/hardening/08-sam2-image-size/config.json").unwrap();
    let mut demo = Demo::new("sam2-nano");
    demo.files.retain(|(name, _)| *name != "config.json");
    demo.files.push(("config.json", large));
    exceeds(demo.sam(Limits::default()), "image_size");

    // One that fits the weights.
    let sides = |side: usize| format!("        {side},\n        {side}\n");
    let demo = Demo::new("sam2-nano")
        .with_config("\"image_size\": 256", "\"image_size\": 4096")
        .with_config(&sides(256), &sides(4096));
    exceeds(demo.sam(Limits::default()), "image_size");
    assert_eq!(demo.sam(Limits::default().with_image_size(4096)).unwrap().image_size(), 4096);

    // Also what the caller asks for.
    let demo = Demo::new("sam2-nano");
    let load = |side, limits| {
        Sam::load(&context(limits), &demo.bundle(), &SamOptions::default().with_image_size(side))
    };
    load(2048, Limits::default()).unwrap();
    exceeds(load(2304, Limits::default()), "image_size");
    exceeds(load(512, Limits::default().with_image_size(511)), "image_size");

    let side = Demo::new("clip-nano").clip(Limits::default()).unwrap().preprocess().output_size().0;
    exceeds(Demo::new("clip-nano").clip(Limits::default().with_image_size(side - 1)), "image_size");
}

#[test]
fn bytes_of_weights() {
    let demo = Demo::new("clip-nano");
    let bytes = demo.bundle().archive().f32_bytes();
    // The file has 16 bits for each.
    assert_eq!(bytes, 2 * demo.bundle().archive().total_bytes());
    demo.clip(Limits::default().with_weights_bytes(bytes)).unwrap();
    exceeds(demo.clip(Limits::default().with_weights_bytes(bytes - 1)), "weights_bytes");
    exceeds(Demo::new("sam-nano").sam(Limits::default().with_weights_bytes(1 << 20)), "weights_bytes");
}

#[test]
fn bytes_of_scratch_memory() {
    let pixels = pixels();
    let demo = Demo::new("sam-nano");
    let needed = demo.sam(Limits::default()).unwrap().encode_scratch_bytes();
    let encode = |bytes| {
        let sam = demo.sam(Limits::default().with_scratch_bytes(bytes)).unwrap();
        sam.encode(&picture(&pixels), &NONE).map(|_| ())
    };
    encode(needed).unwrap();
    exceeds(encode(needed / 4), "scratch_bytes");

    let clip = Demo::new("clip-nano").clip(Limits::default().with_scratch_bytes(10_000)).unwrap();
    exceeds(clip.encode_images(&[picture(&pixels)], &EncodeOptions::default()), "scratch_bytes");
    exceeds(clip.encode_texts(&["cat"], &EncodeOptions::default()), "scratch_bytes");
}

/// What anybody saved meets the limits, too; the checksum vouches for nothing.
#[test]
fn what_was_saved_is_checked_again() {
    let pixels = pixels();
    let sam = Demo::new("sam2-nano").sam(Limits::default().with_pixels(1 << 20)).unwrap();
    let sealed = |mut bytes: Vec<u8>| {
        bytes.truncate(bytes.len() - 8);
        let mut hash = Fnv64::default();
        hash.write(&bytes);
        bytes.extend(hash.finish().to_le_bytes());
        bytes
    };
    // The height of the picture behind magic, version, input size and model.
    let mut embedding = sam.encode(&picture(&pixels), &NONE).unwrap().save().unwrap();
    embedding[24..28].copy_from_slice(&(1u32 << 15).to_le_bytes());
    exceeds(sam.restore(&sealed(embedding)), "pixels");

    let mut tracker = Tracker::new(sam.clone(), [96, 64], &TrackerOptions::default()).unwrap();
    tracker.push(&picture(&pixels), &NONE).unwrap();
    let saved = tracker.save().unwrap();
    let at = saved.windows(8).position(|pair| pair == [64, 0, 0, 0, 96, 0, 0, 0]).unwrap();
    let mut large = saved.clone();
    large[at..at + 4].copy_from_slice(&(1u32 << 15).to_le_bytes());
    exceeds(Tracker::restore(sam.clone(), &sealed(large)), "pixels");
    Tracker::restore(sam, &sealed(saved)).unwrap();
}

/// A small file cannot ask for large tables by the size of its input: position embeddings are interpolated when it is loaded.
#[test]
fn what_grows_at_load_is_bounded_by_the_files() {
    let demo = Demo::new("sam2-nano");
    let (bundle, files) = (demo.bundle(), demo.weights.len());
    let scope = bundle.scope(vitrum::simd::Level::detect());
    let most = (8 << 20) + 16 * files;
    scope.check_derived("positions", most).unwrap();
    let error = scope.check_derived("positions", most + 1).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Limit);
    assert!(error.message().contains(&format!("of {files}")), "{error}");
}
