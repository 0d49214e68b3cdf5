//! Fully connected layers.

use alloc::vec::Vec;

use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq};
use crate::kernels::activation::Activation;
use crate::kernels::gemm::{self, Destination, Lhs, PackedWeights, Packing, WeightFormat};
use crate::weights::Scope;

/// `y = act(x Wᵀ + b)`, with `W: [outputs, inputs]` as checkpoints store it.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: PackedWeights,
    bias: Option<Vec<f32>>,
}

impl Linear {
    /// Binds `weight` of shape `[outputs, inputs]` and `bias` of shape `[outputs]`.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(scope: &Scope<'_>, shape: [usize; 2]) -> Result<Self> {
        let weight = scope.pack("weight", shape, || scope.matrix("weight", &shape))?;
        Ok(Self::of(weight, Some(scope.f32("bias", &shape[..1])?)))
    }

    /// A packed `weight`, and a bias.
    ///
    /// # Panics
    /// If the bias has another length than the outputs.
    pub fn of(weight: PackedWeights, bias: Option<Vec<f32>>) -> Self {
        let outputs = weight.rows();
        assert!(bias.as_ref().is_none_or(|bias| bias.len() == outputs), "bias of shape [{outputs}]");
        Self { weight, bias }
    }

    /// Packs `weight` of shape `[outputs, inputs]`.
    ///
    /// # Errors
    /// `OutOfMemory`.
    ///
    /// # Panics
    /// If the lengths do not fit `shape`, or `shape` has a 0.
    pub fn new(
        packing: impl Into<Packing>,
        shape: [usize; 2],
        weight: &[f32],
        bias: Option<Vec<f32>>,
    ) -> Result<Self> {
        let [outputs, inputs] = shape;
        Ok(Self::of(PackedWeights::pack(packing, outputs, inputs, weight)?, bias))
    }

    /// Packs the transpose of `weight`, which has shape `[inputs, outputs]`: the projections of OpenAI's CLIP.
    ///
    /// # Errors
    /// `OutOfMemory`.
    ///
    /// # Panics
    /// If `weight` does not have that shape, or `shape` has a 0.
    pub fn new_transposed(packing: impl Into<Packing>, shape: [usize; 2], weight: &[f32]) -> Result<Self> {
        let [inputs, outputs] = shape;
        assert_eq!(weight.len(), inputs * outputs, "weight of shape [{inputs}, {outputs}]");
        let weight = PackedWeights::pack_with(packing, outputs, inputs, |row, out| {
            out.iter_mut().zip(weight[row..].iter().step_by(outputs)).for_each(|(to, from)| *to = *from);
        })?;
        Ok(Self { weight, bias: None })
    }

    /// `output ← act(lhs Wᵀ + b)`; see [`gemm::gemm`].
    pub fn forward(
        &self,
        cx: &Cx,
        lhs: &impl Lhs,
        activation: Activation,
        output: Destination<'_>,
        scratch: Scratch<'_>,
    ) {
        gemm::gemm(cx, lhs, &self.weight, self.bias.as_deref(), activation, output, scratch);
    }

    /// Scratch that [`forward`](Self::forward) needs for `rows` rows.
    pub fn scratch_req(&self, cx: &Cx, rows: usize) -> ScratchReq {
        gemm::scratch_req(cx, rows, &self.weight)
    }

    /// The format of the weights.
    pub fn format(&self) -> WeightFormat {
        self.weight.format()
    }

    /// Output features.
    pub fn outputs(&self) -> usize {
        self.weight.rows()
    }

    /// Input features.
    pub fn inputs(&self) -> usize {
        self.weight.cols()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.weight.bytes() + self.bias.as_ref().map_or(0, |bias| size_of_val(&bias[..]))
    }
}
