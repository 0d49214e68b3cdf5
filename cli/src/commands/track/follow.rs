//! A tracker that is told what was planned.

use std::sync::Arc;

use serde::Serialize;
use vitrum::exec::{Cx, Monitor};
use vitrum::pipelines::mask::Rle;
use vitrum::pipelines::sam::Sam;
use vitrum::pipelines::tracker::{Direction, Tracker, TrackerOptions};

use super::plan::Plan;
use crate::args::output::FormArgs;
use crate::commands::masks::{Outlines, coco, tinted};
use crate::draw::{Overlay, color};
use crate::failure::{Exit, OrExit, Result};
use crate::output::interrupt;
use crate::picture::Picture;

/// An object on a frame.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Tracked {
    pub(crate) frame: u64,
    pub(crate) object: u32,
    #[serde(serialize_with = "coco")]
    pub(crate) segmentation: Rle,
    #[serde(skip_serializing_if = "Option::is_none")]
    polygons: Option<Vec<Outlines>>,
    pub(crate) area: u32,
    /// x, y, width, height.
    pub(crate) bbox: [u32; 4],
    /// Logit of the object's being there.
    pub(crate) object_score: f32,
    /// How the frame was turned, as EXIF numbers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    orientation: Option<u8>,
    /// From the arrival of the frame to its result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) latency_ms: Option<f64>,
}

impl Tracked {
    pub(crate) fn new(frame: u64, object: u32, segmentation: Rle, object_score: f32) -> Self {
        let (area, bbox) = (segmentation.area(), segmentation.bounding_box());
        Self {
            frame,
            object,
            segmentation,
            polygons: None,
            area,
            bbox,
            object_score,
            orientation: None,
            latency_ms: None,
        }
    }

    /// The same with polygons, if the user asked for them.
    pub(super) fn outlined(self, form: &FormArgs) -> Result<Self> {
        Ok(Self { polygons: Outlines::of(&self.segmentation, form).or_exit(Exit::Other)?, ..self })
    }
}

/// Follows what a plan points at.
pub(crate) struct Follower<'a> {
    tracker: Tracker,
    plan: &'a Plan,
    threshold: f32,
}

impl<'a> Follower<'a> {
    /// Of a video like `picture`. Numbers of objects and of prompted frames are those of the plan.
    pub(crate) fn new(
        sam: Arc<Sam>,
        picture: &Picture,
        options: &TrackerOptions,
        plan: &'a Plan,
        threshold: f32,
    ) -> Result<Self> {
        let options = (*options)
            .with_max_objects(plan.objects().len().max(1))
            .with_max_prompted_frames(plan.prompted_frames().max(options.max_prompted_frames));
        let tracker = Tracker::new(sam, [picture.width, picture.height], &options).or_exit(Exit::Model)?;
        Ok(Self { tracker, plan, threshold })
    }

    /// The next frame of a stream. Before the first prompt there is nothing to do.
    ///
    /// Frames may be left out. The tracker counts those it gets: it remembers the last ones, however far they lie apart.
    pub(crate) fn follow(&mut self, frame: u64, picture: &Picture) -> Result<Vec<Tracked>> {
        if self.plan.frames().next().is_none_or(|first| frame < first) {
            return Ok(Vec::new());
        }
        let monitor = Monitor::new(&interrupt::stop);
        let number = self.tracker.push(&picture.view()?, &monitor).or_exit(Exit::Input)?;
        self.plan.tell(&mut self.tracker, frame, number, &monitor)?;
        self.tracker.step(&monitor).or_exit(Exit::Other)?;
        self.found(frame, number, picture)
    }

    /// Says what is planned for `frame`, wherever it lies.
    pub(crate) fn point_at(&mut self, frame: u64, picture: &Picture) -> Result<()> {
        let monitor = Monitor::new(&interrupt::stop);
        self.tracker.push_at(frame, &picture.view()?, &monitor).or_exit(Exit::Input)?;
        self.plan.tell(&mut self.tracker, frame, frame, &monitor)
    }

    /// Tracks all objects on `frame`, of which nothing more is said.
    pub(crate) fn step(
        &mut self,
        frame: u64,
        picture: &Picture,
        direction: Direction,
    ) -> Result<Vec<Tracked>> {
        let monitor = Monitor::new(&interrupt::stop);
        self.tracker.push_at(frame, &picture.view()?, &monitor).or_exit(Exit::Input)?;
        self.tracker.step_at(frame, direction, &monitor).or_exit(Exit::Other)?;
        self.found(frame, frame, picture)
    }

    /// What was found on `frame`, which is held and called `number`.
    fn found(&self, frame: u64, number: u64, picture: &Picture) -> Result<Vec<Tracked>> {
        let tracker = &self.tracker;
        let found = |&object: &u32| {
            let mask = tracker.rle(object, Some(number), self.threshold).or_exit(Exit::Usage)?;
            let score = tracker.object_score(object, Some(number)).or_exit(Exit::Other)?;
            Ok(Tracked { orientation: picture.orientation(), ..Tracked::new(frame, object, mask, score) })
        };
        tracker.objects().iter().map(found).collect()
    }
}

/// A frame with masks and prompts drawn on it, `scale` times as large; an object's number chooses its colour, and is
/// written beside it where there are several.
pub(crate) fn draw(
    cx: &Cx,
    picture: &Picture,
    scale: f32,
    found: &[Tracked],
    plan: &Plan,
    frame: u64,
) -> Result<Overlay> {
    let color = |object: u32| color(object as usize);
    let masks = found.iter().map(|it| (&it.segmentation, color(it.object)));
    let mut overlay = tinted(cx, picture, scale, masks)?;
    plan.draw(frame, &mut overlay);
    let is_one_of_many = plan.objects().len() > 1;
    for it in found.iter().filter(|it| is_one_of_many && it.area > 0) {
        let [x, y, ..] = it.bbox;
        overlay.label([x as f32, y as f32], &it.object.to_string(), color(it.object));
    }
    Ok(overlay)
}
