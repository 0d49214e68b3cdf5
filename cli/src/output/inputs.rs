//! What a command reads, so that nothing it writes replaces that.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};

/// A file, whatever it is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Id {
    #[cfg(unix)]
    Node(u64, u64),
    Path(PathBuf),
}

impl Id {
    /// Of what is there.
    #[cfg(unix)]
    fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(path).ok().map(|it| Self::Node(it.dev(), it.ino()))
    }

    #[cfg(not(unix))]
    fn of(path: &Path) -> Option<Self> {
        fs::canonicalize(path).ok().map(Self::Path)
    }

    /// Of what may be there.
    fn of_output(path: &Path) -> Self {
        Self::of(path).unwrap_or_else(|| {
            let parent =
                path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let directory = fs::canonicalize(parent).unwrap_or_else(|_| parent.into());
            Self::Path(directory.join(path.file_name().unwrap_or_default()))
        })
    }
}

/// The files that a command reads.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    files: HashMap<Id, PathBuf>,
    /// Where all pictures are frames.
    frames: Option<(Id, PathBuf)>,
}

impl Inputs {
    /// Adds a file, or all files of a directory. What is not there is no input of this kind.
    pub(crate) fn add(&mut self, path: &Path) {
        let entries = fs::read_dir(path).into_iter().flatten().filter_map(|entry| entry.ok());
        for path in entries.map(|entry| entry.path()).chain([path.to_path_buf()]) {
            if path.is_file()
                && let Some(id) = Id::of(&path)
            {
                self.files.entry(id).or_insert(path);
            }
        }
    }

    /// Adds a video.
    pub(crate) fn add_video(&mut self, path: &Path) {
        self.add(path);
        if path.is_dir() {
            self.frames = Id::of(path).map(|id| (id, path.into()));
        }
    }

    /// Fails if the file `path`, which an option called `option` names, is an input.
    pub(crate) fn check(&self, option: &str, path: &Path) -> Result<()> {
        match Id::of(path).and_then(|id| self.files.get(&id)) {
            None => Ok(()),
            Some(input) => {
                let (path, input) = (path.display(), input.display());
                Err(Failure::usage(format!("{option} {path} would replace the input {input}"))
                    .hint("choose another name"))
            }
        }
    }

    /// Fails if `directory` is that of the frames: pictures there would be read as frames the next time.
    pub(crate) fn check_directory(&self, option: &str, output: &Path, directory: &Path) -> Result<()> {
        match &self.frames {
            Some((id, frames)) if Id::of(directory).as_ref() == Some(id) => Err(Failure::usage(format!(
                "{option} {}: pictures in {}, whose pictures are the frames of the video",
                output.display(),
                frames.display()
            ))
            .hint(
                "they would replace frames, or be taken for frames the next time: choose another directory",
            )),
            _ => Ok(()),
        }
    }
}

/// Fails if two of `outputs`, options and the paths that they name, are the same file.
pub(crate) fn check_distinct<'a>(outputs: impl IntoIterator<Item = (&'a str, &'a Path)>) -> Result<()> {
    let mut seen = HashMap::new();
    for (option, path) in outputs {
        // A device takes everything.
        let is_file = fs::metadata(path).is_ok_and(|it| it.is_file() || it.is_dir()) || !path.exists();
        if is_file && let Some(earlier) = seen.insert(Id::of_output(path), path) {
            let (path, earlier) = (path.display(), earlier.display());
            return Err(Failure::usage(format!("{option} {path} would replace the output {earlier}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    fn refused(result: Result<()>) -> Option<String> {
        match result {
            Ok(()) => None,
            Err(Failure::Message { exit: Exit::Usage, message, .. }) => Some(message),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn inputs_are_known_by_any_name() {
        let directory = std::env::temp_dir().join(format!("vitrum-inputs-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(directory.join("frames/sub")).unwrap();
        for name in ["a.png", "frames/1.png", "frames/notes.txt", "other.png"] {
            fs::write(directory.join(name), name).unwrap();
        }
        let mut inputs = Inputs::default();
        inputs.add(&directory.join("a.png"));
        inputs.add(Path::new("demo:sam"));
        inputs.add_video(&directory.join("frames"));
        let check = |name: &str| refused(inputs.check("--output", &directory.join(name)));
        for name in ["a.png", "frames/../a.png", "frames/1.png", "frames/sub/../notes.txt"] {
            assert!(check(name).is_some_and(|it| it.contains("would replace the input")), "{name}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("frames/1.png", directory.join("link.png")).unwrap();
            fs::hard_link(directory.join("a.png"), directory.join("hard.png")).unwrap();
            assert!(check("link.png").is_some() && check("hard.png").is_some());
        }
        assert!(check("other.png").is_none() && check("new.png").is_none());
        let within = |name: &str| {
            refused(inputs.check_directory("--output", &directory.join("x"), &directory.join(name)))
        };
        assert!(within("frames/sub/..").is_some_and(|it| it.contains("the frames of the video")));
        assert!(within("frames/sub").is_none() && within("no").is_none());

        let distinct = |names: &[&str]| {
            let paths: Vec<PathBuf> = names.iter().map(|name| directory.join(name)).collect();
            refused(check_distinct(paths.iter().map(|path| ("-o", &**path))))
        };
        assert!(distinct(&["x.png", "frames/../x.png"]).is_some());
        assert!(distinct(&["x.png", "y.png", "a.png"]).is_none());
        assert!(refused(check_distinct([("-o", Path::new("/dev/null")); 2])).is_none());
        fs::remove_dir_all(directory).unwrap();
    }
}
