//! How fast frames were tracked.

use std::time::{Duration, Instant};

/// Begins with the first frame that is worked on.
#[derive(Default)]
pub(super) struct Pace {
    first: Option<Instant>,
    frames: u32,
    /// From the arrival of each frame to its result, of a live video.
    delays: Vec<Duration>,
}

impl Pace {
    /// Work on a frame begins.
    pub(super) fn begin(&mut self) {
        self.first.get_or_insert_with(Instant::now);
    }

    /// Its result is there.
    pub(super) fn end(&mut self) {
        self.frames += 1;
    }

    /// The result of a frame that came at `arrival` is there: how long that took.
    pub(super) fn end_live(&mut self, arrival: Instant) -> Duration {
        self.end();
        let delay = arrival.elapsed();
        self.delays.push(delay);
        delay
    }

    /// A sentence about `came` frames, or about those that were tracked; `None` if there were none.
    pub(super) fn sentence(mut self, came: Option<u64>) -> Option<String> {
        let first = self.first.filter(|_| self.frames > 0)?;
        let rate = f64::from(self.frames) / first.elapsed().as_secs_f64().max(1e-9);
        let Some(came) = came else {
            return Some(format!(
                "tracked {}: {rate:.1} a second",
                super::count(self.frames as usize, "frame")
            ));
        };
        self.delays.sort_unstable();
        let at = |share: usize| self.delays[(self.delays.len() - 1) * share / 100].as_secs_f64() * 1e3;
        Some(format!(
            "tracked {} of {}: {rate:.1} a second; a result came {:.0} ms after its frame (95 %: {:.0} ms)",
            self.frames,
            super::count(came as usize, "frame"),
            at(50),
            at(95)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_how_many_and_how_late() {
        assert_eq!(Pace::default().sentence(None), None);
        let mut pace = Pace::default();
        pace.begin();
        pace.end();
        assert!(pace.sentence(None).unwrap().starts_with("tracked 1 frame: "));
        let mut pace = Pace::default();
        pace.begin();
        for ms in (1..=100).rev() {
            pace.frames += 1;
            pace.delays.push(Duration::from_millis(ms));
        }
        let sentence = pace.sentence(Some(240)).unwrap();
        assert!(sentence.starts_with("tracked 100 of 240 frames: "), "{sentence}");
        assert!(sentence.ends_with("50 ms after its frame (95 %: 95 ms)"), "{sentence}");
    }
}
