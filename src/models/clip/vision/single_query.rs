//! Attention of one query a picture, which needs neither keys nor values.
//!
//! Of head `h` of `softmax(s · q (W_k x + b_k)ᵀ) (W_v x + b_v)`, the scores and the sum with weights `p` are
//!
//! ```text
//! q_h · (W_k,h x + b_k,h) = (W_k,hᵀ q_h) · x + a constant        Σ p (W_v,h x + b_v,h) = W_v,h (Σ p x) + b_v,h
//! ```
//!
//! The constant is the same for all tokens, so that the softmax does not change with it. Tokens meet two vectors a head where keys
//! and values are two products with matrices `[D, D]`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq, TryCollect, try_zeroed};
use crate::kernels::attention::{self, AttentionShape, Bias, attention};
use crate::kernels::gemm::{PackedWeights, grouped, grouped_scratch_req};
use crate::nn::attention_scale;
use crate::weights::Scope;

/// A projection from `D` to `D` features: part `index` of the rows of a checkpoint's matrix `[count · D, D]`.
pub(super) struct Projection<'a> {
    pub(super) scope: Scope<'a>,
    /// Names of the matrix and of its bias.
    pub(super) names: [&'static str; 2],
    pub(super) index: usize,
    pub(super) count: usize,
}

impl Projection<'_> {
    /// The matrix, `[D, D]`.
    pub(super) fn matrix(&self, dim: usize) -> Result<Vec<f32>> {
        let all = self.scope.matrix(self.names[0], &[self.count * dim, dim])?;
        Ok(self.part(all, dim * dim))
    }

    /// The bias, `[D]`.
    pub(super) fn bias(&self, dim: usize) -> Result<Vec<f32>> {
        let all = self.scope.f32(self.names[1], &[self.count * dim])?;
        Ok(self.part(all, dim))
    }

    fn part(&self, mut all: Vec<f32>, len: usize) -> Vec<f32> {
        all.truncate((self.index + 1) * len);
        all.drain(..self.index * len);
        all
    }

    /// The name of a matrix that is made of it.
    pub(super) fn key(&self) -> String {
        match self.count {
            1 => self.names[0].into(),
            _ => format!("{}[{}]", self.names[0], self.index),
        }
    }

    /// A matrix `shape` for each head: what `cut` makes of the head's rows of the projection.
    fn bind_heads(
        &self,
        [dim, heads]: [usize; 2],
        shape: [usize; 2],
        cut: impl Fn(&[f32], &mut [f32]),
    ) -> Result<Vec<PackedWeights>> {
        let mut matrix = None;
        let head = |head: usize| {
            self.scope.pack(&format!("{}.heads[{head}]", self.key()), shape, || {
                let matrix = match &mut matrix {
                    Some(matrix) => matrix,
                    none => none.insert(self.matrix(dim)?),
                };
                let len = shape[0] * shape[1];
                let mut values = try_zeroed(len)?;
                cut(&matrix[head * len..][..len], &mut values);
                Ok(values)
            })
        };
        (0..heads).map(head).try_values()
    }

    /// The projection, whose products are f32.
    pub(super) fn keep_f32(&self) -> Self {
        Self { scope: self.scope.keep_f32(), ..*self }
    }
}

/// `W_k` of each head, which turns a query to what tokens meet.
#[derive(Debug)]
pub(super) struct Keys(Vec<PackedWeights>);

impl Keys {
    /// Binds the projection to keys of `heads` heads.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub(super) fn bind(projection: &Projection<'_>, [dim, heads]: [usize; 2]) -> Result<Self> {
        let transposed = |rows: &[f32], out: &mut [f32]| {
            for (i, out) in out.chunks_exact_mut(dim / heads).enumerate() {
                out.iter_mut().zip(rows[i..].iter().step_by(dim)).for_each(|(to, from)| *to = *from);
            }
        };
        // Read because it must be there; the softmax does not change with it.
        projection.bias(dim)?;
        Ok(Self(projection.bind_heads([dim, heads], [dim, dim / heads], transposed)?))
    }

    /// `directions: [images, heads, D]` ← `W_k,hᵀ q_h` of `q: [images, D]`.
    pub(super) fn forward(&self, cx: &Cx, q: &[f32], directions: &mut [f32], scratch: Scratch<'_>) {
        grouped(cx, &self.0, q, directions, scratch);
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub(super) fn scratch_req(&self, cx: &Cx, images: usize) -> ScratchReq {
        grouped_scratch_req(cx, images, &self.0)
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(PackedWeights::bytes).sum()
    }
}

/// `W_v` of each head and `b_v`, for the sum of the tokens.
#[derive(Debug)]
pub(super) struct Values {
    heads: Vec<PackedWeights>,
    bias: Vec<f32>,
}

impl Values {
    /// Binds the projection to values of `heads` heads.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub(super) fn bind(projection: &Projection<'_>, [dim, heads]: [usize; 2]) -> Result<Self> {
        let rows = |rows: &[f32], out: &mut [f32]| out.copy_from_slice(rows);
        Ok(Self {
            heads: projection.bind_heads([dim, heads], [dim / heads, dim], rows)?,
            bias: projection.bias(dim)?,
        })
    }

    /// `out: [images, D]` ← the attention of queries with these `directions: [images, heads, D]` to `x: [images, tokens, D]`.
    pub(super) fn attend(
        &self,
        cx: &Cx,
        [images, tokens]: [usize; 2],
        directions: &[f32],
        x: &[f32],
        out: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        let shape = self.shape([images, tokens]);
        let sums = scratch.take(directions.len());
        let scale = attention_scale(self.heads[0].rows());
        attention(cx, &shape, scale, directions, x, x, Bias::None, sums, scratch.frame());
        grouped(cx, &self.heads, sums, out, scratch);
        for out in out.chunks_exact_mut(self.bias.len()) {
            out.iter_mut().zip(&self.bias).for_each(|(out, bias)| *out += bias);
        }
    }

    /// Scratch that [`attend`](Self::attend) needs.
    pub(super) fn scratch_req(&self, cx: &Cx, [images, tokens]: [usize; 2]) -> ScratchReq {
        let sums = ScratchReq::slice(images * self.heads.len() * self.bias.len());
        sums.and(ScratchReq::any([
            attention::scratch_req(cx, &self.shape([images, tokens])),
            grouped_scratch_req(cx, images, &self.heads),
        ]))
    }

    pub(super) fn bytes(&self) -> usize {
        self.heads.iter().map(PackedWeights::bytes).sum::<usize>() + size_of_val(&self.bias[..])
    }

    /// The heads are queries of one head as wide as a token, whose keys and values are the tokens themselves.
    fn shape(&self, [images, tokens]: [usize; 2]) -> AttentionShape {
        let head_dim = self.bias.len();
        AttentionShape {
            batches: images,
            heads: 1,
            queries: self.heads.len(),
            keys: tokens,
            head_dim,
            bf16: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use safetensors::Dtype;
    use safetensors::tensor::{TensorView, serialize};

    use super::*;
    use crate::kernels::testing::{Rng, assert_near};
    use crate::simd::Level;
    use crate::weights::{Bundle, BundleParts};

    const DIM: usize = 6;
    const HEADS: usize = 2;
    const TOKENS: usize = 5;

    fn part<'a>(scope: &Scope<'a>, index: usize) -> Projection<'a> {
        Projection { scope: scope.clone(), names: ["all", "bias"], index, count: 3 }
    }

    /// Against keys and values that are computed.
    #[test]
    fn attends_as_with_keys_and_values() {
        let mut rng = Rng::new(4);
        let [weight, bias, x, q] =
            [3 * DIM * DIM, 3 * DIM, 2 * TOKENS * DIM, 2 * DIM].map(|len| rng.vec(len, -1.0..=1.0));
        fn view<'a>(shape: &[usize], values: &'a [f32]) -> TensorView<'a> {
            TensorView::new(Dtype::F32, shape.to_vec(), bytemuck::cast_slice(values)).unwrap()
        }
        let tensors = [("all", view(&[3 * DIM, DIM], &weight)), ("bias", view(&[3 * DIM], &bias))];
        let bytes = serialize(tensors, None).unwrap();
        let bundle = Bundle::from_memory(BundleParts::new(&bytes)).unwrap();
        let project = |index: usize, token: &[f32]| -> Vec<f32> {
            let rows = weight[index * DIM * DIM..].chunks_exact(DIM).zip(&bias[index * DIM..]).take(DIM);
            rows.map(|(row, bias)| bias + row.iter().zip(token).map(|(w, x)| w * x).sum::<f32>()).collect()
        };
        let mut expected = vec![0.0; 2 * DIM];
        for (image, expected) in expected.chunks_exact_mut(DIM).enumerate() {
            let tokens = x[image * TOKENS * DIM..][..TOKENS * DIM].chunks_exact(DIM);
            let kv: Vec<_> = tokens.map(|token| [project(1, token), project(2, token)]).collect();
            for features in [0..DIM / HEADS, DIM / HEADS..DIM] {
                let q = &q[image * DIM..][features.clone()];
                let score = |k: &[f32]| k.iter().zip(q).map(|(k, q)| k * q).sum::<f32>();
                let odds = kv.iter().map(|[k, _]| f64::from(score(&k[features.clone()])) / libm::sqrt(3.0));
                let odds: Vec<f64> = odds.map(libm::exp).collect();
                for i in features {
                    let sum: f64 = odds.iter().zip(&kv).map(|(p, [_, v])| p * f64::from(v[i])).sum();
                    expected[i] = sum / odds.iter().sum::<f64>();
                }
            }
        }
        for level in Level::available() {
            let cx = Cx::serial(level);
            let scope = bundle.scope(level);
            let keys = Keys::bind(&part(&scope, 1), [DIM, HEADS]).unwrap();
            let values = Values::bind(&part(&scope, 2), [DIM, HEADS]).unwrap();
            let (mut directions, mut out) = (vec![f32::NAN; 2 * HEADS * DIM], vec![f32::NAN; 2 * DIM]);
            let req = keys.scratch_req(&cx, 2).or(values.scratch_req(&cx, [2, TOKENS]));
            let mut workspace = cx.workspace(req).unwrap();
            keys.forward(&cx, &q, &mut directions, workspace.scratch());
            values.attend(&cx, [2, TOKENS], &directions, &x, &mut out, workspace.scratch());
            assert_near(&out, &expected, |_| 1e-5);
        }
    }
}
