//! Depthwise convolution over tokens: a vector holds neighbouring channels of one pixel.

use core::ops::Range;

use super::ConvShape;
use crate::exec::{Cx, SharedMut, Work};
use crate::kernels::activation::{self, Activation};
use crate::simd::{Simd, Vectorize};

/// Neighbouring outputs that share each weight loaded. Their sums fit the registers of every level.
const STRIP: usize = 6;

/// `out[y][x][c] = activation(bias[c] + Σ input[y·stride + i − padding][x·stride + j − padding][c] · weights[i][j][c])`.
///
/// The slices have the sizes that `shape` and `size` say, which the caller checked; `weights: [taps, channels]`,
/// possibly padded. Every output is one chain of multiply-adds over its taps in order.
#[allow(clippy::too_many_arguments, reason = "weights, an input, an output and what happens in between")]
pub(super) fn depthwise(
    cx: &Cx,
    shape: &ConvShape,
    size: [usize; 2],
    input: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    activation: Activation,
    out: &mut [f32],
) {
    let [rows, columns] = shape.output_size(size).expect("checked by the caller");
    let channels = shape.inputs;
    let _kernel = cx.kernel("depthwise", || Work {
        flops: 2.0 * (out.len() * shape.kernel[0] * shape.kernel[1]) as f64,
        bytes: 4.0 * (input.len() + out.len()) as f64,
    });
    assert_eq!((input.len(), out.len()), (size[0] * size[1] * channels, rows * columns * channels));
    assert!(weights.len() >= shape.kernel[0] * shape.kernel[1] * channels);
    assert!(bias.is_none_or(|bias| bias.len() == channels));
    let line_len = columns * channels;
    let out = SharedMut::new(out);
    cx.parallel_for(rows, |_, y| {
        // SAFETY: every task has a line of its own.
        let out = unsafe { out.range(y * line_len..(y + 1) * line_len) };
        cx.level().dispatch(Line { shape, size, columns, y, input, weights, bias, activation, out });
    });
}

/// One line of outputs.
struct Line<'a> {
    shape: &'a ConvShape,
    /// `[height, width]` of the input.
    size: [usize; 2],
    /// Width of the output.
    columns: usize,
    y: usize,
    input: &'a [f32],
    weights: &'a [f32],
    bias: Option<&'a [f32]>,
    activation: Activation,
    out: &'a mut [f32],
}

impl Vectorize for Line<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let ConvShape { kernel, stride, padding, .. } = *self.shape;
        let [height, width] = self.size;
        let rows = on_image(height, kernel[0], padding[0], self.y * stride[0]);

        // The outputs whose windows lie inside the image horizontally.
        let first = padding[1].div_ceil(stride[1]).min(self.columns);
        let end = (width + padding[1]).checked_sub(kernel[1]).map_or(0, |rest| rest / stride[1] + 1);
        let end = end.clamp(first, self.columns);

        let borders = (0..first).chain(end..self.columns);
        for x in borders {
            let columns = on_image(width, kernel[1], padding[1], x * stride[1]);
            self.outputs::<S, 1, 4>(s, x, &rows, &columns);
        }
        let all = 0..kernel[1];
        if end - first < STRIP {
            for x in first..end {
                self.outputs::<S, 1, 4>(s, x, &rows, &all);
            }
        } else {
            // The last strip may overlap the one before it: the same values are written twice.
            for x in (first..end).step_by(STRIP) {
                self.outputs::<S, STRIP, 1>(s, x.min(end - STRIP), &rows, &all);
            }
        }
        activation::apply_slice(s, self.activation, self.out);
    }
}

/// The taps of a window at `at` in the padded image that lie on the image.
fn on_image(size: usize, kernel: usize, padding: usize, at: usize) -> Range<usize> {
    padding.saturating_sub(at).min(kernel)..(size + padding).saturating_sub(at).min(kernel)
}

impl Line<'_> {
    /// All channels of the `P` outputs from `x` on, `V` vectors at a time, over the taps in `rows × columns`, which
    /// lie on the image for every one of them.
    #[inline(always)]
    fn outputs<S: Simd, const P: usize, const V: usize>(
        &mut self,
        s: S,
        x: usize,
        rows: &Range<usize>,
        columns: &Range<usize>,
    ) {
        let channels = self.shape.inputs;
        let mut channel = 0;
        while channel + V * S::LANES <= channels {
            self.block::<S, P, V>(s, x, rows, columns, channel, S::LANES);
            channel += V * S::LANES;
        }
        while channel + S::LANES <= channels {
            self.block::<S, P, 1>(s, x, rows, columns, channel, S::LANES);
            channel += S::LANES;
        }
        if channel < channels {
            // The last vector may overlap the one before it, too.
            match channels.checked_sub(S::LANES) {
                Some(last) => self.block::<S, P, 1>(s, x, rows, columns, last, S::LANES),
                None => self.block::<S, P, 1>(s, x, rows, columns, 0, channels),
            }
        }
    }

    /// `V` vectors of channels, from `channel` on, of the `P` outputs from `x` on; a vector has `lanes` channels.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "a position in three dimensions and an extent in five")]
    fn block<S: Simd, const P: usize, const V: usize>(
        &mut self,
        s: S,
        x: usize,
        rows: &Range<usize>,
        columns: &Range<usize>,
        channel: usize,
        lanes: usize,
    ) {
        let ConvShape { inputs: channels, kernel, stride, padding, .. } = *self.shape;
        let [height, width] = self.size;
        debug_assert!(channel + (V - 1) * S::LANES + lanes <= channels && x + P <= self.columns);
        let mut start = [s.splat(0.0); V];
        if let Some(bias) = self.bias {
            let bias = &bias[channel..][..(V - 1) * S::LANES + lanes];
            for (v, start) in start.iter_mut().enumerate() {
                // SAFETY: `bias` has `V` vectors, the last of `lanes` f32.
                *start = unsafe { load(s, bias.as_ptr().add(v * S::LANES), lanes) };
            }
        }
        let mut sums = [start; P];
        let rows = if columns.is_empty() { 0..0 } else { rows.clone() };
        for i in rows {
            let line = self.y * stride[0] + i - padding[0];
            let at = x * stride[1] + columns.start - padding[1];
            debug_assert!(line < height && at + (P - 1) * stride[1] + columns.len() <= width);
            let pixels = self.input[(line * width + at) * channels + channel..].as_ptr();
            let weights = self.weights[(i * kernel[1] + columns.start) * channels + channel..].as_ptr();
            // SAFETY: the taps lie on the image for all `P` outputs, and the `V` vectors, the last of `lanes` f32,
            // inside its channels.
            unsafe {
                let at = |v: usize| [pixels.add(v * S::LANES), weights.add(v * S::LANES)];
                match (stride[1], columns.len()) {
                    (1, 3) if P > 1 => {
                        for v in 0..V {
                            slide::<S, P, V, 3>(s, &mut sums, v, at(v), channels, lanes);
                        }
                    }
                    (1, 7) if P > 1 => {
                        for v in 0..V {
                            slide::<S, P, V, 7>(s, &mut sums, v, at(v), channels, lanes);
                        }
                    }
                    (step, taps) => {
                        let step = step * channels;
                        for j in 0..taps {
                            let (pixels, weights) = (pixels.add(j * channels), weights.add(j * channels));
                            tap(s, &mut sums, pixels, step, weights, lanes);
                        }
                    }
                }
            }
        }
        for (p, sums) in sums.iter().enumerate() {
            let out = &mut self.out[(x + p) * channels + channel..][..(V - 1) * S::LANES + lanes];
            for (v, &sum) in sums.iter().enumerate() {
                let out = out[v * S::LANES..].as_mut_ptr();
                // SAFETY: `out` has `V` vectors, the last of `lanes` f32.
                unsafe { if lanes == S::LANES { s.store(out, sum) } else { s.store_n(out, sum, lanes) } }
            }
        }
    }
}

/// `sums[p] += pixels[p · step] · weights` for one tap.
///
/// # Safety
/// `V` vectors, the last of `lanes` f32, are readable at all these places.
#[inline(always)]
unsafe fn tap<S: Simd, const P: usize, const V: usize>(
    s: S,
    sums: &mut [[S::F; V]; P],
    pixels: *const f32,
    step: usize,
    weights: *const f32,
    lanes: usize,
) {
    for v in 0..V {
        // SAFETY: forwarded to the caller.
        unsafe {
            let weight = load(s, weights.add(v * S::LANES), lanes);
            for (p, sums) in sums.iter_mut().enumerate() {
                sums[v] = s.fma(load(s, pixels.add(p * step + v * S::LANES), lanes), weight, sums[v]);
            }
        }
    }
}

/// [`tap`] for all `K` taps of a line with stride 1, in order, and one vector of channels: a pixel is loaded once for
/// the outputs that share it.
///
/// # Safety
/// Vectors of `lanes` f32 are readable at `P + K − 1` pixels and `K` weights, `channels` apart.
#[inline(always)]
unsafe fn slide<S: Simd, const P: usize, const V: usize, const K: usize>(
    s: S,
    sums: &mut [[S::F; V]; P],
    v: usize,
    [pixels, weights]: [*const f32; 2],
    channels: usize,
    lanes: usize,
) {
    let mut taps = [s.splat(0.0); K];
    for (j, tap) in taps.iter_mut().enumerate() {
        // SAFETY: forwarded to the caller.
        *tap = unsafe { load(s, weights.add(j * channels), lanes) };
    }
    for p in 0..P + K - 1 {
        // SAFETY: forwarded to the caller.
        let pixel = unsafe { load(s, pixels.add(p * channels), lanes) };
        for (j, &tap) in taps.iter().enumerate() {
            if j <= p && p - j < P {
                sums[p - j][v] = s.fma(pixel, tap, sums[p - j][v]);
            }
        }
    }
}

/// The first `lanes` lanes from `p`.
///
/// # Safety
/// `p` is valid for reads of `lanes <= LANES` f32.
#[inline(always)]
unsafe fn load<S: Simd>(s: S, p: *const f32, lanes: usize) -> S::F {
    // SAFETY: forwarded to the caller.
    unsafe { if lanes == S::LANES { s.load(p) } else { s.load_n(p, lanes) } }
}
