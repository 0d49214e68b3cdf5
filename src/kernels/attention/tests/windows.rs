//! Attention in windows against an f64 oracle that pads the grid and cuts it as the reference does.

use alloc::vec;
use alloc::vec::Vec;
use core::f32::consts::LOG2_E;

use super::{precisions, rounded};
use crate::exec::Cx;
use crate::kernels::attention::{
    Bias, RelativePositions, WindowShape, attention_pooled_windows, attention_windows, windows_scratch_req,
};
use crate::kernels::testing::{Guarded, Place, Rng, assert_near, assert_same_for_any_threads, nan_workspace};
use crate::simd::Level;

/// What to add to the scores.
#[derive(Clone, Copy, Debug)]
enum Kind {
    None,
    PerHead,
    Relative,
}

struct Problem {
    shape: WindowShape,
    scale: f32,
    qkv: Vec<f32>,
    padding: Vec<f32>,
    /// `[heads, places, places]`.
    per_head: Vec<f32>,
    /// `[2 · side − 1, head_dim]`.
    tables: [Vec<f32>; 2],
}

impl Problem {
    fn new(grid: [usize; 2], window: [usize; 2], heads: usize, head_dim: usize) -> Self {
        let mut rng = Rng::new((grid[0] << 24 | grid[1] << 16 | window[1] << 8 | head_dim) as u64);
        let width = heads * head_dim;
        let places = window[0] * window[1];
        Self {
            shape: WindowShape { grid, window, heads, head_dim, bf16: false },
            scale: 1.0 / libm::sqrtf(head_dim as f32),
            qkv: rng.vec(grid[0] * grid[1] * 3 * width, -2.0..=2.0),
            padding: rng.vec(3 * width, -2.0..=2.0),
            per_head: rng.vec(heads * places * places, -3.0..=3.0),
            tables: window.map(|side| rng.vec((2 * side - 1) * head_dim, -0.5..=0.5)),
        }
    }

    /// The exact result `[rows, columns, heads · head_dim]` and the error that f32 may make in it.
    fn oracle(&self, kind: Kind) -> (Vec<f64>, f64) {
        let WindowShape { grid, window, heads, head_dim, bf16 } = self.shape;
        let width = heads * head_dim;
        let part = |which: usize, [y, x]: [usize; 2], head: usize| -> &[f32] {
            let at = which * width + head * head_dim;
            if y < grid[0] && x < grid[1] {
                &self.qkv[(y * grid[1] + x) * 3 * width + at..][..head_dim]
            } else {
                &self.padding[at..][..head_dim]
            }
        };
        let multiplied =
            |x: &[f32]| -> Vec<f32> { x.iter().map(|x| if bf16 { rounded(*x) } else { *x }).collect() };
        let dot = |a: &[f32], b: &[f32]| -> (f64, f64) {
            let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
            (products.clone().sum(), products.map(f64::abs).sum())
        };
        let (mut exact, mut score_error) = (vec![0.0; grid[0] * grid[1] * width], 0.0_f64);
        for (i, out) in exact.chunks_exact_mut(head_dim).enumerate() {
            let (token, head) = (i / heads, i % heads);
            let (y, x) = (token / grid[1], token % grid[1]);
            let (top, left) = (y / window[0] * window[0], x / window[1] * window[1]);
            let q = part(0, [y, x], head);
            let scaled: Vec<f32> = match bf16 {
                true => q.iter().map(|x| rounded(x * (self.scale * LOG2_E))).collect(),
                false => q.to_vec(),
            };
            let scale = if bf16 { core::f64::consts::LN_2 } else { f64::from(self.scale) };
            let places = (0..window[0] * window[1]).map(|i| [i / window[1], i % window[1]]);
            let mut weights: Vec<f64> = Vec::new();
            for [key_y, key_x] in places.clone() {
                let (score, size) = dot(&scaled, &multiplied(part(1, [top + key_y, left + key_x], head)));
                let (added, added_size) = match kind {
                    Kind::None => (0.0, 0.0),
                    Kind::PerHead => {
                        let side = window[0] * window[1];
                        let query = (y - top) * window[1] + x - left;
                        let at = (head * side + query) * side + key_y * window[1] + key_x;
                        (f64::from(self.per_head[at]), 3.0)
                    }
                    Kind::Relative => {
                        let rows = y - top + window[0] - 1 - key_y;
                        let columns = x - left + window[1] - 1 - key_x;
                        let rows = dot(q, &self.tables[0][rows * head_dim..][..head_dim]);
                        let columns = dot(q, &self.tables[1][columns * head_dim..][..head_dim]);
                        (rows.0 + columns.0, rows.1 + columns.1)
                    }
                };
                score_error = score_error.max(size * scale + added_size);
                weights.push(score * scale + added);
            }
            let max = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            weights.iter_mut().for_each(|w| *w = libm::exp(*w - max));
            let sum: f64 = weights.iter().sum();
            for (weight, [key_y, key_x]) in weights.iter().zip(places) {
                let v = multiplied(part(2, [top + key_y, left + key_x], head));
                out.iter_mut().zip(v).for_each(|(out, v)| *out += weight / sum * f64::from(v));
            }
        }
        // As for dense attention; here |v| <= 2.
        let terms = score_error * (head_dim + 6) as f64 + (window[0] * window[1] + 16) as f64;
        let rounding = if bf16 { 2.0 / 256.0 } else { 0.0 };
        (exact, 4.0 * terms * f64::from(f32::EPSILON) + rounding)
    }

    fn run(&self, cx: &Cx, kind: Kind, place: Place) -> Guarded<f32> {
        let [rows, columns] = &self.tables;
        let window = self.shape.window;
        let positions = RelativePositions::new(cx.level(), window, self.scale, rows, columns).unwrap();
        let per_head = Guarded::new(&self.per_head, place);
        let bias = match kind {
            Kind::None => Bias::None,
            Kind::PerHead => Bias::PerHead(&per_head),
            Kind::Relative => Bias::Relative(&positions),
        };
        let mut out = Guarded::unwritten(self.qkv.len() / 3, place);
        attention_windows(
            cx,
            &self.shape,
            self.scale,
            &Guarded::new(&self.qkv, place),
            &Guarded::new(&self.padding, place),
            bias,
            &mut out,
            nan_workspace(windows_scratch_req(cx, &self.shape, &bias)).scratch(),
        );
        out
    }
}

#[test]
fn windows_with_every_bias() {
    for level in Level::available() {
        let cx = Cx::serial(level);
        for (grid, window, heads, head_dim) in [
            ([1, 1], [1, 1], 1, 3),
            ([4, 4], [2, 2], 2, 8),      // no padding
            ([5, 7], [3, 3], 2, 20),     // padding on both sides
            ([3, 4], [7, 7], 1, 32),     // one window, mostly padding
            ([16, 30], [14, 14], 3, 16), // SAM's windows
            ([17, 19], [17, 19], 2, 24), // global attention over several blocks of keys
            ([6, 40], [4, 33], 1, 14),
        ] {
            let mut problem = Problem::new(grid, window, heads, head_dim);
            let all = [Kind::None, Kind::PerHead, Kind::Relative];
            for (bf16, kind) in precisions(&cx).flat_map(|bf16| all.map(|kind| (bf16, kind))) {
                problem.shape.bf16 = bf16;
                let (exact, tolerance) = problem.oracle(kind);
                for place in Place::ALL {
                    assert_near(&problem.run(&cx, kind, place), &exact, |_| tolerance);
                }
            }
        }
    }
}

/// Pooled queries attend as tokens would that have the same query four times over.
#[test]
fn pooled_queries() {
    const CASES: [([usize; 2], [usize; 2], usize, usize); 5] = [
        ([2, 2], [2, 2], 1, 3),
        ([8, 8], [4, 4], 2, 20),
        ([10, 6], [4, 4], 3, 7),     // padding on both sides
        ([16, 12], [14, 14], 2, 24), // Hiera's last pooled windows
        ([18, 20], [18, 20], 1, 16), // global attention
    ];
    for level in Level::available() {
        let cx = Cx::serial(level);
        for (bf16, (grid, window, heads, head_dim)) in
            precisions(&cx).flat_map(|bf16| CASES.map(|case| (bf16, case)))
        {
            let mut problem = Problem::new(grid, window, heads, head_dim);
            problem.shape.bf16 = bf16;
            let width = heads * head_dim;
            let mut queries = Vec::new();
            for y in (0..grid[0]).step_by(2) {
                for x in (0..grid[1]).step_by(2) {
                    let first = (y * grid[1] + x) * 3 * width;
                    queries.extend_from_slice(&problem.qkv[first..][..width]);
                    for token in [1, grid[1], grid[1] + 1] {
                        problem.qkv.copy_within(first..first + width, first + token * 3 * width);
                    }
                }
            }
            let (all, tolerance) = problem.oracle(Kind::None);
            let is_first =
                |token: usize| [token / grid[1], token % grid[1]].iter().all(|at| at.is_multiple_of(2));
            let exact: Vec<f64> = all
                .chunks_exact(width)
                .enumerate()
                .filter(|(i, _)| is_first(*i))
                .flat_map(|(_, out)| out.iter().copied())
                .collect();
            // The tokens' own queries are not looked at.
            let mut padding = problem.padding.clone();
            padding[..width].fill(f32::NAN);
            problem.qkv.chunks_exact_mut(3 * width).for_each(|token| token[..width].fill(f32::NAN));
            for place in Place::ALL {
                let mut out = Guarded::unwritten(queries.len(), place);
                attention_pooled_windows(
                    &cx,
                    &problem.shape,
                    problem.scale,
                    &Guarded::new(&queries, place),
                    &Guarded::new(&problem.qkv, place),
                    &Guarded::new(&padding, place),
                    &mut out,
                    nan_workspace(windows_scratch_req(&cx, &problem.shape, &Bias::None)).scratch(),
                );
                assert_near(&out, &exact, |_| tolerance);
            }
        }
    }
}

#[test]
#[should_panic = "pooling of"]
fn windows_of_odd_sides_are_not_pooled() {
    let cx = Cx::serial(Level::detect());
    let shape = WindowShape { grid: [4, 4], window: [3, 3], heads: 1, head_dim: 1, bf16: false };
    let mut workspace = nan_workspace(windows_scratch_req(&cx, &shape, &Bias::None));
    let (queries, qkv, padding, mut out) = ([0.0; 4], [0.0; 48], [0.0; 3], [0.0; 4]);
    attention_pooled_windows(&cx, &shape, 1.0, &queries, &qkv, &padding, &mut out, workspace.scratch());
}

#[test]
fn same_bits_for_any_threads() {
    for level in Level::available() {
        for (grid, window) in [([20, 21], [20, 21]), ([20, 31], [8, 8])] {
            let problem = Problem::new(grid, window, 2, 20);
            for kind in [Kind::PerHead, Kind::Relative] {
                assert_same_for_any_threads(level, |cx| problem.run(cx, kind, Place::End).to_vec());
            }
        }
    }
}

#[test]
#[should_panic = "distances of"]
fn distances_of_another_window_panic() {
    let cx = Cx::serial(Level::detect());
    let shape = WindowShape { grid: [2, 2], window: [2, 2], heads: 1, head_dim: 1, bf16: false };
    let positions = RelativePositions::new(cx.level(), [1, 1], 1.0, &[0.0], &[0.0]).unwrap();
    let bias = Bias::Relative(&positions);
    let mut workspace = nan_workspace(windows_scratch_req(&cx, &shape, &bias));
    let (qkv, padding, mut out) = ([0.0; 12], [0.0; 3], [0.0; 4]);
    attention_windows(&cx, &shape, 1.0, &qkv, &padding, bias, &mut out, workspace.scratch());
}
