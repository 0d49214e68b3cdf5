//! `vitrum embed`.

use std::path::Path;

use serde::Serialize;

use super::{embed_pictures, embed_texts};
use crate::args::{EmbedArgs, Machine};
use crate::failure::{Failure, Result};
use crate::model;
use crate::npy::{self, Dtype};
use crate::output::{self, Output};

/// Format of the file that `--output` names.
#[derive(Clone, Copy, Debug)]
enum Format {
    Npy,
    Json,
}

impl Format {
    fn of(path: &Path) -> Result<Self> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("npy") => Ok(Self::Npy),
            Some("json") => Ok(Self::Json),
            _ => Err(Failure::usage(format!("--output {}: neither .npy nor .json", path.display()))
                .hint("the ending chooses the format: x.npy for NumPy, x.json for JSON")),
        }
    }
}

/// An input and its embedding.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Input<'a> {
    Image(&'a str),
    Text(&'a str),
}

#[derive(Debug, Serialize)]
struct Embedded<'a> {
    #[serde(flatten)]
    input: &'a Input<'a>,
    embedding: &'a [f32],
}

/// Lines `input <tab> values separated by spaces`, or objects `{image or text, embedding}`, or a file of either
/// format.
pub(crate) fn run(args: &EmbedArgs, machine: &Machine, output: &mut Output) -> Result<()> {
    let file = args.output.as_deref().map(|path| Ok((path, Format::of(path)?))).transpose()?;
    let clip = model::load(&args.model.model, &machine.cx()?)?;
    let (images, texts) = (&args.inputs.images, &args.inputs.texts);
    let embeddings = if images.is_empty() {
        embed_texts(&clip, texts, !args.raw)?
    } else {
        embed_pictures(&clip, images, &args.pictures.options(), !args.raw)?
    };
    let names: Vec<_> = images.iter().map(|path| path.to_string_lossy()).collect();
    let inputs: Vec<Input<'_>> = match &names[..] {
        [] => texts.iter().map(|text| Input::Text(text)).collect(),
        names => names.iter().map(|name| Input::Image(name)).collect(),
    };
    let dim = clip.embed_dim();
    let rows = inputs.iter().zip(embeddings.chunks_exact(dim));
    let embedded = rows.map(|(input, embedding)| Embedded { input, embedding });

    if let Some((path, format)) = file {
        output::create(path, |out| match format {
            Format::Npy => {
                npy::write_header(&mut *out, Dtype::F32, &[inputs.len(), dim])?;
                npy::write_floats(out, &embeddings)
            }
            Format::Json => Ok(serde_json::to_writer(out, &embedded.collect::<Vec<_>>())?),
        })?;
        return written(path, [inputs.len(), dim], output);
    }
    for row in embedded {
        if output.json() {
            output.object(&row)?;
        } else {
            let (Input::Image(name) | Input::Text(name)) = row.input;
            let values: Vec<_> = row.embedding.iter().map(f32::to_string).collect();
            output.line(format_args!("{name}\t{}", values.join(" ")))?;
        }
    }
    Ok(())
}

/// Tells what was written.
fn written(path: &Path, shape: [usize; 2], output: &mut Output) -> Result<()> {
    #[derive(Serialize)]
    struct Written<'a> {
        output: &'a str,
        shape: [usize; 2],
    }
    let name = path.to_string_lossy();
    if output.json() {
        output.object(&Written { output: &name, shape })
    } else {
        output.line(format_args!("{name}\t{} x {}", shape[0], shape[1]))
    }
}
