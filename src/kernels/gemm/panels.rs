//! Right-hand sides of products between activations: always f32.

use crate::error::Result;
use crate::exec::{AlignedVec, try_zeroed};
use crate::kernels::len::len_of;
use crate::simd::Level;

use super::tile_f32::F32Kernel;

/// A matrix `[rows, cols]` as panels `[rows / nr][cols][nr]` of a level's f32 tiles, rows beyond the last zero.
///
/// This type, and not [`PackedWeights`](super::PackedWeights), is what attention multiplies its queries with, so that
/// weights of another format cannot get there.
#[derive(Clone)]
pub struct PackedPanels {
    rows: usize,
    cols: usize,
    level: Level,
    nr: usize,
    panels: AlignedVec,
}

impl PackedPanels {
    /// Packs a matrix whose rows are produced one at a time by `fill(row, out)`.
    ///
    /// # Errors
    /// `OutOfMemory`.
    ///
    /// # Panics
    /// If `rows` or `cols` is 0.
    pub fn pack_with(
        level: Level,
        rows: usize,
        cols: usize,
        mut fill: impl FnMut(usize, &mut [f32]),
    ) -> Result<Self> {
        assert!(rows > 0 && cols > 0, "packing an empty matrix");
        let nr = F32Kernel::of(level).nr;
        let mut panels = AlignedVec::try_zeroed(len_of([rows.div_ceil(nr), nr, cols]))?;
        let mut values = try_zeroed(cols)?;
        for row in 0..rows {
            fill(row, &mut values);
            let panel = &mut panels[row / nr * nr * cols..][..nr * cols];
            panel[row % nr..].iter_mut().step_by(nr).zip(&values).for_each(|(to, from)| *to = *from);
        }
        Ok(Self { rows, cols, level, nr, panels })
    }

    /// Rows, padded to whole panels.
    pub fn padded_rows(&self) -> usize {
        self.rows.next_multiple_of(self.nr)
    }

    /// Length of a row.
    pub fn cols(&self) -> usize {
        self.cols
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
        self.panels.chunks_exact(self.nr * self.cols).take(self.rows.div_ceil(self.nr))
    }
}

impl core::fmt::Debug for PackedPanels {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "PackedPanels[{}, {}] {}", self.rows, self.cols, self.level.name())
    }
}
