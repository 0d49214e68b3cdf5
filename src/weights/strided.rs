//! Tensors whose elements lie apart in the file: transposed, sliced or expanded views, as PyTorch saves them.

use alloc::vec::Vec;
use core::ops::Range;

use super::header::{Entry, MAX_RANK};
use super::source::Source;
use crate::error::Result;
use crate::exec::try_zeroed;

/// One dimension: how many elements, and how far apart in the file and in the dense tensor.
#[derive(Clone, Copy, Debug)]
struct Axis {
    len: usize,
    stored: u64,
    dense: usize,
}

/// The dimensions of more than one element, outermost first.
fn axes(shape: &[usize], strides: &[u64]) -> Vec<Axis> {
    let mut axes = Vec::with_capacity(MAX_RANK);
    let mut dense = 1;
    for (&len, &stored) in shape.iter().zip(strides).rev() {
        if len > 1 {
            axes.push(Axis { len, stored, dense });
        }
        dense *= len;
    }
    axes.reverse();
    axes
}

/// Fills `out`, the dense tensor, through a buffer of `piece` elements at most. `load(at, values)` reads
/// consecutive elements of the file from its element `at` on, counted from the tensor's first.
///
/// The file is walked in its own order, from the widest stride to the narrowest: as no two places overlap, it is
/// read forwards and no part of it twice.
pub(super) fn gather(
    shape: &[usize],
    strides: &[u64],
    piece: usize,
    out: &mut [f32],
    load: impl Fn(u64, &mut [f32]) -> Result<()>,
) -> Result<()> {
    if out.is_empty() {
        return Ok(());
    }
    let mut axes = axes(shape, strides);
    axes.sort_by_key(|axis| core::cmp::Reverse(axis.stored));
    let extent = 1 + axes.iter().map(|axis| (axis.len as u64 - 1) * axis.stored).sum::<u64>();
    // Elements further apart than a piece come one by one.
    let narrowest = axes.iter().map(|axis| axis.stored).rfind(|&stored| stored > 0).unwrap_or(1);
    let piece = if narrowest > piece as u64 { 1 } else { piece };
    let mut window = try_zeroed(piece.min(usize::try_from(extent).unwrap_or(piece)))?;
    let mut held: Range<u64> = 0..0;
    let mut index = [0; MAX_RANK];
    let (mut stored, mut dense) = (0, 0);
    for _ in 0..out.len() {
        if !held.contains(&stored) {
            let len = window.len().min(usize::try_from(extent - stored).unwrap_or(usize::MAX));
            load(stored, &mut window[..len])?;
            held = stored..stored + len as u64;
        }
        out[dense] = window[(stored - held.start) as usize];
        for (i, axis) in index.iter_mut().zip(&axes).rev() {
            *i += 1;
            stored += axis.stored;
            dense += axis.dense;
            if *i < axis.len {
                break;
            }
            stored -= axis.len as u64 * axis.stored;
            dense -= axis.len * axis.dense;
            *i = 0;
        }
    }
    Ok(())
}

/// Reads the bytes at `at` of the dense tensor that `entry` describes, element by element: for a few of them.
pub(super) fn read_bytes(source: &Source<'_>, entry: &Entry, at: u64, out: &mut [u8]) -> Result<()> {
    let Some(strides) = &entry.strides else {
        return source.read(entry.begin + at, out);
    };
    let size = entry.dtype.bitsize() / 8;
    let mut axes = axes(&entry.shape, strides);
    axes.reverse();
    let (mut element, mut skip) = ((at / size as u64) as usize, (at % size as u64) as usize);
    let mut rest = out;
    while !rest.is_empty() {
        let (part, later) = rest.split_at_mut((size - skip).min(rest.len()));
        let mut index = element;
        let mut stored = 0;
        for axis in &axes {
            stored += (index % axis.len) as u64 * axis.stored;
            index /= axis.len;
        }
        source.read(entry.begin + stored * size as u64 + skip as u64, part)?;
        (rest, skip, element) = (later, 0, element + 1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;

    use super::*;

    /// Checks a view of the numbers 0, 1, 2 … against the definition, and that the file is read forwards.
    fn check(shape: &[usize], strides: &[u64]) {
        let len: usize = shape.iter().product();
        for piece in [1, 3, 7, 64, 4096] {
            let mut out = alloc::vec![-1.0; len];
            let end = Cell::new(0);
            gather(shape, strides, piece, &mut out, |at, values| {
                assert!(at >= end.get() && values.len() <= piece, "{shape:?} {strides:?}");
                end.set(at + values.len() as u64);
                values.iter_mut().enumerate().for_each(|(i, value)| *value = (at + i as u64) as f32);
                Ok(())
            })
            .unwrap();
            for (i, &value) in out.iter().enumerate() {
                let mut index = i;
                let mut expected = 0;
                for (&len, &stride) in shape.iter().zip(strides).rev() {
                    expected += (index % len) as u64 * stride;
                    index /= len;
                }
                assert_eq!(value, expected as f32, "{shape:?} {strides:?} at {i}");
            }
        }
    }

    #[test]
    fn views_are_gathered() {
        check(&[4, 3], &[1, 4]);
        check(&[2, 3, 5], &[1, 10, 2]);
        check(&[3, 4], &[100, 2]);
        check(&[3, 4, 2], &[0, 1, 0]);
        check(&[5], &[0]);
        check(&[], &[]);
        check(&[1, 7, 1], &[999, 3, 0]);
        check(&[0, 3], &[1, 1]);
    }
}
