//! What the file of a mask means. One rule for all commands; what is not plain white on black is told to the user, and
//! what could mean two things is refused.
//!
//! | File | Meaning |
//! |---|---|
//! | grey 0 and 255 | white is the mask |
//! | grey up to 255 (240 at least), with more than two values | a soft mask: how sure each pixel is |
//! | 0 and one other value | the other value is the mask; up to 64, it is the object's number too |
//! | several values up to 127, at most 64 of them | a label map: each value is an object |
//! | 1 … k and 255, k > 1 | a label map; 255 is void, no object |
//! | one colour on black, also in shades | that colour is the mask |
//! | alpha that is not the same everywhere | its shape, if colours say nothing else |
//! | palette of DAVIS or PASCAL VOC, or one whose only black is colour 0 | a label map: numbers of colours are objects |
//! | any other palette | as the picture of its colours |
//! | colours of DAVIS's palette | a label map with their numbers |
//! | a file with labels of this program | a label map, whatever the values |
//! | NumPy booleans `[height, width]` | the mask |
//! | NumPy integers `[height, width]` | as grey values |
//! | NumPy floats | logits: above 0 is the mask |
//!
//! Values of 16-bit grey are read in the same way, with 65535 for 255. JPEGs blur values: there is only white on black.

mod meaning;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use crate::draw::mask_png::Facts;
use crate::failure::{Exit, Failure, Result};
use crate::npy::{self, Array, Elements};
use crate::picture::{MAX_FILE, Picture, PictureOptions, is_picture};
use crate::{bounded, output};
use meaning::{Meaning, notable_shape, of_gray, of_picture};

const FORMS: &str = "a mask is white on black; any one colour on black; 0 and 1; a shape in alpha; or of several objects, \
                     numbers as grey values or as colours of a palette";

/// What a file holds.
#[derive(Debug, PartialEq)]
pub(crate) enum MaskFile {
    /// Width, height, and what is there.
    Picture([usize; 2], Marks),
    /// An array of floats.
    Logits(Array),
}

/// What a picture marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Marks {
    /// One thing: 255 inside, 0 outside, or how sure it is; and the number that the file has for it.
    Shape { pixels: Vec<u8>, number: Option<u16> },
    /// Numbers of things, 0 outside of them.
    Labels { pixels: Vec<u16>, numbers: BTreeSet<u16> },
}

/// Reads the file `path` and tells the user what it was taken for, if it is not plainly a mask.
pub(super) fn read(path: &Path, options: &PictureOptions) -> Result<MaskFile> {
    let unreadable = |error| Failure::unreadable(path, &error);
    let file = File::open(path).map_err(unreadable)?;
    let is_known = |head: &[u8]| is_picture(head) || npy::is_npy(head);
    let bytes = bounded::read(file, MAX_FILE, is_known).map_err(unreadable)?;
    let name = path.display().to_string();
    let (file, note) = decode(&name, &bytes, options)?;
    if let Some(note) = note {
        output::complain(&format!("{name}: {note}"), None);
    }
    Ok(file)
}

/// What `bytes` hold, which messages call `name`, and what the user should know of it.
pub(crate) fn decode(
    name: &str,
    bytes: &[u8],
    options: &PictureOptions,
) -> Result<(MaskFile, Option<String>)> {
    let bad = |message: String| Failure::new(Exit::Input, format!("{name}: {message}"));
    if bytes.starts_with(b"PK\x03\x04") {
        return Err(bad("an archive (.npz?), not a mask".into()).hint("save one array of it as .npy"));
    }
    let (size, (marks, note)) = if npy::is_npy(bytes) {
        let array = npy::read(bytes).map_err(bad)?;
        if array.elements == Elements::Floats {
            return Ok((MaskFile::Logits(array), None));
        }
        of_array(array).map_err(|message| bad(message).hint(FORMS))?
    } else {
        let picture = Picture::decode_raw_with(name, bytes, options)?;
        let size = [picture.width, picture.height];
        let is_jpeg = bytes.starts_with(b"\xff\xd8");
        let read = of_picture(picture, &Facts::of(bytes), is_jpeg);
        (size, read.map_err(|message| bad(message).hint(FORMS))?)
    };
    Ok((MaskFile::Picture(size, marks), note))
}

/// The pixels of one thing of `marks`, 0 to 255: the one with number `number`, or the only one.
pub(super) fn one(marks: Marks, number: Option<u32>) -> Result<Vec<u8>, String> {
    match (marks, number) {
        (Marks::Shape { number: Some(own), .. }, Some(number)) if u32::from(own) != number => {
            Err(format!("there is no value {number}, but {own}"))
        }
        (Marks::Shape { number: None, .. }, Some(number)) => {
            Err(format!("there is one mask, without numbers: no {number}"))
        }
        (Marks::Shape { pixels, .. }, _) => Ok(pixels),
        (Marks::Labels { pixels, numbers }, number) => {
            let chosen = match number {
                Some(number) => numbers.iter().copied().find(|&it| u32::from(it) == number),
                None => numbers.first().copied().filter(|_| numbers.len() == 1),
            };
            let Some(number) = chosen else {
                let all = listed(&numbers);
                return Err(match number {
                    Some(number) => format!("there is no value {number}, but {all}"),
                    None => format!("a label map with the numbers {all}: which? FILE#N"),
                });
            };
            Ok(pixels.into_iter().map(|it| if it == number { 255 } else { 0 }).collect())
        }
    }
}

/// Fails for floats that are no logits but probabilities, or a mask in floats: nobody's logits are all between 0 and 1.
pub(super) fn check_logits(array: &Array) -> Result<(), String> {
    if array.values.iter().any(|value| value.is_nan()) {
        return Err("an array with values that are not numbers".into());
    }
    if array.values.iter().all(|value| (0.0..=1.0).contains(value)) {
        return Err(
            "floats between 0 and 1: logits are above 0 inside and below 0 outside; save a mask as booleans"
                .into(),
        );
    }
    Ok(())
}

/// `1, 2, 3 … 9`.
pub(super) fn listed(numbers: &BTreeSet<u16>) -> String {
    const SHOWN: usize = 12;
    let all: Vec<String> = numbers.iter().map(u16::to_string).collect();
    match &all[..] {
        [front @ .., last] if all.len() > SHOWN => format!("{} … {last}", front[..SHOWN - 1].join(", ")),
        all => all.join(", "),
    }
}

/// An array of a picture's size, or of several.
fn of_array(array: Array) -> Result<([usize; 2], Meaning), String> {
    let Array { shape, elements, values } = array;
    let leading = shape.len().saturating_sub(2);
    let (ones, &[height, width]) = (&shape[..leading], &shape[leading..]) else {
        return Err(format!("an array of shape {shape:?}, expected [height, width]"));
    };
    match ones.iter().product() {
        1 => {}
        0 => return Err("an array without a mask".into()),
        n => return Err(format!("an array of {n} masks, expected one: save one of them")),
    }
    if elements == Elements::Booleans {
        let pixels: Vec<u8> = values.iter().map(|&value| if value == 0.0 { 0 } else { 255 }).collect();
        let note = notable_shape(&pixels);
        return Ok(([width, height], (Marks::Shape { pixels, number: None }, note)));
    }
    if values.iter().any(|value| !(0.0..=65535.0).contains(value)) {
        return Err("integers below 0 or above 65535, neither a mask nor numbers of objects".into());
    }
    let white = if values.iter().any(|&value| value > 255.0) { u16::MAX } else { 255 };
    let values = values.iter().map(|&value| value as u16).collect();
    Ok(([width, height], of_gray(values, white, false)?))
}

#[cfg(test)]
mod tests {
    use super::meaning::labels;
    use super::*;

    fn shape(pixels: &[u8], number: Option<u16>) -> Marks {
        Marks::Shape { pixels: pixels.into(), number }
    }

    fn label_map(pixels: &[u16]) -> Marks {
        labels(pixels.into()).0
    }

    #[test]
    fn arrays() {
        let array = |elements, shape: &[usize], values: &[f32]| Array {
            shape: shape.into(),
            elements,
            values: values.into(),
        };
        let booleans = of_array(array(Elements::Booleans, &[1, 1, 3], &[0.0, 1.0, 1.0])).unwrap();
        assert_eq!(booleans, ([3, 1], (shape(&[0, 255, 255], None), None)));
        let integers = |values: &[f32]| of_array(array(Elements::Integers, &[1, values.len()], values));
        assert_eq!(integers(&[0.0, 255.0]).unwrap(), ([2, 1], (shape(&[0, 255], None), None)));
        assert_eq!(integers(&[0.0, 1.0]).unwrap().1.0, shape(&[0, 255], Some(1)));
        assert_eq!(integers(&[0.0, 1.0, 300.0]).unwrap().1.0, label_map(&[0, 1, 300]));
        assert!(integers(&[0.0, -1.0]).unwrap_err().contains("below 0"));
        for (sides, why) in [(&[3][..], "shape [3]"), (&[2, 1, 3], "2 masks"), (&[0, 1, 3], "without a mask")]
        {
            let values = vec![0.0; sides.iter().product()];
            let message = of_array(array(Elements::Booleans, sides, &values)).unwrap_err();
            assert!(message.contains(why), "{message}");
        }
    }

    #[test]
    fn one_thing_is_chosen() {
        let chosen = |pixels: &[u16], number| one(label_map(pixels), number);
        assert_eq!(chosen(&[0, 1, 3], Some(3)).unwrap(), [0, 0, 255]);
        assert_eq!(chosen(&[0, 3], None).unwrap(), [0, 255]);
        assert!(chosen(&[0, 1, 3], None).unwrap_err().contains("the numbers 1, 3"));
        assert!(chosen(&[0, 1, 3], Some(2)).unwrap_err().contains("no value 2, but 1, 3"));
        assert_eq!(one(shape(&[0, 255], Some(1)), Some(1)).unwrap(), [0, 255]);
        assert!(one(shape(&[0, 255], Some(1)), Some(2)).is_err() && one(shape(&[0], None), Some(2)).is_err());
        assert_eq!(listed(&(1..30).collect()), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 … 29");
    }
}
