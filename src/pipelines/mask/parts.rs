//! Parts of masks: outlines with the holes that belong to them, their way into formats without holes, and back to pixels.

use alloc::vec::Vec;

use super::components::Components;
use super::polygon::{Polygon, polygons};
use super::rle::{ColumnRun, Rle};
use crate::error::Result;
use crate::exec::{TryCollect, TryGrow, try_copied, try_filled};

/// Comparisons of corners that a joined outline may cost: beyond, bridges start anywhere.
const COMPARISONS: usize = 1 << 24;

/// A part of a mask that is connected over edges and corners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Clockwise on the screen.
    pub outline: Polygon,
    /// Counter-clockwise, by their topmost edge.
    pub holes: Vec<Polygon>,
}

/// The parts of a mask by their topmost edge, exact to the pixel.
///
/// # Errors
/// `OutOfMemory`.
pub fn parts(mask: &Rle) -> Result<Vec<Part>> {
    let components = Components::of(mask, true)?;
    let mut part_of = try_filled(usize::MAX, components.areas().len())?;
    let mut parts: Vec<Part> = Vec::new();
    for polygon in polygons(mask)? {
        // Every outline begins at the upper left corner of a pixel of the mask, and that of a part before those of its
        // holes.
        let [x, y] = polygon.points[0];
        let part = &mut part_of[components.label_at(x, y)];
        if polygon.is_hole {
            parts[*part].holes.try_push(polygon)?;
        } else {
            *part = parts.len();
            parts.try_push(Part { outline: polygon, holes: Vec::new() })?;
        }
    }
    Ok(parts)
}

impl Part {
    /// The part with fewer corners: [`Polygon::simplified`] of each outline. Nothing changes for a tolerance of 0.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn simplified(&self, tolerance: f32) -> Result<Self> {
        let simplified = |polygon: &Polygon| match tolerance <= 0.0 {
            true => polygon.try_clone(),
            false => polygon.simplified(tolerance),
        };
        let holes = self.holes.iter().map(simplified).try_values()?;
        Ok(Self { outline: simplified(&self.outline)?, holes })
    }

    /// The outline, then those of the holes.
    pub fn polygons(&self) -> impl Iterator<Item = &Polygon> {
        core::iter::once(&self.outline).chain(&self.holes)
    }

    /// One outline for formats that know no holes, see [`joined`].
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn joined(&self) -> Result<Vec<[u32; 2]>> {
        joined(core::slice::from_ref(self))
    }
}

/// One closed outline of all parts and holes. A bridge leads from the outline so far to each further one and back; it
/// encloses no area, so that both usual fill rules still give the same pixels. Empty without parts.
///
/// # Errors
/// `OutOfMemory`.
pub fn joined(parts: &[Part]) -> Result<Vec<[u32; 2]>> {
    let mut rings = parts.iter().flat_map(Part::polygons).map(|polygon| &polygon.points[..]);
    let mut whole = try_copied(rings.next().unwrap_or_default())?;
    let mut budget = COMPARISONS;
    // What is joined to the first corner.
    let mut tail = Vec::new();
    for ring in rings {
        let cost = whole.len().saturating_mul(ring.len());
        if cost > budget {
            for corners in [&whole[..1], ring, &ring[..1]] {
                tail.try_extend(corners)?;
            }
            continue;
        }
        budget -= cost;
        let (at, from) = nearest(&whole, ring);
        let bridge = ring[from..].iter().chain(&ring[..=from]).copied().chain([whole[at]]);
        let bridge = bridge.try_to_vec()?;
        whole.try_extend(&bridge)?;
        // To its place, behind corner `at`.
        whole[at + 1..].rotate_right(bridge.len());
    }
    whole.try_extend(&tail)?;
    Ok(whole)
}

/// Indices of the two corners that are nearest to each other.
fn nearest(a: &[[u32; 2]], b: &[[u32; 2]]) -> (usize, usize) {
    let mut best = (u64::MAX, 0, 0);
    for (i, p) in a.iter().enumerate() {
        for (j, q) in b.iter().enumerate() {
            let [dx, dy] = [0, 1].map(|axis: usize| u64::from(p[axis].abs_diff(q[axis])));
            best = best.min((dx * dx + dy * dy, i, j));
        }
    }
    (best.1, best.2)
}

/// The mask of the pixels whose centres closed outlines wind around an odd number of times: the inverse of
/// [`polygons`], [`parts`] and [`joined`]. Corners may lie outside the mask.
///
/// # Errors
/// `Limit` for a mask of more than 2³² − 1 pixels, `OutOfMemory`.
pub fn rasterized<'a>(
    outlines: impl IntoIterator<Item = &'a [[u32; 2]]>,
    width: usize,
    height: usize,
) -> Result<Rle> {
    let empty = Rle::empty(width, height)?;
    // Columns, and the rows from which on pixels are inside or not any more.
    let mut crossings: Vec<(u32, u32)> = Vec::new();
    for outline in outlines {
        let next = outline.iter().cycle().skip(1);
        for (&a, &b) in outline.iter().zip(next) {
            let ([x0, y0], [x1, y1]) = if a[0] <= b[0] { (a, b) } else { (b, a) };
            let [dx, dy] = [i128::from(x1) - i128::from(x0), i128::from(y1) - i128::from(y0)];
            for x in x0..x1.min(width as u32) {
                // The edge crosses the column's centre at y0 + dy · (x + ½ − x0) / dx; the first row whose centre is not
                // above that.
                let twice = 2 * i128::from(x - x0) + 1;
                let row = (2 * i128::from(y0) * dx + dy * twice - dx).div_euclid(2 * dx);
                let is_exact = (2 * i128::from(y0) * dx + dy * twice - dx).rem_euclid(2 * dx) == 0;
                let row = row + i128::from(!is_exact);
                crossings.try_push((x, row.clamp(0, height as i128) as u32))?;
            }
        }
    }
    if crossings.is_empty() {
        return Ok(empty);
    }
    crossings.sort_unstable();
    let runs =
        crossings.chunks_exact(2).map(|pair| ColumnRun { x: pair[0].0, top: pair[0].1, bottom: pair[1].1 });
    Rle::from_columns(width as u32, height as u32, runs.filter(|run| run.top < run.bottom))
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::super::testing::{drawn, noise};
    use super::*;

    fn points(polygon: &Polygon) -> &[[u32; 2]] {
        &polygon.points
    }

    #[test]
    fn holes_belong_to_their_parts() {
        let mask = drawn(&[".#####.###", ".#...#.#.#", ".#.#.#.###", ".#...#....", ".#####...#"]);
        let found = parts(&mask).unwrap();
        let areas = |part: &Part| part.polygons().map(Polygon::signed_area).collect::<Vec<_>>();
        assert_eq!(
            found.iter().map(areas).collect::<Vec<_>>(),
            [vec![25, -9], vec![9, -1], vec![1], vec![1]]
        );
        assert_eq!(parts(&Rle::empty(4, 3).unwrap()).unwrap(), []);
    }

    #[test]
    fn every_form_gives_the_mask_back() {
        for seed in 0..80 {
            let (width, height) = (1 + seed as usize % 23, 1 + seed as usize * 5 % 19);
            let pixels = noise(seed, width, height, 10 + seed);
            let mask = Rle::from_mask(&pixels, width, height).unwrap();
            let found = parts(&mask).unwrap();
            assert_eq!(found.len(), Components::of(&mask, true).unwrap().areas().len());
            let area: i64 = found.iter().flat_map(Part::polygons).map(Polygon::signed_area).sum();
            assert_eq!(area, i64::from(mask.area()));
            let outlines = found.iter().flat_map(Part::polygons).map(points);
            assert_eq!(rasterized(outlines, width, height).unwrap(), mask);
            let each: Vec<_> = found.iter().map(|part| part.joined().unwrap()).collect();
            assert_eq!(rasterized(each.iter().map(Vec::as_slice), width, height).unwrap(), mask);
            assert_eq!(rasterized([&joined(&found).unwrap()[..]], width, height).unwrap(), mask);
        }
    }

    #[test]
    fn outlines_with_very_many_corners_are_joined_too() {
        // A comb of holes: every second pixel of every second row.
        let side = 401;
        let pixels: Vec<u8> =
            (0..side * side).map(|i| u8::from(i % side % 2 == 0 || i / side % 2 == 0)).collect();
        let mask = Rle::from_mask(&pixels, side, side).unwrap();
        let found = parts(&mask).unwrap();
        assert_eq!((found.len(), found[0].holes.len()), (1, 200 * 200));
        assert_eq!(rasterized([&found[0].joined().unwrap()[..]], side, side).unwrap(), mask);
    }

    #[test]
    fn any_outline_is_rasterized_at_the_centres_of_pixels() {
        // A triangle, part of it outside.
        let triangle: &[[u32; 2]] = &[[0, 0], [8, 0], [0, 8]];
        // Its long side goes through the centres of pixels whose column and row add up to 7: the edge itself is outside.
        let expected = drawn(&["######", "######", "#####.", "####.."]);
        assert_eq!(rasterized([triangle], 6, 4).unwrap(), expected);
        assert_eq!(rasterized([], 6, 4).unwrap(), Rle::empty(6, 4).unwrap());
        assert_eq!(rasterized([&[[1, 1]][..], &[[2, 0], [2, 4]]], 6, 4).unwrap(), Rle::empty(6, 4).unwrap());
        let far: &[[u32; 2]] = &[[0, 0], [u32::MAX, 0], [u32::MAX, u32::MAX], [0, u32::MAX]];
        assert_eq!(rasterized([far], 6, 4).unwrap().area(), 24);
    }

    #[test]
    fn simplified_parts_keep_their_holes() {
        let mask = drawn(&["########", "##...###", "##...###", "########"]);
        let [part] = &parts(&mask).unwrap()[..] else { panic!("one part") };
        assert_eq!(part.simplified(0.0).unwrap(), *part);
        let simple = part.simplified(100.0).unwrap();
        assert_eq!((simple.outline.points.len(), simple.holes[0].points.len()), (3, 3));
    }
}
