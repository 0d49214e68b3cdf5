//! What the mask decoder computes once per image.
//!
//! Without a mask prompt, the features that enter the first layer of the transformer are `x = E + n` for every prompt,
//! with the image embedding `E` and the no-mask embedding `n`. Their projections, with positions `e`, are made once:
//!
//! ```text
//! K = W_k (E + e)                    tokens to image; n and the bias would add the same to all scores of a query
//! V = W_v E + (W_v n + b_v)          tokens to image
//! Q = W_q (E + e) + (W_q n + b_q)    image to tokens
//! ```

use alloc::vec::Vec;

use super::attention::inner_dim;
use super::naming::DecoderNames;
use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq};
use crate::kernels::feature_panels::{LhsWeights, PanelLayout, Plus, from_tokens};
use crate::kernels::gemm::Rows;
use crate::kernels::mask_decoder::{PixelProjection, project, project_scratch_req};
use crate::weights::Scope;

/// The image projections of the first layer.
#[derive(Debug)]
pub struct ImageProjections {
    keys: LhsWeights,
    values: LhsWeights,
    value_bias: Vec<f32>,
    queries: LhsWeights,
    query_bias: Vec<f32>,
    /// `n + b_o`, with the output bias `b_o` of the attention of the image to the tokens.
    feature_bias: Vec<f32>,
    panels: PanelLayout,
}

/// An image as the decoder needs it: its embedding and projections, in panels.
#[derive(Clone, Copy, Debug)]
pub struct ImageCache<'a> {
    /// `E`, `C` channels.
    pub features: &'a [f32],
    /// `K`, `D` channels.
    pub keys: &'a [f32],
    /// `V`, `D` channels.
    pub values: &'a [f32],
    /// `Q`, `D` channels.
    pub queries: &'a [f32],
    /// `n + b_o`, `[C]`: added to `E` together with the output of the attention of the image to the tokens.
    pub feature_bias: &'a [f32],
}

impl ImageProjections {
    /// Binds the projections of the first layer of the transformer, at `scope`, of `dim` features and `heads` attention
    /// heads.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(
        scope: &Scope<'_>,
        names: &DecoderNames,
        dim: usize,
        heads: usize,
        no_mask: &[f32],
        panels: PanelLayout,
    ) -> Result<Self> {
        let bind = |attention: &str, name: &str| -> Result<(LhsWeights, Vec<f32>)> {
            let scope = scope.at(attention);
            let inner = inner_dim(&scope, heads)?;
            let scope = scope.at(name);
            let weight = scope.f32("weight", &[inner, dim])?;
            let mut bias = scope.f32("bias", &[inner])?;
            for (bias, row) in bias.iter_mut().zip(weight.chunks_exact(dim)) {
                *bias += row.iter().zip(no_mask).map(|(w, n)| w * n).sum::<f32>();
            }
            Ok((LhsWeights::pack(scope.level(), &Rows::new(&weight, inner, dim))?, bias))
        };
        let (keys, _) = bind("cross_attn_token_to_image", "k_proj")?;
        let (values, value_bias) = bind("cross_attn_token_to_image", "v_proj")?;
        let (queries, query_bias) = bind("cross_attn_image_to_token", "q_proj")?;
        let mut feature_bias =
            scope.at("cross_attn_image_to_token").at(names.attention_out).f32("bias", &[dim])?;
        feature_bias.iter_mut().zip(no_mask).for_each(|(bias, n)| *bias += n);
        Ok(Self { keys, values, value_bias, queries, query_bias, feature_bias, panels })
    }

    /// Length of what [`forward`](Self::forward) writes, in f32.
    pub fn cache_len(&self) -> usize {
        self.lengths().into_iter().sum()
    }

    /// Fills `cache` from the image embedding `E: [pixels, C]` and from the positions `e`, in panels.
    ///
    /// # Panics
    /// If a slice does not have its size, or the scratch is shorter than [`scratch_req`](Self::scratch_req).
    pub fn forward(
        &self,
        cx: &Cx,
        embedding: &[f32],
        positions: &[f32],
        cache: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        assert_eq!(cache.len(), self.cache_len(), "cache of an image");
        let (panels, [features, keys, values, _]) = (self.panels, self.lengths());
        let (features, rest) = cache.split_at_mut(features);
        let (keys, rest) = rest.split_at_mut(keys);
        let (values, queries) = rest.split_at_mut(values);
        from_tokens(cx, panels, self.dim(), embedding, Plus::Nothing, features);
        for (weight, plus, bias, out) in [
            (&self.keys, Some(positions), None, keys),
            (&self.values, None, Some(&self.value_bias[..]), values),
            (&self.queries, Some(positions), Some(&self.query_bias[..]), queries),
        ] {
            let projection = PixelProjection { weight: weight.lhs(), bias };
            project(cx, panels, projection, features, plus, out, scratch.frame());
        }
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub fn scratch_req(&self, cx: &Cx) -> ScratchReq {
        project_scratch_req(cx, self.panels, self.dim())
    }

    /// The parts of what [`forward`](Self::forward) wrote.
    ///
    /// # Panics
    /// If `cache` does not have its size.
    pub fn view<'a>(&'a self, cache: &'a [f32]) -> ImageCache<'a> {
        assert_eq!(cache.len(), self.cache_len(), "cache of an image");
        let [features, keys, values, _] = self.lengths();
        let (features, rest) = cache.split_at(features);
        let (keys, rest) = rest.split_at(keys);
        let (values, queries) = rest.split_at(values);
        ImageCache { features, keys, values, queries, feature_bias: &self.feature_bias }
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        let vectors = [&self.value_bias, &self.query_bias, &self.feature_bias];
        [&self.keys, &self.values, &self.queries].iter().map(|matrix| matrix.bytes()).sum::<usize>()
            + vectors.iter().map(|vector| size_of_val(&vector[..])).sum::<usize>()
    }

    fn dim(&self) -> usize {
        self.keys.lhs().depth()
    }

    /// Lengths of features, keys, values and queries, in f32.
    fn lengths(&self) -> [usize; 4] {
        let [keys, values, queries] =
            [&self.keys, &self.values, &self.queries].map(|matrix| matrix.lhs().rows());
        [self.dim(), keys, values, queries].map(|channels| self.panels.len(channels))
    }
}
