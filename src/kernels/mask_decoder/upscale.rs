//! Two transposed convolutions that double height and width, and the product with the masks' weights.
//!
//! For every mask `m`, every pixel `p` of the image and each of the `4 · 4` pixels that the convolutions make of it:
//!
//! ```text
//! y1 = GELU(norm(W1[i1, j1] x_p + b1 + s1))
//! y2 = GELU(W2[i2, j2] y1 + b2 + s0)
//! mask[m][4·row + 2·i1 + i2][4·column + 2·j1 + j2] = w_m · y2
//! ```
//!
//! In SAM 2, `s1` and `s0` are maps of the image at these resolutions ([`HighResLayout`]); SAM adds nothing.
//!
//! A panel of pixels passes through all steps while it is in cache; the upscaled features never exist as a whole.

use super::high_res::{FACTOR, HighResLayout, TAPS, place2};
use super::pixelwise::{BiasGelu, LayerNormParams, NormalisePixels, Nothing};
use crate::exec::{Cx, Scratch, ScratchReq, SharedMut, Work};
use crate::kernels::feature_panels::{PackedLhs, PanelLayout, checked_packed_lhs_len, packed_lhs_len};
use crate::kernels::len::len_of;

/// The weights of both convolutions.
#[derive(Clone, Copy, Debug)]
pub struct UpscaleWeights<'a> {
    /// `W1: [4 · channels 1, channels]`: row `(2·i + j) · channels 1 + c` makes channel `c` of pixel `(i, j)` of a block.
    pub conv1: PackedLhs<'a>,
    /// `b1: [channels 1]`
    pub bias1: &'a [f32],
    /// The norm after the first convolution, over its channels.
    pub norm: LayerNormParams<'a>,
    /// `W2: [4 · channels 2, channels 1]`, likewise.
    pub conv2: PackedLhs<'a>,
    /// `b2: [channels 2]`
    pub bias2: &'a [f32],
}

/// What is upscaled, for `prompts` prompts.
#[derive(Clone, Copy, Debug)]
pub struct UpscaleInputs<'a> {
    /// Number of prompts.
    pub prompts: usize,
    /// Masks of a prompt.
    pub masks: usize,
    /// Side of the image, in pixels of the features.
    pub grid: usize,
    /// `[prompts]` features of `grid · grid` pixels, in panels.
    pub features: &'a [f32],
    /// `[prompts]` matrices `[masks, channels 2]`, packed as [`PackedLhs`].
    pub mask_weights: &'a [f32],
    /// The maps `s1` and `s0`, the same for all prompts, packed by [`HighResLayout::pack`]; `None` if the model adds none.
    pub high_res: Option<&'a [f32]>,
}

impl UpscaleWeights<'_> {
    /// Lengths of a lane's buffers: both convolutions' results and the masks' pixels, in f32.
    fn buffers(&self, nr: usize, masks: usize) -> [usize; 3] {
        [len_of([self.conv1.rows(), nr]), len_of([self.conv2.rows(), nr]), len_of([TAPS, TAPS, masks, nr])]
    }
}

/// Scratch that [`upscale`] needs.
pub fn scratch_req(cx: &Cx, weights: &UpscaleWeights<'_>, panels: PanelLayout, masks: usize) -> ScratchReq {
    ScratchReq::slices(weights.buffers(panels.width(), masks)).per_lane(cx)
}

/// Writes the masks of every prompt, `out: [prompts, masks, 4 · grid, 4 · grid]`; and the features `y2`, if a trace asks
/// for them, to `upscaled: [prompts, 4 · grid, 4 · grid, channels 2]`.
///
/// # Panics
/// If a slice does not have its size, or the scratch is shorter than [`scratch_req`].
pub fn upscale(
    cx: &Cx,
    weights: &UpscaleWeights<'_>,
    inputs: &UpscaleInputs<'_>,
    out: &mut [f32],
    upscaled: Option<&mut [f32]>,
    scratch: Scratch<'_>,
) {
    let UpscaleInputs { prompts, masks, grid, features, mask_weights, high_res } = *inputs;
    let panels = PanelLayout::new(cx.level(), len_of([grid, grid]));
    let (nr, side) = (panels.width(), len_of([FACTOR, FACTOR, grid]));
    let (channels, channels1, channels2) = (weights.conv1.depth(), weights.bias1.len(), weights.bias2.len());
    let image_len = panels.len(channels);
    let _kernel = cx.kernel("upscale", || {
        let taps = channels1 * channels + TAPS * channels2 * channels1 + TAPS * masks * channels2;
        Work {
            flops: 2.0 * (prompts * panels.pixels() * TAPS * taps) as f64,
            bytes: 4.0 * (prompts * (image_len + masks * side * side)) as f64,
        }
    });
    assert_eq!(weights.conv1.rows(), TAPS * channels1, "first convolution");
    assert_eq!(
        (weights.conv2.rows(), weights.conv2.depth()),
        (TAPS * channels2, channels1),
        "second convolution"
    );
    assert_eq!(features.len(), len_of([prompts, image_len]), "features of {prompts} prompts");
    let weights_len = checked_packed_lhs_len(prompts, masks, channels2);
    assert_eq!(Some(mask_weights.len()), weights_len, "weights of {masks} masks");
    let masks_len = packed_lhs_len(masks, channels2);
    assert_eq!(out.len(), len_of([prompts, masks, side, side]), "{masks} masks of {prompts} prompts");
    let layout = HighResLayout::new(panels, grid, [channels1, channels2]);
    assert!(high_res.is_none_or(|maps| maps.len() == layout.packed_len()), "maps of the image");
    let upscaled = upscaled.map(|upscaled| {
        assert_eq!(upscaled.len(), len_of([prompts, side, side, channels2]), "upscaled features");
        SharedMut::new(upscaled)
    });
    let buffers = weights.buffers(nr, masks);
    let tasks = prompts * panels.count();
    let out = SharedMut::new(out);
    cx.parallel_for_with(tasks, ScratchReq::slices(buffers), scratch, |mut scratch, task| {
        // Prompts alternate within a panel, so that the maps that they share stay in cache.
        let (prompt, index) = (task % prompts, task / prompts);
        let [y1, y2, values] = scratch.take_all(buffers);
        let mask_weights = PackedLhs::new(masks, channels2, &mask_weights[prompt * masks_len..][..masks_len]);
        let at = panels.elements_of(index, channels);
        let pixels = panels.pixels_of(index);

        weights.conv1.times(cx.level(), &features[prompt * image_len..][at], y1, false);
        let maps = high_res.map(|maps| layout.panel(maps, index));
        let (add, bias, norm) = (weights.bias1, weights.bias2, weights.norm);
        let taps1 = y1.chunks_exact_mut(channels1 * nr).zip(values.chunks_exact_mut(TAPS * masks * nr));
        for (tap1, (y1, values)) in taps1.enumerate() {
            let maps =
                maps.map(|[s1, s0]| [&s1[tap1 * y1.len()..][..y1.len()], &s0[tap1 * y2.len()..][..y2.len()]]);
            match maps {
                Some([more, _]) => {
                    cx.level().dispatch(NormalisePixels::<_, true> { x: y1, nr, add, more, norm })
                }
                None => {
                    cx.level().dispatch(NormalisePixels::<_, true> { x: y1, nr, add, more: Nothing, norm })
                }
            }
            weights.conv2.times(cx.level(), y1, y2, false);
            match maps {
                Some([_, more]) => cx.level().dispatch(BiasGelu { x: y2, nr, bias, more }),
                None => cx.level().dispatch(BiasGelu { x: y2, nr, bias, more: Nothing }),
            }
            let taps2 = y2.chunks_exact(channels2 * nr).zip(values.chunks_exact_mut(masks * nr));
            for (tap2, (y2, values)) in taps2.enumerate() {
                mask_weights.times(cx.level(), y2, values, false);
                let Some(upscaled) = upscaled else { continue };
                for (i, pixel) in pixels.clone().enumerate() {
                    let [row, column] = place2(grid, pixel, tap1, tap2);
                    let at = ((prompt * side + row) * side + column) * channels2;
                    // SAFETY: tasks' pixels are disjoint.
                    let to = unsafe { upscaled.range(at..at + channels2) };
                    to.iter_mut().zip(y2.chunks_exact(nr)).for_each(|(to, y2)| *to = y2[i]);
                }
            }
        }
        for mask in 0..masks {
            for (i, pixel) in pixels.clone().enumerate() {
                for line in 0..FACTOR * FACTOR {
                    // A line has both columns of one block of the second convolution, then of its neighbour.
                    let taps =
                        |j: usize| [line / FACTOR * FACTOR + j / FACTOR, line % FACTOR * FACTOR + j % FACTOR];
                    let [tap1, tap2] = taps(0);
                    let [row, column] = place2(grid, pixel, tap1, tap2);
                    let at = ((prompt * masks + mask) * side + row) * side + column;
                    // SAFETY: tasks' pixels are disjoint.
                    let to = unsafe { out.range(at..at + FACTOR * FACTOR) };
                    for (j, to) in to.iter_mut().enumerate() {
                        let [tap1, tap2] = taps(j);
                        *to = values[((tap1 * TAPS + tap2) * masks + mask) * nr + i];
                    }
                }
            }
        }
    });
}
