//! Attention against an f64 oracle that makes the whole matrix of scores.

mod windows;

use alloc::vec;
use alloc::vec::Vec;
use core::f32::consts::LOG2_E;

use half::bf16;

use super::{AttentionShape, Bias, attention, scratch_req};
use crate::exec::{Cx, ScratchReq};
use crate::kernels::gemm::Tiles;
use crate::kernels::testing::{Guarded, Place, Rng, assert_near, assert_same_for_any_threads, nan_workspace};
use crate::simd::Level;

/// Operands as a product reads them.
struct Operands {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    scale: f64,
}

/// Without bfloat16, and with it where the CPU multiplies it.
fn precisions(cx: &Cx) -> impl Iterator<Item = bool> {
    [false, true].into_iter().filter(|bf16| !bf16 || Tiles::of(cx, true).are_bf16())
}

fn rounded(x: f32) -> f32 {
    bf16::from_f32(x).to_f32()
}

#[derive(Clone)]
struct Problem {
    shape: AttentionShape,
    scale: f32,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
}

impl Problem {
    /// Random operands of `[batches, heads, queries, keys, head_dim]`.
    fn new([batches, heads, queries, keys, head_dim]: [usize; 5]) -> Self {
        let mut rng = Rng::new((queries << 32 | keys << 8 | head_dim) as u64);
        let mut vec =
            |tokens: usize, reach: f32| rng.vec(batches * heads * tokens * head_dim, -reach..=reach);
        Self {
            shape: AttentionShape { batches, heads, queries, keys, head_dim, bf16: false },
            scale: 1.0 / libm::sqrtf(head_dim as f32),
            // Scores of several units, so that the running maximum moves.
            q: vec(queries, 4.0),
            k: vec(keys, 2.0),
            v: vec(keys, 1.0),
        }
    }

    /// The exact result `[batches, queries, heads · head_dim]` and the error that f32 may make in it.
    fn oracle(&self, bias: Bias<'_>) -> (Vec<f64>, f64) {
        let AttentionShape { batches, heads, queries, keys, head_dim, bf16 } = self.shape;
        let Operands { q, k, v, scale } = self.operands();
        let mut exact = vec![0.0; self.q.len()];
        let mut score_error = 0.0_f64;
        for (i, q) in q.chunks_exact(head_dim).enumerate() {
            let (sequence, query) = (i / queries, i % queries);
            let kv = sequence * keys * head_dim..(sequence + 1) * keys * head_dim;
            let mut weights: Vec<f64> = Vec::with_capacity(keys);
            for (key, k) in k[kv.clone()].chunks_exact(head_dim).enumerate() {
                let products = q.iter().zip(k).map(|(q, k)| f64::from(*q) * f64::from(*k));
                let added = match bias {
                    Bias::None => 0.0,
                    Bias::Causal if key > query => f64::NEG_INFINITY,
                    Bias::Causal => 0.0,
                    Bias::Runs(bounds) => {
                        let run = |token: usize| bounds.iter().filter(|bound| **bound <= token).count();
                        if run(query) == run(key) { 0.0 } else { f64::NEG_INFINITY }
                    }
                    Bias::Additive(bias) => f64::from(bias[query * keys + key]),
                    Bias::PerHead(bias) => f64::from(bias[(sequence % heads * queries + query) * keys + key]),
                    Bias::Relative(_) => unreachable!("only windows have distances"),
                };
                let magnitude = products.clone().map(f64::abs).sum::<f64>() * scale;
                score_error = score_error.max(magnitude + if added.is_finite() { added.abs() } else { 0.0 });
                weights.push(products.sum::<f64>() * scale + added);
            }
            let max = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            weights.iter_mut().for_each(|w| *w = libm::exp(*w - max));
            let sum: f64 = weights.iter().sum();
            let (batch, head) = (sequence / heads, sequence % heads);
            let out = &mut exact[((batch * queries + query) * heads + head) * head_dim..][..head_dim];
            for (v, weight) in v[kv].chunks_exact(head_dim).zip(&weights) {
                out.iter_mut().zip(v).for_each(|(out, v)| *out += weight / sum * f64::from(*v));
            }
        }
        assert_eq!(exact.len(), batches * queries * heads * head_dim);
        // |v| <= 1, the weights sum to 1, and each is off by the error of its score (a multiplication and an
        // addition per feature, the scale, the bias, the shift) and of the sums over keys.
        let terms = score_error * (head_dim + 4) as f64 + (keys + 16) as f64;
        // Weights are rounded to 8 bits: by half a unit, 1/256 of them.
        let rounding = if bf16 { 1.0 / 256.0 } else { 0.0 };
        (exact, 2.0 * terms * f64::from(f32::EPSILON) + rounding)
    }

    /// What is multiplied: with bfloat16, rounded, queries after they are scaled for powers of two.
    fn operands(&self) -> Operands {
        let [q, k, v] = [&self.q, &self.k, &self.v].map(Clone::clone);
        if !self.shape.bf16 {
            return Operands { q, k, v, scale: f64::from(self.scale) };
        }
        let q = q.into_iter().map(|x| rounded(x * (self.scale * LOG2_E))).collect();
        let [k, v] = [k, v].map(|x| x.into_iter().map(rounded).collect());
        Operands { q, k, v, scale: core::f64::consts::LN_2 }
    }

    fn run(&self, cx: &Cx, bias: Bias<'_>, place: Place) -> Guarded<f32> {
        let mut out = Guarded::unwritten(self.q.len(), place);
        attention(
            cx,
            &self.shape,
            self.scale,
            &Guarded::new(&self.q, place),
            &Guarded::new(&self.k, place),
            &Guarded::new(&self.v, place),
            bias,
            &mut out,
            nan_workspace(scratch_req(cx, &self.shape)).scratch(),
        );
        out
    }

    fn check(&self, cx: &Cx, bias: Bias<'_>, place: Place) {
        for bf16 in precisions(cx) {
            let problem = Self { shape: AttentionShape { bf16, ..self.shape }, ..self.clone() };
            let (exact, tolerance) = problem.oracle(bias);
            assert_near(&problem.run(cx, bias, place), &exact, |_| tolerance);
        }
    }
}

/// Tails of vectors, panels and tiles, and both sides of the 256 keys of a block.
const LENGTHS: [usize; 14] = [1, 2, 7, 8, 15, 16, 17, 31, 33, 100, 255, 256, 257, 300];
const HEAD_DIMS: [usize; 10] = [1, 8, 16, 20, 24, 32, 33, 64, 80, 88];

#[test]
fn queries_and_keys_of_every_tail() {
    for level in Level::available() {
        let cx = Cx::serial(level);
        for (i, queries) in LENGTHS.into_iter().enumerate() {
            for (j, keys) in LENGTHS.into_iter().enumerate() {
                let head_dim = HEAD_DIMS[(i + j) % HEAD_DIMS.len()];
                let problem = Problem::new([1, 1, queries, keys, head_dim]);
                problem.check(&cx, Bias::None, Place::ALL[(i + j) % 2]);
            }
        }
    }
}

#[test]
fn batches_and_heads_of_every_size() {
    for level in Level::available() {
        let cx = Cx::serial(level);
        for head_dim in HEAD_DIMS {
            for (batches, heads) in [(1, 3), (3, 1), (2, 4)] {
                let problem = Problem::new([batches, heads, 19, 37, head_dim]);
                for place in Place::ALL {
                    problem.check(&cx, Bias::None, place);
                }
            }
        }
    }
}

#[test]
fn causal() {
    for level in Level::available() {
        let cx = Cx::serial(level);
        for tokens in LENGTHS {
            let problem = Problem::new([1, 2, tokens, tokens, 20]);
            problem.check(&cx, Bias::Causal, Place::End);
        }
    }
}

#[test]
fn runs() {
    for level in Level::available() {
        let cx = Cx::serial(level);
        for bounds in [&[0, 1][..], &[0, 1, 18, 19, 35], &[0, 300, 317, 600]] {
            let tokens = bounds[bounds.len() - 1];
            let problem = Problem::new([2, 3, tokens, tokens, 20]);
            for place in Place::ALL {
                problem.check(&cx, Bias::Runs(bounds), place);
            }
            assert_same_for_any_threads(level, |cx| {
                problem.run(cx, Bias::Runs(bounds), Place::Start).to_vec()
            });
        }
    }
}

#[test]
#[should_panic = "runs of"]
fn runs_that_leave_tokens_out_panic() {
    Problem::new([1, 1, 9, 9, 8]).run(&Cx::serial(Level::detect()), Bias::Runs(&[0, 4]), Place::End);
}

#[test]
fn additive_bias_with_minus_infinity() {
    for level in Level::available() {
        let cx = Cx::serial(level);
        for (queries, keys) in [(1, 1), (3, 16), (17, 31), (40, 257), (29, 600)] {
            let problem = Problem::new([2, 2, queries, keys, 24]);
            let mut rng = Rng::new(keys as u64);
            let mut bias = rng.vec(queries * keys, -3.0..=3.0);
            for row in bias.chunks_exact_mut(keys) {
                let spared = rng.bits() as usize % keys;
                for (key, bias) in row.iter_mut().enumerate() {
                    if key != spared && rng.bits().is_multiple_of(3) {
                        *bias = f32::NEG_INFINITY;
                    }
                }
            }
            if keys > 256 {
                // The whole first block: the running maximum stays −∞ until the second.
                bias[..256].fill(f32::NEG_INFINITY);
                bias[256] = 0.5;
            }
            for place in Place::ALL {
                problem.check(&cx, Bias::Additive(&Guarded::new(&bias, place)), place);
            }
            // A query that may attend to nothing: 0 / 0, and no other query notices.
            let first = queries / 2;
            bias[first * keys..][..keys].fill(f32::NEG_INFINITY);
            problem.check(&cx, Bias::Additive(&bias), Place::End);
            let out = problem.run(&cx, Bias::Additive(&bias), Place::End);
            assert!(out[first * 48..][..48].iter().all(|x| x.is_nan()));
        }
    }
}

#[test]
fn bias_per_head() {
    for level in Level::available() {
        let cx = Cx::serial(level);
        for (queries, keys) in [(1, 1), (17, 31), (29, 300)] {
            let problem = Problem::new([2, 3, queries, keys, 20]);
            let bias = Rng::new(keys as u64).vec(3 * queries * keys, -3.0..=3.0);
            for place in Place::ALL {
                problem.check(&cx, Bias::PerHead(&Guarded::new(&bias, place)), place);
            }
        }
    }
}

/// Scores far beyond the range of exp: only differences from the maximum count.
#[test]
fn large_scores() {
    for level in Level::available() {
        let cx = Cx::serial(level);
        let mut problem = Problem::new([1, 1, 20, 300, 16]);
        problem.q.iter_mut().for_each(|q| *q *= 1000.0);
        let AttentionShape { keys, head_dim, .. } = problem.shape;
        let out = problem.run(&cx, Bias::None, Place::End);
        for (query, got) in problem.q.chunks_exact(head_dim).zip(out.chunks_exact(head_dim)) {
            let score = |key: &usize| -> f64 {
                let k = &problem.k[key * head_dim..][..head_dim];
                query.iter().zip(k).map(|(q, k)| f64::from(*q) * f64::from(*k)).sum()
            };
            let mut order: Vec<usize> = (0..keys).collect();
            order.sort_by(|a, b| score(b).total_cmp(&score(a)));
            // The result is the value of the best key, wherever that is best by far.
            if (score(&order[0]) - score(&order[1])) * f64::from(problem.scale) > 40.0 {
                assert_eq!(got, &problem.v[order[0] * head_dim..][..head_dim]);
            } else {
                assert!(got.iter().all(|x| x.abs() <= 1.0));
            }
        }
    }
}

#[test]
fn same_bits_for_any_threads() {
    for level in Level::available() {
        for (sizes, causal) in [
            ([1, 1, 300, 300, 24], true),
            ([1, 2, 130, 290, 64], false),
            ([2, 3, 77, 77, 20], true),
            ([1, 12, 50, 50, 64], false),
        ] {
            let mut problem = Problem::new(sizes);
            let bias = if causal { Bias::Causal } else { Bias::None };
            for bf16 in [false, true] {
                problem.shape.bf16 = bf16;
                assert_same_for_any_threads(level, |cx| problem.run(cx, bias, Place::Start).to_vec());
            }
        }
    }
}

#[test]
#[should_panic = "queries and output of"]
fn sizes_that_overflow_panic() {
    let cx = Cx::serial(Level::detect());
    // 4 · (2⁶² + 1) wraps to 4 sequences.
    let heads = (1 << (usize::BITS - 2)) + 1;
    let shape = AttentionShape { batches: 4, heads, queries: 1, keys: 1, head_dim: 1, bf16: false };
    let (input, mut out) = ([1.0; 4], [0.0; 4]);
    let mut workspace = nan_workspace(ScratchReq::slice(1 << 16));
    attention(&cx, &shape, 1.0, &input, &input, &input, Bias::None, &mut out, workspace.scratch());
}
