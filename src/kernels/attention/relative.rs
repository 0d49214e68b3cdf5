//! Decomposed relative positions, the bias of SAM's image encoder.

use crate::error::Result;
use crate::kernels::gemm::PackedPanels;
use crate::simd::Level;

/// Embeddings of vertical and horizontal distances between the tokens of a grid `[rows, columns]`.
///
/// The bias of query `q` at `(y, x)` and the key at `(y', x')` is
/// `q · R_rows[y − y' + rows − 1] + q · R_columns[x − x' + columns − 1]`, with the query not scaled (Li et al., MViTv2,
/// 2022; `add_decomposed_rel_pos` in segment-anything's `image_encoder.py`).
///
/// A tile of queries is multiplied with the whole tables. They are stored in reverse order, so that what a query needs,
/// the products for `y' = 0, 1, …`, is one run of the result. It starts at `rows − 1 − y`.
#[derive(Clone, Debug)]
pub struct RelativePositions {
    grid: [usize; 2],
    scale: f32,
    /// For rows and for columns: `[2 · side − 1, head_dim]`, reversed and divided by the scale of the queries, which
    /// are packed with that factor.
    tables: [PackedPanels; 2],
}

impl RelativePositions {
    /// Packs `rows: [2 · grid[0] − 1, head_dim]` and `columns: [2 · grid[1] − 1, head_dim]` for attention with `scale`.
    ///
    /// # Errors
    /// `OutOfMemory`.
    ///
    /// # Panics
    /// If a table does not have that shape, or it has a 0.
    pub fn new(level: Level, grid: [usize; 2], scale: f32, rows: &[f32], columns: &[f32]) -> Result<Self> {
        let pack = |side: usize, table: &[f32]| {
            let distances = 2 * side - 1;
            let dim = table.len() / distances;
            assert_eq!(table.len(), distances * dim, "distances in a grid of {grid:?}");
            PackedPanels::pack_with(level, distances, dim, |i, out| {
                let from = &table[(distances - 1 - i) * dim..][..dim];
                out.iter_mut().zip(from).for_each(|(to, from)| *to = from / scale);
            })
        };
        Ok(Self { grid, scale, tables: [pack(grid[0], rows)?, pack(grid[1], columns)?] })
    }

    /// `[rows, columns]` of the keys.
    pub fn grid(&self) -> [usize; 2] {
        self.grid
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.tables.iter().map(PackedPanels::bytes).sum()
    }

    /// The tables of rows and columns.
    pub(super) fn tables(&self) -> [&PackedPanels; 2] {
        self.tables.each_ref()
    }

    /// Products of a query with both tables, including what pads them to whole panels.
    pub(super) fn products(&self) -> usize {
        self.tables.iter().map(PackedPanels::padded_rows).sum()
    }

    /// Where the products with the second table start, and of either table the run that belongs to a query at
    /// `(y, x)`.
    pub(super) fn runs(&self, [y, x]: [usize; 2]) -> [core::ops::Range<usize>; 2] {
        let [rows, columns] = self.grid;
        let second = self.tables[0].padded_rows();
        let (first, second) = (rows - 1 - y, second + columns - 1 - x);
        [first..first + rows, second..second + columns]
    }

    /// # Panics
    /// If the tables are for other features, another scale or another level.
    pub(super) fn check(&self, level: Level, head_dim: usize, scale: f32) {
        assert!(
            self.tables.iter().all(|table| table.cols() == head_dim),
            "distances for heads of {head_dim}"
        );
        assert_eq!(self.scale, scale, "distances for another scale");
        assert_eq!(self.tables[0].level().name(), level.name(), "level of the distances");
    }
}
