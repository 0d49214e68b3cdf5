//! Matrix multiplication with weights packed at load.
//!
//! `out = act(lhs · weightsᵀ + bias)` with `lhs: [M, K]` and `weights: [N, K]`, the layout in which checkpoints
//! store linear layers. Following BLIS (Van Zee and van de Geijn, 2015), the product is cut into tiles of
//! `mr × nr` outputs whose accumulators stay in registers for the whole of `K`:
//!
//! - the weights are packed once, at load, into panels `[N / nr][K][nr]` ([`PackedMatrix`]);
//! - `lhs` is packed on the fly, a block of rows that fits the L2 cache at a time, by whatever implements [`Lhs`]:
//!   plain rows here, pixels under a sliding kernel in [`conv`](super::conv);
//! - a tile starts from the bias, and its activation and its way to memory ([`Output`]) are applied while it is
//!   still in the L1 cache.
//!
//! Each output is one chain of multiply-adds over `K`, in order, whatever the tile it falls in. Results are
//! therefore bit-identical for any number of threads and rows.

mod driver;
mod lhs;
mod output;
mod packed;
#[cfg(test)]
mod tests;
mod tile;

pub use driver::{gemm, scratch_len};
pub use lhs::{Lhs, RowWriter, Rows};
pub use output::Output;
pub use packed::{Format, PackedMatrix};
pub use tile::GemmKernel;
pub(crate) use tile::{CHUNK, MAX_MR, MAX_NR, TileArgs};
