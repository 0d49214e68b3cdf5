//! A step: prompts are taken up, and every object is followed on a frame (`propagate_in_video_preflight` and one turn of
//! `propagate_in_video`).

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::bank::{Object, Output};
use super::frames::Frame;
use super::network::{Attended, Masks, Network};
use super::selection::Selection;
use super::{Direction, Tracker};
use crate::error::{Result, err};
use crate::exec::Monitor;
use crate::pipelines::mask::{Regions, replace_small_regions};

/// Objects that go through the memory attention and the decoder together: weights are read once for all of them, and
/// each needs its own features, which bounds the number.
const BATCH: usize = 4;

/// Part of a step that attention to memories is.
const ATTENTION: f32 = 0.9;

/// Logit of a filled hole.
const FILLED: f32 = 0.1;

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
    /// conditioning frame; `OutOfMemory`; `Cancelled`. The tracker is then as before.
    pub fn step_at(&mut self, frame: u64, direction: Direction, monitor: &Monitor<'_>) -> Result<()> {
        let frame = self.held_frame(frame)?;
        let network = Network::of(&self.sam)?;
        if self.objects.is_empty() {
            return Err(err!(InvalidArgument, "no objects to follow: add prompts first"));
        }
        let mut objects = self.objects.clone();
        let cx = self.sam.cx();
        cx.enter(|| {
            self.take_up(&network, &mut objects)?;
            self.follow(&network, frame, direction, &mut objects, monitor)
        })?;
        let held: Vec<u64> = self.held().collect();
        self.retain(&mut objects, &held, direction);
        (self.objects, self.direction) = (objects, direction);
        Ok(())
    }

    /// Makes prompts final.
    fn take_up(&self, network: &Network<'_>, objects: &mut [Object]) -> Result<()> {
        for frame in &self.frames {
            self.remember_prompts(network, frame, objects)?;
        }
        for (object, id) in objects.iter_mut().zip(&self.ids) {
            object.take_up(&self.rules, &self.options);
            if object.conditioning.is_empty() {
                return Err(err!(InvalidArgument, "object {id} has no prompts"));
            }
        }
        Ok(())
    }

    /// Encodes the memory of prompts on `frame`, which is still to be done.
    pub(super) fn remember_prompts(
        &self,
        network: &Network<'_>,
        frame: &Frame,
        objects: &mut [Object],
    ) -> Result<()> {
        let waits = |output: &Output| output.frame == frame.index && output.memory.is_empty();
        let is_waiting = |object: &Object| object.pending.iter().any(|(_, output)| waits(output));
        if !objects.iter().any(is_waiting) {
            return Ok(());
        }
        let (all, overlap) = (objects.to_vec(), self.options.non_overlap_memory);
        let shown: Vec<&Output> = all.iter().filter_map(|object| object.output(frame.index)).collect();
        for (object, before) in objects.iter_mut().zip(&all) {
            for (_, output) in object.pending.iter_mut().filter(|(_, output)| waits(output)) {
                // The place of this mask among all that may not overlap.
                let latest = before.output(frame.index).filter(|_| overlap);
                let place =
                    latest.and_then(|latest| shown.iter().position(|shown| core::ptr::eq(*shown, latest)));
                let masks: Vec<&[f32]> = match place {
                    Some(_) => shown.iter().map(|shown| &shown.mask[..]).collect(),
                    None => [&output.mask[..]].into(),
                };
                let masks = Masks { logits: &masks, wanted: place.unwrap_or(0) };
                let binarize = self.options.binarize_clicked_masks;
                let appears = output.object_score > 0.0;
                output.memory = Arc::new(network.remember(&frame.features, masks, binarize, appears)?);
            }
        }
        Ok(())
    }

    /// Follows all objects on `frame` for which it is not a conditioning frame.
    fn follow(
        &self,
        network: &Network<'_>,
        frame: &Frame,
        direction: Direction,
        objects: &mut [Object],
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let followed: Vec<usize> =
            (0..objects.len()).filter(|&i| !objects[i].is_conditioning(frame.index)).collect();
        let mut outputs = Vec::with_capacity(followed.len());
        if !followed.is_empty() {
            let attended: Vec<Attended<'_>> =
                followed.iter().map(|&i| self.attended(&objects[i], frame.index, direction)).collect();
            let shared = network.share(&frame.features, &monitor.part(0.0, ATTENTION / 4.0))?;
            let attention = monitor.part(ATTENTION / 4.0, ATTENTION);
            for (batch, attended) in attended.chunks(BATCH).enumerate() {
                let part = |done: usize| (done * BATCH).min(followed.len()) as f32 / followed.len() as f32;
                let monitor = attention.part(part(batch), part(batch + 1));
                let stability = self.options.dynamic_multimask_via_stability;
                outputs.extend(network.track(frame, &shared, attended, stability, &monitor)?);
            }
        }

        // Memories are made of masks as they were predicted; then small holes are filled.
        let monitor = monitor.part(ATTENTION, 1.0);
        let masks: Vec<&[f32]> = outputs.iter().map(|output: &Output| &output.mask[..]).collect();
        let mut memories = Vec::with_capacity(outputs.len());
        for (i, output) in outputs.iter().enumerate() {
            let masks = match self.options.non_overlap_memory {
                true => Masks { logits: &masks, wanted: i },
                false => Masks { logits: &masks[i..=i], wanted: 0 },
            };
            memories.push(network.remember(&frame.features, masks, false, output.object_score > 0.0)?);
            monitor.report(i + 1, followed.len())?;
        }
        for ((i, mut output), memory) in followed.into_iter().zip(outputs).zip(memories) {
            output.memory = Arc::new(memory);
            self.fill_holes(network, &mut output);
            objects[i].store_tracked(output);
        }
        for object in objects {
            if self.options.clear_memory_around_input && object.is_conditioning(frame.index) {
                object.forget_around(frame.index, &self.rules);
            }
            object.runs.insert(frame.index, direction);
        }
        Ok(())
    }

    /// What `object` remembers for `frame`.
    pub(super) fn attended<'a>(&self, object: &'a Object, frame: u64, direction: Direction) -> Attended<'a> {
        let frames = |outputs: &[Output]| outputs.iter().map(|output| output.frame).collect::<Vec<_>>();
        let conditioning = frames(&object.conditioning);
        let selection =
            Selection::new(&self.rules, frame, direction, &conditioning, &frames(&object.tracked));
        let memories = selection.memories.iter().map(|&(source, row)| (object.source(source), row));
        let pointers = selection.pointers.iter().map(|&(source, distance)| (object.source(source), distance));
        Attended {
            memories: memories.filter(|(output, _)| !output.memory.is_empty()).collect(),
            pointers: pointers.collect(),
        }
    }

    /// Fills the small holes of a mask.
    pub(super) fn fill_holes(&self, network: &Network<'_>, output: &mut Output) {
        let area = self.options.fill_hole_area;
        if area > 0 {
            let mask = Arc::make_mut(&mut output.mask);
            replace_small_regions(mask, network.mask_side(), Regions::Holes, 0.0, area, FILLED);
        }
    }
}
