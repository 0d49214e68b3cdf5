//! The tokens of a prompt attend to all pixels of an image.
//!
//! `out[r] = Σ_p softmax_p(q_r · k_p) v_p`, for every row `r` of the queries. The pixels are cut into blocks. Of each block
//! `b` there are, for every row, the maximum of the scores, the sum of the weights and the sum of the weighted values;
//! these are then joined:
//!
//! ```text
//! m_b = max s        l_b = Σ exp(s − m_b)        o_b = Σ exp(s − m_b) v        (s = q · k over the block's pixels)
//! m = max m_b        f_b = exp(m_b − m)          out = Σ f_b o_b / Σ f_b l_b
//! ```
//!
//! Source: Dao et al., Flash-Decoding (2023), for the split over keys.

mod split_softmax;

use core::ops::Range;

use split_softmax::{BlockSoftmax, Factors, Join};

use super::ImageSource;
use super::pixelwise::Sum;
use crate::exec::{Cx, Scratch, ScratchReq, SharedMut, Work};
use crate::kernels::feature_panels::{
    PackedLhs, PanelLayout, checked_packed_lhs_len, pack_channels, packed_lhs_len, row_tiles,
};
use crate::kernels::gemm::{F32Kernel, MAX_NR, TileArgs};
use crate::kernels::len::len_of;

/// Pixels of a block, a multiple of every tile kernel's `nr`.
const BLOCK: usize = 256;
const _: () = assert!(BLOCK.is_multiple_of(MAX_NR));

/// The keys and values of an image that all prompts share, in panels.
#[derive(Clone, Copy, Debug)]
pub struct ImageKeys<'a> {
    /// `groups · depth` channels.
    pub keys: &'a [f32],
    /// `values` channels.
    pub values: &'a [f32],
}

/// The features of every prompt's image, in panels. Values are the features, keys are the features plus positions.
#[derive(Clone, Copy, Debug)]
pub struct ImageFeatures<'a> {
    /// `[prompts]` features.
    pub features: &'a [f32],
    /// Position encodings, the same for all prompts.
    pub positions: &'a [f32],
}

/// The sizes of an attention of tokens to an image.
#[derive(Clone, Copy, Debug)]
pub struct TokenToImageShape {
    /// Independent prompts.
    pub prompts: usize,
    /// Queries of a prompt: one for every token and head.
    pub rows: usize,
    /// Groups into which the channels of the keys are cut: as many as heads if a head sees channels of its own, 1 if
    /// every row sees all.
    pub groups: usize,
    /// Channels that a row sees.
    pub depth: usize,
    /// Channels of the values.
    pub values: usize,
    /// The image.
    pub panels: PanelLayout,
}

impl TokenToImageShape {
    /// Channels of the keys.
    fn channels(&self) -> usize {
        len_of([self.groups, self.depth])
    }
}

/// The sizes of the buffers.
struct Sizes {
    blocks: usize,
    /// Rows rounded up to whole panels.
    width: usize,
    /// Of each block: sums of values, `[values][width]`.
    outputs: usize,
    /// Of each block: maxima and sums, `[2][width]`.
    statistics: usize,
    /// Lengths of a lane's buffers, in f32, in the order of [`Block`]'s.
    lane: [usize; 4],
}

impl Sizes {
    fn new(shape: &TokenToImageShape, kernel: &F32Kernel) -> Self {
        let width = shape.rows.next_multiple_of(kernel.nr);
        Self {
            blocks: shape.panels.pixels().div_ceil(BLOCK),
            width,
            outputs: len_of([shape.values, width]),
            statistics: len_of([2, width]),
            lane: [
                len_of([shape.groups, shape.depth, kernel.nr]),
                len_of([BLOCK, shape.rows]),
                len_of([BLOCK, width]),
                packed_lhs_len(kernel.mr, BLOCK),
            ],
        }
    }

    /// Lengths of the results of all blocks of `prompts` prompts: outputs and statistics.
    fn results(&self, prompts: usize) -> [usize; 2] {
        [len_of([prompts, self.blocks, self.outputs]), len_of([prompts, self.blocks, self.statistics])]
    }
}

/// Scratch that [`token_to_image`] needs.
pub fn scratch_req(cx: &Cx, shape: &TokenToImageShape) -> ScratchReq {
    let sizes = Sizes::new(shape, F32Kernel::of(cx.level()));
    ScratchReq::slices(sizes.results(shape.prompts)).and(ScratchReq::slices(sizes.lane).per_lane(cx))
}

/// `out[r] = Σ_p softmax_p(q_r · k_p) v_p` for every prompt; `out: [prompts, rows, values]`. `queries` are the rows of one
/// prompt after the other, each packed for [`PackedLhs::grouped`].
///
/// # Panics
/// If a slice does not have its size, `shape` has a 0, or the scratch is shorter than [`scratch_req`].
pub fn token_to_image(
    cx: &Cx,
    shape: &TokenToImageShape,
    queries: &[f32],
    image: ImageSource<ImageKeys<'_>, ImageFeatures<'_>>,
    out: &mut [f32],
    mut scratch: Scratch<'_>,
) {
    let TokenToImageShape { prompts, rows, groups, depth, values, panels } = *shape;
    let channels = shape.channels();
    let kernel = F32Kernel::of(cx.level());
    let _kernel = cx.kernel("token-to-image", || Work {
        flops: 2.0 * (prompts * rows * (depth + values) * panels.pixels()) as f64,
        bytes: 4.0 * (prompts * panels.len(channels + values)) as f64,
    });
    assert!(prompts > 0 && rows > 0 && channels > 0 && values > 0, "attention over nothing: {shape:?}");
    assert_eq!(Some(queries.len()), checked_packed_lhs_len(prompts, rows, depth), "queries of {shape:?}");
    assert_eq!(out.len(), len_of([prompts, rows, values]), "output of {shape:?}");
    match image {
        ImageSource::Shared(ImageKeys { keys, values: v }) => {
            assert_eq!(
                (keys.len(), v.len()),
                (panels.len(channels), panels.len(values)),
                "keys of {shape:?}"
            );
        }
        ImageSource::PerPrompt(ImageFeatures { features, positions }) => {
            assert_eq!(channels, values, "features are keys and values");
            assert_eq!(features.len(), len_of([prompts, panels.len(channels)]), "features of {shape:?}");
            assert_eq!(positions.len(), panels.len(channels), "positions of {shape:?}");
        }
    }
    let sizes = Sizes::new(shape, kernel);
    let [outputs, statistics] = scratch.take_all(sizes.results(prompts)).map(SharedMut::new);

    let buffers = ScratchReq::slices(sizes.lane);
    cx.parallel_for_with(prompts * sizes.blocks, buffers, scratch, |mut scratch, task| {
        let (prompt, block) = (task / sizes.blocks, task % sizes.blocks);
        let [sum, scores, weights, packed] = scratch.take_all(sizes.lane);
        let queries = &queries[prompt * packed_lhs_len(rows, depth)..][..packed_lhs_len(rows, depth)];
        let mut block = Block {
            cx,
            kernel,
            shape,
            panels: block * BLOCK / kernel.nr..panels.count().min((block + 1) * BLOCK / kernel.nr),
            sum,
            scores,
            weights,
            packed,
            // SAFETY: tasks' pieces are disjoint.
            outputs: unsafe { outputs.range(task * sizes.outputs..(task + 1) * sizes.outputs) },
            // SAFETY: as above.
            statistics: unsafe { statistics.range(task * sizes.statistics..(task + 1) * sizes.statistics) },
        };
        let (keys, positions, values) = match image {
            ImageSource::Shared(ImageKeys { keys, values }) => (keys, None, values),
            ImageSource::PerPrompt(ImageFeatures { features, positions }) => {
                let features = &features[prompt * panels.len(channels)..][..panels.len(channels)];
                (features, Some(positions), features)
            }
        };
        block.score(PackedLhs::grouped(rows, depth, groups, queries), keys, positions);
        block.weigh();
        block.accumulate(values);
    });

    // SAFETY: the blocks are done.
    let outputs: &[f32] = unsafe { outputs.range(0..outputs.len()) };
    // SAFETY: as above.
    let statistics = unsafe { statistics.range(0..statistics.len()) };
    for statistics in statistics.chunks_exact_mut(sizes.blocks * sizes.statistics) {
        cx.level().dispatch(Factors { statistics, width: sizes.width });
    }
    let out = SharedMut::new(out);
    let tasks = values.div_ceil(CHANNELS);
    cx.parallel_for(prompts * tasks, |_, task| {
        let (prompt, task) = (task / tasks, task % tasks);
        cx.level().dispatch(Join {
            outputs: &outputs[prompt * sizes.blocks * sizes.outputs..][..sizes.blocks * sizes.outputs],
            factors: &statistics[prompt * sizes.blocks * sizes.statistics..]
                [..sizes.blocks * sizes.statistics],
            width: sizes.width,
            channels: task * CHANNELS..values.min((task + 1) * CHANNELS),
            out,
            first: prompt * rows * values,
            rows,
            values,
        });
    });
}

/// Channels that are joined in one task.
const CHANNELS: usize = 32;

/// One block of pixels of one prompt, with its lane's buffers.
struct Block<'a> {
    cx: &'a Cx,
    kernel: &'static F32Kernel,
    shape: &'a TokenToImageShape,
    /// The block's panels.
    panels: Range<usize>,
    /// Features plus positions of a panel.
    sum: &'a mut [f32],
    /// Scores, `[panels][rows][nr]`.
    scores: &'a mut [f32],
    /// The exponentials of the scores, `[width / nr][BLOCK][nr]`.
    weights: &'a mut [f32],
    /// Some channels of the block's values, packed.
    packed: &'a mut [f32],
    outputs: &'a mut [f32],
    statistics: &'a mut [f32],
}

impl Block<'_> {
    /// Scores of all rows against the block's pixels, `scores: [panels][rows][nr]`; −∞ beyond the last pixel.
    fn score(&mut self, queries: PackedLhs<'_>, keys: &[f32], positions: Option<&[f32]>) {
        let TokenToImageShape { rows, panels, .. } = *self.shape;
        let nr = self.kernel.nr;
        for (index, scores) in self.panels.clone().zip(self.scores.chunks_exact_mut(rows * nr)) {
            let at = panels.elements_of(index, self.shape.channels());
            let mut panel = &keys[at.clone()];
            if let Some(positions) = positions {
                self.cx.level().dispatch(Sum { a: panel, b: &positions[at], out: self.sum });
                panel = self.sum;
            }
            queries.times(self.cx.level(), panel, scores, false);
            let pixels = panels.pixels_of(index).len();
            if pixels < nr {
                scores.chunks_exact_mut(nr).for_each(|row| row[pixels..].fill(f32::NEG_INFINITY));
            }
        }
    }

    /// Turns the scores into exponentials, takes their maxima and sums, and transposes them to `weights`, a right-hand side.
    fn weigh(&mut self) {
        let (rows, nr) = (self.shape.rows, self.kernel.nr);
        let scores = &mut self.scores[..self.panels.len() * rows * nr];
        self.cx.level().dispatch(BlockSoftmax { scores, rows, nr, statistics: self.statistics });
        let pixels = self.panels.len() * nr;
        let groups = self.weights.chunks_exact_mut(pixels * nr).take(rows.div_ceil(nr));
        for (group, weights) in groups.enumerate() {
            let members = nr.min(rows - group * nr);
            for (panel, weights) in scores.chunks_exact(rows * nr).zip(weights.chunks_exact_mut(nr * nr)) {
                for (pixel, line) in weights.chunks_exact_mut(nr).enumerate() {
                    let column = panel[group * nr * nr..].chunks_exact(nr).map(|row| row[pixel]);
                    line.iter_mut().zip(column).for_each(|(to, from)| *to = from);
                    line[members..].fill(0.0);
                }
            }
        }
    }

    /// `outputs[v][r] = Σ_p value[v][p] · weight[p][r]` over the block's pixels.
    fn accumulate(&mut self, values: &[f32]) {
        let TokenToImageShape { rows, values: channels, panels, .. } = *self.shape;
        let (nr, pixels) = (self.kernel.nr, self.panels.len() * self.kernel.nr);
        let width = rows.next_multiple_of(nr);
        for tile in row_tiles(channels, self.kernel.mr) {
            let block = self.panels.clone().map(|index| &values[panels.elements_of(index, channels)]);
            pack_channels(block, nr, tile.clone(), self.packed);
            let groups = self.weights.chunks_exact(pixels * nr).take(width / nr);
            for (group, weights) in groups.enumerate() {
                let args = TileArgs::product(
                    pixels,
                    self.packed,
                    weights,
                    &mut self.outputs[tile.start * width + group * nr..],
                    width,
                );
                // SAFETY: `packed` holds the tile over the block's pixels, `weights` as many rows of `nr`, and
                // `outputs` has `channels` rows of `width`, a multiple of `nr`.
                unsafe { self.kernel.run(self.cx.level(), tile.len(), args) };
            }
        }
    }
}
