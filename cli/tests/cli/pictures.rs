//! Pictures from standard input, how they are turned, how large they may be, and what is no picture.

use std::fs;
use std::io::Write;
use std::process::{Output, Stdio};

use serde_json::{Value, json as value};

use super::{demo_file, fails, json, octopus, run, scratch_file, stdout, vitrum};

/// A file of the cases of pictures.
fn case(name: &str) -> String {
    format!("{}/../tests/cases/pictures/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A run with `input` as standard input.
fn fed(args: &[&str], input: &[u8]) -> Output {
    let mut command = vitrum(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The command may end before it has read all.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn fed_json(args: &[&str], input: &[u8]) -> Vec<Value> {
    let output = fed(args, input);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{args:?}: {stderr}");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_hyphen_is_standard_input() {
    let picture = fs::read(octopus()).unwrap();
    let classify = |image: &str| {
        let mut rows = fed_json(&["classify", image, "--labels", "octopus,cat", "--json"], &picture);
        rows.remove(0)
    };
    let (mut named, piped) = (classify(&octopus()), classify("-"));
    assert_eq!(piped["image"], "-");
    named["image"] = "-".into();
    assert_eq!(piped, named);
    let embedded = fed_json(&["embed", "--image", &octopus(), "-", "--json"], &picture);
    assert_eq!(embedded[0]["embedding"], embedded[1]["embedding"]);

    let scene = demo_file("images/garden-scene-3d.png");
    let segment = ["--point", "65,331", "--json"];
    let bytes = fs::read(&scene).unwrap();
    let named = json(&[&["segment", &scene], &segment[..]].concat());
    assert_eq!(fed_json(&[&["segment", "-"], &segment[..]].concat(), &bytes), named);

    for (input, culprit) in
        [(&b""[..], "standard input: the file is empty"), (b"cat", "standard input: not a picture")]
    {
        let output = fed(&["classify", "-", "--labels", "cat,dog"], input);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{stderr}");
        assert!(stderr.contains(culprit), "{stderr}");
    }
    let output = fed(&["classify", "-", "-", "--labels", "cat,dog"], &picture);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_stream_of_jpegs_is_a_video() {
    let stream = fs::read(case("07-videos/clip.mjpeg")).unwrap();
    let rows = fed_json(&["track", "-", "-q", "--point", "14,18", "--json"], &stream);
    assert_eq!(rows.len(), 3);
    // One JPEG is a video of one frame; a PNG is none.
    let coffee = demo_file("images/coffee.jpg");
    assert_eq!(stdout(&["track", &coffee, "--point", "14,18"]).lines().count(), 1);
    fails(&["track", &octopus(), "--point", "14,18"], 4, "a PNG is no video");
    fails(&["track", &case("04-formats/lossless.webp"), "--point", "1,1"], 4, "without animation");
}

#[test]
fn size_is_limited_by_the_user() {
    let (width, height) = (SIDE, SIDE);
    let classify = |pixels: &str, exit: i32, culprit: &str| {
        fails(&["classify", &octopus(), "--labels", "octopus,cat", "--max-pixels", pixels], exit, culprit);
    };
    classify("100", 4, &format!("a picture of {width} x {height} pixels is larger than --max-pixels 100"));
    classify("0", 2, "0 is not in 1..=268435456");
    classify("268435457", 2, "268435457 is not in 1..=268435456");
    let enough = format!("{}", width * height);
    stdout(&["classify", &octopus(), "--labels", "octopus,cat", "--max-pixels", &enough]);
    for args in [
        &["segment", &octopus(), "--point", "5,5"][..],
        &["everything", &octopus()],
        &["embed", "--image", &octopus()],
        &["similarity", "--image", &octopus(), "--text", "a cat"],
        &["track", &demo_file("clips/tree.gif"), "--point", "5,5"],
    ] {
        fails(&[args, &["--max-pixels", "100"]].concat(), 4, "larger than --max-pixels 100");
    }
    // A white page that a small file holds is read if the user wants it.
    let page = [&b"P4 100000 1\n"[..], &vec![0; 12500]].concat();
    fails(&["classify", &scratch_file("long.pbm", page), "--labels", "cat,dog"], 4, "too large");
}

/// Pixels along a side of the octopus.
const SIDE: usize = 256;

#[test]
fn turned_pictures_say_so() {
    let turned = case("03-exif-orientation/6.jpg");
    let of = |options: &[&str]| {
        let args = [&["classify", &turned, "--labels", "cat,dog", "--json"], options].concat();
        json(&args).remove(0)
    };
    assert_eq!(of(&[])["orientation"], 6);
    assert_eq!(of(&["--no-exif"]).get("orientation"), None);
    // Text has no field for it.
    let line = stdout(&["classify", &turned, "--labels", "cat,dog", "--top", "1"]);
    assert_eq!(line.trim_end().split('\t').count(), 3, "{line}");
    let mask = json(&["segment", &turned, "--point", "9,5", "--json"]).remove(0);
    assert_eq!(mask["segmentation"]["size"], value!([14, 26]));
    assert_eq!(mask["orientation"], 6);
}

#[test]
fn other_files_are_named() {
    let iso = |brand: &[u8]| [b"\0\0\0\x14ftyp", brand, b"\0\0\0\0", brand].concat();
    for (name, bytes, culprit) in [
        ("photo.heic", iso(b"heic"), "HEIC pictures are not supported"),
        ("photo.avif", iso(b"avif"), "AVIF pictures are not supported"),
        ("photo.jxl", b"\xff\x0a\0\0".to_vec(), "JPEG XL pictures are not supported"),
        ("clip.mp4", iso(b"isom"), "MP4 and QuickTime videos are not supported"),
        ("page.jpg", b"<!doctype html><title>404".to_vec(), "an HTML page"),
        ("pointer.jpg", b"version https://git-lfs.github.com/spec/v1\noid".to_vec(), "a Git LFS pointer"),
        ("drawing.png", b"<svg xmlns=\"\">".to_vec(), "SVG drawings are not supported"),
    ] {
        let file = scratch_file(name, bytes);
        fails(&["embed", "--image", &file], 4, culprit);
        fails(&["embed", "--image", &file], 4, name);
    }
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    assert!(help.contains("--no-exif") && help.contains("WebP"), "{help}");
}
