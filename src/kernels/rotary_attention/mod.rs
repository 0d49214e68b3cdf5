//! Attention with axial rotary positions and one head, as SAM 2's memory attention has it: of the tokens of a frame to
//! each other ([`self_attention`]), and of the tokens of a frame to memories of earlier frames ([`cross_attention`]).
//!
//! A key is a memory `m`, with its positions added, projected by `W, b` and rotated by its place `(x, y)` of the grid. A
//! query `q` is rotated by its own place. The pairs of the first half of the features turn with `x`, those of the second
//! half with `y`:
//!
//! ```text
//! k = R(x, y) (W m + b)        s = scale · (R(xᵢ, yᵢ) q) · k        out = Σ softmax(s) v
//! ```
//!
//! With the rotated query `q' = R(xᵢ, yᵢ) q`, the score is `s = (Wᵀ R(x, y)ᵀ q') · m + (R(x, y) b) · q'`. The key
//! projection is thus *absorbed* into the query, and keys are neither projected nor rotated. Because one half of the
//! features turns with `x` and the other with `y`, the absorbed query is a sum of two vectors as short as `m`:
//!
//! ```text
//! s = (column(x) + row(y)) · (m, 1)        column(x) = (W, b)ᵀ R(x)ᵀ q', row(y) = (W, b)ᵀ R(y)ᵀ q'
//! ```
//!
//! A product with a key then costs the length of a memory (64) and not that of a projected key (256), and the sum is made
//! once for all memories of a place. Absorbing a query costs less than projecting the keys: it has `columns + rows`
//! vectors, while there are `columns · rows · memories` keys.
//!
//! An object pointer is not rotated. It counts as a memory of the place `(0, 0)`, where `R` is the identity.
//!
//! Values are not projected either: `softmax(s) (M Wᵥᵀ) = (softmax(s) M) Wᵥᵀ`, and the caller applies `Wᵥ`.
//!
//! Queries stand side by side, as the columns of a panel of the tile kernels, so that the softmax needs no sum across a
//! vector. Scores exist for one panel of queries and one block of keys at a time. Rotary positions: Su et al., RoFormer
//! (2021); axial: `modeling/position_encoding.py` and `modeling/sam/transformer.py` of `sam2`.
//!
//! # Soundness
//!
//! [`Rotary`] can only be made for a grid whose features memory holds; memories, queries and outputs are asserted
//! against it. Blocks of memories are disjoint rectangles of the grid. Scores assert the lengths of all that they read
//! and write.
//!
//! Tests: `rotary_attention::attends_as_the_definition_says`,
//! `rotary_attention::tokens_attend_to_each_other_as_the_definition_says`,
//! `rotary_attention::sizes_are_known_beforehand`.

mod absorbed_query;
mod cross_attention;
mod packed_memories;
mod rotary;
mod score;
mod self_attention;
mod softmax;
#[cfg(test)]
mod tests;

pub use absorbed_query::KeyProjection;
pub use cross_attention::{CrossAttentionArgs, cross_attention, cross_attention_scratch_req};
pub use packed_memories::{MemoryShape, PackedMemories, PointerToken, SpatialMemory};
pub use rotary::Rotary;
pub use self_attention::{self_attention, self_attention_scratch_req};
