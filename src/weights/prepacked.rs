//! Matrices in the layout that a kernel reads, kept in a weights file beside the tensors that they were made from.
//!
//! Each is a tensor `vitrum.packed:KEY`, U8, which begins at a cache line: panels, then the values of their columns, each in
//! whole cache lines. The metadata have, under the same name, JSON: `{"kernel", "rows", "cols", "from"}`, the
//! [kernel](crate::kernels::gemm::WeightKernel) with its tile, the shape, and the names of the tensors that it stands for;
//! and under `vitrum.packed` the version of the layouts. A kernel of another name, or of another version, leaves it aside.

use alloc::collections::BTreeMap;
use alloc::string::String;
#[cfg(feature = "std")]
use alloc::string::ToString;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
#[cfg(feature = "std")]
use std::sync::{Mutex, MutexGuard, PoisonError};

use safetensors::Dtype;
use serde_json::Value;

use super::archive::{Archive, Tensor};
use super::header::Entry;
use super::json::{self, Bounds, quoted};
use super::loading::Progress;
use super::quantized::Stored;
use crate::error::{Result, err};
use crate::exec::{AlignedVec, Lines};
use crate::kernels::gemm::{PackedWeights, Packing, WeightKernel};

/// The key of the version, and, with a colon, what begins the name of a prepacked matrix.
pub const PACKED_KEY: &str = "vitrum.packed";
/// The version of the layouts of all kernels. Whoever changes the bytes of a packed matrix raises it; a test in
/// `kernels::gemm` knows them.
pub const PACKED_VERSION: &str = "1";

/// Tensors that a prepacked matrix is made of at most.
const LIMITS: Bounds = Bounds { bytes: 1 << 20, depth: 2, nodes: 1 << 12 };

/// A prepacked matrix of a file.
#[derive(Debug)]
pub(super) struct Prepacked {
    pub(super) kernel: String,
    pub(super) rows: usize,
    pub(super) cols: usize,
    /// The names of the tensors that it stands for.
    pub(super) from: Vec<String>,
    pub(super) shard: usize,
    pub(super) begin: u64,
    pub(super) len: usize,
}

/// The key of the prepacked matrix in the tensor called `name`, if it is one.
pub(super) fn key(name: &str) -> Option<&str> {
    name.strip_prefix(PACKED_KEY)?.strip_prefix(':')
}

impl Prepacked {
    /// What the metadata say of the tensor `entry`.
    ///
    /// # Errors
    /// `Format` if they say nothing, or what cannot be.
    pub(super) fn of(entry: &Entry, shard: usize, metadata: &BTreeMap<String, String>) -> Result<Self> {
        let fault = |what: &str| err!(Format, "tensor {}: {what}", quoted(&entry.name));
        let len = usize::try_from(entry.end - entry.begin).ok();
        let (Dtype::U8, None, Some(len)) = (entry.dtype, &entry.strides, len) else {
            return Err(fault("a packed matrix that is not bytes"));
        };
        let text =
            metadata.get(&entry.name).ok_or_else(|| fault("the metadata do not tell what is packed"))?;
        let value =
            json::parse(text.as_bytes(), LIMITS).map_err(|error| error.within(quoted(&entry.name)))?;
        let number =
            |key| value.get(key).and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok());
        let strings =
            |value: &Value| value.as_array()?.iter().map(|x| x.as_str().map(String::from)).collect();
        let read = || {
            let kernel = value.get("kernel")?.as_str()?.into();
            let from = value.get("from").and_then(strings)?;
            let (rows, cols) = (number("rows")?, number("cols")?);
            Some(Self { kernel, rows, cols, from, shard, begin: entry.begin, len })
        };
        read().ok_or_else(|| fault("the metadata need kernel, rows, cols and from"))
    }
}

impl Archive<'_> {
    /// The matrix `key` of `rows` and `cols`, packed as `packing` says: the file's own, or of the values that `values` reads.
    ///
    /// # Errors
    /// `TensorShape` and `Format` if the file has it in another shape or size; those of reading.
    pub(super) fn pack(
        &self,
        key: String,
        packing: Packing,
        [rows, cols]: [usize; 2],
        values: impl FnOnce() -> Result<Vec<f32>>,
        progress: Progress<'_>,
    ) -> Result<PackedWeights> {
        let pack = |values: Vec<f32>| {
            PackedWeights::try_pack_with(packing, rows, cols, |row, out| {
                out.copy_from_slice(&values[row * cols..][..cols]);
                progress(0)
            })
        };
        if let Some(found) = self.prepacked.get(&key) {
            if cfg!(target_endian = "little") && found.kernel == WeightKernel::of(packing).name {
                let weights = self
                    .prepacked(found, packing, [rows, cols], progress)
                    .map_err(|error| error.within(quoted(&key)))?;
                #[cfg(feature = "std")]
                if let Some(recorder) = &self.recorder {
                    let (from, weights) = (found.from.clone(), weights.clone());
                    recorder.packed().push(Recorded { key, from, weights });
                }
                return Ok(weights);
            }
            self.packed_again.store(true, Ordering::Relaxed);
        }
        #[cfg(feature = "std")]
        if let Some(recorder) = &self.recorder {
            let already = recorder.read().len();
            let weights = pack(values()?)?;
            let from =
                recorder.read()[already..].iter().map(|&i| self.tensors[i].entry.name.clone()).collect();
            recorder.packed().push(Recorded { key, from, weights: weights.clone() });
            return Ok(weights);
        }
        pack(values()?)
    }

    /// A prepacked matrix that the kernel of `packing` reads.
    fn prepacked(
        &self,
        found: &Prepacked,
        packing: Packing,
        shape: [usize; 2],
        progress: Progress<'_>,
    ) -> Result<PackedWeights> {
        let [rows, cols] = shape;
        if [found.rows, found.cols] != shape {
            return Err(err!(
                TensorShape,
                "packed with shape [{}, {}], expected {shape:?}",
                found.rows,
                found.cols
            ));
        }
        // Four bits are the least for a value: what is longer than its file is refused before it is multiplied further.
        let is_possible = rows > 0 && cols > 0 && rows.checked_mul(cols).is_some_and(|n| n / 2 <= found.len);
        let lens = if is_possible { PackedWeights::memory_len(packing, rows, cols) } else { [0; 2] };
        let bytes = lens.map(|len| len * size_of::<f32>());
        if !is_possible || bytes[0] + bytes[1] != found.len {
            return Err(err!(Format, "{} bytes are not a packed matrix of shape {shape:?}", found.len));
        }
        let source = &self.shards[found.shard].source;
        let read = |at, len: usize| {
            if let Some(lines) = source.lines(at, len)? {
                return Ok(lines);
            }
            let mut owned = AlignedVec::try_zeroed(len / size_of::<f32>())?;
            // Counted are the tensors that the matrix stands for.
            source.read_pieces(at, bytemuck::cast_slice_mut(&mut owned), &|_| progress(0))?;
            Ok(Lines::from(owned))
        };
        let memory = [read(found.begin, bytes[0])?, read(found.begin + bytes[0] as u64, bytes[1])?];
        for tensor in found.from.iter().filter_map(|name| self.find(name)) {
            self.mark_used(tensor);
            self.mark_parts(tensor);
            progress(tensor.info().bytes as usize)?;
        }
        Ok(PackedWeights::from_memory(packing, rows, cols, memory))
    }

    /// The scales and least values of a quantised tensor count as used with it.
    fn mark_parts(&self, Tensor { entry, stored, .. }: &Tensor) {
        let suffixes: &[&str] = match stored {
            Stored::Plain => &[],
            Stored::Int8 => &["_scale"],
            Stored::Q4(_) => &["_scale", "_least"],
        };
        for suffix in suffixes {
            if let Some(part) = self.find(&alloc::format!("{}{suffix}", entry.name)) {
                self.mark_used(part);
            }
        }
    }

    /// Whether matrices of the files are packed for other kernels than were asked for.
    pub fn packed_again(&self) -> bool {
        self.packed_again.load(Ordering::Relaxed)
    }

    /// Records what is packed from here on.
    #[cfg(feature = "std")]
    pub(super) fn record(&mut self) {
        self.recorder = Some(Recorder::default());
    }

    /// What was packed since [`Bundle::recording`](super::Bundle::recording).
    #[cfg(feature = "std")]
    pub fn recorded(&self) -> Vec<Recorded> {
        self.recorder.as_ref().map(|recorder| recorder.packed().clone()).unwrap_or_default()
    }
}

/// Collects what is packed while a model is loaded: for who writes it into a file.
#[cfg(feature = "std")]
#[derive(Debug, Default)]
pub(super) struct Recorder {
    read: Mutex<Vec<usize>>,
    packed: Mutex<Vec<Recorded>>,
}

#[cfg(feature = "std")]
impl Recorder {
    /// Indices of the tensors that were read, in their order.
    pub(super) fn read(&self) -> MutexGuard<'_, Vec<usize>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was packed.
    pub(super) fn packed(&self) -> MutexGuard<'_, Vec<Recorded>> {
        self.packed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A matrix that was packed while a model was loaded.
#[cfg(feature = "std")]
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its name: what it is called in its module, behind the names of the modules.
    pub key: String,
    /// The names of the tensors that it was made of.
    pub from: Vec<String>,
    /// The matrix.
    pub weights: PackedWeights,
}

#[cfg(feature = "std")]
impl Recorded {
    /// The name of its tensor in a file.
    pub fn name(&self) -> String {
        alloc::format!("{PACKED_KEY}:{}", self.key)
    }

    /// What the metadata say of it.
    pub fn description(&self) -> String {
        let (weights, from) = (&self.weights, &self.from);
        let kernel = weights.kernel().name;
        serde_json::json!({ "kernel": kernel, "rows": weights.rows(), "cols": weights.cols(), "from": from })
            .to_string()
    }
}
