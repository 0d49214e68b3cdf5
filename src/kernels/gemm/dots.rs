//! Tiles for instructions that add the products of two units of 32 bits to a 32-bit sum: four bytes, or two bfloat16.

use super::bf16;
use super::format::WeightFormat;
use super::kernel::{LINE, MAX_MR, MAX_NR, TileArgs, WeightKernel};
use crate::simd::{Level, Simd};

/// Such an instruction. Operands and sums are vectors of a level; sums of bytes are integers, in the place of f32.
///
/// # Safety
/// [`run`](Dots::run) enters code that is compiled for all that [`dot`](Dots::dot) needs.
pub(super) unsafe trait Dots: Copy {
    /// The level whose vectors they are.
    type S: Simd;

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

    /// [`DotTile::run`], compiled for the instruction.
    ///
    /// # Safety
    /// The CPU has the instruction; and as [`WeightKernel::run`].
    unsafe fn run<const MR: usize, const NV: usize>(s: Self::S, tile: DotTile<MR, NV>);
}

/// One tile: `MR` rows by `NV` vectors.
pub(super) struct DotTile<const MR: usize, const NV: usize> {
    args: TileArgs<u8>,
    /// Units of the depth.
    units: usize,
}

/// Bytes of a unit.
pub(super) const QUAD: usize = 4;
/// Units in a chunk of a packed row, which is a cache line.
const UNITS: usize = LINE / size_of::<u32>();

impl<const MR: usize, const NV: usize> DotTile<MR, NV> {
    /// Computes it.
    ///
    /// # Safety
    /// As [`WeightKernel::run`], in code that is compiled for `D`.
    #[inline(always)]
    pub(super) unsafe fn run<D: Dots>(self, s: D::S) {
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
                    step::<D, MR, NV>(s, &mut sums, a.add(4 * unit), b);
                    b = b.add(4 * NV * D::S::LANES);
                }
                a = a.add(MR * LINE);
            }
            for unit in 0..self.units % UNITS {
                step::<D, MR, NV>(s, &mut sums, a.add(4 * unit), b);
                b = b.add(4 * NV * D::S::LANES);
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
            *column = s.load(b.add(4 * j * D::S::LANES).cast());
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

pub(super) unsafe fn entry<D: Dots, const K: usize, const MR: usize, const NV: usize>(
    level: Level,
    args: TileArgs<u8>,
) {
    let s = D::S::of(level).expect("a kernel is only run at its own level");
    let units = if K == QUAD { args.k.div_ceil(K) } else { bf16::units(args.k) };
    // SAFETY: forwarded to the caller.
    unsafe { D::run(s, DotTile::<MR, NV> { args, units }) }
}

/// A kernel of bfloat16.
pub(super) const fn bf16_kernel(
    name: &'static str,
    mr: usize,
    nr: usize,
    run: unsafe fn(Level, usize, TileArgs<u8>),
) -> WeightKernel {
    assert!(mr <= MAX_MR && nr <= MAX_NR);
    WeightKernel {
        name,
        format: WeightFormat::Bf16,
        mr,
        nr,
        k_unit: bf16::CHUNK_K,
        unit_bytes: bf16::CHUNK_K * size_of::<u16>() * nr,
        lhs_bytes: size_of::<u16>(),
        column_values: 0,
        row_values: 0,
        pack: bf16::pack,
        convert: Some(bf16::convert),
        decode: None,
        run,
        finish: None,
    }
}

/// A function that computes tiles of so many rows with an instruction.
macro_rules! tiles {
    ($dots:ty, $k:expr, $nv:literal vectors, [$($mr:literal)+]) => {{
        const TILES: &[TileFn] = &[$(entry::<$dots, { $k }, $mr, $nv>),+];
        // SAFETY: forwarded to the caller.
        |level, rows, args| unsafe { TILES[rows - 1](level, args) }
    }};
}
pub(super) use tiles;
