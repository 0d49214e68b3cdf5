//! The files of `segment` and `everything`.

use std::cmp::Reverse;
use std::io::{self, Write};
use std::path::Path;

use vitrum::pipelines::sam::Prediction;

use super::annotations::{Coco, CocoAnnotation, CocoCategory, CocoImage, Labelme, Thing, relative, yolo};
use super::kinds;
use super::masks::Record;
use crate::args::output::{FormArgs, Kind};
use crate::args::sam::{ArrayKind, OutputArgs};
use crate::draw::Canvas;
use crate::draw::mask_png::{Form, MAX_NUMBER, Numbers, write_rgba};
use crate::failure::{Exit, Failure, OrExit, Result};
use crate::npy::{self, Dtype};
use crate::output::{self, Inputs, Output, check_distinct};
use crate::picture::{self, Picture};

/// The files that a command is to write.
#[derive(Debug)]
pub(super) struct Files<'a> {
    files: Vec<(&'a Path, Kind)>,
    args: &'a OutputArgs,
}

impl<'a> Files<'a> {
    /// Checks the names, before any work is done: none may be one of `inputs`, or `other`, an option with the file that it
    /// names. `has_logits` says whether there will be logits. If a file goes to standard output, the lines do not.
    pub(super) fn new(
        args: &'a OutputArgs,
        has_logits: bool,
        inputs: &Inputs,
        other: Option<(&'static str, &'a Path)>,
        output: &mut Output,
    ) -> Result<Self> {
        let outputs = args.files.iter().map(|path| ("--output", path.as_path())).chain(other);
        outputs.clone().try_for_each(|(option, path)| inputs.check(option, path))?;
        check_distinct(outputs.clone())?;
        let mut files = Vec::new();
        for (path, kind) in args.files.iter().zip(kinds::of_all(&args.files, &args.form.kinds)?) {
            files.push((path.as_path(), check(path, kind, args.array, has_logits)?));
        }
        outputs.clone().try_for_each(|(_, path)| output::check_writable(path))?;
        if files.iter().any(|(path, _)| path.as_os_str() == "-") {
            output.give_way();
        }
        Ok(Self { files, args })
    }

    /// How they are written.
    pub(super) fn form(&self) -> &'a FormArgs {
        &self.args.form
    }

    /// Writes them, and says so.
    pub(super) fn write(&self, results: &Results<'_>) -> Result<()> {
        for &(path, kind) in &self.files {
            let what = match kind {
                Kind::Overlay => {
                    let canvas = (results.draw)()?;
                    output::create(path, |out| picture::write_canvas(out, &canvas))?;
                    format!("picture with {} drawn on it", count(results.records.len(), "mask"))
                }
                Kind::Mask | Kind::Labels => {
                    let form = results.number_form(kind)?;
                    output::create(path, |out| results.numbers()?.write(out, form))?;
                    let numbers = match results.answers.len() {
                        0 => "nothing".into(),
                        1 => "1".into(),
                        last => format!("1 to {last}"),
                    };
                    format!("{}, {}", kind.name(), form.describe(&numbers))
                }
                Kind::Cutout => {
                    let rgba = results.cutout()?;
                    output::create(path, |out| write_rgba(out, results.size(), &rgba))?;
                    "picture, transparent outside the masks".into()
                }
                Kind::Json => {
                    output::create(path, |out| Ok(serde_json::to_writer(out, results.records)?))?;
                    count(results.records.len(), "record")
                }
                Kind::Npy => {
                    let array = self.args.array;
                    output::create(path, |out| results.write_array(out, array))?;
                    format!("array of {}", count(results.records.len(), "mask"))
                }
                Kind::Coco | Kind::Labelme | Kind::Yolo => self.annotate(path, kind, results)?,
                Kind::Gif => unreachable!("refused by `check`"),
            };
            if !self.args.form.quiet {
                output::notice(format_args!("wrote {}: {what}", shown(path)));
            }
        }
        Ok(())
    }

    /// Writes an annotation; what it is.
    fn annotate(&self, path: &Path, kind: Kind, results: &Results<'_>) -> Result<String> {
        let (size, tolerance) = (results.size(), self.args.form.simplify);
        let names: Vec<String> = match results.texts {
            [] => vec![self.args.form.category.clone()],
            texts => texts.iter().map(|&text| text.into()).collect(),
        };
        let things = results.things();
        let found = count(things.len(), "thing");
        match kind {
            Kind::Yolo => {
                let lines = yolo(size, &things, tolerance).or_exit(Exit::Other)?;
                output::create(path, |out| out.write_all(lines.as_bytes()))?;
                let classes: Vec<_> =
                    names.iter().enumerate().map(|(i, name)| format!("{i} {name}")).collect();
                Ok(format!("YOLO, {found}; classes: {}", classes.join(", ")))
            }
            Kind::Labelme => {
                let image_path = relative(path, results.image).to_string_lossy().into_owned();
                let file = Labelme::new(image_path, size, &things, &names, tolerance).or_exit(Exit::Other)?;
                output::create(path, |out| Ok(serde_json::to_writer(out, &file)?))?;
                Ok(format!("LabelMe, {found}"))
            }
            _ => {
                let name = results.image.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let [width, height] = size;
                let annotation = |(i, thing)| CocoAnnotation::new(i as u64 + 1, 1, thing, false, tolerance);
                let annotations = things.iter().enumerate().map(annotation).collect::<vitrum::Result<_>>();
                let file = Coco {
                    images: [CocoImage { id: 1, file_name: name, width, height, frame_id: None }],
                    annotations: annotations.or_exit(Exit::Other)?,
                    categories: CocoCategory::all(&names),
                };
                output::create(path, |out| Ok(serde_json::to_writer(out, &file)?))?;
                Ok(format!("COCO, {found}"))
            }
        }
    }
}

/// The kind of a file, if the command can write it.
fn check(path: &Path, kind: Option<Kind>, array: ArrayKind, has_logits: bool) -> Result<Kind> {
    let Some(kind) = kind else {
        let hint = "the name chooses: x-mask.png, x-labels.png or x-cutout.png for masks, any other x.png for the \
                    picture with them, x.json, x.npy, x.txt; or --kind does";
        let message = format!("--output {}: neither .png nor .json nor .npy nor .txt", path.display());
        return Err(Failure::usage(message).hint(hint));
    };
    kinds::check_ending(path, kind)?;
    match kind {
        Kind::Gif => Err(Failure::usage(format!(
            "--output {}: a picture gives no animation; track does",
            path.display()
        ))),
        Kind::Npy if !has_logits && array != ArrayKind::Masks => Err(Failure::usage(format!(
            "--output {}: there are no logits of masks found all over the picture; --array masks",
            path.display()
        ))),
        kind => Ok(kind),
    }
}

/// A path as a person is told it.
pub(super) fn shown(path: &Path) -> String {
    if path.as_os_str() == "-" { "standard output".into() } else { path.display().to_string() }
}

/// `3 masks`.
pub(super) fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// What there is to write.
pub(super) struct Results<'a> {
    pub(super) records: &'a [Record<'a>],
    /// Which records mask files and annotations show: the best of each prompt.
    pub(super) answers: &'a [usize],
    /// The file of the picture, and what is in it.
    pub(super) image: &'a Path,
    pub(super) picture: &'a Picture,
    /// What was asked for, if it was words.
    pub(super) texts: &'a [&'a str],
    /// If the records are of prompts.
    pub(super) prediction: Option<&'a Prediction>,
    /// Draws the masks on the picture.
    pub(super) draw: &'a dyn Fn() -> Result<Canvas>,
}

impl Results<'_> {
    /// Width and height.
    fn size(&self) -> [usize; 2] {
        [self.picture.width, self.picture.height]
    }

    fn number_form(&self, kind: Kind) -> Result<Form> {
        let largest = self.answers.len() as u32;
        if largest > MAX_NUMBER {
            return Err(Failure::new(
                Exit::Output,
                format!("{largest} masks are more than a picture has values for"),
            ));
        }
        Ok(match kind {
            Kind::Labels => Form::of_labels(largest),
            _ if largest <= 1 => Form::White,
            _ => Form::of_numbers(largest),
        })
    }

    /// The k-th mask has the number k, the smaller above the larger.
    fn numbers(&self) -> io::Result<Numbers> {
        let mut order: Vec<_> = (1..).zip(self.answers.iter().map(|&answer| &self.records[answer])).collect();
        order.sort_by_key(|(_, record)| Reverse(record.area));
        let mut numbers = Numbers::new(self.size());
        order.into_iter().try_for_each(|(number, record)| numbers.paint(&record.segmentation, number))?;
        Ok(numbers)
    }

    /// The picture where the masks are. What is transparent is black, so that nothing shines through.
    fn cutout(&self) -> Result<Vec<u8>> {
        let masks = self.answers.iter().map(|&answer| &self.records[answer].segmentation);
        cutout(self.picture, masks)
    }

    fn things(&self) -> Vec<Thing<'_>> {
        let of = |(number, &answer): (u32, &usize)| {
            let record = &self.records[answer];
            let category = record.text.and_then(|text| self.texts.iter().position(|it| *it == text));
            let score = record.probability.unwrap_or(record.predicted_iou);
            Thing { mask: &record.segmentation, category: category.unwrap_or(0), number, score }
        };
        (1..).zip(self.answers).map(of).filter(|thing| thing.mask.area() > 0).collect()
    }

    /// An array with the masks, or their logits, one after the other.
    fn write_array(&self, mut out: impl Write, kind: ArrayKind) -> io::Result<()> {
        let ([width, height], count) = (self.size(), self.records.len());
        let logits_of = |record: &Record<'_>| Some((self.prediction?, record.prompt?, record.mask?));
        match kind {
            ArrayKind::Masks => {
                npy::write_header(&mut out, Dtype::Bool, &[count, height, width])?;
                let mut mask = vec![0; width * height];
                for record in self.records {
                    record.segmentation.to_mask(&mut mask).map_err(io::Error::other)?;
                    out.write_all(&mask)?;
                }
            }
            ArrayKind::Logits => {
                npy::write_header(&mut out, Dtype::F32, &[count, height, width])?;
                let mut logits = vec![0.0; width * height];
                for (prediction, prompt, mask) in self.records.iter().filter_map(logits_of) {
                    prediction.logits_into(prompt, mask, &mut logits).map_err(io::Error::other)?;
                    npy::write_floats(&mut out, &logits)?;
                }
            }
            ArrayKind::LowRes => {
                let side = self.prediction.map_or(0, Prediction::mask_side);
                npy::write_header(&mut out, Dtype::F32, &[count, side, side])?;
                for (prediction, prompt, mask) in self.records.iter().filter_map(logits_of) {
                    npy::write_floats(&mut out, prediction.low_res(prompt, mask))?;
                }
            }
        }
        Ok(())
    }
}

/// Red, green, blue and alpha of `picture` where one of `masks` is, and zeros elsewhere.
pub(super) fn cutout<'a>(
    picture: &Picture,
    masks: impl IntoIterator<Item = &'a vitrum::pipelines::mask::Rle>,
) -> Result<Vec<u8>> {
    let (width, height) = (picture.width, picture.height);
    let mut rgba = vec![0; 4 * width * height];
    let (view, mut row) = (picture.view()?, vec![0; 3 * width]);
    for mask in masks {
        for run in mask.columns() {
            let pixels = (run.top as usize..run.bottom as usize).map(|y| y * width + run.x as usize);
            pixels.for_each(|pixel| rgba[4 * pixel + 3] = 255);
        }
    }
    for (y, out) in rgba.chunks_exact_mut(4 * width).enumerate() {
        view.row_rgb(y, &mut row);
        let pixels = out.as_chunks_mut::<4>().0.iter_mut().zip(row.as_chunks::<3>().0);
        for (out, rgb) in pixels.filter(|(out, _)| out[3] != 0) {
            out[..3].copy_from_slice(rgb);
        }
    }
    Ok(rgba)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::RawPixels;
    use vitrum::image::PixelFormat;
    use vitrum::pipelines::mask::Rle;

    fn record(pixels: &[u8]) -> Record<'static> {
        Record::new(Rle::from_mask(pixels, 3, 1).unwrap(), 1.0, 1.0)
    }

    fn picture() -> Picture {
        let mut picture = Picture::blank(3, 1, PixelFormat::Rgb8);
        picture.data_mut().copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        picture
    }

    fn results<'a>(records: &'a [Record<'a>], answers: &'a [usize], picture: &'a Picture) -> Results<'a> {
        let draw = &|| unreachable!("nothing is drawn");
        Results { records, answers, image: Path::new("x.png"), picture, texts: &[], prediction: None, draw }
    }

    #[test]
    fn several_masks_are_numbered_and_small_ones_lie_above() {
        let (records, picture) = ([record(&[1, 0, 0]), record(&[1, 1, 0])], picture());
        let written = |answers: &[usize], kind| {
            let results = results(&records, answers, &picture);
            let mut file = Vec::new();
            results.numbers().unwrap().write(&mut file, results.number_form(kind).unwrap()).unwrap();
            match Picture::decode_raw("test", &file).unwrap().pixels {
                RawPixels::Gray8(values) | RawPixels::Indexed { indices: values, .. } => values,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(written(&[1], Kind::Mask), [255, 255, 0]);
        assert_eq!(written(&[0, 1], Kind::Mask), [1, 2, 0]);
        assert_eq!(written(&[1, 0], Kind::Mask), [2, 1, 0]);
        assert_eq!(written(&[], Kind::Mask), [0, 0, 0]);
        assert_eq!(written(&[1], Kind::Labels), [1, 1, 0]);
        assert_eq!(written(&[1, 0], Kind::Labels), [2, 1, 0]);
    }

    #[test]
    fn cut_out_pictures_are_empty_elsewhere() {
        let (records, picture) = ([record(&[0, 1, 0])], picture());
        assert_eq!(
            results(&records, &[0], &picture).cutout().unwrap(),
            [0, 0, 0, 0, 4, 5, 6, 255, 0, 0, 0, 0]
        );
        assert_eq!(results(&records, &[], &picture).cutout().unwrap(), [0; 12]);
    }

    #[test]
    fn things_are_named_and_empty_ones_are_none() {
        let mut records = [record(&[0, 1, 0]), record(&[0, 0, 0]), record(&[1, 1, 1])];
        (records[0].text, records[0].probability) = (Some("b"), Some(0.75));
        let picture = picture();
        let results = Results { texts: &["a", "b"], ..results(&records, &[0, 1, 2], &picture) };
        let things: Vec<_> = results.things().iter().map(|it| (it.category, it.number, it.score)).collect();
        assert_eq!(things, [(1, 1, 0.75), (0, 3, 1.0)]);
    }
}
