//! Execution: the context (level and threads), `parallel_for`, scratch memory.
//!
//! **Unstable**: may change in any release, except for what the crate root re-exports.

mod cx;
#[cfg(feature = "std")]
mod map;
mod monitor;
#[cfg(feature = "parallel")]
mod pool;
mod scratch;
mod shared;
#[cfg(feature = "parallel")]
mod team;

pub use cx::{Cx, CxOptions, Runner, WorkspaceGuard};
#[cfg(feature = "std")]
pub use map::MappedFile;
pub use monitor::Monitor;
pub(crate) use scratch::try_zeroed;
pub use scratch::{AlignedVec, Scratch, Workspace, padded};
pub use shared::SharedMut;
