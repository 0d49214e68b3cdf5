//! AVX-512 F, VL, BW and DQ: 16 lanes.

use core::arch::x86_64::*;

use super::{Level, Simd, Vectorize, detect::x86::Features};

/// Token: this CPU has AVX-512 F, VL, BW, DQ and AVX2, FMA, F16C, and the operating system saves ZMM registers.
#[derive(Clone, Copy, Debug)]
pub struct Avx512(());

impl Avx512 {
    /// The token, if this CPU has the instructions.
    pub fn new() -> Option<Self> {
        Features::detect().avx512().then_some(Self(()))
    }
}

/// The first `n` lanes set.
#[inline(always)]
fn first(n: usize) -> __mmask16 {
    debug_assert!(n < 16);
    ((1u32 << n) - 1) as __mmask16
}

// SAFETY: 16 lanes; a token is only made where CPUID and XCR0 say that the instructions work.
unsafe impl Simd for Avx512 {
    type F = __m512;
    type I = __m512i;
    type M = __mmask16;

    const LANES: usize = 16;

    #[inline(always)]
    fn of(level: Level) -> Option<Self> {
        match level {
            Level::Avx512(simd) => Some(simd),
            #[allow(unreachable_patterns, reason = "on some targets this is the only level")]
            _ => None,
        }
    }

    #[inline]
    fn dispatch<W: Vectorize>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx,avx2,fma,f16c,popcnt,avx512f,avx512vl,avx512bw,avx512dq")]
        fn inner<W: Vectorize>(simd: Avx512, work: W) -> W::Output {
            work.run(simd)
        }
        // SAFETY: `self` proves the features that `inner` enables.
        unsafe { inner(self, work) }
    }

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> __m512 {
        // SAFETY: forwarded to the caller; `self` proves AVX-512F.
        unsafe { _mm512_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: __m512) {
        // SAFETY: forwarded to the caller; `self` proves AVX-512F.
        unsafe { _mm512_storeu_ps(p, v) }
    }
    #[inline(always)]
    unsafe fn load_n(self, p: *const f32, n: usize) -> __m512 {
        // SAFETY: masked-off lanes are not accessed; `self` proves AVX-512F.
        unsafe { _mm512_maskz_loadu_ps(first(n), p) }
    }
    #[inline(always)]
    unsafe fn store_n(self, p: *mut f32, v: __m512, n: usize) {
        // SAFETY: masked-off lanes are not accessed; `self` proves AVX-512F.
        unsafe { _mm512_mask_storeu_ps(p, first(n), v) }
    }
    #[inline(always)]
    fn prefetch(self, p: *const u8) {
        // SAFETY: a hint that never faults; SSE, of which it is a part, is in the target's baseline.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
    }
    #[inline(always)]
    unsafe fn load_u8(self, p: *const u8) -> __m512i {
        // SAFETY: forwarded to the caller; `self` proves AVX-512F.
        unsafe { _mm512_cvtepu8_epi32(_mm_loadu_si128(p.cast())) }
    }
    #[inline(always)]
    unsafe fn store_u8(self, p: *mut u8, v: __m512i) {
        // SAFETY: forwarded to the caller; `self` proves AVX-512F.
        unsafe {
            let positive = _mm512_max_epi32(v, _mm512_setzero_si512());
            _mm_storeu_si128(p.cast(), _mm512_cvtusepi32_epi8(positive));
        }
    }
    #[inline(always)]
    unsafe fn load_u16(self, p: *const u16) -> __m512i {
        // SAFETY: forwarded to the caller; `self` proves AVX-512F.
        unsafe { _mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast())) }
    }
    #[inline(always)]
    unsafe fn load_i8_pairs(self, p: *const i8) -> __m512i {
        // SAFETY: forwarded to the caller; `self` proves AVX-512 BW.
        unsafe { _mm512_cvtepi8_epi16(_mm256_loadu_si256(p.cast())) }
    }
    #[inline(always)]
    unsafe fn load_f16(self, p: *const u16) -> __m512 {
        // SAFETY: forwarded to the caller; `self` proves AVX-512F.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(p.cast())) }
    }

    ops! {
        fn splat(x: f32) -> __m512 = _mm512_set1_ps(x);
        fn add(a: __m512, b: __m512) -> __m512 = _mm512_add_ps(a, b);
        fn sub(a: __m512, b: __m512) -> __m512 = _mm512_sub_ps(a, b);
        fn mul(a: __m512, b: __m512) -> __m512 = _mm512_mul_ps(a, b);
        fn div(a: __m512, b: __m512) -> __m512 = _mm512_div_ps(a, b);
        fn fma(a: __m512, b: __m512, c: __m512) -> __m512 = _mm512_fmadd_ps(a, b, c);
        fn min(a: __m512, b: __m512) -> __m512 = _mm512_min_ps(a, b);
        fn max(a: __m512, b: __m512) -> __m512 = _mm512_max_ps(a, b);
        fn sqrt(a: __m512) -> __m512 = _mm512_sqrt_ps(a);
        fn round(a: __m512) -> __m512 =
            _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a);
        fn ldexp(a: __m512, n: __m512) -> __m512 = _mm512_scalef_ps(a, n);
        fn lt(a: __m512, b: __m512) -> __mmask16 = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b);
        fn select(mask: __mmask16, if_true: __m512, if_false: __m512) -> __m512 =
            _mm512_mask_blend_ps(mask, if_false, if_true);
        fn bits(mask: __mmask16) -> u32 = u32::from(mask);
        fn zip(a: __m512, b: __m512) -> (__m512, __m512) = {
            let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
            (_mm512_permutex2var_ps(a, low, b), _mm512_permutex2var_ps(a, high, b))
        };
        fn as_i32(a: __m512) -> __m512i = _mm512_castps_si512(a);
        fn as_f32(a: __m512i) -> __m512 = _mm512_castsi512_ps(a);
        fn to_i32(a: __m512) -> __m512i = _mm512_cvtps_epi32(a);
        fn to_f32(a: __m512i) -> __m512 = _mm512_cvtepi32_ps(a);
        fn pair_dot(a: __m512i, b: __m512i) -> __m512i = _mm512_madd_epi16(a, b);
        fn i_splat(x: i32) -> __m512i = _mm512_set1_epi32(x);
        fn i_add(a: __m512i, b: __m512i) -> __m512i = _mm512_add_epi32(a, b);
        fn i_sub(a: __m512i, b: __m512i) -> __m512i = _mm512_sub_epi32(a, b);
        fn i_mul(a: __m512i, b: __m512i) -> __m512i = _mm512_mullo_epi32(a, b);
        fn i_and(a: __m512i, b: __m512i) -> __m512i = _mm512_and_si512(a, b);
        fn i_or(a: __m512i, b: __m512i) -> __m512i = _mm512_or_si512(a, b);
        fn i_shl<const N>(a: __m512i) -> __m512i = _mm512_sllv_epi32(a, _mm512_set1_epi32(N));
        fn i_sar<const N>(a: __m512i) -> __m512i = _mm512_srav_epi32(a, _mm512_set1_epi32(N));
        fn reduce_add(a: __m512) -> f32 = _mm512_reduce_add_ps(a);
        fn reduce_max(a: __m512) -> f32 = _mm512_reduce_max_ps(a);
    }
}
