//! The demo models with other weights, in memory.
#![allow(dead_code, reason = "every test file is a crate of its own and uses a part of this")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use half::f16;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use vitrum::pipelines::sam::{Sam, SamOptions};
use vitrum::simd::Level;
use vitrum::{Bundle, Context, ImageView, Limits, PixelFormat, Result};
use vitrum::{BundleParts, Clip, ClipOptions};

/// The directory of a demo model.
pub(crate) fn directory(model: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo").join(model)
}

/// The files of a demo model.
pub(crate) struct Demo {
    pub(crate) weights: Vec<u8>,
    pub(crate) files: Vec<(&'static str, Vec<u8>)>,
}

impl Demo {
    /// As it is.
    pub(crate) fn new(model: &str) -> Self {
        let read = |name: &str| fs::read(directory(model).join(name));
        let names = ["config.json", "preprocessor_config.json", "tokenizer.json"];
        let files = names.into_iter().filter_map(|name| Some((name, read(name).ok()?))).collect();
        Self { weights: read("model.safetensors").unwrap(), files }
    }

    /// With the values of its tensors changed, in f32.
    pub(crate) fn changed(model: &str, change: impl Fn(&str, &mut [f32])) -> Self {
        let demo = Self::new(model);
        let tensors = SafeTensors::deserialize(&demo.weights).unwrap();
        let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
            .iter()
            .map(|(name, view)| {
                assert_eq!(view.dtype(), Dtype::F16, "{name}");
                let halves = view.data().as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes));
                let mut values: Vec<f32> = halves.map(f16::to_f32).collect();
                change(name, &mut values);
                let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                (name.to_owned(), view.shape().to_vec(), bytes)
            })
            .collect();
        let views = tensors.iter().map(|(name, shape, bytes)| {
            (&name[..], TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
        });
        Self { weights: serialize(views, None).unwrap(), ..demo }
    }

    /// With `from` replaced by `to` in its configuration.
    pub(crate) fn with_config(mut self, from: &str, to: &str) -> Self {
        let (_, config) = self.files.iter_mut().find(|(name, _)| *name == "config.json").unwrap();
        let text = str::from_utf8(config).unwrap();
        assert!(text.contains(from), "{from}");
        *config = text.replace(from, to).into_bytes();
        self
    }

    pub(crate) fn bundle(&self) -> Bundle<'_> {
        let parts = BundleParts::new(&self.weights);
        let parts = self.files.iter().fold(parts, |parts, (name, bytes)| parts.with_file(name, bytes));
        Bundle::from_memory(parts).unwrap()
    }

    pub(crate) fn sam(&self, limits: Limits) -> Result<Arc<Sam>> {
        Sam::load(&context(limits), &self.bundle(), &SamOptions::default()).map(Arc::new)
    }

    pub(crate) fn clip(&self, limits: Limits) -> Result<Clip> {
        Clip::load(&context(limits), &self.bundle(), &ClipOptions::default())
    }
}

/// A context on the calling thread.
pub(crate) fn context(limits: Limits) -> Context {
    Context::serial(Level::detect()).with_limits(limits)
}

/// Pixels of a picture of 96 × 64 with a bright square.
pub(crate) fn pixels() -> Vec<u8> {
    let inside = |x: usize, y: usize| (30..60).contains(&x) && (20..50).contains(&y);
    (0..96 * 64).flat_map(|i| if inside(i % 96, i / 96) { [250, 200, 40] } else { [30, 60, 90] }).collect()
}

/// Their picture.
pub(crate) fn picture(pixels: &[u8]) -> ImageView<'_> {
    ImageView::packed(pixels, 96, 64, PixelFormat::Rgb8).unwrap()
}
