//! What weights in other formats cost in accuracy, on the evaluation sets of the demo models. `docs/accuracy.md` has the
//! figures; these are the bounds.
#![cfg(feature = "std")]

mod demo_sets;

use demo_sets::accuracy::{self, Figures};
use vitrum::WeightFormat;
use vitrum::exec::{Cx, CxOptions};

/// Scenes in which everything is segmented: all of them, as in `docs/accuracy.md`, would take minutes.
const EVERYTHING: usize = 8;

/// Points, of a hundred, that each figure of a task may lose.
fn most_lost(format: WeightFormat) -> f64 {
    match format {
        WeightFormat::Int8 => 0.5,
        WeightFormat::Q4 => 2.0,
        _ => 0.2,
    }
}

/// The median IoU that masks have at least with those of f32.
fn least_alike(format: WeightFormat) -> f64 {
    match format {
        WeightFormat::Int8 => 0.98,
        WeightFormat::Q4 => 0.95,
        _ => 0.99,
    }
}

fn check(measure: fn(&Cx, WeightFormat) -> Figures) {
    let cx = Cx::new(&CxOptions::default()).unwrap();
    let exact = measure(&cx, WeightFormat::F32);
    for format in WeightFormat::ALL.into_iter().skip(1) {
        let found = measure(&cx, format);
        for ((name, exact), (_, found)) in exact.tasks.iter().zip(&found.tasks) {
            let lost = 100.0 * (exact - found);
            println!("{} {name}: {found:.4}, f32 {exact:.4}", format.name());
            assert!(lost <= most_lost(format), "{} {name}: {found:.4}, f32 {exact:.4}", format.name());
        }
        if let Some(alike) = found.alike(&exact) {
            println!("{}: median IoU with f32 {alike:.4}", format.name());
            assert!(alike >= least_alike(format), "{}: median IoU with f32 {alike:.4}", format.name());
        }
        if let Some((mean, least)) = found.cosines(&exact) {
            println!("{}: cosines with f32 {mean:.5}, at least {least:.5}", format.name());
        }
    }
}

#[test]
fn clip_nano_in_every_format() {
    check(accuracy::pictures);
}

#[test]
fn sam_nano_in_every_format() {
    check(|cx, format| accuracy::scenes(cx, format, Some(EVERYTHING)));
}

#[test]
fn sam2_nano_in_every_format() {
    check(|cx, format| accuracy::clips(cx, format, None));
}
