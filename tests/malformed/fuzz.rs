//! Random damage to a header: never a panic, and whatever is accepted is what the `safetensors` crate reads.

use safetensors::SafeTensors;
use vitrum::ErrorCode;
use vitrum::simd::Level;
use vitrum::weights::{Bundle, BundleParts};

use crate::files::raw;

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

const HEADER: &str = r#"{"__metadata__":{"format":"pt"},"a.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"a.bias":{"dtype":"F16","shape":[2],"data_offsets":[16,20]},"b":{"dtype":"BF16","shape":[],"data_offsets":[20,22]},"e":{"dtype":"I64","shape":[0,3],"data_offsets":[22,22]},"q":{"dtype":"F4","shape":[4],"data_offsets":[22,24]}}"#;
const DATA: usize = 24;

/// Pieces that a mutation inserts: structure, types, numbers at the edges.
const PIECES: [&str; 24] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "0",
    "1",
    "-",
    "e9",
    ".5",
    "null",
    " ",
    "\"F32\"",
    "\"I8\"",
    "\"shape\"",
    "\"a.bias\":{},",
    "18446744073709551615",
    "18446744073709551616",
    "4294967296",
    "\\u0000",
    "\u{e9}",
];

fn mutate(random: &mut Random, header: &mut Vec<u8>) {
    let at = random.below(header.len());
    let len = random.below(12).min(header.len() - at);
    match random.below(6) {
        0 => header[at] = random.below(256) as u8,
        1 => drop(header.drain(at..at + len)),
        2 => drop(header.splice(at..at, random.pick(&PIECES).bytes())),
        3 => drop(header.splice(at..at + len, random.pick(&PIECES).bytes())),
        4 => header[at] = random.pick(b"0123456789"),
        _ => {
            let copy = header[at..at + len].to_vec();
            let to = random.below(header.len());
            header.splice(to..to, copy);
        }
    }
    if header.is_empty() {
        header.push(b'{');
    }
}

/// An accepted file's tensors all load or have a type that is refused, and the crate sees the same tensors.
fn check_accepted(bytes: &[u8], bundle: &Bundle<'_>) {
    let crate_view = SafeTensors::deserialize(bytes).expect("accepted here, refused by the crate");
    assert_eq!(crate_view.len(), bundle.archive().tensors().len());
    for tensor in bundle.archive().tensors() {
        let view = crate_view.tensor(tensor.name).unwrap();
        assert_eq!((tensor.dtype, tensor.shape), (view.dtype(), view.shape()));
        assert_eq!(tensor.bytes, view.data().len() as u64);
        match bundle.scope(Level::detect()).f32(tensor.name, tensor.shape) {
            Ok(values) => assert_eq!(values.len(), tensor.shape.iter().product::<usize>()),
            Err(error) => assert_eq!(error.code(), ErrorCode::TensorDtype),
        }
    }
}

#[test]
fn random_damage_never_panics() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..50_000 {
        let mut header = HEADER.as_bytes().to_vec();
        for _ in 0..=random.below(4) {
            mutate(&mut random, &mut header);
        }
        let n = match random.below(8) {
            0 => random.below(2 * header.len()) as u64,
            _ => header.len() as u64,
        };
        let bytes = raw(n, &header, &[0x3c; DATA]);
        match Bundle::from_memory(BundleParts::new(&bytes)) {
            Ok(bundle) => {
                accepted += 1;
                check_accepted(&bytes, &bundle);
            }
            Err(error) => {
                refused += 1;
                let expected = [ErrorCode::Format, ErrorCode::Limit, ErrorCode::TensorDtype];
                assert!(expected.contains(&error.code()), "{error:?}");
                assert!(error.message().starts_with("weights: "), "{error}");
            }
        }
    }
    assert!(accepted > 500 && refused > 25_000, "{accepted} accepted, {refused} refused");
}
