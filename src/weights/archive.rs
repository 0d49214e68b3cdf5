//! The index of tensors over one or several weights files.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use safetensors::Dtype;

use super::header::{Entry, MAX_TENSORS};
use super::json::quoted;
use super::loading::Progress;
#[cfg(feature = "std")]
use super::prepacked::Recorder;
use super::prepacked::{self, PACKED_KEY, PACKED_VERSION, Prepacked};
use super::quantized::{self, SHAPE_KEY, Stored};
use super::source::Source;
use super::{decode, index, strided};
use crate::error::{Result, err};
use crate::exec::{Lines, SetOnce, TryGrow, check_memory, try_zeroed};
use crate::kernels::finite::is_finite;
use crate::kernels::gemm::WeightFormat;
use crate::simd::Level;

/// Tensors by name, over one or several weights files. The bytes stay where they are until a
/// [`Scope`](super::Scope) binds them.
#[derive(Debug, Default)]
pub struct Archive<'a> {
    pub(super) shards: Vec<Shard<'a>>,
    /// Sorted by name.
    pub(super) tensors: Vec<Tensor>,
    metadata: BTreeMap<String, String>,
    notes: Vec<String>,
    /// By key.
    pub(super) prepacked: BTreeMap<String, Prepacked>,
    /// Whether a prepacked matrix was left aside because it is for another kernel.
    pub(super) packed_again: AtomicBool,
    #[cfg(feature = "std")]
    pub(super) recorder: Option<Recorder>,
}

/// What an archive knows of a tensor without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorInfo<'t> {
    /// The name in the file.
    pub name: &'t str,
    /// The type of the elements.
    pub dtype: Dtype,
    /// The dimensions, outermost first.
    pub shape: &'t [usize],
    /// The size in the file; of a view of shared elements, what its own elements would take.
    pub bytes: u64,
}

#[derive(Debug)]
pub(super) struct Shard<'a> {
    /// What messages call it.
    label: String,
    pub(super) source: Source<'a>,
}

#[derive(Debug)]
pub(super) struct Tensor {
    pub(super) entry: Entry,
    shard: usize,
    used: AtomicBool,
    /// Whether it was packed in a format other than f32.
    packed: AtomicBool,
    /// Whether a value that was read is NaN or infinite.
    non_finite: AtomicBool,
    /// What its columns are multiplied by when they are read for int8: powers of two.
    factors: SetOnce<Vec<f32>>,
    pub(super) stored: Stored,
}

impl Tensor {
    pub(super) fn mark_packed(&self) {
        self.packed.store(true, Ordering::Relaxed);
    }

    /// Remembers whether the values that were read are finite.
    pub(super) fn mark_finite(&self, is_finite: bool) {
        if !is_finite {
            self.non_finite.store(true, Ordering::Relaxed);
        }
    }

    /// Sets what its columns are multiplied by when they are read for int8. Only the first factors count.
    pub(super) fn balance(&self, factors: Vec<f32>) {
        self.factors.set(factors);
    }

    /// Multiplies values that were read by the factors, if there are any.
    pub(super) fn apply_factors(&self, values: &mut [f32]) {
        if let Some(factors) = self.factors.get() {
            for row in values.chunks_exact_mut(factors.len()) {
                row.iter_mut().zip(factors).for_each(|(x, factor)| *x *= factor);
            }
        }
    }

    /// Whether it is stored as it was published, and not quantised.
    pub(super) fn is_plain(&self) -> bool {
        self.stored == Stored::Plain
    }

    /// Whether the file has its values as they are read: as they were published, one after the other.
    pub(super) fn is_whole(&self) -> bool {
        self.is_plain() && self.factors.get().is_none() && self.entry.strides.is_none()
    }

    pub(super) fn info(&self) -> TensorInfo<'_> {
        let Entry { name, dtype, shape, begin, end, .. } = &self.entry;
        let shape = if let Stored::Q4(shape) = &self.stored { shape } else { shape };
        TensorInfo { name, dtype: *dtype, shape, bytes: end - begin }
    }
}

impl<'a> Archive<'a> {
    /// Indexes `sources`, each with the name that messages call it.
    pub(super) fn new(sources: impl IntoIterator<Item = (String, Source<'a>)>) -> Result<Self> {
        let mut archive = Self::default();
        for (label, source) in sources {
            archive.add(&label, source).map_err(|error| error.within(&label))?;
        }
        archive.tensors.sort_unstable_by(|a, b| a.entry.name.cmp(&b.entry.name));
        let mut neighbours = archive.tensors.iter().zip(archive.tensors.iter().skip(1));
        if let Some((first, second)) = neighbours.find(|(a, b)| a.entry.name == b.entry.name) {
            let [a, b] = [first, second].map(|tensor| &archive.shards[tensor.shard].label);
            return Err(err!(Format, "tensor {}: in both {a} and {b}", quoted(&first.entry.name)));
        }
        let shapes = archive.metadata.keys().filter_map(|key| key.strip_prefix(SHAPE_KEY));
        if let Some(name) = shapes.into_iter().find(|name| archive.find(name).is_none()) {
            return Err(err!(MissingTensor, "missing tensor {}, whose shape is told", quoted(name)));
        }
        for index in 0..archive.tensors.len() {
            check_memory()?;
            let info = archive.tensors[index].info();
            let shape = archive.metadata.get(&alloc::format!("{SHAPE_KEY}{}", info.name));
            let stored = Stored::of(info, shape.map(String::as_str), |name| archive.get(name))?;
            archive.tensors[index].stored = stored;
        }
        let mut sources = archive.prepacked.values().flat_map(|packed| &packed.from);
        if let Some(name) = sources.find(|name| archive.find(name).is_none()) {
            return Err(err!(MissingTensor, "missing tensor {}, of which a matrix is packed", quoted(name)));
        }
        Ok(archive)
    }

    fn add(&mut self, label: &str, source: Source<'a>) -> Result<()> {
        let index = index::read(&source)?;
        if self.tensors.len() + index.tensors.len() > MAX_TENSORS {
            return Err(err!(Limit, "more than {MAX_TENSORS} tensors in all shards"));
        }
        let shard = self.shards.len();
        let tensor = |entry| Tensor {
            entry,
            shard,
            used: AtomicBool::new(false),
            packed: AtomicBool::new(false),
            non_finite: AtomicBool::new(false),
            factors: SetOnce::new(),
            stored: Stored::Plain,
        };
        let mut packed = Vec::new();
        for entry in index.tensors {
            match prepacked::key(&entry.name) {
                Some(_) => packed.try_push(entry)?,
                None => self.tensors.try_push(tensor(entry))?,
            }
        }
        let version = index.metadata.get(PACKED_KEY).map_or("none", String::as_str);
        if !packed.is_empty() && version != PACKED_VERSION {
            let other = "packed by another version of this library, and packed again";
            self.notes.push(alloc::format!("{label}: matrices are {other} (layouts {})", quoted(version)));
        }
        for entry in packed.iter().filter(|_| version == PACKED_VERSION) {
            check_memory()?;
            let key = prepacked::key(&entry.name).unwrap_or_default();
            let found = Prepacked::of(entry, shard, &index.metadata)?;
            if self.prepacked.insert(key.into(), found).is_some() {
                return Err(err!(Format, "tensor {}: in two shards", quoted(&entry.name)));
            }
        }
        for (key, value) in index.metadata {
            self.metadata.entry(key).or_insert(value);
        }
        self.notes.extend(index.notes.into_iter().map(|note| alloc::format!("{label}: {note}")));
        self.shards.push(Shard { label: label.into(), source });
        Ok(())
    }

    /// The tensors, sorted by name.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = TensorInfo<'_>> {
        self.tensors.iter().map(Tensor::info)
    }

    /// The tensors' names, sorted.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.tensors.iter().map(|tensor| &tensor.entry.name[..])
    }

    /// The tensor called `name`.
    pub fn get(&self, name: &str) -> Option<TensorInfo<'_>> {
        self.find(name).map(Tensor::info)
    }

    /// Bytes of all tensors.
    pub fn total_bytes(&self) -> u64 {
        self.tensors().map(|tensor| tensor.bytes).sum()
    }

    /// Bytes of the files.
    pub(super) fn file_bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.source.len()).sum()
    }

    /// Bytes of the values of all tensors as f32.
    pub fn f32_bytes(&self) -> u64 {
        let values = |shape: &[usize]| shape.iter().fold(4u64, |bytes, &n| bytes.saturating_mul(n as u64));
        self.tensors().map(|tensor| values(tensor.shape)).fold(0, u64::saturating_add)
    }

    /// The names of the tensors that were read and hold a value that is not finite.
    pub fn non_finite(&self) -> impl Iterator<Item = &str> {
        let tensors = self.tensors.iter().filter(|tensor| tensor.non_finite.load(Ordering::Relaxed));
        tensors.map(|tensor| &tensor.entry.name[..])
    }

    /// The files' `__metadata__`. Where shards disagree, the first one's value.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The names of the tensors that something has bound.
    pub(super) fn used(&self) -> impl Iterator<Item = &str> {
        let used = self.tensors.iter().filter(|tensor| tensor.used.load(Ordering::Relaxed));
        used.map(|tensor| &tensor.entry.name[..])
    }

    /// How the files were read, where that was a choice: which of several state dicts of a PyTorch checkpoint was
    /// taken, what in it was left aside. Each starts with the file's name.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether the tensor called `name` is a matrix that something has packed in another format than f32.
    pub fn is_packed(&self, name: &str) -> bool {
        self.find(name).is_some_and(|tensor| tensor.packed.load(Ordering::Relaxed))
    }

    /// Whether the values of the tensor called `name` are read for int8 as multiples of what is stored, by powers of two:
    /// [`Scope::balance`](super::Scope::balance).
    pub fn is_balanced(&self, name: &str) -> bool {
        self.find(name).is_some_and(|tensor| tensor.factors.get().is_some())
    }

    /// The tensors that nothing has bound so far.
    pub fn unused(&self) -> impl Iterator<Item = TensorInfo<'_>> {
        self.tensors.iter().filter(|tensor| !tensor.used.load(Ordering::Relaxed)).map(Tensor::info)
    }

    /// The name of the shard that holds the tensor called `name`.
    #[cfg(feature = "std")]
    pub(super) fn shard_of(&self, name: &str) -> Option<&str> {
        self.find(name).map(|tensor| &self.shards[tensor.shard].label[..])
    }

    pub(super) fn find(&self, name: &str) -> Option<&Tensor> {
        Some(&self.tensors[self.position(name)?])
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.tensors.binary_search_by(|tensor| tensor.entry.name.as_str().cmp(name)).ok()
    }

    /// The bytes of `tensor` in place, if they can be used as they are there.
    pub(super) fn lines(&self, tensor: &Tensor) -> Result<Option<Lines>> {
        let Tensor { entry, shard, .. } = tensor;
        match usize::try_from(entry.end - entry.begin) {
            Ok(len) if entry.strides.is_none() => self.shards[*shard].source.lines(entry.begin, len),
            _ => Ok(None),
        }
    }

    /// The tensors whose names start with `prefix`.
    pub(super) fn below<'s>(&'s self, prefix: &'s str) -> impl Iterator<Item = &'s str> {
        let first = self.tensors.partition_point(|tensor| tensor.entry.name.as_str() < prefix);
        let names = self.tensors[first..].iter().map(|tensor| &tensor.entry.name[..]);
        names.take_while(move |name| name.starts_with(prefix))
    }

    /// Reads bytes of the tensor called `name`, which exists and has as many, from byte `at` of it on.
    pub(super) fn read_bytes(&self, name: &str, at: u64, out: &mut [u8]) -> Result<()> {
        let tensor = self.find(name).expect("a tensor of this archive");
        strided::read_bytes(&self.shards[tensor.shard].source, &tensor.entry, at, out)
    }

    /// Reads all bytes of `tensor`, dense.
    pub(super) fn read_whole(&self, tensor: &Tensor, out: &mut [u8], progress: Progress<'_>) -> Result<()> {
        let (source, entry) = (&self.shards[tensor.shard].source, &tensor.entry);
        match entry.strides {
            None => source.read_pieces(entry.begin, out, progress),
            Some(_) => strided::read_bytes(source, entry, 0, out),
        }
    }

    /// Converts `tensor` to f32 and marks it as used. `out` has its number of elements.
    pub(super) fn read_f32(
        &self,
        tensor: &Tensor,
        level: Level,
        out: &mut [f32],
        progress: Progress<'_>,
    ) -> Result<()> {
        let Tensor { entry, shard, stored, .. } = tensor;
        let read = match stored {
            Stored::Plain => decode::to_f32(level, &self.shards[*shard].source, entry, out, progress),
            Stored::Int8 => self.read_steps(tensor, progress).and_then(|steps| {
                quantized::decode_int8(&steps, &self.part(tensor, "_scale", level)?, out);
                Ok(())
            }),
            Stored::Q4(shape) => self.read_steps(tensor, progress).and_then(|steps| {
                let [scales, least] = ["_scale", "_least"].map(|suffix| self.part(tensor, suffix, level));
                let depth = shape[1..].iter().product();
                quantized::decode_q4(&steps, [&scales?, &least?], depth, out);
                Ok(())
            }),
        };
        read.map_err(|error| error.within(format_args!("tensor {}", quoted(&entry.name))))?;
        tensor.mark_finite(is_finite(out));
        self.mark_used(tensor);
        Ok(())
    }

    /// Counts a tensor as used.
    pub(super) fn mark_used(&self, tensor: &Tensor) {
        tensor.used.store(true, Ordering::Relaxed);
        #[cfg(feature = "std")]
        if let (Some(recorder), Some(index)) = (&self.recorder, self.position(&tensor.entry.name)) {
            recorder.read().push(index);
        }
    }

    /// The bytes of a tensor.
    fn read_steps(&self, tensor: &Tensor, progress: Progress<'_>) -> Result<Vec<u8>> {
        let mut bytes = try_zeroed((tensor.entry.end - tensor.entry.begin) as usize)?;
        self.read_whole(tensor, &mut bytes, progress)?;
        Ok(bytes)
    }

    /// The values of the tensor whose name is that of `tensor` and `suffix`, which exists.
    fn part(&self, tensor: &Tensor, suffix: &str, level: Level) -> Result<Vec<f32>> {
        let part =
            self.find(&alloc::format!("{}{suffix}", tensor.entry.name)).expect("found when it was opened");
        let mut out = try_zeroed(part.entry.shape.iter().product())?;
        decode::to_f32(level, &self.shards[part.shard].source, &part.entry, &mut out, &|_| Ok(()))?;
        part.used.store(true, Ordering::Relaxed);
        Ok(out)
    }

    /// The bytes of the tensor called `name`, dense.
    ///
    /// # Errors
    /// `MissingTensor`, `OutOfMemory`, and `Io` if its file cannot be read or has changed since it was opened.
    pub fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let tensor = self.find(name).ok_or_else(|| err!(MissingTensor, "missing tensor {}", quoted(name)))?;
        self.read_steps(tensor, &|_| Ok(()))
    }

    /// Bytes of the tensor called `name`, dense, from byte `at` of it on: as many as `out` has.
    ///
    /// # Errors
    /// `InvalidArgument` if it has fewer; otherwise as [`bytes`](Self::bytes).
    pub fn bytes_into(&self, name: &str, at: u64, out: &mut [u8]) -> Result<()> {
        let tensor = self.find(name).ok_or_else(|| err!(MissingTensor, "missing tensor {}", quoted(name)))?;
        let len = tensor.entry.end - tensor.entry.begin;
        if at.checked_add(out.len() as u64).is_none_or(|end| end > len) {
            let (name, wanted) = (quoted(name), out.len());
            return Err(err!(InvalidArgument, "tensor {name}: {wanted} bytes at {at} of {len}"));
        }
        self.read_bytes(name, at, out)
    }

    /// The values of the tensor called `name`, as f32, as a model in `format` reads them.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), and `TensorDtype` unless it has such values.
    pub fn values(&self, name: &str, format: WeightFormat, level: Level) -> Result<Vec<f32>> {
        let tensor = self.find(name).ok_or_else(|| err!(MissingTensor, "missing tensor {}", quoted(name)))?;
        let mut out = try_zeroed(tensor.info().shape.iter().product())?;
        self.read_f32(tensor, level, &mut out, &|_| Ok(()))?;
        if format == WeightFormat::Int8 {
            tensor.apply_factors(&mut out);
        }
        Ok(out)
    }
}
