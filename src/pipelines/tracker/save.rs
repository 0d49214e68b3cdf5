//! A tracker as bytes.
//!
//! Little endian. A header: the magic `vitrumTR`, version u32, fingerprint of the model u64, side of its input u32,
//! height and width of the frames u32 each, the options, and the direction of the last step u8. Then the held frames, a
//! count u32 and of each its number u64 and its features; then the objects, a count u32 and of each its id u32, and five
//! lists that begin with their lengths u32: conditioning results, tracked results, results that wait with their kinds
//! u8, clicks, and runs of tracked frames. Behind all this is its FNV-1a hash, u64. Lengths of tensors are the model's
//! and are not stored.

use alloc::vec::Vec;

use super::object_state::{Clicks, FrameResult, Kind, ObjectState};
use super::runs::Run;
use super::{Direction, Tracker, TrackerOptions};
use crate::error::Result;
use crate::exec::{TryGrow, out_of_memory, try_with_capacity};
use crate::weights::Fnv64;

/// Begins every saved tracker.
pub(super) const MAGIC: [u8; 8] = *b"vitrumTR";
/// The only version of the format so far.
pub(super) const VERSION: u32 = 1;

/// Parts of a result that may be there or not.
pub(super) const HAS_MEMORY: u8 = 1;
pub(super) const HAS_MASK: u8 = 2;

impl Tracker {
    /// Serialises the tracker, with the features of held frames. The tracker that [`restore`](Self::restore) makes of the
    /// bytes gives the same results as this one.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn save(&self) -> Result<Vec<u8>> {
        let mut out = Writer { bytes: try_with_capacity(self.bytes() + (1 << 12))?, is_full: false };
        out.bytes(&MAGIC);
        out.u32(VERSION);
        out.u64(self.sam.fingerprint());
        out.u32(self.sam.image_size() as u32);
        let [width, height] = self.size();
        [height, width].into_iter().for_each(|side| out.u32(side as u32));
        out.options(&self.options);
        out.direction(self.direction);
        out.list(&self.frames, |out, frame| {
            out.u64(frame.index);
            frame.features.parts().into_iter().for_each(|part| out.floats(part));
        });
        out.u32(self.ids.len() as u32);
        for (&id, object) in self.ids.iter().zip(&self.objects) {
            out.u32(id);
            out.object(object);
        }
        let mut hash = Fnv64::default();
        hash.write(&out.bytes);
        out.u64(hash.finish());
        if out.is_full { Err(out_of_memory()) } else { Ok(out.bytes) }
    }
}

struct Writer {
    bytes: Vec<u8>,
    /// Whether something was left out for want of memory.
    is_full: bool,
}

impl Writer {
    fn bytes(&mut self, bytes: &[u8]) {
        self.is_full |= self.bytes.try_extend(bytes).is_err();
    }

    fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    fn floats(&mut self, values: &[f32]) {
        values.iter().for_each(|value| self.bytes(&value.to_le_bytes()));
    }

    fn list<T>(&mut self, items: &[T], write: impl Fn(&mut Self, &T)) {
        self.u32(items.len() as u32);
        items.iter().for_each(|item| write(self, item));
    }

    fn options(&mut self, options: &TrackerOptions) {
        self.u64(options.num_frames.unwrap_or(u64::MAX));
        for number in [options.max_objects, options.max_prompted_frames, options.held_frames] {
            self.u32(number as u32);
        }
        self.u32(options.fill_hole_area);
        for flag in options.flags() {
            self.bytes(&[u8::from(flag)]);
        }
    }

    fn direction(&mut self, direction: Direction) {
        self.bytes(&[u8::from(direction == Direction::Backward)]);
    }

    fn object(&mut self, object: &ObjectState) {
        self.list(&object.conditioning, Self::result);
        self.list(&object.tracked, Self::result);
        self.list(&object.pending, |out, (kind, result)| {
            out.bytes(&[u8::from(*kind == Kind::Conditioning)]);
            out.result(result);
        });
        self.list(&object.clicks, Self::clicks);
        self.list(object.runs.as_slice(), |out, &Run { first, last, direction }| {
            out.u64(first);
            out.u64(last);
            out.direction(direction);
        });
    }

    fn result(&mut self, result: &FrameResult) {
        let part = |is_there: bool, flag: u8| if is_there { flag } else { 0 };
        self.u64(result.frame);
        self.bytes(&[part(!result.memory.is_empty(), HAS_MEMORY) | part(!result.mask.is_empty(), HAS_MASK)]);
        self.floats(&[result.object_score, result.iou]);
        self.floats(&result.pointer);
        result.memory.iter().for_each(|value| self.bytes(&value.to_le_bytes()));
        self.floats(&result.mask);
    }

    fn clicks(&mut self, clicks: &Clicks) {
        self.u64(clicks.frame);
        self.bytes(&[u8::from(clicks.bounding_box.is_some())]);
        self.floats(clicks.bounding_box.as_ref().map_or(&[][..], |bounds| bounds));
        self.list(&clicks.points, |out, point| {
            out.floats(&[point.x, point.y]);
            out.u32(point.label as i32 as u32);
        });
    }
}
