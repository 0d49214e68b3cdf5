//! Sizes and places: how large the picture is resized and which part of it the model sees.

use crate::error::{Result, err};

/// The size that a picture is resized to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resize {
    /// As it is.
    Keep,
    /// The shorter side to this length, the longer one in proportion, rounded down.
    Shortest(usize),
    /// To this height and width, whatever the proportion.
    Exact(usize, usize),
    /// In proportion, so that it just covers this height and width; sides rounded to nearest, ties to even.
    Cover(usize, usize),
    /// In proportion, so that it just fits into this height and width; sides rounded to nearest, ties to even.
    Fit(usize, usize),
    /// In proportion, so that the longer side has this length; sides rounded to nearest, ties up.
    Longest(usize),
    /// In proportion, so that at most as many patches of this side cover the picture; its sides are rounded up to whole ones.
    Patches { side: usize, most: usize },
}

impl Resize {
    /// Height and width after resizing.
    pub(super) fn target(self, height: usize, width: usize) -> Result<(usize, usize)> {
        let unless_empty = |target| match target {
            (0, _) | (_, 0) => Err(err!(
                Image,
                "image of {width}x{height} pixels is too narrow: its shorter side would be resized to nothing"
            )),
            target => Ok(target),
        };
        let proportional = |ratio: f64| {
            let side = |side: usize| libm::rint(side as f64 / ratio) as usize;
            unless_empty((side(height), side(width)))
        };
        let ratio = |h: usize, w: usize| (height as f64 / h as f64, width as f64 / w as f64);
        match self {
            Self::Keep => Ok((height, width)),
            Self::Shortest(side) if width <= height => Ok((side * height / width, side)),
            Self::Shortest(side) => Ok((side, side * width / height)),
            Self::Exact(h, w) => Ok((h, w)),
            Self::Cover(h, w) => proportional(ratio(h, w).0.min(ratio(h, w).1)),
            Self::Fit(h, w) => proportional(ratio(h, w).0.max(ratio(h, w).1)),
            Self::Longest(longest) => {
                let scale = longest as f64 / height.max(width) as f64;
                let side = |side: usize| (side as f64 * scale + 0.5) as usize;
                unless_empty((side(height), side(width)))
            }
            Self::Patches { side, most } => patches(height, width, side, most),
        }
    }
}

/// `get_image_size_for_max_num_patches` of transformers' `image_processing_siglip2.py`: its search, in its arithmetic.
fn patches(height: usize, width: usize, side: usize, most: usize) -> Result<(usize, usize)> {
    const EPS: f64 = 1e-5;
    let along = |length: usize, scale: f64| libm::ceil(length as f64 * scale / side as f64).max(1.0);
    let fits = |scale: f64| along(height, scale) * along(width, scale) <= most as f64;
    let (mut scale, mut too_large) = (EPS / 10.0, 100.0);
    while too_large - scale >= EPS {
        let middle = (scale + too_large) / 2.0;
        if fits(middle) {
            scale = middle;
        } else {
            too_large = middle;
        }
    }
    if !fits(scale) {
        return Err(err!(
            Image,
            "image of {width}x{height} pixels does not fit {most} patches of {side}x{side}"
        ));
    }
    Ok((along(height, scale) as usize * side, along(width, scale) as usize * side))
}

/// Where the resized picture lies in the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placement {
    /// Centred by `image_transforms.center_crop` of transformers: a crop begins at half the difference rounded down, padding
    /// before the picture is half the difference rounded up.
    HuggingFace,
    /// Centred by `center_crop` of torchvision: a crop begins at half the difference rounded to even, padding before the
    /// picture is half the difference rounded down.
    Torchvision,
    /// In the top left corner.
    TopLeft,
}

/// What is seen of one axis of the resized picture, and where it lies in the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// First pixel of the resized picture that is seen.
    pub(super) first: usize,
    /// Pixels that are seen.
    pub(super) len: usize,
    /// Pixels of padding before them.
    pub(super) padding: usize,
}

impl Placement {
    /// Places an axis of `target` pixels in an output of `output` pixels.
    pub(super) fn frame(self, target: usize, output: usize) -> Frame {
        let cut = target.saturating_sub(output);
        let missing = output.saturating_sub(target);
        let (first, padding) = match self {
            Self::HuggingFace => (cut / 2, missing.div_ceil(2)),
            // Of the two neighbours of an odd half, the even one.
            Self::Torchvision => (cut / 2 + usize::from(cut % 4 == 3), missing / 2),
            Self::TopLeft => (0, 0),
        };
        Frame { first, len: target.min(output), padding }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_side_is_rounded_down() {
        assert_eq!(Resize::Shortest(224).target(333, 500).unwrap(), (224, 336));
        assert_eq!(Resize::Shortest(224).target(500, 333).unwrap(), (336, 224));
        assert_eq!(Resize::Shortest(224).target(1, 32768).unwrap(), (224, 224 * 32768));
    }

    #[test]
    fn proportional_sides_are_rounded_to_even() {
        // 3 · 4/8 = 1.5 and 5 · 4/8 = 2.5: both to 2.
        assert_eq!(Resize::Fit(4, 4).target(8, 3).unwrap(), (4, 2));
        assert_eq!(Resize::Fit(4, 4).target(8, 5).unwrap(), (4, 2));
        assert_eq!(Resize::Cover(4, 2).target(8, 5).unwrap(), (4, 2));
        assert_eq!(Resize::Cover(4, 4).target(8, 16).unwrap(), (4, 8));
        let error = Resize::Fit(224, 224).target(1, 32768).unwrap_err();
        assert_eq!(error.code(), crate::ErrorCode::Image);
    }

    #[test]
    fn longest_side_rounds_ties_up() {
        assert_eq!(Resize::Longest(1024).target(1200, 1800).unwrap(), (683, 1024));
        // 5 · 4/8 = 2.5.
        assert_eq!(Resize::Longest(4).target(5, 8).unwrap(), (3, 4));
        assert_eq!(Resize::Longest(1024).target(1, 2049).unwrap_err().code(), crate::ErrorCode::Image);
        assert_eq!(Placement::TopLeft.frame(3, 4), Frame { first: 0, len: 3, padding: 0 });
    }

    #[test]
    fn patches_cover_the_picture_and_are_not_too_many() {
        let target = |height, width, most| Resize::Patches { side: 16, most }.target(height, width);
        // Values of the reference.
        for ((height, width), most, expected) in [
            ((224, 224), 256, (256, 256)),
            ((480, 640), 256, (224, 288)),
            ((1, 1), 256, (112, 112)),
            ((1, 1), 4, (32, 32)),
            ((1, 100_000), 256, (16, 4096)),
            ((7000, 3), 100, (1600, 16)),
            ((333, 500), 200, (176, 272)),
        ] {
            assert_eq!(target(height, width, most).unwrap(), expected, "{height} x {width}, {most}");
        }
        let error = target(1 << 26, 1 << 26, 1).unwrap_err();
        assert_eq!(error.code(), crate::ErrorCode::Image);
    }

    #[test]
    fn odd_differences_follow_each_reference() {
        let first = |placement: Placement| [4, 5, 6, 7, 8, 9].map(|target| placement.frame(target, 4).first);
        assert_eq!(first(Placement::HuggingFace), [0, 0, 1, 1, 2, 2]);
        // Python: round(0.5) = 0, round(1.5) = 2, round(2.5) = 2.
        assert_eq!(first(Placement::Torchvision), [0, 0, 1, 2, 2, 2]);
        let padding = |placement: Placement| [1, 2, 3].map(|target| placement.frame(target, 4).padding);
        assert_eq!(padding(Placement::HuggingFace), [2, 1, 1]);
        assert_eq!(padding(Placement::Torchvision), [1, 1, 0]);
    }
}
