//! Unigram language model: of all ways to put a word together from pieces, the one with the highest sum of scores.
//!
//! Kudo, "Subword Regularization" (2018), section 3.2; as Hugging Face's `tokenizers` computes it.

use alloc::vec::Vec;

use crate::error::{Result, err};
use crate::exec::{TryGrow, out_of_memory, try_filled};

use super::bytes::ByteTokens;
use super::trie::Trie;

/// How much less than the lowest score of the vocabulary a character scores that no piece covers.
const UNKNOWN_PENALTY: f64 = 10.0;

/// The pieces with their scores, ids counted from 0.
#[derive(Clone, Debug)]
pub(in super::super) struct Unigram {
    pieces: Trie,
    scores: Vec<f64>,
    unknown: u32,
    unknown_score: f64,
    /// What characters without a piece become, if the vocabulary has all their bytes.
    bytes: Option<ByteTokens>,
}

/// The best way to the end of some bytes: its score, and its last piece.
#[derive(Clone, Copy, Debug)]
struct Best {
    score: f64,
    /// Where the last piece begins; [`NONE`] if there is no way yet.
    start: u32,
    id: u32,
}

const NONE: u32 = u32::MAX;

/// Memory that words can share.
#[derive(Debug, Default)]
pub(in super::super) struct Lattice {
    best: Vec<Best>,
    /// Where the pieces of the best way end, the last first, with their ids.
    path: Vec<(u32, u32)>,
}

impl Unigram {
    /// `pieces` with their ids and `scores`, which are finite; `unknown` is one of the ids.
    pub(in super::super) fn new(
        pieces: Trie,
        scores: Vec<f64>,
        unknown: u32,
        bytes: Option<ByteTokens>,
    ) -> Result<Self> {
        if unknown as usize >= scores.len() {
            return Err(err!(Tokenizer, "model.unk_id is {unknown} in a vocabulary of {}", scores.len()));
        }
        let lowest = scores.iter().fold(f64::INFINITY, |lowest, &score| lowest.min(score));
        Ok(Self { pieces, scores, unknown, unknown_score: lowest - UNKNOWN_PENALTY, bytes })
    }

    /// Append the tokens of `word`.
    pub(in super::super) fn encode(
        &self,
        word: &str,
        lattice: &mut Lattice,
        ids: &mut Vec<u32>,
    ) -> Result<()> {
        let Lattice { best, path } = lattice;
        best.clear();
        best.try_reserve(word.len() + 1).map_err(|_| out_of_memory())?;
        best.resize(word.len() + 1, Best { score: 0.0, start: NONE, id: 0 });
        for (start, character) in word.char_indices() {
            let so_far = best[start].score;
            let mut offer = |length: usize, id: u32, score: f64| {
                let (place, score) = (&mut best[start + length], score + so_far);
                if place.start == NONE || score > place.score {
                    *place = Best { score, start: start as u32, id };
                }
            };
            let (single, mut has_single) = (character.len_utf8(), false);
            self.pieces.each_prefix(&word.as_bytes()[start..], |length, id| {
                offer(length, id, self.scores[id as usize]);
                has_single |= length == single;
            });
            if !has_single {
                offer(single, self.unknown, self.unknown_score);
            }
        }
        path.clear();
        let mut end = word.len();
        while end > 0 {
            let last = best[end];
            path.try_push((end as u32, last.id))?;
            end = last.start as usize;
        }
        let mut start = 0;
        while let Some((end, id)) = path.pop() {
            let mut end = end as usize;
            if id != self.unknown {
                ids.try_push(id)?;
            } else {
                // Neighbours without a piece count as one.
                while let Some((next, _)) = path.pop_if(|(_, id)| *id == self.unknown) {
                    end = next as usize;
                }
                self.push_unknown(&word[start..end], ids)?;
            }
            start = end;
        }
        Ok(())
    }

    /// Append the tokens of a stretch without pieces of its own.
    fn push_unknown(&self, text: &str, ids: &mut Vec<u32>) -> Result<()> {
        if let Some(id) = self.pieces.get(text) {
            return ids.try_push(id);
        }
        match &self.bytes {
            Some(bytes) if bytes.has_all(text) => bytes.push(text, ids),
            _ => ids.try_push(self.unknown),
        }
    }
}

/// Scores by id, from those of a file.
pub(in super::super) fn scores(pieces: &[(alloc::borrow::Cow<'_, str>, f64)]) -> Result<Vec<f64>> {
    let mut scores = try_filled(0.0, pieces.len())?;
    for (place, (piece, score)) in scores.iter_mut().zip(pieces) {
        if !score.is_finite() {
            let piece = super::super::vocabulary::excerpt(piece);
            return Err(err!(Tokenizer, "the score of {piece} is {score}"));
        }
        *place = *score;
    }
    Ok(scores)
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;

    /// All ways to cut `word`, their scores added from the left; characters without a piece count as unknown.
    fn naive(pieces: &[(&str, f64)], word: &str) -> f64 {
        let lowest = pieces.iter().map(|piece| piece.1).fold(f64::INFINITY, f64::min);
        let mut best = alloc::vec![f64::NEG_INFINITY; word.len() + 1];
        best[0] = 0.0;
        for (start, c) in word.char_indices() {
            let rest = &word[start..];
            let single = &rest[..c.len_utf8()];
            for (piece, score) in pieces {
                if rest.starts_with(piece) {
                    let end = start + piece.len();
                    best[end] = best[end].max(best[start] + score);
                }
            }
            if !pieces.iter().any(|(piece, _)| *piece == single) {
                let end = start + single.len();
                best[end] = best[end].max(best[start] + lowest - UNKNOWN_PENALTY);
            }
        }
        best[word.len()]
    }

    #[test]
    fn the_best_of_all_ways() {
        let mut state = 1u32;
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % below
        };
        let letters = ["a", "b", "▁", "é"];
        let names: Vec<String> = (1..200u32)
            .map(|i| {
                let mut name = String::new();
                let mut rest = i;
                while rest > 0 {
                    name.push_str(letters[rest as usize % 4]);
                    rest /= 4;
                }
                name
            })
            .collect();
        for _ in 0..50 {
            let mut pieces: Vec<(&str, f64)> = alloc::vec![("<unk>", 0.0)];
            for name in &names {
                if random(4) == 0 && !pieces.iter().any(|piece| piece.0 == name) {
                    pieces.push((name, -f64::from(random(4000)) / 256.0));
                }
            }
            let trie = Trie::new(&mut pieces.iter().map(|piece| piece.0).zip(0..)).unwrap();
            let scores = pieces.iter().map(|piece| piece.1).collect();
            let model = Unigram::new(trie, scores, 0, None).unwrap();
            for _ in 0..20 {
                let word: String = (0..random(12)).map(|_| letters[random(4) as usize]).collect();
                let mut lattice = Lattice::default();
                model.encode(&word, &mut lattice, &mut Vec::new()).unwrap();
                let found = lattice.best[word.len()].score;
                assert!((found - naive(&pieces, &word)).abs() < 1e-9, "{word} {pieces:?}");
            }
        }
    }
}
