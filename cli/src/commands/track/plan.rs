//! What is to be said on which frame of which object.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use vitrum::exec::Monitor;
use vitrum::pipelines::sam::{Point, Prompt};
use vitrum::pipelines::tracker::{PromptOptions, Tracker};

use crate::args::sam::{Corners, Place};
use crate::args::track::TrackPromptArgs;
use crate::commands::mask_picture::{self, Marks, MaskFile};
use crate::draw::{Overlay, color};
use crate::failure::{Exit, Failure, OrExit, Result};
use crate::npy::Array;
use crate::picture::PictureOptions;

/// Prompts of an object on a frame.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(crate) points: Vec<Point>,
    pub(crate) bounding_box: Option<[f32; 4]>,
    mask: Option<Mask>,
}

/// A mask.
#[derive(Clone, Debug)]
struct Mask {
    /// Numbers of objects, which masks of one file share, or 1.
    numbers: Arc<Vec<u16>>,
    number: u16,
    /// Width and height.
    size: [usize; 2],
}

/// All prompts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan(BTreeMap<u64, BTreeMap<u32, Said>>);

impl Plan {
    /// Of the command line; masks are read.
    pub(crate) fn new(args: &TrackPromptArgs, options: &PictureOptions) -> Result<Self> {
        let mut plan = Self::default();
        for it in &args.points {
            let Place([x, y]) = it.what;
            plan.at(it.frame, it.object()).points.push(Point::foreground(x, y));
        }
        for it in &args.negatives {
            let Place([x, y]) = it.what;
            plan.at(it.frame, it.object()).points.push(Point::background(x, y));
        }
        for it in &args.boxes {
            let Corners(corners) = it.what;
            if plan.at(it.frame, it.object()).bounding_box.replace(corners).is_some() {
                return Err(twice("boxes", it.frame, it.object()));
            }
        }
        for it in &args.masks {
            for (object, mask) in Mask::read(&it.what, it.object, options)? {
                if plan.at(it.frame, object).mask.replace(mask).is_some() {
                    return Err(twice("masks", it.frame, object));
                }
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

    /// Tells the tracker what is said on `frame`, which it holds and calls `number`.
    pub(super) fn tell(
        &self,
        tracker: &mut Tracker,
        frame: u64,
        number: u64,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        for (&object, said) in self.0.get(&frame).into_iter().flatten() {
            let on = |error: vitrum::Error| error.within(format_args!("frame {frame}, object {object}"));
            if let Some(mask) = &said.mask {
                let pixels: Vec<u8> = mask.numbers.iter().map(|&it| u8::from(it == mask.number)).collect();
                tracker
                    .add_mask(number, object, &pixels, mask.size, monitor)
                    .map_err(on)
                    .or_exit(Exit::Usage)?;
            }
            if said.bounding_box.is_some() || !said.points.is_empty() {
                let prompt = Prompt::default().with_points(&said.points).with_bounding_box(said.bounding_box);
                tracker
                    .add_prompt(number, object, &prompt, &PromptOptions::default(), monitor)
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
    /// The objects of a file with their masks. Of a label map, `object` chooses one; it is the number of a single shape.
    fn read(path: &Path, object: Option<u32>, options: &PictureOptions) -> Result<Vec<(u32, Self)>> {
        let bad = |message: String| Failure::new(Exit::Input, format!("{}: {message}", path.display()));
        let (size, marks) = match mask_picture::read(path, options)? {
            MaskFile::Picture(size, marks) => (size, marks),
            MaskFile::Logits(array) => of_logits(&array).map_err(bad)?,
        };
        match marks {
            Marks::Shape { pixels, number } => {
                // What is not sure is inside from one half on.
                let numbers = Arc::new(pixels.into_iter().map(|pixel| u16::from(pixel >= 128)).collect());
                let object = object.or(number.map(u32::from)).unwrap_or(1);
                Ok(vec![(object, Self { numbers, number: 1, size })])
            }
            Marks::Labels { pixels, numbers: all } => {
                let is_wanted = |number: u16| object.is_none_or(|object| u32::from(number) == object);
                let numbers = Arc::new(pixels);
                let one = |number: u16| (number.into(), Self { numbers: Arc::clone(&numbers), number, size });
                let found: Vec<_> =
                    all.iter().copied().filter(|&number| is_wanted(number)).map(one).collect();
                match (object, &found[..]) {
                    (Some(object), []) => {
                        let there = mask_picture::listed(&all);
                        Err(bad(format!("there is no object {object} in this label map, but {there}")))
                    }
                    _ => Ok(found),
                }
            }
        }
    }
}

/// Where logits of a frame's size are above 0.
fn of_logits(array: &Array) -> Result<([usize; 2], Marks), String> {
    let leading = array.shape.len().saturating_sub(2);
    let (ones, &[height, width]) = (&array.shape[..leading], &array.shape[leading..]) else {
        return Err(format!("an array of shape {:?}, expected [height, width]", array.shape));
    };
    if ones.iter().any(|&n| n != 1) {
        return Err(format!("an array of shape {:?}, expected one mask: save one of them", array.shape));
    }
    mask_picture::check_logits(array)?;
    let pixels = array.values.iter().map(|&logit| if logit > 0.0 { 255 } else { 0 }).collect();
    Ok(([width, height], Marks::Shape { pixels, number: None }))
}
