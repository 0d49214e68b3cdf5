//! Byte-pair encoding of one word.

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::error::Result;
use crate::exec::{TryCollect, TryGrow, out_of_memory, try_copied, try_filled, try_zeroed};

/// `left right -> token`, the earlier in the file the lower the rank.
#[derive(Clone, Copy, Debug)]
pub(super) struct Merge {
    pub(super) left: u32,
    pub(super) right: u32,
    pub(super) token: u32,
}

/// Token of each byte within a word and at its end; `None` where the vocabulary has none.
#[derive(Clone, Debug)]
pub(super) struct Bytes {
    pub(super) inner: [Option<u32>; 256],
    pub(super) last: [Option<u32>; 256],
}

/// Byte-level BPE: the symbols of bytes, and the merge rules.
#[derive(Clone, Debug)]
pub(super) struct Bpe {
    bytes: Bytes,
    merges: Merges,
}

/// The merge rules.
#[derive(Clone, Debug)]
pub(super) struct Merges {
    /// The rules whose left side is `left` are `rules[starts[left]..starts[left + 1]]`.
    starts: Vec<u32>,
    /// Ordered by left, then by right side.
    rules: Vec<Rule>,
    /// The token that the rule of each rank makes.
    made: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Rule {
    right: u32,
    rank: u32,
}

/// A symbol of the word, in a doubly linked list by position.
#[derive(Clone, Copy, Debug)]
struct Symbol {
    /// [`NONE`] once merged into its left neighbour.
    token: u32,
    previous: u32,
    next: u32,
}

/// No neighbour; no token.
const NONE: u32 = u32::MAX;

/// A merge that may happen, `rank << 32 | position of the left symbol`: the lowest rank comes first,
/// then the leftmost.
type Candidate = u64;

/// Memory that words can share.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    symbols: Vec<Symbol>,
    queue: BinaryHeap<Reverse<Candidate>>,
}

impl Workspace {
    /// Forget the last word, with room for `symbols` of the next.
    pub(super) fn begin(&mut self, symbols: usize) -> Result<()> {
        self.symbols.clear();
        self.symbols.try_reserve(symbols).map_err(|_| out_of_memory())
    }

    /// Add a symbol to the word.
    pub(super) fn push(&mut self, token: u32) -> Result<()> {
        let position = self.symbols.len() as u32; // words are shorter than 2³² bytes
        let previous = position.checked_sub(1).unwrap_or(NONE);
        self.symbols.try_push(Symbol { token, previous, next: position + 1 })
    }
}

impl Bpe {
    /// The rules in order of rank; tokens are below `vocabulary`. Of two rules for one pair the
    /// later counts.
    pub(super) fn new(bytes: Bytes, merges: &[Merge], vocabulary: u32) -> Result<Self> {
        Ok(Self { bytes, merges: Merges::new(merges, vocabulary)? })
    }

    /// Append the tokens of `word`: its bytes become symbols, which are merged.
    pub(super) fn encode(&self, word: &[u8], workspace: &mut Workspace, ids: &mut Vec<u32>) -> Result<()> {
        let Some((last, inner)) = word.split_last() else { return Ok(()) };
        workspace.begin(word.len())?;
        let tokens = inner.iter().map(|&byte| self.bytes.inner[usize::from(byte)]);
        let mut tokens = tokens.chain([self.bytes.last[usize::from(*last)]]).flatten();
        tokens.try_for_each(|token| workspace.push(token))?;
        self.merges.merge(workspace, ids)
    }
}

impl Merges {
    /// The rules in order of rank; tokens are below `vocabulary`. Of two rules for one pair the
    /// later counts.
    pub(super) fn new(merges: &[Merge], vocabulary: u32) -> Result<Self> {
        let mut starts: Vec<u32> = try_zeroed(vocabulary as usize + 1)?;
        for merge in merges {
            starts[merge.left as usize + 1] += 1;
        }
        for left in 0..vocabulary as usize {
            starts[left + 1] += starts[left];
        }
        let mut next = try_copied(&starts)?;
        let mut rules = try_filled(Rule { right: 0, rank: 0 }, merges.len())?;
        for (rank, merge) in (0..).zip(merges) {
            let place = &mut next[merge.left as usize];
            rules[*place as usize] = Rule { right: merge.right, rank };
            *place += 1;
        }
        let (mut begin, mut kept) = (0, 0);
        for start in &mut starts[1..] {
            let end = *start as usize;
            rules[begin..end].sort_unstable_by_key(|rule| (rule.right, Reverse(rule.rank)));
            let first = kept;
            for i in begin..end {
                if kept == first || rules[kept - 1].right != rules[i].right {
                    rules[kept] = rules[i];
                    kept += 1;
                }
            }
            *start = kept as u32;
            begin = end;
        }
        rules.truncate(kept);
        let made = merges.iter().map(|merge| merge.token).try_to_vec()?;
        Ok(Self { starts, rules, made })
    }

    /// The rank of the rule that merges `left` and `right`.
    fn rank(&self, left: u32, right: u32) -> Option<u32> {
        let row = self.starts[left as usize] as usize..self.starts[left as usize + 1] as usize;
        let row = &self.rules[row];
        row.binary_search_by_key(&right, |rule| rule.right).ok().map(|i| row[i].rank)
    }

    /// Append the tokens of the word in `workspace`.
    ///
    /// The possible merge of lowest rank, leftmost first, is made until none is left; O(n log n). (OpenAI's
    /// code makes all merges of one rank before it looks for a lower rank; with merges from training, whose
    /// parts always precede them, the results are equal.)
    pub(super) fn merge(&self, workspace: &mut Workspace, ids: &mut Vec<u32>) -> Result<()> {
        let Workspace { symbols, queue } = workspace;
        let Some(end) = symbols.last_mut() else { return Ok(()) };
        end.next = NONE;

        let candidate = |symbols: &[Symbol], position: u32| {
            let left = symbols[position as usize];
            let right = symbols.get(left.next as usize)?;
            let rank = self.rank(left.token, right.token)?;
            Some(Reverse(u64::from(rank) << 32 | u64::from(position)))
        };
        queue.clear();
        queue.try_reserve(symbols.len()).map_err(|_| out_of_memory())?;
        queue.extend((0..symbols.len() as u32).filter_map(|p| candidate(symbols, p)));

        while let Some(Reverse(first)) = queue.pop() {
            let (token, position) = (self.made[(first >> 32) as usize], first as u32);
            let left = symbols[position as usize];
            if left.token == NONE || left.next == NONE {
                continue;
            }
            // The pair may have changed since; what counts is whether it still gives this token.
            let right = symbols[left.next as usize];
            let rank = self.rank(left.token, right.token);
            if rank.is_none_or(|rank| self.made[rank as usize] != token) {
                continue;
            }
            symbols[left.next as usize].token = NONE;
            symbols[position as usize] = Symbol { token, next: right.next, ..left };
            queue.try_reserve(2).map_err(|_| out_of_memory())?;
            if right.next != NONE {
                symbols[right.next as usize].previous = position;
                queue.extend(candidate(symbols, position));
            }
            if left.previous != NONE {
                queue.extend(candidate(symbols, left.previous));
            }
        }
        let mut tokens = symbols.iter().map(|symbol| symbol.token).filter(|&token| token != NONE);
        tokens.try_for_each(|token| ids.try_push(token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes are their own tokens; at the end of a word 256 is added.
    fn bpe(merges: &[(u32, u32)]) -> Bpe {
        let bytes = Bytes {
            inner: core::array::from_fn(|byte| Some(byte as u32)),
            last: core::array::from_fn(|byte| Some(byte as u32 + 256)),
        };
        let merges: Vec<Merge> =
            (512..).zip(merges).map(|(token, &(left, right))| Merge { left, right, token }).collect();
        Bpe::new(bytes, &merges, 512 + merges.len() as u32).unwrap()
    }

    /// The definition, quadratic: look for the best pair, merge its leftmost occurrence, repeat.
    fn naive(bpe: &Bpe, word: &[u8]) -> Vec<u32> {
        let mut ids: Vec<u32> = word.iter().map(|&byte| byte.into()).collect();
        *ids.last_mut().unwrap() += 256;
        loop {
            let ranks = ids.windows(2).map(|pair| bpe.merges.rank(pair[0], pair[1]));
            let best = ranks.enumerate().filter_map(|(i, rank)| Some((rank?, i))).min();
            let Some((rank, i)) = best else { return ids };
            ids.splice(i..i + 2, [bpe.merges.made[rank as usize]]);
        }
    }

    #[test]
    fn ranks_decide_not_positions() {
        let (a, b, c) = (97, 98, 99);
        let encode = |merges: &[(u32, u32)], word: &[u8]| {
            let mut ids = Vec::new();
            bpe(merges).encode(word, &mut Workspace::default(), &mut ids).unwrap();
            ids
        };
        assert!(encode(&[], b"").is_empty());
        assert_eq!(encode(&[], b"ab"), [a, b + 256]);
        assert_eq!(encode(&[(b, c), (a, b)], b"abcc"), [a, 512, c + 256]);
        assert_eq!(encode(&[(a, b), (b, c)], b"abcc"), [512, c, c + 256]);
        assert_eq!(encode(&[(a, a)], b"aaaaaa"), [512, 512, a, a + 256]);
        assert_eq!(encode(&[(a, a), (512, 512), (a, a + 256)], b"aaaaaa"), [513, 514]);
    }

    #[test]
    fn equals_the_definition_on_random_rules() {
        let mut state = 1u32;
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % below
        };
        for _ in 0..200 {
            // As training does: the parts of a rule precede it.
            let symbols = [97, 98, 99, 353, 354, 355];
            let merges: Vec<(u32, u32)> = (0..random(30))
                .map(|made| {
                    let mut part = || match random(6 + made) {
                        i @ 0..6 => symbols[i as usize],
                        i => 512 + i - 6,
                    };
                    (part(), part())
                })
                .collect();
            let bpe = bpe(&merges);
            let mut workspace = Workspace::default();
            for _ in 0..20 {
                let word: Vec<u8> = (0..=random(40)).map(|_| 97 + random(3) as u8).collect();
                let mut ids = Vec::new();
                bpe.encode(&word, &mut workspace, &mut ids).unwrap();
                assert_eq!(ids, naive(&bpe, &word), "{merges:?} {word:?}");
            }
        }
    }
}
