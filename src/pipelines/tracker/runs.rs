//! Which frames have been tracked, and in which direction.
//!
//! The reference remembers every frame (`frames_tracked_per_obj`). A video is tracked in a few sweeps, so runs of
//! neighbouring frames say the same in memory that does not grow.

use alloc::vec::Vec;

use super::Direction;

/// Most runs that are kept. One is dropped only after so many sweeps that touch nowhere: frames of the run farthest
/// from the latest frame then count as never tracked.
pub(super) const MAX_RUNS: usize = 64;

/// Neighbouring frames that were last tracked in the same direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) direction: Direction,
}

/// The tracked frames of an object, as runs in ascending order that neither overlap nor could be joined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Runs(Vec<Run>);

impl Runs {
    /// Runs as saved, or `None` if they are not in order, overlap, could be joined or are too many.
    pub(super) fn checked(runs: Vec<Run>) -> Option<Self> {
        let ordered = runs.iter().all(|run| run.first <= run.last);
        let apart = runs.windows(2).all(|pair| {
            let gap = pair[1].first.checked_sub(pair[0].last);
            gap.is_some_and(|gap| gap > 1 || (gap == 1 && pair[0].direction != pair[1].direction))
        });
        (ordered && apart && runs.len() <= MAX_RUNS).then_some(Self(runs))
    }

    pub(super) fn as_slice(&self) -> &[Run] {
        &self.0
    }

    /// The direction in which `frame` was last tracked, if it was.
    pub(super) fn direction(&self, frame: u64) -> Option<Direction> {
        let after = self.0.partition_point(|run| run.last < frame);
        self.0.get(after).filter(|run| run.first <= frame).map(|run| run.direction)
    }

    /// `frame` has been tracked.
    pub(super) fn insert(&mut self, frame: u64, direction: Direction) {
        self.remove(frame);
        let at = self.0.partition_point(|run| run.last < frame);
        let joins = |run: &Run, edge: u64| run.direction == direction && edge.abs_diff(frame) == 1;
        let before = at > 0 && joins(&self.0[at - 1], self.0[at - 1].last);
        let after = at < self.0.len() && joins(&self.0[at], self.0[at].first);
        match (before, after) {
            (true, true) => {
                self.0[at - 1].last = self.0[at].last;
                self.0.remove(at);
            }
            (true, false) => self.0[at - 1].last = frame,
            (false, true) => self.0[at].first = frame,
            (false, false) => self.0.insert(at, Run { first: frame, last: frame, direction }),
        }
        self.shorten(frame);
    }

    /// `frame` counts as not tracked.
    pub(super) fn remove(&mut self, frame: u64) {
        let at = self.0.partition_point(|run| run.last < frame);
        let Some(&run) = self.0.get(at).filter(|run| run.first <= frame) else { return };
        let left = (run.first < frame).then(|| Run { last: frame - 1, ..run });
        let right = (frame < run.last).then(|| Run { first: frame + 1, ..run });
        self.0.splice(at..=at, left.into_iter().chain(right));
        self.shorten(frame);
    }

    /// Drops the run farthest from `frame` while there are too many.
    fn shorten(&mut self, frame: u64) {
        while self.0.len() > MAX_RUNS {
            let [first, .., last] = self.0[..] else { return };
            let is_first_farther = frame.abs_diff(first.last) > frame.abs_diff(last.first);
            self.0.remove(if is_first_farther { 0 } else { self.0.len() - 1 });
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::*;

    #[test]
    fn runs_say_what_a_map_of_all_frames_says() {
        let mut state = 7_u32;
        let mut next = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            u64::from((state >> 8) % below)
        };
        let (mut runs, mut map) = (Runs::default(), BTreeMap::new());
        for _ in 0..4000 {
            let frame = next(40);
            let direction = if next(2) == 0 { Direction::Forward } else { Direction::Backward };
            if next(4) == 0 {
                runs.remove(frame);
                map.remove(&frame);
            } else {
                runs.insert(frame, direction);
                map.insert(frame, direction);
            }
            for frame in 0..41 {
                assert_eq!(runs.direction(frame), map.get(&frame).copied());
            }
            assert_eq!(Runs::checked(runs.0.clone()), Some(runs.clone()));
        }
    }

    #[test]
    fn a_long_video_is_one_run() {
        let mut runs = Runs::default();
        (u64::from(u32::MAX) - 5..u64::from(u32::MAX) + 5)
            .for_each(|frame| runs.insert(frame, Direction::Forward));
        assert_eq!(runs.0.len(), 1);
    }

    #[test]
    fn the_number_of_runs_is_bounded() {
        let mut runs = Runs::default();
        (0..1000).for_each(|i| runs.insert(3 * i, Direction::Forward));
        assert_eq!(runs.0.len(), MAX_RUNS);
        assert_eq!(runs.direction(2997), Some(Direction::Forward));
        assert_eq!(runs.direction(0), None);
    }

    #[test]
    fn impossible_runs_are_refused() {
        let run = |first, last, direction| Run { first, last, direction };
        let (ahead, back) = (Direction::Forward, Direction::Backward);
        assert!(Runs::checked([run(3, 2, ahead)].into()).is_none());
        assert!(Runs::checked([run(0, 2, ahead), run(2, 3, back)].into()).is_none());
        assert!(Runs::checked([run(0, 2, ahead), run(3, 3, ahead)].into()).is_none());
        assert!(Runs::checked([run(0, 2, ahead), run(3, 3, back)].into()).is_some());
    }
}
