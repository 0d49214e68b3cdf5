//! A tracker from bytes, which may be anybody's.
//!
//! The checksum finds accidents; it does not vouch for anything. Every count is checked against what the options
//! allow and what bytes are left before memory is taken, and every fact that the tracker relies on is checked.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::frames::Frame;
use super::object_state::{Clicks, FrameResult, Kind, ObjectState, kept};
use super::options::MAX_TRACKER_POINTS;
use super::runs::{MAX_RUNS, Run, Runs};
use super::save::{HAS_MASK, HAS_MEMORY, MAGIC, VERSION};
use super::selection::Rules;
use super::{Direction, Tracker, TrackerOptions, tracking};
use crate::error::{ErrorCode, Result, err};
use crate::exec::{Cx, TryCollect, check_memory, try_zeroed};
use crate::kernels::finite;
use crate::models::sam::{Label, Point, Prompt};
use crate::models::sam2::{FrameFeatures, Tracking};
use crate::pipelines::sam::Sam;
use crate::weights::Fnv64;

impl Tracker {
    /// Restores a tracker that [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// `Format` if `bytes` are not a whole, undamaged tracker, or one that cannot be; `Unsupported` if a later version
    /// of the library wrote them; `InvalidArgument` if another model or one with another input size made it; `Limit` if it
    /// is for frames or objects beyond the context's [limits](crate::Limits); `NonFinite`; `OutOfMemory`.
    pub fn restore(sam: Arc<Sam>, bytes: &[u8]) -> Result<Self> {
        let Some(rest) = bytes.strip_prefix(&MAGIC) else { return Err(err!(Format, "not a saved tracker")) };
        let mut fields = Fields(rest);
        let version = fields.u32()?;
        if version != VERSION {
            return Err(err!(Unsupported, "saved tracker of version {version}, expected {VERSION}"));
        }
        let Some((content, checksum)) = fields.0.split_last_chunk() else { return Err(cut_off()) };
        let mut hash = Fnv64::default();
        hash.write(&bytes[..bytes.len() - checksum.len()]);
        if hash.finish() != u64::from_le_bytes(*checksum) {
            return Err(err!(Format, "saved tracker is damaged: its checksum differs"));
        }
        let mut fields = Fields(content);
        if (fields.u64()?, fields.u32()? as usize) != (sam.fingerprint(), sam.image_size()) {
            return Err(err!(InvalidArgument, "the tracker is another model's"));
        }
        let [height, width] = [fields.u32()? as usize, fields.u32()? as usize];
        let options = fields.options()?;
        let mut tracker = Self::new(sam, [width, height], &options).map_err(|error| match error.code() {
            ErrorCode::Limit => error.within("saved tracker"),
            _ => impossible(error.message()),
        })?;
        tracker.direction = fields.direction()?;
        let sam = tracker.sam.clone();
        let (model, cx) = (tracking(&sam)?, sam.cx());
        let mut reader = Reader { fields, cx, model, options: &options, rules: tracker.rules };
        let frames = reader.frames()?;
        let held = frames.iter().map(|frame| frame.index).try_to_vec()?;
        let (ids, objects) = reader.objects(&held)?;
        if !reader.fields.0.is_empty() {
            return Err(impossible("there is more behind its end"));
        }
        (tracker.frames, tracker.ids, tracker.objects) = (frames, ids, objects);
        Ok(tracker)
    }
}

/// What messages call the bytes.
const SAVED: &str = "saved tracker";

fn cut_off() -> crate::Error {
    err!(Format, "saved tracker is cut off")
}

fn impossible(what: &str) -> crate::Error {
    err!(Format, "saved tracker contradicts itself: {what}")
}

fn ensure(is_so: bool, what: &str) -> Result<()> {
    if is_so { Ok(()) } else { Err(impossible(what)) }
}

/// Whether no item comes twice.
fn is_set<T: Ord>(items: impl Iterator<Item = T>) -> Result<bool> {
    let mut items = items.try_to_vec()?;
    items.sort_unstable();
    Ok(items.windows(2).all(|pair| pair[0] != pair[1]))
}

/// The bytes still to be read.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk().ok_or_else(cut_off)?;
        self.0 = rest;
        Ok(*field)
    }

    fn flag(&mut self) -> Result<bool> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(impossible("a flag is neither 0 nor 1")),
        }
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn f32(&mut self) -> Result<f32> {
        self.array().map(f32::from_le_bytes)
    }

    /// `len` values of `N` bytes. Nothing is allocated unless they are there.
    fn values<const N: usize, T: Clone + Default>(
        &mut self,
        len: usize,
        read: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>> {
        let bytes = len.checked_mul(N).and_then(|len| self.0.split_at_checked(len));
        let (bytes, rest) = bytes.ok_or_else(cut_off)?;
        self.0 = rest;
        let mut values = try_zeroed(len)?;
        let (chunks, _) = bytes.as_chunks();
        values.iter_mut().zip(chunks).for_each(|(value, &bytes)| *value = read(bytes));
        Ok(values)
    }

    fn floats(&mut self, len: usize) -> Result<Vec<f32>> {
        self.values(len, f32::from_le_bytes)
    }

    fn direction(&mut self) -> Result<Direction> {
        Ok(if self.flag()? { Direction::Backward } else { Direction::Forward })
    }

    fn options(&mut self) -> Result<TrackerOptions> {
        let num_frames = Some(self.u64()?).filter(|&frames| frames != u64::MAX);
        let mut number = || self.u32().map(|number| number as usize);
        let (max_objects, max_prompted_frames, held_frames) = (number()?, number()?, number()?);
        let fill_hole_area = self.u32()?;
        let mut flags = [false; TrackerOptions::FLAGS];
        for flag in &mut flags {
            *flag = self.flag()?;
        }
        let numbers = TrackerOptions {
            num_frames,
            max_objects,
            max_prompted_frames,
            held_frames,
            fill_hole_area,
            ..TrackerOptions::default()
        };
        Ok(numbers.with_flags(flags))
    }
}

/// Reads what a tracker of some model and options can hold.
struct Reader<'a> {
    fields: Fields<'a>,
    cx: &'a Cx,
    model: Tracking<'a>,
    options: &'a TrackerOptions,
    rules: Rules,
}

impl Reader<'_> {
    /// A list of at most `most` items.
    fn list<T>(&mut self, most: usize, read: impl Fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = self.fields.u32()? as usize;
        ensure(count <= most, "a list is too long")?;
        // An item takes a byte at least, so that a count is no reason to take memory.
        ensure(count <= self.fields.0.len(), "a list is longer than the bytes left")?;
        let read = |_| {
            check_memory()?;
            read(self)
        };
        (0..count).map(read).try_values()
    }

    /// `len` values, which are finite.
    fn floats(&mut self, len: usize) -> Result<Vec<f32>> {
        let values = self.fields.floats(len)?;
        finite::check(self.cx, &values, SAVED)?;
        Ok(values)
    }

    fn frame(&mut self) -> Result<u64> {
        let frame = self.fields.u64()?;
        self.options.check_frame(frame).map_err(|error| impossible(error.message()))?;
        Ok(frame)
    }

    fn frames(&mut self) -> Result<Vec<Frame>> {
        let frames = self.list(self.options.held_frames, |reader| {
            let index = reader.frame()?;
            let [top, s1, s0] = reader.model.sam2().image_encoder.features_lens();
            let mut floats = |len| reader.floats(len);
            let features = FrameFeatures { top: floats(top)?, s1: floats(s1)?, s0: floats(s0)? };
            Ok(Frame { index, features: Arc::new(features) })
        })?;
        ensure(is_set(frames.iter().map(|frame| frame.index))?, "a frame is held twice")?;
        Ok(frames)
    }

    fn objects(&mut self, held: &[u64]) -> Result<(Vec<u32>, Vec<ObjectState>)> {
        let objects =
            self.list(self.options.max_objects, |reader| Ok((reader.fields.u32()?, reader.object(held)?)))?;
        let ids = objects.iter().map(|(id, _)| *id).try_to_vec()?;
        ensure(is_set(ids.iter())?, "an object comes twice")?;
        Ok((ids, objects.into_iter().map(|(_, object)| object).try_to_vec()?))
    }

    fn object(&mut self, held: &[u64]) -> Result<ObjectState> {
        let most = self.options.max_prompted_frames;
        let around = if self.options.both_directions { most } else { 0 };
        let tracked = kept(self.options.held_frames, around, self.rules.pointer_reach());
        let object = ObjectState {
            conditioning: self.list(most, Self::result)?,
            tracked: self.list(tracked, Self::result)?,
            pending: self.list(2 * most, |reader| {
                let kind = if reader.fields.flag()? { Kind::Conditioning } else { Kind::Tracked };
                Ok((kind, reader.result()?))
            })?,
            clicks: self.list(held.len(), Self::clicks)?,
            runs: self.runs()?,
        };
        let frame = |result: &FrameResult| result.frame;
        ensure(is_set(object.conditioning.iter().map(frame))?, "a conditioning frame comes twice")?;
        ensure(is_set(object.tracked.iter().map(frame))?, "a tracked frame comes twice")?;
        let pending = object.pending.iter().map(|(kind, result)| (*kind == Kind::Tracked, result.frame));
        ensure(is_set(pending)?, "a prompt comes twice")?;
        ensure(object.conditioning_frames().count() <= most, "there are too many prompted frames")?;
        let whole = |result: &FrameResult| !result.memory.is_empty() && !result.mask.is_empty();
        ensure(object.conditioning.iter().all(whole), "a conditioning frame lacks memory or mask")?;
        let usable =
            |result: &FrameResult| whole(result) || (!result.mask.is_empty() && held.contains(&result.frame));
        ensure(object.pending.iter().all(|(_, result)| usable(result)), "a prompt cannot be remembered")?;
        let clicked = || object.clicks.iter().map(|clicks| clicks.frame);
        ensure(clicked().all(|frame| held.contains(&frame)) && is_set(clicked())?, "clicks on no frame")?;
        Ok(object)
    }

    fn result(&mut self) -> Result<FrameResult> {
        let frame = self.frame()?;
        let [parts] = self.fields.array()?;
        ensure(parts & !(HAS_MEMORY | HAS_MASK) == 0, "a result has unknown parts")?;
        let [object_score, iou] = [self.fields.f32()?, self.fields.f32()?];
        finite::check(self.cx, &[object_score, iou], SAVED)?;
        let [memory, pointer, mask] = self.model.object_lens();
        let pointer = Arc::new(self.floats(pointer)?);
        let memory = if parts & HAS_MEMORY == 0 { 0 } else { memory };
        let memory = Arc::new(self.fields.values(memory, u16::from_le_bytes)?);
        finite::check_bf16(self.cx, &memory, SAVED)?;
        let mask = Arc::new(self.floats(if parts & HAS_MASK == 0 { 0 } else { mask })?);
        Ok(FrameResult { frame, memory, pointer, mask, object_score, iou })
    }

    fn clicks(&mut self) -> Result<Clicks> {
        let frame = self.frame()?;
        let bounding_box = match self.fields.flag()? {
            false => None,
            true => Some([self.fields.f32()?, self.fields.f32()?, self.fields.f32()?, self.fields.f32()?]),
        };
        let points = self.list(MAX_TRACKER_POINTS, |reader| {
            let (x, y) = (reader.fields.f32()?, reader.fields.f32()?);
            let label = Label::try_from(reader.fields.u32()? as i32);
            Ok(Point { x, y, label: label.map_err(|error| impossible(error.message()))? })
        })?;
        let prompt = Prompt { points: &points, bounding_box, mask: None };
        prompt.check(self.model.sam2().config.mask_side()).map_err(|error| impossible(error.message()))?;
        Ok(Clicks { frame, bounding_box, points: Arc::new(points) })
    }

    fn runs(&mut self) -> Result<Runs> {
        let runs = self.list(MAX_RUNS, |reader| {
            let (first, last) = (reader.frame()?, reader.frame()?);
            Ok(Run { first, last, direction: reader.fields.direction()? })
        })?;
        Runs::checked(runs).ok_or_else(|| impossible("tracked frames are in no order"))
    }
}
