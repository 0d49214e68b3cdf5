//! Cases of masks, and of files that must not be lost.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Cursor};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use vitrum::weights::Fnv64;

use crate::case::{CASES, Case, Check};

pub(crate) const CHECKS: &[Check] = &[
    ("hardening/12-output-not-atomic", an_earlier_file_survives),
    ("sam/08-mask-of-0-and-1", masks_in_any_form),
    ("sam/09-label-map-merged", label_maps_are_objects),
    ("sam/10-object-0-invisible", numbers_of_objects_and_background_differ),
    ("sam/11-output-overwrites-frames", inputs_are_never_replaced),
    ("sam/14-json-lost-on-interrupt", what_was_tracked_until_a_signal_is_kept),
    ("sam/16-mask-pattern-gives-overlays", names_and_kinds_choose_what_is_written),
    ("sam/17-embedding-of-another-picture", an_embedding_knows_its_picture),
    ("sam/21-mask-values-undocumented", values_of_several_masks_are_told),
];

/// A PNG's colour type, bits and pixels.
fn png(path: &Path) -> (png::ColorType, usize, Vec<u8>) {
    let mut reader = png::Decoder::new(Cursor::new(fs::read(path).expect("a PNG"))).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    (info.color_type, info.bit_depth as usize, pixels)
}

/// Writes a PNG of 8 bits.
fn write_png(path: &Path, color: png::ColorType, [width, height]: [u32; 2], palette: &[u8], pixels: &[u8]) {
    let mut encoder = png::Encoder::new(File::create(path).unwrap(), width, height);
    encoder.set_color(color);
    if color == png::ColorType::Indexed {
        encoder.set_palette(palette);
    }
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
}

/// An array of bytes: `|b1`, `|u1`.
fn write_npy(path: &Path, descr: &str, [width, height]: [u32; 2], data: &[u8]) {
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({height}, {width}), }}")
            .into_bytes();
    header.resize(117, b' ');
    header.push(b'\n');
    let whole = [&b"\x93NUMPY\x01\x00"[..], &118u16.to_le_bytes(), &header, data].concat();
    fs::write(path, whole).unwrap();
}

fn lines(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn of(record: &Value, key: &str) -> i64 {
    record[key].as_i64().unwrap_or_else(|| panic!("{key} of {record}"))
}

/// Files that a command left half done.
fn leftovers(directory: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with('.')).collect()
}

fn masks_in_any_form(case: &Case) {
    let found = |mask: &str| {
        let (stdout, stderr) = case.succeeds(&["segment", "picture.jpg", "--mask", mask, "--json"]);
        (lines(&stdout)[0]["segmentation"].clone(), of(&lines(&stdout)[0], "area"), stderr)
    };
    let (plain, area, stderr) = found("mask255.png");
    // The mask has 440 pixels; the model, which was not trained on such pictures, puts a rim around it.
    assert!((440..=600).contains(&area) && stderr.is_empty(), "{area} {stderr}");
    let (_, _, pixels) = png(&case.path("mask255.png"));
    let inside: Vec<bool> = pixels.iter().map(|&pixel| pixel != 0).collect();
    let size = [96, 64];
    let with = |inner: &[u8], outer: &[u8]| -> Vec<u8> {
        inside.iter().flat_map(|&inside| if inside { inner } else { outer }).copied().collect()
    };
    // Siblings: alpha, palettes of any order, sixteen values of a label map of which one is left, arrays.
    let write = |name: &str, color, palette: &[u8], inner: &[u8], outer: &[u8]| {
        write_png(&case.path(name), color, size, palette, &with(inner, outer));
    };
    write("alpha.png", png::ColorType::Rgba, &[], &[9, 8, 7, 255], &[9, 8, 7, 0]);
    write("gray-alpha.png", png::ColorType::GrayscaleAlpha, &[], &[255, 255], &[0, 0]);
    write("opaque.png", png::ColorType::Rgba, &[], &[255; 4], &[0, 0, 0, 255]);
    write("white-first.png", png::ColorType::Indexed, &[255, 255, 255, 0, 0, 0], &[0], &[1]);
    write("davis.png", png::ColorType::Indexed, &[0, 0, 0, 128, 0, 0, 0, 128, 0], &[2], &[0]);
    write("value-7.png", png::ColorType::Grayscale, &[], &[7], &[0]);
    write_npy(&case.path("booleans.npy"), "|b1", size, &with(&[1], &[0]));
    write_npy(&case.path("integers.npy"), "|u1", size, &with(&[255], &[0]));
    for (mask, told) in [
        ("mask01.png", "1 is taken for the mask"),
        ("mask_red.png", "#ff0000 on black"),
        ("alpha.png", "alpha is taken"),
        ("gray-alpha.png", "alpha is taken"),
        ("opaque.png", ""),
        ("white-first.png", ""),
        ("davis.png", "a label map"),
        ("davis.png#2", "a label map"),
        ("value-7.png#7", "7 is taken for the mask"),
        ("booleans.npy", ""),
        ("integers.npy", ""),
    ] {
        let (segmentation, _, stderr) = found(mask);
        assert_eq!(segmentation, plain, "{mask}");
        assert!(stderr.contains(told) && (!told.is_empty() || stderr.is_empty()), "{mask}: {stderr}");
    }
    // A soft mask is one: surer than half inside, not as sure as white.
    write("soft.png", png::ColorType::Grayscale, &[], &[255], &[100]);
    let (segmentation, _, stderr) = found("soft.png");
    assert!(segmentation != plain && stderr.is_empty(), "{stderr}");

    let refused = |mask: &str, why: &str| {
        case.fails(&["segment", "picture.jpg", "--mask", mask], 4, &[mask.split('#').next().unwrap(), why]);
    };
    write("two-colors.png", png::ColorType::Rgb, &[], &[255, 0, 0], &[255, 255, 255]);
    refused("two-colors.png", "which is the mask?");
    refused("value-7.png#3", "there is no value 3, but 7");
    refused("davis.png#1", "there is no value 1");
    refused("picture.jpg", "JPEG");
    write_npy(&case.path("wide.npy"), "|b1", [64, 96], &with(&[1], &[0]));
    refused("wide.npy", "64 x 96 pixels for a picture of 96 x 64");
    fs::write(case.path("m.npz"), b"PK\x03\x04").unwrap();
    refused("m.npz", "an archive");
}

fn label_maps_are_objects(case: &Case) {
    let track = |mask: &str| {
        let (stdout, stderr) = case.succeeds(&["track", "frames", "--mask", mask, "--json", "-q"]);
        let first = lines(&stdout).into_iter().filter(|it| it["frame"] == 0);
        let areas: Vec<_> = first.map(|it| (of(&it, "object"), of(&it, "area"))).collect();
        (areas, stderr)
    };
    let near = |found: &[(i64, i64)], expected: &[(i64, i64)]| {
        let close = |(a, b): (&(i64, i64), &(i64, i64))| a.0 == b.0 && (a.1 - b.1).abs() <= b.1 / 8;
        assert!(found.len() == expected.len() && found.iter().zip(expected).all(close), "{found:?}");
    };
    let (areas, stderr) = track("labels.png");
    near(&areas, &[(1, 440), (2, 300)]);
    assert!(stderr.contains("labels.png: a label map: each value is an object, 1, 2"), "{stderr}");
    near(&track("labels.png#2").0, &[(2, 300)]);
    near(&track("labels.png@0#1").0, &[(1, 440)]);
    let (areas, stderr) = track("mask_alpha.png#5");
    near(&areas, &[(5, 440)]);
    assert!(stderr.contains("alpha is taken for the mask"), "{stderr}");
    case.fails(&["track", "frames", "--mask", "labels.png#3"], 4, &["no object 3", "1, 2"]);
    case.fails(
        &["track", "frames", "--mask", "labels.png", "labels.png"],
        2,
        &["two masks for object 1 on frame 0"],
    );
    case.fails(&["segment", "frames/00000.jpg", "--mask", "labels.png"], 4, &["the numbers 1, 2", "FILE#N"]);

    // DAVIS's palette, out and in again.
    let (_, stderr) =
        case.succeeds(&["track", "frames", "--mask", "labels.png", "-o", "out/labels_%02d.png", "-q"]);
    assert!(!stderr.contains("wrote"), "{stderr}");
    let path = case.path("out/labels_00.png");
    let (color, bits, pixels) = png(&path);
    assert_eq!((color, bits), (png::ColorType::Indexed, 8));
    let reader = png::Decoder::new(Cursor::new(fs::read(&path).unwrap())).read_info().unwrap();
    assert_eq!(reader.info().palette.as_ref().unwrap()[..9], [0, 0, 0, 128, 0, 0, 0, 128, 0]);
    let count = |number: u8| pixels.iter().filter(|&&pixel| pixel == number).count() as i64;
    let (again, stderr) = track("out/labels_00.png");
    assert!(stderr.is_empty(), "{stderr}");
    near(&again, &[(1, count(1)), (2, count(2))]);
    let mut palette = vec![0; 768];
    palette[3..9].copy_from_slice(&[128, 0, 0, 0, 128, 0]);
    let swapped: Vec<u8> = pixels.iter().map(|&pixel| [0, 2, 1][usize::from(pixel)]).collect();
    write_png(&case.path("swapped.png"), png::ColorType::Indexed, [96, 64], &palette, &swapped);
    near(&track("swapped.png").0, &[(1, count(2)), (2, count(1))]);
}

fn numbers_of_objects_and_background_differ(case: &Case) {
    let track = |points: [&str; 2], output: &str| {
        case.output(&["track", "frames", "--point", points[0], points[1], "-o", output])
    };
    let refused = |points: [&str; 2], output: &str, why: &str| {
        let output = track(points, output);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && stderr.contains(why), "{stderr}");
    };
    refused(["20,30#0", "78,16#300"], "out/%02d-mask.png", "0 is the background");
    refused(["20,30#1", "78,16#70000"], "out/%02d-mask.png", "object 70000");
    refused(["20,30#1", "78,16#65536"], "out/%02d-labels.png", "pixels have numbers up to 65535");
    assert!(!case.path("out").exists());
    assert!(track(["20,30#7", "78,16#65535"], "out/%02d-mask.png").status.success());
    let (color, bits, pixels) = png(&case.path("out/00-mask.png"));
    assert_eq!((color, bits), (png::ColorType::Grayscale, 16));
    let values: Vec<u16> = pixels.as_chunks().0.iter().map(|&pair| u16::from_be_bytes(pair)).collect();
    assert!(values.contains(&7) && values.iter().all(|value| [0, 7, 65535].contains(value)));
    // One object alone is white, whatever its number.
    assert!(track(["20,30#70000", "20,31#70000"], "one/%02d-mask.png").status.success());
    assert!(png(&case.path("one/00-mask.png")).2.contains(&255));
}

fn inputs_are_never_replaced(case: &Case) {
    let frames = ["frames/00000.png", "frames/00001.png", "frames/00002.png"];
    let bytes = || frames.map(|frame| fs::read(case.path(frame)).unwrap());
    let before = bytes();
    let refused = |args: &[&str], why: &str| {
        let stderr = case.fails(args, 2, &[why]);
        assert!(!stderr.contains("tracking"), "{stderr}");
        assert!(before == bytes(), "{args:?}");
    };
    let click = ["track", "frames", "--point", "20,30", "-o"];
    for output in
        ["frames/", "frames", "./frames/../frames/", "frames/mask_%05d.png", "frames/%d.png", "frames/a.gif"]
    {
        refused(&[&click[..], &[output]].concat(), "the frames of the video");
    }
    refused(&[&click[..], &["frames/00001.png"]].concat(), "would replace the input");
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink("frames", case.path("link")).unwrap();
        refused(&[&click[..], &["link/"]].concat(), "the frames of the video");
        fs::create_dir(case.path("links")).unwrap();
        symlink("../frames/00001.png", case.path("links/00001.png")).unwrap();
        fs::hard_link(case.path(frames[2]), case.path("links/00002.png")).unwrap();
        refused(&[&click[..], &["links/"]].concat(), "would replace the input");
        refused(
            &["segment", frames[2], "--point", "20,30", "-o", "links/00002.png"],
            "would replace the input",
        );
    }
    let segment = ["segment", frames[0], "--point", "20,30"];
    for args in [
        &["-o", frames[0]][..],
        &["-o", "frames/../frames/00000.png"],
        &["--save-embedding", frames[0]],
        &["--mask", frames[1], "-o", frames[1]],
        &["--mask", "frames/00001.png#1", "-o", frames[1]],
    ] {
        refused(&[&segment[..], args].concat(), "would replace the input");
    }
    refused(&["everything", frames[0], "-o", frames[0]], "would replace the input");
    fs::write(case.path("x.json"), "no mask").unwrap();
    refused(&[&click[..], &["x.json", "--mask", "x.json"]].concat(), "would replace the input x.json");

    // Other files may lie beside the frames, and our masks there are no frames.
    case.succeeds(&[&click[..], &["frames/masks.json", "-o", "masks/"]].concat());
    for name in ["00000.png", "00002.png"] {
        fs::copy(case.path("masks").join(name), case.path(&format!("frames/mask-{name}"))).unwrap();
    }
    let (stdout, stderr) = case.succeeds(&["track", "frames", "--point", "20,30", "--json"]);
    assert_eq!(lines(&stdout).len(), 3);
    assert!(stderr.contains("2 of the pictures are masks that vitrum wrote"), "{stderr}");
    case.fails(&["track", "masks", "--point", "20,30"], 4, &["masks that vitrum wrote, and no frames"]);
}

/// Begins `track` over many frames, sends `signal` after some lines, and returns the exit code, the lines and what was
/// said.
#[cfg(unix)]
fn interrupted(case: &Case, signal: &str, args: &[&str]) -> (Option<i32>, Vec<Value>, String) {
    let mut command =
        case.command(&[&["track", "long", "--point", "20,30", "--json", "--threads", "1"], args].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    for _ in 0..4 {
        stdout.read_line(&mut text).unwrap();
    }
    let killed = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    while stdout.read_line(&mut text).unwrap() > 0 {}
    let output = child.wait_with_output().unwrap();
    (output.status.code(), lines(&text), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[cfg(unix)]
fn what_was_tracked_until_a_signal_is_kept(case: &Case) {
    let frames = Path::new(CASES).join("sam/11-output-overwrites-frames/frames");
    fs::create_dir(case.path("long")).unwrap();
    for i in 0..200 {
        fs::copy(frames.join(format!("0000{}.png", i % 3)), case.path(&format!("long/{i}.png"))).unwrap();
    }
    let json = |name: &str| -> Value { serde_json::from_slice(&fs::read(case.path(name)).unwrap()).unwrap() };
    let files = ["masks.json", "a.gif", "a-coco.json", "out/"];
    let outputs = files.map(|file| ["-o", file]).concat();
    let (code, printed, stderr) = interrupted(case, "-INT", &outputs);
    assert_eq!(code, Some(130), "{stderr}");
    assert!(stderr.contains("stopped by Ctrl-C: what was found on"), "{stderr}");
    let count = printed.len();
    assert!((4..200).contains(&count), "{count}");
    assert_eq!(json("masks.json"), Value::Array(printed));
    let mut gif = gif::DecodeOptions::new().read_info(File::open(case.path("a.gif")).unwrap()).unwrap();
    let mut shown = 0;
    while gif.read_next_frame().unwrap().is_some() {
        shown += 1;
    }
    assert_eq!(shown, count);
    assert_eq!(fs::read(case.path("a.gif")).unwrap().last(), Some(&b';'));
    let coco = json("a-coco.json");
    assert_eq!(coco["images"].as_array().unwrap().len(), count);
    assert_eq!(coco["images"][2]["file_name"], "2.png");
    assert_eq!(fs::read_dir(case.path("out")).unwrap().count(), count);
    assert!(leftovers(&case.path(".")).is_empty());

    let (code, printed, stderr) = interrupted(case, "-TERM", &["-o", "masks.json"]);
    assert_eq!((code, json("masks.json")), (Some(143), Value::Array(printed)), "{stderr}");
    // All frames are tracked before the first is shown: nothing of a run that is killed twice remains.
    let (code, printed, stderr) = interrupted(case, "-KILL", &["-o", "other.json"]);
    assert!(code.is_none() && printed.len() < 200 && !case.path("other.json").exists(), "{stderr}");

    // A frame that cannot be read ends the run, with all before it.
    fs::write(case.path("long/5.png"), "").unwrap();
    let args = ["track", "long", "--point", "20,30", "-o", "cut.json", "-o", "cut.gif"];
    case.fails(
        &args,
        4,
        &["5.png: the file is empty", "wrote cut.json: 5 records", "wrote cut.gif: animation of 5 frames"],
    );
    assert_eq!(json("cut.json").as_array().unwrap().len(), 5);
    // One that fails at once leaves what was there.
    fs::write(case.path("long/0.png"), "").unwrap();
    case.fails(&args, 4, &["0.png: the file is empty"]);
    assert_eq!(json("cut.json").as_array().unwrap().len(), 5);
}

#[cfg(not(unix))]
fn what_was_tracked_until_a_signal_is_kept(_: &Case) {}

fn an_earlier_file_survives(case: &Case) {
    let frames = Path::new(CASES).join("sam/11-output-overwrites-frames/frames");
    fs::copy(frames.join("00000.png"), case.path("in.png")).unwrap();
    let existing = case.path("existing.png");
    fs::write(&existing, "an earlier file").unwrap();
    let segment = ["segment", "in.png", "--point", "20,30", "-o", "existing.png"];
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        for tail in ["segment in.png --point 20,30 -o existing.png", "everything in.png -o existing.png"] {
            let script = format!("ulimit -f 0; exec \"$VITRUM\" {tail}");
            let mut shell = Command::new("sh");
            shell
                .args(["-c", &script])
                .current_dir(case.path("."))
                .env("VITRUM", env!("CARGO_BIN_EXE_vitrum"));
            let output = shell.output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(5), "{stderr}");
            assert!(stderr.contains("cannot write existing.png"), "{stderr}");
            assert_eq!(fs::read(&existing).unwrap(), b"an earlier file");
        }
        assert!(leftovers(&case.path(".")).is_empty());
        // A full disk.
        if Path::new("/dev/full").exists() {
            case.fails(
                &["segment", "in.png", "--point", "20,30", "-o", "/dev/full", "--kind", "mask"],
                5,
                &["/dev/full"],
            );
        }
        fs::set_permissions(&existing, fs::Permissions::from_mode(0o640)).unwrap();
        case.succeeds(&segment);
        assert_eq!(fs::metadata(&existing).unwrap().permissions().mode() & 0o777, 0o640);
    }
    case.succeeds(&segment);
    assert!(fs::read(&existing).unwrap().starts_with(b"\x89PNG"));
    case.fails(
        &["segment", "in.png", "--point", "20,30", "-o", "in.png"],
        2,
        &["would replace the input in.png"],
    );
    case.fails(
        &["segment", "in.png", "--point", "20,30", "-o", "existing.png", "--point", "1e9,3"],
        2,
        &["point"],
    );
    assert!(fs::read(&existing).unwrap().starts_with(b"\x89PNG"));
    // Siblings: what lists the pictures of a batch.
    fs::write(case.path("list.txt"), "in.png\n").unwrap();
    let embed = ["embed", "--image", "@list.txt", "-o", "x.npy", "--names"];
    case.fails(
        &[&embed[..], &["list.txt"]].concat(),
        2,
        &["--names list.txt would replace the input list.txt"],
    );
    case.fails(&[&embed[..], &["./x.npy"]].concat(), 2, &["would replace the output x.npy"]);
    assert_eq!(fs::read(case.path("list.txt")).unwrap(), b"in.png\n");
}

fn names_and_kinds_choose_what_is_written(case: &Case) {
    let track = |args: &[&str]| case.succeeds(&[&["track", "frames", "--point", "20,30"], args].concat());
    let gray = |name: &str| {
        let (color, bits, pixels) = png(&case.path(name));
        assert_eq!((color, bits), (png::ColorType::Grayscale, 8), "{name}");
        assert!(pixels.contains(&255) && pixels.iter().all(|pixel| [0, 255].contains(pixel)), "{name}");
    };
    let (_, stderr) = track(&["-o", "out/mask_%05d.png"]);
    gray("out/mask_00001.png");
    assert!(stderr.starts_with("tracked 2 frames: "), "{stderr}");
    assert!(
        stderr.ends_with(" a second\nwrote out/mask_%05d.png: 2 files: mask, 8-bit grey, 0 and 255\n"),
        "{stderr}"
    );
    track(&["-o", "masks/", "-o", "a/%d.png", "--kind", "mask", "--kind", "overlay"]);
    gray("masks/00000.png");
    assert_eq!(png(&case.path("a/0.png")).0, png::ColorType::Rgb);
    // Kinds whatever the name, and annotations of each frame.
    track(&["-o", "b/", "-o", "c/", "-o", "d/", "--kind", "cutout,yolo,labelme"]);
    let (color, _, cutout) = png(&case.path("b/00000.png"));
    assert_eq!(color, png::ColorType::Rgba);
    assert!(cutout.as_chunks::<4>().0.iter().all(|pixel| pixel[3] == 255 || *pixel == [0; 4]));
    assert!(fs::read_to_string(case.path("c/00001.txt")).unwrap().starts_with("0 0."));
    let labelme: Value = serde_json::from_slice(&fs::read(case.path("d/00001.json")).unwrap()).unwrap();
    assert_eq!(labelme["imagePath"], "../frames/00001.png");

    let frame = "frames/00000.png";
    for name in ["masks.png", "cat_mask_0.png", "Mask01.png"] {
        let (_, stderr) = case.succeeds(&["segment", frame, "--point", "20,30", "-o", name]);
        assert_eq!(stderr, format!("wrote {name}: mask, 8-bit grey, 0 and 255\n"));
        gray(name);
    }
    let (_, stderr) = case.succeeds(&["segment", frame, "--point", "20,30", "-o", "cat.png"]);
    assert_eq!(stderr, "wrote cat.png: picture with 1 mask drawn on it\n");
    // A cut-out picture is a mask again.
    case.succeeds(&[
        "segment",
        frame,
        "--point",
        "20,30",
        "-o",
        "cutout.png",
        "-o",
        "m.png",
        "--kind",
        "cutout,mask",
    ]);
    let of_cutout = case.succeeds(&["segment", frame, "--mask", "cutout.png", "--json"]).0;
    assert_eq!(of_cutout, case.succeeds(&["segment", frame, "--mask", "m.png", "--json"]).0);
    // To standard output, where then nothing else is.
    let output = case.output(&["segment", frame, "--point", "20,30", "-o", "-", "--kind", "mask", "--json"]);
    assert!(output.status.success());
    assert_eq!(output.stdout, fs::read(case.path("m.png")).unwrap());
    let (stdout, _) = track(&["-o", "-", "--kind", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap().as_array().unwrap().len(), 2);
}

fn an_embedding_knows_its_picture(case: &Case) {
    let of = |picture: &'static str| ["segment", picture, "--point", "20,30", "--json"];
    let (first, stderr) = case.succeeds(&[&of("a.png")[..], &["--save-embedding", "e.bin"]].concat());
    assert_eq!(stderr, "wrote e.bin: embedding\n");
    let with = |name: &'static str| ["--embedding", name];
    assert_eq!(case.quiet(&[&of("a.png")[..], &with("e.bin")].concat()), first);
    case.fails(
        &[&of("b.png")[..], &with("e.bin")].concat(),
        4,
        &["e.bin: the embedding of another picture than b.png"],
    );
    // What an earlier version saved does not say it: used, with a word about it.
    let file = fs::read(case.path("e.bin")).unwrap();
    let mut earlier = [&file[..40], &file[48..file.len() - 8]].concat();
    earlier[8] -= 2;
    let mut checksum = Fnv64::default();
    checksum.write(&earlier);
    earlier.extend(checksum.finish().to_le_bytes());
    fs::write(case.path("earlier.bin"), earlier).unwrap();
    let (stdout, stderr) = case.succeeds(&[&of("a.png")[..], &with("earlier.bin")].concat());
    assert_eq!(stdout, first);
    assert!(stderr.contains("earlier.bin: of which picture this embedding is is not known"), "{stderr}");
}

fn values_of_several_masks_are_told(case: &Case) {
    let help: String = case.quiet(&["segment", "--help"]).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("of several masks their numbers 1, 2 … on 0, which looks black"), "{help}");
    let boxes = ["segment", "picture.png", "--box", "10,10,40,40", "--box", "60,5,90,30"];
    let (_, stderr) = case.succeeds(&[&boxes[..], &["-o", "two-mask.png", "-o", "two-labels.png"]].concat());
    assert_eq!(
        stderr,
        "wrote two-mask.png: mask, 8-bit grey, 1 to 2 on 0: looks black\n\
         wrote two-labels.png: labels, palette, 1 to 2 on 0\n"
    );
    let (color, _, values) = png(&case.path("two-mask.png"));
    assert!(
        color == png::ColorType::Grayscale && values.iter().all(|value| *value <= 2) && values.contains(&2)
    );
    let (color, _, indices) = png(&case.path("two-labels.png"));
    assert_eq!((color, indices), (png::ColorType::Indexed, values));
    // As a prompt, one of them is chosen.
    case.succeeds(&["segment", "picture.png", "--mask", "two-labels.png#2"]);
    case.fails(&["segment", "picture.png", "--mask", "two-mask.png"], 4, &["the numbers 1, 2"]);
}
