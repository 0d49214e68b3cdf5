//! What a file is to hold: as `--kind` says, or as its name does.
//!
//! | Name | Kind |
//! |---|---|
//! | `.png` with the word `mask` or `masks`, or a last word that ends in `mask` | mask |
//! | `.png` with the word `label` or `labels` | labels |
//! | `.png` with the word `cutout` or `cutouts` | cutout |
//! | any other `.png` | overlay |
//! | `.json` with the word `coco` or `labelme` | coco, labelme |
//! | any other `.json`, `.npy`, `.txt`, `.gif` | json, npy, yolo, gif |
//!
//! Words are runs of letters, in any case, so that `mask_%05d.png`, `cat-masks.png` and `Mask01.png` are masks. Of several,
//! the last one counts. Where a name has no letters (`masks/%05d.png`), its directory's does.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::args::output::Kind;
use crate::failure::{Failure, Result};

/// Endings of files that are something else than a kind with another ending.
const ENDINGS: [&str; 11] = ["png", "json", "npy", "txt", "gif", "jpg", "jpeg", "webp", "bmp", "tif", "tiff"];

/// The kinds of the files `paths`; `None` where neither `kinds` nor the name says it.
pub(super) fn of_all(paths: &[PathBuf], kinds: &[Kind]) -> Result<Vec<Option<Kind>>> {
    match (kinds, paths) {
        ([], _) => Ok(paths.iter().map(|path| by_name(path)).collect()),
        (_, []) => Err(Failure::usage("--kind says what an --output is, and there is none")),
        ([kind], _) => Ok(vec![Some(*kind); paths.len()]),
        _ if kinds.len() == paths.len() => Ok(kinds.iter().copied().map(Some).collect()),
        _ => Err(Failure::usage(format!("{} --kind for {} --output", kinds.len(), paths.len()))
            .hint("one for all files, or one for each in their order")),
    }
}

/// Fails if the ending of `path` is that of another kind of file.
pub(super) fn check_ending(path: &Path, kind: Kind) -> Result<()> {
    let ending = ending(path);
    if ending != kind.ending() && ENDINGS.contains(&&*ending) {
        let (path, name, right) = (path.display(), kind.name(), kind.ending());
        return Err(Failure::usage(format!("--output {path}: {name} is written as .{right}")));
    }
    Ok(())
}

/// What the name of a file says.
pub(super) fn by_name(path: &Path) -> Option<Kind> {
    let ending = ending(path);
    let stem = path.file_stem().map(words).unwrap_or_default();
    let named = |word: &str| stem.iter().any(|it| it == word);
    match &*ending {
        "png" => Some(of_picture(path, &stem)),
        "json" if named("coco") => Some(Kind::Coco),
        "json" if named("labelme") => Some(Kind::Labelme),
        "json" => Some(Kind::Json),
        "npy" => Some(Kind::Npy),
        "txt" => Some(Kind::Yolo),
        "gif" => Some(Kind::Gif),
        _ => None,
    }
}

/// What the name of a directory says of the pictures in it.
pub(super) fn by_directory(path: &Path) -> Kind {
    let words = path.file_name().map(words).unwrap_or_default();
    words.iter().rev().find_map(|word| by_word(word)).unwrap_or(Kind::Overlay)
}

fn of_picture(path: &Path, stem: &[String]) -> Kind {
    match stem {
        [] => path.parent().map_or(Kind::Overlay, by_directory),
        [.., last] if by_word(last).is_none() && last.ends_with("mask") => Kind::Mask,
        _ => stem.iter().rev().find_map(|word| by_word(word)).unwrap_or(Kind::Overlay),
    }
}

fn by_word(word: &str) -> Option<Kind> {
    match word {
        "mask" | "masks" => Some(Kind::Mask),
        "label" | "labels" => Some(Kind::Labels),
        "cutout" | "cutouts" => Some(Kind::Cutout),
        "overlay" | "overlays" => Some(Kind::Overlay),
        _ => None,
    }
}

/// Runs of letters, in small letters. The place of a frame's number (`%05d`) is none.
fn words(name: &OsStr) -> Vec<String> {
    let mut name = name.to_string_lossy().to_lowercase();
    if let Some((before, after)) = name.split_once('%')
        && let Some((digits, after)) = after.split_once('d')
        && digits.bytes().all(|c| c.is_ascii_digit())
    {
        name = format!("{before}%{after}");
    }
    let words = name.split(|c: char| !c.is_alphabetic());
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// In small letters.
pub(super) fn ending(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_people_mean() {
        for (kind, names) in [
            (
                Kind::Mask,
                &[
                    "mask.png",
                    "a/cat-mask.png",
                    "masks.png",
                    "cat_mask_0.png",
                    "mask_%05d.png",
                    "%05d-mask.png",
                    "Mask01.PNG",
                    "catmask.png",
                    "overlay-mask.png",
                    "masks/%05d.png",
                    "masks/0.png",
                    "cat.mask.png",
                ][..],
            ),
            (Kind::Labels, &["labels.png", "x-labels-%d.png", "mask_labels.png", "labels/%05d.png"]),
            (Kind::Cutout, &["cat-cutout.png", "cutouts/%03d.png"]),
            (
                Kind::Overlay,
                &[
                    "overlay.png",
                    "mask/cat.png",
                    "masked.png",
                    "mask-overlay.png",
                    "%05d.png",
                    "x-%d.png",
                    "catmask-2.x.png",
                ],
            ),
            (Kind::Json, &["x.json", "coconut.json", "x.JSON"]),
            (Kind::Coco, &["coco.json", "cat_coco.json"]),
            (Kind::Labelme, &["cat.labelme.json"]),
            (Kind::Npy, &["mask.npy"]),
            (Kind::Yolo, &["cat.txt"]),
            (Kind::Gif, &["mask.gif"]),
        ] {
            for name in names {
                assert_eq!(by_name(Path::new(name)), Some(kind), "{name}");
            }
        }
        for name in ["x", "x.jpg", ".png", "x.mp4", ""] {
            assert_eq!(by_name(Path::new(name)), None, "{name}");
        }
        assert_eq!(by_directory(Path::new("out/masks/")), Kind::Mask);
        assert_eq!(by_directory(Path::new("..")), Kind::Overlay);
    }

    #[test]
    fn kinds_are_for_all_files_or_for_each() {
        let paths = ["a.png", "b.x"].map(PathBuf::from);
        let of = |kinds: &[Kind]| of_all(&paths, kinds).ok();
        assert_eq!(of(&[]), Some(vec![Some(Kind::Overlay), None]));
        assert_eq!(of(&[Kind::Mask]), Some(vec![Some(Kind::Mask); 2]));
        assert_eq!(of(&[Kind::Mask, Kind::Yolo]), Some(vec![Some(Kind::Mask), Some(Kind::Yolo)]));
        assert_eq!(of(&[Kind::Mask; 3]), None);
        assert!(of_all(&[], &[Kind::Mask]).is_err() && of_all(&[], &[]).is_ok());
        let fits = |name: &str, kind| check_ending(Path::new(name), kind).is_ok();
        assert!(
            fits("a.png", Kind::Mask)
                && fits("a.v2", Kind::Mask)
                && fits("a", Kind::Coco)
                && fits("-", Kind::Mask)
        );
        assert!(!fits("a.jpg", Kind::Mask) && !fits("a.png", Kind::Coco) && !fits("a.json", Kind::Yolo));
    }
}
