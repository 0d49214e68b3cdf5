//! The demo model holds its figures: `demo/eval` is a fixed set of pictures in a style that training never saw.
#![cfg(feature = "std")]

use std::fs;
use std::io::Cursor;
use std::path::Path;

use serde_json::Value;
use vitrum::exec::{Cx, CxOptions};
use vitrum::image::{ImageView, PixelFormat};
use vitrum::pipelines::clip::{Clip, ClipOptions, EncodeOptions, prompts};
use vitrum::weights::{Bundle, OpenOptions};

/// `labels.json` says what `transformers` gets on the same files; a near tie may fall the other way.
#[test]
fn clip_nano_is_as_good_as_in_the_reference() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo");
    let facts: Value = serde_json::from_slice(&fs::read(demo.join("eval/labels.json")).unwrap()).unwrap();
    let number = |key: &str| facts[key].as_u64().unwrap() as usize;
    let expected: Vec<usize> = serde_json::from_value(facts["expected"].clone()).unwrap();
    let labels = fs::read_to_string(demo.join("labels.txt")).unwrap();
    let labels: Vec<&str> = labels.lines().collect();

    let sheet = fs::read(demo.join("eval").join(facts["sheet"].as_str().unwrap())).unwrap();
    let mut sheet = png::Decoder::new(Cursor::new(sheet)).read_info().unwrap();
    let mut pixels = vec![0; sheet.output_buffer_size().unwrap()];
    let info = sheet.next_frame(&mut pixels).unwrap();
    assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Rgb, png::BitDepth::Eight));
    let (tile, columns) = (number("tile"), number("columns"));
    let views: Vec<ImageView<'_>> = (0..expected.len())
        .map(|i| {
            let at = i / columns * tile * info.line_size + i % columns * tile * 3;
            ImageView::new(&pixels[at..], tile, tile, info.line_size, PixelFormat::Rgb8).unwrap()
        })
        .collect();

    let bundle = Bundle::open(&demo.join("clip-nano"), OpenOptions::default()).unwrap();
    let clip =
        Clip::load(&Cx::new(&CxOptions::default()).unwrap(), &bundle, &ClipOptions::default()).unwrap();
    let prompts = prompts(&labels, facts["template"].as_str()).unwrap();
    let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
    let texts = clip.encode_texts(&prompts, &EncodeOptions::default()).unwrap();
    let images = clip.encode_images(&views, &EncodeOptions::default()).unwrap();
    let logits = clip.similarity(&images, &texts).unwrap();
    let (mut top1, mut top5) = (0, 0);
    for (logits, &expected) in logits.chunks_exact(labels.len()).zip(&expected) {
        let better = logits.iter().filter(|&&logit| logit > logits[expected]).count();
        top1 += usize::from(better < 1);
        top5 += usize::from(better < 5);
    }
    for (what, found, reference) in [("top-1", top1, number("top1")), ("top-5", top5, number("top5"))] {
        assert!(found.abs_diff(reference) <= 1, "{what}: {found} of {}, reference {reference}", views.len());
    }
}
