//! From pixels to the features of patches.

use alloc::vec::Vec;

use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq, try_zeroed};
use crate::kernels::activation::Activation;
use crate::kernels::conv::{ConvShape, Patches};
use crate::kernels::gemm::Destination;
use crate::models::clip::config::{PatchStem, VitConfig};
use crate::models::clip::naming::Naming;
use crate::nn::{Conv2d, Linear, bind_folded};
use crate::weights::Scope;

/// Added to the variance in the batch norms of a stem.
const EPS: f32 = 1e-5;

/// One product for every patch, or three convolutions.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a tower has one")]
pub(super) enum Stem {
    /// A matrix over the pixels of a patch.
    Linear { layer: Linear, patch: usize },
    /// `conv3(gelu(norm2(conv2(gelu(norm1(conv1(x)))))))` with kernels as large as their strides: 4, 2 and 2. The norms are
    /// folded; the last convolution is a product for every 2 × 2 pixels.
    Convolutions { conv1: Conv2d, conv2: Conv2d, conv3: Conv2d },
}

impl Stem {
    /// Pixels of a side that become one token through a stem of convolutions.
    const CONVOLUTIONS: usize = 16;

    /// Binds the stem of the checkpoint `scope`.
    pub(super) fn bind(scope: &Scope<'_>, naming: Naming, config: &VitConfig) -> Result<Self> {
        let (dim, patch) = (config.tower.hidden_size, config.patch_size);
        let PatchStem::Convolutions { width } = config.stem else {
            let conv = scope.at(naming.vit().patch_embedding);
            let weight = || match config.stem {
                PatchStem::BiasedPixels => planes(&conv.f32("weight", &[dim, patch * patch * 3])?, patch),
                _ => conv.f32("weight", &[dim, 3, patch, patch]),
            };
            let weight = conv.pack("weight", [dim, 3 * patch * patch], weight)?;
            let has_bias = config.stem != PatchStem::Linear;
            let bias = has_bias.then(|| conv.f32("bias", &[dim])).transpose()?;
            return Ok(Self::Linear { layer: Linear::of(weight, bias), patch });
        };
        // Apple's own program pads its input by a pixel, timm's does not.
        let (convs, names, padding) = match naming {
            Naming::MobileClip => ("image_encoder.model.patch_emb", ["block.conv", "block.norm"], 1),
            _ => ("visual.trunk.patch_embed.backbone", ["conv", "bn"], 0),
        };
        let convs = scope.at(convs);
        let shape = |inputs, outputs, kernel: usize| {
            ConvShape::new(inputs, outputs, [kernel; 2]).with_stride([kernel; 2])
        };
        let folded = |i: usize, shape: ConvShape| {
            let (weight, bias) = bind_folded(&convs.at(i), names, shape, EPS)?;
            Conv2d::new(scope.packing(), shape, &weight, Some(bias))
        };
        Ok(Self::Convolutions {
            conv1: folded(0, shape(3, width, 4).with_padding([padding; 2]).planar())?,
            conv2: folded(1, shape(width, width, 2))?,
            conv3: Conv2d::bind(&convs.at(2).at(names[0]), shape(width, dim, 2))?,
        })
    }

    /// `x += stem(pixels)` for `x: [patches, D]`.
    pub(super) fn add(
        &self,
        cx: &Cx,
        size: [usize; 2],
        pixels: &[f32],
        x: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        match self {
            Self::Linear { layer, patch } => {
                let patches = Patches::new(pixels, 3, size[0], size[1], *patch);
                let output = Destination::Add { out: x, stride: layer.outputs() };
                layer.forward(cx, &patches, Activation::None, output, scratch);
            }
            Self::Convolutions { conv1, conv2, conv3 } => {
                let [quarter, eighth] = sizes(size);
                let [y, z, t] = scratch.take_all(self.buffers(size));
                conv1.forward(cx, size, pixels, Activation::Gelu, y, scratch.frame());
                conv2.forward(cx, quarter, y, Activation::Gelu, z, scratch.frame());
                conv3.forward(cx, eighth, z, Activation::None, t, scratch);
                x.iter_mut().zip(&*t).for_each(|(x, t)| *x += t);
            }
        }
    }

    /// Scratch that [`add`](Self::add) needs for a picture of `size = [height, width]`.
    pub(super) fn scratch_req(&self, cx: &Cx, size: [usize; 2]) -> ScratchReq {
        match self {
            Self::Linear { layer, patch } => {
                layer.scratch_req(cx, size.into_iter().map(|side| side / patch).product())
            }
            Self::Convolutions { conv1, conv2, conv3 } => {
                let [quarter, eighth] = sizes(size);
                ScratchReq::slices(self.buffers(size)).and(ScratchReq::any([
                    conv1.scratch_req(cx, size),
                    conv2.scratch_req(cx, quarter),
                    conv3.scratch_req(cx, eighth),
                ]))
            }
        }
    }

    /// Pixels along a side of a patch.
    pub(super) fn patch_size(&self) -> usize {
        match self {
            Self::Linear { patch, .. } => *patch,
            Self::Convolutions { .. } => Self::CONVOLUTIONS,
        }
    }

    /// Bytes of weights held.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Linear { layer, .. } => layer.bytes(),
            Self::Convolutions { conv1, conv2, conv3 } => {
                [conv1, conv2, conv3].map(Conv2d::bytes).iter().sum()
            }
        }
    }

    /// Lengths of what each convolution makes.
    fn buffers(&self, size: [usize; 2]) -> [usize; 3] {
        let Self::Convolutions { conv1, conv2, conv3 } = self else { return [0; 3] };
        let [[height, width], eighth] = sizes(size);
        let len = |size: [usize; 2], conv: &Conv2d| size[0] * size[1] * conv.shape().outputs;
        [len([height, width], conv1), len(eighth, conv2), len(eighth.map(|side| side / 2), conv3)]
    }
}

/// Rows of `[3, patch, patch]` from rows of `[patch, patch, 3]`.
fn planes(rows: &[f32], patch: usize) -> Result<Vec<f32>> {
    let mut planes = try_zeroed(rows.len())?;
    let pixels = patch * patch;
    for (row, planes) in rows.chunks_exact(3 * pixels).zip(planes.chunks_exact_mut(3 * pixels)) {
        for (i, pixel) in row.as_chunks::<3>().0.iter().enumerate() {
            pixel.iter().enumerate().for_each(|(channel, value)| planes[channel * pixels + i] = *value);
        }
    }
    Ok(planes)
}

/// Pixels of the maps after the first and the second convolution: a quarter and an eighth of the sides, which are multiples
/// of 16.
fn sizes(size: [usize; 2]) -> [[usize; 2]; 2] {
    [size.map(|side| side / 4), size.map(|side| side / 8)]
}
