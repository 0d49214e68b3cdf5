//! Whether values are numbers. A pass over memory that is in the cache anyway; the loops are such that compilers vectorise them.

use core::fmt::Display;

use crate::error::{Result, err};
use crate::exec::Cx;

/// Whether no value is NaN or infinite.
pub fn is_finite(values: &[f32]) -> bool {
    // Exponents of ones alone carry into the sign when 1 is added to them.
    values.iter().fold(0, |carry, x| carry | ((x.to_bits() & 0x7fff_ffff) + 0x0080_0000)) >> 31 == 0
}

/// The same of values of 16 bits: of bfloat16, or, with `F16`, of IEEE 754 binary16.
pub fn is_finite_16<const F16: bool>(values: &[u16]) -> bool {
    let one = if F16 { 0x0400 } else { 0x0080 };
    values.iter().fold(0, |carry, x| carry | ((x & 0x7fff) + one)) >> 15 == 0
}

/// Refuses results that are not finite, unless the context's [limits](crate::exec::Limits::allow_non_finite) allow them.
///
/// # Errors
/// `NonFinite`, naming them as `what`.
pub fn check(cx: &Cx, values: &[f32], what: impl Display) -> Result<()> {
    refuse_unless(cx.limits().allow_non_finite || is_finite(values), what)
}

/// [`check`] of bfloat16.
///
/// # Errors
/// As [`check`].
pub fn check_bf16(cx: &Cx, values: &[u16], what: impl Display) -> Result<()> {
    refuse_unless(cx.limits().allow_non_finite || is_finite_16::<false>(values), what)
}

fn refuse_unless(is_usable: bool, what: impl Display) -> Result<()> {
    if is_usable {
        return Ok(());
    }
    Err(err!(
        NonFinite,
        "{what}: values that are not finite (NaN or infinity); the context's limit allow_non_finite lets them pass"
    ))
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use half::{bf16, f16};

    use super::*;
    use crate::ErrorCode;
    use crate::exec::Limits;
    use crate::simd::Level;

    #[test]
    fn every_place_counts() {
        for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::from_bits(0x7f80_0001)] {
            for len in [1, 7, 64, 100] {
                for at in 0..len {
                    let mut values = vec![f32::MAX; len];
                    values[at / 2] = f32::MIN;
                    assert!(is_finite(&values));
                    values[at] = bad;
                    assert!(!is_finite(&values), "{bad} at {at} of {len}");
                }
            }
        }
        assert!(is_finite(&[]) && is_finite(&[0.0, -0.0, f32::MIN_POSITIVE, 1e-45]));
    }

    #[test]
    fn every_pattern_of_16_bits() {
        for bits in 0..=u16::MAX {
            assert_eq!(is_finite_16::<true>(&[0, bits]), f16::from_bits(bits).is_finite(), "{bits:#x}");
            assert_eq!(is_finite_16::<false>(&[0, bits]), bf16::from_bits(bits).is_finite(), "{bits:#x}");
        }
    }

    #[test]
    fn a_context_may_allow_them() {
        let strict = Cx::serial(Level::detect());
        check(&strict, &[1.0], "x").unwrap();
        check_bf16(&strict, &[0x3f80], "x").unwrap();
        for error in [check(&strict, &[f32::NAN], "x"), check_bf16(&strict, &[0x7f80], "x")] {
            let error = error.unwrap_err();
            assert_eq!(error.code(), ErrorCode::NonFinite);
            assert!(error.message().starts_with("x: values that are not finite"), "{error}");
        }
        let lenient = strict.with_limits(Limits::default().with_allow_non_finite(true));
        check(&lenient, &[f32::NAN], "x").unwrap();
        check_bf16(&lenient, &[0x7f80], "x").unwrap();
    }
}
