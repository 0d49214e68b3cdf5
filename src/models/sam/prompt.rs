//! What a user points at: clicks, a box, a mask.

use crate::error::{Result, err};
use crate::setters::setters;

/// Largest coordinate, in pixels and of either sign: beyond it, position encodings in f32 are noise.
pub const MAX_COORDINATE: f32 = (1 << 20) as f32;

/// Most points of a prompt. Each takes about 30 kB of scratch memory in the released models.
pub const MAX_POINTS: usize = 1 << 14;

/// What a click marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Label {
    /// No click: its coordinates do not matter. The reference adds such points to bring prompts to a common length, which
    /// changes results a little. Here no prompt needs one.
    Padding = -1,
    /// Not part of the object.
    Background = 0,
    /// Part of the object.
    Foreground = 1,
}

impl TryFrom<i32> for Label {
    type Error = crate::Error;

    fn try_from(label: i32) -> Result<Self> {
        match label {
            0 => Ok(Self::Background),
            1 => Ok(Self::Foreground),
            -1 => Ok(Self::Padding),
            _ => Err(err!(
                InvalidArgument,
                "label {label}, expected 0 (background), 1 (foreground) or -1 (padding)"
            )),
        }
    }
}

/// A click, in pixels; (0, 0) is the first pixel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// From the left.
    pub x: f32,
    /// From the top.
    pub y: f32,
    /// What it marks.
    pub label: Label,
}

impl Point {
    /// A click on the object.
    pub fn foreground(x: f32, y: f32) -> Self {
        Self { x, y, label: Label::Foreground }
    }

    /// A click on what is not part of the object.
    pub fn background(x: f32, y: f32) -> Self {
        Self { x, y, label: Label::Background }
    }
}

/// A prompt for one object: clicks, a box, an earlier mask, or several of these. An empty prompt asks for the most
/// prominent object.
///
/// Without points and box, SAM 2 gets no point at all, as from `SAM2ImagePredictor`; transformers gives it a padding point,
/// which is a prompt of [`Point`]s with one [`Label::Padding`]. (`docs/references.md` has more of such differences.)
///
/// Points and boxes outside the picture are allowed, as in the reference.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Prompt<'a> {
    /// Clicks, up to [`MAX_POINTS`].
    pub points: &'a [Point],
    /// Left, top, right, bottom, in pixels.
    pub bounding_box: Option<[f32; 4]>,
    /// Logits of an earlier prediction at the decoder's resolution, `[side, side]` with `side` the
    /// [`mask_side`](super::SamConfig::mask_side).
    pub mask: Option<&'a [f32]>,
}

impl<'a> Prompt<'a> {
    /// Clicks.
    pub fn points(points: &'a [Point]) -> Self {
        Self { points, ..Self::default() }
    }

    /// A box: left, top, right, bottom.
    pub fn bounding_box(bounding_box: [f32; 4]) -> Self {
        Self { bounding_box: Some(bounding_box), ..Self::default() }
    }

    setters! {
        with_points(points: &'a [Point]),
        with_bounding_box(bounding_box: impl Into<Option<[f32; 4]>>),
        with_mask(mask: impl Into<Option<&'a [f32]>>),
    }

    /// Checks the values: coordinates are numbers of at most ±[`MAX_COORDINATE`], the box is not inverted, the
    /// mask has `mask_side²` finite values.
    ///
    /// # Errors
    /// `InvalidArgument`, naming what is wrong; `Limit` for more than [`MAX_POINTS`] points.
    pub fn check(&self, mask_side: usize) -> Result<()> {
        if self.points.len() > MAX_POINTS {
            return Err(err!(Limit, "{} points, at most {MAX_POINTS} are possible", self.points.len()));
        }
        // NaN fails every comparison.
        let usable = |x: f32| x.abs() <= MAX_COORDINATE;
        for (i, point) in self.points.iter().enumerate() {
            if point.label != Label::Padding && !(usable(point.x) && usable(point.y)) {
                return Err(err!(
                    InvalidArgument,
                    "point {i} is at ({}, {}), expected numbers of at most ±{MAX_COORDINATE}",
                    point.x,
                    point.y
                ));
            }
        }
        if let Some(bounds @ [left, top, right, bottom]) = self.bounding_box
            && !(bounds.into_iter().all(usable) && left <= right && top <= bottom)
        {
            return Err(err!(
                InvalidArgument,
                "box {bounds:?}, expected left <= right and top <= bottom, of at most ±{MAX_COORDINATE}"
            ));
        }
        match self.mask {
            Some(mask) if mask.len() != mask_side * mask_side => Err(err!(
                InvalidArgument,
                "mask prompt of {} values, expected {mask_side} x {mask_side}",
                mask.len()
            )),
            Some(mask) if !mask.iter().all(|value| value.is_finite()) => {
                Err(err!(InvalidArgument, "mask prompt with values that are not finite"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_checked() {
        let known: [Label; 3] = [0, 1, -1].map(|label| Label::try_from(label).unwrap());
        assert_eq!(known, [Label::Background, Label::Foreground, Label::Padding]);
        for label in [7, 2, -2, i32::MIN] {
            let error = Label::try_from(label).unwrap_err();
            assert_eq!(error.code(), crate::ErrorCode::InvalidArgument, "{label}");
        }
    }

    #[test]
    fn unusable_prompts_are_refused() {
        let check = |prompt: Prompt<'_>| prompt.check(2).map_err(|error| error.code());
        let bad = Err(crate::ErrorCode::InvalidArgument);
        for x in [f32::NAN, f32::INFINITY, 1e30, -1.1e6] {
            assert_eq!(check(Prompt::points(&[Point::foreground(1.0, 1.0), Point::background(x, 1.0)])), bad);
            assert_eq!(check(Prompt::points(&[Point::foreground(1.0, x)])), bad);
            assert_eq!(check(Prompt::bounding_box([0.0, x, 1.0, 1.0])), bad);
        }
        assert_eq!(check(Prompt::bounding_box([2.0, 0.0, 1.0, 1.0])), bad);
        assert_eq!(check(Prompt::bounding_box([0.0, 1.0, 1.0, 0.5])), bad);
        let points = alloc::vec![Point::foreground(1.0, 1.0); MAX_POINTS + 1];
        assert_eq!(check(Prompt::points(&points[1..])), Ok(()));
        assert_eq!(check(Prompt::points(&points)), Err(crate::ErrorCode::Limit));
        assert_eq!(check(Prompt::default().with_mask(&[0.0; 5][..])), bad);
        assert_eq!(check(Prompt::default().with_mask(&[0.0, 1.0, f32::NAN, 0.0][..])), bad);
    }

    #[test]
    fn whatever_the_reference_defines_is_allowed() {
        let padding = Point { x: f32::NAN, y: 0.0, label: Label::Padding };
        Prompt::points(&[Point::foreground(-40.0, 9000.0), padding]).check(2).unwrap();
        Prompt::bounding_box([3.0, 3.0, 3.0, 3.0]).check(2).unwrap();
        Prompt::default().check(2).unwrap();
        Prompt::default().with_mask(&[-32.0; 4][..]).check(2).unwrap();
    }
}
