//! Layouts of archives and pickles that other versions and programs write.

use vitrum::simd::Level;
use vitrum::weights::{Bundle, BundleParts};

use crate::build::{
    FOUR, call, checkpoint, dict, global, ints, member, members, pickle, storage, tensor, text, tuple, zip,
};

/// The names of a file's tensors, and the values of "w" if it has four.
fn read(bytes: &[u8]) -> (Vec<String>, Vec<String>) {
    let bundle = Bundle::from_memory(BundleParts::new(bytes)).unwrap();
    let archive = bundle.archive();
    if archive.get("w").is_some_and(|tensor| tensor.shape == [4]) {
        let values = bundle.scope(Level::detect()).f32("w", &[4]).unwrap();
        assert_eq!(values, [1.0, 2.0, 3.0, 4.0]);
    }
    let own = |text: &str| text.strip_prefix("weights: ").unwrap_or(text).to_owned();
    (archive.names().map(own).collect(), archive.notes().iter().map(|note| own(note)).collect())
}

fn w() -> Vec<u8> {
    tensor(storage("Float", "0", 4), 0, &[4], &[1])
}

fn plain() -> Vec<u8> {
    pickle(&dict(&[(text("w"), w())]))
}

#[test]
fn archives() {
    let base = members(&plain(), &[("0", &FOUR)]);
    let mut padded = base.clone();
    padded.iter_mut().zip([1, 62]).for_each(|(member, padding)| member.padding = padding);
    let mut extra = base.clone();
    extra[1].extra =
        [&[0x55u8, 0x54, 1, 0, 9][..], &[1, 0, 16, 0], &16u64.to_le_bytes(), &16u64.to_le_bytes()].concat();
    (extra[1].size, extra[1].packed) = (Some(u32::MAX), Some(u32::MAX));
    let more = |name: &str, data: &[u8]| [&base[..], &[member(name, data)]].concat();
    let mut top: Vec<_> = base.clone();
    top.iter_mut().for_each(|member| member.name = member.name.strip_prefix(b"archive/").unwrap().to_vec());
    let renamed = |name: &str| {
        let mut members = base.clone();
        members.iter_mut().for_each(|m| m.name = [name.as_bytes(), &m.name[b"archive".len()..]].concat());
        members
    };
    let cases = [
        base.clone(),
        padded,
        extra,
        top,
        renamed("sam_vit_b_01ec64"),
        renamed("größe und mehr"),
        renamed(".."),
        more("archive/byteorder", b"little"),
        more("archive/version", b"3\n"),
        more("archive/code/data.pkl", b"never read"),
        more("../../etc/passwd", b"just a name"),
    ];
    for (i, members) in cases.iter().enumerate() {
        for wide in [false, true] {
            assert_eq!(read(&zip(members, wide)), (vec!["w".to_owned()], vec![]), "case {i}");
        }
    }
    // A comment at the end, even one that looks like a record.
    let mut commented = zip(&base, false);
    let len = commented.len();
    commented[len - 2] = 30;
    commented.extend([&b"PK\x05\x06"[..], &[0; 26]].concat());
    assert_eq!(read(&commented).0, ["w"]);
}

/// A checkpoint of this value, with four floats in storage "0".
fn of(value: &[u8]) -> Vec<u8> {
    checkpoint(&pickle(value), &[("0", &FOUR)])
}

#[test]
fn wrappers() {
    let state = |name: &str| dict(&[(text(name), w())]);
    let two = dict(&[(text("x"), w()), (text("y"), w())]);
    let scalar = tensor(storage("Float", "0", 4), 0, &[], &[]);
    // Entries; the tensors that are found, and the notes.
    type Case = (Vec<(Vec<u8>, Vec<u8>)>, &'static [&'static str], &'static [&'static str]);
    let cases: [Case; 9] = [
        // The first of the known wrappers.
        (
            vec![(text("model"), state("a")), (text("state_dict"), state("w"))],
            &["w"],
            &["the model is \"state_dict\"; \"model\" left aside"],
        ),
        (
            vec![(text("model_ema"), state("a")), (text("model"), state("w"))],
            &["w"],
            &["the model is \"model\"; \"model_ema\" left aside"],
        ),
        // Numbers, even as tensors, go without saying.
        (
            vec![
                (text("best"), scalar.clone()),
                (text("epoch"), b"K\x03".to_vec()),
                (text("net"), state("w")),
            ],
            &["w"],
            &[],
        ),
        // No known wrapper: the one with the most tensors.
        (
            vec![(text("visual"), two), (text("text"), state("a"))],
            &["x", "y"],
            &["the model is \"visual\"; \"text\" left aside"],
        ),
        // A known wrapper that holds no tensors.
        (vec![(text("model"), b"N".to_vec()), (text("ema"), state("w"))], &["w"], &[]),
        (vec![(text("checkpoint"), dict(&[(text("model"), state("w"))]))], &["w"], &[]),
        // A dictionary of tensors with other things in it.
        (
            vec![
                (text("w"), w()),
                (text("_metadata"), b"}".to_vec()),
                (text("m._extra_state"), b"}".to_vec()),
            ],
            &["w"],
            &[],
        ),
        (
            vec![(text("w"), w()), (text("arch"), text("vit_b")), (b"K\x01".to_vec(), w())],
            &["w"],
            &["\"arch\", \"(a key that is no text)\" left aside: no tensors"],
        ),
        (
            vec![
                (text("state_dict"), dict(&[(text("module.w"), w())])),
                (
                    text("optimizer"),
                    dict(&[(text("state"), dict(&[(b"K\x00".to_vec(), dict(&[(text("exp_avg"), w())]))]))]),
                ),
            ],
            &["module.w"],
            &[],
        ),
    ];
    for (entries, names, notes) in cases {
        let (found, found_notes) = read(&of(&dict(&entries)));
        assert_eq!((&found[..], &found_notes[..]), (&names.map_owned()[..], &notes.map_owned()[..]));
    }
}

trait MapOwned {
    fn map_owned(&self) -> Vec<String>;
}

impl MapOwned for &[&str] {
    fn map_owned(&self) -> Vec<String> {
        self.iter().map(|text| (*text).to_owned()).collect()
    }
}

#[test]
fn pickles() {
    let old = call(
        "torch._utils",
        "_rebuild_tensor",
        &[storage("Float", "0", 4), b"K\0".to_vec(), ints(&[4]), ints(&[1])],
    );
    let parameter = call("torch._utils", "_rebuild_parameter", &[w(), b"\x88".to_vec(), b"}".to_vec()]);
    let new = [global("torch.nn.parameter", "Parameter"), tuple(&[w()]), b"\x81".to_vec()].concat();
    let from_type = {
        let args = tuple(&[storage("Float", "0", 4), b"K\0".to_vec(), ints(&[4]), ints(&[1])]);
        call(
            "torch._tensor",
            "_rebuild_from_type_v2",
            &[
                global("torch._utils", "_rebuild_tensor"),
                global("torch.nn.parameter", "Parameter"),
                args,
                b"}".to_vec(),
            ],
        )
    };
    let v3 = {
        let id = [
            text("storage"),
            global("torch.storage", "UntypedStorage"),
            text("0"),
            text("cpu"),
            b"K\x10".to_vec(),
        ];
        let args = [
            [&tuple(&id)[..], b"Q"].concat(),
            b"K\0".to_vec(),
            ints(&[4]),
            ints(&[1]),
            b"\x89".to_vec(),
            b"}".to_vec(),
            global("torch", "float32"),
        ];
        call("torch._utils", "_rebuild_tensor_v3", &args)
    };
    let size = call("torch.Size".split_once('.').unwrap().0, "Size", &[ints(&[4])]);
    let sized = call(
        "torch._utils",
        "_rebuild_tensor",
        &[storage("Float", "0", 4), b"K\0".to_vec(), size, ints(&[1])],
    );
    for tensor in [w(), old, parameter, new, from_type, v3, sized] {
        assert_eq!(read(&of(&dict(&[(text("w"), tensor)]))).0, ["w"]);
    }
    // Dictionaries: of pairs as Python 2 wrote them, one entry at a time, with attributes, by DICT; and the memo.
    let pair = [&b"]("[..], &text("w"), &w(), b"e"].concat();
    let pairs = [&b"]("[..], &pair, b"e"].concat();
    let entry = [text("w"), w()].concat();
    let attributes = dict(&[(text("_metadata"), call("collections", "OrderedDict", &[]))]);
    let dicts = [
        call("collections", "OrderedDict", &[pairs]),
        [&call("collections", "OrderedDict", &[])[..], &entry, b"s", &attributes, b"b"].concat(),
        [&b"("[..], &entry, b"d"].concat(),
        [&b"\x95\0\0\0\0\0\0\0\0}r\xff\xff\xff\xff(\x8c\x01w"[..], &w(), b"u0j\xff\xff\xff\xff"].concat(),
        [&b"}\x94(\x8d\x01\0\0\0\0\0\0\0w"[..], &w(), b"u0h\0"].concat(),
        [&b"}(U\x01w"[..], &w(), b"uN0"].concat(),
        call("collections", "defaultdict", &[global("builtins", "dict")])
            .into_iter()
            .chain(entry)
            .chain(*b"s")
            .collect(),
    ];
    for dict in dicts {
        assert_eq!(read(&of(&dict)).0, ["w"]);
    }
}

/// A cycle, and depth, are no trouble: nothing walks values by recursion.
#[test]
fn cycles_and_depth() {
    let depth = 300_000;
    let deep = [&vec![b']'; depth][..], &vec![b'a'; depth - 1]].concat();
    let cycle = b"}q\0X\x04\0\0\0selfh\0s".to_vec();
    let value = dict(&[(text("w"), w()), (text("deep"), deep), (text("cycle"), cycle)]);
    assert_eq!(read(&of(&value)).0, ["w"]);
    let both = [b"}q\0".to_vec(), text("model"), b"h\0s".to_vec(), text("w"), w(), b"s".to_vec()].concat();
    assert_eq!(read(&of(&both)).0, ["w"]);
}
