//! Demo models whose weights are subnormal numbers, beside the same models as they are: `cargo bench --bench subnormal`.
//!
//! A CPU may take a hundred times as long for a multiplication with a subnormal operand. Contexts count subnormal numbers as
//! zero, so that both take the same time; the benchmark fails where one takes more than 1.1 times as long.

use std::path::Path;
use std::time::{Duration, Instant};

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};
use vitrum::exec::{Cx, CxOptions, Monitor};
use vitrum::image::{ImageView, PixelFormat};
use vitrum::models::sam::{Label, Point, Prompt};
use vitrum::pipelines::clip::{Clip, ClipOptions, EncodeOptions};
use vitrum::pipelines::sam::{PredictOptions, Prediction, Sam, SamOptions};
use vitrum::weights::{Bundle, BundleParts, SIDE_FILES};

const SIDE: usize = 256;
/// Timed pairs of runs.
const PAIRS: usize = 31;
/// The ratio of medians above which the benchmark fails.
const MOST: f64 = 1.1;

/// The files of a demo model.
struct Files {
    weights: Vec<u8>,
    others: Vec<(&'static str, Vec<u8>)>,
}

impl Files {
    fn read(model: &str) -> Self {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo").join(model);
        let weights = std::fs::read(directory.join("model.safetensors")).expect("the demo model");
        let read = |name: &&'static str| Some((*name, std::fs::read(directory.join(name)).ok()?));
        Self { weights, others: SIDE_FILES.iter().filter_map(read).collect() }
    }

    fn bundle<'a>(&'a self, weights: &'a [u8]) -> Bundle<'a> {
        let parts = BundleParts::new(weights);
        let parts = self.others.iter().fold(parts, |parts, (name, file)| parts.with_file(name, file));
        Bundle::from_memory(parts).expect("a model")
    }
}

/// `weights` as f32, with those of the larger tensors times `factor`.
fn scaled(weights: &[u8], factor: f32) -> Vec<u8> {
    let tensors = SafeTensors::deserialize(weights).expect("safetensors");
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| {
            let values: Vec<f32> = match tensor.dtype() {
                Dtype::F32 => {
                    tensor.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
                }
                Dtype::F16 => {
                    let halves = tensor.data().as_chunks().0.iter();
                    halves.map(|&bytes| half::f16::from_le_bytes(bytes).to_f32()).collect()
                }
                dtype => panic!("{name} is {dtype:?}"),
            };
            let factor = if values.len() > 256 { factor } else { 1.0 };
            let bytes = values.iter().flat_map(|value| (value * factor).to_le_bytes()).collect();
            (name.to_string(), tensor.shape().to_vec(), bytes)
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("as many bytes"))
    });
    serialize(views, None).expect("safetensors")
}

fn timed(work: &mut dyn FnMut()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}

/// Times `normal` and `subnormal` in turn and prints the ratio of the medians; whether it is small enough.
fn compare(name: &str, mut normal: impl FnMut(), mut subnormal: impl FnMut()) -> bool {
    normal();
    subnormal();
    let (mut normals, mut subnormals): (Vec<_>, Vec<_>) =
        (0..PAIRS).map(|_| (timed(&mut normal), timed(&mut subnormal))).unzip();
    let [normal, subnormal] = [median(&mut normals), median(&mut subnormals)];
    let ratio = subnormal / normal;
    println!(
        "{name:16} normal {:8.3} ms  subnormal {:8.3} ms  ratio {ratio:.3}",
        1e3 * normal,
        1e3 * subnormal
    );
    ratio <= MOST
}

fn main() {
    let cx = Cx::new(&CxOptions::default()).expect("threads");
    let pixels: Vec<u8> = (0..SIDE * SIDE * 3).map(|i| (i * 31 % 251) as u8).collect();
    let view = ImageView::packed(&pixels, SIDE, SIDE, PixelFormat::Rgb8).expect("a picture");
    let mut is_fast = true;

    let files = Files::read("clip-nano");
    let weights = [1.0, 1e-40].map(|factor| scaled(&files.weights, factor));
    let clips = weights
        .each_ref()
        .map(|weights| Clip::load(&cx, &files.bundle(weights), &ClipOptions::default()).expect("a model"));
    let [normal, subnormal] = clips.each_ref().map(|clip| {
        || {
            let mut out = vec![0.0; clip.embed_dim()];
            clip.encode_images_into(&[view], &EncodeOptions::default(), &mut out).expect("an embedding");
        }
    });
    is_fast &= compare("clip-nano image", normal, subnormal);
    let [normal, subnormal] = clips.each_ref().map(|clip| {
        || {
            let mut out = vec![0.0; clip.embed_dim()];
            let texts = ["a photo of an octopus"];
            clip.encode_texts_into(&texts, &EncodeOptions::default(), &mut out).expect("an embedding");
        }
    });
    is_fast &= compare("clip-nano text", normal, subnormal);

    for model in ["sam-nano", "sam2-nano"] {
        let files = Files::read(model);
        let weights = [1.0, 1e-40].map(|factor| scaled(&files.weights, factor));
        let sams = weights
            .each_ref()
            .map(|weights| Sam::load(&cx, &files.bundle(weights), &SamOptions::default()).expect("a model"));
        let encode = |sam: &Sam| sam.encode(&view, &Monitor::none()).expect("an embedding");
        let [normal, subnormal] = sams.each_ref().map(|sam| || _ = encode(sam));
        is_fast &= compare(&format!("{model} encode"), normal, subnormal);
        let [normal, subnormal] = sams.each_ref().map(|sam| {
            let (embedding, mut prediction) = (encode(sam), Prediction::default());
            move || {
                let points = [Point { x: 100.0, y: 120.0, label: Label::Foreground }];
                let prompts = [Prompt::points(&points)];
                let options = PredictOptions::default();
                sam.predict(&embedding, &prompts, &options, &mut prediction).expect("masks");
            }
        });
        is_fast &= compare(&format!("{model} click"), normal, subnormal);
    }
    assert!(is_fast, "a model with subnormal weights takes more than {MOST} times as long");
}
