//! `vitrum info`.

mod clip;
mod sam;
mod sam2;

use std::collections::BTreeMap;

use serde::Serialize;
use vitrum::weights::Bundle;

use crate::args::{InfoArgs, Machine};
use crate::failure::Result;
use crate::model::{self, Family};
use crate::output::Output;

/// What there is to say about any model; `S` is what its family adds.
#[derive(Debug, Serialize)]
struct Info<'a, S> {
    model: &'a str,
    family: &'static str,
    #[serde(flatten)]
    sizes: S,
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

/// What a family adds, for people: names and values.
trait Lines {
    fn lines(&self) -> Vec<(&'static str, String)>;
}

impl<'a, S: Serialize + Lines> Info<'a, S> {
    /// Of a loaded model.
    fn new(
        model: &'a str,
        bundle: &Bundle<'_>,
        family: &'static str,
        sizes: S,
        memory_bytes: usize,
        scratch_bytes: usize,
    ) -> Self {
        let archive = bundle.archive();
        let mut dtypes = BTreeMap::new();
        for tensor in archive.tensors() {
            *dtypes.entry(format!("{:?}", tensor.dtype)).or_default() += 1;
        }
        let elements = |shape: &[usize]| shape.iter().map(|&n| n as u64).product::<u64>();
        Self {
            model,
            family,
            sizes,
            dtypes,
            tensors: archive.tensors().len(),
            parameters: archive.tensors().map(|tensor| elements(tensor.shape)).sum(),
            file_bytes: archive.total_bytes(),
            memory_bytes,
            scratch_bytes,
            unused_tensors: bundle.unused().map(|tensor| tensor.name.to_owned()).collect(),
        }
    }

    fn print(&self, output: &mut Output) -> Result<()> {
        if output.json() {
            return output.object(self);
        }
        let dtypes: Vec<_> = self.dtypes.iter().map(|(dtype, count)| format!("{count} {dtype}")).collect();
        let mut lines = vec![("model", self.model.to_owned()), ("family", self.family.to_owned())];
        lines.extend(self.sizes.lines());
        lines.extend([
            ("tensors", format!("{} ({})", self.tensors, dtypes.join(", "))),
            ("parameters", self.parameters.to_string()),
            ("in the file", megabytes(self.file_bytes)),
            ("in memory", megabytes(self.memory_bytes as u64)),
            ("scratch", format!("{} for one picture", megabytes(self.scratch_bytes as u64))),
            ("unused tensors", self.unused_tensors.len().to_string()),
        ]);
        lines.iter().try_for_each(|(key, value)| output.line(format_args!("{key:<15} {value}")))
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
    let cx = machine.cx()?;
    match Family::of(&args.model, &bundle)? {
        Family::Clip => {
            let clip = model::bind(&args.model, &bundle, machine.load, &cx)?;
            let (memory, scratch) = (clip.memory_bytes(), clip.image_scratch_bytes(1));
            Info::new(&args.model, &bundle, "CLIP", clip::Sizes::of(&clip), memory, scratch).print(output)
        }
        Family::Sam => {
            let sam = model::bind_sam(&args.model, &bundle, None, machine.load, &cx)?;
            let (memory, scratch) = (sam.memory_bytes(), sam.encode_scratch_bytes());
            let family = if sam.sam2().is_some() { "SAM 2" } else { "SAM" };
            Info::new(&args.model, &bundle, family, sam::Sizes::of(&sam), memory, scratch).print(output)
        }
    }
}
