//! BERT (Devlin et al., 2019) and RoBERTa (Liu et al., 2019) as text towers.
//!
//! Tokens, positions and the first token type are added and normalised; layers have their norms behind; the first token, or the
//! mean of all tokens, is projected. Padding is attended to by no token and counts in no mean: it is left out, and the texts of
//! a batch lie one after the other.
//!
//! Sources: `modeling_bert.py`, `modeling_xlm_roberta.py` and `modeling_chinese_clip.py` of `transformers`, `hf_model.py` of
//! open_clip, `pt_multilingual_clip.py` of Multilingual-CLIP.

use alloc::vec::Vec;

use super::{batches, embed};
use crate::error::{Result, err};
use crate::exec::{Cx, Monitor, Scratch, ScratchReq, TryCollect, try_with_capacity};
use crate::kernels::activation::Activation;
use crate::kernels::attention::Bias;
use crate::kernels::gemm::{Destination, Rows};
use crate::models::clip::config::{BertConfig, Pooling, TextConfig};
use crate::models::clip::layer::Layer;
use crate::models::clip::naming::{BERT_LAYER, Naming};
use crate::models::clip::projection::Projection;
use crate::nn::{LayerNorm, Linear, Trace};
use crate::weights::{Scope, Table};

/// Tokens to embeddings.
#[derive(Debug)]
pub struct Bert {
    /// `[vocabulary, D]`
    token_embedding: Table,
    /// `[positions, D]`, with the first token type.
    positions: Vec<f32>,
    norm: LayerNorm,
    layers: Vec<Layer>,
    /// BERT's own: `tanh(W x + b)` of the pooled token.
    pooler: Option<Linear>,
    projection: Projection,
    pooling: Pooling,
    padding: u32,
    skips_padding: bool,
}

impl Bert {
    /// Binds the tower.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(scope: &Scope<'_>, naming: Naming, config: &TextConfig, bert: &BertConfig) -> Result<Self> {
        let names = naming.bert();
        let (root, tower) = (scope.at(names.root), &config.tower);
        let (dim, embeddings, layers) = (tower.hidden_size, root.at("embeddings"), root.at("encoder.layer"));
        let mut positions = embeddings.f32("position_embeddings.weight", &[bert.positions, dim])?;
        positions.drain(..bert.first_position * dim);
        let types = embeddings.f32("token_type_embeddings.weight", &[bert.token_types, dim])?;
        for position in positions.chunks_exact_mut(dim) {
            position.iter_mut().zip(&types).for_each(|(x, first)| *x += first);
        }
        let pooler = || Linear::bind(&root.at("pooler.dense"), [dim, dim]);
        Ok(Self {
            token_embedding: embeddings.table("word_embeddings.weight", [config.vocab_size, dim])?,
            positions,
            norm: LayerNorm::bind(&embeddings.at("LayerNorm"), dim, tower.layer_norm_eps)?,
            layers: (0..tower.layers)
                .map(|i| Layer::bind(&layers.at(i), &BERT_LAYER, tower, false))
                .try_values()?,
            pooler: bert.has_pooler.then(pooler).transpose()?,
            projection: match naming {
                Naming::OriginalCustomText | Naming::Timm => {
                    let proj = scope.at(names.projection).keep_f32();
                    let names = if proj.contains("0.weight") { ["0", "2"] } else { ["", ""] };
                    Projection::bind_layers(&proj, names, [false; 2], dim, tower.projection)?
                }
                _ => Projection::bind(&scope.keep_f32(), naming, names.projection, dim, tower.projection)?,
            },
            pooling: config.pooling,
            padding: bert.padding,
            skips_padding: bert.first_position > 0,
        })
    }

    /// Embeds `ids: [batches, length]` into `out: [batches, outputs]`, not normalised.
    ///
    /// # Errors
    /// `InvalidArgument` for no token, more tokens than positions, an id outside the vocabulary, a text of padding alone, or one
    /// that begins with it where the first token is pooled; `OutOfMemory`; `Cancelled` by the monitor, which is asked after
    /// every layer.
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
        let batches = batches(ids, length, self.positions.len() / dim, out, self.outputs())?;
        let bounds = self.bounds(ids, length)?;
        let (texts, tokens) = (&bounds[..batches], bounds[batches]);
        let steps = self.layers.len() + 1;
        monitor.report(0, steps)?;
        let [x, other] = scratch.take_all(self.buffers([batches, length]));
        let x = &mut x[..tokens * dim];

        // Embeddings: tokens, positions and token type.
        let mut rows = x.chunks_exact_mut(dim);
        for ids in ids.chunks_exact(length) {
            let present = ids.iter().enumerate().filter(|(_, id)| **id != self.padding);
            for ((nth, (place, &id)), x) in present.enumerate().zip(&mut rows) {
                let place = if self.skips_padding { nth } else { place };
                embed(&self.token_embedding, id, &self.positions[place * dim..][..dim], x)?;
            }
        }
        self.norm.forward_in_place(cx, x);
        trace.stage(format_args!("text.embeddings"), x);

        // Encoder. Of the last layer only the first tokens are needed, if one of them is the text's.
        let (size, bias) = ([1, tokens], Bias::Runs(&bounds));
        let is_first = self.pooling == Pooling::First;
        let whole = self.layers.len() - usize::from(is_first && !trace.is_on());
        for (i, layer) in self.layers[..whole].iter().enumerate() {
            layer.forward(cx, size, bias, None, x, scratch.frame());
            trace.stage(format_args!("text.layers.{i}"), x);
            monitor.report(i + 1, steps)?;
        }
        if let Some(last) = self.layers.get(whole) {
            last.forward_pooled(cx, size, bias, texts.iter().copied(), x, scratch.frame());
        } else {
            for (batch, run) in bounds.windows(2).enumerate() {
                let end = if is_first { run[0] + 1 } else { run[1] };
                mean(x, dim, run[0]..end, batch);
            }
        }
        let mut pooled = &mut x[..batches * dim];
        if let Some(pooler) = &self.pooler {
            let output = Destination::Store { out: other, stride: dim };
            pooler.forward(cx, &Rows::new(pooled, batches, dim), Activation::None, output, scratch.frame());
            other.iter_mut().for_each(|x| *x = libm::tanhf(*x));
            pooled = other;
        }
        trace.stage(format_args!("text.pooled"), pooled);
        self.projection.forward(cx, pooled, out, scratch);
        trace.stage(format_args!("text_embeds"), out);
        Ok(())
    }

    /// Where each text begins in the tokens without padding, and where the last one ends.
    fn bounds(&self, ids: &[u32], length: usize) -> Result<Vec<usize>> {
        let mut bounds = try_with_capacity(ids.len() / length + 1)?;
        let mut end = 0;
        bounds.push(end);
        for ids in ids.chunks_exact(length) {
            let count = ids.iter().filter(|id| **id != self.padding).count();
            if count == 0 || (self.pooling == Pooling::First && ids[0] == self.padding) {
                let padding = self.padding;
                return Err(err!(
                    InvalidArgument,
                    "a text is padding alone, id {padding}, or begins with it"
                ));
            }
            end += count;
            bounds.push(end);
        }
        Ok(bounds)
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub fn scratch_req(&self, cx: &Cx, [batches, length]: [usize; 2]) -> ScratchReq {
        let layers = self.layers.iter().map(|layer| layer.scratch_req(cx, [1, batches * length]));
        let pooler = self.pooler.as_ref().map_or(ScratchReq::NONE, |pooler| pooler.scratch_req(cx, batches));
        let parts = ScratchReq::any(layers).or(pooler).or(self.projection.scratch_req(cx, batches));
        ScratchReq::slices(self.buffers([batches, length])).and(parts)
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        self.token_embedding.bytes()
            + size_of_val(&self.positions[..])
            + self.norm.bytes()
            + self.layers.iter().map(Layer::bytes).sum::<usize>()
            + self.pooler.as_ref().map_or(0, Linear::bytes)
            + self.projection.bytes()
    }

    /// Features of an embedding.
    pub fn outputs(&self) -> usize {
        self.projection.outputs()
    }

    fn dim(&self) -> usize {
        self.norm.dim()
    }

    /// Lengths of the tokens, and of what the pooler makes.
    fn buffers(&self, [batches, length]: [usize; 2]) -> [usize; 2] {
        let dim = self.dim();
        [batches * length * dim, if self.pooler.is_some() { batches * dim } else { 0 }]
    }
}

/// Writes the mean of the tokens `run` of `x: [tokens, dim]` to token `to`, which is none after the first of them.
fn mean(x: &mut [f32], dim: usize, run: core::ops::Range<usize>, to: usize) {
    for column in 0..dim {
        let sum: f32 = run.clone().map(|token| x[token * dim + column]).sum();
        x[to * dim + column] = sum / run.len() as f32;
    }
}
