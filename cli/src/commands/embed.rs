//! `vitrum embed`.

mod file;

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use vitrum::pipelines::clip::Clip;

use super::batch::{Failed, Pictures, Seen};
use super::embed_texts;
use crate::args::{EmbedArgs, Machine};
use crate::failure::{Failure, Result};
use crate::inputs::{self, Input};
use crate::name::{self, ImageName};
use crate::output::Output;
use crate::{model, output};
use file::{Format, Rows};

/// An input and its embedding.
#[derive(Debug, Serialize)]
struct Embedded<'a> {
    #[serde(flatten)]
    image: Option<ImageName<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    embedding: &'a [f32],
}

/// What came of an input.
#[derive(Clone, Copy)]
enum Row<'a> {
    Image(Seen<'a>, &'a [f32]),
    Text(&'a str, &'a [f32]),
    Failed(&'a Path, &'a Failure),
}

impl<'a> Row<'a> {
    /// The input and its embedding, if there is one.
    fn embedded(self) -> Option<Embedded<'a>> {
        match self {
            Self::Image(seen, embedding) => {
                Some(Embedded { image: Some(seen.name()), text: None, embedding })
            }
            Self::Text(text, embedding) => Some(Embedded { image: None, text: Some(text), embedding }),
            Self::Failed(..) => None,
        }
    }
}

/// Lines `input <tab> values separated by spaces`, or objects `{image or text, embedding}`, as the inputs are done; or
/// a file of either format.
pub(crate) fn run(args: &EmbedArgs, machine: &Machine, output: &mut Output) -> Result<()> {
    let file = args.output.as_deref().map(|path| Ok((path, Format::of(path)?))).transpose()?;
    let inputs = inputs::expand(&args.inputs.images, args.batch.recursive, false)?;
    check_outputs(args, &inputs)?;
    let clip = model::load(&args.model.model, machine.load, &machine.cx()?)?;
    let job = Job { args, clip: &clip, inputs: &inputs };
    let Some((path, format)) = file else {
        return job.embed(output, &mut print)?.map_or(Ok(()), Err);
    };

    let shape = [inputs.len() + args.inputs.texts.len(), clip.embed_dim()];
    let mut verdict = Ok(None);
    let mut failed = Vec::new();
    let created = output::create(path, |out| {
        let mut rows = Rows::begin(out, format, shape)?;
        verdict = job.embed(output, &mut |row, _| {
            if let Row::Failed(..) = row {
                failed.push(rows.len());
            }
            rows.write(row).map_err(|error| Failure::unwritable(path.display(), &error))
        });
        match &verdict {
            Ok(_) => rows.end(),
            Err(_) => Err(io::Error::other("there is no result")),
        }
    });
    // What is not the file's fault is told first.
    let verdict = verdict?;
    created?;
    if let Some(names) = &args.names {
        job.write_names(names)?;
    }
    written(path, shape, &failed, output)?;
    verdict.map_or(Ok(()), Err)
}

/// Refuses to replace what is read, or one output by the other.
fn check_outputs(args: &EmbedArgs, inputs: &[Input]) -> Result<()> {
    let outputs = [("--output", args.output.as_deref()), ("--names", args.names.as_deref())];
    let outputs = outputs.into_iter().filter_map(|(option, path)| Some((option, path?)));
    if outputs.clone().next().is_none() {
        return Ok(());
    }
    let mut read = output::Inputs::default();
    inputs::lists(&args.inputs.images).for_each(|list| read.add(&list));
    inputs.iter().filter(|input| input.problem.is_none()).for_each(|input| read.add(&input.path));
    for (option, path) in outputs.clone() {
        read.check(option, path)?;
    }
    output::check_distinct(outputs.clone())?;
    outputs.map(|(_, path)| path).try_for_each(output::check_writable)
}

/// A row on standard output.
fn print(row: Row<'_>, output: &mut Output) -> Result<()> {
    let Some(embedded) = row.embedded() else { return Ok(()) };
    if output.json() {
        return output.object(&embedded);
    }
    let name = match row {
        Row::Text(text, _) => name::field(text),
        Row::Image(Seen { path, .. }, _) | Row::Failed(path, _) => name::shown(path),
    };
    let values: Vec<_> = embedded.embedding.iter().map(f32::to_string).collect();
    output.line(format_args!("{name}\t{}", values.join(" ")))
}

/// What there is to do.
struct Job<'a> {
    args: &'a EmbedArgs,
    clip: &'a Clip,
    inputs: &'a [Input],
}

impl Job<'_> {
    /// Gives each row to `show` and returns what the command's end is if some inputs failed.
    ///
    /// # Errors
    /// What leaves no result: all inputs failed, or something else did.
    fn embed(
        &self,
        output: &mut Output,
        show: &mut dyn FnMut(Row<'_>, &mut Output) -> Result<()>,
    ) -> Result<Option<Failure>> {
        let Self { args, clip, inputs } = *self;
        let (dim, texts) = (clip.embed_dim(), &args.inputs.texts);
        if !texts.is_empty() {
            let embeddings = embed_texts(clip, texts, !args.raw)?;
            let mut rows = texts.iter().zip(embeddings.chunks_exact(dim));
            rows.try_for_each(|(text, embedding)| show(Row::Text(text, embedding), output))?;
            return Ok(None);
        }
        let mut pictures = Pictures::new(clip, inputs, !args.raw, (&args.batch, &args.pictures));
        while let Some(batch) = pictures.next()? {
            pictures.show(&batch, output, |seen, outcome, output| match outcome {
                Ok(index) => show(Row::Image(seen, &batch.embeddings[index * dim..][..dim]), output),
                Err(failure) => show(Row::Failed(seen.path, failure), output),
            })?;
        }
        match pictures.verdict() {
            Ok(()) => Ok(None),
            Err(failure) if pictures.all_failed() => Err(failure),
            Err(failure) => Ok(Some(failure)),
        }
    }

    /// Writes the inputs of the rows: one a line, escaped as in all lines, or a JSON array.
    fn write_names(&self, path: &Path) -> Result<()> {
        let (images, texts) = (self.inputs.iter().map(|input| input.path.as_path()), &self.args.inputs.texts);
        output::create(path, |out| {
            if path.extension().is_some_and(|ending| ending == "json") {
                let images = images.map(|path| ImageName::of(path).into_image());
                let names: Vec<_> = images.chain(texts.iter().map(Into::into)).collect();
                return Ok(serde_json::to_writer(out, &names)?);
            }
            let mut names = images.map(name::shown).chain(texts.iter().map(|text| name::field(text)));
            names.try_for_each(|name| writeln!(out, "{name}"))
        })
    }
}

/// Tells what was written.
fn written(path: &Path, shape: [usize; 2], failed: &[usize], output: &mut Output) -> Result<()> {
    #[derive(Serialize)]
    struct Written<'a> {
        output: &'a str,
        shape: [usize; 2],
        /// Rows of inputs that failed.
        failed: &'a [usize],
    }
    if output.json() {
        output.object(&Written { output: &path.to_string_lossy(), shape, failed })
    } else {
        output.line(format_args!("{}\t{} x {}", name::shown(path), shape[0], shape[1]))
    }
}
