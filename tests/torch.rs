//! PyTorch checkpoints: what PyTorch itself wrote, in every format, against the same tensors in safetensors; and
//! what nobody should have written.
#![cfg(feature = "torch")]

#[path = "torch/build.rs"]
mod build;
#[path = "malformed/files.rs"]
mod files;
#[path = "torch/fuzz.rs"]
mod fuzz;
#[path = "torch/hostile.rs"]
mod hostile;
#[path = "torch/layouts.rs"]
mod layouts;

use std::fs;
use std::path::{Path, PathBuf};

use vitrum::ErrorCode::{self, NotFound, TensorDtype, Unsupported};
use vitrum::simd::Level;
use vitrum::weights::{Bundle, BundleParts, Dtype, OpenOptions};
use vitrum::{Error, Result};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/torch").join(name)
}

fn open(path: &Path) -> Result<Bundle<'static>> {
    Bundle::open(path, OpenOptions::new())
}

#[track_caller]
fn expect(error: &Error, code: ErrorCode, message: &str) {
    assert_eq!(error.code(), code, "{error}");
    assert!(error.message().contains(message), "{error}");
}

/// Names, types, shapes and bytes (small tensors are hashed whole), and values where they are floats.
#[track_caller]
fn assert_same(found: &Bundle<'_>, expected: &Bundle<'_>) {
    let list = |bundle: &Bundle<'_>| -> Vec<(String, Dtype, Vec<usize>)> {
        let own = |t: vitrum::weights::TensorInfo<'_>| (t.name.to_owned(), t.dtype, t.shape.to_vec());
        bundle.archive().tensors().map(own).collect()
    };
    assert_eq!(list(found), list(expected));
    for level in Level::available() {
        for (name, dtype, shape) in list(expected) {
            let [found, expected] = [found, expected].map(|bundle| bundle.scope(level).f32(&name, &shape));
            if [Dtype::F64, Dtype::F32, Dtype::F16, Dtype::BF16].contains(&dtype) {
                assert_eq!(found.unwrap(), expected.unwrap(), "{name}");
            } else {
                assert_eq!(found.unwrap_err().code(), TensorDtype, "{name}");
            }
        }
    }
    assert_eq!(found.archive().fingerprint().unwrap(), expected.archive().fingerprint().unwrap());
}

#[test]
fn every_format_has_the_same_tensors() {
    let expected = open(&golden("sample.safetensors")).unwrap();
    assert_eq!(expected.archive().tensors().len(), 24);
    for name in ["sample.pt", "sample-protocol-5.pt", "sample-legacy.pth", "sample-legacy-protocol-4.pth"] {
        println!("{name}");
        for mmap in [false, true] {
            let bundle = Bundle::open(&golden(name), OpenOptions::new().with_mmap(mmap)).unwrap();
            assert_same(&bundle, &expected);
            assert!(bundle.archive().notes().is_empty());
        }
        let bytes = fs::read(golden(name)).unwrap();
        assert_same(&Bundle::from_memory(BundleParts::new(&bytes)).unwrap(), &expected);
    }
}

#[test]
fn the_model_is_found_among_what_training_left() {
    let expected = open(&golden("model.safetensors")).unwrap();
    for (name, notes) in [
        ("training.pth", &["training.pth: the model is \"model\"; \"ema\", \"torch_random\" left aside"][..]),
        ("nested.ckpt", &[]),
        ("traced.pt", &[]),
        ("scripted.pt", &[]),
    ] {
        println!("{name}");
        let bundle = open(&golden(name)).unwrap();
        assert_same(&bundle, &expected);
        let found = bundle.archive().notes();
        assert_eq!(found.len(), notes.len(), "{found:?}");
        assert!(found.iter().zip(notes).all(|(found, note)| found.ends_with(note)), "{found:?}");
    }
}

#[test]
fn what_is_not_read_is_named() {
    let cases = [
        (
            "whole-model.pt",
            "the global \"generators.torch_files.Model\" is not among those that tensors need",
        ),
        ("sparse.pt", "tensor \"sparse\": a sparse tensor, which is not read"),
        ("quantized.pt", "tensor \"q\": a quantized tensor, which is not read"),
        ("meta.pt", "tensor \"m\": a tensor without values (meta), which is not read"),
        (
            "negated.pt",
            "tensor \"neg\": a tensor whose sign or conjugation is applied later, which is not read",
        ),
        ("list.pt", "a checkpoint of a list, not of a model's tensors"),
    ];
    for (name, message) in cases {
        let error = open(&golden(name)).unwrap_err();
        expect(&error, Unsupported, message);
        expect(&error, Unsupported, name);
    }
}

#[test]
fn contents_decide_not_names() {
    let directory = files::Directory::new();
    let checkpoint = fs::read(golden("sample.pt")).unwrap();
    let safetensors = fs::read(golden("sample.safetensors")).unwrap();
    let expected = open(&golden("sample.safetensors")).unwrap();
    assert_same(&open(&directory.write("a.safetensors", &checkpoint)).unwrap(), &expected);
    assert_same(&open(&directory.write("b.pt", &safetensors)).unwrap(), &expected);
    assert_same(&open(&directory.write("c", &checkpoint)).unwrap(), &expected);
}

#[test]
fn directories_of_checkpoints() {
    let checkpoint = fs::read(golden("sample.pt")).unwrap();
    let other = fs::read(golden("traced.pt")).unwrap();
    let expected = open(&golden("sample.safetensors")).unwrap();
    // What is taken, and what beside it is not.
    let cases: [(&str, &[&str]); 6] = [
        ("pytorch_model.bin", &["optimizer.pt", "training_args.bin", "open_clip_pytorch_model.bin"]),
        ("open_clip_pytorch_model.bin", &["scheduler.pt"]),
        ("sam_vit_b.pth", &["notes.txt", "optimizer.bin"]),
        ("best.ckpt", &[]),
        ("weights.pt", &[]),
        ("model.safetensors", &["pytorch_model.bin", "weights.pt"]),
    ];
    for (taken, beside) in cases {
        let directory = files::Directory::new();
        directory.write(taken, &checkpoint);
        beside.iter().for_each(|name| drop(directory.write(name, &other)));
        assert_same(&open(directory.path()).unwrap(), &expected);
    }
    let directory = files::Directory::new();
    directory.write("a.pt", &checkpoint);
    directory.write("b.pth", &checkpoint);
    expect(&open(directory.path()).unwrap_err(), ErrorCode::InvalidArgument, "several .pt/.pth/.ckpt files");
    let directory = files::Directory::new();
    directory.write("optimizer.bin", &checkpoint);
    expect(
        &open(directory.path()).unwrap_err(),
        NotFound,
        "no weights: no .safetensors file, pytorch_model.bin",
    );
}

#[test]
fn shards_of_checkpoints() {
    use build::{FOUR, checkpoint, dict, pickle, storage, tensor, text};
    let shard = |name: &str, shape: &[i64], strides: &[i64]| {
        let tensor = tensor(storage("Float", "0", 4), 0, shape, strides);
        checkpoint(&pickle(&dict(&[(text(name), tensor)])), &[("0", &FOUR)])
    };
    let directory = files::Directory::new();
    directory.write("pytorch_model-00001-of-00002.bin", &shard("a", &[4], &[1]));
    directory.write("pytorch_model-00002-of-00002.bin", &shard("b", &[2, 2], &[1, 2]));
    let index = r#"{"metadata":{"total_size":32},"weight_map":{
        "a":"pytorch_model-00001-of-00002.bin","b":"pytorch_model-00002-of-00002.bin"}}"#;
    let path = directory.write("pytorch_model.bin.index.json", index.as_bytes());
    for path in [directory.path(), &path] {
        let bundle = open(path).unwrap();
        let scope = bundle.scope(Level::detect());
        assert_eq!(scope.f32("a", &[4]).unwrap(), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(scope.f32("b", &[2, 2]).unwrap(), [1.0, 3.0, 2.0, 4.0]);
    }
    for name in ["../pytorch_model.bin", "a.safetensors", "x.pt"] {
        directory.write(
            "pytorch_model.bin.index.json",
            format!(r#"{{"weight_map":{{"a":"{name}"}}}}"#).as_bytes(),
        );
        expect(&open(directory.path()).unwrap_err(), ErrorCode::Format, "not the plain name of a .bin file");
    }
}

#[test]
fn files_of_other_kinds_are_named() {
    let mut tar = vec![0; 1024];
    tar[..8].copy_from_slice(b"sys_info");
    tar[257..262].copy_from_slice(b"ustar");
    let npz = build::zip(&[build::member("a.npy", b"\x93NUMPY")], false);
    let model = build::zip(&[build::member("m/model.safetensors", b"")], false);
    let cases: [(&[u8], &str); 12] = [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            "a Git LFS pointer, not the weights: run `git lfs pull` or `hf download`",
        ),
        (b"<!DOCTYPE html>\n<html><body>Sign in", "an HTML page, not the weights"),
        (b"{\"error\": \"not found\"}", "JSON, not the weights"),
        (b"Entry not found", "text, not the weights: it begins \"Entry not found\""),
        (&tar, "a tar archive, not the weights"),
        (b"GGUF\x03\0\0\0\0\0\0\0", "a GGUF file, not the weights"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\0", "a gzip file, not the weights"),
        (b"\x89HDF\r\n\x1a\n\0\0\0\0", "an HDF5 file (Keras or TensorFlow), not the weights"),
        (
            b"\x80\x04\x95\x0f\0\0\0\0\0\0\0]\x94(K\x01K\x02K\x03e.",
            "a Python pickle, but not one that torch.save",
        ),
        (&npz, "a NumPy archive (.npz), not a PyTorch checkpoint"),
        (&model, "a zip archive of a model: unpack it first"),
        (b"\x08\x07\x12\x07pytorch\x1a\x051.0", "an ONNX model, not the weights"),
    ];
    let directory = files::Directory::new();
    for (bytes, message) in cases {
        let path = directory.write("model.pth", bytes);
        let error = open(&path).unwrap_err();
        expect(&error, Unsupported, &format!("model.pth: {message}"));
        expect(&Bundle::from_memory(BundleParts::new(bytes)).unwrap_err(), Unsupported, message);
    }
    expect(
        &open(&directory.write("empty.pt", b"")).unwrap_err(),
        ErrorCode::Format,
        "empty.pt: empty (0 bytes)",
    );
}
