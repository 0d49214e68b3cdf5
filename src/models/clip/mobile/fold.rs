//! Branches of convolutions folded into one kernel (Ding et al., RepVGG, 2021): a convolution is linear in its kernel, so that the
//! sum of several is the convolution with the sum of their kernels, smaller ones at the centre of the largest.
//!
//! Sums are f32. Sources: `mobileclip/modules/common/mobileone.py`, `modules/image/replknet.py` and `models/mci.py` of
//! `ml-mobileclip`.

use alloc::vec::Vec;

use super::{EPS, Names};
use crate::error::Result;
use crate::exec::try_zeroed;
use crate::kernels::conv::ConvShape;
use crate::nn::{BatchNorm, Conv2d};
use crate::weights::Scope;

/// Which branches a MobileOne block has.
#[derive(Clone, Copy, Debug)]
pub(in crate::models::clip) struct Branches {
    /// Convolutions with a norm each, one or more.
    pub(in crate::models::clip) convs: bool,
    /// A convolution of one tap with a norm.
    pub(in crate::models::clip) pointwise: bool,
    /// The input, with a norm.
    pub(in crate::models::clip) skip: bool,
}

/// The convolution that already has all branches in it.
const FOLDED: &str = "reparam_conv";

/// The bias of the MobileOne block `scope` of `channels` outputs: the sum of those of its norms.
pub(in crate::models::clip) fn mobile_one_bias(
    scope: &Scope<'_>,
    names: &Names,
    channels: usize,
    branches: Branches,
) -> Result<Vec<f32>> {
    let folded = scope.at(FOLDED);
    if folded.contains("weight") {
        return folded.f32("bias", &[channels]);
    }
    let mut sum = try_zeroed(channels)?;
    for_each_norm(scope, names, branches, |norm| {
        let bias = BatchNorm::bind(norm, channels, EPS)?.into_bias();
        sum.iter_mut().zip(&bias).for_each(|(sum, bias)| *sum += bias);
        Ok(())
    })?;
    Ok(sum)
}

/// Calls `norm` with the scope of every branch's norm.
fn for_each_norm(
    scope: &Scope<'_>,
    names: &Names,
    branches: Branches,
    mut norm: impl FnMut(&Scope<'_>) -> Result<()>,
) -> Result<()> {
    let [convs, pointwise, skip] = names.branches.map(|name| scope.at(name));
    for conv in conv_branches(&convs, branches) {
        norm(&conv.at("bn"))?;
    }
    if branches.pointwise {
        norm(&pointwise.at("bn"))?;
    }
    if branches.skip {
        norm(&skip)?;
    }
    Ok(())
}

/// The scopes of the convolutions of a block that has some: the first, and those that are there beside it.
fn conv_branches<'a>(convs: &Scope<'a>, branches: Branches) -> impl Iterator<Item = Scope<'a>> {
    let convs = convs.clone();
    let numbers = 0..if branches.convs { usize::MAX } else { 0 };
    numbers
        .map(move |i| convs.at(i))
        .enumerate()
        .take_while(|(i, conv)| *i == 0 || conv.contains("conv.weight"))
        .map(|it| it.1)
}

/// The kernel of the MobileOne block `scope`.
pub(in crate::models::clip) fn mobile_one(
    scope: &Scope<'_>,
    names: &Names,
    shape: ConvShape,
    branches: Branches,
) -> Result<Vec<f32>> {
    shape.check()?;
    let folded = scope.at(FOLDED);
    if folded.contains("weight") {
        return read(&folded, "weight", shape);
    }
    let [convs, pointwise, skip] = names.branches.map(|name| scope.at(name));
    let mut convs = conv_branches(&convs, branches);
    let mut sum = match convs.next() {
        Some(conv) => normed(&conv, shape)?,
        None => try_zeroed(shape.weight_shape().iter().product())?,
    };
    for conv in convs {
        add(&mut sum, shape, &normed(&conv, shape)?, shape.kernel);
    }
    if branches.pointwise {
        let small = ConvShape { kernel: [1, 1], ..shape };
        add(&mut sum, shape, &normed(&pointwise, small)?, [1, 1]);
    }
    if branches.skip {
        let mut factors = ones(shape)?;
        BatchNorm::bind(&skip, shape.outputs, EPS)?.scale(&mut factors);
        add_identity(&mut sum, shape, &factors);
    }
    Ok(sum)
}

/// Kernel and bias of a large kernel in `scope` with a small one beside it, each with a norm.
pub(in crate::models::clip) fn large_kernel(
    scope: &Scope<'_>,
    names: &Names,
    shape: ConvShape,
) -> Result<[Vec<f32>; 2]> {
    shape.check()?;
    let [large, small, folded] = names.large.map(|name| scope.at(name));
    if folded.contains("weight") {
        return Ok([read(&folded, "weight", shape)?, folded.f32("bias", &[shape.outputs])?]);
    }
    let mut weight = normed(&large, shape)?;
    let kernel = [3, 3];
    add(&mut weight, shape, &normed(&small, ConvShape { kernel, ..shape })?, kernel);
    let mut bias = BatchNorm::bind(&large.at("bn"), shape.outputs, EPS)?.into_bias();
    let other = BatchNorm::bind(&small.at("bn"), shape.outputs, EPS)?.into_bias();
    bias.iter_mut().zip(&other).for_each(|(bias, other)| *bias += other);
    Ok([weight, bias])
}

/// Kernel and bias of `x + conv(x)`, for positions that a convolution encodes.
pub(in crate::models::clip) fn positions(
    scope: &Scope<'_>,
    names: &Names,
    shape: ConvShape,
) -> Result<[Vec<f32>; 2]> {
    let folded = scope.at(FOLDED);
    if folded.contains("weight") {
        return Ok([read(&folded, "weight", shape)?, folded.f32("bias", &[shape.outputs])?]);
    }
    let conv = scope.at(names.positions);
    let (mut weight, bias) = (read(&conv, "weight", shape)?, conv.f32("bias", &[shape.outputs])?);
    add_identity(&mut weight, shape, &ones(shape)?);
    Ok([weight, bias])
}

/// Kernel and bias of a token mixer: `x + γ ∘ (mixer(x) − norm(x))`.
pub(super) fn token_mixer(scope: &Scope<'_>, names: &Names, shape: ConvShape) -> Result<[Vec<f32>; 2]> {
    let folded = scope.at(FOLDED);
    if folded.contains("weight") {
        return Ok([read(&folded, "weight", shape)?, folded.f32("bias", &[shape.outputs])?]);
    }
    // Kernels along a text have one row, and then no branch of one tap.
    let branches = Branches { convs: true, pointwise: shape.kernel[0] > 1, skip: true };
    let alone = Branches { convs: false, pointwise: false, skip: true };
    let channels = shape.outputs;
    let [mixer, norm] = ["mixer", "norm"].map(|name| scope.at(name));
    let mut weight = mobile_one(&mixer, names, shape, branches)?;
    let mut bias = mobile_one_bias(&mixer, names, channels, branches)?;
    let scale = scale_of(scope, names, "layer_scale", channels)?;
    let pass = mobile_one(&norm, names, shape, alone)?;
    let pass_bias = mobile_one_bias(&norm, names, channels, alone)?;
    weight.iter_mut().zip(&pass).for_each(|(weight, pass)| *weight -= pass);
    bias.iter_mut().zip(&pass_bias).for_each(|(bias, pass)| *bias -= pass);
    let taps = weight.len() / channels;
    for (i, scale) in scale.iter().enumerate() {
        weight[i * taps..][..taps].iter_mut().for_each(|weight| *weight *= scale);
        bias[i] *= scale;
    }
    add_identity(&mut weight, shape, &ones(shape)?);
    Ok([weight, bias])
}

/// The scale of channels called `name`.
pub(in crate::models::clip) fn scale_of(
    scope: &Scope<'_>,
    names: &Names,
    name: &str,
    channels: usize,
) -> Result<Vec<f32>> {
    scope.f32(&alloc::format!("{name}{}", names.scale), &[channels, 1, 1])
}

/// The convolution `conv` of `scope` with the batch norm `bn` after it.
pub(super) fn bind_conv(scope: &Scope<'_>, shape: ConvShape) -> Result<Conv2d> {
    let weight = normed(scope, shape)?;
    let bias = BatchNorm::bind(&scope.at("bn"), shape.outputs, EPS)?.into_bias();
    Conv2d::new(scope.packing(), shape, &weight, Some(bias))
}

/// The kernel `conv` of `scope`, scaled by the norm `bn`.
fn normed(scope: &Scope<'_>, shape: ConvShape) -> Result<Vec<f32>> {
    let mut weight = read(scope, "conv.weight", shape)?;
    BatchNorm::bind(&scope.at("bn"), shape.outputs, EPS)?.scale(&mut weight);
    Ok(weight)
}

/// The kernel called `name`. Only those that are products are in the format of the packing.
fn read(scope: &Scope<'_>, name: &str, shape: ConvShape) -> Result<Vec<f32>> {
    match shape.groups {
        1 => scope.matrix(name, &shape.weight_shape()),
        _ => scope.f32(name, &shape.weight_shape()),
    }
}

fn ones(shape: ConvShape) -> Result<Vec<f32>> {
    let mut ones = try_zeroed(shape.outputs)?;
    ones.fill(1.0);
    Ok(ones)
}

/// Adds kernels of `small` taps at the centres of the kernels `sum`.
fn add(sum: &mut [f32], shape: ConvShape, kernels: &[f32], small: [usize; 2]) {
    let [height, width] = shape.kernel;
    let first = [(height - small[0]) / 2, (width - small[1]) / 2];
    let kernels = kernels.chunks_exact(small[0] * small[1]);
    for (sum, kernel) in sum.chunks_exact_mut(height * width).zip(kernels) {
        for (row, kernel) in kernel.chunks_exact(small[1]).enumerate() {
            let sum = &mut sum[(first[0] + row) * width + first[1]..][..small[1]];
            sum.iter_mut().zip(kernel).for_each(|(sum, tap)| *sum += tap);
        }
    }
}

/// Adds kernels that give every channel times its factor, for as many outputs as inputs.
fn add_identity(sum: &mut [f32], shape: ConvShape, factors: &[f32]) {
    let [_, inputs, height, width] = shape.weight_shape();
    let taps = height * width;
    for (i, factor) in factors.iter().enumerate() {
        sum[(i * inputs + i % inputs) * taps + height / 2 * width + width / 2] += factor;
    }
}
