//! The tokens of a vocabulary and their ids, while a tokenizer is made.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::error::{Error, Result};
use crate::exec::{TryCollect, try_copied, try_filled, try_zeroed};

/// A token and its id.
pub(super) type Entry<'t> = (Cow<'t, str>, u32);

/// Token to id: tokens in buckets by a hash. Within a bucket they are in order, so that tokens that were chosen to collide
/// cost a binary search and no more.
#[derive(Debug)]
pub(super) struct Vocabulary<'t> {
    /// Bucket `b` is `entries[starts[b]..starts[b + 1]]`.
    starts: Vec<u32>,
    entries: Vec<Entry<'t>>,
    /// The heads of the entries, each with the id below it: what a search looks at, so that it need not go to the texts,
    /// which lie far apart.
    heads: Vec<u128>,
}

/// Bytes of a token that its head has.
const HEAD: usize = 11;

/// The first bytes of a token and its length, which tell short tokens apart, above 32 bits for the id.
fn head(token: &str) -> u128 {
    let mut head = [0; 16];
    let length = token.len().min(HEAD);
    head[..length].copy_from_slice(&token.as_bytes()[..length]);
    head[HEAD] = token.len().min(HEAD + 1) as u8;
    u128::from_be_bytes(head)
}

impl<'t> Vocabulary<'t> {
    /// Of `tokens`, fewer than 2³¹. The error is `twice` of one that is there twice, or `OutOfMemory`.
    pub(super) fn new(tokens: Vec<Entry<'t>>, twice: impl FnOnce(&str) -> Error) -> Result<Self> {
        let count = tokens.len().max(1);
        let buckets: Vec<usize> = tokens.iter().map(|(token, _)| bucket(token, count)).try_to_vec()?;
        let mut starts: Vec<u32> = try_zeroed(count + 1)?;
        for &bucket in &buckets {
            starts[bucket + 1] += 1;
        }
        for b in 0..count {
            starts[b + 1] += starts[b];
        }
        let mut next = try_copied(&starts)?;
        let mut entries = try_filled((Cow::Borrowed(""), 0), tokens.len())?;
        for (entry, bucket) in tokens.into_iter().zip(buckets) {
            let place = &mut next[bucket];
            entries[*place as usize] = entry;
            *place += 1;
        }
        for bucket in starts.windows(2) {
            let bucket = &mut entries[bucket[0] as usize..bucket[1] as usize];
            if bucket.len() > 1 {
                bucket.sort_unstable_by(|(a, _), (b, _)| head(a).cmp(&head(b)).then_with(|| a.cmp(b)));
            }
            if let Some(pair) = bucket.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                return Err(twice(&pair[0].0));
            }
        }
        let heads = entries.iter().map(|(token, id)| head(token) | u128::from(*id)).try_to_vec()?;
        Ok(Self { starts, entries, heads })
    }

    /// The id of `token`.
    pub(super) fn get(&self, token: &str) -> Option<u32> {
        self.get_each([token])[0]
    }

    /// The ids of several tokens. What one search waits for in memory the others wait for at the same time.
    pub(super) fn get_each<const N: usize>(&self, tokens: [&str; N]) -> [Option<u32>; N] {
        let buckets = tokens.map(|token| bucket(token, self.starts.len() - 1));
        let ranges = buckets.map(|bucket| [self.starts[bucket] as usize, self.starts[bucket + 1] as usize]);
        let firsts = ranges.map(|[start, _]| self.heads.get(start).copied().unwrap_or_default());
        core::array::from_fn(|i| {
            let ([start, end], token, first) = (ranges[i], tokens[i], firsts[i]);
            if end == start + 1 && token.len() <= HEAD {
                return (first >> 32 == head(token) >> 32).then_some(first as u32);
            }
            self.search(start..end, token)
        })
    }

    /// The id of `token` among some entries.
    fn search(&self, bucket: core::ops::Range<usize>, token: &str) -> Option<u32> {
        let heads = &self.heads[bucket.clone()];
        let (head, after) = (head(token), head(token) | u128::from(u32::MAX));
        let first = heads.partition_point(|&other| other < head);
        let found = heads.get(first).filter(|&&found| found <= after)?;
        if token.len() <= HEAD {
            return Some(*found as u32);
        }
        let same = heads[first..].partition_point(|&other| other <= after);
        let same = &self.entries[bucket][first..first + same];
        same.binary_search_by(|(other, _)| (**other).cmp(token)).ok().map(|i| same[i].1)
    }

    /// All tokens, in no order.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (&str, u32)> {
        self.entries.iter().map(|(token, id)| (token.as_ref(), *id))
    }
}

/// The bucket of `token` among `count`: eight bytes at a time, a rotation and a multiplication by an odd number near 2⁶⁴ / φ;
/// the upper bits, which all bytes reach, are a fraction of `count`.
fn bucket(token: &str, count: usize) -> usize {
    let mix = |hash: u64, word: [u8; 8]| {
        (hash.rotate_left(23) ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    };
    let (words, rest) = token.as_bytes().as_chunks();
    let hash = words.iter().fold(token.len() as u64, |hash, word| mix(hash, *word));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    ((u128::from(mix(hash, last)) * count as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::format;
    use alloc::string::ToString;

    use super::*;
    use crate::error::err;

    /// Short ones, and ones whose heads are the same.
    const NAMES: [&str; 2] = ["token", "a token with a name"];

    #[test]
    fn finds_what_a_map_finds() {
        for count in [0, 1, 2, 3, 1000] {
            let names: BTreeMap<_, u32> = (0..count)
                .map(|i| (format!("{} {}", NAMES[i as usize % 2], i * 7919 % 4096 * 3), i))
                .collect();
            let entries = names.iter().map(|(name, &id)| (Cow::Borrowed(name.as_str()), id)).collect();
            let vocabulary = Vocabulary::new(entries, |token| unreachable!("{token}")).unwrap();
            assert_eq!(
                vocabulary.iter().map(|(name, id)| (name.into(), id)).collect::<BTreeMap<_, _>>(),
                names
            );
            for i in 0..6 * 4096 {
                let name = format!("{} {}", NAMES[i % 2], i / 2);
                assert_eq!(vocabulary.get(&name), names.get(&name).copied(), "{name} of {count}");
            }
            assert_eq!(vocabulary.get(""), None);
        }
    }

    #[test]
    fn a_token_that_is_there_twice_is_named() {
        let twice = ["a", "b", "c", "b"].map(|token| (Cow::Borrowed(token), 0));
        let named = Vocabulary::new(twice.to_vec(), |token| err!(Format, "{token}")).unwrap_err();
        assert_eq!(named.to_string(), "b");
    }
}
