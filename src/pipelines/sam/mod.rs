//! SAM as applications use it: a picture is encoded once, then every click, box or mask costs little.
//!
//! ```no_run
//! # #[cfg(feature = "std")] fn main() -> vitrum::Result<()> {
//! use vitrum::exec::{Cx, CxOptions, Monitor};
//! use vitrum::image::{ImageView, PixelFormat};
//! use vitrum::pipelines::sam::{Point, PredictOptions, Prediction, Prompt, Sam, SamOptions};
//! use vitrum::weights::{Bundle, OpenOptions};
//!
//! let cx = Cx::new(&CxOptions::default())?;
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
//! prediction.mask_into(&cx, 0, prediction.best(0), 0.0, &mut mask)?;
//! # Ok(()) }
//! # #[cfg(not(feature = "std"))] fn main() {}
//! ```

mod automatic;
mod embedding;
mod prediction;
mod text;

pub use crate::models::sam::{Label, Point, Prompt};
pub use automatic::{AutomaticOptions, MaskRecord};
pub use embedding::{Embedding, Geometry};
pub use prediction::Prediction;
pub use text::{Match, TEXT_TEMPLATE, TextPrompt};

use alloc::sync::Arc;
use alloc::vec::Vec;

use self::embedding::Saved;
use super::preprocess::Preprocess;
use crate::error::{Result, err};
use crate::exec::{Cx, Monitor, try_zeroed};
use crate::image::{ImageView, PixelFormat};
use crate::kernels::resize::upscale::Upscale;
use crate::models::sam::{Predictor, SamConfig, SamModel};
use crate::nn::Trace;
use crate::weights::{Bundle, Config};

/// How to load a [`Sam`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SamOptions {
    /// Side of the model's input in pixels, a multiple of its patch size; `None` for the checkpoint's own. A smaller
    /// input is faster and sees less; position embeddings are interpolated.
    pub image_size: Option<usize>,
}

/// What [`Sam::predict`] computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PredictOptions {
    /// Three masks, for prompts that may mean a part, an object or a group of them; otherwise one, for prompts that
    /// leave no doubt.
    pub multimask: bool,
}

impl Default for PredictOptions {
    fn default() -> Self {
        Self { multimask: true }
    }
}

/// A SAM model with its preprocessing. Immutable; share it between threads as you like.
#[derive(Debug)]
pub struct Sam {
    cx: Cx,
    model: SamModel,
    preprocess: Preprocess,
    fingerprint: u64,
}

impl Sam {
    /// Loads a checkpoint, and the preprocessing beside it if there is any.
    ///
    /// The bundle is only needed during the call: weights are converted to f32 and packed for the context's
    /// instruction set.
    ///
    /// # Errors
    /// Those of [`SamModel::bind`] and [`Preprocess::sam_from_config`].
    pub fn load(cx: &Cx, bundle: &Bundle<'_>, options: &SamOptions) -> Result<Self> {
        let model = SamModel::bind(bundle, cx.level(), options.image_size)?;
        let name = "preprocessor_config.json";
        let preprocess = match bundle.file(name)? {
            Some(text) => Preprocess::sam_from_config(&Config::parse(name, &text)?, model.config.image_size)?,
            None => Preprocess::sam(model.config.image_size)?,
        };
        let fingerprint = bundle.archive().fingerprint()?;
        Ok(Self { cx: cx.clone(), model, preprocess, fingerprint })
    }

    /// The model's sizes.
    pub fn config(&self) -> &SamConfig {
        &self.model.config
    }

    /// Which model this is.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Side of the model's input, in pixels.
    pub(crate) fn input_size(&self) -> usize {
        self.model.config.image_size
    }

    /// The encoders and the decoder.
    pub fn model(&self) -> &SamModel {
        &self.model
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
        let encoder = self.model.image_encoder.scratch_len(&self.cx);
        let cache = self.model.mask_decoder.cache_scratch_len(&self.cx);
        (self.input_len() + encoder.max(cache)) * size_of::<f32>()
    }

    /// Encodes a picture. `monitor` hears of every block of the encoder, and may stop the work there.
    ///
    /// # Errors
    /// `Image` if the picture is so narrow that a side would be resized to nothing, `OutOfMemory`, `Cancelled`.
    pub fn encode(&self, image: &ImageView<'_>, monitor: &Monitor<'_>) -> Result<Embedding> {
        let SamConfig { image_size, dim, .. } = self.model.config;
        let (height, width) = self.preprocess.resized(image.height(), image.width())?;
        let geometry = Geometry {
            original: [image.height(), image.width()],
            resized: [height, width],
            input: image_size,
        };
        let grid = self.model.config.grid();
        let mut values = try_zeroed(grid * grid * dim)?;
        let encoder = &self.model.image_encoder;
        let mut pixels = self.cx.workspace(self.input_len());
        let mut workspace = self.cx.workspace(encoder.scratch_len(&self.cx));
        self.cx.enter(|| {
            let pixels = pixels.scratch().take(self.input_len());
            self.preprocess.run(&self.cx, image, pixels)?;
            encoder.forward(&self.cx, pixels, &mut values, workspace.scratch(), Trace::off(), monitor)
        })?;
        self.embedding(geometry, values)
    }

    /// Masks for prompts, each on its own, in `out`. Once `out` has held as many masks, nothing is allocated.
    ///
    /// # Errors
    /// `InvalidArgument` for no prompt, or an embedding of another model or input size; those of [`Prompt::check`], with
    /// the number of the prompt; `OutOfMemory`. `out` then holds no masks.
    pub fn predict(
        &self,
        embedding: &Embedding,
        prompts: &[Prompt<'_>],
        options: &PredictOptions,
        out: &mut Prediction,
    ) -> Result<()> {
        self.predict_above(embedding, prompts, options, None, out)
    }

    /// [`predict`](Self::predict), without the logits of prompts none of whose masks is expected to have a higher IoU
    /// than `least_iou`.
    fn predict_above(
        &self,
        embedding: &Embedding,
        prompts: &[Prompt<'_>],
        options: &PredictOptions,
        least_iou: Option<f32>,
        out: &mut Prediction,
    ) -> Result<()> {
        let side = self.model.config.mask_side();
        let predictor = Predictor { least_iou, ..self.model.predictor() };
        let masks = predictor.mask_decoder.masks(options.multimask);
        let (iou, low_res) = out.prepare(embedding, [prompts.len(), masks, side])?;
        if (embedding.fingerprint, embedding.geometry.input)
            != (self.fingerprint, self.model.config.image_size)
        {
            return Err(err!(InvalidArgument, "the embedding is another model's"));
        }
        if prompts.is_empty() {
            return Err(err!(InvalidArgument, "no prompts"));
        }
        for (i, prompt) in prompts.iter().enumerate() {
            prompt.check(side).map_err(|error| error.within(format_args!("prompt {i}")))?;
        }
        let Geometry { original, resized, .. } = embedding.geometry;
        let scale = [1, 0].map(|axis: usize| resized[axis] as f64 / original[axis] as f64);
        let mut workspace = self.cx.workspace(predictor.scratch_len(&self.cx, prompts, options.multimask));
        self.cx.enter(|| {
            let (cache, multimask) = (&embedding.cache, options.multimask);
            let (scratch, trace) = (workspace.scratch(), Trace::off());
            predictor.forward(&self.cx, cache, prompts, scale, multimask, low_res, iou, scratch, trace);
        });
        out.finish(prompts.len());
        Ok(())
    }

    /// Restores an [`Embedding::save`]d embedding.
    ///
    /// # Errors
    /// `Format` if `bytes` are not a whole, undamaged embedding, `Unsupported` if a later version of the library
    /// wrote them, `InvalidArgument` if another model or one with another input size made it, `OutOfMemory`.
    pub fn restore(&self, bytes: &[u8]) -> Result<Embedding> {
        let saved = Saved::parse(bytes)?;
        let config = &self.model.config;
        let geometry = saved.geometry;
        let [height, width] = geometry.original;
        if saved.fingerprint != self.fingerprint || geometry.input != config.image_size {
            return Err(err!(InvalidArgument, "the embedding is another model's"));
        }
        let resized = ImageView::byte_len(width, height, width, PixelFormat::Gray8)
            .and_then(|_| self.preprocess.resized(height, width))
            .map_err(|error| err!(Format, "saved embedding: {error}"))?;
        if saved.len() != config.grid() * config.grid() * config.dim
            || geometry.resized != [resized.0, resized.1]
        {
            return Err(err!(Format, "saved embedding contradicts itself"));
        }
        let mut values = try_zeroed(saved.len())?;
        values.iter_mut().zip(saved.values()).for_each(|(to, from)| *to = from);
        self.embedding(geometry, values)
    }

    /// Adds what the decoder derives from the image alone.
    fn embedding(&self, geometry: Geometry, values: Vec<f32>) -> Result<Embedding> {
        let decoder = &self.model.mask_decoder;
        let mut cache = try_zeroed(decoder.cache_len())?;
        let mut workspace = self.cx.workspace(decoder.cache_scratch_len(&self.cx));
        self.cx.enter(|| {
            decoder.cache(&self.cx, &values, None, &mut cache, workspace.scratch());
        });
        let [resized, original] = [geometry.resized, geometry.original].map(|[h, w]| (h, w));
        let upscale = Upscale::new(self.model.config.mask_side(), geometry.input, resized, original)?;
        Ok(Embedding { fingerprint: self.fingerprint, geometry, values, cache, upscale: Arc::new(upscale) })
    }

    /// Values of the model's input.
    fn input_len(&self) -> usize {
        3 * self.model.config.image_size * self.model.config.image_size
    }
}
