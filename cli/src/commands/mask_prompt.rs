//! The file of `segment --mask`: logits from an earlier call, or a picture of a mask.

use std::fs;
use std::path::Path;

use vitrum::exec::{Cx, Workspace};
use vitrum::kernels::resize::pillow::{Filter, Resample};
use vitrum::pipelines::sam::Sam;

use crate::failure::{Exit, Failure, OrExit, Result};
use crate::npy::{self, Array};
use crate::picture::Picture;

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

/// The logits `[side, side]` that the file `path` says, about a picture of `size` (width, height).
pub(super) fn read(cx: &Cx, path: &Path, size: [usize; 2], side: usize, fit: Fit) -> Result<Vec<f32>> {
    let bytes = fs::read(path).map_err(|error| Failure::unreadable(path, &error))?;
    let bad = |message: String| Failure::new(Exit::Input, format!("{}: {message}", path.display()));
    if npy::is_npy(&bytes) {
        return logits(npy::read(&bytes).map_err(bad)?, side).map_err(bad);
    }
    let mask = Picture::decode(&path.display().to_string(), &bytes)?;
    if [mask.width, mask.height] != size {
        let [width, height] = size;
        return Err(bad(format!(
            "a mask of {} x {} pixels for a picture of {width} x {height}",
            mask.width, mask.height
        )));
    }
    of_picture(cx, &mask, side, fit)
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
    Ok(array.values)
}

/// Shrinks a grey picture of a mask as the model's input is shrunk; what is left over is black. Brightness `p` becomes `ln(p / (1 − p))`.
fn of_picture(cx: &Cx, mask: &Picture, side: usize, fit: Fit) -> Result<Vec<f32>> {
    let (width, height) = (mask.width, mask.height);
    let scale = side as f64 / width.max(height) as f64;
    let scaled = |length: usize| ((length as f64 * scale + 0.5) as usize).clamp(1, side);
    let (to_width, to_height) = match fit {
        Fit::Corner => (scaled(width), scaled(height)),
        Fit::Stretched => (side, side),
    };
    let (view, mut rgb) = (mask.view()?, vec![0; width * height * 3]);
    rgb.chunks_exact_mut(width * 3).enumerate().for_each(|(y, row)| view.row_rgb(y, row));
    let gray: Vec<u8> = rgb.chunks_exact(3).map(|pixel| pixel[1]).collect();
    let resample =
        Resample::new(1, (width, height), (to_width, to_height), Filter::Bilinear).or_exit(Exit::Input)?;
    let (mut workspace, mut small) = (Workspace::default(), vec![0; to_width * to_height]);
    workspace.reserve(resample.scratch_len(cx));
    resample.run(cx, &gray, width, &mut small, workspace.scratch());

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
    use crate::picture::{Pixels, write_png};
    use vitrum::simd::Level;

    #[test]
    fn pictures_are_fitted_as_the_model_does() {
        let mut file = Vec::new();
        let pixels: Vec<u8> = (0..16 * 8).map(|i| if i % 16 < 8 { 255 } else { 0 }).collect();
        write_png(&mut file, 16, 8, Pixels::Gray(&pixels)).unwrap();
        let picture = Picture::decode("test", &file).unwrap();
        let cx = Cx::serial(Level::detect());
        let sure = (0.999f32 / 0.001).ln();
        let logits = of_picture(&cx, &picture, 8, Fit::Corner).unwrap();
        for (i, &value) in logits.iter().enumerate() {
            let (x, y) = (i % 8, i / 8);
            match (x, y) {
                (0..=2, 0..=3) => assert!((value - sure).abs() < 1e-3, "{value} at {x}, {y}"),
                (3..=4, 0..=3) => assert!(value.abs() <= sure, "{value} at {x}, {y}"),
                _ => assert!((value + sure).abs() < 1e-3, "{value} at {x}, {y}"),
            }
        }
        // Stretched, the mask reaches down to the lower edge.
        let logits = of_picture(&cx, &picture, 8, Fit::Stretched).unwrap();
        for row in logits.chunks(8) {
            assert!(row[..3].iter().all(|value| (value - sure).abs() < 1e-3), "{row:?}");
            assert!(row[5..].iter().all(|value| (value + sure).abs() < 1e-3), "{row:?}");
        }
    }

    #[test]
    fn arrays_must_have_the_size_of_the_model() {
        let array =
            |shape: &[usize]| Array { shape: shape.into(), values: vec![0.5; shape.iter().product()] };
        assert_eq!(logits(array(&[1, 1, 2, 2]), 2).unwrap(), [0.5; 4]);
        assert_eq!(logits(array(&[2, 2]), 2).unwrap(), [0.5; 4]);
        for shape in [&[2, 2, 2][..], &[4], &[4, 1], &[]] {
            assert!(
                logits(array(shape), 2).unwrap_err().contains("expected low-resolution logits of [2, 2]")
            );
        }
    }
}
