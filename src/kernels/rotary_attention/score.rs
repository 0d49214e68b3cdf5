//! The scores of a panel of queries against a block of keys.

use crate::kernels::gemm::MAX_NR;
use crate::simd::{Simd, Vectorize};

/// Most keys of a place that are scored together, at any level.
pub(super) const MAX_GROUP: usize = 7;

/// `count` keys cut into groups of at most `most` whose sizes differ by at most one.
pub(super) fn groups(count: usize, most: usize) -> impl Iterator<Item = usize> {
    let groups = count.div_ceil(most).max(1);
    (0..groups).map(move |i| count / groups + usize::from(i < count % groups)).filter(|&size| size > 0)
}

/// For every place of the block, column by column, and each of its keys `m`:
/// `out[key][query] = (column(x) + row(y)) · (m, 1)`; and the largest score of every query.
pub(super) struct Scores<'a> {
    /// Absorbed queries of the block's columns, `[columns][features + 1][nr]`.
    pub(super) columns: &'a [f32],
    /// Absorbed queries of its rows.
    pub(super) rows: &'a [f32],
    pub(super) features: usize,
    pub(super) nr: usize,
    /// Keys of a place.
    pub(super) per_place: usize,
    /// Most keys of a group.
    pub(super) group: usize,
    /// `[place][group][features][key of the group]`
    pub(super) keys: &'a [f32],
    /// `[keys][nr]`
    pub(super) out: &'a mut [f32],
    /// One per query.
    pub(super) max: &'a mut [f32; MAX_NR],
}

impl Vectorize for Scores<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // The width of a level's tile kernels, in vectors.
        match self.nr / S::LANES {
            1 => self.block::<S, 1>(s),
            2 => self.block::<S, 2>(s),
            4 => self.block::<S, 4>(s),
            vectors => unreachable!("panels of {vectors} vectors"),
        }
    }
}

impl Scores<'_> {
    #[inline(always)]
    fn block<S: Simd, const NV: usize>(self, s: S) {
        let Self { columns, rows, features, nr, per_place, group, keys, out, max } = self;
        let query_len = (features + 1) * nr;
        let places = columns.len() / query_len * (rows.len() / query_len);
        assert!(nr == NV * S::LANES && group <= MAX_GROUP);
        assert_eq!((keys.len(), out.len()), (places * per_place * features, places * per_place * nr));
        let mut largest = [s.splat(f32::NEG_INFINITY); NV];
        let (mut keys, mut out) = (keys.as_ptr(), out.as_mut_ptr());
        for column in columns.chunks_exact(query_len) {
            for row in rows.chunks_exact(query_len) {
                for size in groups(per_place, group) {
                    let place = Place { column: column.as_ptr(), row: row.as_ptr(), features, keys, out };
                    // SAFETY: both absorbed queries have `features + 1` rows of `NV` vectors; by the assertion, `size` keys
                    // and their scores are left.
                    unsafe {
                        match size {
                            1 => place.score::<S, 1, NV>(s, &mut largest),
                            2 => place.score::<S, 2, NV>(s, &mut largest),
                            3 => place.score::<S, 3, NV>(s, &mut largest),
                            4 => place.score::<S, 4, NV>(s, &mut largest),
                            5 => place.score::<S, 5, NV>(s, &mut largest),
                            6 => place.score::<S, 6, NV>(s, &mut largest),
                            _ => place.score::<S, 7, NV>(s, &mut largest),
                        }
                        keys = keys.add(size * features);
                        out = out.add(size * nr);
                    }
                }
            }
        }
        for (to, largest) in max.chunks_exact_mut(S::LANES).zip(largest) {
            // SAFETY: the chunk has `LANES` elements.
            unsafe { s.store(to.as_mut_ptr(), largest) };
        }
    }
}

/// A group of keys of one place.
#[derive(Clone, Copy)]
struct Place {
    column: *const f32,
    row: *const f32,
    features: usize,
    keys: *const f32,
    out: *mut f32,
}

impl Place {
    /// Scores `T` keys. The sum of both absorbed queries and the scores stay in registers.
    ///
    /// # Safety
    /// `column` and `row` are valid for reads of `features + 1` rows of `NV` vectors, `keys` of `features · T` values;
    /// `out` is valid for writes of `T` rows of `NV` vectors.
    #[inline(always)]
    unsafe fn score<S: Simd, const T: usize, const NV: usize>(self, s: S, largest: &mut [S::F; NV]) {
        let Self { features, keys, out, .. } = self;
        // SAFETY: the indices stay inside what the caller promises.
        unsafe {
            let mut scores = [self.query::<S, NV>(s, features); T];
            for feature in 0..features {
                let query = self.query::<S, NV>(s, feature);
                for (t, score) in scores.iter_mut().enumerate() {
                    let key = s.splat(*keys.add(feature * T + t));
                    for (score, &query) in score.iter_mut().zip(&query) {
                        *score = s.fma(key, query, *score);
                    }
                }
            }
            for (t, score) in scores.iter().enumerate() {
                for (v, &score) in score.iter().enumerate() {
                    s.store(out.add((t * NV + v) * S::LANES), score);
                    largest[v] = s.max(largest[v], score);
                }
            }
        }
    }

    /// The absorbed query of the place, `column(x) + row(y)`, for one feature.
    ///
    /// # Safety
    /// As [`score`](Self::score), with `feature <= features`.
    #[inline(always)]
    unsafe fn query<S: Simd, const NV: usize>(self, s: S, feature: usize) -> [S::F; NV] {
        let mut query = [s.splat(0.0); NV];
        for (v, query) in query.iter_mut().enumerate() {
            let at = (feature * NV + v) * S::LANES;
            // SAFETY: forwarded to the caller.
            *query = unsafe { s.add(s.load(self.column.add(at)), s.load(self.row.add(at))) };
        }
        query
    }
}
