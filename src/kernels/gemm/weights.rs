//! Weights in the layout and format that their kernel reads.

use crate::error::Result;
use crate::exec::{AlignedVec, Lines, try_zeroed};
use crate::kernels::len::len_of;
use crate::simd::Level;

use super::format::{Packing, WeightFormat};
use super::kernel::WeightKernel;

/// A weight matrix `[rows, cols]` (outputs, inputs), packed once for a kernel of a level and a format.
///
/// Panels hold `nr` rows interleaved, `[rows / nr][cols][nr]`; rows beyond the last are zero. Nothing but the kernel
/// knows what their bytes mean: products of activations have [`PackedPanels`](super::PackedPanels).
#[derive(Clone)]
pub struct PackedWeights {
    rows: usize,
    cols: usize,
    kernel: &'static WeightKernel,
    level: Level,
    /// The panels.
    panels: Lines,
    /// `[rows / nr][column_values][nr]`.
    columns: Lines,
}

impl PackedWeights {
    /// Packs row-major `weights` of shape `[rows, cols]`.
    ///
    /// # Errors
    /// `OutOfMemory`.
    ///
    /// # Panics
    /// If `weights` is not `rows * cols` long, or either is 0.
    pub fn pack(packing: impl Into<Packing>, rows: usize, cols: usize, weights: &[f32]) -> Result<Self> {
        assert_eq!(weights.len(), len_of([rows, cols]), "weights of shape [{rows}, {cols}]");
        Self::pack_with(packing, rows, cols, |row, out| out.copy_from_slice(&weights[row * cols..][..cols]))
    }

    /// Packs a matrix whose rows are produced one at a time by `fill(row, out)`, so that the whole need not exist
    /// in row-major order.
    ///
    /// # Errors
    /// `OutOfMemory`.
    ///
    /// # Panics
    /// If `rows` or `cols` is 0.
    pub fn pack_with(
        packing: impl Into<Packing>,
        rows: usize,
        cols: usize,
        mut fill: impl FnMut(usize, &mut [f32]),
    ) -> Result<Self> {
        let fill = |row: usize, out: &mut [f32]| {
            fill(row, out);
            Ok(())
        };
        Self::try_pack_with(packing, rows, cols, fill)
    }

    /// [`pack_with`](Self::pack_with), which ends where a row fails.
    ///
    /// # Errors
    /// Those of `fill`, `OutOfMemory`.
    ///
    /// # Panics
    /// If `rows` or `cols` is 0.
    pub fn try_pack_with(
        packing: impl Into<Packing>,
        rows: usize,
        cols: usize,
        fill: impl FnMut(usize, &mut [f32]) -> Result<()>,
    ) -> Result<Self> {
        let packing = packing.into();
        Self::pack_for(WeightKernel::of(packing), packing.level, rows, cols, fill)
    }

    /// The format.
    pub fn format(&self) -> WeightFormat {
        self.kernel.format
    }

    /// [`try_pack_with`](Self::try_pack_with) for a kernel.
    pub(super) fn pack_for(
        kernel: &'static WeightKernel,
        level: Level,
        rows: usize,
        cols: usize,
        mut fill: impl FnMut(usize, &mut [f32]) -> Result<()>,
    ) -> Result<Self> {
        assert!(rows > 0 && cols > 0, "packing an empty matrix");
        let nr = kernel.nr;
        let count = rows.div_ceil(nr);
        let (panel_bytes, column_values) = (kernel.panel_bytes(cols), nr * kernel.column_values);
        let mut panels = AlignedVec::try_zeroed(len_of([count, panel_bytes]).div_ceil(size_of::<f32>()))?;
        let mut columns = AlignedVec::try_zeroed(len_of([count, column_values]))?;
        let mut values = try_zeroed(len_of([nr, cols]))?;
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut panels);
        for (index, panel) in bytes.chunks_exact_mut(panel_bytes).take(count).enumerate() {
            let first = index * nr;
            let present = nr.min(rows - first);
            for (row, out) in values.chunks_exact_mut(cols).take(present).enumerate() {
                fill(first + row, out)?;
            }
            values[present * cols..].fill(0.0);
            (kernel.pack)(nr, &values, panel, &mut columns[index * column_values..][..column_values]);
        }
        Ok(Self { rows, cols, kernel, level, panels: panels.into(), columns: columns.into() })
    }

    /// The matrix that [`memory`](Self::memory) gives back, from panels and column values as they were kept.
    ///
    /// # Panics
    /// If they do not have the [lengths](Self::memory_len) of such a matrix.
    pub fn from_memory(packing: impl Into<Packing>, rows: usize, cols: usize, memory: [Lines; 2]) -> Self {
        let packing = packing.into();
        assert_eq!(
            memory.each_ref().map(|part| part.len()),
            Self::memory_len(packing, rows, cols),
            "memory of a matrix"
        );
        let [panels, columns] = memory;
        Self { rows, cols, kernel: WeightKernel::of(packing), level: packing.level, panels, columns }
    }

    /// The panels, and the values of their columns.
    pub fn memory(&self) -> [&Lines; 2] {
        [&self.panels, &self.columns]
    }

    /// How many f32 panels and column values take.
    pub fn memory_len(packing: impl Into<Packing>, rows: usize, cols: usize) -> [usize; 2] {
        let kernel = WeightKernel::of(packing.into());
        let count = rows.div_ceil(kernel.nr);
        let panels = len_of([count, kernel.panel_bytes(cols)]).div_ceil(size_of::<f32>());
        [panels, len_of([count, kernel.nr, kernel.column_values])].map(AlignedVec::padded)
    }

    /// Output features, `N`.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Input features, `K`.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The kernel that reads this layout.
    pub fn kernel(&self) -> &'static WeightKernel {
        self.kernel
    }

    /// The level it was packed for.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        size_of_val::<[f32]>(&self.panels) + size_of_val::<[f32]>(&self.columns)
    }

    /// How many panels there are.
    pub(super) fn panel_count(&self) -> usize {
        self.rows.div_ceil(self.kernel.nr)
    }

    /// Panel `index`.
    pub(super) fn panel(&self, index: usize) -> &[u8] {
        let len = self.kernel.panel_bytes(self.cols);
        &bytemuck::cast_slice(&self.panels)[index * len..][..len]
    }

    /// The values of the columns of panel `index`, `[column_values][nr]`.
    pub(super) fn column_values(&self, index: usize) -> &[f32] {
        let len = self.kernel.nr * self.kernel.column_values;
        &self.columns[index * len..][..len]
    }
}

impl core::fmt::Debug for PackedWeights {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "PackedWeights[{}, {}] {}", self.rows, self.cols, self.kernel.name)
    }
}
