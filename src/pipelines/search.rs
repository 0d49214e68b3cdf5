//! Exact search among embeddings.

use alloc::vec::Vec;

use crate::error::{Result, err};
use crate::exec::{Cx, Monitor};
use crate::kernels::finite;
use crate::kernels::topk::{GROUP, Hit, Search, Vectors};

/// What [`topk`] found. Reusable: a second search of the same size allocates nothing, unless it is for many queries.
#[derive(Clone, Debug, Default)]
pub struct TopK {
    hits: Vec<Hit>,
    queries: usize,
}

impl TopK {
    /// Queries that were searched for.
    pub fn queries(&self) -> usize {
        self.queries
    }

    /// The best vectors of a query, the best first; of equal scores the earlier vector first.
    ///
    /// # Panics
    /// If there is no such query.
    pub fn hits(&self, query: usize) -> &[Hit] {
        assert!(query < self.queries, "query {query} of {}", self.queries);
        let k = self.hits.len() / self.queries;
        &self.hits[query * k..][..k]
    }

    /// All hits, query after query, as many for each.
    pub fn all(&self) -> &[Hit] {
        &self.hits
    }
}

/// Finds, for each of `queries: [count, dim]`, the `k` of `vectors` with the largest dot product: all of them if they are
/// fewer than `k`. Of vectors of length 1, as embeddings are by default, that is the cosine.
///
/// Every vector is compared: the result is exact, up to the rounding of scores. Of equal scores the earlier vector is
/// better. Threads do not change a bit of the result; whether there are more than eight queries changes the last bits of
/// scores. [`Vectors::int8`] takes a quarter of the memory, and of the time where memory bounds it; its scores differ from
/// those of the vectors that were rounded by an error whose standard deviation is about `scale · ‖query‖ / √12`.
///
/// # Errors
/// `InvalidArgument` for no queries, queries that are not whole rows, or a `k` of 0; `NonFinite` for a query or a score that is
/// not finite, naming it, unless the context's [limits](crate::Limits) allow it: NaN is then worse than all numbers.
/// `Limit` if lists take more scratch memory than the context's limits allow; `OutOfMemory`, `Cancelled`. `results` are
/// empty after an error.
pub fn topk(
    cx: &Cx,
    queries: &[f32],
    vectors: &Vectors<'_>,
    k: usize,
    results: &mut TopK,
    monitor: &Monitor<'_>,
) -> Result<()> {
    results.hits.clear();
    results.queries = 0;
    let dim = vectors.dim();
    if queries.is_empty() || !queries.len().is_multiple_of(dim) {
        return Err(err!(InvalidArgument, "queries: {} values are not rows of {dim}", queries.len()));
    }
    if k == 0 {
        return Err(err!(InvalidArgument, "k is 0: no results are asked for"));
    }
    for (i, query) in queries.chunks_exact(dim).enumerate() {
        finite::check(cx, query, format_args!("query {i}"))?;
    }
    let (count, k) = (queries.len() / dim, k.min(vectors.len()));
    let len = count.checked_mul(k).ok_or_else(|| err!(Limit, "{count} lists of {k} results"))?;
    results.hits.try_reserve(len).map_err(|_| err!(OutOfMemory, "no memory for {len} results"))?;
    results.hits.resize(len, Hit::default());
    let searched = if k == 0 { Ok(()) } else { search(cx, queries, vectors, k, &mut results.hits, monitor) };
    match searched {
        Ok(()) => results.queries = count,
        Err(_) => results.hits.clear(),
    }
    searched
}

/// `1 <= k <= vectors.len()`.
fn search(
    cx: &Cx,
    queries: &[f32],
    vectors: &Vectors<'_>,
    k: usize,
    hits: &mut [Hit],
    monitor: &Monitor<'_>,
) -> Result<()> {
    let count = queries.len() / vectors.dim();
    let is_many = Search::is_many(count);
    cx.watched(monitor, |cx, monitor| {
        let groups = queries.chunks(GROUP * vectors.dim()).zip(hits.chunks_mut(GROUP * k));
        for (group, (queries, hits)) in groups.enumerate() {
            let search = Search::new(cx, vectors, queries, k, is_many)?;
            let nan = search.run(hits, cx.workspace(search.scratch_req())?.scratch());
            if !cx.limits().allow_non_finite {
                let infinite = hits.iter().find(|hit| !hit.score.is_finite()).map(|hit| hit.index);
                if let Some(row) = nan.or(infinite) {
                    return Err(err!(
                        NonFinite,
                        "vector {row}: a score that is not finite (NaN or infinity); the context's limit \
                         allow_non_finite lets it pass"
                    ));
                }
            }
            monitor.report((GROUP * (group + 1)).min(count), count)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;
    use core::ops::ControlFlow;

    use super::*;
    use crate::ErrorCode;
    use crate::exec::Limits;
    use crate::simd::Level;

    const ROWS: [f32; 8] = [1.0, 0.0, 0.0, 1.0, -1.0, 0.0, 0.0, -1.0];

    fn found(cx: &Cx, queries: &[f32], rows: &[f32], k: usize) -> Result<Vec<Vec<usize>>> {
        let mut results = TopK::default();
        topk(cx, queries, &Vectors::f32(rows, 2)?, k, &mut results, &Monitor::none())?;
        let indices = |query| results.hits(query).iter().map(|hit| hit.index).collect();
        assert_eq!(results.all().len(), results.queries() * k.min(rows.len() / 2));
        Ok((0..results.queries()).map(indices).collect())
    }

    #[test]
    fn more_than_there_are_is_all() {
        let cx = Cx::serial(Level::detect());
        assert_eq!(found(&cx, &[2.0, 1.0], &ROWS, 2).unwrap(), [[0, 1]]);
        assert_eq!(found(&cx, &[2.0, 1.0, 0.0, -1.0], &ROWS, 9).unwrap(), [[0, 1, 3, 2], [3, 0, 2, 1]]);
        assert_eq!(found(&cx, &[2.0, 1.0], &[], 9).unwrap(), [[0; 0]]);
        // More than a group.
        let many = found(&cx, &[1.0, 2.0].repeat(600), &ROWS, 1).unwrap();
        assert!(many.len() == 600 && many.iter().all(|it| it == &[1]));
    }

    #[test]
    fn bad_calls_are_refused() {
        let cx = Cx::serial(Level::detect());
        let code = |queries: &[f32], rows: &[f32], k| found(&cx, queries, rows, k).unwrap_err().code();
        assert_eq!(code(&[], &ROWS, 1), ErrorCode::InvalidArgument);
        assert_eq!(code(&[1.0], &ROWS, 1), ErrorCode::InvalidArgument);
        assert_eq!(code(&[1.0, 1.0], &ROWS, 0), ErrorCode::InvalidArgument);
        assert_eq!(code(&[1.0, f32::NAN], &ROWS, 1), ErrorCode::NonFinite);
        let mut rows = ROWS;
        for bad in [f32::NAN, f32::INFINITY] {
            rows[5] = bad;
            let error = found(&cx, &[1.0, 1.0], &rows, 1).unwrap_err();
            assert_eq!(error.code(), ErrorCode::NonFinite);
            assert!(error.message().starts_with("vector 2: "), "{error}");
        }
        let lenient = cx.clone().with_limits(Limits::default().with_allow_non_finite(true));
        rows[5] = f32::NAN;
        assert_eq!(found(&lenient, &[1.0, 0.5], &rows, 4).unwrap(), [[0, 1, 3, 2]]);
        let small = cx.with_limits(Limits::default().with_scratch_bytes(1000));
        assert_eq!(found(&small, &[1.0, 1.0], &ROWS.repeat(100), 300).unwrap_err().code(), ErrorCode::Limit);
    }

    #[test]
    fn a_search_can_be_stopped_and_leaves_no_results() {
        let cx = Cx::serial(Level::detect());
        let rows = vec![1.0; 1 << 20];
        let vectors = Vectors::f32(&rows, 2).unwrap();
        let mut results = TopK::default();
        topk(&cx, &[1.0, 0.0], &vectors, 3, &mut results, &Monitor::none()).unwrap();
        let stop = |_: f32| ControlFlow::Break(());
        let monitor = Monitor::new(&stop).with_interval(core::time::Duration::ZERO);
        let stopped = topk(&cx, &[1.0, 0.0], &vectors, 3, &mut results, &monitor);
        assert_eq!(stopped.unwrap_err().code(), ErrorCode::Cancelled);
        assert!(results.queries() == 0 && results.all().is_empty());
    }
}
