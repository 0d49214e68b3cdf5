//! Bad configurations and bad calls: each its own error, and the model stays usable.
#![cfg(feature = "parallel")]

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use vitrum::exec::{Cx, CxOptions};
use vitrum::image::{ImageView, PixelFormat};
use vitrum::pipelines::clip::{ClassifyOptions, Clip, ClipOptions, EncodeOptions};
use vitrum::simd::Level;
use vitrum::weights::{Bundle, BundleParts};
use vitrum::{Error, ErrorCode, Result};

fn read(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/clip/quickgelu-p32").join(name))
        .unwrap()
}

/// Loads the model with these side files.
fn load(files: &[(&'static str, &[u8])]) -> Result<Clip> {
    let weights = read("model.safetensors");
    let parts =
        files.iter().fold(BundleParts::new(&weights), |parts, &(name, file)| parts.with_file(name, file));
    let cx = Cx::new(&CxOptions::default().with_threads(1))?;
    Clip::load(&cx, &Bundle::from_memory(parts)?, &ClipOptions::default())
}

fn load_whole() -> Clip {
    let (config, tokenizer) = (read("config.json"), read("tokenizer.json"));
    load(&[("config.json", &config), ("tokenizer.json", &tokenizer)]).unwrap()
}

#[track_caller]
fn assert_error<T>(result: Result<T>, code: ErrorCode, words: &str) {
    let error: Error = result.err().expect("an error");
    assert_eq!(error.code(), code, "{error}");
    assert!(error.message().contains(words), "{error} does not say {words:?}");
}

/// Cases 47 to 53 of the malformed inputs: a configuration value is impossible.
#[test]
fn impossible_configurations() {
    use ErrorCode::{Config, Limit, MissingTensor, TensorShape};
    let cases: &[(&str, Value, ErrorCode, &str)] = &[
        // 47: no heads.
        ("/vision_config/num_attention_heads", json!(0), Config, "num_attention_heads"),
        ("/text_config/num_attention_heads", json!(0), Config, "num_attention_heads"),
        // 48: heads that do not divide the width.
        ("/vision_config/num_attention_heads", json!(3), Config, "divisor of hidden_size = 16"),
        // 49: patches without pixels.
        ("/vision_config/patch_size", json!(0), Config, "patch_size"),
        ("/vision_config/patch_size", json!(65), Config, "patch_size"),
        // 50: a gigantic input.
        ("/vision_config/image_size", json!(1u64 << 31), Config, "image_size"),
        ("/vision_config/image_size", json!(4096), Limit, "image_size"),
        ("/vision_config/image_size", json!(2048), TensorShape, "position_embedding"),
        // 51: values that are no numbers.
        ("/vision_config/hidden_size", json!("12"), Config, "hidden_size"),
        ("/vision_config/hidden_size", json!(16.5), Config, "hidden_size"),
        ("/vision_config/hidden_size", json!(-16), Config, "hidden_size"),
        ("/text_config/layer_norm_eps", json!("1e-5"), Config, "layer_norm_eps"),
        ("/text_config/hidden_act", json!("gelu2"), Config, "hidden_act"),
        ("/projection_dim", json!(0), Config, "projection_dim"),
        // 52: layers without end.
        ("/vision_config/num_hidden_layers", json!(1u64 << 31), Config, "num_hidden_layers"),
        ("/vision_config/num_hidden_layers", json!(200), MissingTensor, "vision_model.encoder.layers.2."),
        // Sizes of another model.
        ("/text_config/vocab_size", json!(49408), TensorShape, "expected [49408, 24], found [914, 24]"),
        ("/vision_config/hidden_size", json!(32), TensorShape, "vision_model.embeddings"),
    ];
    let config: Value = serde_json::from_slice(&read("config.json")).unwrap();
    for (pointer, value, code, words) in cases {
        let mut config = config.clone();
        *config.pointer_mut(pointer).unwrap() = value.clone();
        let result = load(&[("config.json", config.to_string().as_bytes())]);
        assert_error(result, *code, words);
    }
    // 51 again: what JSON writers do not write.
    let text = config.to_string();
    for (from, to) in [("1e-5", "1e400"), ("1e-5", "NaN"), ("1e-05", "1e400")] {
        if text.contains(from) {
            assert_error(load(&[("config.json", text.replace(from, to).as_bytes())]), Config, "config.json");
        }
    }
    // 53: pixels divided by nothing.
    let good = read("config.json");
    let preprocess = String::from_utf8(read("preprocessor_config.json")).unwrap();
    let preprocess = preprocess.replace("0.26862954", "0");
    let result = load(&[("config.json", &good), ("preprocessor_config.json", preprocess.as_bytes())]);
    assert_error(result, Config, "image_std");
    assert_error(load(&[]), ErrorCode::NotFound, "config.json");
}

#[test]
fn empty_texts_are_start_and_end() {
    let clip = load_whole();
    let tokenizer = clip.tokenizer().unwrap();
    let texts = ["", "cat", " \t\n"];
    for text in [texts[0], texts[2]] {
        assert_eq!(clip.tokenize(text).unwrap(), [tokenizer.start_id(), tokenizer.end_id()], "{text:?}");
    }
    let embeddings = clip.encode_texts(&texts, &EncodeOptions::default()).unwrap();
    let [empty, cat, white]: [&[f32]; 3] =
        embeddings.chunks_exact(clip.embed_dim()).collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(empty, white);
    assert_ne!(empty, cat);
    assert_eq!(empty, clip.encode_texts(&[""], &EncodeOptions::default()).unwrap());
}

#[test]
fn bad_calls_leave_the_model_usable() {
    let clip = load_whole();
    let pixels = vec![100u8; 40 * 30 * 3];
    let image = ImageView::packed(&pixels, 40, 30, PixelFormat::Rgb8).unwrap();
    let before = clip.classify(&image, &["cat", "dog"], &ClassifyOptions::default()).unwrap();

    use ErrorCode::{BufferTooSmall, Image, InvalidArgument};
    assert_error(clip.classify(&image, &[], &ClassifyOptions::default()), InvalidArgument, "no labels");
    assert_error(
        clip.classify(&image, &["cat", " "], &ClassifyOptions::default()),
        InvalidArgument,
        "label 1 is empty",
    );
    assert_error(
        clip.classify(&image, &["cat"], &ClassifyOptions::default().with_template("a photo")),
        InvalidArgument,
        "\"a photo\" has no {}",
    );
    assert_error(clip.encode_images(&[], &EncodeOptions::default()), InvalidArgument, "no images");
    assert_error(clip.encode_texts(&[], &EncodeOptions::default()), InvalidArgument, "no texts");
    let short = &mut [0.0; 19];
    assert_error(
        clip.encode_images_into(&[image], &EncodeOptions::default(), short),
        BufferTooSmall,
        "19 values, 20 needed",
    );
    assert_error(
        clip.encode_texts_into(&["cat"], &EncodeOptions::default(), short),
        BufferTooSmall,
        "19 values, 20 needed",
    );
    assert_error(clip.similarity(&[0.0; 19], &[0.0; 20]), InvalidArgument, "rows of 20");
    assert_error(clip.similarity(&[0.0; 20], &[]), InvalidArgument, "text embeddings");
    // A picture so narrow that its other side would be resized beyond all bounds.
    let line = vec![0u8; 32768 * 3];
    let line = ImageView::packed(&line, 32768, 1, PixelFormat::Rgb8).unwrap();
    if let Err(error) = clip.encode_images(&[image, line], &EncodeOptions::default()) {
        assert_eq!(error.code(), Image, "{error}");
        assert!(error.message().starts_with("image 1: "), "{error}");
    }

    let after = clip.classify(&image, &["cat", "dog"], &ClassifyOptions::default()).unwrap();
    assert_eq!(before, after);
    assert!((after.iter().sum::<f32>() - 1.0).abs() < 1e-6);
}

#[test]
fn texts_need_a_tokenizer_and_images_do_not() {
    let config = read("config.json");
    let clip = load(&[("config.json", &config)]).unwrap();
    assert_error(clip.encode_texts(&["cat"], &EncodeOptions::default()), ErrorCode::NotFound, "no tokenizer");
    let pixels = vec![100u8; 12];
    let image = ImageView::packed(&pixels, 2, 2, PixelFormat::Rgb8).unwrap();
    assert_eq!(clip.encode_images(&[image], &EncodeOptions::default()).unwrap().len(), 20);
}

#[test]
fn results_do_not_depend_on_batches_threads_or_length() {
    let (config, tokenizer) = (read("config.json"), read("tokenizer.json"));
    let weights = read("model.safetensors");
    let parts =
        BundleParts::new(&weights).with_file("config.json", &config).with_file("tokenizer.json", &tokenizer);
    let bundle = Bundle::from_memory(parts).unwrap();
    let texts: Vec<String> = (0..60).map(|i| "word ".repeat(i % 30 * 3 + 1)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for level in Level::available() {
        let mut expected = None;
        for threads in [1, 2, 3, 5, 8] {
            let cx = Cx::new(&CxOptions::default().with_threads(threads).with_level(level)).unwrap();
            let clip = Clip::load(&cx, &bundle, &ClipOptions::default()).unwrap();
            let together = clip.encode_texts(&texts, &EncodeOptions::default()).unwrap();
            let alone: Vec<f32> = texts
                .iter()
                .flat_map(|text| clip.encode_texts(&[text], &EncodeOptions::default()).unwrap())
                .collect();
            assert!(together == alone, "{level:?}: batches change the result with {threads} threads");
            assert!(
                *expected.get_or_insert_with(|| together.clone()) == together,
                "{level:?}: {threads} threads"
            );
        }
    }
}
