//! The package as it is installed: libraries, headers, what CMake and pkg-config read, licences, the command.

mod build;
mod licences;
mod options;
mod platform;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) use self::build::{host, metadata, output};
pub(crate) use self::licences::linked;
pub(crate) use self::options::Options;

use self::build::Library;
use self::platform::Platform;

const CONFIG: &str = include_str!("../../../packaging/cmake/vitrumConfig.cmake.in");
const CONFIG_VERSION: &str = include_str!("../../../packaging/cmake/vitrumConfigVersion.cmake.in");
const TARGETS: &str = include_str!("../../../packaging/cmake/vitrumTargets.cmake.in");
const SHARED_PC: &str = include_str!("../../../packaging/pkgconfig/vitrum.pc.in");
const STATIC_PC: &str = include_str!("../../../packaging/pkgconfig/vitrum-static.pc.in");

const VERSION: &str = env!("CARGO_PKG_VERSION");
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/vitrum"),
    ("fish", "share/fish/vendor_completions.d/vitrum.fish"),
    ("zsh", "share/zsh/site-functions/_vitrum"),
];

/// Builds everything and installs it below the prefix, which may be moved afterwards.
pub(crate) fn install(root: &Path, args: &[&str]) -> Result<(), String> {
    let options = Options::parse(args)?;
    let host = build::host()?;
    let target = options.target.as_deref().unwrap_or(&host);
    let platform = Platform::of(target, abi_version(root)?)?;
    let library = build::library(root, &options, &platform)?;
    let package =
        Package { prefix: std::path::absolute(&options.prefix).map_err(|error| error.to_string())? };

    package.copy_libraries(&library, &platform)?;
    package.copy_headers(root)?;
    package.describe(&library, &platform, build::pointer_bytes(root, target)?)?;
    for file in ["LICENSE-APACHE", "LICENSE-MIT", "NOTICE", "CHANGELOG.md"] {
        package.copy(&root.join(file), &format!("share/doc/vitrum/{file}"))?;
    }
    let mut crates = vec!["vitrum"];
    if !options.library_only {
        crates.push("vitrum-cli");
        let command = build::command(root, &options)?;
        package.copy(&command, &format!("bin/{}", platform.program("vitrum")))?;
        // A program for another system does not run here.
        let runs = if target == host { command } else { build::command(root, &Options::default())? };
        package.write_manuals(&runs)?;
    }
    let licences = licences::of(root, &crates, target)?;
    package.write(&licences, "share/doc/vitrum/THIRD-PARTY.md")?;
    println!("vitrum {VERSION} for {target} is installed in {}", package.prefix.display());
    Ok(())
}

/// The licences of what the library is linked with for `target`.
pub(crate) fn licences(root: &Path, target: &str) -> Result<String, String> {
    licences::of(root, &["vitrum"], target)
}

/// The version of the binary interface, which is that of the shared library's name.
fn abi_version(root: &Path) -> Result<u32, String> {
    let header = read(&root.join("include/vitrum.h"))?;
    let define = header.lines().find_map(|line| line.strip_prefix("#define VITRUM_ABI_VERSION "));
    define.and_then(|value| value.parse().ok()).ok_or_else(|| "vitrum.h has no VITRUM_ABI_VERSION".into())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The directory that is filled.
struct Package {
    prefix: PathBuf,
}

impl Package {
    fn copy_libraries(&self, library: &Library, platform: &Platform) -> Result<(), String> {
        self.copy(&library.static_library, &format!("lib/{}", platform.static_file()))?;
        self.copy(&library.shared_library, &platform.shared_path(VERSION))?;
        if let Some(file) = &library.import_library {
            self.copy(file, &format!("lib/{}", platform.import_file()))?;
        }
        for (link, to) in platform.links(VERSION) {
            self.link(&format!("lib/{link}"), &to)?;
        }
        Ok(())
    }

    fn copy_headers(&self, root: &Path) -> Result<(), String> {
        let files = |directory: &str| -> Result<Vec<PathBuf>, String> {
            let entries =
                fs::read_dir(root.join(directory)).map_err(|error| format!("{directory}: {error}"))?;
            Ok(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect())
        };
        for file in files("include")?.into_iter().chain(files("include/vitrum")?) {
            // The list of symbols is for the checks of this repository.
            if file.extension().is_none_or(|extension| extension != "abi") {
                let name = file.strip_prefix(root).expect("it was found there");
                self.copy(&file, &name.to_string_lossy().replace('\\', "/"))?;
            }
        }
        Ok(())
    }

    /// What CMake and pkg-config read.
    fn describe(&self, library: &Library, platform: &Platform, pointer_bytes: u32) -> Result<(), String> {
        let native: Vec<&str> = library.native_flags.split_whitespace().collect();
        let mut parts = VERSION.split('.');
        let mut part = || parts.next().unwrap_or("0").to_owned();
        let values = [
            ("VERSION", VERSION.to_owned()),
            ("VERSION_MAJOR", part()),
            ("VERSION_MINOR", part()),
            ("POINTER_BYTES", pointer_bytes.to_string()),
            ("POINTER_BITS", (8 * pointer_bytes).to_string()),
            ("SHARED_PATH", platform.shared_path(VERSION)),
            ("SHARED_PROPERTY", platform.shared_property()),
            ("STATIC_FILE", platform.static_file().to_owned()),
            ("NATIVE_FLAGS", native.join(" ")),
            ("NATIVE_LIST", native.join(";")),
        ];
        for (template, to) in [
            (CONFIG, "lib/cmake/vitrum/vitrumConfig.cmake"),
            (CONFIG_VERSION, "lib/cmake/vitrum/vitrumConfigVersion.cmake"),
            (TARGETS, "lib/cmake/vitrum/vitrumTargets.cmake"),
            (SHARED_PC, "lib/pkgconfig/vitrum.pc"),
            (STATIC_PC, "lib/pkgconfig/vitrum-static.pc"),
        ] {
            let filled = values
                .iter()
                .fold(template.to_owned(), |text, (name, value)| text.replace(&format!("@{name}@"), value));
            self.write(&filled, to)?;
        }
        Ok(())
    }

    /// Manual pages and completions, which the program itself prints.
    fn write_manuals(&self, program: &Path) -> Result<(), String> {
        let pages = self.prefix.join("share/man/man1");
        build::output(Command::new(program).args(["man", "--output"]).arg(&pages))?;
        for (shell, to) in COMPLETIONS {
            let script = build::output(Command::new(program).args(["completions", shell]))?;
            self.write(&script, to)?;
        }
        Ok(())
    }

    /// Copies a file; one that is the same already keeps its time, so that nothing is linked anew.
    fn copy(&self, from: &Path, to: &str) -> Result<(), String> {
        let bytes = fs::read(from).map_err(|error| format!("{}: {error}", from.display()))?;
        let path = self.fill(to, &bytes)?;
        let permissions = fs::metadata(from).map_err(|error| error.to_string())?.permissions();
        fs::set_permissions(&path, permissions).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn write(&self, text: &str, to: &str) -> Result<(), String> {
        self.fill(to, text.as_bytes()).map(drop)
    }

    fn fill(&self, to: &str, bytes: &[u8]) -> Result<PathBuf, String> {
        let path = self.prefix.join(to);
        if fs::read(&path).is_ok_and(|present| present == bytes) {
            return Ok(path);
        }
        let directory = path.parent().expect("a file below the prefix");
        fs::create_dir_all(directory)
            .and_then(|()| fs::write(&path, bytes))
            .map_err(|error| format!("{}: {error}", path.display()))?;
        println!("{:>10} bytes  {to}", bytes.len());
        Ok(path)
    }

    #[cfg(unix)]
    fn link(&self, link: &str, to: &str) -> Result<(), String> {
        let path = self.prefix.join(link);
        if fs::read_link(&path).is_ok_and(|present| present == Path::new(to)) {
            return Ok(());
        }
        let _ = fs::remove_file(&path);
        std::os::unix::fs::symlink(to, &path).map_err(|error| format!("{}: {error}", path.display()))
    }

    #[cfg(not(unix))]
    fn link(&self, link: &str, to: &str) -> Result<(), String> {
        let directory = Path::new(link).parent().expect("a file below the prefix");
        let target = self.prefix.join(directory).join(to);
        self.copy(&target, link)
    }
}
