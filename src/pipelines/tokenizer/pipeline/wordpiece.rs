//! WordPiece: the longest piece that a word begins with, then the longest that what is left begins with.

use alloc::vec::Vec;

use crate::error::Result;
use crate::exec::TryGrow;

use super::trie::Trie;

/// Pieces at the beginning of a word, and after it.
#[derive(Clone, Debug)]
pub(in super::super) struct WordPiece {
    pub(in super::super) first: Trie,
    /// Without the prefix that they have in the vocabulary.
    pub(in super::super) later: Trie,
    pub(in super::super) unknown: u32,
    /// A word of more characters is unknown.
    pub(in super::super) longest: usize,
}

impl WordPiece {
    /// Append the tokens of `word`, or the unknown token if pieces do not cover it.
    pub(in super::super) fn encode(&self, word: &str, ids: &mut Vec<u32>) -> Result<()> {
        let begin = ids.len();
        if word.chars().nth(self.longest).is_some() {
            return ids.try_push(self.unknown);
        }
        let (mut rest, mut pieces) = (word.as_bytes(), &self.first);
        while !rest.is_empty() {
            let Some((length, id)) = pieces.longest(rest) else {
                ids.truncate(begin);
                return ids.try_push(self.unknown);
            };
            ids.try_push(id)?;
            (rest, pieces) = (&rest[length..], &self.later);
        }
        Ok(())
    }
}
