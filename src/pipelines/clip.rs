//! CLIP as applications use it: pictures and texts to embeddings, similarities and class probabilities.

mod beside;
mod tokens;

use alloc::string::String;
use alloc::vec::Vec;

use super::preprocess::Preprocess;
use super::tokenizer::Tokenizer;
use crate::error::{ErrorCode, Result, err};
use crate::exec::{
    Cx, Monitor, ScratchReq, TryCollect, check_memory, try_copied, try_string_with_capacity,
    try_with_capacity, try_zeroed,
};
use crate::image::ImageView;
use crate::kernels::activation::Activation;
use crate::kernels::gemm::{Packing, WeightFormat};
use crate::kernels::{finite, norm, softmax};
use crate::models::clip::{ClipConfig, ClipModel, TextConfig, TextEncoder, VisionEncoder};
use crate::nn::Trace;
use crate::setters::setters;
use crate::weights::{Bundle, Review};

/// Template of [`Clip::classify`] where the caller gives none.
pub const DEFAULT_TEMPLATE: &str = "a photo of a {}";

/// Tokens that go through a tower at once: enough to keep the arithmetic busy, few enough to bound the scratch memory.
const TOKENS: usize = 2560;

/// The part of the progress of a classification that the labels are.
const LABELS: f32 = 0.5;

/// How to load a [`Clip`].
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ClipOptions<'a> {
    /// The activation of the MLPs; `None` for the one that the files name. Weights of OpenAI's models that were saved
    /// without their configuration need [`QuickGelu`](Activation::QuickGelu).
    pub activation: Option<Activation>,
    /// Loads a model with tensors or settings that are not understood, which is otherwise an error. Its results may
    /// differ from those of its maker's program; [`Clip::warnings`] says why.
    pub lenient: bool,
    /// OpenAI's list of merges (`bpe_simple_vocab_16e6.txt`, gzipped or not). It is used for weights in the original
    /// naming with OpenAI's vocabulary of 49,408 tokens and no tokenizer beside them, such as OpenCLIP's.
    pub vocabulary: Option<&'a [u8]>,
    /// What the weights of the towers are kept as, and the arithmetic that goes with it; `None` for what
    /// [`Bundle::weight_format`] says. Tables, norms, patch embeddings, a ResNet's stem
    /// and projections are f32 in every format.
    pub weights: Option<WeightFormat>,
}

impl<'a> ClipOptions<'a> {
    setters! {
        with_activation(activation: impl Into<Option<Activation>>),
        with_lenient(lenient: bool),
        with_vocabulary(vocabulary: impl Into<Option<&'a [u8]>>),
        with_weights(weights: impl Into<Option<WeightFormat>>),
    }
}

/// How [`Clip`] embeds pictures and texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncodeOptions {
    /// Scales each embedding to length 1, the default. Otherwise embeddings are the output of the model's projection.
    pub normalize: bool,
}

impl Default for EncodeOptions {
    fn default() -> Self {
        Self { normalize: true }
    }
}

impl EncodeOptions {
    setters! {
        with_normalize(normalize: bool),
    }
}

/// How [`Clip::classify`] compares a picture with labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassifyOptions<'a> {
    /// A sentence in which each label takes the place of `{}`; `None` for [`DEFAULT_TEMPLATE`].
    pub template: Option<&'a str>,
}

impl<'a> ClassifyOptions<'a> {
    setters! {
        with_template(template: impl Into<Option<&'a str>>),
    }
}

/// A CLIP model with its preprocessing and tokenizer. Immutable; share it between threads as you like.
///
/// A checkpoint of one tower alone can encode either pictures or texts.
#[derive(Debug)]
pub struct Clip {
    cx: Cx,
    model: ClipModel,
    preprocess: Preprocess,
    /// Or why texts cannot be encoded.
    tokenizer: Result<Tokenizer>,
    warnings: Vec<String>,
}

impl Clip {
    /// Loads a checkpoint and what lies beside it: the configuration, the preprocessing, the tokenizer.
    ///
    /// The bundle is only needed during the call: weights are packed for the context's instruction set.
    ///
    /// # Errors
    /// Those of [`ClipModel::bind`] and [`Preprocess::from_config`]; `Limit` beyond the context's
    /// [limits](crate::Limits), `NonFinite` for weights that are not finite, `Unsupported` for tensors, settings and files that
    /// change the result and are not understood. A missing tokenizer, or one that cannot be used, is an error only
    /// when a text is encoded.
    pub fn load(cx: &Cx, bundle: &Bundle<'_>, options: &ClipOptions<'_>) -> Result<Self> {
        Self::load_monitored(cx, bundle, options, &Monitor::none())
    }

    /// [`load`](Self::load), reporting to `monitor` how much of the weights is read.
    ///
    /// # Errors
    /// As [`load`](Self::load), and `Cancelled`.
    pub fn load_monitored(
        cx: &Cx,
        bundle: &Bundle<'_>,
        options: &ClipOptions<'_>,
        monitor: &Monitor<'_>,
    ) -> Result<Self> {
        cx.limits().check_weights(bundle.archive().f32_bytes())?;
        let mut review = Review::new(options.lenient).with_limits(*cx.limits());
        let packing = Packing::new(cx, options.weights.map_or_else(|| bundle.weight_format(), Ok)?);
        monitor.run(|monitor| {
            let model = ClipModel::bind(bundle, packing, options.activation, &mut review, monitor)?;
            let preprocess = beside::preprocess(bundle, &model, &mut review)?;
            let (height, width) = preprocess.output_size();
            cx.limits().check_image_size(height.max(width))?;
            model.vision.as_ref().map_or(Ok(()), |vision| vision.check_input([height, width]))?;
            monitor.poll()?;
            let tokenizer = beside::tokenizer(bundle, &model, options.vocabulary);
            if let (Err(error), Some(_)) = (&tokenizer, &model.text)
                && error.code() != ErrorCode::NotFound
            {
                review.warn(format_args!("texts cannot be encoded: {error}"));
            }
            review.files(bundle, &beside::QUIET_FILES)?;
            review.finite(bundle.archive())?;
            Ok(Self { cx: cx.clone(), model, preprocess, tokenizer, warnings: review.into_warnings() })
        })
    }

    /// Warnings from loading: what was assumed, and which parts of the files are not used.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The model's sizes.
    pub fn config(&self) -> &ClipConfig {
        &self.model.config
    }

    /// The towers.
    pub fn model(&self) -> &ClipModel {
        &self.model
    }

    /// The preprocessing.
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// The tokenizer, if there is one that can be used.
    pub fn tokenizer(&self) -> Option<&Tokenizer> {
        self.tokenizer.as_ref().ok()
    }

    /// Features of an embedding.
    pub fn embed_dim(&self) -> usize {
        self.model.config.embed_dim()
    }

    /// Bytes of weights held.
    pub fn memory_bytes(&self) -> usize {
        self.model.bytes()
    }

    /// Bytes of scratch memory that encoding `images` images at once takes, kept by the context for the next call.
    pub fn image_scratch_bytes(&self, images: usize) -> usize {
        let Ok(vision) = self.vision() else { return 0 };
        let (height, width) = self.preprocess.output_size();
        let batch = images.min(image_batch(vision, [height, width]));
        let pixels = ScratchReq::slice(batch * 3 * height * width);
        pixels.and(vision.scratch_req(&self.cx, [batch, height, width])).len() * size_of::<f32>()
    }

    /// Embeds pictures: `[images, embed_dim]`, see [`EncodeOptions`].
    ///
    /// # Errors
    /// As [`encode_images_into`](Self::encode_images_into).
    pub fn encode_images(&self, images: &[ImageView<'_>], options: &EncodeOptions) -> Result<Vec<f32>> {
        let mut out = try_zeroed(images.len() * self.embed_dim())?;
        self.encode_images_into(images, options, &mut out)?;
        Ok(out)
    }

    /// Embeds pictures into `out: [images, embed_dim]`.
    ///
    /// # Errors
    /// `InvalidArgument` for no image, `BufferTooSmall` if `out` is shorter, `Image` naming a picture that cannot
    /// be resized, `Limit` naming one beyond the context's [limits](crate::Limits), `NonFinite`, `OutOfMemory`, `Unsupported`
    /// if the model has no image tower.
    pub fn encode_images_into(
        &self,
        images: &[ImageView<'_>],
        options: &EncodeOptions,
        out: &mut [f32],
    ) -> Result<()> {
        self.encode_images_monitored(images, options, out, &Monitor::none())
    }

    /// [`encode_images_into`](Self::encode_images_into), reporting to `monitor` after every layer.
    ///
    /// # Errors
    /// As [`encode_images_into`](Self::encode_images_into), and `Cancelled`; `out` then holds no embeddings.
    pub fn encode_images_monitored(
        &self,
        images: &[ImageView<'_>],
        options: &EncodeOptions,
        out: &mut [f32],
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        if images.is_empty() {
            return Err(err!(InvalidArgument, "no images"));
        }
        let vision = self.vision()?;
        let out = self.embeddings(images.len(), out)?;
        let total = images.len() as f32;
        let mut done = 0;
        self.cx.watched(monitor, |cx, monitor| {
            while done < images.len() {
                let (part, [height, width]) = self.next_part(vision, images, done)?;
                let input = 3 * height * width;
                let mut pixels = cx.workspace(ScratchReq::slice(part * input))?;
                let pixels = pixels.scratch().take(part * input);
                for (i, pixels) in (done..).zip(pixels.chunks_exact_mut(input)) {
                    let run = self.preprocess.run(cx, &images[i], pixels);
                    run.map_err(|error| error.within(format_args!("image {i}")))?;
                }
                let size = [part, height, width];
                let mut workspace = cx.workspace(vision.scratch_req(cx, size))?;
                let monitor = monitor.part(done as f32 / total, (done + part) as f32 / total);
                let out = &mut out[done * self.embed_dim()..(done + part) * self.embed_dim()];
                vision.forward(cx, pixels, size, out, workspace.scratch(), Trace::of(cx), &monitor)?;
                done += part;
            }
            self.finish(out, options, "image")
        })
    }

    /// How many of `images` from the one numbered `first` on go through the tower at once, and the height and width of their
    /// input: those that follow one another and have the same.
    fn next_part(
        &self,
        vision: &VisionEncoder,
        images: &[ImageView<'_>],
        first: usize,
    ) -> Result<(usize, [usize; 2])> {
        let size_of = |i: usize| {
            let size = self.preprocess.input_size(images[i].height(), images[i].width());
            size.map(|(height, width)| [height, width])
                .map_err(|error| error.within(format_args!("image {i}")))
        };
        let size = size_of(first)?;
        let most = image_batch(vision, size).min(images.len() - first);
        let mut count = 1;
        while count < most && size_of(first + count)? == size {
            count += 1;
        }
        Ok((count, size))
    }

    /// The token ids of `text`, start and end token included.
    ///
    /// # Errors
    /// `NotFound` if there is no tokenizer, or what [`Tokenizer::encode`] returns.
    pub fn tokenize(&self, text: &str) -> Result<Vec<u32>> {
        self.require_tokenizer()?.encode(text)
    }

    /// Embeds texts: `[texts, embed_dim]`, see [`EncodeOptions`].
    ///
    /// # Errors
    /// As [`encode_texts_into`](Self::encode_texts_into).
    pub fn encode_texts(&self, texts: &[&str], options: &EncodeOptions) -> Result<Vec<f32>> {
        let mut out = try_zeroed(texts.len() * self.embed_dim())?;
        self.encode_texts_into(texts, options, &mut out)?;
        Ok(out)
    }

    /// Embeds texts into `out: [texts, embed_dim]`. Texts longer than the context are cut; an empty text, or one of
    /// white space, is start and end token, as in the references. What happens to a text before depends on the
    /// [`Tokenizer`]'s files.
    ///
    /// # Errors
    /// `InvalidArgument` for no text, `BufferTooSmall` if `out` is shorter, `NotFound` if there is no tokenizer,
    /// `Tokenizer` for one that cannot be used, `Unsupported` if the model has no text tower, `Limit` for a gigantic text,
    /// `NonFinite`, `OutOfMemory`.
    pub fn encode_texts_into(&self, texts: &[&str], options: &EncodeOptions, out: &mut [f32]) -> Result<()> {
        self.encode_texts_monitored(texts, options, out, &Monitor::none())
    }

    /// [`encode_texts_into`](Self::encode_texts_into), reporting to `monitor` after every layer.
    ///
    /// # Errors
    /// As [`encode_texts_into`](Self::encode_texts_into), and `Cancelled`; `out` then holds no embeddings.
    pub fn encode_texts_monitored(
        &self,
        texts: &[&str],
        options: &EncodeOptions,
        out: &mut [f32],
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        if texts.is_empty() {
            return Err(err!(InvalidArgument, "no texts"));
        }
        self.text()?;
        let tokenizer = self.require_tokenizer()?;
        let out = self.embeddings(texts.len(), out)?;
        let encode = |(i, text): (usize, &&str)| {
            tokenizer.encode(text).map_err(|error| error.within(format_args!("text {i}")))
        };
        monitor.run(|monitor| {
            let mut tokens = try_with_capacity(texts.len())?;
            for text in texts.iter().enumerate() {
                monitor.poll()?;
                check_memory()?;
                tokens.push(encode(text)?);
            }
            self.encode_token_lists(&tokens, tokenizer.padding_id(), options, out, monitor)
        })
    }

    /// Logits `[images, texts]`: cosines of the embeddings times the model's logit scale, plus a SigLIP's logit bias.
    ///
    /// Embeddings need not be normalised.
    ///
    /// # Errors
    /// `InvalidArgument` if either is empty or not a whole number of embeddings, `Unsupported` if the model is one tower
    /// without a logit scale, `NonFinite` if a logit is not a number: of an embedding that is not finite, or zeros alone.
    pub fn similarity(&self, images: &[f32], texts: &[f32]) -> Result<Vec<f32>> {
        let dim = self.embed_dim();
        let scale = self.model.logit_scale;
        let scale =
            scale.ok_or_else(|| err!(Unsupported, "this checkpoint of one tower has no logit scale"))?;
        let bias = self.model.logit_bias.unwrap_or(0.0);
        for (what, values) in [("image", images), ("text", texts)] {
            if values.is_empty() || !values.len().is_multiple_of(dim) {
                let len = values.len();
                return Err(err!(InvalidArgument, "{what} embeddings: {len} values are not rows of {dim}"));
            }
        }
        let (mut images, mut texts) = (try_copied(images)?, try_copied(texts)?);
        norm::l2_normalize(self.cx.level(), &mut images, dim, 0.0);
        norm::l2_normalize(self.cx.level(), &mut texts, dim, 0.0);
        let pairs =
            images.chunks_exact(dim).flat_map(|image| texts.chunks_exact(dim).map(move |text| (image, text)));
        let dot = |(a, b): (&[f32], &[f32])| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let logits: Vec<f32> = pairs.map(|pair| scale * dot(pair) + bias).try_to_vec()?;
        finite::check(&self.cx, &logits, "the logits")?;
        Ok(logits)
    }

    /// Zero-shot classification: the probability of each label for `image`.
    ///
    /// Each label is put into the [`template`](ClassifyOptions::template), and [`probabilities`](Self::probabilities) makes `p`
    /// of the logits: those of a CLIP sum to 1, those of a SigLIP need not. To classify many
    /// pictures, encode the labels once with [`encode_texts`](Self::encode_texts) and use
    /// [`similarity`](Self::similarity) and [`probabilities`](Self::probabilities).
    ///
    /// # Errors
    /// `InvalidArgument` for no label, an empty label or a template without `{}`; otherwise as
    /// [`encode_images`](Self::encode_images) and [`encode_texts`](Self::encode_texts).
    pub fn classify(
        &self,
        image: &ImageView<'_>,
        labels: &[&str],
        options: &ClassifyOptions<'_>,
    ) -> Result<Vec<f32>> {
        self.classify_monitored(image, labels, options, &Monitor::none())
    }

    /// [`classify`](Self::classify), reporting to `monitor` after every layer.
    ///
    /// # Errors
    /// As [`classify`](Self::classify), and `Cancelled`.
    pub fn classify_monitored(
        &self,
        image: &ImageView<'_>,
        labels: &[&str],
        options: &ClassifyOptions<'_>,
        monitor: &Monitor<'_>,
    ) -> Result<Vec<f32>> {
        let prompts = prompts(labels, options.template)?;
        let prompts: Vec<&str> = prompts.iter().map(String::as_str).try_to_vec()?;
        // `similarity` normalises.
        let raw = EncodeOptions::default().with_normalize(false);
        monitor.run(|monitor| {
            let mut texts = try_zeroed(prompts.len() * self.embed_dim())?;
            self.encode_texts_monitored(&prompts, &raw, &mut texts, &monitor.part(0.0, LABELS))?;
            let mut embedding = try_zeroed(self.embed_dim())?;
            self.encode_images_monitored(&[*image], &raw, &mut embedding, &monitor.part(LABELS, 1.0))?;
            let mut logits = self.similarity(&embedding, &texts)?;
            self.probabilities(&mut logits, labels.len());
            Ok(logits)
        })
    }

    /// Turns each row of `logits: [images, labels]` into probabilities: softmax, where a row with a NaN or +∞, or of −∞ alone,
    /// becomes NaN. With [independent probabilities](Self::has_independent_probabilities), the sigmoid of each logit.
    ///
    /// # Panics
    /// If `logits` is not a whole number of rows.
    pub fn probabilities(&self, logits: &mut [f32], labels: usize) {
        if !self.has_independent_probabilities() {
            return softmax::softmax(&self.cx, logits, labels);
        }
        assert!(labels > 0 && logits.len().is_multiple_of(labels), "logits of {labels} labels");
        logits.iter_mut().for_each(|logit| *logit = 1.0 / (1.0 + libm::expf(-*logit)));
    }

    /// Whether a probability says of its label alone whether it fits the picture, as in a SigLIP: the labels of a picture may all
    /// be probable, or none of them. Those of a CLIP compare its labels with each other and sum to 1.
    pub fn has_independent_probabilities(&self) -> bool {
        self.model.has_independent_probabilities()
    }

    /// Normalises embeddings, if that is wanted, and refuses those that are not finite; messages call each `what`.
    fn finish(&self, out: &mut [f32], options: &EncodeOptions, what: &str) -> Result<()> {
        let dim = self.embed_dim();
        if options.normalize {
            norm::l2_normalize(self.cx.level(), out, dim, 0.0);
        }
        let mut embeddings = out.chunks_exact(dim).enumerate();
        embeddings.try_for_each(|(i, values)| {
            finite::check(&self.cx, values, format_args!("the embedding of {what} {i}"))
        })
    }

    fn vision(&self) -> Result<&VisionEncoder> {
        let vision = self.model.vision.as_ref();
        vision.ok_or_else(|| err!(Unsupported, "the model has only a text tower: pictures cannot be encoded"))
    }

    fn text(&self) -> Result<(&TextEncoder, &TextConfig)> {
        let text = self.model.text.as_ref().zip(self.model.config.text.as_ref());
        text.ok_or_else(|| err!(Unsupported, "the model has only an image tower: texts cannot be encoded"))
    }

    fn require_tokenizer(&self) -> Result<&Tokenizer> {
        self.tokenizer.as_ref().map_err(Clone::clone)
    }

    /// The part of `out` for `count` embeddings.
    fn embeddings<'o>(&self, count: usize, out: &'o mut [f32]) -> Result<&'o mut [f32]> {
        let (len, needed) = (out.len(), count * self.embed_dim());
        out.get_mut(..needed)
            .ok_or_else(|| err!(BufferTooSmall, "output holds {len} values, {needed} needed"))
    }
}

/// How many images of `[height, width]` go through the tower at once.
fn image_batch(vision: &VisionEncoder, size: [usize; 2]) -> usize {
    (TOKENS / vision.tokens(size)).max(1)
}

/// `template` with each label in the place of `{}`.
///
/// # Errors
/// `InvalidArgument` for no label, an empty label or a template without `{}`; `OutOfMemory`.
pub fn prompts(labels: &[&str], template: Option<&str>) -> Result<Vec<String>> {
    let template = template.unwrap_or(DEFAULT_TEMPLATE);
    if !template.contains("{}") {
        return Err(err!(InvalidArgument, "template \"{template}\" has no {{}} for the label"));
    }
    if labels.is_empty() {
        return Err(err!(InvalidArgument, "no labels"));
    }
    if let Some(i) = labels.iter().position(|label| label.trim().is_empty()) {
        return Err(err!(InvalidArgument, "label {i} is empty"));
    }
    let (places, rest) = (template.matches("{}").count(), template.len());
    let prompt = |label: &&str| {
        check_memory()?;
        let mut prompt = try_string_with_capacity(rest + places * label.len())?;
        for (i, part) in template.split("{}").enumerate() {
            prompt.push_str(if i == 0 { "" } else { label });
            prompt.push_str(part);
        }
        Ok(prompt)
    };
    labels.iter().map(prompt).try_values()
}
