//! Axial rotary positions, and queries rotated by them.

use alloc::vec::Vec;

use crate::error::Result;
use crate::exec::TryCollect;
use crate::kernels::feature_panels::LhsWeights;
use crate::kernels::gemm::Rows;
use crate::kernels::len::len_of;
use crate::simd::Level;

/// Rotations of feature pairs `(2d, 2d + 1)` by `angle(d) · place`, with `angle(d) = θ^(−4d / width)`: the first half of
/// the pairs by the column of a token, the second half by its row.
#[derive(Clone, Debug)]
pub struct Rotary {
    width: usize,
    columns: Axis,
    rows: Axis,
}

/// One axis of the grid.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    len: usize,
    /// `(cos, sin)` of `angle(d) · place` for places counted from the middle of the axis, `[len][width / 4]`.
    turns: Vec<[f32; 2]>,
    /// `cos(angle(d) · δ)` for the distances `δ ≥ 0` of places from the middle, `[len.div_ceil(2), width / 4]`.
    pub(super) cos: LhsWeights,
    /// `sin(angle(d) · δ)`, likewise.
    pub(super) sin: LhsWeights,
}

impl Axis {
    fn new(level: Level, len: usize, width: usize, theta: f32) -> Result<Self> {
        let pairs = width / 4;
        let angles = || (0..pairs).map(|d| 1.0 / libm::powf(theta, (4 * d) as f32 / width as f32));
        let turn = |place: f64| {
            angles().map(move |angle| {
                let angle = f64::from(angle) * place;
                [libm::cos(angle) as f32, libm::sin(angle) as f32]
            })
        };
        let middle = (len - 1) as f64 / 2.0;
        let waves: Vec<[f32; 2]> =
            (0..len.div_ceil(2)).flat_map(|k| turn((len / 2 + k) as f64 - middle)).try_to_vec()?;
        let pack = |part: usize| {
            let part: Vec<f32> = waves.iter().map(|wave| wave[part]).try_to_vec()?;
            LhsWeights::pack(level, &Rows::new(&part, len.div_ceil(2), pairs))
        };
        let turns = (0..len).flat_map(|place| turn(place as f64 - middle)).try_to_vec()?;
        Ok(Self { len, turns, cos: pack(0)?, sin: pack(1)? })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn bytes(&self) -> usize {
        size_of_val(&self.turns[..]) + self.cos.bytes() + self.sin.bytes()
    }
}

impl Rotary {
    /// The rotations of tokens of `width` features on a grid of `[rows, columns]`.
    ///
    /// # Errors
    /// `OutOfMemory`.
    ///
    /// # Panics
    /// If 4 does not divide `width`, anything is 0, or no memory holds the features of a grid.
    pub fn new(level: Level, grid: [usize; 2], width: usize, theta: f32) -> Result<Self> {
        let [rows, columns] = grid;
        assert!(rows > 0 && columns > 0, "rotations on a grid of {grid:?}");
        assert!(width > 0 && width.is_multiple_of(4), "rotations of {width} features");
        let _ = len_of([rows, columns, width]);
        let axis = |len| Axis::new(level, len, width, theta);
        Ok(Self { width, columns: axis(columns)?, rows: axis(rows)? })
    }

    /// Features of a token.
    pub fn width(&self) -> usize {
        self.width
    }

    /// `[rows, columns]`
    pub fn grid(&self) -> [usize; 2] {
        [self.rows.len, self.columns.len]
    }

    /// The axes with which the first and the second half of the features turn.
    pub(super) fn axes(&self) -> [&Axis; 2] {
        [&self.columns, &self.rows]
    }

    /// Tokens of the grid.
    pub fn tokens(&self) -> usize {
        self.rows.len * self.columns.len
    }

    /// `(cos, sin)` of every pair of features of token `index`. Places are counted from the middle of the grid, since only
    /// their differences matter.
    pub(super) fn turns(&self, index: usize) -> impl Iterator<Item = [f32; 2]> {
        let pairs = self.width / 4;
        let [column, row] = [index % self.columns.len, index / self.columns.len];
        let (columns, rows) = (&self.columns.turns[column * pairs..], &self.rows.turns[row * pairs..]);
        columns[..pairs].iter().chain(&rows[..pairs]).copied()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.columns.bytes() + self.rows.bytes()
    }
}

/// Packs the queries `tokens: [n, width]` as the columns of a panel `out: [width][nr]`, times `scale` and rotated by their
/// places, which are counted from the middle of the grid. The first query is token `first` of the grid. Columns beyond
/// the last query are 0.
pub(super) fn pack_queries(
    rotary: &Rotary,
    scale: f32,
    first: usize,
    tokens: &[f32],
    nr: usize,
    out: &mut [f32],
) {
    let width = rotary.width();
    let count = tokens.len() / width;
    for (column, token) in tokens.chunks_exact(width).enumerate() {
        let pairs = token.as_chunks::<2>().0.iter().zip(rotary.turns(first + column));
        for ((&[a, b], [cos, sin]), out) in pairs.zip(out.chunks_exact_mut(2 * nr)) {
            out[column] = scale * (a * cos - b * sin);
            out[nr + column] = scale * (a * sin + b * cos);
        }
    }
    if count < nr {
        out.chunks_exact_mut(nr).for_each(|row| row[count..].fill(0.0));
    }
}
