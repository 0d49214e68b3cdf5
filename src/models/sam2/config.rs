//! The sizes of a SAM 2, from its configuration file or from its tensors.

mod hugging_face;
mod original;

pub(super) use hugging_face::QUIET_TENSORS;

use alloc::vec::Vec;

use super::naming;
use crate::error::{Result, err};
use crate::models::limit;
use crate::models::sam::config::{MAX_GRID, MAX_IMAGE, MAX_LAYERS, MAX_MLP, MAX_WIDTH};
use crate::models::sam::{
    DecoderConfig, DecoderExtensions, DecoderNames, MaskGeneration, Naming, PromptHeadConfig, Stability,
};
use crate::weights::{Bundle, Review, Scope};

/// All of a SAM 2.
#[derive(Clone, Debug, PartialEq)]
pub struct Sam2Config {
    /// Side of the square input, in pixels.
    pub image_size: usize,
    /// The image encoder's trunk.
    pub hiera: HieraConfig,
    /// Levels of the neck, counted from the finest, to which the next coarser one is added.
    pub top_down_levels: Vec<usize>,
    /// Channels of the image embedding and features of a prompt token, `C`.
    pub dim: usize,
    /// Prompt encoder and mask decoder.
    pub decoder: DecoderConfig,
    /// What it wants of automatic masks.
    pub mask_generation: MaskGeneration,
    /// The memory; `None` for a checkpoint that segments pictures only.
    pub memory: Option<MemoryConfig>,
    /// How an object is followed.
    pub tracking: TrackingConfig,
}

/// Hiera (Ryali et al., 2023): stages of transformer blocks, each of half the resolution of the one before.
#[derive(Clone, Debug, PartialEq)]
pub struct HieraConfig {
    /// The stages, at 1/4, 1/8, 1/16 and 1/32 of the input's resolution.
    pub stages: [HieraStage; STAGES],
    /// The numbers of the blocks that attend globally.
    pub global_blocks: Vec<usize>,
    /// Sides of the table of position embeddings that is stretched over the whole grid.
    pub background: [usize; 2],
    /// Sides of the table of position embeddings that is repeated over the grid.
    pub window_positions: [usize; 2],
    /// Added to the variance in the blocks' layer norms.
    pub layer_norm_eps: f32,
}

/// A stage of Hiera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HieraStage {
    /// Features of a token.
    pub dim: usize,
    /// Blocks.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
    /// Side of the windows of tokens that attend to each other.
    pub window: usize,
    /// Features inside the MLP.
    pub mlp_dim: usize,
}

/// A block of Hiera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HieraBlock {
    /// Features of a token that comes in.
    pub input: usize,
    /// Features of a token that goes out.
    pub dim: usize,
    /// Attention heads.
    pub heads: usize,
    /// Side of the attention windows, in tokens that come in; `None` means that all tokens attend to each other.
    pub window: Option<usize>,
    /// Whether queries and the residual are pooled to half the sides: the first block of a stage but the first.
    pub pooled: bool,
    /// Features inside the MLP.
    pub mlp_dim: usize,
}

/// The memory attention and the memory encoder, as far as not every layer's shape tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemoryConfig {
    /// Channels of a memory, `D`.
    pub dim: usize,
    /// Memories that a frame attends to, besides further prompted frames: that of a prompted frame and those of the
    /// `count − 1` frames before this one.
    pub count: usize,
    /// Layers of the memory attention.
    pub layers: usize,
    /// Features inside their MLPs.
    pub mlp_dim: usize,
    /// Base of the wavelengths of rotary position embeddings.
    pub rope_theta: f32,
    /// What a mask's probability is multiplied by for the memory encoder.
    pub sigmoid_scale: f32,
    /// What is added to it then.
    pub sigmoid_bias: f32,
    /// Whether the memory of a frame on which the object cannot be seen is marked (2.1).
    pub no_object_spatial: bool,
    /// Whether pointers carry their distance in time, and how (2.1).
    pub pointer_times: Option<PointerTimes>,
}

/// How object pointers carry their distance in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PointerTimes {
    /// The encoding goes through a linear layer.
    pub projected: bool,
    /// Frames after the current one have negative distances.
    pub signed: bool,
}

/// How an object is followed through a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackingConfig {
    /// Object pointers that a frame attends to, besides those of further prompted frames.
    pub max_pointers: usize,
    /// Prompted frames that a frame attends to, the nearest ones; `None` for all.
    pub max_prompted_frames: Option<usize>,
    /// Every how many frames a memory is taken, except that of the last frame.
    pub memory_stride: usize,
    /// Only prompted frames in the past (in the direction of tracking) lend their pointers.
    pub past_pointers_only: bool,
    /// Several masks for a prompt that may be ambiguous.
    pub multimask: bool,
    /// Several masks also where an object is followed, not only for the first prompt.
    pub multimask_for_tracking: bool,
    /// With how many points, a box counting as two, there are several masks.
    pub multimask_points: [usize; 2],
    /// The pointer is made of the chosen mask's token, not always of the first one's.
    pub multimask_pointer: bool,
    /// An object that cannot be seen has a fixed pointer, to which nothing of the decoder's is added.
    pub fixed_no_object_pointer: bool,
    /// Pointers are mixed by the probability that the object can be seen, not chosen.
    pub soft_no_object_pointer: bool,
}

/// Stages of Hiera.
pub const STAGES: usize = 4;

/// The published models' settings, which neither shapes nor `transformers`' configuration tell.
impl Default for TrackingConfig {
    fn default() -> Self {
        Self {
            max_pointers: 16,
            max_prompted_frames: None,
            memory_stride: 1,
            past_pointers_only: true,
            multimask: true,
            multimask_for_tracking: true,
            multimask_points: [0, 1],
            multimask_pointer: true,
            fixed_no_object_pointer: true,
            soft_no_object_pointer: false,
        }
    }
}

/// Most memories and pointers, several times those of any published SAM 2.
const MAX_FRAMES: usize = 1 << 8;

/// Pixels of the input per token of the coarsest stage, which has to be whole.
const COARSEST: usize = 32;

impl Sam2Config {
    /// Reads `config.json` (of `transformers`' Sam2VideoModel or Sam2Model), if there is one beside the weights.
    /// Otherwise the sizes of a checkpoint in the original naming are deduced: shapes tell which of the four published
    /// trunks it has, and which tensors there are whether it is a SAM 2 or a 2.1.
    ///
    /// # Errors
    /// `NotFound` for a missing `config.json`, `Config` naming the key or the tensor, or what [`Scope::shape`] returns.
    pub fn of(bundle: &Bundle<'_>, scope: &Scope<'_>, naming: Naming, review: &mut Review) -> Result<Self> {
        let config = match (bundle.config("config.json")?, naming) {
            (Some(config), _) => hugging_face::read(&config, scope, naming, review)?,
            (None, Naming::Original) => original::read(scope)?,
            (None, Naming::HuggingFace) => {
                return Err(err!(NotFound, "config.json is needed beside weights in Hugging Face naming"));
            }
        };
        config.check()?;
        Ok(config)
    }

    /// Side of the image embedding: one token for 16 × 16 pixels of the input.
    pub fn grid(&self) -> usize {
        self.image_size / 16
    }

    /// Side of the low-resolution masks that the decoder makes and that a prompt may hold.
    pub fn mask_side(&self) -> usize {
        4 * self.grid()
    }

    /// What prompt encoder and mask decoder have to know.
    pub fn prompt_head(&self, naming: Naming) -> PromptHeadConfig<'_> {
        PromptHeadConfig {
            names: DecoderNames::sam2(naming),
            image_size: self.image_size,
            grid: self.grid(),
            dim: self.dim,
            decoder: &self.decoder,
        }
    }

    /// Changes the side of the input.
    ///
    /// # Errors
    /// `InvalidArgument` if it is 0, too large or not a multiple of 32.
    pub fn set_image_size(&mut self, image_size: usize) -> Result<()> {
        if image_size == 0 || image_size > MAX_IMAGE || !image_size.is_multiple_of(COARSEST) {
            return Err(err!(
                InvalidArgument,
                "image size {image_size}: expected a multiple of {COARSEST} up to {MAX_IMAGE}"
            ));
        }
        self.image_size = image_size;
        Ok(())
    }

    /// Whether all sizes are possible and within the limits.
    fn check(&self) -> Result<()> {
        limit("image size", self.image_size, MAX_IMAGE)?;
        if !self.image_size.is_multiple_of(COARSEST) {
            return Err(err!(Config, "image size {} is not a multiple of {COARSEST}", self.image_size));
        }
        limit("embedding", self.dim, MAX_WIDTH)?;
        self.decoder.check(self.dim)?;
        self.hiera.check()?;
        if self.top_down_levels.iter().any(|&level| level >= STAGES) {
            return Err(err!(Config, "top-down levels {:?} of {STAGES}", self.top_down_levels));
        }
        if let Some(memory) = &self.memory {
            limit("memory", memory.dim, MAX_WIDTH)?;
            limit("number of memories", memory.count, MAX_FRAMES)?;
            limit("number of memory attention layers", memory.layers, MAX_LAYERS)?;
            limit("memory attention MLP width", memory.mlp_dim, MAX_MLP)?;
            if !self.dim.is_multiple_of(memory.dim) || !memory.dim.is_multiple_of(4) {
                let (dim, memory) = (self.dim, memory.dim);
                return Err(err!(
                    Config,
                    "a pointer of {dim} features is no whole number of memory tokens of {memory}"
                ));
            }
        }
        limit("number of object pointers", self.tracking.max_pointers, MAX_FRAMES)?;
        limit("memory stride", self.tracking.memory_stride, MAX_FRAMES)
    }
}

impl HieraConfig {
    /// The blocks in their order. The first block of a stage still has the windows of the stage before, in tokens that
    /// come in.
    pub fn blocks(&self) -> impl Iterator<Item = HieraBlock> {
        let stages = self.stages.iter().enumerate();
        let blocks = stages.flat_map(|(s, stage)| (0..stage.depth).map(move |i| (s, *stage, i)));
        blocks.enumerate().map(|(number, (s, stage, i))| {
            let pooled = s > 0 && i == 0;
            let before = if pooled { self.stages[s - 1] } else { stage };
            HieraBlock {
                input: before.dim,
                dim: stage.dim,
                heads: stage.heads,
                window: (!self.global_blocks.contains(&number)).then_some(before.window),
                pooled,
                mlp_dim: stage.mlp_dim,
            }
        })
    }

    fn check(&self) -> Result<()> {
        for stage in &self.stages {
            limit("stage width", stage.dim, MAX_WIDTH)?;
            limit("number of stage blocks", stage.depth, MAX_LAYERS)?;
            limit("number of stage heads", stage.heads, stage.dim)?;
            limit("stage MLP width", stage.mlp_dim, MAX_MLP)?;
            limit("stage window", stage.window, MAX_GRID)?;
            if !stage.dim.is_multiple_of(stage.heads) {
                return Err(err!(Config, "impossible stage {stage:?}"));
            }
        }
        for (s, stage) in self.stages[..STAGES - 1].iter().enumerate() {
            // Windows of the next stage's first block are pooled.
            if !stage.window.is_multiple_of(2) {
                return Err(err!(Config, "windows of {} tokens in stage {s} cannot be pooled", stage.window));
            }
        }
        for side in self.background.into_iter().chain(self.window_positions) {
            limit("table of position embeddings", side, MAX_GRID)?;
        }
        Ok(())
    }
}

/// What the tensors tell of the mask decoder.
fn extensions(scope: &Scope<'_>, naming: Naming) -> DecoderExtensions {
    let names = DecoderNames::sam2(naming);
    let decoder = scope.at(names.mask_decoder);
    let score = decoder.at("pred_obj_score_head");
    DecoderExtensions {
        always_padded: true,
        high_res: decoder.at("conv_s0").contains("weight"),
        iou_sigmoid: true,
        object_score_layers: if score.contains("weight") {
            1
        } else if score.at(names.mlp_layer(0, SCORE_LAYERS)).contains("weight") {
            SCORE_LAYERS
        } else {
            0
        },
        stability: Some(Stability::default()),
    }
}

/// Layers of an object score head that is not linear, in both packages.
const SCORE_LAYERS: usize = 3;

/// What the tensors tell of a memory; `None` if there is none.
fn memory_of(scope: &Scope<'_>, naming: Naming) -> Result<Option<MemoryConfig>> {
    let names = naming::memory(naming);
    if !scope.contains(names.times) {
        return Ok(None);
    }
    let [count, _, _, dim] = scope.dims(names.times)?;
    let layers = scope.at("memory_attention.layers");
    let [mlp_dim, _] = layers.at(0).dims("linear1.weight")?;
    let pointer_times = scope.at(names.pointer_times).contains("weight");
    Ok(Some(MemoryConfig {
        dim,
        count,
        layers: original::count(&layers, "linear1.weight"),
        mlp_dim,
        rope_theta: 10_000.0,
        sigmoid_scale: 20.0,
        sigmoid_bias: -10.0,
        no_object_spatial: scope.contains(names.no_object_spatial),
        pointer_times: pointer_times.then_some(PointerTimes { projected: true, signed: true }),
    }))
}
