//! The arguments of `segment` and `everything`.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, ValueEnum};
use vitrum::pipelines::sam::{AutomaticOptions, Sam};

use super::output::FormArgs;
use super::picture::PictureArgs;

/// A SAM or a SAM 2.
#[derive(Debug, Args)]
pub(crate) struct SamArg {
    /// Model directory, .safetensors, .pt, .pth or .bin file, ORG/NAME in the Hugging Face cache, demo:sam or demo:sam2.
    #[arg(long, short, default_value = crate::model::DEMO_SAM)]
    pub(crate) model: String,
    /// Side of the model's input in pixels, if not the one it was made for: smaller is faster and coarser.
    #[arg(long, value_name = "PIXELS")]
    pub(crate) image_size: Option<usize>,
}

/// Files to write.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// File to write; may be given several times; - for standard output. The name chooses what: .png with the word mask
    /// (cat-mask.png, masks.png, mask_01.png) for the mask, or of several masks their numbers 1, 2 … on 0, which looks
    /// black; with the word labels for numbers in colours, with the word cutout for the picture cut out, any other .png
    /// for the picture with masks and prompts drawn on it; .json for records with COCO run lengths, .npy for an array, .txt
    /// for YOLO. --kind chooses it whatever the name. Where masks overlap, the smaller lies above. A file is replaced
    /// when the new one is whole; an input never.
    #[arg(long = "output", short = 'o', value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) form: FormArgs,
    /// What a .npy file holds.
    #[arg(long, value_name = "WHAT", default_value = "masks")]
    pub(crate) array: ArrayKind,
}

/// Contents of a `.npy` file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ArrayKind {
    /// Booleans, [masks, height, width].
    Masks,
    /// Float32 logits of the picture's size, [masks, height, width]; not of masks that a text or `everything` found.
    Logits,
    /// Float32 logits of the model's size, [masks, side, side]: what --mask takes.
    LowRes,
}

/// `x,y` in pixels of the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place(pub(crate) [f32; 2]);

/// `x0,y0,x1,y1` in pixels of the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Corners(pub(crate) [f32; 4]);

/// `N` numbers with commas between them.
fn numbers<const N: usize>(text: &str, form: &str) -> Result<[f32; N], String> {
    let number = |part: &str| part.trim().parse::<f32>().ok().filter(|number| number.is_finite());
    let numbers: Option<Vec<f32>> = text.split(',').map(number).collect();
    let numbers = numbers.and_then(|numbers| numbers.try_into().ok());
    numbers.ok_or_else(|| format!("expected {form}, {N} numbers with commas between them"))
}

/// A thing, and the number of an object behind it: `…#N`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Numbered<T> {
    pub(crate) what: T,
    pub(crate) number: Option<u32>,
}

impl Numbered<PathBuf> {
    /// Of a path, which need not be UTF-8.
    pub(crate) fn of_path(path: &Path) -> Result<Self, String> {
        match path.to_str() {
            Some(text) => text.parse(),
            None => Ok(Self { what: path.into(), number: None }),
        }
    }
}

impl<T: FromStr> FromStr for Numbered<T>
where
    T::Err: ToString,
{
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (text, number) = number_behind(text, '#')?;
        if number == Some(0) {
            return Err("#0: numbers of objects begin with 1, as 0 is the background of masks".into());
        }
        Ok(Self { what: text.parse().map_err(|error: T::Err| error.to_string())?, number })
    }
}

/// Cuts `mark` and the number behind it off the end of `text`, if they are there.
pub(super) fn number_behind<N: FromStr>(text: &str, mark: char) -> Result<(&str, Option<N>), String> {
    let Some((front, digits)) = text.rsplit_once(mark) else { return Ok((text, None)) };
    if digits.is_empty() || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return Ok((text, None));
    }
    let number = digits.parse().map_err(|_| format!("{mark}{digits}: the number is too large"))?;
    Ok((front, Some(number)))
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        numbers(text, "X,Y").map(Self)
    }
}

impl FromStr for Corners {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let corners: [f32; 4] = numbers(text, "X0,Y0,X1,Y1")?;
        let [x0, y0, x1, y1] = corners;
        if x0 > x1 || y0 > y1 {
            return Err("the first corner must be the left upper one, the second the right lower one".into());
        }
        Ok(Self(corners))
    }
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  vitrum segment cat.jpg --point 320,200 --output cat-mask.png
  vitrum segment cat.jpg --point 320,200 300,250 --neg 100,80 -o overlay.png -o cat.json
  vitrum segment cats.jpg --box 10,20,200,220 --box 240,30,400,210 -o overlay.png
  vitrum segment cats.jpg --box 10,20,200,220 240,30,400,210 -o cats.txt --category cat
  vitrum segment garden.png --text \"a red apple\" --not \"a tomato\" -o overlay.png

Prints a line for each mask: its number, the model's estimate of its IoU, its stability score, its area in pixels, its
box as x,y,width,height, and, of a text, the probability and the text; fields are separated by tabs.")]
pub(crate) struct SegmentArgs {
    /// Picture: PNG, JPEG, WebP, GIF, BMP, TIFF, PBM, PGM or PPM; - for standard input.
    #[arg(value_name = "IMAGE")]
    pub(crate) image: PathBuf,
    #[command(flatten)]
    pub(crate) prompt: PromptArgs,
    /// Find three masks instead of one, where a prompt may mean a thing, a part of it or a part of that.
    #[arg(long, conflicts_with = "texts")]
    pub(crate) multimask: bool,
    /// Logit above which a pixel belongs to the mask.
    #[arg(long, value_name = "LOGIT", default_value_t = 0.0, allow_negative_numbers = true)]
    pub(crate) threshold: f32,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// File that keeps what the image encoder finds, so that the next call with --embedding need not run it.
    #[arg(long, value_name = "FILE", conflicts_with = "embedding")]
    pub(crate) save_embedding: Option<PathBuf>,
    /// File from --save-embedding of the same picture and model; of another picture it is refused.
    #[arg(long, value_name = "FILE", conflicts_with = "texts")]
    pub(crate) embedding: Option<PathBuf>,
    #[command(flatten, next_help_heading = "With --text")]
    pub(crate) words: WordArgs,
    #[command(flatten)]
    pub(crate) pictures: PictureArgs,
    #[command(flatten)]
    pub(crate) model: SamArg,
}

/// What is wanted.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct PromptArgs {
    /// Points on the thing that is wanted.
    #[arg(long = "point", value_name = "X,Y", num_args = 1..)]
    pub(crate) points: Vec<Place>,
    /// Points on what does not belong to it.
    #[arg(long = "neg", value_name = "X,Y", num_args = 1..)]
    pub(crate) negatives: Vec<Place>,
    /// Boxes around the thing; each of several boxes is a prompt of its own.
    #[arg(long = "box", value_name = "X0,Y0,X1,Y1", num_args = 1..)]
    pub(crate) boxes: Vec<Corners>,
    /// An earlier mask to improve: .npy of low-resolution logits (--array low-res); or, in the size of IMAGE, a picture
    /// (white on black, grey where it is not sure, any colour on black, 0 and 1, a shape in alpha) or a .npy of booleans
    /// or of integers. Of numbered things (label maps, DAVIS's palette), FILE#N is the one with number N.
    #[arg(long, value_name = "FILE[#N]")]
    pub(crate) mask: Option<PathBuf>,
    /// Words for the thing, asked of a CLIP model about everything that can be segmented.
    #[arg(long = "text", value_name = "TEXT", num_args = 1.., conflicts_with_all = ["points", "negatives", "boxes", "mask"])]
    pub(crate) texts: Vec<String>,
}

/// How a text is looked for.
#[derive(Debug, Args)]
pub(crate) struct WordArgs {
    /// Words for other things in the picture that must not be taken for the one that is wanted.
    #[arg(long = "not", value_name = "TEXT", num_args = 1..)]
    pub(crate) others: Vec<String>,
    /// Masks for each text at most.
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) top: u32,
    /// Probability below which a mask is no answer.
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    pub(crate) min_probability: f32,
    /// CLIP that judges words: as --model, or demo:clip.
    #[arg(long, value_name = "MODEL", default_value = "demo:clip")]
    pub(crate) clip_model: String,
    #[command(flatten, next_help_heading = "How --text looks for everything that can be segmented")]
    pub(crate) automatic: AutomaticArgs,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  vitrum everything garden.png -o overlay.png -o masks.json
  vitrum everything garden.png --points-per-side 16 --crop-n-layers 1 --json

The options are those of segment-anything's SamAutomaticMaskGenerator, with its defaults.

Prints a line for each mask: its area in pixels, the model's estimate of its IoU, its stability score, its box as \
x,y,width,height, and the point that found it as x,y; fields are separated by tabs.")]
pub(crate) struct EverythingArgs {
    /// Picture: PNG, JPEG, WebP, GIF, BMP, TIFF, PBM, PGM or PPM; - for standard input.
    #[arg(value_name = "IMAGE")]
    pub(crate) image: PathBuf,
    #[command(flatten)]
    pub(crate) automatic: AutomaticArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) pictures: PictureArgs,
    #[command(flatten)]
    pub(crate) model: SamArg,
}

/// The generator's options.
#[derive(Debug, Args)]
pub(crate) struct AutomaticArgs {
    /// Points along a side of the grid.
    #[arg(long, value_name = "N", default_value_t = AutomaticOptions::default().points_per_side)]
    pub(crate) points_per_side: usize,
    /// Points that go through the decoder at once.
    #[arg(long, value_name = "N", default_value_t = AutomaticOptions::default().points_per_batch)]
    pub(crate) points_per_batch: usize,
    /// Drop masks whose IoU the model expects to be below this [default: the model's own, 0.88, or 0.8 of a SAM 2].
    #[arg(long, value_name = "IOU")]
    pub(crate) pred_iou_thresh: Option<f64>,
    /// Drop masks whose stability score is below this: the pixels of the mask at a higher threshold, over those at a lower
    /// one. 1 is a mask that does not change [default: the model's own, or 0.95].
    #[arg(long, value_name = "IOU")]
    pub(crate) stability_score_thresh: Option<f64>,
    /// How far these two thresholds are from the mask's, in logits [default: the model's own, or 1].
    #[arg(long, value_name = "LOGIT")]
    pub(crate) stability_score_offset: Option<f64>,
    /// Of masks whose boxes overlap more than this, keep the best.
    #[arg(long, value_name = "IOU", default_value_t = AutomaticOptions::default().box_nms_thresh)]
    pub(crate) box_nms_thresh: f64,
    /// Also look at crops: 4 in the first layer, 16 in the second …
    #[arg(long, value_name = "N", default_value_t = AutomaticOptions::default().crop_n_layers)]
    pub(crate) crop_n_layers: usize,
    /// The same as --box-nms-thresh between crops.
    #[arg(long, value_name = "IOU", default_value_t = AutomaticOptions::default().crop_nms_thresh)]
    pub(crate) crop_nms_thresh: f64,
    /// How much crops overlap, as a part of the shorter side.
    #[arg(long, value_name = "F", default_value_t = AutomaticOptions::default().crop_overlap_ratio)]
    pub(crate) crop_overlap_ratio: f64,
    /// Divide the points along a side by this in each layer of crops.
    #[arg(long, value_name = "N", default_value_t = AutomaticOptions::default().crop_n_points_downscale_factor)]
    pub(crate) crop_n_points_downscale_factor: usize,
    /// Fill holes and remove islands of fewer pixels; of a SAM 2, of the decoder's small masks.
    #[arg(long, value_name = "PIXELS", default_value_t = AutomaticOptions::default().min_mask_region_area)]
    pub(crate) min_mask_region_area: u32,
    /// Feed each mask back once.
    #[arg(long)]
    pub(crate) use_m2m: bool,
    /// One mask for each point, not three.
    #[arg(long)]
    pub(crate) single_mask: bool,
}

impl AutomaticArgs {
    /// For `sam`, whose own defaults apply where there is nothing else.
    pub(crate) fn options(&self, sam: &Sam) -> AutomaticOptions {
        let (args, defaults) = (self, sam.model().automatic_options());
        let pred_iou_thresh = args.pred_iou_thresh.unwrap_or(defaults.pred_iou_thresh);
        let stability_score_thresh = args.stability_score_thresh.unwrap_or(defaults.stability_score_thresh);
        let stability_score_offset = args.stability_score_offset.unwrap_or(defaults.stability_score_offset);
        defaults
            .with_points_per_side(args.points_per_side)
            .with_points_per_batch(args.points_per_batch)
            .with_pred_iou_thresh(pred_iou_thresh)
            .with_stability_score_thresh(stability_score_thresh)
            .with_stability_score_offset(stability_score_offset)
            .with_box_nms_thresh(args.box_nms_thresh)
            .with_crop_n_layers(args.crop_n_layers)
            .with_crop_nms_thresh(args.crop_nms_thresh)
            .with_crop_overlap_ratio(args.crop_overlap_ratio)
            .with_crop_n_points_downscale_factor(args.crop_n_points_downscale_factor)
            .with_min_mask_region_area(args.min_mask_region_area)
            .with_use_m2m(args.use_m2m)
            .with_multimask_output(!args.single_mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_corners() {
        assert_eq!("3,4.5".parse(), Ok(Place([3.0, 4.5])));
        assert_eq!("-1, 2".parse(), Ok(Place([-1.0, 2.0])));
        assert_eq!("1,2,3,4".parse(), Ok(Corners([1.0, 2.0, 3.0, 4.0])));
        for text in ["", "3", "3,", "1,2,3", "a,b", "NaN,1", "inf,1"] {
            assert!(text.parse::<Place>().unwrap_err().starts_with("expected X,Y"), "{text}");
        }
        assert!("1,2,3".parse::<Corners>().is_err());
        assert!("5,2,3,4".parse::<Corners>().unwrap_err().contains("left upper"));
    }
}
