//! Frames as they come: what cannot be worked on in time is left out.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::Reader;
use crate::failure::{Exit, Failure, Result};
use crate::picture::Picture;

/// How often a wait looks whether the user wants to stop.
const LOOK: Duration = Duration::from_millis(20);

/// A frame that came.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// Which frame of the video it is, counted from 0.
    pub(crate) index: u64,
    pub(crate) picture: Picture,
    /// How long it is shown, with the frames left out since the one before it.
    pub(crate) seconds: f64,
    /// When it had come and was decoded.
    pub(crate) at: Instant,
    /// The name of the file that holds it alone.
    pub(crate) name: Option<String>,
}

/// A video whose frames a thread reads without waiting for who works on them.
pub(crate) struct Live(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Frames that are not left out.
    kept: BTreeSet<u64>,
}

#[derive(Default)]
struct State {
    /// Kept frames, and the newest one.
    waiting: VecDeque<Arrival>,
    /// Frames that came.
    count: u64,
    /// Why no more will come.
    end: Option<Result<()>>,
    /// Nobody wants more.
    over: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over a frame; whether more are wanted.
    fn take(&self, mut new: Arrival) -> bool {
        let mut state = self.state();
        if let Some(last) = state.waiting.back().filter(|last| !self.kept.contains(&last.index)) {
            new.seconds += last.seconds;
            state.waiting.pop_back();
        }
        state.count = new.index + 1;
        state.waiting.push_back(new);
        self.changed.notify_one();
        !state.over
    }

    /// Reads all frames. With `paced`, each comes when the frames before it have been shown.
    fn read(&self, reader: &mut dyn Reader, paced: bool) -> Result<()> {
        let mut due = Instant::now();
        for index in 0.. {
            let name = reader.next_name();
            let Some(frame) = reader.next()? else { break };
            let (picture, seconds) = (frame.picture.clone(), frame.seconds);
            if paced {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                due += Duration::try_from_secs_f64(seconds).unwrap_or_default();
            }
            if !self.take(Arrival { index, picture, seconds, at: Instant::now(), name }) {
                break;
            }
        }
        Ok(())
    }
}

impl Live {
    /// Begins to read `reader`. Frames in `kept` are not left out; with `paced`, which a file needs, frames come at their
    /// times.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(crate) fn begin(mut reader: Box<dyn Reader>, kept: BTreeSet<u64>, paced: bool) -> Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), kept });
        let of_thread = Arc::clone(&shared);
        let read = move || {
            let end = of_thread.read(&mut *reader, paced);
            of_thread.state().end = Some(end);
            of_thread.changed.notify_one();
        };
        thread::Builder::new()
            .name("vitrum-frames".into())
            .spawn(read)
            .map_err(|error| Failure::new(Exit::Other, format!("no thread for reading frames: {error}")))?;
        Ok(Self(shared))
    }

    /// The next frame that is to be worked on: the newest, or an older one that is kept. Waits for it unless `stop`. `None`
    /// after the last one.
    ///
    /// # Errors
    /// As [`Reader::next`].
    pub(crate) fn next(&mut self, mut stop: impl FnMut() -> bool) -> Result<Option<Arrival>> {
        let mut state = self.0.state();
        loop {
            if let Some(arrival) = state.waiting.pop_front() {
                return Ok(Some(arrival));
            }
            if let Some(end) = state.end.take() {
                state.end = Some(Ok(()));
                return end.map(|()| None);
            }
            if stop() {
                return Ok(None);
            }
            state = self.0.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Frames that came until now.
    pub(crate) fn count(&self) -> u64 {
        self.0.state().count
    }
}

impl Drop for Live {
    /// The thread ends with its next frame. It may wait for that as long as it likes: nobody waits for it.
    fn drop(&mut self) {
        self.0.state().over = true;
    }
}

#[cfg(test)]
mod tests {
    use super::super::Frame;
    use super::*;
    use vitrum::image::PixelFormat;

    /// So many frames, then an error or the end.
    struct Frames {
        picture: Picture,
        left: u64,
        fails: bool,
    }

    impl Frames {
        fn of(count: u64, fails: bool) -> Box<dyn Reader> {
            Box::new(Self { picture: Picture::blank(1, 1, PixelFormat::Gray8), left: count, fails })
        }
    }

    impl Reader for Frames {
        fn len(&self) -> Option<u64> {
            None
        }

        fn next(&mut self) -> Result<Option<Frame<'_>>> {
            if self.left == 0 {
                let failure = Failure::new(Exit::Input, "cut off");
                return if self.fails { Err(failure) } else { Ok(None) };
            }
            self.left -= 1;
            Ok(Some(Frame { picture: &self.picture, seconds: 0.25 }))
        }

        fn rewind(&mut self) -> Result<()> {
            unreachable!("nobody goes back")
        }
    }

    /// What is left when all frames have come before the first one is asked for.
    fn late(count: u64, kept: &[u64], fails: bool) -> (Vec<(u64, f64)>, Result<()>) {
        let mut live = Live::begin(Frames::of(count, fails), kept.iter().copied().collect(), false).unwrap();
        while live.0.state().end.is_none() {
            thread::yield_now();
        }
        assert_eq!(live.count(), count);
        let mut got = Vec::new();
        loop {
            match live.next(|| false) {
                Ok(Some(arrival)) => got.push((arrival.index, arrival.seconds)),
                Ok(None) => return (got, Ok(())),
                Err(failure) => return (got, Err(failure)),
            }
        }
    }

    #[test]
    fn the_newest_and_the_kept_frames_are_left() {
        assert_eq!(late(8, &[], false).0, [(7, 2.0)]);
        assert_eq!(late(8, &[0, 5, 6], false).0, [(0, 0.25), (5, 1.25), (6, 0.25), (7, 0.25)]);
        assert!(late(0, &[], false).0.is_empty());
        let (got, end) = late(3, &[1], true);
        assert_eq!(got, [(1, 0.5), (2, 0.25)]);
        assert!(end.is_err(), "the damage is reported after the frames before it");
    }

    #[test]
    fn a_file_takes_its_time() {
        let start = Instant::now();
        let mut live = Live::begin(Frames::of(3, false), BTreeSet::new(), true).unwrap();
        let mut indices = Vec::new();
        while let Some(arrival) = live.next(|| false).unwrap() {
            indices.push(arrival.index);
        }
        assert_eq!(indices.last(), Some(&2));
        assert!(start.elapsed() >= Duration::from_millis(500));
    }

    #[test]
    fn a_wait_can_be_stopped() {
        let mut live = Live::begin(Frames::of(2, false), BTreeSet::new(), true).unwrap();
        assert!(live.next(|| false).unwrap().is_some());
        assert!(live.next(|| true).unwrap().is_none());
    }
}
