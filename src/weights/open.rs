//! Finding a model's files on disk, and which of them may be opened.
//!
//! The file or directory that the user names, and the fixed names in it (`model.safetensors`, `config.json` …),
//! are the user's choice: they may be symlinks to anywhere, as in the Hugging Face cache, but must lead to
//! regular files. Shard names are different, for they are written in a file that may come from a stranger: each
//! must be a plain file name, and what it resolves to must lie in the model directory itself or, if that is a
//! snapshot in the Hugging Face cache (`<repository>/snapshots/<revision>`), in `<repository>/blobs`, where the
//! cache keeps the contents.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::archive::Archive;
use super::bundle::{Bundle, MAX_SIDE_FILE, SideFiles, check_side_file};
use super::config::Config;
use super::header::{MAX_HEADER, MAX_TENSORS};
use super::json::{self, Bounds, quoted};
use super::kind;
use super::source::{Source, SourceFile, open_regular, unreadable};
use crate::error::{ErrorCode, Result, err};
use crate::exec::{SteadyFiles, TryCollect, TryGrow, check_memory};

/// Shards of a model at most; each keeps a file open.
const MAX_SHARDS: usize = 256;

const INDEX: &str = "model.safetensors.index.json";

/// Weights of a model directory by name, the preferred first. Between the two rows any other `*.safetensors` comes.
const SAFETENSORS: [&str; 3] = ["model.safetensors", INDEX, "open_clip_model.safetensors"];
/// What comes before them where `config.json` is timm's: its weights of an image tower, with names of their own, are in
/// `model.safetensors` of the repositories that are OpenCLIP's, too.
const OPEN_CLIP: &str = SAFETENSORS[2];
const TORCH: [&str; 3] = ["pytorch_model.bin", "pytorch_model.bin.index.json", "open_clip_pytorch_model.bin"];
/// Endings of other weights: the only file with one of them is taken.
const TORCH_ENDINGS: [&str; 3] = ["pt", "pth", "ckpt"];

/// How [`Bundle::open`] reads.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenOptions {
    mmap: bool,
    steady: Option<SteadyFiles>,
}

impl OpenOptions {
    /// Positioned reads; nothing of a weights file is mapped or kept.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether weights files are mapped into memory (default: no).
    ///
    /// Saves a system call per piece, and costs safety: a mapped file that another process truncates kills this
    /// process when it is read. Pages that were read count as resident memory until the bundle is dropped.
    #[must_use]
    pub fn with_mmap(mut self, mmap: bool) -> Self {
        self.mmap = mmap;
        self
    }

    /// Maps weights files, and uses in place what they have in the layout of this CPU's kernels (`vitrum quantize --pack`):
    /// such a model is there in milliseconds, its pages are shared by all processes, and read when they are first needed.
    /// Everything else is read as without this option.
    ///
    /// Whoever uses it promises that nobody changes the files: a mapped file that is truncated kills this process when it is
    /// read, and one that is written to changes the model.
    #[must_use]
    pub fn with_weights_in_place(mut self, steady: SteadyFiles) -> Self {
        self.steady = Some(steady);
        self
    }
}

impl Bundle<'static> {
    /// Opens a model: a directory or a weights file. Headers are read and checked, tensors are not read.
    ///
    /// A weights file is safetensors or, with feature `torch`, a PyTorch checkpoint (`.pt`, `.pth`, `.bin`, `.ckpt`;
    /// TorchScript too); its contents tell which, not its name. Nothing in a checkpoint is run: of the classes and
    /// functions that its pickle names only those of a list are understood, and any other is an error. If it holds
    /// more than a model, [`Archive::notes`] say what was taken.
    ///
    /// Of a directory the first of these is taken: `model.safetensors`; the shards that
    /// `model.safetensors.index.json` names; `open_clip_model.safetensors` (before these, if `config.json` is timm's); the only `*.safetensors`;
    /// `pytorch_model.bin`; the shards that `pytorch_model.bin.index.json` names; `open_clip_pytorch_model.bin`; the
    /// only `*.pt`, `*.pth` or `*.ckpt`. Side files come from the same directory.
    ///
    /// # Errors
    /// `NotFound`, `Io`, `Unsupported` for what is neither file nor directory, for files of other kinds (named: a Git
    /// LFS pointer, an HTML page …) and checkpoints that need what is not in the list, `InvalidArgument` if the
    /// directory has several candidates, and the errors of malformed weights: `Format`, `Limit`, `TensorDtype`.
    pub fn open(path: &Path, options: OpenOptions) -> Result<Self> {
        let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        let (directory, weights) = if metadata.is_dir() {
            (path, find_weights(path)?)
        } else {
            (path.parent().unwrap_or(Path::new("")), path.into())
        };
        let name = weights.to_string_lossy();
        let ending = [".safetensors", ".bin"]
            .into_iter()
            .find(|ending| name.strip_suffix(".index.json").is_some_and(|name| name.ends_with(ending)));
        let archive = match ending {
            Some(ending) => open_shards(directory, &weights, ending, options)?,
            None => Archive::new([open_source(&weights, options)?])?,
        };
        Ok(Self::new(archive, SideFiles::Directory(directory.into())))
    }
}

fn open_source(path: &Path, options: OpenOptions) -> Result<(String, Source<'static>)> {
    Ok((path.display().to_string(), Source::File(SourceFile::open(path, options.mmap, options.steady)?)))
}

/// The weights file or index of a model directory.
fn find_weights(directory: &Path) -> Result<PathBuf> {
    // A dangling symlink is found too, so that the error names it.
    let present = |names: [&str; 3]| {
        names.map(|name| directory.join(name)).into_iter().find(|path| fs::symlink_metadata(path).is_ok())
    };
    let only = |endings: &[&str]| only_file(directory, endings);
    if let Some(path) = present([OPEN_CLIP; 3]).filter(|_| is_timm(directory)) {
        return Ok(path);
    }
    if let Some(path) = present(SAFETENSORS) {
        return Ok(path);
    }
    if let Some(path) = only(&["safetensors"])? {
        return Ok(path);
    }
    if let Some(path) = present(TORCH) {
        return Ok(path);
    }
    only(&TORCH_ENDINGS)?.ok_or_else(|| {
        err!(
            NotFound,
            "{}: no weights: no .safetensors file, pytorch_model.bin, .pt, .pth or .ckpt file",
            directory.display()
        )
    })
}

/// Whether the `config.json` of a directory is timm's.
fn is_timm(directory: &Path) -> bool {
    let config = read(&directory.join("config.json")).and_then(|text| Config::parse("config.json", &text));
    config.is_ok_and(|config| config.has("architecture") && !config.has("model_type"))
}

/// The file with one of `endings` in a directory, if there is one and no second.
fn only_file(directory: &Path, endings: &[&str]) -> Result<Option<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| unreadable(directory, &error))? {
        let path = entry.map_err(|error| unreadable(directory, &error))?.path();
        if path.extension().is_some_and(|found| endings.iter().any(|ending| found == *ending)) {
            check_memory()?;
            found.try_push(path)?;
        }
    }
    found.sort_unstable();
    match &found[..] {
        [] => Ok(None),
        [path] => Ok(Some(path.clone())),
        [first, second, ..] => Err(err!(
            InvalidArgument,
            "{}: several .{} files and no {INDEX} ({}, {} …); name one",
            directory.display(),
            endings.join("/."),
            first.display(),
            second.display(),
        )),
    }
}

/// Opens the shards that `index` names and checks that each tensor is where the index says.
fn open_shards(
    directory: &Path,
    index: &Path,
    ending: &str,
    options: OpenOptions,
) -> Result<Archive<'static>> {
    let weight_map = read_index(index).map_err(|error| error.within(index.display()))?;
    let names: BTreeSet<&str> = weight_map.iter().map(|(_, shard)| &shard[..]).collect();
    if names.len() > MAX_SHARDS {
        return Err(err!(Limit, "{}: {} shards, at most {MAX_SHARDS}", index.display(), names.len()));
    }
    let open = |name: &&str| {
        let path = shard_path(directory, name, ending).map_err(|error| error.within(index.display()))?;
        Ok(((*name).into(), Source::File(SourceFile::open(&path, options.mmap, options.steady)?)))
    };
    let archive = Archive::new(names.iter().map(open).collect::<Result<Vec<_>>>()?)?;
    for (tensor, shard) in &weight_map {
        if archive.shard_of(tensor) != Some(shard) {
            return Err(err!(MissingTensor, "missing tensor {} in shard {}", quoted(tensor), quoted(shard)));
        }
    }
    Ok(archive)
}

/// The pairs of tensor and shard in an index: `{"metadata": …, "weight_map": {tensor: shard}}`.
fn read_index(path: &Path) -> Result<Vec<(String, String)>> {
    const LIMITS: Bounds = Bounds { bytes: MAX_HEADER, depth: 8, nodes: 2 * MAX_TENSORS };
    let mut index = json::parse(&read(path)?, LIMITS)?;
    let Some(Value::Object(weight_map)) = index.get_mut("weight_map").map(Value::take) else {
        return Err(err!(Format, "no object \"weight_map\""));
    };
    check_weight_map(weight_map)
}

fn check_weight_map(weight_map: Map<String, Value>) -> Result<Vec<(String, String)>> {
    if weight_map.is_empty() {
        return Err(err!(Format, "an empty \"weight_map\""));
    }
    let pair = |(tensor, shard): (String, Value)| match shard {
        Value::String(shard) => Ok((tensor, shard)),
        _ => Err(err!(Format, "\"weight_map\": the shard of {} is not a string", quoted(&tensor))),
    };
    weight_map.into_iter().map(pair).try_values()
}

/// Where the shard `name` of an index, a file with this ending, lies, if it may be opened; see the module's description.
fn shard_path(directory: &Path, name: &str, ending: &str) -> Result<PathBuf> {
    let plain = name.ends_with(ending) && !name.contains(|c: char| c.is_control() || "/\\:".contains(c));
    if !plain {
        return Err(err!(Format, "shard {}: not the plain name of a {ending} file", quoted(name)));
    }
    let path = directory.join(name);
    let real = |path: &Path| fs::canonicalize(path).map_err(|error| unreadable(path, &error));
    let (shard, home) = (real(&path)?, real(if directory == "" { Path::new(".") } else { directory })?);
    let blobs = home
        .ancestors()
        .skip(1)
        .find(|parent| parent.file_name() == Some(OsStr::new("snapshots")))
        .map(|snapshots| snapshots.with_file_name("blobs"));
    if !shard.starts_with(&home) && !blobs.is_some_and(|blobs| shard.starts_with(blobs)) {
        return Err(err!(Format, "shard {}: leads out of the model directory", quoted(name)));
    }
    Ok(shard)
}

/// The contents of a side file, or `None` if there is no file at `path`.
pub(super) fn read_if_present(path: &Path) -> Result<Option<Vec<u8>>> {
    match read(path) {
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        contents => contents.map(Some),
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let (file, metadata) = open_regular(path)?;
    check_side_file(path.display(), usize::try_from(metadata.len()).unwrap_or(usize::MAX))?;
    let mut contents = Vec::new();
    file.take(MAX_SIDE_FILE as u64 + 1)
        .read_to_end(&mut contents)
        .map_err(|error| unreadable(path, &error))?;
    // Asked again: the file may have grown meanwhile.
    check_side_file(path.display(), contents.len())?;
    match kind::instead_of_file(&contents[..contents.len().min(kind::START)]) {
        Some(what) => Err(err!(Unsupported, "{}: {what}", path.display())),
        None => Ok(contents),
    }
}
