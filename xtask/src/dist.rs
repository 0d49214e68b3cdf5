//! The C library as it is handed out: `dist/lib`, `dist/include`.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Builds the static and the shared library with the C ABI and collects them in `dist/` with the headers.
pub(crate) fn collect(root: &Path) -> Result<(), String> {
    let built = Command::new("cargo")
        .current_dir(root)
        .args(["rustc", "--quiet", "--release", "-p", "vitrum", "--lib", "--features", "capi"])
        .args(["--crate-type", "staticlib,cdylib", "--target-dir", "target"])
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if !built.success() {
        return Err("the library does not compile".into());
    }
    let static_library = if cfg!(target_env = "msvc") { "vitrum.lib" } else { "libvitrum.a" };
    let shared_library = format!("{DLL_PREFIX}vitrum{DLL_SUFFIX}");
    for (from, to, file) in [
        ("target/release", "lib", static_library),
        ("target/release", "lib", &shared_library),
        ("include", "include", "vitrum.h"),
        ("include", "include", "vitrum.hpp"),
        ("include/vitrum", "include/vitrum", "base.hpp"),
        ("include/vitrum", "include/vitrum", "clip.hpp"),
        ("include/vitrum", "include/vitrum", "sam.hpp"),
        ("include", "include", "module.modulemap"),
        ("", "", "LICENSE-MIT"),
        ("", "", "LICENSE-APACHE"),
    ] {
        let to = Path::new("dist").join(to);
        let bytes = fs::create_dir_all(root.join(&to))
            .and_then(|()| fs::copy(root.join(from).join(file), root.join(&to).join(file)))
            .map_err(|error| format!("{file}: {error}"))?;
        println!("{bytes:>10} bytes  {}", to.join(file).display());
    }
    Ok(())
}
