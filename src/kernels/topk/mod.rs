//! The best of many vectors for some queries, by dot product: exact search.
//!
//! `score[q, r] = Σᵢ queries[q, i] · vectors[r, i]`; of each query, the `k` largest. Scores are never all in memory: a task
//! computes those of a block of rows and offers them to the lane's list of each query. Lists are ordered by score, then by
//! row, so that neither tasks nor lanes change which rows are found.
//!
//! Few queries are compared row by row as the rows come from memory (`dots`). Many are the packed matrix of a product whose
//! left-hand side are the rows: then arithmetic bounds, not memory.
//!
//! # Soundness
//!
//! A lane's lists are a piece of the scratch memory, cut by the number of the lane. The number of entries in a list is
//! checked by every access to it.
//!
//! Tests: `topk::every_tail`, `topk::threads_do_not_change_the_result`.

mod dots;
mod list;
#[cfg(test)]
mod tests;
mod vectors;

pub use vectors::{MAX_DIM, Vectors, quantize_vectors};

use core::cmp::Ordering;
use core::ops::Range;

use super::activation::Activation;
use super::gemm::{self, Destination, Lhs, PackedWeights, Packing, RowWriter, Rows, WeightFormat};
use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq, SharedMut, Work};
use crate::simd::{Simd, Vectorize};
use dots::{STEP, dots_f32, dots_i8, quantize_query};
use vectors::Values;

/// A vector that was found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Hit {
    /// Which vector it is.
    pub index: usize,
    /// The dot product with the query.
    pub score: f32,
}

/// Queries up to which rows are read for each query anew, from the second-level cache.
const FEW: usize = 8;
/// Queries that are searched for at the same time.
pub(crate) const GROUP: usize = 256;
/// Bytes of rows in a task of few queries: they stay in the second-level cache.
const BLOCK: usize = 64 << 10;
/// Rows in a task of many.
const MANY_ROWS: usize = 256;

/// A search for up to [`GROUP`] queries.
pub(crate) struct Search<'a> {
    cx: &'a Cx,
    vectors: &'a Vectors<'a>,
    /// `[count, dim]`.
    queries: &'a [f32],
    count: usize,
    k: usize,
    /// Rows of a task.
    rows: usize,
    many: Option<Many>,
}

/// What many queries are multiplied with.
struct Many {
    queries: PackedWeights,
    /// What a lane computes with: lanes share nothing in a product.
    serial: Cx,
}

/// The slices of a lane, in elements.
struct LaneReq {
    scores: usize,
    product: ScratchReq,
}

impl<'a> Search<'a> {
    /// Whether so many queries are searched for as a product.
    pub(crate) fn is_many(queries: usize) -> bool {
        queries > FEW
    }

    /// `queries` are `[count, dim]`; `1 <= k <= vectors.len()`. `is_many` says which way is taken: scores differ in their last
    /// bits.
    ///
    /// # Errors
    /// `OutOfMemory`.
    ///
    /// # Panics
    /// If `queries` are not from one to [`GROUP`] whole rows, or `k` is out of bounds.
    pub(crate) fn new(
        cx: &'a Cx,
        vectors: &'a Vectors<'a>,
        queries: &'a [f32],
        k: usize,
        is_many: bool,
    ) -> Result<Self> {
        let (dim, count) = (vectors.dim, queries.len() / vectors.dim);
        assert!(queries.len().is_multiple_of(dim) && (1..=GROUP).contains(&count), "{count} queries");
        assert!((1..=vectors.len()).contains(&k), "{k} of {} vectors", vectors.len());
        let many = is_many.then(|| {
            let queries = PackedWeights::pack(Packing::new(cx, WeightFormat::F32), count, dim, queries)?;
            Ok(Many { queries, serial: Cx::serial(cx.level()).with_caches(*cx.caches()) })
        });
        let many = many.transpose()?;
        let rows = if is_many { MANY_ROWS } else { (BLOCK / vectors.row_bytes()).max(1) };
        Ok(Self { cx, vectors, queries, count, k, rows: rows.min(vectors.len()), many })
    }

    /// Elements of 8 bytes in a lane's lists: keys, how many of them each list has, and the first row with a NaN.
    fn list_len(&self) -> usize {
        self.count * (self.k + 1) + 1
    }

    /// Bytes of the queries as integers, where they are.
    fn query_bytes(&self) -> usize {
        match self.vectors.values {
            Values::Int8 { .. } if self.many.is_none() => {
                2 * self.count * self.vectors.dim.next_multiple_of(STEP)
            }
            _ => 0,
        }
    }

    fn lane_req(&self) -> LaneReq {
        match &self.many {
            None => LaneReq { scores: self.rows, product: ScratchReq::NONE },
            Some(many) => LaneReq {
                scores: self.rows * self.count,
                product: gemm::scratch_req(&many.serial, self.rows, &many.queries),
            },
        }
    }

    /// Scratch that [`run`](Self::run) needs.
    pub(crate) fn scratch_req(&self) -> ScratchReq {
        let lanes = self.cx.threads();
        let lane = self.lane_req();
        let lists = self.list_len().saturating_mul(lanes).saturating_mul(size_of::<u64>());
        ScratchReq::bytes(lists)
            .and(ScratchReq::slices([lanes.saturating_mul(self.count), self.count]))
            .and(ScratchReq::bytes(self.query_bytes()))
            .and(ScratchReq::slice(lane.scores).and(lane.product).per_lane(self.cx))
    }

    /// Writes the `k` best vectors of each query to `hits: [count, k]`, the best first. Returns the first vector whose score
    /// with a query is NaN, if there is one; NaN is worse than all numbers.
    ///
    /// # Panics
    /// If `hits` has another length, or the scratch is smaller than [`scratch_req`](Self::scratch_req).
    pub(crate) fn run(&self, hits: &mut [Hit], mut scratch: Scratch<'_>) -> Option<usize> {
        let Self { cx, count, k, rows, .. } = *self;
        assert_eq!(hits.len(), count * k, "room for hits");
        let total = self.vectors.len();
        let _kernel = cx.kernel("topk", || Work {
            flops: 2.0 * total as f64 * self.queries.len() as f64,
            bytes: (total * self.vectors.row_bytes()) as f64,
        });
        let (lanes, list_len) = (cx.threads(), self.list_len());
        let lists: &mut [u64] = bytemuck::cast_slice_mut(scratch.take_bytes(8 * lanes * list_len));
        lists.fill(0);
        lists.chunks_exact_mut(list_len).for_each(|list| list[list_len - 1] = u64::MAX);
        let [thresholds, query_scales] = scratch.take_all([lanes * count, count]);
        thresholds.fill(f32::NEG_INFINITY);
        let integers: &mut [i16] = bytemuck::cast_slice_mut(scratch.take_bytes(self.query_bytes()));
        if !integers.is_empty() {
            let queries = self
                .queries
                .chunks_exact(self.vectors.dim)
                .zip(integers.chunks_exact_mut(integers.len() / count));
            for ((query, out), scale) in queries.zip(&mut *query_scales) {
                *scale = quantize_query(query, out);
            }
        }
        let few = Integers { queries: integers, scales: query_scales };

        let shared = (SharedMut::new(&mut *lists), SharedMut::new(thresholds));
        let LaneReq { scores: scores_len, product } = self.lane_req();
        let req = ScratchReq::slice(scores_len).and(product);
        cx.parallel_for_lanes(total.div_ceil(rows), req, scratch, |lane, mut scratch, task| {
            // SAFETY: a lane does one task at a time, and no other lane has its lists.
            let (lists, thresholds) = unsafe {
                (
                    shared.0.range(lane * list_len..(lane + 1) * list_len),
                    shared.1.range(lane * count..(lane + 1) * count),
                )
            };
            let mut lists = Lists::new(lists, thresholds, k);
            let block = task * rows..total.min((task + 1) * rows);
            let scores = scratch.take(scores_len);
            match &self.many {
                None => self.compare(block, &few, scores, &mut lists),
                Some(many) => self.multiply(block, many, scores, scratch, &mut lists),
            }
        });
        self.merge(lists, hits)
    }

    /// Offers the rows of `block` to the lists, one query after the other.
    fn compare(&self, block: Range<usize>, few: &Integers<'_>, scores: &mut [f32], lists: &mut Lists<'_>) {
        let (level, dim) = (self.cx.level(), self.vectors.dim);
        let scores = &mut scores[..block.len()];
        for q in 0..self.count {
            match self.vectors.values {
                Values::F32(values) => {
                    let rows = &values[block.start * dim..block.end * dim];
                    dots_f32(level, rows, &self.queries[q * dim..][..dim], scores);
                }
                Values::Int8 { codes, scales } => {
                    let width = few.queries.len() / self.count;
                    let sums: &mut [i32] = bytemuck::cast_slice_mut(scores);
                    let rows = &codes[block.start * dim..block.end * dim];
                    dots_i8(level, rows, dim, &few.queries[q * width..][..width], sums);
                    for (score, scale) in scores.iter_mut().zip(&scales[block.clone()]) {
                        *score = score.to_bits() as i32 as f32 * few.scales[q] * scale;
                    }
                }
            }
            for (row, &score) in block.clone().zip(&*scores) {
                lists.consider(q, row, score);
            }
        }
    }

    /// Offers the rows of `block` to the lists of all queries.
    fn multiply(
        &self,
        block: Range<usize>,
        many: &Many,
        scores: &mut [f32],
        scratch: Scratch<'_>,
        lists: &mut Lists<'_>,
    ) {
        let (dim, stride) = (self.vectors.dim, self.count);
        let scores = &mut scores[..block.len() * stride];
        let elements = block.start * dim..block.end * dim;
        let out = Destination::Store { out: &mut *scores, stride };
        let (cx, queries) = (&many.serial, &many.queries);
        let scales = match self.vectors.values {
            Values::F32(values) => {
                let lhs = Rows::new(&values[elements], block.len(), dim);
                gemm::gemm(cx, &lhs, queries, None, Activation::None, out, scratch);
                None
            }
            Values::Int8 { codes, scales } => {
                let lhs = Int8Rows { codes: &codes[elements], dim };
                gemm::gemm(cx, &lhs, queries, None, Activation::None, out, scratch);
                Some(&scales[block.clone()])
            }
        };
        for (i, row) in block.enumerate() {
            let scores = &mut scores[i * stride..][..stride];
            if let Some(scales) = scales {
                scores.iter_mut().for_each(|score| *score *= scales[i]);
            }
            self.cx.level().dispatch(Candidates { scores, row, lists });
        }
    }

    /// Makes one list of those of all lanes.
    fn merge(&self, lists: &mut [u64], hits: &mut [Hit]) -> Option<usize> {
        let (k, list_len) = (self.k, self.list_len());
        let (first, others) = lists.split_at_mut(list_len);
        let mut nan = first[list_len - 1];
        for other in others.chunks_exact(list_len) {
            nan = nan.min(other[list_len - 1]);
            for q in 0..self.count {
                let len = other[self.count * k + q] as usize;
                let (keys, lens) = first.split_at_mut(self.count * k);
                for &key in &other[q * k..][..len] {
                    list::offer(&mut keys[q * k..][..k], &mut lens[q], key);
                }
            }
        }
        for (keys, hits) in first.chunks_exact_mut(k).zip(hits.chunks_exact_mut(k)) {
            keys.sort_unstable_by(|a, b| b.cmp(a));
            for (&key, hit) in keys.iter().zip(hits) {
                *hit = Hit { index: list::row(key) as usize, score: list::score(key) };
            }
        }
        u32::try_from(nan).ok().map(|row| row as usize)
    }
}

/// Queries as 16-bit integers.
struct Integers<'a> {
    /// `[count][dim, filled up]`.
    queries: &'a [i16],
    scales: &'a [f32],
}

/// The lists of a lane.
struct Lists<'a> {
    /// `[queries][k]`.
    keys: &'a mut [u64],
    lens: &'a mut [u64],
    /// The first row with a score that is NaN.
    nan: &'a mut u64,
    /// What a score must reach to come into a list.
    thresholds: &'a mut [f32],
    k: usize,
}

impl<'a> Lists<'a> {
    fn new(lists: &'a mut [u64], thresholds: &'a mut [f32], k: usize) -> Self {
        let (keys, rest) = lists.split_at_mut(thresholds.len() * k);
        let (lens, nan) = rest.split_at_mut(thresholds.len());
        Self { keys, lens, nan: &mut nan[0], thresholds, k }
    }

    /// Offers a score that reaches the threshold, or is NaN.
    #[inline(always)]
    fn consider(&mut self, query: usize, row: usize, score: f32) {
        if score.partial_cmp(&self.thresholds[query]) != Some(Ordering::Less) {
            self.offer(query, row, score);
        }
    }

    #[cold]
    fn offer(&mut self, query: usize, row: usize, score: f32) {
        if score.is_nan() {
            *self.nan = (*self.nan).min(row as u64);
        }
        let keys = &mut self.keys[query * self.k..][..self.k];
        list::offer(keys, &mut self.lens[query], list::key(score, row as u32));
        if self.lens[query] as usize == self.k {
            self.thresholds[query] = list::score(keys[0]);
        }
    }
}

/// Offers the scores of a row with all queries.
struct Candidates<'a, 'l> {
    scores: &'a [f32],
    row: usize,
    lists: &'a mut Lists<'l>,
}

impl Vectorize for Candidates<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { scores, row, lists } = self;
        let whole = scores.len() / S::LANES * S::LANES;
        assert!(lists.thresholds.len() == scores.len(), "a threshold for each query");
        for at in (0..whole).step_by(S::LANES) {
            // SAFETY: both have `LANES` values from `at`.
            let worse =
                unsafe { s.lt(s.load(scores.as_ptr().add(at)), s.load(lists.thresholds.as_ptr().add(at))) };
            let mut rest = !s.bits(worse) & ((1 << S::LANES) - 1);
            while rest != 0 {
                let q = at + rest.trailing_zeros() as usize;
                lists.offer(q, row, scores[q]);
                rest &= rest - 1;
            }
        }
        for (q, &score) in scores.iter().enumerate().skip(whole) {
            lists.consider(q, row, score);
        }
    }
}

/// Rows of 8-bit integers, without their scales.
struct Int8Rows<'a> {
    codes: &'a [i8],
    dim: usize,
}

impl Lhs for Int8Rows<'_> {
    fn rows(&self) -> usize {
        self.codes.len() / self.dim
    }

    fn depth(&self) -> usize {
        self.dim
    }

    fn pack(&self, rows: Range<usize>, out: &mut [f32]) {
        let count = rows.len();
        let mut values = [0.0; 64];
        for (r, row) in rows.enumerate() {
            let mut writer = RowWriter::new(out, count, r);
            for codes in self.codes[row * self.dim..][..self.dim].chunks(values.len()) {
                values.iter_mut().zip(codes).for_each(|(value, &code)| *value = code.into());
                writer.copy(&values[..codes.len()]);
            }
        }
    }
}
