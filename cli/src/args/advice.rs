//! What to do about a command line that cannot be understood.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Prints the error, or the help that was asked for, and what to do about it.
pub(crate) fn tell(error: &clap::Error) -> ExitCode {
    // If nobody listens, the exit code is all there is to say.
    let _ = error.print();
    if let Some(advice) = advice(error) {
        let _ = writeln!(io::stderr(), "\n  {advice}");
    }
    ExitCode::from(error.exit_code() as u8)
}

/// Where clap's own tip does not help.
fn advice(error: &clap::Error) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let word = text(ContextKind::InvalidArg)?;
            let usage = match error.get(ContextKind::Usage) {
                Some(ContextValue::StyledStr(usage)) => usage.to_string(),
                _ => String::new(),
            };
            if word.starts_with('-') {
                let has_suggestion = error.get(ContextKind::SuggestedArg).is_some();
                (!has_suggestion && usage.contains("--text"))
                    .then(|| format!("if {word} is a text: --text={word}; if it is a file: ./{word}"))
            } else if usage.contains("vitrum embed") || usage.contains("vitrum similarity") {
                Some(format!("pictures are given after --image, texts after --text: --image {word}"))
            } else {
                None
            }
        }
        ErrorKind::ValueValidation => {
            let (option, value) = (text(ContextKind::InvalidArg)?, text(ContextKind::InvalidValue)?);
            std::path::Path::new(value).exists().then(|| {
                format!("{value} is a file: put it in front of the options, and the value behind {option}")
            })
        }
        _ => None,
    }
}
