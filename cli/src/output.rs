//! Standard output, standard error, and files.

mod inputs;
pub(crate) mod interrupt;
mod pending;

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::path::Path;

use serde::Serialize;

use crate::failure::{Exit, Failure, Result};
use crate::name::visible;
pub(crate) use inputs::{Inputs, check_distinct};
pub(crate) use pending::Pending;

/// Standard output, by lines. A reader that has gone away ends the command quietly.
#[derive(Debug)]
pub(crate) struct Output {
    out: BufWriter<Stdout>,
    json: bool,
    /// Whether a file is written to standard output instead.
    is_taken: bool,
}

impl Output {
    /// Lines of text, or of JSON.
    pub(crate) fn new(json: bool) -> Self {
        Self { out: BufWriter::new(io::stdout()), json, is_taken: false }
    }

    /// Whether the user asked for JSON.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Whether a person looks at it.
    pub(crate) fn is_terminal(&self) -> bool {
        self.out.get_ref().is_terminal()
    }

    /// Leaves standard output to a file: lines are not written any more.
    pub(crate) fn give_way(&mut self) {
        self.is_taken = true;
    }

    /// Writes a line of text.
    pub(crate) fn line(&mut self, text: impl Display) -> Result<()> {
        if self.is_taken {
            return Ok(());
        }
        writeln!(self.out, "{text}").map_err(|error| Self::failure(&error))
    }

    /// Writes `value` as a line of JSON.
    pub(crate) fn object(&mut self, value: &impl Serialize) -> Result<()> {
        let json = serde_json::to_string(value)
            .map_err(|error| Failure::new(Exit::Output, format!("cannot write JSON: {error}")))?;
        self.line(json)
    }

    /// Shows what was written so far.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.out.flush().map_err(|error| Self::failure(&error))
    }

    fn failure(error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::ClosedPipe,
            _ => Failure::unwritable("to standard output", error),
        }
    }
}

/// Makes the file `path` of what `write` writes: whole, or not at all. `-` is standard output.
pub(crate) fn create(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<()> {
    let create = || {
        let mut pending = Pending::create(path)?;
        write(pending.file())?;
        pending.commit()
    };
    create().map_err(|error| Failure::unwritable(path.display(), &error))
}

/// Fails if the file `path` could not be made: before hours of work, not after.
pub(crate) fn check_writable(path: &Path) -> Result<()> {
    Pending::try_create(path).map_err(|error| Failure::unwritable(path.display(), &error))
}

/// Tells the user on standard error what was done; if that is closed, nobody.
pub(crate) fn notice(message: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{}", visible(&message.to_string()));
}

/// Tells the user on standard error what went wrong; if that is closed too, nobody.
pub(crate) fn complain(message: &str, hint: Option<&str>) {
    let mut err = io::stderr().lock();
    let hint: String =
        hint.unwrap_or_default().lines().map(|line| format!("\n  {}", visible(line))).collect();
    let _ = writeln!(err, "vitrum: {}{hint}", visible(message));
}
