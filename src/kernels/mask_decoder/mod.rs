//! The operations of SAM's mask decoder on image features.
//!
//! The many pixels of an image meet few rows: the tokens of a prompt, or weights. Features stay in panels
//! ([`feature_panels`](super::feature_panels)) from the image embedding to the masks.
//!
//! - [`token_to_image`]: the tokens attend to all pixels;
//! - [`image_to_token`]: all pixels attend to the tokens;
//! - [`project`]: a linear layer of the pixels;
//! - [`upscale`]: two transposed convolutions, between which SAM 2 adds maps of higher resolution ([`HighResLayout`]), and
//!   the product with the masks' weights.
//!
//! Work is cut into panels, or blocks of panels, whatever the number of threads; sums run in the order of the pixels.
//!
//! # Soundness
//!
//! All slices are asserted at the entry, panels by [`PanelLayout`](super::feature_panels::PanelLayout). Loops over a
//! panel assert its rows again. Tasks have a panel of a prompt each, or the pixels that are made of one.
//!
//! Tests: `mask_decoder::token_to_image_is_softmax_over_the_pixels`,
//! `mask_decoder::image_to_token_is_softmax_over_the_tokens`, `mask_decoder::upscale_is_two_transposed_convolutions`,
//! `len::the_mask_decoder_refuses_images_whose_length_wraps`.

mod high_res;
mod image_source;
mod image_to_token;
mod pixelwise;
mod project;
#[cfg(test)]
mod tests;
mod token_to_image;
mod upscale;

pub use high_res::HighResLayout;
pub use image_source::ImageSource;
pub use image_to_token::{
    ImageQueries, ImageToTokenShape, PackedTokens, image_to_token, scratch_req as image_to_token_scratch_req,
};
pub use pixelwise::LayerNormParams;
pub use project::{PixelProjection, project, scratch_req as project_scratch_req};
pub use token_to_image::{
    ImageFeatures, ImageKeys, TokenToImageShape, scratch_req as token_to_image_scratch_req, token_to_image,
};
pub use upscale::{UpscaleInputs, UpscaleWeights, scratch_req as upscale_scratch_req, upscale};
