//! The multilayer perceptron of a transformer block.

use super::{LayerNorm, Linear};
use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq};
use crate::kernels::activation::{Activation, gate};
use crate::kernels::gemm::{Destination, Rows};
use crate::weights::Scope;

/// `fc2(act(fc1(x)))`, or, gated, `fc2(norm(act(gates(x)) ∘ values(x)))`.
#[derive(Clone, Debug)]
pub struct Mlp {
    /// Of a gated one, gates and then values.
    fc1: Linear,
    fc2: Linear,
    activation: Activation,
    /// The norm of a gated one.
    gated: Option<LayerNorm>,
}

/// Tokens that pass through both layers at a time, so that the inner features of few exist.
const BLOCK: usize = 512;

impl Mlp {
    /// Binds the two layers called `names`, from `dim` to `inner` features and back.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(
        scope: &Scope<'_>,
        names: [&str; 2],
        [dim, inner]: [usize; 2],
        activation: Activation,
    ) -> Result<Self> {
        let [fc1, fc2] = names.map(|name| scope.at(name));
        let fc1 = Linear::bind(&fc1, [inner, dim])?;
        Ok(Self::new(fc1, Linear::bind(&fc2, [dim, inner])?, activation))
    }

    /// Two layers that are bound already.
    ///
    /// # Panics
    /// If the second does not lead back from the features of the first.
    pub fn new(fc1: Linear, fc2: Linear, activation: Activation) -> Self {
        assert_eq!((fc1.inputs(), fc1.outputs()), (fc2.outputs(), fc2.inputs()), "layers of an MLP");
        Self { fc1, fc2, activation, gated: None }
    }

    /// Gates and values, in this order the outputs of `fc1`, whose products `norm` normalises before `fc2`.
    ///
    /// # Panics
    /// If the layers do not fit each other.
    pub fn gated(fc1: Linear, norm: LayerNorm, fc2: Linear, activation: Activation) -> Self {
        let inner = norm.dim();
        assert_eq!((fc1.outputs(), fc1.inputs()), (2 * inner, fc2.outputs()), "layers of a gated MLP");
        assert_eq!(fc2.inputs(), inner, "layers of a gated MLP");
        Self { fc1, fc2, activation, gated: Some(norm) }
    }

    /// `x += fc2(act(fc1(norm(x))))` for tokens `x: [tokens, dim]`.
    ///
    /// # Panics
    /// If `x` is not whole tokens, or the scratch is shorter than [`scratch_req`](Self::scratch_req).
    pub fn forward_add(&self, cx: &Cx, norm: &LayerNorm, x: &mut [f32], mut scratch: Scratch<'_>) {
        let dim = self.fc1.inputs();
        assert!(x.len().is_multiple_of(dim), "{} elements are not tokens of {dim}", x.len());
        for x in x.chunks_mut(BLOCK * dim) {
            let mut scratch = scratch.frame();
            let y = scratch.take(x.len());
            norm.forward(cx, x, y);
            self.add_block(cx, y, x, scratch);
        }
    }

    /// `x += fc2(act(fc1(y)))` for tokens `x` and `y`.
    ///
    /// # Panics
    /// As [`forward_add`](Self::forward_add), or if there are not as many of both.
    pub fn add(&self, cx: &Cx, y: &[f32], x: &mut [f32], mut scratch: Scratch<'_>) {
        let dim = self.fc1.inputs();
        assert!(x.len() == y.len() && x.len().is_multiple_of(dim), "{} elements, {dim} of a token", x.len());
        for (x, y) in x.chunks_mut(BLOCK * dim).zip(y.chunks(BLOCK * dim)) {
            self.add_block(cx, y, x, scratch.frame());
        }
    }

    /// [`add`](Self::add) for so few tokens that their inner features may exist.
    fn add_block(&self, cx: &Cx, y: &[f32], x: &mut [f32], mut scratch: Scratch<'_>) {
        let (dim, width) = (self.fc1.inputs(), self.fc1.outputs());
        let tokens = x.len() / dim;
        let [_, len, gated_len] = self.buffers(tokens);
        let [h, products] = scratch.take_all([len, gated_len]);
        let hidden = Destination::Store { out: h, stride: width };
        let activation = if self.gated.is_some() { Activation::None } else { self.activation };
        self.fc1.forward(cx, &Rows::new(y, tokens, dim), activation, hidden, scratch.frame());
        let mut inner: &[f32] = h;
        if let Some(norm) = &self.gated {
            gate(cx, self.activation, h, norm.dim(), products);
            norm.forward_in_place(cx, products);
            inner = products;
        }
        let residual = Destination::Add { out: x, stride: dim };
        self.fc2.forward(
            cx,
            &Rows::new(inner, tokens, self.fc2.inputs()),
            Activation::None,
            residual,
            scratch,
        );
    }

    /// Scratch that [`forward_add`](Self::forward_add) and [`add`](Self::add) need for `tokens` tokens.
    pub fn scratch_req(&self, cx: &Cx, tokens: usize) -> ScratchReq {
        let tokens = tokens.min(BLOCK);
        let layers = self.fc1.scratch_req(cx, tokens).or(self.fc2.scratch_req(cx, tokens));
        ScratchReq::slices(self.buffers(tokens)).and(layers)
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.fc1.bytes() + self.fc2.bytes() + self.gated.as_ref().map_or(0, LayerNorm::bytes)
    }

    /// Lengths of the normed tokens, of what the first layer makes of them, and of the products of gates and values.
    fn buffers(&self, tokens: usize) -> [usize; 3] {
        let products = if self.gated.is_some() { tokens * self.fc2.inputs() } else { 0 };
        [tokens * self.fc1.inputs(), tokens * self.fc1.outputs(), products]
    }
}
