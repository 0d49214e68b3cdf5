//! Tokenizers that a `tokenizer.json` describes in parts, and SigLIP's `spiece.model`, against `tokenizers` and
//! transformers.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use vitrum::pipelines::tokenizer::{FILES, Tokenizer};

/// Texts with the ids of the reference.
fn rows(directory: &Path) -> Vec<(String, Vec<u32>)> {
    let rows: Vec<Value> = serde_json::from_slice(&fs::read(directory.join("ids.json")).unwrap()).unwrap();
    let row = |row: &Value| {
        let ids = row["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32);
        (row["text"].as_str().unwrap().to_owned(), ids.collect())
    };
    rows.iter().map(row).collect()
}

/// The tokenizer of a directory, with room for any text.
fn load(directory: &Path) -> Tokenizer {
    let read = |name: &str| {
        assert!(FILES.contains(&name), "{name}");
        Ok(fs::read(directory.join(name)).ok().map(Cow::Owned))
    };
    Tokenizer::from_files(read, None).expect("a tokenizer").expect("a vocabulary")
}

/// Directories with `ids.json`, by name.
fn directories(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let mut directories: Vec<_> = entries.filter(|path| path.join("ids.json").exists()).collect();
    directories.sort();
    directories
}

/// How many texts of a directory have other ids than the reference, and how many there are.
fn compare(directory: &Path) -> (usize, usize) {
    let name = directory.file_name().unwrap().to_string_lossy();
    let tokenizer = load(directory).with_context_length(1 << 20).unwrap();
    let rows = rows(directory);
    let mut different = 0;
    for (text, expected) in &rows {
        let ids = tokenizer.encode(text).unwrap();
        if ids != *expected {
            different += 1;
            if different <= 5 {
                println!("{name}: {text:?}\n  found    {ids:?}\n  expected {expected:?}");
            }
        }
    }
    (different, rows.len())
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tokenizer_parts")
}

#[test]
fn equals_the_reference() {
    let directories = directories(&golden());
    assert!(directories.len() >= 10);
    for directory in directories {
        let (different, all) = compare(&directory);
        assert!(all >= 200, "{}", directory.display());
        assert_eq!(different, 0, "{} of {all} texts in {}", different, directory.display());
    }
}

/// What `generators/tokenizer_parts.py` wrote to `VITRUM_TOKENIZERS`.
#[test]
#[ignore = "needs texts and ids of the reference"]
fn equals_the_reference_on_many_texts() {
    let root = std::env::var_os("VITRUM_TOKENIZERS").expect("VITRUM_TOKENIZERS");
    let mut sum = 0;
    for directory in directories(Path::new(&root)) {
        let (different, all) = compare(&directory);
        println!("{}: {different} of {all} differ", directory.display());
        sum += different;
    }
    assert_eq!(sum, 0);
}
