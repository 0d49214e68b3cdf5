//! The labels of `classify`.

use std::fs;

use crate::args::LabelArgs;
use crate::failure::{Exit, Failure, Result};

/// The labels, none empty.
pub(crate) fn read(args: &LabelArgs) -> Result<Vec<String>> {
    if let Some(list) = &args.labels {
        return split(list);
    }
    let Some(path) = &args.labels_file else {
        return Err(Failure::usage("no labels: give --labels or --labels-file"));
    };
    let bytes = fs::read(path).map_err(|error| Failure::unreadable(path, &error))?;
    let bad = |what: String| Failure::new(Exit::Input, format!("{}: {what}", path.display()));
    let text = String::from_utf8(bytes).map_err(|_| bad("not UTF-8 text".into()))?;
    lines(&text).map_err(bad)
}

/// Labels separated by commas.
fn split(list: &str) -> Result<Vec<String>> {
    let label = |(i, label): (usize, &str)| match label.trim() {
        "" => Err(Failure::usage(format!("--labels: label {} is empty", i + 1))
            .hint("separate labels by commas: --labels cat,dog; for labels with commas use --labels-file")),
        label => Ok(label.to_owned()),
    };
    list.split(',').enumerate().map(label).collect()
}

/// One label a line.
fn lines(text: &str) -> Result<Vec<String>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let label = |(i, line): (usize, &str)| match line.trim() {
        "" => Err(format!("line {}: the label is empty", i + 1)),
        label => Ok(label.to_owned()),
    };
    let labels = text.lines().enumerate().map(label).collect::<Result<Vec<_>, _>>()?;
    if labels.is_empty() { Err("no labels".into()) } else { Ok(labels) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        assert_eq!(split("cat, dog ,a b").unwrap(), ["cat", "dog", "a b"]);
        for list in ["", ",", "cat,", "cat,,dog", " "] {
            assert!(matches!(split(list), Err(Failure::Message { exit: Exit::Usage, .. })), "{list:?}");
        }
    }

    #[test]
    fn files() {
        assert_eq!(lines("\u{feff}cat\r\ndog, the\n").unwrap(), ["cat", "dog, the"]);
        assert_eq!(lines("cat\n\ndog\n").unwrap_err(), "line 2: the label is empty");
        assert_eq!(lines("").unwrap_err(), "no labels");
    }
}
