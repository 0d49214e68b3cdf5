//! `vitrum segment`.

use std::io::Write;
use std::path::Path;

use vitrum::exec::{Cx, Monitor};
use vitrum::pipelines::sam::{Embedding, Point, PredictOptions, Prediction, Prompt, Sam, TextPrompt};

use super::files::{Files, Results, shown};
use super::mask_prompt::{self, Fit};
use super::masks::{self, Record, tinted};
use crate::args::sam::{Corners, Numbered, Place, PromptArgs, SegmentArgs};
use crate::args::{LoadArgs, Machine};
use crate::bounded;
use crate::draw::{Canvas, color};
use crate::failure::{Exit, Failure, OrExit, Result};
use crate::model;
use crate::name;
use crate::output::{self, Inputs, Output};
use crate::picture::{MAX_FILE, Picture};
use crate::progress;

/// Finds what was clicked, boxed or named, prints a line or an object for each mask and writes the files asked for.
pub(crate) fn run(args: &SegmentArgs, machine: &Machine, output: &mut Output) -> Result<()> {
    let by_text = !args.prompt.texts.is_empty();
    if !by_text && !args.words.others.is_empty() {
        return Err(Failure::usage("--not says what is no answer to --text, which is missing"));
    }
    let other = args.save_embedding.as_deref().map(|path| ("--save-embedding", path));
    let files = Files::new(&args.output, !by_text, &inputs(args)?, other, output)?;
    let picture = Picture::open(&args.image, &args.pictures.options_for_masks())?;
    let task = Task { args, picture, load: machine.load, cx: machine.cx()? };
    let sam = model::load_sam(&args.model.model, args.model.image_size, machine.load, &task.cx)?;
    if by_text { task.find_texts(&sam, &files, output) } else { task.answer(&sam, &files, output) }
}

/// What is read.
fn inputs(args: &SegmentArgs) -> Result<Inputs> {
    let mut inputs = Inputs::default();
    inputs.add(&args.image);
    args.embedding.iter().for_each(|path| inputs.add(path));
    if let Some(mask) = &args.prompt.mask {
        inputs.add(&Numbered::of_path(mask).map_err(Failure::usage)?.what);
    }
    for model in [&args.model.model, &args.words.clip_model] {
        inputs.add(Path::new(model));
    }
    Ok(inputs)
}

/// What there is to do.
struct Task<'a> {
    args: &'a SegmentArgs,
    picture: Picture,
    load: LoadArgs,
    cx: Cx,
}

impl Task<'_> {
    /// Answers clicks, boxes and a mask.
    fn answer(&self, sam: &Sam, files: &Files<'_>, output: &mut Output) -> Result<()> {
        let Self { args, picture, cx, .. } = self;
        let (size, side) = ([picture.width, picture.height], sam.mask_side());
        let options = args.pictures.options();
        let read = |path: &Path| mask_prompt::read(cx, (path, &options), size, side, Fit::of(sam));
        let mask = args.prompt.mask.as_deref().map(read).transpose()?;
        let points = points(&args.prompt);
        let prompts = prompts(&args.prompt.boxes, &points, mask.as_deref())?;
        let embedding = self.embedding(sam)?;
        let mut prediction = Prediction::default();
        let options = PredictOptions::default().with_multimask(args.multimask);
        sam.predict(&embedding, &prompts, &options, &mut prediction).or_exit(Exit::Usage)?;

        let mut records = Vec::new();
        for prompt in 0..prediction.prompts() {
            for mask in 0..prediction.masks() {
                records.push(Record::of(&prediction, prompt, mask, args.threshold)?);
            }
        }
        let answers: Vec<usize> = (0..prediction.prompts())
            .map(|prompt| prompt * prediction.masks() + prediction.best(prompt))
            .collect();
        self.finish(records, &answers, &[], Some(&prediction), files, output)
    }

    /// Finds what the texts name.
    fn find_texts(&self, sam: &Sam, files: &Files<'_>, output: &mut Output) -> Result<()> {
        let Self { args, picture, cx, .. } = self;
        let clip = model::load(&args.words.clip_model, self.load, cx)?;
        let (texts, others) = (strs(&args.prompt.texts), strs(&args.words.others));
        let prompt = TextPrompt::default()
            .with_texts(&texts)
            .with_others(&others)
            .with_top(args.words.top as usize)
            .with_min_probability(args.words.min_probability)
            .with_automatic(args.words.automatic.options(sam));
        let view = picture.view()?;
        let find = |monitor: &Monitor<'_>| sam.ground(&clip, &view, &prompt, monitor);
        let (matches, embedding) =
            progress::watch("searching", |_, monitor| find(monitor)).or_exit(Exit::Usage)?;
        self.save(&embedding)?;
        let records = matches.into_iter().map(|it| Record {
            text: Some(texts[it.text]),
            probability: Some(it.probability),
            ..Record::new(it.record.segmentation, it.record.predicted_iou, it.record.stability_score)
        });
        let records: Vec<Record<'_>> = records.collect();
        let answers: Vec<usize> = (0..records.len()).collect();
        self.finish(records, &answers, &texts, None, files, output)
    }

    /// Writes the files and prints the records.
    fn finish(
        &self,
        records: Vec<Record<'_>>,
        answers: &[usize],
        texts: &[&str],
        prediction: Option<&Prediction>,
        files: &Files<'_>,
        output: &mut Output,
    ) -> Result<()> {
        let (image, picture) = (&*self.args.image, &self.picture);
        let turned = |it| Record { orientation: picture.orientation(), ..it }.outlined(files.form());
        let records = records.into_iter().map(turned).collect::<Result<Vec<_>>>()?;
        let draw = || self.draw(&records);
        files.write(&Results {
            records: &records,
            answers,
            image,
            picture,
            texts,
            prediction,
            draw: &draw,
        })?;
        masks::notice_none(&records);
        if output.json() {
            return records.iter().try_for_each(|record| output.object(record));
        }
        for (i, record) in records.iter().enumerate() {
            let [x, y, width, height] = record.bbox;
            let (iou, stability, area) = (record.predicted_iou, record.stability_score, record.area);
            let found = record.text.zip(record.probability);
            let found = found.map_or(String::new(), |(text, p)| format!("\t{p:.4}\t{}", name::field(text)));
            output.line(format_args!(
                "{i}\t{iou:.4}\t{stability:.4}\t{area}\t{x},{y},{width},{height}{found}"
            ))?;
        }
        Ok(())
    }

    /// The picture with all masks and the prompts; masks are named where there are several.
    fn draw(&self, records: &[Record<'_>]) -> Result<Canvas> {
        let masks = records.iter().enumerate().map(|(i, record)| (&record.segmentation, color(i)));
        let mut overlay = tinted(&self.cx, &self.picture, 1.0, masks)?;
        let prompt = &self.args.prompt;
        let masks = records.len() / prompt.boxes.len().max(1);
        for (i, Corners(corners)) in prompt.boxes.iter().enumerate() {
            overlay.bounding_box(*corners, color(i * masks));
        }
        prompt.negatives.iter().for_each(|place| overlay.point(place.0, false));
        prompt.points.iter().for_each(|place| overlay.point(place.0, true));
        for (i, record) in records.iter().enumerate() {
            let name = match (record.text, record.probability) {
                (Some(text), Some(probability)) => format!("{text} {:.0} %", probability * 100.0),
                _ if records.len() > 1 => format!("{i}"),
                _ => continue,
            };
            let [x, y, ..] = record.bbox;
            overlay.label([x as f32, y as f32], &name, color(i));
        }
        Ok(overlay.into_canvas())
    }

    /// What the image encoder finds, or found in an earlier call.
    fn embedding(&self, sam: &Sam) -> Result<Embedding> {
        let embedding = match &self.args.embedding {
            Some(path) => self.restore(sam, path)?,
            None => {
                let view = self.picture.view()?;
                progress::watch("encoding", |_, monitor| sam.encode(&view, monitor)).or_exit(Exit::Input)?
            }
        };
        self.save(&embedding)?;
        Ok(embedding)
    }

    fn restore(&self, sam: &Sam, path: &Path) -> Result<Embedding> {
        let bytes = bounded::open(path, MAX_FILE, |head| head.starts_with(b"vitrumSE"))?;
        let embedding = sam.restore(&bytes);
        let embedding = embedding.map_err(|error| error.within(path.display())).or_exit(Exit::Input)?;
        let ((width, height), picture) = (embedding.image_size(), &self.picture);
        if (width, height) != (picture.width, picture.height) {
            let message = format!(
                "{}: the embedding of a picture of {width} x {height} pixels, not {} x {}",
                path.display(),
                picture.width,
                picture.height
            );
            return Err(Failure::new(Exit::Input, message));
        }
        match embedding.is_of(&picture.view()?).or_exit(Exit::Other)? {
            Some(true) => Ok(embedding),
            Some(false) => Err(Failure::new(
                Exit::Input,
                format!(
                    "{}: the embedding of another picture than {}",
                    path.display(),
                    self.args.image.display()
                ),
            )
            .hint("an embedding belongs to the pixels of its picture: make it anew with --save-embedding")),
            None => {
                let message = format!(
                    "{}: of which picture this embedding is is not known: an earlier version saved it",
                    path.display()
                );
                output::complain(&message, Some("save it again to be sure: --save-embedding"));
                Ok(embedding)
            }
        }
    }

    fn save(&self, embedding: &Embedding) -> Result<()> {
        let Some(path) = &self.args.save_embedding else { return Ok(()) };
        let bytes = embedding.save().or_exit(Exit::Other)?;
        output::create(path, |out| out.write_all(&bytes))?;
        if !self.args.output.form.quiet {
            output::notice(format_args!("wrote {}: embedding", shown(path)));
        }
        Ok(())
    }
}

fn strs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

/// The clicks.
fn points(args: &PromptArgs) -> Vec<Point> {
    let wanted = args.points.iter().map(|&Place([x, y])| Point::foreground(x, y));
    wanted.chain(args.negatives.iter().map(|&Place([x, y])| Point::background(x, y))).collect()
}

/// A prompt for each box; one without boxes.
fn prompts<'a>(boxes: &[Corners], points: &'a [Point], mask: Option<&'a [f32]>) -> Result<Vec<Prompt<'a>>> {
    if boxes.len() > 1 && !(points.is_empty() && mask.is_none()) {
        return Err(Failure::usage("of which box are the points or the mask?")
            .hint("several boxes are prompts of their own: give points and masks with one box or none"));
    }
    let prompt = Prompt::default().with_points(points).with_mask(mask);
    let boxed = |&Corners(corners): &Corners| prompt.with_bounding_box(corners);
    Ok(if boxes.is_empty() { vec![prompt] } else { boxes.iter().map(boxed).collect() })
}
