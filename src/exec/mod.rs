//! Execution: the context (level and threads), `parallel_for`, scratch memory.
//!
//! **Unstable**: may change in any release, except for what the crate root re-exports.

mod cx;
mod float_env;
mod limits;
mod lines;
#[cfg(feature = "std")]
mod map;
mod monitor;
mod pages;
#[cfg(feature = "parallel")]
mod pool;
mod profile;
mod scratch;
mod set_once;
mod shared;
#[cfg(feature = "parallel")]
mod team;

pub use cx::{Cx, CxOptions, Runner, WorkspaceGuard};
#[cfg(any(test, feature = "capi"))]
pub(crate) use float_env::FloatEnv;
pub use limits::Limits;
pub use lines::Lines;
#[cfg(feature = "std")]
pub use map::{MappedFile, MappedPart, SteadyFiles};
pub use monitor::Monitor;
pub use profile::{KernelScope, Work};
#[cfg(feature = "std")]
pub use profile::{Profile, Span};
pub(crate) use scratch::try_zeroed;
pub use scratch::{AlignedVec, Scratch, ScratchReq, Workspace};
pub(crate) use set_once::SetOnce;
pub use shared::SharedMut;
