//! The safetensors header: a hostile file's claims, checked before any of them is used.
//!
//! A file is `N: u64 (little endian) ‖ N bytes of JSON ‖ data`. The JSON maps names to
//! `{"dtype", "shape", "data_offsets": [begin, end]}`, offsets counting from the start of the data, and
//! `__metadata__` to strings. Format: <https://github.com/huggingface/safetensors#format>.
//!
//! The `safetensors` crate supplies the data types. The header is read here, because the crate allows 100 MB of
//! it, keeps the last of repeated keys and ignores unknown ones.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use safetensors::Dtype;
use serde_json::{Map, Value};

use super::json::{self, Bounds, quoted};
use crate::error::{Result, err};
use crate::exec::{TryGrow, check_memory};

/// Bytes of a header at most. A model of a thousand tensors needs about 150 kB.
pub const MAX_HEADER: usize = 16 << 20;
/// Tensors in a model at most.
pub const MAX_TENSORS: usize = 65_536;
/// Dimensions of a tensor at most.
pub const MAX_RANK: usize = 8;
/// Bytes of a tensor's name at most.
pub const MAX_NAME: usize = 512;

/// Bytes before the JSON.
pub(super) const PREFIX: usize = 8;

/// Entries of a header at the limits: an object of objects of arrays.
const LIMITS: Bounds = Bounds { bytes: MAX_HEADER, depth: 3, nodes: 1 << 20 };

/// A header whose claims hold for its file.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) tensors: Vec<Entry>,
    pub(super) metadata: BTreeMap<String, String>,
}

/// One tensor. `begin..end` are bytes from the start of the header's data, later of the file.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    pub(super) begin: u64,
    pub(super) end: u64,
    /// Elements from one index to the next along each dimension, unless the tensor is dense. Places do not overlap,
    /// but all indices along a dimension of stride 0 are one place. `begin` is the first element; `end - begin` is
    /// what the tensor would take if it were dense.
    pub(super) strides: Option<Vec<u64>>,
}

/// Whether a file that starts with `start` can be safetensors: a length within the limit, and an object.
pub(super) fn is_likely(start: &[u8]) -> bool {
    start.split_first_chunk::<PREFIX>().is_some_and(|(len, json)| {
        u64::from_le_bytes(*len) <= MAX_HEADER as u64 && json.first() == Some(&b'{')
    })
}

/// The length of the JSON, from a file's first bytes (fewer than 8 if the file is shorter) and its length.
pub(super) fn json_len(prefix: &[u8], file_len: u64) -> Result<usize> {
    let prefix: [u8; PREFIX] = prefix
        .try_into()
        .map_err(|_| err!(Format, "{} bytes are too few for a safetensors file", prefix.len()))?;
    let claimed = u64::from_le_bytes(prefix);
    let len = usize::try_from(claimed).ok().filter(|&len| len <= MAX_HEADER).ok_or_else(|| {
        err!(Limit, "claims a header of {claimed} bytes, at most {MAX_HEADER} are read (is it safetensors?)")
    })?;
    let rest = file_len.saturating_sub(PREFIX as u64);
    if claimed > rest {
        return Err(err!(Format, "claims a header of {claimed} bytes, but {rest} follow"));
    }
    Ok(len)
}

/// Parses and checks the JSON of a file with `data_len` bytes of data.
///
/// # Errors
/// `Limit` beyond a limit, `TensorDtype` for an unknown data type, `Format` for everything else that is not
/// exactly the format: the tensors cover the data once, without holes, overlaps or a rest.
pub(super) fn parse(text: &[u8], data_len: u64) -> Result<Header> {
    if text.first() != Some(&b'{') {
        return Err(err!(Format, "the header is not a JSON object"));
    }
    let Value::Object(members) = json::parse(text, LIMITS).map_err(|error| error.within("header"))? else {
        return Err(err!(Format, "the header is not a JSON object"));
    };
    let mut header = Header { tensors: Vec::new(), metadata: BTreeMap::new() };
    for (name, value) in members {
        check_memory()?;
        if name == "__metadata__" {
            header.metadata = metadata(value)?;
        } else if header.tensors.len() == MAX_TENSORS {
            return Err(err!(Limit, "more than {MAX_TENSORS} tensors"));
        } else {
            check_name(&name)?;
            let what = quoted(&name);
            let entry = entry(name, value).map_err(|error| error.within(format_args!("tensor {what}")))?;
            header.tensors.try_push(entry)?;
        }
    }
    header.tensors.sort_unstable_by_key(|tensor| (tensor.begin, tensor.end));
    check_coverage(&header.tensors, data_len)?;
    Ok(header)
}

fn metadata(value: Value) -> Result<BTreeMap<String, String>> {
    // As the `safetensors` crate has it, null is none.
    if value.is_null() {
        return Ok(BTreeMap::new());
    }
    let Value::Object(members) = value else {
        return Err(err!(Format, "\"__metadata__\" is not an object"));
    };
    members
        .into_iter()
        .map(|(key, value)| match value {
            Value::String(value) => Ok((key, value)),
            _ => Err(err!(Format, "\"__metadata__\": {} is not a string", quoted(&key))),
        })
        .collect()
}

pub(super) fn check_name(name: &str) -> Result<()> {
    if name.len() > MAX_NAME {
        return Err(err!(
            Limit,
            "tensor {}: a name of {} bytes, at most {MAX_NAME} are read",
            quoted(name),
            name.len()
        ));
    }
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(err!(Format, "tensor {}: the name is empty or has control characters", quoted(name)));
    }
    Ok(())
}

/// Checks one tensor on its own: members, types, and that its bytes are what dtype and shape need.
fn entry(name: String, value: Value) -> Result<Entry> {
    let Value::Object(mut members) = value else {
        return Err(err!(Format, "not an object"));
    };
    let dtype = dtype(take(&mut members, "dtype")?)?;
    let shape = integers(take(&mut members, "shape")?, "shape")?;
    let offsets = integers(take(&mut members, "data_offsets")?, "data_offsets")?;
    if let Some(key) = members.keys().next() {
        return Err(err!(Format, "unknown member {}", quoted(key)));
    }
    let &[begin, end] = &offsets[..] else {
        return Err(err!(Format, "{} data_offsets, not two", offsets.len()));
    };
    let bytes = end
        .checked_sub(begin)
        .ok_or_else(|| err!(Format, "data_offsets [{begin}, {end}] end before they begin"))?;
    let (dims, elements) = dims(&shape)?;
    let bits = elements as u128 * dtype.bitsize() as u128;
    if bits != u128::from(bytes) * 8 {
        return Err(err!(
            Format,
            "{dtype} {shape:?} needs {bits} bits, but its data_offsets hold {bytes} bytes"
        ));
    }
    Ok(Entry { name, dtype, shape: dims, begin, end, strides: None })
}

/// The dimensions of a tensor of `shape`, and its number of elements.
pub(super) fn dims(shape: &[u64]) -> Result<(Vec<usize>, usize)> {
    if shape.len() > MAX_RANK {
        return Err(err!(Limit, "{} dimensions, at most {MAX_RANK} are read", shape.len()));
    }
    // Zeros are left out of the product, so that the verdict does not depend on where they stand.
    let dims: Option<Vec<usize>> = shape.iter().map(|&dim| usize::try_from(dim).ok()).collect();
    let product =
        |dims: &[usize]| dims.iter().filter(|&&dim| dim != 0).try_fold(1, |n: usize, &d| n.checked_mul(d));
    let Some((dims, product)) = dims.and_then(|dims| product(&dims).map(|product| (dims, product))) else {
        return Err(err!(Limit, "the product of shape {shape:?} overflows"));
    };
    let elements = if dims.contains(&0) { 0 } else { product };
    Ok((dims, elements))
}

fn take(members: &mut Map<String, Value>, key: &str) -> Result<Value> {
    members.remove(key).ok_or_else(|| err!(Format, "no {key}"))
}

fn dtype(value: Value) -> Result<Dtype> {
    let Value::String(name) = &value else {
        return Err(err!(Format, "dtype is not a string"));
    };
    let name = quoted(name);
    serde_json::from_value(value).map_err(|_| err!(TensorDtype, "unknown dtype {name}"))
}

/// An array of integers in u64: not negative, without fraction or exponent, not in quotes.
fn integers(value: Value, key: &str) -> Result<Vec<u64>> {
    let Value::Array(items) = value else {
        return Err(err!(Format, "{key} is not an array"));
    };
    let integer = |item: &Value| {
        item.as_u64().ok_or_else(|| {
            err!(
                Format,
                "{key}: {} is not an unsigned 64-bit integer",
                json::brief(&alloc::format!("{item}"))
            )
        })
    };
    items.iter().map(integer).collect()
}

/// Checks that tensors sorted by offset cover `0..data_len` exactly once.
fn check_coverage(tensors: &[Entry], data_len: u64) -> Result<()> {
    let mut covered = 0;
    for Entry { name, begin, end, .. } in tensors {
        if *begin != covered {
            let fault =
                if *begin < covered { "overlap the tensor before it" } else { "leave a hole before it" };
            return Err(err!(Format, "tensor {}: data_offsets [{begin}, {end}] {fault}", quoted(name)));
        }
        covered = *end;
    }
    if covered != data_len {
        return Err(err!(Format, "the tensors take {covered} bytes, but the file has {data_len}"));
    }
    Ok(())
}
