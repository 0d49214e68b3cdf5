//! A model as it is stored: tensors and the small files beside them.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use super::archive::{Archive, TensorInfo};
use super::config::Config;
use super::json::quoted;
use super::scope::Scope;
use super::source::Source;
use crate::error::{Result, err};
use crate::kernels::gemm::{Packing, WeightFormat};

/// The files beside the weights that a [`Bundle`] offers.
pub const SIDE_FILES: [&str; 18] = [
    "config.json",
    "open_clip_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "bpe_simple_vocab_16e6.txt",
    "bpe_simple_vocab_16e6.txt.gz",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "adapter_config.json",
];

/// The key of the weights' format in the metadata of their files.
pub const WEIGHT_FORMAT_KEY: &str = "vitrum.weights";

/// Bytes of a side file at most. CLIP's `tokenizer.json` has 2.2 MB, SigLIP 2's 34 MB.
pub const MAX_SIDE_FILE: usize = 64 << 20;

/// A model directory, a single weights file, or the same in memory.
#[derive(Debug)]
pub struct Bundle<'a> {
    archive: Archive<'a>,
    files: SideFiles<'a>,
    /// Which of [`SIDE_FILES`] were asked for.
    asked: [AtomicBool; SIDE_FILES.len()],
}

/// A model in the caller's memory.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct BundleParts<'a> {
    /// The contents of one or several weights files: safetensors, or with feature `torch` PyTorch checkpoints. They need
    /// no alignment.
    pub weights: Vec<&'a [u8]>,
    /// Names (of [`SIDE_FILES`]) and contents of the files beside them.
    pub files: Vec<(&'a str, &'a [u8])>,
}

impl<'a> BundleParts<'a> {
    /// A model in one weights file.
    pub fn new(weights: &'a [u8]) -> Self {
        Self { weights: alloc::vec![weights], files: Vec::new() }
    }

    /// Adds another shard of weights.
    #[must_use]
    pub fn with_shard(mut self, weights: &'a [u8]) -> Self {
        self.weights.push(weights);
        self
    }

    /// Adds a side file.
    #[must_use]
    pub fn with_file(mut self, name: &'a str, contents: &'a [u8]) -> Self {
        self.files.push((name, contents));
        self
    }
}

#[derive(Debug)]
pub(super) enum SideFiles<'a> {
    Memory(Vec<(String, &'a [u8])>),
    #[cfg(feature = "std")]
    Directory(std::path::PathBuf),
}

impl<'a> Bundle<'a> {
    pub(super) fn new(archive: Archive<'a>, files: SideFiles<'a>) -> Self {
        Self { archive, files, asked: [const { AtomicBool::new(false) }; SIDE_FILES.len()] }
    }

    /// A model in the caller's memory, which is borrowed, not copied.
    ///
    /// # Errors
    /// `InvalidArgument` if there are no weights, or a side file is unknown or given twice; `Limit` if a side
    /// file is unreasonably large; otherwise the errors of malformed weights: `Format`, `Limit`, `TensorDtype`,
    /// `Unsupported`.
    pub fn from_memory(parts: BundleParts<'a>) -> Result<Self> {
        if parts.weights.is_empty() {
            return Err(err!(InvalidArgument, "no weights"));
        }
        for (i, (name, contents)) in parts.files.iter().enumerate() {
            if !SIDE_FILES.contains(name) {
                return Err(err!(InvalidArgument, "{name:?} is not a file of a model"));
            }
            if parts.files[..i].iter().any(|(other, _)| other == name) {
                return Err(err!(InvalidArgument, "{name} is given twice"));
            }
            check_side_file(name, contents.len())?;
        }
        let labels = (0..).map(|i| match parts.weights.len() {
            1 => "weights".into(),
            _ => alloc::format!("weights[{i}]"),
        });
        let sources = parts.weights.iter().map(|weights| Source::Memory(weights));
        let archive = Archive::new(labels.zip(sources))?;
        let files = parts.files.into_iter().map(|(name, contents)| (name.into(), contents)).collect();
        Ok(Self::new(archive, SideFiles::Memory(files)))
    }

    /// The tensors.
    pub fn archive(&self) -> &Archive<'a> {
        &self.archive
    }

    /// All tensors as the scope that models bind from, to be packed as `packing` says: as f32 if it is a
    /// [`Level`](crate::simd::Level).
    pub fn scope(&self, packing: impl Into<Packing>) -> Scope<'_> {
        Scope::new(&self.archive, packing)
    }

    /// What the files say that the weights should be kept as, by `vitrum.weights` in their metadata: f32 if they say
    /// nothing.
    ///
    /// # Errors
    /// `Unsupported` for a format of a later version.
    pub fn weight_format(&self) -> Result<WeightFormat> {
        let Some(name) = self.archive.metadata().get(WEIGHT_FORMAT_KEY) else {
            return Ok(WeightFormat::F32);
        };
        WeightFormat::from_name(name).ok_or_else(|| {
            err!(Unsupported, "weights in the format {}, which this version does not know", quoted(name))
        })
    }

    /// This bundle, which from here on keeps what a load packs, for [`Archive::recorded`]: to write it into a file that loads
    /// faster.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn recording(mut self) -> Self {
        self.archive.record();
        self
    }

    /// The tensors that no scope has read so far.
    pub fn unused(&self) -> impl Iterator<Item = TensorInfo<'_>> {
        self.archive.unused()
    }

    /// The side file called `name`, one of [`SIDE_FILES`], or `None` if the model has none. A directory's file
    /// is read at each call.
    ///
    /// # Errors
    /// `Limit` if it is larger than [`MAX_SIDE_FILE`], `Unsupported` if it is not a regular file, `Io`.
    pub fn file(&self, name: &str) -> Result<Option<Cow<'_, [u8]>>> {
        if let Some(i) = SIDE_FILES.iter().position(|candidate| *candidate == name) {
            self.asked[i].store(true, Ordering::Relaxed);
        }
        match &self.files {
            SideFiles::Memory(files) => {
                let file = files.iter().find(|(candidate, _)| candidate == name);
                Ok(file.map(|(_, contents)| Cow::Borrowed(*contents)))
            }
            #[cfg(feature = "std")]
            SideFiles::Directory(directory) => {
                if !SIDE_FILES.contains(&name) {
                    return Ok(None);
                }
                Ok(super::open::read_if_present(&directory.join(name))?.map(Cow::Owned))
            }
        }
    }
}

impl Bundle<'_> {
    /// The configuration in the side file called `name`, or `None` if there is no such file.
    ///
    /// # Errors
    /// As [`file`](Self::file) and [`Config::parse`].
    pub fn config(&self, name: &str) -> Result<Option<Config>> {
        self.file(name)?.map(|text| Config::parse(name, &text)).transpose()
    }

    /// Whether there is a side file called `name`, without reading it.
    pub fn has_file(&self, name: &str) -> bool {
        match &self.files {
            SideFiles::Memory(files) => files.iter().any(|(candidate, _)| candidate == name),
            #[cfg(feature = "std")]
            SideFiles::Directory(directory) => directory.join(name).is_file(),
        }
    }

    /// The side files that are there and that nothing has asked for.
    pub fn unread_files(&self) -> impl Iterator<Item = &'static str> {
        let asked = SIDE_FILES.into_iter().zip(&self.asked);
        asked
            .filter(|(name, asked)| !asked.load(Ordering::Relaxed) && self.has_file(name))
            .map(|(name, _)| name)
    }
}

pub(super) fn check_side_file(name: impl core::fmt::Display, len: usize) -> Result<()> {
    if len > MAX_SIDE_FILE {
        return Err(err!(Limit, "{name}: {len} bytes, at most {MAX_SIDE_FILE} are read"));
    }
    Ok(())
}
