//! A case: a private copy of its folder, and the command run in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The folder of all cases.
pub(crate) const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/cases");

/// A case's folder below [`CASES`] (`clip/01-…`) and what must hold for it.
pub(crate) type Check = (&'static str, fn(&Case));

/// Runs each check in a copy of its folder.
pub(crate) fn run(checks: &[Check]) {
    for &(name, check) in checks {
        println!("case {name}");
        check(&Case::new(name));
    }
}

/// A copy of a case's folder, where its commands run.
#[derive(Debug)]
pub(crate) struct Case {
    directory: PathBuf,
}

impl Case {
    fn new(name: &str) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cases").join(name);
        let _ = fs::remove_dir_all(&directory);
        copy(&Path::new(CASES).join(name), &directory);
        Self { directory }
    }

    /// A path in the copy.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The command with `args`, to be run in the copy, with no Hugging Face cache of the user's in sight.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vitrum"));
        command.args(args).current_dir(&self.directory).env("HF_HUB_CACHE", "/nonexistent");
        for variable in ["HF_HOME", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE", "XDG_CACHE_HOME"] {
            command.env_remove(variable);
        }
        command
    }

    /// What came out of running it.
    pub(crate) fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the command starts")
    }

    /// Standard output of a run that must succeed, and what it said on standard error.
    pub(crate) fn succeeds(&self, args: &[&str]) -> (String, String) {
        let output = self.output(args);
        let (stdout, stderr) = texts(&output);
        assert!(output.status.success(), "{args:?} in {self:?}: {}\n{stderr}", output.status);
        (stdout, stderr)
    }

    /// Standard output of a run that must succeed and say nothing on standard error but how many frames it tracked.
    pub(crate) fn quiet(&self, args: &[&str]) -> String {
        let (stdout, stderr) = self.succeeds(args);
        let is_quiet = stderr.lines().all(|line| line.starts_with("tracked "));
        assert!(is_quiet, "{args:?} in {self:?}: {stderr}");
        stdout
    }

    /// Standard error of a run that must fail with `exit` and say `culprits` there.
    pub(crate) fn fails(&self, args: &[&str], exit: i32, culprits: &[&str]) -> String {
        let output = self.output(args);
        let (_, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(exit), "{args:?} in {self:?}\n{stderr}");
        for culprit in culprits {
            assert!(stderr.contains(culprit), "{args:?} in {self:?}: {culprit:?} is not in\n{stderr}");
        }
        stderr
    }

    /// Runs `embed --raw --json` with `args` and compares the first numbers of the only embedding.
    pub(crate) fn embeds(&self, args: &[&str], expected: &[f64]) {
        let (stdout, _) = self.succeeds(&[&["embed", "--raw", "--json"], args].concat());
        let row: serde_json::Value = serde_json::from_str(stdout.lines().next().expect("a line")).unwrap();
        let embedding: Vec<f64> =
            row["embedding"].as_array().expect(&stdout).iter().map(|x| x.as_f64().unwrap()).collect();
        for (i, (found, expected)) in embedding.iter().zip(expected).enumerate() {
            assert!((found - expected).abs() < 2e-4, "{args:?} in {self:?}: {i}: {found} is not {expected}");
        }
        assert!(embedding.len() >= expected.len());
    }
}

/// Standard output and standard error as text.
pub(crate) fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}
