//! From tensors as a pickle describes them to entries of an index: names, sizes and places are checked here.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use super::state_dict::Model;
use super::value::{Heap, Id, Node, Storage, Tensor};
use crate::error::{Result, err};
use crate::exec::{check_memory, try_with_capacity};
use crate::weights::header::{self, Entry, MAX_TENSORS};
use crate::weights::index::Index;
use crate::weights::json::quoted;

/// What tensors may take together, shared bytes counted each time: that many times the file, and bytes beyond.
/// Loading allocates what tensors claim, and a view of one element may claim any size.
const MAX_SHARING: u64 = 4;
const MAX_SHARED: u64 = 64 << 20;

/// The index of `model`, whose file has `file` bytes. `range` says where the bytes of a storage are.
pub(super) fn index<'p>(
    heap: &Heap<'p>,
    model: Model,
    file: u64,
    range: impl Fn(&Storage<'p>) -> Result<Range<u64>>,
) -> Result<Index> {
    if model.tensors.len() > MAX_TENSORS {
        return Err(err!(Limit, "more than {MAX_TENSORS} tensors"));
    }
    let mut tensors = try_with_capacity(model.tensors.len())?;
    let mut total: u64 = 0;
    for (name, id) in model.tensors {
        check_memory()?;
        header::check_name(&name)?;
        let what = quoted(&name);
        let entry =
            entry(heap, name, id, &range).map_err(|error| error.within(format_args!("tensor {what}")))?;
        total = total.saturating_add(entry.end - entry.begin);
        tensors.push(entry);
    }
    if total > file.saturating_mul(MAX_SHARING).saturating_add(MAX_SHARED) {
        return Err(err!(
            Limit,
            "tensors of {total} bytes in a file of {file}: too many share the same bytes"
        ));
    }
    tensors.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    if let Some(pair) = tensors.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(err!(Format, "tensor {} is there twice", quoted(&pair[0].name)));
    }
    Ok(Index { tensors, notes: model.notes, ..Index::default() })
}

fn entry<'p>(
    heap: &Heap<'p>,
    name: String,
    id: Id,
    range: &impl Fn(&Storage<'p>) -> Result<Range<u64>>,
) -> Result<Entry> {
    let tensor = match heap.get(id) {
        Node::Tensor(tensor) => tensor,
        node => {
            let kind = if let Node::Unusable(kind) = node { kind } else { "no tensor" };
            return Err(err!(Unsupported, "{kind}, which is not read"));
        }
    };
    let Node::Storage(storage) = heap.get(tensor.storage) else {
        return Err(err!(Format, "no storage"));
    };
    let stored = elements(storage, &range(storage)?)?;
    let (shape, count) = header::dims(&tensor.shape)?;
    let size = tensor.dtype.bitsize() as u64 / 8;
    let bytes = (count as u64).checked_mul(size);
    let bytes = bytes.ok_or_else(|| err!(Limit, "{shape:?}: the number of bytes overflows"))?;
    let strides = strides(tensor, &shape, count)?;
    // The last element's end, from the first one's beginning.
    let extent = match &strides {
        None => Some(bytes),
        Some(strides) => (shape.iter().zip(strides))
            .try_fold(1, |sum: u64, (&dim, &stride)| sum.checked_add((dim as u64 - 1).checked_mul(stride)?))
            .and_then(|extent| extent.checked_mul(size)),
    };
    let begin = tensor.offset.checked_mul(size).and_then(|offset| offset.checked_add(stored.start));
    let end = begin.zip(extent).and_then(|(begin, extent)| begin.checked_add(extent));
    let Some((begin, _)) = begin.zip(end.filter(|&end| end <= stored.end)) else {
        return Err(err!(
            Format,
            "{} {shape:?} with strides {:?} from element {} on leaves its storage of {} bytes",
            tensor.dtype,
            tensor.strides,
            tensor.offset,
            stored.end - stored.start
        ));
    };
    // Cannot overflow for dense tensors; an expanded one may claim more than there is.
    let end =
        begin.checked_add(bytes).ok_or_else(|| err!(Limit, "{shape:?}: the number of bytes overflows"))?;
    Ok(Entry { name, dtype: tensor.dtype, shape, begin, end, strides })
}

/// The bytes of a storage, or of the view of it that is meant, at `range` of the file.
fn elements(storage: &Storage<'_>, range: &Range<u64>) -> Result<Range<u64>> {
    let Storage { key, dtype, count, view } = *storage;
    let size = dtype.bitsize() as u64 / 8;
    let available = range.end - range.start;
    if let Some((first, len)) = view {
        let start = first.checked_mul(size);
        let end =
            first.checked_add(len).and_then(|end| end.checked_mul(size)).filter(|&end| end <= available);
        return start.zip(end).map(|(start, end)| range.start + start..range.start + end).ok_or_else(|| {
            err!(Format, "a view of {len} elements from {first} on leaves storage {}", quoted(key))
        });
    }
    if count.checked_mul(size) != Some(available) {
        return Err(err!(
            Format,
            "storage {} of {count} elements of type {dtype}, but it has {available} bytes",
            quoted(key)
        ));
    }
    Ok(range.clone())
}

/// The tensor's strides, unless it is dense.
fn strides(tensor: &Tensor, shape: &[usize], count: usize) -> Result<Option<Vec<u64>>> {
    if tensor.strides.len() != shape.len() {
        return Err(err!(Format, "{shape:?} with {} strides", tensor.strides.len()));
    }
    // Elements of an empty tensor are nowhere, and the stride of a dimension of one is never used.
    let mut dense = 1;
    let mut is_dense = true;
    let mut axes: Vec<(u64, u64)> = Vec::new();
    for (&dim, &stride) in shape.iter().zip(&tensor.strides).rev() {
        if dim > 1 {
            is_dense &= stride == dense;
            axes.push((stride, dim as u64));
        }
        dense = dense.saturating_mul(dim as u64);
    }
    if is_dense || count == 0 {
        return Ok(None);
    }
    // Nested: the steps of a stride lie beyond everything that the smaller ones reach.
    axes.sort_unstable();
    let mut reach: u64 = 1;
    for &(stride, dim) in axes.iter().filter(|(stride, _)| *stride > 0) {
        if stride < reach {
            return Err(err!(Unsupported, "{shape:?} with strides {:?}, which overlap", tensor.strides));
        }
        reach = stride.saturating_mul(dim - 1).saturating_add(reach);
    }
    Ok(Some(tensor.strides.clone()))
}
