//! Every operation of [`Simd`] at every level of this CPU, against scalar Rust.

use alloc::vec;
use alloc::vec::Vec;

use half::{bf16, f16};

use super::{Level, Simd, Vectorize};

/// Zeros, subnormals, ties, the edges of the integers and of the range, infinities and NaN, of both signs.
fn values() -> Vec<f32> {
    let positive = [
        0.0,
        f32::from_bits(1),
        f32::MIN_POSITIVE / 2.0,
        f32::MIN_POSITIVE,
        1e-20,
        0.3,
        0.5,
        0.50000006,
        0.99999994,
        1.0,
        1.5,
        2.5,
        3.0000002,
        1234.5678,
        8_388_607.5,
        8_388_609.0,
        2_147_483_520.0,
        1e20,
        f32::MAX,
        f32::INFINITY,
        f32::NAN,
    ];
    positive.iter().flat_map(|&x| [x, -x]).collect()
}

/// Equal bit by bit; any NaN equals any other.
fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// `x` in vectors, the last one filled up with zeros.
fn vectors<S: Simd>(simd: S, x: &[f32]) -> impl Iterator<Item = S::F> {
    x.chunks(S::LANES).map(move |chunk| {
        let mut lanes = vec![0.0; S::LANES];
        lanes[..chunk.len()].copy_from_slice(chunk);
        // SAFETY: `lanes` holds LANES values.
        unsafe { simd.load(lanes.as_ptr()) }
    })
}

fn lanes<S: Simd>(simd: S, v: S::F) -> Vec<f32> {
    let mut lanes = vec![0.0; S::LANES];
    // SAFETY: `lanes` holds LANES values.
    unsafe { simd.store(lanes.as_mut_ptr(), v) };
    lanes
}

fn int_lanes<S: Simd>(simd: S, v: S::I) -> Vec<i32> {
    lanes(simd, simd.as_f32(v)).into_iter().map(|x| x.to_bits() as i32).collect()
}

/// Checks the lane-wise `op` of one operand against `oracle` on every element of `x`.
fn check1<S: Simd>(simd: S, name: &str, x: &[f32], op: impl Fn(S::F) -> S::F, oracle: impl Fn(f32) -> f32) {
    for (v, chunk) in vectors(simd, x).zip(x.chunks(S::LANES)) {
        for (got, &x) in lanes(simd, op(v)).into_iter().zip(chunk) {
            let want = oracle(x);
            assert!(same(got, want), "{simd:?} {name}({x:e}) = {got:e}, expected {want:e}");
        }
    }
}

/// Checks the lane-wise `op` of two operands against `oracle` on every pair of [`values`].
fn check2<S: Simd>(simd: S, name: &str, op: impl Fn(S::F, S::F) -> S::F, oracle: impl Fn(f32, f32) -> f32) {
    for b in values() {
        let name = alloc::format!("{name} of {b:e} and ");
        check1(simd, &name, &values(), |a| op(a, simd.splat(b)), |a| oracle(a, b));
    }
}

/// Runs `body` at every level of this CPU.
macro_rules! at_every_level {
    ($(fn $test:ident<$s:ident>($simd:ident) $body:block)*) => {$(
        #[test]
        fn $test() {
            struct Check;
            impl Vectorize for Check {
                type Output = ();
                #[inline(always)]
                fn run<$s: Simd>(self, $simd: $s) $body
            }
            Level::available().for_each(|level| level.dispatch(Check));
        }
    )*};
}

at_every_level! {
    fn arithmetic<S>(simd) {
        check2(simd, "add", |a, b| simd.add(a, b), |a, b| a + b);
        check2(simd, "sub", |a, b| simd.sub(a, b), |a, b| a - b);
        check2(simd, "mul", |a, b| simd.mul(a, b), |a, b| a * b);
        check2(simd, "div", |a, b| simd.div(a, b), |a, b| a / b);
        check2(simd, "min", |a, b| simd.min(a, b), |a, b| if a < b { a } else { b });
        check2(simd, "max", |a, b| simd.max(a, b), |a, b| if b < a { a } else { b });
        check1(simd, "sqrt", &values(), |a| simd.sqrt(a), libm::sqrtf);
        check1(simd, "abs", &values(), |a| simd.abs(a), f32::abs);
    }

    fn fma_rounds_once_or_twice<S>(simd) {
        let values = values();
        for &b in &values {
            for &c in &values {
                for (a, chunk) in vectors(simd, &values).zip(values.chunks(S::LANES)) {
                    let got = lanes(simd, simd.fma(a, simd.splat(b), simd.splat(c)));
                    for (got, &a) in got.into_iter().zip(chunk) {
                        let (fused, unfused) = (libm::fmaf(a, b, c), a * b + c);
                        assert!(
                            same(got, fused) || same(got, unfused),
                            "{simd:?} fma({a:e}, {b:e}, {c:e}) = {got:e}, expected {fused:e} or {unfused:e}"
                        );
                    }
                }
            }
        }
    }

    fn rounding_takes_ties_to_even<S>(simd) {
        let ties = (-20..20).map(|i| i as f32 + 0.5);
        let below_2_31: Vec<f32> = values().into_iter().filter(|x| x.abs() < 2_147_483_648.0).chain(ties).collect();
        let positive_zero = simd.splat(0.0);
        let round = |a| simd.add(simd.round(a), positive_zero);
        check1(simd, "round", &below_2_31, round, |x| libm::rintf(x) + 0.0);
        for (a, chunk) in vectors(simd, &below_2_31).zip(below_2_31.chunks(S::LANES)) {
            for (got, &x) in int_lanes(simd, simd.to_i32(a)).into_iter().zip(chunk) {
                assert_eq!(got, libm::rintf(x) as i32, "{simd:?} to_i32({x:e})");
            }
        }
    }

    fn comparison_and_selection<S>(simd) {
        let choose = |a, b| simd.select(simd.lt(a, b), simd.splat(1.0), simd.splat(2.0));
        check2(simd, "lt", choose, |a, b| if a < b { 1.0 } else { 2.0 });
        for pattern in [0, 1, 0b10, 0b1011, 0x5a96, 0xffff] {
            let pattern = pattern & ((1 << S::LANES) - 1);
            let x: Vec<f32> = (0..S::LANES).map(|i| (pattern >> i & 1) as f32).collect();
            let got = vectors(simd, &x).map(|v| simd.bits(simd.lt(simd.splat(0.5), v))).next();
            assert_eq!(got, Some(pattern), "{simd:?} bits");
        }
        let copy = |a, b| simd.with_sign_of(simd.abs(a), b);
        check2(simd, "with_sign_of", copy, |a, b| a.abs().copysign(b));
    }

    fn zipping_interleaves<S>(simd) {
        let values: Vec<f32> = (0..2 * S::LANES).map(|i| i as f32).collect();
        let (a, b) = values.split_at(S::LANES);
        // SAFETY: both hold `LANES` values.
        let (low, high) = simd.zip(unsafe { simd.load(a.as_ptr()) }, unsafe { simd.load(b.as_ptr()) });
        let got = [lanes(simd, low), lanes(simd, high)].concat();
        let expected: Vec<f32> = a.iter().zip(b).flat_map(|(a, b)| [*a, *b]).collect();
        assert_eq!(got, expected, "{simd:?}");
    }

    fn ldexp_keeps_subnormals<S>(simd) {
        let x = [1.0, 1.5, 1.9999999, 0.7, -3.3, 0.0, -0.0, f32::INFINITY, f32::NAN];
        for n in -252..=254 {
            let name = alloc::format!("ldexp by {n} of ");
            let two_to_n = f64::from_bits(((1023 + n) as u64) << 52);
            let oracle = |x: f32| (f64::from(x) * two_to_n) as f32;
            check1(simd, &name, &x, |a| simd.ldexp(a, simd.splat(n as f32)), oracle);
        }
    }

    fn integers<S>(simd) {
        let x = [0, 1, -1, 2, 0x7fff, 0x0055_aa00, i32::MIN, i32::MAX, -123_456_789];
        let check = |name: &str, got: S::I, want: i32| {
            assert!(int_lanes(simd, got).iter().all(|&got| got == want), "{simd:?} {name}: expected {want}");
        };
        for a in x {
            let va = simd.i_splat(a);
            check("i_splat", va, a);
            check("as_i32", simd.as_i32(simd.as_f32(va)), a);
            check("i_shl::<0>", simd.i_shl::<0>(va), a);
            check("i_shl::<1>", simd.i_shl::<1>(va), a << 1);
            check("i_shl::<23>", simd.i_shl::<23>(va), a << 23);
            check("i_shl::<31>", simd.i_shl::<31>(va), a << 31);
            check("i_sar::<0>", simd.i_sar::<0>(va), a);
            check("i_sar::<1>", simd.i_sar::<1>(va), a >> 1);
            check("i_sar::<31>", simd.i_sar::<31>(va), a >> 31);
            for b in x {
                let vb = simd.i_splat(b);
                check("i_add", simd.i_add(va, vb), a.wrapping_add(b));
                check("i_sub", simd.i_sub(va, vb), a.wrapping_sub(b));
                check("i_mul", simd.i_mul(va, vb), a.wrapping_mul(b));
                check("i_and", simd.i_and(va, vb), a & b);
                check("i_or", simd.i_or(va, vb), a | b);
            }
        }
    }

    fn bytes<S>(simd) {
        let x: Vec<u8> = (0..=255).collect();
        for chunk in x.chunks(S::LANES) {
            // SAFETY: LANES divides 256.
            let loaded = int_lanes(simd, unsafe { simd.load_u8(chunk.as_ptr()) });
            assert!(loaded.iter().zip(chunk).all(|(&got, &x)| got == i32::from(x)), "{simd:?} load_u8");
        }
        for x in [i32::MIN, -40_000, -1, 0, 1, 127, 128, 254, 255, 256, 32_768, 70_000, i32::MAX] {
            let mut stored = vec![77; S::LANES + 1];
            // SAFETY: `stored` holds more than LANES bytes.
            unsafe { simd.store_u8(stored.as_mut_ptr(), simd.i_splat(x)) };
            assert!(stored[..S::LANES].iter().all(|&got| i32::from(got) == x.clamp(0, 255)), "{simd:?} store_u8({x})");
            assert_eq!(stored[S::LANES], 77, "{simd:?} store_u8 beyond its lanes");
        }
        let mut stored = vec![0; S::LANES];
        // SAFETY: `x` and `stored` hold at least LANES bytes.
        unsafe { simd.store_u8(stored.as_mut_ptr(), simd.load_u8(x[9..].as_ptr())) };
        assert_eq!(stored, x[9..][..S::LANES], "{simd:?} order of the lanes");
    }

    fn partial_loads_and_stores<S>(simd) {
        let x: Vec<f32> = (1..=S::LANES).map(|i| i as f32).collect();
        for n in 0..S::LANES {
            // SAFETY: `x` holds LANES > n values.
            let loaded = lanes(simd, unsafe { simd.load_n(x.as_ptr(), n) });
            assert_eq!(loaded[..n], x[..n], "{simd:?} load_n of {n}");
            assert!(loaded[n..].iter().all(|&x| x == 0.0), "{simd:?} load_n of {n} leaves {loaded:?}");

            let mut stored = vec![-1.0; S::LANES];
            // SAFETY: `stored` and `x` hold LANES > n values.
            unsafe { simd.store_n(stored.as_mut_ptr(), simd.load(x.as_ptr()), n) };
            assert_eq!(stored[..n], x[..n], "{simd:?} store_n of {n}");
            assert!(stored[n..].iter().all(|&x| x == -1.0), "{simd:?} store_n of {n} leaves {stored:?}");
        }
    }

    fn every_16_bit_float<S>(simd) {
        let all: Vec<u16> = (0..=u16::MAX).collect();
        for chunk in all.chunks_exact(S::LANES) {
            let p = chunk.as_ptr();
            // SAFETY: `chunk` holds LANES values.
            let (int, half, brain) = unsafe { (simd.load_u16(p), simd.load_f16(p), simd.load_bf16(p)) };
            let got = int_lanes(simd, int).into_iter().zip(lanes(simd, half)).zip(lanes(simd, brain));
            for (((int, half), brain), &bits) in got.zip(chunk) {
                assert_eq!(int, i32::from(bits), "{simd:?} load_u16");
                let want = f16::from_bits(bits).to_f32();
                assert!(same(half, want), "{simd:?} load_f16({bits:#06x}) = {half:e}, expected {want:e}");
                let want = bf16::from_bits(bits).to_f32();
                assert!(same(brain, want), "{simd:?} load_bf16({bits:#06x}) = {brain:e}, expected {want:e}");
            }
        }
    }

    fn pairs_of_bytes_and_their_products<S>(simd) {
        let bytes: Vec<i8> = (i8::MIN..=i8::MAX).collect();
        let others: Vec<i16> = [-32767, -256, -1, 0, 3, 255, 32767, 1].into_iter().cycle().take(256).collect();
        for (bytes, others) in bytes.chunks_exact(2 * S::LANES).zip(others.chunks_exact(2 * S::LANES)) {
            // SAFETY: both hold 2 · LANES values, of 8 and of 16 bits.
            let (a, b) = unsafe { (simd.load_i8_pairs(bytes.as_ptr()), simd.load(others.as_ptr().cast())) };
            let dots = simd.pair_dot(a, simd.as_i32(b));
            let got = int_lanes(simd, a).into_iter().zip(int_lanes(simd, dots)).zip(lanes(simd, simd.to_f32(dots)));
            for (i, ((pair, dot), float)) in got.enumerate() {
                let want = [bytes[2 * i], bytes[2 * i + 1]].map(i32::from);
                assert_eq!([pair << 16 >> 16, pair >> 16], want, "{simd:?} load_i8_pairs");
                let want = want[0] * i32::from(others[2 * i]) + want[1] * i32::from(others[2 * i + 1]);
                assert_eq!((dot, float), (want, want as f32), "{simd:?} pair_dot");
            }
        }
    }

    fn reductions_see_every_lane<S>(simd) {
        let powers: Vec<f32> = (0..S::LANES).map(|i| (1u32 << i) as f32).collect();
        let sum = vectors(simd, &powers).map(|v| simd.reduce_add(v)).next();
        assert_eq!(sum, Some(((1u32 << S::LANES) - 1) as f32), "{simd:?} reduce_add");
        for largest in 0..S::LANES {
            let x: Vec<f32> = (0..S::LANES).map(|i| if i == largest { -1.0 } else { -2.0 - i as f32 }).collect();
            let max = vectors(simd, &x).map(|v| simd.reduce_max(v)).next();
            assert_eq!(max, Some(-1.0), "{simd:?} reduce_max with the largest in lane {largest}");
        }
    }

    fn splat_fills_every_lane<S>(simd) {
        assert!(lanes(simd, simd.splat(1.25)).iter().all(|&x| x == 1.25), "{simd:?}");
    }
}

#[test]
fn levels_are_found_by_name() {
    let names: Vec<_> = Level::available().map(Level::name).collect();
    assert_eq!(names[0], "portable");
    assert_eq!(names.last(), Some(&Level::detect().name()));
    for name in names {
        assert_eq!(Level::from_name(name).map(Level::name), Some(name));
    }
    assert!(Level::from_name("sse9").is_none());
}

#[test]
fn lanes_are_those_of_the_vectors() {
    struct Lanes;
    impl Vectorize for Lanes {
        type Output = usize;
        fn run<S: Simd>(self, _: S) -> usize {
            size_of::<S::F>() / size_of::<f32>()
        }
    }
    for level in Level::available() {
        assert_eq!(level.lanes(), level.dispatch(Lanes), "{}", level.name());
    }
}
