//! Loops over the pixels of a panel: biases, normalisation, GELU, softmax. A pixel is a column, and a vector holds
//! neighbouring pixels of one channel.

use crate::kernels::activation::Activation;
use crate::kernels::math::exp;
use crate::simd::{Simd, Vectorize};

/// What is added to every element of a panel, beside the bias of its row.
pub(super) trait Addend: Copy {
    /// Whether it has a value for each of `len` elements.
    fn covers(self, len: usize) -> bool;

    /// The sum of `values`, which are the elements from `at` on, and of the addend there.
    ///
    /// # Safety
    /// `covers(len)` holds for a `len ≥ at + S::LANES`.
    unsafe fn plus<S: Simd>(self, s: S, values: S::F, at: usize) -> S::F;
}

/// Nothing is added.
#[derive(Clone, Copy)]
pub(super) struct Nothing;

impl Addend for Nothing {
    fn covers(self, _: usize) -> bool {
        true
    }

    #[inline(always)]
    unsafe fn plus<S: Simd>(self, _: S, values: S::F, _: usize) -> S::F {
        values
    }
}

/// A panel is added.
impl Addend for &[f32] {
    fn covers(self, len: usize) -> bool {
        self.len() == len
    }

    #[inline(always)]
    unsafe fn plus<S: Simd>(self, s: S, values: S::F, at: usize) -> S::F {
        // SAFETY: `at + LANES` elements are there, as the caller promises.
        s.add(values, unsafe { s.load(self.as_ptr().add(at)) })
    }
}

/// `x[c][p] ← act((y − μ_p) / √(σ²_p + eps) · weight + bias)` with `y = x + add + more`; `x: [channels][nr]`. Mean `μ_p` and
/// variance `σ²_p` are those of pixel `p` over the channels; `act` is GELU or the identity.
pub(super) struct NormalisePixels<'a, A, const GELU: bool> {
    pub(super) x: &'a mut [f32],
    pub(super) nr: usize,
    /// The bias of the product that made `x`, `[channels]`.
    pub(super) add: &'a [f32],
    /// An addend for every element.
    pub(super) more: A,
    pub(super) norm: LayerNormParams<'a>,
}

/// Weights of a layer normalisation over channels.
#[derive(Clone, Copy, Debug)]
pub struct LayerNormParams<'a> {
    /// `[channels]`
    pub weight: &'a [f32],
    /// `[channels]`
    pub bias: &'a [f32],
    /// Added to the variance.
    pub eps: f32,
}

/// Independent partial sums: as many as hide the latency of an addition.
const SUMS: usize = 4;

impl<A: Addend, const GELU: bool> Vectorize for NormalisePixels<'_, A, GELU> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { x, nr, add, more, norm } = self;
        let channels = add.len();
        assert!(nr.is_multiple_of(S::LANES) && x.len() == channels * nr && more.covers(x.len()));
        assert!(norm.weight.len() == channels && norm.bias.len() == channels);
        let share = s.splat(1.0 / channels as f32);
        for column in (0..nr).step_by(S::LANES) {
            // For every channel, `LANES` elements from `at(channel)` on lie in `x` by the first assertion.
            let start = x.as_mut_ptr();
            let at = |channel: usize| start.wrapping_add(channel * nr + column);
            let mut sums = [s.splat(0.0); SUMS];
            let mut channel = 0;
            while channel < channels {
                for sum in sums.iter_mut().take(channels - channel) {
                    // SAFETY: as above.
                    unsafe {
                        let value = s.add(s.load(at(channel)), s.splat(*add.get_unchecked(channel)));
                        let value = more.plus(s, value, channel * nr + column);
                        s.store(at(channel), value);
                        *sum = s.add(*sum, value);
                    }
                    channel += 1;
                }
            }
            let mean = s.mul(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3])), share);

            let mut squares = [s.splat(0.0); SUMS];
            let mut channel = 0;
            while channel < channels {
                for sum in squares.iter_mut().take(channels - channel) {
                    // SAFETY: as above.
                    let d = s.sub(unsafe { s.load(at(channel)) }, mean);
                    *sum = s.fma(d, d, *sum);
                    channel += 1;
                }
            }
            let squares = s.add(s.add(squares[0], squares[1]), s.add(squares[2], squares[3]));
            let scale = s.div(s.splat(1.0), s.sqrt(s.fma(squares, share, s.splat(norm.eps))));

            for (channel, (&weight, &bias)) in norm.weight.iter().zip(norm.bias).enumerate() {
                // SAFETY: as above.
                unsafe {
                    let d = s.mul(s.sub(s.load(at(channel)), mean), scale);
                    let value = s.fma(d, s.splat(weight), s.splat(bias));
                    s.store(at(channel), if GELU { Activation::Gelu.apply(s, value) } else { value });
                }
            }
        }
    }
}

/// `x[r][p] ← GELU(x[r][p] + bias[r % bias.len()] + more[r][p])` for `x: [rows][nr]`.
pub(super) struct BiasGelu<'a, A> {
    pub(super) x: &'a mut [f32],
    pub(super) nr: usize,
    pub(super) bias: &'a [f32],
    pub(super) more: A,
}

impl<A: Addend> Vectorize for BiasGelu<'_, A> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { x, nr, bias, more } = self;
        assert!(nr.is_multiple_of(S::LANES) && more.covers(x.len()));
        for (r, (row, &bias)) in x.chunks_exact_mut(nr).zip(bias.iter().cycle()).enumerate() {
            let bias = s.splat(bias);
            for (i, x) in row.chunks_exact_mut(S::LANES).enumerate() {
                // SAFETY: the chunk has `LANES` elements, and so has what is added to it, by the assertion.
                unsafe {
                    let value = more.plus(s, s.add(s.load(x.as_ptr()), bias), r * nr + i * S::LANES);
                    s.store(x.as_mut_ptr(), Activation::Gelu.apply(s, value));
                }
            }
        }
    }
}

/// `x[r][p] ← x[r][p] + bias[r]` for `x: [rows][nr]`.
pub(super) struct AddBias<'a> {
    pub(super) x: &'a mut [f32],
    pub(super) nr: usize,
    pub(super) bias: &'a [f32],
}

impl Vectorize for AddBias<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        assert!(self.nr.is_multiple_of(S::LANES));
        for (row, &bias) in self.x.chunks_exact_mut(self.nr).zip(self.bias) {
            let bias = s.splat(bias);
            for x in row.chunks_exact_mut(S::LANES) {
                // SAFETY: the chunk has `LANES` elements.
                unsafe { s.store(x.as_mut_ptr(), s.add(s.load(x.as_ptr()), bias)) };
            }
        }
    }
}

/// `out[i] = a[i] + b[i]`.
pub(super) struct Sum<'a> {
    pub(super) a: &'a [f32],
    pub(super) b: &'a [f32],
    pub(super) out: &'a mut [f32],
}

impl Vectorize for Sum<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let chunks = self.a.chunks_exact(S::LANES).zip(self.b.chunks_exact(S::LANES));
        for (out, (a, b)) in self.out.chunks_exact_mut(S::LANES).zip(chunks) {
            // SAFETY: the chunks have `LANES` elements.
            unsafe { s.store(out.as_mut_ptr(), s.add(s.load(a.as_ptr()), s.load(b.as_ptr()))) };
        }
    }
}

/// `x[r][p] ← softmax(x[r][p] + bias[r])` over the rows `r` of each group of `group` rows; `x: [rows][nr]`, `bias: [rows]`.
pub(super) struct GroupSoftmax<'a> {
    pub(super) x: &'a mut [f32],
    pub(super) nr: usize,
    pub(super) group: usize,
    pub(super) bias: &'a [f32],
}

impl Vectorize for GroupSoftmax<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { x, nr, group, bias } = self;
        assert!(nr.is_multiple_of(S::LANES));
        for (x, bias) in x.chunks_exact_mut(group * nr).zip(bias.chunks_exact(group)) {
            for column in (0..nr).step_by(S::LANES) {
                // For `row < group`, `LANES` elements from `at(row)` on lie in the group.
                let start = x.as_mut_ptr();
                let at = |row: usize| start.wrapping_add(row * nr + column);
                let mut max = s.splat(f32::NEG_INFINITY);
                for (row, &bias) in bias.iter().enumerate() {
                    // SAFETY: as above.
                    max = s.max(max, s.add(unsafe { s.load(at(row)) }, s.splat(bias)));
                }
                let mut sum = s.splat(0.0);
                for (row, &bias) in bias.iter().enumerate() {
                    // SAFETY: as above.
                    unsafe {
                        let e = exp(s, s.sub(s.add(s.load(at(row)), s.splat(bias)), max));
                        s.store(at(row), e);
                        sum = s.add(sum, e);
                    }
                }
                let scale = s.div(s.splat(1.0), sum);
                for row in 0..group {
                    // SAFETY: as above.
                    unsafe { s.store(at(row), s.mul(s.load(at(row)), scale)) };
                }
            }
        }
    }
}
