//! The image encoder, whichever a checkpoint has.

use alloc::boxed::Box;

use super::config::{EncoderConfig, SamConfig};
use super::naming::Naming;
use super::tiny_vit::TinyVit;
use super::vit::Vit;
use crate::error::Result;
use crate::exec::{Cx, Monitor, Scratch, ScratchReq};
use crate::nn::Trace;
use crate::weights::Scope;

/// A picture to its embedding.
#[derive(Debug)]
pub enum ImageEncoder {
    /// SAM's and SlimSAM's.
    Vit(Box<Vit>),
    /// MobileSAM's.
    TinyVit(Box<TinyVit>),
}

impl ImageEncoder {
    /// Binds the encoder of `scope`, the whole checkpoint, for inputs of `config.image_size`.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(scope: &Scope<'_>, naming: Naming, config: &SamConfig) -> Result<Self> {
        let scope = scope.at(naming.encoder().encoder);
        Ok(match &config.encoder {
            EncoderConfig::Vit(vit) => {
                Self::Vit(Box::new(Vit::bind(&scope, naming, vit, config.grid(), config.dim)?))
            }
            EncoderConfig::TinyVit(tiny) => {
                Self::TinyVit(Box::new(TinyVit::bind(&scope, tiny, config.image_size, config.dim)?))
            }
        })
    }

    /// Embeds `pixels: [3, S, S]`, normalised and padded, into `out: [grid, grid, C]`, with `S` the configuration's
    /// image size.
    ///
    /// # Errors
    /// `Cancelled` if the monitor's callback stops the work; it is called after every block.
    ///
    /// # Panics
    /// If a slice does not have its size, or the scratch is shorter than [`scratch_req`](Self::scratch_req).
    pub fn forward(
        &self,
        cx: &Cx,
        pixels: &[f32],
        out: &mut [f32],
        scratch: Scratch<'_>,
        trace: Trace<'_>,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        match self {
            Self::Vit(vit) => vit.forward(cx, pixels, out, scratch, trace, monitor),
            Self::TinyVit(tiny) => tiny.forward(cx, pixels, out, scratch, trace, monitor),
        }
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub fn scratch_req(&self, cx: &Cx) -> ScratchReq {
        match self {
            Self::Vit(vit) => vit.scratch_req(cx),
            Self::TinyVit(tiny) => tiny.scratch_req(cx),
        }
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Vit(vit) => vit.bytes(),
            Self::TinyVit(tiny) => tiny.bytes(),
        }
    }
}
