//! Convolutions on the matrix multiplication: a left-hand side packs pixels on demand, so that the matrix of
//! patches (im2col) never exists as a whole.

mod patches;

pub use patches::Patches;
