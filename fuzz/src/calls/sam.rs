//! Calls of a SAM and of embeddings.

use std::ptr;

use vitrum::ffi::clip::vitrum_clip;
use vitrum::ffi::progress::vitrum_progress;
use vitrum::ffi::sam::{
    vitrum_sam, vitrum_sam_encode, vitrum_sam_image_size, vitrum_sam_mask_side, vitrum_sam_memory_bytes,
    vitrum_sam_warnings,
};
use vitrum::ffi::sam_embedding::{
    vitrum_sam_embedding, vitrum_sam_embedding_height, vitrum_sam_embedding_is_of, vitrum_sam_embedding_load,
    vitrum_sam_embedding_memory_bytes, vitrum_sam_embedding_save, vitrum_sam_embedding_values,
    vitrum_sam_embedding_width,
};
use vitrum::ffi::sam_everything::{
    vitrum_sam_everything, vitrum_sam_everything_defaults, vitrum_sam_everything_options,
    vitrum_sam_everything_options_init,
};
use vitrum::ffi::sam_text::{vitrum_sam_ground, vitrum_sam_text_prompt, vitrum_sam_text_prompt_init};
use vitrum::ffi::status::VITRUM_OK;

use super::arguments::{Picture, prepared, text, texts};
use super::callbacks::{Callbacks, on_match, on_record, progress};
use super::outputs::{Output, are_finite};
use super::world::Kind;
use super::{Calls, call};

impl Calls<'_> {
    pub(super) fn sam_call(&mut self) {
        let sam: *mut vitrum_sam = self.world.pick(Kind::Sam, &mut self.source);
        let embedding: *mut vitrum_sam_embedding = self.world.pick(Kind::Embedding, &mut self.source);
        match self.source.below(16) {
            0 => self.sam_sizes(sam),
            1..8 => self.encode(sam),
            8 => self.embedding_sizes(embedding),
            9 => self.embedding_values(embedding),
            10 => self.save_embedding(sam, embedding),
            11 => self.is_of(embedding),
            12 | 13 => self.everything(sam),
            14 => self.ground(sam),
            _ => self.encode(sam),
        }
    }

    fn sam_sizes(&mut self, sam: *mut vitrum_sam) {
        // SAFETY: NULL or a handle that lives.
        unsafe {
            let (side, bytes) = (vitrum_sam_image_size(sam), vitrum_sam_memory_bytes(sam));
            assert_eq!(side == 0, bytes == 0);
            assert!(vitrum_sam_mask_side(sam) <= side);
        }
        let mut out = Output::<i8>::new(&mut self.source);
        let status = call!(self, vitrum_sam_warnings, sam, out.pointer(), out.capacity(), out.needed());
        out.written("vitrum_sam_warnings", status);
    }

    /// Mostly a function that is called back.
    pub(super) fn progress(&mut self) -> vitrum_progress {
        (self.source.below(4) > 0).then_some(progress as unsafe extern "C" fn(_, _) -> _)
    }

    fn encode(&mut self, sam: *mut vitrum_sam) {
        let (picture, progress) = (Picture::new(&mut self.source), self.progress());
        let callbacks = Callbacks::new(&self.world, self.depth, &mut self.source);
        let mut embedding = ptr::null_mut();
        let status = call!(
            self,
            vitrum_sam_encode,
            sam,
            picture.pointer(),
            progress,
            callbacks.user(),
            &raw mut embedding
        );
        assert_eq!(status == VITRUM_OK, !embedding.is_null());
        self.world.keep(Kind::Embedding, embedding);
    }

    fn embedding_sizes(&mut self, embedding: *mut vitrum_sam_embedding) {
        // SAFETY: NULL or a handle that lives.
        let sizes = unsafe {
            [
                vitrum_sam_embedding_width(embedding) as usize,
                vitrum_sam_embedding_height(embedding) as usize,
                vitrum_sam_embedding_memory_bytes(embedding),
            ]
        };
        assert!(sizes.iter().all(|&size| size == 0) || sizes.iter().all(|&size| size > 0), "{sizes:?}");
    }

    fn embedding_values(&mut self, embedding: *mut vitrum_sam_embedding) {
        let mut out = Output::<f32>::new(&mut self.source);
        let status =
            call!(self, vitrum_sam_embedding_values, embedding, out.pointer(), out.capacity(), out.needed());
        are_finite("vitrum_sam_embedding_values", out.written("vitrum_sam_embedding_values", status));
    }

    /// Saves an embedding and restores it, with a model that need not be its own, perhaps damaged.
    fn save_embedding(&mut self, sam: *mut vitrum_sam, embedding: *mut vitrum_sam_embedding) {
        let mut needed = 0;
        let status = call!(self, vitrum_sam_embedding_save, embedding, ptr::null_mut(), 0, &raw mut needed);
        if status != VITRUM_OK {
            return;
        }
        let less = usize::from(self.source.one_in(8));
        let mut out = Output::<u8>::of(needed - less, &mut self.source);
        let status =
            call!(self, vitrum_sam_embedding_save, embedding, out.pointer(), out.capacity(), out.needed());
        let saved = self.damaged(out.written("vitrum_sam_embedding_save", status));
        let mut restored = ptr::null_mut();
        let status =
            call!(self, vitrum_sam_embedding_load, sam, saved.as_ptr(), saved.len(), &raw mut restored);
        assert_eq!(status == VITRUM_OK, !restored.is_null());
        self.world.keep(Kind::Embedding, restored);
    }

    /// `bytes`, of which now and then one is another one, or some are missing.
    pub(super) fn damaged(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        if !bytes.is_empty() && self.source.one_in(4) {
            let place = self.source.u32() as usize % bytes.len();
            match self.source.below(2) {
                0 => bytes[place] ^= 1 << self.source.below(8),
                _ => bytes.truncate(place),
            }
        }
        bytes
    }

    fn is_of(&mut self, embedding: *mut vitrum_sam_embedding) {
        let (picture, mut answer) = (Picture::new(&mut self.source), 77);
        let status = call!(self, vitrum_sam_embedding_is_of, embedding, picture.pointer(), &raw mut answer);
        assert_eq!(status == VITRUM_OK, (-1..=1).contains(&answer));
    }

    /// Options with few points, so that it takes little time.
    fn everything_options(&mut self, sam: *mut vitrum_sam) -> vitrum_sam_everything_options {
        let mut options: vitrum_sam_everything_options = prepared(vitrum_sam_everything_options_init);
        if self.source.one_in(2) {
            call_defaults(sam, &mut options);
        }
        options.points_per_side = 1 + self.source.below(3) as u32;
        options.points_per_batch = self.source.count(8);
        options.crop_n_layers = u32::from(self.source.one_in(8));
        options.min_mask_region_area = self.source.count(9);
        (options.use_m2m, options.single_mask) = (self.source.count(1), self.source.count(1));
        (options.pred_iou_thresh, options.stability_score_thresh) =
            (self.source.fraction() / 4.0, self.source.fraction() / 2.0);
        options.box_nms_thresh = self.source.fraction();
        options
    }

    fn everything(&mut self, sam: *mut vitrum_sam) {
        let (picture, options, progress) =
            (Picture::new(&mut self.source), self.everything_options(sam), self.progress());
        let callbacks = Callbacks::new(&self.world, self.depth, &mut self.source);
        let mut kept = ptr::null_mut();
        let place = if self.source.one_in(4) { ptr::null_mut() } else { &raw mut kept };
        let status = call!(
            self,
            vitrum_sam_everything,
            sam,
            picture.pointer(),
            &raw const options,
            Some(on_record),
            progress,
            callbacks.user(),
            place,
        );
        assert!(status == VITRUM_OK || kept.is_null());
        self.world.keep(Kind::Embedding, kept);
    }

    fn ground(&mut self, sam: *mut vitrum_sam) {
        let clip: *mut vitrum_clip = self.world.pick(Kind::Clip, &mut self.source);
        let (picture, options, progress) =
            (Picture::new(&mut self.source), self.everything_options(sam), self.progress());
        let (wanted, others) = (texts(&mut self.source), texts(&mut self.source));
        let mut prompt: vitrum_sam_text_prompt = prepared(vitrum_sam_text_prompt_init);
        (prompt.top, prompt.min_probability) = (self.source.count(3), self.source.fraction() / 4.0);
        (prompt.texts, prompt.text_count) = (wanted.as_ptr(), wanted.len());
        (prompt.others, prompt.other_count) = (others.as_ptr(), others.len());
        if self.source.one_in(4) {
            prompt.text_template = text(&mut self.source);
        }
        prompt.candidates = &raw const options;
        let callbacks = Callbacks::new(&self.world, self.depth, &mut self.source);
        let mut kept = ptr::null_mut();
        let status = call!(
            self,
            vitrum_sam_ground,
            sam,
            clip,
            picture.pointer(),
            &raw const prompt,
            Some(on_match),
            progress,
            callbacks.user(),
            &raw mut kept,
        );
        assert_eq!(status == VITRUM_OK, !kept.is_null());
        self.world.keep(Kind::Embedding, kept);
    }
}

/// The defaults of a model; of none, `options` stay.
fn call_defaults(sam: *mut vitrum_sam, options: &mut vitrum_sam_everything_options) {
    // SAFETY: NULL or a handle that lives, and a struct of this size.
    let status =
        unsafe { vitrum_sam_everything_defaults(sam, options, size_of::<vitrum_sam_everything_options>()) };
    super::check_status("vitrum_sam_everything_defaults", status);
}
