//! Image features that stay packed as the right-hand side of products.
//!
//! In a mask decoder the many pixels of an image meet few rows: the tokens of a prompt, or weights. Features are kept as
//! panels `[pixels / nr][channels][nr]` ([`Panels`]), which is what the tile kernels of [`gemm`](super::gemm) read as
//! their right-hand side. In `out[r][p] = Σ_c a[r][c] · x[c][p]` the rows `a` are packed once ([`Left`]), and the result
//! `[rows][nr]` is a panel again, the right-hand side of the next product: a chain of products packs and transposes
//! nothing. A pixel is a column, so that normalising over channels, softmax over rows, activations and biases are loops
//! over whole vectors.
//!
//! - [`token_to_image`]: few queries attend to all pixels;
//! - [`image_to_token`]: all pixels attend to few keys;
//! - [`project`]: a linear layer of the pixels;
//! - [`upscale`]: two transposed convolutions and the product with the masks' weights; [`Squares`]: what is added between.
//!
//! Work is cut into panels, or blocks of them, independent of the number of threads; sums are in the order of the pixels.

mod columns;
mod image_to_token;
mod layout;
mod left;
mod project;
mod squares;
#[cfg(test)]
mod tests;
mod token_to_image;
mod upscale;

pub use columns::Norm;
pub use image_to_token::{
    ImageToToken, Pixels, Tokens, image_to_token, scratch_len as image_to_token_scratch_len,
};
pub use layout::{Panels, Plus, from_tokens, to_tokens};
pub use left::{Left, PackedLeft, Transposed, left_len, pack_left};
pub use project::{project, scratch_len as project_scratch_len};
pub use squares::Squares;
pub use token_to_image::{Keys, TokenToImage, scratch_len as token_to_image_scratch_len, token_to_image};
pub use upscale::{Upscale, scratch_len as upscale_scratch_len, upscale};
