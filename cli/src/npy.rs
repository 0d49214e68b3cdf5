//! NumPy's file format, version 1.0.

use std::io::{self, Write};

const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";

/// Writes `values` as a C-contiguous little-endian float32 array `[rows, columns]`.
pub(crate) fn write(mut out: impl Write, [rows, columns]: [usize; 2], values: &[f32]) -> io::Result<()> {
    debug_assert_eq!(rows * columns, values.len());
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}").into_bytes();
    // Spaces and a line break until the data is aligned to 64 bytes.
    let length_field = 2;
    let unpadded = MAGIC.len() + length_field + header.len() + 1;
    header.resize(header.len() + unpadded.next_multiple_of(64) - unpadded, b' ');
    header.push(b'\n');
    let header_len = u16::try_from(header.len()).expect("two numbers do not fill 64 kB");
    out.write_all(MAGIC)?;
    out.write_all(&header_len.to_le_bytes())?;
    out.write_all(&header)?;
    for value in values {
        out.write_all(&value.to_le_bytes())?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    #[test]
    fn layout() {
        let mut file = Vec::new();
        super::write(&mut file, [2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, -5.5]).unwrap();
        assert_eq!(&file[..8], b"\x93NUMPY\x01\x00");
        let header_len = usize::from(u16::from_le_bytes([file[8], file[9]]));
        let (header, data) = file[10..].split_at(header_len);
        assert!(header.starts_with(b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"));
        assert!(header.ends_with(b" \n") && (10 + header_len) % 64 == 0);
        assert_eq!(data.len(), 24);
        assert_eq!(data[20..], (-5.5f32).to_le_bytes());
    }
}
