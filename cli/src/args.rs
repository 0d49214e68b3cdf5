//! The command line.

pub(crate) mod advice;
pub(crate) mod habits;
pub(crate) mod limits;
pub(crate) mod output;
pub(crate) mod picture;
pub(crate) mod sam;
pub(crate) mod search;
pub(crate) mod track;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use vitrum::WeightFormat;
use vitrum::exec::{Cx, CxOptions};
use vitrum::kernels::activation::Activation;
use vitrum::simd::Level;

use crate::failure::{Exit, OrExit, Result};
use crate::label_sets::{self, LabelSet};
use limits::LimitArgs;
use picture::PictureArgs;
use sam::{EverythingArgs, SegmentArgs};
pub(crate) use search::{IndexArgs, SearchArgs};
use track::TrackArgs;

const EXIT_CODES: &str = "\
Models (--model):
  demo:clip           the small CLIP inside this program; it knows emoji and nothing else
  demo:sam            the small SAM inside this program
  demo:sam2           the small SAM 2 inside this program
  DIRECTORY           a Hugging Face model directory (config.json, model.safetensors, tokenizer.json)
  FILE                weights: .safetensors, or PyTorch's .pt, .pth, .bin; the files beside them are used too
  ORG/NAME[@REV]      a model in the Hugging Face cache, which is where huggingface_hub has it: HF_HUB_CACHE, \
HUGGINGFACE_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub or ~/.cache/huggingface/hub; REV is a branch, a tag \
or a commit

Pictures are PNG, JPEG, WebP, GIF, BMP, TIFF, PBM, PGM or PPM, or - for one from standard input. They are turned and \
mirrored as EXIF data ask, unless --no-exif is given; points, boxes and masks are in the picture as it is seen then. \
Transparency is dropped, not blended, as Pillow's convert(\"RGB\") does; of 16 bits the upper 8 are taken.

Names in lines of text are escaped: \\t, \\n, \\r, \\\\ and \\xNN for bytes of other control characters and bytes that are \
not UTF-8. The objects of --json are described in docs/cli-json.md.

Exit codes:
  0  success (also when the reader of the output stops reading)
  1  failure that is none of the following
  2  wrong usage: unknown option, label list, template, instruction set …
  3  the model cannot be found or used
  4  an input file cannot be found or used
  5  the result cannot be written
  6  some of many inputs cannot be found or used: each is named on standard error, the others have their results
130  track or index was stopped by Ctrl-C and kept what was found until then (143 by SIGTERM, 129 by the end of its terminal)";

/// CLIP, SAM and SAM 2 on the CPU: classify, embed and segment pictures, follow things through videos.
///
/// Results go to standard output, one line each; with --json, one JSON object a line. Messages and progress go to
/// standard error.
///
/// Values of options may begin with a hyphen (--point -5,-5, --text '-5 degrees'), and a picture may stand behind an
/// option that takes several values (--point 10,10 cat.png).
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

/// The command line, as people type it.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let exists = |value: &OsStr| Path::new(value).exists();
    let arguments = habits::normalized(arguments.into_iter().collect(), &Cli::command(), &exists);
    Cli::try_parse_from(arguments)
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
    /// Leave AMX unused, which otherwise computes weights in bf16 and int8 where the CPU has it.
    #[arg(long, global = true)]
    pub(crate) no_amx: bool,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) load: LoadArgs,
}

/// How models are loaded.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct LoadArgs {
    /// Load a model although tensors or settings of its files are not understood. What it computes may be wrong; what it
    /// is about is said on standard error.
    #[arg(long, global = true)]
    pub(crate) lenient: bool,
    /// Activation of a CLIP whose files do not tell it: weights of OpenAI's models without configuration need quick-gelu.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) activation: Option<ActivationName>,
    /// What the weights are kept as, and the arithmetic that goes with it: f32, f16, bf16, int8 or q4; by default what the
    /// model's files say, which is f32 unless `vitrum quantize` wrote them.
    #[arg(long, global = true, value_name = "FORMAT", value_parser = parse_weights)]
    pub(crate) weights: Option<WeightFormat>,
    /// Use what `vitrum quantize --pack` has packed for this CPU in place, in the mapped file: the model is there in
    /// milliseconds, and processes share it. Nobody may change the file meanwhile.
    #[arg(long, global = true)]
    pub(crate) in_place: bool,
}

/// An activation of CLIP's MLPs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ActivationName {
    /// x · Φ(x), OpenCLIP's.
    Gelu,
    /// x · σ(1.702 x), OpenAI's.
    #[value(alias = "quick_gelu")]
    QuickGelu,
}

impl From<ActivationName> for Activation {
    fn from(name: ActivationName) -> Self {
        match name {
            ActivationName::Gelu => Self::Gelu,
            ActivationName::QuickGelu => Self::QuickGelu,
        }
    }
}

impl Machine {
    /// An execution context.
    pub(crate) fn cx(&self) -> Result<Cx> {
        self.cx_with(self.threads.unwrap_or(0).into())
    }

    /// The same with `threads` threads; 0 is one per core.
    pub(crate) fn cx_with(&self, threads: usize) -> Result<Cx> {
        let options = CxOptions::default().with_threads(threads).with_level(self.isa).with_amx(!self.no_amx);
        Cx::new(&options.with_limits(self.limits.limits())).or_exit(Exit::Usage)
    }
}

fn parse_level(name: &str) -> Result<Level, String> {
    Level::from_name(name).ok_or_else(|| {
        let names: Vec<_> = Level::available().map(Level::name).collect();
        format!("this CPU has {}", names.join(", "))
    })
}

fn parse_weights(name: &str) -> Result<WeightFormat, String> {
    WeightFormat::from_name(name).ok_or_else(|| {
        let names: Vec<_> = WeightFormat::ALL.iter().map(|format| format.name()).collect();
        format!("the formats are {}", names.join(", "))
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
    /// Keep embeddings of many pictures in a file, to be searched.
    Index(IndexArgs),
    /// Find pictures of an index by words, by pictures, or those that are there twice.
    Search(SearchArgs),
    /// Find the mask of what is clicked, boxed or named in a picture.
    Segment(Box<SegmentArgs>),
    /// Find the masks of everything in a picture.
    Everything(EverythingArgs),
    /// Follow what is clicked, boxed or painted through a video.
    Track(TrackArgs),
    /// Describe a model: family, sizes, parameters, memory.
    Info(InfoArgs),
    /// Write a model with its weights in a smaller format.
    Quantize(QuantizeArgs),
    /// Time kernels and models on this machine.
    Bench(BenchArgs),
    /// Write completions for a shell to standard output.
    Completions(CompletionsArgs),
    /// Write manual pages.
    Man(ManArgs),
}

/// The choice of a model.
#[derive(Debug, Args)]
pub(crate) struct ModelArg {
    /// Model directory, .safetensors, .pt, .pth or .bin file, ORG/NAME in the Hugging Face cache, or demo:clip.
    #[arg(long, short, default_value = "demo:clip")]
    pub(crate) model: String,
}

/// What to do with many pictures.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct BatchArgs {
    /// Also enter the directories in a directory.
    #[arg(long, requires = "images")]
    pub(crate) recursive: bool,
    /// Stop at the first picture that cannot be used; by default the others get their results, and the exit code is 6.
    #[arg(long, requires = "images")]
    pub(crate) fail_fast: bool,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  vitrum quantize openai/clip-vit-base-patch32 --weights int8 --output clip-int8/
  vitrum quantize facebook/sam-vit-base --weights q4 --output sam-q4/
  vitrum quantize facebook/sam-vit-base --weights bf16 --pack --output sam-here/
  vitrum classify cat.png --labels cat,dog --model clip-int8/

Writes a model directory: model.safetensors and the files beside it. Matrices of the towers, or of the image encoder, are in \
the format that --weights names; all other tensors stay as they are; for int8, layer norms are balanced with the matrices \
behind them. Loaded without --weights, the model computes in that format, with the same results as the original with --weights.")]
pub(crate) struct QuantizeArgs {
    /// Model directory, .safetensors, .pt, .pth or .bin file, ORG/NAME in the Hugging Face cache, or demo:clip.
    #[arg(value_name = "MODEL")]
    pub(crate) model: String,
    /// Directory to write; created if absent.
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Also write the matrices as the kernels of this CPU read them, or those of --isa: the file is twice as large and loads
    /// many times as fast, with --in-place in milliseconds. Other CPUs leave them aside.
    #[arg(long)]
    pub(crate) pack: bool,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  vitrum demo
  vitrum demo --output pictures/ --json")]
pub(crate) struct DemoArgs {
    /// Where to write the labelled picture; created if absent.
    #[arg(long, short, value_name = "DIR", default_value = "vitrum-demo")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  vitrum classify cat.jpg --labels \"cat,dog,red apple\"
  vitrum classify photos/ --recursive --labels-file labels.txt --top 3 --json
  find . -name '*.jpg' -print0 | vitrum classify @- --labels cat,dog --template \"a sketch of a {}\"
  vitrum embed --text \"a photo of a cat\" \"a photo of a dog\" --output labels.npy --names labels.txt
  vitrum classify photos/ --labels-file labels.txt --label-embeddings labels.npy
  vitrum classify photos/ --label-set food101 --top 5
  vitrum classify --label-set imagenet --save-classifier imagenet.vitrum
  vitrum classify photos/ --classifier imagenet.vitrum --top 5
  vitrum classify photos/ --labels cat,dog --templates imagenet

Prints a line for each label of each picture, the most probable first: the picture, the probability and the label; \
fields are separated by tabs. Lines of a picture appear when it is done. A CLIP's probabilities of a picture sum to 1; a \
SigLIP's are each label's own.")]
pub(crate) struct ClassifyArgs {
    /// Pictures; directories of pictures, in the order of counting; @FILE for a list of them, one path a line; - for a
    /// picture from standard input, @- for a list. A file whose name begins with @ or - is ./@… or ./-….
    #[arg(required_unless_present = "save_classifier", value_name = "IMAGE")]
    pub(crate) images: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) batch: BatchArgs,
    #[command(flatten)]
    pub(crate) labels: LabelArgs,
    /// Text that each label is put into, in the place of {}; "a photo of a {}" by default, or the templates of --label-set.
    #[arg(long, conflicts_with = "classifier")]
    pub(crate) template: Option<String>,
    /// Many such texts, of whose embeddings the mean is taken: a file with one a line, or those of one of the sets of
    /// --label-set. imagenet has 80.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["template", "classifier"])]
    pub(crate) templates: Option<String>,
    /// File to keep the labels and their embeddings in, for --classifier; then no picture is needed.
    #[arg(long, value_name = "FILE")]
    pub(crate) save_classifier: Option<PathBuf>,
    /// Embeddings of the labels instead of their texts: a .npy of `vitrum embed --text`, a row for each label. Then a model
    /// needs no text tower, and many labels no time.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["template", "templates", "label_set", "classifier"])]
    pub(crate) label_embeddings: Option<PathBuf>,
    /// Print only the K most probable labels; probabilities are still over all of them.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) top: Option<u32>,
    #[command(flatten)]
    pub(crate) pictures: PictureArgs,
    #[command(flatten)]
    pub(crate) model: ModelArg,
}

/// The labels, from one of four places.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct LabelArgs {
    /// Labels, separated by commas.
    #[arg(long, value_name = "A,B,C")]
    pub(crate) labels: Option<String>,
    /// File with one label a line, blank lines apart, in UTF-8 or UTF-16; or .json with an array of labels or an object
    /// of labels by number (id2label). 64 MB at most.
    #[arg(long, value_name = "FILE")]
    pub(crate) labels_file: Option<PathBuf>,
    /// The classes of a data set of CLIP's paper, with the templates that OpenAI published for it: imagenet, cifar10,
    /// cifar100, food101 and others; a wrong name lists them.
    #[arg(long, value_name = "NAME", value_parser = label_sets::parse)]
    pub(crate) label_set: Option<&'static LabelSet>,
    /// Labels with their embeddings, as --save-classifier keeps them: they take no time, and a model needs no text tower.
    #[arg(long, value_name = "FILE")]
    pub(crate) classifier: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  vitrum embed --text \"a cat\" '-5 degrees' --output texts.npy
  vitrum embed --image photos/ more.jpg --output images.npy --names images.txt
  vitrum embed --image @list.txt --model openai/clip-vit-base-patch32 --json

Prints a line for each input: the picture or the text, a tab, and the values with spaces between them. An empty text is \
embedded as the references do, as start and end token. In an array, the row of a picture that cannot be used is NaN, so \
that row i is always input i; in .json it is an object with the error.")]
pub(crate) struct EmbedArgs {
    #[command(flatten)]
    pub(crate) inputs: EmbedInputs,
    #[command(flatten)]
    pub(crate) batch: BatchArgs,
    /// Leave the embeddings as the projection gives them; by default their length is 1.
    #[arg(long)]
    pub(crate) raw: bool,
    /// File to write: .npy (float32, [inputs, features]) or .json; standard output by default.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// File to write the inputs of the rows to: one a line, escaped as all lines are, or .json for an array.
    #[arg(long, value_name = "FILE", requires = "output")]
    pub(crate) names: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) pictures: PictureArgs,
    #[command(flatten)]
    pub(crate) model: ModelArg,
}

/// Pictures or texts.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct EmbedInputs {
    /// Pictures, directories of pictures, @FILE for a list of them, - or @- for standard input.
    #[arg(long = "image", value_name = "IMAGE", num_args = 1..)]
    pub(crate) images: Vec<PathBuf>,
    /// Texts.
    #[arg(long = "text", value_name = "TEXT", num_args = 1..)]
    pub(crate) texts: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  vitrum similarity --image cat.jpg dog.jpg --text \"a cat\" \"a dog\"
  vitrum similarity --image photos/ --text \"a red bicycle\" --json

Prints a line for each pair: the picture, the cosine of the embeddings, the logit (the cosine times the model's scale) \
and the text; fields are separated by tabs.")]
pub(crate) struct SimilarityArgs {
    /// Pictures, directories of pictures, @FILE for a list of them, - or @- for standard input.
    #[arg(long = "image", value_name = "IMAGE", num_args = 1.., required = true)]
    pub(crate) images: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) batch: BatchArgs,
    /// Texts.
    #[arg(long = "text", value_name = "TEXT", num_args = 1.., required = true)]
    pub(crate) texts: Vec<String>,
    #[command(flatten)]
    pub(crate) pictures: PictureArgs,
    #[command(flatten)]
    pub(crate) model: ModelArg,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  vitrum info openai/clip-vit-base-patch32
  vitrum info model.safetensors --tensors --json")]
pub(crate) struct InfoArgs {
    /// Model directory, .safetensors, .pt, .pth or .bin file, ORG/NAME in the Hugging Face cache, demo:clip, demo:sam or demo:sam2.
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
Examples:
  vitrum bench gemm --threads 1
  vitrum bench gemm --shape 197,768,768 --shape 1,1024,4096 --weights int8 --every-isa
  vitrum bench clip --model openai/clip-vit-base-patch32 --json

Prints one JSON object a line: name, shape, threads, isa, median_ms, spread, gflops, peak_gflops, fraction_of_peak and, where \
memory is the limit, gb_per_s; of videos, frames_per_s. On a terminal, a table instead, unless --json is given. The spread is \
that between the quartiles, over the median. The peak is that of multiply-adds in registers, measured between the samples of \
the same run.")]
pub(crate) struct BenchArgs {
    /// Only this; all by default.
    pub(crate) subject: Option<Subject>,
    /// Model directory, .safetensors, .pt, .pth or .bin file, or ORG/NAME in the Hugging Face cache, for all but kernels; the demo's by default.
    #[arg(long, short, requires = "subject")]
    pub(crate) model: Option<String>,
    /// Of models: where a pass spends its time, by stage and by kernel, instead of how long it takes.
    #[arg(long, requires = "subject")]
    pub(crate) breakdown: bool,
    /// Of gemm: products of these sizes, [M, K] by [K, N], instead of those that models have. May be given several times.
    #[arg(long = "shape", value_name = "M,N,K", requires = "subject", value_parser = parse_shape)]
    pub(crate) shapes: Vec<[usize; 3]>,
    /// Of sam, sam2 and track: side of the model's input in pixels, if not the one it was made for.
    #[arg(long, value_name = "PIXELS", requires = "subject")]
    pub(crate) image_size: Option<usize>,
    /// With each instruction set that this CPU has, in one table.
    #[arg(long, conflicts_with = "isa")]
    pub(crate) every_isa: bool,
}

/// The sides of a product, of which each matrix must fit into a gigabyte.
fn parse_shape(text: &str) -> Result<[usize; 3], String> {
    const MOST: usize = 1 << 28;
    let sides: Option<Vec<usize>> = text.split(',').map(|side| side.trim().parse().ok()).collect();
    let sides: Option<[usize; 3]> = sides.and_then(|sides| sides.try_into().ok());
    let fits = |a: usize, b: usize| a > 0 && a.checked_mul(b).is_some_and(|values| values <= MOST);
    match sides {
        Some([m, n, k]) if fits(m, k) && fits(n, k) && fits(m, n) => Ok([m, n, k]),
        Some(_) => Err(format!("each matrix has from 1 to {MOST} values")),
        None => Err("expected M,N,K: three sizes with commas between them".into()),
    }
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  vitrum completions bash > ~/.local/share/bash-completion/completions/vitrum
  vitrum completions zsh > ~/.zfunc/_vitrum
  vitrum completions fish > ~/.config/fish/completions/vitrum.fish
  vitrum completions powershell | Out-String | Invoke-Expression

For zsh, ~/.zshrc needs fpath+=~/.zfunc before compinit.")]
pub(crate) struct CompletionsArgs {
    /// The shell.
    pub(crate) shell: Shell,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  vitrum man classify | man -l -
  vitrum man --output ~/.local/share/man/man1")]
pub(crate) struct ManArgs {
    /// The command whose page to write to standard output; the page of vitrum itself by default.
    #[arg(conflicts_with = "output")]
    pub(crate) command: Option<String>,
    /// Directory for the pages of all commands, created if absent.
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}
