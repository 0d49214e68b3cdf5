//! Blocks, packing and threads around the tile kernels.

use core::ops::Range;

use super::blocking::Blocking;
use super::destination::{self, Destination, Old, Target, Tile};
use super::kernel::{Ahead, CHUNK, MAX_NR, MAX_TILE, TileArgs};
use super::{Lhs, PackedWeights};
use crate::exec::{Cx, Scratch, ScratchReq, SharedMut, Work};
use crate::kernels::activation::Activation;

/// Scratch that [`gemm`] needs for `m` rows: enough for fewer rows, too.
pub fn scratch_req(cx: &Cx, m: usize, rhs: &PackedWeights) -> ScratchReq {
    let blocking = Blocking::largest(cx.caches(), m.max(1), rhs.cols(), rhs.kernel());
    ScratchReq::slices(blocking.buffers()).per_lane(cx)
}

/// `destination ← activation(lhs · rhsᵀ + bias)`, shapes `[M, K] · [N, K]ᵀ + [N] → [M, N]`.
///
/// # Panics
/// If the shapes do not fit, the scratch is smaller than [`scratch_req`], or `rhs` was packed for another level than `cx`
/// has.
pub fn gemm(
    cx: &Cx,
    lhs: &impl Lhs,
    rhs: &PackedWeights,
    bias: Option<&[f32]>,
    activation: Activation,
    destination: Destination<'_>,
    mut scratch: Scratch<'_>,
) {
    let (m, k, n) = (lhs.rows(), rhs.cols(), rhs.rows());
    assert_eq!(lhs.depth(), k, "depth of the left-hand side");
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
    let blocking = Blocking::new(cx.caches(), m, k, rhs.kernel());
    let threads = cx.threads();
    let product = Product { rhs, bias, activation, target, blocking };

    if blocking.blocks() >= 4 * threads || threads == 1 {
        // Many rows: a lane takes a block of rows through all panels.
        let buffers = ScratchReq::slices(blocking.buffers());
        cx.parallel_for_with(blocking.blocks(), buffers, scratch, |mut scratch, block| {
            let [packed, sums] = scratch.take_all(blocking.buffers());
            let tiles = blocking.block(block);
            let mut rest = &mut *packed;
            for tile in tiles.clone() {
                let (out, after) = rest.split_at_mut(blocking.packed_len(tile..tile + 1));
                product.pack(lhs, tile, out);
                rest = after;
            }
            product.sweep(tiles, packed, 0..rhs.panel_count(), sums);
        });
    } else {
        // Few rows: all lanes pack a block together, then share out its panels, and its tiles where the panels alone are
        // too few to keep all lanes busy to the end: each part of the tiles reads the weights once more.
        let [block_len, sums_len] = blocking.buffers();
        let packed = SharedMut::new(scratch.take(block_len));
        let groups = (8 * threads).min(rhs.panel_count());
        let bound = |part: usize, parts: usize, len: usize| part * len / parts;
        for block in 0..blocking.blocks() {
            let tiles = blocking.block(block);
            let offset = |tile| blocking.packed_len(tiles.start..tile);
            cx.parallel_for(tiles.len(), |_, i| {
                let tile = tiles.start + i;
                // SAFETY: tiles' pieces are disjoint.
                product.pack(lhs, tile, unsafe { packed.range(offset(tile)..offset(tile + 1)) });
            });
            // SAFETY: packing is over; the block is only read from here on.
            let packed: &[f32] = unsafe { packed.range(0..block_len) };
            let parts = (4 * threads).div_ceil(groups).min(tiles.len());
            let sums = ScratchReq::slice(sums_len);
            cx.parallel_for_with(groups * parts, sums, scratch.frame(), |mut scratch, task| {
                let (group, part) = (task / parts, task % parts);
                let tile = |part| tiles.start + bound(part, parts, tiles.len());
                let panel = |group| bound(group, groups, rhs.panel_count());
                let tiles = tile(part)..tile(part + 1);
                let packed = &packed[offset(tiles.start)..];
                product.sweep(tiles, packed, panel(group)..panel(group + 1), scratch.take(sums_len));
            });
        }
    }
}

/// What all lanes of one product share.
struct Product<'a> {
    rhs: &'a PackedWeights,
    bias: Option<&'a [f32]>,
    activation: Activation,
    target: Target<'a>,
    blocking: Blocking,
}

impl Product<'_> {
    /// Packs the rows of `tile`, in the format that the kernel reads.
    fn pack(&self, lhs: &impl Lhs, tile: usize, out: &mut [f32]) {
        let rows = self.blocking.tile(tile);
        lhs.pack(rows.clone(), out);
        if let Some(convert) = self.rhs.kernel().convert {
            convert(self.rhs.level(), out, rows.len());
        }
    }

    /// Computes the outputs of `tiles`, packed one after the other in `packed`, in the columns of `panels`. `sums` is
    /// the lane's buffer of that name among [`Blocking::buffers`].
    fn sweep(&self, tiles: Range<usize>, packed: &[f32], panels: Range<usize>, sums: &mut [f32]) {
        let (rhs, blocking, kernel) = (self.rhs, &self.blocking, self.rhs.kernel());
        for index in panels {
            let n0 = index * kernel.nr;
            let cols = kernel.nr.min(rhs.rows() - n0);
            let mut init = [0.0; MAX_NR];
            if let Some(bias) = self.bias {
                init[..cols].copy_from_slice(&bias[n0..n0 + cols]);
            }
            for k_block in 0..blocking.k_blocks() {
                let (is_first, is_last) = (k_block == 0, k_block + 1 == blocking.k_blocks());
                let ks = blocking.k_range(k_block);
                let weights = &rhs.panel(index)[rhs.panel_bytes(ks.start)..rhs.panel_bytes(ks.end)];
                // Blocks of the depth and panels follow each other in memory; another lane may want the panel behind the last.
                let next = if is_last && index + 1 == rhs.panel_count() { 0 } else { weights.len() };
                let ahead = Ahead::shares(weights.as_ptr_range().end, next, tiles.len(), ks.len() / CHUNK);
                let mut rest = packed;
                for ((i, tile), ahead) in tiles.clone().enumerate().zip(ahead) {
                    let (a, after) = rest.split_at(blocking.packed_len(tile..tile + 1));
                    rest = after;
                    let rows = blocking.tile(tile);
                    let a: &[u8] = bytemuck::cast_slice(a);
                    let mut args = TileArgs {
                        k: ks.len(),
                        a: a[ks.start * rows.len() * kernel.lhs_bytes..].as_ptr(),
                        b: weights.as_ptr(),
                        init: init.as_ptr(),
                        init_stride: 0,
                        scales: rhs.scales(index).as_ptr(),
                        c: core::ptr::null_mut(),
                        ldc: kernel.nr,
                        accumulate: false,
                        ahead,
                    };
                    let tile = Tile { origin: (rows.start, n0), rows: rows.len(), cols };
                    if is_first && is_last {
                        self.finish(tile, args);
                        continue;
                    }
                    let sums = &mut sums[i * kernel.mr * kernel.nr..][..rows.len() * kernel.nr];
                    if !is_first {
                        (args.init, args.init_stride) = (sums.as_ptr(), kernel.nr);
                    }
                    if is_last {
                        self.finish(tile, args);
                    } else {
                        args.c = sums.as_mut_ptr();
                        // SAFETY: as in `finish`; `sums` holds the tile.
                        unsafe { (kernel.run)(rhs.level(), rows.len(), args) };
                    }
                }
            }
        }
    }

    /// Computes a tile to its end and brings it to its destination. Of `args`, the output is set here.
    fn finish(&self, tile: Tile, args: TileArgs<u8>) {
        let kernel = self.rhs.kernel();
        let level = self.rhs.level();
        let Tile { rows, cols, .. } = tile;
        let old = self.target.old();
        match self.target.place(tile) {
            Some((c, ldc)) if cols == kernel.nr && !(old == Old::Added && self.activation.is_some()) => {
                let args = TileArgs { c, ldc, accumulate: old != Old::Lost, ..args };
                // SAFETY: `c` has this tile's rows, the operands are packed for the kernel, `init` holds `nr` values for
                // all rows or for each, and the tiles of a product are disjoint.
                unsafe {
                    (kernel.run)(level, rows, args);
                    destination::activate(level, self.activation, c, ldc, rows, cols);
                }
            }
            _ => {
                let mut values = [0.0; MAX_TILE];
                let c = values.as_mut_ptr();
                // SAFETY: as above; `values` holds the largest tile.
                unsafe {
                    (kernel.run)(level, rows, TileArgs { c, ..args });
                    if old == Old::Activated {
                        self.target.add_old(tile, &mut values, kernel.nr);
                    }
                    destination::activate(level, self.activation, c, kernel.nr, rows, kernel.nr);
                    self.target.write(tile, &mut values, kernel.nr);
                }
            }
        }
    }
}
