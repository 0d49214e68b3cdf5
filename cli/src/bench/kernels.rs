//! Kernels, at the sizes of the CLIP and SAM models.

use vitrum::exec::{ScratchReq, Workspace};
use vitrum::kernels::activation::Activation;
use vitrum::kernels::attention::{self, AttentionShape, Bias};
use vitrum::kernels::conv::{self, ConvShape, PackedConv, Patches};
use vitrum::kernels::gemm::{self, Destination, PackedWeights, Rows, WeightFormat};
use vitrum::kernels::norm;

use super::{Bench, Work};
use crate::failure::{Exit, OrExit, Result};

/// Numbers between −½ and ½.
fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i * 7919 % 1013) as f32 / 1013.0 - 0.5).collect()
}

fn workspace(req: ScratchReq) -> Result<Workspace> {
    let mut workspace = Workspace::default();
    workspace.reserve(req).or_exit(Exit::Other)?;
    Ok(workspace)
}

/// SAM's global layers, a square, CLIP B/16 and B/32, one token, a text.
pub(super) const SHAPES: [[usize; 3]; 10] = [
    [4096, 768, 768],
    [4096, 3072, 768],
    [4096, 768, 3072],
    [1024, 1024, 1024],
    [197, 768, 768],
    [50, 768, 768],
    [50, 3072, 768],
    [50, 768, 3072],
    [1, 768, 768],
    [77, 512, 512],
];

/// `[M, K] · [N, K]ᵀ + bias`, weights packed, for each of `shapes`, `[M, N, K]`.
pub(super) fn gemm(bench: &mut Bench<'_>, shapes: &[[usize; 3]]) -> Result<()> {
    for &[m, n, k] in shapes {
        let cx = bench.cx;
        let (lhs, bias, mut out) = (numbers(m * k), numbers(n), vec![0.0; m * n]);
        let rhs = PackedWeights::pack(bench.packing(), n, k, &numbers(n * k)).or_exit(Exit::Other)?;
        let mut workspace = workspace(gemm::scratch_req(cx, m, &rhs))?;
        let run = || {
            let (lhs, output) = (Rows::new(&lhs, m, k), Destination::Store { out: &mut out, stride: n });
            gemm::gemm(cx, &lhs, &rhs, Some(&bias), Activation::None, output, workspace.scratch());
        };
        bench.measure("gemm", format!("{m}x{n}x{k}"), Work::product(&[m, n, k]), run)?;
    }
    Ok(())
}

/// The same with weights that are in no cache: each run takes the next of as many copies as the last-level cache cannot
/// keep. A model's pass is like this; the bytes of the weights stand beside the arithmetic.
pub(super) fn gemm_cold(bench: &mut Bench<'_>) -> Result<()> {
    const LEAST: usize = 256 << 20;
    const MOST: usize = 1 << 30;
    for [m, n, k] in [[1, 768, 768], [50, 768, 768], [50, 3072, 768], [50, 768, 3072], [197, 768, 768]] {
        let cx = bench.cx;
        let bytes = PackedWeights::pack(bench.packing(), n, k, &numbers(n * k)).unwrap().bytes();
        let copies = (2 * cx.caches().last).clamp(LEAST, MOST).div_ceil(bytes);
        let (lhs, bias, mut out) = (numbers(m * k), numbers(n), vec![0.0; m * n]);
        let weights = numbers(n * k);
        let packing = bench.packing();
        let rhs: Vec<_> =
            (0..copies).map(|_| PackedWeights::pack(packing, n, k, &weights).unwrap()).collect();
        let mut next = rhs.iter().cycle();
        let mut workspace = workspace(gemm::scratch_req(cx, m, &rhs[0]))?;
        let run = || {
            let (lhs, output) = (Rows::new(&lhs, m, k), Destination::Store { out: &mut out, stride: n });
            let rhs = next.next().expect("copies");
            gemm::gemm(cx, &lhs, rhs, Some(&bias), Activation::None, output, workspace.scratch());
        };
        let work = Work { bytes: Some(bytes as f64), ..Work::product(&[m, n, k]) };
        bench.measure("gemm-cold", format!("{m}x{n}x{k}"), work, run)?;
    }
    Ok(())
}

/// Attention of CLIP B/32, B/16 and L/14, of a SAM global layer, and of a text (causal: half of the products count).
pub(super) fn attention(bench: &mut Bench<'_>) -> Result<()> {
    for (batches, heads, tokens, causal) in
        [(1, 12, 50, false), (1, 12, 197, false), (1, 16, 257, false), (1, 12, 4096, false), (8, 8, 77, true)]
    {
        let cx = bench.cx;
        let bf16 = bench.packing().format == WeightFormat::Bf16;
        let shape = AttentionShape { batches, heads, queries: tokens, keys: tokens, head_dim: 64, bf16 };
        let len = batches * heads * tokens * shape.head_dim;
        let (q, k, v, mut out) = (numbers(len), numbers(len), numbers(len), vec![0.0; len]);
        let mut workspace = workspace(attention::scratch_req(cx, &shape))?;
        let run = || {
            let bias = if causal { Bias::Causal } else { Bias::None };
            let scale = 0.125;
            attention::attention(cx, &shape, scale, &q, &k, &v, bias, &mut out, workspace.scratch());
        };
        let pairs = if causal { tokens * (tokens + 1) / 2 } else { tokens * tokens };
        let name = if causal { "attention-causal" } else { "attention" };
        let work = Work::product(&[batches, heads, 2, pairs, shape.head_dim]);
        bench.measure(name, format!("{batches}x{heads}x{tokens}x64"), work, run)?;
    }
    Ok(())
}

/// The patch embeddings of CLIP B/32, B/16 and L/14 and of SAM; both convolutions of SAM's neck; a depthwise one.
pub(super) fn conv(bench: &mut Bench<'_>) -> Result<()> {
    for (side, patch, outputs) in [(224, 32, 768), (224, 16, 768), (224, 14, 1024), (1024, 16, 768)] {
        let cx = bench.cx;
        let (rows, depth) = ((side / patch) * (side / patch), 3 * patch * patch);
        let (image, mut out) = (numbers(3 * side * side), vec![0.0; rows * outputs]);
        let weights = PackedWeights::pack(cx.level(), outputs, depth, &numbers(outputs * depth))
            .or_exit(Exit::Other)?;
        let mut workspace = workspace(gemm::scratch_req(cx, rows, &weights))?;
        let run = || {
            let patches = Patches::new(&image, 3, side, side, patch);
            let output = Destination::Store { out: &mut out, stride: outputs };
            gemm::gemm(cx, &patches, &weights, None, Activation::None, output, workspace.scratch());
        };
        let shape = format!("3x{side}x{side}/{patch}x{outputs}");
        bench.measure("patch-embedding", shape, Work::product(&[rows, outputs, depth]), run)?;
    }
    const SIDE: usize = 64;
    for (name, shape) in [
        ("conv-1x1", ConvShape::new(768, 256, [1, 1])),
        ("conv-3x3", ConvShape::new(256, 256, [3, 3]).with_padding([1, 1])),
        ("conv-depthwise-3x3", ConvShape::depthwise(256, [3, 3]).with_padding([1, 1])),
    ] {
        let cx = bench.cx;
        let pixels = SIDE * SIDE;
        let weights = shape.weight_shape().iter().product();
        let conv = PackedConv::pack(cx.level(), shape, &numbers(weights)).unwrap();
        let (input, mut out) = (numbers(pixels * shape.inputs), vec![0.0; pixels * shape.outputs]);
        let mut workspace = workspace(conv::scratch_req(cx, &conv, [SIDE; 2]))?;
        let run = || {
            let scratch = workspace.scratch();
            conv::conv2d(cx, &conv, [SIDE; 2], &input, None, Activation::None, &mut out, scratch);
        };
        let size = format!("{}x{SIDE}x{SIDE}x{}", shape.inputs, shape.outputs);
        bench.measure(name, size, Work::product(&[pixels, weights]), run)?;
    }
    Ok(())
}

/// Layer norm; 8 operations an element, read once and written once.
pub(super) fn norm(bench: &mut Bench<'_>) -> Result<()> {
    for (rows, features) in [(50, 768), (197, 768), (257, 1024), (4096, 768)] {
        let cx = bench.cx;
        let (x, weight, bias) = (numbers(rows * features), numbers(features), numbers(features));
        let mut out = vec![0.0; x.len()];
        let work = Work { flops: 8.0 * x.len() as f64, bytes: Some(8.0 * x.len() as f64) };
        let run = || norm::layer_norm(cx, &x, &weight, &bias, 1e-5, &mut out);
        bench.measure("layer-norm", format!("{rows}x{features}"), work, run)?;
    }
    Ok(())
}
