//! From a picture and a prompt to masks, against `SamPredictor` of segment-anything on the small model of
//! `tests/golden/sam_predictor`.
#![cfg(feature = "parallel")]

mod common;

use std::fs;

use common::Golden;
use serde_json::Value;
use vitrum::ErrorCode;
use vitrum::exec::{Cx, CxOptions, Monitor};
use vitrum::image::{ImageView, PixelFormat};
use vitrum::pipelines::sam::{Embedding, Label, Point, PredictOptions, Prediction, Prompt, Sam, SamOptions};
use vitrum::simd::Level;
use vitrum::weights::{Bundle, OpenOptions};

const PICTURES: [&str; 4] = ["small", "large", "upright", "square"];

fn load(cx: &Cx) -> Sam {
    let path = common::path("sam_predictor/model.safetensors");
    let bundle = Bundle::open(&path, OpenOptions::default()).unwrap();
    let sam = Sam::load(cx, &bundle, &SamOptions::default()).unwrap();
    assert_eq!(bundle.unused().map(|tensor| tensor.name).collect::<Vec<_>>(), [""; 0]);
    sam
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
    multimask: bool,
}

impl Case {
    fn read(name: &str, case: &Value) -> Self {
        let number = |value: &Value| value.as_f64().unwrap() as f32;
        let list = |key: &str| case[key].as_array().map_or(&[][..], Vec::as_slice);
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
            multimask: case["multimask"].as_bool().unwrap_or(true),
        }
    }

    fn all(picture: &str) -> Vec<Self> {
        let text = fs::read(common::path("sam_predictor/golden.json")).unwrap();
        let cases: serde_json::Map<String, Value> = serde_json::from_slice(&text).unwrap();
        let prefix = format!("{picture}.");
        let cases = cases.iter().filter(|(name, _)| name.starts_with(&prefix));
        cases.map(|(name, case)| Self::read(name, case)).collect()
    }
}

/// The second of the masks of another prompt for the same picture.
fn fed_back<'a>(golden: &'a Golden, picture: &str, kind: &str) -> &'a [f32] {
    let (shape, values) = golden.get(&format!("{picture}.{kind}.low_res"));
    &values[shape[1] * shape[2]..][..shape[1] * shape[2]]
}

#[test]
fn predictions_equal_the_reference() {
    let golden = Golden::read("sam_predictor/golden.safetensors");
    for level in Level::available() {
        let cx = Cx::new(&CxOptions::default().with_threads(2).with_level(level)).unwrap();
        let sam = load(&cx);
        let mut prediction = Prediction::default();
        for picture in PICTURES {
            let embedding = encode(&sam, &golden, picture);
            golden.check(&format!("{picture}.embedding"), embedding.values());
            for case in Case::all(picture) {
                let mask = case.mask.as_ref().map(|kind| fed_back(&golden, picture, kind));
                let prompt = Prompt::default()
                    .with_points(&case.points)
                    .with_bounding_box(case.bounding_box)
                    .with_mask(mask);
                let options = PredictOptions::default().with_multimask(case.multimask);
                sam.predict(&embedding, &[prompt], &options, &mut prediction).unwrap();
                golden.check(&format!("{}.iou", case.name), prediction.iou(0));
                let low_res: Vec<f32> =
                    (0..prediction.masks()).flat_map(|mask| prediction.low_res(0, mask).to_vec()).collect();
                golden.check(&format!("{}.low_res", case.name), &low_res);
            }
        }
    }
}

/// Logits and masks of the picture's size, from the reference's low-resolution logits on.
#[test]
fn masks_of_the_pictures_size() {
    let golden = Golden::read("sam_predictor/golden.safetensors");
    let cx = Cx::new(&CxOptions::default().with_threads(2)).unwrap();
    let sam = load(&cx);
    for picture in PICTURES {
        let embedding = encode(&sam, &golden, picture);
        let case = Case::all(picture).into_iter().find(|case| case.name.ends_with(".point")).unwrap();
        let mut prediction = Prediction::default();
        sam.predict(&embedding, &[Prompt::points(&case.points)], &PredictOptions::default(), &mut prediction)
            .unwrap();
        let (shape, expected) = golden.get(&format!("{}.logits", case.name));
        let (width, height) = embedding.image_size();
        assert_eq!(shape, [1, height, width]);
        let mut logits = vec![f32::NAN; width * height];
        prediction.logits_into(0, 0, &mut logits).unwrap();
        golden.check(&format!("{}.logits", case.name), &logits);
        for threshold in [0.0, 0.7] {
            let mut mask = vec![9; width * height];
            prediction.mask_into(0, 0, threshold, &mut mask).unwrap();
            assert!(mask.iter().zip(&logits).all(|(&mask, &logit)| mask == u8::from(logit > threshold)));
            let wrong =
                mask.iter().zip(expected).filter(|&(&mask, &logit)| (mask != 0) != (logit > threshold));
            assert!(wrong.count() * 1000 <= mask.iter().filter(|&&mask| mask != 0).count(), "{picture}");
        }
    }
}

/// A prompt's result does not depend on what else is asked in the same call, nor on the number of threads.
#[test]
fn prompts_of_a_batch_are_independent() {
    let golden = Golden::read("sam_predictor/golden.safetensors");
    let mut all = Vec::new();
    for threads in [1, 3] {
        let cx = Cx::new(&CxOptions::default().with_threads(threads)).unwrap();
        let sam = load(&cx);
        let embedding = encode(&sam, &golden, "small");
        let cases: Vec<Case> = Case::all("small").into_iter().filter(|case| case.multimask).collect();
        let prompt = |case: &Case| {
            let mask = case.mask.as_ref().map(|kind| fed_back(&golden, "small", kind));
            (case.points.clone(), case.bounding_box, mask)
        };
        let parts: Vec<_> = cases.iter().map(prompt).collect();
        let prompts: Vec<Prompt<'_>> = parts
            .iter()
            .map(|(points, bounding_box, mask)| {
                Prompt::default().with_points(points).with_bounding_box(*bounding_box).with_mask(*mask)
            })
            .collect();
        let mut batch = Prediction::default();
        sam.predict(&embedding, &prompts, &PredictOptions::default(), &mut batch).unwrap();
        assert_eq!((batch.prompts(), batch.masks()), (cases.len(), 3));
        let mut alone = Prediction::default();
        for (i, prompt) in prompts.iter().enumerate() {
            sam.predict(&embedding, &[*prompt], &PredictOptions::default(), &mut alone).unwrap();
            assert_eq!(alone.iou(0), batch.iou(i), "{}", cases[i].name);
            for mask in 0..3 {
                assert_eq!(alone.low_res(0, mask), batch.low_res(i, mask), "{} {mask}", cases[i].name);
            }
        }
        let low_res: Vec<f32> = (0..cases.len()).flat_map(|i| batch.low_res(i, 1).to_vec()).collect();
        all.push(low_res);
    }
    assert_eq!(all[0], all[1]);
}

/// Padded by hand, a lone point becomes what the reference makes of it in a batch: not the same.
#[test]
fn a_padding_point_changes_the_result() {
    let golden = Golden::read("sam_predictor/golden.safetensors");
    let (_, alone) = golden.get("small.point.iou");
    let (_, padded) = golden.get("small.padding.iou");
    assert_ne!(alone, padded);
}

#[test]
fn a_restored_embedding_predicts_the_same() {
    let golden = Golden::read("sam_predictor/golden.safetensors");
    let cx = Cx::new(&CxOptions::default()).unwrap();
    let sam = load(&cx);
    let embedding = encode(&sam, &golden, "upright");
    // Another model object of the same file: what is saved outlives the process.
    let other = load(&cx);
    let restored = other.restore(&embedding.save().unwrap()).unwrap();
    assert_eq!(restored.geometry(), embedding.geometry());
    let click = [Point::foreground(30.0, 70.0)];
    let predict = |sam: &Sam, embedding: &Embedding| {
        let mut prediction = Prediction::default();
        sam.predict(embedding, &[Prompt::points(&click)], &PredictOptions::default(), &mut prediction)
            .unwrap();
        (prediction.iou(0).to_vec(), prediction.low_res(0, 2).to_vec())
    };
    assert_eq!(predict(&sam, &embedding), predict(&other, &restored));
}

/// What the decoder keeps of a picture is packed for the vectors of an instruction set.
#[test]
fn an_embedding_is_used_with_the_instruction_set_that_made_it() {
    let golden = Golden::read("sam_predictor/golden.safetensors");
    let click = [Point::foreground(30.0, 70.0)];
    let sams: Vec<_> = Level::available().map(|level| load(&Cx::serial(level))).collect();
    let embeddings: Vec<_> = sams.iter().map(|sam| encode(sam, &golden, "upright")).collect();
    let mut prediction = Prediction::default();
    for (i, sam) in sams.iter().enumerate() {
        for (j, embedding) in embeddings.iter().enumerate() {
            let mut predict = |embedding: &Embedding| {
                let prompts = [Prompt::points(&click)];
                let result = sam.predict(embedding, &prompts, &PredictOptions::default(), &mut prediction);
                result.map(|()| prediction.iou(0).to_vec())
            };
            if i == j {
                predict(embedding).unwrap();
                continue;
            }
            let error = predict(embedding).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidArgument);
            let names = [j, i].map(|i| sams[i].cx().level().name());
            assert!(names.iter().all(|name| error.to_string().contains(name)), "{names:?}: {error}");
            let restored = predict(&sam.restore(&embedding.save().unwrap()).unwrap()).unwrap();
            let own = predict(&embeddings[i]).unwrap();
            assert!(restored.iter().zip(own).all(|(a, b)| (a - b).abs() < 1e-4), "{names:?}");
        }
    }
}
