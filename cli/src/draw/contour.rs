//! A mask as a smooth field: its outline below the size of a pixel, and how much of a place it covers.

/// A line from one point to another: x, y, x, y. The mask is on its right, with y down: the shape is run through
/// clockwise as one sees it.
pub(super) type Segment = [f32; 4];

/// Pixels kept around the mask: one that the blur reaches, and one that is 0.
const REACH: usize = 2;

/// A mask blurred by `[1 2 1] / 4` both ways. At the picture's edge the mask is taken to go on as it is, so that a shape
/// cut off by the edge has no outline there.
///
/// The value at the centre of pixel (x, y) belongs to the point (x + ½, y + ½).
#[derive(Debug)]
pub(super) struct Field {
    /// The first column and row of the part of the picture that matters.
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    values: Vec<f32>,
}

impl Field {
    /// The field of `mask`, a picture `width` wide whose pixels are 0 or not; `None` if it is empty.
    pub(super) fn new(mask: &[u8], width: usize) -> Option<Self> {
        let height = mask.len() / width;
        let rows = || mask.chunks_exact(width).enumerate();
        let occupied = |row: &[u8]| row.iter().any(|&pixel| pixel != 0);
        let first_row = rows().find(|(_, row)| occupied(row))?.0;
        let last_row = rows().rfind(|(_, row)| occupied(row))?.0;
        let columns = |row: &[u8]| {
            Some((row.iter().position(|&pixel| pixel != 0)?, row.iter().rposition(|&pixel| pixel != 0)?))
        };
        let spans =
            mask[first_row * width..=last_row * width + width - 1].chunks_exact(width).filter_map(columns);
        let (first, last) = spans.fold((width, 0), |(a, b), (first, last)| (a.min(first), b.max(last)));

        let (left, top) = (first.saturating_sub(REACH), first_row.saturating_sub(REACH));
        let (right, bottom) = ((last + REACH + 1).min(width), (last_row + REACH + 1).min(height));
        let at = |x: usize, y: usize| f32::from(u8::from(mask[y * width + x] != 0));
        let blurred = |x: usize, y: usize| {
            let row = |y: usize| at(x.saturating_sub(1), y) + 2.0 * at(x, y) + at((x + 1).min(width - 1), y);
            (row(y.saturating_sub(1)) + 2.0 * row(y) + row((y + 1).min(height - 1))) / 16.0
        };
        let values =
            (top..bottom).flat_map(|y| (left..right).map(move |x| (x, y))).map(|(x, y)| blurred(x, y));
        Some(Self { left, top, width: right - left, height: bottom - top, values: values.collect() })
    }

    /// Left, top, right and bottom of the part of the picture outside which the field is 0.
    pub(super) fn bounds(&self) -> [f32; 4] {
        let Self { left, top, width, height, .. } = *self;
        [left, top, left + width, top + height].map(|side| side as f32)
    }

    /// The value at pixel (x, y) of the part, or at the nearest one: the part ends with zeros or with the picture.
    fn pixel(&self, x: isize, y: isize) -> f32 {
        let (x, y) = (x.clamp(0, self.width as isize - 1), y.clamp(0, self.height as isize - 1));
        self.values[y as usize * self.width + x as usize]
    }

    /// The field at a point, bilinear between the centres of pixels.
    pub(super) fn at(&self, x: f32, y: f32) -> f32 {
        let (x, y) = (x - self.left as f32 - 0.5, y - self.top as f32 - 0.5);
        let (column, row) = (x.floor(), y.floor());
        let (u, v) = (x - column, y - row);
        let (column, row) = (column as isize, row as isize);
        let mix = |row| self.pixel(column, row) * (1.0 - u) + self.pixel(column + 1, row) * u;
        mix(row) * (1.0 - v) + mix(row + 1) * v
    }

    /// Gives `each` the line at which the field is one half, in pieces and no particular order: marching squares
    /// over squares of four centres of pixels (Lorensen and Cline 1987, in two dimensions).
    pub(super) fn outline(&self, mut each: impl FnMut(Segment)) {
        for y in 0..self.height.saturating_sub(1) {
            for x in 0..self.width.saturating_sub(1) {
                let value = |dx: usize, dy: usize| self.values[(y + dy) * self.width + x + dx];
                // Corners clockwise from the top left.
                let corners = [value(0, 0), value(1, 0), value(1, 1), value(0, 1)];
                let origin = [(self.left + x) as f32 + 0.5, (self.top + y) as f32 + 0.5];
                square(corners, |[x0, y0], [x1, y1]| {
                    each([origin[0] + x0, origin[1] + y0, origin[0] + x1, origin[1] + y1]);
                });
            }
        }
    }
}

/// The lines through a unit square whose `corners`, clockwise from the top left, have these values.
fn square(corners: [f32; 4], mut each: impl FnMut([f32; 2], [f32; 2])) {
    const CORNERS: [[f32; 2]; 4] = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]];
    let inside = |i: usize| corners[i % 4] >= 0.5;
    // Where the line crosses the side from corner `i` to the next one.
    let crossing = |i: usize| {
        let (a, b) = (corners[i], corners[(i + 1) % 4]);
        let (from, to, t) = (CORNERS[i], CORNERS[(i + 1) % 4], (0.5 - a) / (b - a));
        [from[0] + (to[0] - from[0]) * t, from[1] + (to[1] - from[1]) * t]
    };
    let leaves = |i: usize| inside(i) && !inside(i + 1);
    let enters = |i: usize| !inside(i) && inside(i + 1);
    // Two opposite corners inside: together if the middle is inside, apart otherwise.
    let joined = corners.iter().sum::<f32>() >= 2.0;
    // Going clockwise, a line starts where the border leaves the mask and ends where it enters it again: the next such
    // place, or, if the corner between the two is cut off from its opposite, the one before.
    for start in (0..4).filter(|&i| leaves(i)) {
        let mut ends = (1..4).map(|step| (start + step) % 4).filter(|&i| enters(i));
        let end = if joined { ends.next() } else { ends.next_back() };
        if let Some(end) = end {
            each(crossing(start), crossing(end));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(rows: &[&str]) -> (Vec<u8>, usize) {
        (rows.concat().bytes().map(|c| u8::from(c == b'#')).collect(), rows[0].len())
    }

    fn outline(mask: &[u8], width: usize) -> Vec<Segment> {
        let mut segments = Vec::new();
        Field::new(mask, width).unwrap().outline(|segment| segments.push(segment));
        segments
    }

    /// Area to the right of the lines: ½ Σ x₀y₁ − x₁y₀.
    fn area(segments: &[Segment]) -> f32 {
        segments.iter().map(|[x0, y0, x1, y1]| x0 * y1 - x1 * y0).sum::<f32>() / 2.0
    }

    /// Every point is the end of one line and the start of another.
    fn is_closed(segments: &[Segment]) -> bool {
        let sorted = |mut points: Vec<[u32; 2]>| {
            points.sort_unstable();
            points
        };
        let bits = |x: f32, y: f32| [x, y].map(|v| (v * 4096.0).round() as u32);
        sorted(segments.iter().map(|s| bits(s[0], s[1])).collect())
            == sorted(segments.iter().map(|s| bits(s[2], s[3])).collect())
    }

    #[test]
    fn outlines_are_closed_and_enclose_the_mask() {
        let side = 64;
        let disc = |x: usize, y: usize| (x as f32 - 31.5).hypot(y as f32 - 31.5) < 20.0;
        let disc: Vec<u8> = (0..side * side).map(|i| u8::from(disc(i % side, i / side))).collect();
        let segments = outline(&disc, side);
        let pixels = disc.iter().filter(|&&pixel| pixel != 0).count() as f32;
        assert!(is_closed(&segments));
        assert!((area(&segments) - pixels).abs() < 0.01 * pixels, "{} of {pixels}", area(&segments));
        // Smooth: nowhere far from the circle, although the mask is made of squares.
        for [x, y, ..] in segments {
            let radius = (x - 32.0).hypot(y - 32.0);
            assert!((radius - 20.0).abs() < 0.45, "{radius}");
        }
    }

    #[test]
    fn holes_and_touching_corners() {
        let (ring, width) = mask(&[
            "..........",
            ".########.",
            ".########.",
            ".##....##.",
            ".##....##.",
            ".##....##.",
            ".########.",
            ".########.",
            "..........",
        ]);
        let segments = outline(&ring, width);
        assert!(is_closed(&segments));
        let pixels = ring.iter().map(|&pixel| f32::from(pixel)).sum::<f32>();
        assert!((area(&segments) - pixels).abs() < 3.0, "{}", area(&segments));
        let (corners, width) = mask(&["......", ".##...", ".##...", "...##.", "...##.", "......"]);
        assert!(is_closed(&outline(&corners, width)));
        let mut saddles = Vec::new();
        square([1.0, 0.0, 1.0, 0.0], |a, b| saddles.push((a, b)));
        assert_eq!(saddles.len(), 2);
        // Joined: the lines cut off the two corners outside.
        assert!(saddles.contains(&([0.5, 0.0], [1.0, 0.5])), "{saddles:?}");
        saddles.clear();
        square([0.9, 0.0, 0.9, 0.0], |a, b| saddles.push((a, b)));
        // Apart: they cut off the two corners inside.
        let cut = saddles.iter().any(|(a, b)| a[1] == 0.0 && b[0] == 0.0);
        assert!(saddles.len() == 2 && cut, "{saddles:?}");
    }

    #[test]
    fn the_edge_of_the_picture_is_no_outline() {
        let (half, width) = mask(&["##..", "##..", "##..", "##.."]);
        let segments = outline(&half, width);
        assert!(segments.iter().all(|[x0, _, x1, _]| (x0 - 2.0).abs() < 1e-6 && (x1 - 2.0).abs() < 1e-6));
        let field = Field::new(&half, width).unwrap();
        assert_eq!((field.at(0.0, 0.0), field.at(-3.0, 2.0), field.at(2.0, 2.0)), (1.0, 1.0, 0.5));
        assert_eq!((field.at(3.5, 2.0), field.bounds()), (0.0, [0.0, 0.0, 4.0, 4.0]));
        assert!(outline(&[1; 16], 4).is_empty());
        assert!(Field::new(&[0; 16], 4).is_none());
    }
}
