//! NumPy's file format: arrays of numbers with their shape.

use std::io::{self, Write};

const MAGIC: &[u8] = b"\x93NUMPY";

/// Type of an array's elements, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dtype {
    F32,
    Bool,
}

impl Dtype {
    fn descr(self) -> &'static str {
        match self {
            Self::F32 => "<f4",
            Self::Bool => "|b1",
        }
    }
}

/// Writes what comes before the elements of a C-contiguous array, in version 1.0 of the format.
pub(crate) fn write_header(mut out: impl Write, dtype: Dtype, shape: &[usize]) -> io::Result<()> {
    const VERSION: &[u8] = b"\x01\x00";
    let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
    // A tuple of one has a comma behind it, longer ones have none.
    let sides = if shape.len() == 1 { sides.trim_end() } else { sides.trim_end_matches(", ") };
    let descr = dtype.descr();
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sides}), }}").into_bytes();
    // Spaces and a line break until the elements are aligned to 64 bytes.
    let length_field = 2;
    let unpadded = MAGIC.len() + VERSION.len() + length_field + header.len() + 1;
    header.resize(header.len() + unpadded.next_multiple_of(64) - unpadded, b' ');
    header.push(b'\n');
    let header_len = u16::try_from(header.len()).expect("a few numbers do not fill 64 kB");
    out.write_all(MAGIC)?;
    out.write_all(VERSION)?;
    out.write_all(&header_len.to_le_bytes())?;
    out.write_all(&header)
}

/// Writes elements of type [`Dtype::F32`].
pub(crate) fn write_floats(mut out: impl Write, values: &[f32]) -> io::Result<()> {
    values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))
}

/// Bytes of elements to values.
type Read = fn(&[u8]) -> Vec<f32>;

/// What the elements of an array are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Elements {
    Booleans,
    Integers,
    Floats,
}

/// An array that was read.
#[derive(Debug, PartialEq)]
pub(crate) struct Array {
    pub(crate) shape: Vec<usize>,
    pub(crate) elements: Elements,
    pub(crate) values: Vec<f32>,
}

/// Whether `bytes` begin as such a file does.
pub(crate) fn is_npy(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Reads a C-contiguous array of floats, integers or booleans. Integers beyond 2²⁴ are rounded.
pub(crate) fn read(bytes: &[u8]) -> Result<Array, String> {
    let damaged = |what: &str| format!("damaged NumPy array: {what}");
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| damaged("not one"))?;
    let (version, rest) = rest.split_first_chunk::<2>().ok_or_else(|| damaged("cut off"))?;
    let (header_len, rest) = match version[0] {
        1 => rest.split_first_chunk::<2>().map(|(len, rest)| (u32::from(u16::from_le_bytes(*len)), rest)),
        2 | 3 => rest.split_first_chunk::<4>().map(|(len, rest)| (u32::from_le_bytes(*len), rest)),
        other => return Err(format!("NumPy's format {other}.{} is not supported", version[1])),
    }
    .ok_or_else(|| damaged("cut off"))?;
    let (header, data) = rest.split_at_checked(header_len as usize).ok_or_else(|| damaged("cut off"))?;
    let header = str::from_utf8(header).map_err(|_| damaged("its header is not text"))?;
    let value = |key: &str| {
        let (_, after) = header.split_once(&format!("'{key}':"))?;
        Some(after.trim_start())
    };
    if value("fortran_order").is_none_or(|value| !value.starts_with("False")) {
        return Err("an array in Fortran's order is not supported: save numpy.ascontiguousarray of it".into());
    }
    let sides = value("shape").and_then(|value| value.strip_prefix('(')?.split_once(')'));
    let (sides, _) = sides.ok_or_else(|| damaged("no shape"))?;
    let sides = sides.split(',').map(str::trim).filter(|side| !side.is_empty());
    let shape = sides.map(str::parse).collect::<Result<Vec<usize>, _>>().map_err(|_| damaged("its shape"))?;
    let descr = value("descr").and_then(|value| value.strip_prefix('\'')?.split_once('\''));
    let (descr, _) = descr.ok_or_else(|| damaged("no type"))?;
    let (size, elements, read): (usize, Elements, Read) = match descr {
        "<f4" => (4, Elements::Floats, |data| each(data, f32::from_le_bytes)),
        "<f8" => (8, Elements::Floats, |data| each(data, |value| f64::from_le_bytes(value) as f32)),
        "|b1" => (1, Elements::Booleans, |data| each(data, |[value]| f32::from(value))),
        "|u1" => (1, Elements::Integers, |data| each(data, |[value]| f32::from(value))),
        "|i1" => (1, Elements::Integers, |data| each(data, |value| f32::from(i8::from_le_bytes(value)))),
        "<u2" => (2, Elements::Integers, |data| each(data, |value| f32::from(u16::from_le_bytes(value)))),
        "<i2" => (2, Elements::Integers, |data| each(data, |value| f32::from(i16::from_le_bytes(value)))),
        "<u4" => (4, Elements::Integers, |data| each(data, |value| u32::from_le_bytes(value) as f32)),
        "<i4" => (4, Elements::Integers, |data| each(data, |value| i32::from_le_bytes(value) as f32)),
        "<u8" => (8, Elements::Integers, |data| each(data, |value| u64::from_le_bytes(value) as f32)),
        "<i8" => (8, Elements::Integers, |data| each(data, |value| i64::from_le_bytes(value) as f32)),
        _ => return Err(format!("elements of type {descr} are not supported: save them as float32")),
    };
    let needed = shape.iter().try_fold(size, |bytes: usize, &side| bytes.checked_mul(side));
    if needed != Some(data.len()) {
        return Err(damaged(&format!("{} bytes of data for shape {shape:?}", data.len())));
    }
    Ok(Array { shape, elements, values: read(data) })
}

/// The elements of `N` bytes.
fn each<const N: usize>(data: &[u8], read: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    data.as_chunks().0.iter().map(|&bytes| read(bytes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dtype: Dtype, shape: &[usize], data: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        write_header(&mut file, dtype, shape).unwrap();
        file.extend(data);
        file
    }

    #[test]
    fn layout() {
        let mut file = file(Dtype::F32, &[2, 3], &[]);
        write_floats(&mut file, &[0.0, 1.0, 2.0, 3.0, 4.0, -5.5]).unwrap();
        assert_eq!(&file[..8], b"\x93NUMPY\x01\x00");
        let header_len = usize::from(u16::from_le_bytes([file[8], file[9]]));
        let (header, data) = file[10..].split_at(header_len);
        assert!(header.starts_with(b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"));
        assert!(header.ends_with(b" \n") && (10 + header_len) % 64 == 0);
        assert_eq!(data.len(), 24);
        assert_eq!(data[20..], (-5.5f32).to_le_bytes());
    }

    #[test]
    fn what_is_written_is_read() {
        let typed = |elements, shape: &[usize], values: &[f32]| Array {
            shape: shape.into(),
            elements,
            values: values.into(),
        };
        let array = |shape: &[usize], values: &[f32]| typed(Elements::Floats, shape, values);
        let numbers = [1.5f32, -2.0, 0.25].map(f32::to_le_bytes).concat();
        assert_eq!(read(&file(Dtype::F32, &[3], &numbers)).unwrap(), array(&[3], &[1.5, -2.0, 0.25]));
        assert_eq!(read(&file(Dtype::F32, &[1, 3, 1], &numbers)).unwrap().shape, [1, 3, 1]);
        assert_eq!(
            read(&file(Dtype::Bool, &[1, 2], &[0, 1])).unwrap(),
            typed(Elements::Booleans, &[1, 2], &[0.0, 1.0])
        );
        let changed = |descr: &str, data: &[u8]| {
            let file = file(Dtype::F32, &[2], data);
            let at = file.windows(3).position(|window| window == b"<f4").unwrap();
            read(&[&file[..at], descr.as_bytes(), &file[at + 3..]].concat()).unwrap()
        };
        let integers = |values: &[f32]| typed(Elements::Integers, &[2], values);
        assert_eq!(changed("|u1", &[0, 255]), integers(&[0.0, 255.0]));
        assert_eq!(changed("|i1", &[1, 255]), integers(&[1.0, -1.0]));
        assert_eq!(changed("<u2", &[1, 0, 0, 1]), integers(&[1.0, 256.0]));
        assert_eq!(changed("<i2", &[1, 0, 255, 255]), integers(&[1.0, -1.0]));
        assert_eq!(changed("<i4", &[1, 0, 0, 0, 255, 255, 255, 255]), integers(&[1.0, -1.0]));
        assert_eq!(changed("<u4", &[1, 0, 0, 0, 0, 0, 1, 0]), integers(&[1.0, 65536.0]));
        let eight = |value: i64| value.to_le_bytes();
        assert_eq!(changed("<i8", &[eight(3), eight(-2)].concat()), integers(&[3.0, -2.0]));
        assert_eq!(changed("<u8", &[eight(3), eight(7)].concat()), integers(&[3.0, 7.0]));
        let header = b"{'shape': (1,), 'fortran_order': False, 'descr': '<f8'}\n";
        let mut version2 = b"\x93NUMPY\x02\x00".to_vec();
        version2.extend((header.len() as u32).to_le_bytes());
        version2.extend(header);
        version2.extend(0.5f64.to_le_bytes());
        assert_eq!(read(&version2).unwrap(), array(&[1], &[0.5]));
    }

    #[test]
    fn bad_files_are_told_apart() {
        let good = file(Dtype::Bool, &[2], &[0, 1]);
        let changed = |from: &str, to: &str| {
            let at = good.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
            [&good[..at], to.as_bytes(), &good[at + from.len()..]].concat()
        };
        for (file, expected) in [
            (good[..9].to_vec(), "cut off"),
            (good[..30].to_vec(), "cut off"),
            (good[..good.len() - 1].to_vec(), "1 bytes of data for shape [2]"),
            (changed("(2,)", "(9,)"), "2 bytes of data for shape [9]"),
            (changed("(2,)", "(x,)"), "its shape"),
            (changed("False", "True "), "Fortran"),
            (changed("|b1", "<c8"), "elements of type <c8"),
            (changed("NUMPY\x01", "NUMPY\x07"), "format 7.0"),
        ] {
            let error = read(&file).unwrap_err();
            assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        }
    }
}
