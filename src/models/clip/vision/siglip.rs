//! SigLIP's image tower (Zhai et al., 2023): a Vision Transformer without a class token, pooled by attention of a learnt probe.
//!
//! Source: `modeling_siglip.py` of `transformers`; SigLIP 2 (Tschannen et al., 2025) has the same in its fixed resolutions.

mod pooling_head;

use alloc::borrow::Cow;
use alloc::vec::Vec;

use self::pooling_head::PoolingHead;
use crate::error::{Result, err};
use crate::exec::{Cx, Monitor, Scratch, ScratchReq, TryCollect};
use crate::kernels::activation::Activation;
use crate::kernels::attention::Bias;
use crate::kernels::conv::Patches;
use crate::kernels::gemm::Destination;
use crate::kernels::resize::interpolate::Mode;
use crate::models::clip::config::SiglipVitConfig;
use crate::models::clip::layer::Layer;
use crate::models::clip::naming::Naming;
use crate::models::positions;
use crate::nn::{LayerNorm, Linear, Trace};
use crate::weights::Scope;

/// Patches through a transformer, and a probe that attends to them.
#[derive(Debug)]
pub struct SiglipVit {
    patch_embedding: Linear,
    /// `[grid², D]`
    positions: Vec<f32>,
    layers: Vec<Layer>,
    post_norm: LayerNorm,
    head: PoolingHead,
    patch_size: usize,
    /// Patches along a side of the native input.
    grid: usize,
}

impl SiglipVit {
    /// Binds the tower, whose position embeddings are for inputs of `image_size` pixels a side.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(
        scope: &Scope<'_>,
        naming: Naming,
        config: &SiglipVitConfig,
        image_size: usize,
    ) -> Result<Self> {
        let SiglipVitConfig { tower, patch_size: patch } = config;
        let (dim, patch, grid) = (tower.hidden_size, *patch, image_size / patch);
        let vision = scope.at("vision_model");
        let embedding = vision.at("embeddings.patch_embedding");
        let patches = || embedding.f32("weight", &[dim, 3, patch, patch]);
        let patches = embedding.keep_f32().pack("weight", [dim, 3 * patch * patch], patches)?;
        Ok(Self {
            patch_embedding: Linear::of(patches, Some(embedding.f32("bias", &[dim])?)),
            positions: vision.f32("embeddings.position_embedding.weight", &[grid * grid, dim])?,
            layers: (0..tower.layers)
                .map(|i| Layer::bind(&vision.at("encoder.layers").at(i), naming, tower))
                .try_values()?,
            post_norm: LayerNorm::bind(&vision.at("post_layernorm"), dim, tower.layer_norm_eps)?,
            head: PoolingHead::bind(&vision.at("head"), tower)?,
            patch_size: patch,
            grid,
        })
    }

    /// Embeds `pixels: [batches, 3, height, width]` into `out: [batches, outputs]`, not normalised.
    ///
    /// For an input of another size than the native one, the position embeddings are interpolated (bicubic,
    /// as `transformers` does with `interpolate_pos_encoding`).
    ///
    /// # Errors
    /// `InvalidArgument` if an input side is shorter than a patch; `Cancelled` by the monitor, which is asked after every layer.
    ///
    /// # Panics
    /// If a slice does not have its size, or the scratch is shorter than [`scratch_req`](Self::scratch_req).
    #[allow(clippy::too_many_arguments, reason = "pictures, an output, a trace and a monitor")]
    pub fn forward(
        &self,
        cx: &Cx,
        pixels: &[f32],
        [batches, height, width]: [usize; 3],
        out: &mut [f32],
        mut scratch: Scratch<'_>,
        mut trace: Trace<'_>,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let dim = self.dim();
        let (rows, columns) = (height / self.patch_size, width / self.patch_size);
        self.check_input([height, width])?;
        assert_eq!(
            pixels.len(),
            batches * 3 * height * width,
            "pixels of shape [{batches}, 3, {height}, {width}]"
        );
        assert_eq!(out.len(), batches * self.outputs(), "embeddings of {batches} images");
        let tokens = rows * columns;
        let positions = self.positions_for(cx, rows, columns)?;
        let steps = self.layers.len() + 1;
        monitor.report(0, steps)?;
        let x = scratch.take(batches * tokens * dim);

        // Embeddings: patches plus positions.
        for (pixels, x) in pixels.chunks_exact(3 * height * width).zip(x.chunks_exact_mut(tokens * dim)) {
            x.copy_from_slice(&positions);
            self.patch_embedding.forward(
                cx,
                &Patches::new(pixels, 3, height, width, self.patch_size),
                Activation::None,
                Destination::Add { out: x, stride: dim },
                scratch.frame(),
            );
        }
        trace.stage(format_args!("vision.embeddings"), x);

        // Encoder.
        for (i, layer) in self.layers.iter().enumerate() {
            layer.forward(cx, [batches, tokens], Bias::None, x, scratch.frame());
            trace.stage(format_args!("vision.layers.{i}"), x);
            monitor.report(i + 1, steps)?;
        }
        self.post_norm.forward_in_place(cx, x);
        trace.stage(format_args!("vision.post_layernorm"), x);

        // Pooling.
        self.head.forward(cx, [batches, tokens], x, out, scratch);
        trace.stage(format_args!("image_embeds"), out);
        Ok(())
    }

    /// Whether inputs may have `[height, width]` pixels.
    ///
    /// # Errors
    /// `InvalidArgument` if a side is shorter than a patch.
    pub fn check_input(&self, [height, width]: [usize; 2]) -> Result<()> {
        let patch = self.patch_size;
        if height < patch || width < patch {
            return Err(err!(
                InvalidArgument,
                "input of {width}x{height} is smaller than a patch of {patch}x{patch}"
            ));
        }
        Ok(())
    }

    /// Features of an embedding.
    pub fn outputs(&self) -> usize {
        self.dim()
    }

    /// The patches of a picture of `[height, width]`.
    pub fn tokens(&self, [height, width]: [usize; 2]) -> usize {
        (height / self.patch_size) * (width / self.patch_size)
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub fn scratch_req(&self, cx: &Cx, [batches, height, width]: [usize; 3]) -> ScratchReq {
        let tokens = self.tokens([height, width]);
        let layers = self.layers.iter().map(|layer| layer.scratch_req(cx, [batches, tokens]));
        let parts = ScratchReq::any([
            self.patch_embedding.scratch_req(cx, tokens),
            ScratchReq::any(layers),
            self.head.scratch_req(cx, [batches, tokens]),
        ]);
        ScratchReq::slice(batches * tokens * self.dim()).and(parts)
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.positions[..])
            + self.patch_embedding.bytes()
            + self.layers.iter().map(Layer::bytes).sum::<usize>()
            + self.post_norm.bytes()
            + self.head.bytes()
    }

    fn dim(&self) -> usize {
        self.post_norm.dim()
    }

    /// Position embeddings for a grid of `rows × columns` patches, `[rows · columns, D]`.
    fn positions_for(&self, cx: &Cx, rows: usize, columns: usize) -> Result<Cow<'_, [f32]>> {
        if (rows, columns) == (self.grid, self.grid) {
            return Ok(Cow::Borrowed(&self.positions));
        }
        let (from, to) = ((self.grid, self.grid), (rows, columns));
        positions::resize(cx, Mode::Bicubic, &self.positions, from, to).map(Cow::Owned)
    }
}
