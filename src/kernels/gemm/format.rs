//! What weights are stored as.

use crate::exec::Cx;
use crate::simd::{Extensions, Level};

/// Storage format of packed weights, and the arithmetic that goes with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WeightFormat {
    /// 32-bit floats: results equal the reference implementations'.
    #[default]
    F32,
    /// IEEE 754 binary16, widened to f32 when a panel is read.
    F16,
    /// bfloat16. Activations are rounded to it, too; sums are f32. So are queries, keys, values and weights of attention where
    /// the CPU multiplies bfloat16, in this format, in `Int8` and in `Q4`.
    Bf16,
    /// 8-bit integers with a scale for each output. Activations become 8-bit integers row by row, with a scale and a zero
    /// point for each; sums are exact.
    Int8,
    /// 4-bit integers with a scale and a least value for each 32 inputs of an output, widened to f32 when a panel is read.
    Q4,
}

impl WeightFormat {
    /// All formats, from the largest to the smallest.
    pub const ALL: [Self; 5] = [Self::F32, Self::F16, Self::Bf16, Self::Int8, Self::Q4];

    /// Whether what a model computes in this format may be rounded to bfloat16 elsewhere, too: its own error is larger.
    pub(crate) fn permits_bf16(self) -> bool {
        matches!(self, Self::Bf16 | Self::Int8 | Self::Q4)
    }

    /// `f32`, `f16`, `bf16`, `int8` or `q4`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
            Self::Q4 => "q4",
        }
    }

    /// The format called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}

/// For which kernels weights are packed.
#[derive(Clone, Copy, Debug)]
pub struct Packing {
    /// Instruction set of the kernels.
    pub level: Level,
    /// Instructions beyond it.
    pub extensions: Extensions,
    /// Storage format of the weights.
    pub format: WeightFormat,
}

impl Packing {
    /// Weights of `format` for the kernels of `cx`.
    pub fn new(cx: &Cx, format: WeightFormat) -> Self {
        Self { level: cx.level(), extensions: cx.extensions(), format }
    }
}

impl From<Level> for Packing {
    /// f32.
    fn from(level: Level) -> Self {
        Self { level, extensions: Extensions::NONE, format: WeightFormat::F32 }
    }
}
