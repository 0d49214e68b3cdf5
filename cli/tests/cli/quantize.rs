//! `vitrum quantize`: the directory that it writes, and what it refuses.

use std::fs;

use super::{demo_file, fails, golden, json, octopus, run as command, scratch, stdout};

#[test]
fn a_quantised_directory_is_the_model_in_that_format() {
    let picture = octopus();
    for (format, largest) in [("int8", 0.62), ("q4", 0.45), ("bf16", 1.01), ("f16", 1.01)] {
        let directory = scratch(&format!("quantize-{format}"));
        let _ = fs::remove_dir_all(&directory);
        let directory = directory.to_str().unwrap();
        let report = json(&["quantize", "demo:clip", "--weights", format, "-o", directory, "--json"]);
        let number = |key: &str| report[0][key].as_f64().unwrap();
        assert_eq!(report[0]["weights"], format);
        assert!(number("after") < largest * number("before"), "{report:?}");
        let embed = |model: &[&str]| stdout(&[&["embed", "--image", &picture], model].concat());
        assert_eq!(embed(&["--model", directory]), embed(&["--model", "demo:clip", "--weights", format]));
        fails(&["quantize", directory, "--weights", "int8", "-o", directory], 3, "already");
    }
}

#[test]
fn every_family_is_quantised() {
    let scene = demo_file("images/garden-scene-3d.png");
    for model in ["demo:sam", "demo:sam2"] {
        let directory = scratch(&format!("quantize-{}", &model[5..]));
        let _ = fs::remove_dir_all(&directory);
        let directory = directory.to_str().unwrap();
        stdout(&["quantize", model, "--weights", "int8", "-o", directory]);
        let segment = |model: &[&str]| stdout(&[&["segment", &scene, "--point", "128,128"], model].concat());
        assert_eq!(segment(&["--model", directory]), segment(&["--model", model, "--weights", "int8"]));
    }
}

#[test]
fn what_cannot_be_done_is_said() {
    let directory = scratch("quantize-nothing");
    let directory = directory.to_str().unwrap();
    fails(&["quantize", "demo:clip", "-o", directory], 2, "--weights");
    fails(&["quantize", "demo:clip", "--weights", "int7", "-o", directory], 2, "int8");
    fails(&["quantize", "/nonexistent", "--weights", "int8", "-o", directory], 3, "/nonexistent");
    fails(&["quantize", "demo:clip", "--weights", "int8", "-o", "/dev/null/x"], 5, "/dev/null/x");
}

#[test]
fn a_packed_directory_gives_the_same_and_says_where_it_does_not_fit() {
    let scene = demo_file("images/garden-scene-3d.png");
    let picture = octopus();
    for (model, weights) in [("clip", "f32"), ("clip", "int8"), ("sam", "bf16"), ("sam2", "q4")] {
        let directory = scratch(&format!("pack-{model}-{weights}"));
        let _ = fs::remove_dir_all(&directory);
        let directory = directory.to_str().unwrap();
        let demo = format!("demo:{model}");
        let report = json(&["quantize", &demo, "--weights", weights, "--pack", "-o", directory, "--json"]);
        assert!(report[0]["packed"].as_u64().unwrap() > 20, "{report:?}");
        let size = fs::metadata(format!("{directory}/model.safetensors")).unwrap().len();
        let parts = ["after", "packed_bytes"].map(|key| report[0][key].as_u64().unwrap());
        assert!(size > parts.iter().sum(), "{size} {report:?}");
        let run = |options: &[&str]| {
            let task = match model {
                "clip" => vec!["embed", "--image", &picture],
                _ => vec!["segment", &scene, "--point", "128,128"],
            };
            let output = command(&[&task, options].concat());
            assert!(output.status.success(), "{output:?}");
            (output.stdout, String::from_utf8(output.stderr).unwrap())
        };
        let expected = run(&["--model", &demo, "--weights", weights]);
        assert_eq!(run(&["--model", directory]), expected);
        assert_eq!(run(&["--model", directory, "--in-place"]), expected);
        let other = run(&["--model", directory, "--in-place", "--isa", "portable"]);
        assert_eq!(other.0, run(&["--model", &demo, "--weights", weights, "--isa", "portable"]).0);
        assert!(other.1.contains("packed again"), "{}", other.1);
    }
    fails(&["quantize", "demo:clip", "--weights", "f32", "-o", "x"], 2, "--pack");
}

/// Matrices that are folded, split or put in another order when they are bound are packed as they are then.
#[test]
fn towers_that_change_their_matrices_are_packed() {
    let picture = octopus();
    for model in [
        "pe-timm",
        "pe-meta",
        "mobileclip-s0-timm",
        "mobileclip-s3-timm",
        "mobileclip-s0-apple",
        "siglip-timm",
    ] {
        let source = golden(&format!("clip/{model}"));
        let directory = scratch(&format!("pack-{model}"));
        let _ = fs::remove_dir_all(&directory);
        let directory = directory.to_str().unwrap();
        stdout(&["quantize", &source, "--weights", "f32", "--pack", "-o", directory]);
        let embed =
            |model: &str| stdout(&["embed", "--image", &picture, "--weights", "f32", "--model", model]);
        assert_eq!(embed(directory), embed(&source), "{model}");
    }
}

/// Stopped at any time, the directory has the earlier model or the new one, whole.
#[cfg(unix)]
#[test]
fn an_interrupted_quantize_leaves_the_earlier_model() {
    use std::path::Path;
    use std::process::{Command, Stdio};
    use std::thread;
    use std::time::{Duration, Instant};

    let [kept, other] = ["quantize-kept", "quantize-other"].map(scratch);
    for directory in [&kept, &other] {
        let _ = fs::remove_dir_all(directory);
    }
    let args = |weights: &str, directory: &Path| {
        ["quantize", "demo:sam", "--weights", weights, "-o", directory.to_str().unwrap()].map(str::to_owned)
    };
    let quantize = |weights: &str, directory: &Path| {
        stdout(&args(weights, directory).each_ref().map(String::as_str));
        fs::read(directory.join("model.safetensors")).unwrap()
    };
    let (earlier, new) = (quantize("int8", &kept), quantize("f16", &other));
    let unfinished = || {
        let names = fs::read_dir(&kept).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().ends_with(".tmp")).count()
    };
    for (round, signal) in ["-INT", "-KILL", "-TERM", "-KILL", "-KILL", "-KILL"].into_iter().enumerate() {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vitrum"));
        command.args(args("f16", &kept)).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        // As soon as it writes, and a little later each time.
        let begin = Instant::now();
        while unfinished() == 0 && child.try_wait().unwrap().is_none() {
            assert!(begin.elapsed() < Duration::from_secs(60));
        }
        thread::sleep(Duration::from_millis(round as u64));
        let _ = Command::new("kill").args([signal, &child.id().to_string()]).stderr(Stdio::null()).status();
        let status = child.wait().unwrap();
        let found = fs::read(kept.join("model.safetensors")).unwrap();
        assert!(found == earlier || found == new, "{signal}: neither the earlier model nor the new one");
        if signal == "-KILL" {
            // Nothing can be tidied up: that is left to the next who looks.
            let names = fs::read_dir(&kept).unwrap().map(|entry| entry.unwrap().path());
            names
                .filter(|path| path.extension().is_some_and(|it| it == "tmp"))
                .for_each(|path| fs::remove_file(path).unwrap());
        } else {
            assert_eq!(unfinished(), 0, "{signal}: {status}");
        }
        fs::write(kept.join("model.safetensors"), &earlier).unwrap();
    }
}
