//! What a CLIP sees of masks: each cut out, and in its surroundings.

use alloc::vec::Vec;
use core::ops::Range;

use crate::error::Result;
use crate::exec::{Monitor, TryCollect, try_with_capacity, try_zeroed};
use crate::image::{ImageView, PixelFormat};
use crate::pipelines::clip::{Clip, EncodeOptions};
use crate::pipelines::mask::Rle;
use crate::pipelines::sam::MaskRecord;

/// What surrounds a mask that is cut out: CLIP's mean colour, which it sees as zeros.
const NEUTRAL: [u8; 3] = [123, 117, 104];

/// The weight of the mask in its surroundings. They help to recognise a thing, but seen with what is around it, a part
/// of an apple looks like the apple too.
const CONTEXT: f32 = 0.2;

/// How far a square around a mask reaches beyond the longer side of its box, as a part of it, on either side.
const MARGIN: usize = 8;

/// Most pixels along a square's side. Of a larger part of the picture every second, third … row and column is taken,
/// so that memory does not grow with the picture; CLIP's input is smaller still.
const MAX_SIDE: usize = 1024;

/// Pixels of pictures that are prepared before CLIP is called, unless one alone has more.
const PIXELS: usize = 1 << 20;

/// Embeds each mask of `image`, `[records, embed_dim]`: the mean, weighted by [`CONTEXT`], of the normalised embeddings
/// of a square around it with all that is not the mask in a neutral colour, and of the same square as it is.
///
/// # Errors
/// Those of [`Clip::encode_images_into`], `OutOfMemory`, `Cancelled`.
pub(super) fn embed(
    clip: &Clip,
    image: &ImageView<'_>,
    records: &[MaskRecord],
    monitor: &Monitor<'_>,
) -> Result<Vec<f32>> {
    let dim = clip.embed_dim();
    let mut looks = try_with_capacity(records.len() * dim)?;
    let mut done = 0;
    while done < records.len() {
        let squares = squares(&records[done..])?;
        let pictures = squares
            .iter()
            .zip(&records[done..])
            .map(|(square, record)| {
                monitor.poll()?;
                square.pictures(image, &record.segmentation)
            })
            .try_values()?;
        let views = pictures
            .iter()
            .flatten()
            .zip(squares.iter().flat_map(|square| [square.side; 2]))
            .map(|(rgb, side)| ImageView::packed(rgb, side, side, PixelFormat::Rgb8))
            .try_values()?;
        let at = |done: usize| done as f32 / records.len() as f32;
        let monitor = monitor.part(at(done), at(done + squares.len()));
        let mut embeds = try_zeroed(views.len() * dim)?;
        clip.encode_images_monitored(&views, &EncodeOptions::default(), &mut embeds, &monitor)?;
        for pair in embeds.chunks_exact(2 * dim) {
            let (cut_out, whole) = pair.split_at(dim);
            looks.extend(cut_out.iter().zip(whole).map(|(a, b)| a + CONTEXT * (b - a)));
        }
        done += squares.len();
    }
    Ok(looks)
}

/// The squares around the first masks: at least one, and as many as fit into [`PIXELS`].
fn squares(records: &[MaskRecord]) -> Result<Vec<Square>> {
    let mut pixels = 0;
    let squares = records.iter().map(|record| Square::around(record.segmentation.bounding_box()));
    let fits = |square: &Square| {
        pixels += 2 * square.side * square.side;
        pixels <= PIXELS || pixels == 2 * square.side * square.side
    };
    squares.take_while(fits).try_to_vec()
}

/// A part of a picture, which may reach beyond its edges, seen in steps of some pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Square {
    left: isize,
    top: isize,
    step: usize,
    /// In steps.
    side: usize,
}

impl Square {
    /// The square around the middle of a box, with a margin.
    fn around([x, y, width, height]: [u32; 4]) -> Self {
        let [x, y, width, height] = [x, y, width, height].map(|side| side as usize);
        let longer = width.max(height).max(1);
        let pixels = longer + 2 * longer.div_ceil(MARGIN);
        let step = pixels.div_ceil(MAX_SIDE);
        let side = pixels.div_ceil(step);
        let first = |at: usize, len: usize| (2 * at + len) as isize / 2 - (side * step / 2) as isize;
        Self { left: first(x, width), top: first(y, height), step, side }
    }

    /// The steps from `first` on that lie in `0..len`.
    fn inside(self, first: isize, len: usize) -> Range<usize> {
        let steps = |pixels: isize| (pixels.max(0) as usize).div_ceil(self.step).min(self.side);
        steps(-first)..steps(len as isize - first)
    }

    /// The mask cut out, and the square as it is, `[side, side, 3]` each.
    fn pictures(self, image: &ImageView<'_>, mask: &Rle) -> Result<[Vec<u8>; 2]> {
        let whole = self.crop(image)?;
        let mut cut_out = neutral(self.side)?;
        for run in mask.columns() {
            // A mask is within its square.
            let x = (run.x as isize - self.left) as usize;
            if !x.is_multiple_of(self.step) {
                continue;
            }
            let steps_before = |y: u32| self.inside(self.top, y as usize).end;
            for i in steps_before(run.top)..steps_before(run.bottom) {
                let at = (i * self.side + x / self.step) * 3;
                cut_out[at..at + 3].copy_from_slice(&whole[at..at + 3]);
            }
        }
        Ok([cut_out, whole])
    }

    /// The pixels, neutral beyond the picture's edges.
    fn crop(self, image: &ImageView<'_>) -> Result<Vec<u8>> {
        let mut out = neutral(self.side)?;
        let (columns, rows) = (self.inside(self.left, image.width()), self.inside(self.top, image.height()));
        let at = |first: isize, i: usize| (first + (i * self.step) as isize) as usize;
        if columns.is_empty() || rows.is_empty() {
            return Ok(out);
        }
        let first = at(self.left, columns.start);
        let width = at(self.left, columns.end - 1) + 1 - first;
        let strip = image.crop(first, 0, width, image.height())?;
        let mut row = try_zeroed(3 * width)?;
        for i in rows {
            strip.row_rgb(at(self.top, i), &mut row);
            let out = &mut out[(i * self.side + columns.start) * 3..][..columns.len() * 3];
            for (to, from) in
                out.as_chunks_mut::<3>().0.iter_mut().zip(row.as_chunks().0.iter().step_by(self.step))
            {
                *to = *from;
            }
        }
        Ok(out)
    }
}

/// A square of the neutral colour.
fn neutral(side: usize) -> Result<Vec<u8>> {
    let mut pixels = try_zeroed::<u8>(3 * side * side)?;
    pixels.as_chunks_mut().0.fill(NEUTRAL);
    Ok(pixels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_lie_around_boxes() {
        assert_eq!(Square::around([10, 20, 16, 8]), Square { left: 8, top: 14, step: 1, side: 20 });
        // As far from one edge as from the other.
        assert_eq!(Square::around([0, 0, 8, 8]), Square { left: -1, top: -1, step: 1, side: 10 });
        assert_eq!(Square::around([5, 6, 0, 0]).side, 3);
    }

    #[test]
    fn a_mask_is_cut_out() {
        let gray: Vec<u8> = (0..12).collect();
        let image = ImageView::packed(&gray, 4, 3, PixelFormat::Gray8).unwrap();
        let mask = Rle::from_mask(&[0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1], 4, 3).unwrap();
        let square = Square::around(mask.bounding_box());
        assert_eq!(square, Square { left: 1, top: 0, step: 1, side: 4 });
        let [cut_out, whole] = square.pictures(&image, &mask).unwrap();
        let shown = |rgb: Vec<u8>| -> Vec<u8> { rgb.chunks_exact(3).map(|pixel| pixel[0]).collect() };
        let n = NEUTRAL[0];
        assert_eq!(shown(whole), [1, 2, 3, n, 5, 6, 7, n, 9, 10, 11, n, n, n, n, n]);
        assert_eq!(shown(cut_out), [n, n, n, n, n, 6, 7, n, n, n, 11, n, n, n, n, n]);
    }

    #[test]
    fn large_squares_are_seen_in_steps() {
        let (width, height) = (2400, 1000);
        let gray: Vec<u8> = (0..width * height).map(|i| (i % width / 10) as u8).collect();
        let image = ImageView::packed(&gray, width, height, PixelFormat::Gray8).unwrap();
        let mask: Vec<u8> = (0..width * height).map(|i| u8::from(i % width < 2000)).collect();
        let mask = Rle::from_mask(&mask, width, height).unwrap();
        let square = Square::around(mask.bounding_box());
        assert_eq!(square, Square { left: -251, top: -751, step: 3, side: 834 });
        let [cut_out, whole] = square.pictures(&image, &mask).unwrap();
        let row = |picture: &[u8], i: usize| -> Vec<u8> {
            picture[i * 834 * 3..][..834 * 3].chunks_exact(3).map(|pixel| pixel[0]).collect()
        };
        // The picture begins after 251 rows and ends 333 later.
        assert!(row(&whole, 250).iter().chain(&row(&whole, 584)).all(|&value| value == NEUTRAL[0]));
        let (whole, cut_out) = (row(&whole, 300), row(&cut_out, 300));
        for (j, (&whole, &cut_out)) in whole.iter().zip(&cut_out).enumerate() {
            let expected = (3 * j).checked_sub(251).map(|x| (x, (x / 10) as u8));
            assert_eq!(whole, expected.map_or(NEUTRAL[0], |(_, value)| value), "{j}");
            let inside = expected.filter(|(x, _)| *x < 2000);
            assert_eq!(cut_out, inside.map_or(NEUTRAL[0], |(_, value)| value), "{j}");
        }
    }
}
