//! Cases of pictures and videos.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use crate::case::{Case, Check, texts};

pub(crate) const CHECKS: &[Check] = &[
    ("clip/10-jpeg-non-interleaved-420", the_same_picture),
    ("clip/12-jpeg-adobe-rgb", the_same_picture),
    ("clip/13-png-without-iend", png_without_iend),
    ("sam/12-gif-without-trailer", gif_without_trailer),
    ("sam/19-y4m-without-frames", y4m_without_frames),
    ("hardening/06-image-bombs", bombs),
    ("hardening/10-gif-4gib", gigantic_frame),
    ("pictures/01-jpeg-kinds", pixels_of_pillow),
    ("pictures/02-jpeg-damaged", damaged_jpegs),
    ("pictures/03-exif-orientation", orientations),
    ("pictures/04-formats", formats),
    ("pictures/05-high-range", high_range),
    ("pictures/06-gigantic", gigantic),
    ("pictures/07-videos", videos),
];

fn rows(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// The names of the case's files, sorted.
fn files(case: &Case) -> Vec<String> {
    let entries = fs::read_dir(case.path("")).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut files: Vec<String> =
        entries.filter(|path| path.is_file()).map(name).filter(|name| name != "expected.txt").collect();
    files.sort();
    files
}

/// The embeddings of pictures, all of which must be read.
fn embeddings(case: &Case, options: &[&str], images: &[&str]) -> (Vec<Value>, String) {
    let (stdout, stderr) = case.succeeds(&[&["embed", "--json", "--image"], images, options].concat());
    let rows = rows(&stdout);
    assert_eq!(rows.len(), images.len());
    (rows, stderr)
}

fn cosine(a: &Value, b: &Value) -> f64 {
    let values = |row: &Value| -> Vec<f64> {
        row["embedding"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
    };
    values(a).iter().zip(values(b)).map(|(a, b)| a * b).sum()
}

/// Runs the command with so many kilobytes of address space that 256 MB remain beside what it has before it reads a
/// picture, and no more.
fn confined(case: &Case, args: &[&str]) -> Output {
    let program = case.command(args);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -v 420000 && exec \"$0\" \"$@\" --threads 1"]);
    shell.arg(program.get_program()).args(program.get_args()).current_dir(case.path(""));
    shell.output().expect("a shell")
}

fn refused(case: &Case, args: &[&str], culprits: &[&str]) {
    let output = confined(case, args);
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(4), "{args:?}: {stdout}\n{stderr}");
    assert!(culprits.iter().any(|culprit| stderr.contains(culprit)), "{args:?}: {stderr}");
}

fn the_same_picture(case: &Case) {
    let (rows, stderr) = embeddings(case, &[], &["picture.jpg", "original.png"]);
    assert!(stderr.is_empty(), "{stderr}");
    assert!(cosine(&rows[0], &rows[1]) > 0.99, "{}", cosine(&rows[0], &rows[1]));
}

fn png_without_iend(case: &Case) {
    let open = fs::read(case.path("picture.png")).unwrap();
    fs::write(case.path("closed.png"), [&open[..], b"\0\0\0\0IEND\xae\x42\x60\x82"].concat()).unwrap();
    let (rows, stderr) = embeddings(case, &[], &["picture.png", "closed.png"]);
    assert!(stderr.is_empty(), "{stderr}");
    assert_eq!(rows[0]["embedding"], rows[1]["embedding"]);
    // Within the pixels, it is damaged.
    fs::write(case.path("cut.png"), &open[..open.len() - 40]).unwrap();
    case.fails(&["embed", "--image", "cut.png"], 4, &["cut.png: damaged PNG"]);
}

fn gif_without_trailer(case: &Case) {
    for file in ["no_trailer.gif", "zero_before_trailer.gif"] {
        let frames = rows(&case.quiet(&["track", file, "--point", "5,5", "--json"]));
        let numbers: Vec<u64> = frames.iter().map(|row| row["frame"].as_u64().unwrap()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5], "{file}");
    }
}

fn y4m_without_frames(case: &Case) {
    case.fails(&["track", "header_only.y4m", "--point", "20,30"], 4, &["header_only.y4m: no frames"]);
}

fn bombs(case: &Case) {
    let hints = &["--max-pixels 268435456 reads it"];
    for file in ["bomb3.png", "bombb.jpg", "bomb.gif"] {
        refused(case, &["classify", file, "--labels", "cat,dog"], hints);
    }
    refused(case, &["track", "bomb.gif", "--point", "5,5"], hints);
    refused(case, &["segment", "bombb.jpg", "--point", "5,5"], hints);
    // What is not there is not made up, however much the user allows.
    let small = fs::read(case.path("bombb.jpg")).unwrap();
    let at = small.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    let claims = [&small[..at + 5], &[1, 0, 1, 0], &small[at + 9..]].concat();
    fs::write(case.path("claims.jpg"), claims).unwrap();
    refused(case, &["classify", "claims.jpg", "--labels", "cat,dog"], &["damaged JPEG"]);
}

fn gigantic_frame(case: &Case) {
    refused(
        case,
        &["track", "frame4g.gif", "--point", "0,0"],
        &["damaged GIF: a frame that is a picture of 65535"],
    );
    refused(case, &["classify", "frame4g.gif", "--labels", "cat,dog"], &["65535 x 65535"]);
}

/// Each picture with a file of its pixels beside it has the very embedding of these.
fn pixels_of_pillow(case: &Case) {
    let files = files(case);
    let is_exact = |name: &&String| !name.starts_with("lossy");
    let pairs = files.iter().filter(is_exact).filter(|name| files.contains(&format!("{name}.png")));
    let pairs: Vec<[String; 2]> = pairs.map(|name| [name.clone(), format!("{name}.png")]).collect();
    let images: Vec<&str> = pairs.iter().flatten().map(String::as_str).collect();
    let (rows, _) = embeddings(case, &[], &images);
    for (pair, rows) in pairs.iter().zip(rows.chunks_exact(2)) {
        assert_eq!(rows[0]["embedding"], rows[1]["embedding"], "{}", pair[0]);
    }
    assert!(pairs.len() >= 5);
}

fn damaged_jpegs(case: &Case) {
    let files = files(case);
    let images: Vec<&str> = files.iter().map(String::as_str).collect();
    let stderr = case.fails(&[&["classify", "--labels", "cat,dog"], &images[..]].concat(), 4, &[]);
    for file in &files {
        let line = stderr.lines().find(|line| line.contains(file.as_str()));
        assert!(line.is_some_and(|line| line.contains("JPEG: ")), "{file}: {stderr}");
    }
}

fn orientations(case: &Case) {
    let names = [
        "seen.png", "1.png", "2.png", "3.png", "4.png", "5.png", "6.png", "7.png", "8.png", "6.webp",
        "6.tiff",
    ];
    let (rows, stderr) = embeddings(case, &[], &names);
    assert!(stderr.is_empty(), "{stderr}");
    for (name, row) in names.iter().zip(&rows) {
        let expected: Value = match &name[..1] {
            "s" | "1" => Value::Null,
            digit => digit.parse::<u64>().unwrap().into(),
        };
        assert_eq!(row["orientation"], expected, "{name}");
        assert_eq!(row["embedding"], rows[0]["embedding"], "{name}");
    }
    let (lying, _) = embeddings(case, &["--no-exif"], &names);
    for (name, row) in names.iter().zip(&lying) {
        assert_eq!(row["orientation"], Value::Null, "{name}");
        let is_seen = matches!(*name, "seen.png" | "1.png");
        assert_eq!(row["embedding"] == rows[0]["embedding"], is_seen, "{name}");
    }
    pixels_of_jpegs(case);
    // Masks are those of the picture as it is seen.
    let segment = |name: &str, options: &[&str]| {
        let args = [&["segment", name, "--point", "9,5", "--json"], options].concat();
        self::rows(&case.quiet(&args)).remove(0)
    };
    let (seen, turned) = (segment("seen.png", &[]), segment("6.png", &[]));
    assert_eq!(turned["orientation"], 6);
    assert_eq!(turned["segmentation"], seen["segmentation"]);
    assert_eq!(seen["segmentation"]["size"], serde_json::json!([14, 26]));
    let lying = segment("6.png", &["--no-exif"]);
    assert_eq!(lying["segmentation"]["size"], serde_json::json!([26, 14]));
    // Frames are turned too: all have one size.
    fs::create_dir(case.path("frames")).unwrap();
    for name in ["1.png", "6.png", "8.png"] {
        fs::copy(case.path(name), case.path("frames").join(name)).unwrap();
    }
    let tracked = self::rows(&case.quiet(&["track", "frames", "--point", "9,5", "--json"]));
    let found: Vec<&Value> = tracked.iter().map(|row| &row["orientation"]).collect();
    assert_eq!(found, [&Value::Null, &6.into(), &8.into()]);
}

fn pixels_of_jpegs(case: &Case) {
    let names = ["6.jpg", "6.jpg.png", "6-big-endian.jpg", "6-big-endian.jpg.png"];
    let (rows, _) = embeddings(case, &[], &names);
    assert_eq!((&rows[0]["orientation"], &rows[2]["orientation"]), (&6.into(), &6.into()));
    assert_eq!(rows[0]["embedding"], rows[1]["embedding"]);
    assert_eq!(rows[2]["embedding"], rows[3]["embedding"]);
}

fn formats(case: &Case) {
    pixels_of_pillow(case);
    let (_, stderr) = embeddings(
        case,
        &[],
        &["animated.gif", "animated.webp", "animated.png", "pages.tiff", "palette.gif"],
    );
    for note in [
        "animated.gif: an animation: the first of 2 frames is taken",
        "animated.webp: an animation: the first of 2 frames is taken",
        "animated.png: an animation: its still picture is taken",
        "pages.tiff: a TIFF of several pages: the first is taken",
    ] {
        assert!(stderr.contains(note), "{stderr}");
    }
    assert_eq!(stderr.lines().count(), 4, "{stderr}");
    let (rows, _) = embeddings(case, &[], &["lossy.webp", "lossy.webp.png"]);
    assert!(cosine(&rows[0], &rows[1]) > 0.999);
}

fn high_range(case: &Case) {
    pixels_of_pillow(case);
    let (_, stderr) = embeddings(case, &[], &["gray16.png", "rgb16.png", "unit.tiff"]);
    for note in
        ["gray16.png: of samples of 16 bits", "rgb16.png: of samples of 16 bits", "unit.tiff: floating-point"]
    {
        assert!(stderr.contains(note), "{stderr}");
    }
    case.fails(&["embed", "--image", "thousand.tiff"], 4, &["thousand.tiff: ", "scale them to 0"]);
    case.fails(&["embed", "--image", "int32.tiff"], 4, &["int32.tiff: ", "32-bit integers is not supported"]);
}

fn gigantic(case: &Case) {
    let files = files(case);
    let images: Vec<&str> = files.iter().map(String::as_str).collect();
    let output = confined(case, &[&["classify", "--labels", "cat,dog"], &images[..]].concat());
    let (stdout, stderr) = texts(&output);
    assert_eq!((output.status.code(), stdout.as_str()), (Some(4), ""), "{stderr}");
    for file in &files {
        assert!(stderr.contains(&format!("{file}: ")), "{file}: {stderr}");
    }
    for file in ["huge.gif", "large.gif"] {
        refused(case, &["track", file, "--point", "1,1"], &["too large", "decompression bomb"]);
    }
}

fn videos(case: &Case) {
    let track = |input: &str| {
        let (stdout, stderr) = case.succeeds(&["track", input, "--point", "14,18", "--json", "-q"]);
        let rows = rows(&stdout);
        assert_eq!(rows.len(), 3, "{input}");
        (rows.iter().map(|row| row["area"].as_u64().unwrap()).collect::<Vec<_>>(), stderr)
    };
    let (jpegs, notice) = track("frames");
    assert_eq!(notice.lines().count(), 1, "{notice}");
    assert!(notice.contains("frames: 2 files are no frames: \"Thumbs.db\" and others"), "{notice}");
    let (gif, quiet) = track("CLIP.GIF");
    assert!(quiet.is_empty(), "{quiet}");
    assert_eq!(track("clip.mjpeg").0, jpegs);
    assert_eq!(track("clip.webp"), (gif.clone(), String::new()));
    let deep = track("CLIP10.Y4M").0;
    for (found, expected) in [&jpegs, &deep].into_iter().flatten().zip(gif.iter().cycle()) {
        assert!(found.abs_diff(*expected) * 10 <= *expected, "{jpegs:?} {deep:?} {gif:?}");
    }
    // Cut off in the last frame: the others are tracked, then it is named.
    let stream = fs::read(case.path("clip.mjpeg")).unwrap();
    fs::write(case.path("cut.mjpeg"), &stream[..stream.len() - 9]).unwrap();
    let output = case.output(&["track", "cut.mjpeg", "--point", "14,18"]);
    let (stdout, stderr) = texts(&output);
    assert_eq!((output.status.code(), stdout.lines().count()), (Some(4), 2), "{stderr}");
    assert!(stderr.contains("cut.mjpeg: frame 2: damaged MJPEG"), "{stderr}");
    case.fails(&["track", "clip.webp", "--point", "1,1@7"], 2, &["before which the video ends"]);
}
