//! Writes what cffi can read of `include/vitrum.h` to `header.h` in the target directory, where maturin looks for the
//! declarations. So the header stays the one description of the C ABI.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let header = Path::new("../../include/vitrum.h");
    let text = fs::read_to_string(header).expect("include/vitrum.h cannot be read");
    let place = target_directory().join("header.h");
    fs::write(&place, declarations(&text)).expect("header.h cannot be written");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={}", header.display());
    // If somebody cleans up there, maturin would invent a header without any function.
    println!("cargo:rerun-if-changed={}", place.display());
}

/// The directory that cargo marks as its own, above this crate's part of it.
fn target_directory() -> PathBuf {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let marked = out.ancestors().find(|directory| directory.join("CACHEDIR.TAG").is_file());
    // Some caches take the mark away; then by depth: target/[triple/]profile/build/crate/out.
    let cross = env::var("TARGET").is_ok_and(|target| out.iter().any(|part| part == target.as_str()));
    let by_depth = out.ancestors().nth(if cross { 5 } else { 4 });
    marked.or(by_depth).expect("OUT_DIR lies in a target directory").to_path_buf()
}

/// The header as a C compiler sees it that is neither clang nor C++, less its comments, which cffi wants: it has no
/// preprocessor, but knows constants.
///
/// # Panics
/// On a directive that is not known here: better than declarations that are silently wrong.
fn declarations(header: &str) -> String {
    let text = without_comments(header);
    let mut empty_macros = Vec::new();
    // Whether the lines count, for each `#if` around them.
    let mut live = vec![true];
    let mut out = String::new();
    for line in text.lines() {
        let Some(directive) = line.trim_start().strip_prefix('#') else {
            if live.iter().all(|it| *it) && !line.trim().is_empty() {
                out += &line
                    .split_inclusive(|c: char| !is_of_name(c))
                    .map(|piece| known(piece, &empty_macros))
                    .collect::<String>();
                out.push('\n');
            }
            continue;
        };
        let mut words = directive.split_whitespace();
        match (words.next().unwrap_or(""), words.next(), words.next()) {
            // Nothing that the header asks for is defined: no clang, no C++, no earlier inclusion.
            ("ifdef", Some(_), None) => live.push(false),
            ("ifndef", Some(_), None) => live.push(true),
            ("else", None, None) => {
                let last = live.last_mut().expect("an #if before #else");
                *last = !*last;
            }
            ("endif", None, None) => drop(live.pop()),
            ("include" | "pragma", _, _) => {}
            ("define", Some(name), None) if live.iter().all(|it| *it) => empty_macros.push(name.to_owned()),
            ("define", Some(name), Some(value)) if live.iter().all(|it| *it) => {
                if value.parse::<i64>().is_ok() {
                    out += &format!("#define {name} {value}\n");
                } else {
                    assert!(
                        value.starts_with('"'),
                        "vitrum.h: a macro that is no number and no string: {line}"
                    );
                }
            }
            ("define", _, _) => {}
            _ => panic!("vitrum.h: build.rs does not know this directive: {line}"),
        }
    }
    assert_eq!(live.len(), 1, "vitrum.h: #if without #endif");
    out
}

fn without_comments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("/*") {
        assert!(!before.contains("//"), "vitrum.h: a comment that C89 does not know");
        out += before;
        rest = after.split_once("*/").expect("vitrum.h: a comment without end").1;
    }
    out + rest
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// A name with the character behind it, or only that character if the name stands for nothing.
fn known<'a>(piece: &'a str, empty_macros: &[String]) -> &'a str {
    let name = piece.trim_end_matches(|c| !is_of_name(c));
    if empty_macros.iter().any(|it| it == name) { &piece[name.len()..] } else { piece }
}
