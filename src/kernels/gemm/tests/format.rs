//! Every format at every level: against an oracle over what the format keeps of its operands.

use alloc::vec;
use alloc::vec::Vec;

use half::{bf16, f16};

use super::super::decoded::{Q4_GROUP, Q4Group};
use super::super::format::{Packing, WeightFormat};
use super::super::int8::{quantised_weight, weight_scale};
use super::super::kernel::WeightKernel;
use super::super::{Destination, PackedWeights, Rows, gemm, scratch_req};
use super::{DEPTHS, Problem, emulated, interesting_widths};
use crate::exec::Cx;
use crate::kernels::activation::Activation;
use crate::kernels::testing::{Guarded, Place, Rng, assert_same_for_any_threads, nan_workspace};
use crate::simd::{Caches, Extensions, Level, Portable};

/// Every kernel but those of f32: of every level, with and without what this CPU has beyond it, and emulated ones.
pub(super) fn kernels() -> Vec<(&'static WeightKernel, Level)> {
    let mut found: Vec<(&'static WeightKernel, Level)> = Vec::new();
    for level in Level::available() {
        for format in WeightFormat::ALL.into_iter().skip(1) {
            for extensions in [Extensions::NONE, Extensions::detect(), Extensions::detect().with_amx().0] {
                let kernel = WeightKernel::of(Packing { level, extensions, format });
                if found.iter().all(|(other, _)| other.name != kernel.name) {
                    found.push((kernel, level));
                }
            }
        }
    }
    found.extend(emulated::KERNELS.iter().map(|kernel| (kernel, Level::Portable(Portable))));
    found
}

fn pack(kernel: &'static WeightKernel, level: Level, [n, k]: [usize; 2], weights: &[f32]) -> PackedWeights {
    let row = |row: usize, out: &mut [f32]| {
        out.copy_from_slice(&weights[row * k..][..k]);
        Ok(())
    };
    PackedWeights::pack_for(kernel, level, n, k, row).unwrap()
}

fn product(cx: &Cx, problem: &Problem, weights: &PackedWeights, destination: Destination<'_>) {
    let Problem { m, k, .. } = *problem;
    let mut workspace = nan_workspace(scratch_req(cx, m, weights));
    let lhs = Rows::new(&problem.lhs, m, k);
    gemm(cx, &lhs, weights, Some(&problem.bias), Activation::None, destination, workspace.scratch());
}

/// Replaces operands by what `format` keeps of them.
fn keep(problem: &mut Problem, format: WeightFormat) {
    let each = |values: &mut Vec<f32>, keep: fn(f32) -> f32| values.iter_mut().for_each(|x| *x = keep(*x));
    match format {
        WeightFormat::F32 | WeightFormat::Int8 => {}
        WeightFormat::F16 => each(&mut problem.weights, |x| f16::from_f32(x).to_f32()),
        WeightFormat::Bf16 => {
            each(&mut problem.weights, |x| bf16::from_f32(x).to_f32());
            each(&mut problem.lhs, |x| bf16::from_f32(x).to_f32());
        }
        WeightFormat::Q4 => {
            for row in problem.weights.chunks_exact_mut(problem.k) {
                for weights in row.chunks_mut(Q4_GROUP) {
                    let Q4Group { scale, least, steps } = Q4Group::of(weights);
                    for (x, step) in weights.iter_mut().zip(steps) {
                        *x = f32::from(step) * scale.to_f32() + least.to_f32();
                    }
                }
            }
        }
    }
}

/// The product of 8-bit integers, rounded as [`super::super::int8`] says, one output at a time.
fn int8_product(problem: &Problem) -> Vec<f32> {
    let mut out = Vec::new();
    for x in problem.lhs.chunks_exact(problem.k) {
        let least = x.iter().fold(0.0f32, |least, x| least.min(*x));
        let range = x.iter().fold(0.0f32, |most, x| most.max(*x)) - least;
        let (scale, inverse) = if range > 0.0 { (range / 255.0, 255.0 / range) } else { (0.0, 0.0) };
        let zero = libm::rintf(-least * inverse).clamp(0.0, 255.0);
        let bytes: Vec<i32> =
            x.iter().map(|x| (libm::rintf(x * inverse) + zero).clamp(0.0, 255.0) as i32).collect();
        for (w, bias) in problem.weights.chunks_exact(problem.k).zip(&problem.bias) {
            let weight_scale = weight_scale(w);
            let sum: i32 = bytes
                .iter()
                .zip(w)
                .map(|(p, w)| (p - zero as i32) * i32::from(quantised_weight(*w, weight_scale)))
                .sum();
            out.push(sum as f32 * (scale * weight_scale) + bias);
        }
    }
    out
}

fn check(kernel: &'static WeightKernel, level: Level, problem: &mut Problem, place: Place) {
    let cx = Cx::serial(level);
    let Problem { m, n, k, .. } = *problem;
    let weights = pack(kernel, level, [n, k], &problem.weights);
    let mut out = Guarded::unwritten(m * n, place);
    product(&cx, problem, &weights, Destination::Store { out: &mut out, stride: n });
    let (expected, tolerances) = match kernel.format {
        WeightFormat::Int8 => (int8_product(problem).into_iter().map(f64::from).collect(), vec![0.0; m * n]),
        _ => {
            keep(problem, kernel.format);
            problem.oracle(true, Activation::None)
        }
    };
    for (at, (&out, &expected)) in out.iter().zip(&expected).enumerate() {
        let is_near = (f64::from(out) - expected).abs() <= tolerances[at];
        assert!(is_near, "{kernel:?}, [{m}, {n}, {k}] at {at}: {out:e}, expected {expected:e}");
    }
}

#[test]
fn every_format_at_every_height_and_tail() {
    let names: Vec<_> = kernels().iter().map(|(kernel, _)| kernel.name).collect();
    #[cfg(feature = "std")]
    std::println!("run here: {}; of other kernels only the layout is tested, in emulation", names.join(", "));
    assert!(names.len() > emulated::KERNELS.len());
    for (kernel, level) in kernels() {
        let WeightKernel { mr, nr, .. } = *kernel;
        for m in (1..=mr + 1).chain([5 * mr + 3]) {
            for n in interesting_widths(nr) {
                for k in DEPTHS.into_iter().chain([63, 65, 130]) {
                    check(kernel, level, &mut Problem::new([m, n, k]), Place::ALL[(m + n + k) % 2]);
                }
            }
        }
    }
}

/// Deep enough that the depth and the rows are cut into blocks.
#[test]
fn every_format_in_blocks() {
    for (kernel, level) in kernels() {
        let WeightKernel { mr, nr, .. } = *kernel;
        check(kernel, level, &mut Problem::new([5 * mr + 1, nr + 5, 9001]), Place::End);
    }
}

#[test]
fn every_format_has_the_same_bits_for_any_threads_and_caches() {
    for (kernel, level) in kernels() {
        let WeightKernel { mr, nr, .. } = *kernel;
        for [m, n, k] in [[1, 3 * nr + 1, 40], [3 * mr + 2, 7 * nr + 3, 150], [30 * mr + 1, nr + 2, 3000]] {
            let problem = Problem::new([m, n, k]);
            let weights = pack(kernel, level, [n, k], &problem.weights);
            let compute = |cx: &Cx| {
                let mut out = problem.bias.repeat(m);
                product(cx, &problem, &weights, Destination::Add { out: &mut out, stride: n });
                out
            };
            assert_same_for_any_threads(level, compute);
            let expected = compute(&Cx::serial(level));
            for l2 in [0, 8 * 16 * 4 * nr, 8 * 70 * 4 * nr, 1 << 24] {
                let cx = Cx::serial(level).with_caches(Caches { l1: 0, l2, last: 0 });
                assert!(compute(&cx) == expected, "{kernel:?}: {l2}");
            }
        }
    }
}

/// Through the destinations that do not take a tile as it is.
#[test]
fn every_format_is_scattered_and_added() {
    for (kernel, level) in kernels() {
        let cx = Cx::serial(level);
        let (tokens, heads, head_dim) = (9, 2, 20);
        let problem = Problem::new([2 * tokens, heads * head_dim, 70]);
        let (m, n) = (problem.m, problem.n);
        let weights = pack(kernel, level, [n, problem.k], &problem.weights);
        let mut expected = vec![0.0; m * n];
        product(&cx, &problem, &weights, Destination::Store { out: &mut expected, stride: n });
        let mut scattered = vec![f32::NAN; m * n];
        product(&cx, &problem, &weights, Destination::Heads { out: &mut scattered, tokens, heads, head_dim });
        let mut added = vec![2.0; m * n];
        product(&cx, &problem, &weights, Destination::Add { out: &mut added, stride: n });
        for (i, expected) in expected.iter().enumerate() {
            let (batch, token, head, d) = (i / n / tokens, i / n % tokens, i % n / head_dim, i % head_dim);
            let scattered = scattered[((batch * heads + head) * tokens + token) * head_dim + d];
            assert_eq!(scattered.to_bits(), expected.to_bits(), "{kernel:?}");
            assert!((added[i] - expected - 2.0).abs() < 1e-5, "{kernel:?}");
        }
    }
}

/// Weights that were quantised before are quantised to the same.
#[test]
fn quantisation_is_idempotent() {
    let mut rng = Rng::new(5);
    for magnitude in [1e-30, 1e-6, 0.02, 1.0, 3e4, 1e38] {
        for _ in 0..50 {
            let row = rng.vec(100, -magnitude..=magnitude);
            let scale = weight_scale(&row);
            let steps: Vec<i8> = row.iter().map(|x| quantised_weight(*x, scale)).collect();
            let again: Vec<f32> = steps.iter().map(|step| f32::from(*step) * scale).collect();
            assert_eq!(weight_scale(&again), scale);
            assert!(again.iter().zip(&steps).all(|(x, step)| quantised_weight(*x, scale) == *step));
        }
    }
}

/// What quantisation cannot represent, it does not hide.
#[test]
fn values_that_are_not_finite_and_rows_without_a_range() {
    for (kernel, level) in kernels().into_iter().filter(|(kernel, _)| kernel.format == WeightFormat::Int8) {
        let cx = Cx::serial(level);
        let (m, n, k) = (6, 2, 40);
        let mut problem = Problem::new([m, n, k]);
        problem.lhs[3] = f32::NAN;
        problem.lhs[k + 39] = f32::INFINITY;
        problem.lhs[2 * k..3 * k].fill(0.0);
        problem.lhs[3 * k..4 * k].fill(-2.5);
        problem.lhs[4 * k] = 1e4;
        problem.lhs[5 * k] = f32::MAX;
        problem.lhs[5 * k + 1] = f32::MIN;
        let weights = pack(kernel, level, [n, k], &problem.weights);
        let mut out = vec![0.0; m * n];
        product(&cx, &problem, &weights, Destination::Store { out: &mut out, stride: n });
        assert!(out[..2 * n].iter().all(|x| x.is_nan()), "a row with NaN or infinity: {out:?}");
        assert_eq!(out[2 * n..3 * n], problem.bias[..], "a row of zeros");
        // One value is exactly a step; only the weights are rounded.
        for (out, (w, bias)) in
            out[3 * n..4 * n].iter().zip(problem.weights.chunks_exact(k).zip(&problem.bias))
        {
            let scale = weight_scale(w);
            let sum: f32 = w.iter().map(|w| f32::from(quantised_weight(*w, scale))).sum();
            assert!((out - (bias - 2.5 * scale * sum)).abs() < 1e-4, "a constant row");
        }
        assert!(out[4 * n..5 * n].iter().all(|x| x.is_finite()), "an outlier");
        assert!(out[5 * n..].iter().all(|x| x.is_nan()), "a range beyond f32");

        let mut weights = problem.weights.clone();
        weights[k] = f32::NAN;
        let weights = pack(kernel, level, [n, k], &weights);
        product(&cx, &problem, &weights, Destination::Store { out: &mut out, stride: n });
        assert!(out[2 * n].is_finite() && out[2 * n + 1].is_nan(), "a weight that is NaN");
    }
}
