//! A file mapped into memory.
//!
//! # Soundness
//!
//! Another process may write to a mapped file while it is read, which no type can rule out. Bytes are copied out of the
//! map, at places that are checked against its length, and judged as a copy. A part that is used in place takes the
//! promise of [`SteadyFiles`], which is unsafe to give, and keeps the file mapped.
//!
//! Tests: `prepacked::what_fits_is_taken_and_in_place_only_if_promised`, `prepacked::what_does_not_fit_is_refused`.

use alloc::sync::Arc;
use core::ops::{Deref, Range};
use std::fs::File;
use std::io;

use memmap2::Mmap;

/// A read-only mapping of a regular file, whose pages processes share.
///
/// The mapping is only as steady as the file. If another process truncates the file, reading the lost pages
/// kills this process (SIGBUS); if it writes to the file, the bytes change. So [`read`](Self::read) copies, and every
/// value derived from a copy stays what it is; a [`MappedPart`] needs the promise of [`SteadyFiles`].
#[derive(Debug)]
pub struct MappedFile {
    map: Mmap,
}

/// The promise that files stay as they are while they are mapped.
#[derive(Clone, Copy, Debug)]
pub struct SteadyFiles(());

impl SteadyFiles {
    /// Gives the promise.
    ///
    /// # Safety
    /// As long as anything lives that was made with the promise, nothing writes to a file that it was made from, and nothing
    /// truncates it. To rename another file to its name, or to remove the name, is no change: the mapped file lives on.
    #[must_use]
    pub const unsafe fn promise() -> Self {
        Self(())
    }
}

impl MappedFile {
    /// Maps the whole of `file`.
    ///
    /// # Errors
    /// The operating system's.
    pub fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the map is private to this type, which copies out of it, or gives out a part to who has promised that the
        // file stays as it is; see the type's description.
        let map = unsafe { Mmap::map(file)? };
        Ok(Self { map })
    }

    /// Copies the bytes at `at` into `out`.
    ///
    /// # Errors
    /// `UnexpectedEof` if the mapping ends before `at + out.len()`.
    pub fn read(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        let bytes = usize::try_from(at)
            .ok()
            .and_then(|at| self.map.get(at..)?.get(..out.len()))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    /// The `len` bytes at `at`, in place: `None` if they are not in the file, or not whole cache lines at a multiple of
    /// one.
    pub fn part(self: &Arc<Self>, _: SteadyFiles, at: u64, len: usize) -> Option<MappedPart> {
        let at = usize::try_from(at).ok()?;
        let range = at..at.checked_add(len)?;
        let bytes = self.map.get(range.clone())?;
        let whole = (bytes.as_ptr() as usize).is_multiple_of(LINE) && len.is_multiple_of(LINE);
        whole.then(|| MappedPart { file: Arc::clone(self), range })
    }
}

/// Bytes of a cache line.
const LINE: usize = 64;

/// Whole cache lines of a mapped file, which is mapped as long as they are.
#[derive(Clone, Debug)]
pub struct MappedPart {
    file: Arc<MappedFile>,
    range: Range<usize>,
}

impl Deref for MappedPart {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.file.map[self.range.clone()]
    }
}
