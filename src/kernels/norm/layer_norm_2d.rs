//! Layer normalisation over the channels of a planar image.

use super::normalise;
use crate::exec::{Cx, SharedMut};
use crate::kernels::rows::TASK;
use crate::simd::{Simd, Vectorize};

/// `x[c, p] = (x[c, p] − μ_p) / √(σ²_p + eps) · weight[c] + bias[c]` in place, for `x: [channels, pixels]` and
/// `weight, bias: [channels]`: layer normalisation of every pixel over its channels, in planar layout (SAM's
/// `LayerNorm2d`, with `eps = 1e-6`).
///
/// Mean and variance are gathered in one pass over the planes by Welford's recurrence.
///
/// # Panics
/// If the lengths do not fit together, or there are no channels.
pub fn layer_norm_2d(cx: &Cx, x: &mut [f32], weight: &[f32], bias: &[f32], eps: f32) {
    let channels = weight.len();
    assert_eq!(bias.len(), channels);
    assert!(channels > 0 && x.len().is_multiple_of(channels), "{} elements in {channels} planes", x.len());
    let pixels = x.len() / channels;
    let pixels_per_task = (TASK / channels).next_multiple_of(4 * 16);
    let x = SharedMut::new(x);
    cx.parallel_for(pixels.div_ceil(pixels_per_task), |_, task| {
        let begin = task * pixels_per_task;
        let end = pixels.min(begin + pixels_per_task);
        cx.level().dispatch(LayerNorm2d { x, pixels, begin, end, weight, bias, eps });
    });
}

/// Pixels `begin..end` of `x`, which nothing else accesses.
struct LayerNorm2d<'a> {
    x: SharedMut<'a, f32>,
    pixels: usize,
    begin: usize,
    end: usize,
    weight: &'a [f32],
    bias: &'a [f32],
    eps: f32,
}

impl Vectorize for LayerNorm2d<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut pixel = self.begin;
        while pixel + 4 * S::LANES <= self.end {
            self.columns::<S, 4>(s, pixel, S::LANES);
            pixel += 4 * S::LANES;
        }
        while pixel < self.end {
            let lanes = S::LANES.min(self.end - pixel);
            self.columns::<S, 1>(s, pixel, lanes);
            pixel += lanes;
        }
    }
}

impl LayerNorm2d<'_> {
    /// `N` vectors of pixels from `pixel` on; of each vector only the first `lanes` are used.
    #[inline(always)]
    fn columns<S: Simd, const N: usize>(&self, s: S, pixel: usize, lanes: usize) {
        assert!(pixel + (N - 1) * S::LANES + lanes <= self.pixels);
        let column = self.x.as_ptr().wrapping_add(pixel);
        let mut mean = [s.splat(0.0); N];
        let mut squares = [s.splat(0.0); N];
        for channel in 0..self.weight.len() {
            let share = s.splat(1.0 / (channel + 1) as f32);
            for i in 0..N {
                // SAFETY: `lanes` pixels of this plane from `pixel + i · LANES` on, by the assertion.
                let x = unsafe { load_lanes(s, column.add(channel * self.pixels + i * S::LANES), lanes) };
                let d = s.sub(x, mean[i]);
                mean[i] = s.fma(d, share, mean[i]);
                squares[i] = s.fma(d, s.sub(x, mean[i]), squares[i]);
            }
        }
        let share = s.splat(1.0 / self.weight.len() as f32);
        let mut scale = [s.splat(0.0); N];
        for i in 0..N {
            let variance = s.fma(squares[i], share, s.splat(self.eps));
            scale[i] = s.div(s.splat(1.0), s.sqrt(variance));
        }
        for (channel, (&weight, &bias)) in self.weight.iter().zip(self.bias).enumerate() {
            let (weight, bias) = (s.splat(weight), s.splat(bias));
            for i in 0..N {
                let p = column.wrapping_add(channel * self.pixels + i * S::LANES);
                // SAFETY: as above; `begin..end` belongs to this task.
                unsafe {
                    let x = load_lanes(s, p, lanes);
                    store_lanes(s, p, normalise(s, x, mean[i], scale[i], weight, bias), lanes);
                }
            }
        }
    }
}

/// # Safety
/// `p` is valid for reads of `n <= LANES` values.
#[inline(always)]
unsafe fn load_lanes<S: Simd>(s: S, p: *const f32, n: usize) -> S::F {
    // SAFETY: forwarded to the caller.
    unsafe { if n == S::LANES { s.load(p) } else { s.load_n(p, n) } }
}

/// # Safety
/// `p` is valid for writes of `n <= LANES` values.
#[inline(always)]
unsafe fn store_lanes<S: Simd>(s: S, p: *mut f32, v: S::F, n: usize) {
    // SAFETY: forwarded to the caller.
    unsafe { if n == S::LANES { s.store(p, v) } else { s.store_n(p, v, n) } }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::kernels::testing::{Guarded, Place, Rng, assert_near, assert_same_for_any_threads, lengths};
    use crate::simd::Level;

    const EPS: f32 = 1e-6;

    /// Input, weight and bias.
    fn example(channels: usize, pixels: usize) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let mut rng = Rng::new(pixels as u64);
        (rng.vec(channels * pixels, -2.0..=3.0), rng.vec(channels, 0.5..=1.5), rng.vec(channels, -1.0..=1.0))
    }

    fn oracle(x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f64> {
        let channels = weight.len();
        let pixels = x.len() / channels;
        let mut out = alloc::vec![0.0; x.len()];
        for pixel in 0..pixels {
            let column = || x[pixel..].iter().step_by(pixels).map(|&x| f64::from(x));
            let mean = column().sum::<f64>() / channels as f64;
            let variance = column().map(|x| (x - mean).powi(2)).sum::<f64>() / channels as f64;
            let deviation = libm::sqrt(variance + f64::from(EPS));
            for (channel, x) in column().enumerate() {
                let (weight, bias) = (f64::from(weight[channel]), f64::from(bias[channel]));
                out[channel * pixels + pixel] = (x - mean) / deviation * weight + bias;
            }
        }
        out
    }

    #[test]
    fn every_tail() {
        for level in Level::available() {
            for pixels in lengths(level) {
                for channels in [5, 32, 33] {
                    let (x, weight, bias) = example(channels, pixels);
                    let exact = oracle(&x, &weight, &bias);
                    for place in Place::ALL {
                        let (weight, bias) = (Guarded::new(&weight, place), Guarded::new(&bias, place));
                        let mut got = Guarded::new(&x, place);
                        layer_norm_2d(&Cx::serial(level), &mut got, &weight, &bias, EPS);
                        assert_near(&got, &exact, |_| 1e-5);
                    }
                }
            }
        }
    }

    #[test]
    fn one_channel_becomes_the_bias() {
        for level in Level::available() {
            let mut x = alloc::vec![5.0; 19];
            layer_norm_2d(&Cx::serial(level), &mut x, &[2.0], &[0.25], EPS);
            assert_eq!(x, [0.25; 19]);
        }
    }

    #[test]
    fn threads_do_not_change_the_result() {
        let (x, weight, bias) = example(256, 32 * 32 + 5);
        for level in Level::available() {
            assert_same_for_any_threads(level, |cx| {
                let mut x = x.clone();
                layer_norm_2d(cx, &mut x, &weight, &bias, EPS);
                x
            });
        }
    }

    #[test]
    #[should_panic = "10 elements in 3 planes"]
    fn partial_planes_are_refused() {
        layer_norm_2d(&Cx::serial(Level::detect()), &mut [0.0; 10], &[1.0; 3], &[0.0; 3], EPS);
    }
}
