//! Frames that are held: encoded once, open to prompts and tracking until later ones take their place.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::object_state::ObjectState;
use super::{Tracker, tracking};
use crate::error::{Result, err};
use crate::exec::{Monitor, ScratchReq, TryCollect, TryGrow};
use crate::image::ImageView;
use crate::kernels::finite;
use crate::models::sam2::FrameFeatures;
use crate::nn::Trace;

/// A frame as the model sees it.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) index: u64,
    pub(super) features: Arc<FrameFeatures>,
}

impl Frame {
    pub(super) fn bytes(&self) -> usize {
        self.features.bytes()
    }
}

/// The share of the work of pushing a frame that encoding is, for progress reports.
const ENCODING: f32 = 0.95;

impl Tracker {
    /// Encodes the next frame of the video, which becomes the current frame. Returns its number, 1 more than that of the
    /// frame before; the first is 0.
    ///
    /// If this drops the oldest frame, prompts on that frame are remembered first. Reports to `monitor` after every block of the
    /// encoder.
    ///
    /// # Errors
    /// As [`push_at`](Self::push_at).
    pub fn push(&mut self, image: &ImageView<'_>, monitor: &Monitor<'_>) -> Result<u64> {
        let index = self.frame().map_or(0, |frame| frame + 1);
        self.push_at(index, image, monitor)?;
        Ok(index)
    }

    /// Encodes frame `index`, for callers who read a video in their own order. It becomes the current frame, and replaces
    /// the frame of this number if that is held.
    ///
    /// # Errors
    /// `InvalidArgument` if the video has no such frame, `Image` if its size is not the tracker's, `Limit` beyond the
    /// context's [limits](crate::Limits), `NonFinite`, `OutOfMemory`, `Cancelled`. The tracker is then as before.
    pub fn push_at(&mut self, index: u64, image: &ImageView<'_>, monitor: &Monitor<'_>) -> Result<()> {
        self.options.check_frame(index)?;
        let [width, height] = self.size();
        if [image.width(), image.height()] != [width, height] {
            return Err(err!(
                Image,
                "frame {index} is {} x {} pixels, those before it {width} x {height}",
                image.width(),
                image.height()
            ));
        }
        let (frames, objects) = monitor.run(|monitor| self.with_frame(index, image, monitor))?;
        (self.frames, self.objects) = (frames, objects);
        Ok(())
    }

    /// The frames that are held with `index` among them, and the objects when those that leave for it are remembered.
    fn with_frame(
        &self,
        index: u64,
        image: &ImageView<'_>,
        monitor: &Monitor<'_>,
    ) -> Result<(Vec<Frame>, Vec<ObjectState>)> {
        let features = self.encode(image, &monitor.part(0.0, ENCODING))?;
        let same = self.frames.iter().filter(|frame| frame.index == index);
        let mut frames = self.frames.iter().filter(|frame| frame.index != index).cloned().try_to_vec()?;
        let leaving = (frames.len() + 1).saturating_sub(self.options.held_frames);
        let leaving = frames.drain(..leaving).chain(same.cloned()).try_to_vec()?;
        frames.try_push(Frame { index, features: Arc::new(features) })?;

        let mut objects = ObjectState::copies(&self.objects)?;
        self.sam.cx().watched(&monitor.part(ENCODING, 1.0), |cx, monitor| {
            for (i, frame) in leaving.iter().enumerate() {
                self.remember_prompts(cx, frame, &mut objects)?;
                monitor.report(i + 1, leaving.len())?;
            }
            Ok(())
        })?;
        let held = frames.iter().map(|frame| frame.index).try_to_vec()?;
        self.retain(&mut objects, &held, self.direction)?;
        Ok((frames, objects))
    }

    /// The features of a frame of the video.
    fn encode(&self, image: &ImageView<'_>, monitor: &Monitor<'_>) -> Result<FrameFeatures> {
        let (cx, encoder) = (self.sam.cx(), &tracking(&self.sam)?.sam2().image_encoder);
        let mut features = FrameFeatures::zeroed(encoder.features_lens())?;
        let pixels = 3 * self.sam.image_size() * self.sam.image_size();
        let mut input = cx.workspace(ScratchReq::slice(pixels))?;
        let mut workspace = cx.workspace(encoder.scratch_req(cx))?;
        cx.watched(monitor, |cx, monitor| {
            let input = input.scratch().take(pixels);
            self.sam.video_preprocess().run(cx, image, input)?;
            encoder.forward(cx, input, &mut features, workspace.scratch(), Trace::of(cx), monitor)
        })?;
        for values in features.parts() {
            finite::check(cx, values, "the features of a frame")?;
        }
        Ok(features)
    }

    /// The number of the frame that was pushed last.
    pub fn frame(&self) -> Option<u64> {
        self.frames.last().map(|frame| frame.index)
    }

    /// The numbers of the frames that are held, in the order in which they were pushed.
    pub fn held(&self) -> impl ExactSizeIterator<Item = u64> + '_ {
        self.frames.iter().map(|frame| frame.index)
    }

    /// A frame that is held.
    pub(super) fn held_frame(&self, index: u64) -> Result<&Frame> {
        let found = self.frames.iter().find(|frame| frame.index == index);
        found.ok_or_else(|| {
            let held: Vec<u64> = self.held().collect();
            err!(InvalidArgument, "frame {index} is not held: frames {held:?} are")
        })
    }
}
