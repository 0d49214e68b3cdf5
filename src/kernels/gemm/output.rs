//! Where a tile goes, and what happens to it on the way.

use crate::exec::SharedMut;
use crate::kernels::activation::{self, Activation};
use crate::simd::{Level, Simd, Vectorize};

/// The destination of a product `[M, N]`.
#[derive(Debug)]
pub enum Output<'a> {
    /// `out[m * stride + n] = value`.
    Store {
        /// The matrix.
        out: &'a mut [f32],
        /// Distance of rows.
        stride: usize,
    },
    /// `out[m * stride + n] += value`: a residual connection.
    Add {
        /// The matrix.
        out: &'a mut [f32],
        /// Distance of rows.
        stride: usize,
    },
    /// Scatters to one contiguous matrix `[tokens, head_dim]` per head: with `m = batch · tokens + token` and
    /// `n = (which · heads + head) · head_dim + d`, the value goes to
    /// `out[which][batch][head][token][d]`. A fused QKV projection has `N = 3 · heads · head_dim`.
    Heads {
        /// `[N / (heads · head_dim)][M / tokens][heads][tokens][head_dim]`.
        out: &'a mut [f32],
        /// Tokens of a sequence.
        tokens: usize,
        /// Attention heads.
        heads: usize,
        /// Features of a head.
        head_dim: usize,
    },
    /// Spreads every row over a square of pixels: with `m = y · width + x` and
    /// `n = (i · factor + j) · channels + c`, the value goes to
    /// `out[y · factor + i][x · factor + j][c]`. A transposed convolution whose stride is its kernel has
    /// `N = factor² · channels`.
    Squares {
        /// `[M / width · factor, width · factor, N / factor²]`.
        out: &'a mut [f32],
        /// Rows of the product that lie side by side.
        width: usize,
        /// Side of a square.
        factor: usize,
    },
}

/// [`Output`] shared by the lanes that write it.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    Rows {
        out: SharedMut<'a, f32>,
        stride: usize,
        add: bool,
    },
    Heads {
        out: SharedMut<'a, f32>,
        batches: usize,
        tokens: usize,
        heads: usize,
        head_dim: usize,
    },
    /// `run` values of a row lie side by side: those of one line of its square.
    Squares {
        out: SharedMut<'a, f32>,
        width: usize,
        factor: usize,
        run: usize,
    },
}

impl<'a> Target<'a> {
    /// # Panics
    /// If the destination does not hold `[m, n]`.
    pub(super) fn new(output: Output<'a>, m: usize, n: usize) -> Self {
        let rows = |out: &'a mut [f32], stride: usize, add| {
            // Checked: the tile kernels write through bare pointers, so that a wrapped length would be unsound.
            let len = (m - 1).checked_mul(stride).and_then(|len| len.checked_add(n));
            assert!(
                stride >= n && len.is_some_and(|len| len <= out.len()),
                "output does not hold [{m}, {n}] with rows {stride} apart"
            );
            Self::Rows { out: SharedMut::new(out), stride, add }
        };
        match output {
            Output::Store { out, stride } => rows(out, stride, false),
            Output::Add { out, stride } => rows(out, stride, true),
            Output::Heads { out, tokens, heads, head_dim } => {
                assert!(
                    m.is_multiple_of(tokens) && n.is_multiple_of(heads * head_dim) && out.len() >= m * n,
                    "heads of [{m}, {n}]"
                );
                Self::Heads { out: SharedMut::new(out), batches: m / tokens, tokens, heads, head_dim }
            }
            Output::Squares { out, width, factor } => {
                assert!(
                    m.is_multiple_of(width) && n.is_multiple_of(factor * factor) && out.len() >= m * n,
                    "squares of [{m}, {n}]"
                );
                Self::Squares { out: SharedMut::new(out), width, factor, run: n / factor }
            }
        }
    }
}

/// A finished tile in memory.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    /// Its first row and column in the product.
    pub(super) origin: (usize, usize),
    /// Its size.
    pub(super) rows: usize,
    pub(super) cols: usize,
}

/// Applies `activation` to a tile in place.
///
/// # Safety
/// `c` is valid for `rows` rows of `cols` elements, `ldc` apart, and nothing else accesses them.
pub(super) unsafe fn activate(
    level: Level,
    activation: Activation,
    c: *mut f32,
    ldc: usize,
    rows: usize,
    cols: usize,
) {
    struct Activate {
        activation: Activation,
        c: *mut f32,
        ldc: usize,
        rows: usize,
        cols: usize,
    }
    impl Vectorize for Activate {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            for row in 0..self.rows {
                // SAFETY: `activate`'s caller promises the tile.
                let row = unsafe { core::slice::from_raw_parts_mut(self.c.add(row * self.ldc), self.cols) };
                activation::apply_slice(s, self.activation, row);
            }
        }
    }
    level.dispatch(Activate { activation, c, ldc, rows, cols });
}

impl Target<'_> {
    /// Copies, adds or scatters a finished tile from `values` (`[rows][ld]`).
    ///
    /// # Safety
    /// No other lane accesses the outputs of this tile.
    pub(super) unsafe fn write(&self, tile: Tile, values: &[f32], ld: usize) {
        let (m0, n0) = tile.origin;
        for (i, row) in values.chunks(ld).take(tile.rows).enumerate() {
            let row = &row[..tile.cols];
            let m = m0 + i;
            match *self {
                Self::Rows { out, stride, add } => {
                    let at = m * stride + n0;
                    // SAFETY: the caller promises that these elements are this lane's.
                    let out = unsafe { out.range(at..at + tile.cols) };
                    if add {
                        out.iter_mut().zip(row).for_each(|(o, v)| *o += v);
                    } else {
                        out.copy_from_slice(row);
                    }
                }
                Self::Heads { out, batches, tokens, heads, head_dim } => {
                    let (batch, token) = (m / tokens, m % tokens);
                    let mut n = n0;
                    let mut rest = row;
                    while !rest.is_empty() {
                        let (head, d) = (n / head_dim, n % head_dim);
                        let (run, after) = rest.split_at(rest.len().min(head_dim - d));
                        let (which, head) = (head / heads, head % heads);
                        let at = (((which * batches + batch) * heads + head) * tokens + token) * head_dim + d;
                        // SAFETY: the caller promises that these elements are this lane's.
                        unsafe { out.range(at..at + run.len()) }.copy_from_slice(run);
                        n += run.len();
                        rest = after;
                    }
                }
                Self::Squares { out, width, factor, run: line } => {
                    let (y, x) = (m / width, m % width);
                    let mut n = n0;
                    let mut rest = row;
                    while !rest.is_empty() {
                        let (i, at) = (n / line, n % line);
                        let (run, after) = rest.split_at(rest.len().min(line - at));
                        let at = ((y * factor + i) * width + x) * line + at;
                        // SAFETY: the caller promises that these elements are this lane's.
                        unsafe { out.range(at..at + run.len()) }.copy_from_slice(run);
                        n += run.len();
                        rest = after;
                    }
                }
            }
        }
    }
}
