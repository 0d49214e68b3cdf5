//! `sdot` and `bfdot` of AArch64, in assembly: their intrinsics are unstable.

use core::arch::aarch64::float32x4_t;
use core::arch::asm;

use super::bf16;
use super::dots::{DotWork, Dots, TileFn, entry, tiles};
use super::int8;
use super::kernel::WeightKernel;
use super::tiles::pairs;
use crate::simd::{Level, Neon, Simd};

/// An instruction, with the feature that code with it is compiled for.
macro_rules! dots {
    ($(#[$doc:meta])* $name:ident, $feature:literal, $units:path, $instruction:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        struct $name;

        // SAFETY: `run` enters code compiled for the feature that `dot` needs.
        unsafe impl Dots for $name {
            type S = Neon;

            fn units(k: usize) -> usize {
                $units(k)
            }

            #[inline(always)]
            unsafe fn dot(_: Neon, mut sum: float32x4_t, a: float32x4_t, b: float32x4_t) -> float32x4_t {
                // SAFETY: the caller promises the feature; the instruction touches its operands alone.
                unsafe {
                    asm!(
                        $instruction,
                        sum = inout(vreg) sum,
                        a = in(vreg) a,
                        b = in(vreg) b,
                        options(pure, nomem, nostack, preserves_flags),
                    );
                }
                sum
            }

            #[inline]
            unsafe fn run<W: DotWork>(s: Neon, work: W) {
                /// # Safety
                /// As [`DotWork::run`].
                #[target_feature(enable = $feature)]
                unsafe fn inner<W: DotWork>(s: Neon, work: W) {
                    // SAFETY: forwarded to the caller.
                    unsafe { work.run::<$name>(s) }
                }
                // SAFETY: the caller promises the instruction.
                unsafe { inner(s, work) }
            }
        }
    };
}

dots!(
    /// Four products of signed bytes.
    Sdot, "dotprod", int8::quads, "sdot {sum:v}.4s, {a:v}.16b, {b:v}.16b"
);
dots!(
    /// Two products of bfloat16.
    Bfdot, "bf16", pairs, "bfdot {sum:v}.4s, {a:v}.8h, {b:v}.8h"
);

/// Does `work` with products of bfloat16.
///
/// # Safety
/// The CPU has the instruction of [`BF16_BFDOT`]; and as [`DotWork::run`].
pub(super) unsafe fn run_bf16<W: DotWork>(level: Level, work: W) {
    let s = <Bfdot as Dots>::S::of(level).expect("the level of the instruction");
    // SAFETY: forwarded to the caller.
    unsafe { Bfdot::run(s, work) }
}

// 24 sums, four columns and a row's broadcast in 32 registers.
pub(super) static INT8_DOTPROD: WeightKernel = int8::kernel_of::<i8, { int8::QUAD }>(
    "int8-neon-dotprod-6x16",
    6,
    16,
    tiles!(Sdot, 4 vectors, [1 2 3 4 5 6]),
);
pub(super) static BF16_BFDOT: WeightKernel =
    bf16::kernel("bf16-neon-bfdot-6x16", 6, 16, tiles!(Bfdot, 4 vectors, [1 2 3 4 5 6]));
