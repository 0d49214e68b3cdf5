//! WebAssembly's 128-bit SIMD: 4 lanes.

use core::arch::wasm32::*;

use super::{Level, Simd};

/// Token: the target was compiled with `simd128`.
#[derive(Clone, Copy, Debug)]
pub struct Simd128(());

impl Simd128 {
    pub(super) fn new() -> Self {
        Self(())
    }
}

// SAFETY: 4 lanes; the module was compiled with the instructions.
unsafe impl Simd for Simd128 {
    type F = v128;
    type I = v128;
    type M = v128;

    const LANES: usize = 4;

    #[inline(always)]
    fn of(level: Level) -> Option<Self> {
        match level {
            Level::Simd128(simd) => Some(simd),
            #[allow(unreachable_patterns, reason = "on some targets this is the only level")]
            _ => None,
        }
    }

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> v128 {
        // SAFETY: forwarded to the caller; wasm loads need no alignment.
        unsafe { v128_load(p.cast()) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: v128) {
        // SAFETY: forwarded to the caller; wasm stores need no alignment.
        unsafe { v128_store(p.cast(), v) }
    }
    #[inline(always)]
    unsafe fn load_u8(self, p: *const u8) -> v128 {
        // SAFETY: forwarded to the caller; wasm loads need no alignment.
        u32x4_extend_low_u16x8(u16x8_extend_low_u8x16(unsafe { v128_load32_zero(p.cast()) }))
    }
    #[inline(always)]
    unsafe fn store_u8(self, p: *mut u8, v: v128) {
        let words = i16x8_narrow_i32x4(v, v);
        let bytes = i32x4_extract_lane::<0>(u8x16_narrow_i16x8(words, words));
        // SAFETY: forwarded to the caller.
        unsafe { p.cast::<i32>().write_unaligned(bytes) }
    }
    #[inline(always)]
    unsafe fn load_i8_pairs(self, p: *const i8) -> v128 {
        // SAFETY: forwarded to the caller.
        unsafe { i16x8_load_extend_i8x8(p) }
    }
    #[inline(always)]
    unsafe fn load_u16(self, p: *const u16) -> v128 {
        // SAFETY: forwarded to the caller.
        unsafe { u32x4_load_extend_u16x4(p) }
    }

    ops! {
        fn splat(x: f32) -> v128 = f32x4_splat(x);
        fn add(a: v128, b: v128) -> v128 = f32x4_add(a, b);
        fn sub(a: v128, b: v128) -> v128 = f32x4_sub(a, b);
        fn mul(a: v128, b: v128) -> v128 = f32x4_mul(a, b);
        fn div(a: v128, b: v128) -> v128 = f32x4_div(a, b);
        fn fma(a: v128, b: v128, c: v128) -> v128 = f32x4_add(f32x4_mul(a, b), c);
        // `pmin(x, y)` is `y < x ? y : x`.
        fn min(a: v128, b: v128) -> v128 = f32x4_pmin(b, a);
        fn max(a: v128, b: v128) -> v128 = f32x4_pmax(b, a);
        fn sqrt(a: v128) -> v128 = f32x4_sqrt(a);
        fn round(a: v128) -> v128 = f32x4_nearest(a);
        fn lt(a: v128, b: v128) -> v128 = f32x4_lt(a, b);
        fn select(mask: v128, if_true: v128, if_false: v128) -> v128 =
            v128_bitselect(if_true, if_false, mask);
        fn bits(mask: v128) -> u32 = u32::from(i32x4_bitmask(mask));
        fn zip(a: v128, b: v128) -> (v128, v128) =
            (i32x4_shuffle::<0, 4, 1, 5>(a, b), i32x4_shuffle::<2, 6, 3, 7>(a, b));
        fn as_i32(a: v128) -> v128 = a;
        fn as_f32(a: v128) -> v128 = a;
        fn to_i32(a: v128) -> v128 = i32x4_trunc_sat_f32x4(f32x4_nearest(a));
        fn to_f32(a: v128) -> v128 = f32x4_convert_i32x4(a);
        fn pair_dot(a: v128, b: v128) -> v128 = i32x4_dot_i16x8(a, b);
        fn i_splat(x: i32) -> v128 = i32x4_splat(x);
        fn i_add(a: v128, b: v128) -> v128 = i32x4_add(a, b);
        fn i_sub(a: v128, b: v128) -> v128 = i32x4_sub(a, b);
        fn i_mul(a: v128, b: v128) -> v128 = i32x4_mul(a, b);
        fn i_and(a: v128, b: v128) -> v128 = v128_and(a, b);
        fn i_or(a: v128, b: v128) -> v128 = v128_or(a, b);
        fn i_shl<const N>(a: v128) -> v128 = i32x4_shl(a, N as u32);
        fn i_sar<const N>(a: v128) -> v128 = i32x4_shr(a, N as u32);
        fn reduce_add(a: v128) -> f32 =
            (f32x4_extract_lane::<0>(a) + f32x4_extract_lane::<2>(a))
                + (f32x4_extract_lane::<1>(a) + f32x4_extract_lane::<3>(a));
        fn reduce_max(a: v128) -> f32 = {
            let pairs = f32x4_pmax(a, i32x4_shuffle::<2, 3, 0, 1>(a, a));
            let one = f32x4_pmax(pairs, i32x4_shuffle::<1, 0, 3, 2>(pairs, pairs));
            f32x4_extract_lane::<0>(one)
        };
    }
}
