//! Small safetensors files and temporary directories for tests.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A safetensors file with this header and data.
pub(crate) fn safetensors(json: &str, data: &[u8]) -> Vec<u8> {
    raw(json.len() as u64, json.as_bytes(), data)
}

/// A safetensors file that claims a header of `n` bytes.
pub(crate) fn raw(n: u64, json: &[u8], data: &[u8]) -> Vec<u8> {
    [&n.to_le_bytes(), json, data].concat()
}

/// The header of F32 tensors with these names and bytes.
pub(crate) fn header(tensors: &[(&str, Range<usize>)]) -> String {
    let entry = |(name, Range { start, end }): &(&str, Range<usize>)| {
        format!(
            r#""{name}":{{"dtype":"F32","shape":[{}],"data_offsets":[{start},{end}]}}"#,
            (end - start) / 4
        )
    };
    format!("{{{}}}", tensors.iter().map(entry).collect::<Vec<_>>().join(","))
}

/// A directory that is removed when it is dropped.
pub(crate) struct Directory {
    path: PathBuf,
}

impl Directory {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("vitrum-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn write(&self, name: &str, contents: &[u8]) -> PathBuf {
        let path = self.path.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, contents).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // A test that fails must not fail again here.
        let _ = fs::remove_dir_all(&self.path);
    }
}
