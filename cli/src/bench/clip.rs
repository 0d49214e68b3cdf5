//! The towers of a CLIP model.

use vitrum::image::{ImageView, PixelFormat};
use vitrum::models::clip::config::{
    ClassToken, ConvNextConfig, EncoderConfig, FastVitConfig, ImagePooling, PatchStem, ResNetConfig,
    TextConfig, TowerConfig, VitConfig,
};
use vitrum::pipelines::clip::{Clip, EncodeOptions};

use super::{Bench, Work};
use crate::failure::{Exit, OrExit, Result};
use crate::model;

/// Pictures or texts at once.
const BATCHES: [usize; 2] = [1, 8];

/// Times the towers of the model called `name`, from pixels and from text to embeddings.
pub(super) fn run(name: &str, bench: &mut Bench<'_>) -> Result<()> {
    let clip = model::load(name, bench.load, bench.cx)?;
    if let Some(config) = clip.config().vision {
        image(&clip, &config.encoder, bench)?;
    }
    match (clip.config().text, clip.tokenizer()) {
        (Some(config), Some(_)) => text(&clip, &config, bench),
        _ => Ok(()),
    }
}

fn image(clip: &Clip, config: &EncoderConfig, bench: &mut Bench<'_>) -> Result<()> {
    let (height, width) = clip.preprocess().output_size();
    let pixels: Vec<u8> = (0..height * width * 3).map(|i| (i * 31 % 251) as u8).collect();
    let view = ImageView::packed(&pixels, width, height, PixelFormat::Rgb8).or_exit(Exit::Other)?;
    let flops = match config {
        EncoderConfig::Vit(vit) => vit_flops(vit, [height, width]),
        EncoderConfig::ResNet(net) => resnet_flops(net, height * width),
        EncoderConfig::FastVit(net) => fast_vit_flops(net, height * width),
        EncoderConfig::ConvNext(net) => conv_next_flops(net, height * width),
    };
    for batch in BATCHES {
        let images = vec![view; batch];
        let mut out = vec![0.0; batch * clip.embed_dim()];
        clip.encode_images_into(&images, &EncodeOptions::default(), &mut out).or_exit(Exit::Other)?;
        let work = Work { flops: batch as f64 * flops, bytes: None };
        let run = || encode(clip.encode_images_into(&images, &EncodeOptions::default(), &mut out));
        bench.measure("clip-image", format!("{batch}x3x{height}x{width}"), work, run)?;
    }
    Ok(())
}

fn text(clip: &Clip, config: &TextConfig, bench: &mut Bench<'_>) -> Result<()> {
    const TEXT: &str = "a photo of a cat beside a red bicycle";
    let tokens = match config.is_padded() {
        true => config.context_length,
        false => clip.tokenize(TEXT).or_exit(Exit::Model)?.len(),
    };
    let flops = text_flops(&config.tower, tokens, config.is_causal);
    for batch in BATCHES {
        let texts = [TEXT].repeat(batch);
        let mut out = vec![0.0; batch * clip.embed_dim()];
        clip.encode_texts_into(&texts, &EncodeOptions::default(), &mut out).or_exit(Exit::Model)?;
        let work = Work { flops: batch as f64 * flops, bytes: None };
        let run = || encode(clip.encode_texts_into(&texts, &EncodeOptions::default(), &mut out));
        bench.measure("clip-text", format!("{batch}x{tokens}"), work, run)?;
    }
    Ok(())
}

/// What succeeded once with the same arguments succeeds again.
fn encode(result: vitrum::Result<()>) {
    result.expect("the first call succeeded");
}

/// Operations of a tower in which each token meets as many as make `pairs`. What follows attention in the last layer
/// is computed for one token only.
fn tower_flops(tower: &TowerConfig, tokens: usize, pairs: usize) -> f64 {
    let (dim, mlp) = (tower.hidden_size, tower.intermediate_size);
    let attention = 3 * tokens * dim * dim + 2 * pairs * dim;
    let rest = dim * dim + 2 * dim * mlp;
    2.0 * (tower.layers * attention + ((tower.layers - 1) * tokens + 1) * rest) as f64
}

fn vit_flops(config: &VitConfig, [height, width]: [usize; 2]) -> f64 {
    let VitConfig { tower, patch_size: patch, .. } = config;
    let (dim, patches) = (tower.hidden_size, (height / patch) * (width / patch));
    let embedding = match config.stem {
        // At 1/4, 1/8 and 1/16 of the resolution.
        PatchStem::Convolutions { width } => {
            patches * (16 * 48 * width + 4 * 4 * width * width + 4 * width * dim)
        }
        _ => patches * 3 * patch * patch * dim,
    };
    let tokens = patches + usize::from(config.class_token != ClassToken::None);
    let embedding = 2.0 * embedding as f64;
    let ImagePooling::Attention(pool) = config.pooling else {
        return embedding + tower_flops(tower, tokens, tokens * tokens);
    };
    // All layers in full, and the pool.
    let layer =
        4 * tokens * dim * dim + 2 * tokens * tokens * dim + 2 * tokens * dim * tower.intermediate_size;
    let pool = 2 * tokens * dim * dim + 2 * tokens * dim + dim * dim + 2 * dim * pool.intermediate_size;
    embedding + 2.0 * (tower.layers * layer + pool) as f64
}

/// Stem, blocks and the last convolution, of a picture of `pixels` pixels, with branches folded.
fn fast_vit_flops(config: &FastVitConfig, pixels: usize) -> f64 {
    let stages = config.stages();
    let first = stages[0].width;
    let mut map = pixels / 16;
    let mut products = 4 * map * 27 * first + map * (9 * first + first * first);
    for (i, stage) in stages.iter().enumerate() {
        let dim = stage.width;
        if i > 0 {
            map /= 4;
            products += map * (49 * dim + dim * dim);
        }
        let mixer = if stage.has_attention { 4 * dim * dim + 2 * map * dim } else { 9 * dim };
        products += stage.blocks * map * (mixer + 49 * dim + 2 * dim * stage.intermediate_size);
    }
    let last = 2 * stages[stages.len() - 1].width;
    products += map * 9 * last + last * config.embed_dim;
    2.0 * products as f64
}

/// Stem, downsampling, blocks and projection, of a picture of `pixels` pixels.
fn conv_next_flops(config: &ConvNextConfig, pixels: usize) -> f64 {
    let mut map = pixels / 16;
    let mut products = map * 48 * config.stages[0].width;
    for (i, stage) in config.stages.iter().enumerate() {
        let dim = stage.width;
        if i > 0 {
            map /= 4;
            products += map * 4 * config.stages[i - 1].width * dim;
        }
        products += stage.blocks * map * (49 * dim + 2 * dim * stage.intermediate_size);
    }
    2.0 * (products + config.stages[config.stages.len() - 1].width * config.embed_dim) as f64
}

/// Stem, bottlenecks and attention pool, of a picture of `pixels` pixels.
fn resnet_flops(config: &ResNetConfig, pixels: usize) -> f64 {
    let ResNetConfig { width, blocks, embed_dim, .. } = *config;
    let half = width / 2;
    let mut products = pixels / 4 * 9 * (3 * half + half * half + half * width);
    // The map that comes in, and its channels.
    let (mut map, mut inputs) = (pixels / 16, width);
    for (i, blocks) in blocks.into_iter().enumerate() {
        let planes = width << i;
        let outer = if i == 0 { map } else { map / 4 };
        products += map * (inputs * planes + 9 * planes * planes);
        products += outer * (4 * planes * planes + inputs * 4 * planes);
        products += (blocks - 1) * outer * (4 * planes * planes + 9 * planes * planes + 4 * planes * planes);
        (map, inputs) = (outer, 4 * planes);
    }
    let tokens = 1 + map;
    products += 2 * tokens * inputs * inputs + 2 * tokens * inputs + inputs * inputs + inputs * embed_dim;
    2.0 * products as f64
}

/// A token meets itself and those before it, or all.
fn text_flops(tower: &TowerConfig, tokens: usize, is_causal: bool) -> f64 {
    let pairs = if is_causal { tokens * (tokens + 1) / 2 } else { tokens * tokens };
    tower_flops(tower, tokens, pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrum::kernels::activation::Activation;

    #[test]
    fn operations_of_the_base_towers() {
        let tower = |hidden_size, heads| TowerConfig {
            hidden_size,
            intermediate_size: 4 * hidden_size,
            layers: 12,
            heads,
            activation: Activation::QuickGelu,
            layer_norm_eps: 1e-5,
            projection: None,
        };
        // Published as 4.4 and 3.0 GMACs (B/32, patch embedding included, and 77 tokens with every pair counted);
        // less the last layer's out-projection and MLP for 49 and 76 tokens, 0.26 and 0.18.
        let vit = VitConfig::clip(tower(768, 12), 32);
        let vision = vit_flops(&vit, [224; 2]) / 2e9;
        let text = text_flops(&tower(512, 8), 77, true) / 2e9;
        assert!((4.14..4.16).contains(&vision), "{vision}");
        assert!((2.76..2.78).contains(&text), "{text}");
        // OpenCLIP's profile has 6.12 GMACs for the image tower of RN50, with all queries of the attention pool: 0.4 more.
        let net = ResNetConfig { width: 64, blocks: [3, 4, 6, 3], heads: 32, embed_dim: 1024 };
        let resnet = resnet_flops(&net, 224 * 224) / 2e9;
        assert!((5.6..5.9).contains(&resnet), "{resnet}");
    }
}
