//! Copies between tokens and panels, and packed left-hand sides.

use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::exec::Cx;
use crate::kernels::gemm::Rows;
use crate::kernels::testing::{Guarded, Place, Rng};
use crate::simd::Level;

/// Numbers of pixels that end inside, at and behind a panel and a block.
pub(in crate::kernels) const PIXELS: [usize; 6] = [1, 9, 32, 49, 256, 301];

pub(in crate::kernels) fn random(seed: usize, len: usize) -> Vec<f32> {
    Rng::new(seed as u64).vec(len, -1.0..=1.0)
}

/// `tokens: [prompts, pixels, channels]` in panels.
pub(in crate::kernels) fn in_panels(
    level: Level,
    panels: PanelLayout,
    channels: usize,
    tokens: &[f32],
) -> Vec<f32> {
    let prompts = tokens.len() / (panels.pixels() * channels);
    let mut out = vec![f32::NAN; prompts * panels.len(channels)];
    let each =
        out.chunks_exact_mut(panels.len(channels)).zip(tokens.chunks_exact(panels.pixels() * channels));
    each.for_each(|(out, tokens)| {
        from_tokens(&Cx::serial(level), panels, channels, tokens, Plus::Nothing, out)
    });
    out
}

/// The opposite.
pub(in crate::kernels) fn as_tokens(panels: PanelLayout, channels: usize, features: &[f32]) -> Vec<f32> {
    let prompts = features.len() / panels.len(channels);
    let mut out = vec![f32::NAN; prompts * panels.pixels() * channels];
    let each =
        out.chunks_exact_mut(panels.pixels() * channels).zip(features.chunks_exact(panels.len(channels)));
    each.for_each(|(out, features)| to_tokens(panels, channels, features, out));
    out
}

/// Matrices `[prompts, rows, depth]`, each packed as a left-hand side.
pub(in crate::kernels) fn packed(level: Level, [rows, depth]: [usize; 2], matrices: &[f32]) -> Vec<f32> {
    let mut out = vec![f32::NAN; matrices.len() / (rows * depth) * packed_lhs_len(rows, depth)];
    let each = out.chunks_exact_mut(packed_lhs_len(rows, depth)).zip(matrices.chunks_exact(rows * depth));
    each.for_each(|(out, matrix)| pack_lhs(level, &Rows::new(matrix, rows, depth), out));
    out
}

#[test]
fn tokens_come_back() {
    for level in Level::available() {
        for pixels in PIXELS {
            let (channels, panels) = (5, PanelLayout::new(level, pixels));
            let (tokens, plus) = (random(pixels, pixels * channels), random(1, panels.len(channels)));
            for place in Place::ALL {
                let tokens = Guarded::new(&tokens, place);
                let mut features = Guarded::unwritten(panels.len(channels), place);
                let mut from =
                    |plus| from_tokens(&Cx::serial(level), panels, channels, &tokens, plus, &mut features);
                from(Plus::Nothing);
                assert_eq!(as_tokens(panels, channels, &features), *tokens);
                let sum: Vec<f32> = features.iter().zip(&plus).map(|(a, b)| a + b).collect();
                let mut from =
                    |plus| from_tokens(&Cx::serial(level), panels, channels, &tokens, plus, &mut features);
                from(Plus::Panels(&plus));
                assert_eq!(*features, *sum);

                let more = random(2, tokens.len());
                let more = Guarded::new(&more, place);
                for (plus, period) in
                    [(Plus::Channels(&more[..channels]), channels), (Plus::Tokens(&more), more.len())]
                {
                    from_tokens(&Cx::serial(level), panels, channels, &tokens, plus, &mut features);
                    let sum: Vec<f32> =
                        tokens.iter().zip(more[..period].iter().cycle()).map(|(a, b)| a + b).collect();
                    assert_eq!(as_tokens(panels, channels, &features), sum);
                }
            }
        }
    }
}

#[test]
fn transposed_packs_as_rows_do() {
    for level in Level::available() {
        for [rows, depth] in [[1, 1], [7, 5], [29, 16], [33, 40]] {
            let matrix = random(rows, rows * depth);
            let transposed: Vec<f32> =
                (0..depth * rows).map(|i| matrix[i % rows * depth + i / rows]).collect();
            let (mut a, mut b) =
                (vec![0.0; packed_lhs_len(rows, depth)], vec![0.0; packed_lhs_len(rows, depth)]);
            pack_lhs(level, &Rows::new(&matrix, rows, depth), &mut a);
            pack_lhs(level, &Transposed::new(&transposed, rows), &mut b);
            assert_eq!(a, b);
            assert_eq!(LhsWeights::pack(level, &Rows::new(&matrix, rows, depth)).unwrap().lhs().rows(), rows);
        }
    }
}

#[test]
#[should_panic = "packed matrix [3, 5]"]
fn a_matrix_packed_for_another_size_is_refused() {
    let _ = PackedLhs::new(3, 5, &[0.0; 47]);
}

#[test]
#[should_panic = "packed matrix [2, 9223372036854775808]"]
#[cfg(target_pointer_width = "64")]
fn a_matrix_whose_size_overflows_is_refused() {
    // Its packed length is 0, modulo 2^64.
    let _ = PackedLhs::new(2, 1 << 63, &[]);
}
