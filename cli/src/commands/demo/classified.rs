//! The sample pictures and the things in the scene, named by the demo's CLIP.

use serde::Serialize;
use vitrum::exec::Cx;
use vitrum::image::ImageView;
use vitrum::pipelines::clip::{EncodeOptions, prompts};

use super::{SCENE, Sheets};
use crate::args::LoadArgs;
use crate::commands::classify::{Scored, best};
use crate::commands::{embed_texts, logits};
use crate::draw::{Canvas, Color, Rect};
use crate::failure::{Exit, OrExit, Result};
use crate::model;
use crate::output::Output;
use crate::picture::Picture;

/// Pictures of one thing each, in a style that the model was not trained on.
const SAMPLES: [(&str, &[u8]); 3] = [
    ("octopus-3d.png", include_bytes!("../../../../demo/images/octopus-3d.png")),
    ("strawberry-3d.png", include_bytes!("../../../../demo/images/strawberry-3d.png")),
    ("bicycle-3d.png", include_bytes!("../../../../demo/images/bicycle-3d.png")),
];
/// Where things are in the scene: x, y, width, height.
const REGIONS: [[usize; 4]; 6] = [
    [14, 50, 194, 200],
    [248, 82, 208, 190],
    [126, 232, 128, 118],
    [24, 292, 82, 78],
    [250, 294, 70, 70],
    [362, 258, 114, 112],
];
const LABELS: &str = include_str!("../../../../demo/labels.txt");
/// Name of the picture written.
const SHEET: &str = "classified.png";
/// Labels shown for each sample.
const SHOWN: usize = 5;

/// A part of a picture and its best labels.
#[derive(Debug, Serialize)]
struct Classified<'a> {
    image: &'a str,
    /// x, y, width, height, if it is not the whole picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<[usize; 4]>,
    labels: Vec<Scored<'a>>,
}

/// Classifies the sample pictures among all demo labels, prints a table and writes it as a picture.
pub(super) fn run(cx: &Cx, scene: &Picture, sheets: &mut Sheets<'_>, output: &mut Output) -> Result<()> {
    let clip = model::load(model::DEMO, LoadArgs::default(), cx)?;
    let labels: Vec<&str> = LABELS.lines().collect();
    let texts = embed_texts(&clip, &prompts(&labels, None).or_exit(Exit::Other)?, false)?;

    let samples = SAMPLES.map(|(name, file)| Picture::decode(name, file));
    let samples = samples.into_iter().collect::<Result<Vec<_>>>()?;
    let names = SAMPLES.iter().map(|(name, _)| (*name, None));
    let names = names.chain(REGIONS.map(|region| (SCENE.0, Some(region))));
    let views = samples.iter().map(Picture::view).chain(REGIONS.map(|region| scene.region(rect(region))));
    let views: Vec<ImageView<'_>> = views.collect::<Result<_>>()?;

    let images =
        clip.encode_images(&views, &EncodeOptions::default().with_normalize(false)).or_exit(Exit::Other)?;
    let mut scores = logits(&clip, &images, &texts)?;
    clip.probabilities(&mut scores, labels.len());
    let results: Vec<_> = names
        .zip(scores.chunks_exact(labels.len()))
        .map(|((image, region), scores)| Classified { image, region, labels: best(&labels, scores, SHOWN) })
        .collect();

    print(&results, labels.len(), output)?;
    sheets.write(SHEET, &draw(&results, &samples, scene, cx)?)?;
    sheets.show(
        SHEET,
        "Classify",
        "CLIP compares each picture, and each framed part of the scene, with 849 labels. The bars are probabilities; \
         the best label is green.",
        None,
    );
    Ok(())
}

fn rect([x, y, width, height]: [usize; 4]) -> Rect {
    Rect { x, y, width, height }
}

/// A table with bars (of the scene's parts, the best label only), or an object each.
fn print(results: &[Classified<'_>], labels: usize, output: &mut Output) -> Result<()> {
    if output.json() {
        return results.iter().try_for_each(|result| output.object(result));
    }
    output.line(format_args!("The best of {labels} labels, by the demo model, which knows emoji only."))?;
    let mut heading = "";
    for Classified { image, region, labels } in results {
        if heading != *image {
            heading = image;
            output.line(format_args!("\n{image}"))?;
        }
        for Scored { label, probability } in &labels[..if region.is_some() { 1 } else { SHOWN }] {
            const BAR: usize = 24;
            let bar = "\u{2588}".repeat((probability * BAR as f32).round() as usize);
            let at = region.map_or(String::new(), |[x, y, ..]| format!("  (at {x}, {y})"));
            output.line(format_args!("  {:5.1} %  {bar:<BAR$}  {label}{at}", probability * 100.0))?;
        }
    }
    Ok(())
}

const MARGIN: usize = 16;
const PAPER: Color = [250, 250, 248];
const INK: Color = [32, 36, 44];
const FIRST: Color = [142, 202, 150];
const OTHER: Color = [205, 222, 238];
/// Height of a line of text.
const TEXT: usize = 22;

/// Each sample with its labels beside it, on bars as long as they are probable; below, the scene with its parts named.
fn draw(results: &[Classified<'_>], samples: &[Picture], scene: &Picture, cx: &Cx) -> Result<Canvas> {
    const THUMBNAIL: usize = 160;
    const LINE: usize = 32;
    const BARS: usize = 520;
    const WIDTH: usize = THUMBNAIL + MARGIN + BARS;

    let scene_top = MARGIN + samples.len() * (THUMBNAIL + MARGIN);
    let scene_height = scene.height * WIDTH / scene.width;
    let mut canvas = Canvas::new(WIDTH + 2 * MARGIN, scene_top + scene_height + MARGIN, PAPER);
    for (i, (result, sample)) in results.iter().zip(samples).enumerate() {
        let (top, left) = (MARGIN + i * (THUMBNAIL + MARGIN), 2 * MARGIN + THUMBNAIL);
        canvas.picture(cx, rect([MARGIN, top, THUMBNAIL, THUMBNAIL]), sample.view()?)?;
        for (rank, Scored { label, probability }) in result.labels.iter().enumerate() {
            let y = top + rank * LINE;
            let width = (probability * BARS as f32).round() as usize;
            canvas.fill(rect([left, y, width, LINE - 4]), if rank == 0 { FIRST } else { OTHER });
            let percent = format!("{:.1} %", probability * 100.0);
            let y = y + (LINE - 4 - TEXT) / 2;
            canvas.text(left + 6, y, TEXT, INK, label);
            canvas.text(left + BARS - Canvas::text_width(TEXT, &percent), y, TEXT, INK, &percent);
        }
    }

    canvas.picture(cx, rect([MARGIN, scene_top, WIDTH, scene_height]), scene.view()?)?;
    for Classified { region, labels, .. } in &results[samples.len()..] {
        let Some(region) = region else { continue };
        let [x, y, width, height] = region.map(|side| side * WIDTH / scene.width);
        let (x, y) = (MARGIN + x, scene_top + y);
        canvas.outline(rect([x, y, width, height]), 2, INK);
        let text = format!("{} {:.0} %", labels[0].label, labels[0].probability * 100.0);
        let width = Canvas::text_width(TEXT, &text);
        canvas.fill(rect([x, y - TEXT - 4, width + 12, TEXT + 4]), FIRST);
        canvas.text(x + 6, y - TEXT - 2, TEXT, INK, &text);
    }
    Ok(canvas)
}
