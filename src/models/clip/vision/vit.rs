//! A Vision Transformer (Dosovitskiy et al., 2021) with what image towers vary in it: a layer norm before its layers, patches
//! that a stem of convolutions embeds (MobileCLIP), rotary positions (PE-Core, EVA-02), EVA's layers, and tokens that attention pools (SigLIP, PE-Core).
//!
//! Sources: `model.py` of OpenAI's CLIP and of open_clip; `modeling_siglip.py` of `transformers`, whose SigLIP 2 (Tschannen et
//! al., 2025) is the same in its fixed resolutions; `core/vision_encoder/pe.py` of `perception_models` (Bolya et al., 2025);
//! `mobileclip/models/vit.py` of `ml-mobileclip` (Vasu et al., 2024); `eva.py` of timm (Sun et al., EVA-CLIP, 2023).

mod pooling_head;
mod stem;

use alloc::borrow::Cow;
use alloc::vec::Vec;

use self::pooling_head::PoolingHead;
use self::stem::Stem;
use crate::error::{Result, err};
use crate::exec::{Cx, Monitor, Scratch, ScratchReq, TryCollect, try_with_capacity, try_zeroed};
use crate::kernels::attention::Bias;
use crate::kernels::resize::interpolate::Mode;
use crate::models::clip::config::{Block, ClassToken, ImagePooling, OtherSizes, Rotary, VitConfig};
use crate::models::clip::layer::Layer;
use crate::models::clip::naming::{EVA_02_LAYER, EVA_LAYER, Naming};
use crate::models::clip::places::Places;
use crate::models::clip::projection::Projection;
use crate::models::positions;
use crate::nn::{LayerNorm, Trace};
use crate::weights::Scope;

/// Patches through a transformer; one token, the mean of the patches, or what a probe finds in them is projected.
#[derive(Debug)]
pub struct Vit {
    stem: Stem,
    /// `[1 + grid², D]`: the class token with its position, if there is one, then the patches' positions.
    positions: Vec<f32>,
    /// Rotary positions of the native input.
    places: Option<Places>,
    /// How they are for any input.
    rotary: Option<Rotary>,
    pre_norm: Option<LayerNorm>,
    layers: Vec<Layer>,
    post_norm: LayerNorm,
    head: Option<PoolingHead>,
    projection: Projection,
    pooling: ImagePooling,
    other_sizes: OtherSizes,
    has_class: bool,
    /// Features of a head.
    head_dim: usize,
    /// Patches along a side of the native input.
    grid: usize,
    /// Pixels along it.
    image_size: usize,
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
        let (grid, head_dim) = (image_size / patch, dim / tower.heads);
        let has_class = config.class_token != ClassToken::None;
        let norm = |name: &str| LayerNorm::bind(&scope.at(name), dim, tower.layer_norm_eps);
        let places = |kind: Rotary| {
            scope.check_derived("rotary positions", (1 + grid * grid) * head_dim)?;
            Places::new(kind, [grid; 2], head_dim, has_class)
        };
        let layer_names = match config.block {
            Block::Plain => naming.vit_layer(),
            Block::Eva => EVA_LAYER,
            Block::Eva02 => EVA_02_LAYER,
        };
        let head = match config.pooling {
            ImagePooling::Attention(pool) => Some(PoolingHead::bind(scope, naming, tower, pool)?),
            _ => None,
        };
        Ok(Self {
            stem: Stem::bind(&scope.keep_f32(), naming, config)?,
            positions: bind_positions(scope, naming, config, grid)?,
            places: config.rotary.map(places).transpose()?,
            rotary: config.rotary,
            pre_norm: config.has_pre_norm.then(|| norm(names.pre_norm)).transpose()?,
            layers: (0..tower.layers)
                .map(|i| {
                    let layer = scope.at(names.layers).at(i);
                    Layer::bind(&layer, &layer_names, tower, config.rotary.is_some())
                })
                .try_values()?,
            post_norm: norm(names.final_norm)?,
            head,
            projection: Projection::bind(&scope.keep_f32(), naming, names.projection, dim, tower.projection)?,
            pooling: config.pooling,
            other_sizes: config.other_sizes,
            has_class,
            head_dim,
            grid,
            image_size,
        })
    }

    /// Embeds `pixels: [batches, 3, height, width]` into `out: [batches, outputs]`, not normalised.
    ///
    /// For an input of another size than the native one, the position embeddings are interpolated, if the config's
    /// [`OtherSizes`] say how.
    ///
    /// Sizes are right: [`VisionEncoder::forward`](super::VisionEncoder::forward) has checked them.
    ///
    /// # Errors
    /// `Cancelled` by the monitor, which is asked after every layer.
    ///
    /// # Panics
    /// If the scratch is shorter than [`scratch_req`](Self::scratch_req).
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
        let grid = self.grid([height, width]);
        let tokens = self.tokens([height, width]);
        let positions = self.positions_for(cx, grid)?;
        let other_places = self.other_places(grid)?;
        let places = other_places.as_ref().or(self.places.as_ref());
        let steps = self.layers.len() + 1;
        monitor.report(0, steps)?;
        let [x, attended] = scratch.take_all(self.buffers([batches, tokens]));

        // Embeddings: class token and patches, plus positions.
        for (pixels, x) in pixels.chunks_exact(3 * height * width).zip(x.chunks_exact_mut(tokens * dim)) {
            x.copy_from_slice(&positions);
            let patches = &mut x[(tokens - grid[0] * grid[1]) * dim..];
            self.stem.add(cx, [height, width], pixels, patches, scratch.frame());
        }
        trace.stage(format_args!("vision.embeddings"), x);
        if let Some(pre_norm) = &self.pre_norm {
            pre_norm.forward_in_place(cx, x);
            trace.stage(format_args!("vision.pre_layrnorm"), x);
        }

        // Encoder. Of the last layer only the class token is needed, if that is the picture's.
        let is_pooled = !trace.is_on() && self.pooling == ImagePooling::ClassToken && places.is_none();
        let whole = self.layers.len() - usize::from(is_pooled);
        for (i, layer) in self.layers[..whole].iter().enumerate() {
            layer.forward(cx, [batches, tokens], Bias::None, places, x, scratch.frame());
            trace.stage(format_args!("vision.layers.{i}"), x);
            monitor.report(i + 1, steps)?;
        }
        if let Some(last) = self.layers.get(whole) {
            let at = (0..batches).map(|batch| batch * tokens);
            last.forward_pooled(cx, [batches, tokens], Bias::None, at, x, scratch.frame());
        }

        // Pooling and projection.
        let pooled = match &self.head {
            Some(head) => {
                self.post_norm.forward_in_place(cx, x);
                trace.stage(format_args!("vision.post_layernorm"), x);
                head.forward(cx, [batches, tokens], x, attended, scratch.frame());
                attended
            }
            None => {
                if !is_pooled {
                    self.pool(cx, tokens, x);
                }
                let pooled = &mut x[..batches * dim];
                if self.pooling != ImagePooling::MeanOfNormed {
                    self.post_norm.forward_in_place(cx, pooled);
                }
                pooled
            }
        };
        if self.projection.is_some() {
            trace.stage(format_args!("vision.pooled"), pooled);
        }
        self.projection.forward(cx, pooled, out, scratch);
        trace.stage(format_args!("image_embeds"), out);
        Ok(())
    }

    /// Whether inputs may have `[height, width]` pixels.
    ///
    /// # Errors
    /// `InvalidArgument` if a side is shorter than a patch, or if only the native size is possible.
    pub fn check_input(&self, [height, width]: [usize; 2]) -> Result<()> {
        let patch = self.stem.patch_size();
        if height < patch || width < patch {
            return Err(err!(
                InvalidArgument,
                "input of {width}x{height} is smaller than a patch of {patch}x{patch}"
            ));
        }
        let native = self.image_size;
        if self.other_sizes == OtherSizes::Refused && [height, width] != [native; 2] {
            return Err(err!(
                InvalidArgument,
                "input of {width}x{height}: this tower has positions for {native}x{native} alone"
            ));
        }
        Ok(())
    }

    /// Writes what is the picture's of each sequence of `x: [batches, tokens, D]` to the front of `x`.
    fn pool(&self, cx: &Cx, tokens: usize, x: &mut [f32]) {
        let dim = self.dim();
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

    /// The class token, if there is one, and the patches of a picture of `[height, width]`.
    pub fn tokens(&self, size: [usize; 2]) -> usize {
        let [rows, columns] = self.grid(size);
        usize::from(self.has_class) + rows * columns
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub fn scratch_req(&self, cx: &Cx, [batches, height, width]: [usize; 3]) -> ScratchReq {
        let tokens = self.tokens([height, width]);
        let layers = self.layers.iter().map(|layer| layer.scratch_req(cx, [batches, tokens]));
        let head = self.head.as_ref().map(|head| head.scratch_req(cx, [batches, tokens]));
        let parts = ScratchReq::any([
            self.stem.scratch_req(cx, [height, width]),
            ScratchReq::any(layers),
            head.unwrap_or(ScratchReq::NONE),
            self.projection.scratch_req(cx, batches),
        ]);
        ScratchReq::slices(self.buffers([batches, tokens])).and(parts)
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        self.stem.bytes()
            + size_of_val(&self.positions[..])
            + self.places.as_ref().map_or(0, Places::bytes)
            + self.pre_norm.as_ref().map_or(0, LayerNorm::bytes)
            + self.layers.iter().map(Layer::bytes).sum::<usize>()
            + self.post_norm.bytes()
            + self.head.as_ref().map_or(0, PoolingHead::bytes)
            + self.projection.bytes()
    }

    fn dim(&self) -> usize {
        self.post_norm.dim()
    }

    /// Rows and columns of patches of an input of `[height, width]`.
    fn grid(&self, size: [usize; 2]) -> [usize; 2] {
        size.map(|side| side / self.stem.patch_size())
    }

    /// Lengths of the tokens and of what attention makes of them.
    fn buffers(&self, [batches, tokens]: [usize; 2]) -> [usize; 2] {
        let dim = self.dim();
        [batches * tokens * dim, if self.head.is_some() { batches * dim } else { 0 }]
    }

    /// Position embeddings, with the class token, for a grid of `[rows, columns]` patches.
    fn positions_for(&self, cx: &Cx, grid: [usize; 2]) -> Result<Cow<'_, [f32]>> {
        if grid == [self.grid; 2] {
            return Ok(Cow::Borrowed(&self.positions));
        }
        let (mode, antialias) = match self.other_sizes {
            OtherSizes::Refused => return Err(err!(InvalidArgument, "positions for {grid:?} patches")),
            OtherSizes::Interpolated(mode) => (mode, false),
            OtherSizes::NaFlex => (Mode::Bilinear, true),
        };
        let class = if self.has_class { self.dim() } else { 0 };
        let (class, native) = self.positions.split_at(class);
        let (from, to) = ((self.grid, self.grid), (grid[0], grid[1]));
        let patches = positions::resize(cx, (mode, antialias), native, from, to)?;
        let mut positions = try_with_capacity(class.len() + patches.len())?;
        positions.extend_from_slice(class);
        positions.extend_from_slice(&patches);
        Ok(Cow::Owned(positions))
    }

    /// Rotary positions for a grid of another size than the native one.
    fn other_places(&self, grid: [usize; 2]) -> Result<Option<Places>> {
        let rotary = self.rotary.filter(|_| grid != [self.grid; 2]);
        rotary.map(|kind| Places::new(kind, grid, self.head_dim, self.has_class)).transpose()
    }
}

/// The class token with its position, and the positions of patches.
fn bind_positions(scope: &Scope<'_>, naming: Naming, config: &VitConfig, grid: usize) -> Result<Vec<f32>> {
    let (names, ones, dim) = (naming.vit(), naming.vit_ones(), config.tower.hidden_size);
    let (class, placed) = match config.class_token {
        ClassToken::None => (0, 0),
        ClassToken::Placed => (1, 1),
        ClassToken::Unplaced => (1, 0),
    };
    let shape = [ones, &[placed + grid * grid, dim]].concat();
    let mut positions = scope.f32(names.positions, &shape)?;
    if class > placed {
        let mut padded = try_zeroed(dim + positions.len())?;
        padded[dim..].copy_from_slice(&positions);
        positions = padded;
    }
    if class > 0 {
        // Where the embedding is a parameter alone, it has one dimension; where it is a sequence of one token, three.
        let shape = if ones.is_empty() { alloc::vec![dim] } else { alloc::vec![1, 1, dim] };
        let embedding = scope.f32(names.class_embedding, &shape)?;
        positions.iter_mut().zip(&embedding).for_each(|(x, class)| *x += class);
    }
    Ok(positions)
}
