//! Malformed weights and configurations, by the numbers of the project's list of malformed inputs: each must
//! end in its own error code and a message that names the thing, from memory, file and map alike.
#![cfg(feature = "std")]

#[path = "malformed/files.rs"]
mod files;
#[path = "malformed/fuzz.rs"]
mod fuzz;
#[cfg(unix)]
#[path = "malformed/paths.rs"]
mod paths;

use std::collections::BTreeSet;
use std::fs::File;

use ErrorCode::{Config as BadConfig, Format, Limit, TensorDtype, TensorShape, Unsupported};
use files::{Directory, raw, safetensors};
use vitrum::simd::Level;
use vitrum::weights::{Bundle, BundleParts, Config, MAX_HEADER, OpenOptions};
use vitrum::{ErrorCode, Result};

/// A header of one tensor `w`, with these members.
fn w(dtype: &str, shape: &str, offsets: &str) -> String {
    format!(r#"{{"w":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
}

/// What a case expects: `(number, file, code, part of the message)`.
type Case = (u32, Vec<u8>, ErrorCode, &'static str);

/// A file of `json` and the 16 bytes of data that fit the base case.
fn file(json: &str) -> Vec<u8> {
    safetensors(json, &[0; 16])
}

fn base() -> String {
    w("F32", "[2,2]", "[0,16]")
}

/// Cases 1 to 9: the length, and bytes that are not JSON.
fn framing() -> Vec<Case> {
    let json = base();
    let n = json.len() as u64;
    let claims = |n: u64| raw(n, json.as_bytes(), &[0; 16]);
    vec![
        (1, vec![], Format, "empty (0 bytes)"),
        (2, vec![0; 7], Format, "7 bytes are too few"),
        (3, claims(0), Format, "header is not a JSON object"),
        (3, raw(0, b"", b""), Format, "header is not a JSON object"),
        (4, claims(u64::MAX), Limit, "18446744073709551615 bytes"),
        (5, claims(MAX_HEADER as u64 + 1), Limit, "16777217 bytes, at most 16777216"),
        (6, claims(n + 17), Format, "claims a header of 74 bytes, but 73 follow"),
        (7, raw(8, &[0xff; 8], b""), Format, "header is not a JSON object"),
        (7, raw(9, b"{\"\xff\xff\":{}}", b""), Format, "header: not JSON"),
        (8, raw(1, b"{", b""), Format, "header: not JSON: EOF"),
        (9, file(&format!("{json}x")), Format, "trailing characters"),
        (9, file(&format!("{json}{{}}")), Format, "trailing characters"),
        (9, file(&format!("{json}\0")), Format, "trailing characters"),
    ]
}

/// Cases 10 to 14: JSON of another structure, and repeated keys.
fn structure() -> Vec<Case> {
    let w = base();
    let inner = &w[1..w.len() - 1];
    let with = |member: &str| file(&format!("{{{member},{inner}}}"));
    vec![
        (10, file("[]"), Format, "header is not a JSON object"),
        (10, file("null"), Format, "header is not a JSON object"),
        (10, file(r#"{"w":null}"#), Format, r#"tensor "w": not an object"#),
        (10, file(r#"{"w":{}}"#), Format, r#"tensor "w": no dtype"#),
        (
            10,
            with(r#""v":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":1}"#),
            Format,
            r#""v": unknown member "x""#,
        ),
        (11, file(&"[".repeat(100_000)), Format, "header is not a JSON object"),
        (
            11,
            file(&format!(r#"{{"w":{}"#, "[".repeat(100_000))),
            Limit,
            r#"header: "w": JSON nested more than 3 deep"#,
        ),
        (12, with(&inner.replace("F32", "I32")), Format, r#""w": the key appears twice"#),
        (
            13,
            file(&w.replace(r#""shape":[2,2]"#, r#""shape":[2,2],"shape":[4]"#)),
            Format,
            r#""w.shape": the key appears twice"#,
        ),
        (
            14,
            with(r#""__metadata__":{"a":"b"},"__metadata__":{}"#),
            Format,
            r#""__metadata__": the key appears twice"#,
        ),
        (
            14,
            with(r#""__metadata__":{"a":"b","a":"c"}"#),
            Format,
            r#""__metadata__.a": the key appears twice"#,
        ),
        (14, with(r#""__metadata__":{"a":1}"#), Format, r#""__metadata__": "a" is not a string"#),
        (14, with(r#""__metadata__":"pt""#), Format, r#""__metadata__" is not an object"#),
    ]
}

/// Cases 15 to 21: offsets.
fn offsets() -> Vec<Case> {
    let json = base();
    let ten: Vec<_> =
        (0..10).map(|i| json[1..json.len() - 1].replace("\"w\"", &format!("\"w{i}\""))).collect();
    let hole = r#"{"a":{"dtype":"U8","shape":[16],"data_offsets":[0,16]},"b":{"dtype":"U8","shape":[16],"data_offsets":[20,36]}}"#;
    let mut cases = vec![
        (15, file(&format!("{{{}}}", ten.join(","))), Format, "overlap the tensor before"),
        (16, safetensors(hole, &[0; 36]), Format, r#"tensor "b": data_offsets [20, 36] leave a hole"#),
        (
            16,
            safetensors(&w("U8", "[4]", "[4,8]"), &[0; 8]),
            Format,
            r#"tensor "w": data_offsets [4, 8] leave a hole"#,
        ),
        (17, safetensors(&json, &[0; 17]), Format, "take 16 bytes, but the file has 17"),
        (17, safetensors("{}", &[0]), Format, "take 0 bytes, but the file has 1"),
        (18, safetensors(&json, &[0; 14]), Format, "take 16 bytes, but the file has 14"),
        (19, file(&w("F32", "[2,2]", "[16,0]")), Format, r#"tensor "w": data_offsets [16, 0] end before"#),
        (21, file(&w("F32", "[2,2]", "[16]")), Format, r#"tensor "w": 1 data_offsets, not two"#),
        (21, file(&w("F32", "[2,2]", "[0,16,16]")), Format, r#"tensor "w": 3 data_offsets, not two"#),
        (21, file(&w("F32", "[2,2]", "{}")), Format, r#"tensor "w": data_offsets is not an array"#),
    ];
    let not_u64 = [
        ("-1", "-1 is not"),
        ("-0", "-0.0 is not"),
        ("0.0", "0.0 is not"),
        ("1e1", "10.0 is not"),
        (r#""0""#, r#""0" is not"#),
        ("18446744073709551616", "1.8446744073709552e"),
        ("null", "null is not"),
        ("true", "true is not"),
    ];
    for (number, message) in not_u64 {
        cases.push((20, file(&w("F32", "[2,2]", &format!("[{number},16]"))), Format, message));
        cases.push((20, file(&w("F32", "[2,2]", &format!("[0,{number}]"))), Format, message));
        cases.push((20, file(&w("F32", &format!("[2,{number}]"), "[0,16]")), Format, message));
    }
    cases
}

/// Cases 22 to 29: shapes and types.
fn shapes() -> Vec<Case> {
    let huge = (1u64 << 61) - 1;
    let eight: Vec<_> = (0..8)
        .map(|i| {
            format!(
                r#""w{i}":{{"dtype":"U8","shape":[{huge}],"data_offsets":[{},{}]}}"#,
                i * huge,
                (i + 1) * huge
            )
        })
        .collect();
    let million = format!("[{}1]", "1,".repeat(999_999));
    let mut cases = vec![
        (22, file(&w("F32", "[2,18446744073709551614]", "[0,16]")), Limit, r#"tensor "w": the product"#),
        (
            23,
            file(&w("F32", "[4194305,4194305,211106198978564]", "[0,16]")),
            Limit,
            r#"tensor "w": the product"#,
        ),
        (
            24,
            file(&w("I32", "[2,9223372036854775807]", "[0,16]")),
            Format,
            r#"tensor "w": I32 [2, 9223372036854775807]"#,
        ),
        (26, file(&format!("{{{}}}", eight.join(","))), Format, "take 18446744073709551608 bytes"),
        (27, safetensors(&w("F4", "[3]", "[0,1]"), &[0]), Format, "F4 [3] needs 12 bits"),
        (27, safetensors(&w("F4", "[3]", "[0,2]"), &[0; 2]), Format, "F4 [3] needs 12 bits"),
        (28, file(&w("F128", "[1]", "[0,16]")), TensorDtype, r#"tensor "w": unknown dtype "F128""#),
        (28, file(&w("f32", "[2,2]", "[0,16]")), TensorDtype, r#"tensor "w": unknown dtype "f32""#),
        (28, file(&base().replace(r#""F32""#, r#"{"F32":null}"#)), Format, "dtype is not a string"),
        (29, safetensors(&w("F32", &million, "[0,4]"), &[0; 4]), Limit, r#"tensor "w": 1000000 dimensions"#),
        (
            33,
            file(&w("F32", "[2,3]", "[0,16]")),
            Format,
            "F32 [2, 3] needs 192 bits, but its data_offsets hold 16",
        ),
    ];
    for shape in [
        "[0,9223372036854775808,9223372036854775808]",
        "[9223372036854775808,0,9223372036854775808]",
        "[9223372036854775808,9223372036854775808,0]",
    ] {
        cases.push((
            25,
            safetensors(&w("F32", shape, "[0,0]"), b""),
            Limit,
            r#"tensor "w": the product of shape"#,
        ));
    }
    cases
}

/// Cases 30 and 31: too many names, and names nobody can mean.
fn names() -> Vec<Case> {
    let many: Vec<_> =
        (0..100_000).map(|i| format!(r#""{i}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#)).collect();
    let named = |name: &str| file(&base().replace("\"w\"", &format!("\"{name}\"")));
    vec![
        (30, safetensors(&format!("{{{}}}", many.join(",")), b""), Limit, "more than 65536 tensors"),
        (31, named("\\ud800"), Format, "header: not JSON"),
        (31, named("a\\u0000b"), Format, r#"tensor "a\0b": the name"#),
        (31, named("a\0b"), Format, "header: not JSON: control character"),
        (31, named(&"x".repeat(1 << 20)), Limit, "xxx…\": a name of 1048576 bytes"),
        (31, named(""), Format, r#"tensor "": the name is empty"#),
    ]
}

/// Opens `bytes` from memory, from a file with reads and from a map, and hands each outcome to `check`.
fn through_every_source(bytes: &[u8], check: impl Fn(&str, Result<Bundle<'_>>)) {
    check("memory", Bundle::from_memory(BundleParts::new(bytes)));
    let directory = Directory::new();
    let path = directory.write("model.safetensors", bytes);
    check("file", Bundle::open(&path, OpenOptions::new()));
    check("map", Bundle::open(&path, OpenOptions::new().with_mmap(true)));
    check("directory", Bundle::open(directory.path(), OpenOptions::new()));
}

#[test]
fn the_base_file_is_accepted() {
    through_every_source(&file(&base()), |source, bundle| {
        let values = bundle.unwrap().scope(Level::detect()).f32("w", &[2, 2]).unwrap();
        assert_eq!(values, [0.0; 4], "{source}");
    });
    // The format pads its header with spaces; an archive of nothing is a valid archive.
    for bytes in [file(&format!("{}   ", base())), safetensors("{}", b"")] {
        through_every_source(&bytes, |source, bundle| assert!(bundle.is_ok(), "{source}: {bundle:?}"));
    }
}

#[test]
fn safetensors_faults() {
    let cases = [framing(), structure(), offsets(), shapes(), names()].concat();
    let numbers: BTreeSet<u32> = cases.iter().map(|(number, ..)| *number).collect();
    assert!((1..=31).all(|number| numbers.contains(&number)), "{numbers:?}");
    for (number, bytes, code, message) in cases {
        through_every_source(&bytes, |source, bundle| {
            let error = bundle.err().unwrap_or_else(|| panic!("case {number} from {source} was accepted"));
            assert_eq!(error.code(), code, "case {number} from {source}: {error}");
            assert!(error.message().contains(message), "case {number} from {source}: {error}");
            assert!(
                error.message().len() < 1000,
                "case {number}: a message of {} bytes",
                error.message().len()
            );
        });
    }
}

#[test]
fn case_5_a_sparse_file_is_not_read() {
    let directory = Directory::new();
    let n = MAX_HEADER as u64 + 1;
    let path = directory.write("model.safetensors", &n.to_le_bytes());
    File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    for mmap in [false, true] {
        let error = Bundle::open(&path, OpenOptions::new().with_mmap(mmap)).unwrap_err();
        assert_eq!(error.code(), Limit);
        assert!(error.message().contains("claims a header of 16777217 bytes"), "{error}");
    }
}

#[test]
fn cases_32_and_33_absent_and_unfit_tensors() {
    let bytes = safetensors(
        r#"{"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"i":{"dtype":"I32","shape":[2],"data_offsets":[16,24]}}"#,
        &[0; 24],
    );
    through_every_source(&bytes, |source, bundle| {
        let bundle = bundle.unwrap();
        let root = bundle.scope(Level::detect());
        let faults = [
            (root.f32("v", &[2, 2]), ErrorCode::MissingTensor, r#"missing tensor "v""#),
            (root.f32("w", &[4]), TensorShape, r#"tensor "w": expected [4], found [2, 2]"#),
            (root.f32("w", &[2, 2, 1]), TensorShape, r#"tensor "w": expected [2, 2, 1], found [2, 2]"#),
            (root.f32("i", &[2]), TensorDtype, r#"tensor "i": expected F32, F16, BF16 or F64, found I32"#),
        ];
        for (result, code, message) in faults {
            let error = result.unwrap_err();
            assert_eq!((error.code(), error.message()), (code, message), "{source}");
        }
        // Nothing counts as used, and the bundle still works.
        assert_eq!(bundle.unused().count(), 2);
        assert_eq!(root.f32("w", &[2, 2]).unwrap(), [0.0; 4]);
    });
}

#[test]
fn case_35_misaligned_data() {
    let data: Vec<u8> = [1.5f32, -2.5].iter().flat_map(|x| x.to_le_bytes()).chain([0x00, 0x3c]).collect();
    let json = r#"{"h":{"dtype":"F16","shape":[1],"data_offsets":[8,10]},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let check = |bundle: Result<Bundle<'_>>| {
        let bundle = bundle.unwrap();
        for level in Level::available() {
            assert_eq!(bundle.scope(level).f32("w", &[2]).unwrap(), [1.5, -2.5]);
            assert_eq!(bundle.scope(level).f32("h", &[1]).unwrap(), [1.0]);
        }
    };
    for padding in 0..8 {
        let bytes = safetensors(&format!("{json}{}", " ".repeat(padding)), &data);
        through_every_source(&bytes, |_, bundle| check(bundle));
        let shifted: Vec<u8> = [&vec![0; padding][..], &bytes].concat();
        check(Bundle::from_memory(BundleParts::new(&shifted[padding..])));
    }
}

#[test]
fn case_36_the_last_tensor_ends_with_the_page() {
    for (dtype, one) in [("F16", 0x3c00u16), ("BF16", 0x3f80)] {
        for count in [1, 7, 8, 15, 17, 33] {
            let json = w(dtype, &format!("[{count}]"), &format!("[0,{}]", 2 * count));
            let padding = 65536 - 8 - json.len() - 2 * count;
            let bytes =
                safetensors(&format!("{json}{}", " ".repeat(padding)), &one.to_le_bytes().repeat(count));
            assert_eq!(bytes.len(), 65536);
            through_every_source(&bytes, |source, bundle| {
                let bundle = bundle.unwrap();
                for level in Level::available() {
                    let values = bundle.scope(level).f32("w", &[count]).unwrap();
                    assert_eq!(values, vec![1.0; count], "{source} {dtype} {level:?}");
                }
            });
        }
    }
}

#[test]
fn case_37_empty_tensors_share_offsets() {
    let json = r#"{"z":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},
        "w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
        "a":{"dtype":"F16","shape":[3,0,2],"data_offsets":[8,8]},
        "b":{"dtype":"F32","shape":[0],"data_offsets":[8,8]},
        "v":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},
        "c":{"dtype":"F32","shape":[0],"data_offsets":[12,12]}}"#;
    through_every_source(&safetensors(json, &[0; 12]), |source, bundle| {
        let bundle = bundle.unwrap();
        let root = bundle.scope(Level::detect());
        assert!(root.f32("a", &[3, 0, 2]).unwrap().is_empty(), "{source}");
        for name in ["z", "b", "c"] {
            assert!(root.f32(name, &[0]).unwrap().is_empty(), "{source}");
        }
        assert_eq!(root.f32("w", &[2]).unwrap(), [0.0; 2], "{source}");
    });
}

#[test]
fn case_38_nan_weights_load_bit_for_bit() {
    let nan = 0x7fc0_1234u32;
    let bytes = safetensors(&w("F32", "[2,2]", "[0,16]"), &nan.to_le_bytes().repeat(4));
    through_every_source(&bytes, |source, bundle| {
        let values = bundle.unwrap().scope(Level::detect()).f32("w", &[2, 2]).unwrap();
        assert!(values.iter().all(|x| x.to_bits() == nan), "{source}");
    });
}

#[test]
fn a_pytorch_archive_is_recognised() {
    let (code, message) = match cfg!(feature = "torch") {
        true => (Format, "zip: no end record"),
        false => (Unsupported, "a PyTorch checkpoint, as it seems; this build has no `torch` feature"),
    };
    through_every_source(b"PK\x03\x04 and the rest of a zip archive", |source, bundle| {
        let error = bundle.unwrap_err();
        assert_eq!(error.code(), code, "{source}");
        assert!(error.message().contains(message), "{source}: {error}");
    });
}

#[test]
fn memory_parts_are_checked() {
    let weights = file(&base());
    let large = vec![b' '; vitrum::weights::MAX_SIDE_FILE + 1];
    let parts = BundleParts::new(&weights);
    let cases = [
        (BundleParts::default(), ErrorCode::InvalidArgument, "no weights"),
        (
            parts.clone().with_file("x.json", b""),
            ErrorCode::InvalidArgument,
            r#""x.json" is not a file of a model"#,
        ),
        (
            parts.clone().with_file("config.json", b"").with_file("config.json", b""),
            ErrorCode::InvalidArgument,
            "config.json is given twice",
        ),
        (parts.clone().with_file("config.json", &large), Limit, "config.json: 67108865 bytes"),
        (parts.clone().with_shard(b""), Format, "weights[1]: empty (0 bytes)"),
    ];
    for (parts, code, message) in cases {
        let error = Bundle::from_memory(parts).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.message().contains(message), "{error}");
    }
}

/// The getters behind cases 47 to 53; the models' own checks are tested with the models.
#[test]
fn configuration_values() {
    let parse = |text: &str| Config::parse("config.json", text.as_bytes());
    let heads = |text: &str| parse(text).and_then(|config| config.usize("vision_config.heads", 1..=256));
    let cases = [
        (r#"{"vision_config":{"heads":0}}"#, "expected an integer from 1 to 256, found 0"),
        (r#"{"vision_config":{"heads":257}}"#, "expected an integer from 1 to 256, found 257"),
        (r#"{"vision_config":{"heads":2147483648}}"#, "found 2147483648"),
        (r#"{"vision_config":{"heads":18446744073709551616}}"#, "found 1.8446744073709552e"),
        (r#"{"vision_config":{"heads":-12}}"#, "found -12"),
        (r#"{"vision_config":{"heads":12.0}}"#, "found 12.0"),
        (r#"{"vision_config":{"heads":"12"}}"#, r#"found "12""#),
        (r#"{"vision_config":{"heads":[12]}}"#, "found [12]"),
        (r#"{"vision_config":{"heads":true}}"#, "found true"),
        (r#"{"vision_config":{"heads":1e400}}"#, "number out of range"),
        (r#"{"vision_config":{"heads":NaN}}"#, "not JSON"),
    ];
    for (text, message) in cases {
        let error = heads(text).unwrap_err();
        assert_eq!(error.code(), BadConfig, "{text}: {error}");
        let place = r#"config.json: "vision_config.heads": "#;
        assert!(error.message().starts_with(place) && error.message().contains(message), "{text}: {error}");
    }
    for text in
        ["{}", r#"{"vision_config":{}}"#, r#"{"vision_config":7}"#, r#"{"vision_config":{"heads":null}}"#]
    {
        let error = heads(text).unwrap_err();
        assert_eq!(
            (error.code(), error.message()),
            (BadConfig, r#"config.json: missing "vision_config.heads""#)
        );
        assert_eq!(parse(text).unwrap().usize_or("vision_config.heads", 12, 1..=256).unwrap(), 12);
    }
    assert_eq!(heads(r#"{"vision_config":{"heads":12}}"#).unwrap(), 12);

    let text = r#"{"eps":1e-5,"big":1e39,"std":[0.5,0,0.5],"pair":[1,2],"flag":1,"act":"gelu","n":3}"#;
    let config = parse(text).unwrap();
    assert_eq!(config.f32("eps", 0.0..=1.0).unwrap(), 1e-5);
    assert_eq!(config.f32("n", 0.0..=10.0).unwrap(), 3.0);
    assert_eq!(config.f32s_or("pair", [0.0; 2], 0.0..=2.0).unwrap(), [1.0, 2.0]);
    assert_eq!(config.f32s_or("none", [7.0; 2], 0.0..=2.0).unwrap(), [7.0; 2]);
    assert_eq!(config.str("act").unwrap(), "gelu");
    assert!(config.bool_or("none", true).unwrap() && config.has("eps") && !config.has("none"));
    let faults = [
        config.f32("big", f32::MIN..=f32::MAX).err(),
        config.f32("act", 0.0..=1.0).err(),
        config.f32("none", 0.0..=1.0).err(),
        config.f32s_or("std", [1.0; 3], f32::MIN_POSITIVE..=1e3).err(),
        config.f32s_or("pair", [1.0; 3], 0.0..=9.0).err(),
        config.bool_or("flag", true).err(),
        config.str("eps").err(),
        config.str_or("eps", "x").err(),
        parse("[]").err(),
        parse("").err(),
        parse(r#"{"a":1,"a":1}"#).err(),
    ];
    for error in faults {
        assert_eq!(error.unwrap().code(), BadConfig);
    }
    assert_eq!(parse(&" ".repeat((1 << 20) + 1)).unwrap_err().code(), Limit);
    assert_eq!(parse(&format!("{}{}", r#"{"a":"#.repeat(20), "}".repeat(20))).unwrap_err().code(), Limit);
}
