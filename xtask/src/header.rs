//! `include/vitrum.h` from `src/ffi`, by cbindgen.
//!
//! cbindgen writes declarations and comments. Added here: what C89 and C++98 need, versions, and nullability,
//! which cbindgen cannot know, as every pointer of an `extern "C"` function may be NULL in Rust.

use std::fs;
use std::path::Path;

use cbindgen::{Builder, Config, DocumentationStyle, Language, SortKey, Style};

/// The sources, in the order in which their items appear in the header.
const SOURCES: [&str; 16] = [
    "version",
    "status",
    "error",
    "allocator",
    "runner",
    "context",
    "file",
    "image",
    "progress",
    "clip",
    "sam",
    "sam_embedding",
    "sam_prompt",
    "sam_prediction",
    "sam_everything",
    "sam_text",
];

/// Pointers that may be NULL wherever they occur, except in `…_init` functions.
const NULLABLE: [&str; 20] = [
    "error",
    "needed",
    "options",
    "label_template",
    "text_template",
    "candidates",
    "embeddings",
    "probabilities",
    "logits",
    "tokens",
    "values",
    "bytes",
    "scores",
    "pixels",
    "counts",
    "points",
    "mask",
    "user",
    "parallel_for_user",
    "progress_user",
];

/// Handles that may be NULL where a function has no status to report it by.
const HANDLES: [&str; 5] = ["context", "clip", "sam", "embedding", "prediction"];

/// Writes `include/vitrum.h`.
pub(crate) fn write(root: &Path) -> Result<(), String> {
    let path = root.join("include/vitrum.h");
    fs::write(&path, generate(root)?).map_err(|error| format!("{}: {error}", path.display()))
}

/// Fails if `include/vitrum.h` is not what [`write()`] would write.
pub(crate) fn check(root: &Path) -> Result<(), String> {
    let path = root.join("include/vitrum.h");
    let committed = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let generated = generate(root)?;
    if committed == generated {
        return Ok(());
    }
    let differs = committed.lines().zip(generated.lines()).position(|(old, new)| old != new);
    let line = differs.unwrap_or(committed.lines().count().min(generated.lines().count())) + 1;
    Err(format!("include/vitrum.h is out of date from line {line}: run `cargo run -p xtask -- header`"))
}

fn generate(root: &Path) -> Result<String, String> {
    let mut builder = Builder::new().with_config(config());
    for source in SOURCES {
        builder = builder.with_src(root.join("src/ffi").join(source).with_extension("rs"));
    }
    let bindings = builder.generate().map_err(|error| error.to_string())?;
    let mut header = Vec::new();
    bindings.write(&mut header);
    let header = String::from_utf8(header).map_err(|error| error.to_string())?;
    if let Some(line) = header.lines().find(|line| !line.is_ascii()) {
        return Err(format!("not ASCII: {line}"));
    }
    Ok(prologue() + &mark_nullable(&tidy_comments(&header)) + EPILOGUE)
}

fn config() -> Config {
    let mut config = Config {
        language: Language::C,
        style: Style::Both,
        documentation_style: DocumentationStyle::C,
        usize_is_size_t: true,
        no_includes: true,
        line_length: 110,
        tab_width: 4,
        ..Config::default()
    };
    config.function.sort_by = Some(SortKey::None);
    config.constant.sort_by = Some(SortKey::None);
    config
}

/// What stands before the declarations; cbindgen's own guards would use C++ comments and scoped enums.
fn prologue() -> String {
    format!(
        r#"/*
 * Vitrum: CLIP and SAM on CPUs.
 *
 * Written by `cargo run -p xtask -- header` from src/ffi: do not edit.
 *
 * Functions that can fail return a vitrum_status and take a vitrum_error, which may be NULL. They write their
 * results only if they succeed. Strings are UTF-8 and NUL-terminated. A function says which threads may call
 * it; "any thread" means several at the same time, too. Pointers must not be NULL unless it is said.
 */
#ifndef VITRUM_H
#define VITRUM_H

#include <stddef.h>
#include <stdint.h>

/* What may be NULL, for Swift and for clang's analyser. */
#ifdef __clang__
#define VITRUM_NULLABLE _Nullable
#define VITRUM_NONNULL _Nonnull
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wnullability-extension"
#pragma clang assume_nonnull begin
#else
#define VITRUM_NULLABLE
#define VITRUM_NONNULL
#endif

#ifdef __cplusplus
extern "C" {{
#endif

/* Version of this header. */
#define VITRUM_VERSION_MAJOR {}
#define VITRUM_VERSION_MINOR {}
#define VITRUM_VERSION_PATCH {}
#define VITRUM_VERSION "{}"

"#,
        env!("CARGO_PKG_VERSION_MAJOR"),
        env!("CARGO_PKG_VERSION_MINOR"),
        env!("CARGO_PKG_VERSION_PATCH"),
        env!("CARGO_PKG_VERSION"),
    )
}

const EPILOGUE: &str = r#"
#ifdef __cplusplus
} /* extern "C" */
#endif

#ifdef __clang__
#pragma clang assume_nonnull end
#pragma clang diagnostic pop
#endif

#endif /* VITRUM_H */
"#;

/// Sets cbindgen's comments as the rest of the header: on one line if they fit, otherwise with stars.
fn tidy_comments(header: &str) -> String {
    let mut tidy = String::new();
    let mut comment: Option<Vec<&str>> = None;
    for line in header.lines() {
        let text = line.trim();
        match &mut comment {
            None if text == "/*" => comment = Some(Vec::new()),
            None => tidy += &format!("{line}\n"),
            Some(lines) if text != "*/" => lines.push(text),
            Some(lines) => {
                let indent = &line[..line.find("*/").map_or(0, |end| end - 1)];
                match lines[..] {
                    [only] => tidy += &format!("{indent}/* {only} */\n"),
                    _ => {
                        tidy += &format!("{indent}/*\n");
                        for line in lines {
                            tidy += &format!("{}\n", format!("{indent} * {line}").trim_end());
                        }
                        tidy += &format!("{indent} */\n");
                    }
                }
                comment = None;
            }
        }
    }
    tidy
}

/// Marks what may be NULL: the [`NULLABLE`] names, and the [`HANDLES`] of functions that return no status. The
/// pragma covers the other pointers, but not pointers to pointers: places for handles and lists of strings.
fn mark_nullable(header: &str) -> String {
    let mut marked = String::new();
    let (mut is_init, mut has_status) = (false, true);
    for line in header.lines() {
        let mut line = line.to_string();
        let is_comment = line.trim_start().starts_with(['*', '/']);
        if !is_comment && !line.starts_with([' ', '#']) && line.contains('(') {
            is_init = line.contains("_init(");
            has_status = line.starts_with("vitrum_status") || line.starts_with("typedef");
        }
        if !is_comment && !is_init {
            let handles: &[&str] = if has_status { &[] } else { &HANDLES };
            for name in NULLABLE.iter().chain(handles) {
                for end in [',', ')', ';'] {
                    line = line.replace(&format!("*{name}{end}"), &format!("*VITRUM_NULLABLE {name}{end}"));
                }
            }
            line = line
                .replace("_for parallel_for;", "_for VITRUM_NULLABLE parallel_for;")
                .replace("_progress progress,", "_progress VITRUM_NULLABLE progress,")
                .replace("void *(*", "void *VITRUM_NULLABLE (*")
                .replace("alloc alloc,", "alloc VITRUM_NULLABLE alloc,")
                .replace("alloc dealloc,", "alloc VITRUM_NULLABLE dealloc,")
                .replace("*const *others", "*VITRUM_NONNULL const *VITRUM_NULLABLE others")
                .replace("*const *", "*VITRUM_NONNULL const *VITRUM_NONNULL ")
                .replace(" **kept", " *VITRUM_NULLABLE *VITRUM_NULLABLE kept")
                .replace(" **", " *VITRUM_NULLABLE *VITRUM_NONNULL ");
        }
        marked += &format!("{line}\n");
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_header_is_up_to_date() {
        check(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()).unwrap();
    }

    #[test]
    fn comments_are_tidied() {
        assert_eq!(tidy_comments("    /*\n     One.\n     */\n    int x;\n"), "    /* One. */\n    int x;\n");
        assert_eq!(tidy_comments("/*\n One.\n\n Two.\n */\n"), "/*\n * One.\n *\n * Two.\n */\n");
    }

    #[test]
    fn nullable_parameters_are_marked() {
        let header = "/* *error, */\nvitrum_status f(const char *path,\n    struct e *error);\n";
        let marked = header.replace("*error)", "*VITRUM_NULLABLE error)");
        assert_eq!(mark_nullable(header), marked);
        assert_eq!(mark_nullable("vitrum_status e_init(e *error);\n"), "vitrum_status e_init(e *error);\n");
        assert_eq!(mark_nullable("void f(clip *clip);\n"), "void f(clip *VITRUM_NULLABLE clip);\n");
        assert_eq!(
            mark_nullable("vitrum_status f(clip **clip,\n    const char *const *texts);\n"),
            "vitrum_status f(clip *VITRUM_NULLABLE *VITRUM_NONNULL clip,
    const char *VITRUM_NONNULL const *VITRUM_NONNULL texts);\n"
        );
    }
}
