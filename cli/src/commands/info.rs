//! `vitrum info`.

mod clip;
mod sam;
mod sam2;

use std::collections::BTreeMap;

use serde::Serialize;
use vitrum::WeightFormat;
use vitrum::exec::Cx;
use vitrum::pipelines::clip::Clip;
use vitrum::pipelines::sam::Sam;
use vitrum::simd::AmxState;
use vitrum::weights::Bundle;

use crate::args::{InfoArgs, LoadArgs, Machine};
use crate::failure::{Exit, OrExit, Result};
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
    /// The format of the loaded weights.
    weights: &'static str,
    /// Bytes of the weights in each format.
    memory_bytes_by_format: BTreeMap<&'static str, usize>,
    /// Bytes of scratch memory for one picture.
    scratch_bytes: usize,
    unused_tensors: Vec<String>,
    #[serde(flatten)]
    cpu: Cpu,
}

/// What the model is computed with.
#[derive(Debug, Serialize)]
struct Cpu {
    isa: &'static str,
    /// Instructions beyond it that weights in bf16 and int8 are multiplied with.
    extensions: Vec<&'static str>,
    amx: &'static str,
}

impl Cpu {
    fn of(cx: &Cx) -> Self {
        let amx = match cx.amx() {
            AmxState::NotAsked => "not asked for",
            AmxState::Absent => "absent",
            AmxState::Refused => "refused by the operating system",
            AmxState::Used => "used",
        };
        Self { isa: cx.level().name(), extensions: cx.extensions().names().collect(), amx }
    }

    fn line(&self) -> String {
        let extensions: String = self.extensions.iter().map(|name| format!(", {name}")).collect();
        format!("{}{extensions}; AMX: {}", self.isa, self.amx)
    }
}

/// A loaded model.
struct Loaded {
    memory_bytes: usize,
    scratch_bytes: usize,
    /// Bytes of its weights in each format.
    by_format: BTreeMap<&'static str, usize>,
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
        loaded: Loaded,
        machine: &Machine,
        cx: &Cx,
    ) -> Result<Self> {
        let stored = bundle.weight_format().or_exit(Exit::Model)?;
        let archive = bundle.archive();
        let mut dtypes = BTreeMap::new();
        for tensor in archive.tensors() {
            *dtypes.entry(format!("{:?}", tensor.dtype)).or_default() += 1;
        }
        let elements = |shape: &[usize]| shape.iter().map(|&n| n as u64).product::<u64>();
        Ok(Self {
            model,
            family,
            sizes,
            dtypes,
            tensors: archive.tensors().len(),
            parameters: archive.tensors().map(|tensor| elements(tensor.shape)).sum(),
            file_bytes: archive.total_bytes(),
            memory_bytes: loaded.memory_bytes,
            weights: machine.load.weights.unwrap_or(stored).name(),
            memory_bytes_by_format: loaded.by_format,
            scratch_bytes: loaded.scratch_bytes,
            unused_tensors: bundle.unused().map(|tensor| tensor.name.to_owned()).collect(),
            cpu: Cpu::of(cx),
        })
    }

    fn formats(&self) -> String {
        let one = |format: WeightFormat| {
            let bytes = self.memory_bytes_by_format.get(format.name())?;
            Some(format!("{} {}", format.name(), megabytes(*bytes as u64)))
        };
        WeightFormat::ALL.into_iter().filter_map(one).collect::<Vec<_>>().join(", ")
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
            ("in memory", format!("{} ({})", megabytes(self.memory_bytes as u64), self.weights)),
            ("in formats", self.formats()),
            ("scratch", format!("{} for one picture", megabytes(self.scratch_bytes as u64))),
            ("unused tensors", self.unused_tensors.len().to_string()),
            ("computed with", self.cpu.line()),
        ]);
        lines.iter().try_for_each(|(key, value)| output.line(format_args!("{key:<15} {value}")))
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// What the weights take in each format, one loaded after the other.
fn by_format(
    machine: &Machine,
    bytes: impl Fn(LoadArgs) -> Result<usize>,
) -> Result<BTreeMap<&'static str, usize>> {
    let one = |format: WeightFormat| {
        Ok((format.name(), bytes(LoadArgs { weights: Some(format), ..machine.load })?))
    };
    WeightFormat::ALL.into_iter().map(one).collect()
}

/// Loads the model and describes it; with `--tensors`, also every tensor: `name <tab> dtype <tab> shape`.
pub(crate) fn run(args: &InfoArgs, machine: &Machine, output: &mut Output) -> Result<()> {
    #[derive(Serialize)]
    struct Tensor<'a> {
        tensor: &'a str,
        dtype: String,
        shape: &'a [usize],
    }

    let bundle = model::open(&args.model, machine.load)?;
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
            let (memory_bytes, scratch_bytes) = (clip.memory_bytes(), clip.image_scratch_bytes(1));
            let sizes = clip::Sizes::of(&clip);
            let family = if clip.has_independent_probabilities() { "SigLIP" } else { "CLIP" };
            drop(clip);
            let by_format = by_format(machine, |load| {
                Ok(Clip::load(&cx, &bundle, &model::clip_options(load)).or_exit(Exit::Model)?.memory_bytes())
            })?;
            let loaded = Loaded { memory_bytes, scratch_bytes, by_format };
            Info::new(&args.model, &bundle, family, sizes, loaded, machine, &cx)?.print(output)
        }
        Family::Sam => {
            let sam = model::bind_sam(&args.model, &bundle, None, machine.load, &cx)?;
            let (memory_bytes, scratch_bytes) = (sam.memory_bytes(), sam.encode_scratch_bytes());
            let family = if sam.sam2().is_some() { "SAM 2" } else { "SAM" };
            let sizes = sam::Sizes::of(&sam);
            drop(sam);
            let by_format = by_format(machine, |load| {
                Ok(Sam::load(&cx, &bundle, &model::sam_options(load)).or_exit(Exit::Model)?.memory_bytes())
            })?;
            let loaded = Loaded { memory_bytes, scratch_bytes, by_format };
            Info::new(&args.model, &bundle, family, sizes, loaded, machine, &cx)?.print(output)
        }
    }
}
