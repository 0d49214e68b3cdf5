//! Byte fallback: tokens `<0x00>` to `<0xFF>` for what the vocabulary cannot spell.

use alloc::vec::Vec;

use crate::error::Result;
use crate::exec::{TryCollect, TryGrow};

/// The tokens of single bytes.
#[derive(Clone, Debug)]
pub(in super::super) struct ByteTokens(Vec<Option<u32>>);

impl ByteTokens {
    /// Those that `id` finds.
    pub(in super::super) fn new(id: impl Fn(&str) -> Option<u32>) -> Result<Self> {
        (0..=u8::MAX).map(|byte| id(&alloc::format!("<0x{byte:02X}>"))).try_to_vec().map(Self)
    }

    /// Whether every byte of `text` has a token.
    pub(in super::super) fn has_all(&self, text: &str) -> bool {
        text.bytes().all(|byte| self.0[usize::from(byte)].is_some())
    }

    /// Append the tokens of the bytes of `text`.
    pub(in super::super) fn push(&self, text: &str, ids: &mut Vec<u32>) -> Result<()> {
        text.bytes().filter_map(|byte| self.0[usize::from(byte)]).try_for_each(|id| ids.try_push(id))
    }

    /// Those of `text`.
    pub(in super::super) fn of<'t>(&'t self, text: &'t str) -> impl Iterator<Item = u32> + 't {
        text.bytes().filter_map(|byte| self.0[usize::from(byte)])
    }
}
