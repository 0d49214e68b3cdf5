//! The C ABI from C: compiles programs against `include/vitrum.h` and the static library, and runs them.
//!
//! Needs the C compiler that Rust links with. What needs more (other compilers, C++, valgrind) is in `.ci/ffi`.
#![cfg(all(unix, feature = "std"))]

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock};

use vitrum::exec::{Cx, CxOptions, Monitor};
use vitrum::image::{ImageView, PixelFormat};
use vitrum::pipelines::clip::{ClassifyOptions, Clip, ClipOptions};
use vitrum::pipelines::sam::{Point, PredictOptions, Prediction, Prompt, Sam, SamOptions};
use vitrum::pipelines::tracker::{PromptOptions, Tracker, TrackerOptions};
use vitrum::weights::{Bundle, OpenOptions};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const CLIP: &str = "tests/golden/clip/quickgelu-p32";
const SAM: &str = "tests/golden/sam_predictor";
const SAM2: &str = "demo/sam2-nano";
const SMALL_SAM2: &str = "tests/golden/tracker/sam2.1";
const WIDTH: usize = 50;
const HEIGHT: usize = 30;

/// The library as C programs link it. Built here, because Cargo builds no static library for a test; with the
/// settings of the test profile, so that the dependencies are those that are built already.
static STATIC_LIBRARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let exe = env::current_exe().unwrap();
    let target = exe.ancestors().nth(3).unwrap();
    let status = Command::new(env!("CARGO"))
        .current_dir(ROOT)
        .args(["rustc", "--quiet", "-p", "vitrum", "--lib", "--features", "heap"])
        .args(["--crate-type", "staticlib", "--target-dir"])
        .arg(target)
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "2")
        .status()
        .unwrap();
    assert!(status.success());
    target.join("debug/libvitrum.a")
});

/// Compiles a program.
fn compile(source: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(Path::new(source).file_stem().unwrap());
    let status = Command::new(env::var_os("CC").unwrap_or("cc".into()))
        .current_dir(ROOT)
        .args(["-std=c99", "-D_POSIX_C_SOURCE=200809L", "-O1", "-Wall", "-Wextra", "-pedantic", "-Werror"])
        .args(["-Iinclude", source])
        // The programs that misuse the library pass NULL where the header says not to.
        .arg("-Wno-nonnull")
        .arg(&*STATIC_LIBRARY)
        .args(["-lpthread", "-ldl", "-lm", "-o"])
        .arg(&program)
        .status()
        .unwrap();
    assert!(status.success(), "{source} does not compile");
    program
}

/// Runs a program and returns what it prints.
///
/// The environment is not the library's: with so small a stack, a thread would end the process, and with so many threads, the
/// programs would find others than they asked for.
fn run(program: &Path, args: &[&str]) -> String {
    let environment = [("RUST_MIN_STACK", "16384"), ("RAYON_NUM_THREADS", "7")];
    let output = Command::new(program).current_dir(ROOT).args(args).envs(environment).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {}\n{stdout}{stderr}", program.display(), output.status);
    stdout.into_owned()
}

#[test]
fn misuse_is_reported() {
    assert_eq!(run(&compile("tests/c_abi/misuse.c"), &[CLIP]), "misuse: ok\n");
}

#[test]
fn all_ways_of_use_agree() {
    assert_eq!(run(&compile("tests/c_abi/use.c"), &[CLIP]), "use: ok\n");
}

#[test]
fn vectors_are_searched_and_misuse_is_reported() {
    assert_eq!(run(&compile("tests/c_abi/topk.c"), &[]), "topk: ok\n");
}

#[test]
fn misuse_of_sam_is_reported() {
    assert_eq!(run(&compile("tests/c_abi/sam_misuse.c"), &[SAM, CLIP]), "sam_misuse: ok\n");
}

#[test]
fn all_ways_of_using_sam_agree() {
    assert_eq!(run(&compile("tests/c_abi/sam_use.c"), &[SAM, CLIP]), "sam_use: ok\n");
}

#[test]
fn handles_are_told_apart_and_used_one_call_at_a_time() {
    assert_eq!(run(&compile("tests/c_abi/handles.c"), &[CLIP, SAM, SAM2]), "handles: ok\n");
}

#[test]
fn forked_processes_go_on_with_what_there_is() {
    assert_eq!(run(&compile("tests/c_abi/fork.c"), &[SAM]), "fork: ok\n");
}

#[test]
fn the_host_allocates_if_it_wants_to() {
    assert_eq!(run(&compile("tests/c_abi/allocator.c"), &[CLIP]), "allocator: ok\n");
}

/// Of each operation's allocations some; `.ci/ffi` tries more.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn calls_survive_that_there_is_no_memory() {
    let printed = run(&compile("tests/c_abi/out_of_memory.c"), &[CLIP, SAM, SMALL_SAM2, "40"]);
    assert!(printed.ends_with("out_of_memory: ok\n"), "{printed}");
}

#[test]
fn misuse_of_the_tracker_is_reported() {
    assert_eq!(run(&compile("tests/c_abi/tracker_misuse.c"), &[SAM2, SAM]), "tracker_misuse: ok\n");
}

#[test]
fn all_ways_of_using_the_tracker_agree() {
    assert_eq!(run(&compile("tests/c_abi/tracker_use.c"), &[SAM2]), "tracker_use: ok\n");
}

#[test]
fn hosts_with_other_floating_point_settings_get_the_same_results() {
    assert_eq!(run(&compile("tests/c_abi/float_env.c"), &[SAM2]), "float_env: ok\n");
}

/// With counts that show growth in seconds; by hand with 100 times as much (docs/robustness.md).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_process_that_goes_on_for_long_holds_no_more() {
    let program = compile("tests/c_abi/long.c");
    for args in [
        ["tracker", SAM2, "4000", "2", "64"],
        ["sam", SAM, "1000", "2", "0"],
        ["clip", CLIP, "10000", "2", "0"],
        ["contexts", CLIP, "400", "3", "0"],
    ] {
        assert_eq!(run(&program, &args), "long: ok\n", "{args:?}");
    }
}

/// A picture of `WIDTH` x `HEIGHT` pixels.
fn pixels() -> Vec<u8> {
    (0..WIDTH * HEIGHT * 3).map(|i| (i * 7 % 253) as u8).collect()
}

/// A picture in a file of its own, as the examples read it.
fn write_ppm(name: &str, pixels: &[u8]) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, [format!("P6\n{WIDTH} {HEIGHT}\n255\n").as_bytes(), pixels].concat()).unwrap();
    path.into_os_string().into_string().unwrap()
}

fn open(model: &str) -> Bundle<'static> {
    Bundle::open(&Path::new(ROOT).join(model), OpenOptions::new()).unwrap()
}

#[test]
fn the_example_of_clip_prints_what_rust_computes() {
    const LABELS: [&str; 3] = ["a red apple", "two dogs", "the sea"];
    let pixels = pixels();
    let ppm = write_ppm("classify.ppm", &pixels);
    let clip =
        Clip::load(&Cx::new(&CxOptions::default()).unwrap(), &open(CLIP), &ClipOptions::default()).unwrap();
    let image = ImageView::packed(&pixels, WIDTH, HEIGHT, PixelFormat::Rgb8).unwrap();
    let probabilities = clip.classify(&image, &LABELS, &ClassifyOptions::default()).unwrap();
    let mut best_first: Vec<_> = LABELS.into_iter().zip(probabilities).collect();
    best_first.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let expected = best_first.iter().fold(String::new(), |mut lines, (label, probability)| {
        writeln!(lines, "{ppm}\t{probability:.4}\t{label}").unwrap();
        lines
    });

    let args = [&[CLIP, &ppm], &LABELS[..]].concat();
    assert_eq!(run(&compile("ffi-examples/c/classify.c"), &args), expected);
}

#[test]
fn the_example_of_sam_prints_and_writes_what_rust_computes() {
    let pixels = pixels();
    let ppm = write_ppm("segment.ppm", &pixels);
    let cx = Cx::new(&CxOptions::default()).unwrap();
    let sam = Sam::load(&cx, &open(SAM), &SamOptions::default()).unwrap();
    let image = ImageView::packed(&pixels, WIDTH, HEIGHT, PixelFormat::Rgb8).unwrap();
    let embedding = sam.encode(&image, &Monitor::none()).unwrap();
    let mut prediction = Prediction::default();
    let click = [Point::foreground(21.5, 14.0)];
    sam.predict(&embedding, &[Prompt::points(&click)], &PredictOptions::default(), &mut prediction).unwrap();
    let expected = (0..3).fold(String::new(), |mut lines, i| {
        let rle = prediction.rle(0, i, 0.0).unwrap();
        let stability = prediction.stability(0, i, 0.0, 1.0).unwrap();
        let (score, area, [x, y, w, h]) = (prediction.iou(0)[i], rle.area(), rle.bounding_box());
        writeln!(lines, "{i}\t{score:.4}\t{stability:.4}\t{area}\t{x},{y},{w},{h}").unwrap();
        lines
    });
    let mut mask = vec![0; WIDTH * HEIGHT];
    prediction.mask_into(0, prediction.best(0), 0.0, &mut mask).unwrap();
    mask.iter_mut().for_each(|pixel| *pixel *= 255);

    let pgm = format!("{ppm}.mask.pgm");
    let args = [SAM, &ppm, "21.5", "14", &pgm];
    assert_eq!(run(&compile("ffi-examples/c/segment.c"), &args), expected);
    let written = fs::read(pgm).unwrap();
    assert_eq!(written, [format!("P5\n{WIDTH} {HEIGHT}\n255\n").as_bytes(), &mask].concat());
}

#[test]
fn the_example_of_the_tracker_prints_what_rust_computes() {
    const CLICK: [f32; 2] = [21.5, 14.0];
    let mut pixels = pixels();
    let cx = Cx::new(&CxOptions::default()).unwrap();
    let sam = Arc::new(Sam::load(&cx, &open(SAM2), &SamOptions::default()).unwrap());
    let mut tracker = Tracker::new(sam, [WIDTH, HEIGHT], &TrackerOptions::default()).unwrap();
    let (mut args, mut expected) =
        (vec![SAM2.into(), CLICK[0].to_string(), CLICK[1].to_string()], String::new());
    for i in 0..3 {
        args.push(write_ppm(&format!("track{i}.ppm"), &pixels));
        let image = ImageView::packed(&pixels, WIDTH, HEIGHT, PixelFormat::Rgb8).unwrap();
        let frame = tracker.push(&image, &Monitor::none()).unwrap();
        if frame == 0 {
            let click = [Point::foreground(CLICK[0], CLICK[1])];
            tracker
                .add_prompt(frame, 1, &Prompt::points(&click), &PromptOptions::default(), &Monitor::none())
                .unwrap();
        }
        tracker.step(&Monitor::none()).unwrap();
        let rle = tracker.rle(1, None, 0.0).unwrap();
        let (score, area, [x, y, w, h]) =
            (tracker.object_score(1, None).unwrap(), rle.area(), rle.bounding_box());
        writeln!(expected, "{frame}\t1\t{score:.4}\t{area}\t{x},{y},{w},{h}").unwrap();
        // The picture moves to the left.
        pixels.rotate_left(3);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    assert_eq!(run(&compile("ffi-examples/c/track.c"), &args), expected);
}
