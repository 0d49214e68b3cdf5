//! The sizes of SAM 2 from the shapes of its tensors: of the eight published checkpoints, and of others.
#![cfg(feature = "parallel")]

mod common;

use std::path::Path;
use std::{fs, thread};

use serde_json::{Map, Value, json};
use vitrum::models::sam::Naming;
use vitrum::models::sam2::{PointerTimes, Sam2Config, naming};
use vitrum::simd::Level;
use vitrum::weights::{Bundle, OpenOptions, Review};
use vitrum::{ErrorCode, Result};

/// The tensors of Meta's checkpoint of `size`, of version 2.1 or 2.0.
fn published(size: &str, is_21: bool) -> Map<String, Value> {
    let text = fs::read(common::path("sam2_encoder/published.json")).unwrap();
    let mut all: Map<String, Value> = serde_json::from_slice(&text).unwrap();
    let mut take = |key: &str| match all.remove(key) {
        Some(Value::Object(tensors)) => tensors,
        _ => panic!("no {key}"),
    };
    let mut tensors = take(size);
    if is_21 {
        tensors.append(&mut take("added"));
    }
    tensors
}

/// The configuration of a checkpoint with these names and shapes, whose file is a header and a hole.
fn config(tensors: &Map<String, Value>) -> Result<Sam2Config> {
    let mut end = 0;
    let mut header = Map::new();
    for (name, shape) in tensors {
        let len: u64 = shape.as_array().unwrap().iter().map(|side| side.as_u64().unwrap()).product();
        let offsets = [end, end + 4 * len];
        end += 4 * len;
        header.insert(name.clone(), json!({"dtype": "F32", "shape": shape, "data_offsets": offsets}));
    }
    let header = serde_json::to_vec(&header).unwrap();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = directory.join(format!("sam2-{:?}.safetensors", thread::current().id()));
    let bytes = [&(header.len() as u64).to_le_bytes()[..], &header].concat();
    fs::write(&path, &bytes).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_len(bytes.len() as u64 + end).unwrap();
    let bundle = Bundle::open(&path, OpenOptions::new());
    fs::remove_file(&path).unwrap();
    let bundle = bundle?;
    let (naming, scope) = naming::detect(&bundle.scope(Level::detect()))?;
    assert_eq!(naming, Naming::Original);
    Sam2Config::of(&bundle, &scope, naming, &mut Review::default())
}

#[test]
fn the_eight_published_checkpoints() {
    for (size, dim, depths, heads, last_window, global) in [
        ("t", 96, [1, 2, 7, 2], 1, 7, [5, 7, 9]),
        ("s", 96, [1, 2, 11, 2], 1, 7, [7, 10, 13]),
        ("b+", 112, [2, 3, 16, 3], 2, 7, [12, 16, 20]),
        ("l", 144, [2, 6, 36, 4], 2, 8, [23, 33, 43]),
    ] {
        for is_21 in [false, true] {
            let config = config(&published(size, is_21)).unwrap();
            assert_eq!(
                (config.image_size, config.grid(), config.dim, config.mask_side()),
                (1024, 64, 256, 256)
            );
            assert_eq!(config.top_down_levels, [2, 3]);
            let hiera = &config.hiera;
            assert_eq!(hiera.stages.map(|stage| stage.dim), [1, 2, 4, 8].map(|n| n * dim), "{size}");
            assert_eq!(hiera.stages.map(|stage| stage.mlp_dim), [4, 8, 16, 32].map(|n| n * dim));
            assert_eq!(hiera.stages.map(|stage| stage.depth), depths);
            assert_eq!(hiera.stages.map(|stage| stage.heads), [1, 2, 4, 8].map(|n| n * heads));
            assert_eq!(hiera.stages.map(|stage| stage.window), [8, 4, 2 * last_window, last_window]);
            assert_eq!(hiera.global_blocks, global);
            let background = if size == "b+" { [14, 14] } else { [7, 7] };
            assert_eq!((hiera.background, hiera.window_positions), (background, [8, 8]));

            let memory = config.memory.expect("a memory");
            assert_eq!((memory.dim, memory.count, memory.layers, memory.mlp_dim), (64, 7, 4, 2048));
            assert_eq!(memory.no_object_spatial, is_21);
            let times = PointerTimes { projected: true, signed: true };
            assert_eq!(memory.pointer_times, is_21.then_some(times));

            let decoder = config.decoder;
            assert_eq!(
                (decoder.layers, decoder.heads, decoder.mlp_dim, decoder.multimask_outputs),
                (2, 8, 2048, 3)
            );
            assert_eq!((decoder.mask_channels, decoder.iou_depth, decoder.iou_hidden), (16, 3, 256));
            assert!(decoder.extensions.high_res);
            assert_eq!(decoder.extensions.object_score_layers, 3);
        }
    }
}

/// Trunks whose heads and windows nobody has told, and sizes that would fill the memory.
#[test]
fn others_are_refused() {
    let change = |changes: &[(&str, Value)]| {
        let mut tensors = published("t", true);
        for (name, shape) in changes {
            assert!(tensors.insert((*name).into(), shape.clone()).is_some(), "no {name}");
        }
        config(&tensors).unwrap_err()
    };
    let unknown = {
        let mut tensors = published("t", true);
        tensors.retain(|name, _| !name.starts_with("image_encoder.trunk.blocks.11."));
        config(&tensors).unwrap_err()
    };
    assert_eq!(unknown.code(), ErrorCode::Config);
    assert!(unknown.message().contains("config.json is needed"), "{unknown}");

    for (name, shape, message) in [
        ("image_encoder.trunk.pos_embed", json!([1, 1, 1 << 20, 1]), "position embeddings"),
        ("image_encoder.trunk.pos_embed_window", json!([1, 96, 8, 0]), "position embeddings"),
        ("image_encoder.trunk.blocks.0.mlp.layers.0.weight", json!([1 << 20, 1]), "MLP width"),
        ("image_encoder.neck.convs.0.conv.weight", json!([1 << 20, 1, 1, 1]), "embedding"),
        ("maskmem_tpos_enc", json!([1 << 20, 1, 1, 64]), "memories"),
        ("maskmem_tpos_enc", json!([7, 1, 1, 3]), "pointer"),
    ] {
        let error = change(&[(name, shape)]);
        assert_eq!(error.code(), ErrorCode::Config, "{name}: {error}");
        assert!(error.message().contains(message), "{name}: {error}");
    }
    let error = change(&[("image_encoder.trunk.blocks.3.attn.proj.weight", json!([192]))]);
    assert_eq!(error.code(), ErrorCode::TensorShape, "{error}");
}
