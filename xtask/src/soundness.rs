//! `docs/unsafe.md`: every `unsafe` of the library with its proof, the argument of its module, and the tests that exercise
//! it, read from the sources.
//!
//! A proof is the `// SAFETY:` comment in front of a block or an implementation, or the `# Safety` of a function or a trait.
//! A module's argument is the section `# Soundness` of its description; it holds for the files below it that have none. The
//! section ends with a line `Tests:` that names tests. What lacks one of these, or names a test that does not exist, is an
//! error.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::api::collect;

const PAGE: &str = "docs/unsafe.md";

/// Writes the page.
pub(crate) fn write(root: &Path) -> Result<(), String> {
    fs::write(root.join(PAGE), page(root)?).map_err(|error| format!("{PAGE}: {error}"))
}

/// Fails if the page does not say what the sources do. Where lines have moved to does not matter.
pub(crate) fn check(root: &Path) -> Result<(), String> {
    let written = fs::read_to_string(root.join(PAGE)).map_err(|error| format!("{PAGE}: {error}"))?;
    if without_lines(&written) == without_lines(&page(root)?) {
        return Ok(());
    }
    Err(format!("{PAGE} differs from the sources: `cargo run -p xtask -- unsafe` writes it"))
}

/// The page without the numbers of lines in its links.
fn without_lines(page: &str) -> String {
    let mut parts = page.split("#L");
    let first = parts.next().unwrap_or_default().to_string();
    parts.fold(first, |text, part| text + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// A source file, as far as it is part of the library.
struct Source {
    /// Below `src`, without the ending: `kernels/gemm/mod`.
    name: String,
    uses: Vec<Use>,
    /// The section `# Soundness`.
    argument: Option<Argument>,
}

/// One `unsafe`.
struct Use {
    kind: &'static str,
    /// The function that it is in, or the item that it is.
    item: String,
    line: usize,
    proof: String,
}

struct Argument {
    text: String,
    tests: Vec<String>,
}

fn page(root: &Path) -> Result<String, String> {
    let (mut sources, mut tests, mut missing) = (Vec::new(), BTreeMap::new(), Vec::new());
    let mut files = Vec::new();
    collect(&root.join("src"), &mut files)?;
    collect(&root.join("tests"), &mut files)?;
    files.sort();
    for path in files {
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let name = path.strip_prefix(root).expect("below the root").to_string_lossy().replace('\\', "/");
        for (test, line) in tests_of(&text) {
            tests.insert(format!("{}::{test}", module_of_tests(&name)), format!("{name}#L{line}"));
        }
        if let Some(name) = name.strip_prefix("src/").and_then(|name| name.strip_suffix(".rs")) {
            match source(name, &text) {
                Ok(source) => sources.push(source),
                Err(error) => missing.push(error),
            }
        }
    }
    if missing.is_empty() { render(&sources, &tests) } else { Err(missing.join("\n")) }
}

fn render(sources: &[Source], tests: &BTreeMap<String, String>) -> Result<String, String> {
    let mut page = HEAD.to_string();
    let arguments: BTreeMap<&str, &Argument> =
        sources.iter().filter_map(|source| Some((&*source.name, source.argument.as_ref()?))).collect();
    let mut modules: BTreeMap<&str, Vec<&Source>> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.uses.is_empty()) {
        let owner = owner(&source.name, &arguments).ok_or_else(|| {
            format!("src/{}.rs: no module above it has a section `# Soundness`", source.name)
        })?;
        modules.entry(owner).or_default().push(source);
    }
    page += "| Module | Files | Blocks | Functions | Implementations, traits |\n|---|--:|--:|--:|--:|\n";
    for (owner, files) in &modules {
        let count = |kinds: &[&str]| {
            files.iter().flat_map(|file| &file.uses).filter(|found| kinds.contains(&found.kind)).count()
        };
        let name = module_name(owner);
        let (blocks, functions) = (count(&["block"]), count(&["fn"]));
        let others = count(&["impl", "trait", "extern"]);
        let anchor = name.replace("::", "");
        let _ =
            writeln!(page, "| [`{name}`](#{anchor}) | {} | {blocks} | {functions} | {others} |", files.len());
    }
    for (owner, files) in &modules {
        let argument = arguments[owner];
        let _ = write!(page, "\n## {}\n\n{}\n\nTests: ", module_name(owner), argument.text);
        let mut links = Vec::new();
        for test in &argument.tests {
            let place =
                tests.get(test).ok_or_else(|| format!("src/{owner}.rs: there is no test `{test}`"))?;
            links.push(format!("[`{test}`](../{place})"));
        }
        page += &links.join(", ");
        page += ".\n";
        for file in files {
            let _ = write!(page, "\n### {}.rs\n\n| Proof | Of |\n|---|---|\n", file.name);
            for (proof, places) in by_proof(file) {
                let _ = writeln!(page, "| {proof} | {places} |");
            }
        }
    }
    Ok(page)
}

const HEAD: &str = "<!-- @generated by `cargo run -p xtask -- unsafe`; compared in every run -->

# Unsafe code

Every `unsafe` of the library, with its proof: what the comment in front of it says, or what a function or a trait asks of
its callers. It occurs in `simd`, `exec`, `kernels` and `ffi` only; the other modules forbid it. Tests' own is left out. Each
module has an argument for what its safe functions let their callers do, and names the tests that try it. Without an
argument, a proof or the test that is named, the page is not made.

";

/// The nearest module that has an argument: the file itself, or one that it belongs to.
fn owner<'a>(name: &str, arguments: &BTreeMap<&'a str, &Argument>) -> Option<&'a str> {
    let find = |name: &str| arguments.get_key_value(name).map(|(name, _)| *name);
    let mut module = name.strip_suffix("/mod").unwrap_or(name);
    loop {
        if let Some(owner) = find(module).or_else(|| find(&format!("{module}/mod"))) {
            return Some(owner);
        }
        module = module.rsplit_once('/')?.0;
    }
}

fn module_name(file: &str) -> String {
    file.strip_suffix("/mod").unwrap_or(file).replace('/', "::")
}

/// The proofs of a file in order, each with its places.
fn by_proof(file: &Source) -> Vec<(String, String)> {
    let mut proofs: Vec<(String, Vec<String>)> = Vec::new();
    for found in &file.uses {
        let place = format!("{} [`{}`](../src/{}.rs#L{})", found.kind, found.item, file.name, found.line);
        match proofs.iter_mut().find(|(proof, _)| *proof == found.proof) {
            Some((_, places)) => places.push(place),
            None => proofs.push((found.proof.clone(), vec![place])),
        }
    }
    let escaped = |text: &str| text.replace('|', "\\|");
    let mut rows = Vec::new();
    for (proof, places) in proofs {
        // A function with several blocks of one proof is named once.
        let mut seen = BTreeSet::new();
        let key = |place: &str| place.split("](").next().unwrap_or_default().to_string();
        let named: Vec<String> = places.iter().filter(|place| seen.insert(key(place))).cloned().collect();
        let more = places.len() - named.len();
        let more = if more > 0 { format!(" and {more} more in these") } else { String::new() };
        rows.push((escaped(&proof), named.join(", ") + &more));
    }
    rows
}

/// The last name of the module that the tests of a file are about.
fn module_of_tests(name: &str) -> &str {
    let module = name.trim_end_matches(".rs").trim_end_matches("/mod").trim_end_matches("/tests");
    module.rsplit('/').next().unwrap_or(module)
}

/// Names of the tests in a source, each with its line.
fn tests_of(text: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let mut is_test = false;
    for (index, line) in text.lines().map(str::trim_start).enumerate() {
        if line == "#[test]" {
            is_test = true;
        } else if let Some(name) = function_name(line)
            && is_test
        {
            found.push((name.to_string(), index + 1));
            is_test = false;
        }
    }
    found
}

/// The name of the function whose declaration begins on this line.
fn function_name(line: &str) -> Option<&str> {
    let at = line.find("fn ")?;
    let before = &line[..at];
    let words = |word: &str| {
        matches!(word, "pub" | "unsafe" | "const" | "extern" | "\"C\"")
            || word.starts_with("pub(")
            || word.ends_with(')')
    };
    if !before.split_whitespace().all(words) {
        return None;
    }
    let rest = &line[at + 3..];
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    (end > 0).then(|| &rest[..end])
}

fn source(name: &str, text: &str) -> Result<Source, String> {
    let file = name.rsplit('/').next().unwrap_or(name);
    let is_test = matches!(file, "tests" | "testing" | "emulated") || name.contains("/tests/");
    let lines: Vec<&str> = text.lines().collect();
    let argument = argument(&lines).map_err(|error| format!("src/{name}.rs: {error}"))?;
    let end = lines.iter().position(|line| line.starts_with("mod tests {")).unwrap_or(lines.len());
    let (mut uses, mut missing) = (Vec::new(), Vec::new());
    for (index, line) in lines[..if is_test { 0 } else { end }].iter().enumerate() {
        let code = without_comment(line);
        for (at, _) in code.match_indices("unsafe") {
            let Some(kind) = kind(code, at) else { continue };
            let place = format!("src/{name}.rs:{}", index + 1);
            let proof = match kind {
                "fn" if lines[index].contains("fn vitrum_") => {
                    Some("asks: what `vitrum.h` says of it".into())
                }
                "fn" if is_of_a_trait(&lines, index) => Some("asks: what the trait does".into()),
                "fn" | "trait" => asked(&lines, index),
                _ => given(&lines, index),
            };
            let Some(proof) = proof else {
                missing.push(format!("{place}: `unsafe` without a proof"));
                continue;
            };
            let item = if kind == "block" { enclosing(&lines, index) } else { item(code, kind) };
            uses.push(Use { kind, item, line: index + 1, proof });
        }
    }
    if missing.is_empty() {
        Ok(Source { name: name.into(), uses, argument })
    } else {
        Err(missing.join("\n"))
    }
}

/// The section `# Soundness` of a module's description.
fn argument(lines: &[&str]) -> Result<Option<Argument>, String> {
    let text: Vec<&str> = lines
        .iter()
        .map_while(|line| line.strip_prefix("//!"))
        .map(str::trim)
        .skip_while(|line| *line != "# Soundness")
        .skip(1)
        .collect();
    if text.is_empty() {
        return Ok(None);
    }
    let at = text
        .iter()
        .position(|line| line.starts_with("Tests:"))
        .ok_or("a section `# Soundness` without `Tests:`")?;
    let tests: Vec<String> = text[at..].join(" ").split('`').skip(1).step_by(2).map(str::to_string).collect();
    if tests.is_empty() {
        return Err("`Tests:` names no test".into());
    }
    Ok(Some(Argument { text: without_links(text[..at].join("\n").trim()), tests }))
}

/// Documentation whose names are not links: ``[`Name`](path)`` and ``[`Name`]`` become `Name`.
fn without_links(text: &str) -> String {
    let mut parts = text.split("`]");
    let first = parts.next().unwrap_or_default().to_string();
    let plain = parts.fold(first, |text, part| {
        let rest =
            part.strip_prefix('(').and_then(|part| part.split_once(')')).map_or(part, |(_, rest)| rest);
        text + "`" + rest
    });
    plain.replace("[`", "`")
}

/// A line up to its comment.
fn without_comment(line: &str) -> &str {
    line.find("//").map_or(line, |at| &line[..at])
}

/// What the `unsafe` at `at` begins; `None` if it is part of a name, of a type or of a string.
fn kind(code: &str, at: usize) -> Option<&'static str> {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let (before, after) = (&code[..at], &code[at + "unsafe".len()..]);
    if is_word(before.chars().next_back())
        || is_word(after.chars().next())
        || before.matches('"').count() % 2 == 1
    {
        return None;
    }
    let after = after.trim_start();
    // `unsafe extern "C" fn name(` is a function, `unsafe extern "C" {` a block of declarations.
    let declared = after.strip_prefix("extern \"C\"").map(str::trim_start);
    match declared.unwrap_or(after) {
        rest if rest.starts_with("fn ") => Some("fn"),
        rest if rest.starts_with('{') && declared.is_some() => Some("extern"),
        rest if rest.starts_with('{') => Some("block"),
        rest if rest.starts_with("impl") => Some("impl"),
        rest if rest.starts_with("trait ") => Some("trait"),
        _ => None,
    }
}

/// The name of an item: of an implementation, what it implements for what.
fn item(code: &str, kind: &str) -> String {
    let code = code.trim().trim_end_matches(['{', ' ', '}']);
    match kind {
        "fn" => code.find("fn ").and_then(|at| function_name(&code[at..])).unwrap_or(code).to_string(),
        "impl" => code.split_once("unsafe impl").map_or(code, |(_, rest)| rest).trim().to_string(),
        "trait" => code
            .split("trait ")
            .nth(1)
            .and_then(|rest| rest.split([':', '<', ' ']).next())
            .unwrap_or(code)
            .into(),
        _ => "extern \"C\"".into(),
    }
}

/// The function around a line, or the macro or static.
fn enclosing(lines: &[&str], index: usize) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut limit = indent(lines[index]) + 1;
    for line in lines[..=index].iter().rev().filter(|line| !line.trim().is_empty()) {
        if indent(line) >= limit {
            continue;
        }
        limit = indent(line);
        let code = without_comment(line).trim_start();
        let named = |word: &str| {
            let at = code.find(word)? + word.len();
            let rest = &code[at..];
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
            (end > 0).then(|| rest[..end].to_string())
        };
        if let Some(name) = function_name(code) {
            return name.into();
        }
        if let Some(name) = named("macro_rules! ").or_else(|| named("static ")) {
            return name;
        }
        // The end of a signature of several lines is not the beginning of what is around it.
        limit = if code.starts_with([')', '}', 'w']) { limit + 1 } else { limit.max(1) };
    }
    "the file".into()
}

/// The comment `// SAFETY:` in front of the statement that a line belongs to.
fn given(lines: &[&str], index: usize) -> Option<String> {
    const FAR: usize = 16;
    let near = index.saturating_sub(FAR)..=index;
    let at = near.rev().find(|&at| lines[at].contains("SAFETY:"))?;
    let between = &lines[at + 1..index];
    // Not a proof of something before: no item may begin or end in between.
    let is_end = |line: &&str| {
        line.trim().is_empty()
            || function_name(without_comment(line).trim_start()).is_some()
            || line.starts_with('}')
    };
    if between.iter().any(is_end) {
        return None;
    }
    let first = lines[at].split_once("SAFETY:")?.1.trim();
    let more = between.iter().map_while(|line| line.trim().strip_prefix("// "));
    let proof = more.fold(first.to_string(), |text, line| text + " " + line.trim());
    // What is above is the nearest proof that says something.
    if matches!(proof.trim_end_matches('.'), "as above" | "as there") {
        let above = lines[..at].iter().rposition(|line| line.contains("SAFETY:"))?;
        return given(lines, above + 1).map(|proof| format!("as above: {proof}"));
    }
    Some(proof)
}

/// Whether a function is a method that a trait prescribes.
fn is_of_a_trait(lines: &[&str], index: usize) -> bool {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let own = indent(lines[index]);
    let around = lines[..index].iter().rev().find(|line| !line.trim().is_empty() && indent(line) < own);
    let Some(at) = around.and_then(|line| lines[..index].iter().rposition(|other| std::ptr::eq(other, line)))
    else {
        return false;
    };
    // The header of an implementation may have a `where` on lines of its own.
    let begin = lines[..=at].iter().rposition(|line| line.trim_start().starts_with(['i', 'u'])).unwrap_or(at);
    let header = lines[begin..=at].join(" ");
    let header = header.trim_start().trim_start_matches("unsafe ");
    header.starts_with("impl") && header.contains(" for ")
}

/// What a function or a trait asks of its callers: its section `# Safety`.
fn asked(lines: &[&str], index: usize) -> Option<String> {
    let above: Vec<&str> = lines[..index]
        .iter()
        .rev()
        .map(|line| line.trim())
        .take_while(|line| line.starts_with("//") || line.starts_with("#[") || line.ends_with(")]"))
        .collect();
    let said: Vec<&str> =
        above.into_iter().rev().filter_map(|line| line.strip_prefix("///")).map(str::trim).collect();
    if let Some(at) = said.iter().position(|line| *line == "# Safety") {
        let section = said[at + 1..].iter().take_while(|line| !line.starts_with("# ") && !line.is_empty());
        return Some(
            section.fold("asks: ".to_string(), |text, line| text + line + " ").trim_end().to_string(),
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: &str =
        "//! Text.\n//!\n//! # Soundness\n//!\n//! Because of [`A`](b::A).\n//!\n//! Tests: `a::t`.\n\n";

    fn page_of(code: &str, tests: &[&str]) -> Result<String, String> {
        let tests = tests.iter().map(|test| (test.to_string(), "tests/a.rs#L1".to_string())).collect();
        render(&[source("a", &format!("{MODULE}{code}"))?], &tests)
    }

    #[test]
    fn proofs_are_found_with_their_functions() {
        let code = "/// # Safety\n/// Be careful.\nunsafe fn f(\n    x: u8,\n) {\n    // SAFETY: forwarded to\n    // the caller.\n    \
                    unsafe { g() }\n}\n";
        let page = page_of(code, &["a::t"]).unwrap();
        assert!(page.contains("| asks: Be careful. | fn [`f`](../src/a.rs#L11) |\n"), "{page}");
        assert!(page.contains("| forwarded to the caller. | block [`f`](../src/a.rs#L16) |\n"), "{page}");
        assert!(page.contains("Because of `A`.") && page.contains("[`a::t`](../tests/a.rs#L1)"), "{page}");
    }

    #[test]
    fn what_is_missing_is_an_error() {
        let proven = "fn f() {\n    // SAFETY: yes.\n    unsafe { g() }\n}\n";
        assert!(page_of(proven, &["a::t"]).is_ok());
        assert!(page_of(proven, &["a::u"]).unwrap_err().contains("there is no test `a::t`"));
        let unproven = "fn f() {\n    // SAFETY: yes.\n    h();\n}\n\nfn e() {\n    unsafe { g() }\n}\n";
        assert_eq!(page_of(unproven, &["a::t"]).unwrap_err(), "src/a.rs:15: `unsafe` without a proof");
        assert!(page_of("unsafe fn f() {}\n", &["a::t"]).is_err());
        let alone = source("b", proven).unwrap();
        assert!(render(&[alone], &BTreeMap::new()).unwrap_err().contains("no module above it"));
    }

    #[test]
    fn lines_may_move() {
        assert_eq!(
            without_lines("[`f`](a.rs#L12), [`g`](a.rs#L3) 7"),
            without_lines("[`f`](a.rs#L1), [`g`](a.rs#L44) 7")
        );
        assert_ne!(without_lines("[`f`](a.rs#L12)"), without_lines("[`g`](a.rs#L12)"));
    }

    #[test]
    fn the_page_is_up_to_date() {
        check(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()).unwrap();
    }
}
