//! CLIP against `transformers` and `open_clip`, stage by stage, on the small models of `tests/golden/clip`.
//!
//! Bound: max |Δ| ≤ 1e-4 · max |reference| for every stage; see `tests/golden/make_golden.py` for the files.
#![cfg(feature = "parallel")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use common::Golden;
use vitrum::exec::{Cx, CxOptions, Monitor};
use vitrum::image::{ImageView, PixelFormat};
use vitrum::models::clip::{ClipModel, EncoderConfig, ImagePooling};
use vitrum::nn::Trace;
use vitrum::pipelines::clip::{ClassifyOptions, Clip, ClipOptions, EncodeOptions, prompts};
use vitrum::simd::Level;
use vitrum::weights::{Bundle, OpenOptions, Review};

fn golden(path: &str) -> PathBuf {
    common::path("clip").join(path)
}

/// Checks the image tower: every stage, and the result without looking. Stages that a ResNet shows once for every picture
/// are parts of one golden tensor.
fn check_vision(model: &ClipModel, cx: &Cx, golden: &Golden) {
    let vision = model.vision.as_ref().unwrap();
    let (shape, pixels) = golden.get("pixels");
    let size = [shape[0], shape[2], shape[3]];
    let mut out = vec![f32::NAN; shape[0] * model.config.embed_dim()];
    let mut workspace = cx.workspace(vision.scratch_req(cx, size)).unwrap();
    let mut seen: BTreeMap<String, Vec<f32>> = BTreeMap::new();
    let mut observer = |name: std::fmt::Arguments<'_>, values: &[f32]| {
        seen.entry(name.to_string()).or_default().extend(values);
    };
    let trace = Trace::to(&mut observer);
    vision.forward(cx, pixels, size, &mut out, workspace.scratch(), trace, &Monitor::none()).unwrap();
    seen.iter().for_each(|(name, values)| golden.check(name, values));
    let stages = match model.config.vision.unwrap().encoder {
        EncoderConfig::Vit(vit) => {
            let is_pooled = matches!(vit.pooling, ImagePooling::Attention(_));
            let others = [vit.has_pre_norm, is_pooled, vit.tower.projection.is_some()];
            vit.tower.layers + 2 + others.into_iter().filter(|is_there| *is_there).count()
        }
        EncoderConfig::ResNet(_) => 7,
        EncoderConfig::ConvNext(net) => {
            let blocks: usize = net.stages.iter().map(|stage| stage.blocks).sum();
            blocks + 3 + 3
        }
        EncoderConfig::FastVit(net) => {
            let blocks: usize = net.stages().iter().map(|stage| stage.blocks).sum();
            blocks + net.stages().len() - 1 + 4
        }
    };
    assert_eq!(seen.len(), stages);
    out.fill(f32::NAN);
    vision.forward(cx, pixels, size, &mut out, workspace.scratch(), Trace::off(), &Monitor::none()).unwrap();
    golden.check("image_embeds", &out);
}

/// Checks the text tower likewise.
fn check_text(model: &ClipModel, cx: &Cx, golden: &Golden) {
    let text = model.text.as_ref().unwrap();
    let (shape, ids) = golden.get("input_ids");
    let ids: Vec<u32> = ids.iter().map(|&id| id as u32).collect();
    let mut out = vec![f32::NAN; shape[0] * model.config.embed_dim()];
    let mut workspace = cx.workspace(text.scratch_req(cx, [shape[0], shape[1]])).unwrap();
    let mut stages = 0;
    let mut observer = |name: std::fmt::Arguments<'_>, values: &[f32]| {
        golden.check(&name.to_string(), values);
        stages += 1;
    };
    let trace = Trace::to(&mut observer);
    text.forward(cx, &ids, shape[1], &mut out, workspace.scratch(), trace, &Monitor::none()).unwrap();
    let config = model.config.text.unwrap();
    let others = if config.has_mixers { 6 } else { 4 } - usize::from(config.bert.is_some());
    assert_eq!(stages, config.tower.layers + others);
    out.fill(f32::NAN);
    text.forward(cx, &ids, shape[1], &mut out, workspace.scratch(), Trace::off(), &Monitor::none()).unwrap();
    golden.check("text_embeds", &out);
}

/// Loads `path` at every level and compares with the golden files beside it.
fn check(path: &str, other_sizes: &[&str]) {
    let bundle = Bundle::open(&golden(path), OpenOptions::default()).unwrap();
    let directory = path.split('/').next().unwrap();
    let golden = Golden::read(&format!("clip/{directory}/golden.safetensors"));
    for level in Level::available() {
        let cx = Cx::new(&CxOptions::default().with_threads(2).with_level(level)).unwrap();
        let model = ClipModel::bind(&bundle, level, None, &mut Review::default(), &Monitor::none()).unwrap();
        check_text(&model, &cx, &golden);
        if golden.find("pixels").is_none() {
            assert!(model.vision.is_none() && model.logit_scale.is_none());
            continue;
        }
        check_vision(&model, &cx, &golden);
        let (_, logit_scale) = golden.get("logit_scale");
        assert!((model.logit_scale.unwrap() / logit_scale[0].exp() - 1.0).abs() < 1e-6);
        assert_eq!(model.logit_bias, golden.find("logit_bias").map(|(_, bias)| bias[0]));
        for size in other_sizes {
            check_vision(&model, &cx, &Golden::read(&format!("clip/{directory}/golden_{size}.safetensors")));
        }
    }
}

#[test]
fn quickgelu_patch_32_argmax_pooling() {
    check("quickgelu-p32", &[]);
}

/// From pixels of pictures of several sizes and label strings to probabilities.
#[test]
fn end_to_end() {
    let text = fs::read(golden("quickgelu-p32/end_to_end.json")).unwrap();
    let text: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let reference = Golden::read("clip/quickgelu-p32/end_to_end.safetensors");
    let strings = |key: &str| -> Vec<String> { serde_json::from_value(text[key].clone()).unwrap() };
    let labels = strings("labels");
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let template = text["template"].as_str().unwrap();

    let bundle = Bundle::open(&golden("quickgelu-p32"), OpenOptions::default()).unwrap();
    let cx = Cx::new(&CxOptions::default()).unwrap();
    let clip = Clip::load(&cx, &bundle, &ClipOptions::default()).unwrap();
    let pictures: Vec<_> = (0..).map_while(|i| reference.image(&format!("image.{i}"))).collect();
    assert!(pictures.len() > 1);
    let views: Vec<_> = pictures
        .iter()
        .map(|(data, [height, width])| ImageView::packed(data, *width, *height, PixelFormat::Rgb8).unwrap())
        .collect();

    // Preprocessed pixels are exact.
    let (height, width) = clip.preprocess().output_size();
    let mut pixels = vec![0.0; views.len() * 3 * height * width];
    for (view, pixels) in views.iter().zip(pixels.chunks_exact_mut(3 * height * width)) {
        clip.preprocess().run(&cx, view, pixels).unwrap();
    }
    assert!(pixels == reference.get("pixels").1, "pixels differ");

    let prompts = prompts(&labels, Some(template)).unwrap();
    let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
    let (shape, ids) = reference.get("input_ids");
    for (prompt, ids) in prompts.iter().zip(ids.chunks_exact(shape[1])) {
        let tokens: Vec<f32> = clip.tokenize(prompt).unwrap().into_iter().map(|id| id as f32).collect();
        assert_eq!(tokens, ids[..tokens.len()], "{prompt}");
    }

    let images = clip.encode_images(&views, &EncodeOptions::default()).unwrap();
    reference.check("image_embeds_normalized", &images);
    let texts = clip.encode_texts(&prompts, &EncodeOptions::default()).unwrap();
    reference.check("text_embeds_normalized", &texts);
    reference.check("logits_per_image", &clip.similarity(&images, &texts).unwrap());
    let options = ClassifyOptions::default().with_template(template);
    let probabilities: Vec<f32> =
        views.iter().flat_map(|view| clip.classify(view, &labels, &options).unwrap()).collect();
    reference.check("probabilities", &probabilities);
}

#[test]
fn gelu_patch_14_f16_first_eos_pooling() {
    check("gelu-p14", &[]);
}

#[test]
fn quickgelu_patch_16_bf16_and_another_input_size() {
    check("quickgelu-p16", &["80x64"]);
}

#[test]
fn openclip_naming_with_configuration() {
    check("openclip-gelu", &[]);
    check("openclip-g14", &["42x56"]);
}

#[test]
fn openclip_naming_from_shapes_alone() {
    // In memory there is nothing beside the weights.
    let path = golden("openclip-gelu/open_clip_model.safetensors");
    let weights = fs::read(path).unwrap();
    let bundle = Bundle::from_memory(vitrum::weights::BundleParts::new(&weights)).unwrap();
    let golden = Golden::read("clip/openclip-gelu/golden.safetensors");
    let cx = Cx::serial(Level::detect());
    let model = ClipModel::bind(&bundle, cx.level(), None, &mut Review::default(), &Monitor::none()).unwrap();
    check_vision(&model, &cx, &golden);
    check_text(&model, &cx, &golden);
}

#[test]
fn openai_naming_without_configuration() {
    check("openai-naming", &[]);
}

#[test]
fn resnet_in_openai_naming_as_tensors_and_as_torchscript() {
    check("resnet-openai/model.safetensors", &[]);
    check("resnet-openai/model.pt", &[]);
}

#[test]
fn resnet_in_openclip_naming() {
    check("resnet-openclip", &[]);
}

#[test]
fn siglip_and_another_input_size() {
    check("siglip", &["64x48"]);
    check("siglip2", &[]);
}

/// Sequences of any number of patches, where the reference pads and masks them.
#[test]
fn naflex_in_every_proportion() {
    check("naflex", &["12x54", "60x12", "6x144", "144x6", "6x6"]);
}

#[test]
fn pe_core_in_openclip_and_metas_naming() {
    check("pe-timm", &[]);
    check("pe-timm-g", &[]);
    check("pe-meta", &["64x48"]);
    check("pe-meta-g", &["28x56"]);
}

#[test]
fn mobileclip_in_openclip_naming() {
    check("mobileclip-s0-timm", &[]);
    check("mobileclip-s0-timm/folded", &[]);
    check("mobileclip-s3-timm", &[]);
    check("mobileclip-b-timm", &[]);
    check("mobileclip-l-timm", &[]);
}

#[test]
fn mobileclip_in_apples_naming() {
    check("mobileclip-s0-apple", &[]);
    check("mobileclip-b-apple", &[]);
}

#[test]
fn siglip_in_openclip_naming() {
    check("siglip-timm", &[]);
    check("eva-timm", &[]);
    check("eva02-timm", &[]);
    check("convnext-timm", &[]);
    check("convnext-d-timm", &[]);
}

#[test]
fn text_towers_that_are_a_bert() {
    check("chinese", &[]);
    check("xlm-roberta", &[]);
    check("bert", &[]);
    check("m-clip", &[]);
}

#[test]
fn metaclip_2() {
    check("metaclip2", &[]);
}

#[test]
fn relatives_of_clip() {
    check("tinyclip", &[]);
    check("metaclip/pytorch_model.bin", &[]);
    for laion in ["laion", "laion/model.safetensors", "laion/open_clip_model.safetensors"] {
        check(laion, &[]);
    }
    check("dfn", &[]);
}
