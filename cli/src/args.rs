//! The command line.

pub(crate) mod picture;
pub(crate) mod sam;
pub(crate) mod track;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use vitrum::exec::{Cx, CxOptions};
use vitrum::simd::Level;

use crate::failure::{Exit, OrExit, Result};
use picture::PictureArgs;
use sam::{EverythingArgs, SegmentArgs};
use track::TrackArgs;

const EXIT_CODES: &str = "\
Models (--model):
  demo:clip           the small CLIP inside this program; it knows emoji and nothing else
  demo:sam            the small SAM inside this program
  demo:sam2           the small SAM 2 inside this program
  DIRECTORY           a Hugging Face model directory (config.json, model.safetensors, tokenizer.json)
  FILE.safetensors    weights; the files beside them are used too
  ORG/NAME            a model in the Hugging Face cache (HF_HUB_CACHE, HF_HOME/hub or ~/.cache/huggingface/hub)

Pictures are PNG, JPEG or binary PPM. Transparency is dropped, not blended, as Pillow's convert(\"RGB\") does;
EXIF rotation is not applied.

Exit codes:
  0  success (also when the reader of the output stops reading)
  1  failure that is none of the following
  2  wrong usage: unknown option, label list, template, instruction set …
  3  the model cannot be found or used
  4  an input file cannot be found or used
  5  the result cannot be written";

/// CLIP, SAM and SAM 2 on the CPU: classify, embed and segment pictures, follow things through videos.
///
/// Results go to standard output, one line each; with --json, one JSON object a line. Messages and progress go to
/// standard error.
#[derive(Debug, Parser)]
#[command(name = "vitrum", version, after_long_help = EXIT_CODES, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) machine: Machine,
    /// Print one JSON object a line.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What to compute with.
#[derive(Clone, Debug, Args)]
pub(crate) struct Machine {
    /// Threads; as many as this process may use by default.
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Instruction set: portable, avx2, avx512, neon or simd128; the best of this CPU by default.
    #[arg(long, global = true, value_name = "LEVEL", value_parser = parse_level)]
    pub(crate) isa: Option<Level>,
}

impl Machine {
    /// An execution context.
    pub(crate) fn cx(&self) -> Result<Cx> {
        self.cx_with(self.threads.unwrap_or(0).into())
    }

    /// The same with `threads` threads; 0 is one per core.
    pub(crate) fn cx_with(&self, threads: usize) -> Result<Cx> {
        Cx::new(&CxOptions { threads, level: self.isa }).or_exit(Exit::Usage)
    }
}

fn parse_level(name: &str) -> Result<Level, String> {
    Level::from_name(name).ok_or_else(|| {
        let names: Vec<_> = Level::available().map(Level::name).collect();
        format!("this CPU has {}", names.join(", "))
    })
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Classify the sample pictures with the demo model; needs no files and no network.
    Demo(DemoArgs),
    /// Tell which of some labels fits each picture.
    Classify(ClassifyArgs),
    /// Compute embeddings of pictures or texts.
    Embed(EmbedArgs),
    /// Compare every picture with every text.
    Similarity(SimilarityArgs),
    /// Find the mask of what is clicked, boxed or named in a picture.
    Segment(Box<SegmentArgs>),
    /// Find the masks of everything in a picture.
    Everything(EverythingArgs),
    /// Follow what is clicked, boxed or painted through a video.
    Track(TrackArgs),
    /// Describe a model: family, sizes, parameters, memory.
    Info(InfoArgs),
    /// Time kernels and models on this machine.
    Bench(BenchArgs),
}

/// The choice of a model.
#[derive(Debug, Args)]
pub(crate) struct ModelArg {
    /// Model directory, .safetensors file, ORG/NAME in the Hugging Face cache, or demo:clip.
    #[arg(long, short, default_value = "demo:clip")]
    pub(crate) model: String,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Where to write the labelled picture; created if absent.
    #[arg(long, short, value_name = "DIR", default_value = "vitrum-demo")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ClassifyArgs {
    /// Pictures: PNG, JPEG or binary PPM.
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) labels: LabelArgs,
    /// Text that each label is put into, in the place of {}; "a photo of a {}" by default.
    #[arg(long)]
    pub(crate) template: Option<String>,
    /// Print only the K most probable labels; probabilities are still over all of them.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) top: Option<u32>,
    #[command(flatten)]
    pub(crate) pictures: PictureArgs,
    #[command(flatten)]
    pub(crate) model: ModelArg,
}

/// The labels, from one of two places.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct LabelArgs {
    /// Labels, separated by commas.
    #[arg(long, value_name = "A,B,C")]
    pub(crate) labels: Option<String>,
    /// File with one label a line.
    #[arg(long, value_name = "FILE")]
    pub(crate) labels_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct EmbedArgs {
    #[command(flatten)]
    pub(crate) inputs: EmbedInputs,
    /// Leave the embeddings as the projection gives them; by default their length is 1.
    #[arg(long)]
    pub(crate) raw: bool,
    /// File to write: .npy (float32, [inputs, features]) or .json; standard output by default.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) pictures: PictureArgs,
    #[command(flatten)]
    pub(crate) model: ModelArg,
}

/// Pictures or texts.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct EmbedInputs {
    /// Pictures: PNG, JPEG or binary PPM.
    #[arg(long = "image", value_name = "IMAGE", num_args = 1..)]
    pub(crate) images: Vec<PathBuf>,
    /// Texts.
    #[arg(long = "text", value_name = "TEXT", num_args = 1..)]
    pub(crate) texts: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SimilarityArgs {
    /// Pictures: PNG, JPEG or binary PPM.
    #[arg(long = "image", value_name = "IMAGE", num_args = 1.., required = true)]
    pub(crate) images: Vec<PathBuf>,
    /// Texts.
    #[arg(long = "text", value_name = "TEXT", num_args = 1.., required = true)]
    pub(crate) texts: Vec<String>,
    #[command(flatten)]
    pub(crate) pictures: PictureArgs,
    #[command(flatten)]
    pub(crate) model: ModelArg,
}

#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// Model directory, .safetensors file, ORG/NAME in the Hugging Face cache, demo:clip, demo:sam or demo:sam2.
    #[arg(default_value = "demo:clip")]
    pub(crate) model: String,
    /// List every tensor.
    #[arg(long)]
    pub(crate) tensors: bool,
}

/// What `bench` times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// Matrix multiplication, weights packed beforehand.
    Gemm,
    /// Attention.
    Attention,
    /// Convolution.
    Conv,
    /// Layer norm.
    Norm,
    /// The towers of a CLIP (--model).
    Clip,
    /// The encoder of a SAM (--model), one and 64 clicks, everything.
    Sam,
    /// The image encoder of a SAM 2 (--model), its decoder, its memory attention and its memory encoder.
    Sam2,
    /// Frames of a video, with one to eight objects (--model).
    Track,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Prints one JSON object a line: name, shape, threads, isa, median_ms, gflops, peak_gflops, fraction_of_peak and, where \
memory is the limit, gb_per_s; of videos, frames_per_s. On a terminal, a table instead, unless --json is given. The peak is that of \
multiply-adds in registers, measured between the samples of the same run.")]
pub(crate) struct BenchArgs {
    /// Only this; all by default.
    pub(crate) subject: Option<Subject>,
    /// Model directory, .safetensors file or ORG/NAME in the Hugging Face cache, for all but kernels; the demo's by default.
    #[arg(long, short, requires = "subject")]
    pub(crate) model: Option<String>,
}
