//! Models that ask for too much, or are no numbers.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::case::{Case, Check};

pub(crate) const CHECKS: &[Check] =
    &[("hardening/07-nan-weights", nan_weights), ("hardening/08-sam2-image-size", image_size)];

/// Copies the demo model `name` to `to`, and leaves the files that are there already.
fn demo(case: &Case, name: &str, to: &str) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo").join(name);
    fs::create_dir_all(case.path(to)).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = case.path(to).join(entry.file_name());
        if !to.exists() {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The demo model `name` with `half`, a float of 16 bits, for all weights.
fn filled(case: &Case, name: &str, half: u16) {
    demo(case, name, name);
    let path = case.path(name).join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[header..].as_chunks_mut().0.iter_mut().for_each(|value| *value = half.to_le_bytes());
    fs::write(path, bytes).unwrap();
}

fn image(case: &Case) {
    let octopus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo/images/octopus-3d.png");
    fs::copy(octopus, case.path("octopus.png")).unwrap();
}

fn nan_weights(case: &Case) {
    image(case);
    for half in [0x7e00, 0x7c00, 0xfc00] {
        filled(case, "clip-nano", half);
        let classify = ["classify", "octopus.png", "--labels", "cat,dog", "--model", "clip-nano"];
        case.fails(&classify, 3, &["not finite", "--allow-non-finite lets them pass"]);
        let allowed = [&classify[..], &["--allow-non-finite", "--json"]].concat();
        let (stdout, stderr) = case.succeeds(&allowed);
        let row: Value = serde_json::from_str(&stdout).unwrap();
        assert!(row["labels"][0]["probability"].is_null(), "{stdout}");
        assert!(stderr.contains("not finite"), "{stderr}");

        for model in ["sam-nano", "sam2-nano"] {
            filled(case, model, half);
            let segment = ["segment", "octopus.png", "--point", "90,90", "--model", model];
            case.fails(&segment, 3, &["not finite", "--allow-non-finite lets them pass"]);
            let (stdout, _) = case.succeeds(&[&segment[..], &["--allow-non-finite", "--json"]].concat());
            for line in stdout.lines() {
                let record: Value = serde_json::from_str(line).unwrap();
                assert_eq!(record["area"], 0, "{line}");
            }
        }
    }
}

fn image_size(case: &Case) {
    image(case);
    demo(case, "sam2-nano", "");
    let segment = ["segment", "octopus.png", "--point", "90,90", "--model", "."];
    let culprits = &["4096 x 4096 pixels", "limit image_size is 2048", "--max-image-size raises it"];
    case.fails(&segment, 3, culprits);
    let info = ["info", ".", "--json"];
    case.fails(&info, 3, culprits);
    // One that fits the weights, which the demo has anew from time to time.
    demo(case, "sam2-nano", "fitting");
    let config = case.path("fitting/config.json");
    let text = fs::read_to_string(&config).unwrap();
    let sides = |side: usize| format!("        {side},\n        {side}\n");
    let text = text.replace("\"image_size\": 256", "\"image_size\": 4096").replace(&sides(256), &sides(4096));
    fs::write(&config, text).unwrap();
    let info = ["info", "fitting", "--json"];
    case.fails(&info, 3, culprits);
    case.succeeds(&[&info[..], &["--max-image-size", "4096"]].concat());
    let little = &["limit weights_bytes is 1048576", "--max-memory raises it"];
    case.fails(&[&info[..], &["--max-image-size", "4096", "--max-memory", "1M"]].concat(), 3, little);
}
