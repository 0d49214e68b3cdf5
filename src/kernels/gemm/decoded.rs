//! Formats that are widened to f32 when a panel is read: half the bytes of f32 or less than a sixth, and its arithmetic.
//!
//! A block of the depth of a panel is decoded once for all tiles of a block of rows, and the tiles are those of f32.

use half::{bf16, f16};

use super::format::WeightFormat;
use super::kernel::{CHUNK, Convert, Decode, TileArgs, WeightKernel};
use crate::simd::{Level, Simd, Vectorize};

/// Weights of an output that share a scale and a least value in [`WeightFormat::Q4`].
pub(crate) const Q4_GROUP: usize = 32;
const Q4_STEPS: f32 = 15.0;

type Run = unsafe fn(Level, usize, TileArgs<u8>);

/// A row of the table for tiles of f32, `nr` columns each.
const fn kernel(format: WeightFormat, name: &'static str, mr: usize, nr: usize, run: Run) -> WeightKernel {
    WeightKernel {
        name,
        format,
        mr,
        nr,
        k_unit: 1,
        unit_bytes: nr * size_of::<u16>(),
        lhs_bytes: size_of::<f32>(),
        column_values: 0,
        row_values: 0,
        pack: pack_f16,
        convert: None,
        decode: Some(decode_f16),
        run,
        pass: None,
        finish: None,
    }
}

/// IEEE 754 binary16.
pub(super) const fn f16_kernel(name: &'static str, mr: usize, nr: usize, run: Run) -> WeightKernel {
    kernel(WeightFormat::F16, name, mr, nr, run)
}

/// bfloat16, for CPUs that do not multiply in it: operands are rounded as those do, and products and sums are f32.
pub(super) const fn bf16_kernel(name: &'static str, mr: usize, nr: usize, run: Run) -> WeightKernel {
    WeightKernel {
        pack: pack_bf16,
        convert: Some(round_to_bf16),
        decode: Some(decode_bf16),
        ..kernel(WeightFormat::Bf16, name, mr, nr, run)
    }
}

/// 4 bits. A unit of a panel has the scales of its columns and their least values, as bfloat16, and then 16 rows of
/// bytes: `k` in the lower four bits, `k + 16` in the upper ones.
pub(super) const fn q4_kernel(name: &'static str, mr: usize, nr: usize, run: Run) -> WeightKernel {
    WeightKernel {
        k_unit: Q4_GROUP,
        unit_bytes: nr * (2 * size_of::<u16>() + Q4_GROUP / 2),
        pack: pack_q4,
        decode: Some(decode_q4),
        ..kernel(WeightFormat::Q4, name, mr, nr, run)
    }
}

/// Packs `[nr][k]` as `[k][nr]`.
fn pack_u16(nr: usize, rows: &[f32], panel: &mut [u8], convert: impl Fn(f32) -> u16) {
    let panel: &mut [u16] = bytemuck::cast_slice_mut(panel);
    for (row, values) in rows.chunks_exact(rows.len() / nr).enumerate() {
        panel[row..].iter_mut().step_by(nr).zip(values).for_each(|(to, from)| *to = convert(*from));
    }
}

fn pack_f16(nr: usize, rows: &[f32], panel: &mut [u8], _columns: &mut [f32]) {
    pack_u16(nr, rows, panel, |x| f16::from_f32(x).to_bits());
}

fn pack_bf16(nr: usize, rows: &[f32], panel: &mut [u8], _columns: &mut [f32]) {
    pack_u16(nr, rows, panel, |x| bf16::from_f32(x).to_bits());
}

fn pack_q4(nr: usize, rows: &[f32], panel: &mut [u8], _columns: &mut [f32]) {
    let k = rows.len() / nr;
    for (unit, bytes) in panel.chunks_exact_mut(nr * (2 * size_of::<u16>() + Q4_GROUP / 2)).enumerate() {
        let (head, steps) = bytes.split_at_mut(2 * nr * size_of::<u16>());
        let (scales, least) = bytemuck::cast_slice_mut::<u8, u16>(head).split_at_mut(nr);
        for (row, values) in rows.chunks_exact(k).enumerate() {
            let group = &values[unit * Q4_GROUP..k.min((unit + 1) * Q4_GROUP)];
            let group = Q4Group::of(group);
            scales[row] = group.scale.to_bits();
            least[row] = group.least.to_bits();
            for (i, pair) in steps[row..].iter_mut().step_by(nr).enumerate() {
                *pair = group.steps[i] | group.steps[i + Q4_GROUP / 2] << 4;
            }
        }
    }
}

/// Up to 32 weights in four bits each: `least + scale · step`.
pub(crate) struct Q4Group {
    pub(crate) scale: bf16,
    pub(crate) least: bf16,
    /// 0 to 15; 0 beyond the last weight.
    pub(crate) steps: [u8; Q4_GROUP],
}

impl Q4Group {
    /// The steps between the smallest and the largest weight, each weight at the nearest one. Weights that are not finite make
    /// all of their group NaN.
    pub(crate) fn of(weights: &[f32]) -> Self {
        let least = bf16::from_f32(weights.iter().copied().fold(f32::INFINITY, f32::min));
        let most = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let scale = bf16::from_f32((most - least.to_f32()) / Q4_STEPS);
        let is_finite = weights.iter().all(|x| x.is_finite()) && scale.is_finite() && least.is_finite();
        if !is_finite {
            return Self { scale: bf16::NAN, least: bf16::NAN, steps: [0; Q4_GROUP] };
        }
        let mut steps = [0; Q4_GROUP];
        for (step, &x) in steps.iter_mut().zip(weights) {
            let exact = (x - least.to_f32()) / scale.to_f32();
            // Where all weights are the same, the scale is zero and this is NaN, which becomes 0.
            *step = libm::rintf(exact).clamp(0.0, Q4_STEPS) as u8;
        }
        Self { scale, least, steps }
    }
}

/// Widens 16-bit floats.
macro_rules! decode_u16 {
    ($name:ident, $load:ident) => {
        fn $name(level: Level, panel: Decode<'_>) {
            struct Widen<'a>(&'a [u16], &'a mut [f32]);
            impl Vectorize for Widen<'_> {
                type Output = ();
                #[inline(always)]
                fn run<S: Simd>(self, s: S) {
                    for (from, to) in self.0.chunks_exact(S::LANES).zip(self.1.chunks_exact_mut(S::LANES)) {
                        // SAFETY: both hold LANES values.
                        unsafe { s.store(to.as_mut_ptr(), s.$load(from.as_ptr())) };
                    }
                }
            }
            level.dispatch(Widen(bytemuck::cast_slice(panel.from), panel.to));
        }
    };
}
decode_u16!(decode_f16, load_f16);
decode_u16!(decode_bf16, load_bf16);

fn decode_q4(level: Level, panel: Decode<'_>) {
    struct Widen<'a>(Decode<'a>);
    impl Vectorize for Widen<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Decode { nr, from, to } = self.0;
            let units = from.chunks_exact(nr * (2 * size_of::<u16>() + Q4_GROUP / 2));
            for (unit, to) in units.zip(to.chunks_mut(nr * Q4_GROUP)) {
                let (head, steps) = unit.split_at(2 * nr * size_of::<u16>());
                let (scales, least) = bytemuck::cast_slice::<u8, u16>(head).split_at(nr);
                let present = to.len() / nr;
                for column in (0..nr).step_by(S::LANES) {
                    // SAFETY: `nr` is a multiple of LANES, for all kernels of a level.
                    let (scale, least) = unsafe {
                        (s.load_bf16(scales[column..].as_ptr()), s.load_bf16(least[column..].as_ptr()))
                    };
                    for (i, steps) in steps.chunks_exact(nr).enumerate() {
                        // SAFETY: as above.
                        let pair = unsafe { s.load_u8(steps[column..].as_ptr()) };
                        for (k, step) in
                            [(i, s.i_and(pair, s.i_splat(15))), (i + Q4_GROUP / 2, s.i_sar::<4>(pair))]
                        {
                            if k < present {
                                let value = s.add(s.mul(s.to_f32(step), scale), least);
                                // SAFETY: as above; `to` has `present` rows of `nr`.
                                unsafe { s.store(to[k * nr + column..].as_mut_ptr(), value) };
                            }
                        }
                    }
                }
            }
        }
    }
    level.dispatch(Widen(panel));
}

/// Rounds rows to bfloat16, and keeps them as f32.
fn round_to_bf16(level: Level, tile: Convert<'_>) {
    struct Round<'a>(&'a [f32], &'a mut [f32]);
    impl Vectorize for Round<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            for (from, to) in self.0.chunks_exact(S::LANES).zip(self.1.chunks_exact_mut(S::LANES)) {
                // SAFETY: both hold LANES values.
                unsafe { s.store(to.as_mut_ptr(), rounded_to_bf16(s, s.load(from.as_ptr()))) };
            }
        }
    }
    let len = tile.rows * tile.k.next_multiple_of(CHUNK);
    level.dispatch(Round(&tile.from[..len], &mut tile.to[..len]));
}

/// In each lane a pair: the bfloat16 of `first` below that of `second`.
#[inline(always)]
pub(crate) fn bf16_pairs<S: Simd>(s: S, first: S::F, second: S::F) -> S::F {
    let [first, second] = [rounded_to_bf16(s, first), rounded_to_bf16(s, second)];
    let low = s.i_and(s.i_sar::<16>(s.as_i32(first)), s.i_splat(0xffff));
    s.as_f32(s.i_or(low, s.as_i32(second)))
}

/// [`bf16_pairs`] in a quarter of the instructions: of two numbers that are as near, the larger is taken, and a NaN whose upper
/// bits are all set, which no operation makes, loses its meaning.
#[inline(always)]
pub(crate) fn bf16_pairs_of_numbers<S: Simd>(s: S, first: S::F, second: S::F) -> S::F {
    let half = s.i_splat(0x8000);
    let (first, second) = (s.i_add(s.as_i32(first), half), s.i_add(s.as_i32(second), half));
    let low = s.i_and(s.i_sar::<16>(first), s.i_splat(0xffff));
    s.as_f32(s.i_or(low, s.i_and(second, s.i_splat(0xffff_0000_u32.cast_signed()))))
}

/// `x` rounded to the nearest bfloat16, ties to even. NaN becomes quiet and keeps its upper bits.
#[inline(always)]
pub(super) fn rounded_to_bf16<S: Simd>(s: S, x: S::F) -> S::F {
    let bits = s.as_i32(x);
    let odd = s.i_and(s.i_sar::<16>(bits), s.i_splat(1));
    let rounded = s.as_f32(s.i_add(s.i_add(bits, s.i_splat(0x7fff)), odd));
    let is_finite = s.lt(s.abs(x), s.splat(f32::INFINITY));
    let upper = s.i_splat(0xffff_0000_u32.cast_signed());
    s.as_f32(s.i_and(s.as_i32(s.select(is_finite, rounded, s.add(x, x))), upper))
}
