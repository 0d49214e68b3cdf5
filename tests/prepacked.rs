//! Matrices that a file has in the layout of a kernel: used as they are, in place where it is promised, and refused where
//! they do not fit. `cli/tests/cli/quantize.rs` writes and loads whole models.
#![cfg(all(feature = "std", target_endian = "little"))]

#[path = "malformed/files.rs"]
mod files;

use std::fmt::Write;

use files::{Directory, safetensors};
use vitrum::ErrorCode;
use vitrum::exec::{Lines, SteadyFiles};
use vitrum::kernels::gemm::{PackedWeights, Packing, WeightKernel};
use vitrum::simd::{Level, Portable};
use vitrum::weights::{Bundle, BundleParts, OpenOptions, PACKED_VERSION, Recorded};

const SHAPE: [usize; 2] = [9, 5];
const CODE_OF_SIZE: ErrorCode = ErrorCode::Format;

fn values() -> Vec<f32> {
    (0..SHAPE[0] * SHAPE[1]).map(|i| i as f32 - 7.5).collect()
}

fn packing() -> Packing {
    Level::Portable(Portable).into()
}

fn floats(memory: &Lines) -> Vec<f32> {
    memory.to_vec()
}

/// A file with the tensor `m.w` and, beside it, what `m.w` is packed as; the values of the packed one are doubled, so that it
/// can be told which was read. `edit` changes the header before it is written.
fn file(edit: impl FnOnce(String) -> String) -> Vec<u8> {
    let doubled: Vec<f32> = values().iter().map(|x| 2.0 * x).collect();
    let weights = PackedWeights::pack(packing(), SHAPE[0], SHAPE[1], &doubled).unwrap();
    let recorded = Recorded { key: "m.w".into(), from: vec!["m.w".into()], weights };
    let packed: Vec<u8> =
        recorded.weights.memory().iter().flat_map(|part| part.iter().flat_map(|x| x.to_le_bytes())).collect();
    let (plain, len) = (values().len() * 4, packed.len());
    let mut header = String::new();
    write!(
        header,
        r#"{{"__metadata__":{{"vitrum.packed":"{PACKED_VERSION}","{name}":{description:?}}},
            "{name}":{{"dtype":"U8","shape":[{len}],"data_offsets":[0,{len}]}},
            "m.w":{{"dtype":"F32","shape":[9,5],"data_offsets":[{len},{end}]}}}}"#,
        name = recorded.name(),
        description = recorded.description(),
        end = len + plain,
    )
    .unwrap();
    let mut header = edit(header);
    // Data begin at a cache line.
    while !(8 + header.len()).is_multiple_of(64) {
        header.push(' ');
    }
    let mut data = packed;
    data.extend(values().iter().flat_map(|x| x.to_le_bytes()));
    safetensors(&header, &data)
}

/// Binds `m.w`, and says whether the packed matrix was taken.
fn bind(bundle: &Bundle<'_>, shape: [usize; 2]) -> vitrum::Result<(bool, bool)> {
    let scope = bundle.scope(packing()).at("m");
    let weights = scope.pack("w", shape, || scope.f32("w", &shape))?;
    let [panels, _] = weights.memory();
    let plain = PackedWeights::pack(packing(), SHAPE[0], SHAPE[1], &values()).unwrap();
    let taken = floats(panels) != floats(plain.memory()[0]);
    if taken {
        let doubled: Vec<f32> = floats(plain.memory()[0]).iter().map(|x| 2.0 * x).collect();
        assert_eq!(floats(panels), doubled);
    }
    assert_eq!(bundle.unused().count(), 0, "the tensor behind it counts as used");
    Ok((taken, panels.is_in_place()))
}

#[test]
fn what_fits_is_taken_and_in_place_only_if_promised() {
    let bytes = file(|header| header);
    let memory = Bundle::from_memory(BundleParts::new(&bytes)).unwrap();
    assert_eq!(memory.archive().names().collect::<Vec<_>>(), ["m.w"], "packed matrices are no tensors");
    assert_eq!(bind(&memory, SHAPE).unwrap(), (true, false));
    let directory = Directory::new();
    let path = directory.write("model.safetensors", &bytes);
    // SAFETY: nobody else writes to a directory of this test.
    let steady = unsafe { SteadyFiles::promise() };
    for (options, in_place) in [
        (OpenOptions::new(), false),
        (OpenOptions::new().with_mmap(true), false),
        (OpenOptions::new().with_weights_in_place(steady), true),
    ] {
        let bundle = Bundle::open(&path, options).unwrap();
        assert_eq!(bind(&bundle, SHAPE).unwrap(), (true, in_place));
        assert!(!bundle.archive().packed_again());
    }
    // The matrix outlives the bundle, and the file's name.
    let weights = {
        let bundle = Bundle::open(&path, OpenOptions::new().with_weights_in_place(steady)).unwrap();
        let scope = bundle.scope(packing()).at("m");
        scope.pack("w", SHAPE, || scope.f32("w", &SHAPE)).unwrap()
    };
    std::fs::remove_file(&path).unwrap();
    assert_eq!(weights.memory()[0][0], -15.0);
}

#[test]
fn other_kernels_and_versions_pack_again_and_say_so() {
    let name = WeightKernel::of(packing()).name;
    let bytes = file(|header| header.replace(name, "f32-other-1x1"));
    let bundle = Bundle::from_memory(BundleParts::new(&bytes)).unwrap();
    assert_eq!(bind(&bundle, SHAPE).unwrap(), (false, false));
    assert!(bundle.archive().packed_again());
    let bytes = file(|header| header.replacen(&format!(":\"{PACKED_VERSION}\""), ":\"0\"", 1));
    let bundle = Bundle::from_memory(BundleParts::new(&bytes)).unwrap();
    assert_eq!(bind(&bundle, SHAPE).unwrap(), (false, false));
    let notes = bundle.archive().notes();
    assert!(notes.len() == 1 && notes[0].contains("another version"), "{notes:?}");
}

#[test]
fn a_matrix_that_is_not_aligned_is_copied() {
    let mut bytes = file(|header| header);
    // One more space before the data: the header's length, then the space.
    let len = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    bytes[..8].copy_from_slice(&(len + 1).to_le_bytes());
    bytes.insert(8 + len as usize, b' ');
    let directory = Directory::new();
    let path = directory.write("model.safetensors", &bytes);
    // SAFETY: nobody else writes to a directory of this test.
    let options = OpenOptions::new().with_weights_in_place(unsafe { SteadyFiles::promise() });
    assert_eq!(bind(&Bundle::open(&path, options).unwrap(), SHAPE).unwrap(), (true, false));
}

#[test]
fn what_does_not_fit_is_refused() {
    let opening: [(&str, &str, ErrorCode, &str); 7] = [
        (r#""dtype":"U8","shape":["#, r#""dtype":"I8","shape":["#, ErrorCode::Format, "not bytes"),
        (r#"\"rows\":9"#, r#"\"rows\":-9"#, ErrorCode::Format, "need kernel, rows"),
        (r#"\"rows\":9"#, r#"\"row\":9"#, ErrorCode::Format, "need kernel, rows"),
        (r#"\"from\":[\"m.w\"]"#, r#"\"from\":[3]"#, ErrorCode::Format, "need kernel, rows"),
        (r#"\"from\":[\"m.w\"]"#, r#"\"from\":[\"m.v\"]"#, ErrorCode::MissingTensor, "m.v"),
        (r#"{\"cols\""#, r#"[\"cols\""#, ErrorCode::Format, "vitrum.packed:m.w"),
        (r#","vitrum.packed:m.w":"#, r#","elsewhere":"#, ErrorCode::Format, "do not tell"),
    ];
    for (from, to, code, message) in opening {
        let bytes = file(|header| {
            assert!(header.contains(from), "{header}");
            header.replacen(from, to, 1)
        });
        let error = Bundle::from_memory(BundleParts::new(&bytes)).map(drop).unwrap_err();
        assert_eq!(error.code(), code, "{to}: {error}");
        assert!(error.message().contains(message), "{to}: {error}");
    }
    let binding = [
        (r#"\"rows\":9"#, r#"\"rows\":8"#, SHAPE, ErrorCode::TensorShape),
        (r#"\"rows\":9"#, r#"\"rows\":33"#, [33, 5], CODE_OF_SIZE),
        (r#"\"rows\":9"#, r#"\"rows\":18446744073709551615"#, [usize::MAX, 5], CODE_OF_SIZE),
        (r#"\"cols\":5"#, r#"\"cols\":4611686018427387904"#, [9, 1 << 62], CODE_OF_SIZE),
        (r#"\"cols\":5"#, r#"\"cols\":0"#, [9, 0], CODE_OF_SIZE),
    ];
    for (from, to, shape, code) in binding {
        let bytes = file(|header| header.replacen(from, to, 1));
        let bundle = Bundle::from_memory(BundleParts::new(&bytes)).unwrap();
        let error = bind(&bundle, shape).unwrap_err();
        assert_eq!(error.code(), code, "{to}: {error}");
        assert!(error.message().contains("m.w"), "{error}");
    }
}
