//! The C ABI from C: compiles programs against `include/vitrum.h` and the static library, and runs them.
//!
//! Needs the C compiler that Rust links with. What needs more (other compilers, C++, valgrind) is in `.ci/ffi`.
#![cfg(all(unix, feature = "std"))]

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use vitrum::exec::{Cx, CxOptions};
use vitrum::image::{ImageView, PixelFormat};
use vitrum::pipelines::clip::Clip;
use vitrum::weights::{Bundle, OpenOptions};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const MODEL: &str = "tests/golden/clip/quickgelu-p32";

/// The library as C programs link it. Built here, because Cargo builds no static library for a test; with the
/// settings of the test profile, so that the dependencies are those that are built already.
static STATIC_LIBRARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let exe = env::current_exe().unwrap();
    let target = exe.ancestors().nth(3).unwrap();
    let status = Command::new(env!("CARGO"))
        .current_dir(ROOT)
        .args(["rustc", "--quiet", "-p", "vitrum", "--lib", "--features", "capi"])
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
fn run(program: &Path, args: &[&str]) -> String {
    let output = Command::new(program).current_dir(ROOT).args(args).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {}\n{stdout}{stderr}", program.display(), output.status);
    stdout.into_owned()
}

#[test]
fn misuse_is_reported() {
    assert_eq!(run(&compile("tests/c_abi/misuse.c"), &[MODEL]), "misuse: ok\n");
}

#[test]
fn all_ways_of_use_agree() {
    assert_eq!(run(&compile("tests/c_abi/use.c"), &[MODEL]), "use: ok\n");
}

#[test]
fn the_example_prints_what_rust_computes() {
    const LABELS: [&str; 3] = ["a red apple", "two dogs", "the sea"];
    let (width, height) = (50, 30);
    let pixels: Vec<u8> = (0..width * height * 3).map(|i| (i * 7 % 253) as u8).collect();
    let ppm = Path::new(env!("CARGO_TARGET_TMPDIR")).join("example.ppm");
    fs::write(&ppm, [format!("P6\n{width} {height}\n255\n").as_bytes(), &pixels].concat()).unwrap();
    let ppm = ppm.to_str().unwrap();

    let bundle = Bundle::open(&Path::new(ROOT).join(MODEL), OpenOptions::new()).unwrap();
    let clip = Clip::load(&Cx::new(&CxOptions::default()).unwrap(), &bundle).unwrap();
    let image = ImageView::packed(&pixels, width, height, PixelFormat::Rgb8).unwrap();
    let probabilities = clip.classify(image, &LABELS, None).unwrap();
    let mut best_first: Vec<_> = LABELS.into_iter().zip(probabilities).collect();
    best_first.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let expected = best_first.iter().fold(String::new(), |mut lines, (label, probability)| {
        writeln!(lines, "{ppm}\t{probability:.4}\t{label}").unwrap();
        lines
    });

    let args = [&[MODEL, ppm], &LABELS[..]].concat();
    assert_eq!(run(&compile("ffi-examples/c/classify.c"), &args), expected);
}
