//! Telling models apart, and damaged bytes from whole ones.

use super::archive::Archive;
use crate::error::Result;
use crate::exec::Monitor;

/// The FNV-1a hash of 64 bits: finds accidents, not forgeries.
///
/// `h ← (h xor byte) · 0x100000001b3`, from `0xcbf29ce484222325`. Source: Fowler, Noll and Vo,
/// draft-eastlake-fnv.
#[derive(Clone, Copy, Debug)]
pub struct Fnv64(u64);

impl Default for Fnv64 {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv64 {
    /// Appends `bytes` to what is hashed.
    pub fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    /// The hash of everything written.
    pub fn finish(self) -> u64 {
        self.0
    }
}

/// Samples of a tensor, and bytes of each.
const SAMPLES: u64 = 16;
const SAMPLE: usize = 128;

impl Archive<'_> {
    /// A number that two models share only if they have the same tensors: names, types, shapes and, of each, the same
    /// bytes at sixteen places.
    ///
    /// # Errors
    /// `Io` if the files cannot be read.
    pub fn fingerprint(&self) -> Result<u64> {
        self.fingerprint_monitored(&Monitor::none())
    }

    /// [`fingerprint`](Self::fingerprint), which `monitor` may stop.
    ///
    /// # Errors
    /// As [`fingerprint`](Self::fingerprint), and `Cancelled`.
    pub(crate) fn fingerprint_monitored(&self, monitor: &Monitor<'_>) -> Result<u64> {
        let mut hash = Fnv64::default();
        let mut buffer = [0; SAMPLE];
        for tensor in self.tensors() {
            monitor.poll()?;
            hash.write(tensor.name.as_bytes());
            hash.write(&[0, tensor.dtype as u8]);
            tensor.shape.iter().for_each(|&side| hash.write(&(side as u64).to_le_bytes()));
            let sample = &mut buffer[..SAMPLE.min(tensor.bytes as usize)];
            let last = tensor.bytes - sample.len() as u64;
            // Small tensors are read once, whole.
            let steps = if last == 0 { 0 } else { SAMPLES - 1 };
            for i in 0..=steps {
                self.read_bytes(tensor.name, last * i / steps.max(1), sample)?;
                hash.write(sample);
            }
        }
        Ok(hash.finish())
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use safetensors::Dtype;
    use safetensors::tensor::{TensorView, serialize};

    use super::*;
    use crate::weights::{Bundle, BundleParts};

    #[test]
    fn published_hashes() {
        let hash = |bytes: &[u8]| {
            let mut hash = Fnv64::default();
            hash.write(bytes);
            hash.finish()
        };
        assert_eq!(hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(hash(b"foobar"), 0x8594_4171_f739_67e8);
    }

    fn fingerprint(name: &str, shape: [usize; 2], data: &[u8]) -> u64 {
        let view = TensorView::new(Dtype::F32, shape.to_vec(), data).unwrap();
        let file = serialize([(name, view)], None).unwrap();
        Bundle::from_memory(BundleParts::new(&file)).unwrap().archive().fingerprint().unwrap()
    }

    #[test]
    fn names_shapes_and_values_count() {
        for bytes in [8, 4096] {
            let data: Vec<u8> = vec![1; bytes];
            let base = fingerprint("w", [1, bytes / 4], &data);
            assert_eq!(base, fingerprint("w", [1, bytes / 4], &data));
            assert_ne!(base, fingerprint("v", [1, bytes / 4], &data));
            assert_ne!(base, fingerprint("w", [bytes / 4, 1], &data));
            for at in [0, bytes - 1] {
                let mut other = data.clone();
                other[at] = 2;
                assert_ne!(base, fingerprint("w", [1, bytes / 4], &other));
            }
        }
        assert_eq!(fingerprint("empty", [0, 3], &[]), fingerprint("empty", [0, 3], &[]));
    }
}
