//! COCO's compressed run lengths: the string in the field `counts` of annotation files.
//!
//! A count is stored as its difference from the count two before it (from the fourth count on), in
//! groups of five bits, the lowest first. A group is the character `48 + bits`, plus 32 if another follows; the
//! highest bit of the last group is the sign (`rleToString` in pycocotools' `maskApi.c`).

use alloc::string::String;
use alloc::vec::Vec;

use super::rle::Rle;
use crate::error::{Result, err};
use crate::exec::{TryGrow, out_of_memory, try_string_with_capacity};

/// Most groups of a count: a difference of two u32 has 33 bits.
const MAX_GROUPS: u32 = 7;

impl Rle {
    /// The compressed string, as `pycocotools` writes it.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn to_coco_string(&self) -> Result<String> {
        let counts = self.counts();
        // Most counts take one or two characters.
        let mut out = try_string_with_capacity(2 * counts.len())?;
        for (i, &count) in counts.iter().enumerate() {
            let before = if i > 2 { i64::from(counts[i - 2]) } else { 0 };
            let mut rest = i64::from(count) - before;
            loop {
                let group = (rest & 0x1f) as u8;
                rest >>= 5;
                let is_last = rest == if group & 0x10 == 0 { 0 } else { -1 };
                out.try_reserve(1).map_err(|_| out_of_memory())?;
                out.push(char::from(48 + group + if is_last { 0 } else { 0x20 }));
                if is_last {
                    break;
                }
            }
        }
        Ok(out)
    }

    /// Reads a compressed string.
    ///
    /// # Errors
    /// `Format` for a character or a count that cannot occur, for a string that ends within a count, and for runs
    /// that do not fill the mask exactly; `Limit` if the mask has more than 2³² − 1 pixels, `OutOfMemory`.
    pub fn from_coco_string(string: &str, width: usize, height: usize) -> Result<Self> {
        let mut counts: Vec<u32> = Vec::new();
        let (mut value, mut groups) = (0, 0);
        for (at, byte) in string.bytes().enumerate() {
            let Some(group) = byte.checked_sub(48).filter(|&group| group < 64) else {
                return Err(err!(Format, "run lengths: byte {byte:#04x} at {at}"));
            };
            if groups == MAX_GROUPS {
                return Err(err!(Format, "run lengths: a count of more than 33 bits at {at}"));
            }
            value |= i64::from(group & 0x1f) << (5 * groups);
            groups += 1;
            if group & 0x20 != 0 {
                continue;
            }
            if group & 0x10 != 0 {
                value |= -1 << (5 * groups);
            }
            if counts.len() > 2 {
                value += i64::from(counts[counts.len() - 2]);
            }
            let count = u32::try_from(value)
                .map_err(|_| err!(Format, "run lengths: count {value} of run {} at {at}", counts.len()))?;
            counts.try_push(count)?;
            (value, groups) = (0, 0);
        }
        if groups != 0 {
            return Err(err!(Format, "run lengths: the string ends within a count"));
        }
        Self::from_counts(&counts, width, height)
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::super::testing::{drawn, noise};
    use super::*;
    use crate::ErrorCode;

    #[test]
    fn strings_are_those_of_pycocotools() {
        assert_eq!(drawn(&["#..", "##."]).to_coco_string().unwrap(), "021O1");
        let large = Rle::from_counts(&[100_000, 1, 4_000_000, 899_999], 1000, 5000).unwrap();
        assert_eq!(large.to_coco_string().unwrap(), "PeQ31PXRj3nl^k0");
    }

    #[test]
    fn strings_return() {
        for (seed, percent) in [0, 2, 30, 60, 99, 100].into_iter().enumerate() {
            let mask = Rle::from_mask(&noise(seed as u32, 70, 41, percent), 70, 41).unwrap();
            assert_eq!(Rle::from_coco_string(&mask.to_coco_string().unwrap(), 70, 41).unwrap(), mask);
        }
    }

    #[test]
    fn empty_runs_are_accepted() {
        // 1 0 1 4: what pycocotools would write for runs that it did not merge.
        assert_eq!(Rle::from_coco_string("1014", 2, 3).unwrap(), Rle::from_counts(&[2, 4], 2, 3).unwrap());
    }

    #[test]
    fn hostile_strings_are_refused() {
        let endless = "P".repeat(1 << 16);
        let long = format!("{}0", "P".repeat(MAX_GROUPS as usize));
        let cases = [
            ("", "no runs"),
            ("5", "too few pixels"),
            ("7", "too many pixels"),
            ("021O1é", "not a character of the alphabet"),
            ("021O1\0", "NUL"),
            ("/", "below the alphabet"),
            ("p", "beyond the alphabet"),
            ("V", "ends within a count"),
            ("O7", "a negative count"),
            ("oooooo?6", "a count of 2^34"),
            (&long, "eight groups"),
            (&endless, "groups without end"),
        ];
        for (string, why) in cases {
            let error = Rle::from_coco_string(string, 2, 3).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Format, "{why}: {error}");
        }
    }
}
