//! The image encoder: trunk and neck.

use super::config::{STAGES, Sam2Config};
use super::fpn_neck::FpnNeck;
use super::hiera::Hiera;
use super::naming;
use crate::error::Result;
use crate::exec::{Cx, Monitor, Scratch, padded};
use crate::models::sam::Naming;
use crate::nn::Trace;
use crate::weights::Scope;

/// A picture to its features, at three resolutions.
#[derive(Debug)]
pub struct ImageEncoder {
    trunk: Hiera,
    neck: FpnNeck,
    layout: FeatureLayout,
    grid: usize,
}

/// How many f32 the parts of an encoding have, `g` tokens being along a side of the image embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureLayout {
    /// The image embedding, `[g, g, C]`, to which nothing is added yet that stands for the lack of memories.
    pub top: usize,
    /// Features for the first upscaling of masks, `[2g, 2g, C / 4]`.
    pub s1: usize,
    /// Features for the second upscaling of masks, `[4g, 4g, C / 8]`.
    pub s0: usize,
}

impl FeatureLayout {
    /// The parts for inputs of `config.image_size`.
    pub fn of(config: &Sam2Config) -> Self {
        let (grid, dim) = (config.grid(), config.dim);
        Self { top: grid * grid * dim, s1: 4 * grid * grid * (dim / 4), s0: 16 * grid * grid * (dim / 8) }
    }

    /// All parts together.
    pub fn len(&self) -> usize {
        self.top + self.s1 + self.s0
    }

    /// Whether there is nothing, which no configuration allows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The parts of `features`.
    ///
    /// # Panics
    /// If there are not [`len`](Self::len) of them.
    pub fn split<'a>(&self, features: &'a [f32]) -> Features<'a> {
        assert_eq!(features.len(), self.len(), "features of {self:?}");
        let (top, rest) = features.split_at(self.top);
        let (s1, s0) = rest.split_at(self.s1);
        Features { top, s1, s0 }
    }
}

/// The parts of an encoding; see [`FeatureLayout`].
#[derive(Clone, Copy, Debug)]
pub struct Features<'a> {
    /// `[g, g, C]`.
    pub top: &'a [f32],
    /// `[2g, 2g, C / 4]`.
    pub s1: &'a [f32],
    /// `[4g, 4g, C / 8]`.
    pub s0: &'a [f32],
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
            neck: FpnNeck::bind(scope, &names, config)?,
            layout: FeatureLayout::of(config),
            grid: config.grid(),
        })
    }

    /// Encodes `pixels: [3, S, S]`, normalised, with `S` the configuration's image size. `out` has
    /// [`features_len`](Self::features_len) f32 and is laid out as [`layout`](Self::layout) says.
    ///
    /// # Errors
    /// `Cancelled` if the monitor's callback stops the work; it is called after every block.
    ///
    /// # Panics
    /// If a slice does not have its size, or the scratch is shorter than [`scratch_len`](Self::scratch_len).
    pub fn forward(
        &self,
        cx: &Cx,
        pixels: &[f32],
        out: &mut [f32],
        mut scratch: Scratch<'_>,
        mut trace: Trace<'_>,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        assert_eq!(out.len(), self.features_len(), "features of {:?}", self.layout);
        let stages: [&mut [f32]; STAGES] = core::array::from_fn(|i| scratch.take(self.trunk.stage_len(i)));
        let [x0, x1, x2, x3] = stages;
        let outputs = [&mut *x0, &mut *x1, &mut *x2, &mut *x3];
        self.trunk.forward(cx, pixels, outputs, scratch.frame(), &mut trace, monitor)?;

        let (top, rest) = out.split_at_mut(self.layout.top);
        let (s1, s0) = rest.split_at_mut(self.layout.s1);
        let outs = [&mut *s0, &mut *s1, &mut *top];
        self.neck.forward(cx, self.grid, [x0, x1, x2, x3].map(|x| &*x), outs, scratch);
        trace.stage(format_args!("image_encoder.neck.top"), top);
        trace.stage(format_args!("image_encoder.neck.s1"), s1);
        trace.stage(format_args!("image_encoder.neck.s0"), s0);
        Ok(())
    }

    /// Scratch that [`forward`](Self::forward) needs, in f32.
    pub fn scratch_len(&self, cx: &Cx) -> usize {
        let stages: usize = (0..STAGES).map(|i| padded(self.trunk.stage_len(i))).sum();
        stages + self.trunk.scratch_len(cx).max(self.neck.scratch_len(cx, self.grid))
    }

    /// f32 of an encoding.
    pub fn features_len(&self) -> usize {
        self.layout.len()
    }

    /// Where the parts of an encoding are.
    pub fn layout(&self) -> &FeatureLayout {
        &self.layout
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        self.trunk.bytes() + self.neck.bytes()
    }
}
