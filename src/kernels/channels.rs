//! Means of a map's channels, and factors for them: squeeze and excitation (Hu et al., 2018).

use core::ops::Range;

use crate::exec::{Cx, SharedMut, Work};
use crate::kernels::activation::{self, Activation};
use crate::kernels::len::len_of;
use crate::kernels::rows::split_rows;
use crate::simd::{Simd, Vectorize};

/// Channels whose means a task computes.
const TASK: usize = 64;

/// `out[i][c] = mean(x[i][·][c])` for `x: [images, pixels, channels]`. The pixels of a channel are added in order.
///
/// # Panics
/// If `out` is not whole rows of `channels`, a map has no pixels, or `x` is not a map for every row.
pub fn means(cx: &Cx, x: &[f32], channels: usize, out: &mut [f32]) {
    let _kernel = cx.kernel("channel-means", || Work { flops: x.len() as f64, bytes: 4.0 * x.len() as f64 });
    assert!(channels > 0 && out.len().is_multiple_of(channels), "means of {channels} channels");
    let images = out.len() / channels;
    assert!(
        images > 0 && x.len() >= out.len() && x.len().is_multiple_of(out.len()),
        "maps of {channels} channels"
    );
    let map_len = x.len() / images;
    let parts = channels.div_ceil(TASK);
    let out = SharedMut::new(out);
    cx.parallel_for(images * parts, |_, task| {
        let (image, part) = (task / parts, task % parts);
        let columns = part * TASK..channels.min((part + 1) * TASK);
        let at = image * channels;
        // SAFETY: every task has channels of its own.
        let out = unsafe { out.range(at + columns.start..at + columns.end) };
        let x = &x[image * map_len..][..map_len];
        cx.level().dispatch(Means { x, channels, columns, out });
    });
}

/// The means of some channels of one map.
struct Means<'a> {
    x: &'a [f32],
    channels: usize,
    columns: Range<usize>,
    out: &'a mut [f32],
}

impl Vectorize for Means<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { x, channels, columns, out } = self;
        let factor = 1.0 / (x.len() / channels) as f32;
        out.fill(0.0);
        for pixel in x.chunks_exact(channels) {
            add_row(s, &pixel[columns.clone()], out);
        }
        out.iter_mut().for_each(|sum| *sum *= factor);
    }
}

/// `sums[i] += row[i]`.
#[inline(always)]
fn add_row<S: Simd>(s: S, row: &[f32], sums: &mut [f32]) {
    assert_eq!(row.len(), sums.len());
    let mut i = 0;
    while i + S::LANES <= row.len() {
        // SAFETY: `LANES` elements from `i` lie in both.
        unsafe {
            let sum = sums.as_mut_ptr().add(i);
            s.store(sum, s.add(s.load(sum), s.load(row.as_ptr().add(i))));
        }
        i += S::LANES;
    }
    sums[i..].iter_mut().zip(&row[i..]).for_each(|(sum, x)| *sum += x);
}

/// `x[i][p][c] = activation(factors[i][c] · x[i][p][c])` for `x: [images, pixels, channels]` and `factors: [images, channels]`.
///
/// # Panics
/// If `factors` is not whole rows of `channels`, or `x` is not a map for every row.
pub fn scale(cx: &Cx, x: &mut [f32], channels: usize, factors: &[f32], activation: Activation) {
    assert!(channels > 0 && factors.len().is_multiple_of(channels), "factors of {channels} channels");
    let images = factors.len() / channels;
    assert!(images > 0 && x.len().is_multiple_of(factors.len()), "maps of {channels} channels");
    let pixels = x.len() / factors.len();
    assert_eq!(x.len(), len_of([images, pixels, channels]));
    split_rows(cx, "scale-channels", x, channels, |rows, x| {
        for (row, x) in rows.zip(x.chunks_exact_mut(channels)) {
            let factors = &factors[row / pixels * channels..][..channels];
            cx.level().dispatch(Scale { x, factors, activation });
        }
    });
}

/// One pixel.
struct Scale<'a> {
    x: &'a mut [f32],
    factors: &'a [f32],
    activation: Activation,
}

impl Vectorize for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { x, factors, activation } = self;
        assert_eq!(x.len(), factors.len());
        let mut i = 0;
        while i + S::LANES <= x.len() {
            // SAFETY: `LANES` elements from `i` lie in both.
            unsafe {
                let at = x.as_mut_ptr().add(i);
                s.store(at, s.mul(s.load(at), s.load(factors.as_ptr().add(i))));
            }
            i += S::LANES;
        }
        x[i..].iter_mut().zip(&factors[i..]).for_each(|(x, factor)| *x *= factor);
        activation::apply_slice(s, activation, x);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::kernels::testing::{Guarded, Place, Rng, assert_same_for_any_threads, lengths};
    use crate::simd::Level;

    const IMAGES: usize = 2;
    const PIXELS: usize = 5;

    #[test]
    fn every_tail() {
        for level in Level::available() {
            let cx = Cx::serial(level);
            for channels in lengths(level).filter(|&channels| channels > 0) {
                let mut rng = Rng::new(channels as u64);
                let x = rng.vec(IMAGES * PIXELS * channels, -2.0..=2.0);
                let factors = rng.vec(IMAGES * channels, -1.0..=1.0);
                let exact: Vec<f64> = (0..IMAGES * channels)
                    .map(|i| {
                        let (image, c) = (i / channels, i % channels);
                        let pixel = |p: usize| f64::from(x[(image * PIXELS + p) * channels + c]);
                        (0..PIXELS).map(pixel).sum::<f64>() / PIXELS as f64
                    })
                    .collect();
                for place in Place::ALL {
                    let x = Guarded::new(&x, place);
                    let mut found = Guarded::unwritten(exact.len(), place);
                    means(&cx, &x, channels, &mut found);
                    for (found, exact) in found.iter().zip(&exact) {
                        assert!((f64::from(*found) - exact).abs() < 1e-6, "{found} for {exact}");
                    }
                    let mut scaled = Guarded::new(&x, place);
                    let factors = Guarded::new(&factors, place);
                    scale(&cx, &mut scaled, channels, &factors, Activation::Relu);
                    for (i, scaled) in scaled.iter().enumerate() {
                        let factor = factors[i / (PIXELS * channels) * channels + i % channels];
                        assert_eq!(*scaled, (x[i] * factor).max(0.0));
                    }
                }
            }
        }
    }

    #[test]
    fn threads_do_not_change_the_result() {
        let x = Rng::new(1).vec(3 * 400 * 150, -1.0..=1.0);
        for level in Level::available() {
            assert_same_for_any_threads(level, |cx| {
                let (mut x, mut out) = (x.clone(), alloc::vec![0.0; 3 * 150]);
                means(cx, &x, 150, &mut out);
                scale(cx, &mut x, 150, &out, Activation::Gelu);
                x.extend(out);
                x
            });
        }
    }

    #[test]
    #[should_panic = "maps of 4 channels"]
    fn parts_of_maps_are_refused() {
        means(&Cx::serial(Level::detect()), &[0.0; 10], 4, &mut [0.0; 4]);
    }
}
