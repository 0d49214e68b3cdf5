//! Where a tile goes, and what happens to it on the way.

use crate::exec::SharedMut;
use crate::kernels::activation::{self, Activation};
use crate::simd::{Level, Simd, Vectorize};

/// The destination of a product `[M, N]`.
#[derive(Debug)]
pub enum Destination<'a> {
    /// `out[m * stride + n] = value`.
    Store {
        /// The matrix.
        out: &'a mut [f32],
        /// Distance of rows.
        stride: usize,
    },
    /// `out[m * stride + n] += activation(product)`: a residual connection.
    Add {
        /// The matrix.
        out: &'a mut [f32],
        /// Distance of rows.
        stride: usize,
    },
    /// `out[m * stride + n] = activation(out[m * stride + n] + product)`: a residual connection that ends before the
    /// activation.
    ActivateSum {
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
}

/// What happens to the old value of an output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Old {
    /// It is overwritten.
    Lost,
    /// It is added to the activated product.
    Added,
    /// It is added to the product before the activation.
    Activated,
}

/// [`Destination`] shared by the lanes that write it.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    Rows { out: SharedMut<'a, f32>, stride: usize, old: Old },
    Heads { out: SharedMut<'a, f32>, batches: usize, tokens: usize, heads: usize, head_dim: usize },
}

impl<'a> Target<'a> {
    /// # Panics
    /// If the destination does not hold `[m, n]`.
    pub(super) fn new(destination: Destination<'a>, m: usize, n: usize) -> Self {
        let rows = |out: &'a mut [f32], stride: usize, old| {
            // Checked: the tile kernels write through bare pointers, so that a wrapped length would be unsound.
            let len = (m - 1).checked_mul(stride).and_then(|len| len.checked_add(n));
            assert!(
                stride >= n && len.is_some_and(|len| len <= out.len()),
                "the destination does not hold [{m}, {n}] with rows {stride} apart"
            );
            Self::Rows { out: SharedMut::new(out), stride, old }
        };
        match destination {
            Destination::Store { out, stride } => rows(out, stride, Old::Lost),
            Destination::Add { out, stride } => rows(out, stride, Old::Added),
            Destination::ActivateSum { out, stride } => rows(out, stride, Old::Activated),
            Destination::Heads { out, tokens, heads, head_dim } => {
                assert!(
                    m.is_multiple_of(tokens)
                        && heads.checked_mul(head_dim).is_some_and(|width| n.is_multiple_of(width))
                        && m.checked_mul(n).is_some_and(|len| len <= out.len()),
                    "heads of [{m}, {n}]"
                );
                Self::Heads { out: SharedMut::new(out), batches: m / tokens, tokens, heads, head_dim }
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
    /// Where `tile` lies in the destination and how far apart its rows are there, if each of its rows is one run
    /// and all are equally far apart.
    pub(super) fn place(&self, tile: Tile) -> Option<(*mut f32, usize)> {
        let Tile { origin: (m, n), rows, cols } = tile;
        // `inner` rows of the product, and `run` columns, lie side by side.
        let is_one_run = |inner: usize, run: usize| m % inner + rows <= inner && n % run + cols <= run;
        let (out, stride) = match *self {
            Self::Rows { out, stride, .. } => (out, stride),
            Self::Heads { out, tokens, head_dim, .. } if is_one_run(tokens, head_dim) => (out, head_dim),
            _ => return None,
        };
        let at = self.start(m, n);
        assert!(at + (rows - 1) * stride + cols <= out.len());
        // SAFETY: in bounds by the assertion.
        Some((unsafe { out.as_ptr().add(at) }, stride))
    }

    /// Where the element `(m, n)` of the product lies in the destination.
    fn start(&self, m: usize, n: usize) -> usize {
        match *self {
            Self::Rows { stride, .. } => m * stride + n,
            Self::Heads { batches, tokens, heads, head_dim, .. } => {
                let (batch, token) = (m / tokens, m % tokens);
                let (which, head) = (n / head_dim / heads, n / head_dim % heads);
                (((which * batches + batch) * heads + head) * tokens + token) * head_dim + n % head_dim
            }
        }
    }

    /// Columns of the product that lie side by side in the destination.
    fn run(&self) -> usize {
        match *self {
            Self::Rows { stride, .. } => stride,
            Self::Heads { head_dim, .. } => head_dim,
        }
    }

    /// Calls `visit(outputs, values)` for all runs of a tile in `values` (`[rows][ld]`).
    ///
    /// # Safety
    /// No other lane accesses the outputs of this tile.
    unsafe fn for_runs(
        &self,
        tile: Tile,
        values: &mut [f32],
        ld: usize,
        visit: impl Fn(&mut [f32], &mut [f32]),
    ) {
        let (m0, n0) = tile.origin;
        let (Self::Rows { out, .. } | Self::Heads { out, .. }) = *self;
        for (i, row) in values.chunks_mut(ld).take(tile.rows).enumerate() {
            let mut n = n0;
            let mut rest = &mut row[..tile.cols];
            while !rest.is_empty() {
                let len = rest.len().min(self.run() - n % self.run());
                let (run, after) = rest.split_at_mut(len);
                let at = self.start(m0 + i, n);
                // SAFETY: the caller promises that these elements are this lane's.
                visit(unsafe { out.range(at..at + len) }, run);
                n += len;
                rest = after;
            }
        }
    }

    /// Adds the old outputs of a tile to `values` (`[rows][ld]`).
    ///
    /// # Safety
    /// No other lane accesses the outputs of this tile.
    pub(super) unsafe fn add_old(&self, tile: Tile, values: &mut [f32], ld: usize) {
        let add = |out: &mut [f32], run: &mut [f32]| run.iter_mut().zip(out).for_each(|(v, o)| *v += *o);
        // SAFETY: forwarded to the caller.
        unsafe { self.for_runs(tile, values, ld, add) }
    }

    /// Copies, adds or scatters a finished tile from `values` (`[rows][ld]`).
    ///
    /// # Safety
    /// No other lane accesses the outputs of this tile.
    pub(super) unsafe fn write(&self, tile: Tile, values: &mut [f32], ld: usize) {
        let is_added = self.old() == Old::Added;
        let write = |out: &mut [f32], run: &mut [f32]| {
            if is_added {
                out.iter_mut().zip(run).for_each(|(o, v)| *o += *v);
            } else {
                out.copy_from_slice(run);
            }
        };
        // SAFETY: forwarded to the caller.
        unsafe { self.for_runs(tile, values, ld, write) }
    }

    /// What happens to the old values of the destination.
    pub(super) fn old(&self) -> Old {
        if let Self::Rows { old, .. } = *self { old } else { Old::Lost }
    }
}
