//! The product against an f64 oracle: every level, every tile height, all tails.

mod emulated;
mod format;
mod layout;

use alloc::vec;
use alloc::vec::Vec;

use super::destination::Old;
use super::{Destination, F32Kernel, PackedWeights, Rows, gemm, grouped, grouped_scratch_req, scratch_req};
use crate::exec::Cx;
use crate::kernels::activation::Activation;
use crate::kernels::activation::tests::{ALL as ACTIVATIONS, oracle as activate};
use crate::kernels::testing::{Guarded, Place, Rng, assert_near, assert_same_for_any_threads, nan_workspace};
use crate::simd::{Caches, Level};

/// Random operands `lhs: [m, k]`, `weights: [n, k]`, `bias: [n]`.
struct Problem {
    m: usize,
    n: usize,
    k: usize,
    lhs: Vec<f32>,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Problem {
    fn new([m, n, k]: [usize; 3]) -> Self {
        let mut rng = Rng::new((m << 40 | n << 20 | k) as u64);
        let mut vec = |len| rng.vec(len, -1.0..=1.0);
        Self { m, n, k, lhs: vec(m * k), weights: vec(n * k), bias: vec(n) }
    }

    /// `activation(lhs · weightsᵀ + bias)`, and for each element the error that f32 may make.
    fn oracle(&self, bias: bool, activation: Activation) -> (Vec<f64>, Vec<f64>) {
        let mut exact = Vec::with_capacity(self.m * self.n);
        let mut tolerances = Vec::with_capacity(self.m * self.n);
        for a in self.lhs.chunks_exact(self.k) {
            for (b, &start) in self.weights.chunks_exact(self.k).zip(&self.bias) {
                let start = if bias { f64::from(start) } else { 0.0 };
                let (sum, magnitude) =
                    a.iter().zip(b).fold((start, start.abs()), |(sum, magnitude), (a, b)| {
                        let product = f64::from(*a) * f64::from(*b);
                        (sum + product, magnitude + product.abs())
                    });
                // A multiplication and an addition per term, each off by half a unit; no activation is steeper
                // than 1.13, and each is off by 2⁻²² of its argument.
                let rounding = (self.k + 2) as f64 * f64::from(f32::EPSILON) * magnitude;
                exact.push(activate(activation, sum));
                tolerances.push(1.13 * rounding + f64::from(f32::EPSILON) * 2.0 * magnitude);
            }
        }
        (exact, tolerances)
    }

    fn pack(&self, level: Level) -> PackedWeights {
        PackedWeights::pack(level, self.n, self.k, &self.weights).unwrap()
    }
}

fn interesting_widths(nr: usize) -> Vec<usize> {
    vec![1, 2, nr / 2, nr - 1, nr, nr + 1, 2 * nr + 3]
}

/// Around the 16 values of a packed chunk.
const DEPTHS: [usize; 7] = [1, 2, 15, 16, 17, 33, 64];

#[test]
fn every_tile_height_and_tail() {
    for level in Level::available() {
        let cx = Cx::serial(level);
        let F32Kernel { mr, nr, .. } = *F32Kernel::of(level);
        for m in (1..=2 * mr + 1).chain([5 * mr + 3]) {
            for n in interesting_widths(nr) {
                for k in DEPTHS {
                    let place = Place::ALL[(m + n + k) % 2];
                    let has_bias = (m + k) % 3 > 0;
                    let problem = Problem::new([m, n, k]);
                    let (exact, tolerances) = problem.oracle(has_bias, Activation::None);

                    let lhs = Guarded::new(&problem.lhs, place);
                    let bias = Guarded::new(&problem.bias, place);
                    let weights = problem.pack(level);
                    let mut out = Guarded::unwritten(m * n, place);
                    let mut workspace = nan_workspace(scratch_req(&cx, m, &weights));
                    gemm(
                        &cx,
                        &Rows::new(&lhs, m, k),
                        &weights,
                        has_bias.then_some(&*bias),
                        Activation::None,
                        Destination::Store { out: &mut out, stride: n },
                        workspace.scratch(),
                    );
                    assert_near(&out, &exact, |i| tolerances[i]);
                }
            }
        }
    }
}

/// Each group is the product of its columns, to the bit, on any lane.
#[test]
fn groups_are_products_of_their_own() {
    for level in Level::available() {
        for [m, groups, n, k] in [[1, 1, 5, 3], [1, 5, 64, 16], [3, 4, 7, 33], [20, 3, 2, 130]] {
            let problems: Vec<_> = (0..groups).map(|group| Problem::new([m, n + group * 1000, k])).collect();
            let weights = |problem: &Problem| PackedWeights::pack(level, n, k, &problem.weights[..n * k]);
            let weights: Vec<_> = problems.iter().map(|problem| weights(problem).unwrap()).collect();
            let row = |row: usize| problems.iter().flat_map(move |problem| &problem.lhs[row * k..][..k]);
            let x: Vec<f32> = (0..m).flat_map(row).copied().collect();
            assert_same_for_any_threads(level, |cx| {
                let mut out = vec![f32::NAN; m * groups * n];
                let mut workspace = nan_workspace(grouped_scratch_req(cx, m, &weights));
                grouped(cx, &weights, &x, &mut out, workspace.scratch());
                for (group, (problem, weights)) in problems.iter().zip(&weights).enumerate() {
                    let mut expected = vec![f32::NAN; m * n];
                    let mut workspace = nan_workspace(scratch_req(cx, m, weights));
                    let output = Destination::Store { out: &mut expected, stride: n };
                    let rows = Rows::new(&problem.lhs, m, k);
                    gemm(cx, &rows, weights, None, Activation::None, output, workspace.scratch());
                    for (out, expected) in out.chunks_exact(groups * n).zip(expected.chunks_exact(n)) {
                        assert_eq!(out[group * n..][..n], *expected, "{m} {n} {k}, group {group}");
                    }
                }
                out
            });
        }
    }
}

#[test]
#[should_panic(expected = "groups of one shape")]
fn groups_of_two_shapes_panic() {
    let cx = Cx::serial(Level::detect());
    let weights = [2, 3].map(|n| PackedWeights::pack(cx.level(), n, 1, &[1.0; 3][..n]).unwrap());
    let mut workspace = nan_workspace(grouped_scratch_req(&cx, 1, &weights));
    grouped(&cx, &weights, &[1.0; 2], &mut [0.0; 5], workspace.scratch());
}

#[test]
fn many_blocks_of_rows() {
    for level in Level::available() {
        let cx = Cx::serial(level);
        let F32Kernel { mr, nr, .. } = *F32Kernel::of(level);
        // Deep enough that a block is one or two tiles.
        let problem = Problem::new([5 * mr + 1, nr + 5, 6000]);
        let (exact, tolerances) = problem.oracle(true, Activation::None);
        let weights = problem.pack(level);
        let mut out = vec![f32::NAN; problem.m * problem.n];
        gemm(
            &cx,
            &Rows::new(&problem.lhs, problem.m, problem.k),
            &weights,
            Some(&problem.bias),
            Activation::None,
            Destination::Store { out: &mut out, stride: problem.n },
            nan_workspace(scratch_req(&cx, problem.m, &weights)).scratch(),
        );
        assert_near(&out, &exact, |i| tolerances[i]);
    }
}

/// Rows further apart than they are long, on both sides; what lies between is neither read nor written.
#[test]
fn strided_rows_stored_and_added_with_every_activation() {
    for level in Level::available() {
        let cx = Cx::serial(level);
        let F32Kernel { mr, nr, .. } = *F32Kernel::of(level);
        for activation in ACTIVATIONS {
            for (old, m, n) in [Old::Lost, Old::Added, Old::Activated]
                .into_iter()
                .flat_map(|old| [(old, mr + 2, nr), (old, 1, nr + 3), (old, 2 * mr, 2 * nr - 1)])
            {
                let k = 19;
                let (lhs_stride, stride) = (k + 3, n + 5);
                let problem = Problem::new([m, n, k]);
                let first = if old == Old::Activated { Activation::None } else { activation };
                let (mut exact, mut tolerances) = problem.oracle(true, first);
                let residual = Rng::new(3).vec(m * n, -1.0..=1.0);
                if old != Old::Lost {
                    for (i, residual) in residual.iter().enumerate() {
                        exact[i] += f64::from(*residual);
                        tolerances[i] += 2.0 * exact[i].abs() * f64::from(f32::EPSILON);
                    }
                }
                if old == Old::Activated {
                    exact.iter_mut().for_each(|x| *x = activate(activation, *x));
                }
                let weights = problem.pack(level);
                for place in Place::ALL {
                    let mut lhs = Guarded::unwritten((m - 1) * lhs_stride + k, place);
                    for (to, from) in lhs.chunks_mut(lhs_stride).zip(problem.lhs.chunks_exact(k)) {
                        to[..k].copy_from_slice(from);
                    }
                    let mut out = Guarded::unwritten((m - 1) * stride + n, place);
                    for (to, from) in out.chunks_mut(stride).zip(residual.chunks_exact(n)) {
                        to[..n].copy_from_slice(from);
                    }
                    gemm(
                        &cx,
                        &Rows::strided(&lhs, m, k, lhs_stride),
                        &weights,
                        Some(&problem.bias),
                        activation,
                        match old {
                            Old::Lost => Destination::Store { out: &mut out, stride },
                            Old::Added => Destination::Add { out: &mut out, stride },
                            Old::Activated => Destination::ActivateSum { out: &mut out, stride },
                        },
                        nan_workspace(scratch_req(&cx, m, &weights)).scratch(),
                    );
                    let mut tight = Vec::new();
                    for row in out.chunks(stride) {
                        tight.extend_from_slice(&row[..n]);
                        assert!(row[n..].iter().all(|x| x.to_bits() == u32::MAX), "written between rows");
                    }
                    assert_near(&tight, &exact, |i| tolerances[i]);
                }
            }
        }
    }
}

#[test]
fn scatter_to_heads() {
    const BATCHES: usize = 2;
    const TOKENS: usize = 9;
    const HEADS: usize = 3;
    for level in Level::available() {
        let cx = Cx::serial(level);
        for head_dim in [20, 24, 64, 80] {
            for (which, activation) in [(1, Activation::None), (3, Activation::None), (2, Activation::Gelu)] {
                let problem = Problem::new([BATCHES * TOKENS, which * HEADS * head_dim, 21]);
                let (exact, tolerances) = problem.oracle(true, activation);
                let weights = problem.pack(level);
                for place in Place::ALL {
                    let mut out = Guarded::unwritten(problem.m * problem.n, place);
                    gemm(
                        &cx,
                        &Rows::new(&problem.lhs, problem.m, problem.k),
                        &weights,
                        Some(&problem.bias),
                        activation,
                        Destination::Heads { out: &mut out, tokens: TOKENS, heads: HEADS, head_dim },
                        nan_workspace(scratch_req(&cx, problem.m, &weights)).scratch(),
                    );
                    // Back to [batch, token, which, head, d].
                    let rows: Vec<f32> = (0..out.len())
                        .map(|i| {
                            let (m, n) = (i / problem.n, i % problem.n);
                            let (batch, token) = (m / TOKENS, m % TOKENS);
                            let (which, head, d) =
                                (n / (HEADS * head_dim), n / head_dim % HEADS, n % head_dim);
                            out[(((which * BATCHES + batch) * HEADS + head) * TOKENS + token) * head_dim + d]
                        })
                        .collect();
                    assert_near(&rows, &exact, |i| tolerances[i]);
                }
            }
        }
    }
}

#[test]
fn same_bits_for_any_threads() {
    for level in Level::available() {
        let F32Kernel { mr, nr, .. } = *F32Kernel::of(level);
        // One row, a block of few tiles, and so many blocks that lanes take whole blocks.
        for [m, n, k] in [[1, 3 * nr + 1, 40], [3 * mr + 2, 7 * nr + 3, 100], [30 * mr + 1, nr + 2, 9000]] {
            let problem = Problem::new([m, n, k]);
            let weights = problem.pack(level);
            assert_same_for_any_threads(level, |cx| {
                let mut out = problem.bias.repeat(m);
                gemm(
                    cx,
                    &Rows::new(&problem.lhs, m, k),
                    &weights,
                    Some(&problem.bias),
                    Activation::QuickGelu,
                    Destination::Add { out: &mut out, stride: n },
                    nan_workspace(scratch_req(cx, m, &weights)).scratch(),
                );
                out
            });
        }
        let (tokens, heads, head_dim) = (2 * mr + 1, 2, 20);
        let problem = Problem::new([2 * tokens, 3 * heads * head_dim, 50]);
        let weights = problem.pack(level);
        assert_same_for_any_threads(level, |cx| {
            let mut out = vec![f32::NAN; problem.m * problem.n];
            gemm(
                cx,
                &Rows::new(&problem.lhs, problem.m, problem.k),
                &weights,
                None,
                Activation::None,
                Destination::Heads { out: &mut out, tokens, heads, head_dim },
                nan_workspace(scratch_req(cx, problem.m, &weights)).scratch(),
            );
            out
        });
    }
}

/// Caches so small that the depth is cut into blocks of 16 and rows into blocks of a tile, and larger ones.
#[test]
fn same_bits_for_any_caches() {
    for level in Level::available() {
        let F32Kernel { mr, nr, .. } = *F32Kernel::of(level);
        let (tokens, heads, head_dim) = (2 * mr + 1, 2, 20);
        let problem = Problem::new([2 * tokens, 3 * heads * head_dim, 150]);
        let weights = problem.pack(level);
        let products = |caches: Option<Caches>| {
            let cx = Cx::serial(level);
            let cx = caches.map_or(cx.clone(), |caches| cx.with_caches(caches));
            let bits = (0..4).flat_map(|which| {
                let mut out =
                    problem.lhs.iter().copied().cycle().take(problem.m * problem.n).collect::<Vec<_>>();
                let (out_ref, stride) = (&mut out, problem.n);
                let output = match which {
                    0 => Destination::Store { out: out_ref, stride },
                    1 => Destination::Add { out: out_ref, stride },
                    2 => Destination::ActivateSum { out: out_ref, stride },
                    _ => Destination::Heads { out: out_ref, tokens, heads, head_dim },
                };
                gemm(
                    &cx,
                    &Rows::new(&problem.lhs, problem.m, problem.k),
                    &weights,
                    Some(&problem.bias),
                    Activation::Relu,
                    output,
                    nan_workspace(scratch_req(&cx, problem.m, &weights)).scratch(),
                );
                out.into_iter().map(f32::to_bits)
            });
            bits.collect::<Vec<_>>()
        };
        let expected = products(None);
        for l2 in [0, 8 * 16 * 4 * nr, 8 * 70 * 4 * nr, 1 << 24] {
            assert!(products(Some(Caches { l1: 0, l2, last: 0 })) == expected, "{}: {l2}", level.name());
        }
    }
}

/// A row's result does not depend on which other rows are computed with it.
#[test]
fn same_bits_for_any_number_of_rows() {
    for level in Level::available() {
        let cx = Cx::serial(level);
        let F32Kernel { mr, nr, .. } = *F32Kernel::of(level);
        let problem = Problem::new([2 * mr + 1, nr + 1, 35]);
        let weights = problem.pack(level);
        let product = |m: usize| {
            let mut out = vec![f32::NAN; m * problem.n];
            gemm(
                &cx,
                &Rows::new(&problem.lhs[..m * problem.k], m, problem.k),
                &weights,
                Some(&problem.bias),
                Activation::Silu,
                Destination::Store { out: &mut out, stride: problem.n },
                nan_workspace(scratch_req(&cx, m, &weights)).scratch(),
            );
            out
        };
        let all = product(problem.m);
        for m in 1..problem.m {
            assert!(product(m) == all[..m * problem.n], "{}: {m} rows", level.name());
        }
    }
}

/// `1 · 1` with the rows of the output `stride` apart.
fn product_of_ones(m: usize, stride: usize, out: &mut [f32]) {
    let cx = Cx::serial(Level::detect());
    let weights = PackedWeights::pack(cx.level(), 1, 1, &[1.0]).unwrap();
    let output = Destination::Store { out, stride };
    let mut workspace = nan_workspace(scratch_req(&cx, m, &weights));
    let ones = vec![1.0; m];
    gemm(&cx, &Rows::new(&ones, m, 1), &weights, None, Activation::None, output, workspace.scratch());
}

#[test]
fn no_rows_write_nothing() {
    product_of_ones(0, 1, &mut []);
}

#[test]
#[should_panic = "destination does not hold [3, 1]"]
fn an_output_too_short_panics() {
    product_of_ones(3, 2, &mut [0.0; 4]);
}

#[test]
#[should_panic = "destination does not hold [3, 1]"]
fn an_output_whose_length_overflows_panics() {
    product_of_ones(3, 1 << (usize::BITS - 1), &mut [0.0; 4]);
}
