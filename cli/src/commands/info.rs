//! `vitrum info`.

use std::collections::BTreeMap;

use serde::Serialize;
use vitrum::models::clip::config::TowerConfig;
use vitrum::pipelines::clip::Clip;
use vitrum::weights::Bundle;

use crate::args::{InfoArgs, Machine};
use crate::failure::Result;
use crate::model;
use crate::output::Output;

/// What there is to say about a model.
#[derive(Debug, Serialize)]
struct Info<'a> {
    model: &'a str,
    family: &'static str,
    embed_dim: usize,
    image: Image,
    text: Text,
    /// Tensors by data type.
    dtypes: BTreeMap<String, usize>,
    tensors: usize,
    parameters: u64,
    /// Bytes of the tensors in the file.
    file_bytes: u64,
    /// Bytes of the loaded weights.
    memory_bytes: usize,
    /// Bytes of scratch memory for one picture.
    scratch_bytes: usize,
    unused_tensors: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Image {
    size: usize,
    patch: usize,
    #[serde(flatten)]
    tower: Tower,
}

#[derive(Debug, Serialize)]
struct Text {
    context: usize,
    vocabulary: usize,
    /// Whether there is a tokenizer, without which texts cannot be encoded.
    tokenizer: bool,
    #[serde(flatten)]
    tower: Tower,
}

#[derive(Debug, Serialize)]
struct Tower {
    layers: usize,
    width: usize,
    heads: usize,
    mlp: usize,
    activation: String,
}

impl Tower {
    fn of(config: &TowerConfig) -> Self {
        Self {
            layers: config.layers,
            width: config.hidden_size,
            heads: config.heads,
            mlp: config.intermediate_size,
            activation: format!("{:?}", config.activation),
        }
    }
}

impl<'a> Info<'a> {
    fn of(model: &'a str, bundle: &Bundle<'_>, clip: &Clip) -> Self {
        let config = clip.config();
        let archive = bundle.archive();
        let mut dtypes = BTreeMap::new();
        for tensor in archive.tensors() {
            *dtypes.entry(format!("{:?}", tensor.dtype)).or_default() += 1;
        }
        let elements = |shape: &[usize]| shape.iter().map(|&n| n as u64).product::<u64>();
        Self {
            model,
            family: "CLIP",
            embed_dim: clip.embed_dim(),
            image: Image {
                size: config.vision.image_size,
                patch: config.vision.patch_size,
                tower: Tower::of(&config.vision.tower),
            },
            text: Text {
                context: config.text.context_length,
                vocabulary: config.text.vocab_size,
                tokenizer: clip.tokenizer().is_some(),
                tower: Tower::of(&config.text.tower),
            },
            dtypes,
            tensors: archive.tensors().len(),
            parameters: archive.tensors().map(|tensor| elements(tensor.shape)).sum(),
            file_bytes: archive.total_bytes(),
            memory_bytes: clip.memory_bytes(),
            scratch_bytes: clip.image_scratch_bytes(1),
            unused_tensors: bundle.unused().map(|tensor| tensor.name.to_owned()).collect(),
        }
    }

    fn lines(&self, output: &mut Output) -> Result<()> {
        let Tower { layers, width, heads, mlp, activation } = &self.image.tower;
        let tower = format!("{layers} layers, width {width}, {heads} heads, mlp {mlp}, {activation}");
        let image = format!("{} px, patch {}, {tower}", self.image.size, self.image.patch);
        let Tower { layers, width, heads, mlp, activation } = &self.text.tower;
        let tower = format!("{layers} layers, width {width}, {heads} heads, mlp {mlp}, {activation}");
        let tokenizer = if self.text.tokenizer { "" } else { ", no tokenizer: texts cannot be encoded" };
        let text =
            format!("{} tokens, vocabulary {}, {tower}{tokenizer}", self.text.context, self.text.vocabulary);
        let dtypes: Vec<_> = self.dtypes.iter().map(|(dtype, count)| format!("{count} {dtype}")).collect();
        for (key, value) in [
            ("model", self.model.to_owned()),
            ("family", self.family.to_owned()),
            ("image tower", image),
            ("text tower", text),
            ("embedding", format!("{} features", self.embed_dim)),
            ("tensors", format!("{} ({})", self.tensors, dtypes.join(", "))),
            ("parameters", self.parameters.to_string()),
            ("in the file", megabytes(self.file_bytes)),
            ("in memory", megabytes(self.memory_bytes as u64)),
            ("scratch", format!("{} for one picture", megabytes(self.scratch_bytes as u64))),
            ("unused tensors", self.unused_tensors.len().to_string()),
        ] {
            output.line(format_args!("{key:<15} {value}"))?;
        }
        Ok(())
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// Loads the model and describes it; with `--tensors`, also every tensor: `name <tab> dtype <tab> shape`.
pub(crate) fn run(args: &InfoArgs, machine: &Machine, output: &mut Output) -> Result<()> {
    #[derive(Serialize)]
    struct Tensor<'a> {
        tensor: &'a str,
        dtype: String,
        shape: &'a [usize],
    }

    let bundle = model::open(&args.model)?;
    if args.tensors {
        for tensor in bundle.archive().tensors() {
            let (name, dtype, shape) = (tensor.name, format!("{:?}", tensor.dtype), tensor.shape);
            if output.json() {
                output.object(&Tensor { tensor: name, dtype, shape })?;
            } else {
                output.line(format_args!("{name}\t{dtype}\t{shape:?}"))?;
            }
        }
    }
    let clip = model::bind(&args.model, &bundle, &machine.cx()?)?;
    let info = Info::of(&args.model, &bundle, &clip);
    if output.json() { output.object(&info) } else { info.lines(output) }
}
