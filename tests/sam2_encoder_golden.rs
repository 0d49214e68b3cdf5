//! SAM 2's image encoder against `sam2` and `transformers`, stage by stage, on the small models of
//! `tests/golden/sam2_encoder`.
//!
//! Bound: max |Δ| ≤ 1e-4 · max |reference| for every stage; see `tests/golden/make_golden.py` for the files.
#![cfg(feature = "parallel")]

mod common;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::Golden;
use vitrum::ErrorCode;
use vitrum::exec::{Cx, CxOptions, Monitor, Workspace};
use vitrum::models::sam::Naming;
use vitrum::models::sam2::{FrameFeatures, ImageEncoder, Sam2Config, naming};
use vitrum::nn::Trace;
use vitrum::simd::Level;
use vitrum::weights::{Bundle, OpenOptions, Review};

fn open(name: &str) -> Bundle<'static> {
    Bundle::open(&common::path(&format!("sam2_encoder/{name}")), OpenOptions::default()).unwrap()
}

fn config(bundle: &Bundle<'_>) -> Sam2Config {
    let (naming, scope) = naming::detect(&bundle.scope(Level::detect())).unwrap();
    Sam2Config::of(bundle, &scope, naming, &mut Review::default()).unwrap()
}

/// The encoder of `bundle` for inputs of `size` pixels.
fn bind(bundle: &Bundle<'_>, level: Level, size: usize) -> ImageEncoder {
    let mut config = config(bundle);
    config.set_image_size(size).unwrap();
    let (naming, scope) = naming::detect(&bundle.scope(level)).unwrap();
    let encoder = ImageEncoder::bind(&scope, naming, &config).unwrap();
    assert_eq!(encoder.features_lens(), FrameFeatures::lens(&config));
    encoder
}

/// Compares a frame's features.
fn check_features(golden: &Golden, features: &FrameFeatures) {
    for (name, values) in ["top", "s1", "s0"].into_iter().zip(features.parts()) {
        golden.check(&format!("image_encoder.neck.{name}"), values);
    }
}

/// Features that are still to be computed.
fn empty(encoder: &ImageEncoder) -> FrameFeatures {
    let mut features = FrameFeatures::zeroed(encoder.features_lens()).unwrap();
    features.parts_mut().into_iter().for_each(|part| part.fill(f32::NAN));
    features
}

/// Compares every stage at every level, and the result without looking, for inputs of `sizes`.
fn check(name: &str, sizes: &[usize], expected_stages: usize) {
    let bundle = open(name);
    for &size in sizes {
        let golden = Golden::read(&format!("sam2_encoder/{name}/golden_{size}.safetensors"));
        let (_, pixels) = golden.get("pixels");
        for level in Level::available() {
            let encoder = bind(&bundle, level, size);
            let mut results = Vec::new();
            for threads in [1, 2, 3] {
                let cx = Cx::new(&CxOptions::default().with_threads(threads).with_level(level)).unwrap();
                let mut out = empty(&encoder);
                // Exactly what it asks for.
                let mut workspace = Workspace::default();
                workspace.reserve(encoder.scratch_req(&cx)).unwrap();
                let mut stages = 0;
                let mut observer = |name: std::fmt::Arguments<'_>, values: &[f32]| {
                    golden.check(&name.to_string(), values);
                    stages += 1;
                };
                let (trace, monitor) = (Trace::to(&mut observer), Monitor::none());
                encoder.forward(&cx, pixels, &mut out, workspace.scratch(), trace, &monitor).unwrap();
                assert_eq!(stages, expected_stages);
                out = empty(&encoder);
                encoder.forward(&cx, pixels, &mut out, workspace.scratch(), Trace::off(), &monitor).unwrap();
                check_features(&golden, &out);
                results.push(out);
            }
            assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "results depend on the threads");
        }
    }
}

#[test]
fn padded_windows_in_the_original_naming_at_two_sizes() {
    check("original", &[96, 64], 8 + 4);
}

#[test]
fn other_heads_and_top_down_levels_in_hugging_face_naming() {
    check("huggingface", &[128], 8 + 4);
}

#[test]
fn one_block_a_stage_and_no_top_down_level() {
    check("lateral", &[32], 4 + 4);
}

#[test]
fn sizes_come_from_the_configuration() {
    let original = config(&open("original"));
    assert_eq!((original.image_size, original.grid(), original.dim, original.mask_side()), (96, 6, 32, 24));
    assert_eq!(original.top_down_levels, [2, 3]);
    let blocks: Vec<_> =
        original.hiera.blocks().map(|b| (b.input, b.dim, b.heads, b.window, b.pooled)).collect();
    assert_eq!(
        blocks,
        [
            (12, 12, 1, Some(4), false),
            (12, 24, 2, Some(4), true),
            (24, 24, 2, Some(8), false),
            (24, 48, 4, Some(8), true),
            (48, 48, 4, None, false),
            (48, 48, 4, Some(4), false),
            (48, 96, 8, Some(4), true),
            (96, 96, 8, Some(2), false),
        ]
    );
    let hugging_face = config(&open("huggingface")).hiera;
    assert_eq!(hugging_face.background, [5, 6]);
    assert_eq!(hugging_face.stages.map(|stage| stage.mlp_dim), [45, 75, 100, 165]);
}

#[test]
fn impossible_input_sizes_are_errors() {
    let bundle = open("original");
    let mut config = config(&bundle);
    for size in [0, 16, 100, 32 * 129, usize::MAX] {
        let error = config.set_image_size(size).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument, "{size}");
    }
    assert_eq!(config.image_size, 96);

    // A grid of 24 tokens is no whole number of tables of 16.
    let bundle = open("original");
    let scope = bundle.scope(Level::detect());
    config.hiera.window_positions = [16, 16];
    let error = ImageEncoder::bind(&scope, Naming::Original, &config).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
    assert!(error.message().contains("16 × 16"), "{error}");
}

/// Cancelled after any step, an encoder gives an error and works on when it is used again.
#[test]
fn cancelling_and_going_on() {
    let bundle = open("lateral");
    let golden = Golden::read("sam2_encoder/lateral/golden_32.safetensors");
    let (_, pixels) = golden.get("pixels");
    let cx = Cx::new(&CxOptions::default().with_threads(2)).unwrap();
    let encoder = bind(&bundle, cx.level(), 32);
    let mut out = empty(&encoder);
    let mut workspace = cx.workspace(encoder.scratch_req(&cx)).unwrap();
    let mut run = |most: usize| {
        let reports = AtomicUsize::new(0);
        let report = |fraction: f32| {
            assert!((0.0..=1.0).contains(&fraction));
            let stop = reports.fetch_add(1, Ordering::Relaxed) == most;
            if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let monitor = Monitor::new(&report);
        let result = encoder.forward(&cx, pixels, &mut out, workspace.scratch(), Trace::off(), &monitor);
        if result.is_ok() {
            check_features(&golden, &out);
        }
        (result, reports.into_inner())
    };
    let (result, steps) = run(usize::MAX);
    result.unwrap();
    assert_eq!(steps, 4 + 2);
    for most in 0..steps {
        assert_eq!(run(most).0.unwrap_err().code(), ErrorCode::Cancelled);
    }
    run(usize::MAX).0.unwrap();
}
