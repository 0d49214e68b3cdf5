//! Writes `docs/accuracy.md`: what weights in other formats cost on the evaluation sets of the demo models.
//!
//!     cargo run --release --example accuracy > docs/accuracy.md

#[path = "../tests/demo_sets/mod.rs"]
mod demo_sets;

use demo_sets::accuracy::{self, Figures};
use vitrum::WeightFormat;
use vitrum::exec::{Cx, CxOptions};

const HEAD: &str = "\
# What formats of weights cost

Written by `cargo run --release --example accuracy > docs/accuracy.md`. `tests/formats.rs` holds the bounds: of each task, f16
and bf16 lose at most 0.2 points of 100, int8 0.5, q4 2; the median IoU of masks with those of f32 is at least 0.99, 0.98
and 0.95.

The models are those in `demo/`, the sets those in `demo/eval`: 200 pictures, 24 scenes and 8 clips, in a style that no model was
trained on. Matrices of the towers and of the image encoders are in the format; patch embeddings, tables, norms, necks,
projections, prompt encoder, mask decoder and memory are f32 in all of them.

";

type Measure = fn(&Cx, WeightFormat) -> Figures;

fn main() {
    let cx = Cx::new(&CxOptions::default().with_amx(true)).expect("a context");
    let extensions: String = cx.extensions().names().map(|name| format!(", {name}")).collect();
    print!("{HEAD}");
    println!(
        "Measured at the level {}{extensions}. Products in int8 are the same at every level.",
        cx.level().name()
    );
    let sets: [(&str, Measure); 3] = [
        ("clip-nano, pictures", accuracy::pictures),
        ("sam-nano, scenes", accuracy::scenes),
        ("sam2-nano, clips", accuracy::clips),
    ];
    for (title, measure) in sets {
        let exact = measure(&cx, WeightFormat::F32);
        let names: Vec<_> = exact.tasks.iter().map(|(name, _)| *name).collect();
        let against = if exact.cosines(&exact).is_some() {
            "cosine with f32, mean and least"
        } else {
            "IoU with f32, median"
        };
        println!("\n## {title}\n\n| weights | {} | {against} |", names.join(" | "));
        println!("|---|{}---|", "---|".repeat(names.len()));
        for format in WeightFormat::ALL {
            let found = measure(&cx, format);
            let tasks: String =
                found.tasks.iter().map(|(_, share)| format!(" {:.2} |", 100.0 * share)).collect();
            let close = match (found.cosines(&exact), found.alike(&exact)) {
                (Some((mean, least)), _) => format!("{mean:.5}, {least:.5}"),
                (None, alike) => format!("{:.4}", alike.expect("masks")),
            };
            println!("| {} |{tasks} {close} |", format.name());
        }
    }
}
