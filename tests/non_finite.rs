//! Weights and results that are no numbers: an error, or, where the context allows them, what the documentation says.
#![cfg(feature = "std")]

use demo::{Demo, picture, pixels};
use vitrum::pipelines::sam::AutomaticOptions;
use vitrum::{
    ClassifyOptions, EncodeOptions, ErrorCode, Limits, Monitor, Point, PredictOptions, Prediction, Prompt,
};
use vitrum::{PromptOptions, Tracker, TrackerOptions};

#[path = "common/demo.rs"]
mod demo;

const NONE: Monitor<'static> = Monitor::none();
const NAN: f32 = f32::NAN;
const HUGE: f32 = 3e38;

fn lenient() -> Limits {
    Limits::default().with_allow_non_finite(true)
}

/// Checks that `result` is refused for values that are not finite, and that the message has `what`.
#[track_caller]
fn refused<T>(result: vitrum::Result<T>, what: &str) {
    let error = result.err().expect("an error");
    assert_eq!(error.code(), ErrorCode::NonFinite, "{error}");
    assert!(error.message().contains(what), "{error}");
    assert!(error.message().contains("allow_non_finite"), "{error}");
}

#[test]
fn weights_that_are_no_numbers_are_refused_by_name() {
    for bad in [NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for (model, tensor) in [
            ("clip-nano", "text_model.embeddings.token_embedding.weight"),
            ("clip-nano", "vision_model.encoder.layers.0.mlp.fc1.weight"),
            ("clip-nano", "logit_scale"),
            ("sam-nano", "vision_encoder.layers.0.layer_norm1.bias"),
            ("sam2-nano", "memory_attention.layers.0.cross_attn_image.k_proj.weight"),
        ] {
            let demo = Demo::changed(model, |name, values| {
                if name == tensor {
                    values[values.len() / 2] = bad;
                }
            });
            let load = |limits| match model {
                "clip-nano" => demo.clip(limits).map(|clip| clip.warnings().to_vec()),
                _ => demo.sam(limits).map(|sam| sam.warnings().to_vec()),
            };
            refused(load(Limits::default()), &format!("tensor \"{tensor}\""));
            let warnings = load(lenient()).unwrap();
            assert!(warnings.iter().any(|warning| warning.contains(tensor)), "{warnings:?}");
        }
    }
}

/// Every model of NaN, of infinity, and of finite values whose products overflow.
#[test]
fn no_result_looks_like_numbers() {
    let pixels = pixels();
    let (image, all) = (picture(&pixels), EncodeOptions::default());
    for bad in [NAN, f32::INFINITY, HUGE] {
        let clip = Demo::changed("clip-nano", |_, values| values.fill(bad));
        let sam = Demo::changed("sam-nano", |_, values| values.fill(bad));
        if bad.is_finite() {
            let clip = clip.clip(Limits::default()).unwrap();
            refused(clip.encode_images(&[image], &all), "the embedding of image 0");
            refused(clip.encode_texts(&["cat"], &all), "the embedding of text 0");
            refused(
                clip.classify(&image, &["cat", "dog"], &ClassifyOptions::default()),
                "the embedding of text 0",
            );
            refused(sam.sam(Limits::default()).unwrap().encode(&image, &NONE), "the embedding");
        } else {
            refused(clip.clip(Limits::default()), "not finite");
            refused(sam.sam(Limits::default()), "not finite");
        }
        let clip = clip.clip(lenient()).unwrap();
        let embedding = clip.encode_images(&[image], &all).unwrap();
        assert!(embedding.iter().any(|value| !value.is_finite()));
        let probabilities = clip.classify(&image, &["cat", "dog"], &ClassifyOptions::default()).unwrap();
        assert!(probabilities.iter().all(|p| p.is_nan()), "{probabilities:?}");
    }
}

#[test]
fn embeddings_that_are_no_numbers_have_no_similarity() {
    let clip = Demo::new("clip-nano").clip(Limits::default()).unwrap();
    let texts = clip.encode_texts(&["cat", "dog"], &EncodeOptions::default()).unwrap();
    let mut images = vec![0.5; clip.embed_dim()];
    clip.similarity(&images, &texts).unwrap();
    images[3] = NAN;
    refused(clip.similarity(&images, &texts), "the logits");
    images.fill(0.0);
    refused(clip.similarity(&images, &texts), "the logits");
}

/// A SAM whose decoder alone is not a number: what is predicted is refused, and read as the documentation says.
#[test]
fn a_mask_of_no_numbers_is_empty() {
    let pixels = pixels();
    let image = picture(&pixels);
    let demo = Demo::changed("sam-nano", |name, values| {
        if name.starts_with("mask_decoder.") {
            values.fill(NAN);
        }
    });
    refused(demo.sam(Limits::default()), "not finite");
    let sam = demo.sam(lenient()).unwrap();
    let embedding = sam.encode(&image, &NONE).unwrap();
    let mut prediction = Prediction::default();
    let click = [Point::foreground(45.0, 35.0)];
    let prompts = [Prompt::points(&click)];
    sam.predict(&embedding, &prompts, &PredictOptions::default(), &mut prediction).unwrap();
    assert!(prediction.iou(0).iter().all(|iou| iou.is_nan()));
    assert_eq!(prediction.best(0), 0);
    assert!(prediction.low_res(0, 0).iter().all(|logit| logit.is_nan()));
    let rle = prediction.rle(0, 0, 0.0).unwrap();
    assert_eq!((rle.area(), rle.bounding_box()), (0, [0; 4]));
    let mut mask = vec![7; 96 * 64];
    prediction.mask_into(0, 0, -1e9, &mut mask).unwrap();
    assert!(mask.iter().all(|&pixel| pixel == 0));
    let mut logits = vec![0.0; 96 * 64];
    prediction.logits_into(0, 0, &mut logits).unwrap();
    assert!(logits.iter().all(|logit| logit.is_nan()));
    assert!(prediction.stability(0, 0, 0.0, 1.0).unwrap().is_nan());
    // No score is above a threshold.
    let mut records = 0;
    let mut emit = |_| {
        records += 1;
        std::ops::ControlFlow::Continue(())
    };
    let options = AutomaticOptions::default().with_points_per_side(4);
    sam.everything(&image, &options, &NONE, &mut emit).unwrap();
    assert_eq!(records, 0);
    // What is fed back must be numbers all the same.
    let fed_back = prompts[0].with_mask(prediction.low_res(0, 0));
    let error = sam.predict(&embedding, &[fed_back], &PredictOptions::default(), &mut Prediction::default());
    assert_eq!(error.unwrap_err().code(), ErrorCode::InvalidArgument);
}

/// Finite weights whose results overflow in the decoder: the prediction holds nothing afterwards.
#[test]
fn a_prediction_that_is_refused_holds_no_masks() {
    let pixels = pixels();
    let sam = Demo::changed("sam-nano", |name, values| {
        if name.starts_with("mask_decoder.") {
            values.fill(HUGE);
        }
    });
    let sam = sam.sam(Limits::default()).unwrap();
    let embedding = sam.encode(&picture(&pixels), &NONE).unwrap();
    let mut prediction = Prediction::default();
    let click = [Point::foreground(45.0, 35.0)];
    let result =
        sam.predict(&embedding, &[Prompt::points(&click)], &PredictOptions::default(), &mut prediction);
    refused(result, "prompt 0: ");
    assert_eq!(prediction.prompts(), 0);
    let everything =
        sam.everything(&picture(&pixels), &AutomaticOptions::default(), &NONE, &mut |_| panic!("a mask"));
    refused(everything.map(|_| ()), "prompt 0: ");
}

/// A SAM 2 whose memory attention overflows: everything works but following an object to a second frame.
#[test]
fn a_step_that_is_refused_leaves_the_tracker_as_it_was() {
    let pixels = pixels();
    let image = picture(&pixels);
    let demo = Demo::changed("sam2-nano", |name, values| {
        if name.starts_with("memory_attention.layers.0.mlp")
            || name.starts_with("memory_attention.layers.0.linear")
        {
            values.fill(HUGE);
        }
    });
    let click = [Point::foreground(45.0, 35.0)];
    let mut tracker =
        Tracker::new(demo.sam(Limits::default()).unwrap(), [96, 64], &TrackerOptions::default()).unwrap();
    tracker.push(&image, &NONE).unwrap();
    tracker.add_prompt(0, 1, &Prompt::points(&click), &PromptOptions::default(), &NONE).unwrap();
    tracker.step(&NONE).unwrap();
    tracker.push(&image, &NONE).unwrap();
    let before = tracker.save().unwrap();
    refused(tracker.step(&NONE), "of an object");
    assert!(tracker.save().unwrap() == before, "the tracker has changed");

    // Where it is allowed, an object without a score is not on the frame, and what was saved is refused by others.
    let mut tracker = Tracker::restore(demo.sam(lenient()).unwrap(), &before).unwrap();
    tracker.step(&NONE).unwrap();
    assert!(tracker.object_score(1, None).unwrap().is_nan());
    assert_eq!(tracker.rle(1, None, 0.0).unwrap().area(), 0);
    refused(
        Tracker::restore(demo.sam(Limits::default()).unwrap(), &tracker.save().unwrap()),
        "saved tracker",
    );
}
