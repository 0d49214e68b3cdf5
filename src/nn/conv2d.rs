//! Convolution layers over tokens.

use alloc::vec::Vec;

use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq};
use crate::kernels::activation::Activation;
use crate::kernels::conv::{self, ConvShape, PackedConv};
use crate::kernels::gemm::Packing;
use crate::weights::Scope;

/// `y = act(conv(x, W) + b)`; see [`conv2d`](conv::conv2d).
#[derive(Clone, Debug)]
pub struct Conv2d {
    weight: PackedConv,
    bias: Option<Vec<f32>>,
}

impl Conv2d {
    /// Binds `weight` of shape `[outputs, inputs / groups, kernel height, kernel width]` and `bias` of shape
    /// `[outputs]`.
    ///
    /// # Errors
    /// As [`ConvShape::check`] and [`Scope::f32`].
    pub fn bind(scope: &Scope<'_>, shape: ConvShape) -> Result<Self> {
        let layer = Self::bind_without_bias(scope, shape)?;
        Ok(Self { bias: Some(scope.f32("bias", &[shape.outputs])?), ..layer })
    }

    /// Packs `weight` of shape `[outputs, inputs / groups, kernel height, kernel width]`.
    ///
    /// # Errors
    /// As [`ConvShape::check`], and `OutOfMemory`.
    ///
    /// # Panics
    /// If the lengths do not fit `shape`.
    pub fn new(
        packing: impl Into<Packing>,
        shape: ConvShape,
        weight: &[f32],
        bias: Option<Vec<f32>>,
    ) -> Result<Self> {
        shape.check()?;
        assert!(bias.as_ref().is_none_or(|bias| bias.len() == shape.outputs), "bias of {shape:?}");
        Ok(Self { weight: PackedConv::pack(packing, shape, weight)?, bias })
    }

    /// Binds `weight` alone.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub fn bind_without_bias(scope: &Scope<'_>, shape: ConvShape) -> Result<Self> {
        shape.check()?;
        Self::new(scope.packing(), shape, &bind_weight(scope, shape)?, None)
    }

    /// `y ← act(conv(x) + b)` for `x` of `size = [height, width]` pixels; `y: [height, width, outputs]` of the size
    /// that [`ConvShape::output_size`] tells.
    ///
    /// # Panics
    /// As [`conv2d`](conv::conv2d).
    pub fn forward(
        &self,
        cx: &Cx,
        size: [usize; 2],
        x: &[f32],
        activation: Activation,
        y: &mut [f32],
        scratch: Scratch<'_>,
    ) {
        conv::conv2d(cx, &self.weight, size, x, self.bias.as_deref(), activation, y, scratch);
    }

    /// [`forward`](Self::forward) of several images `x` of `[batches, height, width]` pixels.
    ///
    /// # Panics
    /// As [`conv2d_batch`](conv::conv2d_batch).
    pub fn forward_batch(
        &self,
        cx: &Cx,
        size: [usize; 3],
        x: &[f32],
        activation: Activation,
        y: &mut [f32],
        scratch: Scratch<'_>,
    ) {
        conv::conv2d_batch(cx, &self.weight, size, x, self.bias.as_deref(), activation, y, scratch);
    }

    /// Scratch that [`forward_batch`](Self::forward_batch) needs.
    ///
    /// # Panics
    /// If the input is too small for the kernel.
    pub fn batch_scratch_req(&self, cx: &Cx, size: [usize; 3]) -> ScratchReq {
        conv::batch_scratch_req(cx, &self.weight, size)
    }

    /// Scratch that [`forward`](Self::forward) needs.
    ///
    /// # Panics
    /// If the input is too small for the kernel.
    pub fn scratch_req(&self, cx: &Cx, size: [usize; 2]) -> ScratchReq {
        conv::scratch_req(cx, &self.weight, size)
    }

    /// The convolution's sizes.
    pub fn shape(&self) -> &ConvShape {
        self.weight.shape()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.weight.bytes() + self.bias.as_ref().map_or(0, |bias| size_of_val(&bias[..]))
    }
}

/// The weights of a convolution. Depthwise ones are no product, and f32 in every format.
///
/// # Errors
/// As [`Scope::f32`].
pub fn bind_weight(scope: &Scope<'_>, shape: ConvShape) -> Result<Vec<f32>> {
    match shape.is_depthwise() {
        true => scope.f32("weight", &shape.weight_shape()),
        false => scope.matrix("weight", &shape.weight_shape()),
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use safetensors::Dtype;
    use safetensors::tensor::{TensorView, serialize};

    use super::*;
    use crate::ErrorCode;
    use crate::simd::Level;
    use crate::weights::{Bundle, BundleParts};

    /// A file with `conv.weight`, all ones, of `shape` and `conv.bias`, `0, 1, …`, of `[outputs]`.
    fn file(shape: [usize; 4], outputs: usize) -> Vec<u8> {
        let bytes = |values: &[f32]| values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        let weight = bytes(&vec![1.0; shape.iter().product()]);
        let bias = bytes(&(0..outputs).map(|i| i as f32).collect::<Vec<_>>());
        let view = |shape: &[usize], data| TensorView::new(Dtype::F32, shape.to_vec(), data).unwrap();
        let tensors = [("conv.weight", view(&shape, &weight)), ("conv.bias", view(&[outputs], &bias))];
        serialize(tensors, None).unwrap()
    }

    #[test]
    fn binds_and_computes() {
        let level = Level::detect();
        let cx = Cx::serial(level);
        let bytes = file([2, 3, 3, 3], 2);
        let bundle = Bundle::from_memory(BundleParts::new(&bytes)).unwrap();
        let shape = ConvShape::new(3, 2, [3, 3]).with_padding([1, 1]);
        let scope = bundle.scope(level).at("conv");
        for (layer, bias) in
            [(Conv2d::bind_without_bias(&scope, shape), 0.0), (Conv2d::bind(&scope, shape), 1.0)]
        {
            let layer = layer.unwrap();
            let mut y = [f32::NAN; 8];
            let mut workspace = cx.workspace(layer.scratch_req(&cx, [2, 2])).unwrap();
            layer.forward(&cx, [2, 2], &[1.0; 12], Activation::Relu, &mut y, workspace.scratch());
            assert_eq!(y, [12.0, 12.0 + bias, 12.0, 12.0 + bias, 12.0, 12.0 + bias, 12.0, 12.0 + bias]);
        }
    }

    #[test]
    fn errors_name_the_tensor() {
        let bytes = file([2, 3, 3, 3], 1);
        let bundle = Bundle::from_memory(BundleParts::new(&bytes)).unwrap();
        let scope = bundle.scope(Level::detect());
        let shape = ConvShape::new(3, 2, [3, 3]);
        let error = |scope: &Scope<'_>, shape| Conv2d::bind(scope, shape).unwrap_err();

        let wrong_bias = error(&scope.at("conv"), shape);
        assert_eq!(wrong_bias.code(), ErrorCode::TensorShape);
        assert_eq!(wrong_bias.to_string(), r#"tensor "conv.bias": expected [2], found [1]"#);
        let missing = error(&scope, shape);
        assert_eq!(missing.to_string(), r#"missing tensor "weight""#);
        let groups = error(&scope.at("conv"), shape.with_groups(2));
        assert_eq!(groups.code(), ErrorCode::InvalidArgument);
    }
}
