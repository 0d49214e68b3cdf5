//! Convolutions of the models, each beside the product of the same size: `cargo bench --bench conv`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vitrum::exec::{Cx, CxOptions, Workspace};
use vitrum::kernels::activation::Activation;
use vitrum::kernels::conv::{self, ConvShape, PackedConv, Patches, conv2d};
use vitrum::kernels::gemm::{self, Destination, Lhs, PackedWeights, Rows};

/// Values between −0.5 and 0.5.
fn values(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i * 37 % 101) as f32 / 101.0 - 0.5).collect()
}

/// One thread, then as many as there are cores, at the best level.
fn contexts() -> Vec<Cx> {
    let cx = |threads| Cx::new(&CxOptions::default().with_threads(threads)).expect("a context");
    let all = cx(0);
    if all.threads() == 1 { vec![all] } else { vec![cx(1), all] }
}

/// Times `run` as `name`, at `flops` floating-point operations a call, in every context.
fn bench(c: &mut Criterion, name: &str, flops: usize, mut run: impl FnMut(&Cx, &mut Workspace)) {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(flops as u64));
    for cx in contexts() {
        let mut workspace = Workspace::default();
        group.bench_function(format!("{}/{} threads", cx.level().name(), cx.threads()), |b| {
            b.iter(|| run(&cx, &mut workspace));
        });
    }
    group.finish();
}

fn conv(c: &mut Criterion, name: &str, shape: ConvShape, size: [usize; 2]) {
    let level = vitrum::simd::Level::detect();
    let weights = shape.weight_shape().iter().product();
    let packed = PackedConv::pack(level, shape, &values(weights)).unwrap();
    let [rows, columns] = shape.output_size(size).expect("a possible size");
    let input = values(size[0] * size[1] * shape.inputs);
    let bias = values(shape.outputs);
    let mut out = vec![0.0; rows * columns * shape.outputs];
    bench(c, name, 2 * rows * columns * weights, |cx, workspace| {
        workspace.reserve(conv::scratch_req(cx, &packed, size)).unwrap();
        let scratch = workspace.scratch();
        conv2d(cx, &packed, size, &input, Some(&bias), Activation::None, &mut out, scratch);
    });
}

/// `lhs · weightsᵀ` with `n` columns.
fn product(c: &mut Criterion, name: &str, lhs: &impl Lhs, n: usize) {
    let (m, k) = (lhs.rows(), lhs.depth());
    let packed = PackedWeights::pack(vitrum::simd::Level::detect(), n, k, &values(n * k)).unwrap();
    let bias = values(n);
    let mut out = vec![0.0; m * n];
    bench(c, name, 2 * m * n * k, |cx, workspace| {
        workspace.reserve(gemm::scratch_req(cx, m, &packed)).unwrap();
        let output = Destination::Store { out: &mut out, stride: n };
        gemm::gemm(cx, lhs, &packed, Some(&bias), Activation::None, output, workspace.scratch());
    });
}

fn gemm_of(c: &mut Criterion, name: &str, [m, n, k]: [usize; 3]) {
    product(c, name, &Rows::new(&values(m * k), m, k), n);
}

/// The convolutions that run as products, with the product of the same size before each.
fn dense(c: &mut Criterion) {
    gemm_of(c, "gemm 4096x256x2304", [4096, 256, 2304]);
    conv(c, "3x3 64x64x256->256", ConvShape::new(256, 256, [3, 3]).with_padding([1, 1]), [64, 64]);
    for (side, channels) in [(112, 32), (56, 64), (28, 128), (14, 256), (7, 512)] {
        let name = format!("3x3 {side}x{side}x{channels}->{channels}");
        conv(c, &name, ConvShape::new(channels, channels, [3, 3]).with_padding([1, 1]), [side; 2]);
    }
    gemm_of(c, "gemm 4096x256x768", [4096, 256, 768]);
    conv(c, "1x1 64x64x768->256", ConvShape::new(768, 256, [1, 1]), [64, 64]);
    gemm_of(c, "gemm 4096x768x768", [4096, 768, 768]);
    let image = values(3 * 1024 * 1024);
    product(c, "patches 16x16 1024x1024x3->768", &Patches::new(&image, 3, 1024, 1024, 16), 768);
    gemm_of(c, "gemm 65536x112x147", [65536, 112, 147]);
    let hiera = ConvShape::new(3, 112, [7, 7]).with_stride([4, 4]).with_padding([3, 3]);
    conv(c, "7x7/4 1024x1024x3->112 tokens", hiera, [1024, 1024]);
    conv(c, "7x7/4 1024x1024x3->112 planar", hiera.planar(), [1024, 1024]);
    let stem = ConvShape::new(3, 64, [3, 3]).with_stride([2, 2]).with_padding([1, 1]);
    conv(c, "3x3/2 256x256x3->64 planar", stem.planar(), [256, 256]);
}

fn depthwise(c: &mut Criterion) {
    for kernel in [3, 5, 7] {
        let shape = ConvShape::depthwise(256, [kernel; 2]).with_padding([kernel / 2; 2]);
        conv(c, &format!("depthwise {kernel}x{kernel} 64x64x256"), shape, [64, 64]);
    }
    // One half of what leads to the third stage of MobileCLIP S0.
    let shape = ConvShape::depthwise(128, [7, 7]).with_padding([3, 3]).with_stride([2, 2]);
    conv(c, "depthwise 7x7/2 32x32x128", shape, [32, 32]);
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = dense, depthwise
}
criterion_main!(benches);
