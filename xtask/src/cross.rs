//! Compiles the library where it cannot be run here: without an operating system, on phones, in browsers.

use std::path::Path;
use std::time::Instant;

use crate::toolchain::Toolchain;

/// One compilation of the library.
struct Build {
    target: &'static str,
    /// What is compiled of the standard library.
    crates: &'static str,
    features: &'static str,
}

impl Build {
    const fn bare(target: &'static str) -> Self {
        Self { target, crates: "core,alloc", features: "" }
    }

    const fn hosted(target: &'static str) -> Self {
        Self { target, crates: "std,panic_abort", features: "std,parallel,heap" }
    }

    const fn with(self, features: &'static str) -> Self {
        Self { features, ..self }
    }
}

const BUILDS: [Build; 4] = [
    Build::bare("thumbv7em-none-eabihf").with("capi"),
    Build::bare("x86_64-unknown-none").with("capi"),
    Build::bare("wasm32-unknown-unknown"),
    Build::hosted("aarch64-linux-android"),
];

/// Compiles the library for every target whose name contains `filter`.
pub(crate) fn build(root: &Path, filter: &str) -> Result<(), String> {
    let toolchain = Toolchain::with_sources()?;
    let mut failed = Vec::new();
    for build in BUILDS.iter().filter(|build| build.target.contains(filter)) {
        let start = Instant::now();
        let status = toolchain
            .cargo(root, "rustc", build.crates, build.target)
            .args(["--quiet", "-p", "vitrum", "--no-default-features", "--features", build.features])
            // A C library must be complete: without `std` it brings its own panic handler and allocator.
            .args([
                "--crate-type",
                if build.features.contains("capi") || build.features.contains("heap") {
                    "staticlib"
                } else {
                    "lib"
                },
            ])
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
