//! The bill of materials: every crate that is linked in, in CycloneDX's form (version 1.5).

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::dist;

/// Of the library and the command as they are built for `target`.
pub(super) fn of(root: &Path, metadata: &Value, target: &str) -> Result<String, String> {
    let lock = fs::read_to_string(root.join("Cargo.lock")).map_err(|error| format!("Cargo.lock: {error}"))?;
    let checksums = checksums(&lock);
    let linked = dist::linked(metadata, &["vitrum", "vitrum-cli"])?;
    let components: Vec<Value> = linked
        .iter()
        .map(|package| {
            let [name, version] = ["name", "version"].map(|key| package[key].as_str().unwrap_or_default());
            let purl = format!("pkg:cargo/{name}@{version}");
            let mut component = json!({
                "type": "library",
                "bom-ref": purl,
                "name": name,
                "version": version,
                "purl": purl,
                "licenses": [{ "expression": expression(package["license"].as_str().unwrap_or_default()) }],
            });
            if let Some(checksum) = checksums.get(&(name, version)) {
                component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
            }
            component
        })
        .collect();
    let bom = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": format!("pkg:cargo/vitrum@{}", super::VERSION),
                "name": "vitrum",
                "version": super::VERSION,
                "description": format!("CLIP, SAM and SAM 2 on CPUs; libraries and command for {target}"),
                "licenses": [{ "expression": "MIT OR Apache-2.0" }],
            },
        },
        "components": components,
    });
    serde_json::to_string_pretty(&bom).map(|text| text + "\n").map_err(|error| error.to_string())
}

/// A licence as SPDX writes it; some crates still separate alternatives by a slash.
fn expression(licence: &str) -> String {
    licence.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ")
}

/// The checksums of a `Cargo.lock`, by name and version.
fn checksums(lock: &str) -> HashMap<(&str, &str), &str> {
    let field = |section: &'_ str, name: &str| -> Option<(usize, usize)> {
        let start = section.find(&format!("\n{name} = \""))? + name.len() + 5;
        Some((start, start + section[start..].find('"')?))
    };
    let sections = lock.split("[[package]]").filter_map(|section| {
        let of = |name: &str| field(section, name).map(|(start, end)| &section[start..end]);
        Some(((of("name")?, of("version")?), of("checksum")?))
    });
    sections.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_found() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0\"\nsource = \"s\"\nchecksum = \"12ab\"\n\n\
                    [[package]]\nname = \"own\"\nversion = \"0.1\"\n";
        assert_eq!(checksums(lock), HashMap::from([(("a", "1.0"), "12ab")]));
    }

    #[test]
    fn licences_are_expressions() {
        assert_eq!(expression("MIT/Apache-2.0"), "MIT OR Apache-2.0");
        assert_eq!(expression("MIT OR Apache-2.0"), "MIT OR Apache-2.0");
    }
}
