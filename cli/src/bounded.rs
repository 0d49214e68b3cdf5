//! Reading files that may be anything: a device that never ends, a pipe, another file than was meant.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::failure::{Exit, Failure, Result};

/// Bytes by which a file is known.
const HEAD: u64 = 4096;

/// The bytes of `source`: one more than `most` at most, and, if it does not begin as a file of the kind that is wanted, only
/// those by which that is seen.
pub(crate) fn read(
    mut source: impl Read,
    most: u64,
    is_wanted: impl Fn(&[u8]) -> bool,
) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.by_ref().take(HEAD).read_to_end(&mut bytes)?;
    if is_wanted(&bytes) {
        source.take(most.saturating_sub(HEAD) + 1).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// The bytes of the file `path`, of a kind that is known by its first bytes.
///
/// # Errors
/// It cannot be read, or has more than `most` bytes.
pub(crate) fn open(path: &Path, most: u64, is_wanted: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>> {
    let bytes = File::open(path).and_then(|file| read(file, most, is_wanted));
    let bytes = bytes.map_err(|error| Failure::unreadable(path, &error))?;
    if bytes.len() as u64 > most {
        let message = format!("{}: larger than {} MB, the limit for such a file", path.display(), most >> 20);
        return Err(Failure::new(Exit::Input, message));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_end_is_not_read_to_it() {
        let zeros = || io::repeat(0);
        assert_eq!(read(zeros(), 1 << 20, |head| head.starts_with(b"GIF")).unwrap().len() as u64, HEAD);
        assert_eq!(read(zeros(), 1 << 20, |_| true).unwrap().len(), (1 << 20) + 1);
        assert_eq!(read(&b"GIF89a"[..], 1 << 20, |head| head.starts_with(b"GIF")).unwrap(), b"GIF89a");
    }
}
