//! Files of tensors.

use safetensors::SafeTensors;
use safetensors::tensor::{TensorView, serialize};
use vitrum::simd::Level;
use vitrum::{Bundle, BundleParts, ErrorCode};

use crate::accepted;

/// Tensors of an accepted file that are read, and their bytes.
const READ: usize = 64;
const MOST: u64 = 1 << 16;

/// A file of weights: whatever is accepted loads, takes no more than its file allows, and is the same once more when the
/// `safetensors` crate has written it.
pub fn archive(data: &[u8]) {
    let Some(bundle) = accepted(Bundle::from_memory(BundleParts::new(data))) else { return };
    let archive = bundle.archive();
    let scope = bundle.scope(Level::detect());
    let mut total = 0u64;
    for tensor in archive.tensors() {
        total = total.checked_add(tensor.bytes).expect("bytes that fit");
        let elements =
            tensor.shape.iter().try_fold(1usize, |n, &side| n.checked_mul(side)).expect("a shape that fits");
        assert_eq!(tensor.bytes, (elements as u64 * tensor.dtype.bitsize() as u64).div_ceil(8), "{tensor:?}");
    }
    assert_eq!(total, archive.total_bytes());
    for tensor in archive.tensors().filter(|tensor| tensor.bytes <= MOST).take(READ) {
        match scope.f32(tensor.name, tensor.shape) {
            Ok(values) => assert_eq!(values.len(), tensor.shape.iter().product::<usize>()),
            Err(error) => assert_eq!(error.code(), ErrorCode::TensorDtype, "{error}"),
        }
    }
    let fingerprint = archive.fingerprint().expect("a fingerprint of what was accepted");
    let _ = bundle.weight_format().map_err(|error| assert_eq!(error.code(), ErrorCode::Unsupported));
    if let Ok(view) = SafeTensors::deserialize(data) {
        assert_eq!(view.len(), archive.tensors().len());
        // What PyTorch stored in other ways has other bytes at the same place.
        for tensor in archive.tensors() {
            let other = view.tensor(tensor.name).expect("the same names");
            assert_eq!((tensor.dtype, tensor.shape), (other.dtype(), other.shape()));
            assert_eq!(archive.bytes(tensor.name).expect("bytes"), other.data());
        }
    }
    if total <= MOST {
        same_again(&bundle, fingerprint);
    }
}

/// Writes the tensors of `bundle` anew and compares.
fn same_again(bundle: &Bundle<'_>, fingerprint: u64) {
    let archive = bundle.archive();
    let bytes: Vec<Vec<u8>> = archive.tensors().map(|it| archive.bytes(it.name).expect("bytes")).collect();
    let views = archive.tensors().zip(&bytes).map(|(tensor, bytes)| {
        let view = TensorView::new(tensor.dtype, tensor.shape.to_vec(), bytes).expect("sizes that fit");
        (tensor.name.to_owned(), view)
    });
    let written = serialize(views, None).expect("tensors that were accepted");
    let again = Bundle::from_memory(BundleParts::new(&written)).expect("accepted before, refused when saved");
    assert!(
        again
            .archive()
            .tensors()
            .map(|it| (it.name, it.dtype, it.shape))
            .eq(archive.tensors().map(|it| (it.name, it.dtype, it.shape)))
    );
    assert_eq!(again.archive().fingerprint().expect("a fingerprint"), fingerprint);
}
