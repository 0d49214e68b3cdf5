//! `vitrum track`.

mod follow;
mod outputs;
mod pace;
mod pattern;
mod plan;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use vitrum::exec::Cx;
use vitrum::pipelines::sam::Sam;
use vitrum::pipelines::tracker::{Direction, TrackerOptions};

pub(super) use follow::{Follower, Tracked, draw};
pub(super) use plan::Plan;

use crate::args::Machine;
use crate::args::track::TrackArgs;
use crate::commands::files::count;
use crate::draw::Overlay;
use crate::failure::{Exit, Failure, Result};
use crate::model;
use crate::output::{self, Inputs, Output, interrupt};
use crate::picture::Picture;
use crate::progress;
use crate::video::{self, Arrival, Assumptions, Frame, Live, Reader, Window};
use outputs::{Outputs, Shown, Wanted};
use pace::Pace;

/// Decoded frames in memory when a video is walked backwards.
const HELD: usize = 32;

/// Follows what is pointed at through a video, prints a line or an object for each frame and object, and writes the
/// files asked for. What was done until a frame that fails, or a signal, is kept.
pub(crate) fn run(args: &TrackArgs, machine: &Machine, output: &mut Output) -> Result<()> {
    let mut inputs = Inputs::default();
    inputs.add_video(&args.input);
    args.prompts.masks.iter().for_each(|mask| inputs.add(&mask.what));
    inputs.add(Path::new(&args.model));
    let wanted = Wanted::new(args, inputs, output)?;
    let plan = Plan::new(&args.prompts, &args.pictures.options())?;
    let reader = video::open(
        &args.input,
        Assumptions { fps: args.fps, matrix: args.matrix, pictures: args.pictures.options_for_masks() },
    )?;
    let len = [reader.len(), args.frames].into_iter().flatten().min();
    if let Some(len) = len {
        check_reached(&plan, len)?;
    }
    wanted.check(reader.len().and(len), &plan.objects())?;
    let cx = machine.cx()?;
    let sam = Arc::new(model::load_sam(&args.model, args.image_size, machine.load, &cx)?);
    let outputs = wanted.begin(&plan.objects())?;
    let options = TrackerOptions::default()
        .with_num_frames(reader.len().filter(|_| !args.live))
        .with_non_overlap_output(args.non_overlap)
        .with_both_directions(args.backward);
    let mut task =
        Task { args, cx: &cx, sam, plan: &plan, options, outputs, output, shown: 0, stopped: None };
    interrupt::finish_in_order();
    let frames = match args {
        TrackArgs { backward: true, .. } => task.both_ways(reader),
        TrackArgs { live: true, .. } => task.live(reader),
        _ => task.stream(reader, len),
    };
    let Task { outputs, shown, stopped, .. } = task;
    // A run that did nothing leaves earlier files as they are.
    let finished = if shown == 0 { Ok(()) } else { outputs.finish(shown) };
    let frames = frames?;
    finished?;
    match stopped {
        None => check_reached(&plan, frames),
        Some(signal) => {
            let name = name_of(signal);
            let message = match shown {
                0 => format!("stopped by {name} before the first frame was done"),
                _ => {
                    format!("stopped by {name}: what was found on {} is kept", count(shown as usize, "frame"))
                }
            };
            Err(Failure::new(Exit::of_signal(signal), message))
        }
    }
}

/// What the user knows of a signal.
fn name_of(signal: i32) -> &'static str {
    match signal {
        1 => "the end of its terminal",
        2 => "Ctrl-C",
        15 => "SIGTERM",
        _ => "a signal",
    }
}

/// Prompts on frames that do not exist are mistakes.
fn check_reached(plan: &Plan, frames: u64) -> Result<()> {
    match plan.frames().next_back().filter(|&last| last >= frames) {
        None => Ok(()),
        Some(last) => {
            Err(Failure::usage(format!("a prompt is about frame {last}, before which the video ends"))
                .hint(format!("frames are counted from 0; there were {frames}")))
        }
    }
}

/// What there is to do.
struct Task<'a> {
    args: &'a TrackArgs,
    cx: &'a Cx,
    sam: Arc<Sam>,
    plan: &'a Plan,
    options: TrackerOptions,
    outputs: Outputs<'a>,
    output: &'a mut Output,
    /// Frames whose results are written.
    shown: u64,
    /// The signal that ended the work.
    stopped: Option<i32>,
}

impl<'a> Task<'a> {
    /// Tracks frame by frame; how many there were. Whole frames before a damaged one are tracked and written.
    fn stream(&mut self, mut reader: Box<dyn Reader>, len: Option<u64>) -> Result<u64> {
        let bar = progress::frames("tracking", len);
        let mut pace = Pace::default();
        let mut follower: Option<Follower<'_>> = None;
        let mut count = 0;
        while self.is_wanted(count) && !self.is_stopped() {
            let name = reader.next_name();
            let Some(frame) = reader.next()? else { break };
            let follower = match &mut follower {
                Some(follower) => follower,
                None => follower.insert(self.follower(frame.picture)?),
            };
            pace.begin();
            let found = match follower.follow(count, frame.picture) {
                Err(_) if self.is_stopped() => break,
                found => found?,
            };
            pace.end();
            bar.suspend(|| self.show(count, frame, name.as_deref(), found))?;
            bar.inc(1);
            count += 1;
        }
        self.tell(pace, None);
        Ok(count)
    }

    /// Tracks the newest frames of a video that does not wait; how many there were.
    fn live(&mut self, reader: Box<dyn Reader>) -> Result<u64> {
        let bar = progress::frames("tracking", None);
        let mut pace = Pace::default();
        let mut follower: Option<Follower<'_>> = None;
        // Standard input comes when it comes.
        let paced = self.args.input.as_os_str() != "-";
        let mut video = Live::begin(reader, self.plan.frames().collect(), paced)?;
        while !self.is_stopped() {
            let Some(arrival) = video.next(|| interrupt::signal().is_some())? else { break };
            let Arrival { index, ref picture, seconds, at, ref name } = arrival;
            if !self.is_wanted(index) {
                break;
            }
            let follower = match &mut follower {
                Some(follower) => follower,
                None => follower.insert(self.follower(picture)?),
            };
            pace.begin();
            let mut found = match follower.follow(index, picture) {
                Err(_) if self.is_stopped() => break,
                found => found?,
            };
            let delay = pace.end_live(at).as_secs_f64() * 1e3;
            found.iter_mut().for_each(|it| it.latency_ms = Some(delay));
            bar.suspend(|| self.show(index, Frame { picture, seconds }, name.as_deref(), found))?;
            bar.inc(1);
        }
        // A signal may have ended a wait.
        self.is_stopped();
        let count = video.count();
        self.tell(pace, Some(count));
        Ok(count)
    }

    /// Says how fast frames were tracked; `came` of a live video.
    fn tell(&self, pace: Pace, came: Option<u64>) {
        if let Some(sentence) = pace.sentence(came).filter(|_| !self.args.form.quiet) {
            output::notice(format_args!("{sentence}"));
        }
    }

    /// Gives all prompts, tracks to the end and then to the beginning, and shows what was found in the order of the
    /// frames, which are read once more for that. Stopped on the way, it shows what was found until then.
    fn both_ways(&mut self, mut reader: Box<dyn Reader>) -> Result<u64> {
        // Fails at once where it would fail in the end.
        reader.rewind()?;
        let mut window = Window::new(reader, HELD);
        let mut found = BTreeMap::new();
        match self.find_both_ways(&mut window, &mut found) {
            Err(_) if self.is_stopped() => {}
            result => result?,
        }
        let was_stopped = self.stopped.is_some();
        let (mut reader, mut count) = (window.into_reader()?, 0);
        while self.is_wanted(count) && (was_stopped || !self.is_stopped()) {
            if was_stopped && found.is_empty() {
                break;
            }
            let name = reader.next_name();
            let Some(frame) = reader.next()? else { break };
            let here = found.remove(&count);
            if here.is_some() || !was_stopped {
                self.show(count, frame, name.as_deref(), here.unwrap_or_default())?;
            }
            count += 1;
        }
        Ok(count)
    }

    /// What there is on each frame.
    fn find_both_ways(&mut self, window: &mut Window, found: &mut BTreeMap<u64, Vec<Tracked>>) -> Result<()> {
        let Some(first) = self.plan.frames().next() else { return Ok(()) };
        let bar = progress::frames("tracking", window.len());
        let mut follower = self.follower(window.frame(first)?)?;
        for frame in self.plan.frames() {
            follower.point_at(frame, window.frame(frame)?)?;
        }
        let mut track = |frame, picture: &Picture, direction| -> Result<()> {
            found.insert(frame, follower.step(frame, picture, direction)?);
            bar.inc(1);
            Ok(())
        };
        let len = window.len().unwrap_or(u64::MAX);
        for frame in (first..len).take_while(|&frame| self.is_wanted(frame)) {
            // A damaged frame is reported when the frames are shown.
            let Ok(picture) = window.frame(frame) else { break };
            track(frame, picture, Direction::Forward)?;
        }
        for frame in (0..first).rev() {
            track(frame, window.frame(frame)?, Direction::Backward)?;
        }
        Ok(())
    }

    /// Whether there was a signal to stop.
    fn is_stopped(&mut self) -> bool {
        self.stopped = interrupt::signal();
        self.stopped.is_some()
    }

    /// Whether the user wants frame `index`, if there is one.
    fn is_wanted(&self, index: u64) -> bool {
        self.args.frames.is_none_or(|frames| index < frames)
    }

    /// A tracker of a video whose frames are like `picture`.
    fn follower(&self, picture: &Picture) -> Result<Follower<'a>> {
        Follower::new(Arc::clone(&self.sam), picture, &self.options, self.plan, self.args.threshold)
    }

    /// Writes what was found on a frame to the files and prints it.
    fn show(&mut self, index: u64, frame: Frame<'_>, name: Option<&str>, found: Vec<Tracked>) -> Result<()> {
        let Frame { picture, seconds } = frame;
        let found = found.into_iter().map(|it| it.outlined(&self.args.form)).collect::<Result<Vec<_>>>()?;
        let draw = || draw(self.cx, picture, 1.0, &found, self.plan, index).map(Overlay::into_canvas);
        self.outputs.write(&Shown { frame: index, seconds, picture, name, found: &found, draw: &draw })?;
        self.shown += 1;
        for it in &found {
            if self.output.json() {
                self.output.object(it)?;
            } else {
                let Tracked { frame, object, object_score, area, bbox: [x, y, width, height], .. } = it;
                self.output.line(format_args!(
                    "{frame}\t{object}\t{object_score:.4}\t{area}\t{x},{y},{width},{height}"
                ))?;
            }
        }
        self.output.flush()
    }
}
