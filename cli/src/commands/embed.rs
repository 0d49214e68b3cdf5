//! `vitrum embed`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::Serialize;

use super::{embed_pictures, embed_texts};
use crate::args::{EmbedArgs, Machine};
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::{model, npy};

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
        embed_pictures(&clip, images, !args.raw)?
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
        let write = || -> io::Result<()> {
            let mut out = BufWriter::new(File::create(path)?);
            match format {
                Format::Npy => npy::write(&mut out, [inputs.len(), dim], &embeddings)?,
                Format::Json => serde_json::to_writer(&mut out, &embedded.collect::<Vec<_>>())?,
            }
            out.flush()
        };
        write().map_err(|error| Failure::unwritable(path.display(), &error))?;
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
