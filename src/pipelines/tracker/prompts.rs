//! Prompts: points, boxes, masks; removing them.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::object_state::{Clicks, FrameResult, Kind, ObjectState};
use super::options::{MAX_TRACKER_POINTS, PromptOptions};
use super::step::Attended;
use super::{Direction, Tracker, tracking};
use crate::error::{Result, err};
use crate::exec::{Monitor, TryCollect, TryGrow, try_copied};
use crate::models::sam::Prompt;
use crate::models::sam2::tracking::DecoderPrompt;
use crate::pipelines::mask::clamp_prompt;

impl Tracker {
    /// Prompts `object` with points or a box, in pixels, on a frame that is held. The first prompt with a new number adds
    /// the object. The new mask starts from the mask found before on the frame, also where
    /// [`keep_earlier`](PromptOptions::keep_earlier) is off and the points replace earlier ones.
    ///
    /// The mask can be read at once. It is remembered at the next step. More conditioning frames than
    /// [`max_prompted_frames`](super::TrackerOptions::max_prompted_frames) replace the earliest after the first.
    ///
    /// # Errors
    /// `InvalidArgument` if the frame is not held, for a prompt without points and box or with a mask, for a box that
    /// follows earlier points, for what [`Prompt::check`] refuses, and for a correction of an object without
    /// conditioning frames; `Limit` for too many objects, points, or corrections without a step; `NonFinite`;
    /// `OutOfMemory`; `Cancelled`. The tracker is then as before.
    pub fn add_prompt(
        &mut self,
        frame: u64,
        object: u32,
        prompt: &Prompt<'_>,
        options: &PromptOptions,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let PromptOptions { keep_earlier } = *options;
        let model = tracking(&self.sam)?;
        let held = self.held_frame(frame)?;
        prompt.check(self.mask_side())?;
        if prompt.mask.is_some() {
            return Err(err!(InvalidArgument, "the tracker itself starts from the mask found before"));
        }
        if prompt.points.is_empty() && prompt.bounding_box.is_none() {
            return Err(err!(InvalidArgument, "a prompt of no points and no box says nothing"));
        }
        if keep_earlier && prompt.bounding_box.is_some() {
            return Err(err!(InvalidArgument, "a box comes before any points: it cannot keep earlier ones"));
        }
        let (mut ids, mut objects) = (try_copied(&self.ids)?, ObjectState::copies(&self.objects)?);
        let place = self.place(object, &mut ids, &mut objects)?;
        let entry = &mut objects[place];
        let clicks = clicks(entry, frame, prompt, keep_earlier)?;
        self.sam.cx().limits().check_points(clicks.points.len())?;
        let prompt = Prompt { points: &clicks.points, bounding_box: clicks.bounding_box, mask: None };

        let (kind, direction) = self.kind(entry, frame)?;
        let earlier = entry.earlier(kind, frame).filter(|result| !result.mask.is_empty());
        let mut earlier: Option<Vec<f32>> = earlier.map(|result| try_copied(&result.mask)).transpose()?;
        if let Some(mask) = &mut earlier {
            clamp_prompt(mask);
        }
        let [width, height] = self.size();
        let size = self.sam.image_size() as f64;
        let prompt = DecoderPrompt {
            prompt: Prompt { mask: earlier.as_deref(), ..prompt },
            scale: [size / width as f64, size / height as f64],
            stability: self.options.dynamic_multimask_via_stability,
        };
        let attended = match direction {
            Some(_) if entry.conditioning.is_empty() => {
                return Err(err!(
                    InvalidArgument,
                    "frame {frame} was tracked, but object {object} has no prompts any more"
                ));
            }
            direction => direction.map(|direction| self.attended(entry, frame, direction)).transpose()?,
        };
        let predicted = self.sam.cx().watched(monitor, |cx, monitor| {
            model.predict(cx, &held.features, &prompt, attended.as_ref().map(Attended::memory), monitor)
        })?;
        let mut result = FrameResult::new(frame, predicted);
        self.fill_holes(&mut result)?;
        entry.propose(kind, result, &self.options)?;
        match entry.clicks.iter_mut().find(|earlier| earlier.frame == frame) {
            Some(earlier) => *earlier = clicks,
            None => entry.clicks.try_push(clicks)?,
        }
        (self.ids, self.objects) = (ids, objects);
        Ok(())
    }

    /// Prompts `object` with a mask on a frame that is held: `mask`, of `size` (width, height), row after row, not 0 for pixels of the object. A mask
    /// without any such pixel means that the object is not visible. The mask replaces earlier prompts of the object on the
    /// frame, and is the object's mask there: the decoder does not run.
    ///
    /// # Errors
    /// `InvalidArgument` if the frame is not held or the mask does not have the size of the frames; `Limit` for too many
    /// objects, or corrections without a step; `NonFinite`; `OutOfMemory`; `Cancelled`. The tracker is then as before.
    pub fn add_mask(
        &mut self,
        frame: u64,
        object: u32,
        mask: &[u8],
        size: [usize; 2],
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let model = tracking(&self.sam)?;
        let held = self.held_frame(frame)?;
        let [width, height] = self.size();
        if size != [width, height] || mask.len() != height * width {
            return Err(err!(
                InvalidArgument,
                "mask of {} x {} with {} values, frames are {width} x {height}",
                size[0],
                size[1],
                mask.len()
            ));
        }
        let (mut ids, mut objects) = (try_copied(&self.ids)?, ObjectState::copies(&self.objects)?);
        let place = self.place(object, &mut ids, &mut objects)?;
        let entry = &mut objects[place];
        let (kind, _) = self.kind(entry, frame)?;
        let predicted = self.sam.cx().watched(monitor, |cx, monitor| {
            model.use_mask(cx, &held.features, mask, [height, width], monitor)
        })?;
        let mut result = FrameResult::new(frame, predicted);
        self.fill_holes(&mut result)?;
        entry.propose(kind, result, &self.options)?;
        entry.clicks.retain(|clicks| clicks.frame != frame);
        (self.ids, self.objects) = (ids, objects);
        Ok(())
    }

    /// Removes the prompts of `object` on `frame`, which need not be held. If it was a conditioning frame, it counts as
    /// tracked from then on. An object without any prompts cannot be tracked until it gets one.
    ///
    /// # Errors
    /// `InvalidArgument` if there is no such object, `OutOfMemory`. The tracker is then as before.
    pub fn clear_prompts(&mut self, frame: u64, object: u32) -> Result<()> {
        let place = self.find(object)?;
        let mut objects = ObjectState::copies(&self.objects)?;
        if objects[place].clear(frame)? {
            let held = self.held().try_to_vec()?;
            self.retain(&mut objects, &held, self.direction)?;
            self.objects = objects;
        }
        Ok(())
    }

    /// Removes an object.
    ///
    /// # Errors
    /// `InvalidArgument` if there is no such object.
    pub fn remove_object(&mut self, object: u32) -> Result<()> {
        let place = self.find(object)?;
        self.ids.remove(place);
        self.objects.remove(place);
        Ok(())
    }

    /// Removes all objects. Frames stay held.
    pub fn reset(&mut self) {
        self.ids.clear();
        self.objects.clear();
        self.direction = Direction::Forward;
    }

    /// The place of `object` in the lists, which get it if they do not have it.
    fn place(&self, object: u32, ids: &mut Vec<u32>, objects: &mut Vec<ObjectState>) -> Result<usize> {
        if let Some(place) = ids.iter().position(|&id| id == object) {
            return Ok(place);
        }
        if ids.len() >= self.options.max_objects {
            return Err(err!(Limit, "object {object} would be one more than {}", self.options.max_objects));
        }
        ids.try_push(object)?;
        objects.try_push(ObjectState::default())?;
        Ok(ids.len() - 1)
    }

    /// What a prompt on `frame` makes of it, and the direction in which the frame was tracked, if it was.
    fn kind(&self, object: &ObjectState, frame: u64) -> Result<(Kind, Option<Direction>)> {
        let direction = object.runs.direction(frame);
        if direction.is_none() || self.options.corrections_are_conditioning {
            return Ok((Kind::Conditioning, direction));
        }
        let most = self.options.max_prompted_frames;
        let corrected = object.pending.iter().filter(|(kind, _)| *kind == Kind::Tracked);
        if corrected.filter(|(_, result)| result.frame != frame).count() >= most {
            return Err(err!(Limit, "corrections of {most} frames wait for a step already"));
        }
        Ok((Kind::Tracked, direction))
    }
}

/// The points and the box that `prompt` leaves on `frame`.
fn clicks(object: &ObjectState, frame: u64, prompt: &Prompt<'_>, keep_earlier: bool) -> Result<Clicks> {
    let earlier = object.clicks.iter().find(|clicks| clicks.frame == frame && keep_earlier);
    let bounding_box = prompt.bounding_box.or(earlier.and_then(|clicks| clicks.bounding_box));
    let earlier = earlier.map_or(&[][..], |clicks| &clicks.points[..]);
    if earlier.len() + prompt.points.len() > MAX_TRACKER_POINTS {
        return Err(err!(
            Limit,
            "{} points on frame {frame}, at most {MAX_TRACKER_POINTS} are possible",
            earlier.len() + prompt.points.len()
        ));
    }
    let points = earlier.iter().chain(prompt.points).copied().try_to_vec()?;
    Ok(Clicks { frame, bounding_box, points: Arc::new(points) })
}
