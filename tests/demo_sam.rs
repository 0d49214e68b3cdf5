//! The demo model of SAM holds its figures: `demo/eval/scenes.*` are composed of pictures that training never saw.
#![cfg(feature = "std")]

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use serde_json::Value;
use vitrum::exec::{Cx, CxOptions, Monitor};
use vitrum::image::{ImageView, PixelFormat};
use vitrum::pipelines::mask::Rle;
use vitrum::pipelines::sam::{Embedding, Label, Point, PredictOptions, Prediction, Prompt, Sam, SamOptions};
use vitrum::weights::{Bundle, OpenOptions};

/// Masks of the library and of the reference differ where a logit is almost 0.
const IOU_BOUND: f64 = 0.002;

fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo")
}

/// The sheet of scenes and what is asked of them.
struct EvaluationSet {
    sam: Sam,
    facts: Value,
    pixels: Vec<u8>,
    row_stride: usize,
}

impl EvaluationSet {
    fn load() -> Self {
        let facts: Value =
            serde_json::from_slice(&fs::read(demo().join("eval/scenes.json")).unwrap()).unwrap();
        let sheet = fs::read(demo().join("eval").join(facts["sheet"].as_str().unwrap())).unwrap();
        let mut sheet = png::Decoder::new(Cursor::new(sheet)).read_info().unwrap();
        let mut pixels = vec![0; sheet.output_buffer_size().unwrap()];
        let info = sheet.next_frame(&mut pixels).unwrap();
        assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Rgb, png::BitDepth::Eight));
        let bundle = Bundle::open(&demo().join("sam-nano"), OpenOptions::default()).unwrap();
        let cx = Cx::new(&CxOptions::default()).unwrap();
        let sam = Sam::load(&cx, &bundle, &SamOptions::default()).unwrap();
        Self { sam, facts, pixels, row_stride: info.line_size }
    }

    fn size(&self, scene: usize) -> (usize, usize) {
        let side = |i: usize| self.facts["sizes"][scene][i].as_u64().unwrap() as usize;
        (side(0), side(1))
    }

    fn encode(&self, scene: usize) -> Embedding {
        let number = |key: &str| self.facts[key].as_u64().unwrap() as usize;
        let (tile, columns) = (number("tile"), number("columns"));
        let at = scene / columns * tile * self.row_stride + scene % columns * tile * 3;
        let (width, height) = self.size(scene);
        let image = ImageView::new(&self.pixels[at..], width, height, self.row_stride, PixelFormat::Rgb8);
        self.sam.encode(&image.unwrap(), &Monitor::none()).unwrap()
    }

    fn mask(&self, scene: usize, mask: &Value) -> Rle {
        let (width, height) = self.size(scene);
        Rle::from_coco_string(mask.as_str().unwrap(), width, height).unwrap()
    }

    /// The predicted masks, and the IoU of each with `truth`.
    fn predict(
        &self,
        embedding: &Embedding,
        prompt: Prompt<'_>,
        multimask: bool,
        truth: &Rle,
    ) -> (Prediction, Vec<f64>) {
        let mut prediction = Prediction::default();
        self.sam
            .predict(
                embedding,
                &[prompt],
                &PredictOptions::default().with_multimask(multimask),
                &mut prediction,
            )
            .unwrap();
        let iou = |mask| prediction.rle(0, mask, 0.0).unwrap().iou(truth).unwrap();
        let iou = (0..prediction.masks()).map(iou).collect();
        (prediction, iou)
    }
}

fn best(iou: &[f64]) -> usize {
    (1..iou.len()).fold(0, |best, mask| if iou[mask] > iou[best] { mask } else { best })
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

/// `scenes.json` says what `transformers` gets on the same files with the same clicks.
#[test]
fn sam_nano_is_as_good_as_in_the_reference() {
    let set = EvaluationSet::load();
    let objects = set.facts["objects"].as_array().unwrap();
    let mut embedding = (usize::MAX, None);
    // One, two, three clicks, and a box.
    let (mut found, mut reference) = ([0.0; 4], [0.0; 4]);
    for object in objects {
        let scene = object["scene"].as_u64().unwrap() as usize;
        if embedding.0 != scene {
            embedding = (scene, Some(set.encode(scene)));
        }
        let embedding = embedding.1.as_ref().unwrap();
        let truth = set.mask(scene, &object["mask"]);
        let clicks: Vec<Point> = object["clicks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|click| {
                let click = numbers(click);
                let label = Label::try_from(click[2] as i32).unwrap();
                Point { x: click[0] as f32, y: click[1] as f32, label }
            })
            .collect();
        let (mut prediction, iou) = set.predict(embedding, Prompt::points(&clicks[..1]), true, &truth);
        let mut mask = best(&iou);
        found[0] += iou[mask];
        for count in 2..=3 {
            let logits = prediction.low_res(0, mask).to_vec();
            let prompt = Prompt::points(&clicks[..count]).with_mask(&logits[..]);
            let (next, iou) = set.predict(embedding, prompt, false, &truth);
            found[count - 1] += iou[0];
            (prediction, mask) = (next, 0);
        }
        let bounds = numbers(&object["box"]);
        let prompt = Prompt::bounding_box([0, 1, 2, 3].map(|i| bounds[i] as f32));
        found[3] += set.predict(embedding, prompt, false, &truth).1[0];
        for (sum, iou) in reference.iter_mut().zip(numbers(&object["iou"])) {
            *sum += iou;
        }
        reference[3] += object["box_iou"].as_f64().unwrap();
    }
    for (what, (found, reference)) in
        ["1 click", "2 clicks", "3 clicks", "box"].into_iter().zip(found.into_iter().zip(reference))
    {
        let [found, reference] = [found, reference].map(|sum| sum / objects.len() as f64);
        println!("{what}: mean IoU {found:.4}, reference {reference:.4}");
        assert!((found - reference).abs() <= IOU_BOUND, "{what}: {found}, reference {reference}");
    }
}

/// One click that may mean a part or the whole: two of the three masks answer one each.
#[test]
fn a_click_means_a_part_or_the_whole() {
    let set = EvaluationSet::load();
    let facts = &set.facts["ambiguous"];
    let scene = set.facts["sizes"].as_array().unwrap().len() - 1;
    let embedding = set.encode(scene);
    let click = numbers(&facts["click"]);
    let click = [Point::foreground(click[0] as f32, click[1] as f32)];
    let mut chosen = Vec::new();
    for (i, what) in ["part", "whole"].into_iter().enumerate() {
        let truth = set.mask(scene, &facts[what]);
        let (_, iou) = set.predict(&embedding, Prompt::points(&click), true, &truth);
        let reference = facts["iou"][i].as_f64().unwrap();
        let mask = best(&iou);
        assert!((iou[mask] - reference).abs() <= IOU_BOUND, "{what}: {}, reference {reference}", iou[mask]);
        chosen.push(mask as u64);
    }
    assert_ne!(chosen[0], chosen[1]);
    assert_eq!(Value::from(chosen), facts["masks"]);
}
