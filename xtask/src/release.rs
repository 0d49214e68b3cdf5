//! What a release hands out: an archive, its checksum, the bill of materials, and what it was built from and with.

mod sbom;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::dist;

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Asks for the files of a version that is still being made.
const SNAPSHOT: &str = "--snapshot";

/// Builds `target/release-files/vitrum-VERSION-TARGET.tar.gz` from what [`dist::install`] makes of `args`, with the files
/// beside it. The tree must be committed, and the changelog must know the version, but for a `--snapshot`.
pub(crate) fn make(root: &Path, args: &[&str]) -> Result<(), String> {
    let is_snapshot = args.contains(&SNAPSHOT);
    let args: Vec<&str> = args.iter().copied().filter(|&arg| arg != SNAPSHOT).collect();
    let options = dist::Options::parse(&args)?;
    let host = dist::host()?;
    let target = options.target.clone().unwrap_or(host);
    if !is_snapshot {
        changelog_knows_the_version(root)?;
        check_committed(root)?;
    }
    let commit = git(root, &["rev-parse", "HEAD"])?;

    let name = format!("vitrum-{VERSION}-{target}");
    let directory = root.join("target/release-files");
    let prefix = directory.join(&name);
    let _ = fs::remove_dir_all(&prefix);
    let prefix_text = prefix.to_string_lossy().into_owned();
    dist::install(root, &[&args[..], &["--prefix", &prefix_text]].concat())?;

    let bom = sbom::of(root, &dist::metadata(root, &target)?, &target)?;
    let bom_file = write(&prefix.join("share/doc/vitrum/sbom.cdx.json"), &bom)?;
    copy(&bom_file, &directory.join(format!("{name}.cdx.json")))?;
    let archive = directory.join(format!("{name}.tar.gz"));
    // The commit's time for all files: the same commit gives the same archive.
    pack(&directory, &name, &archive, &git(root, &["show", "-s", "--format=%ct", &commit])?)?;
    let checksum = sha256(&archive)?;
    write(&directory.join(format!("{name}.tar.gz.sha256")), &format!("{checksum}  {name}.tar.gz\n"))?;
    let provenance = json!({
        "archive": format!("{name}.tar.gz"),
        "sha256": checksum,
        "commit": commit,
        "snapshot": is_snapshot,
        "command": format!("cargo run -p xtask -- release {}", args.join(" ")).trim_end(),
        "target": target,
        "rustc": dist::output(Command::new("rustc").arg("-vV"))?.lines().collect::<Vec<_>>(),
        "cargo_lock_sha256": sha256(&root.join("Cargo.lock"))?,
    });
    let provenance = serde_json::to_string_pretty(&provenance).map_err(|error| error.to_string())?;
    write(&directory.join(format!("{name}.provenance.json")), &(provenance + "\n"))?;
    println!("{checksum}  {}", archive.display());
    Ok(())
}

/// Fails unless `CHANGELOG.md` has a heading for this version.
fn changelog_knows_the_version(root: &Path) -> Result<(), String> {
    let changelog =
        fs::read_to_string(root.join("CHANGELOG.md")).map_err(|error| format!("CHANGELOG.md: {error}"))?;
    let heading = |line: &str| {
        let words = line.strip_prefix("## ")?.split_whitespace().next()?;
        Some(words.trim_matches(['[', ']']) == VERSION)
    };
    if changelog.lines().filter_map(heading).any(|is_this| is_this) {
        return Ok(());
    }
    Err(format!("CHANGELOG.md has no section \"## {VERSION}\""))
}

/// Fails if something was changed since the last commit.
fn check_committed(root: &Path) -> Result<(), String> {
    let changes = git(root, &["status", "--porcelain"])?;
    if changes.is_empty() { Ok(()) } else { Err(format!("not committed:\n{changes}")) }
}

fn git(root: &Path, args: &[&str]) -> Result<String, String> {
    let out = dist::output(Command::new("git").current_dir(root).args(args))?;
    Ok(out.trim().to_owned())
}

fn pack(directory: &Path, name: &str, archive: &Path, time: &str) -> Result<(), String> {
    let tar = archive.with_extension("");
    dist::output(
        Command::new("tar")
            .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", &format!("--mtime=@{time}")])
            .arg("-cf")
            .arg(&tar)
            .arg("-C")
            .arg(directory)
            .arg(name),
    )?;
    // Without its own name and time, which would differ.
    dist::output(Command::new("gzip").args(["-9", "--no-name", "--force"]).arg(&tar)).map(drop)
}

fn sha256(file: &Path) -> Result<String, String> {
    let sum = dist::output(Command::new("sha256sum").arg(file))?;
    Ok(sum.split_whitespace().next().unwrap_or_default().to_owned())
}

fn write(path: &Path, text: &str) -> Result<PathBuf, String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path.into())
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to).map(drop).map_err(|error| format!("{}: {error}", to.display()))
}
