//! The pictures of a directory as frames, in the order in which a person counts: `2.jpg` before `10.jpg`.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Assumptions, Frame, Reader};
use crate::draw::mask_png;
use crate::failure::{Exit, Failure, Result};
use crate::output;
use crate::picture::{self, Picture, PictureOptions};

/// Endings of pictures, in small letters.
const ENDINGS: [&str; 15] = [
    "png", "apng", "jpg", "jpeg", "jpe", "jfif", "webp", "gif", "bmp", "tif", "tiff", "ppm", "pgm", "pbm",
    "pnm",
];

/// The pictures of a directory.
#[derive(Debug)]
pub(super) struct Directory {
    paths: Vec<PathBuf>,
    /// Index of the next frame.
    next: usize,
    picture: Option<Picture>,
    seconds: f64,
    options: PictureOptions,
    /// Whether the user was told of what is left out of a frame; the others are likely to be like it.
    told: bool,
}

impl Directory {
    /// Lists the pictures in `path`: what ends as one. Hidden files are none. Tells the user of other files.
    pub(super) fn open(path: &Path, assumptions: &Assumptions) -> Result<Self> {
        let unreadable = |error| Failure::unreadable(path, &error);
        let (mut paths, mut others) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(path).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if is_picture(&path) {
                paths.push(path);
            } else if !name(&path).starts_with('.') {
                others.push(name(&path));
            }
        }
        if paths.is_empty() {
            return Err(Failure::new(
                Exit::Input,
                format!("{}: no frames: no file in this directory ends as a picture does", path.display()),
            )
            .hint(format!("endings: .{}", ENDINGS.join(", ."))));
        }
        others.sort_by(|a, b| natural(a, b));
        if let Some(first) = others.first() {
            let (directory, count) = (path.display(), others.len());
            let message = match count {
                1 => format!("{directory}: 1 file is no frame: {first:?}"),
                _ => format!("{directory}: {count} files are no frames: {first:?} and others"),
            };
            output::complain(&message, None);
        }
        paths.sort_by(|a, b| natural(&name(a), &name(b)));
        let paths = without_masks(path, paths)?;
        let (seconds, options) = (1.0 / assumptions.fps, assumptions.pictures);
        Ok(Self { paths, next: 0, picture: None, seconds, options, told: false })
    }
}

/// The pictures of `directory` but the masks that an earlier call wrote among them, which are told to the user.
fn without_masks(directory: &Path, paths: Vec<PathBuf>) -> Result<Vec<PathBuf>> {
    let (masks, frames): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| mask_png::is_ours(path));
    let Some(first) = masks.first() else { return Ok(frames) };
    let message = format!(
        "{}: {} of the pictures are masks that vitrum wrote, and no frames: {:?}{}",
        directory.display(),
        masks.len(),
        name(first),
        if masks.len() == 1 { "" } else { " and others" }
    );
    if frames.is_empty() {
        return Err(Failure::new(Exit::Input, message));
    }
    output::complain(&message, None);
    Ok(frames)
}

impl Reader for Directory {
    fn len(&self) -> Option<u64> {
        Some(self.paths.len() as u64)
    }

    fn next(&mut self) -> Result<Option<Frame<'_>>> {
        let Some(path) = self.paths.get(self.next) else { return Ok(None) };
        self.next += 1;
        let (picture, notes) = Picture::load(path, &self.options)?;
        if !self.told {
            picture::tell(path, &notes);
            self.told = !notes.is_empty();
        }
        let picture = self.picture.insert(picture);
        Ok(Some(Frame { picture, seconds: self.seconds }))
    }

    fn next_name(&self) -> Option<String> {
        self.paths.get(self.next).map(|path| name(path))
    }

    fn rewind(&mut self) -> Result<()> {
        self.next = 0;
        Ok(())
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    ENDINGS.contains(&ending.as_str()) && !name(path).starts_with('.') && !path.is_dir()
}

/// Compares names, numbers in them by value; names that differ in leading zeros only, by their characters.
pub(crate) fn natural(a: &str, b: &str) -> Ordering {
    let (mut x, mut y) = (a, b);
    loop {
        let (p, q) = (chunk(&mut x), chunk(&mut y));
        let order = match (p.as_bytes().first(), q.as_bytes().first()) {
            (None, None) => return a.cmp(b),
            (Some(c), Some(d)) if c.is_ascii_digit() && d.is_ascii_digit() => {
                // More digits, larger number.
                let (p, q) = (p.trim_start_matches('0'), q.trim_start_matches('0'));
                p.len().cmp(&q.len()).then(p.cmp(q))
            }
            _ => p.cmp(q),
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Takes the digits at the start of `text`, or what comes before its next digit.
fn chunk<'a>(text: &mut &'a str) -> &'a str {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != is_number).unwrap_or(text.len());
    let (chunk, rest) = text.split_at(end);
    *text = rest;
    chunk
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_of_counting() {
        let sorted = [
            "1.jpg",
            "2.jpg",
            "2a.jpg",
            "10.jpg",
            "a1-9.png",
            "a1-10.png",
            "a01-11.png",
            "b",
            "b0",
            "b00",
            "b1",
            "b99999999999999999999998",
            "b99999999999999999999999",
            "c\u{e9}2",
            "c\u{e9}10",
        ];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                assert_eq!(natural(a, b), i.cmp(&j), "{a} {b}");
            }
        }
    }

    #[test]
    fn only_pictures_are_frames() {
        let pictures = ["a/1.png", "1.JPG", "x.jpeg", "x.y.ppm", "x.WebP", "x.TIF"];
        assert!(pictures.iter().all(|path| is_picture(Path::new(path))));
        assert!(![".1.png", "1.txt", "png", ""].iter().any(|path| is_picture(Path::new(path))));
    }
}
