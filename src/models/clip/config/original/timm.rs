//! The sizes of an image tower of timm in one of OpenCLIP's models.

use alloc::format;

use super::{PE_POOL_HEADS, VISION, unsupported};
use crate::error::{Error, Result, err};
use crate::kernels::activation::Activation;
use crate::kernels::resize::interpolate::Mode;
use crate::models::clip::config::{
    AttentionPool, Block, ClassToken, EncoderConfig, ImagePooling, MAX_IMAGE, MAX_LAYERS, MAX_WIDTH,
    OtherSizes, PatchStem, Rotary, TowerConfig, VisionConfig, VitConfig, conv_next, fast_vit,
};
use crate::models::clip::naming::Naming;
use crate::models::limit;
use crate::weights::{Config, Review, Scope};

/// What a model's name says of its Vision Transformer, and no tensor does.
#[derive(Clone, Copy)]
struct Kind {
    heads: usize,
    activation: Activation,
    eps: f32,
    rotary: Option<Rotary>,
    block: Block,
    /// The setting `timm_pool`.
    pool: &'static str,
}

/// The key of the model's name.
const NAME: &str = "model_cfg.vision_cfg.timm_model_name";

/// Pixels along a side of a token that a stem of convolutions makes.
const STEM_PATCH: usize = 16;

pub(super) fn read(scope: &Scope<'_>, config: Option<&Config>, review: &mut Review) -> Result<VisionConfig> {
    let trunk = scope.at("visual.trunk");
    if trunk.at("stages").at(0).at("blocks").at(0).contains("conv_dw.weight") {
        return conv_next::read(scope, config, review);
    }
    // Such names are otherwise those of a training task.
    for name in ["visual.head", "visual.trunk.fc_norm"] {
        if scope.at(name).names().next().is_some() {
            return Err(err!(Unsupported, "tensors \"{name}…\": a layer after an image tower of timm"));
        }
    }
    if trunk.at("stem").at(0).names().any(|name| name.contains("conv")) {
        return fast_vit(scope, config, review);
    }
    match block(&trunk) {
        Some(block) => vit(scope, block, config, review),
        None => Err(unknown()),
    }
}

/// Which layers the tower has, if they are known.
fn block(trunk: &Scope<'_>) -> Option<Block> {
    let block = trunk.at("blocks").at(0);
    match (block.contains("attn.qkv.weight"), block.contains("attn.q_bias")) {
        (true, false) => Some(Block::Plain),
        (true, true) => Some(Block::Eva),
        (false, _) => block.contains("mlp.fc1_g.weight").then_some(Block::Eva02),
    }
}

/// The error of a tower of another architecture.
fn unknown() -> Error {
    err!(
        Unsupported,
        "tensors \"visual.trunk…\": an image tower of timm, architecture that is not known here; supported are Vision \
         Transformers of CLIP, SigLIP, PE-Core, EVA and MobileCLIP, MobileCLIP's FastViT, and ConvNeXt"
    )
}

fn fast_vit(scope: &Scope<'_>, config: Option<&Config>, review: &mut Review) -> Result<VisionConfig> {
    let net = fast_vit::read(scope, Naming::Timm)?;
    let mut image_size = 256;
    if let Some(config) = config {
        if !config.str_or(NAME, "")?.starts_with("fastvit_mci") {
            return Err(unsupported(config, NAME, "\"fastvit_mci…\", as the tensors have"));
        }
        settings(config, "avg", true, review)?;
        image_size = config.usize_or(&format!("{VISION}.image_size"), image_size, 1..=MAX_IMAGE)?;
    }
    Ok(VisionConfig { image_size, encoder: EncoderConfig::FastVit(net) })
}

/// Refuses settings that say something else than the tensors do.
fn settings(config: &Config, pool: &str, has_head: bool, review: &mut Review) -> Result<()> {
    let key = |name: &str| format!("{VISION}.{name}");
    if config.str_or(&key("timm_pool"), "avg")? != pool {
        return Err(unsupported(config, &key("timm_pool"), &format!("{pool:?}")));
    }
    // With `null`, the tower's own head is the projection; OpenCLIP's would stand behind the tower.
    let proj = key("timm_proj");
    match config.str_or(&proj, "null")? {
        "null" if has_head => (),
        "none" if !has_head => (),
        _ => {
            return Err(unsupported(config, &proj, "null with a head of the tower, or \"none\" without one"));
        }
    }
    review.neutral(config, &[(&key("timm_proj_bias"), "false")])
}

fn vit(
    scope: &Scope<'_>,
    block: Block,
    config: Option<&Config>,
    review: &mut Review,
) -> Result<VisionConfig> {
    let names = Naming::Timm.vit();
    let trunk = scope.at("visual.trunk");
    let kind = match config {
        Some(config) => kind(config)?,
        None => kind_of_tensors(&trunk)?,
    };
    if let Some(config) = config
        && kind.block != block
    {
        let layers = if block == Block::Plain { "no EVA" } else { "the EVA" };
        return Err(unsupported(config, NAME, &format!("{layers} whose layers the tensors have")));
    }
    let has_head = trunk.contains("head.weight");
    let has_pre_norm = trunk.contains("norm_pre.weight");
    let (stem, patch_size, dim) = if trunk.contains("patch_embed.backbone.0.conv.weight") {
        let [width, ..]: [usize; 4] = trunk.dims("patch_embed.backbone.0.conv.weight")?;
        let [dim, ..]: [usize; 4] = trunk.dims("patch_embed.backbone.2.conv.weight")?;
        limit("width of the stem", width, MAX_WIDTH)?;
        (PatchStem::Convolutions { width }, STEM_PATCH, dim)
    } else {
        let [dim, _, patch_size, _] = trunk.dims("patch_embed.proj.weight")?;
        (if has_pre_norm { PatchStem::Linear } else { PatchStem::BiasedLinear }, patch_size, dim)
    };
    let blocks = scope.at(names.layers);
    let fc1 = if block == Block::Eva02 { "mlp.fc1_x.weight" } else { "mlp.fc1.weight" };
    let [intermediate_size, _] = blocks.at(0).dims(fc1)?;
    let tower = TowerConfig {
        hidden_size: dim,
        intermediate_size,
        layers: (0..=MAX_LAYERS).take_while(|i| blocks.at(i).contains("norm1.weight")).count(),
        heads: kind.heads,
        activation: kind.activation,
        layer_norm_eps: kind.eps,
        projection: has_head.then(|| trunk.dims("head.bias").map(|[dim]| dim)).transpose()?,
    };
    tower.check(names.layers)?;

    let [_, positions, _]: [usize; 3] = scope.dims(names.positions)?;
    let has_class = trunk.contains("cls_token");
    let square = |positions: usize| (1..=MAX_IMAGE).find(|side| side * side == positions);
    let (side, class_token) = match (has_class, square(positions), square(positions.saturating_sub(1))) {
        (true, _, Some(side)) => (side, ClassToken::Placed),
        (true, Some(side), _) => (side, ClassToken::Unplaced),
        (false, Some(side), _) => (side, ClassToken::None),
        _ => {
            let name = names.positions;
            return Err(err!(Config, "tensor \"{name}\": {positions} positions are not those of a square"));
        }
    };
    let pooling = match kind.pool {
        "map" => {
            let [intermediate_size, _] = scope.at(names.pool).dims("mlp.fc1.weight")?;
            let heads = if kind.rotary.is_some() { PE_POOL_HEADS } else { kind.heads };
            ImagePooling::Attention(AttentionPool { heads, intermediate_size })
        }
        _ if !has_class => return Err(err!(MissingTensor, "missing tensor \"{}\"", names.class_embedding)),
        _ => ImagePooling::ClassToken,
    };
    let mut image_size = side * patch_size;
    if let Some(config) = config {
        settings(config, kind.pool, has_head, review)?;
        // Pixels may be left over beside the patches.
        let key = format!("{VISION}.image_size");
        image_size = config.usize_or(&key, image_size, 1..=MAX_IMAGE)?;
        if patch_size == 0 || image_size / patch_size != side {
            return Err(config.unusable(
                &key,
                format_args!("that of {side} patches of {patch_size}, as the tensors have"),
            ));
        }
    }
    let vit = VitConfig {
        tower,
        patch_size,
        stem,
        class_token,
        has_pre_norm,
        rotary: kind.rotary,
        block: kind.block,
        other_sizes: match kind.rotary == Some(Rotary::PeCore) {
            true => OtherSizes::Interpolated(Mode::Bilinear),
            false => OtherSizes::Refused,
        },
        pooling,
    };
    Ok(VisionConfig { image_size, encoder: EncoderConfig::Vit(vit) })
}

/// PE-Core, or MobileCLIP-B: of other towers no tensor tells what they are.
fn kind_of_tensors(trunk: &Scope<'_>) -> Result<Kind> {
    let [dim] = trunk.dims("norm.weight")?;
    if trunk.contains("patch_embed.backbone.0.conv.weight") {
        return Ok(Kind { heads: dim / 64, ..MCI });
    }
    if trunk.contains("norm_pre.weight") && trunk.contains("attn_pool.latent") {
        // PE-Core G is the only one with wider heads.
        return Ok(Kind { heads: dim / if dim == 1536 { 96 } else { 64 }, ..PE });
    }
    Err(err!(NotFound, "open_clip_config.json is needed beside this image tower of timm"))
}

const PE: Kind = Kind {
    heads: 0,
    activation: Activation::Gelu,
    eps: 1e-5,
    rotary: Some(Rotary::PeCore),
    block: Block::Plain,
    pool: "map",
};
const MCI: Kind = Kind {
    heads: 12,
    activation: Activation::Gelu,
    eps: 1e-6,
    rotary: None,
    block: Block::Plain,
    pool: "token",
};
/// EVA-01 of the sizes g and g+.
const EVA: Kind = Kind { heads: 16, block: Block::Eva, ..MCI };
const EVA_02: Kind =
    Kind { activation: Activation::Silu, rotary: Some(Rotary::Eva), block: Block::Eva02, ..MCI };

/// What the setting [`NAME`] says.
fn kind(config: &Config) -> Result<Kind> {
    let name = config.str_or(NAME, "")?;
    // A tag may say which weights they were at first.
    let name = name.split('.').next().unwrap_or(name);
    let of_name = || -> Option<Kind> {
        match name {
            "eva_giant_patch14_clip_224" => return Some(EVA),
            "eva02_base_patch16_clip_224" => return Some(EVA_02),
            "eva02_large_patch14_clip_224" | "eva02_large_patch14_clip_336" => {
                return Some(Kind { heads: 16, ..EVA_02 });
            }
            _ => (),
        }
        let rest = name.strip_prefix("vit_")?;
        if rest == "base_mci_224" {
            return Some(MCI);
        }
        let (rest, is_pe) = rest.strip_prefix("pe_core_").map_or((rest, false), |rest| (rest, true));
        let (size, rest) = rest.split_once("_patch")?;
        let (patch, rest) = rest.split_once('_')?;
        let heads = match size {
            "tiny" => 3,
            "small" => 6,
            "base" => 12,
            "large" | "so400m" | "huge" | "giant" | "gigantic" | "giantopt" => 16,
            _ => return None,
        };
        if is_pe {
            return Some(Kind { heads, ..PE });
        }
        if let Some(side) = rest.strip_prefix("siglip_") {
            let has_tanh = size == "giantopt"
                || (size, patch) == ("so400m", "16")
                || (size, patch) == ("base", "32")
                || (size, side) == ("large", "512");
            let activation = if has_tanh { Activation::GeluTanh } else { Activation::Gelu };
            return Some(Kind { heads, activation, eps: 1e-6, pool: "map", ..MCI });
        }
        let rest = rest.strip_prefix("clip_")?;
        let activation = match rest.starts_with("quickgelu_") {
            true => Activation::QuickGelu,
            false => Activation::Gelu,
        };
        Some(Kind { heads, activation, eps: 1e-5, ..MCI })
    };
    of_name().ok_or_else(|| {
        unsupported(
            config,
            NAME,
            "\"vit_pe_core_…\", \"vit_base_mci_224\", \"vit_…_clip_…\", \"vit_…_siglip_…\", \"eva02_base_…\", \"eva02_large_…\" or \
             \"eva_giant_…\" of the sizes that are published",
        )
    })
}
