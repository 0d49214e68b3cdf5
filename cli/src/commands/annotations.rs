//! Masks as annotation programs and trainers read them: COCO, LabelMe and YOLO.
//!
//! None of the three has holes in its polygons: each hole is joined to the outline around it by a bridge without area, so
//! that filling a polygon still gives the mask. Coordinates are those of corners of pixels: x from 0 to the width.

use std::fs;
use std::path::{Component, Path, PathBuf};

use serde::Serialize;
use vitrum::pipelines::mask::parts::{joined, parts};
use vitrum::pipelines::mask::{Part, Rle};

/// A thing on a picture. Its mask is not empty.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thing<'a> {
    pub(super) mask: &'a Rle,
    /// Index of its name.
    pub(super) category: usize,
    /// Counted from 1; over all frames of a video.
    pub(super) number: u32,
    pub(super) score: f32,
}

fn simplified(mask: &Rle, tolerance: f32) -> vitrum::Result<Vec<Part>> {
    parts(mask)?.iter().map(|part| part.simplified(tolerance)).collect()
}

/// A picture of a COCO data set.
#[derive(Debug, Serialize)]
pub(super) struct CocoImage {
    pub(super) id: u64,
    pub(super) file_name: String,
    pub(super) width: usize,
    pub(super) height: usize,
    /// Of a video, counted from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) frame_id: Option<u64>,
}

/// A mask of a COCO data set.
#[derive(Debug, Serialize)]
pub(super) struct CocoAnnotation {
    id: u64,
    image_id: u64,
    category_id: usize,
    /// x, y, x, y … of each part.
    segmentation: Vec<Vec<u32>>,
    area: u32,
    bbox: [u32; 4],
    iscrowd: u8,
    score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    track_id: Option<u32>,
}

impl CocoAnnotation {
    /// With numbers counted from 1.
    pub(super) fn new(
        id: u64,
        image_id: u64,
        thing: &Thing<'_>,
        is_tracked: bool,
        tolerance: f32,
    ) -> vitrum::Result<Self> {
        let Thing { mask, category, number, score } = *thing;
        let polygon = |part: &Part| Ok(part.joined()?.into_flattened());
        Ok(Self {
            id,
            image_id,
            category_id: category + 1,
            segmentation: simplified(mask, tolerance)?.iter().map(polygon).collect::<vitrum::Result<_>>()?,
            area: mask.area(),
            bbox: mask.bounding_box(),
            iscrowd: 0,
            score,
            track_id: is_tracked.then_some(number),
        })
    }
}

/// A name of a COCO data set.
#[derive(Debug, Serialize)]
pub(super) struct CocoCategory<'a> {
    id: usize,
    name: &'a str,
    supercategory: &'static str,
}

impl<'a> CocoCategory<'a> {
    /// Counted from 1.
    pub(super) fn all(names: &'a [String]) -> Vec<Self> {
        let names = names.iter().enumerate();
        names.map(|(i, name)| Self { id: i + 1, name, supercategory: "" }).collect()
    }
}

/// A COCO data set of one picture.
#[derive(Debug, Serialize)]
pub(super) struct Coco<'a> {
    pub(super) images: [CocoImage; 1],
    pub(super) annotations: Vec<CocoAnnotation>,
    pub(super) categories: Vec<CocoCategory<'a>>,
}

/// The annotation of a picture, as LabelMe keeps it beside the picture.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Labelme<'a> {
    version: &'static str,
    flags: Empty,
    shapes: Vec<Shape<'a>>,
    image_path: String,
    image_data: (),
    image_height: usize,
    image_width: usize,
}

#[derive(Debug, Serialize)]
struct Empty {}

#[derive(Debug, Serialize)]
struct Shape<'a> {
    label: &'a str,
    points: Vec<[u32; 2]>,
    /// What the parts of a thing have in common.
    group_id: u32,
    description: &'static str,
    shape_type: &'static str,
    flags: Empty,
}

impl<'a> Labelme<'a> {
    /// Of a picture of this width and height, which the program finds at `image_path` from the annotation.
    pub(super) fn new(
        image_path: String,
        [width, height]: [usize; 2],
        things: &[Thing<'_>],
        names: &'a [String],
        tolerance: f32,
    ) -> vitrum::Result<Self> {
        let mut shapes = Vec::new();
        for thing in things {
            for part in simplified(thing.mask, tolerance)? {
                shapes.push(Shape {
                    label: &names[thing.category],
                    points: part.joined()?,
                    group_id: thing.number,
                    description: "",
                    shape_type: "polygon",
                    flags: Empty {},
                });
            }
        }
        Ok(Self {
            version: "5.0.1",
            flags: Empty {},
            shapes,
            image_path,
            image_data: (),
            image_height: height,
            image_width: width,
        })
    }
}

/// A line for each thing: its class, counted from 0, and x and y of all corners, as parts of the width and the height. The
/// parts of a thing are joined like holes.
pub(super) fn yolo(
    [width, height]: [usize; 2],
    things: &[Thing<'_>],
    tolerance: f32,
) -> vitrum::Result<String> {
    let mut lines = String::new();
    for thing in things {
        lines += &thing.category.to_string();
        for [x, y] in joined(&simplified(thing.mask, tolerance)?)? {
            let [x, y] = [(x, width), (y, height)].map(|(at, side)| f64::from(at) / side as f64);
            lines += &format!(" {x:.6} {y:.6}");
        }
        lines.push('\n');
    }
    Ok(lines)
}

/// The path that leads from the directory of the file `from` to `to`; `to` as it is where that cannot be known.
pub(super) fn relative(from: &Path, to: &Path) -> PathBuf {
    let directory = from.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (Ok(directory), Ok(whole)) = (fs::canonicalize(directory), fs::canonicalize(to)) else {
        return to.into();
    };
    let common = directory.components().zip(whole.components()).take_while(|(a, b)| a == b).count();
    if common == 0 {
        return whole;
    }
    let up = directory.components().skip(common).map(|_| Component::ParentDir);
    up.chain(whole.components().skip(common)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use vitrum::pipelines::mask::parts::rasterized;

    const SIZE: [usize; 2] = [10, 5];

    /// Two parts, one with a hole.
    fn mask() -> Rle {
        let rows = [".#####....", ".#...#.##.", ".#...#.##.", ".#...#....", ".#####...."];
        let pixels: Vec<u8> = rows.concat().bytes().map(|c| u8::from(c == b'#')).collect();
        Rle::from_mask(&pixels, SIZE[0], SIZE[1]).unwrap()
    }

    fn filled(polygons: &[Vec<[u32; 2]>]) -> Rle {
        rasterized(polygons.iter().map(Vec::as_slice), SIZE[0], SIZE[1]).unwrap()
    }

    fn pairs(values: &[f64]) -> Vec<[u32; 2]> {
        values.chunks(2).map(|pair| [pair[0] as u32, pair[1] as u32]).collect()
    }

    #[test]
    fn every_format_gives_the_mask_back() {
        let mask = mask();
        let thing = Thing { mask: &mask, category: 1, number: 7, score: 0.5 };
        let names = ["cat".to_owned(), "dog".to_owned()];

        let coco = serde_json::to_value(CocoAnnotation::new(3, 1, &thing, true, 0.0).unwrap()).unwrap();
        let polygons: Vec<Vec<f64>> = serde_json::from_value(coco["segmentation"].clone()).unwrap();
        let polygons: Vec<_> = polygons.iter().map(|polygon| pairs(polygon)).collect();
        assert_eq!((polygons.len(), filled(&polygons)), (2, mask.clone()));
        assert_eq!(coco["area"], mask.area());
        assert_eq!((&coco["bbox"], &coco["category_id"]), (&json!([1, 0, 8, 5]), &2.into()));
        assert_eq!((&coco["track_id"], &coco["iscrowd"]), (&7.into(), &0.into()));
        let categories = serde_json::to_value(CocoCategory::all(&names)).unwrap();
        assert_eq!(categories[1], json!({ "id": 2, "name": "dog", "supercategory": "" }));

        let labelme = Labelme::new("a.jpg".into(), SIZE, &[thing], &names, 0.0).unwrap();
        let labelme = serde_json::to_value(labelme).unwrap();
        let shapes = labelme["shapes"].as_array().unwrap();
        let points = |shape: &Value| serde_json::from_value(shape["points"].clone()).unwrap();
        assert_eq!(filled(&shapes.iter().map(points).collect::<Vec<_>>()), mask);
        assert!(shapes.iter().all(|shape| shape["label"] == "dog" && shape["group_id"] == 7));
        assert_eq!((&labelme["imageData"], &labelme["imageWidth"]), (&Value::Null, &10.into()));
        assert_eq!((&labelme["imagePath"], &labelme["flags"]), (&"a.jpg".into(), &json!({})));

        let lines = yolo(SIZE, &[thing, thing], 0.0).unwrap();
        assert_eq!(lines.lines().count(), 2);
        let numbers: Vec<f64> =
            lines.lines().next().unwrap().split(' ').map(|x| x.parse().unwrap()).collect();
        assert_eq!(numbers[0], 1.0);
        let sides = SIZE.map(|side| side as f64).into_iter().cycle();
        let corners: Vec<f64> = numbers[1..].iter().zip(sides).map(|(x, side)| (x * side).round()).collect();
        assert_eq!(filled(&[pairs(&corners)]), mask);
    }

    #[test]
    fn paths_lead_from_the_annotation_to_the_picture() {
        let directory = std::env::temp_dir().join(format!("vitrum-relative-{}", std::process::id()));
        fs::create_dir_all(directory.join("a/b")).unwrap();
        fs::write(directory.join("a/x.png"), "").unwrap();
        let picture = directory.join("a/x.png");
        for (from, expected) in [("a/x.json", "x.png"), ("a/b/x.json", "../x.png"), ("y.json", "a/x.png")] {
            assert_eq!(relative(&directory.join(from), &picture), Path::new(expected));
        }
        assert_eq!(relative(Path::new("/no/where/x.json"), Path::new("x.png")), Path::new("x.png"));
        fs::remove_dir_all(directory).unwrap();
    }
}
