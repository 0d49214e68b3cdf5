//! Blocks, packing and threads around the tile kernels.

use core::mem::MaybeUninit;
use core::ops::Range;
use core::slice;

use super::blocking::Blocking;
use super::destination::{self, Destination, Old, Target, Tile};
use super::kernel::{Ahead, Convert, Decode, Finish, MAX_NR, MAX_TILE, TileArgs, ZEROS};
use super::{Lhs, PackedWeights};
use crate::exec::{Cx, Scratch, ScratchReq, SharedMut, Work};
use crate::kernels::activation::Activation;

/// Rows of a lane that are worth reading all weights for.
const ROWS_OF_A_LANE: usize = 96;

/// Scratch that [`gemm`] needs for `m` rows: enough for fewer rows, too.
pub fn scratch_req(cx: &Cx, m: usize, rhs: &PackedWeights) -> ScratchReq {
    lane_scratch_req(cx, m, rhs).per_lane(cx)
}

/// Scratch that [`gemm_on_lane`] needs for `m` rows: enough for fewer rows, too.
pub(crate) fn lane_scratch_req(cx: &Cx, m: usize, rhs: &PackedWeights) -> ScratchReq {
    let blocking = Blocking::largest(cx.caches(), m.max(1), rhs.cols(), rhs.kernel());
    ScratchReq::slices(blocking.buffers())
}

/// `destination ← lhs · rhsᵀ`, as [`gemm`], on the lane that calls: a task of a parallel loop, which has the scratch of its lane.
///
/// # Panics
/// As [`gemm`].
pub(crate) fn gemm_on_lane(
    cx: &Cx,
    lhs: &impl Lhs,
    rhs: &PackedWeights,
    destination: Destination<'_>,
    mut scratch: Scratch<'_>,
) {
    let (m, k, n) = (lhs.rows(), rhs.cols(), rhs.rows());
    assert_eq!(lhs.depth(), k, "depth of the left-hand side");
    assert_eq!(cx.level().name(), rhs.level().name(), "level of the packed weights");
    let target = Target::new(destination, m, n);
    let blocking = Blocking::new(cx.caches(), m, k, rhs.kernel(), 1);
    let product = Product { cx, rhs, bias: None, activation: Activation::None, target, blocking };
    for block in 0..blocking.blocks() {
        product.block(lhs, block, scratch.frame());
    }
}

/// `destination ← activation(lhs · rhsᵀ + bias)`, shapes `[M, K] · [N, K]ᵀ + [N] → [M, N]`.
///
/// # Panics
/// If the shapes do not fit, the scratch is smaller than [`scratch_req`], or `rhs` was packed for another level than `cx`
/// has.
pub fn gemm<L: Lhs>(
    cx: &Cx,
    lhs: &L,
    rhs: &PackedWeights,
    bias: Option<&[f32]>,
    activation: Activation,
    destination: Destination<'_>,
    mut scratch: Scratch<'_>,
) {
    let (m, k, n) = (lhs.rows(), rhs.cols(), rhs.rows());
    assert_eq!(lhs.depth(), k, "depth of the left-hand side");
    assert!(
        !L::IS_PAIRED || rhs.kernel().is_paired(),
        "pairs of bfloat16 and weights of {}",
        rhs.kernel().name
    );
    assert!(bias.is_none_or(|bias| bias.len() == n), "bias of length {n}");
    assert_eq!(cx.level().name(), rhs.level().name(), "level of the packed weights");
    if m == 0 {
        return;
    }
    let _kernel = cx.kernel("gemm", || Work {
        bytes: (4 * m * k + 4 * m * n + rhs.bytes()) as f64,
        ..Work::product(m, n, k)
    });
    let target = Target::new(destination, m, n);
    let threads = cx.threads();
    let by_rows = m >= threads * ROWS_OF_A_LANE || threads == 1;
    // Two blocks for each lane: the lane that is done first helps.
    let parts = if by_rows && threads > 1 { 2 * threads } else { 1 };
    let blocking = Blocking::new(cx.caches(), m, k, rhs.kernel(), parts);
    let product = Product { cx, rhs, bias, activation, target, blocking };

    if by_rows {
        // Many rows: a lane takes a block of rows through all panels. What it reads and writes stays in its own caches, where
        // the next product finds it.
        let req = ScratchReq::slices(blocking.buffers());
        cx.parallel_for_with(blocking.blocks(), req, scratch, |scratch, block| {
            product.block(lhs, block, scratch)
        });
    } else {
        // Few rows: all lanes pack a block together, then share out its panels, and its tiles where the panels alone are
        // too few to keep all lanes busy to the end: each part of the tiles reads the weights once more.
        let [block_len, rows_len, weights_len, sums_len] = blocking.buffers();
        let packed = SharedMut::new(scratch.take(block_len));
        let groups = (8 * threads).min(rhs.panel_count());
        let bound = |part: usize, parts: usize, len: usize| part * len / parts;
        for block in 0..blocking.blocks() {
            let tiles = blocking.block(block);
            let rows = ScratchReq::slice(rows_len);
            cx.parallel_for_with(tiles.len(), rows, scratch.frame(), |mut scratch, i| {
                let range = i * blocking.tile_len()..(i + 1) * blocking.tile_len();
                // SAFETY: tiles' pieces are disjoint.
                let out = unsafe { packed.range(range) };
                product.pack(lhs, tiles.start + i, scratch.take(rows_len), out);
            });
            // SAFETY: packing is over; the block is only read from here on.
            let packed: &[f32] = unsafe { packed.range(0..block_len) };
            let parts = (4 * threads).div_ceil(groups).min(tiles.len());
            let buffers = [weights_len, sums_len];
            let req = ScratchReq::slices(buffers);
            cx.parallel_for_with(groups * parts, req, scratch.frame(), |mut scratch, task| {
                let (group, part) = (task / parts, task % parts);
                let tile = |part| bound(part, parts, tiles.len());
                let panel = |group| bound(group, groups, rhs.panel_count());
                let [weights, sums] = scratch.take_all(buffers);
                let packed = &packed[tile(part) * blocking.tile_len()..];
                let tiles = tiles.start + tile(part)..tiles.start + tile(part + 1);
                product.sweep(tiles, packed, panel(group)..panel(group + 1), weights, sums);
            });
        }
    }
}

/// What all lanes of one product share.
struct Product<'a> {
    cx: &'a Cx,
    rhs: &'a PackedWeights,
    bias: Option<&'a [f32]>,
    activation: Activation,
    target: Target<'a>,
    blocking: Blocking,
}

impl Product<'_> {
    /// Packs `tile` into `out` as the kernel reads it. `rows` is the lane's buffer of that name among
    /// [`Blocking::buffers`].
    fn pack<L: Lhs>(&self, lhs: &L, tile: usize, rows: &mut [f32], out: &mut [f32]) {
        let (range, kernel) = (self.blocking.tile(tile), self.rhs.kernel());
        let Some(convert) = kernel.convert.filter(|_| !L::IS_PAIRED) else {
            return lhs.pack(range, out);
        };
        let count = range.len();
        lhs.pack(range, rows);
        let (to, row_values) = out.split_at_mut(self.blocking.elements_len(count));
        let row_values = &mut row_values[..count * kernel.row_values];
        convert(self.rhs.level(), Convert { rows: count, k: self.rhs.cols(), from: rows, to, row_values });
    }

    /// Takes block `index` of the rows through all panels.
    fn block(&self, lhs: &impl Lhs, index: usize, mut scratch: Scratch<'_>) {
        let [packed, rows, weights, sums] = scratch.take_all(self.blocking.buffers());
        let tiles = self.blocking.block(index);
        for (tile, out) in tiles.clone().zip(packed.chunks_exact_mut(self.blocking.tile_len())) {
            self.pack(lhs, tile, rows, out);
        }
        self.sweep(tiles, packed, 0..self.rhs.panel_count(), weights, sums);
    }

    /// Computes the outputs of `tiles`, whose packed rows begin `packed`, in the columns of `panels`. `decoded` and `sums` are
    /// the lane's buffers for them among [`Blocking::buffers`].
    fn sweep(
        &self,
        tiles: Range<usize>,
        packed: &[f32],
        panels: Range<usize>,
        decoded: &mut [f32],
        sums: &mut [f32],
    ) {
        let (rhs, blocking, kernel) = (self.rhs, &self.blocking, self.rhs.kernel());
        // SAFETY: weights are only packed for kernels that this CPU has, and nothing below begins another product.
        let _pass = unsafe { kernel.enter() };
        // In a pass, the CPU's state is the kernel's: no callback of the caller's may run.
        let asks = kernel.pass.is_none();
        for index in panels {
            if asks && !self.cx.goes_on() {
                return;
            }
            let n0 = index * kernel.nr;
            let cols = kernel.nr.min(rhs.rows() - n0);
            let mut init = [0.0; MAX_NR];
            if let Some(bias) = self.bias {
                init[..cols].copy_from_slice(&bias[n0..n0 + cols]);
            }
            let columns = Columns { init: &init[..kernel.nr], values: rhs.column_values(index) };
            for k_block in 0..blocking.k_blocks() {
                let (is_first, is_last) = (k_block == 0, k_block + 1 == blocking.k_blocks());
                let ks = blocking.k_range(k_block);
                let weights = &rhs.panel(index)[kernel.panel_bytes(ks.start)..kernel.panel_bytes(ks.end)];
                // Blocks of the depth and panels follow each other in memory; another lane may want the panel behind the last.
                let next = if is_last && index + 1 == rhs.panel_count() { 0 } else { weights.len() };
                let chunks = ks.len() / kernel.lhs_chunk();
                let ahead = Ahead::shares(weights.as_ptr_range().end, next, tiles.len(), chunks);
                let b = match kernel.decode {
                    Some(decode) => {
                        let decoded = &mut decoded[..ks.len() * kernel.nr];
                        decode(rhs.level(), Decode { nr: kernel.nr, from: weights, to: &mut *decoded });
                        decoded.as_ptr().cast()
                    }
                    None => weights.as_ptr(),
                };
                let packed = packed.chunks_exact(blocking.tile_len());
                for (((i, tile), ahead), a) in tiles.clone().enumerate().zip(ahead).zip(packed) {
                    let rows = blocking.tile(tile);
                    let (elements, row_values) = a.split_at(blocking.elements_len(rows.len()));
                    let elements: &[u8] = bytemuck::cast_slice(elements);
                    let mut args = TileArgs {
                        k: ks.len(),
                        a: elements[ks.start * rows.len() * kernel.lhs_bytes..].as_ptr(),
                        b,
                        init: if kernel.finish.is_some() { ZEROS.as_ptr() } else { init.as_ptr() },
                        init_stride: 0,
                        c: core::ptr::null_mut(),
                        ldc: kernel.nr,
                        accumulate: false,
                        ahead,
                    };
                    let tile = Tile { origin: (rows.start, n0), rows: rows.len(), cols };
                    if is_first && is_last {
                        self.finish(tile, args, &columns, row_values);
                        continue;
                    }
                    let sums = &mut sums[i * kernel.mr * kernel.nr..][..rows.len() * kernel.nr];
                    if !is_first {
                        (args.init, args.init_stride) = (sums.as_ptr(), kernel.nr);
                    }
                    if is_last {
                        self.finish(tile, args, &columns, row_values);
                    } else {
                        args.c = sums.as_mut_ptr();
                        // SAFETY: as in `compute`; `sums` holds the tile.
                        unsafe { (kernel.run)(rhs.level(), rows.len(), args) };
                    }
                }
            }
        }
    }

    /// Computes a tile to its end and brings it to its destination. Of `args`, the output is set here.
    fn finish(&self, tile: Tile, args: TileArgs<u8>, columns: &Columns<'_>, row_values: &[f32]) {
        let kernel = self.rhs.kernel();
        let level = self.rhs.level();
        let Tile { rows, cols, .. } = tile;
        let old = self.target.old();
        match self.target.place(tile) {
            Some((c, ldc)) if cols == kernel.nr && !(old == Old::Added && self.activation.is_some()) => {
                let args = TileArgs { c, ldc, accumulate: old != Old::Lost, ..args };
                // SAFETY: `c` has this tile's rows, and the tiles of a product are disjoint.
                unsafe {
                    self.compute(rows, args, columns, row_values);
                    destination::activate(level, self.activation, c, ldc, rows, cols);
                }
            }
            _ => {
                // Not zeros: to write them takes longer than some tiles.
                let mut values = MaybeUninit::<[f32; MAX_TILE]>::uninit();
                let c = values.as_mut_ptr().cast::<f32>();
                // SAFETY: as above; `values` holds the largest tile, of which `compute` writes all rows.
                unsafe {
                    self.compute(rows, TileArgs { c, ..args }, columns, row_values);
                    let values = slice::from_raw_parts_mut(c, rows * kernel.nr);
                    if old == Old::Activated {
                        self.target.add_old(tile, values, kernel.nr);
                    }
                    destination::activate(level, self.activation, c, kernel.nr, rows, kernel.nr);
                    self.target.write(tile, values, kernel.nr);
                }
            }
        }
    }

    /// Computes the f32 of a tile of `rows` rows.
    ///
    /// # Safety
    /// The output of `args` is valid, and nothing else accesses it.
    unsafe fn compute(&self, rows: usize, args: TileArgs<u8>, columns: &Columns<'_>, row_values: &[f32]) {
        let (kernel, level) = (self.rhs.kernel(), self.rhs.level());
        let Some(finish) = kernel.finish else {
            // SAFETY: the caller promises the output; the operands are packed for the kernel, and `init` holds `nr` values
            // for all rows or for each.
            return unsafe { (kernel.run)(level, rows, args) };
        };
        let mut sums = MaybeUninit::<[f32; MAX_TILE]>::uninit();
        let TileArgs { c, ldc, accumulate, .. } = args;
        let sums = sums.as_mut_ptr().cast::<f32>();
        let sums_args = TileArgs { c: sums, ldc: kernel.nr, accumulate: false, ..args };
        // SAFETY: as above; `sums` holds the largest tile, of which all rows are written.
        unsafe {
            (kernel.run)(level, rows, sums_args);
            let sums = slice::from_raw_parts(sums, rows * kernel.nr);
            let rows = &row_values[..rows * kernel.row_values];
            let &Columns { init, values: columns } = columns;
            finish(level, Finish { sums, nr: kernel.nr, columns, rows, init, c, ldc, accumulate });
        }
    }
}

/// What belongs to the columns of a panel.
struct Columns<'a> {
    /// Start values, `[nr]`.
    init: &'a [f32],
    /// `[column_values][nr]`.
    values: &'a [f32],
}
