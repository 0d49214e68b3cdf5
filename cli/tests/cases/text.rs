//! Cases of text: cleaning, side files of tokenizers, OpenAI's vocabulary.

use std::fs;

use serde_json::{Value, json};

use crate::case::{Case, Check};

pub(crate) const CHECKS: &[Check] = &[
    ("clip/14-openai-text-cleaning", openai_text_cleaning),
    ("clip/40-added-tokens", added_tokens),
    ("clip/41-open-clip-canonicalize", open_clip_canonicalize),
];

/// OpenAI's merge list, which the command carries.
const VOCABULARY: &[u8] = include_bytes!("../../vocabulary/bpe_simple_vocab_16e6.txt.gz");

/// The embedding of `text` by the model in the case's folder `model`, as it is printed.
fn embedding(case: &Case, model: &str, text: &str) -> Value {
    let (stdout, _) =
        case.succeeds(&["embed", "--raw", "--json", "--model", model, &format!("--text={text}")]);
    let row: Value = serde_json::from_str(stdout.lines().next().expect("a line")).unwrap();
    let embedding = row["embedding"].clone();
    assert!(embedding.as_array().is_some_and(|numbers| !numbers.is_empty()), "{stdout}");
    embedding
}

fn openai_text_cleaning(case: &Case) {
    let same = [
        ("cat &amp; dog", "cat & dog"),
        ("cat’s", "cat's"),
        ("ﬁsh", "fish"),
        // Siblings.
        ("&amp;quot;cat&quot; &LT &#39;dog&#x27;", "\"cat\" < 'dog'"),
        ("ｃａｔ　ｄｏｇ", "cat dog"),
        ("cafÃ© donâ€™t", "café don't"),
        ("a\u{1B}[1mcat\u{1B}[0m\u{FEFF}\r\n\tDOG", "acat dog"),
        ("caf\u{65}\u{301}", "café"),
        ("ΟΔΟΣ", "οδος"),
    ];
    for (dirty, clean) in same {
        assert_eq!(embedding(case, ".", dirty), embedding(case, ".", clean), "{dirty:?}");
    }
    for (one, other) in [("cat & dog", "cat dog"), ("cat's", "cats"), ("<b>&copy; cat", "<b> cat")] {
        assert_ne!(embedding(case, ".", one), embedding(case, ".", other), "{one:?}");
    }
}

fn added_tokens(case: &Case) {
    let references = [
        ("a photo of <sks> dog!", [-0.2495, -0.2030, 0.0199, -1.7818]),
        ("a <CAT-TOY>", [0.0351, -0.6524, -0.2368, -2.0974]),
    ];
    for (text, expected) in references {
        case.embeds(&["--model=.", "--text", text], &expected);
    }
    // The same tokens in the configuration, as transformers writes them now.
    let token = |content: &str, special: bool| json!({"content": content, "special": special});
    let config = json!({"tokenizer_class": "CLIPTokenizer", "pad_token": "!", "added_tokens_decoder": {
        "0": token("!", true), "524": token("<|startoftext|>", true), "525": token("<|endoftext|>", true),
        "526": token("<sks>", false), "527": token("<cat-toy>", false),
    }});
    fs::write(case.path("tokenizer_config.json"), config.to_string()).unwrap();
    for file in ["added_tokens.json", "special_tokens_map.json"] {
        fs::remove_file(case.path(file)).unwrap();
    }
    for (text, expected) in references {
        case.embeds(&["--model=.", "--text", text], &expected);
    }
    // Another tokenizer's settings are named when a text comes.
    let config = json!({"tokenizer_class": "GPT2Tokenizer"});
    fs::write(case.path("tokenizer_config.json"), config.to_string()).unwrap();
    case.fails(&["embed", "--model=.", "--text=a dog"], 3, &["GPT2Tokenizer"]);
}

fn open_clip_canonicalize(case: &Case) {
    let texts = ["A Photo, of THE_cat’s &quot;dog&quot;!", "a photo of the cats dog"];
    for text in texts {
        case.embeds(&["--model=.", "--text", text], &[-1.1851, -0.0761, 0.8581, 0.9056]);
    }
    let config_path = case.path("open_clip_config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&config_path).unwrap()).unwrap();
    let cleaning = &mut config["model_cfg"]["text_cfg"]["tokenizer_kwargs"]["clean"];
    *cleaning = json!("whitespace");
    fs::write(&config_path, config.to_string()).unwrap();
    assert_ne!(embedding(case, ".", "The cat"), embedding(case, ".", "the cat"));
    config["model_cfg"]["text_cfg"]["tokenizer_kwargs"]["clean"] = json!("stemmed");
    fs::write(&config_path, config.to_string()).unwrap();
    case.fails(&["embed", "--model=.", "--text=the cat"], 3, &["clean", "stemmed"]);

    // With OpenAI's vocabulary of embeddings, its tokenizer is there without a file.
    config["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = json!({});
    config["model_cfg"]["text_cfg"]["vocab_size"] = json!(49_408);
    let weights = with_openai_embeddings(&fs::read(case.path("open_clip_model.safetensors")).unwrap());
    for folder in ["without", "with"] {
        fs::create_dir(case.path(folder)).unwrap();
        let file = |name: &str| case.path(folder).join(name);
        fs::write(file("open_clip_model.safetensors"), &weights).unwrap();
        fs::write(file("open_clip_config.json"), config.to_string()).unwrap();
    }
    fs::write(case.path("with").join("bpe_simple_vocab_16e6.txt.gz"), VOCABULARY).unwrap();
    for text in ["a photo of a cat", "cat’s &amp; dogs"] {
        assert_eq!(embedding(case, "without", text), embedding(case, "with", text), "{text:?}");
    }
    assert_ne!(
        embedding(case, "without", "a photo of a cat"),
        embedding(case, "without", "a photo of a dog")
    );
    // But not where another tokenizer is wanted.
    config["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = json!("xlm-roberta-base");
    fs::write(case.path("without").join("open_clip_config.json"), config.to_string()).unwrap();
    case.fails(&["embed", "--model=without", "--text=the cat"], 3, &["xlm-roberta-base"]);
}

/// A safetensors file with another table of token embeddings, for 49,408 tokens.
fn with_openai_embeddings(file: &[u8]) -> Vec<u8> {
    const TABLE: &str = "token_embedding.weight";
    let (length, rest) = file.split_first_chunk().unwrap();
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let header: Value = serde_json::from_slice(header).unwrap();
    let (mut names, mut contents) = (serde_json::Map::new(), Vec::new());
    for (name, tensor) in header.as_object().unwrap().iter().filter(|(name, _)| *name != "__metadata__") {
        let mut tensor = tensor.clone();
        let start = contents.len();
        if name == TABLE {
            let width = tensor["shape"][1].as_u64().unwrap() as u32;
            tensor["shape"][0] = json!(49_408);
            // Anything in -1..1 that differs from row to row.
            let values = (0..49_408 * width).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32);
            contents.extend(values.flat_map(|x| (x / 8_388_608.0 - 1.0).to_le_bytes()));
        } else {
            let [from, to] = [0, 1].map(|i| tensor["data_offsets"][i].as_u64().unwrap() as usize);
            contents.extend(&data[from..to]);
        }
        tensor["data_offsets"] = json!([start, contents.len()]);
        names.insert(name.clone(), tensor);
    }
    let header = Value::Object(names).to_string();
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend(header.as_bytes());
    out.extend(contents);
    out
}
