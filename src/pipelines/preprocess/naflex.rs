//! The profile of SigLIP 2's variable resolution (NaFlex): as many whole patches as there may be, in the picture's proportion.

use super::config::{STANDARD, hugging_face_filter, hugging_face_values};
use super::geometry::{Placement, Resize};
use super::{MAX_INPUT_SIDE, Preprocess};
use crate::error::Result;
use crate::kernels::resize::pillow::Filter;
use crate::weights::Config;

impl Preprocess {
    /// `Siglip2ImageProcessor`'s: both sides to multiples of `patch_size`, values from −1 to 1, at most 256 patches.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorCode::Config) for an impossible `patch_size`.
    pub fn naflex(patch_size: usize) -> Result<Self> {
        let config = alloc::format!(r#"{{"patch_size": {patch_size}}}"#);
        naflex(&Config::parse("preprocessor_config.json", config.as_bytes())?)
    }

    /// Side of a patch, where the input has as many of them as fit the picture.
    pub fn naflex_patch(&self) -> Option<usize> {
        match self.resize {
            Resize::Patches { side, .. } => Some(side),
            _ => None,
        }
    }

    /// Most patches of an input, where their number depends on the picture.
    pub fn most_patches(&self) -> Option<usize> {
        match self.resize {
            Resize::Patches { most, .. } => Some(most),
            _ => None,
        }
    }
}

/// The attributes of `Siglip2ImageProcessor`.
pub(super) fn naflex(config: &Config) -> Result<Preprocess> {
    let side = config.usize_or("patch_size", 16, 1..=MAX_INPUT_SIDE)?;
    let along = MAX_INPUT_SIDE / side;
    let most = config.usize_or("max_num_patches", 256, 1..=along * along)?;
    if !config.bool_or("do_resize", true)? {
        return Err(config.unusable("do_resize", "true: an input consists of whole patches"));
    }
    config.bool_or("do_convert_rgb", true)?;
    let filter = hugging_face_filter(config, Filter::Bilinear)?;
    let values = hugging_face_values(config, STANDARD)?;
    let square = (most - 1).isqrt() + 1;
    Ok(Preprocess {
        resize: Resize::Patches { side, most },
        filter,
        placement: Placement::TopLeft,
        output: (square * side, square * side),
        padding: [0.0; 3],
        values,
        interpolated: None,
    })
}
