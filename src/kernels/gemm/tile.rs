//! The innermost kernel: one tile of outputs, held in registers.

use crate::simd::{Level, Portable, Simd, Vectorize};

/// Consecutive `k` of one row in a packed left-hand side: `[K / CHUNK][mr][CHUNK]`, the last chunk as wide as the
/// others. Packing is then a copy of cache lines, and the kernel still reads one contiguous stream.
pub(crate) const CHUNK: usize = 16;

/// What a tile kernel computes: `c[i][j] = init[j] + Σₖ a[i][k] · b[k][j]`, plus the old `c[i][j]` if `accumulate`.
#[derive(Clone, Copy)]
pub(crate) struct TileArgs {
    /// Length of the sums.
    pub(crate) k: usize,
    /// Packed rows, `[K / CHUNK][mr][CHUNK]`.
    pub(crate) a: *const f32,
    /// Packed columns, `[K][nr]`.
    pub(crate) b: *const f32,
    /// Start values, `[nr]`.
    pub(crate) init: *const f32,
    /// Output, `[mr][nr]` with rows `ldc` apart.
    pub(crate) c: *mut f32,
    /// Distance of output rows.
    pub(crate) ldc: usize,
    /// Add to the output instead of overwriting it.
    pub(crate) accumulate: bool,
}

/// One tile: `MR` rows by `NV` vectors.
struct Tile<const MR: usize, const NV: usize>(TileArgs);

impl<const MR: usize, const NV: usize> Vectorize for Tile<MR, NV> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let TileArgs { k, mut a, mut b, init, c, ldc, accumulate } = self.0;
        // SAFETY: `GemmKernel::run`'s caller promises that all of `a`, `b`, `init` and `c` are valid for the
        // shapes documented at `TileArgs`; the loops below stay inside them.
        unsafe {
            let mut acc = [load_columns::<S, NV>(s, init); MR];
            for _ in 0..k / CHUNK {
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
type TileFn = unsafe fn(Level, TileArgs);

unsafe fn entry<S: Simd, const MR: usize, const NV: usize>(level: Level, args: TileArgs) {
    let simd = S::of(level).expect("a kernel is only run at its own level");
    simd.dispatch(Tile::<MR, NV>(args));
}

/// A family of tile kernels for one instruction set and weight format.
pub struct GemmKernel {
    /// `type-level-rows x columns` of the largest tile.
    pub name: &'static str,
    /// Most rows of a tile.
    pub mr: usize,
    /// Columns of a tile, and of a weight panel.
    pub nr: usize,
    /// `tiles[rows - 1]`.
    tiles: &'static [TileFn],
}

impl GemmKernel {
    /// The f32 kernel of `level`.
    pub fn f32(level: Level) -> &'static Self {
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

    /// Computes a tile of `rows` rows.
    ///
    /// # Safety
    /// The pointers in `args` are valid for the shapes documented there, with `mr = rows`.
    ///
    /// # Panics
    /// If `rows` is not in `1..=mr`, or the kernel belongs to another level.
    #[inline]
    pub(crate) unsafe fn run(&self, level: Level, rows: usize, args: TileArgs) {
        // SAFETY: forwarded to the caller.
        unsafe { self.tiles[rows - 1](level, args) }
    }
}

impl core::fmt::Debug for GemmKernel {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name)
    }
}

/// A static `GemmKernel` over all its row counts.
macro_rules! kernel {
    ($name:literal, $simd:ty, $nv:literal vectors, [$($mr:literal)+]) => {
        GemmKernel {
            name: $name,
            mr: [$($mr),+].len(),
            // The tile kernel reads and writes `nr` columns of buffers that have `MAX_NR`.
            nr: const {
                assert!([$($mr),+].len() <= MAX_MR && $nv * <$simd>::LANES <= MAX_NR);
                $nv * <$simd>::LANES
            },
            tiles: &[$(entry::<$simd, $mr, $nv>),+],
        }
    };
}

// Accumulators, one row's broadcast and the columns must fit the register file: 16 registers of SSE2 (a `wide`
// vector takes two) and AVX2, 32 of AVX-512 and NEON; wasm engines map to 16 or 32.
static PORTABLE: GemmKernel = kernel!("f32-portable-4x8", Portable, 1 vectors, [1 2 3 4]);
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
static AVX2: GemmKernel = kernel!("f32-avx2-6x16", crate::simd::Avx2, 2 vectors, [1 2 3 4 5 6]);
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
static AVX512: GemmKernel =
    kernel!("f32-avx512-14x32", crate::simd::Avx512, 2 vectors, [1 2 3 4 5 6 7 8 9 10 11 12 13 14]);
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
static NEON: GemmKernel = kernel!("f32-neon-6x16", crate::simd::Neon, 4 vectors, [1 2 3 4 5 6]);
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
static SIMD128: GemmKernel = kernel!("f32-simd128-4x8", crate::simd::Simd128, 2 vectors, [1 2 3 4]);

/// Most rows of a tile, over all kernels.
pub(crate) const MAX_MR: usize = 14;
/// Most columns of a tile, over all kernels.
pub(crate) const MAX_NR: usize = 32;
/// Most outputs in a tile, over all kernels.
pub(crate) const MAX_TILE: usize = MAX_MR * MAX_NR;
