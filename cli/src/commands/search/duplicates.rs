//! Pictures of an index that are there more than once.

use vitrum::exec::Cx;
use vitrum::{Monitor, TopK, topk};

use crate::failure::{Exit, OrExit, Result};
use crate::index::Index;
use crate::progress;

/// Pictures that are compared with all others at the same time.
const BLOCK: usize = 256;
/// Neighbours of a picture that are asked for at first.
const NEIGHBOURS: usize = 16;

/// Groups of at least two entries of `index`: those that a chain of pairs with a cosine of at least `threshold` joins. Each has
/// its highest cosine with another entry. Entries are in the order of the index, and groups in that of their first entries.
pub(super) fn groups(cx: &Cx, index: &Index, threshold: f32) -> Result<Vec<Vec<(usize, f32)>>> {
    let count = index.entries.len();
    let mut joined = Joined { parents: (0..count).collect() };
    let mut best = vec![f32::NEG_INFINITY; count];
    let bar = progress::bar("pictures", count);
    for first in (0..count).step_by(BLOCK) {
        let rows: Vec<usize> = (first..count.min(first + BLOCK)).collect();
        compare(cx, index, threshold, rows, &mut |a, b, score| {
            joined.join(a, b);
            for i in [a, b] {
                best[i] = best[i].max(score);
            }
        })?;
        bar.inc(BLOCK as u64);
    }
    let mut groups: Vec<Vec<(usize, f32)>> = vec![Vec::new(); count];
    for i in 0..count {
        groups[joined.root(i)].push((i, best[i]));
    }
    groups.retain(|group| group.len() > 1);
    groups.sort_by_key(|group| group[0].0);
    Ok(groups)
}

/// Calls `pair` for each of `rows` and each other entry with a cosine of at least `threshold`. Where there are more of them than
/// were asked for, more are asked for.
fn compare(
    cx: &Cx,
    index: &Index,
    threshold: f32,
    mut rows: Vec<usize>,
    pair: &mut dyn FnMut(usize, usize, f32),
) -> Result<()> {
    let (vectors, mut results, mut k) = (index.vectors()?, TopK::default(), NEIGHBOURS);
    while !rows.is_empty() {
        let mut unfinished = Vec::new();
        // As many results at the same time, however many of each.
        for rows in rows.chunks((BLOCK * NEIGHBOURS / k).max(1)) {
            let mut queries = vec![0.0; rows.len() * index.dim];
            for (&row, query) in rows.iter().zip(queries.chunks_exact_mut(index.dim)) {
                index.embeddings_from(row, query);
            }
            topk(cx, &queries, &vectors, k, &mut results, &Monitor::none()).or_exit(Exit::Other)?;
            for (i, &row) in rows.iter().enumerate() {
                let hits = results.hits(i);
                let near = hits.iter().take_while(|hit| hit.score >= threshold);
                if near.clone().count() == k && k < vectors.len() {
                    unfinished.push(row);
                    continue;
                }
                near.filter(|hit| hit.index != row).for_each(|hit| pair(row, hit.index, hit.score));
            }
        }
        rows = unfinished;
        k = k.saturating_mul(8);
    }
    Ok(())
}

/// Sets of entries that were joined.
struct Joined {
    parents: Vec<usize>,
}

impl Joined {
    /// The entry that stands for the set of `i`.
    fn root(&mut self, mut i: usize) -> usize {
        while self.parents[i] != i {
            self.parents[i] = self.parents[self.parents[i]];
            i = self.parents[i];
        }
        i
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.parents[a.max(b)] = a.min(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{Entry, Form, Maker, Stamp};
    use vitrum::simd::Level;

    /// Pictures in the plane, by their angles in degrees.
    fn index(angles: &[f32], form: Form) -> Index {
        let mut index = Index::new(Maker { name: "m".into(), fingerprint: 0 }, 2, form);
        for (i, angle) in angles.iter().enumerate() {
            let entry = Entry { path: format!("/{i}").into(), stamp: Stamp { size: 0, time: 0 } };
            let (sin, cos) = angle.to_radians().sin_cos();
            index.push(entry, &[cos, sin]).unwrap();
        }
        index
    }

    #[test]
    fn chains_are_groups_however_long() {
        let cx = Cx::serial(Level::detect());
        for form in [Form::F32, Form::Int8] {
            let members = |angles: &[f32], threshold| {
                let groups = groups(&cx, &index(angles, form), threshold).unwrap();
                groups.iter().map(|it| it.iter().map(|it| it.0).collect::<Vec<_>>()).collect::<Vec<_>>()
            };
            let cos = |degrees: f32| degrees.to_radians().cos();
            assert_eq!(members(&[0.0, 90.0, 3.0, 180.0, 6.0, 92.0], cos(4.0)), [vec![0, 2, 4], vec![1, 5]]);
            assert!(members(&[0.0, 90.0, 180.0], cos(4.0)).is_empty());
            assert!(members(&[], 0.5).is_empty());
            // More than are asked for at first, of equal scores, in several blocks.
            let many = [[0.0, 90.0]; 300].concat();
            let [even, odd] = [0, 1].map(|first| (first..600).step_by(2).collect::<Vec<_>>());
            assert_eq!(members(&many, 0.9), [even, odd]);
        }
    }

    #[test]
    fn each_has_its_highest_cosine() {
        let cx = Cx::serial(Level::detect());
        let groups = groups(&cx, &index(&[0.0, 10.0, 12.0], Form::F32), 0.9).unwrap();
        let scores: Vec<f32> = groups[0].iter().map(|it| it.1.acos().to_degrees().round()).collect();
        assert_eq!(scores, [10.0, 2.0, 2.0]);
    }
}
