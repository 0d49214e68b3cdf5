//! Compiles the library where there is no operating system. (With one, packages are built: `bindings/jvm/aar` for Android,
//! `xcframework` for Apple's, `.ci/platforms` for others.)

use std::path::Path;
use std::time::Instant;

use crate::toolchain::Toolchain;

/// One compilation of the library.
struct Build {
    target: &'static str,
    features: &'static str,
}

const BUILDS: [Build; 3] = [
    Build { target: "thumbv7em-none-eabihf", features: "capi" },
    Build { target: "x86_64-unknown-none", features: "capi" },
    Build { target: "wasm32-unknown-unknown", features: "" },
];

/// Compiles the library for every target whose name contains `filter`.
pub(crate) fn build(root: &Path, filter: &str) -> Result<(), String> {
    let toolchain = Toolchain::with_sources()?;
    let mut failed = Vec::new();
    for build in BUILDS.iter().filter(|build| build.target.contains(filter)) {
        let start = Instant::now();
        let status = toolchain
            .cargo(root, "rustc", "core,alloc", build.target)
            .args(["--quiet", "-p", "vitrum", "--no-default-features", "--features", build.features])
            // A C library must be complete: it brings its own panic handler and allocator.
            .args(["--crate-type", if build.features.contains("capi") { "staticlib" } else { "lib" }])
            .env("RUSTFLAGS", "-Dwarnings")
            .status()
            .map_err(|error| format!("cargo: {error}"))?;
        let what = format!("{} [{}]", build.target, build.features);
        println!(
            "{} {what} ({:.0} s)",
            if status.success() { "ok  " } else { "FAIL" },
            start.elapsed().as_secs_f64()
        );
        if !status.success() {
            failed.push(what);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("does not compile for {}", failed.join(", "))) }
}
