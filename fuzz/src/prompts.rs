//! Prompts, and options of the automatic generator.

use std::ops::ControlFlow;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use vitrum::{
    AutomaticOptions, Embedding, ImageView, Label, Monitor, PixelFormat, Point, PredictOptions, Prediction,
    Prompt, Sam,
};

use crate::accepted;
use crate::models::{pixels, sam, sam2};
use crate::source::Source;

const WIDTH: usize = 30;
const HEIGHT: usize = 20;

/// A picture, encoded by each model.
static EMBEDDINGS: LazyLock<[Embedding; 2]> = LazyLock::new(|| {
    let picture = pixels(WIDTH, HEIGHT);
    [sam(), sam2()].map(|sam| sam.encode(&view(&picture), &Monitor::none()).expect("an embedding"))
});

fn view(pixels: &[u8]) -> ImageView<'_> {
    ImageView::packed(pixels, WIDTH, HEIGHT, PixelFormat::Rgb8).expect("a picture")
}

/// A prompt's parts.
struct Parts {
    points: Vec<Point>,
    bounding_box: Option<[f32; 4]>,
    mask: Option<Vec<f32>>,
}

impl Parts {
    fn new(side: usize, source: &mut Source<'_>) -> Self {
        let labels = [Label::Foreground, Label::Background, Label::Padding];
        let most = if source.one_in(16) { 200 } else { 5 };
        let points = (0..source.below(most))
            .map(|_| Point { x: source.float(), y: source.float(), label: source.pick(&labels) })
            .collect();
        let bounding_box = source.one_in(3).then(|| {
            let [x, y, width, height] = std::array::from_fn(|_| source.float());
            if source.one_in(8) { [x, y, width, height] } else { [x, y, x + width.abs(), y + height.abs()] }
        });
        let mask = source.one_in(4).then(|| {
            let len = if source.one_in(8) { source.below(300) } else { side * side };
            (0..len).map(|_| source.float()).collect()
        });
        Self { points, bounding_box, mask }
    }
}

/// Prompts of any kind: an answer is whole and of numbers, and the same for a prompt whatever is beside it.
pub fn predict(data: &[u8]) {
    let mut source = Source::new(data);
    let which = source.below(2);
    let (sam, embedding): (&Sam, _) = ([sam(), sam2()][which], &EMBEDDINGS[which]);
    let parts: Vec<Parts> = (0..source.below(4)).map(|_| Parts::new(sam.mask_side(), &mut source)).collect();
    let prompts: Vec<Prompt<'_>> = parts
        .iter()
        .map(|parts| {
            Prompt::points(&parts.points)
                .with_bounding_box(parts.bounding_box)
                .with_mask(parts.mask.as_deref())
        })
        .collect();
    let options = PredictOptions::default()
        .with_multimask(source.one_in(2))
        .with_max_hole_area(source.count(9))
        .with_max_sprinkle_area(source.count(9));
    let mut prediction = Prediction::default();
    if accepted(sam.predict(embedding, &prompts, &options, &mut prediction)).is_none() {
        assert!(prediction.prompts() == 0 || prediction.masks() == 0, "a failed call has left masks");
        return;
    }
    assert_eq!(prediction.prompts(), prompts.len());
    let threshold = source.float();
    for i in 0..prompts.len() {
        assert!(prediction.best(i) < prediction.masks());
        assert!(prediction.iou(i).iter().all(|iou| iou.is_finite()));
        for j in 0..prediction.masks() {
            assert!(prediction.low_res(i, j).iter().all(|logit| logit.is_finite()));
            let Some(mask) = accepted(prediction.rle(i, j, threshold)) else { continue };
            let mut bytes = vec![2; WIDTH * HEIGHT];
            prediction.mask_into(i, j, threshold, &mut bytes).expect("the same mask");
            assert_eq!(bytes.iter().filter(|&&byte| byte == 1).count(), mask.area() as usize);
            accepted(prediction.stability(i, j, threshold, source.float()));
        }
    }
    let alone = source.below(prompts.len());
    let mut single = Prediction::default();
    sam.predict(embedding, &prompts[alone..=alone], &options, &mut single).expect("answered before");
    assert_eq!(single.iou(0), prediction.iou(alone));
}

/// Options of the generator: few points, or so many that they are refused.
pub fn everything(data: &[u8]) {
    let mut source = Source::new(data);
    let sam: &Sam = if source.one_in(2) { sam() } else { sam2() };
    let points = |source: &mut Source<'_>, usual: usize| match source.below(16) {
        15 => source.pick(&[0, 1025, 1 << 20, usize::MAX, usize::MAX / 2 + 1]),
        _ => 1 + source.below(usual),
    };
    let options = AutomaticOptions::default()
        .with_points_per_side(points(&mut source, 3))
        .with_points_per_batch(points(&mut source, 9))
        .with_pred_iou_thresh(source.fraction() / 2.0)
        .with_stability_score_thresh(source.fraction() / 2.0)
        .with_stability_score_offset(source.fraction() * 2.0)
        .with_box_nms_thresh(source.fraction())
        .with_crop_nms_thresh(source.fraction())
        .with_crop_overlap_ratio(source.fraction())
        .with_crop_n_layers(if source.one_in(8) { points(&mut source, 1) } else { 0 })
        .with_crop_n_points_downscale_factor(points(&mut source, 3))
        .with_min_mask_region_area(source.count(20))
        .with_use_m2m(source.one_in(4))
        .with_multimask_output(source.one_in(2));
    let grid = |source: &mut Source<'_>| -> Vec<[f64; 2]> {
        (0..source.below(5)).map(|_| [source.fraction(), source.fraction()]).collect()
    };
    let grids = source.one_in(4).then(|| (0..source.below(3)).map(|_| grid(&mut source)).collect());
    let options = options.with_point_grids(grids);
    let (stop, reports, last) = (source.below(200), AtomicUsize::new(0), AtomicU32::new(0));
    let report = |fraction: f32| {
        let before = f32::from_bits(last.swap(fraction.to_bits(), Ordering::Relaxed));
        assert!((before..=1.0).contains(&fraction), "progress {fraction} after {before}");
        if reports.fetch_add(1, Ordering::Relaxed) >= stop {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let picture = pixels(WIDTH, HEIGHT);
    let monitor = &report;
    let done = sam.everything(&view(&picture), &options, &Monitor::new(monitor), &mut |record| {
        let mask = &record.segmentation;
        assert_eq!((mask.width(), mask.height(), mask.area()), (WIDTH, HEIGHT, record.area));
        assert!(record.predicted_iou.is_finite());
        ControlFlow::Continue(())
    });
    accepted(done);
}
