//! Dense 3 × 3 windows at stride 1 as sixteen products, which have 16 multiplications where windows have 36.
//!
//! Winograd's F(2 × 2, 3 × 3) in the form of Lavin and Gray (2016): a *tile* of 2 × 2 outputs is
//! `Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A` of a kernel `g` and the 4 × 4 inputs `d` around it, summed over the channels before `Aᵀ … A`.
//! So each of the 16 places is a product `[tiles, inputs] · [outputs, inputs]ᵀ`. Coefficients are 0, ±1 and, in `G`, ½: the error
//! is a few times that of the sum over windows.

use alloc::vec::Vec;
use core::array;
use core::ops::Range;

use super::{ConvShape, Layout};
use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq, SharedMut, TryCollect, Work};
use crate::kernels::activation::{self, Activation};
use crate::kernels::gemm::{
    self, CHUNK, Destination, Lhs, PackedWeights, Packing, WeightFormat, WeightKernel,
};
use crate::kernels::len::len_of;
use crate::kernels::rows::part;
use crate::simd::{Level, Simd, Vectorize};

/// Places of a transformed tile.
const PLACES: usize = 16;

/// Fewer channels are not worth two transforms.
const LEAST_CHANNELS: usize = 32;

/// Whether `shape` is computed so, in the format of `packing`. In a floating-point format whose rounding is the error that counts,
/// the error is 5/3 of that of windows, by the sums of squares of the coefficients; formats with steps in common for a row are left
/// out, whose places would share them with larger ones.
pub(super) fn fits(shape: &ConvShape, packing: Packing) -> bool {
    let &ConvShape { inputs, outputs, kernel, stride, padding, groups, layout } = shape;
    matches!(packing.format, WeightFormat::F32 | WeightFormat::F16 | WeightFormat::Bf16)
        && !WeightKernel::of(packing).is_amx()
        && (kernel, stride, padding, groups, layout) == ([3, 3], [1, 1], [1, 1], 1, Layout::Tokens)
        && inputs.min(outputs) >= LEAST_CHANNELS
        && inputs.is_multiple_of(CHUNK)
}

/// `G g Gᵀ` of all kernels of `weights: [outputs, inputs, 3, 3]`, a matrix `[outputs, inputs]` for each place.
///
/// # Errors
/// `OutOfMemory`.
pub(super) fn pack(packing: Packing, shape: &ConvShape, weights: &[f32]) -> Result<Vec<PackedWeights>> {
    const G: [[f32; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];
    let &ConvShape { inputs, outputs, .. } = shape;
    let (kernels, _) = weights.as_chunks::<9>();
    let place = |place: usize| {
        let (down, across) = (G[place / 4], G[place % 4]);
        PackedWeights::pack_with(packing, outputs, inputs, |row, out| {
            for (out, g) in out.iter_mut().zip(&kernels[row * inputs..]) {
                let line = |i: usize| -> f32 { (0..3).map(|j| across[j] * g[3 * i + j]).sum() };
                *out = (0..3).map(|i| down[i] * line(i)).sum();
            }
        })
    };
    (0..PLACES).map(place).try_values()
}

/// How a map of `[images, height, width]` pixels is cut into tiles, and these into tasks.
#[derive(Clone, Copy)]
struct Tiling {
    images: usize,
    height: usize,
    width: usize,
    /// Lines of tiles of an image, and tiles of a line.
    grid: [usize; 2],
    /// Bands of lines. A lane takes a band through all places, and its sums stay in the lane's cache; where there is one band,
    /// lanes share out the places.
    bands: usize,
}

impl Tiling {
    fn new(cx: &Cx, [images, height, width]: [usize; 3], outputs: usize) -> Self {
        let grid = [height.div_ceil(2), width.div_ceil(2)];
        let lines = images * grid[0];
        // Of a product of fewer rows, the weights take longer to arrive.
        let least = LEAST_TILES.div_ceil(grid[1]);
        let bands = if lines < least * cx.threads() {
            1
        } else {
            let fits = cx.caches().l2 / 2 / len_of([PLACES, grid[1], outputs, size_of::<f32>()]);
            lines.div_ceil(fits.max(least)).next_multiple_of(cx.threads()).min(lines)
        };
        Self { images, height, width, grid, bands }
    }

    /// The lines of tiles of band `index`, counted over all images.
    fn band(&self, index: usize) -> Range<usize> {
        part(self.images * self.grid[0], self.bands, index)
    }

    /// Tiles of the largest band.
    fn most_tiles(&self) -> usize {
        (self.images * self.grid[0]).div_ceil(self.bands) * self.grid[1]
    }

    /// Length of the sums of a band.
    fn sums_len(&self, outputs: usize) -> usize {
        len_of([PLACES, self.most_tiles(), outputs])
    }
}

/// A band has at least so many tiles, some rows of a product's tiles.
const LEAST_TILES: usize = 4 * gemm::MAX_MR;

/// Scratch that [`conv2d`] needs.
pub(super) fn scratch_req(
    cx: &Cx,
    shape: &ConvShape,
    weights: &[PackedWeights],
    size: [usize; 3],
) -> ScratchReq {
    let tiling = Tiling::new(cx, size, shape.outputs);
    let product = gemm::lane_scratch_req(cx, tiling.most_tiles(), &weights[0]);
    let sums = ScratchReq::slice(tiling.sums_len(shape.outputs));
    let tasks = match tiling.bands {
        1 => sums.and(product.per_lane(cx)),
        _ => sums.and(product).per_lane(cx),
    };
    ScratchReq::slice(shape.inputs).and(tasks)
}

/// [`conv2d_batch`](super::conv2d_batch) of what [`fits`]; the caller checked the slices.
#[allow(clippy::too_many_arguments, reason = "weights, an input, an output and what happens in between")]
pub(super) fn conv2d(
    cx: &Cx,
    shape: &ConvShape,
    weights: &[PackedWeights],
    size: [usize; 3],
    input: &[f32],
    bias: Option<&[f32]>,
    activation: Activation,
    out: &mut [f32],
    mut scratch: Scratch<'_>,
) {
    let &ConvShape { inputs, outputs, .. } = shape;
    let tiling = Tiling::new(cx, size, outputs);
    let _kernel = cx.kernel("winograd", || Work {
        bytes: 4.0 * (input.len() + out.len()) as f64 + weights.iter().map(|w| w.bytes() as f64).sum::<f64>(),
        ..Work::product(PLACES * tiling.images * tiling.grid[0] * tiling.grid[1], outputs, inputs)
    });
    let zeros = scratch.take(inputs);
    zeros.fill(0.0);
    let (zeros, out) = (&*zeros, SharedMut::new(out));
    let level = cx.level();
    let product = |place: usize, tiles: Range<usize>, sums: &mut [f32], scratch: Scratch<'_>| {
        let lhs = Transformed { level, tiling, input, inputs, zeros, place, tiles };
        gemm::gemm_on_lane(
            cx,
            &lhs,
            &weights[place],
            Destination::Store { out: sums, stride: outputs },
            scratch,
        );
    };
    // Line `index` of the `tiles` of a band, which begins with line `first`.
    let inverse = |first: usize, index: usize, tiles: usize, sums: &[f32]| {
        let (image, y) = ((first + index) / tiling.grid[0], (first + index) % tiling.grid[0]);
        let (top, end) = (image * tiling.height + 2 * y, (image + 1) * tiling.height);
        let line_len = tiling.width * outputs;
        // SAFETY: the outputs of a line of tiles are its own, and it belongs to one task.
        let out = unsafe { out.range(top * line_len..end.min(top + 2) * line_len) };
        let sums = array::from_fn(|place| {
            &sums[(place * tiles + index * tiling.grid[1]) * outputs..][..tiling.grid[1] * outputs]
        });
        level.dispatch(Inverse { sums, outputs, width: tiling.width, bias, activation, out });
    };

    let sums_len = tiling.sums_len(outputs);
    let product_req = gemm::lane_scratch_req(cx, tiling.most_tiles(), &weights[0]);
    if tiling.bands == 1 {
        let (lines, tiles) = (tiling.band(0).len(), tiling.most_tiles());
        let sums = scratch.take(sums_len);
        let shared = SharedMut::new(sums);
        // A task is a part of the tiles in one place.
        let parts = (2 * cx.threads()).div_ceil(PLACES).min(tiles.div_ceil(gemm::MAX_MR));
        cx.parallel_for_with(PLACES * parts, product_req, scratch, |scratch, task| {
            let (place, part) = (task / parts, task % parts);
            let tiles_of_task = part * tiles / parts..(part + 1) * tiles / parts;
            let start = place * tiles * outputs;
            // SAFETY: no two tasks have a tile and a place in common.
            let sums = unsafe {
                shared.range(start + tiles_of_task.start * outputs..start + tiles_of_task.end * outputs)
            };
            product(place, tiles_of_task, sums, scratch);
        });
        cx.parallel_for(lines, |_, index| inverse(0, index, tiles, sums));
    } else {
        let req = ScratchReq::slice(sums_len).and(product_req);
        cx.parallel_for_with(tiling.bands, req, scratch, |mut scratch, band| {
            let lines = tiling.band(band);
            let tiles = lines.start * tiling.grid[1]..lines.end * tiling.grid[1];
            let sums = &mut scratch.take(sums_len)[..PLACES * tiles.len() * outputs];
            for (place, sums) in sums.chunks_exact_mut(tiles.len() * outputs).enumerate() {
                product(place, tiles.clone(), sums, scratch.frame());
            }
            for index in 0..lines.len() {
                inverse(lines.start, index, tiles.len(), sums);
            }
        });
    }
}

/// `Bᵀ d B` in one place of tiles, as rows of a matrix `[count, inputs]`.
struct Transformed<'a> {
    level: Level,
    tiling: Tiling,
    /// `[images, height, width, inputs]`.
    input: &'a [f32],
    inputs: usize,
    /// A pixel outside of the image.
    zeros: &'a [f32],
    place: usize,
    /// Counted over all images.
    tiles: Range<usize>,
}

/// A row of `Bᵀ`: which of four lines (or columns) are added, and the sign of the second.
const B: [([usize; 2], f32); 4] = [([0, 2], -1.0), ([1, 2], 1.0), ([2, 1], -1.0), ([1, 3], -1.0)];

impl Transformed<'_> {
    /// The pixels of tile `index` that are added: two of one line, two of another.
    #[inline(always)]
    fn pixels(&self, index: usize) -> [&[f32]; 4] {
        let Tiling { height, width, grid, .. } = self.tiling;
        let (line, x) = (index / grid[1], index % grid[1]);
        let (image, y) = (line / grid[0], line % grid[0]);
        let (([above, below], _), ([left, right], _)) = (B[self.place / 4], B[self.place % 4]);
        let mut pixels = [self.zeros; 4];
        for (pixel, [dy, dx]) in
            pixels.iter_mut().zip([[above, left], [above, right], [below, left], [below, right]])
        {
            // A pixel above or left of the image wraps to a large number.
            let (y, x) = ((2 * y + dy).wrapping_sub(1), (2 * x + dx).wrapping_sub(1));
            if y < height && x < width {
                *pixel = &self.input[((image * height + y) * width + x) * self.inputs..][..self.inputs];
            }
        }
        pixels
    }
}

impl Lhs for Transformed<'_> {
    fn rows(&self) -> usize {
        self.tiles.len()
    }

    fn depth(&self) -> usize {
        self.inputs
    }

    fn pack(&self, rows: Range<usize>, out: &mut [f32]) {
        struct Pack<'a, 'b> {
            tiles: &'a Transformed<'b>,
            rows: Range<usize>,
            out: &'a mut [f32],
        }
        impl Vectorize for Pack<'_, '_> {
            type Output = ();
            #[inline(always)]
            fn run<S: Simd>(self, s: S) {
                let Self { tiles, rows, out } = self;
                let [down, across] = [s.splat(B[tiles.place / 4].1), s.splat(B[tiles.place % 4].1)];
                let (count, first) = (rows.len(), tiles.tiles.start + rows.start);
                for r in 0..count {
                    let [a, b, c, d] = tiles.pixels(first + r);
                    let a = a.as_chunks::<CHUNK>().0.iter().zip(b.as_chunks::<CHUNK>().0);
                    let c = c.as_chunks::<CHUNK>().0.iter().zip(d.as_chunks::<CHUNK>().0);
                    for (((a, b), (c, d)), out) in a.zip(c).zip(out[r * CHUNK..].chunks_mut(count * CHUNK)) {
                        let out = &mut out[..CHUNK];
                        for at in (0..CHUNK).step_by(S::LANES) {
                            // SAFETY: all hold CHUNK values, a multiple of LANES.
                            unsafe {
                                let above = s.fma(across, s.load(b[at..].as_ptr()), s.load(a[at..].as_ptr()));
                                let below = s.fma(across, s.load(d[at..].as_ptr()), s.load(c[at..].as_ptr()));
                                s.store(out[at..].as_mut_ptr(), s.fma(down, below, above));
                            }
                        }
                    }
                }
            }
        }
        self.level.dispatch(Pack { tiles: self, rows, out });
    }
}

/// `activation(Aᵀ m A + bias)` of a line of tiles.
struct Inverse<'a> {
    /// `[tiles, outputs]` of each place.
    sums: [&'a [f32]; PLACES],
    outputs: usize,
    /// Pixels of a line of the image.
    width: usize,
    bias: Option<&'a [f32]>,
    activation: Activation,
    /// Two lines `[width, outputs]`, or one below which the image ends.
    out: &'a mut [f32],
}

impl Vectorize for Inverse<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        for tile in 0..self.width.div_ceil(2) {
            let mut channel = 0;
            while channel + S::LANES <= self.outputs {
                self.tile(s, tile, channel, S::LANES);
                channel += S::LANES;
            }
            if channel < self.outputs {
                self.tile(s, tile, channel, self.outputs - channel);
            }
        }
        activation::apply_slice(s, self.activation, self.out);
    }
}

impl Inverse<'_> {
    /// `lanes` channels of a tile, from `channel` on.
    #[inline(always)]
    fn tile<S: Simd>(&mut self, s: S, tile: usize, channel: usize, lanes: usize) {
        let at = tile * self.outputs + channel;
        let zero = s.splat(0.0);
        let [mut left, mut right] = [[zero; 4]; 2];
        for ((left, right), places) in left.iter_mut().zip(&mut right).zip(self.sums.as_chunks::<4>().0) {
            let mut line = [zero; 4];
            for (value, sums) in line.iter_mut().zip(places) {
                *value = load(s, &sums[at..], lanes);
            }
            [*left, *right] = fold(s, line);
        }
        let bias = match self.bias {
            Some(bias) => load(s, &bias[channel..], lanes),
            None => zero,
        };
        for (x, column) in (2 * tile..self.width).zip([left, right]) {
            let column = fold(s, column);
            let at = x * self.outputs + channel;
            for (line, value) in self.out.chunks_exact_mut(self.width * self.outputs).zip(column) {
                let (to, value) = (&mut line[at..][..lanes], s.add(value, bias));
                // SAFETY: `to` has `lanes` elements, `LANES` at most.
                unsafe {
                    if lanes == S::LANES {
                        s.store(to.as_mut_ptr(), value)
                    } else {
                        s.store_n(to.as_mut_ptr(), value, lanes)
                    }
                }
            }
        }
    }
}

// Functions and not closures: a closure could be left as a function of its own, without the level's features.

/// `Aᵀ m`: a row of `Aᵀ` is (1, 1, 1, 0), the other (0, 1, −1, −1).
#[inline(always)]
fn fold<S: Simd>(s: S, [a, b, c, d]: [S::F; 4]) -> [S::F; 2] {
    [s.add(s.add(a, b), c), s.sub(s.sub(b, c), d)]
}

/// The first `lanes` elements of `from`.
#[inline(always)]
fn load<S: Simd>(s: S, from: &[f32], lanes: usize) -> S::F {
    let from = &from[..lanes];
    // SAFETY: `from` has `lanes` elements, `LANES` at most.
    unsafe { if lanes == S::LANES { s.load(from.as_ptr()) } else { s.load_n(from.as_ptr(), lanes) } }
}
