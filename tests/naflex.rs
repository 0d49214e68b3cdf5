//! SigLIP 2 in its variable resolution (NaFlex) as applications use it: pictures of all proportions, in batches, and files that
//! are wrong.
#![cfg(feature = "parallel")]

mod common;

use std::fs;

use common::{Golden, Picture};
use serde_json::{Value, json};
use vitrum::exec::{Cx, CxOptions};
use vitrum::image::{ImageView, PixelFormat};
use vitrum::pipelines::clip::{Clip, ClipOptions, EncodeOptions};
use vitrum::weights::{Bundle, BundleParts, OpenOptions};
use vitrum::{Error, ErrorCode, Limits, Result, WeightFormat};

/// Side of a patch, and most patches.
const PATCH: usize = 6;
const MOST: usize = 24;

fn read(name: &str) -> Vec<u8> {
    fs::read(common::path("clip/naflex").join(name)).unwrap()
}

fn cx() -> Cx {
    Cx::new(&CxOptions::default().with_threads(2)).unwrap()
}

fn load_as(format: Option<WeightFormat>) -> Clip {
    let bundle = Bundle::open(&common::path("clip/naflex"), OpenOptions::default()).unwrap();
    Clip::load(&cx(), &bundle, &ClipOptions::default().with_weights(format)).unwrap()
}

fn load(cx: &Cx, config: &[u8], preprocessor: Option<&[u8]>) -> Result<Clip> {
    let weights = read("model.safetensors");
    let mut parts = BundleParts::new(&weights).with_file("config.json", config);
    if let Some(preprocessor) = preprocessor {
        parts = parts.with_file("preprocessor_config.json", preprocessor);
    }
    Clip::load(cx, &Bundle::from_memory(parts)?, &ClipOptions::default())
}

#[track_caller]
fn assert_error<T>(result: Result<T>, code: ErrorCode, words: &str) {
    let error: Error = result.err().expect("an error");
    assert_eq!(error.code(), code, "{error}");
    assert!(error.message().contains(words), "{error} does not say {words:?}");
}

fn pictures(reference: &Golden) -> Vec<Picture> {
    (0..).map_while(|i| reference.image(&format!("image.{i}"))).collect()
}

fn views(pictures: &[Picture]) -> Vec<ImageView<'_>> {
    pictures
        .iter()
        .map(|(data, [height, width])| ImageView::packed(data, *width, *height, PixelFormat::Rgb8).unwrap())
        .collect()
}

#[test]
fn end_to_end() {
    let reference = Golden::read("clip/naflex/end_to_end.safetensors");
    let clip = load_as(None);
    assert!(clip.has_independent_probabilities());
    assert_eq!(clip.warnings(), [""; 0]);
    let pictures = pictures(&reference);
    let views = views(&pictures);
    assert_eq!(views.len(), 8);

    // Preprocessed pixels are exact, and no input is larger than the square that holds all.
    let square = clip.preprocess().output_size();
    assert_eq!(square, (5 * PATCH, 5 * PATCH));
    for (i, view) in views.iter().enumerate() {
        let (shape, expected) = reference.get(&format!("pixels.{i}"));
        let (height, width) = clip.preprocess().input_size(view.height(), view.width()).unwrap();
        assert_eq!(shape, [3, height, width]);
        assert!(height * width <= MOST * PATCH * PATCH && height % PATCH == 0 && width % PATCH == 0);
        let mut pixels = vec![f32::NAN; 3 * square.0 * square.1];
        clip.preprocess().run(&cx(), view, &mut pixels).unwrap();
        assert!(pixels[..expected.len()] == *expected, "picture {i}: pixels differ");
    }

    // All at once, whose inputs have several sizes, and one by one.
    let images = clip.encode_images(&views, &EncodeOptions::default()).unwrap();
    let alone: Vec<f32> = views
        .iter()
        .flat_map(|view| clip.encode_images(&[*view], &EncodeOptions::default()).unwrap())
        .collect();
    reference.check("image_embeds_normalized", &alone);
    let (shape, ids) = reference.get("input_ids");
    let ids: Vec<u32> = ids.iter().map(|&id| id as u32).collect();
    let ids: Vec<&[u32]> = ids.chunks_exact(shape[1]).collect();
    let texts = clip.encode_tokens(&ids, &EncodeOptions::default()).unwrap();
    reference.check("text_embeds_normalized", &texts);
    let mut logits = clip.similarity(&images, &texts).unwrap();
    reference.check("logits_per_image", &logits);
    clip.probabilities(&mut logits, ids.len());
    reference.check("probabilities", &logits);
}

/// More pictures than go through the tower at once, of sizes that alternate and that repeat.
#[test]
fn many_pictures() {
    let reference = Golden::read("clip/naflex/end_to_end.safetensors");
    let clip = load_as(None);
    let pictures = pictures(&reference);
    let views = views(&pictures);
    let dim = clip.embed_dim();
    let one = clip.encode_images(&views, &EncodeOptions::default()).unwrap();
    for order in [(0..240).map(|i| i % 8).collect::<Vec<usize>>(), (0..240).map(|i| i / 120 * 3).collect()] {
        let many: Vec<ImageView<'_>> = order.iter().map(|&i| views[i]).collect();
        let found = clip.encode_images(&many, &EncodeOptions::default()).unwrap();
        for (found, &i) in found.chunks_exact(dim).zip(&order) {
            let far = found.iter().zip(&one[i * dim..]).any(|(a, b)| (a - b).abs() > 1e-5);
            assert!(!far, "picture {i}");
        }
    }
}

#[test]
fn formats() {
    let reference = Golden::read("clip/naflex/end_to_end.safetensors");
    let pictures = pictures(&reference);
    let (_, exact) = reference.get("image_embeds_normalized");
    for (format, least) in
        [(WeightFormat::F16, 0.99999), (WeightFormat::Bf16, 0.999), (WeightFormat::Int8, 0.995)]
    {
        let clip = load_as(Some(format));
        let found = clip.encode_images(&views(&pictures), &EncodeOptions::default()).unwrap();
        let dim = clip.embed_dim();
        for (found, exact) in found.chunks_exact(dim).zip(exact.chunks_exact(dim)) {
            let cosine: f32 = found.iter().zip(exact).map(|(a, b)| a * b).sum();
            assert!(cosine > least, "{}: {cosine}", format.name());
        }
    }
}

#[test]
fn without_a_file_the_processor_has_the_model_s_patches() {
    let clip = load(&cx(), &read("config.json"), None).unwrap();
    let preprocess = clip.preprocess();
    assert_eq!((preprocess.naflex_patch(), preprocess.most_patches()), (Some(PATCH), Some(256)));
    assert_eq!(preprocess.output_size(), (16 * PATCH, 16 * PATCH));
    // Rows and columns as long as a picture's may be.
    let data = [90; 3 << 15];
    let longest = 1 << 15;
    for (width, height) in [(longest, 1), (1, longest)] {
        let picture = ImageView::packed(&data, width, height, PixelFormat::Rgb8).unwrap();
        let values = clip.encode_images(&[picture], &EncodeOptions::default()).unwrap();
        assert!(values.iter().all(|value| value.is_finite()));
        let (height, width) = preprocess.input_size(height, width).unwrap();
        assert_eq!(height * width, 256 * PATCH * PATCH);
    }
}

#[test]
fn impossible_files() {
    use ErrorCode::{Config, Limit, TensorShape, Unsupported};
    let processor: Value = serde_json::from_slice(&read("preprocessor_config.json")).unwrap();
    for (key, value, code, words) in [
        ("patch_size", json!(16), Config, "patches of 16 pixels, and the model has 6"),
        ("patch_size", json!(0), Config, "patch_size"),
        ("patch_size", json!([6, 6]), Config, "patch_size"),
        ("max_num_patches", json!(0), Config, "max_num_patches"),
        ("max_num_patches", json!(1u64 << 40), Config, "max_num_patches"),
        ("max_num_patches", json!(1 << 18), Limit, "image_size"),
        ("do_resize", json!(false), Config, "do_resize"),
        ("image_std", json!([0.5, 0.0, 0.5]), Config, "image_std"),
        ("image_processor_type", json!("SiglipImageProcessor"), Unsupported, "Siglip2ImageProcessor"),
        ("image_processor_type", json!("Siglip3ImageProcessor"), Unsupported, "Siglip3ImageProcessor"),
    ] {
        let mut changed = processor.clone();
        changed[key] = value;
        let result = load(&cx(), &read("config.json"), Some(changed.to_string().as_bytes()));
        assert_error(result, code, words);
    }
    let config: Value = serde_json::from_slice(&read("config.json")).unwrap();
    for (key, value, code, words) in [
        ("num_patches", json!(17), Config, "num_patches"),
        ("num_patches", json!(0), Config, "num_patches"),
        ("num_patches", json!(25), TensorShape, "position_embedding"),
        ("patch_size", json!(7), TensorShape, "patch_embedding"),
        ("num_channels", json!(1), Config, "num_channels"),
        ("vision_use_head", json!(false), Unsupported, "vision_use_head"),
    ] {
        let mut changed = config.clone();
        changed["vision_config"][key] = value;
        assert_error(load(&cx(), changed.to_string().as_bytes(), None), code, words);
    }
    // A setting that is not understood is told.
    let mut unknown = processor.clone();
    unknown["pad_to"] = json!(3);
    let clip = load(&cx(), &read("config.json"), Some(unknown.to_string().as_bytes())).unwrap();
    assert!(clip.warnings().iter().any(|warning| warning.contains("pad_to")), "{:?}", clip.warnings());
}

/// The limit is about a square with as many pixels as the largest input.
#[test]
fn limits() {
    let with = |side| {
        let limits = Limits::default().with_image_size(side);
        let cx = Cx::new(&CxOptions::default().with_threads(1).with_limits(limits)).unwrap();
        load(&cx, &read("config.json"), Some(&read("preprocessor_config.json")))
    };
    with(30).unwrap();
    assert_error(with(29), ErrorCode::Limit, "image_size");
}
