//! Clips in which things move, for SAM 2.

use std::sync::Arc;

use serde_json::Value;
use vitrum::exec::{Cx, Monitor};
use vitrum::image::ImageView;
use vitrum::pipelines::mask::Rle;
use vitrum::pipelines::sam::{Label, Point, Prompt, Sam, SamOptions};
use vitrum::pipelines::tracker::{Direction, PromptOptions, Tracker, TrackerOptions};

use super::{Sheet, open};

/// One clip a row.
pub(crate) struct Clips {
    sam: Arc<Sam>,
    pub(crate) sheet: Sheet,
    pub(crate) frames: usize,
    pub(crate) side: usize,
}

impl Clips {
    /// The set, and sam2-nano loaded as `options` say.
    pub(crate) fn load(cx: &Cx, options: &SamOptions) -> Self {
        let sam = Arc::new(Sam::load(cx, &open("sam2-nano"), options).unwrap());
        let sheet = Sheet::load("clips.json");
        let (frames, side) = (sheet.number("frames"), sheet.number("tile"));
        Self { sam, sheet, frames, side }
    }

    pub(crate) fn objects(&self) -> &[Value] {
        self.sheet.facts["objects"].as_array().unwrap()
    }

    fn frame(&self, clip: usize, frame: usize) -> ImageView<'_> {
        self.sheet.tile([frame, clip], [self.side; 2])
    }

    pub(crate) fn mask(&self, mask: &Value) -> Rle {
        Rle::from_coco_string(mask.as_str().unwrap(), self.side, self.side).unwrap()
    }

    /// The mask of every frame and its IoU after the first click of `object`, and after its second one.
    pub(crate) fn follow(&self, object: &Value) -> [Vec<(Rle, f64)>; 2] {
        let clip = object["clip"].as_u64().unwrap() as usize;
        let truth: Vec<Rle> =
            object["masks"].as_array().unwrap().iter().map(|mask| self.mask(mask)).collect();
        let options =
            TrackerOptions::default().with_num_frames(self.frames as u64).with_held_frames(self.frames);
        let mut tracker = Tracker::new(Arc::clone(&self.sam), [self.side; 2], &options).unwrap();
        let monitor = Monitor::none();
        (0..self.frames).for_each(|frame| {
            tracker.push(&self.frame(clip, frame), &monitor).unwrap();
        });

        let mut masks = vec![None; self.frames];
        let clicks = object["clicks"].as_array().unwrap().iter().map(|click| {
            let [frame, x, y, label] = [0, 1, 2, 3].map(|i| click[i].as_i64().unwrap());
            let label = Label::try_from(label as i32).unwrap();
            (frame as usize, Point { x: x as f32, y: y as f32, label })
        });
        let iou = clicks.map(|(start, click)| {
            let prompt = [click];
            let options = PromptOptions::default().with_keep_earlier(true);
            tracker.add_prompt(start as u64, 1, &Prompt::points(&prompt), &options, &monitor).unwrap();
            for (frame, mask) in (start as u64..).zip(&mut masks[start..]) {
                // The answer to the click is there already.
                if frame > start as u64 {
                    tracker.step_at(frame, Direction::Forward, &monitor).unwrap();
                }
                *mask = Some(tracker.rle(1, Some(frame), 0.0).unwrap());
            }
            let masks = masks.iter().flatten().cloned().zip(&truth);
            masks.map(|(mask, truth)| (mask.clone(), iou(&mask, truth))).collect()
        });
        iou.collect::<Vec<_>>().try_into().unwrap()
    }
}

/// 1 where neither the object nor a mask is there.
fn iou(mask: &Rle, truth: &Rle) -> f64 {
    if mask.area() + truth.area() == 0 { 1.0 } else { mask.iou(truth).unwrap() }
}
