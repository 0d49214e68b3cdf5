//! Parts of SAM 2 for `sam2_peers.py`, which the C interface does not have: `sam2_parts MODEL INPUTS PART THREADS`.
//!
//! Computes the memory attention (`attention`) or the memory encoder (`memory`) of the inputs in the safetensors file
//! `INPUTS` once for every line on standard input, and writes the values, f32, to standard output.

use std::env;
use std::error::Error;
use std::fs;
use std::io::{self, BufRead, Write};
use std::path::Path;

use safetensors::SafeTensors;
use vitrum::exec::{Cx, CxOptions, Monitor, ScratchReq};
use vitrum::models::sam2::{FrameMemory, Memory, ObjectMemory, Pointer, Sam2Model};
use vitrum::nn::Trace;
use vitrum::weights::{Bundle, OpenOptions, Review};

/// The tensors of `sam2_models.parts_file`, channels last.
struct Inputs {
    /// C.
    dim: usize,
    /// `[g², C]`
    top: Vec<f32>,
    /// Logits, `[S, S]`.
    mask: Vec<f32>,
    /// bfloat16, `[memories, g², D]`: the clicked frame, then the others from the oldest one on.
    spatial: Vec<u16>,
    /// `[pointers, C]`: of the clicked frame, then of the others from the latest one on.
    pointers: Vec<f32>,
}

impl Inputs {
    fn read(path: &str, dim: usize) -> Result<Self, Box<dyn Error>> {
        let bytes = fs::read(path)?;
        let tensors = SafeTensors::deserialize(&bytes)?;
        let bits = |name: &str| -> Result<Vec<u32>, Box<dyn Error>> {
            let (values, _) = tensors.tensor(name)?.data().as_chunks();
            Ok(values.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect())
        };
        let floats = |name: &str| -> Result<Vec<f32>, Box<dyn Error>> {
            Ok(bits(name)?.into_iter().map(f32::from_bits).collect())
        };
        // They have been rounded, so that the lower half of each is 0.
        let spatial = bits("spatial")?.into_iter().map(|bits| (bits >> 16) as u16).collect();
        Ok(Self { dim, top: floats("top")?, mask: floats("mask")?, spatial, pointers: floats("pointers")? })
    }

    /// As the reference attends from a frame to the one that was clicked and those directly before it.
    fn attention(&self, cx: &Cx, memory: &Memory, out: &mut [f32]) -> vitrum::Result<()> {
        let tokens = memory.attention.frame_len() / self.dim;
        let frames: Vec<&[u16]> = self.spatial.chunks_exact(tokens * memory.encoder.dim()).collect();
        let last = frames.len() - 1;
        let spatial: Vec<FrameMemory<'_>> = (0..=last)
            .map(|position| FrameMemory { features: frames[position], time: last - position })
            .collect();
        let pointers: Vec<&[f32]> = self.pointers.chunks_exact(self.dim).collect();
        let distance =
            |i: usize| if i == 0 { pointers.len() } else { i } as f32 / (pointers.len() - 1) as f32;
        let pointers: Vec<Pointer<'_>> = pointers
            .iter()
            .enumerate()
            .map(|(i, values)| Pointer { values, distance: distance(i) })
            .collect();
        let object = ObjectMemory { spatial: &spatial, pointers: &pointers };
        let attention = &memory.attention;
        let counts = [[0, 0], [spatial.len(), pointers.len()]];
        let reqs = counts.into_iter().map(|counts| attention.scratch_req(cx, counts));
        let mut workspace = cx.workspace(ScratchReq::any(reqs)).unwrap();
        let mut shared = vec![0.0; attention.frame_len()];
        cx.enter(|| {
            let monitor = Monitor::none();
            attention.shared(cx, &self.top, &mut shared, workspace.scratch(), &monitor)?;
            attention.forward(cx, &shared, &[object], out, workspace.scratch(), &mut Trace::off(), &monitor)
        })
    }

    /// Encodes the mask of an object that is there.
    fn memory(&self, cx: &Cx, memory: &Memory, out: &mut [u16]) {
        let encoder = &memory.encoder;
        let mut workspace = cx.workspace(encoder.scratch_req(cx)).unwrap();
        let scratch = workspace.scratch();
        cx.enter(|| encoder.forward(cx, &self.top, &self.mask, false, true, out, scratch, &mut Trace::off()));
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [model, inputs, part, threads] = &args[..] else {
        return Err("usage: sam2_parts MODEL INPUTS attention|memory THREADS".into());
    };
    let cx = Cx::new(&CxOptions::default().with_threads(threads.parse()?))?;
    let model = Sam2Model::bind(
        &Bundle::open(Path::new(model), OpenOptions::new())?,
        cx.level(),
        None,
        &mut Review::default(),
    )?;
    let memory = model.memory.as_ref().ok_or("the model has no memory")?;
    let inputs = Inputs::read(inputs, model.config.dim)?;
    let mut conditioned = vec![0.0; memory.attention.frame_len()];
    let mut encoded = vec![0; memory.attention.frame_len() / inputs.dim * memory.encoder.dim()];
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        line?;
        let values: Vec<f32> = match part.as_str() {
            "attention" => {
                inputs.attention(&cx, memory, &mut conditioned)?;
                conditioned.clone()
            }
            "memory" => {
                inputs.memory(&cx, memory, &mut encoded);
                encoded.iter().map(|&bits| f32::from_bits(u32::from(bits) << 16)).collect()
            }
            other => return Err(format!("no part {other:?}").into()),
        };
        out.write_all(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())?;
        out.flush()?;
    }
    Ok(())
}
