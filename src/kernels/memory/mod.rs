//! Attention from the tokens of a frame to memories of earlier frames, with rotary positions (SAM 2); and of the tokens
//! to each other ([`attend_to_frame`]).
//!
//! A key is a memory `m` (with its positions added), projected and rotated by its place `(x, y)` of the grid, a query
//! likewise; the pairs of the first half of the features turn with `x`, those of the second half with `y`:
//!
//! ```text
//! k = R(x, y) (W m + b)        s = scale · (R(xᵢ, yᵢ) q) · k        out = Σ softmax(s) v
//! ```
//!
//! With `R(xᵢ, yᵢ) q = q'`, the score is `s = (Wᵀ R(x, y)ᵀ q') · m + (R(x, y) b) · q'`. Because one half turns with `x`
//! and the other with `y`, what multiplies `m` is a sum of two vectors as short as `m`:
//!
//! ```text
//! s = (column(x) + row(y)) · (m, 1)        column(x) = (W, b)ᵀ R(x)ᵀ q', row(y) = (W, b)ᵀ R(y)ᵀ q'
//! ```
//!
//! So keys are never projected, let alone rotated, and a product with one costs its own length (64) and not that of a
//! projected key (256). The sum is made once for all memories of a place. A query's *probes*, its columns and rows,
//! are worth their price: there are `columns + rows` of them and `columns · rows · memories` keys.
//!
//! A token that is not rotated (an object pointer) is one at the place `(0, 0)`, where `R` is the identity.
//!
//! Values are not projected either: `softmax(s) (M Wᵥᵀ) = (softmax(s) M) Wᵥᵀ`, which is left to the caller.
//!
//! Queries stand side by side, as the columns of a panel of the tile kernels, so that the softmax needs no sum across a
//! vector; scores exist for one block of keys and one panel at a time. Rotary positions: Su et al., RoFormer (2021);
//! axial: `modeling/position_encoding.py` and `modeling/sam/transformer.py` of `sam2`.

mod attend;
mod bank;
mod frame;
mod probe;
mod rotary;
mod score;
mod softmax;
#[cfg(test)]
mod tests;

pub use attend::{attend, scratch_len};
pub use bank::{Bank, BankShape, PointerToken, SpatialMemory};
pub use frame::{attend_to_frame, frame_scratch_len};
pub use probe::KeyProjection;
pub use rotary::Rotary;
