//! A step takes up the pending prompts and follows every object on a frame (`propagate_in_video_preflight`, and one turn
//! of `propagate_in_video`).

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::frames::Frame;
use super::object_state::{FrameResult, ObjectState};
use super::selection::Selection;
use super::{Direction, Tracker, tracking};
use crate::error::{Result, err};
use crate::exec::{Cx, Monitor, TryCollect, try_with_capacity};
use crate::models::sam2::tracking::{ATTENTION_SHARE, FrameMasks};
use crate::models::sam2::{FrameMemory, ObjectMemory, Pointer};
use crate::pipelines::mask::{Regions, replace_small_regions};

/// Objects that the decoder takes together: its weights are read once for all of them. Each needs its own features, which
/// bounds the number.
const BATCH: usize = 4;

/// Logit of a filled hole.
const FILLED: f32 = 0.1;

/// The memories and pointers of an object that a frame attends to.
#[derive(Debug)]
pub(super) struct Attended<'a> {
    spatial: Vec<FrameMemory<'a>>,
    pointers: Vec<Pointer<'a>>,
}

impl Attended<'_> {
    pub(super) fn memory(&self) -> ObjectMemory<'_> {
        ObjectMemory { spatial: &self.spatial, pointers: &self.pointers }
    }
}

impl Tracker {
    /// Tracks every object to the current frame, forward in time, after remembering all prompted frames.
    ///
    /// # Errors
    /// As [`step_at`](Self::step_at).
    pub fn step(&mut self, monitor: &Monitor<'_>) -> Result<()> {
        let current = self.frame().ok_or_else(|| err!(InvalidArgument, "no frame has been pushed"))?;
        self.step_at(current, Direction::Forward, monitor)
    }

    /// Tracks every object to a frame that is held, after remembering all prompted frames. Objects for which it is a
    /// conditioning frame keep their mask; others get a new one, also if they were tracked to it before.
    ///
    /// # Errors
    /// `InvalidArgument` if the frame is not held, there are no objects, or an object has no prompt that made a
    /// conditioning frame; `NonFinite`; `Limit`; `OutOfMemory`; `Cancelled`. The tracker is then as before.
    pub fn step_at(&mut self, frame: u64, direction: Direction, monitor: &Monitor<'_>) -> Result<()> {
        let frame = self.held_frame(frame)?;
        if self.objects.is_empty() {
            return Err(err!(InvalidArgument, "no objects to follow: add prompts first"));
        }
        let mut objects = ObjectState::copies(&self.objects)?;
        self.sam.cx().watched(monitor, |cx, monitor| {
            self.take_up(cx, &mut objects)?;
            self.follow(cx, frame, direction, &mut objects, monitor)
        })?;
        let held = self.held().try_to_vec()?;
        self.retain(&mut objects, &held, direction)?;
        (self.objects, self.direction) = (objects, direction);
        Ok(())
    }

    /// Takes up the pending results of all objects.
    fn take_up(&self, cx: &Cx, objects: &mut [ObjectState]) -> Result<()> {
        for frame in &self.frames {
            self.remember_prompts(cx, frame, objects)?;
        }
        for (object, id) in objects.iter_mut().zip(&self.ids) {
            object.take_up(&self.rules, &self.options)?;
            if object.conditioning.is_empty() {
                return Err(err!(InvalidArgument, "object {id} has no prompts"));
            }
        }
        Ok(())
    }

    /// Encodes the memories of prompted masks on `frame` that have none yet.
    pub(super) fn remember_prompts(&self, cx: &Cx, frame: &Frame, objects: &mut [ObjectState]) -> Result<()> {
        let waits = |result: &FrameResult| result.frame == frame.index && result.memory.is_empty();
        let is_waiting = |object: &ObjectState| object.pending.iter().any(|(_, result)| waits(result));
        if !objects.iter().any(is_waiting) {
            return Ok(());
        }
        let model = tracking(&self.sam)?;
        let (all, overlap) = (ObjectState::copies(objects)?, self.options.non_overlap_memory);
        let shown: Vec<&FrameResult> =
            all.iter().filter_map(|object| object.result(frame.index)).try_to_vec()?;
        for (object, before) in objects.iter_mut().zip(&all) {
            for (_, result) in object.pending.iter_mut().filter(|(_, result)| waits(result)) {
                // The place of this mask among all that may not overlap.
                let latest = before.result(frame.index).filter(|_| overlap);
                let place =
                    latest.and_then(|latest| shown.iter().position(|shown| core::ptr::eq(*shown, latest)));
                let masks: Vec<&[f32]> = match place {
                    Some(_) => shown.iter().map(|shown| &shown.mask[..]).try_to_vec()?,
                    None => [&result.mask[..]].into(),
                };
                let masks = FrameMasks { logits: &masks, wanted: place.unwrap_or(0) };
                let binarize = self.options.binarize_clicked_masks;
                let is_present = result.object_score > 0.0;
                let memory = model.encode_memory(cx, &frame.features, masks, binarize, is_present)?;
                result.memory = Arc::new(memory);
            }
        }
        Ok(())
    }

    /// Follows all objects on `frame` for which it is not a conditioning frame.
    fn follow(
        &self,
        cx: &Cx,
        frame: &Frame,
        direction: Direction,
        objects: &mut [ObjectState],
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let model = tracking(&self.sam)?;
        let followed: Vec<usize> =
            (0..objects.len()).filter(|&i| !objects[i].is_conditioning(frame.index)).try_to_vec()?;
        let mut results = try_with_capacity(followed.len())?;
        if !followed.is_empty() {
            let attended: Vec<Attended<'_>> =
                followed.iter().map(|&i| self.attended(&objects[i], frame.index, direction)).try_values()?;
            let shared = model.share(cx, &frame.features, &monitor.part(0.0, ATTENTION_SHARE / 4.0))?;
            let attention = monitor.part(ATTENTION_SHARE / 4.0, ATTENTION_SHARE);
            for (batch, attended) in attended.chunks(BATCH).enumerate() {
                let part = |done: usize| (done * BATCH).min(followed.len()) as f32 / followed.len() as f32;
                let monitor = attention.part(part(batch), part(batch + 1));
                let stability = self.options.dynamic_multimask_via_stability;
                let memories: Vec<ObjectMemory<'_>> = attended.iter().map(Attended::memory).try_to_vec()?;
                let predicted = model.track(cx, &shared, &memories, stability, &monitor)?;
                results.extend(predicted.into_iter().map(|it| FrameResult::new(frame.index, it)));
            }
        }

        // Memories are made of masks as they were predicted; then small holes are filled.
        let monitor = monitor.part(ATTENTION_SHARE, 1.0);
        let masks: Vec<&[f32]> = results.iter().map(|result: &FrameResult| &result.mask[..]).try_to_vec()?;
        let mut memories = try_with_capacity(results.len())?;
        for (i, result) in results.iter().enumerate() {
            let masks = match self.options.non_overlap_memory {
                true => FrameMasks { logits: &masks, wanted: i },
                false => FrameMasks { logits: &masks[i..=i], wanted: 0 },
            };
            let is_present = result.object_score > 0.0;
            memories.push(model.encode_memory(cx, &frame.features, masks, false, is_present)?);
            monitor.report(i + 1, followed.len())?;
        }
        for ((i, mut result), memory) in followed.into_iter().zip(results).zip(memories) {
            result.memory = Arc::new(memory);
            self.fill_holes(&mut result)?;
            objects[i].store_tracked(result)?;
        }
        for object in objects {
            if self.options.clear_memory_around_input && object.is_conditioning(frame.index) {
                object.forget_around(frame.index, &self.rules);
            }
            object.runs.insert(frame.index, direction);
        }
        Ok(())
    }

    /// What `frame` attends to of what is remembered of `object`.
    pub(super) fn attended<'a>(
        &self,
        object: &'a ObjectState,
        frame: u64,
        direction: Direction,
    ) -> Result<Attended<'a>> {
        let frames = |results: &[FrameResult]| results.iter().map(|result| result.frame).try_to_vec();
        let (conditioning, tracked) = (frames(&object.conditioning)?, frames(&object.tracked)?);
        let selection = Selection::new(&self.rules, frame, direction, &conditioning, &tracked)?;
        let memories = selection.memories.iter().map(|&(source, row)| (object.source(source), row));
        let spatial = memories.filter(|(result, _)| !result.memory.is_empty());
        let pointers = selection
            .pointers
            .iter()
            .map(|&(source, distance)| Pointer { values: &object.source(source).pointer, distance });
        let spatial = spatial.map(|(result, time)| FrameMemory { features: &result.memory, time });
        Ok(Attended { spatial: spatial.try_to_vec()?, pointers: pointers.try_to_vec()? })
    }

    /// Fills the small holes of a mask.
    pub(super) fn fill_holes(&self, result: &mut FrameResult) -> Result<()> {
        let area = self.options.fill_hole_area;
        if area > 0 {
            let mask = Arc::make_mut(&mut result.mask);
            replace_small_regions(mask, self.mask_side(), Regions::Holes, 0.0, area, FILLED)?;
        }
        Ok(())
    }
}
