//! SAM 2 and 2.1 on `truck.png`, `car.png` and the first frames of `bedroom`: values of transformers'
//! `tests/models/sam2/test_modeling_sam2.py`, `tests/models/sam2_video/test_modeling_sam2_video.py` and
//! `convert_sam2_video_to_hf.py`.

use std::path::Path;
use std::sync::Arc;

use vitrum::exec::{Cx, Monitor};
use vitrum::pipelines::sam::{Embedding, Label, Point, PredictOptions, Prediction, Prompt, Sam, SamOptions};
use vitrum::pipelines::tracker::{PromptOptions, Tracker, TrackerOptions};
use vitrum::weights::Bundle;

use super::{Outcome, Picture, Report, near};

/// A truck of the Segment Anything notebooks.
const TRUCK: &str = "truck.png";
/// The car of ybelkada/segment-anything's assets.
const CAR: &str = "car.png";
/// Frames `00000.png` to `00002.png` of the video of the SAM 2 notebooks.
const BEDROOM: &str = "bedroom";
/// Frames of the whole video.
const BEDROOM_FRAMES: u64 = 200;

const fn at(x: f32, y: f32) -> Point {
    Point { x, y, label: Label::Foreground }
}

const fn not_at(x: f32, y: f32) -> Point {
    Point { x, y, label: Label::Background }
}

/// Scores of a click at (1000, 600) of the car, by checkpoint.
const CAR_SCORES: [(&str, [f32; 3]); 8] = [
    ("sam2.1-hiera-tiny", [0.0316, 0.9647, 0.1029]),
    ("sam2.1-hiera-small", [0.9664, 0.1494, 0.0456]),
    ("sam2.1-hiera-base-plus", [0.0361, 0.9775, 0.1307]),
    ("sam2.1-hiera-large", [0.9648, 0.0371, 0.1898]),
    ("sam2-hiera-tiny", [0.0439, 0.9567, 0.1415]),
    ("sam2-hiera-small", [0.9593, 0.1633, 0.0392]),
    ("sam2-hiera-base-plus", [0.0423, 0.9815, 0.0897]),
    ("sam2-hiera-large", [0.9514, 0.0535, 0.1787]),
];

/// What was published of all checkpoints.
pub(crate) fn check(report: &mut Report, cx: &Cx, bundle: &Bundle<'_>) {
    let (_, scores) = CAR_SCORES.into_iter().find(|(name, _)| *name == report.checkpoint).unwrap();
    report.check("a click on car.png", Some(CAR), |path| {
        let sam = load(cx, bundle);
        let mut prediction = Prediction::default();
        predict(&sam, &encode(&sam, path), Prompt::points(&[at(1000.0, 600.0)]), true, &mut prediction);
        near(prediction.iou(0), &scores, 1e-2)
    });
}

/// All that was published of `facebook/sam2.1-hiera-tiny`.
pub(crate) fn check_tiny(report: &mut Report, cx: &Cx, bundle: &Bundle<'_>) {
    check(report, cx, bundle);
    report.check("predictions on truck.png", Some(TRUCK), |path| truck(&load(cx, bundle), path));
    report.check("objects of bedroom", Some(BEDROOM), |path| {
        let sam = Arc::new(load(cx, bundle));
        bedroom(&sam, path)
    });
}

fn load(cx: &Cx, bundle: &Bundle<'_>) -> Sam {
    Sam::load(cx, bundle, &SamOptions::default()).unwrap()
}

fn encode(sam: &Sam, path: &Path) -> Embedding {
    sam.encode(&Picture::read(path).view(), &Monitor::none()).unwrap()
}

fn predict(
    sam: &Sam,
    embedding: &Embedding,
    prompt: Prompt<'_>,
    multimask: bool,
    prediction: &mut Prediction,
) {
    let options = PredictOptions::default().with_multimask(multimask);
    sam.predict(embedding, &[prompt], &options, prediction).unwrap();
}

fn truck(sam: &Sam, path: &Path) -> Outcome {
    const BOUND: f32 = 1e-4;
    /// Of logits: four digits of values up to 42.
    const LOGIT: f32 = 1e-3;
    let embedding = encode(sam, path);
    let mut prediction = Prediction::default();
    let window = at(500.0, 375.0);

    predict(sam, &embedding, Prompt::points(&[window]), true, &mut prediction);
    let mut sorted = prediction.iou(0).to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    near(&sorted, &[0.9547, 0.4932, 0.0427], BOUND)?;
    let best = prediction.low_res(0, prediction.best(0)).to_vec();
    near(&best[..3], &[-24.9288, -41.7466, -31.0128], LOGIT)?;

    for (second, score) in [(at(1125.0, 625.0), 0.9738), (not_at(1125.0, 625.0), 0.9719)] {
        let points = [window, second];
        let prompt = Prompt::points(&points).with_mask(&best[..]);
        predict(sam, &embedding, prompt, false, &mut prediction);
        near(prediction.iou(0), &[score], BOUND)?;
    }

    predict(sam, &embedding, Prompt::points(&[window]), false, &mut prediction);
    near(prediction.iou(0), &[0.9364], BOUND)?;
    near(&prediction.low_res(0, 0)[..3], &[-7.0462, -13.3857, -9.6419], LOGIT)?;

    for (bounding_box, score) in [
        ([75.0, 275.0, 1725.0, 850.0], 0.9904),
        ([425.0, 600.0, 700.0, 875.0], 0.9689),
        ([1375.0, 550.0, 1650.0, 800.0], 0.9770),
        ([1240.0, 675.0, 1400.0, 750.0], 0.9079),
    ] {
        let prompt = Prompt::default().with_points(&[]).with_bounding_box(bounding_box);
        predict(sam, &embedding, prompt, false, &mut prediction);
        near(prediction.iou(0), &[score], BOUND)?;
    }
    Ok(())
}

/// What is asked of the first frame, for one object.
struct Asked {
    points: &'static [Point],
    bounding_box: Option<[f32; 4]>,
}

/// Objects, and for each the logit of the picture's first pixel in three frames.
type Case = (&'static [Asked], &'static [[f32; 3]]);

const LADY: [Point; 2] = [at(210.0, 350.0), at(250.0, 220.0)];
const LADY_BOX: Option<[f32; 4]> = Some([300.0, 0.0, 500.0, 400.0]);

const CASES: [Case; 5] = [
    (&[Asked { points: &[at(210.0, 350.0)], bounding_box: None }], &[[-21.4113, -20.1003, -19.9619]]),
    (&[Asked { points: &LADY, bounding_box: None }], &[[-11.1487, -15.3821, -15.4855]]),
    (&[Asked { points: &[], bounding_box: LADY_BOX }], &[[-13.1427, -14.9998, -15.4558]]),
    (&[Asked { points: &[at(460.0, 60.0)], bounding_box: LADY_BOX }], &[[-12.3525, -15.8181, -15.8900]]),
    (
        &[
            Asked { points: &[at(200.0, 300.0), at(230.0, 250.0), not_at(275.0, 175.0)], bounding_box: None },
            Asked { points: &[at(400.0, 150.0)], bounding_box: None },
        ],
        &[[-12.6294, -18.5249, -14.2722], [-20.3319, -17.5537, -18.3185]],
    ),
];

fn bedroom(sam: &Arc<Sam>, directory: &Path) -> Outcome {
    let frames = [0, 1, 2].map(|i| Picture::read(&directory.join(format!("{i:05}.png"))));
    for (asked, published) in CASES {
        let mut tracker = follow(sam, &frames[0]);
        for (object, asked) in (1..).zip(asked) {
            let prompt = Prompt::default().with_points(asked.points).with_bounding_box(asked.bounding_box);
            tracker.add_prompt(0, object, &prompt, &PromptOptions::default(), &Monitor::none()).unwrap();
        }
        compare(&mut tracker, &frames, published)?;
    }
    // The mask of the two points, as a prompt.
    let mut tracker = follow(sam, &frames[0]);
    tracker.add_prompt(0, 1, &Prompt::points(&LADY), &PromptOptions::default(), &Monitor::none()).unwrap();
    let mut mask = vec![0; frames[0].width * frames[0].height];
    tracker.mask_into(1, None, 0.0, &mut mask).unwrap();
    let mut tracker = follow(sam, &frames[0]);
    let size = [frames[0].height, frames[0].width];
    tracker.add_mask(0, 1, &mask, size, &Monitor::none()).unwrap();
    compare(&mut tracker, &frames, &[[-10.0, -18.4807, -20.0512]])
}

/// A tracker on its first frame.
fn follow(sam: &Arc<Sam>, first: &Picture) -> Tracker {
    let options = TrackerOptions::default().with_num_frames(BEDROOM_FRAMES);
    let mut tracker = Tracker::new(sam.clone(), [first.width, first.height], &options).unwrap();
    tracker.push(&first.view(), &Monitor::none()).unwrap();
    tracker
}

fn compare(tracker: &mut Tracker, frames: &[Picture], published: &[[f32; 3]]) -> Outcome {
    const BOUND: f32 = 1e-3;
    for (i, frame) in frames.iter().enumerate() {
        if i > 0 {
            tracker.push(&frame.view(), &Monitor::none()).unwrap();
        }
        tracker.step(&Monitor::none()).unwrap();
        for (object, published) in (1..).zip(published) {
            let mut logits = vec![0.0; frame.width * frame.height];
            tracker.logits_into(object, None, &mut logits).unwrap();
            near(&logits[..1], &published[i..=i], BOUND)
                .map_err(|difference| format!("frame {i}, object {object}: {difference}"))?;
        }
    }
    Ok(())
}
