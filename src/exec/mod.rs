//! Execution: the context (level and threads), `parallel_for`, scratch memory.
//!
//! **Unstable**: may change in any release, except for what the crate root re-exports.

mod cx;
mod fallible;
mod float_env;
mod fork_lock;
mod limits;
mod lines;
#[cfg(feature = "std")]
mod map;
mod monitor;
mod pages;
#[cfg(feature = "parallel")]
mod pool;
mod profile;
mod reserve;
mod scratch;
mod set_once;
mod shared;
#[cfg(any(feature = "parallel", feature = "capi"))]
pub(crate) mod sync;
#[cfg(feature = "parallel")]
mod team;
mod watch;
#[cfg(feature = "parallel")]
mod worker;

pub use cx::{Cx, CxOptions, Runner, WorkspaceGuard};
pub(crate) use fallible::{
    TryCollect, TryGrow, TryGrowText, try_copied, try_filled, try_string, try_string_with_capacity,
    try_with_capacity, try_zeroed,
};
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
pub use reserve::WithReserve;
pub(crate) use reserve::{MAX_SMALL, check as check_memory, out_of_memory};
pub use scratch::{AlignedVec, Scratch, ScratchReq, Workspace};
pub(crate) use set_once::SetOnce;
pub use shared::SharedMut;
#[cfg(all(feature = "parallel", feature = "capi"))]
pub(crate) use worker::is_worker;
