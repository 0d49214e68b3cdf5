//! Scratch memory: one aligned buffer, handed out in slices that nest like stack frames, and how much of it is needed.
//!
//! # Soundness
//!
//! [`Scratch`] is a unique borrow that is split as it is handed out: pieces are disjoint because slices are. Memory is
//! set to zero when it is allocated, so that what a kernel has not written is unspecified and initialised. A request
//! that overflows is more than any memory, so that taking it panics. Lanes' pieces are disjoint ranges, and one lane
//! does one task at a time (`Cx`).
//!
//! Tests: `scratch::requests_that_overflow_are_more_than_there_is`, `scratch::taking_too_much_panics`,
//! `scratch::every_lane_has_its_own_piece`.

use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

use super::{Cx, SharedMut};
use crate::error::{Result, err};

/// A cache line of f32; the unit of scratch memory.
#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

const LINE: usize = 16;

/// `len` f32 rounded up to whole cache lines.
const fn padded(len: usize) -> usize {
    or_most(len.checked_next_multiple_of(LINE))
}

/// A length, or one that no memory has in the place of one that overflows: what is requested is never less than what is meant.
const fn or_most(len: Option<usize>) -> usize {
    match len {
        Some(len) => len,
        None => usize::MAX / LINE * LINE,
    }
}

/// How much scratch memory a function needs.
///
/// Beside a function that takes scratch memory stands its `scratch_req`, which composes what the function takes itself with
/// what the functions that it calls need. What it takes itself is listed once, for both. A sum that overflows is more than
/// there can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct ScratchReq {
    len: usize,
}

impl ScratchReq {
    /// Nothing.
    pub const NONE: Self = Self { len: 0 };

    /// What [`Scratch::take`] uses up for `len` f32: whole cache lines.
    pub const fn slice(len: usize) -> Self {
        Self { len: padded(len) }
    }

    /// What [`Scratch::take_all`] uses up.
    pub fn slices<const N: usize>(lens: [usize; N]) -> Self {
        lens.into_iter().fold(Self::NONE, |sum, len| sum.and(Self::slice(len)))
    }

    /// What [`Scratch::take_bytes`] uses up.
    pub const fn bytes(len: usize) -> Self {
        Self::slice(len.div_ceil(size_of::<f32>()))
    }

    /// This and, at the same time, the other.
    pub const fn and(self, other: Self) -> Self {
        Self { len: or_most(self.len.checked_add(other.len)) }
    }

    /// This and afterwards, in its place, the other.
    pub const fn or(self, other: Self) -> Self {
        Self { len: if self.len > other.len { self.len } else { other.len } }
    }

    /// One of these after the other, each in the same place.
    pub fn any(reqs: impl IntoIterator<Item = Self>) -> Self {
        reqs.into_iter().fold(Self::NONE, Self::or)
    }

    /// This for every lane of `cx`, as [`Cx::parallel_for_with`] hands it out.
    pub fn per_lane(self, cx: &Cx) -> Self {
        Self { len: or_most(self.len.checked_mul(cx.threads())) }
    }

    /// f32, a multiple of a cache line.
    #[allow(clippy::len_without_is_empty, reason = "a size and no collection")]
    pub const fn len(self) -> usize {
        self.len
    }
}

/// Owned f32, aligned to 64 bytes and padded to whole cache lines.
#[derive(Clone, Default)]
pub struct AlignedVec(Vec<Line>);

impl AlignedVec {
    /// The length of a vector that is asked for `len`: whole cache lines.
    pub const fn padded(len: usize) -> usize {
        padded(len)
    }

    /// `padded(len)` zeros.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn try_zeroed(len: usize) -> Result<Self> {
        let mut lines = Vec::new();
        lines
            .try_reserve_exact(len.div_ceil(LINE))
            .map_err(|_| err!(OutOfMemory, "no memory for {len} × 4 bytes"))?;
        super::pages::prefer_huge(lines.spare_capacity_mut());
        lines.resize(len.div_ceil(LINE), bytemuck::Zeroable::zeroed());
        Ok(Self(lines))
    }
}

impl Deref for AlignedVec {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        bytemuck::cast_slice(&self.0)
    }
}

impl DerefMut for AlignedVec {
    fn deref_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}

impl core::fmt::Debug for AlignedVec {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "AlignedVec[{}]", self.len())
    }
}

/// Owned scratch memory that grows to the largest size asked of it.
#[derive(Default)]
pub struct Workspace {
    memory: AlignedVec,
    /// What was asked for last.
    reserved: usize,
}

impl Workspace {
    /// Makes room for `req`, for [`scratch`](Self::scratch) to hand out.
    ///
    /// # Errors
    /// `OutOfMemory`, after which there is no room.
    pub fn reserve(&mut self, req: ScratchReq) -> Result<()> {
        self.reserved = 0;
        if self.memory.len() < req.len() {
            // The old contents are scratch: free them first, so that the peak is one buffer and not two.
            self.memory = AlignedVec::default();
            self.memory = AlignedVec::try_zeroed(req.len())?;
        }
        self.reserved = req.len();
        Ok(())
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        size_of_val::<[f32]>(&self.memory)
    }

    /// As much memory as was [reserved](Self::reserve) last, even if there is more: so that too small a request is noticed
    /// whatever was asked for before.
    pub fn scratch(&mut self) -> Scratch<'_> {
        Scratch(&mut self.memory[..self.reserved])
    }
}

/// A borrowed piece of scratch memory from which slices are taken. Contents are unspecified.
pub struct Scratch<'a>(&'a mut [f32]);

impl<'a> Scratch<'a> {
    /// Takes `len` f32, aligned to 64 bytes.
    ///
    /// # Panics
    /// If less than [`ScratchReq::slice`] is left: the caller was given too little.
    pub fn take(&mut self, len: usize) -> &'a mut [f32] {
        &mut self.take_req(ScratchReq::slice(len)).0[..len]
    }

    /// Takes a slice of each of these lengths, as [`take`](Self::take) does.
    ///
    /// # Panics
    /// If less than [`ScratchReq::slices`] is left.
    pub fn take_all<const N: usize>(&mut self, lens: [usize; N]) -> [&'a mut [f32]; N] {
        lens.map(|len| self.take(len))
    }

    /// Takes `len` bytes, aligned to 64 bytes.
    ///
    /// # Panics
    /// If less than [`ScratchReq::bytes`] is left.
    pub fn take_bytes(&mut self, len: usize) -> &'a mut [u8] {
        &mut bytemuck::cast_slice_mut(self.take(len.div_ceil(size_of::<f32>())))[..len]
    }

    /// Takes a piece from which slices are taken later.
    fn take_req(&mut self, req: ScratchReq) -> Self {
        let rest = core::mem::take(&mut self.0);
        assert!(req.len() <= rest.len(), "scratch of {} f32 left, {} needed", rest.len(), req.len());
        let (taken, rest) = rest.split_at_mut(req.len());
        self.0 = rest;
        Scratch(taken)
    }

    /// The remaining memory, given back when the frame is dropped.
    pub fn frame(&mut self) -> Scratch<'_> {
        Scratch(self.0)
    }

    /// How many f32 are left.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Cx {
    /// [`parallel_for`](Cx::parallel_for) whose lanes each own a piece `req` of `scratch`: calls `work(scratch, task)`.
    /// What a task leaves in its lane's piece is unspecified for the next.
    ///
    /// # Panics
    /// If `scratch` is smaller than [`req.per_lane`](ScratchReq::per_lane).
    pub fn parallel_for_with(
        &self,
        tasks: usize,
        req: ScratchReq,
        scratch: Scratch<'_>,
        work: impl Fn(Scratch<'_>, usize) + Sync,
    ) {
        self.parallel_for_lanes(tasks, req, scratch, |_, scratch, task| work(scratch, task));
    }

    /// [`parallel_for_with`](Cx::parallel_for_with) whose work is told its lane: calls `work(lane, scratch, task)`.
    ///
    /// # Panics
    /// As [`parallel_for_with`](Cx::parallel_for_with).
    pub fn parallel_for_lanes(
        &self,
        tasks: usize,
        req: ScratchReq,
        mut scratch: Scratch<'_>,
        work: impl Fn(usize, Scratch<'_>, usize) + Sync,
    ) {
        let lanes = SharedMut::new(scratch.take_req(req.per_lane(self)).0);
        self.parallel_for(tasks, |lane, task| {
            // SAFETY: lanes' pieces are disjoint, and a lane does one task at a time.
            let piece = unsafe { lanes.range(lane * req.len()..(lane + 1) * req.len()) };
            work(lane, Scratch(piece), task);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_disjoint_and_aligned() {
        let mut workspace = Workspace::default();
        workspace.reserve(ScratchReq::slices([5, 17])).unwrap();
        let mut scratch = workspace.scratch();
        let [a, b] = scratch.take_all([5, 17]);
        assert_eq!((a.len(), b.len()), (5, 17));
        assert_eq!((a.as_ptr() as usize % 64, b.as_ptr() as usize % 64), (0, 0));
        assert_eq!(b.as_ptr() as usize - a.as_ptr() as usize, 64);
        assert!(scratch.is_empty());
    }

    #[test]
    fn requests_that_overflow_are_more_than_there_is() {
        let half = ScratchReq::slice(usize::MAX / 2);
        let most = usize::MAX / LINE * LINE;
        for req in
            [half.and(half).and(half), ScratchReq::slice(usize::MAX), ScratchReq::slices([usize::MAX, 16])]
        {
            assert_eq!(req.len(), most);
        }
    }

    #[test]
    #[should_panic = "scratch of 16 f32 left"]
    fn taking_what_overflows_panics() {
        let mut workspace = Workspace::default();
        workspace.reserve(ScratchReq::slice(16)).unwrap();
        workspace.scratch().take(usize::MAX);
    }

    #[test]
    #[should_panic = "scratch of 16 f32 left, 32 needed"]
    fn taking_too_much_panics() {
        let mut workspace = Workspace::default();
        workspace.reserve(ScratchReq::slice(16)).unwrap();
        workspace.scratch().take(17);
    }

    /// However much there is: what was asked for earlier must not hide too small a request.
    #[test]
    fn no_more_is_handed_out_than_was_reserved() {
        let mut workspace = Workspace::default();
        workspace.reserve(ScratchReq::slice(100)).unwrap();
        workspace.reserve(ScratchReq::slice(16)).unwrap();
        assert_eq!(workspace.scratch().len(), 16);
    }

    #[test]
    fn requests_add_up_to_what_is_taken() {
        let line = ScratchReq::slice(1);
        assert_eq!(line.len(), 16);
        assert_eq!(ScratchReq::bytes(65).len(), 32);
        assert_eq!(line.and(ScratchReq::NONE), line);
        assert_eq!(line.or(ScratchReq::slice(17)), ScratchReq::slices([16, 1]));
        assert_eq!(ScratchReq::any([line, line.and(line), line]), line.and(line));
        let mut workspace = Workspace::default();
        workspace.reserve(ScratchReq::bytes(65)).unwrap();
        assert_eq!(workspace.scratch().take_bytes(65).len(), 65);
    }

    #[cfg(feature = "parallel")]
    #[test]
    fn every_lane_has_its_own_piece() {
        let cx = Cx::new(&crate::exec::CxOptions::default().with_threads(3)).unwrap();
        let req = ScratchReq::slices([100, 20]);
        let mut workspace = Workspace::default();
        workspace.reserve(req.per_lane(&cx)).unwrap();
        cx.parallel_for_with(200, req, workspace.scratch(), |mut scratch, task| {
            let [a, b] = scratch.take_all([100, 20]);
            assert!(scratch.is_empty());
            a.fill(task as f32);
            b.fill(-(task as f32));
            std::thread::yield_now();
            assert!(a.iter().all(|&x| x == task as f32) && b.iter().all(|&x| x == -(task as f32)));
        });
    }
}
