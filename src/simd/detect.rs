//! CPU detection by CPUID and XGETBV, the same with and without the standard library.
//!
//! Source: Intel SDM vol. 2A (CPUID) and vol. 1 §13.2, §15.2 (state that the operating system must enable).

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
pub(super) mod x86 {
    use core::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};

    use crate::simd::Extensions;

    /// What matters here of CPUID and XCR0.
    pub(in crate::simd) struct Features {
        leaf1_ecx: u32,
        leaf7_ebx: u32,
        leaf7_ecx: u32,
        leaf7_edx: u32,
        leaf7_1_eax: u32,
        xcr0: u64,
    }

    impl Features {
        pub(in crate::simd) fn detect() -> Self {
            #[target_feature(enable = "xsave")]
            fn xcr0() -> u64 {
                // SAFETY: the caller checked OSXSAVE, so XGETBV exists and XCR0 is readable.
                unsafe { _xgetbv(0) }
            }
            const OSXSAVE: u32 = 1 << 27;
            let leaf1_ecx = __cpuid(1).ecx;
            let (mut leaf7_ebx, mut leaf7_ecx, mut leaf7_edx, mut leaf7_1_eax) = (0, 0, 0, 0);
            if __cpuid(0).eax >= 7 {
                let leaf7 = __cpuid_count(7, 0);
                (leaf7_ebx, leaf7_ecx, leaf7_edx) = (leaf7.ebx, leaf7.ecx, leaf7.edx);
                if leaf7.eax >= 1 {
                    leaf7_1_eax = __cpuid_count(7, 1).eax;
                }
            }
            let xcr0 = if leaf1_ecx & OSXSAVE != 0 {
                // SAFETY: OSXSAVE says that the CPU has XSAVE and the operating system enabled it.
                unsafe { xcr0() }
            } else {
                0
            };
            Self { leaf1_ecx, leaf7_ebx, leaf7_ecx, leaf7_edx, leaf7_1_eax, xcr0 }
        }

        /// AVX, AVX2, FMA, F16C, POPCNT, and YMM state saved by the operating system.
        pub(in crate::simd) fn avx2(&self) -> bool {
            const FMA_POPCNT_AVX_F16C: u32 = 1 << 12 | 1 << 23 | 1 << 28 | 1 << 29;
            const AVX2: u32 = 1 << 5;
            const YMM: u64 = 0b110;
            self.leaf1_ecx & FMA_POPCNT_AVX_F16C == FMA_POPCNT_AVX_F16C
                && self.leaf7_ebx & AVX2 != 0
                && self.xcr0 & YMM == YMM
        }

        /// [`avx2`](Self::avx2), AVX-512 F, DQ, BW and VL, and ZMM and mask state saved.
        pub(in crate::simd) fn avx512(&self) -> bool {
            const F_DQ_BW_VL: u32 = 1 << 16 | 1 << 17 | 1 << 30 | 1 << 31;
            const ZMM: u64 = 0b1110_0000;
            self.avx2() && self.leaf7_ebx & F_DQ_BW_VL == F_DQ_BW_VL && self.xcr0 & ZMM == ZMM
        }
    }

    /// Asks Linux for the permission to use AMX, for all threads of the process; another system is taken to grant what it has
    /// enabled.
    ///
    /// Source: Documentation/arch/x86/xstate.rst of the kernel.
    pub(in crate::simd) fn permit_amx() -> bool {
        #[cfg(target_os = "linux")]
        {
            const ARCH_PRCTL: i64 = 158;
            const REQ_XCOMP_PERM: i64 = 0x1023;
            const TILE_DATA: i64 = 18;
            let mut result = ARCH_PRCTL;
            // SAFETY: this system call takes two numbers and touches no memory of the process.
            unsafe {
                core::arch::asm!(
                    "syscall",
                    inout("rax") result,
                    in("rdi") REQ_XCOMP_PERM,
                    in("rsi") TILE_DATA,
                    out("rcx") _,
                    out("r11") _,
                    options(nostack),
                );
            }
            result == 0
        }
        #[cfg(not(target_os = "linux"))]
        {
            true
        }
    }

    impl Features {
        /// AMX with AVX-512, as far as the operating system saves its state.
        pub(in crate::simd) fn amx(&self) -> Extensions {
            const BF16: u32 = 1 << 22;
            const TILE: u32 = 1 << 24;
            const INT8: u32 = 1 << 25;
            const TILES: u64 = 0b11 << 17;
            if !self.avx512() || self.leaf7_edx & TILE == 0 || self.xcr0 & TILES != TILES {
                return Extensions::NONE;
            }
            let found = [(BF16, Extensions::AMX_BF16), (INT8, Extensions::AMX_INT8)];
            let has = |bit: u32| self.leaf7_edx & bit != 0;
            found.into_iter().filter(|(bit, _)| has(*bit)).fold(Extensions::NONE, |all, (_, one)| all | one)
        }

        /// AVX-VNNI, AVX512-VNNI and AVX512-BF16, each with the level that it belongs to.
        pub(in crate::simd) fn extensions(&self) -> Extensions {
            let found = [
                (self.avx2() && self.leaf7_1_eax & 1 << 4 != 0, Extensions::AVX_VNNI),
                (self.avx512() && self.leaf7_ecx & 1 << 11 != 0, Extensions::AVX512_VNNI),
                (self.avx512() && self.leaf7_1_eax & 1 << 5 != 0, Extensions::AVX512_BF16),
            ];
            found.into_iter().filter(|(has, _)| *has).fold(Extensions::NONE, |all, (_, one)| all | one)
        }
    }

    #[cfg(all(test, feature = "std"))]
    mod tests {
        use super::{Extensions, Features};

        #[test]
        fn extensions_agree_with_the_standard_library() {
            let found = Features::detect().extensions();
            for (extension, expected) in [
                (Extensions::AVX_VNNI, std::is_x86_feature_detected!("avxvnni")),
                (Extensions::AVX512_VNNI, std::is_x86_feature_detected!("avx512vnni")),
                (Extensions::AVX512_BF16, std::is_x86_feature_detected!("avx512bf16")),
            ] {
                assert_eq!(found.has(extension), expected, "{extension:?}");
            }
        }

        #[test]
        fn agrees_with_the_standard_library() {
            let features = Features::detect();
            let avx2 = std::is_x86_feature_detected!("avx2")
                && std::is_x86_feature_detected!("fma")
                && std::is_x86_feature_detected!("f16c")
                && std::is_x86_feature_detected!("popcnt");
            let avx512 = avx2
                && std::is_x86_feature_detected!("avx512f")
                && std::is_x86_feature_detected!("avx512dq")
                && std::is_x86_feature_detected!("avx512bw")
                && std::is_x86_feature_detected!("avx512vl");
            assert_eq!((features.avx2(), features.avx512()), (avx2, avx512));
        }
    }
}

/// `sdot` and `bfdot`: as the operating system tells, or as the target has them.
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
pub(super) fn aarch64_extensions() -> super::Extensions {
    use super::Extensions;
    #[cfg(feature = "std")]
    let (dotprod, bf16) =
        (std::arch::is_aarch64_feature_detected!("dotprod"), std::arch::is_aarch64_feature_detected!("bf16"));
    #[cfg(not(feature = "std"))]
    let (dotprod, bf16) = (cfg!(target_feature = "dotprod"), cfg!(target_feature = "bf16"));
    let found = [(dotprod, Extensions::DOTPROD), (bf16, Extensions::BF16)];
    found.into_iter().filter(|(has, _)| *has).fold(Extensions::NONE, |all, (_, one)| all | one)
}
