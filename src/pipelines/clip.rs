//! CLIP as applications use it: pictures and texts to embeddings, similarities and class probabilities.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::preprocess::Preprocess;
use super::tokenizer::Tokenizer;
use crate::error::{Result, err};
use crate::exec::Cx;
use crate::image::ImageView;
use crate::kernels::{norm, softmax};
use crate::models::clip::{ClipConfig, ClipModel};
use crate::nn::Trace;
use crate::weights::{Bundle, Config};

/// Template of [`Clip::classify`] where the caller gives none.
pub const DEFAULT_TEMPLATE: &str = "a photo of a {}";

/// Rows that go through a tower at once: enough to keep the arithmetic busy, few enough to bound the scratch memory.
const ROWS: usize = 2560;

/// A CLIP model with its preprocessing and tokenizer. Immutable; share it between threads as you like.
#[derive(Debug)]
pub struct Clip {
    cx: Cx,
    model: ClipModel,
    preprocess: Preprocess,
    tokenizer: Option<Tokenizer>,
}

impl Clip {
    /// Loads a checkpoint and what lies beside it: the configuration, the preprocessing, the tokenizer.
    ///
    /// The bundle is only needed during the call: weights are converted to f32 and packed for the context's
    /// instruction set.
    ///
    /// # Errors
    /// Those of [`ClipModel::bind`], [`Preprocess::from_config`] and [`Tokenizer`]; `Tokenizer` if it has more
    /// tokens than the model has embeddings. A missing tokenizer is an error only when a text is encoded.
    pub fn load(cx: &Cx, bundle: &Bundle<'_>) -> Result<Self> {
        let model = ClipModel::bind(bundle, cx.level())?;
        let preprocess = load_preprocess(bundle, model.config.vision.image_size)?;
        let tokenizer = load_tokenizer(bundle)?
            .map(|tokenizer| tokenizer.with_context_length(model.config.text.context_length))
            .transpose()?;
        if let Some(tokenizer) = &tokenizer {
            let (tokens, embeddings) = (tokenizer.vocabulary_size(), model.config.text.vocab_size);
            if tokens > embeddings {
                return Err(err!(Tokenizer, "tokenizer of {tokens} tokens for a model with {embeddings}"));
            }
        }
        Ok(Self { cx: cx.clone(), model, preprocess, tokenizer })
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

    /// The tokenizer, if there was one beside the weights.
    pub fn tokenizer(&self) -> Option<&Tokenizer> {
        self.tokenizer.as_ref()
    }

    /// Features of an embedding.
    pub fn embed_dim(&self) -> usize {
        self.model.config.projection_dim
    }

    /// Bytes of weights held.
    pub fn memory_bytes(&self) -> usize {
        self.model.bytes()
    }

    /// Bytes of scratch memory that encoding `images` images at once takes, kept by the context for the next call.
    pub fn image_scratch_bytes(&self, images: usize) -> usize {
        let (height, width) = self.preprocess.output_size();
        let batch = images.min(self.image_batch());
        (batch * 3 * height * width + self.model.vision.scratch_len(&self.cx, [batch, height, width]))
            * size_of::<f32>()
    }

    /// Embeds pictures: `[images, embed_dim]`, each of length 1 if `normalize`.
    ///
    /// # Errors
    /// As [`encode_images_into`](Self::encode_images_into).
    pub fn encode_images(&self, images: &[ImageView<'_>], normalize: bool) -> Result<Vec<f32>> {
        let mut out = vec![0.0; images.len() * self.embed_dim()];
        self.encode_images_into(images, normalize, &mut out)?;
        Ok(out)
    }

    /// Embeds pictures into `out: [images, embed_dim]`.
    ///
    /// # Errors
    /// `InvalidArgument` for no image, `BufferTooSmall` if `out` is shorter, `Image` naming a picture that cannot
    /// be resized.
    pub fn encode_images_into(
        &self,
        images: &[ImageView<'_>],
        normalize: bool,
        out: &mut [f32],
    ) -> Result<()> {
        if images.is_empty() {
            return Err(err!(InvalidArgument, "no images"));
        }
        let out = self.embeddings(images.len(), out)?;
        let (height, width) = self.preprocess.output_size();
        let input = 3 * height * width;
        let batch = self.image_batch().min(images.len());
        let scratch_len = self.model.vision.scratch_len(&self.cx, [batch, height, width]);
        let mut pixels = self.cx.workspace(batch * input);
        let mut workspace = self.cx.workspace(scratch_len);
        self.cx.enter(|| {
            let parts = images.chunks(batch).zip(out.chunks_mut(batch * self.embed_dim()));
            for (part, (images, out)) in parts.enumerate() {
                let pixels = pixels.scratch().take(images.len() * input);
                for (i, (image, pixels)) in images.iter().zip(pixels.chunks_exact_mut(input)).enumerate() {
                    self.preprocess
                        .run(&self.cx, image, pixels)
                        .map_err(|error| error.within(format_args!("image {}", part * batch + i)))?;
                }
                let size = [images.len(), height, width];
                self.model.vision.forward(&self.cx, pixels, size, out, workspace.scratch(), Trace::off())?;
            }
            Ok(())
        })?;
        if normalize {
            norm::l2_normalize(self.cx.level(), out, self.embed_dim(), 0.0);
        }
        Ok(())
    }

    /// The token ids of `text`, start and end token included.
    ///
    /// # Errors
    /// `NotFound` if there is no tokenizer, or what [`Tokenizer::encode`] returns.
    pub fn tokenize(&self, text: &str) -> Result<Vec<u32>> {
        self.require_tokenizer()?.encode(text)
    }

    /// Embeds texts: `[texts, embed_dim]`, each of length 1 if `normalize`.
    ///
    /// # Errors
    /// As [`encode_texts_into`](Self::encode_texts_into).
    pub fn encode_texts(&self, texts: &[&str], normalize: bool) -> Result<Vec<f32>> {
        let mut out = vec![0.0; texts.len() * self.embed_dim()];
        self.encode_texts_into(texts, normalize, &mut out)?;
        Ok(out)
    }

    /// Embeds texts into `out: [texts, embed_dim]`. Texts longer than the context are cut.
    ///
    /// # Errors
    /// `InvalidArgument` for no text or an empty one, `BufferTooSmall` if `out` is shorter, `NotFound` if there is
    /// no tokenizer, `Limit` for a gigantic text.
    pub fn encode_texts_into(&self, texts: &[&str], normalize: bool, out: &mut [f32]) -> Result<()> {
        if texts.is_empty() {
            return Err(err!(InvalidArgument, "no texts"));
        }
        if let Some(i) = texts.iter().position(|text| text.trim().is_empty()) {
            return Err(err!(InvalidArgument, "text {i} is empty"));
        }
        let tokenizer = self.require_tokenizer()?;
        let out = self.embeddings(texts.len(), out)?;
        let mut tokens = Vec::with_capacity(texts.len());
        for (i, text) in texts.iter().enumerate() {
            tokens.push(tokenizer.encode(text).map_err(|error| error.within(format_args!("text {i}")))?);
        }

        self.cx.enter(|| {
            let (mut tokens, mut out) = (&tokens[..], &mut *out);
            while !tokens.is_empty() {
                let (count, length) = text_batch(tokens);
                let (now, later) = tokens.split_at(count);
                let (out_now, out_later) = out.split_at_mut(count * self.embed_dim());
                self.encode_tokens(now, length, tokenizer.padding_id(), out_now)?;
                (tokens, out) = (later, out_later);
            }
            Ok(())
        })?;
        if normalize {
            norm::l2_normalize(self.cx.level(), out, self.embed_dim(), 0.0);
        }
        Ok(())
    }

    /// Logits `[images, texts]`: cosines of the embeddings times the model's logit scale.
    ///
    /// Embeddings need not be normalised.
    ///
    /// # Errors
    /// `InvalidArgument` if either is empty or not a whole number of embeddings.
    pub fn similarity(&self, images: &[f32], texts: &[f32]) -> Result<Vec<f32>> {
        let dim = self.embed_dim();
        for (what, values) in [("image", images), ("text", texts)] {
            if values.is_empty() || !values.len().is_multiple_of(dim) {
                let len = values.len();
                return Err(err!(InvalidArgument, "{what} embeddings: {len} values are not rows of {dim}"));
            }
        }
        let (mut images, mut texts) = (images.to_vec(), texts.to_vec());
        norm::l2_normalize(self.cx.level(), &mut images, dim, 0.0);
        norm::l2_normalize(self.cx.level(), &mut texts, dim, 0.0);
        let pairs =
            images.chunks_exact(dim).flat_map(|image| texts.chunks_exact(dim).map(move |text| (image, text)));
        let dot = |(a, b): (&[f32], &[f32])| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        Ok(pairs.map(|pair| self.model.logit_scale * dot(pair)).collect())
    }

    /// Zero-shot classification: the probability of each label for `image`.
    ///
    /// Each label is put in the place of `{}` in `template` (default [`DEFAULT_TEMPLATE`]), and
    /// `p = softmax(logits)`. To classify many pictures, encode the labels once with
    /// [`encode_texts`](Self::encode_texts) and use [`similarity`](Self::similarity) and
    /// [`probabilities`](Self::probabilities).
    ///
    /// # Errors
    /// `InvalidArgument` for no label, an empty label or a template without `{}`; otherwise as
    /// [`encode_images`](Self::encode_images) and [`encode_texts`](Self::encode_texts).
    pub fn classify(
        &self,
        image: ImageView<'_>,
        labels: &[&str],
        template: Option<&str>,
    ) -> Result<Vec<f32>> {
        let prompts = prompts(labels, template)?;
        let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
        let texts = self.encode_texts(&prompts, false)?;
        let image = self.encode_images(&[image], false)?;
        let mut logits = self.similarity(&image, &texts)?;
        self.probabilities(&mut logits, labels.len());
        Ok(logits)
    }

    /// Turns each row of `logits: [images, labels]` into probabilities: softmax.
    ///
    /// # Panics
    /// If `logits` is not a whole number of rows.
    pub fn probabilities(&self, logits: &mut [f32], labels: usize) {
        softmax::softmax(&self.cx, logits, labels);
    }

    /// Embeds a batch of tokens, padded to `length`.
    fn encode_tokens(&self, tokens: &[Vec<u32>], length: usize, padding: u32, out: &mut [f32]) -> Result<()> {
        let mut ids = vec![padding; tokens.len() * length];
        for (ids, tokens) in ids.chunks_exact_mut(length).zip(tokens) {
            ids[..tokens.len()].copy_from_slice(tokens);
        }
        let scratch_len = self.model.text.scratch_len(&self.cx, [tokens.len(), length]);
        let mut workspace = self.cx.workspace(scratch_len);
        self.model.text.forward(&self.cx, &ids, length, out, workspace.scratch(), Trace::off())
    }

    fn require_tokenizer(&self) -> Result<&Tokenizer> {
        self.tokenizer.as_ref().ok_or_else(|| {
            err!(
                NotFound,
                "no tokenizer beside the weights: tokenizer.json, vocab.json and merges.txt, \
                 or bpe_simple_vocab_16e6.txt[.gz]"
            )
        })
    }

    /// How many images go through the tower at once.
    fn image_batch(&self) -> usize {
        let (height, width) = self.preprocess.output_size();
        let patch = self.model.config.vision.patch_size;
        (ROWS / (1 + (height / patch) * (width / patch))).max(1)
    }

    /// The part of `out` for `count` embeddings.
    fn embeddings<'o>(&self, count: usize, out: &'o mut [f32]) -> Result<&'o mut [f32]> {
        let (len, needed) = (out.len(), count * self.embed_dim());
        out.get_mut(..needed)
            .ok_or_else(|| err!(BufferTooSmall, "output holds {len} values, {needed} needed"))
    }
}

/// `template` with each label in the place of `{}`.
///
/// # Errors
/// `InvalidArgument` for no label, an empty label or a template without `{}`.
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
    Ok(labels.iter().map(|label| template.replace("{}", label)).collect())
}

/// How many of the first texts go through the tower at once, and the length of the longest of them.
fn text_batch(tokens: &[Vec<u32>]) -> (usize, usize) {
    let (mut count, mut length) = (0, 0);
    for ids in tokens {
        let longest = length.max(ids.len());
        if count > 0 && (count + 1) * longest > ROWS {
            break;
        }
        (count, length) = (count + 1, longest);
    }
    (count, length)
}

/// The profile beside the weights, or OpenAI's.
fn load_preprocess(bundle: &Bundle<'_>, image_size: usize) -> Result<Preprocess> {
    for name in ["preprocessor_config.json", "open_clip_config.json"] {
        if let Some(text) = bundle.file(name)? {
            return Preprocess::from_config(&Config::parse(name, &text)?, image_size);
        }
    }
    Preprocess::clip(image_size)
}

fn load_tokenizer(bundle: &Bundle<'_>) -> Result<Option<Tokenizer>> {
    Tokenizer::from_files(|name| bundle.file(name), None)
}
