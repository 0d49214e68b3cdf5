//! The table of kernels that multiply with packed weights, and what a tile kernel is given.

use crate::kernels::len::len_of;
#[cfg(any(
    all(target_arch = "x86_64", target_feature = "sse2"),
    all(target_arch = "aarch64", target_feature = "neon")
))]
use crate::simd::Extensions;
use crate::simd::Level;

use super::format::{Packing, WeightFormat};
use super::int8;
use super::tile_f32::F32Kernel;

/// Consecutive `k` of one row in a packed left-hand side: `[K / CHUNK][mr][CHUNK]`, the last chunk as wide as the
/// others. Packing is then a copy of cache lines, and the kernel still reads one contiguous stream.
pub(crate) const CHUNK: usize = 16;
/// Most rows of a tile, over all kernels.
pub(crate) const MAX_MR: usize = 32;
/// Most columns of a tile, over all kernels.
pub(crate) const MAX_NR: usize = 32;
/// Most outputs in a tile, over all kernels.
pub(crate) const MAX_TILE: usize = MAX_MR * MAX_NR;

/// Start values of a tile without bias.
pub(crate) static ZEROS: [f32; MAX_NR] = [0.0; MAX_NR];

/// What a tile kernel computes: `c[i][j] = init[i][j] + Σₖ a[i][k] · b[k][j]`, plus the old `c[i][j]` if `accumulate`.
///
/// `T` is f32 for [`F32Kernel`], and bytes in the layout of its format for a [`WeightKernel`], whose sums may be integers in
/// the place of f32.
#[derive(Clone, Copy)]
pub(crate) struct TileArgs<T> {
    /// Length of the sums.
    pub(crate) k: usize,
    /// Packed rows, `[K / CHUNK][mr][CHUNK]`.
    pub(crate) a: *const T,
    /// Packed columns, `[K][nr]`.
    pub(crate) b: *const T,
    /// Start values, `[mr][nr]` with rows `init_stride` apart.
    pub(crate) init: *const f32,
    /// Distance of rows of start values; 0 if all rows start from the same.
    pub(crate) init_stride: usize,
    /// Output, `[mr][nr]` with rows `ldc` apart.
    pub(crate) c: *mut f32,
    /// Distance of output rows.
    pub(crate) ldc: usize,
    /// Add to the output instead of overwriting it.
    pub(crate) accumulate: bool,
    /// What will be read next.
    pub(crate) ahead: Ahead,
}

impl<T> TileArgs<T> {
    /// The same operands, of another type.
    pub(crate) fn cast<U>(self) -> TileArgs<U> {
        let Self { k, a, b, init, init_stride, c, ldc, accumulate, ahead } = self;
        TileArgs { k, a: a.cast(), b: b.cast(), init, init_stride, c, ldc, accumulate, ahead }
    }
}

impl TileArgs<f32> {
    /// `c ← a · b`: starts from zeros, fetches nothing ahead.
    pub(crate) fn product(k: usize, a: &[f32], b: &[f32], c: &mut [f32], ldc: usize) -> Self {
        Self {
            k,
            a: a.as_ptr(),
            b: b.as_ptr(),
            init: ZEROS.as_ptr(),
            init_stride: 0,
            c: c.as_mut_ptr(),
            ldc,
            accumulate: false,
            ahead: Ahead::NOTHING,
        }
    }
}

/// Memory that a tile kernel asks for while it computes, a few cache lines with every chunk of `k`.
///
/// Weights that come from memory arrive late otherwise: the CPU itself fetches ahead within a page of 4 KB only. Lines
/// that are asked for all at once wait for each other, so the tiles of a block share them out.
#[derive(Clone, Copy)]
pub(crate) struct Ahead {
    pub(crate) first: *const u8,
    pub(crate) lines_per_chunk: usize,
}

impl Ahead {
    pub(crate) const NOTHING: Self = Self { first: core::ptr::null(), lines_per_chunk: 0 };

    /// `bytes` from `first` on, shared out to `tiles` tiles of so many `chunks`. A single tile takes no longer than the
    /// CPU to read its weights, and is better left alone.
    pub(super) fn shares(
        first: *const u8,
        bytes: usize,
        tiles: usize,
        chunks: usize,
    ) -> impl Iterator<Item = Self> {
        let bytes = if tiles > 1 { bytes } else { 0 };
        let lines_per_chunk = bytes.div_ceil(LINE).div_ceil((tiles * chunks).max(1));
        let share = lines_per_chunk * chunks * LINE;
        (0..tiles).map(move |tile| match tile * share < bytes {
            true => Self { first: first.wrapping_add(tile * share), lines_per_chunk },
            false => Self::NOTHING,
        })
    }
}

/// Bytes of a cache line.
pub(super) const LINE: usize = 64;

/// How weights of one format are packed and multiplied at one level: a row of the table [`WeightKernel::of`].
///
/// Rows of a left-hand side are packed as f32, and panels of weights in their format. What the tiles read may be something
/// else: rows are converted as they are packed, panels are decoded a block of the depth at a time.
pub struct WeightKernel {
    /// `format-level-rows x columns` of the largest tile.
    pub name: &'static str,
    /// The format.
    pub format: WeightFormat,
    /// Most rows of a tile.
    pub mr: usize,
    /// Columns of a tile, and of a panel.
    pub nr: usize,
    /// `k` that are packed together; a panel has whole units.
    pub k_unit: usize,
    /// Bytes of a unit of a panel.
    pub unit_bytes: usize,
    /// Bytes of an element of a packed left-hand side, as the tiles read it.
    pub lhs_bytes: usize,
    /// Numbers that are kept for each column of a panel and given to `finish`, `[column_values][nr]`.
    pub(super) column_values: usize,
    /// Numbers that `convert` finds for each row and that `finish` is given, `[rows][row_values]`.
    pub(super) row_values: usize,
    /// Packs `nr` rows of `k` values each, one after the other, as a panel, and writes the values of its columns.
    pub(super) pack: fn(nr: usize, rows: &[f32], panel: &mut [u8], columns: &mut [f32]),
    /// Converts a packed tile.
    pub(super) convert: Option<fn(Level, Convert<'_>)>,
    /// Decodes whole units of a panel.
    pub(super) decode: Option<fn(Level, Decode<'_>)>,
    /// What a lane does around its tiles.
    pub(super) pass: Option<&'static Pass>,
    /// Computes a tile of so many rows: of f32 if there is no `finish`, of its sums if there is one.
    ///
    /// # Safety
    /// As [`F32Kernel::run`], in the layout of the format, between [`WeightKernel::enter`] and the end of what it returns.
    pub(crate) run: unsafe fn(Level, usize, TileArgs<u8>),
    /// Makes f32 of the sums of a tile.
    ///
    /// # Safety
    /// The output in [`Finish`] is valid, and nothing else accesses it.
    pub(super) finish: Option<unsafe fn(Level, Finish<'_>)>,
}

/// State of a CPU that tiles need.
///
/// # Safety
/// The functions need the instructions of the kernel that they are part of.
pub(super) struct Pass {
    /// Prepares it.
    pub(super) enter: unsafe fn(),
    /// Gives it back.
    pub(super) leave: unsafe fn(),
}

/// A lane between its first tile and its last.
pub(super) struct InPass(Option<&'static Pass>);

impl Drop for InPass {
    fn drop(&mut self) {
        if let Some(pass) = self.0 {
            // SAFETY: made by `enter`, whose caller promised the instructions.
            unsafe { (pass.leave)() }
        }
    }
}

/// A packed tile to convert.
pub(super) struct Convert<'a> {
    /// Its rows.
    pub(super) rows: usize,
    /// Its depth.
    pub(super) k: usize,
    /// `[K / CHUNK][rows][CHUNK]`; what is beyond `k` is unspecified.
    pub(super) from: &'a [f32],
    /// `[K / c][rows][c]` elements of the format, with so many in a chunk that it is a cache line. All are written.
    pub(super) to: &'a mut [f32],
    /// `[rows][row_values]`.
    pub(super) row_values: &'a mut [f32],
}

/// Units of a panel to decode.
pub(super) struct Decode<'a> {
    /// Columns of the panel.
    pub(super) nr: usize,
    /// The units.
    pub(super) from: &'a [u8],
    /// `[k][nr]`, for as many `k` as it holds.
    pub(super) to: &'a mut [f32],
}

/// The sums of a tile, and where they go: `c ← init + value(sums)`, or `c ← c + init + value(sums)`.
pub(super) struct Finish<'a> {
    /// `[rows][nr]`, in the format's own type.
    pub(super) sums: &'a [f32],
    /// Columns of the tile.
    pub(super) nr: usize,
    /// `[column_values][nr]`.
    pub(super) columns: &'a [f32],
    /// `[rows][row_values]`.
    pub(super) rows: &'a [f32],
    /// Start values of the columns, `[nr]`.
    pub(super) init: &'a [f32],
    /// `[rows][nr]` with rows `ldc` apart.
    pub(super) c: *mut f32,
    /// Distance of output rows.
    pub(super) ldc: usize,
    /// Whether the old output is added.
    pub(super) accumulate: bool,
}

impl WeightKernel {
    /// Whether it multiplies so fast that what surrounds a product counts for more: AMX.
    pub(crate) fn is_amx(&self) -> bool {
        self.pass.is_some()
    }

    /// Whether its packed rows are pairs of bfloat16.
    pub(super) fn is_paired(&self) -> bool {
        self.format == WeightFormat::Bf16 && self.lhs_bytes == size_of::<u16>()
    }

    /// The kernel for `packing`.
    pub fn of(packing: Packing) -> &'static Self {
        let Packing { level, extensions, format } = packing;
        match (format, level) {
            (WeightFormat::Int8, _) => int8::kernel(level, extensions),
            #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
            (WeightFormat::Bf16, Level::Avx512(_)) if extensions.has(Extensions::AMX_BF16) => {
                &super::amx::BF16
            }
            #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
            (WeightFormat::Bf16, Level::Avx512(_)) if extensions.has(Extensions::AVX512_BF16) => {
                &super::dots_x86::BF16_AVX512
            }
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            (WeightFormat::Bf16, Level::Neon(_)) if extensions.has(Extensions::BF16) => {
                &super::dots_neon::BF16_BFDOT
            }
            _ => F32Kernel::of(level).weights(format).expect("a kernel of f32 tiles"),
        }
    }

    /// Begins a lane's tiles, which end with what is returned.
    ///
    /// # Safety
    /// The CPU has the kernel's instructions, and this thread is in no other pass.
    pub(super) unsafe fn enter(&self) -> InPass {
        if let Some(pass) = self.pass {
            // SAFETY: forwarded to the caller.
            unsafe { (pass.enter)() }
        }
        InPass(self.pass)
    }

    /// Length of the sums of [`exercise`](Self::exercise).
    pub const EXERCISE: usize = 128;

    /// Computes the largest tile, `mr · nr` sums of [`EXERCISE`](Self::EXERCISE) products, so many times, with operands that
    /// stay in the first-level cache: the speed that no product of this format exceeds.
    ///
    /// # Panics
    /// If the kernel belongs to another level.
    pub fn exercise(&self, level: Level, times: usize) {
        let (a, b) = ([0.0; Self::EXERCISE * MAX_MR], [0.0; Self::EXERCISE * MAX_NR]);
        let mut c = [0.0; MAX_TILE];
        // SAFETY: a kernel is only found where its instructions are, and no product runs here.
        let _pass = unsafe { self.enter() };
        for _ in 0..times {
            let args = TileArgs {
                k: Self::EXERCISE,
                a: a.as_ptr().cast(),
                b: b.as_ptr().cast(),
                init: ZEROS.as_ptr(),
                init_stride: 0,
                c: c.as_mut_ptr(),
                ldc: self.nr,
                accumulate: false,
                ahead: Ahead::NOTHING,
            };
            // SAFETY: the operands hold the largest tile of any kernel, as f32.
            unsafe { (self.run)(level, self.mr, args) };
        }
        core::hint::black_box(c);
    }

    /// Bytes of `k` rows of a panel, whole units.
    pub(super) fn panel_bytes(&self, k: usize) -> usize {
        len_of([k.div_ceil(self.k_unit), self.unit_bytes])
    }

    /// Elements of a packed left-hand side in a cache line.
    pub(super) fn lhs_chunk(&self) -> usize {
        LINE / self.lhs_bytes
    }
}

impl core::fmt::Debug for WeightKernel {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name)
    }
}
