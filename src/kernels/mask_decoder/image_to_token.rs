//! All pixels of an image attend to the tokens of a prompt.
//!
//! For every pixel `p`, over the heads `h` and the tokens `t`:
//!
//! ```text
//! x_p ← norm(x_p + bias + Σ_h Σ_t softmax_t(q_p · k_ht + c_ht) v_ht)
//! ```
//!
//! in one pass over the panels: scores, softmax, weighted values, residual and normalisation, while a panel is in cache.

use super::ImageSource;
use super::pixelwise::{GroupSoftmax, LayerNormParams, NormalisePixels, Nothing, Sum};
use crate::exec::{Cx, Scratch, ScratchReq, SharedMut, Work};
use crate::kernels::feature_panels::{PackedLhs, PanelLayout, checked_packed_lhs_len, packed_lhs_len};
use crate::kernels::len::len_of;

/// The sizes of an attention of an image to tokens.
#[derive(Clone, Copy, Debug)]
pub struct ImageToTokenShape {
    /// Independent prompts.
    pub prompts: usize,
    /// Tokens of a prompt.
    pub tokens: usize,
    /// Attention heads.
    pub heads: usize,
    /// Groups into which the channels of the queries are cut: as many as heads if a head sees channels of its own, 1 if
    /// every head sees all.
    pub groups: usize,
    /// Channels that a head sees.
    pub depth: usize,
    /// Channels of values and features.
    pub channels: usize,
    /// The image.
    pub panels: PanelLayout,
}

impl ImageToTokenShape {
    /// Keys of a prompt: one for every head and token.
    fn rows(&self) -> usize {
        len_of([self.heads, self.tokens])
    }

    /// Channels of the queries.
    fn query_channels(&self) -> usize {
        len_of([self.groups, self.depth])
    }

    /// Lengths of a lane's buffers: queries and scores of a panel, in f32.
    fn buffers(&self) -> [usize; 2] {
        let nr = self.panels.width();
        [len_of([nr, self.groups, self.depth]), len_of([nr, self.heads, self.tokens])]
    }
}

/// The queries and the features of an image that all prompts share, in panels.
#[derive(Clone, Copy, Debug)]
pub struct ImageQueries<'a> {
    /// `groups · depth` channels.
    pub queries: &'a [f32],
    /// `channels` channels.
    pub features: &'a [f32],
}

/// The keys and values of the tokens, packed.
#[derive(Clone, Copy, Debug)]
pub struct PackedTokens<'a> {
    /// For each prompt `k: [heads · tokens, depth]`, packed for [`PackedLhs::grouped`], scaled.
    pub keys: &'a [f32],
    /// `c: [prompts, heads · tokens]`.
    pub key_bias: &'a [f32],
    /// For each prompt the transpose of `v: [heads · tokens, channels]`, packed as [`PackedLhs`].
    pub values: &'a [f32],
    /// `[channels]`
    pub bias: &'a [f32],
}

/// Scratch that [`image_to_token`] needs.
pub fn scratch_req(cx: &Cx, shape: &ImageToTokenShape) -> ScratchReq {
    ScratchReq::slices(shape.buffers()).per_lane(cx)
}

/// `x ← norm(features + bias + attention)` for every prompt; `x: [prompts]` features in panels.
///
/// A shared image brings its features, and `x` is only written. Otherwise `x` holds the features of every prompt, and
/// the queries are the features plus the position encodings that come with [`ImageSource::PerPrompt`].
///
/// # Panics
/// If a slice does not have its size, `shape` has a 0, or the scratch is shorter than [`scratch_req`].
pub fn image_to_token(
    cx: &Cx,
    shape: &ImageToTokenShape,
    tokens: &PackedTokens<'_>,
    norm: LayerNormParams<'_>,
    image: ImageSource<ImageQueries<'_>, &[f32]>,
    x: &mut [f32],
    scratch: Scratch<'_>,
) {
    let ImageToTokenShape { prompts, groups, depth, channels, panels, .. } = *shape;
    let (rows, nr, query_channels) = (shape.rows(), panels.width(), shape.query_channels());
    let image_len = panels.len(channels);
    let _kernel = cx.kernel("image-to-token", || Work {
        flops: 2.0 * (prompts * rows * (depth + channels) * panels.pixels()) as f64,
        bytes: 8.0 * (prompts * image_len) as f64,
    });
    assert!(prompts > 0 && rows > 0 && query_channels > 0 && channels > 0, "attention to nothing: {shape:?}");
    assert_eq!(Some(tokens.keys.len()), checked_packed_lhs_len(prompts, rows, depth), "keys of {shape:?}");
    assert_eq!(tokens.key_bias.len(), len_of([prompts, rows]), "bias of the keys of {shape:?}");
    assert_eq!(
        Some(tokens.values.len()),
        checked_packed_lhs_len(prompts, channels, rows),
        "values of {shape:?}"
    );
    assert_eq!(x.len(), len_of([prompts, image_len]), "features of {shape:?}");
    match image {
        ImageSource::Shared(ImageQueries { queries, features }) => {
            assert_eq!(
                (queries.len(), features.len()),
                (panels.len(query_channels), image_len),
                "image of {shape:?}"
            );
        }
        ImageSource::PerPrompt(positions) => {
            assert_eq!((positions.len(), query_channels), (image_len, channels), "positions of {shape:?}");
        }
    }
    let (tasks, buffers) = (prompts * panels.count(), ScratchReq::slices(shape.buffers()));
    let x = SharedMut::new(x);
    cx.parallel_for_with(tasks, buffers, scratch, |mut scratch, task| {
        let (prompt, index) = (task / panels.count(), task % panels.count());
        let [sum, scores] = scratch.take_all(shape.buffers());
        let keys = &tokens.keys[prompt * packed_lhs_len(rows, depth)..][..packed_lhs_len(rows, depth)];
        let values =
            &tokens.values[prompt * packed_lhs_len(channels, rows)..][..packed_lhs_len(channels, rows)];
        let at = panels.elements_of(index, channels);
        // SAFETY: tasks' panels are disjoint.
        let x = unsafe { x.range(prompt * image_len + at.start..prompt * image_len + at.end) };

        let queries = match image {
            ImageSource::Shared(ImageQueries { queries, features }) => {
                x.copy_from_slice(&features[at]);
                &queries[panels.elements_of(index, query_channels)]
            }
            ImageSource::PerPrompt(positions) => {
                cx.level().dispatch(Sum { a: x, b: &positions[at], out: sum });
                sum
            }
        };
        PackedLhs::grouped(rows, depth, groups, keys).times(cx.level(), queries, scores, false);
        let bias = &tokens.key_bias[prompt * rows..][..rows];
        cx.level().dispatch(GroupSoftmax { x: scores, nr, group: shape.tokens, bias });
        PackedLhs::new(channels, rows, values).times(cx.level(), scores, x, true);
        cx.level().dispatch(NormalisePixels::<_, false> { x, nr, add: tokens.bias, more: Nothing, norm });
    });
}
