//! SAM's prompt encoder and mask decoder at the size of the released models, with random weights:
//! `cargo bench --bench sam_decoder`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use safetensors::tensor::{Dtype, TensorView, serialize};
use vitrum::exec::{Cx, CxOptions};
use vitrum::kernels::activation::Activation;
use vitrum::models::sam::{
    DecoderConfig, DecoderExtensions, EncoderConfig, Label, MaskDecoder, MaskGeneration, Naming, Point,
    Predictor, Prompt, PromptEncoder, SamConfig, VitConfig,
};
use vitrum::nn::Trace;
use vitrum::weights::{Bundle, BundleParts};

const DIM: usize = 256;

/// The sizes of the released models; the image encoder is not used.
fn config() -> SamConfig {
    SamConfig {
        image_size: 1024,
        encoder: EncoderConfig::Vit(VitConfig {
            patch_size: 16,
            native_grid: 64,
            dim: 768,
            blocks: Vec::new(),
            has_positions: true,
            has_relative_positions: true,
            has_qkv_bias: true,
            activation: Activation::Gelu,
            layer_norm_eps: 1e-6,
        }),
        dim: DIM,
        decoder: DecoderConfig {
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
            extensions: DecoderExtensions::default(),
        },
        mask_generation: MaskGeneration::default(),
    }
}

/// Names and shapes of the tensors, in the original naming.
fn tensors() -> Vec<(String, Vec<usize>)> {
    let mut tensors = Vec::new();
    let mut add = |name: String, shape: &[usize]| tensors.push((name, shape.to_vec()));
    add("prompt_encoder.pe_layer.positional_encoding_gaussian_matrix".into(), &[2, DIM / 2]);
    for name in ["point_embeddings.0", "point_embeddings.1", "point_embeddings.2", "point_embeddings.3"]
        .into_iter()
        .chain(["not_a_point_embed", "no_mask_embed"])
    {
        add(format!("prompt_encoder.{name}.weight"), &[1, DIM]);
    }
    add("mask_decoder.iou_token.weight".into(), &[1, DIM]);
    add("mask_decoder.mask_tokens.weight".into(), &[4, DIM]);
    // A layer's bias has as many elements as its weight has rows (columns, where the convolution is transposed).
    let mut layer = |name: String, weight: &[usize], bias: usize| {
        add(format!("{name}.weight"), weight);
        add(format!("{name}.bias"), &[bias]);
    };
    let down = "prompt_encoder.mask_downscaling";
    layer(format!("{down}.0"), &[4, 1, 2, 2], 4);
    layer(format!("{down}.1"), &[4], 4);
    layer(format!("{down}.3"), &[16, 4, 2, 2], 16);
    layer(format!("{down}.4"), &[16], 16);
    layer(format!("{down}.6"), &[DIM, 16, 1, 1], DIM);
    let mut attention = |name: String, inner: usize| {
        for projection in ["q_proj", "k_proj", "v_proj"] {
            layer(format!("{name}.{projection}"), &[inner, DIM], inner);
        }
        layer(format!("{name}.out_proj"), &[DIM, inner], DIM);
    };
    let transformer = "mask_decoder.transformer";
    for i in 0..2 {
        attention(format!("{transformer}.layers.{i}.self_attn"), DIM);
        attention(format!("{transformer}.layers.{i}.cross_attn_token_to_image"), DIM / 2);
        attention(format!("{transformer}.layers.{i}.cross_attn_image_to_token"), DIM / 2);
    }
    attention(format!("{transformer}.final_attn_token_to_image"), DIM / 2);
    for i in 0..2 {
        for norm in 1..=4 {
            layer(format!("{transformer}.layers.{i}.norm{norm}"), &[DIM], DIM);
        }
        layer(format!("{transformer}.layers.{i}.mlp.lin1"), &[2048, DIM], 2048);
        layer(format!("{transformer}.layers.{i}.mlp.lin2"), &[DIM, 2048], DIM);
    }
    layer(format!("{transformer}.norm_final_attn"), &[DIM], DIM);
    let up = "mask_decoder.output_upscaling";
    layer(format!("{up}.0"), &[DIM, DIM / 4, 2, 2], DIM / 4);
    layer(format!("{up}.1"), &[DIM / 4], DIM / 4);
    layer(format!("{up}.3"), &[DIM / 4, DIM / 8, 2, 2], DIM / 8);
    let heads = (0..4).map(|i| (format!("mask_decoder.output_hypernetworks_mlps.{i}"), DIM / 8));
    for (head, outputs) in heads.chain([("mask_decoder.iou_prediction_head".into(), 4)]) {
        layer(format!("{head}.layers.0"), &[DIM, DIM], DIM);
        layer(format!("{head}.layers.1"), &[DIM, DIM], DIM);
        layer(format!("{head}.layers.2"), &[outputs, DIM], outputs);
    }
    tensors
}

/// `len` reproducible numbers between −1 and 1.
fn numbers(len: usize) -> impl Iterator<Item = f32> {
    (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0)
}

fn checkpoint() -> Vec<u8> {
    let tensors = tensors();
    let data: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, shape)| {
            let fan_in = shape[1..].iter().product::<usize>().max(1);
            let scale = (3.0 / fan_in as f32).sqrt();
            numbers(shape.iter().product()).flat_map(|x| (scale * x).to_le_bytes()).collect()
        })
        .collect();
    let views = tensors.iter().zip(&data).map(|((name, shape), data)| {
        (name, TensorView::new(Dtype::F32, shape.clone(), data).expect("as many bytes as the shape says"))
    });
    serialize(views, None).expect("a file")
}

fn decoder(criterion: &mut Criterion) {
    let cx = Cx::new(&CxOptions::default().with_threads(2)).expect("threads");
    let file = checkpoint();
    let bundle = Bundle::from_memory(BundleParts::new(&file)).expect("a file");
    let (scope, config) = (bundle.scope(cx.level()), config());
    let prompt_head = config.prompt_head(Naming::Original);
    let prompt_encoder = PromptEncoder::bind(&scope, &prompt_head).expect("its tensors");
    let mask_decoder = MaskDecoder::bind(&scope, &prompt_head, &prompt_encoder).expect("its tensors");
    let predictor = Predictor {
        prompt_encoder: &prompt_encoder,
        mask_decoder: &mask_decoder,
        least_iou: None,
        stability: None,
    };

    let embedding: Vec<f32> = numbers(64 * 64 * DIM).collect();
    let mut cache = vec![0.0; mask_decoder.cache_len()];
    let mut group = criterion.benchmark_group("sam-decoder");
    group.sample_size(20);
    let mut workspace = cx.workspace(mask_decoder.cache_scratch_req(&cx)).unwrap();
    group.bench_function("image", |bencher| {
        bencher.iter(|| {
            cx.enter(|| mask_decoder.cache(&cx, &embedding, None, &mut cache, workspace.scratch()));
        });
    });
    drop(workspace);

    let side = config.mask_side();
    let points: Vec<[Point; 1]> = (0..64)
        .map(|i| {
            let place = |i: i32| (128 * i + 64) as f32;
            [Point { x: place(i % 8), y: place(i / 8), label: Label::Foreground }]
        })
        .collect();
    let mask: Vec<f32> = numbers(side * side).map(|x| 10.0 * x).collect();
    let all: Vec<Prompt<'_>> = points.iter().map(|points| Prompt::default().with_points(points)).collect();
    let masked = [all[0].with_mask(&mask[..])];
    for (name, prompts, multimask) in [
        ("point", &all[..1], true),
        ("point-single", &all[..1], false),
        ("point-mask", &masked[..], false),
        ("64-points", &all[..], true),
    ] {
        let count = prompts.len() * mask_decoder.masks(multimask);
        let (mut masks, mut iou) = (vec![0.0; count * side * side], vec![0.0; count]);
        let mut workspace = cx.workspace(predictor.scratch_req(&cx, prompts, multimask)).unwrap();
        group.throughput(Throughput::Elements(prompts.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                cx.enter(|| {
                    predictor.forward(
                        &cx,
                        &cache,
                        prompts,
                        [1.0; 2],
                        multimask,
                        &mut masks,
                        &mut iou,
                        workspace.scratch(),
                        Trace::off(),
                    );
                });
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decoder);
criterion_main!(benches);
