//! From a picture and a prompt to masks, against `SAM2ImagePredictor` and against transformers' `Sam2Model`, and
//! everything in a picture against `SAM2AutomaticMaskGenerator`, on the small models of `tests/golden/sam2_predictor`.
#![cfg(feature = "parallel")]

mod common;

use std::fs;
use std::ops::ControlFlow;

use common::{Golden, path};
use serde_json::{Map, Value};
use vitrum::ErrorCode;
use vitrum::exec::{Cx, CxOptions, Monitor};
use vitrum::image::{ImageView, PixelFormat};
use vitrum::pipelines::mask::Rle;
use vitrum::pipelines::preprocess::Preprocess;
use vitrum::pipelines::sam::{
    AutomaticOptions, Embedding, Label, MaskRecord, Point, PredictOptions, Prediction, Prompt, Sam,
    SamOptions,
};
use vitrum::simd::Level;
use vitrum::weights::{Bundle, Fnv64, OpenOptions};

const MODELS: [&str; 2] = ["original", "huggingface"];
/// The rows of the input that the golden files hold.
const ROWS: std::ops::Range<usize> = 48..80;
const PICTURES: [&str; 3] = ["small", "large", "upright"];

fn load(cx: &Cx, model: &str) -> Sam {
    let bundle = Bundle::open(&path(&format!("sam2_predictor/{model}")), OpenOptions::default()).unwrap();
    let sam = Sam::load(cx, &bundle, &SamOptions::default()).unwrap();
    assert_eq!(bundle.unused().map(|tensor| tensor.name).collect::<Vec<_>>(), [""; 0]);
    sam
}

fn read(model: &str) -> Golden {
    Golden::read(&format!("sam2_predictor/{model}/golden.safetensors"))
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&fs::read(path(&format!("sam2_predictor/{name}"))).unwrap()).unwrap()
}

fn encode(sam: &Sam, golden: &Golden, picture: &str) -> Embedding {
    let (pixels, [height, width]) = golden.image(&format!("{picture}.image")).unwrap();
    let image = ImageView::packed(&pixels, width, height, PixelFormat::Rgb8).unwrap();
    sam.encode(&image, &Monitor::none()).unwrap()
}

/// A prompt of `golden.json`.
struct Case {
    name: String,
    points: Vec<Point>,
    bounding_box: Option<[f32; 4]>,
    /// The kind of prompt whose second mask is fed back.
    mask: Option<String>,
    options: PredictOptions,
}

impl Case {
    fn read(name: &str, case: &Value) -> Self {
        let number = |value: &Value| value.as_f64().unwrap() as f32;
        let list = |key: &str| case[key].as_array().map_or(&[][..], Vec::as_slice);
        let area = |key: &str| case[key].as_u64().unwrap_or(0) as u32;
        let point = |(at, label): (&Value, &Value)| Point {
            x: number(&at[0]),
            y: number(&at[1]),
            label: Label::try_from(label.as_i64().unwrap() as i32).unwrap(),
        };
        Self {
            name: name.into(),
            points: list("points").iter().zip(list("labels")).map(point).collect(),
            bounding_box: case["box"].is_array().then(|| [0, 1, 2, 3].map(|i| number(&case["box"][i]))),
            mask: case["mask"].as_str().map(Into::into),
            options: PredictOptions::default()
                .with_multimask(case["multimask"].as_bool().unwrap_or(true))
                .with_max_hole_area(area("max_hole_area"))
                .with_max_sprinkle_area(area("max_sprinkle_area")),
        }
    }

    fn all(model: &str, picture: &str) -> Vec<Self> {
        let cases: Map<String, Value> =
            serde_json::from_value(json(&format!("{model}/golden.json"))).unwrap();
        let prefix = format!("{picture}.");
        let cases = cases.iter().filter(|(name, _)| name.starts_with(&prefix));
        cases.map(|(name, case)| Self::read(name, case)).collect()
    }

    /// The prompt, and what is fed back if it is: the second of the masks of another prompt for the same picture.
    fn prompt<'a>(&'a self, golden: &'a Golden) -> Prompt<'a> {
        let picture = self.name.split('.').next().unwrap();
        let mask = self.mask.as_ref().map(|kind| {
            let (shape, values) = golden.get(&format!("{picture}.{kind}.low_res"));
            &values[shape[1] * shape[2]..][..shape[1] * shape[2]]
        });
        Prompt::default().with_points(&self.points).with_bounding_box(self.bounding_box).with_mask(mask)
    }
}

fn low_res(prediction: &Prediction) -> Vec<f32> {
    (0..prediction.masks()).flat_map(|mask| prediction.low_res(0, mask).to_vec()).collect()
}

/// The input of both profiles: that of Meta's is interpolated as f32, that of transformers exact.
#[test]
fn inputs_equal_the_reference() {
    let cx = Cx::new(&CxOptions::default().with_threads(2)).unwrap();
    for (model, picture, most) in [("original", "small", 1e-5), ("huggingface", "large", 0.0)] {
        let golden = read(model);
        let (pixels, [height, width]) = golden.image(&format!("{picture}.image")).unwrap();
        let image = ImageView::packed(&pixels, width, height, PixelFormat::Rgb8).unwrap();
        let profile = match model {
            "original" => Preprocess::sam2(128).unwrap(),
            _ => load(&cx, model).video_preprocess().clone(),
        };
        let mut input = vec![f32::NAN; 3 * 128 * 128];
        profile.run(&cx, &image, &mut input).unwrap();
        // Some rows of each channel.
        let (shape, expected) = golden.get(&format!("{picture}.pixels"));
        assert_eq!(shape, [3, ROWS.len(), 128]);
        let rows = input.chunks(128 * 128).flat_map(|plane| &plane[128 * ROWS.start..128 * ROWS.end]);
        let difference = rows.zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(difference <= most, "{model}: {difference}");
    }
}

#[test]
fn predictions_equal_the_reference() {
    for model in MODELS {
        let golden = read(model);
        for level in Level::available() {
            let cx = Cx::new(&CxOptions::default().with_threads(2).with_level(level)).unwrap();
            let sam = load(&cx, model);
            let mut prediction = Prediction::default();
            for picture in PICTURES {
                let embedding = encode(&sam, &golden, picture);
                if golden.find(&format!("{picture}.embedding")).is_some() {
                    golden.check(&format!("{picture}.embedding"), embedding.values());
                }
                for case in Case::all(model, picture) {
                    sam.predict(&embedding, &[case.prompt(&golden)], &case.options, &mut prediction).unwrap();
                    golden.check(&format!("{}.iou", case.name), prediction.iou(0));
                    golden.check(&format!("{}.low_res", case.name), &low_res(&prediction));
                }
            }
        }
    }
}

/// Logits and masks of the picture's size: one step of interpolation, after small regions are gone.
#[test]
fn masks_of_the_pictures_size() {
    let golden = read("original");
    let cx = Cx::new(&CxOptions::default().with_threads(2)).unwrap();
    let sam = load(&cx, "original");
    let mut seen = 0;
    for picture in PICTURES {
        let embedding = encode(&sam, &golden, picture);
        for case in Case::all("original", picture) {
            let name = format!("{}.logits", case.name);
            let Some((shape, expected)) = golden.find(&name) else { continue };
            let mut prediction = Prediction::default();
            sam.predict(&embedding, &[case.prompt(&golden)], &case.options, &mut prediction).unwrap();
            let (width, height) = embedding.image_size();
            assert_eq!(shape, [1, height, width]);
            let mut logits = vec![f32::NAN; width * height];
            prediction.logits_into(0, 0, &mut logits).unwrap();
            golden.check(&name, &logits);
            let mut mask = vec![9; width * height];
            prediction.mask_into(0, 0, 0.0, &mut mask).unwrap();
            let wrong = mask.iter().zip(expected).filter(|&(&mask, &logit)| (mask != 0) != (logit > 0.0));
            assert!(wrong.count() * 1000 <= mask.iter().filter(|&&mask| mask != 0).count(), "{picture}");
            seen += 1;
        }
    }
    assert_eq!(seen, 3, "a point on two pictures, and one without holes");
}

/// Small regions are gone from the picture's masks, and not from what is fed back.
#[test]
fn regions_are_filled_where_they_are_shown() {
    let golden = read("original");
    let cx = Cx::new(&CxOptions::default()).unwrap();
    let sam = load(&cx, "original");
    let embedding = encode(&sam, &golden, "small");
    let click = [Point::foreground(36.0, 32.0)];
    let predict = |options: PredictOptions| {
        let mut prediction = Prediction::default();
        sam.predict(&embedding, &[Prompt::points(&click)], &options, &mut prediction).unwrap();
        prediction
    };
    let plain = predict(PredictOptions::default());
    let filled = predict(PredictOptions::default().with_max_hole_area(u32::MAX));
    assert_eq!(low_res(&plain), low_res(&filled));
    let area = |prediction: &Prediction| prediction.rle(0, 0, 0.0).unwrap().area() as usize;
    let (width, height) = embedding.image_size();
    assert!(area(&plain) < width * height);
    assert_eq!(area(&filled), width * height);
}

/// A prompt's result does not depend on what else is asked in the same call, nor on the number of threads.
#[test]
fn prompts_of_a_batch_are_independent() {
    let golden = read("original");
    let mut all = Vec::new();
    for threads in [1, 3] {
        let cx = Cx::new(&CxOptions::default().with_threads(threads)).unwrap();
        let sam = load(&cx, "original");
        let embedding = encode(&sam, &golden, "small");
        let cases = Case::all("original", "small");
        let prompts: Vec<Prompt<'_>> = cases.iter().map(|case| case.prompt(&golden)).collect();
        for multimask in [false, true] {
            let options = PredictOptions::default().with_multimask(multimask);
            let [mut batch, mut alone] = [Prediction::default(), Prediction::default()];
            sam.predict(&embedding, &prompts, &options, &mut batch).unwrap();
            for (i, prompt) in prompts.iter().enumerate() {
                sam.predict(&embedding, &[*prompt], &options, &mut alone).unwrap();
                assert_eq!(alone.iou(0), batch.iou(i), "{}", cases[i].name);
                for mask in 0..batch.masks() {
                    assert_eq!(alone.low_res(0, mask), batch.low_res(i, mask), "{} {mask}", cases[i].name);
                    all.push((threads, batch.low_res(i, mask).to_vec()));
                }
            }
        }
    }
    let of = |threads: usize| all.iter().filter(move |(of, _)| *of == threads).map(|(_, masks)| masks);
    assert!(of(1).eq(of(3)));
}

/// Of both namings, with the larger maps, to the bit; and what does not fit is refused.
#[test]
fn a_restored_embedding_predicts_the_same() {
    let cx = Cx::new(&CxOptions::default()).unwrap();
    let [original, hugging_face] = MODELS.map(|model| (load(&cx, model), read(model)));
    let click = [Point::foreground(30.0, 70.0)];
    for (sam, golden) in [&original, &hugging_face] {
        let embedding = encode(sam, golden, "upright");
        let bytes = embedding.save().unwrap();
        assert_eq!(bytes.len(), embedding.saved_bytes());
        let restored = sam.restore(&bytes).unwrap();
        assert_eq!(restored.geometry(), embedding.geometry());
        assert_eq!(restored.save().unwrap(), bytes);
        // It knows its picture. What was saved before embeddings did is read all the same.
        let (pixels, [height, width]) = golden.image("upright.image").unwrap();
        let picture = ImageView::packed(&pixels, width, height, PixelFormat::Rgb8).unwrap();
        let black = vec![0; pixels.len()];
        let black = ImageView::packed(&black, width, height, PixelFormat::Rgb8).unwrap();
        assert_eq!(
            (restored.is_of(&picture).unwrap(), restored.is_of(&black).unwrap()),
            (Some(true), Some(false))
        );
        let mut earlier = [&bytes[..40], &bytes[48..bytes.len() - 8]].concat();
        earlier[8] -= 2;
        let mut checksum = Fnv64::default();
        checksum.write(&earlier);
        earlier.extend(checksum.finish().to_le_bytes());
        let earlier = sam.restore(&earlier).unwrap();
        assert_eq!((earlier.is_of(&picture).unwrap(), earlier.values()), (None, embedding.values()));
        let predict = |embedding: &Embedding| {
            let mut prediction = Prediction::default();
            sam.predict(embedding, &[Prompt::points(&click)], &PredictOptions::default(), &mut prediction)
                .unwrap();
            (prediction.iou(0).to_vec(), low_res(&prediction))
        };
        assert_eq!(predict(&embedding), predict(&restored));
    }
    let bytes = encode(&original.0, &original.1, "small").save().unwrap();
    let refused = hugging_face.0.restore(&bytes).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidArgument);
    assert_eq!(original.0.restore(&bytes[..bytes.len() / 2]).unwrap_err().code(), ErrorCode::Format);
}

/// Another size of the input than the checkpoint's.
#[test]
fn other_input_sizes() {
    let cx = Cx::new(&CxOptions::default()).unwrap();
    let bundle = Bundle::open(&path("sam2_predictor/original"), OpenOptions::default()).unwrap();
    let options = SamOptions::default().with_image_size(96);
    let sam = Sam::load(&cx, &bundle, &options).unwrap();
    assert_eq!((sam.image_size(), sam.mask_side()), (96, 24));
    let embedding = encode(&sam, &read("original"), "small");
    assert_eq!(embedding.values().len(), 6 * 6 * 32);
    let refused = Sam::load(&cx, &bundle, &SamOptions::default().with_image_size(100)).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidArgument);
}

/// The defaults of SAM 2, with what the golden file changes.
fn options(changes: &Value) -> AutomaticOptions {
    let mut options = AutomaticOptions::sam2();
    for (name, value) in changes.as_object().unwrap() {
        let (number, integer) = (value.as_f64(), value.as_u64().map(|value| value as usize));
        match name.as_str() {
            "points_per_side" => options.points_per_side = integer.unwrap(),
            "points_per_batch" => options.points_per_batch = integer.unwrap(),
            "pred_iou_thresh" => options.pred_iou_thresh = number.unwrap(),
            "stability_score_thresh" => options.stability_score_thresh = number.unwrap(),
            "stability_score_offset" => options.stability_score_offset = number.unwrap(),
            "box_nms_thresh" => options.box_nms_thresh = number.unwrap(),
            "crop_n_layers" => options.crop_n_layers = integer.unwrap(),
            "crop_nms_thresh" => options.crop_nms_thresh = number.unwrap(),
            "min_mask_region_area" => options.min_mask_region_area = integer.unwrap() as u32,
            "use_m2m" => options.use_m2m = value.as_bool().unwrap(),
            "multimask_output" => options.multimask_output = value.as_bool().unwrap(),
            _ => panic!("{name}"),
        }
    }
    options
}

fn numbers<const N: usize>(value: &Value) -> [f64; N] {
    core::array::from_fn(|i| value[i].as_f64().unwrap_or_else(|| panic!("{value}")))
}

#[track_caller]
fn assert_equal(record: &MaskRecord, expected: &Value, what: &str) {
    let box_of = |value: &Value| numbers::<4>(value).map(|side| side as u32);
    assert_eq!(record.bounding_box, box_of(&expected["bbox"]), "{what}");
    assert_eq!(record.crop_box, box_of(&expected["crop_box"]), "{what}");
    // The reference keeps points as f32.
    let point = numbers::<2>(&expected["point_coords"][0]);
    assert!(record.point_coords.iter().zip(point).all(|(a, b)| (a - b).abs() < 1e-4), "{what}");
    let near = |a: f32, b: &Value, most: f64| (f64::from(a) - b.as_f64().unwrap()).abs() <= most;
    assert!(near(record.predicted_iou, &expected["predicted_iou"], 1e-4), "{what}");
    assert!(near(record.stability_score, &expected["stability_score"], 1e-3), "{what}");
    let mask = &record.segmentation;
    let counts = expected["counts"].as_str().unwrap();
    let expected = Rle::from_coco_string(counts, mask.width(), mask.height()).unwrap();
    // IoU ≥ 0.999; of small masks, one pixel whose logit is nothing but rounding.
    let iou = mask.iou(&expected).unwrap();
    let union = f64::from(mask.area() + expected.area()) / (1.0 + iou);
    let different = (union * (1.0 - iou)).round();
    assert!(different <= (union / 1000.0).max(1.0), "{what}: {different} pixels of {union} differ");
    assert_eq!(record.area, mask.area(), "{what}");
}

#[test]
fn records_equal_the_reference() {
    let picture = fs::read(path("sam2_predictor/original/automatic.png")).unwrap();
    let mut reader = png::Decoder::new(std::io::Cursor::new(picture)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    let (width, height) = (info.width as usize, info.height as usize);
    let image = ImageView::packed(&pixels, width, height, PixelFormat::Rgb8).unwrap();
    let golden = json("original/automatic.json");
    let cx = Cx::new(&CxOptions::default().with_threads(2)).unwrap();
    let sam = load(&cx, "original");
    assert_eq!(sam.model().automatic_options(), AutomaticOptions::sam2());
    for (name, case) in golden["cases"].as_object().unwrap() {
        let mut records = Vec::new();
        let mut emit = |record| {
            records.push(record);
            ControlFlow::Continue(())
        };
        sam.everything(&image, &options(&case["options"]), &Monitor::none(), &mut emit).unwrap();
        let expected = case["records"].as_array().unwrap();
        for (i, (record, expected)) in records.iter().zip(expected).enumerate() {
            assert_equal(record, expected, &format!("{name}, record {i}"));
        }
        assert_eq!(records.len(), expected.len(), "{name}");
    }
}
