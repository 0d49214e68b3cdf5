//! `vitrum completions`.

use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs};
use crate::failure::Result;
use crate::output::Output;

/// Prints a script that completes commands, options and their values.
pub(crate) fn run(args: &CompletionsArgs, output: &mut Output) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "vitrum", &mut script);
    output.line(String::from_utf8_lossy(&script).trim_end())
}
