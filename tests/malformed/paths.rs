//! Case 34 and its kin: paths that lead elsewhere, files that are none, files that change.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use vitrum::ErrorCode::{self, Format, InvalidArgument, Io, MissingTensor, NotFound, Unsupported};
use vitrum::simd::Level;
use vitrum::weights::{Bundle, MAX_SIDE_FILE, OpenOptions};
use vitrum::{Error, Result};

use crate::files::{Directory, header, safetensors};

const INDEX: &str = "model.safetensors.index.json";

/// A file with the F32 tensor `w` of four values `value`.
fn weights(value: f32) -> Vec<u8> {
    safetensors(&header(&[("w", 0..16)]), &value.to_le_bytes().repeat(4))
}

/// Opens `path` in another thread, so that a test that would wait for a FIFO's other end fails instead.
fn open(path: &Path) -> Result<Bundle<'static>> {
    let (sender, receiver) = mpsc::channel();
    let path = PathBuf::from(path);
    std::thread::spawn(move || drop(sender.send(Bundle::open(&path, OpenOptions::new()))));
    receiver.recv_timeout(Duration::from_secs(20)).expect("opening hangs")
}

fn values(bundle: &Bundle<'_>) -> Result<Vec<f32>> {
    bundle.scope(Level::detect()).f32("w", &[4])
}

fn expect(error: &Error, code: ErrorCode, message: &str) {
    assert_eq!(error.code(), code, "{error}");
    assert!(error.message().contains(message), "{error}");
}

fn mkfifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn case_34_shard_names() {
    let directory = Directory::new();
    let model = directory.path().join("model");
    directory.write("outside.safetensors", &weights(1.0));
    directory.write("model/inside.safetensors", &weights(1.0));
    symlink("../outside.safetensors", model.join("link-out.safetensors")).unwrap();
    symlink("/dev/zero", model.join("zero.safetensors")).unwrap();
    symlink("nowhere.safetensors", model.join("dangling.safetensors")).unwrap();
    symlink("loop.safetensors", model.join("loop.safetensors")).unwrap();
    fs::create_dir(model.join("directory.safetensors")).unwrap();
    mkfifo(&model.join("fifo.safetensors"));

    let absolute = directory.path().join("outside.safetensors");
    let cases = [
        ("../outside.safetensors", Format, r#"shard "../outside.safetensors": not the plain name"#),
        ("../x", Format, r#"shard "../x": not the plain name"#),
        ("..", Format, r#"shard "..": not the plain name"#),
        ("", Format, r#"shard "": not the plain name"#),
        ("/dev/zero", Format, r#"shard "/dev/zero": not the plain name"#),
        (absolute.to_str().unwrap(), Format, "not the plain name"),
        ("C:x.safetensors", Format, "not the plain name"),
        (r"a\\b.safetensors", Format, "not the plain name"),
        (r"a\u0000.safetensors", Format, "not the plain name"),
        ("config.json", Format, "not the plain name"),
        ("link-out.safetensors", Format, r#"shard "link-out.safetensors": leads out of the model directory"#),
        ("zero.safetensors", Format, r#"shard "zero.safetensors": leads out of the model directory"#),
        ("dangling.safetensors", NotFound, "dangling.safetensors: no such file"),
        ("absent.safetensors", NotFound, "absent.safetensors: no such file"),
        ("loop.safetensors", Io, "loop.safetensors"),
        ("directory.safetensors", Unsupported, "directory.safetensors: not a regular file"),
        ("fifo.safetensors", Unsupported, "fifo.safetensors: not a regular file"),
    ];
    for (shard, code, message) in cases {
        directory
            .write(&format!("model/{INDEX}"), format!(r#"{{"weight_map":{{"w":"{shard}"}}}}"#).as_bytes());
        expect(&open(&model).unwrap_err(), code, message);
    }
    directory.write(&format!("model/{INDEX}"), br#"{"weight_map":{"w":"inside.safetensors"}}"#);
    assert_eq!(values(&open(&model).unwrap()).unwrap(), [1.0; 4]);
}

#[test]
fn indexes() {
    let directory = Directory::new();
    for shard in ["a.safetensors", "b.safetensors"] {
        directory.write(shard, &weights(1.0));
    }
    let many: Vec<_> = (0..300).map(|i| format!(r#""{i}":"{i}.safetensors""#)).collect();
    let many = format!(r#"{{"weight_map":{{{}}}}}"#, many.join(","));
    let cases = [
        ("", Format, "not JSON"),
        ("[]", Format, r#"no object "weight_map""#),
        (r#"{"weight_map":[]}"#, Format, r#"no object "weight_map""#),
        (r#"{"weight_map":{}}"#, Format, r#"an empty "weight_map""#),
        (r#"{"weight_map":{"w":1}}"#, Format, r#"the shard of "w" is not a string"#),
        (
            r#"{"weight_map":{"w":"a.safetensors","w":"b.safetensors"}}"#,
            Format,
            r#""weight_map.w": the key appears"#,
        ),
        (
            r#"{"weight_map":{"v":"a.safetensors"}}"#,
            MissingTensor,
            r#"missing tensor "v" in shard "a.safetensors""#,
        ),
        (
            r#"{"weight_map":{"w":"a.safetensors","v":"b.safetensors"}}"#,
            Format,
            r#"tensor "w": in both a.safe"#,
        ),
        (&many, ErrorCode::Limit, "300 shards, at most 256"),
    ];
    for (index, code, message) in cases {
        directory.write(INDEX, index.as_bytes());
        expect(&open(directory.path()).unwrap_err(), code, message);
    }
}

/// The Hugging Face cache keeps contents in `blobs` and links to them from snapshots.
#[test]
fn cache_snapshots_link_to_their_blobs() {
    let directory = Directory::new();
    let root = directory.path().join("models--org--name");
    let snapshot = root.join("snapshots/0123abcd");
    fs::create_dir_all(&snapshot).unwrap();
    for (name, blob, contents) in [
        (INDEX, "i", &br#"{"weight_map":{"w":"model-00001-of-00001.safetensors"}}"#[..]),
        ("model-00001-of-00001.safetensors", "s", &weights(2.0)),
        ("config.json", "c", b"{}"),
    ] {
        directory.write(&format!("models--org--name/blobs/{blob}"), contents);
        symlink(format!("../../blobs/{blob}"), snapshot.join(name)).unwrap();
    }
    let bundle = open(&snapshot).unwrap();
    assert_eq!(values(&bundle).unwrap(), [2.0; 4]);
    assert_eq!(bundle.file("config.json").unwrap().as_deref(), Some(&b"{}"[..]));

    // A `blobs` that itself leads elsewhere opens nothing.
    fs::rename(root.join("blobs"), directory.path().join("elsewhere")).unwrap();
    symlink("../elsewhere", root.join("blobs")).unwrap();
    expect(&open(&snapshot).unwrap_err(), Format, "leads out of the model directory");
}

#[test]
fn what_is_not_a_model() {
    let directory = Directory::new();
    let path = |name: &str| directory.path().join(name);
    mkfifo(&path("fifo"));
    fs::create_dir(path("empty")).unwrap();
    fs::create_dir_all(path("pipe")).unwrap();
    mkfifo(&path("pipe/model.safetensors"));
    fs::create_dir(path("dangling")).unwrap();
    symlink("nowhere", path("dangling/model.safetensors")).unwrap();
    directory.write("two/a.safetensors", &weights(1.0));
    directory.write("two/b.safetensors", &weights(1.0));
    let cases = [
        (path("absent"), NotFound, "absent: no such file or directory"),
        (path("empty"), NotFound, "empty: no weights: no .safetensors file"),
        (path("dangling"), NotFound, "model.safetensors: no such file"),
        (path("two"), InvalidArgument, "several .safetensors files"),
        (path("fifo"), Unsupported, "fifo: not a regular file"),
        (path("pipe"), Unsupported, "model.safetensors: not a regular file"),
        ("/dev/zero".into(), Unsupported, "/dev/zero: not a regular file"),
        (path("two/a.safetensors/x"), Io, "Not a directory"),
    ];
    for (path, code, message) in cases {
        expect(&open(&path).unwrap_err(), code, message);
    }
}

#[test]
fn side_files_that_are_none() {
    let directory = Directory::new();
    directory.write("model.safetensors", &weights(1.0));
    let bundle = open(directory.path()).unwrap();
    mkfifo(&directory.path().join("vocab.json"));
    fs::create_dir(directory.path().join("merges.txt")).unwrap();
    symlink("/dev/zero", directory.path().join("config.json")).unwrap();
    for name in ["vocab.json", "merges.txt", "config.json"] {
        expect(&bundle.file(name).unwrap_err(), Unsupported, &format!("{name}: not a regular file"));
    }
    directory.write(
        "processor_config.json",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    );
    directory.write("added_tokens.json", b"<!doctype html><html>");
    for (name, message) in [
        (
            "processor_config.json",
            "processor_config.json: a Git LFS pointer, not the file itself: run `git lfs pull`",
        ),
        ("added_tokens.json", "added_tokens.json: an HTML page, not the file itself"),
    ] {
        expect(&bundle.file(name).unwrap_err(), Unsupported, message);
    }
    let path = directory.write("tokenizer.json", b"");
    File::options().write(true).open(&path).unwrap().set_len(MAX_SIDE_FILE as u64 + 1).unwrap();
    expect(&bundle.file("tokenizer.json").unwrap_err(), ErrorCode::Limit, "tokenizer.json: 67108865 bytes");
}

#[test]
fn files_that_change_after_opening() {
    for mmap in [false, true] {
        let directory = Directory::new();
        let path = directory.write("model.safetensors", &weights(1.0));
        let open = || Bundle::open(&path, OpenOptions::new().with_mmap(mmap)).unwrap();

        let bundle = open();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(weights(1.0).len() as u64 - 1).unwrap();
        expect(&values(&bundle).unwrap_err(), Io, r#"tensor "w": "#);
        expect(&values(&bundle).unwrap_err(), Io, "model.safetensors: changed while it was being read");
        assert_eq!(bundle.unused().count(), 1);

        directory.write("model.safetensors", &weights(1.0));
        let bundle = open();
        directory.write("model.safetensors", &weights(2.0));
        let later = SystemTime::now() + Duration::from_secs(2);
        File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        expect(&values(&bundle).unwrap_err(), Io, "changed while it was being read");

        // Replaced as downloads replace: the opened file is whole, and still the old one.
        let bundle = open();
        let new = directory.write("new", &weights(3.0));
        fs::rename(new, &path).unwrap();
        assert_eq!(values(&bundle).unwrap(), [2.0; 4]);
        fs::remove_file(&path).unwrap();
        assert_eq!(values(&bundle).unwrap(), [2.0; 4]);
    }
}
