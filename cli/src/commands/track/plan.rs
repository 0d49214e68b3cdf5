//! What is to be said on which frame of which object.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use vitrum::exec::Monitor;
use vitrum::pipelines::sam::{Point, Prompt};
use vitrum::pipelines::tracker::Tracker;

use crate::args::sam::{Corners, Place};
use crate::args::track::TrackPromptArgs;
use crate::draw::{Overlay, color};
use crate::failure::{Exit, Failure, OrExit, Result};
use crate::picture::Picture;

/// Prompts of an object on a frame.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(crate) points: Vec<Point>,
    pub(crate) bounding_box: Option<[f32; 4]>,
    mask: Option<Mask>,
}

/// A picture of a mask: non-zero inside.
#[derive(Clone, Debug)]
struct Mask {
    pixels: Vec<u8>,
    /// Height and width.
    size: [usize; 2],
}

/// All prompts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan(BTreeMap<u64, BTreeMap<u32, Said>>);

impl Plan {
    /// Of the command line; masks are read.
    pub(crate) fn new(args: &TrackPromptArgs) -> Result<Self> {
        let mut plan = Self::default();
        for it in &args.points {
            let Place([x, y]) = it.what;
            plan.at(it.frame, it.object).points.push(Point::foreground(x, y));
        }
        for it in &args.negatives {
            let Place([x, y]) = it.what;
            plan.at(it.frame, it.object).points.push(Point::background(x, y));
        }
        for it in &args.boxes {
            let Corners(corners) = it.what;
            if plan.at(it.frame, it.object).bounding_box.replace(corners).is_some() {
                return Err(twice("boxes", it.frame, it.object));
            }
        }
        for it in &args.masks {
            let mask = Mask::read(&it.what)?;
            if plan.at(it.frame, it.object).mask.replace(mask).is_some() {
                return Err(twice("masks", it.frame, it.object));
            }
        }
        Ok(plan)
    }

    /// What is said of `object` on `frame`.
    pub(crate) fn at(&mut self, frame: u64, object: u32) -> &mut Said {
        self.0.entry(frame).or_default().entry(object).or_default()
    }

    /// Frames with prompts, in order.
    pub(crate) fn frames(&self) -> impl DoubleEndedIterator<Item = u64> {
        self.0.keys().copied()
    }

    /// The numbers of all objects.
    pub(crate) fn objects(&self) -> BTreeSet<u32> {
        self.0.values().flat_map(BTreeMap::keys).copied().collect()
    }

    /// The most frames on which something is said of one object.
    pub(crate) fn prompted_frames(&self) -> usize {
        let frames = |object: u32| self.0.values().filter(|said| said.contains_key(&object)).count();
        self.objects().into_iter().map(frames).max().unwrap_or(0)
    }

    /// Tells the tracker what is said on `frame`, which it holds.
    pub(super) fn tell(&self, tracker: &mut Tracker, frame: u64, monitor: &Monitor<'_>) -> Result<()> {
        for (&object, said) in self.0.get(&frame).into_iter().flatten() {
            let on = |error: vitrum::Error| error.within(format_args!("frame {frame}, object {object}"));
            if let Some(Mask { pixels, size }) = &said.mask {
                tracker.add_mask(frame, object, pixels, *size, monitor).map_err(on).or_exit(Exit::Usage)?;
            }
            if said.bounding_box.is_some() || !said.points.is_empty() {
                let prompt = Prompt { points: &said.points, bounding_box: said.bounding_box, mask: None };
                tracker
                    .add_prompt(frame, object, &prompt, false, monitor)
                    .map_err(on)
                    .or_exit(Exit::Usage)?;
            }
        }
        Ok(())
    }

    /// Draws what is said on `frame`.
    pub(super) fn draw(&self, frame: u64, overlay: &mut Overlay) {
        for (&object, said) in self.0.get(&frame).into_iter().flatten() {
            if let Some(corners) = said.bounding_box {
                overlay.bounding_box(corners, color(object as usize));
            }
            for point in &said.points {
                overlay.point([point.x, point.y], *point == Point::foreground(point.x, point.y));
            }
        }
    }
}

fn twice(what: &str, frame: u64, object: u32) -> Failure {
    Failure::usage(format!("two {what} for object {object} on frame {frame}"))
        .hint("several objects: …#1, …#2; several frames: …@0, …@8")
}

impl Mask {
    fn read(path: &Path) -> Result<Self> {
        let picture = Picture::open(path, &crate::picture::PictureOptions::default())?;
        let (width, height) = (picture.width, picture.height);
        let (view, mut row) = (picture.view()?, vec![0; 3 * width]);
        let mut pixels = Vec::with_capacity(width * height);
        for y in 0..height {
            view.row_rgb(y, &mut row);
            pixels.extend(row.chunks_exact(3).map(|pixel| u8::from(pixel != [0; 3])));
        }
        Ok(Self { pixels, size: [height, width] })
    }
}
