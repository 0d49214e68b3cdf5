//! The rules of the source tree, checked on its text: which layer may import which, where `unsafe` and rayon
//! may appear, how long a file may be.

use std::fs;
use std::path::{Path, PathBuf};

/// The layers in the order of `src/lib.rs`; a layer imports only from itself and those before it.
const LAYERS: [&str; 11] =
    ["error", "setters", "image", "simd", "exec", "kernels", "weights", "nn", "models", "pipelines", "ffi"];
/// Layers in which `unsafe` is allowed.
const UNSAFE: [&str; 4] = ["simd", "exec", "kernels", "ffi"];
/// Layers whose `mod.rs` must forbid it to the compiler too.
const FORBIDS_UNSAFE: [&str; 4] = ["weights", "nn", "models", "pipelines"];
/// The only file that names rayon.
const POOL: &str = "exec/pool.rs";
/// Lines of a handwritten file at most.
const CEILING: usize = 600;
/// Directories of handwritten files.
const HANDWRITTEN: [&str; 14] = [
    "src",
    "cli",
    "xtask",
    "tests",
    "benches",
    "demo",
    "include",
    "examples",
    "ffi-examples",
    "bindings",
    "packaging",
    // Without the corpora beside them.
    "fuzz/src",
    "fuzz/fuzz_targets",
    ".ci",
];

/// `source` with the insides of comments, strings and character literals blanked; line breaks stay.
fn code(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let skipped = non_code(rest);
        let taken = if skipped == 0 { first.len_utf8() } else { skipped };
        if skipped == 0 {
            out.push(first);
        } else {
            out.extend(rest[..skipped].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        }
        rest = &rest[taken..];
    }
    out
}

/// Bytes of the comment or literal that `text` starts with, or 0.
fn non_code(text: &str) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return text.find("*/").map_or(text.len(), |end| end + 2);
    }
    if let Some(raw) = text.strip_prefix("r") {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let close = format!("\"{}", &raw[..hashes]);
            let body = 1 + hashes + 1;
            return text[body..].find(&close).map_or(text.len(), |end| body + end + close.len());
        }
    }
    let quote = text.as_bytes()[0];
    let is_char = quote == b'\'' && (text[1..].starts_with('\\') || text.chars().nth(2) == Some('\''));
    if quote != b'"' && !is_char {
        return 0;
    }
    let mut escaped = false;
    for (i, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            _ if byte == quote => return i + 1,
            _ => (),
        }
    }
    text.len()
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// Positions at which `code` has `word` as a whole identifier.
fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |&at| !code[..at].ends_with(is_part) && !code[at + word.len()..].starts_with(is_part))
}

/// The first names after a path to the crate root: `a` of `a::b`, or `a` and `b` of `{a::x, b::{y, z}}`.
fn heads(path: &str) -> Vec<&str> {
    let Some(group) = path.strip_prefix('{') else {
        return vec![identifier(path)];
    };
    let mut depth = 0;
    let mut heads = Vec::new();
    let mut expected = true;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expected = true,
            _ if expected && !c.is_whitespace() => {
                heads.push(identifier(&group[at..]));
                expected = false;
            }
            _ => (),
        }
    }
    heads
}

/// The top-level names that `code`, of the file `file` below `src/`, reaches through `crate::` or `super::`,
/// with their lines.
fn reached<'a>(file: &str, code: &'a str) -> Vec<(usize, &'a str)> {
    let is_root = file.ends_with("/mod.rs") || !file.contains('/');
    let depth = file.matches('/').count() + usize::from(!is_root);
    let from_crate = words(code, "crate").filter_map(|at| Some((at, code[at..].strip_prefix("crate::")?)));
    let from_super = words(code, "super").filter_map(|at| {
        // Only the first `super` of a chain, and only a chain that climbs out of the top-level module.
        let chain = &code[at..];
        let path = chain.trim_start_matches("super::");
        let climbs = (chain.len() - path.len()) / "super::".len();
        (!code[..at].ends_with("::") && climbs > 0 && climbs >= depth.max(1)).then_some((at, path))
    });
    from_crate
        .chain(from_super)
        .flat_map(|(at, path)| {
            let line = code[..at].matches('\n').count() + 1;
            heads(path).into_iter().map(move |head| (line, head))
        })
        .collect()
}

fn layer_of(file: &str) -> &str {
    identifier(file)
}

/// What `source`, the file `file` below `src/`, does against the rules.
fn violations(file: &str, source: &str) -> Vec<String> {
    let layer = layer_of(file);
    let code = code(source);
    let mut found = Vec::new();
    let Some(own) = LAYERS.iter().position(|&name| name == layer) else {
        return vec![format!("{file}: `{layer}` is not a layer")];
    };
    for (line, head) in reached(file, &code) {
        // `crate::Error` and the like are the error layer's names, re-exported at the root.
        let is_type = head.starts_with(char::is_uppercase);
        if !is_type && !LAYERS[..=own].contains(&head) {
            found.push(format!("{file}:{line}: `{layer}` must not import from `{head}`"));
        }
    }
    if !UNSAFE.contains(&layer) && words(&code, "unsafe").next().is_some() {
        found.push(format!("{file}: `unsafe` outside {UNSAFE:?}"));
    }
    if file != POOL && words(&code, "rayon").next().is_some() {
        found.push(format!("{file}: names rayon outside {POOL}"));
    }
    if FORBIDS_UNSAFE.iter().any(|name| file == format!("{name}/mod.rs"))
        && !code.contains("#![forbid(unsafe_code)]")
    {
        found.push(format!("{file}: lacks #![forbid(unsafe_code)]"));
    }
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below `dir`, without build products.
fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| !["target", "build", "node_modules"].iter().any(|product| path.ends_with(product)))
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

#[test]
fn layers_import_only_from_above() {
    let src = root().join("src");
    let mut found = Vec::new();
    for path in files(&src).iter().filter(|path| path.extension().is_some_and(|ext| ext == "rs")) {
        let file = path.strip_prefix(&src).unwrap().to_str().unwrap().replace('\\', "/");
        if file != "lib.rs" {
            found.extend(violations(&file, &fs::read_to_string(path).unwrap()));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn lib_rs_declares_the_layers_in_order() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let code = code(&lib);
    let declared: Vec<&str> = words(&code, "mod").map(|at| identifier(code[at + 3..].trim_start())).collect();
    let in_order: Vec<&str> = LAYERS.into_iter().filter(|layer| declared.contains(layer)).collect();
    assert_eq!(declared, in_order);
}

#[test]
fn files_are_short() {
    let extensions =
        ["rs", "py", "c", "cpp", "hpp", "h", "java", "js", "mjs", "ts", "css", "html", "sh", "swift", "kt"];
    let mut long = Vec::new();
    for path in HANDWRITTEN.iter().flat_map(|dir| files(&root().join(dir))) {
        if !path.extension().is_some_and(|ext| extensions.iter().any(|&known| ext == known)) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let is_generated = text.lines().take(5).any(|line| line.contains("@generated"));
        if !is_generated && text.lines().count() > CEILING {
            long.push(format!("{}: {} lines", path.display(), text.lines().count()));
        }
    }
    assert!(long.is_empty(), "over {CEILING} lines:\n{}", long.join("\n"));
}

#[test]
fn the_checker_sees_violations() {
    let cases = [
        (
            "nn/linear.rs",
            "use crate::models::clip::Clip;",
            "nn/linear.rs:1: `nn` must not import from `models`",
        ),
        ("nn/linear.rs", "\nfn f() { crate::ffi::g() }", "nn/linear.rs:2: `nn` must not import from `ffi`"),
        ("simd/mod.rs", "use crate::{error::{Error, err}, exec::Cx};", "`simd` must not import from `exec`"),
        ("nn/linear.rs", "use super::super::pipelines::x;", "`nn` must not import from `pipelines`"),
        ("nn/mod.rs", "#![forbid(unsafe_code)] use super::models::x;", "`nn` must not import from `models`"),
        ("image.rs", "use super::simd::Level;", "`image` must not import from `simd`"),
        ("exec/cx.rs", "use crate::helpers::x;", "`exec` must not import from `helpers`"),
        ("weights/archive.rs", "unsafe { f() }", "`unsafe` outside"),
        ("kernels/gemm.rs", "use rayon::prelude::*;", "names rayon"),
        ("models/mod.rs", "//! #![forbid(unsafe_code)]", "lacks #![forbid(unsafe_code)]"),
        ("helpers/mod.rs", "", "`helpers` is not a layer"),
    ];
    for (file, source, expected) in cases {
        let found = violations(file, source);
        assert!(found.len() == 1 && found[0].contains(expected), "{source:?} gave {found:?}");
    }
}

#[test]
fn the_checker_accepts_what_is_allowed() {
    let cases = [
        ("nn/linear.rs", "use crate::{kernels::gemm, Result, weights::{Scope, Dtype}};"),
        ("nn/linear.rs", "use super::attention; use crate::nn::norm; // crate::models"),
        ("nn/linear.rs", "/* unsafe crate::ffi */ const S: &str = \"unsafe { crate::ffi }\"; // rayon"),
        (
            "nn/linear.rs",
            "const S: &str = r#\"\"unsafe\" crate::ffi\"#; fn f<'a>(x: &'a str, y: char) {} // '\"'",
        ),
        ("nn/linear.rs", "let c = ['\"', '\\'', 'x']; // unsafe\nlet unsafe_code = 1;"),
        ("exec/pool.rs", "use rayon::ThreadPool;"),
        ("kernels/gemm/tile.rs", "use super::super::activation; unsafe { f() }"),
        ("kernels/gemm/mod.rs", "use super::activation;"),
        ("models/mod.rs", "#![forbid(unsafe_code)]"),
    ];
    for (file, source) in cases {
        assert_eq!(violations(file, source), Vec::<String>::new(), "{source:?}");
    }
}
