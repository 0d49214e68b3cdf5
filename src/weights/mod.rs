//! Reading weights: model directories, safetensors files and PyTorch checkpoints, tensor lookup with clear errors.
//!
//! [`Bundle`] is a model as it is stored, [`Archive`] the index of its tensors, [`Scope`] a name prefix from
//! which a module binds its own, [`Config`] the settings beside them. Files are treated as hostile: every size
//! is checked before memory is allocated for it, and every fault has an error code and names its place. A
//! [`Review`] tells what of all this a model has not used.
//!
//! Weights are read when they are bound, through a buffer of bounded size, so that loading needs little more
//! memory than the model.
//!
//! **Unstable**: may change in any release, except for what the crate root re-exports.
#![forbid(unsafe_code)]

mod archive;
mod balance;
mod bundle;
pub mod config;
mod decode;
mod fingerprint;
mod header;
mod index;
pub mod json;
mod kind;
mod loading;
#[cfg(feature = "std")]
mod open;
mod prepacked;
mod review;
mod scope;
mod source;
mod strided;
mod table;
#[cfg(feature = "torch")]
mod torch;

pub mod quantized;

pub use archive::{Archive, TensorInfo};
pub use bundle::{Bundle, BundleParts, MAX_SIDE_FILE, SIDE_FILES, WEIGHT_FORMAT_KEY};
pub use config::Config;
pub use fingerprint::Fnv64;
pub use header::{MAX_HEADER, MAX_NAME, MAX_RANK, MAX_TENSORS};
pub use loading::Loading;
#[cfg(feature = "std")]
pub use open::OpenOptions;
#[cfg(feature = "std")]
pub use prepacked::Recorded;
pub use prepacked::{PACKED_KEY, PACKED_VERSION};
pub use review::Review;
pub use safetensors::Dtype;
pub use scope::Scope;
pub use table::Table;
