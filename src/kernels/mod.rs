//! Kernels: slices in, slices out.
//!
//! **Unstable**: may change in any release. Public so that it can be measured and reused.
//!
//! # Soundness
//!
//! Every public function asserts that its slices have the lengths that its sizes say, before anything is read or
//! written. Products of sizes are checked (`len::len_of`): one that wrapped would make the assertion say nothing. What
//! vector loops touch follows from these lengths; loops that several kernels share assert theirs themselves. Outputs are
//! cut into pieces by the number of the task, and each task is done by one lane, so that no two lanes write the same
//! element.
//!
//! Closures and implementations of [`Lhs`](gemm::Lhs) that come from outside are called with slices and may return
//! anything or panic: sizes are asked once, or what they lead to is indexed with checks.
//!
//! Tests of every kernel run at every level with buffers between inaccessible pages, over all tails; `cargo miri test`
//! interprets those of the portable level.
//!
//! Tests: `len::shapes_whose_length_wraps_are_refused`, `len::kernels_refuse_outputs_whose_length_wraps`,
//! `softmax::every_tail`, `activation::every_tail`, `pool::every_tail`, `rotary::every_tail`, `channels::every_tail`,
//! `convert::every_tail`, `layer_norm::every_tail`, `l2::every_tail`, `topk::every_tail`,
//! `interpolate::equals_the_formula_at_every_level`, `pillow::equals_the_formula_at_every_level`,
//! `upscale::equals_the_two_interpolations_at_every_level`.

pub mod activation;
pub mod attention;
pub mod channels;
pub mod conv;
pub mod convert;
pub mod feature_panels;
pub mod finite;
pub mod gemm;
mod len;
pub mod mask_decoder;
pub mod math;
pub mod norm;
pub mod pool;
pub mod resize;
pub mod rotary;
pub mod rotary_attention;
mod rows;
pub mod softmax;
pub mod topk;

#[cfg(test)]
pub(crate) mod testing;
