//! The target's baseline instruction set, through the `wide` crate: 8 lanes.

use bytemuck::cast;
use wide::{f32x8, i16x16, i32x8};

use super::{Level, Simd};

/// Token of the portable level; always available.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

// SAFETY: 8 lanes; arrays of 8 elements are read and written.
unsafe impl Simd for Portable {
    type F = f32x8;
    type I = i32x8;
    type M = f32x8;

    const LANES: usize = 8;

    #[inline(always)]
    fn of(level: Level) -> Option<Self> {
        match level {
            Level::Portable(simd) => Some(simd),
            #[allow(unreachable_patterns, reason = "on some targets this is the only level")]
            _ => None,
        }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> f32x8 {
        f32x8::splat(x)
    }
    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> f32x8 {
        // SAFETY: the caller promises 8 readable values; `[f32; 8]` has the alignment of f32.
        f32x8::new(unsafe { p.cast::<[f32; 8]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: f32x8) {
        // SAFETY: the caller promises 8 writable values.
        unsafe { p.cast::<[f32; 8]>().write_unaligned(v.to_array()) }
    }
    #[inline(always)]
    unsafe fn load_u8(self, p: *const u8) -> i32x8 {
        // SAFETY: the caller promises 8 readable bytes.
        i32x8::new(unsafe { p.cast::<[u8; 8]>().read() }.map(i32::from))
    }
    #[inline(always)]
    unsafe fn store_u8(self, p: *mut u8, v: i32x8) {
        // SAFETY: the caller promises 8 writable bytes.
        unsafe { p.cast::<[u8; 8]>().write(v.to_array().map(|x| x.clamp(0, 255) as u8)) }
    }
    #[inline(always)]
    unsafe fn load_i8_pairs(self, p: *const i8) -> i32x8 {
        // SAFETY: the caller promises 16 readable bytes.
        cast(unsafe { p.cast::<[i8; 16]>().read() }.map(i16::from))
    }
    #[inline(always)]
    unsafe fn load_u16(self, p: *const u16) -> i32x8 {
        // SAFETY: the caller promises 8 readable values.
        i32x8::new(unsafe { p.cast::<[u16; 8]>().read_unaligned() }.map(i32::from))
    }
    #[inline(always)]
    fn add(self, a: f32x8, b: f32x8) -> f32x8 {
        a + b
    }
    #[inline(always)]
    fn sub(self, a: f32x8, b: f32x8) -> f32x8 {
        a - b
    }
    #[inline(always)]
    fn mul(self, a: f32x8, b: f32x8) -> f32x8 {
        a * b
    }
    #[inline(always)]
    fn div(self, a: f32x8, b: f32x8) -> f32x8 {
        a / b
    }
    #[inline(always)]
    fn fma(self, a: f32x8, b: f32x8, c: f32x8) -> f32x8 {
        a.mul_add(b, c)
    }
    #[inline(always)]
    fn min(self, a: f32x8, b: f32x8) -> f32x8 {
        self.select(self.lt(a, b), a, b)
    }
    #[inline(always)]
    fn max(self, a: f32x8, b: f32x8) -> f32x8 {
        self.select(self.lt(b, a), a, b)
    }
    #[inline(always)]
    fn sqrt(self, a: f32x8) -> f32x8 {
        a.sqrt()
    }
    #[inline(always)]
    fn round(self, a: f32x8) -> f32x8 {
        a.round_ties_even()
    }
    #[inline(always)]
    fn lt(self, a: f32x8, b: f32x8) -> f32x8 {
        a.simd_lt(b)
    }
    #[inline(always)]
    fn select(self, mask: f32x8, if_true: f32x8, if_false: f32x8) -> f32x8 {
        mask.bitselect(if_true, if_false)
    }
    #[inline(always)]
    fn bits(self, mask: f32x8) -> u32 {
        mask.to_bitmask()
    }
    #[inline(always)]
    fn zip(self, a: f32x8, b: f32x8) -> (f32x8, f32x8) {
        let ([a0, a1, a2, a3, a4, a5, a6, a7], [b0, b1, b2, b3, b4, b5, b6, b7]) =
            (a.to_array(), b.to_array());
        (f32x8::new([a0, b0, a1, b1, a2, b2, a3, b3]), f32x8::new([a4, b4, a5, b5, a6, b6, a7, b7]))
    }
    #[inline(always)]
    fn as_i32(self, a: f32x8) -> i32x8 {
        cast(a)
    }
    #[inline(always)]
    fn as_f32(self, a: i32x8) -> f32x8 {
        cast(a)
    }
    #[inline(always)]
    fn to_i32(self, a: f32x8) -> i32x8 {
        a.fast_round_int()
    }
    #[inline(always)]
    fn to_f32(self, a: i32x8) -> f32x8 {
        f32x8::from_i32x8(a)
    }
    #[inline(always)]
    fn pair_dot(self, a: i32x8, b: i32x8) -> i32x8 {
        let (a, b): (i16x16, i16x16) = (cast(a), cast(b));
        a.dot(b)
    }
    #[inline(always)]
    fn i_splat(self, x: i32) -> i32x8 {
        i32x8::splat(x)
    }
    #[inline(always)]
    fn i_add(self, a: i32x8, b: i32x8) -> i32x8 {
        a + b
    }
    #[inline(always)]
    fn i_sub(self, a: i32x8, b: i32x8) -> i32x8 {
        a - b
    }
    #[inline(always)]
    fn i_mul(self, a: i32x8, b: i32x8) -> i32x8 {
        a * b
    }
    #[inline(always)]
    fn i_and(self, a: i32x8, b: i32x8) -> i32x8 {
        a & b
    }
    #[inline(always)]
    fn i_or(self, a: i32x8, b: i32x8) -> i32x8 {
        a | b
    }
    #[inline(always)]
    fn i_shl<const N: i32>(self, a: i32x8) -> i32x8 {
        a << N
    }
    #[inline(always)]
    fn i_sar<const N: i32>(self, a: i32x8) -> i32x8 {
        a >> N
    }
    #[inline(always)]
    fn reduce_add(self, a: f32x8) -> f32 {
        let [a0, a1, a2, a3, a4, a5, a6, a7] = a.to_array();
        ((a0 + a4) + (a2 + a6)) + ((a1 + a5) + (a3 + a7))
    }
    #[inline(always)]
    fn reduce_max(self, a: f32x8) -> f32 {
        a.to_array().into_iter().fold(f32::NEG_INFINITY, |m, x| if x > m { x } else { m })
    }
}
