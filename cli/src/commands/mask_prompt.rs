//! The file of `segment --mask`: logits from an earlier call, or a mask of the picture's size.

use std::path::Path;

use vitrum::exec::{Cx, Workspace};
use vitrum::kernels::resize::pillow::{Filter, Resample};
use vitrum::pipelines::sam::Sam;

use super::mask_picture::{self, MaskFile};
use crate::args::sam::Numbered;
use crate::failure::{Exit, Failure, OrExit, Result};
use crate::npy::Array;
use crate::picture::PictureOptions;

/// How sure a white or black pixel of a picture is: the probability with which it is wrong.
const DOUBT: f32 = 1e-3;

/// How a model fits a picture into its square input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// SAM: the longer side fills it, and the picture lies in the left upper corner.
    Corner,
    /// SAM 2: each side fills it.
    Stretched,
}

impl Fit {
    pub(super) fn of(sam: &Sam) -> Self {
        if sam.sam2().is_some() { Self::Stretched } else { Self::Corner }
    }
}

/// The logits `[side, side]` that the file `path` says, or the thing of it that `FILE#N` names, about a picture of `size`
/// (width, height).
pub(super) fn read(
    cx: &Cx,
    (path, options): (&Path, &PictureOptions),
    size: [usize; 2],
    side: usize,
    fit: Fit,
) -> Result<Vec<f32>> {
    let Numbered { what: path, number } = Numbered::of_path(path).map_err(Failure::usage)?;
    let bad = |message: String| Failure::new(Exit::Input, format!("{}: {message}", path.display()));
    let (found, marks) = match mask_picture::read(&path, options)? {
        MaskFile::Logits(array) => return logits(array, side).map_err(bad),
        MaskFile::Picture(found, marks) => (found, marks),
    };
    if found != size {
        let ([width, height], [wide, high]) = (found, size);
        return Err(bad(format!("a mask of {width} x {height} pixels for a picture of {wide} x {high}")));
    }
    let pixels = mask_picture::one(marks, number).map_err(bad)?;
    of_pixels(cx, &pixels, size, side, fit)
}

/// An array of one mask of the model's size.
fn logits(array: Array, side: usize) -> Result<Vec<f32>, String> {
    let leading = array.shape.len().saturating_sub(2);
    let (ones, sides) = array.shape.split_at(leading);
    if sides != [side, side] || ones.iter().any(|&n| n != 1) {
        return Err(format!(
            "an array of shape {:?}, expected low-resolution logits of [{side}, {side}]",
            array.shape
        ));
    }
    mask_picture::check_logits(&array)?;
    Ok(array.values)
}

/// Shrinks the grey pixels of a mask as the model's input is shrunk; what is left over is black. Brightness `p` becomes
/// `ln(p / (1 − p))`.
fn of_pixels(cx: &Cx, gray: &[u8], [width, height]: [usize; 2], side: usize, fit: Fit) -> Result<Vec<f32>> {
    let scale = side as f64 / width.max(height) as f64;
    let scaled = |length: usize| ((length as f64 * scale + 0.5) as usize).clamp(1, side);
    let (to_width, to_height) = match fit {
        Fit::Corner => (scaled(width), scaled(height)),
        Fit::Stretched => (side, side),
    };
    let resample =
        Resample::new(1, (width, height), (to_width, to_height), Filter::Bilinear).or_exit(Exit::Input)?;
    let (mut workspace, mut small) = (Workspace::default(), vec![0; to_width * to_height]);
    workspace.reserve(resample.scratch_req(cx)).or_exit(Exit::Input)?;
    resample.run(cx, gray, width, &mut small, workspace.scratch());

    let logit = |value: u8| {
        let p = (f32::from(value) / 255.0).clamp(DOUBT, 1.0 - DOUBT);
        (p / (1.0 - p)).ln()
    };
    let mut logits = vec![logit(0); side * side];
    for (to, from) in logits.chunks_exact_mut(side).zip(small.chunks_exact(to_width)) {
        to.iter_mut().zip(from).for_each(|(to, &from)| *to = logit(from));
    }
    Ok(logits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npy::Elements;
    use vitrum::simd::Level;

    #[test]
    fn pictures_are_fitted_as_the_model_does() {
        let pixels: Vec<u8> = (0..16 * 8).map(|i| if i % 16 < 8 { 255 } else { 0 }).collect();
        let cx = Cx::serial(Level::detect());
        let sure = (0.999f32 / 0.001).ln();
        let logits = of_pixels(&cx, &pixels, [16, 8], 8, Fit::Corner).unwrap();
        for (i, &value) in logits.iter().enumerate() {
            let (x, y) = (i % 8, i / 8);
            match (x, y) {
                (0..=2, 0..=3) => assert!((value - sure).abs() < 1e-3, "{value} at {x}, {y}"),
                (3..=4, 0..=3) => assert!(value.abs() <= sure, "{value} at {x}, {y}"),
                _ => assert!((value + sure).abs() < 1e-3, "{value} at {x}, {y}"),
            }
        }
        // Stretched, the mask reaches down to the lower edge.
        let logits = of_pixels(&cx, &pixels, [16, 8], 8, Fit::Stretched).unwrap();
        for row in logits.chunks(8) {
            assert!(row[..3].iter().all(|value| (value - sure).abs() < 1e-3), "{row:?}");
            assert!(row[5..].iter().all(|value| (value + sure).abs() < 1e-3), "{row:?}");
        }
    }

    #[test]
    fn arrays_must_have_the_size_of_the_model() {
        let array = |shape: &[usize]| Array {
            shape: shape.into(),
            elements: Elements::Floats,
            values: vec![-0.5; shape.iter().product()],
        };
        assert_eq!(logits(array(&[1, 1, 2, 2]), 2).unwrap(), [-0.5; 4]);
        assert_eq!(logits(array(&[2, 2]), 2).unwrap(), [-0.5; 4]);
        let probabilities = Array { values: vec![0.0, 1.0, 0.5, 0.0], ..array(&[2, 2]) };
        assert!(logits(probabilities, 2).unwrap_err().contains("between 0 and 1"));
        for shape in [&[2, 2, 2][..], &[4], &[4, 1], &[]] {
            assert!(
                logits(array(shape), 2).unwrap_err().contains("expected low-resolution logits of [2, 2]")
            );
        }
    }
}
