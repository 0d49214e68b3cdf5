//! The `vitrum` command on the demo model: results, their form, exit codes and messages.

#[path = "cli/batch.rs"]
mod batch;
#[path = "cli/habits.rs"]
mod habits;
#[path = "cli/json_docs.rs"]
mod json_docs;
#[cfg(target_os = "linux")]
#[path = "cli/limits.rs"]
mod limits;
#[path = "cli/pictures.rs"]
mod pictures;
#[path = "cli/quantize.rs"]
mod quantize;
#[path = "cli/search.rs"]
mod search;
#[path = "cli/segment.rs"]
mod segment;
#[path = "cli/track.rs"]
mod track;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The command, with no Hugging Face cache of the user's in sight.
fn vitrum(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vitrum"));
    command.args(args).env("HF_HUB_CACHE", "/nonexistent");
    for variable in ["HF_HOME", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"] {
        command.env_remove(variable);
    }
    command
}

fn run(args: &[&str]) -> Output {
    vitrum(args).output().expect("the command starts")
}

/// Standard output of a run that must succeed and say nothing on standard error but which files it wrote and how many frames it
/// tracked.
fn stdout(args: &[&str]) -> String {
    let output = run(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let is_quiet = stderr.lines().all(|line| line.starts_with("wrote ") || line.starts_with("tracked "));
    assert!(output.status.success() && is_quiet, "{args:?}: {}\n{stderr}", output.status);
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Its lines as JSON.
fn json(args: &[&str]) -> Vec<Value> {
    stdout(args).lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// A run that must fail with `exit`, print nothing on standard output, and name `culprit` on standard error.
fn fails(args: &[&str], exit: i32, culprit: &str) {
    let output = run(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit), "{args:?}\n{stderr}");
    assert!(output.stdout.is_empty(), "{args:?}");
    assert!(stderr.contains(culprit), "{args:?}: {culprit:?} is not in\n{stderr}");
    assert!(!stderr.contains("panicked"), "{args:?}\n{stderr}");
}

/// A file or directory of the library's reference values.
fn golden(name: &str) -> String {
    format!("{}/../tests/golden/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn demo_file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo").join(name);
    path.to_str().expect("UTF-8").to_owned()
}

fn octopus() -> String {
    demo_file("images/octopus-3d.png")
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn scratch_file(name: &str, contents: impl AsRef<[u8]>) -> String {
    let path = scratch(name);
    fs::write(&path, contents).expect("the file is written");
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn classify_prints_probabilities_best_first() {
    let (octopus, coffee) = (octopus(), demo_file("images/coffee.jpg"));
    let args = ["classify", &octopus, &coffee, "--labels", "red apple,octopus, house"];
    let rows = json(&[&args[..], &["--json"]].concat());
    assert_eq!(rows.len(), 2);
    for (row, path) in rows.iter().zip([&octopus, &coffee]) {
        assert_eq!(row["image"], **path);
        let labels = row["labels"].as_array().unwrap();
        let probabilities: Vec<f64> = labels.iter().map(|l| l["probability"].as_f64().unwrap()).collect();
        assert!(probabilities.is_sorted_by(|a, b| a >= b), "{probabilities:?}");
        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-5, "{probabilities:?}");
        let mut names: Vec<_> = labels.iter().map(|l| l["label"].as_str().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, ["house", "octopus", "red apple"]);
    }
    // The lines of text say the same.
    let lines = stdout(&args);
    assert_eq!(lines.lines().count(), 6);
    for (line, label) in lines.lines().zip(rows.iter().flat_map(|row| row["labels"].as_array().unwrap())) {
        let fields: Vec<_> = line.split('\t').collect();
        let [_, probability, name] = fields[..] else { panic!("{line}") };
        assert_eq!(label["label"], name);
        assert!((probability.parse::<f64>().unwrap() - label["probability"].as_f64().unwrap()).abs() < 1e-4);
    }
}

#[test]
fn labels_may_come_as_embeddings() {
    let (octopus, array, names) = (octopus(), scratch("labels.npy"), scratch("label-names.txt"));
    let (array, names) = (array.to_str().unwrap(), names.to_str().unwrap());
    let texts = ["a photo of a house", "a photo of a octopus", "a photo of a red apple"];
    stdout(&[&["embed", "--text"], &texts[..], &["--output", array, "--names", names]].concat());
    let labels = scratch_file("labels-of-embeddings.txt", "house\noctopus\nred apple\n");
    let args = ["classify", &octopus, "--labels-file", &labels, "--json"];
    let embedded = [&args[..], &["--label-embeddings", array]].concat();
    let probability = |args: &[&str]| json(args)[0]["labels"][0].clone();
    let (of_texts, of_embeddings) = (probability(&args), probability(&embedded));
    assert_eq!(of_texts["label"], of_embeddings["label"]);
    let [a, b] = [of_texts, of_embeddings].map(|it| it["probability"].as_f64().unwrap());
    assert!((a - b).abs() < 1e-5, "{a} and {b}");

    let embedded = |labels: &str, array: &str, exit: i32, culprit: &str| {
        fails(&["classify", &octopus, "--labels", labels, "--label-embeddings", array], exit, culprit);
    };
    embedded("house,octopus", array, 4, "3 embeddings for 2 labels");
    embedded("house", "no-such.npy", 4, "no-such.npy: ");
    embedded("house", &scratch_file("no.npy", "no array"), 4, "damaged NumPy array");
    let bytes = fs::read(array).unwrap();
    let at = bytes.len() - 4;
    let bad = [&bytes[..at], &f32::NAN.to_le_bytes()].concat();
    embedded("a,b,c", &scratch_file("nan.npy", bad), 4, "row 2 holds values that are not finite");
    fails(
        &["classify", &octopus, "--labels", "a", "--label-embeddings", array, "--template", "{}"],
        2,
        "cannot be used with",
    );
}

#[test]
fn top_keeps_the_probabilities() {
    let octopus = octopus();
    let labels = demo_file("labels.txt");
    let args = ["classify", &octopus, "--labels-file", &labels, "--json"];
    let (all, top) = (json(&args), json(&[&args[..], &["--top", "3"]].concat()));
    let all = all[0]["labels"].as_array().unwrap();
    assert_eq!(all.len(), 849);
    assert_eq!(top[0]["labels"].as_array().unwrap()[..], all[..3]);
}

#[test]
fn results_are_equal_for_any_number_of_threads() {
    let octopus = octopus();
    let args = ["embed", "--image", &octopus, "--json", "--threads"];
    assert_eq!(stdout(&[&args[..], &["1"]].concat()), stdout(&[&args[..], &["3"]].concat()));
}

#[test]
fn embeddings_have_length_one_unless_raw() {
    let length = |args: &[&str]| {
        let rows = json(&[&["embed", "--text", "a cat", "--json"], args].concat());
        assert_eq!((rows.len(), &rows[0]["text"]), (1, &Value::from("a cat")));
        let embedding = rows[0]["embedding"].as_array().unwrap().clone();
        assert_eq!(embedding.len(), 192);
        embedding.iter().map(|x| x.as_f64().unwrap().powi(2)).sum::<f64>().sqrt()
    };
    assert!((length(&[]) - 1.0).abs() < 1e-5);
    assert!((length(&["--raw"]) - 1.0).abs() > 1e-3);
}

#[test]
fn embed_writes_npy_and_json() {
    let (npy, json_file) = (scratch("embeddings.npy"), scratch("embeddings.json"));
    let (npy_name, json_name) = (npy.to_str().unwrap(), json_file.to_str().unwrap());
    let texts = ["embed", "--text", "a cat", "two dogs", "--output"];
    let said = json(&[&texts[..], &[npy_name, "--json"]].concat());
    assert_eq!(said[0]["shape"], Value::from(vec![2, 192]));
    stdout(&[&texts[..], &[json_name]].concat());

    let file = fs::read(&npy).unwrap();
    assert_eq!(&file[..8], b"\x93NUMPY\x01\x00");
    let header = 10 + usize::from(u16::from_le_bytes([file[8], file[9]]));
    let text = String::from_utf8_lossy(&file[10..header]);
    assert!(text.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 192), }"), "{text}");
    assert_eq!(header % 64, 0);
    let values: Vec<f32> =
        file[header..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();

    let rows: Vec<Value> = serde_json::from_slice(&fs::read(&json_file).unwrap()).unwrap();
    let same = rows.iter().flat_map(|row| row["embedding"].as_array().unwrap());
    let same: Vec<f32> = same.map(|x| x.as_f64().unwrap() as f32).collect();
    assert_eq!(values, same);
    assert_eq!(rows[1]["text"], "two dogs");
}

#[test]
fn similarity_compares_all_pairs() {
    let (octopus, bicycle) = (octopus(), demo_file("images/bicycle-3d.png"));
    let rows = json(&["similarity", "--image", &octopus, &bicycle, "--text", "octopus", "bicycle", "--json"]);
    let value = |i: usize, j: usize, key: &str| rows[i]["texts"][j][key].as_f64().unwrap();
    assert_eq!(rows[1]["texts"][0]["text"], "octopus");
    let scale = value(0, 0, "logit") / value(0, 0, "cosine");
    for (i, j) in [(0, 1), (1, 0), (1, 1)] {
        assert!(value(i, j, "cosine").abs() <= 1.0);
        assert!((value(i, j, "logit") - scale * value(i, j, "cosine")).abs() < 1e-3, "{rows:?}");
    }
}

#[test]
fn info_names_the_licence_of_a_mobileclip() {
    let info = &json(&["info", "--json", &golden("clip/mobileclip-s0-apple")])[0];
    assert!(info["license"].as_str().unwrap().contains("research only"), "{info}");
    assert_eq!(
        (&info["image"]["blocks"], &info["image"]["width"]),
        (&serde_json::json!([1, 1, 2, 1]), &64.into())
    );
    for model in ["clip/mobileclip-b-timm", "clip/mobileclip-l-timm"] {
        assert!(stdout(&["info", &golden(model)]).contains("Apple Machine Learning Research"));
    }
    let info = &json(&["info", "--json", &golden("clip/pe-timm")])[0];
    assert!(info.get("license").is_none(), "{info}");
    assert_eq!((&info["image"]["patch"], &info["image"]["heads"]), (&16.into(), &3.into()));
}

/// Its input has a size of its own for every picture.
#[test]
fn info_says_how_many_patches_a_naflex_takes() {
    let info = &json(&["info", "--json", &golden("clip/naflex")])[0];
    assert_eq!((&info["family"], &info["image"]["patches"]), (&"SigLIP".into(), &24.into()));
    assert_eq!((&info["image"]["size"], &info["image"]["patch"]), (&30.into(), &6.into()));
    assert!(
        stdout(&["info", &golden("clip/naflex")]).contains("at most 24 patches in the picture's proportion")
    );
    let info = &json(&["info", "--json", &golden("clip/siglip")])[0];
    assert!(info["image"].get("patches").is_none(), "{info}");
}

#[test]
fn info_describes_the_demo_model() {
    let info = &json(&["info", "--json"])[0];
    assert_eq!((&info["family"], &info["embed_dim"]), (&"CLIP".into(), &192.into()));
    assert_eq!((&info["image"]["size"], &info["image"]["patch"]), (&64.into(), &8.into()));
    assert_eq!((&info["text"]["context"], &info["text"]["vocabulary"]), (&32.into(), &3072.into()));
    assert_eq!(info["unused_tensors"], Value::Array(vec![]));
    let (file, parameters) = (info["file_bytes"].as_u64().unwrap(), info["parameters"].as_u64().unwrap());
    assert!(parameters > 3_000_000 && (2 * parameters..=4 * parameters).contains(&file), "{info}");
    assert!(info["memory_bytes"].as_u64().unwrap() >= 3 * parameters, "{info}");
    let tensors = json(&["info", "--tensors", "--json"]);
    assert_eq!(tensors.len() as u64, info["tensors"].as_u64().unwrap() + 1);
}

#[test]
fn a_directory_and_its_weights_file_are_the_demo_model() {
    let octopus = octopus();
    let embed = |model: &str| stdout(&["embed", "--image", &octopus, "--model", model]);
    let demo = embed("demo:clip");
    assert_eq!(embed(&demo_file("clip-nano")), demo);
    assert_eq!(embed(&demo_file("clip-nano/model.safetensors")), demo);
}

#[test]
fn models_are_found_in_the_hugging_face_cache() {
    let cache = scratch("hub");
    let repository = cache.join("models--demo--clip-nano");
    let snapshot = repository.join("snapshots/0123abcd");
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(repository.join("refs")).unwrap();
    fs::write(repository.join("refs/main"), "0123abcd").unwrap();
    for name in ["config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json"] {
        fs::copy(demo_file(&format!("clip-nano/{name}")), snapshot.join(name)).unwrap();
    }
    let args = ["embed", "--text", "a cat", "--model", "demo/clip-nano"];
    let output = vitrum(&args).env("HF_HUB_CACHE", &cache).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), stdout(&["embed", "--text", "a cat"]));
}

#[test]
fn demo_works_from_any_directory() {
    let directory = scratch("demo-elsewhere");
    fs::create_dir_all(&directory).unwrap();
    let output = vitrum(&["demo"]).current_dir(&directory).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{text}");
    for name in ["octopus-3d.png", "strawberry-3d.png", "bicycle-3d.png", "garden-scene-3d.png"] {
        assert!(text.lines().any(|line| line == name), "{text}");
    }
    assert_eq!(text.matches('%').count(), 3 * 5 + 6, "{text}");
    let path = Path::new("vitrum-demo").join("classified.png");
    assert!(text.contains(&format!("\nwritten: {}\n", path.display())), "{text}");
    let png = fs::read(directory.join(path)).unwrap();
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
}

#[test]
fn bench_prints_an_object_a_line() {
    let rows = json(&["bench", "norm", "--threads", "1", "--isa", "portable"]);
    assert!(!rows.is_empty());
    for row in rows {
        assert_eq!((&row["threads"], &row["isa"]), (&1.into(), &"portable".into()));
        assert!(row["spread"].as_f64().unwrap() >= 0.0, "{row}");
        assert!(row["name"].is_string() && row["shape"].is_string());
        for key in ["median_ms", "gflops", "peak_gflops", "fraction_of_peak", "gb_per_s"] {
            assert!(row[key].as_f64().unwrap() > 0.0, "{key} of {row}");
        }
    }
}

#[test]
fn bench_times_products_of_any_shape_on_every_instruction_set() {
    let args = ["bench", "gemm", "--shape", "3,16,8", "--shape", "1,5,7", "--every-isa", "--threads", "1"];
    let rows = json(&args);
    let shapes: Vec<&str> = rows.iter().map(|row| row["shape"].as_str().unwrap()).collect();
    assert!(shapes.chunks(2).all(|pair| pair == ["3x16x8", "1x5x7"]), "{shapes:?}");
    let isas: Vec<&Value> = rows.iter().step_by(2).map(|row| &row["isa"]).collect();
    assert!(isas.contains(&&"portable".into()) && isas.windows(2).all(|pair| pair[0] != pair[1]), "{isas:?}");
    fails(&["bench", "gemm", "--shape", "3,16"], 2, "M,N,K");
    fails(&["bench", "gemm", "--shape", "3,0,8"], 2, "each matrix");
    fails(&["bench", "norm", "--shape", "3,16,8"], 2, "--shape is for gemm");
    fails(&["bench", "norm", "--every-isa", "--isa", "portable"], 2, "cannot be used with");
}

#[test]
fn bench_tells_where_a_pass_spends_its_time() {
    let rows = json(&["bench", "clip", "--breakdown", "--threads", "1"]);
    let (stages, sums): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row["stage"].is_string());
    assert!(stages.iter().any(|row| row["stage"] == "vision.layers.0" && row["kernel"] == "gemm"));
    for kernel in ["gemm", "attention", "layer-norm", "(no kernel)"] {
        assert!(sums.iter().any(|row| row["kernel"] == kernel), "{kernel}");
    }
    // Of each pass, the kernels and the rest are the whole.
    for shape in ["1x", "8x"] {
        let of_pass =
            |row: &&&Value| row["name"] == "clip-text" && row["shape"].as_str().unwrap().starts_with(shape);
        let shares: f64 = sums.iter().filter(of_pass).map(|row| row["share"].as_f64().unwrap()).sum();
        assert!((shares - 1.0).abs() < 0.01, "{shares}");
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    let octopus = octopus();
    let classify = |more: &[&'static str]| [&["classify", octopus.as_str()], more].concat();
    fails(&["paint"], 2, "unrecognized subcommand 'paint'");
    fails(&classify(&[]), 2, "--labels");
    fails(&classify(&["--labels", "a", "--labels-file", "b"]), 2, "cannot be used with");
    fails(&classify(&["--labels", ""]), 2, "label 1 is empty");
    fails(&classify(&["--labels", "cat,,dog"]), 2, "label 2 is empty");
    fails(&classify(&["--labels", "cat", "--template", "a photo"]), 2, "template \"a photo\" has no {}");
    fails(&classify(&["--labels", "cat", "--top", "0"]), 2, "--top");
    fails(&classify(&["--labels", "cat", "--threads", "0"]), 2, "--threads");
    fails(&classify(&["--labels", "cat", "--isa", "mmx"]), 2, "this CPU has portable");
    fails(&["embed"], 2, "--image");
    fails(&["embed", "--text"], 2, "a value is required");
    fails(&classify(&["--labels", "cat", "--names", "x"]), 2, "--names");
    fails(&["embed", "--text", "a cat", "--names", "x.txt"], 2, "--output");
    fails(&["classify", "-", "@-", "--labels", "cat"], 2, "only once");
    fails(&["embed", "--text", "a cat", "--output", "x.csv"], 2, "neither .npy nor .json");
    fails(&["bench", "cooking"], 2, "gemm");
}

#[test]
fn unusable_models_exit_with_3() {
    let embed =
        |model: &str, culprit: &str| fails(&["embed", "--text", "a cat", "--model", model], 3, culprit);
    embed("demo:sam9", "--model takes a model directory");
    embed("no-such-model", "no such file or directory");
    embed("org/absent", "hf download org/absent");
    embed(&demo_file("images"), "no .safetensors file");
    embed(&demo_file("labels.txt"), "labels.txt");
    embed(&scratch_file("not-a-clip.safetensors", b"\x02\0\0\0\0\0\0\0{}"), "not-a-clip.safetensors");
    let bare = scratch("bare");
    fs::create_dir_all(&bare).unwrap();
    for name in ["config.json", "model.safetensors"] {
        fs::copy(demo_file(&format!("clip-nano/{name}")), bare.join(name)).unwrap();
    }
    embed(bare.to_str().unwrap(), "no tokenizer beside the weights");
}

#[test]
fn unusable_inputs_exit_with_4() {
    let classify = |image: &str, culprit: &str| fails(&["classify", image, "--labels", "cat"], 4, culprit);
    classify("no-such.png", "no-such.png: ");
    classify(&demo_file("labels.txt"), "not a picture in a known format");
    classify(&demo_file("train"), "no pictures are in this directory");
    classify(&scratch_file("empty.png", ""), "the file is empty");
    classify(&scratch_file("animated.gif", "GIF89a\x01\0\x01\0"), "damaged GIF");
    let png = fs::read(octopus()).unwrap();
    classify(&scratch_file("cut.png", &png[..png.len() / 2]), "cut.png: damaged PNG");
    let jpeg = fs::read(demo_file("images/coffee.jpg")).unwrap();
    classify(&scratch_file("cut.jpg", &jpeg[..jpeg.len() / 2]), "cut.jpg: damaged JPEG: the file is cut off");

    let octopus = octopus();
    let labels =
        |file: &str, culprit: &str| fails(&["classify", &octopus, "--labels-file", file], 4, culprit);
    labels("no-such.txt", "no-such.txt: ");
    labels(&scratch_file("empty.txt", ""), "no labels");
    labels(&scratch_file("blank.txt", "\n \r\n"), "no labels");
    labels(&scratch_file("latin1.txt", b"caf\xe9\n"), "not UTF-8");
}

#[test]
fn a_result_that_cannot_be_written_exits_with_5() {
    let file = scratch_file("a-file", "");
    let inside = format!("{file}/x.npy");
    fails(&["embed", "--text", "a cat", "--output", &inside], 5, "cannot write");
    let output = run(&["demo", "--output", &file]);
    assert_eq!(output.status.code(), Some(5));
}

#[test]
fn a_closed_pipe_ends_the_command_quietly() {
    let octopus = octopus();
    let labels = demo_file("labels.txt");
    let images = [octopus.as_str(); 12];
    let args = [&["classify"], &images[..], &["--labels-file", &labels]].concat();
    let mut child = vitrum(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(stderr, "");
}
