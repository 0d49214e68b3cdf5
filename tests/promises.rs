//! `docs/robustness.md` and `SECURITY.md` name tests: they exist.
//!
//! What stands between backticks and has a slash is a path of the repository, with `*` for any part of a name; a name with
//! underscores behind it is a function of that file.

use std::fs;
use std::path::Path;

const PAGES: [&str; 2] = ["docs/robustness.md", "SECURITY.md"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether there is such a file, at the root or in `src`.
fn find(path: &str) -> Option<String> {
    for directory in ["", "src"] {
        let whole = root().join(directory).join(path);
        if let Ok(text) = fs::read_to_string(&whole) {
            return Some(text);
        }
        if whole.is_dir() {
            return Some(String::new());
        }
        let (folder, name) = (whole.parent()?, whole.file_name()?.to_str()?);
        if let Some((before, after)) = name.split_once('*') {
            let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
            let fits = |name: &str| name.starts_with(before) && name.ends_with(after);
            if names.into_iter().any(|name| name.to_str().is_some_and(fits)) {
                return Some(String::new());
            }
        }
    }
    None
}

/// What a page names and the repository lacks.
fn missing(page: &str) -> Vec<String> {
    let mut missing = Vec::new();
    for line in page.lines() {
        let mut file: Option<(&str, String)> = None;
        for code in line.split('`').skip(1).step_by(2) {
            let is_name =
                |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            if code.contains('/') && !code.contains(' ') && !code.starts_with('/') {
                match find(code) {
                    Some(text) => file = Some((code, text)),
                    None => missing.push(format!("there is no file `{code}`")),
                }
            } else if let Some((path, text)) = &file
                && path.ends_with(".rs")
                && is_name(code)
                && code.contains('_')
                && !text.contains(&format!("fn {code}("))
            {
                missing.push(format!("`{path}` has no function `{code}`"));
            }
        }
    }
    missing
}

#[test]
fn what_the_pages_name_is_there() {
    for page in PAGES {
        let text = fs::read_to_string(root().join(page)).unwrap();
        assert_eq!(missing(&text), [""; 0], "{page}");
    }
}

#[test]
fn what_is_not_there_is_found() {
    let page = "| a | `tests/promises.rs`: `what_is_not_there_is_found`, `no_such_test`; `src/nothing.rs`, `exec/team.rs`, \
                `tests/prom*.rs`, `tests/*.none` |";
    let expected = [
        "`tests/promises.rs` has no function `no_such_test`",
        "there is no file `src/nothing.rs`",
        "there is no file `tests/*.none`",
    ];
    assert_eq!(missing(page), expected);
}
