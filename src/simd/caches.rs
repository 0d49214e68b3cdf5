//! Sizes of the CPU's data caches, from which kernels choose their block sizes.
//!
//! Source: Intel SDM vol. 2A (CPUID leaf 4), AMD APM vol. 3 (CPUID leaf 8000_001D, the same layout). Elsewhere a program
//! cannot ask the CPU, and [`Caches::SMALL`] holds. Block sizes change the speed and never a result.

/// Bytes of data that one core's caches hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caches {
    /// First level.
    pub l1: usize,
    /// Second level.
    pub l2: usize,
    /// Last level, which other cores share; 0 if unknown.
    pub last: usize,
}

impl Caches {
    /// What every CPU of interest has at least.
    pub const SMALL: Self = Self { l1: 32 << 10, l2: 512 << 10, last: 0 };

    /// The caches of this CPU, or [`SMALL`](Self::SMALL) where it does not tell.
    pub fn detect() -> Self {
        #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
        return x86::detect().unwrap_or(Self::SMALL);
        #[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
        Self::SMALL
    }
}

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod x86 {
    use core::arch::x86_64::{__cpuid, __cpuid_count, CpuidResult};

    use super::Caches;

    /// Reads the leaf that describes caches, whichever the vendor has.
    pub(super) fn detect() -> Option<Caches> {
        /// ECX of leaf 8000_0001: leaf 8000_001D exists.
        const TOPOLOGY_EXTENSIONS: u32 = 1 << 22;
        let amd =
            __cpuid(0x8000_0000).eax >= 0x8000_001d && __cpuid(0x8000_0001).ecx & TOPOLOGY_EXTENSIONS != 0;
        let leaf = if amd {
            0x8000_001d
        } else if __cpuid(0).eax >= 4 {
            4
        } else {
            return None;
        };
        collect((0..16).map(|index| __cpuid_count(leaf, index)))
    }

    /// The data caches among `descriptors`, which end with one of type 0.
    pub(super) fn collect(descriptors: impl Iterator<Item = CpuidResult>) -> Option<Caches> {
        let mut levels = [0; 4];
        for CpuidResult { eax, ebx, ecx, .. } in descriptors {
            let (kind, level) = (eax & 0x1f, (eax >> 5 & 7) as usize);
            const INSTRUCTIONS: u32 = 2;
            match kind {
                0 => break,
                INSTRUCTIONS => continue,
                _ => (),
            }
            let field = |shift: u32, bits: u32| ((ebx >> shift & ((1 << bits) - 1)) + 1) as usize;
            let (ways, partitions, line) = (field(22, 10), field(12, 10), field(0, 12));
            let size = (ecx as usize).checked_add(1)?.checked_mul(ways * partitions * line)?;
            if let Some(of_level) = level.checked_sub(1).and_then(|level| levels.get_mut(level)) {
                *of_level = size;
            }
        }
        let [l1, l2, ..] = levels;
        let last = levels.into_iter().rev().find(|&size| size > 0)?;
        // A hypervisor may hide levels.
        let plausible = (8 << 10..=1 << 20).contains(&l1) && (64 << 10..=1 << 28).contains(&l2);
        plausible.then_some(Caches { l1, l2, last })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        /// A descriptor of `kind` at `level`: `size` bytes in 8 ways of 64-byte lines.
        fn descriptor(kind: u32, level: u32, size: u32) -> CpuidResult {
            let sets = size / (8 * 64);
            CpuidResult { eax: kind | level << 5, ebx: 7 << 22 | 63, ecx: sets.wrapping_sub(1), edx: 0 }
        }

        #[test]
        fn instruction_caches_are_left_out_and_hidden_levels_mean_unknown() {
            let [data, instructions, unified] = [1, 2, 3];
            let all = [
                descriptor(data, 1, 48 << 10),
                descriptor(instructions, 1, 32 << 10),
                descriptor(unified, 2, 2 << 20),
                descriptor(unified, 3, 64 << 20),
                descriptor(0, 0, 0),
                descriptor(unified, 2, 1 << 20),
            ];
            let caches = Caches { l1: 48 << 10, l2: 2 << 20, last: 64 << 20 };
            assert_eq!(collect(all.into_iter()), Some(caches));
            assert_eq!(collect(all[2..].iter().copied()), None);
            assert_eq!(collect([descriptor(0, 0, 0)].into_iter()), None);
        }
    }
}
