//! Pooling of tokens.

use crate::exec::Cx;
use crate::kernels::len::len_of;
use crate::kernels::rows::split_rows;
use crate::simd::{Simd, Vectorize};

/// `out[y][x][c] = max(x[2y][2x][c], x[2y][2x + 1][c], x[2y + 1][2x][c], x[2y + 1][2x + 1][c])`.
///
/// `tokens` are `[height, width]` tokens, `stride` f32 apart, whose first `channels` features are pooled;
/// `out: [height / 2, width / 2, channels]`. Of NaN and a number, either may be the result.
///
/// # Panics
/// If a side is odd or 0, there are no channels, they do not fit the stride, or a slice does not hold its tokens.
pub fn max_pool(
    cx: &Cx,
    [height, width]: [usize; 2],
    channels: usize,
    tokens: &[f32],
    stride: usize,
    out: &mut [f32],
) {
    pool::<false>(cx, "max-pool", [height, width], channels, tokens, stride, out);
}

/// `out[y][x][c] = (x[2y][2x][c] + x[2y][2x + 1][c] + x[2y + 1][2x][c] + x[2y + 1][2x + 1][c]) / 4`.
///
/// `tokens: [height, width, channels]`, `out: [height / 2, width / 2, channels]`. Images of even height may lie one below
/// the other.
///
/// # Panics
/// If a side is odd or 0, there are no channels, or a slice does not have its size.
pub fn avg_pool(cx: &Cx, size: [usize; 2], channels: usize, tokens: &[f32], out: &mut [f32]) {
    pool::<true>(cx, "avg-pool", size, channels, tokens, channels, out);
}

/// The mean, or else the largest, of 2 × 2 tokens.
fn pool<const IS_MEAN: bool>(
    cx: &Cx,
    kernel: &'static str,
    [height, width]: [usize; 2],
    channels: usize,
    tokens: &[f32],
    stride: usize,
    out: &mut [f32],
) {
    assert!(height > 0 && width > 0 && height % 2 == 0 && width % 2 == 0, "pooling of [{height}, {width}]");
    assert!((1..=stride).contains(&channels), "{channels} channels {stride} apart");
    assert!(
        tokens.len() >= len_of([height, width, stride]) - stride + channels,
        "tokens of [{height}, {width}]"
    );
    assert_eq!(out.len(), len_of([height / 2, width / 2, channels]), "output of [{height}, {width}]");
    split_rows(cx, kernel, out, channels, |pools, out| {
        for (pool, out) in pools.zip(out.chunks_exact_mut(channels)) {
            let (y, x) = (pool / (width / 2), pool % (width / 2));
            let first = (2 * y * width + 2 * x) * stride;
            let token = |offset: usize| &tokens[first + offset * stride..][..channels];
            let from = [token(0), token(1), token(width), token(width + 1)];
            cx.level().dispatch(Pool::<IS_MEAN> { from, out });
        }
    });
}

/// The mean, or else the largest, of four rows of equal length, element by element.
struct Pool<'a, const IS_MEAN: bool> {
    from: [&'a [f32]; 4],
    out: &'a mut [f32],
}

impl<const IS_MEAN: bool> Vectorize for Pool<'_, IS_MEAN> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let len = self.out.len();
        assert!(self.from.iter().all(|row| row.len() == len));
        let from = self.from.map(<[f32]>::as_ptr);
        let combine = |[a, b, c, d]: [S::F; 4]| {
            if IS_MEAN {
                s.mul(s.add(s.add(a, b), s.add(c, d)), s.splat(0.25))
            } else {
                s.max(s.max(a, b), s.max(c, d))
            }
        };
        let mut i = 0;
        while i + S::LANES <= len {
            // SAFETY: `LANES` elements from `i` lie in every row.
            unsafe { s.store(self.out.as_mut_ptr().add(i), combine(from.map(|row| s.load(row.add(i))))) };
            i += S::LANES;
        }
        let n = len - i;
        // SAFETY: fewer than `LANES` elements are left in every row.
        unsafe {
            s.store_n(self.out.as_mut_ptr().add(i), combine(from.map(|row| s.load_n(row.add(i), n))), n)
        };
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::kernels::testing::{Guarded, Place, Rng, assert_same_for_any_threads, lengths};
    use crate::simd::Level;

    /// What `combine` makes of the four tokens of each pool.
    fn oracle(
        [height, width]: [usize; 2],
        channels: usize,
        tokens: &[f32],
        stride: usize,
        combine: fn([f32; 4]) -> f32,
    ) -> Vec<f32> {
        let mut out = Vec::new();
        for y in (0..height).step_by(2) {
            for x in (0..width).step_by(2) {
                for c in 0..channels {
                    let at = |dy: usize, dx: usize| tokens[((y + dy) * width + x + dx) * stride + c];
                    out.push(combine([at(0, 0), at(0, 1), at(1, 0), at(1, 1)]));
                }
            }
        }
        out
    }

    #[test]
    fn every_tail() {
        const SIZE: [usize; 2] = [4, 6];
        for level in Level::available() {
            for channels in lengths(level).filter(|&channels| channels > 0) {
                for stride in [channels, channels + 5] {
                    let tokens = Rng::new(channels as u64).vec(23 * stride + channels, -2.0..=2.0);
                    let exact =
                        oracle(SIZE, channels, &tokens, stride, |x| x.into_iter().fold(f32::MIN, f32::max));
                    for place in Place::ALL {
                        let mut out = Guarded::unwritten(exact.len(), place);
                        let tokens = Guarded::new(&tokens, place);
                        max_pool(&Cx::serial(level), SIZE, channels, &tokens, stride, &mut out);
                        assert_eq!(*out, *exact);
                    }
                }
            }
        }
    }

    #[test]
    fn means_of_every_tail() {
        const SIZE: [usize; 2] = [4, 6];
        for level in Level::available() {
            for channels in lengths(level).filter(|&channels| channels > 0) {
                let tokens = Rng::new(channels as u64).vec(24 * channels, -2.0..=2.0);
                let exact = oracle(SIZE, channels, &tokens, channels, |[a, b, c, d]| (a + b + (c + d)) / 4.0);
                for place in Place::ALL {
                    let mut out = Guarded::unwritten(exact.len(), place);
                    avg_pool(&Cx::serial(level), SIZE, channels, &Guarded::new(&tokens, place), &mut out);
                    assert_eq!(*out, *exact);
                }
            }
        }
    }

    #[test]
    fn threads_do_not_change_the_result() {
        let tokens = Rng::new(1).vec(64 * 64 * 30, -1.0..=1.0);
        for level in Level::available() {
            assert_same_for_any_threads(level, |cx| {
                let mut out = alloc::vec![0.0; 32 * 32 * 30];
                max_pool(cx, [64, 64], 30, &tokens, 30, &mut out);
                out
            });
        }
    }

    #[test]
    #[should_panic = "pooling of [3, 2]"]
    fn odd_sides_are_refused() {
        max_pool(&Cx::serial(Level::detect()), [3, 2], 1, &[0.0; 6], 1, &mut [0.0; 1]);
    }
}
