//! Small files that claim to be large, and files without an end: refused, in little memory.

use std::fs;
use std::io::Write;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use super::{demo_file, octopus, scratch, scratch_file, vitrum};

/// The address space of a run in kB: memory that is taken is less. One thread, so that the space of other threads' stacks and
/// heaps does not count.
const SPACE: &str = "262144";

/// A run within [`SPACE`], which may not take minutes.
fn confined(args: &[&str]) -> Output {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -v \"$0\" && exec \"$@\"", SPACE, env!("CARGO_BIN_EXE_vitrum")]);
    command.args(args).args(["--threads", "1"]).env("HF_HUB_CACHE", "/nonexistent");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (mut child, started) = (command.spawn().unwrap(), Instant::now());
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > Duration::from_secs(120) {
            child.kill().unwrap();
            panic!("{args:?} does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

/// A run that must fail with `exit`, and say `culprit`.
#[track_caller]
fn refused(args: &[&str], exit: i32, culprit: &str) {
    let output = confined(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit), "{args:?}\n{stderr}");
    assert!(stderr.contains(culprit), "{args:?}: {culprit:?} is not in\n{stderr}");
}

/// A file of less than 100 kB.
fn small_file(name: &str, bytes: &[u8]) -> String {
    assert!(bytes.len() < 100_000, "{name} has {} bytes", bytes.len());
    scratch_file(name, bytes)
}

/// A PNG of zeros.
fn png((width, height): (u32, u32), color: png::ColorType, depth: png::BitDepth) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    encoder.set_compression(png::Compression::High);
    if color == png::ColorType::Indexed {
        encoder.set_palette(&[1, 2, 3, 4, 5, 6][..]);
        encoder.set_trns(&[128][..]);
    }
    let mut writer = encoder.write_header().unwrap();
    let row = (width as usize * color.samples() * depth as usize).div_ceil(8);
    let mut stream = writer.stream_writer().unwrap();
    (0..height).for_each(|_| stream.write_all(&vec![0; row]).unwrap());
    stream.finish().unwrap();
    drop(writer);
    file
}

/// A JPEG that says that it has 16384 × 16384 pixels, and has data for a few.
fn jpeg() -> Vec<u8> {
    let mut bytes = fs::read(demo_file("images/chelsea.jpg")).unwrap();
    let at = bytes.windows(2).position(|pair| matches!(pair, [0xff, 0xc0 | 0xc2])).unwrap();
    bytes[at + 5..at + 9].copy_from_slice(&[0x40, 0, 0x40, 0]);
    bytes
}

/// A GIF whose frames have one pixel each, on a canvas, and do `disposal` with it.
fn gif([width, height]: [u16; 2], [frame_width, frame_height]: [u16; 2], disposal: u8) -> Vec<u8> {
    let sides = |a: u16, b: u16| [a.to_le_bytes(), b.to_le_bytes()].concat();
    let mut bytes = [b"GIF89a", &sides(width, height)[..], &[0x80, 0, 0, 0, 0, 0, 255, 0, 0]].concat();
    for _ in 0..3 {
        bytes.extend([0x21, 0xf9, 4, disposal << 2, 5, 0, 0, 0, 0x2c, 0, 0, 0, 0]);
        bytes.extend(sides(frame_width, frame_height));
        bytes.extend([0, 2, 2, 0x44, 1, 0]);
    }
    bytes.push(b';');
    bytes
}

/// A BMP of runs.
fn bmp(width: i32, height: i32) -> Vec<u8> {
    let mut bytes = b"BM\0\0\0\0\0\0\0\0\x3a\x04\0\0\x28\0\0\0".to_vec();
    bytes.extend([width.to_le_bytes(), height.to_le_bytes()].concat());
    bytes.extend([1, 0, 8, 0, 1, 0, 0, 0]);
    bytes.resize(0x43a, 0);
    bytes.extend([255, 1, 0, 1]);
    bytes
}

/// A TIFF of grey whose one strip says that it has all rows, and is empty.
fn tiff(width: u32, height: u32) -> Vec<u8> {
    let tags = [
        (256, width),
        (257, height),
        (258, 8),
        (259, 32773),
        (262, 1),
        (273, 200),
        (277, 1),
        (278, height),
        (279, 2),
    ];
    let mut bytes = b"II*\0\x08\0\0\0".to_vec();
    bytes.extend((tags.len() as u16).to_le_bytes());
    for (tag, value) in tags {
        bytes.extend(
            [&(tag as u16).to_le_bytes()[..], &[4, 0, 1, 0, 0, 0], &u32::to_le_bytes(value)].concat(),
        );
    }
    bytes.resize(200, 0);
    bytes.extend([0x81, 0]);
    bytes
}

/// A WebP that says that it has 16383 × 16383 pixels: lossless, or animated.
fn webp(animated: bool) -> Vec<u8> {
    let chunk = |name: &[u8], data: &[u8]| {
        let padding = &[0][..data.len() % 2];
        [name, &(data.len() as u32).to_le_bytes(), data, padding].concat()
    };
    let lossless = chunk(b"VP8L", &[0x2f, 0xfe, 0xbf, 0xff, 0x0f, 0, 0, 0]);
    let chunks = if animated {
        let side = [0xfe, 0x3f, 0];
        let canvas = [&[2, 0, 0, 0][..], &side, &side].concat();
        let frame = [&[0; 6][..], &side, &side, &[1, 0, 0, 0], &lossless].concat();
        [chunk(b"VP8X", &canvas), chunk(b"ANIM", &[0; 6]), chunk(b"ANMF", &frame)].concat()
    } else {
        lossless
    };
    chunk(b"RIFF", &[b"WEBP", &chunks[..]].concat())
}

#[test]
fn pictures_that_claim_to_be_large() {
    use png::{BitDepth, ColorType};
    let deep = png((16000, 16000), ColorType::Grayscale, BitDepth::One);
    let palette = png((20000, 10000), ColorType::Indexed, BitDepth::One);
    let (gif_canvas, gif_frame) = (gif([32768, 8192], [1, 1], 1), gif([2, 2], [65535, 65535], 1));
    let (bmp, tiff, webp, jpeg) = (bmp(16384, 16384), tiff(16384, 16384), webp(false), jpeg());
    let large = "pixels is too large";
    for (name, bytes, culprit) in [
        ("bomb-1bit.png", &deep[..], "a decompression bomb"),
        ("bomb-palette.png", &palette, "a decompression bomb"),
        ("bomb.jpg", &jpeg, "a decompression bomb"),
        ("bomb-canvas.gif", &gif_canvas, "a decompression bomb"),
        ("bomb-frame.gif", &gif_frame, large),
        ("bomb.ppm", b"P6 16384 16384 255\n123", "a decompression bomb"),
        ("bomb.pbm", b"P4 32768 8192\n123", "a decompression bomb"),
        ("bomb-text.pgm", b"P2 16384 16384 65535\n1 2 3", "a decompression bomb"),
        ("bomb.bmp", &bmp, "a decompression bomb"),
        ("bomb.tiff", &tiff, "a decompression bomb"),
        ("bomb.webp", &webp, "a decompression bomb"),
    ] {
        let file = small_file(name, bytes);
        refused(&["classify", &file, "--labels", "cat,dog"], 4, culprit);
        refused(&["segment", &file, "--point", "5,5"], 4, culprit);
        refused(&["segment", &octopus(), "--mask", &file], 4, culprit);
    }
    // A directory, and standard input.
    let folder = scratch("bombs");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("1.png"), &deep).unwrap();
    refused(&["track", folder.to_str().unwrap(), "--point", "5,5"], 4, "a decompression bomb");
    let mut child = vitrum(&["classify", "-", "--labels", "cat,dog"]);
    let mut child = child.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(&palette);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn videos_that_claim_to_be_large() {
    let jpegs = [jpeg(), jpeg()].concat();
    let (animated, restored) = (webp(true), gif([6000, 6000], [6000, 6000], 3));
    let canvas = gif([32768, 8192], [1, 1], 1);
    for (name, bytes, culprit) in [
        (
            "bomb.y4m",
            &b"YUV4MPEG2 W32768 H8192 F25:1 C444p16\nFRAME\n12"[..],
            "the stream ends within the frame",
        ),
        ("bomb-line.y4m", &[&b"YUV4MPEG2 "[..], &[b'W'; 90_000]].concat(), "a line is longer than"),
        ("bomb.mjpeg", &jpegs, "a decompression bomb"),
        ("bomb-animated.webp", &animated, "a decompression bomb"),
        ("bomb-animated.gif", &canvas, "a decompression bomb"),
        ("bomb-restored.gif", &restored, "a decompression bomb"),
    ] {
        refused(&["track", &small_file(name, bytes), "--point", "5,5"], 4, culprit);
    }
}

/// The largest pictures that pass, with the outputs that take the most memory.
#[test]
fn what_passes_takes_little_memory() {
    use png::{BitDepth, ColorType};
    for (name, file) in [
        ("large-grey.png", png((3200, 3200), ColorType::Grayscale, BitDepth::Eight)),
        ("large-rgb.png", png((3000, 3000), ColorType::Rgb, BitDepth::Eight)),
    ] {
        let (file, overlay) = (small_file(name, &file), scratch("large-overlay.png"));
        let overlay = overlay.to_str().unwrap();
        for args in [
            &["classify", &file, "--labels", "cat,dog"][..],
            &["segment", &file, "--point", "100,100", "--output", overlay],
        ] {
            let output = confined(args);
            assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

/// A directory of the demo's CLIP with other files in the place of some, or without them.
fn model(name: &str, files: &[(&str, Option<&[u8]>)]) -> String {
    let (from, to) = (demo_file("clip-nano"), scratch(name));
    let _ = fs::remove_dir_all(&to);
    fs::create_dir_all(&to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    for (name, contents) in files {
        match contents {
            Some(contents) => fs::write(to.join(name), contents).unwrap(),
            None => fs::remove_file(to.join(name)).unwrap(),
        }
    }
    to.to_str().unwrap().to_owned()
}

/// A safetensors file of a header alone.
fn safetensors(header: &str) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()
}

/// An archive, as PyTorch writes, of one deflated member that inflates to `len` zeros, which it says or not.
fn torch(len: u32, says: u32) -> Vec<u8> {
    // What `compress` gives is a zlib stream: two bytes, deflate, four bytes.
    let zlib = miniz_oxide::deflate::compress_to_vec(&vec![0; len as usize], 9);
    let name = b"archive/data.pkl";
    let sizes = [(zlib.len() as u32).to_le_bytes(), says.to_le_bytes()].concat();
    let common =
        [&[20, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &sizes, &[name.len() as u8, 0, 0, 0]].concat();
    let local = [b"PK\x03\x04", &common[..], name, &zlib].concat();
    let central = [b"PK\x01\x02\x14\0", &common[..], &[0; 14], name].concat();
    let end = [
        b"PK\x05\x06\0\0\0\0\x01\0\x01\0",
        &(central.len() as u32).to_le_bytes()[..],
        &(local.len() as u32).to_le_bytes(),
        &[0, 0],
    ];
    [&local[..], &central, &end.concat()].concat()
}

#[test]
fn models_that_claim_to_be_large() {
    let picture = octopus();
    let classify = |model: &str, exit, culprit: &str| {
        refused(&["classify", &picture, "--labels", "cat,dog", "--model", model], exit, culprit);
    };
    for (name, bytes) in [
        ("header-length.safetensors", (1u64 << 40).to_le_bytes().to_vec()),
        ("header-16m.safetensors", [&(16u64 << 20).to_le_bytes()[..], b"{"].concat()),
        (
            "gigabytes.safetensors",
            safetensors(r#"{"x":{"dtype":"F32","shape":[1000000,4000],"data_offsets":[0,16000000000]}}"#),
        ),
        (
            "overflow.safetensors",
            safetensors(r#"{"x":{"dtype":"F32","shape":[4294967295,4294967295],"data_offsets":[0,8]}}"#),
        ),
        ("deep.safetensors", safetensors(&"[".repeat(90_000))),
        ("bomb.pt", torch(64 << 20, 64 << 20)),
        ("bomb-that-lies.pt", torch(64 << 20, 100)),
    ] {
        classify(&small_file(name, &bytes), 3, name);
    }
    for (name, file, contents) in [
        ("deep-config", "config.json", "{\"a\":".repeat(15_000)),
        ("wide-config", "config.json", format!("[{}0]", "0,".repeat(49_000))),
        ("deep-tokenizer", "tokenizer.json", "[".repeat(90_000)),
        ("deep-index", "model.safetensors.index.json", "[".repeat(90_000)),
    ] {
        let without: &[(&str, Option<&[u8]>)] =
            if file.ends_with("index.json") { &[("model.safetensors", None)] } else { &[] };
        let files = [without, &[(file, Some(contents.as_bytes()))]].concat();
        classify(&model(name, &files), 3, file);
    }
    for megabytes in [15, 64] {
        let lines = miniz_oxide::deflate::compress_to_vec(&vec![b'\n'; megabytes << 20], 9);
        let file = [&b"\x1f\x8b\x08\0\0\0\0\0\0\x03"[..], &lines, &[0; 8]].concat();
        assert!(file.len() < 100_000);
        let others =
            ["tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json"].map(|name| (name, None));
        let files = [&others[..], &[("bpe_simple_vocab_16e6.txt.gz", Some(&file[..]))]].concat();
        classify(&model("gzip-bomb", &files), 3, "gzip");
    }
}

#[test]
fn other_files_that_claim_to_be_large() {
    let picture = octopus();
    let array = |shape: &str| {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
        [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &[0; 64]].concat()
    };
    for (i, shape) in
        ["(2, 1000000000)", "(2, 99999999999999999999)", "(4294967296, 4294967296)"].iter().enumerate()
    {
        let file = small_file(&format!("bomb-{i}.npy"), &array(shape));
        refused(&["classify", &picture, "--labels", "cat,dog", "--label-embeddings", &file], 4, "NumPy");
        refused(&["segment", &picture, "--mask", &file], 4, "NumPy");
    }
    let mut embedding = b"vitrumSE\x03\0\0\0\0\x04\0\0".to_vec();
    embedding.extend([0; 8]);
    embedding.extend([[0, 0x80, 0, 0]; 4].concat());
    embedding.extend([0; 8]);
    embedding.extend((1u64 << 40).to_le_bytes());
    let file = small_file("bomb.embedding", &embedding);
    refused(&["segment", &picture, "--point", "5,5", "--embedding", &file], 4, "saved embedding");
    let labels = small_file("bomb-labels.json", &b"[".repeat(90_000));
    refused(&["classify", &picture, "--labels-file", &labels], 4, "bomb-labels.json");
}

/// Devices without an end, which look like files.
#[test]
fn files_without_an_end() {
    const ZERO: &str = "/dev/zero";
    let picture = octopus();
    let picture = &picture[..];
    let classify = ["classify", picture, "--labels", "cat,dog"];
    let segment = ["segment", picture, "--point", "5,5"];
    let link = scratch("endless");
    let _ = fs::remove_dir_all(&link);
    fs::create_dir_all(&link).unwrap();
    let link = |name: &str| {
        std::os::unix::fs::symlink(ZERO, link.join(name)).unwrap();
        link.join(name).to_str().unwrap().to_owned()
    };
    let (png, safetensors) = (link("zero.png"), link("zero.safetensors"));
    for (args, exit) in [
        (&["classify", ZERO, "--labels", "cat,dog"][..], 4),
        (&["classify", &png, "--labels", "cat,dog"], 4),
        (&["classify", "@/dev/zero", "--labels", "cat,dog"], 4),
        (&["classify", picture, "--labels-file", ZERO], 4),
        (&[&classify[..], &["--label-embeddings", ZERO]].concat(), 4),
        (&[&classify[..], &["--model", ZERO]].concat(), 3),
        (&[&classify[..], &["--model", &safetensors]].concat(), 3),
        (&[&segment[..], &["--embedding", ZERO]].concat(), 4),
        (&["segment", picture, "--mask", ZERO], 4),
        (&["track", ZERO, "--point", "5,5"], 4),
        (&["everything", ZERO], 4),
        (&["info", ZERO], 3),
    ] {
        refused(args, exit, "");
    }
    let directory = model("endless-config", &[("config.json", None)]);
    std::os::unix::fs::symlink(ZERO, format!("{directory}/config.json")).unwrap();
    refused(&[&classify[..], &["--model", &directory]].concat(), 3, "not a regular file");
}

/// A pipe that nobody writes to does not keep a model waiting.
#[test]
fn models_in_pipes_are_refused_at_once() {
    let pipe = scratch("pipe.safetensors");
    let _ = fs::remove_file(&pipe);
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (picture, pipe) = (octopus(), pipe.to_str().unwrap().to_owned());
    let classify = ["classify", &picture, "--labels", "cat,dog", "--model"];
    refused(&[&classify[..], &[&pipe]].concat(), 3, "not a regular file");
    for file in ["config.json", "tokenizer.json", "preprocessor_config.json", "model.safetensors"] {
        let directory = model("piped", &[(file, None)]);
        fs::hard_link(&pipe, format!("{directory}/{file}")).unwrap();
        refused(&[&classify[..], &[&directory]].concat(), 3, "not a regular file");
    }
}
