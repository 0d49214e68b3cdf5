//! Instructions that this CPU may lack, in portable code: their packed layouts and the driver are tested all the same.

use bytemuck::cast;
use half::bf16;
use wide::f32x8;

use super::super::bf16 as format;
use super::super::dots::{DotWork, Dots, TileFn, entry, tiles};
use super::super::int8;
use super::super::kernel::WeightKernel;
use super::super::tiles::pairs;
use crate::simd::Portable;

/// An instruction, lane by lane: `$bytes` of either operand and a sum.
macro_rules! emulated {
    ($name:ident, $units:path, $operand:ty, $other:ty, $sum:ty, |$s:ident, $a:ident, $b:ident| $dot:expr) => {
        #[derive(Clone, Copy)]
        struct $name;

        // SAFETY: portable code needs no feature.
        unsafe impl Dots for $name {
            type S = Portable;

            fn units(k: usize) -> usize {
                $units(k)
            }

            unsafe fn dot(_: Portable, sum: f32x8, a: f32x8, b: f32x8) -> f32x8 {
                let (mut sums, a, b): ([$sum; 8], [$operand; 8], [$other; 8]) = (cast(sum), cast(a), cast(b));
                for (($s, $a), $b) in sums.iter_mut().zip(a).zip(b) {
                    $dot;
                }
                cast(sums)
            }

            unsafe fn run<W: DotWork>(s: Portable, work: W) {
                // SAFETY: forwarded to the caller.
                unsafe { work.run::<$name>(s) }
            }
        }
    };
}

emulated!(UnsignedBySigned, int8::quads, [u8; 4], [i8; 4], i32, |sum, a, b| {
    *sum += (0..4).map(|i| i32::from(a[i]) * i32::from(b[i])).sum::<i32>()
});
emulated!(SignedBySigned, int8::quads, [i8; 4], [i8; 4], i32, |sum, a, b| {
    *sum += (0..4).map(|i| i32::from(a[i]) * i32::from(b[i])).sum::<i32>()
});
emulated!(Bf16Pairs, pairs, [u16; 2], [u16; 2], f32, |sum, a, b| {
    let product = |i: usize| bf16::from_bits(a[i]).to_f32() * bf16::from_bits(b[i]).to_f32();
    *sum += product(1);
    *sum += product(0)
});

pub(super) static KERNELS: [WeightKernel; 3] = [
    int8::kernel_of::<u8, { int8::QUAD }>(
        "int8-emulated-vpdpbusd-3x16",
        3,
        16,
        tiles!(UnsignedBySigned, 2 vectors, [1 2 3]),
    ),
    int8::kernel_of::<i8, { int8::QUAD }>(
        "int8-emulated-sdot-3x16",
        3,
        16,
        tiles!(SignedBySigned, 2 vectors, [1 2 3]),
    ),
    format::kernel("bf16-emulated-vdpbf16ps-3x16", 3, 16, tiles!(Bf16Pairs, 2 vectors, [1 2 3])),
];
