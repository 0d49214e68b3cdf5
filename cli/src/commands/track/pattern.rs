//! Names with the number of a frame in them.

use std::path::{Path, PathBuf};

/// A path with the number of a frame in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    before: String,
    /// Digits at least.
    digits: usize,
    after: String,
}

impl Pattern {
    /// Parses `…%d…` or `…%05d…`; `None` if there is no such place, or more than one.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let (before, rest) = path.split_once('%')?;
        let (digits, after) = rest.split_once('d')?;
        let digits = if digits.is_empty() { Some(1) } else { digits.strip_prefix('0')?.parse().ok() };
        let digits = digits.filter(|digits| (1..=20).contains(digits))?;
        (!after.contains('%')).then(|| Self { before: before.into(), digits, after: after.into() })
    }

    /// `DIRECTORY/%05d.ENDING`.
    pub(super) fn within(directory: &str, ending: &str) -> Self {
        let before = format!("{}/", directory.trim_end_matches('/'));
        Self { before, digits: 5, after: format!(".{ending}") }
    }

    pub(super) fn path(&self, frame: u64) -> PathBuf {
        let Self { before, digits, after } = self;
        format!("{before}{frame:0digits$}{after}").into()
    }

    /// Where the files are.
    pub(super) fn directory(&self) -> PathBuf {
        directory_of(&self.path(0))
    }
}

/// Where the file `path` is.
pub(super) fn directory_of(path: &Path) -> PathBuf {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).into()
}

/// Whether an output `path` names a directory, in which files are numbered.
pub(super) fn is_directory(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text != "-"
        && (path.is_dir() || text.ends_with('/') || (path.extension().is_none() && !text.contains('%')))
        && !path.metadata().is_ok_and(|it| !it.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbered() {
        let pattern = Pattern::parse("x-%03d.png").unwrap();
        assert_eq!((pattern.path(7), pattern.path(12345)), ("x-007.png".into(), "x-12345.png".into()));
        assert_eq!(pattern.directory(), Path::new("."));
        assert_eq!(Pattern::parse("a/%d-mask.png").unwrap().path(3), Path::new("a/3-mask.png"));
        let within = Pattern::within("a/b//", "png");
        assert_eq!((within.path(1), within.directory()), ("a/b/00001.png".into(), "a/b".into()));
        for name in ["x.png", "%d%d.png", "%5d.png", "%099d.png", "x%s.png"] {
            assert_eq!(Pattern::parse(name), None, "{name}");
        }
        assert!(
            is_directory(Path::new("some/where"))
                && is_directory(Path::new("x.y/"))
                && is_directory(Path::new("."))
        );
        assert!(
            !is_directory(Path::new("-"))
                && !is_directory(Path::new("x%d"))
                && !is_directory(Path::new("x.png"))
        );
        assert!(!is_directory(Path::new("/dev/null")));
    }
}
