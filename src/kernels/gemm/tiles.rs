//! Tiles that multiply activations with each other.

use core::ops::Range;

use super::decoded::bf16_pairs;
use super::dots::DotWork;
use super::format::{Packing, WeightFormat};
use super::kernel::{CHUNK, Convert, TileArgs, WeightKernel};
use super::lhs::Lhs;
use super::tile_f32::F32Kernel;
use crate::exec::Cx;
use crate::kernels::len::len_of;
use crate::simd::{Level, Simd, Vectorize};

/// Numbers that become one packed chunk of a row in [`Tiles::Bf16`].
pub(crate) const PAIRS: usize = 2 * CHUNK;

/// Pairs of a depth of `k`: the last ones may have a zero as their second number.
pub(crate) fn pairs(k: usize) -> usize {
    k / PAIRS * CHUNK + (k % PAIRS).min(CHUNK)
}

/// The numbers of pair `index`. The first is never before `index`.
#[inline(always)]
pub(crate) fn pair(index: usize) -> [usize; 2] {
    let first = index / CHUNK * PAIRS + index % CHUNK;
    [first, first + CHUNK]
}

/// Of f32, or of pairs of bfloat16, which are kept in buffers of f32: a pair, `k` and `k + 16` of 32, is a word.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tiles {
    F32(&'static F32Kernel),
    Bf16(&'static WeightKernel),
}

impl Tiles {
    /// Of bfloat16 if it is permitted and the CPU multiplies it.
    pub(crate) fn of(cx: &Cx, bf16: bool) -> Self {
        // Not AMX: with the 64 features of a head its tiles are short, and nobody has measured them here.
        let extensions = cx.extensions().without_amx();
        let packing = Packing { level: cx.level(), extensions, format: WeightFormat::Bf16 };
        match WeightKernel::of(packing) {
            kernel if bf16 && kernel.lhs_bytes == size_of::<u16>() => Self::Bf16(kernel),
            _ => Self::F32(F32Kernel::of(cx.level())),
        }
    }

    /// Most rows of a tile.
    pub(crate) fn mr(&self) -> usize {
        match self {
            Self::F32(kernel) => kernel.mr,
            Self::Bf16(kernel) => kernel.mr,
        }
    }

    /// Columns of a tile.
    pub(crate) fn nr(&self) -> usize {
        match self {
            Self::F32(kernel) => kernel.nr,
            Self::Bf16(kernel) => kernel.nr,
        }
    }

    pub(crate) fn are_bf16(&self) -> bool {
        matches!(self, Self::Bf16(_))
    }

    /// Words of each column in a panel whose depth is `k`.
    pub(crate) fn panel_words(&self, k: usize) -> usize {
        match self {
            Self::F32(_) => k,
            Self::Bf16(_) => k.next_multiple_of(PAIRS) / 2,
        }
    }

    /// Words of a packed row of `k` numbers.
    pub(crate) fn row_words(&self, k: usize) -> usize {
        self.panel_words(k).next_multiple_of(CHUNK)
    }

    /// Length of the buffer `plain` of [`pack`](Self::pack).
    pub(crate) fn plain_len(&self, k: usize) -> usize {
        match self {
            Self::F32(_) => 0,
            Self::Bf16(kernel) => kernel.mr * k.next_multiple_of(CHUNK),
        }
    }

    /// Packs `rows` of `lhs` as a tile, through the buffer `plain`.
    pub(crate) fn pack(
        &self,
        level: Level,
        lhs: &impl Lhs,
        rows: Range<usize>,
        plain: &mut [f32],
        out: &mut [f32],
    ) {
        let Self::Bf16(kernel) = self else { return lhs.pack(rows, out) };
        let (count, k) = (rows.len(), lhs.depth());
        lhs.pack(rows, plain);
        let convert = kernel.convert.expect("tiles of bfloat16 round their rows");
        convert(level, Convert { rows: count, k, from: plain, to: out, row_values: &mut [] });
    }

    /// Turns `panel: [k][nr]` into what the tiles read, in its place.
    pub(crate) fn round_panel(&self, level: Level, k: usize, panel: &mut [f32]) {
        if self.are_bf16() {
            level.dispatch(RoundPanel { k, nr: self.nr(), panel });
        }
    }

    /// Computes a tile of `rows` rows.
    ///
    /// # Safety
    /// As [`F32Kernel::run`], with operands as these tiles read them.
    #[inline]
    pub(crate) unsafe fn run(&self, level: Level, rows: usize, args: TileArgs<f32>) {
        // SAFETY: forwarded to the caller.
        unsafe {
            match self {
                Self::F32(kernel) => kernel.run(level, rows, args),
                Self::Bf16(kernel) => (kernel.run)(level, rows, args.cast()),
            }
        }
    }

    /// Does `work` with the instruction of tiles of bfloat16.
    ///
    /// # Panics
    /// If these are not.
    ///
    /// # Safety
    /// What the work says.
    pub(crate) unsafe fn run_dots(&self, level: Level, work: impl DotWork) {
        assert!(self.are_bf16(), "tiles of f32");
        // SAFETY: such tiles are only found where their instruction is; the rest is forwarded to the caller.
        #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
        return unsafe { super::dots_x86::run_bf16(level, work) };
        // SAFETY: as above.
        #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
        return unsafe { super::dots_neon::run_bf16(level, work) };
        #[cfg(not(any(
            all(target_arch = "x86_64", target_feature = "sse2"),
            all(target_arch = "aarch64", target_feature = "neon")
        )))]
        {
            let _ = (level, work);
            unreachable!("this target has no such instruction")
        }
    }
}

/// `[k][nr]` → `[k / 32][16][nr][2]`, so many as there are [`pairs`].
struct RoundPanel<'a> {
    k: usize,
    nr: usize,
    panel: &'a mut [f32],
}

impl Vectorize for RoundPanel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { k, nr, panel } = self;
        assert!(nr.is_multiple_of(S::LANES) && len_of([k, nr]) <= panel.len());
        for index in 0..pairs(k) {
            let [first, second] = pair(index);
            for at in (0..nr).step_by(S::LANES) {
                let p = panel.as_mut_ptr().wrapping_add(at);
                // SAFETY: the rows `first`, `second` if it is below `k`, and `index <= first`, which has been read, have `nr`
                // numbers, a multiple of `LANES`.
                unsafe {
                    let above = if second < k { s.load(p.add(second * nr)) } else { s.splat(0.0) };
                    s.store(p.add(index * nr), bf16_pairs(s, s.load(p.add(first * nr)), above));
                }
            }
        }
    }
}
