//! An index of pictures: their names, sizes and times, and their embeddings. docs/search.md describes the file.

mod stored;

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use vitrum::{Vectors, quantize_vectors};

use crate::container::{self, Tensor, Values};
use crate::failure::{Exit, Failure, OrExit, Result};
pub(crate) use stored::Stored;

const KIND: &str = "index of pictures";
const VERSION: u32 = 1;
const MODEL: &str = "vitrum.model";
const FINGERPRINT: &str = "vitrum.model_fingerprint";
/// What the file is, as messages say it.
const WHAT: &str = "an index of `vitrum index`";

/// The names of the tensors.
const SIZES: &str = "sizes";
const TIMES: &str = "times";
const PATH_ENDS: &str = "path_ends";
const PATHS: &str = "paths";
const EMBEDDINGS: &str = "embeddings";
const CODES: &str = "codes";
const SCALES: &str = "scales";

/// A state of a picture's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) size: u64,
    /// Nanoseconds since 1970 of its last change.
    pub(crate) time: i64,
}

impl Stamp {
    /// Of the file `path` as it is now.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().filter(Metadata::is_file).map(|metadata| {
            let since = |time: std::time::SystemTime| match time.duration_since(UNIX_EPOCH) {
                Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
                Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |it| -it),
            };
            Self { size: metadata.len(), time: metadata.modified().map_or(0, since) }
        })
    }
}

/// A picture of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    pub(crate) stamp: Stamp,
}

/// How embeddings are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// As the model gives them.
    F32,
    /// In a quarter of the room, rounded.
    Int8,
}

/// Embeddings of length 1.
#[derive(Debug, PartialEq)]
enum Embeddings {
    F32(Vec<f32>),
    Int8 { codes: Vec<i8>, scales: Vec<f32> },
}

/// The model that made the embeddings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Maker {
    /// As it was given.
    pub(crate) name: String,
    pub(crate) fingerprint: u64,
}

impl Maker {
    /// Fails unless this is the model called `name`, with this fingerprint; it made the index in the file `path`.
    pub(crate) fn check(&self, path: &Path, name: &str, fingerprint: u64) -> Result<()> {
        if self.fingerprint == fingerprint {
            return Ok(());
        }
        let (path, maker) = (path.display(), &self.name);
        let message = format!("{path}: made by another model than {name}: by {maker}");
        Err(Failure::new(Exit::Input, message)
            .hint("embeddings of two models do not compare: give --model the one that made it, or make another index"))
    }
}

/// An index in memory.
#[derive(Debug, PartialEq)]
pub(crate) struct Index {
    pub(crate) maker: Maker,
    pub(crate) dim: usize,
    pub(crate) entries: Vec<Entry>,
    embeddings: Embeddings,
}

impl Index {
    /// An index without pictures.
    pub(crate) fn new(maker: Maker, dim: usize, form: Form) -> Self {
        let embeddings = match form {
            Form::F32 => Embeddings::F32(Vec::new()),
            Form::Int8 => Embeddings::Int8 { codes: Vec::new(), scales: Vec::new() },
        };
        Self { maker, dim, entries: Vec::new(), embeddings }
    }

    /// How the embeddings are kept.
    pub(crate) fn form(&self) -> Form {
        match self.embeddings {
            Embeddings::F32(_) => Form::F32,
            Embeddings::Int8 { .. } => Form::Int8,
        }
    }

    /// The embeddings, a row for each entry.
    pub(crate) fn vectors(&self) -> Result<Vectors<'_>> {
        match &self.embeddings {
            Embeddings::F32(values) => Vectors::f32(values, self.dim),
            Embeddings::Int8 { codes, scales } => Vectors::int8(codes, scales, self.dim),
        }
        .or_exit(Exit::Other)
    }

    /// Writes the embeddings of the entries from `first` on to `out`, as many as fit.
    pub(crate) fn embeddings_from(&self, first: usize, out: &mut [f32]) {
        for (row, out) in (first..).zip(out.chunks_exact_mut(self.dim)) {
            let range = row * self.dim..(row + 1) * self.dim;
            match &self.embeddings {
                Embeddings::F32(values) => out.copy_from_slice(&values[range]),
                Embeddings::Int8 { codes, scales } => {
                    let decode = |(out, &code): (&mut f32, &i8)| *out = scales[row] * f32::from(code);
                    out.iter_mut().zip(&codes[range]).for_each(decode);
                }
            }
        }
    }

    /// Adds a picture with its embedding of length 1.
    pub(crate) fn push(&mut self, entry: Entry, embedding: &[f32]) -> Result<()> {
        match &mut self.embeddings {
            Embeddings::F32(values) => values.extend_from_slice(embedding),
            Embeddings::Int8 { codes, scales } => {
                let end = codes.len();
                codes.resize(end + embedding.len(), 0);
                let mut scale = [0.0];
                quantize_vectors(embedding, self.dim, &mut codes[end..], &mut scale).or_exit(Exit::Other)?;
                scales.push(scale[0]);
            }
        }
        self.entries.push(entry);
        Ok(())
    }

    /// Keeps the pictures that `keep` says.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Entry) -> bool) {
        let kept: Vec<usize> = (0..self.entries.len()).filter(|&i| keep(&self.entries[i])).collect();
        let dim = self.dim;
        for (to, &from) in kept.iter().enumerate() {
            let row = from * dim..(from + 1) * dim;
            match &mut self.embeddings {
                Embeddings::F32(values) => values.copy_within(row, to * dim),
                Embeddings::Int8 { codes, scales } => {
                    codes.copy_within(row, to * dim);
                    scales[to] = scales[from];
                }
            }
            self.entries.swap(to, from);
        }
        match &mut self.embeddings {
            Embeddings::F32(values) => values.truncate(kept.len() * dim),
            Embeddings::Int8 { codes, scales } => {
                codes.truncate(kept.len() * dim);
                scales.truncate(kept.len());
            }
        }
        self.entries.truncate(kept.len());
    }

    /// Writes the file `path`: whole, or not at all.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let count = self.entries.len();
        let sizes: Vec<u64> = self.entries.iter().map(|entry| entry.stamp.size).collect();
        let times: Vec<i64> = self.entries.iter().map(|entry| entry.stamp.time).collect();
        let (mut paths, mut ends) = (Vec::new(), Vec::with_capacity(count));
        for entry in &self.entries {
            paths.extend_from_slice(entry.path.as_os_str().as_encoded_bytes());
            ends.push(paths.len() as u64);
        }
        let tensor = |name, shape: &[usize], values| Tensor { name, shape: shape.into(), values };
        let mut tensors = vec![
            tensor(SIZES, &[count], Values::U64(&sizes)),
            tensor(TIMES, &[count], Values::I64(&times)),
            tensor(PATH_ENDS, &[count], Values::U64(&ends)),
        ];
        match &self.embeddings {
            Embeddings::F32(values) => {
                tensors.push(tensor(EMBEDDINGS, &[count, self.dim], Values::F32(values)));
            }
            Embeddings::Int8 { codes, scales } => {
                tensors.push(tensor(SCALES, &[count], Values::F32(scales)));
                tensors.push(tensor(CODES, &[count, self.dim], Values::I8(codes)));
            }
        }
        tensors.push(tensor(PATHS, &[paths.len()], Values::U8(&paths)));
        let Maker { name, fingerprint } = &self.maker;
        let metadata = [(MODEL, name.clone()), (FINGERPRINT, format!("{fingerprint:016x}"))];
        container::write(path, KIND, VERSION, &metadata, &tensors)
    }

    /// Reads the file `path`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Stored::open(path)?.load()
    }

    /// Reads the bytes of such a file.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        Stored::parse(bytes)?.load()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(form: Form) -> Index {
        let maker = Maker { name: "demo:clip".into(), fingerprint: 7 };
        let mut index = Index::new(maker, 3, form);
        for (i, path) in ["/a/1.png", "/a/b c.jpg", "/ä"].into_iter().enumerate() {
            let stamp = Stamp { size: i as u64, time: 5 - 4 * i as i64 };
            index.push(Entry { path: path.into(), stamp }, &[0.6, -0.8 * (i as f32), 0.5]).unwrap();
        }
        index
    }

    fn bytes(index: &Index, name: &str) -> Vec<u8> {
        let path = std::env::temp_dir().join(format!("vitrum-index-{}-{name}", std::process::id()));
        index.write(&path).unwrap();
        assert_eq!(Index::read(&path).unwrap(), *index);
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(path).unwrap();
        bytes
    }

    fn refused(bytes: Vec<u8>) -> String {
        match Index::parse(&bytes) {
            Err(Failure::Message { exit: Exit::Input, message, .. }) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for form in [Form::F32, Form::Int8] {
            let mut index = index(form);
            bytes(&index, "whole");
            index.retain(|entry| entry.stamp.size != 1);
            assert_eq!(index.entries.len(), 2);
            assert_eq!(index.entries[1].path, Path::new("/ä"));
            let mut row = [0.0; 3];
            index.embeddings_from(1, &mut row);
            assert!((row[1] + 1.6).abs() < 0.01 && (row[2] - 0.5).abs() < 0.01);
            assert_eq!(index.vectors().unwrap().len(), 2);
            bytes(&index, "less");
            index.retain(|_| false);
            bytes(&index, "none");
        }
    }

    /// Files that another program wrote by docs/search.md: `cli/tests/saved`.
    #[cfg(unix)]
    #[test]
    fn described_files_are_read() {
        use std::os::unix::ffi::OsStrExt;
        for (file, form, tolerance) in [
            (&include_bytes!("../tests/saved/index-1-f32.idx")[..], Form::F32, 0.0),
            (include_bytes!("../tests/saved/index-1-int8.idx"), Form::Int8, 0.004),
        ] {
            let index = Index::parse(file).unwrap();
            assert_eq!((index.form(), index.dim, index.maker.fingerprint), (form, 3, 0x0123_4567_89ab_cdef));
            let entry = &index.entries[1];
            assert_eq!(entry.path.as_os_str().as_bytes(), b"/pictures/caf\xe9 \"<2>\".jpg");
            assert_eq!(entry.stamp, Stamp { size: 1 << 40, time: -5 });
            let mut rows = [0.0; 9];
            index.embeddings_from(0, &mut rows);
            let expected = [1.0, 0.0, 0.0, 0.6, 0.8, 0.0, 0.0, -0.6, 0.8];
            assert!(rows.iter().zip(expected).all(|(a, b): (&f32, f32)| (a - b).abs() <= tolerance));
        }
    }

    #[test]
    fn damaged_files_are_refused() {
        for form in [Form::F32, Form::Int8] {
            let whole = bytes(&index(form), "damaged");
            for cut in 0..whole.len() {
                refused(whole[..cut].to_vec());
            }
            refused([&whole[..], &[0]].concat());
            for at in 0..whole.len() {
                let mut bytes = whole.clone();
                bytes[at] ^= 1;
                // A bit in a name of the metadata makes it another index.
                if let Ok(other) = Index::parse(&bytes) {
                    assert!(other.maker != index(form).maker, "byte {at}");
                }
            }
        }
    }

    #[test]
    fn other_files_and_versions_are_named() {
        let whole = bytes(&index(Form::F32), "other");
        let replaced = |from: &str, to: &str| {
            let at = whole.windows(from.len()).position(|it| it == from.as_bytes()).unwrap();
            [&whole[..at], to.as_bytes(), &whole[at + from.len()..]].concat()
        };
        assert!(refused(replaced("index of pictures", "index of pickles.")).contains("not an index"));
        assert!(
            refused(replaced("\"vitrum.version\":\"1\"", "\"vitrum.version\":\"9\"")).contains("version 9")
        );
        assert!(refused(replaced("/a/b c.jpg", "/a/b_c.jpg")).contains("checksum"));
    }
}
