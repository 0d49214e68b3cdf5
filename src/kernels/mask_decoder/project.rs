//! A linear layer of the pixels.

use super::pixelwise::{AddBias, Sum};
use crate::exec::{Cx, Scratch, ScratchReq, SharedMut, Work};
use crate::kernels::feature_panels::{PackedLhs, PanelLayout};

/// Scratch that [`project`] needs for inputs of `channels` channels.
pub fn scratch_req(cx: &Cx, panels: PanelLayout, channels: usize) -> ScratchReq {
    panel(panels, channels).per_lane(cx)
}

/// The features of a panel.
fn panel(panels: PanelLayout, channels: usize) -> ScratchReq {
    ScratchReq::slice(panels.width() * channels)
}

/// A linear layer of the pixels.
#[derive(Clone, Copy, Debug)]
pub struct PixelProjection<'a> {
    /// `[outputs, inputs]`
    pub weight: PackedLhs<'a>,
    /// `[outputs]`, if any.
    pub bias: Option<&'a [f32]>,
}

/// `out[o][p] = Σ_c weight[o][c] · (x + plus)[c][p] + bias[o]`, with `x`, `plus` (if any) and `out` in panels.
///
/// # Panics
/// If a slice does not have its size, or the scratch is shorter than [`scratch_req`].
pub fn project(
    cx: &Cx,
    panels: PanelLayout,
    PixelProjection { weight, bias }: PixelProjection<'_>,
    x: &[f32],
    plus: Option<&[f32]>,
    out: &mut [f32],
    scratch: Scratch<'_>,
) {
    let (inputs, outputs) = (weight.depth(), weight.rows());
    let _kernel = cx.kernel("project", || Work::product(panels.pixels(), outputs, inputs));
    assert_eq!(x.len(), panels.len(inputs), "features");
    assert!(plus.is_none_or(|plus| plus.len() == x.len()), "features to add");
    assert!(bias.is_none_or(|bias| bias.len() == outputs), "bias of length {outputs}");
    assert_eq!(out.len(), panels.len(outputs), "projected features");
    let out = SharedMut::new(out);
    cx.parallel_for_with(panels.count(), panel(panels, inputs), scratch, |mut scratch, index| {
        let from = panels.elements_of(index, inputs);
        let mut panel = &x[from.clone()];
        if let Some(plus) = plus {
            let sum = scratch.take(from.len());
            cx.level().dispatch(Sum { a: panel, b: &plus[from], out: sum });
            panel = sum;
        }
        // SAFETY: tasks' panels are disjoint.
        let out = unsafe { out.range(panels.elements_of(index, outputs)) };
        weight.times(cx.level(), panel, out, false);
        if let Some(bias) = bias {
            cx.level().dispatch(AddBias { x: out, nr: panels.width(), bias });
        }
    });
}
