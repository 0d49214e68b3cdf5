//! SAM 2: the image encoder, clicks, and the memory.

use vitrum::exec::{Monitor, Workspace};
use vitrum::models::sam2::{FrameMemory, Memory, MemoryConfig, ObjectMemory, Pointer, Sam2Config};
use vitrum::nn::Trace;
use vitrum::pipelines::sam::{Point, PredictOptions, Prediction, Prompt};

use super::sam_work::{click, encoder};
use super::{Bench, SCENE, Work, done, sam2_work};
use crate::failure::{Exit, Failure, OrExit, Result};
use crate::model;
use crate::picture::Picture;

/// Times the model called `name`: from the scene's pixels to the embedding, from a click to three masks, and, of a
/// frame, the attention to as many memories and pointers as it attends to, and the encoding of its memory.
pub(super) fn run(name: &str, bench: &mut Bench<'_>) -> Result<()> {
    let sam = model::load_sam(name, bench.image_size, bench.load, bench.cx)?;
    let Some(network) = sam.sam2() else {
        return Err(Failure::new(Exit::Model, format!("model {name}: not a SAM 2")));
    };
    let config = &network.config;
    let scene = Picture::decode("the scene", SCENE)?;
    let view = scene.view()?;

    let side = config.image_size;
    let encode = || sam.encode(&view, &Monitor::none());
    let embedding = encode().or_exit(Exit::Other)?;
    let work = |flops| Work { flops, bytes: None };
    let encoding = work(encoder(sam.model()));
    bench.measure("sam2-encode", format!("3x{side}x{side}"), encoding, || done(encode()))?;

    let mut prediction = Prediction::default();
    let point = [Point::foreground(320.0, 200.0)];
    let mut predict = || {
        let options = PredictOptions::default();
        sam.predict(&embedding, &[Prompt::points(&point)], &options, &mut prediction)
    };
    predict().or_exit(Exit::Other)?;
    bench.measure("sam2-click", "1".into(), work(click(sam.model())), || done(predict()))?;

    match (&network.memory, &config.memory) {
        (Some(memory), Some(sizes)) => of_memory(memory, config, sizes, bench),
        _ => Ok(()),
    }
}

/// Times the memory attention with all memories, and the memory encoder. Times do not depend on the values.
fn of_memory(
    memory: &Memory,
    config: &Sam2Config,
    sizes: &MemoryConfig,
    bench: &mut Bench<'_>,
) -> Result<()> {
    let (cx, grid, side) = (bench.cx, config.grid(), config.image_size);
    let wave = |len: usize| (0..len).map(|i| (i as f32 * 0.37).sin()).collect::<Vec<f32>>();
    let (top, values) = (wave(grid * grid * config.dim), wave(config.dim));
    let mut features = vec![0; grid * grid * sizes.dim];

    let (attention, encoder) = (&memory.attention, &memory.encoder);
    let counts = [sizes.count, config.tracking.max_pointers];
    let mut workspace = Workspace::default();
    workspace.reserve(attention.scratch_req(cx, counts).or(encoder.scratch_req(cx))).or_exit(Exit::Other)?;
    let mask = wave(side * side);
    let shape = format!("{side}x{side}");
    let flops = sam2_work::memory_encoder(config, sizes);
    bench.measure("sam2-memory-encode", shape, Work { flops, bytes: None }, || {
        encoder.forward(cx, &top, &mask, false, true, &mut features, workspace.scratch(), &mut Trace::off());
    })?;

    let spatial: Vec<_> = (0..counts[0]).map(|time| FrameMemory { features: &features, time }).collect();
    let pointers: Vec<_> =
        (0..counts[1]).map(|i| Pointer { values: &values, distance: i as f32 / counts[1] as f32 }).collect();
    let object = [ObjectMemory { spatial: &spatial, pointers: &pointers }];
    let (mut shared, mut out) = (vec![0.0; top.len()], vec![0.0; top.len()]);
    let flops =
        sam2_work::shared_attention(config) + sam2_work::attention(config, sizes, counts[0], counts[1]);
    let shape = format!("{} + {} pointers", counts[0], counts[1]);
    bench.measure("sam2-memory-attend", shape, Work { flops, bytes: None }, || {
        let monitor = Monitor::none();
        done(attention.shared(cx, &top, &mut shared, workspace.scratch(), &monitor));
        let mut trace = Trace::off();
        done(attention.forward(cx, &shared, &object, &mut out, workspace.scratch(), &mut trace, &monitor));
    })
}
