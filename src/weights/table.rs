//! A matrix whose rows are looked up.

use safetensors::Dtype;

use crate::error::Result;
use crate::exec::{AlignedVec, Lines};
use crate::kernels::convert::{bf16_to_f32, f16_to_f32};
use crate::kernels::finite::{is_finite, is_finite_16};
use crate::simd::Level;

/// A matrix `[rows, cols]` of which a call reads a few rows: token embeddings. It stays as the file has it, in 16 bits or 32,
/// and in place where weights may be used so.
#[derive(Clone, Debug)]
pub struct Table {
    rows: usize,
    cols: usize,
    lines: Lines,
    elements: Elements,
    level: Level,
}

/// What the lines hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Elements {
    F32,
    F16,
    Bf16,
}

impl Elements {
    /// Those of `dtype`, where they can be used as the file has them.
    pub(super) fn of(dtype: Dtype) -> Option<Self> {
        match dtype {
            _ if cfg!(target_endian = "big") => None,
            Dtype::F32 => Some(Self::F32),
            Dtype::F16 => Some(Self::F16),
            Dtype::BF16 => Some(Self::Bf16),
            _ => None,
        }
    }

    pub(super) fn bytes(self) -> usize {
        if self == Self::F32 { 4 } else { 2 }
    }

    /// Whether none of the values in `bytes`, which begin where memory is aligned for f32, is NaN or infinite.
    pub(super) fn are_finite(self, bytes: &[u8]) -> bool {
        match self {
            Self::F32 => is_finite(bytemuck::cast_slice(bytes)),
            Self::F16 => is_finite_16::<true>(bytemuck::cast_slice(bytes)),
            Self::Bf16 => is_finite_16::<false>(bytemuck::cast_slice(bytes)),
        }
    }
}

impl Table {
    /// # Panics
    /// If the lines are too few.
    pub(super) fn new(level: Level, [rows, cols]: [usize; 2], elements: Elements, lines: Lines) -> Self {
        assert!(size_of_val::<[f32]>(&lines) >= rows * cols * elements.bytes(), "a table of {rows} × {cols}");
        Self { rows, cols, lines, elements, level }
    }

    /// A table of f32.
    ///
    /// # Errors
    /// Those of `fill`, and `OutOfMemory`.
    pub(super) fn of_f32(
        level: Level,
        shape: [usize; 2],
        fill: impl FnOnce(&mut [f32]) -> Result<()>,
    ) -> Result<Self> {
        let len = shape[0] * shape[1];
        let mut values = AlignedVec::try_zeroed(len)?;
        fill(&mut values[..len])?;
        Ok(Self::new(level, shape, Elements::F32, values.into()))
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Writes row `index` to `out`.
    ///
    /// # Panics
    /// If there is no such row, or `out` does not have its length.
    pub fn read(&self, index: usize, out: &mut [f32]) {
        assert!(index < self.rows && out.len() == self.cols, "row {index} of {} × {}", self.rows, self.cols);
        let row = index * self.cols..(index + 1) * self.cols;
        let halves = || &bytemuck::cast_slice::<f32, u16>(&self.lines)[row.clone()];
        match self.elements {
            Elements::F32 => out.copy_from_slice(&self.lines[row]),
            Elements::F16 => f16_to_f32(self.level, halves(), out),
            Elements::Bf16 => bf16_to_f32(self.level, halves(), out),
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        size_of_val::<[f32]>(&self.lines)
    }
}
