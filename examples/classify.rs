//! Which label fits a picture best?
//!
//! ```sh
//! cargo run --release --example classify -- demo/clip-nano ffi-examples/strawberry.ppm octopus bicycle strawberry
//! ```

#[path = "common/ppm.rs"]
mod ppm;

use std::error::Error;
use std::path::Path;

use vitrum::{Bundle, ClassifyOptions, Clip, ClipOptions, Context, ContextOptions, OpenOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, picture, labels @ ..] = &args[..] else {
        return Err("usage: classify CLIP PICTURE.ppm LABEL...".into());
    };
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();

    let context = Context::new(&ContextOptions::default())?;
    let bundle = Bundle::open(Path::new(model), OpenOptions::new())?;
    let clip = Clip::load(&context, &bundle, &ClipOptions::default())?;

    let picture = ppm::Picture::read(Path::new(picture))?;
    let probabilities = clip.classify(&picture.view()?, &labels, &ClassifyOptions::default())?;
    let mut ranked: Vec<(&str, f32)> = labels.into_iter().zip(probabilities).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    for (label, probability) in ranked {
        println!("{probability:.4}\t{label}");
    }
    Ok(())
}
