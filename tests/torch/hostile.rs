//! Files made to harm: each ends in an error that names the fault, or does no harm.

use std::fs::File;

use vitrum::ErrorCode::{self, Format, Limit, Unsupported};
use vitrum::simd::Level;
use vitrum::weights::{Bundle, BundleParts, OpenOptions};

use crate::build::{
    FOUR, Member, call, checkpoint, dict, global, int, ints, member, members, one, pickle, storage, tensor,
    text, tuple, zip,
};
use crate::files::Directory;

/// What opening `bytes` from memory and from a file must end in.
#[track_caller]
fn refused(bytes: &[u8], code: ErrorCode, message: &str) {
    let directory = Directory::new();
    let path = directory.write("model.pt", bytes);
    for result in [Bundle::from_memory(BundleParts::new(bytes)), Bundle::open(&path, OpenOptions::new())] {
        let error = result.err().unwrap_or_else(|| panic!("accepted, not {message:?}"));
        assert_eq!(error.code(), code, "{error}");
        assert!(error.message().contains(message), "{message:?} is not in {error}");
        assert!(error.message().len() < 1000);
    }
}

/// A checkpoint of the value of `body`, with four floats in storage "0".
fn of(body: &[u8]) -> Vec<u8> {
    checkpoint(&pickle(body), &[("0", &FOUR)])
}

fn w() -> Vec<u8> {
    tensor(storage("Float", "0", 4), 0, &[4], &[1])
}

#[test]
fn globals_outside_the_list() {
    let command = tuple(&[text("touch owned")]);
    let cases = [
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("builtins", "getattr"),
        ("builtins", "__import__"),
        ("__builtin__", "apply"),
        ("subprocess", "Popen"),
        ("runpy", "_run_code"),
        ("numpy.testing._private.utils", "runstring"),
        ("torch.hub", "load"),
        ("torch", "load"),
        ("torch.utils.data", "DataLoader"),
        ("torch._utils", "_import_dotted_name"),
        ("__main__", "Model"),
        ("collections", "OrderedDict.__init__"),
        ("segment_anything.modeling.sam", "Sam"),
    ];
    for (module, name) in cases {
        let message = format!("the global \"{module}.{name}\" is not among those that tensors need: refused");
        let called = [global(module, name), command.clone(), b"R".to_vec()].concat();
        refused(&of(&called), Unsupported, &message);
        // Hidden among tensors, by STACK_GLOBAL, as the function of another, and never called.
        refused(&of(&dict(&[(text("w"), w()), (text("x"), called)])), Unsupported, &message);
        refused(&of(&[text(module), text(name), b"\x93".to_vec()].concat()), Unsupported, &message);
        let through = [global(module, name), global("torch", "Tensor"), command.clone(), b"}".to_vec()];
        refused(&of(&call("torch._tensor", "_rebuild_from_type_v2", &through)), Unsupported, &message);
        refused(&of(&dict(&[(text("w"), w()), (text("x"), global(module, name))])), Unsupported, &message);
    }
    // Names that break lines or are no text.
    refused(&of(b"cos\n\xff\n)R"), Format, "a global's name is not UTF-8");
    refused(&of(&global(&"x".repeat(600), "y")), Limit, "a global's name of more than 512 bytes");
    refused(&of(b"K\x01K\x02\x93"), Format, "a global whose name is no text");
    refused(&of(&global("a\u{1b}[2J", "b")), Unsupported, r#""a\u{1b}[2J.b""#);
}

#[test]
fn calls_of_what_is_no_function() {
    let namespace = call("argparse", "Namespace", &[]);
    let cases: [(Vec<u8>, &str); 10] = [
        ([text("os.system"), tuple(&[]), b"R".to_vec()].concat(), "a call of a text"),
        ([namespace, tuple(&[]), b"R".to_vec()].concat(), "a call of an object that holds no tensors"),
        ([w(), tuple(&[]), b"R".to_vec()].concat(), "a call of a tensor"),
        (call("torch", "FloatStorage", &[int(4)]), "a call of what is no function"),
        (call("torch", "float32", &[]), "a call of what is no function"),
        (
            [global("argparse", "Namespace"), text("x"), b"R".to_vec()].concat(),
            "a call with a text for arguments",
        ),
        (call("torch._utils", "_rebuild_tensor_v2", &[]), "a tensor of 0 arguments"),
        (call("torch._utils", "_rebuild_parameter", &[text("x")]), "a parameter without a tensor"),
        (
            [global("collections", "OrderedDict"), b"}b".to_vec()].concat(),
            "attributes for a class or function",
        ),
        ([text("x"), text("y"), b"a".to_vec()].concat(), "an item for a text"),
    ];
    for (body, message) in cases {
        refused(&of(&body), Format, message);
    }
    let itself = global("torch._tensor", "_rebuild_from_type_v2");
    let nested =
        call("torch._tensor", "_rebuild_from_type_v2", &[itself, b"N".to_vec(), tuple(&[]), b"N".to_vec()]);
    refused(&of(&nested), Format, "a rebuilt tensor of a rebuilt tensor");
}

#[test]
fn opcodes() {
    let cases: [(&[u8], ErrorCode, &str); 19] = [
        (b"\x80\x02i__main__\nX\n.", Unsupported, "pickle, byte 2: opcode 0x69"),
        (b"\x80\x02Pstorage\n.", Unsupported, "opcode 0x50"),
        (b"\x80\x02\x82\x01.", Unsupported, "opcode 0x82"),
        (b"\x80\x05\x97.", Unsupported, "opcode 0x97"),
        (b"\x80\x02I1\n.", Unsupported, "opcode 0x49"),
        (b"\x80\x00N.", Unsupported, "protocol 0, 2 to 5 are read"),
        (b"\x80\x06N.", Unsupported, "protocol 6"),
        (b"\x80\x02.", Format, "the stack is empty"),
        (b"\x80\x02NN.", Format, "values are left on the stack"),
        (b"\x80\x02(N.", Format, "values are left on the stack"),
        (b"\x80\x02N(0.", Format, "pickle, byte 4: the stack is empty"),
        (b"\x80\x02t.", Format, "no mark on the stack"),
        (b"\x80\x02}(Nu.", Format, "a key without a value"),
        (b"\x80\x02h\x05.", Format, "nothing is memoized as 5"),
        (b"\x80\x02\x8d\0\0\0\0\0\0\0\x10", Limit, "a text of 1152921504606846976 bytes"),
        (b"\x80\x02X\xff\xff\xff\xff", Limit, "a text of 4294967295 bytes"),
        (b"\x80\x02X\xff\xff\0\0", Format, "the pickle is cut off"),
        (b"\x80\x02\x8b\xff\xff\xff\xff", Format, "the pickle is cut off"),
        (b"\x80\x02N", Format, "the pickle is cut off"),
    ];
    for (pickle, code, message) in cases {
        refused(&checkpoint(pickle, &[]), code, message);
    }
    refused(&of(&[text("persistent"), b"Q".to_vec()].concat()), Format, "a persistent id that is no storage");
    let module = tuple(&[text("module"), text("Net"), text("net.py"), text("import os")]);
    refused(&of(&[module, b"Q".to_vec()].concat()), Unsupported, "a whole model with its code");
}

#[test]
fn too_much_of_everything() {
    // Values, on the stack, in the memo, in marks, in copies.
    for unit in [&b"N"[..], b")", b"(", b"]", b"}"] {
        refused(
            &checkpoint(&[b"\x80\x02", &unit.repeat((1 << 20) + 1)[..]].concat(), &[]),
            Limit,
            "more than 1048576 values",
        );
    }
    let mut puts = b"\x80\x02N".to_vec();
    (0..(1u32 << 20) + 1).for_each(|key| puts.extend([b"r", &key.to_le_bytes()[..]].concat()));
    refused(&checkpoint(&puts, &[]), Limit, "a memo of more than 1048576 values");
    let pair = b"](N}e".to_vec();
    let pairs = [&b"]("[..], &pair.repeat(1000), b"e\x85q\0"].concat();
    let again = [&b"0"[..], &global("collections", "OrderedDict"), b"h\0R"].concat();
    refused(&of(&[pairs, again.repeat(2000)].concat()), Limit, "more than 1048576 values");
    let large = vec![b'N'; (16 << 20) + 1];
    refused(&checkpoint(&large, &[]), Limit, "at most 16777216 bytes are read");
    // Tensors, names, dimensions.
    let many: Vec<_> = (0..40_000).map(|i| (text(&i.to_string()), b"h\0".to_vec())).collect();
    let memoized = [w(), b"q\x000".to_vec(), dict(&many)].concat();
    assert_eq!(
        Bundle::from_memory(BundleParts::new(&of(&memoized))).unwrap().archive().tensors().len(),
        40_000
    );
    let many: Vec<_> = (0..70_000).map(|i| (text(&i.to_string()), b"h\0".to_vec())).collect();
    refused(&of(&[w(), b"q\x000".to_vec(), dict(&many)].concat()), Limit, "more than 65536 tensors");
    refused(&of(&dict(&[(text(&"x".repeat(513)), w())])), Limit, "a name of 513 bytes");
    refused(&of(&dict(&[(text("a\nb"), w())])), Format, r#"tensor "a\nb": the name"#);
    refused(&of(&dict(&[(text("w"), w()), (text("w"), w())])), Format, r#"tensor "w" is there twice"#);
    refused(&one(0, &[1; 9], &[1; 9]), Limit, "a tensor of 9 dimensions, at most 8");
    // Modules in modules, each twice: 2^30 paths.
    let mut module =
        [global("__torch__", "M"), b")\x81".to_vec(), dict(&[(text("w"), w())]), b"b".to_vec()].concat();
    for key in 0..30u8 {
        let inner = [&module[..], &[b'q', key]].concat();
        let both = dict(&[(text("a"), inner), (text("b"), vec![b'h', key])]);
        module = [global("__torch__", "M"), b")\x81".to_vec(), both, b"b".to_vec()].concat();
    }
    refused(&of(&module), Limit, "more than");
    let cycle = [
        global("__torch__", "M"),
        b")\x81q\0".to_vec(),
        dict(&[(text("me"), b"h\0".to_vec())]),
        b"b".to_vec(),
    ];
    refused(&of(&cycle.concat()), Limit, "a name of more than 512 bytes");
}

#[test]
fn views_that_leave_their_storage() {
    let max = i64::MAX;
    let cases: [(Vec<u8>, ErrorCode, &str); 18] = [
        (
            one(0, &[5], &[1]),
            Format,
            r#"tensor "w": F32 [5] with strides [1] from element 0 on leaves its storage of 16"#,
        ),
        (one(1, &[4], &[1]), Format, "leaves its storage"),
        (one(5, &[0], &[1]), Format, "leaves its storage"),
        (one(0, &[2, 2], &[3, 1]), Format, "leaves its storage"),
        (one(0, &[2], &[max]), Format, "leaves its storage"),
        (one(max, &[4], &[1]), Format, "leaves its storage"),
        (one(max, &[2], &[max]), Format, "leaves its storage"),
        (one(0, &[3, 3, 3], &[max, 3, 1]), Format, "leaves its storage"),
        (one(-1, &[4], &[1]), Format, "a tensor's offset is not an integer from 0 on"),
        (one(0, &[-4], &[1]), Format, "a tensor's size has -4"),
        (one(3, &[4], &[-1]), Format, "a tensor's stride has -1"),
        (one(0, &[2, 2], &[1]), Format, "[2, 2] with 1 strides"),
        (one(0, &[2, 2], &[1, 1]), Unsupported, "[2, 2] with strides [1, 1], which overlap"),
        (one(0, &[3, 2], &[1, 1]), Unsupported, "overlap"),
        (one(0, &[max, max, max], &[0, 0, 0]), Limit, "the product of shape"),
        (one(0, &[max], &[0]), Limit, "the number of bytes overflows"),
        (one(0, &[1 << 40], &[0]), Limit, "too many share the same bytes"),
        (one(0, &[1 << 20, 1 << 20], &[1, 0]), Format, "leaves its storage"),
    ];
    for (bytes, code, message) in cases {
        refused(&bytes, code, message);
    }
    // Sizes that no step uses.
    for bytes in [
        one(0, &[4, 1], &[1, max]),
        one(4, &[0, 7], &[max, max]),
        one(3, &[], &[]),
        one(0, &[2, 2, 1000], &[2, 1, 0]),
    ] {
        let bundle = Bundle::from_memory(BundleParts::new(&bytes)).unwrap();
        let shape = bundle.archive().get("w").unwrap().shape.to_vec();
        assert_eq!(
            bundle.scope(Level::detect()).f32("w", &shape).unwrap().len(),
            shape.iter().product::<usize>()
        );
    }
    // One storage under a hundred thousand names would be gigabytes once it is loaded.
    let large = vec![0; 1 << 20];
    let shared = tensor(storage("Float", "0", 1 << 18), 0, &[1 << 18], &[1]);
    let many: Vec<_> = (0..1000).map(|i| (text(&i.to_string()), b"h\0".to_vec())).collect();
    let body = pickle(&[shared, b"q\x000".to_vec(), dict(&many)].concat());
    refused(&checkpoint(&body, &[("0", &large)]), Limit, "tensors of 1048576000 bytes in a file of");
}

#[test]
fn storages_that_are_not_there() {
    let w = |class: &str, key: &str, count| {
        dict(&[(text("w"), tensor(storage(class, key, count), 0, &[1], &[1]))])
    };
    let cases: [(Vec<u8>, ErrorCode, &str); 9] = [
        (w("Float", "1", 4), Format, r#"tensor "w": zip: no "archive/data/1""#),
        (w("Float", "../0", 4), Format, r#"zip: no "archive/data/../0""#),
        (w("Float", "0", 5), Format, r#"storage "0" of 5 elements of type F32, but it has 16 bytes"#),
        (w("Float", "0", 3), Format, "of 3 elements"),
        (w("Double", "0", 4), Format, "of 4 elements of type F64"),
        (w("Float", "0", i64::MAX), Format, "of 9223372036854775807 elements"),
        (w("Float", "0", -4), Format, "a storage without key and size"),
        (w("QInt8", "0", 16), Unsupported, r#"tensor "w": a quantized or complex tensor"#),
        (w("Evil", "0", 16), Unsupported, r#"the global "torch.EvilStorage""#),
    ];
    for (body, code, message) in cases {
        refused(&of(&body), code, message);
    }
}

/// An archive whose second member is changed.
fn changed(change: impl Fn(&mut Member)) -> Vec<u8> {
    let mut members = members(&pickle(&dict(&[(text("w"), w())])), &[("0", &FOUR), ("1", &FOUR)]);
    change(&mut members[1]);
    zip(&members, true)
}

#[test]
fn archives() {
    let base = changed(|_| ());
    assert!(Bundle::from_memory(BundleParts::new(&base)).is_ok());
    let cases: Vec<(Vec<u8>, ErrorCode, &str)> = vec![
        (changed(|m| m.method = 8), Unsupported, r#""archive/data/0" is compressed; torch.save stores it"#),
        (changed(|m| m.flags |= 1), Unsupported, r#""archive/data/0" is encrypted"#),
        (changed(|m| m.size = Some(u32::MAX - 1)), Format, "stored, but of two sizes"),
        (changed(|m| m.packed = Some(17)), Format, r#"zip: "archive/data/1": overlaps the member before it"#),
        (changed(|m| m.packed = Some(4000)), Format, r#"zip: "archive/data/0": leaves the file"#),
        (changed(|m| m.packed = Some(u32::MAX)), Format, "no 64-bit sizes"),
        (changed(|m| m.header = Some(0)), Format, "overlaps the member before it"),
        (changed(|m| m.header = Some(1 << 30)), Format, "leaves the file"),
        (changed(|m| m.header = Some(3)), Format, "overlaps"),
        (changed(|m| m.name = b"archive/data/1".into()), Format, r#""archive/data/1" is there twice"#),
        (changed(|m| m.name = b"other/data.pkl".into()), Format, "data.pkl is in both"),
        (
            changed(|m| {
                m.size = Some(u32::MAX);
                m.extra = [&[1u8, 0, 8, 0][..], &u64::MAX.to_le_bytes()].concat();
            }),
            Format,
            "stored, but of two sizes",
        ),
        (
            changed(|m| {
                m.packed = Some(u32::MAX);
                m.extra = [&[1u8, 0, 8, 0][..], &u64::MAX.to_le_bytes()].concat();
            }),
            Format,
            "leaves the file",
        ),
        (changed(|m| m.extra = vec![1, 0, 8, 0, 0]), Format, "no 64-bit sizes"),
        ([&base[..], b"x"].concat(), Format, "no end record"),
        (base[..base.len() - 1].to_vec(), Format, "no end record"),
        (b"PK\x03\x04".to_vec(), Format, "no end record"),
        (zip(&[member("archive/data.pkl", b"")], true), Format, "the pickle is cut off"),
        (zip(&[member("readme.txt", b"hello")], true), Unsupported, "a zip archive without data.pkl"),
        (zip(&[member("p/archive_format", b"pt2")], true), Unsupported, "torch.export"),
        (zip(&[member("a/b/data.pkl", b"")], true), Unsupported, "a zip archive without data.pkl"),
    ];
    for (bytes, code, message) in cases {
        refused(&bytes, code, message);
    }
    let mut big_endian = members(&pickle(&dict(&[(text("w"), w())])), &[("0", &FOUR)]);
    big_endian.push(member("archive/byteorder", b"big"));
    refused(&zip(&big_endian, true), Unsupported, "byte order \"big\", only little-endian ones are read");
    // The two end records, each with another directory.
    let mut two = base.clone();
    let end = two.len() - 22;
    two[end + 16] ^= 1;
    refused(&two, Format, "the two end records disagree");
    let mut disks = zip(&members(&pickle(b"}"), &[]), false);
    let end = disks.len() - 22;
    disks[end + 4] = 1;
    refused(&disks, Unsupported, "an archive of several files");
}

/// Claims of gigabytes cost nothing, nor does a directory that does not fit.
#[test]
fn sparse_files() {
    let directory = Directory::new();
    let path = directory.write("model.pt", b"PK\x03\x04");
    File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    for mmap in [false, true] {
        let error = Bundle::open(&path, OpenOptions::new().with_mmap(mmap)).unwrap_err();
        assert!(error.message().contains("no end record"), "{error}");
    }
    let mut claims = zip(&members(&pickle(b"}"), &[]), true);
    let record = claims.len() - 22 - 20 - 56;
    claims[record + 24..record + 32].copy_from_slice(&u64::MAX.to_le_bytes());
    claims[record + 32..record + 40].copy_from_slice(&u64::MAX.to_le_bytes());
    let end = claims.len() - 22;
    claims[end + 8..end + 12].copy_from_slice(&[0xff; 4]);
    refused(&claims, Limit, "zip: a directory of 18446744073709551615 members");
}

/// The legacy format, whose pickles are followed by the storages.
#[test]
fn legacy() {
    let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.".to_vec();
    let system = |little: &[u8]| pickle(&dict(&[(text("little_endian"), little.to_vec())]));
    let keys = |keys: &[&str]| {
        pickle(&[b"](".to_vec(), keys.iter().flat_map(|key| text(key)).collect(), b"e".to_vec()].concat())
    };
    let stored = |count: u64| [&count.to_le_bytes()[..], &FOUR].concat();
    let object = pickle(&dict(&[(text("w"), w())]));
    let file = |parts: &[Vec<u8>]| parts.concat();
    let good = file(&[magic.clone(), system(b"\x88"), object.clone(), keys(&["0"]), stored(4)]);
    let bundle = Bundle::from_memory(BundleParts::new(&good)).unwrap();
    assert_eq!(bundle.scope(Level::detect()).f32("w", &[4]).unwrap(), [1.0, 2.0, 3.0, 4.0]);
    // A storage that is a part of another.
    let view = tuple(&[text("v"), int(1), int(2)]);
    let id = [text("storage"), global("torch", "FloatStorage"), text("0"), text("cpu"), int(4), view];
    let part = [tuple(&id), b"Q".to_vec()].concat();
    let parts = |shape: &[i64]| pickle(&dict(&[(text("w"), tensor(part.clone(), 0, shape, &[1]))]));
    let with = |object: Vec<u8>| file(&[magic.clone(), system(b"\x88"), object, keys(&["0"]), stored(4)]);
    let viewed = with(parts(&[2]));
    let bundle = Bundle::from_memory(BundleParts::new(&viewed)).unwrap();
    assert_eq!(bundle.scope(Level::detect()).f32("w", &[2]).unwrap(), [2.0, 3.0]);
    refused(&with(parts(&[3])), Format, "leaves its storage of 8 bytes");

    let cases = [
        (
            file(&[magic.clone(), system(b"\x89"), object.clone(), keys(&["0"]), stored(4)]),
            Unsupported,
            "big-endian",
        ),
        (
            file(&[magic.clone(), system(b"\x88"), object.clone(), keys(&[]), stored(4)]),
            Format,
            "24 bytes are left",
        ),
        (file(&[magic.clone(), system(b"\x88"), object.clone(), keys(&[])]), Format, r#"no storage "0""#),
        (
            file(&[magic.clone(), system(b"\x88"), object.clone(), keys(&["1"]), stored(4)]),
            Format,
            "that nothing uses",
        ),
        (
            file(&[magic.clone(), system(b"\x88"), object.clone(), keys(&["0"]), stored(5)]),
            Format,
            "the file ends before",
        ),
        (
            file(&[magic.clone(), system(b"\x88"), object.clone(), keys(&["0"]), stored(u64::MAX)]),
            Format,
            "ends before",
        ),
        (
            file(&[magic.clone(), system(b"\x88"), object.clone(), keys(&["0"])]),
            Format,
            "the file is cut off",
        ),
        (
            file(&[magic.clone(), system(b"\x88"), object.clone(), pickle(b"N")]),
            Format,
            "no list of storages",
        ),
        (
            file(&[magic.clone(), system(b"\x88"), pickle(&global("os", "system"))]),
            Unsupported,
            r#""os.system""#,
        ),
        (magic.clone(), Format, "the pickle is cut off"),
        (
            magic[..15].iter().chain(b"\x80\x02K\x07.").copied().collect(),
            Unsupported,
            "another protocol than 1001",
        ),
    ];
    for (bytes, code, message) in cases {
        refused(&bytes, code, message);
    }
    // Pickles longer than the first look at them.
    let long = dict(&[(text("w"), w()), (text("long"), text(&"x".repeat(200_000)))]);
    let long = file(&[magic.clone(), system(b"\x88"), pickle(&long), keys(&["0"]), stored(4)]);
    assert!(Bundle::from_memory(BundleParts::new(&long)).is_ok());
    let endless = file(&[magic, system(b"\x88"), b"\x80\x02".to_vec(), vec![b'('; 17 << 20]]);
    refused(&endless, Limit, "more than");
}

/// Objects of data are dropped with what they hold, and not mistaken for the model.
#[test]
fn data_beside_tensors() {
    let namespace = [call("argparse", "Namespace", &[]), dict(&[(text("x"), w())]), b"b".to_vec()].concat();
    let scalar = call(
        "numpy.core.multiarray",
        "scalar",
        &[
            call("numpy", "dtype", &[text("f8"), b"\x89\x88".to_vec()]),
            call("_codecs", "encode", &[text("\0\0"), text("latin1")]),
        ],
    );
    let path = call("pathlib", "PosixPath", &[text("a"), text("b")]);
    let set = [b"\x8f(".to_vec(), ints(&[1]), b"\x90".to_vec()].concat();
    let config =
        [global("omegaconf.dictconfig", "DictConfig"), b")\x81".to_vec(), dict(&[]), b"b".to_vec()].concat();
    let body = dict(&[
        (text("args"), namespace),
        (text("best"), scalar),
        (text("path"), path),
        (text("set"), set),
        (text("cfg"), config),
        (text("raw"), b"C\x02\0\xff".to_vec()),
        (text("model"), dict(&[(text("w"), w())])),
    ]);
    let bytes = of(&body);
    let bundle = Bundle::from_memory(BundleParts::new(&bytes)).unwrap();
    assert_eq!(bundle.archive().names().collect::<Vec<_>>(), ["w"]);
    assert!(bundle.archive().notes().is_empty());
    refused(&of(&dict(&[(text("epoch"), int(1))])), Unsupported, "a checkpoint without tensors");
    refused(&of(&text("x")), Unsupported, "a checkpoint of a text");
    refused(&of(&w()), Unsupported, "a checkpoint of a tensor");
}
