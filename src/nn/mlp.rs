//! The multilayer perceptron of a transformer block.

use super::{LayerNorm, Linear};
use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq};
use crate::kernels::activation::Activation;
use crate::kernels::gemm::{Destination, Rows};
use crate::weights::Scope;

/// `fc2(act(fc1(x)))`.
#[derive(Clone, Debug)]
pub struct Mlp {
    fc1: Linear,
    fc2: Linear,
    activation: Activation,
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
        Self { fc1, fc2, activation }
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
        let (dim, inner) = (self.fc1.inputs(), self.fc1.outputs());
        let tokens = x.len() / dim;
        let h = scratch.take(tokens * inner);
        let hidden = Destination::Store { out: h, stride: inner };
        self.fc1.forward(cx, &Rows::new(y, tokens, dim), self.activation, hidden, scratch.frame());
        let residual = Destination::Add { out: x, stride: dim };
        self.fc2.forward(cx, &Rows::new(h, tokens, inner), Activation::None, residual, scratch);
    }

    /// Scratch that [`forward_add`](Self::forward_add) and [`add`](Self::add) need for `tokens` tokens.
    pub fn scratch_req(&self, cx: &Cx, tokens: usize) -> ScratchReq {
        let tokens = tokens.min(BLOCK);
        let layers = self.fc1.scratch_req(cx, tokens).or(self.fc2.scratch_req(cx, tokens));
        ScratchReq::slices(self.buffers(tokens)).and(layers)
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.fc1.bytes() + self.fc2.bytes()
    }

    /// Lengths of the normed tokens and of their inner features.
    fn buffers(&self, tokens: usize) -> [usize; 2] {
        [tokens * self.fc1.inputs(), tokens * self.fc1.outputs()]
    }
}
