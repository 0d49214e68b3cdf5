//! Cases of checkpoints: PyTorch's own files, and what stands where weights should.

use serde_json::Value;

use crate::case::{Case, Check};

pub(crate) const CHECKS: &[Check] = &[
    ("clip/24-git-lfs-pointer", lfs_pointer_in_a_directory),
    ("clip/30-openai-torchscript", openai_torchscript),
    ("sam/23-lfs-pointer", lfs_pointer),
    ("sam/30-meta-pth", meta_pth),
];

const POINTER: &str = "a Git LFS pointer, not the weights: run `git lfs pull` or `hf download`";

fn lfs_pointer_in_a_directory(case: &Case) {
    case.fails(&["info", "."], 3, &["model.safetensors: ", POINTER]);
    case.fails(&["embed", "-m", ".", "--text", "a"], 3, &["model.safetensors: ", POINTER]);
}

fn lfs_pointer(case: &Case) {
    case.fails(&["info", "pointer.safetensors"], 3, &["pointer.safetensors: ", POINTER]);
}

fn openai_torchscript(case: &Case) {
    let info: Value = serde_json::from_str(&case.succeeds(&["info", "model.pt", "--json"]).0).unwrap();
    assert_eq!(info["tensors"], 41, "{info}");
    assert_eq!(info["dtypes"], serde_json::json!({"F16": 23, "F32": 15, "I64": 3}));
    let expected = [-2.0085, 1.5483, 1.9519, 0.1428, 1.6170, 3.3128];
    case.embeds(&["-m", "model.pt", "--image", "picture.png"], &expected);
    // The contents count, not the name.
    std::fs::rename(case.path("model.pt"), case.path("model.safetensors")).unwrap();
    case.embeds(&["-m", "model.safetensors", "--image", "picture.png"], &expected);
    case.embeds(&["-m", ".", "--image", "picture.png"], &expected);
}

fn meta_pth(case: &Case) {
    for (model, warning) in
        [("sam_vit_t.pth", ""), ("finetuned.pth", "the model is \"model\"; \"ema\" left aside")]
    {
        let (info, stderr) = case.succeeds(&["info", model, "--json"]);
        assert!(stderr.contains(warning) && stderr.is_empty() == warning.is_empty(), "{model}: {stderr}");
        let info: Value = serde_json::from_str(&info).unwrap();
        assert_eq!((&info["family"], &info["tensors"]), (&"SAM".into(), &174.into()), "{info}");
        let args = ["segment", "-m", model, "picture.png", "--point", "20,30", "--multimask", "--json"];
        let (output, _) = case.succeeds(&args);
        let masks: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(masks.len(), 3);
        for (mask, (score, area)) in masks.iter().zip([(1.2311, 118), (1.7530, 1099), (-0.4740, 118)]) {
            assert!((mask["predicted_iou"].as_f64().unwrap() - score).abs() < 2e-4, "{model}: {mask}");
            assert!((mask["area"].as_i64().unwrap() - area).abs() <= 2, "{model}: {mask}");
        }
    }
}
