//! Many pictures through a CLIP: a few at a time, each with its result or its error.

use std::path::Path;

use indicatif::ProgressBar;
use serde::Serialize;
use vitrum::image::ImageView;
use vitrum::pipelines::clip::{Clip, EncodeOptions};
use vitrum::{Error, ErrorCode};

use crate::args::BatchArgs;
use crate::args::picture::PictureArgs;
use crate::failure::{Exit, Failure, Result};
use crate::inputs::Input;
use crate::name::ImageName;
use crate::output::{self, Output};
use crate::picture::{self, Picture, PictureOptions};
use crate::progress;

/// Pictures that are in memory at the same time.
const PICTURES: usize = 8;
/// Pixels after which no further picture is added to them.
const PIXELS: usize = 1 << 26;

/// The inputs that are still to come, and what became of the others.
pub(super) struct Pictures<'a> {
    clip: &'a Clip,
    rest: &'a [Input],
    encode: EncodeOptions,
    fail_fast: bool,
    options: PictureOptions,
    bar: ProgressBar,
    total: usize,
    failed: usize,
}

/// How a picture was turned, if it was, as EXIF numbers it.
type Turned = Option<u8>;

/// An input: its name, and how it was turned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    pub(super) path: &'a Path,
    pub(super) turned: Option<u8>,
}

impl<'a> Seen<'a> {
    /// As fields of an object.
    pub(super) fn name(self) -> ImageName<'a> {
        ImageName::of(self.path).turned(self.turned)
    }
}

/// Inputs in their order, and the embeddings of those that are pictures.
pub(super) struct Batch<'a> {
    entries: Vec<(&'a Path, Result<Turned>)>,
    /// `[pictures, embed_dim]`.
    pub(super) embeddings: Vec<f32>,
}

impl<'a> Pictures<'a> {
    /// `inputs` are to be embedded, with length 1 if `normalize`.
    pub(super) fn new(
        clip: &'a Clip,
        inputs: &'a [Input],
        normalize: bool,
        args: (&BatchArgs, &PictureArgs),
    ) -> Self {
        Self {
            clip,
            rest: inputs,
            encode: EncodeOptions::default().with_normalize(normalize),
            fail_fast: args.0.fail_fast,
            options: args.1.options(),
            bar: progress::bar("pictures", inputs.len()),
            total: inputs.len(),
            failed: 0,
        }
    }

    /// Decodes and embeds the next few pictures; `None` after the last one.
    ///
    /// # Errors
    /// What is not the fault of a picture.
    pub(super) fn next(&mut self) -> Result<Option<Batch<'a>>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (mut entries, mut pictures, mut pixels) = (Vec::new(), Vec::new(), 0);
        while let Some((input, rest)) = self.rest.split_first() {
            self.rest = rest;
            let picture = match &input.problem {
                Some(problem) => Err(problem.clone()),
                None => Picture::load(&input.path, &self.options).map(|(picture, notes)| {
                    if !notes.is_empty() {
                        self.bar.suspend(|| picture::tell(&input.path, &notes));
                    }
                    picture
                }),
            };
            let outcome = match picture {
                Ok(picture) => {
                    pixels += picture.width * picture.height;
                    let turned = picture.orientation();
                    pictures.push(picture);
                    Ok(turned)
                }
                Err(failure) if is_of_input(&failure) => Err(failure),
                Err(failure) => return Err(failure),
            };
            let is_last = outcome.is_err() && self.fail_fast;
            entries.push((input.path.as_path(), outcome));
            // Failures are told at once, not after the pictures that follow them.
            if is_last || entries.len() == PICTURES || pixels >= PIXELS {
                break;
            }
        }
        let views = pictures.iter().map(Picture::view).collect::<Result<Vec<_>>>()?;
        let embeddings = self.encode(&views, &mut entries)?;
        Ok(Some(Batch { entries, embeddings }))
    }

    /// Embeds the pictures of `entries`, which are those without an error so far.
    fn encode(&self, views: &[ImageView<'_>], entries: &mut [(&Path, Result<Turned>)]) -> Result<Vec<f32>> {
        if views.is_empty() {
            return Ok(Vec::new());
        }
        let error = match self.clip.encode_images(views, &self.encode) {
            Ok(embeddings) => return Ok(embeddings),
            Err(error) => error,
        };
        if matches!(error.code(), ErrorCode::OutOfMemory | ErrorCode::Panic) {
            return Err(Failure::new(Exit::Other, error.message()));
        }
        // One of them is at fault, the others are not.
        let (mut embeddings, mut failed) = (Vec::new(), false);
        let pictures = entries.iter_mut().filter(|(_, outcome)| outcome.is_ok());
        for ((path, outcome), view) in pictures.zip(views) {
            match self.clip.encode_images(&[*view], &self.encode) {
                Ok(embedding) => embeddings.extend(embedding),
                Err(error) => {
                    *outcome = Err(unusable(path, &error));
                    failed = true;
                }
            }
        }
        if failed { Ok(embeddings) } else { Err(Failure::new(Exit::Other, error.message())) }
    }

    /// Shows a batch: `show` gets each input with the index of its embedding, or with its failure after that was
    /// told.
    ///
    /// # Errors
    /// Those of `show`; the first failure of a picture with `--fail-fast`.
    pub(super) fn show(
        &mut self,
        batch: &Batch<'_>,
        output: &mut Output,
        mut show: impl FnMut(Seen<'_>, Result<usize, &Failure>, &mut Output) -> Result<()>,
    ) -> Result<()> {
        let Self { bar, failed, fail_fast, .. } = self;
        bar.suspend(|| {
            let mut index = 0;
            for (path, outcome) in &batch.entries {
                match outcome {
                    &Ok(turned) => {
                        show(Seen { path, turned }, Ok(index), output)?;
                        index += 1;
                    }
                    Err(failure) => {
                        *failed += 1;
                        report(path, failure, output)?;
                        if *fail_fast {
                            return Err(Failure::Told(Exit::Input));
                        }
                        show(Seen { path, turned: None }, Err(failure), output)?;
                    }
                }
            }
            output.flush()
        })?;
        self.bar.inc(batch.entries.len() as u64);
        Ok(())
    }

    /// What the command's end is: a failure if inputs failed, all or some of them.
    pub(super) fn verdict(&self) -> Result<()> {
        let Self { failed, total, .. } = *self;
        if failed == 0 {
            return Ok(());
        }
        if total > 1 {
            let others = if failed < total { "; the others have their results" } else { "" };
            output::complain(&format!("{failed} of {total} inputs failed{others}"), None);
        }
        Err(Failure::Told(if failed < total { Exit::Partial } else { Exit::Input }))
    }

    /// Whether no input has a result.
    pub(super) fn all_failed(&self) -> bool {
        self.failed == self.total
    }
}

/// Whether others may have results though this one has none.
fn is_of_input(failure: &Failure) -> bool {
    matches!(failure, Failure::Message { exit: Exit::Input, .. })
}

fn unusable(path: &Path, error: &Error) -> Failure {
    Failure::new(Exit::Input, format!("{}: {error}", path.display()))
}

/// An input without a result, as an object.
#[derive(Debug, Serialize)]
pub(super) struct Failed<'a> {
    #[serde(flatten)]
    image: ImageName<'a>,
    error: Told<'a>,
}

#[derive(Debug, Serialize)]
struct Told<'a> {
    kind: &'static str,
    /// The exit code if all inputs fail.
    exit: u8,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

impl<'a> Failed<'a> {
    /// `None` of failures with nothing to tell.
    pub(super) fn new(path: &'a Path, failure: &'a Failure) -> Option<Self> {
        let Failure::Message { exit, message, hint } = failure else { return None };
        let error = Told { kind: exit.kind(), exit: *exit as u8, message, hint: hint.as_deref() };
        Some(Self { image: ImageName::of(path), error })
    }
}

/// Tells a failure on standard error, and with `--json` on standard output, after the results before it.
fn report(path: &Path, failure: &Failure, output: &mut Output) -> Result<()> {
    let (Failure::Message { message, hint, .. }, Some(failed)) = (failure, Failed::new(path, failure)) else {
        return Ok(());
    };
    if output.json() {
        output.object(&failed)?;
    }
    output.flush()?;
    output::complain(message, hint.as_deref());
    Ok(())
}
