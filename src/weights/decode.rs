//! From a source's bytes to f32, piece by piece.

use bytemuck::cast_slice_mut;
use safetensors::Dtype;

use super::source::Source;
use crate::error::{Result, err};
use crate::exec::try_zeroed;
use crate::kernels::convert::{bf16_to_f32, f16_to_f32};
use crate::simd::Level;

/// Elements converted at a time: 128 kB of 16-bit values, which stay in the L2 cache.
const PIECE: usize = 64 << 10;

/// Fills `out` with the values of type `dtype` at byte `at` of `source`. The bytes need no alignment.
///
/// # Errors
/// `TensorDtype` unless the type is F32, F16 or BF16; the source's errors.
pub(super) fn to_f32(
    level: Level,
    dtype: Dtype,
    source: &Source<'_>,
    at: u64,
    out: &mut [f32],
) -> Result<()> {
    match dtype {
        Dtype::F32 => {
            source.read(at, cast_slice_mut(out))?;
            for x in out {
                *x = f32::from_bits(u32::from_le(x.to_bits()));
            }
            Ok(())
        }
        Dtype::F16 => halves(source, at, out, |src, dst| f16_to_f32(level, src, dst)),
        Dtype::BF16 => halves(source, at, out, |src, dst| bf16_to_f32(level, src, dst)),
        _ => Err(err!(TensorDtype, "expected F32, F16 or BF16, found {dtype}")),
    }
}

/// Widens 16-bit values through a staging buffer that bounds the memory and provides the alignment.
fn halves(source: &Source<'_>, at: u64, out: &mut [f32], widen: impl Fn(&[u16], &mut [f32])) -> Result<()> {
    let mut staging = try_zeroed(PIECE.min(out.len()))?;
    for (i, piece) in out.chunks_mut(PIECE).enumerate() {
        let staged = &mut staging[..piece.len()];
        source.read(at + (i * PIECE * size_of::<u16>()) as u64, cast_slice_mut(staged))?;
        for x in &mut *staged {
            *x = u16::from_le(*x);
        }
        widen(staged, piece);
    }
    Ok(())
}
