//! A Vision Transformer (Dosovitskiy et al., 2021) with a layer norm before its layers.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::error::{Result, err};
use crate::exec::{Cx, Monitor, Scratch, ScratchReq, TryCollect, try_with_capacity};
use crate::kernels::activation::Activation;
use crate::kernels::attention::Bias;
use crate::kernels::conv::Patches;
use crate::kernels::gemm::Destination;
use crate::kernels::resize::interpolate::Mode;
use crate::models::clip::config::{ImagePooling, VitConfig};
use crate::models::clip::layer::Layer;
use crate::models::clip::naming::Naming;
use crate::models::clip::projection::Projection;
use crate::models::positions;
use crate::nn::{LayerNorm, Linear, Trace};
use crate::weights::Scope;

/// Patches through a transformer; the class token or the mean of the patches is projected.
#[derive(Debug)]
pub struct Vit {
    /// `[D]`
    class_embedding: Vec<f32>,
    patch_embedding: Linear,
    /// `[1 + grid², D]`: the class token's, then the patches'.
    positions: Vec<f32>,
    pre_norm: Option<LayerNorm>,
    layers: Vec<Layer>,
    post_norm: LayerNorm,
    projection: Projection,
    pooling: ImagePooling,
    patch_size: usize,
    /// Patches along a side of the native input.
    grid: usize,
}

impl Vit {
    /// Binds the tower, whose position embeddings are for inputs of `image_size` pixels a side.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(scope: &Scope<'_>, naming: Naming, config: &VitConfig, image_size: usize) -> Result<Self> {
        let names = naming.vit();
        let tower = &config.tower;
        let (dim, patch) = (tower.hidden_size, config.patch_size);
        let grid = image_size / patch;
        let norm = |name: &str| LayerNorm::bind(&scope.at(name), dim, tower.layer_norm_eps);
        let patches = || scope.f32(names.patch_embedding, &[dim, 3, patch, patch]);
        let patches = scope.keep_f32().pack(names.patch_embedding, [dim, 3 * patch * patch], patches)?;
        Ok(Self {
            class_embedding: scope.f32(names.class_embedding, &[dim])?,
            patch_embedding: Linear::of(patches, None),
            positions: scope.f32(names.positions, &[1 + grid * grid, dim])?,
            pre_norm: config.has_pre_norm.then(|| norm(names.pre_norm)).transpose()?,
            layers: (0..tower.layers)
                .map(|i| Layer::bind(&scope.at(names.layers).at(i), naming, tower))
                .try_values()?,
            post_norm: norm(names.final_norm)?,
            projection: Projection::bind(&scope.keep_f32(), naming, names.projection, dim, tower.projection)?,
            pooling: config.pooling,
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
        let dim = self.class_embedding.len();
        let (rows, columns) = (height / self.patch_size, width / self.patch_size);
        self.check_input([height, width])?;
        assert_eq!(
            pixels.len(),
            batches * 3 * height * width,
            "pixels of shape [{batches}, 3, {height}, {width}]"
        );
        assert_eq!(out.len(), batches * self.outputs(), "embeddings of {batches} images");
        let tokens = 1 + rows * columns;
        let positions = self.positions_for(cx, rows, columns)?;
        let steps = self.layers.len() + 1;
        monitor.report(0, steps)?;
        let x = scratch.take(self.features_len([batches, tokens]));

        // Embeddings: class token and patches, plus positions.
        for (pixels, x) in pixels.chunks_exact(3 * height * width).zip(x.chunks_exact_mut(tokens * dim)) {
            x.copy_from_slice(&positions);
            let (class, patches) = x.split_at_mut(dim);
            class.iter_mut().zip(&self.class_embedding).for_each(|(x, class)| *x += class);
            self.patch_embedding.forward(
                cx,
                &Patches::new(pixels, 3, height, width, self.patch_size),
                Activation::None,
                Destination::Add { out: patches, stride: dim },
                scratch.frame(),
            );
        }
        trace.stage(format_args!("vision.embeddings"), x);
        if let Some(pre_norm) = &self.pre_norm {
            pre_norm.forward_in_place(cx, x);
        }
        trace.stage(format_args!("vision.pre_layrnorm"), x);

        // Encoder. Of the last layer only the class token is needed, if that is the picture's.
        let is_pooled = !trace.is_on() && self.pooling == ImagePooling::ClassToken;
        let whole = self.layers.len() - usize::from(is_pooled);
        for (i, layer) in self.layers[..whole].iter().enumerate() {
            layer.forward(cx, [batches, tokens], Bias::None, x, scratch.frame());
            trace.stage(format_args!("vision.layers.{i}"), x);
            monitor.report(i + 1, steps)?;
        }
        if let Some(last) = self.layers.get(whole) {
            last.forward_pooled(cx, [batches, tokens], Bias::None, |_| 0, x, scratch.frame());
        } else {
            self.pool(cx, tokens, x);
        }

        // Pooling and projection.
        let pooled = &mut x[..batches * dim];
        if self.pooling != ImagePooling::MeanOfNormed {
            self.post_norm.forward_in_place(cx, pooled);
        }
        trace.stage(format_args!("vision.pooled"), pooled);
        self.projection.forward(cx, pooled, out, scratch);
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

    /// Writes what is the picture's of each sequence of `x: [batches, tokens, D]` to the front of `x`.
    fn pool(&self, cx: &Cx, tokens: usize, x: &mut [f32]) {
        let dim = self.class_embedding.len();
        if self.pooling == ImagePooling::MeanOfNormed {
            self.post_norm.forward_in_place(cx, x);
        }
        for batch in 0..x.len() / (tokens * dim) {
            let token = |i: usize| (batch * tokens + i) * dim;
            if self.pooling == ImagePooling::ClassToken {
                x.copy_within(token(0)..token(1), batch * dim);
                continue;
            }
            for column in 0..dim {
                let sum: f32 = (1..tokens).map(|i| x[token(i) + column]).sum();
                // The class token's place is free: nothing of this sequence or a later one is overwritten.
                x[token(0) + column] = sum / (tokens - 1) as f32;
            }
            x.copy_within(token(0)..token(1), batch * dim);
        }
    }

    /// Features of an embedding.
    pub fn outputs(&self) -> usize {
        self.projection.outputs()
    }

    /// The class token and the patches of a picture of `[height, width]`.
    pub fn tokens(&self, [height, width]: [usize; 2]) -> usize {
        1 + (height / self.patch_size) * (width / self.patch_size)
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub fn scratch_req(&self, cx: &Cx, [batches, height, width]: [usize; 3]) -> ScratchReq {
        let tokens = self.tokens([height, width]);
        let layers = self.layers.iter().map(|layer| layer.scratch_req(cx, [batches, tokens]));
        let parts = ScratchReq::any([
            self.patch_embedding.scratch_req(cx, tokens - 1),
            ScratchReq::any(layers),
            self.projection.scratch_req(cx, batches),
        ]);
        ScratchReq::slice(self.features_len([batches, tokens])).and(parts)
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.class_embedding[..])
            + size_of_val(&self.positions[..])
            + self.patch_embedding.bytes()
            + self.pre_norm.as_ref().map_or(0, LayerNorm::bytes)
            + self.layers.iter().map(Layer::bytes).sum::<usize>()
            + self.post_norm.bytes()
            + self.projection.bytes()
    }

    fn features_len(&self, [batches, tokens]: [usize; 2]) -> usize {
        batches * tokens * self.class_embedding.len()
    }

    /// Position embeddings for a grid of `rows × columns` patches, `[1 + rows · columns, D]`.
    fn positions_for(&self, cx: &Cx, rows: usize, columns: usize) -> Result<Cow<'_, [f32]>> {
        if (rows, columns) == (self.grid, self.grid) {
            return Ok(Cow::Borrowed(&self.positions));
        }
        let dim = self.class_embedding.len();
        let (class, native) = self.positions.split_at(dim);
        let (from, to) = ((self.grid, self.grid), (rows, columns));
        let patches = positions::resize(cx, Mode::Bicubic, native, from, to)?;
        let mut positions = try_with_capacity(dim + patches.len())?;
        positions.extend_from_slice(class);
        positions.extend_from_slice(&patches);
        Ok(Cow::Owned(positions))
    }
}
