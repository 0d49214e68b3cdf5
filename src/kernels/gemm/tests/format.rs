//! A second format, written for this test alone, goes through packing, driver and destinations: weights in 8 bits with a
//! scale for each output, left-hand sides in bfloat16.

use alloc::vec;
use alloc::vec::Vec;

use super::super::format::WeightFormat;
use super::super::kernel::{TileArgs, WeightKernel};
use super::super::{Destination, PackedWeights, Rows, gemm, scratch_req};
use super::Problem;
use crate::exec::Cx;
use crate::kernels::activation::Activation;
use crate::kernels::testing::{assert_near, nan_workspace};
use crate::simd::{Caches, Level};

const MR: usize = 3;
const NR: usize = 4;
/// Elements of a chunk of 64 bytes of bfloat16.
const CHUNK: usize = 32;

static KERNEL: WeightKernel = WeightKernel {
    name: "i8-portable-3x4",
    format: WeightFormat::F32,
    mr: MR,
    nr: NR,
    weight_bytes: 1,
    lhs_bytes: 2,
    has_scales: true,
    pack,
    convert: Some(convert),
    run,
};

fn bf16(x: f32) -> u16 {
    (x.to_bits() >> 16) as u16
}

fn widened(x: u16) -> f32 {
    f32::from_bits(u32::from(x) << 16)
}

fn scale(row: &[f32]) -> f32 {
    row.iter().fold(0.0f32, |max, x| max.max(x.abs())) / 127.0
}

fn quantised(x: f32, scale: f32) -> i8 {
    libm::roundf(x / scale) as i8
}

fn pack(nr: usize, rows: &[f32], panel: &mut [u8], scales: &mut [f32]) {
    let k = rows.len() / nr;
    for (r, row) in rows.chunks_exact(k).enumerate() {
        scales[r] = scale(row).max(f32::MIN_POSITIVE);
        for (i, &x) in row.iter().enumerate() {
            panel[i * nr + r] = quantised(x, scales[r]).to_ne_bytes()[0];
        }
    }
}

/// `[K / 16][rows][16]` f32 to `[K / 32][rows][32]` bfloat16.
fn convert(_: Level, tile: &mut [f32], rows: usize) {
    let from = tile.to_vec();
    let to: &mut [u16] = bytemuck::cast_slice_mut(tile);
    for (at, &x) in from.iter().enumerate() {
        let (k, row) = (at / (16 * rows) * 16 + at % 16, at / 16 % rows);
        to[k / CHUNK * rows * CHUNK + row * CHUNK + k % CHUNK] = bf16(x);
    }
}

/// # Safety
/// As `WeightKernel::run`.
unsafe fn run(_: Level, rows: usize, args: TileArgs<u8>) {
    let (a, b) = (args.a.cast::<u16>(), args.b.cast::<i8>());
    for i in 0..rows {
        for j in 0..NR {
            // SAFETY: the caller promises operands of these shapes.
            unsafe {
                let mut sum = 0.0;
                for k in 0..args.k {
                    let x = *a.add((k / CHUNK * rows + i) * CHUNK + k % CHUNK);
                    sum += widened(x) * f32::from(*b.add(k * NR + j));
                }
                let value = *args.init.add(i * args.init_stride + j) + sum * *args.scales.add(j);
                let c = args.c.add(i * args.ldc + j);
                *c = if args.accumulate { *c + value } else { value };
            }
        }
    }
}

#[test]
fn a_second_format_goes_through_packing_driver_and_destinations() {
    let level = Level::detect();
    for caches in [Caches::SMALL, Caches { l1: 0, l2: 2048, last: 0 }] {
        let cx = Cx::serial(level).with_caches(caches);
        for [m, n, k] in [[1, 1, 1], [MR, NR, CHUNK], [2 * MR + 1, 3 * NR + 1, 5 * CHUNK + 7]] {
            let mut problem = Problem::new([m, n, k]);
            let weights = PackedWeights::pack_for(&KERNEL, level, n, k, |row, out| {
                out.copy_from_slice(&problem.weights[row * k..][..k]);
            });
            // The oracle computes with what the format keeps of the operands.
            problem.lhs.iter_mut().for_each(|x| *x = widened(bf16(*x)));
            for row in problem.weights.chunks_exact_mut(k) {
                let scale = scale(row);
                row.iter_mut().for_each(|x| *x = f32::from(quantised(*x, scale)) * scale);
            }
            let (mut exact, tolerances) = problem.oracle(true, Activation::None);
            exact.iter_mut().for_each(|x| *x += 1.0);
            let mut out: Vec<f32> = vec![1.0; m * n];
            gemm(
                &cx,
                &Rows::new(&problem.lhs, m, k),
                &weights,
                Some(&problem.bias),
                Activation::None,
                Destination::Add { out: &mut out, stride: n },
                nan_workspace(scratch_req(&cx, m, &weights)).scratch(),
            );
            assert_near(&out, &exact, |i| 2.0 * tolerances[i] + 1e-6);
        }
    }
}
