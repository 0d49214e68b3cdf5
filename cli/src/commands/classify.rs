//! `vitrum classify`.

use std::path::Path;

use serde::Serialize;

use super::batch::Pictures;
use super::{logits, top};
use crate::args::{ClassifyArgs, Machine};
use crate::classifier::{Classes, Classifier};
use crate::failure::{Exit, Failure, OrExit, Result};
use crate::inputs::{self, Input};
use crate::name::ImageName;
use crate::npy::{self, Array};
use crate::output::Output;
use crate::text_file::is_stdin;
use crate::{bounded, model, name, output};

/// A label and its probability.
#[derive(Debug, Serialize)]
pub(super) struct Scored<'a> {
    pub(super) label: &'a str,
    pub(super) probability: f32,
}

/// The `k` best labels of a picture.
pub(super) fn best<'a>(labels: &[&'a str], probabilities: &[f32], k: usize) -> Vec<Scored<'a>> {
    let scored = |i: usize| Scored { label: labels[i], probability: probabilities[i] };
    top(probabilities, k).into_iter().map(scored).collect()
}

/// Lines `image <tab> probability <tab> label`, or objects `{image, labels: [{label, probability}]}`, as the pictures
/// are done.
pub(crate) fn run(args: &ClassifyArgs, machine: &Machine, output: &mut Output) -> Result<()> {
    #[derive(Serialize)]
    struct Classified<'a> {
        #[serde(flatten)]
        image: ImageName<'a>,
        labels: Vec<Scored<'a>>,
    }

    let stdin_taken = args.labels.labels_file.as_deref().is_some_and(is_stdin);
    let inputs = inputs::expand(&args.images, args.batch.recursive, stdin_taken)?;
    let classifier = args.labels.classifier.as_deref().map(|path| Ok((path, Classifier::read(path)?)));
    let classifier = classifier.transpose()?;
    let classes = if classifier.is_none() { Some(Classes::of(args)?) } else { None };
    if let Some(path) = &args.save_classifier {
        check_output(args, &inputs, path)?;
    }
    let labels = match (&classifier, &classes) {
        (Some((_, classifier)), _) => classifier.labels.clone(),
        (None, classes) => classes.as_ref().map(Classes::labels).unwrap_or_default(),
    };
    let embeddings =
        args.label_embeddings.as_deref().map(|path| read_embeddings(path, labels.len())).transpose()?;
    let bundle = model::open(&args.model.model, machine.load)?;
    let clip = model::bind(&args.model.model, &bundle, machine.load, &machine.cx()?)?;
    let fingerprint = || bundle.archive().fingerprint().or_exit(Exit::Model);
    let texts = match (classifier, embeddings, classes) {
        (Some((path, classifier)), ..) => {
            classifier.check(path, &args.model.model, fingerprint()?, clip.embed_dim())?;
            classifier.embeddings
        }
        (None, Some((path, array)), _) => of_model(path, array, clip.embed_dim())?,
        (None, None, classes) => classes.map_or_else(|| Ok(Vec::new()), |classes| classes.embed(&clip))?,
    };
    if let Some(path) = &args.save_classifier {
        let (model, fingerprint) = (args.model.model.clone(), fingerprint()?);
        let (labels, embeddings) = (labels.clone(), texts.clone());
        Classifier { model, fingerprint, labels, embeddings }.write(path)?;
    }
    drop(bundle);
    if inputs.is_empty() {
        return Ok(());
    }
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();

    let k = args.top.map_or(labels.len(), |k| k as usize);
    let mut pictures = Pictures::new(&clip, &inputs, false, (&args.batch, &args.pictures));
    while let Some(batch) = pictures.next()? {
        let mut scores = logits(&clip, &batch.embeddings, &texts)?;
        clip.probabilities(&mut scores, labels.len());
        pictures.show(&batch, output, |seen, index, output| {
            let Ok(index) = index else { return Ok(()) };
            let best = best(&labels, &scores[index * labels.len()..][..labels.len()], k);
            if output.json() {
                return output.object(&Classified { image: seen.name(), labels: best });
            }
            let image = name::shown(seen.path);
            for Scored { label, probability } in best {
                output.line(format_args!("{image}\t{probability:.4}\t{}", name::field(label)))?;
            }
            Ok(())
        })?;
    }
    pictures.verdict()
}

/// Fails if the file `path` cannot be made, or would replace what is read.
fn check_output(args: &ClassifyArgs, inputs: &[Input], path: &Path) -> Result<()> {
    let mut read = output::Inputs::default();
    inputs::lists(&args.images).for_each(|list| read.add(&list));
    inputs.iter().filter(|input| input.problem.is_none()).for_each(|input| read.add(&input.path));
    let files = [&args.labels.labels_file, &args.labels.classifier, &args.label_embeddings];
    files.into_iter().flatten().for_each(|file| read.add(file));
    read.check("--save-classifier", path)?;
    output::check_writable(path)
}

/// Bytes of a file of embeddings at most: a million rows of 1024 values.
const MAX_EMBEDDINGS: u64 = 4 << 30;

/// The embeddings in the file `path`, a row for each of `labels` labels.
fn read_embeddings(path: &Path, labels: usize) -> Result<(&Path, Array)> {
    let bad = |message: String| Failure::new(Exit::Input, format!("{}: {message}", path.display()));
    let bytes = bounded::open(path, MAX_EMBEDDINGS, npy::is_npy)?;
    let array = npy::read(&bytes).map_err(bad)?;
    match array.shape[..] {
        [rows, _] if rows == labels => {}
        [rows, _] => return Err(bad(format!("{rows} embeddings for {labels} labels"))),
        _ => return Err(bad(format!("an array of shape {:?}, not [labels, features]", array.shape))),
    }
    let width = array.shape[1].max(1);
    if let Some(row) = array.values.chunks(width).position(|row| row.iter().any(|value| !value.is_finite())) {
        return Err(bad(format!("row {row} holds values that are not finite")));
    }
    Ok((path, array))
}

/// The values, if they are as long as the embeddings of the model.
fn of_model(path: &Path, array: Array, dim: usize) -> Result<Vec<f32>> {
    if array.shape[1] == dim {
        return Ok(array.values);
    }
    let message = format!("{}: embeddings of {} values for a model of {dim}", path.display(), array.shape[1]);
    Err(Failure::new(Exit::Input, message).hint("embed the labels with the same model"))
}
