//! Memory attention: conditions the features of a frame on the memories of an object.
//!
//! Exact savings, beside those of the [kernel](crate::kernels::rotary_attention):
//!
//! - the self-attention of the first layer depends on the frame alone: [`shared`](MemoryAttention::shared) computes it
//!   once for all objects;
//! - no layer projects memories, so that they are packed once for all layers;
//! - `out_proj(v_proj(m))` is one linear layer, since the weights of a query sum to 1.
//!
//! Objects pass one by one through all layers, so that there is scratch for one object, whatever their number. The weights
//! are read again for each object, which costs little: 20 ms of memory traffic beside more than a second of arithmetic.

mod layer;
mod times;

use alloc::vec::Vec;

use self::layer::Layer;
use self::times::PointerEncoding;
use super::memory::ObjectMemory;
use super::{MemoryConfig, Sam2Config, naming, positions};
use crate::error::Result;
use crate::exec::{Cx, Monitor, Scratch, ScratchReq, TryCollect};
use crate::kernels::rotary_attention::{MemoryShape, PackedMemories, PointerToken, Rotary, SpatialMemory};
use crate::models::sam::Naming;
use crate::nn::{LayerNorm, Trace};
use crate::weights::Scope;

/// A transformer whose layers attend to the frame itself and to the memories of an object.
#[derive(Debug)]
pub struct MemoryAttention {
    grid: usize,
    /// Channels of a memory, `D`.
    memory_dim: usize,
    layers: Vec<Layer>,
    norm: LayerNorm,
    rotary: Rotary,
    /// Position encodings of the frame times [`POSITIONS`], `[g², C]`.
    positions: Vec<f32>,
    /// Position encodings of a memory, `[g², D]`.
    memory_positions: Vec<f32>,
    /// `maskmem_tpos_enc`, `[count, D]`
    times: Vec<f32>,
    pointers: PointerEncoding,
    /// Whether attention to memories may round to bfloat16.
    bf16: bool,
}

/// Multiplies the position encodings that are added to the features.
const POSITIONS: f32 = 0.1;
const EPS: f32 = 1e-5;

impl MemoryAttention {
    pub(super) fn bind(
        scope: &Scope<'_>,
        naming: Naming,
        config: &Sam2Config,
        memory: &MemoryConfig,
    ) -> Result<Self> {
        let f32_scope = scope.keep_f32();
        let attention = scope.at("memory_attention");
        let (dim, grid) = (config.dim, config.grid());
        let norm = match naming {
            Naming::HuggingFace => "layer_norm",
            Naming::Original => "norm",
        };
        let layer = |i: usize| Layer::bind(&attention.at("layers").at(i), naming, dim, memory);
        let mut positions = positions::grid(grid, dim)?;
        positions.iter_mut().for_each(|position| *position *= POSITIONS);
        let times = naming::memory(naming).times;
        Ok(Self {
            grid,
            memory_dim: memory.dim,
            layers: (0..memory.layers).map(layer).try_values()?,
            norm: LayerNorm::bind(&attention.at(norm), dim, EPS)?,
            rotary: Rotary::new(scope.level(), [grid; 2], dim, memory.rope_theta)?,
            positions,
            memory_positions: positions::grid(grid, memory.dim)?,
            times: scope.f32(times, &[memory.count, 1, 1, memory.dim])?,
            pointers: PointerEncoding::bind(&f32_scope, naming, config, memory)?,
            bf16: scope.packing().format.permits_bf16(),
        })
    }

    /// `out: [g², C]` ← what all objects of a frame share: its features `top: [g², C]` with positions, after the
    /// self-attention of the first layer.
    ///
    /// # Errors
    /// `Cancelled` by the monitor.
    ///
    /// # Panics
    /// If a slice does not have its size, or the scratch is shorter than [`scratch_req`](Self::scratch_req) for no
    /// objects.
    pub fn shared(
        &self,
        cx: &Cx,
        top: &[f32],
        out: &mut [f32],
        scratch: Scratch<'_>,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        assert_eq!((top.len(), out.len()), (self.frame_len(), self.frame_len()), "features");
        for (out, (top, position)) in out.iter_mut().zip(top.iter().zip(&self.positions)) {
            *out = top + position;
        }
        monitor.report(0, 1)?;
        if let Some(first) = self.layers.first() {
            first.attend_to_frame(cx, &self.rotary, out, scratch);
        }
        monitor.report(1, 1)
    }

    /// `out: [objects, g², C]` ← the features of a frame, conditioned on the memories of each of `objects`. `shared: [g², C]`
    /// is the output of [`shared`](Self::shared) for the frame.
    ///
    /// # Errors
    /// `Cancelled` by the monitor, which is asked after every layer.
    ///
    /// # Panics
    /// If a slice does not have its size, the scratch is shorter than [`scratch_req`](Self::scratch_req), or an object has
    /// no memories. (Without memories there is no memory attention: the caller adds `no_mem_embed` to the features.)
    #[allow(clippy::too_many_arguments, reason = "a frame, objects, an output, a trace and a monitor")]
    pub fn forward(
        &self,
        cx: &Cx,
        shared: &[f32],
        objects: &[ObjectMemory<'_>],
        out: &mut [f32],
        mut scratch: Scratch<'_>,
        trace: &mut Trace<'_>,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        assert_eq!(shared.len(), self.frame_len(), "a frame");
        assert_eq!(out.len(), objects.len() * self.frame_len(), "features of {} objects", objects.len());
        let total = objects.len() * self.layers.len();
        for (index, (object, x)) in objects.iter().zip(out.chunks_exact_mut(shared.len())).enumerate() {
            let mut scratch = scratch.frame();
            x.copy_from_slice(shared);
            let memories = self.pack(cx, object, &mut scratch);
            for (i, layer) in self.layers.iter().enumerate() {
                if i > 0 {
                    layer.attend_to_frame(cx, &self.rotary, x, scratch.frame());
                }
                layer.attend_to_memory(cx, &self.rotary, &memories, x, scratch.frame());
                layer.transform(cx, x, scratch.frame());
                trace.stage(format_args!("memory_attention.layers.{i}.{index}"), x);
                monitor.report(index * self.layers.len() + i + 1, total)?;
            }
            self.norm.forward_in_place(cx, x);
            trace.stage(format_args!("memory_attention.{index}"), x);
        }
        Ok(())
    }

    /// Scratch that [`forward`](Self::forward) needs for objects with `spatial` memories and `pointers` pointers each. Fewer
    /// memories may need more. For `[0, 0]`, the scratch that [`shared`](Self::shared) needs.
    pub fn scratch_req(&self, cx: &Cx, [spatial, pointers]: [usize; 2]) -> ScratchReq {
        let shape = self.memory_shape([spatial, pointers]);
        let layers = self.layers.iter().map(|layer| layer.scratch_req(cx, &self.rotary, &shape));
        let layers = ScratchReq::any(layers);
        if shape.is_empty() {
            return layers;
        }
        let encodings = ScratchReq::slice(self.pointers.len(pointers));
        encodings.and(self.pointers.scratch_req(cx, pointers).or(shape.pack_scratch_req(cx).and(layers)))
    }

    /// Length of the features of a frame, `g² · C`, in f32.
    pub fn frame_len(&self) -> usize {
        self.positions.len()
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        let tables = [&self.positions, &self.memory_positions, &self.times];
        self.layers.iter().map(Layer::bytes).sum::<usize>()
            + self.norm.bytes()
            + self.rotary.bytes()
            + self.pointers.bytes()
            + tables.map(|table| size_of_val(&table[..])).iter().sum::<usize>()
    }

    fn memory_shape(&self, [spatial, pointers]: [usize; 2]) -> MemoryShape {
        MemoryShape {
            grid: [self.grid; 2],
            features: self.memory_dim,
            spatial,
            pointers: pointers * self.pointers.tokens(),
            bf16: self.bf16,
        }
    }

    /// Packs the memories of `object`.
    fn pack<'a>(&self, cx: &Cx, object: &ObjectMemory<'_>, scratch: &mut Scratch<'a>) -> PackedMemories<'a> {
        let dim = self.memory_dim;
        let encodings = scratch.take(self.pointers.len(object.pointers.len()));
        self.pointers.forward(cx, object.pointers, encodings, scratch.frame());
        let encodings = &*encodings;
        let tokens = self.pointers.tokens();
        PackedMemories::pack(
            cx,
            self.memory_shape(object.counts()),
            &self.memory_positions,
            |index| {
                let memory = &object.spatial[index];
                SpatialMemory { features: memory.features, time: &self.times[memory.time * dim..][..dim] }
            },
            |index| {
                let pointer = object.pointers[index / tokens].values;
                let time = &encodings[index / tokens * dim..][..dim];
                PointerToken { features: &pointer[index % tokens * dim..][..dim], time }
            },
            scratch,
        )
    }
}
