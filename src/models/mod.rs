//! Models, one file per box of the papers' figures.

pub mod clip;
