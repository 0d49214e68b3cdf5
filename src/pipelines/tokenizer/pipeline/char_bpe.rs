//! Byte-pair encoding whose first symbols are characters, as SentencePiece's and Gemma's.

use alloc::vec::Vec;

use crate::error::Result;
use crate::exec::TryGrow;

use super::super::bpe::{Merges, Workspace};
use super::bytes::ByteTokens;
use super::trie::Trie;

/// What becomes of characters, and the merge rules.
#[derive(Clone, Debug)]
pub(in super::super) struct CharBpe {
    /// Tokens of one character, in order of the characters.
    pub(in super::super) characters: Vec<(char, u32)>,
    /// For characters without a token, if the vocabulary has all their bytes.
    pub(in super::super) bytes: Option<ByteTokens>,
    /// For the others; without it they disappear.
    pub(in super::super) unknown: Option<u32>,
    /// Whether neighbours of them are one token.
    pub(in super::super) fuses_unknown: bool,
    /// Words that are tokens as they are, whatever the rules make of them.
    pub(in super::super) whole: Option<Trie>,
    pub(in super::super) merges: Merges,
}

impl CharBpe {
    /// Append the tokens of `word`.
    pub(in super::super) fn encode(
        &self,
        word: &str,
        workspace: &mut Workspace,
        ids: &mut Vec<u32>,
    ) -> Result<()> {
        if let Some(id) = self.whole.as_ref().and_then(|words| words.get(word)) {
            return ids.try_push(id);
        }
        workspace.begin(word.len())?;
        // As in the reference, an unknown token waits until a character with a token of its own comes.
        let mut waiting = None;
        for (at, character) in word.char_indices() {
            if let Ok(found) = self.characters.binary_search_by_key(&character, |entry| entry.0) {
                if let Some(unknown) = waiting.take() {
                    workspace.push(unknown)?;
                }
                workspace.push(self.characters[found].1)?;
                continue;
            }
            let text = &word[at..at + character.len_utf8()];
            if let Some(bytes) = self.bytes.as_ref().filter(|bytes| bytes.has_all(text)) {
                bytes.of(text).try_for_each(|id| workspace.push(id))?;
            } else if let Some(unknown) = self.unknown
                && let Some(earlier) = waiting.replace(unknown).filter(|_| !self.fuses_unknown)
            {
                workspace.push(earlier)?;
            }
        }
        if let Some(unknown) = waiting {
            workspace.push(unknown)?;
        }
        self.merges.merge(workspace, ids)
    }
}
