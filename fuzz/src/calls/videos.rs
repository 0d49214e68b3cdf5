//! Calls that go through whole videos, and that save and restore trackers.

use std::ptr;

use vitrum::ffi::sam::vitrum_sam;
use vitrum::ffi::status::VITRUM_OK;
use vitrum::ffi::tracker::vitrum_tracker;
use vitrum::ffi::tracker_propagate::{
    vitrum_tracker_propagate, vitrum_tracker_propagate_options, vitrum_tracker_propagate_options_init,
};
use vitrum::ffi::tracker_save::{vitrum_tracker_load, vitrum_tracker_save};

use super::arguments::prepared;
use super::callbacks::{Callbacks, on_frame, read};
use super::outputs::Output;
use super::world::Kind;
use super::{Calls, call};

impl Calls<'_> {
    pub(super) fn video_call(&mut self) {
        let tracker: *mut vitrum_tracker = self.world.pick(Kind::Tracker, &mut self.source);
        if self.source.one_in(2) { self.propagate(tracker) } else { self.save_tracker(tracker) }
    }

    fn propagate(&mut self, it: *mut vitrum_tracker) {
        let mut options: vitrum_tracker_propagate_options = prepared(vitrum_tracker_propagate_options_init);
        options.direction = self.source.pick(&[0, 0, 0, 1, 1, 2]);
        (options.start, options.max_frames) =
            (i64::from(self.source.count(3)) - 1, i64::from(self.source.count(4)) - 1);
        let (size, progress) = (self.frame_size(it), self.progress());
        let lent = self.world.lent();
        let callbacks = Callbacks::new(&lent, self.depth, &mut self.source).with_frames(size);
        call!(
            self,
            vitrum_tracker_propagate,
            it,
            &raw const options,
            Some(read),
            Some(on_frame),
            progress,
            callbacks.user(),
        );
    }

    /// Saves a tracker and restores it, with a model that need not be its own, perhaps damaged.
    fn save_tracker(&mut self, it: *mut vitrum_tracker) {
        let sam: *mut vitrum_sam = self.world.pick(Kind::Sam, &mut self.source);
        let mut needed = 0;
        if call!(self, vitrum_tracker_save, it, ptr::null_mut(), 0, &raw mut needed) != VITRUM_OK {
            return;
        }
        let less = usize::from(self.source.one_in(8));
        let mut out = Output::<u8>::of(needed - less, &mut self.source);
        let status = call!(self, vitrum_tracker_save, it, out.pointer(), out.capacity(), out.needed());
        let saved = self.damaged(out.written("vitrum_tracker_save", status));
        let mut restored = ptr::null_mut();
        let status = call!(self, vitrum_tracker_load, sam, saved.as_ptr(), saved.len(), &raw mut restored);
        assert_eq!(status == VITRUM_OK, !restored.is_null());
        self.world.keep(Kind::Tracker, restored);
    }
}
