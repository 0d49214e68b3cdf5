//! Attention of a transformer block over windows of a grid of tokens.

use alloc::vec::Vec;

use super::{LayerNorm, Linear};
use crate::exec::{Cx, Scratch, ScratchReq};
use crate::kernels::activation::Activation;
use crate::kernels::attention::{
    Bias, WindowShape, attention_pooled_windows, attention_windows, windows_scratch_req,
};
use crate::kernels::gemm::{Destination, Rows};

/// The scale of scores, `1 / √d` for heads of `d` features.
pub fn attention_scale(head_dim: usize) -> f32 {
    1.0 / libm::sqrtf(head_dim as f32)
}

/// `proj(softmax(Q Kᵀ / √d + bias) V)` with `Q, K, V = qkv(x)`, in windows of a grid or over all of it.
///
/// The references pad the grid to whole windows. The padding is not computed: `padding` stands for its queries, keys and
/// values.
#[derive(Debug)]
pub struct WindowAttention {
    /// From `D` features to `[3, heads, head_dim]`.
    qkv: Linear,
    /// What `qkv` is for the padding of windows, `[3, heads, head_dim]`.
    padding: Vec<f32>,
    proj: Linear,
    heads: usize,
    /// Side of the windows.
    window: usize,
}

impl WindowAttention {
    /// Attention in windows of `window × window` tokens.
    ///
    /// # Panics
    /// If the parts do not fit each other.
    pub fn new(qkv: Linear, padding: Vec<f32>, proj: Linear, heads: usize, window: usize) -> Self {
        assert_eq!((qkv.outputs(), padding.len()), (3 * proj.inputs(), 3 * proj.inputs()), "heads");
        assert!(proj.inputs().is_multiple_of(heads), "{heads} heads of {} features", proj.inputs());
        Self { qkv, padding, proj, heads, window }
    }

    /// `x += proj(attention(qkv(norm(x))))` for a grid of tokens `x: [rows, columns, D]`. `y` is a buffer of the tokens'
    /// features or of those of all heads, whichever are more.
    ///
    /// # Panics
    /// If a slice does not have its size, or the scratch is shorter than [`scratch_req`](Self::scratch_req).
    #[allow(clippy::too_many_arguments, reason = "a norm, a grid, a bias, tokens and a buffer")]
    pub fn forward_add(
        &self,
        cx: &Cx,
        norm: &LayerNorm,
        grid: [usize; 2],
        bias: Bias<'_>,
        x: &mut [f32],
        y: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        let (tokens, dim, width) = (grid[0] * grid[1], self.qkv.inputs(), self.proj.inputs());
        {
            let mut scratch = scratch.frame();
            let qkv = scratch.take(self.qkv_len(grid));
            let normed = &mut y[..tokens * dim];
            norm.forward(cx, x, normed);
            self.project(cx, &Rows::new(normed, tokens, dim), qkv, scratch.frame());
            let (shape, scale) = (self.shape(grid), self.scale());
            let attended = &mut y[..tokens * width];
            attention_windows(cx, &shape, scale, qkv, &self.padding, bias, attended, scratch);
        }
        self.add_attended(cx, &y[..tokens * width], x, scratch);
    }

    /// `qkv: [tokens, 3, heads, head_dim]` ← the projections of `x`.
    pub fn project(&self, cx: &Cx, x: &Rows<'_>, qkv: &mut [f32], scratch: Scratch<'_>) {
        let output = Destination::Store { out: qkv, stride: self.qkv.outputs() };
        self.qkv.forward(cx, x, Activation::None, output, scratch);
    }

    /// `out` ← attention of `queries`, each of which stands for 2 × 2 tokens of the grid, to the keys and values in `qkv`.
    pub fn attend_pooled(
        &self,
        cx: &Cx,
        grid: [usize; 2],
        queries: &[f32],
        qkv: &[f32],
        out: &mut [f32],
        scratch: Scratch<'_>,
    ) {
        let (shape, scale) = (self.shape(grid), self.scale());
        attention_pooled_windows(cx, &shape, scale, queries, qkv, &self.padding, out, scratch);
    }

    /// `x += proj(attended)`.
    pub fn add_attended(&self, cx: &Cx, attended: &[f32], x: &mut [f32], scratch: Scratch<'_>) {
        let residual = Destination::Add { out: x, stride: self.proj.outputs() };
        let attended = Rows::new(attended, attended.len() / self.proj.inputs(), self.proj.inputs());
        self.proj.forward(cx, &attended, Activation::None, residual, scratch);
    }

    /// Scratch that [`forward_add`](Self::forward_add) needs.
    pub fn scratch_req(&self, cx: &Cx, grid: [usize; 2], bias: &Bias<'_>) -> ScratchReq {
        ScratchReq::slice(self.qkv_len(grid)).and(self.parts_scratch_req(cx, grid, bias))
    }

    /// Scratch that each of the parts needs.
    pub fn parts_scratch_req(&self, cx: &Cx, grid: [usize; 2], bias: &Bias<'_>) -> ScratchReq {
        let tokens = grid[0] * grid[1];
        ScratchReq::any([
            self.qkv.scratch_req(cx, tokens),
            windows_scratch_req(cx, &self.shape(grid), bias),
            self.proj.scratch_req(cx, tokens),
        ])
    }

    /// Features of a token that comes in.
    pub fn inputs(&self) -> usize {
        self.qkv.inputs()
    }

    /// Features of all heads.
    pub fn width(&self) -> usize {
        self.proj.inputs()
    }

    /// Features of a token that goes out.
    pub fn outputs(&self) -> usize {
        self.proj.outputs()
    }

    /// Side of the windows.
    pub fn window(&self) -> usize {
        self.window
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        self.qkv.bytes() + size_of_val(&self.padding[..]) + self.proj.bytes()
    }

    /// Length of queries, keys and values of a grid.
    fn qkv_len(&self, grid: [usize; 2]) -> usize {
        grid[0] * grid[1] * self.qkv.outputs()
    }

    fn shape(&self, grid: [usize; 2]) -> WindowShape {
        WindowShape {
            grid,
            window: [self.window; 2],
            heads: self.heads,
            head_dim: self.width() / self.heads,
            bf16: self.qkv.format().permits_bf16(),
        }
    }

    fn scale(&self) -> f32 {
        attention_scale(self.width() / self.heads)
    }
}
