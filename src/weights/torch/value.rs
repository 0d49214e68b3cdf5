//! The objects that a pickle builds, in an arena: dropping them needs no recursion, cycles do no harm.

use alloc::boxed::Box;
use alloc::vec::Vec;

use safetensors::Dtype;

use super::globals::Global;
use crate::error::{Result, err};
use crate::exec::{TryGrow, check_memory};

/// Values that a pickle may push on the stack, all of them together. A thousand tensors need about 20,000.
pub(super) const MAX_VALUES: usize = 1 << 20;

/// A Python object; those with parts are in the [`Heap`]. Texts borrow from the pickle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'p> {
    None,
    Bool(bool),
    Int(i64),
    Text(&'p str),
    Global(Global),
    Node(Id),
    /// The number with which files of the legacy format begin.
    Magic,
    /// Data that no tensor needs: floats, bytes, sets, objects of the list's classes.
    Opaque,
}

/// Where a node is in its heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(u32);

/// An object with parts.
#[derive(Debug)]
pub(super) enum Node<'p> {
    Tuple(Vec<Value<'p>>),
    List(Vec<Value<'p>>),
    /// Any kind of dictionary, in the order of its making, repeated keys included.
    Dict(Vec<(Value<'p>, Value<'p>)>),
    Storage(Box<Storage<'p>>),
    Tensor(Box<Tensor>),
    /// A tensor of a kind that is not read, and which.
    Unusable(&'static str),
    /// A class of TorchScript.
    Class {
        module: &'p str,
        name: &'p str,
    },
    /// An object of a TorchScript class, with its dictionary of attributes.
    Module {
        class: Id,
        attributes: Option<Id>,
    },
}

/// Bytes that tensors share: `count` elements of type `dtype`, stored under `key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Storage<'p> {
    pub(super) key: &'p str,
    pub(super) dtype: Dtype,
    pub(super) count: u64,
    /// In old files, the part of it that is meant: first element and count.
    pub(super) view: Option<(u64, u64)>,
}

/// A view of a storage. Nothing is checked but that the numbers are none below zero.
#[derive(Debug)]
pub(super) struct Tensor {
    pub(super) storage: Id,
    pub(super) dtype: Dtype,
    /// The first element; `strides` are in elements too.
    pub(super) offset: u64,
    pub(super) shape: Vec<u64>,
    pub(super) strides: Vec<u64>,
}

/// All nodes of a file's pickles.
#[derive(Debug, Default)]
pub(super) struct Heap<'p> {
    nodes: Vec<Node<'p>>,
    /// Values pushed so far.
    values: usize,
}

impl<'p> Heap<'p> {
    pub(super) fn add(&mut self, node: Node<'p>) -> Result<Value<'p>> {
        // Fits: each node has been pushed as a value, and those are counted.
        let id = Id(self.nodes.len() as u32);
        self.nodes.try_push(node)?;
        Ok(Value::Node(id))
    }

    /// Counts values that are pushed or copied.
    pub(super) fn count(&mut self, values: usize) -> Result<()> {
        check_memory()?;
        self.values += values;
        if self.values > MAX_VALUES {
            return Err(err!(Limit, "more than {MAX_VALUES} values"));
        }
        Ok(())
    }

    pub(super) fn get(&self, id: Id) -> &Node<'p> {
        &self.nodes[id.0 as usize]
    }

    pub(super) fn get_mut(&mut self, id: Id) -> &mut Node<'p> {
        &mut self.nodes[id.0 as usize]
    }

    /// All storages.
    pub(super) fn storages(&self) -> impl Iterator<Item = &Storage<'p>> {
        self.nodes
            .iter()
            .filter_map(|node| if let Node::Storage(storage) = node { Some(&**storage) } else { None })
    }

    /// The node of a value that has one.
    pub(super) fn node(&self, value: Value<'p>) -> Option<&Node<'p>> {
        match value {
            Value::Node(id) => Some(self.get(id)),
            _ => None,
        }
    }

    /// The items of a tuple or list.
    pub(super) fn items(&self, value: Value<'p>) -> Option<&[Value<'p>]> {
        match self.node(value)? {
            Node::Tuple(items) | Node::List(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a dictionary.
    pub(super) fn dict(&self, value: Value<'p>) -> Option<&[(Value<'p>, Value<'p>)]> {
        match self.node(value)? {
            Node::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    pub(super) fn is_tensor(&self, value: Value<'p>) -> bool {
        matches!(self.node(value), Some(Node::Tensor(_) | Node::Unusable(_)))
    }

    /// What messages call a value.
    pub(super) fn describe(&self, value: Value<'p>) -> &'static str {
        match value {
            Value::None => "None",
            Value::Bool(_) => "a truth value",
            Value::Int(_) | Value::Magic => "an integer",
            Value::Text(_) => "a text",
            Value::Global(_) => "a class or function",
            Value::Opaque => "an object that holds no tensors",
            Value::Node(id) => match self.get(id) {
                Node::Tuple(_) => "a tuple",
                Node::List(_) => "a list",
                Node::Dict(_) => "a dictionary",
                Node::Storage(_) => "a storage",
                Node::Tensor(_) => "a tensor",
                Node::Unusable(kind) => kind,
                Node::Class { .. } => "a class",
                Node::Module { .. } => "a TorchScript module",
            },
        }
    }
}
