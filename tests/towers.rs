//! PE-Core's and MobileCLIP's towers beyond their reference values: files that are wrong, settings, batches, threads, formats,
//! being stopped, and preprocessing where no file describes it.
#![cfg(feature = "parallel")]

mod common;
#[path = "common/stopping.rs"]
mod stopping;

use std::collections::BTreeMap;
use std::fs;

use common::Golden;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::{Value, json};
use vitrum::exec::{Cx, CxOptions};
use vitrum::image::{ImageView, PixelFormat};
use vitrum::models::clip::{EncoderConfig, Rotary};
use vitrum::pipelines::clip::{Clip, ClipOptions, EncodeOptions};
use vitrum::simd::Level;
use vitrum::weights::{Bundle, BundleParts};
use vitrum::{Error, ErrorCode, Result, WeightFormat};

/// The weights of a model, to be spoiled: data type, shape, bytes.
type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

/// The models of `tests/golden/clip` with both towers, their weights' file and their configuration.
const MODELS: [(&str, &str, &str); 15] = [
    ("pe-timm", "open_clip_model.safetensors", "open_clip_config.json"),
    ("pe-timm-g", "open_clip_model.safetensors", "open_clip_config.json"),
    ("pe-meta", "model.safetensors", ""),
    ("pe-meta-g", "model.safetensors", ""),
    ("mobileclip-s0-timm", "open_clip_model.safetensors", "open_clip_config.json"),
    ("mobileclip-s3-timm", "open_clip_model.safetensors", "open_clip_config.json"),
    ("mobileclip-b-timm", "open_clip_model.safetensors", "open_clip_config.json"),
    ("mobileclip-l-timm", "open_clip_model.safetensors", "open_clip_config.json"),
    ("mobileclip-s0-apple", "model.safetensors", "config.json"),
    ("mobileclip-b-apple", "model.safetensors", "config.json"),
    ("eva-timm", "open_clip_model.safetensors", "open_clip_config.json"),
    ("convnext-timm", "open_clip_model.safetensors", "open_clip_config.json"),
    ("convnext-d-timm", "open_clip_model.safetensors", "open_clip_config.json"),
    ("eva02-timm", "open_clip_model.safetensors", "open_clip_config.json"),
    ("siglip-timm", "open_clip_model.safetensors", "open_clip_config.json"),
];

fn read(model: &str, name: &str) -> Vec<u8> {
    fs::read(common::path("clip").join(model).join(name)).unwrap()
}

fn tensors(model: &str) -> Tensors {
    let (_, file, _) = MODELS.into_iter().find(|it| it.0 == model).unwrap();
    let file = read(model, file);
    let tensors = SafeTensors::deserialize(&file).unwrap();
    let own = |(name, view): (String, TensorView<'_>)| {
        (name, (view.dtype(), view.shape().to_vec(), view.data().to_vec()))
    };
    tensors.tensors().into_iter().map(own).collect()
}

fn file(tensors: &Tensors) -> Vec<u8> {
    let view = |(dtype, shape, bytes)| TensorView::new(dtype, shape, bytes).unwrap();
    let views =
        tensors.iter().map(|(name, (dtype, shape, bytes))| (name, view((*dtype, shape.clone(), bytes))));
    serialize(views.collect::<Vec<_>>(), None).unwrap()
}

/// The model's own configuration; `None` if it has none.
fn config(model: &str) -> Option<(&'static str, Value)> {
    let (_, _, name) = MODELS.into_iter().find(|it| it.0 == model).unwrap();
    (!name.is_empty()).then(|| (name, serde_json::from_slice(&read(model, name)).unwrap()))
}

fn load_with(
    cx: &Cx,
    weights: &[u8],
    config: Option<(&str, Value)>,
    options: &ClipOptions<'_>,
) -> Result<Clip> {
    let side = config.map(|(name, value)| (name, value.to_string()));
    let parts = side
        .iter()
        .fold(BundleParts::new(weights), |parts, (name, side)| parts.with_file(name, side.as_bytes()));
    Clip::load(cx, &Bundle::from_memory(parts)?, options)
}

fn load(model: &str, tensors: &Tensors) -> Result<Clip> {
    load_with(&serial(), &file(tensors), config(model), &ClipOptions::default())
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

/// `count` pictures of `side` pixels, one after the other: of stripes, of one colour, and of what looks like noise.
fn pixels(count: usize, side: usize) -> Vec<u8> {
    let value = |image: usize, i: usize| match image % 3 {
        0 => (i / 24 % 2 * 200 + image) as u8,
        1 => [250, 100, 90][i % 3] - image as u8,
        _ => (i * 7 + i / 311 * 31 + image * 57) as u8,
    };
    (0..count).flat_map(|image| (0..3 * side * side).map(move |i| value(image, i))).collect()
}

fn views(pixels: &[u8], side: usize) -> Vec<ImageView<'_>> {
    let view = |pixels| ImageView::packed(pixels, side, side, PixelFormat::Rgb8).unwrap();
    pixels.chunks_exact(3 * side * side).map(view).collect()
}

/// The golden token ids, a row for each text.
fn tokens(reference: &Golden) -> Vec<Vec<u32>> {
    let (shape, ids) = reference.get("input_ids");
    ids.chunks_exact(shape[1]).map(|ids| ids.iter().map(|&id| id as u32).collect()).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// From embeddings to logits, as the reference has them.
#[test]
fn logits() {
    for (model, ..) in MODELS {
        let reference = Golden::read(&format!("clip/{model}/golden.safetensors"));
        let clip = load(model, &tensors(model)).unwrap();
        assert_eq!(clip.warnings(), [""; 0], "{model}");
        let ids = tokens(&reference);
        let ids: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
        let texts = clip.encode_tokens(&ids, &EncodeOptions::default()).unwrap();
        let (_, images) = reference.get("image_embeds");
        reference.check("logits_per_image", &clip.similarity(images, &texts).unwrap());
        assert_eq!(clip.has_independent_probabilities(), model == "siglip-timm");
        assert_eq!(clip.model().is_mobile_clip(), model.starts_with("mobileclip"));
        assert_eq!(clip.model().is_pe_core(), model.starts_with("pe-"));
    }
}

#[test]
fn sizes_are_those_of_the_file() {
    let encoder = |model: &str| load(model, &tensors(model)).unwrap().config().vision.unwrap().encoder;
    let EncoderConfig::FastVit(net) = encoder("mobileclip-s3-timm") else { panic!("a FastViT") };
    let widths: Vec<_> = net.stages().iter().map(|stage| (stage.width, stage.has_attention)).collect();
    assert_eq!(widths, [(4, false), (8, false), (16, false), (32, true), (64, true)]);
    assert_eq!((net.reduction(), net.embed_dim), (64, 20));
    let EncoderConfig::Vit(vit) = encoder("pe-timm-g") else { panic!("a ViT") };
    assert_eq!((vit.tower.heads, vit.tower.hidden_size, vit.rotary), (16, 64, Some(Rotary::PeCore)));
}

/// Every tensor of a tower is needed but for counters, and the error names it, or one beside it.
#[test]
fn tensors_that_are_missing() {
    for (model, ..) in MODELS {
        let whole = tensors(model);
        for name in whole.keys().filter(|name| !name.ends_with("num_batches_tracked")) {
            let mut tensors = whole.clone();
            tensors.remove(name);
            let error =
                load(model, &tensors).err().unwrap_or_else(|| panic!("{model}: {name} is not missed"));
            use ErrorCode::{Config, MissingTensor, TensorShape, Unsupported};
            let codes = [Config, MissingTensor, TensorShape, Unsupported, ErrorCode::NotFound];
            assert!(codes.contains(&error.code()), "{model}: {name}: {error}");
        }
    }
    let error = |model: &str, name: &str, words: &str| {
        let mut tensors = tensors(model);
        assert!(tensors.remove(name).is_some(), "{name}");
        assert_error(load(model, &tensors), ErrorCode::MissingTensor, words);
    };
    // A branch, a norm, a scale, a gate, the probe.
    let block = "visual.trunk.stages.0.blocks.0";
    for name in [
        "token_mixer.mixer.conv_scale.conv.weight",
        "token_mixer.norm.identity.running_var",
        "layer_scale.gamma",
    ] {
        error("mobileclip-s0-timm", &format!("{block}.{name}"), name);
    }
    error("mobileclip-s0-timm", "visual.trunk.stages.2.downsample.proj.0.se.fc1.weight", "se.fc1.weight");
    error(
        "mobileclip-s0-timm",
        "visual.trunk.stages.1.downsample.proj.0.small_conv.conv.weight",
        "small_conv.conv.weight",
    );
    error("mobileclip-s0-timm", "visual.trunk.stem.0.conv_kxk.0.bn.bias", "stem.0.conv_kxk.0.bn.bias");
    error(
        "mobileclip-s0-apple",
        "text_encoder.transformer.0.token_mixer.norm.rbr_skip.weight",
        "rbr_skip.weight",
    );
    error("pe-timm", "visual.trunk.attn_pool.latent", "attn_pool.latent");
    error("pe-meta", "visual.attn_pool.attn.in_proj_bias", "attn_pool.attn.in_proj_bias");
}

#[test]
fn tensors_of_another_size_or_too_many() {
    use ErrorCode::{Config, TensorShape, Unsupported};
    let error = |model: &str, name: &str, shape: &[usize], code, words: &str| {
        let mut tensors = tensors(model);
        let bytes = vec![0; 2 * shape.iter().product::<usize>()];
        tensors.insert(name.into(), (Dtype::F16, shape.to_vec(), bytes));
        assert_error(load(model, &tensors), code, words);
    };
    let s0 = "mobileclip-s0-timm";
    let trunk = "visual.trunk";
    error(
        s0,
        &format!("{trunk}.stem.0.conv_kxk.0.conv.weight"),
        &[8, 3, 5, 5],
        TensorShape,
        "expected [8, 3, 3, 3]",
    );
    error(
        s0,
        &format!("{trunk}.stages.1.downsample.proj.0.large_conv.conv.weight"),
        &[16, 1, 9, 9],
        TensorShape,
        "large_conv",
    );
    error(s0, &format!("{trunk}.stages.2.blocks.0.mlp.fc1.weight"), &[90, 30, 1, 1], Config, "width 30");
    error(s0, &format!("{trunk}.stages.2.blocks.0.mlp.fc1.weight"), &[0, 32, 1, 1], Config, "MLP of 0");
    error(s0, &format!("{trunk}.stages.2.blocks.0.mlp.fc1.weight"), &[90, 32], TensorShape, "4 dimensions");
    error(
        s0,
        &format!("{trunk}.stages.2.downsample.proj.0.se.fc1.weight"),
        &[0, 32, 1, 1],
        Config,
        "squeezed channels of 0",
    );
    error(s0, &format!("{trunk}.head.fc.weight"), &[20, 64], TensorShape, "head.fc.weight");
    error(
        s0,
        &format!("{trunk}.stages.2.blocks.0.layer_scale.gamma"),
        &[32],
        TensorShape,
        "layer_scale.gamma",
    );
    error(s0, &format!("{trunk}.stages.2.blocks.5.mlp.fc1.weight"), &[1], Unsupported, "blocks.5");
    error(s0, &format!("{trunk}.stem.0.identity.weight"), &[8], Unsupported, "stem.0.identity.weight");
    error(s0, "visual.head.proj.weight", &[20, 20], Unsupported, "visual.head");
    error("mobileclip-l-timm", &format!("{trunk}.fc_norm.weight"), &[64], Unsupported, "fc_norm");
    error("mobileclip-b-timm", &format!("{trunk}.pos_embed"), &[1, 8, 48], Config, "8 positions");
    error("pe-timm", &format!("{trunk}.blocks.0.gamma_1"), &[48], Unsupported, "gamma_1");
    error("pe-timm", &format!("{trunk}.blocks.0.attn.q_bias"), &[48], Unsupported, "EVA");
    error("pe-meta", "visual.attn_pool.probe", &[1, 2, 128], TensorShape, "attn_pool.probe");
    error("pe-meta", "visual.positional_embedding", &[11, 128], TensorShape, "positional_embedding");
    error(
        "mobileclip-s0-apple",
        "text_encoder.transformer.1.pre_norm_mha.1.qkv_proj.bias",
        &[64],
        TensorShape,
        "qkv_proj.bias",
    );

    // The configuration's tower and the tensors' are two.
    let mut convnext = tensors("convnext-timm");
    assert_error(load(s0, &convnext), Unsupported, "\"convnext_…\" of timm's sizes");
    let name = format!("{trunk}.stages.3.blocks.0.mlp.fc1.weight");
    convnext.insert(name, (Dtype::F16, vec![1 << 17, 1], vec![0; 1 << 18]));
    assert_error(load("convnext-timm", &convnext), Config, "MLP of 131072");
    let nothing = load_with(&serial(), &file(&tensors("convnext-timm")), None, &ClipOptions::default());
    assert_error(nothing, ErrorCode::NotFound, "open_clip_config.json");
}

#[test]
fn settings_that_are_not_the_tensors() {
    use ErrorCode::{Config, InvalidArgument, Unsupported};
    let cases: &[(&str, &str, Value, ErrorCode, &str)] = &[
        (
            "pe-timm",
            "/vision_cfg/timm_model_name",
            json!("vit_pe_spatial_tiny_patch16_512"),
            Unsupported,
            "timm_model_name",
        ),
        (
            "pe-timm",
            "/vision_cfg/timm_model_name",
            json!("vit_pe_core_medium_patch16_384"),
            Unsupported,
            "timm_model_name",
        ),
        (
            "pe-timm",
            "/vision_cfg/timm_model_name",
            json!("vit_pe_core_large_patch14_336"),
            Config,
            "rotary positions of 16 heads",
        ),
        ("pe-timm", "/vision_cfg/timm_pool", json!("avg"), Unsupported, "timm_pool"),
        ("pe-timm", "/vision_cfg/timm_proj", json!("linear"), Unsupported, "timm_proj"),
        ("pe-timm", "/vision_cfg/timm_proj", json!("none"), Unsupported, "timm_proj"),
        ("pe-timm", "/vision_cfg/image_size", json!(64), Config, "image_size"),
        ("pe-timm", "/embed_dim", json!(21), Config, "embed_dim"),
        ("pe-timm", "/text_cfg/context_length", json!(77), Config, "context_length"),
        ("siglip-timm", "/vision_cfg/timm_proj", json!(null), Unsupported, "timm_proj"),
        (
            "convnext-timm",
            "/vision_cfg/timm_model_name",
            json!("convnextv2_base"),
            Unsupported,
            "convnextv2_base",
        ),
        ("convnext-timm", "/vision_cfg/timm_pool", json!("abs_attn"), Unsupported, "timm_pool"),
        ("convnext-timm", "/vision_cfg/timm_proj", json!("mlp"), Unsupported, "timm_proj"),
        ("convnext-d-timm", "/vision_cfg/timm_proj", json!(null), Unsupported, "timm_proj"),
        ("convnext-timm", "/vision_cfg/timm_proj_bias", json!(true), Unsupported, "timm_proj_bias"),
        ("convnext-timm", "/vision_cfg/image_size", json!(80), InvalidArgument, "multiples of 32"),
        // Its tensors have the names of an EVA, and its norms stand behind.
        (
            "eva-timm",
            "/vision_cfg/timm_model_name",
            json!("eva02_enormous_patch14_clip_224"),
            Unsupported,
            "enormous",
        ),
        (
            "eva-timm",
            "/vision_cfg/timm_model_name",
            json!("eva02_base_patch16_clip_224"),
            Unsupported,
            "the EVA whose",
        ),
        (
            "eva02-timm",
            "/vision_cfg/timm_model_name",
            json!("vit_base_patch16_clip_224"),
            Unsupported,
            "the EVA whose",
        ),
        (
            "pe-timm",
            "/vision_cfg/timm_model_name",
            json!("eva_giant_patch14_clip_224"),
            Unsupported,
            "no EVA whose",
        ),
        (
            "mobileclip-s0-timm",
            "/vision_cfg/timm_model_name",
            json!("fastvit_sa36"),
            Unsupported,
            "timm_model_name",
        ),
        ("mobileclip-s0-timm", "/vision_cfg/timm_pool", json!("map"), Unsupported, "timm_pool"),
        ("mobileclip-s0-timm", "/vision_cfg/image_size", json!(80), InvalidArgument, "multiples of 32"),
        ("mobileclip-s0-apple", "/embed_dim", json!(512), Config, "embed_dim"),
        ("mobileclip-s0-apple", "/text_cfg/dim", json!(512), Config, "text_cfg.dim"),
        ("mobileclip-s0-apple", "/text_cfg/n_heads_per_layer", json!([2, 2]), Config, "n_heads_per_layer"),
        ("mobileclip-s0-apple", "/text_cfg/no_pos_embedding", json!(true), Unsupported, "no_pos_embedding"),
        ("mobileclip-b-apple", "/image_cfg/image_size", json!(256), Config, "image_size"),
    ];
    for (model, pointer, value, code, words) in cases {
        let (name, mut config) = config(model).unwrap();
        let root = if config.get("model_cfg").is_some() { "/model_cfg" } else { "" };
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        config.pointer_mut(&format!("{root}{parent}")).unwrap()[key] = value.clone();
        let result =
            load_with(&serial(), &file(&tensors(model)), Some((name, config)), &ClipOptions::default());
        let error: Error = result.err().unwrap_or_else(|| panic!("{model} {pointer} {value}"));
        assert_eq!(error.code(), *code, "{model} {pointer} {value}: {error}");
        assert!(error.message().contains(words), "{error} does not say {words:?}");
    }
    // A setting that is not understood is told.
    let (name, mut unknown) = config("mobileclip-s0-apple").unwrap();
    unknown["text_cfg"]["rotary"] = json!(1);
    let clip = load_with(
        &serial(),
        &file(&tensors("mobileclip-s0-apple")),
        Some((name, unknown)),
        &ClipOptions::default(),
    );
    let clip = clip.unwrap();
    assert!(
        clip.warnings().iter().any(|warning| warning.contains("text_cfg.rotary")),
        "{:?}",
        clip.warnings()
    );
}

/// Without a configuration, the known models are read as their makers' programs have them, and others are not guessed.
#[test]
fn without_a_configuration() {
    for (model, pixel) in [
        ("mobileclip-s0-timm", 0.0),
        ("mobileclip-s0-apple", 0.0),
        ("mobileclip-b-apple", 0.0),
        ("pe-meta", -1.0),
    ] {
        let mut with = config(model);
        if let Some((_, config)) = &mut with {
            // Of tiny models, the number of heads is none that the width tells.
            if model.ends_with("apple") {
                config["text_cfg"]["n_heads_per_layer"] = json!(1);
            } else {
                config["model_cfg"]["text_cfg"]["heads"] = json!(1);
            }
        }
        let weights = file(&tensors(model));
        let with = load_with(&serial(), &weights, with, &ClipOptions::default()).unwrap();
        let without = load_with(&serial(), &weights, None, &ClipOptions::default()).unwrap();
        assert_eq!(without.warnings(), [""; 0], "{model}");
        let ids = tokens(&Golden::read(&format!("clip/{model}/golden.safetensors")));
        let embed = |clip: &Clip| clip.encode_tokens(&[&ids[0]], &EncodeOptions::default()).unwrap();
        assert_eq!(embed(&with), embed(&without), "{model}");
        // Black pixels, as the model's program hands them over.
        let (height, width) = without.preprocess().output_size();
        let black = vec![0; 3 * 90 * 70];
        let view = ImageView::packed(&black, 90, 70, PixelFormat::Rgb8).unwrap();
        let mut input = vec![f32::NAN; 3 * height * width];
        without.preprocess().run(&serial(), &view, &mut input).unwrap();
        assert!(input.iter().all(|&x| x == pixel), "{model}: {}", input[0]);
    }
    let weights = file(&tensors("mobileclip-l-timm"));
    let result = load_with(&serial(), &weights, None, &ClipOptions::default());
    assert_error(result, ErrorCode::NotFound, "open_clip_config.json is needed");
    let mut text = tensors("mobileclip-b-apple");
    text.retain(|name, _| name.starts_with("text_encoder"));
    let result = load_with(&serial(), &file(&text), None, &ClipOptions::default());
    assert_error(result, ErrorCode::NotFound, "causal_masking");
}

#[test]
fn results_do_not_depend_on_batches_or_threads() {
    for model in ["pe-timm", "mobileclip-s0-timm", "mobileclip-s3-timm", "mobileclip-b-timm"] {
        let weights = file(&tensors(model));
        let side = load(model, &tensors(model)).unwrap().preprocess().output_size().0;
        let count = if side > 100 { 5 } else { 9 };
        let pixels = pixels(count, side);
        let views = views(&pixels, side);
        for level in Level::available() {
            let mut expected = None;
            for threads in [1, 2, 5] {
                let cx = Cx::new(&CxOptions::default().with_threads(threads).with_level(level)).unwrap();
                let clip = load_with(&cx, &weights, config(model), &ClipOptions::default()).unwrap();
                let together = clip.encode_images(&views, &EncodeOptions::default()).unwrap();
                let last = clip.encode_images(&views[count - 1..], &EncodeOptions::default()).unwrap();
                assert!(together.ends_with(&last), "{model} {level:?}: batches change the result");
                assert!(
                    *expected.get_or_insert_with(|| together.clone()) == together,
                    "{model} {level:?}: {threads}"
                );
            }
        }
    }
}

#[test]
fn formats() {
    for (model, ..) in MODELS {
        let weights = file(&tensors(model));
        let reference = Golden::read(&format!("clip/{model}/golden.safetensors"));
        let ids = tokens(&reference);
        let embed = |options: &ClipOptions<'_>| {
            let clip = load_with(&serial(), &weights, config(model), options).unwrap();
            let side = clip.preprocess().output_size().0;
            let image = clip.encode_images(
                &views(&pixels(3, side)[2 * 3 * side * side..], side),
                &EncodeOptions::default(),
            );
            let text = clip.encode_tokens(&[&ids[0]], &EncodeOptions::default()).unwrap();
            ([image.unwrap(), text], clip.memory_bytes())
        };
        let (exact, bytes) = embed(&ClipOptions::default());
        for (format, least) in
            [(WeightFormat::F16, 0.9999), (WeightFormat::Bf16, 0.999), (WeightFormat::Int8, 0.99)]
        {
            let (found, smaller) = embed(&ClipOptions::default().with_weights(format));
            assert!(smaller < bytes, "{model} {}", format.name());
            for (found, exact) in found.iter().zip(&exact) {
                let cosine = cosine(found, exact);
                assert!(cosine > least, "{model} {}: {cosine}", format.name());
            }
        }
    }
}

#[test]
fn monitors_stop_a_tower_between_its_blocks() {
    let model = "mobileclip-s0-timm";
    let cx = Cx::new(&CxOptions::default().with_threads(2)).unwrap();
    let clip = load_with(&cx, &file(&tensors(model)), config(model), &ClipOptions::default()).unwrap();
    let pixels = pixels(2, 64);
    let images = views(&pixels, 64);
    stopping::check_pictures(&clip, &images, 8);
}
