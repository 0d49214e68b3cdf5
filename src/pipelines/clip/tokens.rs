//! Texts as token ids.

use alloc::vec::Vec;

use super::{Clip, EncodeOptions, TOKENS};
use crate::error::{Result, err};
use crate::exec::{Cx, Monitor, check_memory, try_copied, try_filled, try_with_capacity, try_zeroed};
use crate::models::clip::TextEncoder;
use crate::nn::Trace;

impl Clip {
    /// Embeds texts that a tokenizer of the caller's has cut: `[texts, embed_dim]`, see [`EncodeOptions`]. Each is the ids that
    /// [`tokenize`](Self::tokenize) would give, start and end token included where the model has them. Texts are padded as the
    /// model's tokenizer says, if there is one.
    ///
    /// # Errors
    /// `InvalidArgument` for no text, no token, more tokens than the context, fewer than it where the padding reaches the
    /// embedding and nothing tells its id, or an id outside the vocabulary; `Unsupported` if the model has no text tower;
    /// `NonFinite`, `OutOfMemory`.
    pub fn encode_tokens(&self, texts: &[&[u32]], options: &EncodeOptions) -> Result<Vec<f32>> {
        if texts.is_empty() {
            return Err(err!(InvalidArgument, "no texts"));
        }
        let (_, config) = self.text()?;
        let known = self.tokenizer().map(|tokenizer| tokenizer.padding_id()).or(config.padding);
        let context = config.context_length;
        let least = if config.is_padded() && known.is_none() { context } else { 1 };
        let mut tokens = try_with_capacity(texts.len())?;
        for (i, ids) in texts.iter().enumerate() {
            check_memory()?;
            if !(least..=context).contains(&ids.len()) {
                let count = ids.len();
                return Err(err!(
                    InvalidArgument,
                    "text {i} of {count} tokens; {least} to {context} are needed"
                ));
            }
            tokens.push(try_copied(ids)?);
        }
        let mut out = try_zeroed(texts.len() * self.embed_dim())?;
        Monitor::none().run(|monitor| {
            self.encode_token_lists(&tokens, known.unwrap_or(0), options, &mut out, monitor)
        })?;
        Ok(out)
    }

    /// Embeds texts into `out: [texts, embed_dim]`, with `padding` behind the shorter ones of a batch.
    pub(super) fn encode_token_lists(
        &self,
        tokens: &[Vec<u32>],
        padding: u32,
        options: &EncodeOptions,
        out: &mut [f32],
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let (text, config) = self.text()?;
        self.cx.watched(monitor, |cx, monitor| {
            let (mut rest, mut out_rest) = (tokens, &mut *out);
            while !rest.is_empty() {
                let (mut count, mut length) = text_batch(rest);
                // A BERT finds padding by its id.
                let mut padding = config.bert.map_or(padding, |bert| bert.padding);
                if config.is_padded() {
                    (length, padding) = (config.context_length, config.padding.unwrap_or(padding));
                    count = count.min((TOKENS / length).max(1));
                }
                let (now, later) = rest.split_at(count);
                let (out_now, out_later) = out_rest.split_at_mut(count * self.embed_dim());
                let at = |left: &[_]| (tokens.len() - left.len()) as f32 / tokens.len() as f32;
                let monitor = monitor.part(at(rest), at(later));
                encode_padded(cx, text, now, (length, padding), out_now, &monitor)?;
                (rest, out_rest) = (later, out_later);
            }
            self.finish(out, options, "text")
        })
    }
}

/// Embeds a batch of texts, padded to `length` with `padding`.
fn encode_padded(
    cx: &Cx,
    text: &TextEncoder,
    tokens: &[Vec<u32>],
    (length, padding): (usize, u32),
    out: &mut [f32],
    monitor: &Monitor<'_>,
) -> Result<()> {
    let mut ids = try_filled(padding, tokens.len() * length)?;
    for (ids, tokens) in ids.chunks_exact_mut(length).zip(tokens) {
        ids[..tokens.len()].copy_from_slice(tokens);
    }
    let mut workspace = cx.workspace(text.scratch_req(cx, [tokens.len(), length]))?;
    text.forward(cx, &ids, length, out, workspace.scratch(), Trace::of(cx), monitor)
}

/// How many of the first texts go through the tower at once, and the length of the longest of them.
fn text_batch(tokens: &[Vec<u32>]) -> (usize, usize) {
    let (mut count, mut length) = (0, 0);
    for ids in tokens {
        let longest = length.max(ids.len());
        if count > 0 && (count + 1) * longest > TOKENS {
            break;
        }
        (count, length) = (count + 1, longest);
    }
    (count, length)
}
