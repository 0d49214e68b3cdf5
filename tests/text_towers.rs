//! Text towers that are a BERT or RoBERTa, and MetaCLIP 2, beyond their stages: strings, padding, batches, threads, formats, the
//! other naming of Chinese-CLIP, and files that are wrong.
#![cfg(feature = "parallel")]

mod common;

use std::collections::BTreeMap;
use std::fs;

use common::Golden;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::{Value, json};
use vitrum::exec::{Cx, CxOptions};
use vitrum::image::{ImageView, PixelFormat};
use vitrum::pipelines::clip::{Clip, ClipOptions, EncodeOptions};
use vitrum::simd::Level;
use vitrum::weights::{Bundle, BundleParts, OpenOptions};
use vitrum::{Error, ErrorCode, Result, WeightFormat};

/// The weights of a model: data type, shape, bytes.
type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

const OPENCLIP: [&str; 2] = ["open_clip_model.safetensors", "open_clip_config.json"];
const TRANSFORMERS: [&str; 2] = ["model.safetensors", "config.json"];

fn read(model: &str, name: &str) -> Vec<u8> {
    fs::read(common::path("clip").join(model).join(name)).unwrap()
}

fn json_of(model: &str, name: &str) -> Value {
    serde_json::from_slice(&read(model, name)).unwrap()
}

fn tensors(model: &str, name: &str) -> Tensors {
    let file = read(model, name);
    let own = |(name, view): (String, TensorView<'_>)| {
        (name, (view.dtype(), view.shape().to_vec(), view.data().to_vec()))
    };
    SafeTensors::deserialize(&file).unwrap().tensors().into_iter().map(own).collect()
}

fn file(tensors: &Tensors) -> Vec<u8> {
    let view = |(dtype, shape, bytes)| TensorView::new(dtype, shape, bytes).unwrap();
    let views =
        tensors.iter().map(|(name, (dtype, shape, bytes))| (name, view((*dtype, shape.clone(), bytes))));
    serialize(views.collect::<Vec<_>>(), None).unwrap()
}

fn open(cx: &Cx, model: &str, options: &ClipOptions<'_>) -> Clip {
    let bundle = Bundle::open(&common::path("clip").join(model), OpenOptions::default()).unwrap();
    Clip::load(cx, &bundle, options).unwrap()
}

fn load(weights: &[u8], sides: &[(&str, &[u8])]) -> Result<Clip> {
    let parts =
        sides.iter().fold(BundleParts::new(weights), |parts, (name, side)| parts.with_file(name, side));
    Clip::load(&serial(), &Bundle::from_memory(parts)?, &ClipOptions::default())
}

fn serial() -> Cx {
    Cx::serial(Level::detect())
}

#[track_caller]
fn assert_error<T>(result: Result<T>, code: ErrorCode, words: &str) {
    let error: Error = result.err().expect("an error");
    assert_eq!(error.code(), code, "{error}");
    assert!(error.message().contains(words), "{error} does not say {words:?}");
}

/// The texts of a model's golden file, and their ids.
fn texts(model: &str) -> (Vec<String>, Vec<Vec<u32>>) {
    let texts = json_of(model, "texts.json");
    (
        serde_json::from_value(texts["texts"].clone()).unwrap(),
        serde_json::from_value(texts["ids"].clone()).unwrap(),
    )
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Strings become the reference's ids and embeddings, with the tokenizer's files in the model's directory.
#[test]
fn strings_to_embeddings() {
    for model in ["chinese", "xlm-roberta", "m-clip", "metaclip2"] {
        let (texts, ids) = texts(model);
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let reference = Golden::read(&format!("clip/{model}/texts.safetensors"));
        let clip = open(&serial(), model, &ClipOptions::default());
        assert_eq!(clip.warnings(), [""; 0], "{model}");
        for (text, ids) in texts.iter().zip(&ids) {
            assert_eq!(clip.tokenize(text).unwrap(), *ids, "{model}: {text}");
        }
        let found = clip.encode_texts(&texts, &EncodeOptions::default()).unwrap();
        reference.check("text_embeds_normalized", &found);
        // The long text was cut, where the model has no room for it.
        let is_cut = ids[2].len() == clip.config().text.unwrap().context_length;
        assert_eq!(is_cut, ["xlm-roberta", "metaclip2"].contains(&model), "{model}");
    }
}

#[test]
fn chinese_clip_from_pictures_and_strings_to_logits() {
    let reference = Golden::read("clip/chinese/texts.safetensors");
    let clip = open(&serial(), "chinese", &ClipOptions::default());
    let pictures: Vec<_> = (0..).map_while(|i| reference.image(&format!("image.{i}"))).collect();
    let views: Vec<_> = pictures
        .iter()
        .map(|(data, [height, width])| ImageView::packed(data, *width, *height, PixelFormat::Rgb8).unwrap())
        .collect();
    let mut pixels = vec![0.0; reference.get("pixels").1.len()];
    for (view, pixels) in views.iter().zip(pixels.chunks_exact_mut(3 * 16 * 16)) {
        clip.preprocess().run(&serial(), view, pixels).unwrap();
    }
    assert!(pixels == reference.get("pixels").1, "pixels differ");
    let images = clip.encode_images(&views, &EncodeOptions::default()).unwrap();
    reference.check("image_embeds_normalized", &images);
    let (texts, _) = texts("chinese");
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let texts = clip.encode_texts(&texts, &EncodeOptions::default()).unwrap();
    reference.check("logits_per_image", &clip.similarity(&images, &texts).unwrap());
}

/// A text's embedding is the same alone and among others, with padding behind it or without, for any number of threads.
#[test]
fn batches_and_padding_change_no_bit() {
    for model in ["chinese", "xlm-roberta", "bert"] {
        let clip = open(&serial(), model, &ClipOptions::default());
        let text = clip.config().text.unwrap();
        let id = |i: usize| 5 + (i * 7 % 80) as u32;
        let all: Vec<Vec<u32>> = (1..=text.context_length).map(|len| (0..len).map(id).collect()).collect();
        let all: Vec<&[u32]> = all.iter().map(Vec::as_slice).collect::<Vec<_>>().repeat(12);
        let options = EncodeOptions::default();
        let together = clip.encode_tokens(&all, &options).unwrap();
        let dim = clip.embed_dim();
        for (ids, expected) in all.iter().zip(together.chunks_exact(dim)) {
            assert_eq!(clip.encode_tokens(&[ids], &options).unwrap(), expected, "{model}: {ids:?}");
            let mut padded = ids.to_vec();
            padded.resize(text.context_length, text.bert.unwrap().padding);
            assert_eq!(clip.encode_tokens(&[&padded], &options).unwrap(), expected);
        }
        let cx = Cx::new(&CxOptions::default().with_threads(3)).unwrap();
        let threaded = open(&cx, model, &ClipOptions::default());
        assert_eq!(threaded.encode_tokens(&all, &options).unwrap(), together);
    }
}

#[test]
fn token_ids_that_are_no_text() {
    use ErrorCode::InvalidArgument;
    let options = EncodeOptions::default();
    for (model, padding, most) in [("chinese", 0, 32), ("xlm-roberta", 1, 20), ("bert", 0, 14)] {
        let clip = open(&serial(), model, &ClipOptions::default());
        assert_error(clip.encode_tokens(&[&[]], &options), InvalidArgument, "text 0 of 0 tokens");
        assert_error(
            clip.encode_tokens(&[&[3], &[padding; 4]], &options),
            InvalidArgument,
            "is padding alone",
        );
        let long = vec![5; most + 1];
        assert_error(clip.encode_tokens(&[&long], &options), InvalidArgument, &format!("1 to {most}"));
        assert_error(clip.encode_tokens(&[&[3, 5000]], &options), InvalidArgument, "5000 is outside");
        let starts_with_padding = clip.encode_tokens(&[&[padding, 3]], &options);
        // A mean has no first token.
        assert_eq!(starts_with_padding.is_ok(), model == "xlm-roberta");
    }
}

#[test]
fn formats() {
    for model in ["chinese", "xlm-roberta", "bert"] {
        let clip = open(&serial(), model, &ClipOptions::default());
        let ids: Vec<u32> = (0..10).map(|i| 5 + i * 7 % 80).collect();
        let exact = clip.encode_tokens(&[&ids], &EncodeOptions::default()).unwrap();
        for (format, least) in [
            (WeightFormat::F16, 0.99999),
            (WeightFormat::Bf16, 0.9999),
            (WeightFormat::Int8, 0.999),
            (WeightFormat::Q4, 0.97),
        ] {
            let clip = open(&serial(), model, &ClipOptions::default().with_weights(format));
            let found = clip.encode_tokens(&[&ids], &EncodeOptions::default()).unwrap();
            let cosine = cosine(&found, &exact);
            assert!(cosine > least, "{model}, {}: {cosine}", format.name());
        }
    }
}

/// Random tensors of Chinese-CLIP in the naming of its own program, and in that of transformers.
fn chinese_in_both_namings() -> [Tensors; 2] {
    let (dim, inner, embed) = (64, 96, 12);
    let mut state = 1u32;
    let mut tensor = |shape: &[usize]| {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..shape.iter().product()).map(|_| next() * 0.4).collect::<Vec<f32>>()
    };
    let [mut original, mut transformers] = [Tensors::new(), Tensors::new()];
    let put = |to: &mut Tensors, name: &str, shape: &[usize], values: &[f32]| {
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        to.insert(name.into(), (Dtype::F32, shape.to_vec(), bytes));
    };
    let mut both = |names: [&str; 2], shape: &[usize]| {
        let values = tensor(shape);
        put(&mut original, names[0], shape, &values);
        put(&mut transformers, names[1], shape, &values);
    };
    let bert = |name: &str| [format!("bert.{name}"), format!("text_model.{name}")];
    let mut shapes: Vec<(String, Vec<usize>)> = vec![
        ("embeddings.word_embeddings.weight".into(), vec![50, dim]),
        ("embeddings.position_embeddings.weight".into(), vec![70, dim]),
        ("embeddings.token_type_embeddings.weight".into(), vec![2, dim]),
    ];
    let mut linear = |name: &str, outputs: usize, inputs: usize| {
        shapes.push((format!("{name}.weight"), vec![outputs, inputs]));
        shapes.push((format!("{name}.bias"), vec![outputs]));
    };
    for part in
        ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"]
    {
        linear(&format!("encoder.layer.0.{part}"), dim, dim);
    }
    linear("encoder.layer.0.intermediate.dense", inner, dim);
    linear("encoder.layer.0.output.dense", dim, inner);
    for norm in ["embeddings", "encoder.layer.0.attention.output", "encoder.layer.0.output"] {
        shapes.push((format!("{norm}.LayerNorm.weight"), vec![dim]));
        shapes.push((format!("{norm}.LayerNorm.bias"), vec![dim]));
    }
    for (name, shape) in &shapes {
        let [a, b] = bert(name);
        both([&a, &b], shape);
    }
    let (visual, vision) = ("visual", "vision_model");
    for (a, b, shape) in [
        ("conv1.weight", "embeddings.patch_embedding.weight", &[dim, 3, 8, 8][..]),
        ("class_embedding", "embeddings.class_embedding", &[dim]),
        ("positional_embedding", "embeddings.position_embedding.weight", &[5, dim]),
        ("ln_pre.weight", "pre_layrnorm.weight", &[dim]),
        ("ln_pre.bias", "pre_layrnorm.bias", &[dim]),
        ("ln_post.weight", "post_layernorm.weight", &[dim]),
        ("ln_post.bias", "post_layernorm.bias", &[dim]),
        ("transformer.resblocks.0.ln_1.weight", "encoder.layers.0.layer_norm1.weight", &[dim]),
        ("transformer.resblocks.0.ln_1.bias", "encoder.layers.0.layer_norm1.bias", &[dim]),
        ("transformer.resblocks.0.ln_2.weight", "encoder.layers.0.layer_norm2.weight", &[dim]),
        ("transformer.resblocks.0.ln_2.bias", "encoder.layers.0.layer_norm2.bias", &[dim]),
        (
            "transformer.resblocks.0.attn.out_proj.weight",
            "encoder.layers.0.self_attn.out_proj.weight",
            &[dim, dim],
        ),
        ("transformer.resblocks.0.attn.out_proj.bias", "encoder.layers.0.self_attn.out_proj.bias", &[dim]),
        ("transformer.resblocks.0.mlp.c_fc.weight", "encoder.layers.0.mlp.fc1.weight", &[2 * dim, dim]),
        ("transformer.resblocks.0.mlp.c_fc.bias", "encoder.layers.0.mlp.fc1.bias", &[2 * dim]),
        ("transformer.resblocks.0.mlp.c_proj.weight", "encoder.layers.0.mlp.fc2.weight", &[dim, 2 * dim]),
        ("transformer.resblocks.0.mlp.c_proj.bias", "encoder.layers.0.mlp.fc2.bias", &[dim]),
    ] {
        both([&format!("{visual}.{a}"), &format!("{vision}.{b}")], shape);
    }
    // Queries, keys and values are one tensor there, and three here; projections are transposed.
    for (part, width) in [("weight", dim), ("bias", 1)] {
        let shape = if part == "weight" { vec![3 * dim, dim] } else { vec![3 * dim] };
        let values = tensor(&shape);
        put(&mut original, &format!("visual.transformer.resblocks.0.attn.in_proj_{part}"), &shape, &values);
        for (name, values) in ["q", "k", "v"].iter().zip(values.chunks_exact(dim * width)) {
            let shape = if part == "weight" { vec![dim, dim] } else { vec![dim] };
            let name = format!("vision_model.encoder.layers.0.self_attn.{name}_proj.{part}");
            put(&mut transformers, &name, &shape, values);
        }
    }
    for [a, b] in [["visual.proj", "visual_projection.weight"], ["text_projection", "text_projection.weight"]]
    {
        let values = tensor(&[dim, embed]);
        let transposed: Vec<f32> = (0..embed * dim).map(|i| values[i % dim * embed + i / dim]).collect();
        put(&mut original, a, &[dim, embed], &values);
        put(&mut transformers, b, &[embed, dim], &transposed);
    }
    for tensors in [&mut original, &mut transformers] {
        put(tensors, "logit_scale", &[], &[2.5]);
    }
    [original, transformers]
}

/// Chinese-CLIP's own program is no package; transformers' naming of the same tensors is compared with its reference.
#[test]
fn chinese_clip_in_its_own_naming() {
    let [original, transformers] = chinese_in_both_namings();
    let sizes = json!({"hidden_size": 64, "num_attention_heads": 1, "num_hidden_layers": 1});
    let with = |more: Value| {
        let mut sizes = sizes.clone();
        sizes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        sizes
    };
    let config = json!({"model_type": "chinese_clip", "projection_dim": 12,
        "text_config": with(json!({"intermediate_size": 96, "vocab_size": 50, "max_position_embeddings": 70})),
        "vision_config": with(json!({"intermediate_size": 128, "image_size": 16, "patch_size": 8}))});
    let preprocessor = json!({"image_processor_type": "ChineseCLIPFeatureExtractor", "do_center_crop": false, "size": [16, 16]});
    let wrapped = original.into_iter().map(|(name, tensor)| (format!("module.{name}"), tensor)).collect();
    let own = load(&file(&wrapped), &[]).unwrap();
    let known = [("config.json", config.to_string()), ("preprocessor_config.json", preprocessor.to_string())];
    let known: Vec<_> = known.iter().map(|(name, side)| (*name, side.as_bytes())).collect();
    let known = load(&file(&transformers), &known).unwrap();
    assert_eq!(own.warnings(), [""; 0]);
    assert!(own.model().is_chinese_clip() && !known.model().is_chinese_clip());
    let options = EncodeOptions::default();
    let ids: [&[u32]; 2] = [&[3, 9, 17, 4], &[3, 4]];
    assert_eq!(own.encode_tokens(&ids, &options).unwrap(), known.encode_tokens(&ids, &options).unwrap());
    let picture: Vec<u8> = (0..40 * 31 * 3).map(|i| (i * 7 + i / 60) as u8).collect();
    let view = ImageView::packed(&picture, 40, 31, PixelFormat::Rgb8).unwrap();
    let embed = |clip: &Clip| clip.encode_images(&[view], &options).unwrap();
    assert_eq!(embed(&own), embed(&known));
    // Its program cuts texts to 52 tokens, transformers where positions end.
    assert_eq!([&own, &known].map(|clip| clip.config().text.unwrap().context_length), [52, 70]);
}

#[test]
fn impossible_configurations() {
    use ErrorCode::{Config, MissingTensor, TensorShape, Unsupported};
    /// A model, its files, a place in the configuration and what to write there, and the error.
    type Case = (&'static str, [&'static str; 2], &'static str, Value, ErrorCode, &'static str);
    let cases: &[Case] = &[
        ("chinese", TRANSFORMERS, "/model_type", json!("clip"), Config, "model_type"),
        ("metaclip2", TRANSFORMERS, "/model_type", json!("chinese_clip"), Config, "model_type"),
        (
            "chinese",
            TRANSFORMERS,
            "/text_config/num_attention_heads",
            json!(5),
            Config,
            "divisor of hidden_size",
        ),
        (
            "chinese",
            TRANSFORMERS,
            "/text_config/hidden_size",
            json!(64),
            TensorShape,
            "text_model.embeddings",
        ),
        ("chinese", TRANSFORMERS, "/text_config/vocab_size", json!(21128), TensorShape, "word_embeddings"),
        (
            "chinese",
            TRANSFORMERS,
            "/text_config/max_position_embeddings",
            json!(512),
            TensorShape,
            "position_embeddings",
        ),
        (
            "chinese",
            TRANSFORMERS,
            "/text_config/max_position_embeddings",
            json!(1_000_000),
            Config,
            "max_position",
        ),
        ("chinese", TRANSFORMERS, "/text_config/type_vocab_size", json!(0), Config, "type_vocab_size"),
        ("chinese", TRANSFORMERS, "/text_config/pad_token_id", json!(-1), Config, "pad_token_id"),
        (
            "chinese",
            TRANSFORMERS,
            "/text_config/num_hidden_layers",
            json!(3),
            MissingTensor,
            "text_model.encoder.layer.2.",
        ),
        (
            "chinese",
            TRANSFORMERS,
            "/text_config/num_hidden_layers",
            json!(1),
            Unsupported,
            "text_model.encoder.layer.1.",
        ),
        ("chinese", TRANSFORMERS, "/text_config/hidden_act", json!("tanh"), Config, "hidden_act"),
        (
            "chinese",
            TRANSFORMERS,
            "/text_config/position_embedding_type",
            json!("relative_key"),
            Unsupported,
            "relative_key",
        ),
        ("chinese", TRANSFORMERS, "/projection_dim", json!(24), TensorShape, "projection"),
        ("m-clip", TRANSFORMERS, "/modelBase", json!("distilbert-base"), Unsupported, "modelBase"),
        ("m-clip", TRANSFORMERS, "/numDims", json!(512), Config, "numDims"),
        ("m-clip", TRANSFORMERS, "/transformerDimensions", json!(1024), Config, "transformerDimensions"),
        ("m-clip", TRANSFORMERS, "/model_type", json!("clip"), Unsupported, "model_type"),
        (
            "xlm-roberta",
            OPENCLIP,
            "/model_cfg/text_cfg/hf_model_name",
            json!("google/mt5-base"),
            Unsupported,
            "mt5-base",
        ),
        (
            "xlm-roberta",
            OPENCLIP,
            "/model_cfg/text_cfg/hf_model_name",
            json!(null),
            Unsupported,
            "hf_model_name",
        ),
        (
            "xlm-roberta",
            OPENCLIP,
            "/model_cfg/text_cfg/hf_proj_type",
            json!("linear"),
            Config,
            "hf_proj_type",
        ),
        (
            "xlm-roberta",
            OPENCLIP,
            "/model_cfg/text_cfg/hf_pooler_type",
            json!("max_pooler"),
            Unsupported,
            "max_pooler",
        ),
        ("xlm-roberta", OPENCLIP, "/model_cfg/text_cfg/context_length", json!(21), Config, "context_length"),
        ("xlm-roberta", OPENCLIP, "/model_cfg/embed_dim", json!(21), Config, "embed_dim"),
        ("bert", OPENCLIP, "/model_cfg/text_cfg/hf_proj_type", json!("none"), Config, "hf_proj_type"),
    ];
    for (model, [weights, name], pointer, value, code, words) in cases {
        let mut config = json_of(model, name);
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap()[key] = value.clone();
        let result = load(&read(model, weights), &[(name, config.to_string().as_bytes())]);
        assert_error(result, *code, words);
    }
    let mut alone = tensors("xlm-roberta", OPENCLIP[0]);
    alone.retain(|name, _| name.starts_with("text."));
    assert_error(load(&file(&alone), &[]), ErrorCode::NotFound, "text_cfg.hf_model_name");
    // A layer of heads that are not 64 wide.
    let mut spoiled = tensors("bert", OPENCLIP[0]);
    let name = "text.transformer.embeddings.word_embeddings.weight";
    spoiled.insert(name.into(), (Dtype::F16, vec![90, 32], vec![0; 90 * 64]));
    let config = read("bert", OPENCLIP[1]);
    assert_error(load(&file(&spoiled), &[(OPENCLIP[1], &config)]), Config, "0 heads");
    // More than a token and as few positions as a RoBERTa has none of.
    let mut spoiled = tensors("m-clip", TRANSFORMERS[0]);
    let name = "transformer.embeddings.position_embeddings.weight";
    spoiled.insert(name.into(), (Dtype::F16, vec![2, 64], vec![0; 256]));
    let config = read("m-clip", TRANSFORMERS[1]);
    assert_error(load(&file(&spoiled), &[(TRANSFORMERS[1], &config)]), Config, "context length");
}

/// Every tensor of a text tower is needed, but for poolers that nothing goes through.
#[test]
fn tensors_that_are_missing() {
    for (model, [weights, config]) in
        [("chinese", TRANSFORMERS), ("m-clip", TRANSFORMERS), ("xlm-roberta", OPENCLIP), ("bert", OPENCLIP)]
    {
        let whole = tensors(model, weights);
        let side = read(model, config);
        let is_text = |name: &&String| !["vis", "logit"].iter().any(|other| name.starts_with(other));
        let names: Vec<&String> = whole.keys().filter(is_text).collect();
        assert!(names.len() > 20, "{names:?}");
        for name in names {
            let mut rest = whole.clone();
            rest.remove(name);
            let result = load(&file(&rest), &[(config, &side)]);
            if model == "m-clip" && name.contains(".pooler.") {
                assert!(result.is_ok(), "{model}: {name}");
                continue;
            }
            let error = result.err().unwrap_or_else(|| panic!("{model}: {name}"));
            let codes = [ErrorCode::MissingTensor, ErrorCode::Unsupported, ErrorCode::Config];
            assert!(codes.contains(&error.code()), "{error}");
        }
    }
}

#[test]
fn text_towers_of_other_architectures_are_refused() {
    let mut other = tensors("xlm-roberta", OPENCLIP[0]);
    let text: Vec<String> = other.keys().filter(|name| name.starts_with("text.")).cloned().collect();
    text.iter().for_each(|name| _ = other.remove(name));
    other.insert("text.transformer.shared.weight".into(), (Dtype::F16, vec![4, 8], vec![0; 64]));
    let config = read("xlm-roberta", OPENCLIP[1]);
    assert_error(load(&file(&other), &[(OPENCLIP[1], &config)]), ErrorCode::Unsupported, "T5, M2M-100");
}

#[test]
fn relatives_that_are_not_known_are_refused_by_name() {
    for (tensor, words) in [
        ("text_model.transformer.embeddings.word_embeddings.weight", "this is a Jina-CLIP"),
        ("_logit_scale.module.logit_scale", "this is a TinyCLIP in the naming of its own program"),
    ] {
        let tensors = Tensors::from([(tensor.into(), (Dtype::F16, vec![4, 8], vec![0; 64]))]);
        assert_error(load(&file(&tensors), &[]), ErrorCode::Unsupported, words);
    }
}

/// OpenCLIP's configuration names a tokenizer that its program fetches.
#[test]
fn a_tokenizer_that_is_not_there_is_named() {
    let config = read("xlm-roberta", OPENCLIP[1]);
    let clip = load(&read("xlm-roberta", OPENCLIP[0]), &[(OPENCLIP[1], &config)]).unwrap();
    let result = clip.encode_texts(&["cat"], &EncodeOptions::default());
    assert_error(result, ErrorCode::NotFound, "\"xlm-roberta-base\", whose tokenizer.json");
}

/// Earlier versions of OpenCLIP call settings otherwise.
#[test]
fn earlier_names_of_settings() {
    let mut config = json_of("xlm-roberta", OPENCLIP[1]);
    let text = config["model_cfg"]["text_cfg"].as_object_mut().unwrap();
    for (now, then) in [("hf_proj_type", "proj"), ("hf_pooler_type", "pooler_type")] {
        let value = text.remove(now).unwrap();
        text.insert(then.into(), value);
    }
    let config = config.to_string();
    let clip = load(&read("xlm-roberta", OPENCLIP[0]), &[(OPENCLIP[1], config.as_bytes())]).unwrap();
    assert_eq!(clip.warnings(), [""; 0]);
    let now = open(&serial(), "xlm-roberta", &ClipOptions::default());
    let embed = |clip: &Clip| clip.encode_tokens(&[&[0, 7, 9, 2]], &EncodeOptions::default()).unwrap();
    assert_eq!(embed(&clip), embed(&now));
}

/// Models that differ from CLIP by their configuration alone, as they are published: nothing of their files is left over.
#[test]
fn relatives_of_clip_load_without_warnings() {
    for model in ["tinyclip", "metaclip/pytorch_model.bin", "metaclip2", "laion", "dfn"] {
        let clip = open(&serial(), model, &ClipOptions::default());
        assert_eq!(clip.warnings(), [""; 0], "{model}");
        // DFN squeezes pictures, the others crop them.
        assert_eq!(clip.preprocess().resized(16, 40).unwrap() == (16, 16), model == "dfn", "{model}");
    }
}
