//! The file that `--output` names, written row by row.

use std::io::{self, Write};
use std::path::Path;

use super::{Failed, Row};
use crate::failure::{Failure, Result};
use crate::npy::{self, Dtype};

/// Format of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// An array `[inputs, features]`.
    Npy,
    /// An array of objects.
    Json,
}

impl Format {
    pub(super) fn of(path: &Path) -> Result<Self> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("npy") => Ok(Self::Npy),
            Some("json") => Ok(Self::Json),
            _ => Err(Failure::usage(format!("--output {}: neither .npy nor .json", path.display()))
                .hint("the ending chooses the format: x.npy for NumPy, x.json for JSON")),
        }
    }
}

/// Rows on their way into a file.
pub(super) struct Rows<W> {
    out: W,
    format: Format,
    /// `[rows, features]`.
    shape: [usize; 2],
    len: usize,
}

impl<W: Write> Rows<W> {
    /// Writes what comes before the rows.
    pub(super) fn begin(mut out: W, format: Format, shape: [usize; 2]) -> io::Result<Self> {
        match format {
            Format::Npy => npy::write_header(&mut out, Dtype::F32, &shape)?,
            Format::Json => out.write_all(b"[")?,
        }
        Ok(Self { out, format, shape, len: 0 })
    }

    /// How many there are so far.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Writes the next one. Without an embedding, the row of an array is NaN, so that the rows stay those of the inputs
    /// and nobody takes it for an embedding; in JSON, it is the error.
    pub(super) fn write(&mut self, row: Row<'_>) -> io::Result<()> {
        let separator: &[u8] = if self.len == 0 { b"\n" } else { b",\n" };
        self.len += 1;
        let embedded = row.embedded();
        match (self.format, &embedded, row) {
            (Format::Npy, Some(embedded), _) => npy::write_floats(&mut self.out, embedded.embedding),
            (Format::Npy, None, _) => {
                let features = self.shape[1];
                (0..features).try_for_each(|_| npy::write_floats(&mut self.out, &[f32::NAN]))
            }
            (Format::Json, Some(embedded), _) => {
                self.out.write_all(separator)?;
                Ok(serde_json::to_writer(&mut self.out, embedded)?)
            }
            (Format::Json, None, Row::Failed(path, failure)) => {
                self.out.write_all(separator)?;
                Ok(serde_json::to_writer(&mut self.out, &Failed::new(path, failure))?)
            }
            (Format::Json, None, _) => Ok(()),
        }
    }

    /// Writes what comes after the rows, all of which must be there.
    pub(super) fn end(mut self) -> io::Result<()> {
        if self.len != self.shape[0] {
            return Err(io::Error::other(format!("{} rows instead of {}", self.len, self.shape[0])));
        }
        match self.format {
            Format::Npy => Ok(()),
            Format::Json => self.out.write_all(b"\n]\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    #[test]
    fn a_failed_input_keeps_its_row() {
        let failure = Failure::new(Exit::Input, "b.png: damaged");
        let rows = [
            Row::Image(crate::commands::batch::Seen { path: Path::new("a.png"), turned: None }, &[1.0, 2.0]),
            Row::Failed(Path::new("b.png"), &failure),
            Row::Text("c", &[3.0, 4.0]),
        ];
        let written = |format| {
            let mut file = Vec::new();
            let mut out = Rows::begin(&mut file, format, [3, 2]).unwrap();
            rows.iter().for_each(|&row| out.write(row).unwrap());
            out.end().unwrap();
            file
        };
        let array = npy::read(&written(Format::Npy)).unwrap();
        assert_eq!(array.shape, [3, 2]);
        assert_eq!((&array.values[..2], &array.values[4..]), (&[1.0, 2.0][..], &[3.0, 4.0][..]));
        assert!(array.values[2].is_nan() && array.values[3].is_nan());
        let json: serde_json::Value = serde_json::from_slice(&written(Format::Json)).unwrap();
        assert_eq!(
            json,
            serde_json::json!([
                { "image": "a.png", "embedding": [1.0, 2.0] },
                { "image": "b.png", "error": { "kind": "input", "exit": 4, "message": "b.png: damaged" } },
                { "text": "c", "embedding": [3.0, 4.0] },
            ])
        );
    }

    #[test]
    fn missing_rows_are_no_file() {
        let mut file = Vec::new();
        let rows = Rows::begin(&mut file, Format::Npy, [3, 2]).unwrap();
        assert_eq!(rows.end().unwrap_err().to_string(), "0 rows instead of 3");
    }
}
