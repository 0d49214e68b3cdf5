//! SAM: the image encoder, clicks, everything.

use std::ops::ControlFlow;

use vitrum::exec::Monitor;
use vitrum::pipelines::sam::{Point, PredictOptions, Prediction, Prompt};

use super::sam_work::{click, encoder};
use super::{Bench, SCENE, Work, done};
use crate::failure::{Exit, OrExit, Result};
use crate::model;
use crate::picture::Picture;

/// Clicks at once.
const BATCHES: [usize; 2] = [1, 64];

/// Times the model called `name` on the demo's scene: from pixels to the embedding, from clicks to three masks each,
/// and everything, with the reference's options.
pub(super) fn run(name: &str, bench: &mut Bench<'_>) -> Result<()> {
    let sam = model::load_sam(name, bench.image_size, bench.load, bench.cx)?;
    let model = sam.model();
    let scene = Picture::decode("the scene", SCENE)?;
    let view = scene.view()?;

    let side = model.image_size();
    let encode = || sam.encode(&view, &Monitor::none());
    let embedding = encode().or_exit(Exit::Other)?;
    let work = |flops| Work { flops, bytes: None };
    bench.measure("sam-encode", format!("3x{side}x{side}"), work(encoder(model)), || done(encode()))?;

    let mut prediction = Prediction::default();
    let options = PredictOptions::default();
    for batch in BATCHES {
        let place = |i: usize| Point::foreground((i % 8 * 64 + 32) as f32, (i / 8 * 48 + 24) as f32);
        let points: Vec<[Point; 1]> = (0..batch).map(|i| [place(i)]).collect();
        let prompts: Vec<Prompt<'_>> = points.iter().map(|point| Prompt::points(point)).collect();
        sam.predict(&embedding, &prompts, &options, &mut prediction).or_exit(Exit::Other)?;
        let run = || done(sam.predict(&embedding, &prompts, &options, &mut prediction));
        bench.measure("sam-click", batch.to_string(), work(batch as f64 * click(model)), run)?;
    }

    let automatic = sam.model().automatic_options();
    let clicks = automatic.points_per_side.pow(2);
    let run = || {
        let mut ignore = |_| ControlFlow::Continue(());
        done(sam.everything(&view, &automatic, &Monitor::none(), &mut ignore));
    };
    let flops = encoder(model) + clicks as f64 * click(model);
    bench.measure("sam-everything", format!("{clicks} clicks"), work(flops), run)
}
