//! Tiled attention with an online softmax: the matrix of scores never exists.
//!
//! For each head, `out = softmax(scale · Q Kᵀ + bias) V`. A tile of queries meets the keys a block at a time and
//! keeps, per query, the running maximum `m`, the running sum `l` and the running output `o`:
//!
//! ```text
//! s = scale · q Kᵀ + bias        m' = max(m, max s)        p = exp(s − m')
//! l ← l · exp(m − m') + Σ p      o ← o · exp(m − m') + p V      out = o / l
//! ```
//!
//! Both products run on the tile kernels of [`gemm`](super::gemm): those of f32, or, where a caller permits it and
//! the CPU has them, those of bfloat16, whose operands are rounded as they are packed, and the weights `p` as they
//! are written. Scores are in units of `ln 2`: the factor is put into `scale`, so that the exponential is a power of
//! two. Source: Milakov and Gimelshein (2018) for the online softmax; Dao et al., FlashAttention (2022), for the
//! tiling.
//!
//! [`attention`] takes heads that are contiguous; [`attention_windows`] reads them from a grid of tokens.
//!
//! # Soundness
//!
//! Lengths are products that are checked, so that heads and windows are disjoint in the output. Tokens are read through
//! checked slices; buffers have the lengths that are listed once for request and use, and panels and tiles are cut out
//! of them with checks.
//!
//! Tests: `attention::queries_and_keys_of_every_tail`, `attention::sizes_that_overflow_panic`,
//! `windows::windows_with_every_bias`.

mod dense;
mod driver;
mod pack;
mod relative;
mod softmax;
#[cfg(test)]
mod tests;
mod tokens;
mod windows;

pub use dense::{attention, scratch_req};
pub use relative::RelativePositions;
pub use windows::{
    WindowShape, attention_pooled_windows, attention_windows, scratch_req as windows_scratch_req,
};

/// The sizes of an attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// Independent sequences.
    pub batches: usize,
    /// Heads of each sequence.
    pub heads: usize,
    /// Queries of a sequence.
    pub queries: usize,
    /// Keys and values of a sequence.
    pub keys: usize,
    /// Features of a head.
    pub head_dim: usize,
    /// Whether queries, keys, values and weights may be rounded to bfloat16, where the CPU multiplies it; sums stay f32.
    pub bf16: bool,
}

/// What is added to the scaled scores.
#[derive(Clone, Copy, Debug)]
pub enum Bias<'a> {
    /// Nothing.
    None,
    /// −∞ where the key comes after the query; needs `queries == keys`.
    Causal,
    /// −∞ where query and key are in different runs of tokens: run `i` is tokens `bounds[i]..bounds[i + 1]`. Needs `queries ==
    /// keys`; only in [`attention`]. So texts of different lengths lie one after the other, without padding.
    Runs(&'a [usize]),
    /// A matrix `[queries, keys]`, the same for every head and sequence. A row of −∞ gives NaN, as in PyTorch.
    Additive(&'a [f32]),
    /// A matrix for each head, `[heads, queries, keys]`, the same for every sequence.
    PerHead(&'a [f32]),
    /// What the query says about its vertical and horizontal distance to the key; only in [`attention_windows`].
    Relative(&'a RelativePositions),
}
