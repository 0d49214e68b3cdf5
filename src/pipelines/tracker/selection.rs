//! Which memories and object pointers a frame attends to (`_prepare_memory_conditioned_features` and
//! `select_closest_cond_frames` of the reference).
//!
//! Nothing here touches a tensor: frames go in, and which of an object's results to use comes out.

use alloc::vec::Vec;

use super::{Direction, TrackerOptions};
use crate::error::Result;
use crate::exec::{TryCollect, TryGrow};
use crate::models::sam2::Sam2Config;

/// What the model's configuration and the video's length say about attending to the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// Memories that a frame attends to, those of conditioning frames not counted but for one (`num_maskmem`).
    pub(super) memories: u64,
    /// Frames between two memories (`memory_temporal_stride_for_eval`).
    pub(super) stride: u64,
    /// Conditioning frames that a frame attends to (`max_cond_frames_in_attn`); `None` for all.
    pub(super) conditioning: Option<usize>,
    /// Object pointers that a frame attends to (`max_obj_ptrs_in_encoder`).
    pub(super) pointers: u64,
    /// Of pointers of conditioning frames, only those of the past (`only_obj_ptrs_in_the_past_for_eval`).
    pub(super) only_past_pointers: bool,
    /// Distances of pointers of conditioning frames have a sign (`use_signed_tpos_enc_to_obj_ptrs`).
    pub(super) signed_distances: bool,
    /// Frames of the video, if that is known.
    pub(super) frames: Option<u64>,
}

impl Rules {
    /// The rules of a model and of how it is to be used.
    pub(super) fn new(config: &Sam2Config, options: &TrackerOptions) -> Self {
        let (tracking, memory) = (&config.tracking, config.memory.as_ref());
        let pointer_times = memory.and_then(|memory| memory.pointer_times);
        Self {
            memories: memory.map_or(0, |memory| memory.count) as u64,
            stride: tracking.memory_stride as u64,
            conditioning: tracking.max_prompted_frames,
            pointers: tracking.max_pointers as u64,
            only_past_pointers: tracking.past_pointers_only,
            signed_distances: pointer_times.is_some_and(|times| times.signed),
            frames: options.num_frames,
        }
    }

    /// How far back a memory of a tracked frame is used, in frames.
    pub(super) fn memory_reach(&self) -> u64 {
        match self.memories {
            0 | 1 => 0,
            2 => 1,
            n => 1 + self.stride + (n - 3) * self.stride,
        }
    }

    /// How far back a pointer of a tracked frame is used, in frames.
    pub(super) fn pointer_reach(&self) -> u64 {
        self.pointer_limit() - 1
    }

    /// Most distant pointer plus one: no video has pointers farther apart than its length.
    fn pointer_limit(&self) -> u64 {
        self.frames.map_or(self.pointers, |frames| self.pointers.min(frames)).max(1)
    }

    /// What the temporal distance of a pointer is divided by before it is encoded.
    fn distance_scale(&self) -> f32 {
        // A video of one frame has no distances; the reference would divide by zero.
        (self.pointer_limit() - 1).max(1) as f32
    }
}

/// A result of an object: its place in the list of conditioning, or of tracked results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Conditioning(usize),
    Tracked(usize),
}

/// What a frame attends to, in the reference's order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Selection {
    /// Memories, each with its row of `maskmem_tpos_enc`.
    pub(super) memories: Vec<(Source, usize)>,
    /// Pointers, each with its temporal distance as it is encoded.
    pub(super) pointers: Vec<(Source, f32)>,
}

impl Selection {
    /// What `frame` attends to when it is tracked in `direction`, of conditioning results on the frames `conditioning`
    /// and tracked results on the frames `tracked`.
    pub(super) fn new(
        rules: &Rules,
        frame: u64,
        direction: Direction,
        conditioning: &[u64],
        tracked: &[u64],
    ) -> Result<Self> {
        let mut selection = Self::default();
        let closest = closest(frame, conditioning, rules.conditioning)?;
        let find = |at: u64| {
            let tracked = tracked.iter().position(|&frame| frame == at).map(Source::Tracked);
            // A conditioning frame that is not among the closest serves as if it had been tracked.
            let unselected =
                || conditioning.iter().position(|&frame| frame == at).filter(|i| !closest.contains(i));
            tracked.or_else(|| unselected().map(Source::Conditioning))
        };

        // Memories: those of conditioning frames as at distance 0, then from the farthest to the nearest.
        let row = |position: u64| (rules.memories - position - 1) as usize;
        let memories = closest.iter().map(|&i| (Source::Conditioning(i), row(0)));
        selection.memories = memories.try_to_vec()?;
        for position in 1..rules.memories {
            let at = memory_frame(frame, rules.memories - position, rules.stride, direction);
            if let Some(source) = at.and_then(find) {
                selection.memories.try_push((source, row(position)))?;
            }
        }

        // Pointers: those of conditioning frames, then from the nearest to the farthest.
        let scale = rules.distance_scale();
        for &i in &closest {
            let ahead = match direction {
                Direction::Forward => frame as i64 - conditioning[i] as i64,
                Direction::Backward => conditioning[i] as i64 - frame as i64,
            };
            if ahead < 0 && rules.only_past_pointers {
                continue;
            }
            let distance = if rules.signed_distances { ahead } else { ahead.abs() };
            selection.pointers.try_push((Source::Conditioning(i), distance as f32 / scale))?;
        }
        for distance in 1..rules.pointer_limit() {
            let at = direction.back(frame, distance);
            let Some(at) = at.filter(|&at| rules.frames.is_none_or(|frames| at < frames)) else { break };
            if let Some(source) = find(at) {
                selection.pointers.try_push((source, distance as f32 / scale))?;
            }
        }
        Ok(selection)
    }
}

/// The frame whose memory is `back` places before `frame`: the frame before it, and behind that every `stride`-th frame
/// of the video.
fn memory_frame(frame: u64, back: u64, stride: u64, direction: Direction) -> Option<u64> {
    if back == 1 {
        return direction.back(frame, 1);
    }
    match direction {
        Direction::Forward => (frame.checked_sub(2)? / stride * stride).checked_sub((back - 2) * stride),
        Direction::Backward => Some((frame + 2).div_ceil(stride) * stride + (back - 2) * stride),
    }
}

/// The places of at most `most` frames that are closest to `frame`: the closest before it, the closest from it on, then
/// any others by their distance. All of them, in their order, if they are not more than that.
fn closest(frame: u64, frames: &[u64], most: Option<usize>) -> Result<Vec<usize>> {
    let all = 0..frames.len();
    let Some(most) = most.filter(|&most| most < frames.len()) else { return all.try_to_vec() };
    let before = all.clone().filter(|&i| frames[i] < frame).max_by_key(|&i| frames[i]);
    let after = all.clone().filter(|&i| frames[i] >= frame).min_by_key(|&i| frames[i]);
    let mut selected: Vec<usize> = before.into_iter().chain(after).take(most).try_to_vec()?;
    let mut rest: Vec<usize> = all.filter(|i| !selected.contains(i)).try_to_vec()?;
    rest.sort_unstable_by_key(|&i| (frames[i].abs_diff(frame), i));
    rest.truncate(most - selected.len());
    selected.try_extend(&rest)?;
    Ok(selected)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers separated by blanks.
    fn numbers(text: &str) -> Vec<i64> {
        text.split_whitespace().map(|number| number.parse().unwrap()).collect()
    }

    /// Pairs of a frame and a number.
    fn pairs(text: &str) -> Vec<(u64, f32)> {
        let pair = |pair: &str| {
            let (frame, number) = pair.split_once(':').unwrap();
            (frame.parse().unwrap(), number.parse().unwrap())
        };
        text.split_whitespace().map(pair).collect()
    }

    /// Against `SAM2Base._prepare_memory_conditioned_features`, see `generators/tracker_selection.py`.
    #[test]
    fn selections_are_the_references() {
        let cases = include_str!("../../../tests/golden/tracker/selection.txt");
        for case in cases.lines() {
            let fields: Vec<&str> = case.split(';').collect();
            let [rules, frame, backward, conditioning, tracked, memories, pointers] = fields[..] else {
                panic!("{case}")
            };
            let [count, stride, most, reach, past, signed, frames] = numbers(rules)[..] else {
                panic!("{case}")
            };
            let rules = Rules {
                memories: count as u64,
                stride: stride as u64,
                conditioning: usize::try_from(most).ok(),
                pointers: reach as u64,
                only_past_pointers: past == 1,
                signed_distances: signed == 1,
                frames: Some(frames as u64),
            };
            let direction = if backward == "1" { Direction::Backward } else { Direction::Forward };
            let frame: u64 = frame.parse().unwrap();
            let to_frames = |text| numbers(text).into_iter().map(|frame| frame as u64).collect::<Vec<_>>();
            let (conditioning, tracked) = (to_frames(conditioning), to_frames(tracked));
            let selection = Selection::new(&rules, frame, direction, &conditioning, &tracked).unwrap();
            let frame_of = |source: Source| match source {
                Source::Conditioning(i) => conditioning[i],
                Source::Tracked(i) => tracked[i],
            };
            let got = selection.memories.iter().map(|&(source, row)| (frame_of(source), row as f32));
            assert_eq!(got.collect::<Vec<_>>(), pairs(memories), "memories of {case}");
            let got = selection.pointers.iter().map(|&(source, distance)| (frame_of(source), distance));
            assert_eq!(got.collect::<Vec<_>>(), pairs(pointers), "pointers of {case}");

            // Whatever is attended to as a tracked frame lies within the reach that the object's state keeps.
            let is_within = |(source, reach): (Source, u64)| match source {
                Source::Conditioning(_) => true,
                Source::Tracked(i) => tracked[i].abs_diff(frame) <= reach,
            };
            let memories = selection.memories.iter().map(|&(source, _)| (source, rules.memory_reach()));
            let pointers = selection.pointers.iter().map(|&(source, _)| (source, rules.pointer_reach()));
            assert!(memories.chain(pointers).all(is_within), "{case}");
        }
    }

    #[test]
    fn nothing_overflows_at_the_end_of_time() {
        let rules = Rules {
            memories: 7,
            stride: 1,
            conditioning: Some(2),
            pointers: 16,
            only_past_pointers: false,
            signed_distances: true,
            frames: None,
        };
        let last = super::super::MAX_FRAMES - 1;
        for direction in [Direction::Forward, Direction::Backward] {
            let selection = Selection::new(&rules, last, direction, &[0, 1, 2, last], &[last - 1]).unwrap();
            assert!(!selection.memories.is_empty());
        }
    }
}
