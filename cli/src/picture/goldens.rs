//! The pictures in `tests/cases/pictures` against the pixels that Pillow has for them (`tests/golden/make_pictures.py`).

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases/pictures").join(name)
}

/// The files of a case that are no golden ones.
fn files(name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path());
    let is_input = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        path.is_file() && name != "expected.txt" && name.split('.').count() == 2
    };
    let mut files: Vec<_> = entries.filter(is_input).collect();
    files.sort();
    files
}

/// Width, height and RGB.
fn rgb(path: &Path, options: &PictureOptions) -> Result<(usize, usize, Vec<u8>)> {
    let (picture, _) = Picture::load(path, options)?;
    let mut out = vec![0; picture.width * picture.height * 3];
    let view = picture.view()?;
    out.chunks_exact_mut(picture.width * 3).enumerate().for_each(|(y, row)| view.row_rgb(y, row));
    Ok((picture.width, picture.height, out))
}

/// The largest difference of a file from its golden pixels.
fn difference(path: &Path, golden: &Path) -> Result<u8, String> {
    let message = |failure| format!("{failure:?}");
    let found = rgb(path, &PictureOptions::default()).map_err(message)?;
    let expected = rgb(golden, &PictureOptions::default()).map_err(message)?;
    if (found.0, found.1) != (expected.0, expected.1) {
        return Err(format!("{} x {}", found.0, found.1));
    }
    Ok(found.2.iter().zip(&expected.2).map(|(&a, &b)| a.abs_diff(b)).max().unwrap_or(0))
}

fn message(path: &Path) -> Option<String> {
    match Picture::load(path, &PictureOptions::default()) {
        Ok(_) => None,
        Err(Failure::Message { exit: Exit::Input, message, .. }) => Some(message),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn pixels_are_those_of_pillow() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for case in ["01-jpeg-kinds", "04-formats", "05-high-range"] {
        for path in files(case) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let golden = path.with_file_name(format!("{name}.png"));
            if golden.exists() {
                count += 1;
                let most = if name.starts_with("lossy") { 4 } else { 0 };
                match difference(&path, &golden) {
                    Ok(difference) if difference <= most => (),
                    other => wrong.push(format!("{case}/{name}: {other:?}")),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count > 70, "{count}");
}

/// JPEGs that were noise, beside what they were made from.
#[test]
fn pixels_are_near_those_that_were_encoded() {
    for case in ["10-jpeg-non-interleaved-420", "12-jpeg-adobe-rgb"] {
        let folder = folder("../clip").join(case);
        let [found, expected] = ["picture.jpg", "original.png"]
            .map(|name| rgb(&folder.join(name), &PictureOptions::default()).unwrap().2);
        let sum: u64 = found.iter().zip(&expected).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        assert!(found.len() == expected.len() && sum < 2 * found.len() as u64, "{case}: {sum}");
    }
}

#[test]
fn damaged_jpegs_are_refused() {
    let expected = [
        ("12-bit", "precision 12"),
        ("claims-more", "premature end"),
        ("corrupt", "Corrupt JPEG data"),
        ("cut-10", "cut off"),
        ("cut-half", "cut off"),
        ("cut-header", "damaged or unsupported JPEG"),
        ("cut-last-scan", "cut off"),
        ("cut-progressive-end", "cut off"),
        ("cut-progressive", "cut off"),
        ("cut-restart", "cut off"),
        ("lossless", "process"),
        ("no-height", "DNL not supported"),
        ("two-components", "no data for components [3]"),
    ];
    let files = files("02-jpeg-damaged");
    assert_eq!(files.len(), expected.len());
    for (path, (stem, expected)) in files.iter().zip(expected) {
        assert_eq!(path.file_stem().unwrap(), stem);
        let message = message(path).unwrap_or_else(|| panic!("{stem} is read"));
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn pictures_are_seen_as_they_were_held() {
    let seen = rgb(&folder("03-exif-orientation").join("seen.png"), &PictureOptions::default()).unwrap();
    for path in files("03-exif-orientation") {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let Some(orientation) = stem.bytes().next().filter(u8::is_ascii_digit).map(|digit| digit - b'0')
        else {
            continue;
        };
        let (picture, _) = Picture::load(&path, &PictureOptions::default()).unwrap();
        assert_eq!(picture.orientation(), Some(orientation).filter(|&it| it > 1), "{stem}");
        let found = rgb(&path, &PictureOptions::default()).unwrap();
        if path.extension().unwrap() == "jpg" {
            let golden = path.with_extension("jpg.png");
            assert_eq!(difference(&path, &golden), Ok(0), "{stem}");
        } else {
            assert!(found == seen, "{}", path.display());
        }
        let lying = PictureOptions { exif: false, ..PictureOptions::default() };
        assert_eq!(Picture::load(&path, &lying).unwrap().0.orientation(), None);
        let lies = rgb(&path, &lying).unwrap();
        let swapped = (lies.0, lies.1) == (seen.1, seen.0);
        assert_eq!(swapped, orientation >= 5, "{stem}");
        assert_eq!(lies.2 == seen.2, orientation == 1, "{stem}");
    }
}

#[test]
fn high_ranges_are_told_or_refused() {
    for path in files("05-high-range") {
        let name = path.file_name().unwrap().to_str().unwrap();
        match name {
            "thousand.tiff" => assert!(message(&path).unwrap().contains("scale them to 0"), "{name}"),
            "int32.tiff" => assert!(message(&path).unwrap().contains("not supported"), "{name}"),
            _ => {
                let (_, notes) = Picture::load(&path, &PictureOptions::default()).unwrap();
                let expected = if name == "unit.tiff" { "floating-point" } else { "16 bits" };
                assert!(notes.iter().any(|note| note.contains(expected)), "{name}: {notes:?}");
            }
        }
    }
}

#[test]
fn gigantic_pictures_are_refused_before_memory_is_taken() {
    let files = files("06-gigantic");
    assert!(files.len() >= 19);
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let message = message(&path).unwrap_or_else(|| panic!("{name} is read"));
        let expected = match name {
            "scans.jpg" => "more than 256 scans",
            _ if name.starts_with("large") => "decompression bomb",
            _ if name.ends_with(".jpg") => "Maximum supported image dimension",
            _ => "too large",
        };
        assert!(message.contains(expected), "{name}: {message}");
    }
}

/// Every file, cut and changed anywhere, is read or refused: no panic, no memory without bounds.
#[test]
fn damaged_files_do_no_harm() {
    for case in ["01-jpeg-kinds", "03-exif-orientation", "04-formats", "05-high-range"] {
        for path in files(case) {
            let whole = fs::read(&path).unwrap();
            let step = (whole.len() / 40).max(1);
            for at in (0..whole.len()).step_by(step) {
                let _ = Picture::decode_with("cut", &whole[..at], &PictureOptions::default());
                let mut changed = whole.clone();
                changed[at] ^= 0x55;
                let _ = Picture::decode_with("changed", &changed, &PictureOptions::default());
                changed[at..(at + 4).min(whole.len())].fill(0xff);
                let _ = Picture::decode_with("changed", &changed, &PictureOptions::default());
            }
        }
    }
}
