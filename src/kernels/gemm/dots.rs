//! Tiles for instructions that add the products of two units of 32 bits to a 32-bit sum: four bytes, two numbers of 16 bits, or
//! two bfloat16.

use super::kernel::{LINE, TileArgs};
use crate::simd::{Level, Simd};

/// Such an instruction. Operands and sums are vectors of a level; sums of bytes are integers, in the place of f32.
///
/// # Safety
/// [`run`](Dots::run) enters code that is compiled for all that [`dot`](Dots::dot) needs.
pub(crate) unsafe trait Dots: Copy {
    /// The level whose vectors they are.
    type S: Simd;

    /// Bytes of a unit of weights in a panel.
    const WEIGHT_BYTES: usize = 4;

    /// Units of a depth of `k`.
    fn units(k: usize) -> usize;

    /// A vector of units of weights.
    ///
    /// # Safety
    /// `p` is valid for reads of as many, and as [`dot`](Dots::dot).
    #[inline(always)]
    unsafe fn load(s: Self::S, p: *const u8) -> <Self::S as Simd>::F {
        // SAFETY: forwarded to the caller.
        unsafe { s.load(p.cast()) }
    }

    /// `sum + a₀ b₀ + a₁ b₁ …` in each lane.
    ///
    /// # Safety
    /// The CPU has the instruction, and the code that this is part of is compiled for it.
    unsafe fn dot(
        s: Self::S,
        sum: <Self::S as Simd>::F,
        a: <Self::S as Simd>::F,
        b: <Self::S as Simd>::F,
    ) -> <Self::S as Simd>::F;

    /// [`DotWork::run`], compiled for the instruction.
    ///
    /// # Safety
    /// The CPU has the instruction; and as [`DotWork::run`].
    unsafe fn run<W: DotWork>(s: Self::S, work: W);
}

/// Work with such an instruction.
pub(crate) trait DotWork {
    /// Does it.
    ///
    /// # Safety
    /// This is part of code that is compiled for `D`; and what the work says.
    unsafe fn run<D: Dots>(self, s: D::S);
}

/// One tile: `MR` rows by `NV` vectors.
pub(super) struct DotTile<const MR: usize, const NV: usize> {
    args: TileArgs<u8>,
    /// Units of the depth.
    units: usize,
}

/// Bytes of a unit of rows.
const UNIT: usize = 4;
/// Units in a chunk of a packed row, which is a cache line.
const UNITS: usize = LINE / UNIT;

impl<const MR: usize, const NV: usize> DotWork for DotTile<MR, NV> {
    /// Computes the tile, with the safety of [`WeightKernel::run`].
    #[inline(always)]
    unsafe fn run<D: Dots>(self, s: D::S) {
        let TileArgs { mut a, mut b, init, init_stride, c, ldc, accumulate, ahead, .. } = self.args;
        // SAFETY: the caller promises that all of `a`, `b`, `init` and `c` are valid for the shapes documented at
        // `TileArgs`; the loops below stay inside them.
        unsafe {
            let mut sums = [[s.splat(0.0); NV]; MR];
            for (i, row) in sums.iter_mut().enumerate() {
                for (j, sum) in row.iter_mut().enumerate() {
                    *sum = s.load(init.add(i * init_stride + j * D::S::LANES));
                }
            }
            let mut next = ahead.first;
            for _ in 0..self.units / UNITS {
                for _ in 0..ahead.lines_per_chunk {
                    s.prefetch(next);
                    next = next.wrapping_add(LINE);
                }
                for unit in 0..UNITS {
                    step::<D, MR, NV>(s, &mut sums, a.add(UNIT * unit), b);
                    b = b.add(D::WEIGHT_BYTES * NV * D::S::LANES);
                }
                a = a.add(MR * LINE);
            }
            for unit in 0..self.units % UNITS {
                step::<D, MR, NV>(s, &mut sums, a.add(UNIT * unit), b);
                b = b.add(D::WEIGHT_BYTES * NV * D::S::LANES);
            }
            for (i, row) in sums.iter().enumerate() {
                for (j, &sum) in row.iter().enumerate() {
                    let c = c.add(i * ldc + j * D::S::LANES);
                    s.store(c, if accumulate { s.add(s.load(c), sum) } else { sum });
                }
            }
        }
    }
}

/// `sums[i] += a[i · LINE] · b`, for one unit.
///
/// # Safety
/// `a` is valid for reads of a unit at these places, `b` for `NV · LANES` units; and as [`Dots::dot`].
#[inline(always)]
unsafe fn step<D: Dots, const MR: usize, const NV: usize>(
    s: D::S,
    sums: &mut [[<D::S as Simd>::F; NV]; MR],
    a: *const u8,
    b: *const u8,
) {
    // SAFETY: forwarded to the caller.
    unsafe {
        let mut columns = [s.splat(0.0); NV];
        for (j, column) in columns.iter_mut().enumerate() {
            *column = D::load(s, b.add(D::WEIGHT_BYTES * j * D::S::LANES));
        }
        for (i, row) in sums.iter_mut().enumerate() {
            let x = s.as_f32(s.i_splat(a.add(i * LINE).cast::<i32>().read_unaligned()));
            for (sum, &column) in row.iter_mut().zip(&columns) {
                *sum = D::dot(s, *sum, x, column);
            }
        }
    }
}

/// A tile function. The kernel that it is part of is only found where its instruction was detected.
pub(super) type TileFn = unsafe fn(Level, TileArgs<u8>);

/// Computes a tile.
///
/// # Safety
/// As [`WeightKernel::run`](super::WeightKernel), and the CPU has the instruction.
pub(super) unsafe fn entry<D: Dots, const MR: usize, const NV: usize>(level: Level, args: TileArgs<u8>) {
    let s = D::S::of(level).expect("a kernel is only run at its own level");
    let units = D::units(args.k);
    // SAFETY: forwarded to the caller.
    unsafe { D::run(s, DotTile::<MR, NV> { args, units }) }
}

/// A function that computes tiles of so many rows with an instruction.
macro_rules! tiles {
    ($dots:ty, $nv:literal vectors, [$($mr:literal)+]) => {{
        const TILES: &[TileFn] = &[$(entry::<$dots, $mr, $nv>),+];
        // SAFETY: forwarded to the caller.
        |level, rows, args| unsafe { TILES[rows - 1](level, args) }
    }};
}
pub(super) use tiles;
