//! `vitrum_limits`: how much a context, and what is made with it, may be asked for.

use super::args::{CStruct, flag, init_with};
use super::status::vitrum_status;
use crate::error::Result;
use crate::exec::Limits;

/// What a context, and every model and tracker made with it, may be asked for: so that a file or a request from a stranger
/// cannot take more time and memory than the application is willing to spend.
///
/// What exceeds a limit is refused with `VITRUM_E_LIMIT` before memory is taken for it. `vitrum_limits_init` fills in the
/// defaults; a limit of 0 is the default too. Limits may be lowered and raised; beyond what formats and arithmetic can hold
/// (2^28 pixels, 16,384 points, 1,024 objects, inputs of 4,096 pixels a side for a SAM and 8,192 for a CLIP), raising them
/// changes nothing.
#[repr(C)]
pub struct vitrum_limits {
    /// `sizeof(vitrum_limits)`; set by `vitrum_limits_init`.
    pub struct_size: u32,
    /// 0, the default: weights and results that are NaN or infinite are an error, `VITRUM_E_NON_FINITE`. 1: they are let
    /// through. Then a NaN in embeddings, logits, probabilities and scores stays one; all probabilities of a picture are NaN
    /// if one is; a pixel whose logit is NaN does not belong to the mask; an object whose score is NaN is not on the frame;
    /// a score that is NaN is worse than all others.
    pub allow_non_finite: u32,
    /// Pixels of a picture, a frame, or a mask of their size. By default 2^28: photographs of 100 and 200 megapixels pass.
    pub pixels: u64,
    /// Points of a prompt; by default 16,384. Each takes about 30 kB of scratch memory in the released models.
    pub points: u64,
    /// `max_objects` of a tracker; by default 1,024.
    pub objects: u64,
    /// Side of a model's input in pixels, whether its files or the caller ask for it; by default 2,048. Released models have
    /// up to 1,024. The work of attention grows with the fourth power of the side.
    pub image_size: u64,
    /// Bytes of a model's weights, counted as f32: 4 for every value in its files. By default 16 GiB; SAM's ViT-H has 2.6 GB,
    /// the largest OpenCLIP 10 GB.
    pub weights_bytes: u64,
    /// Bytes of scratch memory that one step of a call takes at once; by default 2 GiB.
    pub scratch_bytes: u64,
    /// Bytes of scratch memory that the context keeps for its next calls; by default 512 MiB. What comes back beyond that is
    /// freed when a call ends. `vitrum_context_trim` frees the rest.
    pub idle_scratch_bytes: u64,
}

// SAFETY: `repr(C)`, begins with `struct_size: u32`, and all-zero bytes are a value of it.
unsafe impl CStruct for vitrum_limits {
    const NAME: &'static str = "vitrum_limits";
}

/// Fills `limits` with the defaults. `struct_size` is `sizeof *limits`.
///
/// Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_limits_init(limits: *mut vitrum_limits, struct_size: usize) -> vitrum_status {
    // SAFETY: the caller passes NULL or `struct_size` writable bytes.
    unsafe { init_with(limits, struct_size, &defaults()) }
}

fn defaults() -> vitrum_limits {
    let Limits { pixels, points, objects, image_size, scratch_bytes, idle_scratch_bytes, .. } =
        Limits::default();
    vitrum_limits {
        struct_size: 0,
        allow_non_finite: 0,
        pixels: pixels as u64,
        points: points as u64,
        objects: objects as u64,
        image_size: image_size as u64,
        weights_bytes: Limits::default().weights_bytes,
        scratch_bytes: scratch_bytes as u64,
        idle_scratch_bytes: idle_scratch_bytes as u64,
    }
}

/// The limits that a caller's struct means.
pub(super) fn limits_of(limits: &vitrum_limits) -> Result<Limits> {
    let default = Limits::default();
    // What memory cannot hold is no limit.
    let or = |value: u64, default: usize| match value {
        0 => default,
        value => usize::try_from(value).unwrap_or(usize::MAX),
    };
    Ok(Limits::default()
        .with_pixels(or(limits.pixels, default.pixels))
        .with_points(or(limits.points, default.points))
        .with_objects(or(limits.objects, default.objects))
        .with_image_size(or(limits.image_size, default.image_size))
        .with_weights_bytes(if limits.weights_bytes == 0 {
            default.weights_bytes
        } else {
            limits.weights_bytes
        })
        .with_scratch_bytes(or(limits.scratch_bytes, default.scratch_bytes))
        .with_idle_scratch_bytes(or(limits.idle_scratch_bytes, default.idle_scratch_bytes))
        .with_allow_non_finite(flag(limits.allow_non_finite, "limits: allow_non_finite")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_init_writes_and_zeros_are_the_defaults() {
        assert_eq!(limits_of(&defaults()).unwrap(), Limits::default());
        // SAFETY: zeros are a value of the struct.
        let zeros: vitrum_limits = unsafe { core::mem::zeroed() };
        assert_eq!(limits_of(&zeros).unwrap(), Limits::default());
        assert!(limits_of(&vitrum_limits { allow_non_finite: 2, ..zeros }).is_err());
    }

    #[test]
    fn every_field_has_its_own_limit() {
        let limits = vitrum_limits {
            struct_size: 0,
            allow_non_finite: 1,
            pixels: 1,
            points: 2,
            objects: 3,
            image_size: 4,
            weights_bytes: 5,
            scratch_bytes: 6,
            idle_scratch_bytes: 7,
        };
        let expected = Limits::default()
            .with_allow_non_finite(true)
            .with_pixels(1)
            .with_points(2)
            .with_objects(3)
            .with_image_size(4)
            .with_weights_bytes(5)
            .with_scratch_bytes(6)
            .with_idle_scratch_bytes(7);
        assert_eq!(limits_of(&limits).unwrap(), expected);
    }
}
