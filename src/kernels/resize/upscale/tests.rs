use alloc::vec;
use alloc::vec::Vec;

use super::super::interpolate::{Interpolate, Mode};
use super::*;
use crate::ErrorCode;
use crate::kernels::testing::{Guarded, Place, Rng};

/// side, frame, resized, size
type Case = (usize, usize, (usize, usize), (usize, usize));

const CASES: [Case; 10] = [
    (16, 64, (64, 64), (64, 64)),
    (16, 64, (40, 64), (150, 240)),
    (16, 64, (64, 31), (129, 63)),
    (16, 64, (43, 64), (7, 5)),
    (16, 64, (1, 64), (1, 1)),
    (16, 64, (64, 1), (300, 2)),
    (3, 3, (3, 3), (11, 65)),
    (5, 40, (40, 3), (260, 3)),
    (7, 9, (8, 9), (33, 128)),
    (64, 256, (192, 256), (384, 512)),
];

/// The two interpolations one after the other, by the kernel that does them.
fn oracle((side, frame, resized, size): Case, logits: &[f32]) -> Vec<f32> {
    let cx = Cx::serial(Level::detect());
    let run = |source, target, input: &[f32]| {
        let plan = Interpolate::new(source, target, Mode::Bilinear, false).unwrap();
        let mut out = vec![0.0; target.0 * target.1];
        plan.run(&cx, 1, input, &mut out, cx.workspace(plan.scratch_req(&cx)).unwrap().scratch());
        out
    };
    let framed = run((side, side), (frame, frame), logits);
    let cut: Vec<f32> =
        framed.chunks(frame).take(resized.0).flat_map(|row| &row[..resized.1]).copied().collect();
    run(resized, size, &cut)
}

/// Logits whose rows and columns differ, with a margin of guard pages around them and around the result.
fn logits(case: Case) -> Vec<f32> {
    Rng::new(case.0 as u64).vec(case.0 * case.0, -12.0..=12.0)
}

#[test]
fn equals_the_two_interpolations_at_every_level() {
    for case in CASES {
        let (side, frame, resized, size) = case;
        let plan = Upscale::new(side, frame, resized, size).unwrap();
        let logits = logits(case);
        let expected = oracle(case, &logits);
        for level in Level::available() {
            let cx = Cx::serial(level);
            for place in Place::ALL {
                let mut out = Guarded::unwritten(size.0 * size.1, place);
                let mut workspace = cx.workspace(plan.scratch_req(&cx)).unwrap();
                plan.logits(&cx, &Guarded::new(&logits, place), &mut out, workspace.scratch());
                let largest = out.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(largest < 8e-6, "{case:?} at {}: {largest}", level.name());
            }
        }
    }
}

#[test]
fn masks_bits_and_counts_follow_the_logits() {
    for case in CASES {
        let (side, frame, resized, size) = case;
        let plan = Upscale::new(side, frame, resized, size).unwrap();
        let low = logits(case);
        for level in Level::available() {
            let cx = Cx::serial(level);
            let mut workspace = cx.workspace(plan.scratch_req(&cx)).unwrap();
            let mut values = vec![0.0; size.0 * size.1];
            plan.logits(&cx, &low, &mut values, workspace.scratch());
            for place in Place::ALL {
                let thresholds = [0.25, 1.25, -0.75];
                let mut mask = Guarded::<u8>::unwritten(size.0 * size.1, place);
                plan.mask(&cx, &low, thresholds[0], &mut mask, workspace.scratch());
                assert!(
                    mask.iter().zip(&values).all(|(&pixel, &value)| (pixel == 1) == (value > thresholds[0]))
                );
                assert!(mask.iter().all(|&pixel| pixel <= 1));

                let mut bits = Guarded::<u64>::unwritten(size.0 * plan.row_words(), place);
                let counts = plan.bits(&cx, &low, thresholds, &mut bits, workspace.scratch());
                let expected = thresholds
                    .map(|threshold| values.iter().filter(|&&value| value > threshold).count() as u32);
                assert_eq!(counts, expected, "{case:?} at {}", level.name());
                for (words, mask) in bits.chunks(plan.row_words()).zip(mask.chunks(size.1)) {
                    for x in 0..64 * words.len() {
                        let expected = mask.get(x).copied().unwrap_or(0);
                        assert_eq!(words[x / 64] >> (x % 64) & 1, u64::from(expected));
                    }
                }
                let mut again = vec![0; bits.len()];
                let serial = plan.bits_serial(level, &low, thresholds, &mut again, workspace.scratch());
                assert_eq!((serial, &again[..]), (counts, &bits[..]));
            }
        }
    }
}

#[test]
fn pixels_out_of_reach_are_clear() {
    let (side, frame, resized, size) = (64, 256, (256, 200), (500, 390));
    let plan = Upscale::new(side, frame, resized, size).unwrap();
    // One island anywhere, at the border too, in a sea just below the lowest threshold; and no island at all.
    for island in [Some((0, 0)), Some((63, 49)), Some((20, 3)), Some((31, 40)), None] {
        let mut low = vec![-1.0; side * side];
        if let Some((y, x)) = island {
            low[y * side + x] = 7.0;
        }
        let cx = Cx::serial(Level::detect());
        let mut workspace = cx.workspace(plan.scratch_req(&cx)).unwrap();
        let mut mask = vec![9; size.0 * size.1];
        plan.mask(&cx, &low, 0.0, &mut mask, workspace.scratch());
        let mut bits = vec![u64::MAX; size.0 * plan.row_words()];
        let [area, higher, lower] = plan.bits(&cx, &low, [0.0, 1.0, -1.0], &mut bits, workspace.scratch());
        assert_eq!(area, mask.iter().map(|&pixel| u32::from(pixel)).sum::<u32>());
        assert!(higher <= area && area <= lower && (lower > 0) == island.is_some());
        for (words, mask) in bits.chunks(plan.row_words()).zip(mask.chunks(size.1)) {
            assert!(
                mask.iter().enumerate().all(|(x, &pixel)| (words[x / 64] >> (x % 64)) as u8 & 1 == pixel)
            );
            assert_eq!(
                words.iter().map(|word| word.count_ones()).sum::<u32>(),
                mask.iter().map(|&p| u32::from(p)).sum::<u32>()
            );
        }
    }
}

#[cfg(feature = "parallel")]
#[test]
fn threads_do_not_change_a_bit() {
    use crate::exec::CxOptions;
    let case = CASES[9];
    let plan = Upscale::new(case.0, case.1, case.2, case.3).unwrap();
    let low = logits(case);
    let run = |threads| {
        let cx = Cx::new(&CxOptions::default().with_threads(threads)).unwrap();
        let mut workspace = cx.workspace(plan.scratch_req(&cx)).unwrap();
        let mut values = vec![0.0; case.3.0 * case.3.1];
        plan.logits(&cx, &low, &mut values, workspace.scratch());
        let mut bits = vec![0; case.3.0 * plan.row_words()];
        let counts = plan.bits(&cx, &low, [0.0, 1.0], &mut bits, workspace.scratch());
        (values.into_iter().map(f32::to_bits).collect::<Vec<_>>(), bits, counts)
    };
    let serial = run(1);
    for threads in [2, 3, 5] {
        assert!(run(threads) == serial);
    }
}

#[test]
fn nan_is_above_no_threshold() {
    let plan = Upscale::new(4, 16, (16, 16), (20, 20)).unwrap();
    for level in Level::available() {
        let cx = Cx::serial(level);
        let mut workspace = cx.workspace(plan.scratch_req(&cx)).unwrap();
        let mut bits = vec![u64::MAX; 20];
        let counts = plan.bits(&cx, &[f32::NAN; 16], [0.0, -1.0], &mut bits, workspace.scratch());
        assert_eq!((counts, bits), ([0, 0], vec![0; 20]));
    }
}

#[test]
fn impossible_sizes_are_refused() {
    let cases: [Case; 8] = [
        (2, 8, (8, 8), (8, 8)),
        (16, 8, (8, 8), (8, 8)),
        (16, 64, (0, 8), (8, 8)),
        (16, 64, (8, 65), (8, 8)),
        (16, 64, (8, 8), (0, 8)),
        (16, 64, (8, 8), (8, MAX_SIDE + 1)),
        (16, usize::MAX, (8, 8), (8, 8)),
        (0, 0, (0, 0), (0, 0)),
    ];
    for (side, frame, resized, size) in cases {
        let error = Upscale::new(side, frame, resized, size).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Limit);
    }
}
