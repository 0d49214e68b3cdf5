//! The index of one weights file, whatever its format, which its first bytes tell: its name does not matter.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::header::{self, Entry, PREFIX};
use super::kind;
use super::source::Source;
use crate::error::{Result, err};
use crate::exec::try_zeroed;

/// What a weights file holds.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Offsets count from the start of the file.
    pub(super) tensors: Vec<Entry>,
    pub(super) metadata: BTreeMap<String, String>,
    /// What a user should know about how the file was read.
    pub(super) notes: Vec<String>,
}

/// Reads the index of `source`: a safetensors file or a PyTorch checkpoint.
///
/// # Errors
/// `Format`, `Limit`, `TensorDtype` for malformed weights, `Unsupported` for files of other kinds, `Io`.
pub(super) fn read(source: &Source<'_>) -> Result<Index> {
    if source.len() == 0 {
        return Err(err!(Format, "empty (0 bytes)"));
    }
    let mut start = [0; kind::START];
    let start = &mut start[..kind::START.min(usize::try_from(source.len()).unwrap_or(usize::MAX))];
    source.read(0, start)?;
    if !header::is_likely(start) {
        if is_torch(start) {
            return torch(source, start);
        }
        if let Some(what) = kind::instead_of_weights(start) {
            return Err(err!(Unsupported, "{what}"));
        }
    }
    safetensors(source, &start[..PREFIX.min(start.len())])
}

/// Whether the file starts as a zip archive or a pickle does.
fn is_torch(start: &[u8]) -> bool {
    // 0 is no opcode, but frequent in the length that a safetensors file starts with.
    start.starts_with(b"PK\x03\x04") || matches!(start, [0x80, 2..=5, 1..=255, ..])
}

#[cfg(feature = "torch")]
fn torch(source: &Source<'_>, start: &[u8]) -> Result<Index> {
    super::torch::read(source, start)
}

#[cfg(not(feature = "torch"))]
fn torch(_: &Source<'_>, _: &[u8]) -> Result<Index> {
    Err(err!(Unsupported, "a PyTorch checkpoint, as it seems; this build has no `torch` feature to read it"))
}

fn safetensors(source: &Source<'_>, prefix: &[u8]) -> Result<Index> {
    let mut json = try_zeroed(header::json_len(prefix, source.len())?)?;
    source.read(PREFIX as u64, &mut json)?;
    let data = (PREFIX + json.len()) as u64;
    let header = header::parse(&json, source.len() - data)?;
    let mut tensors = header.tensors;
    for entry in &mut tensors {
        entry.begin += data;
        entry.end += data;
    }
    Ok(Index { tensors, metadata: header.metadata, notes: Vec::new() })
}
