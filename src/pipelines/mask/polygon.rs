//! Outlines of masks.

use alloc::vec;
use alloc::vec::Vec;

use super::rle::Rle;
use crate::error::Result;
use crate::exec::{TryCollect, TryGrow, try_copied, try_filled};

/// A closed outline along the edges of pixels.
///
/// A point `(x, y)` is the left upper corner of pixel `(x, y)`. On the screen, the mask lies to the right of each
/// edge: outer outlines run clockwise and holes counter-clockwise, so that both usual fill rules give the mask back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polygon {
    /// The corners in order; the last is joined to the first.
    pub points: Vec<[u32; 2]>,
    /// Whether this is the outline of a hole.
    pub is_hole: bool,
}

/// The outlines of a mask, by their topmost edge, exact to the pixel: one for each part that is connected over edges
/// and corners, and one for each hole in it that is connected over edges.
///
/// # Errors
/// `OutOfMemory`.
pub fn polygons(mask: &Rle) -> Result<Vec<Polygon>> {
    let mut lattice = Lattice::of(mask)?;
    let mut polygons = Vec::new();
    for y in 1..=lattice.height {
        for x in 1..=lattice.width {
            if lattice.starts_outline(x, y) {
                polygons.try_push(lattice.trace(x, y)?)?;
            }
        }
    }
    Ok(polygons)
}

impl Polygon {
    /// The outline with fewer corners, none of the dropped ones further than `tolerance` pixels from it.
    ///
    /// Douglas and Peucker's algorithm on the two halves of the outline between its first corner and the one that is
    /// furthest from it. At least three corners stay. Neighbouring outlines can come to cross each other.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn simplified(&self, tolerance: f32) -> Result<Self> {
        let points = &self.points;
        let squared = |a: [u32; 2], b: [u32; 2]| {
            let [dx, dy] = [0, 1].map(|axis| f64::from(a[axis]) - f64::from(b[axis]));
            dx * dx + dy * dy
        };
        let opposite = furthest(1..points.len(), |i| squared(points[i], points[0]));
        let Some((opposite, _)) = opposite else { return self.try_clone() };

        let mut kept = try_filled(false, points.len() + 1)?;
        let ring = |i: usize| points[i % points.len()];
        let split = |from: usize, to: usize| {
            furthest(from + 1..to, |i| distance_to_segment(ring(i), ring(from), ring(to)))
        };
        let halves = [(0, opposite), (opposite, points.len())];
        // The third corner.
        let widest =
            halves.iter().filter_map(|&(from, to)| split(from, to)).max_by(|a, b| a.1.total_cmp(&b.1));
        for i in [0, opposite].into_iter().chain(widest.map(|(i, _)| i)) {
            kept[i] = true;
        }
        let limit = f64::from(tolerance) * f64::from(tolerance);
        let mut open = try_copied(&halves)?;
        while let Some((from, to)) = open.pop() {
            if let Some((middle, distance)) = split(from, to)
                && (distance > limit || kept[middle])
            {
                kept[middle] = true;
                open.try_extend(&[(from, middle), (middle, to)])?;
            }
        }
        let points = points.iter().zip(&kept).filter(|&(_, &kept)| kept).map(|(&point, _)| point);
        Ok(Self { points: points.try_to_vec()?, is_hole: self.is_hole })
    }

    pub(super) fn try_clone(&self) -> Result<Self> {
        Ok(Self { points: try_copied(&self.points)?, is_hole: self.is_hole })
    }

    /// Pixels that the outline encloses; negative for a hole.
    pub fn signed_area(&self) -> i64 {
        let next = self.points.iter().cycle().skip(1);
        let twice = self.points.iter().zip(next).map(|(a, b)| {
            let [[x0, y0], [x1, y1]] = [a, b].map(|point| point.map(i64::from));
            x0 * y1 - x1 * y0
        });
        twice.sum::<i64>() / 2
    }
}

/// The first index at which `distance` is largest, and that distance.
fn furthest(range: core::ops::Range<usize>, distance: impl Fn(usize) -> f64) -> Option<(usize, f64)> {
    range.map(|i| (i, distance(i))).reduce(|best, next| if next.1 > best.1 { next } else { best })
}

/// The squared distance of `point` from the segment from `a` to `b`.
fn distance_to_segment(point: [u32; 2], a: [u32; 2], b: [u32; 2]) -> f64 {
    let [[px, py], [ax, ay], [bx, by]] = [point, a, b].map(|point| point.map(f64::from));
    let (dx, dy) = (bx - ax, by - ay);
    let length = dx * dx + dy * dy;
    let along = if length > 0.0 { ((px - ax) * dx + (py - ay) * dy) / length } else { 0.0 };
    let along = along.clamp(0.0, 1.0);
    let (ex, ey) = (ax + along * dx - px, ay + along * dy - py);
    ex * ex + ey * ey
}

/// The directions of an edge, each a quarter turn to the right of the one before.
const STEPS: [(isize, isize); 4] = [(1, 0), (0, 1), (-1, 0), (0, -1)];
const RIGHT: usize = 0;

/// The pixels of a mask's bounding box with a margin of one pixel.
struct Lattice {
    width: usize,
    height: usize,
    /// The box's left upper pixel in the mask.
    origin: [usize; 2],
    pixels: Vec<Pixel>,
}

#[derive(Clone, Copy, Default)]
struct Pixel {
    is_set: bool,
    /// Whether an outline already goes along the upper edge.
    is_traced: bool,
}

impl Lattice {
    fn of(mask: &Rle) -> Result<Self> {
        let [left, top, width, height] = mask.bounding_box().map(|side| side as usize);
        let stride = width + 2;
        let mut pixels = try_filled(Pixel::default(), stride * (height + 2))?;
        for run in mask.columns() {
            let x = run.x as usize - left + 1;
            for y in run.top as usize - top..run.bottom as usize - top {
                pixels[(y + 1) * stride + x].is_set = true;
            }
        }
        Ok(Self { width, height, origin: [left, top], pixels })
    }

    fn index(&self, x: usize, y: usize) -> usize {
        y * (self.width + 2) + x
    }

    fn is_set(&self, x: usize, y: usize) -> bool {
        self.pixels[self.index(x, y)].is_set
    }

    /// Whether an outline that is not yet traced goes along the upper edge of pixel `(x, y)`.
    fn starts_outline(&self, x: usize, y: usize) -> bool {
        let pixel = self.pixels[self.index(x, y)];
        pixel.is_set && !pixel.is_traced && !self.is_set(x, y - 1)
    }

    /// The outline along the upper edge of pixel `(x, y)`, which is the leftmost such edge of its row.
    fn trace(&mut self, x: usize, y: usize) -> Result<Polygon> {
        let start = (x, y);
        let [left, top] = self.origin;
        let point = |(x, y): (usize, usize)| [x - 1 + left, y - 1 + top].map(|at| at as u32);
        let mut points = vec![point(start)];
        let (mut at, mut direction) = (start, RIGHT);
        loop {
            if direction == RIGHT {
                let index = self.index(at.0, at.1);
                self.pixels[index].is_traced = true;
            }
            let (dx, dy) = STEPS[direction];
            at = (at.0.wrapping_add_signed(dx), at.1.wrapping_add_signed(dy));
            let turned = self.turn(at, direction);
            if (at, turned) == (start, RIGHT) {
                break;
            }
            if turned != direction {
                points.try_push(point(at))?;
                direction = turned;
            }
        }
        let mut polygon = Polygon { points, is_hole: false };
        polygon.is_hole = polygon.signed_area() < 0;
        Ok(polygon)
    }

    /// The direction in which an outline goes on from the left upper corner of pixel `(x, y)`.
    ///
    /// Where two pixels touch at the corner only, the outline turns left, from one to the other.
    fn turn(&self, (x, y): (usize, usize), direction: usize) -> usize {
        let [nw, ne, sw, se] =
            [(x - 1, y - 1), (x, y - 1), (x - 1, y), (x, y)].map(|(x, y)| self.is_set(x, y));
        let leaves = [se && !ne, sw && !se, nw && !sw, ne && !nw];
        let turns = [3, 0, 1].map(|quarters| (direction + quarters) % 4);
        turns.into_iter().find(|&turned| leaves[turned]).expect("outlines are closed")
    }
}

#[cfg(test)]
mod tests {
    use super::super::components::Components;
    use super::super::testing::{drawn, noise};
    use super::*;

    /// The mask whose pixels' centres the outlines wind around an odd number of times.
    fn filled(polygons: &[Polygon], width: usize, height: usize) -> Vec<u8> {
        let mut crossings = vec![0_u8; width * height];
        for polygon in polygons {
            let next = polygon.points.iter().cycle().skip(1);
            for (&[x0, y0], &[x1, y1]) in polygon.points.iter().zip(next) {
                assert!((x0 == x1) != (y0 == y1), "an edge that is not along pixels");
                if x0 == x1 {
                    for y in y0.min(y1)..y0.max(y1) {
                        (x0 as usize..width).for_each(|x| crossings[y as usize * width + x] ^= 1);
                    }
                }
            }
        }
        crossings
    }

    #[test]
    fn an_island_in_a_lake_on_an_island() {
        let mask = drawn(&[".#####", ".#...#", ".#.#.#", ".#...#", ".#####"]);
        let outlines = polygons(&mask).unwrap();
        let square = |a: u32, b: u32| [[a, a - 1], [b, a - 1], [b, b - 1], [a, b - 1]];
        assert_eq!(outlines[0], Polygon { points: square(1, 6).to_vec(), is_hole: false });
        assert_eq!(outlines[1], Polygon { points: square(3, 4).to_vec(), is_hole: false });
        assert!(outlines[2].is_hole);
        let areas: Vec<_> = outlines.iter().map(Polygon::signed_area).collect();
        assert_eq!(areas, [25, 1, -9]);
    }

    #[test]
    fn outlines_enclose_the_mask_and_nothing_else() {
        for seed in 0..60 {
            let (width, height) = (1 + seed as usize % 19, 1 + seed as usize * 5 % 17);
            let pixels = noise(seed, width, height, 10 + 3 * (seed % 30));
            let mask = Rle::from_mask(&pixels, width, height).unwrap();
            let outlines = polygons(&mask).unwrap();
            assert_eq!(filled(&outlines, width, height), pixels);
            let area: i64 = outlines.iter().map(Polygon::signed_area).sum();
            assert_eq!(area, i64::from(mask.area()));
            let outer = outlines.iter().filter(|outline| !outline.is_hole).count();
            assert_eq!(outer, Components::of(&mask, true).unwrap().areas().len());
        }
        assert_eq!(polygons(&Rle::empty(4, 3).unwrap()).unwrap(), []);
    }

    #[test]
    fn pixels_that_touch_at_a_corner_share_an_outline() {
        let outlines = polygons(&drawn(&["#.", ".#"])).unwrap();
        let points = vec![[0, 0], [1, 0], [1, 1], [2, 1], [2, 2], [1, 2], [1, 1], [0, 1]];
        assert_eq!(outlines, [Polygon { points, is_hole: false }]);
    }

    #[test]
    fn simplified_outlines_stay_near() {
        let staircase = drawn(&["#.....", "##....", "###...", "####..", "#####.", "######"]);
        let outline = &polygons(&staircase).unwrap()[0];
        assert_eq!(outline.points.len(), 14);
        assert_eq!(outline.simplified(0.0).unwrap(), *outline);
        let triangle = outline.simplified(0.75).unwrap();
        assert!(triangle.points.len() <= 5, "{triangle:?}");
        let all = outline.simplified(1e9).unwrap();
        assert_eq!(all.points.len(), 3);
        assert!(!all.is_hole);
    }

    #[test]
    fn dropped_corners_are_within_the_tolerance() {
        for seed in 0..20 {
            let mask = Rle::from_mask(&noise(seed, 40, 40, 55), 40, 40).unwrap();
            for outline in polygons(&mask).unwrap() {
                for tolerance in [0.5, 1.0, 3.0] {
                    let simple = outline.simplified(tolerance).unwrap();
                    assert!(simple.points.len() >= 3);
                    let next = simple.points.iter().cycle().skip(1);
                    let edges: Vec<_> = simple.points.iter().zip(next).collect();
                    for &point in &outline.points {
                        let distance = |&(&a, &b): &(&[u32; 2], &[u32; 2])| distance_to_segment(point, a, b);
                        let nearest = edges.iter().map(distance).fold(f64::INFINITY, f64::min);
                        assert!(nearest <= f64::from(tolerance * tolerance));
                    }
                }
            }
        }
    }
}
