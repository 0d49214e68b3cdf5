//! The machine that reads a pickle: the opcodes of protocols 2 to 5 that build data.
//!
//! Refused are the opcodes of protocols 0 and 1 that later ones replaced, extension codes, persistent ids as text,
//! and buffers outside the pickle. The stack, the marks and the memo grow by at least a byte of the pickle each,
//! and by no more than [`MAX_VALUES`](super::value::MAX_VALUES) values.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::call;
use super::globals;
use super::value::{Heap, MAX_VALUES, Node, Value};
use crate::error::{Error, Result, err};
use crate::exec::{TryCollect, TryGrow, out_of_memory, try_copied};
use crate::weights::json::quoted;

/// Bytes of a module's or class's name at most.
const MAX_GLOBAL: usize = 512;
/// The number that the legacy format begins with, 0x1950a86a20f9469cfc6c, as bytes of a long.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Whether bytes begin with a pickle of the legacy format's number.
pub(super) fn starts_with_magic(start: &[u8]) -> bool {
    start.get(..32).unwrap_or(start).windows(MAGIC.len()).any(|window| window == MAGIC)
}

/// Why a pickle could not be read.
#[derive(Debug)]
pub(super) enum Fault {
    /// The bytes end before the pickle does.
    Ended,
    Error(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Fault {
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Ended => err!(Format, "the pickle is cut off"),
            Self::Error(error) => error,
        }
    }
}

/// Reads the pickle at `at` of `bytes` and moves `at` behind it.
pub(super) fn load<'p>(heap: &mut Heap<'p>, bytes: &'p [u8], at: &mut usize) -> Result<Value<'p>, Fault> {
    let mut machine =
        Machine { heap, bytes, at: *at, stack: Vec::new(), marks: Vec::new(), memo: BTreeMap::new() };
    let mut op_at = *at;
    let value = machine.run(&mut op_at).map_err(|fault| match fault {
        Fault::Ended => Fault::Ended,
        Fault::Error(error) => error.within(format_args!("pickle, byte {op_at}")).into(),
    })?;
    *at = machine.at;
    Ok(value)
}

struct Machine<'h, 'p> {
    heap: &'h mut Heap<'p>,
    bytes: &'p [u8],
    at: usize,
    stack: Vec<Value<'p>>,
    /// Heights of the stack at the marks on it. Nothing below the last mark can be reached.
    marks: Vec<usize>,
    memo: BTreeMap<u32, Value<'p>>,
}

impl<'p> Machine<'_, 'p> {
    /// Runs to the STOP. `op_at` is the place of the current opcode, for messages.
    fn run(&mut self, op_at: &mut usize) -> Result<Value<'p>, Fault> {
        loop {
            *op_at = self.at;
            let [op] = self.array()?;
            match op {
                b'.' => {
                    let value = self.pop()?;
                    return match self.stack[..] {
                        [] if self.marks.is_empty() => Ok(value),
                        _ => Err(err!(Format, "values are left on the stack at its end").into()),
                    };
                }
                // PROTO, FRAME: frames only help to read ahead.
                0x80 => {
                    let [protocol] = self.array()?;
                    if !(2..=5).contains(&protocol) {
                        return Err(err!(Unsupported, "protocol {protocol}, 2 to 5 are read").into());
                    }
                }
                0x95 => drop(self.array::<8>()?),
                b'(' => {
                    self.heap.count(1)?;
                    self.marks.try_push(self.stack.len())?;
                }
                b'0' => drop(self.pop()?),
                b'1' => drop(self.pop_mark()?),
                b'2' => {
                    let top = self.top()?;
                    self.push(top)?;
                }
                b'q' | b'r' | 0x94 => self.put(op)?,
                b'h' | b'j' => self.get(op)?,
                b'N' | 0x88 | 0x89 | b'K' | b'M' | b'J' | b'G' | 0x8a | 0x8b => self.constant(op)?,
                b'X' | b'U' | b'T' | 0x8c | 0x8d | b'B' | b'C' | 0x8e | 0x96 => self.string(op)?,
                b')' | b't' | 0x85..=0x87 | b']' | b'l' | b'}' | b'd' | 0x8f | 0x91 => self.container(op)?,
                b'a' | b'e' | b's' | b'u' | 0x90 => self.insert(op)?,
                b'c' | 0x93 => self.global(op)?,
                b'R' | 0x81 | 0x92 => self.reduce(op)?,
                b'b' => {
                    let state = self.pop()?;
                    let object = self.top()?;
                    call::build(self.heap, object, state)?;
                }
                b'Q' => {
                    let id = self.pop()?;
                    let storage = call::storage(self.heap, id)?;
                    self.push(storage)?;
                }
                _ => return Err(err!(Unsupported, "opcode {op:#04x}, which no checkpoint needs").into()),
            }
        }
    }

    fn take(&mut self, len: u64) -> Result<&'p [u8], Fault> {
        let rest = &self.bytes[self.at..];
        let taken = usize::try_from(len).ok().and_then(|len| rest.get(..len)).ok_or(Fault::Ended)?;
        self.at += taken.len();
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    /// A little-endian integer of `N` bytes.
    fn int<const N: usize>(&mut self) -> Result<u64, Fault> {
        let mut bytes = [0; 8];
        bytes[..N].copy_from_slice(&self.array::<N>()?);
        Ok(u64::from_le_bytes(bytes))
    }

    fn push(&mut self, value: Value<'p>) -> Result<(), Fault> {
        self.heap.count(1)?;
        self.stack.try_push(value)?;
        Ok(())
    }

    fn push_node(&mut self, node: Node<'p>) -> Result<(), Fault> {
        self.heap.count(1)?;
        let value = self.heap.add(node)?;
        self.stack.try_push(value)?;
        Ok(())
    }

    fn top(&self) -> Result<Value<'p>, Fault> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let reachable = &self.stack[floor..];
        Ok(*reachable.last().ok_or_else(|| err!(Format, "the stack is empty"))?)
    }

    fn pop(&mut self) -> Result<Value<'p>, Fault> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// The values above the last mark, which goes too.
    fn pop_mark(&mut self) -> Result<Vec<Value<'p>>, Fault> {
        let mark = self.marks.pop().ok_or_else(|| err!(Format, "no mark on the stack"))?;
        let items = try_copied(&self.stack[mark..])?;
        self.stack.truncate(mark);
        Ok(items)
    }

    /// BINPUT, LONG_BINPUT, MEMOIZE
    fn put(&mut self, op: u8) -> Result<(), Fault> {
        let key = match op {
            b'q' => self.int::<1>()? as u32,
            b'r' => self.int::<4>()? as u32,
            _ => self.memo.len() as u32,
        };
        let top = self.top()?;
        if self.memo.len() == MAX_VALUES {
            return Err(err!(Limit, "a memo of more than {MAX_VALUES} values").into());
        }
        self.memo.insert(key, top);
        Ok(())
    }

    /// BINGET, LONG_BINGET
    fn get(&mut self, op: u8) -> Result<(), Fault> {
        let key = if op == b'h' { self.int::<1>()? } else { self.int::<4>()? } as u32;
        let value = *self.memo.get(&key).ok_or_else(|| err!(Format, "nothing is memoized as {key}"))?;
        self.push(value)
    }

    /// NONE, NEWTRUE, NEWFALSE, BININT1, BININT2, BININT, BINFLOAT, LONG1, LONG4
    fn constant(&mut self, op: u8) -> Result<(), Fault> {
        let value = match op {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'K' => Value::Int(self.int::<1>()? as i64),
            b'M' => Value::Int(self.int::<2>()? as i64),
            b'J' => Value::Int(i64::from(self.int::<4>()? as u32 as i32)),
            b'G' => {
                self.take(8)?;
                Value::Opaque
            }
            _ => {
                let len = if op == 0x8a { self.int::<1>()? } else { self.int::<4>()? };
                long(self.take(len)?)
            }
        };
        self.push(value)
    }

    /// BINUNICODE, SHORT_BINSTRING, BINSTRING, SHORT_BINUNICODE, BINUNICODE8, BINBYTES, SHORT_BINBYTES, BINBYTES8,
    /// BYTEARRAY8
    fn string(&mut self, op: u8) -> Result<(), Fault> {
        let len = match op {
            b'U' | b'C' | 0x8c => self.int::<1>()?,
            b'X' | b'T' | b'B' => self.int::<4>()?,
            _ => self.int::<8>()?,
        };
        if len > super::MAX_PICKLE as u64 {
            return Err(
                err!(Limit, "a text of {len} bytes, in a pickle of at most {}", super::MAX_PICKLE).into()
            );
        }
        let bytes = self.take(len)?;
        // Python 2 wrote its texts with the opcodes of bytes.
        let is_text = matches!(op, b'X' | b'U' | b'T' | 0x8c | 0x8d);
        let text = core::str::from_utf8(bytes).ok().filter(|_| is_text);
        self.push(text.map_or(Value::Opaque, Value::Text))
    }

    /// EMPTY_TUPLE, TUPLE, TUPLE1, TUPLE2, TUPLE3, EMPTY_LIST, LIST, EMPTY_DICT, DICT, EMPTY_SET, FROZENSET
    fn container(&mut self, op: u8) -> Result<(), Fault> {
        let node = match op {
            b')' => Node::Tuple(Vec::new()),
            b't' => Node::Tuple(self.pop_mark()?),
            0x85..=0x87 => {
                let mut items = Vec::with_capacity(3);
                for _ in 0x84..op {
                    items.push(self.pop()?);
                }
                items.reverse();
                Node::Tuple(items)
            }
            b']' => Node::List(Vec::new()),
            b'l' => Node::List(self.pop_mark()?),
            b'}' => Node::Dict(Vec::new()),
            b'd' => {
                let items = self.pop_mark()?;
                Node::Dict(pairs(&items)?.try_to_vec()?)
            }
            _ => {
                if op == 0x91 {
                    self.pop_mark()?;
                }
                return self.push(Value::Opaque);
            }
        };
        self.push_node(node)
    }

    /// APPEND, APPENDS, SETITEM, SETITEMS, ADDITEMS
    fn insert(&mut self, op: u8) -> Result<(), Fault> {
        let items = match op {
            b'a' => [self.pop()?].into(),
            b's' => {
                let value = self.pop()?;
                [self.pop()?, value].into()
            }
            _ => self.pop_mark()?,
        };
        let target = self.top()?;
        let is_entries = matches!(op, b's' | b'u');
        match target {
            // Sets, and objects that are filled like lists or dictionaries.
            Value::Opaque => return Ok(()),
            Value::Node(id) => match self.heap.get_mut(id) {
                Node::Dict(entries) if is_entries => {
                    entries.try_reserve(items.len() / 2).map_err(|_| out_of_memory())?;
                    entries.extend(pairs(&items)?);
                    return Ok(());
                }
                Node::List(list) if matches!(op, b'a' | b'e') => {
                    list.try_extend(&items)?;
                    return Ok(());
                }
                _ => (),
            },
            _ => (),
        }
        Err(err!(Format, "an item for {}", self.heap.describe(target)).into())
    }

    /// GLOBAL, STACK_GLOBAL
    fn global(&mut self, op: u8) -> Result<(), Fault> {
        let (module, name) = if op == b'c' {
            (self.line()?, self.line()?)
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            let (Value::Text(module), Value::Text(name)) = (module, name) else {
                return Err(err!(Format, "a global whose name is no text").into());
            };
            (module, name)
        };
        if module.len() > MAX_GLOBAL || name.len() > MAX_GLOBAL {
            return Err(err!(Limit, "a global's name of more than {MAX_GLOBAL} bytes").into());
        }
        if module == "__torch__" || module.starts_with("__torch__.") {
            return self.push_node(Node::Class { module, name });
        }
        let global = globals::find(module, name).ok_or_else(|| {
            err!(
                Unsupported,
                "the global {} is not among those that tensors need: refused, and nothing was run (if the file is \
                 from a source you trust, save its state_dict() alone with PyTorch)",
                quoted(&alloc::format!("{module}.{name}"))
            )
        })?;
        self.push(Value::Global(global))
    }

    fn line(&mut self) -> Result<&'p str, Fault> {
        let rest = &self.bytes[self.at..];
        let window = &rest[..rest.len().min(MAX_GLOBAL + 1)];
        let Some(len) = window.iter().position(|&byte| byte == b'\n') else {
            return Err(match window.len() {
                0..=MAX_GLOBAL => Fault::Ended,
                _ => err!(Limit, "a global's name of more than {MAX_GLOBAL} bytes").into(),
            });
        };
        self.at += len + 1;
        Ok(core::str::from_utf8(&rest[..len]).map_err(|_| err!(Format, "a global's name is not UTF-8"))?)
    }

    /// REDUCE, NEWOBJ, NEWOBJ_EX
    fn reduce(&mut self, op: u8) -> Result<(), Fault> {
        if op == 0x92 {
            // Arguments by name.
            self.pop()?;
        }
        let args = self.pop()?;
        let function = self.pop()?;
        let result = match function {
            Value::Global(global) => call::call(self.heap, global, args)?,
            Value::Node(id) if matches!(self.heap.get(id), Node::Class { .. }) => match op {
                b'R' => Value::Opaque,
                _ => self.heap.add(Node::Module { class: id, attributes: None })?,
            },
            _ => return Err(err!(Format, "a call of {}", self.heap.describe(function)).into()),
        };
        self.push(result)
    }
}

/// Keys and values in turns.
fn pairs<'v, 'p>(items: &'v [Value<'p>]) -> Result<impl Iterator<Item = (Value<'p>, Value<'p>)> + 'v> {
    let (pairs, []) = items.as_chunks() else {
        return Err(err!(Format, "a key without a value"));
    };
    Ok(pairs.iter().map(|&[key, value]| (key, value)))
}

/// A signed little-endian integer, as far as integers matter.
fn long(bytes: &[u8]) -> Value<'_> {
    if bytes == MAGIC {
        return Value::Magic;
    }
    let Some(&last) = bytes.last() else { return Value::Int(0) };
    if bytes.len() > 8 {
        return Value::Opaque;
    }
    let mut wide = [if last < 0x80 { 0 } else { 0xff }; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(wide))
}
