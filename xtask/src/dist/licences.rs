//! The licences of what is linked in: the tree of dependencies, with the texts that the crates carry.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::build;

/// How the files begin in which crates carry their licences and what these want repeated.
const TEXTS: [&str; 4] = ["LICENSE", "LICENCE", "COPYING", "NOTICE"];

/// A page with each crate that `roots` link for `target`, its licence, and the texts, each once.
pub(crate) fn of(root: &Path, roots: &[&str], target: &str) -> Result<String, String> {
    let metadata = build::metadata(root, target)?;
    let crates = linked(&metadata, roots)?;
    let mut page = format!(
        "# Third-party licences\n\nWhat {} {} for {target} is linked with, and under which licences.\n\n\
         | crate | version | licence |\n|---|---|---|\n",
        roots.join(" and "),
        super::VERSION,
    );
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in &crates {
        let [name, version] = ["name", "version"].map(|key| package[key].as_str().unwrap_or_default());
        let licence = package["license"].as_str().ok_or_else(|| format!("{name} declares no licence"))?;
        writeln!(page, "| {name} | {version} | {licence} |").expect("a string grows");
        for text in texts_of(package)? {
            texts.entry(text).or_default().push(format!("{name} {version}"));
        }
    }
    for (text, crates) in texts {
        write!(page, "\n## {}\n\n```text\n{}\n```\n", crates.join(", "), text.trim_end())
            .expect("a string grows");
    }
    Ok(page)
}

/// The packages of other people that `roots` need at run time, sorted.
pub(crate) fn linked<'a>(metadata: &'a Value, roots: &[&str]) -> Result<Vec<&'a Value>, String> {
    let list = |value: &'a Value| value.as_array().ok_or_else(|| "cargo metadata lacks a list".to_owned());
    let key = |value: &'a Value| value["id"].as_str().unwrap_or_default();
    let packages: HashMap<_, _> =
        list(&metadata["packages"])?.iter().map(|package| (key(package), package)).collect();
    let nodes: HashMap<_, _> =
        list(&metadata["resolve"]["nodes"])?.iter().map(|node| (key(node), node)).collect();
    let named = |id: &&str| {
        roots.iter().any(|&root| packages[*id]["name"] == root && packages[*id]["source"].is_null())
    };
    let mut waiting: Vec<&str> = nodes.keys().copied().filter(|id| named(id)).collect();
    let mut seen: HashSet<&str> = waiting.iter().copied().collect();
    while let Some(id) = waiting.pop() {
        for dependency in list(&nodes[id]["deps"])? {
            // `null` is a normal dependency; "dev" and "build" are not linked.
            let linked = list(&dependency["dep_kinds"])?.iter().any(|kind| kind["kind"].is_null());
            let id = dependency["pkg"].as_str().unwrap_or_default();
            if linked && seen.insert(id) {
                waiting.push(id);
            }
        }
    }
    let foreign = seen.into_iter().map(|id| packages[id]).filter(|package| !package["source"].is_null());
    let mut found: Vec<&Value> = foreign.collect();
    found.sort_by_key(|package| (package["name"].as_str(), package["version"].as_str()));
    Ok(found)
}

fn texts_of(package: &Value) -> Result<Vec<String>, String> {
    let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
    let directory = manifest.parent().unwrap_or(manifest);
    let entries = fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut files: Vec<_> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        TEXTS.iter().any(|text| name.starts_with(text))
    });
    files.sort();
    files.iter().map(|file| super::read(file)).collect()
}
