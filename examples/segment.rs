//! What is there where the picture was clicked?
//!
//! ```sh
//! cargo run --release --example segment -- demo/sam-nano ffi-examples/strawberry.ppm 40 52
//! ```

#[path = "common/ppm.rs"]
mod ppm;

use std::error::Error;
use std::path::Path;

use vitrum::{Bundle, Context, ContextOptions, Monitor, OpenOptions};
use vitrum::{Point, PredictOptions, Prediction, Prompt, Sam, SamOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, picture, x, y] = &args[..] else { return Err("usage: segment SAM PICTURE.ppm X Y".into()) };

    let context = Context::new(&ContextOptions::default())?;
    let bundle = Bundle::open(Path::new(model), OpenOptions::new())?;
    let sam = Sam::load(&context, &bundle, &SamOptions::default())?;

    // A picture is encoded once; then every prompt costs little.
    let picture = ppm::Picture::read(Path::new(picture))?;
    let embedding = sam.encode(&picture.view()?, &Monitor::none())?;
    let click = [Point::foreground(x.parse()?, y.parse()?)];
    let mut prediction = Prediction::default();
    sam.predict(&embedding, &[Prompt::points(&click)], &PredictOptions::default(), &mut prediction)?;

    // A click may mean a part, the whole thing, or more: there are three masks, with the IoU that the model expects.
    for (mask, score) in prediction.iou(0).iter().enumerate() {
        let rle = prediction.rle(0, mask, 0.0)?;
        println!(
            "{score:.4}\t{} pixels\tbox {:?}\t{}",
            rle.area(),
            rle.bounding_box(),
            rle.to_coco_string().unwrap()
        );
    }
    Ok(())
}
