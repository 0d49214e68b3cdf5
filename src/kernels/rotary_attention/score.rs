//! The scores of a panel of queries against a block of keys.

use core::marker::PhantomData;

use crate::kernels::gemm::{DotWork, Dots, MAX_NR, bf16_pairs_of_numbers, pair, pairs};
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
///
/// As work with [`Dots`], keys and absorbed queries are [`pairs`] of bfloat16. The absorbed queries are rounded after they are added; what they say of the bias is
/// not rounded.
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
    /// `[place][group][features][key of the group]`, or `[place][group][pairs][key of the group]`.
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
        // SAFETY: the arithmetic of every level is that of this code.
        unsafe { self.panel::<S, Features>(s) }
    }
}

impl DotWork for Scores<'_> {
    /// Checks its operands itself.
    #[inline(always)]
    unsafe fn run<D: Dots>(self, s: D::S) {
        // SAFETY: forwarded to the caller.
        unsafe { self.panel::<D::S, Pairs<D>>(s) }
    }
}

/// What a sum goes over.
trait Terms<S: Simd> {
    /// How many there are.
    fn count(features: usize) -> usize;

    /// Term `index` of the vector `v` of the absorbed queries of a place.
    ///
    /// # Safety
    /// As [`Place::score`], with `index < count(features)`.
    unsafe fn query<const NV: usize>(s: S, place: &Place, index: usize, v: usize) -> S::F;

    /// `sum + key · query`.
    ///
    /// # Safety
    /// This is part of code that is compiled for the instruction.
    unsafe fn add(s: S, key: S::F, query: S::F, sum: S::F) -> S::F;
}

/// Products of f32.
struct Features;

impl<S: Simd> Terms<S> for Features {
    #[inline(always)]
    fn count(features: usize) -> usize {
        features
    }

    #[inline(always)]
    unsafe fn query<const NV: usize>(s: S, place: &Place, index: usize, v: usize) -> S::F {
        // SAFETY: forwarded to the caller.
        unsafe { place.query::<S, NV>(s, index, v) }
    }

    #[inline(always)]
    unsafe fn add(s: S, key: S::F, query: S::F, sum: S::F) -> S::F {
        s.fma(key, query, sum)
    }
}

/// Products of pairs of bfloat16.
struct Pairs<D>(PhantomData<D>);

impl<D: Dots> Terms<D::S> for Pairs<D> {
    #[inline(always)]
    fn count(features: usize) -> usize {
        pairs(features)
    }

    #[inline(always)]
    unsafe fn query<const NV: usize>(s: D::S, place: &Place, index: usize, v: usize) -> <D::S as Simd>::F {
        let [first, second] = pair(index);
        // SAFETY: forwarded to the caller: `first` is a feature.
        unsafe {
            let above = match second < place.features {
                true => place.query::<D::S, NV>(s, second, v),
                false => s.splat(0.0),
            };
            bf16_pairs_of_numbers(s, place.query::<D::S, NV>(s, first, v), above)
        }
    }

    #[inline(always)]
    unsafe fn add(
        s: D::S,
        key: <D::S as Simd>::F,
        query: <D::S as Simd>::F,
        sum: <D::S as Simd>::F,
    ) -> <D::S as Simd>::F {
        // SAFETY: forwarded to the caller.
        unsafe { D::dot(s, sum, key, query) }
    }
}

impl Scores<'_> {
    /// # Safety
    /// As [`Terms::add`].
    #[inline(always)]
    unsafe fn panel<S: Simd, T: Terms<S>>(self, s: S) {
        // The width of a level's tile kernels, in vectors.
        // SAFETY: forwarded to the caller.
        unsafe {
            match self.nr / S::LANES {
                1 => self.block::<S, T, 1>(s),
                2 => self.block::<S, T, 2>(s),
                4 => self.block::<S, T, 4>(s),
                vectors => unreachable!("panels of {vectors} vectors"),
            }
        }
    }

    /// # Safety
    /// As [`Terms::add`].
    #[inline(always)]
    unsafe fn block<S: Simd, T: Terms<S>, const NV: usize>(self, s: S) {
        let Self { columns, rows, features, nr, per_place, group, keys, out, max } = self;
        let query_len = (features + 1) * nr;
        let places = columns.len() / query_len * (rows.len() / query_len);
        let words = T::count(features);
        assert!(nr == NV * S::LANES && group <= MAX_GROUP);
        assert_eq!((keys.len(), out.len()), (places * per_place * words, places * per_place * nr));
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
                            1 => place.score::<S, T, 1, NV>(s, &mut largest),
                            2 => place.score::<S, T, 2, NV>(s, &mut largest),
                            3 => place.score::<S, T, 3, NV>(s, &mut largest),
                            4 => place.score::<S, T, 4, NV>(s, &mut largest),
                            5 => place.score::<S, T, 5, NV>(s, &mut largest),
                            6 => place.score::<S, T, 6, NV>(s, &mut largest),
                            _ => place.score::<S, T, 7, NV>(s, &mut largest),
                        }
                        keys = keys.add(size * words);
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
    /// Scores `N` keys. The sum of both absorbed queries and the scores stay in registers.
    ///
    /// # Safety
    /// `column` and `row` are valid for reads of `features + 1` rows of `NV` vectors, `keys` of `N` values for each of the
    /// [`Terms`]; `out` is valid for writes of `N` rows of `NV` vectors. And as [`Terms::add`].
    #[inline(always)]
    unsafe fn score<S: Simd, T: Terms<S>, const N: usize, const NV: usize>(
        self,
        s: S,
        largest: &mut [S::F; NV],
    ) {
        let Self { features, keys, out, .. } = self;
        // SAFETY: the indices stay inside what the caller promises.
        unsafe {
            let mut bias = [s.splat(0.0); NV];
            for (v, bias) in bias.iter_mut().enumerate() {
                *bias = self.query::<S, NV>(s, features, v);
            }
            let mut scores = [bias; N];
            for index in 0..T::count(features) {
                let mut query = [s.splat(0.0); NV];
                for (v, query) in query.iter_mut().enumerate() {
                    *query = T::query::<NV>(s, &self, index, v);
                }
                for (n, score) in scores.iter_mut().enumerate() {
                    let key = s.splat(*keys.add(index * N + n));
                    for (score, &query) in score.iter_mut().zip(&query) {
                        *score = T::add(s, key, query, *score);
                    }
                }
            }
            for (n, score) in scores.iter().enumerate() {
                for (v, &score) in score.iter().enumerate() {
                    s.store(out.add((n * NV + v) * S::LANES), score);
                    largest[v] = s.max(largest[v], score);
                }
            }
        }
    }

    /// The absorbed query of the place, `column(x) + row(y)`, for one feature: its vector `v`.
    ///
    /// # Safety
    /// As [`score`](Self::score), with `feature <= features`.
    #[inline(always)]
    unsafe fn query<S: Simd, const NV: usize>(&self, s: S, feature: usize, v: usize) -> S::F {
        let at = (feature * NV + v) * S::LANES;
        // SAFETY: forwarded to the caller.
        unsafe { s.add(s.load(self.column.add(at)), s.load(self.row.add(at))) }
    }
}
