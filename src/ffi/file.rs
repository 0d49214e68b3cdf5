//! Where models come from: `vitrum_file`, a file in memory, and paths.

use core::ffi::c_char;

use super::args::{Nullable, array, text};
use crate::error::{Result, err};
use crate::exec::TryGrow;
use crate::weights::{Bundle, BundleParts};

/// A file of a model in the caller's memory. This struct will never change.
#[repr(C)]
pub struct vitrum_file {
    /// Its name without directories, NUL-terminated UTF-8: such as `config.json`.
    pub name: *const c_char,
    /// Its contents, which need no alignment; may be NULL if `size` is 0.
    pub data: Nullable<*const u8>,
    /// How many bytes there are at `data`.
    pub size: usize,
}

/// The model at a path: a directory, or a safetensors file. `mmap` is that of the caller's options.
///
/// # Safety
/// `path` must be NULL or lead to a NUL-terminated string.
pub(super) unsafe fn open(path: *const c_char, mmap: u32) -> Result<Bundle<'static>> {
    // SAFETY: the caller's promise.
    let path = unsafe { text(path, "path")? };
    open_path(path, mmap)
}

#[cfg(feature = "std")]
fn open_path(path: &str, mmap: u32) -> Result<Bundle<'static>> {
    use crate::exec::SteadyFiles;
    use crate::weights::OpenOptions;
    let options = match mmap {
        0 | 1 => OpenOptions::new().with_mmap(mmap == 1),
        // SAFETY: the promise of the caller who sets it.
        2 => OpenOptions::new().with_weights_in_place(unsafe { SteadyFiles::promise() }),
        _ => return Err(err!(InvalidArgument, "mmap is {mmap}, expected 0, 1 or 2")),
    };
    Bundle::open(std::path::Path::new(path), options)
}

#[cfg(not(feature = "std"))]
fn open_path(path: &str, _mmap: u32) -> Result<Bundle<'static>> {
    Err(err!(Unsupported, "{path}: this library was built without files; load the model from memory"))
}

/// The model in `count` files in the caller's memory, which cannot be mapped: `mmap` must be 0.
///
/// # Safety
/// `files` must be NULL or valid for `'a`, as must be what its names, NULL or strings, and its data lead to.
pub(super) unsafe fn open_memory<'a>(
    files: *const vitrum_file,
    count: usize,
    mmap: u32,
) -> Result<Bundle<'a>> {
    // SAFETY: the caller's promise.
    let files = unsafe { array(files, count, "files")? };
    if mmap != 0 {
        return Err(err!(InvalidArgument, "mmap: these files are in memory already"));
    }
    let mut parts = BundleParts::default();
    for (i, file) in files.iter().enumerate() {
        // SAFETY: the caller's promise.
        let name = unsafe { text(file.name, &alloc::format!("files[{i}].name"))? };
        let contents: &[u8] = match file.size {
            0 => &[],
            // SAFETY: the caller's promise.
            size => unsafe { array(file.data, size, &alloc::format!("{name}: data"))? },
        };
        if name.ends_with(".safetensors") {
            parts.weights.try_push(contents)?;
        } else {
            parts.files.try_push((name, contents))?;
        }
    }
    Bundle::from_memory(parts)
}
