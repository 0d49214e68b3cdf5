//! Random damage to files of every kind: never a panic, but an error with a code of malformed files, or tensors that
//! load and take no more than their file allows.

use std::fs;

use vitrum::ErrorCode::{Format, Limit, TensorDtype, Unsupported};
use vitrum::simd::Level;
use vitrum::weights::{Bundle, BundleParts};

use crate::build::{checkpoint, members, zip};
use crate::golden;

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

/// Bytes that a mutation inserts: opcodes, numbers at the edges, names.
const PIECES: [&[u8]; 36] = [
    b"(",
    b"t",
    b")",
    b"]",
    b"}",
    b"u",
    b"s",
    b"e",
    b"a",
    b"R",
    b"b",
    b"Q",
    b"0",
    b"1",
    b"2",
    b"N",
    b"h\x00",
    b"q\x00",
    b"\x81",
    b"\x85",
    b"\x86",
    b"\x94",
    b".",
    b"K\xff",
    b"J\xff\xff\xff\xff",
    b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80",
    b"r\xff\xff\xff\xff",
    b"X\xff\xff\xff\xff",
    b"\x8d\x00\x00\x00\x00\x00\x00\x00\x10",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"cos\nsystem\n",
    b"ctorch\nDoubleStorage\n",
    b"ctorch._utils\n_rebuild_tensor\n",
    b"X\x00\x00\x00\x00",
    b"PK\x05\x06",
];

fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    let at = random.below(bytes.len());
    let len = random.below(24).min(bytes.len() - at);
    match random.below(7) {
        0 => bytes[at] = random.below(256) as u8,
        1 => bytes[at] = bytes[at].wrapping_add(random.pick(&[1, 255, 128])),
        2 => drop(bytes.drain(at..at + len)),
        3 => drop(bytes.splice(at..at, random.pick(&PIECES).iter().copied())),
        4 => drop(bytes.splice(at..at + len, random.pick(&PIECES).iter().copied())),
        5 => bytes.truncate(at),
        _ => {
            let copy = bytes[at..at + len].to_vec();
            let to = random.below(bytes.len());
            bytes.splice(to..to, copy);
        }
    }
    if bytes.is_empty() {
        bytes.push(0x80);
    }
}

/// Opens `bytes`; whatever is accepted loads. Whether it was accepted.
fn check(bytes: &[u8]) -> bool {
    let bundle = match Bundle::from_memory(BundleParts::new(bytes)) {
        Ok(bundle) => bundle,
        Err(error) => {
            let expected = [Format, Limit, TensorDtype, Unsupported];
            assert!(expected.contains(&error.code()), "{error:?}");
            assert!(error.message().starts_with("weights: ") && error.message().len() < 1000, "{error}");
            return false;
        }
    };
    let scope = bundle.scope(Level::detect());
    for tensor in bundle.archive().tensors() {
        match scope.f32(tensor.name, tensor.shape) {
            Ok(values) => assert_eq!(values.len(), tensor.shape.iter().product::<usize>()),
            Err(error) => assert_eq!(error.code(), TensorDtype, "{error}"),
        }
    }
    assert!(bundle.archive().total_bytes() <= 4 * bytes.len() as u64 + (64 << 20));
    bundle.archive().fingerprint().unwrap();
    true
}

const FILES: [&str; 6] =
    ["sample.pt", "sample-protocol-5.pt", "sample-legacy.pth", "training.pth", "scripted.pt", "sparse.pt"];

/// Damage anywhere in the file: the archive's records, pickles, storages, code.
#[test]
fn damaged_files() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut accepted, mut refused) = (0, 0);
    for name in FILES {
        let whole = fs::read(golden(name)).unwrap();
        for _ in 0..2_000 {
            let mut bytes = whole.clone();
            for _ in 0..=random.below(3) {
                mutate(&mut random, &mut bytes);
            }
            *if check(&bytes) { &mut accepted } else { &mut refused } += 1;
        }
    }
    assert!(accepted > 300 && refused > 5_000, "{accepted} accepted, {refused} refused");
}

/// Bytes of the member called `name` in an archive of PyTorch's.
fn stored<'f>(file: &'f [u8], name: &str) -> &'f [u8] {
    let directory = file.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    let entry = directory
        + file[directory..].windows(name.len()).position(|window| window == name.as_bytes()).unwrap()
        - 46;
    let int = |at: usize, len: usize| (0..len).fold(0, |int, i| int | (usize::from(file[at + i]) << (8 * i)));
    let (size, header) = (int(entry + 24, 4), int(entry + 42, 4));
    let data = header + 30 + int(header + 26, 2) + int(header + 28, 2);
    &file[data..data + size]
}

/// Damage to the pickle alone, in an archive that fits it.
#[test]
fn damaged_pickles() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let (mut accepted, mut refused) = (0, 0);
    for (name, top) in
        [("sample.pt", "sample"), ("sample-protocol-5.pt", "sample-protocol-5"), ("scripted.pt", "scripted")]
    {
        let file = fs::read(golden(name)).unwrap();
        let pickle = stored(&file, &format!("{top}/data.pkl"));
        let keys: Vec<String> = (0..8).map(|key| key.to_string()).collect();
        let storages: Vec<(&str, &[u8])> =
            keys.iter().map(|key| (&key[..], stored(&file, &format!("{top}/data/{key}")))).collect();
        for _ in 0..4_000 {
            let mut pickle = pickle.to_vec();
            for _ in 0..=random.below(3) {
                mutate(&mut random, &mut pickle);
            }
            *if check(&checkpoint(&pickle, &storages)) { &mut accepted } else { &mut refused } += 1;
        }
    }
    assert!(refused > 5_000, "{accepted} accepted, {refused} refused");
}

#[test]
fn cut_at_every_byte() {
    for name in ["sample.pt", "sample-legacy.pth", "scripted.pt"] {
        let whole = fs::read(golden(name)).unwrap();
        assert!(check(&whole));
        for len in 0..whole.len() {
            assert!(!check(&whole[..len]), "{name} cut at {len}");
        }
    }
    let file = fs::read(golden("sample.pt")).unwrap();
    let pickle = stored(&file, "sample/data.pkl");
    for len in 0..pickle.len() {
        assert!(!check(&zip(&members(&pickle[..len], &[]), true)), "cut at {len}");
    }
}
