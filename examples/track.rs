//! Where is the thing that was clicked in the first frame, in the others?
//!
//! ```sh
//! cargo run --release --example track -- demo/sam2-nano 40 52 ffi-examples/strawberry.ppm ffi-examples/strawberry.ppm
//! ```

#[path = "common/ppm.rs"]
mod ppm;

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use vitrum::{Bundle, Context, ContextOptions, Monitor, OpenOptions, Point, Prompt, PromptOptions};
use vitrum::{Sam, SamOptions, Tracker, TrackerOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, x, y, frames @ ..] = &args[..] else {
        return Err("usage: track SAM2 X Y FRAME.ppm...".into());
    };
    let click = [Point::foreground(x.parse()?, y.parse()?)];

    let context = Context::new(&ContextOptions::default())?;
    let bundle = Bundle::open(Path::new(model), OpenOptions::new())?;
    let sam = Arc::new(Sam::load(&context, &bundle, &SamOptions::default())?);

    let mut tracker = None;
    for (index, path) in frames.iter().enumerate() {
        let picture = ppm::Picture::read(Path::new(path))?;
        let view = picture.view()?;
        let size = [view.width(), view.height()];
        let tracker = match &mut tracker {
            Some(tracker) => tracker,
            none => none.insert(Tracker::new(sam.clone(), size, &TrackerOptions::default())?),
        };
        let frame = tracker.push(&view, &Monitor::none())?;
        if index == 0 {
            let prompt = Prompt::points(&click);
            tracker.add_prompt(frame, 1, &prompt, &PromptOptions::default(), &Monitor::none())?;
        }
        tracker.step(&Monitor::none())?;
        let mask = tracker.rle(1, None, 0.0)?;
        println!("{path}\t{} pixels\tbox {:?}", mask.area(), mask.bounding_box());
    }
    Ok(())
}
