//! Masks of everything in a picture: `SamAutomaticMaskGenerator`.
//!
//! The picture, and crops of it if asked for, are clicked in a regular grid of points. Each click gives three masks;
//! those stay that the model trusts, that hardly change with the threshold, that the crop's edge does not cut, and
//! whose box no better mask has. Records, their order and their boxes are the reference's.
//!
//! Masks become run lengths as soon as they pass the filters, so that memory is bounded by the logits of one batch of
//! points and by the masks that pass.

mod crops;
mod options;
mod selection;

use alloc::vec::Vec;
use core::ops::ControlFlow;

use self::crops::Crop;
pub use self::options::AutomaticOptions;
use self::selection::{Candidate, Selection};
use super::{Embedding, Point, PredictOptions, Prediction, Prompt, Sam};
use crate::error::{Result, err};
use crate::exec::{Monitor, Workspace};
use crate::image::ImageView;
use crate::kernels::resize::upscale::Upscale;
use crate::pipelines::mask::{BitMask, Rle, stability_score};
use crate::simd::Level;

/// Logit above which a pixel belongs to a mask.
const MASK_THRESHOLD: f64 = 0.0;

/// The part of a crop's progress that its encoding is.
const ENCODED: f32 = 0.25;

/// A mask of the picture, with the reference's fields.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MaskRecord {
    /// The mask.
    pub segmentation: Rle,
    /// Its pixels.
    pub area: u32,
    /// The box around it: `[x, y, width, height]`. As in the reference, a side is the difference between the last and
    /// the first pixel, one less than [`Rle::bounding_box`] counts.
    pub bounding_box: [u32; 4],
    /// The IoU with the object that the model predicts.
    pub predicted_iou: f32,
    /// The click that gave the mask.
    pub point_coords: [f64; 2],
    /// The [`stability_score`].
    pub stability_score: f32,
    /// The part of the picture in which the mask was found: `[x, y, width, height]`.
    pub crop_box: [u32; 4],
}

impl Sam {
    /// Segments everything in a picture and calls `emit` with each mask; `emit` may stop the work.
    ///
    /// Masks come in the reference's order, each as soon as it is final. Any click of a crop may give a better mask of the
    /// same thing, so the masks of a crop are final when all its clicks are done. Smaller crops come first, and their
    /// masks win over those of larger ones; the whole picture comes last. Masks from which small regions were removed lose
    /// against all others and come at the end.
    ///
    /// Returns the embedding of the whole picture, for clicks.
    ///
    /// # Errors
    /// `InvalidArgument` or `Limit` for options outside their domain, and for a picture too small for its layers of
    /// crops; `Cancelled` if `monitor` or `emit` stop the work; those of [`encode`](Self::encode) and
    /// [`predict`](Self::predict).
    pub fn everything(
        &self,
        image: &ImageView<'_>,
        options: &AutomaticOptions,
        monitor: &Monitor<'_>,
        emit: &mut dyn FnMut(MaskRecord) -> ControlFlow<()>,
    ) -> Result<Embedding> {
        let grids = options.grids()?;
        let (height, width) = (image.height(), image.width());
        let crops = Crop::all(height, width, options.crop_n_layers, options.crop_overlap_ratio)?;
        let mut emit = |record| match emit(record) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(err!(Cancelled, "cancelled by the caller")),
        };
        let mut generator = Generator::new(self, options);
        let min_area = if self.sam2().is_some() { 0 } else { options.min_mask_region_area };
        let mut selection = Selection::new(options, min_area, height, width);
        let mut whole = None;
        for (i, crop) in crops.iter().enumerate() {
            let part = |i: usize| i as f32 / crops.len() as f32;
            let monitor = monitor.part(part(i), part(i + 1));
            let pixels = image.crop(crop.left, crop.top, crop.width, crop.height)?;
            let embedding = self.encode(&pixels, &monitor.part(0.0, ENCODED))?;
            let clicks: Vec<[f64; 2]> = grids[crop.layer]
                .iter()
                .map(|[x, y]| [x * crop.width as f64, y * crop.height as f64])
                .collect();
            let is_cut = |extent| crop.cuts(extent, height, width);
            let candidates =
                generator.candidates(&embedding, &clicks, is_cut, &monitor.part(ENCODED, 1.0))?;
            selection.add_crop(crop, candidates, &mut emit)?;
            if crop.layer == 0 {
                whole = Some(embedding);
            }
        }
        selection.finish(&mut emit)?;
        whole.ok_or_else(|| err!(InvalidArgument, "no crop is the whole picture"))
    }
}

/// Clicks to candidates, with memory that is reused.
struct Generator<'a> {
    sam: &'a Sam,
    options: &'a AutomaticOptions,
    /// What small regions are removed from logits.
    predict: PredictOptions,
    prediction: Prediction,
    /// Masks that are fed back.
    first: Prediction,
    lanes: Vec<Lane>,
}

/// What one thread needs to look at a mask.
#[derive(Default)]
struct Lane {
    bits: BitMask,
    workspace: Workspace,
}

/// A mask that the model trusts, to be looked at.
struct Job<'a> {
    logits: &'a [f32],
    predicted_iou: f32,
    point: [f64; 2],
    /// What it turned out to be, if it passes.
    candidate: Option<Candidate>,
}

impl<'a> Generator<'a> {
    fn new(sam: &'a Sam, options: &'a AutomaticOptions) -> Self {
        let lanes = (0..sam.cx().threads()).map(|_| Lane::default()).collect();
        // Of a SAM 2, small regions go at the decoder's resolution.
        let area = if sam.sam2().is_some() { options.min_mask_region_area } else { 0 };
        let predict =
            PredictOptions { max_hole_area: area, max_sprinkle_area: area, ..PredictOptions::default() };
        Self { sam, options, predict, prediction: Prediction::default(), first: Prediction::default(), lanes }
    }

    /// The masks of all clicks that pass the filters, in the order of the clicks.
    fn candidates(
        &mut self,
        embedding: &Embedding,
        clicks: &[[f64; 2]],
        is_cut: impl Fn([u32; 4]) -> bool + Sync,
        monitor: &Monitor<'_>,
    ) -> Result<Vec<Candidate>> {
        let (width, height) = embedding.image_size();
        for lane in &mut self.lanes {
            lane.bits.reset(width, height)?;
            lane.workspace.reserve(embedding.upscale.lane_scratch_req())?;
        }
        let mut candidates = Vec::new();
        let batches = clicks.chunks(self.options.points_per_batch);
        let total = batches.len();
        for (done, clicks) in batches.enumerate() {
            monitor.report(done, total)?;
            let points: Vec<[Point; 1]> =
                clicks.iter().map(|&[x, y]| [Point::foreground(x as f32, y as f32)]).collect();
            let prompts: Vec<Prompt<'_>> = points.iter().map(|point| Prompt::points(point)).collect();
            if self.options.use_m2m {
                self.refine(embedding, &prompts, clicks, &is_cut, &mut candidates)?;
            } else {
                let predict = PredictOptions { multimask: self.options.multimask_output, ..self.predict };
                self.ask(embedding, &prompts, &predict, clicks, &is_cut, &mut candidates)?;
            }
        }
        monitor.report(total, total)?;
        Ok(candidates)
    }

    /// Appends the masks of `prompts`, each with one of `clicks`, that pass the filters.
    fn ask(
        &mut self,
        embedding: &Embedding,
        prompts: &[Prompt<'_>],
        options: &PredictOptions,
        clicks: &[[f64; 2]],
        is_cut: &(impl Fn([u32; 4]) -> bool + Sync),
        candidates: &mut Vec<Candidate>,
    ) -> Result<()> {
        let least_iou = self.options.least_iou();
        let sam = self.sam;
        let count = sam.predict_above(embedding, prompts, options, least_iou, &mut self.prediction)?;
        self.prediction.finish_shown(count, options, least_iou);
        self.look(&embedding.upscale, clicks, is_cut, candidates);
        Ok(())
    }

    /// The same, after each mask was fed back once with its point (`refine_with_m2m`).
    fn refine(
        &mut self,
        embedding: &Embedding,
        prompts: &[Prompt<'_>],
        clicks: &[[f64; 2]],
        is_cut: &(impl Fn([u32; 4]) -> bool + Sync),
        candidates: &mut Vec<Candidate>,
    ) -> Result<()> {
        let options =
            PredictOptions { multimask: self.options.multimask_output, ..PredictOptions::default() };
        let mut first = core::mem::take(&mut self.first);
        self.sam.predict(embedding, prompts, &options, &mut first)?;
        let masks = first.masks();
        let all: Vec<(usize, usize)> =
            (0..prompts.len()).flat_map(|prompt| (0..masks).map(move |mask| (prompt, mask))).collect();
        for part in all.chunks(self.options.points_per_batch) {
            let fed_back: Vec<Prompt<'_>> = part
                .iter()
                .map(|&(prompt, mask)| prompts[prompt].with_mask(first.low_res(prompt, mask)))
                .collect();
            let clicks: Vec<[f64; 2]> = part.iter().map(|&(prompt, _)| clicks[prompt]).collect();
            let options = PredictOptions { multimask: false, ..self.predict };
            self.ask(embedding, &fed_back, &options, &clicks, is_cut, candidates)?;
        }
        self.first = first;
        Ok(())
    }

    /// Appends the masks of the prediction that pass the filters.
    fn look(
        &mut self,
        upscale: &Upscale,
        clicks: &[[f64; 2]],
        is_cut: &(impl Fn([u32; 4]) -> bool + Sync),
        candidates: &mut Vec<Candidate>,
    ) {
        let Self { sam, options, prediction, lanes, .. } = self;
        let is_trusted = |iou: f32| options.pred_iou_thresh <= 0.0 || iou > options.pred_iou_thresh as f32;
        let mut jobs = Vec::new();
        for (prompt, &point) in clicks.iter().enumerate() {
            for (mask, &predicted_iou) in prediction.iou(prompt).iter().enumerate() {
                if is_trusted(predicted_iou) {
                    let logits = prediction.shown(prompt, mask);
                    jobs.push(Job { logits, predicted_iou, point, candidate: None });
                }
            }
        }
        let cx = sam.cx();
        cx.enter(|| {
            cx.for_each(lanes, &mut jobs, |lane, job| {
                job.candidate = lane.look(cx.level(), upscale, options, job, is_cut);
            });
        });
        candidates.extend(jobs.into_iter().filter_map(|job| job.candidate));
    }
}

impl Lane {
    /// The mask of `job`, if it is stable and not cut off.
    fn look(
        &mut self,
        level: Level,
        upscale: &Upscale,
        options: &AutomaticOptions,
        job: &Job<'_>,
        is_cut: &impl Fn([u32; 4]) -> bool,
    ) -> Option<Candidate> {
        let offset = options.stability_score_offset;
        let thresholds = [MASK_THRESHOLD, MASK_THRESHOLD + offset, MASK_THRESHOLD - offset];
        let thresholds = thresholds.map(|threshold| threshold as f32);
        let scratch = self.workspace.scratch();
        let [_, higher, lower] =
            upscale.bits_serial(level, job.logits, thresholds, self.bits.words_mut(), scratch);
        let stability_score = stability_score(higher, lower);
        let is_stable =
            options.stability_score_thresh <= 0.0 || stability_score >= options.stability_score_thresh as f32;
        if !is_stable {
            return None;
        }
        let extent = self.bits.extent();
        (!is_cut(extent)).then(|| Candidate {
            segmentation: self.bits.to_rle(),
            extent,
            predicted_iou: job.predicted_iou,
            stability_score,
            point: job.point,
        })
    }
}
