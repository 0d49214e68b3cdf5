//! CLIP's ResNet towers beyond their reference values: files that are wrong, inputs of other sizes, formats, batches, threads,
//! limits, and being stopped.
#![cfg(feature = "parallel")]

mod common;
#[path = "common/stopping.rs"]
mod stopping;

use std::collections::BTreeMap;
use std::fs;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::{Value, json};
use vitrum::exec::{Cx, CxOptions};
use vitrum::image::{ImageView, PixelFormat};
use vitrum::models::clip::EncoderConfig;
use vitrum::pipelines::clip::{Clip, ClipOptions, EncodeOptions};
use vitrum::simd::Level;
use vitrum::weights::quantized::{SHAPE_KEY, encode_tensor, shape_text};
use vitrum::weights::{Bundle, BundleParts, WEIGHT_FORMAT_KEY};
use vitrum::{Error, ErrorCode, Limits, Result, WeightFormat};

/// The weights of `resnet-openclip`, to be spoiled: data type, shape, bytes.
type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

const SIDE: usize = 96;

fn read(name: &str) -> Vec<u8> {
    fs::read(common::path("clip/resnet-openclip").join(name)).unwrap()
}

fn tensors() -> Tensors {
    let file = read("open_clip_model.safetensors");
    let tensors = SafeTensors::deserialize(&file).unwrap();
    let own = |(name, view): (String, TensorView<'_>)| {
        (name, (view.dtype(), view.shape().to_vec(), view.data().to_vec()))
    };
    tensors.tensors().into_iter().map(own).collect()
}

fn file(tensors: &Tensors, metadata: &[(String, String)]) -> Vec<u8> {
    let view = |(dtype, shape, bytes)| TensorView::new(dtype, shape, bytes).unwrap();
    let views =
        tensors.iter().map(|(name, (dtype, shape, bytes))| (name, view((*dtype, shape.clone(), bytes))));
    let metadata = (!metadata.is_empty()).then(|| metadata.iter().cloned().collect());
    serialize(views.collect::<Vec<_>>(), metadata).unwrap()
}

fn config() -> Value {
    serde_json::from_slice(&read("open_clip_config.json")).unwrap()
}

fn load_with(cx: &Cx, weights: &[u8], sides: &[(&str, &[u8])], options: &ClipOptions<'_>) -> Result<Clip> {
    let parts =
        sides.iter().fold(BundleParts::new(weights), |parts, (name, side)| parts.with_file(name, side));
    Clip::load(cx, &Bundle::from_memory(parts)?, options)
}

fn load(cx: &Cx, weights: &[u8], options: &ClipOptions<'_>) -> Result<Clip> {
    load_with(cx, weights, &[("open_clip_config.json", &read("open_clip_config.json"))], options)
}

fn serial() -> Cx {
    Cx::serial(Level::detect())
}

#[track_caller]
fn assert_error<T>(result: Result<T>, code: ErrorCode, words: &str) {
    let error: Error = result.err().expect("an error");
    assert_eq!(error.code(), code, "{error}");
    assert!(error.message().contains(words), "{error} does not say {words:?}");
}

/// `count` pictures, one after the other: of stripes, of one colour, and of what looks like noise.
fn pixels(count: usize) -> Vec<u8> {
    let value = |image: usize, i: usize| match image % 3 {
        0 => (i / 24 % 2 * 200 + image) as u8,
        1 => [250, 100, 90][i % 3] - image as u8,
        _ => (i * 7 + i / 311 * 31 + image * 57) as u8,
    };
    (0..count).flat_map(|image| (0..3 * SIDE * SIDE).map(move |i| value(image, i))).collect()
}

fn views(pixels: &[u8]) -> Vec<ImageView<'_>> {
    let view = |pixels| ImageView::packed(pixels, SIDE, SIDE, PixelFormat::Rgb8).unwrap();
    pixels.chunks_exact(3 * SIDE * SIDE).map(view).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn sizes_are_those_of_the_file() {
    let clip = load(&serial(), &file(&tensors(), &[]), &ClipOptions::default()).unwrap();
    assert_eq!(clip.warnings(), [] as [String; 0]);
    let EncoderConfig::ResNet(net) = clip.config().vision.unwrap().encoder else { panic!("a ResNet") };
    assert_eq!((net.width, net.blocks, net.heads, net.embed_dim), (6, [2, 1, 1, 1], 6, 20));
    assert_eq!(clip.config().vision.unwrap().image_size, SIDE);
}

#[test]
fn tensors_that_are_missing_or_of_another_size() {
    use ErrorCode::{Config, MissingTensor, NonFinite, TensorShape, Unsupported};
    let whole = tensors();
    let error = |change: &dyn Fn(&mut Tensors), code, words: &str| {
        let mut tensors = whole.clone();
        change(&mut tensors);
        assert_error(load(&serial(), &file(&tensors, &[]), &ClipOptions::default()), code, words);
    };
    // Every tensor of the tower is needed but for the counters.
    for name in whole.keys().filter(|name| name.starts_with("visual.") && !name.ends_with("_tracked")) {
        let mut tensors = whole.clone();
        tensors.remove(name);
        let result = load(&serial(), &file(&tensors, &[]), &ClipOptions::default());
        let code = result.err().unwrap_or_else(|| panic!("{name} is not missed")).code();
        assert!(matches!(code, MissingTensor | Unsupported | Config), "{name}: {code:?}");
    }
    let remove = |name: &'static str| move |tensors: &mut Tensors| drop(tensors.remove(name));
    error(&remove("visual.bn2.running_var"), MissingTensor, "\"visual.bn2.running_var\"");
    error(&remove("visual.layer1.0.downsample.0.weight"), MissingTensor, "downsample.0.weight");
    error(&remove("visual.attnpool.k_proj.bias"), MissingTensor, "attnpool.k_proj.bias");
    error(&remove("visual.layer3.0.conv1.weight"), Config, "visual.layer3: the number of blocks");

    let shape = |name: &'static str, shape: &'static [usize]| {
        move |tensors: &mut Tensors| {
            let bytes = 2 * shape.iter().product::<usize>();
            tensors.insert(name.into(), (Dtype::BF16, shape.to_vec(), vec![0; bytes]));
        }
    };
    error(
        &shape("visual.conv1.weight", &[6, 3, 3, 3]),
        TensorShape,
        "expected [3, 3, 3, 3], found [6, 3, 3, 3]",
    );
    error(&shape("visual.conv1.weight", &[3, 3, 7, 7]), TensorShape, "visual.conv1.weight");
    error(&shape("visual.bn1.weight", &[4]), TensorShape, "visual.bn1.weight");
    error(&shape("visual.layer2.0.conv2.weight", &[12, 12, 1, 1]), TensorShape, "layer2.0.conv2.weight");
    error(&shape("visual.layer4.0.downsample.0.weight", &[192, 96]), TensorShape, "downsample.0.weight");
    error(&shape("visual.attnpool.q_proj.weight", &[192, 96]), TensorShape, "q_proj.weight");
    // Nothing at all, or more than can be.
    error(&shape("visual.layer1.0.conv1.weight", &[0, 6, 1, 1]), Config, "width 0");
    error(&shape("visual.layer1.0.conv1.weight", &[5, 6, 1, 1]), Config, "width 5");
    error(&shape("visual.layer1.0.conv1.weight", &[6, 6]), TensorShape, "4 dimensions");
    error(&shape("visual.layer1.0.conv1.weight", &[1000, 1, 1, 1]), Config, "width 1000");
    error(&shape("visual.layer1.0.conv1.weight", &[6, 0, 1, 1]), TensorShape, "layer1.0.conv1.weight");
    error(
        &shape("visual.layer1.0.conv1.weight", &[8, 6, 1, 1]),
        TensorShape,
        "features, of a tower of width 8",
    );
    error(&shape("visual.attnpool.positional_embedding", &[0, 192]), Config, "0 positions");
    error(&shape("visual.attnpool.positional_embedding", &[1, 192]), Config, "1 positions");
    error(&shape("visual.attnpool.positional_embedding", &[11, 192]), Config, "11 positions");
    error(&shape("visual.attnpool.c_proj.weight", &[0, 192]), Config, "embed_dim\": expected 0");
    // A block after a gap, and the tower of another architecture beside this one.
    error(
        &shape("visual.layer2.3.conv1.weight", &[12, 48, 1, 1]),
        Unsupported,
        "visual.layer2.3.conv1.weight",
    );
    error(&shape("visual.class_embedding", &[6]), MissingTensor, "\"visual.positional_embedding\"");
    // A variance below zero has no root.
    let negative = |tensors: &mut Tensors| {
        let variance = &mut tensors.get_mut("visual.bn1.running_var").unwrap().2;
        variance.as_chunks_mut().0.iter_mut().for_each(|x| *x = half::bf16::from_f32(-1.0).to_le_bytes());
    };
    let mut tensors = whole.clone();
    negative(&mut tensors);
    let clip = load(&serial(), &file(&tensors, &[]), &ClipOptions::default());
    let result = clip.and_then(|clip| clip.encode_images(&views(&pixels(1)), &EncodeOptions::default()));
    assert_error(result, NonFinite, "image 0");
}

#[test]
fn settings_that_are_not_the_tensors() {
    use ErrorCode::{Config, InvalidArgument, Unsupported};
    let weights = file(&tensors(), &[]);
    let cases: &[(&str, Value, ErrorCode, &str)] = &[
        ("layers", json!([2, 1, 1, 2]), Unsupported, "layers"),
        ("layers", json!([2, 1, 1]), Unsupported, "[2, 1, 1, 1], as the tensors have"),
        ("layers", json!([2, 1, 1, -1]), Unsupported, "layers"),
        ("layers", json!(12), Unsupported, "layers"),
        ("width", json!(64), Config, "6, as the tensors have"),
        ("image_size", json!(224), Config, "96, as the tensors have"),
        ("head_width", json!(0), Config, "head_width"),
        ("head_width", json!(384), Config, "0 heads"),
        ("timm_model_name", json!("resnet50"), Unsupported, "timm_model_name"),
    ];
    for (key, value, code, words) in cases {
        let mut config = config();
        config["model_cfg"]["vision_cfg"][key] = value.clone();
        let sides = [("open_clip_config.json", config.to_string().into_bytes())];
        let sides = sides.each_ref().map(|(name, side)| (*name, &side[..]));
        let result = load_with(&serial(), &weights, &sides, &ClipOptions::default());
        assert_error(result, *code, words);
    }
    // What open_clip's ResNet does not look at.
    let mut of_vit = config();
    of_vit["model_cfg"]["vision_cfg"]["mlp_ratio"] = json!(3);
    of_vit["model_cfg"]["vision_cfg"]["pool_type"] = json!("avg");
    let sides = [("open_clip_config.json", of_vit.to_string().into_bytes())];
    let sides = sides.each_ref().map(|(name, side)| (*name, &side[..]));
    let clip = load_with(&serial(), &weights, &sides, &ClipOptions::default()).unwrap();
    assert_eq!(clip.warnings(), [] as [String; 0]);

    // The positions are for one size: preprocessing for another one is refused.
    let preprocess = json!({"size": 64, "crop_size": 64, "do_resize": true, "do_center_crop": true});
    let (config, preprocess) = (config().to_string(), preprocess.to_string());
    let sides =
        [("open_clip_config.json", config.as_bytes()), ("preprocessor_config.json", preprocess.as_bytes())];
    let result = load_with(&serial(), &weights, &sides, &ClipOptions::default());
    assert_error(
        result,
        InvalidArgument,
        "input of 64x64: the attention pool of this ResNet has positions for 96x96",
    );
}

#[test]
fn results_do_not_depend_on_batches_or_threads() {
    let weights = file(&tensors(), &[]);
    // More than go through the tower at once.
    let pixels = pixels(75);
    let views = views(&pixels);
    for level in Level::available() {
        let mut expected = None;
        for threads in [1, 2, 5] {
            let cx = Cx::new(&CxOptions::default().with_threads(threads).with_level(level)).unwrap();
            let clip = load(&cx, &weights, &ClipOptions::default()).unwrap();
            let together = clip.encode_images(&views, &EncodeOptions::default()).unwrap();
            let last = clip.encode_images(&views[74..], &EncodeOptions::default()).unwrap();
            assert!(together.ends_with(&last), "{level:?}: batches change the result with {threads} threads");
            assert!(*expected.get_or_insert_with(|| together.clone()) == together, "{level:?}: {threads}");
        }
    }
}

/// What `vitrum quantize` writes of the model.
fn quantized(format: WeightFormat) -> Vec<u8> {
    let weights = file(&tensors(), &[]);
    let config = read("open_clip_config.json");
    let parts = BundleParts::new(&weights).with_file("open_clip_config.json", &config);
    let bundle = Bundle::from_memory(parts).unwrap();
    Clip::load(&serial(), &bundle, &ClipOptions::default().with_weights(format)).unwrap();
    let archive = bundle.archive();
    let mut metadata = vec![(WEIGHT_FORMAT_KEY.to_owned(), format.name().to_owned())];
    let mut tensors = Tensors::new();
    for info in archive.tensors() {
        if archive.is_packed(info.name) && format == WeightFormat::Q4 {
            metadata.push((format!("{SHAPE_KEY}{}", info.name), shape_text(info.shape)));
        }
        for part in encode_tensor(archive, info.name, format).unwrap() {
            tensors.insert(format!("{}{}", info.name, part.suffix), (part.dtype, part.shape, part.bytes));
        }
    }
    // Norms, the stem and the last projection stay.
    for name in ["bn1.running_var", "conv2.weight", "attnpool.c_proj.weight", "layer1.0.downsample.1.weight"]
    {
        assert!(!archive.is_packed(&format!("visual.{name}")), "{name}");
    }
    for name in ["layer1.0.conv1", "layer2.0.conv2", "layer4.0.downsample.0", "attnpool.k_proj"] {
        assert!(archive.is_packed(&format!("visual.{name}.weight")), "{name}");
    }
    file(&tensors, &metadata)
}

#[test]
fn formats() {
    let weights = file(&tensors(), &[]);
    let (pixels, cx) = (pixels(2), serial());
    let embed = |weights: &[u8], options: &ClipOptions<'_>| {
        let clip = load(&cx, weights, options).unwrap();
        (clip.encode_images(&views(&pixels), &EncodeOptions::default()).unwrap(), clip.memory_bytes())
    };
    let (exact, bytes) = embed(&weights, &ClipOptions::default());
    // How alike embeddings of different pictures are, against which an error counts.
    let (first, second) = exact.split_at(20);
    assert!(cosine(first, second) < 0.98, "{}", cosine(first, second));
    for (format, least) in [
        (WeightFormat::F16, 0.99999),
        (WeightFormat::Bf16, 0.9999),
        (WeightFormat::Int8, 0.998),
        (WeightFormat::Q4, 0.95),
    ] {
        let (found, smaller) = embed(&weights, &ClipOptions::default().with_weights(format));
        assert!(smaller < bytes, "{}", format.name());
        let (stored, same) = embed(&quantized(format), &ClipOptions::default());
        assert_eq!(smaller, same, "{}", format.name());
        for (found, stored, exact) in
            [(&found[..20], &stored[..20], first), (&found[20..], &stored[20..], second)]
        {
            let (direct, by_file) = (cosine(found, exact), cosine(stored, exact));
            assert!(direct > least && by_file > least, "{}: {direct} and {by_file}", format.name());
        }
    }
}

#[test]
fn limits_and_monitors() {
    let weights = file(&tensors(), &[]);
    let with = |limits: Limits| {
        let cx = Cx::new(&CxOptions::default().with_threads(2).with_limits(limits)).unwrap();
        load(&cx, &weights, &ClipOptions::default())
    };
    let pixels = pixels(3);
    let images = views(&pixels);
    let encode = EncodeOptions::default();
    assert_error(with(Limits::default().with_image_size(SIDE - 1)), ErrorCode::Limit, "image_size");
    let little = with(Limits::default().with_scratch_bytes(10_000)).unwrap();
    assert_error(little.encode_images(&images, &encode), ErrorCode::Limit, "scratch_bytes");

    let clip = with(Limits::default()).unwrap();
    // The stem, five blocks of three pictures, and the pool: asked between them, and within.
    stopping::check_pictures(&clip, &images, 40);
}
