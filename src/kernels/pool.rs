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
    assert!(height > 0 && width > 0 && height % 2 == 0 && width % 2 == 0, "pooling of [{height}, {width}]");
    assert!((1..=stride).contains(&channels), "{channels} channels {stride} apart");
    assert!(
        tokens.len() >= len_of([height, width, stride]) - stride + channels,
        "tokens of [{height}, {width}]"
    );
    assert_eq!(out.len(), len_of([height / 2, width / 2, channels]), "output of [{height}, {width}]");
    split_rows(cx, "max-pool", out, channels, |pools, out| {
        for (pool, out) in pools.zip(out.chunks_exact_mut(channels)) {
            let (y, x) = (pool / (width / 2), pool % (width / 2));
            let first = (2 * y * width + 2 * x) * stride;
            let token = |offset: usize| &tokens[first + offset * stride..][..channels];
            let from = [token(0), token(1), token(width), token(width + 1)];
            cx.level().dispatch(Max { from, out });
        }
    });
}

/// The largest of four rows of equal length, element by element.
struct Max<'a> {
    from: [&'a [f32]; 4],
    out: &'a mut [f32],
}

impl Vectorize for Max<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let len = self.out.len();
        assert!(self.from.iter().all(|row| row.len() == len));
        let from = self.from.map(<[f32]>::as_ptr);
        let max = |[a, b, c, d]: [S::F; 4]| s.max(s.max(a, b), s.max(c, d));
        let mut i = 0;
        while i + S::LANES <= len {
            // SAFETY: `LANES` elements from `i` lie in every row.
            unsafe { s.store(self.out.as_mut_ptr().add(i), max(from.map(|row| s.load(row.add(i))))) };
            i += S::LANES;
        }
        let n = len - i;
        // SAFETY: fewer than `LANES` elements are left in every row.
        unsafe { s.store_n(self.out.as_mut_ptr().add(i), max(from.map(|row| s.load_n(row.add(i), n))), n) };
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::kernels::testing::{Guarded, Place, Rng, assert_same_for_any_threads, lengths};
    use crate::simd::Level;

    fn oracle([height, width]: [usize; 2], channels: usize, tokens: &[f32], stride: usize) -> Vec<f32> {
        let mut out = Vec::new();
        for y in (0..height).step_by(2) {
            for x in (0..width).step_by(2) {
                for c in 0..channels {
                    let at = |dy: usize, dx: usize| tokens[((y + dy) * width + x + dx) * stride + c];
                    out.push([at(0, 0), at(0, 1), at(1, 0), at(1, 1)].into_iter().fold(f32::MIN, f32::max));
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
                    let exact = oracle(SIZE, channels, &tokens, stride);
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
