//! SAM as applications use it: a picture is encoded once, then every click, box or mask costs little.
//!
//! ```no_run
//! # #[cfg(feature = "std")] fn main() -> vitrum::Result<()> {
//! use vitrum::{Bundle, Context, ContextOptions, ImageView, Monitor, OpenOptions, PixelFormat};
//! use vitrum::{Point, PredictOptions, Prediction, Prompt, Sam, SamOptions};
//!
//! let cx = Context::new(&ContextOptions::default())?;
//! let bundle = Bundle::open("sam-vit-base".as_ref(), OpenOptions::default())?;
//! let sam = Sam::load(&cx, &bundle, &SamOptions::default())?;
//! # let (pixels, width, height) = (vec![0; 3], 1, 1);
//! let image = ImageView::packed(&pixels, width, height, PixelFormat::Rgb8)?;
//! let embedding = sam.encode(&image, &Monitor::none())?;
//!
//! let mut prediction = Prediction::default();
//! let click = [Point::foreground(320.0, 200.0)];
//! sam.predict(&embedding, &[Prompt::points(&click)], &PredictOptions::default(), &mut prediction)?;
//! let mut mask = vec![0; width * height];
//! prediction.mask_into(0, prediction.best(0), 0.0, &mut mask)?;
//! # Ok(()) }
//! # #[cfg(not(feature = "std"))] fn main() {}
//! ```

mod automatic;
mod embedding;
mod model;
mod prediction;
mod text;

pub use crate::models::sam::{Label, Point, Prompt};
pub use automatic::{AutomaticOptions, MaskRecord};
pub use embedding::{Embedding, Geometry};
pub use model::Model;
pub use prediction::Prediction;
pub use text::{Match, TEXT_TEMPLATE, TextPrompt};

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use self::embedding::Saved;
use super::mask::{Regions, replace_small_regions};
use super::preprocess::Preprocess;
use crate::error::{Result, err};
use crate::exec::{Cx, Monitor, ScratchReq};
use crate::image::{ImageView, PixelFormat};
use crate::kernels::finite;
use crate::kernels::gemm::{Packing, WeightFormat};
use crate::models::sam::Predictor;
use crate::models::sam2::{FrameFeatures, Sam2Model};
use crate::nn::Trace;
use crate::setters::setters;
use crate::simd::Level;
use crate::weights::{Bundle, Review};

/// How to load a [`Sam`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SamOptions {
    /// Side of the model's input in pixels, a multiple of its patch size; `None` for the checkpoint's own. A smaller
    /// input is faster and shows less detail; position embeddings are interpolated.
    pub image_size: Option<usize>,
    /// Loads a model with tensors or settings that are not understood, which is otherwise an error. Its results may
    /// differ from those of its maker's program; [`Sam::warnings`] says why.
    pub lenient: bool,
    /// What the weights of the image encoder are kept as, and the arithmetic that goes with it; `None` for what
    /// [`Bundle::weight_format`] says. Its tables, norms, patch embedding and neck are f32 in every format, and so are prompt
    /// encoder, mask decoder and memory.
    pub weights: Option<WeightFormat>,
}

impl SamOptions {
    setters! {
        with_image_size(image_size: impl Into<Option<usize>>),
        with_lenient(lenient: bool),
        with_weights(weights: impl Into<Option<WeightFormat>>),
    }
}

/// How [`Sam::predict`] answers prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PredictOptions {
    /// Three masks for each prompt, the default, for prompts that may mean a part, an object or a group of objects,
    /// such as a single click; otherwise one. SAM 2 replaces a single mask that is not stable by the best of three.
    pub multimask: bool,
    /// Holes of at most this area are filled; 0 leaves them. Areas are counted in logits of the low-resolution mask.
    /// The [`low_res`](Prediction::low_res) logits of a SAM 2 keep their holes.
    pub max_hole_area: u32,
    /// Islands of at most this area are removed, after holes were filled; 0 leaves them.
    pub max_sprinkle_area: u32,
}

impl Default for PredictOptions {
    fn default() -> Self {
        Self { multimask: true, max_hole_area: 0, max_sprinkle_area: 0 }
    }
}

impl PredictOptions {
    setters! {
        with_multimask(multimask: bool),
        with_max_hole_area(max_hole_area: u32),
        with_max_sprinkle_area(max_sprinkle_area: u32),
    }

    /// Fills and removes small regions of logits of `side × side` (`SAM2Transforms.postprocess_masks`).
    fn clean(&self, logits: &mut [f32], side: usize) -> Result<()> {
        for (regions, max_area, value) in [
            (Regions::Holes, self.max_hole_area, REPLACED),
            (Regions::Islands, self.max_sprinkle_area, -REPLACED),
        ] {
            if max_area > 0 {
                replace_small_regions(logits, side, regions, 0.0, max_area, value)?;
            }
        }
        Ok(())
    }

    fn cleans(&self) -> bool {
        self.max_hole_area > 0 || self.max_sprinkle_area > 0
    }
}

/// The logit of what was a hole.
const REPLACED: f32 = 10.0;

/// The part of the progress of encoding a picture that the image encoder is.
const ENCODER: f32 = 0.98;

/// A SAM or SAM 2 with its preprocessing. Immutable; share it between threads as you like.
#[derive(Debug)]
pub struct Sam {
    cx: Cx,
    model: Model,
    preprocess: Preprocess,
    video_preprocess: Preprocess,
    fingerprint: u64,
    warnings: Vec<String>,
}

/// Tells embeddings of one format from those of another; of f32 it is nothing, so that those of earlier versions are known.
fn salt(format: WeightFormat) -> u64 {
    match format {
        WeightFormat::F32 => 0,
        _ => format.name().bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        }),
    }
}

/// Side files that no SAM uses.
const QUIET_FILES: [&str; 2] = ["preprocessor_config.json", "video_preprocessor_config.json"];

impl Sam {
    /// Loads a checkpoint, and the preprocessing beside it if there is any.
    ///
    /// The bundle is only needed during the call: weights are packed for the context's instruction set.
    ///
    /// # Errors
    /// Those of [`SamModel::bind`](crate::models::sam::SamModel::bind) or [`Sam2Model::bind`], and of
    /// [`Preprocess::sam_from_config`] or [`Preprocess::sam2_from_config`]; `Limit` beyond the context's
    /// [limits](crate::Limits), `NonFinite` for weights that are not finite, `Unsupported` for tensors, settings and files
    /// that change the result and are not understood.
    pub fn load(cx: &Cx, bundle: &Bundle<'_>, options: &SamOptions) -> Result<Self> {
        Self::load_monitored(cx, bundle, options, &Monitor::none())
    }

    /// [`load`](Self::load), reporting to `monitor` how much of the weights is read.
    ///
    /// # Errors
    /// As [`load`](Self::load), and `Cancelled`.
    pub fn load_monitored(
        cx: &Cx,
        bundle: &Bundle<'_>,
        options: &SamOptions,
        monitor: &Monitor<'_>,
    ) -> Result<Self> {
        cx.limits().check_weights(bundle.archive().f32_bytes())?;
        let mut review = Review::new(options.lenient).with_limits(*cx.limits());
        let format = options.weights.map_or_else(|| bundle.weight_format(), Ok)?;
        let packing = Packing::new(cx, format);
        monitor.run(|monitor| {
            let model = Model::bind(bundle, packing, options.image_size, &mut review, monitor)?;
            let [preprocess, video_preprocess] = model.preprocess(bundle, &mut review)?;
            let fingerprint = bundle.archive().fingerprint_monitored(monitor)? ^ salt(format);
            review.files(bundle, &QUIET_FILES)?;
            review.finite(bundle.archive())?;
            let warnings = review.into_warnings();
            Ok(Self { cx: cx.clone(), model, preprocess, video_preprocess, fingerprint, warnings })
        })
    }

    /// Warnings from loading: what was assumed, and which parts of the files are not used.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Side of the model's square input, in pixels.
    pub fn image_size(&self) -> usize {
        self.model.image_size()
    }

    /// Side of the low-resolution masks that predictions hold and that a prompt may hold.
    pub fn mask_side(&self) -> usize {
        self.model.mask_side()
    }

    /// Which model this is.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The encoders and the decoder.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The model, if it is a SAM 2.
    pub fn sam2(&self) -> Option<&Sam2Model> {
        match &self.model {
            Model::Sam(_) => None,
            Model::Sam2(sam2) => Some(sam2),
        }
    }

    /// The preprocessing of frames of a video, which in Meta's SAM 2 differs from that of pictures.
    pub fn video_preprocess(&self) -> &Preprocess {
        &self.video_preprocess
    }

    /// The context that the model computes with.
    pub fn cx(&self) -> &Cx {
        &self.cx
    }

    /// Bytes of weights held.
    pub fn memory_bytes(&self) -> usize {
        self.model.bytes()
    }

    /// Bytes of scratch memory that [`encode`](Self::encode) takes, kept by the context for the next call.
    pub fn encode_scratch_bytes(&self) -> usize {
        let encoder = self.model.encode_scratch_req(&self.cx);
        let cache = self.model.mask_decoder().cache_scratch_req(&self.cx);
        ScratchReq::slice(self.input_len()).and(encoder.or(cache)).len() * size_of::<f32>()
    }

    /// Encodes a picture, reporting to `monitor` after every block of the encoder.
    ///
    /// # Errors
    /// `Image` if the picture is so narrow that a side would be resized to nothing, `Limit` beyond the context's
    /// [limits](crate::Limits), `NonFinite`, `OutOfMemory`, `Cancelled`.
    pub fn encode(&self, image: &ImageView<'_>, monitor: &Monitor<'_>) -> Result<Embedding> {
        self.cx.limits().check_pixels(image.width(), image.height())?;
        let (height, width) = self.preprocess.resized(image.height(), image.width())?;
        let geometry = Geometry {
            original: [image.height(), image.width()],
            resized: [height, width],
            input: self.image_size(),
        };
        let mut features = FrameFeatures::zeroed(self.model.features_lens())?;
        let mut pixels = self.cx.workspace(ScratchReq::slice(self.input_len()))?;
        let mut workspace = self.cx.workspace(self.model.encode_scratch_req(&self.cx))?;
        monitor.run(|monitor| {
            self.cx.watched(&monitor.part(0.0, ENCODER), |cx, monitor| {
                let pixels = pixels.scratch().take(self.input_len());
                self.preprocess.run(cx, image, pixels)?;
                self.model.encode(cx, pixels, &mut features, workspace.scratch(), monitor)
            })?;
            let picture = embedding::fingerprint(image, monitor)?;
            self.embedding(geometry, Some(picture), features, &monitor.part(ENCODER, 1.0))
        })
    }

    /// Predicts masks for each of `prompts`, independently of the others, into `out`. If `out` held as many masks
    /// before, nothing is allocated.
    ///
    /// # Errors
    /// `InvalidArgument` for no prompt, or an embedding of another model, input size or instruction set; those of
    /// [`Prompt::check`], with the number of the prompt; `Limit` beyond the context's [limits](crate::Limits), `NonFinite`, `OutOfMemory`. `out` then holds no masks.
    pub fn predict(
        &self,
        embedding: &Embedding,
        prompts: &[Prompt<'_>],
        options: &PredictOptions,
        out: &mut Prediction,
    ) -> Result<()> {
        self.predict_monitored(embedding, prompts, options, out, &Monitor::none())
    }

    /// [`predict`](Self::predict), reporting to `monitor` after every few prompts.
    ///
    /// # Errors
    /// As [`predict`](Self::predict), and `Cancelled`.
    pub fn predict_monitored(
        &self,
        embedding: &Embedding,
        prompts: &[Prompt<'_>],
        options: &PredictOptions,
        out: &mut Prediction,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let prompts = self.predict_above(embedding, prompts, options, None, out, monitor)?;
        out.finish(prompts, options, self.model.clamps())
    }

    /// [`predict`](Self::predict), without the logits of prompts none of whose masks is expected to have a higher IoU
    /// than `least_iou`, and for masks that are not fed back: these are in `out` once it is finished.
    fn predict_above(
        &self,
        embedding: &Embedding,
        prompts: &[Prompt<'_>],
        options: &PredictOptions,
        least_iou: Option<f32>,
        out: &mut Prediction,
        monitor: &Monitor<'_>,
    ) -> Result<usize> {
        let side = self.mask_side();
        let predictor = Predictor { least_iou, ..self.model.predictor() };
        let masks = predictor.mask_decoder.masks(options.multimask);
        let (iou, low_res) = out.prepare(&self.cx, embedding, [prompts.len(), masks, side])?;
        if (embedding.fingerprint, embedding.geometry.input) != (self.fingerprint, self.image_size()) {
            return Err(err!(InvalidArgument, "the embedding is another model's"));
        }
        let [made, here] = [embedding.level, self.cx.level()].map(Level::name);
        if made != here {
            let what = "the embedding was made with another instruction set";
            return Err(err!(InvalidArgument, "{what}, {made}, than {here}; saved and restored, it fits"));
        }
        if prompts.is_empty() {
            return Err(err!(InvalidArgument, "no prompts"));
        }
        for (i, prompt) in prompts.iter().enumerate() {
            let limits = self.cx.limits();
            let checked = prompt.check(side).and_then(|()| limits.check_points(prompt.points.len()));
            checked.map_err(|error| error.within(format_args!("prompt {i}")))?;
        }
        let Geometry { original, resized, .. } = embedding.geometry;
        let scale = [1, 0].map(|axis: usize| resized[axis] as f64 / original[axis] as f64);
        let mut workspace = self.cx.workspace(predictor.scratch_req(&self.cx, prompts, options.multimask))?;
        self.cx.watched(monitor, |cx, monitor| {
            let (cache, multimask) = (&embedding.cache, options.multimask);
            let (scratch, trace) = (workspace.scratch(), Trace::of(cx));
            predictor.forward(cx, cache, prompts, scale, multimask, low_res, iou, scratch, trace, monitor)
        })?;
        for (i, (iou, logits)) in iou.chunks(masks).zip(low_res.chunks(masks * side * side)).enumerate() {
            finite::check(&self.cx, iou, format_args!("prompt {i}: the expected IoU"))?;
            // Others were not computed.
            if least_iou.is_none_or(|least| iou.iter().any(|&iou| iou > least)) {
                finite::check(&self.cx, logits, format_args!("prompt {i}: the masks"))?;
            }
        }
        Ok(prompts.len())
    }

    /// Restores an embedding that [`Embedding::save`] wrote. [`Embedding::is_of`] tells whether it was made from a
    /// given picture.
    ///
    /// # Errors
    /// `Format` if `bytes` are not a whole, undamaged embedding, `Unsupported` if a later version of the library
    /// wrote them, `InvalidArgument` if another model or one with another input size made it, `Limit` if its picture is
    /// beyond the context's [limits](crate::Limits), `NonFinite`, `OutOfMemory`.
    pub fn restore(&self, bytes: &[u8]) -> Result<Embedding> {
        let saved = Saved::parse(bytes)?;
        let geometry = saved.geometry;
        let [height, width] = geometry.original;
        if saved.fingerprint != self.fingerprint || geometry.input != self.image_size() {
            return Err(err!(InvalidArgument, "the embedding is another model's"));
        }
        self.cx.limits().check_pixels(width, height)?;
        let resized = ImageView::byte_len(width, height, width, PixelFormat::Gray8)
            .and_then(|_| self.preprocess.resized(height, width))
            .map_err(|error| err!(Format, "saved embedding: {error}"))?;
        let (lens, has_maps) = (self.model.features_lens(), self.model.mask_decoder().maps().is_some());
        if (saved.len(), saved.has_maps) != (lens.iter().sum(), has_maps)
            || geometry.resized != [resized.0, resized.1]
        {
            return Err(err!(Format, "saved embedding contradicts itself"));
        }
        let mut features = FrameFeatures::zeroed(lens)?;
        let features_mut = features.parts_mut().into_iter().flatten();
        features_mut.zip(saved.values()).for_each(|(to, from)| *to = from);
        self.embedding(geometry, saved.picture, features, &Monitor::none())
    }

    /// Adds the decoder's projections of the picture, which hold the high-resolution features.
    fn embedding(
        &self,
        geometry: Geometry,
        picture: Option<u64>,
        features: FrameFeatures,
        monitor: &Monitor<'_>,
    ) -> Result<Embedding> {
        for values in features.parts() {
            finite::check(&self.cx, values, "the embedding")?;
        }
        let cache = self.model.cache(&self.cx, &features, monitor)?;
        let (values, maps) = (features.top, self.model.mask_decoder().maps());
        let upscale = Arc::new(self.model.upscale(geometry.resized, geometry.original)?);
        let (fingerprint, level) = (self.fingerprint, self.cx.level());
        Ok(Embedding { fingerprint, picture, geometry, values, cache, level, maps, upscale })
    }

    /// Values of the model's input.
    fn input_len(&self) -> usize {
        3 * self.image_size() * self.image_size()
    }
}
