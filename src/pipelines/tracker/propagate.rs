//! Many steps: through a video that the caller can read, or through frames that are held (`propagate_in_video`).

use core::ops::ControlFlow;

use super::{Direction, Tracker};
use crate::error::{Error, Result, err};
use crate::exec::Monitor;
use crate::image::ImageView;
use crate::setters::setters;

/// A video that can be read at any frame.
pub trait FrameSource {
    /// How many frames there are, if that is known.
    fn frames(&self) -> Option<u64>;

    /// Frame `index`, or `None` if the video ends before it.
    ///
    /// # Errors
    /// Whatever keeps the frame from being read.
    fn frame(&mut self, index: u64) -> Result<Option<ImageView<'_>>>;
}

/// Through which frames [`Tracker::propagate`] follows objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Propagation {
    /// The first frame; `None` for the earliest that has prompts.
    pub start: Option<u64>,
    /// The direction.
    pub direction: Direction,
    /// How many frames to go on after the first; `None` for the rest of the video. As in the reference, one frame more
    /// than this is tracked.
    pub max_frames: Option<u64>,
}

impl Propagation {
    setters! {
        with_start(start: impl Into<Option<u64>>),
        with_direction(direction: Direction),
        with_max_frames(max_frames: impl Into<Option<u64>>),
    }
}

impl Tracker {
    /// Follows all objects through a video, and calls `each` after every frame, when its masks can be read. A frame that
    /// is held is not read again. Going backward from frame 0 does nothing, as in the reference.
    ///
    /// `monitor` gets the progress, which stays 0 as long as the end is not known; `each` ends the work by returning `Break`,
    /// which is no error.
    ///
    /// # Errors
    /// Those of [`push_at`](Self::push_at), [`step_at`](Self::step_at) and of `source`; `InvalidArgument` if no object
    /// has prompts. The tracker is then as it was after the last frame that was finished.
    pub fn propagate(
        &mut self,
        source: &mut dyn FrameSource,
        propagation: &Propagation,
        monitor: &Monitor<'_>,
        each: &mut dyn FnMut(&Self, u64) -> ControlFlow<()>,
    ) -> Result<()> {
        self.try_propagate(source, propagation, monitor, &mut |tracker, frame| Ok(each(tracker, frame)))
    }

    /// [`propagate`](Self::propagate) whose `each` may fail, which ends the call without a last report.
    pub(crate) fn try_propagate(
        &mut self,
        source: &mut dyn FrameSource,
        propagation: &Propagation,
        monitor: &Monitor<'_>,
        each: &mut dyn FnMut(&Self, u64) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let Propagation { start, direction, max_frames } = *propagation;
        let prompted = self.objects.iter().flat_map(|object| object.conditioning_frames()).min();
        let prompted = prompted.ok_or_else(|| err!(InvalidArgument, "no object has prompts"))?;
        let start = start.unwrap_or(prompted);
        self.options.check_frame(start)?;
        let most = source.frames().into_iter().chain(self.options.num_frames).min();
        let end = match direction {
            Direction::Forward => {
                let of_video = most.map(|frames| frames.saturating_sub(1));
                let wanted = max_frames.map(|frames| start.saturating_add(frames));
                of_video.into_iter().chain(wanted).min()
            }
            Direction::Backward => Some(max_frames.map_or(0, |frames| start.saturating_sub(frames))),
        };
        if direction == Direction::Backward && start == 0 {
            return Ok(());
        }
        let total = end.map(|end| end.abs_diff(start) + 1);
        let last = end.unwrap_or(u64::MAX);
        monitor.run(|monitor| {
            for done in 0.. {
                let frame = match direction {
                    Direction::Forward => start + done,
                    Direction::Backward => start - done,
                };
                if direction == Direction::Forward && frame > last {
                    break;
                }
                let part = total.map(|total| [done, done + 1].map(|done| done as f32 / total as f32));
                let [from, to] = part.unwrap_or([0.0; 2]);
                let monitor = monitor.part(from, to);
                let within = |error: Error| error.within(format_args!("frame {frame}"));
                let is_held = self.held().any(|held| held == frame);
                if !is_held {
                    let Some(image) = source.frame(frame).map_err(within)? else { break };
                    self.push_at(frame, &image, &monitor.part(0.0, 0.5))?;
                }
                self.step_at(frame, direction, &monitor.part(if is_held { 0.0 } else { 0.5 }, 1.0))?;
                if each(self, frame)?.is_break() || frame == last {
                    break;
                }
            }
            Ok(())
        })
    }
}
