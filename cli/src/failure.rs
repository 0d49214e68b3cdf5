//! What a failed command says and with which code it exits.

use std::fmt::Display;
use std::io;
use std::path::Path;

use vitrum::ErrorCode;

use crate::args::limits::option_for;

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// Exit codes; `vitrum --help` documents them. 0 is success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Nothing below: out of memory, a bug.
    Other = 1,
    /// The command line is wrong. Clap uses the same code.
    Usage = 2,
    /// The model cannot be found or used.
    Model = 3,
    /// An input file cannot be found or used.
    Input = 4,
    /// The result cannot be written.
    Output = 5,
    /// Some inputs cannot be found or used; the others have their results.
    Partial = 6,
    /// Stopped by SIGHUP, by Ctrl-C or by SIGTERM, as shells count.
    Hangup = 129,
    Interrupted = 130,
    Terminated = 143,
}

impl Exit {
    /// Of a command that a signal stopped.
    pub(crate) fn of_signal(signal: i32) -> Self {
        match signal {
            1 => Self::Hangup,
            15 => Self::Terminated,
            _ => Self::Interrupted,
        }
    }

    /// Its name in JSON.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Usage => "usage",
            Self::Model => "model",
            Self::Input => "input",
            Self::Output => "output",
            Self::Partial => "partial",
            Self::Hangup | Self::Interrupted | Self::Terminated => "stopped",
        }
    }
}

/// Why a command failed.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// Something to tell the user.
    Message {
        /// The exit code.
        exit: Exit,
        /// One sentence that names the thing at fault.
        message: String,
        /// What to do about it, if that is not obvious.
        hint: Option<String>,
    },
    /// Everything was said already, input by input; only the exit code is left.
    Told(Exit),
    /// Nobody reads the output any more (`vitrum … | head -1`): no fault of anyone's.
    ClosedPipe,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self::Message { exit, message: message.into(), hint: None }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// An input file that the system could not read.
    pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Self {
        Self::new(Exit::Input, format!("{}: {error}", path.display()))
    }

    /// A result that could not be written to `what`.
    pub(crate) fn unwritable(what: impl Display, error: &io::Error) -> Self {
        Self::new(Exit::Output, format!("cannot write {what}: {error}"))
    }

    /// The same with advice.
    pub(crate) fn hint(self, advice: impl Into<String>) -> Self {
        match self {
            Self::Message { exit, message, .. } => Self::Message { exit, message, hint: Some(advice.into()) },
            other => other,
        }
    }
}

/// Errors of the library, told as what they are about here: `.or_exit(Exit::Model)`.
pub(crate) trait OrExit<T> {
    /// The value, or a failure with code `exit` unless the error is nobody's input's fault.
    fn or_exit(self, exit: Exit) -> Result<T>;
}

impl<T> OrExit<T> for vitrum::Result<T> {
    fn or_exit(self, exit: Exit) -> Result<T> {
        self.map_err(|error| {
            let exit = match error.code() {
                ErrorCode::OutOfMemory | ErrorCode::Panic => Exit::Other,
                // Pictures are always numbers.
                ErrorCode::NonFinite => Exit::Model,
                _ => exit,
            };
            let failure = Failure::new(exit, error.message());
            option_for(error.message()).into_iter().fold(failure, Failure::hint)
        })
    }
}
