//! How many operations the memory of a SAM 2 takes: multiplications and additions of its products and convolutions, as they are done
//! here, which is fewer than the network's definition says.

use vitrum::models::sam2::{MemoryConfig, Sam2Config};

/// Layers of the memory encoder's fuser in every published model, and how much wider they are inside.
const FUSER_LAYERS: usize = 2;
const FUSER_EXPANSION: usize = 4;

/// Of the first layer's attention of an image to itself, which all objects share.
pub(super) fn shared_attention(config: &Sam2Config) -> f64 {
    let (tokens, dim) = (config.grid().pow(2), config.dim);
    2.0 * (4 * tokens * dim * dim + 2 * tokens * tokens * dim) as f64
}

/// Of the memory attention of an object to `memories` and `pointers`, without what objects share.
pub(super) fn attention(config: &Sam2Config, memory: &MemoryConfig, memories: usize, pointers: usize) -> f64 {
    let (tokens, dim) = (config.grid().pow(2), config.dim);
    let keys = memories * tokens + pointers * (dim / memory.dim);
    // Keys and values stay as narrow as the memory: the key projection is absorbed into the query, which has a vector of
    // that size for each column and each row of the grid, and values are projected after they are summed.
    let absorbed = tokens * 2 * config.grid() * (dim / 2) * memory.dim;
    let cross =
        2 * tokens * dim * dim + absorbed + 2 * tokens * keys * memory.dim + tokens * memory.dim * dim;
    let layer = cross + 2 * tokens * dim * memory.mlp_dim;
    2.0 * (memory.layers * layer) as f64 + (memory.layers - 1) as f64 * shared_attention(config)
}

/// Of the memory encoder.
pub(super) fn memory_encoder(config: &Sam2Config, memory: &MemoryConfig) -> f64 {
    let (tokens, dim) = (config.grid().pow(2), config.dim);
    let mut total = 0;
    // The mask's sides are halved four times, and its channels multiplied by as much as pixels get fewer.
    let (mut side, mut channels) = (config.image_size, 1);
    while side > config.grid() {
        side /= 2;
        total += side * side * 9 * channels * 4 * channels;
        channels *= 4;
    }
    total += tokens * channels * dim + tokens * dim * dim;
    total += FUSER_LAYERS * tokens * dim * (49 + 2 * FUSER_EXPANSION * dim);
    2.0 * (total + tokens * dim * memory.dim) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrum::kernels::activation::Activation;
    use vitrum::models::sam::{DecoderConfig, MaskGeneration};
    use vitrum::models::sam2::{HieraConfig, HieraStage, TrackingConfig};

    fn tiny() -> Sam2Config {
        let stage = |i: usize, depth, window| HieraStage {
            dim: 96 << i,
            depth,
            heads: 1 << i,
            window,
            mlp_dim: 4 * (96 << i),
        };
        let decoder = DecoderConfig {
            mask_channels: 16,
            mask_activation: Activation::Gelu,
            mask_norm_eps: 1e-6,
            layers: 2,
            heads: 8,
            mlp_dim: 2048,
            activation: Activation::Relu,
            layer_norm_eps: 1e-5,
            multimask_outputs: 3,
            iou_depth: 3,
            iou_hidden: 256,
            extensions: Default::default(),
        };
        let memory = MemoryConfig {
            dim: 64,
            count: 7,
            layers: 4,
            mlp_dim: 2048,
            rope_theta: 10_000.0,
            sigmoid_scale: 20.0,
            sigmoid_bias: -10.0,
            no_object_spatial: true,
            pointer_times: None,
        };
        Sam2Config {
            image_size: 1024,
            hiera: HieraConfig {
                stages: [stage(0, 1, 8), stage(1, 2, 4), stage(2, 7, 14), stage(3, 2, 7)],
                global_blocks: vec![5, 7, 9],
                background: [7, 7],
                window_positions: [8, 8],
                layer_norm_eps: 1e-6,
            },
            top_down_levels: vec![2, 3],
            dim: 256,
            decoder,
            mask_generation: MaskGeneration::default(),
            memory: Some(memory),
            tracking: TrackingConfig::default(),
        }
    }

    #[test]
    fn operations_of_the_tiny_model() {
        let config = tiny();
        let memory = config.memory.as_ref().unwrap();
        let giga = |flops: f64| flops / 1e9;
        // Queries of 4096 pixels meet 7 memories of as many and 16 pointers of 4 tokens: 64 features for a score, and 64
        // values, in 4 layers.
        let cross = giga(2.0 * 4.0 * 4096.0 * (7.0 * 4096.0 + 64.0) * 128.0);
        let found = giga(attention(&config, memory, 7, 16));
        assert!(found > cross && found < 2.2 * cross, "{found}, {cross} of it between image and memories");
        // All else does not depend on what is remembered; the frame's own attention is most of it.
        let none = giga(attention(&config, memory, 0, 0));
        assert!((none + cross - found).abs() < 1e-6 * found, "{none}");
        assert!(none > 3.0 * giga(shared_attention(&config)), "{none}");
        // 3 x 3 convolutions of the mask, most of it from 64 to 256 channels, and two layers of 256 to 1024 and back.
        let encoding = giga(memory_encoder(&config, memory));
        assert!((10.0..20.0).contains(&encoding), "{encoding}");
    }
}
