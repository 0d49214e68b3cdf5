//! What a model does not use is refused or reported, and what its files do say is used.
#![cfg(feature = "parallel")]

mod common;

use std::fs;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::{Value, json};
use vitrum::exec::Cx;
use vitrum::kernels::activation::Activation;
use vitrum::models::clip::{EncoderConfig, ImagePooling, Pooling, VitConfig};
use vitrum::pipelines::clip::{Clip, ClipOptions, EncodeOptions};
use vitrum::pipelines::sam::{Sam, SamOptions};
use vitrum::simd::Level;
use vitrum::weights::{Bundle, BundleParts};
use vitrum::{ErrorCode, Result};

const HUGGING_FACE: &str = "clip/quickgelu-p32/model.safetensors";
const OPEN_CLIP: &str = "clip/openclip-gelu/open_clip_model.safetensors";
const SAM: &str = "sam_predictor/model.safetensors";

/// A weights file, changed: each tensor gets the name that `rename` gives it, if any, and zeros called `more` are added.
fn weights(file: &str, rename: impl Fn(&str) -> Option<String>, more: &[&str]) -> Vec<u8> {
    let bytes = fs::read(common::path(file)).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let zeros = [0; 16];
    let mut views: Vec<(String, TensorView<'_>)> =
        tensors.tensors().into_iter().filter_map(|(name, view)| Some((rename(&name)?, view))).collect();
    views.retain(|(name, _)| !more.contains(&&name[..]));
    for name in more {
        views.push(((*name).into(), TensorView::new(Dtype::F32, vec![4], &zeros).unwrap()));
    }
    serialize(views, None).unwrap()
}

/// The same with more tensors only.
fn with(file: &str, more: &[&str]) -> Vec<u8> {
    weights(file, |name| Some(name.into()), more)
}

/// `config.json` beside [`HUGGING_FACE`], changed by `change`.
fn config(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let text = fs::read(common::path("clip/quickgelu-p32/config.json")).unwrap();
    let mut config: Value = serde_json::from_slice(&text).unwrap();
    change(&mut config);
    serde_json::to_vec(&config).unwrap()
}

fn load(weights: &[u8], files: &[(&'static str, &[u8])], lenient: bool) -> Result<Clip> {
    let parts =
        files.iter().fold(BundleParts::new(weights), |parts, &(name, file)| parts.with_file(name, file));
    let options = ClipOptions::default().with_lenient(lenient);
    Clip::load(&Cx::serial(Level::detect()), &Bundle::from_memory(parts)?, &options)
}

fn hugging_face(weights: &[u8], config: &[u8]) -> Result<Clip> {
    load(weights, &[("config.json", config)], false)
}

/// A load that is refused with `words`, and that a lenient caller gets with a warning of them.
#[track_caller]
fn refused(weights: &[u8], files: &[(&'static str, &[u8])], words: &[&str]) {
    let error = load(weights, files, false).expect_err("a refusal");
    assert_eq!(error.code(), ErrorCode::Unsupported, "{error}");
    let lenient = load(weights, files, true).unwrap();
    for word in words {
        assert!(error.message().contains(word), "{error} does not say {word:?}");
        assert!(lenient.warnings().iter().any(|warning| warning.contains(word)), "{:?}", lenient.warnings());
    }
}

/// A load that succeeds with warnings of exactly `words`.
#[track_caller]
fn warned(clip: &Clip, words: &[&str]) {
    let warnings = clip.warnings();
    assert_eq!(warnings.len(), words.len(), "{warnings:?}");
    for (warning, word) in warnings.iter().zip(words) {
        assert!(warning.contains(word), "{warning:?} does not say {word:?}");
    }
}

#[test]
fn tensors_of_the_model_that_are_not_read_are_refused() {
    let config = config(|_| ());
    let files: &[(&'static str, &[u8])] = &[("config.json", &config)];
    for name in [
        "vision_model.encoder.layers.0.self_attn.q_norm.weight",
        "vision_model.adapter.weight",
        "text_model.encoder.layers.0.mlp.gate.weight",
        "logit_bias",
    ] {
        refused(&with(HUGGING_FACE, &[name]), files, &[name]);
    }
    for name in ["text.cls_emb", "positional_embedding_extra", "visual.ln_extra.weight"] {
        // In this naming a text tower of its own is a module.
        let name = name.trim_start_matches("text.");
        refused(&with(OPEN_CLIP, &[name]), &[], &[name]);
    }
    // Without this one there are not even the shapes of a model that could be loaded all the same.
    let error = load(&with(OPEN_CLIP, &["visual.attn_pool.query"]), &[], true).unwrap_err();
    assert!(error.message().contains("attentional pooling"), "{error}");
    let many: Vec<String> = (0..9).map(|i| format!("visual.extra.{i}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    refused(&with(OPEN_CLIP, &many), &[], &["visual.extra.0", "and 5 more are"]);
}

#[test]
fn other_modules_are_warned_of_and_counters_are_not() {
    let config = config(|_| ());
    let clip = hugging_face(&with(HUGGING_FACE, &["decoder.layer.weight"]), &config).unwrap();
    warned(&clip, &["decoder.layer.weight"]);
    let quiet = [
        "vision_model.embeddings.position_ids",
        "text_model.embeddings.position_ids",
        "vision_model.norm.num_batches_tracked",
        "classifier.weight",
        "classifier.bias",
        "loss_scale",
    ];
    warned(&hugging_face(&with(HUGGING_FACE, &quiet), &config).unwrap(), &[]);
}

#[test]
fn a_wrapper_s_prefix_is_taken_off() {
    let config = config(|_| ());
    let whole = hugging_face(&with(HUGGING_FACE, &[]), &config).unwrap();
    for prefix in ["module", "_orig_mod", "model", "clip", "module._orig_mod.model"] {
        let wrapped = weights(HUGGING_FACE, |name| Some(format!("{prefix}.{name}")), &["teacher.weight"]);
        let clip = hugging_face(&wrapped, &config).unwrap();
        assert_eq!(clip.memory_bytes(), whole.memory_bytes());
        warned(&clip, &["teacher.weight"]);
    }
    // Which of two models is meant cannot be known; a name before all that is no wrapper's may be a part of another model.
    let twice = weights(HUGGING_FACE, |name| Some(format!("model.{name}")), &["ema.visual.class_embedding"]);
    let error = hugging_face(&twice, &config).unwrap_err();
    assert!(error.message().contains("\"ema\" and \"model\""), "{error}");
    let part = weights(HUGGING_FACE, |name| Some(format!("vision_tower.{name}")), &[]);
    assert!(hugging_face(&part, &config).unwrap_err().message().contains("not a CLIP checkpoint"));
    // What is missing is named as the file has it.
    let broken = |name: &str| (name != "logit_scale").then(|| format!("module.{name}"));
    let error = hugging_face(&weights(HUGGING_FACE, broken, &[]), &config).unwrap_err();
    assert_eq!(error.code(), ErrorCode::MissingTensor);
    assert!(error.message().contains("\"module.logit_scale\""), "{error}");
}

#[test]
fn settings_that_are_not_understood_are_told() {
    let weights = with(HUGGING_FACE, &[]);
    let clip =
        hugging_face(&weights, &config(|config| config["vision_config"]["rope_scale"] = json!(2))).unwrap();
    warned(&clip, &["\"vision_config.rope_scale\" is not understood"]);
    // What transformers writes into every configuration is not told.
    let quiet = config(|config| {
        for key in ["architectures", "torch_dtype", "transformers_version", "text_config.bos_token_id"] {
            config[key] = json!("x");
        }
        config["text_config"]["top_k"] = json!(50);
        config["text_config"]["id2label"] = json!({ "0": "LABEL_0" });
        config["text_config"]["pad_token_id"] = json!(1);
    });
    warned(&hugging_face(&weights, &quiet).unwrap(), &[]);
    for (pointer, value, words) in [
        ("/model_type", json!("altclip"), "altclip"),
        ("/vision_config/qk_norm", json!(true), "vision_config.qk_norm"),
        ("/quantization_config", json!({ "bits": 4 }), "quantization_config"),
    ] {
        let config = config(|config| {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            config.pointer_mut(parent).unwrap()[key] = value;
        });
        refused(&weights, &[("config.json", &config)], &[words]);
    }
}

#[test]
fn open_clip_settings_are_used_refused_or_checked() {
    let weights = with(OPEN_CLIP, &[]);
    let text = fs::read(common::path("clip/openclip-gelu/open_clip_config.json")).unwrap();
    let settings = |pointer: &str, value: Value| {
        let mut config: Value = serde_json::from_slice(&text).unwrap();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap()[key] = value;
        serde_json::to_vec(&config).unwrap()
    };
    let load = |config: &[u8], lenient| load_open_clip(&weights, config, lenient);
    for (pointer, value) in [
        ("/model_cfg/vision_cfg/attentional_pool", json!(true)),
        ("/model_cfg/vision_cfg/timm_model_name", json!("vit_base")),
        ("/model_cfg/vision_cfg/qk_norm", json!(true)),
        ("/model_cfg/text_cfg/embed_cls", json!(true)),
        ("/model_cfg/text_cfg/hf_model_name", json!("roberta-base")),
        ("/model_cfg/text_cfg/scale_fc", json!(true)),
        ("/model_cfg/init_logit_bias", json!(-10)),
        ("/model_cfg/multimodal_cfg", json!({ "width": 8 })),
    ] {
        let config = settings(pointer, value);
        let key = pointer[1..].replace('/', ".");
        refused(&weights, &[("open_clip_config.json", &config)], &[&key]);
    }
    // What contradicts the tensors is wrong, whoever asks.
    for (pointer, value) in [
        ("/model_cfg/text_cfg/layers", json!(7)),
        ("/model_cfg/vision_cfg/image_size", json!(640)),
        ("/model_cfg/embed_dim", json!(9)),
        ("/model_cfg/vision_cfg/mlp_ratio", json!(3)),
    ] {
        let error = load(&settings(pointer, value), true).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Config, "{error}");
        assert!(error.message().contains("as the tensors have"), "{error}");
    }
    let clip = load(&settings("/model_cfg/text_cfg/pool_type", json!("first")), false).unwrap();
    assert_eq!(clip.config().text.unwrap().pooling, Pooling::First);
    let clip = load(&settings("/model_cfg/vision_cfg/pool_type", json!("avg")), false).unwrap();
    assert_eq!(vit(&clip).pooling, ImagePooling::MeanOfNormed);
    let clip =
        load(&settings("/model_cfg/text_cfg/act_kwargs", json!({ "approximate": "tanh" })), false).unwrap();
    assert_eq!(clip.config().text.unwrap().tower.activation, Activation::GeluTanh);
    let clip = load(&settings("/model_cfg/vision_cfg/sparkle", json!(true)), false).unwrap();
    warned(&clip, &["model_cfg.vision_cfg.sparkle"]);
}

fn vit(clip: &Clip) -> VitConfig {
    let EncoderConfig::Vit(vit) = clip.config().vision.unwrap().encoder else { panic!("a ViT") };
    vit
}

fn load_open_clip(weights: &[u8], config: &[u8], lenient: bool) -> Result<Clip> {
    load(weights, &[("open_clip_config.json", config)], lenient)
}

#[test]
fn what_cannot_be_known_is_said() {
    let weights = with(OPEN_CLIP, &[]);
    let parts = || Bundle::from_memory(BundleParts::new(&weights)).unwrap();
    let cx = Cx::serial(Level::detect());
    warned(&Clip::load(&cx, &parts(), &ClipOptions::default()).unwrap(), &["QuickGELU"]);
    let options = ClipOptions::default().with_activation(Activation::QuickGelu);
    let clip = Clip::load(&cx, &parts(), &options).unwrap();
    warned(&clip, &[]);
    assert_eq!(vit(&clip).tower.activation, Activation::QuickGelu);
}

#[test]
fn towers_apart_do_what_they_can() {
    let config = config(|_| ());
    let whole = hugging_face(&with(HUGGING_FACE, &[]), &config).unwrap();
    let pixels = vec![90; 3 * 40 * 30];
    let image = vitrum::image::ImageView::packed(&pixels, 40, 30, vitrum::image::PixelFormat::Rgb8).unwrap();
    let image_only = weights(HUGGING_FACE, |name| name.starts_with("vis").then(|| name.into()), &[]);
    let clip = hugging_face(&image_only, &config).unwrap();
    warned(&clip, &["only the image tower"]);
    assert_eq!(
        clip.encode_images(&[image], &EncodeOptions::default()).unwrap(),
        whole.encode_images(&[image], &EncodeOptions::default()).unwrap()
    );
    assert!(
        clip.encode_texts(&["a"], &EncodeOptions::default())
            .unwrap_err()
            .message()
            .contains("only an image tower")
    );
    let zeros = vec![0.5; clip.embed_dim()];
    assert_eq!(clip.similarity(&zeros, &zeros).unwrap_err().code(), ErrorCode::Unsupported);

    let tokenizer = fs::read(common::path("clip/quickgelu-p32/tokenizer.json")).unwrap();
    let with_tokenizer = |weights: &[u8]| {
        load(weights, &[("config.json", &config), ("tokenizer.json", &tokenizer)], false).unwrap()
    };
    let text_only = weights(HUGGING_FACE, |name| name.starts_with("text").then(|| name.into()), &[]);
    let clip = with_tokenizer(&text_only);
    warned(&clip, &["only the text tower"]);
    let texts = ["a cat", "a dog"];
    let expected = with_tokenizer(&with(HUGGING_FACE, &[]))
        .encode_texts(&texts, &EncodeOptions::default().with_normalize(false))
        .unwrap();
    assert_eq!(clip.encode_texts(&texts, &EncodeOptions::default().with_normalize(false)).unwrap(), expected);
    assert!(
        clip.encode_images(&[image], &EncodeOptions::default())
            .unwrap_err()
            .message()
            .contains("only a text tower")
    );
}

#[test]
fn an_adapter_beside_the_weights_is_refused() {
    let config = config(|_| ());
    let files: &[(&'static str, &[u8])] = &[("config.json", &config), ("adapter_config.json", b"{}")];
    refused(&with(HUGGING_FACE, &[]), files, &["adapter_config.json"]);
}

#[test]
fn sam_is_held_to_the_same() {
    let load = |weights: &[u8], lenient| {
        let bundle = Bundle::from_memory(BundleParts::new(weights))?;
        Sam::load(&Cx::serial(Level::detect()), &bundle, &SamOptions::default().with_lenient(lenient))
    };
    for name in [
        "mask_decoder.hf_token.weight",
        "image_encoder.blocks.0.attn.lora.weight",
        "image_encoder.neck.4.bias",
    ] {
        let weights = with(SAM, &[name]);
        let error = load(&weights, false).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Unsupported, "{error}");
        assert!(error.message().contains(name), "{error}");
        assert!(load(&weights, true).unwrap().warnings()[0].contains(name));
    }
    let sam =
        load(&with(SAM, &["image_encoder.head.weight", "pixel_mean", "criterion.weight"]), false).unwrap();
    assert_eq!(sam.warnings().len(), 1);
    assert!(sam.warnings()[0].contains("criterion.weight"));
    let prefixed = weights(SAM, |name| Some(format!("sam.{name}")), &[]);
    assert!(load(&prefixed, false).unwrap().warnings().is_empty());
}
