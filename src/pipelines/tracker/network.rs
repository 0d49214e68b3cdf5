//! The model as a tracker uses it.

use alloc::vec::Vec;
use core::convert::Infallible;

use super::TrackerOptions;
use super::bank::Output;
use super::frames::Frame;
use super::selection::Rules;
use crate::error::{Result, err};
use crate::exec::Monitor;
use crate::image::ImageView;
use crate::models::sam::Prompt;
use crate::pipelines::sam::Sam;

/// What an object remembers for a frame.
#[derive(Debug)]
pub(super) struct Attended<'a> {
    /// Memories, with their rows of `maskmem_tpos_enc`.
    pub(super) memories: Vec<(&'a Output, usize)>,
    /// Pointers, with their temporal distances.
    pub(super) pointers: Vec<(&'a Output, f32)>,
}

/// A prompt for the decoder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// Points, box and the mask to start from.
    pub(super) prompt: Prompt<'a>,
    /// Pixels of the input per pixel of the picture, horizontally and vertically.
    pub(super) scale: [f64; 2],
    /// Whether the best of three masks may take the place of one that is not stable.
    pub(super) stability: bool,
}

/// Masks of all objects on a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Masks<'a> {
    /// Logits, each `[mask_side, mask_side]`. No pixel belongs to more than one of these.
    pub(super) logits: &'a [&'a [f32]],
    /// The one in question.
    pub(super) wanted: usize,
}

pub(super) struct Network<'a> {
    never: &'a Infallible,
}

impl<'a> Network<'a> {
    pub(super) fn of(_sam: &'a Sam) -> Result<Self> {
        Err(err!(Unsupported, "the model cannot track: it has no memory"))
    }
    pub(super) fn rules(&self, _options: &TrackerOptions) -> Rules {
        match *self.never {}
    }
    pub(super) fn mask_side(&self) -> usize {
        match *self.never {}
    }
    pub(super) fn image_size(&self) -> usize {
        match *self.never {}
    }
    pub(super) fn output_lens(&self) -> [usize; 3] {
        match *self.never {}
    }
    pub(super) fn output_bytes(&self) -> [usize; 3] {
        match *self.never {}
    }
    pub(super) fn features_len(&self) -> usize {
        match *self.never {}
    }
    pub(super) fn features_bytes(&self) -> usize {
        match *self.never {}
    }
    pub(super) fn encode(&self, _image: &ImageView<'_>, _monitor: &Monitor<'_>) -> Result<Vec<f32>> {
        match *self.never {}
    }
    pub(super) fn remember(&self, _f: &[f32], _m: Masks<'_>, _b: bool, _a: bool) -> Result<Vec<u16>> {
        match *self.never {}
    }
    pub(super) fn share(&self, _f: &[f32], _m: &Monitor<'_>) -> Result<Vec<f32>> {
        match *self.never {}
    }
    pub(super) fn track(
        &self,
        _f: &Frame,
        _s: &[f32],
        _a: &[Attended<'_>],
        _st: bool,
        _m: &Monitor<'_>,
    ) -> Result<Vec<Output>> {
        match *self.never {}
    }
    pub(super) fn answer(
        &self,
        _f: &Frame,
        _a: &Asked<'_>,
        _at: Option<Attended<'_>>,
        _m: &Monitor<'_>,
    ) -> Result<Output> {
        match *self.never {}
    }
    pub(super) fn adopt(&self, _f: &Frame, _m: &[u8], _s: [usize; 2], _mo: &Monitor<'_>) -> Result<Output> {
        match *self.never {}
    }
    pub(super) fn fill_holes(&self, _m: &mut [f32], _a: u32, _v: f32) {
        match *self.never {}
    }
}
