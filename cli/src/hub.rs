//! The Hugging Face cache on this machine, where `huggingface_hub` has it. Nothing is downloaded.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::failure::{Exit, Failure, Result};

/// The revision of a model that is named without one.
const MAIN: &str = "main";

/// Bytes of a file with a commit's name at most.
const MAX_REFERENCE: u64 = 4096;

/// Whether `name` is that of a model on the hub: `org/name` or `org/name@revision`; or `name` alone, if such a model
/// is in the cache.
pub(crate) fn is_model_name(name: &str) -> bool {
    let (model, revision) = parts(name);
    if !is_revision(revision) || !is_repository(model) {
        return false;
    }
    model.contains('/') || places().first().is_some_and(|place| place.repository(model).is_dir())
}

/// The directory with the files of the model `name`: `models--org--name/snapshots/<commit>`.
pub(crate) fn snapshot(name: &str) -> Result<PathBuf> {
    snapshot_in(&places(), name)
}

/// `org/name@revision` in two.
fn parts(name: &str) -> (&str, &str) {
    name.split_once('@').unwrap_or((name, MAIN))
}

/// What `huggingface_hub.utils.validate_repo_id` allows: letters, digits, `-`, `_` and `.`, at most 96 of them, no
/// `-` or `.` first or last, no `--` or `..`, not `.git` last.
fn is_repository(name: &str) -> bool {
    let plain = |part: &str| {
        (1..=96).contains(&part.len())
            && !part.starts_with(['.', '-'])
            && !part.ends_with(['.', '-'])
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    name.split('/').count() <= 2
        && name.split('/').all(plain)
        && !["--", ".."].iter().any(|pair| name.contains(pair))
        && !name.ends_with(".git")
}

/// A branch, a tag, a commit, or `refs/pr/N`: names of files below `refs`.
fn is_revision(revision: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['.', '-'])
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+".contains(&b))
    };
    revision.split('/').all(plain)
}

/// A directory that may be the cache.
#[derive(Debug, PartialEq)]
struct Place {
    /// The variable that names it; none for the default.
    variable: Option<&'static str>,
    directory: PathBuf,
}

impl Place {
    fn repository(&self, model: &str) -> PathBuf {
        self.directory.join(format!("models--{}", model.replace('/', "--")))
    }

    /// For messages.
    fn told(&self) -> String {
        let origin = self.variable.map_or("the default place".into(), |variable| format!("from {variable}"));
        format!("{} ({origin})", self.directory.display())
    }
}

fn places() -> Vec<Place> {
    places_of(|variable| env::var_os(variable), env::home_dir())
}

/// Where the cache may be; it is the first place. As in `huggingface_hub/constants.py`: `HF_HUB_CACHE`, its older name
/// `HUGGINGFACE_HUB_CACHE`, `HF_HOME/hub`, `XDG_CACHE_HOME/huggingface/hub`, `~/.cache/huggingface/hub`; in all
/// variables `~` and other variables are expanded. Empty variables count as unset.
fn places_of(variable: impl Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Vec<Place> {
    const VARIABLES: [(&str, &str); 4] = [
        ("HF_HUB_CACHE", ""),
        ("HUGGINGFACE_HUB_CACHE", ""),
        ("HF_HOME", "hub"),
        ("XDG_CACHE_HOME", "huggingface/hub"),
    ];
    let set = |(name, below): (&'static str, &str)| {
        let value = variable(name).filter(|value| !value.is_empty())?;
        let directory = expand(&value, &variable, home.as_deref());
        Some(Place {
            variable: Some(name),
            directory: if below.is_empty() { directory } else { directory.join(below) },
        })
    };
    let default = home.as_deref().map(|home| home.join(".cache/huggingface/hub"));
    let default = default.map(|directory| Place { variable: None, directory });
    VARIABLES.into_iter().filter_map(set).chain(default).collect()
}

/// `value` with a leading `~` and `$NAME` or `${NAME}` replaced, as Python's `expanduser` and `expandvars` do. What is
/// not set stays as it is; so does `~name`, the home of another user.
fn expand(value: &OsStr, variable: &impl Fn(&str) -> Option<OsString>, home: Option<&Path>) -> PathBuf {
    let Some(text) = value.to_str() else { return value.into() };
    let mut out = OsString::new();
    let mut rest = text;
    if let (Some(home), Some(after)) = (home, text.strip_prefix('~'))
        && (after.is_empty() || after.starts_with(['/', std::path::MAIN_SEPARATOR]))
    {
        out.push(home);
        rest = after;
    }
    while let Some((before, after)) = rest.split_once('$') {
        out.push(before);
        let (name, behind) = match after.strip_prefix('{').and_then(|braced| braced.split_once('}')) {
            Some(parts) => parts,
            None => {
                let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                after.split_at(after.find(|c| !is_name(c)).unwrap_or(after.len()))
            }
        };
        match variable(name).filter(|_| !name.is_empty()) {
            Some(value) => {
                out.push(value);
                rest = behind;
            }
            None => {
                out.push("$");
                rest = after;
            }
        }
    }
    out.push(rest);
    out.into()
}

fn snapshot_in(places: &[Place], name: &str) -> Result<PathBuf> {
    let failure = |what: String| Failure::new(Exit::Model, format!("model {name}: {what}"));
    let Some((cache, others)) = places.split_first() else {
        return Err(failure("this user has no home directory with a cache".into())
            .hint("set HF_HUB_CACHE to the cache's directory"));
    };
    let (model, revision) = parts(name);
    let download = match revision {
        MAIN => format!("download it with: hf download {model}"),
        revision => format!("download it with: hf download {model} --revision {revision}"),
    };
    let repository = cache.repository(model);
    if !repository.is_dir() {
        let what = format!("neither a directory here nor in the Hugging Face cache {}", cache.told());
        let elsewhere = others.iter().find(|place| place.repository(model).is_dir());
        return Err(failure(what).hint(match elsewhere {
            Some(place) => format!(
                "it is in {}, which is not looked at: set HF_HUB_CACHE={}",
                place.told(),
                place.directory.display()
            ),
            None => download,
        }));
    }
    let snapshots = repository.join("snapshots");
    let reference = repository.join("refs").join(revision);
    let commit = match read_reference(&reference) {
        Ok(text) => text.trim().to_owned(),
        // As a commit names itself.
        Err(_) if is_commit(revision) && snapshots.join(revision).is_dir() => revision.to_owned(),
        Err(error) => {
            let what = format!("no revision {revision:?} is in the cache: {}: {error}", reference.display());
            let there = commits(&snapshots);
            return Err(failure(what).hint(if there.is_empty() {
                download
            } else {
                let there: Vec<String> = there.iter().map(|commit| format!("{model}@{commit}")).collect();
                format!("there is {}; or {download}", there.join(", "))
            }));
        }
    };
    if !is_commit(&commit) {
        return Err(failure(format!("{}: not a commit", reference.display())).hint(download));
    }
    let snapshot = snapshots.join(commit);
    if !snapshot.is_dir() {
        return Err(failure(format!("{} is not there", snapshot.display())).hint(download));
    }
    Ok(snapshot)
}

/// The commit that a reference names: of a file without end, no more than its beginning.
fn read_reference(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    File::open(path)?.take(MAX_REFERENCE).read_to_string(&mut text)?;
    Ok(text)
}

fn is_commit(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// The names of the snapshots that are there.
fn commits(snapshots: &Path) -> Vec<String> {
    let entries = fs::read_dir(snapshots).into_iter().flatten().flatten();
    let mut commits: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    commits.sort();
    commits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in [
            "openai/clip-vit-base-patch32",
            "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
            "a/b.c_d",
            "a/b@main",
            "a/b@refs/pr/3",
            "a/b@v1.0",
        ] {
            assert!(is_model_name(name), "{name}");
        }
        for name in [
            "",
            "no-such-model-anywhere",
            "/a",
            "a/",
            "a/b/c",
            "../a",
            "a/..",
            "./a",
            "a b/c",
            "~/models",
            "-a/b",
            "a/b--c",
            "a/b.git",
            "a/b@",
            "a/b@../x",
            "a/b@/x",
            "a/b@x@y",
        ] {
            assert!(!is_model_name(name), "{name}");
        }
    }

    fn places_with(set: &[(&str, &str)]) -> Vec<Place> {
        let variable = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v));
        places_of(variable, Some("/home/me".into()))
    }

    #[test]
    fn precedence_of_the_variables() {
        let find = |set: &[(&str, &str)]| places_with(set).swap_remove(0).directory;
        let hub = ("HF_HUB_CACHE", "/hub");
        let old = ("HUGGINGFACE_HUB_CACHE", "/old");
        let home = ("HF_HOME", "/hf");
        let xdg = ("XDG_CACHE_HOME", "/xdg");
        assert_eq!(find(&[xdg, home, old, hub]), Path::new("/hub"));
        assert_eq!(find(&[xdg, home, old]), Path::new("/old"));
        assert_eq!(find(&[xdg, home]), Path::new("/hf/hub"));
        assert_eq!(find(&[xdg]), Path::new("/xdg/huggingface/hub"));
        assert_eq!(find(&[("HF_HUB_CACHE", ""), home]), Path::new("/hf/hub"));
        assert_eq!(find(&[]), Path::new("/home/me/.cache/huggingface/hub"));
        assert!(places_of(|_| None, None).is_empty());
    }

    #[test]
    fn variables_are_expanded() {
        let find = |value: &str| {
            places_with(&[("HF_HUB_CACHE", value), ("DISK", "/disk"), ("A_1", "x")]).swap_remove(0).directory
        };
        for (value, expected) in [
            ("~", "/home/me"),
            ("~/hub", "/home/me/hub"),
            ("~you/hub", "~you/hub"),
            ("$DISK/hub", "/disk/hub"),
            ("${DISK}/$A_1/${A_1}y", "/disk/x/xy"),
            ("/a/$NONE/${NONE}/$/~", "/a/$NONE/${NONE}/$/~"),
        ] {
            assert_eq!(find(value), Path::new(expected), "{value}");
        }
    }
}
