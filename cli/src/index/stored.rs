//! An index whose embeddings stay in its file and are searched block by block.

use std::cmp::Ordering;
use std::path::Path;

use vitrum::exec::Cx;
use vitrum::weights::Dtype;
use vitrum::{Hit, Monitor, TopK, Vectors, topk};

use super::{
    CODES, EMBEDDINGS, Embeddings, Entry, FINGERPRINT, Form, Index, KIND, MODEL, Maker, PATH_ENDS, PATHS,
    SCALES, SIZES, Stamp, TIMES, VERSION, WHAT,
};
use crate::container::Container;
use crate::failure::{Exit, OrExit, Result};
use crate::text_file;

/// Bytes of embeddings that are in memory at a time.
const BLOCK: usize = 8 << 20;

/// An index file, open: what it says of its pictures, without their embeddings.
pub(crate) struct Stored<'a> {
    pub(crate) maker: Maker,
    pub(crate) dim: usize,
    pub(crate) entries: Vec<Entry>,
    form: Form,
    file: Container<'a>,
}

impl Stored<'static> {
    /// Opens the file `path`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::of(Container::open(path, KIND, VERSION, WHAT)?)
    }
}

impl<'a> Stored<'a> {
    /// Opens the bytes of such a file.
    #[cfg(any(test, fuzzing))]
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self> {
        use vitrum::weights::{Bundle, BundleParts};
        let bundle = Bundle::from_memory(BundleParts::new(bytes)).or_exit(Exit::Input)?;
        Self::of(Container::of(bundle, "a file".into(), KIND, VERSION, WHAT)?)
    }

    fn of(mut file: Container<'a>) -> Result<Self> {
        let maker = Maker { name: file.text(MODEL)?.to_owned(), fingerprint: file.hex(FINGERPRINT)? };
        let [count] = file.shape(SIZES, Dtype::U64)?;
        let form = if file.has(CODES) { Form::Int8 } else { Form::F32 };
        let [rows, dim] = match form {
            Form::Int8 => file.shape(CODES, Dtype::I8)?,
            Form::F32 => file.shape(EMBEDDINGS, Dtype::F32)?,
        };
        let scales = if form == Form::Int8 { file.shape(SCALES, Dtype::F32)? } else { [count] };
        let counts = [file.shape(TIMES, Dtype::I64)?, file.shape(PATH_ENDS, Dtype::U64)?, scales, [rows]];
        let [_path_bytes] = file.shape(PATHS, Dtype::U8)?;
        if counts != [[count]; 4] || dim == 0 {
            return Err(file.bad("damaged: its tables have different lengths"));
        }
        let sizes = file.words(SIZES)?;
        let times = file.words(TIMES)?;
        let ends = file.words(PATH_ENDS)?;
        let paths = file.peek(PATHS)?;
        let mut begin = 0;
        let mut entries = Vec::new();
        for ((size, time), end) in sizes.into_iter().zip(times).zip(ends) {
            let name = usize::try_from(end).ok().and_then(|end| paths.get(begin..end));
            let name = name.filter(|name| !name.is_empty()).ok_or_else(|| file.bad("damaged: its names"))?;
            let path = text_file::os_string(name).map_err(|error| file.bad(error))?;
            let stamp = Stamp { size, time: time as i64 };
            entries.push(Entry { path: path.into(), stamp });
            begin += name.len();
        }
        if begin != paths.len() {
            return Err(file.bad("damaged: its names"));
        }
        Ok(Self { maker, dim, entries, form, file })
    }

    /// All of it in memory.
    pub(super) fn load(mut self) -> Result<Index> {
        let embeddings = match self.form {
            Form::F32 => Embeddings::F32(self.file.floats(EMBEDDINGS)?),
            Form::Int8 => {
                let scales = self.file.floats(SCALES)?;
                let codes = self.file.bytes(CODES)?.into_iter().map(|byte| byte as i8).collect();
                Embeddings::Int8 { codes, scales }
            }
        };
        let Self { maker, dim, entries, mut file, .. } = self;
        file.bytes(PATHS)?;
        file.end()?;
        Ok(Index { maker, dim, entries, embeddings })
    }

    /// The entries that the `k` embeddings closest to each of `queries: [count, dim]` are of, the best first, as [`topk`] finds
    /// them in memory; and all entries. Embeddings are read in blocks.
    pub(crate) fn search(self, cx: &Cx, queries: &[f32], k: usize) -> Result<(Vec<Vec<Hit>>, Vec<Entry>)> {
        self.search_blocks(cx, queries, k, BLOCK)
    }

    fn search_blocks(
        mut self,
        cx: &Cx,
        queries: &[f32],
        k: usize,
        block: usize,
    ) -> Result<(Vec<Vec<Hit>>, Vec<Entry>)> {
        let (dim, count) = (self.dim, self.entries.len());
        let (name, size) = match self.form {
            Form::F32 => (EMBEDDINGS, 4),
            Form::Int8 => (CODES, 1),
        };
        let scales = match self.form {
            Form::F32 => Vec::new(),
            Form::Int8 => self.file.floats(SCALES)?,
        };
        // Words of the checksum do not cross blocks.
        let rows = (block / (size * dim)).max(1).next_multiple_of(8);
        let mut best = vec![Vec::new(); queries.len() / dim];
        let (mut bytes, mut values, mut codes) = (Vec::new(), Vec::new(), Vec::new());
        let mut results = TopK::default();
        for first in (0..count).step_by(rows) {
            let rows = rows.min(count - first);
            bytes.resize(rows * dim * size, 0);
            self.file.bytes_into(name, (first * dim * size) as u64, &mut bytes)?;
            let vectors = match self.form {
                Form::F32 => {
                    values.clear();
                    values.extend(bytes.as_chunks().0.iter().map(|&word| f32::from_le_bytes(word)));
                    if !values.iter().all(|value: &f32| value.is_finite()) {
                        return Err(self
                            .file
                            .bad(format!("damaged: {name} holds values that are not finite")));
                    }
                    Vectors::f32(&values, dim)
                }
                Form::Int8 => {
                    codes.clear();
                    codes.extend(bytes.iter().map(|&byte| byte as i8));
                    Vectors::int8(&codes, &scales[first..first + rows], dim)
                }
            }
            .or_exit(Exit::Other)?;
            topk(cx, queries, &vectors, k, &mut results, &Monitor::none()).or_exit(Exit::Other)?;
            for (query, best) in best.iter_mut().enumerate() {
                best.extend(results.hits(query).iter().map(|hit| Hit { index: first + hit.index, ..*hit }));
                // Stable: of equal scores the earlier entry stays before.
                best.sort_by(|a: &Hit, b| b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal));
                best.truncate(k);
            }
        }
        // Nothing is found in a damaged file.
        let Self { entries, mut file, .. } = self;
        file.bytes(PATHS)?;
        file.end()?;
        Ok((best, entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrum::exec::CxOptions;

    /// An index of `count` rows of 5, in which many scores are equal.
    fn index(form: Form, count: usize) -> Vec<u8> {
        let mut index = Index::new(Maker { name: "demo:clip".into(), fingerprint: 7 }, 5, form);
        for i in 0..count {
            let row: Vec<f32> = (0..5).map(|j| ((i * 7 + j * 3) % 23) as f32 / 16.0 - 0.5).collect();
            let stamp = Stamp { size: i as u64, time: 0 };
            index.push(Entry { path: format!("/{i}").into(), stamp }, &row).unwrap();
        }
        let path =
            std::env::temp_dir().join(format!("vitrum-stored-{}-{form:?}-{count}", std::process::id()));
        index.write(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        bytes
    }

    #[test]
    fn blocks_find_what_the_whole_does() {
        let cx = Cx::new(&CxOptions::default().with_threads(2)).unwrap();
        for (form, count) in [(Form::F32, 203), (Form::Int8, 203), (Form::F32, 1), (Form::Int8, 0)] {
            let bytes = index(form, count);
            let whole = Index::parse(&bytes).unwrap();
            // One query, as many as are compared as vectors come from memory, and more.
            for queries in [1, 8, 9, 20] {
                let queries: Vec<f32> = (0..queries * 5).map(|i| (i * 11 % 17) as f32 - 8.0).collect();
                for k in [1, 10, 500] {
                    let mut expected = TopK::default();
                    let vectors = whole.vectors().unwrap();
                    topk(&cx, &queries, &vectors, k, &mut expected, &Monitor::none()).unwrap();
                    for block in [1, 1000, BLOCK] {
                        let stored = Stored::parse(&bytes).unwrap();
                        let (found, entries) = stored.search_blocks(&cx, &queries, k, block).unwrap();
                        assert_eq!(entries, whole.entries);
                        for (query, found) in found.iter().enumerate() {
                            assert_eq!(found, expected.hits(query), "{form:?}, {count}, {k}, {block}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_is_found_in_a_damaged_file() {
        let cx = Cx::new(&CxOptions::default().with_threads(1)).unwrap();
        for form in [Form::F32, Form::Int8] {
            let whole = index(form, 40);
            let search = |bytes: &[u8]| {
                Stored::parse(bytes).and_then(|stored| stored.search_blocks(&cx, &[1.0; 5], 3, 1))
            };
            search(&whole).unwrap();
            let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
            for at in header..whole.len() {
                let mut bytes = whole.clone();
                bytes[at] ^= 1;
                assert!(search(&bytes).is_err(), "byte {at}");
            }
        }
    }
}
