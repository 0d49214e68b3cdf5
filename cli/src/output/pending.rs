//! Files that appear under their names only when they are whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use super::interrupt;

/// Symbolic links that are followed one after the other, as Linux does.
const MAX_LINKS: usize = 40;

/// A file being written. It is a temporary one beside its target until [`Pending::commit`]; an earlier file under the
/// name stays as it is until then, and for good if that never comes.
///
/// What is no regular file (a pipe, a device, standard output) is written to at once.
#[derive(Debug)]
pub(crate) struct Pending {
    file: BufWriter<File>,
    place: Option<Place>,
}

/// Where the bytes are and where they are to go.
#[derive(Debug)]
struct Place {
    temporary: PathBuf,
    /// No symbolic link.
    target: PathBuf,
}

impl Pending {
    /// Begins the file `path`, standard output for `-`.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        interrupt::listen();
        if path.as_os_str() == "-" {
            return Ok(Self::direct(standard_output()?));
        }
        let target = followed(path)?;
        let earlier = fs::metadata(&target).ok();
        if earlier.as_ref().is_some_and(fs::Metadata::is_dir) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if is_descriptor(&target) || earlier.as_ref().is_some_and(|earlier| !earlier.is_file()) {
            return Ok(Self::direct(OpenOptions::new().append(true).open(&target)?));
        }
        if earlier.is_some() {
            // What may not be written to is not replaced either.
            OpenOptions::new().write(true).open(&target)?;
        }
        let directory = target.parent().filter(|parent| !parent.as_os_str().is_empty());
        let (temporary, file) = match temporary(directory.unwrap_or(Path::new("."))) {
            // A file in a directory where none can be made is filled in the end.
            Err(error) if earlier.is_some() => temporary(&std::env::temp_dir()).map_err(|_| error)?,
            made => made?,
        };
        if let Some(earlier) = earlier
            && let Err(error) = file.set_permissions(earlier.permissions())
        {
            remove(&temporary);
            return Err(error);
        }
        Ok(Self { file: BufWriter::new(file), place: Some(Place { temporary, target }) })
    }

    /// Whether [`Pending::create`] would succeed. Nothing is changed; what would block is not tried.
    pub(super) fn try_create(path: &Path) -> io::Result<()> {
        if path.as_os_str() == "-" {
            return Ok(());
        }
        let is_other = |it: fs::Metadata| !it.is_file() && !it.is_dir();
        if fs::metadata(followed(path)?).is_ok_and(is_other) { Ok(()) } else { Self::create(path).map(drop) }
    }

    fn direct(file: File) -> Self {
        Self { file: BufWriter::new(file), place: None }
    }

    /// The bytes so far.
    pub(super) fn file(&mut self) -> &mut BufWriter<File> {
        &mut self.file
    }

    /// The file is whole: gives it its name.
    pub(crate) fn commit(mut self) -> io::Result<()> {
        self.file.flush()?;
        let Some(Place { temporary, target }) = &self.place else { return Ok(()) };
        self.file.get_ref().sync_all()?;
        match fs::rename(temporary, target) {
            Ok(()) => interrupt::forget(temporary),
            // What cannot be replaced, such as a file that is a mount of its own, is filled.
            Err(_) if target.is_file() => {
                fill(temporary, target)?;
                remove(temporary);
            }
            Err(error) => return Err(error),
        }
        self.place = None;
        Ok(())
    }
}

impl Write for Pending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(Place { temporary, .. }) = &self.place {
            remove(temporary);
        }
    }
}

fn remove(temporary: &Path) {
    // Nothing more can be done about it.
    let _ = fs::remove_file(temporary);
    interrupt::forget(temporary);
}

/// Makes a new hidden file in `directory`, which is removed if the command is stopped.
fn temporary(directory: &Path) -> io::Result<(PathBuf, File)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!(".vitrum-{}-{number}.tmp", process::id()));
        match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => {
                let file = made?;
                interrupt::remember(&path);
                return Ok((path, file));
            }
        }
    }
}

/// Writes the bytes of `from` into the file `to`.
fn fill(from: &Path, to: &Path) -> io::Result<()> {
    let (mut from, mut to) = (File::open(from)?, OpenOptions::new().write(true).open(to)?);
    io::copy(&mut from, &mut to)?;
    let end = to.stream_position()?;
    to.set_len(end)?;
    to.sync_all()
}

/// Where `path` leads, although there may be nothing yet.
fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        if is_descriptor(&path) {
            return Ok(path);
        }
        let Ok(to) = fs::read_link(&path) else { return Ok(path) };
        path.pop();
        path.push(to);
    }
    Err(io::Error::other("too many symbolic links"))
}

/// Whether `path` names an open file of a process: what is redirected there is not to be replaced.
fn is_descriptor(path: &Path) -> bool {
    path.starts_with("/proc")
        || path.starts_with("/dev/fd")
        || [Path::new("/dev/stdout"), Path::new("/dev/stderr")].contains(&path)
}

#[cfg(unix)]
fn standard_output() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
}

#[cfg(windows)]
fn standard_output() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    Ok(io::stdout().as_handle().try_clone_to_owned()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("vitrum-pending-{}-{name}", process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn names(directory: &Path) -> Vec<String> {
        let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_when_it_is_whole() {
        let directory = directory("whole");
        let path = directory.join("a.txt");
        let mut file = Pending::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        assert!(!path.exists());
        file.commit().unwrap();
        assert_eq!((fs::read(&path).unwrap(), names(&directory)), (b"new".to_vec(), vec!["a.txt".into()]));
        // What is given up leaves the earlier file, and nothing else.
        let mut file = Pending::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        file.flush().unwrap();
        drop(file);
        assert_eq!((fs::read(&path).unwrap(), names(&directory)), (b"new".to_vec(), vec!["a.txt".into()]));
        for bad in [directory.clone(), directory.join("no/a")] {
            assert!(Pending::create(&bad).is_err() && Pending::try_create(&bad).is_err());
        }
        // A trial changes nothing.
        for good in [&path, &directory.join("b.txt"), Path::new("-")] {
            Pending::try_create(good).unwrap();
        }
        assert_eq!((fs::read(&path).unwrap(), names(&directory)), (b"new".to_vec(), vec!["a.txt".into()]));
        fs::remove_dir_all(directory).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn links_and_permissions_stay() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let directory = directory("links");
        let (target, link) = (directory.join("target"), directory.join("link"));
        symlink("target", &link).unwrap();
        // The target of a link need not exist.
        for text in [b"one", b"two"] {
            let mut file = Pending::create(&link).unwrap();
            file.write_all(text).unwrap();
            file.commit().unwrap();
            assert_eq!(fs::read(&target).unwrap(), text);
            assert!(link.is_symlink());
            fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
        }
        Pending::create(&target).unwrap().commit().unwrap();
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);
        symlink("circle", directory.join("circle")).unwrap();
        assert!(Pending::create(&directory.join("circle")).is_err());
        let mut null = Pending::create(Path::new("/dev/null")).unwrap();
        null.write_all(b"nothing").unwrap();
        null.commit().unwrap();
        assert!(fs::metadata("/dev/null").is_ok_and(|null| !null.is_file()));
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_replaced_is_filled() {
        let directory = directory("fill");
        let [from, to] = ["from", "to"].map(|name| directory.join(name));
        fs::write(&from, "short").unwrap();
        fs::write(&to, "something longer").unwrap();
        fill(&from, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"short");
        fs::remove_dir_all(directory).unwrap();
    }
}
