//! The sizes of text towers that are a BERT or RoBERTa: from `config.json` of Chinese-CLIP and M-CLIP, and from the shapes of
//! tensors for those of OpenCLIP and of Chinese-CLIP's own program.

use alloc::format;

use super::original::{TEXT, unsupported};
use super::{
    BertConfig, ClipConfig, MAX_CONTEXT, MAX_INTERMEDIATE, MAX_LAYERS, MAX_VOCABULARY, MAX_WIDTH, Pooling,
    TextConfig, TowerConfig,
};
use crate::error::{Result, err};
use crate::kernels::activation::Activation;
use crate::models::clip::naming::{BERT_LAYER, Naming};
use crate::models::{activation, model_type};
use crate::weights::{Config, Review, Scope};

/// What a pretrained model's name says of it, and no tensor does. All have heads of 64 features and GELU.
#[derive(Clone, Copy)]
struct Kind {
    padding: u32,
    is_roberta: bool,
    eps: f32,
}

const BERT: Kind = Kind { padding: 0, is_roberta: false, eps: 1e-12 };
const ROBERTA: Kind = Kind { padding: 1, is_roberta: true, eps: 1e-5 };

/// Pretrained models that others are made from.
const KNOWN: [(&str, Kind); 13] = [
    ("xlm-roberta-base", ROBERTA),
    ("xlm-roberta-large", ROBERTA),
    ("roberta-base", ROBERTA),
    ("roberta-large", ROBERTA),
    ("bert-base-uncased", BERT),
    ("bert-base-cased", BERT),
    ("bert-large-uncased", BERT),
    ("bert-large-cased", BERT),
    ("bert-base-chinese", BERT),
    ("bert-base-multilingual-cased", BERT),
    ("bert-base-multilingual-uncased", BERT),
    ("chinese-roberta-wwm-ext", BERT),
    ("LaBSE", BERT),
];

const HEAD_WIDTH: usize = 64;

/// Tokens of a text in OpenCLIP, unless a configuration says otherwise.
const OPENCLIP_CONTEXT: usize = 77;

/// Tokens of a text in Chinese-CLIP's own program.
const CHINESE_CONTEXT: usize = 52;

/// Settings of `transformers`' BERTs that a text tower does not use, or that only train it.
pub(super) const QUIET: [&str; 10] = [
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "directionality",
    "hidden_dropout_prob",
    "output_past",
    "pooler_fc_size",
    "pooler_num_attention_heads",
    "pooler_num_fc_layers",
    "pooler_size_per_head",
    "pooler_type",
];

/// The text tower of `transformers`' ChineseCLIPModel, whose keys begin with `at`: absent ones have the defaults of
/// `ChineseCLIPTextConfig`.
pub(super) fn read_chinese(
    config: &Config,
    at: &str,
    projection: usize,
    review: &mut Review,
) -> Result<TextConfig> {
    let key = |name: &str| format!("{at}{name}");
    let hidden_size = config.usize_or(&key("hidden_size"), 768, 1..=MAX_WIDTH)?;
    let heads = config.usize_or(&key("num_attention_heads"), 12, 1..=hidden_size)?;
    if !hidden_size.is_multiple_of(heads) {
        let expected = format_args!("a divisor of hidden_size = {hidden_size}");
        return Err(config.unusable(&key("num_attention_heads"), expected));
    }
    review.neutral(config, &[(&key("position_embedding_type"), "\"absolute\"")])?;
    let positions = config.usize_or(&key("max_position_embeddings"), 512, 1..=MAX_CONTEXT)?;
    let tower = TowerConfig {
        hidden_size,
        intermediate_size: config.usize_or(&key("intermediate_size"), 3072, 1..=MAX_INTERMEDIATE)?,
        layers: config.usize_or(&key("num_hidden_layers"), 12, 1..=MAX_LAYERS)?,
        heads,
        activation: activation(config, &key("hidden_act"), Activation::Gelu)?,
        layer_norm_eps: config.f32_or(&key("layer_norm_eps"), 1e-12, 0.0..=1.0)?,
        projection: Some(projection),
    };
    let bert = BertConfig {
        positions,
        first_position: 0,
        token_types: config.usize_or(&key("type_vocab_size"), 2, 1..=MAX_VOCABULARY)?,
        padding: config.usize_or(&key("pad_token_id"), 0, 0..=MAX_VOCABULARY)? as u32,
        has_pooler: false,
    };
    let vocab_size = config.usize_or(&key("vocab_size"), 30_522, 1..=MAX_VOCABULARY)?;
    Ok(text(tower, vocab_size, positions, Pooling::First, bert))
}

/// M-CLIP: the mean of the tokens of the model that `modelBase` names, and a linear layer.
pub(super) fn read_multilingual(
    config: &Config,
    scope: &Scope<'_>,
    review: &mut Review,
) -> Result<ClipConfig> {
    model_type(config, &["M-CLIP"], review)?;
    let kind = kind(config, "modelBase", config.str_or("modelBase", "xlm-roberta-large")?)?;
    let [outputs, _] = scope.dims("LinearTransformation.weight")?;
    let text = of_tensors(scope, Naming::MultilingualClip, kind, Pooling::Mean, Some(outputs))?;
    super::original::agrees(config, "numDims", outputs)?;
    super::original::agrees(config, "transformerDimensions", text.tower.hidden_size)?;
    review.settings(config, &QUIET);
    Ok(ClipConfig { vision: None, text: Some(text) })
}

/// The text tower of Chinese-CLIP's own program.
pub(super) fn read_original(scope: &Scope<'_>) -> Result<TextConfig> {
    let [_, outputs] = scope.dims("text_projection")?;
    let text = of_tensors(scope, Naming::Original, BERT, Pooling::First, Some(outputs))?;
    Ok(TextConfig { context_length: text.context_length.min(CHINESE_CONTEXT), ..text })
}

/// A text tower that OpenCLIP takes from `transformers`.
pub(super) fn read_open_clip(
    scope: &Scope<'_>,
    naming: Naming,
    config: Option<&Config>,
) -> Result<TextConfig> {
    let Some(config) = config else {
        return Err(err!(
            NotFound,
            "open_clip_config.json is needed beside a text tower of transformers: text_cfg.hf_model_name"
        ));
    };
    let key = |name: &str| format!("{TEXT}.{name}");
    let kind = kind(config, &key("hf_model_name"), config.str_or(&key("hf_model_name"), "")?)?;

    // Earlier versions of OpenCLIP call the settings `proj` and `pooler_type`.
    let setting = |name: &str, earlier: &str, default| {
        let name = if config.has(&key(name)) { name } else { earlier };
        Ok::<_, crate::Error>((key(name), config.str_or(&key(name), default)?))
    };
    let proj = scope.at(naming.bert().projection);
    let (found, last) = match (proj.contains("0.weight"), proj.contains("weight")) {
        (true, _) => ("mlp", Some("2.weight")),
        (false, true) => ("linear", Some("weight")),
        (false, false) => ("none", None),
    };
    let (name, kind_of_proj) = setting("hf_proj_type", "proj", "mlp")?;
    if kind_of_proj != found && (found != "none" || config.has(&name)) {
        return Err(config.unusable(&name, format_args!("{found:?}, as the tensors have")));
    }
    let outputs = last.map(|last| proj.dims(last).map(|[outputs, _]| outputs)).transpose()?;

    let (name, pooler) = setting("hf_pooler_type", "pooler_type", "mean_pooler")?;
    let (pooling, has_pooler) = match pooler {
        "mean_pooler" => (Pooling::Mean, false),
        "cls_pooler" => (Pooling::First, true),
        "cls_last_hidden_state_pooler" => (Pooling::First, false),
        _ => {
            let expected = "\"mean_pooler\", \"cls_pooler\" or \"cls_last_hidden_state_pooler\"";
            return Err(unsupported(config, &name, expected));
        }
    };
    let mut read = of_tensors(scope, naming, kind, pooling, outputs)?;
    let longest = read.context_length;
    let context = config.usize_or(&key("context_length"), OPENCLIP_CONTEXT.min(longest), 1..=longest)?;
    read.context_length = context;
    read.bert = read.bert.map(|bert| BertConfig { has_pooler, ..bert });
    Ok(read)
}

/// The pretrained model called `name`, which stands at `key`.
fn kind(config: &Config, key: &str, name: &str) -> Result<Kind> {
    let last = name.rsplit('/').next().unwrap_or(name);
    let known = KNOWN.into_iter().find(|known| known.0 == last);
    known.map(|known| known.1).ok_or_else(|| {
        unsupported(config, key, "a BERT or RoBERTa that is known here, such as \"xlm-roberta-base\"")
    })
}

/// The tower of the checkpoint `scope`, with as many tokens of a text as there are positions.
fn of_tensors(
    scope: &Scope<'_>,
    naming: Naming,
    kind: Kind,
    pooling: Pooling,
    projection: Option<usize>,
) -> Result<TextConfig> {
    let root = scope.at(naming.bert().root);
    let (embeddings, layers) = (root.at("embeddings"), root.at("encoder.layer"));
    let [vocab_size, width] = embeddings.dims("word_embeddings.weight")?;
    let [positions, _] = embeddings.dims("position_embeddings.weight")?;
    let [token_types, _] = embeddings.dims("token_type_embeddings.weight")?;
    let [intermediate_size, _] = layers.at(0).at(BERT_LAYER.mlp[0]).dims("weight")?;
    let has_layer = |i: &usize| layers.at(i).at(BERT_LAYER.norm1).contains("weight");
    let tower = TowerConfig {
        hidden_size: width,
        intermediate_size,
        layers: (0..=MAX_LAYERS).take_while(has_layer).count(),
        heads: width / HEAD_WIDTH,
        activation: Activation::Gelu,
        layer_norm_eps: kind.eps,
        projection,
    };
    tower.check(root.prefix())?;
    let first_position = if kind.is_roberta { kind.padding as usize + 1 } else { 0 };
    let bert =
        BertConfig { positions, first_position, token_types, padding: kind.padding, has_pooler: false };
    Ok(text(tower, vocab_size, positions.saturating_sub(first_position), pooling, bert))
}

fn text(
    tower: TowerConfig,
    vocab_size: usize,
    context_length: usize,
    pooling: Pooling,
    bert: BertConfig,
) -> TextConfig {
    TextConfig {
        tower,
        vocab_size,
        context_length,
        has_long_positions: false,
        pooling,
        is_causal: false,
        has_mixers: false,
        padding: Some(bert.padding),
        bert: Some(bert),
    }
}
