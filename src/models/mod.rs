//! Models, one file per box of the papers' figures.
#![forbid(unsafe_code)]

pub mod clip;
