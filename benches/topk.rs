//! Exact search: one query against the bandwidth of memory, many against the arithmetic, both measured in the same run.
//!
//! `cargo bench --bench topk -- [vectors] [features]`; 1,000,000 of 512 by default, which take 2.6 GB. A line for each search:
//! the best of its runs, what it reads or computes a second, and that as a part of the ceiling.

use std::hint::black_box;
use std::time::Instant;

use vitrum::exec::{AlignedVec, Cx, CxOptions};
use vitrum::simd::{Simd, Vectorize};
use vitrum::{Monitor, TopK, Vectors, quantize_vectors, topk};

/// Bytes of a task that reads.
const PIECE: usize = 1 << 18;
/// Multiply-adds in registers, per lane and thread.
const LENGTH: usize = 32 << 20;
const K: usize = 20;

/// Adds up memory in vectors, four sums at a time.
struct Sum<'a>(&'a [f32]);

impl Vectorize for Sum<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let mut sums = [s.splat(0.0); 4];
        for chunk in self.0.chunks_exact(4 * S::LANES) {
            for (i, sum) in sums.iter_mut().enumerate() {
                let at = chunk.as_ptr().wrapping_add(i * S::LANES);
                s.prefetch(at.cast::<u8>().wrapping_add(4096));
                // SAFETY: the chunk has four vectors.
                *sum = s.add(*sum, unsafe { s.load(at) });
            }
        }
        s.reduce_add(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3])))
    }
}

/// Chains `x ← x · a + b`.
struct Chains(usize);

impl Vectorize for Chains {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let (a, b) = (s.splat(black_box(0.999)), s.splat(black_box(0.001)));
        let mut chains: [S::F; 12] = std::array::from_fn(|i| s.splat(black_box(i as f32)));
        for _ in 0..self.0 {
            for x in &mut chains {
                *x = s.fma(*x, a, b);
            }
        }
        s.reduce_add(chains.into_iter().fold(s.splat(0.0), |sum, x| s.add(sum, x)))
    }
}

fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// Reproducible numbers from −1 to 1 (SplitMix64).
fn fill(values: &mut [f32], mut state: u64) {
    for value in values {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        *value = ((z >> 40) as f32 / (1 << 23) as f32) - 1.0;
    }
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|it| it.parse().ok()).collect();
    let (count, dim) =
        (numbers.first().copied().unwrap_or(1_000_000), numbers.get(1).copied().unwrap_or(512));
    let mut values = AlignedVec::try_zeroed(count * dim).expect("memory for the vectors");
    let values = &mut values[..count * dim];
    fill(values, 1);
    let (mut codes, mut scales) = (vec![0_i8; count * dim], vec![0.0; count]);
    quantize_vectors(values, dim, &mut codes, &mut scales).expect("whole rows");
    let mut queries = vec![0.0; 256 * dim];
    fill(&mut queries, 2);
    let vectors = [
        ("f32", 4 * dim, Vectors::f32(values, dim).expect("whole rows")),
        ("int8", dim, Vectors::int8(&codes, &scales, dim).expect("whole rows")),
    ];
    let all = CxOptions::default();
    for options in [all.clone().with_threads(1), all] {
        let cx = Cx::new(&options).expect("a context");
        println!("{count} vectors of {dim}, k = {K}, {}, {} threads", cx.level().name(), cx.threads());
        let pieces = values.len() * 4 / PIECE;
        let read = || {
            seconds(|| {
                cx.enter(|| {
                    cx.parallel_for(pieces, |_, i| {
                        black_box(cx.level().dispatch(Sum(&values[i * PIECE / 4..][..PIECE / 4])));
                    });
                });
            })
        };
        let arithmetic = || {
            seconds(|| {
                cx.parallel_for(cx.threads(), |_, _| {
                    black_box(cx.level().dispatch(Chains(black_box(LENGTH / 12))));
                });
            })
        };
        let mut results = TopK::default();
        let mut bandwidth = 0.0_f64;
        let mut peak = 0.0_f64;
        for asked in [1, 4, 8, 16, 64, 256] {
            for (name, row_bytes, vectors) in &vectors {
                let mut best = f64::INFINITY;
                for _ in 0..if asked > 8 { 2 } else { 5 } {
                    // The ceilings before each search: what slows one slows the other.
                    bandwidth = bandwidth.max((pieces * PIECE) as f64 / read() / 1e9);
                    let operations = 2 * (LENGTH / 12) * 12 * cx.level().lanes() * cx.threads();
                    peak = peak.max(operations as f64 / arithmetic() / 1e9);
                    best = best.min(seconds(|| {
                        topk(&cx, &queries[..asked * dim], vectors, K, &mut results, &Monitor::none())
                            .expect("a search");
                    }));
                }
                let gb = (count * row_bytes) as f64 / best / 1e9;
                let gflops = 2.0 * (count * dim * asked) as f64 / best / 1e9;
                println!(
                    "{name:>4} {asked:>4} queries {:8.1} ms {gb:6.1} GB/s, {:.2} of {bandwidth:.1}; {gflops:6.1} GFLOP/s, {:.2} \
                     of {peak:.1}",
                    1e3 * best,
                    gb / bandwidth,
                    gflops / peak
                );
            }
        }
        recall(&cx, &queries, &vectors, &mut results);
    }
}

/// How many of the best in f32 are found in int8.
fn recall(cx: &Cx, queries: &[f32], vectors: &[(&str, usize, Vectors<'_>); 2], results: &mut TopK) {
    let [exact, rounded] = [0, 1].map(|i| {
        topk(cx, queries, &vectors[i].2, K, results, &Monitor::none()).expect("a search");
        results.all().iter().map(|hit| hit.index).collect::<Vec<_>>()
    });
    let pairs = exact.chunks(K).zip(rounded.chunks(K));
    let found: usize = pairs.map(|(a, b)| a.iter().filter(|it| b.contains(it)).count()).sum();
    println!("recall of int8 at {K}: {:.4}, of random vectors", found as f64 / exact.len() as f64);
}
