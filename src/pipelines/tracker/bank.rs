//! What is remembered of an object: outputs of conditioning frames, of tracked frames, and of prompts that no step has
//! taken up yet (`cond_frame_outputs`, `non_cond_frame_outputs`, `temp_output_dict_per_obj` of the reference).
//!
//! Tensors are shared, never changed: a bank is copied before something is tried, and the copy thrown away if that
//! fails or is cancelled. So nothing is ever half done.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem::size_of_val;

use super::runs::Runs;
use super::selection::{Rules, Source};
use super::{Direction, TrackerOptions};
use crate::models::sam::Point;

/// What is known of an object on a frame. Empty tensors are those that are not needed, or not made yet.
#[derive(Clone, Debug)]
pub(super) struct Output {
    pub(super) frame: u64,
    /// What the memory encoder made of the frame and its mask, bfloat16, `[grid², D]`.
    pub(super) memory: Arc<Vec<u16>>,
    /// The object pointer, `[C]`.
    pub(super) pointer: Arc<Vec<f32>>,
    /// Logits of the mask, holes filled, `[mask_side, mask_side]`.
    pub(super) mask: Arc<Vec<f32>>,
    /// Logit of the object's being on the frame.
    pub(super) object_score: f32,
    /// Expected IoU of the mask.
    pub(super) iou: f32,
}

impl Output {
    /// Bytes of the tensors.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&self.memory[..]) + size_of_val(&self.pointer[..]) + size_of_val(&self.mask[..])
    }
}

/// What becomes of an output at the next step.
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

/// One object's memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Object {
    /// In the order of the prompts.
    pub(super) conditioning: Vec<Output>,
    /// In no particular order.
    pub(super) tracked: Vec<Output>,
    /// In the order of the prompts; at most one of each kind on a frame. Without memory while its frame is held.
    pub(super) pending: Vec<(Kind, Output)>,
    /// Of held frames.
    pub(super) clicks: Vec<Clicks>,
    /// Frames that were tracked.
    pub(super) runs: Runs,
}

impl Object {
    /// The latest output on `frame`.
    pub(super) fn output(&self, frame: u64) -> Option<&Output> {
        let pending = self.pending.iter().rev().map(|(_, output)| output);
        pending.chain(&self.conditioning).chain(&self.tracked).find(|output| output.frame == frame)
    }

    /// The output that a prompt of `kind` on `frame` refines.
    pub(super) fn earlier(&self, kind: Kind, frame: u64) -> Option<&Output> {
        let pending = self.pending.iter().filter(|(of, _)| *of == kind).map(|(_, output)| output);
        pending.chain(&self.conditioning).chain(&self.tracked).find(|output| output.frame == frame)
    }

    pub(super) fn source(&self, source: Source) -> &Output {
        match source {
            Source::Conditioning(i) => &self.conditioning[i],
            Source::Tracked(i) => &self.tracked[i],
        }
    }

    pub(super) fn is_conditioning(&self, frame: u64) -> bool {
        self.conditioning.iter().any(|output| output.frame == frame)
    }

    /// Frames that are, or will be at the next step, conditioning frames.
    pub(super) fn conditioning_frames(&self) -> impl Iterator<Item = u64> + '_ {
        let pending = self.pending.iter().filter(|(kind, _)| *kind == Kind::Conditioning);
        let pending = pending.map(|(_, output)| output.frame).filter(|&frame| !self.is_conditioning(frame));
        self.conditioning.iter().map(|output| output.frame).chain(pending)
    }

    /// Stores the output of a prompt until the next step.
    pub(super) fn propose(&mut self, kind: Kind, output: Output, options: &TrackerOptions) {
        let same = |(of, old): &&mut (Kind, Output)| *of == kind && old.frame == output.frame;
        match self.pending.iter_mut().find(same) {
            Some((_, old)) => *old = output,
            None => self.pending.push((kind, output)),
        }
        while kind == Kind::Conditioning && self.conditioning_frames().count() > options.max_prompted_frames {
            self.replace_prompt();
        }
    }

    /// Makes room for the conditioning frame that waits last: the earliest prompt after the first becomes a tracked
    /// frame, or is forgotten if no step has taken it up.
    fn replace_prompt(&mut self) {
        let taken_up = self.conditioning.len();
        let waits = |&i: &usize| {
            let (kind, output) = &self.pending[i];
            *kind == Kind::Conditioning && !self.is_conditioning(output.frame)
        };
        let waiting: Vec<usize> = (0..self.pending.len()).filter(waits).collect();
        let second = usize::from(taken_up + waiting.len() > 2);
        if second < taken_up {
            let output = self.conditioning.remove(second);
            self.store_tracked(output);
        } else {
            self.pending.remove(waiting[second - taken_up]);
        }
    }

    /// Takes up what was prompted (`propagate_in_video_preflight`): corrections, then conditioning frames.
    pub(super) fn take_up(&mut self, rules: &Rules, options: &TrackerOptions) {
        for wanted in [Kind::Tracked, Kind::Conditioning] {
            for (_, output) in self.pending.extract_if(.., |(kind, _)| *kind == wanted).collect::<Vec<_>>() {
                let frame = output.frame;
                match wanted {
                    Kind::Tracked => self.store_tracked(output),
                    Kind::Conditioning => store(&mut self.conditioning, output),
                }
                if options.clear_memory_around_input {
                    self.forget_around(frame, rules);
                }
            }
        }
        let conditioning = &self.conditioning;
        self.tracked.retain(|output| conditioning.iter().all(|other| other.frame != output.frame));
    }

    /// Forgets tracked frames around `frame` (`_clear_non_cond_mem_around_input`).
    pub(super) fn forget_around(&mut self, frame: u64, rules: &Rules) {
        let reach = rules.stride * rules.memories;
        self.tracked.retain(|output| output.frame.abs_diff(frame) > reach);
    }

    pub(super) fn store_tracked(&mut self, output: Output) {
        store(&mut self.tracked, output);
    }

    /// Removes what was said on `frame`; a conditioning frame counts as tracked from then on
    /// (`clear_all_prompts_in_frame`). Says whether there was anything to remove.
    pub(super) fn clear(&mut self, frame: u64) -> bool {
        let before = self.clicks.len() + self.pending.len();
        self.clicks.retain(|clicks| clicks.frame != frame);
        self.pending.retain(|(_, output)| output.frame != frame);
        let is_changed = before != self.clicks.len() + self.pending.len();
        let Some(at) = self.conditioning.iter().position(|output| output.frame == frame) else {
            return is_changed;
        };
        let output = self.conditioning.remove(at);
        self.store_tracked(output);
        self.runs.remove(frame);
        true
    }

    /// Drops what no frame can attend to any more, and no caller can ask for: see [`Window`].
    pub(super) fn retain(&mut self, window: &Window<'_>) {
        let Window { rules, held, current, direction, both_directions } = *window;
        self.clicks.retain(|clicks| held.contains(&clicks.frame));
        let prompts: Vec<u64> = match both_directions {
            true => self.conditioning_frames().collect(),
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
        for output in &mut self.tracked {
            if !is_within(output.frame, rules.memory_reach()) {
                output.memory = Arc::default();
            }
            if !held.contains(&output.frame) {
                output.mask = Arc::default();
            }
        }
        self.tracked.retain(|output| is_within(output.frame, rules.pointer_reach()));
        // Frames that are held in no order could reach farther: what is nearest stays.
        let most = window.most(prompts.len());
        if self.tracked.len() > most[1] {
            self.tracked.sort_by_key(|output| (output.frame.abs_diff(current), output.frame));
            self.tracked.truncate(most[1]);
        }
        let mut memories: Vec<&mut Output> =
            self.tracked.iter_mut().filter(|output| !output.memory.is_empty()).collect();
        if memories.len() > most[0] {
            memories.sort_by_key(|output| (output.frame.abs_diff(current), output.frame));
            memories[most[0]..].iter_mut().for_each(|output| output.memory = Arc::default());
        }
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        let outputs = self.conditioning.iter().chain(&self.tracked);
        let pending = self.pending.iter().map(|(_, output)| output);
        outputs.chain(pending).map(Output::bytes).sum::<usize>()
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

/// Puts `output` in the place of that of the same frame, or at the end.
fn store(outputs: &mut Vec<Output>, output: Output) {
    match outputs.iter_mut().find(|old| old.frame == output.frame) {
        Some(old) => *old = output,
        None => outputs.push(output),
    }
}
