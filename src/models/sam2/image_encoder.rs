//! The image encoder: trunk and neck.

use super::config::{STAGES, Sam2Config};
use super::features::FrameFeatures;
use super::fpn_neck::FpnNeck;
use super::hiera::Hiera;
use super::naming;
use crate::error::Result;
use crate::exec::{Cx, Monitor, Scratch, ScratchReq};
use crate::models::sam::Naming;
use crate::nn::Trace;
use crate::weights::Scope;

/// A picture to its features, at three resolutions.
#[derive(Debug)]
pub struct ImageEncoder {
    trunk: Hiera,
    neck: FpnNeck,
    /// Lengths of a frame's features.
    lens: [usize; 3],
    grid: usize,
}

impl ImageEncoder {
    /// Binds the encoder of `scope`, the whole checkpoint, for inputs of `config.image_size`.
    ///
    /// # Errors
    /// `InvalidArgument` if the position embeddings do not fit that size, and as [`Scope::f32`].
    pub fn bind(scope: &Scope<'_>, naming: Naming, config: &Sam2Config) -> Result<Self> {
        let names = naming::encoder(naming);
        Ok(Self {
            trunk: Hiera::bind(&scope.at(names.trunk), &names, &config.hiera, config.image_size)?,
            neck: FpnNeck::bind(&scope.keep_f32(), &names, config)?,
            lens: FrameFeatures::lens(config),
            grid: config.grid(),
        })
    }

    /// Encodes `pixels: [3, S, S]`, normalised, with `S` the configuration's image size.
    ///
    /// # Errors
    /// `Cancelled` if the monitor's callback stops the work; it is called after every block.
    ///
    /// # Panics
    /// If `out` does not have the lengths [`features_lens`](Self::features_lens), a slice does not have its size, or
    /// the scratch is shorter than [`scratch_req`](Self::scratch_req).
    pub fn forward(
        &self,
        cx: &Cx,
        pixels: &[f32],
        out: &mut FrameFeatures,
        mut scratch: Scratch<'_>,
        mut trace: Trace<'_>,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        assert_eq!(out.parts().map(<[f32]>::len), self.lens, "features of a frame");
        let [x0, x1, x2, x3] = scratch.take_all(self.buffers());
        let outputs = [&mut *x0, &mut *x1, &mut *x2, &mut *x3];
        self.trunk.forward(cx, pixels, outputs, scratch.frame(), &mut trace, monitor)?;

        let FrameFeatures { top, s1, s0 } = out;
        let outs = [&mut s0[..], &mut s1[..], &mut top[..]];
        self.neck.forward(cx, self.grid, [x0, x1, x2, x3].map(|x| &*x), outs, scratch);
        trace.stage(format_args!("image_encoder.neck.top"), top);
        trace.stage(format_args!("image_encoder.neck.s1"), s1);
        trace.stage(format_args!("image_encoder.neck.s0"), s0);
        Ok(())
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub fn scratch_req(&self, cx: &Cx) -> ScratchReq {
        let parts = self.trunk.scratch_req(cx).or(self.neck.scratch_req(cx, self.grid));
        ScratchReq::slices(self.buffers()).and(parts)
    }

    /// Lengths of the trunk's features after each stage.
    fn buffers(&self) -> [usize; STAGES] {
        core::array::from_fn(|i| self.trunk.stage_len(i))
    }

    /// Lengths of a frame's features.
    pub fn features_lens(&self) -> [usize; 3] {
        self.lens
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        self.trunk.bytes() + self.neck.bytes()
    }
}
