//! Single things, for CLIP.

use std::fs;

use vitrum::exec::Cx;
use vitrum::image::ImageView;
use vitrum::pipelines::clip::{Clip, ClipOptions, EncodeOptions, prompts};

use super::{Sheet, demo, open};

pub(crate) struct Pictures {
    pub(crate) sheet: Sheet,
    expected: Vec<usize>,
    labels: Vec<String>,
}

/// What a model makes of them.
pub(crate) struct Embedded {
    pub(crate) top1: usize,
    pub(crate) top5: usize,
    /// Of the pictures and of the labels, of length 1.
    pub(crate) images: Vec<Vec<f32>>,
    pub(crate) texts: Vec<Vec<f32>>,
}

impl Pictures {
    pub(crate) fn load() -> Self {
        let sheet = Sheet::load("labels.json");
        let expected = serde_json::from_value(sheet.facts["expected"].clone()).unwrap();
        let labels = fs::read_to_string(demo().join("labels.txt")).unwrap();
        Self { sheet, expected, labels: labels.lines().map(String::from).collect() }
    }

    pub(crate) fn len(&self) -> usize {
        self.expected.len()
    }

    /// Classifies all pictures with clip-nano, loaded as `options` say.
    pub(crate) fn embed(&self, cx: &Cx, options: &ClipOptions<'_>) -> Embedded {
        let clip = Clip::load(cx, &open("clip-nano"), options).unwrap();
        let (tile, columns) = (self.sheet.number("tile"), self.sheet.number("columns"));
        let views: Vec<ImageView<'_>> =
            (0..self.len()).map(|i| self.sheet.tile([i % columns, i / columns], [tile; 2])).collect();
        let labels: Vec<&str> = self.labels.iter().map(String::as_str).collect();
        let prompts = prompts(&labels, self.sheet.facts["template"].as_str()).unwrap();
        let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
        let texts = clip.encode_texts(&prompts, &EncodeOptions::default()).unwrap();
        let images = clip.encode_images(&views, &EncodeOptions::default()).unwrap();
        let logits = clip.similarity(&images, &texts).unwrap();
        let (mut top1, mut top5) = (0, 0);
        for (logits, &expected) in logits.chunks_exact(labels.len()).zip(&self.expected) {
            let better = logits.iter().filter(|&&logit| logit > logits[expected]).count();
            top1 += usize::from(better < 1);
            top5 += usize::from(better < 5);
        }
        let rows = |values: &[f32]| values.chunks_exact(clip.embed_dim()).map(<[f32]>::to_vec).collect();
        Embedded { top1, top5, images: rows(&images), texts: rows(&texts) }
    }
}
