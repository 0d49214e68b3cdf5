//! `vitrum quantize`.

use std::cmp::Reverse;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value, json};
use vitrum::WeightFormat;
use vitrum::weights::quantized::{self, SHAPE_KEY};
use vitrum::weights::{Bundle, PACKED_KEY, PACKED_VERSION, SIDE_FILES, WEIGHT_FORMAT_KEY};

use crate::args::{LoadArgs, Machine, QuantizeArgs};
use crate::failure::{Exit, Failure, OrExit, Result};
use crate::model::{self, Family};
use crate::output::{self, Output};

/// What was done.
#[derive(Debug, Serialize)]
struct Report<'a> {
    model: &'a str,
    output: &'a Path,
    weights: &'static str,
    /// Matrices in that format.
    matrices: usize,
    /// Tensors that stay as they are.
    others: usize,
    /// Matrices that are there once more as kernels read them, and their bytes.
    packed: usize,
    packed_bytes: u64,
    /// Bytes of all other tensors, before and after.
    before: u64,
    after: u64,
}

/// Writes the model with its matrices in another format.
pub(crate) fn run(args: &QuantizeArgs, machine: &Machine, out: &mut Output) -> Result<()> {
    let Some(format) = machine.load.weights.filter(|&format| args.pack || format != WeightFormat::F32) else {
        return Err(Failure::new(
            Exit::Usage,
            "quantize needs --weights f16, bf16, int8 or q4, or f32 to --pack",
        ));
    };
    let mut bundle = model::open(&args.model, machine.load)?;
    if args.pack {
        bundle = bundle.recording();
    }
    let stored = bundle.weight_format().or_exit(Exit::Model)?;
    if stored != WeightFormat::F32 {
        let message = format!("model {}: its weights are {} already", args.model, stored.name());
        return Err(Failure::new(Exit::Model, message).hint("begin with the original model"));
    }
    load(&args.model, &bundle, machine)?;
    fs::create_dir_all(&args.output).map_err(|error| Failure::unwritable(args.output.display(), &error))?;
    let report = write(args, &bundle, format)?;
    for name in SIDE_FILES {
        if let Some(contents) = bundle.file(name).or_exit(Exit::Model)? {
            output::create(&args.output.join(name), |file| file.write_all(&contents))?;
        }
    }
    if out.json() {
        return out.object(&report);
    }
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    out.line(format_args!(
        "{}: {} matrices in {}, {} other tensors as they are, {:.1} MB instead of {:.1}",
        args.output.display(),
        report.matrices,
        report.weights,
        report.others,
        megabytes(report.after),
        megabytes(report.before),
    ))?;
    if args.pack {
        let (packed, size) = (report.packed, megabytes(report.packed_bytes));
        out.line(format_args!("and {packed} matrices as this CPU reads them, {size:.1} MB"))?;
    }
    Ok(())
}

/// Loads the model once: the archive knows afterwards which tensors are packed in the format.
fn load(name: &str, bundle: &Bundle<'_>, machine: &Machine) -> Result<()> {
    let (cx, load): (_, LoadArgs) = (machine.cx()?, machine.load);
    match Family::of(name, bundle)? {
        Family::Clip => model::bind(name, bundle, load, &cx).map(drop),
        Family::Sam => model::bind_sam(name, bundle, None, load, &cx).map(drop),
    }
}

/// Bytes of a cache line, where packed matrices begin.
const LINE: usize = 64;
/// Bytes before the header: its length.
const PREFIX: usize = 8;

/// Writes `model.safetensors`: a header, packed matrices, and the tensors one by one: first those of whole cache lines, then
/// the largest elements first, so that each is aligned.
fn write<'a>(args: &'a QuantizeArgs, bundle: &Bundle<'_>, format: WeightFormat) -> Result<Report<'a>> {
    let archive = bundle.archive();
    let mut metadata = Map::new();
    metadata.insert("format".into(), "pt".into());
    metadata.insert(WEIGHT_FORMAT_KEY.into(), format.name().into());
    let mut report = Report {
        model: &args.model,
        output: &args.output,
        weights: format.name(),
        matrices: 0,
        others: 0,
        packed: 0,
        packed_bytes: 0,
        before: archive.total_bytes(),
        after: 0,
    };
    // Matrices are encoded twice, for their sizes and for their bytes, and never held all at the same time.
    let parts = |name: &str| quantized::encode_tensor(archive, name, format).or_exit(Exit::Model);
    let mut entries = Vec::new();
    for info in archive.tensors() {
        if archive.is_packed(info.name) {
            report.matrices += 1;
            if format == WeightFormat::Q4 {
                let key = format!("{SHAPE_KEY}{}", info.name);
                metadata.insert(key, quantized::shape_text(info.shape).into());
            }
        } else {
            report.others += 1;
        }
        for (index, part) in parts(info.name)?.into_iter().enumerate() {
            let name = format!("{}{}", info.name, part.suffix);
            if index > 0 && archive.get(&name).is_some() {
                let message = format!("model {}: it has a tensor {name:?} of its own", args.model);
                return Err(Failure::new(Exit::Model, message));
            }
            entries.push(Entry {
                source: info.name,
                index,
                name,
                dtype: format!("{:?}", part.dtype),
                bits: part.dtype.bitsize(),
                shape: part.shape,
                len: part.bytes.len() as u64,
            });
        }
    }
    entries.sort_by_key(|entry| (entry.len % LINE as u64 != 0, Reverse(entry.bits), entry.name.clone()));
    let recorded = archive.recorded();
    let mut header = Map::new();
    if args.pack {
        metadata.insert(PACKED_KEY.into(), PACKED_VERSION.into());
    }
    for matrix in &recorded {
        let len: u64 = matrix.weights.memory().map(|part| size_of_val::<[f32]>(part) as u64).iter().sum();
        let end = report.packed_bytes + len;
        metadata.insert(matrix.name(), matrix.description().into());
        let entry = json!({ "dtype": "U8", "shape": [len], "data_offsets": [report.packed_bytes, end] });
        if header.insert(matrix.name(), entry).is_some() {
            let message = format!("model {}: two matrices are called {:?}", args.model, matrix.key);
            return Err(Failure::new(Exit::Model, message));
        }
        report.packed += 1;
        report.packed_bytes = end;
    }
    header.insert("__metadata__".into(), Value::Object(metadata));
    for entry in &entries {
        let begin = report.packed_bytes + report.after;
        let offsets = [begin, begin + entry.len];
        header.insert(
            entry.name.clone(),
            json!({ "dtype": entry.dtype, "shape": entry.shape, "data_offsets": offsets }),
        );
        report.after += entry.len;
    }
    let mut header = serde_json::to_vec(&header).expect("numbers and strings");
    header.resize((PREFIX + header.len()).next_multiple_of(LINE) - PREFIX, b' ');
    // What fails in reading the model is no failure of writing.
    let mut failure = None;
    let written = output::create(&args.output.join("model.safetensors"), |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        for part in recorded.iter().flat_map(|matrix| matrix.weights.memory()) {
            part.iter().try_for_each(|x| file.write_all(&x.to_le_bytes()))?;
        }
        for entry in &entries {
            match parts(entry.source) {
                Ok(parts) => file.write_all(&parts[entry.index].bytes)?,
                Err(error) => {
                    failure = Some(error);
                    return Err(io::ErrorKind::Other.into());
                }
            }
        }
        Ok(())
    });
    failure.map_or(written, Err)?;
    Ok(report)
}

/// A tensor of the file.
struct Entry<'a> {
    /// The tensor that it is made of, and which of what that becomes.
    source: &'a str,
    index: usize,
    name: String,
    dtype: String,
    bits: usize,
    shape: Vec<usize>,
    len: u64,
}
