//! The image tower: a Vision Transformer (Dosovitskiy et al., 2021) with a layer norm before its layers.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::config::ClipConfig;
use super::layer::Layer;
use super::naming::Naming;
use crate::error::{Result, err};
use crate::exec::{Cx, Scratch, padded};
use crate::kernels::activation::Activation;
use crate::kernels::attention::Bias;
use crate::kernels::conv::Patches;
use crate::kernels::gemm::{Output, Rows};
use crate::kernels::resize::interpolate::Mode;
use crate::models::positions;
use crate::nn::{LayerNorm, Linear, Trace};
use crate::weights::Scope;

/// Pictures to embeddings.
#[derive(Debug)]
pub struct VisionTower {
    /// `[D]`
    class_embedding: Vec<f32>,
    patch_embedding: Linear,
    /// `[1 + grid², D]`: the class token's, then the patches'.
    positions: Vec<f32>,
    pre_norm: LayerNorm,
    layers: Vec<Layer>,
    post_norm: LayerNorm,
    projection: Linear,
    patch_size: usize,
    /// Patches along a side of the native input.
    grid: usize,
}

impl VisionTower {
    /// Binds the tower.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(scope: &Scope<'_>, naming: Naming, config: &ClipConfig) -> Result<Self> {
        let names = naming.vision();
        let tower = &config.vision.tower;
        let (dim, patch) = (tower.hidden_size, config.vision.patch_size);
        let grid = config.vision.image_size / patch;
        let patches = scope.f32(naming.patch_embedding(), &[dim, 3, patch, patch])?;
        let patch_embedding = Linear::new(scope.level(), [dim, 3 * patch * patch], &patches, None);
        drop(patches);
        Ok(Self {
            class_embedding: scope.f32(naming.class_embedding(), &[dim])?,
            patch_embedding,
            positions: scope.f32(names.positions, &[1 + grid * grid, dim])?,
            pre_norm: LayerNorm::bind(&scope.at(naming.pre_norm()), dim, tower.layer_norm_eps)?,
            layers: (0..tower.layers)
                .map(|i| Layer::bind(&scope.at(names.layers).at(i), naming, tower))
                .collect::<Result<_>>()?,
            post_norm: LayerNorm::bind(&scope.at(names.final_norm), dim, tower.layer_norm_eps)?,
            projection: bind_projection(scope, naming, names.projection, [dim, config.projection_dim])?,
            patch_size: patch,
            grid,
        })
    }

    /// Embeds `pixels: [batches, 3, height, width]` into `out: [batches, projection_dim]`, not normalised.
    ///
    /// For an input of another size than the native one, the position embeddings are interpolated (bicubic,
    /// as `transformers` does with `interpolate_pos_encoding`).
    ///
    /// # Errors
    /// `InvalidArgument` if an input side is shorter than a patch.
    ///
    /// # Panics
    /// If a slice does not have its size, or the scratch is shorter than [`scratch_len`](Self::scratch_len).
    pub fn forward(
        &self,
        cx: &Cx,
        pixels: &[f32],
        [batches, height, width]: [usize; 3],
        out: &mut [f32],
        mut scratch: Scratch<'_>,
        mut trace: Trace<'_>,
    ) -> Result<()> {
        let dim = self.class_embedding.len();
        let (rows, columns) = (height / self.patch_size, width / self.patch_size);
        if rows == 0 || columns == 0 {
            let patch = self.patch_size;
            return Err(err!(
                InvalidArgument,
                "input of {width}x{height} is smaller than a patch of {patch}x{patch}"
            ));
        }
        assert_eq!(
            pixels.len(),
            batches * 3 * height * width,
            "pixels of shape [{batches}, 3, {height}, {width}]"
        );
        assert_eq!(out.len(), batches * self.projection.outputs(), "embeddings of {batches} images");
        let tokens = 1 + rows * columns;
        let positions = self.positions_for(cx, rows, columns)?;
        let x = scratch.take(batches * tokens * dim);

        // Embeddings: class token and patches, plus positions.
        for (pixels, x) in pixels.chunks_exact(3 * height * width).zip(x.chunks_exact_mut(tokens * dim)) {
            x.copy_from_slice(&positions);
            let (class, patches) = x.split_at_mut(dim);
            class.iter_mut().zip(&self.class_embedding).for_each(|(x, class)| *x += class);
            self.patch_embedding.forward(
                cx,
                &Patches::new(pixels, 3, height, width, self.patch_size),
                Activation::None,
                Output::Add { out: patches, stride: dim },
                scratch.frame(),
            );
        }
        trace.stage(format_args!("vision.embeddings"), x);
        self.pre_norm.forward_in_place(cx, x);
        trace.stage(format_args!("vision.pre_layrnorm"), x);

        // Encoder. Of the last layer only the class token is needed.
        let whole = if trace.is_on() { self.layers.len() } else { self.layers.len() - 1 };
        for (i, layer) in self.layers[..whole].iter().enumerate() {
            layer.forward(cx, [batches, tokens], Bias::None, x, scratch.frame());
            trace.stage(format_args!("vision.layers.{i}"), x);
        }
        if let Some(last) = self.layers.get(whole) {
            last.forward_pooled(cx, [batches, tokens], Bias::None, |_| 0, x, scratch.frame());
        } else {
            for batch in 1..batches {
                x.copy_within(batch * tokens * dim..(batch * tokens + 1) * dim, batch * dim);
            }
        }
        let class = &mut x[..batches * dim];

        // Pooling and projection.
        self.post_norm.forward_in_place(cx, class);
        trace.stage(format_args!("vision.pooled"), class);
        let output = Output::Store { out, stride: self.projection.outputs() };
        self.projection.forward(cx, &Rows::new(class, batches, dim), Activation::None, output, scratch);
        trace.stage(format_args!("image_embeds"), out);
        Ok(())
    }

    /// Scratch that [`forward`](Self::forward) needs, in f32.
    pub fn scratch_len(&self, cx: &Cx, [batches, height, width]: [usize; 3]) -> usize {
        let patches = (height / self.patch_size) * (width / self.patch_size);
        let tokens = 1 + patches;
        let layers =
            self.layers.iter().map(|layer| layer.scratch_len(cx, [batches, tokens])).max().unwrap_or(0);
        padded(batches * tokens * self.class_embedding.len())
            + layers
                .max(self.patch_embedding.scratch_len(cx, patches))
                .max(self.projection.scratch_len(cx, batches))
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.class_embedding[..])
            + size_of_val(&self.positions[..])
            + self.patch_embedding.bytes()
            + self.pre_norm.bytes()
            + self.layers.iter().map(Layer::bytes).sum::<usize>()
            + self.post_norm.bytes()
            + self.projection.bytes()
    }

    /// Position embeddings for a grid of `rows × columns` patches, `[1 + rows · columns, D]`.
    fn positions_for(&self, cx: &Cx, rows: usize, columns: usize) -> Result<Cow<'_, [f32]>> {
        if (rows, columns) == (self.grid, self.grid) {
            return Ok(Cow::Borrowed(&self.positions));
        }
        let dim = self.class_embedding.len();
        let (class, native) = self.positions.split_at(dim);
        let mut positions = class.to_vec();
        let (from, to) = ((self.grid, self.grid), (rows, columns));
        positions.extend(positions::resize(cx, Mode::Bicubic, native, from, to)?);
        Ok(Cow::Owned(positions))
    }
}

/// A projection from `[dim, embed]` features without bias.
pub(super) fn bind_projection(
    scope: &Scope<'_>,
    naming: Naming,
    name: &str,
    [dim, embed]: [usize; 2],
) -> Result<Linear> {
    if naming.transposed_projections() {
        let weight = scope.f32(name, &[dim, embed])?;
        Ok(Linear::new_transposed(scope.level(), [dim, embed], &weight))
    } else {
        let weight = scope.f32(name, &[embed, dim])?;
        Ok(Linear::new(scope.level(), [embed, dim], &weight, None))
    }
}
