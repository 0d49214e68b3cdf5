//! Everything in a picture against `SamAutomaticMaskGenerator` of segment-anything: `golden/automatic`.
#![cfg(feature = "parallel")]

mod common;

use std::fs::{self, File};
use std::io::BufReader;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use vitrum::ErrorCode;
use vitrum::exec::{Cx, CxOptions, Monitor};
use vitrum::image::{ImageView, PixelFormat};
use vitrum::pipelines::mask::Rle;
use vitrum::pipelines::sam::{AutomaticOptions, MaskRecord, Sam, SamOptions};
use vitrum::simd::Level;
use vitrum::weights::{Bundle, OpenOptions};

fn load(cx: &Cx, path: &Path) -> Sam {
    let bundle = Bundle::open(path, OpenOptions::default()).unwrap();
    Sam::load(cx, &bundle, &SamOptions::default()).unwrap()
}

fn demo(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo").join(name)
}

/// Pixels, width and height of an RGB picture.
fn picture(path: &Path) -> (Vec<u8>, usize, usize) {
    let mut reader = png::Decoder::new(BufReader::new(File::open(path).unwrap())).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!(info.color_type, png::ColorType::Rgb);
    pixels.truncate(info.buffer_size());
    (pixels, info.width as usize, info.height as usize)
}

fn numbers<const N: usize>(value: &Value) -> [f64; N] {
    core::array::from_fn(|i| value[i].as_f64().unwrap_or_else(|| panic!("{value}")))
}

/// The defaults, with what the golden file changes.
fn options(changes: &Value) -> AutomaticOptions {
    let mut options = AutomaticOptions::default();
    for (name, value) in changes.as_object().unwrap() {
        let (number, integer) = (value.as_f64().unwrap(), value.as_u64().map(|value| value as usize));
        match name.as_str() {
            "points_per_side" => options.points_per_side = integer.unwrap(),
            "points_per_batch" => options.points_per_batch = integer.unwrap(),
            "pred_iou_thresh" => options.pred_iou_thresh = number,
            "stability_score_thresh" => options.stability_score_thresh = number,
            "stability_score_offset" => options.stability_score_offset = number,
            "box_nms_thresh" => options.box_nms_thresh = number,
            "crop_n_layers" => options.crop_n_layers = integer.unwrap(),
            "crop_nms_thresh" => options.crop_nms_thresh = number,
            "crop_n_points_downscale_factor" => {
                options.crop_n_points_downscale_factor = integer.unwrap();
            }
            "min_mask_region_area" => options.min_mask_region_area = integer.unwrap() as u32,
            _ => panic!("{name}"),
        }
    }
    options
}

fn everything(sam: &Sam, image: &ImageView<'_>, options: &AutomaticOptions) -> Vec<MaskRecord> {
    let mut records = Vec::new();
    let mut emit = |record| {
        records.push(record);
        ControlFlow::Continue(())
    };
    let embedding = sam.everything(image, options, &Monitor::none(), &mut emit).unwrap();
    assert_eq!(embedding.image_size(), (image.width(), image.height()));
    records
}

#[track_caller]
fn assert_equal(record: &MaskRecord, expected: &Value, what: &str) {
    let box_of = |value: &Value| numbers::<4>(value).map(|side| side as u32);
    assert_eq!(record.bounding_box, box_of(&expected["bbox"]), "{what}");
    assert_eq!(record.crop_box, box_of(&expected["crop_box"]), "{what}");
    let point = numbers::<2>(&expected["point_coords"][0]);
    assert!(record.point_coords.iter().zip(point).all(|(a, b)| (a - b).abs() < 1e-9), "{what}");
    let near = |a: f32, b: &Value, most: f64| (f64::from(a) - b.as_f64().unwrap()).abs() <= most;
    assert!(near(record.predicted_iou, &expected["predicted_iou"], 1e-4), "{what}");
    assert!(near(record.stability_score, &expected["stability_score"], 1e-3), "{what}");

    let mask = &record.segmentation;
    let counts = expected["counts"].as_str().unwrap();
    let expected = Rle::from_coco_string(counts, mask.width(), mask.height()).unwrap();
    let iou = mask.iou(&expected).unwrap();
    assert!(iou >= 0.999, "{what}: masks overlap by {iou}");
    assert_eq!(record.area, mask.area(), "{what}");
}

/// Compares all cases of a golden file.
fn check(golden: &str, model: &Path, image: &Path, levels: impl Iterator<Item = Level>) {
    let (pixels, width, height) = picture(image);
    let image = ImageView::packed(&pixels, width, height, PixelFormat::Rgb8).unwrap();
    let golden: Value = serde_json::from_slice(&fs::read(common::path(golden)).unwrap()).unwrap();
    assert_eq!(numbers::<2>(&golden["size"]), [height, width].map(|side| side as f64));
    for level in levels {
        let cx = Cx::new(&CxOptions::default().with_threads(2).with_level(level)).unwrap();
        let sam = load(&cx, model);
        for (name, case) in golden["cases"].as_object().unwrap() {
            let records = everything(&sam, &image, &options(&case["options"]));
            let expected = case["records"].as_array().unwrap();
            for (i, (record, expected)) in records.iter().zip(expected).enumerate() {
                assert_equal(record, expected, &format!("{name}, record {i}, {}", level.name()));
            }
            assert_eq!(records.len(), expected.len(), "{name} at {}", level.name());
        }
    }
}

#[test]
fn records_of_a_random_model_equal_the_reference() {
    let model = common::path("sam_predictor/model.safetensors");
    check("automatic/random.json", &model, &common::path("automatic/random.png"), Level::available());
}

#[test]
fn records_of_the_demo_model_equal_the_reference() {
    check(
        "automatic/trained.json",
        &demo("sam-nano"),
        &demo("images/garden-scene-3d.png"),
        [Level::detect()].into_iter(),
    );
}

/// The random model, its picture, and options with which it finds a dozen masks.
fn random(cx: &Cx) -> (Sam, (Vec<u8>, usize, usize), AutomaticOptions) {
    let sam = load(cx, &common::path("sam_predictor/model.safetensors"));
    let options = AutomaticOptions::default()
        .with_points_per_side(5)
        .with_points_per_batch(3)
        .with_pred_iou_thresh(0.0)
        .with_stability_score_thresh(0.8)
        .with_stability_score_offset(0.05)
        .with_box_nms_thresh(1.0);
    (sam, picture(&common::path("automatic/random.png")), options)
}

#[test]
fn neither_threads_nor_batches_change_a_record() {
    let found = |threads, points_per_batch| {
        let cx = Cx::new(&CxOptions::default().with_threads(threads)).unwrap();
        let (sam, (pixels, width, height), options) = random(&cx);
        let image = ImageView::packed(&pixels, width, height, PixelFormat::Rgb8).unwrap();
        everything(&sam, &image, &options.with_points_per_batch(points_per_batch))
    };
    let records = found(1, 64);
    assert!(records.len() > 10);
    assert_eq!(found(3, 64), records);
    assert_eq!(found(2, 4), records);
}

#[test]
fn progress_rises_and_work_stops_when_told() {
    let cx = Cx::new(&CxOptions::default().with_threads(2)).unwrap();
    let (sam, (pixels, width, height), options) = random(&cx);
    let options = options.with_crop_n_layers(1).with_crop_nms_thresh(1.0);
    let image = ImageView::packed(&pixels, width, height, PixelFormat::Rgb8).unwrap();
    // Bits of fractions in 0…1, whose order is that of the numbers.
    let (last, reports) = (AtomicU32::new(0), AtomicU32::new(0));
    let run = |stop_after: u32| {
        last.store(0, Ordering::Relaxed);
        reports.store(0, Ordering::Relaxed);
        let report = |fraction: f32| {
            let before = last.swap(fraction.to_bits(), Ordering::Relaxed);
            assert!(before <= fraction.to_bits() && fraction <= 1.0, "{fraction}");
            match reports.fetch_add(1, Ordering::Relaxed) + 1 == stop_after {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let mut records = 0;
        let mut emit = |_| {
            records += 1;
            ControlFlow::Continue(())
        };
        let result = sam.everything(&image, &options, &Monitor::new(&report), &mut emit);
        (result.map(drop).map_err(|error| error.code()), records)
    };
    let (result, records) = run(0);
    assert_eq!((result, f32::from_bits(last.load(Ordering::Relaxed))), (Ok(()), 1.0));
    assert!(records > 10);
    let all = reports.load(Ordering::Relaxed);
    assert!(all > 20, "{all} reports");
    // How many reports there are depends on time: a run may end before the last ones.
    let mut stopped = 0;
    for stop_after in (1..=all).step_by(7) {
        let result = run(stop_after).0;
        if reports.load(Ordering::Relaxed) < stop_after {
            assert_eq!(result, Ok(()), "not told to stop");
        } else {
            assert_eq!(result, Err(ErrorCode::Cancelled), "stopped at report {stop_after}");
            stopped += 1;
        }
    }
    assert!(stopped > 1, "{stopped} runs stopped");
    assert_eq!(run(0), (Ok(()), records), "after all that");
}

#[test]
fn a_receiver_that_has_enough_stops_the_work() {
    let cx = Cx::new(&CxOptions::default().with_threads(2)).unwrap();
    let (sam, (pixels, width, height), options) = random(&cx);
    let image = ImageView::packed(&pixels, width, height, PixelFormat::Rgb8).unwrap();
    let mut records = 0;
    let mut emit = |_| {
        records += 1;
        if records == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let error = sam.everything(&image, &options, &Monitor::none(), &mut emit).unwrap_err();
    assert_eq!((error.code(), records), (ErrorCode::Cancelled, 3));
}

#[test]
fn options_and_pictures_that_do_not_fit_are_refused() {
    let cx = Cx::new(&CxOptions::default().with_threads(1)).unwrap();
    let (sam, _, options) = random(&cx);
    let image = ImageView::packed(&[0; 3 * 9], 3, 3, PixelFormat::Rgb8).unwrap();
    let mut emit = |_| panic!("a record");
    for options in [
        options.clone().with_points_per_batch(0),
        options.clone().with_stability_score_offset(f64::NAN),
        options.with_crop_n_layers(3),
    ] {
        let error = sam.everything(&image, &options, &Monitor::none(), &mut emit).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument, "{options:?}: {error}");
    }
}
