//! What earlier versions of the library wrote is read by this one: a file of each version of each format lies in
//! `tests/golden/saved`, with what came of it then.
//!
//! A change of a format raises its version. `cargo test --test saved -- --ignored` then writes the files of the new version
//! beside the old ones, which stay.
#![cfg(all(feature = "std", target_endian = "little"))]

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use common::path;
use safetensors::tensor::{Dtype, TensorView, serialize};
use scenario::{HEIGHT, Video, WIDTH};
use vitrum::exec::{Cx, Monitor};
use vitrum::image::{ImageView, PixelFormat};
use vitrum::kernels::gemm::{PackedWeights, Packing};
use vitrum::pipelines::sam::{Embedding, Point, PredictOptions, Prediction, Prompt, Sam, SamOptions};
use vitrum::pipelines::tracker::{Tracker, TrackerOptions};
use vitrum::simd::{Level, Portable};
use vitrum::weights::quantized::{SHAPE_KEY, encode_tensor, shape_text};
use vitrum::weights::{
    Bundle, BundleParts, Fnv64, OpenOptions, PACKED_KEY, PACKED_VERSION, Recorded, WEIGHT_FORMAT_KEY,
};
use vitrum::{ErrorCode, WeightFormat};

mod common;
#[path = "common/scenario.rs"]
mod scenario;

/// Largest difference of a number from the one when the file was written, relative to the larger one: other CPUs round
/// differently.
const TOLERANCE: f64 = 1e-3;
/// The shape of matrices.
const SHAPE: [usize; 2] = [9, 5];

fn cx() -> Cx {
    Cx::serial(Level::Portable(Portable))
}

fn open(model: &str) -> Bundle<'static> {
    Bundle::open(&path(model), OpenOptions::new()).unwrap()
}

fn sam(model: &str) -> Arc<Sam> {
    let options = match model {
        "tracker/sam2.1" => SamOptions::default().with_image_size(64),
        _ => SamOptions::default(),
    };
    Arc::new(Sam::load(&cx(), &open(model), &options).unwrap())
}

/// The formats: the begin of a file's name, before its version.
type Read = fn(&[u8]) -> Vec<f64>;
const FORMATS: [(&str, Read); 6] = [
    ("embedding-sam", |bytes| masks("sam_predictor", bytes)),
    ("embedding-sam2", |bytes| masks("sam2_predictor/original", bytes)),
    ("tracker", next_frame),
    ("quantised-int8", numbers),
    ("quantised-q4", numbers),
    ("packed", product),
];

fn picture() -> Vec<u8> {
    (0..40 * 30 * 3).map(|i| (i * 7 % 253) as u8).collect()
}

/// The scores and areas of masks of a restored embedding.
fn masks(model: &str, bytes: &[u8]) -> Vec<f64> {
    let sam = sam(model);
    let embedding = sam.restore(bytes).unwrap();
    let mut prediction = Prediction::default();
    let click = [Point::foreground(21.5, 14.0)];
    sam.predict(&embedding, &[Prompt::points(&click)], &PredictOptions::default(), &mut prediction).unwrap();
    let scores = prediction.iou(0).iter().map(|score| f64::from(*score));
    scores.chain([f64::from(prediction.low_res(0, 0)[0])]).collect()
}

/// What a restored tracker makes of the next frame.
fn next_frame(bytes: &[u8]) -> Vec<f64> {
    let mut tracker = Tracker::restore(sam("tracker/sam2.1"), bytes).unwrap();
    tracker.push(&Video::default().image(3), &Monitor::none()).unwrap();
    tracker.step(&Monitor::none()).unwrap();
    let objects = [1, 2].map(|object| f64::from(tracker.object_score(object, None).unwrap()));
    let logits = tracker.low_res(1, None).unwrap();
    objects.into_iter().chain(logits.iter().step_by(37).map(|logit| f64::from(*logit))).collect()
}

/// The numbers of a quantised matrix.
fn numbers(bytes: &[u8]) -> Vec<f64> {
    let bundle = Bundle::from_memory(BundleParts::new(bytes)).unwrap();
    let scope = bundle.scope(Packing::from(Level::Portable(Portable))).at("m");
    scope.f32("w", &SHAPE).unwrap().iter().map(|x| f64::from(*x)).collect()
}

/// The numbers of a packed matrix, which are twice those of the plain one beside it: so it was not packed again.
fn product(bytes: &[u8]) -> Vec<f64> {
    let bundle = Bundle::from_memory(BundleParts::new(bytes)).unwrap();
    let scope = bundle.scope(Packing::from(Level::Portable(Portable))).at("m");
    let weights = scope.pack("w", SHAPE, || scope.f32("w", &SHAPE)).unwrap();
    weights.memory()[0].iter().map(|x| f64::from(*x)).collect()
}

/// Files of `tests/golden/saved` of a format, with their versions.
fn files(format: &str) -> Vec<(u32, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path("saved")).unwrap() {
        let entry = entry.unwrap().path();
        let name = entry.file_stem().unwrap().to_str().unwrap();
        if let Some((known, version)) = name.rsplit_once('-')
            && known == format
        {
            found.push((version.parse().unwrap(), fs::read(&entry).unwrap()));
        }
    }
    found.sort();
    found
}

fn expected() -> BTreeMap<String, Vec<f64>> {
    serde_json::from_slice(&fs::read(path("saved/expected.json")).unwrap()).unwrap()
}

#[test]
fn files_of_every_version_give_what_they_gave() {
    let expected = expected();
    let mut count = 0;
    for (format, read) in FORMATS {
        for (version, bytes) in files(format) {
            let name = format!("{format}-{version}");
            let (now, then) = (read(&bytes), &expected[&name]);
            assert_eq!(now.len(), then.len(), "{name}");
            let scale = then.iter().fold(1e-6, |most: f64, x| most.max(x.abs()));
            for (i, (now, then)) in now.iter().zip(then).enumerate() {
                assert!((now - then).abs() <= TOLERANCE * scale, "{name}, number {i}: {now}, was {then}");
            }
            count += 1;
        }
    }
    assert_eq!(count, expected.len(), "every file is read, and none is missing");
}

/// A format has a file of the version that is written now: who raises a version writes one.
#[test]
fn the_versions_of_today_are_among_them() {
    for (name, now) in written() {
        let (format, version) = name.rsplit_once('-').unwrap();
        let files = files(format);
        let kept = files.iter().find(|(kept, _)| kept.to_string() == version);
        let (_, kept) = kept.unwrap_or_else(|| panic!("no file of {name}: see the head of this file"));
        assert_eq!(kept.len(), now.len(), "{name} is written in another way: its version has to be raised");
    }
}

#[test]
fn later_versions_are_refused_by_their_number() {
    let resealed = |mut bytes: Vec<u8>| {
        bytes[8..12].copy_from_slice(&99u32.to_le_bytes());
        let end = bytes.len() - 8;
        let mut hash = Fnv64::default();
        hash.write(&bytes[..end]);
        bytes[end..].copy_from_slice(&hash.finish().to_le_bytes());
        bytes
    };
    let last = |format| resealed(files(format).pop().unwrap().1);
    let errors = [
        sam("sam_predictor").restore(&last("embedding-sam")).unwrap_err(),
        sam("sam2_predictor/original").restore(&last("embedding-sam2")).unwrap_err(),
        Tracker::restore(sam("tracker/sam2.1"), &last("tracker")).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.code(), ErrorCode::Unsupported, "{error}");
        assert!(error.to_string().contains("version 99"), "{error}");
    }
}

/// An embedding as an earlier version wrote it: without the picture's fingerprint.
fn without_picture(bytes: &[u8]) -> Vec<u8> {
    const PICTURE: std::ops::Range<usize> = 40..48;
    let version = u32::from_le_bytes(bytes[8..12].try_into().unwrap()) - 2;
    let kept = [
        &bytes[..8],
        &version.to_le_bytes(),
        &bytes[12..PICTURE.start],
        &bytes[PICTURE.end..bytes.len() - 8],
    ];
    let mut bytes = kept.concat();
    let mut hash = Fnv64::default();
    hash.write(&bytes);
    bytes.extend(hash.finish().to_le_bytes());
    bytes
}

fn encode(model: &str) -> Embedding {
    let pixels = picture();
    let image = ImageView::packed(&pixels, 40, 30, PixelFormat::Rgb8).unwrap();
    sam(model).encode(&image, &Monitor::none()).unwrap()
}

/// What this version writes, by names with the version.
fn written() -> Vec<(String, Vec<u8>)> {
    let version = |bytes: &[u8]| u32::from_le_bytes(bytes[8..12].try_into().unwrap());
    let mut files = Vec::new();
    for (format, model) in [("embedding-sam", "sam_predictor"), ("embedding-sam2", "sam2_predictor/original")]
    {
        let bytes = encode(model).save().unwrap();
        files.push((format!("{format}-{}", version(&bytes)), bytes));
    }
    let bytes = tracked();
    files.push((format!("tracker-{}", version(&bytes)), bytes));
    // The format of quantised weights has had one version, which is not written.
    files.push(("quantised-int8-1".into(), quantised(WeightFormat::Int8)));
    files.push(("quantised-q4-1".into(), quantised(WeightFormat::Q4)));
    files.push((format!("packed-{PACKED_VERSION}"), packed()));
    files
}

fn tracked() -> Vec<u8> {
    let options = TrackerOptions::default().with_held_frames(2);
    let mut tracker = Tracker::new(sam("tracker/sam2.1"), [WIDTH, HEIGHT], &options).unwrap();
    let mut video = Video::default();
    for frame in 0..3 {
        tracker.push(&video.image(frame), &Monitor::none()).unwrap();
        if frame < 2 {
            scenario::click(&mut tracker, frame, 1 + frame as u32);
        }
        tracker.step(&Monitor::none()).unwrap();
    }
    tracker.save().unwrap()
}

/// What `m.w` is.
fn values() -> Vec<f32> {
    (0..SHAPE[0] * SHAPE[1]).map(|i| i as f32 - 7.5).collect()
}

/// A matrix in another format.
fn quantised(format: WeightFormat) -> Vec<u8> {
    let bytes: Vec<u8> = values().iter().flat_map(|x| x.to_le_bytes()).collect();
    let plain =
        serialize([("m.w", TensorView::new(Dtype::F32, SHAPE.to_vec(), &bytes).unwrap())], None).unwrap();
    let bundle = Bundle::from_memory(BundleParts::new(&plain)).unwrap();
    // What is read as a matrix is what is quantised.
    let scope = bundle.scope(Packing { format, ..Level::Portable(Portable).into() }).at("m");
    scope.matrix("w", &SHAPE).unwrap();
    assert!(bundle.archive().is_packed("m.w"));
    let mut metadata = BTreeMap::from([(WEIGHT_FORMAT_KEY.to_owned(), format.name().to_owned())]);
    if format == WeightFormat::Q4 {
        metadata.insert(format!("{SHAPE_KEY}m.w"), shape_text(&SHAPE));
    }
    let parts = encode_tensor(bundle.archive(), "m.w", format).unwrap();
    let views = parts.iter().map(|part| {
        (format!("m.w{}", part.suffix), TensorView::new(part.dtype, part.shape.clone(), &part.bytes).unwrap())
    });
    serialize(views.collect::<Vec<_>>(), Some(metadata.into_iter().collect())).unwrap()
}

/// A matrix, and twice of it packed.
fn packed() -> Vec<u8> {
    let values = values();
    let doubled: Vec<f32> = values.iter().map(|x| 2.0 * x).collect();
    let weights = PackedWeights::pack(Level::Portable(Portable), SHAPE[0], SHAPE[1], &doubled).unwrap();
    let recorded = Recorded { key: "m.w".into(), from: vec!["m.w".into()], weights };
    let bytes = |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|x| x.to_le_bytes()).collect() };
    let panels: Vec<u8> = recorded.weights.memory().iter().flat_map(|part| bytes(part)).collect();
    let plain = bytes(&values);
    let (len, end) = (panels.len(), panels.len() + plain.len());
    let header = serde_json::json!({
        "__metadata__": { PACKED_KEY: PACKED_VERSION, recorded.name(): recorded.description() },
        recorded.name(): { "dtype": "U8", "shape": [len], "data_offsets": [0, len] },
        "m.w": { "dtype": "F32", "shape": SHAPE, "data_offsets": [len, end] },
    });
    let mut header = header.to_string().into_bytes();
    // Data begin at a cache line.
    header.resize((8 + header.len()).next_multiple_of(64) - 8, b' ');
    [&(header.len() as u64).to_le_bytes()[..], &header, &panels, &plain].concat()
}

#[test]
#[ignore = "writes the files of this version"]
fn write_the_files_of_this_version() {
    fs::create_dir_all(path("saved")).unwrap();
    let mut expected = if path("saved/expected.json").exists() { expected() } else { BTreeMap::new() };
    let mut files = written();
    if expected.is_empty() {
        let earlier = |(name, bytes): &(String, Vec<u8>)| {
            let (format, version) = name.rsplit_once('-').unwrap();
            let version: u32 = version.parse().ok().filter(|_| format.starts_with("embedding"))?;
            Some((format!("{format}-{}", version - 2), without_picture(bytes)))
        };
        files.extend(files.iter().filter_map(earlier).collect::<Vec<_>>());
    }
    for (name, bytes) in files {
        if expected.contains_key(&name) {
            continue;
        }
        assert!(bytes.len() < 100_000, "{name}: {} bytes", bytes.len());
        let (format, _) = name.rsplit_once('-').unwrap();
        let (_, read) = FORMATS.iter().find(|(known, _)| *known == format).unwrap();
        expected.insert(name.clone(), read(&bytes));
        fs::write(path(&format!("saved/{name}.bin")), bytes).unwrap();
    }
    fs::write(path("saved/expected.json"), serde_json::to_string_pretty(&expected).unwrap()).unwrap();
}
