//! `include/vitrum.h` from `src/ffi`, by cbindgen.
//!
//! cbindgen writes declarations and comments. Added here: what C89 and C++98 need, versions, and nullability, which
//! `src/ffi` declares as `Nullable<*const T>`: cbindgen gets copies of the sources in which the name of such a parameter
//! or field ends in [`MARK`], and the mark becomes a macro in what it writes.

mod sections;

use std::path::{Path, PathBuf};
use std::{env, fs, process};

use cbindgen::{Builder, Config, DocumentationStyle, Language, SortKey, Style};

/// Ends the name of a parameter or a field that may be NULL, and of what a callback may return as NULL.
const MARK: &str = "__nullable";

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
    let copies = Copies::of(&root.join("src/ffi"))?;
    let builder = copies.files.iter().fold(Builder::new().with_config(config()), Builder::with_src);
    let bindings = builder.generate().map_err(|error| error.to_string())?;
    let mut header = Vec::new();
    bindings.write(&mut header);
    let header = String::from_utf8(header).map_err(|error| error.to_string())?;
    if let Some(line) = header.lines().find(|line| !line.is_ascii()) {
        return Err(format!("not ASCII: {line}"));
    }
    Ok(prologue() + &sections::insert(&show_nullability(&tidy_comments(&header)))? + EPILOGUE)
}

/// The sources as cbindgen gets them, until they are dropped.
struct Copies {
    directory: PathBuf,
    /// In the order in which `mod.rs` declares the modules, which is that of the header.
    files: Vec<PathBuf>,
}

impl Copies {
    fn of(sources: &Path) -> Result<Self, String> {
        let directory = env::temp_dir().join(format!("vitrum-header-{}", process::id()));
        let mut copies = Self { directory, files: Vec::new() };
        let failed = |path: &Path, error| format!("{}: {error}", path.display());
        fs::create_dir_all(&copies.directory).map_err(|error| failed(&copies.directory, error))?;
        let read = |path: &Path| fs::read_to_string(path).map_err(|error| failed(path, error));
        for line in read(&sources.join("mod.rs"))?.lines() {
            let Some(name) = line.strip_prefix("pub mod ").and_then(|line| line.strip_suffix(';')) else {
                continue;
            };
            let marked = mark_nullable(&read(&sources.join(name).with_extension("rs"))?)?;
            let copy = copies.directory.join(name).with_extension("rs");
            fs::write(&copy, marked).map_err(|error| failed(&copy, error))?;
            copies.files.push(copy);
        }
        Ok(copies)
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        // What stays is in the system's directory for such files.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// `source` with `name: Nullable<T>` as `name__nullable: T`, and `-> Nullable<*mut T>` as `-> *mut T__nullable`.
fn mark_nullable(source: &str) -> Result<String, String> {
    let mut marked = String::new();
    let mut rest = source;
    while let Some((before, after)) = rest.split_once("Nullable<") {
        let end = end_of_generic(after).ok_or_else(|| format!("Nullable<{after}"))?;
        let (inner, behind) = (&after[..end], &after[end + 1..]);
        match (before.strip_suffix(": "), before.strip_suffix("-> ")) {
            (Some(named), _) => marked += &format!("{named}{MARK}: {inner}"),
            (_, Some(_)) => marked += &format!("{before}{inner}{MARK}"),
            // In code, or in a comment.
            _ => marked += &format!("{before}{inner}"),
        }
        rest = behind;
    }
    Ok(marked + rest)
}

/// Where the `>` is that ends what `text` begins in the middle of.
fn end_of_generic(text: &str) -> Option<usize> {
    let mut depth = 0;
    text.char_indices().find_map(|(at, c)| {
        match c {
            '<' => depth += 1,
            '>' if depth == 0 => return Some(at),
            '>' => depth -= 1,
            _ => (),
        }
        None
    })
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
 * Vitrum: CLIP, SAM and SAM 2 on CPUs.
 *
 * @generated by `cargo run -p xtask -- header` from src/ffi: do not edit.
 *
 * Functions that can fail return a vitrum_status and take a vitrum_error, which may be NULL. They write their
 * results only if they succeed. Strings are UTF-8 and NUL-terminated. A function says which threads may call
 * it; "any thread" means several at the same time, too. Pointers must not be NULL, except those marked
 * VITRUM_NULLABLE.
 *
 * Structs that begin with `struct_size` are prepared by a function that ends in `_init`, with `sizeof` of the struct as
 * its second argument; then set the fields that you need. Later versions of the library may add fields at the end.
 *
 * Handles, the pointers to opaque structs, are checked: one of another kind, and one that another call uses in a way that
 * excludes this one, give VITRUM_E_INVALID_ARGUMENT. So a callback may use everything but what its own call changes. A
 * handle that is freed while a call uses it, by a callback or by another thread, goes when the call ends. No call may begin
 * with a handle that is being freed or was: the memory behind it is gone, and no check finds that for certain.
 *
 * A process that is forked may use and free the handles of its parent; calls run on the calling thread alone. In the child
 * of a process that forked inside a callback, that callback must not return.
 *
 * Threads of the library are called `vitrum-0`, `vitrum-1` and so on, and end when the last handle that uses their context is
 * freed. `dlclose` does not unload the library, on ELF systems: threads of the program that called it keep values that are
 * destroyed by code of it when they end. To load it again costs nothing then, and nothing grows.
 *
 * Results of any length go to a buffer of the caller. `capacity` is its size, in values. `needed` receives the number of
 * values, even if the buffer is too small; with NULL for the buffer and a capacity of 0, nothing else happens.
 *
 * A whole program, of which every step can fail with a vitrum_status and a sentence in `error.message`:
 *
 *     vitrum_context *context = NULL;
 *     vitrum_sam *sam = NULL;
 *     vitrum_sam_embedding *embedding = NULL;
 *     vitrum_sam_prediction *prediction = NULL;
 *     vitrum_error error;
 *     vitrum_image image;
 *     vitrum_sam_prompt prompt;
 *     vitrum_point click = {{320, 200, VITRUM_LABEL_FOREGROUND}};
 *
 *     vitrum_error_init(&error, sizeof error);
 *     vitrum_image_init(&image, sizeof image);
 *     image.format = VITRUM_PIXEL_RGB8;
 *     image.data = rgb;
 *     image.width = 640;
 *     image.height = 480;
 *     image.row_stride = 640 * 3;
 *     vitrum_sam_prompt_init(&prompt, sizeof prompt);
 *     prompt.points = &click;
 *     prompt.point_count = 1;
 *
 *     vitrum_context_new(NULL, &context, &error);
 *     vitrum_sam_load(context, "path/to/sam-vit-base", NULL, &sam, &error);
 *     vitrum_sam_encode(sam, &image, NULL, NULL, &embedding, &error);
 *     vitrum_sam_prediction_new(sam, &prediction, &error);
 *     vitrum_sam_predict(sam, embedding, &prompt, 1, NULL, prediction, &error);
 *     vitrum_sam_prediction_mask(prediction, 0, 0, 0, mask, 640 * 480, NULL, &error);
 *
 *     vitrum_sam_prediction_free(prediction);
 *     vitrum_sam_embedding_free(embedding);
 *     vitrum_sam_free(sam);
 *     vitrum_context_free(context);
 *
 * Types and constants come first, then functions; each section's first one:
 *
{} */
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
        sections::contents(),
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

/// Turns marks into macros. The pragma covers pointers without a mark, but not pointers to pointers: places for
/// handles, which hold NULL before, and lists of strings, which hold none.
fn show_nullability(header: &str) -> String {
    let mut shown = String::new();
    for line in header.lines() {
        let mut line = line.to_string();
        if !line.trim_start().starts_with(['*', '/']) {
            line = line
                .replace("*const *", "*VITRUM_NONNULL const *VITRUM_NONNULL ")
                .replace(" **", " *VITRUM_NULLABLE *VITRUM_NONNULL ");
        }
        while let Some(end) = line.find(MARK) {
            let start = line[..end].rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |at| at + 1);
            let behind = line.split_off(end + MARK.len());
            let name = line.split_off(start).replace(MARK, "");
            line.truncate(line.strip_suffix("VITRUM_NONNULL ").map_or(start, str::len));
            match behind.strip_prefix(" *") {
                // A callback's result, of a type that cbindgen does not know by its marked name.
                Some(behind) => {
                    line += &format!("{} *VITRUM_NULLABLE {behind}", name.replace("c_void", "void"))
                }
                None => line += &format!("VITRUM_NULLABLE {name}{behind}"),
            }
        }
        shown += &format!("{line}\n");
    }
    shown
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
    fn nullable_types_are_marked() {
        let source = "fn f(a: Nullable<*const Vec<T>>, b: *mut T) -> Nullable<*mut c_void>";
        let marked = "fn f(a__nullable: *const Vec<T>, b: *mut T) -> *mut c_void__nullable";
        assert_eq!(mark_nullable(source).unwrap(), marked);
        assert!(mark_nullable("a: Nullable<T").is_err());
    }

    #[test]
    fn marks_become_macros() {
        for (marked, shown) in [
            ("status f(e *error__nullable);", "status f(e *VITRUM_NULLABLE error);"),
            ("status f(g progress__nullable, int n);", "status f(g VITRUM_NULLABLE progress, int n);"),
            ("typedef c_void__nullable *(*alloc)(int n);", "typedef void *VITRUM_NULLABLE (*alloc)(int n);"),
            ("f(clip **clip);", "f(clip *VITRUM_NULLABLE *VITRUM_NONNULL clip);"),
            ("f(clip **kept__nullable);", "f(clip *VITRUM_NULLABLE *VITRUM_NULLABLE kept);"),
            ("f(const char *const *a);", "f(const char *VITRUM_NONNULL const *VITRUM_NONNULL a);"),
            ("f(const char *const *a__nullable);", "f(const char *VITRUM_NONNULL const *VITRUM_NULLABLE a);"),
            ("/* **bold** */", "/* **bold** */"),
        ] {
            assert_eq!(show_nullability(marked), format!("{shown}\n"));
        }
    }
}
