//! What the arithmetic units reach: multiply-adds that touch no memory, and multiply-adds that load their operands from
//! the first-level cache as a product must.

use std::hint::black_box;
use std::time::Instant;

use vitrum::WeightFormat;
use vitrum::exec::Cx;
use vitrum::kernels::gemm::{Packing, WeightKernel};
use vitrum::simd::{Simd, Vectorize};

/// Multiply-adds of one measurement, per lane and thread: about a millisecond, so that what slows a
/// short benchmark slows this too, and waking the threads does not count.
const LENGTH: usize = 4 << 20;

/// How the peak is measured at one level.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peak {
    chains: usize,
    /// Whose tiles are measured.
    kernel: &'static WeightKernel,
}

impl Peak {
    /// Finds how many independent chains it takes. Too few wait for the latency of the instruction (4 cycles on 2
    /// to 4 units), too many do not fit the registers (16 on x86 before AVX-512).
    pub(super) fn calibrate(cx: &Cx, format: WeightFormat) -> Self {
        let kernel = WeightKernel::of(Packing::new(cx, format));
        let candidates = [6, 12, 16, 24].map(|chains| Self { chains, kernel });
        let mut rates = [0.0f64; 4];
        // They take turns: while a neighbour disturbs one of them, it disturbs all.
        for _ in 0..10 {
            for (rate, peak) in rates.iter_mut().zip(&candidates) {
                *rate = rate.max(peak.gflops(cx));
            }
        }
        let best = (0..candidates.len()).max_by(|&a, &b| rates[a].total_cmp(&rates[b]));
        candidates[best.unwrap_or(0)]
    }

    /// Measures once with operands from the first-level cache, in the tiles of the weights' format: the ceiling of any
    /// product.
    pub(super) fn gflops_with_loads(&self, cx: &Cx) -> f64 {
        const K: usize = WeightKernel::EXERCISE;
        let kernel = self.kernel;
        let rounds = LENGTH * cx.level().lanes() / K / (kernel.mr * kernel.nr);
        let start = Instant::now();
        cx.parallel_for(cx.threads(), |_, _| kernel.exercise(cx.level(), black_box(rounds)));
        let operations = 2 * rounds * K * kernel.mr * kernel.nr * cx.threads();
        operations as f64 / start.elapsed().as_secs_f64() / 1e9
    }

    /// Measures once: 10⁹ operations per second, on all threads of `cx` together.
    pub(super) fn gflops(&self, cx: &Cx) -> f64 {
        let rounds = LENGTH / self.chains;
        let start = Instant::now();
        cx.parallel_for(cx.threads(), |_, _| {
            let rounds = black_box(rounds);
            let sum = match self.chains {
                6 => cx.level().dispatch(Chains::<6> { rounds }),
                12 => cx.level().dispatch(Chains::<12> { rounds }),
                16 => cx.level().dispatch(Chains::<16> { rounds }),
                _ => cx.level().dispatch(Chains::<24> { rounds }),
            };
            black_box(sum);
        });
        let operations = 2 * rounds * self.chains * cx.level().lanes() * cx.threads();
        operations as f64 / start.elapsed().as_secs_f64() / 1e9
    }
}

/// `N` chains `x ← x · a + b`, `rounds` times each.
struct Chains<const N: usize> {
    rounds: usize,
}

impl<const N: usize> Vectorize for Chains<N> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        // Values that the compiler cannot know: otherwise it computes the result itself.
        let (a, b) = (simd.splat(black_box(0.999)), simd.splat(black_box(0.001)));
        let mut chains: [S::F; N] = std::array::from_fn(|i| simd.splat(black_box(i as f32)));
        for _ in 0..self.rounds {
            for x in &mut chains {
                *x = simd.fma(*x, a, b);
            }
        }
        simd.reduce_add(chains.into_iter().fold(simd.splat(0.0), |sum, x| simd.add(sum, x)))
    }
}
