//! Cases of command lines, lists, batches and the places of models.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::case::{CASES, Case, Check, texts};

pub(crate) const CHECKS: &[Check] = &[
    ("clip/20-label-files", label_files),
    ("clip/21-one-bad-picture", one_bad_picture),
    ("clip/22-hub-cache-places", hub_cache_places),
    ("clip/23-text-with-leading-hyphen", text_with_leading_hyphen),
    ("sam/01-options-before-picture", options_before_picture),
    ("sam/02-negative-coordinates", negative_coordinates),
];

const OCTOPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../demo/images/octopus-3d.png");

fn rows(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn label_files(case: &Case) {
    let labels = |file: &str| {
        let stdout = case.quiet(&["classify", OCTOPUS, "--labels-file", file, "--json"]);
        let row = rows(&stdout).remove(0);
        let labels = row["labels"].as_array().unwrap();
        let mut labels: Vec<String> =
            labels.iter().map(|label| label["label"].as_str().unwrap().to_owned()).collect();
        labels.sort();
        labels
    };
    let utf16: Vec<u8> = "\u{feff}cat\r\ndog\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(case.path("utf16.txt"), utf16).unwrap();
    fs::write(case.path("crlf.txt"), "\u{feff}\r\ncat\r\n\r\ndog\r\n\r\n").unwrap();
    fs::write(case.path("id2label.json"), r#"{"id2label": {"0": "cat", "1": "dog"}}"#).unwrap();
    for file in ["cr-only.txt", "trailing-blank.txt", "utf16.txt", "crlf.txt", "id2label.json"] {
        assert_eq!(labels(file), ["cat", "dog"], "{file}");
    }

    let fails = |file: &str, culprit: &str| {
        case.fails(&["classify", OCTOPUS, "--labels-file", file], 4, &[file, culprit]);
    };
    // Holes in a file take no room.
    fs::File::create(case.path("huge.txt")).unwrap().set_len(100 << 20).unwrap();
    fails("huge.txt", "larger than 64 MB");
    fs::copy(OCTOPUS, case.path("picture.txt")).unwrap();
    fails("picture.txt", "a PNG picture, not a text file");
    fs::write(case.path("blank.txt"), "\r\n \n\r").unwrap();
    fails("blank.txt", "no labels");
    fs::write(case.path("table.csv"), "0,cat\n1,dog\n").unwrap();
    fails("table.csv", "a table, not a list");

    fs::write(case.path("twice.txt"), "cat\ndog\ncat\n").unwrap();
    let (_, stderr) = case.succeeds(&["classify", OCTOPUS, "--labels-file", "twice.txt"]);
    assert!(stderr.contains("\"cat\" (1 and 3)"), "{stderr}");
}

fn one_bad_picture(case: &Case) {
    let pictures = ["1.png", "2.png", "3.png"];
    for command in [
        &["classify", "1.png", "2.png", "3.png", "--labels", "cat,dog"][..],
        &["similarity", "--image", "1.png", "2.png", "3.png", "--text", "a cat"],
        &["embed", "--image", "1.png", "2.png", "3.png"],
    ] {
        let output = case.output(&[command, &["--json"]].concat());
        let (stdout, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(6), "{stderr}");
        assert!(stderr.contains("2.png: ") && stderr.contains("1 of 3 inputs failed"), "{stderr}");
        let rows = rows(&stdout);
        let names: Vec<&Value> = rows.iter().map(|row| &row["image"]).collect();
        assert_eq!(names, pictures);
        for (row, has_error) in rows.iter().zip([false, true, false]) {
            assert_eq!(row.get("error").is_some(), has_error, "{row}");
        }
        let error = &rows[1]["error"];
        assert_eq!((&error["kind"], &error["exit"]), (&"input".into(), &4.into()));
        assert!(error["message"].as_str().unwrap().starts_with("2.png: "), "{error}");

        let lines = texts(&case.output(command)).0;
        let named = |name: &str| lines.lines().any(|line| line.starts_with(&format!("{name}\t")));
        assert_eq!(pictures.map(named), [true, false, true], "{lines}");
        let output = case.output(&[command, &["--fail-fast"]].concat());
        assert_eq!(output.status.code(), Some(4));
        assert!(!texts(&output).0.contains("3.png"));
    }
    // Nothing has a result.
    let stderr = case.fails(&["classify", "2.png", "2.png", "--labels", "cat"], 4, &["2 of 2 inputs failed"]);
    assert!(!stderr.contains("the others"), "{stderr}");
    case.fails(&["embed", "--image", "2.png", "-o", "x.npy"], 4, &["2.png: "]);
}

fn hub_cache_places(case: &Case) {
    let cache = case.path("home/huggingface/hub");
    let repository = cache.join("models--me--tiny");
    let snapshot = repository.join("snapshots/abc");
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(repository.join("refs/refs/pr")).unwrap();
    fs::write(repository.join("refs/main"), "abc").unwrap();
    fs::write(repository.join("refs/refs/pr/1"), "abc\n").unwrap();
    let model = Path::new(CASES).join("clip/01-processor-config-json");
    for entry in fs::read_dir(model).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), snapshot.join(entry.file_name())).unwrap();
    }
    let info = |name: &str, variables: &[(&str, &str)]| {
        let mut command = case.command(&["info", name]);
        command.env_remove("HF_HUB_CACHE").env("HOME", case.path("home")).envs(variables.iter().copied());
        let output = command.output().unwrap();
        (output.status.code(), texts(&output).1)
    };
    let finds = |name: &str, variables: &[(&str, &str)]| {
        let (code, stderr) = info(name, variables);
        assert_eq!(code, Some(0), "{variables:?}: {stderr}");
    };
    let home = case.path("home").to_str().unwrap().to_owned();
    let hub = cache.to_str().unwrap();
    finds("me/tiny", &[("XDG_CACHE_HOME", &home)]);
    finds("me/tiny", &[("HUGGINGFACE_HUB_CACHE", hub)]);
    finds("me/tiny", &[("HF_HOME", "~/huggingface")]);
    finds("me/tiny", &[("HF_HOME", "$DISK/huggingface"), ("DISK", &home)]);
    finds("me/tiny", &[("HF_HUB_CACHE", "${HOME}/huggingface/hub"), ("HF_HOME", "/nonexistent")]);
    finds("me/tiny@abc", &[("HF_HUB_CACHE", hub)]);
    finds("me/tiny@refs/pr/1", &[("HF_HUB_CACHE", hub)]);

    let fails = |name: &str, variables: &[(&str, &str)], culprits: &[&str]| {
        let (code, stderr) = info(name, variables);
        assert_eq!(code, Some(3), "{variables:?}: {stderr}");
        for culprit in culprits {
            assert!(stderr.contains(culprit), "{culprit:?} is not in\n{stderr}");
        }
    };
    fails(
        "me/tiny",
        &[("HF_HUB_CACHE", "/nonexistent")],
        &["/nonexistent (from HF_HUB_CACHE)", "hf download"],
    );
    fails(
        "me/tiny",
        &[("HF_HUB_CACHE", "/nonexistent"), ("XDG_CACHE_HOME", &home)],
        &["set HF_HUB_CACHE=", hub],
    );
    fails("me/tiny@v2", &[("HF_HUB_CACHE", hub)], &["\"v2\"", "me/tiny@abc", "--revision v2"]);
    fs::remove_file(repository.join("refs/main")).unwrap();
    fails("me/tiny", &[("HF_HUB_CACHE", hub)], &["refs/main", "there is me/tiny@abc"]);

    // Some models have no organisation.
    fs::rename(&repository, cache.join("models--tiny")).unwrap();
    finds("tiny@abc", &[("HF_HUB_CACHE", hub)]);
}

fn text_with_leading_hyphen(case: &Case) {
    // As transformers has it of the same model.
    case.embeds(&["--text", "-5 degrees"], &[0.73743, -0.93414, 0.44632, -0.35415]);
    case.embeds(&["--text", ""], &[0.60974, -0.43922, -0.93774, -1.0615]);
    let same = |args: &[&str], with: &[&str]| assert_eq!(case.quiet(args), case.quiet(with), "{args:?}");
    same(
        &["embed", "--text", "a", "-5 degrees", "--json"],
        &["embed", "--text=a", "--text=-5 degrees", "--json"],
    );
    same(
        &["similarity", "--image", OCTOPUS, "--text", "-x", "- y"],
        &["similarity", "--image", OCTOPUS, "--text=-x", "--text=- y"],
    );
    same(
        &["classify", OCTOPUS, "--labels", "-1,-2", "--template", "-{}"],
        &["classify", OCTOPUS, "--labels=-1,-2", "--template=-{}"],
    );
    case.fails(&["embed", "--text", "a", "--jsn"], 2, &["--jsn", "--json"]);
    case.fails(&["embed", "--text", "a", "-b"], 2, &["--text=-b"]);
    case.fails(&["embed", "--text", "--json"], 2, &["a value is required for '--text <TEXT>"]);
}

fn options_before_picture(case: &Case) {
    let same = |args: &[&str], with: &[&str]| assert_eq!(case.quiet(args), case.quiet(with), "{args:?}");
    same(&["segment", "--point", "10,10", "picture.png"], &["segment", "picture.png", "--point", "10,10"]);
    same(
        &["segment", "--point", "10,10", "12,12", "--neg", "2,2", "picture.png", "--json"],
        &["segment", "picture.png", "--point", "10,10", "12,12", "--neg", "2,2", "--json"],
    );
    same(
        &["segment", "--box", "2,2,20,20", "picture.png"],
        &["segment", "picture.png", "--box", "2,2,20,20"],
    );
    let coarse = ["--points-per-side", "4", "--pred-iou-thresh", "0", "--stability-score-thresh", "0"];
    same(
        &[&["segment"], &coarse[..], &["--text", "a cat", "a dog", "picture.png"]].concat(),
        &[&["segment", "picture.png", "--text", "a cat", "a dog"], &coarse[..]].concat(),
    );
    fs::create_dir(case.path("frames")).unwrap();
    fs::copy(case.path("picture.png"), case.path("frames/1.png")).unwrap();
    fs::copy(case.path("picture.png"), case.path("frames/2.png")).unwrap();
    same(&["track", "--point", "10,10", "frames"], &["track", "frames", "--point", "10,10"]);
    same(
        &["track", "--neg", "2,2@1#1", "--box", "2,2,20,20", "frames/", "--json"],
        &["track", "frames/", "--box", "2,2,20,20", "--neg", "2,2@1#1", "--json"],
    );
    case.fails(&["segment", "--point", "picture.png"], 2, &["'picture.png' for '--point", "is a file"]);
    case.fails(&["segment", "--point", "10,10", "12,x", "picture.png"], 2, &["'12,x' for '--point"]);
    case.fails(&["segment", "--point", "10,10", "absent.png"], 4, &["absent.png"]);
}

fn negative_coordinates(case: &Case) {
    let same = |args: &[&str], with: &[&str]| assert_eq!(case.quiet(args), case.quiet(with), "{args:?}");
    let outside = "-10,-10,100,100";
    same(
        &["segment", "picture.png", "--box", outside],
        &["segment", "picture.png", &format!("--box={outside}")],
    );
    same(
        &["segment", "picture.png", "--point", "-5,-5", "--neg", "-1,3", "-.5,2"],
        &["segment", "picture.png", "--point=-5,-5", "--neg=-1,3", "--neg=-.5,2"],
    );
    same(
        &["segment", "--point", "-5,-5", "picture.png", "--threshold", "-1"],
        &["segment", "picture.png", "--point=-5,-5", "--threshold=-1"],
    );
    fs::create_dir(case.path("frames")).unwrap();
    fs::copy(case.path("picture.png"), case.path("frames/1.png")).unwrap();
    same(&["track", "--box", "-10,-10,20,20@0#2", "frames"], &["track", "frames", "--box=-10,-10,20,20@0#2"]);
}
