//! CLIP's text tower: a transformer with causal attention, pooled at the end token.
//!
//! OpenCLIP also has towers whose attention is not causal, or that are pooled elsewhere. MobileCLIP S0's has blocks of
//! convolutions before its layers and after them.

use alloc::vec::Vec;

use super::{batches, embed};
use crate::error::Result;
use crate::exec::{Cx, Monitor, Scratch, ScratchReq, TryCollect};
use crate::kernels::attention::Bias;
use crate::models::clip::config::{LONG_POSITIONS, Pooling, TextConfig};
use crate::models::clip::layer::Layer;
use crate::models::clip::mobile::{MixerBlock, Names};
use crate::models::clip::naming::Naming;
use crate::models::clip::projection::Projection;
use crate::nn::{LayerNorm, Trace};
use crate::weights::{Scope, Table};

/// Tokens to embeddings.
#[derive(Debug)]
pub struct TextTower {
    /// `[vocabulary, D]`
    token_embedding: Table,
    /// `[context, D]`
    positions: Vec<f32>,
    /// Blocks of convolutions before the layers and after them.
    mixers: Option<[MixerBlock; 2]>,
    layers: Vec<Layer>,
    final_norm: LayerNorm,
    projection: Projection,
    pooling: Pooling,
    is_causal: bool,
    /// Whether texts are as long as the context.
    is_padded: bool,
}

/// Position embeddings that Long-CLIP took over from CLIP.
const KEPT_POSITIONS: usize = 20;

/// Kernel of the mixers and of their MLPs, along the text.
const MIXER_KERNEL: [usize; 2] = [1, 11];

/// Features inside the MLP of a mixer for each outside.
const MLP_RATIO: usize = 4;

impl TextTower {
    /// Binds the tower.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(scope: &Scope<'_>, naming: Naming, config: &TextConfig) -> Result<Self> {
        let names = naming.text();
        let tower = &config.tower;
        let dim = tower.hidden_size;
        let ones: &[usize] = if naming == Naming::MobileClip { &[1, 1] } else { &[] };
        let shape = [ones, &[config.context_length, dim]].concat();
        let mut positions = scope.f32(names.positions, &shape)?;
        if config.has_long_positions {
            let long = scope.f32(LONG_POSITIONS, &[config.context_length, dim])?;
            let rows = positions.iter_mut().zip(&long).skip(KEPT_POSITIONS * dim);
            rows.for_each(|(position, &long)| *position = long);
        }
        let layers = scope.at(names.layers);
        let first = usize::from(config.has_mixers);
        let mixer = |i: usize| {
            let widths = [dim, MLP_RATIO * dim];
            MixerBlock::bind(&layers.at(i), Names::of(naming), widths, [MIXER_KERNEL; 2])
        };
        let mixers = || Ok([mixer(0)?, mixer(first + tower.layers)?]);
        Ok(Self {
            token_embedding: scope.table(names.token_embedding, [config.vocab_size, dim])?,
            positions,
            mixers: config.has_mixers.then(mixers).transpose()?,
            layers: (0..tower.layers)
                .map(|i| Layer::bind(&layers.at(first + i), &naming.text_layer(), tower, false))
                .try_values()?,
            final_norm: LayerNorm::bind(&scope.at(names.final_norm), dim, tower.layer_norm_eps)?,
            projection: Projection::bind(&scope.keep_f32(), naming, names.projection, dim, tower.projection)?,
            pooling: config.pooling,
            is_causal: config.is_causal,
            is_padded: config.is_padded(),
        })
    }

    /// Embeds `ids: [batches, length]` into `out: [batches, outputs]`, not normalised.
    ///
    /// Where attention is causal, nothing after a text's end token reaches its embedding: the tower runs on the
    /// columns up to the last end token of the batch.
    ///
    /// # Errors
    /// `InvalidArgument` for no token, more tokens than positions, or an id outside the vocabulary; `Cancelled` by the monitor,
    /// which is asked after every layer.
    ///
    /// # Panics
    /// If a slice does not have its size, or the scratch is shorter than [`scratch_req`](Self::scratch_req).
    #[allow(clippy::too_many_arguments, reason = "texts, an output, a trace and a monitor")]
    pub fn forward(
        &self,
        cx: &Cx,
        ids: &[u32],
        length: usize,
        out: &mut [f32],
        mut scratch: Scratch<'_>,
        mut trace: Trace<'_>,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let dim = self.dim();
        let context = self.positions.len() / dim;
        let batches = batches(ids, length, context, out, self.outputs())?;
        let ends = ids.chunks_exact(length).map(|ids| self.end(ids));
        let tokens = if trace.is_on() || self.is_padded { length } else { 1 + ends.max().unwrap_or(0) };
        let bias = if self.is_causal { Bias::Causal } else { Bias::None };
        let steps = self.layers.len() + 1;
        monitor.report(0, steps)?;
        let [x, other] = scratch.take_all(self.buffers([batches, tokens]));

        // Embeddings: tokens plus positions.
        for (ids, x) in ids.chunks_exact(length).zip(x.chunks_exact_mut(tokens * dim)) {
            let positions = self.positions.chunks_exact(dim);
            for ((&id, x), position) in ids.iter().zip(x.chunks_exact_mut(dim)).zip(positions) {
                embed(&self.token_embedding, id, position, x)?;
            }
        }
        trace.stage(format_args!("text.embeddings"), x);

        // Encoder. Of the last layer only the end tokens are needed, if nothing mixes tokens after it.
        let end = |batch: usize| self.end(&ids[batch * length..][..length]);
        let size = [batches, 1, tokens];
        let (mut x, mut other) = (x, other);
        if let Some([before, _]) = &self.mixers {
            before.forward(cx, size, x, other, scratch.frame());
            core::mem::swap(&mut x, &mut other);
            trace.stage(format_args!("text.mixers.0"), x);
        }
        let is_pooled = !trace.is_on() && self.mixers.is_none();
        let whole = self.layers.len() - usize::from(is_pooled);
        for (i, layer) in self.layers[..whole].iter().enumerate() {
            layer.forward(cx, [batches, tokens], bias, None, x, scratch.frame());
            trace.stage(format_args!("text.layers.{i}"), x);
            monitor.report(i + 1, steps)?;
        }
        if let Some([_, after]) = &self.mixers {
            after.forward(cx, size, x, other, scratch.frame());
            core::mem::swap(&mut x, &mut other);
            trace.stage(format_args!("text.mixers.1"), x);
        }
        let pooled = if let Some(last) = self.layers.get(whole) {
            let at = (0..batches).map(|batch| batch * tokens + end(batch));
            last.forward_pooled(cx, [batches, tokens], bias, at, x, scratch.frame());
            let pooled = &mut x[..batches * dim];
            self.final_norm.forward_in_place(cx, pooled);
            pooled
        } else {
            self.final_norm.forward_in_place(cx, x);
            trace.stage(format_args!("text.final_layer_norm"), x);
            for batch in 0..batches {
                let token = batch * tokens + end(batch);
                x.copy_within(token * dim..(token + 1) * dim, batch * dim);
            }
            &mut x[..batches * dim]
        };

        // Projection.
        trace.stage(format_args!("text.pooled"), pooled);
        self.projection.forward(cx, pooled, out, scratch);
        trace.stage(format_args!("text_embeds"), out);
        Ok(())
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub fn scratch_req(&self, cx: &Cx, [batches, length]: [usize; 2]) -> ScratchReq {
        let layers = self.layers.iter().map(|layer| layer.scratch_req(cx, [batches, length]));
        let mixers = self.mixers.iter().flatten().map(|mixer| mixer.scratch_req(cx, [batches, 1, length]));
        let parts =
            ScratchReq::any(layers).or(ScratchReq::any(mixers)).or(self.projection.scratch_req(cx, batches));
        ScratchReq::slices(self.buffers([batches, length])).and(parts)
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        self.token_embedding.bytes()
            + size_of_val(&self.positions[..])
            + self.mixers.iter().flatten().map(MixerBlock::bytes).sum::<usize>()
            + self.layers.iter().map(Layer::bytes).sum::<usize>()
            + self.final_norm.bytes()
            + self.projection.bytes()
    }

    /// Features of an embedding.
    pub fn outputs(&self) -> usize {
        self.projection.outputs()
    }

    fn dim(&self) -> usize {
        self.final_norm.dim()
    }

    /// Lengths of the tokens and, for mixers, of as many beside them.
    fn buffers(&self, [batches, tokens]: [usize; 2]) -> [usize; 2] {
        let len = batches * tokens * self.dim();
        [len, if self.mixers.is_some() { len } else { 0 }]
    }

    /// The index of the token whose features are the text's; 0 if there is no end token, as in the reference.
    fn end(&self, ids: &[u32]) -> usize {
        match self.pooling {
            Pooling::First | Pooling::Mean => 0,
            Pooling::Last => ids.len() - 1,
            Pooling::FirstEos(eos) => ids.iter().position(|&id| id == eos).unwrap_or(0),
            Pooling::Argmax => {
                let mut end = 0;
                for (i, &id) in ids.iter().enumerate() {
                    if id > ids[end] {
                        end = i;
                    }
                }
                end
            }
        }
    }
}
