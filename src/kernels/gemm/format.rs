//! What weights are stored as.

use crate::simd::Level;

/// Storage format of packed weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WeightFormat {
    /// 32-bit floats: results equal the reference implementations'.
    #[default]
    F32,
}

/// For which kernels weights are packed.
#[derive(Clone, Copy, Debug)]
pub struct Packing {
    /// Instruction set of the kernels.
    pub level: Level,
    /// Storage format of the weights.
    pub format: WeightFormat,
}

impl From<Level> for Packing {
    /// f32.
    fn from(level: Level) -> Self {
        Self { level, format: WeightFormat::F32 }
    }
}
