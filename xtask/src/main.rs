//! Developer commands: `cargo run -p xtask -- COMMAND`.

mod abi;
mod api;
mod cross;
mod csharp;
mod dist;
mod header;
mod models;
mod release;
mod soundness;
mod toolchain;
mod xcframework;

use std::path::Path;
use std::process::{Command, ExitCode};

const USAGE: &str = "\
usage: cargo run -p xtask -- COMMAND

commands:
  abi [--check]     write include/vitrum.abi from include/vitrum.h, or check that the C ABI is the listed one
  api [--check]     write api.txt from src, or check that the Rust API is the listed one
  cross [TARGET]    compile the library for targets without a standard library
  csharp [--check]  write bindings/csharp/Native.cs from include/vitrum.abi, or check that it is up to date
  dist [OPTIONS]    build and install libraries, headers, CMake and pkg-config files, licences, the command
      --prefix DIR      where to; dist/ by default
      --target TRIPLE   what for; this machine by default
      --build-std       with a standard library that is compiled, too, for targets that are not installed
      --debug           with cargo's profile dev
      --library-only    without the command
  header [--check]  write include/vitrum.h from src/ffi, or check that it is up to date
  help              print this
  models [--check]  write the tables of docs/models.md, or check that they are up to date
  models --measure CACHE [NAME...] measure models on this CPU first, with random weights that are made in CACHE by Python
                    ($PYTHON; benches/page/weights.py says what it needs): all that the list says, or these
  release [OPTIONS] pack what dist installs, with checksum, bill of materials and provenance, into target/release-files/;
                    dist's options but --prefix, and
      --snapshot        of a version that is still being made
  unsafe [--check]  write docs/unsafe.md, the list of all unsafe code with its proofs, or check that it is up to date
  wheel             build the Python package's wheel into bindings/python/dist/, for old C libraries, too
  xcframework [OPTIONS] build the Swift package with its XCFramework, and that as a zip file
      --prefix DIR      where to; target/swift/ by default
      --debug           with cargo's profile dev
      --slice NAME      only this one; ios-arm64, ios-arm64_x86_64-simulator and macos-arm64_x86_64 by default";

/// Runs a script of the repository.
fn run(root: &Path, script: &str) -> Result<(), String> {
    let status = Command::new(root.join(script)).status().map_err(|error| format!("{script}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{script}: {status}")) }
}

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace");
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args[..] {
        ["abi"] => abi::write(root),
        ["abi", "--check"] => abi::check(root),
        ["api"] => api::write(root),
        ["api", "--check"] => api::check(root),
        ["cross"] => cross::build(root, ""),
        ["cross", target] => cross::build(root, target),
        ["csharp"] => csharp::write(root),
        ["csharp", "--check"] => csharp::check(root),
        ["dist", ref options @ ..] => dist::install(root, options),
        ["header"] => header::write(root),
        ["header", "--check"] => header::check(root),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        ["models"] => models::write(root),
        ["models", "--check"] => models::check(root),
        ["models", "--measure", cache, ref names @ ..] => models::measure(root, Path::new(cache), names),
        ["unsafe"] => soundness::write(root),
        ["unsafe", "--check"] => soundness::check(root),
        ["wheel"] => run(root, "bindings/python/build_wheel"),
        ["release", ref options @ ..] => release::make(root, options),
        ["xcframework", ref options @ ..] => xcframework::build(root, options),
        _ => Err(USAGE.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
