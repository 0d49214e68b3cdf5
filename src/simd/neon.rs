//! Advanced SIMD of AArch64: 4 lanes.

use core::arch::aarch64::*;

use super::{Level, Simd};

/// Token: the target's baseline includes Advanced SIMD.
#[derive(Clone, Copy, Debug)]
pub struct Neon(());

impl Neon {
    pub(super) fn new() -> Self {
        Self(())
    }
}

// SAFETY: 4 lanes; the target's baseline has the instructions, and a load or store of 4 elements is one of them.
unsafe impl Simd for Neon {
    type F = float32x4_t;
    type I = int32x4_t;
    type M = uint32x4_t;

    const LANES: usize = 4;

    #[inline(always)]
    fn of(level: Level) -> Option<Self> {
        match level {
            Level::Neon(simd) => Some(simd),
            #[allow(unreachable_patterns, reason = "on some targets this is the only level")]
            _ => None,
        }
    }

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> float32x4_t {
        // SAFETY: forwarded to the caller.
        unsafe { vld1q_f32(p) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: float32x4_t) {
        // SAFETY: forwarded to the caller.
        unsafe { vst1q_f32(p, v) }
    }
    #[inline(always)]
    fn prefetch(self, p: *const u8) {
        // SAFETY: a hint that never faults.
        unsafe {
            core::arch::asm!("prfm pldl2keep, [{p}]", p = in(reg) p, options(nostack, preserves_flags, readonly))
        }
    }
    #[inline(always)]
    unsafe fn load_u8(self, p: *const u8) -> int32x4_t {
        // SAFETY: forwarded to the caller.
        let bytes = unsafe { p.cast::<u32>().read_unaligned() };
        // SAFETY: the baseline includes Advanced SIMD.
        unsafe { vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(bytes.into()))))) }
    }
    #[inline(always)]
    unsafe fn store_u8(self, p: *mut u8, v: int32x4_t) {
        // SAFETY: the baseline includes Advanced SIMD; the store is forwarded to the caller.
        unsafe {
            let words = vqmovn_s32(v);
            let bytes = vqmovun_s16(vcombine_s16(words, words));
            p.cast::<u32>().write_unaligned(vget_lane_u32::<0>(vreinterpret_u32_u8(bytes)));
        }
    }
    #[inline(always)]
    unsafe fn load_i8_pairs(self, p: *const i8) -> int32x4_t {
        // SAFETY: forwarded to the caller.
        unsafe { vreinterpretq_s32_s16(vmovl_s8(vld1_s8(p))) }
    }
    #[inline(always)]
    unsafe fn load_u16(self, p: *const u16) -> int32x4_t {
        // SAFETY: forwarded to the caller.
        unsafe { vreinterpretq_s32_u32(vmovl_u16(vld1_u16(p))) }
    }

    ops! {
        fn splat(x: f32) -> float32x4_t = vdupq_n_f32(x);
        fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t = vaddq_f32(a, b);
        fn sub(a: float32x4_t, b: float32x4_t) -> float32x4_t = vsubq_f32(a, b);
        fn mul(a: float32x4_t, b: float32x4_t) -> float32x4_t = vmulq_f32(a, b);
        fn div(a: float32x4_t, b: float32x4_t) -> float32x4_t = vdivq_f32(a, b);
        fn fma(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t = vfmaq_f32(c, a, b);
        fn min(a: float32x4_t, b: float32x4_t) -> float32x4_t = vbslq_f32(vcltq_f32(a, b), a, b);
        fn max(a: float32x4_t, b: float32x4_t) -> float32x4_t = vbslq_f32(vcltq_f32(b, a), a, b);
        fn sqrt(a: float32x4_t) -> float32x4_t = vsqrtq_f32(a);
        fn round(a: float32x4_t) -> float32x4_t = vrndnq_f32(a);
        fn lt(a: float32x4_t, b: float32x4_t) -> uint32x4_t = vcltq_f32(a, b);
        fn select(mask: uint32x4_t, if_true: float32x4_t, if_false: float32x4_t) -> float32x4_t =
            vbslq_f32(mask, if_true, if_false);
        fn bits(mask: uint32x4_t) -> u32 = vaddvq_u32(vandq_u32(mask, vld1q_u32([1, 2, 4, 8].as_ptr())));
        fn zip(a: float32x4_t, b: float32x4_t) -> (float32x4_t, float32x4_t) =
            (vzip1q_f32(a, b), vzip2q_f32(a, b));
        fn as_i32(a: float32x4_t) -> int32x4_t = vreinterpretq_s32_f32(a);
        fn as_f32(a: int32x4_t) -> float32x4_t = vreinterpretq_f32_s32(a);
        fn to_i32(a: float32x4_t) -> int32x4_t = vcvtnq_s32_f32(a);
        fn to_f32(a: int32x4_t) -> float32x4_t = vcvtq_f32_s32(a);
        fn pair_dot(a: int32x4_t, b: int32x4_t) -> int32x4_t = {
            let (a, b) = (vreinterpretq_s16_s32(a), vreinterpretq_s16_s32(b));
            let low = vmull_s16(vget_low_s16(a), vget_low_s16(b));
            vpaddq_s32(low, vmull_high_s16(a, b))
        };
        fn i_splat(x: i32) -> int32x4_t = vdupq_n_s32(x);
        fn i_add(a: int32x4_t, b: int32x4_t) -> int32x4_t = vaddq_s32(a, b);
        fn i_sub(a: int32x4_t, b: int32x4_t) -> int32x4_t = vsubq_s32(a, b);
        fn i_mul(a: int32x4_t, b: int32x4_t) -> int32x4_t = vmulq_s32(a, b);
        fn i_and(a: int32x4_t, b: int32x4_t) -> int32x4_t = vandq_s32(a, b);
        fn i_or(a: int32x4_t, b: int32x4_t) -> int32x4_t = vorrq_s32(a, b);
        fn i_shl<const N>(a: int32x4_t) -> int32x4_t = vshlq_s32(a, vdupq_n_s32(N));
        fn i_sar<const N>(a: int32x4_t) -> int32x4_t = vshlq_s32(a, vdupq_n_s32(-N));
        fn reduce_add(a: float32x4_t) -> f32 = vaddvq_f32(a);
        fn reduce_max(a: float32x4_t) -> f32 = vmaxvq_f32(a);
    }
}
