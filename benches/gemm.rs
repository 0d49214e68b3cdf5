//! Matrix multiplication: `cargo bench --bench gemm`. For fractions of the machine's peak, `vitrum bench gemm`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vitrum::exec::{Cx, CxOptions};
use vitrum::kernels::activation::Activation;
use vitrum::kernels::gemm::{Destination, PackedWeights, Rows, gemm, scratch_req};

fn shapes(criterion: &mut Criterion) {
    let cx = Cx::new(&CxOptions::default()).expect("threads");
    let mut group = criterion.benchmark_group("gemm");
    for [m, n, k] in [[4096, 768, 768], [197, 768, 768], [50, 3072, 768], [1, 768, 768]] {
        let numbers =
            |len: usize| (0..len).map(|i| (i * 7919 % 1013) as f32 / 1013.0 - 0.5).collect::<Vec<_>>();
        let (lhs, bias, mut out) = (numbers(m * k), numbers(n), vec![0.0; m * n]);
        let rhs = PackedWeights::pack(cx.level(), n, k, &numbers(n * k));
        let mut workspace = cx.workspace(scratch_req(&cx, m, &rhs)).unwrap();
        group.throughput(Throughput::Elements((2 * m * n * k) as u64));
        group.bench_function(format!("{m}x{n}x{k}"), |bencher| {
            bencher.iter(|| {
                let (lhs, output) = (Rows::new(&lhs, m, k), Destination::Store { out: &mut out, stride: n });
                gemm(&cx, &lhs, &rhs, Some(&bias), Activation::None, output, workspace.scratch());
            });
        });
    }
    group.finish();
}

criterion_group!(benches, shapes);
criterion_main!(benches);
