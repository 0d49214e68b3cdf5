//! An animal clicked in the first frame of a clip, and followed behind a tree and out again, by the demo's SAM 2.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use vitrum::exec::Cx;
use vitrum::pipelines::sam::Point;
use vitrum::pipelines::tracker::TrackerOptions;

use super::Sheets;
use crate::args::LoadArgs;
use crate::commands::track::{Follower, Plan, Tracked, draw};
use crate::draw::Overlay;
use crate::failure::{Exit, Failure, Result};
use crate::model;
use crate::output::Output;
use crate::video::{self, Reader};

const CLIP: (&str, &[u8]) = ("tree.gif", include_bytes!("../../../../demo/clips/tree.gif"));
/// Where to click, and what should be found.
const FACTS: &str = include_str!("../../../../demo/clips/tree.json");
/// Its colour stands out from the animal's.
const OBJECT: u32 = 0;
/// How much larger than the clip the animation is.
const SCALE: f32 = 2.0;
/// Seconds for which the first frame, with the click on it, is shown longer.
const PAUSE: f64 = 1.0;

/// What is known of the clip.
#[derive(Debug, Deserialize)]
struct Facts {
    /// Frame, x, y, and 1 for a click on the animal.
    click: [f32; 4],
}

/// What was found, and in which clip.
#[derive(Debug, Serialize)]
struct Followed<'a> {
    clip: &'a str,
    #[serde(flatten)]
    found: &'a Tracked,
}

/// Follows what was clicked, prints how large it is, or an object for each frame, and writes an animation.
pub(super) fn run(cx: &Cx, sheets: &mut Sheets<'_>, output: &mut Output) -> Result<()> {
    let (name, bytes) = CLIP;
    let mut clip = video::gif(name, bytes.to_vec())?;
    let sam = Arc::new(model::load_sam(model::DEMO_SAM2, None, LoadArgs::default(), cx)?);
    let facts: Facts = serde_json::from_str(FACTS)
        .map_err(|error| Failure::new(Exit::Other, format!("the demo's clip: {error}")))?;
    let [_, x, y, _] = facts.click;
    let mut plan = Plan::default();
    plan.at(0, OBJECT).points.push(Point::foreground(x, y));
    let options = TrackerOptions::default().with_num_frames(clip.len());

    let (mut follower, mut areas, mut frames) = (None, Vec::new(), Vec::new());
    let mut spent = Duration::ZERO;
    while let Some(frame) = clip.next()? {
        let follower = match &mut follower {
            Some(follower) => follower,
            None => follower.insert(Follower::new(Arc::clone(&sam), frame.picture, &options, &plan, 0.0)?),
        };
        let index = areas.len() as u64;
        let start = Instant::now();
        let found = follower.follow(index, frame.picture)?;
        spent += start.elapsed();
        if output.json() {
            found.iter().try_for_each(|found| output.object(&Followed { clip: name, found }))?;
        }
        areas.push(found.iter().map(|it| it.area).sum::<u32>());
        let canvas = draw(cx, frame.picture, SCALE, &found, &plan, index).map(Overlay::into_canvas)?;
        frames.push((canvas, frame.seconds + if index == 0 { PAUSE } else { 0.0 }));
    }
    if !output.json() {
        output.line(format_args!("\n{name}, tracked: size of the mask in each frame, in pixels"))?;
        let areas: Vec<String> = areas.iter().map(u32::to_string).collect();
        output.line(format_args!("  click {x},{y:<9}  {}", areas.join(" ")))?;
        let rate = areas.len() as f64 / spent.as_secs_f64();
        output.line(format_args!("  {} frames, {rate:.1} a second", areas.len()))?;
    }
    sheets.write_gif("tracked.gif", &frames)?;
    sheets.show(
        "tracked.gif",
        "Track",
        "SAM 2 gets one click in the first frame and follows the animal behind the tree and out again.",
        None,
    );
    Ok(())
}
