//! The text tower, whichever a checkpoint has.

mod bert;
mod tower;

pub use bert::Bert;
pub use tower::TextTower;

use alloc::boxed::Box;

use super::config::TextConfig;
use super::naming::Naming;
use crate::error::{Result, err};
use crate::exec::{Cx, Monitor, Scratch, ScratchReq};
use crate::nn::Trace;
use crate::weights::{Scope, Table};

/// Tokens to embeddings.
#[derive(Debug)]
pub enum TextEncoder {
    /// OpenAI's and OpenCLIP's, SigLIP's, PE-Core's, MobileCLIP's.
    Transformer(Box<TextTower>),
    /// Chinese-CLIP's, and those of OpenCLIP and M-CLIP that are a BERT or RoBERTa.
    Bert(Box<Bert>),
}

impl TextEncoder {
    /// Binds the text tower of `scope`, the whole checkpoint.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(scope: &Scope<'_>, naming: Naming, config: &TextConfig) -> Result<Self> {
        Ok(match &config.bert {
            Some(bert) => Self::Bert(Box::new(Bert::bind(scope, naming, config, bert)?)),
            None => Self::Transformer(Box::new(TextTower::bind(scope, naming, config)?)),
        })
    }

    /// Embeds `ids: [batches, length]` into `out: [batches, outputs]`, not normalised.
    ///
    /// # Errors
    /// `InvalidArgument` for no token, more tokens than positions, an id outside the vocabulary, or, of a BERT, a text without
    /// any but padding; `Cancelled` by the monitor, which is asked after every layer.
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
        scratch: Scratch<'_>,
        trace: Trace<'_>,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        match self {
            Self::Transformer(tower) => tower.forward(cx, ids, length, out, scratch, trace, monitor),
            Self::Bert(bert) => bert.forward(cx, ids, length, out, scratch, trace, monitor),
        }
    }

    /// Scratch that [`forward`](Self::forward) needs for `[batches, length]`.
    pub fn scratch_req(&self, cx: &Cx, size: [usize; 2]) -> ScratchReq {
        match self {
            Self::Transformer(tower) => tower.scratch_req(cx, size),
            Self::Bert(bert) => bert.scratch_req(cx, size),
        }
    }

    /// Features of an embedding.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Transformer(tower) => tower.outputs(),
            Self::Bert(bert) => bert.outputs(),
        }
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Transformer(tower) => tower.bytes(),
            Self::Bert(bert) => bert.bytes(),
        }
    }
}

/// How many texts of `length` tokens `ids` are, which fit into `out` and, with their positions, into `context`.
///
/// # Errors
/// `InvalidArgument` for no token, or more than positions.
///
/// # Panics
/// If a slice does not have its size.
fn batches(ids: &[u32], length: usize, context: usize, out: &[f32], outputs: usize) -> Result<usize> {
    if length == 0 || length > context {
        return Err(err!(InvalidArgument, "text of {length} tokens; this model takes 1 to {context}"));
    }
    let batches = ids.len() / length;
    assert_eq!(ids.len(), batches * length, "ids of shape [{batches}, {length}]");
    assert_eq!(out.len(), batches * outputs, "embeddings of {batches} texts");
    Ok(batches)
}

/// Writes the embedding of token `id`, plus that of its position, to `x`.
///
/// # Errors
/// `InvalidArgument` for an id outside the vocabulary.
fn embed(table: &Table, id: u32, position: &[f32], x: &mut [f32]) -> Result<()> {
    let size = table.rows();
    if id as usize >= size {
        return Err(err!(InvalidArgument, "token id {id} is outside the vocabulary of {size}"));
    }
    table.read(id as usize, x);
    x.iter_mut().zip(position).for_each(|(x, position)| *x += position);
    Ok(())
}
