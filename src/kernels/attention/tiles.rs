//! The tiles that both products run on.

use crate::exec::Cx;
use crate::kernels::gemm::{CHUNK, F32Kernel, Packing, TileArgs, WeightFormat, WeightKernel};
use crate::simd::Level;

/// Numbers that become one packed chunk of a row in [`Tiles::Bf16`].
pub(super) const PAIRS: usize = 2 * CHUNK;

/// Of f32, or of pairs of bfloat16, which are kept in buffers of f32: a pair, `k` and `k + 16` of 32, is a word.
#[derive(Clone, Copy)]
pub(super) enum Tiles {
    F32(&'static F32Kernel),
    Bf16(&'static WeightKernel),
}

impl Tiles {
    /// Of bfloat16 if it is permitted and the CPU multiplies it.
    pub(super) fn of(cx: &Cx, bf16: bool) -> Self {
        // Not AMX: with the 64 features of a head its tiles are short, and nobody has measured them here.
        let extensions = cx.extensions().without_amx();
        let packing = Packing { level: cx.level(), extensions, format: WeightFormat::Bf16 };
        match WeightKernel::of(packing) {
            kernel if bf16 && kernel.lhs_bytes == size_of::<u16>() => Self::Bf16(kernel),
            _ => Self::F32(F32Kernel::of(cx.level())),
        }
    }

    /// Most rows of a tile.
    pub(super) fn mr(&self) -> usize {
        match self {
            Self::F32(kernel) => kernel.mr,
            Self::Bf16(kernel) => kernel.mr,
        }
    }

    /// Columns of a tile.
    pub(super) fn nr(&self) -> usize {
        match self {
            Self::F32(kernel) => kernel.nr,
            Self::Bf16(kernel) => kernel.nr,
        }
    }

    pub(super) fn are_bf16(&self) -> bool {
        matches!(self, Self::Bf16(_))
    }

    /// Words of each column in a panel whose depth is `k`.
    pub(super) fn panel_words(&self, k: usize) -> usize {
        match self {
            Self::F32(_) => k,
            Self::Bf16(_) => k.next_multiple_of(PAIRS) / 2,
        }
    }

    /// Words of a packed row of `k` numbers.
    pub(super) fn row_words(&self, k: usize) -> usize {
        self.panel_words(k).next_multiple_of(CHUNK)
    }

    /// Computes a tile of `rows` rows.
    ///
    /// # Safety
    /// As [`F32Kernel::run`], with operands as these tiles read them.
    #[inline]
    pub(super) unsafe fn run(&self, level: Level, rows: usize, args: TileArgs<f32>) {
        // SAFETY: forwarded to the caller.
        unsafe {
            match self {
                Self::F32(kernel) => kernel.run(level, rows, args),
                Self::Bf16(kernel) => (kernel.run)(level, rows, args.cast()),
            }
        }
    }
}
