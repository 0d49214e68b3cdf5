//! A toolchain that can compile the standard library for any target.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A compiler with the sources of `core`, `alloc` and `std` beside it, and its cargo.
pub(crate) struct Toolchain {
    cargo: PathBuf,
    rustc: PathBuf,
}

impl Toolchain {
    /// The toolchain in use if it has the component `rust-src`, else the operating system's (Debian's packages
    /// `rustc-web`, `cargo-web` and `rust-web-src` install it to `/usr/bin`).
    pub(crate) fn with_sources() -> Result<Self, String> {
        let candidates = [Self { cargo: "cargo".into(), rustc: "rustc".into() }, Self::of_the_system()];
        candidates.into_iter().find(Self::has_sources).ok_or_else(|| {
            "no compiler with the sources of the standard library: \
             `rustup component add rust-src`, or Debian's rustc-web, cargo-web and rust-web-src"
                .into()
        })
    }

    fn of_the_system() -> Self {
        Self { cargo: "/usr/bin/cargo".into(), rustc: "/usr/bin/rustc".into() }
    }

    fn has_sources(&self) -> bool {
        let sysroot = Command::new(&self.rustc).args(["--print", "sysroot"]).output();
        sysroot.is_ok_and(|output| {
            let sysroot = String::from_utf8_lossy(&output.stdout);
            Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core").is_dir()
        })
    }

    /// `cargo SUBCOMMAND -Z build-std=CRATES` for `target`, with build products apart from the host's.
    pub(crate) fn cargo(&self, root: &Path, subcommand: &str, crates: &str, target: &str) -> Command {
        let mut cargo = Command::new(&self.cargo);
        cargo
            .current_dir(root)
            .arg(subcommand)
            .args(["-Z", &format!("build-std={crates}"), "--target", target])
            .args(["--target-dir", "target/cross"])
            .env("RUSTC", &self.rustc)
            // What is only compiled need not be fast.
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "0")
            // Stable compilers accept `-Z build-std` only so.
            .env("RUSTC_BOOTSTRAP", "1");
        cargo
    }
}
