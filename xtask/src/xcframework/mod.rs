//! The Swift package for Apple's systems: static libraries in an XCFramework, with the sources of `bindings/swift`.

mod macho;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use self::macho::{Built, Cpu};
use crate::dist;
use crate::toolchain::Toolchain;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const ARM64: Cpu = (0x0100_000c, 0);
const X86_64: Cpu = (0x0100_0007, 3);
/// The oldest systems, as `Package.swift` names them: those of Swift's concurrency, and of Macs with ARM.
const OLDEST_IOS: (u16, u8) = (13, 0);
const OLDEST_MACOS: (u16, u8) = (11, 0);

/// A library of the framework: of one kind of system.
struct Slice {
    identifier: &'static str,
    platform: &'static str,
    variant: Option<&'static str>,
    /// Its number in Mach-O.
    number: u32,
    targets: &'static [Target],
}

/// A library for one kind of CPU.
struct Target {
    triple: &'static str,
    architecture: &'static str,
    cpu: Cpu,
    /// Of the system.
    oldest: (u16, u8),
}

const fn target(triple: &'static str, architecture: &'static str, cpu: Cpu, oldest: (u16, u8)) -> Target {
    Target { triple, architecture, cpu, oldest }
}

const SLICES: [Slice; 3] = [
    Slice {
        identifier: "ios-arm64",
        platform: "ios",
        variant: None,
        number: 2,
        targets: &[target("aarch64-apple-ios", "arm64", ARM64, OLDEST_IOS)],
    },
    Slice {
        identifier: "ios-arm64_x86_64-simulator",
        platform: "ios",
        variant: Some("simulator"),
        number: 7,
        targets: &[
            // The first simulator on Macs with ARM.
            target("aarch64-apple-ios-sim", "arm64", ARM64, (14, 0)),
            target("x86_64-apple-ios", "x86_64", X86_64, OLDEST_IOS),
        ],
    },
    Slice {
        identifier: "macos-arm64_x86_64",
        platform: "macos",
        variant: None,
        number: 1,
        targets: &[
            target("aarch64-apple-darwin", "arm64", ARM64, OLDEST_MACOS),
            target("x86_64-apple-darwin", "x86_64", X86_64, OLDEST_MACOS),
        ],
    },
];

const MODULE_MAP: &str = "module Vitrum {\n    header \"vitrum.h\"\n    export *\n}\n";

/// Builds `PREFIX/VitrumSwift`, the package, and the framework as `PREFIX/Vitrum.xcframework.zip`.
pub(crate) fn build(root: &Path, args: &[&str]) -> Result<(), String> {
    let (mut prefix, mut debug, mut named) = (root.join("target/swift"), false, Vec::new());
    let mut rest = args.iter();
    while let Some(&arg) = rest.next() {
        match arg {
            "--debug" => debug = true,
            "--prefix" => prefix = rest.next().ok_or("--prefix wants a value")?.into(),
            "--slice" => named.push(*rest.next().ok_or("--slice wants a value")?),
            _ => return Err(format!("xcframework has no option {arg}; see `cargo run -p xtask -- help`")),
        }
    }
    if let Some(name) = named.iter().find(|&&name| SLICES.iter().all(|slice| slice.identifier != name)) {
        return Err(format!(
            "no slice {name}: there are {}",
            SLICES.map(|slice| slice.identifier).join(", ")
        ));
    }
    let slices: Vec<&Slice> =
        SLICES.iter().filter(|slice| named.is_empty() || named.contains(&slice.identifier)).collect();
    let package = std::path::absolute(prefix).map_err(|error| error.to_string())?.join("VitrumSwift");
    let _ = fs::remove_dir_all(&package);
    let framework = package.join("Vitrum.xcframework");
    let functions = functions(root)?;
    for &slice in &slices {
        let mut libraries = Vec::new();
        for target in slice.targets {
            let mut library = read(&compile(root, target.triple, debug)?)?;
            macho::rename(&mut library, own_name).map_err(|error| format!("{}: {error}", target.triple))?;
            println!("{:>10} bytes  {}", library.len(), target.triple);
            libraries.push((target.cpu, library));
        }
        let directory = framework.join(slice.identifier);
        let bytes = if libraries.len() == 1 { libraries.remove(0).1 } else { macho::join(&libraries)? };
        for (library, target) in macho::split(&bytes)?.into_iter().zip(slice.targets) {
            check(library, slice, target, &functions)
                .map_err(|error| format!("{}: {error}", target.triple))?;
        }
        write(&directory.join("libvitrum.a"), &bytes)?;
        // In a directory of the module's name: Xcode puts the headers of all frameworks into one.
        write(&directory.join("Headers/Vitrum/vitrum.h"), &read(&root.join("include/vitrum.h"))?)?;
        write(&directory.join("Headers/Vitrum/module.modulemap"), MODULE_MAP.as_bytes())?;
    }
    write(&framework.join("Info.plist"), property_list(&slices).as_bytes())?;
    copy_sources(root, &package)?;
    let archive = zip(root, &package)?;
    let checksum = dist::output(Command::new("sha256sum").arg(&archive))?;
    let checksum = checksum.split_whitespace().next().unwrap_or_default();
    println!("{:>10} bytes  {}", read(&archive)?.len(), archive.display());
    println!("VitrumSwift {VERSION} is in {}; to fetch the framework instead:", package.display());
    println!(
        ".binaryTarget(name: \"Vitrum\", url: \"https://…/Vitrum.xcframework.zip\", checksum: \"{checksum}\")"
    );
    Ok(())
}

/// The static library for a target, with a standard library of its own.
fn compile(root: &Path, target: &str, debug: bool) -> Result<PathBuf, String> {
    let oldest = |(major, minor): (u16, u8)| format!("{major}.{minor}");
    let mut cargo = Toolchain::with_sources()?.cargo(root, "rustc", "std,panic_unwind", target);
    cargo
        .args([
            "--quiet",
            "--locked",
            "-p",
            "vitrum",
            "--lib",
            "--features",
            "heap",
            "--crate-type",
            "staticlib",
        ])
        // Part of the names of all symbols, also those of the standard library: they are not those of another library in Rust
        // that the application contains, even if the same compiler made it.
        .env("RUSTFLAGS", "-Cmetadata=vitrum")
        // What is compiled for it has its bitcode in it, also what the linker's optimisation leaves out: `check` refuses that.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        // Nobody steps through what is only checked, and lines take more room than code.
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("IPHONEOS_DEPLOYMENT_TARGET", oldest(OLDEST_IOS))
        .env("MACOSX_DEPLOYMENT_TARGET", oldest(OLDEST_MACOS));
    if !debug {
        cargo.arg("--release");
    }
    dist::output(&mut cargo).map_err(|error| format!("{target}: {error}"))?;
    let profile = if debug { "debug" } else { "release" };
    Ok(root.join("target/cross").join(target).join(profile).join("libvitrum.a"))
}

/// Rust gives these symbols names that are the same in all libraries made by one compiler, and the first one in all libraries:
/// an application with two of them would have them twice. The names here are as long.
fn own_name(symbol: &str) -> Option<String> {
    if symbol == "_rust_eh_personality" {
        return Some("_vtrm_eh_personality".into());
    }
    symbol.contains("7___rustc").then(|| symbol.replace("7___rustc", "7___vtrmc"))
}

/// What must hold of the library for one kind of CPU.
fn check(library: &[u8], slice: &Slice, target: &Target, functions: &BTreeSet<String>) -> Result<(), String> {
    let contents = macho::read(library)?;
    let built = Built { cpu: target.cpu, platform: slice.number, oldest: target.oldest };
    if contents.built != BTreeSet::from([built]) {
        return Err(format!("built for {:?}, not {built:?} alone", contents.built));
    }
    let exported: BTreeSet<String> = contents
        .strong
        .iter()
        .filter_map(|name| name.strip_prefix('_'))
        .filter(|name| name.starts_with("vitrum_"))
        .map(str::to_owned)
        .collect();
    if exported != *functions {
        let differ: Vec<_> = exported.symmetric_difference(functions).collect();
        return Err(format!("header and library differ in {differ:?}"));
    }
    if let Some(left) = ["__LLVM", "__DWARF"].into_iter().find(|&segment| contents.segments.contains(segment))
    {
        return Err(format!("the compiler left {left} in it"));
    }
    Ok(())
}

/// The functions that the header declares.
fn functions(root: &Path) -> Result<BTreeSet<String>, String> {
    let list =
        String::from_utf8(read(&root.join("include/vitrum.abi"))?).map_err(|error| error.to_string())?;
    let functions: BTreeSet<String> = list
        .lines()
        .filter_map(|line| line.strip_prefix("function ")?.split_once(' ').map(|(name, _)| name.to_owned()))
        .collect();
    if functions.is_empty() { Err("include/vitrum.abi lists no functions".into()) } else { Ok(functions) }
}

fn property_list(slices: &[&Slice]) -> String {
    let mut libraries = String::new();
    for slice in slices {
        let variant = slice.variant.map_or(String::new(), |variant| {
            format!(
                "            <key>SupportedPlatformVariant</key>\n            <string>{variant}</string>\n"
            )
        });
        let architectures: String = slice
            .targets
            .iter()
            .map(|target| format!("                <string>{}</string>\n", target.architecture))
            .collect();
        libraries += &format!(
            "        <dict>\n            <key>BinaryPath</key>\n            <string>libvitrum.a</string>\n            \
             <key>HeadersPath</key>\n            <string>Headers</string>\n            \
             <key>LibraryIdentifier</key>\n            <string>{}</string>\n            \
             <key>LibraryPath</key>\n            <string>libvitrum.a</string>\n            \
             <key>SupportedArchitectures</key>\n            <array>\n{architectures}            </array>\n            \
             <key>SupportedPlatform</key>\n            <string>{}</string>\n{variant}        </dict>\n",
            slice.identifier, slice.platform,
        );
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n<dict>\n    <key>AvailableLibraries</key>\n    <array>\n{libraries}    </array>\n    \
         <key>CFBundlePackageType</key>\n    <string>XFWK</string>\n    \
         <key>XCFrameworkFormatVersion</key>\n    <string>1.0</string>\n</dict>\n</plist>\n"
    )
}

/// The wrapper, and what licences ask to be handed on.
fn copy_sources(root: &Path, package: &Path) -> Result<(), String> {
    let swift = root.join("bindings/swift");
    copy_all(&swift.join("Sources"), &package.join("Sources"))?;
    copy_all(&swift.join("Tests"), &package.join("Tests"))?;
    write(&package.join("Package.swift"), &read(&swift.join("Package.swift"))?)?;
    write(&package.join("README.md"), &read(&root.join("docs/start/swift.md"))?)?;
    // In the framework, too, which is handed on alone.
    let framework = package.join("Vitrum.xcframework");
    let licences = dist::licences(root, "aarch64-apple-ios")?;
    for directory in [package, &framework] {
        for file in ["LICENSE-APACHE", "LICENSE-MIT", "NOTICE"] {
            write(&directory.join(file), &read(&root.join(file))?)?;
        }
        write(&directory.join("THIRD-PARTY.md"), licences.as_bytes())?;
    }
    Ok(())
}

fn copy_all(from: &Path, to: &Path) -> Result<(), String> {
    let entries = fs::read_dir(from).map_err(|error| format!("{}: {error}", from.display()))?;
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let to = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() { copy_all(&path, &to)? } else { write(&to, &read(&path)?)? }
    }
    Ok(())
}

/// The framework as SwiftPM fetches it. The same contents give the same file.
fn zip(root: &Path, package: &Path) -> Result<PathBuf, String> {
    let archive = package.with_file_name("Vitrum.xcframework.zip");
    let _ = fs::remove_file(&archive);
    let time =
        dist::output(Command::new("git").current_dir(root).args(["show", "-s", "--format=%ct", "HEAD"]))?;
    let time = format!("@{}", time.trim());
    dist::output(
        Command::new("find")
            .arg(package.join("Vitrum.xcframework"))
            .args(["-exec", "touch", "-d", &time, "{}", "+"]),
    )?;
    let mut files =
        dist::output(Command::new("find").current_dir(package).args(["Vitrum.xcframework", "-type", "f"]))?
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>();
    files.sort();
    // Without owners, and with times that no time zone changes.
    let mut zip = Command::new("zip");
    zip.current_dir(package).env("TZ", "UTC").args(["-q", "-X"]).arg(&archive).args(&files);
    dist::output(&mut zip)?;
    Ok(archive)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let directory = path.parent().expect("a file is in a directory");
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(path, bytes))
        .map_err(|error| format!("{}: {error}", path.display()))
}
