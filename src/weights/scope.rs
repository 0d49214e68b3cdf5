//! Looking tensors up by name, with checks and errors that name them.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Display;

use safetensors::Dtype;

use super::archive::{Archive, Tensor};
use super::balance;
use super::json::quoted;
use super::loading::Loading;
use super::table::{Elements, Table};
use crate::error::{Result, err};
use crate::exec::{AlignedVec, Cx, TryCollect, try_copied, try_zeroed};
use crate::kernels::gemm::{PackedWeights, Packing, WeightFormat};
use crate::simd::Level;

/// Modules that hold a model as a whole: those of `DataParallel`, `torch.compile`, Lightning, PEFT, and of programs that
/// keep several models together.
const WRAPPERS: [&str; 12] = [
    "_orig_mod",
    "base_model",
    "clip",
    "clip_model",
    "ema",
    "model",
    "module",
    "net",
    "sam",
    "sam2",
    "sam_model",
    "student",
];

/// A name prefix into an [`Archive`].
///
/// Modules bind themselves from the scope of their name: `scope.at("encoder.layers").at(3).at("mlp.fc1")`
/// finds `encoder.layers.3.mlp.fc1.weight` as `"weight"`. Every tensor that is read counts as used; the rest is
/// [`Archive::unused`].
#[derive(Clone, Debug)]
pub struct Scope<'a> {
    archive: &'a Archive<'a>,
    /// Empty, or a path of names that ends in a dot.
    prefix: String,
    packing: Packing,
    loading: Option<&'a Loading<'a>>,
}

impl<'a> Scope<'a> {
    /// All of `archive`, to be packed as `packing` says.
    pub fn new(archive: &'a Archive<'a>, packing: impl Into<Packing>) -> Self {
        Self { archive, prefix: String::new(), packing: packing.into(), loading: None }
    }

    /// This scope, which tells `loading` what it reads.
    #[must_use]
    pub fn reporting(self, loading: &'a Loading<'a>) -> Self {
        Self { loading: Some(loading), ..self }
    }

    /// Asks the monitor of the load whether to go on, if it is time to: for what is long beside reading.
    ///
    /// # Errors
    /// `Cancelled`.
    pub fn poll(&self) -> Result<()> {
        self.count(0)
    }

    /// Does `work` with a context of this thread alone, whose loops ask the monitor of the load whether to go on.
    ///
    /// # Errors
    /// Those of `work`, and `Cancelled`.
    pub fn compute<R: Send>(&self, work: impl FnOnce(&Cx) -> Result<R> + Send) -> Result<R> {
        let cx = Cx::serial(self.packing.level);
        match self.loading {
            Some(loading) => loading.compute(&cx, work),
            None => work(&cx),
        }
    }

    /// Counts bytes that were read.
    ///
    /// # Errors
    /// `Cancelled` by the monitor of the load.
    fn count(&self, bytes: usize) -> Result<()> {
        self.loading.map_or(Ok(()), |loading| loading.add(bytes))
    }

    /// The scope of the module `name` in this one. An empty name is this scope itself.
    #[must_use]
    pub fn at(&self, name: impl Display) -> Self {
        let mut prefix = alloc::format!("{}{name}", self.prefix);
        if !prefix.is_empty() && !prefix.ends_with('.') {
            prefix.push('.');
        }
        Self { prefix, ..*self }
    }

    /// The scope in which one of `markers`, names that only one kind of model has, is found: this one, or the one behind
    /// what wrappers, training programs and compilers put before all names. `None` if there is no such scope.
    ///
    /// # Errors
    /// `Unsupported` if there are several: which of the models is meant?
    pub fn root(&self, markers: &[&str]) -> Result<Option<Self>> {
        let has_marker = |scope: &Self| markers.iter().any(|marker| scope.contains(marker));
        if has_marker(self) {
            return Ok(Some(self.clone()));
        }
        let before = |name: &'a str| {
            let prefix = markers.iter().find_map(|marker| name.strip_suffix(marker))?.strip_suffix('.')?;
            prefix.split('.').all(|part| WRAPPERS.contains(&part)).then_some(prefix)
        };
        let roots: BTreeSet<&str> =
            self.archive.names().filter_map(|name| before(name.strip_prefix(&self.prefix)?)).collect();
        let mut roots = roots.into_iter();
        match (roots.next(), roots.next()) {
            (Some(a), Some(b)) => {
                Err(err!(Unsupported, "models at both {} and {}: which one is meant?", quoted(a), quoted(b)))
            }
            (root, _) => Ok(root.map(|root| self.at(root))),
        }
    }

    /// What stands before all names: empty, or ending in a dot.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The archive that this scope is in.
    pub fn archive(&self) -> &'a Archive<'a> {
        self.archive
    }

    /// The instruction set for which weights are converted and packed.
    pub fn level(&self) -> Level {
        self.packing.level
    }

    /// How layers pack their weights.
    pub fn packing(&self) -> Packing {
        self.packing
    }

    /// This scope for a layer whose weights stay f32 in every format: its error would reach the result undamped.
    #[must_use]
    pub fn keep_f32(&self) -> Self {
        Self { packing: Packing::from(self.packing.level), ..self.clone() }
    }

    /// Whether this scope has a tensor called `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.archive.find(&self.full(name)).is_some()
    }

    /// The names of the tensors in this scope and the scopes in it, sorted, without this scope's prefix.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.archive.below(&self.prefix).map(|name| &name[self.prefix.len()..])
    }

    /// The shape of the tensor called `name`.
    ///
    /// # Errors
    /// `MissingTensor`.
    pub fn shape(&self, name: &str) -> Result<&'a [usize]> {
        Ok(self.tensor(name)?.info().shape)
    }

    /// The shape of the tensor called `name`, which must have `N` dimensions.
    ///
    /// # Errors
    /// `MissingTensor`, `TensorShape`.
    pub fn dims<const N: usize>(&self, name: &str) -> Result<[usize; N]> {
        let shape = self.shape(name)?;
        shape.try_into().map_err(|_| {
            let name = quoted(&self.full(name));
            err!(TensorShape, "tensor {name}: expected {N} dimensions, found {shape:?}")
        })
    }

    /// The type of the elements of the tensor called `name`.
    ///
    /// # Errors
    /// `MissingTensor`.
    pub fn dtype(&self, name: &str) -> Result<Dtype> {
        Ok(self.tensor(name)?.info().dtype)
    }

    /// The tensor called `name`, which must have `shape`, as f32.
    ///
    /// # Errors
    /// `MissingTensor`, `TensorShape`, `TensorDtype` unless it is F32, F16 or BF16, `OutOfMemory`, and `Io` if
    /// its file cannot be read or has changed since it was opened.
    pub fn f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let tensor = self.shaped(name, shape)?;
        let mut out = try_zeroed(shape.iter().product())?;
        self.read(tensor, &mut out)?;
        Ok(out)
    }

    /// Like [`f32`](Self::f32), into `out`: to concatenate tensors.
    ///
    /// # Errors
    /// As [`f32`](Self::f32).
    ///
    /// # Panics
    /// If `out` does not have as many elements as `shape`.
    pub fn f32_into(&self, name: &str, shape: &[usize], out: &mut [f32]) -> Result<()> {
        let tensor = self.shaped(name, shape)?;
        assert_eq!(out.len(), shape.iter().product::<usize>(), "output for {name}");
        self.read(tensor, out)
    }

    fn read(&self, tensor: &Tensor, out: &mut [f32]) -> Result<()> {
        self.archive.read_f32(tensor, self.packing.level, out, &|bytes| self.count(bytes))?;
        if self.packing.format == WeightFormat::Int8 {
            tensor.apply_factors(out);
        }
        Ok(())
    }

    /// Like [`f32`](Self::f32), for a matrix, or a kernel of a convolution, that is packed as [`packing`](Self::packing) says:
    /// what `vitrum quantize` writes in the format of the packing.
    ///
    /// # Errors
    /// As [`f32`](Self::f32).
    pub fn matrix(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        self.mark_packed(name)?;
        self.f32(name, shape)
    }

    /// Like [`matrix`](Self::matrix), into `out`.
    ///
    /// # Errors
    /// As [`f32`](Self::f32).
    ///
    /// # Panics
    /// If `out` does not have as many elements as `shape`.
    pub fn matrix_into(&self, name: &str, shape: &[usize], out: &mut [f32]) -> Result<()> {
        self.mark_packed(name)?;
        self.f32_into(name, shape, out)
    }

    /// Brings the columns of `matrices` and the layer norm `norm` before them to like magnitudes, if matrices become int8:
    /// scopes for int8 then read the product of each column and a power of two, and of the norm the quotient.
    /// Nothing else may read what the norm gives. In f32, no result changes.
    ///
    /// A model calls it before it binds them. Matrices that are int8 in the file were balanced before they became so.
    ///
    /// # Errors
    /// As [`f32`](Self::f32).
    pub fn balance(&self, norm: &str, matrices: &[impl AsRef<str>]) -> Result<()> {
        if self.packing.format != WeightFormat::Int8 {
            return Ok(());
        }
        let norm = self.at(norm);
        let [gamma, beta] = ["weight", "bias"].map(|name| norm.tensor(name));
        let (gamma, beta) = (gamma?, beta?);
        let tensors = matrices.iter().map(|name| self.tensor(name.as_ref())).collect::<Result<Vec<_>>>()?;
        let [columns] = norm.dims("weight")?;
        if columns == 0 || !tensors.iter().all(|tensor| tensor.is_plain()) {
            return Ok(());
        }
        // As they are stored, whatever another load has set: its factors are the same.
        let stored = self.keep_f32();
        let weights = matrices.iter().map(|name| {
            let [rows, _] = self.dims(name.as_ref())?;
            stored.f32(name.as_ref(), &[rows, columns])
        });
        let weights = weights.collect::<Result<Vec<_>>>()?;
        let [gammas, betas] = ["weight", "bias"].map(|name| norm.keep_f32().f32(name, &[columns]));
        let factors = balance::factors(&gammas?, &betas?, &weights)?;
        for tensor in [gamma, beta] {
            tensor.balance(factors.iter().map(|factor| 1.0 / factor).try_to_vec()?);
        }
        for tensor in tensors {
            tensor.balance(try_copied(&factors)?);
        }
        Ok(())
    }

    /// The matrix of shape `[rows, cols]` that `values` reads from tensors of this scope, packed as [`packing`](Self::packing)
    /// says; `key` is its name in this scope. Where the archive has it packed so already, nothing is read.
    ///
    /// # Errors
    /// As [`f32`](Self::f32), and `Format` for packed bytes of another size.
    ///
    /// # Panics
    /// If `values` gives another number of values, or the shape has a 0.
    pub fn pack(
        &self,
        key: &str,
        shape: [usize; 2],
        values: impl FnOnce() -> Result<Vec<f32>>,
    ) -> Result<PackedWeights> {
        self.archive.pack(self.full(key), self.packing, shape, values, &|bytes| self.count(bytes))
    }

    /// The tensor called `name` of shape `[rows, cols]`, for looking up rows.
    ///
    /// # Errors
    /// As [`f32`](Self::f32).
    pub fn table(&self, name: &str, shape: [usize; 2]) -> Result<Table> {
        let tensor = self.shaped(name, &shape)?;
        let level = self.packing.level;
        let Some(elements) = Elements::of(tensor.info().dtype).filter(|_| tensor.is_whole()) else {
            return Table::of_f32(level, shape, |out| self.read(tensor, out));
        };
        let lines = match self.archive.lines(tensor)? {
            Some(lines) => lines,
            None => {
                let mut owned =
                    AlignedVec::try_zeroed((tensor.info().bytes as usize).div_ceil(size_of::<f32>()))?;
                let bytes = &mut bytemuck::cast_slice_mut(&mut owned)[..tensor.info().bytes as usize];
                self.archive.read_whole(tensor, bytes, &|bytes| self.count(bytes))?;
                tensor.mark_finite(elements.are_finite(bytes));
                owned.into()
            }
        };
        self.archive.mark_used(tensor);
        Ok(Table::new(level, shape, elements, lines))
    }

    /// Refuses to make a table of `values` f32 of a small one, `what`, if the files are far too small for a model that means
    /// it: with 32 MiB, and 64 bytes for each of theirs, the largest input of the smallest released model passes.
    ///
    /// # Errors
    /// `Limit`.
    pub fn check_derived(&self, what: &str, values: usize) -> Result<()> {
        let (bytes, files) = (4 * values as u64, self.archive.file_bytes());
        if bytes > (32 << 20) + files.saturating_mul(64) {
            return Err(err!(Limit, "{what} of {bytes} bytes, to be made of files of {files}"));
        }
        Ok(())
    }

    fn mark_packed(&self, name: &str) -> Result<()> {
        if self.packing.format != WeightFormat::F32 {
            self.tensor(name)?.mark_packed();
        }
        Ok(())
    }

    /// The one element of the tensor called `name`, of shape `[]` or `[1]`.
    ///
    /// # Errors
    /// As [`f32`](Self::f32).
    pub fn scalar(&self, name: &str) -> Result<f32> {
        let tensor = self.tensor(name)?;
        let shape: &[usize] = if tensor.info().shape == [1] { &[1] } else { &[] };
        let mut out = [0.0];
        self.f32_into(name, shape, &mut out)?;
        Ok(out[0])
    }

    fn full(&self, name: &str) -> String {
        if name.is_empty() {
            return self.prefix.strip_suffix('.').unwrap_or_default().into();
        }
        alloc::format!("{}{name}", self.prefix)
    }

    fn tensor(&self, name: &str) -> Result<&'a Tensor> {
        let name = self.full(name);
        self.archive.find(&name).ok_or_else(|| err!(MissingTensor, "missing tensor {}", quoted(&name)))
    }

    fn shaped(&self, name: &str, shape: &[usize]) -> Result<&'a Tensor> {
        let tensor = self.tensor(name)?;
        let found = tensor.info().shape;
        if found != shape {
            let name = quoted(tensor.info().name);
            return Err(err!(TensorShape, "tensor {name}: expected {shape:?}, found {found:?}"));
        }
        Ok(tensor)
    }
}
