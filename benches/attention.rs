//! Attention of the models: `cargo bench --bench attention`. Operations are those of both products, without what
//! padding costs.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vitrum::exec::{Cx, CxOptions, Workspace};
use vitrum::kernels::attention::{
    AttentionShape, Bias, RelativePositions, WindowShape, attention, attention_windows, scratch_req,
    windows_scratch_req,
};
use vitrum::simd::Level;

/// Values between −0.5 and 0.5.
fn values(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i * 37 % 101) as f32 / 101.0 - 0.5).collect()
}

/// Times `run` as `name`, at `flops` floating-point operations a call, with one thread and with all.
fn bench(c: &mut Criterion, name: &str, flops: usize, mut run: impl FnMut(&Cx, &mut Workspace)) {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(flops as u64)).sample_size(20);
    for threads in [1, 0] {
        let cx = Cx::new(&CxOptions::default().with_threads(threads)).expect("a context");
        let mut workspace = Workspace::default();
        group.bench_function(format!("{}/{} threads", cx.level().name(), cx.threads()), |b| {
            b.iter(|| run(&cx, &mut workspace));
        });
    }
    group.finish();
}

/// One sequence whose heads are contiguous.
fn dense(c: &mut Criterion, name: &str, [heads, tokens, head_dim]: [usize; 3]) {
    let shape = AttentionShape { batches: 1, heads, queries: tokens, keys: tokens, head_dim, bf16: false };
    let input = values(heads * tokens * head_dim);
    let mut out = vec![0.0; input.len()];
    bench(c, name, 4 * heads * tokens * tokens * head_dim, |cx, workspace| {
        workspace.reserve(scratch_req(cx, &shape)).unwrap();
        attention(cx, &shape, 0.125, &input, &input, &input, Bias::None, &mut out, workspace.scratch());
    });
}

/// SAM's 64 × 64 tokens in windows, with relative positions.
fn windows(c: &mut Criterion, name: &str, window: usize, [heads, head_dim]: [usize; 2]) {
    const SCALE: f32 = 0.125;
    let shape = WindowShape { grid: [64; 2], window: [window; 2], heads, head_dim, bf16: false };
    let table = values((2 * window - 1) * head_dim);
    let positions = RelativePositions::new(Level::detect(), shape.window, SCALE, &table, &table);
    let bias = Bias::Relative(&positions);
    let qkv = values(64 * 64 * 3 * heads * head_dim);
    let padding = values(3 * heads * head_dim);
    let mut out = vec![0.0; qkv.len() / 3];
    bench(c, name, 4 * 64 * 64 * window * window * heads * head_dim, |cx, workspace| {
        workspace.reserve(windows_scratch_req(cx, &shape, &bias)).unwrap();
        attention_windows(cx, &shape, SCALE, &qkv, &padding, bias, &mut out, workspace.scratch());
    });
}

fn models(c: &mut Criterion) {
    dense(c, "CLIP B/16", [12, 197, 64]);
    dense(c, "CLIP L/14", [16, 257, 64]);
    windows(c, "SAM B, windows of 14", 14, [12, 64]);
    windows(c, "SAM B, global", 64, [12, 64]);
    windows(c, "SAM H, windows of 14", 14, [16, 80]);
}

criterion_group!(benches, models);
criterion_main!(benches);
