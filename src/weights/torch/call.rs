//! What calling a global of the list gives: `REDUCE`, `NEWOBJ` and persistent ids. Nothing is run.

use alloc::boxed::Box;
use alloc::vec::Vec;

use safetensors::Dtype;

use super::globals::Global;
use super::value::{Heap, Id, Node, Storage, Tensor, Value};
use crate::error::{Result, err};
use crate::exec::TryCollect;
use crate::weights::header::MAX_RANK;

/// Arguments that matter, at most. More are dropped unread: one tuple may be the arguments of many calls.
const MAX_ARGUMENTS: usize = 8;

fn arguments<'p>(heap: &Heap<'p>, args: Value<'p>) -> Option<Vec<Value<'p>>> {
    heap.items(args).map(|args| args.iter().take(MAX_ARGUMENTS).copied().collect())
}

/// The object that `global(*args)` is.
pub(super) fn call<'p>(heap: &mut Heap<'p>, mut global: Global, args: Value<'p>) -> Result<Value<'p>> {
    let mut args = arguments(heap, args)
        .ok_or_else(|| err!(Format, "a call with {} for arguments", heap.describe(args)))?;
    if global == Global::RebuildFromType {
        // (function, class, its arguments, attributes)
        let inner = args.get(2).and_then(|&args| arguments(heap, args));
        let (Some(&Value::Global(function)), Some(inner)) = (args.first(), inner) else {
            return Err(err!(Format, "a rebuilt tensor without a function and arguments"));
        };
        if function == Global::RebuildFromType {
            return Err(err!(Format, "a rebuilt tensor of a rebuilt tensor"));
        }
        (global, args) = (function, inner);
    }
    match global {
        Global::Dict => dict(heap, &args),
        Global::RebuildTensor | Global::RebuildTensorV2 | Global::RebuildTensorV3 => {
            tensor(heap, global, &args)
        }
        Global::Parameter => match args.first() {
            Some(&value) if heap.is_tensor(value) => Ok(value),
            _ => Err(err!(Format, "a parameter without a tensor")),
        },
        Global::RebuildUnusable(kind) => heap.add(Node::Unusable(kind)),
        Global::Size => {
            Ok(args.first().copied().filter(|&size| heap.items(size).is_some()).unwrap_or(Value::Opaque))
        }
        Global::Opaque => Ok(Value::Opaque),
        Global::RebuildFromType | Global::Storage(_) | Global::UntypedStorage | Global::Dtype(_) => {
            Err(err!(Format, "a call of what is no function"))
        }
    }
}

/// A dictionary, empty or of a list of pairs. `defaultdict`'s argument makes values, not entries.
fn dict<'p>(heap: &mut Heap<'p>, args: &[Value<'p>]) -> Result<Value<'p>> {
    let pairs = args.first().and_then(|&pairs| heap.items(pairs)).unwrap_or_default();
    let pair = |&pair: &Value<'p>| match heap.items(pair) {
        Some(&[key, value]) => Some((key, value)),
        _ => None,
    };
    let entries = pairs.iter().filter_map(pair).try_to_vec()?;
    // They are copied, and may be again.
    heap.count(pairs.len())?;
    heap.add(Node::Dict(entries))
}

/// `(storage, offset, size, stride, requires_grad, hooks, dtype | metadata, …)`
fn tensor<'p>(heap: &mut Heap<'p>, global: Global, args: &[Value<'p>]) -> Result<Value<'p>> {
    let &[storage, offset, size, stride, ref rest @ ..] = args else {
        return Err(err!(Format, "a tensor of {} arguments, at least 4 are needed", args.len()));
    };
    let (id, stored) = match storage {
        Value::Opaque => return heap.add(Node::Unusable("a quantized or complex tensor")),
        Value::Node(id) => match heap.get(id) {
            Node::Storage(stored) => (id, stored.dtype),
            Node::Unusable(kind) => {
                let kind = *kind;
                return heap.add(Node::Unusable(kind));
            }
            _ => return Err(err!(Format, "a tensor of {}", heap.describe(storage))),
        },
        _ => return Err(err!(Format, "a tensor of {}", heap.describe(storage))),
    };
    let (dtype, metadata) = match (global, rest) {
        (Global::RebuildTensorV3, [_, _, Value::Global(Global::Dtype(dtype)), metadata @ ..]) => {
            (*dtype, metadata)
        }
        (Global::RebuildTensorV3, [_, _, Value::Global(Global::Opaque), ..]) => {
            return heap.add(Node::Unusable("a quantized or complex tensor"));
        }
        (Global::RebuildTensorV3, _) => return Err(err!(Format, "a tensor without a data type")),
        (Global::RebuildTensorV2, [_, _, metadata @ ..]) => (stored, metadata),
        _ => (stored, &[][..]),
    };
    // A view whose values are the negative or the conjugate of what is stored.
    let lazy = metadata.first().and_then(|&metadata| heap.dict(metadata)).unwrap_or_default();
    if lazy.len() > MAX_ARGUMENTS || lazy.iter().any(|(_, value)| *value == Value::Bool(true)) {
        return heap.add(Node::Unusable("a tensor whose sign or conjugation is applied later"));
    }
    let shape = unsigned_all(heap, size, "size")?;
    let strides = unsigned_all(heap, stride, "stride")?;
    let offset =
        unsigned(offset).ok_or_else(|| err!(Format, "a tensor's offset is not an integer from 0 on"))?;
    heap.add(Node::Tensor(Box::new(Tensor { storage: id, dtype, offset, shape, strides })))
}

fn unsigned(value: Value<'_>) -> Option<u64> {
    match value {
        Value::Int(int) => int.try_into().ok(),
        _ => None,
    }
}

fn unsigned_all<'p>(heap: &Heap<'p>, value: Value<'p>, what: &str) -> Result<Vec<u64>> {
    let items =
        heap.items(value).ok_or_else(|| err!(Format, "a tensor's {what} is {}", heap.describe(value)))?;
    if items.len() > MAX_RANK {
        return Err(err!(Limit, "a tensor of {} dimensions, at most {MAX_RANK} are read", items.len()));
    }
    let int = |&item: &Value<'p>| {
        unsigned(item).ok_or_else(|| err!(Format, "a tensor's {what} has {}", wrong(heap, item)))
    };
    items.iter().map(int).collect()
}

fn wrong<'p>(heap: &Heap<'p>, value: Value<'p>) -> alloc::string::String {
    match value {
        Value::Int(int) => alloc::format!("{int}"),
        _ => heap.describe(value).into(),
    }
}

/// The storage of a persistent id `("storage", class, key, device, count)`, and in old files a view or None.
pub(super) fn storage<'p>(heap: &mut Heap<'p>, id: Value<'p>) -> Result<Value<'p>> {
    let Some(&[Value::Text("storage"), class, key, _, count, ref rest @ ..]) = heap.items(id) else {
        let module = heap.items(id).and_then(|items| items.first()) == Some(&Value::Text("module"));
        return Err(match module {
            true => err!(
                Unsupported,
                "a whole model with its code, not its weights: save its state_dict() instead"
            ),
            false => err!(Format, "a persistent id that is no storage"),
        });
    };
    let dtype = match class {
        Value::Global(Global::Storage(dtype)) => dtype,
        Value::Global(Global::UntypedStorage) => Dtype::U8,
        Value::Global(Global::Opaque) => return Ok(Value::Opaque),
        _ => return Err(err!(Format, "a storage of {}", heap.describe(class))),
    };
    let (Value::Text(key), Some(count)) = (key, unsigned(count)) else {
        return Err(err!(Format, "a storage without key and size"));
    };
    let view = match rest.first() {
        None | Some(Value::None) => None,
        Some(&view) => match heap.items(view) {
            Some(&[_, start, len]) => unsigned(start).zip(unsigned(len)),
            _ => None,
        }
        .ok_or_else(|| err!(Format, "a storage's view is not (key, start, size)"))
        .map(Some)?,
    };
    heap.add(Node::Storage(Box::new(Storage { key, dtype, count, view })))
}

/// The object that BUILD gives `object` by `state`, as far as it matters: the attributes of TorchScript modules.
/// Those of dictionaries (`_metadata`) and tensors are dropped.
pub(super) fn build<'p>(heap: &mut Heap<'p>, object: Value<'p>, state: Value<'p>) -> Result<()> {
    let state: Option<Id> = match state {
        Value::Node(id) if matches!(heap.get(id), Node::Dict(_)) => Some(id),
        _ => None,
    };
    match object {
        Value::Opaque => return Ok(()),
        Value::Node(id) => match heap.get_mut(id) {
            Node::Module { attributes, .. } => {
                *attributes = state;
                return Ok(());
            }
            Node::Dict(_) | Node::Tensor(_) | Node::Unusable(_) => return Ok(()),
            _ => (),
        },
        _ => (),
    }
    Err(err!(Format, "attributes for {}", heap.describe(object)))
}
