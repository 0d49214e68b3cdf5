//! The bytes of packed matrices, which files keep: `weights::prepacked`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::super::format::WeightFormat;
use super::super::kernel::WeightKernel;
use super::super::{F32Kernel, PackedWeights};
use super::format;
use crate::simd::Level;

/// FNV-1a of the matrix that the test packs, by kernel, for version "1" of the layouts. Where this changes,
/// `weights::PACKED_VERSION` has to.
const LAYOUTS: &[(&str, u32)] = &[
    ("f32-portable-4x8", 0x442b87c1),
    ("f16-portable-4x8", 0x9b2521f4),
    ("bf16-portable-4x8", 0xf4eda221),
    ("int8-portable-4x8", 0x1dee449e),
    ("q4-portable-4x8", 0x7e7e93dd),
    ("f32-avx2-6x16", 0x1760e28d),
    ("f16-avx2-6x16", 0xea62d024),
    ("bf16-avx2-6x16", 0xad939f7d),
    ("int8-avx2-6x16", 0x646b27ce),
    ("q4-avx2-6x16", 0xbf4a963d),
    ("f32-avx512-14x32", 0xda94b811),
    ("f16-avx512-14x32", 0x424ce524),
    ("bf16-avx512-14x32", 0x24732ee1),
    ("bf16-avx512-bf16-14x32", 0xc6f8d0a1),
    ("bf16-amx-32x32", 0xc6f8d0a1),
    ("int8-avx512-13x32", 0x1a6465fe),
    ("int8-avx512-vnni-14x32", 0x5c10e1f2),
    ("int8-avx-vnni-6x16", 0x778bd3b2),
    ("int8-amx-32x32", 0x7eb94df2),
    ("q4-avx512-14x32", 0x389bd299),
    ("f32-neon-6x16", 0x1760e28d),
    ("f16-neon-6x16", 0xea62d024),
    ("bf16-neon-6x16", 0xad939f7d),
    ("int8-neon-6x16", 0x646b27ce),
    ("q4-neon-6x16", 0xbf4a963d),
    ("bf16-neon-bfdot-6x16", 0xbbc3d0d9),
    ("int8-neon-dotprod-6x16", 0x778bd3b2),
];

fn hash(weights: &PackedWeights) -> u32 {
    let bytes = weights.memory().into_iter().flat_map(|part| part.iter().flat_map(|x| x.to_le_bytes()));
    bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Kernels that this CPU need not have: packing takes none of their instructions.
fn beyond() -> Vec<(&'static WeightKernel, Level)> {
    #[cfg(target_arch = "x86_64")]
    let kernels =
        [&super::super::dots_x86::INT8_AVX_VNNI, &super::super::amx::BF16, &super::super::amx::INT8];
    #[cfg(target_arch = "aarch64")]
    let kernels = [&super::super::dots_neon::INT8_DOTPROD, &super::super::dots_neon::BF16_BFDOT];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let kernels: [&'static WeightKernel; 0] = [];
    kernels.map(|kernel| (kernel, Level::detect())).into()
}

#[test]
fn packed_matrices_have_the_bytes_of_their_version() {
    let [rows, cols] = [37, 70];
    let f32s = Level::available()
        .filter_map(|level| Some((F32Kernel::of(level).weights(WeightFormat::F32)?, level)));
    let kernels: Vec<(&'static WeightKernel, Level)> =
        f32s.chain(format::kernels()).chain(beyond()).collect();
    let mut missing = Vec::<String>::new();
    for (kernel, level) in kernels.into_iter().filter(|(kernel, _)| !kernel.name.contains("emulated")) {
        let weights = PackedWeights::pack_for(kernel, level, rows, cols, |row, out| {
            for (col, x) in out.iter_mut().enumerate() {
                *x = ((row * 31 + col * 17) % 64) as f32 - 20.5;
            }
            Ok(())
        })
        .unwrap();
        let found = (kernel.name, hash(&weights));
        if !LAYOUTS.contains(&found) {
            missing.push(format!("{found:#x?}"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
