//! A picture with what SAM was asked and what it found drawn on it.

use vitrum::exec::Cx;
use vitrum::image::ImageView;

use super::contour::{Field, Segment};
use super::shape::{blend, coverage, to_segment};
use super::{Canvas, Color, Rect};
use crate::failure::Result;

const WHITE: Color = [255; 3];
const INK: Color = [24, 26, 32];
/// Of a point on the thing that is wanted.
const WANTED: Color = [22, 160, 72];
/// Of a point on what is not.
const UNWANTED: Color = [214, 40, 48];
/// How much of its colour a mask is tinted with.
const TINT: f32 = 0.5;

/// A picture, enlarged if asked, on which masks and prompts are drawn. Coordinates are the original picture's: the
/// middle of its first pixel is (½, ½).
#[derive(Clone, Debug)]
pub(crate) struct Overlay {
    canvas: Canvas,
    /// The picture before anything was drawn.
    bare: Canvas,
    scale: f32,
}

impl Overlay {
    /// The picture `scale` times as large.
    pub(crate) fn new(cx: &Cx, image: ImageView<'_>, scale: f32) -> Result<Self> {
        let side = |side: usize| ((side as f32 * scale).round() as usize).max(1);
        let (width, height) = (side(image.width()), side(image.height()));
        let mut canvas = Canvas::new(width, height, WHITE);
        canvas.picture(cx, Rect { x: 0, y: 0, width, height }, image)?;
        Ok(Self { bare: canvas.clone(), canvas, scale })
    }

    /// What was drawn.
    pub(crate) fn into_canvas(self) -> Canvas {
        self.canvas
    }

    /// Thickness of an outline, which grows with the picture.
    fn line_width(&self) -> f32 {
        let side = self.canvas.width.min(self.canvas.height) as f32;
        (side / 256.0).clamp(1.5, 8.0)
    }

    /// Height of a line of text.
    fn text_height(&self) -> usize {
        (self.line_width() * 8.0).round().max(14.0) as usize
    }

    /// Tints `mask`, as large as the original picture and non-zero inside, and draws its outline. Where masks overlap,
    /// the last one shows.
    pub(crate) fn mask(&mut self, mask: &[u8], color: Color) {
        let width = (self.canvas.width as f32 / self.scale).round() as usize;
        let Some(field) = Field::new(mask, width) else { return };
        self.tint(&field, color);
        let mut stroke = Stroke::new(field.bounds().map(|side| side * self.scale), self.line_width());
        field.outline(|segment| stroke.add(segment.map(|side| side * self.scale)));
        stroke.draw(&mut self.canvas, color);
    }

    /// Mixes `color` into the bare picture inside the mask.
    fn tint(&mut self, field: &Field, color: Color) {
        let [left, top, right, bottom] = field.bounds().map(|side| (side * self.scale).round() as usize);
        let (left, right) = (left.min(self.canvas.width), right.min(self.canvas.width));
        for y in top..bottom.min(self.canvas.height) {
            let from = (y * self.canvas.width + left) * 3;
            let bare = self.bare.rgb[from..].chunks_exact(3);
            let pixels = self.canvas.rgb[from..].chunks_exact_mut(3);
            for ((x, pixel), bare) in (left..right).zip(pixels).zip(bare) {
                let value = field.at((x as f32 + 0.5) / self.scale, (y as f32 + 0.5) / self.scale);
                let inside = ((value - 0.5) * 2.0 * self.scale + 0.5).clamp(0.0, 1.0);
                for ((channel, &bare), color) in pixel.iter_mut().zip(bare).zip(color) {
                    *channel = blend(*channel, blend(bare, color, TINT), inside);
                }
            }
        }
    }

    /// Draws a point: a green disc with a plus on what is wanted, a red one with a minus on what is not.
    pub(crate) fn point(&mut self, [x, y]: [f32; 2], wanted: bool) {
        let (center, radius) = ([x * self.scale, y * self.scale], self.line_width() * 3.0);
        let (bar, thickness) = (radius * 0.55, radius * 0.3);
        self.canvas.disc(center, radius + self.line_width() * 0.9, INK);
        self.canvas.disc(center, radius + self.line_width() * 0.6, WHITE);
        self.canvas.disc(center, radius, if wanted { WANTED } else { UNWANTED });
        let [x, y] = center;
        self.canvas.line([x - bar, y, x + bar, y], thickness, WHITE);
        if wanted {
            self.canvas.line([x, y - bar, x, y + bar], thickness, WHITE);
        }
    }

    /// Draws a box: left, top, right, bottom.
    pub(crate) fn bounding_box(&mut self, bounds: [f32; 4], color: Color) {
        let (bounds, line) = (bounds.map(|side| side * self.scale), self.line_width());
        self.canvas.frame(bounds, line, line * 1.9, WHITE);
        self.canvas.frame(bounds, line, line, color);
    }

    /// Writes `text` on a plate whose foot is at `anchor`, as far as the picture reaches.
    pub(crate) fn label(&mut self, [x, y]: [f32; 2], text: &str, color: Color) {
        let text_height = self.text_height();
        let padding = text_height / 4;
        let (width, height) = (Canvas::text_width(text_height, text) + 2 * padding, text_height + padding);
        let place = |at: f32, size: usize, limit: usize| {
            at.round().clamp(0.0, limit.saturating_sub(size) as f32) as usize
        };
        let left = place(x * self.scale, width, self.canvas.width);
        let top = place(y * self.scale - height as f32, height, self.canvas.height);
        let plate = [left, top, left + width, top + height].map(|side| side as f32);
        self.canvas.rounded(plate, padding as f32, color);
        self.canvas.text(left + padding, top + padding / 2, text_height, legible_on(color), text);
    }
}

/// Black or white, whichever stands out more from `background`.
fn legible_on([r, g, b]: Color) -> Color {
    let brightness = 299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b);
    if brightness > 140_000 { INK } else { WHITE }
}

/// A line being drawn: the distance of each pixel near it.
struct Stroke {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    half: f32,
    rim: f32,
    distances: Vec<f32>,
}

impl Stroke {
    /// A line of `thickness` inside `bounds` or not much outside.
    fn new(bounds: [f32; 4], thickness: f32) -> Self {
        let (half, rim) = (thickness / 2.0, (thickness * 0.4).max(0.75));
        let reach = half + rim + 1.0;
        let [left, top, right, bottom] = bounds;
        let (left, top) = ((left - reach).max(0.0) as usize, (top - reach).max(0.0) as usize);
        let (width, height) = ((right + reach) as usize + 1 - left, (bottom + reach) as usize + 1 - top);
        Self { left, top, width, height, half, rim, distances: vec![f32::INFINITY; width * height] }
    }

    fn add(&mut self, segment: Segment) {
        let (reach, [x0, y0, x1, y1]) = (self.half + self.rim + 1.0, segment);
        let range = |a: f32, b: f32, first: usize, len: usize| {
            let (from, to) = (a.min(b) - reach - first as f32, a.max(b) + reach - first as f32);
            (from.max(0.0) as usize).min(len)..(to.max(0.0) as usize + 1).min(len)
        };
        let columns = range(x0, x1, self.left, self.width);
        for y in range(y0, y1, self.top, self.height) {
            let row = &mut self.distances[y * self.width..][columns.clone()];
            for (x, nearest) in columns.clone().zip(row) {
                let (x, y) = ((self.left + x) as f32 + 0.5, (self.top + y) as f32 + 0.5);
                *nearest = nearest.min(to_segment(segment, x, y));
            }
        }
    }

    /// Draws it in `color` on a faint white rim.
    fn draw(self, canvas: &mut Canvas, color: Color) {
        const RIM: f32 = 0.55;
        let Self { left, top, width, height, half, rim, distances } = self;
        let distance = |x: f32, y: f32| distances[(y as usize - top) * width + x as usize - left];
        let within = [left, top, left + width, top + height].map(|side| side as f32);
        canvas.mix(within, WHITE, |x, y| RIM * coverage(distance(x, y) - half - rim));
        canvas.mix(within, color, |x, y| coverage(distance(x, y) - half));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrum::image::PixelFormat;
    use vitrum::simd::Level;

    const BLUE: Color = [20, 60, 250];

    fn overlay(side: usize, scale: f32) -> Overlay {
        let gray = vec![100; side * side];
        let view = ImageView::packed(&gray, side, side, PixelFormat::Gray8).unwrap();
        Overlay::new(&Cx::serial(Level::detect()), view, scale).unwrap()
    }

    fn pixel(canvas: &Canvas, x: usize, y: usize) -> Color {
        canvas.rgb()[(y * canvas.width() + x) * 3..][..3].try_into().unwrap()
    }

    fn square(side: usize, from: usize, to: usize) -> Vec<u8> {
        let inside = |i: usize| (from..to).contains(&(i % side)) && (from..to).contains(&(i / side));
        (0..side * side).map(|i| u8::from(inside(i))).collect()
    }

    #[test]
    fn masks_are_tinted_inside_outlined_and_nothing_else_changes() {
        for scale in [1.0, 2.0] {
            let mut overlay = overlay(64, scale);
            overlay.mask(&square(64, 16, 48), BLUE);
            let canvas = overlay.into_canvas();
            let at = |x: f32, y: f32| pixel(&canvas, (x * scale) as usize, (y * scale) as usize);
            assert_eq!(at(32.0, 32.0), [60, 80, 175]);
            assert_eq!(at(8.0, 32.0), [100; 3]);
            assert_eq!(at(32.0, 60.0), [100; 3]);
            // The middle of the outline lies on the edge between pixels.
            for place in [15.99, 48.0] {
                let [r, _, b] = at(place, 32.0);
                assert!(r < 80 && b > 200, "{:?} at {place}", at(place, 32.0));
            }
        }
    }

    #[test]
    fn the_last_of_overlapping_masks_shows() {
        let mut overlay = overlay(64, 1.0);
        overlay.mask(&square(64, 4, 60), BLUE);
        overlay.mask(&square(64, 20, 44), [250, 60, 20]);
        let canvas = overlay.into_canvas();
        assert_eq!(pixel(&canvas, 32, 32), [175, 80, 60]);
        assert_eq!(pixel(&canvas, 10, 32), [60, 80, 175]);
    }

    #[test]
    fn prompts_are_where_they_were_given() {
        let mut overlay = overlay(200, 4.0);
        overlay.point([50.5, 50.5], true);
        overlay.point([150.5, 50.5], false);
        overlay.bounding_box([40.0, 100.0, 160.0, 180.0], BLUE);
        let canvas = overlay.into_canvas();
        // In the middle, and where the plus has an arm and the minus none.
        assert_eq!((pixel(&canvas, 202, 202), pixel(&canvas, 602, 202)), (WHITE, WHITE));
        assert_eq!((pixel(&canvas, 202, 206), pixel(&canvas, 602, 206)), (WHITE, UNWANTED));
        assert_eq!((pixel(&canvas, 206, 206), pixel(&canvas, 596, 206)), (WANTED, UNWANTED));
        assert_eq!((pixel(&canvas, 160, 560), pixel(&canvas, 400, 560)), (BLUE, [100; 3]));
    }

    #[test]
    fn labels_stay_inside_the_picture() {
        let mut overlay = overlay(60, 1.0);
        overlay.label([55.0, 2.0], "apple", [250, 230, 60]);
        let canvas = overlay.into_canvas();
        let plate = canvas.rgb().chunks(3).filter(|pixel| *pixel == [250, 230, 60]).count();
        let text = canvas.rgb().chunks(3).filter(|pixel| pixel[1] < 60).count();
        assert!(plate > 300 && text > 40, "{plate} {text}");
        assert_eq!(legible_on([20, 20, 120]), WHITE);
    }
}
