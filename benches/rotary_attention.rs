//! SAM 2's attention to memories: `cargo bench --bench rotary_attention`. Operations are those that the kernel does:
//! absorbed queries, scores and the product with the values. A key costs 128 features' worth; projected, it would cost 320.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vitrum::exec::{Cx, CxOptions, Workspace};
use vitrum::kernels::rotary_attention::{
    CrossAttentionArgs, KeyProjection, MemoryShape, PackedMemories, PointerToken, Rotary, SpatialMemory,
    cross_attention, cross_attention_scratch_req,
};

/// Features of a query, and of a memory.
const WIDTH: usize = 256;
const FEATURES: usize = 64;

/// Values between −0.5 and 0.5.
fn values(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i * 37 % 101) as f32 / 101.0 - 0.5).collect()
}

/// Times the attention from a grid of `side × side` to `spatial` memories and `pointers` tokens, with one thread and with
/// all.
fn bench(c: &mut Criterion, name: &str, side: usize, [spatial, pointers]: [usize; 2]) {
    let shape = MemoryShape { grid: [side; 2], features: FEATURES, spatial, pointers, bf16: false };
    let tokens = side * side;
    let per_absorbed = side.div_ceil(2) * WIDTH / 2 + WIDTH + side;
    let products = tokens * (shape.len() * 2 * FEATURES + 2 * (FEATURES + 1) * per_absorbed);
    let (q, positions, time) = (values(tokens * WIDTH), values(tokens * FEATURES), values(FEATURES));
    // Bits of 1.0 and of its neighbours.
    let memory: Vec<u16> = (0..tokens * FEATURES).map(|i| 0x3f80 + (i % 61) as u16).collect();
    let projection = KeyProjection::new(&values(WIDTH * FEATURES), &values(WIDTH));
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(2 * products as u64)).sample_size(10);
    for threads in [1, 0] {
        let cx = Cx::new(&CxOptions::default().with_threads(threads)).expect("a context");
        let rotary = Rotary::new(cx.level(), shape.grid, WIDTH, 10_000.0);
        let mut packed = Workspace::default();
        packed.reserve(shape.pack_scratch_req(&cx)).unwrap();
        let mut packed = packed.scratch();
        let spatial = |_| SpatialMemory { features: &memory, time: &time };
        let pointer = |_| PointerToken { features: &q[..FEATURES], time: &time };
        let memories = PackedMemories::pack(&cx, shape, &positions, spatial, pointer, &mut packed);
        let args = CrossAttentionArgs {
            rotary: &rotary,
            projection: &projection,
            memories: &memories,
            scale: 0.0625,
        };
        let mut out = vec![0.0; tokens * FEATURES];
        let mut workspace = Workspace::default();
        workspace.reserve(cross_attention_scratch_req(&cx, &rotary, &projection, &shape)).unwrap();
        group.bench_function(format!("{}/{} threads", cx.level().name(), cx.threads()), |b| {
            b.iter(|| cross_attention(&cx, &args, &q, &mut out, workspace.scratch()));
        });
    }
    group.finish();
}

fn models(c: &mut Criterion) {
    bench(c, "SAM 2, all memories", 64, [7, 64]);
    bench(c, "SAM 2, one memory", 64, [1, 4]);
}

criterion_group!(benches, models);
criterion_main!(benches);
