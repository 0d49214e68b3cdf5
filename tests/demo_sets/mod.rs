//! The evaluation sets in `demo/eval`: pictures, scenes and clips in a style that the demo models were not trained on.
#![allow(dead_code, reason = "no test uses all of it")]

pub(crate) mod accuracy;
pub(crate) mod clips;
pub(crate) mod pictures;
pub(crate) mod scenes;

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use serde_json::Value;
use vitrum::image::{ImageView, PixelFormat};
use vitrum::weights::{Bundle, OpenOptions};

pub(crate) fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo")
}

/// The demo model in the directory `name`.
pub(crate) fn open(name: &str) -> Bundle<'static> {
    Bundle::open(&demo().join(name), OpenOptions::default()).unwrap()
}

/// A set: its facts, and a picture of tiles.
pub(crate) struct Sheet {
    pub(crate) facts: Value,
    pixels: Vec<u8>,
    row_stride: usize,
}

impl Sheet {
    /// The set that `facts` describes, a file of `demo/eval`.
    fn load(facts: &str) -> Self {
        let directory = demo().join("eval");
        let facts: Value = serde_json::from_slice(&fs::read(directory.join(facts)).unwrap()).unwrap();
        let sheet = fs::read(directory.join(facts["sheet"].as_str().unwrap())).unwrap();
        let mut sheet = png::Decoder::new(Cursor::new(sheet)).read_info().unwrap();
        let mut pixels = vec![0; sheet.output_buffer_size().unwrap()];
        let info = sheet.next_frame(&mut pixels).unwrap();
        assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Rgb, png::BitDepth::Eight));
        Self { facts, pixels, row_stride: info.line_size }
    }

    pub(crate) fn number(&self, key: &str) -> usize {
        self.facts[key].as_u64().unwrap() as usize
    }

    /// The picture of `width` by `height` pixels at these tiles from the left and from the top.
    fn tile(&self, [column, row]: [usize; 2], [width, height]: [usize; 2]) -> ImageView<'_> {
        let tile = self.number("tile");
        let at = row * tile * self.row_stride + column * tile * 3;
        ImageView::new(&self.pixels[at..], width, height, self.row_stride, PixelFormat::Rgb8).unwrap()
    }
}

pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
