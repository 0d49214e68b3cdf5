//! How much a context may be asked for.

use core::fmt::Display;

use crate::error::{Result, err};
use crate::image::MAX_IMAGE_PIXELS;
use crate::setters::setters;

/// What a context, and every model and tracker made with it, may be asked for: so that a file or a request from a stranger
/// cannot take more time and memory than the host is willing to spend.
///
/// What exceeds a limit is refused with [`ErrorCode::Limit`](crate::ErrorCode::Limit) before memory is taken for it. A limit may
/// be lowered and raised; beyond what formats and arithmetic can hold ([`MAX_IMAGE_PIXELS`], 16,384 points, 1,024 objects, inputs
/// of 4,096 pixels a side for a SAM and 8,192 for a CLIP), raising it changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Pixels of a picture, a frame, or a mask of their size. By default 2²⁸, which is as many as an
    /// [`ImageView`](crate::ImageView) can have: photographs of 100 and 200 megapixels pass.
    pub pixels: usize,
    /// Points of a prompt; by default 16,384. Each takes about 30 kB of scratch memory in the released models.
    pub points: usize,
    /// Objects that a tracker can be made for; by default 1,024.
    pub objects: usize,
    /// Side of a model's input in pixels, whether its files or the caller ask for it; by default 2,048. Released models have
    /// up to 1,024. The work of attention grows with the fourth power of the side.
    pub image_size: usize,
    /// Bytes of a model's weights, counted as f32: 4 for every value in its files. By default 16 GiB; SAM's ViT-H has
    /// 2.6 GB, the largest OpenCLIP 10 GB.
    pub weights_bytes: u64,
    /// Bytes of scratch memory that one step of a call takes at once; by default 2 GiB. SAM's ViT-H at 1,024 × 1,024 pixels
    /// takes 120 MB with one thread and 310 MB with 64.
    pub scratch_bytes: usize,
    /// Bytes of scratch memory that a context keeps for its next calls; by default 512 MiB. What comes back beyond that is
    /// freed when a call ends. 0 keeps nothing: then every call allocates.
    pub idle_scratch_bytes: usize,
    /// Takes weights, and gives results, that are not finite. By default, NaN and infinity in either are an error
    /// ([`ErrorCode::NonFinite`](crate::ErrorCode::NonFinite)): results that look like numbers must be some.
    ///
    /// Where they are allowed: a NaN in embeddings, logits, probabilities and scores stays one; a row of probabilities is
    /// NaN as a whole; a pixel whose logit is NaN does not belong to the mask; an object whose score is NaN is not on the
    /// frame; a score that is NaN is worse than all others.
    pub allow_non_finite: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pixels: MAX_IMAGE_PIXELS,
            points: 1 << 14,
            objects: 1 << 10,
            image_size: 1 << 11,
            weights_bytes: 16 << 30,
            scratch_bytes: 2 << 30,
            idle_scratch_bytes: 512 << 20,
            allow_non_finite: false,
        }
    }
}

impl Limits {
    setters! {
        with_pixels(pixels: usize),
        with_points(points: usize),
        with_objects(objects: usize),
        with_image_size(image_size: usize),
        with_weights_bytes(weights_bytes: u64),
        with_scratch_bytes(scratch_bytes: usize),
        with_idle_scratch_bytes(idle_scratch_bytes: usize),
        with_allow_non_finite(allow_non_finite: bool),
    }

    /// Refuses a picture, a frame or a mask with too many pixels.
    pub(crate) fn check_pixels(&self, width: usize, height: usize) -> Result<()> {
        let pixels = width.saturating_mul(height) as u64;
        within("pixels", format_args!("a picture of {width} x {height} pixels"), pixels, self.pixels as u64)
    }

    /// Refuses a prompt with too many points.
    pub(crate) fn check_points(&self, points: usize) -> Result<()> {
        within("points", format_args!("a prompt of {points} points"), points as u64, self.points as u64)
    }

    /// Refuses a tracker for too many objects.
    pub(crate) fn check_objects(&self, objects: usize) -> Result<()> {
        within(
            "objects",
            format_args!("a tracker for {objects} objects"),
            objects as u64,
            self.objects as u64,
        )
    }

    /// Refuses a model with too large an input.
    pub(crate) fn check_image_size(&self, side: usize) -> Result<()> {
        let what = format_args!("a model's input of {side} x {side} pixels");
        within("image_size", what, side as u64, self.image_size as u64)
    }

    /// Refuses a model whose weights are too large.
    pub(crate) fn check_weights(&self, bytes: u64) -> Result<()> {
        within("weights_bytes", format_args!("weights of {bytes} bytes as f32"), bytes, self.weights_bytes)
    }

    /// Refuses a step that takes too much scratch memory.
    pub(super) fn check_scratch(&self, bytes: usize) -> Result<()> {
        let what = format_args!("a step that takes {bytes} bytes of scratch memory");
        within("scratch_bytes", what, bytes as u64, self.scratch_bytes as u64)
    }
}

/// `Limit` for `what`, which has `value` of what `limit` bounds, if that is more than `most`.
fn within(limit: &str, what: impl Display, value: u64, most: u64) -> Result<()> {
    if value > most {
        return Err(err!(Limit, "{what}: the context's limit {limit} is {most}, and may be raised"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorCode;

    #[test]
    fn the_message_names_the_thing_its_value_and_the_limit() {
        let limits = Limits::default().with_image_size(1024);
        limits.check_image_size(1024).unwrap();
        let error = limits.check_image_size(1025).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Limit);
        assert_eq!(
            error.message(),
            "a model's input of 1025 x 1025 pixels: the context's limit image_size is 1024, and may be raised"
        );
    }

    #[test]
    fn every_limit_lets_its_own_value_through() {
        let limits = Limits::default()
            .with_pixels(6)
            .with_points(5)
            .with_objects(4)
            .with_weights_bytes(1 << 40)
            .with_scratch_bytes(3);
        for (at, above) in [
            (limits.check_pixels(2, 3), limits.check_pixels(7, 1)),
            (limits.check_points(5), limits.check_points(6)),
            (limits.check_objects(4), limits.check_objects(5)),
            (limits.check_weights(1 << 40), limits.check_weights((1 << 40) + 1)),
            (limits.check_scratch(3), limits.check_scratch(4)),
        ] {
            at.unwrap();
            assert_eq!(above.unwrap_err().code(), ErrorCode::Limit);
        }
        assert_eq!(limits.check_pixels(usize::MAX, 2).unwrap_err().code(), ErrorCode::Limit);
    }
}
