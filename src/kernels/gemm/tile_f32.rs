//! Tiles of f32 products, held in registers.

use crate::simd::{Level, Portable, Simd, Vectorize};

use super::decoded;
use super::format::WeightFormat;
use super::kernel::{CHUNK, LINE, MAX_MR, MAX_NR, TileArgs, WeightKernel};

/// One tile: `MR` rows by `NV` vectors.
struct Tile<const MR: usize, const NV: usize>(TileArgs<f32>);

impl<const MR: usize, const NV: usize> Vectorize for Tile<MR, NV> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let TileArgs { k, mut a, mut b, init, init_stride, c, ldc, accumulate, ahead, .. } = self.0;
        // SAFETY: `F32Kernel::run`'s caller promises that all of `a`, `b`, `init` and `c` are valid for the
        // shapes documented at `TileArgs`; the loops below stay inside them.
        unsafe {
            let mut acc = [[s.splat(0.0); NV]; MR];
            for (i, row) in acc.iter_mut().enumerate() {
                *row = load_columns::<S, NV>(s, init.add(i * init_stride));
            }
            let mut next = ahead.first;
            for _ in 0..k / CHUNK {
                for _ in 0..ahead.lines_per_chunk {
                    s.prefetch(next);
                    next = next.wrapping_add(LINE);
                }
                for kk in 0..CHUNK {
                    step(s, &mut acc, a.add(kk), b);
                    b = b.add(NV * S::LANES);
                }
                a = a.add(MR * CHUNK);
            }
            for kk in 0..k % CHUNK {
                step(s, &mut acc, a.add(kk), b);
                b = b.add(NV * S::LANES);
            }
            for (i, row) in acc.iter().enumerate() {
                for (j, &sum) in row.iter().enumerate() {
                    let c = c.add(i * ldc + j * S::LANES);
                    s.store(c, if accumulate { s.add(s.load(c), sum) } else { sum });
                }
            }
        }
    }
}

// Functions and not closures: a closure could be left as a function of its own, without the level's features.

/// `NV` vectors from `p`.
///
/// # Safety
/// `p` is valid for `NV · LANES` reads.
#[inline(always)]
unsafe fn load_columns<S: Simd, const NV: usize>(s: S, p: *const f32) -> [S::F; NV] {
    let mut columns = [s.splat(0.0); NV];
    for (j, column) in columns.iter_mut().enumerate() {
        // SAFETY: forwarded to the caller.
        *column = unsafe { s.load(p.add(j * S::LANES)) };
    }
    columns
}

/// `acc[i] += a[i · CHUNK] · b`, for one `k`.
///
/// # Safety
/// `a` is valid for reads at these places, `b` for `NV · LANES` reads.
#[inline(always)]
unsafe fn step<S: Simd, const MR: usize, const NV: usize>(
    s: S,
    acc: &mut [[S::F; NV]; MR],
    a: *const f32,
    b: *const f32,
) {
    // SAFETY: forwarded to the caller.
    let columns = unsafe { load_columns::<S, NV>(s, b) };
    for (i, row) in acc.iter_mut().enumerate() {
        // SAFETY: forwarded to the caller.
        let x = s.splat(unsafe { *a.add(i * CHUNK) });
        for (sum, &column) in row.iter_mut().zip(&columns) {
            *sum = s.fma(x, column, *sum);
        }
    }
}

/// A tile function for a fixed number of rows. The level proves that its instructions exist.
type TileFn = unsafe fn(Level, TileArgs<f32>);

/// Computes a tile.
///
/// # Safety
/// As [`F32Kernel::run`].
unsafe fn entry<S: Simd, const MR: usize, const NV: usize>(level: Level, args: TileArgs<f32>) {
    let simd = S::of(level).expect("a kernel is only run at its own level");
    simd.dispatch(Tile::<MR, NV>(args));
}

/// The f32 tiles of a level: what attention and the mask decoder, whose operands are packed at run time, multiply
/// with, and what the f32 row of [`WeightKernel`](super::WeightKernel) runs.
pub struct F32Kernel {
    /// `f32-level-rows x columns` of the largest tile.
    pub name: &'static str,
    /// Most rows of a tile.
    pub mr: usize,
    /// Columns of a tile, and of a panel.
    pub nr: usize,
    /// `tiles[rows - 1]`.
    tiles: &'static [TileFn],
    weights: [WeightKernel; 4],
}

impl F32Kernel {
    /// The tiles of `level`.
    pub fn of(level: Level) -> &'static Self {
        match level {
            Level::Portable(_) => &PORTABLE,
            #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
            Level::Avx2(_) => &AVX2,
            #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
            Level::Avx512(_) => &AVX512,
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Level::Neon(_) => &NEON,
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Level::Simd128(_) => &SIMD128,
        }
    }

    /// The same tiles as a row of the table of weight kernels, for weights that are f32 or become it.
    pub(super) fn weights(&self, format: WeightFormat) -> Option<&WeightKernel> {
        self.weights.iter().find(|kernel| kernel.format == format)
    }

    /// Computes a tile of `rows` rows.
    ///
    /// # Safety
    /// The pointers in `args` are valid for the shapes documented there, with `mr = rows`.
    ///
    /// # Panics
    /// If `rows` is not in `1..=mr`, or the kernel belongs to another level.
    #[inline]
    pub(crate) unsafe fn run(&self, level: Level, rows: usize, args: TileArgs<f32>) {
        // SAFETY: forwarded to the caller.
        unsafe { self.tiles[rows - 1](level, args) }
    }
}

impl core::fmt::Debug for F32Kernel {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name)
    }
}

/// Packs `[nr][k]` as `[k][nr]`.
fn pack(nr: usize, rows: &[f32], panel: &mut [u8], _columns: &mut [f32]) {
    let panel: &mut [f32] = bytemuck::cast_slice_mut(panel);
    for (row, values) in rows.chunks_exact(rows.len() / nr).enumerate() {
        panel[row..].iter_mut().step_by(nr).zip(values).for_each(|(to, from)| *to = *from);
    }
}

/// [`F32Kernel::run`] for weights.
///
/// # Safety
/// As there.
unsafe fn run(level: Level, rows: usize, args: TileArgs<u8>) {
    // SAFETY: forwarded to the caller.
    unsafe { F32Kernel::of(level).run(level, rows, args.cast()) }
}

/// f32 as they are.
const fn weights(name: &'static str, mr: usize, nr: usize) -> WeightKernel {
    WeightKernel {
        name,
        format: WeightFormat::F32,
        mr,
        nr,
        k_unit: 1,
        unit_bytes: nr * size_of::<f32>(),
        lhs_bytes: size_of::<f32>(),
        column_values: 0,
        row_values: 0,
        pack,
        convert: None,
        decode: None,
        run,
        pass: None,
        finish: None,
    }
}

/// A static `F32Kernel` over all its row counts.
macro_rules! kernel {
    ($name:literal, $simd:ty, $nv:literal vectors, [$($mr:literal)+]) => {{
        const MR: usize = [$($mr),+].len();
        const NR: usize = $nv * <$simd>::LANES;
        // The tile kernel reads and writes `nr` columns of buffers that have `MAX_NR`.
        const { assert!(MR <= MAX_MR && NR <= MAX_NR) };
        F32Kernel {
            name: concat!("f32-", $name),
            mr: MR,
            nr: NR,
            tiles: &[$(entry::<$simd, $mr, $nv>),+],
            weights: [
                weights(concat!("f32-", $name), MR, NR),
                decoded::f16_kernel(concat!("f16-", $name), MR, NR, run),
                decoded::bf16_kernel(concat!("bf16-", $name), MR, NR, run),
                decoded::q4_kernel(concat!("q4-", $name), MR, NR, run),
            ],
        }
    }};
}

// Accumulators, one row's broadcast and the columns must fit the register file: 16 registers of SSE2 (a `wide`
// vector takes two) and AVX2, 32 of AVX-512 and NEON; wasm engines map to 16 or 32.
static PORTABLE: F32Kernel = kernel!("portable-4x8", Portable, 1 vectors, [1 2 3 4]);
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
static AVX2: F32Kernel = kernel!("avx2-6x16", crate::simd::Avx2, 2 vectors, [1 2 3 4 5 6]);
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
static AVX512: F32Kernel =
    kernel!("avx512-14x32", crate::simd::Avx512, 2 vectors, [1 2 3 4 5 6 7 8 9 10 11 12 13 14]);
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
static NEON: F32Kernel = kernel!("neon-6x16", crate::simd::Neon, 4 vectors, [1 2 3 4 5 6]);
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
static SIMD128: F32Kernel = kernel!("simd128-4x8", crate::simd::Simd128, 2 vectors, [1 2 3 4]);
