//! From a source's bytes to f32, piece by piece.

use bytemuck::{Pod, cast_slice_mut};
use safetensors::Dtype;

use super::header::Entry;
use super::loading::Progress;
use super::source::Source;
use super::strided;
use crate::error::{Result, err};
use crate::exec::try_zeroed;
use crate::kernels::convert::{bf16_to_f32, f16_to_f32};
use crate::simd::Level;

/// Elements converted at a time: 128 kB of 16-bit values, which stay in the L2 cache.
const PIECE: usize = 64 << 10;

/// Fills `out` with the values of the tensor `entry` of `source`, rounding F64. The bytes need no alignment.
///
/// # Errors
/// `TensorDtype` unless the type is F32, F16, BF16 or F64; the source's errors, and those of `progress`.
pub(super) fn to_f32(
    level: Level,
    source: &Source<'_>,
    entry: &Entry,
    out: &mut [f32],
    progress: Progress<'_>,
) -> Result<()> {
    let Entry { dtype, shape, begin, strides, .. } = entry;
    let Some(strides) = strides else {
        return dense(level, *dtype, source, *begin, out, progress);
    };
    let bytes = dtype.bitsize() as u64 / 8;
    strided::gather(shape, strides, PIECE, out, |at, values| {
        dense(level, *dtype, source, begin + at * bytes, values, progress)
    })
}

/// Fills `out` with the values of type `dtype` at byte `at` of `source`.
fn dense(
    level: Level,
    dtype: Dtype,
    source: &Source<'_>,
    at: u64,
    out: &mut [f32],
    progress: Progress<'_>,
) -> Result<()> {
    match dtype {
        Dtype::F32 => {
            source.read_pieces(at, cast_slice_mut(out), progress)?;
            for x in out {
                *x = f32::from_bits(u32::from_le(x.to_bits()));
            }
            Ok(())
        }
        Dtype::F16 => pieces(source, at, out, progress, |src: &mut [u16], dst| {
            src.iter_mut().for_each(|x| *x = u16::from_le(*x));
            f16_to_f32(level, src, dst);
        }),
        Dtype::BF16 => pieces(source, at, out, progress, |src: &mut [u16], dst| {
            src.iter_mut().for_each(|x| *x = u16::from_le(*x));
            bf16_to_f32(level, src, dst);
        }),
        Dtype::F64 => pieces(source, at, out, progress, |src: &mut [u64], dst| {
            for (x, y) in src.iter().zip(dst) {
                *y = f64::from_bits(u64::from_le(*x)) as f32;
            }
        }),
        _ => Err(err!(TensorDtype, "expected F32, F16, BF16 or F64, found {dtype}")),
    }
}

/// Converts values of another width through a staging buffer that bounds the memory and provides the alignment.
fn pieces<T: Pod + Default>(
    source: &Source<'_>,
    at: u64,
    out: &mut [f32],
    progress: Progress<'_>,
    convert: impl Fn(&mut [T], &mut [f32]),
) -> Result<()> {
    let mut staging = try_zeroed::<T>(PIECE.min(out.len()))?;
    for (i, piece) in out.chunks_mut(PIECE).enumerate() {
        let staged = &mut staging[..piece.len()];
        source.read(at + (i * PIECE * size_of::<T>()) as u64, cast_slice_mut(staged))?;
        convert(staged, piece);
        progress(size_of_val(staged))?;
    }
    Ok(())
}
