//! Masks after the decoder against `pycocotools`, `torchvision` and `segment_anything`: `golden/masks`.

mod common;

use common::Golden;
use serde_json::Value;
use vitrum::exec::Cx;
use vitrum::kernels::resize::upscale::Upscale;
use vitrum::pipelines::mask::{BitMask, Regions, Rle, nms, remove_small_regions, stability_score};
use vitrum::simd::Level;

fn golden(part: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(common::path("masks/masks.json")).unwrap();
    let golden: Value = serde_json::from_str(&text).unwrap();
    golden[part].as_array().unwrap().clone()
}

fn numbers<T: TryFrom<u64>>(value: &Value) -> Vec<T> {
    let number = |value: &Value| T::try_from(value.as_u64().unwrap()).ok().unwrap();
    value.as_array().unwrap().iter().map(number).collect()
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
}

/// Width and height of a golden mask.
fn size(record: &Value) -> (usize, usize) {
    let [height, width] = numbers(&record["size"])[..] else { panic!("size of {record}") };
    (width, height)
}

fn masks() -> Vec<Rle> {
    let mask = |record: &Value| {
        let (width, height) = size(record);
        Rle::from_coco_string(record["counts"].as_str().unwrap(), width, height).unwrap()
    };
    golden("masks").iter().map(mask).collect()
}

#[test]
fn run_lengths_equal_pycocotools() {
    let records = golden("masks");
    assert!(records.len() >= 10);
    for (record, mask) in records.iter().zip(masks()) {
        let (width, height) = size(record);
        assert_eq!(mask.to_coco_string(), record["counts"].as_str().unwrap());
        assert_eq!(mask.counts(), numbers::<u32>(&record["uncompressed"]));
        assert_eq!(u64::from(mask.area()), record["area"].as_u64().unwrap());
        assert_eq!(mask.bounding_box()[..], numbers::<u32>(&record["bbox"]));
        assert_eq!(mask.extent()[..], numbers::<u32>(&record["extent"]));
        let mut pixels = vec![0; width * height];
        mask.to_mask(&mut pixels).unwrap();
        assert_eq!(Rle::from_mask(&pixels, width, height).unwrap(), mask);
    }
}

#[test]
fn overlaps_equal_pycocotools() {
    let masks = masks();
    let overlaps = golden("overlaps");
    assert!(overlaps.len() >= 20);
    for overlap in overlaps {
        let [a, b] = numbers::<usize>(&overlap["pair"])[..] else { panic!("{overlap}") };
        assert_eq!(masks[a].iou(&masks[b]).unwrap(), overlap["iou"].as_f64().unwrap(), "masks {a} and {b}");
    }
}

#[test]
fn small_regions_are_removed_as_by_segment_anything() {
    let masks = masks();
    let cases = golden("regions");
    assert!(cases.len() >= 100);
    for case in cases {
        let mask = &masks[case["mask"].as_u64().unwrap() as usize];
        let regions = match case["mode"].as_str().unwrap() {
            "holes" => Regions::Holes,
            "islands" => Regions::Islands,
            mode => panic!("{mode}"),
        };
        let result = remove_small_regions(mask, case["min_area"].as_u64().unwrap() as u32, regions);
        let result = result.map(|mask| mask.to_coco_string());
        assert_eq!(result.as_deref(), case["result"].as_str(), "{case}");
    }
}

#[test]
fn suppression_equals_torchvision() {
    let cases = golden("nms");
    assert!(cases.len() >= 10);
    for case in cases {
        let boxes: Vec<[f32; 4]> = case["boxes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|corners| floats(corners).try_into().unwrap())
            .collect();
        let kept = nms(&boxes, &floats(&case["scores"]), case["threshold"].as_f64().unwrap());
        assert_eq!(kept, numbers::<usize>(&case["kept"]), "{} boxes", boxes.len());
    }
}

/// `16-64.40x64-75x120` → sides of the logits and the frame, sizes of the resized picture and the picture.
fn parse(case: &str) -> (usize, usize, (usize, usize), (usize, usize)) {
    let numbers: Vec<usize> = case.split(['-', '.', 'x']).map(|number| number.parse().unwrap()).collect();
    let [side, frame, h, w, height, width] = numbers[..] else { panic!("{case}") };
    (side, frame, (h, w), (height, width))
}

#[test]
fn upscaled_logits_equal_segment_anything() {
    let golden = Golden::read("masks/upscale.safetensors");
    let mut cases = 0;
    for (case, low) in golden.with_prefix("low.") {
        let (side, frame, resized, size) = parse(case);
        let plan = Upscale::new(side, frame, resized, size).unwrap();
        let (_, expected) = golden.get(&format!("logits.{case}"));
        let largest = expected.iter().fold(0.0, |max: f32, x| max.max(x.abs()));
        for level in Level::available() {
            let cx = Cx::serial(level);
            let mut out = vec![f32::NAN; size.0 * size.1];
            plan.logits(&cx, low, &mut out, cx.workspace(plan.scratch_req(&cx)).unwrap().scratch());
            let difference = out.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(difference <= 4e-6 * largest, "{case} at {}: {difference} of {largest}", level.name());
        }
        cases += 1;
    }
    assert!(cases >= 9, "only {cases} goldens");
}

#[test]
fn full_size_masks_equal_segment_anything() {
    let golden_tensors = Golden::read("masks/upscale.safetensors");
    let (_, quantised) = golden_tensors.get("full");
    let low: Vec<f32> = quantised.iter().map(|value| (value - 128.0) / 8.0).collect();
    let records = golden("upscaled");
    assert_eq!(records.len(), 3);
    for record in records {
        let [h, w] = numbers(&record["resized"])[..] else { panic!("{record}") };
        let (width, height) = size(&record);
        let plan = Upscale::new(256, 1024, (h, w), (height, width)).unwrap();
        let expected = Rle::from_coco_string(record["counts"].as_str().unwrap(), width, height).unwrap();
        for level in Level::available() {
            let cx = Cx::serial(level);
            let mut workspace = cx.workspace(plan.scratch_req(&cx)).unwrap();
            let mut bits = BitMask::new(width, height).unwrap();
            let [area, higher, lower] =
                plan.bits(&cx, &low, [0.0, 1.0, -1.0], bits.words_mut(), workspace.scratch());
            let mask = bits.to_rle();
            let iou = mask.iou(&expected).unwrap();
            assert!(iou >= 0.9999, "{width}x{height} at {}: IoU {iou}", level.name());
            assert_eq!(bits.extent()[..], numbers::<u32>(&record["extent"]));
            assert_eq!((area, area), (bits.area(), mask.area()));
            let stability = stability_score(higher, lower);
            let difference = (f64::from(stability) - record["stability_score"].as_f64().unwrap()).abs();
            assert!(difference < 1e-4, "{width}x{height}: stability differs by {difference}");
        }
    }
}
