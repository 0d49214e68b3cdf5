//! The C ABI: what `include/vitrum.h` declares. `cargo run -p xtask -- header` writes that file from this module,
//! doc comments included, so that exported items are documented for a reader who sees only C.
//!
//! One file per C type. Every entry goes through `guard`, which turns errors and panics into statuses, and
//! every argument through `args`, which checks what can be checked. Results are computed in memory of the
//! library and copied to the caller at the end: what a failed call returns is untouched.
//!
//! # Soundness
//!
//! Functions here are called by C, which promises what `vitrum.h` asks: pointers that are NULL or valid, sizes that are
//! those of the memory, handles that were not freed. What can be checked is checked: NULL, sizes of structs, the kind
//! of a handle and that no other call uses it (`handle`), text, sizes of pictures against their memory (`args`). No
//! panic crosses the border (`guard`), and results are copied out at the end, within the size that the caller gave.
//!
//! Tests: `guard::a_panic_becomes_a_status_and_a_message`, `runner::every_task_is_done_once_whatever_the_host_does`,
//! `c_abi::misuse_is_reported`, `c_abi::handles_are_told_apart_and_used_one_call_at_a_time`; in every order that the memory
//! model allows: `handle_models::lent_while_a_thread_tries_to_read`, `handle_models::freed_while_it_is_read`.
#![allow(non_camel_case_types, reason = "types carry their C names")]
#![allow(clippy::missing_safety_doc, reason = "doc comments state each contract in the terms of C")]

mod args;
mod guard;
mod handle;
#[cfg(all(not(feature = "std"), panic = "abort"))]
mod no_std;

pub mod version;

pub mod status;

pub mod error;

pub mod allocator;

pub mod runner;

pub mod limits;

pub mod context;

pub mod file;

pub mod image;

pub mod progress;

pub mod polygon;

pub mod weights;

pub mod clip;

pub mod topk;

pub mod sam;

pub mod sam_embedding;

pub mod sam_prompt;

pub mod sam_prediction;

pub mod sam_everything;

pub mod sam_text;

pub mod tracker;

pub mod tracker_prompt;

pub mod tracker_mask;

pub mod tracker_propagate;

pub mod tracker_save;
