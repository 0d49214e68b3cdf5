//! The [`Simd`] trait, its implementations and CPU detection.
//!
//! Algorithms are written once, generically over [`Simd`]; each architecture file supplies only the
//! operations. A [`Level`] is a proof token: it can only be constructed for instructions that this CPU has,
//! and holding one is what permits the intrinsics. [`Level::dispatch`] enters a function compiled with exactly
//! the target features that the token checked.
//!
//! Work is split over threads *outside* and dispatched *inside* each lane: a closure handed out of a dispatched
//! body would lose the target features.
//!
//! **Unstable**: may change in any release.
//!
//! # Soundness
//!
//! A token is made in two ways: by detection, or without conditions where the target's baseline has the instructions.
//! Its field is private, so that safe code cannot forge one, and [`Simd`] is an unsafe trait, so that safe code cannot
//! pass a type of its own to a kernel. Arithmetic is then safe; loads and stores take pointers and are unsafe
//! functions.
//!
//! Code of a level that is inlined into code without its features is slow and not unsound: intrinsics are then called,
//! by functions that have the features.
//!
//! Tests: `simd::levels_are_found_by_name`, `simd::lanes_are_those_of_the_vectors`,
//! `detect::agrees_with_the_standard_library`, `detect::extensions_agree_with_the_standard_library`.

/// Writes the methods of a `Simd` implementation whose body is one expression over intrinsics.
#[allow(unused_macros, reason = "targets with only the portable level do not use it")]
macro_rules! ops {
    ($(fn $name:ident $(<const $n:ident>)? ($($arg:ident: $ty:ty),*) -> $ret:ty = $body:expr;)*) => {$(
        #[inline(always)]
        #[allow(unused_unsafe, reason = "intrinsics of a target's baseline are safe, others are not")]
        fn $name $(<const $n: i32>)? (self $(, $arg: $ty)*) -> $ret {
            // SAFETY: `self` proves that the CPU has these instructions.
            unsafe { $body }
        }
    )*};
}

mod caches;
mod detect;
mod extensions;
mod portable;
#[cfg(test)]
mod tests;

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod avx2;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod avx512;
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
mod neon;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm;

use core::fmt::Debug;

pub use caches::Caches;
pub use extensions::{AmxState, Extensions};
pub use portable::Portable;

#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
pub use neon::Neon;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub use wasm::Simd128;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
pub use {avx2::Avx2, avx512::Avx512};

/// Vector operations of one instruction set.
///
/// `F` holds [`LANES`](Simd::LANES) f32, `I` as many i32, `M` as many truth values. Every method is
/// `#[inline(always)]`, so that it compiles to its instruction inside a body entered by [`Level::dispatch`].
///
/// # Safety
/// `LANES` is 4, 8 or 16; kernels have buffers of 16 and cut rows by it. Loads and stores touch the elements that they
/// describe and no others. A value of the type proves that the CPU has the instructions of all methods.
pub unsafe trait Simd: Copy + Debug + Send + Sync + 'static {
    /// f32 vector.
    type F: Copy;
    /// i32 vector.
    type I: Copy;
    /// Mask vector, the result of comparisons.
    type M: Copy;

    /// Lanes in a vector.
    const LANES: usize;

    /// The token inside `level`, if it is of this instruction set.
    fn of(level: Level) -> Option<Self>;

    /// Runs `work` compiled for this instruction set.
    #[inline(always)]
    fn dispatch<W: Vectorize>(self, work: W) -> W::Output {
        work.run(self)
    }

    /// All lanes `x`.
    fn splat(self, x: f32) -> Self::F;
    /// Loads [`LANES`](Simd::LANES) values.
    ///
    /// # Safety
    /// `p` must be valid for reads of `LANES` values. No alignment is needed.
    unsafe fn load(self, p: *const f32) -> Self::F;
    /// Stores [`LANES`](Simd::LANES) values.
    ///
    /// # Safety
    /// `p` must be valid for writes of `LANES` values. No alignment is needed.
    unsafe fn store(self, p: *mut f32, v: Self::F);
    /// Loads `n < LANES` values into the first lanes; the other lanes are 0. Nothing beyond is touched.
    ///
    /// # Safety
    /// `p` must be valid for reads of `n` values, and `n < LANES`.
    #[inline(always)]
    unsafe fn load_n(self, p: *const f32, n: usize) -> Self::F {
        let mut lanes = [0.0; 16];
        // SAFETY: `n < LANES <= 16`, and the caller promises `n` readable values.
        unsafe {
            for (i, lane) in lanes.iter_mut().enumerate().take(n) {
                *lane = *p.add(i);
            }
            self.load(lanes.as_ptr())
        }
    }
    /// Stores the first `n < LANES` lanes. Nothing beyond is touched.
    ///
    /// # Safety
    /// `p` must be valid for writes of `n` values, and `n < LANES`.
    #[inline(always)]
    unsafe fn store_n(self, p: *mut f32, v: Self::F, n: usize) {
        let mut lanes = [0.0; 16];
        // SAFETY: `LANES <= 16`, and the caller promises `n < LANES` writable values.
        unsafe {
            self.store(lanes.as_mut_ptr(), v);
            for (i, lane) in lanes.iter().enumerate().take(n) {
                *p.add(i) = *lane;
            }
        }
    }
    /// Asks for the cache line at `p` to be brought into the second-level cache. Nothing else happens, also where `p`
    /// points to no memory.
    #[inline(always)]
    fn prefetch(self, _p: *const u8) {}
    /// Loads [`LANES`](Simd::LANES) bytes, zero-extended to 32 bits.
    ///
    /// # Safety
    /// `p` must be valid for reads of `LANES` bytes.
    unsafe fn load_u8(self, p: *const u8) -> Self::I;
    /// Stores [`LANES`](Simd::LANES) bytes: the lanes clamped to 0…255.
    ///
    /// # Safety
    /// `p` must be valid for writes of `LANES` bytes.
    unsafe fn store_u8(self, p: *mut u8, v: Self::I);
    /// Loads [`LANES`](Simd::LANES) `u16`, zero-extended to 32 bits.
    ///
    /// # Safety
    /// `p` must be valid for reads of `LANES` values.
    unsafe fn load_u16(self, p: *const u16) -> Self::I;
    /// Loads 2 · [`LANES`](Simd::LANES) bytes, sign-extended to 16 bits: lane `i` holds the pair `p[2i]`, `p[2i + 1]`, the first
    /// in its lower half.
    ///
    /// # Safety
    /// `p` must be valid for reads of 2 · `LANES` bytes.
    unsafe fn load_i8_pairs(self, p: *const i8) -> Self::I;
    /// Loads [`LANES`](Simd::LANES) IEEE 754 binary16 values and widens them, exactly. NaN keeps its sign and
    /// payload and becomes quiet.
    ///
    /// # Safety
    /// `p` must be valid for reads of `LANES` values.
    #[inline(always)]
    unsafe fn load_f16(self, p: *const u16) -> Self::F {
        // Exponent and mantissa are shifted into place and the bias of the exponent is corrected: by an addition for normal
        // numbers, twice for infinity and NaN. A subnormal number becomes the mantissa of one with the exponent −14, from
        // which 2⁻¹⁴ is taken: no intermediate is subnormal, so that none is flushed to zero.
        // SAFETY: forwarded to the caller.
        let h = unsafe { self.load_u16(p) };
        let magnitude = self.i_shl::<13>(self.i_and(h, self.i_splat(0x7fff)));
        let sign = self.i_shl::<16>(self.i_and(h, self.i_splat(0x8000)));
        let exponent = |n: i32| self.i_splat(n << 23);
        let normal = self.i_add(magnitude, exponent(127 - 15));
        let least = self.splat(f32::from_bits((127 - 14) << 23));
        let subnormal = self.sub(self.as_f32(self.i_add(normal, exponent(1))), least);
        let value = self.as_f32(normal);
        let value = self.select(self.lt(value, least), subnormal, value);
        let greatest = self.splat(f32::from_bits((127 + 16) << 23));
        let special = self.i_add(normal, exponent(127 - 15));
        let quiet = self.as_f32(self.i_or(special, self.i_splat(1 << 22)));
        let special = self.select(self.lt(greatest, self.as_f32(normal)), quiet, self.as_f32(special));
        let value = self.select(self.lt(self.as_f32(normal), greatest), value, special);
        self.as_f32(self.i_or(self.as_i32(value), sign))
    }
    /// Loads [`LANES`](Simd::LANES) bfloat16 values and widens them, exactly; no bit of a NaN changes.
    ///
    /// # Safety
    /// `p` must be valid for reads of `LANES` values.
    #[inline(always)]
    unsafe fn load_bf16(self, p: *const u16) -> Self::F {
        // SAFETY: forwarded to the caller.
        self.as_f32(self.i_shl::<16>(unsafe { self.load_u16(p) }))
    }

    /// `a + b`.
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a - b`.
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b`.
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a / b`.
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`, rounded once where the instruction set has a fused multiply-add.
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The smaller of `a` and `b`; `b` if either is NaN.
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// The larger of `a` and `b`; `b` if either is NaN.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// `√a`.
    fn sqrt(self, a: Self::F) -> Self::F;
    /// Rounds to the nearest integer, ties to even, for `|a| < 2³¹`; a zero may have either sign.
    fn round(self, a: Self::F) -> Self::F;
    /// `|a|`.
    #[inline(always)]
    fn abs(self, a: Self::F) -> Self::F {
        self.as_f32(self.i_and(self.as_i32(a), self.i_splat(0x7fff_ffff)))
    }
    /// `a` with the sign of `sign`, for `a >= 0`.
    #[inline(always)]
    fn with_sign_of(self, a: Self::F, sign: Self::F) -> Self::F {
        let sign = self.i_and(self.as_i32(sign), self.i_splat(i32::MIN));
        self.as_f32(self.i_or(self.as_i32(a), sign))
    }
    /// `a · 2ⁿ` for integer-valued `n` in −126…254, in two steps since 2¹²⁸ is no f32.
    #[inline(always)]
    fn ldexp(self, a: Self::F, n: Self::F) -> Self::F {
        let n = self.to_i32(n);
        let half = self.i_sar::<1>(n);
        let bias = self.i_splat(127);
        let low = self.as_f32(self.i_shl::<23>(self.i_add(half, bias)));
        let high = self.as_f32(self.i_shl::<23>(self.i_add(self.i_sub(n, half), bias)));
        self.mul(self.mul(a, low), high)
    }

    /// Lane-wise `a < b`; false where either is NaN.
    fn lt(self, a: Self::F, b: Self::F) -> Self::M;
    /// `if_true` where the mask is set, `if_false` elsewhere.
    fn select(self, mask: Self::M, if_true: Self::F, if_false: Self::F) -> Self::F;
    /// The mask as an integer: bit `i` is set where lane `i` is.
    fn bits(self, mask: Self::M) -> u32;

    /// `a₀ b₀ a₁ b₁ …` in two vectors.
    fn zip(self, a: Self::F, b: Self::F) -> (Self::F, Self::F);

    /// The bits of `a`, unchanged.
    fn as_i32(self, a: Self::F) -> Self::I;
    /// The f32 with the bits of `a`.
    fn as_f32(self, a: Self::I) -> Self::F;
    /// Rounds to i32, ties to even, for `|a| < 2³¹`.
    fn to_i32(self, a: Self::F) -> Self::I;
    /// Each lane as f32, rounded to nearest.
    fn to_f32(self, a: Self::I) -> Self::F;
    /// The sum of two products in each lane: of the lower and of the upper 16 bits of `a` and `b`, as signed numbers. No
    /// product is of twice −2¹⁵.
    fn pair_dot(self, a: Self::I, b: Self::I) -> Self::I;
    /// All lanes `x`.
    fn i_splat(self, x: i32) -> Self::I;
    /// `a + b`, wrapping.
    fn i_add(self, a: Self::I, b: Self::I) -> Self::I;
    /// `a - b`, wrapping.
    fn i_sub(self, a: Self::I, b: Self::I) -> Self::I;
    /// `a * b`, wrapping.
    fn i_mul(self, a: Self::I, b: Self::I) -> Self::I;
    /// Bitwise and.
    fn i_and(self, a: Self::I, b: Self::I) -> Self::I;
    /// Bitwise or.
    fn i_or(self, a: Self::I, b: Self::I) -> Self::I;
    /// `a << N`.
    fn i_shl<const N: i32>(self, a: Self::I) -> Self::I;
    /// `a >> N`, copies of the sign shifted in.
    fn i_sar<const N: i32>(self, a: Self::I) -> Self::I;

    /// Sum of all lanes, in a fixed order.
    fn reduce_add(self, a: Self::F) -> f32;
    /// Largest lane.
    fn reduce_max(self, a: Self::F) -> f32;
}

/// A computation to run at a [`Level`]: the generic closure that Rust lacks.
pub trait Vectorize {
    /// What [`run`](Vectorize::run) returns.
    type Output;
    /// The computation. Implementations are `#[inline(always)]`, so that they compile inside the dispatcher.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// An instruction set that this CPU is known to have.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Level {
    /// The target's baseline, through the `wide` crate.
    Portable(Portable),
    /// AVX2 with FMA, F16C and POPCNT.
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    Avx2(Avx2),
    /// AVX-512 F, VL, BW and DQ.
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    Avx512(Avx512),
    /// Advanced SIMD of AArch64.
    #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
    Neon(Neon),
    /// WebAssembly's 128-bit SIMD.
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    Simd128(Simd128),
}

impl Level {
    /// The best level of this CPU.
    pub fn detect() -> Self {
        Self::available().last().unwrap_or(Self::Portable(Portable))
    }

    /// Every level of this CPU, from the slowest to the fastest.
    pub fn available() -> impl Iterator<Item = Self> {
        let levels = [
            Some(Self::Portable(Portable)),
            #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
            Avx2::new().map(Self::Avx2),
            #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
            Avx512::new().map(Self::Avx512),
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Some(Self::Neon(Neon::new())),
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Some(Self::Simd128(Simd128::new())),
        ];
        levels.into_iter().flatten()
    }

    /// The level called `name`, if this CPU has it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::available().find(|level| level.name() == name)
    }

    /// The level's name: `portable`, `avx2`, `avx512`, `neon` or `simd128`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable(_) => "portable",
            #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
            Self::Avx2(_) => "avx2",
            #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
            Self::Avx512(_) => "avx512",
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Self::Neon(_) => "neon",
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Self::Simd128(_) => "simd128",
        }
    }

    /// f32 lanes of a vector at this level.
    pub fn lanes(self) -> usize {
        match self {
            Self::Portable(_) => Portable::LANES,
            #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
            Self::Avx2(_) => Avx2::LANES,
            #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
            Self::Avx512(_) => Avx512::LANES,
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Self::Neon(_) => Neon::LANES,
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Self::Simd128(_) => Simd128::LANES,
        }
    }

    /// Runs `work` compiled for this level.
    #[inline]
    pub fn dispatch<W: Vectorize>(self, work: W) -> W::Output {
        match self {
            Self::Portable(simd) => simd.dispatch(work),
            #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
            Self::Avx2(simd) => simd.dispatch(work),
            #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
            Self::Avx512(simd) => simd.dispatch(work),
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Self::Neon(simd) => simd.dispatch(work),
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Self::Simd128(simd) => simd.dispatch(work),
        }
    }
}
