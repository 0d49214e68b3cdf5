//! The files that `track` writes, frame by frame. Each is whole when the run ends, at whatever frame it does.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Tracked;
use super::pattern::{Pattern, directory_of, is_directory};
use crate::args::output::{FormArgs, Kind};
use crate::args::track::TrackArgs;
use crate::commands::annotations::{CocoAnnotation, CocoCategory, CocoImage, Labelme, Thing, relative, yolo};
use crate::commands::files::{count, cutout, shown};
use crate::commands::kinds;
use crate::draw::Canvas;
use crate::draw::mask_png::{Form, MAX_NUMBER, Numbers, write_rgba};
use crate::failure::{Exit, Failure, OrExit, Result};
use crate::output::{self, Inputs, Output, Pending, check_distinct};
use crate::picture::{self, Picture};
use crate::video::GifWriter;

/// What is to be written, and what may not be replaced. Nothing is written yet.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    args: &'a TrackArgs,
    inputs: Inputs,
    files: Vec<(&'a Path, Kind, Option<Pattern>)>,
}

impl<'a> Wanted<'a> {
    /// Checks all names. If a file goes to standard output, the lines do not.
    pub(super) fn new(args: &'a TrackArgs, inputs: Inputs, output: &mut Output) -> Result<Self> {
        let outputs = args.outputs.iter().map(|path| ("--output", path.as_path()));
        outputs.clone().try_for_each(|(option, path)| inputs.check(option, path))?;
        check_distinct(outputs)?;
        let mut files = Vec::new();
        for (path, kind) in args.outputs.iter().zip(kinds::of_all(&args.outputs, &args.form.kinds)?) {
            let (kind, pattern) = check(path, kind)?;
            if matches!(kind.ending(), "png" | "gif") && path.as_os_str() != "-" {
                let directory = pattern.as_ref().map_or_else(|| directory_of(path), Pattern::directory);
                inputs.check_directory("--output", path, &directory)?;
            }
            files.push((path.as_path(), kind, pattern));
        }
        if args.outputs.iter().any(|path| path.as_os_str() == "-") {
            output.give_way();
        }
        Ok(Self { args, inputs, files })
    }

    /// Checks the names of so many frames, and whether objects with these numbers can be written.
    pub(super) fn check(&self, frames: Option<u64>, objects: &BTreeSet<u32>) -> Result<()> {
        for (path, kind, pattern) in &self.files {
            let has_numbers = *kind == Kind::Labels || (*kind == Kind::Mask && objects.len() > 1);
            if let Some(last) = objects.last().filter(|&&last| has_numbers && last > MAX_NUMBER) {
                let message = format!(
                    "--output {}: object {last}: pixels have numbers up to {MAX_NUMBER}",
                    path.display()
                );
                return Err(Failure::usage(message).hint("give it a smaller number: …#N"));
            }
            for frame in 0..frames.unwrap_or(0) {
                pattern.as_ref().map_or(Ok(()), |it| self.inputs.check("--output", &it.path(frame)))?;
            }
        }
        Ok(())
    }

    /// Begins the files. `objects` are the numbers of all objects.
    pub(super) fn begin(self, objects: &BTreeSet<u32>) -> Result<Outputs<'a>> {
        let Self { args, inputs, files } = self;
        let mut sinks = Vec::new();
        for (path, kind, pattern) in files {
            let unwritable = |error| Failure::unwritable(shown(path), &error);
            let state = match (pattern, kind) {
                (Some(pattern), _) => {
                    let directory = pattern.directory();
                    fs::create_dir_all(&directory)
                        .map_err(|error| Failure::unwritable(directory.display(), &error))?;
                    State::Numbered(pattern)
                }
                (None, kind) => {
                    let mut file = Pending::create(path).map_err(unwritable)?;
                    match kind {
                        Kind::Gif => State::Unbegun(file),
                        Kind::Coco => {
                            file.write_all(b"{\"annotations\":[").map_err(unwritable)?;
                            State::Coco(CocoFile { file, annotations: 0, images: Vec::new() })
                        }
                        _ => {
                            file.write_all(b"[").map_err(unwritable)?;
                            State::Json(file, 0)
                        }
                    }
                }
            };
            sinks.push(Sink { path, kind, state, files: 0 });
        }
        let last = objects.last().copied().unwrap_or(0);
        let mask_form = if objects.len() > 1 { Form::of_numbers(last) } else { Form::White };
        let numbers: Vec<String> = objects.iter().map(u32::to_string).collect();
        Ok(Outputs {
            sinks,
            args,
            inputs,
            mask_form,
            label_form: Form::of_labels(last),
            numbers: numbers.join(", "),
            names: [args.form.category.clone()],
        })
    }
}

/// The kind of a file, and the names of its frames where each has one.
fn check(path: &Path, kind: Option<Kind>) -> Result<(Kind, Option<Pattern>)> {
    let failure = |message: &str, hint: &str| {
        Err(Failure::usage(format!("--output {}: {message}", path.display())).hint(hint))
    };
    let is_directory = is_directory(path);
    let Some(kind) = kind.or_else(|| is_directory.then(|| kinds::by_directory(path))) else {
        return failure(
            "neither a directory nor .gif, .json or numbered .png",
            "the name chooses: x.gif, x.json, x-%05d.png, x-%05d-mask.png, or a directory; or --kind does",
        );
    };
    kinds::check_ending(path, kind)?;
    match kind {
        Kind::Npy => failure("there are no arrays of videos", "masks are written as .png or in .json"),
        Kind::Gif | Kind::Json | Kind::Coco
            if is_directory && (path.is_dir() || path.to_string_lossy().ends_with('/')) =>
        {
            failure(&format!("{} is one file, not a directory", kind.name()), "name the file")
        }
        Kind::Gif | Kind::Json | Kind::Coco => Ok((kind, None)),
        _ => {
            let Some(text) = path.to_str() else { return failure("not UTF-8", "choose another name") };
            if is_directory {
                return Ok((kind, Some(Pattern::within(text, kind.ending()))));
            }
            match Pattern::parse(text) {
                Some(pattern) => Ok((kind, Some(pattern))),
                None => {
                    let numbered = format!("number them: x-%05d.{}, or name a directory", kind.ending());
                    failure(&format!("one {} for many frames", what_is_numbered(kind)), &numbered)
                }
            }
        }
    }
}

fn what_is_numbered(kind: Kind) -> &'static str {
    match kind {
        Kind::Labelme | Kind::Yolo => "annotation",
        _ => "picture",
    }
}

/// All files.
pub(super) struct Outputs<'a> {
    sinks: Vec<Sink<'a>>,
    args: &'a TrackArgs,
    inputs: Inputs,
    mask_form: Form,
    label_form: Form,
    /// Those of all objects.
    numbers: String,
    names: [String; 1],
}

struct Sink<'a> {
    path: &'a Path,
    kind: Kind,
    state: State,
    /// Numbered files so far.
    files: u64,
}

/// How far a file is.
enum State {
    /// A GIF, which begins with its first frame, whose size it has.
    Unbegun(Pending),
    Gif(GifWriter<Pending>),
    /// And the records in it.
    Json(Pending, u64),
    Coco(CocoFile),
    Numbered(Pattern),
    /// It could not be written, and nothing of it stays.
    Lost,
}

/// A COCO data set: what is known of pictures only in the end comes last.
struct CocoFile {
    file: Pending,
    annotations: u64,
    images: Vec<CocoImage>,
}

/// A frame with what was found on it.
pub(super) struct Shown<'a> {
    pub(super) frame: u64,
    pub(super) seconds: f64,
    pub(super) picture: &'a Picture,
    /// The file that holds this frame alone, if there is one.
    pub(super) name: Option<&'a str>,
    pub(super) found: &'a [Tracked],
    /// Draws the masks on the picture.
    pub(super) draw: &'a dyn Fn() -> Result<Canvas>,
}

impl Outputs<'_> {
    /// Writes a frame to all files.
    pub(super) fn write(&mut self, shown: &Shown<'_>) -> Result<()> {
        let canvas = OnceCell::new();
        let drawn = || match canvas.get() {
            Some(canvas) => Ok(canvas),
            None => (shown.draw)().map(|drawn| canvas.get_or_init(|| drawn)),
        };
        for i in 0..self.sinks.len() {
            let Sink { path, kind, .. } = self.sinks[i];
            let state = std::mem::replace(&mut self.sinks[i].state, State::Lost);
            let unwritable =
                |error: io::Error| Failure::unwritable(crate::commands::files::shown(path), &error);
            let state = match state {
                State::Unbegun(file) => {
                    let canvas: &Canvas = drawn()?;
                    let gif = GifWriter::new(file, canvas.width(), canvas.height());
                    add_frame(gif.map_err(unwritable)?, canvas, shown).map_err(unwritable)?
                }
                State::Gif(gif) => add_frame(gif, drawn()?, shown).map_err(unwritable)?,
                State::Json(file, records) => add_records(file, records, shown).map_err(unwritable)?,
                State::Coco(file) => {
                    let added = file.add(shown, self.file_name(shown), self.form().simplify);
                    State::Coco(added.map_err(unwritable)?)
                }
                State::Numbered(pattern) => {
                    let path = pattern.path(shown.frame);
                    self.inputs.check("--output", &path)?;
                    self.write_numbered(&path, kind, shown, &drawn)?;
                    self.sinks[i].files += 1;
                    State::Numbered(pattern)
                }
                State::Lost => State::Lost,
            };
            self.sinks[i].state = state;
        }
        Ok(())
    }

    fn form(&self) -> &FormArgs {
        &self.args.form
    }

    /// Writes the file of one frame.
    fn write_numbered<'c>(
        &self,
        path: &Path,
        kind: Kind,
        shown: &Shown<'_>,
        drawn: &dyn Fn() -> Result<&'c Canvas>,
    ) -> Result<()> {
        let (size, tolerance) = (shown.size(), self.form().simplify);
        match kind {
            Kind::Overlay => {
                let canvas = drawn()?;
                output::create(path, |out| picture::write_canvas(out, canvas))
            }
            Kind::Mask => {
                output::create(path, |out| shown.numbers(self.mask_form)?.write(out, self.mask_form))
            }
            Kind::Labels => {
                output::create(path, |out| shown.numbers(self.label_form)?.write(out, self.label_form))
            }
            Kind::Cutout => {
                let rgba = cutout(shown.picture, shown.found.iter().map(|it| &it.segmentation))?;
                output::create(path, |out| write_rgba(out, size, &rgba))
            }
            Kind::Labelme => {
                let image = match shown.name {
                    Some(name) => relative(path, &self.args.input.join(name)),
                    None => PathBuf::from(self.file_name(shown)),
                };
                let things = shown.things();
                let image = image.to_string_lossy().into_owned();
                let file = Labelme::new(image, size, &things, &self.names, tolerance).or_exit(Exit::Other)?;
                output::create(path, |out| Ok(serde_json::to_writer(out, &file)?))
            }
            _ => {
                let lines = yolo(size, &shown.things(), tolerance).or_exit(Exit::Other)?;
                output::create(path, |out| out.write_all(lines.as_bytes()))
            }
        }
    }

    /// The name of the picture of a frame. For a video, what one gets who takes its frames apart by that name.
    fn file_name(&self, shown: &Shown<'_>) -> String {
        let stem = self.args.input.file_stem().map_or("frame".into(), |stem| stem.to_string_lossy());
        let stem = if stem == "-" { "frame".into() } else { stem };
        shown.name.map_or_else(|| format!("{stem}-{:05}.png", shown.frame), str::to_owned)
    }

    /// Ends the files, which hold `frames` frames, and gives them their names. What could not be written was told.
    pub(super) fn finish(self, frames: u64) -> Result<()> {
        let mut first_failure = Ok(());
        for Sink { path, kind, state, files } in self.sinks {
            let result = match state {
                State::Unbegun(_) | State::Lost => continue,
                State::Gif(gif) => gif
                    .finish()
                    .and_then(Pending::commit)
                    .map(|()| format!("animation of {}", count(frames as usize, "frame"))),
                State::Json(mut file, records) => {
                    let ended = file.write_all(b"\n]\n").and_then(|()| file.commit());
                    ended.map(|()| count(records as usize, "record"))
                }
                State::Coco(file) => {
                    let things = file.annotations;
                    file.finish(&self.names).map(|()| format!("COCO, {}", count(things as usize, "thing")))
                }
                State::Numbered(_) => {
                    let what = match kind {
                        Kind::Mask => format!("mask, {}", self.mask_form.describe(&self.numbers)),
                        Kind::Labels => format!("labels, {}", self.label_form.describe(&self.numbers)),
                        Kind::Overlay => "picture with masks drawn on it".into(),
                        Kind::Cutout => "picture, transparent outside the masks".into(),
                        kind => format!("{} annotation", kind.name()),
                    };
                    Ok(format!("{}: {what}", count(files as usize, "file")))
                }
            };
            match result {
                Ok(what) if !self.args.form.quiet => {
                    output::notice(format_args!("wrote {}: {what}", shown(path)));
                }
                Ok(_) => {}
                Err(error) => {
                    first_failure = first_failure.and(Err(Failure::unwritable(shown(path), &error)));
                }
            }
        }
        first_failure
    }
}

fn add_frame(mut gif: GifWriter<Pending>, canvas: &Canvas, shown: &Shown<'_>) -> io::Result<State> {
    gif.write(canvas, shown.seconds)?;
    Ok(State::Gif(gif))
}

fn add_records(mut file: Pending, mut records: u64, shown: &Shown<'_>) -> io::Result<State> {
    for record in shown.found {
        file.write_all(if records == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut file, record)?;
        records += 1;
    }
    file.flush()?;
    Ok(State::Json(file, records))
}

impl CocoFile {
    fn add(mut self, shown: &Shown<'_>, file_name: String, tolerance: f32) -> io::Result<Self> {
        let ([width, height], frame) = (shown.size(), shown.frame);
        for thing in shown.things() {
            self.file.write_all(if self.annotations == 0 { b"\n" } else { b",\n" })?;
            self.annotations += 1;
            let annotation = CocoAnnotation::new(self.annotations, frame + 1, &thing, true, tolerance)
                .map_err(|error| io::Error::new(io::ErrorKind::OutOfMemory, error))?;
            serde_json::to_writer(&mut self.file, &annotation)?;
        }
        self.images.push(CocoImage { id: frame + 1, file_name, width, height, frame_id: Some(frame) });
        self.file.flush()?;
        Ok(self)
    }

    fn finish(mut self, names: &[String]) -> io::Result<()> {
        self.file.write_all(b"\n],\"images\":")?;
        serde_json::to_writer(&mut self.file, &self.images)?;
        self.file.write_all(b",\"categories\":")?;
        serde_json::to_writer(&mut self.file, &CocoCategory::all(names))?;
        self.file.write_all(b"}\n")?;
        self.file.commit()
    }
}

impl Shown<'_> {
    /// Width and height.
    fn size(&self) -> [usize; 2] {
        [self.picture.width, self.picture.height]
    }

    /// Pixels have the number of their object, the last object above; a single object is white whatever its number.
    fn numbers(&self, form: Form) -> io::Result<Numbers> {
        let mut numbers = Numbers::new(self.size());
        for tracked in self.found {
            let number = if form == Form::White { 1 } else { tracked.object };
            numbers.paint(&tracked.segmentation, number)?;
        }
        Ok(numbers)
    }

    fn things(&self) -> Vec<Thing<'_>> {
        let seen = self.found.iter().filter(|it| it.area > 0);
        let of = |it| {
            let Tracked { segmentation, object, object_score, .. }: &Tracked = it;
            Thing { mask: segmentation, category: 0, number: *object, score: *object_score }
        };
        seen.map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::RawPixels;
    use vitrum::image::PixelFormat;
    use vitrum::pipelines::mask::Rle;

    #[test]
    fn names_choose_the_kind() {
        let kind = |name: &str| {
            let path = PathBuf::from(name);
            check(&path, kinds::by_name(&path))
                .ok()
                .map(|(kind, pattern)| (kind, pattern.map(|it| it.path(7))))
        };
        let numbered = |kind, path: &str| Some((kind, Some(PathBuf::from(path))));
        assert_eq!((kind("a.gif"), kind("a/b.json")), (Some((Kind::Gif, None)), Some((Kind::Json, None))));
        assert_eq!(kind("x-coco.json"), Some((Kind::Coco, None)));
        assert_eq!(kind("some/where"), numbered(Kind::Overlay, "some/where/00007.png"));
        assert_eq!(kind("x.y/"), numbered(Kind::Overlay, "x.y/00007.png"));
        assert_eq!(kind("out/masks/"), numbered(Kind::Mask, "out/masks/00007.png"));
        assert_eq!(kind("labels"), numbered(Kind::Labels, "labels/00007.png"));
        assert_eq!(kind("x-%03d.png"), numbered(Kind::Overlay, "x-007.png"));
        assert_eq!(kind("x/%d-mask.png"), numbered(Kind::Mask, "x/7-mask.png"));
        assert_eq!(kind("mask_%05d.png"), numbered(Kind::Mask, "mask_00007.png"));
        assert_eq!(kind("x/%d.txt"), numbered(Kind::Yolo, "x/7.txt"));
        for name in ["x.png", "x.mp4", "%d%d.png", "%5d.png", "%099d.png", "x%s.png", "x%d", "x.npy", "x.txt"]
        {
            assert_eq!(kind(name), None, "{name}");
        }
        let chosen = |name: &str, kind| check(Path::new(name), Some(kind)).ok().map(|(kind, _)| kind);
        assert_eq!(chosen("yolo/", Kind::Yolo), Some(Kind::Yolo));
        assert_eq!(chosen("-", Kind::Json), Some(Kind::Json));
        assert_eq!((chosen("-", Kind::Mask), chosen("x/", Kind::Coco)), (None, None));
        assert_eq!((chosen("x.json", Kind::Gif), chosen("x", Kind::Npy)), (None, None));
    }

    #[test]
    fn masks_are_white_or_numbered() {
        let tracked =
            |object, pixels: &[u8]| Tracked::new(0, object, Rle::from_mask(pixels, 3, 1).unwrap(), 1.0);
        let picture = Picture::blank(3, 1, PixelFormat::Gray8);
        let written = |found: &[Tracked], form: Form| {
            let draw = || unreachable!("nothing is drawn");
            let shown = Shown { frame: 0, seconds: 1.0, picture: &picture, name: None, found, draw: &draw };
            let mut file = Vec::new();
            shown.numbers(form).unwrap().write(&mut file, form).unwrap();
            match Picture::decode_raw("m", &file).unwrap().pixels {
                RawPixels::Gray8(values) | RawPixels::Indexed { indices: values, .. } => {
                    values.into_iter().map(u16::from).collect()
                }
                RawPixels::Gray16(values) => values,
                other => panic!("{other:?}"),
            }
        };
        let [one, two] = [tracked(1, &[1, 1, 0]), tracked(2, &[0, 1, 1])];
        assert_eq!(written(std::slice::from_ref(&one), Form::White), [255, 255, 0]);
        assert_eq!(written(&[tracked(70_000, &[1, 1, 0])], Form::White), [255, 255, 0]);
        assert_eq!(written(std::slice::from_ref(&one), Form::Gray8), [1, 1, 0]);
        assert_eq!(written(&[one, two], Form::Indexed), [1, 2, 2]);
        assert_eq!(written(&[tracked(0x1234, &[0, 1, 0])], Form::Gray16), [0, 0x1234, 0]);
    }
}
