//! SAM checkpoints and configurations that cannot be: each is an error that names what is wrong.

mod common;

use std::fs;

use serde_json::{Value, json};
use vitrum::models::sam::SamModel;
use vitrum::simd::Level;
use vitrum::weights::{Bundle, BundleParts, Review};
use vitrum::{Error, ErrorCode, Monitor};

fn read(name: &str) -> Vec<u8> {
    fs::read(common::path(&format!("sam_encoder/{name}"))).unwrap()
}

/// The error of binding `weights` with a `config.json`, if there is one.
#[track_caller]
fn error(weights: &[u8], config: Option<&str>) -> Error {
    let mut parts = BundleParts::new(weights);
    if let Some(config) = config {
        parts = parts.with_file("config.json", config.as_bytes());
    }
    let bundle = Bundle::from_memory(parts).unwrap();
    match SamModel::bind(&bundle, Level::detect(), None, &mut Review::default(), &Monitor::none()) {
        Ok(_) => panic!("bound in spite of {config:?}"),
        Err(error) => error,
    }
}

/// The checkpoint `name` with `edit` applied to its tensors: names, shapes and f16 or f32 bytes are kept otherwise.
fn edited(name: &str, edit: impl Fn(&str, &mut Vec<usize>) -> bool) -> Vec<u8> {
    use safetensors::SafeTensors;
    use safetensors::tensor::TensorView;
    let bytes = read(&format!("{name}/model.safetensors"));
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let kept: Vec<_> = tensors
        .tensors()
        .into_iter()
        .filter_map(|(name, view)| {
            let mut shape = view.shape().to_vec();
            let keep = edit(&name, &mut shape);
            let len = shape.iter().product::<usize>() * view.dtype().bitsize() / 8;
            let data = [view.data(), &vec![0; len]].concat()[..len].to_vec();
            keep.then_some((name, view.dtype(), shape, data))
        })
        .collect();
    let views = kept
        .iter()
        .map(|(name, dtype, shape, data)| (name, TensorView::new(*dtype, shape.clone(), data).unwrap()));
    safetensors::tensor::serialize(views, None).unwrap()
}

#[test]
fn configurations() {
    let weights = read("vit-huggingface/model.safetensors");
    let config: Value = serde_json::from_slice(&read("vit-huggingface/config.json")).unwrap();
    let bundle = BundleParts::new(&weights).with_file("config.json", b"{}");
    let bundle = Bundle::from_memory(bundle).unwrap();
    // All defaults: a ViT-B, which this is not.
    let defaults =
        SamModel::bind(&bundle, Level::detect(), None, &mut Review::default(), &Monitor::none()).unwrap_err();
    assert_eq!(defaults.code(), ErrorCode::TensorShape);
    assert_eq!(error(&weights, None).code(), ErrorCode::NotFound);

    for (part, key, value) in [
        ("vision_config", "hidden_size", json!(0)),
        ("vision_config", "hidden_size", json!("40")),
        ("vision_config", "hidden_size", json!(1 << 20)),
        ("vision_config", "num_attention_heads", json!(7)),
        ("vision_config", "num_hidden_layers", json!(100_000)),
        ("vision_config", "num_channels", json!(1)),
        ("vision_config", "image_size", json!([96, 96])),
        ("vision_config", "patch_size", json!(0)),
        ("vision_config", "hidden_act", json!("tanh")),
        ("vision_config", "global_attn_indexes", json!([0, 3])),
        ("vision_config", "global_attn_indexes", json!(2)),
        ("vision_config", "global_attn_indexes", json!([-1])),
        ("vision_config", "window_size", json!(-4)),
        ("vision_config", "mlp_dim", json!(1.5)),
        ("vision_config", "num_pos_feats", json!(128)),
        ("prompt_encoder_config", "hidden_size", json!(256)),
        ("prompt_encoder_config", "image_size", json!(1024)),
        ("prompt_encoder_config", "num_point_embeddings", json!(5)),
        ("mask_decoder_config", "hidden_size", json!(64)),
        ("mask_decoder_config", "num_attention_heads", json!(5)),
        ("mask_decoder_config", "num_multimask_outputs", json!(0)),
    ] {
        let mut config = config.clone();
        config[part][key] = value;
        let error = error(&weights, Some(&config.to_string()));
        assert_eq!(error.code(), ErrorCode::Config, "{part}.{key}: {error}");
    }
    for (key, value) in [("window_size", json!(5)), ("mlp_dim", json!(41)), ("num_hidden_layers", json!(4))] {
        let mut config = config.clone();
        config["vision_config"][key] = value;
        let error = error(&weights, Some(&config.to_string()));
        assert!(matches!(error.code(), ErrorCode::TensorShape | ErrorCode::MissingTensor), "{key}: {error}");
        assert!(error.message().contains("vision_encoder.layers."), "{error}");
    }
}

#[test]
fn checkpoints_that_are_no_sam() {
    let nothing = edited("vit-original", |name, _| name == "mask_decoder.iou_token.weight");
    assert_eq!(error(&nothing, None).code(), ErrorCode::Unsupported);
    let clip = fs::read(common::path("clip/quickgelu-p32/model.safetensors")).unwrap();
    let no_sam = error(&clip, None);
    assert_eq!(no_sam.code(), ErrorCode::Unsupported);
    assert!(no_sam.message().contains("not a SAM checkpoint: this is a CLIP"), "{no_sam}");
}

#[test]
fn tensors_that_are_missing_or_misshapen() {
    for (name, missing) in [
        ("vit-original", "image_encoder.blocks.1.attn.rel_pos_w"),
        ("vit-original", "image_encoder.neck.2.weight"),
        ("slim-original", "image_encoder.blocks.2.mlp.lin2.bias"),
        ("tiny-vit", "image_encoder.layers.0.blocks.1.conv2.bn.running_var"),
        ("tiny-vit", "image_encoder.layers.2.blocks.0.attn.norm.bias"),
        ("tiny-vit", "image_encoder.layers.1.downsample.conv3.c.weight"),
    ] {
        let weights = edited(name, |name, _| name != missing);
        let error = error(&weights, None);
        assert_eq!(error.code(), ErrorCode::MissingTensor, "{error}");
        assert!(error.message().contains(missing), "{error}");
    }
    for (name, tensor, shape, code) in [
        ("vit-original", "image_encoder.patch_embed.proj.weight", vec![48, 3, 8], ErrorCode::TensorShape),
        ("vit-original", "image_encoder.patch_embed.proj.weight", vec![0, 3, 8, 8], ErrorCode::Config),
        ("vit-original", "image_encoder.patch_embed.proj.weight", vec![48, 3, 0, 8], ErrorCode::Config),
        ("vit-original", "image_encoder.patch_embed.proj.weight", vec![48, 1, 8, 8], ErrorCode::TensorShape),
        ("vit-original", "image_encoder.pos_embed", vec![1, 10, 9, 48], ErrorCode::TensorShape),
        ("vit-original", "image_encoder.pos_embed", vec![1, 0, 10, 48], ErrorCode::Config),
        ("vit-original", "image_encoder.blocks.0.attn.rel_pos_h", vec![7, 0], ErrorCode::Config),
        ("vit-original", "image_encoder.blocks.0.attn.rel_pos_h", vec![7, 5], ErrorCode::Config),
        ("vit-original", "image_encoder.blocks.0.attn.rel_pos_w", vec![9, 16], ErrorCode::TensorShape),
        ("vit-original", "image_encoder.neck.0.weight", vec![7, 48, 1, 1], ErrorCode::Config),
        ("tiny-vit", "image_encoder.layers.1.blocks.0.attn.attention_biases", vec![3, 8], ErrorCode::Config),
        ("tiny-vit", "image_encoder.layers.1.blocks.0.attn.attention_biases", vec![0, 9], ErrorCode::Config),
        (
            "tiny-vit",
            "image_encoder.layers.1.blocks.0.local_conv.c.weight",
            vec![24, 1, 2, 2],
            ErrorCode::Config,
        ),
        ("tiny-vit", "image_encoder.layers.3.blocks.0.attn.qkv.weight", vec![60, 40], ErrorCode::TensorShape),
        // Not to be shared by eight heads.
        (
            "vit-original",
            "mask_decoder.transformer.final_attn_token_to_image.q_proj.weight",
            vec![12, 32],
            ErrorCode::Config,
        ),
    ] {
        let weights = edited(name, |name, found| {
            if name == tensor {
                found.clone_from(&shape);
            }
            true
        });
        let error = error(&weights, None);
        assert_eq!(error.code(), code, "{tensor} {shape:?}: {error}");
    }
}
