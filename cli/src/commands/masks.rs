//! Masks that were found, as lines, records, arrays and pictures.

use std::cmp::Reverse;
use std::io::{self, Write};
use std::path::Path;

use serde::{Serialize, Serializer};
use vitrum::exec::Cx;
use vitrum::pipelines::mask::Rle;
use vitrum::pipelines::sam::Prediction;

use crate::args::sam::{ArrayKind, OutputArgs};
use crate::draw::{Canvas, Color, Overlay};
use crate::failure::{Exit, Failure, OrExit, Result};
use crate::npy::{self, Dtype};
use crate::output;
use crate::picture::{self, Picture, Pixels};

/// Offset of the threshold for stability scores, the reference's.
const STABILITY_OFFSET: f32 = 1.0;

/// A mask, with the field names of segment-anything's records.
#[derive(Debug, Serialize)]
pub(super) struct Record<'a> {
    /// Which prompt it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prompt: Option<usize>,
    /// Which of the prompt's masks it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mask: Option<usize>,
    #[serde(serialize_with = "coco")]
    pub(super) segmentation: Rle,
    pub(super) area: u32,
    /// x, y, width, height.
    pub(super) bbox: [u32; 4],
    pub(super) predicted_iou: f32,
    pub(super) stability_score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) point_coords: Option<[[f64; 2]; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) crop_box: Option<[u32; 4]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) probability: Option<f32>,
}

impl Record<'_> {
    /// A mask of which nothing more is known.
    pub(super) fn new(segmentation: Rle, predicted_iou: f32, stability_score: f32) -> Self {
        let (area, bbox) = (segmentation.area(), segmentation.bounding_box());
        Self {
            prompt: None,
            mask: None,
            segmentation,
            area,
            bbox,
            predicted_iou,
            stability_score,
            point_coords: None,
            crop_box: None,
            text: None,
            probability: None,
        }
    }
}

impl Record<'static> {
    /// A mask of a prediction.
    pub(super) fn of(
        cx: &Cx,
        prediction: &Prediction,
        prompt: usize,
        mask: usize,
        threshold: f32,
    ) -> Result<Self> {
        let segmentation = prediction.rle(cx, prompt, mask, threshold).or_exit(Exit::Usage)?;
        let stability = prediction.stability(cx, prompt, mask, threshold, STABILITY_OFFSET);
        let (iou, stability) = (prediction.iou(prompt)[mask], stability.or_exit(Exit::Usage)?);
        Ok(Self { prompt: Some(prompt), mask: Some(mask), ..Self::new(segmentation, iou, stability) })
    }
}

/// COCO's form of a mask: size and compressed run lengths.
pub(super) fn coco<S: Serializer>(mask: &Rle, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Coco {
        size: [usize; 2],
        counts: String,
    }
    Coco { size: [mask.height(), mask.width()], counts: mask.to_coco_string() }.serialize(serializer)
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Overlay,
    Mask,
    Json,
    Array(ArrayKind),
}

impl Kind {
    fn of(path: &Path, array: ArrayKind) -> Result<Self> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("png") if name.ends_with("mask.png") => Ok(Self::Mask),
            Some("png") => Ok(Self::Overlay),
            Some("json") => Ok(Self::Json),
            Some("npy") => Ok(Self::Array(array)),
            _ => Err(Failure::usage(format!("--output {}: neither .png nor .json nor .npy", path.display()))
                .hint(
                    "the name chooses: x-mask.png for the mask, x.png for a picture with it, x.json, x.npy",
                )),
        }
    }
}

/// The files that a command is to write.
#[derive(Debug)]
pub(super) struct Files<'a>(Vec<(&'a Path, Kind)>);

impl<'a> Files<'a> {
    /// Checks the names, before any work is done. `has_logits` says whether there will be logits.
    pub(super) fn new(args: &'a OutputArgs, has_logits: bool) -> Result<Self> {
        let kinds = args.files.iter().map(|path| Ok((path.as_path(), Kind::of(path, args.array)?)));
        let files = kinds.collect::<Result<Vec<_>>>()?;
        let wants_logits =
            |(_, kind): &(_, Kind)| matches!(kind, Kind::Array(ArrayKind::Logits | ArrayKind::LowRes));
        if let Some((path, _)) = files.iter().find(|file| !has_logits && wants_logits(file)) {
            return Err(Failure::usage(format!(
                "--output {}: there are no logits of masks found all over the picture; --array masks",
                path.display()
            )));
        }
        Ok(Self(files))
    }

    /// Writes them.
    pub(super) fn write(&self, results: &Results<'_>) -> Result<()> {
        for &(path, kind) in &self.0 {
            match kind {
                Kind::Overlay => {
                    let canvas = (results.draw)()?;
                    output::create(path, |out| picture::write_canvas(out, &canvas))
                }
                Kind::Mask => output::create(path, |out| results.write_mask(out)),
                Kind::Json => output::create(path, |out| Ok(serde_json::to_writer(out, results.records)?)),
                Kind::Array(kind) => output::create(path, |out| results.write_array(out, kind)),
            }?;
        }
        Ok(())
    }
}

/// What the decoder made of prompts.
pub(super) struct Logits<'a> {
    pub(super) prediction: &'a Prediction,
    pub(super) cx: &'a Cx,
}

/// What there is to write.
pub(super) struct Results<'a> {
    pub(super) records: &'a [Record<'a>],
    /// Which records a mask file shows: the best of each prompt.
    pub(super) answers: &'a [usize],
    /// Width and height of the picture.
    pub(super) size: [usize; 2],
    /// If the records are of prompts.
    pub(super) logits: Option<Logits<'a>>,
    /// Draws the masks on the picture.
    pub(super) draw: &'a dyn Fn() -> Result<Canvas>,
}

impl Results<'_> {
    /// A single mask is white on black. Of several, the k-th has the value k, the smaller above the larger.
    fn write_mask(&self, out: impl Write) -> io::Result<()> {
        let [width, height] = self.size;
        let (mut labels, mut mask) = (vec![0u16; width * height], vec![0; width * height]);
        let mut order: Vec<(usize, &Record<'_>)> =
            self.answers.iter().map(|&answer| &self.records[answer]).enumerate().collect();
        order.sort_by_key(|(_, record)| Reverse(record.area));
        for (i, record) in order {
            let value = if self.answers.len() == 1 { 255 } else { i as u16 + 1 };
            record.segmentation.to_mask(&mut mask).map_err(io::Error::other)?;
            labels
                .iter_mut()
                .zip(&mask)
                .filter(|(_, inside)| **inside != 0)
                .for_each(|(label, _)| *label = value);
        }
        let narrow: Vec<u8>;
        let pixels = if self.answers.len() < 256 {
            narrow = labels.iter().map(|&label| label as u8).collect();
            Pixels::Gray(&narrow)
        } else {
            Pixels::Gray16(&labels)
        };
        picture::write_png(out, width, height, pixels)
    }

    /// An array with the masks, or their logits, one after the other.
    fn write_array(&self, mut out: impl Write, kind: ArrayKind) -> io::Result<()> {
        let ([width, height], count) = (self.size, self.records.len());
        let logits_of = |record: &Record<'_>| Some((self.logits.as_ref()?, record.prompt?, record.mask?));
        match kind {
            ArrayKind::Masks => {
                npy::write_header(&mut out, Dtype::Bool, &[count, height, width])?;
                let mut mask = vec![0; width * height];
                for record in self.records {
                    record.segmentation.to_mask(&mut mask).map_err(io::Error::other)?;
                    out.write_all(&mask)?;
                }
            }
            ArrayKind::Logits => {
                npy::write_header(&mut out, Dtype::F32, &[count, height, width])?;
                let mut logits = vec![0.0; width * height];
                for (Logits { prediction, cx }, prompt, mask) in self.records.iter().filter_map(logits_of) {
                    prediction.logits_into(cx, prompt, mask, &mut logits).map_err(io::Error::other)?;
                    npy::write_floats(&mut out, &logits)?;
                }
            }
            ArrayKind::LowRes => {
                let side = self.logits.as_ref().map_or(0, |logits| logits.prediction.mask_side());
                npy::write_header(&mut out, Dtype::F32, &[count, side, side])?;
                for (Logits { prediction, .. }, prompt, mask) in self.records.iter().filter_map(logits_of) {
                    npy::write_floats(&mut out, prediction.low_res(prompt, mask))?;
                }
            }
        }
        Ok(())
    }
}

/// Says so if nothing was found, which is a result but seldom the wanted one.
pub(super) fn notice_none(records: &[Record<'_>]) {
    if records.is_empty() {
        let hint =
            "masks that the model is less sure of: lower --pred-iou-thresh and --stability-score-thresh";
        output::complain("nothing found", Some(hint));
    }
}

/// Draws masks on an enlarged picture, the smaller masks above the larger ones, each in its colour.
pub(super) fn tinted<'a>(
    cx: &Cx,
    picture: &Picture,
    scale: f32,
    masks: impl IntoIterator<Item = (&'a Rle, Color)>,
) -> Result<Overlay> {
    let mut overlay = Overlay::new(cx, picture.view()?, scale)?;
    let mut masks: Vec<_> = masks.into_iter().collect();
    masks.sort_by_key(|(mask, _)| Reverse(mask.area()));
    let mut pixels = vec![0; picture.width * picture.height];
    for (mask, color) in masks {
        mask.to_mask(&mut pixels).or_exit(Exit::Other)?;
        overlay.mask(&pixels, color);
    }
    Ok(overlay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_choose_the_kind() {
        let kind = |name: &str| Kind::of(Path::new(name), ArrayKind::Logits).ok();
        assert_eq!((kind("mask.png"), kind("a/cat-mask.png")), (Some(Kind::Mask), Some(Kind::Mask)));
        assert_eq!((kind("overlay.png"), kind("mask/cat.png")), (Some(Kind::Overlay), Some(Kind::Overlay)));
        assert_eq!((kind("x.json"), kind("x.npy")), (Some(Kind::Json), Some(Kind::Array(ArrayKind::Logits))));
        assert_eq!((kind("x"), kind("x.jpg"), kind(".png")), (None, None, None));
    }

    #[test]
    fn several_masks_are_numbered_and_small_ones_lie_above() {
        let record = |pixels: &[u8]| Record::new(Rle::from_mask(pixels, 3, 1).unwrap(), 1.0, 1.0);
        let records = [record(&[1, 0, 0]), record(&[1, 1, 0])];
        let written = |answers: &[usize]| {
            let draw = || unreachable!("nothing is drawn");
            let results = Results { records: &records, answers, size: [3, 1], logits: None, draw: &draw };
            let mut file = Vec::new();
            results.write_mask(&mut file).unwrap();
            let picture = Picture::decode("test", &file).unwrap();
            let mut rgb = [0; 9];
            picture.view().unwrap().row_rgb(0, &mut rgb);
            rgb.map(usize::from).chunks(3).map(|pixel| pixel[0]).collect::<Vec<_>>()
        };
        assert_eq!(written(&[1]), [255, 255, 0]);
        assert_eq!(written(&[0, 1]), [1, 2, 0]);
        assert_eq!(written(&[1, 0]), [2, 1, 0]);
        assert_eq!(written(&[]), [0, 0, 0]);
    }

    #[test]
    fn records_are_written_as_the_reference_names_them() {
        let segmentation = Rle::from_mask(&[1, 0, 0, 1, 1, 0], 3, 2).unwrap();
        let record = Record::new(segmentation, 0.5, 1.0);
        let json = serde_json::to_value(&record).unwrap();
        assert_eq!(json["segmentation"], serde_json::json!({ "size": [2, 3], "counts": "021O1" }));
        assert_eq!((&json["area"], &json["bbox"]), (&3.into(), &serde_json::json!([0, 0, 2, 2])));
        assert!(json.get("text").is_none() && json.get("crop_box").is_none());
    }
}
