//! SAM 2 on video: objects are pointed at on any frame and followed through all others, in memory that does not grow.
//!
//! ```no_run
//! # #[cfg(feature = "std")] fn main() -> vitrum::Result<()> {
//! # use std::sync::Arc;
//! use vitrum::{Bundle, Context, ContextOptions, ImageView, Monitor, OpenOptions, PixelFormat, Point, Prompt};
//! use vitrum::{PromptOptions, Sam, SamOptions, Tracker, TrackerOptions};
//!
//! let cx = Context::new(&ContextOptions::default())?;
//! let bundle = Bundle::open("sam2.1-hiera-tiny".as_ref(), OpenOptions::default())?;
//! let sam = Arc::new(Sam::load(&cx, &bundle, &SamOptions::default())?);
//! # let (pictures, width, height) = (vec![vec![0; 3]; 2], 1, 1);
//! let mut tracker = Tracker::new(sam, [width, height], &TrackerOptions::default())?;
//! let mut mask = vec![0; width * height];
//! for pixels in &pictures {
//!     let image = ImageView::packed(pixels, width, height, PixelFormat::Rgb8)?;
//!     let frame = tracker.push(&image, &Monitor::none())?;
//!     if frame == 0 {
//!         let click = [Point::foreground(320.0, 200.0)];
//!         tracker.add_prompt(frame, 7, &Prompt::points(&click), &PromptOptions::default(), &Monitor::none())?;
//!     }
//!     tracker.step(&Monitor::none())?;
//!     tracker.mask_into(7, None, 0.0, &mut mask)?;
//! }
//! # Ok(()) }
//! # #[cfg(not(feature = "std"))] fn main() {}
//! ```
//!
//! # What happens on a frame
//!
//! [`push`](Tracker::push) encodes the picture, once for all objects. [`add_prompt`](Tracker::add_prompt) and
//! [`add_mask`](Tracker::add_mask) say where an object is on a frame; its mask can be read, and corrected, at once.
//! [`step`](Tracker::step) takes up what was said and follows every object that has no prompt on the frame:
//! its features attend to the object's memories and pointers, the mask decoder makes a mask of them, and the memory
//! encoder remembers it.
//!
//! Semantics are those of `SAM2VideoPredictor` of sam2 1.1:
//!
//! - The first prompts on a frame that was not tracked make a *conditioning* frame, on which nothing else is tracked
//!   and to which all others attend. Prompts on a frame that was tracked are corrections: they see the memory, start
//!   from the mask found, and count as that frame's tracked mask; on a conditioning frame they change nothing for
//!   others. With [`corrections_are_conditioning`](TrackerOptions::corrections_are_conditioning) they make conditioning
//!   frames too.
//! - What was said is final at the next step: only then is the frame remembered with its masks.
//! - Objects do not see each other, unless masks may not overlap.
//!
//! # What differs
//!
//! The reference keeps everything it ever computed. Here an object keeps what a frame can still attend to: see
//! [`TrackerOptions::max_prompted_frames`], [`held_frames`](TrackerOptions::held_frames) and
//! [`both_directions`](TrackerOptions::both_directions). [`Tracker::memory_bytes`] tells the most that this will be.
//! Every call that fails or is cancelled leaves the tracker as it was. How transformers' `Sam2VideoModel` differs is in
//! `docs/references.md`.

mod frames;
mod masks;
mod object_state;
mod options;
mod prompts;
mod propagate;
mod restore;
mod runs;
mod save;
mod selection;
mod step;

pub use options::{MAX_FRAMES, MAX_KEPT, MAX_OBJECTS, MAX_TRACKER_POINTS, PromptOptions, TrackerOptions};
pub use propagate::{FrameSource, Propagation};

use alloc::sync::Arc;
use alloc::vec::Vec;

use self::frames::Frame;
use self::object_state::{FrameResult, ObjectState, Window, kept};
use self::selection::Rules;
use super::sam::Sam;
use crate::error::{Result, err};
use crate::kernels::resize::upscale::Upscale;
use crate::models::sam::Point;
use crate::models::sam2::{FrameFeatures, Tracking};

/// The direction in which a video is tracked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From earlier frames to later ones.
    #[default]
    Forward,
    /// From later frames to earlier ones.
    Backward,
}

impl Direction {
    /// The frame `distance` frames before `frame`, as seen in this direction; `None` before the video.
    pub(crate) fn back(self, frame: u64, distance: u64) -> Option<u64> {
        match self {
            Self::Forward => frame.checked_sub(distance),
            Self::Backward => frame.checked_add(distance),
        }
    }
}

/// Objects followed through one video. It belongs to one caller at a time; the model is shared.
#[derive(Debug)]
pub struct Tracker {
    sam: Arc<Sam>,
    options: TrackerOptions,
    rules: Rules,
    /// From the decoder's logits to the picture.
    upscale: Upscale,
    /// Held frames, in the order in which they were pushed; the last one is current.
    frames: Vec<Frame>,
    /// Callers' names of the objects.
    ids: Vec<u32>,
    /// What is remembered of each.
    objects: Vec<ObjectState>,
    /// Of the last step.
    direction: Direction,
}

impl Tracker {
    /// A tracker of a video whose frames are `width × height`.
    ///
    /// # Errors
    /// `Unsupported` if the model is not SAM 2 or its checkpoint is for images only; those of
    /// [`TrackerOptions::check`]; `Limit` for an impossible size, and for frames or objects beyond the context's
    /// [limits](crate::Limits).
    pub fn new(sam: Arc<Sam>, [width, height]: [usize; 2], options: &TrackerOptions) -> Result<Self> {
        options.check()?;
        sam.cx().limits().check_objects(options.max_objects)?;
        sam.cx().limits().check_pixels(width, height)?;
        let rules = Rules::new(&tracking(&sam)?.sam2().config, options);
        let side = sam.mask_side();
        let upscale = Upscale::new(side, side, (side, side), (height, width))?;
        Ok(Self {
            options: *options,
            rules,
            upscale,
            frames: Vec::new(),
            ids: Vec::new(),
            objects: Vec::new(),
            direction: Direction::Forward,
            sam,
        })
    }

    /// The most bytes that a tracker made of the same arguments will hold, and while it steps, however long the video:
    /// image features of held frames and of the one that is pushed, and of each object the results that
    /// [`TrackerOptions`] allow. Most trackers hold much less. Scratch memory is the context's.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn memory_bytes(sam: &Sam, [width, height]: [usize; 2], options: &TrackerOptions) -> Result<usize> {
        options.check()?;
        let model = tracking(sam)?;
        let config = &model.sam2().config;
        let rules = Rules::new(config, options);
        let TrackerOptions { held_frames, max_prompted_frames, .. } = *options;
        let [memory, pointer, mask] = model.object_lens();
        let [memory, pointer, mask] =
            [memory * size_of::<u16>(), pointer * size_of::<f32>(), mask * size_of::<f32>()];
        let features = FrameFeatures::lens(config).iter().sum::<usize>() * size_of::<f32>();
        // Conditioning frames, corrections that wait, and what a step computes.
        let whole = 2 * max_prompted_frames + 1;
        let around = if options.both_directions { max_prompted_frames } else { 0 };
        let [memories, pointers] = [rules.memory_reach(), rules.pointer_reach()]
            .map(|reach| whole + kept(held_frames, around, reach));
        let object = memories * memory
            + pointers * (pointer + size_of::<FrameResult>() + OVERHEAD)
            + (whole + held_frames) * mask
            + held_frames * (MAX_TRACKER_POINTS * size_of::<Point>() + OVERHEAD);
        Ok((held_frames + 1) * (features + OVERHEAD)
            + options.max_objects * (object + size_of::<ObjectState>() + OVERHEAD)
            + Upscale::bytes_of((height, width)))
    }

    /// Bytes held now.
    pub fn bytes(&self) -> usize {
        self.frames.iter().map(Frame::bytes).sum::<usize>()
            + self.objects.iter().map(ObjectState::bytes).sum::<usize>()
            + Upscale::bytes_of(self.upscale.size())
    }

    /// The model.
    pub fn sam(&self) -> &Arc<Sam> {
        &self.sam
    }

    /// What the tracker was made with.
    pub fn options(&self) -> &TrackerOptions {
        &self.options
    }

    /// Width and height of the frames.
    pub fn size(&self) -> [usize; 2] {
        let (height, width) = self.upscale.size();
        [width, height]
    }

    /// Objects, in the order in which they came.
    pub fn objects(&self) -> &[u32] {
        &self.ids
    }

    /// The place of `object` in the lists.
    fn find(&self, object: u32) -> Result<usize> {
        let known = self.ids.iter().position(|&id| id == object);
        known.ok_or_else(|| err!(InvalidArgument, "no object {object}: objects are {:?}", self.ids))
    }

    /// Drops what is no longer of use from `objects`, if the frames `held` are held and the last of them is current.
    fn retain(&self, objects: &mut [ObjectState], held: &[u64], direction: Direction) -> Result<()> {
        let Some(&current) = held.last() else { return Ok(()) };
        let both_directions = self.options.both_directions;
        let window = Window { rules: &self.rules, held, current, direction, both_directions };
        objects.iter_mut().try_for_each(|object| object.retain(&window))
    }
}

/// The model of a tracker.
///
/// # Errors
/// `Unsupported` if it cannot track.
fn tracking(sam: &Sam) -> Result<Tracking<'_>> {
    let sam2 = sam.sam2().ok_or_else(|| err!(Unsupported, "the model is no SAM 2 and cannot track"))?;
    sam2.tracking().ok_or_else(|| err!(Unsupported, "the checkpoint has no memory and cannot track"))
}

/// Bytes that a few allocations take beside their content.
const OVERHEAD: usize = 256;
