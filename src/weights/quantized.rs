//! Tensors in the formats that `vitrum quantize` writes.
//!
//! A matrix `[rows, …]`, or a kernel of a convolution, called `name`:
//!
//! - in f16 and bf16: as such, of the same shape;
//! - in int8: `name`, I8 of the same shape, and `name_scale`, F32 `[rows]`: the values are their products;
//! - in 4 bits, with `depth` values a row in groups of 32: `name`, U8 `[rows, groups, 16]`, whose byte `i` holds value `i` of the
//!   group in its lower half and value `i + 16` in its upper one; `name_scale` and `name_least`, BF16 `[rows, groups]`: the
//!   values are `least + scale · step`. Its shape is in the metadata, as `vitrum.shape:name`.
//!
//! `vitrum.weights` in the metadata names the format. Values that are read and packed in the same format again are the same,
//! bit by bit.

use alloc::string::String;
use alloc::vec::Vec;

use half::{bf16, f16};
use safetensors::Dtype;

use super::archive::{Archive, TensorInfo};
use super::json::quoted;
use crate::error::{Result, err};
use crate::exec::{TryCollect, try_with_capacity};
use crate::kernels::gemm::WeightFormat;
use crate::kernels::gemm::quantised::{Q4_GROUP, Q4Group, quantised_weight, weight_scale};
use crate::simd::Level;

/// The key of a tensor's shape in the metadata is this and its name.
pub const SHAPE_KEY: &str = "vitrum.shape:";

/// Bytes of a group of 4-bit values.
const GROUP_BYTES: usize = Q4_GROUP / 2;

/// A tensor to be written.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// What follows the name of the matrix in this tensor's name.
    pub suffix: &'static str,
    /// The type of the elements.
    pub dtype: Dtype,
    /// The dimensions.
    pub shape: Vec<usize>,
    /// Little endian.
    pub bytes: Vec<u8>,
}

/// The tensors that a matrix of `shape` becomes in `format`.
///
/// # Errors
/// `OutOfMemory`.
///
/// # Panics
/// If `values` does not have `shape`, or it has no rows.
pub fn encode(format: WeightFormat, shape: &[usize], values: &[f32]) -> Result<Vec<Encoded>> {
    assert_eq!(values.len(), shape.iter().product::<usize>(), "a matrix of shape {shape:?}");
    let rows = shape[0];
    let plain = |dtype, bytes| Encoded { suffix: "", dtype, shape: shape.to_vec(), bytes };
    let row_values = || values.chunks_exact(values.len() / rows);
    Ok(match format {
        WeightFormat::F32 => {
            let bytes = values.iter().flat_map(|x| x.to_le_bytes());
            alloc::vec![plain(Dtype::F32, bytes.try_to_vec()?)]
        }
        WeightFormat::F16 => {
            let bytes = values.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes());
            alloc::vec![plain(Dtype::F16, bytes.try_to_vec()?)]
        }
        WeightFormat::Bf16 => {
            let bytes = values.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes());
            alloc::vec![plain(Dtype::BF16, bytes.try_to_vec()?)]
        }
        WeightFormat::Int8 => {
            let scales: Vec<f32> = row_values().map(weight_scale).try_to_vec()?;
            let mut bytes = try_with_capacity(values.len())?;
            for (row, scale) in row_values().zip(&scales) {
                bytes.extend(row.iter().map(|x| quantised_weight(*x, *scale).cast_unsigned()));
            }
            let scales = scales.iter().flat_map(|x| x.to_le_bytes()).try_to_vec()?;
            alloc::vec![
                plain(Dtype::I8, bytes),
                Encoded { suffix: "_scale", dtype: Dtype::F32, shape: alloc::vec![rows], bytes: scales },
            ]
        }
        WeightFormat::Q4 => {
            let groups = (values.len() / rows).div_ceil(Q4_GROUP);
            let mut steps = try_with_capacity(rows * groups * GROUP_BYTES)?;
            let mut scales = try_with_capacity(rows * groups * 2)?;
            let mut least = try_with_capacity(rows * groups * 2)?;
            for group in row_values().flat_map(|row| row.chunks(Q4_GROUP)).map(Q4Group::of) {
                let (lower, upper) = group.steps.split_at(GROUP_BYTES);
                steps.extend(lower.iter().zip(upper).map(|(lower, upper)| lower | upper << 4));
                scales.extend(group.scale.to_le_bytes());
                least.extend(group.least.to_le_bytes());
            }
            let of_groups = |suffix, bytes| Encoded {
                suffix,
                dtype: Dtype::BF16,
                shape: alloc::vec![rows, groups],
                bytes,
            };
            let shape = alloc::vec![rows, groups, GROUP_BYTES];
            alloc::vec![
                Encoded { suffix: "", dtype: Dtype::U8, shape, bytes: steps },
                of_groups("_scale", scales),
                of_groups("_least", least),
            ]
        }
    })
}

/// The tensors that the one called `name` becomes, in an archive that a model was loaded from in `format`: a matrix that was
/// packed is encoded, what was balanced with it is written so, and everything else as it is.
///
/// # Errors
/// As [`Archive::values`].
pub fn encode_tensor(archive: &Archive<'_>, name: &str, format: WeightFormat) -> Result<Vec<Encoded>> {
    let is_packed = archive.is_packed(name);
    if is_packed || (format == WeightFormat::Int8 && archive.is_balanced(name)) {
        let values = archive.values(name, format, Level::detect())?;
        let shape = archive.get(name).map_or(&[][..], |info| info.shape);
        return encode(if is_packed { format } else { WeightFormat::F32 }, shape, &values);
    }
    let bytes = archive.bytes(name)?;
    let TensorInfo { dtype, shape, .. } = archive.get(name).expect("a tensor whose bytes were read");
    Ok(alloc::vec![Encoded { suffix: "", dtype, shape: shape.to_vec(), bytes }])
}

/// How the values of a tensor are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// As its elements are.
    Plain,
    /// With the scales of its rows.
    Int8,
    /// With the scales and least values of its groups, and this shape.
    Q4(Vec<usize>),
}

impl Stored {
    /// Of the tensor `info`, where `find` finds others and `shape` is what the metadata say of its shape.
    ///
    /// # Errors
    /// `TensorShape`, `TensorDtype` or `MissingTensor` for what does not fit.
    pub(super) fn of<'t>(
        info: TensorInfo<'_>,
        shape: Option<&str>,
        find: impl Fn(&str) -> Option<TensorInfo<'t>>,
    ) -> Result<Self> {
        let part = |suffix: &str, dtype: Dtype, shape: &[usize]| {
            let name = alloc::format!("{}{suffix}", info.name);
            let part = find(&name).ok_or_else(|| {
                err!(MissingTensor, "missing tensor {}, a part of {}", quoted(&name), quoted(info.name))
            })?;
            if part.shape != shape {
                return Err(err!(
                    TensorShape,
                    "tensor {}: expected {shape:?}, found {:?}",
                    quoted(&name),
                    part.shape
                ));
            }
            if part.dtype != dtype {
                return Err(err!(
                    TensorDtype,
                    "tensor {}: expected {dtype}, found {}",
                    quoted(&name),
                    part.dtype
                ));
            }
            Ok(())
        };
        match (info.dtype, shape) {
            (Dtype::I8, None) if find(&alloc::format!("{}_scale", info.name)).is_some() => {
                let rows = info.shape.first().copied().unwrap_or(1);
                part("_scale", Dtype::F32, &[rows])?;
                Ok(Self::Int8)
            }
            (Dtype::U8, Some(shape)) => {
                let logical = parse_shape(info.name, shape)?;
                let (rows, depth) = (logical[0], logical[1..].iter().product::<usize>());
                let groups = depth.div_ceil(Q4_GROUP);
                if info.shape != [rows, groups, GROUP_BYTES] {
                    return Err(err!(
                        TensorShape,
                        "tensor {}: {:?} are not the groups of {logical:?}",
                        quoted(info.name),
                        info.shape
                    ));
                }
                part("_scale", Dtype::BF16, &[rows, groups])?;
                part("_least", Dtype::BF16, &[rows, groups])?;
                Ok(Self::Q4(logical))
            }
            (_, Some(_)) => Err(err!(
                TensorDtype,
                "tensor {}: {} of {SHAPE_KEY}, which is for 4-bit values in U8",
                quoted(info.name),
                info.dtype
            )),
            _ => Ok(Self::Plain),
        }
    }
}

/// `768,3072`: at most eight numbers whose product is a size.
fn parse_shape(name: &str, text: &str) -> Result<Vec<usize>> {
    let numbers: Option<Vec<usize>> = text.split(',').map(|number| number.parse().ok()).collect();
    let product = |shape: &[usize]| shape.iter().try_fold(1usize, |product, n| product.checked_mul(*n));
    numbers
        .filter(|shape| (2..=super::MAX_RANK).contains(&shape.len()) && product(shape).is_some_and(|n| n > 0))
        .ok_or_else(|| err!(Format, "{SHAPE_KEY}{name} is {}, which is no shape of a matrix", quoted(text)))
}

/// Writes `shape` as the metadata have it: its dimensions with commas between them.
pub fn shape_text(shape: &[usize]) -> String {
    let numbers: Vec<String> = shape.iter().map(|n| alloc::format!("{n}")).collect();
    numbers.join(",")
}

/// Values of int8 rows.
pub(super) fn decode_int8(steps: &[u8], scales: &[f32], out: &mut [f32]) {
    if out.is_empty() {
        return;
    }
    let depth = out.len() / scales.len();
    for ((steps, out), scale) in steps.chunks_exact(depth).zip(out.chunks_exact_mut(depth)).zip(scales) {
        for (out, step) in out.iter_mut().zip(steps) {
            *out = f32::from(step.cast_signed()) * scale;
        }
    }
}

/// Values of rows in groups of 4 bits.
pub(super) fn decode_q4(steps: &[u8], [scales, least]: [&[f32]; 2], depth: usize, out: &mut [f32]) {
    let groups = depth.div_ceil(Q4_GROUP);
    for (row, out) in out.chunks_exact_mut(depth).enumerate() {
        for (group, out) in out.chunks_mut(Q4_GROUP).enumerate() {
            let index = row * groups + group;
            let bytes = &steps[index * GROUP_BYTES..][..GROUP_BYTES];
            for (i, out) in out.iter_mut().enumerate() {
                let step = if i < GROUP_BYTES { bytes[i] & 15 } else { bytes[i - GROUP_BYTES] >> 4 };
                *out = f32::from(step) * scales[index] + least[index];
            }
        }
    }
}
