//! The profiles of SAM 2: the picture is squeezed into the square input, whatever its proportion.
//!
//! Meta's package interpolates pictures as f32 values and frames of a video as bytes; transformers interpolates both as
//! bytes. Of bytes, the result is Pillow's to the bit. transformers uses torchvision, whose kernel for bytes has weights
//! of 16 bits and may differ from Pillow's by one level here and there.

use super::Preprocess;
use super::config::{
    Normalization, SIDES, check_image_size, hugging_face_filter, hugging_face_values, table,
};
use super::geometry::{Placement, Resize};
use super::sam::IMAGENET;
use crate::error::{Result, err};
use crate::kernels::resize::pillow::Filter;
use crate::weights::Config;

/// Mean and standard deviation of ImageNet's pictures.
fn imagenet() -> Normalization {
    core::array::from_fn(|c| (IMAGENET[0][c] as f32, IMAGENET[1][c] as f32))
}

impl Preprocess {
    /// `SAM2Transforms`, for pictures: values of 0…1 are interpolated linearly with antialiasing, then normalised. Equal
    /// to the reference within 10⁻⁵.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorCode::Config) for an impossible `image_size`.
    pub fn sam2(image_size: usize) -> Result<Self> {
        check_image_size(image_size)?;
        let values = table(|value| f32::from(value) / 255.0, None).expect("finite values");
        Ok(Self { values, interpolated: Some(imagenet()), ..Self::sam2_video(image_size)? })
    }

    /// `load_video_frames`: bytes are resized as Pillow does by default, bicubically.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorCode::Config) for an impossible `image_size`.
    pub fn sam2_video(image_size: usize) -> Result<Self> {
        check_image_size(image_size)?;
        let values = table(|value| f32::from(value) / 255.0, Some(imagenet())).expect("finite constants");
        Ok(Self {
            resize: Resize::Exact(image_size, image_size),
            filter: Filter::Bicubic,
            placement: Placement::TopLeft,
            output: (image_size, image_size),
            padding: [0.0; 3],
            values,
            interpolated: None,
        })
    }

    /// The profile that the `preprocessor_config.json` of a `Sam2ImageProcessor` describes, for a model whose input has a
    /// side of `image_size`: linear, of bytes. Sizes are the model's: those in the file are only checked to be possible.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorCode::Config), naming the key, for impossible values;
    /// [`Unsupported`](crate::ErrorCode::Unsupported) for the configuration of another processor, or one that does
    /// not resize.
    pub fn sam2_from_config(config: &Config, image_size: usize) -> Result<Self> {
        for key in ["image_processor_type", "feature_extractor_type"] {
            let kind = config.str_or(key, "Sam2ImageProcessor")?;
            if !kind.starts_with("Sam2ImageProcessor") {
                return Err(err!(
                    Unsupported,
                    "{}: {key} is {kind:?}, expected \"Sam2ImageProcessor\"",
                    config.file()
                ));
            }
        }
        if !config.bool_or("do_resize", true)? {
            return Err(err!(
                Unsupported,
                "{}: do_resize is false, but the model needs an input of its size",
                config.file()
            ));
        }
        for key in ["size.height", "size.width"] {
            config.usize_or(key, image_size, SIDES)?;
        }
        config.bool_or("do_convert_rgb", true)?;
        let filter = hugging_face_filter(config, Filter::Bilinear)?;
        let values = hugging_face_values(config, IMAGENET)?;
        Ok(Self { filter, values, ..Self::sam2_video(image_size)? })
    }
}
