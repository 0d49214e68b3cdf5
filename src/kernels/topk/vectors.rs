//! The vectors that are searched, in f32 or as 8-bit integers.

use crate::error::{Result, err};
use crate::kernels::finite;
use crate::simd::{Level, Simd, Vectorize};

/// Vectors to search, row after row: `[count, dim]`.
#[derive(Clone, Copy, Debug)]
pub struct Vectors<'a> {
    pub(super) values: Values<'a>,
    pub(super) dim: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Values<'a> {
    F32(&'a [f32]),
    Int8 { codes: &'a [i8], scales: &'a [f32] },
}

/// Features of a vector at most: sums of products of 16 and 8 bits stay within 32.
pub const MAX_DIM: usize = 1 << 16;

impl<'a> Vectors<'a> {
    /// Rows of `dim` f32.
    ///
    /// # Errors
    /// `InvalidArgument` if `values` are not whole rows or `dim` is 0, `Limit` for more than 65,536 features or
    /// 2³² − 1 rows.
    pub fn f32(values: &'a [f32], dim: usize) -> Result<Self> {
        check(values.len(), dim)?;
        Ok(Self { values: Values::F32(values), dim })
    }

    /// Rows of `dim` 8-bit integers, as [`quantize_vectors`] writes them: row `i` is `scales[i] · codes[i]`.
    ///
    /// # Errors
    /// As [`f32`](Self::f32), and `InvalidArgument` unless there is one scale for each row.
    pub fn int8(codes: &'a [i8], scales: &'a [f32], dim: usize) -> Result<Self> {
        let rows = check(codes.len(), dim)?;
        if scales.len() != rows {
            return Err(err!(InvalidArgument, "{} scales for {rows} vectors", scales.len()));
        }
        Ok(Self { values: Values::Int8 { codes, scales }, dim })
    }

    /// How many vectors there are.
    pub fn len(&self) -> usize {
        match self.values {
            Values::F32(values) => values.len() / self.dim,
            Values::Int8 { scales, .. } => scales.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Features of a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Bytes of a vector.
    pub(super) fn row_bytes(&self) -> usize {
        match self.values {
            Values::F32(_) => self.dim * size_of::<f32>(),
            Values::Int8 { .. } => self.dim,
        }
    }
}

/// The number of rows of `dim` in `len` values.
fn check(len: usize, dim: usize) -> Result<usize> {
    if dim > MAX_DIM {
        return Err(err!(Limit, "vectors of {dim} features (limit {MAX_DIM})"));
    }
    if dim == 0 || !len.is_multiple_of(dim) {
        return Err(err!(InvalidArgument, "{len} values are not rows of {dim}"));
    }
    match u32::try_from(len / dim) {
        Ok(rows) if rows < u32::MAX => Ok(rows as usize),
        _ => Err(err!(Limit, "{} vectors (limit {})", len / dim, u32::MAX - 1)),
    }
}

/// Rounds each row of `values: [rows, dim]` to 8-bit integers with a scale: `scales[r] = maxᵢ |x[r, i]| / 127` and
/// `codes[r, i] = round(x[r, i] / scales[r])`, ties to even. No value changes by more than half a scale. A row of zeros has
/// the scale 0.
///
/// # Errors
/// `InvalidArgument` if `values` are not whole rows or the results have other sizes, `NonFinite` for NaN or infinity.
pub fn quantize_vectors(values: &[f32], dim: usize, codes: &mut [i8], scales: &mut [f32]) -> Result<()> {
    let rows = check(values.len(), dim)?;
    if codes.len() != values.len() || scales.len() != rows {
        let (codes, scales) = (codes.len(), scales.len());
        return Err(err!(
            InvalidArgument,
            "room for {codes} codes and {scales} scales, for {rows} vectors of {dim}"
        ));
    }
    if let Some(row) = values.chunks_exact(dim).position(|row| !finite::is_finite(row)) {
        return Err(err!(NonFinite, "vector {row} holds values that are not finite"));
    }
    let level = Level::detect();
    for ((row, codes), scale) in
        values.chunks_exact(dim).zip(codes.chunks_exact_mut(dim)).zip(scales.iter_mut())
    {
        *scale = level.dispatch(Quantize { row, codes });
    }
    Ok(())
}

/// Rounds a row; returns its scale.
struct Quantize<'a> {
    row: &'a [f32],
    codes: &'a mut [i8],
}

impl Vectorize for Quantize<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let most = self.row.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        if most == 0.0 {
            self.codes.fill(0);
            return 0.0;
        }
        // Two divisions, for the inverse of a subnormal number is infinite.
        let round = |x: S::F| s.to_i32(s.mul(s.div(x, s.splat(most)), s.splat(127.0)));
        let mut lanes = [0_i32; 16];
        for (row, codes) in self.row.chunks(S::LANES).zip(self.codes.chunks_mut(S::LANES)) {
            let x = match row.len() {
                // SAFETY: the chunk has `LANES` elements.
                len if len == S::LANES => unsafe { s.load(row.as_ptr()) },
                // SAFETY: the chunk has `len < LANES` elements.
                len => unsafe { s.load_n(row.as_ptr(), len) },
            };
            // SAFETY: there is room for 16 lanes.
            unsafe { s.store(lanes.as_mut_ptr().cast(), s.as_f32(round(x))) };
            codes.iter_mut().zip(lanes).for_each(|(code, lane)| *code = lane as i8);
        }
        most / 127.0
    }
}
