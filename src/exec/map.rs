//! A file mapped into memory.

use std::fs::File;
use std::io;

use memmap2::Mmap;

/// A read-only, private mapping of a regular file.
///
/// The mapping is only as steady as the file. If another process truncates the file, reading the lost pages
/// kills this process (SIGBUS); if it writes to the file, the bytes change. That is why nothing here hands out
/// a `&[u8]` of it: [`read`](Self::read) copies, and every value derived from a copy stays what it is.
#[derive(Debug)]
pub struct MappedFile {
    map: Mmap,
}

impl MappedFile {
    /// Maps the whole of `file`.
    ///
    /// # Errors
    /// The operating system's.
    pub fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the map is private to this type, which only copies out of it; see the type's description.
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
}
