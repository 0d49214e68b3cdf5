//! Operands of instructions that multiply bfloat16 in pairs.
//!
//! A pair is `k` and `k + 16` of 32 numbers, not two neighbours: so two vectors of f32 become one of pairs without a
//! permutation, and the order in which a sum is taken does not matter to its meaning.

use half::bf16;

use super::decoded::bf16_pairs;
use super::format::WeightFormat;
use super::kernel::{CHUNK, Convert, MAX_MR, MAX_NR, TileArgs, WeightKernel};
use super::tiles::PAIRS;
use crate::simd::{Level, Simd, Vectorize};

/// A kernel of bfloat16.
pub(super) const fn kernel(
    name: &'static str,
    mr: usize,
    nr: usize,
    run: unsafe fn(Level, usize, TileArgs<u8>),
) -> WeightKernel {
    assert!(mr <= MAX_MR && nr <= MAX_NR);
    WeightKernel {
        name,
        format: WeightFormat::Bf16,
        mr,
        nr,
        k_unit: PAIRS,
        unit_bytes: PAIRS * size_of::<u16>() * nr,
        lhs_bytes: size_of::<u16>(),
        column_values: 0,
        row_values: 0,
        pack,
        convert: Some(convert),
        decode: None,
        run,
        pass: None,
        finish: None,
    }
}

/// Packs `[nr][k]` as `[k / 32][16][nr][2]`, filled up with zeros.
pub(super) fn pack(nr: usize, rows: &[f32], panel: &mut [u8], _columns: &mut [f32]) {
    let panel: &mut [u16] = bytemuck::cast_slice_mut(panel);
    for (column, row) in rows.chunks_exact(rows.len() / nr).enumerate() {
        for (k, &x) in row.iter().enumerate() {
            let (chunk, k) = (k / PAIRS, k % PAIRS);
            let at = (chunk * CHUNK + k % CHUNK) * nr + column;
            panel[2 * at + k / CHUNK] = bf16::from_f32(x).to_bits();
        }
    }
}

/// Rounds `[k / 16][rows][16]` to `[k / 32][rows][16][2]`, filled up with zeros.
pub(super) fn convert(level: Level, tile: Convert<'_>) {
    struct Pair<'a>(Convert<'a>);
    impl Vectorize for Pair<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Convert { rows, k, from, to, .. } = self.0;
            for (pair, to) in to.chunks_exact_mut(rows * CHUNK).enumerate() {
                for (row, to) in to.as_chunks_mut::<CHUNK>().0.iter_mut().enumerate() {
                    let chunk = |index: usize| -> &[f32; CHUNK] {
                        from[(index * rows + row) * CHUNK..].first_chunk().expect("a chunk")
                    };
                    if (pair + 1) * PAIRS <= k {
                        round(s, chunk(2 * pair), chunk(2 * pair + 1), to);
                        continue;
                    }
                    // Of the last chunks, what is beyond the row is zero.
                    let mut halves = [[0.0; CHUNK]; 2];
                    for (index, half) in (2 * pair..).zip(&mut halves) {
                        let present = k.saturating_sub(index * CHUNK).min(CHUNK);
                        if present > 0 {
                            half[..present].copy_from_slice(&chunk(index)[..present]);
                        }
                    }
                    round(s, &halves[0], &halves[1], to);
                }
            }
        }
    }
    /// Pairs of the bfloat16 of `first` and `second`.
    #[inline(always)]
    fn round<S: Simd>(s: S, first: &[f32; CHUNK], second: &[f32; CHUNK], to: &mut [f32; CHUNK]) {
        for at in (0..CHUNK).step_by(S::LANES) {
            // SAFETY: all three hold CHUNK values, a multiple of LANES.
            unsafe {
                let pairs = bf16_pairs(s, s.load(first[at..].as_ptr()), s.load(second[at..].as_ptr()));
                s.store(to[at..].as_mut_ptr(), pairs);
            }
        }
    }
    level.dispatch(Pair(tile));
}
