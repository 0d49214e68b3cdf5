//! `vitrum_weights`: what weights are kept as.

use crate::error::{Result, err};
use crate::kernels::gemm::WeightFormat;

/// What the weights of a model's towers or image encoder are kept as, and the arithmetic that goes with it: one of
/// `VITRUM_WEIGHTS_*`.
pub type vitrum_weights = i32;

/// The format that the files name if `vitrum quantize` wrote them, otherwise f32.
pub const VITRUM_WEIGHTS_OF_FILES: vitrum_weights = 0;
/// 32-bit floats: results equal the reference implementations'.
pub const VITRUM_WEIGHTS_F32: vitrum_weights = 1;
/// 16-bit floats (IEEE 754 binary16), half the memory; the arithmetic is that of f32.
pub const VITRUM_WEIGHTS_F16: vitrum_weights = 2;
/// bfloat16, half the memory; activations are rounded to it, sums are f32.
pub const VITRUM_WEIGHTS_BF16: vitrum_weights = 3;
/// 8-bit integers with a scale for each output, a quarter of the memory; activations become 8-bit integers row by row.
/// These products are the same on every CPU, bit by bit.
pub const VITRUM_WEIGHTS_INT8: vitrum_weights = 4;
/// 4-bit integers with a scale and a least value for each 32 inputs of an output, a sixth of the memory; the arithmetic is
/// that of f32.
pub const VITRUM_WEIGHTS_Q4: vitrum_weights = 5;

/// The format that the C value means; `None` for that of the files.
pub(super) fn weight_format(weights: vitrum_weights) -> Result<Option<WeightFormat>> {
    Ok(Some(match weights {
        VITRUM_WEIGHTS_OF_FILES => return Ok(None),
        VITRUM_WEIGHTS_F32 => WeightFormat::F32,
        VITRUM_WEIGHTS_F16 => WeightFormat::F16,
        VITRUM_WEIGHTS_BF16 => WeightFormat::Bf16,
        VITRUM_WEIGHTS_INT8 => WeightFormat::Int8,
        VITRUM_WEIGHTS_Q4 => WeightFormat::Q4,
        other => return Err(err!(InvalidArgument, "weights: {other} is none of VITRUM_WEIGHTS_*")),
    }))
}
