//! The wire format of protocol buffers, as far as a model of SentencePiece needs it.

use crate::error::{Error, Result, err};

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'p> {
    /// Numbers, flags, enumerations.
    Number(u64),
    Float(f32),
    /// Texts and messages.
    Bytes(&'p [u8]),
    /// Eight bytes, which no field that is read has.
    Other,
}

/// The fields of a message one after the other: their numbers and values.
pub(super) struct Fields<'p>(&'p [u8]);

impl<'p> Fields<'p> {
    pub(super) fn of(message: &'p [u8]) -> Self {
        Self(message)
    }

    /// The next field.
    pub(super) fn try_next(&mut self) -> Result<Option<(u64, Value<'p>)>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => {
                self.take(8)?;
                Value::Other
            }
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => {
                let bytes = self.take(4)?;
                Value::Float(f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
            }
            _ => return Err(malformed()),
        };
        Ok(Some((key >> 3, value)))
    }

    fn take(&mut self, length: u64) -> Result<&'p [u8]> {
        let length = usize::try_from(length).map_err(|_| malformed())?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            let bits = u64::from(byte & 0x7F);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(malformed())
    }
}

fn malformed() -> Error {
    err!(Format, "not a message of protocol buffers")
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn all(mut bytes: Fields<'_>) -> Result<Vec<(u64, Value<'_>)>> {
        let mut fields = Vec::new();
        while let Some(field) = bytes.try_next()? {
            fields.push(field);
        }
        Ok(fields)
    }

    #[test]
    fn fields() {
        let bytes = [
            &[0x08, 0x96, 0x01][..],
            &[0x12, 2, b'h', b'i'],
            &[0x1D, 0, 0, 0x80, 0x3F],
            &[0x21, 1, 2, 3, 4, 5, 6, 7, 8],
            &[0x28, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1],
        ]
        .concat();
        let expected = [
            (1, Value::Number(150)),
            (2, Value::Bytes(b"hi")),
            (3, Value::Float(1.0)),
            (4, Value::Other),
            (5, Value::Number(u64::MAX)),
        ];
        assert_eq!(all(Fields::of(&bytes)).unwrap(), expected);
        assert!(all(Fields::of(&[])).unwrap().is_empty());
    }

    #[test]
    fn no_message() {
        for bytes in [
            &[0x08][..],
            &[0x08, 0x80],
            &[0x12, 3, b'h', b'i'],
            &[0x12, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1],
            &[0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2],
            &[0x0B],
            &[0x1D, 0, 0],
            &[0x21, 1],
        ] {
            assert_eq!(all(Fields::of(bytes)).unwrap_err().code(), crate::ErrorCode::Format, "{bytes:?}");
        }
    }
}
