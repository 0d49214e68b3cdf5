//! Help, completions and manual pages.

use std::fs;

use super::{fails, json, run, scratch, stdout};

const COMMANDS: [&str; 14] = [
    "demo",
    "classify",
    "embed",
    "similarity",
    "index",
    "search",
    "segment",
    "everything",
    "track",
    "info",
    "quantize",
    "bench",
    "completions",
    "man",
];

#[test]
fn every_command_has_two_examples() {
    for command in COMMANDS {
        let help = stdout(&[command, "--help"]);
        let (_, examples) = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{help}"));
        let examples = examples.lines().take_while(|line| !line.is_empty());
        let own =
            examples.filter(|line| line.starts_with("  ") && line.contains(&format!("vitrum {command}")));
        assert!(own.count() >= 2, "{help}");
    }
}

#[test]
fn examples_are_command_lines() {
    // Those without pipes: clap must understand them. Files that they name need not exist. None is too long for a line.
    for command in COMMANDS {
        let help = stdout(&[command, "--help"]);
        let examples = help.lines().filter_map(|line| line.strip_prefix("  vitrum "));
        for example in examples.filter(|line| !line.contains(['|', '>'])) {
            let words = words(example);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            // Help is printed only of what is understood so far.
            let output = run(&[&words[..], &["--help"]].concat());
            assert!(output.status.success(), "{example}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

/// The words of a line, as a shell has them.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut quote, mut word) = (Vec::new(), None, String::new());
    for c in line.chars() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), close) if open == close => quote = None,
            (None, ' ') => words.push(std::mem::take(&mut word)),
            _ => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn completions_know_commands_and_options() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = stdout(&["completions", shell]);
        for word in
            COMMANDS.into_iter().chain(["labels-file", "fail-fast", "demo:clip"]).take(COMMANDS.len() + 2)
        {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    fails(&["completions", "tcsh"], 2, "bash");
}

#[test]
fn manual_pages_are_of_all_commands() {
    let page = stdout(&["man"]);
    assert!(page.contains(".TH vitrum 1") && page.contains("Exit codes"), "{page}");
    let page = stdout(&["man", "classify"]);
    assert!(page.contains(".TH vitrum-classify 1") && page.contains("Examples:"), "{page}");
    fails(&["man", "paint"], 2, "the commands: demo, classify");
    let directory = scratch("man");
    let rows = json(&["man", "--output", directory.to_str().unwrap(), "--json"]);
    assert_eq!(rows.len(), COMMANDS.len() + 1);
    for row in rows {
        let page = fs::read_to_string(row["written"].as_str().unwrap()).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{row}");
    }
}

#[test]
fn mistakes_are_answered_with_what_to_do() {
    fails(&["embed", "x.png"], 2, "pictures are given after --image");
    fails(&["similarity", "x.png", "--text", "a"], 2, "pictures are given after --image");
    fails(&["embed", "--text", "a", "-b"], 2, "if -b is a text: --text=-b");
    fails(&["embed", "--text", "a", "--jsn"], 2, "a similar argument exists: '--json'");
    fails(&["segment", "--text", "a"], 2, "<IMAGE>");
    let octopus = super::octopus();
    fails(&["segment", "--point", &octopus], 2, "is a file: put it in front of the options");
}
