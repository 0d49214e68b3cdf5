//! Which of a checkpoint's tensors are the model's, and their names.
//!
//! A dictionary of tensors is the model. If it is wrapped, as training scripts do, then of the entries that are
//! dictionaries of tensors the first of [`WRAPPERS`] is taken, or else the one with the most tensors; entries with
//! other tensors are left aside with a note, and everything without tensors in silence. A wrapper may lie in a
//! wrapper. Objects of TorchScript are walked: `attribute.attribute.name`, as their `state_dict()` names them.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::value::{Heap, Id, Node, Value};
use crate::error::{Result, err};
use crate::exec::{TryGrow, check_memory};
use crate::weights::header::{MAX_NAME, MAX_TENSORS};
use crate::weights::json::quoted;

/// Keys under which training scripts keep the model, the likeliest first; averaged weights come after the plain.
const WRAPPERS: [&str; 16] = [
    "state_dict",
    "model_state_dict",
    "model",
    "module",
    "net",
    "network",
    "model_state",
    "weights",
    "params",
    "checkpoint",
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema",
    "params_ema",
    "teacher",
];
/// Wrappers in one another at most.
const MAX_WRAPPERS: usize = 4;
/// Attributes of TorchScript modules that are looked at, at most: modules may share parts.
const MAX_ATTRIBUTES: usize = 1 << 18;
/// Names in a note at most.
const MAX_LISTED: usize = 4;

/// A model's tensors by name, and notes on how they were found.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) tensors: Vec<(String, Id)>,
    pub(super) notes: Vec<String>,
}

/// Whether the TorchScript class `(module, name)` has `attribute` in its state.
pub(super) type Declared<'f> = dyn FnMut(&str, &str, &str) -> bool + 'f;

/// Finds the model in `root`.
pub(super) fn find<'p>(heap: &Heap<'p>, root: Value<'p>, declared: &mut Declared<'_>) -> Result<Model> {
    let model = match (root, heap.node(root)) {
        (Value::Node(id), Some(Node::Module { .. })) => script(heap, id, declared)?,
        (Value::Node(id), Some(Node::Dict(_))) => dictionary(heap, id)?,
        _ => {
            return Err(err!(
                Unsupported,
                "a checkpoint of {}, not of a model's tensors",
                heap.describe(root)
            ));
        }
    };
    if model.tensors.is_empty() {
        return Err(err!(Unsupported, "a checkpoint without tensors"));
    }
    Ok(model)
}

type Entry<'p> = (Value<'p>, Value<'p>);

fn entries<'h, 'p>(heap: &'h Heap<'p>, id: Id) -> &'h [Entry<'p>] {
    heap.dict(Value::Node(id)).unwrap_or_default()
}

/// The text keys of dictionaries among `entries`.
fn dictionaries<'h, 'p>(
    heap: &'h Heap<'p>,
    entries: &'h [Entry<'p>],
) -> impl Iterator<Item = (&'p str, Id)> + 'h {
    entries.iter().filter_map(|&(key, value)| match (key, value) {
        (Value::Text(key), Value::Node(id)) if matches!(heap.get(id), Node::Dict(_)) => Some((key, id)),
        _ => None,
    })
}

/// How many tensors a dictionary holds itself, counted once for each dictionary.
#[derive(Default)]
struct Counts(BTreeMap<Id, usize>);

impl Counts {
    fn of(&mut self, heap: &Heap<'_>, id: Id) -> usize {
        let count = |&(key, value): &Entry<'_>| matches!(key, Value::Text(_)) && heap.is_tensor(value);
        *self.0.entry(id).or_insert_with(|| entries(heap, id).iter().filter(|entry| count(entry)).count())
    }
}

/// The first of [`WRAPPERS`] among `candidates`.
fn named<'p>(candidates: &[(&'p str, Id)]) -> Option<(&'p str, Id)> {
    WRAPPERS.iter().find_map(|wrapper| candidates.iter().find(|(key, _)| key == wrapper).copied())
}

fn dictionary(heap: &Heap<'_>, root: Id) -> Result<Model> {
    let mut counts = Counts::default();
    let mut notes = Vec::new();
    let mut current = root;
    let mut path = String::new();
    for _ in 0..=MAX_WRAPPERS {
        let all: Vec<(&str, Id)> = dictionaries(heap, entries(heap, current)).collect();
        let full: Vec<(&str, Id)> = all.iter().filter(|(_, id)| counts.of(heap, *id) > 0).copied().collect();
        let own = counts.of(heap, current);
        let mut largest = || full.iter().rev().max_by_key(|(_, id)| counts.of(heap, *id)).copied();
        if let Some((key, id)) = named(&full).or_else(|| if own == 0 { largest() } else { None }) {
            path.push_str(key);
            let mut aside: Vec<&str> =
                full.iter().map(|(key, _)| *key).filter(|other| *other != key).collect();
            aside.extend(entries(heap, current).iter().filter_map(|&(key, value)| match key {
                Value::Text(key) if is_more_than_a_number(heap, value) => Some(key),
                _ => None,
            }));
            if !aside.is_empty() {
                notes.push(format!("the model is {}; {} left aside", quoted(&path), list(&aside)));
            }
            current = id;
            break;
        }
        if own > 0 {
            break;
        }
        // No tensors here nor one level down.
        let Some((key, id)) = named(&all).or_else(|| all.first().copied().filter(|_| all.len() == 1)) else {
            break;
        };
        path.push_str(key);
        path.push('.');
        current = id;
    }
    let mut tensors = Vec::new();
    let mut aside = Vec::new();
    for &(key, value) in entries(heap, current) {
        match (key, value) {
            (Value::Text(key), Value::Node(id)) if heap.is_tensor(value) => tensors.push((key.into(), id)),
            (Value::Text(key), value) if is_beside_tensors(key, value) => (),
            (Value::Text(key), _) => aside.push(key),
            _ => aside.push("(a key that is no text)"),
        }
    }
    if !aside.is_empty() {
        notes.push(format!("{} left aside: no tensors", list(&aside)));
    }
    Ok(Model { tensors, notes })
}

/// Whether an entry of a state dict that is no tensor may go without saying: nothing, or what modules keep beside
/// their tensors.
fn is_beside_tensors(key: &str, value: Value<'_>) -> bool {
    value == Value::None || key == "_metadata" || key.ends_with("_extra_state")
}

fn is_more_than_a_number(heap: &Heap<'_>, value: Value<'_>) -> bool {
    match heap.node(value) {
        Some(Node::Tensor(tensor)) => tensor.shape.iter().any(|&dim| dim > 1),
        Some(Node::Unusable(_)) => true,
        _ => false,
    }
}

/// `"a", "b" and 3 more`
fn list(names: &[&str]) -> String {
    let (listed, more) = names.split_at(names.len().min(MAX_LISTED));
    let listed: Vec<String> = listed.iter().map(|name| quoted(name)).collect();
    match more.len() {
        0 => listed.join(", "),
        more => format!("{} and {more} more", listed.join(", ")),
    }
}

/// A module on the way from the root to the current one.
struct Frame {
    module: Id,
    next: usize,
    /// Bytes of the path before its attributes' names.
    prefix: usize,
}

fn script(heap: &Heap<'_>, root: Id, declared: &mut Declared<'_>) -> Result<Model> {
    let mut model = Model::default();
    let mut path = String::new();
    let mut frames = Vec::from([Frame { module: root, next: 0, prefix: 0 }]);
    let mut attributes = 0;
    while let Some(Frame { module, next, prefix }) = frames.last_mut() {
        path.truncate(*prefix);
        let Node::Module { class, attributes: Some(state) } = heap.get(*module) else {
            frames.pop();
            continue;
        };
        let Some(&(key, value)) = entries(heap, *state).get(*next) else {
            frames.pop();
            continue;
        };
        *next += 1;
        attributes += 1;
        if attributes > MAX_ATTRIBUTES {
            return Err(err!(Limit, "modules of more than {MAX_ATTRIBUTES} attributes"));
        }
        let (Value::Text(key), Value::Node(id)) = (key, value) else { continue };
        match heap.get(id) {
            Node::Module { .. } => {
                path.push_str(key);
                path.push('.');
                if path.len() > MAX_NAME {
                    return Err(err!(
                        Limit,
                        "module {}: a name of more than {MAX_NAME} bytes",
                        quoted(&path)
                    ));
                }
                let prefix = path.len();
                frames.push(Frame { module: id, next: 0, prefix });
            }
            Node::Tensor(_) | Node::Unusable(_) => {
                let is_state = match heap.get(*class) {
                    Node::Class { module, name } => declared(module, name, key),
                    _ => true,
                };
                if is_state {
                    if model.tensors.len() == MAX_TENSORS {
                        return Err(err!(Limit, "more than {MAX_TENSORS} tensors"));
                    }
                    check_memory()?;
                    model.tensors.try_push((format!("{path}{key}"), id))?;
                }
            }
            // Flags, sizes, lists: not in a state_dict() either.
            _ => (),
        }
    }
    Ok(model)
}
