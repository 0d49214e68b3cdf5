//! Products of 8-bit integers.
//!
//! An output is `Σₖ x[k] · w[k]` with `x[k] = sx · (p[k] − z)` and `w[k] = sw · q[k]`: `q` in −127…127 with a scale `sw`
//! for each output, `p` in 0…255 with a scale `sx` and a zero point `z` for each row, found when it is packed. So it is
//! `sx · sw · (Σ p q − z Σ q)`. The sums are integers and exact; all that is rounded is done lane by lane in the same order,
//! a multiplication or an addition at a time. Results are therefore bit-identical at all levels.

use super::dots::{DotWork, Dots, TileFn, entry, tiles};
use super::format::WeightFormat;
use super::kernel::{CHUNK, Convert, Finish, LINE, MAX_MR, MAX_NR, TileArgs, WeightKernel};
use crate::simd::{Extensions, Level, Portable, Simd, Vectorize};

/// The largest depth whose sums fit 32 bits.
pub(super) const MOST_K: usize = i32::MAX as usize / (255 * 127);

/// The kernel of a level and what the CPU has beyond it.
pub(super) fn kernel(level: Level, extensions: Extensions) -> &'static WeightKernel {
    // Some targets know no extension.
    let _ = extensions;
    match level {
        #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
        Level::Avx2(_) if extensions.has(Extensions::AVX_VNNI) => &super::dots_x86::INT8_AVX_VNNI,
        #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
        Level::Avx512(_) if extensions.has(Extensions::AMX_INT8) => &super::amx::INT8,
        #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
        Level::Avx512(_) if extensions.has(Extensions::AVX512_VNNI) => &super::dots_x86::INT8_AVX512_VNNI,
        #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
        Level::Neon(_) if extensions.has(Extensions::DOTPROD) => &super::dots_neon::INT8_DOTPROD,
        Level::Portable(_) => &PORTABLE,
        #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
        Level::Avx2(_) => &AVX2,
        #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
        Level::Avx512(_) => &AVX512,
        #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
        Level::Neon(_) => &NEON,
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Level::Simd128(_) => &SIMD128,
    }
}

/// The scale of a row of weights: a 127th of the largest magnitude, rounded up to 16 bits. NaN if a weight is not finite.
///
/// With so few bits, `scale · q` is exact, and so is the largest of them divided by 127: weights that were quantised before
/// are found again, bit by bit.
pub(crate) fn weight_scale(row: &[f32]) -> f32 {
    if !row.iter().all(|x| x.is_finite()) {
        return f32::NAN;
    }
    let most = row.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    let exact = most / 127.0;
    f32::from_bits((exact.to_bits() + 0xff) & !0xff)
}

/// The integer that stands for weight `x` under `scale`.
pub(crate) fn quantised_weight(x: f32, scale: f32) -> i8 {
    // NaN, of a row of zeros or one with a weight that is not finite, becomes 0.
    libm::rintf(x / scale).clamp(-127.0, 127.0) as i8
}

/// Packs `[nr][k]` as `[k / UNIT][nr][UNIT]`, the last unit filled up with zeros. Values of the columns: scales, and sums as
/// the bits of integers.
fn pack<const UNIT: usize>(nr: usize, rows: &[f32], panel: &mut [u8], columns: &mut [f32]) {
    let k = rows.len() / nr;
    assert!(k <= MOST_K, "products of {k} int8 do not fit 32 bits");
    let panel: &mut [i8] = bytemuck::cast_slice_mut(panel);
    let (scales, sums) = columns.split_at_mut(nr);
    for (column, row) in rows.chunks_exact(k).enumerate() {
        scales[column] = weight_scale(row);
        let mut sum = 0;
        for (unit, weights) in row.chunks(UNIT).enumerate() {
            for (to, &x) in panel[(unit * nr + column) * UNIT..].iter_mut().zip(weights) {
                *to = quantised_weight(x, scales[column]);
                sum += i32::from(*to);
            }
        }
        sums[column] = f32::from_bits(sum.cast_unsigned());
    }
}

/// What an element of a packed row is: `p − OFFSET`.
pub(super) trait Element: bytemuck::Pod {
    /// Is taken from the zero point, too.
    const OFFSET: f32;
    fn of(byte: u8) -> Self;
}

impl Element for u8 {
    const OFFSET: f32 = 0.0;
    #[inline(always)]
    fn of(byte: u8) -> Self {
        byte
    }
}

impl Element for i8 {
    const OFFSET: f32 = 128.0;
    #[inline(always)]
    fn of(byte: u8) -> Self {
        (byte ^ 0x80).cast_signed()
    }
}

impl Element for u16 {
    const OFFSET: f32 = 0.0;
    #[inline(always)]
    fn of(byte: u8) -> Self {
        byte.into()
    }
}

/// Quantises rows: finds the scale and the zero point of each, as the bits of an integer, and writes its integers as `E`.
fn quantise<E: Element>(level: Level, tile: Convert<'_>) {
    struct Quantise<'a, E>(Convert<'a>, core::marker::PhantomData<E>);
    impl<E: Element> Vectorize for Quantise<'_, E> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Convert { rows, k, from, to, row_values } = self.0;
            let to: &mut [E] = bytemuck::cast_slice_mut(to);
            let width = LINE / size_of::<E>();
            for (row, values) in row_values.chunks_exact_mut(2).enumerate() {
                let chunk_of = |index: usize| -> &[f32; CHUNK] {
                    from[(index * rows + row) * CHUNK..].first_chunk().expect("a chunk")
                };
                // What is beyond the row is zero: that changes neither end of the range, which holds zero.
                let mut last = [0.0; CHUNK];
                if k % CHUNK > 0 {
                    last[..k % CHUNK].copy_from_slice(&chunk_of(k / CHUNK)[..k % CHUNK]);
                }
                let chunk = |index: usize| if index < k / CHUNK { chunk_of(index) } else { &last };
                let scale = RowScale::of(s, (0..k.div_ceil(CHUNK)).map(chunk));
                [values[0], values[1]] =
                    [scale.scale, f32::from_bits(((scale.zero - E::OFFSET) as i32).cast_unsigned())];
                for index in 0..k.next_multiple_of(width) / CHUNK {
                    let bytes = if index * CHUNK < k { scale.quantise(s, chunk(index)) } else { [0; CHUNK] };
                    let at = (index * CHUNK / width * rows + row) * width + index * CHUNK % width;
                    for (to, byte) in to[at..at + CHUNK].iter_mut().zip(bytes) {
                        *to = E::of(byte);
                    }
                }
            }
        }
    }
    level.dispatch(Quantise::<E>(tile, core::marker::PhantomData));
}

/// Rows with a smaller scale are zeros: so no subnormal number, which some CPUs are told to take for zero and others are
/// not, is worth a step.
const LEAST_SCALE: f32 = f32::from_bits((127 - 100) << 23);

/// The scale and the zero point of a row.
struct RowScale {
    /// NaN if a value is not finite, 0 if all are as good as 0.
    scale: f32,
    /// Its reciprocal, or 0.
    inverse: f32,
    /// In 0…255.
    zero: f32,
}

impl RowScale {
    /// Of a row's values, zero among them: 256 steps from the smallest to the largest.
    #[inline(always)]
    fn of<'a, S: Simd>(s: S, chunks: impl Iterator<Item = &'a [f32; CHUNK]>) -> Self {
        let mut least = s.splat(0.0);
        let mut most = s.splat(0.0);
        let mut broken = s.splat(0.0);
        for chunk in chunks {
            for values in chunk.chunks_exact(S::LANES) {
                // SAFETY: `values` holds LANES values.
                let x = unsafe { s.load(values.as_ptr()) };
                least = s.min(x, least);
                most = s.max(x, most);
                // NaN if `x` is not finite.
                broken = s.add(broken, s.sub(x, x));
            }
        }
        let least = -s.reduce_max(s.sub(s.splat(0.0), least));
        let range = s.reduce_max(most) - least;
        let is_finite = s.reduce_add(broken) == 0.0 && range.is_finite();
        if !is_finite {
            return Self { scale: f32::NAN, inverse: 0.0, zero: 0.0 };
        }
        let (scale, inverse) = (range / 255.0, 255.0 / range);
        if scale < LEAST_SCALE {
            return Self { scale: 0.0, inverse: 0.0, zero: 0.0 };
        }
        Self { scale, inverse, zero: libm::rintf(-least * inverse).clamp(0.0, 255.0) }
    }

    /// The integers of some values.
    #[inline(always)]
    fn quantise<S: Simd>(&self, s: S, values: &[f32; CHUNK]) -> [u8; CHUNK] {
        let mut bytes = [0; CHUNK];
        let (inverse, zero) = (s.splat(self.inverse), s.splat(self.zero));
        for (values, bytes) in values.chunks_exact(S::LANES).zip(bytes.chunks_exact_mut(S::LANES)) {
            // SAFETY: both hold LANES elements.
            unsafe {
                let steps = s.round(s.mul(s.load(values.as_ptr()), inverse));
                s.store_u8(bytes.as_mut_ptr(), s.to_i32(s.add(steps, zero)));
            }
        }
        bytes
    }
}

/// f32 of integer sums.
///
/// # Safety
/// As [`WeightKernel::finish`].
unsafe fn dequantise(level: Level, tile: Finish<'_>) {
    struct Dequantise<'a>(Finish<'a>);
    impl Vectorize for Dequantise<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Finish { sums, nr, columns, rows, init, c, ldc, accumulate } = self.0;
            let (scales, column_sums) = columns.split_at(nr);
            for (row, (sums, values)) in sums.chunks_exact(nr).zip(rows.chunks_exact(2)).enumerate() {
                let (scale, zero) = (s.splat(values[0]), s.i_splat(values[1].to_bits().cast_signed()));
                for at in (0..nr).step_by(S::LANES) {
                    // SAFETY: `nr` is a multiple of LANES, and the caller promises the output.
                    unsafe {
                        let int = |from: &[f32]| s.as_i32(s.load(from[at..].as_ptr()));
                        let exact = s.i_sub(int(sums), s.i_mul(zero, int(column_sums)));
                        let scale = s.mul(scale, s.load(scales[at..].as_ptr()));
                        let value = s.add(s.mul(s.to_f32(exact), scale), s.load(init[at..].as_ptr()));
                        let c = c.add(row * ldc + at);
                        s.store(c, if accumulate { s.add(s.load(c), value) } else { value });
                    }
                }
            }
        }
    }
    level.dispatch(Dequantise(tile));
}

/// For instruction sets without products of bytes: pairs of 16-bit numbers, and pairs of bytes that are widened as they are
/// read.
#[derive(Clone, Copy)]
struct Pairs<S>(core::marker::PhantomData<S>);

// SAFETY: `run` enters code compiled for the level, which is all that `dot` needs.
unsafe impl<S: Simd> Dots for Pairs<S> {
    type S = S;
    const WEIGHT_BYTES: usize = 2;

    fn units(k: usize) -> usize {
        k.div_ceil(2)
    }

    #[inline(always)]
    unsafe fn load(s: S, p: *const u8) -> S::F {
        // SAFETY: forwarded to the caller.
        s.as_f32(unsafe { s.load_i8_pairs(p.cast()) })
    }

    #[inline(always)]
    unsafe fn dot(s: S, sum: S::F, a: S::F, b: S::F) -> S::F {
        s.as_f32(s.i_add(s.as_i32(sum), s.pair_dot(s.as_i32(a), s.as_i32(b))))
    }

    #[inline]
    unsafe fn run<W: DotWork>(s: S, work: W) {
        struct Run<W>(W);
        impl<W: DotWork> Vectorize for Run<W> {
            type Output = ();
            #[inline(always)]
            fn run<S: Simd>(self, s: S) {
                // SAFETY: `Dots::run`'s caller promises what the work needs.
                unsafe { self.0.run::<Pairs<S>>(s) }
            }
        }
        s.dispatch(Run(work));
    }
}

/// A kernel whose units have `UNIT` weights, and whose rows are packed as `E`.
pub(super) const fn kernel_of<E: Element, const UNIT: usize>(
    name: &'static str,
    mr: usize,
    nr: usize,
    run: unsafe fn(Level, usize, TileArgs<u8>),
) -> WeightKernel {
    assert!(mr <= MAX_MR && nr <= MAX_NR);
    WeightKernel {
        name,
        format: WeightFormat::Int8,
        mr,
        nr,
        k_unit: UNIT,
        unit_bytes: UNIT * nr,
        lhs_bytes: size_of::<E>(),
        column_values: 2,
        row_values: 2,
        pack: pack::<UNIT>,
        convert: Some(quantise::<E>),
        decode: None,
        run,
        pass: None,
        finish: Some(dequantise),
    }
}

/// Weights in a unit of instructions that multiply bytes by fours.
#[cfg(any(
    test,
    all(target_arch = "x86_64", target_feature = "sse2"),
    all(target_arch = "aarch64", target_feature = "neon")
))]
pub(super) const QUAD: usize = 4;

/// Such units of a depth of `k`.
#[cfg(any(
    test,
    all(target_arch = "x86_64", target_feature = "sse2"),
    all(target_arch = "aarch64", target_feature = "neon")
))]
pub(super) fn quads(k: usize) -> usize {
    k.div_ceil(QUAD)
}

static PORTABLE: WeightKernel =
    kernel_of::<u16, 2>("int8-portable-4x8", 4, 8, tiles!(Pairs<Portable>, 1 vectors, [1 2 3 4]));
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
static AVX2: WeightKernel =
    kernel_of::<u16, 2>("int8-avx2-6x16", 6, 16, tiles!(Pairs<crate::simd::Avx2>, 2 vectors, [1 2 3 4 5 6]));
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
static AVX512: WeightKernel = kernel_of::<u16, 2>(
    "int8-avx512-13x32",
    13,
    32,
    tiles!(Pairs<crate::simd::Avx512>, 2 vectors, [1 2 3 4 5 6 7 8 9 10 11 12 13]),
);
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
static NEON: WeightKernel =
    kernel_of::<u16, 2>("int8-neon-6x16", 6, 16, tiles!(Pairs<crate::simd::Neon>, 4 vectors, [1 2 3 4 5 6]));
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
static SIMD128: WeightKernel =
    kernel_of::<u16, 2>("int8-simd128-4x8", 4, 8, tiles!(Pairs<crate::simd::Simd128>, 2 vectors, [1 2 3 4]));
