//! Writes `docs/accuracy.md`: what weights in other formats cost, on the evaluation sets of the demo models and in models of
//! published sizes with random weights, which the scripts in `benches/peers` make in a directory `CACHE`.
//!
//!     cargo run --release --example accuracy -- CACHE > docs/accuracy.md

#[path = "../tests/demo_sets/mod.rs"]
mod demo_sets;
#[path = "accuracy/full_size.rs"]
mod full_size;
#[path = "accuracy/stage.rs"]
mod stage;

use std::env;
use std::path::Path;

use demo_sets::accuracy::{self, Figures};
use full_size::{MODELS, Model};
use stage::{Difference, Stage};
use vitrum::exec::{Cx, CxOptions};
use vitrum::{Result, WeightFormat};

const HEAD: &str = "\
# What formats of weights cost

Written by `cargo run --release --example accuracy -- CACHE > docs/accuracy.md`; the last section says what `CACHE` is.
`tests/formats.rs` holds the bounds: of each task, f16 and bf16 lose at most 0.2 points of 100, int8 0.5, q4 2; the median IoU of
masks with those of f32 is at least 0.99, 0.98 and 0.95.

The first three models are those in `demo/`, the sets those in `demo/eval`: 200 pictures, 24 scenes and 8 clips, in a style that
no model was trained on. Matrices of the towers, of the image encoders and of memory attention are in the format; patch embeddings,
tables, norms, necks, projections, prompt encoder, mask decoder and memory encoder are f32 in all of them.

";

/// Under the figures of the scenes, whose last task is not like the others.
const EVERYTHING: &str = "
`everything` is the mean, over the objects, of the IoU of the object with the automatic mask that covers it best; options are those
of `vitrum demo`. It knows no prompt, and which masks pass the thresholds may change with the format. Its masks are not among
those of the last column.
";

const FULL_SIZE: &str = "
## Full size, random weights

";

/// Without `CACHE`.
const ABSENT: &str = "Left out: this file was written without `CACHE`, the directory of models that
`benches/peers/clip_peers.py --cache CACHE`, `sam_peers.py` and `sam2_peers.py` make.
";

const PRESENT: &str = "\
Models as they are published, with the random weights that `benches/peers/clip_peers.py --cache CACHE`, `sam_peers.py` and
`sam2_peers.py` make in a directory `CACHE`. Inputs are generated: 8 pictures and 8 texts for CLIP, one picture and 3 clicks for
SAM, and 3 frames on which a SAM 2 tracks the objects clicked on the frame before them, in pictures that move.

Activations of a random network are not those of a trained one: the figures compare formats and show where an error grows, but do
not say what a format costs in a checkpoint.

Each row of a stage (an embedding, a token, a mask, the scores of a click) is compared with that of f32. `cosine` is the mean
and the least of them; `largest` the largest difference in the stage, in % of its largest value; `rms` the root mean square of
differences, in % of that of the values; `IoU` that of the masks, mean and least. The rows `f32, next` compare each row of f32
with the next one: how far apart outputs are for different inputs. A random CLIP embeds all pictures almost alike, so that a
cosine near 1 says little there. The mask decoder of the random SAM 2, which is f32, magnifies any difference: in f32, too, one
pixel that is one level off moves the embedding by 0.0001 % and the mask logits by 0.07 %, rms. Its embedding tells about
formats, its masks do not.
";

/// Before the tables of a tracker at other sizes.
const SMALLER: &str = "
A tracker may be loaded with a smaller input than that of its model (`--image-size`, `image_size` in C), which makes it faster:
docs/performance.md says how much. The model was trained at 256 pixels, as SAM 2 at 1024: 192 stands to it as 768, and 128 as 512.
";

fn main() -> Result<()> {
    let cx = Cx::new(&CxOptions::default().with_amx(true))?;
    print!("{HEAD}");
    print_machine(&cx);
    print_set(&cx, "clip-nano, pictures", accuracy::pictures);
    print_set(&cx, "sam-nano, scenes", |cx, format| accuracy::scenes(cx, format, None));
    print!("{EVERYTHING}");
    print_set(&cx, "sam2-nano, clips", |cx, format| accuracy::clips(cx, format, None));
    print!("{SMALLER}");
    for side in [192, 128] {
        print_set(&cx, &format!("sam2-nano, clips, input of {side} pixels"), |cx, format| {
            accuracy::clips(cx, format, Some(side))
        });
    }
    print!("{FULL_SIZE}");
    let Some(cache) = env::args_os().nth(1) else {
        print!("{ABSENT}");
        return Ok(());
    };
    print!("{PRESENT}");
    print_machine(&cx);
    MODELS.iter().try_for_each(|model| print_model(&cx, Path::new(&cache), model))
}

/// What computed the figures that follow.
fn print_machine(cx: &Cx) {
    let extensions: String = cx.extensions().names().map(|name| format!(", {name}")).collect();
    let level = cx.level().name();
    println!("Measured at the level {level}{extensions}. Products in int8 are the same at every level.");
}

/// A table of the tasks of a demo model.
fn print_set(cx: &Cx, title: &str, measure: impl Fn(&Cx, WeightFormat) -> Figures) {
    let exact = measure(cx, WeightFormat::F32);
    let names: Vec<_> = exact.tasks.iter().map(|(name, _)| *name).collect();
    let against = if exact.cosines(&exact).is_some() {
        "cosine with f32, mean and least"
    } else {
        "IoU with f32, median"
    };
    println!("\n## {title}\n\n| weights | {} | {against} |", names.join(" | "));
    println!("|---|{}---|", "---|".repeat(names.len()));
    for format in WeightFormat::ALL {
        let found = measure(cx, format);
        let tasks: String = found.tasks.iter().map(|(_, share)| format!(" {:.2} |", 100.0 * share)).collect();
        let close = match (found.cosines(&exact), found.alike(&exact)) {
            (Some((mean, least)), _) => format!("{mean:.5}, {least:.5}"),
            (None, alike) => format!("{:.4}", alike.expect("masks")),
        };
        println!("| {} |{tasks} {close} |", format.name());
    }
}

/// A table of the stages of a model of full size. One format is in memory at a time.
fn print_model(cx: &Cx, cache: &Path, model: &Model) -> Result<()> {
    let exact = model.stages(cx, cache, WeightFormat::F32)?;
    let mut rows: Vec<Vec<String>> =
        exact.iter().map(|stage| vec![row(stage, "f32, next", &stage.shifted().difference(stage))]).collect();
    for format in WeightFormat::ALL.into_iter().skip(1) {
        let found = model.stages(cx, cache, format)?;
        for ((rows, found), exact) in rows.iter_mut().zip(&found).zip(&exact) {
            rows.push(row(exact, format.name(), &found.difference(exact)));
        }
    }
    println!("\n### {}\n\n| stage | weights | cosine | largest, % | rms, % | IoU |", model.title);
    println!("|---|---|---|---|---|---|");
    rows.concat().iter().for_each(|row| println!("{row}"));
    Ok(())
}

fn row(stage: &Stage, weights: &str, difference: &Difference) -> String {
    let Difference { cosine: [mean, least], largest, rms, iou } = difference;
    let iou = iou.map_or(String::new(), |[mean, least]| format!(" {mean:.4}, {least:.4}"));
    let [largest, rms] = [largest, rms].map(|share| 100.0 * share);
    format!("| {} | {weights} | {mean:.5}, {least:.5} | {largest:.3} | {rms:.3} |{iou} |", stage.name)
}
