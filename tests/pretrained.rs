//! Published values of the real checkpoints: `VITRUM_PRETRAINED=directory cargo test --test pretrained`.
//!
//! The directory holds what you have of:
//!
//! - `clip-vit-base-patch32/`: the checkpoint `openai/clip-vit-base-patch32`, as Hugging Face lays it out;
//! - `000000039769.png`: the COCO picture of transformers' test fixtures;
//! - `CLIP.png`: the diagram of openai/CLIP's README.
//!
//! What is missing is reported as skipped. Values are from transformers' `tests/models/clip/test_modeling_clip.py`
//! and openai/CLIP's README; bounds are the digits they print.

use std::env;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use vitrum::exec::{Cx, CxOptions};
use vitrum::image::{ImageView, PixelFormat};
use vitrum::nn::Trace;
use vitrum::pipelines::clip::Clip;
use vitrum::pipelines::preprocess::Preprocess;
use vitrum::weights::{Bundle, Config, OpenOptions};

/// A decoded picture.
struct Picture {
    pixels: Vec<u8>,
    width: usize,
    height: usize,
}

impl Picture {
    fn read(path: &Path) -> Self {
        let mut decoder = png::Decoder::new(BufReader::new(File::open(path).unwrap()));
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        let channels = info.color_type.samples();
        assert!(channels >= 3, "{}: grey", path.display());
        let pixels =
            bytes[..info.buffer_size()].chunks_exact(channels).flat_map(|p| [p[0], p[1], p[2]]).collect();
        Self { pixels, width: info.width as usize, height: info.height as usize }
    }

    fn view(&self) -> ImageView<'_> {
        ImageView::packed(&self.pixels, self.width, self.height, PixelFormat::Rgb8).unwrap()
    }
}

/// What a check may use.
struct Inputs {
    cx: Cx,
    clip: Clip,
    directory: PathBuf,
}

impl Inputs {
    fn picture(&self, name: &str) -> Picture {
        Picture::read(&self.directory.join(name))
    }
}

fn near(found: &[f32], published: &[f32], bound: f32) -> Result<(), String> {
    let equal =
        found.len() == published.len() && found.iter().zip(published).all(|(a, b)| (a - b).abs() <= bound);
    if equal { Ok(()) } else { Err(format!("found {found:?}, published {published:?} ± {bound}")) }
}

fn tokens(inputs: &Inputs) -> Result<(), String> {
    for (text, published) in [
        ("hello world", &[49406, 3306, 1002, 49407][..]),
        ("You should've done this", &[49406, 592, 1535, 1200, 1700, 589, 49407][..]),
    ] {
        let found = inputs.clip.tokenize(text).map_err(|error| error.to_string())?;
        if found != published {
            return Err(format!("{text:?}: found {found:?}, published {published:?}"));
        }
    }
    Ok(())
}

fn logits(inputs: &Inputs) -> Result<(), String> {
    let picture = inputs.picture("000000039769.png");
    let image = inputs.clip.encode_images(&[picture.view()], false).unwrap();
    let texts = inputs.clip.encode_texts(&["a photo of a cat", "a photo of a dog"], false).unwrap();
    near(&inputs.clip.similarity(&image, &texts).unwrap(), &[24.5701, 19.3049], 1e-3)
}

fn interpolated_positions(inputs: &Inputs) -> Result<(), String> {
    const SIDE: usize = 180;
    let picture = inputs.picture("000000039769.png");
    let config = br#"{"size":{"height":180,"width":180},"crop_size":{"height":180,"width":180}}"#;
    let config = Config::parse("preprocessor_config.json", config).unwrap();
    let mut pixels = vec![0.0; 3 * SIDE * SIDE];
    Preprocess::from_config(&config, SIDE).unwrap().run(&inputs.cx, &picture.view(), &mut pixels).unwrap();
    let vision = &inputs.clip.model().vision;
    let size = [1, SIDE, SIDE];
    let mut workspace = inputs.cx.workspace(vision.scratch_len(&inputs.cx, size));
    let mut out = vec![0.0; inputs.clip.embed_dim()];
    let mut last_hidden_state = Vec::new();
    let mut observer = |name: std::fmt::Arguments<'_>, values: &[f32]| {
        if name.to_string() == "vision.layers.11" {
            last_hidden_state.extend_from_slice(&values[..3]);
        }
    };
    let trace = Trace::to(&mut observer);
    vision.forward(&inputs.cx, &pixels, size, &mut out, workspace.scratch(), trace).unwrap();
    near(&last_hidden_state, &[-0.1538, 0.0322, -0.3235], 2e-4)
}

fn probabilities(inputs: &Inputs) -> Result<(), String> {
    let picture = inputs.picture("CLIP.png");
    let labels = ["a diagram", "a dog", "a cat"];
    let found = inputs.clip.classify(picture.view(), &labels, Some("{}")).unwrap();
    near(&found, &[0.992_793_7, 0.004_210_68, 0.002_995_72], 2e-4)
}

/// A check: its name, the picture it needs, and what it does.
type Check = (&'static str, Option<&'static str>, fn(&Inputs) -> Result<(), String>);

const CHECKS: [Check; 4] = [
    ("tokens of the published vocabulary", None, tokens),
    ("logits of COCO 39769", Some("000000039769.png"), logits),
    ("interpolated positions at 180x180", Some("000000039769.png"), interpolated_positions),
    ("probabilities of CLIP.png", Some("CLIP.png"), probabilities),
];

fn main() -> ExitCode {
    let Some(directory) = env::var_os("VITRUM_PRETRAINED").map(PathBuf::from) else {
        println!("pretrained: VITRUM_PRETRAINED is not set: all {} checks skipped", CHECKS.len());
        return ExitCode::SUCCESS;
    };
    let checkpoint = directory.join("clip-vit-base-patch32");
    if !checkpoint.is_dir() {
        println!("pretrained: no {}: all {} checks skipped", checkpoint.display(), CHECKS.len());
        return ExitCode::SUCCESS;
    }
    let cx = Cx::new(&CxOptions::default()).unwrap();
    let bundle = Bundle::open(&checkpoint, OpenOptions::default()).unwrap();
    let inputs = Inputs { clip: Clip::load(&cx, &bundle).unwrap(), cx, directory };
    let mut failed = 0;
    for (name, picture, check) in CHECKS {
        match picture {
            Some(picture) if !inputs.directory.join(picture).is_file() => {
                println!("pretrained: {name}: skipped, no {picture}");
            }
            _ => match check(&inputs) {
                Ok(()) => println!("pretrained: {name}: ok"),
                Err(difference) => {
                    failed += 1;
                    println!("pretrained: {name}: FAILED: {difference}");
                }
            },
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
