//! The scene clicked, boxed, asked by word, and everything in it, by the demo's SAM.

use std::ops::ControlFlow;

use serde::Serialize;
use vitrum::exec::{Cx, Monitor};
use vitrum::pipelines::sam::{
    AutomaticOptions, Embedding, Point, PredictOptions, Prediction, Prompt, Sam, TextPrompt,
};

use super::{SCENE, Sheets};
use crate::args::LoadArgs;
use crate::commands::masks::{Record, tinted};
use crate::draw::{Overlay, color};
use crate::failure::{Exit, OrExit, Result};
use crate::model;
use crate::output::Output;
use crate::picture::Picture;

/// On the apple, the ball and the bear.
const CLICKS: [[f32; 2]; 3] = [[65.0, 335.0], [285.0, 330.0], [420.0, 320.0]];
/// Around the tree, the house and the bear: left, top, right, bottom.
const BOXES: [[f32; 4]; 3] =
    [[30.0, 50.0, 190.0, 249.0], [246.0, 90.0, 452.0, 268.0], [368.0, 263.0, 471.0, 365.0]];
const TEXTS: [&str; 4] = ["a red apple", "a dog", "a teddy bear", "a soccer ball"];
/// Name of the picture written of the scene alone.
const BEFORE: &str = "scene.png";
/// How much larger than the scene the pictures are.
const SCALE: f32 = 2.0;

/// The demo's SAM is small, and its masks are not always neat.
fn automatic(sam: &Sam) -> AutomaticOptions {
    sam.model().automatic_options().with_min_mask_region_area(100)
}

/// A mask and what it answers.
#[derive(Debug, Serialize)]
struct Segmented<'a> {
    image: &'a str,
    asked: String,
    #[serde(flatten)]
    found: Record<'a>,
}

/// Answers all kinds of prompts, prints a line or an object for each mask and writes a picture for each kind.
pub(super) fn run(cx: &Cx, scene: &Picture, sheets: &mut Sheets<'_>, output: &mut Output) -> Result<()> {
    let sam = model::load_sam(model::DEMO_SAM, None, LoadArgs::default(), cx)?;
    if !output.json() {
        output.line(format_args!("\n{}, segmented: size and place of the masks, in pixels", SCENE.0))?;
    }
    let show =
        |found: &[Segmented<'_>], output: &mut Output| found.iter().try_for_each(|it| it.print(output));

    let mut everything = Vec::new();
    let keep = &mut |record| {
        everything.push(Segmented {
            image: SCENE.0,
            asked: "everything".into(),
            found: Record::from(record),
        });
        ControlFlow::Continue(())
    };
    let view = scene.view()?;
    let embedding = sam.everything(&view, &automatic(&sam), &Monitor::none(), keep).or_exit(Exit::Other)?;

    let clicked = click(&sam, &embedding)?;
    show(&clicked, output)?;
    let mut overlay = overlay(cx, scene, &clicked)?;
    CLICKS.iter().for_each(|&place| overlay.point(place, true));
    sheets.write(BEFORE, &Overlay::new(cx, view, SCALE)?.into_canvas())?;
    sheets.write("clicked.png", &overlay.into_canvas())?;
    sheets.show(
        "clicked.png",
        "Click",
        "SAM gets the three points with a plus. Of the three masks that it predicts for each, the one with the best \
         score is tinted.",
        Some(BEFORE),
    );

    let boxed = draw_boxes(&sam, &embedding)?;
    show(&boxed, output)?;
    let mut overlay = self::overlay(cx, scene, &boxed)?;
    BOXES.iter().enumerate().for_each(|(i, &corners)| overlay.bounding_box(corners, color(i)));
    sheets.write("boxed.png", &overlay.into_canvas())?;
    sheets.show("boxed.png", "Box", "SAM gets the frames and predicts one mask for each.", Some(BEFORE));

    let asked = ask(&sam, cx, scene)?;
    show(&asked, output)?;
    let mut overlay = self::overlay(cx, scene, &asked)?;
    for (i, Segmented { asked, found, .. }) in asked.iter().enumerate() {
        let [x, y, ..] = found.bbox;
        overlay.label([x as f32, y as f32 - 2.0], asked, color(i));
    }
    sheets.write("asked.png", &overlay.into_canvas())?;
    sheets.show(
        "asked.png",
        "Say what you want",
        "SAM finds masks of everything; CLIP chooses the one that looks most like each text.",
        Some(BEFORE),
    );

    if output.json() {
        show(&everything, output)?;
    } else {
        output.line(format_args!("  everything            {} masks", everything.len()))?;
    }
    sheets.write("everything.png", &self::overlay(cx, scene, &everything)?.into_canvas())?;
    sheets.show(
        "everything.png",
        "Everything",
        "SAM is asked at 32 × 32 points; masks of low quality and duplicates are dropped.",
        Some(BEFORE),
    );
    Ok(())
}

impl Segmented<'_> {
    fn print(&self, output: &mut Output) -> Result<()> {
        if output.json() {
            return output.object(self);
        }
        let ([x, y, width, height], asked) = (self.found.bbox, &self.asked);
        let sure = match self.found.probability {
            Some(probability) => format!("probability {probability:.2}"),
            None => format!("expected IoU {:.2}", self.found.predicted_iou),
        };
        output.line(format_args!("  {asked:<20}  {width:>3} x {height:<3}  at {x:>3}, {y:<3}  {sure}"))
    }
}

/// The scene with masks, each in its colour.
fn overlay(cx: &Cx, scene: &Picture, found: &[Segmented<'_>]) -> Result<Overlay> {
    let masks = found.iter().enumerate().map(|(i, it)| (&it.found.segmentation, color(i)));
    tinted(cx, scene, SCALE, masks)
}

/// Of each click the mask that the model thinks best of.
fn click(sam: &Sam, embedding: &Embedding) -> Result<Vec<Segmented<'static>>> {
    let points = CLICKS.map(|[x, y]| [Point::foreground(x, y)]);
    let prompts = points.each_ref().map(|points| Prompt::points(points));
    answers(sam, embedding, &prompts, true, |i| format!("click {},{}", CLICKS[i][0], CLICKS[i][1]))
}

/// A box leaves no doubt about what is meant: one mask.
fn draw_boxes(sam: &Sam, embedding: &Embedding) -> Result<Vec<Segmented<'static>>> {
    let prompts = BOXES.map(Prompt::bounding_box);
    answers(sam, embedding, &prompts, false, |i| {
        format!("box {}", BOXES[i].map(|side| side.to_string()).join(","))
    })
}

fn answers(
    sam: &Sam,
    embedding: &Embedding,
    prompts: &[Prompt<'_>],
    multimask: bool,
    name: impl Fn(usize) -> String,
) -> Result<Vec<Segmented<'static>>> {
    let mut prediction = Prediction::default();
    let options = PredictOptions::default().with_multimask(multimask);
    sam.predict(embedding, prompts, &options, &mut prediction).or_exit(Exit::Other)?;
    let best = |prompt: usize| {
        let mask = prediction.best(prompt);
        let found = Record::of(&prediction, prompt, mask, 0.0)?;
        Ok(Segmented { image: SCENE.0, asked: name(prompt), found })
    };
    (0..prediction.prompts()).map(best).collect()
}

/// Of each text the mask that looks most like it.
fn ask(sam: &Sam, cx: &Cx, scene: &Picture) -> Result<Vec<Segmented<'static>>> {
    let clip = model::load(model::DEMO, LoadArgs::default(), cx)?;
    let prompt = TextPrompt::default().with_texts(&TEXTS).with_automatic(automatic(sam));
    let found = sam.ground(&clip, &scene.view()?, &prompt, &Monitor::none());
    let (matches, _) = found.or_exit(Exit::Other)?;
    let named = matches.into_iter().map(|it| Segmented {
        image: SCENE.0,
        asked: TEXTS[it.text].into(),
        found: Record { probability: Some(it.probability), ..Record::from(it.record) },
    });
    Ok(named.collect())
}
