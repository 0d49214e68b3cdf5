//! Normalisation, softmax, activations, rotary positions, scales of channels and widening at every level, on one thread.
//!
//! Sizes are those of a ViT-B/16: 197 tokens of 768 channels, an MLP of 3072, 12 heads.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use vitrum::exec::Cx;
use vitrum::kernels::activation::{self, Activation};
use vitrum::kernels::{channels, convert, norm, rotary, softmax};
use vitrum::simd::Level;

const TOKENS: usize = 197;
const DIM: usize = 768;

/// Values between −4 and 4.
fn values(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7919) % 8191) as f32 / 1024.0 - 4.0).collect()
}

/// Runs `work` at every level; the throughput counts `len` elements.
fn each_level(c: &mut Criterion, name: &str, len: usize, mut work: impl FnMut(&Cx)) {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(len as u64));
    for level in Level::available() {
        let cx = Cx::serial(level);
        group.bench_function(BenchmarkId::from_parameter(level.name()), |b| b.iter(|| work(&cx)));
    }
}

fn norms(c: &mut Criterion) {
    let (x, weight, bias) = (values(TOKENS * DIM), values(DIM), values(DIM));
    let mut out = vec![0.0; x.len()];
    each_level(c, "layer_norm", x.len(), |cx| {
        norm::layer_norm(cx, black_box(&x), &weight, &bias, 1e-5, &mut out);
    });
}

fn softmaxes(c: &mut Criterion) {
    let mut x = values(12 * TOKENS * TOKENS);
    each_level(c, "softmax", x.len(), |cx| softmax::softmax(cx, black_box(&mut x), TOKENS));
}

fn activations(c: &mut Criterion) {
    let x = values(TOKENS * 4 * DIM);
    // Copied in each time: the functions have no fixed range. The group `copy` shows what that costs.
    let mut y = x.clone();
    each_level(c, "copy", x.len(), |_| black_box(&mut y).copy_from_slice(&x));
    for activation in
        [Activation::Relu, Activation::Silu, Activation::QuickGelu, Activation::GeluTanh, Activation::Gelu]
    {
        each_level(c, &format!("{activation:?}"), x.len(), |cx| {
            y.copy_from_slice(&x);
            activation::forward(cx.level(), activation, black_box(&mut y));
        });
    }
}

fn conversions(c: &mut Criterion) {
    let src: Vec<u16> = (0..4 * DIM * DIM).map(|i| i as u16).collect();
    let mut out = vec![0.0; src.len()];
    each_level(c, "f16_to_f32", src.len(), |cx| convert::f16_to_f32(cx.level(), black_box(&src), &mut out));
    each_level(c, "bf16_to_f32", src.len(), |cx| convert::bf16_to_f32(cx.level(), black_box(&src), &mut out));
}

fn rotations(c: &mut Criterion) {
    // Queries and keys of PE-Core B/16.
    let mut x = values(2 * 12 * TOKENS * 64);
    let turns = vec![0.6; TOKENS * 32];
    each_level(c, "rotate", x.len(), |cx| rotary::rotate(cx, black_box(&mut x), 32, &turns, &turns));
}

fn gates(c: &mut Criterion) {
    // A map of MobileCLIP S0 whose channels are squeezed.
    let (mut x, mut factors) = (values(16 * 16 * 256), vec![0.0; 256]);
    each_level(c, "channel means", x.len(), |cx| channels::means(cx, black_box(&x), 256, &mut factors));
    factors.fill(1.0);
    each_level(c, "scaled channels", x.len(), |cx| {
        channels::scale(cx, black_box(&mut x), 256, &factors, Activation::None);
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(std::time::Duration::from_secs(1));
    targets = norms, softmaxes, activations, rotations, gates, conversions
}
criterion_main!(benches);
