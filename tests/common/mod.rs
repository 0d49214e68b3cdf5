//! Golden files, for the tests that compare with the reference implementations.
#![allow(dead_code, reason = "every test file is a crate of its own and uses a part of this")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;

/// The path of a golden file.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The tensors of a golden file: shape and values.
pub(crate) struct Golden(BTreeMap<String, (Vec<usize>, Vec<f32>)>);

/// Bytes of an RGB picture, and its height and width.
pub(crate) type Picture = (Vec<u8>, [usize; 2]);

impl Golden {
    /// Reads the golden file called `name`.
    pub(crate) fn read(name: &str) -> Self {
        let bytes = fs::read(path(name)).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let read = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
            let values = match view.dtype() {
                safetensors::Dtype::F32 => {
                    view.data().as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
                }
                safetensors::Dtype::I64 => {
                    view.data().as_chunks().0.iter().map(|&b| i64::from_le_bytes(b) as f32).collect()
                }
                safetensors::Dtype::U8 => view.data().iter().map(|&b| f32::from(b)).collect(),
                dtype => panic!("{name}: {dtype:?}"),
            };
            (name, (view.shape().to_vec(), values))
        };
        Self(tensors.tensors().into_iter().map(read).collect())
    }

    /// Shape and values of a tensor.
    pub(crate) fn get(&self, name: &str) -> (&[usize], &[f32]) {
        self.find(name).unwrap_or_else(|| panic!("no golden {name}"))
    }

    /// Shape and values of a tensor, if there is one of that name.
    pub(crate) fn find(&self, name: &str) -> Option<(&[usize], &[f32])> {
        self.0.get(name).map(|(shape, values)| (&shape[..], &values[..]))
    }

    /// The tensors whose name begins with `prefix`: the rest of the name, and the values.
    pub(crate) fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a [f32])> {
        let rest = move |name: &'a String| name.strip_prefix(prefix);
        self.0.iter().filter_map(move |(name, (_, values))| Some((rest(name)?, &values[..])))
    }

    /// The picture called `name`, if there is one.
    pub(crate) fn image(&self, name: &str) -> Option<Picture> {
        let (shape, values) = self.0.get(name)?;
        Some((values.iter().map(|&v| v as u8).collect(), [shape[0], shape[1]]))
    }

    /// Asserts max |Δ| ≤ 1e-4 · max |reference|.
    #[track_caller]
    pub(crate) fn check(&self, name: &str, values: &[f32]) {
        let (shape, expected) = self.get(name);
        assert_eq!(values.len(), expected.len(), "{name}: reference of shape {shape:?}");
        let largest = expected.iter().fold(0.0f32, |m, x| m.max(x.abs()));
        let difference = values.iter().zip(expected).fold(0.0f32, |m, (a, b)| {
            let d = (a - b).abs();
            if d > m || d.is_nan() { d } else { m }
        });
        assert!(
            difference <= 1e-4 * largest,
            "{name}: differs by {difference} where the largest is {largest}"
        );
    }
}
