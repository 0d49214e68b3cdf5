//! The pieces of a vocabulary by their bytes: all that a text begins with, in one walk.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::{Result, err};
use crate::exec::{TryCollect, TryGrow, try_with_capacity};

use super::super::vocabulary::excerpt;

/// Longest piece that is looked for at every place of a text. SentencePiece makes none of more than 16 characters unless it
/// is told to; what a walk costs is bounded by it.
pub(in super::super) const MAX_PIECE_BYTES: usize = 512;

const NONE: u32 = u32::MAX;

/// A path-compressed trie.
#[derive(Clone, Debug)]
pub(in super::super) struct Trie {
    /// The pieces one after the other, in order.
    bytes: Vec<u8>,
    /// The root first; the children of a node are neighbours, in the order of their labels.
    nodes: Vec<Node>,
    /// The first byte of the edge that leads to each node.
    labels: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    /// Where in `bytes` a piece begins that goes through this node.
    path: u32,
    /// [`NONE`] where no piece ends.
    id: u32,
    first_child: u32,
    children: u16,
    /// Bytes from the root.
    depth: u16,
}

/// A piece with its first bytes as a number, by which most pairs are told apart.
struct Sorted<'p> {
    beginning: u128,
    piece: &'p [u8],
    id: u32,
}

impl Trie {
    /// Of pieces, none of them empty, and their ids.
    ///
    /// # Errors
    /// `Limit` for a piece longer than [`MAX_PIECE_BYTES`], `Tokenizer` for one that is there twice, `OutOfMemory`.
    pub(in super::super) fn new<'p>(pieces: &mut dyn Iterator<Item = (&'p str, u32)>) -> Result<Self> {
        let sorted = |(piece, id): (&'p str, u32)| {
            let length = piece.len();
            if length > MAX_PIECE_BYTES {
                let piece = excerpt(piece);
                return Err(err!(
                    Limit,
                    "piece {piece} has {length} bytes, at most {MAX_PIECE_BYTES} are read"
                ));
            }
            let mut beginning = [0; 16];
            beginning[..length.min(16)].copy_from_slice(&piece.as_bytes()[..length.min(16)]);
            Ok(Sorted { beginning: u128::from_be_bytes(beginning), piece: piece.as_bytes(), id })
        };
        let mut pieces: Vec<Sorted<'_>> = pieces.map(sorted).try_values()?;
        pieces.sort_unstable_by(|a, b| a.beginning.cmp(&b.beginning).then_with(|| a.piece.cmp(b.piece)));
        if let Some(pair) = pieces.windows(2).find(|pair| pair[0].piece == pair[1].piece) {
            return Err(err!(
                Tokenizer,
                "piece {} appears twice",
                excerpt(&String::from_utf8_lossy(pair[0].piece))
            ));
        }
        let mut starts = try_with_capacity(pieces.len())?;
        let mut bytes = try_with_capacity(pieces.iter().map(|piece| piece.piece.len()).sum())?;
        for piece in &pieces {
            starts.push(bytes.len() as u32); // of a file within its limit
            bytes.extend_from_slice(piece.piece);
        }
        let (mut nodes, mut labels) = (Vec::new(), Vec::new());
        let root = Node { path: 0, id: NONE, first_child: 0, children: 0, depth: 0 };
        nodes.try_push(root)?;
        labels.try_push(0)?;
        // The pieces below each node.
        let mut below: Vec<(u32, u32)> = Vec::new();
        below.try_push((0, pieces.len() as u32))?;
        let mut current = 0;
        while let Some(&(begin, end)) = below.get(current) {
            let depth = usize::from(nodes[current].depth);
            let mut begin = begin as usize + usize::from(nodes[current].id != NONE);
            nodes[current].first_child = nodes.len() as u32;
            while begin < end as usize {
                let label = pieces[begin].piece[depth];
                let count = pieces[begin..end as usize].partition_point(|piece| piece.piece[depth] <= label);
                let (first, last) = (&pieces[begin], &pieces[begin + count - 1]);
                let common = first.piece.iter().zip(last.piece).take_while(|(a, b)| a == b).count();
                let id = if first.piece.len() == common { first.id } else { NONE };
                let path = starts[begin];
                nodes.try_push(Node { path, id, first_child: 0, children: 0, depth: common as u16 })?;
                labels.try_push(label)?;
                below.try_push((begin as u32, (begin + count) as u32))?;
                nodes[current].children += 1;
                begin += count;
            }
            current += 1;
        }
        Ok(Self { bytes, nodes, labels })
    }

    /// Length and id of every piece that `text` begins with, the shortest first.
    pub(in super::super) fn each_prefix(&self, text: &[u8], mut found: impl FnMut(usize, u32)) {
        let mut node = self.nodes[0];
        while let Some(&label) = text.get(usize::from(node.depth)) {
            let first = node.first_child as usize;
            let labels = &self.labels[first..first + usize::from(node.children)];
            let Ok(child) = labels.binary_search(&label) else { return };
            let child = self.nodes[first + child];
            let (from, to) = (usize::from(node.depth) + 1, usize::from(child.depth));
            let path = &self.bytes[child.path as usize..];
            if text.get(from..to) != Some(&path[from..to]) {
                return;
            }
            if child.id != NONE {
                found(to, child.id);
            }
            node = child;
        }
    }

    /// The longest piece that `text` begins with: its length and id.
    pub(in super::super) fn longest(&self, text: &[u8]) -> Option<(usize, u32)> {
        let mut longest = None;
        self.each_prefix(text, |length, id| longest = Some((length, id)));
        longest
    }

    /// The id of `piece`.
    pub(in super::super) fn get(&self, piece: &str) -> Option<u32> {
        self.longest(piece.as_bytes()).filter(|&(length, _)| length == piece.len()).map(|(_, id)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_those_of_a_search_through_all() {
        let mut state = 1u32;
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % below
        };
        for _ in 0..300 {
            let letters = ["a", "b", "\0", "é", "▁", "\u{10FFFF}"];
            let mut word =
                |most: u32| -> String { (0..=random(most)).map(|_| letters[random(6) as usize]).collect() };
            let mut pieces: Vec<String> = (0..60).map(|_| word(5)).collect();
            pieces.sort();
            pieces.dedup();
            let trie = Trie::new(&mut pieces.iter().map(String::as_str).zip(0..)).unwrap();
            for _ in 0..50 {
                let text = word(9);
                let mut found = Vec::new();
                trie.each_prefix(text.as_bytes(), |length, id| found.push((length, id)));
                let mut expected: Vec<_> = (0..)
                    .zip(&pieces)
                    .filter(|(_, piece)| text.starts_with(piece.as_str()))
                    .map(|(id, piece)| (piece.len(), id))
                    .collect();
                expected.sort_unstable();
                assert_eq!(found, expected, "{text:?} {pieces:?}");
                assert_eq!(trie.get(&text), pieces.iter().position(|piece| *piece == text).map(|i| i as u32));
            }
        }
    }

    #[test]
    fn what_is_no_vocabulary() {
        let empty = Trie::new(&mut core::iter::empty()).unwrap();
        assert_eq!(empty.longest(b"a"), None);
        let twice = Trie::new(&mut [("a", 0), ("b", 1), ("a", 2)].into_iter()).unwrap_err();
        assert_eq!(twice.message(), "piece \"a\" appears twice");
        let long = "x".repeat(MAX_PIECE_BYTES + 1);
        let error = Trie::new(&mut [(&*long, 0)].into_iter()).unwrap_err();
        assert_eq!(error.code(), crate::ErrorCode::Limit, "{error}");
    }
}
