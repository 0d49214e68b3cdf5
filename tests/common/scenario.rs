//! Videos and users of `tests/golden/tracker`, as its generator has them.
#![allow(dead_code, reason = "every test file is a crate of its own and uses a part of this")]

use std::fs;
use std::ops::ControlFlow;

use serde_json::Value;
use vitrum::Result;
use vitrum::exec::Monitor;
use vitrum::image::{ImageView, PixelFormat};
use vitrum::pipelines::sam::{Label, Point, Prompt};
use vitrum::pipelines::tracker::{
    Direction, FrameSource, PromptOptions, Propagation, Tracker, TrackerOptions,
};

use super::common::path;

pub(crate) const HEIGHT: usize = 60;
pub(crate) const WIDTH: usize = 84;
pub(crate) const FRAMES: u64 = 22;

/// Frame `t`, RGB: three discs over a texture; the second is not there in frames 13 to 15.
pub(crate) fn frame(t: u64) -> Vec<u8> {
    let t = t as i64;
    let discs = [
        (20 + 2 * t, 30, 10, [230, 40, 40]),
        (60 - t, 20 + t, 8, [40, 60, 240]),
        (70, 50, 6, [250, 250, 90]),
    ];
    let mut pixels = Vec::with_capacity(3 * HEIGHT * WIDTH);
    for (y, x) in (0..HEIGHT as i64).flat_map(|y| (0..WIDTH as i64).map(move |x| (y, x))) {
        let texture = [(3 * x + y + 2 * t) % 160, (x + 4 * y) % 160, (2 * x + 5 * y + t) % 160];
        let mut colour = texture.map(|value| value as u8);
        for (i, &(cx, cy, radius, disc)) in discs.iter().enumerate() {
            if is_within(x, y, cx, cy, radius) && !(i == 1 && (13..=15).contains(&t)) {
                colour = disc;
            }
        }
        pixels.extend(colour);
    }
    pixels
}

fn is_within(x: i64, y: i64, cx: i64, cy: i64, radius: i64) -> bool {
    (x - cx).pow(2) + (y - cy).pow(2) < radius.pow(2)
}

/// A mask of the picture's size.
pub(crate) fn disc(cx: i64, cy: i64, radius: i64) -> Vec<u8> {
    let places = (0..HEIGHT as i64).flat_map(|y| (0..WIDTH as i64).map(move |x| (y, x)));
    places.map(|(y, x)| u8::from(is_within(x, y, cx, cy, radius))).collect()
}

/// Points at the first disc as it is in frame 0.
pub(crate) fn click(tracker: &mut Tracker, frame: u64, object: u32) {
    let point = [Point::foreground(20.0, 30.0)];
    tracker
        .add_prompt(frame, object, &Prompt::points(&point), &PromptOptions::default(), &Monitor::none())
        .unwrap();
}

/// The video, read frame by frame.
#[derive(Default)]
pub(crate) struct Video {
    pixels: Vec<u8>,
    /// How often a frame was read.
    pub(crate) reads: usize,
}

impl Video {
    pub(crate) fn image(&mut self, index: u64) -> ImageView<'_> {
        self.reads += 1;
        self.pixels = frame(index);
        ImageView::packed(&self.pixels, WIDTH, HEIGHT, PixelFormat::Rgb8).unwrap()
    }
}

impl FrameSource for Video {
    fn frames(&self) -> Option<u64> {
        Some(FRAMES)
    }

    fn frame(&mut self, index: u64) -> Result<Option<ImageView<'_>>> {
        Ok((index < FRAMES).then(|| self.image(index)))
    }
}

/// What a user does, from `tracker/scenarios.json`.
#[derive(Clone)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) cases: Vec<String>,
    pub(crate) options: TrackerOptions,
    pub(crate) steps: Vec<Value>,
}

impl Scenario {
    /// All of them, for trackers that keep what the reference keeps.
    pub(crate) fn all() -> Vec<Self> {
        let text = fs::read_to_string(path("tracker/scenarios.json")).unwrap();
        let scenarios: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
        scenarios.into_iter().map(|(name, value)| Self::read(name, &value)).collect()
    }

    fn read(name: String, value: &Value) -> Self {
        let strings = |value: &Value| -> Vec<String> {
            value.as_array().unwrap().iter().map(|s| s.as_str().unwrap().to_owned()).collect()
        };
        let default = TrackerOptions::default()
            .with_num_frames(FRAMES)
            .with_held_frames(FRAMES as usize)
            .with_both_directions(true);
        let flag = |key: &str, default: bool| value["options"][key].as_bool().unwrap_or(default);
        let options = default
            .with_fill_hole_area(value["options"]["fill_hole_area"].as_u64().unwrap_or(8) as u32)
            .with_non_overlap_memory(flag("non_overlap_memory", default.non_overlap_memory))
            .with_binarize_clicked_masks(flag("binarize_clicked_masks", default.binarize_clicked_masks))
            .with_corrections_are_conditioning(flag(
                "corrections_are_conditioning",
                default.corrections_are_conditioning,
            ))
            .with_clear_memory_around_input(flag(
                "clear_memory_around_input",
                default.clear_memory_around_input,
            ))
            .with_dynamic_multimask_via_stability(flag(
                "dynamic_multimask_via_stability",
                default.dynamic_multimask_via_stability,
            ));
        Self {
            name,
            cases: strings(&value["cases"]),
            options,
            steps: value["steps"].as_array().unwrap().clone(),
        }
    }

    /// Does it, and calls `each` for every result: of a prompt, and of every object on every frame of a propagation.
    pub(crate) fn play(
        &self,
        tracker: &mut Tracker,
        video: &mut Video,
        each: &mut dyn FnMut(&Tracker, u64, u32),
    ) {
        let none = Monitor::none();
        for step in &self.steps {
            let number = |key: &str| step[key].as_i64().unwrap();
            let at = || (number("frame") as u64, number("object") as u32);
            match step["do"].as_str().unwrap() {
                "click" => {
                    let (frame, object) = at();
                    hold(tracker, video, frame);
                    let points: Vec<Point> = step["points"].as_array().unwrap().iter().map(point).collect();
                    let bounds = step["box"].as_array().map(|b| [0, 1, 2, 3].map(|i| float(&b[i])));
                    let prompt = Prompt::default().with_points(&points).with_bounding_box(bounds);
                    let keep = step["keep"].as_bool().unwrap();
                    let options = PromptOptions::default().with_keep_earlier(keep);
                    tracker.add_prompt(frame, object, &prompt, &options, &none).unwrap();
                    each(tracker, frame, object);
                }
                "mask" => {
                    let (frame, object) = at();
                    hold(tracker, video, frame);
                    let [x, y, radius] = [0, 1, 2].map(|i| step["disc"][i].as_i64().unwrap());
                    tracker.add_mask(frame, object, &disc(x, y, radius), [WIDTH, HEIGHT], &none).unwrap();
                    each(tracker, frame, object);
                }
                "clear" => tracker.clear_prompts(number("frame") as u64, number("object") as u32).unwrap(),
                "remove" => tracker.remove_object(number("object") as u32).unwrap(),
                "propagate" => {
                    let backward = step["backward"].as_bool().unwrap();
                    let propagation = Propagation::default()
                        .with_start(step["start"].as_u64())
                        .with_direction(if backward { Direction::Backward } else { Direction::Forward })
                        .with_max_frames(step["most"].as_u64());
                    tracker
                        .propagate(video, &propagation, &none, &mut |tracker, frame| {
                            tracker.objects().iter().for_each(|&object| each(tracker, frame, object));
                            ControlFlow::Continue(())
                        })
                        .unwrap();
                }
                other => panic!("{other}"),
            }
        }
    }
}

/// Sees to it that a frame is held.
fn hold(tracker: &mut Tracker, video: &mut Video, frame: u64) {
    if !tracker.held().any(|held| held == frame) {
        tracker.push_at(frame, &video.image(frame), &Monitor::none()).unwrap();
    }
}

fn float(value: &Value) -> f32 {
    value.as_f64().unwrap() as f32
}

fn point(value: &Value) -> Point {
    let label = Label::try_from(value[2].as_i64().unwrap() as i32).unwrap();
    Point { x: float(&value[0]), y: float(&value[1]), label }
}
