//! Calls of a CLIP.

use vitrum::ffi::clip::{
    vitrum_clip, vitrum_clip_classify, vitrum_clip_classify_options, vitrum_clip_classify_options_init,
    vitrum_clip_embed_dim, vitrum_clip_encode_image, vitrum_clip_encode_options,
    vitrum_clip_encode_options_init, vitrum_clip_encode_text, vitrum_clip_memory_bytes,
    vitrum_clip_similarity, vitrum_clip_tokenize, vitrum_clip_warnings,
};
use vitrum::ffi::status::VITRUM_OK;

use super::arguments::{Picture, prepared, text, texts};
use super::outputs::{Output, are_finite};
use super::world::Kind;
use super::{Calls, call};

impl Calls<'_> {
    pub(super) fn clip_call(&mut self) {
        let clip: *mut vitrum_clip = self.world.pick(Kind::Clip, &mut self.source);
        match self.source.below(8) {
            0 => self.clip_sizes(clip),
            1 | 2 => self.encode_images(clip),
            3 | 4 => self.encode_texts(clip),
            5 => self.classify(clip),
            6 => self.similarity(clip),
            _ => self.tokenize(clip),
        }
    }

    fn clip_sizes(&mut self, clip: *mut vitrum_clip) {
        // SAFETY: NULL or a handle that lives.
        let (dim, bytes) = unsafe { (vitrum_clip_embed_dim(clip), vitrum_clip_memory_bytes(clip)) };
        assert_eq!(dim == 0, bytes == 0);
        let mut out = Output::<i8>::new(&mut self.source);
        let status = call!(self, vitrum_clip_warnings, clip, out.pointer(), out.capacity(), out.needed());
        out.written("vitrum_clip_warnings", status);
    }

    fn encode_options(&mut self) -> vitrum_clip_encode_options {
        let mut options: vitrum_clip_encode_options = prepared(vitrum_clip_encode_options_init);
        options.normalize = self.source.count(1);
        options
    }

    fn encode_images(&mut self, clip: *mut vitrum_clip) {
        let pictures: Vec<_> = (0..self.source.below(4)).map(|_| Picture::new(&mut self.source)).collect();
        let views: Vec<_> = pictures.iter().map(Picture::view).collect();
        let options = self.encode_options();
        let mut out = Output::<f32>::new(&mut self.source);
        let (views, count) = (views.as_ptr(), views.len());
        let status = call!(
            self,
            vitrum_clip_encode_image,
            clip,
            views,
            count,
            &raw const options,
            out.pointer(),
            out.capacity(),
            out.needed(),
        );
        are_finite("vitrum_clip_encode_image", out.written("vitrum_clip_encode_image", status));
    }

    fn encode_texts(&mut self, clip: *mut vitrum_clip) {
        let (texts, options) = (texts(&mut self.source), self.encode_options());
        let mut out = Output::<f32>::new(&mut self.source);
        let status = call!(
            self,
            vitrum_clip_encode_text,
            clip,
            texts.as_ptr(),
            texts.len(),
            &raw const options,
            out.pointer(),
            out.capacity(),
            out.needed(),
        );
        are_finite("vitrum_clip_encode_text", out.written("vitrum_clip_encode_text", status));
    }

    fn classify(&mut self, clip: *mut vitrum_clip) {
        let (picture, labels) = (Picture::new(&mut self.source), texts(&mut self.source));
        let mut options: vitrum_clip_classify_options = prepared(vitrum_clip_classify_options_init);
        if self.source.one_in(4) {
            options.label_template = text(&mut self.source);
        }
        let mut out = Output::<f32>::new(&mut self.source);
        let status = call!(
            self,
            vitrum_clip_classify,
            clip,
            picture.pointer(),
            labels.as_ptr(),
            labels.len(),
            &raw const options,
            out.pointer(),
            out.capacity(),
            out.needed(),
        );
        let probabilities = out.written("vitrum_clip_classify", status);
        if !probabilities.is_empty() {
            assert_eq!(probabilities.len(), labels.len());
            assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-3, "{probabilities:?}");
        }
    }

    fn similarity(&mut self, clip: *mut vitrum_clip) {
        // SAFETY: NULL or a handle that lives.
        let dim = unsafe { vitrum_clip_embed_dim(clip) };
        let [images, texts] = [self.source.below(4), self.source.below(4)];
        let mut values = |count: usize| -> Vec<f32> {
            (0..count * dim).map(|_| f32::from(self.source.byte()) - 9.0).collect()
        };
        let (left, right) = (values(images), values(texts));
        let mut out = Output::<f32>::new(&mut self.source);
        // Without the handle's size, it is not known how many values must be there.
        if dim == 0 {
            return;
        }
        let status = call!(
            self,
            vitrum_clip_similarity,
            clip,
            left.as_ptr(),
            images,
            right.as_ptr(),
            texts,
            out.pointer(),
            out.capacity(),
            out.needed(),
        );
        out.written("vitrum_clip_similarity", status);
    }

    fn tokenize(&mut self, clip: *mut vitrum_clip) {
        let (text, mut out) = (text(&mut self.source), Output::<u32>::new(&mut self.source));
        let status =
            call!(self, vitrum_clip_tokenize, clip, text, out.pointer(), out.capacity(), out.needed());
        let tokens = out.written("vitrum_clip_tokenize", status);
        assert!(status != VITRUM_OK || tokens.len() != 1, "a start without an end");
    }
}
