//! The files that `track` writes, frame by frame.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::Tracked;
use crate::draw::Canvas;
use crate::failure::{Failure, Result};
use crate::output;
use crate::picture::{self, Pixels};
use crate::video::GifWriter;

/// What a file shows.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// An animation of pictures with masks on them.
    Gif,
    /// Records.
    Json,
    /// Numbered pictures with masks on them.
    Overlays(Pattern),
    /// Numbered masks.
    Masks(Pattern),
}

/// A path with the number of a frame in it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    before: String,
    /// Digits at least.
    digits: usize,
    after: String,
}

impl Pattern {
    /// Parses `…%d…` or `…%05d…`; `None` if there is no such place, or more than one.
    fn parse(path: &str) -> Option<Self> {
        let (before, rest) = path.split_once('%')?;
        let (digits, after) = rest.split_once('d')?;
        let digits = if digits.is_empty() { Some(1) } else { digits.strip_prefix('0')?.parse().ok() };
        let digits = digits.filter(|digits| (1..=20).contains(digits))?;
        (!after.contains('%')).then(|| Self { before: before.into(), digits, after: after.into() })
    }

    fn path(&self, frame: u64) -> PathBuf {
        let Self { before, digits, after } = self;
        format!("{before}{frame:0digits$}{after}").into()
    }
}

impl Kind {
    fn of(path: &Path) -> Result<Self> {
        let failure = |message: &str, hint: &str| {
            Err(Failure::usage(format!("--output {}: {message}", path.display())).hint(hint))
        };
        let Some(text) = path.to_str() else { return failure("not UTF-8", "choose another name") };
        let ending = path.extension().and_then(|ending| ending.to_str());
        if path.is_dir() || text.ends_with('/') || (ending.is_none() && !text.contains('%')) {
            let before = format!("{}/", text.trim_end_matches('/'));
            return Ok(Self::Overlays(Pattern { before, digits: 5, after: ".png".into() }));
        }
        match (ending, Pattern::parse(text)) {
            (Some("gif"), _) => Ok(Self::Gif),
            (Some("json"), _) => Ok(Self::Json),
            (Some("png"), Some(pattern)) if text.ends_with("mask.png") => Ok(Self::Masks(pattern)),
            (Some("png"), Some(pattern)) => Ok(Self::Overlays(pattern)),
            (Some("png"), None) => {
                failure("one picture for many frames", "number them: x-%05d.png, or name a directory")
            }
            _ => failure(
                "neither a directory nor .gif, .json or numbered .png",
                "the name chooses: x.gif, x.json, x-%05d.png, x-%05d-mask.png, or a directory",
            ),
        }
    }
}

/// A file being written.
enum Sink {
    /// Opened with the first frame, whose size it has.
    Gif(Option<GifWriter<BufWriter<File>>>),
    /// Whether a record was written already.
    Json(BufWriter<File>, bool),
    Overlays(Pattern),
    Masks(Pattern),
}

/// A frame with what was found on it.
pub(super) struct Shown<'a> {
    pub(super) frame: u64,
    pub(super) seconds: f64,
    /// Width and height.
    pub(super) size: [usize; 2],
    pub(super) found: &'a [Tracked],
    /// Draws the masks on the picture.
    pub(super) draw: &'a dyn Fn() -> Result<Canvas>,
}

/// All files.
pub(super) struct Outputs {
    sinks: Vec<(PathBuf, Sink)>,
    labels: Labels,
}

/// The pixels of a mask picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Labels {
    /// Of the only object there is: white.
    White,
    /// The number of the object, in 8 bits.
    Numbers,
    /// In 16.
    WideNumbers,
}

impl Labels {
    fn of(objects: &BTreeSet<u32>) -> Self {
        match objects.last() {
            Some(&last) if objects.len() > 1 && last > 255 => Self::WideNumbers,
            _ if objects.len() > 1 => Self::Numbers,
            _ => Self::White,
        }
    }
}

impl Outputs {
    /// Checks all names, then begins the files: nothing is written if one of them is wrong. `objects` are the numbers
    /// of all objects.
    pub(super) fn new(paths: &[PathBuf], objects: &BTreeSet<u32>) -> Result<Self> {
        let kinds = paths.iter().map(|path| Kind::of(path)).collect::<Result<Vec<_>>>()?;
        let mut sinks = Vec::new();
        for (path, kind) in paths.iter().zip(kinds) {
            let unwritable = |error| Failure::unwritable(path.display(), &error);
            let sink = match kind {
                Kind::Gif => Sink::Gif(None),
                Kind::Json => {
                    let mut file = BufWriter::new(File::create(path).map_err(unwritable)?);
                    file.write_all(b"[").map_err(unwritable)?;
                    Sink::Json(file, false)
                }
                Kind::Overlays(pattern) => Sink::Overlays(pattern),
                Kind::Masks(pattern) => Sink::Masks(pattern),
            };
            if let Sink::Overlays(pattern) | Sink::Masks(pattern) = &sink
                && let Some(directory) = pattern.path(0).parent()
            {
                fs::create_dir_all(directory)
                    .map_err(|error| Failure::unwritable(directory.display(), &error))?;
            }
            sinks.push((path.clone(), sink));
        }
        Ok(Self { sinks, labels: Labels::of(objects) })
    }

    /// Writes a frame to all files.
    pub(super) fn write(&mut self, shown: &Shown<'_>) -> Result<()> {
        let canvas = OnceCell::new();
        let drawn = || match canvas.get() {
            Some(canvas) => Ok(canvas),
            None => (shown.draw)().map(|drawn| canvas.get_or_init(|| drawn)),
        };
        for (path, sink) in &mut self.sinks {
            let unwritable = |error| Failure::unwritable(path.display(), &error);
            match sink {
                Sink::Gif(gif) => {
                    let canvas: &Canvas = drawn()?;
                    let gif = match gif {
                        Some(gif) => gif,
                        None => gif.insert(begin(path, canvas).map_err(unwritable)?),
                    };
                    gif.write(canvas, shown.seconds).map_err(unwritable)?;
                }
                Sink::Json(file, has_some) => {
                    for record in shown.found {
                        let separator = if std::mem::replace(has_some, true) { ",\n" } else { "\n" };
                        let written = file.write_all(separator.as_bytes());
                        written
                            .and_then(|()| Ok(serde_json::to_writer(&mut *file, record)?))
                            .map_err(unwritable)?;
                    }
                }
                Sink::Overlays(pattern) => {
                    let canvas = drawn()?;
                    output::create(&pattern.path(shown.frame), |out| picture::write_canvas(out, canvas))?;
                }
                Sink::Masks(pattern) => {
                    output::create(&pattern.path(shown.frame), |out| shown.write_mask(out, self.labels))?;
                }
            }
        }
        Ok(())
    }

    /// Ends the files.
    pub(super) fn finish(self) -> Result<()> {
        for (path, sink) in self.sinks {
            let finished = match sink {
                Sink::Gif(Some(gif)) => gif.finish().and_then(|mut file| file.flush()),
                Sink::Json(mut file, _) => file.write_all(b"\n]\n").and_then(|()| file.flush()),
                Sink::Gif(None) | Sink::Overlays(_) | Sink::Masks(_) => Ok(()),
            };
            finished.map_err(|error| Failure::unwritable(path.display(), &error))?;
        }
        Ok(())
    }
}

fn begin(path: &Path, canvas: &Canvas) -> io::Result<GifWriter<BufWriter<File>>> {
    GifWriter::new(BufWriter::new(File::create(path)?), canvas.width(), canvas.height())
}

impl Shown<'_> {
    /// A single object is white on black. Of several, pixels have the object's number, the last object above.
    fn write_mask(&self, out: impl Write, labels: Labels) -> io::Result<()> {
        let [width, height] = self.size;
        let (mut numbers, mut mask) = (vec![0u16; width * height], vec![0; width * height]);
        for tracked in self.found {
            let number = match labels {
                Labels::White => 255,
                Labels::Numbers | Labels::WideNumbers => u16::try_from(tracked.object).unwrap_or(u16::MAX),
            };
            tracked.segmentation.to_mask(&mut mask).map_err(io::Error::other)?;
            numbers
                .iter_mut()
                .zip(&mask)
                .filter(|(_, inside)| **inside != 0)
                .for_each(|(to, _)| *to = number);
        }
        if labels == Labels::WideNumbers {
            return picture::write_png(out, width, height, Pixels::Gray16(&numbers));
        }
        let numbers: Vec<u8> = numbers.into_iter().map(|number| number as u8).collect();
        picture::write_png(out, width, height, Pixels::Gray(&numbers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Picture;
    use vitrum::pipelines::mask::Rle;

    #[test]
    fn names_choose_the_kind() {
        let pattern = |before: &str, digits, after: &str| Pattern {
            before: before.into(),
            digits,
            after: after.into(),
        };
        let kind = |name: &str| Kind::of(Path::new(name)).ok();
        assert_eq!((kind("a.gif"), kind("a/b.json")), (Some(Kind::Gif), Some(Kind::Json)));
        assert_eq!(kind("some/where"), Some(Kind::Overlays(pattern("some/where/", 5, ".png"))));
        assert_eq!(kind("x.y/"), Some(Kind::Overlays(pattern("x.y/", 5, ".png"))));
        assert_eq!(kind("x-%03d.png"), Some(Kind::Overlays(pattern("x-", 3, ".png"))));
        assert_eq!(kind("x/%d-mask.png"), Some(Kind::Masks(pattern("x/", 1, "-mask.png"))));
        for name in ["x.png", "x.mp4", "%d%d.png", "%5d.png", "%099d.png", "x%s.png", "x%d"] {
            assert_eq!(kind(name), None, "{name}");
        }
        assert_eq!(pattern("x-", 3, ".png").path(7), Path::new("x-007.png"));
        assert_eq!(pattern("x-", 3, ".png").path(12345), Path::new("x-12345.png"));
    }

    #[test]
    fn masks_are_white_or_numbered() {
        let tracked =
            |object, pixels: &[u8]| Tracked::new(0, object, Rle::from_mask(pixels, 3, 1).unwrap(), 1.0);
        let written = |found: &[Tracked], objects: &[u32]| {
            let draw = || unreachable!("nothing is drawn");
            let shown = Shown { frame: 0, seconds: 1.0, size: [3, 1], found, draw: &draw };
            let mut file = Vec::new();
            shown.write_mask(&mut file, Labels::of(&objects.iter().copied().collect())).unwrap();
            let mut rgb = [0; 9];
            Picture::decode("m", &file).unwrap().view().unwrap().row_rgb(0, &mut rgb);
            [rgb[0], rgb[3], rgb[6]]
        };
        let [one, two] = [tracked(1, &[1, 1, 0]), tracked(2, &[0, 1, 1])];
        assert_eq!(written(std::slice::from_ref(&one), &[1]), [255, 255, 0]);
        assert_eq!(written(std::slice::from_ref(&one), &[1, 2]), [1, 1, 0]);
        assert_eq!(written(&[one, two], &[1, 2]), [1, 2, 2]);
        // Of 16 bits, the upper 8.
        assert_eq!(written(&[tracked(0x1234, &[0, 1, 0])], &[1, 0x1234]), [0, 0x12, 0]);
    }
}
