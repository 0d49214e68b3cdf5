//! Instructions beyond a [`Level`](super::Level) that multiply numbers of 8 and 16 bits.

use core::ops::BitOr;

/// Such instructions that this CPU is known to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions(u32);

/// Whether AMX is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AmxState {
    /// It was not asked for.
    #[default]
    NotAsked,
    /// The CPU or the operating system has none.
    Absent,
    /// The operating system does not permit it.
    Refused,
    /// It is used.
    Used,
}

/// The instructions by name.
const NAMES: [(Extensions, &str); 7] = [
    (Extensions::AVX_VNNI, "avx-vnni"),
    (Extensions::AVX512_VNNI, "avx512-vnni"),
    (Extensions::AVX512_BF16, "avx512-bf16"),
    (Extensions::AMX_BF16, "amx-bf16"),
    (Extensions::AMX_INT8, "amx-int8"),
    (Extensions::DOTPROD, "dotprod"),
    (Extensions::BF16, "bf16"),
];

impl Extensions {
    /// None.
    pub const NONE: Self = Self(0);
    /// AVX-VNNI: sums of four products of bytes, in vectors of 256 bits.
    pub(crate) const AVX_VNNI: Self = Self(1);
    /// AVX512-VNNI: the same in vectors of 512 bits.
    pub(crate) const AVX512_VNNI: Self = Self(1 << 1);
    /// AVX512-BF16: sums of two products of bfloat16.
    pub(crate) const AVX512_BF16: Self = Self(1 << 2);
    /// AMX-BF16: products of tiles of bfloat16.
    pub(crate) const AMX_BF16: Self = Self(1 << 3);
    /// AMX-INT8: products of tiles of bytes.
    pub(crate) const AMX_INT8: Self = Self(1 << 4);
    /// `sdot` of AArch64.
    pub(crate) const DOTPROD: Self = Self(1 << 5);
    /// `bfdot` of AArch64.
    pub(crate) const BF16: Self = Self(1 << 6);

    /// These and, if the CPU has AMX and the operating system permits this process to use it, AMX.
    ///
    /// On Linux that is a request, once for the whole process, with a side effect: signal stacks must have room for the tiles
    /// afterwards, so that a `sigaltstack` with less fails. Hence it is the caller's choice.
    pub fn with_amx(self) -> (Self, AmxState) {
        #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
        {
            let amx = super::detect::x86::Features::detect().amx();
            match amx {
                Self::NONE => (self, AmxState::Absent),
                _ if super::detect::x86::permit_amx() => (self | amx, AmxState::Used),
                _ => (self, AmxState::Refused),
            }
        }
        #[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
        {
            (self, AmxState::Absent)
        }
    }

    /// These without AMX.
    pub(crate) fn without_amx(self) -> Self {
        Self(self.0 & !(Self::AMX_BF16.0 | Self::AMX_INT8.0))
    }

    /// Those of this CPU that need no permission.
    pub fn detect() -> Self {
        #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
        {
            super::detect::x86::Features::detect().extensions()
        }
        #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
        {
            super::detect::aarch64_extensions()
        }
        #[cfg(not(any(
            all(target_arch = "x86_64", target_feature = "sse2"),
            all(target_arch = "aarch64", target_feature = "neon")
        )))]
        {
            Self::NONE
        }
    }

    /// Whether these are among them.
    pub(crate) fn has(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// Their names.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().filter(move |(extension, _)| self.has(*extension)).map(|(_, name)| name)
    }
}

impl BitOr for Extensions {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
