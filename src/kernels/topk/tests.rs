use alloc::vec;
use alloc::vec::Vec;

use super::dots::{STEP, dots_f32, dots_i8, quantize_query};
use super::*;
use crate::exec::CxOptions;
use crate::kernels::testing::{Guarded, Place, Rng, assert_near, lengths, nan_workspace};
use crate::simd::Level;

fn bytes(rng: &mut Rng, len: usize) -> Vec<i8> {
    (0..len).map(|_| rng.bits() as i8).collect()
}

#[test]
fn every_tail() {
    const ROWS: usize = 3;
    for level in Level::available() {
        for dim in lengths(level).filter(|&dim| dim > 0) {
            let mut rng = Rng::new(dim as u64);
            let (rows, query) = (rng.vec(ROWS * dim, -2.0..=2.0), rng.vec(dim, -2.0..=2.0));
            let products =
                |row: &[f32]| row.iter().zip(&query).map(|(a, b)| f64::from(*a) * f64::from(*b)).collect();
            let products: Vec<Vec<f64>> = rows.chunks_exact(dim).map(products).collect();
            let exact: Vec<f64> = products.iter().map(|it| it.iter().sum()).collect();
            let sizes: Vec<f64> = products.iter().map(|it| it.iter().map(|x| x.abs()).sum()).collect();
            let (codes, mut integers) =
                (bytes(&mut rng, ROWS * dim), vec![0_i16; dim.next_multiple_of(STEP)]);
            integers[..dim].fill_with(|| (rng.bits() % 2001) as i16 - 1000);
            let sum =
                |row: &[i8]| row.iter().zip(&integers).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum();
            let sums: Vec<i32> = codes.chunks_exact(dim).map(sum).collect();
            for place in Place::ALL {
                let (rows, query) = (Guarded::new(&rows, place), Guarded::new(&query, place));
                let mut got = Guarded::<f32>::unwritten(ROWS, place);
                dots_f32(level, &rows, &query, &mut got);
                assert_near(&got, &exact, |i| 1e-6 * sizes[i]);

                let (codes, query) = (Guarded::new(&codes, place), Guarded::new(&integers, place));
                let mut got = Guarded::<i32>::unwritten(ROWS, place);
                dots_i8(level, &codes, dim, &query, &mut got);
                assert_eq!(*got, *sums, "{} {dim}", level.name());
            }
        }
    }
}

/// The largest sums that there are.
#[test]
fn sums_of_integers_do_not_wrap() {
    for level in Level::available() {
        for dim in [1, 31, 512, 700, 5000, MAX_DIM] {
            let mut query = vec![0; dim.next_multiple_of(STEP)];
            let scale = quantize_query(&vec![-3.0; dim], &mut query);
            assert!((f32::from(query[0]) * scale + 3.0).abs() < 3e-2, "{dim}");
            let mut out = [0];
            dots_i8(level, &vec![-128; dim], dim, &query, &mut out);
            assert_eq!(i64::from(out[0]), query.iter().map(|&x| i64::from(x) * -128).sum::<i64>());
        }
    }
}

/// What is searched, and what is expected.
struct Case {
    dim: usize,
    rows: Vec<f32>,
    queries: Vec<f32>,
    codes: Vec<i8>,
    scales: Vec<f32>,
}

impl Case {
    fn new(rows: usize, queries: usize, dim: usize) -> Self {
        let mut rng = Rng::new((rows * 31 + queries) as u64);
        let values = rng.vec(rows * dim, -1.0..=1.0);
        let (mut codes, mut scales) = (vec![0; values.len()], vec![0.0; rows]);
        quantize_vectors(&values, dim, &mut codes, &mut scales).unwrap();
        Self { dim, rows: values, queries: rng.vec(queries * dim, -1.0..=1.0), codes, scales }
    }

    fn vectors(&self) -> [Vectors<'_>; 2] {
        [
            Vectors::f32(&self.rows, self.dim).unwrap(),
            Vectors::int8(&self.codes, &self.scales, self.dim).unwrap(),
        ]
    }

    /// Of each query, the score of each row.
    fn scores(&self, vectors: &Vectors<'_>) -> Vec<Vec<f64>> {
        let row = |r: usize, i: usize| match vectors.values {
            Values::F32(values) => f64::from(values[r * self.dim + i]),
            Values::Int8 { codes, scales } => f64::from(scales[r]) * f64::from(codes[r * self.dim + i]),
        };
        let score = |q: &[f32], r: usize| q.iter().enumerate().map(|(i, &x)| f64::from(x) * row(r, i)).sum();
        let scores = |q: &[f32]| (0..vectors.len()).map(|r| score(q, r)).collect();
        self.queries.chunks_exact(self.dim).map(scores).collect()
    }
}

fn search(cx: &Cx, case: &Case, vectors: &Vectors<'_>, k: usize) -> (Vec<Hit>, Option<usize>) {
    let count = case.queries.len() / case.dim;
    let search = Search::new(cx, vectors, &case.queries, k, Search::is_many(count)).unwrap();
    let mut hits = vec![Hit::default(); count * k];
    let nan = search.run(&mut hits, nan_workspace(search.scratch_req()).scratch());
    (hits, nan)
}

#[test]
fn equals_a_sort_of_all_scores_at_every_level() {
    for level in Level::available() {
        for (rows, queries, dim) in [(1, 1, 1), (700, 1, 64), (700, 3, 37), (1500, 40, 33), (300, GROUP, 20)]
        {
            let case = Case::new(rows, queries, dim);
            for vectors in case.vectors() {
                let scores = case.scores(&vectors);
                for k in [1, 2, 17, rows] {
                    let k = k.min(rows);
                    let (hits, nan) = search(&Cx::serial(level), &case, &vectors, k);
                    assert_eq!(nan, None);
                    for (hits, scores) in hits.chunks_exact(k).zip(&scores) {
                        let mut order = scores.clone();
                        order.sort_unstable_by(|a, b| b.total_cmp(a));
                        // Rounding, of a query to integers too.
                        let near = |a: f64, b: f64| (a - b).abs() < 2e-4;
                        assert!(hits.is_sorted_by(
                            |a, b| a.score > b.score || a.score == b.score && a.index < b.index
                        ));
                        for (hit, &best) in hits.iter().zip(&order) {
                            assert!(
                                near(hit.score.into(), scores[hit.index]) && near(scores[hit.index], best)
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn of_equal_scores_the_earlier_row_is_better() {
    for level in Level::available() {
        for queries in [1, 20] {
            let mut case = Case::new(900, queries, 8);
            for row in 0..900 {
                let first = row % 3 * 8;
                case.rows.copy_within(first..first + 8, row * 8);
            }
            quantize_vectors(&case.rows, 8, &mut case.codes, &mut case.scales).unwrap();
            for vectors in case.vectors() {
                let (hits, _) = search(&Cx::serial(level), &case, &vectors, 310);
                for hits in hits.chunks_exact(310) {
                    let best = hits[0].index;
                    let expected =
                        |i: usize| if i < 300 { best + 3 * i } else { hits[300].index + 3 * (i - 300) };
                    assert!(best < 3 && (0..310).all(|i| hits[i].index == expected(i)));
                }
            }
        }
    }
}

#[test]
fn rows_with_nan_are_last_and_named() {
    for level in Level::available() {
        for queries in [1, 20] {
            let mut case = Case::new(500, queries, 16);
            for row in [13, 14, 499] {
                case.rows[row * 16 + 3] = f32::NAN;
                case.scales[row] = f32::NAN;
            }
            for vectors in case.vectors() {
                let (hits, nan) = search(&Cx::serial(level), &case, &vectors, 500);
                assert_eq!(nan, Some(13));
                for hits in hits.chunks_exact(500) {
                    assert!(hits[..497].iter().all(|hit| hit.score.is_finite()));
                    let last: Vec<usize> = hits[497..].iter().map(|hit| hit.index).collect();
                    assert!(last == [13, 14, 499] && hits[497..].iter().all(|hit| hit.score.is_nan()));
                }
                assert_eq!(search(&Cx::serial(level), &case, &vectors, 1).1, Some(13));
            }
        }
    }
}

#[test]
fn threads_do_not_change_the_result() {
    let counts: &[usize] = if cfg!(feature = "parallel") { &[2, 3, 8] } else { &[1] };
    for level in Level::available() {
        for queries in [1, 5, 70] {
            let case = Case::new(2000, queries, 24);
            for vectors in case.vectors() {
                let expected = search(&Cx::serial(level), &case, &vectors, 25);
                for &threads in counts {
                    let options = CxOptions::default().with_threads(threads).with_level(level);
                    assert_eq!(search(&Cx::new(&options).unwrap(), &case, &vectors, 25), expected);
                }
            }
        }
    }
}

#[test]
fn integers_give_the_same_bits_at_every_level() {
    let case = Case::new(600, 4, 100);
    let [_, vectors] = case.vectors();
    let found: Vec<_> =
        Level::available().map(|level| search(&Cx::serial(level), &case, &vectors, 50)).collect();
    assert!(found.iter().all(|it| *it == found[0]));
}

#[test]
fn rounding_is_by_half_a_step_at_most() {
    let case = Case::new(50, 1, 37);
    for (r, row) in case.rows.chunks_exact(37).enumerate() {
        for (x, &code) in row.iter().zip(&case.codes[r * 37..]) {
            assert!((x - case.scales[r] * f32::from(code)).abs() <= case.scales[r] * 0.500_01);
        }
        assert!(case.codes[r * 37..][..37].iter().any(|code| code.unsigned_abs() == 127));
    }
    let (mut codes, mut scales) = ([1; 4], [1.0; 2]);
    quantize_vectors(&[0.0, 0.0, -0.5, 1.0], 2, &mut codes, &mut scales).unwrap();
    // −63.5 is a tie.
    assert_eq!((codes, scales), ([0, 0, -64, 127], [0.0, 1.0 / 127.0]));
}

#[test]
fn vectors_have_whole_rows_of_numbers() {
    use crate::ErrorCode::{InvalidArgument, Limit, NonFinite};
    let code = |result: Result<Vectors<'_>>| result.unwrap_err().code();
    assert_eq!(code(Vectors::f32(&[0.0; 3], 2)), InvalidArgument);
    assert_eq!(code(Vectors::f32(&[], 0)), InvalidArgument);
    assert_eq!(code(Vectors::f32(&[], MAX_DIM + 1)), Limit);
    assert_eq!(code(Vectors::int8(&[0; 4], &[1.0], 2)), InvalidArgument);
    assert!(Vectors::f32(&[], 7).unwrap().is_empty());
    let quantize = |values: &[f32], codes: usize| {
        quantize_vectors(values, 2, &mut vec![0; codes], &mut [0.0; 1]).unwrap_err().code()
    };
    assert_eq!(quantize(&[0.0; 2], 3), InvalidArgument);
    assert_eq!(quantize(&[0.0; 4], 4), InvalidArgument);
    assert_eq!(quantize(&[f32::INFINITY, 0.0], 2), NonFinite);
}
