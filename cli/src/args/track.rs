//! The arguments of `track`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::output::FormArgs;
use super::picture::PictureArgs;
use super::sam::{Corners, Numbered, Place, number_behind};
use crate::video::Matrix;

/// The frame and the object that a prompt is about: `…@FRAME#OBJECT`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct On<T> {
    pub(crate) what: T,
    /// Counted from 0.
    pub(crate) frame: u64,
    /// Counted from 1.
    pub(crate) object: Option<u32>,
}

impl<T> On<T> {
    /// The object, the first one if none is named.
    pub(crate) fn object(&self) -> u32 {
        self.object.unwrap_or(1)
    }
}

impl<T: FromStr> FromStr for On<T>
where
    T::Err: ToString,
{
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Numbered { what: OnFrame { what, frame }, number: object } = text.parse()?;
        Ok(Self { what, frame, object })
    }
}

/// The same without an object.
struct OnFrame<T> {
    what: T,
    frame: u64,
}

impl<T: FromStr> FromStr for OnFrame<T>
where
    T::Err: ToString,
{
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (text, frame) = number_behind(text, '@')?;
        let what = text.parse().map_err(|error: T::Err| error.to_string())?;
        Ok(Self { what, frame: frame.unwrap_or(0) })
    }
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Prompts may name the frame that they are about, counted from 0, and the object: X,Y@FRAME#OBJECT. Without, they are about \
frame 0 and object 1. They are used when their frame comes, so that an object appears with its first prompt, and a later \
one corrects it.

Examples:
  vitrum track frames/ --point 320,200 -o tracked.gif
  vitrum track clip.gif --point 320,200 --neg 100,80 --point 60,40@12#2 -o overlays/ -o masks.json
  vitrum track frames/ --box 10,20,200,220 --mask cup.png@0#2 -o 'masks/%05d-mask.png'
  vitrum track cows/ --mask cows-annotations/00000.png -o cows-labels/
  ffmpeg -i clip.mp4 -f yuv4mpegpipe - | vitrum track - --point 320,200 -o tracked.gif
  ffmpeg -i /dev/video0 -f yuv4mpegpipe - | vitrum track - --live --point 320,200 --json

Ctrl-C ends after the frame before: all files hold what was tracked until then, and the exit code is 130. A second one \
ends at once.

Prints a line for each frame and object: frame, object, the object's score, below 0 where it is not seen, the area of its \
mask in pixels, and its box as x,y,width,height; fields are separated by tabs.")]
pub(crate) struct TrackArgs {
    /// Video: a directory of pictures (2.jpg before 10.jpg), an animated GIF or WebP, JPEGs one after the other (MJPEG),
    /// or a Y4M file; - for one of these from standard input.
    #[arg(value_name = "INPUT")]
    pub(crate) input: PathBuf,
    #[command(flatten)]
    pub(crate) prompts: TrackPromptArgs,
    /// File to write; may be given several times; - for standard output. The name chooses what: x.gif for an animation
    /// with masks drawn on it, x.json for records with COCO run lengths, x-coco.json for a COCO data set; numbered
    /// pictures: x-%05d.png with masks drawn on them, with the word mask (x-mask-%05d.png) masks, white for a single
    /// object and otherwise the objects' numbers on 0, which look black, with the word labels the numbers in colours,
    /// with the word cutout the frames cut out; x-%05d.txt for YOLO; and a DIRECTORY for DIRECTORY/%05d.png. --kind
    /// chooses it whatever the name. Where masks overlap, the later object lies above. Files get their names when they
    /// are whole, also after Ctrl-C, with the frames until then; an input is never replaced.
    #[arg(long = "output", short = 'o', value_name = "FILE")]
    pub(crate) outputs: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) form: FormArgs,
    /// Give all prompts first, then track from the first prompted frame to the end and from there to the beginning; not
    /// for streams.
    #[arg(long)]
    pub(crate) backward: bool,
    /// Keep up with a video as it comes, a camera's for example: work on the newest frame and leave out those that came
    /// meanwhile, but none with a prompt. Frames of a file come at their times. Numbers of frames stay those of the video.
    #[arg(long, conflicts_with = "backward")]
    pub(crate) live: bool,
    /// Give each pixel to one object at most.
    #[arg(long)]
    pub(crate) non_overlap: bool,
    /// Stop before this frame.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) frames: Option<u64>,
    /// Logit above which a pixel belongs to the mask.
    #[arg(long, value_name = "LOGIT", default_value_t = 0.0, allow_negative_numbers = true)]
    pub(crate) threshold: f32,
    /// Frames per second of a directory of pictures and of MJPEG.
    #[arg(long, value_name = "RATE", default_value_t = 10.0, value_parser = parse_rate)]
    pub(crate) fps: f64,
    /// Colours of a Y4M stream, which does not say them.
    #[arg(long, value_name = "MATRIX", default_value = "bt601")]
    pub(crate) matrix: Matrix,
    #[command(flatten)]
    pub(crate) pictures: PictureArgs,
    /// Model directory, .safetensors, .pt, .pth or .bin file, ORG/NAME in the Hugging Face cache, or demo:sam2.
    #[arg(long, short, default_value = crate::model::DEMO_SAM2)]
    pub(crate) model: String,
    /// Side of the model's input in pixels, if not the one it was made for: smaller is faster and coarser.
    #[arg(long, value_name = "PIXELS")]
    pub(crate) image_size: Option<usize>,
}

/// What is to be followed.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct TrackPromptArgs {
    /// Points on an object.
    #[arg(long = "point", value_name = "X,Y[@F][#N]", num_args = 1..)]
    pub(crate) points: Vec<On<Place>>,
    /// Points on what does not belong to it.
    #[arg(long = "neg", value_name = "X,Y[@F][#N]", num_args = 1..)]
    pub(crate) negatives: Vec<On<Place>>,
    /// A box around an object.
    #[arg(long = "box", value_name = "X0,Y0,X1,Y1[@F][#N]", num_args = 1..)]
    pub(crate) boxes: Vec<On<Corners>>,
    /// A mask of the video's size: a picture (white on black, any colour on black, 0 and 1, a shape in alpha) or a .npy
    /// (booleans, integers, logits). Of numbered things (label maps, DAVIS's palette), every number becomes the object of
    /// that number; with #N only this one. Of a single shape, #N is the object's number.
    #[arg(long = "mask", value_name = "FILE[@F][#N]", num_args = 1..)]
    pub(crate) masks: Vec<On<PathBuf>>,
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.01..=1000.0).contains(rate));
    rate.ok_or_else(|| "expected frames per second, 0.01 to 1000".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_name_frames_and_objects() {
        fn on<T>(what: T, frame: u64, object: u32) -> Result<On<T>, String> {
            Ok(On { what, frame, object: Some(object).filter(|&object| object > 0) })
        }
        assert_eq!("3,4.5".parse(), on(Place([3.0, 4.5]), 0, 0));
        assert_eq!("3,4@12".parse(), on(Place([3.0, 4.0]), 12, 0));
        assert_eq!("-3,4#7".parse(), on(Place([-3.0, 4.0]), 0, 7));
        assert_eq!("1,2,3,4@5#6".parse(), on(Corners([1.0, 2.0, 3.0, 4.0]), 5, 6));
        assert_eq!("3,4@18446744073709551615".parse(), on(Place([3.0, 4.0]), u64::MAX, 0));
        for text in ["", "3@1", "3,4@", "3,4@x", "3,4#1@2", "3,4#-1", "NaN,1@2", "3,4#99999999999"] {
            assert!(text.parse::<On<Place>>().is_err(), "{text}");
        }
        assert!("3,4#4294967296".parse::<On<Place>>().unwrap_err().contains("too large"));
        assert!("3,4#0".parse::<On<Place>>().unwrap_err().contains("begin with 1"));
        assert_eq!("3,4".parse::<On<Place>>().unwrap().object(), 1);
        let path = |text: &str| text.parse::<On<PathBuf>>();
        assert_eq!(path("a@b#c.png@3#2"), on("a@b#c.png".into(), 3, 2));
        assert_eq!(path("a@b#c.png"), on("a@b#c.png".into(), 0, 0));
    }

    #[test]
    fn rates() {
        assert_eq!(parse_rate("29.97"), Ok(29.97));
        assert!(["0", "-1", "NaN", "inf", "x"].into_iter().all(|rate| parse_rate(rate).is_err()));
    }
}
