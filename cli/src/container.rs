//! The files that the command keeps for itself, an index of pictures and a classifier: safetensors, with a kind, a version and a
//! checksum among the metadata. NumPy and PyTorch read them through the library of that format.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Map, Value, json};
use vitrum::simd::Level;
use vitrum::weights::{Bundle, Dtype, OpenOptions};
use vitrum::{ErrorCode, WeightFormat};

use crate::failure::{Exit, Failure, OrExit, Result};
use crate::output;

/// The metadata of every such file.
const KIND: &str = "vitrum.kind";
const VERSION: &str = "vitrum.version";
const CHECKSUM: &str = "vitrum.checksum";
/// Bytes before the header, and of which its length is a multiple.
const PREFIX: usize = 8;

/// The values of a tensor.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Values<'a> {
    U64(&'a [u64]),
    I64(&'a [i64]),
    F32(&'a [f32]),
    I8(&'a [i8]),
    U8(&'a [u8]),
}

impl Values<'_> {
    fn dtype(self) -> &'static str {
        match self {
            Self::U64(_) => "U64",
            Self::I64(_) => "I64",
            Self::F32(_) => "F32",
            Self::I8(_) => "I8",
            Self::U8(_) => "U8",
        }
    }

    fn bytes(self) -> u64 {
        let (len, size) = match self {
            Self::U64(values) => (values.len(), 8),
            Self::I64(values) => (values.len(), 8),
            Self::F32(values) => (values.len(), 4),
            Self::I8(values) => (values.len(), 1),
            Self::U8(values) => (values.len(), 1),
        };
        len as u64 * size
    }

    /// Calls `take` with the bytes, some at a time, whole words of 8 until the last.
    fn each(self, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        match self {
            Self::U64(values) => pieces(values, |value| value.to_le_bytes(), take),
            Self::I64(values) => pieces(values, |value| value.to_le_bytes(), take),
            Self::F32(values) => pieces(values, |value| value.to_le_bytes(), take),
            Self::I8(values) => pieces(values, |value| value.to_le_bytes(), take),
            Self::U8(values) => take(values),
        }
    }
}

fn pieces<T: Copy, const N: usize>(
    values: &[T],
    bytes: impl Fn(T) -> [u8; N],
    take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut piece = Vec::with_capacity(1 << 15);
    for values in values.chunks((1 << 15) / N) {
        piece.clear();
        values.iter().for_each(|&value| piece.extend_from_slice(&bytes(value)));
        take(&piece)?;
    }
    Ok(())
}

/// FNV-1a over little-endian words of 64 bits, the last of a tensor filled with zeros: finds accidents, not forgeries.
#[derive(Clone, Copy, Debug)]
struct Checksum(u64);

impl Checksum {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut word = |word: [u8; 8]| {
            self.0 = (self.0 ^ u64::from_le_bytes(word)).wrapping_mul(0x100_0000_01b3);
            // Multiplication moves nothing to lower bits.
            self.0 ^= self.0 >> 29;
        };
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|&it| word(it));
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            word(last);
        }
    }
}

/// A tensor to write.
#[derive(Debug)]
pub(crate) struct Tensor<'a> {
    pub(crate) name: &'static str,
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Values<'a>,
}

/// Writes the file `path`: whole, or not at all. Tensors come in the order of the sizes of their elements, the largest first, so
/// that each is aligned.
pub(crate) fn write(
    path: &Path,
    kind: &str,
    version: u32,
    metadata: &[(&str, String)],
    tensors: &[Tensor<'_>],
) -> Result<()> {
    let mut sum = Checksum::new();
    for tensor in tensors {
        let done = tensor.values.each(&mut |bytes| {
            sum.write(bytes);
            Ok(())
        });
        done.expect("nothing is written");
    }
    let mut texts: Map<String, Value> =
        metadata.iter().map(|(key, value)| ((*key).to_owned(), value.as_str().into())).collect();
    texts.insert(KIND.into(), kind.into());
    texts.insert(VERSION.into(), version.to_string().into());
    texts.insert(CHECKSUM.into(), format!("{:016x}", sum.0).into());
    let mut header = Map::new();
    header.insert("__metadata__".into(), Value::Object(texts));
    let mut begin = 0;
    for Tensor { name, shape, values } in tensors {
        let end = begin + values.bytes();
        let entry = json!({ "dtype": values.dtype(), "shape": shape, "data_offsets": [begin, end] });
        header.insert((*name).to_owned(), entry);
        begin = end;
    }
    let mut header = serde_json::to_vec(&header).expect("numbers and strings");
    header.resize(header.len().next_multiple_of(PREFIX), b' ');
    output::create(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        tensors.iter().try_for_each(|tensor| tensor.values.each(&mut |bytes| file.write_all(bytes)))
    })
}

/// Such a file, open.
pub(crate) struct Container<'a> {
    bundle: Bundle<'a>,
    /// What messages call it.
    name: String,
    sum: Checksum,
}

impl Container<'static> {
    /// Opens the file `path`, which should be a `kind` in a version up to `version`; `what` says so to a person.
    pub(crate) fn open(path: &Path, kind: &str, version: u32, what: &str) -> Result<Self> {
        let name = path.display().to_string();
        let bundle = Bundle::open(path, OpenOptions::new()).map_err(|error| match error.code() {
            ErrorCode::NotFound | ErrorCode::Io | ErrorCode::OutOfMemory => {
                Failure::new(Exit::Input, error.message())
            }
            _ => Failure::new(Exit::Input, format!("{error}: not {what}, or a damaged one")),
        })?;
        Self::of(bundle, name, kind, version, what)
    }
}

impl<'a> Container<'a> {
    /// The same of what was opened already.
    pub(crate) fn of(bundle: Bundle<'a>, name: String, kind: &str, version: u32, what: &str) -> Result<Self> {
        let container = Self { bundle, name, sum: Checksum::new() };
        if container.metadata().get(KIND).map(String::as_str) != Some(kind) {
            return Err(container.bad(format!("not {what}")));
        }
        let found: u32 = container.parsed(VERSION)?;
        if !(1..=version).contains(&found) {
            let message = format!("version {found} of such a file; this program knows {version}");
            return Err(container.bad(message));
        }
        Ok(container)
    }

    /// A failure about this file.
    pub(crate) fn bad(&self, what: impl std::fmt::Display) -> Failure {
        Failure::new(Exit::Input, format!("{}: {what}", self.name))
    }

    fn metadata(&self) -> &BTreeMap<String, String> {
        self.bundle.archive().metadata()
    }

    /// A text of the metadata.
    pub(crate) fn text(&self, key: &str) -> Result<&str> {
        let text = self.metadata().get(key).map(String::as_str);
        text.ok_or_else(|| self.bad(format!("damaged: no {key}")))
    }

    /// A number of the metadata.
    pub(crate) fn parsed<T: std::str::FromStr>(&self, key: &str) -> Result<T> {
        self.text(key)?.parse().map_err(|_| self.bad(format!("damaged: {key} is no number")))
    }

    /// A number of 64 bits in hexadecimal.
    pub(crate) fn hex(&self, key: &str) -> Result<u64> {
        u64::from_str_radix(self.text(key)?, 16).map_err(|_| self.bad(format!("damaged: {key} is no number")))
    }

    /// Whether there is a tensor of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.bundle.archive().get(name).is_some()
    }

    /// The shape of a tensor, which has this type and number of sides.
    pub(crate) fn shape<const N: usize>(&self, name: &str, dtype: Dtype) -> Result<[usize; N]> {
        let info = self.bundle.archive().get(name);
        let shape = info.filter(|info| info.dtype == dtype).and_then(|info| info.shape.try_into().ok());
        shape.ok_or_else(|| self.bad(format!("damaged: no tensor {name:?} of {N} sides in {dtype:?}")))
    }

    /// The bytes of a tensor. Tensors are read in the order in which they were written.
    pub(crate) fn bytes(&mut self, name: &str) -> Result<Vec<u8>> {
        let bytes = self.bundle.archive().bytes(name).or_exit(Exit::Input)?;
        self.sum.write(&bytes);
        Ok(bytes)
    }

    /// The bytes of a tensor from byte `at` on, which has that many, once the caller knows its shape. All of them have to be read
    /// in their order.
    pub(crate) fn bytes_into(&mut self, name: &str, at: u64, out: &mut [u8]) -> Result<()> {
        self.bundle.archive().bytes_into(name, at, out).or_exit(Exit::Input)?;
        self.sum.write(out);
        Ok(())
    }

    /// The bytes of a tensor before its turn: it is still to be read.
    pub(crate) fn peek(&self, name: &str) -> Result<Vec<u8>> {
        self.bundle.archive().bytes(name).or_exit(Exit::Input)
    }

    /// The words of a tensor of 8 bytes an element.
    pub(crate) fn words(&mut self, name: &str) -> Result<Vec<u64>> {
        let bytes = self.bytes(name)?;
        Ok(bytes.as_chunks().0.iter().map(|&word| u64::from_le_bytes(word)).collect())
    }

    /// The values of a tensor in f32, all finite.
    pub(crate) fn floats(&mut self, name: &str) -> Result<Vec<f32>> {
        let archive = self.bundle.archive();
        let values = archive.values(name, WeightFormat::F32, Level::detect()).or_exit(Exit::Input)?;
        if archive.non_finite().any(|it| it == name) {
            return Err(self.bad(format!("damaged: {name} holds values that are not finite")));
        }
        let sum = &mut self.sum;
        let add = &mut |bytes: &[u8]| {
            sum.write(bytes);
            Ok(())
        };
        Values::F32(&values).each(add).expect("nothing is written");
        Ok(values)
    }

    /// Everything was read: compares the checksum.
    pub(crate) fn end(self) -> Result<()> {
        if self.hex(CHECKSUM)? != self.sum.0 {
            return Err(self.bad("damaged: the checksum of its values is another"));
        }
        Ok(())
    }
}
