//! A small canvas: rectangles, pictures and text; shapes, masks and prompts on pictures.

mod contour;
mod font;
pub(crate) mod mask_png;
mod overlay;
mod palette;
mod shape;

pub(crate) use overlay::Overlay;
pub(crate) use palette::{color, davis, is_davis};

use vitrum::exec::{Cx, Workspace};
use vitrum::image::ImageView;
use vitrum::kernels::resize::pillow::{Filter, Resample};

use crate::failure::{Exit, OrExit, Result};

/// Red, green, blue.
pub(crate) type Color = [u8; 3];

/// Where something is, in pixels from the top left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rect {
    pub(crate) x: usize,
    pub(crate) y: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

/// An RGB picture to draw on. What lies outside is not drawn.
#[derive(Clone, Debug)]
pub(crate) struct Canvas {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Canvas {
    pub(crate) fn new(width: usize, height: usize, background: Color) -> Self {
        Self { width, height, rgb: background.repeat(width * height) }
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn height(&self) -> usize {
        self.height
    }

    /// The pixels, row by row.
    pub(crate) fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The pixels `x..x + width` of row `y`, as far as they exist.
    fn span(&mut self, x: usize, y: usize, width: usize) -> &mut [u8] {
        if y >= self.height {
            return &mut [];
        }
        let (start, end) = (x.min(self.width), (x + width).min(self.width));
        &mut self.rgb[(y * self.width + start) * 3..(y * self.width + end) * 3]
    }

    pub(crate) fn fill(&mut self, rect: Rect, color: Color) {
        for y in rect.y..rect.y + rect.height {
            self.span(rect.x, y, rect.width)
                .chunks_exact_mut(3)
                .for_each(|pixel| pixel.copy_from_slice(&color));
        }
    }

    /// Draws the edges of `rect`, `thickness` pixels wide, inside it.
    pub(crate) fn outline(&mut self, rect: Rect, thickness: usize, color: Color) {
        let Rect { x, y, width, height } = rect;
        let t = thickness.min(width).min(height);
        self.fill(Rect { x, y, width, height: t }, color);
        self.fill(Rect { x, y: y + height - t, width, height: t }, color);
        self.fill(Rect { x, y, width: t, height }, color);
        self.fill(Rect { x: x + width - t, y, width: t, height }, color);
    }

    /// Draws `text` from (`x`, `y`) in a line of `height` pixels.
    pub(crate) fn text(&mut self, x: usize, y: usize, height: usize, color: Color, text: &str) {
        font::Line::new(text, height as f32).draw(|dx, dy, coverage| {
            let place = |from: usize, by: i32| from.checked_add_signed(by as isize);
            let (Some(x), Some(y)) = (place(x, dx), place(y, dy)) else { return };
            for (channel, color) in self.span(x, y, 1).iter_mut().zip(color) {
                *channel = shape::blend(*channel, color, coverage);
            }
        });
    }

    /// Width of `text` in a line of `height` pixels.
    pub(crate) fn text_width(height: usize, text: &str) -> usize {
        font::Line::new(text, height as f32).width().ceil() as usize
    }

    /// Draws `image` as large as fits `rect`, centred.
    pub(crate) fn picture(&mut self, cx: &Cx, rect: Rect, image: ImageView<'_>) -> Result<()> {
        let (width, height) = (image.width(), image.height());
        let scale = (rect.width as f64 / width as f64).min(rect.height as f64 / height as f64);
        let scaled = |side: usize, most: usize| ((side as f64 * scale).round() as usize).clamp(1, most);
        let (to_width, to_height) = (scaled(width, rect.width), scaled(height, rect.height));

        let mut source = vec![0; width * height * 3];
        source.chunks_exact_mut(width * 3).enumerate().for_each(|(y, row)| image.row_rgb(y, row));
        let resample = Resample::new(3, (width, height), (to_width, to_height), Filter::Bicubic);
        let resample = resample.or_exit(Exit::Other)?;
        let mut workspace = Workspace::default();
        workspace.reserve(resample.scratch_req(cx)).or_exit(Exit::Other)?;
        let mut target = vec![0; to_width * to_height * 3];
        resample.run(cx, &source, width * 3, &mut target, workspace.scratch());

        let (x, y) = (rect.x + (rect.width - to_width) / 2, rect.y + (rect.height - to_height) / 2);
        for (i, row) in target.chunks_exact(to_width * 3).enumerate() {
            let span = self.span(x, y + i, to_width);
            span.copy_from_slice(&row[..span.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrum::image::PixelFormat;
    use vitrum::simd::Level;

    fn drawn(canvas: &Canvas) -> Vec<String> {
        let pixel = |pixel: &[u8]| if pixel[0] > 127 { '#' } else { '.' };
        canvas.rgb().chunks(canvas.width() * 3).map(|row| row.chunks(3).map(pixel).collect()).collect()
    }

    #[test]
    fn text_has_capitals_and_small_letters_and_is_clipped() {
        let mut canvas = Canvas::new(16, 16, [0; 3]);
        canvas.text(0, 0, 16, [255; 3], "Lil");
        let expected = [
            ".##.....##..#...",
            ".##.........##..",
            ".##.........##..",
            ".##.....##..##..",
            ".##.....##..##..",
            ".##.....##..##..",
            ".##.....##..##..",
            ".##.....##..##..",
            ".######.##..##..",
            ".######.##..#...",
        ];
        assert_eq!(drawn(&canvas)[3..13], expected);
        let whole = Canvas::text_width(16, "Lil");
        assert!(whole > Canvas::text_width(16, "Li") && whole < Canvas::text_width(32, "Lil"), "{whole}");
        // Beyond the edges, and letters that the font lacks.
        canvas.text(12, 10, 40, [255; 3], "W\u{732b}");
    }

    #[test]
    fn shapes_are_clipped() {
        let mut canvas = Canvas::new(4, 3, [0; 3]);
        canvas.fill(Rect { x: 2, y: 1, width: 100, height: 100 }, [255; 3]);
        assert_eq!(drawn(&canvas), ["....", "..##", "..##"]);
        let mut canvas = Canvas::new(4, 3, [0; 3]);
        canvas.outline(Rect { x: 0, y: 0, width: 4, height: 3 }, 1, [255; 3]);
        assert_eq!(drawn(&canvas), ["####", "#..#", "####"]);
    }

    #[test]
    fn pictures_keep_their_proportions() {
        let mut canvas = Canvas::new(8, 8, [0; 3]);
        let white = [255; 4 * 2];
        let view = ImageView::packed(&white, 4, 2, PixelFormat::Gray8).unwrap();
        let cx = Cx::serial(Level::detect());
        canvas.picture(&cx, Rect { x: 0, y: 0, width: 8, height: 8 }, view).unwrap();
        let rows: Vec<_> = drawn(&canvas).iter().map(|row| row.matches('#').count()).collect();
        assert_eq!(rows, [0, 0, 8, 8, 8, 8, 0, 0]);
    }
}
