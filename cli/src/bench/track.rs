//! SAM 2 on a video: frames with one object and with several.

use std::sync::Arc;

use vitrum::exec::Monitor;
use vitrum::pipelines::sam::{Point, Prompt};
use vitrum::pipelines::tracker::{PromptOptions, Tracker, TrackerOptions};

use super::measure::{Sampled, sample};
use super::sam_work::{click, encoder};
use super::{Bench, SCENE, Work, done, sam2_work};
use crate::failure::{Exit, Failure, OrExit, Result};
use crate::model;
use crate::picture::Picture;

/// Objects at once.
const OBJECTS: [usize; 4] = [1, 2, 4, 8];

/// Times the model called `name` on the demo's scene, again and again the same: from a frame's pixels to the masks and
/// memories of all objects, when as many memories and pointers are there as a frame attends to. A last line says what an
/// object more costs.
pub(super) fn run(name: &str, bench: &mut Bench<'_>) -> Result<()> {
    let sam = Arc::new(model::load_sam(name, bench.image_size, bench.load, bench.cx)?);
    let network = sam.sam2().and_then(|network| Some((&network.config, network.config.memory.as_ref()?)));
    let Some((config, memory)) = network else {
        return Err(Failure::new(Exit::Model, format!("model {name}: it cannot follow objects")));
    };
    let scene = Picture::decode("the scene", SCENE)?;
    let (view, size) = (scene.view()?, [scene.width, scene.height]);

    let pointers = config.tracking.max_pointers;
    let object = sam2_work::attention(config, memory, memory.count, pointers)
        + click(sam.model())
        + sam2_work::memory_encoder(config, memory);
    let shared = encoder(sam.model()) + sam2_work::shared_attention(config);
    let work = |flops| Work { flops, bytes: None };
    let mut all = Vec::new();
    for objects in OBJECTS {
        let options = TrackerOptions::default().with_max_objects(objects);
        let mut tracker = Tracker::new(Arc::clone(&sam), size, &options).or_exit(Exit::Model)?;
        let next = |tracker: &mut Tracker| {
            let monitor = Monitor::none();
            let frame = tracker.push(&view, &monitor)?;
            for i in (0..objects).filter(|_| frame == 0) {
                let place = [Point::foreground((i % 4 * 128 + 64) as f32, (i / 4 * 192 + 96) as f32)];
                tracker.add_prompt(
                    frame,
                    i as u32,
                    &Prompt::points(&place),
                    &PromptOptions::default(),
                    &monitor,
                )?;
            }
            tracker.step(&monitor)
        };
        for _ in 0..=pointers {
            next(&mut tracker).or_exit(Exit::Other)?;
        }
        let sampled = sample(bench.cx, &bench.peak, || done(next(&mut tracker)));
        let shape = format!("{objects} object{}", if objects == 1 { "" } else { "s" });
        let flops = shared + objects as f64 * object;
        bench.tell("track-frame", shape, work(flops), sampled, Some(1.0 / sampled.seconds))?;
        all.push((objects, sampled));
    }
    if let [(one, first), .., (most, last)] = all[..] {
        let seconds = (last.seconds - first.seconds) / (most - one) as f64;
        let further = Sampled { seconds, ..last };
        bench.tell("track-object", format!("each of {}", most - one), work(object), further, None)?;
    }
    Ok(())
}
