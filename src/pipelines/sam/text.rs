//! Words to masks: of everything in a picture, what looks to a CLIP like the text.

mod looks;

use alloc::vec::Vec;

use super::{AutomaticOptions, Embedding, MaskRecord, Sam};
use crate::error::{Result, err};
use crate::exec::{Monitor, TryCollect, TryGrow, try_zeroed};
use crate::image::ImageView;
use crate::pipelines::clip::{Clip, EncodeOptions, prompts};
use crate::pipelines::mask::nms::descending;
use crate::setters::setters;

/// Template of a [`TextPrompt`] that has none. Texts bring their article along.
pub const TEXT_TEMPLATE: &str = "a photo of {}";

/// What a candidate may be instead, where the caller names nothing.
const BACKGROUND: [&str; 2] = ["the background", "a part of something"];

/// The fractions that are done when the texts are encoded, and when the candidates are found; the rest is looking at them.
const READ: f32 = 0.02;
const FOUND: f32 = 0.75;

/// A description in words of what [`Sam::ground`] looks for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TextPrompt<'a> {
    /// The texts to look for, with their articles: `a red apple`.
    pub texts: &'a [&'a str],
    /// Texts for other things in the picture, with which the texts compete. Without them, texts compete with words for
    /// the background.
    pub others: &'a [&'a str],
    /// A sentence with `{}` in the place of the text; `None` for [`TEXT_TEMPLATE`].
    pub template: Option<&'a str>,
    /// Masks for each text at most.
    pub top: usize,
    /// Masks of a lower probability are dropped.
    pub min_probability: f32,
    /// How masks are found before they are compared with the texts; `None` for the model's own defaults.
    pub automatic: Option<AutomaticOptions>,
}

impl Default for TextPrompt<'_> {
    fn default() -> Self {
        Self { texts: &[], others: &[], template: None, top: 1, min_probability: 0.0, automatic: None }
    }
}

impl<'a> TextPrompt<'a> {
    setters! {
        with_texts(texts: &'a [&'a str]),
        with_others(others: &'a [&'a str]),
        with_template(template: impl Into<Option<&'a str>>),
        with_top(top: usize),
        with_min_probability(min_probability: f32),
        with_automatic(automatic: impl Into<Option<AutomaticOptions>>),
    }
}

impl TextPrompt<'_> {
    /// The sentences: first those of the texts, then those of what they compete with.
    fn sentences(&self) -> Result<Vec<alloc::string::String>> {
        if self.texts.is_empty() || self.top == 0 {
            return Err(err!(InvalidArgument, "{} texts, {} masks each", self.texts.len(), self.top));
        }
        if !(0.0..=1.0).contains(&self.min_probability) {
            return Err(err!(InvalidArgument, "least probability {}", self.min_probability));
        }
        let template = self.template.unwrap_or(TEXT_TEMPLATE);
        let others = if self.others.is_empty() { &BACKGROUND } else { self.others };
        let labels: Vec<&str> = self.texts.iter().chain(others).copied().collect();
        prompts(&labels, Some(template))
    }
}

/// A mask that answers a text.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Match {
    /// Which of the texts.
    pub text: usize,
    /// The probability of the text among all texts and those they compete with.
    pub probability: f32,
    /// The mask.
    pub record: MaskRecord,
}

impl Sam {
    /// Finds what `prompt` describes. Everything in the picture is segmented; `clip` embeds each mask, cut out and in
    /// its surroundings, and compares it with the texts; each text gets the masks for which it is most probable.
    ///
    /// Matches come text by text, the best first. A mask may answer several texts. Also returns the embedding of the
    /// picture, for clicks.
    ///
    /// # Errors
    /// `InvalidArgument` for no or an empty text, a template without `{}`, or numbers outside their domain; those of
    /// [`everything`](Self::everything), [`Clip::encode_texts`] and [`Clip::encode_images`].
    pub fn ground(
        &self,
        clip: &Clip,
        image: &ImageView<'_>,
        prompt: &TextPrompt<'_>,
        monitor: &Monitor<'_>,
    ) -> Result<(Vec<Match>, Embedding)> {
        let sentences = prompt.sentences()?;
        let sentences: Vec<&str> = sentences.iter().map(|sentence| &sentence[..]).collect();
        monitor.run(|monitor| {
            let mut texts = try_zeroed(sentences.len() * clip.embed_dim())?;
            let options = EncodeOptions::default();
            clip.encode_texts_monitored(&sentences, &options, &mut texts, &monitor.part(0.0, READ))?;

            let mut records = Vec::new();
            let mut full = Ok(());
            let mut keep = |record| match records.try_push(record) {
                Ok(()) => core::ops::ControlFlow::Continue(()),
                Err(error) => {
                    full = Err(error);
                    core::ops::ControlFlow::Break(())
                }
            };
            let defaults = self.model().automatic_options();
            let automatic = prompt.automatic.as_ref().unwrap_or(&defaults);
            let found = self.everything(image, automatic, &monitor.part(READ, FOUND), &mut keep);
            // Why it was stopped, if it was.
            full?;
            let embedding = found?;
            if records.is_empty() {
                return Ok((Vec::new(), embedding));
            }
            let looks = looks::embed(clip, image, &records, &monitor.part(FOUND, 1.0))?;
            let logits = clip.similarity(&looks, &texts)?;
            let mut matches = Vec::new();
            for text in 0..prompt.texts.len() {
                for (candidate, probability) in
                    best(&logits, sentences.len(), text, prompt.top, prompt.min_probability)?
                {
                    matches.try_push(Match { text, probability, record: records[candidate].try_clone()? })?;
                }
            }
            Ok((matches, embedding))
        })
    }
}

/// The rows of `logits: [candidates, labels]` in which label `text` is most probable, the best first, with its
/// probability: at most `top` of at least `least`. Rows that are not numbers, as of a damaged checkpoint, are no
/// answer.
fn best(logits: &[f32], labels: usize, text: usize, top: usize, least: f32) -> Result<Vec<(usize, f32)>> {
    let rows = logits.chunks_exact(labels).map(|row| log_odds(row, text)).enumerate();
    let mut odds: Vec<(usize, f32)> = rows.filter(|(_, odds)| !odds.is_nan()).try_to_vec()?;
    // Of equals the first, which the generator took for the better one.
    odds.sort_unstable_by(|a, b| descending(a.1, b.1).then(a.0.cmp(&b.0)));
    let probable = odds.into_iter().map(|(row, odds)| (row, 1.0 / (1.0 + libm::expf(-odds))));
    probable.take_while(|(_, probability)| *probability >= least).take(top).try_to_vec()
}

/// `ln(p / (1 - p))` of label `text` with `p = softmax(row)`. Unlike `p` itself it still tells apart what is almost
/// certain.
fn log_odds(row: &[f32], text: usize) -> f32 {
    let others = || row.iter().enumerate().filter(|(label, _)| *label != text).map(|(_, logit)| *logit);
    let highest = others().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = others().map(|logit| libm::expf(logit - highest)).sum();
    row[text] - highest - libm::logf(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorCode;

    #[test]
    fn log_odds_are_those_of_softmax() {
        let row = [1.0, -2.0, 0.5];
        let sum: f32 = row.iter().map(|logit| libm::expf(*logit)).sum();
        for text in 0..3 {
            let p = libm::expf(row[text]) / sum;
            assert!((log_odds(&row, text) - libm::logf(p / (1.0 - p))).abs() < 1e-5);
        }
        // Where the probability is 1 in f32, the odds still differ.
        assert!(log_odds(&[90.0, 0.0], 0) > log_odds(&[80.0, 0.0], 0));
    }

    #[test]
    fn the_best_rows_are_taken() {
        let logits = [0.0, 3.0, 5.0, 1.0, 2.0, 2.0, 7.0, 1.0];
        let rows = |text, top, least| -> Vec<usize> {
            best(&logits, 2, text, top, least).unwrap().into_iter().map(|(row, _)| row).collect()
        };
        assert_eq!(rows(0, 9, 0.0), [3, 1, 2, 0]);
        assert_eq!(rows(0, 9, 0.5), [3, 1, 2]);
        assert_eq!(rows(0, 2, 0.5), [3, 1]);
        assert_eq!(rows(1, 1, 0.0), [0]);
        assert!((best(&logits, 2, 0, 3, 0.0).unwrap()[2].1 - 0.5).abs() < 1e-6);
    }

    #[test]
    fn rows_that_are_not_numbers_are_no_answer() {
        // Enough of them that an order in which they equal everything would be noticed.
        let logits: Vec<f32> =
            (0..100).map(|i| if i % 3 == 0 { f32::NAN } else { (i * 37 % 50) as f32 }).collect();
        let found = best(&logits, 2, 0, usize::MAX, 0.0).unwrap();
        let numbers = logits.chunks_exact(2).filter(|row| row.iter().all(|logit| !logit.is_nan())).count();
        assert_eq!(found.len(), numbers);
        assert!(found.is_sorted_by(|(_, a), (_, b)| a >= b));
    }

    #[test]
    fn prompts_are_checked() {
        let good = TextPrompt { texts: &["a cat"], ..TextPrompt::default() };
        let sentences = good.sentences().unwrap();
        assert_eq!((sentences.len(), &sentences[0][..]), (1 + BACKGROUND.len(), "a photo of a cat"));
        for bad in [
            TextPrompt::default(),
            TextPrompt { texts: &["a cat", " "], ..good.clone() },
            TextPrompt { others: &[""], ..good.clone() },
            TextPrompt { template: Some("a photo"), ..good.clone() },
            TextPrompt { top: 0, ..good.clone() },
            TextPrompt { min_probability: f32::NAN, ..good.clone() },
            TextPrompt { min_probability: 1.5, ..good.clone() },
        ] {
            assert_eq!(bad.sentences().unwrap_err().code(), ErrorCode::InvalidArgument, "{bad:?}");
        }
    }
}
