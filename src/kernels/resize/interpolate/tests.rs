use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::ErrorCode;
use crate::kernels::testing::{Guarded, Place};
use crate::simd::Level;

fn noise(len: usize) -> Vec<f32> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// Interpolates with guard pages directly before and after both buffers.
fn run(cx: &Cx, plan: &Interpolate, planes: usize, source: &[f32]) -> Vec<f32> {
    let [start, end] = Place::ALL.map(|place| {
        let source = Guarded::new(source, place);
        let mut out = Guarded::unwritten(planes * plan.rows.target * plan.columns.target, place);
        let mut workspace = cx.workspace(plan.scratch_req(cx)).unwrap();
        plan.run(cx, planes, &source, &mut out, workspace.scratch());
        out.to_vec()
    });
    assert!(start == end, "the result depends on the buffers' addresses");
    end
}

/// Weights of one output over the whole axis, in f64, by the formula.
fn oracle_weights(axis: &Axis, index: usize) -> Vec<f64> {
    let a = if axis.antialias { -0.5 } else { -0.75 };
    let f = |x: f64| match (axis.mode, x.abs()) {
        (Mode::Bilinear, x) => (1.0 - x).max(0.0),
        (Mode::Bicubic, x) if x < 1.0 => (a + 2.0) * x * x * x - (a + 3.0) * x * x + 1.0,
        (Mode::Bicubic, x) if x < 2.0 => a * x * x * x - 5.0 * a * x * x + 8.0 * a * x - 4.0 * a,
        _ => 0.0,
    };
    let scale = axis.source as f64 / axis.target as f64;
    let mut weights = vec![0.0; axis.source];
    if axis.antialias {
        let center = scale * (index as f64 + 0.5);
        let stretch = scale.max(1.0);
        for (x, weight) in weights.iter_mut().enumerate() {
            *weight = f((x as f64 + 0.5 - center) / stretch);
        }
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= sum);
    } else {
        let position = scale * (index as f64 + 0.5) - 0.5;
        let last = axis.source as i64 - 1;
        for x in position.floor() as i64 - 1..=position.floor() as i64 + 2 {
            weights[x.clamp(0, last) as usize] += f(x as f64 - position);
        }
    }
    weights
}

fn oracle(plan: &Interpolate, plane: &[f32]) -> Vec<f64> {
    let columns: Vec<_> = (0..plan.columns.target).map(|x| oracle_weights(&plan.columns, x)).collect();
    let mut out = Vec::new();
    for y in 0..plan.rows.target {
        let rows = oracle_weights(&plan.rows, y);
        for columns in &columns {
            let row = |row: &[f32]| row.iter().zip(columns).map(|(&x, w)| f64::from(x) * w).sum::<f64>();
            out.push(plane.chunks(plan.columns.source).zip(&rows).map(|(pixels, w)| row(pixels) * w).sum());
        }
    }
    out
}

#[test]
fn equals_the_formula_at_every_level() {
    let sizes = [1, 2, 3, 5, 16, 33, 70];
    for (i, &h) in sizes.iter().enumerate() {
        for (j, &w) in sizes.iter().enumerate() {
            let target = (sizes[(2 * i + j) % sizes.len()], sizes[(i + 4 * j + 1) % sizes.len()]);
            let source = noise(2 * h * w);
            for (mode, antialias) in [
                (Mode::Bilinear, false),
                (Mode::Bicubic, false),
                (Mode::Bilinear, true),
                (Mode::Bicubic, true),
            ] {
                let plan = Interpolate::new((h, w), target, mode, antialias).unwrap();
                for level in Level::available() {
                    let actual = run(&Cx::serial(level), &plan, 2, &source);
                    for (plane, actual) in source.chunks(h * w).zip(actual.chunks(target.0 * target.1)) {
                        for (&actual, expected) in actual.iter().zip(oracle(&plan, plane)) {
                            // Positions are f32: their rounding moves a sample by some 2⁻²⁴ of the side.
                            let error = (f64::from(actual) - expected).abs();
                            assert!(error < 2e-5, "{h}x{w} to {target:?}, {mode:?}, {antialias}: {error}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn equal_sizes_copy() {
    let source = noise(3 * 17 * 40);
    for (mode, antialias) in [(Mode::Bilinear, false), (Mode::Bicubic, false), (Mode::Bicubic, true)] {
        let plan = Interpolate::new((17, 40), (17, 40), mode, antialias).unwrap();
        assert_eq!(run(&Cx::serial(Level::detect()), &plan, 3, &source), source);
    }
}

#[test]
fn constant_planes_stay_constant() {
    for (mode, antialias) in [(Mode::Bilinear, false), (Mode::Bicubic, false), (Mode::Bicubic, true)] {
        for (source, target) in [((9, 14), (100, 3)), ((1, 1), (5, 5)), ((200, 1), (3, 70))] {
            let plan = Interpolate::new(source, target, mode, antialias).unwrap();
            let out = run(&Cx::serial(Level::detect()), &plan, 1, &vec![3.25; source.0 * source.1]);
            assert!(out.iter().all(|out| (out - 3.25).abs() < 4e-6));
        }
    }
}

#[cfg(feature = "parallel")]
#[test]
fn threads_do_not_change_a_bit() {
    use crate::exec::CxOptions;
    let source = noise(2 * 50 * 61);
    for target in [(200, 130), (7, 9)] {
        for antialias in [false, true] {
            let plan = Interpolate::new((50, 61), target, Mode::Bicubic, antialias).unwrap();
            let serial = run(&Cx::serial(Level::detect()), &plan, 2, &source);
            for threads in [2, 3, 5, 8] {
                let cx = Cx::new(&CxOptions::default().with_threads(threads)).unwrap();
                assert!(run(&cx, &plan, 2, &source) == serial);
            }
        }
    }
}

#[test]
fn impossible_sizes_are_refused() {
    for (source, target) in
        [((0, 1), (1, 1)), ((1, 1), (1, 0)), ((1, MAX_SIDE + 1), (1, 1)), ((1, 1), (usize::MAX, 1))]
    {
        let error = Interpolate::new(source, target, Mode::Bilinear, false).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Limit);
    }
}
