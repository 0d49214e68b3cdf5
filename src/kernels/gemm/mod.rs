//! Matrix multiplication with weights packed at load.
//!
//! `out = act(lhs · weightsᵀ + bias)` with `lhs: [M, K]` and `weights: [N, K]`, the layout in which checkpoints
//! store linear layers. Following BLIS (Van Zee and van de Geijn, 2015), the product is cut into tiles of
//! `mr × nr` outputs whose accumulators stay in registers:
//!
//! - the weights are packed once, at load, into panels `[N / nr][K][nr]` ([`PackedWeights`]), in a [`WeightFormat`];
//! - `lhs` is packed on the fly, a block of rows that fits the L2 cache at a time, by whatever implements [`Lhs`]:
//!   plain rows here, pixels under a sliding kernel in [`conv`](super::conv);
//! - a panel meets all tiles of a block of rows, in blocks of `K` that stay in a near cache, while the tiles ask for the
//!   weights that come next;
//! - a tile starts from the bias or from the sums of the block of `K` before it, and its activation and its way to memory
//!   ([`Destination`]) are applied while it is still in the L1 cache.
//!
//! Each output is one chain of multiply-adds over `K`, in order, whatever the tile and the block it falls in. Results are
//! therefore bit-identical for any number of threads and rows and any size of the caches.
//!
//! [`WeightKernel::of`] is the table of kernels, by level and format. Products of activations, in attention and in the mask
//! decoder, use the f32 tiles ([`F32Kernel`]) directly, or those of bfloat16 (`tiles`).
//!
//! # Soundness
//!
//! A tile kernel reads a panel and packed rows to their ends and writes whole tiles. [`PackedWeights`] has the kernel
//! that packed it, and its parts have the lengths that this kernel reads, checked when they come from a file; [`gemm`]
//! refuses another level. Rows of a block are cut by `Blocking`, whose buffers are exact. A tile
//! goes to its place only if all of its columns are there; otherwise it goes through a buffer, and its runs are copied
//! with checks. Rows of the destination are `stride` apart, at least `N`, so that tiles are disjoint, and its length is
//! checked without wrapping. Groups ([`grouped`]) are of one shape, and each writes columns of its own.
//!
//! A kernel is found only for instructions that were detected: [`WeightKernel`] cannot be made elsewhere. A pass of AMX
//! ends on the lane that began it, also by a panic, and calls nothing from outside in between.
//!
//! Tests: `gemm::every_tile_height_and_tail`, `gemm::strided_rows_stored_and_added_with_every_activation`,
//! `gemm::scatter_to_heads`, `gemm::groups_are_products_of_their_own`, `gemm::an_output_too_short_panics`, `gemm::an_output_whose_length_overflows_panics`.

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod amx;
#[cfg(any(
    test,
    all(target_arch = "x86_64", target_feature = "sse2"),
    all(target_arch = "aarch64", target_feature = "neon")
))]
mod bf16;
mod blocking;
mod decoded;
mod destination;
mod dots;
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
mod dots_neon;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod dots_x86;
mod driver;
mod format;
mod grouped;
mod int8;
mod kernel;
mod lhs;
mod paired;
mod panels;
#[cfg(test)]
mod tests;
mod tile_f32;
mod tiles;
mod weights;

/// What is stored of quantised weights.
pub(crate) mod quantised {
    pub(crate) use super::decoded::{Q4_GROUP, Q4Group};
    pub(crate) use super::int8::{quantised_weight, weight_scale};
}

pub(crate) use decoded::{bf16_pairs, bf16_pairs_of_numbers};
pub use destination::Destination;
pub(crate) use dots::{DotWork, Dots};
pub use driver::{gemm, scratch_req};
pub(crate) use driver::{gemm_on_lane, lane_scratch_req};
pub use format::{Packing, WeightFormat};
pub use grouped::{grouped, grouped_scratch_req};
pub use kernel::WeightKernel;
pub(crate) use kernel::{CHUNK, MAX_MR, MAX_NR, TileArgs};
pub use lhs::{Lhs, RowWriter, Rows};
pub(crate) use paired::{Paired, pair_up, takes_pairs};
pub use panels::PackedPanels;
pub use tile_f32::F32Kernel;
pub(crate) use tiles::{PAIRS, Tiles, pair, pairs};
pub use weights::PackedWeights;
