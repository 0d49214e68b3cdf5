//! What cargo builds for the package.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::VERSION;
use super::options::Options;
use super::platform::Platform;
use crate::toolchain::Toolchain;

/// The libraries with the C ABI.
pub(crate) struct Library {
    pub(crate) static_library: PathBuf,
    pub(crate) shared_library: PathBuf,
    /// What Windows' linkers want in the place of the shared library.
    pub(crate) import_library: Option<PathBuf>,
    /// What a program that links the static library must link, too.
    pub(crate) native_flags: String,
}

/// What makes a release smaller by a fifth: whole-program optimisation in one piece, and functions that are inlined only where they
/// are short. Kernels are inlined because they say so, and as fast.
const SMALL: [&str; 6] = ["-C", "lto=fat", "-C", "codegen-units=1", "-C", "llvm-args=-inline-threshold=20"];

/// Static and shared library, with the flags of one and the name of the other.
pub(crate) fn library(root: &Path, options: &Options, platform: &Platform) -> Result<Library, String> {
    let mut command = cargo(root, "rustc", options)?;
    command.args(["-p", "vitrum", "--lib", "--features", "heap", "--crate-type", "staticlib,cdylib", "--"]);
    command.args(["--print", "native-static-libs"]);
    if !options.debug {
        command.args(SMALL);
    }
    for arg in platform.link_args(VERSION) {
        command.args(["-C", &format!("link-arg={arg}")]);
    }
    let (files, messages) = artifacts(command, "vitrum")?;
    let ending = |endings: &[&str]| {
        let found = files.iter().find(|file| endings.iter().any(|ending| file.ends_with(ending)));
        found.map(PathBuf::from)
    };
    let missing = |what| format!("cargo built no {what}");
    let import_library = ending(&[".dll.a", ".dll.lib"]);
    let static_library = files.iter().map(PathBuf::from).find(|file| {
        file.extension().is_some_and(|e| e == "a" || e == "lib") && Some(file) != import_library.as_ref()
    });
    let native_flags = messages.lines().find_map(|line| line.split_once("native-static-libs: "));
    Ok(Library {
        static_library: static_library.ok_or_else(|| missing("static library"))?,
        shared_library: ending(&[".so", ".dylib", ".dll"]).ok_or_else(|| missing("shared library"))?,
        import_library,
        native_flags: native_flags.ok_or_else(|| missing("list of native libraries"))?.1.trim().to_owned(),
    })
}

/// The command `vitrum`.
pub(crate) fn command(root: &Path, options: &Options) -> Result<PathBuf, String> {
    let mut command = cargo(root, "build", options)?;
    command.args(["-p", "vitrum-cli"]);
    let (files, _) = artifacts(command, "vitrum")?;
    let program = files.iter().map(PathBuf::from).find(|file| file.extension().is_none_or(|e| e == "exe"));
    program.ok_or_else(|| "cargo built no program".into())
}

/// The triple of this machine's compiler.
pub(crate) fn host() -> Result<String, String> {
    let about = output(Command::new(rustc()).arg("-vV"))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc -vV names no host".into())
}

/// Bytes of a pointer on `target`.
pub(crate) fn pointer_bytes(root: &Path, target: &str) -> Result<u32, String> {
    let cfg = output(Command::new(rustc()).current_dir(root).args(["--print", "cfg", "--target", target]))?;
    let bits = cfg
        .lines()
        .find_map(|line| line.strip_prefix("target_pointer_width=")?.trim_matches('"').parse().ok());
    bits.map(|bits: u32| bits / 8).ok_or_else(|| format!("rustc does not know the pointers of {target}"))
}

/// What a command prints; its messages are shown.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let out = command.stderr(Stdio::inherit()).output().map_err(|error| format!("{name}: {error}"))?;
    if !out.status.success() {
        return Err(format!("{name}: {}", out.status));
    }
    String::from_utf8(out.stdout).map_err(|_| format!("{name} printed no text"))
}

/// `cargo metadata` with the dependencies for `target`.
pub(crate) fn metadata(root: &Path, target: &str) -> Result<Value, String> {
    let text = output(Command::new(cargo_program()).current_dir(root).args([
        "metadata",
        "--format-version=1",
        "--locked",
        "--filter-platform",
        target,
    ]))?;
    serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))
}

fn cargo(root: &Path, subcommand: &str, options: &Options) -> Result<Command, String> {
    let mut command = match &options.target {
        Some(target) if options.build_std => {
            Toolchain::with_sources()?.cargo(root, subcommand, "std,panic_unwind", target)
        }
        target => {
            let mut command = Command::new(cargo_program());
            command.current_dir(root).arg(subcommand);
            if let Some(target) = target {
                command.args(["--target", target]);
            }
            command
        }
    };
    command.args(["--locked", "--message-format=json-render-diagnostics"]);
    if !options.debug {
        command.arg("--release");
    }
    Ok(command)
}

fn cargo_program() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())
}

fn rustc() -> String {
    std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into())
}

/// Runs cargo: the files of the workspace's target `name`, and its messages, which are shown, too.
fn artifacts(mut command: Command, name: &str) -> Result<(Vec<String>, String), String> {
    let out = command.output().map_err(|error| format!("cargo: {error}"))?;
    let messages = String::from_utf8_lossy(&out.stderr).into_owned();
    eprint!("{messages}");
    if !out.status.success() {
        return Err("it does not compile".into());
    }
    let mut files = Vec::new();
    for line in String::from_utf8_lossy(&out.stdout).lines() {
        let message: Value =
            serde_json::from_str(line).map_err(|error| format!("cargo's messages: {error}"))?;
        if message["reason"] == "compiler-artifact" && message["target"]["name"] == name {
            let of_target = message["filenames"].as_array().into_iter().flatten();
            files.extend(of_target.filter_map(Value::as_str).map(str::to_owned));
        }
    }
    Ok((files, messages))
}
