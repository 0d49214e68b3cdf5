//! The two-way transformer: tokens attend to the image, and the image attends to the tokens.

use alloc::vec::Vec;

use super::attention::{Batch, ImageToToken, SelfAttention, TokenToImage};
use super::config::PromptHeadConfig;
use super::image_cache::ImageCache;
use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq, TryCollect};
use crate::kernels::activation::Activation;
use crate::kernels::feature_panels::to_tokens;
use crate::kernels::gemm::{Destination, Rows};
use crate::kernels::mask_decoder::{ImageFeatures, ImageKeys, ImageSource};
use crate::nn::{LayerNorm, Linear, Trace};
use crate::weights::Scope;

/// The image side of the transformer.
#[derive(Debug)]
pub struct ImageStream<'a> {
    /// Where the next layer finds the image: in the cache of an image that all prompts share, or in `features`.
    pub source: ImageSource<ImageCache<'a>>,
    /// The features of every prompt, in panels, which each layer writes.
    pub features: &'a mut [f32],
    /// Position encodings of the pixels, in panels.
    pub positions: &'a [f32],
}

impl ImageStream<'_> {
    /// The features of every prompt with their positions.
    fn per_prompt(&self) -> ImageSource<ImageKeys<'_>, ImageFeatures<'_>> {
        ImageSource::PerPrompt(ImageFeatures { features: self.features, positions: self.positions })
    }
}

/// The layers, and the last attention of the tokens to the image.
#[derive(Debug)]
pub struct TwoWayTransformer {
    layers: Vec<TwoWayLayer>,
    final_attention: TokenToImage,
    final_norm: LayerNorm,
}

impl TwoWayTransformer {
    /// Binds the transformer at `scope`.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(scope: &Scope<'_>, config: &PromptHeadConfig<'_>) -> Result<Self> {
        let PromptHeadConfig { names, dim, decoder, .. } = config;
        let final_attention = scope.at("final_attn_token_to_image");
        Ok(Self {
            layers: (0..decoder.layers)
                .map(|i| TwoWayLayer::bind(&scope.at("layers").at(i), i == 0, config))
                .try_values()?,
            final_attention: TokenToImage::bind(&final_attention, names, *dim, decoder.heads)?,
            final_norm: LayerNorm::bind(&scope.at(names.final_norm), *dim, 1e-5)?,
        })
    }

    /// Transforms `queries: [prompts, tokens, C]`, which enter as the embeddings of the tokens, and the features of the
    /// image.
    ///
    /// `queries` leave as the tokens `kept` of each prompt alone, `[prompts, kept, C]`: tokens attend to each other only
    /// in the layers, so that the last attention can leave out the tokens that nobody reads.
    #[allow(clippy::too_many_arguments, reason = "two streams, which tokens to keep, and a trace")]
    pub fn forward(
        &self,
        cx: &Cx,
        batch: Batch,
        mut image: ImageStream<'_>,
        kept: impl Iterator<Item = usize> + Clone,
        queries: &mut [f32],
        mut scratch: Scratch<'_>,
        trace: &mut Trace<'_>,
    ) {
        let embeddings = scratch.take(queries.len());
        embeddings.copy_from_slice(queries);
        for (i, layer) in self.layers.iter().enumerate() {
            layer.forward(cx, batch, &mut image, embeddings, queries, scratch.frame());
            trace.stage(format_args!("decoder.layers.{i}.tokens"), queries);
            trace_image(trace, format_args!("decoder.layers.{i}.image"), batch, image.features);
        }

        // The tokens attend to the image once more; all of them if there is a trace.
        let dim = self.final_norm.dim();
        let count = kept.clone().count();
        let q = scratch.take(queries.len());
        sum(queries, embeddings, q);
        let (batch, queries, q) = if trace.is_on() {
            (batch, &mut *queries, q)
        } else {
            keep(batch, dim, kept.clone(), queries);
            keep(batch, dim, kept.clone(), q);
            let len = batch.prompts * count * dim;
            (Batch { tokens: count, ..batch }, &mut queries[..len], &mut q[..len])
        };
        self.final_attention.forward_add(cx, batch, q, image.per_prompt(), queries, scratch);
        self.final_norm.forward_in_place(cx, queries);
        if trace.is_on() {
            trace.stage(format_args!("decoder.tokens"), queries);
            keep(batch, dim, kept, queries);
        }
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub fn scratch_req(&self, cx: &Cx, batch: Batch) -> ScratchReq {
        let queries = ScratchReq::slice(batch.rows() * self.final_norm.dim());
        let layers = self.layers.iter().map(|layer| layer.scratch_req(cx, batch));
        let last = queries.and(self.final_attention.scratch_req(cx, batch));
        queries.and(ScratchReq::any(layers).or(last))
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        self.layers.iter().map(TwoWayLayer::bytes).sum::<usize>()
            + self.final_attention.bytes()
            + self.final_norm.bytes()
    }
}

/// One layer, in the four steps of the paper's figure 14.
#[derive(Debug)]
struct TwoWayLayer {
    self_attention: SelfAttention,
    norm1: LayerNorm,
    token_to_image: TokenToImage,
    norm2: LayerNorm,
    lin1: Linear,
    lin2: Linear,
    activation: Activation,
    norm3: LayerNorm,
    image_to_token: ImageToToken,
    /// In the first layer the queries are the embeddings. They are not added once more, and self-attention has no residual.
    is_first: bool,
}

impl TwoWayLayer {
    fn bind(scope: &Scope<'_>, is_first: bool, config: &PromptHeadConfig<'_>) -> Result<Self> {
        let PromptHeadConfig { names, dim, decoder, .. } = config;
        let dim = *dim;
        let (heads, eps) = (decoder.heads, decoder.layer_norm_eps);
        let [norm1, norm2, norm3, norm4] = names.norms.map(|name| scope.at(name));
        let token_to_image = scope.at("cross_attn_token_to_image");
        let image_to_token = scope.at("cross_attn_image_to_token");
        let [lin1, lin2] = names.mlp.map(|name| scope.at(name));
        Ok(Self {
            self_attention: SelfAttention::bind(&scope.at("self_attn"), names, dim, heads)?,
            norm1: LayerNorm::bind(&norm1, dim, eps)?,
            token_to_image: TokenToImage::bind(&token_to_image, names, dim, heads)?,
            norm2: LayerNorm::bind(&norm2, dim, eps)?,
            lin1: Linear::bind(&lin1, [decoder.mlp_dim, dim])?,
            lin2: Linear::bind(&lin2, [dim, decoder.mlp_dim])?,
            activation: decoder.activation,
            norm3: LayerNorm::bind(&norm3, dim, eps)?,
            image_to_token: ImageToToken::bind(&image_to_token, names, &norm4, dim, heads, eps)?,
            is_first,
        })
    }

    fn forward(
        &self,
        cx: &Cx,
        batch: Batch,
        image: &mut ImageStream<'_>,
        embeddings: &[f32],
        queries: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        let stride = self.norm1.dim();
        let q = scratch.take(queries.len());

        // (1) The tokens attend to themselves.
        if self.is_first {
            q.copy_from_slice(queries);
            let output = Destination::Store { out: queries, stride };
            self.self_attention.forward(cx, batch, q, q, output, scratch.frame());
        } else {
            sum(queries, embeddings, q);
            let mut scratch = scratch.frame();
            let values = scratch.take(queries.len());
            values.copy_from_slice(queries);
            let residual = Destination::Add { out: queries, stride };
            self.self_attention.forward(cx, batch, q, values, residual, scratch);
        }
        self.norm1.forward_in_place(cx, queries);

        // (2) The tokens attend to the image.
        sum(queries, embeddings, q);
        let keys = match image.source {
            ImageSource::Shared(ImageCache { keys, values, .. }) => {
                ImageSource::Shared(ImageKeys { keys, values })
            }
            ImageSource::PerPrompt(()) => image.per_prompt(),
        };
        self.token_to_image.forward_add(cx, batch, q, keys, queries, scratch.frame());
        self.norm2.forward_in_place(cx, queries);

        // (3) MLP of each token.
        self.mlp(cx, queries, q, scratch.frame());
        self.norm3.forward_in_place(cx, queries);

        // (4) The image attends to the tokens.
        sum(queries, embeddings, q);
        let source = match image.source {
            ImageSource::Shared(cache) => ImageSource::Shared(cache),
            ImageSource::PerPrompt(()) => ImageSource::PerPrompt(image.positions),
        };
        self.image_to_token.forward(cx, batch, [q, queries], source, image.features, scratch);
        image.source = ImageSource::PerPrompt(());
    }

    /// Scratch that [`forward`](Self::forward) needs.
    fn scratch_req(&self, cx: &Cx, batch: Batch) -> ScratchReq {
        let queries = ScratchReq::slice(batch.rows() * self.norm1.dim());
        let values = if self.is_first { ScratchReq::NONE } else { queries };
        let steps = [
            values.and(self.self_attention.scratch_req(cx, batch)),
            self.token_to_image.scratch_req(cx, batch),
            self.mlp_scratch_req(cx, batch.rows()),
            self.image_to_token.scratch_req(cx, batch),
        ];
        queries.and(ScratchReq::any(steps))
    }

    fn bytes(&self) -> usize {
        self.self_attention.bytes()
            + self.token_to_image.bytes()
            + self.image_to_token.bytes()
            + [&self.lin1, &self.lin2].iter().map(|linear| linear.bytes()).sum::<usize>()
            + [&self.norm1, &self.norm2, &self.norm3].iter().map(|norm| norm.bytes()).sum::<usize>()
    }

    /// `x += lin2(act(lin1(x)))`; `y` is a buffer of the length of `x`.
    fn mlp(&self, cx: &Cx, x: &mut [f32], y: &mut [f32], mut scratch: Scratch<'_>) {
        let (dim, inner) = (self.lin1.inputs(), self.lin1.outputs());
        let rows = x.len() / dim;
        y.copy_from_slice(x);
        let h = scratch.take(self.hidden_len(rows));
        let hidden = Destination::Store { out: h, stride: inner };
        self.lin1.forward(cx, &Rows::new(y, rows, dim), self.activation, hidden, scratch.frame());
        let residual = Destination::Add { out: x, stride: dim };
        self.lin2.forward(cx, &Rows::new(h, rows, inner), Activation::None, residual, scratch);
    }

    /// Scratch that [`mlp`](Self::mlp) needs for `rows` tokens.
    fn mlp_scratch_req(&self, cx: &Cx, rows: usize) -> ScratchReq {
        let layers = self.lin1.scratch_req(cx, rows).or(self.lin2.scratch_req(cx, rows));
        ScratchReq::slice(self.hidden_len(rows)).and(layers)
    }

    /// Length of the inner features of `rows` tokens.
    fn hidden_len(&self, rows: usize) -> usize {
        rows * self.lin1.outputs()
    }
}

/// Compacts `x: [prompts, tokens, dim]` in place to the tokens `kept` of every prompt, which ascend.
fn keep(batch: Batch, dim: usize, kept: impl Iterator<Item = usize> + Clone, x: &mut [f32]) {
    let tokens =
        (0..batch.prompts).flat_map(|prompt| kept.clone().map(move |token| prompt * batch.tokens + token));
    for (to, token) in tokens.enumerate() {
        x.copy_within(token * dim..(token + 1) * dim, to * dim);
    }
}

/// `out ← a + b`.
fn sum(a: &[f32], b: &[f32], out: &mut [f32]) {
    out.iter_mut().zip(a.iter().zip(b)).for_each(|(out, (a, b))| *out = a + b);
}

/// Shows the features of every prompt, in panels, as tokens `[prompts, pixels, C]`.
fn trace_image(trace: &mut Trace<'_>, name: core::fmt::Arguments<'_>, batch: Batch, x: &[f32]) {
    if trace.is_on() {
        let channels = x.len() / batch.prompts / batch.panels.len(1);
        let pixels = batch.panels.pixels() * channels;
        let mut tokens = alloc::vec![0.0; batch.prompts * pixels];
        let prompts = x.chunks_exact(batch.panels.len(channels)).zip(tokens.chunks_exact_mut(pixels));
        prompts.for_each(|(x, tokens)| to_tokens(batch.panels, channels, x, tokens));
        trace.stage(name, &tokens);
    }
}
