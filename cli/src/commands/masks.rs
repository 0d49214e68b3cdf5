//! Masks that were found, as records and drawn on pictures.

use std::cmp::Reverse;

use serde::{Serialize, Serializer};
use vitrum::exec::Cx;
use vitrum::pipelines::mask::{Part, Rle, parts};
use vitrum::pipelines::sam::Prediction;

use crate::args::output::FormArgs;
use crate::draw::{Color, Overlay};
use crate::failure::{Exit, OrExit, Result};
use crate::output;
use crate::picture::Picture;

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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) polygons: Option<Vec<Outlines>>,
    pub(super) area: u32,
    /// x, y, width, height.
    pub(super) bbox: [u32; 4],
    pub(super) predicted_iou: f32,
    pub(super) stability_score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) point_coords: Option<[[f64; 2]; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) crop_box: Option<[u32; 4]>,
    /// How the picture was turned, as EXIF numbers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) orientation: Option<u8>,
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
            polygons: None,
            area,
            bbox,
            predicted_iou,
            stability_score,
            point_coords: None,
            crop_box: None,
            orientation: None,
            text: None,
            probability: None,
        }
    }
}

impl Record<'_> {
    /// The same with polygons, if the user asked for them.
    pub(super) fn outlined(self, form: &FormArgs) -> Result<Self> {
        Ok(Self { polygons: Outlines::of(&self.segmentation, form).or_exit(Exit::Other)?, ..self })
    }
}

impl Record<'static> {
    /// A mask of a prediction.
    pub(super) fn of(prediction: &Prediction, prompt: usize, mask: usize, threshold: f32) -> Result<Self> {
        let segmentation = prediction.rle(prompt, mask, threshold).or_exit(Exit::Usage)?;
        let stability = prediction.stability(prompt, mask, threshold, STABILITY_OFFSET);
        let (iou, stability) = (prediction.iou(prompt)[mask], stability.or_exit(Exit::Usage)?);
        Ok(Self { prompt: Some(prompt), mask: Some(mask), ..Self::new(segmentation, iou, stability) })
    }
}

/// A part of a mask as polygons of corners of pixels.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Outlines {
    outline: Vec<[u32; 2]>,
    holes: Vec<Vec<[u32; 2]>>,
}

impl Outlines {
    /// Those of a mask, if the user asked for them.
    pub(super) fn of(mask: &Rle, form: &FormArgs) -> vitrum::Result<Option<Vec<Self>>> {
        let outlines = |part: &Part| {
            let Part { outline, holes } = part.simplified(form.simplify)?;
            Ok(Self { outline: outline.points, holes: holes.into_iter().map(|hole| hole.points).collect() })
        };
        form.polygons.then(|| parts(mask)?.iter().map(outlines).collect()).transpose()
    }
}

/// COCO's form of a mask: size and compressed run lengths.
pub(super) fn coco<S: Serializer>(mask: &Rle, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Coco {
        size: [usize; 2],
        counts: String,
    }
    let counts = mask.to_coco_string().map_err(serde::ser::Error::custom)?;
    Coco { size: [mask.height(), mask.width()], counts }.serialize(serializer)
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
    fn records_are_written_as_the_reference_names_them() {
        let segmentation = Rle::from_mask(&[1, 0, 0, 1, 1, 0], 3, 2).unwrap();
        let record = Record::new(segmentation, 0.5, 1.0);
        let json = serde_json::to_value(&record).unwrap();
        assert_eq!(json["segmentation"], serde_json::json!({ "size": [2, 3], "counts": "021O1" }));
        assert_eq!((&json["area"], &json["bbox"]), (&3.into(), &serde_json::json!([0, 0, 2, 2])));
        assert!(
            json.get("text").is_none() && json.get("crop_box").is_none() && json.get("polygons").is_none()
        );
    }

    #[test]
    fn polygons_are_given_if_asked_for() {
        let ring = Rle::from_mask(&[1, 1, 1, 1, 0, 1, 1, 1, 1], 3, 3).unwrap();
        let form = |polygons, simplify| FormArgs {
            kinds: Vec::new(),
            polygons,
            simplify,
            category: "object".into(),
            quiet: false,
        };
        assert!(Outlines::of(&ring, &form(false, 0.0)).unwrap().is_none());
        let exact = serde_json::to_value(Outlines::of(&ring, &form(true, 0.0)).unwrap().unwrap()).unwrap();
        let expected = serde_json::json!([{
            "outline": [[0, 0], [3, 0], [3, 3], [0, 3]],
            "holes": [[[1, 2], [2, 2], [2, 1], [1, 1]]],
        }]);
        assert_eq!(exact, expected);
        assert_eq!(Outlines::of(&ring, &form(true, 9.0)).unwrap().unwrap()[0].outline.len(), 3);
    }
}
