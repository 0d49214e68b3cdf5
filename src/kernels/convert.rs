//! Widening of 16-bit floating-point formats to f32.
//!
//! Both conversions are exact: every finite value and infinity of either format is an f32. NaN keeps its sign and
//! payload; [`f16_to_f32`] also sets the quiet bit, as IEEE 754 asks of a conversion, whereas [`bf16_to_f32`] only
//! moves bits and leaves a signalling NaN signalling.

use crate::simd::{Level, Simd, Vectorize};

/// `out[i] = src[i]`, from IEEE 754 binary16.
///
/// # Panics
/// If the lengths differ.
pub fn f16_to_f32(level: Level, src: &[u16], out: &mut [f32]) {
    assert_eq!(src.len(), out.len());
    level.dispatch(Widen::<true> { src, out });
}

/// `out[i] = src[i]`, from bfloat16 (the upper half of an f32).
///
/// # Panics
/// If the lengths differ.
pub fn bf16_to_f32(level: Level, src: &[u16], out: &mut [f32]) {
    assert_eq!(src.len(), out.len());
    level.dispatch(Widen::<false> { src, out });
}

/// `out[i] = src[i]`, to bfloat16: rounded to nearest, ties to even. NaN becomes quiet.
///
/// # Panics
/// If the lengths differ.
pub fn f32_to_bf16(src: &[f32], out: &mut [u16]) {
    assert_eq!(src.len(), out.len());
    for (to, from) in out.iter_mut().zip(src) {
        let bits = from.to_bits();
        // Half a unit of what is kept, less one bit if that is even; carries move into the exponent as they should.
        let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
        *to = ((if from.is_nan() { bits | 0x40_0000 } else { rounded }) >> 16) as u16;
    }
}

struct Widen<'a, const F16: bool> {
    src: &'a [u16],
    out: &'a mut [f32],
}

impl<const F16: bool> Vectorize for Widen<'_, F16> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut src = self.src.chunks_exact(S::LANES);
        let mut out = self.out.chunks_exact_mut(S::LANES);
        for (src, out) in src.by_ref().zip(out.by_ref()) {
            // SAFETY: both chunks have `LANES` elements.
            unsafe { s.store(out.as_mut_ptr(), load::<S, F16>(s, src.as_ptr())) };
        }
        let (src, out) = (src.remainder(), out.into_remainder());
        let mut tail = [0; 16];
        tail[..src.len()].copy_from_slice(src);
        // SAFETY: `LANES <= 16` values are read; `out` has fewer than `LANES` elements, all of them written.
        unsafe { s.store_n(out.as_mut_ptr(), load::<S, F16>(s, tail.as_ptr()), out.len()) };
    }
}

/// # Safety
/// `src` must be valid for reads of `LANES` values.
#[inline(always)]
unsafe fn load<S: Simd, const F16: bool>(s: S, src: *const u16) -> S::F {
    // SAFETY: forwarded to the caller.
    unsafe { if F16 { s.load_f16(src) } else { s.load_bf16(src) } }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use half::{bf16, f16};

    use super::*;
    use crate::exec::FloatEnv;
    use crate::kernels::testing::{Guarded, Place, lengths};

    type Convert = fn(Level, &[u16], &mut [f32]);
    type Oracle = fn(u16) -> f32;

    /// Not `half::f16::to_f32`, whose treatment of NaN depends on the CPU.
    fn f16_oracle(bits: u16) -> f32 {
        let f = f16::from_bits(bits);
        if f.is_nan() {
            let sign = u32::from(bits & 0x8000) << 16;
            let payload = u32::from(bits & 0x3ff) << 13;
            return f32::from_bits(sign | 0x7fc0_0000 | payload);
        }
        f.to_f64() as f32
    }

    /// Not `half::bf16::to_f32`, which sets the quiet bit.
    fn bf16_oracle(bits: u16) -> f32 {
        let b = bf16::from_bits(bits);
        if b.is_nan() { f32::from_bits(u32::from(bits) << 16) } else { b.to_f32() }
    }

    const CONVERSIONS: [(Convert, Oracle); 2] = [(f16_to_f32, f16_oracle), (bf16_to_f32, bf16_oracle)];

    fn bits(values: impl IntoIterator<Item = f32>) -> Vec<u32> {
        values.into_iter().map(f32::to_bits).collect()
    }

    /// Subnormal halves too, while subnormal floats count as zero.
    #[test]
    fn every_pattern_within_a_pass() {
        let _env = FloatEnv::enter();
        every_pattern();
    }

    #[test]
    fn every_pattern() {
        let patterns: Vec<u16> = (0..=u16::MAX).collect();
        for level in Level::available() {
            for (convert, oracle) in CONVERSIONS {
                let mut out = alloc::vec![0.0; patterns.len()];
                convert(level, &patterns, &mut out);
                let expected = bits(patterns.iter().map(|&p| oracle(p)));
                for (i, (got, expected)) in bits(out).into_iter().zip(expected).enumerate() {
                    assert_eq!(got, expected, "{}: pattern {i:#06x}", level.name());
                }
            }
        }
    }

    #[test]
    fn rounds_to_nearest_ties_to_even() {
        // Every pattern, just below, at and just above the middle to the next, and the largest finite numbers.
        let near = |p: u16| [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff].map(|low| u32::from(p) << 16 | low);
        let src: Vec<f32> = (0..=u16::MAX).flat_map(near).map(f32::from_bits).collect();
        let mut out = alloc::vec![0; src.len()];
        f32_to_bf16(&src, &mut out);
        for (&from, got) in src.iter().zip(out) {
            let expected = bf16::from_f32(from).to_bits();
            assert_eq!(got, expected, "{from:e} {:#x}", from.to_bits());
        }
    }

    #[test]
    fn every_tail() {
        for level in Level::available() {
            for len in lengths(level) {
                let src: Vec<u16> = (0..len).map(|i| (i * 2731 + 0x1c3) as u16).collect();
                for (convert, oracle) in CONVERSIONS {
                    for place in Place::ALL {
                        let mut out = Guarded::unwritten(len, place);
                        convert(level, &Guarded::new(&src, place), &mut out);
                        let expected = bits(src.iter().map(|&p| oracle(p)));
                        assert_eq!(bits(out.iter().copied()), expected, "{} {len} {place:?}", level.name());
                    }
                }
            }
        }
    }
}
