use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::exec::{Cx, ScratchReq};
use crate::kernels::gemm::Tiles;
use crate::kernels::testing::{Guarded, Place, Rng, assert_near, assert_same_for_any_threads, nan_workspace};
use crate::simd::Level;

const THETA: f32 = 10_000.0;

/// Random operands of one attention.
struct Case {
    shape: MemoryShape,
    width: usize,
    weight: Vec<f32>,
    bias: Vec<f32>,
    positions: Vec<f32>,
    /// Of every memory.
    spatial: Vec<(Vec<u16>, Vec<f32>)>,
    pointers: Vec<(Vec<f32>, Vec<f32>)>,
    q: Vec<f32>,
}

impl Case {
    fn new(grid: [usize; 2], width: usize, features: usize, [spatial, pointers]: [usize; 2]) -> Self {
        let mut rng = Rng::new((grid[0] * 31 + width * 7 + spatial * 3 + pointers) as u64);
        let tokens = grid[0] * grid[1];
        Self {
            shape: MemoryShape { grid, features, spatial, pointers, bf16: false },
            width,
            weight: rng.vec(width * features, -0.5..=0.5),
            bias: rng.vec(width, -0.5..=0.5),
            positions: rng.vec(tokens * features, -1.0..=1.0),
            spatial: (0..spatial)
                .map(|_| {
                    let memory = rng.vec(tokens * features, -2.0..=2.0);
                    let memory = memory.iter().map(|x| (x.to_bits() >> 16) as u16).collect();
                    (memory, rng.vec(features, -1.0..=1.0))
                })
                .collect(),
            pointers: (0..pointers)
                .map(|_| (rng.vec(features, -2.0..=2.0), rng.vec(features, -1.0..=1.0)))
                .collect(),
            q: rng.vec(tokens * width, -2.0..=2.0),
        }
    }

    fn scale(&self) -> f32 {
        1.0 / libm::sqrtf(self.width as f32)
    }

    fn run(&self, cx: &Cx, place: Place) -> Vec<f32> {
        let rotary = Rotary::new(cx.level(), self.shape.grid, self.width, THETA).unwrap();
        let projection = KeyProjection::new(&self.weight, &self.bias).unwrap();
        let positions = Guarded::new(&self.positions, place);
        let spatial: Vec<_> =
            self.spatial.iter().map(|(m, t)| (Guarded::new(m, place), Guarded::new(t, place))).collect();
        let pointers: Vec<_> =
            self.pointers.iter().map(|(m, t)| (Guarded::new(m, place), Guarded::new(t, place))).collect();
        let slices: Vec<(&[u16], &[f32])> = spatial.iter().map(|(m, t)| (&**m, &**t)).collect();
        let pointer_slices: Vec<(&[f32], &[f32])> = pointers.iter().map(|(m, t)| (&**m, &**t)).collect();
        let mut packed = nan_workspace(self.shape.pack_scratch_req(cx));
        let mut packed = packed.scratch();
        let memories = PackedMemories::pack(
            cx,
            self.shape,
            &positions,
            |i| SpatialMemory { features: slices[i].0, time: slices[i].1 },
            |i| PointerToken { features: pointer_slices[i].0, time: pointer_slices[i].1 },
            &mut packed,
        );
        let q = Guarded::new(&self.q, place);
        let mut out = Guarded::unwritten(q.len() / self.width * self.shape.features, place);
        let mut scratch = nan_workspace(cross_attention_scratch_req(cx, &rotary, &projection, &self.shape));
        let (rotary, projection, memories, scale) = (&rotary, &projection, &memories, self.scale());
        let args = CrossAttentionArgs { rotary, projection, memories, scale };
        cross_attention(cx, &args, &q, &mut out, scratch.scratch());
        out.to_vec()
    }

    /// The definition, in f64: keys projected and rotated, every score, one softmax.
    fn oracle(&self) -> Vec<f64> {
        let MemoryShape { grid: [_, columns], features, .. } = self.shape;
        let mut keys: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
        for (memory, time) in &self.spatial {
            for (place, memory) in memory.chunks_exact(features).enumerate() {
                let position = &self.positions[place * features..][..features];
                let value: Vec<f64> =
                    memory.iter().map(|&m| f64::from(f32::from_bits(u32::from(m) << 16))).collect();
                let with_position: Vec<f64> =
                    (0..features).map(|f| value[f] + f64::from(position[f]) + f64::from(time[f])).collect();
                let key = self.rotated(&self.projected(&with_position), [place % columns, place / columns]);
                keys.push((key, value));
            }
        }
        for (memory, time) in &self.pointers {
            let value: Vec<f64> = memory.iter().map(|&m| f64::from(m)).collect();
            let with_position: Vec<f64> = (0..features).map(|f| value[f] + f64::from(time[f])).collect();
            keys.push((self.projected(&with_position), value));
        }
        let mut out = Vec::new();
        for (token, q) in self.q.chunks_exact(self.width).enumerate() {
            let q: Vec<f64> = q.iter().map(|&q| f64::from(q)).collect();
            let q = self.rotated(&q, [token % columns, token / columns]);
            let scores: Vec<f64> = keys
                .iter()
                .map(|(key, _)| f64::from(self.scale()) * key.iter().zip(&q).map(|(k, q)| k * q).sum::<f64>())
                .collect();
            let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|s| libm::exp(s - max)).collect();
            let sum: f64 = weights.iter().sum();
            for f in 0..features {
                let total: f64 = keys.iter().zip(&weights).map(|((_, value), w)| w * value[f]).sum();
                out.push(total / sum);
            }
        }
        out
    }

    fn projected(&self, memory: &[f64]) -> Vec<f64> {
        let rows = self.weight.chunks_exact(memory.len()).zip(&self.bias);
        rows.map(|(w, &b)| f64::from(b) + w.iter().zip(memory).map(|(&w, m)| f64::from(w) * m).sum::<f64>())
            .collect()
    }

    fn rotated(&self, x: &[f64], [column, row]: [usize; 2]) -> Vec<f64> {
        let pairs = self.width / 4;
        let turn = |(index, pair): (usize, &[f64; 2])| {
            let place = if index < pairs { column } else { row };
            let exponent = -((4 * (index % pairs)) as f64) / self.width as f64;
            let angle = place as f64 * libm::pow(f64::from(THETA), exponent);
            let (sin, cos) = (libm::sin(angle), libm::cos(angle));
            [pair[0] * cos - pair[1] * sin, pair[0] * sin + pair[1] * cos]
        };
        x.as_chunks::<2>().0.iter().enumerate().flat_map(turn).collect()
    }
}

/// Grids of odd and even sides, one place, several blocks; every size of a group and several groups; pointers alone,
/// none, and more than a block.
fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new([1, 1], 4, 1, [1, 0]),
        Case::new([4, 5], 16, 8, [0, 3]),
        Case::new([3, 20], 8, 20, [2, 9]),
        Case::new([20, 3], 12, 33, [5, 4]),
        Case::new([9, 7], 32, 8, [15, 5]),
        Case::new([2, 2], 8, 4, [1, 300]),
        Case::new([2, 3], 8, 4, [270, 1]),
        Case::new([17, 18], 64, 16, [7, 16]),
    ];
    cases.extend((1..=9).map(|spatial| Case::new([3, 4], 16, 6, [spatial, 2])));
    cases
}

#[test]
fn attends_as_the_definition_says() {
    for case in cases() {
        let exact = case.oracle();
        for level in Level::available() {
            for place in Place::ALL {
                let got = case.run(&Cx::serial(level), place);
                assert_near(&got, &exact, |_| 2e-5);
            }
        }
    }
}

#[test]
fn threads_do_not_change_the_result() {
    let case = Case::new([9, 14], 16, 8, [3, 4]);
    for level in Level::available() {
        assert_same_for_any_threads(level, |cx| case.run(cx, Place::Start));
    }
}

/// Scores far apart and far from 0: the running maximum rises, and what came before vanishes.
#[test]
fn large_scores_are_exact() {
    let mut case = Case::new([6, 6], 8, 4, [3, 2]);
    case.q.iter_mut().for_each(|q| *q *= 60.0);
    let exact = case.oracle();
    for level in Level::available() {
        assert_near(&case.run(&Cx::serial(level), Place::End), &exact, |_| 2e-3);
    }
}

/// One head over the tokens of a grid, in f64.
fn frame_oracle(case: &Case, k: &[f32], v: &[f32], scale: f32) -> Vec<f64> {
    let columns = case.shape.grid[1];
    let rotated = |x: &[f32]| -> Vec<Vec<f64>> {
        let tokens = x.chunks_exact(case.width).enumerate();
        tokens
            .map(|(token, x)| {
                let x: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
                case.rotated(&x, [token % columns, token / columns])
            })
            .collect()
    };
    let (q, k) = (rotated(&case.q), rotated(k));
    let mut out = Vec::new();
    for q in &q {
        let dot = |k: &Vec<f64>| f64::from(scale) * k.iter().zip(q).map(|(k, q)| k * q).sum::<f64>();
        let scores: Vec<f64> = k.iter().map(dot).collect();
        let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|s| libm::exp(s - max)).collect();
        let sum: f64 = weights.iter().sum();
        for f in 0..case.width {
            let values = v.chunks_exact(case.width).zip(&weights);
            out.push(values.map(|(v, w)| w * f64::from(v[f])).sum::<f64>() / sum);
        }
    }
    out
}

fn attend_within(
    cx: &Cx,
    case: &Case,
    k: &[f32],
    v: &[f32],
    scale: f32,
    bf16: bool,
    place: Place,
) -> Vec<f32> {
    let rotary = Rotary::new(cx.level(), case.shape.grid, case.width, THETA).unwrap();
    let [q, k, v] = [&case.q, k, v].map(|x| Guarded::new(x, place));
    let mut out = Guarded::unwritten(q.len(), place);
    let mut scratch = nan_workspace(self_attention_scratch_req(cx, &rotary, bf16));
    self_attention(cx, &rotary, scale, bf16, [&q, &k, &v], &mut out, scratch.scratch());
    out.to_vec()
}

#[test]
fn tokens_attend_to_each_other_as_the_definition_says() {
    for (grid, width) in [([1, 1], 4), ([3, 5], 16), ([6, 4], 20), ([17, 16], 36)] {
        let case = Case::new(grid, width, 1, [1, 0]);
        let mut rng = Rng::new(width as u64);
        let [k, v] = [(); 2].map(|()| rng.vec(case.q.len(), -1.0..=1.0));
        let exact = frame_oracle(&case, &k, &v, 0.7);
        for level in Level::available() {
            for place in Place::ALL {
                assert_near(
                    &attend_within(&Cx::serial(level), &case, &k, &v, 0.7, false, place),
                    &exact,
                    |_| 2e-5,
                );
            }
        }
    }
    let case = Case::new([10, 9], 12, 1, [1, 0]);
    for level in Level::available() {
        assert_same_for_any_threads(level, |cx| {
            attend_within(cx, &case, &case.q, &case.q, 0.5, false, Place::Start)
        });
    }
}

/// Panics if the root mean square of the errors is more than 2⁻⁷ of that of the values: four roundings to bfloat16 (of queries,
/// keys, weights and values) are off by 2⁻⁹ at most, in both directions. A misplaced operand is off by about 1.
#[track_caller]
fn assert_near_in_bf16(got: &[f32], exact: &[f64]) {
    assert_eq!(got.len(), exact.len());
    let mean_square =
        |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>() / got.len() as f64;
    let error = mean_square(&mut got.iter().zip(exact).map(|(&got, exact)| f64::from(got) - exact));
    let ratio = libm::sqrt(error / mean_square(&mut exact.iter().copied()));
    assert!(ratio < 1.0 / 128.0, "error {ratio:e}");
}

/// Levels whose CPU multiplies bfloat16.
fn bf16_levels() -> impl Iterator<Item = Level> {
    Level::available().filter(|&level| Tiles::of(&Cx::serial(level), true).are_bf16())
}

#[test]
fn bf16_rounds_and_misplaces_nothing() {
    for mut case in cases() {
        let exact = case.oracle();
        case.shape.bf16 = true;
        for level in bf16_levels() {
            for place in Place::ALL {
                assert_near_in_bf16(&case.run(&Cx::serial(level), place), &exact);
            }
        }
        for level in bf16_levels() {
            assert_same_for_any_threads(level, |cx| case.run(cx, Place::Start));
        }
    }
    for (grid, width) in [([1, 1], 4), ([3, 5], 16), ([6, 4], 20), ([17, 16], 36)] {
        let case = Case::new(grid, width, 1, [1, 0]);
        let mut rng = Rng::new(width as u64);
        let [k, v] = [(); 2].map(|()| rng.vec(case.q.len(), -1.0..=1.0));
        let exact = frame_oracle(&case, &k, &v, 0.7);
        for level in bf16_levels() {
            for place in Place::ALL {
                let got = attend_within(&Cx::serial(level), &case, &k, &v, 0.7, true, place);
                assert_near_in_bf16(&got, &exact);
            }
            assert_same_for_any_threads(level, |cx| {
                attend_within(cx, &case, &k, &v, 0.7, true, Place::Start)
            });
        }
    }
}

#[test]
fn sizes_are_known_beforehand() {
    // As many memories as SAM 2 has at most: keys, values, and no more than 3 % of padding.
    let shape = MemoryShape { grid: [64; 2], features: 64, spatial: 7, pointers: 64, bf16: false };
    assert_eq!(shape.len(), 28_736);
    let least = ScratchReq::slices([28_736 * 64; 2]).len();
    let len = shape.pack_scratch_req(&Cx::serial(Level::detect())).len();
    assert!((least..least + least / 33).contains(&len), "{len}");
}
