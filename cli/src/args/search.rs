//! The arguments of `index` and `search`.

use std::path::PathBuf;

use clap::Args;

use super::picture::PictureArgs;
use crate::index::Form;

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  vitrum index ~/Pictures --output photos.idx --model openai/clip-vit-base-patch32
  vitrum index ~/Pictures -o photos.idx
  vitrum search photos.idx \"a dog on the beach\" --html found.html

The first call embeds all pictures; later ones embed those that are new or changed, by size and time, and remove those that are \
gone from the directories that are given; pictures elsewhere stay in the index. A run that is stopped has kept what it did, and \
the same command goes on. The file is described in docs/search.md; NumPy reads it.")]
pub(crate) struct IndexArgs {
    /// Directories of pictures, with the directories in them; pictures; @FILE or @- for a list of them.
    #[arg(required = true, value_name = "DIR")]
    pub(crate) images: Vec<PathBuf>,
    /// The index, which is made or brought up to date.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// How embeddings are kept: f32, the default of a new index, or int8, in a quarter of the room.
    #[arg(long, value_name = "FORM")]
    pub(crate) form: Option<Form>,
    /// Begin anew, also where there is an index already.
    #[arg(long)]
    pub(crate) fresh: bool,
    #[command(flatten)]
    pub(crate) pictures: PictureArgs,
    /// The CLIP, as of all commands; by default the one that made the index, or demo:clip.
    #[arg(long, short)]
    pub(crate) model: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  vitrum search photos.idx \"a dog on the beach\" --top 20 --html found.html
  vitrum search photos.idx \"a red bicycle\" \"a blue bicycle\" --json
  vitrum search photos.idx --image holiday.jpg
  vitrum search photos.idx --duplicates
  vitrum search photos.idx --duplicates 0.9 --html twice.html

Prints a line for each picture that was found, the best first: what was asked for, the cosine, the picture; fields are \
separated by tabs. With --duplicates: the number of the group, the cosine with the most similar picture of the group, \
the picture. Every picture is compared: nothing is approximate.")]
pub(crate) struct SearchArgs {
    /// An index, as `vitrum index` writes it.
    #[arg(value_name = "INDEX")]
    pub(crate) index: PathBuf,
    /// Texts to find pictures of.
    #[arg(value_name = "TEXT", required_unless_present_any = ["images", "duplicates"])]
    pub(crate) texts: Vec<String>,
    /// A picture to find similar ones of. May be given several times.
    #[arg(long = "image", value_name = "IMAGE")]
    pub(crate) images: Vec<PathBuf>,
    /// Results for each text and each picture.
    #[arg(long, value_name = "K", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) top: u32,
    /// Groups of pictures that are there more than once: those with a cosine of at least this, 0.98 by default.
    #[arg(long, value_name = "COSINE", num_args = 0..=1, default_missing_value = "0.98",
          value_parser = parse_cosine, conflicts_with_all = ["texts", "images", "top"])]
    pub(crate) duplicates: Option<f32>,
    /// Write a page with thumbnails of what was found: one file, which needs no network.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) pictures: PictureArgs,
    /// The CLIP that made the index, where it is now; by default under the name it had then.
    #[arg(long, short)]
    pub(crate) model: Option<String>,
}

fn parse_cosine(text: &str) -> Result<f32, String> {
    let cosine = text.parse().ok().filter(|cosine| (-1.0..=1.0).contains(cosine));
    cosine.ok_or_else(|| "expected a cosine, from -1 to 1".into())
}
