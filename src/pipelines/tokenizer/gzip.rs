//! Gzip (RFC 1952) of one member, for OpenAI's published merge list.

use alloc::vec::Vec;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use crate::error::{Error, Result, err};
use crate::exec::{try_with_capacity, try_zeroed};

const HEADER: usize = 10;
const TRAILER: usize = 8;
/// Bytes that a byte of DEFLATE (RFC 1951) inflates to at most: 258 for each two bits.
const RATIO: usize = 1032;

// Flags of the header's byte 3.
const HEADER_CRC: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

/// The contents of `file`, at most `limit` bytes, checked against length and checksum.
pub(super) fn inflate(file: &[u8], limit: usize) -> Result<Vec<u8>> {
    let (body, trailer) = deflate_stream(file).ok_or_else(|| malformed("header"))?;
    let [crc, length] =
        [0, 4].map(|at| trailer[at..at + 4].iter().rfold(0, |word, &byte| word << 8 | u32::from(byte)));
    // Checked before that much memory is taken and written.
    if length as usize > body.len().saturating_mul(RATIO) {
        return Err(malformed("length"));
    }
    let mut contents = try_zeroed(limit.min(length as usize))?;
    let flags = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let mut decompressor = try_with_capacity(1)?; // as a box: it is large
    decompressor.push(DecompressorOxide::new());
    match decompress(&mut decompressor[0], body, &mut contents, 0, flags) {
        (TINFLStatus::Done, _, inflated) if inflated == length as usize => {}
        (TINFLStatus::HasMoreOutput, ..) if contents.len() == limit => {
            return Err(err!(Limit, "gzip: more than {limit} bytes inflated"));
        }
        (TINFLStatus::Done | TINFLStatus::HasMoreOutput, ..) => return Err(malformed("length")),
        _ => return Err(malformed("data")),
    }
    if crc != crc32(&contents) {
        return Err(malformed("checksum"));
    }
    Ok(contents)
}

fn malformed(what: &str) -> Error {
    err!(Format, "gzip: malformed {what}")
}

/// What is between header and trailer, and the trailer.
fn deflate_stream(file: &[u8]) -> Option<(&[u8], &[u8])> {
    let (header, rest) = file.split_at_checked(HEADER)?;
    let (mut body, trailer) = rest.split_at_checked(rest.len().checked_sub(TRAILER)?)?;
    let [0x1F, 0x8B, 8, flags, ..] = *header else { return None };
    if flags & RESERVED != 0 {
        return None;
    }
    if flags & EXTRA != 0 {
        let (length, rest) = body.split_first_chunk::<2>()?;
        body = rest.get(usize::from(u16::from_le_bytes(*length))..)?;
    }
    for string in [NAME, COMMENT] {
        if flags & string != 0 {
            body = &body[body.iter().position(|&byte| byte == 0)? + 1..];
        }
    }
    if flags & HEADER_CRC != 0 {
        body = body.get(2..)?;
    }
    Some((body, trailer))
}

/// CRC-32 with the reflected polynomial 0xEDB88320.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8)
            .fold(crc ^ u32::from(byte), |crc: u32, _| crc >> 1 ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_check_value() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }
}
