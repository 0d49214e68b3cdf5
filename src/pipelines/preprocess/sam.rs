//! The profile of SAM: longer side to the model's size, top left corner, zeros behind.

use super::Preprocess;
use super::config::{SIDES, check_image_size, hugging_face_filter, hugging_face_values, table};
use super::geometry::{Placement, Resize};
use crate::error::{Result, err};
use crate::kernels::resize::pillow::Filter;
use crate::weights::Config;

/// Mean and standard deviation of ImageNet's pictures, for values in 0…255, as segment-anything writes them.
const PIXELS: [(f32, f32); 3] = [(123.675, 58.395), (116.28, 57.12), (103.53, 57.375)];
/// The same for values in 0…1, as transformers writes them.
pub(super) const IMAGENET: [[f64; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];

impl Preprocess {
    /// segment-anything's: `(pixel − mean) / deviation` for pixels of 0…255.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorCode::Config) for an impossible `image_size`.
    pub fn sam(image_size: usize) -> Result<Self> {
        check_image_size(image_size)?;
        let values = table(f32::from, Some(PIXELS)).expect("finite constants");
        Ok(Self {
            resize: Resize::Longest(image_size),
            filter: Filter::Bilinear,
            placement: Placement::TopLeft,
            output: (image_size, image_size),
            padding: [0.0; 3],
            values,
            interpolated: None,
        })
    }

    /// The profile that the `preprocessor_config.json` of a `SamImageProcessor` describes, for a model whose input
    /// has a side of `image_size`. Sizes are the model's: those in the file are only checked to be possible.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorCode::Config), naming the key, for impossible values;
    /// [`Unsupported`](crate::ErrorCode::Unsupported) for the configuration of another processor, or one that does
    /// not resize or pad.
    pub fn sam_from_config(config: &Config, image_size: usize) -> Result<Self> {
        for key in ["image_processor_type", "feature_extractor_type"] {
            let kind = config.str_or(key, "SamImageProcessor")?;
            if !kind.starts_with("SamImageProcessor") {
                return Err(err!(
                    Unsupported,
                    "{}: {key} is {kind:?}, expected \"SamImageProcessor\"",
                    config.file()
                ));
            }
        }
        for key in ["do_resize", "do_pad"] {
            if !config.bool_or(key, true)? {
                return Err(err!(
                    Unsupported,
                    "{}: {key} is false, but the model needs an input of its size",
                    config.file()
                ));
            }
        }
        for key in ["size.longest_edge", "pad_size.height", "pad_size.width"] {
            config.usize_or(key, image_size, SIDES)?;
        }
        config.bool_or("do_convert_rgb", true)?;
        let filter = hugging_face_filter(config, Filter::Bilinear)?;
        let values = hugging_face_values(config, IMAGENET)?;
        Ok(Self { filter, values, ..Self::sam(image_size)? })
    }
}
