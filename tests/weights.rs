//! Well-formed models: every layout of a directory, every source, every type, and how scopes bind.
#![cfg(feature = "std")]

#[path = "malformed/files.rs"]
mod files;

use files::{Directory, header, safetensors};
use vitrum::ErrorCode;
use vitrum::simd::Level;
use vitrum::weights::{Bundle, BundleParts, Dtype, OpenOptions};

/// `w`: [2, 2] F32, `h`: [3] F16, `b`: [2] BF16, `n`: [] F32, `i`: [1] I64, `e`: [0, 4] F32.
fn mixed() -> Vec<u8> {
    let json = r#"{"__metadata__":{"format":"pt"},
        "m.w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},
        "m.h":{"dtype":"F16","shape":[3],"data_offsets":[16,22]},
        "m.b":{"dtype":"BF16","shape":[2],"data_offsets":[22,26]},
        "n":{"dtype":"F32","shape":[],"data_offsets":[26,30]},
        "i":{"dtype":"I64","shape":[1],"data_offsets":[30,38]},
        "m.e":{"dtype":"F32","shape":[0,4],"data_offsets":[38,38]}}"#;
    let mut data = Vec::new();
    data.extend([1.0f32, -2.0, 3.5, f32::NAN].iter().flat_map(|x| x.to_le_bytes()));
    data.extend([0x3c00u16, 0xc000, 0x7c00].iter().flat_map(|x| x.to_le_bytes()));
    data.extend([0x3f80u16, 0xc040].iter().flat_map(|x| x.to_le_bytes()));
    data.extend(4.6052f32.to_le_bytes());
    data.extend(7i64.to_le_bytes());
    safetensors(json, &data)
}

fn check_mixed(bundle: &Bundle<'_>) {
    for level in Level::available() {
        let root = bundle.scope(level);
        let m = root.at("m");
        let w = m.f32("w", &[2, 2]).unwrap();
        assert_eq!(w[..3], [1.0, -2.0, 3.5]);
        assert!(w[3].is_nan());
        assert_eq!(m.f32("h", &[3]).unwrap(), [1.0, -2.0, f32::INFINITY]);
        assert_eq!(m.f32("b", &[2]).unwrap(), [1.0, -3.0]);
        assert!(m.f32("e", &[0, 4]).unwrap().is_empty());
        assert_eq!(root.scalar("n").unwrap(), 4.6052);
        assert_eq!(root.at("n").scalar("").unwrap(), 4.6052);
    }
    assert_eq!(bundle.unused().map(|tensor| tensor.name).collect::<Vec<_>>(), ["i"]);
}

#[test]
fn memory_file_and_map_give_the_same_values() {
    let bytes = mixed();
    check_mixed(&Bundle::from_memory(BundleParts::new(&bytes)).unwrap());
    let directory = Directory::new();
    let path = directory.write("any.safetensors", &bytes);
    for mmap in [false, true] {
        check_mixed(&Bundle::open(&path, OpenOptions::new().with_mmap(mmap)).unwrap());
        check_mixed(&Bundle::open(directory.path(), OpenOptions::new().with_mmap(mmap)).unwrap());
    }
}

#[test]
fn archive_describes_tensors() {
    let bytes = mixed();
    let bundle = Bundle::from_memory(BundleParts::new(&bytes)).unwrap();
    let archive = bundle.archive();
    assert_eq!(archive.names().collect::<Vec<_>>(), ["i", "m.b", "m.e", "m.h", "m.w", "n"]);
    let h = archive.get("m.h").unwrap();
    assert_eq!((h.name, h.dtype, h.shape, h.bytes), ("m.h", Dtype::F16, &[3][..], 6));
    assert_eq!(archive.get("m"), None);
    assert_eq!(archive.total_bytes(), 38);
    assert_eq!(archive.metadata()["format"], "pt");
}

#[test]
fn scopes_nest_and_name_what_is_wrong() {
    let bytes = mixed();
    let bundle = Bundle::from_memory(BundleParts::new(&bytes)).unwrap();
    let root = bundle.scope(Level::detect());
    let m = root.at("").at("m").at("");
    assert!(m.contains("w") && !m.contains("n") && root.contains("m.w") && !root.contains("m"));
    assert_eq!(m.names().collect::<Vec<_>>(), ["b", "e", "h", "w"]);
    assert_eq!(m.shape("w").unwrap(), [2, 2]);
    assert_eq!(m.dtype("b").unwrap(), Dtype::BF16);
    let mut both = [0.0; 5];
    m.f32_into("h", &[3], &mut both[..3]).unwrap();
    m.f32_into("b", &[2], &mut both[3..]).unwrap();
    assert_eq!(both, [1.0, -2.0, f32::INFINITY, 1.0, -3.0]);

    let cases = [
        (root.at("layers").at(3).f32("w", &[2]), ErrorCode::MissingTensor, r#"missing tensor "layers.3.w""#),
        (m.f32("w", &[4]), ErrorCode::TensorShape, r#"tensor "m.w": expected [4], found [2, 2]"#),
        (
            root.f32("i", &[1]),
            ErrorCode::TensorDtype,
            r#"tensor "i": expected F32, F16, BF16 or F64, found I64"#,
        ),
        (m.scalar("h").map(|x| vec![x]), ErrorCode::TensorShape, r#"tensor "m.h": expected [], found [3]"#),
    ];
    for (result, code, message) in cases {
        let error = result.unwrap_err();
        assert_eq!((error.code(), error.message()), (code, message));
    }
}

#[test]
fn values_longer_than_the_staging_buffer() {
    let len = 200_003usize;
    let halves: Vec<u8> = (0..len).flat_map(|i| (0x3c00u16 + (i % 1024) as u16).to_le_bytes()).collect();
    let json = format!(r#"{{"h":{{"dtype":"F16","shape":[{len}],"data_offsets":[0,{}]}}}}"#, 2 * len);
    let bytes = safetensors(&json, &halves);
    let directory = Directory::new();
    let path = directory.write("model.safetensors", &bytes);
    for bundle in [
        Bundle::from_memory(BundleParts::new(&bytes)).unwrap(),
        Bundle::open(&path, OpenOptions::new()).unwrap(),
        Bundle::open(&path, OpenOptions::new().with_mmap(true)).unwrap(),
    ] {
        let values = bundle.scope(Level::detect()).f32("h", &[len]).unwrap();
        for (i, value) in values.iter().enumerate() {
            assert_eq!(*value, 1.0 + (i % 1024) as f32 / 1024.0, "{i}");
        }
    }
}

#[test]
fn directories_follow_their_order_of_names() {
    let file = |name: &str| safetensors(&header(&[(name, 0..16)]), &[0; 16]);
    let found = |directory: &Directory| {
        let bundle = Bundle::open(directory.path(), OpenOptions::new()).unwrap();
        bundle.archive().names().map(String::from).collect::<Vec<_>>()
    };
    let directory = Directory::new();
    directory.write("other.safetensors", &file("other"));
    assert_eq!(found(&directory), ["other"]);
    directory.write("open_clip_model.safetensors", &file("open_clip"));
    assert_eq!(found(&directory), ["open_clip"]);
    directory.write("s1.safetensors", &file("one"));
    directory.write("s2.safetensors", &file("two"));
    let index =
        r#"{"metadata":{"total_size":32},"weight_map":{"one":"s1.safetensors","two":"s2.safetensors"}}"#;
    let index = directory.write("model.safetensors.index.json", index.as_bytes());
    assert_eq!(found(&directory), ["one", "two"]);
    assert_eq!(Bundle::open(&index, OpenOptions::new()).unwrap().archive().total_bytes(), 32);
    directory.write("model.safetensors", &file("model"));
    assert_eq!(found(&directory), ["model"]);
    // timm's weights, beside which OpenCLIP's are those of the whole model.
    directory.write("config.json", br#"{"architecture": "resnet50_clip", "num_classes": 1024}"#);
    assert_eq!(found(&directory), ["open_clip"]);
    directory.write("config.json", br#"{"architecture": "x", "model_type": "clip"}"#);
    assert_eq!(found(&directory), ["model"]);
    directory.write("config.json", b"{");
    assert_eq!(found(&directory), ["model"]);
}

#[test]
fn shards_in_memory() {
    let [one, two] = ["one", "two"].map(|name| safetensors(&header(&[(name, 0..16)]), &[0; 16]));
    let bundle = Bundle::from_memory(BundleParts::new(&one).with_shard(&two)).unwrap();
    assert_eq!(bundle.archive().names().collect::<Vec<_>>(), ["one", "two"]);
    let error = Bundle::from_memory(BundleParts::new(&one).with_shard(&one)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Format);
    assert_eq!(error.message(), r#"tensor "one": in both weights[0] and weights[1]"#);
}

#[test]
fn side_files() {
    let weights = mixed();
    let directory = Directory::new();
    let path = directory.write("x.safetensors", &weights);
    directory.write("config.json", b"{}");
    directory.write("private.json", b"{}");
    let memory = Bundle::from_memory(BundleParts::new(&weights).with_file("config.json", b"{}")).unwrap();
    let opened = Bundle::open(&path, OpenOptions::new()).unwrap();
    for bundle in [memory, opened] {
        assert_eq!(bundle.file("config.json").unwrap().as_deref(), Some(&b"{}"[..]));
        assert_eq!(bundle.file("vocab.json").unwrap(), None);
        assert_eq!(bundle.file("private.json").unwrap(), None);
        assert_eq!(bundle.file("../config.json").unwrap(), None);
    }
}
