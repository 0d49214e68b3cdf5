//! `segment`, `everything`, and what `info`, `demo` and `bench` say of SAM.

use std::fs;
use std::path::Path;

use serde_json::{Value, json as value};
use vitrum::pipelines::mask::Rle;

use super::{demo_file, fails, json, run, scratch, scratch_file, stdout};

const WIDTH: usize = 512;
const HEIGHT: usize = 384;
/// In the scene: x, y, width, height.
const APPLE: [f64; 4] = [34.0, 301.0, 62.0, 60.0];
const BALL: [f64; 4] = [260.0, 305.0, 50.0, 50.0];
const BEAR: [f64; 4] = [371.0, 266.0, 98.0, 98.0];
/// What a demo model may be asked for: every thing of the scene that it is sure of at all.
const UNSURE: [&str; 4] = ["--pred-iou-thresh", "0.4", "--stability-score-thresh", "0.5"];

fn scene() -> String {
    demo_file("images/garden-scene-3d.png")
}

/// `segment` of the scene.
fn segment<'a>(scene: &'a str, args: &[&'a str]) -> Vec<&'a str> {
    [&["segment", scene], args].concat()
}

fn path(name: &str) -> String {
    scratch(name).to_str().expect("UTF-8").to_owned()
}

/// Intersection over union of a record's box with `expected`.
fn overlap(record: &Value, expected: [f64; 4]) -> f64 {
    let found: Vec<f64> =
        record["bbox"].as_array().unwrap().iter().map(|side| side.as_f64().unwrap()).collect();
    let along = |axis: usize| {
        let end = |it: &[f64]| it[axis] + it[axis + 2];
        (end(&found).min(end(&expected)) - found[axis].max(expected[axis])).max(0.0)
    };
    let common = along(0) * along(1);
    common / (found[2] * found[3] + expected[2] * expected[3] - common)
}

/// The mask of a record.
fn mask(record: &Value) -> Rle {
    assert_eq!(record["segmentation"]["size"], value!([HEIGHT, WIDTH]));
    Rle::from_coco_string(record["segmentation"]["counts"].as_str().unwrap(), WIDTH, HEIGHT).unwrap()
}

/// Shape and bytes of an array.
fn npy(path: &str) -> (String, Vec<u8>) {
    let file = fs::read(path).unwrap();
    let start = 10 + usize::from(u16::from_le_bytes([file[8], file[9]]));
    (String::from_utf8_lossy(&file[10..start]).into_owned(), file[start..].to_vec())
}

#[test]
fn a_click_selects_a_thing_in_every_form() {
    let scene = scene();
    let files = ["apple.png", "apple-mask.png", "apple.json", "apple.npy"].map(path);
    let outputs = files.each_ref().map(|file| ["-o", file]).concat();
    let args = segment(&scene, &["--point", "65,335"]);
    let records = json(&[&args[..], &outputs, &["--json"]].concat());
    assert_eq!(records.len(), 1);
    let record = &records[0];
    assert!(overlap(record, APPLE) > 0.6, "{record}");
    let mask = mask(record);
    assert_eq!(record["area"], mask.area());
    assert_eq!(record["bbox"], value!(mask.bounding_box()));
    for score in ["predicted_iou", "stability_score"] {
        assert!((0.0..=1.1).contains(&record[score].as_f64().unwrap()), "{record}");
    }

    // The line says the same.
    let line = stdout(&args);
    let fields: Vec<&str> = line.trim_end().split('\t').collect();
    let [x, y, width, height] = mask.bounding_box();
    assert_eq!((fields[0], fields[3]), ("0", &mask.area().to_string()[..]));
    assert_eq!(fields[4], format!("{x},{y},{width},{height}"));

    // So do the files.
    let from_file: Value = serde_json::from_slice(&fs::read(&files[2]).unwrap()).unwrap();
    assert_eq!(from_file, value!([record]));
    let mut pixels = vec![0; WIDTH * HEIGHT];
    mask.to_mask(&mut pixels).unwrap();
    let (header, data) = npy(&files[3]);
    assert!(
        header.starts_with("{'descr': '|b1', 'fortran_order': False, 'shape': (1, 384, 512), }"),
        "{header}"
    );
    assert_eq!(data, pixels);
    // A mask picture is a prompt of the picture's size.
    let [overlay, mask_png] = [&files[0], &files[1]].map(|file| fs::read(file).unwrap());
    assert!(
        overlay.starts_with(b"\x89PNG")
            && mask_png.starts_with(b"\x89PNG")
            && overlay.len() > 10 * mask_png.len()
    );
    let again = json(&segment(&scene, &["--mask", &files[1], "--point", "65,335", "--json"]));
    assert!(overlap(&again[0], APPLE) > 0.4, "{}", again[0]);
}

#[test]
fn negative_points_and_three_masks() {
    let scene = scene();
    let one = json(&segment(&scene, &["--point", "420,320", "--json"]));
    let with = json(&segment(&scene, &["--point", "420,320", "--neg", "420,330", "285,330", "--json"]));
    assert_ne!(one[0]["segmentation"], with[0]["segmentation"]);
    let three = json(&segment(&scene, &["--point", "420,320", "--multimask", "--json"]));
    let of = |key: &str| three.iter().map(|record| record[key].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!((of("prompt"), of("mask")), (vec![0; 3], vec![0, 1, 2]));
    // A threshold above all logits leaves nothing of a mask.
    let none = json(&segment(&scene, &["--point", "420,320", "--threshold", "1e6", "--json"]));
    assert_eq!((&none[0]["area"], &none[0]["bbox"]), (&0.into(), &value!([0, 0, 0, 0])));
}

#[test]
fn several_boxes_are_a_batch_of_prompts() {
    let scene = scene();
    let (file, logits) = (path("boxes.npy"), path("boxes-logits.npy"));
    let boxes = ["--box", "370,265,470,365", "--box", "258,303,312,357"];
    let both = json(&[&segment(&scene, &boxes)[..], &["--json", "-o", &file, "--array", "low-res"]].concat());
    assert_eq!(both.len(), 2);
    assert!(overlap(&both[0], BEAR) > 0.7 && overlap(&both[1], BALL) > 0.7, "{both:?}");
    // Each box alone gives what it gives in the batch.
    for (i, record) in both.iter().enumerate() {
        let alone = json(&[&segment(&scene, &boxes[2 * i..][..2])[..], &["--json"]].concat());
        assert_eq!(alone[0]["segmentation"], record["segmentation"]);
    }
    let (header, data) = npy(&file);
    let side = both_side();
    assert!(
        header.contains(&format!("'<f4', 'fortran_order': False, 'shape': (2, {side}, {side}), ")),
        "{header}"
    );
    assert_eq!(data.len(), 2 * side * side * 4);

    // Logits of the picture's size say what the mask says.
    stdout(&[&segment(&scene, &boxes[2..])[..], &["-o", &logits, "--array", "logits"]].concat());
    let (_, data) = npy(&logits);
    let inside = data.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()) > 0.0);
    assert_eq!(both[1]["area"], inside.filter(|&inside| inside).count());
}

/// Side of the low-resolution masks.
fn both_side() -> usize {
    json(&["info", "demo:sam", "--json"])[0]["mask_side"].as_u64().unwrap() as usize
}

#[test]
fn logits_and_embeddings_are_used_again() {
    let scene = scene();
    let (logits, embedding) = (path("bear.npy"), path("scene.embedding"));
    let click = ["--point", "420,330"];
    let low_res = ["-o", &logits, "--array", "low-res", "--save-embedding", &embedding, "--json"];
    let first = json(&[&segment(&scene, &click)[..], &low_res].concat());
    let again = [&segment(&scene, &click)[..], &["--embedding", &embedding, "--json"]].concat();
    assert_eq!(json(&again), first);
    let refined = json(&[&again[..], &["--mask", &logits]].concat());
    let shared = mask(&refined[0]).iou(&mask(&first[0])).unwrap();
    assert!(shared > 0.5 && refined != first, "{shared}");

    let octopus = demo_file("images/octopus-3d.png");
    let other = ["segment", &octopus, "--point", "9,9", "--embedding", &embedding];
    fails(&other, 4, "the embedding of a picture of 512 x 384 pixels");
    fails(&[&again[..], &["--image-size", "128"]].concat(), 4, "another model's");
    let damaged = scratch_file("damaged.embedding", &fs::read(&embedding).unwrap()[..1000]);
    fails(&segment(&scene, &["--point", "9,9", "--embedding", &damaged]), 4, "damaged.embedding");
}

#[test]
fn words_select_things() {
    let scene = scene();
    let (overlay, file) = (path("words.png"), path("words.json"));
    let texts =
        ["--text", "a red apple", "a soccer ball", "--not", "a house", "a tree", "-o", &overlay, "-o", &file];
    let found = json(&[&segment(&scene, &texts)[..], &UNSURE, &["--json"]].concat());
    assert_eq!(found.len(), 2);
    for (record, (text, place)) in found.iter().zip([("a red apple", APPLE), ("a soccer ball", BALL)]) {
        assert_eq!(record["text"], text);
        assert!(overlap(record, place) > 0.5 && record["probability"].as_f64().unwrap() > 0.5, "{record}");
    }
    assert!(fs::read(&overlay).unwrap().starts_with(b"\x89PNG"));
    assert_eq!(serde_json::from_slice::<Value>(&fs::read(&file).unwrap()).unwrap(), value!(found));
    // None is likely enough: a result, with a word about it.
    let none =
        run(&[&segment(&scene, &["--text", "a pair of scissors", "--min-probability", "1"])[..], &UNSURE]
            .concat());
    assert!(none.status.success() && none.stdout.is_empty());
    assert!(String::from_utf8_lossy(&none.stderr).contains("nothing found"));
}

#[test]
fn everything_is_found() {
    let scene = scene();
    let files = ["all.png", "all-mask.png", "all.json", "all.npy"].map(path);
    let outputs = files.each_ref().map(|file| ["-o", file]).concat();
    let args = [&["everything", &scene, "--points-per-side", "16"], &UNSURE[..]].concat();
    let records = json(&[&args[..], &outputs, &["--json"]].concat());
    assert!(records.len() > 5, "{}", records.len());
    for place in [BALL, BEAR] {
        assert!(records.iter().any(|record| overlap(record, place) > 0.7), "{place:?}");
    }
    for record in &records {
        let mask = mask(record);
        assert_eq!(record["area"], mask.area());
        assert_eq!(record["crop_box"], value!([0, 0, WIDTH, HEIGHT]));
        assert!(record["predicted_iou"].as_f64().unwrap() > 0.4 && record["point_coords"][0].is_array());
        assert!(record.get("text").is_none() && record.get("prompt").is_none());
    }
    assert_eq!(serde_json::from_slice::<Value>(&fs::read(&files[2]).unwrap()).unwrap(), value!(records));
    let (header, data) = npy(&files[3]);
    assert!(header.contains(&format!("'shape': ({}, 384, 512)", records.len())), "{header}");
    assert_eq!(
        data.iter().map(|&pixel| u64::from(pixel)).sum::<u64>(),
        records.iter().map(|it| it["area"].as_u64().unwrap()).sum::<u64>()
    );
    let lines = stdout(&[&args[..], &["--threads", "1"]].concat());
    assert_eq!(lines.lines().count(), records.len());
    for (line, record) in lines.lines().zip(&records) {
        assert_eq!(line.split('\t').next(), Some(&record["area"].to_string()[..]));
    }
}

#[test]
fn info_describes_sam() {
    let info = &json(&["info", "demo:sam", "--json"])[0];
    assert_eq!((&info["family"], &info["encoder"]["kind"]), (&"SAM".into(), &"vit".into()));
    let side = |key: &str| info[key].as_u64().unwrap();
    assert_eq!(side("mask_side"), 4 * side("grid"));
    assert_eq!((&info["decoder"]["layers"], &info["decoder"]["masks"]), (&2.into(), &3.into()));
    assert_eq!(info["unused_tensors"], value!([]));
    assert_eq!(json(&["info", &demo_file("sam-nano"), "--json"])[0]["encoder"], info["encoder"]);
    assert!(stdout(&["info", "demo:sam"]).contains("mask decoder    2 layers"));
}

#[test]
fn bench_times_sam() {
    let rows = json(&["bench", "sam", "--threads", "1"]);
    let names: Vec<&str> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["sam-encode", "sam-click", "sam-click", "sam-everything"]);
    assert!(
        rows.iter()
            .all(|row| row["median_ms"].as_f64().unwrap() > 0.0 && row["gflops"].as_f64().unwrap() > 0.0)
    );
}

#[test]
fn wrong_prompts_exit_with_2() {
    let scene = scene();
    let wrong = |args: &[&str], culprit: &str| fails(&segment(&scene, args), 2, culprit);
    wrong(&[], "--point");
    wrong(&["--point", "12"], "expected X,Y");
    wrong(&["--point", "NaN,3"], "expected X,Y");
    wrong(&["--point", "1e9,3"], "point 0 is at");
    wrong(&["--box", "9,9,5,20"], "left upper");
    wrong(&["--box", "1,1,5,5", "8,8,20,20", "--point", "3,3"], "of which box");
    wrong(&["--text", "a cat", "--point", "3,3"], "cannot be used with");
    wrong(&["--text", " "], "empty");
    wrong(&["--text", "a cat", "--multimask"], "cannot be used with");
    wrong(&["--not", "a cat", "--point", "3,3"], "--text");
    wrong(&["--point", "3,3", "-o", "x.jpg"], "neither .png nor .json nor .npy");
    wrong(&["--point", "3,3", "-o", "x.jpg", "--kind", "mask"], "mask is written as .png");
    wrong(&["--point", "3,3", "-o", "x.gif"], "no animation");
    wrong(&["--point", "3,3", "--kind", "mask"], "--output");
    wrong(
        &["--point", "3,3", "--kind", "mask", "--kind", "json", "-o", "a", "-o", "b", "-o", "c"],
        "2 --kind for 3",
    );
    wrong(&["--point", "3,3", "-o", "x.png", "-o", "./x.png"], "would replace the output x.png");
    wrong(&["--point", "3,3", "-o", "x.png", "--save-embedding", "x.png"], "would replace the output");
    wrong(&["--point", "3,3", "--simplify", "-1"], "expected pixels");
    wrong(&["--mask", "m.png#0"], "begin with 1");
    wrong(&["--text", "a cat", "-o", "x.npy", "--array", "logits"], "no logits");
    fails(&["everything", &scene, "--points-per-side", "0"], 2, "no points");
    fails(&["everything", &scene, "--crop-n-layers", "9"], 2, "layers of crops");
    fails(&["everything", &scene, "-o", "x.npy", "--array", "low-res"], 2, "no logits");
    fails(&["bench", "--model", "demo:sam"], 2, "SUBJECT");
}

#[test]
fn unusable_files_have_their_exit_codes() {
    let scene = scene();
    let click = |args: &[&str], exit: i32, culprit: &str| {
        fails(&[&segment(&scene, &["--point", "9,9"])[..], args].concat(), exit, culprit);
    };
    click(
        &["--model", "demo:clip"],
        3,
        "model demo:clip: not a SAM checkpoint: this is a CLIP\n  classify, embed",
    );
    click(&["--image-size", "100"], 3, "image size 100");
    fails(
        &["embed", "--text", "a cat", "--model", "demo:sam"],
        3,
        "model demo:sam: not a CLIP checkpoint: this is a SAM\n  segment and",
    );
    fails(&segment(&scene, &["--text", "a cat", "--clip-model", "demo:sam"]), 3, "model demo:sam");
    click(&["--mask", "no-such.npy"], 4, "no-such.npy: ");
    click(&["--mask", &demo_file("images/octopus-3d.png")], 4, "many colours, not a mask");
    click(&["--mask", &scratch_file("cut.npy", b"\x93NUMPY\x01\0")], 4, "cut.npy: damaged NumPy array");
    let logits = path("picture-size.npy");
    stdout(&segment(&scene, &["--point", "9,9", "-o", &logits, "--array", "logits"]));
    click(&["--mask", &logits], 4, "expected low-resolution logits");
    click(&["--embedding", "no-such.embedding"], 4, "no-such.embedding: ");
    click(&["-o", "/nonexistent/x.png"], 5, "cannot write /nonexistent/x.png");
    click(&["--save-embedding", "/nonexistent/x"], 5, "cannot write /nonexistent/x");
    fails(&["everything", &demo_file("labels.txt")], 4, "not a picture in a known format");
}

#[test]
fn the_demo_segments_its_scene() {
    let directory = path("demo-segmented");
    let rows = json(&["demo", "--output", &directory, "--json"]);
    let of = |kind: &str| {
        rows.iter()
            .filter(|row| row["asked"].as_str().is_some_and(|asked| asked.starts_with(kind)))
            .collect::<Vec<_>>()
    };
    assert_eq!((of("click").len(), of("box").len()), (3, 3));
    assert!(overlap(of("click 65,335")[0], APPLE) > 0.6);
    assert!(overlap(of("a red apple")[0], APPLE) > 0.6);
    assert!(!of("everything").is_empty());
    for name in ["classified.png", "clicked.png", "boxed.png", "asked.png", "everything.png"] {
        let file = fs::read(Path::new(&directory).join(name)).expect(name);
        assert!(file.starts_with(b"\x89PNG\r\n\x1a\n"));
        assert!(rows.iter().any(|row| row["written"].as_str().is_some_and(|path| path.ends_with(name))));
    }
}
