//! Text in the Latin glyphs of Inter SemiBold, anti-aliased.

use ab_glyph::{Font, FontRef, Glyph, PxScale, PxScaleFont, ScaleFont, point};

/// A subset of Inter 4.001, without hints; its licence (SIL Open Font License 1.1) is beside it.
const FILE: &[u8] = include_bytes!("../../fonts/Inter-SemiBold-Latin.ttf");

/// A line of text, from (0, 0) to the right and down.
pub(super) struct Line {
    font: PxScaleFont<FontRef<'static>>,
    glyphs: Vec<Glyph>,
    width: f32,
}

impl Line {
    /// `text` in a line of `height` pixels. What the font lacks is an empty box.
    pub(super) fn new(text: &str, height: f32) -> Self {
        let font = FontRef::try_from_slice(FILE).expect("a font").into_scaled(PxScale::from(height));
        let (mut glyphs, mut x) = (Vec::new(), 0.0);
        for c in text.chars() {
            let mut glyph = font.scaled_glyph(c);
            glyph.position = point(x, font.ascent());
            x += font.h_advance(glyph.id);
            glyphs.push(glyph);
        }
        Self { font, glyphs, width: x }
    }

    pub(super) fn width(&self) -> f32 {
        self.width
    }

    /// Calls `cover(x, y, coverage)` for every pixel that a glyph touches.
    pub(super) fn draw(self, mut cover: impl FnMut(i32, i32, f32)) {
        let Self { font, glyphs, .. } = self;
        for outlined in glyphs.into_iter().filter_map(|glyph| font.outline_glyph(glyph)) {
            let (left, top) = (outlined.px_bounds().min.x as i32, outlined.px_bounds().min.y as i32);
            outlined.draw(|x, y, coverage| cover(left + x as i32, top + y as i32, coverage.min(1.0)));
        }
    }
}
