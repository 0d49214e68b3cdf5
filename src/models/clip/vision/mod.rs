//! The image tower, whichever a checkpoint has.

mod conv_next;
mod fast_vit;
mod resnet;
mod single_query;
mod vit;

pub use conv_next::ConvNext;
pub use fast_vit::FastVit;
pub(super) use resnet::REDUCTION;
pub use resnet::ResNet;
pub use vit::Vit;

use alloc::boxed::Box;

use super::config::{EncoderConfig, VisionConfig};
use super::naming::Naming;
use crate::error::{Result, err};
use crate::exec::{Cx, Monitor, Scratch, ScratchReq};
use crate::nn::Trace;
use crate::weights::Scope;

/// Pictures to embeddings.
#[derive(Debug)]
pub enum VisionEncoder {
    /// Most of OpenAI's and OpenCLIP's, SigLIP's, PE-Core's.
    Vit(Box<Vit>),
    /// OpenAI's RN50 to RN50x64, and those of the same architecture.
    ResNet(Box<ResNet>),
    /// MobileCLIP's.
    FastVit(Box<FastVit>),
    /// LAION's convolutional CLIPs'.
    ConvNext(Box<ConvNext>),
}

impl VisionEncoder {
    /// Binds the image tower of `scope`, the whole checkpoint.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(scope: &Scope<'_>, naming: Naming, config: &VisionConfig) -> Result<Self> {
        Ok(match &config.encoder {
            EncoderConfig::Vit(vit) => Self::Vit(Box::new(Vit::bind(scope, naming, vit, config.image_size)?)),
            EncoderConfig::FastVit(net) => Self::FastVit(Box::new(FastVit::bind(scope, naming, net)?)),
            EncoderConfig::ConvNext(net) => Self::ConvNext(Box::new(ConvNext::bind(scope, net)?)),
            EncoderConfig::ResNet(net) => {
                Self::ResNet(Box::new(ResNet::bind(scope, net, config.image_size)?))
            }
        })
    }

    /// Embeds `pixels: [batches, 3, height, width]`, normalised, into `out: [batches, outputs]`, which are not.
    ///
    /// # Errors
    /// As [`check_input`](Self::check_input); `Cancelled` by the monitor, which is asked after every layer.
    ///
    /// # Panics
    /// If a slice does not have its size, or the scratch is shorter than [`scratch_req`](Self::scratch_req).
    #[allow(clippy::too_many_arguments, reason = "pictures, an output, a trace and a monitor")]
    pub fn forward(
        &self,
        cx: &Cx,
        pixels: &[f32],
        size: [usize; 3],
        out: &mut [f32],
        scratch: Scratch<'_>,
        trace: Trace<'_>,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let [batches, height, width] = size;
        self.check_input([height, width])?;
        let len = batches * 3 * height * width;
        assert_eq!(pixels.len(), len, "pixels of shape [{batches}, 3, {height}, {width}]");
        assert_eq!(out.len(), batches * self.outputs(), "embeddings of {batches} images");
        match self {
            Self::Vit(vit) => vit.forward(cx, pixels, size, out, scratch, trace, monitor),
            Self::ResNet(net) => net.forward(cx, pixels, size, out, scratch, trace, monitor),
            Self::FastVit(net) => net.forward(cx, pixels, size, out, scratch, trace, monitor),
            Self::ConvNext(net) => net.forward(cx, pixels, size, out, scratch, trace, monitor),
        }
    }

    /// Whether the tower takes pictures of `[height, width]`.
    ///
    /// # Errors
    /// `InvalidArgument` if not.
    pub fn check_input(&self, size: [usize; 2]) -> Result<()> {
        match self {
            Self::Vit(vit) => vit.check_input(size),
            Self::ResNet(net) => net.check_input(size),
            Self::FastVit(net) => net.check_input(size),
            Self::ConvNext(net) => net.check_input(size),
        }
    }

    /// Scratch that [`forward`](Self::forward) needs for `[batches, height, width]`.
    pub fn scratch_req(&self, cx: &Cx, size: [usize; 3]) -> ScratchReq {
        match self {
            Self::Vit(vit) => vit.scratch_req(cx, size),
            Self::ResNet(net) => net.scratch_req(cx, size),
            Self::FastVit(net) => net.scratch_req(cx, size),
            Self::ConvNext(net) => net.scratch_req(cx, size),
        }
    }

    /// Tokens of a picture of `[height, width]`, or pixels of a map, by which callers bound their batches.
    pub fn tokens(&self, size: [usize; 2]) -> usize {
        match self {
            Self::Vit(vit) => vit.tokens(size),
            Self::ResNet(net) => net.tokens(size),
            Self::FastVit(net) => net.tokens(size),
            Self::ConvNext(net) => net.tokens(size),
        }
    }

    /// Features of an embedding.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Vit(vit) => vit.outputs(),
            Self::ResNet(net) => net.outputs(),
            Self::FastVit(net) => net.outputs(),
            Self::ConvNext(net) => net.outputs(),
        }
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Vit(vit) => vit.bytes(),
            Self::ResNet(net) => net.bytes(),
            Self::FastVit(net) => net.bytes(),
            Self::ConvNext(net) => net.bytes(),
        }
    }
}

/// Whether both sides are multiples of `pixel`, the side of a pixel of the last map in pixels of the picture.
///
/// # Errors
/// `InvalidArgument` with the `architecture` if not.
fn check_multiples(architecture: &str, pixel: usize, [height, width]: [usize; 2]) -> Result<()> {
    if height == 0 || width == 0 || !height.is_multiple_of(pixel) || !width.is_multiple_of(pixel) {
        return Err(err!(
            InvalidArgument,
            "input of {width}x{height}: this {architecture} takes sides that are multiples of {pixel}"
        ));
    }
    Ok(())
}
