//! The Hugging Face cache on this machine. Nothing is downloaded.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Exit, Failure, Result};

/// Whether `name` has the form of a model on the hub: `org/name`.
pub(crate) fn is_model_name(name: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['.', '-'])
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    name.split_once('/').is_some_and(|(org, name)| plain(org) && plain(name))
}

/// The directory with the files of the model `name`: `models--org--name/snapshots/<what refs/main says>`.
pub(crate) fn snapshot(name: &str) -> Result<PathBuf> {
    let cache = cache(|variable| env::var_os(variable), env::home_dir()).ok_or_else(|| {
        Failure::new(Exit::Model, format!("model {name}: this user has no home directory with a cache"))
            .hint("set HF_HUB_CACHE to the cache's directory")
    })?;
    snapshot_in(&cache, name)
}

/// `HF_HUB_CACHE`, or `HF_HOME/hub`, or `~/.cache/huggingface/hub`. Empty variables count as unset.
fn cache(variable: impl Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Option<PathBuf> {
    let variable = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("HF_HUB_CACHE")
        .or_else(|| variable("HF_HOME").map(|hf_home| hf_home.join("hub")))
        .or_else(|| home.map(|home| home.join(".cache/huggingface/hub")))
}

fn snapshot_in(cache: &Path, name: &str) -> Result<PathBuf> {
    let repository = cache.join(format!("models--{}", name.replace('/', "--")));
    let absent = |what: String| {
        Failure::new(Exit::Model, format!("model {name}: {what}"))
            .hint(format!("download it with: hf download {name}"))
    };
    if !repository.is_dir() {
        return Err(absent(format!(
            "neither a directory here nor in the Hugging Face cache {}",
            cache.display()
        )));
    }
    let reference = repository.join("refs/main");
    let revision = fs::read_to_string(&reference)
        .map_err(|error| absent(format!("{}: {error}", reference.display())))?;
    let revision = revision.trim();
    if revision.is_empty() || !revision.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(absent(format!("{}: not a revision", reference.display())));
    }
    let snapshot = repository.join("snapshots").join(revision);
    if !snapshot.is_dir() {
        return Err(absent(format!("{} is not there", snapshot.display())));
    }
    Ok(snapshot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["openai/clip-vit-base-patch32", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K", "a/b.c_d"] {
            assert!(is_model_name(name), "{name}");
        }
        for name in ["", "a", "/a", "a/", "a/b/c", "../a", "a/..", "./a", "a b/c", "~/models", "-a/b"] {
            assert!(!is_model_name(name), "{name}");
        }
    }

    #[test]
    fn precedence_of_the_variables() {
        let find = |set: &[(&str, &str)]| {
            let variable = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v));
            cache(variable, Some("/home/me".into())).unwrap()
        };
        let (hub, home) = (("HF_HUB_CACHE", "/hub"), ("HF_HOME", "/hf"));
        assert_eq!(find(&[hub, home]), Path::new("/hub"));
        assert_eq!(find(&[home]), Path::new("/hf/hub"));
        assert_eq!(find(&[("HF_HUB_CACHE", ""), home]), Path::new("/hf/hub"));
        assert_eq!(find(&[]), Path::new("/home/me/.cache/huggingface/hub"));
        assert_eq!(cache(|_| None, None), None);
    }
}
