//! Bad calls of SAM get a clear error, and the model works afterwards as before.
#![cfg(feature = "parallel")]

mod common;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use vitrum::ErrorCode;
use vitrum::exec::{Cx, CxOptions, Monitor};
use vitrum::image::{ImageView, PixelFormat};
use vitrum::pipelines::sam::{Embedding, Point, PredictOptions, Prediction, Prompt, Sam, SamOptions};
use vitrum::weights::{Bundle, OpenOptions};

fn load(options: &SamOptions) -> vitrum::Result<Sam> {
    let path = common::path("sam_predictor/model.safetensors");
    let bundle = Bundle::open(&path, OpenOptions::default()).unwrap();
    Sam::load(&Cx::new(&CxOptions::default()).unwrap(), &bundle, options)
}

fn encode(sam: &Sam) -> Embedding {
    let pixels: Vec<u8> = (0..50 * 40 * 3).map(|i| (i * 37 % 251) as u8).collect();
    let image = ImageView::packed(&pixels, 50, 40, PixelFormat::Rgb8).unwrap();
    sam.encode(&image, &Monitor::none()).unwrap()
}

/// The scores of a click, to see that nothing has changed.
fn scores(sam: &Sam, embedding: &Embedding) -> Vec<f32> {
    let mut prediction = Prediction::default();
    let click = [Point::foreground(20.0, 20.0)];
    sam.predict(embedding, &[Prompt::points(&click)], &PredictOptions::default(), &mut prediction).unwrap();
    prediction.iou(0).to_vec()
}

#[test]
fn bad_prompts() {
    let sam = load(&SamOptions::default()).unwrap();
    let embedding = encode(&sam);
    let before = scores(&sam, &embedding);
    let mut prediction = Prediction::default();
    let mut code = |prompts: &[Prompt<'_>]| {
        let error =
            sam.predict(&embedding, prompts, &PredictOptions::default(), &mut prediction).unwrap_err();
        assert!(prompts.len() < 2 || error.message().contains("prompt 1"), "{error}");
        error.code()
    };
    let good = Prompt::default();
    assert_eq!(code(&[]), ErrorCode::InvalidArgument);
    for x in [f32::NAN, f32::INFINITY, 1e30] {
        let points = [Point::background(3.0, x)];
        assert_eq!(code(&[good, Prompt::points(&points)]), ErrorCode::InvalidArgument);
        assert_eq!(code(&[good, Prompt::bounding_box([0.0, 0.0, x, 9.0])]), ErrorCode::InvalidArgument);
    }
    assert_eq!(code(&[good, Prompt::bounding_box([9.0, 0.0, 1.0, 9.0])]), ErrorCode::InvalidArgument);
    assert_eq!(code(&[good, good.with_mask(&[0.0; 47 * 48])]), ErrorCode::InvalidArgument);
    assert_eq!(code(&[good, good.with_mask(&[f32::NAN; 48 * 48])]), ErrorCode::InvalidArgument);
    assert_eq!(scores(&sam, &embedding), before);
}

#[test]
fn bad_outputs_of_a_prediction() {
    let sam = load(&SamOptions::default()).unwrap();
    let embedding = encode(&sam);
    let mut prediction = Prediction::default();
    let mut mask = vec![7; 50 * 40];
    let code = |result: vitrum::Result<()>| result.unwrap_err().code();
    // Nothing is predicted yet.
    assert_eq!(code(prediction.mask_into(sam.cx(), 0, 0, 0.0, &mut mask)), ErrorCode::InvalidArgument);
    let single = PredictOptions { multimask: false };
    sam.predict(&embedding, &[Prompt::default()], &single, &mut prediction).unwrap();
    assert_eq!(code(prediction.mask_into(sam.cx(), 0, 1, 0.0, &mut mask)), ErrorCode::InvalidArgument);
    assert_eq!(code(prediction.mask_into(sam.cx(), 1, 0, 0.0, &mut mask)), ErrorCode::InvalidArgument);
    assert_eq!(code(prediction.mask_into(sam.cx(), 0, 0, f32::NAN, &mut mask)), ErrorCode::InvalidArgument);
    assert_eq!(code(prediction.mask_into(sam.cx(), 0, 0, 0.0, &mut mask[1..])), ErrorCode::BufferTooSmall);
    let mut logits = vec![0.0; 50 * 40 - 1];
    assert_eq!(code(prediction.logits_into(sam.cx(), 0, 0, &mut logits)), ErrorCode::BufferTooSmall);
    assert!(mask.iter().all(|&value| value == 7));
    prediction.mask_into(sam.cx(), 0, 0, 0.0, &mut mask).unwrap();
    assert!(mask.iter().all(|&value| value < 2));
}

#[test]
fn a_narrow_picture() {
    let sam = load(&SamOptions::default()).unwrap();
    let pixels = [0; 400];
    let image = ImageView::packed(&pixels, 400, 1, PixelFormat::Gray8).unwrap();
    assert_eq!(sam.encode(&image, &Monitor::none()).unwrap_err().code(), ErrorCode::Image);
    assert_eq!(scores(&sam, &encode(&sam)).len(), 3);
}

#[test]
fn cancelled_at_every_step() {
    let sam = load(&SamOptions::default()).unwrap();
    let pixels = [99; 50 * 40];
    let image = ImageView::packed(&pixels, 50, 40, PixelFormat::Gray8).unwrap();
    let expected = scores(&sam, &sam.encode(&image, &Monitor::none()).unwrap());
    let steps = AtomicUsize::new(0);
    let count = |_: f32| {
        steps.fetch_add(1, Ordering::Relaxed);
        ControlFlow::Continue(())
    };
    sam.encode(&image, &Monitor::new(&count)).unwrap();
    let steps = steps.into_inner();
    assert!(steps >= sam_blocks(&sam), "{steps} steps");
    for last in 0..steps {
        let left = AtomicUsize::new(last);
        let stop =
            |_: f32| match left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)) {
                Ok(_) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            };
        let error = sam.encode(&image, &Monitor::new(&stop)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Cancelled, "after {last} of {steps}");
    }
    assert_eq!(scores(&sam, &sam.encode(&image, &Monitor::none()).unwrap()), expected);
}

fn sam_blocks(sam: &Sam) -> usize {
    match &sam.config().encoder {
        vitrum::models::sam::EncoderConfig::Vit(vit) => vit.blocks.len(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn embeddings_of_others() {
    let sam = load(&SamOptions::default()).unwrap();
    let smaller = load(&SamOptions { image_size: Some(64) }).unwrap();
    let embedding = encode(&sam);
    let before = scores(&sam, &embedding);
    let saved = embedding.save();
    // Another input size, another model, another file.
    assert_eq!(smaller.restore(&saved).unwrap_err().code(), ErrorCode::InvalidArgument);
    let mut prediction = Prediction::default();
    let predict =
        smaller.predict(&embedding, &[Prompt::default()], &PredictOptions::default(), &mut prediction);
    assert_eq!(predict.unwrap_err().code(), ErrorCode::InvalidArgument);
    let mut other_model = saved.clone();
    other_model[16] ^= 1;
    reseal(&mut other_model);
    assert_eq!(sam.restore(&other_model).unwrap_err().code(), ErrorCode::InvalidArgument);
    // A picture that cannot be: an empty one, and one of another shape than it was resized to.
    for (field, value) in [(24, 0u32), (24, u32::MAX), (28, 1)] {
        let mut impossible = saved.clone();
        impossible[field..field + 4].copy_from_slice(&value.to_le_bytes());
        reseal(&mut impossible);
        assert_eq!(sam.restore(&impossible).unwrap_err().code(), ErrorCode::Format, "{field} {value}");
    }
    // Values that contradict the model.
    let mut short = saved[..saved.len() - 12].to_vec();
    let count = u64::from_le_bytes(saved[40..48].try_into().unwrap()) - 3;
    short[40..48].copy_from_slice(&count.to_le_bytes());
    short.extend_from_slice(&[0; 8]);
    short.truncate(48 + 4 * count as usize + 8);
    reseal(&mut short);
    assert_eq!(sam.restore(&short).unwrap_err().code(), ErrorCode::Format);
    assert_eq!(sam.restore(b"").unwrap_err().code(), ErrorCode::Format);
    assert_eq!(scores(&sam, &sam.restore(&saved).unwrap()), before);
}

/// Puts the right checksum behind changed bytes.
fn reseal(bytes: &mut [u8]) {
    let at = bytes.len() - 8;
    let mut hash = vitrum::weights::Fnv64::default();
    hash.write(&bytes[..at]);
    bytes[at..].copy_from_slice(&hash.finish().to_le_bytes());
}

#[test]
fn impossible_input_sizes() {
    for image_size in [0, 100, 1 << 20] {
        let error = load(&SamOptions { image_size: Some(image_size) }).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument, "{image_size}");
    }
    assert_eq!(load(&SamOptions { image_size: Some(64) }).unwrap().config().mask_side(), 32);
}
