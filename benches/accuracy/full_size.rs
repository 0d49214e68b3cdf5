//! Models of published sizes with random weights: what every stage gives that the public interface shows.

use std::path::Path;
use std::sync::Arc;

use vitrum::exec::{Cx, Monitor};
use vitrum::image::{ImageView, PixelFormat};
use vitrum::pipelines::clip::{Clip, ClipOptions, EncodeOptions};
use vitrum::pipelines::sam::{Point, PredictOptions, Prediction, Prompt, Sam, SamOptions};
use vitrum::pipelines::tracker::{Direction, PromptOptions, Tracker, TrackerOptions};
use vitrum::weights::{Bundle, OpenOptions};
use vitrum::{Result, WeightFormat};

use super::stage::Stage;

/// Where the model of a title lies in the cache of `benches/peers`, and how it is asked.
pub(crate) struct Model {
    pub(crate) title: &'static str,
    folder: &'static str,
    ask: fn(&Cx, &Bundle<'_>, WeightFormat) -> Result<Vec<Stage>>,
}

pub(crate) const MODELS: [Model; 4] = [
    Model { title: "CLIP B/32", folder: "b32", ask: clip },
    Model { title: "CLIP L/14", folder: "l14", ask: clip },
    Model { title: "SAM ViT-B", folder: "vit-b", ask: sam },
    Model { title: "SAM 2.1 Hiera-T", folder: "sam2.1-tiny", ask: sam2 },
];

impl Model {
    /// What its stages give with weights in `format`. Nothing else of the model stays in memory.
    pub(crate) fn stages(&self, cx: &Cx, cache: &Path, format: WeightFormat) -> Result<Vec<Stage>> {
        let bundle = Bundle::open(&cache.join(self.folder), OpenOptions::default())?;
        (self.ask)(cx, &bundle, format)
    }
}

/// Pictures that a CLIP embeds, and their side.
const PICTURES: u64 = 8;
const CLIP_SIDE: usize = 224;
/// Texts that it embeds.
const TEXTS: [&str; 8] = [
    "a photo of a cat",
    "a photo of a lighthouse at night",
    "two red apples on a wooden table",
    "an old map of the harbour, drawn by hand",
    "satellite picture of farmland",
    "the word OPEN in green neon letters",
    "a blurry crowd of people waiting for a train in the rain",
    "x",
];
/// Side of the pictures that are segmented.
const SAM_SIDE: usize = 1024;
/// Clicks there, each an object.
const CLICKS: [[f32; 2]; 3] = [[412.0, 530.0], [100.0, 200.0], [800.0, 700.0]];
/// Frames that are tracked after the one with the clicks, and how far each has moved, in pixels.
const TRACKED: u64 = 3;
const STEP: usize = 5;
/// Side of the squares that pictures are made of.
const SQUARE: usize = 16;

/// An RGB picture: squares of random colours, `shift` pixels to the right of where they are without, and as far down.
fn picture(seed: u64, side: usize, shift: usize) -> Vec<u8> {
    let squares = side / SQUARE;
    let colours: Vec<[u8; 3]> = (0..squares * squares).map(|i| colour(seed << 32 | i as u64)).collect();
    let square = |at: usize| (at + side - shift) % side / SQUARE;
    (0..side * side).flat_map(|i| colours[square(i / side) * squares + square(i % side)]).collect()
}

/// A random colour for each number: what SplitMix64 makes of it.
fn colour(number: u64) -> [u8; 3] {
    let mut bits = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    [bits >> 56, bits >> 48, bits >> 40].map(|byte| byte as u8)
}

fn view(pixels: &[u8], side: usize) -> Result<ImageView<'_>> {
    ImageView::packed(pixels, side, side, PixelFormat::Rgb8)
}

fn clip(cx: &Cx, bundle: &Bundle<'_>, format: WeightFormat) -> Result<Vec<Stage>> {
    let clip = Clip::load(cx, bundle, &ClipOptions::default().with_weights(format))?;
    let pictures: Vec<Vec<u8>> = (0..PICTURES).map(|seed| picture(seed, CLIP_SIDE, 0)).collect();
    let views = pictures.iter().map(|pixels| view(pixels, CLIP_SIDE)).collect::<Result<Vec<_>>>()?;
    let options = EncodeOptions::default();
    Ok(vec![
        Stage::new("image embeddings", clip.embed_dim(), clip.encode_images(&views, &options)?),
        Stage::new("text embeddings", clip.embed_dim(), clip.encode_texts(&TEXTS, &options)?),
    ])
}

fn load_sam(cx: &Cx, bundle: &Bundle<'_>, format: WeightFormat) -> Result<Sam> {
    Sam::load(cx, bundle, &SamOptions::default().with_weights(format))
}

fn sam(cx: &Cx, bundle: &Bundle<'_>, format: WeightFormat) -> Result<Vec<Stage>> {
    clicked(&load_sam(cx, bundle, format)?)
}

fn sam2(cx: &Cx, bundle: &Bundle<'_>, format: WeightFormat) -> Result<Vec<Stage>> {
    let sam = Arc::new(load_sam(cx, bundle, format)?);
    let mut stages = clicked(&sam)?;
    stages.push(tracked(sam)?);
    Ok(stages)
}

fn clicks() -> [[Point; 1]; CLICKS.len()] {
    CLICKS.map(|[x, y]| [Point::foreground(x, y)])
}

/// A picture's embedding, and the three masks of each click.
fn clicked(sam: &Sam) -> Result<Vec<Stage>> {
    let pixels = picture(0, SAM_SIDE, 0);
    let embedding = sam.encode(&view(&pixels, SAM_SIDE)?, &Monitor::none())?;
    let clicks = clicks();
    let prompts: Vec<Prompt<'_>> = clicks.iter().map(|click| Prompt::points(click)).collect();
    let mut found = Prediction::default();
    sam.predict(&embedding, &prompts, &PredictOptions::default().with_multimask(true), &mut found)?;
    let masks = (0..found.prompts()).flat_map(|prompt| (0..found.masks()).map(move |mask| (prompt, mask)));
    let logits = masks.flat_map(|(prompt, mask)| found.low_res(prompt, mask)).copied().collect();
    let scores = (0..found.prompts()).flat_map(|prompt| found.iou(prompt)).copied().collect();
    // A token of the picture has four logits on each side.
    let tokens = (sam.mask_side() / 4).pow(2);
    let values = embedding.values().to_vec();
    Ok(vec![
        Stage::new("image embedding", values.len() / tokens, values),
        Stage::masks("mask logits", sam.mask_side().pow(2), logits),
        Stage::new("IoU scores", found.masks(), scores),
    ])
}

/// Masks of the clicked objects on the frames after the click.
fn tracked(sam: Arc<Sam>) -> Result<Stage> {
    let monitor = Monitor::none();
    let options = TrackerOptions::default();
    let mut tracker = Tracker::new(sam, [SAM_SIDE; 2], &options)?;
    let push = |tracker: &mut Tracker, frame: u64| {
        let pixels = picture(0, SAM_SIDE, frame as usize * STEP);
        tracker.push(&view(&pixels, SAM_SIDE)?, &monitor)
    };
    push(&mut tracker, 0)?;
    for (object, click) in (1..).zip(&clicks()) {
        tracker.add_prompt(0, object, &Prompt::points(click), &PromptOptions::default(), &monitor)?;
    }
    let mut logits = Vec::new();
    for frame in 1..=TRACKED {
        push(&mut tracker, frame)?;
        tracker.step_at(frame, Direction::Forward, &monitor)?;
        for &object in tracker.objects() {
            logits.extend_from_slice(tracker.low_res(object, Some(frame))?);
        }
    }
    Ok(Stage::masks("mask logits, tracked", tracker.mask_side().pow(2), logits))
}
