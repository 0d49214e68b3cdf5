//! A product in int8, as one number. The example for WebAssembly computes it, too.

use vitrum::exec::Cx;
use vitrum::kernels::activation::Activation;
use vitrum::kernels::gemm::{self, Destination, PackedWeights, Packing, Rows, WeightFormat};

/// What [`hash`] is on every target, at every level, with all their instructions, and with any number of threads.
pub(crate) const EXPECTED: u64 = 0x85c0_401c_941d_7b3a;

/// FNV-1a of the bits of `[70, 1000] · [100, 1000]ᵀ + [100]`.
pub(crate) fn hash(cx: &Cx) -> u64 {
    let (m, n, k) = (70, 100, 1000);
    // Exact in f32, so that no target can round them otherwise.
    let values = |len: usize, step: usize| -> Vec<f32> {
        (0..len).map(|i| ((i * step + i / 7) % 1021) as f32 / 256.0 - 1.75).collect()
    };
    let (lhs, rhs, bias) = (values(m * k, 389), values(n * k, 577), values(n, 101));
    let packed = PackedWeights::pack(Packing::new(cx, WeightFormat::Int8), n, k, &rhs);
    let mut out = vec![f32::NAN; m * n];
    let mut workspace = cx.workspace(gemm::scratch_req(cx, m, &packed)).unwrap();
    let output = Destination::Store { out: &mut out, stride: n };
    let lhs = Rows::new(&lhs, m, k);
    gemm::gemm(cx, &lhs, &packed, Some(&bias), Activation::None, output, workspace.scratch());
    out.iter()
        .flat_map(|x| x.to_bits().to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
