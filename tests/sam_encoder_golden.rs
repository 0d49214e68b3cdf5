//! SAM's image encoders against `segment-anything`, `transformers` and MobileSAM, stage by stage, on the small models
//! of `tests/golden/sam_encoder`.
//!
//! Bound: max |Δ| ≤ 1e-4 · max |reference| for every stage; see `tests/golden/make_golden.py` for the files.
#![cfg(feature = "parallel")]

mod common;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::Golden;
use vitrum::ErrorCode;
use vitrum::exec::{Cx, CxOptions, Monitor};
use vitrum::models::sam::{EncoderConfig, ImageEncoder, Naming, SamConfig};
use vitrum::nn::Trace;
use vitrum::simd::Level;
use vitrum::weights::{Bundle, OpenOptions, Review};

fn open(name: &str) -> Bundle<'static> {
    Bundle::open(&common::path(&format!("sam_encoder/{name}")), OpenOptions::default()).unwrap()
}

/// The encoder of `bundle` for inputs of `size` pixels.
fn bind(bundle: &Bundle<'_>, level: Level, size: usize) -> (SamConfig, ImageEncoder) {
    let (naming, scope) = Naming::detect(&bundle.scope(level)).unwrap();
    let mut config = SamConfig::of(bundle, &scope, naming, &mut Review::default()).unwrap();
    config.set_image_size(size).unwrap();
    let encoder = ImageEncoder::bind(&scope, naming, &config).unwrap();
    (config, encoder)
}

/// Compares every stage at every level, and the result without looking, for inputs of `sizes`.
fn check(name: &str, sizes: &[usize], expected_stages: usize) {
    let bundle = open(name);
    for &size in sizes {
        let golden = Golden::read(&format!("sam_encoder/{name}/golden_{size}.safetensors"));
        let (_, pixels) = golden.get("pixels");
        for level in Level::available() {
            let cx = Cx::new(&CxOptions::default().with_threads(2).with_level(level)).unwrap();
            let (config, encoder) = bind(&bundle, level, size);
            let mut out = vec![f32::NAN; config.grid() * config.grid() * config.dim];
            // Exactly what it asks for.
            let mut workspace = vitrum::exec::Workspace::default();
            workspace.reserve(encoder.scratch_req(&cx)).unwrap();
            let mut stages = 0;
            let mut observer = |name: std::fmt::Arguments<'_>, values: &[f32]| {
                golden.check(&name.to_string(), values);
                stages += 1;
            };
            let (trace, monitor) = (Trace::to(&mut observer), Monitor::none());
            encoder.forward(&cx, pixels, &mut out, workspace.scratch(), trace, &monitor).unwrap();
            assert_eq!(stages, expected_stages);
            out.fill(f32::NAN);
            encoder.forward(&cx, pixels, &mut out, workspace.scratch(), Trace::off(), &monitor).unwrap();
            golden.check("image_encoder.neck", &out);
        }
    }
}

#[test]
fn vit_in_the_original_naming_at_three_sizes() {
    check("vit-original", &[80, 112, 24], 5);
}

#[test]
fn vit_in_hugging_face_naming_f16_at_two_sizes() {
    check("vit-huggingface", &[96, 128], 5);
}

#[test]
fn pruned_vit_in_hugging_face_naming_bf16() {
    check("slim-huggingface", &[80], 4);
}

#[test]
fn pruned_vit_whose_blocks_differ() {
    check("slim-original", &[56], 5);
}

#[test]
fn tiny_vit_at_two_sizes() {
    check("tiny-vit", &[96, 80], 11);
}

#[test]
fn sizes_follow_from_shapes() {
    let config = |name: &str| {
        let bundle = open(name);
        let (naming, scope) = Naming::detect(&bundle.scope(Level::detect())).unwrap();
        SamConfig::of(&bundle, &scope, naming, &mut Review::default()).unwrap()
    };
    let original = config("vit-original");
    assert_eq!((original.image_size, original.grid(), original.dim, original.mask_side()), (80, 10, 32, 40));
    let EncoderConfig::Vit(vit) = &original.encoder else { panic!("a ViT") };
    let windows: Vec<_> = vit.blocks.iter().map(|block| block.window).collect();
    assert_eq!(windows, [Some(4), None, Some(4)]);

    let EncoderConfig::Vit(slim) = config("slim-original").encoder else { panic!("a ViT") };
    let sizes: Vec<_> = slim.blocks.iter().map(|b| (b.heads, b.head_dim, b.mlp_dim)).collect();
    assert_eq!(sizes, [(2, 12, 30), (2, 9, 70), (2, 16, 51)]);

    let tiny = config("tiny-vit");
    assert_eq!((tiny.image_size, tiny.grid()), (1024, 64));
    let EncoderConfig::TinyVit(tiny) = tiny.encoder else { panic!("a TinyViT") };
    let stages = tiny.stages.map(|s| (s.dim, s.depth, s.heads, s.window, s.mlp_dim));
    assert_eq!(stages, [(24, 1, 3, 3, 96), (32, 2, 2, 4, 128), (40, 1, 4, 5, 160)]);
}

#[test]
fn impossible_input_sizes_are_errors() {
    let bundle = open("vit-original");
    let scope = bundle.scope(Level::detect());
    let mut config = SamConfig::of(&bundle, &scope, Naming::Original, &mut Review::default()).unwrap();
    for size in [0, 7, 81, 8 * 257, usize::MAX] {
        let error = config.set_image_size(size).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument, "{size}");
    }
    assert_eq!(config.image_size, 80);
}

/// Cancelled after any step, an encoder gives an error and works on when it is used again.
#[test]
fn cancelling_and_going_on() {
    for name in ["vit-original", "tiny-vit"] {
        let bundle = open(name);
        let size = if name == "tiny-vit" { 80 } else { 24 };
        let golden = Golden::read(&format!("sam_encoder/{name}/golden_{size}.safetensors"));
        let (_, pixels) = golden.get("pixels");
        let cx = Cx::new(&CxOptions::default().with_threads(2)).unwrap();
        let (config, encoder) = bind(&bundle, cx.level(), size);
        let mut out = vec![f32::NAN; config.grid() * config.grid() * config.dim];
        let mut workspace = cx.workspace(encoder.scratch_req(&cx)).unwrap();
        let mut run = |most: usize| {
            let reports = AtomicUsize::new(0);
            let report = |fraction: f32| {
                assert!((0.0..1.0).contains(&fraction));
                let stop = reports.fetch_add(1, Ordering::Relaxed) == most;
                if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let monitor = Monitor::new(&report);
            let result = encoder.forward(&cx, pixels, &mut out, workspace.scratch(), Trace::off(), &monitor);
            if result.is_ok() {
                golden.check("image_encoder.neck", &out);
            }
            (result, reports.into_inner())
        };
        let (result, steps) = run(usize::MAX);
        result.unwrap();
        assert!(steps > 4, "{steps} reports");
        for most in 0..steps {
            assert_eq!(run(most).0.unwrap_err().code(), ErrorCode::Cancelled);
        }
        run(usize::MAX).0.unwrap();
    }
}
