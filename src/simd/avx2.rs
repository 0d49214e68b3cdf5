//! AVX2 with FMA, F16C and POPCNT: 8 lanes.

use core::arch::x86_64::*;

use super::{Level, Simd, Vectorize, detect::x86::Features};

/// Token: this CPU has AVX, AVX2, FMA, F16C and POPCNT, and the operating system saves YMM registers.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

impl Avx2 {
    /// The token, if this CPU has the instructions.
    pub fn new() -> Option<Self> {
        Features::detect().avx2().then_some(Self(()))
    }

    /// The first `n` lanes set, for masked loads and stores.
    #[inline(always)]
    fn first(self, n: usize) -> __m256i {
        const LANES: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
        debug_assert!(n <= 8);
        // SAFETY: `8 - n..16 - n` lies inside `LANES` for `n <= 8`; `self` proves AVX2.
        unsafe { _mm256_loadu_si256(LANES.as_ptr().add(8 - n).cast()) }
    }
}

// SAFETY: 8 lanes; a token is only made where CPUID and XCR0 say that the instructions work.
unsafe impl Simd for Avx2 {
    type F = __m256;
    type I = __m256i;
    type M = __m256;

    const LANES: usize = 8;

    #[inline(always)]
    fn of(level: Level) -> Option<Self> {
        match level {
            Level::Avx2(simd) => Some(simd),
            #[allow(unreachable_patterns, reason = "on some targets this is the only level")]
            _ => None,
        }
    }

    #[inline]
    fn dispatch<W: Vectorize>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx,avx2,fma,f16c,popcnt")]
        fn inner<W: Vectorize>(simd: Avx2, work: W) -> W::Output {
            work.run(simd)
        }
        // SAFETY: `self` proves the features that `inner` enables.
        unsafe { inner(self, work) }
    }

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> __m256 {
        // SAFETY: forwarded to the caller; `self` proves AVX.
        unsafe { _mm256_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: __m256) {
        // SAFETY: forwarded to the caller; `self` proves AVX.
        unsafe { _mm256_storeu_ps(p, v) }
    }
    #[inline(always)]
    unsafe fn load_n(self, p: *const f32, n: usize) -> __m256 {
        // SAFETY: masked-off lanes are not accessed; `self` proves AVX.
        unsafe { _mm256_maskload_ps(p, self.first(n)) }
    }
    #[inline(always)]
    unsafe fn store_n(self, p: *mut f32, v: __m256, n: usize) {
        // SAFETY: masked-off lanes are not accessed; `self` proves AVX.
        unsafe { _mm256_maskstore_ps(p, self.first(n), v) }
    }
    #[inline(always)]
    fn prefetch(self, p: *const u8) {
        // SAFETY: a hint that never faults; SSE, of which it is a part, is in the target's baseline.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
    }
    #[inline(always)]
    unsafe fn load_u8(self, p: *const u8) -> __m256i {
        // SAFETY: forwarded to the caller; `self` proves AVX2.
        unsafe { _mm256_cvtepu8_epi32(_mm_loadl_epi64(p.cast())) }
    }
    #[inline(always)]
    unsafe fn store_u8(self, p: *mut u8, v: __m256i) {
        // SAFETY: forwarded to the caller; `self` proves AVX2.
        unsafe {
            let words = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
            _mm_storel_epi64(p.cast(), _mm_packus_epi16(words, words));
        }
    }
    #[inline(always)]
    unsafe fn load_u16(self, p: *const u16) -> __m256i {
        // SAFETY: forwarded to the caller; `self` proves AVX2.
        unsafe { _mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast())) }
    }
    #[inline(always)]
    unsafe fn load_i8_pairs(self, p: *const i8) -> __m256i {
        // SAFETY: forwarded to the caller; `self` proves AVX2.
        unsafe { _mm256_cvtepi8_epi16(_mm_loadu_si128(p.cast())) }
    }
    #[inline(always)]
    unsafe fn load_f16(self, p: *const u16) -> __m256 {
        // SAFETY: forwarded to the caller; `self` proves F16C.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(p.cast())) }
    }

    ops! {
        fn splat(x: f32) -> __m256 = _mm256_set1_ps(x);
        fn add(a: __m256, b: __m256) -> __m256 = _mm256_add_ps(a, b);
        fn sub(a: __m256, b: __m256) -> __m256 = _mm256_sub_ps(a, b);
        fn mul(a: __m256, b: __m256) -> __m256 = _mm256_mul_ps(a, b);
        fn div(a: __m256, b: __m256) -> __m256 = _mm256_div_ps(a, b);
        fn fma(a: __m256, b: __m256, c: __m256) -> __m256 = _mm256_fmadd_ps(a, b, c);
        fn min(a: __m256, b: __m256) -> __m256 = _mm256_min_ps(a, b);
        fn max(a: __m256, b: __m256) -> __m256 = _mm256_max_ps(a, b);
        fn sqrt(a: __m256) -> __m256 = _mm256_sqrt_ps(a);
        fn round(a: __m256) -> __m256 =
            _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a);
        fn lt(a: __m256, b: __m256) -> __m256 = _mm256_cmp_ps::<_CMP_LT_OQ>(a, b);
        fn select(mask: __m256, if_true: __m256, if_false: __m256) -> __m256 =
            _mm256_blendv_ps(if_false, if_true, mask);
        fn bits(mask: __m256) -> u32 = _mm256_movemask_ps(mask) as u32;
        fn zip(a: __m256, b: __m256) -> (__m256, __m256) = {
            // Of either half: the first and the last two pairs.
            let (first, last) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            (_mm256_permute2f128_ps::<0x20>(first, last), _mm256_permute2f128_ps::<0x31>(first, last))
        };
        fn as_i32(a: __m256) -> __m256i = _mm256_castps_si256(a);
        fn as_f32(a: __m256i) -> __m256 = _mm256_castsi256_ps(a);
        fn to_i32(a: __m256) -> __m256i = _mm256_cvtps_epi32(a);
        fn to_f32(a: __m256i) -> __m256 = _mm256_cvtepi32_ps(a);
        fn pair_dot(a: __m256i, b: __m256i) -> __m256i = _mm256_madd_epi16(a, b);
        fn i_splat(x: i32) -> __m256i = _mm256_set1_epi32(x);
        fn i_add(a: __m256i, b: __m256i) -> __m256i = _mm256_add_epi32(a, b);
        fn i_sub(a: __m256i, b: __m256i) -> __m256i = _mm256_sub_epi32(a, b);
        fn i_mul(a: __m256i, b: __m256i) -> __m256i = _mm256_mullo_epi32(a, b);
        fn i_and(a: __m256i, b: __m256i) -> __m256i = _mm256_and_si256(a, b);
        fn i_or(a: __m256i, b: __m256i) -> __m256i = _mm256_or_si256(a, b);
        fn i_shl<const N>(a: __m256i) -> __m256i = _mm256_slli_epi32::<N>(a);
        fn i_sar<const N>(a: __m256i) -> __m256i = _mm256_srai_epi32::<N>(a);
        fn reduce_add(a: __m256) -> f32 = {
            let quad = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let pair = _mm_add_ps(quad, _mm_movehl_ps(quad, quad));
            _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)))
        };
        fn reduce_max(a: __m256) -> f32 = {
            let quad = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let pair = _mm_max_ps(quad, _mm_movehl_ps(quad, quad));
            _mm_cvtss_f32(_mm_max_ss(pair, _mm_movehdup_ps(pair)))
        };
    }
}
