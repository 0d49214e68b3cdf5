//! Blocking, packing and threads around the tile kernels.

use core::ops::Range;

use super::output::{self, Old, Output, Target, Tile};
use super::tile::{MAX_NR, MAX_TILE};
use super::{CHUNK, GemmKernel, Lhs, PackedMatrix, TileArgs};
use crate::exec::{Cx, Scratch, SharedMut, padded};
use crate::kernels::activation::Activation;

/// f32 of the left-hand side that are packed at a time. Half of a 1 MB L2 cache; the other half is for the panel
/// that sweeps over it. (On CPUs with less L2 the block comes from L3, which the tiles' arithmetic hides.)
const BLOCK: usize = 128 * 1024;

/// How `M` rows are cut: into tiles of almost equal height, so that no tile is left with one row.
#[derive(Clone, Copy)]
struct Cut {
    m: usize,
    tiles: usize,
    tiles_per_block: usize,
    /// Length of a packed block.
    block_len: usize,
}

impl Cut {
    fn new(m: usize, k: usize, kernel: &GemmKernel) -> Self {
        let tiles = m.div_ceil(kernel.mr);
        // Blocks of almost equal size, too.
        let tiles_per_block = tiles.div_ceil(tiles.div_ceil(Self::most_tiles(k, kernel)));
        Self { m, tiles, tiles_per_block, block_len: tiles_per_block * Self::tile_len(k, kernel) }
    }

    /// Length of a packed tile of full height.
    fn tile_len(k: usize, kernel: &GemmKernel) -> usize {
        kernel.mr * k.next_multiple_of(CHUNK)
    }

    /// Most tiles of a block.
    fn most_tiles(k: usize, kernel: &GemmKernel) -> usize {
        (BLOCK / Self::tile_len(k, kernel)).max(1)
    }

    fn blocks(&self) -> usize {
        self.tiles.div_ceil(self.tiles_per_block)
    }

    fn block(&self, index: usize) -> Range<usize> {
        let start = index * self.tiles_per_block;
        start..(start + self.tiles_per_block).min(self.tiles)
    }

    /// The rows of tile `index`: the first `m % tiles` tiles have one row more than the others.
    fn tile(&self, index: usize) -> Range<usize> {
        let start = |i: usize| i * (self.m / self.tiles) + i.min(self.m % self.tiles);
        start(index)..start(index + 1)
    }
}

/// Scratch that [`gemm`] needs for `m` rows, in f32: enough for fewer rows, too.
pub fn scratch_len(cx: &Cx, m: usize, rhs: &PackedMatrix) -> usize {
    // The largest block may be less than this, but fewer rows may be cut into larger blocks.
    let kernel = rhs.kernel();
    let most = Cut::most_tiles(rhs.cols(), kernel).min(m.div_ceil(kernel.mr));
    cx.threads() * padded(most * Cut::tile_len(rhs.cols(), kernel))
}

/// `output ← activation(lhs · rhsᵀ + bias)`, shapes `[M, K] · [N, K]ᵀ + [N] → [M, N]`.
///
/// `scratch` holds at least [`scratch_len`] f32.
///
/// # Panics
/// If the shapes do not fit, the scratch is too small, or `rhs` was packed for another level than `cx` has.
pub fn gemm(
    cx: &Cx,
    lhs: &impl Lhs,
    rhs: &PackedMatrix,
    bias: Option<&[f32]>,
    activation: Activation,
    output: Output<'_>,
    mut scratch: Scratch<'_>,
) {
    let (m, k, n) = (lhs.rows(), rhs.cols(), rhs.rows());
    assert_eq!(lhs.depth(), k, "depth of the left-hand side");
    assert!(bias.is_none_or(|bias| bias.len() == n), "bias of length {n}");
    assert_eq!(cx.level().name(), rhs.level().name(), "level of the packed weights");
    if m == 0 {
        return;
    }
    let target = Target::new(output, m, n);
    let cut = Cut::new(m, k, rhs.kernel());
    let threads = cx.threads();
    let lane_len = padded(cut.block_len);
    let packed = SharedMut::new(scratch.take(threads * lane_len));
    let product = Product { rhs, bias, activation, target, cut };

    if cut.blocks() >= 4 * threads || threads == 1 {
        // Many rows: a lane takes a block of rows through all panels.
        cx.parallel_for(cut.blocks(), |lane, block| {
            // SAFETY: lanes' pieces are disjoint, and a lane does one task at a time.
            let packed = unsafe { packed.range(lane * lane_len..(lane + 1) * lane_len) };
            let tiles = cut.block(block);
            let mut rest = &mut *packed;
            for tile in tiles.clone() {
                let (out, after) = rest.split_at_mut(product.packed_len(tile));
                lhs.pack(cut.tile(tile), out);
                rest = after;
            }
            product.sweep(tiles, packed, 0..rhs.panel_count());
        });
    } else {
        // Few rows: all lanes pack a block together, then share out its panels, and its tiles where the panels alone are
        // too few to keep all lanes busy to the end.
        let groups = (4 * threads).min(rhs.panel_count());
        let bound = |part: usize, parts: usize, len: usize| part * len / parts;
        for block in 0..cut.blocks() {
            let tiles = cut.block(block);
            let offset =
                |tile| (cut.tile(tile).start - cut.tile(tiles.start).start) * k.next_multiple_of(CHUNK);
            cx.parallel_for(tiles.len(), |_, i| {
                let tile = tiles.start + i;
                // SAFETY: tiles' pieces are disjoint.
                lhs.pack(cut.tile(tile), unsafe {
                    packed.range(offset(tile)..offset(tile) + product.packed_len(tile))
                });
            });
            // SAFETY: packing is over; the block is only read from here on.
            let packed: &[f32] = unsafe { packed.range(0..lane_len) };
            let parts = (16 * threads).div_ceil(groups).min(tiles.len());
            cx.parallel_for(groups * parts, |_, task| {
                let (group, part) = (task / parts, task % parts);
                let tile = |part| tiles.start + bound(part, parts, tiles.len());
                let panel = |group| bound(group, groups, rhs.panel_count());
                let tiles = tile(part)..tile(part + 1);
                product.sweep(tiles, &packed[offset(tile(part))..], panel(group)..panel(group + 1));
            });
        }
    }
}

/// What all lanes of one product share.
struct Product<'a> {
    rhs: &'a PackedMatrix,
    bias: Option<&'a [f32]>,
    activation: Activation,
    target: Target<'a>,
    cut: Cut,
}

impl Product<'_> {
    fn packed_len(&self, tile: usize) -> usize {
        self.cut.tile(tile).len() * self.rhs.cols().next_multiple_of(CHUNK)
    }

    /// Computes the outputs of `tiles`, packed one after the other in `packed`, in the columns of `panels`.
    fn sweep(&self, tiles: Range<usize>, packed: &[f32], panels: Range<usize>) {
        let nr = self.rhs.kernel().nr;
        for index in panels {
            let panel = self.rhs.panel(index);
            let n0 = index * nr;
            let cols = nr.min(self.rhs.rows() - n0);
            let mut init = [0.0; MAX_NR];
            if let Some(bias) = self.bias {
                init[..cols].copy_from_slice(&bias[n0..n0 + cols]);
            }
            let mut rest = packed;
            for tile in tiles.clone() {
                let (a, after) = rest.split_at(self.packed_len(tile));
                let rows = self.cut.tile(tile);
                let tile = Tile { origin: (rows.start, n0), rows: rows.len(), cols };
                self.tile(tile, a, panel, &init);
                rest = after;
            }
        }
    }

    fn tile(&self, tile: Tile, a: &[f32], panel: &[f32], init: &[f32; MAX_NR]) {
        let kernel = self.rhs.kernel();
        let level = self.rhs.level();
        let Tile { rows, cols, .. } = tile;
        let args = |c: *mut f32, ldc, accumulate| TileArgs {
            k: self.rhs.cols(),
            a: a.as_ptr(),
            b: panel.as_ptr(),
            init: init.as_ptr(),
            c,
            ldc,
            accumulate,
        };
        let old = self.target.old();
        match self.target.place(tile) {
            Some((c, stride)) if cols == kernel.nr && !(old == Old::Added && self.activation.is_some()) => {
                // SAFETY: `c` has this tile's rows, `a` and `panel` are packed for it, `init` holds `nr` values, and
                // the tiles of a product are disjoint.
                unsafe {
                    kernel.run(level, rows, args(c, stride, old != Old::Lost));
                    output::activate(level, self.activation, c, stride, rows, cols);
                }
            }
            _ => {
                let mut values = [0.0; MAX_TILE];
                // SAFETY: as above; `values` holds the largest tile.
                unsafe {
                    kernel.run(level, rows, args(values.as_mut_ptr(), kernel.nr, false));
                    if old == Old::Activated {
                        self.target.add_old(tile, &mut values, kernel.nr);
                    }
                    let c = values.as_mut_ptr();
                    output::activate(level, self.activation, c, kernel.nr, rows, kernel.nr);
                    self.target.write(tile, &mut values, kernel.nr);
                }
            }
        }
    }
}
