//! PyTorch checkpoints (`.pt`, `.pth`, `.bin`), read without running anything of them.
//!
//! A checkpoint is a pickle, a program for a stack machine that builds Python objects, beside the raw bytes of
//! the tensors. `torch.save` writes it as a zip archive of stored, uncompressed members ([`zip`]), TorchScript
//! too; before PyTorch 1.6 it was a sequence of pickles and then the bytes ([`legacy`]). The machine here
//! ([`pickle`]) knows the opcodes that such files need and the globals of a list ([`globals`]); a global is never
//! looked up, imported or called: those that make tensors are understood, those that are mere data are dropped
//! with their arguments, and any other ends the reading with an error that names it.
//!
//! What comes out is a tree of values ([`value`]) in an arena, whose size is bounded by that of the pickle. Of it
//! the model's tensors are taken ([`state_dict`]) and checked against the bytes that are there ([`place`]).
//! The bytes themselves are read when a tensor is bound, as for safetensors.
//!
//! Formats: PyTorch's `torch/serialization.py` and `caffe2/serialize/inline_container.h`; pickles: Python's
//! `pickletools.py`; zip: PKWARE's APPNOTE.TXT.

mod call;
mod code;
mod globals;
mod legacy;
mod pickle;
mod place;
mod state_dict;
mod value;
mod zip;

use self::state_dict::Declared;
use self::value::Heap;
use self::zip::Zip;
use super::header::MAX_HEADER;
use super::index::Index;
use super::source::Source;
use crate::error::{Result, err};

/// Bytes of a pickle at most. A model of a thousand tensors needs about 150 kB.
const MAX_PICKLE: usize = MAX_HEADER;

/// Reads the index of a checkpoint, a file that begins with `start`.
///
/// # Errors
/// `Unsupported` for what is no checkpoint or needs what is not read, `Limit` beyond a limit, `Format` for
/// everything that is malformed, `TensorDtype`.
pub(super) fn read(source: &Source<'_>, start: &[u8]) -> Result<Index> {
    if start.starts_with(b"PK") { archive(source) } else { legacy::read(source, start) }
}

/// A zip archive: `<top>/data.pkl`, `<top>/data/<key>` for each storage, `<top>/byteorder`.
fn archive(source: &Source<'_>) -> Result<Index> {
    let zip = Zip::open(source)?;
    let top = zip.top()?;
    if let Some(order) = zip.contents_if_present(&[top, b"byteorder"].concat(), 16)?
        && order != b"little"
    {
        return Err(err!(
            Unsupported,
            "a checkpoint with byte order {:?}, only little-endian ones are read",
            alloc::string::String::from_utf8_lossy(&order)
        ));
    }
    let pickle = zip.contents(&[top, b"data.pkl"].concat(), MAX_PICKLE)?;
    let mut heap = Heap::default();
    let root = pickle::load(&mut heap, &pickle, &mut 0).map_err(|fault| fault.into_error())?;
    let mut code = code::Code::new(&zip, top);
    let declared: &mut Declared<'_> = &mut |module, class, name| code.declares(module, class, name);
    let model = state_dict::find(&heap, root, declared)?;
    place::index(&heap, model, source.len(), |storage| {
        zip.range(&[top, b"data/", storage.key.as_bytes()].concat())
    })
}
