//! Connected components, and the removal of those that are small.

use alloc::vec::Vec;

use super::rle::{ColumnRun, Rle};
use crate::error::Result;
use crate::exec::{TryCollect, TryGrow, try_filled, try_with_capacity};

/// Parts of a mask that can be too small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regions {
    /// Parts of the background; filled. They need not be enclosed: a corner of the picture that the mask cuts off
    /// counts too.
    Holes,
    /// Parts of the foreground; cleared.
    Islands,
}

/// The mask without its parts of fewer than `min_area` pixels, or `None` if there are no such parts
/// (`segment_anything.utils.amg.remove_small_regions`).
///
/// Parts are connected over edges and corners, holes too. If all islands are small, the largest stays, so that an
/// unchanged mask can come back.
///
/// # Errors
/// `OutOfMemory`.
pub fn remove_small_regions(mask: &Rle, min_area: u32, regions: Regions) -> Result<Option<Rle>> {
    let value = regions == Regions::Islands;
    let components = Components::of(mask, value)?;
    let is_small: Vec<bool> = components.areas.iter().map(|&area| area < min_area).try_to_vec()?;
    if !is_small.contains(&true) {
        return Ok(None);
    }
    let survivor = if value && !is_small.contains(&false) { components.largest() } else { None };
    let removed = |label: usize| is_small[label] && Some(label) != survivor;
    let parts = components.runs.iter().zip(&components.labels);
    let (width, height) = (mask.width() as u32, mask.height() as u32);
    let stays = parts.filter(|&(_, &label)| !removed(label)).map(|(&run, _)| run);
    let rest = Rle::from_columns(width, height, stays)?;
    Ok(Some(if value { rest } else { rest.complement()? }))
}

/// The connected components of a mask's foreground or background, over edges and corners.
#[derive(Clone, Debug)]
pub struct Components {
    /// The pieces of columns that the components consist of, in order.
    runs: Vec<ColumnRun>,
    /// The component of each piece.
    labels: Vec<usize>,
    /// Pixels of each component.
    areas: Vec<u32>,
    /// Where OpenCV's labelling meets each component first.
    first: Vec<(u32, u32)>,
}

impl Components {
    /// The components of the pixels of `mask` that are set, or of those that are clear.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn of(mask: &Rle, value: bool) -> Result<Self> {
        let complement = if value { None } else { Some(mask.complement()?) };
        let runs: Vec<ColumnRun> = complement.as_ref().unwrap_or(mask).columns().try_to_vec()?;
        let mut sets = DisjointSets::new(runs.len())?;
        // The runs of the column before that may still touch, while `next` goes down a column.
        let mut before = 0;
        for (next, run) in runs.iter().enumerate() {
            while runs[before].x + 1 < run.x || runs[before].x < run.x && runs[before].bottom < run.top {
                before += 1;
            }
            let neighbours = runs[before..next].iter().zip(before..);
            for (_, i) in neighbours.take_while(|(other, _)| other.x < run.x && other.top <= run.bottom) {
                sets.unite(i, next);
            }
        }
        Self::collect(runs, &mut sets)
    }

    fn collect(runs: Vec<ColumnRun>, sets: &mut DisjointSets) -> Result<Self> {
        let mut label_of_root = try_filled(usize::MAX, runs.len())?;
        let mut labels = try_with_capacity(runs.len())?;
        let (mut areas, mut first): (Vec<u32>, Vec<(u32, u32)>) = (Vec::new(), Vec::new());
        for (i, run) in runs.iter().enumerate() {
            let label = &mut label_of_root[sets.root(i)];
            if *label == usize::MAX {
                *label = areas.len();
                areas.try_push(0)?;
                first.try_push((u32::MAX, u32::MAX))?;
            }
            labels.push(*label);
            areas[*label] += run.length();
            // OpenCV goes through blocks of 2 × 2 pixels, row by row.
            first[*label] = first[*label].min((run.top / 2, run.x / 2));
        }
        Ok(Self { runs, labels, areas, first })
    }

    /// Pixels of each component.
    pub fn areas(&self) -> &[u32] {
        &self.areas
    }

    /// The component of the pixel `(x, y)`, which is one of theirs.
    pub(super) fn label_at(&self, x: u32, y: u32) -> usize {
        let after = self.runs.partition_point(|run| (run.x, run.top) <= (x, y));
        self.labels[after - 1]
    }

    /// The largest component; of several, the one that OpenCV numbers first.
    fn largest(&self) -> Option<usize> {
        (0..self.areas.len()).max_by(|&a, &b| {
            self.areas[a].cmp(&self.areas[b]).then_with(|| self.first[b].cmp(&self.first[a]))
        })
    }
}

/// Disjoint sets of numbers. The root of a set is its smallest member.
struct DisjointSets {
    parents: Vec<usize>,
}

impl DisjointSets {
    fn new(len: usize) -> Result<Self> {
        Ok(Self { parents: (0..len).try_to_vec()? })
    }

    fn root(&mut self, mut i: usize) -> usize {
        while self.parents[i] != i {
            // Halving the path keeps later walks short.
            self.parents[i] = self.parents[self.parents[i]];
            i = self.parents[i];
        }
        i
    }

    fn unite(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.parents[a.max(b)] = a.min(b);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::super::testing::{drawn, noise};
    use super::*;

    /// Areas of the components by flood fill, in the order of their first pixel down the columns.
    fn flooded(pixels: &[u8], width: usize, height: usize, value: u8) -> Vec<u32> {
        let mut seen = vec![false; pixels.len()];
        let mut areas = Vec::new();
        for x in 0..width {
            for y in 0..height {
                let mut open = vec![(x, y)];
                let mut area = 0;
                while let Some((x, y)) = open.pop() {
                    if pixels[y * width + x] != value || core::mem::replace(&mut seen[y * width + x], true) {
                        continue;
                    }
                    area += 1;
                    for y in y.saturating_sub(1)..(y + 2).min(height) {
                        open.extend((x.saturating_sub(1)..(x + 2).min(width)).map(|x| (x, y)));
                    }
                }
                if area > 0 {
                    areas.push(area);
                }
            }
        }
        areas
    }

    #[test]
    fn areas_are_those_of_a_flood_fill() {
        for seed in 0..60 {
            let (width, height) = (1 + seed as usize % 23, 1 + seed as usize * 7 % 31);
            let pixels = noise(seed, width, height, 20 + seed);
            let mask = Rle::from_mask(&pixels, width, height).unwrap();
            for value in [false, true] {
                let components = Components::of(&mask, value).unwrap();
                assert_eq!(components.areas(), flooded(&pixels, width, height, u8::from(value)));
            }
        }
    }

    #[test]
    fn small_holes_are_filled_wherever_they_are() {
        let mask = drawn(&["#####", "#.#.#", "###..", "##.##"]);
        // The background is connected over corners: one part of 4 pixels and one of 1.
        assert_eq!(remove_small_regions(&mask, 1, Regions::Holes).unwrap(), None);
        let filled = drawn(&["#####", "###.#", "###..", "##.##"]);
        assert_eq!(remove_small_regions(&mask, 4, Regions::Holes).unwrap(), Some(filled));
        let full = drawn(&["#####"; 4]);
        assert_eq!(remove_small_regions(&mask, 5, Regions::Holes).unwrap(), Some(full.clone()));
        assert_eq!(remove_small_regions(&full, 100, Regions::Holes).unwrap(), None);
    }

    #[test]
    fn small_islands_go() {
        let mask = drawn(&["#..##", "...##", ".#...", "#...."]);
        let without_one = drawn(&["...##", "...##", ".#...", "#...."]);
        assert_eq!(remove_small_regions(&mask, 2, Regions::Islands).unwrap(), Some(without_one));
        let largest = drawn(&["...##", "...##", ".....", "....."]);
        assert_eq!(remove_small_regions(&mask, 4, Regions::Islands).unwrap(), Some(largest.clone()));
        assert_eq!(remove_small_regions(&mask, 99, Regions::Islands).unwrap(), Some(largest.clone()));
        // All that there is stays, but counts as changed.
        assert_eq!(remove_small_regions(&largest, 99, Regions::Islands).unwrap(), Some(largest));
        assert_eq!(remove_small_regions(&drawn(&["...", "..."]), 99, Regions::Islands).unwrap(), None);
    }

    #[test]
    fn the_largest_of_equals_is_opencv_s_first() {
        // The lower left pixel lies in the block of the first two rows, left of the other's block.
        let mask = drawn(&["....#", "#...."]);
        let first = drawn(&[".....", "#...."]);
        assert_eq!(remove_small_regions(&mask, 9, Regions::Islands).unwrap(), Some(first));
        let mask = drawn(&["..#..", ".....", "#...."]);
        let first = drawn(&["..#..", ".....", "....."]);
        assert_eq!(remove_small_regions(&mask, 9, Regions::Islands).unwrap(), Some(first));
    }
}
