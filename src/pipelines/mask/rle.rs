//! Masks as run lengths in column-major order, the form in which COCO stores them.

use alloc::vec;
use alloc::vec::Vec;

use crate::error::{Result, err};
use crate::exec::{TryGrow, try_copied};

/// A binary mask as run lengths.
///
/// Pixels are counted down the columns, columns from left to right; runs of background and foreground alternate,
/// starting with background. The form is canonical, so that equal masks are equal values: only the first run can be
/// empty, and neighbouring runs differ. It is that of `mask_to_rle_pytorch` and of `pycocotools.mask.encode`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rle {
    width: u32,
    height: u32,
    counts: Vec<u32>,
}

impl Rle {
    /// A mask of run lengths that may contain empty runs.
    ///
    /// # Errors
    /// `Format` if the runs do not fill the mask exactly, `Limit` if the mask has more than 2³² − 1 pixels, `OutOfMemory`.
    pub fn from_counts(counts: &[u32], width: usize, height: usize) -> Result<Self> {
        let (width, height) = checked(width, height)?;
        let total: u64 = counts.iter().copied().map(u64::from).sum();
        if total != u64::from(width) * u64::from(height) {
            return Err(err!(Format, "runs of {total} pixels for a mask of {width}x{height}"));
        }
        let mut runs = Runs::default();
        for (i, &count) in counts.iter().enumerate() {
            runs.push(i % 2 == 1, count)?;
        }
        runs.finish(width, height)
    }

    /// A mask without a pixel.
    ///
    /// # Errors
    /// `Limit` for more than 2³² − 1 pixels.
    pub fn empty(width: usize, height: usize) -> Result<Self> {
        let (width, height) = checked(width, height)?;
        Ok(Self { width, height, counts: vec![width * height] })
    }

    /// Writes the mask as bytes 0 and 1 into `out: [height, width]`.
    ///
    /// # Errors
    /// `BufferTooSmall` if `out` holds fewer pixels.
    pub fn to_mask(&self, out: &mut [u8]) -> Result<()> {
        let (width, height) = (self.width(), self.height());
        let len = out.len();
        let Some(out) = out.get_mut(..width * height) else {
            return Err(err!(BufferTooSmall, "buffer of {len} bytes for a mask of {width}x{height}"));
        };
        out.fill(0);
        for run in self.columns() {
            for y in run.rows() {
                out[y * width + run.x as usize] = 1;
            }
        }
        Ok(())
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width as usize
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height as usize
    }

    /// The run lengths.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// Pixels of the foreground.
    pub fn area(&self) -> u32 {
        self.counts.iter().skip(1).step_by(2).sum()
    }

    /// The smallest box around the foreground as `[x, y, width, height]`, zeros if there is none
    /// (`pycocotools.mask.toBbox`).
    pub fn bounding_box(&self) -> [u32; 4] {
        match self.bounds() {
            Some([left, top, right, bottom]) => [left, top, right - left + 1, bottom - top + 1],
            None => [0; 4],
        }
    }

    /// The first and last column and row of the foreground as `[left, top, right, bottom]`, zeros if there is none
    /// (`batched_mask_to_box`).
    pub fn extent(&self) -> [u32; 4] {
        self.bounds().unwrap_or([0; 4])
    }

    fn bounds(&self) -> Option<[u32; 4]> {
        self.columns().fold(None, |bounds: Option<[u32; 4]>, run| {
            let [left, top, right, bottom] = bounds.unwrap_or([run.x, run.top, run.x, run.bottom - 1]);
            Some([left, top.min(run.top), right.max(run.x), bottom.max(run.bottom - 1)])
        })
    }

    /// Pixels that both masks have.
    ///
    /// # Errors
    /// `InvalidArgument` if the masks differ in size.
    pub fn intersection(&self, other: &Self) -> Result<u32> {
        if (self.width, self.height) != (other.width, other.height) {
            let sizes = [self, other].map(|mask| (mask.width, mask.height));
            return Err(err!(InvalidArgument, "masks of {sizes:?} pixels (width, height) do not compare"));
        }
        let (mut ours, mut theirs) = (self.runs().peekable(), other.runs().peekable());
        let mut common = 0;
        while let (Some(a), Some(b)) = (ours.peek(), theirs.peek()) {
            let (a_end, b_end) = (a.1, b.1);
            common += a_end.min(b_end).saturating_sub(a.0.max(b.0));
            if a_end <= b_end {
                ours.next();
            } else {
                theirs.next();
            }
        }
        Ok(common)
    }

    /// Intersection over union; 0 if both masks are empty (`pycocotools.mask.iou` without crowds).
    ///
    /// # Errors
    /// `InvalidArgument` if the masks differ in size.
    pub fn iou(&self, other: &Self) -> Result<f64> {
        let common = self.intersection(other)?;
        let union = f64::from(self.area()) + f64::from(other.area()) - f64::from(common);
        Ok(if common == 0 { 0.0 } else { f64::from(common) / union })
    }

    /// The same mask as part of a larger picture, its left upper pixel at `(x, y)` (`uncrop_masks`).
    ///
    /// # Errors
    /// `InvalidArgument` if it does not fit, `Limit` for a picture of more than 2³² − 1 pixels, `OutOfMemory`.
    pub fn placed(&self, x: usize, y: usize, width: usize, height: usize) -> Result<Self> {
        let fits = |at: usize, len: usize, whole: usize| at.checked_add(len).is_some_and(|end| end <= whole);
        if !fits(x, self.width(), width) || !fits(y, self.height(), height) {
            return Err(err!(
                InvalidArgument,
                "mask of {}x{} at ({x}, {y}) leaves a picture of {width}x{height}",
                self.width,
                self.height
            ));
        }
        let (width, height) = checked(width, height)?;
        if (width, height) == (self.width, self.height) {
            return self.try_clone();
        }
        let (x, y) = (x as u32, y as u32);
        Self::from_columns(width, height, self.columns().map(|run| run.moved(x, y)))
    }

    /// A copy.
    pub(crate) fn try_clone(&self) -> Result<Self> {
        Ok(Self { counts: try_copied(&self.counts)?, ..*self })
    }

    /// The mask of all other pixels.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn complement(&self) -> Result<Self> {
        let mut runs = Runs::default();
        for (i, &count) in self.counts.iter().enumerate() {
            runs.push(i % 2 == 0, count)?;
        }
        runs.finish(self.width, self.height)
    }

    /// The runs of the foreground as ranges `(start, end)` of pixel numbers.
    fn runs(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let mut end = 0;
        self.counts.chunks(2).filter_map(move |pair| {
            let start = end + pair[0];
            let length = pair.get(1)?;
            end = start + length;
            Some((start, end))
        })
    }

    /// The foreground in pieces of one column each, from left to right and from top to bottom.
    pub fn columns(&self) -> impl Iterator<Item = ColumnRun> + '_ {
        let height = self.height.max(1);
        self.runs().flat_map(move |(start, end)| {
            (start / height..=(end - 1) / height).map(move |x| {
                let first = x * height;
                ColumnRun { x, top: start.max(first) - first, bottom: (end - first).min(height) }
            })
        })
    }

    /// The mask of pieces of columns, which are in order, inside the mask and do not overlap.
    pub(super) fn from_columns(
        width: u32,
        height: u32,
        columns: impl Iterator<Item = ColumnRun>,
    ) -> Result<Self> {
        let mut runs = Runs::default();
        let mut end = 0;
        for run in columns {
            let start = run.x * height + run.top;
            runs.push(false, start - end)?;
            end = run.x * height + run.bottom;
            runs.push(true, end - start)?;
        }
        runs.push(false, width * height - end)?;
        runs.finish(width, height)
    }
}

/// Foreground within one column: the rows from `top` until before `bottom`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnRun {
    /// The column.
    pub x: u32,
    /// The first row.
    pub top: u32,
    /// The row after the last.
    pub bottom: u32,
}

impl ColumnRun {
    /// Pixels in the run.
    pub fn length(self) -> u32 {
        self.bottom - self.top
    }

    fn rows(self) -> core::ops::Range<usize> {
        self.top as usize..self.bottom as usize
    }

    fn moved(self, x: u32, y: u32) -> Self {
        Self { x: self.x + x, top: self.top + y, bottom: self.bottom + y }
    }
}

/// Collects runs into canonical counts.
#[derive(Debug, Default)]
pub(super) struct Runs {
    counts: Vec<u32>,
    /// Value and length of the run that may still grow.
    value: bool,
    length: u32,
}

impl Runs {
    /// Appends `length` pixels of `value`.
    pub(super) fn push(&mut self, value: bool, length: u32) -> Result<()> {
        if length == 0 {
            return Ok(());
        }
        if value != self.value {
            self.counts.try_push(self.length)?;
            (self.value, self.length) = (value, 0);
        }
        self.length += length;
        Ok(())
    }

    /// The mask, which the pushed runs fill.
    pub(super) fn finish(mut self, width: u32, height: u32) -> Result<Rle> {
        self.counts.try_push(self.length)?;
        // Not `shrink_to_fit`, which ends the process where the allocator has no memory for the move.
        let counts =
            if self.counts.len() == self.counts.capacity() { self.counts } else { try_copied(&self.counts)? };
        Ok(Rle { width, height, counts })
    }
}

/// The sides, if pixels can be numbered with a u32.
pub(super) fn checked(width: usize, height: usize) -> Result<(u32, u32)> {
    let limit = || err!(Limit, "mask of {width}x{height} pixels (limit 2^32 - 1 in all)");
    let (w, h) = (u32::try_from(width).map_err(|_| limit())?, u32::try_from(height).map_err(|_| limit())?);
    w.checked_mul(h).map(|_| (w, h)).ok_or_else(limit)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{drawn, noise};
    use super::*;
    use crate::ErrorCode;

    #[test]
    fn counts_go_down_the_columns() {
        let mask = drawn(&["#..", "##."]);
        assert_eq!(mask.counts(), [0, 2, 1, 1, 2]);
        assert_eq!(mask.area(), 3);
        assert_eq!(mask.bounding_box(), [0, 0, 2, 2]);
        assert_eq!(mask.extent(), [0, 0, 1, 1]);
    }

    #[test]
    fn empty_runs_are_merged() {
        let mask = Rle::from_counts(&[1, 0, 1, 2, 0, 1, 1, 0], 2, 3).unwrap();
        assert_eq!(mask.counts(), [2, 3, 1]);
        assert_eq!(Rle::from_counts(&[0, 0, 6], 2, 3).unwrap(), Rle::empty(2, 3).unwrap());
    }

    #[test]
    fn runs_must_fill_the_mask() {
        for counts in [&[5][..], &[7], &[], &[u32::MAX, u32::MAX, 8]] {
            assert_eq!(Rle::from_counts(counts, 2, 3).unwrap_err().code(), ErrorCode::Format);
        }
        assert_eq!(Rle::from_counts(&[], 1 << 20, 1 << 20).unwrap_err().code(), ErrorCode::Limit);
        assert_eq!(Rle::empty(usize::MAX, 0).unwrap_err().code(), ErrorCode::Limit);
    }

    #[test]
    fn pixels_return() {
        for (seed, (width, height)) in [(1, 1), (1, 9), (9, 1), (13, 7), (64, 65)].into_iter().enumerate() {
            for percent in [0, 3, 50, 97, 100] {
                let pixels = noise(seed as u32, width, height, percent);
                let mask = Rle::from_mask(&pixels, width, height).unwrap();
                let mut back = vec![7; width * height];
                mask.to_mask(&mut back).unwrap();
                assert_eq!(back, pixels);
                assert_eq!(mask.area(), pixels.iter().map(|&pixel| u32::from(pixel)).sum::<u32>());
                assert_eq!(Rle::from_columns(width as u32, height as u32, mask.columns()).unwrap(), mask);
                assert_eq!(Rle::from_counts(mask.counts(), width, height).unwrap(), mask);
                let complement = mask.complement().unwrap();
                assert_eq!(
                    (complement.area(), complement.complement().unwrap()),
                    ((width * height) as u32 - mask.area(), mask)
                );
            }
        }
    }

    #[test]
    fn overlap_is_counted_on_runs() {
        let (width, height) = (17, 11);
        for seed in 0..20 {
            let pixels = [noise(seed, width, height, 40), noise(seed + 100, width, height, 5 * seed)];
            let [a, b] = pixels.each_ref().map(|pixels| Rle::from_mask(pixels, width, height).unwrap());
            let both = pixels[0].iter().zip(&pixels[1]).filter(|&(&a, &b)| a & b == 1).count();
            let either = pixels[0].iter().zip(&pixels[1]).filter(|&(&a, &b)| a | b == 1).count();
            assert_eq!(a.intersection(&b).unwrap() as usize, both);
            let iou = if either == 0 { 0.0 } else { both as f64 / either as f64 };
            assert_eq!(a.iou(&b).unwrap(), iou);
        }
        let (empty, other) = (Rle::empty(3, 3).unwrap(), Rle::empty(3, 4).unwrap());
        assert_eq!(empty.iou(&empty).unwrap(), 0.0);
        assert_eq!(empty.iou(&other).unwrap_err().code(), ErrorCode::InvalidArgument);
    }

    #[test]
    fn a_crop_returns_to_its_place() {
        let mask = drawn(&["##", ".#"]);
        assert_eq!(mask.placed(1, 1, 4, 4).unwrap(), drawn(&["....", ".##.", "..#.", "...."]));
        assert_eq!(mask.placed(0, 0, 2, 2).unwrap(), mask);
        // A run that wraps from one column into the next comes apart.
        assert_eq!(drawn(&["##", "##"]).placed(0, 0, 2, 3).unwrap(), drawn(&["##", "##", ".."]));
        for (x, y) in [(3, 0), (0, 3), (usize::MAX, 0)] {
            assert_eq!(mask.placed(x, y, 4, 4).unwrap_err().code(), ErrorCode::InvalidArgument);
        }
    }

    #[test]
    fn buffers_are_checked() {
        assert_eq!(Rle::from_mask(&[0; 5], 2, 3).unwrap_err().code(), ErrorCode::InvalidArgument);
        let mask = Rle::empty(2, 3).unwrap();
        assert_eq!(mask.to_mask(&mut [0; 5]).unwrap_err().code(), ErrorCode::BufferTooSmall);
    }

    #[test]
    fn a_mask_without_area_has_no_columns() {
        for (width, height) in [(0, 0), (0, 5), (5, 0)] {
            let mask = Rle::from_mask(&[], width, height).unwrap();
            assert_eq!((mask.columns().count(), mask.bounding_box()), (0, [0; 4]));
        }
    }
}
