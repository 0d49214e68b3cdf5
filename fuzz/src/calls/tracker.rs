//! Calls of trackers.

use std::ptr;

use vitrum::ffi::sam::vitrum_sam;
use vitrum::ffi::status::{VITRUM_OK, vitrum_status};
use vitrum::ffi::tracker::{
    vitrum_tracker, vitrum_tracker_frame, vitrum_tracker_height, vitrum_tracker_held_frames,
    vitrum_tracker_memory_bytes, vitrum_tracker_memory_limit, vitrum_tracker_new, vitrum_tracker_options,
    vitrum_tracker_options_init, vitrum_tracker_push_frame, vitrum_tracker_push_frame_at,
    vitrum_tracker_reset, vitrum_tracker_step, vitrum_tracker_step_at, vitrum_tracker_width,
};
use vitrum::ffi::tracker_mask::{
    vitrum_tracker_has_mask, vitrum_tracker_logits, vitrum_tracker_low_res, vitrum_tracker_mask,
    vitrum_tracker_mask_stats, vitrum_tracker_polygons, vitrum_tracker_rle, vitrum_tracker_stats,
    vitrum_tracker_stats_init,
};
use vitrum::ffi::tracker_prompt::{
    vitrum_tracker_add_mask, vitrum_tracker_add_points, vitrum_tracker_clear_prompts, vitrum_tracker_objects,
    vitrum_tracker_prompt_options, vitrum_tracker_prompt_options_init, vitrum_tracker_remove_object,
};

use super::arguments::{Picture, Prompt, prepared};
use super::callbacks::Callbacks;
use super::outputs::{Output, are_finite};
use super::world::Kind;
use super::{Calls, call};

impl Calls<'_> {
    pub(super) fn tracker_call(&mut self) {
        let it: *mut vitrum_tracker = self.world.pick(Kind::Tracker, &mut self.source);
        match self.source.below(32) {
            0..4 => self.new_tracker(),
            4..9 => self.push(it),
            9..15 => self.add_points(it),
            15 | 16 => self.add_mask(it),
            17..21 => self.step(it),
            21 => self.look_at_tracker(it),
            22 => self.change_objects(it),
            choice => self.read_mask(it, choice),
        }
    }

    /// Width and height of a tracker's frames, or what else a frame may have.
    pub(super) fn frame_size(&mut self, it: *mut vitrum_tracker) -> [u32; 2] {
        // SAFETY: NULL or a handle that lives.
        let size = unsafe { [vitrum_tracker_width(it), vitrum_tracker_height(it)] };
        // Pictures that are large take long.
        let is_small = (1..=1 << 12).contains(&(u64::from(size[0]) * u64::from(size[1])));
        if !is_small || self.source.one_in(32) { [24, 18] } else { size }
    }

    /// The number of a frame: the current one, one nearby, or any.
    fn frame(&mut self, it: *mut vitrum_tracker) -> i64 {
        // SAFETY: NULL or a handle that lives.
        let current = unsafe { vitrum_tracker_frame(it) };
        match self.source.below(16) {
            0..10 => -1,
            15 => i64::from(self.source.u32()) << self.source.below(33),
            choice => (current + choice as i64 - 12).max(-2),
        }
    }

    fn new_tracker(&mut self) {
        let sam: *mut vitrum_sam = self.world.pick(Kind::Sam, &mut self.source);
        let mut options: vitrum_tracker_options = prepared(vitrum_tracker_options_init);
        let source = &mut self.source;
        if source.one_in(2) {
            (options.max_objects, options.max_prompted_frames) = (source.count(3), source.count(3));
            (options.held_frames, options.num_frames) = (source.count(4), u64::from(source.count(20)));
            (options.fill_hole_area, options.both_directions) = (source.count(9), source.count(1));
            (options.non_overlap_output, options.non_overlap_memory) = (source.count(1), source.count(1));
            (options.binarize_clicked_masks, options.corrections_are_conditioning) =
                (source.count(1), source.count(1));
            (options.clear_memory_around_input, options.dynamic_multimask_via_stability) =
                (source.count(1), source.count(1));
        }
        let (width, height) = (source.count(30).max(1), source.count(30).max(1));
        if source.one_in(4) {
            let mut limit = 0;
            let status = call!(
                self,
                vitrum_tracker_memory_limit,
                sam,
                width,
                height,
                &raw const options,
                &raw mut limit,
            );
            assert_eq!(status == VITRUM_OK, limit > 0);
        }
        let mut tracker = ptr::null_mut();
        let status =
            call!(self, vitrum_tracker_new, sam, width, height, &raw const options, &raw mut tracker);
        assert_eq!(status == VITRUM_OK, !tracker.is_null());
        self.world.keep(Kind::Tracker, tracker);
    }

    /// The callbacks of a call of `it`, which may free it if it is the caller's own.
    fn reporting<R>(
        &mut self,
        it: *mut vitrum_tracker,
        call: impl FnOnce(&mut Self, &Callbacks<'_>) -> R,
    ) -> R {
        let lent = self.world.lent();
        let mut callbacks = Callbacks::new(&lent, self.depth, &mut self.source);
        if self.world.owns(Kind::Tracker, it) {
            callbacks = callbacks.freeing(it);
        }
        let result = call(self, &callbacks);
        if callbacks.has_freed() {
            self.world.forget(Kind::Tracker, it);
        }
        result
    }

    fn push(&mut self, it: *mut vitrum_tracker) {
        let size = self.frame_size(it);
        let (picture, progress) = (Picture::of_size(size, &mut self.source), self.progress());
        let (mut number, at) = (-7, self.source.one_in(4).then(|| self.frame(it)));
        self.reporting(it, |calls, callbacks| {
            let (image, user) = (picture.pointer(), callbacks.user());
            match at {
                Some(frame) => call!(calls, vitrum_tracker_push_frame_at, it, frame, image, progress, user),
                None => {
                    let status =
                        call!(calls, vitrum_tracker_push_frame, it, image, progress, user, &raw mut number);
                    assert_eq!(status == VITRUM_OK, number != -7);
                    status
                }
            }
        });
    }

    fn add_points(&mut self, it: *mut vitrum_tracker) {
        let (frame, object) = (self.frame(it), 1 + self.source.count(2) % 8);
        let (prompt, progress) = (Prompt::new(1, &mut self.source), self.progress());
        let mut options: vitrum_tracker_prompt_options = prepared(vitrum_tracker_prompt_options_init);
        options.keep_earlier = self.source.count(1);
        self.reporting(it, |calls, callbacks| {
            let (prompt, user) = (prompt.pointer(), callbacks.user());
            call!(
                calls,
                vitrum_tracker_add_points,
                it,
                frame,
                object,
                prompt,
                &raw const options,
                progress,
                user,
            )
        });
    }

    fn add_mask(&mut self, it: *mut vitrum_tracker) {
        let (frame, object) = (self.frame(it), 1 + self.source.count(2) % 8);
        let ([width, height], progress) = (self.frame_size(it), self.progress());
        let few = self.source.byte();
        let pixel = |i: u32| u8::from((i.wrapping_mul(2_654_435_761) >> 24) as u8 > few);
        let mask: Vec<u8> = (0..width * height).map(pixel).collect();
        self.reporting(it, |calls, callbacks| {
            let (mask, user) = (mask.as_ptr(), callbacks.user());
            call!(calls, vitrum_tracker_add_mask, it, frame, object, mask, width, height, progress, user)
        });
    }

    fn step(&mut self, it: *mut vitrum_tracker) {
        let progress = self.progress();
        let at = self.source.one_in(4).then(|| (self.frame(it), self.source.pick(&[0, 1, 1, 2])));
        self.reporting(it, |calls, callbacks| {
            let user = callbacks.user();
            match at {
                Some((frame, direction)) => {
                    call!(calls, vitrum_tracker_step_at, it, frame, direction, progress, user)
                }
                None => call!(calls, vitrum_tracker_step, it, progress, user),
            }
        });
    }

    fn look_at_tracker(&mut self, it: *mut vitrum_tracker) {
        // SAFETY: NULL or a handle that lives.
        unsafe {
            assert!(vitrum_tracker_frame(it) >= -1);
            _ = vitrum_tracker_memory_bytes(it);
        }
        let mut out = Output::<i64>::new(&mut self.source);
        let status = call!(self, vitrum_tracker_held_frames, it, out.pointer(), out.capacity(), out.needed());
        assert!(out.written("vitrum_tracker_held_frames", status).iter().all(|&frame| frame >= 0));
        let mut out = Output::<u32>::new(&mut self.source);
        let status = call!(self, vitrum_tracker_objects, it, out.pointer(), out.capacity(), out.needed());
        out.written("vitrum_tracker_objects", status);
    }

    fn change_objects(&mut self, it: *mut vitrum_tracker) {
        let (frame, object) = (self.frame(it), 1 + self.source.count(2) % 8);
        match self.source.below(8) {
            0 => call!(self, vitrum_tracker_reset, it),
            1..4 => call!(self, vitrum_tracker_remove_object, it, object),
            _ => call!(self, vitrum_tracker_clear_prompts, it, frame, object),
        };
    }

    /// What there is to know of an object's mask.
    fn read_mask(&mut self, it: *mut vitrum_tracker, choice: usize) {
        let (frame, object) = (self.frame(it), 1 + self.source.count(2) % 8);
        let threshold = self.source.float();
        match choice {
            23..26 => {
                let mut out = Output::<u8>::new(&mut self.source);
                let status = call!(
                    self,
                    vitrum_tracker_mask,
                    it,
                    object,
                    frame,
                    threshold,
                    out.pointer(),
                    out.capacity(),
                    out.needed(),
                );
                assert!(out.written("vitrum_tracker_mask", status).iter().all(|&pixel| pixel < 2));
                // SAFETY: NULL or a handle that lives.
                let has = unsafe { vitrum_tracker_has_mask(it, object, frame) };
                assert!(status != VITRUM_OK || has == 1 || self.depth > 0);
            }
            26 => {
                let mut out = Output::<u32>::new(&mut self.source);
                let status = call!(
                    self,
                    vitrum_tracker_rle,
                    it,
                    object,
                    frame,
                    threshold,
                    out.pointer(),
                    out.capacity(),
                    out.needed(),
                );
                out.written("vitrum_tracker_rle", status);
            }
            27 => self.polygons("vitrum_tracker_polygons", |calls, tolerance, corners, polygons| {
                call!(
                    calls,
                    vitrum_tracker_polygons,
                    it,
                    object,
                    frame,
                    threshold,
                    tolerance,
                    corners.pointer(),
                    corners.capacity(),
                    corners.needed(),
                    polygons.pointer().cast(),
                    polygons.capacity(),
                    polygons.needed(),
                )
            }),
            28 | 29 => {
                let mut stats: vitrum_tracker_stats = prepared(vitrum_tracker_stats_init);
                let status: vitrum_status =
                    call!(self, vitrum_tracker_mask_stats, it, object, frame, threshold, &raw mut stats);
                assert!(stats.score.is_finite() && (status == VITRUM_OK || stats.area == 0));
            }
            _ => {
                let mut out = Output::<f32>::new(&mut self.source);
                let (to, room, needed) = (out.pointer(), out.capacity(), out.needed());
                let status = if choice == 30 {
                    call!(self, vitrum_tracker_logits, it, object, frame, to, room, needed)
                } else {
                    call!(self, vitrum_tracker_low_res, it, object, frame, to, room, needed)
                };
                are_finite("vitrum_tracker_logits", out.written("vitrum_tracker_logits", status));
            }
        }
    }
}
