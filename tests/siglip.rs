//! SigLIP as applications use it: pictures and token ids to independent probabilities, and files that are wrong.
#![cfg(feature = "parallel")]

mod common;

use std::fs;

use common::Golden;
use safetensors::SafeTensors;
use safetensors::tensor::serialize;
use serde_json::{Value, json};
use vitrum::exec::{Cx, CxOptions};
use vitrum::image::{ImageView, PixelFormat};
use vitrum::models::clip::EncoderConfig;
use vitrum::pipelines::clip::{ClassifyOptions, Clip, ClipOptions, EncodeOptions};
use vitrum::weights::{Bundle, BundleParts, OpenOptions};
use vitrum::{Error, ErrorCode, Result, WeightFormat};

fn read(name: &str) -> Vec<u8> {
    fs::read(common::path("clip/siglip").join(name)).unwrap()
}

fn cx() -> Cx {
    Cx::new(&CxOptions::default().with_threads(2)).unwrap()
}

fn load(sides: &[(&str, &[u8])]) -> Result<Clip> {
    load_weights(&read("model.safetensors"), sides)
}

fn load_weights(weights: &[u8], sides: &[(&str, &[u8])]) -> Result<Clip> {
    let parts =
        sides.iter().fold(BundleParts::new(weights), |parts, (name, side)| parts.with_file(name, side));
    Clip::load(&cx(), &Bundle::from_memory(parts)?, &ClipOptions::default())
}

#[track_caller]
fn assert_error<T>(result: Result<T>, code: ErrorCode, words: &str) {
    let error: Error = result.err().expect("an error");
    assert_eq!(error.code(), code, "{error}");
    assert!(error.message().contains(words), "{error} does not say {words:?}");
}

/// The golden token ids, a row for each text.
fn tokens(reference: &Golden) -> Vec<Vec<u32>> {
    let (shape, ids) = reference.get("input_ids");
    ids.chunks_exact(shape[1]).map(|ids| ids.iter().map(|&id| id as u32).collect()).collect()
}

#[test]
fn end_to_end() {
    for name in ["siglip", "siglip2"] {
        let reference = Golden::read(&format!("clip/{name}/end_to_end.safetensors"));
        let bundle = Bundle::open(&common::path("clip").join(name), OpenOptions::default()).unwrap();
        let clip = Clip::load(&cx(), &bundle, &ClipOptions::default()).unwrap();
        assert!(clip.has_independent_probabilities());
        assert_eq!(clip.warnings(), [""; 0]);
        let pictures: Vec<_> = (0..).map_while(|i| reference.image(&format!("image.{i}"))).collect();
        let views: Vec<_> = pictures
            .iter()
            .map(|(data, [height, width])| {
                ImageView::packed(data, *width, *height, PixelFormat::Rgb8).unwrap()
            })
            .collect();

        // Preprocessed pixels are exact.
        let (height, width) = clip.preprocess().output_size();
        let mut pixels = vec![0.0; views.len() * 3 * height * width];
        for (view, pixels) in views.iter().zip(pixels.chunks_exact_mut(3 * height * width)) {
            clip.preprocess().run(&cx(), view, pixels).unwrap();
        }
        assert!(pixels == reference.get("pixels").1, "{name}: pixels differ");

        let images = clip.encode_images(&views, &EncodeOptions::default()).unwrap();
        reference.check("image_embeds_normalized", &images);
        let ids = tokens(&reference);
        let ids: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
        let texts = clip.encode_tokens(&ids, &EncodeOptions::default()).unwrap();
        reference.check("text_embeds_normalized", &texts);
        let mut logits = clip.similarity(&images, &texts).unwrap();
        reference.check("logits_per_image", &logits);
        clip.probabilities(&mut logits, ids.len());
        reference.check("probabilities", &logits);
        let sums = logits.chunks_exact(ids.len()).map(|row| row.iter().sum::<f32>());
        assert!(sums.into_iter().all(|sum| (sum - 1.0).abs() > 0.1), "{logits:?}");
    }
}

#[test]
fn probabilities_at_the_edges() {
    let clip = load(&[("config.json", &read("config.json"))]).unwrap();
    let mut logits = [f32::NEG_INFINITY, -200.0, 0.0, 200.0, f32::INFINITY, f32::NAN];
    clip.probabilities(&mut logits, 3);
    assert_eq!(logits[..5], [0.0, 0.0, 0.5, 1.0, 1.0]);
    assert!(logits[5].is_nan());
}

#[test]
fn preprocessing_without_a_file_is_siglips() {
    let with = load(&[
        ("config.json", &read("config.json")),
        ("preprocessor_config.json", &read("preprocessor_config.json")),
    ]);
    let without = load(&[("config.json", &read("config.json"))]).unwrap();
    let picture: Vec<u8> = (0..60 * 31 * 3).map(|i| (i * 7 + i / 60) as u8).collect();
    let view = ImageView::packed(&picture, 60, 31, PixelFormat::Rgb8).unwrap();
    let embed = |clip: &Clip| clip.encode_images(&[view], &EncodeOptions::default()).unwrap();
    assert_eq!(embed(&with.unwrap()), embed(&without));
    // A fixed resolution is not a variable one.
    let naflex = json!({"image_processor_type": "Siglip2ImageProcessor"}).to_string();
    let result =
        load(&[("config.json", &read("config.json")), ("preprocessor_config.json", naflex.as_bytes())]);
    assert_error(result, ErrorCode::Unsupported, "Siglip2ImageProcessor");
}

#[test]
fn texts_need_a_tokenizer_and_token_ids_do_not() {
    let clip = load(&[("config.json", &read("config.json"))]).unwrap();
    let options = EncodeOptions::default();
    let missing = "no tokenizer beside the weights";
    assert_error(clip.encode_texts(&["cat"], &options), ErrorCode::NotFound, missing);
    let picture = [0; 12];
    let view = ImageView::packed(&picture, 2, 2, PixelFormat::Rgb8).unwrap();
    let result = clip.classify(&view, &["cat"], &ClassifyOptions::default());
    assert_error(result, ErrorCode::NotFound, missing);

    use ErrorCode::InvalidArgument;
    assert_error(clip.encode_tokens(&[], &options), InvalidArgument, "no texts");
    let whole = [3; 10];
    assert_error(clip.encode_tokens(&[&whole, &whole[..9]], &options), InvalidArgument, "text 1 of 9 tokens");
    assert_error(clip.encode_tokens(&[&[3; 11]], &options), InvalidArgument, "text 0 of 11 tokens");
    assert_error(clip.encode_tokens(&[&[]], &options), InvalidArgument, "text 0 of 0 tokens");
    assert_error(clip.encode_tokens(&[&[120; 10]], &options), InvalidArgument, "120 is outside");
    assert_eq!(clip.encode_tokens(&[&whole], &options).unwrap().len(), clip.embed_dim());
}

/// The pooled token is the last of the context, and padding is attended to.
#[test]
fn texts_are_cut_and_padded_by_the_tokenizer_beside_the_weights() {
    let tokenizer = common::path("tokenizer_parts/siglip/tokenizer.json");
    let mut tokenizer: Value = serde_json::from_slice(&fs::read(tokenizer).unwrap()).unwrap();
    // As many pieces as the model has embeddings for.
    tokenizer["model"]["vocab"].as_array_mut().unwrap().truncate(120);
    let clip =
        load(&[("config.json", &read("config.json")), ("tokenizer.json", tokenizer.to_string().as_bytes())])
            .unwrap();
    assert_eq!(clip.warnings(), [""; 0]);
    let cut = clip.tokenizer().unwrap();
    assert_eq!(cut.context_length(), 10);
    let texts = ["a", "the one and the other, and more of it than fits"];
    let mut ids = vec![0; 2 * 10];
    cut.encode_batch(&texts, &mut ids).unwrap();
    assert!(cut.encode("a").unwrap().len() < 10 && ids[9] == cut.padding_id());
    let options = EncodeOptions::default();
    let found = clip.encode_texts(&texts, &options).unwrap();
    assert_eq!(found, clip.encode_tokens(&[&ids[..10], &ids[10..]], &options).unwrap());
    // More texts than go through the tower at once are the same.
    assert_eq!(clip.encode_texts(&texts.repeat(40), &options).unwrap(), found.repeat(40));
}

#[test]
fn impossible_configurations() {
    use ErrorCode::{Config, Limit, MissingTensor, TensorShape, Unsupported};
    let cases: &[(&str, Value, ErrorCode, &str)] = &[
        ("/model_type", json!("siglip2"), TensorShape, "patch_embedding.weight"),
        ("/model_type", json!("clip"), Unsupported, "model_type"),
        ("/vision_config/num_attention_heads", json!(0), Config, "num_attention_heads"),
        ("/vision_config/num_attention_heads", json!(5), Config, "divisor of hidden_size = 48"),
        ("/vision_config/patch_size", json!(0), Config, "patch_size"),
        ("/vision_config/patch_size", json!(49), Config, "patch_size"),
        ("/vision_config/patch_size", json!(12), TensorShape, "patch_embedding.weight"),
        ("/vision_config/image_size", json!([48, 48]), Config, "image_size"),
        ("/vision_config/image_size", json!(4096), Limit, "image_size"),
        ("/vision_config/image_size", json!(56), TensorShape, "position_embedding"),
        ("/text_config/hidden_size", json!(64), TensorShape, "text_model"),
        ("/vision_config/num_hidden_layers", json!(3), MissingTensor, "vision_model.encoder.layers.2."),
        ("/vision_config/num_hidden_layers", json!(1), Unsupported, "vision_model.encoder.layers.1."),
        ("/vision_config/vision_use_head", json!(false), Unsupported, "vision_use_head"),
        ("/vision_config/hidden_act", json!("gelu2"), Config, "hidden_act"),
        ("/text_config/projection_size", json!(40), Config, "48 features for pictures and 40 for texts"),
        ("/text_config/projection_size", json!(0), Config, "projection_size"),
        ("/text_config/vocab_size", json!(32000), TensorShape, "token_embedding"),
        ("/text_config/max_position_embeddings", json!(64), TensorShape, "position_embedding"),
    ];
    let config: Value = serde_json::from_slice(&read("config.json")).unwrap();
    for (pointer, value, code, words) in cases {
        let mut config = config.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap()[key] = value.clone();
        assert_error(load(&[("config.json", config.to_string().as_bytes())]), *code, words);
    }
    assert_error(load(&[]), ErrorCode::NotFound, "config.json");
    // A key that is not understood is told.
    let mut unknown = config.clone();
    unknown["vision_config"]["spatial_merge"] = json!(2);
    let clip = load(&[("config.json", unknown.to_string().as_bytes())]).unwrap();
    assert!(clip.warnings().iter().any(|warning| warning.contains("spatial_merge")), "{:?}", clip.warnings());
}

/// Every tensor is needed, and a tower can be alone.
#[test]
fn tensors_that_are_missing() {
    let file = read("model.safetensors");
    let whole = SafeTensors::deserialize(&file).unwrap();
    let config = read("config.json");
    let without = |is_left_out: &dyn Fn(&str) -> bool, config: &[u8]| {
        let kept = whole.tensors().into_iter().filter(|(name, _)| !is_left_out(name));
        load_weights(&serialize(kept, None).unwrap(), &[("config.json", config)])
    };
    for name in whole.names() {
        let error = without(&|other| other == name, &config).err().unwrap_or_else(|| panic!("{name}"));
        assert_eq!(error.code(), ErrorCode::MissingTensor, "{error}");
        assert!(error.message().contains(name), "{error}");
    }
    let image = without(&|name| name.starts_with("text_model"), &config).unwrap();
    assert!(image.model().text.is_none() && image.has_independent_probabilities());
    let EncoderConfig::Vit(vit) = image.config().vision.unwrap().encoder else { panic!("a SigLIP") };
    assert_eq!((vit.patch_size, vit.tower.heads), (14, 3));
    let text = without(&|name| name.starts_with("vision_model"), &config).unwrap();
    assert_eq!((text.model().vision.is_none(), text.embed_dim()), (true, 48));
    // As transformers saved a tower by its class.
    let parsed: Value = serde_json::from_slice(&config).unwrap();
    let alone = parsed["vision_config"].to_string();
    let tower = without(&|name| !name.starts_with("vision_model"), alone.as_bytes()).unwrap();
    let picture: Vec<u8> = (0..48 * 48 * 3).map(|i| (i * 5) as u8).collect();
    let view = ImageView::packed(&picture, 48, 48, PixelFormat::Rgb8).unwrap();
    let embed = |clip: &Clip| clip.encode_images(&[view], &EncodeOptions::default()).unwrap();
    assert_eq!(embed(&tower), embed(&image));
    assert_error(tower.similarity(&[0.0; 48], &[0.0; 48]), ErrorCode::Unsupported, "no logit scale");
}

#[test]
fn formats() {
    let reference = Golden::read("clip/siglip/end_to_end.safetensors");
    let bundle = Bundle::open(&common::path("clip/siglip"), OpenOptions::default()).unwrap();
    let (data, [height, width]) = reference.image("image.0").unwrap();
    let view = ImageView::packed(&data, width, height, PixelFormat::Rgb8).unwrap();
    let (_, images) = reference.get("image_embeds_normalized");
    let (_, texts) = reference.get("text_embeds_normalized");
    let ids = tokens(&reference);
    for (format, least) in [
        (WeightFormat::F16, 0.99999),
        (WeightFormat::Bf16, 0.9999),
        (WeightFormat::Int8, 0.999),
        (WeightFormat::Q4, 0.97),
    ] {
        let clip = Clip::load(&cx(), &bundle, &ClipOptions::default().with_weights(format)).unwrap();
        let image = clip.encode_images(&[view], &EncodeOptions::default()).unwrap();
        let text = clip.encode_tokens(&[&ids[0]], &EncodeOptions::default()).unwrap();
        for (found, exact) in [(image, &images[..48]), (text, &texts[..48])] {
            let cosine: f32 = found.iter().zip(exact).map(|(a, b)| a * b).sum();
            assert!(cosine > least, "{}: {cosine}", format.name());
        }
    }
}
