//! Every operation against an oracle in f64 over tokens, at every level, with tails in every size.

use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::exec::Cx;
use crate::kernels::activation::{Activation, tests::oracle as activation};
use crate::kernels::feature_panels::tests::{PIXELS, as_tokens, in_panels, packed, random};
use crate::kernels::feature_panels::{PackedLhs, PanelLayout, Transposed, pack_lhs, packed_lhs_len};
use crate::kernels::testing::{Guarded, Place, assert_near, assert_same_for_any_threads, nan_workspace};
use crate::simd::Level;

fn dot(a: &[f32], b: impl IntoIterator<Item = f64>) -> f64 {
    a.iter().zip(b).map(|(&a, b)| f64::from(a) * b).sum()
}

fn wide(x: &[f32]) -> impl Iterator<Item = f64> {
    x.iter().map(|&x| f64::from(x))
}

fn softmax(scores: &[f64]) -> Vec<f64> {
    let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let e: Vec<f64> = scores.iter().map(|s| libm::exp(s - max)).collect();
    let sum: f64 = e.iter().sum();
    e.iter().map(|e| e / sum).collect()
}

/// `(x − mean) / √(variance + eps) · weight + bias`.
fn layer_norm(x: &[f64], norm: LayerNormParams<'_>) -> Vec<f64> {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
    let scale = 1.0 / libm::sqrt(variance + f64::from(norm.eps));
    let weights = wide(norm.weight).zip(wide(norm.bias));
    x.iter().zip(weights).map(|(x, (weight, bias))| (x - mean) * scale * weight + bias).collect()
}

#[test]
fn project_is_a_linear_layer() {
    for level in Level::available() {
        let cx = Cx::serial(level);
        for pixels in PIXELS {
            for [inputs, outputs] in [[1, 1], [16, 3], [19, 14], [33, 37]] {
                let panels = PanelLayout::new(level, pixels);
                let [x, plus, weight, bias] =
                    [(pixels, pixels * inputs), (2, pixels * inputs), (3, inputs * outputs), (4, outputs)]
                        .map(|(seed, len)| random(seed, len));
                let exact = |with_plus: bool, with_bias: bool| -> Vec<f64> {
                    let token = |pixel: usize| {
                        let at = pixel * inputs..(pixel + 1) * inputs;
                        let plus = if with_plus { &plus[at.clone()] } else { &vec![0.0; inputs] };
                        wide(&x[at]).zip(wide(plus)).map(|(a, b)| a + b).collect::<Vec<_>>()
                    };
                    let output = |pixel: usize, output: usize| {
                        let bias = if with_bias { f64::from(bias[output]) } else { 0.0 };
                        dot(&weight[output * inputs..][..inputs], token(pixel)) + bias
                    };
                    (0..pixels * outputs).map(|i| output(i / outputs, i % outputs)).collect()
                };
                let (x_panels, plus_panels) =
                    (in_panels(level, panels, inputs, &x), in_panels(level, panels, inputs, &plus));
                let weights = packed(level, [outputs, inputs], &weight);
                for (place, is_on) in Place::ALL.into_iter().zip([false, true]) {
                    let weights = Guarded::new(&weights, place);
                    let mut out = Guarded::unwritten(panels.len(outputs), place);
                    let mut workspace = nan_workspace(project_scratch_req(&cx, panels, inputs));
                    project(
                        &cx,
                        panels,
                        PixelProjection {
                            weight: PackedLhs::new(outputs, inputs, &weights),
                            bias: is_on.then_some(&bias),
                        },
                        &Guarded::new(&x_panels, place),
                        is_on.then_some(&plus_panels),
                        &mut out,
                        workspace.scratch(),
                    );
                    assert_near(&as_tokens(panels, outputs, &out), &exact(is_on, is_on), |_| 1e-5);
                }
            }
        }
    }
}

/// Queries, keys and values of attentions of tokens to an image.
struct ToImage {
    shape: TokenToImageShape,
    queries: Vec<f32>,
    /// `[prompts or 1, pixels, groups · depth]`
    keys: Vec<f32>,
    /// `[prompts or 1, pixels, values]`
    values: Vec<f32>,
    /// `[pixels, groups · depth]`
    positions: Vec<f32>,
}

impl ToImage {
    /// Groups only where the image is shared.
    fn new(level: Level, pixels: usize, [rows, depth, values]: [usize; 3], groups: Option<usize>) -> Self {
        let (is_shared, groups) = (groups.is_some(), groups.unwrap_or(1));
        let prompts = 2;
        let images = if is_shared { 1 } else { prompts };
        let shape = TokenToImageShape {
            prompts,
            rows,
            groups,
            depth,
            values,
            panels: PanelLayout::new(level, pixels),
        };
        // Scores of some tens, so that the weights differ by orders of magnitude.
        let queries = random(rows, prompts * rows * depth).iter().map(|x| 8.0 * x).collect();
        let values = random(2, images * pixels * values);
        let keys = if is_shared { random(3, pixels * groups * depth) } else { values.clone() };
        Self { shape, queries, keys, values, positions: random(4, pixels * groups * depth) }
    }

    fn compute(&self, cx: &Cx, is_shared: bool, place: Place) -> Vec<f32> {
        let TokenToImageShape { prompts, rows, groups, depth, values, panels } = self.shape;
        let level = cx.level();
        let in_panels =
            |channels, tokens: &[f32]| Guarded::new(&in_panels(level, panels, channels, tokens), place);
        let queries = Guarded::new(&packed(level, [rows / groups, depth], &self.queries), place);
        let (keys, features) = (in_panels(groups * depth, &self.keys), in_panels(values, &self.values));
        let positions = in_panels(groups * depth, &self.positions);
        let image = if is_shared {
            ImageSource::Shared(ImageKeys { keys: &keys, values: &features })
        } else {
            ImageSource::PerPrompt(ImageFeatures { features: &features, positions: &positions })
        };
        let mut out = Guarded::unwritten(prompts * rows * values, place);
        let mut workspace = nan_workspace(token_to_image_scratch_req(cx, &self.shape));
        token_to_image(cx, &self.shape, &queries, image, &mut out, workspace.scratch());
        out.to_vec()
    }

    fn exact(&self, is_shared: bool) -> Vec<f64> {
        let TokenToImageShape { prompts, rows, groups, depth, values, panels } = self.shape;
        let pixels = panels.pixels();
        let mut out = Vec::new();
        for row in 0..prompts * rows {
            let image = if is_shared { 0 } else { row / rows };
            let score = |pixel: usize| {
                let group = row % rows / (rows / groups);
                let at = |pixel: usize| (pixel * groups + group) * depth;
                let key = wide(&self.keys[at(image * pixels + pixel)..][..depth]);
                let position = wide(&self.positions[at(pixel)..][..depth]);
                let position = position.map(|x| if is_shared { 0.0 } else { x });
                dot(&self.queries[row * depth..][..depth], key.zip(position).map(|(a, b)| a + b))
            };
            let weights = softmax(&(0..pixels).map(score).collect::<Vec<_>>());
            for channel in 0..values {
                let value =
                    |pixel: usize| f64::from(self.values[(image * pixels + pixel) * values + channel]);
                out.push(weights.iter().enumerate().map(|(pixel, weight)| weight * value(pixel)).sum());
            }
        }
        out
    }
}

#[test]
fn token_to_image_is_softmax_over_the_pixels() {
    for level in Level::available() {
        let cx = Cx::serial(level);
        for pixels in PIXELS {
            for (sizes, groups) in [
                ([1, 1, 1], Some(1)),
                ([7, 16, 19], Some(1)),
                ([56, 5, 3], Some(8)),
                ([51, 17, 9], Some(3)),
                ([33, 20, 20], None),
                ([8, 37, 37], None),
            ] {
                let is_shared = groups.is_some();
                let case = ToImage::new(level, pixels, sizes, groups);
                let exact = case.exact(is_shared);
                for place in Place::ALL {
                    assert_near(&case.compute(&cx, is_shared, place), &exact, |_| 2e-5);
                }
            }
        }
    }
}

/// A prompt of an attention of an image to tokens, and the image.
struct ToToken {
    shape: ImageToTokenShape,
    keys: Vec<f32>,
    key_bias: Vec<f32>,
    values: Vec<f32>,
    bias: Vec<f32>,
    weight: Vec<f32>,
    norm_bias: Vec<f32>,
    queries: Vec<f32>,
    features: Vec<f32>,
}

impl ToToken {
    /// A group for each head where the image is shared.
    fn new(
        level: Level,
        pixels: usize,
        [tokens, heads, depth, channels]: [usize; 4],
        is_shared: bool,
    ) -> Self {
        let (prompts, rows) = (2, heads * tokens);
        let groups = if is_shared { heads } else { 1 };
        let images = if is_shared { 1 } else { prompts };
        let panels = PanelLayout::new(level, pixels);
        Self {
            shape: ImageToTokenShape { prompts, tokens, heads, groups, depth, channels, panels },
            keys: random(1, prompts * rows * depth),
            key_bias: random(2, prompts * rows),
            values: random(3, prompts * rows * channels),
            bias: random(4, channels),
            weight: random(5, channels),
            norm_bias: random(6, channels),
            queries: random(7, pixels * groups * depth),
            features: random(8, images * pixels * channels),
        }
    }

    fn norm(&self) -> LayerNormParams<'_> {
        LayerNormParams { weight: &self.weight, bias: &self.norm_bias, eps: 1e-5 }
    }

    fn compute(&self, cx: &Cx, is_shared: bool, place: Place) -> Vec<f32> {
        let ImageToTokenShape { prompts, groups, depth, channels, panels, .. } = self.shape;
        let rows = self.shape.heads * self.shape.tokens;
        let level = cx.level();
        let keys = Guarded::new(&packed(level, [rows / groups, depth], &self.keys), place);
        let mut values = vec![f32::NAN; prompts * packed_lhs_len(channels, rows)];
        let each = values.chunks_exact_mut(packed_lhs_len(channels, rows));
        for (out, values) in each.zip(self.values.chunks_exact(rows * channels)) {
            pack_lhs(level, &Transposed::new(values, channels), out);
        }
        let tokens = PackedTokens {
            keys: &keys,
            key_bias: &self.key_bias,
            values: &Guarded::new(&values, place),
            bias: &self.bias,
        };
        let queries = Guarded::new(&in_panels(level, panels, groups * depth, &self.queries), place);
        let features = Guarded::new(&in_panels(level, panels, channels, &self.features), place);
        let mut x = Guarded::unwritten(prompts * panels.len(channels), place);
        let image = if is_shared {
            ImageSource::Shared(ImageQueries { queries: &queries, features: &features })
        } else {
            x.copy_from_slice(&features);
            ImageSource::PerPrompt(&queries[..])
        };
        let mut workspace = nan_workspace(image_to_token_scratch_req(cx, &self.shape));
        image_to_token(cx, &self.shape, &tokens, self.norm(), image, &mut x, workspace.scratch());
        as_tokens(panels, channels, &x)
    }

    fn exact(&self, is_shared: bool) -> Vec<f64> {
        let ImageToTokenShape { prompts, tokens, heads, groups, depth, channels, panels } = self.shape;
        let width = groups * depth;
        let mut out = Vec::new();
        for i in 0..prompts * panels.pixels() {
            let (prompt, pixel) = (i / panels.pixels(), i % panels.pixels());
            let features = if is_shared { pixel } else { i };
            let features: Vec<f64> = wide(&self.features[features * channels..][..channels]).collect();
            let mut query: Vec<f64> = wide(&self.queries[pixel * width..][..width]).collect();
            if !is_shared {
                query.iter_mut().zip(&features).for_each(|(q, x)| *q += x);
            }
            let mut x: Vec<f64> = features.iter().zip(wide(&self.bias)).map(|(x, bias)| x + bias).collect();
            for head in 0..heads {
                let row = |token: usize| (prompt * heads + head) * tokens + token;
                let score = |token: usize| {
                    let key = &self.keys[row(token) * depth..][..depth];
                    let group = head * groups / heads * depth;
                    dot(key, query[group..group + depth].iter().copied())
                        + f64::from(self.key_bias[row(token)])
                };
                let weights = softmax(&(0..tokens).map(score).collect::<Vec<_>>());
                for (token, weight) in weights.iter().enumerate() {
                    let value = wide(&self.values[row(token) * channels..][..channels]);
                    x.iter_mut().zip(value).for_each(|(x, value)| *x += weight * value);
                }
            }
            out.extend(layer_norm(&x, self.norm()));
        }
        out
    }
}

#[test]
fn image_to_token_is_softmax_over_the_tokens() {
    for level in Level::available() {
        let cx = Cx::serial(level);
        for pixels in PIXELS {
            for (sizes, is_shared) in [
                ([1, 1, 1, 2], true),
                ([7, 8, 16, 33], true),
                ([5, 2, 21, 7], true),
                ([6, 3, 19, 19], false),
                ([40, 1, 32, 32], false),
            ] {
                let case = ToToken::new(level, pixels, sizes, is_shared);
                let exact = case.exact(is_shared);
                for place in Place::ALL {
                    assert_near(&case.compute(&cx, is_shared, place), &exact, |_| 5e-5);
                }
            }
        }
    }
}

/// Weights and features of an upscaling.
struct Up {
    grid: usize,
    channels: [usize; 3],
    prompts: usize,
    masks: usize,
    conv1: Vec<f32>,
    bias1: Vec<f32>,
    weight: Vec<f32>,
    norm_bias: Vec<f32>,
    conv2: Vec<f32>,
    bias2: Vec<f32>,
    /// `[prompts, masks, channels 2]`
    mask_weights: Vec<f32>,
    /// `[prompts, grid², channels]`
    x: Vec<f32>,
    /// `[(2 · grid)², channels 1]` and `[(4 · grid)², channels 2]`, if there are such.
    maps: Option<[Vec<f32>; 2]>,
}

impl Up {
    fn new(grid: usize, masks: usize, channels: [usize; 3], has_maps: bool) -> Self {
        let ([c, c1, c2], prompts) = (channels, 2);
        Self {
            grid,
            channels,
            prompts,
            masks,
            conv1: random(1, 4 * c1 * c),
            bias1: random(2, c1),
            weight: random(3, c1),
            norm_bias: random(4, c1),
            conv2: random(5, 4 * c2 * c1),
            bias2: random(6, c2),
            mask_weights: random(7, prompts * masks * c2),
            x: random(8, prompts * grid * grid * c),
            maps: has_maps.then(|| [random(9, 4 * grid * grid * c1), random(10, 16 * grid * grid * c2)]),
        }
    }

    fn norm(&self) -> LayerNormParams<'_> {
        LayerNormParams { weight: &self.weight, bias: &self.norm_bias, eps: 1e-3 }
    }

    /// Masks and upscaled features.
    fn compute(&self, cx: &Cx, place: Place) -> [Vec<f32>; 2] {
        let (level, [c, c1, c2], side) = (cx.level(), self.channels, 4 * self.grid);
        let panels = PanelLayout::new(level, self.grid * self.grid);
        let conv1 = Guarded::new(&packed(level, [4 * c1, c], &self.conv1), place);
        let conv2 = Guarded::new(&packed(level, [4 * c2, c1], &self.conv2), place);
        let weights = UpscaleWeights {
            conv1: PackedLhs::new(4 * c1, c, &conv1),
            bias1: &self.bias1,
            norm: self.norm(),
            conv2: PackedLhs::new(4 * c2, c1, &conv2),
            bias2: &self.bias2,
        };
        let x = Guarded::new(&in_panels(level, panels, c, &self.x), place);
        let mask_weights = Guarded::new(&packed(level, [self.masks, c2], &self.mask_weights), place);
        let mut masks = Guarded::unwritten(self.prompts * self.masks * side * side, place);
        let mut upscaled = Guarded::unwritten(self.prompts * side * side * c2, place);
        let mut workspace = nan_workspace(upscale_scratch_req(cx, &weights, panels, self.masks));
        let scratch = workspace.scratch();
        let maps = self.maps.as_ref().map(|maps| {
            let layout = HighResLayout::new(panels, self.grid, [c1, c2]);
            let mut packed = Guarded::unwritten(layout.packed_len(), place);
            layout.pack(cx, maps.each_ref().map(|map| &map[..]), &mut packed);
            packed
        });
        let inputs = UpscaleInputs {
            prompts: self.prompts,
            masks: self.masks,
            grid: self.grid,
            features: &x,
            mask_weights: &mask_weights,
            high_res: maps.as_deref(),
        };
        upscale(cx, &weights, &inputs, &mut masks, Some(&mut upscaled), scratch);
        [masks.to_vec(), upscaled.to_vec()]
    }

    fn exact(&self) -> [Vec<f64>; 2] {
        let ([c, c1, c2], grid, side) = (self.channels, self.grid, 4 * self.grid);
        let mut masks = vec![0.0; self.prompts * self.masks * side * side];
        let mut upscaled = Vec::new();
        let gelu = |x| activation(Activation::Gelu, x);
        for i in 0..self.prompts * side * side {
            let (prompt, row, column) = (i / (side * side), i / side % side, i % side);
            let tap = |factor: usize| row / factor % 2 * 2 + column / factor % 2;
            let x = &self.x[((prompt * grid + row / 4) * grid + column / 4) * c..][..c];
            let map = |map: usize, at: usize| self.maps.as_ref().map_or(0.0, |maps| f64::from(maps[map][at]));
            let half = (row / 2 * (side / 2) + column / 2) * c1;
            let y1: Vec<f64> = (0..c1)
                .map(|k| {
                    let weights = &self.conv1[(tap(2) * c1 + k) * c..][..c];
                    dot(weights, wide(x)) + f64::from(self.bias1[k]) + map(0, half + k)
                })
                .collect();
            let y1: Vec<f64> = layer_norm(&y1, self.norm()).into_iter().map(gelu).collect();
            let y2: Vec<f64> = (0..c2)
                .map(|k| {
                    let weights = &self.conv2[(tap(1) * c2 + k) * c1..][..c1];
                    let more = map(1, (row * side + column) * c2 + k);
                    gelu(dot(weights, y1.iter().copied()) + f64::from(self.bias2[k]) + more)
                })
                .collect();
            for mask in 0..self.masks {
                let at = prompt * self.masks + mask;
                masks[at * side * side + i % (side * side)] =
                    dot(&self.mask_weights[at * c2..][..c2], y2.iter().copied());
            }
            upscaled.extend(y2);
        }
        [masks, upscaled]
    }
}

#[test]
fn upscale_is_two_transposed_convolutions() {
    for level in Level::available() {
        let cx = Cx::serial(level);
        for (grid, masks, channels) in [(1, 1, [8, 2, 1]), (5, 3, [16, 4, 2]), (7, 2, [33, 9, 17])] {
            for has_maps in [false, true] {
                let case = Up::new(grid, masks, channels, has_maps);
                let exact = case.exact();
                for place in Place::ALL {
                    for (got, exact) in case.compute(&cx, place).iter().zip(&exact) {
                        assert_near(got, exact, |_| 1e-4);
                    }
                }
            }
        }
    }
}

#[test]
fn packed_maps_come_back() {
    for level in Level::available() {
        for (grid, channels) in [(1, [1, 1]), (5, [4, 2]), (9, [3, 7])] {
            let layout = HighResLayout::new(PanelLayout::new(level, grid * grid), grid, channels);
            let maps = layout.map_lens().map(|len| random(len, len));
            let (mut packed, mut back) =
                (vec![f32::NAN; layout.packed_len()], maps.clone().map(|map| vec![f32::NAN; map.len()]));
            layout.pack(&Cx::serial(level), maps.each_ref().map(|map| &map[..]), &mut packed);
            assert!(packed.iter().all(|value| !value.is_nan()));
            layout.unpack(&packed, back.each_mut().map(|map| &mut map[..]));
            assert_eq!(back, maps);
        }
    }
}

#[test]
fn threads_do_not_change_the_result() {
    for level in Level::available() {
        for is_shared in [false, true] {
            let case = ToImage::new(level, 700, [9, 24, 24], is_shared.then_some(1));
            assert_same_for_any_threads(level, |cx| case.compute(cx, is_shared, Place::End));
            let case = ToToken::new(level, 300, [6, 3, 20, 20], is_shared);
            assert_same_for_any_threads(level, |cx| case.compute(cx, is_shared, Place::End));
        }
        let case = Up::new(9, 3, [16, 8, 4], true);
        assert_same_for_any_threads(level, |cx| case.compute(cx, Place::End).concat());
    }
}
