//! SAM's prompt encoder and mask decoder against `transformers` and `segment-anything`, stage by stage, on the small
//! models of `tests/golden/sam_decoder`.
//!
//! Bound: max |Δ| ≤ 1e-4 · max |reference| for every stage; see `tests/golden/make_golden.py` for the files.
#![cfg(feature = "parallel")]

use std::collections::BTreeSet;

use common::{Golden, path};
use vitrum::exec::{Cx, CxOptions, Workspace};
use vitrum::models::sam::{Label, Point, Predictor, Prompt, SamModel};
use vitrum::nn::Trace;
use vitrum::simd::Level;
use vitrum::weights::{Bundle, OpenOptions, Review};

mod common;

/// The golden file of a model.
fn read(directory: &str) -> Golden {
    Golden::read(&format!("sam_decoder/{directory}/golden.safetensors"))
}

/// The names of the golden file's prompts.
fn prompts(golden: &Golden) -> impl Iterator<Item = &str> {
    golden.with_prefix("").filter_map(|(name, _)| name.strip_suffix(".multimask"))
}

fn prompt<'g>(golden: &'g Golden, name: &str) -> GoldenPrompt<'g> {
    let part = |part: &str| golden.find(&format!("{name}.{part}")).map(|(_, values)| values);
    let places = part("points").unwrap_or_default().as_chunks::<2>().0;
    let labels = part("labels").unwrap_or_default();
    let point =
        |(&[x, y], &label): (&[f32; 2], &f32)| Point { x, y, label: Label::try_from(label as i32).unwrap() };
    GoldenPrompt {
        points: places.iter().zip(labels).map(point).collect(),
        bounding_box: part("box").map(|corners| corners.try_into().unwrap()),
        mask: part("mask"),
        multimask: part("multimask").unwrap()[0] != 0.0,
    }
}

struct GoldenPrompt<'a> {
    points: Vec<Point>,
    bounding_box: Option<[f32; 4]>,
    mask: Option<&'a [f32]>,
    multimask: bool,
}

impl GoldenPrompt<'_> {
    fn view(&self) -> Prompt<'_> {
        Prompt::default().with_points(&self.points).with_bounding_box(self.bounding_box).with_mask(self.mask)
    }
}

/// A model with an image, ready for prompts.
struct Ready {
    cx: Cx,
    model: SamModel,
    cache: Vec<f32>,
}

impl Ready {
    fn new(directory: &str, golden: &Golden, level: Level, threads: usize) -> Self {
        let bundle =
            Bundle::open(&path(&format!("sam_decoder/{directory}")), OpenOptions::default()).unwrap();
        let cx = Cx::new(&CxOptions::default().with_threads(threads).with_level(level)).unwrap();
        let model = SamModel::bind(&bundle, level, None, &mut Review::default()).unwrap();
        let decoder = &model.mask_decoder;
        let mut cache = vec![f32::NAN; decoder.cache_len()];
        let mut workspace = cx.workspace(decoder.cache_scratch_req(&cx)).unwrap();
        decoder.cache(&cx, golden.get("embedding").1, None, &mut cache, workspace.scratch());
        drop(workspace);
        Self { cx, model, cache }
    }

    /// Masks and predicted quality. Places are given in units of `1 / scale` pixels.
    fn predict(
        &self,
        prompts: &[Prompt<'_>],
        scale: [f64; 2],
        multimask: bool,
        trace: Trace<'_>,
    ) -> (Vec<f32>, Vec<f32>) {
        self.predict_above(None, prompts, scale, multimask, trace)
    }

    /// [`predict`](Self::predict); masks that are not computed are NaN.
    fn predict_above(
        &self,
        least_iou: Option<f32>,
        prompts: &[Prompt<'_>],
        scale: [f64; 2],
        multimask: bool,
        trace: Trace<'_>,
    ) -> (Vec<f32>, Vec<f32>) {
        let predictor = Predictor { least_iou, ..self.model.predictor() };
        let count = prompts.len() * self.model.mask_decoder.masks(multimask);
        let side = self.model.config.mask_side();
        let (mut masks, mut iou) = (vec![f32::NAN; count * side * side], vec![f32::NAN; count]);
        // Exactly as much as is asked for, so that a wrong size shows.
        let mut workspace = Workspace::default();
        workspace.reserve(predictor.scratch_req(&self.cx, prompts, multimask)).unwrap();
        predictor.forward(
            &self.cx,
            &self.cache,
            prompts,
            scale,
            multimask,
            &mut masks,
            &mut iou,
            workspace.scratch(),
            trace,
        );
        (masks, iou)
    }
}

/// Every prompt of `directory` at every level, every stage.
fn check(directory: &str) {
    let golden = read(directory);
    for level in Level::available() {
        let ready = Ready::new(directory, &golden, level, 2);
        golden.check("dense_pe", &ready.model.prompt_encoder.dense_pe());
        let mut seen = BTreeSet::new();
        for name in prompts(&golden) {
            let prompt = prompt(&golden, name);
            let mut observer = |stage: std::fmt::Arguments<'_>, values: &[f32]| {
                let stage = format!("{name}.{stage}");
                if golden.find(&stage).is_some() {
                    golden.check(&stage, values);
                    seen.insert(stage);
                }
            };
            let trace = Trace::to(&mut observer);
            ready.predict(&[prompt.view()], [1.0; 2], prompt.multimask, trace);
            let (masks, iou) = ready.predict(&[prompt.view()], [1.0; 2], prompt.multimask, Trace::off());
            golden.check(&format!("{name}.decoder.masks"), &masks);
            golden.check(&format!("{name}.decoder.iou"), &iou);
        }
        let names = golden.with_prefix("").map(|(name, _)| name.to_string());
        let stages = names.filter(|name| name.contains(".decoder.") || name.contains(".prompt."));
        assert_eq!(seen, stages.collect(), "{}: all stages were compared", level.name());
    }
}

#[test]
fn hugging_face_naming() {
    check("huggingface");
}

#[test]
fn original_naming() {
    check("original");
}

/// Bits do not depend on the threads, nor on the other prompts of a call.
#[test]
fn prompts_are_independent() {
    let golden = read("huggingface");
    let prompts: Vec<_> = prompts(&golden).map(|name| prompt(&golden, name)).collect();
    // Neighbours alike and different, more alike than are decoded together.
    let order: Vec<usize> = (0..prompts.len()).flat_map(|i| [i; 3]).chain([0; 9]).collect();
    let views: Vec<Prompt<'_>> = order.iter().map(|&i| prompts[i].view()).collect();
    for level in Level::available() {
        for multimask in [false, true] {
            let single = Ready::new("huggingface", &golden, level, 1);
            let expected: Vec<_> = prompts
                .iter()
                .map(|prompt| single.predict(&[prompt.view()], [1.0; 2], multimask, Trace::off()))
                .collect();
            for threads in [1, 2, 3] {
                let ready = Ready::new("huggingface", &golden, level, threads);
                assert!(ready.cache == single.cache);
                let (masks, iou) = ready.predict(&views, [1.0; 2], multimask, Trace::off());
                let expected_masks: Vec<f32> = order.iter().flat_map(|&i| expected[i].0.clone()).collect();
                let expected_iou: Vec<f32> = order.iter().flat_map(|&i| expected[i].1.clone()).collect();
                assert!(masks == expected_masks, "{} {threads} threads", level.name());
                assert_eq!(iou, expected_iou);
            }
        }
    }
}

/// Places of another picture size are scaled to the input.
#[test]
fn places_are_scaled() {
    let golden = read("huggingface");
    let ready = Ready::new("huggingface", &golden, Level::detect(), 2);
    let mut prompt = prompt(&golden, "point-box");
    for point in &mut prompt.points {
        (point.x, point.y) = (2.0 * point.x, 4.0 * point.y);
    }
    prompt.bounding_box =
        prompt.bounding_box.map(|[x0, y0, x1, y1]| [2.0 * x0, 4.0 * y0, 2.0 * x1, 4.0 * y1]);
    let (masks, _) = ready.predict(&[prompt.view()], [0.5, 0.25], prompt.multimask, Trace::off());
    golden.check("point-box.decoder.masks", &masks);
}

/// Without the masks that nobody wants, the others and the quality are the same.
#[test]
fn masks_of_too_little_quality_are_not_computed() {
    let golden = read("huggingface");
    let prompts: Vec<_> = prompts(&golden).map(|name| prompt(&golden, name)).collect();
    let views: Vec<Prompt<'_>> = prompts.iter().flat_map(|prompt| [prompt.view(); 3]).collect();
    let ready = Ready::new("huggingface", &golden, Level::detect(), 2);
    let (all, expected_iou) = ready.predict(&views, [1.0; 2], true, Trace::off());
    let count = ready.model.mask_decoder.masks(true);
    let best = |iou: &[f32]| iou.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut least: Vec<f32> = expected_iou.chunks(count).map(best).collect();
    least.sort_by(f32::total_cmp);
    for least in [least[0] - 1.0, least[least.len() / 2], least[least.len() - 1]] {
        let (masks, iou) = ready.predict_above(Some(least), &views, [1.0; 2], true, Trace::off());
        assert_eq!(iou, expected_iou);
        let len = all.len() / views.len();
        for ((masks, all), iou) in masks.chunks(len).zip(all.chunks(len)).zip(iou.chunks(count)) {
            match best(iou) > least {
                true => assert!(masks == all),
                false => assert!(masks.iter().all(|logit| logit.is_nan())),
            }
        }
    }
}
