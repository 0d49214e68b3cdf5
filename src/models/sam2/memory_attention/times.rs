//! Encodings of the distance in time, which are added to object pointers.

use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq};
use crate::kernels::activation::Activation;
use crate::kernels::gemm::{Destination, Rows};
use crate::models::sam::Naming;
use crate::models::sam2::memory::Pointer;
use crate::models::sam2::{MemoryConfig, Sam2Config, naming, positions};
use crate::nn::Linear;
use crate::weights::Scope;

/// Sine encodings of the distances: plain, projected, or none (SAM 2.0).
#[derive(Debug)]
pub(super) struct PointerEncoding {
    /// Features of a pointer, `C`.
    dim: usize,
    /// Features of a memory, `D`. A pointer is cut into `C / D` tokens.
    memory_dim: usize,
    encoding: Encoding,
}

#[derive(Debug)]
enum Encoding {
    None,
    Plain,
    /// `obj_ptr_tpos_proj`, from `C` to `D` features.
    Projected(Linear),
}

impl PointerEncoding {
    pub(super) fn bind(
        scope: &Scope<'_>,
        naming: Naming,
        config: &Sam2Config,
        memory: &MemoryConfig,
    ) -> Result<Self> {
        let (dim, memory_dim) = (config.dim, memory.dim);
        let encoding = match memory.pointer_times {
            None => Encoding::None,
            Some(times) if times.projected => {
                let name = naming::memory(naming).pointer_times;
                Encoding::Projected(Linear::bind(&scope.at(name), [memory_dim, dim])?)
            }
            Some(_) => Encoding::Plain,
        };
        Ok(Self { dim, memory_dim, encoding })
    }

    /// Number of tokens of a pointer.
    pub(super) fn tokens(&self) -> usize {
        self.dim / self.memory_dim
    }

    /// Length of the encodings of `pointers` pointers, in f32.
    pub(super) fn len(&self, pointers: usize) -> usize {
        pointers * self.memory_dim
    }

    /// `out: [pointers, D]` ← the encodings of `pointers`. All tokens of a pointer share its encoding.
    pub(super) fn forward(
        &self,
        cx: &Cx,
        pointers: &[Pointer<'_>],
        out: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        match &self.encoding {
            Encoding::None => out.fill(0.0),
            Encoding::Plain => {
                for (out, pointer) in out.chunks_exact_mut(self.memory_dim).zip(pointers) {
                    positions::time(pointer.distance, out);
                }
            }
            Encoding::Projected(projection) => {
                let sines = scratch.take(pointers.len() * self.dim);
                for (out, pointer) in sines.chunks_exact_mut(self.dim).zip(pointers) {
                    positions::time(pointer.distance, out);
                }
                let rows = Rows::new(sines, pointers.len(), self.dim);
                let output = Destination::Store { out, stride: self.memory_dim };
                projection.forward(cx, &rows, Activation::None, output, scratch);
            }
        }
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub(super) fn scratch_req(&self, cx: &Cx, pointers: usize) -> ScratchReq {
        match &self.encoding {
            Encoding::Projected(projection) => {
                ScratchReq::slice(pointers * self.dim).and(projection.scratch_req(cx, pointers))
            }
            Encoding::None | Encoding::Plain => ScratchReq::NONE,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match &self.encoding {
            Encoding::Projected(projection) => projection.bytes(),
            Encoding::None | Encoding::Plain => 0,
        }
    }
}
