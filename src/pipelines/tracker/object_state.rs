//! The state of an object: its results on conditioning frames and on tracked frames, and those of prompts that wait for
//! the next step (`cond_frame_outputs`, `non_cond_frame_outputs`, `temp_output_dict_per_obj` of the reference).
//!
//! Tensors are shared and never changed: every call works on a copy of the state, which is thrown away if the call fails
//! or is cancelled.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem::size_of_val;

use super::runs::Runs;
use super::selection::{Rules, Source};
use super::{Direction, TrackerOptions};
use crate::error::Result;
use crate::exec::{TryCollect, TryGrow, check_memory, try_copied};
use crate::models::sam::Point;
use crate::models::sam2::tracking::ObjectPrediction;

/// An object on a frame: its mask and what later frames attend to. A tensor is empty if it is not needed, or not made yet.
#[derive(Clone, Debug)]
pub(super) struct FrameResult {
    pub(super) frame: u64,
    /// The memory of the mask, bfloat16, `[grid², D]`.
    pub(super) memory: Arc<Vec<u16>>,
    /// The object pointer, `[C]`.
    pub(super) pointer: Arc<Vec<f32>>,
    /// Logits of the mask, holes filled, `[mask_side, mask_side]`.
    pub(super) mask: Arc<Vec<f32>>,
    /// The object score, a logit: the object is on the frame if it is above 0.
    pub(super) object_score: f32,
    /// The predicted IoU of the mask.
    pub(super) iou: f32,
}

impl FrameResult {
    /// What the model predicts on `frame`, without a memory.
    pub(super) fn new(frame: u64, predicted: ObjectPrediction) -> Self {
        let ObjectPrediction { pointer, mask, object_score, iou } = predicted;
        let (pointer, mask) = (Arc::new(pointer), Arc::new(mask));
        Self { frame, memory: Arc::default(), pointer, mask, object_score, iou }
    }

    /// Bytes of the tensors.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&self.memory[..]) + size_of_val(&self.pointer[..]) + size_of_val(&self.mask[..])
    }
}

/// What the next step makes of a prompted frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The object's first prompt on a frame that was not tracked, or any with `corrections_are_conditioning`.
    Conditioning,
    /// A correction of a tracked frame.
    Tracked,
}

/// Points and box of a frame, to which more points may be added.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Clicks {
    pub(super) frame: u64,
    pub(super) bounding_box: Option<[f32; 4]>,
    pub(super) points: Arc<Vec<Point>>,
}

/// The state of one object.
#[derive(Debug, Default)]
pub(super) struct ObjectState {
    /// In the order of the prompts.
    pub(super) conditioning: Vec<FrameResult>,
    /// In no particular order.
    pub(super) tracked: Vec<FrameResult>,
    /// Results that wait for the next step, in the order of the prompts, at most one of each kind on a frame. While its frame
    /// is held, a result has no memory.
    pub(super) pending: Vec<(Kind, FrameResult)>,
    /// Of held frames.
    pub(super) clicks: Vec<Clicks>,
    /// Frames that were tracked.
    pub(super) runs: Runs,
}

impl ObjectState {
    /// Copies of all `objects`, which share their tensors.
    pub(super) fn copies(objects: &[Self]) -> Result<Vec<Self>> {
        let copy = |object: &Self| {
            check_memory()?;
            Ok(Self {
                conditioning: try_copied(&object.conditioning)?,
                tracked: try_copied(&object.tracked)?,
                pending: try_copied(&object.pending)?,
                clicks: try_copied(&object.clicks)?,
                runs: object.runs.clone(),
            })
        };
        objects.iter().map(copy).try_values()
    }

    /// The latest result on `frame`.
    pub(super) fn result(&self, frame: u64) -> Option<&FrameResult> {
        let pending = self.pending.iter().rev().map(|(_, result)| result);
        pending.chain(&self.conditioning).chain(&self.tracked).find(|result| result.frame == frame)
    }

    /// The result from whose mask a prompt of `kind` on `frame` starts.
    pub(super) fn earlier(&self, kind: Kind, frame: u64) -> Option<&FrameResult> {
        let pending = self.pending.iter().filter(|(of, _)| *of == kind).map(|(_, result)| result);
        pending.chain(&self.conditioning).chain(&self.tracked).find(|result| result.frame == frame)
    }

    pub(super) fn source(&self, source: Source) -> &FrameResult {
        match source {
            Source::Conditioning(i) => &self.conditioning[i],
            Source::Tracked(i) => &self.tracked[i],
        }
    }

    pub(super) fn is_conditioning(&self, frame: u64) -> bool {
        self.conditioning.iter().any(|result| result.frame == frame)
    }

    /// Frames that are, or will be at the next step, conditioning frames.
    pub(super) fn conditioning_frames(&self) -> impl Iterator<Item = u64> + '_ {
        let pending = self.pending.iter().filter(|(kind, _)| *kind == Kind::Conditioning);
        let pending = pending.map(|(_, result)| result.frame).filter(|&frame| !self.is_conditioning(frame));
        self.conditioning.iter().map(|result| result.frame).chain(pending)
    }

    /// Stores the result of a prompt until the next step.
    pub(super) fn propose(
        &mut self,
        kind: Kind,
        result: FrameResult,
        options: &TrackerOptions,
    ) -> Result<()> {
        let same = |(of, old): &&mut (Kind, FrameResult)| *of == kind && old.frame == result.frame;
        match self.pending.iter_mut().find(same) {
            Some((_, old)) => *old = result,
            None => self.pending.try_push((kind, result))?,
        }
        while kind == Kind::Conditioning && self.conditioning_frames().count() > options.max_prompted_frames {
            self.replace_prompt()?;
        }
        Ok(())
    }

    /// Makes room for the conditioning frame that waits last: the earliest prompt after the first becomes a tracked
    /// frame, or is forgotten if no step has taken it up.
    fn replace_prompt(&mut self) -> Result<()> {
        let taken_up = self.conditioning.len();
        let waits = |&i: &usize| {
            let (kind, result) = &self.pending[i];
            *kind == Kind::Conditioning && !self.is_conditioning(result.frame)
        };
        let waiting: Vec<usize> = (0..self.pending.len()).filter(waits).try_to_vec()?;
        let second = usize::from(taken_up + waiting.len() > 2);
        if second < taken_up {
            let result = self.conditioning.remove(second);
            self.store_tracked(result)?;
        } else {
            self.pending.remove(waiting[second - taken_up]);
        }
        Ok(())
    }

    /// Takes up what was prompted (`propagate_in_video_preflight`): corrections, then conditioning frames.
    pub(super) fn take_up(&mut self, rules: &Rules, options: &TrackerOptions) -> Result<()> {
        for wanted in [Kind::Tracked, Kind::Conditioning] {
            for (_, result) in self.pending.extract_if(.., |(kind, _)| *kind == wanted).try_to_vec()? {
                let frame = result.frame;
                match wanted {
                    Kind::Tracked => self.store_tracked(result)?,
                    Kind::Conditioning => store(&mut self.conditioning, result)?,
                }
                if options.clear_memory_around_input {
                    self.forget_around(frame, rules);
                }
            }
        }
        let conditioning = &self.conditioning;
        self.tracked.retain(|result| conditioning.iter().all(|other| other.frame != result.frame));
        Ok(())
    }

    /// Forgets tracked frames around `frame` (`_clear_non_cond_mem_around_input`).
    pub(super) fn forget_around(&mut self, frame: u64, rules: &Rules) {
        let reach = rules.stride * rules.memories;
        self.tracked.retain(|result| result.frame.abs_diff(frame) > reach);
    }

    pub(super) fn store_tracked(&mut self, result: FrameResult) -> Result<()> {
        store(&mut self.tracked, result)
    }

    /// Removes what was said on `frame`; a conditioning frame counts as tracked from then on
    /// (`clear_all_prompts_in_frame`). Says whether there was anything to remove.
    pub(super) fn clear(&mut self, frame: u64) -> Result<bool> {
        let before = self.clicks.len() + self.pending.len();
        self.clicks.retain(|clicks| clicks.frame != frame);
        self.pending.retain(|(_, result)| result.frame != frame);
        let is_changed = before != self.clicks.len() + self.pending.len();
        let Some(at) = self.conditioning.iter().position(|result| result.frame == frame) else {
            return Ok(is_changed);
        };
        let result = self.conditioning.remove(at);
        self.store_tracked(result)?;
        self.runs.remove(frame);
        Ok(true)
    }

    /// Drops what no frame can attend to any more, and no caller can ask for: see [`Window`].
    pub(super) fn retain(&mut self, window: &Window<'_>) -> Result<()> {
        let Window { rules, held, current, direction, both_directions } = *window;
        self.clicks.retain(|clicks| held.contains(&clicks.frame));
        let prompts: Vec<u64> = match both_directions {
            true => self.conditioning_frames().try_to_vec()?,
            false => Vec::new(),
        };
        let is_within = |frame: u64, reach: u64| {
            let before = |&held: &u64| match direction {
                Direction::Forward => held.checked_sub(frame).is_some_and(|distance| distance <= reach),
                Direction::Backward => frame.checked_sub(held).is_some_and(|distance| distance <= reach),
            };
            held.contains(&frame)
                || held.iter().any(before)
                || prompts.iter().any(|prompt| prompt.abs_diff(frame) <= reach)
        };
        for result in &mut self.tracked {
            if !is_within(result.frame, rules.memory_reach()) {
                result.memory = Arc::default();
            }
            if !held.contains(&result.frame) {
                result.mask = Arc::default();
            }
        }
        self.tracked.retain(|result| is_within(result.frame, rules.pointer_reach()));
        // Frames that are held in no order could reach farther: what is nearest stays.
        let most = window.most(prompts.len());
        if self.tracked.len() > most[1] {
            self.tracked.sort_unstable_by_key(|result| (result.frame.abs_diff(current), result.frame));
            self.tracked.truncate(most[1]);
        }
        let mut memories: Vec<&mut FrameResult> =
            self.tracked.iter_mut().filter(|result| !result.memory.is_empty()).try_to_vec()?;
        if memories.len() > most[0] {
            memories.sort_unstable_by_key(|result| (result.frame.abs_diff(current), result.frame));
            memories[most[0]..].iter_mut().for_each(|result| result.memory = Arc::default());
        }
        Ok(())
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        let results = self.conditioning.iter().chain(&self.tracked);
        let pending = self.pending.iter().map(|(_, result)| result);
        results.chain(pending).map(FrameResult::bytes).sum::<usize>()
            + self.clicks.iter().map(|clicks| size_of_val(&clicks.points[..])).sum::<usize>()
    }
}

/// Which tracked frames are still of use: those that are held, those that a held frame can attend to if tracking goes
/// on in the same direction, and, with `both_directions`, those that a sweep from a conditioning frame can attend to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window<'a> {
    pub(super) rules: &'a Rules,
    pub(super) held: &'a [u64],
    /// The frame pushed last.
    pub(super) current: u64,
    /// Of the last step.
    pub(super) direction: Direction,
    pub(super) both_directions: bool,
}

impl Window<'_> {
    /// Most memories and most pointers of tracked frames.
    fn most(&self, prompts: usize) -> [usize; 2] {
        [self.rules.memory_reach(), self.rules.pointer_reach()]
            .map(|reach| kept(self.held.len(), prompts, reach))
    }
}

/// Most tracked frames within `reach` of `held` frames on one side, and of `prompts` frames on both.
pub(super) fn kept(held: usize, prompts: usize, reach: u64) -> usize {
    held + (1 + 2 * prompts) * reach as usize
}

/// Puts `result` in the place of that of the same frame, or at the end.
fn store(results: &mut Vec<FrameResult>, result: FrameResult) -> Result<()> {
    match results.iter_mut().find(|old| old.frame == result.frame) {
        Some(old) => *old = result,
        None => results.try_push(result)?,
    }
    Ok(())
}
