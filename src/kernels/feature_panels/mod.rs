//! Image features in the layout of a packed right-hand side.
//!
//! Features are kept as *panels* `[pixels / nr][channels][nr]` ([`PanelLayout`]): `nr` pixels side by side, one channel
//! below the other. That is what the tile kernels of [`gemm`](super::gemm) read as a right-hand side, so that a pixel is
//! a column of a product. The other operand, weights or the tokens of a prompt, is packed once as a left-hand side
//! ([`PackedLhs`]):
//!
//! ```text
//! out[r][p] = Σ_c lhs[r][c] · x[c][p]
//! ```
//!
//! The result `[rows][nr]` of a panel is a panel again, the right-hand side of the next product: a chain of products
//! packs and transposes nothing in between. Loops over whole vectors do the rest: a normalisation over channels, a
//! softmax over rows, activations and biases.
//!
//! # Soundness
//!
//! A packed matrix has exactly the length of its size, checked without wrapping, and a product asserts those of panel
//! and output. A matrix that was packed for another level has the same length: its product is wrong and in bounds.
//!
//! Tests: `feature_panels::a_matrix_packed_for_another_size_is_refused`,
//! `feature_panels::a_matrix_whose_size_overflows_is_refused`.

mod layout;
mod packed_lhs;
#[cfg(test)]
pub(super) mod tests;

pub use layout::{PanelLayout, Plus, from_tokens, to_tokens};
pub use packed_lhs::{LhsWeights, PackedLhs, Transposed, pack_lhs, packed_lhs_len};
pub(super) use packed_lhs::{checked_packed_lhs_len, lhs_words, pack_channels, pack_lhs_words, row_tiles};
