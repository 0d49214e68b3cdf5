//! The pictures that a command line names: files, directories, lists of files, standard input.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Exit, Failure, Result};
use crate::text_file::{self, is_stdin};
use crate::{output, video};

/// Endings of pictures, in small letters. Formats that cannot be read are among them, so that such files in a
/// directory are named and not passed over.
const ENDINGS: [&str; 26] = [
    "png", "jpg", "jpeg", "jpe", "jfif", "ppm", "pgm", "pbm", "pnm", "webp", "bmp", "dib", "tif", "tiff",
    "gif", "apng", "avif", "heic", "heif", "jxl", "jp2", "ico", "tga", "psd", "dng", "svg",
];

/// What a command is to work on.
#[derive(Debug)]
pub(crate) struct Input {
    /// The picture, or what should have led to some.
    pub(crate) path: PathBuf,
    /// Why there is no picture.
    pub(crate) problem: Option<Failure>,
}

/// The inputs of the arguments `paths`, in their order: a directory is its pictures in the order in which a person
/// counts, those of the directories in it only if `recursive`; `@FILE` is what the file lists, `@-` what standard input
/// lists; `-` is a picture from standard input, which `stdin_taken` says is read by something else already.
///
/// What leads to no picture is an input with a problem. Files that are passed over are told on standard error.
///
/// # Errors
/// Usage if standard input would be read twice.
pub(crate) fn expand(paths: &[PathBuf], recursive: bool, stdin_taken: bool) -> Result<Vec<Input>> {
    let readers = paths.iter().filter(|path| is_stdin(path) || path.as_os_str() == "@-").count();
    if readers + usize::from(stdin_taken) > 1 {
        return Err(Failure::usage("standard input (-) can be read only once"));
    }
    let mut expansion = Expansion { recursive, inputs: Vec::new() };
    for path in paths {
        match list(path.as_os_str()) {
            Some(list) => expansion.list(path, Path::new(&list)),
            None => expansion.path(path),
        }
    }
    Ok(expansion.inputs)
}

/// The files that list pictures among the arguments `paths`.
pub(crate) fn lists(paths: &[PathBuf]) -> impl Iterator<Item = PathBuf> {
    paths.iter().filter_map(|path| list(path.as_os_str()).map(PathBuf::from))
}

/// What follows the `@` of a list.
fn list(argument: &OsStr) -> Option<OsString> {
    let bytes = argument.as_encoded_bytes().strip_prefix(b"@")?;
    match argument.to_str() {
        Some(text) => text.strip_prefix('@').map(OsString::from),
        None => text_file::os_string(bytes).ok(),
    }
}

struct Expansion {
    recursive: bool,
    inputs: Vec<Input>,
}

impl Expansion {
    fn problem(&mut self, path: impl Into<PathBuf>, failure: Failure) {
        self.inputs.push(Input { path: path.into(), problem: Some(failure) });
    }

    fn path(&mut self, path: &Path) {
        if !is_stdin(path) && path.is_dir() {
            self.directory(path);
        } else {
            self.inputs.push(Input { path: path.into(), problem: None });
        }
    }

    /// What the file `list`, given as `argument`, names; relative names are relative to the current directory.
    fn list(&mut self, argument: &Path, list: &Path) {
        let bad = |what: String| Failure::new(Exit::Input, format!("{}: {what}", argument.display()));
        let names = match text_file::read(list) {
            Ok(bytes) => text_file::names(&bytes).map_err(bad),
            Err(failure) => Err(failure.hint(format!(
                "@FILE is a list of pictures; the file of this name would be ./{}",
                argument.display()
            ))),
        };
        let names = match names {
            Ok(names) if names.is_empty() => {
                return self.problem(argument, bad("no names are in this list".into()));
            }
            Ok(names) => names,
            Err(failure) => return self.problem(argument, failure),
        };
        for name in names.iter().map(Path::new) {
            let first = name.as_os_str().as_encoded_bytes().first();
            if first == Some(&b'@') || is_stdin(name) {
                let what =
                    format!("{}: neither another list nor standard input can be in a list", name.display());
                let hint = format!("a file of this name is ./{}", name.display());
                self.problem(name, bad(what).hint(hint));
            } else {
                self.path(name);
            }
        }
    }

    fn directory(&mut self, path: &Path) {
        let before = self.inputs.len();
        let mut skipped = Skipped::default();
        let mut visited = HashSet::new();
        if let Err(failure) = self.enter(path, &mut visited, &mut skipped) {
            return self.problem(path, failure);
        }
        if self.inputs.len() == before {
            let mut failure =
                Failure::new(Exit::Input, format!("{}: no pictures are in this directory", path.display()));
            if skipped.directories > 0 && !self.recursive {
                failure = failure.hint("--recursive also enters the directories in it");
            }
            return self.problem(path, failure);
        }
        skipped.tell(path, self.recursive);
    }

    /// Adds the pictures of a directory, then those of the directories in it. Each directory is entered once, wherever
    /// links lead.
    fn enter(&mut self, path: &Path, visited: &mut HashSet<PathBuf>, skipped: &mut Skipped) -> Result<()> {
        let unreadable = |error| Failure::unreadable(path, &error);
        if !visited.insert(fs::canonicalize(path).map_err(unreadable)?) {
            return Ok(());
        }
        let (mut pictures, mut directories) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(path).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with('.') || name == "Thumbs.db" || name == "desktop.ini" {
                continue;
            }
            if path.is_dir() {
                directories.push(path);
            } else if is_picture(&path) {
                pictures.push(path);
            } else {
                skipped.file(&name);
            }
        }
        for list in [&mut pictures, &mut directories] {
            list.sort_by(|a, b| video::natural(&a.to_string_lossy(), &b.to_string_lossy()));
        }
        self.inputs.extend(pictures.into_iter().map(|path| Input { path, problem: None }));
        if !self.recursive {
            skipped.directories += directories.len();
            return Ok(());
        }
        for directory in directories {
            if let Err(failure) = self.enter(&directory, visited, skipped) {
                self.problem(directory, failure);
            }
        }
        Ok(())
    }
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    ENDINGS.contains(&ending.as_str())
}

/// What was passed over in a directory.
#[derive(Debug, Default)]
struct Skipped {
    /// The first few.
    names: Vec<String>,
    files: usize,
    directories: usize,
}

impl Skipped {
    fn file(&mut self, name: &str) {
        const NAMED: usize = 3;
        self.files += 1;
        if self.names.len() < NAMED {
            self.names.push(name.to_owned());
        }
    }

    fn tell(&self, path: &Path, recursive: bool) {
        let mut parts = Vec::new();
        if self.files > 0 {
            let more = if self.files > self.names.len() { ", …" } else { "" };
            parts.push(format!(
                "{} not pictures by their names ({}{more})",
                self.files,
                self.names.join(", ")
            ));
        }
        if self.directories > 0 && !recursive {
            parts.push(format!("{} directories (--recursive enters them)", self.directories));
        }
        if !parts.is_empty() {
            output::complain(&format!("{}: skipped {}", path.display(), parts.join(", ")), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_standard_input_is_read_once() {
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert!(expand(&paths(&["-", "a.png"]), false, false).is_ok());
        for (names, taken) in [(&["-", "-"][..], false), (&["-", "@-"], false), (&["-"], true)] {
            assert!(matches!(
                expand(&paths(names), false, taken),
                Err(Failure::Message { exit: Exit::Usage, .. })
            ));
        }
    }

    #[test]
    fn pictures_by_name() {
        assert!(["a.png", "A.JPG", "x.y.tiff", "a/b.heic"].iter().all(|name| is_picture(Path::new(name))));
        assert!(!["a.txt", "png", "a.png.part", ""].iter().any(|name| is_picture(Path::new(name))));
        assert_eq!(list(OsStr::new("@a@b")), Some("a@b".into()));
        assert_eq!(list(OsStr::new("./@a")), None);
    }
}
