//! Objects followed through a video against `SAM2VideoPredictor`, on the small models of `tests/golden/tracker`.
//!
//! Bounds: low-resolution logits max |Δ| ≤ 1e-3 · max |reference| on every frame of every scenario, and masks of
//! IoU ≥ 0.999; see `tests/golden/make_golden.py` for the files.
#![cfg(feature = "parallel")]

use std::ops::ControlFlow;
use std::sync::Arc;

use common::{Golden, path};
use scenario::{HEIGHT, Scenario, Video, WIDTH};
use vitrum::exec::{Cx, CxOptions, Monitor};
use vitrum::pipelines::sam::{Sam, SamOptions};
use vitrum::pipelines::tracker::{Direction, Propagation, Tracker, TrackerOptions};
use vitrum::simd::Level;
use vitrum::weights::{Bundle, OpenOptions};

mod common;
#[path = "common/scenario.rs"]
mod scenario;

fn load(case: &str, level: Level, threads: usize) -> Arc<Sam> {
    let cx = Cx::new(&CxOptions::default().with_threads(threads).with_level(level)).unwrap();
    let bundle = Bundle::open(&path(&format!("tracker/{case}")), OpenOptions::default()).unwrap();
    Arc::new(Sam::load(&cx, &bundle, &SamOptions::default()).unwrap())
}

/// What the reference knows of an object on a frame: every fourth logit in both directions, the largest, all signs.
struct Expected<'a> {
    frame: u64,
    object: u32,
    score: f32,
    logits: &'a [f32],
    largest: f32,
    signs: &'a [f32],
}

fn expected(golden: &Golden) -> Vec<Expected<'_>> {
    let part = |name: &str| {
        let (shape, values) = golden.get(name);
        values.chunks_exact(values.len() / shape[0])
    };
    let [scores, largest] = ["scores", "largest"].map(|name| golden.get(name).1);
    part("frames")
        .zip(part("logits"))
        .zip(part("signs"))
        .zip(scores.iter().zip(largest))
        .map(|(((at, logits), signs), (&score, &largest))| Expected {
            frame: at[0] as u64,
            object: at[1] as u32,
            score,
            logits,
            largest,
            signs,
        })
        .collect()
}

/// Compares results with what is expected of them, in order.
struct Checker<'a> {
    what: String,
    expected: std::slice::Iter<'a, Expected<'a>>,
    largest_score: f32,
    worst: f32,
}

impl<'a> Checker<'a> {
    fn new(what: String, expected: &'a [Expected<'a>]) -> Self {
        let largest_score = expected.iter().fold(0.0f32, |most, result| most.max(result.score.abs()));
        Self { what, expected: expected.iter(), largest_score, worst: 0.0 }
    }

    fn check(&mut self, tracker: &Tracker, frame: u64, object: u32) {
        let expected = self.expected.next().unwrap();
        let at = format!("{}: object {object} on frame {frame}", self.what);
        assert_eq!((frame, object), (expected.frame, expected.object), "{at}");
        let logits = tracker.low_res(object, Some(frame)).unwrap();
        let side = tracker.mask_side();
        let stride = (side * side / expected.logits.len()).isqrt();
        let sampled =
            (0..side).step_by(stride).flat_map(|y| logits[y * side..][..side].iter().step_by(stride));
        for (got, expected_logit) in sampled.zip(expected.logits) {
            let difference = (got - expected_logit).abs() / expected.largest;
            self.worst = self.worst.max(difference);
            assert!(
                difference <= 1e-3,
                "{at}: {got}, expected {expected_logit} of at most {}",
                expected.largest
            );
        }
        let score = tracker.object_score(object, Some(frame)).unwrap();
        assert!((score - expected.score).abs() <= 1e-3 * self.largest_score, "{at}: score {score}");
        let is_set = |pixel: usize| expected.signs[pixel / 8] as u8 >> (7 - pixel % 8) & 1 == 1;
        let [mut both, mut either] = [0, 0];
        for (pixel, &logit) in logits.iter().enumerate() {
            both += usize::from(logit > 0.0 && is_set(pixel));
            either += usize::from(logit > 0.0 || is_set(pixel));
        }
        assert!(both as f64 >= 0.999 * either as f64, "{at}: {both} pixels of {either}");
    }
}

/// Plays a scenario. `options` are its own, changed.
fn play(sam: &Arc<Sam>, scenario: &Scenario, options: &TrackerOptions, checker: &mut Checker<'_>) {
    let mut tracker = Tracker::new(sam.clone(), [WIDTH, HEIGHT], options).unwrap();
    let mut video = Video::default();
    scenario
        .play(&mut tracker, &mut video, &mut |tracker, frame, object| checker.check(tracker, frame, object));
    assert!(checker.expected.next().is_none(), "{}: more was expected", checker.what);
}

/// Every scenario of a case, with all frames held and every memory kept, which is what the reference does.
fn check(case: &str, level: Level, threads: usize, only: &[&str]) {
    let sam = load(case, level, threads);
    for scenario in Scenario::all().iter().filter(|scenario| scenario.cases.iter().any(|of| of == case)) {
        if !only.is_empty() && !only.contains(&&*scenario.name) {
            continue;
        }
        let golden = Golden::read(&format!("tracker/{case}/{}.safetensors", scenario.name));
        let expected = expected(&golden);
        let what = format!("{case}, {}", scenario.name);
        let mut checker = Checker::new(what, &expected);
        play(&sam, scenario, &scenario.options, &mut checker);
        println!("{}: {:.1e} of the largest logit", checker.what, checker.worst);
    }
}

#[test]
fn sam_2_0() {
    check("sam2.0", Level::detect(), 2, &[]);
}

#[test]
fn sam_2_1() {
    check("sam2.1", Level::detect(), 2, &[]);
}

#[test]
fn every_level_follows() {
    for level in Level::available() {
        check("sam2.1", level, 1, &["forward"]);
    }
}

/// A tracker that holds one frame and forgets what is out of reach gives the same bits, for any number of threads.
#[test]
fn flat_memory_changes_nothing_for_a_sweep() {
    let scenarios = Scenario::all();
    let scenario = scenarios.iter().find(|scenario| scenario.name == "forward").unwrap();
    let masks = |threads: usize, options: &TrackerOptions| {
        let sam = load("sam2.1", Level::detect(), threads);
        let mut tracker = Tracker::new(sam, [WIDTH, HEIGHT], options).unwrap();
        let mut masks = Vec::new();
        scenario.play(&mut tracker, &mut Video::default(), &mut |tracker, frame, object| {
            masks.push(tracker.low_res(object, Some(frame)).unwrap().to_vec());
        });
        masks
    };
    let all = masks(1, &scenario.options);
    let live = scenario.options.with_held_frames(1).with_both_directions(false);
    assert!(masks(1, &live) == all);
    assert!(masks(3, &live) == all);
    assert!(masks(2, &live.with_num_frames(None)) == all);
}

/// Going back from the first prompt needs what the way there has left, which `both_directions` keeps.
#[test]
fn both_directions_keep_what_the_way_back_needs() {
    let scenarios = Scenario::all();
    let scenario = scenarios.iter().find(|scenario| scenario.name == "backward").unwrap();
    let sam = load("sam2.1", Level::detect(), 2);
    let golden = Golden::read("tracker/sam2.1/backward.safetensors");
    let expected = expected(&golden);
    let options = scenario.options.with_held_frames(1).with_both_directions(true);
    let mut tracker = Tracker::new(sam, [WIDTH, HEIGHT], &options).unwrap();
    let mut checker = Checker::new("one frame held".into(), &expected);
    // The last two steps of the scenario prompt a frame that is not held any more.
    let first = Scenario { steps: scenario.steps[..4].to_vec(), ..scenario.clone() };
    first.play(&mut tracker, &mut Video::default(), &mut |tracker, frame, object| {
        checker.check(tracker, frame, object);
    });
    assert!(tracker.bytes() <= Tracker::memory_bytes(tracker.sam(), [WIDTH, HEIGHT], &options).unwrap());
}

/// `push`, `step` and `propagate` are the same steps.
#[test]
fn pushed_and_pulled_frames_are_the_same() {
    let sam = load("sam2.1", Level::detect(), 2);
    let options = TrackerOptions::default();
    let new = || Tracker::new(sam.clone(), [WIDTH, HEIGHT], &options).unwrap();
    let (mut pushed, mut pulled) = (new(), new());
    let mut video = Video::default();
    let monitor = Monitor::none();
    for frame in 0..5 {
        assert_eq!(pushed.push(&video.image(frame), &monitor).unwrap(), frame);
        if frame == 0 {
            scenario::click(&mut pushed, frame, 4);
        }
        pushed.step(&monitor).unwrap();
    }
    pulled.push(&video.image(0), &monitor).unwrap();
    scenario::click(&mut pulled, 0, 4);
    let mut seen = Vec::new();
    let four = Propagation::default().with_direction(Direction::Forward).with_max_frames(4);
    pulled
        .propagate(&mut video, &four, &monitor, &mut |tracker, frame| {
            assert_eq!(tracker.frame(), Some(frame));
            seen.push(frame);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(seen, [0, 1, 2, 3, 4]);
    assert!(pushed.save().unwrap() == pulled.save().unwrap());
}
