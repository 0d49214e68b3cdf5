//! The handles that a caller has.

use std::ffi::c_void;
use std::ptr;

use vitrum::ffi::clip::vitrum_clip_free;
use vitrum::ffi::context::vitrum_context_free;
use vitrum::ffi::sam::vitrum_sam_free;
use vitrum::ffi::sam_embedding::vitrum_sam_embedding_free;
use vitrum::ffi::sam_prediction::vitrum_sam_prediction_free;
use vitrum::ffi::tracker::vitrum_tracker_free;

use super::models;
use crate::source::Source;

/// What a handle stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Context,
    Clip,
    Sam,
    Embedding,
    Prediction,
    Tracker,
}

impl Kind {
    pub(super) const ALL: [Self; 6] =
        [Self::Context, Self::Clip, Self::Sam, Self::Embedding, Self::Prediction, Self::Tracker];

    /// Calls the function that frees handles of this kind.
    pub(super) fn free(self, handle: *mut c_void) {
        // SAFETY: NULL, or a handle that is alive: of this kind and nobody's any more, or of another one, which is refused.
        unsafe {
            match self {
                Self::Context => vitrum_context_free(handle.cast()),
                Self::Clip => vitrum_clip_free(handle.cast()),
                Self::Sam => vitrum_sam_free(handle.cast()),
                Self::Embedding => vitrum_sam_embedding_free(handle.cast()),
                Self::Prediction => vitrum_sam_prediction_free(handle.cast()),
                Self::Tracker => vitrum_tracker_free(handle.cast()),
            }
        }
    }
}

/// Most handles of a kind that a caller makes.
const MOST: usize = 4;

/// The handles that a caller may use, and which of them are its own.
#[derive(Debug)]
pub(super) struct World {
    handles: [Vec<*mut c_void>; 6],
    /// So many of each kind are somebody else's.
    lent: [usize; 6],
}

// SAFETY: handles may be used by several threads; the library refuses what excludes each other.
unsafe impl Send for World {}
// SAFETY: as above.
unsafe impl Sync for World {}

impl World {
    /// What every sequence begins with: the models that stay.
    pub(super) fn new() -> Self {
        let handles = models::fixed().clone();
        let lent = handles.each_ref().map(Vec::len);
        Self { handles, lent }
    }

    /// For another caller, who frees only what it makes itself.
    pub(super) fn lent(&self) -> Self {
        Self { handles: self.handles.clone(), lent: self.handles.each_ref().map(Vec::len) }
    }

    /// Takes a new handle in; one too many is freed, and so is none.
    pub(super) fn keep<T>(&mut self, kind: Kind, handle: *mut T) {
        let handles = &mut self.handles[kind as usize];
        if handle.is_null() || handles.len() - self.lent[kind as usize] >= MOST {
            kind.free(handle.cast());
        } else {
            handles.push(handle.cast());
        }
    }

    /// A handle for a parameter of `kind`: now and then NULL, or one of another kind.
    pub(super) fn pick<T>(&self, kind: Kind, source: &mut Source<'_>) -> *mut T {
        match source.below(32) {
            31 => ptr::null_mut(),
            30 => {
                let other = source.pick(&Kind::ALL);
                self.any(other, source).cast()
            }
            _ => self.any(kind, source).cast(),
        }
    }

    /// A handle of `kind`, or NULL if there is none.
    pub(super) fn any(&self, kind: Kind, source: &mut Source<'_>) -> *mut c_void {
        let handles = &self.handles[kind as usize];
        if handles.is_empty() { ptr::null_mut() } else { source.pick(handles) }
    }

    /// Whether `handle` is of `kind` and the caller's own.
    pub(super) fn owns<T>(&self, kind: Kind, handle: *mut T) -> bool {
        self.handles[kind as usize][self.lent[kind as usize]..].contains(&handle.cast())
    }

    /// Forgets a handle of the caller's own, to be freed.
    pub(super) fn forget<T>(&mut self, kind: Kind, handle: *mut T) {
        self.handles[kind as usize].retain(|&known| known != handle.cast());
    }

    /// Takes a handle of the caller's own out, if there is one.
    pub(super) fn take(&mut self, kind: Kind, source: &mut Source<'_>) -> *mut c_void {
        let (handles, lent) = (&mut self.handles[kind as usize], self.lent[kind as usize]);
        if handles.len() == lent {
            ptr::null_mut()
        } else {
            handles.remove(lent + source.below(handles.len() - lent))
        }
    }

    /// Frees all handles of the caller's own; models go before what was made with them.
    pub(super) fn free_all(&mut self) {
        for kind in Kind::ALL {
            self.handles[kind as usize]
                .drain(self.lent[kind as usize]..)
                .for_each(|handle| kind.free(handle));
        }
    }
}
