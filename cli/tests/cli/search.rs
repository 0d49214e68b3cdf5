//! `index`, `search`, and classifiers that are kept.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{demo_file, fails, json, octopus, run, scratch, stdout};

/// A directory with the demo's pictures and copies of two of them, and the name of an index that is not there.
fn pictures(name: &str) -> (PathBuf, String) {
    let directory = scratch(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(directory.join("copies")).unwrap();
    for entry in fs::read_dir(demo_file("images")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, directory.join(path.file_name().unwrap())).unwrap();
    }
    fs::copy(octopus(), directory.join("copies/octopus.png")).unwrap();
    fs::copy(demo_file("images/coffee.jpg"), directory.join("copies/<b>&'\".jpg")).unwrap();
    let index = scratch(&format!("{name}.idx"));
    let _ = fs::remove_file(&index);
    (directory, index.to_str().unwrap().to_owned())
}

fn found(object: &Value) -> Vec<String> {
    let name = |it: &Value| {
        Path::new(it["image"].as_str().unwrap()).file_name().unwrap().to_str().unwrap().to_owned()
    };
    object["found"].as_array().unwrap().iter().map(name).collect()
}

fn scores(object: &Value) -> Vec<f64> {
    object["found"].as_array().unwrap().iter().map(|it| it["score"].as_f64().unwrap()).collect()
}

#[test]
fn pictures_are_found_by_words_and_by_pictures() {
    for form in ["f32", "int8"] {
        let (directory, index) = pictures(&format!("search-{form}"));
        let directory = directory.to_str().unwrap();
        let report = json(&["index", directory, "-o", &index, "--form", form, "--json"]);
        assert_eq!((&report[0]["pictures"], &report[0]["added"]), (&9.into(), &9.into()), "{form}");
        let args = ["search", &index, "an octopus", "a strawberry", "--top", "3"];
        let objects = json(&[&args[..], &["--json"]].concat());
        assert_eq!(objects.len(), 2);
        assert_eq!(objects[0]["text"], "an octopus");
        // Equal embeddings are in the order of the index.
        assert_eq!(found(&objects[0])[..2], ["octopus-3d.png", "octopus.png"]);
        assert_eq!(found(&objects[1])[0], "strawberry-3d.png");
        // The scores are the cosines of `similarity`.
        let similarity = json(&["similarity", "--image", &octopus(), "--text", "an octopus", "--json"]);
        let cosine = similarity[0]["texts"][0]["cosine"].as_f64().unwrap();
        let tolerance = if form == "f32" { 1e-5 } else { 5e-3 };
        assert!((scores(&objects[0])[0] - cosine).abs() < tolerance, "{form}: {objects:?}, {cosine}");
        assert!(scores(&objects[0]).is_sorted_by(|a, b| a >= b));
        let lines = stdout(&args);
        assert_eq!(lines.lines().count(), 6);
        assert!(lines.starts_with("an octopus\t0."), "{lines}");

        let similar = json(&["search", &index, "--image", &octopus(), "--top", "1", "--json"]);
        assert_eq!(found(&similar[0]), ["octopus-3d.png"]);
        assert!((scores(&similar[0])[0] - 1.0).abs() < tolerance);
        let groups = json(&["search", &index, "--duplicates", "--json"]);
        let mut names: Vec<Vec<String>> = groups.iter().map(found).collect();
        names.iter_mut().for_each(|it| it.sort());
        names.sort();
        assert_eq!(names, [["<b>&'\".jpg", "coffee.jpg"], ["octopus-3d.png", "octopus.png"]]);
        assert!(json(&["search", &index, "--duplicates", "1", "--json"]).len() <= 2);
    }
}

#[test]
fn an_index_follows_its_directory() {
    let (directory, index) = pictures("search-update");
    let place = directory.to_str().unwrap();
    let update = |expected: [u64; 4]| {
        let report = &json(&["index", place, "-o", &index, "--json"])[0];
        let counts = ["added", "changed", "unchanged", "removed"].map(|it| report[it].as_u64().unwrap());
        assert_eq!(counts, expected, "{report}");
    };
    update([9, 0, 0, 0]);
    let before = fs::read(&index).unwrap();
    update([0, 0, 9, 0]);
    assert!(fs::read(&index).unwrap() == before);
    fs::copy(octopus(), directory.join("strawberry-3d.png")).unwrap();
    fs::remove_file(directory.join("coffee.jpg")).unwrap();
    fs::copy(octopus(), directory.join("new.png")).unwrap();
    // Until then, what is gone is found, and told.
    let output = run(&["search", &index, "--image", &demo_file("images/coffee.jpg"), "--top", "9", "--json"]);
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    let state = |name: &str| {
        let of = |it: &&Value| it["image"].as_str().unwrap().ends_with(name);
        object["found"].as_array().unwrap().iter().find(of).unwrap()["state"].clone()
    };
    assert_eq!((state("/coffee.jpg"), state("/strawberry-3d.png")), ("gone".into(), "changed".into()));
    assert_eq!(state("/astronaut.jpg"), Value::Null);
    assert!(
        String::from_utf8_lossy(&output.stderr)
            .contains("2 of the pictures that were found are gone or have changed")
    );
    update([1, 1, 7, 1]);
    let groups = json(&["search", &index, "--duplicates", "--json"]);
    assert_eq!(found(&groups[0]).len(), 4);

    // Another directory is added; the first one stays.
    let other = scratch("search-other");
    let _ = fs::remove_dir_all(&other);
    fs::create_dir_all(&other).unwrap();
    fs::copy(octopus(), other.join("elsewhere.png")).unwrap();
    let report = &json(&["index", other.to_str().unwrap(), "-o", &index, "--json"])[0];
    assert_eq!((&report["pictures"], &report["removed"]), (&10.into(), &0.into()));
    // A picture that cannot be read is told each time, and the others are there.
    fs::write(other.join("bad.png"), "no picture").unwrap();
    for _ in 0..2 {
        let output = run(&["index", other.to_str().unwrap(), "-o", &index]);
        assert_eq!(output.status.code(), Some(6));
        assert!(String::from_utf8_lossy(&output.stderr).contains("bad.png"));
    }
}

#[test]
fn a_page_has_everything_in_it() {
    let (directory, index) = pictures("search-page");
    stdout(&["index", directory.to_str().unwrap(), "-o", &index]);
    fs::remove_file(directory.join("chelsea.jpg")).unwrap();
    let page = scratch("search-page.html");
    let page = page.to_str().unwrap();
    run(&["search", &index, "<script>alert(1)</script>", "--html", page]);
    let html = fs::read_to_string(page).unwrap();
    assert!(html.contains("<h2>&lt;script&gt;alert(1)&lt;/script&gt;</h2>") && !html.contains("<script"));
    assert!(html.contains("%3Cb%3E%26%27%22.jpg") && html.contains("&lt;b&gt;&amp;&#39;&quot;.jpg"));
    assert_eq!(html.matches("src=\"data:image/jpeg;base64,").count(), 8);
    assert_eq!(html.matches("no picture").count(), 1);
    assert!(!html.contains("http"), "needs no network");
    let groups = scratch("search-groups.html");
    run(&["search", &index, "--duplicates", "--html", groups.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(&groups).unwrap().matches("<section>").count(), 2);
}

#[test]
fn bad_indices_and_calls_are_named() {
    let (directory, index) = pictures("search-bad");
    let place = directory.to_str().unwrap();
    stdout(&["index", place, "-o", &index]);
    let whole = fs::read(&index).unwrap();
    let damaged = |name: &str, bytes: &[u8]| super::scratch_file(name, bytes);
    fails(&["search", &damaged("cut.idx", &whole[..whole.len() - 5]), "x"], 4, "or a damaged one");
    let mut flipped = whole.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    let flipped = damaged("flipped.idx", &flipped);
    fails(&["search", &flipped, "x"], 4, "checksum");
    fails(&["index", place, "-o", &flipped], 4, "--fresh makes the index anew");
    stdout(&["index", place, "-o", &flipped, "--fresh"]);
    stdout(&["search", &flipped, "x"]);
    fails(&["search", &octopus(), "x"], 4, "not an index");
    fails(&["search", "no-such.idx", "x"], 4, "no-such.idx");
    fails(&["search", &index], 2, "TEXT");
    fails(&["search", &index, "x", "--top", "0"], 2, "--top");
    fails(&["search", &index, "--duplicates", "2"], 2, "cosine");
    fails(&["search", &index, "x", "--html", &index], 2, "would replace the input");
    fails(&["index", place, "-o", "-"], 2, "an index is a file");
    fails(&["index", place, "-o", &octopus(), "--fresh", &octopus()], 2, "would replace the input");
    fails(&["index", place, "-o", &index, "--form", "int8"], 2, "--fresh");

    // Another model, and the same one under another name.
    let other = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/clip/quickgelu-p32");
    fails(&["search", &index, "x", "--model", other], 4, "made by another model");
    fails(&["index", place, "-o", &index, "--model", other], 4, "made by another model");
    stdout(&["search", &index, "x", "--model", &demo_file("clip-nano")]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_stopped_run_has_kept_what_it_did_and_the_next_goes_on() {
    use std::process::Stdio;
    use std::time::{Duration, Instant};
    let (directory, index) = pictures("search-stopped");
    for i in 0..400 {
        fs::hard_link(directory.join("octopus-3d.png"), directory.join(format!("{i}.png"))).unwrap();
    }
    let args = ["index", directory.to_str().unwrap(), "-o", &index, "--threads", "1"];
    let mut child = super::vitrum(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // The signal counts once the first pictures are read.
    let reads = |pid: u32| {
        let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        let line = io.lines().find_map(|line| line.strip_prefix("rchar: ").map(str::to_owned));
        line.and_then(|it| it.parse::<u64>().ok()).unwrap_or(0)
    };
    let start = Instant::now();
    while reads(child.id()) < 1_500_000 && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let status = child.wait().unwrap();
    let report = &json(&["index", directory.to_str().unwrap(), "-o", &index, "--json"])[0];
    assert_eq!(report["pictures"], 409);
    // A run that was done before the signal came shows nothing.
    if !status.success() {
        assert_eq!(status.code(), Some(130));
        assert!(
            report["unchanged"].as_u64().unwrap() > 0 && report["added"].as_u64().unwrap() > 0,
            "{report}"
        );
    }
}

#[test]
fn classifiers_are_kept() {
    let file = scratch("demo.classifier");
    let file = file.to_str().unwrap();
    let made = run(&[
        "classify",
        "--labels",
        "octopus,house,strawberry",
        "--templates",
        "cifar10",
        "--save-classifier",
        file,
    ]);
    assert!(made.status.success() && made.stdout.is_empty());
    let args = |more: &[&str]| {
        let octopus = octopus();
        json(&[&["classify", &octopus, "--json"], more].concat())[0]["labels"].clone()
    };
    let kept = args(&["--classifier", file]);
    assert_eq!(kept, args(&["--labels", "octopus,house,strawberry", "--templates", "cifar10"]));
    assert_eq!(kept[0]["label"], "octopus");
    // A file of templates is the same as the set that has them; one template is the same as --template.
    let one = super::scratch_file("templates.txt", "a photo of a {}\n\n");
    assert_eq!(args(&["--labels", "cat,octopus", "--templates", &one]), args(&["--labels", "cat,octopus"]));
    let set = args(&["--label-set", "cifar10"]);
    assert_eq!(set.as_array().unwrap().len(), 10);

    let octopus = octopus();
    let refused = |more: &[&str], exit: i32, culprit: &str| {
        fails(&[&["classify", &octopus], more].concat(), exit, culprit);
    };
    refused(&["--label-set", "imagenot"], 2, "imagenet");
    refused(
        &["--labels", "a", "--templates", &super::scratch_file("no-templates.txt", "\n")],
        4,
        "no templates",
    );
    refused(
        &["--labels", "a", "--templates", &super::scratch_file("bad-templates.txt", "a {}\nb\n")],
        2,
        "has no {}",
    );
    refused(&["--labels", "a", "--templates", "no-such"], 4, "or one of");
    refused(&["--classifier", file, "--labels", "a"], 2, "cannot be used with");
    refused(&["--classifier", &octopus], 4, "not a classifier");
    let other = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/clip/quickgelu-p32");
    refused(&["--classifier", file, "--model", other], 4, "made with another model");
    let whole = fs::read(file).unwrap();
    refused(
        &["--classifier", &super::scratch_file("cut.classifier", &whole[..whole.len() - 1])],
        4,
        "damaged",
    );
    refused(&["--labels", "a", "--save-classifier", &octopus], 2, "would replace the input");
}

/// The mean of normalised embeddings, by hand.
#[test]
fn a_class_is_the_mean_of_its_prompts() {
    let texts = ["a photo of a fox.", "a photo of the fox."];
    let rows = json(&[&["embed", "--json", "--text"], &texts[..]].concat());
    let vector = |row: &Value| -> Vec<f64> {
        row["embedding"].as_array().unwrap().iter().map(|it| it.as_f64().unwrap()).collect()
    };
    let mean: Vec<f64> = vector(&rows[0]).iter().zip(vector(&rows[1])).map(|(a, b)| a + b).collect();
    let length = mean.iter().map(|x| x * x).sum::<f64>().sqrt();
    let picture = vector(&json(&["embed", "--json", "--image", &octopus()])[0]);
    let cosine: f64 = mean.iter().zip(&picture).map(|(a, b)| a * b / length).sum();
    // The probability of one of two labels tells how far apart their cosines are.
    let templates = super::scratch_file("two-templates.txt", "a photo of a {}.\na photo of the {}.\n");
    let args = ["classify", &octopus(), "--labels", "fox,octopus", "--templates", &templates, "--json"];
    let labels = json(&args)[0]["labels"].clone();
    let probability = |name: &str| {
        let labels = labels.as_array().unwrap();
        labels.iter().find(|it| it["label"] == name).unwrap()["probability"].as_f64().unwrap()
    };
    let octopi = json(&["embed", "--json", "--text", "a photo of a octopus.", "a photo of the octopus."]);
    let other: Vec<f64> = vector(&octopi[0]).iter().zip(vector(&octopi[1])).map(|(a, b)| a + b).collect();
    let length = other.iter().map(|x| x * x).sum::<f64>().sqrt();
    let other: f64 = other.iter().zip(&picture).map(|(a, b)| a * b / length).sum();
    let pair =
        &json(&["similarity", "--image", &super::octopus(), "--text", "a fox", "--json"])[0]["texts"][0];
    let scale = pair["logit"].as_f64().unwrap() / pair["cosine"].as_f64().unwrap();
    let expected = 1.0 / (1.0 + (scale * (other - cosine)).exp());
    assert!((probability("fox") - expected).abs() < 1e-4, "{expected} and {labels}");
}
