//! Where the bytes of a safetensors file come from: the caller's memory, or a file read piece by piece.

#[cfg(feature = "std")]
use alloc::sync::Arc;
#[cfg(feature = "std")]
use std::{
    fs::{self, File, Metadata},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::loading::Progress;
use crate::error::{Result, err};
use crate::exec::Lines;
#[cfg(feature = "std")]
use crate::exec::{MappedFile, SteadyFiles};

/// Bytes that are read at a time where a load may be stopped in between.
const PIECE: usize = 1 << 20;

/// One safetensors file's bytes.
#[derive(Debug)]
pub(super) enum Source<'a> {
    Memory(&'a [u8]),
    #[cfg(feature = "std")]
    File(SourceFile),
}

impl Source<'_> {
    /// Bytes in the source.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            #[cfg(feature = "std")]
            Self::File(file) => file.len,
        }
    }

    /// The `len` bytes at `at` in place, if that was asked for and they lie on cache lines.
    #[cfg_attr(not(feature = "std"), allow(unused_variables, reason = "memory is copied"))]
    pub(super) fn lines(&self, at: u64, len: usize) -> Result<Option<Lines>> {
        match self {
            Self::Memory(_) => Ok(None),
            #[cfg(feature = "std")]
            Self::File(file) => file.lines(at, len),
        }
    }

    /// [`read`](Self::read) in pieces, of which `progress` is told.
    pub(super) fn read_pieces(&self, at: u64, out: &mut [u8], progress: Progress<'_>) -> Result<()> {
        for (i, piece) in out.chunks_mut(PIECE).enumerate() {
            self.read(at + (i * PIECE) as u64, piece)?;
            progress(piece.len())?;
        }
        Ok(())
    }

    /// Reads the bytes at `at`.
    pub(super) fn read(&self, at: u64, out: &mut [u8]) -> Result<()> {
        match self {
            Self::Memory(bytes) => {
                let bytes = usize::try_from(at).ok().and_then(|at| bytes.get(at..)?.get(..out.len()));
                out.copy_from_slice(bytes.ok_or_else(|| err!(Format, "the weights end too early"))?);
                Ok(())
            }
            #[cfg(feature = "std")]
            Self::File(file) => file.read(at, out),
        }
    }
}

/// A regular file that is expected to stay as it was when it was opened.
///
/// The open handle outlives a rename or removal of its path: a download that replaces the file leaves this one
/// whole. Changes in place are noticed by length and modification time and end in an error.
#[cfg(feature = "std")]
#[derive(Debug)]
pub(super) struct SourceFile {
    path: PathBuf,
    len: u64,
    modified: Option<SystemTime>,
    bytes: Bytes,
}

/// How the bytes of a [`SourceFile`] are reached.
#[cfg(feature = "std")]
#[derive(Debug)]
enum Bytes {
    /// With positioned reads, so that threads can share the handle.
    #[cfg(unix)]
    Read(File),
    /// One reader at a time, where the file's cursor is the only position.
    #[cfg(not(unix))]
    Read(std::sync::Mutex<File>),
    Mapped(Arc<MappedFile>, Option<SteadyFiles>, File),
}

#[cfg(feature = "std")]
impl SourceFile {
    /// Opens the regular file at `path`.
    pub(super) fn open(path: &Path, mmap: bool, steady: Option<SteadyFiles>) -> Result<Self> {
        let (file, metadata) = open_regular(path)?;
        let bytes = if (mmap || steady.is_some()) && metadata.len() > 0 {
            let map = MappedFile::new(&file).map_err(|error| unreadable(path, &error))?;
            Bytes::Mapped(Arc::new(map), steady, file)
        } else {
            #[cfg(not(unix))]
            let file = std::sync::Mutex::new(file);
            Bytes::Read(file)
        };
        Ok(Self { path: path.into(), len: metadata.len(), modified: metadata.modified().ok(), bytes })
    }

    fn read(&self, at: u64, out: &mut [u8]) -> Result<()> {
        self.check_unchanged()?;
        self.bytes.read(at, out).map_err(|error| unreadable(&self.path, &error))
    }

    fn lines(&self, at: u64, len: usize) -> Result<Option<Lines>> {
        let Bytes::Mapped(map, Some(steady), _) = &self.bytes else { return Ok(None) };
        self.check_unchanged()?;
        Ok(map.part(*steady, at, len).map(Lines::from))
    }

    fn check_unchanged(&self) -> Result<()> {
        let now = self.bytes.metadata().map_err(|error| unreadable(&self.path, &error))?;
        if now.len() != self.len || now.modified().ok() != self.modified {
            return Err(err!(Io, "{}: changed while it was being read", self.path.display()));
        }
        Ok(())
    }
}

#[cfg(feature = "std")]
impl Bytes {
    #[cfg(unix)]
    fn read(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Read(file) => std::os::unix::fs::FileExt::read_exact_at(file, out, at),
            Self::Mapped(map, ..) => map.read(at, out),
        }
    }

    #[cfg(not(unix))]
    fn read(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        use io::{Read, Seek};
        match self {
            Self::Read(file) => {
                let mut file = file.lock().map_err(|_| io::ErrorKind::Other)?;
                file.seek(io::SeekFrom::Start(at))?;
                file.read_exact(out)
            }
            Self::Mapped(map, ..) => map.read(at, out),
        }
    }

    fn metadata(&self) -> io::Result<Metadata> {
        match self {
            #[cfg(unix)]
            Self::Read(file) => file.metadata(),
            #[cfg(not(unix))]
            Self::Read(file) => file.lock().map_err(|_| io::ErrorKind::Other)?.metadata(),
            Self::Mapped(.., file) => file.metadata(),
        }
    }
}

/// Opens a regular file (symlinks are followed). Asked before opening, because opening a FIFO waits for its
/// other end, and again afterwards, because the path may have changed in between.
#[cfg(feature = "std")]
pub(super) fn open_regular(path: &Path) -> Result<(File, Metadata)> {
    let regular = |metadata: Metadata| {
        if metadata.is_file() {
            Ok(metadata)
        } else {
            Err(err!(Unsupported, "{}: not a regular file", path.display()))
        }
    };
    regular(fs::metadata(path).map_err(|error| unreadable(path, &error))?)?;
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let metadata = regular(file.metadata().map_err(|error| unreadable(path, &error))?)?;
    Ok((file, metadata))
}

/// The error for a path that the operating system cannot read.
#[cfg(feature = "std")]
pub(super) fn unreadable(path: &Path, error: &io::Error) -> crate::Error {
    match error.kind() {
        io::ErrorKind::NotFound => err!(NotFound, "{}: no such file or directory", path.display()),
        io::ErrorKind::OutOfMemory => err!(OutOfMemory, "{}: no memory to open or read it", path.display()),
        io::ErrorKind::UnexpectedEof => err!(Io, "{}: ended while it was being read", path.display()),
        _ => err!(Io, "{}: {error}", path.display()),
    }
}
