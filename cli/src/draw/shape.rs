//! Antialiased shapes, each given by its signed distance: negative inside, in pixels.
//!
//! A pixel is covered by `clamp(½ − distance of its centre)`, which is exact for straight edges along the axes and
//! within a few percent for others.

use super::{Canvas, Color};

/// A rectangle whose corners are places: left, top, right, bottom.
pub(crate) type Bounds = [f32; 4];

/// How much of a pixel lies inside, from the distance of its centre to the edge.
pub(super) fn coverage(distance: f32) -> f32 {
    (0.5 - distance).clamp(0.0, 1.0)
}

/// The distance of (`x`, `y`) from the line between two points.
pub(super) fn to_segment([x0, y0, x1, y1]: [f32; 4], x: f32, y: f32) -> f32 {
    let (dx, dy) = (x1 - x0, y1 - y0);
    let length = dx * dx + dy * dy;
    let t = if length > 0.0 { (((x - x0) * dx + (y - y0) * dy) / length).clamp(0.0, 1.0) } else { 0.0 };
    (x - x0 - t * dx).hypot(y - y0 - t * dy)
}

/// The distance of (`x`, `y`) from a rectangle with round corners.
fn to_rounded([left, top, right, bottom]: Bounds, radius: f32, x: f32, y: f32) -> f32 {
    let outside = |at: f32, from: f32, to: f32| (at - (from + to) / 2.0).abs() - (to - from) / 2.0 + radius;
    let (dx, dy) = (outside(x, left, right), outside(y, top, bottom));
    dx.max(0.0).hypot(dy.max(0.0)) + dx.max(dy).min(0.0) - radius
}

impl Canvas {
    /// Mixes `color` into each pixel of `within` as much as `alpha`, which gets the pixel's centre, says.
    pub(super) fn mix(&mut self, within: Bounds, color: Color, alpha: impl Fn(f32, f32) -> f32) {
        let [left, top, right, bottom] = within;
        let (first, last) =
            (left.floor().max(0.0) as usize, (right.ceil().max(0.0) as usize).min(self.width));
        for y in top.floor().max(0.0) as usize..(bottom.ceil().max(0.0) as usize).min(self.height) {
            let pixels = self.span(first, y, last.saturating_sub(first)).chunks_exact_mut(3);
            for (x, pixel) in (first..).zip(pixels) {
                let alpha = alpha(x as f32 + 0.5, y as f32 + 0.5);
                if alpha > 0.0 {
                    for (channel, color) in pixel.iter_mut().zip(color) {
                        *channel = blend(*channel, color, alpha);
                    }
                }
            }
        }
    }

    /// Fills a disc.
    pub(crate) fn disc(&mut self, [x, y]: [f32; 2], radius: f32, color: Color) {
        let r = radius + 1.0;
        let alpha = |px: f32, py: f32| coverage((px - x).hypot(py - y) - radius);
        self.mix([x - r, y - r, x + r, y + r], color, alpha);
    }

    /// Draws a line with round ends.
    pub(crate) fn line(&mut self, segment: [f32; 4], thickness: f32, color: Color) {
        let (r, [x0, y0, x1, y1]) = (thickness / 2.0 + 1.0, segment);
        let within = [x0.min(x1) - r, y0.min(y1) - r, x0.max(x1) + r, y0.max(y1) + r];
        self.mix(within, color, |x, y| coverage(to_segment(segment, x, y) - thickness / 2.0));
    }

    /// Fills a rectangle with round corners.
    pub(crate) fn rounded(&mut self, bounds: Bounds, radius: f32, color: Color) {
        let [left, top, right, bottom] = bounds;
        let within = [left - 1.0, top - 1.0, right + 1.0, bottom + 1.0];
        self.mix(within, color, |x, y| coverage(to_rounded(bounds, radius, x, y)));
    }

    /// Draws the edges of a rectangle with round corners; the middle of the line is the edge.
    pub(crate) fn frame(&mut self, bounds: Bounds, radius: f32, thickness: f32, color: Color) {
        let ([left, top, right, bottom], r) = (bounds, thickness / 2.0 + 1.0);
        let within = [left - r, top - r, right + r, bottom + r];
        let distance = |x, y| to_rounded(bounds, radius, x, y).abs() - thickness / 2.0;
        self.mix(within, color, |x, y| coverage(distance(x, y)));
    }
}

/// `from` with as much of `to` as `alpha` says.
pub(super) fn blend(from: u8, to: u8, alpha: f32) -> u8 {
    let (from, to) = (f32::from(from), f32::from(to));
    (from + (to - from) * alpha).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHITE: Color = [255; 3];

    fn ink(canvas: &Canvas) -> f32 {
        canvas.rgb().chunks(3).map(|pixel| f32::from(pixel[0]) / 255.0).sum()
    }

    #[test]
    fn areas_are_those_of_geometry() {
        let drawn = |draw: &dyn Fn(&mut Canvas)| {
            let mut canvas = Canvas::new(64, 64, [0; 3]);
            draw(&mut canvas);
            ink(&canvas)
        };
        let pi = std::f32::consts::PI;
        let cases = [
            (drawn(&|c| c.disc([31.3, 30.8], 12.0, WHITE)), pi * 144.0),
            (drawn(&|c| c.line([10.0, 12.0, 40.0, 52.0], 4.0, WHITE)), 50.0 * 4.0 + pi * 4.0),
            (drawn(&|c| c.rounded([10.25, 8.0, 50.5, 30.0], 5.0, WHITE)), 40.25 * 22.0 - (4.0 - pi) * 25.0),
            (drawn(&|c| c.frame([10.0, 8.0, 50.0, 30.0], 0.0, 2.0, WHITE)), 2.0 * 124.0),
        ];
        for (i, (found, expected)) in cases.into_iter().enumerate() {
            assert!((found - expected).abs() < 0.015 * expected, "{i}: {found}, not {expected}");
        }
    }

    #[test]
    fn edges_on_pixels_are_sharp_and_what_is_outside_is_not_drawn() {
        let mut canvas = Canvas::new(8, 8, [10; 3]);
        canvas.rounded([2.0, 3.0, 6.0, 5.0], 0.0, WHITE);
        let white = canvas.rgb().iter().filter(|&&channel| channel == 255).count();
        assert_eq!(
            (white, canvas.rgb().iter().filter(|&&channel| channel == 10).count()),
            (24, 8 * 8 * 3 - 24)
        );
        let before = canvas.rgb().to_vec();
        canvas.disc([-20.0, 4.0], 5.0, WHITE);
        canvas.line([100.0, 100.0, 200.0, 90.0], 3.0, WHITE);
        assert_eq!(canvas.rgb(), before);
        canvas.disc([8.0, 8.0], 100.0, [1, 2, 3]);
        assert!(canvas.rgb().chunks(3).all(|pixel| pixel == [1, 2, 3]));
    }
}
