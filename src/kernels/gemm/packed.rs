//! Weights in the layout that the tile kernels read.

use crate::exec::AlignedVec;
use crate::simd::Level;

use super::GemmKernel;

/// Storage format of packed weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// 32-bit floats.
    F32,
}

/// A weight matrix `[rows, cols]` (outputs, inputs), packed once for the kernel of a level.
///
/// Panels hold `nr` rows interleaved, `[rows / nr][cols][nr]`; rows beyond the last are zero.
#[derive(Clone)]
pub struct PackedMatrix {
    rows: usize,
    cols: usize,
    format: Format,
    kernel: &'static GemmKernel,
    level: Level,
    panels: AlignedVec,
}

impl PackedMatrix {
    /// Packs row-major `weights` of shape `[rows, cols]`.
    ///
    /// # Panics
    /// If `weights` is not `rows * cols` long, or either is 0.
    pub fn pack(level: Level, rows: usize, cols: usize, weights: &[f32]) -> Self {
        assert_eq!(weights.len(), rows * cols, "weights of shape [{rows}, {cols}]");
        Self::pack_with(level, rows, cols, |row, out| out.copy_from_slice(&weights[row * cols..][..cols]))
    }

    /// Packs a matrix whose rows are produced one at a time by `fill(row, out)`, so that the whole need not exist
    /// in row-major order.
    ///
    /// # Panics
    /// If `rows` or `cols` is 0.
    pub fn pack_with(
        level: Level,
        rows: usize,
        cols: usize,
        mut fill: impl FnMut(usize, &mut [f32]),
    ) -> Self {
        assert!(rows > 0 && cols > 0, "packing an empty matrix");
        let kernel = GemmKernel::f32(level);
        let nr = kernel.nr;
        let mut panels = AlignedVec::zeroed(Self::packed_len(level, rows, cols));
        let mut row_values = alloc::vec![0.0; cols];
        for row in 0..rows {
            fill(row, &mut row_values);
            let panel = &mut panels[row / nr * nr * cols..][..nr * cols];
            for (to, &from) in panel[row % nr..].iter_mut().step_by(nr).zip(&row_values) {
                *to = from;
            }
        }
        Self { rows, cols, format: Format::F32, kernel, level, panels }
    }

    /// How many f32 [`pack`](Self::pack) stores for a matrix `[rows, cols]` at `level`.
    pub fn packed_len(level: Level, rows: usize, cols: usize) -> usize {
        rows.next_multiple_of(GemmKernel::f32(level).nr) * cols
    }

    /// Output features, `N`.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Input features, `K`.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Storage format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The tile kernels that read this layout.
    pub fn kernel(&self) -> &'static GemmKernel {
        self.kernel
    }

    /// The level it was packed for.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        size_of_val::<[f32]>(&self.panels)
    }

    /// All panels, `[cols][nr]` each.
    pub(crate) fn panels(&self) -> impl Iterator<Item = &[f32]> {
        self.panels.chunks_exact(self.kernel.nr * self.cols).take(self.panel_count())
    }

    /// How many panels there are.
    pub(super) fn panel_count(&self) -> usize {
        self.rows.div_ceil(self.kernel.nr)
    }

    /// Panel `index`, `[cols][nr]`.
    pub(super) fn panel(&self, index: usize) -> &[f32] {
        let len = self.kernel.nr * self.cols;
        &self.panels[index * len..][..len]
    }
}

impl core::fmt::Debug for PackedMatrix {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "PackedMatrix[{}, {}] {:?} {}", self.rows, self.cols, self.format, self.kernel.name)
    }
}
