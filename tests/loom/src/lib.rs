//! The library's own files that share memory between threads without locks, compiled with the model checker's atomics: a model
//! runs once for every order of its threads' steps, and every value that a load may see by the C11 memory model.
//! `.ci/sanitizers orders` runs them.
//!
//! A cell of the model checker fails a model in which two threads use it, one of them to write, without an order between them.

#![cfg(test)]

extern crate alloc;

#[allow(dead_code, reason = "a few lines of it are used here")]
#[path = "../../../src/error.rs"]
mod error;

pub(crate) use error::Error;

mod exec {
    pub(crate) mod sync;
    #[path = "../../../../src/exec/team.rs"]
    mod team;
    mod team_models;
}

mod ffi {
    mod args;
    #[allow(dead_code, reason = "as above")]
    #[path = "../../../../src/ffi/handle.rs"]
    mod handle;
    mod handle_models;
}

/// Checks `body` in every order of at most `switches` forced changes from one thread to another, in all if `None`.
fn model(switches: Option<usize>, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = switches;
    builder.check(body);
}
