//! Weights, configurations and the files beside them: used, or refused, or reported.

use crate::case::{Case, Check};

pub(crate) const CHECKS: &[Check] = &[
    ("clip/01-processor-config-json", |case| {
        case.embeds(&["-m", ".", "--image", "picture.png"], &[0.7152, -1.1553, 1.2035, -0.2036]);
    }),
    ("clip/02-config-dict-overrides", |case| {
        case.embeds(&["-m", ".", "--image", "picture.png"], &[1.1810, -1.3302, 1.2584, -0.2078]);
    }),
    ("clip/04-open-clip-layer-scale", |case| {
        case.embeds(&["-m", ".", "--image", "picture.png"], &[-0.1658, -2.3990, 0.2457, 0.0642]);
        case.embeds(&["-m", ".", "--text", "the cat"], &[0.0764, 0.6561, 0.6349, 1.9538]);
    }),
    ("clip/05-open-clip-unknown-keys", |case| {
        case.embeds(&["-m", ".", "--image", "picture.png"], &[1.3435, -0.7952, -0.5465, -0.6974]);
        case.embeds(&["-m", ".", "--text", "the cat"], &[-0.6134, 0.9280, -1.4521, -0.6822]);
    }),
    ("clip/07-open-clip-heads-default", |case| {
        case.embeds(&["-m", ".", "--text", "the cat"], &[-3.6225, 0.5959, -4.2641, -2.3036]);
    }),
    ("clip/08-longclip-position-tables", |case| {
        let text = ["the cat the dog of the photo"; 6].join(" ");
        case.embeds(&["-m", ".", "--text", &text], &[-0.2725, 0.7479, -0.9744, 2.3692]);
    }),
    ("clip/09-openai-state-dict-no-config", |case| {
        let args = ["-m", ".", "--image", "picture.png"];
        case.embeds(
            &[&args[..], &["--activation", "quick-gelu"]].concat(),
            &[-3.0155, -4.5132, 3.3311, 1.1734],
        );
        let (_, stderr) = case.succeeds(&[&["embed"], &args[..]].concat());
        assert!(stderr.contains("OpenAI's weights") && stderr.contains("QuickGELU"), "{stderr}");
    }),
    ("clip/15-foreign-tokenizer-blocks-pictures", |case| {
        case.embeds(&["-m", ".", "--image", "picture.png"], &[1.2158, -1.3209, 1.1178, -0.1400]);
        let (_, stderr) = case.succeeds(&["info", "."]);
        assert!(stderr.contains("tokenizer"), "{stderr}");
        case.fails(&["embed", "-m", ".", "--text", "a cat"], 3, &["tokenizer"]);
    }),
    ("clip/17-vision-only", |case| {
        case.embeds(&["-m", ".", "--image", "picture.png"], &[1.2158, -1.3209, 1.1178, -0.1400]);
        case.fails(&["embed", "-m", ".", "--text", "a cat"], 3, &["only an image tower"]);
        assert!(case.quiet(&["info", "."]).contains("none"));
    }),
    ("clip/18-safetensors-metadata-null", |case| {
        case.embeds(&["-m", ".", "--image", "picture.png"], &[1.2158, -1.3209, 1.1178, -0.1400]);
    }),
    ("clip/31-vision-model-alone", |case| {
        case.embeds(&["-m", ".", "--image", "picture.png"], &[-0.4251, 0.4455, 0.0072, -1.2133]);
        case.fails(&["embed", "-m", ".", "--text", "a cat"], 3, &["only an image tower"]);
    }),
    ("clip/32-text-model-alone", |case| {
        case.embeds(&["-m", ".", "--text", "the cat"], &[-0.3113, -0.2127, -0.1116, -0.5496]);
        let picture = format!("{}/clip/17-vision-only/picture.png", crate::case::CASES);
        case.fails(&["embed", "-m", ".", "--image", &picture], 4, &["only a text tower"]);
    }),
    ("sam/03-adapter-ignored", |case| {
        let adapted = ["--point", "30,20", "--model", "adapter.safetensors"];
        case.fails(&segment(&adapted), 3, &["MLP_Adapter", "not understood", "--lenient"]);
        let lenient = case.succeeds(&segment(&[&adapted[..], &["--lenient"]].concat()));
        assert!(lenient.1.contains("MLP_Adapter"), "{}", lenient.1);
        assert_eq!(lenient.0, case.quiet(&segment(&["--point", "30,20", "--model", "plain.safetensors"])));
    }),
    ("sam/04-sam-hq-ignored", |case| {
        case.fails(&segment(&["--point", "30,20", "--model", "model"]), 3, &["model_type", "sam_hq"]);
    }),
    ("sam/05-processor-config-ignored", |case| {
        // Of the reference's logits, from -0.05 to 0.06, one is 2e-9: another rounding has another sign.
        finds(case, &["--point", "30,20", "--model", "model"], 1016..=1017, -1.1307);
    }),
    ("sam/06-pos-embed-resized", |case| {
        let model = "pos_embed_32_rel_pos_127.safetensors";
        finds(case, &["--point", "30,20", "--model", model], 276..=276, 0.7126);
        let (stdout, stderr) = case.succeeds(&["info", model]);
        assert!(!stdout.contains("windows of 64") && stderr.contains("interpolated"), "{stdout}{stderr}");
    }),
    ("sam/18-prefix", |case| {
        for model in ["module.safetensors", "orig_mod.safetensors"] {
            assert!(case.quiet(&["info", model]).contains("SAM"));
        }
    }),
    ("sam/24-stray-preprocessor-config", |case| {
        let culprits = ["preprocessor_config.json", "CLIPFeatureExtractor"];
        case.fails(&segment(&["--point", "30,20", "--model", "dir/sam.safetensors"]), 3, &culprits);
    }),
];

fn segment<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [&["segment", "picture.png"], args].concat()
}

/// `segment` finds one mask of `area` pixels and this predicted IoU.
fn finds(case: &Case, args: &[&str], area: std::ops::RangeInclusive<u64>, iou: f64) {
    let (stdout, stderr) = case.succeeds(&[&segment(args)[..], &["--json"]].concat());
    let row: serde_json::Value = serde_json::from_str(stdout.trim()).expect(&stdout);
    assert!(area.contains(&row["area"].as_u64().unwrap()), "{case:?}: {stdout}{stderr}");
    let found = row["predicted_iou"].as_f64().unwrap();
    assert!((found - iou).abs() < 2e-4, "{case:?}: {found}");
}
