//! Models whose matrices are stored in other formats: the same results as the original in that format, and clear errors for
//! files that are wrong.
#![cfg(feature = "std")]

mod demo_sets;

use std::collections::BTreeMap;
use std::fs;

use demo_sets::{demo, open};
use safetensors::tensor::{Dtype, TensorView, serialize};
use vitrum::exec::Cx;
use vitrum::pipelines::clip::{Clip, ClipOptions, EncodeOptions};
use vitrum::simd::Level;
use vitrum::weights::quantized::{Encoded, SHAPE_KEY, encode_tensor, shape_text};
use vitrum::weights::{Bundle, BundleParts, WEIGHT_FORMAT_KEY};
use vitrum::{ErrorCode, Result, WeightFormat};

const NAME: &str = "text_model.encoder.layers.0.mlp.fc1.weight";

/// clip-nano in a format, as tensors and metadata, to be spoiled.
struct Model {
    tensors: Vec<(String, Encoded)>,
    metadata: BTreeMap<String, String>,
}

impl Model {
    fn new(format: WeightFormat) -> Self {
        let (bundle, cx) = (open("clip-nano"), Cx::serial(Level::detect()));
        Clip::load(&cx, &bundle, &ClipOptions::default().with_weights(format)).unwrap();
        let archive = bundle.archive();
        let mut metadata = BTreeMap::from([(WEIGHT_FORMAT_KEY.to_owned(), format.name().to_owned())]);
        let mut tensors = Vec::new();
        for info in archive.tensors() {
            if archive.is_packed(info.name) && format == WeightFormat::Q4 {
                metadata.insert(format!("{SHAPE_KEY}{}", info.name), shape_text(info.shape));
            }
            for part in encode_tensor(archive, info.name, format).unwrap() {
                tensors.push((format!("{}{}", info.name, part.suffix), part));
            }
        }
        Self { tensors, metadata }
    }

    fn tensor(&mut self, name: &str) -> &mut Encoded {
        &mut self.tensors.iter_mut().find(|(known, _)| known == name).unwrap().1
    }

    fn file(&self) -> Vec<u8> {
        let view = |(name, part): &'_ (String, Encoded)| {
            (name.clone(), part.dtype, part.shape.clone(), part.bytes.clone())
        };
        let parts: Vec<_> = self.tensors.iter().map(view).collect();
        let views = parts.iter().map(|(name, dtype, shape, bytes)| {
            (name.clone(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
        });
        serialize(views.collect::<Vec<_>>(), Some(self.metadata.clone().into_iter().collect())).unwrap()
    }
}

fn load(weights: &[u8], options: &ClipOptions<'_>) -> Result<Clip> {
    let side = |name: &str| fs::read(demo().join("clip-nano").join(name)).unwrap();
    let (config, tokenizer) = (side("config.json"), side("tokenizer.json"));
    let parts =
        BundleParts::new(weights).with_file("config.json", &config).with_file("tokenizer.json", &tokenizer);
    Clip::load(&Cx::serial(Level::detect()), &Bundle::from_memory(parts)?, options)
}

fn embedding(clip: &Clip) -> Vec<f32> {
    clip.encode_texts(&["an octopus"], &EncodeOptions::default()).unwrap()
}

#[test]
fn a_quantised_file_is_the_original_in_that_format() {
    let original = fs::read(demo().join("clip-nano/model.safetensors")).unwrap();
    let exact = embedding(&load(&original, &ClipOptions::default()).unwrap());
    for format in WeightFormat::ALL.into_iter().skip(1) {
        let file = Model::new(format).file();
        let expected = load(&original, &ClipOptions::default().with_weights(format)).unwrap();
        let found = load(&file, &ClipOptions::default()).unwrap();
        assert_eq!(embedding(&found), embedding(&expected), "{}", format.name());
        assert_eq!(found.memory_bytes(), expected.memory_bytes(), "{}", format.name());
        // The caller's choice goes before that of the files.
        let widened = load(&file, &ClipOptions::default().with_weights(WeightFormat::F32)).unwrap();
        assert!(widened.memory_bytes() > found.memory_bytes(), "{}", format.name());
        let cosine: f32 = embedding(&widened).iter().zip(&exact).map(|(a, b)| a * b).sum();
        assert!(cosine > 0.99, "{}: {cosine}", format.name());
    }
}

/// Channels with values 64 times as large as the others', which the matrix behind the norm takes back: the same function.
#[test]
fn outlying_channels_of_norms_cost_int8_nothing() {
    let bundle = open("clip-nano");
    let mut model = Model::new(WeightFormat::F32);
    let of = |model: &Model, format| {
        embedding(&load(&model.file(), &ClipOptions::default().with_weights(format)).unwrap())
    };
    let (exact, quantised) = (of(&model, WeightFormat::F32), of(&model, WeightFormat::Int8));

    let layer = "text_model.encoder.layers.0";
    let mut scale = |name: &str, by: f32| {
        let name = format!("{layer}.{name}");
        let mut values = bundle.archive().values(&name, WeightFormat::F32, Level::detect()).unwrap();
        let part = model.tensor(&name);
        let columns = *part.shape.last().unwrap();
        for row in values.chunks_exact_mut(columns) {
            row.iter_mut().skip(5).step_by(37).for_each(|x| *x *= by);
        }
        part.dtype = Dtype::F32;
        part.bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    };
    for (norm, matrices) in [
        ("layer_norm1", &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"][..]),
        ("layer_norm2", &["mlp.fc1"]),
    ] {
        ["weight", "bias"].iter().for_each(|part| scale(&format!("{norm}.{part}"), 64.0));
        matrices.iter().for_each(|matrix| scale(&format!("{matrix}.weight"), 1.0 / 64.0));
    }
    assert_eq!(of(&model, WeightFormat::F32), exact);
    assert_eq!(of(&model, WeightFormat::Int8), quantised);
}

fn refused(model: &Model, code: ErrorCode, what: &str) {
    let error = load(&model.file(), &ClipOptions::default()).unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(what), "{error}");
}

#[test]
fn scales_that_do_not_fit_are_refused() {
    let scale = format!("{NAME}_scale");
    for format in [WeightFormat::Int8, WeightFormat::Q4] {
        let mut model = Model::new(format);
        let part = model.tensor(&scale);
        let rows = part.shape[0];
        part.bytes.truncate(part.bytes.len() / rows * (rows - 1));
        part.shape[0] -= 1;
        refused(&model, ErrorCode::TensorShape, &scale);

        let mut model = Model::new(format);
        model.tensor(&scale).dtype = if format == WeightFormat::Int8 { Dtype::I32 } else { Dtype::F16 };
        refused(&model, ErrorCode::TensorDtype, &scale);
    }
    // Without its scales, a tensor of integers is no weight.
    let mut model = Model::new(WeightFormat::Int8);
    model.tensors.retain(|(name, _)| *name != scale);
    refused(&model, ErrorCode::TensorDtype, NAME);
    let mut model = Model::new(WeightFormat::Q4);
    model.tensors.retain(|(name, _)| *name != format!("{NAME}_least"));
    refused(&model, ErrorCode::MissingTensor, "_least");
}

#[test]
fn shapes_and_formats_that_are_not_understood_are_refused() {
    let key = format!("{SHAPE_KEY}{NAME}");
    for (text, code) in [
        ("512,160", ErrorCode::TensorShape),
        ("", ErrorCode::Format),
        ("512,128,", ErrorCode::Format),
        ("0,128", ErrorCode::Format),
        ("18446744073709551615,18446744073709551615", ErrorCode::Format),
        ("1,1,1,1,1,1,1,1,65536", ErrorCode::Format),
    ] {
        let mut model = Model::new(WeightFormat::Q4);
        model.metadata.insert(key.clone(), text.into());
        refused(&model, code, NAME);
    }
    let mut model = Model::new(WeightFormat::Q4);
    model.metadata.insert(format!("{SHAPE_KEY}nothing"), "512,128".into());
    refused(&model, ErrorCode::MissingTensor, "nothing");
    let mut model = Model::new(WeightFormat::Int8);
    model.metadata.insert(key, "512,128".into());
    refused(&model, ErrorCode::TensorDtype, NAME);
    let mut model = Model::new(WeightFormat::Int8);
    model.metadata.insert(WEIGHT_FORMAT_KEY.into(), "int2".into());
    refused(&model, ErrorCode::Unsupported, "int2");
    let file = Model::new(WeightFormat::Int8).file();
    let error = load(&file[..file.len() - 1], &ClipOptions::default()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Format, "{error}");
}
