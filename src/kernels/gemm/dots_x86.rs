//! VNNI and AVX512-BF16.

use core::arch::x86_64::*;

use super::bf16;
use super::dots::{DotWork, Dots, TileFn, entry, tiles};
use super::int8;
use super::kernel::WeightKernel;
use super::tiles::pairs;
use crate::simd::{Avx2, Avx512, Level, Simd};

/// An instruction of a level, with the features that code with it is compiled for.
macro_rules! dots {
    ($(#[$doc:meta])* $name:ident, $level:ty, $vector:ty, $features:literal, $units:path, |$sum:ident, $a:ident, $b:ident| $dot:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        struct $name;

        // SAFETY: `run` enters code compiled for the features that `dot` needs.
        unsafe impl Dots for $name {
            type S = $level;

            fn units(k: usize) -> usize {
                $units(k)
            }

            #[inline(always)]
            unsafe fn dot(_: $level, $sum: $vector, $a: $vector, $b: $vector) -> $vector {
                // SAFETY: the caller promises the features.
                unsafe { $dot }
            }

            #[inline]
            unsafe fn run<W: DotWork>(s: $level, work: W) {
                /// # Safety
                /// As [`DotWork::run`].
                #[target_feature(enable = $features)]
                unsafe fn inner<W: DotWork>(s: $level, work: W) {
                    // SAFETY: forwarded to the caller.
                    unsafe { work.run::<$name>(s) }
                }
                // SAFETY: the caller promises the instruction, and `s` proves its level.
                unsafe { inner(s, work) }
            }
        }
    };
}

dots!(
    /// `vpdpbusd` in vectors of 512 bits: unsigned bytes of rows, signed bytes of weights.
    Avx512Vnni, Avx512, __m512, "avx512f,avx512vl,avx512bw,avx512dq,avx512vnni,avx2,fma,f16c,popcnt", int8::quads, |sum, a, b| {
        let [sum, a, b] = [sum, a, b].map(|x| _mm512_castps_si512(x));
        _mm512_castsi512_ps(_mm512_dpbusd_epi32(sum, a, b))
    }
);

dots!(
    /// `vpdpbusd` in vectors of 256 bits.
    AvxVnni, Avx2, __m256, "avx,avx2,fma,f16c,popcnt,avxvnni", int8::quads, |sum, a, b| {
        let [sum, a, b] = [sum, a, b].map(|x| _mm256_castps_si256(x));
        _mm256_castsi256_ps(_mm256_dpbusd_avx_epi32(sum, a, b))
    }
);

dots!(
    /// `vdpbf16ps` in vectors of 512 bits.
    Avx512Bf16, Avx512, __m512, "avx512f,avx512vl,avx512bw,avx512dq,avx512bf16,avx2,fma,f16c,popcnt", pairs, |sum, a, b| {
        let [a, b] = [a, b].map(|x| core::mem::transmute::<__m512, __m512bh>(x));
        _mm512_dpbf16_ps(sum, a, b)
    }
);

/// Does `work` with products of bfloat16.
///
/// # Safety
/// The CPU has the instruction of [`BF16_AVX512`]; and as [`DotWork::run`].
pub(super) unsafe fn run_bf16<W: DotWork>(level: Level, work: W) {
    let s = <Avx512Bf16 as Dots>::S::of(level).expect("the level of the instruction");
    // SAFETY: forwarded to the caller.
    unsafe { Avx512Bf16::run(s, work) }
}

// 28 sums, two columns and a row's broadcast in 32 registers; 12, two and one in 16.
pub(super) static INT8_AVX512_VNNI: WeightKernel = int8::kernel_of::<u8, { int8::QUAD }>(
    "int8-avx512-vnni-14x32",
    14,
    32,
    tiles!(Avx512Vnni, 2 vectors, [1 2 3 4 5 6 7 8 9 10 11 12 13 14]),
);
pub(super) static INT8_AVX_VNNI: WeightKernel = int8::kernel_of::<u8, { int8::QUAD }>(
    "int8-avx-vnni-6x16",
    6,
    16,
    tiles!(AvxVnni, 2 vectors, [1 2 3 4 5 6]),
);
pub(super) static BF16_AVX512: WeightKernel = bf16::kernel(
    "bf16-avx512-bf16-14x32",
    14,
    32,
    tiles!(Avx512Bf16, 2 vectors, [1 2 3 4 5 6 7 8 9 10 11 12 13 14]),
);
