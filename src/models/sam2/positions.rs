//! Sine position encodings.

use alloc::vec::Vec;
use core::f32::consts::PI;

use crate::error::Result;
use crate::exec::{try_with_capacity, try_zeroed};

const TEMPERATURE: f32 = 10_000.0;

/// Wavelengths `10000^(2 ⌊i / 2⌋ / n)` for `i < n`.
fn wavelengths(n: usize) -> impl Iterator<Item = f32> {
    (0..n).map(move |i| libm::powf(TEMPERATURE, (2 * (i / 2)) as f32 / n as f32))
}

/// Encodings of the places of a square grid, `[side², channels]`: with `n = channels / 2` and `p` the place from 1 to
/// `side`, divided by `side` and times 2π, `sin(p / wavelength(i))` for even `i < n` and the cosine for odd ones; first
/// those of the row, then those of the column (`PositionEmbeddingSine`).
///
/// # Errors
/// `OutOfMemory`.
pub(super) fn grid(side: usize, channels: usize) -> Result<Vec<f32>> {
    let n = channels / 2;
    let mut axis = try_zeroed(side * n)?;
    for (place, out) in axis.chunks_exact_mut(n.max(1)).enumerate() {
        let place = (place + 1) as f32 / (side as f32 + 1e-6) * (2.0 * PI);
        for (i, (out, wavelength)) in out.iter_mut().zip(wavelengths(n)).enumerate() {
            let angle = place / wavelength;
            *out = if i % 2 == 0 { libm::sinf(angle) } else { libm::cosf(angle) };
        }
    }
    let at = |place: usize| &axis[place * n..][..n];
    let mut grid = try_with_capacity(side * side * 2 * n)?;
    for y in 0..side {
        for x in 0..side {
            grid.extend_from_slice(at(y));
            grid.extend_from_slice(at(x));
        }
    }
    Ok(grid)
}

/// Encoding of a distance in time: `sin(distance / wavelength(i))` for `i < n = out.len() / 2`, then the cosines
/// (`get_1d_sine_pe`).
pub(super) fn time(distance: f32, out: &mut [f32]) {
    let n = out.len() / 2;
    let (sines, cosines) = out.split_at_mut(n);
    for ((sine, cosine), wavelength) in sines.iter_mut().zip(cosines).zip(wavelengths(n)) {
        (*sine, *cosine) = libm::sincosf(distance / wavelength);
    }
}
